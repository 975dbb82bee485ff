/* SPDX-License-Identifier: Apache-2.0 */
/* Training and evaluation: determinism, honesty, and the walker on real held-out rows. */
#include "support_learn.h"

#include "learn/runtime/trees.h"
#include "learn/split.h"
#include "learn/xgb.h"

#define PARAMS                                                         \
    "seed: 7\nholdout: 0.3333\ntrain:\n  features: [HR, Resp, Temp]\n" \
    "  slices: ['HR > 90', \"ward == 'icu'\", 'HR > 1000']\n"          \
    "  logistic: {l2: 0.5}\n  xgboost: {rounds: 40, depth: 4, eta: 0.2, subsample: 0.8}\n"

static void train_into(const struct gy_table *t, enum gy_learner learner, const char *yaml,
                       int threads, const char *dir, struct gy_trained *ret)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    read_params(&p, learner, yaml);
    p.n_threads = threads;
    OK(gy_train(t, &p, dir, ret, &g_err));
}

static double value(const struct gy_eval *e, const char *name)
{
    const struct gy_metric *m = gy_eval_metric(e, GY_STR_NULL, gy_str_c(name));
    assert_non_null(m);
    return m->value;
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf x;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf y;
    read_file(a, name, &x);
    read_file(b, name, &y);
    if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0) {
        fail_msg("%s differs between %s and %s", name, a, b);
    }
}

/* Again, and at 2 and 4 threads: the same bytes in every file. */
static void same_bytes_every_time(void **state)
{
    (void)state;
    static const char *const files[] = {"model.json", "metrics.json", "card.json", "profile.json",
                                        "input_example.json"};
    static const int threads[] = {1, 1, 2, 4};
    char dirs[4][GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(3000, 1);
    for (int l = GY_LEARNER_MAJORITY; l <= GY_LEARNER_XGBOOST; l++) {
        for (size_t i = 0; i < 4; i++) {
            char name[32];
            GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
            (void)snprintf(name, sizeof name, "same-%d-%zu", l, i);
            in_dir(dirs[i], name);
            train_into(t, (enum gy_learner)l, PARAMS, threads[i], dirs[i], &done);
            for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
                assert_same_file(dirs[0], dirs[i], files[f]);
            }
            if (l == GY_LEARNER_XGBOOST) {
                assert_same_file(dirs[0], dirs[i], "model.ubj");
            }
        }
    }
}

/* Every held-out row: libxgboost, the walker and the loaded package say the same bits. */
static void compare_on_held_out(const struct gy_table *t, const char *dir)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    uint32_t *rows = NULL;
    size_t n = 0;
    read_file(dir, "model.ubj", &file);
    OK(gy_predictor_load(dir, &p, &g_err));
    const struct gy_predictor_info *info = gy_predictor_info(p);
    const struct gy_model *m = gy_predictor_model(p);
    OK(gy_eval_rows(m, t, GY_EVAL_HELD_OUT, &rows, &n, &g_err));
    assert_true(n > 100);
    double *raw = gy_calloc(n * info->n_inputs, sizeof *raw);
    double *ours = gy_calloc(n * info->n_outputs, sizeof *ours);
    float *x = gy_calloc(n * info->n_inputs, sizeof *x);
    float *theirs = gy_calloc(n * info->n_outputs, sizeof *theirs);
    struct gy_str names[8];
    for (size_t i = 0; i < info->n_inputs; i++) {
        names[i] = info->inputs[i].name;
    }
    OK(gy_table_matrix(t, names, info->n_inputs, rows, n, raw, &g_err));
    OK(gy_predict_table(p, t, rows, n, ours, &g_err));
    double *ready =
        gy_calloc(n * m->features.n_out + gy_features_scratch(&m->features, n), sizeof *ready);
    gy_features_apply(&m->features, raw, n, ready, ready + n * m->features.n_out);
    for (size_t i = 0; i < n * info->n_inputs; i++) {
        x[i] = (float)ready[i];
    }
    const struct gy_xgb_matrix data = {.x = x, .n_rows = n, .n_features = info->n_inputs};
    OK(gy_xgb_predict(gy_buf_str(&file), &data, false, theirs, n * info->n_outputs, &g_err));
    for (size_t i = 0; i < n * info->n_outputs; i++) {
        double want = (double)theirs[i];
        assert_memory_equal(&ours[i], &want, sizeof want);
    }
    gy_free(raw);
    gy_free(ready);
    gy_free(ours);
    gy_free(x);
    gy_free(theirs);
    gy_eval_rows_free(rows);
}

