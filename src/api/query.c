/* SPDX-License-Identifier: Apache-2.0 */
/* POST /query {"sql","limit","params":{},"timeout_s"} -> rows: SQL over the datasets of the
 * workspace, in a child process (api/query.h). */
#include "api/query.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/body.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "data/dataset.h"
#include "data/duck_sql.h"
#include "data/parquet_cache.h"

#define BASE "/api/gyre/v1"
#define LOOK_MS 200
#define GRACE_S 2 /* to start and to end, besides the query's own time */
#define MAX_MESSAGE (GY_QUERY_MAX_ANSWER + GY_MIB)
#define MAX_REQUEST (64 * GY_MIB) /* SQL, parameters and the schemas of its datasets */

struct gy_query_runner {
    char program[GY_MAX_PATH];
    atomic_int running;
    atomic_bool stopping;
};

gy_status gy_query_runner_new(const char *program, struct gy_query_runner **ret, struct gy_err *err)
{
    struct gy_query_runner *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    (void)snprintf(r->program, sizeof r->program, "%s", program);
    *ret = r;
    return GY_OK;
}

void gy_query_runner_stop(struct gy_query_runner *r)
{
    if (r) {
        atomic_store(&r->stopping, true);
    }
}

void gy_query_runner_free(struct gy_query_runner *r)
{
    gy_free(r);
}

/* ---- what the SQL names ---- */

struct query {
    struct gy_app *app;
    struct gy_request *req;
    struct gy_str sql;
    yyjson_val *params;
    int64_t limit, seconds;
    struct gy_jw w; /* of the request */
    struct gy_str refs[GY_QUERY_MAX_TABLES];
    size_t n_refs;
};

struct looking {
    struct query *q;
    struct gy_str ref;
    struct gy_dataset_version v;
};

static gy_status resolve(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct looking *l = ctx;
    return gy_dataset_resolve(db, l->ref, l->q->req->arena, &l->v, err);
}

/* The path of the object's local file. */
static gy_status object_path(struct query *q, struct gy_str sha256, char ret[GY_MAX_PATH],
                             struct gy_err *err)
{
    char name[GY_SHA256_HEX], link[64];
    int fd = -1;
    int64_t size = 0;
    (void)snprintf(name, sizeof name, "%.64s", sha256.p);
    GY_TRY(gy_objects_open_fd(q->app->objects, name, &fd, &size, err));
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, ret, GY_MAX_PATH - 1);
    const int failed = errno;
    (void)close(fd);
    if (n <= 0) {
        return gy_err_sys(err, failed, "finding the bytes of a dataset");
    }
    ret[n] = '\0';
    return GY_OK;
}

