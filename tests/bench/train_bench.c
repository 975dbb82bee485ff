/* SPDX-License-Identifier: Apache-2.0 */
/* CPU seconds of training: the xgboost learner (from the doubles of a table to the bytes of
 * a model) beside libxgboost called alone on floats that are ready; and the linear learners.
 *   train_bench [ROWS] [REPEATS] [THREADS]      medians of alternating runs
 * Both sides must give the same model, bit for bit. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/glm.h"
#include "learn/learner.h"
#include "learn/least_squares.h"
#include "learn/logistic.h"

enum { FEATURES = 25, ROUNDS = 100, MAX_REPEATS = 101 };

static size_t g_rows;
static int g_threads;
static double *g_x, *g_y, *g_counts;
static float *g_x32, *g_y32;

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        (void)fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
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

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_rows(void)
{
    struct gy_rng r;
    gy_rng_init(&r, 1);
    g_x = gy_calloc(g_rows * (FEATURES + 2), sizeof *g_x);
    g_x32 = gy_calloc(g_rows * (FEATURES + 1), sizeof *g_x32);
    g_y = g_x + g_rows * FEATURES;
    g_counts = g_y + g_rows;
    g_y32 = g_x32 + g_rows * FEATURES;
    for (size_t i = 0; i < g_rows; i++) {
        double score = 0;
        for (size_t j = 0; j < FEATURES; j++) {
            double v = gy_rng_normal(&r);
            g_x[i * FEATURES + j] = v;
            g_x32[i * FEATURES + j] = (float)v;
            score += v * (j % 2 ? -.5 : .5) + (j < 5 ? v * v / 4 : 0);
        }
        g_y[i] = gy_rng_f64(&r) < 1 / (1 + exp(-score)) ? 1 : 0;
        g_y32[i] = (float)g_y[i];
        g_counts[i] = floor(gy_rng_f64(&r) * 3 * exp(score / 4));
    }
}

/* ---- libxgboost alone ---- */

typedef void *handle;

static struct {
    int (*matrix)(const float *, uint64_t, uint64_t, float, handle *, int);
    int (*info)(handle, const char *, const float *, uint64_t);
    int (*matrix_free)(handle);
    int (*create)(const handle *, uint64_t, handle *);
    int (*set)(handle, const char *, const char *);
    int (*update)(handle, int, handle);
    int (*names)(handle, const char *, const char **, uint64_t);
    int (*save)(handle, const char *, uint64_t *, const char **);
    int (*done)(handle);
} g_lib;

static void open_library(void)
{
    void *lib = dlopen("libxgboost.so.0", RTLD_NOW | RTLD_LOCAL);
    static const struct {
        const char *name;
        void **at;
    } symbols[] = {{"XGDMatrixCreateFromMat_omp", (void **)(void *)&g_lib.matrix},
                   {"XGDMatrixSetFloatInfo", (void **)(void *)&g_lib.info},
                   {"XGDMatrixFree", (void **)(void *)&g_lib.matrix_free},
                   {"XGBoosterCreate", (void **)(void *)&g_lib.create},
                   {"XGBoosterSetParam", (void **)(void *)&g_lib.set},
                   {"XGBoosterUpdateOneIter", (void **)(void *)&g_lib.update},
                   {"XGBoosterSetStrFeatureInfo", (void **)(void *)&g_lib.names},
                   {"XGBoosterSaveModelToBuffer", (void **)(void *)&g_lib.save},
                   {"XGBoosterFree", (void **)(void *)&g_lib.done}};
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        *symbols[i].at = lib ? dlsym(lib, symbols[i].name) : NULL;
        if (!*symbols[i].at) {
            (void)fprintf(stderr, "no libxgboost.so.0 with %s\n", symbols[i].name);
            exit(1);
        }
    }
}

static void ok(int failed)
{
    if (failed) {
        (void)fprintf(stderr, "libxgboost failed\n");
        exit(1);
    }
}

static double alone(const char *const *names, struct gy_buf *out)
{
    char threads[16];
    double start = seconds();
    handle m = NULL, b = NULL;
    const char *bytes = NULL;
    uint64_t n = 0;
    (void)snprintf(threads, sizeof threads, "%d", g_threads);
    ok(g_lib.matrix(g_x32, g_rows, FEATURES, NAN, &m, g_threads));
    ok(g_lib.info(m, "label", g_y32, g_rows));
    ok(g_lib.create(&m, 1, &b));
    const char *const params[][2] = {
        {"verbosity", "0"},      {"nthread", threads}, {"objective", "binary:logistic"},
        {"tree_method", "hist"}, {"seed", "0"},        {"base_score", "0.5"}};
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        ok(g_lib.set(b, params[i][0], params[i][1]));
    }
    for (int i = 0; i < ROUNDS; i++) {
        ok(g_lib.update(b, i, m));
    }
    ok(g_lib.names(b, "feature_name", (const char **)(uintptr_t)names, FEATURES));
    ok(g_lib.save(b, "{\"format\": \"ubj\"}", &n, &bytes));
    gy_buf_add_bytes(out, bytes, n);
    ok(g_lib.done(b));
    ok(g_lib.matrix_free(m));
    return seconds() - start;
}

