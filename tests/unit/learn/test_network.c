/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: what they learn, that equal seeds give equal bytes at any number of threads, when they
 * stop, their file, and the runtime that answers. Gradients have a test of their own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/network/net.h"
#include "learn/network/trainer.h"
#include "learn/picture.h"
#include "learn/runtime/network.h"

#define MAX_ROWS 1000
#define MAX_CELLS 100

static struct gy_err g_err;
static double g_x[MAX_ROWS * MAX_CELLS], g_y[MAX_ROWS], g_weight[MAX_ROWS];

#define OK(expr)                                                       \
    do {                                                               \
        gy_status ok_status_ = (expr);                                 \
        if (ok_status_ != GY_OK) {                                     \
            fail_msg("%s: %s", gy_status_name(ok_status_), g_err.msg); \
        }                                                              \
    } while (0)

static void add(struct gy_net_spec *s, enum gy_net_kind kind, uint32_t units, uint32_t size,
                float rate)
{
    const struct gy_net_layer layer = {.kind = kind, .units = units, .size = size, .rate = rate};
    OK(gy_net_add(s, layer, &g_err));
}

static struct gy_net_spec mlp(uint32_t inputs, uint32_t a, uint32_t b, enum gy_net_head head,
                              uint32_t outputs)
{
    struct gy_net_spec s = {.input = {1, 1, inputs}, .head = head};
    add(&s, GY_NET_DENSE, a, 0, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_DENSE, b, 0, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_DENSE, outputs, 0, 0);
    return s;
}

/* Odd sizes on purpose: a pool with a rest, panels that are not full. */
static struct gy_net_spec cnn(uint32_t width, uint32_t height, uint32_t channels, uint32_t a,
                              uint32_t b)
{
    struct gy_net_spec s = {.input = {width, height, channels}, .head = GY_NET_SOFTMAX};
    add(&s, GY_NET_CONV, a, 3, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_POOL, 0, 2, 0);
    add(&s, GY_NET_CONV, b, 5, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_DROPOUT, 0, 0, 0.25F);
    add(&s, GY_NET_DENSE, 21, 0, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_DENSE, 3, 0, 0);
    return s;
}

static const struct gy_net_plan g_plan = {
    .epochs = 60,
    .batch = 32,
    .rate = 3e-3,
    .patience = 20,
    .validation = 0.1,
    .seed = 5,
    .n_threads = 1,
};

/* Points in the square; class: in which ring around 0 (half, then the rest). */
static struct gy_net_data rings(size_t n, size_t n_classes)
{
    struct gy_rng rng;
    gy_rng_init(&rng, 11);
    for (size_t i = 0; i < n; i++) {
        g_x[2 * i] = gy_rng_normal(&rng);
        g_x[2 * i + 1] = gy_rng_normal(&rng);
        double r = hypot(g_x[2 * i], g_x[2 * i + 1]);
        g_y[i] = r < 0.8 ? 0 : r < 1.6 || n_classes == 2 ? 1 : 2;
    }
    return (struct gy_net_data){.x = g_x, .y = g_y, .n_rows = n};
}

/* Pictures with a bright bar: lying, standing, or none; noise everywhere. */
static struct gy_net_data bars(size_t n, size_t w, size_t h, size_t channels)
{
    struct gy_rng rng;
    gy_rng_init(&rng, 12);
    for (size_t i = 0; i < n; i++) {
        double *x = g_x + i * w * h * channels;
        g_y[i] = (double)gy_rng_below(&rng, 3);
        size_t row = gy_rng_below(&rng, h), column = gy_rng_below(&rng, w);
        for (size_t k = 0; k < w * h * channels; k++) {
            size_t px = k / channels % w, py = k / channels / w;
            bool lit = (g_y[i] == 0 && py == row) || (g_y[i] == 1 && px == column);
            x[k] = gy_rng_f64(&rng) * 100 + (lit ? 155 : 0);
        }
    }
    return (struct gy_net_data){.x = g_x, .y = g_y, .n_rows = n};
}

