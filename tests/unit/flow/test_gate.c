/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "flow/gate.h"
#include "unit.h"

static struct gy_arena g_arena;

static int setup(void **state)
{
    (void)state;
    gy_arena_init(&g_arena, 16 * GY_MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_arena_done(&g_arena);
    return 0;
}

static struct gy_gate_bound bound(const char *metric, double min, double change_min)
{
    return (struct gy_gate_bound){gy_str_c(metric), min, NAN, change_min, NAN, NAN, NAN,
                                  GY_GATE_ALL};
}

static struct gy_gate_value value(const char *name, double v)
{
    return (struct gy_gate_value){gy_str_c(name), v, v - 0.01, v + 0.01};
}

static const struct gy_gate_check *find(const struct gy_gate_result *r, const char *metric,
                                        const char *slice, const char *kind)
{
    for (size_t i = 0; i < r->n_checks; i++) {
        const struct gy_gate_check *c = &r->checks[i];
        if (gy_str_eqc(c->metric, metric) && strcmp(c->kind, kind) == 0 &&
            gy_str_eq(c->slice, slice ? gy_str_c(slice) : GY_STR_NULL)) {
            return c;
        }
    }
    fail_msg("no check %s %s %s", metric, slice ? slice : "all", kind);
    return NULL;
}

static gy_status check(const struct gy_gate_spec *spec, const struct gy_gate_side *candidate,
                       const struct gy_gate_side *champion, struct gy_gate_result *ret,
                       struct gy_err *err)
{
    return gy_gate_check(spec, candidate, champion, GY_STR("yes"), GY_STR_NULL, &g_arena, ret, err);
}

/* 92.7 % of the patients are not septic: who never alarms is right that often, and useless. */
static void test_all_zero_baseline_is_not_blessed(void **state)
{
    (void)state;
    struct gy_gate_spec spec = {.n_bounds = 2};
    spec.bounds[0] = bound("accuracy", 0.9, NAN);
    spec.bounds[1] = bound("recall", 0.75, NAN);
    const struct gy_gate_value values[] = {value("accuracy", 0.927), value("recall", 0.0)};
    const struct gy_gate_group all = {.rows = 12100, .values = values, .n_values = 2};
    const struct gy_gate_side baseline = {GY_STR("d1"), 0, &all, 1};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, check(&spec, &baseline, NULL, &r, &err), err);
    assert_false(r.blessed);
    assert_string_equal(gy_gate_verdict(&r), "NOT_BLESSED");
    assert_int_equal(find(&r, "accuracy", NULL, "min")->result, GY_CHECK_PASSED);
    const struct gy_gate_check *recall = find(&r, "recall", NULL, "min");
    assert_int_equal(recall->result, GY_CHECK_FAILED);
    assert_string_equal(recall->reason, "0.0000 is below 0.7500");
}

static void test_change_against_the_champion(void **state)
{
    (void)state;
    struct gy_gate_spec spec = {.n_bounds = 1};
    spec.bounds[0] = bound("f1", 0.8, 0.0);
    const struct gy_gate_value good[] = {value("f1", 0.90)};
    const struct gy_gate_value better[] = {value("f1", 0.91)};
    const struct gy_gate_group good_all = {.rows = 10, .values = good, .n_values = 1};
    const struct gy_gate_group better_all = {.rows = 10, .values = better, .n_values = 1};
    const struct gy_gate_side a = {GY_STR("a"), 0, &good_all, 1};
    const struct gy_gate_side b = {GY_STR("b"), 0, &better_all, 1};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, check(&spec, &a, NULL, &r, &err), err);
    assert_true(r.blessed);
    const struct gy_gate_check *c = find(&r, "f1", NULL, "champion_change_min");
    assert_int_equal(c->result, GY_CHECK_SKIPPED);
    assert_string_equal(c->reason, "there is no champion yet");
    assert_status(GY_OK, check(&spec, &b, &a, &r, &err), err);
    assert_true(r.blessed);
    assert_status(GY_OK, check(&spec, &a, &b, &r, &err),
                  err); /* good enough, but worse than what is there */
    assert_false(r.blessed);
    c = find(&r, "f1", NULL, "champion_change_min");
    assert_int_equal(c->result, GY_CHECK_FAILED);
    assert_true(c->champion == 0.91);
    assert_status(GY_OK, check(&spec, &a, &a, &r, &err), err); /* equal is no worse */
    assert_true(r.blessed);
    /* A metric of which less is better. */
    spec.bounds[0] =
        (struct gy_gate_bound){GY_STR("f1"), NAN, 0.905, NAN, 0.005, NAN, NAN, GY_GATE_ALL};
    assert_status(GY_OK, check(&spec, &b, &a, &r, &err), err);
    assert_false(r.blessed);
    assert_int_equal(find(&r, "f1", NULL, "max")->result, GY_CHECK_FAILED);
    assert_int_equal(find(&r, "f1", NULL, "champion_change_max")->result, GY_CHECK_FAILED);
    assert_status(GY_OK, check(&spec, &a, &b, &r, &err), err);
    assert_true(r.blessed);
}

