/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of MLflow's file store, places of artifacts, and what can be served. */
#include "unit.h"

#include <math.h>
#include <string.h>

#include "base/yaml.h"
#include "cli/move.h"

/* ---- metric lines ---- */

static void lines_that_mlflow_writes(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_metric m;
    (void)state;
    assert_status(GY_OK, gy_move_metric_line(GY_STR("1700000000000 0.25 7\n"), false, &m, &err),
                  err);
    assert_int_equal(m.ts_ms, 1700000000000);
    assert_int_equal(m.step, 7);
    assert_true(m.value == 0.25);
    assert_null(m.dataset_name.p);
    assert_status(GY_OK, gy_move_metric_line(GY_STR("5 1e-05"), false, &m, &err), err);
    assert_int_equal(m.step, 0); /* of the first MLflow: no steps */
    assert_status(GY_OK, gy_move_metric_line(GY_STR("5 nan -3 my data set abc12"), false, &m, &err),
                  err);
    assert_true(isnan(m.value));
    assert_int_equal(m.step, -3);
    assert_str(m.dataset_name, "my data set");
    assert_str(m.dataset_digest, "abc12");
    assert_status(GY_OK, gy_move_metric_line(GY_STR("5 -inf 3 run1 d e"), true, &m, &err), err);
    assert_true(isinf(m.value) && m.value < 0);
    assert_str(m.run_id, "run1");
    assert_str(m.dataset_name, "d");
    assert_status(GY_OK, gy_move_metric_line(GY_STR("5 0.5 3 run1"), true, &m, &err), err);
    assert_null(m.dataset_name.p);
}

static void lines_that_are_damaged(void **state)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "x 1 1",
                                      "5 1.0.0 1",
                                      "5 0x10 1",
                                      "5 1 1.5",
                                      "5 1 2 name",
                                      "5 1 2 name ",
                                      "5 - 1",
                                      "5 1e 1",
                                      "99999999999999999999 1 1",
                                      "5 infinit 1"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        struct gy_metric m;
        assert_int_equal(gy_move_metric_line(gy_str_c(bad[i]), false, &m, &err), GY_E_INVALID);
        assert_true(err.msg[0] != '\0');
    }
    struct gy_metric m;
    assert_int_equal(gy_move_metric_line(GY_STR("5 1 2"), true, &m, NULL), GY_E_INVALID);
    assert_int_equal(gy_move_metric_line(GY_STR("5 1 2 run data"), true, &m, NULL), GY_E_INVALID);
}

static void numbers_as_python_writes_them(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1.0", 1},        {"+2.5", 2.5},          {"-0.5", -0.5},
                {"1e+16", 1e16},   {"Infinity", INFINITY}, {"-inf", -INFINITY},
                {"+INF", INFINITY}};
    double v = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gy_move_number(gy_str_c(good[i].text), &v, NULL), GY_OK);
        assert_true(v == good[i].value);
    }
    assert_int_equal(gy_move_number(GY_STR("NaN"), &v, NULL), GY_OK);
    assert_true(isnan(v));
    assert_int_equal(gy_move_number(GY_STR("--1"), &v, NULL), GY_E_INVALID);
    assert_int_equal(gy_move_number(GY_STR(""), &v, NULL), GY_E_INVALID);
}

/* ---- meta.yaml ---- */

struct meta {
    struct gy_arena a;
    struct gy_yaml *y;
    struct gy_err err;
};

static void open_meta(struct meta *m, const char *text)
{
    *m = (struct meta){.y = NULL};
    gy_arena_init(&m->a, GY_MIB);
    assert_status(GY_OK, gy_yaml_parse(gy_str_c(text), "meta.yaml", &m->y, &m->err), m->err);
}

static void close_meta(struct meta *m)
{
    gy_yaml_free(m->y);
    gy_arena_done(&m->a);
}

