/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions and dead letters as lines of JSON: into a file, to standard output, to a URL. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "flow/stream_internal.h"
#include "net/http_client.h"

#define MAX_LINES (256 * GY_MIB) /* of a batch */

static void dead_line(struct gy_jw *w, const struct stream_out *o)
{
    char time[32];
    GY_AUTO(gy_free) char *text = NULL;
    (void)gy_time_iso(gy_now_us(), time);
    gy_jw_kv_strc(w, "time", time);
    gy_jw_kv_str(w, "code", o->code);
    gy_jw_kv_str(w, "error", o->reason);
    if (!o->value.p || gy_str_is_utf8(o->value)) {
        gy_jw_kv_str(w, "data", o->value);
        return;
    }
    text = gy_malloc(gy_base64_size(o->value.n) + 1);
    if (!text) {
        w->out->failed = GY_E_NOMEM;
        return;
    }
    gy_base64(o->value.p, o->value.n, text);
    gy_jw_kv_strc(w, "data_b64", text);
}

/* {"source","key", and what the answer has}; a line of its own. */
void gy_stream_line(struct gy_buf *out, const struct stream_out *o)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "source", o->message->id);
    gy_jw_kv_str(&w, "key", o->message->key);
    if (o->kind == STREAM_DEAD) {
        dead_line(&w, o);
        gy_jw_obj_end(&w);
    } else {
        gy_buf_add_char(out, ',');
        gy_buf_add(out, gy_str_sub(o->value, 1, o->value.n)); /* behind its '{' */
    }
    gy_buf_add_char(out, '\n');
}

/* ---- files ---- */

struct file_sink {
    struct stream_sink base;
    struct gy_buf lines;
    const char *name;
    int fd;
    bool sync;
};

static void file_begin(struct stream_sink *s)
{
    gy_buf_reset(&((struct file_sink *)(void *)s)->lines);
}

static gy_status file_put(struct stream_sink *s, const struct stream_out *o, struct gy_err *err)
{
    struct file_sink *f = (struct file_sink *)(void *)s;
    gy_stream_line(&f->lines, o);
    return gy_buf_check(&f->lines, "the lines of a batch", err);
}

/* A line that a killed writer left half is ended, so that it spoils no other one. */
static gy_status close_torn_line(int fd, const char *path, struct gy_err *err)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last = '\n';
    if (end > 0) {
        GY_TRY(gy_fd_read_at(fd, path, &last, 1, end - 1, err));
    }
    return last == '\n' ? GY_OK : gy_fd_write(fd, path, GY_STR("\n"), err);
}

static gy_status file_flush(struct stream_sink *s, struct gy_err *err)
{
    struct file_sink *f = (struct file_sink *)(void *)s;
    if (f->lines.n == 0) {
        return GY_OK;
    }
    if (f->sync) {
        GY_TRY(close_torn_line(f->fd, f->name, err)); /* of a write that failed */
    }
    GY_TRY(gy_fd_write(f->fd, f->name, gy_buf_str(&f->lines), err));
    gy_buf_reset(&f->lines);
    if (f->sync && fdatasync(f->fd) != 0) {
        return gy_err_sys(err, errno, "syncing '%s'", f->name);
    }
    return GY_OK;
}

static void file_free(struct stream_sink *s)
{
    struct file_sink *f = (struct file_sink *)(void *)s;
    gy_buf_done(&f->lines);
    if (f->sync && f->fd >= 0) {
        (void)close(f->fd);
    }
    gy_free(f);
}

static const struct stream_sink_ops file_ops = {file_begin, file_put, file_flush, file_free};

gy_status gy_stream_to_file(const char *path, struct stream_sink **ret, struct gy_err *err)
{
    struct file_sink *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a destination");
    }
    f->base.ops = &file_ops;
    f->name = path ? path : "standard output";
    f->sync = path != NULL;
    f->fd = STDOUT_FILENO;
    gy_buf_init(&f->lines, MAX_LINES);
    gy_status status = GY_OK;
    if (path) {
        status = gy_dir_make_for(path, err);
        f->fd = -1;
    }
    if (path && status == GY_OK) {
        f->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        status =
            f->fd < 0 ? gy_err_sys(err, errno, "'%s'", path) : close_torn_line(f->fd, path, err);
    }
    if (status != GY_OK) {
        file_free(&f->base);
        return status;
    }
    *ret = &f->base;
    return GY_OK;
}

/* ---- URLs ---- */

struct url_sink {
    struct stream_sink base;
    struct gy_buf lines;
    struct gy_caller *caller;
    struct gy_collect answer;
    char *server, *path;
};

static void url_begin(struct stream_sink *s)
{
    gy_buf_reset(&((struct url_sink *)(void *)s)->lines);
}

static gy_status url_put(struct stream_sink *s, const struct stream_out *o, struct gy_err *err)
{
    struct url_sink *u = (struct url_sink *)(void *)s;
    gy_stream_line(&u->lines, o);
    return gy_buf_check(&u->lines, "the lines of a batch", err);
}

static gy_status url_flush(struct stream_sink *s, struct gy_err *err)
{
    struct url_sink *u = (struct url_sink *)(void *)s;
    struct gy_mem_reader body;
    if (u->lines.n == 0) {
        return GY_OK;
    }
    struct gy_reader *reader = gy_mem_reader_init(&body, gy_buf_str(&u->lines));
    GY_TRY(
        gy_call_body(u->caller, "POST", u->path, "application/x-ndjson", reader, &u->answer, err));
    gy_buf_reset(&u->lines);
    return GY_OK;
}

static void url_free(struct stream_sink *s)
{
    struct url_sink *u = (struct url_sink *)(void *)s;
    gy_caller_free(u->caller);
    gy_buf_done(&u->lines);
    gy_collect_done(&u->answer);
    gy_free(u->server);
    gy_free(u->path);
    gy_free(u);
}

static const struct stream_sink_ops url_ops = {url_begin, url_put, url_flush, url_free};

static gy_status open_url(struct url_sink *u, const char *url, struct gy_err *err)
{
    struct gy_str all = gy_str_c(url);
    size_t host = gy_str_find_str(all, GY_STR("://")) + 3;
    size_t slash = gy_str_find(gy_str_sub(all, host, all.n), '/');
    size_t at = slash == SIZE_MAX ? all.n : host + slash;
    u->server = gy_strndup(all.p, at);
    u->path = gy_strdup(at < all.n ? url + at : "/");
    if (!u->server || !u->path) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a destination");
    }
    return gy_http_client_new(u->server, &u->caller, err);
}

gy_status gy_stream_to_url(const char *url, struct stream_sink **ret, struct gy_err *err)
{
    struct url_sink *u = gy_calloc(1, sizeof *u);
    if (!u) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a destination");
    }
    u->base.ops = &url_ops;
    gy_buf_init(&u->lines, MAX_LINES);
    gy_collect_init(&u->answer, GY_MIB);
    gy_status status = open_url(u, url, err);
    if (status != GY_OK) {
        url_free(&u->base);
        return status;
    }
    *ret = &u->base;
    return GY_OK;
}
