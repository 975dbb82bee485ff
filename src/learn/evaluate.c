/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/evaluate.h"

#include <math.h>

#include "base/mem.h"
#include "learn/cells.h"
#include "learn/evaluate_internal.h"
#include "learn/holdout.h"
#include "learn/table_expr.h"

#define MAX_ARENA (64 * GY_MIB)

/* ---- which rows ---- */

/* A model of elsewhere: its package names the file of which it saw no row. */
static gy_status all_of_file(const struct gy_model *m, const struct gy_table *t, bool *held,
                             struct gy_err *err)
{
    if (!gy_str_eqc(m->held_out_sha256, t->sha256)) {
        gy_err_set(err, GY_E_INVALID,
                   "the package held out the file with sha256 %.12s..., this one has %.12s...",
                   m->held_out_sha256.p, t->sha256);
        return gy_err_hint(err, "pass the file that its notebook wrote; gyre evaluate --all-rows "
                                "measures on rows that no training saw");
    }
    memset(held, 1, t->n_rows * sizeof *held);
    return GY_OK;
}

/* The hash of another key would hold out other rows: training ones among them. */
static gy_status check_key(const struct gy_holdout *h, const struct gy_table *t, struct gy_err *err)
{
    bool by_id = h->column.p != NULL;
    if (h->by != GY_HOLDOUT_HASH) {
        return GY_OK;
    }
    if (by_id && (!t->id || !gy_str_eq(t->id->name, h->column))) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the model's data was split by the id column '%" GY_STR_F
                         "', which this table's schema does not have",
                         GY_STR_A(h->column));
        return gy_err_hint(err, "pass the schema that training used");
    }
    if (!by_id && t->id) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the model's data was split by whole records, this "
                         "table's schema has an id column");
        return gy_err_hint(err, "evaluate with the schema that training used");
    }
    return GY_OK;
}

/* held[i] for every row of the table, by the model's own split. A later table mostly holds the rows
 * of the one before: of a model that learnt from all of them nothing can be told. */
static gy_status split_of(const struct gy_model *m, const struct gy_table *t, bool *held,
                          struct gy_err *err)
{
    struct gy_holdout h;
    if (m->held_out_sha256.p) {
        return all_of_file(m, t, held, err);
    }
    if (gy_model_holdout(m, &h, err) != GY_OK) {
        return gy_err_hint(err, "a notebook says it: log_model(..., metadata={\"gyre\": "
                                "{\"target\": .., \"held_out_sha256\": ..}}), docs/notebooks.md");
    }
    GY_TRY(check_key(&h, t, err));
    if ((h.by == GY_HOLDOUT_KFOLD || h.by == GY_HOLDOUT_NONE) &&
        !gy_str_eqc(m->data_sha256, t->sha256)) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the model has learnt from every row of its table: which of this one it "
                         "has seen can not be told");
        return gy_err_hint(err, "--all-rows measures on rows that no training saw");
    }
    return gy_holdout_rows(&h, t, held, err);
}

gy_status gy_eval_rows(const struct gy_model *m, const struct gy_table *t, enum gy_eval_which which,
                       uint32_t **ret_rows, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_free) char *held = gy_malloc(t->n_rows);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, t->n_rows, sizeof(uint32_t));
    if (!held || !room) {
        return gy_err_set(err, GY_E_NOMEM, "choosing rows");
    }
    bool *is_held = (bool *)held;
    uint32_t *rows = (uint32_t *)(void *)room;
    size_t n = 0;
    if (which != GY_EVAL_ALL) {
        GY_TRY(split_of(m, t, is_held, err));
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        if (which == GY_EVAL_ALL || is_held[i] == (which == GY_EVAL_HELD_OUT)) {
            rows[n++] = (uint32_t)i;
        }
    }
    if (n == 0 && which == GY_EVAL_HELD_OUT && t->n_rows > 0 && m->rows_held_out == 0) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the model has learnt from every row of this table: none is held out");
        return gy_err_hint(err, "evaluate on another table, or on --training rows, marked as such");
    }
    *ret_rows = (uint32_t *)(void *)GY_TAKE(room);
    *ret_n = n;
    return GY_OK;
}