static void train(struct gy_net_spec spec, const struct gy_net_data *d, const struct gy_net_plan *p,
                  struct gy_net_model *m, struct gy_history *h)
{
    OK(gy_net_train(&spec, d, p, m, h, &g_err));
}

static void run(const struct gy_net_model *m, const double *x, size_t n, double *out)
{
    void *self = NULL;
    OK(gy_network_new(m, &self, &g_err));
    size_t bytes = gy_network_ops.scratch(self, GY_RUNTIME_BLOCK);
    assert_int_equal(bytes % 64, 0);
    void *scratch = gy_malloc(bytes);
    assert_non_null(scratch);
    for (size_t r = 0; r < n; r += GY_RUNTIME_BLOCK) {
        size_t k = n - r < GY_RUNTIME_BLOCK ? n - r : GY_RUNTIME_BLOCK;
        gy_network_ops.run(self, x + r * gy_net_cells(m->spec.input), k,
                           out + r * m->spec.n_outputs, scratch);
    }
    gy_free(scratch);
    gy_network_ops.free(self);
}

static double accuracy(const struct gy_net_model *m, const struct gy_net_data *d)
{
    static double out[MAX_ROWS * 3];
    size_t hits = 0, k = m->spec.n_outputs;
    run(m, d->x, d->n_rows, out);
    for (size_t i = 0; i < d->n_rows; i++) {
        size_t best = k == 1 && out[i] >= 0.5 ? 1 : 0;
        double sum = 0;
        for (size_t j = 0; k > 1 && j < k; j++) {
            best = out[i * k + j] > out[i * k + best] ? j : best;
            sum += out[i * k + j];
        }
        assert_true(k == 1 || fabs(sum - 1) < 1e-12);
        hits += (double)best == d->y[i];
    }
    return (double)hits / (double)d->n_rows;
}

static void learns_classes(void **state)
{
    (void)state;
    for (uint32_t k = 2; k <= 3; k++) {
        GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
        GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
        const struct gy_net_data d = rings(600, k);
        train(mlp(2, 32, 16, k == 2 ? GY_NET_SIGMOID : GY_NET_SOFTMAX, k == 2 ? 1 : 3), &d, &g_plan,
              &m, &h);
        assert_true(accuracy(&m, &d) > 0.95);
        assert_true(h.epochs[h.best].accuracy > 0.93 && h.epochs[h.best].val_accuracy > 0.8);
        assert_true(h.epochs[h.best].loss < h.epochs[0].loss / 2);
    }
}

/* Values in the thousands: the target is standardised on the way in and back. */
static void learns_values(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    struct gy_net_data d = rings(500, 2);
    static double out[MAX_ROWS];
    double mean = 0, error = 0, variance = 0;
    for (size_t i = 0; i < d.n_rows; i++) {
        g_y[i] = 5000 + 1000 * g_x[2 * i] * fabs(g_x[2 * i + 1]);
        mean += g_y[i] / (double)d.n_rows;
    }
    struct gy_net_plan plan = g_plan;
    plan.cosine = true;
    train(mlp(2, 32, 16, GY_NET_IDENTITY, 1), &d, &plan, &m, &h);
    run(&m, d.x, d.n_rows, out);
    for (size_t i = 0; i < d.n_rows; i++) {
        error += (out[i] - g_y[i]) * (out[i] - g_y[i]);
        variance += (g_y[i] - mean) * (g_y[i] - mean);
    }
    assert_true(1 - error / variance > 0.97);
    assert_true(isnan(h.epochs[0].accuracy) && isnan(h.epochs[0].val_accuracy));
    assert_true(h.epochs[h.n - 1].rate < h.epochs[0].rate / 100 || h.n < 60);
}

static void learns_pictures(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    const struct gy_net_data d = bars(300, 7, 9, 1);
    struct gy_net_plan plan = g_plan;
    plan.standardise = true;
    plan.epochs = 25;
    train(cnn(7, 9, 1, 6, 9), &d, &plan, &m, &h);
    assert_true(accuracy(&m, &d) > 0.95);
}