static void a_run_of_today_and_one_of_old(void **state)
{
    struct meta m;
    struct gy_run r;
    (void)state;
    open_meta(
        &m,
        "artifact_uri: file:///x/artifacts\nend_time: 1700000000001\nentry_point_name: ''\n"
        "experiment_id: '84321'\nlifecycle_stage: deleted\nrun_id: abc\nrun_name: \"n\\u00fc\"\n"
        "source_type: 4\nstart_time: 1700000000000\nstatus: 4\ntags: []\nuser_id: ada\n");
    assert_status(GY_OK, gy_move_meta_run(m.y, &m.a, &r, &m.err), m.err);
    assert_str(r.id, "abc");
    assert_str(r.name, "n\xc3\xbc");
    assert_str(r.status, "FAILED");
    assert_int_equal(r.experiment_id, 84321);
    assert_int_equal(r.end_ms, 1700000000001);
    assert_true(r.deleted);
    close_meta(&m);
    open_meta(&m, "run_uuid: old\nname: ''\nexperiment_id: 0\nend_time: null\nstatus: FINISHED\n");
    assert_status(GY_OK, gy_move_meta_run(m.y, &m.a, &r, &m.err), m.err);
    assert_str(r.id, "old");
    assert_str(r.status, "FINISHED");
    assert_int_equal(r.end_ms, 0);
    assert_false(r.deleted);
    close_meta(&m);
}

static void meta_that_is_cut_off(void **state)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"experiment_id: '1'\n", "run_uuid"},
        {"run_id: a\n", "experiment_id"},
        {"run_id: a\nexperiment_id: one\n", "experiment_id"},
        {"run_id: a\nexperiment_id: 1\nstatus: 9\n", "meta.yaml:3"},
        {"run_id: a\nexperiment_id: 1\nstart_time: noon\n", "start_time"},
        {"run_id: ../a\nexperiment_id: 1\n", "no id of a run"},
        {"- 1\n", "run_uuid"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct meta m;
        struct gy_run r;
        open_meta(&m, bad[i].text);
        assert_int_equal(gy_move_meta_run(m.y, &m.a, &r, &m.err), GY_E_INVALID);
        assert_non_null(strstr(m.err.msg, bad[i].said));
        close_meta(&m);
    }
}

/* The product was undefined, and what came of it a time before all others. */
static void times_that_do_not_fit_are_the_last_that_do(void **state)
{
    struct meta m;
    struct gy_experiment e;
    (void)state;
    assert_int_equal(gy_move_us(1700000000123), 1700000000123000);
    assert_int_equal(gy_move_us(INT64_MAX), INT64_MAX / 1000 * 1000);
    assert_int_equal(gy_move_us(INT64_MIN), -(INT64_MAX / 1000 * 1000));
    open_meta(&m, "experiment_id: 1\nname: e\ncreation_time: 9223372036854775807\n");
    assert_status(GY_OK, gy_move_meta_experiment(m.y, &m.a, &e, &m.err), m.err);
    assert_int_equal(e.created_us, INT64_MAX / 1000 * 1000);
    close_meta(&m);
}

static void versions_and_models(void **state)
{
    struct meta m;
    struct gy_transfer_version v;
    struct gy_logged_model l;
    struct gy_experiment e;
    struct gy_registered_model r;
    (void)state;
    open_meta(&m,
              "name: iris\nversion: '3'\ncurrent_stage: Deleted_Internal\ncreation_timestamp: 5\n"
              "run_id: null\nsource: s3://b/x\n");
    assert_status(GY_OK, gy_move_meta_version(m.y, &m.a, &v, &m.err), m.err);
    assert_true(v.deleted && v.v.version == 3 && v.v.updated_us == 5000);
    assert_str(v.v.stage, "None");
    assert_null(v.v.run_id.p);
    assert_status(GY_OK, gy_move_meta_model(m.y, &m.a, &r, &m.err), m.err);
    assert_str(r.name, "iris");
    assert_int_equal(gy_move_meta_experiment(m.y, &m.a, &e, &m.err), GY_E_INVALID);
    close_meta(&m);
    open_meta(&m, "model_id: m-1\nexperiment_id: '2'\nname: x\nstatus: 3\nlifecycle_stage: active\n"
                  "artifact_location: /a\ncreation_timestamp: 7\nlast_updated_timestamp: 8\n");
    assert_status(GY_OK, gy_move_meta_logged(m.y, &m.a, &l, &m.err), m.err);
    assert_int_equal(l.status, GY_LOGGED_FAILED);
    assert_true(l.created_us == 7000 && l.updated_us == 8000 && !l.deleted);
    assert_int_equal(gy_move_meta_version(m.y, &m.a, &v, &m.err), GY_E_INVALID);
    close_meta(&m);
}

