/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of a network costs: usage network_bench [ROUNDS]. CPU microseconds a row, the
 * median of the rounds, one row at a time and 64 at once, and what sgemm takes for the 64. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/id.h"
#include "base/mem.h"
#include "learn/network/net.h"
#include "learn/runtime/network.h"

#define MAX_ROUNDS 99

static struct gy_err g_err;

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

static void add(struct gy_net_spec *s, enum gy_net_kind kind, uint32_t units, uint32_t size)
{
    GY_REQUIRE(gy_net_add(s, (struct gy_net_layer){.kind = kind, .units = units, .size = size},
                          NULL) == GY_OK);
}

static struct gy_net_spec small_mlp(void)
{
    struct gy_net_spec s = {.input = {1, 1, 64}, .head = GY_NET_SOFTMAX};
    add(&s, GY_NET_DENSE, 64, 0);
    add(&s, GY_NET_RELU, 0, 0);
    add(&s, GY_NET_DENSE, 32, 0);
    add(&s, GY_NET_RELU, 0, 0);
    add(&s, GY_NET_DENSE, 10, 0);
    return s;
}

static struct gy_net_spec small_cnn(void)
{
    struct gy_net_spec s = {.input = {8, 8, 1}, .head = GY_NET_SOFTMAX};
    add(&s, GY_NET_CONV, 16, 3);
    add(&s, GY_NET_RELU, 0, 0);
    add(&s, GY_NET_POOL, 0, 2);
    add(&s, GY_NET_CONV, 32, 3);
    add(&s, GY_NET_RELU, 0, 0);
    add(&s, GY_NET_POOL, 0, 2);
    add(&s, GY_NET_DENSE, 64, 0);
    add(&s, GY_NET_RELU, 0, 0);
    add(&s, GY_NET_DENSE, 10, 0);
    return s;
}

static void measure(const char *name, struct gy_net_spec spec, size_t rounds)
{
    enum { ROWS = 64, REPEATS = 50 };
    static double x[ROWS * 64], out[ROWS * 10], one[MAX_ROUNDS], many[MAX_ROUNDS], blas[MAX_ROUNDS];
    struct gy_net_model m;
    struct gy_net *net = NULL;
    void *self = NULL;
    struct gy_rng rng;
    gy_rng_init(&rng, 1);
    for (size_t i = 0; i < ROWS * 64; i++) {
        x[i] = gy_rng_normal(&rng);
    }
    GY_REQUIRE(gy_net_model_init(&spec, &m, NULL) == GY_OK);
    gy_net_init_params(&m.spec, 1, m.params);
    GY_REQUIRE(gy_network_new(&m, &self, NULL) == GY_OK);
    GY_REQUIRE(gy_net_new(&m.spec, ROWS, &net, NULL) == GY_OK);
    void *scratch = gy_malloc(gy_network_ops.scratch(self, ROWS));
    GY_REQUIRE(scratch);
    for (size_t r = 0; r < rounds; r++) {
        double t0 = cpu_us();
        for (size_t i = 0; i < REPEATS * ROWS; i++) {
            gy_network_ops.run(self, x + i % ROWS * 64, 1, out, scratch);
        }
        double t1 = cpu_us();
        for (size_t i = 0; i < REPEATS; i++) {
            gy_network_ops.run(self, x, ROWS, out, scratch);
        }
        double t2 = cpu_us();
        for (size_t i = 0; i < REPEATS; i++) {
            for (size_t k = 0; k < ROWS; k++) {
                gy_net_model_take(&m, x + k * 64, gy_net_rows(net) + k * 64);
            }
            (void)gy_net_forward(net, m.params, ROWS, NULL);
        }
        double t3 = cpu_us(), n = REPEATS * ROWS;
        one[r] = (t1 - t0) / n, many[r] = (t2 - t1) / n, blas[r] = (t3 - t2) / n;
    }
    printf("%-4s %6zu parameters: one row %.2f us, of 64 %.2f us a row, OpenBLAS of 64 %.2f us\n",
           name, m.spec.n_params, median(one, rounds), median(many, rounds), median(blas, rounds));
    gy_free(scratch);
    gy_net_free(net);
    gy_network_ops.free(self);
    gy_net_model_done(&m);
}

int main(int argc, char **argv)
{
    int64_t rounds = 9;
    if (argc > 1 && gy_parse_i64(gy_str_c(argv[1]), 1, MAX_ROUNDS, &rounds, &g_err) != GY_OK) {
        (void)fprintf(stderr, "%s\n", g_err.msg);
        return 2;
    }
    measure("mlp", small_mlp(), (size_t)rounds);
    measure("cnn", small_cnn(), (size_t)rounds);
    return 0;
}
