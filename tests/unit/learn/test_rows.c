/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows are learnt from: splits, filters, weights, made-up rows. */
#include "support_learn.h"

#include "learn/holdout.h"
#include "learn/row_filter.h"
#include "learn/smote.h"

static struct gy_table *table(const char *csv)
{
    struct gy_table *t = NULL;
    OK(gy_table_parse(gy_str_c(csv), "t.csv", NULL, &t, &g_err));
    return t;
}

/* ---- splits ---- */

static void later_rows_are_held_out(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free)
    struct gy_table *t = table("day,v\n2026-01-05T00:00:00Z,1\n2026-01-01T00:00:00Z,2\n,3\n"
                               "2026-01-04T00:00:00Z,4\n2026-01-05T00:00:00Z,5\n");
    struct gy_holdout h = {.by = GY_HOLDOUT_TIME, .column = GY_STR("day"), .share = 0.5};
    bool held[5];
    OK(gy_holdout_fit(&h, t, &g_err));
    OK(gy_holdout_rows(&h, t, held, &g_err));
    const bool want[5] = {true, false, false, false, true}; /* no time: learnt from */
    assert_memory_equal(held, want, sizeof held);
    h.column = GY_STR("nix");
    assert_int_equal(gy_holdout_fit(&h, t, &g_err), GY_E_NOTFOUND);
    GY_AUTO(gy_table_free) struct gy_table *bad = table("day,v\nsoon,1\nlater,2\n");
    h.column = GY_STR("day");
    assert_int_equal(gy_holdout_fit(&h, bad, &g_err), GY_E_INVALID);
    assert_non_null(strstr(g_err.msg, "soon"));
}

static void groups_stay_together(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, GY_MIB);
    gy_buf_addc(&csv, "who,v\n");
    for (int i = 0; i < 3000; i++) {
        gy_buf_addf(&csv, "p%d,%d\n", i % 300, i);
    }
    GY_AUTO(gy_table_free) struct gy_table *t = table(csv.p);
    static bool held[3000];
    static uint8_t fold[3000];
    const struct gy_holdout h = {
        .by = GY_HOLDOUT_GROUP, .column = GY_STR("who"), .share = 0.3, .seed = 4};
    size_t n = 0;
    OK(gy_holdout_rows(&h, t, held, &g_err));
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(held[i], held[i % 300]);
        n += held[i];
    }
    assert_true(n > 700 && n < 1100);
    const struct gy_holdout k = {
        .by = GY_HOLDOUT_KFOLD, .column = GY_STR("who"), .folds = 4, .seed = 4};
    size_t sizes[4] = {0};
    OK(gy_holdout_folds(&k, t, NULL, 0, fold, &g_err));
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(fold[i], fold[i % 300]);
        sizes[fold[i]]++;
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(sizes[i], 750);
    }
}

static void folds_hold_every_class(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(1000, 3);
    static double y[1000];
    static uint8_t fold[1000];
    const struct gy_holdout h = {.by = GY_HOLDOUT_KFOLD, .folds = 5, .seed = 1};
    int rare[5] = {0}, all[5] = {0};
    for (size_t i = 0; i < 1000; i++) {
        y[i] = i % 20 == 0;
    }
    OK(gy_holdout_folds(&h, t, y, 2, fold, &g_err));
    for (size_t i = 0; i < 1000; i++) {
        rare[fold[i]] += y[i] > 0;
        all[fold[i]]++;
    }
    for (size_t k = 0; k < 5; k++) {
        assert_true(rare[k] == 10 && all[k] == 200);
    }
    const struct gy_holdout many = {.by = GY_HOLDOUT_KFOLD, .folds = 51};
    assert_int_equal(gy_holdout_folds(&many, t, y, 2, fold, &g_err), GY_E_INVALID);
}

/* ---- training with them ---- */

static void trained(const char *yaml, const char *name, struct gy_trained *ret)
{
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(900, 5);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    read_params(&p, GY_LEARNER_LOGISTIC, yaml);
    OK(gy_train(t, &p, in_dir(dir, name), ret, &g_err));
}

static double metric(const struct gy_eval *e, const char *name)
{
    return gy_eval_metric(e, GY_STR_NULL, gy_str_c(name))->value;
}

