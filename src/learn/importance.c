/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/importance.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/pool.h"
#include "learn/bootstrap.h"
#include "learn/cells.h"
#include "learn/runtime/runtime.h"

#define MAX_ARENA (64 * GY_MIB)

/* One measurement; arrays by gy_free. */
struct job {
    const struct gy_predictor *p;
    const struct gy_predictor_info *info;
    const struct gy_importance_options *o;
    struct gy_scored scored; /* the rows that are used */
    double *cells;           /* n x n_cells */
    double *losses;          /* [input][repeat]: the metric with that input mixed up */
    size_t n, repeats;
    const char *metric;
    atomic_int failed; /* a gy_status */
    atomic_llong done;
    atomic_flag telling;
};

static const char *usual_metric(enum gy_task task)
{
    switch (task) {
    case GY_TASK_BINARY:
        return "auc";
    case GY_TASK_MULTICLASS:
        return "log_loss";
    case GY_TASK_REGRESSION:
        return "rmse";
    }
    return "rmse";
}

/* Fisher and Yates. */
static void shuffle(uint32_t *order, size_t n, struct gy_rng *r)
{
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = gy_rng_below(r, i);
        uint32_t t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
}

/* Where the cells of an input stand in a row. */
static size_t first_cell(const struct gy_predictor_info *info, size_t input)
{
    size_t at = 0;
    for (size_t i = 0; i < input; i++) {
        at += info->inputs[i].width;
    }
    return at;
}

/* The answers when the cells [at, at + width) of row i are those of row order[i]. */
static void predict_mixed(const struct job *j, const uint32_t *order, size_t at, size_t width,
                          double *block, void *scratch, double *out)
{
    size_t nc = j->info->n_cells;
    for (size_t first = 0; first < j->n; first += GY_RUNTIME_BLOCK) {
        size_t n = j->n - first < GY_RUNTIME_BLOCK ? j->n - first : GY_RUNTIME_BLOCK;
        memcpy(block, j->cells + first * nc, n * nc * sizeof *block);
        for (size_t i = 0; order && i < n; i++) {
            memcpy(block + i * nc + at, j->cells + order[first + i] * nc + at,
                   width * sizeof *block);
        }
        gy_predictor_run(j->p, block, n, out + first * j->info->n_outputs, scratch);
    }
}

static gy_status measure(const struct job *j, const double *out, double *ret, struct gy_err *err)
{
    struct gy_metrics m;
    struct gy_scored s = j->scored;
    s.out = out;
    GY_TRY(gy_metrics_compute(&s, 0, 0, 1, &m, err));
    const struct gy_metric *found = gy_metrics_get(&m, gy_str_c(j->metric));
    if (!found) {
        return gy_err_set(err, GY_E_INVALID, "there is no metric '%s' of this task", j->metric);
    }
    *ret = found->value;
    return GY_OK;
}

