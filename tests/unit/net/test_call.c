/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/call.h"

static struct gy_arena g_arena;

static int setup(void **state)
{
    (void)state;
    gy_arena_init(&g_arena, GY_MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_arena_done(&g_arena);
    return gy_mem_live() == 0 ? 0 : -1;
}

static void test_headers_compare_without_case(void **state)
{
    (void)state;
    const struct gy_header headers[] = {{GY_STR("Content-TYPE"), GY_STR("a")},
                                        {GY_STR("content-type"), GY_STR("b")}};
    struct gy_request r = {.headers = headers, .n_headers = 2};
    assert_true(gy_str_eqc(gy_req_header(&r, "Content-Type"), "a"));
    assert_null(gy_req_header(&r, "Accept").p);
}

static void test_queries(void **state)
{
    (void)state;
    struct gy_request r = {.query = GY_STR("a=1&b=x%20y+z&a=2&c&d=&%65=%26%3D&f=1%"),
                           .arena = &g_arena};
    struct gy_str all[4];
    assert_true(gy_str_eqc(gy_req_query(&r, "a"), "1"));
    assert_true(gy_str_eqc(gy_req_query(&r, "b"), "x y z"));
    assert_non_null(gy_req_query(&r, "c").p);
    assert_int_equal(gy_req_query(&r, "c").n, 0);
    assert_int_equal(gy_req_query(&r, "d").n, 0);
    assert_true(gy_str_eqc(gy_req_query(&r, "e"), "&="));
    assert_true(gy_str_eqc(gy_req_query(&r, "f"), "1%"));
    assert_null(gy_req_query(&r, "zz").p);
    assert_int_equal(gy_req_query_all(&r, "a", all, 4), 2);
    assert_true(gy_str_eqc(all[1], "2"));
    assert_int_equal(gy_req_query_all(&r, "a", all, 1), 1);
    r.query = GY_STR_NULL;
    assert_null(gy_req_query(&r, "a").p);
}

static void test_url_coding_goes_round(void **state)
{
    (void)state;
    char raw[256];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    for (int i = 0; i < 256; i++) {
        raw[i] = (char)i;
    }
    gy_url_encode(&b, gy_str_n(raw, 256), false);
    assert_int_equal(gy_str_find(gy_buf_str(&b), '/'), SIZE_MAX);
    assert_true(gy_str_eq(gy_url_decode(&g_arena, gy_buf_str(&b), false), gy_str_n(raw, 256)));
    gy_buf_reset(&b);
    gy_url_encode(&b, GY_STR("a/b c~"), true);
    assert_string_equal(b.p, "a/b%20c~");
    assert_true(gy_str_eqc(gy_url_decode(&g_arena, GY_STR("%4"), false), "%4"));
    assert_true(gy_str_eqc(gy_url_decode(&g_arena, GY_STR("%C3%a9+"), true), "\xc3\xa9 "));
}

/* A reader that gives `step` bytes a time and may lie about its size. */
struct drip {
    struct gy_reader reader;
    size_t left, step;
};

static gy_status drip_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct drip *d = (struct drip *)self;
    (void)err;
    size_t take = d->left < d->step ? d->left : d->step;
    take = take < n ? take : n;
    memset(buf, 'x', take);
    d->left -= take;
    *ret_n = take;
    return GY_OK;
}

static gy_status read_drip(size_t left, int64_t told, size_t max, size_t *ret_n)
{
    struct drip d = {{drip_read, told}, left, 1000};
    struct gy_request r = {.body = &d.reader};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, max);
    gy_status status = gy_req_read_body(&r, &b, NULL);
    *ret_n = b.n;
    return status;
}

static void test_bodies_are_read_up_to_the_ceiling(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(read_drip(100000, -1, 100000, &n), GY_OK);
    assert_int_equal(n, 100000);
    assert_int_equal(read_drip(100001, -1, 100000, &n), GY_E_TOOBIG);
    assert_int_equal(read_drip(100000, 100000, 100000, &n), GY_OK);
    assert_int_equal(read_drip(100001, 100001, 100000, &n), GY_E_TOOBIG);
    assert_int_equal(n, 0); /* refused before the first byte */
    assert_int_equal(read_drip(0, -1, 0, &n), GY_OK);
    assert_int_equal(read_drip(1, -1, 0, &n), GY_E_TOOBIG);
    assert_int_equal(read_drip(50, 40, 100, &n), GY_E_TOOBIG); /* more than it told */
    struct gy_request none = {0};
    struct gy_buf b;
    gy_buf_init(&b, 1);
    assert_int_equal(gy_req_read_body(&none, &b, NULL), GY_OK);
}