static gy_status write_dataset(struct query *q, struct gy_str ref,
                               const struct gy_dataset_version *v, struct gy_err *err)
{
    char path[GY_MAX_PATH], dir[GY_MAX_PATH], parquet[GY_MAX_PATH];
    GY_TRY(object_path(q, v->sha256, path, err));
    GY_TRY(gy_home_path(&q->app->home, "cache/parquet", dir, err));
    const struct gy_parquet_cache_key key = {dir, v->sha256, v->schema_json};
    struct gy_jw *w = &q->w;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "ref", ref);
    gy_jw_kv_strc(w, "path", path);
    gy_jw_kv_strc(w, "parquet", gy_parquet_cache_find(&key, parquet) ? parquet : NULL);
    gy_jw_key(w, "schema");
    if (v->schema_json.p) {
        gy_jw_raw(w, v->schema_json);
    } else {
        gy_jw_null(w);
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

/* A name that may be a dataset's: what is none is left to the SQL itself. */
static gy_status on_name(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct query *q = ctx;
    struct gy_err why = GY_ERR_INIT;
    for (size_t i = 0; i < q->n_refs; i++) {
        if (gy_str_eq(q->refs[i], name)) {
            return GY_OK;
        }
    }
    if (q->n_refs == GY_QUERY_MAX_TABLES) {
        return gy_err_set(err, GY_E_TOOBIG, "the SQL names more than %d tables",
                          GY_QUERY_MAX_TABLES);
    }
    struct looking l = {.q = q, .ref = gy_arena_str(q->req->arena, name)};
    if (!l.ref.p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    q->refs[q->n_refs++] = l.ref;
    gy_status status = gy_store_read(q->app->store, resolve, &l, &why);
    if (status == GY_OK) {
        return write_dataset(q, l.ref, &l.v, err);
    }
    if (status == GY_E_NOTFOUND || status == GY_E_INVALID) {
        return GY_OK;
    }
    if (err) {
        *err = why;
    }
    return status;
}

static gy_status write_datasets(struct query *q, struct gy_err *err)
{
    struct gy_str rest = q->sql, statement;
    gy_jw_key(&q->w, "datasets");
    gy_jw_arr(&q->w);
    while (gy_duck_statement_next(&rest, &statement)) {
        GY_TRY(gy_duck_tables(statement, on_name, q, err));
        GY_TRY(gy_duck_arguments(statement, "dataset", on_name, q, err));
    }
    gy_jw_arr_end(&q->w);
    return GY_OK;
}

static gy_status write_request(struct query *q, struct gy_buf *out, struct gy_err *err)
{
    gy_jw_init(&q->w, out);
    gy_jw_obj(&q->w);
    gy_jw_kv_str(&q->w, "sql", q->sql);
    gy_jw_kv_i64(&q->w, "limit", q->limit);
    gy_jw_kv_i64(&q->w, "max_bytes", (int64_t)GY_QUERY_MAX_ANSWER);
    gy_jw_kv_i64(&q->w, "memory_bytes", GY_QUERY_MEMORY);
    gy_jw_kv_i64(&q->w, "threads", GY_QUERY_THREADS);
    gy_jw_kv_i64(&q->w, "cpu_s", q->seconds * GY_QUERY_THREADS);
    if (q->params) {
        gy_jw_key(&q->w, "params");
        gy_jw_val(&q->w, q->params);
    }
    GY_TRY(write_datasets(q, err));
    gy_jw_obj_end(&q->w);
    return gy_buf_check(out, "the query", err);
}

/* ---- the child ---- */

/* A file without a name, at its start: what the child reads. */
static gy_status as_file(struct gy_str bytes, int *ret_fd, struct gy_err *err)
{
    int fd = memfd_create("query", MFD_CLOEXEC);
    gy_status status = fd < 0 ? gy_err_sys(err, errno, "handing over the query")
                              : gy_fd_write(fd, "the query", bytes, err);
    if (status == GY_OK && lseek(fd, 0, SEEK_SET) != 0) {
        status = gy_err_sys(err, errno, "handing over the query");
    }
    if (status != GY_OK && fd >= 0) {
        (void)close(fd);
        fd = -1;
    }
    *ret_fd = fd;
    return status;
}

/* What the child says, until it closes its output or its time is over. */
static gy_status listen_to(struct gy_query_runner *r, int fd, int64_t end_ns, struct gy_buf *out,
                           struct gy_err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const int n = poll(&p, 1, LOOK_MS);
        if (atomic_load(&r->stopping)) {
            return gy_err_set(err, GY_E_UNAVAILABLE, "the server is stopping");
        }
        if (gy_mono_ns() > end_ns) {
            return gy_err_set(err, GY_E_TIMEOUT, "the query took too long and was ended");
        }
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "waiting for the query");
        }
        if (n <= 0) {
            continue;
        }
        char *to = gy_buf_reserve(out, 64 * GY_KIB);
        if (!to) {
            return gy_buf_check(out, "the answer", err);
        }
        const ssize_t got = read(fd, to, 64 * GY_KIB);
        if (got < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "waiting for the query");
        }
        if (got == 0) {
            return GY_OK;
        }
        gy_buf_commit(out, got > 0 ? (size_t)got : 0);
    }
}

static gy_status run(struct gy_query_runner *r, int in, int64_t seconds, struct gy_buf *out,
                     int *ret_code, struct gy_err *err)
{
    int ends[2];
    struct gy_proc child = {0};
    const char *argv[] = {r->program, "__query", NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gy_err_sys(err, errno, "making a pipe");
    }
    const struct gy_proc_options o = {
        .argv = argv, .cwd = "/", .stdin_fd = in, .stdout_fd = ends[1], .stderr_fd = -1};
    gy_status status = gy_proc_start(&o, &child, err);
    (void)close(ends[1]); /* the child has its own */
    if (status == GY_OK) {
        const int64_t end = gy_mono_ns() + (seconds + GRACE_S) * INT64_C(1000000000);
        status = listen_to(r, ends[0], end, out, err);
        gy_proc_kill(&child, SIGKILL); /* it has said all, or too late */
        gy_status waited = gy_proc_wait(&child, ret_code, status == GY_OK ? err : NULL);
        status = status == GY_OK ? waited : status;
    }
    (void)close(ends[0]);
    return status;
}

