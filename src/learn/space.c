/* SPDX-License-Identifier: Apache-2.0 */
/* What a search tries, and how a trial is written. */
#include <math.h>
#include <stdio.h>

#include "base/id.h"
#include "base/yaml.h"
#include "learn/search_internal.h"

enum { DEPTH, ETA, MIN_CHILD_WEIGHT, SUBSAMPLE, COLSAMPLE, LAMBDA, N_DIMENSIONS };

/* The keys are those of params.yaml. Weights and rates are drawn on a log scale. */
static const struct {
    const char *key;
    double low, high, standard;
    bool log, whole;
} g_space[N_DIMENSIONS] = {
    [DEPTH] = {"depth", 2, 10, 6, false, true},
    [ETA] = {"eta", 0.02, 0.3, 0.3, true, false},
    [MIN_CHILD_WEIGHT] = {"min_child_weight", 1, 64, 1, true, true},
    [SUBSAMPLE] = {"subsample", 0.5, 1, 1, false, false},
    [COLSAMPLE] = {"colsample", 0.5, 1, 1, false, false},
    [LAMBDA] = {"lambda", 0.1, 30, 1, true, false},
};

/* The first ones differ most from each other: a short search still sees a linear model, shallow and
 * deep trees. 0 is the learner's own standard. */
static const double g_portfolio[][N_DIMENSIONS] = {
    {4, 0.1, 0, 0.8, 0, 0},    {6, 0.1, 0, 0.8, 0.8, 0},    {2, 0.2, 0, 0, 0, 0},
    {8, 0.1, 5, 0.8, 0.7, 0},  {3, 0.1, 5, 0.8, 0.8, 0},    {6, 0.05, 10, 0.7, 0.7, 3},
    {5, 0.05, 1, 0.9, 0.6, 1}, {10, 0.05, 20, 0.7, 0.6, 5},
};
#define N_PORTFOLIO (sizeof g_portfolio / sizeof g_portfolio[0])

static void set(struct gy_trial *t, const char *key, double value, bool whole)
{
    struct gy_trial_setting *s = &t->settings[t->n_settings++];
    s->key = key;
    (void)snprintf(s->value, sizeof s->value, whole ? "%.0f" : "%.3g", value);
}

static void logistic(struct gy_trial *t, double l2)
{
    t->learner = GY_LEARNER_LOGISTIC;
    set(t, "l2", l2, false);
}

static double setting_of(const struct gy_trial *t, size_t dimension)
{
    for (size_t i = 0; i < t->n_settings; i++) {
        double v = 0;
        if (strcmp(t->settings[i].key, g_space[dimension].key) == 0 &&
            gy_parse_f64(gy_str_c(t->settings[i].value), &v, NULL) == GY_OK) {
            return v;
        }
    }
    return g_space[dimension].standard;
}

static double within(size_t d, double v)
{
    return v < g_space[d].low ? g_space[d].low : v > g_space[d].high ? g_space[d].high : v;
}

static double anywhere(size_t d, struct gy_rng *r)
{
    double u = gy_rng_f64(r);
    double low = g_space[d].low, high = g_space[d].high;
    return g_space[d].log ? low * pow(high / low, u) : low + u * (high - low);
}

static double near(size_t d, double v, struct gy_rng *r)
{
    double step = gy_rng_normal(r);
    double span = g_space[d].high - g_space[d].low;
    return within(d, g_space[d].log ? v * exp(0.5 * step) : v + 0.15 * span * step);
}

static void drawn(size_t i, uint64_t seed, const struct gy_trial *best, struct gy_trial *t)
{
    struct gy_rng r;
    gy_rng_init_stream(&r, seed, i);
    bool close = best && best->learner == GY_LEARNER_XGBOOST && gy_rng_below(&r, 2) == 0;
    t->learner = GY_LEARNER_XGBOOST;
    for (size_t d = 0; d < N_DIMENSIONS; d++) {
        double v = close ? near(d, setting_of(best, d), &r) : anywhere(d, &r);
        set(t, g_space[d].key, v, g_space[d].whole);
    }
}