static void test_slices(void **state)
{
    (void)state;
    struct gy_gate_spec spec = {.n_bounds = 1, .n_slices = 4};
    spec.bounds[0] = bound("recall", 0.75, NAN);
    spec.slices[0] = GY_STR("HR > 90");
    spec.slices[1] = GY_STR("HR <= 90");
    spec.slices[2] = GY_STR("Age > 200");
    spec.slices[3] = GY_STR("Temp < 30");
    const struct gy_gate_value high[] = {value("recall", 0.9)};
    const struct gy_gate_value low[] = {value("recall", 0.5)};
    const struct gy_gate_value undefined[] = {{GY_STR("recall"), NAN, NAN, NAN}};
    const struct gy_gate_group groups[] = {
        {.rows = 100, .values = high, .n_values = 1},
        {.slice = spec.slices[0], .rows = 60, .values = high, .n_values = 1},
        {.slice = spec.slices[1], .rows = 40, .values = low, .n_values = 1},
        {.slice = spec.slices[2], .rows = 0},
        {.slice = spec.slices[3], .rows = 3, .values = undefined, .n_values = 1}};
    const struct gy_gate_side side = {GY_STR("d"), 0, groups, 5};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_false(r.blessed); /* good on average, bad for those with a low heart rate */
    assert_int_equal(find(&r, "recall", NULL, "min")->result, GY_CHECK_PASSED);
    assert_int_equal(find(&r, "recall", "HR > 90", "min")->result, GY_CHECK_PASSED);
    assert_int_equal(find(&r, "recall", "HR <= 90", "min")->result, GY_CHECK_FAILED);
    assert_string_equal(find(&r, "recall", "Age > 200", "min")->reason, "no row is in this slice");
    assert_int_equal(find(&r, "recall", "Age > 200", "min")->result, GY_CHECK_SKIPPED);
    assert_int_equal(find(&r, "recall", "Temp < 30", "min")->result, GY_CHECK_SKIPPED);
    spec.bounds[0].where = GY_GATE_OVERALL;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_true(r.blessed);
    spec.bounds[0].where = GY_GATE_SLICES;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_false(r.blessed);
}

static void test_what_is_missing_fails(void **state)
{
    (void)state;
    struct gy_gate_spec spec = {.n_bounds = 1};
    spec.bounds[0] = bound("auc", 0.5, NAN);
    const struct gy_gate_value values[] = {value("recall", 0.9), {GY_STR("auc"), NAN, NAN, NAN}};
    struct gy_gate_group all = {.rows = 10, .values = values, .n_values = 1};
    struct gy_gate_side side = {GY_STR("d"), 0, &all, 1};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_false(r.blessed);
    assert_string_equal(find(&r, "auc", NULL, "min")->reason, "this metric was not computed");
    all.n_values = 2;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_false(r.blessed);
    assert_string_equal(find(&r, "auc", NULL, "min")->reason,
                        "this metric is not defined on these rows");
    side.n_groups = 0;
    assert_int_equal(check(&spec, &side, NULL, &r, &err), GY_E_INVALID);
    spec.n_bounds = 0;
    side.n_groups = 1;
    assert_int_equal(check(&spec, &side, NULL, &r, &err),
                     GY_E_INVALID); /* nothing to judge by blesses nothing */
    assert_true(err.hint[0] != '\0');
}

