/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/trainer.h"

#include <math.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/pool.h"
#include "learn/network/adam.h"
#include "learn/network/head.h"
#include "learn/network/lanes.h"
#include "learn/network/net.h"
#include "learn/picture.h"

/* Rows of a shard: enough to make a product worth its call, few enough that a batch of pictures has
 * work for several threads. */
#define SHARD_ROWS 32
#define SHARD_PICTURES 8
/* Multiplications of a shard below which more threads cost more than they bring. */
#define WORK_FOR_THREADS 2e6
#define MAX_WORKERS 64

/* Streams of the seed, one for each purpose. */
enum { STREAM_VALIDATION = 1, STREAM_INIT, STREAM_ORDER, STREAM_DROPOUT, STREAM_AUGMENT };

/* What one thread computes with; its sums are those of one shard. */
struct worker {
    struct gy_net *net;
    float *gradient;
    double *cells; /* a row after augmentation */
    double loss;   /* weighted */
    size_t hits;
};

struct trainer {
    const struct gy_net_data *data;
    const struct gy_net_plan *plan;
    struct gy_net_model *m;
    size_t shard;
    struct worker workers[MAX_WORKERS];
    size_t n_workers;
    double mean_weight;
    char *memory;    /* of the arrays below */
    float *gradient; /* of a batch */
    float *best;     /* parameters of the best epoch */
    uint32_t *train; /* rows, in the order of the epoch */
    uint32_t *validation;
    size_t n_train, n_validation;
    /* what the workers are at */
    const uint32_t *rows;
    size_t n_rows, first_shard;
    uint64_t epoch, step; /* from 0; batches so far */
    bool training;
};

static uint64_t stream_seed(const struct trainer *t, uint64_t purpose)
{
    struct gy_rng rng;
    gy_rng_init_stream(&rng, t->plan->seed, purpose);
    return gy_rng_u64(&rng);
}

/* ---- one shard ---- */

static double target(const struct trainer *t, uint32_t row)
{
    double y = t->data->y[row];
    return t->m->spec.head == GY_NET_IDENTITY ? (y - t->m->out_shift) / t->m->out_scale : y;
}

static void load_row(const struct trainer *t, struct worker *w, uint32_t row, float *out)
{
    const struct gy_net_shape in = t->m->spec.input;
    const double *x = t->data->x + (size_t)row * gy_net_cells(in);
    if (t->training && t->plan->augment) {
        const struct gy_picture_shape shape = {(int)in.width, (int)in.height, (int)in.channels};
        gy_picture_augment(t->plan->augment, &shape, stream_seed(t, STREAM_AUGMENT), t->epoch, row,
                           x, w->cells);
        x = w->cells;
    }
    gy_net_model_take(t->m, x, out);
}

/* Sums of the shard's losses; deltas as of the mean over the batch. */
static void take_losses(const struct trainer *t, struct worker *w, const uint32_t *rows, size_t n,
                        const float *z)
{
    size_t k = t->m->spec.n_outputs;
    float *deltas = gy_net_deltas(w->net);
    for (size_t i = 0; i < n; i++) {
        bool hit = false;
        double weight = t->data->weight ? t->data->weight[rows[i]] : 1;
        float *dz = t->training ? deltas + i * k : NULL;
        w->loss +=
            weight * gy_net_loss(t->m->spec.head, z + i * k, k, target(t, rows[i]), dz, &hit);
        w->hits += hit;
        float scale = (float)(weight / t->mean_weight / (double)t->n_rows);
        for (size_t j = 0; dz && j < k; j++) {
            dz[j] *= scale;
        }
    }
}

static void run_shard(void *ctx, size_t i)
{
    struct trainer *t = ctx;
    struct worker *w = &t->workers[i];
    size_t first = (t->first_shard + i) * t->shard;
    const uint32_t *rows = t->rows + first;
    size_t n = t->n_rows - first < t->shard ? t->n_rows - first : t->shard;
    size_t cells = gy_net_cells(t->m->spec.input);
    struct gy_rng rng;
    gy_rng_init_stream(&rng, stream_seed(t, STREAM_DROPOUT) + t->step, t->first_shard + i);
    w->loss = 0;
    w->hits = 0;
    for (size_t r = 0; r < n; r++) {
        load_row(t, w, rows[r], gy_net_rows(w->net) + r * cells);
    }
    const float *z = gy_net_forward(w->net, t->m->params, n, t->training ? &rng : NULL);
    take_losses(t, w, rows, n, z);
    if (t->training) {
        gy_net_backward(w->net, t->m->params, n, w->gradient);
    }
}

