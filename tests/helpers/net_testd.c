/* SPDX-License-Identifier: Apache-2.0 */
/* A server with nothing but the net room behind it, for tests/http/test_protocol.py: routes that
 * echo, swallow, pour out, wait and break, on the slow and on the fast path.
 *
 *     net_testd [OPTION=VALUE...]      prints http://127.0.0.1:PORT, ends with 0 on SIGTERM
 *
 * Options: loops workers queue connections header_ms idle_ms body_rate body_window_ms drain_ms
 * drain_delay_ms grace_ms large_fast max_header unix log. Ends with 3 when a handler did not come
 * back. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/server.h"

static struct gy_server *g_server;
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_changed = PTHREAD_COND_INITIALIZER;
static int g_waiting, g_gate_open, g_broken_off;

static gy_status text(struct gy_reply *reply, int status, const char *s, struct gy_err *err)
{
    return gy_reply_send(reply, status, "text/plain", gy_str_c(s), err);
}

static gy_status health(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return text(reply, 200, "ok", err);
}

static gy_status ready(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    (void)ctx;
    (void)req;
    bool draining = gy_server_draining(g_server);
    return text(reply, draining ? 503 : 200, draining ? "draining" : "ready", err);
}

/* As it comes in, so it goes out: of known size when the request told it. */
static gy_status echo(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    (void)ctx;
    char piece[8192];
    size_t n = 0;
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, req->body ? req->body->size_bytes : 0, err));
    do {
        if (req->body) {
            GY_TRY(req->body->read(req->body, piece, sizeof piece, &n, err));
            GY_TRY(gy_reply_write(reply, gy_str_n(piece, n), err));
        }
    } while (n);
    return gy_reply_end(reply, err);
}

static gy_status answer_count(struct gy_reply *reply, uint64_t bytes, uint64_t sum,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    gy_buf_addf(&b, "{\"bytes\":%llu,\"sum\":%llu}", (unsigned long long)bytes,
                (unsigned long long)sum);
    return gy_reply_json(reply, 200, &b, err);
}

static gy_status upload(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    (void)ctx;
    char piece[64 * 1024];
    uint64_t bytes = 0, sum = 0;
    for (size_t n = 1; n && req->body;) {
        gy_status status = req->body->read(req->body, piece, sizeof piece, &n, err);
        if (status != GY_OK) {
            (void)pthread_mutex_lock(&g_lock);
            g_broken_off++;
            (void)pthread_mutex_unlock(&g_lock);
            return status;
        }
        bytes += n;
        for (size_t i = 0; i < n; i++) {
            sum += (unsigned char)piece[i];
        }
    }
    return answer_count(reply, bytes, sum, err);
}

static gy_status json(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&b, GY_MAX_JSON_BODY);
    GY_TRY(gy_req_read_body(req, &b, err));
    GY_TRY(gy_json_parse(gy_buf_str(&b), &doc, err));
    return answer_count(reply, b.n, 0, err);
}

/* ?bytes=N[&chunked=1]: the digits 0..9 over and over. */
static gy_status download(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)ctx;
    char piece[10000];
    int64_t left = 0;
    GY_TRY(gy_parse_i64(gy_req_query(req, "bytes"), 0, INT64_C(1) << 40, &left, err));
    for (size_t i = 0; i < sizeof piece; i++) {
        piece[i] = (char)('0' + i % 10);
    }
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, gy_req_query(req, "chunked").p ? -1 : left, err));
    while (left > 0) {
        size_t n = left < (int64_t)sizeof piece ? (size_t)left : sizeof piece;
        gy_status status = gy_reply_write(reply, gy_str_n(piece, n), err);
        if (status != GY_OK) {
            (void)pthread_mutex_lock(&g_lock);
            g_broken_off++;
            (void)pthread_mutex_unlock(&g_lock);
            return status;
        }
        left -= (int64_t)n;
    }
    return gy_reply_end(reply, err);
}

/* Says first that it waits, so that a test needs no sleep. */
static gy_status gate_wait(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    (void)ctx;
    (void)req;
    (void)pthread_mutex_lock(&g_lock);
    g_waiting++;
    (void)pthread_cond_broadcast(&g_changed);
    while (!g_gate_open) {
        (void)pthread_cond_wait(&g_changed, &g_lock);
    }
    g_waiting--;
    (void)pthread_mutex_unlock(&g_lock);
    return text(reply, 200, "through", err);
}

static gy_status whoami(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, GY_KIB * 8);
    gy_jw_init(&w, &b);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "actor", req->actor);
    gy_jw_kv_str(&w, "request_id", req->request_id);
    gy_jw_kv_strc(&w, "peer", req->peer == GY_PEER_UNIX ? "unix" : "tcp");
    gy_jw_kv_str(&w, "path", req->path);
    gy_jw_kv_str(&w, "query", req->query);
    gy_jw_kv_i64(&w, "headers", (int64_t)req->n_headers);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &b, err);
}

