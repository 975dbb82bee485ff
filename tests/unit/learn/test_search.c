/* SPDX-License-Identifier: Apache-2.0 */
/* The search: it finds what is there, says the same every time, and never sees a held-out row. */
#include "support_learn.h"

#include "learn/search.h"
#include "learn/split.h"

static void base_params(struct gy_train_params *p, const char *target)
{
    gy_train_params_init(p);
    p->target = gy_str_c(target);
    p->seed = 7;
    p->holdout = 0.25;
}

static void run(const struct gy_table *t, const char *target, int threads, size_t trials,
                struct gy_search *ret)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    base_params(&base, target);
    base.n_threads = threads;
    const struct gy_search_options o = {.max_trials = trials, .replicates = 50};
    OK(gy_search(t, &base, &o, ret, &g_err));
}

static struct gy_table *parse(struct gy_buf *csv)
{
    struct gy_table *t = NULL;
    OK(gy_buf_check(csv, "a table", &g_err));
    OK(gy_table_parse(gy_buf_str(csv), "t.csv", NULL, &t, &g_err));
    return t;
}

/* value = 3a + noise, kind = 0, 1 or 2 by a and b, c says nothing. */
static struct gy_table *three_kinds(size_t n)
{
    struct gy_rng r;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, 64 * GY_MIB);
    gy_rng_init(&r, 5);
    gy_buf_addc(&csv, "a,b,c,kind,value\n");
    for (size_t i = 0; i < n; i++) {
        double a = gy_rng_normal(&r), b = gy_rng_normal(&r);
        gy_buf_addf(&csv, "%.4f,%.4f,%.4f,%s,%.4f\n", a, b, gy_rng_normal(&r),
                    a > 0.3   ? "oak"
                    : b > 0.3 ? "elm"
                              : "fir",
                    20 + 3 * a + 0.3 * gy_rng_normal(&r));
    }
    return parse(&csv);
}

static void finds_what_is_there(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(1500, 1);
    GY_AUTO_DONE(gy_search_done) struct gy_search s;
    run(t, "sick", 1, 4, &s);
    assert_string_equal(s.metric, "auc");
    assert_int_equal(s.n_trials, 4);
    assert_int_equal(s.n_folds, 5);
    assert_int_equal(s.n_validated, s.n_rows);
    assert_true(s.baseline.ok && fabs(s.baseline.score - 0.5) < 1e-9);
    assert_int_equal(s.trials[0].learner, GY_LEARNER_LOGISTIC);
    assert_non_null(s.best);
    assert_true(s.best->score > 0.9 && s.best->learner == GY_LEARNER_XGBOOST);
    assert_true(s.best->rounds >= 10);
    for (size_t i = 0; i < s.n_trials; i++) {
        const struct gy_metric *m = gy_metrics_get(&s.trials[i].metrics, GY_STR("auc"));
        assert_true(s.trials[i].ok && s.trials[i].number == i + 1);
        assert_true(m->low <= m->value && m->value <= m->high && m->low > 0.5);
        assert_true(s.trials[i].score <= s.best->score);
    }
    assert_true(s.threshold > 0 && s.threshold < 1);
    assert_true(s.threshold_f1 >= s.half_f1 && s.half_f1 > 0.5);
    assert_int_equal((size_t)(s.class_rows[0] + s.class_rows[1]), s.n_validated);
}

static void assert_same_search(const struct gy_search *a, const struct gy_search *b)
{
    assert_int_equal(a->n_trials, b->n_trials);
    assert_int_equal(a->best - a->trials, b->best - b->trials);
    assert_memory_equal(&a->threshold, &b->threshold, sizeof a->threshold);
    for (size_t i = 0; i < a->n_trials; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf x;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf y;
        gy_buf_init(&x, 4096);
        gy_buf_init(&y, 4096);
        gy_trial_text(&a->trials[i], &x);
        gy_trial_text(&b->trials[i], &y);
        assert_string_equal(x.p, y.p);
        const struct gy_metrics *m = &a->trials[i].metrics, *n = &b->trials[i].metrics;
        assert_int_equal(m->n, n->n);
        for (size_t k = 0; k < m->n; k++) { /* to the bit */
            assert_memory_equal(&m->items[k].value, &n->items[k].value, sizeof(double));
            assert_memory_equal(&m->items[k].low, &n->items[k].low, sizeof(double));
            assert_memory_equal(&m->items[k].high, &n->items[k].high, sizeof(double));
        }
    }
}