/* ---- rows: as many shards at once as there are workers, their sums in order ---- */

static void add_gradient(struct trainer *t, const float *g, bool first)
{
    size_t n = t->m->spec.n_params, i = 0;
    if (first) {
        memcpy(t->gradient, g, n * sizeof *g);
        return;
    }
    for (; i + GY_LANES <= n; i += GY_LANES) {
        gy_lanes_store(t->gradient + i, gy_lanes_load(t->gradient + i) + gy_lanes_load(g + i));
    }
    for (; i < n; i++) {
        t->gradient[i] += g[i];
    }
}

static gy_status run_rows(struct trainer *t, const uint32_t *rows, size_t n, double *loss,
                          size_t *hits, struct gy_err *err)
{
    size_t n_shards = (n + t->shard - 1) / t->shard;
    t->rows = rows;
    t->n_rows = n;
    for (t->first_shard = 0; t->first_shard < n_shards; t->first_shard += t->n_workers) {
        size_t left = n_shards - t->first_shard;
        size_t k = left < t->n_workers ? left : t->n_workers;
        GY_TRY(gy_parallel((int)t->n_workers, k, run_shard, t, err));
        for (size_t i = 0; i < k; i++) {
            *loss += t->workers[i].loss;
            *hits += t->workers[i].hits;
            if (t->training) {
                add_gradient(t, t->workers[i].gradient, t->first_shard + i == 0);
            }
        }
    }
    return GY_OK;
}

/* ---- epochs ---- */

static void shuffle(const struct trainer *t, uint32_t *rows, size_t n)
{
    struct gy_rng rng;
    gy_rng_init_stream(&rng, stream_seed(t, STREAM_ORDER), t->epoch);
    for (size_t i = n; i > 1; i--) {
        size_t j = gy_rng_below(&rng, i);
        uint32_t swap = rows[i - 1];
        rows[i - 1] = rows[j];
        rows[j] = swap;
    }
}

static double rate_of(const struct trainer *t)
{
    const double pi = 3.14159265358979323846;
    const struct gy_net_plan *p = t->plan;
    return p->cosine ? p->rate / 2 * (1 + cos(pi * (double)t->epoch / p->epochs)) : p->rate;
}

static gy_status diverged(const struct trainer *t, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "the network's training diverged in epoch %llu",
                     (unsigned long long)t->epoch + 1);
    return gy_err_hint(err, "use a smaller rate, or scale the features (scale: zscore)");
}

/* The weights of rows[0..n) add up to this. */
static double weight_of(const struct trainer *t, const uint32_t *rows, size_t n)
{
    double sum = 0;
    for (size_t i = 0; t->data->weight && i < n; i++) {
        sum += t->data->weight[rows[i]];
    }
    return t->data->weight ? sum : (double)n;
}

static void set_means(const struct trainer *t, double loss, size_t hits, const uint32_t *rows,
                      size_t n, double *ret_loss, double *ret_accuracy)
{
    double weight = weight_of(t, rows, n);
    *ret_loss = n && weight > 0 ? loss / weight : NAN;
    *ret_accuracy = n && t->m->spec.head != GY_NET_IDENTITY ? (double)hits / (double)n : NAN;
}

static gy_status run_epoch(struct trainer *t, struct gy_adam *adam, struct gy_epoch *e,
                           struct gy_err *err)
{
    double loss = 0;
    size_t hits = 0, batch = (size_t)t->plan->batch;
    e->rate = rate_of(t);
    shuffle(t, t->train, t->n_train);
    t->training = true;
    for (size_t at = 0; at < t->n_train; at += batch, t->step++) {
        size_t n = t->n_train - at < batch ? t->n_train - at : batch;
        GY_TRY(run_rows(t, t->train + at, n, &loss, &hits, err));
        gy_adam_step(adam, e->rate, t->gradient, t->m->params);
    }
    set_means(t, loss, hits, t->train, t->n_train, &e->loss, &e->accuracy);
    loss = 0;
    hits = 0;
    t->training = false;
    GY_TRY(run_rows(t, t->validation, t->n_validation, &loss, &hits, err));
    set_means(t, loss, hits, t->validation, t->n_validation, &e->val_loss, &e->val_accuracy);
    return isfinite(e->loss) ? GY_OK : diverged(t, err);
}