/* 0.9 +- 0.01: the ends of the interval are judged, and no interval proves nothing. */
static void test_ends_of_the_interval(void **state)
{
    (void)state;
    static const struct {
        double low_min, high_max;
        bool blessed;
    } rows[] = {{0.88, NAN, true}, {0.895, NAN, false}, {NAN, 0.92, true}, {NAN, 0.905, false}};
    struct gy_gate_spec spec = {.n_bounds = 1};
    struct gy_gate_value values[] = {value("auc", 0.9)};
    const struct gy_gate_group all = {.rows = 10, .values = values, .n_values = 1};
    const struct gy_gate_side side = {GY_STR("d"), 0, &all, 1};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        spec.bounds[0] = bound("auc", NAN, NAN);
        spec.bounds[0].low_min = rows[i].low_min;
        spec.bounds[0].high_max = rows[i].high_max;
        assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
        assert_int_equal(r.blessed, rows[i].blessed);
    }
    assert_string_equal(find(&r, "auc", NULL, "high_max")->reason,
                        "the interval's upper end 0.9100 is above 0.9050");
    values[0].low = values[0].high = NAN;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_false(r.blessed);
    assert_string_equal(find(&r, "auc", NULL, "high_max")->reason,
                        "there is no interval on these rows");
}

static void test_grounds(void **state)
{
    (void)state;
    struct gy_gate_spec spec = {.n_bounds = 1};
    spec.bounds[0] = bound("f1", 0.5, NAN);
    const struct gy_gate_value values[] = {value("f1", 0.9)};
    struct gy_gate_group all = {.rows = 10, .values = values, .n_values = 1};
    struct gy_gate_side side = {GY_STR("d"), 3, &all, 1};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    assert_false(r.blessed);
    assert_string_equal(find(&r, "held_out", NULL, "held_out")->reason,
                        "it was trained on 3 of these rows");
    side.trained_on = 0;
    assert_status(GY_OK,
                  gy_gate_check(&spec, &side, NULL, GY_STR("no"), GY_STR("it answers NaN"),
                                &g_arena, &r, &err),
                  err);
    assert_false(r.blessed);
    assert_string_equal(find(&r, "servable", NULL, "servable")->reason,
                        "not proven servable (no): it answers NaN");
    assert_status(GY_OK,
                  gy_gate_check(&spec, &side, NULL, GY_STR_NULL, GY_STR_NULL, &g_arena, &r, &err),
                  err);
    assert_false(r.blessed);
}