static void test_readers_over_memory_and_files(void **state)
{
    (void)state;
    struct gy_mem_reader m;
    struct gy_fd_reader f;
    char buf[8];
    size_t n;
    int fds[2];
    struct gy_reader *r = gy_mem_reader_init(&m, GY_STR("hello"));
    assert_int_equal(r->size_bytes, 5);
    assert_int_equal(r->read(r, buf, 3, &n, NULL), GY_OK);
    assert_int_equal(n, 3);
    assert_int_equal(r->read(r, buf, 8, &n, NULL), GY_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(buf, "lo", 2);
    assert_int_equal(r->read(r, buf, 8, &n, NULL), GY_OK);
    assert_int_equal(n, 0);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    close(fds[1]);
    r = gy_fd_reader_init(&f, fds[0], -1);
    assert_int_equal(r->read(r, buf, 8, &n, NULL), GY_OK);
    assert_int_equal(n, 3);
    assert_int_equal(r->read(r, buf, 8, &n, NULL), GY_OK);
    assert_int_equal(n, 0);
    close(fds[0]);
    assert_int_equal(r->read(r, buf, 8, &n, NULL), GY_E_IO);
}

static void test_a_collected_answer_is_bounded(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    gy_collect_init(&c, 10);
    assert_int_equal(gy_reply_send(&c.reply, 200, "text/plain", GY_STR("0123456789"), NULL), GY_OK);
    assert_string_equal(c.body.p, "0123456789");
    gy_collect_reset(&c);
    assert_int_equal(c.n_headers, 0);
    assert_int_equal(gy_reply_send(&c.reply, 200, NULL, GY_STR("0123456789a"), NULL), GY_E_TOOBIG);
}

/* A caller that answers with what it was told to. */
struct scripted {
    int status;
    const char *body;
    gy_status fails;
    char seen[256];
};

static gy_status answer(void *self, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    struct scripted *s = self;
    struct gy_buf b;
    gy_buf_init(&b, 100);
    GY_TRY(gy_req_read_body(req, &b, err));
    (void)snprintf(s->seen, sizeof s->seen, "%.*s %.*s ?%.*s %.*s %s", (int)req->method.n,
                   req->method.p, (int)req->path.n, req->path.p, (int)req->query.n,
                   req->query.p ? req->query.p : "", (int)gy_req_header(req, "content-type").n,
                   req->n_headers > 1 ? gy_req_header(req, "content-type").p : "", b.p);
    gy_buf_done(&b);
    if (s->fails) {
        return gy_err_set(err, s->fails, "no road");
    }
    return gy_reply_send(reply, s->status, "application/json", gy_str_c(s->body), err);
}

static const struct gy_call_ops scripted_ops = {1, "scripted", answer, NULL};

static void test_json_calls_map_errors(void **state)
{
    (void)state;
    static const struct {
        int http;
        const char *body;
        gy_status code;
        const char *message;
    } cases[] = {
        {404, "{\"code\":\"NOTSERVABLE\",\"detail\":\"d\",\"hint\":\"h\"}", GY_E_NOTSERVABLE, "d"},
        {400, "{\"error_code\":\"RESOURCE_DOES_NOT_EXIST\",\"message\":\"m\"}", GY_E_NOTFOUND, "m"},
        {400, "{\"error_code\":\"RESOURCE_ALREADY_EXISTS\",\"message\":\"m\"}", GY_E_EXISTS, "m"},
        {403, "{\"error_code\":\"SOMETHING_NEW\",\"message\":\"m\"}", GY_E_DENIED, "m"},
        {400, "{\"error\":\"e\"}", GY_E_INVALID, "e"},
        {422, "{\"detail\":\"d\"}", GY_E_SCHEMA, "d"},
        {503, "<html>", GY_E_UNAVAILABLE, "the server answered 503 Service Unavailable"},
        {418, "", GY_E_INVALID, "the server answered 418 "},
        {599, "[]", GY_E_FAILED, "the server answered 599 "},
        {429, "{}", GY_E_LIMITED, "the server answered 429 Too Many Requests"},
    };
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    gy_collect_init(&c, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scripted s = {cases[i].http, cases[i].body, GY_OK, ""};
        struct gy_caller caller = {&scripted_ops, &s};
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_call_json(&caller, "GET", "/x", GY_STR_NULL, &c, &err), cases[i].code);
        assert_string_equal(err.msg, cases[i].message);
        assert_string_equal(err.hint, i == 0 ? "h" : "");
        assert_int_equal(gy_call_json(&caller, "GET", "/x", GY_STR_NULL, &c, NULL), cases[i].code);
    }
}

static void test_json_calls_send_what_they_are_given(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    struct scripted s = {200, "{\"ok\":true}", GY_OK, ""};
    struct gy_caller caller = {&scripted_ops, &s};
    struct gy_err err = GY_ERR_INIT;
    gy_collect_init(&c, 1000);
    assert_int_equal(gy_call_json(&caller, "POST", "/a/b?c=d", GY_STR("{}"), &c, &err), GY_OK);
    assert_string_equal(s.seen, "POST /a/b ?c=d application/json {}");
    assert_string_equal(c.body.p, "{\"ok\":true}");
    assert_true(gy_str_eqc(gy_collect_header(&c, "Content-Type"), "application/json"));
    assert_int_equal(gy_call_json(&caller, "GET", "/a", GY_STR_NULL, &c, &err), GY_OK);
    assert_string_equal(s.seen, "GET /a ?  ");
    s.fails = GY_E_NETWORK;
    assert_int_equal(gy_call_json(&caller, "GET", "/a", GY_STR_NULL, &c, &err), GY_E_NETWORK);
    assert_string_equal(err.msg, "no road");
}

static int g_freed;
static void count_free(void *self)
{
    (void)self;
    g_freed++;
}

static void test_callers_are_freed_through_their_ops(void **state)
{
    (void)state;
    static const struct gy_call_ops ops = {1, "freed", answer, count_free};
    struct gy_caller *c = gy_malloc(sizeof *c);
    assert_non_null(c);
    *c = (struct gy_caller){&ops, NULL};
    gy_caller_free(c);
    gy_caller_free(NULL);
    assert_int_equal(g_freed, 1);
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(gy_http_reason(404), "Not Found");
    assert_string_equal(gy_http_reason(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_headers_compare_without_case, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_coding_goes_round, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies_are_read_up_to_the_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers_over_memory_and_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_collected_answer_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_calls_map_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_calls_send_what_they_are_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_callers_are_freed_through_their_ops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reasons, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
