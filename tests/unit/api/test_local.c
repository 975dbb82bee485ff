/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/app.h"
#include "base/json.h"
#include "base/mem.h"

struct fixture {
    char dir[64];
    struct gy_app *app;
    struct gy_caller *caller;
};

static int open_app(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/gyre-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char home[128];
    (void)snprintf(home, sizeof home, "%s/.gyre", f->dir);
    struct gy_err err = GY_ERR_INIT;
    if (gy_app_open(&(struct gy_app_options){.home_dir = home}, &f->app, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(gy_local_caller_new(f->app, &f->caller, &err), GY_OK);
    *state = f;
    return 0;
}

static int close_app(void **state)
{
    struct fixture *f = *state;
    gy_caller_free(f->caller);
    gy_app_free(f->app);
    int failed = gy_dir_remove(f->dir, NULL) != GY_OK;
    test_free(f);
    return failed;
}

static void test_openapi_names_every_route(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect got;
    gy_collect_init(&got, 4 << 20);
    assert_int_equal(
        gy_call_json(f->caller, "GET", "/api/gyre/v1/openapi.json", GY_STR_NULL, &got, &err),
        GY_OK);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&got.body), &doc, &err), GY_OK);
    yyjson_val *paths = gy_json_get(yyjson_doc_get_root(doc), "paths");
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *item;
    size_t operations = 0;
    yyjson_obj_foreach(paths, i, n, key, item)
    {
        assert_true(gy_str_find(gy_json_val_str(key), '*') == SIZE_MAX);
        yyjson_obj_iter it = yyjson_obj_iter_with(item);
        for (yyjson_val *method; (method = yyjson_obj_iter_next(&it));) {
            yyjson_val *operation = yyjson_obj_iter_get_val(method);
            struct gy_str role = gy_json_str(operation, "x-gyre-role");
            size_t schemes = yyjson_arr_size(gy_json_get(operation, "security"));
            assert_true(role.n > 0);
            assert_int_equal(schemes, gy_str_eqc(role, "public") ? 0 : 2);
        }
        operations += yyjson_obj_size(item);
    }
    size_t all = 0;
    while (gy_router_at(f->app->router, all)) {
        all++;
    }
    assert_true(all > 0);
    assert_int_equal(operations, all);
}

static void test_failures_come_back_as_statuses(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect got;
    gy_collect_init(&got, 4 << 20);
    assert_int_equal(
        gy_call_json(f->caller, "GET", "/api/gyre/v1/nothing", GY_STR_NULL, &got, &err),
        GY_E_NOTFOUND);
    gy_collect_done(&got);
    gy_collect_init(&got, 4 << 20);
    assert_int_equal(
        gy_call_json(f->caller, "DELETE", "/api/gyre/v1/openapi.json", GY_STR_NULL, &got, &err),
        GY_E_METHOD);
}

/* The request names what the transport must fill in, and is the caller's again afterwards. */
static void test_the_request_is_left_as_it_was(void **state)
{
    struct fixture *f = *state;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect got;
    gy_collect_init(&got, 4 << 20);
    struct gy_request req = {.method = GY_STR("GET"), .path = GY_STR("/api/gyre/v1/openapi.json")};
    assert_int_equal(gy_call(f->caller, &req, &got.reply, NULL), GY_OK);
    assert_int_equal(got.status, 200);
    assert_null(req.arena);
    assert_null(req.request_id.p);
    assert_true(req.actor.n > 0);
}

static void test_opening_out_of_memory(void **state)
{
    struct fixture *f = *state;
    char home[128];
    (void)snprintf(home, sizeof home, "%s/other", f->dir);
    int64_t live = gy_mem_live();
    for (uint64_t n = 1;; n += 7) {
        struct gy_app *app = NULL;
        gy_mem_fail_at(n, 1);
        gy_status s = gy_app_open(&(struct gy_app_options){.home_dir = home}, &app, NULL);
        gy_mem_fail_at(0, 0);
        gy_app_free(app);
        assert_int_equal(gy_mem_live(), live);
        if (s == GY_OK) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_openapi_names_every_route, open_app, close_app),
        cmocka_unit_test_setup_teardown(test_failures_come_back_as_statuses, open_app, close_app),
        cmocka_unit_test_setup_teardown(test_the_request_is_left_as_it_was, open_app, close_app),
        cmocka_unit_test_setup_teardown(test_opening_out_of_memory, open_app, close_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