void gy_eval_rows_free(uint32_t *rows)
{
    gy_free(rows);
}

/* How many of these rows the model has been trained on, when its split can be told on this table.
 */
static gy_status count_trained_on(const struct gy_model *m, const struct gy_table *t,
                                  const uint32_t *rows, size_t n, size_t *ret, struct gy_err *err)
{
    *ret = 0;
    GY_AUTO(gy_free) char *room = gy_malloc(t->n_rows);
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "choosing rows");
    }
    bool *held = (bool *)room;
    gy_status status = split_of(m, t, held, NULL);
    if (status == GY_E_INVALID || status == GY_E_NOTFOUND) {
        return GY_OK; /* another key, or no such column: nothing can be said */
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "choosing rows");
    }
    for (size_t i = 0; i < n; i++) {
        *ret += !held[rows[i]];
    }
    return GY_OK;
}

/* ---- predicting ---- */

gy_status gy_predict_table(const struct gy_predictor *p, const struct gy_table *t,
                           const uint32_t *rows, size_t n_rows, double *out, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(p);
    size_t scratch_bytes = gy_predictor_scratch(p, n_rows);
    GY_AUTO(gy_free) char *in_room = gy_reallocarray(NULL, n_rows, info->n_cells * sizeof(double));
    GY_AUTO(gy_free) char *scratch = gy_malloc(scratch_bytes + 63);
    if (!in_room || !scratch) {
        return gy_err_set(err, GY_E_NOMEM, "predicting %zu rows", n_rows);
    }
    double *in = (double *)(void *)in_room;
    GY_TRY(gy_cells_of_table(info->inputs, info->n_inputs, t, rows, n_rows, in, err));
    void *aligned = (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    gy_predictor_run(p, in, n_rows, out, aligned);
    return GY_OK;
}

/* The class index or value of each row; NaN = no label. */
static gy_status read_truth(const struct gy_model *m, const struct gy_table *t,
                            const uint32_t *rows, size_t n, double *truth, struct gy_err *err)
{
    const struct gy_table_column *c = gy_table_column(t, m->target);
    if (!c || (m->task == GY_TASK_REGRESSION && !c->numeric)) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "the table has no column '%" GY_STR_F "' to compare with",
                          GY_STR_A(m->target));
    }
    for (size_t i = 0; i < n; i++) {
        char scratch[32];
        struct gy_str text = gy_table_text(c, rows[i], scratch);
        if (m->task == GY_TASK_REGRESSION || !text.p) {
            truth[i] = text.p ? c->num[rows[i]] : NAN;
            continue;
        }
        size_t k = 0;
        while (k < m->n_classes && !gy_str_eq(m->classes[k], text)) {
            k++;
        }
        if (k == m->n_classes) {
            return gy_err_set(err, GY_E_INVALID,
                              "row %u has the label '%" GY_STR_F "', which the model does not know",
                              (unsigned)rows[i], GY_STR_A(text));
        }
        truth[i] = (double)k;
    }
    return GY_OK;
}

/* ---- slices ---- */

static gy_status measure(const struct gy_scoring *s, const struct gy_scored *scored,
                         struct gy_eval_group *g, struct gy_err *err)
{
    if (scored->n_rows == 0) {
        g->empty = true;
        return GY_OK;
    }
    return gy_metrics_compute(scored, s->o->replicates, s->o->seed, s->o->n_threads, &g->metrics,
                              err);
}

static gy_status measure_slice(const struct gy_scoring *s, struct gy_str text,
                               struct gy_eval_group *g, struct gy_err *err)
{
    GY_AUTO(gy_table_expr_free) struct gy_table_expr *e = NULL;
    struct gy_scored part = s->all;
    gy_status status = gy_table_expr_new(s->t, text, &e, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "slice '%" GY_STR_F "'", GY_STR_A(text));
        return status;
    }
    g->slice = gy_arena_str(&s->ret->arena, text);
    if (!g->slice.p) {
        return gy_err_set(err, GY_E_NOMEM, "a slice");
    }
    part.n_rows = 0;
    part.truth = s->truth;
    part.out = s->out;
    part.weight = s->all.weight ? s->weight : NULL;
    for (size_t i = 0; i < s->all.n_rows; i++) {
        bool hit = false;
        GY_TRY(gy_table_expr_test(e, s->rows[i], &hit, err));
        if (hit) {
            s->truth[part.n_rows] = s->all.truth[i];
            s->weight[part.n_rows] = s->all.weight ? s->all.weight[i] : 1;
            memcpy(s->out + part.n_rows * s->n_outputs, s->all.out + i * s->n_outputs,
                   s->n_outputs * sizeof(double));
            part.n_rows++;
        }
    }
    return measure(s, &part, g, err);
}