/* Enough trials for the portfolio and drawn ones; and enough rows that threads are used. */
static void the_same_trials_at_any_number_of_threads(void **state)
{
    (void)state;
    static const struct {
        size_t rows, trials;
    } cases[] = {{250, 12}, {9000, 2}};
    for (size_t i = 0; i < 2; i++) {
        GY_AUTO(gy_table_free) struct gy_table *t = patients(cases[i].rows, 2);
        GY_AUTO_DONE(gy_search_done) struct gy_search one;
        GY_AUTO_DONE(gy_search_done) struct gy_search two;
        run(t, "sick", 1, cases[i].trials, &one);
        run(t, "sick", 2, cases[i].trials, &two);
        assert_same_search(&one, &two);
    }
}

/* The held-out patients get other vitals and labels: nothing of the search may change. */
static void never_sees_a_held_out_row(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(600, 3);
    GY_AUTO(gy_table_free) struct gy_table *other = patients(600, 3);
    const struct gy_split split = {.seed = 7, .holdout = 0.25};
    bool held_out[600];
    size_t n = 0;
    OK(gy_split_rows(&split, gy_table_key, t, 600, held_out, &g_err));
    for (size_t i = 0; i < 600; i++) {
        n += held_out[i];
        for (size_t c = 0; held_out[i] && c < other->n_columns; c++) {
            struct gy_table_column *col = &other->columns[c];
            if (col != other->id && col->numeric) {
                col->num[i] = gy_str_eqc(col->name, "sick") ? 1 - col->num[i] : 0;
            }
        }
    }
    assert_true(n > 100);
    GY_AUTO_DONE(gy_search_done) struct gy_search a;
    GY_AUTO_DONE(gy_search_done) struct gy_search b;
    run(t, "sick", 1, 4, &a);
    run(other, "sick", 1, 4, &b);
    assert_same_search(&a, &b);
}

static void searches_classes_and_quantities(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = three_kinds(900);
    GY_AUTO_DONE(gy_search_done) struct gy_search kinds;
    GY_AUTO_DONE(gy_search_done) struct gy_search values;
    run(t, "kind", 1, 3, &kinds);
    assert_int_equal(kinds.task, GY_TASK_MULTICLASS);
    assert_string_equal(kinds.metric, "f1_macro");
    assert_int_equal(kinds.n_classes, 3);
    assert_true(gy_str_eqc(kinds.classes[0], "elm"));
    assert_true(kinds.best->score > 0.8 && kinds.best->score > kinds.baseline.score + 0.3);
    run(t, "value", 1, 3, &values);
    assert_int_equal(values.task, GY_TASK_REGRESSION);
    assert_true(values.lower_is_better && strcmp(values.metric, "rmse") == 0);
    assert_true(values.best->score < 1.0 && values.baseline.score > 2.5);
}

/* What the search found is what gy_train makes of its params.yaml. */
static void the_best_trial_can_be_refitted(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(1500, 4);
    GY_AUTO_DONE(gy_search_done) struct gy_search s;
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params params;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    run(t, "sick", 1, 4, &s);
    base_params(&base, "sick");
    OK(gy_trial_params(s.best, &base, &params, &g_err));
    assert_int_equal(params.learner, s.best->learner);
    assert_int_equal(gy_train_rounds(&params), s.best->rounds);
    for (size_t i = 0; i < s.best->n_settings; i++) {
        const struct gy_trial_setting *set = &s.best->settings[i];
        assert_true(gy_str_eqc(gy_setting_text(&params.settings, set->key), set->value));
    }
    OK(gy_train(t, &params, in_dir(dir, "refit"), &done, &g_err));
    double auc = gy_eval_metric(&done.eval, GY_STR_NULL, GY_STR("auc"))->value;
    assert_true(auc > gy_eval_metric(&done.baseline, GY_STR_NULL, GY_STR("auc"))->value + 0.3);
    assert_true(fabs(auc - s.best->score) < 0.1);
}

struct seen {
    size_t n, failed, steps;
    double last_part;
};

static gy_status count_trial(void *ctx, const struct gy_search *s, const struct gy_trial *t,
                             struct gy_err *err)
{
    struct seen *seen = ctx;
    (void)s;
    seen->n++;
    seen->failed += !t->ok;
    return seen->n > 3 ? gy_err_set(err, GY_E_IO, "the listener has had enough") : GY_OK;
}

