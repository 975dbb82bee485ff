/* SPDX-License-Identifier: Apache-2.0 */
/* The learners as gy_train and the predictor use them: forests, and what all of them share: the
 * same bytes at any thread count, weights of rows, tables that have next to nothing to learn. */
#include "support_learn.h"

#include "learn/learner.h"
#include "learn/xgb.h"

#define ROWS 240
#define COLS 3

static double g_x[ROWS * COLS], g_value[ROWS], g_class[ROWS], g_count[ROWS];

/* One learner with its settings, for a task. */
struct variant {
    enum gy_learner learner;
    enum gy_task task;
    const char *settings; /* "key=value key=value" */
};

static const struct variant g_variants[] = {
    {GY_LEARNER_MAJORITY, GY_TASK_REGRESSION, ""},
    {GY_LEARNER_FORMULA, GY_TASK_REGRESSION, "formula=c-2 calibrate=true"},
    {GY_LEARNER_FORMULA, GY_TASK_BINARY, "formula=a>0"},
    {GY_LEARNER_LINEAR, GY_TASK_REGRESSION, ""},
    {GY_LEARNER_LINEAR, GY_TASK_REGRESSION, "l2=0.5"},
    {GY_LEARNER_GLM, GY_TASK_REGRESSION, "exposure=c"},
    {GY_LEARNER_GLM, GY_TASK_REGRESSION, "family=tweedie power=1.3 l2=0.01"},
    {GY_LEARNER_LOGISTIC, GY_TASK_BINARY, ""},
    {GY_LEARNER_LOGISTIC, GY_TASK_MULTICLASS, "l2=0.1"},
    {GY_LEARNER_XGBOOST, GY_TASK_BINARY, "rounds=5"},
    {GY_LEARNER_XGBOOST, GY_TASK_REGRESSION,
     "rounds=40 objective=tweedie early_stopping=3 eta=0.8"},
    {GY_LEARNER_XGBOOST, GY_TASK_MULTICLASS, "rounds=30 early_stopping=4 num_parallel_tree=2"},
    {GY_LEARNER_FOREST, GY_TASK_REGRESSION, "trees=7"},
    {GY_LEARNER_FOREST, GY_TASK_BINARY, "trees=7 max_features=all columns=0.7"},
    {GY_LEARNER_FOREST, GY_TASK_MULTICLASS, "trees=5 depth=4"},
};
#define N_VARIANTS (sizeof g_variants / sizeof g_variants[0])

static int make_rows(void **state)
{
    struct gy_rng r;
    (void)state;
    gy_rng_init(&r, 4);
    for (size_t i = 0; i < ROWS; i++) {
        double *x = g_x + i * COLS;
        x[0] = gy_rng_normal(&r);
        x[1] = gy_rng_f64(&r) * 100;
        x[2] = .2 + gy_rng_f64(&r);
        g_value[i] = x[0] - x[1] / 50 + gy_rng_normal(&r) / 2;
        g_class[i] = (double)((g_value[i] > -1.5) + (g_value[i] > 0));
        g_count[i] = floor(gy_rng_f64(&r) * 4 * x[2]);
    }
    return make_dir(state);
}

/* A fit of the rows above, or of n of them, and what answers. */
struct fitted {
    struct gy_model model;
    struct gy_buf file;
    struct gy_runtime runtime;
    double y[ROWS];
};

static void fitted_done(struct fitted *f)
{
    if (f->runtime.ops) {
        f->runtime.ops->free(f->runtime.self);
    }
    gy_buf_done(&f->file);
    gy_model_done(&f->model);
}
GY_DEFINE_AUTO_DONE(struct fitted, fitted_done);

static void read_settings(struct gy_settings *s, const char *text)
{
    struct gy_str rest = gy_str_c(text), item, key, value;
    while (rest.n && gy_str_next(&rest, ' ', &item)) {
        assert_true(gy_str_cut(item, '=', &key, &value));
        OK(gy_settings_set(s, key, value, &g_err));
    }
}

