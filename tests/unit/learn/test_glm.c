/* SPDX-License-Identifier: Apache-2.0 */
/* Generalised linear models: scikit-learn's answers, exposure, deviances, bad input, same bits. */
#include "support_linear.h"

#include "learn/glm.h"

static struct gy_glm problem(const double *y, double power)
{
    return (struct gy_glm){.x = g_made.scaled,
                           .y = y,
                           .n_rows = ROWS,
                           .n_features = COLS,
                           .power = power,
                           .n_threads = 1};
}

static void fit(const struct gy_glm *p, double *w, struct gy_glm_report *report)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_glm_fit(p, w, report, &err), err);
}

static void refused(const struct gy_glm *p, const char *message, const char *hint)
{
    double w[COLS + 1];
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_glm_fit(p, w, NULL, &err), GY_E_INVALID);
    assert_says(&err, message, hint);
}

static void equals_scikit_learn(void **state)
{
    (void)state;
    /* solver='newton-cholesky', tol=1e-12; with exposure on rates with sample_weight=exposure */
    static const double poisson[] = {0.41491085035650405, 0.9098187312914087, -0.8928258671573875,
                                     -0.129229269389679, -0.4139227386026455};
    static const double penalised[] = {0.3652307065358296, 0.13508271377676054, 0.09178932115147077,
                                       0.04049761048596119, -0.9066361784101825};
    static const double gamma[] = {0.11676735410886642, 0.0519255467219826, -0.019562767377991976,
                                   0.05014879707125438, 0.15446194488671716};
    static const double tweedie[] = {0.21824915124500377, 0.30731191464696006, -0.25774698348907243,
                                     0.1339750583307196, -1.3440838102444084};
    double w[COLS + 1];
    struct gy_glm p = problem(g_made.counts, 1);
    p.exposure = g_made.exposure;
    fit(&p, w, NULL);
    assert_close("poisson with exposure", w, poisson, COLS + 1, 1e-8);
    p = problem(g_made.counts, 1);
    p.weight = g_made.weight;
    p.l2 = .05;
    fit(&p, w, NULL);
    assert_close("poisson with l2", w, penalised, COLS + 1, 1e-8);
    p = problem(g_made.amounts, 2);
    p.weight = g_made.weight;
    p.l2 = .01;
    fit(&p, w, NULL);
    assert_close("gamma", w, gamma, COLS + 1, 1e-8);
    p = problem(g_made.mixed, 1.5);
    p.weight = g_made.weight;
    p.exposure = g_made.exposure;
    p.l2 = .001;
    fit(&p, w, NULL);
    assert_close("tweedie", w, tweedie, COLS + 1, 1e-8);
}

/* Counts: at the optimum the gradient with the offset log(exposure) is zero, computed anew here. */
static void exposure_is_an_offset(void **state)
{
    (void)state;
    double w[COLS + 1], gradient[COLS + 1] = {0};
    struct gy_glm p = problem(g_made.counts, 1);
    p.exposure = g_made.exposure;
    p.weight = g_made.weight;
    fit(&p, w, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        const double *x = p.x + i * COLS;
        double eta = w[COLS] + log(p.exposure[i]);
        for (size_t j = 0; j < COLS; j++) {
            eta += w[j] * x[j];
        }
        for (size_t j = 0; j <= COLS; j++) {
            gradient[j] += p.weight[i] * (exp(eta) - p.y[i]) * (j < COLS ? x[j] : 1);
        }
    }
    for (size_t j = 0; j <= COLS; j++) {
        assert_true(fabs(gradient[j]) < 1e-9);
    }
}

static void deviances_are_those_of_the_books(void **state)
{
    (void)state;
    assert_true(gy_glm_deviance(1, 0, 2) == 4);
    assert_true(fabs(gy_glm_deviance(1, 3, 2) - 2 * (3 * log(1.5) - 1)) < 1e-15);
    assert_true(fabs(gy_glm_deviance(2, 3, 2) - 2 * (.5 - log(1.5))) < 1e-15);
    /* 2 (y^.5 / -.25 + 2 y mu^-.5 + 2 mu^.5) at power 1.5 */
    assert_true(fabs(gy_glm_deviance(1.5, 4, 1) - 2 * (-8 + 8 + 2)) < 1e-14);
    assert_true(fabs(gy_glm_deviance(1.5, 0, 4) - 8) < 1e-14);
    /* it goes over into its neighbours at both ends */
    assert_true(fabs(gy_glm_deviance(1 + 1e-9, 3, 2) - gy_glm_deviance(1, 3, 2)) < 1e-5);
    assert_true(fabs(gy_glm_deviance(2 - 1e-9, 3, 2) - gy_glm_deviance(2, 3, 2)) < 1e-5);
    for (int k = 0; k <= 4; k++) {
        assert_true(fabs(gy_glm_deviance(1 + k / 4.0, 3, 3)) < 1e-14);
    }
    assert_true(gy_glm_deviance(1, 0, 0) == 0 && isinf(gy_glm_deviance(1, 1, 0)));
    struct gy_glm_report report;
    double w[COLS + 1], sum = 0;
    struct gy_glm p = problem(g_made.mixed, 1.3);
    fit(&p, w, &report);
    for (size_t i = 0; i < ROWS; i++) {
        double eta = w[COLS];
        for (size_t j = 0; j < COLS; j++) {
            eta += w[j] * p.x[i * COLS + j];
        }
        sum += gy_glm_deviance(1.3, p.y[i], exp(eta));
    }
    assert_true(fabs(sum - report.deviance) < 1e-9 * sum);
    assert_true(report.deviance < report.null_deviance && report.rank == COLS);
}

