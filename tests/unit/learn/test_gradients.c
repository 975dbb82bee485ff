/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of layer and every head: the gradient against differences of the loss. Built with
 * -DGY_NETWORK_DOUBLE: in double a central difference is right to about 1e-9, so that a wrong term
 * shows wherever it is. And OpenBLAS against loops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/id.h"
#include "base/mem.h"
#include "learn/network/head.h"
#include "learn/network/layers.h"
#include "learn/network/net.h"

#ifndef GY_NETWORK_DOUBLE
#error "this test is about derivatives: build it in double"
#endif

#define STEP 1e-6
#define TOLERANCE 2e-8 /* absolute; the gradients here are 1e-3 to 1 */
#define MAX_ROWS 8

struct problem {
    struct gy_net_spec spec;
    struct gy_net *net;
    double *params, *x, y[MAX_ROWS];
    size_t n;
    bool dropout; /* draw the same mask each time */
};

static struct gy_err g_err;

static void add(struct gy_net_spec *s, enum gy_net_kind kind, uint32_t units, uint32_t size,
                float rate)
{
    const struct gy_net_layer layer = {.kind = kind, .units = units, .size = size, .rate = rate};
    assert_int_equal(gy_net_add(s, layer, &g_err), GY_OK);
}

static void start(struct problem *p, size_t n, uint64_t seed)
{
    struct gy_rng rng;
    gy_rng_init(&rng, seed);
    if (gy_net_resolve(&p->spec, &g_err) != GY_OK ||
        gy_net_new(&p->spec, n, &p->net, &g_err) != GY_OK) {
        fail_msg("%s", g_err.msg);
    }
    p->n = n;
    p->params = gy_calloc(p->spec.n_params, sizeof *p->params);
    p->x = gy_calloc(n * gy_net_cells(p->spec.input), sizeof *p->x);
    assert_true(p->params && p->x);
    gy_net_init_params(&p->spec, seed, p->params);
    for (size_t i = 0; i < p->spec.n_params; i++) { /* biases too: zeros would hide them */
        p->params[i] += 0.1 * gy_rng_normal(&rng);
    }
    for (size_t i = 0; i < n * gy_net_cells(p->spec.input); i++) {
        p->x[i] = gy_rng_normal(&rng);
    }
    for (size_t i = 0; i < n; i++) {
        p->y[i] = p->spec.head == GY_NET_IDENTITY  ? gy_rng_normal(&rng)
                  : p->spec.head == GY_NET_SIGMOID ? (double)(i % 2)
                                                   : (double)gy_rng_below(&rng, p->spec.n_outputs);
    }
}

static void stop(struct problem *p)
{
    gy_net_free(p->net);
    gy_free(p->params);
    gy_free(p->x);
}

/* The loss summed over the rows, with deltas when wanted. */
static double loss_of(struct problem *p, bool deltas)
{
    struct gy_rng rng;
    bool hit = false;
    double sum = 0;
    size_t k = p->spec.n_outputs;
    gy_rng_init(&rng, 77);
    memcpy(gy_net_rows(p->net), p->x, p->n * gy_net_cells(p->spec.input) * sizeof *p->x);
    const double *z = gy_net_forward(p->net, p->params, p->n, p->dropout ? &rng : NULL);
    for (size_t i = 0; i < p->n; i++) {
        double *dz = deltas ? gy_net_deltas(p->net) + i * k : NULL;
        sum += gy_net_loss(p->spec.head, z + i * k, k, p->y[i], dz, &hit);
    }
    return sum;
}

static void check(struct problem *p, const char *what)
{
    size_t n = p->spec.n_params;
    double *gradient = gy_calloc(n, sizeof *gradient);
    double size = 0;
    assert_non_null(gradient);
    (void)loss_of(p, true);
    gy_net_backward(p->net, p->params, p->n, gradient);
    for (size_t i = 0; i < n; i++) {
        double was = p->params[i];
        p->params[i] = was + STEP;
        double up = loss_of(p, false);
        p->params[i] = was - STEP;
        double down = loss_of(p, false);
        p->params[i] = was;
        double numeric = (up - down) / (2 * STEP);
        size = fabs(numeric) > size ? fabs(numeric) : size;
        if (!(fabs(numeric - gradient[i]) < TOLERANCE * (1 + fabs(numeric)))) {
            fail_msg("%s: parameter %zu of %zu: gradient %.12g, by differences %.12g", what, i, n,
                     gradient[i], numeric);
        }
    }
    assert_true(size > 1e-3); /* there was a gradient to get right */
    gy_free(gradient);
}

