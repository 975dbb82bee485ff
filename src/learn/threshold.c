/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/threshold.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct row {
    double p, weight;
    bool positive;
};

/* Everything at or above a probability is class 1. */
struct cut {
    double tp, fp;
};

struct search {
    const struct gy_threshold_rule *rule;
    double positives, negatives;
    size_t n;
};

const char *gy_threshold_kind_name(enum gy_threshold_kind k)
{
    static const char *const names[] = {"fixed", "precision", "recall", "cost", "f1"};
    return names[k];
}

static gy_status no_rule(struct gy_str text, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no rule for a threshold",
                     GY_STR_A(text));
    return gy_err_hint(err, "0.3, precision=0.9, recall=0.9, cost=FP:FN or f1");
}

gy_status gy_threshold_parse(struct gy_str text, struct gy_threshold_rule *ret, struct gy_err *err)
{
    struct gy_str key, value, fp, fn;
    *ret = (struct gy_threshold_rule){.kind = GY_THRESHOLD_FIXED};
    if (!gy_str_cut(text, '=', &key, &value)) {
        if (gy_str_eqc(text, "f1")) {
            ret->kind = GY_THRESHOLD_F1;
            return GY_OK;
        }
        return gy_parse_f64(text, &ret->value, NULL) == GY_OK ? gy_threshold_check(ret, err)
                                                              : no_rule(text, err);
    }
    if (gy_str_eqc(key, "cost")) {
        ret->kind = GY_THRESHOLD_COST;
        return gy_str_cut(value, ':', &fp, &fn) && gy_parse_f64(fp, &ret->cost_fp, NULL) == GY_OK &&
                       gy_parse_f64(fn, &ret->cost_fn, NULL) == GY_OK
                   ? gy_threshold_check(ret, err)
                   : no_rule(text, err);
    }
    if (!gy_str_eqc(key, "precision") && !gy_str_eqc(key, "recall")) {
        return no_rule(text, err);
    }
    ret->kind = gy_str_eqc(key, "recall") ? GY_THRESHOLD_RECALL : GY_THRESHOLD_PRECISION;
    return gy_parse_f64(value, &ret->value, NULL) == GY_OK ? gy_threshold_check(ret, err)
                                                           : no_rule(text, err);
}

gy_status gy_threshold_check(const struct gy_threshold_rule *r, struct gy_err *err)
{
    switch (r->kind) {
    case GY_THRESHOLD_F1:
        return GY_OK;
    case GY_THRESHOLD_FIXED:
    case GY_THRESHOLD_PRECISION:
    case GY_THRESHOLD_RECALL:
        return r->value > 0 && r->value <= 1
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "threshold: %g is not in (0, 1]", r->value);
    case GY_THRESHOLD_COST:
        return r->cost_fp >= 0 && r->cost_fn >= 0 && isfinite(r->cost_fp + r->cost_fn) &&
                       r->cost_fp + r->cost_fn > 0
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID,
                                "threshold: costs are finite, not negative and not both 0");
    }
    return GY_OK;
}

static int descending(const void *a, const void *b)
{
    double x = ((const struct row *)a)->p;
    double y = ((const struct row *)b)->p;
    return (x < y) - (x > y);
}

