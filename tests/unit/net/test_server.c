/* SPDX-License-Identifier: Apache-2.0 */
/* The server as its C callers see it, asked through the HTTP client. What goes over the wire is
 * proven by tests/http/test_protocol.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/http_client.h"
#include "net/server.h"

static _Atomic int g_starts, g_stops, g_seen[64];

static gy_status echo(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    gy_buf_addc(&b, ctx);
    GY_TRY(gy_req_read_body(req, &b, err));
    struct gy_header h = {GY_STR("X-Method"), req->method};
    GY_TRY(gy_reply_begin(reply, 200, &h, 1, (int64_t)b.n, err));
    GY_TRY(gy_reply_write(reply, gy_buf_str(&b), err));
    return gy_reply_end(reply, err);
}

static gy_status who(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    (void)ctx;
    return gy_reply_send(reply, 200, "text/plain", req->actor, err);
}

static gy_status conflict(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)ctx;
    (void)req;
    (void)reply;
    (void)gy_err_set(err, GY_E_CONFLICT, "it runs");
    return gy_err_hint(err, "stop it first");
}

/* Pours out until the client goes. */
static gy_status pour(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    (void)ctx;
    (void)req;
    static const char piece[4096];
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, -1, err));
    for (;;) {
        GY_TRY(gy_reply_write(reply, gy_str_n(piece, sizeof piece), err));
    }
}

static const struct gy_route routes[] = {
    {"POST", "/echo", echo, NULL, 0, NULL},        {"PUT", "/echo", echo, NULL, 0, NULL},
    {"GET", "/echo", echo, NULL, 0, NULL},         {"GET", "/who", who, NULL, 0, NULL},
    {"GET", "/conflict", conflict, NULL, 0, NULL}, {"GET", "/pour", pour, NULL, 0, NULL},
};

static bool claims(void *self, int loop, bool inference_port, struct gy_str method,
                   struct gy_str path)
{
    (void)inference_port;
    (void)self;
    (void)loop;
    (void)method;
    return gy_str_eqc(path, "/fast");
}

static enum gy_fast_result run(void *self, int loop, const struct gy_request *req,
                               struct gy_str body, struct gy_fast_reply *out)
{
    (void)self;
    g_seen[loop]++;
    out->status = req->arena && gy_str_eqc(body, "bad") ? 422 : 200;
    out->content_type = "text/plain";
    gy_buf_add(out->body, body);
    return GY_FAST_DONE;
}

static void loop_start(void *self, int loop)
{
    (void)self;
    (void)loop;
    g_starts++;
}

static void loop_stop(void *self, int loop)
{
    (void)self;
    (void)loop;
    g_stops++;
}

static const struct gy_fast_ops fast = {.version = 1,
                                        .max_body = 1000,
                                        .claims = claims,
                                        .run = run,
                                        .loop_start = loop_start,
                                        .loop_stop = loop_stop};

struct fixture {
    struct gy_router *router;
    struct gy_server *server;
    struct gy_caller *client;
    struct gy_collect got;
    struct gy_err err;
    char dir[64], sock[96];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f); /* not counted by gy_mem_live */
    struct gy_server_options o = {.n_loops = 3, .n_workers = 4, .fast = &fast};
    char url[64];
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/gyre-net-XXXXXX");
    if (!mkdtemp(f->dir) || gy_router_new(&f->router, &f->err) != GY_OK ||
        gy_router_add(f->router, routes, sizeof routes / sizeof routes[0], "you said: ", &f->err) !=
            GY_OK) {
        return -1;
    }
    (void)snprintf(f->sock, sizeof f->sock, "%s/sock", f->dir);
    o.router = f->router;
    o.unix_path = f->sock;
    g_starts = g_stops = 0;
    if (gy_server_start(&o, &f->server, &f->err) != GY_OK) {
        return -1;
    }
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", gy_server_port(f->server));
    gy_collect_init(&f->got, GY_MIB);
    *state = f;
    return gy_http_client_new(url, &f->client, &f->err) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_caller_free(f->client);
    gy_server_free(f->server);
    gy_router_free(f->router);
    gy_collect_done(&f->got);
    int failed = rmdir(f->dir) != 0; /* the socket is gone with the server */
    free(f);
    return failed || gy_mem_live() != 0 ? -1 : 0;
}

