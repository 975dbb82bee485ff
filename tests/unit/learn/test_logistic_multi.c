/* SPDX-License-Identifier: Apache-2.0 */
/* Logistic regression with weights and with more than two classes, by the full Hessian and by
 * conjugate gradients, and the runtime that answers. */
#include "support_linear.h"

#include "learn/logistic.h"
#include "learn/runtime/runtime.h"

static struct gy_logistic problem(const double *y, size_t n_classes, double l2)
{
    return (struct gy_logistic){.x = g_made.scaled,
                                .y = y,
                                .n_rows = ROWS,
                                .n_features = COLS,
                                .n_classes = n_classes,
                                .l2 = l2,
                                .n_threads = 1};
}

static void fit(const struct gy_logistic *p, double *w, struct gy_logistic_report *report)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_logistic_fit(p, w, report, &err), err);
}

static void refused(const struct gy_logistic *p, const char *message, const char *hint)
{
    double w[32];
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_logistic_fit(p, w, NULL, &err), GY_E_INVALID);
    assert_says(&err, message, hint);
}

static void equals_scikit_learn(void **state)
{
    (void)state;
    /* LogisticRegression(C=1/.7, solver='newton-cholesky', tol=1e-12), with sample_weight; the last
     * without penalty and weights */
    static const double binary[] = {2.4569579737156038, 0.1751004969309563, -0.12573571976222214,
                                    1.8935261329980309, -0.5739274418338152};
    static const double three[] = {0.2529978824497169,   -0.41061202027456983, 0.491524357444562,
                                   -0.32384040788174745, 0.3710655427087187,   -0.5575851593595856,
                                   0.5749005009234621,   -0.8588860856518669,  0.09548922189660726,
                                   -0.17084332568638402, 0.3045872769098792,   -0.1642884806489003,
                                   0.36736172820730206,  0.22835118598512955,  -0.2002222170223346};
    static const double free3[] = {0.2325694423091411,  -0.8120612351325605, 0.6599525576308161,
                                   -0.1955412307268761, 0.4391567509066643,  -0.5148624239054718,
                                   1.189588029352771,   -1.3438991574645112, -0.051070514210313306,
                                   -0.2438068725858992, 0.28229298159633065, -0.3775267942202105,
                                   0.683946599833695,   0.2466117449371895,  -0.19534987832076503};
    double w[15];
    struct gy_logistic_report report;
    struct gy_logistic p = problem(g_made.binary, 2, .7);
    assert_int_equal(gy_logistic_values(COLS, 2), 5);
    assert_int_equal(gy_logistic_values(COLS, 3), 15);
    p.weight = g_made.weight;
    fit(&p, w, &report);
    assert_close("two classes", w, binary, 5, 1e-8);
    assert_true(report.gradient < 1e-8);
    p = problem(g_made.class3, 3, .7);
    p.weight = g_made.weight;
    fit(&p, w, &report);
    assert_close("three classes", w, three, 15, 1e-8);
    assert_true(report.gradient < 1e-8);
    p = problem(g_made.class3, 3, 0);
    fit(&p, w, NULL);
    assert_close("without penalty", w, free3, 15, 1e-8);
}

/* Two classes told as softmax of a third that never comes close: the weight of a row counts as so
 * many rows. */
static void a_weight_is_a_number_of_rows(void **state)
{
    (void)state;
    static double x[2 * ROWS * COLS], y[2 * ROWS], twice[ROWS];
    double w[15], v[15];
    size_t n = 0;
    for (size_t i = 0; i < ROWS; i++) {
        twice[i] = (double)(i % 3);
        for (size_t k = 0; k < i % 3; k++, n++) {
            memcpy(x + n * COLS, g_made.scaled + i * COLS, COLS * sizeof *x);
            y[n] = g_made.class3[i];
        }
    }
    struct gy_logistic p = problem(g_made.class3, 3, 1);
    p.weight = twice;
    fit(&p, w, NULL);
    p.weight = NULL;
    p.x = x;
    p.y = y;
    p.n_rows = n;
    fit(&p, v, NULL);
    assert_close("weights", w, v, 15, 1e-10);
}

