/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation tells beyond its metrics: classes, calibration, fairness. */
#include <string.h>

#include "base/mem.h"
#include "learn/evaluate_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "evaluating");
}

static gy_status copy_labels(const struct gy_str *classes, size_t n, struct gy_eval *e,
                             struct gy_err *err)
{
    struct gy_str *labels = gy_arena_calloc(&e->arena, n + 1, sizeof *labels);
    if (!labels) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        labels[i] = gy_arena_str(&e->arena, classes[i]);
        if (!labels[i].p) {
            return no_memory(err);
        }
    }
    e->labels = labels;
    e->n_labels = n;
    return GY_OK;
}

static gy_status tell_classes(const struct gy_scored *s, const struct gy_eval_options *o,
                              struct gy_eval *e, struct gy_err *err)
{
    size_t k = e->n_labels;
    e->confusion = gy_arena_calloc(&e->arena, k * k, sizeof *e->confusion);
    if (!e->confusion) {
        return no_memory(err);
    }
    gy_metrics_confusion(s, e->confusion);
    if (s->task == GY_TASK_BINARY) {
        return GY_OK; /* its metrics are those of class 1 already */
    }
    e->classes = gy_arena_calloc(&e->arena, k, sizeof *e->classes);
    if (!e->classes) {
        return no_memory(err);
    }
    return gy_metrics_classes(s, o->replicates, o->seed, o->n_threads, e->classes, err);
}

static gy_status add_fairness(const struct gy_table *t, const struct gy_fairness_spec *spec,
                              const uint32_t *rows, const struct gy_scored *s,
                              const struct gy_eval_options *o, struct gy_eval *e,
                              struct gy_err *err)
{
    const struct gy_bootstrap_options b = {o->replicates, o->seed, o->n_threads};
    for (size_t i = 0; i < e->n_fairness; i++) {
        if (gy_str_eq(e->fairness[i].column, spec->column)) {
            return GY_OK; /* asked for with its edges already */
        }
    }
    if (e->n_fairness == GY_FAIRNESS_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "fairness of more than %d columns",
                          GY_FAIRNESS_MAX_COLUMNS);
    }
    GY_TRY(gy_fairness_of(t, spec, rows, s, &b, &e->arena, &e->fairness[e->n_fairness], err));
    e->n_fairness++;
    return GY_OK;
}

/* What the schema protects, where it can be told; else why not: nobody asked for it here. */
static gy_status add_protected(const struct gy_table *t, struct gy_str column, const uint32_t *rows,
                               const struct gy_scored *s, const struct gy_eval_options *o,
                               struct gy_eval *e, struct gy_err *err)
{
    const struct gy_fairness_spec spec = {.column = column};
    struct gy_err why = GY_ERR_INIT;
    gy_status status = add_fairness(t, &spec, rows, s, o, e, &why);
    if (status != GY_E_INVALID) {
        return status == GY_OK ? GY_OK : gy_err_set(err, status, "%s", why.msg);
    }
    struct gy_fairness *f = &e->fairness[e->n_fairness++];
    *f = (struct gy_fairness){.column = gy_arena_str(&e->arena, column),
                              .reason = gy_arena_str(&e->arena, gy_str_c(why.msg))};
    return f->column.p && f->reason.p ? GY_OK : no_memory(err);
}

/* What was asked for by name, then what the schema protects. */
static gy_status tell_fairness(const struct gy_table *t, const uint32_t *rows,
                               const struct gy_scored *s, const struct gy_eval_options *o,
                               struct gy_eval *e, struct gy_err *err)
{
    e->fairness = gy_arena_calloc(&e->arena, GY_FAIRNESS_MAX_COLUMNS, sizeof *e->fairness);
    if (!e->fairness) {
        return no_memory(err);
    }
    for (size_t i = 0; i < o->n_fairness; i++) {
        GY_TRY(add_fairness(t, &o->fairness[i], rows, s, o, e, err));
    }
    for (size_t c = 0; c < t->n_columns && e->n_fairness < GY_FAIRNESS_MAX_COLUMNS; c++) {
        if (t->columns[c].is_protected) {
            GY_TRY(add_protected(t, t->columns[c].name, rows, s, o, e, err));
        }
    }
    return GY_OK;
}

gy_status gy_eval_details(const struct gy_table *t, const uint32_t *rows, const struct gy_scored *s,
                          const struct gy_str *classes, size_t n_classes,
                          const struct gy_eval_options *o, struct gy_eval *e, struct gy_err *err)
{
    e->threshold = s->threshold;
    if (s->task == GY_TASK_REGRESSION) {
        return o->n_fairness == 0
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "fairness is told of binary models only");
    }
    GY_TRY(copy_labels(classes, n_classes, e, err));
    GY_TRY(tell_classes(s, o, e, err));
    GY_TRY(gy_calibration_of(s, GY_EVAL_BINS, o->replicates, o->seed, o->n_threads, &e->arena,
                             &e->calibration, err));
    return s->task == GY_TASK_BINARY || o->n_fairness > 0 ? tell_fairness(t, rows, s, o, e, err)
                                                          : GY_OK;
}

/* ---- the deviance of a model ---- */

double gy_model_deviance(const struct gy_model *m)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (m->task != GY_TASK_REGRESSION || !m->params_json.p ||
        gy_json_parse(m->params_json, &doc, NULL) != GY_OK) {
        return 0;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_str family = gy_json_str(root, "family");       /* glm */
    struct gy_str objective = gy_json_str(root, "objective"); /* xgboost */
    double power = 1.5;
    if (gy_str_eqc(family, "poisson") || gy_str_eqc(objective, "count:poisson")) {
        return 1;
    }
    if (gy_str_eqc(family, "gamma") || gy_str_eqc(objective, "reg:gamma")) {
        return 2;
    }
    if (gy_str_eqc(family, "tweedie")) {
        return gy_json_f64(root, "power", power);
    }
    if (gy_str_eqc(objective, "reg:tweedie")) {
        struct gy_str text = gy_json_str(root, "tweedie_variance_power");
        return gy_parse_f64(text, &power, NULL) == GY_OK ? power : 1.5; /* libxgboost's own */
    }
    return 0;
}

/* ---- keeping the rows ---- */

gy_status gy_eval_keep(const uint32_t *rows, const struct gy_scored *s, size_t n_outputs,
                       struct gy_eval *e, struct gy_err *err)
{
    size_t n = s->n_rows;
    char *room = gy_reallocarray(NULL, n, (n_outputs + 2) * sizeof(double) + sizeof(uint32_t));
    if (!room) {
        return no_memory(err);
    }
    double *truth = (double *)(void *)room;
    double *out = truth + n;
    double *weight = out + n * n_outputs;
    e->rows = (uint32_t *)(void *)(weight + n);
    memcpy(truth, s->truth, n * sizeof *truth);
    memcpy(out, s->out, n * n_outputs * sizeof *out);
    memcpy(e->rows, rows, n * sizeof *rows);
    if (s->weight) {
        memcpy(weight, s->weight, n * sizeof *weight);
    }
    e->scored = *s;
    e->scored.truth = truth;
    e->scored.out = out;
    e->scored.weight = s->weight ? weight : NULL;
    e->kept = room;
    return GY_OK;
}
