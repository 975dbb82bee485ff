/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/subject_local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/subject_table.h"
#include "data/unpack.h"

#define MAX_DEPTH 64
#define PIECE_BYTES (256 * GY_KIB)

gy_status gy_local_add(struct gy_local_subject *l, struct gy_str **list, size_t *n, size_t *cap,
                       struct gy_str text, struct gy_err *err)
{
    for (size_t i = 0; i < *n; i++) {
        if (gy_str_eq((*list)[i], text)) {
            return GY_OK;
        }
    }
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct gy_str *bigger = gy_arena_calloc(&l->cli->arena, more, sizeof *bigger);
        if (!bigger) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for files of a subject");
        }
        if (*n) {
            memcpy(bigger, *list, *n * sizeof *bigger);
        }
        *list = bigger;
        *cap = more;
    }
    (*list)[*n] = gy_arena_str(&l->cli->arena, text);
    return (*list)[(*n)++].p ? GY_OK
                             : gy_err_set(err, GY_E_NOMEM, "out of memory for files of a subject");
}

gy_status gy_local_tell(struct gy_local_subject *l, const char *kind, const char *where, int64_t n,
                        const char *state, const char *note, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf shown;
    gy_buf_init(&shown, 64 * GY_KIB);
    bool erased = l->take_out && strcmp(state, "found") == 0;
    if (erased) { /* it is written down: not with the id */
        gy_subject_blank(l->subject, gy_str_c(where), &shown);
    } else {
        gy_buf_addc(&shown, where);
    }
    GY_TRY(gy_buf_check(&shown, "a path", err));
    const struct gy_local_finding f = {kind, gy_buf_str(&shown), n, erased ? "erased" : state,
                                       gy_str_c(note)};
    return l->found(l->ctx, &f, err);
}

static gy_status one_lines(struct gy_local_subject *l, const char *path, struct gy_err *err);

/* ---- dead letters ---- */

struct telling {
    struct gy_local_subject *l;
    const char *kind, *where;
};

static gy_status tell_record(void *ctx, struct gy_str json, struct gy_err *err)
{
    const struct telling *t = ctx;
    return t->l->record(t->l->ctx, t->kind, gy_str_c(t->where), json, err);
}

gy_status gy_local_letters(struct gy_local_subject *l, const char *path, bool named,
                           struct gy_err *err)
{
    struct gy_subject_letters got;
    struct telling t = {l, "letters", path};
    if (!gy_path_exists(path) && !named) {
        return GY_OK;
    }
    GY_TRY(gy_subject_letters_find(path, l->subject, l->columns, l->n_columns,
                                   l->record ? tell_record : NULL, &t, &got, err));
    if (l->take_out && got.hits) {
        struct gy_subject_letters gone;
        GY_TRY(gy_subject_letters_erase(path, l->subject, l->columns, l->n_columns, l->erasure,
                                        &gone, err));
    }
    GY_TRY(got.hits ? gy_local_tell(l, "letters", path, got.hits, "found", NULL, err) : GY_OK);
    /* What replays remember of refused letters may quote a value. */
    char replayed[GY_MAX_PATH];
    (void)snprintf(replayed, sizeof replayed, "%.4000s.replayed", path);
    GY_TRY(gy_path_exists(replayed) ? one_lines(l, replayed, err) : GY_OK);
    return got.possible ? gy_local_tell(l, "letters", path, got.possible, "possible",
                                        "letters without a header hold it as a field", err)
                        : GY_OK;
}

/* ---- tables ---- */

enum shape { CSV, LINES, LETTERS, OTHER };