static gy_status breaks(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    (void)ctx;
    bool is_short = gy_req_query(req, "short").p != NULL;
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, is_short ? 100 : -1, err));
    GY_TRY(gy_reply_write(reply, GY_STR("half of it"), err));
    return is_short ? gy_reply_end(reply, err) : gy_err_set(err, GY_E_IO, "the disk broke");
}

static gy_status injects(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    (void)ctx;
    struct gy_header h[2] = {{GY_STR("X-From-Outside"), gy_req_query(req, "v")},
                             {GY_STR("Content-Length"), GY_STR("3")}};
    GY_TRY(gy_reply_begin(reply, 200, h, 2, 2, err));
    GY_TRY(gy_reply_write(reply, GY_STR("ok"), err));
    return gy_reply_end(reply, err);
}

static void write_stats(struct gy_buf *out)
{
    struct gy_server_stats s;
    struct gy_jw w;
    gy_server_get_stats(g_server, &s);
    (void)pthread_mutex_lock(&g_lock);
    int waiting = g_waiting, broken_off = g_broken_off;
    (void)pthread_mutex_unlock(&g_lock);
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "waiting", waiting);
    gy_jw_kv_i64(&w, "broken_off", broken_off);
    gy_jw_kv_i64(&w, "accepted", (int64_t)s.accepted);
    gy_jw_kv_i64(&w, "closed", (int64_t)s.closed);
    gy_jw_kv_i64(&w, "refused", (int64_t)s.refused);
    gy_jw_kv_i64(&w, "requests", (int64_t)s.requests);
    gy_jw_kv_i64(&w, "parse_errors", (int64_t)s.parse_errors);
    gy_jw_kv_i64(&w, "timeouts", (int64_t)s.timeouts);
    gy_jw_kv_i64(&w, "bytes_in", (int64_t)s.bytes_in);
    gy_jw_kv_i64(&w, "bytes_out", (int64_t)s.bytes_out);
    gy_jw_kv_i64(&w, "open", s.open_connections);
    gy_jw_kv_i64(&w, "in_flight", s.in_flight);
    gy_jw_kv_i64(&w, "queued", s.queued);
    gy_jw_kv_i64(&w, "ok", (int64_t)s.by_class[2]);
    gy_jw_obj_end(&w);
}

static gy_status stats(void *ctx, struct gy_request *req, struct gy_reply *reply,
                       struct gy_err *err)
{
    (void)ctx;
    (void)req;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB * 8);
    write_stats(&b);
    return gy_reply_json(reply, 200, &b, err);
}

static gy_status own_style(struct gy_request *req, struct gy_reply *reply,
                           const struct gy_err *failed, struct gy_err *err)
{
    (void)req;
    return gy_reply_send(reply, gy_status_http(failed->code), "application/json",
                         GY_STR("{\"error\":\"in its own style\"}"), err);
}

static const struct gy_route routes[] = {
    {"GET", "/health", health, NULL, 0, NULL},
    {"GET", "/ready", ready, NULL, 0, NULL},
    {"POST", "/echo", echo, NULL, SIZE_MAX, NULL},
    {"PUT", "/upload", upload, NULL, SIZE_MAX, NULL},
    {"POST", "/small", upload, NULL, 1000000, NULL},
    {"POST", "/styled", upload, own_style, 1000, NULL},
    {"POST", "/json", json, NULL, 0, NULL},
    {"GET", "/download", download, NULL, 0, NULL},
    {"GET", "/wait", gate_wait, NULL, 0, NULL},
    {"GET", "/whoami", whoami, NULL, 0, NULL},
    {"GET", "/breaks", breaks, NULL, 0, NULL},
    {"GET", "/injects", injects, NULL, 0, NULL},
    {"GET", "/stats", stats, NULL, 0, NULL},
    {"POST", "/fast/{kind}", echo, NULL, GY_MIB, NULL},
};

/* ---- the fast path: /fast/echo here, /fast/defer on the pool, /fast/pass by the route ---- */

static bool claims(void *self, int loop, bool inference_port, struct gy_str method,
                   struct gy_str path)
{
    (void)inference_port;
    (void)self;
    (void)loop;
    return gy_str_eqc(method, "POST") && gy_str_starts(path, GY_STR("/fast/"));
}

static void fast_echo(void *self, int loop, const struct gy_request *req, struct gy_str body,
                      struct gy_fast_reply *out)
{
    (void)self;
    (void)loop;
    out->status = 200;
    out->content_type = "application/octet-stream";
    gy_buf_add(out->body, body);
    (void)snprintf(out->extra_headers, sizeof out->extra_headers, "X-Path: %.*s\r\nX-Two: 2\r\n",
                   (int)(req->path.n > 100 ? 100 : req->path.n), req->path.p);
}

static enum gy_fast_result run(void *self, int loop, const struct gy_request *req,
                               struct gy_str body, struct gy_fast_reply *out)
{
    if (gy_str_eqc(req->path, "/fast/pass")) {
        return GY_FAST_PASS;
    }
    if (gy_str_eqc(req->path, "/fast/defer")) {
        return GY_FAST_DEFER;
    }
    if (gy_str_eqc(req->path, "/fast/stats")) { /* answers when no worker can */
        out->status = 200;
        out->content_type = "application/json";
        write_stats(out->body);
        return GY_FAST_DONE;
    }
    fast_echo(self, loop, req, body, out);
    return GY_FAST_DONE;
}

