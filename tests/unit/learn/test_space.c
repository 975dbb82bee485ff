/* SPDX-License-Identifier: Apache-2.0 */
/* What a search tries: the estimator beats luck, proposals stay in their space, boosters in pieces
 * are boosters in one go, and of a rung one third goes on. */
#include "support_learn.h"

#include "learn/search.h"
#include "learn/space.h"
#include "learn/xgb.h"

/* ---- the estimator ---- */

/* Smallest (0) at one point of four dimensions; the last one is a word out of five. */
static double bowl(const double *u)
{
    static const double at[] = {0.2, 0.7, 0.5};
    double sum = (size_t)(u[3] * 5) == 3 ? 0 : 0.2;
    for (size_t d = 0; d < 3; d++) {
        sum += (u[d] - at[d]) * (u[d] - at[d]);
    }
    return sum;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

/* The best of n points: ten anywhere, then proposals or more luck. */
static double best_of(uint64_t seed, size_t n, bool model)
{
    static const size_t n_words[] = {0, 0, 0, 5};
    struct gy_rng r;
    double rows[64][5]; /* value, point */
    double best = INFINITY;
    gy_rng_init(&r, seed);
    for (size_t i = 0; i < n; i++) {
        struct gy_tpe_seen seen[64];
        double u[4], gain;
        qsort(rows, i, sizeof rows[0], by_value);
        for (size_t k = 0; k < i; k++) {
            memcpy(seen[k].u, rows[k] + 1, 4 * sizeof(double));
        }
        for (size_t d = 0; d < 4; d++) {
            u[d] = gy_rng_f64(&r);
        }
        if (model && i >= 10) {
            gy_tpe_propose(seen, i, 1 + i / 10, n_words, 4, &r, u, &gain);
        }
        for (size_t d = 0; d < 4; d++) {
            assert_true(u[d] >= 0 && u[d] <= 1);
        }
        rows[i][0] = bowl(u);
        memcpy(rows[i] + 1, u, sizeof u);
        best = fmin(best, rows[i][0]);
    }
    return best;
}

static void the_estimator_beats_luck(void **state)
{
    (void)state;
    double model = 0, luck = 0;
    size_t wins = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        double a = best_of(seed, 60, true), b = best_of(seed, 60, false);
        model += a / 20;
        luck += b / 20;
        wins += a < b;
    }
    assert_true(model < luck / 3);
    assert_true(wins >= 16);
}

static void the_estimator_takes_the_good_word(void **state)
{
    (void)state;
    static const size_t n_words[] = {4};
    struct gy_tpe_seen seen[20];
    struct gy_rng r;
    size_t third = 0;
    for (size_t i = 0; i < 20; i++) {
        seen[i].u[0] =
            i < 5 ? 0.6 : 0.1; /* the good ones have the third word, the others the first */
    }
    gy_rng_init(&r, 4);
    for (size_t i = 0; i < 20; i++) {
        double u, gain;
        gy_tpe_propose(seen, 20, 5, n_words, 1, &r, &u, &gain);
        third += (size_t)(u * 4) == 2;
        assert_true(gain > 0);
    }
    assert_int_equal(third, 20);
}

/* ---- the space ---- */

static void assert_takes(const struct gy_trial *t, const struct gy_train_params *base)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params params;
    OK(gy_trial_params(t, base, &params, &g_err));
    assert_int_equal(params.learner, t->learner);
    for (size_t i = 0; i < t->n_settings; i++) {
        if (strcmp(t->settings[i].key, "scale") == 0) { /* of the steps, not of the learner */
            assert_true(gy_str_eqc(params.scale, t->settings[i].value));
            continue;
        }
        assert_true(gy_setting_given(&params.settings, t->settings[i].key));
    }
}

