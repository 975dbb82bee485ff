/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/features.h"

#include <math.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "learn/steps/steps.h"

#define MAX_ARENA (512 * GY_MIB)

void gy_features_init(struct gy_features *f)
{
    memset(f, 0, sizeof *f);
    gy_arena_init(&f->arena, MAX_ARENA);
}

void gy_features_done(struct gy_features *f)
{
    if (f) {
        gy_arena_done(&f->arena);
        f->steps = NULL;
        f->n_steps = f->n_in = f->n_out = 0;
    }
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "feature steps");
}

/* ---- plans from params.yaml ---- */

static gy_status read_plan(const struct gy_yaml *y, const struct gy_yaml_node *item,
                           struct gy_arena *a, struct gy_step_plan *p, struct gy_err *err)
{
    static const char *const also[] = {"columns", NULL};
    bool map = item->kind == GY_YAML_MAP;
    struct gy_str name = map && item->n_items == 1 ? item->keys[0] : item->text;
    if (map ? item->n_items != 1 : !name.p) {
        return gy_yaml_err(y, item, err, "a step is a name or {name: settings}");
    }
    p->ops = gy_step_find(name);
    if (!p->ops) {
        const char *known[GY_FEATURES_MAX_STEPS + 1] = {NULL};
        for (size_t i = 0; gy_steps[i] && i < GY_FEATURES_MAX_STEPS; i++) {
            known[i] = gy_steps[i]->name;
        }
        const char *near = gy_yaml_nearest(name, known);
        (void)gy_yaml_err(y, item, err, "there is no step '%" GY_STR_F "'", GY_STR_A(name));
        return near ? gy_err_hint(err, "did you mean %s?", near) : GY_E_INVALID;
    }
    p->settings.specs = p->ops->settings;
    if (!map) {
        return GY_OK;
    }
    const struct gy_yaml_node *v = &item->items[0];
    if (v->kind == GY_YAML_MAP || v->kind == GY_YAML_NULL) {
        const struct gy_yaml_node *columns = gy_yaml_get(v, "columns");
        GY_TRY(gy_settings_read(&p->settings, y, v, also, a, err));
        return columns ? gy_settings_names(y, columns, a, &p->columns, &p->n_columns, err) : GY_OK;
    }
    /* zscore: [HR, Temp] */
    if (!p->ops->settings ||
        (v->kind == GY_YAML_SEQ && p->ops->settings[0].kind != GY_SETTING_LIST)) {
        return gy_settings_names(y, v, a, &p->columns, &p->n_columns, err);
    }
    return gy_settings_read_one(&p->settings, 0, y, v, a, err);
}

gy_status gy_steps_read(const struct gy_yaml *y, const struct gy_yaml_node *list,
                        struct gy_arena *a, struct gy_step_plan **ret, size_t *ret_n,
                        struct gy_err *err)
{
    if (list->kind != GY_YAML_SEQ) {
        return gy_yaml_err(y, list, err, "steps must be a list");
    }
    if (list->n_items > GY_FEATURES_MAX_STEPS) {
        return gy_yaml_err(y, list, err, "more than %d steps", GY_FEATURES_MAX_STEPS);
    }
    *ret = gy_arena_calloc(a, list->n_items + 1, sizeof **ret);
    if (!*ret) {
        return no_memory(err);
    }
    for (size_t i = 0; i < list->n_items; i++) {
        GY_TRY(read_plan(y, &list->items[i], a, &(*ret)[i], err));
    }
    *ret_n = list->n_items;
    return GY_OK;
}

/* ---- fitting ---- */

static gy_status copy_cells(struct gy_features *f, const struct gy_feature *cells, size_t n,
                            struct gy_err *err)
{
    struct gy_feature *in = gy_arena_calloc(&f->arena, n + 1, sizeof *in);
    if (!in) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        in[i] = cells[i];
        in[i].name = gy_arena_str(&f->arena, cells[i].name);
        struct gy_str *values = gy_arena_calloc(&f->arena, cells[i].n_values + 1, sizeof *values);
        if (!in[i].name.p || !values) {
            return no_memory(err);
        }
        for (size_t k = 0; k < cells[i].n_values; k++) {
            values[k] = gy_arena_str(&f->arena, cells[i].values[k]);
            if (!values[k].p) {
                return no_memory(err);
            }
        }
        in[i].values = cells[i].n_values ? values : NULL;
    }
    f->in = f->out = in;
    f->n_in = f->n_out = f->widest = n;
    return GY_OK;
}

