/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of cells into stages, and the files of a plan against a folder. What the cells' code means
 * is Python's part: tests/interop/test_notebook_import.py. */
#include "flow/notebook.h"

#include "base/yaml.h"
#include "flow/notebook_internal.h"
#include "unit.h"

#define CELL(tags, source) \
    "{\"cell_type\":\"code\",\"metadata\":{\"tags\":[" tags "]},\"source\":\"" source "\"}"
#define NOTEBOOK(cells) \
    "{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{},\"cells\":[" cells "]}"

static void test_tags_make_stages(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_notebook_free) struct gy_notebook *n = NULL;
    const char *text =
        NOTEBOOK("{\"cell_type\":\"markdown\",\"metadata\":{},\"source\":\"# hello\"}," CELL(
            "\"parameters\"",
            "a = 1") "," CELL("",
                              "import os") "," CELL("\"x\",\"stage:one\"",
                                                    "b = a") ","
                                                             "{\"cell_type\":\"code\",\"metadata\":"
                                                             "{},\"source\":[\"c = 1\\n\",\"d = "
                                                             "2\"]}," CELL(
                                                                 "\"stage:two\",\"skip\"",
                                                                 "e") "," CELL("\"gyre:stage=two\","
                                                                               "\"metrics\"",
                                                                               "f = 1"));
    assert_status(GY_OK, gy_notebook_parse(gy_str_c(text), "n.ipynb", &n, &err), err);
    static const enum gy_cell_role roles[] = {GY_CELL_PARAMETERS, GY_CELL_SETUP, GY_CELL_STAGE,
                                              GY_CELL_STAGE,      GY_CELL_SKIP,  GY_CELL_STAGE};
    assert_int_equal(n->n_cells, 6);
    assert_int_equal(n->n_stages, 2);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(n->cells[i].role, roles[i]);
        assert_int_equal(n->cells[i].number, i + 2);
    }
    assert_str(n->cells[3].source, "c = 1\nd = 2");
    assert_str(n->cells[3].stage, "one");
    assert_str(n->cells[5].stage, "two");
    assert_true(n->cells[5].metrics && !n->cells[3].metrics);
}

static void test_what_is_no_notebook_of_ours(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gy_status want;
        const char *words;
    } cases[] = {
        {"", GY_E_PARSE, "no Jupyter notebook"},
        {"[1]", GY_E_INVALID, "no nbformat"},
        {"{\"nbformat\":3,\"worksheets\":[]}", GY_E_UNSUPPORTED, "nbformat 3"},
        {"{\"nbformat\":5,\"cells\":[]}", GY_E_UNSUPPORTED, "nbformat 5"},
        {"{\"nbformat\":4}", GY_E_INVALID, "cells"},
        {"{\"nbformat\":4,\"cells\":[]}", GY_E_INVALID, "no cell"},
        {"{\"nbformat\":4,\"cells\":[{\"cell_type\":\"code\"}]}", GY_E_INVALID, "no source"},
        {"{\"nbformat\":4,\"metadata\":{\"kernelspec\":{\"name\":\"ir\",\"language\":\"R\"}},"
         "\"cells\":[]}",
         GY_E_UNSUPPORTED, "of R"},
        {"{\"nbformat\":4,\"metadata\":{\"language_info\":{\"name\":\"julia\"}},\"cells\":[]}",
         GY_E_UNSUPPORTED, "of julia"},
        {NOTEBOOK(CELL("\"stage:a/b\"", "x")), GY_E_INVALID, "no name"},
        {NOTEBOOK(CELL("\"stage:gyre_notebook\"", "x")), GY_E_INVALID, "no name"},
        {NOTEBOOK(CELL("\"stage:\"", "x")), GY_E_INVALID, "no name"},
        {NOTEBOOK(CELL("\"stage\"", "x")), GY_E_INVALID, "means nothing"},
        {NOTEBOOK(CELL("\"gyre:stages=a\"", "x")), GY_E_INVALID, "means nothing"},
        {NOTEBOOK(
             CELL("\"stage:a\"", "x") "," CELL("\"stage:b\"", "x") "," CELL("\"stage:a\"", "x")),
         GY_E_INVALID, "comes back"},
        {NOTEBOOK(CELL("\"stage:a\"", "x") "," CELL("\"parameters\"", "x")), GY_E_INVALID,
         "before the first stage"},
        {NOTEBOOK(CELL("\"metrics\"", "x") "," CELL("\"stage:a\"", "x")), GY_E_INVALID, "no stage"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        GY_AUTO(gy_notebook_free) struct gy_notebook *n = NULL;
        gy_status got = gy_notebook_parse(gy_str_c(cases[i].text), "n.ipynb", &n, &err);
        assert_status(cases[i].want, got, err);
        assert_null(n);
        if (!strstr(err.msg, cases[i].words)) {
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].words);
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_notebook_free) struct gy_notebook *n = NULL;
    gy_buf_init(&text, GY_NOTEBOOK_MAX_BYTES);
    gy_buf_addc(&text, "{\"nbformat\":4,\"cells\":[" CELL("\"stage:a\"", "x"));
    for (int i = 0; i < GY_NOTEBOOK_MAX_CELLS; i++) {
        gy_buf_addc(&text, "," CELL("", "x"));
    }
    gy_buf_addc(&text, "]}");
    assert_status(GY_E_TOOBIG, gy_notebook_parse(gy_buf_str(&text), "n", &n, &err), err);
    gy_buf_reset(&text);
    gy_buf_addc(&text, "{\"nbformat\":4,\"cells\":[");
    for (int i = 0; i <= GY_NOTEBOOK_MAX_STAGES; i++) {
        gy_buf_addf(&text,
                    "%s{\"cell_type\":\"code\",\"metadata\":{\"tags\":[\"stage:s%d\"]},"
                    "\"source\":\"\"}",
                    i ? "," : "", i);
    }
    gy_buf_addc(&text, "]}");
    assert_status(GY_E_TOOBIG, gy_notebook_parse(gy_buf_str(&text), "n", &n, &err), err);
    gy_buf_reset(&text);
    gy_buf_addc(&text, "{\"nbformat\":4,\"cells\":[");
    for (int k = 0; k < 2; k++) { /* each below the limit, not together */
        gy_buf_addc(&text, k ? "," : "");
        gy_buf_addc(&text, "{\"cell_type\":\"code\",\"metadata\":{},\"source\":\"");
        for (size_t i = 0; i < GY_NOTEBOOK_MAX_CODE / 2 + 1; i++) {
            gy_buf_add_char(&text, '#');
        }
        gy_buf_addc(&text, "\"}");
    }
    gy_buf_addc(&text, "]}");
    assert_status(GY_E_TOOBIG, gy_notebook_parse(gy_buf_str(&text), "n", &n, &err), err);
    assert_null(n);
}