static gy_status fit(const struct variant *v, const double *y, const double *weight, size_t n,
                     int threads, struct fitted *ret, struct gy_err *err)
{
    static const struct gy_feature columns[COLS] = {
        {.name = {"a", 1}}, {.name = {"b", 1}}, {.name = {"c", 1}}};
    static struct gy_str classes[3] = {{"0", 1}, {"1", 1}, {"2", 1}};
    const struct gy_learner_ops *ops = gy_learner_get(v->learner);
    struct gy_settings settings = {.specs = ops->settings};
    memset(ret, 0, sizeof *ret);
    gy_model_init(&ret->model);
    gy_buf_init(&ret->file, 64 * GY_MIB);
    read_settings(&settings, v->settings);
    ret->model.task = v->task;
    ret->model.learner = v->learner;
    ret->model.classes = classes;
    ret->model.n_classes = v->task == GY_TASK_REGRESSION ? 0 : v->task == GY_TASK_BINARY ? 2 : 3;
    OK(gy_features_empty(&ret->model.features, columns, COLS, 0, &g_err));
    bool counts = v->learner == GY_LEARNER_GLM || strstr(v->settings, "tweedie");
    for (size_t i = 0; i < n; i++) {
        ret->y[i] = y                               ? y[i]
                    : counts                        ? g_count[i]
                    : v->task == GY_TASK_REGRESSION ? g_value[i]
                    : v->task == GY_TASK_BINARY     ? (double)(g_class[i] > 0)
                                                    : g_class[i];
    }
    struct gy_fit f = {.settings = &settings,
                       .x = g_x,
                       .y = ret->y,
                       .weight = weight,
                       .n_rows = n,
                       .n_features = COLS,
                       .features = columns,
                       .seed = 3,
                       .n_threads = threads,
                       .m = &ret->model,
                       .file = &ret->file};
    GY_TRY(ops->fit(&f, err));
    GY_TRY(ops->check(&ret->model, err));
    return ops->load(&ret->model, gy_buf_str(&ret->file), &ret->runtime, err);
}

/* n rows through the runtime. */
static void answer(const struct fitted *f, size_t n, double *out)
{
    size_t n_out = f->model.task == GY_TASK_MULTICLASS ? f->model.n_classes : 1;
    for (size_t i = 0; i < n; i += GY_RUNTIME_BLOCK) {
        size_t m = n - i < GY_RUNTIME_BLOCK ? n - i : GY_RUNTIME_BLOCK;
        size_t bytes = (f->runtime.ops->scratch(f->runtime.self, m) + 127) / 64 * 64;
        void *scratch = aligned_alloc(64, bytes);
        assert_non_null(scratch);
        f->runtime.ops->run(f->runtime.self, g_x + i * COLS, m, out + i * n_out, scratch);
        free(scratch); /* aligned_alloc's, not ours */
    }
}

static void the_same_bytes_at_any_thread_count(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 4};
    for (size_t v = 0; v < N_VARIANTS; v++) {
        GY_AUTO_DONE(fitted_done) struct fitted first;
        OK(fit(&g_variants[v], NULL, NULL, ROWS, 1, &first, &g_err));
        for (size_t t = 0; t < 3; t++) {
            GY_AUTO_DONE(fitted_done) struct fitted other;
            OK(fit(&g_variants[v], NULL, NULL, ROWS, threads[t], &other, &g_err));
            assert_int_equal(first.file.n, other.file.n);
            assert_memory_equal(first.file.p, other.file.p, first.file.n);
            assert_int_equal(first.model.n_values, other.model.n_values);
            assert_memory_equal(first.model.values ? first.model.values : g_x,
                                other.model.values ? other.model.values : g_x,
                                first.model.n_values * sizeof(double));
            assert_true(gy_str_eq(first.model.params_json, other.model.params_json));
        }
    }
}

/* Answers are what the task promises, and the same one row at a time. */
static void answers_are_of_their_task(void **state)
{
    (void)state;
    static double out[ROWS * 3];
    for (size_t v = 0; v < N_VARIANTS; v++) {
        GY_AUTO_DONE(fitted_done) struct fitted f;
        OK(fit(&g_variants[v], NULL, NULL, ROWS, 1, &f, &g_err));
        answer(&f, ROWS, out);
        for (size_t i = 0; i < ROWS; i++) {
            if (g_variants[v].task == GY_TASK_MULTICLASS) {
                double sum = out[3 * i] + out[3 * i + 1] + out[3 * i + 2];
                assert_true(fabs(sum - 1) < 1e-6 && out[3 * i] >= 0 && out[3 * i + 2] <= 1);
            } else if (g_variants[v].task == GY_TASK_BINARY) {
                assert_true(out[i] >= 0 && out[i] <= 1);
            } else {
                assert_true(isfinite(out[i]));
            }
        }
    }
}

/* One tree of one leaf on all rows is the mean; grown trees keep it on the whole. */
static void a_forest_answers_shares_of_rows(void **state)
{
    (void)state;
    double out[ROWS], share = 0, told = 0, loss = 0, base = 0;
    GY_AUTO_DONE(fitted_done) struct fitted stump;
    GY_AUTO_DONE(fitted_done) struct fitted grown;
    const struct variant one = {GY_LEARNER_FOREST, GY_TASK_BINARY,
                                "trees=1 subsample=1 min_child_weight=200"};
    const struct variant many = {GY_LEARNER_FOREST, GY_TASK_BINARY, "trees=50"};
    for (size_t i = 0; i < ROWS; i++) {
        share += (double)(g_class[i] > 0) / ROWS;
    }
    OK(fit(&one, NULL, NULL, ROWS, 1, &stump, &g_err));
    answer(&stump, ROWS, out);
    assert_true(fabs(out[0] - share) < 1e-6 && out[0] == out[ROWS - 1]);
    OK(fit(&many, NULL, NULL, ROWS, 1, &grown, &g_err));
    answer(&grown, ROWS, out);
    for (size_t i = 0; i < ROWS; i++) {
        double y = (double)(g_class[i] > 0);
        told += out[i] / ROWS;
        loss += (out[i] - y) * (out[i] - y);
        base += (share - y) * (share - y);
    }
    assert_true(fabs(told - share) < .05);
    assert_true(loss < base / 4);
    assert_int_equal(grown.runtime.n_trees, 50);
    assert_int_equal(grown.model.n_trees, 50);
}