/* Input `index / repeats`, repeat `index % repeats`; SIZE_MAX: nothing is mixed up. */
static gy_status mix_one(const struct job *j, size_t index, double *ret, struct gy_err *err)
{
    size_t scratch_bytes = gy_predictor_scratch(j->p, GY_RUNTIME_BLOCK);
    size_t doubles = GY_RUNTIME_BLOCK * j->info->n_cells + j->n * j->info->n_outputs;
    GY_AUTO(gy_free) char *scratch = gy_malloc(scratch_bytes + 63);
    GY_AUTO(gy_free)
    char *room = gy_malloc(doubles * sizeof(double) + j->n * sizeof(uint32_t));
    if (!scratch || !room) {
        return gy_err_set(err, GY_E_NOMEM, "the importance of inputs");
    }
    double *block = (double *)(void *)room;
    double *out = block + GY_RUNTIME_BLOCK * j->info->n_cells;
    uint32_t *order = (uint32_t *)(void *)(block + doubles);
    void *aligned = (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    if (index == SIZE_MAX) {
        predict_mixed(j, NULL, 0, 0, block, aligned, out);
        return measure(j, out, ret, err);
    }
    size_t input = index / j->repeats;
    struct gy_rng r;
    gy_rng_init_stream(&r, j->o->seed, index);
    shuffle(order, j->n, &r);
    predict_mixed(j, order, first_cell(j->info, input), j->info->inputs[input].width, block,
                  aligned, out);
    return measure(j, out, ret, err);
}

static void run_one(void *ctx, size_t index)
{
    struct job *j = ctx;
    gy_status status = mix_one(j, index, &j->losses[index], NULL);
    if (status != GY_OK) {
        atomic_store(&j->failed, (int)status);
    }
    long long done = atomic_fetch_add(&j->done, 1) + 1;
    if (j->o->on_input && !atomic_flag_test_and_set(&j->telling)) {
        j->o->on_input(j->o->ctx, done / (long long)j->repeats);
        atomic_flag_clear(&j->telling);
    }
}

static void sum_up(const struct job *j, double base, struct gy_importance *ret)
{
    for (size_t i = 0; i < ret->n; i++) {
        struct gy_input_importance *x = &ret->items[i];
        double *v = j->losses + i * j->repeats;
        double mean = 0;
        double squares = 0;
        for (size_t r = 0; r < j->repeats; r++) {
            v[r] = gy_metric_gain(j->metric, base, v[r]);
            mean += v[r] / (double)j->repeats;
        }
        for (size_t r = 0; r < j->repeats; r++) {
            squares += (v[r] - mean) * (v[r] - mean);
        }
        x->name = j->info->inputs[i].name;
        x->value = mean;
        x->sd = j->repeats > 1 ? sqrt(squares / (double)(j->repeats - 1)) : NAN;
        gy_bootstrap_interval(v, j->repeats, &x->low, &x->high);
    }
}

/* The rows that are used: all that were kept, or every n-th. */
static gy_status take_rows(struct job *j, const struct gy_table *t, const struct gy_eval *e,
                           uint32_t *rows, double *truth, double *weight, struct gy_err *err)
{
    for (size_t i = 0; i < j->n; i++) {
        size_t at = j->n > 1 ? i * (e->n_rows - 1) / (j->n - 1) : 0;
        rows[i] = e->rows[at];
        truth[i] = e->scored.truth[at];
        weight[i] = e->scored.weight ? e->scored.weight[at] : 1;
    }
    j->scored = e->scored;
    j->scored.n_rows = j->n;
    j->scored.truth = truth;
    j->scored.weight = e->scored.weight ? weight : NULL;
    return gy_cells_of_table(j->info->inputs, j->info->n_inputs, t, rows, j->n, j->cells, err);
}

static gy_status mix_all(struct job *j, struct gy_importance *ret, struct gy_err *err)
{
    GY_TRY(mix_one(j, SIZE_MAX, &ret->base, err));
    if (isnan(ret->base)) {
        return gy_err_set(err, GY_E_INVALID, "%s can not be told on these rows", j->metric);
    }
    GY_TRY(gy_parallel(j->o->n_threads, ret->n * j->repeats, run_one, j, err));
    gy_status failed = (gy_status)atomic_load(&j->failed);
    if (failed != GY_OK) {
        return gy_err_set(err, failed, "measuring the importance of inputs");
    }
    sum_up(j, ret->base, ret);
    return GY_OK;
}

gy_status gy_importance_of(const struct gy_predictor *p, const struct gy_table *t,
                           const struct gy_eval *e, const struct gy_importance_options *o,
                           struct gy_importance *ret, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(p);
    size_t n = o->max_rows && o->max_rows < e->n_rows ? o->max_rows : e->n_rows;
    memset(ret, 0, sizeof *ret);
    if (!e->kept || o->repeats < 1 || o->repeats > GY_IMPORTANCE_MAX_REPEATS) {
        return gy_err_set(err, GY_E_INVALID, "importance takes kept rows and 1 to %d repeats",
                          GY_IMPORTANCE_MAX_REPEATS);
    }
    GY_AUTO(gy_doubles_free) double *cells = gy_doubles_new(n, info->n_cells + 2);
    GY_AUTO(gy_doubles_free) double *losses = gy_doubles_new(info->n_inputs, o->repeats);
    GY_AUTO(gy_free) char *rows = gy_reallocarray(NULL, n, sizeof(uint32_t));
    gy_arena_init(&ret->arena, MAX_ARENA);
    ret->items = gy_arena_calloc(&ret->arena, info->n_inputs + 1, sizeof *ret->items);
    char *metric = o->metric.p ? gy_arena_strdup(&ret->arena, o->metric) : NULL;
    struct job j = {.p = p,
                    .info = info,
                    .o = o,
                    .cells = cells,
                    .losses = losses,
                    .n = n,
                    .repeats = o->repeats,
                    .metric = metric ? metric : usual_metric(info->task),
                    .telling = ATOMIC_FLAG_INIT};
    gy_status status = GY_OK;
    if (!cells || !losses || !rows || !ret->items || (o->metric.p && !metric)) {
        status = gy_err_set(err, GY_E_NOMEM, "the importance of inputs");
    } else {
        ret->metric = j.metric;
        ret->n_rows = n;
        ret->repeats = o->repeats;
        ret->n = info->n_inputs;
        status = take_rows(&j, t, e, (uint32_t *)(void *)rows, cells + n * info->n_cells,
                           cells + n * (info->n_cells + 1), err);
    }
    if (status == GY_OK) {
        status = mix_all(&j, ret, err);
    }
    if (status != GY_OK) {
        gy_importance_done(ret);
    }
    return status;
}

void gy_importance_done(struct gy_importance *i)
{
    if (i) {
        gy_arena_done(&i->arena);
        i->items = NULL;
        i->n = 0;
    }
}

void gy_importance_order(const struct gy_importance *i, uint32_t *order)
{
    for (size_t k = 0; k < i->n; k++) { /* insertion: there are few inputs */
        size_t at = k;
        for (; at > 0 && i->items[order[at - 1]].value < i->items[k].value; at--) {
            order[at] = order[at - 1];
        }
        order[at] = (uint32_t)k;
    }
}

static void number_or_null(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

void gy_importance_write(struct gy_jw *w, const struct gy_importance *i)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, i->n + 1, sizeof(uint32_t));
    uint32_t *order = (uint32_t *)(void *)room;
    if (order) {
        gy_importance_order(i, order);
    }
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "metric", i->metric);
    gy_jw_kv_f64(w, "base", i->base);
    gy_jw_kv_i64(w, "rows", (int64_t)i->n_rows);
    gy_jw_kv_i64(w, "repeats", (int64_t)i->repeats);
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t k = 0; k < i->n; k++) {
        const struct gy_input_importance *x = &i->items[order ? order[k] : k];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", x->name);
        number_or_null(w, "value", x->value);
        number_or_null(w, "sd", x->sd);
        number_or_null(w, "low", x->low);
        number_or_null(w, "high", x->high);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}
