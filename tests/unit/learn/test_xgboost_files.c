/* SPDX-License-Identifier: Apache-2.0 */
/* Files that XGBoost 1.7, 2.1, 3.0 and 3.2 saved are answered as Python recorded, bit for bit:
 * tests/fixtures/xgboost (made by record.py there). No XGBoost is needed to run this. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/runtime/trees.h"

static const char *const g_versions[] = {"1.7.6", "2.1.4", "3.0.5", "3.2.0"};

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Bytes of hex digits; the caller frees. */
static char *unhex(struct gy_str hex)
{
    char *out = gy_malloc(hex.n / 2);
    assert_non_null(out);
    for (size_t i = 0; i < hex.n / 2; i++) {
        out[i] = (char)(digit(hex.p[2 * i]) << 4 | digit(hex.p[2 * i + 1]));
    }
    return out;
}

static yyjson_doc *read_fixture(const char *version)
{
    char path[GY_MAX_PATH];
    yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    const char *root = getenv("GYRE_SRC");
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/xgboost/%s.json", root ? root : ".",
                   version);
    if (gy_json_read_file(path, 4 * GY_MIB, &doc, &err) != GY_OK) {
        fail_msg("%s: %s", path, err.msg);
    }
    return doc;
}

static struct gy_trees *parse_case(yyjson_val *c, const char *what)
{
    struct gy_trees *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_str json = gy_json_str(c, "json");
    struct gy_str hex = gy_json_str(c, "ubj");
    char *bytes = json.p ? NULL : unhex(hex);
    gy_status status = gy_trees_parse(json.p ? json : gy_str_n(bytes, hex.n / 2), &t, &err);
    if (status != GY_OK) {
        fail_msg("%s: %s", what, err.msg);
    }
    gy_free(bytes);
    int64_t rounds = gy_json_i64(c, "rounds", 0);
    if (rounds > 0) {
        assert_int_equal(gy_trees_get_info(t)->best_iteration, rounds - 1);
        gy_trees_cut(t, (size_t)rounds);
    }
    return t;
}

static void assert_bits(const float *ours, const float *theirs, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&ours[i], &theirs[i], sizeof *ours) != 0) {
            fail_msg("%s: value %zu is %.9g, Python recorded %.9g", what, i, (double)ours[i],
                     (double)theirs[i]);
        }
    }
}

/* multi:softmax answers with the class; ours are the probabilities behind it. */
static void assert_classes(const float *ours, const float *theirs, size_t rows, size_t no,
                           const char *what)
{
    for (size_t r = 0; r < rows; r++) {
        size_t best = 0;
        for (size_t k = 1; k < no; k++) {
            best = ours[r * no + k] > ours[r * no + best] ? k : best;
        }
        if ((float)best != theirs[r]) {
            fail_msg("%s: row %zu is of class %zu, Python recorded %g", what, r, best,
                     (double)theirs[r]);
        }
    }
}

static void check_case(yyjson_val *c, size_t features, const char *version)
{
    char what[160];
    (void)snprintf(what, sizeof what, "%s %s", version, gy_json_str(c, "name").p);
    struct gy_trees *t = parse_case(c, what);
    const struct gy_trees_info *info = gy_trees_get_info(t);
    struct gy_str x = gy_json_str(c, "rows"), m = gy_json_str(c, "margin");
    struct gy_str a = gy_json_str(c, "answer");
    size_t rows = x.n / 8 / features;
    size_t n = rows * info->n_outputs;
    assert_int_equal(info->n_features, features);
    assert_int_equal(m.n / 8, n);
    char *xs = unhex(x), *margins = unhex(m), *answers = unhex(a);
    float *ours = gy_calloc(n, sizeof *ours);
    assert_non_null(ours);
    const float *in = (const float *)(void *)xs;
    gy_trees_run(t, in, rows, true, ours);
    assert_bits(ours, (const float *)(void *)margins, n, what);
    for (size_t r = 0; r < rows; r++) {
        gy_trees_run(t, in + r * features, 1, true, ours + r * info->n_outputs);
    }
    assert_bits(ours, (const float *)(void *)margins, n, what);
    gy_trees_run(t, in, rows, false, ours);
    if (gy_str_eqc(gy_json_str(c, "objective"), "multi:softmax")) {
        assert_classes(ours, (const float *)(void *)answers, rows, info->n_outputs, what);
    } else {
        assert_int_equal(a.n / 8, n);
        assert_bits(ours, (const float *)(void *)answers, n, what);
    }
    gy_free(ours);
    gy_free(answers);
    gy_free(margins);
    gy_free(xs);
    gy_trees_free(t);
}

static void answers_as_python_recorded(void **state)
{
    (void)state;
    for (size_t v = 0; v < sizeof g_versions / sizeof g_versions[0]; v++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = read_fixture(g_versions[v]);
        yyjson_val *root = yyjson_doc_get_root(doc);
        assert_true(gy_str_eqc(gy_json_str(root, "xgboost"), g_versions[v]));
        size_t i, n;
        yyjson_val *c;
        yyjson_arr_foreach(gy_json_get(root, "cases"), i, n, c)
        {
            check_case(c, (size_t)gy_json_i64(root, "features", 0), g_versions[v]);
        }
        assert_true(n >= 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_python_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