static gy_status parse_once(void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_notebook_free) struct gy_notebook *n = NULL;
    (void)ctx;
    return gy_notebook_parse(
        gy_str_c(NOTEBOOK(CELL("\"parameters\"", "a = 1") "," CELL("\"stage:one\"", "b = a"))),
        "n.ipynb", &n, err);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    torture(parse_once, NULL);
}

/* ---- the files ---- */

static const char g_plan[] =
    "{\"params\":{\"rate\":1e-05,\"big\":1e22,\"on\":true,\"n\":-3,\"none\":null,"
    "\"s\":\"a: \\\"b\\\" \\\\ \\u0001\\u0085\\u2028\\ufeff\\u00f6\",\"l\":[1,[2.0,\"x\"]],"
    "\"m\":{\"a b\":1,\"c\":{}}},"
    "\"stages\":[{\"name\":\"one\",\"script\":\"x = 1\\n\",\"deps\":[\"123\",\"a ${b}.csv\"],"
    "\"params\":[\"rate\",\"on\"],\"outs\":[\"o.bin\"],\"metrics\":[\"m.json\"]}]}";

struct plan_fixture {
    yyjson_doc *doc;
    char dir[64];
    struct gy_notebook_plan plan;
};

static int setup(void **state)
{
    struct plan_fixture *f = calloc(1, sizeof *f);
    struct gy_err err = GY_ERR_INIT;
    scratch_make(f->dir);
    assert_status(GY_OK, gy_json_parse(gy_str_c(g_plan), &f->doc, &err), err);
    gy_arena_init(&f->plan.arena, GY_NOTEBOOK_MAX_PLAN);
    f->plan.stages = gy_json_get(yyjson_doc_get_root(f->doc), "stages");
    f->plan.params = gy_json_get(yyjson_doc_get_root(f->doc), "params");
    assert_status(GY_OK, gy_notebook_make_files(&f->plan, GY_STR("a\nb.ipynb"), &err), err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct plan_fixture *f = *state;
    scratch_done(f->dir);
    gy_arena_done(&f->plan.arena);
    gy_json_free(f->doc);
    free(f);
    return 0;
}

static void test_params_read_back(void **state)
{
    struct plan_fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    assert_int_equal(f->plan.n_files, 4);
    assert_str(f->plan.files[2].path, "params.yaml");
    assert_true(gy_str_find_str(f->plan.files[2].text, GY_STR("rate: 1.0e-05\n")) != SIZE_MAX);
    assert_status(GY_OK, gy_yaml_parse(f->plan.files[2].text, "params.yaml", &y, &err), err);
    const struct gy_yaml_node *root = gy_yaml_root(y);
    assert_true(gy_yaml_get(root, "rate")->f == 1e-05);
    assert_true(gy_yaml_get(root, "big")->f == 1e22);
    assert_int_equal(gy_yaml_get(root, "on")->kind, GY_YAML_BOOL);
    assert_int_equal(gy_yaml_get(root, "n")->i, -3);
    assert_int_equal(gy_yaml_get(root, "none")->kind, GY_YAML_NULL);
    assert_str(gy_yaml_get(root, "s")->text,
               "a: \"b\" \\ \x01\xc2\x85\xe2\x80\xa8\xef\xbb\xbf\xc3\xb6");
    assert_true(gy_yaml_get(root, "l")->items[1].items[0].f == 2.0);
    assert_int_equal(gy_yaml_get(gy_yaml_get(root, "m"), "a b")->i, 1);
}

static void test_the_pipeline_reads_back(void **state)
{
    struct plan_fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    assert_str(f->plan.files[3].path, "dvc.yaml");
    assert_status(GY_OK, gy_yaml_parse(f->plan.files[3].text, "dvc.yaml", &y, &err), err);
    const struct gy_yaml_node *one = gy_yaml_path(gy_yaml_root(y), GY_STR("stages.one"));
    assert_str(gy_yaml_get(one, "cmd")->text, "python3 stages/one.py");
    const struct gy_yaml_node *deps = gy_yaml_get(one, "deps");
    assert_int_equal(deps->items[0].kind, GY_YAML_STR);
    assert_str(deps->items[1].text, "a \\${b}.csv");
    assert_int_equal(gy_yaml_get(one, "metrics")->items[0].kind, GY_YAML_MAP);
}

static void expect_states(struct plan_fixture *f, enum gy_notebook_state a,
                          enum gy_notebook_state b)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_notebook_compare(&f->plan, f->dir, &err), err);
    assert_int_equal(f->plan.files[0].state, a);
    assert_int_equal(f->plan.files[1].state, b);
}

