/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/router.h"

/* Answers "ROUTE-NAME a=1 b=2" with the parameters it got; ctx is the name. */
static gy_status say(void *ctx, struct gy_request *req, struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    gy_buf_addc(&b, ctx);
    for (size_t i = 0; i < req->n_params; i++) {
        gy_buf_add_char(&b, ' ');
        gy_buf_add(&b, req->params[i].name);
        gy_buf_add_char(&b, '=');
        gy_buf_add(&b, req->params[i].value);
    }
    return gy_reply_send(reply, 200, "text/plain", gy_buf_str(&b), err);
}

static gy_status refuses(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    (void)ctx;
    (void)req;
    (void)reply;
    (void)gy_err_set(err, GY_E_CONFLICT, "it is \"so\"");
    return gy_err_hint(err, "try later");
}

static gy_status silent(void *ctx, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    (void)ctx;
    (void)req;
    (void)reply;
    (void)err;
    return GY_OK;
}

static gy_status bare_code(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    (void)ctx;
    (void)req;
    (void)reply;
    (void)err;
    return GY_E_BUSY;
}

static gy_status breaks_off(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    (void)ctx;
    (void)req;
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, -1, err));
    GY_TRY(gy_reply_write(reply, GY_STR("half"), err));
    return gy_err_set(err, GY_E_IO, "the disk broke");
}

static gy_status flow_style(struct gy_request *req, struct gy_reply *reply,
                            const struct gy_err *failed, struct gy_err *err)
{
    (void)req;
    return gy_reply_send(reply, gy_status_http(failed->code), "application/json",
                         GY_STR("{\"error_code\":\"X\"}"), err);
}

static const struct gy_route param_routes[] = {
    {"GET", "/v1/models/{name}", say, NULL, 0, NULL},
    {"POST", "/v1/models/{name}:predict", say, NULL, 123, NULL},
    {"POST", "/v1/models/{name}", say, NULL, 0, NULL},
    {"GET", "/v1/models/{name}/versions/{version}", say, NULL, 0, NULL},
    {"GET", "/files/{rest*}", say, NULL, SIZE_MAX, NULL},
    {"PUT", "/files/{rest*}", say, NULL, 0, NULL},
};
static const struct gy_route literal_routes[] = {
    {"GET", "/v1/models/special", say, NULL, 0, NULL},
    {"GET", "/v1/models/special/versions/new", say, NULL, 0, NULL},
    {"GET", "/", say, NULL, 0, NULL},
    {"GET", "/health", say, NULL, 0, NULL},
};
static const struct gy_route style_routes[] = {
    {"GET", "/api/flow/runs", say, flow_style, 0, NULL},
    {"POST", "/api/flow/fail", refuses, flow_style, 0, NULL},
    {"POST", "/api/ours/fail", refuses, NULL, 0, NULL},
    {"GET", "/api/ours/silent", silent, NULL, 0, NULL},
    {"GET", "/api/ours/bare", bare_code, NULL, 0, NULL},
    {"GET", "/api/ours/breaks", breaks_off, NULL, 0, NULL},
};

struct fixture {
    struct gy_router *router;
    struct gy_arena arena;
    struct gy_collect got;
    struct gy_err err;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_router_new(&f.router, &err), GY_OK);
    /* parameters first: that literals win must not depend on the order */
    assert_int_equal(gy_router_add(f.router, param_routes, 6, "param", &err), GY_OK);
    assert_int_equal(gy_router_add(f.router, literal_routes, 4, "literal", &err), GY_OK);
    assert_int_equal(gy_router_add(f.router, style_routes, 6, "style", &err), GY_OK);
    gy_arena_init(&f.arena, GY_MIB);
    gy_collect_init(&f.got, GY_MIB);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_router_free(f->router);
    gy_arena_done(&f->arena);
    gy_collect_done(&f->got);
    return gy_mem_live() == 0 ? 0 : -1;
}

static gy_status send(struct fixture *f, const char *method, const char *path)
{
    struct gy_request req = {
        .method = gy_str_c(method), .path = gy_str_c(path), .arena = &f->arena};
    gy_collect_reset(&f->got);
    f->err = (struct gy_err)GY_ERR_INIT;
    return gy_router_call(f->router, &req, &f->got.reply, &f->err);
}

static void expect(struct fixture *f, const char *method, const char *path, int status,
                   const char *body)
{
    assert_int_equal(send(f, method, path), GY_OK);
    if (body) {
        assert_string_equal(f->got.body.p, body);
    }
    assert_int_equal(f->got.status, status);
    assert_true(f->got.reply.ended);
}