static void count_progress(void *ctx, const struct gy_search *s, double part)
{
    struct seen *seen = ctx;
    (void)s;
    seen->steps++;
    assert_true(part > 0 && part <= 1);
    seen->last_part = part;
}

static void a_failed_trial_is_a_result(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(300, 5);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    GY_AUTO_DONE(gy_search_done) struct gy_search s;
    struct gy_trial portfolio[4] = {
        {.learner = GY_LEARNER_XGBOOST, .settings = {{"eta", "7"}}, .n_settings = 1},
        {.learner = GY_LEARNER_XGBOOST, .settings = {{"depth", "3"}}, .n_settings = 1},
        {.learner = GY_LEARNER_XGBOOST, .settings = {{"speed", "9"}}, .n_settings = 1},
    };
    struct seen seen = {0};
    struct gy_search_options o = {.portfolio = portfolio,
                                  .n_portfolio = 2,
                                  .on_trial = count_trial,
                                  .on_progress = count_progress,
                                  .ctx = &seen};
    base_params(&base, "sick");
    OK(gy_search(t, &base, &o, &s, &g_err));
    assert_int_equal(s.n_trials, 2);
    assert_int_equal(seen.n, 3); /* and the baseline */
    assert_int_equal(seen.failed, 1);
    assert_true(seen.steps > 5 && seen.last_part == 1);
    assert_false(s.trials[0].ok);
    assert_true(isnan(s.trials[0].score));
    assert_non_null(strstr(s.trials[0].error, "eta"));
    assert_ptr_equal(s.best, &s.trials[1]);
    gy_search_done(&s);
    /* A listener that fails ends it. */
    struct gy_err err = GY_ERR_INIT;
    seen = (struct seen){0};
    o.n_portfolio = 3;
    assert_int_equal(gy_search(t, &base, &o, &s, &err), GY_E_IO);
    assert_string_equal(err.msg, "the listener has had enough");
}

static void refuses_what_can_not_be_searched(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(200, 6);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    struct gy_search s;
    struct gy_err err = GY_ERR_INIT;
    struct gy_search_options o = {0};
    base_params(&base, "sick");
    assert_int_equal(gy_search(t, &base, &o, &s, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "budget"));
    o.max_trials = 1;
    base.target = GY_STR("wine");
    assert_int_equal(gy_search(t, &base, &o, &s, &err), GY_E_NOTFOUND);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, 4096);
    gy_buf_addc(&csv, "x,y\n1,0\n2,1\n3,0\n");
    GY_AUTO(gy_table_free) struct gy_table *tiny = parse(&csv);
    base.target = GY_STR("y");
    assert_int_equal(gy_search(tiny, &base, &o, &s, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "few"));
}

/* A budget that is over at once still gives one trial; a large table is searched on a sample. */
static void budgets_hold(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(3000, 7);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    GY_AUTO_DONE(gy_search_done) struct gy_search s;
    const struct gy_search_options o = {.budget_s = 1e-9, .max_rows = 1000};
    base_params(&base, "sick");
    OK(gy_search(t, &base, &o, &s, &g_err));
    assert_int_equal(s.n_trials, 1);
    assert_true(s.best && s.best->score > 0.6);
    assert_true(s.n_rows > 850 && s.n_rows < 1150);
    assert_true(s.n_training > 2100 && s.n_training < 2400);
    assert_int_equal(s.n_folds, 5);
    gy_search_done(&s);
    const struct gy_search_options patient = {
        .max_trials = 100, .patience = 8, .max_rows = 400, .replicates = 20};
    OK(gy_search(t, &base, &patient, &s, &g_err));
    assert_true(s.n_trials >= 8 && s.n_trials <= 48 && s.n_trials % GY_SEARCH_BATCH == 0);
    assert_non_null(strstr(s.why_ended, "interval"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_there),
        cmocka_unit_test(the_same_trials_at_any_number_of_threads),
        cmocka_unit_test(never_sees_a_held_out_row),
        cmocka_unit_test(searches_classes_and_quantities),
        cmocka_unit_test(the_best_trial_can_be_refitted),
        cmocka_unit_test(a_failed_trial_is_a_result),
        cmocka_unit_test(refuses_what_can_not_be_searched),
        cmocka_unit_test(budgets_hold),
    };
    (void)setenv("OMP_WAIT_POLICY", "passive",
                 0); /* waiting threads of libxgboost spin otherwise */
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
