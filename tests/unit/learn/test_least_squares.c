/* SPDX-License-Identifier: Apache-2.0 */
/* Least squares and ridge: scikit-learn's answers, depending columns, bad input, same bits. */
#include "support_linear.h"

#include "learn/least_squares.h"
#include "learn/table.h"

static struct gy_least_squares problem(const double *x, size_t d, const double *y)
{
    return (struct gy_least_squares){
        .x = x, .y = y, .n_rows = ROWS, .n_features = d, .n_threads = 1};
}

static void fit(const struct gy_least_squares *p, double *w, struct gy_least_squares_report *report)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_least_squares_fit(p, w, report, &err), err);
}

/* Relative: the weights of 1e8-sized columns are as exact as the others. */
static void assert_relative(const double *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(got[i] - want[i]) <= 1e-9 * fabs(want[i]))) {
            fail_msg("weight %zu is %.17g, not %.17g", i, got[i], want[i]);
        }
    }
}

static void equals_scikit_learn(void **state)
{
    (void)state;
    /* LinearRegression(tol=1e-15), the same with sample_weight, Ridge(2.5, solver='svd') */
    static const double plain[] = {3.0137746701072663, 0.0010313757407253948, -2.27673319145381e-08,
                                   1.0214825073041152, 0.4065807601227478};
    static const double weighted[] = {3.0149847583867153, 0.0010176798426533836,
                                      -2.141361979419132e-08, 1.0516805071398512,
                                      0.4171010630174594};
    static const double ridge[] = {3.005174046909711, 0.0010174503893490973,
                                   -2.1420351163644438e-08, 0.9961920887858929,
                                   0.44484867402039896};
    double w[COLS + 1];
    struct gy_least_squares p = problem(g_made.x, COLS, g_made.y);
    struct gy_least_squares_report report;
    fit(&p, w, &report);
    assert_relative(w, plain, COLS + 1);
    assert_int_equal(report.rank, COLS);
    p.weight = g_made.weight;
    fit(&p, w, NULL);
    assert_relative(w, weighted, COLS + 1);
    p.l2 = 2.5;
    fit(&p, w, NULL);
    assert_relative(w, ridge, COLS + 1);
}

/* What is left is told without predicting again. */
static void reports_what_is_left(void **state)
{
    (void)state;
    double w[COLS + 1], residual = 0, total = 0, mean = 0, weight = 0;
    struct gy_least_squares p = problem(g_made.x, COLS, g_made.y);
    struct gy_least_squares_report report;
    p.weight = g_made.weight;
    fit(&p, w, &report);
    for (size_t i = 0; i < ROWS; i++) {
        mean += p.weight[i] * p.y[i];
        weight += p.weight[i];
    }
    for (size_t i = 0; i < ROWS; i++) {
        double told = w[COLS];
        for (size_t j = 0; j < COLS; j++) {
            told += w[j] * p.x[i * COLS + j];
        }
        residual += p.weight[i] * (p.y[i] - told) * (p.y[i] - told);
        total += p.weight[i] * pow(p.y[i] - mean / weight, 2);
    }
    assert_true(fabs(report.residual - residual) < 1e-10 * residual);
    assert_true(fabs(report.total - total) < 1e-10 * total);
}

/* a, c, a in other units, a constant: the weight is shared as the shortest answer shares it. */
static void depending_columns_share_the_weight(void **state)
{
    (void)state;
    static const double want[] = {0.5248043259274686, 0.4259375713674879, 1.1571935386700682, 0,
                                  5.233283594871838};
    static double x[ROWS * COLS];
    double w[COLS + 1];
    struct gy_least_squares_report report;
    struct gy_least_squares p = problem(x, COLS, g_made.y);
    p.weight = g_made.weight;
    for (size_t i = 0; i < ROWS; i++) {
        x[i * COLS] = g_made.x[i * COLS];
        x[i * COLS + 1] = g_made.x[i * COLS + 3];
        x[i * COLS + 2] = 2.205 * g_made.x[i * COLS];
        x[i * COLS + 3] = .1;
    }
    fit(&p, w, &report);
    assert_int_equal(report.rank, 2);
    assert_close("collinear", w, want, COLS + 1, 1e-12);
    assert_true(w[3] == 0);
    /* columns that are nearly constants beside their size: far from zero, in two units */
    for (size_t i = 0; i < ROWS; i++) {
        x[i * COLS] = 1.7e9 + g_made.x[i * COLS] * 1e3;
        x[i * COLS + 2] = x[i * COLS] / 86400;
    }
    fit(&p, w, &report);
    assert_int_equal(report.rank, 2);
    assert_true(fabs(w[0]) < 1e-2 && fabs(w[2]) < 1e2);
}

