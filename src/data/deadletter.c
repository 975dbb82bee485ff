/* SPDX-License-Identifier: Apache-2.0 */
#include "data/deadletter.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"

#define COPY_BYTES (192 * GY_KIB) /* a multiple of 3: base64 pieces join without padding */

/* A letter starts so; the digest is put in when it is known, which is when its source has been
 * read.
 */
#define START "{\"source\":\"" /* how a letter begins */
enum { DIGEST_AT = sizeof START - 1, DIGEST_END = DIGEST_AT + GY_SHA256_HEX - 1 };

/* The letters of one source. */
struct gy_dlq_part {
    int64_t end; /* of its bytes among all */
    char sha256[GY_SHA256_HEX];
};

void gy_dlq_init(struct gy_dlq *d, const char *path)
{
    *d = (struct gy_dlq){.path = path, .aside = -1};
    gy_buf_init(&d->pending, GY_GIB);
    gy_buf_init(&d->header, GY_DLQ_MAX_HEADER);
}

void gy_dlq_done(struct gy_dlq *d)
{
    gy_buf_done(&d->pending);
    gy_buf_done(&d->header);
    gy_free(d->parts);
    d->parts = NULL;
    if (d->aside >= 0) {
        (void)close(d->aside);
        d->aside = -1;
    }
}

void gy_dlq_header(struct gy_dlq *d, struct gy_str header, char delimiter)
{
    gy_buf_reset(&d->header);
    if (header.p && header.n < GY_DLQ_MAX_HEADER) {
        gy_buf_add(&d->header, header);
    }
    d->delimiter = delimiter;
}

static gy_status put_aside(struct gy_dlq *d, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&d->pending, "the dead letters", err));
    if (d->aside < 0) {
        char dir[GY_MAX_PATH];
        const char *slash = strrchr(d->path, '/');
        size_t n = slash ? (size_t)(slash - d->path) + 1 : 0;
        if (n >= sizeof dir) {
            return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
        }
        memcpy(dir, n ? d->path : ".", n ? n : 1);
        dir[n ? n : 1] = '\0';
        GY_TRY(gy_dir_make_for(d->path, err));
        GY_TRY(gy_file_aside(dir, &d->aside, err));
    }
    GY_TRY(gy_fd_write(d->aside, d->path, gy_buf_str(&d->pending), err));
    d->bytes += (int64_t)d->pending.n;
    gy_buf_reset(&d->pending);
    return GY_OK;
}

gy_status gy_dlq_end_source(struct gy_dlq *d, const char *sha256, struct gy_err *err)
{
    const int64_t end = d->bytes + (int64_t)d->pending.n;
    if (end == (d->n_parts ? d->parts[d->n_parts - 1].end : 0)) {
        return GY_OK;
    }
    if (d->n_parts == d->cap_parts) {
        size_t cap = d->cap_parts ? 2 * d->cap_parts : 4;
        struct gy_dlq_part *parts = gy_reallocarray(d->parts, cap, sizeof *parts);
        if (!parts) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for the dead letters");
        }
        d->parts = parts;
        d->cap_parts = cap;
    }
    struct gy_dlq_part *part = &d->parts[d->n_parts++];
    part->end = end;
    memcpy(part->sha256, sha256, sizeof part->sha256);
    return GY_OK;
}

/* Put the digest into the letters of a piece of the log. *at: the place in its line where the piece
 * starts, then where it ends. */
static void put_digest(char *p, size_t n, const char *sha256, size_t *at)
{
    for (size_t i = 0; i < n;) {
        for (size_t k = *at > DIGEST_AT ? *at : DIGEST_AT; k < DIGEST_END && i + k - *at < n; k++) {
            p[i + k - *at] = sha256[k - DIGEST_AT];
        }
        const char *nl = memchr(p + i, '\n', n - i);
        *at = nl ? 0 : *at + (n - i);
        i = nl ? (size_t)(nl - p) + 1 : n;
    }
}