/* ---- determinism ---- */

static void bytes_of(const struct gy_net_model *m, struct gy_buf *out)
{
    gy_buf_init(out, GY_NET_MAX_FILE);
    OK(gy_net_model_write(m, out, &g_err));
}

static void same_bytes(struct gy_net_spec spec, const struct gy_net_data *d,
                       struct gy_net_plan plan)
{
    static const int threads[] = {1, 1, 2, 4, 7};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf first = {0};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
        GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        plan.n_threads = threads[i];
        train(spec, d, &plan, &m, &h);
        bytes_of(&m, i ? &b : &first);
        if (i) {
            assert_int_equal(b.n, first.n);
            assert_memory_equal(b.p, first.p, b.n);
        } else {
            gy_buf_init(&b, 1);
        }
    }
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf other;
    plan.seed++;
    train(spec, d, &plan, &m, &h);
    bytes_of(&m, &other);
    assert_memory_not_equal(other.p, first.p, first.n);
}

/* Large enough that threads are used at all (WORK_FOR_THREADS in trainer.c). */
static void threads_do_not_matter(void **state)
{
    (void)state;
    struct gy_net_plan plan = g_plan;
    plan.epochs = 2;
    plan.batch = 200;
    struct gy_net_data d = rings(500, 3);
    for (size_t i = 0; i < d.n_rows; i++) {
        g_weight[i] = 1 + (double)(i % 3);
    }
    d.weight = g_weight;
    struct gy_net_spec wide = mlp(2, 256, 256, GY_NET_SOFTMAX, 3);
    same_bytes(wide, &d, plan);
    plan.batch = 50;
    plan.standardise = true;
    plan.augment = GY_AUGMENT_FLIP | GY_AUGMENT_ROTATE | GY_AUGMENT_SHIFT;
    d = bars(120, 9, 9, 1);
    struct gy_net_spec s = cnn(9, 9, 1, 48, 48);
    OK(gy_net_resolve(&s, &g_err));
    assert_true(8 * gy_net_work_of(&s) > 2e6);
    same_bytes(s, &d, plan);
}

/* ---- stopping ---- */

/* Labels that have nothing to do with the rows can only be learned by heart. */
static void stops_early_and_keeps_the_best(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    GY_AUTO_DONE(gy_history_done) struct gy_history h2 = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m2 = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    const struct gy_net_data d = rings(300, 2);
    for (size_t i = 0; i < d.n_rows; i++) {
        g_y[i] = (double)(i * 7 % 11 % 2);
    }
    struct gy_net_plan plan = g_plan;
    plan.epochs = 200;
    plan.patience = 6;
    plan.validation = 0.3;
    train(mlp(2, 32, 16, GY_NET_SIGMOID, 1), &d, &plan, &m, &h);
    assert_true(h.n < 200);
    assert_int_equal(h.n, h.best + 1 + 6);
    for (size_t i = 0; i < h.n; i++) {
        assert_true(h.epochs[i].val_loss >= h.epochs[h.best].val_loss);
    }
    plan.epochs = (int)h.best + 1; /* training just so long ends with the weights that were kept */
    train(mlp(2, 32, 16, GY_NET_SIGMOID, 1), &d, &plan, &m2, &h2);
    bytes_of(&m, &a);
    bytes_of(&m2, &b);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
}

static void count(void *ctx, int64_t done)
{
    int64_t *seen = ctx;
    assert_int_equal(done, *seen + 1);
    *seen = done;
}

/* Few rows: none is set aside, every epoch is run and told. */
static void trains_on_a_single_row(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    int64_t seen = 0;
    struct gy_net_plan plan = g_plan;
    plan.on_round = count;
    plan.ctx = &seen;
    plan.standardise = true;
    const struct gy_net_data d = rings(1, 2);
    train(mlp(2, 4, 3, GY_NET_IDENTITY, 1), &d, &plan, &m, &h);
    assert_int_equal(h.n, 60);
    assert_int_equal(seen, 60);
    assert_true(isnan(h.epochs[0].val_loss));
    double out = 0;
    run(&m, d.x, 1, &out);
    assert_true(fabs(out - g_y[0]) < 0.2);
}

