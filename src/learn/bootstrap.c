/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/bootstrap.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/pool.h"

#define CHUNKS 16 /* replicates are dealt to this many pieces of work */

/* What a thread works in; as many as can run at once. */
struct slot {
    atomic_flag busy;
    uint32_t *count; /* n_rows */
    double *mass;    /* n_rows */
    double *out;     /* n_values */
    void *room;
};

struct run {
    const struct gy_bootstrap *b;
    double *results;
    struct slot slots[CHUNKS];
    size_t n_slots;
    char *memory;
};

static size_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static gy_status allocate(struct run *r, struct gy_err *err)
{
    const struct gy_bootstrap *b = r->b;
    size_t doubles = (b->n_rows + b->n_values) * sizeof(double);
    size_t each = doubles + rounded(b->room_bytes) + rounded(b->n_rows * sizeof(uint32_t));
    r->n_slots = b->n_threads < 1 ? 1 : b->n_threads < CHUNKS ? (size_t)b->n_threads : CHUNKS;
    r->memory = gy_reallocarray(NULL, r->n_slots, each);
    if (!r->memory) {
        return gy_err_set(err, GY_E_NOMEM, "intervals over %zu rows", b->n_rows);
    }
    for (size_t i = 0; i < r->n_slots; i++) {
        struct slot *s = &r->slots[i];
        char *at = r->memory + i * each;
        s->mass = (double *)(void *)at;
        s->out = s->mass + b->n_rows;
        s->room = at + doubles;
        s->count = (uint32_t *)(void *)(at + doubles + rounded(b->room_bytes));
        atomic_flag_clear(&s->busy);
    }
    return GY_OK;
}

/* There is always a free one: no more threads than slots run at once. */
static struct slot *take_slot(struct run *r)
{
    for (size_t i = 0;; i = (i + 1) % r->n_slots) {
        if (!atomic_flag_test_and_set(&r->slots[i].busy)) {
            return &r->slots[i];
        }
    }
}

static void draw(const struct gy_bootstrap *b, size_t replicate, struct slot *s)
{
    struct gy_rng rng;
    gy_rng_init_stream(&rng, b->seed, replicate);
    memset(s->count, 0, b->n_rows * sizeof *s->count);
    for (size_t i = 0; i < b->n_rows; i++) {
        s->count[gy_rng_below(&rng, b->n_rows)]++;
    }
    for (size_t i = 0; i < b->n_rows; i++) {
        s->mass[i] = s->count[i];
    }
    if (b->weight) {
        for (size_t i = 0; i < b->n_rows; i++) {
            s->mass[i] *= b->weight[i];
        }
    }
}

static void run_chunk(void *ctx, size_t chunk)
{
    struct run *r = ctx;
    const struct gy_bootstrap *b = r->b;
    struct slot *s = take_slot(r);
    for (size_t k = chunk; k < b->replicates; k += CHUNKS) {
        draw(b, k, s);
        b->pass(b->ctx, s->mass, s->room, s->out);
        for (size_t v = 0; v < b->n_values; v++) {
            r->results[v * b->replicates + k] = s->out[v];
        }
    }
    atomic_flag_clear(&s->busy);
}

gy_status gy_bootstrap_run(const struct gy_bootstrap *b, double *results, struct gy_err *err)
{
    struct run r = {.b = b, .results = results};
    if (b->replicates == 0 || b->n_rows == 0) {
        return GY_OK;
    }
    GY_TRY(allocate(&r, err));
    gy_status status = gy_parallel((int)r.n_slots, CHUNKS, run_chunk, &r, err);
    gy_free(r.memory);
    return status;
}

double *gy_doubles_new(size_t n, size_t each)
{
    return n && each ? (double *)(void *)gy_reallocarray(NULL, n, each * sizeof(double)) : NULL;
}

void gy_doubles_free(double *p)
{
    gy_free(p);
}

/* ---- intervals ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double gy_quantile_of_sorted(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    double next = i + 1 < n ? sorted[i + 1] : sorted[i];
    return sorted[i] + (at - (double)i) * (next - sorted[i]);
}

void gy_bootstrap_interval(double *v, size_t n, double *ret_low, double *ret_high)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(v[i])) {
            v[kept++] = v[i];
        }
    }
    *ret_low = *ret_high = NAN;
    if (kept * 2 >= n && kept > 0) {
        qsort(v, kept, sizeof *v, compare_doubles);
        *ret_low = gy_quantile_of_sorted(v, kept, 0.025);
        *ret_high = gy_quantile_of_sorted(v, kept, 0.975);
    }
}