/* Portfolio and proposals of every task are what params.yaml takes, and differ by the seed. */
static void proposals_are_settings_of_their_learner(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    gy_train_params_init(&base);
    static const enum gy_task tasks[] = {GY_TASK_BINARY, GY_TASK_MULTICLASS, GY_TASK_REGRESSION};
    struct gy_trial trials[40] = {{0}};
    for (size_t k = 0; k < 3; k++) {
        struct gy_space space = {
            .task = tasks[k], .n_rows = 300, .n_inputs = 5, .positive = true, .seed = 9};
        size_t portfolio = gy_space_portfolio(&space), drawn[GY_LEARNERS] = {0};
        struct gy_search so_far = {.task = tasks[k], .trials = trials};
        assert_true(portfolio >= 8 && portfolio < 20);
        for (size_t i = 0; i < 40; i++) {
            struct gy_trial t, same;
            gy_space_trial(&space, i, &so_far, &t);
            gy_space_trial(&space, i, &so_far, &same);
            assert_memory_equal(&t, &same, sizeof t);
            assert_takes(&t, &base);
            assert_true(gy_learner_get(t.learner)->tasks & GY_TASK_BIT(tasks[k]));
            drawn[t.learner]++;
            t.number = i + 1;
            t.ok = true;
            t.score = t.loss = (double)((i * 7) % 11);
            trials[i] = t;
            so_far.n_trials = i + 1;
        }
        assert_true(drawn[GY_LEARNER_XGBOOST] >= 8 && drawn[GY_LEARNER_FOREST] >= 2);
        assert_true(
            drawn[tasks[k] == GY_TASK_REGRESSION ? GY_LEARNER_LINEAR : GY_LEARNER_LOGISTIC]);
    }
}

static void a_space_keeps_to_the_learners_asked_for(void **state)
{
    (void)state;
    enum gy_learner list[GY_LEARNERS];
    static const enum gy_learner only[] = {GY_LEARNER_LOGISTIC};
    struct gy_space space = {
        .task = GY_TASK_BINARY, .n_rows = 300, .n_inputs = 5, .only = only, .n_only = 1};
    assert_int_equal(gy_space_learners(&space, list), 1);
    assert_int_equal(list[0], GY_LEARNER_LOGISTIC);
    space.task = GY_TASK_REGRESSION;
    assert_int_equal(gy_space_learners(&space, list), 0);
    space = (struct gy_space){.task = GY_TASK_BINARY, .n_rows = 40000, .n_inputs = 100};
    size_t n = gy_space_learners(&space, list);
    for (size_t i = 0; i < n; i++) { /* they would take the whole budget of a large table */
        assert_true(list[i] != GY_LEARNER_MLP && list[i] != GY_LEARNER_FOREST);
    }
}

/* ---- boosters in pieces ---- */

