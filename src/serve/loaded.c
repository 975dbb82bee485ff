/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/loaded.h"

#include "base/limits.h"
#include "base/mem.h"
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

gy_status gy_loaded_open(const char *package_dir, struct gy_str digest, struct gy_loaded **ret,
                         struct gy_err *err)
{
    GY_AUTO(gy_loaded_unref) struct gy_loaded *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "loading a model");
    }
    atomic_init(&l->refs, 1);
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
    gy_predictor_free(l->predictor);
    gy_free(l);
}
