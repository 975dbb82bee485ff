/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/loaded.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/endpoint.h"

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* What decides where a request is answered, and whether it can be. */
static gy_status measure(struct gy_loaded *l, struct gy_err *err)
{
    l->scratch_bytes = aligned(gy_predictor_scratch(l->predictor, GY_ENDPOINT_CHUNK));
    if (l->info->blocks) { /* asking would need an upstream that answers, and measure that */
        l->row_ns = GY_LANE_PAYS_NS;
        return GY_OK;
    }
    GY_TRY(gy_warmup_run(l->predictor, l->scratch_bytes, &l->warmup, err));
    l->row_ns = l->warmup.row_ns;
    return GY_OK;
}

/* What its memory is, and whether it may be taken away. */
static gy_status count(struct gy_loaded *l, const char *package_dir, struct gy_budget *budget,
                       int64_t start, struct gy_err *err)
{
    struct gy_budget_stats stats;
    l->bytes = gy_predictor_bytes(l->predictor);
    atomic_init(&l->used_ns, gy_mono_ns());
    if (!budget) {
        return GY_OK;
    }
    l->dir = gy_strdup(package_dir);
    if (!l->dir) {
        return gy_err_set(err, GY_E_NOMEM, "loading a model");
    }
    gy_budget_get_stats(budget, &stats);
    l->unloads = stats.limit && l->bytes;
    return gy_budget_enter(budget, l, (uint64_t)(gy_mono_ns() - start), err);
}

gy_status gy_loaded_open(const char *package_dir, struct gy_str digest, struct gy_budget *budget,
                         struct gy_loaded **ret, struct gy_err *err)
{
    int64_t start = gy_mono_ns();
    GY_AUTO(gy_loaded_unref) struct gy_loaded *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "loading a model");
    }
    atomic_init(&l->refs, 1);
    atomic_init(&l->holds, 0);
    GY_TRY(gy_predictor_load(package_dir, &l->predictor, err));
    l->info = gy_predictor_info(l->predictor);
    if (!gy_str_eq(l->info->digest, digest)) {
        return gy_err_set(err, GY_E_CORRUPT, "the package in %s is not the one that was registered",
                          package_dir);
    }
    if (l->info->n_inputs == 0 || l->info->n_inputs + GY_RULES_MAX_COLUMNS > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "a model with %zu inputs is not served",
                          l->info->n_inputs);
    }
    GY_TRY(measure(l, err));
    GY_TRY(count(l, package_dir, budget, start, err));
    *ret = GY_TAKE(l);
    return GY_OK;
}

struct gy_loaded *gy_loaded_ref(struct gy_loaded *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void gy_loaded_unref(struct gy_loaded *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (l->budget) {
        gy_budget_leave(l->budget, l);
    }
    gy_predictor_free(l->predictor);
    gy_free(l->dir);
    gy_free(l);
}

bool gy_loaded_try_hold(struct gy_loaded *l)
{
    if (!l->unloads) {
        return true;
    }
    /* Acquire: what was loaded is seen whole. */
    if (atomic_fetch_add_explicit(&l->holds, 1, memory_order_acquire) & GY_LOADED_AWAY) {
        atomic_fetch_sub_explicit(&l->holds, 1, memory_order_relaxed);
        return false;
    }
    atomic_store_explicit(&l->used_ns, gy_mono_ns(), memory_order_relaxed);
    return true;
}

gy_status gy_loaded_hold(struct gy_loaded *l, struct gy_err *err)
{
    if (!gy_loaded_try_hold(l)) {
        GY_TRY(gy_budget_load(l->budget, l, err));
        atomic_store_explicit(&l->used_ns, gy_mono_ns(), memory_order_relaxed);
    }
    return GY_OK;
}

void gy_loaded_release(struct gy_loaded *l)
{
    if (l->unloads) {
        /* Release: whoever unloads it does so after it was read. */
        atomic_fetch_sub_explicit(&l->holds, 1, memory_order_release);
    }
}