/* Every one of k indicators: the sum of them is the intercept. */
static void all_indicators_of_a_category(void **state)
{
    (void)state;
    static double x[ROWS * 3];
    double w[4], sum[3] = {0}, n[3] = {0};
    for (size_t i = 0; i < ROWS; i++) {
        size_t k = (size_t)g_made.class3[i];
        memset(x + i * 3, 0, 3 * sizeof *x);
        x[i * 3 + k] = 1;
        sum[k] += g_made.y[i];
        n[k]++;
    }
    struct gy_least_squares_report report;
    struct gy_least_squares p = problem(x, 3, g_made.y);
    fit(&p, w, &report);
    assert_int_equal(report.rank, 2);
    assert_true(fabs(w[0] + w[1] + w[2]) < 1e-12);
    for (size_t k = 0; k < 3; k++) {
        assert_true(fabs(w[k] + w[3] - sum[k] / n[k]) < 1e-12);
    }
}

static void the_same_bits_at_any_thread_count(void **state)
{
    (void)state;
    enum { N = 20000, D = 7 };
    double *x = gy_calloc(N * D + N, sizeof *x), *y = x + N * D;
    uint64_t s = 1;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++) {
            x[i * D + j] = uniform(&s) * pow(10, (double)j) + 5;
            y[i] += x[i * D + j] / pow(10, (double)j);
        }
        y[i] += uniform(&s);
    }
    static const int threads[] = {1, 1, 2, 4};
    double w[4][D + 1];
    for (size_t t = 0; t < 4; t++) {
        const struct gy_least_squares p = {
            .x = x, .y = y, .n_rows = N, .n_features = D, .l2 = 1e-3, .n_threads = threads[t]};
        fit(&p, w[t], NULL);
        assert_memory_equal(w[0], w[t], sizeof w[0]);
    }
    gy_free(x);
}

/* One row, fewer rows than columns, no column, a constant target: all have an answer. */
static void small_tables_have_an_answer(void **state)
{
    (void)state;
    double w[COLS + 1], constant[ROWS];
    struct gy_least_squares p = problem(g_made.x, COLS, g_made.y);
    struct gy_least_squares_report report;
    p.n_rows = 1;
    fit(&p, w, &report);
    assert_int_equal(report.rank, 0);
    assert_true(w[COLS] == g_made.y[0] && w[0] == 0);
    p.n_rows = 3;
    fit(&p, w, &report);
    assert_int_equal(report.rank, 2);
    assert_true(report.residual < 1e-20);
    p.n_features = 0;
    fit(&p, w, NULL);
    assert_true(fabs(w[0] - (g_made.y[0] + g_made.y[1] + g_made.y[2]) / 3) < 1e-15);
    p = problem(g_made.x, COLS, constant);
    for (size_t i = 0; i < ROWS; i++) {
        constant[i] = 2.5;
    }
    fit(&p, w, &report);
    assert_true(w[COLS] == 2.5 && w[0] == 0 && report.total < 1e-20);
}

static void refuses_what_it_can_not_use(void **state)
{
    (void)state;
    static double x[ROWS * COLS], weight[ROWS];
    double w[COLS + 1];
    struct gy_err err = GY_ERR_INIT;
    struct gy_least_squares p = problem(g_made.x, COLS, g_made.y);
    p.l2 = -1;
    assert_int_equal(gy_least_squares_fit(&p, w, NULL, &err), GY_E_INVALID);
    p.l2 = 0;
    p.n_rows = 0;
    assert_int_equal(gy_least_squares_fit(&p, w, NULL, &err), GY_E_INVALID);
    assert_says(&err, "no rows", NULL);
    p.n_rows = ROWS;
    p.weight = weight;
    assert_int_equal(gy_least_squares_fit(&p, w, NULL, &err), GY_E_INVALID);
    assert_says(&err, "all rows have weight 0", NULL);
    weight[7] = -2;
    assert_int_equal(gy_least_squares_fit(&p, w, NULL, &err), GY_E_INVALID);
    assert_says(&err, "weight of training row 8 is -2", NULL);
    p.weight = NULL;
    p.x = x;
    static const double bad[] = {INFINITY, NAN, 1e200};
    for (size_t i = 0; i < 3; i++) {
        memcpy(x, g_made.x, sizeof x);
        x[5 * COLS + 2] = bad[i];
        assert_int_equal(gy_least_squares_fit(&p, w, NULL, &err), GY_E_INVALID);
        assert_says(&err, "finite numbers", NULL);
    }
    p.n_features = GY_LEAST_SQUARES_MAX_FEATURES + 1;
    assert_int_equal(gy_least_squares_fit(&p, w, NULL, &err), GY_E_TOOBIG);
}