/* One group indicator has a closed form: the mean rate of each group. Given twice, it is shared. */
static void groups_get_their_mean_rate(void **state)
{
    (void)state;
    static double x[ROWS * 2];
    double w[3], events[2] = {0}, years[2] = {0};
    struct gy_glm_report report;
    for (size_t i = 0; i < ROWS; i++) {
        size_t group = g_made.x[i * COLS] > 0;
        x[2 * i] = x[2 * i + 1] = (double)group;
        events[group] += g_made.counts[i];
        years[group] += g_made.exposure[i];
    }
    struct gy_glm p = problem(g_made.counts, 1);
    p.x = x;
    p.n_features = 2;
    p.exposure = g_made.exposure;
    fit(&p, w, &report);
    assert_int_equal(report.rank, 1);
    assert_true(fabs(exp(w[2]) - events[0] / years[0]) < 1e-12);
    assert_true(fabs(exp(w[0] + w[1] + w[2]) - events[1] / years[1]) < 1e-12);
    assert_true(fabs(w[0] - w[1]) < 1e-12);
}

static void the_same_bits_at_any_thread_count(void **state)
{
    (void)state;
    enum { N = 30000, D = 3 };
    double *x = gy_calloc(N * D + N, sizeof *x), *y = x + N * D;
    uint64_t s = 1;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++) {
            x[i * D + j] = uniform(&s);
        }
        y[i] = floor(uniform(&s) * 3 * exp(x[i * D]));
    }
    static const int threads[] = {1, 2, 4};
    double w[3][D + 1];
    for (size_t t = 0; t < 3; t++) {
        const struct gy_glm p = {
            .x = x, .y = y, .n_rows = N, .n_features = D, .power = 1.2, .n_threads = threads[t]};
        fit(&p, w[t], NULL);
        assert_memory_equal(w[0], w[t], sizeof w[0]);
    }
    gy_free(x);
}

static void refuses_what_it_can_not_use(void **state)
{
    (void)state;
    static double zeros[ROWS], copy[ROWS], x[ROWS * COLS];
    struct gy_glm p = problem(g_made.counts, .5);
    refused(&p, "from 1 (Poisson) to 2 (Gamma)", NULL);
    p = problem(g_made.counts, 2); /* holds zeros */
    refused(&p, "a Gamma model needs targets above 0", "tweedie");
    memcpy(copy, g_made.counts, sizeof copy);
    copy[2] = -1;
    p = problem(copy, 1);
    refused(&p, "the target of training row 3 is -1", "linear");
    copy[2] = NAN;
    refused(&p, "the target of training row 3 is nan", NULL);
    p = problem(zeros, 1);
    refused(&p, "all targets are 0", NULL);
    p = problem(g_made.counts, 1);
    p.weight = zeros;
    refused(&p, "all rows have weight 0", NULL);
    memcpy(copy, g_made.exposure, sizeof copy);
    copy[4] = 0;
    p.weight = NULL;
    p.exposure = copy;
    refused(&p, "the exposure of training row 5 is 0", "leave rows without exposure out");
    p = problem(g_made.counts, 1);
    p.n_rows = 0;
    refused(&p, "no rows", NULL);
    p = problem(g_made.counts, 1);
    p.l2 = NAN;
    refused(&p, "l2", NULL);
    /* a group without any event has no finite weight, and gets one from a penalty */
    memcpy(x, g_made.scaled, sizeof x);
    for (size_t i = 0; i < ROWS; i++) {
        x[i * COLS + 3] = g_made.counts[i] == 0 && i % 3 == 0;
    }
    p = problem(g_made.counts, 1);
    p.x = x;
    refused(&p, "no finite solution", "l2");
    double w[COLS + 1];
    p.l2 = 1e-3;
    fit(&p, w, NULL);
    assert_true(w[3] < -1);
}

static gy_status run_out(void *ctx, struct gy_err *err)
{
    (void)ctx;
    double w[COLS + 1];
    const struct gy_glm p = problem(g_made.counts, 1);
    return gy_glm_fit(&p, w, NULL, err);
}

static void out_of_memory(void **state)
{
    (void)state;
    torture(run_out, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_scikit_learn),
        cmocka_unit_test(exposure_is_an_offset),
        cmocka_unit_test(deviances_are_those_of_the_books),
        cmocka_unit_test(groups_get_their_mean_rate),
        cmocka_unit_test(the_same_bits_at_any_thread_count),
        cmocka_unit_test(refuses_what_it_can_not_use),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_table_once, NULL);
}