static gy_status copy_letters(struct gy_dlq *d, struct gy_file_appender *log, struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = d->aside < 0 ? NULL : gy_malloc(COPY_BYTES);
    if (d->aside >= 0 && !piece) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the dead letters");
    }
    int64_t pos = 0;
    for (size_t i = 0; i < d->n_parts; i++) {
        size_t at = 0;
        while (pos < d->parts[i].end) {
            int64_t left = d->parts[i].end - pos;
            size_t n = left < (int64_t)COPY_BYTES ? (size_t)left : COPY_BYTES;
            char *p = piece ? piece : d->pending.p + pos;
            if (piece) {
                GY_TRY(gy_fd_read_at(d->aside, d->path, p, n, pos, err));
            }
            put_digest(p, n, d->parts[i].sha256, &at);
            GY_TRY(gy_file_appender_write(log, gy_str_n(p, n), err));
            pos += (int64_t)n;
        }
    }
    return GY_OK;
}

gy_status gy_dlq_commit(struct gy_dlq *d, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&d->pending, "the dead letters", err));
    if (d->n_parts == 0) {
        return GY_OK;
    }
    if (d->aside >= 0) {
        GY_TRY(put_aside(d, err));
    }
    GY_AUTO(gy_file_appender_free) struct gy_file_appender *log = NULL;
    GY_TRY(gy_dir_make_for(d->path, err));
    GY_TRY(gy_file_appender_open(d->path, 0666, &log, err));
    GY_TRY(copy_letters(d, log, err));
    return gy_file_appender_commit(log, err);
}

static void add_base64(struct gy_buf *out, struct gy_str bytes)
{
    size_t n = gy_base64_size(bytes.n);
    char *p = gy_buf_reserve(out, n + 1);
    if (p) {
        gy_base64(bytes.p, bytes.n, p);
        gy_buf_commit(out, n);
    }
}

/* Copy a record that was too long to be kept from where it was put aside into the log, piece by
 * piece. */
static gy_status copy_base64(struct gy_dlq *d, const struct gy_csv_item *item, int fd,
                             struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = gy_malloc(COPY_BYTES);
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a dead letter");
    }
    int64_t at = 0;
    for (int64_t left = item->length; left > 0;) {
        size_t n = left < (int64_t)COPY_BYTES ? (size_t)left : COPY_BYTES;
        GY_TRY(gy_fd_read_at(fd, "a refused record", piece, n, at, err));
        add_base64(&d->pending, gy_str_n(piece, n));
        at += (int64_t)n;
        left -= (int64_t)n;
        if (d->pending.n >= GY_DLQ_FLUSH_BYTES) {
            GY_TRY(put_aside(d, err));
        }
    }
    return GY_OK;
}

static void add_head(struct gy_jw *w, struct gy_str file, const struct gy_csv_item *item,
                     const struct gy_reasons *reasons)
{
    static const char unknown[GY_SHA256_HEX] =
        "0000000000000000000000000000000000000000000000000000000000000000";
    char time[32];
    size_t n = gy_time_iso(gy_now_us(), time);
    gy_jw_obj(w);
    gy_jw_kv_str(w, "source", gy_str_c(unknown)); /* as START says */
    gy_jw_kv_str(w, "time", gy_str_n(time, n));
    gy_jw_kv_str(w, "file", file);
    gy_jw_kv_i64(w, "row", item->row);
    gy_jw_kv_i64(w, "offset", item->offset + item->skip);
    gy_jw_kv_i64(w, "length", item->length);
    gy_jw_key(w, "codes");
    gy_jw_arr(w);
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (reasons->codes & (1U << code)) {
            gy_jw_strc(w, gy_dead_name((enum gy_dead_code)code));
        }
    }
    gy_jw_arr_end(w);
    gy_jw_kv_str(w, "column", reasons->column ? reasons->column->name : GY_STR_NULL);
    gy_jw_kv_str(w, "error", gy_buf_str(&reasons->text));
    gy_jw_kv_null(w, "trace");
}

