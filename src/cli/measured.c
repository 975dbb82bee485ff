/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/measured.h"

#include <math.h>

#include "base/mem.h"
#include "learn/bootstrap.h"

#define MAX_SAID 20

static void say_metric(const struct gy_cli *cli, const struct gy_metric *x)
{
    if (isnan(x->value)) {
        gy_cli_say(cli, "  %-22s       -  (these rows do not tell)", x->name);
    } else if (isnan(x->low)) {
        gy_cli_say(cli, "  %-22s %7.4f", x->name, x->value);
    } else {
        gy_cli_say(cli, "  %-22s %7.4f  [%.4f, %.4f]", x->name, x->value, x->low, x->high);
    }
}

void gy_cli_say_metrics(const struct gy_cli *cli, const struct gy_metrics *m,
                        const struct gy_eval *baseline)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct gy_metric *b =
            baseline && baseline->n_groups ? &baseline->groups[0].metrics.items[i] : NULL;
        say_metric(cli, &m->items[i]);
        if (b && !isnan(b->value)) {
            gy_cli_say(cli, "  (majority %.4f)", b->value);
        }
        gy_cli_say(cli, "\n");
    }
}

static void say_classes(const struct gy_cli *cli, const struct gy_eval *e)
{
    gy_cli_say(cli, "  %-22s %9s %7s %7s %8s %10s\n", "class", "precision", "recall", "f1",
               "support", "predicted");
    for (size_t i = 0; i < e->n_labels; i++) {
        const struct gy_class_metrics *c = &e->classes[i];
        gy_cli_say(cli, "  %-22.*s %9.4f %7.4f %7.4f %8lld %10lld\n", (int)e->labels[i].n,
                   e->labels[i].p, c->precision.value, c->recall.value, c->f1.value,
                   (long long)c->support, (long long)c->predicted);
    }
}

static void say_fairness(const struct gy_cli *cli, const struct gy_fairness *f)
{
    if (f->reason.p) {
        gy_cli_say(cli, "fairness by %" GY_STR_F " can not be told: %" GY_STR_F "\n",
                   GY_STR_A(f->column), GY_STR_A(f->reason));
        return;
    }
    gy_cli_say(cli, "fairness by %" GY_STR_F "\n", GY_STR_A(f->column));
    gy_cli_say(cli, "  %-22s %7s %9s %7s %7s %9s\n", "group", "rows", "selected", "tpr", "fpr",
               "precision");
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct gy_fairness_group *g = &f->groups[i];
        gy_cli_say(cli, "  %-22.*s %7zu %9.4f %7.4f %7.4f %9.4f%s\n", (int)g->name.n, g->name.p,
                   g->n_rows, g->selection_rate.value, g->tpr.value, g->fpr.value,
                   g->precision.value, g->counted ? "" : "  (too few to count)");
    }
    const struct gy_metric *const distances[] = {&f->disparate_impact, &f->equal_opportunity,
                                                 &f->predictive_equality, &f->predictive_parity};
    for (size_t i = 0; i < 4; i++) {
        const struct gy_metric *m = distances[i];
        gy_cli_say(cli, "  %-30s %7.4f  [%.4f, %.4f]%s\n", m->name, m->value, m->low, m->high,
                   i > 0 || isnan(m->value) ? ""
                   : f->four_fifths         ? "  (keeps the four-fifths rule)"
                                            : "  (below four fifths)");
    }
    if (f->n_missing > 0) {
        gy_cli_say(cli, "  %zu rows do not say\n", f->n_missing);
    }
}

void gy_cli_say_details(const struct gy_cli *cli, const struct gy_eval *e)
{
    if (e->calibration.n_bins > 0) {
        say_metric(cli, &e->calibration.ece);
        gy_cli_say(cli, "  (expected calibration error)\n");
    }
    if (e->classes) {
        say_classes(cli, e);
    }
    for (size_t i = 0; i < e->n_fairness; i++) {
        say_fairness(cli, &e->fairness[i]);
    }
}

static const char *verdict(const struct gy_difference *d)
{
    if (isnan(d->low) || (d->low <= 0 && d->high >= 0)) {
        return "";
    }
    double gain = gy_metric_gain(d->name, d->a, d->b);
    return gain > 0 ? "better" : gain < 0 ? "worse" : "";
}

void gy_cli_say_paired(const struct gy_cli *cli, const struct gy_paired *p, const char *a,
                       const char *b)
{
    gy_cli_say(cli, "%s less %s, on the same %zu rows\n", a, b, p->n_rows);
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_difference *d = &p->items[i];
        if (isnan(d->difference)) {
            continue;
        }
        gy_cli_say(cli, "  %-22s %7.4f - %7.4f = %+.4f", d->name, d->a, d->b, d->difference);
        if (!isnan(d->low)) {
            gy_cli_say(cli, "  [%+.4f, %+.4f]  %s", d->low, d->high, verdict(d));
        }
        gy_cli_say(cli, "\n");
    }
}

gy_status gy_cli_say_importance(const struct gy_cli *cli, const struct gy_importance *i,
                                struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, i->n, sizeof(uint32_t));
    uint32_t *order = (uint32_t *)(void *)room;
    if (!order) {
        return gy_err_set(err, GY_E_NOMEM, "importance");
    }
    gy_importance_order(i, order);
    gy_cli_say(cli,
               "importance: how much worse %s gets when an input is mixed up (%.4f at first)\n",
               i->metric, i->base);
    for (size_t k = 0; k < i->n && k < MAX_SAID; k++) {
        const struct gy_input_importance *x = &i->items[order[k]];
        gy_cli_say(cli, "  %-22.*s %7.4f  [%.4f, %.4f]\n", (int)x->name.n, x->name.p, x->value,
                   x->low, x->high);
    }
    return GY_OK;
}

/* The largest that is not said yet; SIZE_MAX at the end. */
static size_t next_largest(const double *v, const bool *said, size_t n)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (!said[i] && (best == SIZE_MAX || v[i] > v[best])) {
            best = i;
        }
    }
    return best;
}

gy_status gy_cli_say_explanation(const struct gy_cli *cli, const struct gy_explanation *e,
                                 struct gy_err *err)
{
    GY_AUTO(gy_doubles_free) double *mean = gy_doubles_new(e->n_features, 1);
    GY_AUTO(gy_free) char *room = gy_calloc(e->n_features, sizeof(bool));
    if (!mean || !room) {
        return gy_err_set(err, GY_E_NOMEM, "explanations");
    }
    bool *said = (bool *)room;
    gy_explanation_mean(e, mean);
    gy_cli_say(cli, "mean |contribution| to the margin\n");
    for (size_t k = 0; k < e->n_features && k < MAX_SAID; k++) {
        size_t at = next_largest(mean, said, e->n_features);
        said[at] = true;
        gy_cli_say(cli, "  %-22.*s %7.4f\n", (int)e->features[at].name.n, e->features[at].name.p,
                   mean[at]);
    }
    return GY_OK;
}