static gy_status measure_all(struct gy_scoring *s, struct gy_err *err)
{
    struct gy_eval *e = s->ret;
    e->n_groups = 1 + s->o->n_slices;
    e->groups = gy_arena_calloc(&e->arena, e->n_groups, sizeof *e->groups);
    if (!e->groups) {
        return gy_err_set(err, GY_E_NOMEM, "evaluating");
    }
    GY_TRY(measure(s, &s->all, &e->groups[0], err));
    for (size_t i = 0; i < s->o->n_slices; i++) {
        GY_TRY(measure_slice(s, s->o->slices[i], &e->groups[i + 1], err));
    }
    return GY_OK;
}

/* ---- the whole ---- */

/* How much each row counts. */
gy_status gy_eval_weights(const struct gy_table *t, struct gy_str name, const uint32_t *rows,
                          size_t n, double *weight, struct gy_err *err)
{
    const struct gy_table_column *c = gy_table_column(t, name);
    if (!c || !c->numeric) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "the table has no column of numbers '%" GY_STR_F "' to weight by",
                          GY_STR_A(name));
    }
    for (size_t i = 0; i < n; i++) {
        weight[i] = c->num[rows[i]];
        if (!(weight[i] >= 0) || isinf(weight[i])) {
            (void)gy_err_set(err, GY_E_INVALID, "row %u has the weight %g in '%" GY_STR_F "'",
                             (unsigned)rows[i], weight[i], GY_STR_A(name));
            return gy_err_hint(err, "weights are finite numbers that are not negative");
        }
    }
    return GY_OK;
}

/* Keep the labelled rows; rows is an own copy. */
static size_t drop_unlabelled(uint32_t *rows, double *truth, double *out, size_t n,
                              size_t n_outputs)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(truth[i])) {
            rows[kept] = rows[i];
            truth[kept] = truth[i];
            memmove(out + kept * n_outputs, out + i * n_outputs, n_outputs * sizeof *out);
            kept++;
        }
    }
    return kept;
}

/* What is told of rows that have their truth and their prediction. */
gy_status gy_eval_tell(struct gy_scoring *s, const struct gy_str *classes, struct gy_err *err)
{
    GY_TRY(measure_all(s, err));
    if (s->o->details) {
        GY_TRY(
            gy_eval_details(s->t, s->rows, &s->all, classes, s->all.n_classes, s->o, s->ret, err));
    }
    return s->o->keep ? gy_eval_keep(s->rows, &s->all, s->n_outputs, s->ret, err) : GY_OK;
}

