/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/drift.h"

#include <math.h>

#include "base/mem.h"
#include "watch/drift_internal.h"

#define SHARE 0.5
#define MIN_ROWS 30
#define MISSING_MOVED 0.05 /* less of a change in the share of missing values is not told */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "comparing a window with its reference");
}

/* ---- options ---- */

void gy_drift_options_init(struct gy_drift_options *o)
{
    *o = (struct gy_drift_options){.share = SHARE, .min_rows = MIN_ROWS};
}

static gy_status bad_option(struct gy_str key, const char *want, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "drift: '%" GY_STR_F "': %s", GY_STR_A(key), want);
}

static gy_status read_feature_key(struct gy_str key, yyjson_val *v,
                                  struct gy_drift_feature_options *f, struct gy_err *err)
{
    if (gy_str_eqc(key, "test") && yyjson_is_str(v)) {
        f->has_test = true;
        return gy_stat_parse(gy_json_val_str(v), &f->test, err);
    }
    if (gy_str_eqc(key, "threshold") && yyjson_is_num(v) && yyjson_get_num(v) >= 0) {
        f->has_threshold = true;
        f->threshold = yyjson_get_num(v);
        return GY_OK;
    }
    if (gy_str_eqc(key, "categorical") && yyjson_is_bool(v)) {
        f->categorical = yyjson_get_bool(v);
        return GY_OK;
    }
    return bad_option(key, "a column takes test (a name), threshold (a number), categorical", err);
}

static gy_status read_features(yyjson_val *v, struct gy_arena *a, struct gy_drift_options *o,
                               struct gy_err *err)
{
    size_t i, n, k, m;
    yyjson_val *name, *one, *key, *value;
    if (!yyjson_is_obj(v) || yyjson_obj_size(v) > GY_DRIFT_MAX_FEATURES) {
        return bad_option(GY_STR("features"), "want an object, a column each", err);
    }
    struct gy_drift_feature_options *features =
        gy_arena_calloc(a, yyjson_obj_size(v) + 1, sizeof *features);
    if (!features) {
        return no_memory(err);
    }
    yyjson_obj_foreach(v, i, n, name, one)
    {
        features[i].name = gy_arena_str(a, gy_json_val_str(name));
        if (!features[i].name.p) {
            return no_memory(err);
        }
        if (!yyjson_is_obj(one)) {
            return bad_option(features[i].name, "want an object", err);
        }
        yyjson_obj_foreach(one, k, m, key, value)
        {
            GY_TRY(read_feature_key(gy_json_val_str(key), value, &features[i], err));
        }
    }
    o->features = features;
    o->n_features = yyjson_obj_size(v);
    return GY_OK;
}

gy_status gy_drift_options_read(yyjson_val *v, struct gy_arena *a, struct gy_drift_options *ret,
                                struct gy_err *err)
{
    size_t i, n;
    yyjson_val *name, *value;
    gy_drift_options_init(ret);
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    if (!yyjson_is_obj(v)) {
        return bad_option(GY_STR("drift"), "want an object", err);
    }
    yyjson_obj_foreach(v, i, n, name, value)
    {
        struct gy_str key = gy_json_val_str(name);
        if (gy_str_eqc(key, "share") && yyjson_is_num(value) && yyjson_get_num(value) > 0 &&
            yyjson_get_num(value) <= 1) {
            ret->share = yyjson_get_num(value);
        } else if (gy_str_eqc(key, "min_rows") && yyjson_is_uint(value) &&
                   yyjson_get_uint(value) > 0) {
            ret->min_rows = yyjson_get_uint(value);
        } else if (gy_str_eqc(key, "features")) {
            GY_TRY(read_features(value, a, ret, err));
        } else {
            return bad_option(key, "want share (0 to 1), min_rows (1 or more) or features", err);
        }
    }
    return GY_OK;
}

static struct gy_drift_feature_options options_of(const struct gy_drift_options *o,
                                                  struct gy_str name)
{
    for (size_t i = 0; i < o->n_features; i++) {
        if (gy_str_eq(o->features[i].name, name)) {
            return o->features[i];
        }
    }
    return (struct gy_drift_feature_options){.name = name};
}

/* ---- evaluating ---- */

static struct gy_share missing_of(const struct gy_values *v)
{
    return gy_share_of(v->missing, v->missing + v->total);
}

/* f->reference with its mean and sd, f->current, name, categorical are set. */
static gy_status judge(struct gy_drift_feature *f, const struct gy_drift_feature_options *o,
                       uint64_t min_rows, struct gy_err *err)
{
    const struct gy_values *ref = &f->reference, *cur = &f->current;
    /* Whether there are more than five values is mostly told by one side. */
    bool many = ref->n > GY_STAT_FEW_VALUES || cur->n > GY_STAT_FEW_VALUES;
    size_t n_union = many ? GY_STAT_FEW_VALUES + 1 : gy_stat_union(ref, cur);
    f->test = o->has_test ? o->test : gy_stat_choose(ref->total, n_union, f->categorical);
    f->threshold = o->has_threshold ? o->threshold : gy_stat_threshold(f->test);
    f->enough = ref->total >= min_rows && cur->total >= min_rows;
    f->current_mean = gy_values_mean(cur);
    f->current_sd = gy_values_sd_about(cur, f->current_mean);
    f->reference_missing = missing_of(ref);
    f->current_missing = missing_of(cur);
    double moved = fabs(f->current_missing.value - f->reference_missing.value);
    f->missing_moved =
        moved >= MISSING_MOVED && gy_share_differs(&f->reference_missing, &f->current_missing);
    f->distance = gy_stat_wasserstein_normed(ref, cur, f->reference_sd);
    f->score = f->distance;
    if (f->test != GY_STAT_WASSERSTEIN) {
        GY_TRY(gy_stat_run(f->test, ref, cur, f->categorical, &f->score, err));
    }
    f->drifted = f->enough && gy_stat_drifted(f->test, f->score, f->threshold);
    return GY_OK;
}

