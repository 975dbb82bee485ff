/* SPDX-License-Identifier: Apache-2.0 */
/* The flat walker against libxgboost, bit for bit, and what the reader refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/runtime/trees.h"
#include "learn/xgb.h"

#define ROWS 3000
#define FEATURES 8

struct sample {
    float x[ROWS * FEATURES];
    float y[ROWS];
};

/* Numbers with ties, negative ones, huge ones and about a tenth NaN. */
static void make_sample(struct sample *s, uint64_t seed, const char *objective)
{
    struct gy_rng r;
    gy_rng_init(&r, seed);
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0;
        for (size_t c = 0; c < FEATURES; c++) {
            double v = gy_rng_normal(&r);
            if (c == 1) {
                v = round(v * 3);
            } else if (c == 2) {
                v = v * 1e30;
            }
            sum += c == 2 ? 0 : v;
            s->x[i * FEATURES + c] = gy_rng_below(&r, 10) == 0 ? NAN : (float)v;
        }
        double noisy = sum + gy_rng_normal(&r);
        if (gy_str_starts(gy_str_c(objective), GY_STR("binary")) ||
            gy_str_eqc(gy_str_c(objective), "reg:logistic")) {
            s->y[i] = noisy > 1 ? 1 : 0;
        } else if (gy_str_starts(gy_str_c(objective), GY_STR("multi"))) {
            s->y[i] = noisy < -1 ? 0 : noisy > 1 ? 2 : 1;
        } else if (gy_str_starts(gy_str_c(objective), GY_STR("reg:squared"))) {
            s->y[i] = (float)(noisy * 100);
        } else {
            s->y[i] = (float)exp(noisy / 4);
        }
    }
}

static void train(struct sample *s, const char *objective, const char *depth, int rounds,
                  const char *policy, struct gy_buf *model)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_xgb_param params[] = {
        {"objective", objective}, {"max_depth", depth}, {"tree_method", "hist"}, {"seed", "7"},
        {"grow_policy", policy},  {"num_class", "3"},
    };
    struct gy_xgb_matrix data = {.x = s->x, .n_rows = ROWS, .n_features = FEATURES, .y = s->y};
    size_t n = gy_str_starts(gy_str_c(objective), GY_STR("multi")) ? 6 : 5;
    if (gy_xgb_train(&data,
                     &(struct gy_xgb_plan){
                         .params = params, .n_params = n, .n_rounds = rounds, .n_threads = 1},
                     model, &err) != GY_OK) {
        fail_msg("training: %s", err.msg);
    }
}

static void assert_same_bits(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof a[i]) != 0) {
            fail_msg("%s: value %zu is %.9g, libxgboost says %.9g", what, i, (double)a[i],
                     (double)b[i]);
        }
    }
}

static void compare(struct gy_str model, const struct sample *s, const char *what)
{
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    if (gy_trees_parse(model, &t, &err) != GY_OK) {
        fail_msg("%s: %s", what, err.msg);
    }
    size_t no = gy_trees_get_info(t)->n_outputs;
    struct gy_xgb_matrix data = {.x = s->x, .n_rows = ROWS, .n_features = FEATURES};
    float *theirs = gy_calloc(ROWS * no, sizeof(float));
    float *ours = gy_calloc(ROWS * no, sizeof(float));
    assert_non_null(theirs);
    assert_non_null(ours);
    for (int margin = 0; margin < 2; margin++) {
        assert_int_equal(gy_xgb_predict(model, &data, margin, theirs, ROWS * no, &err), GY_OK);
        gy_trees_run(t, s->x, ROWS, margin, ours);
        assert_same_bits(ours, theirs, ROWS * no, what);
        for (size_t i = 0; i < ROWS; i++) { /* the walk of a single row is other code */
            gy_trees_run(t, s->x + i * FEATURES, 1, margin, ours + i * no);
        }
        assert_same_bits(ours, theirs, ROWS * no, what);
    }
    gy_free(theirs);
    gy_free(ours);
}

static const char *const g_objectives[] = {
    "binary:logistic",      "binary:logitraw", "reg:logistic", "reg:squarederror",
    "reg:absoluteerror",    "count:poisson",   "reg:gamma",    "reg:tweedie",
    "reg:pseudohubererror", "multi:softprob",
};