static void walker_equals_libxgboost_on_held_out_rows(void **state)
{
    (void)state;
    static const char *const variants[] = {
        PARAMS,
        "seed: 3\ntrain: {features: [Temp, HR], impute: median, scale: zscore, xgboost: {rounds: "
        "30}}",
        "seed: 4\ntrain: {features: [HR, Resp], target: Temp, task: regression, xgboost: {rounds: "
        "30}}",
        "seed: 5\ntrain: {features: [HR, Temp], target: marks, xgboost: {rounds: 10, depth: 3}}",
    };
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    struct gy_rng r;
    gy_rng_init(&r, 11);
    gy_buf_init(&csv, GY_MIB);
    gy_buf_addc(&csv, "HR,Resp,Temp,sick,marks,ward\n");
    for (size_t i = 0; i < 2000; i++) {
        int hr = 60 + (int)gy_rng_below(&r, 60), resp = 12 + (int)gy_rng_below(&r, 16);
        double temp = 35.5 + (double)gy_rng_below(&r, 50) / 10;
        int marks = (hr > 90) + (resp > 20) + (temp > 38.3);
        gy_buf_addf(&csv, "%d,%d,%.1f,%d,m%d,icu\n", hr, resp, temp, marks >= 2, marks);
    }
    OK(gy_table_parse(gy_buf_str(&csv), "t.csv", NULL, &t, &g_err));
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
        train_into(t, GY_LEARNER_XGBOOST, variants[i], 1, in_dir(dir, i % 2 ? "w1" : "w0"), &done);
        compare_on_held_out(t, dir);
        if (i == 3) {
            assert_int_equal(done.model.n_classes, 4);
            assert_true(value(&done.eval, "accuracy") > 0.4);
        } else if (i == 2) {
            assert_int_equal(done.model.task, GY_TASK_REGRESSION);
            assert_true(value(&done.eval, "rmse") < 3);
        }
    }
}

/* What is learnt can be seen: better than the majority, and the intervals hold the values. */
static void learns_more_than_the_majority(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(4000, 2);
    GY_AUTO_DONE(gy_trained_done) struct gy_trained xgb;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained logistic;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained majority;
    train_into(t, GY_LEARNER_XGBOOST, PARAMS, 1, in_dir(dir, "xgb"), &xgb);
    train_into(t, GY_LEARNER_LOGISTIC, PARAMS, 1, in_dir(dir, "logistic"), &logistic);
    train_into(t, GY_LEARNER_MAJORITY, PARAMS, 1, in_dir(dir, "majority"), &majority);
    double base = value(&majority.eval, "accuracy");
    assert_true(base == value(&xgb.baseline, "accuracy"));
    assert_true(value(&logistic.eval, "accuracy") > base + 0.1);
    assert_true(value(&xgb.eval, "accuracy") > value(&logistic.eval, "accuracy"));
    assert_true(value(&xgb.eval, "accuracy") > 0.94);
    assert_true(value(&majority.eval, "auc") == 0.5);
    assert_int_equal(majority.baseline.n_groups, 0);
    assert_int_equal(xgb.eval.n_groups, 4);
    assert_true(xgb.eval.groups[3].empty); /* HR > 1000 */
    assert_int_equal(xgb.model.rows_train + xgb.model.rows_held_out, 4000);
    assert_int_equal(xgb.eval.n_rows, (size_t)xgb.model.rows_held_out);
    assert_int_equal(xgb.eval.n_trained_on, 0);
    size_t high = xgb.eval.groups[1].metrics.n_rows;
    assert_true(high > 0 && high < xgb.eval.n_rows);
}

