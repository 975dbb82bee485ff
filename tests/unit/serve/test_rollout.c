/* SPDX-License-Identifier: Apache-2.0 */
/* The rollout section of an endpoint: defaults, values, and what is refused by name. */
#include "unit.h"

#include <math.h>

#include "serve/rollout.h"

static gy_status read_text(const char *text, struct gy_rollout *r, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_str_c(text), &doc, err));
    return gy_rollout_read(yyjson_doc_get_root(doc), r, err);
}

static void test_defaults(void **state)
{
    (void)state;
    struct gy_rollout r;
    assert_int_equal(gy_rollout_read(NULL, &r, NULL), GY_OK);
    assert_true(r.canary == 0.1 && r.max_error_rate == 0.02);
    assert_int_equal(r.min_requests, 200);
    assert_int_equal(r.min_labels, 50);
    assert_int_equal(r.after_s, 0);
    assert_true(isnan(r.max_p99_ms) && isnan(r.change_min) && !r.promote);
    assert_int_equal(read_text("null", &r, NULL), GY_OK);
    assert_int_equal(read_text("{}", &r, NULL), GY_OK);
}

static void test_values(void **state)
{
    (void)state;
    struct gy_rollout r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  read_text("{\"canary\":0.25,\"min_requests\":7,\"min_labels\":8,"
                            "\"max_error_rate\":0,\"max_p99_ms\":50,\"recall_change_min\":-0.05,"
                            "\"promote\":\"auto\",\"after_s\":60}",
                            &r, &err),
                  err);
    assert_true(r.canary == 0.25 && r.max_error_rate == 0 && r.max_p99_ms == 50);
    assert_true(r.change_min == -0.05 && r.metric == GY_METRIC_RECALL && r.promote);
    assert_int_equal(r.min_requests, 7);
    assert_int_equal(r.min_labels, 8);
    assert_int_equal(r.after_s, 60);
    assert_string_equal(r.promote_alias, "");
    assert_status(GY_OK, read_text("{\"promote_alias\":\"champion\"}", &r, &err), err);
    assert_string_equal(r.promote_alias, "champion");
    assert_status(GY_OK, read_text("{\"promote\":\"manual\"}", &r, &err), err);
    assert_false(r.promote);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "must be an object"},
        {"{\"canari\":0.1}", "unknown key 'canari'"},
        {"{\"canary\":1.1}", "'canary'"},
        {"{\"promote_alias\":true}", "'promote_alias'"},
        {"{\"promote_alias\":\"\"}", "'promote_alias'"},
        {"{\"promote_alias\":\"latest\"}", "reserved"},
        {"{\"promote_alias\":\"a b\"}", "Invalid alias name"},
        {"{\"canary\":\"10%\"}", "'canary'"},
        {"{\"min_requests\":0}", "'min_requests'"},
        {"{\"min_labels\":1.5}", "'min_labels'"},
        {"{\"max_error_rate\":-0.1}", "'max_error_rate'"},
        {"{\"max_p99_ms\":0}", "'max_p99_ms'"},
        {"{\"recall_change_min\":-2}", "'recall_change_min'"},
        {"{\"recall_change_min\":null}", "'recall_change_min'"},
        {"{\"promote\":true}", "auto or manual"},
        {"{\"after_s\":-1}", "'after_s'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_rollout r;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_E_INVALID, read_text(bad[i].text, &r, &err), err);
        if (!strstr(err.msg, bad[i].says)) {
            fail_msg("%s: %s", bad[i].text, err.msg);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