gy_status gy_features_empty(struct gy_features *f, const struct gy_feature *cells, size_t n_cells,
                            size_t n_steps, struct gy_err *err)
{
    if (n_steps > GY_FEATURES_MAX_STEPS || n_cells > GY_FEATURES_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d steps or %d columns",
                          GY_FEATURES_MAX_STEPS, GY_FEATURES_MAX);
    }
    GY_TRY(copy_cells(f, cells, n_cells, err));
    f->n_steps = 0;
    f->steps = gy_arena_calloc(&f->arena, n_steps + 1, sizeof *f->steps);
    return f->steps ? GY_OK : no_memory(err);
}

/* "season" is a column of that name; "season=" and "season*" are all that begin with "season=" and
 * "season". */
static bool names_column(struct gy_str wanted, struct gy_str name)
{
    if (wanted.n > 0 && wanted.p[wanted.n - 1] == '*') {
        return gy_str_starts(name, gy_str_n(wanted.p, wanted.n - 1));
    }
    if (wanted.n > 0 && wanted.p[wanted.n - 1] == '=') {
        return gy_str_starts(name, wanted);
    }
    return gy_str_eq(wanted, name);
}

static gy_status check_names(const struct gy_step *s, const struct gy_step_plan *p,
                             struct gy_err *err)
{
    for (size_t k = 0; k < p->n_columns; k++) {
        bool found = false;
        for (size_t i = 0; !found && i < s->n_in; i++) {
            found = names_column(p->columns[k], s->in[i].name);
        }
        if (!found) {
            (void)gy_err_set(err, GY_E_NOTFOUND, "step '%s': there is no column '%" GY_STR_F "'",
                             s->ops->name, GY_STR_A(p->columns[k]));
            return gy_err_hint(err, "a step sees what the steps before it made: an encoded column "
                                    "'a' is named as 'a='");
        }
    }
    return GY_OK;
}

static bool can_work_on(const struct gy_step_ops *ops, const struct gy_feature *column)
{
    return ops->can ? ops->can(column) : !ops->takes || ops->takes(column);
}

static gy_status refuse_column(const struct gy_step *s, size_t i, struct gy_err *err)
{
    static const char *const what[] = {
        [GY_FEATURE_NUMBER] = "numbers",
        [GY_FEATURE_CATEGORY] = "categories: onehot or ordinal makes numbers of them",
        [GY_FEATURE_HASHED] = "hashed texts: the step hash makes numbers of them",
        [GY_FEATURE_TIME] = "times: the step dates makes numbers of them",
        [GY_FEATURE_PIXEL] = "pixels of an image"};
    return gy_err_set(err, GY_E_INVALID,
                      "step '%s' can not work on column '%" GY_STR_F "', which holds %s",
                      s->ops->name, GY_STR_A(s->in[i].name), what[s->in[i].kind]);
}

static gy_status choose(struct gy_step *s, const struct gy_step_plan *p, struct gy_arena *a,
                        struct gy_err *err)
{
    uint32_t *chosen = gy_arena_calloc(a, s->n_in + 1, sizeof *chosen);
    if (!chosen) {
        return no_memory(err);
    }
    GY_TRY(check_names(s, p, err));
    for (size_t i = 0; i < s->n_in; i++) {
        bool take = p->n_columns == 0 && (!s->ops->takes || s->ops->takes(&s->in[i]));
        for (size_t k = 0; !take && k < p->n_columns; k++) {
            take = names_column(p->columns[k], s->in[i].name);
        }
        if (take && p->n_columns && !can_work_on(s->ops, &s->in[i])) {
            return refuse_column(s, i, err);
        }
        if (take) {
            chosen[s->n_chosen++] = (uint32_t)i;
        }
    }
    s->chosen = chosen;
    return GY_OK;
}

