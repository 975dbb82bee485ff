/* SPDX-License-Identifier: Apache-2.0 */
#include "data/source.h"

#include <errno.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/source_parquet.h"
#include "data/unpack.h"
#include "net/call.h"

#define HEAD_BYTES 512 /* what a format is told from */

/* An open source: what it gives, unpacked, with the head put back in front. */
struct gy_source_stream {
    struct gy_reader reader;
    struct gy_unpack *unpack;
    struct gy_buf head;
    size_t head_at; /* of head: given again so far */
    bool whole;     /* nothing comes behind head */
};

/* ---- one ---- */

static gy_status stream_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    struct gy_source_stream *s = (struct gy_source_stream *)(void *)self;
    const size_t left = s->head.n - s->head_at;
    if (left > 0) {
        *ret_n = left < n ? left : n;
        memcpy(buf, s->head.p + s->head_at, *ret_n);
        s->head_at += *ret_n;
        if (s->head_at == s->head.n) {
            gy_buf_done(&s->head);
            s->head_at = 0;
        }
        return GY_OK;
    }
    *ret_n = 0;
    struct gy_reader *in = gy_unpack_reader(s->unpack);
    return s->whole ? GY_OK : in->read(in, buf, n, ret_n, err);
}

static gy_status open_stream(struct gy_source *s, struct gy_err *err)
{
    struct gy_reader *raw = NULL;
    struct gy_source_stream *stream = gy_calloc(1, sizeof *stream);
    if (!stream) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for reading '%s'", s->name);
    }
    stream->reader = (struct gy_reader){.read = stream_read, .size_bytes = -1};
    gy_buf_init(&stream->head, GY_GIB);
    s->open = stream; /* from here on gy_source_close tidies up */
    s->done_bytes = 0;
    gy_status status = s->ops->open(s, &raw, err);
    if (status == GY_OK) {
        status = gy_unpack_new(raw, s->name, &stream->unpack, err);
    }
    if (status != GY_OK) {
        gy_source_close(s);
    }
    return status;
}

gy_status gy_source_open(struct gy_source *s, struct gy_reader **ret, struct gy_err *err)
{
    if (!s->open) {
        GY_TRY(open_stream(s, err));
    }
    *ret = &s->open->reader;
    return GY_OK;
}

gy_status gy_source_head(struct gy_source *s, size_t max, struct gy_str *ret, bool *ret_whole,
                         struct gy_err *err)
{
    if (!s->open) {
        GY_TRY(open_stream(s, err));
    }
    struct gy_source_stream *stream = s->open;
    struct gy_reader *in = gy_unpack_reader(stream->unpack);
    while (stream->head.n < max && !stream->whole) {
        size_t got = 0;
        char *room = gy_buf_reserve(&stream->head, max - stream->head.n);
        if (!room) {
            return gy_buf_check(&stream->head, "the first records", err);
        }
        GY_TRY(in->read(in, room, max - stream->head.n, &got, err));
        gy_buf_commit(&stream->head, got);
        stream->whole = got == 0;
    }
    *ret = gy_str_sub(gy_buf_str(&stream->head), 0, max);
    if (ret_whole) {
        *ret_whole = stream->whole && stream->head.n <= max;
    }
    return GY_OK;
}

void gy_source_close(struct gy_source *s)
{
    struct gy_source_stream *stream = GY_TAKE(s->open);
    if (stream) {
        gy_unpack_free(stream->unpack);
        gy_buf_done(&stream->head);
        gy_free(stream);
        s->ops->close(s);
    }
}

void gy_source_free(struct gy_source *s)
{
    if (s) {
        gy_source_close(s);
        s->ops->free(s);
    }
}

gy_status gy_source_schema(struct gy_source *s, struct gy_schema **ret, struct gy_err *err)
{
    *ret = NULL;
    return s->ops->schema ? s->ops->schema(s, ret, err) : GY_OK;
}

/* ---- formats ---- */