static void test_literals_win_over_parameters(void **state)
{
    expect(*state, "GET", "/v1/models/special", 200, "literal");
    expect(*state, "GET", "/v1/models/other", 200, "param name=other");
    expect(*state, "GET", "/v1/models/special/versions/new", 200, "literal");
    /* the literal branch knows no such version: the parameter branch does */
    expect(*state, "GET", "/v1/models/special/versions/2", 200, "param name=special version=2");
    /* nor such a method */
    expect(*state, "POST", "/v1/models/special", 200, "param name=special");
}

static void test_colon_suffix(void **state)
{
    expect(*state, "POST", "/v1/models/iris:predict", 200, "param name=iris");
    expect(*state, "POST", "/v1/models/a:b:predict", 200, "param name=a:b");
    expect(*state, "POST", "/v1/models/iris:other", 200, "param name=iris:other");
    expect(*state, "POST", "/v1/models/:predict", 200, "param name=:predict");
}

static void test_rest_takes_all_that_follows(void **state)
{
    expect(*state, "GET", "/files/a/b/c.txt", 200, "param rest=a/b/c.txt");
    expect(*state, "GET", "/files/a//b", 200, "param rest=a//b");
    expect(*state, "GET", "/files/", 200, "param rest=");
    expect(*state, "GET", "/files", 404, NULL);
}

static void test_parameters_are_decoded_after_the_match(void **state)
{
    expect(*state, "GET", "/v1/models/a%2Fb", 200, "param name=a/b");
    expect(*state, "GET", "/v1/models/a%20b+c", 200, "param name=a b+c");
    expect(*state, "GET", "/v1/models/100%", 200, "param name=100%");
    expect(*state, "GET", "/v1/models/%zz", 200, "param name=%zz");
}

static void test_slashes(void **state)
{
    expect(*state, "GET", "//health", 200, "literal");
    expect(*state, "GET", "/health/", 200, "literal");
    expect(*state, "GET", "/", 200, "literal");
    expect(*state, "GET", "/health//", 404, NULL);
    expect(*state, "GET", "/v1/models//versions/1", 404, NULL);
}

static void test_unknown_path_is_404_in_the_style_of_its_group(void **state)
{
    struct fixture *f = *state;
    expect(f, "GET", "/nowhere", 404, NULL);
    assert_true(gy_str_eqc(gy_collect_header(&f->got, "content-type"), "application/problem+json"));
    assert_non_null(strstr(f->got.body.p, "\"code\":\"NOTFOUND\""));
    expect(f, "GET", "/api/flow/unknown", 404, "{\"error_code\":\"X\"}");
    expect(f, "GET", "/api/flow/runs/and/more", 404, "{\"error_code\":\"X\"}");
}

static void test_wrong_method_is_405_with_allow(void **state)
{
    struct fixture *f = *state;
    expect(f, "DELETE", "/v1/models/iris", 405, NULL);
    assert_true(gy_str_eqc(gy_collect_header(&f->got, "Allow"), "GET, POST, HEAD, OPTIONS"));
    assert_non_null(strstr(f->got.body.p, "\"code\":\"METHOD\""));
    expect(f, "GET", "/api/flow/fail", 405, "{\"error_code\":\"X\"}");
    assert_true(gy_str_eqc(gy_collect_header(&f->got, "Allow"), "POST, OPTIONS"));
}

static void test_options_and_head(void **state)
{
    struct fixture *f = *state;
    expect(f, "OPTIONS", "/files/x", 204, "");
    assert_true(gy_str_eqc(gy_collect_header(&f->got, "Allow"), "GET, PUT, HEAD, OPTIONS"));
    expect(f, "HEAD", "/health", 200, "");
    assert_true(gy_str_eqc(gy_collect_header(&f->got, "Content-Type"), "text/plain"));
    expect(f, "HEAD", "/nowhere", 404, "");
    expect(f, "HEAD", "/api/flow/fail", 405, "");
}

