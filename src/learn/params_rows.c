/* SPDX-License-Identifier: Apache-2.0 */
/* The part of params.yaml that says which rows are learnt from, which are measured on, and how much
 * each counts. */
#include <math.h>

#include "base/yaml.h"
#include "learn/train_internal.h"

struct reader {
    struct gy_train_params *p;
    const struct gy_yaml *y;
    struct gy_err *err;
};

static gy_status keep(struct reader *r, struct gy_str s, struct gy_str *ret)
{
    *ret = gy_arena_str(&r->p->arena, s);
    return ret->p ? GY_OK : gy_err_set(r->err, GY_E_NOMEM, "reading parameters");
}

static bool is_number(const struct gy_yaml_node *v)
{
    return v->kind == GY_YAML_INT || v->kind == GY_YAML_FLOAT;
}

/* split: none | {by: hash|group|time|kfold|none, column: NAME, folds: N} */
static gy_status read_split(struct reader *r, const struct gy_yaml_node *v)
{
    static const char *const keys[] = {"by", "column", "folds", NULL};
    struct gy_holdout *h = &r->p->split;
    struct gy_err why = GY_ERR_INIT;
    bool map = v->kind == GY_YAML_MAP;
    const struct gy_yaml_node *by = map ? gy_yaml_get(v, "by") : v;
    const struct gy_yaml_node *column = gy_yaml_get(v, "column");
    const struct gy_yaml_node *folds = gy_yaml_get(v, "folds");
    if (map) {
        GY_TRY(gy_yaml_only(r->y, v, keys, r->err));
    }
    if (!by || gy_holdout_parse(by->text, &h->by, &why) != GY_OK) {
        return gy_yaml_err(r->y, v, r->err, "%s", by ? why.msg : "split needs by: ..");
    }
    bool wants = h->by == GY_HOLDOUT_GROUP || h->by == GY_HOLDOUT_TIME;
    if (wants != (column != NULL) && h->by != GY_HOLDOUT_KFOLD) {
        return gy_yaml_err(r->y, v, r->err,
                           wants ? "this split needs column: NAME" : "this split has no column");
    }
    h->folds = h->by == GY_HOLDOUT_KFOLD ? 5 : 0;
    if (folds) {
        if (h->by != GY_HOLDOUT_KFOLD || folds->kind != GY_YAML_INT || folds->i < 2 ||
            folds->i > GY_FOLDS_MAX) {
            return gy_yaml_err(r->y, folds, r->err, "folds (of kfold) must be 2 to %d",
                               GY_FOLDS_MAX);
        }
        h->folds = (int)folds->i;
    }
    return column ? keep(r, column->text, &h->column) : GY_OK;
}

/* class_weight: balanced | {LABEL: WEIGHT, ..} */
static gy_status read_class_weight(struct reader *r, const struct gy_yaml_node *v)
{
    struct gy_train_params *p = r->p;
    p->balanced = gy_str_eqc(v->text, "balanced");
    if (p->balanced) {
        return GY_OK;
    }
    if (v->kind != GY_YAML_MAP || v->n_items == 0) {
        return gy_yaml_err(r->y, v, r->err, "class_weight is balanced or {LABEL: WEIGHT, ..}");
    }
    p->class_weights = gy_arena_calloc(&p->arena, v->n_items, sizeof *p->class_weights);
    if (!p->class_weights) {
        return gy_err_set(r->err, GY_E_NOMEM, "reading parameters");
    }
    for (size_t i = 0; i < v->n_items; i++) {
        const struct gy_yaml_node *w = &v->items[i];
        if (!is_number(w) || !(w->f >= 0 && w->f < 1e12)) {
            return gy_yaml_err(r->y, w, r->err, "the weight of a class is a number, 0 or more");
        }
        p->class_weights[i].weight = w->f;
        GY_TRY(keep(r, v->keys[i], &p->class_weights[i].label));
    }
    p->n_class_weights = v->n_items;
    return GY_OK;
}

/* smote: true | {k: 5, ratio: 1} */
static gy_status read_smote(struct reader *r, const struct gy_yaml_node *v)
{
    static const char *const keys[] = {"k", "ratio", NULL};
    struct gy_train_params *p = r->p;
    const struct gy_yaml_node *k = gy_yaml_get(v, "k");
    const struct gy_yaml_node *ratio = gy_yaml_get(v, "ratio");
    p->has_smote = v->kind != GY_YAML_BOOL || v->b;
    if (v->kind != GY_YAML_BOOL && v->kind != GY_YAML_MAP) {
        return gy_yaml_err(r->y, v, r->err, "smote is true or {k: 5, ratio: 1}");
    }
    if (v->kind == GY_YAML_MAP) {
        GY_TRY(gy_yaml_only(r->y, v, keys, r->err));
    }
    if (k && (k->kind != GY_YAML_INT || k->i < 1 || k->i > GY_SMOTE_MAX_K)) {
        return gy_yaml_err(r->y, k, r->err, "k must be 1 to %d", GY_SMOTE_MAX_K);
    }
    if (ratio && (!is_number(ratio) || !(ratio->f > 0 && ratio->f <= 1))) {
        return gy_yaml_err(r->y, ratio, r->err, "ratio must be above 0 and at most 1");
    }
    p->smote.k = k ? (size_t)k->i : p->smote.k;
    p->smote.ratio = ratio ? ratio->f : p->smote.ratio;
    return GY_OK;
}