static void equals_libxgboost(void **state)
{
    (void)state;
    static struct sample s;
    for (size_t i = 0; i < sizeof g_objectives / sizeof g_objectives[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
        gy_buf_init(&model, 64 * GY_MIB);
        make_sample(&s, i + 1, g_objectives[i]);
        train(&s, g_objectives[i], i % 2 ? "3" : "6", 13 + (int)i, "depthwise", &model);
        compare(gy_buf_str(&model), &s, g_objectives[i]);
    }
}

static void equals_libxgboost_at_any_depth(void **state)
{
    (void)state;
    static struct sample s;
    static const char *const depths[] = {"1", "2", "9", "0"}; /* 0: no limit, leaf-wise */
    for (size_t i = 0; i < 4; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
        gy_buf_init(&model, 64 * GY_MIB);
        make_sample(&s, 100 + i, "binary:logistic");
        train(&s, "binary:logistic", depths[i], 20, i == 3 ? "lossguide" : "depthwise", &model);
        compare(gy_buf_str(&model), &s, depths[i]);
    }
}

/* Rows made of the split values themselves and their neighbours, and of infinities and extremes. */
static void equals_libxgboost_on_boundaries(void **state)
{
    (void)state;
    static struct sample s;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
    gy_buf_init(&model, 64 * GY_MIB);
    make_sample(&s, 5, "binary:logistic");
    train(&s, "binary:logistic", "6", 50, "depthwise", &model);
    for (size_t i = 0; i + 1 < ROWS * FEATURES; i++) {
        float v = s.x[i];
        s.x[i] = i % 4 == 0   ? nextafterf(v, INFINITY)
                 : i % 4 == 1 ? nextafterf(v, -INFINITY)
                 : i % 4 == 2 ? v / 2 + s.x[i + 1] / 2
                              : v;
        if (i % 97 == 0) {
            s.x[i] = i % 2 ? 3.4e38F : -3.4e38F;
        } else if (i % 101 == 0) {
            s.x[i] = i % 2 ? 0.0F : -0.0F;
        }
    }
    compare(gy_buf_str(&model), &s, "boundaries");
}

/* +inf and -inf are not accepted by libxgboost, but a walker meets them: they end in a leaf. */
static void infinities_end_in_a_leaf(void **state)
{
    (void)state;
    static struct sample s;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    gy_buf_init(&model, 64 * GY_MIB);
    make_sample(&s, 5, "binary:logistic");
    train(&s, "binary:logistic", "6", 50, "depthwise", &model);
    assert_int_equal(gy_trees_parse(gy_buf_str(&model), &t, NULL), GY_OK);
    float inf[FEATURES], huge[FEATURES], a = 0, b = 0;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t c = 0; c < FEATURES; c++) {
            inf[c] = (float)sign * INFINITY;
            huge[c] = (float)sign * 3.4e38F;
        }
        gy_trees_run(t, inf, 1, true, &a);
        gy_trees_run(t, huge, 1, true, &b);
        assert_same_bits(&a, &b, 1, "infinity");
    }
}

/* ---- hand-made models: what is read and what is refused ---- */

#define TREE                                                                                       \
    "{\"tree_param\":{\"size_leaf_vector\":\"0\",\"num_nodes\":\"3\"},\"left_children\":[1,-1,-1]" \
    ","                                                                                            \
    "\"right_children\":[2,-1,-1],\"split_indices\":[1,0,0],\"default_left\":[true,false,false],"  \
    "\"split_conditions\":[0.1,-2,3.5],\"split_type\":[0,0,0]}"
#define MODEL(base, objective, booster, classes, info, tree)                                      \
    "{\"learner\":{\"learner_model_param\":{\"base_score\":\"" base "\",\"num_class\":\"" classes \
    "\",\"num_feature\":\"2\"},\"objective\":{\"name\":\"" objective                              \
    "\"},\"gradient_booster\":{\"name\":\"" booster "\",\"model\":{\"tree_info\":" info           \
    ",\"trees\":[" tree "]}}},\"version\":[3,1,0]}"

#define SETS(nodes, begin, size, categories)                                               \
    "\"split_type\":[1,0,0],\"categories_nodes\":" nodes ",\"categories_segments\":" begin \
    ",\"categories_sizes\":" size ",\"categories\":" categories

static gy_status parse(const char *json, struct gy_trees **t, struct gy_err *err)
{
    return gy_trees_parse(gy_str_c(json), t, err);
}

static void reads_json_and_a_list_base_score(void **state)
{
    (void)state;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(
        parse(MODEL("[1E2]", "reg:squarederror", "gbtree", "0", "[0]", TREE), &t, &err), GY_OK);
    assert_int_equal(gy_trees_get_info(t)->version[0], 3);
    assert_true(gy_trees_get_info(t)->base_score_list);
    float rows[4][2] = {{0, 0.09F}, {0, 0.1F}, {0, 5}, {0, NAN}};
    float want[4] = {98, 103.5F, 103.5F, 98};
    float out[4];
    gy_trees_run(t, rows[0], 4, false, out);
    assert_same_bits(out, want, 4, "list base_score");
}