static void test_a_failing_handler_answers_in_its_style(void **state)
{
    struct fixture *f = *state;
    expect(f, "POST", "/api/flow/fail", 409, "{\"error_code\":\"X\"}");
    expect(f, "POST", "/api/ours/fail", 409,
           "{\"type\":\"urn:gyre:error:CONFLICT\",\"title\":\"the state does not allow it\","
           "\"status\":409,\"detail\":\"it is \\\"so\\\"\",\"code\":\"CONFLICT\","
           "\"hint\":\"try later\"}");
    expect(f, "GET", "/api/ours/silent", 500, NULL);
    expect(f, "GET", "/api/ours/bare", 503, NULL);
    assert_non_null(strstr(f->got.body.p, "busy, try again"));
}

static void test_failure_after_the_beginning_breaks_off(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send(f, "GET", "/api/ours/breaks"), GY_E_IO);
    assert_string_equal(f->err.msg, "the disk broke");
    assert_false(f->got.reply.ended);
}

static void test_find_tells_the_body_limit(void **state)
{
    struct fixture *f = *state;
    const struct gy_route *r =
        gy_router_find(f->router, GY_STR("POST"), GY_STR("/v1/models/m:predict"));
    assert_non_null(r);
    assert_int_equal(r->max_body, 123);
    assert_null(gy_router_find(f->router, GY_STR("DELETE"), GY_STR("/v1/models/m")));
    assert_null(gy_router_find(f->router, GY_STR("GET"), GY_STR("/nowhere")));
    assert_string_equal(gy_router_find(f->router, GY_STR("HEAD"), GY_STR("/health"))->method,
                        "GET");
}

static void test_routes_are_listed_in_order(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(gy_router_at(f->router, 0)->pattern, "/v1/models/{name}");
    assert_string_equal(gy_router_at(f->router, 15)->pattern, "/api/ours/breaks");
    assert_null(gy_router_at(f->router, 16));
}

static void test_what_can_not_be_added(void **state)
{
    struct fixture *f = *state;
    static const struct gy_route again = {"GET", "/health", say, NULL, 0, NULL};
    static const struct gy_route renamed = {"GET", "/v1/models/{other}", say, NULL, 0, NULL};
    static const struct gy_route bad[] = {
        {"GET", "/a/{rest*}/b", say, NULL, 0, NULL}, {"GET", "/a/{x", say, NULL, 0, NULL},
        {"GET", "/a/x}", say, NULL, 0, NULL},        {"GET", "/a/{}", say, NULL, 0, NULL},
        {"GET", "/a/{x}y", say, NULL, 0, NULL},      {"GET", "/a/pre{x}", say, NULL, 0, NULL},
        {"GET", "/a/{*}", say, NULL, 0, NULL},
    };
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_router_add(f->router, &again, 1, NULL, &err), GY_E_EXISTS);
    assert_string_equal(err.msg, "there is already a route GET /health");
    assert_int_equal(gy_router_add(f->router, &renamed, 1, NULL, NULL), GY_E_EXISTS);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_router_add(f->router, &bad[i], 1, NULL, NULL), GY_E_INVALID);
    }
}

static void test_the_router_is_a_caller(void **state)
{
    struct fixture *f = *state;
    struct gy_caller c;
    struct gy_err err = GY_ERR_INIT;
    gy_router_caller(f->router, &c);
    assert_int_equal(gy_call_json(&c, "GET", "/files/a?x=1", GY_STR_NULL, &f->got, &err), GY_OK);
    assert_string_equal(f->got.body.p, "param rest=a");
    assert_int_equal(gy_call_json(&c, "POST", "/api/ours/fail", GY_STR("{}"), &f->got, &err),
                     GY_E_CONFLICT);
    assert_string_equal(err.msg, "it is \"so\"");
    assert_string_equal(err.hint, "try later");
}

static void test_no_memory_is_an_error_not_a_crash(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct gy_router *r = NULL;
        int64_t before = gy_mem_live();
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_router_new(&r, NULL);
        if (status == GY_OK) {
            status = gy_router_add(r, param_routes, 6, NULL, NULL);
        }
        bool reached = gy_mem_count() >= nth;
        gy_mem_fail_at(0, 0);
        gy_router_free(r);
        assert_int_equal(gy_mem_live(), before);
        if (!reached) {
            assert_int_equal(status, GY_OK);
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_literals_win_over_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_colon_suffix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rest_takes_all_that_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameters_are_decoded_after_the_match, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_slashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_path_is_404_in_the_style_of_its_group, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_wrong_method_is_405_with_allow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options_and_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failing_handler_answers_in_its_style, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_failure_after_the_beginning_breaks_off, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_find_tells_the_body_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routes_are_listed_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_can_not_be_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_router_is_a_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_is_an_error_not_a_crash, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