static void test_requests_through_the_client(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gy_call_json(f->client, "POST", "/echo", GY_STR("abc"), &f->got, &f->err),
                     GY_OK);
    assert_string_equal(f->got.body.p, "you said: abc");
    assert_true(gy_str_eqc(gy_collect_header(&f->got, "x-method"), "POST"));
    assert_int_equal(gy_call_json(f->client, "PUT", "/echo?x=1", GY_STR(""), &f->got, &f->err),
                     GY_OK);
    assert_string_equal(f->got.body.p, "you said: ");
    assert_int_equal(gy_call_json(f->client, "GET", "/echo", GY_STR_NULL, &f->got, &f->err), GY_OK);
    assert_int_equal(gy_call_json(f->client, "POST", "/fast", GY_STR("quick"), &f->got, &f->err),
                     GY_OK);
    assert_string_equal(f->got.body.p, "quick");
    assert_int_equal(gy_call_json(f->client, "HEAD", "/echo", GY_STR_NULL, &f->got, &f->err),
                     GY_OK);
    assert_int_equal(f->got.body.n, 0);
}

static void test_errors_come_back_as_errors(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gy_call_json(f->client, "GET", "/conflict", GY_STR_NULL, &f->got, &f->err),
                     GY_E_CONFLICT);
    assert_string_equal(f->err.msg, "it runs");
    assert_string_equal(f->err.hint, "stop it first");
    assert_int_equal(gy_call_json(f->client, "GET", "/nix", GY_STR_NULL, &f->got, &f->err),
                     GY_E_NOTFOUND);
    assert_int_equal(gy_call_json(f->client, "DELETE", "/echo", GY_STR_NULL, &f->got, &f->err),
                     GY_E_METHOD);
    assert_int_equal(gy_call_json(f->client, "POST", "/fast", GY_STR("bad"), &f->got, &f->err),
                     GY_E_SCHEMA);
}

static void test_the_unix_socket_names_its_peer(void **state)
{
    struct fixture *f = *state;
    char url[128];
    GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
    (void)snprintf(url, sizeof url, "unix:%s", f->sock);
    assert_int_equal(gy_http_client_new(url, &c, &f->err), GY_OK);
    assert_int_equal(gy_call_json(c, "GET", "/who", GY_STR_NULL, &f->got, &f->err), GY_OK);
    assert_string_not_equal(f->got.body.p, "anonymous");
    assert_true(f->got.body.n > 0);
    assert_int_equal(gy_call_json(f->client, "GET", "/who", GY_STR_NULL, &f->got, &f->err), GY_OK);
    assert_string_equal(f->got.body.p, "anonymous");
}

static int status_for_host(struct gy_caller *c, const char *host, struct gy_collect *got)
{
    struct gy_header h = {GY_STR("Host"), gy_str_c(host)};
    struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct gy_request req = {.method = GY_STR("GET"),
                             .path = GY_STR("/who"),
                             .headers = &h,
                             .n_headers = 1,
                             .arena = &arena};
    gy_collect_reset(got);
    gy_status status = gy_call(c, &req, &got->reply, NULL);
    gy_arena_done(&arena);
    return status == GY_OK ? got->status : -1;
}

/* Bound elsewhere, behind a login, a server has names that it does not know of. */
static void test_hosts_are_checked_on_loopback_only(void **state)
{
    struct fixture *f = *state;
    GY_AUTO(gy_server_free) struct gy_server *open_one = NULL;
    GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
    struct gy_server_options o = {.host = "0.0.0.0", .router = f->router};
    char url[64];
    assert_int_equal(gy_server_start(&o, &open_one, &f->err), GY_OK);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", gy_server_port(open_one));
    assert_int_equal(gy_http_client_new(url, &c, &f->err), GY_OK);
    assert_int_equal(status_for_host(c, "gyre.example.org", &f->got), 200);
    assert_int_equal(status_for_host(f->client, "gyre.example.org", &f->got), 403);
    assert_int_equal(status_for_host(f->client, "localhost:1", &f->got), 200);
}

/* A socket's address holds 107 bytes; a home folder may lie deeper. */
static void test_unix_sockets_deep_down(void **state)
{
    struct fixture *f = *state;
    char deep[600], dirs[4][512], url[700];
    GY_AUTO(gy_server_free) struct gy_server *second = NULL;
    GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
    (void)snprintf(dirs[0], sizeof dirs[0], "%s/%0100d", f->dir, 0);
    for (int i = 1; i < 3; i++) {
        (void)snprintf(dirs[i], sizeof dirs[i], "%s/%0100d", dirs[i - 1], i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mkdir(dirs[i], 0700), 0);
    }
    (void)snprintf(deep, sizeof deep, "%s/sock", dirs[2]);
    struct gy_server_options o = {.router = f->router, .unix_path = deep};
    assert_int_equal(gy_server_start(&o, &second, &f->err), GY_OK);
    (void)snprintf(url, sizeof url, "unix:%s", deep);
    assert_int_equal(gy_http_client_new(url, &c, &f->err), GY_OK);
    assert_int_equal(gy_call_json(c, "GET", "/who", GY_STR_NULL, &f->got, &f->err), GY_OK);
    assert_string_not_equal(f->got.body.p, "anonymous");
    gy_server_stop(second);
    assert_int_equal(access(deep, F_OK), -1);
    assert_int_equal(gy_call_json(c, "GET", "/who", GY_STR_NULL, &f->got, &f->err),
                     GY_E_UNAVAILABLE);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(rmdir(dirs[i]), 0);
    }
    assert_int_equal(gy_http_client_new(url, &c, &f->err), GY_E_NOTFOUND); /* no such folder */
}