/* The held-out rows do not take part: changing their labels and values changes no model byte but
 * the digest of the data. */
static void held_out_rows_teach_nothing(void **state)
{
    (void)state;
    char a[GY_MAX_PATH], b[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(1500, 3);
    GY_AUTO(gy_table_free) struct gy_table *changed = patients(1500, 3);
    const struct gy_split s = {.seed = 7, .holdout = 0.3333};
    static bool held[1500];
    OK(gy_split_rows(&s, gy_table_key, t, t->n_rows, held, &g_err));
    for (size_t i = 0; i < t->n_rows; i++) {
        if (held[i]) {
            gy_table_column(changed, GY_STR("HR"))->num[i] = 1e6;
            gy_table_column(changed, GY_STR("sick"))->num[i] =
                1 - gy_table_column(t, GY_STR("sick"))->num[i];
        }
    }
    for (int l = GY_LEARNER_MAJORITY; l <= GY_LEARNER_XGBOOST; l++) {
        GY_AUTO_DONE(gy_trained_done) struct gy_trained x;
        GY_AUTO_DONE(gy_trained_done) struct gy_trained y;
        train_into(t, (enum gy_learner)l, PARAMS, 1, in_dir(a, "teach-a"), &x);
        train_into(changed, (enum gy_learner)l, PARAMS, 1, in_dir(b, "teach-b"), &y);
        assert_same_file(a, b, "model.json");
        assert_same_file(a, b, "input_example.json");
        if (l == GY_LEARNER_XGBOOST) {
            assert_same_file(a, b, "model.ubj");
        }
    }
}

/* Evaluating on training rows is possible only when asked for, and is said. */
static void training_rows_are_marked(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(2000, 4);
    GY_AUTO(gy_table_free) struct gy_table *later = patients(2500, 5);
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    GY_AUTO_DONE(gy_eval_done) struct gy_eval held = {0};
    GY_AUTO_DONE(gy_eval_done) struct gy_eval flattering = {0};
    const struct gy_eval_options o = {.n_threads = 1};
    uint32_t *rows = NULL;
    size_t n = 0;
    train_into(t, GY_LEARNER_XGBOOST, PARAMS, 1, in_dir(dir, "marked"), &done);
    OK(gy_predictor_load(dir, &p, &g_err));
    OK(gy_evaluate_package(dir, NULL, t, &o, &held, &g_err));
    assert_int_equal(held.n_trained_on, 0);
    assert_true(held.same_data);
    assert_true(value(&held, "accuracy") == value(&done.eval, "accuracy"));
    OK(gy_eval_rows(gy_predictor_model(p), t, GY_EVAL_TRAINING, &rows, &n, &g_err));
    OK(gy_evaluate(p, t, rows, n, &o, &flattering, &g_err));
    gy_eval_rows_free(rows);
    assert_int_equal(flattering.n_trained_on, flattering.n_rows);
    assert_int_equal(flattering.n_rows + held.n_rows, 2000);
    gy_eval_done(&flattering);
    /* another table: the split still keeps known ids apart, but nothing is certain */
    OK(gy_eval_rows(gy_predictor_model(p), later, GY_EVAL_ALL, &rows, &n, &g_err));
    OK(gy_evaluate(p, later, rows, n, &o, &flattering, &g_err));
    gy_eval_rows_free(rows);
    assert_int_equal(flattering.n_rows, 2500);
    assert_false(flattering.same_data);
    assert_true(flattering.n_trained_on > 1000 && flattering.n_trained_on < 2500);
}

static void evaluation_refuses_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *slice;
        gy_status code;
    } slices[] = {{"HR >", GY_E_PARSE}, {"Pulse > 3", GY_E_INVALID}, {"HR > 'x'", GY_E_INVALID}};
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(500, 4);
    GY_AUTO(gy_table_free) struct gy_table *none = NULL;
    GY_AUTO(gy_table_free) struct gy_table *strange = NULL;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    train_into(t, GY_LEARNER_LOGISTIC, PARAMS, 1, in_dir(dir, "nonsense"), &done);
    for (size_t i = 0; i < 3; i++) {
        struct gy_eval e = {0};
        struct gy_err err = GY_ERR_INIT;
        const struct gy_str slice = gy_str_c(slices[i].slice);
        const struct gy_eval_options o = {.slices = &slice, .n_slices = 1, .n_threads = 1};
        gy_status status = gy_evaluate_package(dir, NULL, t, &o, &e, &err);
        if (status != slices[i].code || !strstr(err.msg, "slice")) {
            fail_msg("%s: %s %s", slices[i].slice, gy_status_name(status), err.msg);
        }
    }
    struct gy_eval e = {0};
    struct gy_err err = GY_ERR_INIT;
    const struct gy_eval_options o = {.n_threads = 1};
    /* without the schema there is no id: the split can not be repeated */
    OK(gy_table_parse(GY_STR("id,HR,Resp,Temp\n1,2,3,4\n"), "t", NULL, &none, &g_err));
    assert_int_equal(gy_evaluate_package(dir, NULL, none, &o, &e, &err), GY_E_INVALID);
    OK(gy_table_parse(GY_STR("id,HR,Resp,Temp,sick\n1,2,3,4,2\n"), "t", NULL, &strange, &g_err));
    const uint32_t row = 0;
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    OK(gy_predictor_load(dir, &p, &g_err));
    assert_int_equal(gy_evaluate(p, strange, &row, 1, &o, &e, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "label '2'"));
    assert_int_equal(gy_evaluate(p, none, &row, 1, &o, &e, &err), GY_E_NOTFOUND);
}

