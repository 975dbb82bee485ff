/* SPDX-License-Identifier: Apache-2.0 */
/* CPU milliseconds to compare a window with its reference.
 *   drift_bench [ROWS [COLUMNS]]     default 1000000 rows of 50 columns, both sides
 * Half of the columns are numbers of all digits, a quarter has one decimal, a quarter is whole.
 * Told are: a window of 1000 rows of 10 columns against a stored profile; ROWS of COLUMNS against a
 * stored profile; and both sides from raw numbers, column by column. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "watch/diagnose.h"

enum { MAX_COLUMNS = 256, REPEATS = 21 };

static double cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        (void)fprintf(stderr, "drift_bench: %s\n", err->msg);
        exit(1);
    }
}

static double number(struct gy_rng *r, size_t column)
{
    double v = gy_rng_normal(r);
    return column % 4 < 2    ? v
           : column % 4 == 2 ? (double)(int64_t)(v * 100) / 10
                             : (double)(int64_t)(v * 20);
}

static struct gy_str g_names[MAX_COLUMNS];
static char g_text[MAX_COLUMNS][8];
static struct gy_err g_err;

static void make_profile(size_t rows, size_t columns, struct gy_arena *a, struct gy_profile *ret)
{
    struct gy_rng r;
    struct gy_profile_column *c = gy_arena_calloc(a, columns, sizeof *c);
    double *x = gy_reallocarray(NULL, rows, sizeof *x);
    GY_REQUIRE(c && x);
    gy_rng_init(&r, 1);
    for (size_t i = 0; i < columns; i++) {
        struct gy_values v;
        for (size_t k = 0; k < rows; k++) {
            x[k] = number(&r, i);
        }
        must(gy_values_of(x, NULL, rows, a, &v, &g_err), &g_err);
        must(gy_profile_describe(&v, columns, a, &c[i], &g_err), &g_err);
        c[i].name = g_names[i];
        c[i].input = true;
    }
    gy_free(x);
    *ret = (struct gy_profile){.rows = rows, .columns = c, .n_columns = columns};
}

static struct gy_drift_window *make_window(size_t rows, size_t columns)
{
    struct gy_rng r;
    struct gy_drift_window *w = NULL;
    double x[MAX_COLUMNS];
    gy_rng_init(&r, 2);
    must(gy_drift_window_new(g_names, columns, rows, false, &w, &g_err), &g_err);
    for (size_t k = 0; k < rows; k++) {
        for (size_t i = 0; i < columns; i++) {
            x[i] = number(&r, i);
        }
        const struct gy_drift_row row = {.inputs = x, .score = 0.5, .weight = 1};
        GY_REQUIRE(gy_drift_window_add(w, &row));
    }
    return w;
}

static double evaluate(const struct gy_profile *p, const struct gy_drift_window *w)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_drift_options o;
    struct gy_drift_result r;
    struct gy_drift_diagnosis d;
    gy_arena_init(&a, 8 * GY_GIB);
    gy_drift_options_init(&o);
    double start = cpu_ms();
    must(gy_drift_evaluate(p, w, &o, &a, &r, &g_err), &g_err);
    must(gy_drift_diagnose(&r, NULL, 1, &a, &d, &g_err), &g_err);
    return cpu_ms() - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Both sides raw: sort, count, test, a column at a time. */
static double both_raw(size_t rows, size_t columns)
{
    struct gy_rng r;
    double *x = gy_reallocarray(NULL, rows, 2 * sizeof *x);
    double spent = 0;
    GY_REQUIRE(x);
    gy_rng_init(&r, 3);
    for (size_t i = 0; i < columns; i++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_values v[2];
        double score;
        gy_arena_init(&a, GY_GIB);
        for (size_t k = 0; k < 2 * rows; k++) {
            x[k] = number(&r, i);
        }
        double start = cpu_ms();
        must(gy_values_of(x, NULL, rows, &a, &v[0], &g_err), &g_err);
        must(gy_values_of(x + rows, NULL, rows, &a, &v[1], &g_err), &g_err);
        enum gy_stat s = gy_stat_choose(rows, gy_stat_union(&v[0], &v[1]), false);
        must(gy_stat_run(s, &v[0], &v[1], false, &score, &g_err), &g_err);
        spent += cpu_ms() - start;
    }
    gy_free(x);
    return spent;
}

int main(int argc, char **argv)
{
    int64_t rows = 1000000, columns = 50;
    struct gy_profile p;
    double times[REPEATS];
    if (argc > 1) {
        must(gy_parse_i64(gy_str_c(argv[1]), 1, GY_DRIFT_MAX_ROWS, &rows, &g_err), &g_err);
    }
    if (argc > 2) {
        must(gy_parse_i64(gy_str_c(argv[2]), 1, MAX_COLUMNS, &columns, &g_err), &g_err);
    }
    for (size_t i = 0; i < MAX_COLUMNS; i++) {
        (void)snprintf(g_text[i], sizeof g_text[i], "c%zu", i);
        g_names[i] = gy_str_c(g_text[i]);
    }
    {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, GY_GIB);
        make_profile(20000, 10, &a, &p);
        GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = make_window(1000, 10);
        for (size_t i = 0; i < REPEATS; i++) {
            times[i] = evaluate(&p, w);
        }
        qsort(times, REPEATS, sizeof times[0], compare);
        (void)printf("1000 x 10 against a profile of 20000 rows: %.2f ms\n", times[REPEATS / 2]);
    }
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 8 * GY_GIB);
    make_profile((size_t)rows, (size_t)columns, &a, &p);
    GY_AUTO(gy_drift_window_free)
    struct gy_drift_window *w = make_window((size_t)rows, (size_t)columns);
    (void)printf("%lld x %lld against a stored profile: %.0f ms\n", (long long)rows,
                 (long long)columns, evaluate(&p, w));
    (void)printf("%lld x %lld, both sides raw: %.0f ms\n", (long long)rows, (long long)columns,
                 both_raw((size_t)rows, (size_t)columns));
    return 0;
}