static void dense_layers(void **state)
{
    (void)state;
    struct problem p = {.spec = {.input = {1, 1, 5}, .head = GY_NET_SOFTMAX}};
    add(&p.spec, GY_NET_DENSE, 7, 0, 0);
    add(&p.spec, GY_NET_RELU, 0, 0, 0);
    add(&p.spec, GY_NET_DENSE, 6, 0, 0);
    add(&p.spec, GY_NET_RELU, 0, 0, 0);
    add(&p.spec, GY_NET_DENSE, 4, 0, 0);
    start(&p, 8, 1);
    check(&p, "dense");
    stop(&p);
}

static void every_head(void **state)
{
    (void)state;
    static const enum gy_net_head heads[] = {GY_NET_IDENTITY, GY_NET_SIGMOID, GY_NET_SOFTMAX};
    for (size_t i = 0; i < 3; i++) {
        struct problem p = {.spec = {.input = {1, 1, 3}, .head = heads[i]}};
        add(&p.spec, GY_NET_DENSE, heads[i] == GY_NET_SOFTMAX ? 3 : 1, 0, 0);
        start(&p, 6, 2 + i);
        check(&p, "head");
        stop(&p);
    }
}

static void convolutions(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 3, 5};
    for (size_t i = 0; i < 3; i++) { /* the 5 x 5 kernel is wider than the picture is high */
        struct problem p = {.spec = {.input = {6, 4, 2}, .head = GY_NET_SIGMOID}};
        add(&p.spec, GY_NET_CONV, 3, sizes[i], 0);
        add(&p.spec, GY_NET_RELU, 0, 0, 0);
        add(&p.spec, GY_NET_CONV, 2, 3, 0);
        add(&p.spec, GY_NET_DENSE, 1, 0, 0);
        start(&p, 3, 10 + i);
        check(&p, "conv");
        stop(&p);
    }
}

/* More pixels than one block of the matrix holds: 40 x 40 x 2 pictures of 9 * 64 values. */
static void convolutions_in_blocks(void **state)
{
    (void)state;
    struct problem p = {.spec = {.input = {20, 20, 1}, .head = GY_NET_IDENTITY}};
    add(&p.spec, GY_NET_CONV, 16, 1, 0);
    add(&p.spec, GY_NET_CONV, 1, 3, 0);
    add(&p.spec, GY_NET_POOL, 0, 10, 0);
    add(&p.spec, GY_NET_DENSE, 1, 0, 0);
    start(&p, 3, 20);
    assert_true((size_t)3 * 400 * 9 * 16 > ((size_t)1 << 16));
    check(&p, "conv in blocks");
    stop(&p);
}

static void pools_that_drop_a_rest(void **state)
{
    (void)state;
    struct problem p = {.spec = {.input = {7, 5, 2}, .head = GY_NET_SOFTMAX}};
    add(&p.spec, GY_NET_CONV, 3, 3, 0);
    add(&p.spec, GY_NET_RELU, 0, 0, 0);
    add(&p.spec, GY_NET_POOL, 0, 2, 0);
    add(&p.spec, GY_NET_DENSE, 3, 0, 0);
    start(&p, 4, 30);
    check(&p, "pool");
    stop(&p);
}

static void dropout_with_a_fixed_mask(void **state)
{
    (void)state;
    struct problem p = {.spec = {.input = {1, 1, 6}, .head = GY_NET_SOFTMAX}, .dropout = true};
    add(&p.spec, GY_NET_DENSE, 12, 0, 0);
    add(&p.spec, GY_NET_RELU, 0, 0, 0);
    add(&p.spec, GY_NET_DROPOUT, 0, 0, 0.4F);
    add(&p.spec, GY_NET_DENSE, 3, 0, 0);
    start(&p, 8, 40);
    check(&p, "dropout");
    double with = loss_of(&p, false);
    p.dropout = false;
    assert_true(fabs(with - loss_of(&p, false)) > 1e-6); /* the mask did something */
    stop(&p);
}

/* The derivative by the input, which no network here asks the first layer for. */
static void input_gradient_of(enum gy_net_kind kind, uint32_t units, uint32_t size)
{
    struct gy_net_spec s = {.input = {5, 4, 2}, .head = GY_NET_SOFTMAX};
    struct gy_rng rng;
    gy_rng_init(&rng, 50);
    add(&s, kind, units, size, 0);
    if (kind != GY_NET_DENSE) {
        add(&s, GY_NET_DENSE, 2, 0, 0);
    }
    assert_int_equal(gy_net_resolve(&s, &g_err), GY_OK);
    const struct gy_net_layer *l = &s.layers[0];
    const struct gy_layer_ops *ops = gy_layer_ops_of(kind);
    double x[40], y[200], dy[200], dx[40], w[400], dw[400], memo[2000];
    size_t n_out = gy_net_cells(l->out);
    assert_true(n_out <= 200 && l->n_weights + l->n_biases <= 400 && ops->memo(l, 1) <= 2000);
    for (size_t i = 0; i < 400; i++) {
        w[i] = gy_rng_normal(&rng);
    }
    for (size_t i = 0; i < 200; i++) {
        dy[i] = gy_rng_normal(&rng);
    }
    for (size_t i = 0; i < 40; i++) {
        x[i] = gy_rng_normal(&rng);
    }
    const struct gy_layer_pass p = {.layer = l,
                                    .n = 1,
                                    .w = w,
                                    .x = x,
                                    .y = y,
                                    .memo = memo,
                                    .rng = kind == GY_NET_DROPOUT ? &rng : NULL,
                                    .dy = dy,
                                    .dx = dx,
                                    .dw = dw};
    ops->forward(&p);
    ops->backward(&p);
    for (size_t i = 0; i < 40; i++) {
        double side[2], was = x[i];
        for (int k = 0; k < 2; k++) {
            x[i] = was + (k ? STEP : -STEP);
            ops->forward(&p);
            side[k] = 0;
            for (size_t j = 0; j < n_out; j++) {
                side[k] += y[j] * dy[j];
            }
        }
        x[i] = was;
        double numeric = (side[1] - side[0]) / (2 * STEP);
        if (!(fabs(numeric - dx[i]) < 1e-7)) {
            fail_msg("%s: input %zu: %.12g, by differences %.12g", ops->name, i, dx[i], numeric);
        }
    }
}

