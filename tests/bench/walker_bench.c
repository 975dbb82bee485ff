/* SPDX-License-Identifier: Apache-2.0 */
/* Microseconds of CPU a row: the flat walker beside libxgboost, on 100 trees of depth 6 over 8
 * features, trained here from made data; or on a model and rows (float32) from files.
 *   walker_bench [REPEATS [MODEL.ubj ROWS.f32]]      median of REPEATS (default 9) alternating runs
 * libxgboost is given one thread and a ready matrix, which flatters it: a server would have to make
 * the matrix of every request. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/runtime/trees.h"
#include "learn/xgb.h"

enum { FEATURES = 8, TRAIN = 20000, ROWS = 10000, MAX_REPEATS = 101 };

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

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, compare);
    return v[n / 2];
}

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        (void)fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static void make_model(const float *x, struct gy_buf *model)
{
    struct gy_err err = GY_ERR_INIT;
    static float y[TRAIN];
    struct gy_rng r;
    gy_rng_init(&r, 2);
    for (size_t i = 0; i < TRAIN; i++) {
        float sum = 0;
        for (size_t c = 0; c < FEATURES; c++) {
            sum += x[i * FEATURES + c] * (c % 2 ? -1.0F : 1.0F);
        }
        y[i] = sum + (float)gy_rng_normal(&r) > 0 ? 1 : 0;
    }
    const struct gy_xgb_matrix data = {.x = x, .n_rows = TRAIN, .n_features = FEATURES, .y = y};
    const struct gy_xgb_param params[] = {{"objective", "binary:logistic"},
                                          {"tree_method", "hist"},
                                          {"max_depth", "6"},
                                          {"seed", "1"}};
    must(gy_xgb_train(&data,
                      &(struct gy_xgb_plan){
                          .params = params, .n_params = 4, .n_rounds = 100, .n_threads = 1},
                      model, &err),
         &err);
}

struct figures {
    double one[MAX_REPEATS], many[MAX_REPEATS], library[MAX_REPEATS];
};

static void measure(const struct gy_trees *t, struct gy_str model, const float *x, size_t repeats,
                    struct figures *f)
{
    static float ours[ROWS], theirs[ROWS];
    struct gy_err err = GY_ERR_INIT;
    const struct gy_xgb_matrix data = {.x = x, .n_rows = ROWS, .n_features = FEATURES};
    const struct gy_xgb_matrix first = {.x = x, .n_rows = 1, .n_features = FEATURES};
    for (size_t k = 0; k < repeats; k++) {
        double start = cpu_us();
        for (size_t i = 0; i < ROWS; i++) {
            gy_trees_run(t, x + i * FEATURES, 1, false, ours + i);
        }
        f->one[k] = (cpu_us() - start) / ROWS;
        start = cpu_us();
        for (size_t i = 0; i < ROWS; i += 64) {
            gy_trees_run(t, x + i * FEATURES, ROWS - i < 64 ? ROWS - i : 64, false, ours + i);
        }
        f->many[k] = (cpu_us() - start) / ROWS;
        /* loading the model and making the booster cost the same for one row: taken off */
        start = cpu_us();
        must(gy_xgb_predict(model, &first, false, theirs, 1, &err), &err);
        double fixed = cpu_us() - start;
        start = cpu_us();
        must(gy_xgb_predict(model, &data, false, theirs, ROWS, &err), &err);
        f->library[k] = (cpu_us() - start - fixed) / ROWS;
    }
    if (memcmp(ours, theirs, sizeof ours) != 0) {
        (void)fprintf(stderr, "the walker and libxgboost disagree\n");
        exit(1);
    }
}

/* 10,000 rows of float32, one after another. */
static void read_rows(const char *path, float *x)
{
    FILE *f = fopen(path, "rb");
    if (!f || fread(x, sizeof *x * FEATURES, ROWS, f) != ROWS) {
        (void)fprintf(stderr, "%s does not hold %d rows of %d float32\n", path, ROWS, FEATURES);
        exit(1);
    }
    (void)fclose(f);
}

int main(int argc, char **argv)
{
    int64_t repeats = 9;
    struct gy_err err = GY_ERR_INIT;
    if (argc > 1) {
        must(gy_parse_i64(gy_str_c(argv[1]), 1, MAX_REPEATS, &repeats, &err), &err);
    }
    static float x[TRAIN * FEATURES];
    static struct figures f;
    struct gy_rng r;
    gy_rng_init(&r, 1);
    for (size_t i = 0; i < TRAIN * FEATURES; i++) {
        x[i] = (float)gy_rng_normal(&r);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    gy_buf_init(&model, 64 * GY_MIB);
    if (argc > 3) {
        must(gy_file_read(argv[2], &model, &err), &err);
        read_rows(argv[3], x);
    } else {
        make_model(x, &model);
    }
    must(gy_trees_parse(gy_buf_str(&model), &t, &err), &err);
    measure(t, gy_buf_str(&model), x, (size_t)repeats, &f);
    const struct gy_trees_info *info = gy_trees_get_info(t);
    (void)printf("%zu trees, %zu nodes, %d features, CPU us a row, median of %lld\n", info->n_trees,
                 info->n_nodes, FEATURES, (long long)repeats);
    (void)printf("walker, one row at a time     %8.3f\n", median(f.one, (size_t)repeats));
    (void)printf("walker, 64 rows at a time     %8.3f\n", median(f.many, (size_t)repeats));
    (void)printf("libxgboost, 10000 rows, 1 thr %8.3f\n", median(f.library, (size_t)repeats));
    (void)printf("all %d answers are bit-equal\n", ROWS);
    return 0;
}