static void k_fold_measures_every_row_once(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained k;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained h;
    trained("train: {features: [HR, Resp, Temp], split: {by: kfold, folds: 4}}", "kfold", &k);
    trained("train: {features: [HR, Resp, Temp]}", "held", &h);
    assert_int_equal(k.on, GY_MEASURED_FOLDS);
    assert_int_equal(k.eval.n_rows, 900);
    assert_int_equal(k.model.rows_train, 900);
    assert_int_equal(k.model.rows_held_out, 0);
    assert_true(fabs(metric(&k.eval, "auc") - metric(&h.eval, "auc")) < 0.03);
    assert_true(metric(&k.eval, "auc") > 0.85 && metric(&k.baseline, "auc") == 0.5);
    /* on this table it has seen every row; a gate must not be told otherwise */
    char dir[GY_MAX_PATH];
    struct gy_eval e;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(900, 5);
    GY_AUTO(gy_table_free) struct gy_table *other = patients(300, 6);
    const struct gy_eval_options o = {0};
    assert_int_equal(gy_evaluate_package(in_dir(dir, "kfold"), NULL, t, &o, &e, &g_err),
                     GY_E_INVALID);
    assert_non_null(strstr(g_err.msg, "every row"));
    /* nor of another table: a later one mostly holds the rows of the one before */
    assert_int_equal(gy_evaluate_package(in_dir(dir, "kfold"), NULL, other, &o, &e, &g_err),
                     GY_E_INVALID);
    assert_non_null(strstr(g_err.hint, "--all-rows"));
}

static void training_rows_flatter_only_when_asked(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(300, 5);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    struct gy_trained done;
    read_params(&p, GY_LEARNER_LOGISTIC, "train: {features: [HR, Resp, Temp], split: none}");
    assert_int_equal(gy_train(t, &p, in_dir(dir, "none"), &done, &g_err), GY_E_INVALID);
    assert_non_null(strstr(g_err.hint, "kfold"));
    p.on_training = true;
    OK(gy_train(t, &p, in_dir(dir, "none"), &done, &g_err));
    assert_true(done.on == GY_MEASURED_TRAINING && done.eval.n_rows == 300);
    assert_int_equal(done.eval.n_trained_on, 300);
    gy_trained_done(&done);
}

static void weights_move_the_answers(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained none;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained smote;
    trained("train: {features: [HR, Resp, Temp]}", "none", &none);
    trained("train: {features: [HR, Resp, Temp], smote: {k: 3}}", "smote", &smote);
    /* half of the patients are septic now, as far as the learner knows */
    assert_true(metric(&smote.eval, "recall") >= metric(&none.eval, "recall"));
    assert_int_equal(smote.model.rows_train, none.model.rows_train);
}

/* On rows of training that no model had seen: the held-out rows are left alone. */
static void a_rule_chooses_the_threshold(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained none;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained recall;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained precision;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained cost;
    trained("train: {features: [HR, Resp, Temp]}", "t0", &none);
    trained("train: {features: [HR, Resp, Temp], threshold: {recall: 0.95}}", "t1", &recall);
    trained("train: {features: [HR, Resp, Temp], threshold: {precision: 0.9}}", "t2", &precision);
    trained("train: {features: [HR, Resp, Temp], threshold: {cost: {fp: 1, fn: 20}}}", "t3", &cost);
    assert_true(none.threshold.n_rows == 0 && none.model.threshold == 0.5);
    assert_int_equal(recall.threshold.n_rows, recall.model.rows_train);
    assert_true(recall.threshold.recall >= 0.95 && recall.model.threshold < 0.5);
    assert_true(metric(&recall.eval, "recall") > metric(&none.eval, "recall"));
    assert_true(precision.threshold.precision >= 0.9);
    assert_true(precision.model.threshold > recall.model.threshold);
    assert_true(metric(&precision.eval, "precision") > metric(&recall.eval, "precision"));
    assert_true(cost.model.threshold < 0.5);
    assert_true(metric(&recall.eval, "auc") == metric(&none.eval, "auc")); /* the same model */
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(300, 5);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    struct gy_trained done;
    read_params(&p, GY_LEARNER_LOGISTIC,
                "train: {features: [HR, Resp, Temp], threshold: f1, split: {by: kfold}}");
    assert_int_equal(gy_train(t, &p, in_dir(dir, "t4"), &done, &g_err), GY_E_INVALID);
    assert_non_null(strstr(g_err.msg, "k-fold"));
}

