/* SPDX-License-Identifier: Apache-2.0 */
/* The walker of LightGBM's trees: answers as Python recorded, bit for bit (tests/fixtures/lightgbm,
 * made by record.py there), and what the reader refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/runtime/lightgbm.h"

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Doubles of hex digits; the caller frees. */
static double *unhex(struct gy_str hex)
{
    unsigned char *out = gy_malloc(hex.n / 2);
    assert_non_null(out);
    for (size_t i = 0; i < hex.n / 2; i++) {
        out[i] = (unsigned char)(digit(hex.p[2 * i]) << 4 | digit(hex.p[2 * i + 1]));
    }
    return (double *)(void *)out;
}

static yyjson_doc *read_fixture(void)
{
    char path[GY_MAX_PATH];
    yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    const char *root = getenv("GYRE_SRC");
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/lightgbm/4.7.0.json", root ? root : ".");
    if (gy_json_read_file(path, 4 * GY_MIB, &doc, &err) != GY_OK) {
        fail_msg("%s: %s", path, err.msg);
    }
    return doc;
}

static void assert_bits(const double *ours, const double *theirs, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&ours[i], &theirs[i], sizeof *ours) != 0) {
            fail_msg("%s: value %zu is %.17g, Python recorded %.17g", what, i, ours[i], theirs[i]);
        }
    }
}

static void check_case(yyjson_val *c, size_t features)
{
    const char *what = gy_json_str(c, "name").p;
    GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_lightgbm_parse(gy_json_str(c, "model"), &m, &err) != GY_OK) {
        fail_msg("%s: %s", what, err.msg);
    }
    const struct gy_lightgbm_info *info = gy_lightgbm_get_info(m);
    size_t rows = gy_json_str(c, "rows").n / 16 / features;
    size_t n = rows * info->n_outputs;
    assert_int_equal(info->n_features, features);
    assert_int_equal(gy_json_str(c, "answer").n / 16, n);
    double *x = unhex(gy_json_str(c, "rows")), *raw = unhex(gy_json_str(c, "raw"));
    double *answer = unhex(gy_json_str(c, "answer"));
    double *ours = gy_calloc(n, sizeof *ours);
    char *scratch = gy_malloc(gy_lightgbm_scratch(m, rows));
    assert_non_null(ours);
    assert_non_null(scratch);
    gy_lightgbm_run(m, x, rows, true, ours, scratch);
    assert_bits(ours, raw, n, what);
    gy_lightgbm_run(m, x, rows, false, ours, scratch);
    assert_bits(ours, answer, n, what);
    for (size_t r = 0; r < rows; r++) { /* the walk of a single row is other code */
        gy_lightgbm_run(m, x + r * features, 1, false, ours + r * info->n_outputs, scratch);
    }
    assert_bits(ours, answer, n, what);
    gy_free(scratch);
    gy_free(ours);
    gy_free(answer);
    gy_free(raw);
    gy_free(x);
}

static void answers_as_python_recorded(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *doc = read_fixture();
    yyjson_val *root = yyjson_doc_get_root(doc), *c;
    size_t i, n;
    yyjson_arr_foreach(gy_json_get(root, "cases"), i, n, c)
    {
        check_case(c, (size_t)gy_json_i64(root, "features", 0));
    }
    assert_true(n >= 25);
}

/* ---- hand-made models ---- */

#define HEAD(version, classes, features, objective)                                     \
    "tree\nversion=" version "\nnum_class=" classes "\nnum_tree_per_iteration=" classes \
    "\nlabel_index=0\nmax_feature_idx=" features "\nobjective=" objective               \
    "\nfeature_names=HR ward\nfeature_infos=[0:1] 1:0:2\ntree_sizes=1\n\n"
#define TREE                                                                                   \
    "Tree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\nthreshold=0.5 0\ndecision_type=8 1\n" \
    "left_child=1 -1\nright_child=-3 -2\nleaf_value=1 2 4\ncat_boundaries=0 1\n"               \
    "cat_threshold=5\nis_linear=0\nshrinkage=1\n\n\n"
#define TAIL "end of trees\n\npandas_categorical:[[\"b\", \"a\", \"c\"]]\n"
#define WHOLE HEAD("v4", "1", "1", "regression") TREE TAIL

static gy_status parse(const char *text, struct gy_lightgbm **m, struct gy_err *err)
{
    return gy_lightgbm_parse(gy_str_c(text), m, err);
}