static const struct {
    const char *ending;
    enum gy_ingest_format format;
} g_endings[] = {{".csv", GY_INGEST_CSV},
                 {".tsv", GY_INGEST_CSV},
                 {".json", GY_INGEST_JSON},
                 {".jsonl", GY_INGEST_JSONL},
                 {".ndjson", GY_INGEST_JSONL}};

static bool ends_with(struct gy_str name, const char *ending)
{
    struct gy_str end = gy_str_c(ending);
    return name.n >= end.n && gy_str_ieq(gy_str_sub(name, name.n - end.n, SIZE_MAX), end);
}

/* AUTO when the name does not tell. */
static enum gy_ingest_format format_of_name(const char *text)
{
    static const char *const packed[] = {".gz", ".zst"};
    struct gy_str name = gy_str_c(text);
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        if (ends_with(name, packed[i])) {
            name.n -= strlen(packed[i]);
            break;
        }
    }
    for (size_t i = 0; i < sizeof g_endings / sizeof g_endings[0]; i++) {
        if (ends_with(name, g_endings[i].ending)) {
            return g_endings[i].format;
        }
    }
    return GY_INGEST_AUTO;
}

bool gy_ingest_is_data_name(const char *name)
{
    return format_of_name(name) != GY_INGEST_AUTO || gy_source_is_parquet_name(name);
}

enum gy_ingest_format gy_ingest_format_of(const char *name, struct gy_str head)
{
    enum gy_ingest_format format = format_of_name(name);
    if (format != GY_INGEST_AUTO) {
        return format;
    }
    if (gy_str_starts(head, GY_STR("\xef\xbb\xbf"))) {
        head = gy_str_sub(head, 3, SIZE_MAX);
    }
    head = gy_str_trim(head);
    return gy_str_starts(head, GY_STR("["))   ? GY_INGEST_JSON
           : gy_str_starts(head, GY_STR("{")) ? GY_INGEST_JSONL
                                              : GY_INGEST_CSV;
}

gy_status gy_source_format(struct gy_source *s, enum gy_ingest_format *ret, struct gy_err *err)
{
    struct gy_str head = GY_STR_NULL;
    *ret = s->format != GY_INGEST_AUTO ? s->format : format_of_name(s->name);
    if (*ret == GY_INGEST_AUTO) {
        GY_TRY(gy_source_head(s, HEAD_BYTES, &head, NULL, err));
        *ret = gy_ingest_format_of(s->name, head);
    }
    return GY_OK;
}

