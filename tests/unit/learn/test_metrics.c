/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics and logistic regression against scikit-learn 1.9.1. The data come from a linear
 * congruential generator, so that the same numbers can be made anywhere:
 *   s = s * 6364136223846793005 + 1442695040888963407 mod 2^64 from s = 42, value (s >> 11) / 2^53
 * u[0..800); p = round(u[i], 2), y = u[200 + i] < 0.8 p. The golden values are what accuracy_score,
 * precision_score, ..., LogisticRegression(solver="newton-cholesky", tol=1e-12) gave. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "learn/logistic.h"
#include "learn/metrics.h"

#define N 200

static double g_u[4 * N];

static void make_numbers(void)
{
    uint64_t s = 42;
    for (size_t i = 0; i < 4 * N; i++) {
        s = s * 6364136223846793005ULL + 1442695040888963407ULL;
        g_u[i] = (double)(s >> 11) / 9007199254740992.0;
    }
}

static double metric(const struct gy_metrics *m, const char *name)
{
    const struct gy_metric *x = gy_metrics_get(m, gy_str_c(name));
    assert_non_null(x);
    return x->value;
}

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * fmax(1, fabs(b)))) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

static void make_binary(double *p, double *y)
{
    for (size_t i = 0; i < N; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%.2f", g_u[i]);
        p[i] = strtod(text, NULL);
        y[i] = g_u[N + i] < p[i] * 0.8 ? 1 : 0;
    }
}

static void binary_equals_sklearn(void **state)
{
    (void)state;
    double p[N], y[N];
    struct gy_metrics m;
    make_binary(p, y);
    struct gy_scored s = {
        .task = GY_TASK_BINARY, .n_rows = N, .truth = y, .out = p, .threshold = 0.5};
    assert_int_equal(gy_metrics_compute(&s, 0, 1, 1, &m, NULL), GY_OK);
    close_to(metric(&m, "accuracy"), 0.655);
    close_to(metric(&m, "precision"), 0.5480769230769231);
    close_to(metric(&m, "recall"), 0.7215189873417721);
    close_to(metric(&m, "f1"), 0.6229508196721312);
    close_to(metric(&m, "auc"), 0.7299926770582698);
    close_to(metric(&m, "log_loss"), 0.6500129104348524);
    assert_int_equal(m.tn, 74);
    assert_int_equal(m.fp, 47);
    assert_int_equal(m.fn, 22);
    assert_int_equal(m.tp, 57);
    assert_true(isnan(m.items[0].low));
}

static void multiclass_equals_sklearn(void **state)
{
    (void)state;
    double p[N * 3], y[N];
    struct gy_metrics m;
    for (size_t i = 0; i < N; i++) {
        double sum = g_u[i] + g_u[N + i] + g_u[2 * N + i];
        for (size_t c = 0; c < 3; c++) {
            p[i * 3 + c] = g_u[c * N + i] / sum;
        }
        y[i] = floor(g_u[3 * N + i] * 3);
    }
    struct gy_scored s = {
        .task = GY_TASK_MULTICLASS, .n_rows = N, .n_classes = 3, .truth = y, .out = p};
    assert_int_equal(gy_metrics_compute(&s, 100, 1, 1, &m, NULL), GY_OK);
    close_to(metric(&m, "accuracy"), 0.285);
    close_to(metric(&m, "f1_macro"), 0.2847807423759922);
    close_to(metric(&m, "log_loss"), 1.4349893630996267);
    assert_true(m.items[0].low < 0.285 && m.items[0].high > 0.285);
}

static void regression_equals_sklearn(void **state)
{
    (void)state;
    double truth[N], out[N];
    struct gy_metrics m;
    for (size_t i = 0; i < N; i++) {
        truth[i] = g_u[i] * 10;
        out[i] = truth[i] + g_u[N + i] - 0.3;
    }
    struct gy_scored s = {.task = GY_TASK_REGRESSION, .n_rows = N, .truth = truth, .out = out};
    assert_int_equal(gy_metrics_compute(&s, 100, 1, 1, &m, NULL), GY_OK);
    close_to(metric(&m, "rmse"), 0.3683600781715074);
    close_to(metric(&m, "mae"), 0.31305738625226726);
    close_to(metric(&m, "r2"), 0.983513115879351);
    assert_true(gy_metrics_get(&m, GY_STR("rmse"))->lower_is_better);
    assert_false(gy_metrics_get(&m, GY_STR("r2"))->lower_is_better);
}

