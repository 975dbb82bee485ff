/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "flow/project.h"
#include "unit.h"

static char g_dir[64];
static char g_file[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(g_dir);
    (void)snprintf(g_file, sizeof g_file, "%s/gyre.yaml", g_dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_done(g_dir);
    return 0;
}

static gy_status load(const char *text, struct gy_project **ret, struct gy_err *err)
{
    gy_status status = gy_file_write(g_file, gy_str_c(text), 0644, err);
    return status == GY_OK ? gy_project_load(g_dir, ret, err) : status;
}

static const char whole[] =
    "name: sepsis\n"
    "endpoints:\n"
    "  sepsis: {model: models:/sepsis@champion}\n"
    "gate:\n"
    "  approval: required\n"
    "  protect: [champion, shadow]\n"
    "  metrics:\n"
    "    - {name: recall, min: 0.75}\n"
    "    - {name: f1, min: 0.80, champion_change_min: 0.0, on: overall}\n"
    "    - {name: log_loss, max: 1, champion_change_max: 0.01, on: slices}\n"
    "  slices: [\"HR > 90\", \"HR <= 90\"]\n"
    "watch: {window: {rows: 1000}}\n";

static void test_whole(void **state)
{
    (void)state;
    GY_AUTO(gy_project_free) struct gy_project *p = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, load(whole, &p, &err), err);
    assert_str(p->name, "sepsis");
    const struct gy_gate_spec *g = &p->gate;
    assert_true(g->needs_approval);
    assert_int_equal(g->n_protect, 2);
    assert_str(g->protect[1], "shadow");
    assert_int_equal(g->n_slices, 2);
    assert_str(g->slices[0], "HR > 90");
    assert_int_equal(g->n_bounds, 3);
    assert_str(g->bounds[0].metric, "recall");
    assert_true(g->bounds[0].min == 0.75);
    assert_true(isnan(g->bounds[0].max));
    assert_int_equal(g->bounds[0].where, GY_GATE_ALL);
    assert_true(g->bounds[1].champion_change_min == 0.0);
    assert_int_equal(g->bounds[1].where, GY_GATE_OVERALL);
    assert_true(g->bounds[2].max == 1.0);
    assert_true(g->bounds[2].champion_change_max == 0.01);
    assert_int_equal(g->bounds[2].where, GY_GATE_SLICES);
    assert_non_null(gy_yaml_path(p->endpoints, GY_STR("sepsis.model")));
    assert_int_equal(gy_yaml_path(p->watch, GY_STR("window.rows"))->i, 1000);
    assert_null(p->triggers);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } rows[] = {
        {"nme: x\n", "gyre.yaml:1: unknown key 'nme'", "did you mean 'name'?"},
        {"gates: {}\n", "gyre.yaml:1: unknown key 'gates'", "did you mean 'gate'?"},
        {"name: [a]\n", "gyre.yaml:1:7: name must be a text", ""},
        {"gate:\n  metric: []\n", "gyre.yaml:2: unknown key 'metric'", "did you mean 'metrics'?"},
        {"gate: {metrics: [{name: f1}]}\n", "has no limit", ""},
        {"gate: {metrics: [{min: 1}]}\n", "name of a gate metric must be a text", ""},
        {"gate: {metrics: [{name: f1, min: high}]}\n", "min must be a number", ""},
        {"gate: {metrics: [{name: f1, min: .nan}]}\n", "min must be a number", ""},
        {"gate: {metrics: [{name: f1, min: 0.9, max: 0.1}]}\n", "min is above max", ""},
        {"gate: {metrics: [{name: f1, minimum: 0.9}]}\n", "unknown key 'minimum'", ""},
        {"gate: {metrics: [{name: f1, min: 1, on: half}]}\n", "all, overall or slices", ""},
        {"gate: {metrics: {name: f1}}\n", "metrics must be a list", ""},
        {"gate: {slices: [\"HR >\"]}\n", "slices: a value is missing", ""},
        {"gate: {slices: \"HR > 1\"}\n", "slices must be a list", ""},
        {"gate: {approval: maybe}\n", "required or none", ""},
        {"gate: {approval: {four_eye: true}}\n", "unknown key 'four_eye'", "'four_eyes'"},
        {"gate: {approval: {four_eyes: yes please}}\n", "four_eyes must be true or false", ""},
        {"gate: {usecase: yes}\n", "usecase must be required or none", ""},
        {"gate: {refuse: dirty}\n", "refuse must be a list", ""},
        {"gate: {refuse: [dirt]}\n", "refuse knows dirty and unpinned", ""},
        {"gate: {refuse: [dirty, dirty, dirty]}\n", "more than 2 entries", ""},
        {"gate: 3\n", "must be a map", ""},
        {"[]\n", "must be a map", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gy_project *p = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = load(rows[i].text, &p, &err);
        if ((status != GY_E_INVALID && status != GY_E_PARSE) || !strstr(err.msg, rows[i].message) ||
            !strstr(err.hint, rows[i].hint)) {
            fail_msg("%s gave %s: %s (%s)", rows[i].text, gy_status_name(status), err.msg,
                     err.hint);
        }
    }
}