static void weights_count(void **state)
{
    (void)state;
    static const double by[] = {1, 2};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf ones = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf twos = {0};
    struct gy_net_data d = rings(400, 2);
    d.weight = g_weight;
    for (size_t i = 0; i < 2; i++) { /* only their ratios matter */
        GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
        GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
        for (size_t r = 0; r < d.n_rows; r++) {
            g_weight[r] = by[i];
        }
        train(mlp(2, 16, 8, GY_NET_SIGMOID, 1), &d, &g_plan, &m, &h);
        bytes_of(&m, i ? &twos : &ones);
    }
    assert_int_equal(ones.n, twos.n);
    assert_memory_equal(ones.p, twos.p, ones.n);
    /* Wrong labels of weight 0 do no harm; with weight 1 they are half of all. */
    for (int wrong = 0; wrong < 2; wrong++) {
        GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
        GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
        d = rings(400, 2);
        d.weight = g_weight;
        for (size_t r = 0; r < d.n_rows; r++) {
            g_weight[r] = r % 2 ? 1 : wrong;
            g_y[r] = r % 2 ? g_y[r] : 1 - g_y[r];
        }
        train(mlp(2, 16, 8, GY_NET_SIGMOID, 1), &d, &g_plan, &m, &h);
        d = rings(400, 2);
        assert_true(wrong ? accuracy(&m, &d) < 0.8 : accuracy(&m, &d) > 0.9);
    }
    memset(g_weight, 0, sizeof g_weight);
    d.weight = g_weight;
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    struct gy_net_model none;
    struct gy_net_spec spec = mlp(2, 4, 4, GY_NET_SIGMOID, 1);
    assert_int_equal(gy_net_train(&spec, &d, &g_plan, &none, &h, &g_err), GY_E_INVALID);
}

static void says_that_it_diverged(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    struct gy_net_model m;
    struct gy_net_plan plan = g_plan;
    struct gy_net_data d = rings(100, 2);
    struct gy_net_spec spec = mlp(2, 4, 4, GY_NET_IDENTITY, 1);
    plan.rate = 1e30;
    assert_int_equal(gy_net_train(&spec, &d, &plan, &m, &h, &g_err), GY_E_INVALID);
    assert_non_null(strstr(g_err.msg, "diverged"));
    assert_non_null(strstr(g_err.hint, "rate"));
}