static void gradients_by_the_input(void **state)
{
    (void)state;
    input_gradient_of(GY_NET_DENSE, 7, 0);
    input_gradient_of(GY_NET_CONV, 4, 3);
    input_gradient_of(GY_NET_CONV, 3, 5);
    input_gradient_of(GY_NET_POOL, 0, 2);
    input_gradient_of(GY_NET_DROPOUT, 0, 0); /* rate 0: as it is */
}

/* Losses far from 0 do not overflow, and say what the formulas say. */
static void losses_of_extremes(void **state)
{
    (void)state;
    bool hit = false;
    double dz[3];
    const double far = 1000, none = -1000, z3[3] = {1000, 0, -1000};
    assert_true(fabs(gy_net_loss(GY_NET_SIGMOID, &far, 1, 0, dz, &hit) - 1000) < 1e-9);
    assert_true(!hit && dz[0] == 1);
    assert_true(gy_net_loss(GY_NET_SIGMOID, &none, 1, 0, dz, &hit) == 0);
    assert_true(hit && dz[0] == 0);
    assert_true(fabs(gy_net_loss(GY_NET_SOFTMAX, z3, 3, 2, dz, &hit) - 2000) < 1e-9);
    assert_true(!hit && dz[0] == 1 && dz[2] == -1);
}

/* Every form of a product, in both precisions, against three loops. */
static void openblas_multiplies(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {
        {1, 1, 1}, {3, 5, 7}, {32, 64, 64}, {33, 10, 129}, {128, 48, 9}};
    static double a[33 * 129 + 4096], b[129 * 64], c[128 * 64];
    static float fa[33 * 129 + 4096], fb[129 * 64], fc[128 * 64];
    struct gy_rng rng;
    gy_rng_init(&rng, 3);
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) {
        fa[i] = (float)(a[i] = gy_rng_normal(&rng));
    }
    for (size_t i = 0; i < sizeof b / sizeof *b; i++) {
        fb[i] = (float)(b[i] = gy_rng_normal(&rng));
    }
    for (size_t t = 0; t < 4 * sizeof sizes / sizeof *sizes; t++) {
        const size_t *s = sizes[t / 4];
        size_t m = s[0], n = s[1], k = s[2];
        enum gy_blas_form fa_form = t % 2 ? GY_BLAS_TRANSPOSED : GY_BLAS_PLAIN;
        enum gy_blas_form fb_form = t / 2 % 2 ? GY_BLAS_TRANSPOSED : GY_BLAS_PLAIN;
        for (size_t i = 0; i < m * n; i++) {
            c[i] = 2, fc[i] = 2;
        }
        gy_dgemm(fa_form, fb_form, m, n, k, a, b, 0.5, c);
        gy_sgemm(fa_form, fb_form, m, n, k, fa, fb, 0.5F, fc);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                double want = 1;
                for (size_t h = 0; h < k; h++) {
                    want += a[t % 2 ? h * m + i : i * k + h] * b[t / 2 % 2 ? j * k + h : h * n + j];
                }
                assert_true(fabs(c[i * n + j] - want) < 1e-10);
                assert_true(fabs((double)fc[i * n + j] - want) < 1e-3);
            }
        }
    }
}

int main(void)
{
    if (gy_blas_open(&g_err) != GY_OK) {
        (void)fprintf(stderr, "%s\n", g_err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openblas_multiplies),
        cmocka_unit_test(dense_layers),
        cmocka_unit_test(every_head),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(convolutions_in_blocks),
        cmocka_unit_test(pools_that_drop_a_rest),
        cmocka_unit_test(dropout_with_a_fixed_mask),
        cmocka_unit_test(gradients_by_the_input),
        cmocka_unit_test(losses_of_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