static void bad_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *says;
    } bad[] = {
        {"train: {split: {by: luck}}", "luck"},
        {"train: {split: {by: time}}", "column"},
        {"train: {split: {by: hash, folds: 3}}", "folds"},
        {"train: {split: {by: kfold, folds: 1}}", "folds"},
        {"train: {rows: {where: x}}", "list"},
        {"train: {rows: [{within_sd: 2}]}", "columns"},
        {"train: {rows: [{within_sd: -1, columns: [HR]}]}", "positive"},
        {"train: {rows: [{drop_missing: some}]}", "drop_missing"},
        {"train: {rows: [{where: HR > 3, drop_missing: true}]}", "one of"},
        {"train: {class_weight: heavy}", "balanced"},
        {"train: {class_weight: {1: -2}}", "0 or more"},
        {"train: {smote: {k: 0}}", "k must"},
        {"train: {smote: 3}", "smote is"},
        {"train: {evaluate: all}", "held_out"},
        {"train: {threshold: 2}", "threshold must"},
        {"train: {threshold: {precision: 7}}", "not in (0, 1]"},
        {"train: {threshold: {cost: 3}}", "cost is"},
        {"train: {threshold: {f2: 1}}", "f2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        gy_train_params_init(&p);
        OK(gy_yaml_parse(gy_str_c(bad[i].yaml), "params.yaml", &y, &g_err));
        gy_status status = gy_train_params_read(&p, y, &g_err);
        if (status != GY_E_INVALID || !strstr(g_err.msg, bad[i].says)) {
            fail_msg("%s: %s '%s'", bad[i].yaml, gy_status_name(status), g_err.msg);
        }
    }
}

/* ---- filters ---- */

static size_t filter(const struct gy_table *t, const char *yaml, uint32_t *rows,
                     struct gy_row_filtered **ret, struct gy_arena *a)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    struct gy_row_filter *f = NULL;
    size_t n = 0, n_done = 0, n_rows = t->n_rows;
    const struct gy_str used[1] = {t->columns[0].name};
    OK(gy_yaml_parse(gy_str_c(yaml), "rows", &y, &g_err));
    OK(gy_row_filters_read(y, gy_yaml_root(y), a, &f, &n, &g_err));
    for (uint32_t i = 0; i < n_rows; i++) {
        rows[i] = i;
    }
    OK(gy_row_filters_apply(f, n, t, used, 1, rows, &n_rows, a, ret, &n_done, &g_err));
    return n_rows;
}

static void filters_leave_what_they_say(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    GY_AUTO(gy_table_free)
    struct gy_table *t = table("a,b\n1,x\n2,\n,y\n4,z\n100,z\n3,z\n");
    struct gy_row_filtered *done = NULL;
    uint32_t rows[6];
    assert_int_equal(filter(t, "[drop_missing: true]", rows, &done, &a), 5);
    assert_int_equal(filter(t, "[drop_missing: all]", rows, &done, &a), 4);
    assert_int_equal(filter(t, "[drop_missing: [b]]", rows, &done, &a), 5);
    assert_int_equal(filter(t, "[where: \"b == 'z' and a < 50\"]", rows, &done, &a), 2);
    assert_true(rows[0] == 3 && rows[1] == 5);
    /* 100 is within 2 deviations of itself and the rest, not within 1.5 */
    assert_int_equal(filter(t, "[{within_sd: 2, columns: [a]}]", rows, &done, &a), 6);
    assert_int_equal(filter(t, "[{within_sd: 1.5, columns: [a]}]", rows, &done, &a), 5);
    assert_true(gy_str_eqc(done[0].what, "within_sd 1.5: a") && done[0].rows == 5);
}

/* Reference system 004: 397 -> 392 -> 386 -> 376 -> 375 -> 368. */
static void auto_mpg_as_the_reference_filters_it(void **state)
{
    (void)state;
    char path[GY_MAX_PATH];
    const char *data = getenv("GYRE_TEST_DATA");
    const char *src = getenv("GYRE_SRC");
    (void)snprintf(path, sizeof path, "%s%s/auto_mpg.csv",
                   data  ? data
                   : src ? src
                         : ".",
                   data ? "" : "/../shared/data");
    if (!gy_path_exists(path)) {
        print_message("the cars are not here\n");
        skip();
    }
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_row_filtered *done = NULL;
    gy_arena_init(&a, GY_MIB);
    OK(gy_schema_parse(GY_STR("columns:\n- {name: hp, type: float}\nmissing: ['', '?']\n"), "s", &s,
                       &g_err));
    OK(gy_table_load(path, s, &t, &g_err));
    uint32_t *rows = gy_calloc(t->n_rows, sizeof *rows);
    assert_int_equal(t->n_rows, 397);
    assert_int_equal(filter(t,
                            "[drop_missing: all, {within_sd: 2.5, columns: [mpg, cyl, dpl, hp, "
                            "wght, acc, year, org]}]",
                            rows, &done, &a),
                     368);
    const size_t want[9] = {392, 386, 386, 386, 376, 375, 368, 368, 368};
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(done[i].rows, want[i]);
    }
    gy_free(rows);
}

