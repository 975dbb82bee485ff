/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"
#include "unit.h"

static char g_dir[64];
static char g_file[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(g_dir);
    (void)snprintf(g_file, sizeof g_file, "%s/dvc.yaml", g_dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_done(g_dir);
    return 0;
}

static gy_status load(const char *text, struct gy_flow **ret, struct gy_err *err)
{
    gy_status status = gy_file_write(g_file, gy_str_c(text), 0644, err);
    return status == GY_OK ? gy_flow_load(g_dir, ret, err) : status;
}

static const char whole[] =
    "stages:\n"
    "  train:\n"
    "    cmd: [python train.py, \"echo \\\\${HOME}\"]\n"
    "    desc: the model\n"
    "    deps: [src/, data/clean.csv, ./lib.py]\n"
    "    params: [train.lr, seed, train.lr, other.json: [a.b], all.yaml: ]\n"
    "    outs:\n"
    "      - model:\n"
    "          cache: false\n"
    "      - kept: {persist: true, desc: text}\n"
    "    metrics: [m.json: {cache: false}]\n"
    "    plots: [p.csv: {x: a, y: b}]\n"
    "    meta: {gyre: {manual: false}, other: {anything: [1]}}\n"
    "  clean:\n"
    "    wdir: data\n"
    "    cmd: |\n"
    "      cat raw.csv\n"
    "      mv raw.csv clean.csv\n"
    "    deps: [raw.csv, ../src/a.py]\n"
    "    outs: [clean.csv]\n"
    "    always_changed: true\n"
    "  report:\n"
    "    cmd: x\n"
    "    deps: [model/weights.bin]\n"
    "    frozen: true\n"
    "metrics: [m.json]\n"
    "plots: [p.csv]\n"
    "params: [params.yaml]\n";

static void test_whole(void **state)
{
    (void)state;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, load(whole, &f, &err), err);
    assert_int_equal(f->n_stages, 3);
    const struct gy_flow_stage *train = &f->stages[gy_flow_find(f, GY_STR("train"))];
    assert_true(train->cmd_is_list);
    assert_int_equal(train->n_cmd, 2);
    assert_str(train->cmd[1], "echo ${HOME}"); /* \${ is DVC's escape */
    assert_str(train->desc, "the model");
    assert_int_equal(train->n_deps, 3);
    assert_str(train->deps[0].path, "data/clean.csv"); /* sorted, tidied */
    assert_str(train->deps[1].path, "lib.py");
    assert_str(train->deps[2].path, "src");
    assert_int_equal(train->n_params, 3);
    assert_str(train->params[0].path, "params.yaml"); /* first, whatever its name */
    assert_int_equal(train->params[0].n_keys, 2);
    assert_str(train->params[0].keys[0], "seed");
    assert_str(train->params[1].path, "all.yaml");
    assert_int_equal(train->params[1].n_keys, 0);
    assert_str(train->params[2].keys[0], "a.b");
    assert_int_equal(train->n_outs, 4);
    assert_str(train->outs[0].path, "kept");
    assert_true(train->outs[0].persist && train->outs[0].cache && !train->outs[0].metric);
    assert_str(train->outs[1].path, "m.json");
    assert_true(train->outs[1].metric && !train->outs[1].cache);
    assert_false(train->outs[2].cache);
    const struct gy_flow_stage *clean = &f->stages[gy_flow_find(f, GY_STR("clean"))];
    assert_false(clean->cmd_is_list);
    assert_str(clean->cmd[0], "cat raw.csv\nmv raw.csv clean.csv\n");
    assert_str(clean->wdir, "data");
    assert_str(clean->deps[0].path, "../src/a.py");
    assert_str(clean->deps[0].full, "src/a.py");
    assert_str(clean->outs[0].full, "data/clean.csv");
    assert_true(clean->always_changed);
    const struct gy_flow_stage *report = &f->stages[gy_flow_find(f, GY_STR("report"))];
    assert_true(report->frozen);
    /* report reads a part of train's output; train reads clean's. */
    assert_int_equal(report->n_upstream, 1);
    assert_int_equal(f->order[0], 1);
    assert_int_equal(f->order[1], 0);
    assert_int_equal(f->order[2], 2);
    assert_true(gy_flow_is_output(f, GY_STR("model/weights.bin")));
    assert_false(gy_flow_is_output(f, GY_STR("modelx")));
    assert_true(gy_flow_find(f, GY_STR("nope")) == SIZE_MAX);
}