static gy_status run_out(void *ctx, struct gy_err *err)
{
    (void)ctx;
    double w[COLS + 1];
    const struct gy_least_squares p = problem(g_made.x, COLS, g_made.y);
    return gy_least_squares_fit(&p, w, NULL, err);
}

static void out_of_memory(void **state)
{
    (void)state;
    torture(run_out, NULL);
}

/* ---- the fuel example: squared pounds beside years ---- */

/* Rows within mean +- 2.5 sample deviations of every column, one column after the other. */
static size_t keep_usual(const struct gy_table *t, uint32_t *rows, size_t n)
{
    static const char *const columns[] = {"mpg", "cyl", "dpl", "hp", "wght", "acc", "year", "org"};
    for (size_t c = 0; c < 8; c++) {
        const double *v = gy_table_column(t, gy_str_c(columns[c]))->num;
        double mean = 0, square = 0;
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            mean += v[rows[i]] / (double)n;
        }
        for (size_t i = 0; i < n; i++) {
            square += (v[rows[i]] - mean) * (v[rows[i]] - mean);
        }
        double sd = sqrt(square / (double)(n - 1));
        for (size_t i = 0; i < n; i++) {
            if (fabs(v[rows[i]] - mean) <= 2.5 * sd) {
                rows[kept++] = rows[i];
            }
        }
        n = kept;
    }
    return n;
}

static void second_powers_of_pounds(void **state)
{
    (void)state;
    char path[GY_MAX_PATH];
    const char *data = getenv("GYRE_TEST_DATA");
    const char *src = getenv("GYRE_SRC");
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(path, sizeof path, "%s%s/auto_mpg.csv",
                   data  ? data
                   : src ? src
                         : ".",
                   data ? "" : "/../shared/data");
    if (!gy_path_exists(path)) {
        skip();
    }
    gy_buf_init(&text, GY_MIB);
    assert_status(GY_OK, gy_file_read(path, &text, &err), err);
    size_t kept = 0;
    for (size_t i = 0; i < text.n; i++) { /* hp has "?" where it is not known */
        text.p[kept] = text.p[i];
        kept += text.p[i] != '?';
    }
    text.n = kept;
    assert_status(GY_OK, gy_table_parse(gy_buf_str(&text), "mpg", NULL, &t, &err), err);
    static uint32_t rows[1000];
    size_t n = 0;
    const double *hp = gy_table_column(t, GY_STR("hp"))->num;
    for (size_t i = 0; i < t->n_rows; i++) {
        if (!isnan(hp[i])) {
            rows[n++] = (uint32_t)i;
        }
    }
    assert_int_equal(n, 392);
    n = keep_usual(t, rows, n);
    assert_int_equal(n, 368);
    static double x[1000 * 6], y[1000];
    for (size_t i = 0; i < n; i++) {
        double w = gy_table_column(t, GY_STR("wght"))->num[rows[i]];
        double year = gy_table_column(t, GY_STR("year"))->num[rows[i]];
        const double terms[] = {1, w, year, w * w, w * year, year * year};
        memcpy(x + i * 6, terms, sizeof terms);
        y[i] = gy_table_column(t, GY_STR("mpg"))->num[rows[i]];
    }
    struct gy_least_squares p = {.x = x, .y = y, .n_rows = n, .n_features = 6, .n_threads = 2};
    struct gy_least_squares_report report;
    double b[7];
    fit(&p, b, &report);
    double r2 = 1 - report.residual / report.total;
    if (!(fabs(r2 - .8719501738) < 1e-10)) {
        fail_msg("R2 is %.12f", r2);
    }
    double w = 1080 * 2.205, year = 71;
    double mpg =
        b[6] + b[0] + b[1] * w + b[2] * year + b[3] * w * w + b[4] * w * year + b[5] * year * year;
    double litres = 100 / mpg * (3.785411784 / 1609.344 * 1000);
    if (!(fabs(litres - 10.0422772106) < 1e-9)) {
        fail_msg("%.12f l/100km", litres);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_scikit_learn),
        cmocka_unit_test(reports_what_is_left),
        cmocka_unit_test(depending_columns_share_the_weight),
        cmocka_unit_test(all_indicators_of_a_category),
        cmocka_unit_test(the_same_bits_at_any_thread_count),
        cmocka_unit_test(small_tables_have_an_answer),
        cmocka_unit_test(refuses_what_it_can_not_use),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(second_powers_of_pounds),
    };
    return cmocka_run_group_tests(tests, make_table_once, NULL);
}
