/* SPDX-License-Identifier: Apache-2.0 */
/* Contributions sum to the margin, permutation importance finds what matters, and what a training
 * draws is the same at any number of threads. */
#include "support_learn.h"

#include "learn/cells.h"
#include "learn/contributions.h"
#include "learn/explain.h"
#include "learn/importance.h"
#include "learn/runtime/runtime.h"

/* A trained package in g_dir/name, and what it says to the whole table. */
struct bench {
    struct gy_table *t;
    struct gy_predictor *p;
    struct gy_trained trained;
    char dir[GY_MAX_PATH];
    double *out;
};

static void open_bench(struct bench *b, const char *name, enum gy_learner learner, size_t n,
                       const char *yaml)
{
    struct gy_train_params params;
    uint32_t *rows = gy_calloc(n, sizeof *rows);
    b->t = patients(n, 3);
    read_params(&params, learner, yaml);
    (void)in_dir(b->dir, name);
    OK(gy_train(b->t, &params, b->dir, &b->trained, &g_err));
    OK(gy_predictor_load(b->dir, &b->p, &g_err));
    b->out = gy_calloc(n * gy_predictor_info(b->p)->n_outputs, sizeof *b->out);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (uint32_t)i;
    }
    OK(gy_predict_table(b->p, b->t, rows, n, b->out, &g_err));
    gy_free(rows);
    gy_train_params_done(&params);
}

static void close_bench(struct bench *b)
{
    gy_free(b->out);
    gy_predictor_free(b->p);
    gy_trained_done(&b->trained);
    gy_table_free(b->t);
}

static void sums_are_the_margins(struct bench *b, double tolerance)
{
    struct gy_explanation e;
    OK(gy_explain(b->p, b->dir, b->t, NULL, b->t->n_rows, &e, &g_err));
    assert_int_equal(e.n_sets, 1);
    for (size_t i = 0; i < e.n_rows; i++) {
        double said = gy_sigmoid(gy_explanation_margin(&e, i, 0));
        if (!(fabs(said - b->out[i]) <= tolerance)) {
            fail_msg("row %zu: contributions say %.17g, the model %.17g", i, said, b->out[i]);
        }
    }
    gy_explanation_done(&e);
}

static void contributions_of_trees_sum_to_the_score(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "trees", GY_LEARNER_XGBOOST, 600, "train: {xgboost: {rounds: 30}}\n");
    sums_are_the_margins(&b, 2e-6); /* libxgboost adds in float32 */
    close_bench(&b);
}

static void contributions_of_linear_models_sum_to_the_score(void **state)
{
    (void)state;
    struct bench b;
    struct gy_explanation e;
    open_bench(&b, "linear", GY_LEARNER_LOGISTIC, 600, "train: {scale: none}\n");
    sums_are_the_margins(&b, 1e-12);
    /* over the training rows they are 0 on average: the base is the mean margin there */
    uint32_t *rows = NULL;
    size_t n = 0;
    OK(gy_eval_rows(gy_predictor_model(b.p), b.t, GY_EVAL_TRAINING, &rows, &n, &g_err));
    OK(gy_explain(b.p, b.dir, b.t, rows, n, &e, &g_err));
    assert_false(e.of_rows);
    for (size_t f = 0; f < e.n_features; f++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++) {
            mean += gy_explanation_of(&e, i, 0)[f] / (double)n;
        }
        assert_true(fabs(mean) < 1e-9);
    }
    gy_explanation_done(&e);
    gy_eval_rows_free(rows);
    /* a package without the means explains by those of the rows, and says so */
    char path[GY_MAX_PATH];
    OK(gy_path_join(path, sizeof path, b.dir, GY_BACKGROUND_FILE, &g_err));
    assert_int_equal(remove(path), 0);
    sums_are_the_margins(&b, 1e-12);
    OK(gy_explain(b.p, b.dir, b.t, NULL, 1, &e, &g_err));
    assert_true(e.of_rows);
    gy_explanation_done(&e);
    write_file(b.dir, GY_BACKGROUND_FILE, GY_STR("{\"means\": [1]}"));
    assert_int_equal(gy_explain(b.p, b.dir, b.t, NULL, 1, &e, NULL), GY_E_CORRUPT);
    write_file(b.dir, GY_BACKGROUND_FILE, GY_STR("{\"means\": [1, \"x\", 2]}"));
    assert_int_equal(gy_explain(b.p, b.dir, b.t, NULL, 1, &e, NULL), GY_E_CORRUPT);
    close_bench(&b);
}