static gy_status part_of_one(struct reader *r, const struct gy_yaml_node *v, double *ret)
{
    if (!is_number(v)) {
        return gy_yaml_err(r->y, v, r->err, "the floor of a threshold is a number");
    }
    *ret = v->f;
    return GY_OK;
}

static gy_status read_cost(struct reader *r, const struct gy_yaml_node *v)
{
    static const char *const keys[] = {"fp", "fn", NULL};
    const struct gy_yaml_node *fp = gy_yaml_get(v, "fp");
    const struct gy_yaml_node *fn = gy_yaml_get(v, "fn");
    if (v->kind != GY_YAML_MAP || !fp || !fn || !is_number(fp) || !is_number(fn)) {
        return gy_yaml_err(r->y, v, r->err, "cost is {fp: 1, fn: 20}: what each error costs");
    }
    GY_TRY(gy_yaml_only(r->y, v, keys, r->err));
    r->p->threshold_rule.cost_fp = fp->f;
    r->p->threshold_rule.cost_fn = fn->f;
    return GY_OK;
}

/* threshold: 0.3 | f1 | {precision: .9} | {recall: .9} | {cost: {fp: 1, fn: 20}} */
static gy_status read_threshold(struct reader *r, const struct gy_yaml_node *v)
{
    static const char *const keys[] = {"precision", "recall", "cost", NULL};
    struct gy_threshold_rule *rule = &r->p->threshold_rule;
    struct gy_err why = GY_ERR_INIT;
    if (is_number(v) && v->f >= 0 && v->f <= 1) {
        r->p->threshold = v->f;
        return GY_OK;
    }
    rule->kind = GY_THRESHOLD_F1;
    if (gy_str_eqc(v->text, "f1")) {
        return GY_OK;
    }
    if (v->kind != GY_YAML_MAP || v->n_items != 1) {
        return gy_yaml_err(r->y, v, r->err,
                           "threshold must be a number from 0 to 1, f1, {precision: 0.9}, {recall: "
                           "0.9} or {cost: {fp: 1, fn: 20}}");
    }
    GY_TRY(gy_yaml_only(r->y, v, keys, r->err));
    if (gy_yaml_get(v, "cost")) {
        rule->kind = GY_THRESHOLD_COST;
        GY_TRY(read_cost(r, &v->items[0]));
    } else {
        rule->kind = gy_yaml_get(v, "precision") ? GY_THRESHOLD_PRECISION : GY_THRESHOLD_RECALL;
        GY_TRY(part_of_one(r, &v->items[0], &rule->value));
    }
    return gy_threshold_check(rule, &why) == GY_OK ? GY_OK
                                                   : gy_yaml_err(r->y, v, r->err, "%s", why.msg);
}

static gy_status read_evaluate(struct reader *r, const struct gy_yaml_node *v)
{
    r->p->on_training = gy_str_eqc(v->text, "training");
    return r->p->on_training || gy_str_eqc(v->text, "held_out")
               ? GY_OK
               : gy_yaml_err(r->y, v, r->err,
                             "evaluate is held_out, or training: the numbers then flatter, and "
                             "are marked");
}

gy_status gy_train_params_rows(struct gy_train_params *p, const struct gy_yaml *y,
                               const struct gy_yaml_node *train, struct gy_err *err)
{
    struct reader r = {.p = p, .y = y, .err = err};
    const struct gy_yaml_node *rows = gy_yaml_get(train, "rows");
    const struct gy_yaml_node *weight = gy_yaml_get(train, "weight");
    static const struct {
        const char *key;
        gy_status (*read)(struct reader *r, const struct gy_yaml_node *v);
    } parts[] = {{"split", read_split},
                 {"class_weight", read_class_weight},
                 {"smote", read_smote},
                 {"threshold", read_threshold},
                 {"evaluate", read_evaluate}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const struct gy_yaml_node *v = gy_yaml_get(train, parts[i].key);
        if (v) {
            GY_TRY(parts[i].read(&r, v));
        }
    }
    if (weight) {
        GY_TRY(keep(&r, weight->text, &p->weight));
    }
    return rows ? gy_row_filters_read(y, rows, &p->arena, &p->filters, &p->n_filters, err) : GY_OK;
}