/* Replicates that draw one value only have nothing to explain; what rounding leaves of their spread
 * must not become an r2 of -1e14. */
static void r2_of_one_value_can_not_be_told(void **state)
{
    (void)state;
    const double v = 0.6841582130524876; /* 3 v v - (3 v)^2 / 3 is 2e-16 */
    double truth[3] = {v, -v / 2, -v / 2}, out[3] = {v + 0.1, 0.1 - v / 2, 0.1 - v / 2};
    double same[3] = {0.1, 0.1, 0.1};
    struct gy_metrics m;
    struct gy_scored s = {.task = GY_TASK_REGRESSION, .n_rows = 3, .truth = truth, .out = out};
    assert_int_equal(gy_metrics_compute(&s, 1000, 1, 1, &m, NULL), GY_OK);
    assert_true(gy_metrics_get(&m, GY_STR("r2"))->low > -10);
    s.truth = same;
    assert_int_equal(gy_metrics_compute(&s, 20, 1, 1, &m, NULL), GY_OK);
    assert_true(isnan(metric(&m, "r2")));
    assert_true(isnan(gy_metrics_get(&m, GY_STR("r2"))->low));
}

/* By hand: 4 rows, a tie across the classes. AUC = (pairs won + half of the tied) / pairs. */
static void auc_counts_ties_half(void **state)
{
    (void)state;
    double p[4] = {0.1, 0.6, 0.6, 0.9}, y[4] = {0, 0, 1, 1};
    struct gy_metrics m;
    struct gy_scored s = {
        .task = GY_TASK_BINARY, .n_rows = 4, .truth = y, .out = p, .threshold = 0.5};
    assert_int_equal(gy_metrics_compute(&s, 0, 1, 1, &m, NULL), GY_OK);
    close_to(metric(&m, "auc"), 3.5 / 4);
    close_to(metric(&m, "accuracy"), 0.75);
    assert_int_equal(m.fp, 1);
}

/* What can not be told is NaN, not a number that looks like a result. */
static void says_what_can_not_be_told(void **state)
{
    (void)state;
    double p[3] = {0.1, 0.2, 0.3}, none[3] = {0, 0, 0}, all[3] = {1, 1, 1};
    struct gy_metrics m;
    struct gy_scored s = {
        .task = GY_TASK_BINARY, .n_rows = 3, .truth = none, .out = p, .threshold = 0.5};
    assert_int_equal(gy_metrics_compute(&s, 50, 1, 1, &m, NULL), GY_OK);
    assert_true(isnan(metric(&m, "recall")));
    assert_true(isnan(metric(&m, "precision")));
    assert_true(isnan(metric(&m, "auc")));
    assert_true(isnan(gy_metrics_get(&m, GY_STR("auc"))->high));
    close_to(metric(&m, "accuracy"), 1);
    s.truth = all; /* positives, none of them predicted */
    assert_int_equal(gy_metrics_compute(&s, 50, 1, 1, &m, NULL), GY_OK);
    close_to(metric(&m, "recall"), 0);
    close_to(metric(&m, "precision"), 0);
    close_to(metric(&m, "f1"), 0);
    s.n_rows = 0;
    assert_int_equal(gy_metrics_compute(&s, 50, 1, 1, &m, NULL), GY_E_INVALID);
    s.n_rows = 3;
    p[1] = NAN;
    assert_int_equal(gy_metrics_compute(&s, 50, 1, 1, &m, NULL), GY_E_INVALID);
    assert_null(gy_metrics_get(&m, GY_STR("no such")));
}

