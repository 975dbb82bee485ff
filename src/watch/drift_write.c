/* SPDX-License-Identifier: Apache-2.0 */
/* Drift results for programs and for people. */
#include <math.h>

#include "watch/drift.h"

/* Values ascend, so do their bins: one comparison each. */
static void fill(const struct gy_values *v, const struct gy_drift_histogram *h, double *bins)
{
    double width = (h->high - h->low) / GY_DRIFT_BINS;
    uint64_t counts[GY_DRIFT_BINS] = {0};
    size_t bin = 0;
    double end = h->low + width; /* of the bin */
    for (size_t i = 0; i < v->n; i++) {
        while (v->values[i] >= end && width > 0 && bin + 1 < GY_DRIFT_BINS) {
            bin++;
            end = h->low + (double)(bin + 1) * width;
        }
        counts[bin] += v->counts[i];
    }
    for (size_t i = 0; i < GY_DRIFT_BINS && v->total; i++) {
        bins[i] = (double)counts[i] / (double)v->total;
    }
}

void gy_drift_histogram_of(const struct gy_drift_feature *f, struct gy_drift_histogram *ret)
{
    const struct gy_values *both[2] = {&f->reference, &f->current};
    *ret = (struct gy_drift_histogram){.low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->n > 0) {
            ret->low = fmin(ret->low, both[i]->values[0]);
            ret->high = fmax(ret->high, both[i]->values[both[i]->n - 1]);
        }
    }
    if (ret->low > ret->high) { /* no value at all */
        ret->low = ret->high = NAN;
        return;
    }
    fill(both[0], ret, ret->reference);
    fill(both[1], ret, ret->current);
}

static void number(struct gy_jw *w, const char *key, double v)
{
    if (isfinite(v)) {
        gy_jw_kv_f64(w, key, v);
    } else {
        gy_jw_kv_null(w, key);
    }
}

static void share(struct gy_jw *w, const char *key, const struct gy_share *s)
{
    gy_jw_key(w, key);
    if (s->n == 0) {
        gy_jw_null(w);
        return;
    }
    gy_jw_obj(w);
    gy_jw_kv_f64(w, "value", s->value);
    gy_jw_kv_f64(w, "low", s->low);
    gy_jw_kv_f64(w, "high", s->high);
    gy_jw_kv_i64(w, "hits", (int64_t)s->hits);
    gy_jw_kv_i64(w, "rows", (int64_t)s->n);
    gy_jw_obj_end(w);
}

static void pair(struct gy_jw *w, const char *key, double reference, double current)
{
    gy_jw_key(w, key);
    gy_jw_obj(w);
    number(w, "reference", reference);
    number(w, "current", current);
    gy_jw_obj_end(w);
}

static void bins(struct gy_jw *w, const char *key, const double *values)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < GY_DRIFT_BINS; i++) {
        gy_jw_f64(w, values[i]);
    }
    gy_jw_arr_end(w);
}

static void write_feature(struct gy_jw *w, const struct gy_drift_feature *f)
{
    struct gy_drift_histogram h;
    gy_drift_histogram_of(f, &h);
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", f->name);
    gy_jw_kv_bool(w, "input", f->input);
    gy_jw_kv_bool(w, "categorical", f->categorical);
    gy_jw_kv_strc(w, "test", gy_stat_name(f->test));
    gy_jw_kv_strc(w, "score_is", gy_stat_is_p_value(f->test) ? "p_value" : "distance");
    number(w, "score", f->score);
    number(w, "threshold", f->threshold);
    gy_jw_kv_bool(w, "enough", f->enough);
    gy_jw_kv_bool(w, "drifted", f->drifted);
    number(w, "distance", f->distance);
    pair(w, "mean", f->reference_mean, f->current_mean);
    pair(w, "sd", f->reference_sd, f->current_sd);
    pair(w, "missing", f->reference_missing.value, f->current_missing.value);
    gy_jw_kv_bool(w, "missing_moved", f->missing_moved);
    gy_jw_key(w, "histogram");
    gy_jw_obj(w);
    number(w, "low", h.low);
    number(w, "high", h.high);
    bins(w, "reference", h.reference);
    bins(w, "current", h.current);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

void gy_drift_write(struct gy_jw *w, const struct gy_drift_result *r)
{
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "rows", (int64_t)r->rows);
    gy_jw_kv_i64(w, "reference_rows", (int64_t)r->reference_rows);
    gy_jw_kv_bool(w, "detected", r->detected);
    gy_jw_kv_bool(w, "dataset_drift", r->dataset_drift);
    gy_jw_kv_i64(w, "columns", (int64_t)r->n_features);
    gy_jw_kv_i64(w, "columns_drifted", (int64_t)r->n_drifted);
    gy_jw_kv_i64(w, "columns_without_reference", (int64_t)r->n_unknown);
    gy_jw_kv_f64(w, "share", r->share);
    gy_jw_kv_f64(w, "drift_share", r->drift_share);
    gy_jw_key(w, "features");
    gy_jw_arr(w);
    for (size_t i = 0; i < r->n_features; i++) {
        write_feature(w, &r->features[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "score");
    if (r->has_score) {
        write_feature(w, &r->score);
    } else {
        gy_jw_null(w);
    }
    gy_jw_key(w, "positive");
    gy_jw_obj(w);
    number(w, "reference", r->reference_positive);
    share(w, "current", &r->positive);
    gy_jw_obj_end(w);
    gy_jw_key(w, "rule_hit_rate");
    gy_jw_obj(w);
    share(w, "reference", &r->rule_reference);
    share(w, "current", &r->rule_current);
    gy_jw_kv_bool(w, "moved", r->rule_moved);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}