static gy_status evaluate(const struct gy_predictor *p, const struct gy_table *t,
                          const uint32_t *rows, size_t n, const struct gy_eval_options *o,
                          struct gy_eval *ret, struct gy_err *err)
{
    const struct gy_model *m = gy_predictor_model(p);
    size_t no = gy_predictor_info(p)->n_outputs;
    if (gy_predictor_info(p)->n_out_tensors > 0) {
        return gy_err_set(
            err, GY_E_INVALID,
            "the model answers with tensors: there is no one target to measure it by");
    }
    GY_AUTO(gy_free) char *doubles = gy_reallocarray(NULL, n, 2 * (no + 2) * sizeof(double));
    GY_AUTO(gy_free) char *copy = gy_reallocarray(NULL, n, sizeof(uint32_t));
    if (!doubles || !copy) {
        return gy_err_set(err, GY_E_NOMEM, "evaluating %zu rows", n);
    }
    double *truth = (double *)(void *)doubles;
    double *weight = truth + n;
    double *out = weight + n;
    uint32_t *kept = (uint32_t *)(void *)copy;
    memcpy(kept, rows, n * sizeof *rows);
    GY_TRY(read_truth(m, t, rows, n, truth, err));
    if (o->given) {
        memcpy(out, o->given, n * no * sizeof *out);
    } else {
        GY_TRY(gy_predict_table(p, t, rows, n, out, err));
    }
    size_t labelled = drop_unlabelled(kept, truth, out, n, no);
    if (labelled == 0) {
        return gy_err_set(err, GY_E_INVALID, "there is no labelled row to evaluate on");
    }
    ret->n_rows = labelled;
    ret->n_unlabelled = n - labelled;
    GY_TRY(count_trained_on(m, t, kept, labelled, &ret->n_trained_on, err));
    if (o->weight.p) {
        GY_TRY(gy_eval_weights(t, o->weight, kept, labelled, weight, err));
        ret->weight = gy_arena_str(&ret->arena, o->weight);
    }
    struct gy_scoring s = {
        .t = t,
        .o = o,
        .all = {.task = m->task,
                .n_rows = labelled,
                .n_classes = m->n_classes,
                .truth = truth,
                .out = out,
                .threshold = o->threshold > 0 ? o->threshold : m->threshold,
                .weight = o->weight.p ? weight : NULL,
                .deviance_power = o->deviance_power > 0 ? o->deviance_power : gy_model_deviance(m)},
        .rows = kept,
        .truth = out + n * no,
        .weight = out + n * no + n,
        .out = out + n * no + 2 * n,
        .n_outputs = no,
        .ret = ret};
    return gy_eval_tell(&s, m->classes, err);
}

gy_status gy_evaluate(const struct gy_predictor *p, const struct gy_table *t, const uint32_t *rows,
                      size_t n_rows, const struct gy_eval_options *o, struct gy_eval *ret,
                      struct gy_err *err)
{
    if (o->n_slices > GY_EVAL_MAX_SLICES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d slices", GY_EVAL_MAX_SLICES);
    }
    memset(ret, 0, sizeof *ret);
    gy_arena_init(&ret->arena, MAX_ARENA);
    ret->task = gy_predictor_model(p)->task;
    memcpy(ret->data_sha256, t->sha256, sizeof ret->data_sha256);
    ret->same_data = gy_str_eqc(gy_predictor_model(p)->data_sha256, t->sha256);
    struct gy_str digest = gy_predictor_info(p)->digest;
    memcpy(ret->digest, digest.p, digest.n < GY_SHA256_HEX ? digest.n : 0);
    gy_status status = evaluate(p, t, rows, n_rows, o, ret, err);
    if (status != GY_OK) {
        gy_eval_done(ret);
    }
    return status;
}

void gy_eval_done(struct gy_eval *e)
{
    if (e) {
        gy_arena_done(&e->arena);
        gy_free(e->kept);
        e->kept = NULL;
        e->groups = NULL;
        e->n_groups = 0;
    }
}

gy_status gy_evaluate_package(const char *dir, const struct gy_model *split_of_model,
                              const struct gy_table *t, const struct gy_eval_options *o,
                              struct gy_eval *ret, struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    uint32_t *rows = NULL;
    size_t n = 0;
    GY_TRY(gy_predictor_load(dir, &p, err));
    const struct gy_model *m = split_of_model ? split_of_model : gy_predictor_model(p);
    GY_TRY(gy_eval_rows(m, t, GY_EVAL_HELD_OUT, &rows, &n, err));
    gy_status status = gy_evaluate(p, t, rows, n, o, ret, err);
    gy_eval_rows_free(rows);
    return status;
}

const struct gy_metric *gy_eval_metric(const struct gy_eval *e, struct gy_str slice,
                                       struct gy_str name)
{
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct gy_eval_group *g = &e->groups[i];
        if (i == 0 ? slice.p == NULL : slice.p && gy_str_eq(g->slice, slice)) {
            return gy_metrics_get(&g->metrics, name);
        }
    }
    return NULL;
}
