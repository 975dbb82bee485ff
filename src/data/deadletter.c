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

void gy_dlq_init(struct gy_dlq *d, const char *path)
{
    *d = (struct gy_dlq){.path = path};
    gy_buf_init(&d->pending, GY_GIB);
    gy_buf_init(&d->header, GY_DLQ_MAX_HEADER);
}

void gy_dlq_done(struct gy_dlq *d)
{
    gy_buf_done(&d->pending);
    gy_buf_done(&d->header);
}

void gy_dlq_header(struct gy_dlq *d, struct gy_str header, char delimiter)
{
    gy_buf_reset(&d->header);
    if (header.p && header.n < GY_DLQ_MAX_HEADER) {
        gy_buf_add(&d->header, header);
    }
    d->delimiter = delimiter;
}

/* The folder of the log. */
static gy_status make_folder(const struct gy_dlq *d, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    const char *slash = strrchr(d->path, '/');
    size_t n = slash ? (size_t)(slash - d->path) : 0;
    if (n == 0 || n >= sizeof dir) {
        return GY_OK; /* here, the root, or too long: opening tells */
    }
    memcpy(dir, d->path, n);
    dir[n] = '\0';
    return gy_dir_make(dir, err);
}

/* A log that ends in the middle of a line gets its newline. */
static gy_status close_torn_line(struct gy_dlq *d, struct gy_err *err)
{
    int fd = open(d->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "opening '%s'", d->path);
    }
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    bool torn = size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
    (void)close(fd);
    return torn ? gy_file_append(d->path, GY_STR("\n"), 0666, err) : GY_OK;
}

gy_status gy_dlq_flush(struct gy_dlq *d, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&d->pending, "the dead letters", err));
    if (d->pending.n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_file_append(d->path, gy_buf_str(&d->pending), 0666, err));
    gy_buf_reset(&d->pending);
    return GY_OK;
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
    off_t at = 0;
    for (int64_t left = item->length; left > 0;) {
        size_t want = left < (int64_t)COPY_BYTES ? (size_t)left : COPY_BYTES;
        size_t got = 0;
        while (got < want) {
            ssize_t n = pread(fd, piece + got, want - got, at + (off_t)got);
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n <= 0) {
                return gy_err_sys(err, n < 0 ? errno : EIO, "reading a refused record again");
            }
            got += (size_t)n;
        }
        add_base64(&d->pending, gy_str_n(piece, got));
        at += (off_t)got;
        left -= (int64_t)got;
        if (d->pending.n >= GY_DLQ_FLUSH_BYTES) {
            GY_TRY(gy_dlq_flush(d, err));
        }
    }
    return GY_OK;
}

static void add_head(struct gy_jw *w, struct gy_str file, const struct gy_csv_item *item,
                     const struct gy_reasons *reasons)
{
    char time[32];
    size_t n = gy_time_iso(gy_now_us(), time);
    gy_jw_obj(w);
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
    if (d->letters == 0) {
        GY_TRY(make_folder(d, err));
        GY_TRY(close_torn_line(d, err));
    }
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
    return d->pending.n >= GY_DLQ_FLUSH_BYTES ? gy_dlq_flush(d, err) : GY_OK;
}

static bool give_line(struct gy_str line, int64_t number, gy_dlq_fn fn, void *ctx)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *letter = NULL;
    if (gy_json_parse(line, &doc, NULL) == GY_OK && yyjson_is_obj(yyjson_doc_get_root(doc))) {
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
    for (bool more = true; more;) {
        char *room = gy_buf_reserve(&buf, GY_DLQ_FLUSH_BYTES);
        ssize_t got = room ? read(fd, room, GY_DLQ_FLUSH_BYTES) : -1;
        if (!room) {
            status = gy_buf_check(&buf, "a dead letter", err);
            break;
        }
        if (got < 0) {
            status = gy_err_sys(err, errno, "reading '%s'", path);
            break;
        }
        gy_buf_commit(&buf, (size_t)got);
        more = got > 0;
        struct gy_str rest = gy_buf_str(&buf);
        for (size_t nl; (nl = gy_str_find(rest, '\n')) != SIZE_MAX || (!more && rest.n > 0);) {
            size_t n = nl == SIZE_MAX ? rest.n : nl;
            if (n > 0 && !give_line(gy_str_n(rest.p, n), number++, fn, ctx)) {
                more = false;
                break;
            }
            rest = gy_str_sub(rest, n + 1, SIZE_MAX);
        }
        gy_buf_drop_front(&buf, buf.n - rest.n);
    }
    (void)close(fd);
    return status;
}