/* The same intervals at any number of threads; other seeds give others; they hold the value. */
static void intervals_depend_on_the_seed_alone(void **state)
{
    (void)state;
    double p[N], y[N];
    struct gy_metrics one, four, other;
    make_binary(p, y);
    struct gy_scored s = {
        .task = GY_TASK_BINARY, .n_rows = N, .truth = y, .out = p, .threshold = 0.5};
    assert_int_equal(gy_metrics_compute(&s, 1000, 7, 1, &one, NULL), GY_OK);
    assert_int_equal(gy_metrics_compute(&s, 1000, 7, 4, &four, NULL), GY_OK);
    assert_int_equal(gy_metrics_compute(&s, 1000, 8, 1, &other, NULL), GY_OK);
    int differ = 0;
    for (size_t i = 0; i < one.n; i++) {
        assert_memory_equal(&one.items[i].low, &four.items[i].low, sizeof(double));
        assert_memory_equal(&one.items[i].high, &four.items[i].high, sizeof(double));
        assert_true(one.items[i].low < one.items[i].value &&
                    one.items[i].value < one.items[i].high);
        differ += one.items[i].low != other.items[i].low;
    }
    assert_true(differ > 0);
}

/* Accuracy is a mean of n independent 0/1: its bootstrap interval must be close to the normal one.
 */
static void interval_has_the_right_width(void **state)
{
    (void)state;
    double p[N], y[N];
    struct gy_metrics m;
    make_binary(p, y);
    struct gy_scored s = {
        .task = GY_TASK_BINARY, .n_rows = N, .truth = y, .out = p, .threshold = 0.5};
    assert_int_equal(gy_metrics_compute(&s, 4000, 3, 2, &m, NULL), GY_OK);
    double half = 1.96 * sqrt(0.655 * 0.345 / N);
    assert_true(fabs(m.items[0].low - (0.655 - half)) < 0.01);
    assert_true(fabs(m.items[0].high - (0.655 + half)) < 0.01);
}

static void metrics_survive_failing_memory(void **state)
{
    (void)state;
    double p[N], y[N];
    struct gy_metrics m;
    make_binary(p, y);
    struct gy_scored s = {
        .task = GY_TASK_BINARY, .n_rows = N, .truth = y, .out = p, .threshold = 0.5};
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_metrics_compute(&s, 20, 7, 1, &m, NULL);
        gy_mem_fail_at(0, 0);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            assert_true(nth > 1);
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

/* ---- logistic regression ---- */

static gy_status fit_logistic(const double *x, const double *y, size_t n_rows, size_t n_features,
                              double l2, double *ret, struct gy_logistic_report *report,
                              struct gy_err *err)
{
    const struct gy_logistic p = {.x = x,
                                  .y = y,
                                  .n_rows = n_rows,
                                  .n_features = n_features,
                                  .n_classes = 2,
                                  .l2 = l2,
                                  .n_threads = 1};
    return gy_logistic_fit(&p, ret, report, err);
}

static void make_logistic(double *x, double *y)
{
    for (size_t i = 0; i < N; i++) {
        x[2 * i] = g_u[i] * 4 - 2;
        x[2 * i + 1] = g_u[N + i] * 10;
        double m = 1.5 * x[2 * i] - 0.3 * g_u[N + i] * 10 + 1;
        y[i] = g_u[2 * N + i] < 1 / (1 + exp(-m)) ? 1 : 0;
    }
}

static void logistic_equals_sklearn(void **state)
{
    (void)state;
    static const double golden[3][4] = {
        {1, 1.6123305826506673, -0.3337178317402883, 1.2020280362148201},
        {10, 1.1536657884162833, -0.26693650065831387, 0.9724381960718458},
        {1e-10, 1.7133450291851566, -0.3494054715350658, 1.2544669378673885},
    };
    double x[2 * N], y[N], w[3];
    struct gy_logistic_report report;
    make_logistic(x, y);
    for (size_t k = 0; k < 3; k++) {
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(fit_logistic(x, y, N, 2, golden[k][0], w, &report, &err), GY_OK);
        for (size_t i = 0; i < 3; i++) {
            if (!(fabs(w[i] - golden[k][i + 1]) < 1e-8)) {
                fail_msg("l2 %g: w[%zu] = %.17g, not %.17g", golden[k][0], i, w[i],
                         golden[k][i + 1]);
            }
        }
        assert_true(report.gradient < 1e-7 && report.iterations < 30);
    }
}

/* One binary column and no penalty has a closed form: the log odds of the two groups. */
static void logistic_has_the_closed_form(void **state)
{
    (void)state;
    double x[20], y[20], w[2];
    for (size_t i = 0; i < 20; i++) {
        x[i] = i < 10 ? 0 : 1;
        y[i] = i < 10 ? i < 3 : i < 18; /* 3 of 10, 8 of 10 */
    }
    assert_int_equal(fit_logistic(x, y, 20, 1, 0, w, NULL, NULL), GY_OK);
    assert_true(fabs(w[1] - log(3.0 / 7)) < 1e-9);
    assert_true(fabs(w[0] + w[1] - log(8.0 / 2)) < 1e-9);
}

/* At the minimum no step in any direction lowers the loss: the loss is computed here anew. */
static double loss_at(const double *x, const double *y, const double *w, double l2)
{
    double loss = l2 / 2 * (w[0] * w[0] + w[1] * w[1]);
    for (size_t i = 0; i < N; i++) {
        double m = w[0] * x[2 * i] + w[1] * x[2 * i + 1] + w[2];
        loss += log1p(exp(y[i] > 0.5 ? -m : m));
    }
    return loss;
}

static void logistic_is_at_a_minimum(void **state)
{
    (void)state;
    double x[2 * N], y[N], w[3];
    struct gy_logistic_report report;
    make_logistic(x, y);
    assert_int_equal(fit_logistic(x, y, N, 2, 0.7, w, &report, NULL), GY_OK);
    double best = loss_at(x, y, w, 0.7);
    assert_true(fabs(best - report.loss) < 1e-9);
    for (size_t i = 0; i < 3; i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            double moved[3] = {w[0], w[1], w[2]};
            moved[i] += sign * 1e-3;
            assert_true(loss_at(x, y, moved, 0.7) > best);
        }
    }
}