/* ---- places ---- */

static void places_on_this_machine(void **state)
{
    static const struct {
        const char *uri, *base, *root, *want; /* want NULL: elsewhere */
    } cases[] = {
        {"file:///a/b%20c", NULL, NULL, "/a/b c"},
        {"file:/a/b", NULL, NULL, "/a/b"},
        {"file://localhost/a", NULL, NULL, "/a"},
        {"/a/b%20c", NULL, NULL, "/a/b%20c"},
        {"./mlruns/1", "/base", NULL, "/base/./mlruns/1"},
        {"mlflow-artifacts:/1/x", NULL, "/root", "/root/1/x"},
        {"mlflow-artifacts://host:5/1/x", NULL, "/root", "/root/1/x"},
        {"mlflow-artifacts:/1/x", NULL, NULL, NULL},
        {"mlflow-artifacts:/../x", NULL, "/root", NULL},
        {"s3://bucket/x", "/base", "/root", NULL},
        {"dbfs:/x", "/base", NULL, NULL},
        {"file:///a%00b", NULL, NULL, NULL},
        {"file:relative", NULL, NULL, NULL},
        {"", "/base", NULL, NULL},
    };
    char out[GY_MAX_PATH];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool here = gy_move_local(gy_str_c(cases[i].uri), cases[i].base, cases[i].root, out);
        assert_int_equal(here, cases[i].want != NULL);
        if (here) {
            assert_string_equal(out, cases[i].want);
        }
    }
    assert_str(gy_move_plain(GY_STR("file:///a/b/")), "/a/b");
    assert_str(gy_move_plain(GY_STR("s3://b/x/")), "s3://b/x");
}

/* ---- what can be served ---- */

static void models_by_their_flavors(void **state)
{
    static const struct {
        const char *text;
        enum gy_move_serve serve;
    } cases[] = {
        {"flavors:\n  python_function:\n    loader_module: m\n  xgboost:\n    data: model.ubj\n",
         GY_MOVE_NATIVE},
        {"flavors:\n  xgboost:\n    data: model.xgb\n", GY_MOVE_EXPORT},
        {"flavors:\n  sklearn:\n    pickled_model: m.pkl\n", GY_MOVE_EXPORT},
        {"flavors:\n  gyre:\n    package: 1\n  sklearn: {}\n", GY_MOVE_NATIVE},
        {"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n", GY_MOVE_NOT},
        {"nothing: here\n", GY_MOVE_NOT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_err err = GY_ERR_INIT;
        enum gy_move_serve serve = GY_MOVE_NOT;
        const char *why = NULL;
        gy_arena_init(&a, GY_MIB);
        assert_status(GY_OK, gy_move_servable(gy_str_c(cases[i].text), &a, &serve, &why, &err),
                      err);
        assert_int_equal(serve, cases[i].serve);
        assert_true(why && why[0]);
    }
}

/* ---- the report ---- */

static void a_report_counts_more_than_it_lists(void **state)
{
    struct gy_move_report r;
    (void)state;
    gy_move_report_init(&r);
    for (int i = 0; i < GY_MOVE_MAX_LISTED + 50; i++) {
        gy_move_reject(&r, "where", "why");
        gy_move_note(&r, "%s", i % 2 ? "odd" : "even");
    }
    assert_int_equal(r.n_rejected, GY_MOVE_MAX_LISTED + 50);
    assert_int_equal(r.n_listed, GY_MOVE_MAX_LISTED);
    assert_int_equal(r.n_notes, 2);
    gy_move_report_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_mlflow_writes),
        cmocka_unit_test(lines_that_are_damaged),
        cmocka_unit_test(numbers_as_python_writes_them),
        cmocka_unit_test(a_run_of_today_and_one_of_old),
        cmocka_unit_test(meta_that_is_cut_off),
        cmocka_unit_test(versions_and_models),
        cmocka_unit_test(times_that_do_not_fit_are_the_last_that_do),
        cmocka_unit_test(places_on_this_machine),
        cmocka_unit_test(models_by_their_flavors),
        cmocka_unit_test(a_report_counts_more_than_it_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