static void refuses_impossible_networks(void **state)
{
    (void)state;
    static const struct {
        struct gy_net_shape in;
        enum gy_net_head head;
        struct gy_net_layer layers[3];
        const char *says;
    } cases[] = {
        {{1, 1, 4}, GY_NET_SIGMOID, {{.kind = GY_NET_DENSE, .units = 2}}, "1 unit"},
        {{1, 1, 4}, GY_NET_SOFTMAX, {{.kind = GY_NET_DENSE, .units = 1}}, "unit a class"},
        {{1, 1, 4}, GY_NET_SOFTMAX, {{.kind = GY_NET_DENSE, .units = 0}}, "units"},
        {{1, 1, 4}, (enum gy_net_head)9, {{.kind = GY_NET_DENSE, .units = 2}}, "head"},
        {{1, 1, 4}, GY_NET_SIGMOID, {{.kind = GY_NET_RELU}}, "before it"},
        {{1, 1, 4}, GY_NET_SIGMOID, {{.kind = (enum gy_net_kind)77}}, "unknown kind"},
        {{4, 4, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_CONV, .units = 2, .size = 4}}, "odd"},
        {{4, 4, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_CONV, .units = 2, .size = 3}}, "dense"},
        {{4, 4, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_POOL, .size = 5}}, "window"},
        {{4, 4, 1},
         GY_NET_SIGMOID,
         {{.kind = GY_NET_DENSE, .units = 2}, {.kind = GY_NET_POOL, .size = 1}},
         "after a dense"},
        {{4, 4, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_DROPOUT, .rate = 1}}, "rate"},
        {{4, 0, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_DENSE, .units = 1}}, "empty"},
        {{2000, 1, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_DENSE, .units = 1}}, "sides"},
        {{1000, 1000, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_DENSE, .units = 1}}, "inputs"},
        {{1000, 1000, 1}, GY_NET_SIGMOID, {{.kind = GY_NET_CONV, .units = 9, .size = 1}}, "values"},
        {{1, 1, 4},
         GY_NET_SIGMOID,
         {{.kind = GY_NET_DENSE, .units = 16384}, {.kind = GY_NET_DENSE, .units = 16384}},
         "parameters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gy_net_spec s = {.input = cases[i].in, .head = cases[i].head};
        for (size_t l = 0; l < 3 && cases[i].layers[l].kind != 0; l++) {
            s.layers[s.n_layers++] = cases[i].layers[l];
        }
        gy_status status = gy_net_resolve(&s, &g_err);
        if ((status != GY_E_INVALID && status != GY_E_TOOBIG) ||
            !strstr(g_err.msg, cases[i].says)) {
            fail_msg("case %zu: %s '%s'", i, gy_status_name(status), g_err.msg);
        }
    }
    struct gy_net_spec s = {.n_layers = GY_NET_MAX_LAYERS};
    const struct gy_net_layer relu = {.kind = GY_NET_RELU};
    assert_int_equal(gy_net_add(&s, relu, NULL), GY_E_TOOBIG);
}

/* ---- the file ---- */

static void small_model(struct gy_net_model *m)
{
    GY_AUTO_DONE(gy_history_done) struct gy_history h = {0};
    struct gy_net_plan plan = g_plan;
    plan.epochs = 1;
    plan.standardise = true;
    const struct gy_net_data d = bars(40, 5, 5, 2);
    train(cnn(5, 5, 2, 3, 2), &d, &plan, m, &h);
}

static void a_file_is_read_back(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model read = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    static double x[40 * 3], y[40 * 3];
    small_model(&m);
    m.out_shift = 0.1;
    m.out_scale = -1e300;
    bytes_of(&m, &a);
    OK(gy_net_model_parse(gy_buf_str(&a), &read, &g_err));
    bytes_of(&read, &b);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    assert_true(read.out_shift == 0.1 && read.out_scale == -1e300);
    run(&m, g_x, 40, x);
    run(&read, g_x, 40, y);
    assert_memory_equal(x, y, sizeof x);
}

static gy_status parse_with_good_crc(struct gy_buf *b)
{
    struct gy_net_model m = {0};
    uint32_t crc = gy_crc32c(0, b->p, b->n - 4);
    for (int i = 0; i < 4; i++) {
        b->p[b->n - 4 + (size_t)i] = (char)(crc >> (8 * i));
    }
    gy_status status = gy_net_model_parse(gy_buf_str(b), &m, &g_err);
    gy_net_model_done(&m);
    return status;
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_net_model out;
    small_model(&m);
    bytes_of(&m, &b);
    for (size_t n = 0; n < b.n; n++) {
        assert_int_not_equal(gy_net_model_parse(gy_str_n(b.p, n), &out, NULL), GY_OK);
    }
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] = (char)(b.p[i] ^ 0x40);
        assert_int_not_equal(gy_net_model_parse(gy_buf_str(&b), &out, NULL), GY_OK);
        b.p[i] = (char)(b.p[i] ^ 0x40);
    }
    /* Made on purpose, with a right checksum: every byte of the head and the layers, all values
     * that matter. What is accepted all the same must be a network that can be run. */
    size_t numbers = 64 + 16 * m.spec.n_layers;
    for (size_t i = 0; i < numbers; i++) {
        static const unsigned char values[] = {0, 1, 2, 3, 0x7f, 0x80, 0xff};
        char was = b.p[i];
        for (size_t v = 0; v < sizeof values; v++) {
            b.p[i] = (char)values[v];
            gy_status status = parse_with_good_crc(&b);
            assert_true(status == GY_OK || status == GY_E_CORRUPT || status == GY_E_NOTSERVABLE);
            assert_true(status == GY_OK || g_err.code == status);
        }
        b.p[i] = was;
    }
    memset(b.p + 8, 9, 1); /* a later version */
    assert_int_equal(parse_with_good_crc(&b), GY_E_NOTSERVABLE);
    memset(b.p + 8, 1, 1);
    assert_int_equal(parse_with_good_crc(&b), GY_OK);
    memset(b.p + b.n - 8, 0xff, 4); /* NaN */
    assert_int_equal(parse_with_good_crc(&b), GY_E_CORRUPT);
}

