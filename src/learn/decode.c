/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/decode.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "learn/cells.h"

struct code {
    double logged;
    uint32_t index;
};

struct gy_decoder {
    const struct gy_predictor_input *inputs;
    size_t n_inputs, n_pixels;
    struct code **codes; /* a text's vocabulary by logged value, ascending; else NULL */
};

static int compare_codes(const void *a, const void *b)
{
    double x = ((const struct code *)a)->logged;
    double y = ((const struct code *)b)->logged;
    return (x > y) - (x < y);
}

static bool is_vocabulary(const struct gy_predictor_input *in)
{
    return in->kind == GY_INPUT_TEXT && !in->hashed;
}

static gy_status make_codes(const struct gy_predictor_input *in, struct gy_arena *a,
                            struct code **ret, struct gy_err *err)
{
    struct code *codes = gy_arena_calloc(a, in->n_values + 1, sizeof *codes);
    if (!codes) {
        return gy_err_set(err, GY_E_NOMEM, "the vocabulary of an input");
    }
    for (size_t i = 0; i < in->n_values; i++) {
        codes[i].index = (uint32_t)i;
        GY_TRY(gy_cell_logged(in, in->values[i], &codes[i].logged, err));
    }
    qsort(codes, in->n_values, sizeof *codes, compare_codes);
    *ret = codes;
    return GY_OK;
}

gy_status gy_decoder_new(const struct gy_predictor_input *inputs, size_t n_inputs,
                         struct gy_arena *a, struct gy_decoder **ret, struct gy_err *err)
{
    bool needed = false;
    *ret = NULL;
    for (size_t i = 0; i < n_inputs; i++) {
        needed = needed || is_vocabulary(&inputs[i]) || inputs[i].kind == GY_INPUT_IMAGE;
    }
    if (!needed) {
        return GY_OK;
    }
    struct gy_decoder *d = gy_arena_calloc(a, 1, sizeof *d);
    struct code **codes = gy_arena_calloc(a, n_inputs + 1, sizeof *codes);
    if (!d || !codes) {
        return gy_err_set(err, GY_E_NOMEM, "the vocabulary of an input");
    }
    *d = (struct gy_decoder){.inputs = inputs, .n_inputs = n_inputs, .codes = codes};
    for (size_t i = 0; i < n_inputs; i++) {
        d->n_pixels += inputs[i].kind == GY_INPUT_IMAGE ? inputs[i].width : 0;
        if (is_vocabulary(&inputs[i])) {
            GY_TRY(make_codes(&inputs[i], a, &codes[i], err));
        }
    }
    *ret = d;
    return GY_OK;
}

size_t gy_decoder_find(const struct gy_decoder *d, size_t i, double logged)
{
    const struct code *codes = d->codes[i];
    size_t low = 0, high = codes ? d->inputs[i].n_values : 0;
    size_t n = high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (codes[mid].logged < logged) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < n && codes[low].logged == logged ? codes[low].index : SIZE_MAX;
}

bool gy_decoder_unseen(const struct gy_decoder *d, size_t i, double logged)
{
    return d->codes[i] && !isnan(logged) && gy_decoder_find(d, i, logged) == SIZE_MAX;
}

void gy_decoder_row(const struct gy_decoder *d, const double *logged, const double *pixels,
                    double *cells)
{
    for (size_t i = 0; i < d->n_inputs; i++) {
        const struct gy_predictor_input *in = &d->inputs[i];
        if (in->kind == GY_INPUT_IMAGE) {
            for (size_t k = 0; k < in->width; k++) {
                *cells++ = pixels ? *pixels++ : NAN;
            }
            continue;
        }
        double v = logged[i];
        if (d->codes[i] && !isnan(v)) {
            size_t at = gy_decoder_find(d, i, v);
            v = at == SIZE_MAX ? GY_CELL_UNSEEN : (double)at;
        }
        *cells++ = v;
    }
}

size_t gy_decoder_pixels(const struct gy_decoder *d)
{
    return d->n_pixels;
}