/* Many parameters go by conjugate gradients: at the answer the gradient is zero, computed anew. */
static void conjugate_gradients_arrive_too(void **state)
{
    (void)state;
    enum { N = 300, D = 260, K = 4 };
    double *x = gy_calloc(N * D + N + 2 * K * (D + 1), sizeof *x);
    double *y = x + N * D, *w = y + N, *gradient = w + K * (D + 1);
    uint64_t s = 3;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++) {
            x[i * D + j] = uniform(&s) * (j % 7 + 1.0) - .5;
        }
        y[i] = floor(fmod(x[i * D] * 2 + x[i * D + 8] + uniform(&s) + 3, K));
    }
    const struct gy_logistic p = {
        .x = x, .y = y, .n_rows = N, .n_features = D, .n_classes = K, .l2 = 2, .n_threads = 2};
    struct gy_logistic_report report;
    fit(&p, w, &report);
    for (size_t i = 0; i < N; i++) {
        double score[K], sum = 0;
        for (size_t k = 0; k < K; k++) {
            score[k] = w[k * (D + 1) + D];
            for (size_t j = 0; j < D; j++) {
                score[k] += w[k * (D + 1) + j] * x[i * D + j];
            }
            sum += exp(score[k]);
        }
        for (size_t k = 0; k < K; k++) {
            double r = exp(score[k]) / sum - (double)(y[i] == (double)k);
            for (size_t j = 0; j <= D; j++) {
                gradient[k * (D + 1) + j] += r * (j < D ? x[i * D + j] : 1);
            }
        }
    }
    for (size_t i = 0; i < (size_t)K * (D + 1); i++) {
        double g = gradient[i] + (i % (D + 1) < D ? 2 * w[i] : 0);
        assert_true(fabs(g) < 1e-7);
    }
    assert_true(report.gradient < 1e-7);
    gy_free(x);
}

/* Long enough to start from a sample of the rows: the answer does not show it. */
static void the_same_bits_at_any_thread_count(void **state)
{
    (void)state;
    enum { N = 40000, D = 3 };
    double *x = gy_calloc(N * D + N, sizeof *x), *y = x + N * D;
    uint64_t s = 1;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++) {
            x[i * D + j] = uniform(&s);
        }
        y[i] = floor(fmod(x[i * D] * 2 + uniform(&s) * 2, 3));
    }
    static const int threads[] = {1, 2, 4};
    double w[3][3 * (D + 1)];
    for (size_t t = 0; t < 3; t++) {
        const struct gy_logistic p = {.x = x,
                                      .y = y,
                                      .n_rows = N,
                                      .n_features = D,
                                      .n_classes = 3,
                                      .l2 = 1,
                                      .n_threads = threads[t]};
        struct gy_logistic_report report;
        fit(&p, w[t], &report);
        assert_memory_equal(w[0], w[t], sizeof w[0]);
        assert_true(report.gradient < 1e-6);
    }
    gy_free(x);
}