static void test_json(void **state)
{
    (void)state;
    struct gy_gate_spec spec = {.n_bounds = 1, .n_slices = 1};
    spec.bounds[0] = bound("f1", 0.8, 0.0);
    spec.slices[0] = GY_STR("a > 'x\"'");
    const struct gy_gate_value values[] = {value("f1", 0.9)};
    const struct gy_gate_group all = {.rows = 10, .values = values, .n_values = 1};
    const struct gy_gate_side side = {GY_STR("d"), 0, &all, 1};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, check(&spec, &side, NULL, &r, &err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_gate_write(&w, &r);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_status(GY_OK, gy_json_parse(gy_buf_str(&out), &doc, &err), err);
    yyjson_val *list = yyjson_doc_get_root(doc);
    assert_int_equal(yyjson_arr_size(list), 6);
    yyjson_val *min = yyjson_arr_get(list, 2);
    assert_str(gy_json_str(min, "metric"), "f1");
    assert_str(gy_json_str(min, "bound"), ">= 0.8");
    assert_true(gy_json_f64(min, "value", 0) == 0.9);
    assert_true(yyjson_is_null(gy_json_get(min, "slice")));
    assert_true(gy_json_bool(min, "passed", false));
    yyjson_val *change = yyjson_arr_get(list, 3);
    assert_str(gy_json_str(change, "bound"), "champion >= 0");
    assert_true(yyjson_is_null(gy_json_get(change, "passed")));
    assert_true(yyjson_is_null(gy_json_get(change, "champion")));
    assert_str(gy_json_str(yyjson_arr_get(list, 4), "slice"), "a > 'x\"'");
}

static void expect_origin(struct gy_gate_spec *spec, struct gy_gate_origin origin, const char *kind,
                          enum gy_check_result result, const char *reason)
{
    const struct gy_gate_value values[] = {value("f1", 0.9)};
    const struct gy_gate_group all = {.rows = 10, .values = values, .n_values = 1};
    struct gy_gate_side side = {
        .digest = GY_STR("d"), .groups = &all, .n_groups = 1, .origin = origin};
    struct gy_gate_result r;
    struct gy_err err = GY_ERR_INIT;
    spec->n_bounds = 1;
    spec->bounds[0] = bound("f1", 0.5, NAN);
    assert_status(GY_OK, check(spec, &side, NULL, &r, &err), err);
    const struct gy_gate_check *c = find(&r, kind, NULL, kind);
    if (c->result != result || !strstr(c->reason, reason)) {
        fail_msg("%s: %d, %s", kind, c->result, c->reason);
    }
    assert_int_equal(r.blessed, result != GY_CHECK_FAILED);
    assert_int_equal(r.n_checks, 4);
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_origin(void **state)
{
    (void)state;
    struct gy_gate_spec dirty = {.refuse_dirty = true}, unpinned = {.refuse_unpinned = true};
    struct gy_gate_spec usecase = {.needs_usecase = true};
    struct gy_gate_origin o = {.code_revision = GY_STR(COMMIT), .data_sha256 = GY_STR(SHA256)};
    expect_origin(&dirty, o, "clean", GY_CHECK_PASSED, "commit 0123456789ab");
    expect_origin(&unpinned, o, "pinned", GY_CHECK_PASSED, "data 0123456789ab, code 0123456789ab");
    o.dirty = true;
    expect_origin(&dirty, o, "clean", GY_CHECK_FAILED, "differs from commit 0123456789ab");
    o.dirty = false;
    o.code_revision = GY_STR(COMMIT "+dirty");
    expect_origin(&dirty, o, "clean", GY_CHECK_FAILED, "it is dirty");
    expect_origin(&unpinned, o, "pinned", GY_CHECK_PASSED, "code");
    o.data_sha256 = GY_STR("5a5a5a5a"); /* MLflow's own digests name no bytes */
    expect_origin(&unpinned, o, "pinned", GY_CHECK_FAILED, "no bytes of data");
    o.code_revision = GY_STR("unversioned");
    expect_origin(&dirty, o, "clean", GY_CHECK_SKIPPED, "no code revision is known");
    expect_origin(&unpinned, o, "pinned", GY_CHECK_FAILED, "neither");
    o.data_sha256 = GY_STR(SHA256);
    o.code_revision = GY_STR_NULL;
    expect_origin(&unpinned, o, "pinned", GY_CHECK_FAILED, "no code revision");
    expect_origin(&usecase, o, "usecase", GY_CHECK_FAILED, "attached to no use case");
    o.usecase = GY_STR("ward");
    o.usecase_state = GY_STR("requested");
    expect_origin(&usecase, o, "usecase", GY_CHECK_FAILED, "use case 'ward' is requested");
    o.usecase_state = GY_STR("approved");
    expect_origin(&usecase, o, "usecase", GY_CHECK_PASSED, "is approved");
}

static gy_status check_once(void *ctx, struct gy_err *err)
{
    const struct gy_gate_side *side = ctx;
    struct gy_gate_spec spec = {
        .n_bounds = 1, .refuse_dirty = true, .refuse_unpinned = true, .needs_usecase = true};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_gate_result r;
    gy_arena_init(&a, GY_MIB);
    spec.bounds[0] = bound("f1", 0.8, 0.0);
    return gy_gate_check(&spec, side, side, GY_STR("no"), GY_STR("x"), &a, &r, err);
}

static void test_torture(void **state)
{
    (void)state;
    const struct gy_gate_value values[] = {value("f1", 0.9)};
    const struct gy_gate_group all = {.rows = 10, .values = values, .n_values = 1};
    struct gy_gate_side side = {GY_STR("d"), 1, &all, 1, .origin = {GY_STR("c+dirty")}};
    torture(check_once, &side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_zero_baseline_is_not_blessed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_against_the_champion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_missing_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends_of_the_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_origin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