/* A reader of known or unknown size that gives 'a' n times, or fails half way. */
struct feeder {
    struct gy_reader reader;
    size_t left, fail_at;
};

static gy_status feed(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                      struct gy_err *err)
{
    struct feeder *f = (struct feeder *)self;
    if (f->fail_at && f->left <= f->fail_at) {
        return gy_err_set(err, GY_E_CORRUPT, "the file is damaged");
    }
    *ret_n = f->left < n ? f->left : n;
    memset(buf, 'a', *ret_n);
    f->left -= *ret_n;
    return GY_OK;
}

static gy_status put(struct fixture *f, size_t n, int64_t told, size_t fail_at)
{
    struct feeder body = {{feed, told}, n, fail_at};
    struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct gy_request req = {
        .method = GY_STR("PUT"), .path = GY_STR("/echo"), .body = &body.reader, .arena = &arena};
    gy_collect_reset(&f->got);
    gy_status status = gy_call(f->client, &req, &f->got.reply, &f->err);
    gy_arena_done(&arena);
    return status;
}

static void test_bodies_are_streamed_by_the_client(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, 500000, 500000, 0), GY_OK);
    assert_int_equal(f->got.body.n, 500010);
    assert_int_equal(put(f, 500000, -1, 0), GY_OK); /* chunked */
    assert_int_equal(f->got.body.n, 500010);
    assert_int_equal(put(f, 0, -1, 0), GY_OK);
    assert_int_equal(f->got.body.n, 10);
    assert_int_equal(put(f, 500000, 500000, 200000), GY_E_CORRUPT);
    assert_string_equal(f->err.msg, "the file is damaged");
    assert_int_equal(put(f, 2000000, -1, 0), GY_OK); /* the handler's own bound */
    assert_int_equal(f->got.status, 413);
}

static void test_a_reply_that_fails_ends_the_transfer(void **state)
{
    struct fixture *f = *state;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect small;
    gy_collect_init(&small, 100000);
    assert_int_equal(gy_call_json(f->client, "GET", "/pour", GY_STR_NULL, &small, &f->err),
                     GY_E_TOOBIG);
    /* and the connection was not kept with half an answer in it */
    assert_int_equal(gy_call_json(f->client, "POST", "/echo", GY_STR("x"), &f->got, &f->err),
                     GY_OK);
    assert_string_equal(f->got.body.p, "you said: x");
}

struct client_job {
    struct gy_caller *client;
    int wrong;
};

static void *ask_often(void *arg)
{
    struct client_job *job = arg;
    struct gy_collect got;
    gy_collect_init(&got, GY_MIB);
    for (int i = 0; i < 50; i++) {
        char text[32], wanted[64];
        const char *path = i % 2 ? "/echo" : "/fast";
        (void)snprintf(text, sizeof text, "%p %d", (void *)job, i);
        (void)snprintf(wanted, sizeof wanted, "%s%s", i % 2 ? "you said: " : "", text);
        job->wrong += gy_call_json(job->client, "POST", path, gy_str_c(text), &got, NULL) != GY_OK;
        job->wrong += strcmp(got.body.p, wanted) != 0;
    }
    gy_collect_done(&got);
    return NULL;
}

static void test_one_client_serves_many_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[8];
    struct client_job jobs[8];
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct client_job){f->client, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].wrong, 0);
    }
    /* A loop counts a reply after its last byte left, which the client may see first. */
    struct gy_server_stats s;
    int64_t end = gy_mono_ns() + INT64_C(30000000000);
    do {
        gy_server_get_stats(f->server, &s);
    } while (s.by_class[2] < 400 && gy_mono_ns() < end && usleep(1000) == 0);
    assert_int_equal(s.requests, 400);
    assert_int_equal(s.by_class[2], 400);
    assert_true(s.bytes_in > 0 && s.bytes_out > 0);
    assert_int_equal(s.parse_errors + s.timeouts + s.refused, 0);
}

static void count_loop(void *ctx, int loop)
{
    int *seen = ctx; /* one loop after the other or not: each has its own slot */
    seen[loop]++;
}