/* ---- made-up rows ---- */

static void made_up_rows_lie_between_real_ones(void **state)
{
    (void)state;
    enum { N = 60 };
    double x[N][2], y[N];
    double *sx[2] = {0}, *sy[2] = {0};
    size_t n[2] = {0};
    for (size_t i = 0; i < N; i++) {
        y[i] = i % 10 == 0;
        x[i][0] = y[i] > 0 ? 10 + (double)i / 10 : (double)i;
        x[i][1] = y[i] > 0 ? 2 * x[i][0] : 0;
    }
    for (size_t k = 0; k < 2; k++) {
        const struct gy_smote o = {.k = 2, .ratio = 0.5, .seed = 9};
        OK(gy_smote_rows(&o, x[0], y, N, 2, 2, &sx[k], &sy[k], &n[k], &g_err));
    }
    assert_int_equal(n[0], N + 27 - 6); /* half of the 54 others */
    assert_memory_equal(sx[0], x, sizeof x);
    assert_memory_equal(sx[0], sx[1], n[0] * 2 * sizeof(double));
    for (size_t i = N; i < n[0]; i++) {
        assert_true(sy[0][i] == 1);
        assert_true(sx[0][2 * i] >= 10 && sx[0][2 * i] <= 15);
        assert_true(fabs(sx[0][2 * i + 1] - 2 * sx[0][2 * i]) < 1e-9); /* on the line they are on */
    }
    for (size_t k = 0; k < 2; k++) {
        gy_free(sx[k]);
        gy_free(sy[k]);
    }
    const struct gy_smote o = {.k = 2, .ratio = 1};
    y[10] = y[20] = y[30] = y[40] = y[50] = 0;
    assert_int_equal(gy_smote_rows(&o, x[0], y, N, 2, 2, &sx[0], &sy[0], n, &g_err), GY_E_INVALID);
    assert_non_null(strstr(g_err.msg, "two rows"));
    x[3][0] = NAN;
    assert_int_equal(gy_smote_rows(&o, x[0], y, N, 2, 2, &sx[0], &sy[0], n, &g_err), GY_E_INVALID);
    assert_non_null(strstr(g_err.msg, "missing"));
}

static void rows_survive_failing_memory(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(120, 2);
    const char *yaml =
        "train: {features: [HR, Resp, Temp], replicates: 0, split: {by: kfold, folds: "
        "2}, rows: [drop_missing: true, {within_sd: 3, columns: [HR]}, where: \"HR > "
        "1\"], smote: true}";
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth += 7) {
        struct gy_trained done;
        GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
        read_params(&p, GY_LEARNER_LOGISTIC, yaml);
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_train(t, &p, in_dir(dir, "failing"), &done, NULL);
        gy_mem_fail_at(0, 0);
        if (status == GY_OK) {
            assert_true(nth > 50);
            gy_trained_done(&done);
        }
        gy_train_params_done(&p);
        gy_train_params_init(&p);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_rows_are_held_out),
        cmocka_unit_test(groups_stay_together),
        cmocka_unit_test(folds_hold_every_class),
        cmocka_unit_test(k_fold_measures_every_row_once),
        cmocka_unit_test(training_rows_flatter_only_when_asked),
        cmocka_unit_test(weights_move_the_answers),
        cmocka_unit_test(a_rule_chooses_the_threshold),
        cmocka_unit_test(bad_rows_are_refused),
        cmocka_unit_test(filters_leave_what_they_say),
        cmocka_unit_test(auto_mpg_as_the_reference_filters_it),
        cmocka_unit_test(made_up_rows_lie_between_real_ones),
        cmocka_unit_test(rows_survive_failing_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