static gy_status run_epochs(struct trainer *t, struct gy_history *history, struct gy_err *err)
{
    GY_AUTO(gy_adam_free) struct gy_adam *adam = NULL;
    GY_TRY(gy_adam_new(&t->m->spec, t->plan->decay, &adam, err));
    size_t n_bytes = t->m->spec.n_params * sizeof(float);
    double best = INFINITY;
    for (t->epoch = 0; t->epoch < (uint64_t)t->plan->epochs; t->epoch++) {
        struct gy_epoch e = {.rate = 0};
        GY_TRY(run_epoch(t, adam, &e, err));
        GY_TRY(gy_history_add(history, &e, err));
        if (t->plan->on_round) {
            t->plan->on_round(t->plan->ctx, (int64_t)t->epoch + 1);
        }
        bool better = t->n_validation == 0 || e.val_loss < best || t->epoch == 0;
        if (better) {
            best = e.val_loss;
            history->best = t->epoch;
            memcpy(t->best, t->m->params, n_bytes);
        } else if (t->epoch - history->best >= (uint64_t)t->plan->patience) {
            break;
        }
    }
    memcpy(t->m->params, t->best, n_bytes);
    for (size_t i = 0; i < t->m->spec.n_params; i++) {
        if (!isfinite(t->m->params[i])) { /* in the last batch: its loss was taken before */
            return diverged(t, err);
        }
    }
    return GY_OK;
}

/* ---- before the first epoch ---- */

/* Rows into train and validation; those of weight 0 take no part. */
static gy_status divide(struct trainer *t, struct gy_err *err)
{
    uint64_t seed = stream_seed(t, STREAM_VALIDATION);
    for (int share = 1; share >= 0; share--) { /* once more without, when too few are set aside */
        t->n_train = t->n_validation = 0;
        for (size_t i = 0; i < t->data->n_rows; i++) {
            struct gy_rng rng;
            gy_rng_init_stream(&rng, seed, i);
            if (t->data->weight && !(t->data->weight[i] > 0)) {
                continue;
            }
            bool real = i < t->data->n_rows - t->data->n_made_up;
            if (share && real && gy_rng_f64(&rng) < t->plan->validation) {
                t->validation[t->n_validation++] = (uint32_t)i;
            } else {
                t->train[t->n_train++] = (uint32_t)i;
            }
        }
        if (t->n_validation >= GY_NET_MIN_VALIDATION && t->n_train > 0) {
            break;
        }
    }
    if (t->n_train == 0) {
        return gy_err_set(err, GY_E_INVALID, "a network needs a row of weight above 0 to train on");
    }
    t->mean_weight = weight_of(t, t->train, t->n_train) / (double)t->n_train;
    return GY_OK;
}

/* Mean and standard deviation of n numbers, from sums around the first of them. */
struct moments {
    double first, sum, squares;
    size_t n;
};

static void add_number(struct moments *m, double v)
{
    m->first = m->n++ ? m->first : v;
    m->sum += v - m->first;
    m->squares += (v - m->first) * (v - m->first);
}

/* sd: 1 where it is none. */
static void mean_and_sd(const struct moments *m, double *mean, double *sd)
{
    double d = m->sum / (double)m->n;
    double variance = m->squares / (double)m->n - d * d;
    *mean = m->first + d;
    *sd = sqrt(variance > 0 ? variance : 0);
    *sd = isfinite(*sd) && *sd > 1e-12 * fabs(*mean) && *sd > 0 ? *sd : 1;
}