static gy_status compare_columns(const struct gy_profile *p, const struct gy_drift_window *w,
                                 const struct gy_drift_options *o, struct gy_arena *a,
                                 struct gy_drift_result *ret, struct gy_err *err)
{
    ret->features = gy_arena_calloc(a, w->n_inputs + 1, sizeof *ret->features);
    if (!ret->features) {
        return no_memory(err);
    }
    for (size_t i = 0; i < w->n_inputs; i++) {
        const struct gy_profile_column *c = gy_profile_column(p, w->names[i]);
        if (!c) {
            ret->n_unknown++;
            continue;
        }
        const struct gy_drift_feature_options one = options_of(o, c->name);
        struct gy_drift_feature *f = &ret->features[ret->n_features++];
        *f = (struct gy_drift_feature){.name = c->name,
                                       .input = c->input,
                                       .categorical = one.categorical || c->categorical,
                                       .reference = c->values,
                                       .reference_mean = c->mean,
                                       .reference_sd = c->sd,
                                       .reference_distinct = c->distinct};
        GY_TRY(gy_values_of(gy_drift_column(w, i), NULL, w->n_rows, a, &f->current, err));
        GY_TRY(judge(f, &one, o->min_rows, err));
        ret->n_drifted += f->drifted;
        ret->detected = ret->detected || f->drifted || (f->missing_moved && f->input);
    }
    return GY_OK;
}

static gy_status compare_scores(const struct gy_profile *p, const struct gy_drift_window *w,
                                const struct gy_drift_options *o, struct gy_arena *a,
                                struct gy_drift_result *ret, struct gy_err *err)
{
    const double *scores = gy_drift_column(w, w->n_inputs);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, w->n_rows + 1, sizeof(uint32_t));
    if (!room) {
        return no_memory(err);
    }
    uint32_t *weights = (uint32_t *)(void *)room;
    for (size_t i = 0; i < w->n_rows; i++) {
        weights[i] = isnan(scores[i]) ? 0 : w->rest[i].weight;
    }
    struct gy_drift_feature *f = &ret->score;
    /* Weighted rows are no independent ones: a distance does not mind, a p-value would. */
    const struct gy_drift_feature_options one = {.has_test = true, .test = GY_STAT_WASSERSTEIN};
    *f = (struct gy_drift_feature){
        .name = GY_STR("score"), .reference = p->score, .reference_distinct = p->score.n};
    f->reference_mean = gy_values_mean(&p->score);
    f->reference_sd = gy_values_sd_about(&p->score, f->reference_mean);
    GY_TRY(gy_values_of(scores, weights, w->n_rows, a, &f->current, err));
    GY_TRY(judge(f, &one, o->min_rows, err));
    ret->has_score = f->reference.total > 0 && f->current.total > 0;
    return GY_OK;
}

/* Answers of class 1. Their class values are the label's numbers where labels are numbers, else 0
 * and 1 (serve/shape.h). */
static void compare_answers(const struct gy_profile *p, const struct gy_drift_window *w,
                            struct gy_drift_result *ret)
{
    const double *answers = gy_drift_column(w, w->n_inputs + 1);
    uint64_t positive = 0, n = 0;
    double zero = 0, one = 1;
    ret->reference_positive = NAN;
    if (p->task != GY_TASK_BINARY || p->n_classes != 2 || !p->target.p) {
        return;
    }
    if (gy_parse_f64(p->classes[0], &zero, NULL) != GY_OK ||
        gy_parse_f64(p->classes[1], &one, NULL) != GY_OK) {
        one = 1;
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        positive += answers[i] == one;
        n += !isnan(answers[i]);
    }
    ret->positive = gy_share_of(positive, n);
    ret->reference_positive = p->positive_share;
}

gy_status gy_drift_evaluate(const struct gy_profile *p, const struct gy_drift_window *w,
                            const struct gy_drift_options *o, struct gy_arena *a,
                            struct gy_drift_result *ret, struct gy_err *err)
{
    *ret = (struct gy_drift_result){.rows = w->n_rows,
                                    .reference_rows = p->rows,
                                    .since_us = gy_drift_window_since_us(w),
                                    .until_us = gy_drift_window_until_us(w),
                                    .drift_share = o->share,
                                    .rule_reference = o->rule_reference};
    GY_TRY(compare_columns(p, w, o, a, ret, err));
    GY_TRY(compare_scores(p, w, o, a, ret, err));
    compare_answers(p, w, ret);
    ret->rule_current = gy_drift_window_rule_hits(w);
    ret->rule_moved = gy_share_differs(&ret->rule_current, &ret->rule_reference);
    ret->share = ret->n_features ? (double)ret->n_drifted / (double)ret->n_features : 0;
    ret->dataset_drift = ret->n_drifted > 0 && ret->share >= ret->drift_share;
    return GY_OK;
}

const struct gy_drift_feature *gy_drift_feature(const struct gy_drift_result *r, struct gy_str name)
{
    for (size_t i = 0; i < r->n_features; i++) {
        if (gy_str_eq(r->features[i].name, name)) {
            return &r->features[i];
        }
    }
    return NULL;
}