static void reads_a_base_score_a_class(void **state)
{
    (void)state;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(
        parse(MODEL("[1, 2,-3]", "multi:softprob", "gbtree", "3", "[1]", TREE), &t, &err), GY_OK);
    const float row[2] = {0, 5}, want[3] = {1, 5.5F, -3};
    float out[3];
    gy_trees_run(t, row, 1, true, out);
    assert_same_bits(out, want, 3, "base_score of three classes");
    struct gy_trees *bad = NULL;
    assert_int_equal(
        parse(MODEL("[1,2]", "multi:softprob", "gbtree", "3", "[1]", TREE), &bad, &err),
        GY_E_CORRUPT);
}

static void refuses_what_it_can_not_answer(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        gy_status code;
    } cases[] = {
        {MODEL("5E-1", "rank:mrr", "gbtree", "0", "[0]", TREE), "rank:mrr", GY_E_NOTSERVABLE},
        {MODEL("5E-1", "reg:squarederror", "forest", "0", "[0]", TREE), "forest", GY_E_NOTSERVABLE},
        {MODEL("5E-1", "reg:squarederror", "dart", "0", "[0]", TREE), "weight_drop", GY_E_CORRUPT},
        {MODEL("5E-1", "reg:squarederror", "gblinear", "0", "[0]", TREE), "weights", GY_E_CORRUPT},
        {MODEL("[1,2]", "reg:squarederror", "gbtree", "0", "[0]", TREE), "base_score",
         GY_E_NOTSERVABLE},
        {MODEL("x", "reg:squarederror", "gbtree", "0", "[0]", TREE), "base_score", GY_E_CORRUPT},
        {MODEL("2", "binary:logistic", "gbtree", "0", "[0]", TREE), "base_score", GY_E_CORRUPT},
        {MODEL("0", "reg:squarederror", "gbtree", "3", "[0]", TREE), "num_class", GY_E_CORRUPT},
        {MODEL("0", "reg:squarederror", "gbtree", "0", "[1]", TREE), "tree_info", GY_E_CORRUPT},
        {MODEL("0", "reg:squarederror", "gbtree", "0", "[]", TREE), "tree_info", GY_E_CORRUPT},
        {MODEL("0", "reg:squarederror", "gbtree", "0", "[0]", "{}"), "without nodes", GY_E_CORRUPT},
        {"{\"learner\":{}}", "no learner", GY_E_CORRUPT},
        {"{\"a\":", "model file", GY_E_CORRUPT},
        {"[]", "neither", GY_E_CORRUPT},
        {"", "neither", GY_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = parse(cases[i].json, &t, &err);
        if (status != cases[i].code || !strstr(err.msg, cases[i].says)) {
            fail_msg("case %zu: %s '%s'", i, gy_status_name(status), err.msg);
        }
        assert_null(t);
    }
}

/* A node that is its own child, children out of range, a feature out of range, arrays too short. */
static void refuses_broken_trees(void **state)
{
    (void)state;
    static const char *const edits[][2] = {
        {"[1,-1,-1]", "[0,-1,-1]"},
        {"[1,-1,-1]", "[7,-1,-1]"},
        {"[1,-1,-1]", "[1,0,-1]"},
        {"[2,-1,-1]", "[3,-1,-1]"},
        {"[2,-1,-1]", "[-1,-1,-1]"},
        {"[1,0,0]", "[2,0,0]"},
        {"[0.1,-2,3.5]", "[0.1,-2]"},
        {"[0.1,-2,3.5]", "[0.1,1e99,3.5]"},
        {"[0.1,-2,3.5]", "[0.1,\"\",3]"},
        {"\"split_type\":[0,0,0]", "\"split_type\":[1,0,0]"},
        {"\"split_type\":[0,0,0]", "\"split_type\":[2,0,0]"},
        {"\"split_type\":[0,0,0]", SETS("[0]", "[0]", "[3]", "[1,2]")},
        {"\"split_type\":[0,0,0]", SETS("[0]", "[1]", "[2]", "[1,2]")},
        {"\"split_type\":[0,0,0]", SETS("[0]", "[-1]", "[2]", "[1,2]")},
        {"\"split_type\":[0,0,0]", SETS("[0]", "[0]", "[0]", "[1,2]")},
        {"\"split_type\":[0,0,0]", SETS("[1]", "[0]", "[2]", "[1,-2]")},
        {"\"split_type\":[0,0,0]", SETS("[0]", "[0]", "[2]", "[1,16777216]")},
        {"\"split_type\":[0,0,0]", SETS("[3]", "[0]", "[2]", "[1,2]")},
        {"\"split_type\":[0,0,0]", SETS("[0,0]", "[0,0]", "[2,2]", "[1,2]")},
        {"\"size_leaf_vector\":\"0\"", "\"size_leaf_vector\":\"3\""},
    };
    const char *whole = MODEL("0", "reg:squarederror", "gbtree", "0", "[0]", TREE);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
        gy_buf_init(&text, GY_MIB);
        const char *at = strstr(whole, edits[i][0]);
        assert_non_null(at);
        gy_buf_add_bytes(&text, whole, (size_t)(at - whole));
        gy_buf_addc(&text, edits[i][1]);
        gy_buf_addc(&text, at + strlen(edits[i][0]));
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_trees_parse(gy_buf_str(&text), &t, &err);
        if (status != GY_E_CORRUPT && status != GY_E_NOTSERVABLE) {
            fail_msg("%s -> %s was accepted: %s", edits[i][0], edits[i][1], err.msg);
        }
    }
}