/* A plan's texts live elsewhere: a copy that lives as long as the step. */
static gy_status copy_settings(struct gy_settings *to, const struct gy_settings *from,
                               struct gy_arena *a, struct gy_err *err)
{
    to->specs = from->specs;
    for (size_t i = 0; from->specs && from->specs[i].key; i++) {
        if (from->values[i].p) {
            to->values[i] = gy_arena_str(a, from->values[i]);
            if (!to->values[i].p) {
                return no_memory(err);
            }
        }
    }
    return GY_OK;
}

static bool runs_in_place(const struct gy_step *s)
{
    return s->ops->in_place && s->n_in == s->n_out;
}

/* Two matrices in turns. */
struct turns {
    double *x, *other;
};

/* Take the step's output over all rows; the matrix grows when it is wider than before. */
static gy_status take_turn(struct turns *t, const struct gy_step *s, size_t n_rows,
                           struct gy_err *err)
{
    if (runs_in_place(s)) {
        s->ops->apply(s, t->x, n_rows, t->x);
        return GY_OK;
    }
    gy_free(t->other);
    t->other = gy_reallocarray(NULL, n_rows + 1, (s->n_out + 1) * sizeof *t->other);
    if (!t->other) {
        return no_memory(err);
    }
    s->ops->apply(s, t->x, n_rows, t->other);
    double *x = t->x;
    t->x = t->other;
    t->other = x;
    return GY_OK;
}

static gy_status fit_all(struct gy_features *f, const struct gy_step_plan *plans, size_t n_plans,
                         const struct gy_step_rows *rows, struct turns *t, struct gy_err *err)
{
    for (size_t i = 0; i < n_plans; i++) {
        struct gy_step *s = &f->steps[i];
        struct gy_step_rows now = *rows;
        now.x = t->x;
        *s = (struct gy_step){.ops = plans[i].ops, .in = f->out, .n_in = f->n_out};
        GY_TRY(copy_settings(&s->settings, &plans[i].settings, &f->arena, err));
        GY_TRY(choose(s, &plans[i], &f->arena, err));
        GY_TRY(s->ops->fit(s, &now, &f->arena, err));
        GY_TRY(take_turn(t, s, rows->n_rows, err));
        f->n_steps++;
        f->out = s->out;
        f->n_out = s->n_out;
        f->widest = s->n_out > f->widest ? s->n_out : f->widest;
    }
    return GY_OK;
}

gy_status gy_features_fit(struct gy_features *f, const struct gy_feature *cells, size_t n_cells,
                          const struct gy_step_plan *plans, size_t n_plans,
                          const struct gy_step_rows *rows, double **ret_x, struct gy_err *err)
{
    struct turns t = {0};
    size_t n = rows->n_rows * n_cells;
    GY_TRY(gy_features_empty(f, cells, n_cells, n_plans, err));
    t.x = gy_reallocarray(NULL, n + 1, sizeof *t.x);
    if (!t.x) {
        return no_memory(err);
    }
    memcpy(t.x, rows->x, n * sizeof *t.x);
    gy_status status = fit_all(f, plans, n_plans, rows, &t, err);
    if (status == GY_OK && ret_x) {
        *ret_x = t.x;
        t.x = NULL;
    }
    gy_free(t.x);
    gy_free(t.other);
    return status;
}

/* ---- applying ---- */

size_t gy_features_scratch(const struct gy_features *f, size_t n_rows)
{
    return f->n_steps > 1 ? 2 * n_rows * f->widest : 0;
}

/* Steps write to one half of scratch and the other in turns, the last one to out. */
void gy_features_apply(const struct gy_features *f, const double *in, size_t n_rows, double *out,
                       double *scratch)
{
    const double *from = in;
    for (size_t i = 0; i < f->n_steps; i++) {
        double *to = i + 1 == f->n_steps ? out : scratch + (i & 1) * n_rows * f->widest;
        f->steps[i].ops->apply(&f->steps[i], from, n_rows, to);
        from = to;
    }
    if (f->n_steps == 0 && in != out) {
        memcpy(out, in, n_rows * f->n_in * sizeof *out);
    }
}