/* What the child said, as the answer; or why there is none. */
static gy_status judge(const struct query *q, const struct gy_buf *out, int code,
                       struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    static const struct gy_str head = {"{\"error\":", 9};
    if (out->n == 0) { /* ended in the middle of it */
        return code == 128 + SIGXCPU || code == 128 + SIGKILL
                   ? gy_err_set(err, GY_E_TIMEOUT, "the query used more than %lld s of CPU",
                                (long long)(q->seconds * GY_QUERY_THREADS))
                   : gy_err_set(err, GY_E_FAILED, "the process of the query ended with %d", code);
    }
    if (!gy_str_starts(gy_buf_str(out), head)) {
        return out->p[out->n - 1] == '\n'
                   ? GY_OK
                   : gy_err_set(err, GY_E_FAILED, "the process of the query ended with %d", code);
    }
    GY_TRY(gy_json_parse(gy_buf_str(out), &doc, err));
    yyjson_val *error = gy_json_get(yyjson_doc_get_root(doc), "error");
    struct gy_str name = gy_json_str(error, "code"), hint = gy_json_str(error, "hint");
    char text[64];
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(name));
    const gy_status status = gy_status_from_name(text);
    (void)gy_err_set(err, status == GY_OK ? GY_E_FAILED : status, "%" GY_STR_F,
                     GY_STR_A(gy_json_str(error, "message")));
    return hint.n > 0 ? gy_err_hint(err, "%" GY_STR_F, GY_STR_A(hint))
                      : (status == GY_OK ? GY_E_FAILED : status);
}

static gy_status answer(struct gy_query_runner *r, struct query *q, struct gy_buf *out,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf request;
    int in = -1, code = 0;
    gy_buf_init(&request, MAX_REQUEST);
    GY_TRY(write_request(q, &request, err));
    GY_TRY(as_file(gy_buf_str(&request), &in, err));
    gy_status status = run(r, in, q->seconds, out, &code, err);
    (void)close(in);
    return status == GY_OK ? judge(q, out, code, err) : status;
}

/* ---- the route ---- */

static gy_status read_body(struct query *q, yyjson_val *body, struct gy_err *err)
{
    GY_TRY(gy_api_text(body, "sql", GY_QUERY_MAX_SQL, &q->sql, err));
    q->params = gy_json_get(body, "params");
    q->limit = gy_json_i64(body, "limit", GY_QUERY_STANDARD_ROWS);
    q->seconds = gy_json_i64(body, "timeout_s", GY_QUERY_STANDARD_SECONDS);
    if (q->sql.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "missing 'sql'");
    }
    if (q->params && !yyjson_is_obj(q->params)) {
        return gy_err_set(err, GY_E_INVALID, "'params' is an object: a value for each name");
    }
    if (q->limit < 0 || q->limit > GY_QUERY_MAX_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "'limit' is 0 to %d", GY_QUERY_MAX_ROWS);
    }
    if (q->seconds < 1 || q->seconds > GY_QUERY_MAX_SECONDS) {
        return gy_err_set(err, GY_E_INVALID, "'timeout_s' is 1 to %d", GY_QUERY_MAX_SECONDS);
    }
    return GY_OK;
}

static gy_status post_query(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_query_runner *r = app->queries;
    struct query q = {.app = app, .req = req};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_MESSAGE);
    GY_TRY(gy_api_object(req, GY_MIB, &doc, err));
    GY_TRY(read_body(&q, yyjson_doc_get_root(doc), err));
    if (!r) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED, "SQL over HTTP needs a running server");
        return gy_err_hint(err, "gyre data query runs here");
    }
    if (atomic_fetch_add(&r->running, 1) >= GY_QUERY_MAX_RUNNING) {
        (void)atomic_fetch_sub(&r->running, 1);
        return gy_err_set(err, GY_E_BUSY, "%d queries are running: try again later",
                          GY_QUERY_MAX_RUNNING);
    }
    gy_status status = answer(r, &q, &out, err);
    (void)atomic_fetch_sub(&r->running, 1);
    GY_TRY(status);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/query", post_query, NULL, GY_MIB,
     "SQL over the datasets of the workspace; the answer is bounded", GY_ACCESS_VIEWER,
     GY_ROUTE_SCOPED},
};

gy_status gy_api_query_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