static void test_select(void **state)
{
    (void)state;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  load("stages:\n  d: {cmd: x, deps: [c]}\n  a: {cmd: x, outs: [a]}\n  b: {cmd: x, "
                       "deps: [a], outs: [b]}\n"
                       "  c: {cmd: x, deps: [b], outs: [c]}\n  lone: {cmd: x}\n",
                       &f, &err),
                  err);
    bool selected[5];
    assert_status(GY_OK, gy_flow_select(f, (const char *const[]){"c"}, 1, selected, &err), err);
    static const bool expected[5] = {false, true, true, true, false};
    assert_memory_equal(selected, expected, sizeof expected);
    assert_status(GY_OK, gy_flow_select(f, NULL, 0, selected, &err), err);
    assert_true(selected[0] && selected[4]);
    assert_int_equal(gy_flow_select(f, (const char *const[]){"nope"}, 1, selected, &err),
                     GY_E_NOTFOUND);
    static const size_t order[5] = {1, 2, 3, 0, 4}; /* the first of the file that may come next */
    assert_memory_equal(f->order, order, sizeof order);
}

static void test_manual_stages_run_only_when_asked_for(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    bool sel[4];
    assert_status(GY_OK,
                  load("stages:\n"
                       "  a: {cmd: x, outs: [a]}\n"
                       "  b: {cmd: x, deps: [a], outs: [b], meta: {gyre: {manual: true}}}\n"
                       "  c: {cmd: x, deps: [b], outs: [c], meta: {gyre: {manual: true}}}\n"
                       "  d: {cmd: x, deps: [a, b]}\n",
                       &f, &err),
                  err);
    assert_status(GY_OK, gy_flow_select(f, NULL, 0, sel, &err), err);
    assert_true(sel[0] && !sel[1] && !sel[2] && sel[3]);
    assert_status(GY_OK, gy_flow_select(f, (const char *const[]){"c"}, 1, sel, &err), err);
    assert_true(sel[0] && sel[1] && sel[2] && !sel[3]);
    assert_status(GY_OK, gy_flow_select(f, (const char *const[]){"d"}, 1, sel, &err), err);
    assert_true(sel[0] && sel[1] && !sel[2] && sel[3]);
    gy_flow_free(f);
    f = NULL;
    static const char *const bad[] = {"{gyre: {manul: true}}", "{gyre: {manual: 1}}",
                                      "{gyre: [1]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "stages:\n  a: {cmd: x, meta: %s}\n", bad[i]);
        assert_int_equal(load(text, &f, &err), GY_E_INVALID);
        assert_non_null(strstr(err.msg, "dvc.yaml:2"));
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gy_status status;
        const char *message;
    } rows[] = {
        {"stags: {}\n", GY_E_INVALID, "dvc.yaml:1: unknown key 'stags'"},
        {"vars: [a.yaml]\n", GY_E_UNSUPPORTED, "dvc.yaml:1:7: 'vars' is DVC's"},
        {"artifacts: {}\n", GY_E_UNSUPPORTED, "'artifacts'"},
        {"stages: []\n", GY_E_INVALID, "stages must be a map"},
        {"stages:\n  a:\n    deps: [x]\n", GY_E_INVALID, "'a' has no cmd"},
        {"stages: {a: {cmd: }}\n", GY_E_INVALID, "cmd must be a text"},
        {"stages: {a: {cmd: []}}\n", GY_E_INVALID, "cmd is empty"},
        {"stages: {a: {cmd: x, dep: [y]}}\n", GY_E_INVALID, "unknown key 'dep'"},
        {"stages: {a: {cmd: x, matrix: {m: [1]}}}\n", GY_E_UNSUPPORTED, "'matrix'"},
        {"stages: {a: {foreach: [1], do: {cmd: x}}}\n", GY_E_UNSUPPORTED, "'foreach'"},
        {"stages:\n  a:\n    cmd: echo ${x}\n", GY_E_UNSUPPORTED,
         "dvc.yaml:3:10: the interpolation"},
        {"stages: {a: {cmd: x, deps: [\"${d}\"]}}\n", GY_E_UNSUPPORTED, "interpolation"},
        {"stages: {a: {cmd: x, outs: [{\"${d}\": {cache: false}}]}}\n", GY_E_UNSUPPORTED,
         "interpolation"},
        {"stages: {a: {cmd: x, deps: [s3://b/k]}}\n", GY_E_UNSUPPORTED, "remotes"},
        {"stages: {a: {cmd: x, deps: [/etc/passwd]}}\n", GY_E_UNSUPPORTED,
         "outside of the project"},
        {"stages: {a: {cmd: x, outs: [../x]}}\n", GY_E_UNSUPPORTED, "outside of the project"},
        {"stages: {a: {cmd: x, wdir: a/../.., outs: [x]}}\n", GY_E_UNSUPPORTED,
         "outside of the project"},
        {"stages: {a: {cmd: x, outs: [.]}}\n", GY_E_INVALID, "the project itself"},
        {"stages: {a: {cmd: x, outs: [{m: {cash: false}}]}}\n", GY_E_INVALID, "unknown key 'cash'"},
        {"stages: {a: {cmd: x, outs: [{m: {push: false}}]}}\n", GY_E_UNSUPPORTED, "'push'"},
        {"stages: {a: {cmd: x, outs: [{m: {cache: 0}}]}}\n", GY_E_INVALID,
         "cache must be true or false"},
        {"stages: {a: {cmd: x, outs: [{m: {}, n: {}}]}}\n", GY_E_INVALID, "an output with flags"},
        {"stages: {a: {cmd: x, outs: m}}\n", GY_E_INVALID, "outs must be a list"},
        {"stages: {a: {cmd: x, params: [{p.toml: [a]}]}}\n", GY_E_UNSUPPORTED,
         ".yaml, .yml and .json"},
        {"stages: {a: {cmd: x, frozen: 1}}\n", GY_E_INVALID, "frozen must be true or false"},
        {"stages: {a@b: {cmd: x}}\n", GY_E_INVALID, "'a@b' is not a stage name"},
        {"stages: {a/b: {cmd: x}}\n", GY_E_INVALID, "not a stage name"},
        {"stages:\n  a: {cmd: x, outs: [d]}\n  b: {cmd: x, outs: [d/e]}\n", GY_E_INVALID,
         "overlap"},
        {"stages:\n  a: {cmd: x, outs: [d]}\n  b: {cmd: x, outs: [./d]}\n", GY_E_INVALID,
         "overlap"},
        {"stages:\n  a: {cmd: x, outs: [d, d-1, d/e]}\n", GY_E_INVALID, "overlap"},
        {"stages:\n  a: {cmd: x, deps: [b], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n",
         GY_E_INVALID, "dvc.yaml:2: these stages wait for each other: a, b"},
        {"stages:\n  a: {cmd: x, deps: [a], outs: [a]}\n", GY_E_INVALID, "wait for each other: a"},
        {"a: 1\na: 2\n", GY_E_PARSE, "twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gy_flow *f = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = load(rows[i].text, &f, &err);
        if (status != rows[i].status || !strstr(err.msg, rows[i].message)) {
            fail_msg("%s gave %s: %s", rows[i].text, gy_status_name(status), err.msg);
        }
        assert_null(f);
    }
}

static void test_neighbours_do_not_overlap(void **state)
{
    (void)state;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  load("stages: {a: {cmd: x, outs: [d, d-1, d.x, dd/e]}, b: {cmd: x, deps: [d-], "
                       "outs: [e]}}\n",
                       &f, &err),
                  err);
    assert_int_equal(f->stages[1].n_upstream, 0);
}

static void test_empty(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# none yet\n", "stages: {}\n", "stages:\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, load(texts[i], &f, &err), err);
        assert_int_equal(f->n_stages, 0);
    }
    struct gy_flow *f = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(unlink(g_file), 0);
    assert_int_equal(gy_flow_load(g_dir, &f, &err), GY_E_NOTFOUND);
    assert_true(err.hint[0] != '\0');
}

static gy_status load_whole(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    return gy_flow_load(g_dir, &f, err);
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
        cmocka_unit_test_setup_teardown(test_select, setup, teardown),
        cmocka_unit_test_setup_teardown(test_manual_stages_run_only_when_asked_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neighbours_do_not_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