static void test_what_a_gate_asks_beside_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool approval, four_eyes, usecase, dirty, unpinned;
    } rows[] = {
        {"gate: {approval: {four_eyes: true}}\n", true, true, false, false, false},
        {"gate: {approval: {required: false, four_eyes: true}}\n", false, true, false, false,
         false},
        {"gate: {approval: {}}\n", true, false, false, false, false},
        {"gate: {approval: none, usecase: required}\n", false, false, true, false, false},
        {"gate: {usecase: none, refuse: [unpinned]}\n", false, false, false, false, true},
        {"gate: {refuse: [dirty, unpinned]}\n", false, false, false, true, true},
        {"gate: {refuse: }\n", false, false, false, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_AUTO(gy_project_free) struct gy_project *p = NULL;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, load(rows[i].text, &p, &err), err);
        assert_int_equal(p->gate.needs_approval, rows[i].approval);
        assert_int_equal(p->gate.four_eyes, rows[i].four_eyes);
        assert_int_equal(p->gate.needs_usecase, rows[i].usecase);
        assert_int_equal(p->gate.refuse_dirty, rows[i].dirty);
        assert_int_equal(p->gate.refuse_unpinned, rows[i].unpinned);
    }
}

static void test_absent_is_fine(void **state)
{
    (void)state;
    GY_AUTO(gy_project_free) struct gy_project *p = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_project_load(g_dir, &p, &err), err);
    assert_str(p->name, strrchr(g_dir, '/') + 1);
    assert_int_equal(p->gate.n_bounds, 0);
    assert_false(p->gate.needs_approval);
    assert_int_equal(gy_project_load("/nonexistent", &p, &err), GY_E_NOTFOUND);
}

static void test_found_upwards(void **state)
{
    (void)state;
    char deep[160];
    char found[GY_MAX_PATH];
    char real[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    assert_non_null(realpath(g_dir, real));
    (void)snprintf(deep, sizeof deep, "%s/a/b", g_dir);
    assert_status(GY_OK, gy_dir_make(deep, &err), err);
    assert_int_equal(gy_project_find(deep, found, &err), GY_E_NOTFOUND);
    assert_non_null(strstr(err.hint, "gyre init"));
    char inner[192];
    (void)snprintf(inner, sizeof inner, "%s/a/dvc.yaml", g_dir);
    assert_status(GY_OK, gy_file_write(inner, GY_STR("stages: {}\n"), 0644, &err), err);
    assert_status(GY_OK, gy_project_find(deep, found, &err), err);
    assert_non_null(strstr(found, "/a"));
    /* gyre.yaml names the project even when a pipeline stands nearer. */
    assert_status(GY_OK, gy_file_write(g_file, GY_STR("name: x\n"), 0644, &err), err);
    assert_status(GY_OK, gy_project_find(deep, found, &err), err);
    assert_string_equal(found, real);
}

static gy_status load_whole(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_project_free) struct gy_project *p = NULL;
    return gy_project_load(g_dir, &p, err);
}

static void test_torture(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_file_write(g_file, gy_str_c(whole), 0644, &err), err);
    torture(load_whole, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_gate_asks_beside_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent_is_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_found_upwards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