/* By the name, behind ".gz" and ".zst". */
static enum shape shape_of(struct gy_str name, bool *ret_gzip, bool *ret_zstd)
{
    *ret_gzip = gy_str_ends(name, GY_STR(".gz"));
    *ret_zstd = gy_str_ends(name, GY_STR(".zst"));
    if (*ret_gzip || *ret_zstd) {
        name = gy_str_sub(name, 0, name.n - (*ret_gzip ? 3 : 4));
    }
    if (gy_str_ends(name, GY_STR(".csv")) || gy_str_ends(name, GY_STR(".tsv"))) {
        return CSV;
    }
    if (gy_str_ends(name, GY_STR("dlq.log")) || gy_str_ends(name, GY_STR(".dlq"))) {
        return LETTERS;
    }
    return gy_str_ends(name, GY_STR(".jsonl")) || gy_str_ends(name, GY_STR(".ndjson")) ? LINES
                                                                                       : OTHER;
}

static gy_status open_plain(const char *path, int *ret_fd, int64_t *ret_size, struct gy_err *err)
{
    struct stat st;
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    if (fstat(*ret_fd, &st) != 0) {
        gy_status status = gy_err_sys(err, errno, "stat '%s'", path);
        (void)close(*ret_fd);
        *ret_fd = -1;
        return status;
    }
    *ret_size = st.st_size;
    return GY_OK;
}

/* The bytes that a packed file holds, in a file without a name. */
static gy_status unpack(const char *path, int *fd, int64_t *size, struct gy_err *err)
{
    struct gy_fd_reader in;
    GY_AUTO(gy_unpack_free) struct gy_unpack *u = NULL;
    GY_AUTO(gy_free) char *piece = gy_malloc(PIECE_BYTES);
    int aside = -1;
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "unpacking '%s'", path);
    }
    GY_TRY(gy_unpack_new(gy_fd_reader_init(&in, *fd, *size), path, &u, err));
    GY_TRY(gy_file_aside(gy_temp_dir(), &aside, err));
    struct gy_reader *r = gy_unpack_reader(u);
    gy_status status = GY_OK;
    int64_t total = 0;
    for (size_t got = 1; status == GY_OK && got > 0;) {
        status = r->read(r, piece, PIECE_BYTES, &got, err);
        if (status == GY_OK && got) {
            status = gy_fd_write(aside, path, gy_str_n(piece, got), err);
            total += (int64_t)got;
        }
    }
    if (status == GY_OK && lseek(aside, 0, SEEK_SET) != 0) {
        status = gy_err_sys(err, errno, "unpacking '%s'", path);
    }
    if (status != GY_OK) {
        (void)close(aside);
        return status;
    }
    (void)close(*fd); /* only read from */
    *fd = aside;
    *size = total;
    return GY_OK;
}

/* Where what stays is written to: as it is, or packed again. */
struct sink {
    struct gy_file_writer *w;
    bool gzip;
    z_stream z;
    char out[64 * 1024];
};

static gy_status deflate_some(struct sink *s, struct gy_str bytes, int flush, struct gy_err *err)
{
    s->z.next_in = (Bytef *)(uintptr_t)bytes.p;
    s->z.avail_in = (uInt)bytes.n; /* pieces are small */
    do {
        s->z.next_out = (Bytef *)s->out;
        s->z.avail_out = sizeof s->out;
        (void)deflate(&s->z, flush); /* fails only for a stream that was not set up */
        GY_TRY(gy_file_writer_write(s->w, gy_str_n(s->out, sizeof s->out - s->z.avail_out), err));
    } while (s->z.avail_out == 0);
    return GY_OK;
}

static gy_status keep(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct sink *s = ctx;
    return s->gzip ? deflate_some(s, bytes, Z_NO_FLUSH, err)
                   : gy_file_writer_write(s->w, bytes, err);
}

static gy_status scan_file(struct gy_subject_scan *scan, enum shape shape, int fd, int64_t size,
                           struct gy_err *err)
{
    return shape == LINES ? gy_subject_scan_lines(scan, fd, size, err)
                          : gy_subject_scan_csv(scan, fd, size, err);
}

