/* SPDX-License-Identifier: Apache-2.0 */
/* hash: a text of many values becomes a few columns; its hash says which one gets the 1 (Weinberger
 * et al. 2009, feature hashing; with `sign` +1 or -1, so that collisions cancel on average). Needs
 * no vocabulary, so that nothing is unseen. */
#include <math.h>

#include "base/mem.h"
#include "learn/cells.h"
#include "learn/steps/steps.h"

struct hashed {
    uint32_t buckets;
    bool sign;
    double **hashes; /* beside step->chosen: of a CATEGORY column's vocabulary; else NULL */
};

static gy_status outputs(struct gy_step *s, const struct hashed *m, struct gy_arena *a,
                         struct gy_err *err)
{
    GY_TRY(gy_step_outputs(s, s->n_in - s->n_chosen + s->n_chosen * m->buckets, a, err));
    for (size_t i = 0, k = 0, at = 0; i < s->n_in; i++) {
        if (k == s->n_chosen || s->chosen[k] != i) {
            s->out[at++] = s->in[i];
            continue;
        }
        k++;
        for (uint32_t b = 0; b < m->buckets; b++) {
            GY_TRY(gy_step_named(&s->out[at++],
                                 gy_arena_printf(a, "%" GY_STR_F "#%u", GY_STR_A(s->in[i].name), b),
                                 err));
        }
    }
    return GY_OK;
}

/* The hashes of a vocabulary follow from it: they are not written. */
static gy_status hash_vocabulary(const struct gy_step *s, struct hashed *m, struct gy_arena *a,
                                 struct gy_err *err)
{
    m->hashes = gy_arena_calloc(a, s->n_chosen + 1, sizeof *m->hashes);
    if (!m->hashes) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        const struct gy_feature *in = &s->in[s->chosen[k]];
        if (in->kind != GY_FEATURE_CATEGORY) {
            continue;
        }
        m->hashes[k] = gy_arena_calloc(a, in->n_values + 1, sizeof(double));
        if (!m->hashes[k]) {
            return gy_err_set(err, GY_E_NOMEM, "a feature step");
        }
        for (size_t i = 0; i < in->n_values; i++) {
            m->hashes[k][i] = gy_cell_hash(in->values[i]);
        }
    }
    return GY_OK;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct hashed *m = gy_arena_calloc(a, 1, sizeof *m);
    (void)rows; /* nothing to learn */
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    if (s->n_chosen == 0) {
        return gy_step_no_category(s, err);
    }
    m->buckets = (uint32_t)gy_setting_whole(&s->settings, "buckets");
    m->sign = gy_setting_flag(&s->settings, "sign");
    GY_TRY(hash_vocabulary(s, m, a, err));
    s->self = m;
    return outputs(s, m, a, err);
}

/* NaN: nothing is known about the cell. */
static double hash_of(const struct gy_step *s, const struct hashed *m, size_t k, double v)
{
    if (!m->hashes[k]) {
        return v;
    }
    return v >= 0 && v < (double)s->in[s->chosen[k]].n_values ? m->hashes[k][(size_t)v] : NAN;
}

static void encode(const struct hashed *m, double hash, double *out)
{
    for (uint32_t b = 0; b < m->buckets; b++) {
        out[b] = 0;
    }
    if (hash >= 0 && hash < 0x1p53 && m->buckets > 0) {
        uint64_t h = (uint64_t)hash;
        out[h % m->buckets] = m->sign && (h >> 51 & 1) ? -1 : 1;
    }
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct hashed *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in) {
        for (size_t i = 0, k = 0; i < s->n_in; i++) {
            if (k < s->n_chosen && s->chosen[k] == i) {
                encode(m, hash_of(s, m, k++, in[i]), out);
                out += m->buckets;
            } else {
                *out++ = in[i];
            }
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct hashed *m = s->self;
    gy_jw_kv_i64(w, "buckets", m->buckets);
    gy_jw_kv_bool(w, "sign", m->sign);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct hashed *m = gy_arena_calloc(a, 1, sizeof *m);
    int64_t buckets = 0;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_i64(v, "buckets", &buckets, err));
    if (buckets < 1 || buckets > GY_FEATURES_MAX) {
        return gy_err_set(err, GY_E_CORRUPT, "the number of buckets is out of range");
    }
    m->buckets = (uint32_t)buckets;
    m->sign = gy_json_bool(v, "sign", false);
    GY_TRY(hash_vocabulary(s, m, a, err));
    s->self = m;
    return outputs(s, m, a, err);
}

static bool takes(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_HASHED || column->kind == GY_FEATURE_CATEGORY;
}

static const struct gy_setting_spec g_settings[] = {
    {"buckets", GY_SETTING_WHOLE, 1, GY_FEATURES_MAX, "32", NULL, "columns for each text"},
    {"sign", GY_SETTING_FLAG, 0, 0, "true", NULL, "half of the texts count as -1"},
    {0}};

const struct gy_step_ops gy_step_hash = {.version = 1,
                                         .name = "hash",
                                         .summary = "a text of many values in a few columns",
                                         .settings = g_settings,
                                         .takes = takes,
                                         .fit = fit,
                                         .apply = apply,
                                         .write = write,
                                         .read = read};
