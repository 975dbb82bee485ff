/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/loaded.h"

#include <math.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/endpoint.h"

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* Values spread over what training saw. */
static void fill_rows(const struct gy_predictor_info *info, double *in)
{
    for (size_t row = 0; row < GY_ENDPOINT_CHUNK; row++) {
        double share = (double)row / GY_ENDPOINT_CHUNK;
        for (size_t i = 0; i < info->n_inputs; i++) {
            const struct gy_predictor_input *input = &info->inputs[i];
            bool known = isfinite(input->min) && isfinite(input->max);
            double v = known ? input->min + (input->max - input->min) * share : share;
            for (size_t k = 0; k < input->width; k++) {
                *in++ = input->kind == GY_INPUT_TEXT ? 0 : v;
            }
        }
    }
}

/* Time per row of a full chunk, the best of a few: what decides where a request is answered. */
static gy_status measure(struct gy_loaded *l, struct gy_err *err)
{
    const struct gy_predictor_info *info = l->info;
    l->scratch_bytes = aligned(gy_predictor_scratch(l->predictor, GY_ENDPOINT_CHUNK));
    if (info->blocks) { /* asking would need an upstream that answers, and measure that */
        l->row_ns = GY_LANE_PAYS_NS;
        return GY_OK;
    }
    size_t raw = aligned(GY_ENDPOINT_CHUNK * info->n_outputs * sizeof(double));
    size_t rows = GY_ENDPOINT_CHUNK * info->n_cells * sizeof(double);
    char *memory = gy_calloc(1, l->scratch_bytes + raw + rows + 64);
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "loading a model");
    }
    char *at = memory + (64 - ((uintptr_t)memory & 63));
    double *out = (double *)(void *)(at + l->scratch_bytes);
    double *in = (double *)(void *)(at + l->scratch_bytes + raw);
    fill_rows(info, in);
    int64_t best = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        int64_t start = gy_mono_ns();
        gy_predictor_run(l->predictor, in, GY_ENDPOINT_CHUNK, out, at);
        int64_t took = gy_mono_ns() - start;
        best = took < best ? took : best;
    }
    gy_free(memory);
    l->row_ns = (double)(best > 0 ? best : 1) / GY_ENDPOINT_CHUNK;
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