/* ---- the runtime ---- */

/* One row at a time gives the bits of 64 at once, and both what the training's forward gives. */
static void compare_runtime(const struct gy_net_model *m, const double *x, size_t n)
{
    GY_AUTO(gy_net_free) struct gy_net *net = NULL;
    static double many[64 * 10], one[64 * 10];
    size_t cells = gy_net_cells(m->spec.input), k = m->spec.n_outputs;
    assert_true(n <= 64 && k <= 10);
    run(m, x, n, many);
    for (size_t i = 0; i < n; i++) {
        run(m, x + i * cells, 1, one + i * k);
    }
    assert_memory_equal(many, one, n * k * sizeof(double));
    OK(gy_net_new(&m->spec, n, &net, &g_err));
    for (size_t i = 0; i < n; i++) {
        gy_net_model_take(m, x + i * cells, gy_net_rows(net) + i * cells);
    }
    const float *z = gy_net_forward(net, m->params, n, NULL);
    for (size_t i = 0; i < n * k; i++) {
        double want = m->spec.head == GY_NET_SIGMOID    ? gy_sigmoid((double)z[i])
                      : m->spec.head == GY_NET_IDENTITY ? (double)z[i] * m->out_scale + m->out_shift
                                                        : NAN;
        if (m->spec.head == GY_NET_SOFTMAX) {
            double sum = 0;
            for (size_t j = 0; j < k; j++) {
                sum += exp((double)z[i / k * k + j] - (double)z[i]);
            }
            want = 1 / sum;
        }
        if (!(fabs(many[i] - want) < 1e-5 * (1 + fabs(want)))) {
            fail_msg("output %zu: %.9g, in training %.9g", i, many[i], want);
        }
    }
}

static void fill(struct gy_net_model *m, struct gy_net_spec spec, uint64_t seed)
{
    struct gy_rng rng;
    gy_rng_init(&rng, seed);
    OK(gy_net_model_init(&spec, m, &g_err));
    gy_net_init_params(&m->spec, seed, m->params);
    for (size_t i = 0; i < m->spec.n_params; i++) {
        m->params[i] += (float)(gy_rng_normal(&rng) / 20);
    }
    for (size_t i = 0; i < m->spec.input.channels; i++) {
        m->shift[i] = (float)gy_rng_normal(&rng);
        m->scale[i] = (float)gy_rng_f64(&rng);
    }
    m->out_scale = 3;
    m->out_shift = 100;
}