gy_status gy_ingest_parse_format(struct gy_str text, enum gy_ingest_format *ret, struct gy_err *err)
{
    static const struct {
        const char *name;
        enum gy_ingest_format format;
    } known[] = {{"auto", GY_INGEST_AUTO},
                 {"csv", GY_INGEST_CSV},
                 {"json", GY_INGEST_JSON},
                 {"jsonl", GY_INGEST_JSONL},
                 {"ndjson", GY_INGEST_JSONL}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(text, known[i].name)) {
            *ret = known[i].format;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not a format", GY_STR_A(text));
    return gy_err_hint(err, "auto, csv, json or jsonl");
}

/* ---- several ---- */

void gy_source_list_done(struct gy_source_list *l)
{
    if (l) {
        for (size_t i = 0; i < l->n; i++) {
            gy_source_free(l->items[i]);
        }
        gy_free(l->items);
        *l = (struct gy_source_list){0};
    }
}

gy_status gy_source_list_add(struct gy_source_list *l, struct gy_source *s, struct gy_err *err)
{
    if (l->n == GY_MAX_SOURCES) {
        gy_source_free(s);
        return gy_err_set(err, GY_E_TOOBIG, "more than %d files at once", GY_MAX_SOURCES);
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        struct gy_source **items = gy_reallocarray(l->items, cap, sizeof(struct gy_source *));
        if (!items) {
            gy_source_free(s);
            return gy_err_set(err, GY_E_NOMEM, "out of memory for the list of files");
        }
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = s;
    return GY_OK;
}

gy_status gy_source_path(const char *path, struct gy_source **ret, struct gy_err *err)
{
    return gy_source_is_parquet_name(path) ? gy_source_parquet(path, NULL, ret, err)
                                           : gy_source_file(path, NULL, ret, err);
}

static gy_status add_file(struct gy_source_list *l, const char *path, struct gy_err *err)
{
    struct gy_source *s = NULL;
    GY_TRY(gy_source_path(path, &s, err));
    return gy_source_list_add(l, s, err);
}

static bool is_file(const char *path, const struct stat *file)
{
    struct stat st;
    return file && stat(path, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

struct walk {
    struct gy_source_list *list;
    const char *folder;
    const struct stat *not_this; /* NULL: all are wanted */
    int depth;
};

static gy_status visit(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct walk *w = ctx;
    char path[GY_MAX_PATH];
    if (name[0] == '.' || name[0] == '_' || (!is_dir && !gy_ingest_is_data_name(name))) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, w->folder, name, err));
    if (is_dir) {
        struct walk deeper = {w->list, path, w->not_this, w->depth + 1};
        if (deeper.depth > GY_SOURCE_MAX_DEPTH) {
            return gy_err_set(err, GY_E_TOOBIG, "'%s': more than %d folders deep", path,
                              GY_SOURCE_MAX_DEPTH);
        }
        return gy_dir_each(path, visit, &deeper, err);
    }
    return is_file(path, w->not_this) ? GY_OK : add_file(w->list, path, err);
}

static gy_status add_folder(struct gy_source_list *l, const char *path, const char *not_this,
                            struct gy_err *err)
{
    struct stat output;
    const size_t before = l->n;
    struct walk w = {l, path, not_this && stat(not_this, &output) == 0 ? &output : NULL, 0};
    GY_TRY(gy_dir_each(path, visit, &w, err));
    if (l->n > before) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "no data file in the folder '%s'", path);
    return gy_err_hint(
        err,
        "names end in .parquet, or in .csv .tsv .json .jsonl .ndjson, with .gz or .zst or not");
}

static gy_status add_pattern(struct gy_source_list *l, const char *pattern, const char *not_this,
                             struct gy_err *err)
{
    glob_t found;
    struct stat output;
    const size_t before = l->n;
    const bool there = not_this && stat(not_this, &output) == 0;
    int what = glob(pattern, GLOB_ERR, NULL, &found); /* sorted; GLOB_ERR: nothing is left out */
    gy_status status = GY_OK;
    if (what == GLOB_NOMATCH) {
        status = gy_err_set(err, GY_E_NOTFOUND, "no file fits '%s'", pattern);
    } else if (what != 0) {
        status = gy_err_sys(err,
                            what == GLOB_NOSPACE ? ENOMEM
                            : errno              ? errno
                                                 : EIO,
                            "looking for '%s'", pattern);
    }
    for (size_t i = 0; status == GY_OK && i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        if (gy_path_is_dir(path)) {
            status = add_folder(l, path, not_this, err);
        } else if (!is_file(path, there ? &output : NULL)) {
            status = add_file(l, path, err);
        }
    }
    if (status == GY_OK && l->n == before) {
        status = gy_err_set(err, GY_E_NOTFOUND, "no file fits '%s' but the output", pattern);
    }
    globfree(&found);
    return status;
}

gy_status gy_source_list_add_path(struct gy_source_list *l, const char *path, const char *not_this,
                                  struct gy_err *err)
{
    if (strcmp(path, "-") == 0) {
        struct gy_source *s = NULL;
        GY_TRY(gy_source_fd(STDIN_FILENO, "stdin", &s, err));
        return gy_source_list_add(l, s, err);
    }
    if (gy_path_is_dir(path)) {
        return add_folder(l, path, not_this, err);
    }
    return strpbrk(path, "*?[") && !gy_path_exists(path) ? add_pattern(l, path, not_this, err)
                                                         : add_file(l, path, err);
}