static void training_refuses_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum gy_learner learner;
        gy_status code;
        const char *says;
    } cases[] = {
        {"train: {target: nix}", GY_LEARNER_XGBOOST, GY_E_NOTFOUND, "nix"},
        {"train: {features: [nix]}", GY_LEARNER_XGBOOST, GY_E_NOTFOUND, "nix"},
        {"train: {features: [ward]}", GY_LEARNER_XGBOOST, GY_E_INVALID, "text"},
        {"train: {features: [sick]}", GY_LEARNER_XGBOOST, GY_E_INVALID, "target"},
        {"train: {features: [HR, HR]}", GY_LEARNER_XGBOOST, GY_E_INVALID, "twice"},
        {"train: {task: multiclass, target: id}", GY_LEARNER_XGBOOST, GY_E_INVALID, "task"},
        {"train: {task: regression, target: ward}", GY_LEARNER_XGBOOST, GY_E_INVALID, "regression"},
        {"train: {target: Temp}", GY_LEARNER_LOGISTIC, GY_E_INVALID, "regression task"},
        {"train: {impute: none}", GY_LEARNER_LOGISTIC, GY_E_INVALID, "missing values"},
    };
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(1200, 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_trained done;
        struct gy_err err = GY_ERR_INIT;
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        read_params(&p, cases[i].learner, cases[i].yaml);
        gy_status status = gy_train(t, &p, in_dir(dir, "refused"), &done, &err);
        if (status != cases[i].code || !strstr(err.msg, cases[i].says)) {
            fail_msg("%s: %s %s", cases[i].yaml, gy_status_name(status), err.msg);
        }
    }
}

static void parameters_refuse_nonsense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[1]",
        "seed: -1",
        "seed: x",
        "holdout: 1",
        "train: {lerner: xgboost}",
        "train: {learner: svm}",
        "train: {task: ranking}",
        "train: {features: HR}",
        "train: {features: []}",
        "train: {impute: often}",
        "train: {scale: minmax}",
        "train: {threads: 0}",
        "train: {replicates: 1e9}",
        "train: {xgboost: {rounds: 0}}",
        "train: {xgboost: {depth: deep}}",
        "train: {xgboost: {eta: 7}}",
        "train: {xgboost: {objective: rank}}",
        "train: {logistic: {l2: -1}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        struct gy_err err = GY_ERR_INIT;
        gy_train_params_init(&p);
        OK(gy_yaml_parse(gy_str_c(bad[i]), "params.yaml", &y, &g_err));
        gy_status status = gy_train_params_read(&p, y, &err);
        if (status != GY_E_INVALID || !strstr(err.msg, "params.yaml:1")) {
            fail_msg("%s: %s '%s'", bad[i], gy_status_name(status), err.msg);
        }
    }
}

