/* SPDX-License-Identifier: Apache-2.0 */
/* The feature steps of gyre.model/1: one object an input, {"impute":"median","fill":74,"mean":..,
 * "sd":..}. Still written where it can say all there is, so that such packages keep their bytes and
 * older programs go on serving them. */
#include <math.h>

#include "learn/steps/steps.h"

static bool is_whole(const struct gy_step *s, const struct gy_step_ops *ops)
{
    return s->ops == ops && s->n_chosen == s->n_in && s->n_out == s->n_in;
}

bool gy_features_is_simple(const struct gy_features *f)
{
    size_t i = 0;
    for (size_t c = 0; c < f->n_in; c++) {
        if (f->in[c].kind != GY_FEATURE_NUMBER) {
            return false;
        }
    }
    if (i < f->n_steps && is_whole(&f->steps[i], &gy_step_impute)) {
        const struct gy_imputed *m = f->steps[i].self;
        if (m->by == GY_IMPUTE_MODE) {
            return false;
        }
        i++;
    }
    i += i < f->n_steps && is_whole(&f->steps[i], &gy_step_zscore);
    return i == f->n_steps;
}

void gy_features_write_simple(struct gy_jw *w, const struct gy_features *f)
{
    const struct gy_imputed *imputed = NULL;
    const struct gy_scaled *scaled = NULL;
    for (size_t i = 0; i < f->n_steps; i++) {
        if (f->steps[i].ops == &gy_step_impute) {
            imputed = f->steps[i].self;
        } else {
            scaled = f->steps[i].self;
        }
    }
    enum gy_impute by = imputed ? imputed->by : GY_IMPUTE_NONE;
    gy_jw_arr(w);
    for (size_t c = 0; c < f->n_in; c++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "impute", gy_impute_name(by));
        if (by != GY_IMPUTE_NONE) {
            gy_jw_kv_f64(w, "fill", imputed->fill[c]);
        }
        if (scaled) {
            gy_jw_kv_f64(w, "mean", scaled->mean[c]);
            gy_jw_kv_f64(w, "sd", scaled->sd[c]);
        }
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

struct simple {
    bool imputes, scales;
    struct gy_imputed *imputed;
    struct gy_scaled *scaled;
};

static gy_status read_input(struct simple *s, yyjson_val *v, size_t c, struct gy_err *err)
{
    struct gy_str impute;
    enum gy_impute by;
    GY_TRY(gy_json_need_str(v, "impute", &impute, err));
    GY_TRY(gy_impute_parse(impute, &by, err));
    s->imputed->fill[c] = NAN;
    s->scaled->sd[c] = 1;
    if (by != GY_IMPUTE_NONE) {
        GY_TRY(gy_json_need_f64(v, "fill", &s->imputed->fill[c], err));
        s->imputed->by = by;
        s->imputes = true;
    }
    if (gy_json_get(v, "mean") || gy_json_get(v, "sd")) {
        GY_TRY(gy_json_need_f64(v, "mean", &s->scaled->mean[c], err));
        GY_TRY(gy_json_need_f64(v, "sd", &s->scaled->sd[c], err));
        if (!(s->scaled->sd[c] > 0)) {
            return gy_err_set(err, GY_E_INVALID, "'sd' must be positive");
        }
        s->scales = true;
    }
    return GY_OK;
}

static gy_status add_step(struct gy_features *f, const struct gy_step_ops *ops, void *self,
                          struct gy_err *err)
{
    struct gy_step *s = &f->steps[f->n_steps];
    *s = (struct gy_step){
        .ops = ops, .in = f->out, .n_in = f->n_out, .n_chosen = f->n_out, .self = self};
    uint32_t *all = gy_arena_calloc(&f->arena, s->n_in + 1, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "feature steps");
    }
    for (size_t i = 0; i < s->n_in; i++) {
        all[i] = (uint32_t)i;
    }
    s->chosen = all;
    s->settings.specs = ops->settings;
    GY_TRY(gy_step_same_outputs(s, &f->arena, err));
    f->n_steps++;
    f->out = s->out;
    return GY_OK;
}

gy_status gy_features_read_simple(struct gy_features *f, yyjson_val *array,
                                  const struct gy_feature *cells, size_t n_cells,
                                  struct gy_err *err)
{
    struct simple s = {0};
    if (yyjson_arr_size(array) != n_cells) {
        return gy_err_set(err, GY_E_CORRUPT, "there must be a feature step for each input");
    }
    GY_TRY(gy_features_empty(f, cells, n_cells, 2, err));
    s.imputed = gy_arena_calloc(&f->arena, 1, sizeof *s.imputed);
    s.scaled = gy_arena_calloc(&f->arena, 1, sizeof *s.scaled);
    double *room = gy_arena_calloc(&f->arena, 3 * n_cells + 1, sizeof *room);
    if (!s.imputed || !s.scaled || !room) {
        return gy_err_set(err, GY_E_NOMEM, "feature steps");
    }
    s.imputed->fill = room;
    s.scaled->mean = room + n_cells;
    s.scaled->sd = room + 2 * n_cells;
    for (size_t c = 0; c < n_cells; c++) {
        GY_TRY(read_input(&s, yyjson_arr_get(array, c), c, err));
    }
    if (s.imputes) {
        GY_TRY(add_step(f, &gy_step_impute, s.imputed, err));
    }
    return s.scales ? add_step(f, &gy_step_zscore, s.scaled, err) : GY_OK;
}