static void standardise_input(const struct trainer *t)
{
    struct gy_net_shape in = t->m->spec.input;
    size_t cells = gy_net_cells(in);
    for (size_t c = 0; c < in.channels; c++) {
        struct moments m = {.n = 0};
        for (size_t i = 0; i < t->n_train; i++) {
            const double *x = t->data->x + (size_t)t->train[i] * cells;
            for (size_t k = c; k < cells; k += in.channels) {
                add_number(&m, x[k]);
            }
        }
        double mean = 0, sd = 1;
        mean_and_sd(&m, &mean, &sd);
        t->m->shift[c] = (float)mean;
        t->m->scale[c] = (float)(1 / sd);
    }
}

static void standardise_target(const struct trainer *t)
{
    struct moments m = {.n = 0};
    for (size_t i = 0; i < t->n_train; i++) {
        add_number(&m, t->data->y[t->train[i]]);
    }
    mean_and_sd(&m, &t->m->out_shift, &t->m->out_scale);
}

static gy_status make_workers(struct trainer *t, struct gy_err *err)
{
    const struct gy_net_spec *s = &t->m->spec;
    bool picture = s->layers[0].kind == GY_NET_CONV;
    t->shard = picture ? SHARD_PICTURES : SHARD_ROWS;
    size_t n = gy_net_work_of(s) * (double)t->shard < WORK_FOR_THREADS || t->plan->n_threads < 1
                   ? 1
                   : (size_t)t->plan->n_threads;
    size_t useful = ((size_t)t->plan->batch + t->shard - 1) / t->shard;
    n = n > useful ? useful : n;
    n = n > MAX_WORKERS ? MAX_WORKERS : n;
    for (; t->n_workers < n; t->n_workers++) {
        struct worker *w = &t->workers[t->n_workers];
        GY_TRY(gy_net_new(s, t->shard, &w->net, err));
        w->gradient = gy_reallocarray(NULL, s->n_params, sizeof *w->gradient);
        w->cells = gy_reallocarray(NULL, gy_net_cells(s->input), sizeof *w->cells);
        if (!w->gradient || !w->cells) {
            t->n_workers++; /* frees what there is of it */
            return gy_err_set(err, GY_E_NOMEM, "training a network");
        }
    }
    return GY_OK;
}

static gy_status allocate(struct trainer *t, struct gy_err *err)
{
    size_t n_params = t->m->spec.n_params, rows = t->data->n_rows;
    t->memory = gy_reallocarray(NULL, 2 * (n_params + rows), sizeof(float));
    if (!t->memory) {
        return gy_err_set(err, GY_E_NOMEM, "training a network");
    }
    t->gradient = (float *)(void *)t->memory;
    t->best = t->gradient + n_params;
    t->train = (uint32_t *)(void *)(t->best + n_params);
    t->validation = t->train + rows;
    return GY_OK;
}

static gy_status train(struct trainer *t, struct gy_history *history, struct gy_err *err)
{
    GY_TRY(allocate(t, err));
    GY_TRY(divide(t, err));
    GY_TRY(make_workers(t, err));
    if (t->plan->standardise) {
        standardise_input(t);
    }
    if (t->m->spec.head == GY_NET_IDENTITY) {
        standardise_target(t);
    }
    gy_net_init_params(&t->m->spec, stream_seed(t, STREAM_INIT), t->m->params);
    return run_epochs(t, history, err);
}

gy_status gy_net_train(const struct gy_net_spec *spec, const struct gy_net_data *data,
                       const struct gy_net_plan *plan, struct gy_net_model *ret,
                       struct gy_history *history, struct gy_err *err)
{
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {.shift = NULL};
    GY_TRY(gy_net_model_init(spec, &m, err));
    struct trainer *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return gy_err_set(err, GY_E_NOMEM, "training a network");
    }
    t->data = data;
    t->plan = plan;
    t->m = &m;
    gy_status status = train(t, history, err);
    for (size_t i = 0; i < t->n_workers; i++) {
        gy_net_free(t->workers[i].net);
        gy_free(t->workers[i].gradient);
        gy_free(t->workers[i].cells);
    }
    gy_free(t->memory);
    gy_free(t);
    if (status == GY_OK) {
        *ret = m;
        m.shift = NULL; /* handed over */
    }
    return status;
}