void gy_space_trial(enum gy_task task, size_t i, uint64_t seed, const struct gy_trial *best,
                    struct gy_trial *ret)
{
    size_t n_linear = task == GY_TASK_BINARY ? 1 : 0; /* what learners there are for a task */
    *ret = (struct gy_trial){.learner = GY_LEARNER_XGBOOST};
    if (i < n_linear) {
        logistic(ret, 1);
        return;
    }
    size_t k = i - n_linear;
    if (k < N_PORTFOLIO) {
        for (size_t d = 0; d < N_DIMENSIONS; d++) {
            if (g_portfolio[k][d] > 0) {
                set(ret, g_space[d].key, g_portfolio[k][d], g_space[d].whole);
            }
        }
        return;
    }
    if (n_linear && k == N_PORTFOLIO) {
        logistic(ret, 100);
        return;
    }
    drawn(i, seed, best, ret);
}

/* ---- a trial as text ---- */

void gy_trial_text(const struct gy_trial *t, struct gy_buf *out)
{
    const char *sep = ": ";
    gy_buf_addc(out, gy_learner_name(t->learner));
    for (size_t i = 0; i < t->n_settings; i++) {
        gy_buf_addf(out, "%s%s %s", sep, t->settings[i].key, t->settings[i].value);
        sep = ", ";
    }
    if (t->rounds > 0) {
        gy_buf_addf(out, "%srounds %d", sep, t->rounds);
    }
}

void gy_trial_yaml(const struct gy_trial *t, struct gy_buf *out)
{
    const char *name = gy_learner_name(t->learner);
    const char *sep = "";
    gy_buf_addf(out, "  learner: %s\n", name);
    if (t->n_settings == 0 && t->rounds == 0) {
        return;
    }
    gy_buf_addf(out, "  %s: {", name);
    if (t->rounds > 0) {
        gy_buf_addf(out, "rounds: %d", t->rounds);
        sep = ", ";
    }
    for (size_t i = 0; i < t->n_settings; i++) {
        gy_buf_addf(out, "%s%s: %s", sep, t->settings[i].key, t->settings[i].value);
        sep = ", ";
    }
    gy_buf_addc(out, "}\n");
}

/* By way of the text, so that a trial is exactly what a params.yaml with it would train. */
gy_status gy_trial_params(const struct gy_trial *t, const struct gy_train_params *base,
                          struct gy_train_params *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    gy_buf_init(&text, 4 * GY_KIB);
    gy_buf_addc(&text, "train:\n");
    gy_trial_yaml(t, &text);
    gy_train_params_init(ret);
    gy_status status = gy_buf_check(&text, "a trial", err);
    if (status == GY_OK) {
        status = gy_yaml_parse(gy_buf_str(&text), "trial", &y, err);
    }
    if (status == GY_OK) {
        status = gy_train_params_read(ret, y, err);
    }
    if (status != GY_OK) {
        gy_train_params_done(ret);
        return status;
    }
    ret->learner_fixed = true;
    ret->has_task = base->has_task;
    ret->task = base->task;
    ret->target = base->target;
    ret->features = base->features;
    ret->n_features = base->n_features;
    ret->threshold = base->threshold;
    ret->seed = base->seed;
    ret->holdout = base->holdout;
    ret->n_threads = base->n_threads;
    ret->replicates = base->replicates;
    ret->split = base->split;
    ret->on_training = base->on_training;
    ret->filters = base->filters;
    ret->n_filters = base->n_filters;
    ret->weight = base->weight;
    ret->balanced = base->balanced;
    ret->class_weights = base->class_weights;
    ret->n_class_weights = base->n_class_weights;
    ret->has_smote = base->has_smote;
    ret->smote = base->smote;
    ret->slices = base->slices;
    ret->n_slices = base->n_slices;
    return GY_OK;
}