/* What a server says by itself equals what libxgboost says of the same rows. */
static void check_against_libxgboost(const char *name, enum gy_learner learner, const char *yaml)
{
    struct bench b;
    struct gy_explanation e;
    enum { ROWS = 300 };
    open_bench(&b, name, learner, 600, yaml);
    const struct gy_predictor_info *info = gy_predictor_info(b.p);
    const struct gy_model *m = gy_predictor_model(b.p);
    size_t width = info->n_inputs + 1;
    uint32_t rows[ROWS];
    double *cells = gy_calloc(ROWS * info->n_cells, sizeof *cells);
    double *out = gy_calloc(ROWS * info->n_outputs * width, sizeof *out);
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = i;
    }
    OK(gy_explain(b.p, b.dir, b.t, NULL, ROWS, &e, &g_err));
    assert_int_equal(e.n_features + 1, width);
    OK(gy_cells_of_table(m->inputs, m->n_inputs, b.t, rows, ROWS, cells, &g_err));
    for (size_t i = 0; i < ROWS; i += 7) { /* also of what is missing */
        cells[i * info->n_cells] = NAN;
    }
    OK(gy_contributions(b.p, cells, ROWS, out, &g_err));
    for (size_t i = 0; i < ROWS * info->n_outputs; i++) {
        double sum = 0;
        bool same = i / info->n_outputs % 7 != 0;
        for (size_t k = 0; k < width; k++) {
            double ours = out[i * width + k], theirs = e.values[i * width + k];
            sum += ours;
            if (same && !(fabs(ours - theirs) <= 1e-4 * (1 + fabs(theirs)))) {
                fail_msg("%s: value %zu of margin %zu is %.9g, libxgboost says %.9g", name, k, i,
                         ours, theirs);
            }
        }
        if (info->n_outputs == 1 && same) {
            assert_true(fabs(sum - gy_explanation_margin(&e, i, 0)) < 1e-4);
        }
    }
    gy_free(cells);
    gy_free(out);
    gy_explanation_done(&e);
    close_bench(&b);
}

static void a_server_tells_the_same_contributions(void **state)
{
    (void)state;
    check_against_libxgboost("own-trees", GY_LEARNER_XGBOOST, "train: {xgboost: {rounds: 40}}\n");
    check_against_libxgboost("own-deep", GY_LEARNER_XGBOOST,
                             "train: {xgboost: {rounds: 5, depth: 12}}\n");
    check_against_libxgboost("own-forest", GY_LEARNER_FOREST, "train: {forest: {trees: 20}}\n");
}

static void a_server_tells_contributions_of_linear_models(void **state)
{
    (void)state;
    struct bench b;
    struct gy_explanation e;
    double cells[30], out[40];
    uint32_t rows[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct gy_err err = GY_ERR_INIT;
    /* products and powers count as their inputs */
    open_bench(&b, "own-linear", GY_LEARNER_LOGISTIC, 600,
               "train: {features: [HR, Resp, Temp], steps: [impute, zscore, polynomial]}\n");
    const struct gy_model *m = gy_predictor_model(b.p);
    assert_true(m->features.n_out > 3);
    OK(gy_explain(b.p, b.dir, b.t, NULL, 10, &e, &g_err));
    OK(gy_cells_of_table(m->inputs, m->n_inputs, b.t, rows, 10, cells, &g_err));
    OK(gy_contributions(b.p, cells, 10, out, &g_err));
    for (size_t i = 0; i < 10; i++) {
        double sum = out[i * 4] + out[i * 4 + 1] + out[i * 4 + 2] + out[i * 4 + 3];
        assert_true(fabs(sum - gy_explanation_margin(&e, i, 0)) < 1e-9);
        assert_true(fabs(out[i * 4 + 3] - gy_explanation_of(&e, i, 0)[e.n_features]) < 1e-12);
    }
    gy_explanation_done(&e);
    close_bench(&b);
    open_bench(&b, "own-majority", GY_LEARNER_MAJORITY, 100, "seed: 1\n");
    assert_int_equal(gy_contributions(b.p, cells, 1, out, &err), GY_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "majority"));
    close_bench(&b);
}

static void others_say_what_to_do_instead(void **state)
{
    (void)state;
    struct bench b;
    struct gy_explanation e;
    struct gy_err err = GY_ERR_INIT;
    open_bench(&b, "majority", GY_LEARNER_MAJORITY, 100, "seed: 1\n");
    assert_int_equal(gy_explain(b.p, b.dir, b.t, NULL, 10, &e, &err), GY_E_UNSUPPORTED);
    assert_non_null(strstr(err.hint, "--importance"));
    assert_int_equal(gy_explain(b.p, b.dir, b.t, NULL, 0, &e, NULL), GY_E_INVALID);
    close_bench(&b);
}