/* The file is libxgboost's own, and says the same there. */
static void a_forest_is_a_model_of_libxgboost(void **state)
{
    (void)state;
    static float x[ROWS * COLS], theirs[ROWS];
    static double ours[ROWS];
    GY_AUTO_DONE(fitted_done) struct fitted f;
    const struct variant v = {GY_LEARNER_FOREST, GY_TASK_REGRESSION, "trees=20"};
    OK(fit(&v, NULL, NULL, ROWS, 1, &f, &g_err));
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) {
        x[i] = (float)g_x[i];
    }
    const struct gy_xgb_matrix data = {.x = x, .n_rows = ROWS, .n_features = COLS};
    OK(gy_xgb_predict(gy_buf_str(&f.file), &data, false, theirs, ROWS, &g_err));
    answer(&f, ROWS, ours);
    for (size_t i = 0; i < ROWS; i++) {
        double want = (double)theirs[i];
        assert_memory_equal(&ours[i], &want, sizeof want);
    }
}

/* A file of several forests that is cut or lies about its sizes is refused, whatever it says. */
static void a_damaged_file_of_forests_is_refused(void **state)
{
    (void)state;
    GY_AUTO_DONE(fitted_done) struct fitted f;
    const struct gy_learner_ops *ops = gy_learner_get(GY_LEARNER_FOREST);
    OK(fit(&g_variants[N_VARIANTS - 1], NULL, NULL, ROWS, 1, &f, &g_err));
    f.model.file = GY_STR("forest.ubj");
    struct gy_str whole = gy_buf_str(&f.file);
    size_t line = gy_str_find(whole, '\n');
    const struct gy_str bad[] = {
        GY_STR(""),
        GY_STR("gyre.forest/1"),
        GY_STR("gyre.forest/1 1 1\nxx"),
        GY_STR("gyre.forest/1 9999999 1 1\nxxx"),
        GY_STR("gyre.forest/1 -1 1 1\nxxx"),
        GY_STR("gyre.forest/2 1 1 1\nxxx"),
        gy_str_sub(whole, 0, line + 1),
        gy_str_sub(whole, 0, whole.n - 10),
        gy_str_sub(whole, line + 1, whole.n),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        struct gy_runtime r = {0};
        gy_status status = ops->load(&f.model, bad[i], &r, &err);
        if (r.ops) {
            r.ops->free(r.self);
        }
        if (status != GY_E_CORRUPT && status != GY_E_NOTSERVABLE) {
            fail_msg("damage %zu: %s %s", i, gy_status_name(status), err.msg);
        }
    }
}

/* Rows of weight 0 count nothing where sums are taken; all of them 0 is refused everywhere. */
static void rows_have_weights(void **state)
{
    (void)state;
    static double zeros[ROWS], half[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        half[i] = i < ROWS / 2;
    }
    for (size_t v = 0; v < N_VARIANTS; v++) {
        const struct variant *p = &g_variants[v];
        GY_AUTO_DONE(fitted_done) struct fitted none;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = fit(p, NULL, zeros, ROWS, 1, &none, &err);
        if (p->learner != GY_LEARNER_FORMULA || strstr(p->settings, "calibrate")) {
            assert_int_equal(status, GY_E_INVALID);
            if (p->learner != GY_LEARNER_FORMULA && !strstr(err.msg, "weight 0")) {
                fail_msg("%zu: %s", v, err.msg);
            }
        }
        bool trees = p->learner == GY_LEARNER_XGBOOST || p->learner == GY_LEARNER_FOREST;
        GY_AUTO_DONE(fitted_done) struct fitted weighted;
        GY_AUTO_DONE(fitted_done) struct fitted fewer;
        OK(fit(p, NULL, half, ROWS, 1, &weighted, &g_err));
        OK(fit(p, NULL, NULL, ROWS / 2, 1, &fewer, &g_err));
        for (size_t i = 0; !trees && i < fewer.model.n_values; i++) {
            double a = weighted.model.values[i], b = fewer.model.values[i];
            if (!(fabs(a - b) <= 1e-8 * fmax(1, fabs(b)))) {
                fail_msg("learner %zu, value %zu: %.17g, not %.17g", v, i, a, b);
            }
        }
        if (trees) { /* and a weighted row pulls the answer its way */
            static double out[ROWS * 3], plain[ROWS * 3];
            GY_AUTO_DONE(fitted_done) struct fitted equal;
            OK(fit(p, NULL, NULL, ROWS, 1, &equal, &g_err));
            answer(&weighted, ROWS, out);
            answer(&equal, ROWS, plain);
            assert_memory_not_equal(out, plain, ROWS * sizeof *out);
        }
    }
}

