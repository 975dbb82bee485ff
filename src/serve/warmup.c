/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/warmup.h"

#include <math.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/example.h"
#include "serve/endpoint.h"

#define ROUNDS 5 /* of which the best counts */

/* Memory of one warm-up. */
struct warming {
    const struct gy_predictor *p;
    const struct gy_predictor_info *info;
    char *memory;
    void *scratch;
    double *in, *out;
};

static void warming_done(struct warming *w)
{
    gy_free(w->memory);
}
GY_DEFINE_AUTO_DONE(struct warming, warming_done);

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static gy_status warming_init(struct warming *w, const struct gy_predictor *p, size_t scratch_bytes,
                              struct gy_err *err)
{
    w->p = p;
    w->info = gy_predictor_info(p);
    size_t out = aligned(GY_ENDPOINT_CHUNK * w->info->n_outputs * sizeof(double));
    size_t in = GY_ENDPOINT_CHUNK * w->info->n_cells * sizeof(double);
    w->memory = gy_calloc(1, aligned(scratch_bytes) + out + in + 64);
    if (!w->memory) {
        return gy_err_set(err, GY_E_NOMEM, "loading a model");
    }
    char *at = w->memory + (64 - ((uintptr_t)w->memory & 63));
    w->scratch = at;
    w->out = (double *)(void *)(at + aligned(scratch_bytes));
    w->in = (double *)(void *)(at + aligned(scratch_bytes) + out);
    return GY_OK;
}

/* Values spread over what training saw. */
static void fill_rows(const struct warming *w)
{
    double *in = w->in;
    for (size_t row = 0; row < GY_ENDPOINT_CHUNK; row++) {
        double share = (double)row / GY_ENDPOINT_CHUNK;
        for (size_t i = 0; i < w->info->n_inputs; i++) {
            const struct gy_predictor_input *input = &w->info->inputs[i];
            bool known = isfinite(input->min) && isfinite(input->max);
            double v = known ? input->min + (input->max - input->min) * share : share;
            for (size_t k = 0; k < input->width; k++) {
                *in++ = input->kind == GY_INPUT_TEXT ? 0 : v;
            }
        }
    }
}

/* How many of the rows got finite numbers only. */
static size_t finite_rows(const struct warming *w, size_t n)
{
    size_t good = 0;
    for (size_t row = 0; row < n; row++) {
        bool finite = true;
        for (size_t k = 0; k < w->info->n_outputs; k++) {
            finite = finite && isfinite(w->out[row * w->info->n_outputs + k]);
        }
        good += finite;
    }
    return good;
}

/* The example itself, where there is one that can be read: registering has judged it. */
static gy_status try_example(const struct warming *w, struct gy_warmup *ret, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    if (!w->info->input_example.p) {
        return GY_OK;
    }
    if (gy_example_cells(w->info, w->in, &why) != GY_OK) {
        gy_log_err(GY_LOG_INFO, "serve", "a model is not warmed up by its example", &why);
        return GY_OK;
    }
    gy_predictor_run(w->p, w->in, 1, w->out, w->scratch);
    ret->rows++;
    ret->example = true;
    return finite_rows(w, 1) == 1
               ? GY_OK
               : gy_err_set(err, GY_E_NOTSERVABLE,
                            "the model gives no finite number for its own input example");
}

/* ns of the fastest of a few runs of n rows. */
static double best_of(const struct warming *w, size_t n, struct gy_warmup *ret)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = gy_mono_ns();
        gy_predictor_run(w->p, w->in, n, w->out, w->scratch);
        int64_t took = gy_mono_ns() - start;
        best = took < best ? took : best;
    }
    ret->rows += ROUNDS * n;
    return best > 0 ? (double)best : 1;
}

gy_status gy_warmup_run(const struct gy_predictor *p, size_t scratch_bytes, struct gy_warmup *ret,
                        struct gy_err *err)
{
    GY_AUTO_DONE(warming_done) struct warming w = {0};
    int64_t start = gy_mono_ns();
    *ret = (struct gy_warmup){.rows = 0};
    GY_TRY(warming_init(&w, p, scratch_bytes, err));
    GY_TRY(try_example(&w, ret, err));
    fill_rows(&w);
    ret->row_ns = best_of(&w, GY_ENDPOINT_CHUNK, ret) / GY_ENDPOINT_CHUNK;
    if (finite_rows(&w, GY_ENDPOINT_CHUNK) == 0) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "the model gives no finite number for any of %d rows within the bounds "
                          "that training saw",
                          GY_ENDPOINT_CHUNK);
    }
    ret->single_ns = best_of(&w, 1, ret);
    ret->took_ns = (double)(gy_mono_ns() - start);
    return GY_OK;
}

void gy_warmup_write(struct gy_jw *w, const struct gy_warmup *u)
{
    gy_jw_kv_i64(w, "rows", (int64_t)u->rows);
    gy_jw_kv_bool(w, "example", u->example);
    gy_jw_kv_f64(w, "single_us", u->single_ns / 1e3);
    gy_jw_kv_f64(w, "row_us", u->row_ns / 1e3);
    gy_jw_kv_f64(w, "took_ms", u->took_ns / 1e6);
}