static void put(struct plan_fixture *f, const char *name, const char *text)
{
    struct gy_err err = GY_ERR_INIT;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static void test_files_of_a_person_stay(void **state)
{
    struct plan_fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    expect_states(f, GY_NOTEBOOK_NEW, GY_NOTEBOOK_NEW);
    assert_status(GY_OK, gy_notebook_write(&f->plan, f->dir, false, &err), err);
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    struct gy_str real = f->plan.files[1].text;
    f->plan.files[1].text = GY_STR("of a new import");
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_UPDATED);
    put(f, "stages/one.py", "mine");
    put(f, "stages/old.py", "mine, too");
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_CHANGED);
    assert_int_equal(f->plan.n_left, 0);
    assert_status(GY_E_EXISTS, gy_notebook_write(&f->plan, f->dir, false, &err), err);
    assert_true(err.hint[0] != '\0');
    f->plan.files[1].text = real;
    assert_status(GY_OK, gy_notebook_write(&f->plan, f->dir, true, &err), err);
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    put(f, "stages/old.py", real.p);
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    assert_int_equal(f->plan.n_left, 1);
    assert_str(f->plan.left[0], "stages/old.py");
}

static void test_edited_params_stay(void **state)
{
    struct plan_fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_notebook_write(&f->plan, f->dir, false, &err), err);
    put(f, "params.yaml", "rate: 2\nbig: 1\non: no\nn: 1\nnone: 1\ns: 1\nl: 1\nm: 1\nmine: 1\n");
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    assert_int_equal(f->plan.files[2].state, GY_NOTEBOOK_KEPT);
    assert_status(GY_OK, gy_notebook_write(&f->plan, f->dir, false, &err), err);
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    assert_int_equal(f->plan.files[2].state, GY_NOTEBOOK_KEPT);
    put(f, "params.yaml", "rate: 2\n");
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    assert_int_equal(f->plan.files[2].state, GY_NOTEBOOK_CHANGED);
    put(f, "params.yaml", "[");
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    assert_int_equal(f->plan.files[2].state, GY_NOTEBOOK_CHANGED);
    assert_status(GY_OK, gy_notebook_write(&f->plan, f->dir, true, &err), err);
    expect_states(f, GY_NOTEBOOK_SAME, GY_NOTEBOOK_SAME);
    assert_int_equal(f->plan.files[2].state, GY_NOTEBOOK_SAME);
}

static void test_the_mark(void **state)
{
    struct plan_fixture *f = *state;
    struct gy_str text = f->plan.files[1].text;
    assert_true(gy_notebook_is_ours(text));
    assert_true(gy_str_starts(text, GY_STR("# Made by `gyre flow import` of a?b.ipynb.\n")));
    assert_false(gy_notebook_is_ours(gy_str_sub(text, 0, text.n - 1)));
    assert_false(gy_notebook_is_ours(gy_str_sub(text, 1, 60)));
    assert_false(gy_notebook_is_ours(GY_STR("a\n# What follows has the sha256 12\nb\n")));
    assert_false(gy_notebook_is_ours(GY_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags_make_stages),
        cmocka_unit_test(test_what_is_no_notebook_of_ours),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test_setup_teardown(test_params_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_pipeline_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_of_a_person_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edited_params_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_mark, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