/* A constant target, and a single row: an answer for numbers, for one class a clear no. */
static void next_to_nothing_to_learn(void **state)
{
    (void)state;
    static double ones[ROWS], out[ROWS * 3];
    for (size_t i = 0; i < ROWS; i++) {
        ones[i] = 1;
    }
    for (size_t v = 0; v < N_VARIANTS; v++) {
        const struct variant *p = &g_variants[v];
        bool aside = strstr(p->settings, "early_stopping") != NULL;
        for (int single = 0; single < 2; single++) {
            size_t n = single ? 1 : ROWS;
            GY_AUTO_DONE(fitted_done) struct fitted f;
            struct gy_err err = GY_ERR_INIT;
            gy_status status = fit(p, ones, NULL, n, 1, &f, &err);
            if (p->learner == GY_LEARNER_LOGISTIC) {
                assert_int_equal(status, GY_E_INVALID);
                assert_non_null(strstr(err.msg, "one class only"));
                continue;
            }
            if (single && aside) {
                assert_int_equal(status, GY_E_INVALID);
                assert_non_null(strstr(err.msg, "too few to set some aside"));
                continue;
            }
            if (p->learner == GY_LEARNER_FORMULA && strstr(p->settings, "calibrate") &&
                status != GY_OK) {
                assert_non_null(strstr(err.msg, "no positive factor"));
                continue;
            }
            if (status != GY_OK) {
                fail_msg("learner %zu, %zu rows: %s", v, n, err.msg);
            }
            answer(&f, n, out);
            if (p->learner == GY_LEARNER_LINEAR || p->learner == GY_LEARNER_MAJORITY ||
                (p->learner == GY_LEARNER_FOREST && p->task != GY_TASK_MULTICLASS)) {
                assert_true(fabs(out[0] - 1) < 1e-6);
            }
        }
    }
}

/* Through the table, the steps and the package: a column without any value is no harm. */
static void a_column_without_values(void **state)
{
    (void)state;
    static const enum gy_learner learners[] = {GY_LEARNER_LINEAR, GY_LEARNER_GLM, GY_LEARNER_FOREST,
                                               GY_LEARNER_XGBOOST};
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(300, 5);
    double *resp = gy_table_column(t, GY_STR("Resp"))->num;
    for (size_t i = 0; i < t->n_rows; i++) {
        resp[i] = NAN;
    }
    for (size_t i = 0; i < sizeof learners / sizeof learners[0]; i++) {
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
        read_params(&p, learners[i],
                    "train: {target: Temp, task: regression, features: [HR, Resp], replicates: 0}");
        OK(gy_train(t, &p, in_dir(dir, "empty-column"), &done, &g_err));
        if (learners[i] == GY_LEARNER_LINEAR || learners[i] == GY_LEARNER_GLM) {
            assert_int_equal(done.model.n_values, 3);
            assert_true(done.model.values[1] == 0);
        }
    }
}

/* A learner that can not do the task says which can. */
static void a_task_that_a_learner_can_not_do(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(200, 6);
    static const enum gy_learner learners[] = {GY_LEARNER_LINEAR, GY_LEARNER_GLM};
    for (size_t i = 0; i < 2; i++) {
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        struct gy_err err = GY_ERR_INIT;
        struct gy_trained done;
        read_params(&p, learners[i], "train: {features: [HR]}");
        assert_int_equal(gy_train(t, &p, in_dir(dir, "no-task"), &done, &err), GY_E_INVALID);
        assert_non_null(strstr(err.msg, gy_learner_name(learners[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_at_any_thread_count),
        cmocka_unit_test(answers_are_of_their_task),
        cmocka_unit_test(a_forest_answers_shares_of_rows),
        cmocka_unit_test(a_forest_is_a_model_of_libxgboost),
        cmocka_unit_test(a_damaged_file_of_forests_is_refused),
        cmocka_unit_test(rows_have_weights),
        cmocka_unit_test(next_to_nothing_to_learn),
        cmocka_unit_test(a_column_without_values),
        cmocka_unit_test(a_task_that_a_learner_can_not_do),
    };
    return cmocka_run_group_tests(tests, make_rows, remove_dir);
}