/* ---- the learner ---- */

static double learner(const struct gy_feature *features, struct gy_buf *out)
{
    struct gy_err err = GY_ERR_INIT;
    const struct gy_learner_ops *ops = gy_learner_get(GY_LEARNER_XGBOOST);
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    gy_model_init(&m);
    m.task = GY_TASK_BINARY;
    m.learner = GY_LEARNER_XGBOOST;
    m.n_classes = 2;
    struct gy_settings settings = {.specs = ops->settings};
    struct gy_fit f = {.settings = &settings,
                       .x = g_x,
                       .y = g_y,
                       .n_rows = g_rows,
                       .n_features = FEATURES,
                       .features = features,
                       .n_threads = g_threads,
                       .m = &m,
                       .file = out};
    double start = seconds();
    must(ops->fit(&f, &err), &err);
    return seconds() - start;
}

static void bench_xgboost(size_t repeats)
{
    static char texts[FEATURES][8];
    const char *names[FEATURES];
    struct gy_feature features[FEATURES] = {0};
    double ours[MAX_REPEATS], theirs[MAX_REPEATS], ratio[MAX_REPEATS];
    for (size_t j = 0; j < FEATURES; j++) {
        (void)snprintf(texts[j], sizeof texts[j], "x%zu", j);
        names[j] = texts[j];
        features[j].name = gy_str_c(names[j]);
    }
    open_library();
    for (size_t i = 0; i < repeats; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        gy_buf_init(&a, 512 * GY_MIB);
        gy_buf_init(&b, 512 * GY_MIB);
        bool first = i % 2;
        if (first) {
            theirs[i] = alone(names, &b);
        }
        ours[i] = learner(features, &a);
        if (!first) {
            theirs[i] = alone(names, &b);
        }
        ratio[i] = ours[i] / theirs[i];
        if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0) {
            (void)fprintf(stderr, "the models differ\n");
            exit(1);
        }
    }
    printf("xgboost, %d rounds: learner %.3f s, libxgboost alone %.3f s, ratio %.3f\n", ROUNDS,
           median(ours, repeats), median(theirs, repeats), median(ratio, repeats));
}

/* ---- linear ---- */

static void bench_linear(size_t repeats)
{
    double w[FEATURES + 1], t[3][MAX_REPEATS];
    struct gy_err err = GY_ERR_INIT;
    const struct gy_least_squares ls = {
        .x = g_x, .y = g_counts, .n_rows = g_rows, .n_features = FEATURES, .n_threads = g_threads};
    const struct gy_logistic logistic = {.x = g_x,
                                         .y = g_y,
                                         .n_rows = g_rows,
                                         .n_features = FEATURES,
                                         .n_classes = 2,
                                         .l2 = 1,
                                         .n_threads = g_threads};
    const struct gy_glm glm = {.x = g_x,
                               .y = g_counts,
                               .n_rows = g_rows,
                               .n_features = FEATURES,
                               .power = 1,
                               .n_threads = g_threads};
    for (size_t i = 0; i < repeats; i++) {
        double start = seconds();
        must(gy_least_squares_fit(&ls, w, NULL, &err), &err);
        t[0][i] = seconds() - start;
        start = seconds();
        must(gy_logistic_fit(&logistic, w, NULL, &err), &err);
        t[1][i] = seconds() - start;
        start = seconds();
        must(gy_glm_fit(&glm, w, NULL, &err), &err);
        t[2][i] = seconds() - start;
    }
    printf("least squares %.3f s, logistic %.3f s, poisson %.3f s\n", median(t[0], repeats),
           median(t[1], repeats), median(t[2], repeats));
}

int main(int argc, char **argv)
{
    int64_t rows = 100000, repeats = 9, threads = 1;
    if ((argc > 1 && gy_parse_i64(gy_str_c(argv[1]), 10, 100000000, &rows, NULL) != GY_OK) ||
        (argc > 2 && gy_parse_i64(gy_str_c(argv[2]), 1, MAX_REPEATS, &repeats, NULL) != GY_OK) ||
        (argc > 3 && gy_parse_i64(gy_str_c(argv[3]), 1, 256, &threads, NULL) != GY_OK)) {
        (void)fprintf(stderr, "usage: train_bench [ROWS] [REPEATS] [THREADS]\n");
        return 2;
    }
    g_rows = (size_t)rows;
    g_threads = (int)threads;
    make_rows();
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%zu rows x %d features, %d thread(s), medians of %d\n", g_rows, FEATURES, g_threads,
           (int)repeats);
    bench_linear((size_t)repeats);
    bench_xgboost((size_t)repeats);
    gy_free(g_x);
    gy_free(g_x32);
    return 0;
}