bool gy_features_is_identity(const struct gy_features *f)
{
    for (size_t i = 0; i < f->n_steps; i++) {
        const struct gy_imputed *m = f->steps[i].self;
        bool nothing =
            f->steps[i].ops == &gy_step_impute && m->by == GY_IMPUTE_NONE && !m->indicator;
        if (!nothing) {
            return false;
        }
    }
    return true;
}

size_t gy_features_find(const struct gy_features *f, struct gy_str name)
{
    for (size_t i = 0; i < f->n_out; i++) {
        if (gy_str_eq(f->out[i].name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool gy_features_impute(const struct gy_features *f)
{
    for (size_t i = 0; i < f->n_steps; i++) {
        const struct gy_imputed *m = f->steps[i].self;
        if (f->steps[i].ops == &gy_step_impute && m->by != GY_IMPUTE_NONE &&
            f->steps[i].n_chosen == f->steps[i].n_in) {
            return true;
        }
    }
    return false;
}

/* ---- as JSON ---- */

void gy_features_write(struct gy_jw *w, const struct gy_features *f)
{
    gy_jw_arr(w);
    for (size_t i = 0; i < f->n_steps; i++) {
        const struct gy_step *s = &f->steps[i];
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "step", s->ops->name);
        gy_jw_key(w, "columns");
        gy_jw_arr(w);
        for (size_t k = 0; k < s->n_chosen; k++) {
            gy_jw_u64(w, s->chosen[k]);
        }
        gy_jw_arr_end(w);
        s->ops->write(w, s);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status read_chosen(struct gy_step *s, yyjson_val *v, struct gy_arena *a,
                             struct gy_err *err)
{
    yyjson_val *columns = NULL;
    GY_TRY(gy_json_need_arr(v, "columns", &columns, err));
    s->n_chosen = yyjson_arr_size(columns);
    uint32_t *chosen = gy_arena_calloc(a, s->n_chosen + 1, sizeof *chosen);
    if (!chosen) {
        return no_memory(err);
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        yyjson_val *item = yyjson_arr_get(columns, k);
        uint64_t at = yyjson_is_uint(item) ? yyjson_get_uint(item) : UINT64_MAX;
        if (at >= s->n_in || (k > 0 && at <= chosen[k - 1])) {
            return gy_err_set(err, GY_E_CORRUPT, "a step works on a column that is not there");
        }
        chosen[k] = (uint32_t)at;
    }
    s->chosen = chosen;
    return GY_OK;
}

static gy_status read_step(struct gy_features *f, yyjson_val *v, struct gy_err *err)
{
    struct gy_str name;
    struct gy_step *s = &f->steps[f->n_steps];
    GY_TRY(gy_json_need_str(v, "step", &name, err));
    *s = (struct gy_step){.ops = gy_step_find(name), .in = f->out, .n_in = f->n_out};
    if (!s->ops) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "feature step '%" GY_STR_F "' is not known to this version",
                          GY_STR_A(name));
    }
    s->settings.specs = s->ops->settings;
    GY_TRY(read_chosen(s, v, &f->arena, err));
    GY_TRY(s->ops->read(s, v, &f->arena, err));
    f->n_steps++;
    f->out = s->out;
    f->n_out = s->n_out;
    f->widest = s->n_out > f->widest ? s->n_out : f->widest;
    return GY_OK;
}

gy_status gy_features_read(struct gy_features *f, yyjson_val *array, const struct gy_feature *cells,
                           size_t n_cells, struct gy_err *err)
{
    GY_TRY(gy_features_empty(f, cells, n_cells, yyjson_arr_size(array), err));
    for (size_t i = 0; i < yyjson_arr_size(array); i++) {
        GY_TRY(read_step(f, yyjson_arr_get(array, i), err));
    }
    return GY_OK;
}