static void reads_names_and_categories(void **state)
{
    (void)state;
    GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (parse(WHOLE, &m, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    const struct gy_lightgbm_feature *f = gy_lightgbm_get_feature(m, 1);
    assert_true(gy_str_eqc(f->name, "ward") && f->categorical && f->n_categories == 3);
    assert_true(gy_str_eqc(f->categories[0], "b") && gy_str_eqc(f->categories[2], "c"));
    assert_false(gy_lightgbm_get_feature(m, 0)->categorical);
    /* HR <= .5: category 0 or 2 gives 1, else 2; above: 4, and so does a missing HR. */
    const double rows[6][2] = {{0, 0}, {0.5, 2}, {0.5, 1}, {0, NAN}, {0.6, 0}, {NAN, 0}};
    const double want[6] = {1, 1, 2, 2, 4, 4};
    double out[6], scratch[6 * 2 * 3];
    gy_lightgbm_run(m, rows[0], 6, false, out, scratch);
    assert_bits(out, want, 6, "hand-made");
}

static void reads_lines_of_windows(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = NULL;
    gy_buf_init(&text, GY_MIB);
    for (const char *p = WHOLE; *p; p++) {
        if (*p == '\n') {
            gy_buf_add_char(&text, '\r');
        }
        gy_buf_add_char(&text, *p);
    }
    assert_int_equal(gy_lightgbm_parse(gy_buf_str(&text), &m, NULL), GY_OK);
}

static void refuses_what_it_can_not_answer(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        gy_status code;
    } cases[] = {
        {"", "first line", GY_E_CORRUPT},
        {"tree\n", "version", GY_E_NOTSERVABLE},
        {HEAD("v5", "1", "1", "regression") TREE TAIL, "v5", GY_E_NOTSERVABLE},
        {HEAD("v4", "1", "1", "my_loss") TREE TAIL, "my_loss", GY_E_NOTSERVABLE},
        {HEAD("v4", "3", "1", "regression") TREE TAIL, "several outputs", GY_E_NOTSERVABLE},
        {HEAD("v4", "1", "1", "multiclass num_class:1") TREE TAIL, "num_class", GY_E_CORRUPT},
        {HEAD("v4", "2", "1", "multiclass num_class:2") TREE TAIL, "number of trees", GY_E_CORRUPT},
        {HEAD("v4", "1", "2", "regression") TREE TAIL, "feature_names", GY_E_CORRUPT},
        {HEAD("v4", "1", "-1", "regression") TREE TAIL, "max_feature_idx", GY_E_CORRUPT},
        {HEAD("v4", "1", "99999999", "regression") TREE TAIL, "max_feature_idx", GY_E_TOOBIG},
        {HEAD("v4", "1", "1", "binary sigmoid:0") TREE TAIL, "sigmoid", GY_E_CORRUPT},
        {HEAD("v4", "1", "1", "regression") TREE, "cut off", GY_E_CORRUPT},
        {HEAD("v4", "1", "1", "regression") "hello\n" TAIL, "cut off", GY_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = parse(cases[i].text, &m, &err);
        if (status != cases[i].code || !strstr(err.msg, cases[i].says)) {
            fail_msg("case %zu: %s '%s'", i, gy_status_name(status), err.msg);
        }
        assert_null(m);
    }
}

static void refuses_broken_trees(void **state)
{
    (void)state;
    static const char *const edits[][2] = {
        {"num_leaves=3", "num_leaves=4"},
        {"num_leaves=3", "num_leaves=0"},
        {"num_leaves=3", "num_leaves=999999999"},
        {"left_child=1 -1", "left_child=0 -1"},
        {"left_child=1 -1", "left_child=1 -9"},
        {"left_child=1 -1", "left_child=1 1"},
        {"left_child=1 -1", "left_child=2 -1"},
        {"left_child=1 -1", "left_child=1"},
        {"split_feature=0 1", "split_feature=0 2"},
        {"split_feature=0 1", "split_feature=-1 1"},
        {"threshold=0.5 0", "threshold=nan 0"},
        {"threshold=0.5 0", "threshold=0.5 1"},
        {"threshold=0.5 0", "threshold=0.5 -1"},
        {"threshold=0.5 0", "threshold=0.5 x"},
        {"decision_type=8 1", "decision_type=12 1"},
        {"decision_type=8 1", "decision_type=-1 1"},
        {"leaf_value=1 2 4", "leaf_value=1 2 inf"},
        {"leaf_value=1 2 4", "leaf_value=1 2 4 8"},
        {"cat_boundaries=0 1", "cat_boundaries=0 2"},
        {"cat_boundaries=0 1", "cat_boundaries=1 1"},
        {"cat_boundaries=0 1", "cat_boundaries=0"},
        {"cat_threshold=5", "cat_threshold=-5"},
        {"cat_threshold=5", "cat_threshold=4294967296"},
        {"num_cat=1", "num_cat=9"},
        {"num_cat=1", "num_cat=-1"},
        {"is_linear=0", "is_linear=1"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = NULL;
        gy_buf_init(&text, GY_MIB);
        const char *at = strstr(WHOLE, edits[i][0]);
        assert_non_null(at);
        gy_buf_add_bytes(&text, WHOLE, (size_t)(at - WHOLE));
        gy_buf_addc(&text, edits[i][1]);
        gy_buf_addc(&text, at + strlen(edits[i][0]));
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_lightgbm_parse(gy_buf_str(&text), &m, &err);
        if (status != GY_E_CORRUPT && status != GY_E_NOTSERVABLE) {
            fail_msg("%s -> %s was accepted: %s", edits[i][0], edits[i][1], err.msg);
        }
    }
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    const char *whole = WHOLE;
    size_t trees = (size_t)(strstr(whole, "end of trees") - whole) + strlen("end of trees");
    for (size_t n = 0; n < trees; n++) {
        struct gy_lightgbm *m = NULL;
        assert_int_not_equal(gy_lightgbm_parse(gy_str_n(whole, n), &m, NULL), GY_OK);
    }
}

static void survives_failing_memory(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_lightgbm *m = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_mem_fail_at(nth, 0);
        gy_status status = parse(WHOLE, &m, &err);
        gy_mem_fail_at(0, 0);
        if (status == GY_OK) {
            gy_lightgbm_free(m);
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
        assert_int_equal(gy_mem_live(), live);
    }
    assert_int_equal(gy_mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_python_recorded),
        cmocka_unit_test(reads_names_and_categories),
        cmocka_unit_test(reads_lines_of_windows),
        cmocka_unit_test(refuses_what_it_can_not_answer),
        cmocka_unit_test(refuses_broken_trees),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