static void test_on_loops_runs_once_on_each(void **state)
{
    struct fixture *f = *state;
    int seen[3] = {0};
    assert_int_equal(gy_server_loops(f->server), 3);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(gy_server_on_loops(f->server, count_loop, seen, &f->err), GY_OK);
    }
    assert_int_equal(seen[0], 100);
    assert_int_equal(seen[1], 100);
    assert_int_equal(seen[2], 100);
    assert_int_equal(g_starts, 3);
    gy_server_stop(f->server);
    assert_int_equal(g_stops, 3);
    assert_true(gy_server_draining(f->server));
    assert_int_equal(gy_server_on_loops(f->server, count_loop, seen, &f->err), GY_E_UNAVAILABLE);
}

static void test_connections_go_round_the_loops(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 64; i++) {
        g_seen[i] = 0;
    }
    for (int i = 0; i < 9; i++) {
        char url[64];
        GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", gy_server_port(f->server));
        assert_int_equal(gy_http_client_new(url, &c, NULL), GY_OK);
        assert_int_equal(gy_call_json(c, "POST", "/fast", GY_STR("x"), &f->got, NULL), GY_OK);
    }
    assert_int_equal(g_seen[0], 3);
    assert_int_equal(g_seen[1], 3);
    assert_int_equal(g_seen[2], 3);
}

static void test_a_port_in_use_is_told(void **state)
{
    struct fixture *f = *state;
    struct gy_server *second = NULL;
    struct gy_server_options o = {.port = gy_server_port(f->server), .router = f->router};
    assert_int_equal(gy_server_start(&o, &second, &f->err), GY_E_NETWORK);
    assert_non_null(strstr(f->err.msg, "already in use"));
    assert_string_not_equal(f->err.hint, "");
    o = (struct gy_server_options){.host = "no such host", .router = f->router};
    assert_int_equal(gy_server_start(&o, &second, &f->err), GY_E_INVALID);
    o = (struct gy_server_options){.unix_path = "/nonexistent/sock", .router = f->router};
    assert_int_equal(gy_server_start(&o, &second, &f->err), GY_E_NOTFOUND);
    assert_null(second);
}

static void test_clients_of_nothing(void **state)
{
    struct fixture *f = *state;
    GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
    struct gy_caller *none = NULL;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", gy_server_port(f->server));
    assert_int_equal(gy_http_client_new("ftp://x", &none, &f->err), GY_E_INVALID);
    assert_int_equal(gy_http_client_new("http://", &none, &f->err), GY_E_INVALID);
    assert_int_equal(gy_http_client_new("", &none, &f->err), GY_E_INVALID);
    assert_null(none);
    assert_int_equal(gy_http_client_new(url, &c, &f->err), GY_OK); /* with a slash at its end */
    assert_int_equal(gy_call_json(c, "POST", "/echo", GY_STR("x"), &f->got, &f->err), GY_OK);
    gy_server_stop(f->server);
    assert_int_equal(gy_call_json(c, "POST", "/echo", GY_STR("x"), &f->got, &f->err),
                     GY_E_UNAVAILABLE);
    assert_non_null(strstr(f->err.msg, "nothing answers at"));
}

/* Every allocation of starting a server fails once. */
static void test_starting_without_memory(void **state)
{
    struct fixture *f = *state;
    struct gy_server_options o = {.n_loops = 2, .n_workers = 2, .router = f->router, .fast = &fast};
    int64_t before = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_server *s = NULL;
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_server_start(&o, &s, NULL);
        bool reached = gy_mem_count() >= nth;
        gy_mem_fail_at(0, 0);
        gy_server_free(s);
        assert_int_equal(gy_mem_live(), before);
        if (!reached) {
            assert_int_equal(status, GY_OK);
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
        assert_null(s);
    }
}

/* Every allocation of serving a request fails once: an error answer or a closed connection, never
 * a crash, and the server serves on. */
static void test_serving_without_memory(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        const char *path = nth % 2 ? "/echo" : "/fast";
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_call_json(f->client, "POST", path, GY_STR("abc"), &f->got, &f->err);
        gy_mem_fail_at(0, 0);
        if (status == GY_OK) {
            assert_true(gy_str_ends(gy_buf_str(&f->got.body), GY_STR("abc")));
        }
        assert_int_equal(gy_call_json(f->client, "POST", path, GY_STR("abc"), &f->got, &f->err),
                         GY_OK);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* libcurl writes to closed sockets on this thread */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests_through_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_come_back_as_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_unix_socket_names_its_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts_are_checked_on_loopback_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unix_sockets_deep_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies_are_streamed_by_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_that_fails_ends_the_transfer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_client_serves_many_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_on_loops_runs_once_on_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_go_round_the_loops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_port_in_use_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_of_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_starting_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serving_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