/* A step for one learner stands under its name, one for all under train. */
static void parameters_of_a_learner_stay_with_it(void **state)
{
    (void)state;
    const char *yaml = "seed: 9\ntrain: {impute: zero, logistic: {impute: mean, scale: zscore}, "
                       "xgboost: {rounds: 3, lambda: 2.5}, learner: majority}\nother: [1]";
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params a;
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params b;
    read_params(&a, GY_LEARNER_LOGISTIC, yaml);
    read_params(&b, GY_LEARNER_XGBOOST, yaml);
    assert_int_equal(a.learner, GY_LEARNER_LOGISTIC); /* fixed: the file's does not count */
    assert_true(gy_str_eqc(a.impute, "mean") && gy_str_eqc(a.scale, "zscore") && a.seed == 9);
    assert_true(gy_str_eqc(b.impute, "zero") && !b.scale.p && gy_train_rounds(&b) == 3);
    assert_true(gy_str_eqc(gy_setting_text(&b.settings, "lambda"), "2.5"));
    assert_false(gy_setting_given(&b.settings, "depth"));
}

/* The real vitals, where they are: what the three vitals can tell (a ceiling of about .988). */
static void real_vitals(void **state)
{
    (void)state;
    char path[GY_MAX_PATH], dir[GY_MAX_PATH];
    const char *data = getenv("GYRE_TEST_DATA");
    const char *src = getenv("GYRE_SRC");
    (void)snprintf(path, sizeof path, "%s%s/sepsis_vitals.csv",
                   data  ? data
                   : src ? src
                         : ".",
                   data ? "" : "/../shared/data");
    if (!gy_path_exists(path)) {
        print_message("the real vitals are not here\n");
        skip();
    }
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    OK(gy_schema_parse(GY_STR("columns:\n- {name: patient_id, type: int, role: id}\n"), "s", &s,
                       &g_err));
    OK(gy_table_load(path, s, &t, &g_err));
    assert_int_equal(t->n_rows, 36302);
    double accuracy[2];
    for (size_t i = 0; i < 2; i++) {
        GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        read_params(
            &p, GY_LEARNER_XGBOOST,
            "holdout: 0.3333\ntrain: {target: isSepsis, features: [HR, Resp, Temp], xgboost: "
            "{rounds: 200, depth: 5, eta: 0.1}}");
        p.seed = 7 + i;
        OK(gy_train(t, &p, in_dir(dir, "vitals"), &done, &g_err));
        accuracy[i] = value(&done.eval, "accuracy");
        assert_true(accuracy[i] >= 0.983 && accuracy[i] < 0.991);
        assert_true(value(&done.eval, "recall") >= 0.81);
        assert_true(fabs(value(&done.baseline, "accuracy") - 0.927) < 0.005);
        assert_true(value(&done.baseline, "recall") == 0);
        compare_on_held_out(t, dir);
    }
    assert_true(fabs(accuracy[0] - accuracy[1]) <= 0.006);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_every_time),
        cmocka_unit_test(walker_equals_libxgboost_on_held_out_rows),
        cmocka_unit_test(learns_more_than_the_majority),
        cmocka_unit_test(held_out_rows_teach_nothing),
        cmocka_unit_test(training_rows_are_marked),
        cmocka_unit_test(evaluation_refuses_nonsense),
        cmocka_unit_test(training_refuses_nonsense),
        cmocka_unit_test(parameters_refuse_nonsense),
        cmocka_unit_test(parameters_of_a_learner_stay_with_it),
        cmocka_unit_test(real_vitals),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