static gy_status rewrite_into(struct sink *s, struct gy_subject_scan scan, enum shape shape,
                              const char *path, int fd, int64_t size, struct gy_err *err)
{
    struct stat st;
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    /* A link into DVC's cache is read only; what is written is a file of its own. */
    mode_t mode = stat(path, &st) == 0 ? (st.st_mode & 0777) | 0200 : 0644;
    GY_TRY(gy_file_writer_open(path, mode, &w, err));
    s->w = w;
    scan.keep = keep;
    scan.row = NULL;
    scan.ctx = s;
    scan.rows = scan.hits = scan.named = 0;
    if (lseek(fd, 0, SEEK_SET) != 0) {
        return gy_err_sys(err, errno, "reading '%s' again", path);
    }
    GY_TRY(scan_file(&scan, shape, fd, size, err));
    GY_TRY(s->gzip ? deflate_some(s, GY_STR(""), Z_FINISH, err) : GY_OK);
    return gy_file_writer_commit(w, NULL, err);
}

static gy_status rewrite(const struct gy_subject_scan *scan, enum shape shape, const char *path,
                         bool gzip, int fd, int64_t size, struct gy_err *err)
{
    struct sink *s = gy_calloc(1, sizeof *s);
    gy_status status = GY_OK;
    if (!s || (gzip && deflateInit2(&s->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
                                    Z_DEFAULT_STRATEGY) != Z_OK)) {
        status = gy_err_set(err, GY_E_NOMEM, "rewriting '%s'", path);
    } else {
        s->gzip = gzip;
        status = rewrite_into(s, *scan, shape, path, fd, size, err);
        if (gzip) {
            (void)deflateEnd(&s->z);
        }
    }
    gy_free(s);
    return status;
}

static gy_status note_change(struct gy_local_subject *l, const char *path, const char *md5,
                             struct gy_err *err)
{
    char real[GY_MAX_PATH];
    const char *absolute = realpath(path, real) ? real : path;
    GY_TRY(gy_local_add(l, &l->changed, &l->n_changed, &l->cap_changed, gy_str_c(absolute), err));
    return gy_local_add(l, &l->old_md5, &l->n_old, &l->cap_old, gy_str_c(md5), err);
}

static gy_status one_table(struct gy_local_subject *l, const char *path, enum shape shape,
                           bool gzip, bool zstd, int fd, int64_t size, struct gy_err *err)
{
    struct telling t = {l, "file", path};
    struct gy_subject_scan scan = {.subject = l->subject,
                                   .columns = l->columns,
                                   .n_columns = l->n_columns,
                                   .mentions = true,
                                   .row = l->record ? tell_record : NULL,
                                   .ctx = &t};
    char md5[GY_MD5_HEX];
    GY_TRY(scan_file(&scan, shape, fd, size, err));
    int64_t n = scan.hits + scan.named;
    if (n == 0) {
        return GY_OK;
    }
    if (zstd) {
        return gy_local_tell(l, "file", path, n, "told",
                             "a zstd file is not rewritten: unpack it, and erase again", err);
    }
    if (l->take_out) {
        GY_TRY(gy_file_digest(path, NULL, md5, NULL, err));
        GY_TRY(rewrite(&scan, shape, path, gzip, fd, size, err));
        GY_TRY(note_change(l, path, md5, err));
    }
    return gy_local_tell(l, "file", path, n, "found", NULL, err);
}

static gy_status one_lines(struct gy_local_subject *l, const char *path, struct gy_err *err)
{
    int64_t size = 0;
    int fd = -1;
    GY_TRY(open_plain(path, &fd, &size, err));
    gy_status status = one_table(l, path, LINES, false, false, fd, size, err);
    (void)close(fd); /* only read from */
    return status;
}

