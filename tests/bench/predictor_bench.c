/* SPDX-License-Identifier: Apache-2.0 */
/* Microseconds of CPU that a loaded package needs for a row, one at a time and 64 at a time:
 *   predictor_bench DIR...      each a package folder; medians of 9 alternating runs
 * tests/bench/predictors.py makes packages of all kinds and runs it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/id.h"
#include "base/mem.h"
#include "learn/predictor.h"

enum { ROWS = 1024, REPEATS = 9, PASSES = 20 };

static double cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Microseconds a row when n rows are asked for at once. */
static double measure(const struct gy_predictor *p, const double *rows, size_t n, double *out,
                      void *scratch)
{
    double times[REPEATS];
    size_t n_cells = gy_predictor_info(p)->n_cells;
    for (size_t i = 0; i < REPEATS; i++) {
        double start = cpu_us();
        for (size_t pass = 0; pass < PASSES; pass++) {
            for (size_t r = 0; r + n <= ROWS; r += n) {
                gy_predictor_run(p, rows + r * n_cells, n, out, scratch);
            }
        }
        times[i] = (cpu_us() - start) / (PASSES * ROWS);
    }
    qsort(times, REPEATS, sizeof *times, compare);
    return times[REPEATS / 2];
}

static int bench(const char *dir)
{
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    struct gy_rng r;
    if (gy_predictor_load(dir, &p, &err) != GY_OK) {
        (void)fprintf(stderr, "%s: %s\n", dir, err.msg);
        return 1;
    }
    const struct gy_predictor_info *info = gy_predictor_info(p);
    double *rows = gy_calloc(ROWS * info->n_cells, sizeof *rows);
    double *out = gy_calloc(64 * info->n_outputs, sizeof *out);
    char *scratch = gy_malloc(gy_predictor_scratch(p, 64) + 63);
    if (!rows || !out || !scratch) {
        return 1;
    }
    gy_rng_init(&r, 1);
    for (size_t i = 0; i < ROWS * info->n_cells; i++) {
        rows[i] = gy_rng_normal(&r);
    }
    void *aligned = (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    (void)measure(p, rows, 64, out, aligned);
    (void)printf("%-24s %8.2f %8.2f\n", dir, measure(p, rows, 1, out, aligned),
                 measure(p, rows, 64, out, aligned));
    gy_free(rows);
    gy_free(out);
    gy_free(scratch);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    (void)printf("%-24s %8s %8s\n", "CPU us a row", "1 row", "64 rows");
    for (int i = 1; i < argc; i++) {
        failed |= bench(argv[i]);
    }
    return failed;
}