static void logistic_refuses_what_has_no_answer(void **state)
{
    (void)state;
    double x[4] = {1, 2, 3, 4}, y[4] = {0, 0, 1, 1}, ones[4] = {1, 1, 1, 1}, w[3];
    double twice[8] = {1, 1, 2, 2, 5, 5, 3, 3}, mixed[4] = {0, 1, 0, 1};
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(fit_logistic(x, ones, 4, 1, 1, w, NULL, &err), GY_E_INVALID);
    assert_int_equal(fit_logistic(x, y, 4, 1, -1, w, NULL, &err), GY_E_INVALID);
    /* separable, no penalty: the weights would run away */
    assert_int_equal(fit_logistic(x, y, 4, 1, 0, w, NULL, &err), GY_E_INVALID);
    assert_int_equal(fit_logistic(x, y, 4, 1, 0.1, w, NULL, &err), GY_OK);
    /* the same column twice: unique only with a penalty */
    assert_int_equal(fit_logistic(twice, mixed, 4, 2, 0, w, NULL, &err), GY_E_INVALID);
    assert_int_equal(fit_logistic(twice, mixed, 4, 2, 0.1, w, NULL, &err), GY_OK);
    assert_true(fabs(w[0] - w[1]) < 1e-9);
    /* a gradient that is not a number is not small */
    double broken[4] = {1, INFINITY, 2, 3};
    assert_int_equal(fit_logistic(broken, mixed, 4, 1, 1, w, NULL, &err), GY_E_INVALID);
}

static int setup(void **state)
{
    (void)state;
    make_numbers();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_equals_sklearn),
        cmocka_unit_test(multiclass_equals_sklearn),
        cmocka_unit_test(regression_equals_sklearn),
        cmocka_unit_test(r2_of_one_value_can_not_be_told),
        cmocka_unit_test(auc_counts_ties_half),
        cmocka_unit_test(says_what_can_not_be_told),
        cmocka_unit_test(intervals_depend_on_the_seed_alone),
        cmocka_unit_test(interval_has_the_right_width),
        cmocka_unit_test(metrics_survive_failing_memory),
        cmocka_unit_test(logistic_equals_sklearn),
        cmocka_unit_test(logistic_has_the_closed_form),
        cmocka_unit_test(logistic_is_at_a_minimum),
        cmocka_unit_test(logistic_refuses_what_has_no_answer),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