static void pieces_are_one_go(void **state)
{
    (void)state;
    enum { N = 300, P = 4, ROUNDS = 20 };
    static float x[N * P], y[N];
    struct gy_rng r;
    gy_rng_init(&r, 8);
    for (size_t i = 0; i < N; i++) {
        for (size_t c = 0; c < P; c++) {
            x[i * P + c] = (float)gy_rng_normal(&r);
        }
        y[i] = x[i * P] + x[i * P + 1] > 0 ? 1 : 0;
    }
    const struct gy_xgb_matrix rows = {.x = x, .n_rows = N, .n_features = P, .y = y};
    const struct gy_xgb_param params[] = {{"objective", "binary:logistic"},
                                          {"tree_method", "hist"},
                                          {"subsample", "0.6"},
                                          {"colsample_bytree", "0.5"},
                                          {"seed", "3"}};
    struct gy_xgb_data *data = NULL, *watched = NULL;
    struct gy_xgb_live *whole = NULL, *pieces = NULL, *other = NULL;
    const float *said = NULL;
    float kept[N];
    OK(gy_xgb_data_new(&rows, 1, &data, &g_err));
    OK(gy_xgb_data_new(&rows, 1, &watched, &g_err));
    OK(gy_xgb_live_new(data, watched, params, 5, 1, &whole, &g_err));
    OK(gy_xgb_live_boost(whole, ROUNDS, &g_err));
    OK(gy_xgb_live_look(whole, N, &said, &g_err));
    memcpy(kept, said, sizeof kept);
    OK(gy_xgb_live_new(data, watched, params, 5, 1, &pieces, &g_err));
    OK(gy_xgb_live_new(data, watched, params, 5, 1, &other, &g_err));
    for (int i = 1; i <= 4; i++) { /* another one draws in between */
        OK(gy_xgb_live_boost(pieces, i * ROUNDS / 4, &g_err));
        OK(gy_xgb_live_boost(other, 3 * i, &g_err));
        OK(gy_xgb_live_look(pieces, N, &said, &g_err));
    }
    assert_memory_equal(said, kept, sizeof kept);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&a, GY_MIB);
    gy_buf_init(&b, GY_MIB);
    OK(gy_xgb_live_save(whole, 7, &a, &g_err));
    OK(gy_xgb_live_save(pieces, 7, &b, &g_err));
    assert_true(a.n > 100 && gy_str_eq(gy_buf_str(&a), gy_buf_str(&b)));
    gy_xgb_live_free(whole);
    gy_xgb_live_free(pieces);
    gy_xgb_live_free(other);
    gy_xgb_data_free(data);
    gy_xgb_data_free(watched);
}

/* ---- rungs ---- */

static void one_third_of_a_rung_goes_on(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(1200, 9);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params base;
    GY_AUTO_DONE(gy_search_done) struct gy_search s;
    struct gy_trial portfolio[6] = {{0}};
    static const char *const depths[] = {"3", "1", "2", "4", "1", "6"};
    for (size_t i = 0; i < 6; i++) {
        portfolio[i].learner = GY_LEARNER_XGBOOST;
        portfolio[i].n_settings = 2;
        portfolio[i].settings[0].key = "depth";
        portfolio[i].settings[1].key = "eta";
        (void)snprintf(portfolio[i].settings[0].value, 24, "%s", depths[i]);
        (void)snprintf(portfolio[i].settings[1].value, 24, "0.03");
    }
    const struct gy_search_options o = {.portfolio = portfolio, .n_portfolio = 6, .replicates = 20};
    gy_train_params_init(&base);
    base.target = GY_STR("sick");
    base.seed = 7;
    OK(gy_search(t, &base, &o, &s, &g_err));
    size_t reached[GY_SEARCH_RUNGS] = {0};
    double dropped = -INFINITY, kept = INFINITY;
    for (size_t i = 0; i < s.n_trials; i++) {
        const struct gy_trial *trial = &s.trials[i];
        assert_true(trial->ok && trial->n_rungs >= 1 && trial->metrics.n > 0);
        for (size_t k = 0; k < trial->n_rungs; k++) {
            reached[k]++;
            assert_true(k == 0 || trial->rungs[k] >= trial->rungs[k - 1]); /* the best so far */
        }
        if (trial->n_rungs > 1) {
            kept = fmin(kept, trial->rungs[0]);
        } else if (!trial->whole) {
            dropped = fmax(dropped, trial->rungs[0]);
            assert_true(trial->rounds <= 100); /* 3 / 0.03 */
        }
    }
    assert_int_equal(reached[0], 6);
    assert_int_equal(reached[1], 2);
    assert_true(reached[2] <= 1 && kept >= dropped);
    assert_true(s.best->n_rungs > 1 && s.best->rounds > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_estimator_beats_luck),
        cmocka_unit_test(the_estimator_takes_the_good_word),
        cmocka_unit_test(proposals_are_settings_of_their_learner),
        cmocka_unit_test(a_space_keeps_to_the_learners_asked_for),
        cmocka_unit_test(pieces_are_one_go),
        cmocka_unit_test(one_third_of_a_rung_goes_on),
    };
    (void)setenv("OMP_WAIT_POLICY", "passive", 0);
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