static gy_status one_other(struct gy_local_subject *l, const char *path, int fd, int64_t size,
                           struct gy_err *err)
{
    bool named = false;
    struct gy_str name = gy_str_c(path);
    if (gy_str_ends(name, GY_STR(".parquet")) || gy_str_ends(name, GY_STR(".zip")) ||
        gy_str_ends(name, GY_STR(".xlsx"))) {
        return gy_local_tell(l, "file", path, 0, "told",
                             "not looked into: make it again from what was erased", err);
    }
    GY_TRY(gy_subject_search(l->subject, fd, size, false, &named, err));
    return named ? gy_local_tell(l, "file", path, 1, "told",
                                 "no table: it is not changed; edit or remove it", err)
                 : GY_OK;
}

static gy_status one_file(struct gy_local_subject *l, const char *path, struct gy_err *err)
{
    bool gzip, zstd;
    int64_t size = 0;
    int fd = -1;
    enum shape shape = shape_of(gy_str_c(path), &gzip, &zstd);
    if (shape == LETTERS) {
        return gy_local_letters(l, path, true, err);
    }
    GY_TRY(open_plain(path, &fd, &size, err));
    gy_status status = GY_OK;
    if (gzip || zstd) {
        status = unpack(path, &fd, &size, err);
    }
    if (status == GY_OK) {
        status = shape == OTHER ? one_other(l, path, fd, size, err)
                                : one_table(l, path, shape, gzip, zstd, fd, size, err);
    }
    (void)close(fd); /* only read from */
    return status;
}

/* ---- folders ---- */

struct folder {
    struct gy_local_subject *l;
    const char *path;
    int depth;
};

static gy_status walk(struct gy_local_subject *l, const char *path, int depth, struct gy_err *err);

static gy_status each_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct folder *f = ctx;
    char path[GY_MAX_PATH];
    size_t n = strlen(name);
    /* Hidden folders are those of programs: .git, .dvc, .gyre; .dvc files hold digests only. */
    if ((is_dir && name[0] == '.') || (n > 4 && strcmp(name + n - 4, ".dvc") == 0)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, f->path, name, err));
    return walk(f->l, path, f->depth + 1, err);
}

static gy_status walk(struct gy_local_subject *l, const char *path, int depth, struct gy_err *err)
{
    struct stat st;
    struct folder f = {l, path, depth};
    if (depth > MAX_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d folders within each other", MAX_DEPTH);
    }
    if (stat(path, &st) != 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "stat '%s'", path);
    }
    if (S_ISDIR(st.st_mode)) {
        struct stat link;
        if (depth > 0 && lstat(path, &link) == 0 && S_ISLNK(link.st_mode)) {
            return GY_OK; /* it may lead anywhere, also back */
        }
        return gy_dir_each(path, each_entry, &f, err);
    }
    return S_ISREG(st.st_mode) ? one_file(l, path, err) : GY_OK;
}

gy_status gy_local_path(struct gy_local_subject *l, const char *path, bool named,
                        struct gy_err *err)
{
    if (named && !gy_path_exists(path)) {
        return gy_err_set(err, GY_E_NOTFOUND, "no file or folder '%s'", path);
    }
    return walk(l, path, 0, err);
}

gy_status gy_local_holds(const struct gy_local_subject *l, const char *path, bool *ret,
                         struct gy_err *err)
{
    int64_t size = 0;
    int fd = -1;
    *ret = false;
    GY_TRY(open_plain(path, &fd, &size, err));
    unsigned char head[4] = {0};
    gy_status status = GY_OK;
    bool packed = pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
                  ((head[0] == 0x1f && head[1] == 0x8b) ||
                   (head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd));
    if (packed && unpack(path, &fd, &size, NULL) != GY_OK) {
        (void)lseek(fd, 0, SEEK_SET); /* it only began like one: its bytes as they are */
    }
    status = gy_subject_search(l->subject, fd, size, false, ret, err);
    if (status == GY_OK && !*ret && l->n_columns) {
        struct gy_subject_scan scan = {
            .subject = l->subject, .columns = l->columns, .n_columns = l->n_columns};
        status = gy_subject_scan_csv(&scan, fd, size, err);
        *ret = scan.has_column && scan.hits > 0;
    }
    (void)close(fd); /* only read from */
    return status;
}