static void importance_finds_what_matters(void **state)
{
    (void)state;
    struct bench b;
    struct gy_importance one, four, less;
    struct gy_eval e;
    uint32_t *rows = NULL;
    size_t n = 0;
    open_bench(&b, "importance", GY_LEARNER_XGBOOST, 900, "train: {features: [HR, Resp, Temp]}\n");
    OK(gy_eval_rows(gy_predictor_model(b.p), b.t, GY_EVAL_HELD_OUT, &rows, &n, &g_err));
    const struct gy_eval_options keep = {.keep = true};
    struct gy_importance_options o = {.repeats = 8, .seed = 4, .n_threads = 1};
    OK(gy_evaluate(b.p, b.t, rows, n, &keep, &e, &g_err));
    OK(gy_importance_of(b.p, b.t, &e, &o, &one, &g_err));
    o.n_threads = 4;
    OK(gy_importance_of(b.p, b.t, &e, &o, &four, &g_err));
    assert_int_equal(one.n, 3);
    assert_string_equal(one.metric, "auc");
    for (size_t i = 0; i < one.n; i++) {
        assert_memory_equal(&one.items[i].value, &four.items[i].value, 4 * sizeof(double));
        assert_true(one.items[i].value > 0.05 && one.items[i].low <= one.items[i].value &&
                    one.items[i].value <= one.items[i].high);
    }
    o.max_rows = 50;
    o.metric = GY_STR("log_loss");
    OK(gy_importance_of(b.p, b.t, &e, &o, &less, &g_err));
    assert_int_equal(less.n_rows, 50);
    assert_true(less.items[0].value > 0); /* a larger loss is worse */
    gy_importance_done(&less);
    o.metric = GY_STR("no such");
    assert_int_equal(gy_importance_of(b.p, b.t, &e, &o, &less, NULL), GY_E_INVALID);
    o.metric = GY_STR_NULL;
    o.repeats = 0;
    assert_int_equal(gy_importance_of(b.p, b.t, &e, &o, &less, NULL), GY_E_INVALID);
    gy_importance_done(&one);
    gy_importance_done(&four);
    gy_eval_done(&e);
    gy_eval_rows_free(rows);
    close_bench(&b);
}

/* An input that the labels have nothing to do with: the number of the row. */
static void importance_of_noise_is_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct gy_importance i;
    const struct gy_importance_options o = {.repeats = 20, .seed = 4, .n_threads = 1};
    open_bench(&b, "noise", GY_LEARNER_LOGISTIC, 900, "train: {features: [HR, Resp, id]}\n");
    OK(gy_importance_of(b.p, b.t, &b.trained.eval, &o, &i, &g_err));
    assert_string_equal(i.items[2].name.p, "id");
    assert_true(i.items[0].value > 0.03 && fabs(i.items[2].value) < 0.02);
    gy_importance_done(&i);
    close_bench(&b);
}

static void a_training_draws_the_same_at_any_number_of_threads(void **state)
{
    (void)state;
    struct bench one, four;
    static const char *const names[] = {"roc", "precision_recall", "confusion", "calibration",
                                        "importance"};
    open_bench(&one, "one", GY_LEARNER_XGBOOST, 600, "train: {threads: 1}\n");
    open_bench(&four, "four", GY_LEARNER_XGBOOST, 600, "train: {threads: 4}\n");
    assert_int_equal(one.trained.pictures.n, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct gy_picture *x = &one.trained.pictures.items[i];
        assert_string_equal(x->name, names[i]);
        assert_true(
            gy_str_eq(gy_buf_str(&x->svg), gy_buf_str(&four.trained.pictures.items[i].svg)));
        char path[GY_MAX_PATH];
        OK(gy_path_join(path, sizeof path, one.dir, x->name, &g_err));
        assert_false(gy_path_exists(path)); /* not in the package */
    }
    close_bench(&one);
    close_bench(&four);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contributions_of_trees_sum_to_the_score),
        cmocka_unit_test(contributions_of_linear_models_sum_to_the_score),
        cmocka_unit_test(a_server_tells_the_same_contributions),
        cmocka_unit_test(a_server_tells_contributions_of_linear_models),
        cmocka_unit_test(others_say_what_to_do_instead),
        cmocka_unit_test(importance_finds_what_matters),
        cmocka_unit_test(importance_of_noise_is_nothing),
        cmocka_unit_test(a_training_draws_the_same_at_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