/* What libxgboost accepts no row for ends somewhere too: codes that are no category go left. */
static void walks_sets_of_categories(void **state)
{
    (void)state;
    const char *whole =
        MODEL("0", "reg:squarederror", "gbtree", "0", "[0]",
              "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],"
              "\"split_indices\":[1,0,0],\"default_left\":[0,0,0],"
              "\"split_conditions\":[NaN,-2,3.5]," SETS("[0]", "[1]", "[2]", "[9,1,40]") "}");
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (parse(whole, &t, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_true(gy_trees_get_info(t)->categorical);
    assert_true(gy_trees_get_feature(t, 1)->categorical);
    assert_false(gy_trees_get_feature(t, 0)->categorical);
    const float codes[] = {1, 40, 1.9F, NAN, 0, 2, 9, 41, 64, 1000, -1, -0.5F, 16777216, INFINITY};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        float row[2] = {0, codes[i]}, out = 0, want = i < 4 ? 3.5F : -2;
        gy_trees_run(t, row, 1, true, &out);
        if (out != want) {
            fail_msg("code %g gives %g", (double)codes[i], (double)out);
        }
    }
}

/* Names and the texts of categories stand in files of XGBoost >= 3.1. */
static void tells_names_and_categories(void **state)
{
    (void)state;
    const char *json =
        "{\"learner\":{\"feature_names\":[\"HR\",\"ward\",\"age\"],\"feature_types\":[\"float\","
        "\"c\",\"c\"],\"learner_model_param\":{\"base_score\":\"[0]\",\"num_class\":\"0\","
        "\"num_feature\":\"3\"},\"objective\":{\"name\":\"reg:squarederror\"},"
        "\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{\"tree_info\":[],\"trees\":[],"
        "\"cats\":{\"enc\":[{\"offsets\":[],\"values\":[]},{\"offsets\":[0,2,5],\"values\":[97,98,"
        "99,100,101]},{\"type\":15,\"values\":[10,20]}]}}}},\"version\":[3,2,0]}";
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    assert_int_equal(parse(json, &t, NULL), GY_OK);
    assert_true(gy_str_eqc(gy_trees_get_feature(t, 0)->name, "HR"));
    const struct gy_trees_feature *f = gy_trees_get_feature(t, 1);
    assert_true(f->categorical && f->n_categories == 2);
    assert_true(gy_str_eqc(f->categories[0], "ab") && gy_str_eqc(f->categories[1], "cde"));
    f = gy_trees_get_feature(t, 2);
    assert_true(f->n_categories == 2 && gy_str_eqc(f->categories[1], "20"));
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    static struct sample s;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
    gy_buf_init(&model, 64 * GY_MIB);
    make_sample(&s, 9, "binary:logistic");
    train(&s, "binary:logistic", "2", 3, "depthwise", &model);
    for (size_t n = 0; n < model.n; n++) {
        struct gy_trees *t = NULL;
        assert_int_not_equal(gy_trees_parse(gy_str_n(model.p, n), &t, NULL), GY_OK);
    }
}

static void survives_failing_memory(void **state)
{
    (void)state;
    static struct sample s;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
    gy_buf_init(&model, 64 * GY_MIB);
    make_sample(&s, 9, "binary:logistic");
    train(&s, "binary:logistic", "4", 12, "depthwise", &model);
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_trees *t = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_trees_parse(gy_buf_str(&model), &t, &err);
        gy_mem_fail_at(0, 0);
        if (status == GY_OK) {
            gy_trees_free(t);
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
    int version[3];
    struct gy_err err = GY_ERR_INIT;
    if (gy_xgb_open(version, &err) != GY_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_libxgboost),
        cmocka_unit_test(equals_libxgboost_at_any_depth),
        cmocka_unit_test(equals_libxgboost_on_boundaries),
        cmocka_unit_test(infinities_end_in_a_leaf),
        cmocka_unit_test(reads_json_and_a_list_base_score),
        cmocka_unit_test(reads_a_base_score_a_class),
        cmocka_unit_test(refuses_what_it_can_not_answer),
        cmocka_unit_test(refuses_broken_trees),
        cmocka_unit_test(walks_sets_of_categories),
        cmocka_unit_test(tells_names_and_categories),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