static const struct gy_fast_ops fast = {
    .version = 1, .max_body = 256 * 1024, .claims = claims, .run = run, .deferred = fast_echo};

/* ---- main ---- */

static bool set_option(struct gy_server_options *o, char *arg)
{
    char *value = strchr(arg, '=');
    int64_t n = 0;
    if (!value) {
        return false;
    }
    *value++ = '\0';
    if (strcmp(arg, "unix") == 0) {
        o->unix_path = value;
        return true;
    }
    struct {
        const char *name;
        int *slot;
    } ints[] = {{"port", &o->port},
                {"loops", &o->n_loops},
                {"workers", &o->n_workers},
                {"connections", &o->max_connections},
                {"header_ms", &o->header_timeout_ms},
                {"idle_ms", &o->idle_timeout_ms},
                {"body_rate", &o->body_min_bytes_s},
                {"body_window_ms", &o->body_window_ms},
                {"drain_ms", &o->drain_timeout_ms},
                {"drain_delay_ms", &o->drain_delay_ms},
                {"large_fast", &o->max_large_fast},
                {"grace_ms", &o->handler_grace_ms}};
    if (gy_parse_i64(gy_str_c(value), 0, 1 << 30, &n, NULL) != GY_OK) {
        return false;
    }
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        if (strcmp(arg, ints[i].name) == 0) {
            *ints[i].slot = (int)n;
            return true;
        }
    }
    if (strcmp(arg, "queue") == 0) {
        o->max_queue = (size_t)n;
    } else if (strcmp(arg, "max_header") == 0) {
        o->max_header_bytes = (size_t)n;
    } else if (strcmp(arg, "log") == 0) {
        o->access_log = n != 0;
    } else {
        return false;
    }
    return true;
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) {
        n++;
    }
    return d && closedir(d) == 0 ? n : -1;
}

static void open_gate(void)
{
    (void)pthread_mutex_lock(&g_lock);
    g_gate_open = 1;
    (void)pthread_cond_broadcast(&g_changed);
    (void)pthread_mutex_unlock(&g_lock);
}

/* SIGUSR1 opens the gate; SIGTERM drains and opens it a moment after draining has begun. */
static void *drain(void *arg)
{
    (void)arg;
    if (!gy_server_stop(g_server)) {
        _exit(3);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct gy_server_options o = {.fast = &fast};
    struct gy_router *router = NULL;
    struct gy_err err = GY_ERR_INIT;
    sigset_t wanted;
    int which = 0;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &wanted, NULL);
    for (int i = 1; i < argc; i++) {
        if (!set_option(&o, argv[i])) {
            (void)fprintf(stderr, "net_testd: what is %s?\n", argv[i]);
            return 2;
        }
    }
    if (gy_router_new(&router, &err) != GY_OK ||
        gy_router_add(router, routes, sizeof routes / sizeof routes[0], NULL, &err) != GY_OK) {
        (void)fprintf(stderr, "net_testd: %s\n", err.msg);
        return 1;
    }
    o.router = router;
    /* The first loop of a process opens what libuv never closes. */
    struct gy_server_options first = {.n_loops = 1, .n_workers = 1, .router = router};
    if (gy_server_start(&first, &g_server, &err) != GY_OK) {
        (void)fprintf(stderr, "net_testd: %s\n", err.msg);
        return 1;
    }
    gy_server_free(g_server);
    int descriptors = open_descriptors();
    if (gy_server_start(&o, &g_server, &err) != GY_OK) {
        (void)fprintf(stderr, "net_testd: %s\n", err.msg);
        return 1;
    }
    (void)printf("http://127.0.0.1:%d\n", gy_server_port(g_server));
    (void)fflush(stdout);
    while (sigwait(&wanted, &which) == 0 && which != SIGTERM) {
        open_gate();
    }
    pthread_t drainer;
    if (pthread_create(&drainer, NULL, drain, NULL) != 0) {
        return 1;
    }
    /* While it drains, SIGUSR1 still opens the gate: what was accepted then ends. */
    (void)sigdelset(&wanted, SIGTERM);
    struct timespec poll_s = {0, 20 * 1000 * 1000};
    while (pthread_tryjoin_np(drainer, NULL) != 0) {
        if (sigtimedwait(&wanted, NULL, &poll_s) == SIGUSR1) {
            open_gate();
        }
    }
    gy_server_free(g_server);
    gy_router_free(router);
    int64_t left = gy_mem_live();
    if (left) {
        (void)fprintf(stderr, "net_testd: %lld blocks of memory left\n", (long long)left);
        return 3;
    }
    if (open_descriptors() != descriptors) {
        (void)fprintf(stderr, "net_testd: %d descriptors at first, %d left\n", descriptors,
                      open_descriptors());
        return 4;
    }
    return 0;
}