static void refuses_what_it_can_not_use(void **state)
{
    (void)state;
    static double zeros[ROWS], x[ROWS * COLS];
    struct gy_logistic p = problem(zeros, 2, 1);
    refused(&p, "one class only", NULL);
    p = problem(g_made.class3, 3, 1);
    p.weight = zeros;
    refused(&p, "all rows have weight 0", NULL);
    p = problem(g_made.class3, 2, 1);
    refused(&p, "has no class", NULL);
    p = problem(g_made.class3, 4, 0); /* the fourth never comes */
    refused(&p, "no unique solution", "l2");
    p = problem(g_made.class3, 3, 0);
    memcpy(x, g_made.scaled, sizeof x);
    for (size_t i = 0; i < ROWS; i++) {
        x[i * COLS + 3] = g_made.class3[i]; /* tells the classes apart */
    }
    p.x = x;
    refused(&p, "separable", "l2");
    for (size_t i = 0; i < ROWS; i++) {
        x[i * COLS + 3] = 2 * x[i * COLS]; /* depends on another */
    }
    refused(&p, "columns depend on each other", "l2");
    p = problem(g_made.binary, 2, 0);
    p.x = x;
    for (size_t i = 0; i < ROWS; i++) {
        x[i * COLS + 3] = g_made.binary[i] == 1 && i % 2; /* some rows are told for certain */
    }
    refused(&p, "separable", "l2");
    double w[5];
    p.l2 = .1;
    fit(&p, w, NULL);
    assert_true(w[3] > 1);
    x[9] = INFINITY;
    refused(&p, "finite", NULL);
}

static gy_status run_out(void *ctx, struct gy_err *err)
{
    (void)ctx;
    double w[15];
    const struct gy_logistic p = problem(g_made.class3, 3, 1);
    return gy_logistic_fit(&p, w, NULL, err);
}

static void out_of_memory(void **state)
{
    (void)state;
    torture(run_out, NULL);
}

/* ---- answering ---- */

static void answer(const struct gy_linear_spec *spec, const double *x, size_t n, double *out)
{
    void *self = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_linear_new(spec, &self, &err), err);
    assert_int_equal(gy_linear_ops.scratch(self, n), 0);
    gy_linear_ops.run(self, x, n, out, NULL);
    gy_linear_ops.free(self);
}

static void answers_through_its_link(void **state)
{
    (void)state;
    static const double w[] = {1, -2, .5, 0, 1, -.5, 2, 0, 0};
    static const double x[] = {.25, 2, 1, 3, NAN, 1};
    double out[9];
    struct gy_linear_spec spec = {
        .weights = w, .n_features = 2, .n_sets = 1, .link = GY_LINK_IDENTITY, .exposure = SIZE_MAX};
    answer(&spec, x, 3, out);
    assert_true(out[0] == -3.25 && out[1] == -4.5 && isnan(out[2]));
    spec.link = GY_LINK_SIGMOID;
    answer(&spec, x, 3, out);
    assert_true(fabs(out[0] - 1 / (1 + exp(3.25))) < 1e-16 && isnan(out[2]));
    spec.link = GY_LINK_EXP;
    answer(&spec, x, 3, out);
    assert_true(out[0] == exp(-3.25));
    spec.exposure = 1;
    answer(&spec, x, 2, out);
    assert_true(out[0] == 2 * exp(-3.25) && out[1] == 3 * exp(-4.5));
    spec = (struct gy_linear_spec){
        .weights = w, .n_features = 2, .n_sets = 3, .link = GY_LINK_SOFTMAX, .exposure = SIZE_MAX};
    answer(&spec, x, 3, out);
    double e0 = exp(-3.25), e1 = exp(1.5), e2 = exp(.5);
    assert_true(fabs(out[0] - e0 / (e0 + e1 + e2)) < 1e-15);
    assert_true(fabs(out[1] - e1 / (e0 + e1 + e2)) < 1e-15);
    assert_true(fabs(out[0] + out[1] + out[2] - 1) < 1e-15);
    assert_true(isnan(out[6]) && isnan(out[7]) && isnan(out[8]));
    /* scores far outside what exp can hold */
    static const double far[] = {1e6, -1e6};
    answer(&spec, far, 1, out);
    assert_true(out[0] == 1 && out[1] == 0 && out[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_scikit_learn),
        cmocka_unit_test(a_weight_is_a_number_of_rows),
        cmocka_unit_test(conjugate_gradients_arrive_too),
        cmocka_unit_test(the_same_bits_at_any_thread_count),
        cmocka_unit_test(refuses_what_it_can_not_use),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(answers_through_its_link),
    };
    return cmocka_run_group_tests(tests, make_table_once, NULL);
}