gy_status gy_dlq_add(struct gy_dlq *d, struct gy_str file, const struct gy_csv_item *item,
                     const struct gy_reasons *reasons, int long_fd, struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, &d->pending);
    add_head(&w, file, item, reasons);
    if (item->raw.p && gy_str_is_utf8(item->raw)) {
        gy_jw_kv_str(&w, "data", item->raw);
    } else {
        /* base64 needs no escaping, so it goes past the writer. */
        gy_jw_key(&w, "data_b64");
        gy_jw_raw(&w, GY_STR("\""));
        if (item->raw.p) {
            add_base64(&d->pending, item->raw);
        } else {
            GY_TRY(copy_base64(d, item, long_fd, err));
        }
        gy_buf_add_char(&d->pending, '"');
    }
    if (d->header.n > 0 && d->header.failed == GY_OK) {
        gy_jw_kv_str(&w, "header", gy_buf_str(&d->header));
        gy_jw_kv_str(&w, "delimiter", gy_str_n(&d->delimiter, 1));
    }
    gy_jw_obj_end(&w);
    gy_buf_add_char(&d->pending, '\n');
    d->letters++;
    GY_TRY(gy_buf_check(&d->pending, "the dead letters", err));
    return d->pending.n >= GY_DLQ_FLUSH_BYTES ? put_aside(d, err) : GY_OK;
}

bool gy_dlq_is_note(yyjson_val *letter)
{
    return gy_json_get(letter, "erased") && !gy_json_get(letter, "codes");
}

/* What a letter that is too long says before its record, as JSON; nothing when it is none. */
static void cut_letter(struct gy_str line, struct gy_buf *out)
{
    const size_t data = gy_str_find_str(line, GY_STR(",\"data")); /* quotes in texts are escaped */
    if (data != SIZE_MAX) {
        gy_buf_add(out, gy_str_sub(line, 0, data));
        gy_buf_add_char(out, '}');
    }
}

static bool give_line(struct gy_str line, int64_t number, gy_dlq_fn fn, void *ctx)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf cut;
    struct gy_str json = line;
    yyjson_val *letter = NULL;
    gy_buf_init(&cut, GY_DLQ_MAX_LINE);
    if (line.n > GY_DLQ_MAX_LINE) {
        cut_letter(line, &cut);
        json = gy_buf_str(&cut);
    }
    if (gy_json_parse(json, &doc, NULL) == GY_OK && yyjson_is_obj(yyjson_doc_get_root(doc))) {
        letter = yyjson_doc_get_root(doc);
    }
    return fn(ctx, number, line, letter);
}

gy_status gy_dlq_each(const char *path, gy_dlq_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf buf;
    gy_buf_init(&buf, GY_DLQ_MAX_LINE + 2 * GY_DLQ_FLUSH_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    gy_status status = GY_OK;
    int64_t number = 0;
    bool skipping = false; /* the rest of a line that is too long, and was given */
    for (bool more = true; more;) {
        char *room = gy_buf_reserve(&buf, GY_DLQ_FLUSH_BYTES);
        ssize_t got = room ? read(fd, room, GY_DLQ_FLUSH_BYTES) : -1;
        if (!room) {
            status = gy_buf_check(&buf, "a dead letter", err);
            break;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = gy_err_sys(err, errno, "reading '%s'", path);
            break;
        }
        gy_buf_commit(&buf, (size_t)got);
        more = got > 0;
        struct gy_str rest = gy_buf_str(&buf);
        if (skipping) {
            const size_t end = gy_str_find(rest, '\n');
            skipping = end == SIZE_MAX;
            rest = gy_str_sub(rest, skipping ? rest.n : end + 1, SIZE_MAX);
        }
        for (size_t nl; (nl = gy_str_find(rest, '\n')) != SIZE_MAX || (!more && rest.n > 0);) {
            size_t n = nl == SIZE_MAX ? rest.n : nl;
            if (n > 0 && !give_line(gy_str_n(rest.p, n), number++, fn, ctx)) {
                more = false;
                break;
            }
            rest = gy_str_sub(rest, n + 1, SIZE_MAX);
        }
        if (more && rest.n > GY_DLQ_MAX_LINE) {
            more = give_line(rest, number++, fn, ctx);
            skipping = true;
            rest = GY_STR("");
        }
        gy_buf_drop_front(&buf, buf.n - rest.n);
    }
    (void)close(fd);
    return status;
}