static void one_row_and_many_give_the_same_bits(void **state)
{
    (void)state;
    struct gy_rng rng;
    gy_rng_init(&rng, 8);
    for (size_t i = 0; i < MAX_ROWS * MAX_CELLS; i++) {
        g_x[i] = gy_rng_normal(&rng);
    }
    static const enum gy_net_head heads[] = {GY_NET_IDENTITY, GY_NET_SIGMOID, GY_NET_SOFTMAX};
    for (size_t i = 0; i < 9; i++) { /* panels full and not, blocks of 4 rows full and not */
        GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
        enum gy_net_head head = heads[i % 3];
        uint32_t a = (uint32_t[]){1, 8, 70}[i / 3], b = (uint32_t[]){33, 5, 64}[i / 3];
        fill(&m, mlp((uint32_t)(1 + i * 10), a, b, head, head == GY_NET_SOFTMAX ? 10 : 1), i);
        compare_runtime(&m, g_x, 61 + i % 4);
    }
    for (uint32_t side = 4; side <= 10; side += 3) {
        GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
        fill(&m, cnn(side, side - 1, 1, 5, 40), side);
        compare_runtime(&m, g_x, 13);
    }
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    fill(&m, cnn(5, 5, 3, 9, 8), 1);
    compare_runtime(&m, g_x, 6);
}

/* A dropout and a pool before all weights, a relu after a pool, a dense layer right after. */
static void unusual_orders_answer_too(void **state)
{
    (void)state;
    struct gy_net_spec s = {.input = {9, 7, 5}, .head = GY_NET_SIGMOID};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {0};
    add(&s, GY_NET_DROPOUT, 0, 0, 0.5F);
    add(&s, GY_NET_POOL, 0, 3, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_CONV, 6, 1, 0);
    add(&s, GY_NET_POOL, 0, 2, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_RELU, 0, 0, 0);
    add(&s, GY_NET_DENSE, 1, 0, 0);
    for (size_t i = 0; i < 315 * 10; i++) {
        g_x[i] = (double)(i * 37 % 101) / 50 - 1;
    }
    fill(&m, s, 4);
    compare_runtime(&m, g_x, 10);
}

static void a_missing_value_is_not_hidden(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model a = {0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model b = {0};
    double x[25] = {0}, out[10];
    x[1] = NAN;
    fill(&a, mlp(3, 5, 4, GY_NET_SIGMOID, 1), 1);
    run(&a, x, 1, out);
    assert_true(isnan(out[0]));
    fill(&b, cnn(5, 5, 1, 5, 4), 1);
    run(&b, x, 1, out);
    assert_true(isnan(out[0]) && isnan(out[2]));
}

static void survives_failing_memory(void **state)
{
    (void)state;
    struct gy_net_data d = bars(30, 5, 5, 1);
    struct gy_net_spec spec = cnn(5, 5, 1, 2, 2);
    struct gy_net_plan plan = g_plan;
    plan.epochs = 2;
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_net_model m = {0}, read = {0};
        struct gy_history h = {0};
        struct gy_buf b;
        void *self = NULL;
        gy_buf_init(&b, GY_NET_MAX_FILE);
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_net_train(&spec, &d, &plan, &m, &h, NULL);
        if (status == GY_OK) {
            status = gy_net_model_write(&m, &b, NULL);
        }
        if (status == GY_OK) {
            status = gy_net_model_parse(gy_buf_str(&b), &read, NULL);
        }
        if (status == GY_OK) {
            status = gy_network_new(&read, &self, NULL);
        }
        gy_mem_fail_at(0, 0);
        gy_history_done(&h);
        gy_net_model_done(&m);
        gy_net_model_done(&read);
        gy_network_ops.free(self);
        gy_buf_done(&b);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            assert_true(nth > 10);
            return;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

int main(void)
{
    if (gy_blas_open(&g_err) != GY_OK) {
        (void)fprintf(stderr, "%s\n", g_err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_classes),
        cmocka_unit_test(learns_values),
        cmocka_unit_test(learns_pictures),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(stops_early_and_keeps_the_best),
        cmocka_unit_test(trains_on_a_single_row),
        cmocka_unit_test(weights_count),
        cmocka_unit_test(says_that_it_diverged),
        cmocka_unit_test(refuses_impossible_networks),
        cmocka_unit_test(a_file_is_read_back),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(one_row_and_many_give_the_same_bits),
        cmocka_unit_test(unusual_orders_answer_too),
        cmocka_unit_test(a_missing_value_is_not_hidden),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