static double share(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static double cost_of(const struct search *s, const struct cut *c)
{
    return s->rule->cost_fp * c->fp + s->rule->cost_fn * (s->positives - c->tp);
}

/* How good a cut is by the rule: larger is better; -inf: it does not keep the floor. */
static double worth(const struct search *s, const struct cut *c)
{
    double precision = share(c->tp, c->tp + c->fp);
    double recall = c->tp / s->positives;
    switch (s->rule->kind) {
    case GY_THRESHOLD_PRECISION:
        return precision >= s->rule->value ? recall : -INFINITY;
    case GY_THRESHOLD_RECALL:
        return recall >= s->rule->value ? precision : -INFINITY;
    case GY_THRESHOLD_COST:
        return -cost_of(s, c);
    case GY_THRESHOLD_F1:
        return 2 * c->tp / (s->positives + c->tp + c->fp);
    case GY_THRESHOLD_FIXED:
        break;
    }
    return -INFINITY;
}

/* Half-way to the next smaller probability; itself when there is no number between. */
static double between(double at, double below)
{
    double middle = below + (at - below) / 2;
    return middle > below && middle <= at ? middle : at;
}

static void describe(const struct search *s, const struct cut *c, double value,
                     struct gy_threshold *ret)
{
    double total = s->positives + s->negatives;
    *ret = (struct gy_threshold){.value = value,
                                 .precision = share(c->tp, c->tp + c->fp),
                                 .recall = c->tp / s->positives,
                                 .f1 = 2 * c->tp / (s->positives + c->tp + c->fp),
                                 .cost = s->rule->kind == GY_THRESHOLD_COST ? cost_of(s, c) / total
                                                                            : NAN,
                                 .n_rows = s->n};
}

static gy_status none_reaches(const struct search *s, double best, struct gy_err *err)
{
    const char *what = gy_threshold_kind_name(s->rule->kind);
    (void)gy_err_set(err, GY_E_INVALID,
                     "no threshold has a %s of %g on the rows it is chosen on; the best is %.4g",
                     what, s->rule->value, best);
    return gy_err_hint(err, "ask for less, or train a model that tells the classes apart better");
}

static gy_status choose(const struct search *s, const struct row *rows, struct gy_threshold *ret,
                        struct gy_err *err)
{
    struct cut c = {0};
    struct cut best_cut = {0};
    double best = -INFINITY;
    double value = NAN;
    double precision = 0; /* the best there is, for the message */
    if (s->rule->kind == GY_THRESHOLD_COST && rows[0].p < 1) {
        best = worth(s, &c); /* nobody is class 1 */
        value = between(1, rows[0].p);
    }
    for (size_t i = 0; i < s->n; i++) {
        c.tp += rows[i].positive ? rows[i].weight : 0;
        c.fp += rows[i].positive ? 0 : rows[i].weight;
        if ((i + 1 < s->n && rows[i + 1].p == rows[i].p) || !(rows[i].p > 0)) {
            continue; /* the group goes on; a threshold of 0 would let everything through */
        }
        precision = fmax(precision, c.tp + c.fp > 0 ? c.tp / (c.tp + c.fp) : 0);
        double w = worth(s, &c);
        if (w > best) {
            best = w;
            best_cut = c;
            value = between(rows[i].p, i + 1 < s->n ? rows[i + 1].p : 0);
        }
    }
    if (isnan(value)) {
        return none_reaches(
            s, s->rule->kind == GY_THRESHOLD_RECALL ? c.tp / s->positives : precision, err);
    }
    describe(s, &best_cut, value, ret);
    return GY_OK;
}

/* What a threshold that is given does. */
static void apply(const struct search *s, const struct row *rows, struct gy_threshold *ret)
{
    struct cut c = {0};
    for (size_t i = 0; i < s->n && rows[i].p >= s->rule->value; i++) {
        c.tp += rows[i].positive ? rows[i].weight : 0;
        c.fp += rows[i].positive ? 0 : rows[i].weight;
    }
    describe(s, &c, s->rule->value, ret);
}

gy_status gy_threshold_choose(const struct gy_threshold_rule *r, const double *truth,
                              const double *p, const double *weight, size_t n,
                              struct gy_threshold *ret, struct gy_err *err)
{
    struct search s = {.rule = r, .n = n};
    GY_TRY(gy_threshold_check(r, err));
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(struct row));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a threshold over %zu rows", n);
    }
    struct row *rows = (struct row *)(void *)room;
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct row){p[i], weight ? weight[i] : 1, truth[i] > 0.5};
        if (!(p[i] >= 0 && p[i] <= 1) || !(rows[i].weight >= 0)) {
            return gy_err_set(err, GY_E_INVALID, "row %zu: probability %g, weight %g", i, p[i],
                              rows[i].weight);
        }
        *(rows[i].positive ? &s.positives : &s.negatives) += rows[i].weight;
    }
    if (!(s.positives > 0 && s.negatives > 0)) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "a threshold is chosen on rows of both classes; these %zu have one", n);
        return gy_err_hint(err, "give a number: threshold: 0.5");
    }
    qsort(rows, n, sizeof *rows, descending);
    if (r->kind == GY_THRESHOLD_FIXED) {
        apply(&s, rows, ret);
        return GY_OK;
    }
    return choose(&s, rows, ret, err);
}
