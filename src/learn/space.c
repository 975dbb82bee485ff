/* SPDX-License-Identifier: Apache-2.0 */
/* What a search tries, and how a trial is written. */
#include "learn/space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/yaml.h"

/* ---- dimensions ---- */

static const char *const g_layers[] = {"[32]", "[64]", "[128]", "[64, 32]", "[128, 64]", NULL};
static const char *const g_scales[] = {"zscore", NULL}; /* a penalty means little without */
static const char *const g_families[] = {"poisson", "tweedie", NULL};

/* The keys are those of params.yaml. Weights and rates are on a log scale. */
static const struct gy_dimension g_boosted[] = {{"depth", 1, 12, false, true, NULL},
                                                {"eta", 0.02, 0.3, true, false, NULL},
                                                {"min_child_weight", 0.1, 64, true, false, NULL},
                                                {"subsample", 0.5, 1, false, false, NULL},
                                                {"colsample", 0.3, 1, false, false, NULL},
                                                {"lambda", 0.001, 30, true, false, NULL},
                                                {"alpha", 0.0001, 10, true, false, NULL},
                                                {0}};
static const struct gy_dimension g_logistic[] = {{"l2", 0.0001, 10000, true, false, NULL}, {0}};
static const struct gy_dimension g_linear[] = {
    {"scale", 0, 0, false, false, g_scales}, {"l2", 0.0001, 10000, true, false, NULL}, {0}};
static const struct gy_dimension g_glm[] = {{"scale", 0, 0, false, false, g_scales},
                                            {"family", 0, 0, false, false, g_families},
                                            {"l2", 0.0001, 10000, true, false, NULL},
                                            {0}};
static const struct gy_dimension g_forest[] = {
    {"trees", 50, 400, true, true, NULL},           {"depth", 4, 24, false, true, NULL},
    {"min_child_weight", 1, 32, true, false, NULL}, {"subsample", 0.4, 1, false, false, NULL},
    {"max_features", 0.1, 1, false, false, NULL},   {0}};
static const struct gy_dimension g_mlp[] = {{"layers", 0, 0, false, false, g_layers},
                                            {"rate", 0.0003, 0.02, true, false, NULL},
                                            {"decay", 0.0001, 1, true, false, NULL},
                                            {"dropout", 0, 0.5, false, false, NULL},
                                            {0}};

const struct gy_dimension *gy_space_of(enum gy_learner learner)
{
    static const struct gy_dimension *const of[GY_LEARNERS] = {
        [GY_LEARNER_LOGISTIC] = g_logistic, [GY_LEARNER_XGBOOST] = g_boosted,
        [GY_LEARNER_LINEAR] = g_linear,     [GY_LEARNER_GLM] = g_glm,
        [GY_LEARNER_FOREST] = g_forest,     [GY_LEARNER_MLP] = g_mlp,
    };
    return of[learner];
}

/* Learners that go over the rows again and again, in one piece, are for small tables. */
#define FOREST_CELLS 400000
#define MLP_CELLS 150000

static bool suits(const struct gy_space *s, enum gy_learner learner)
{
    const struct gy_learner_ops *ops = gy_learner_get(learner);
    size_t cells = s->n_rows * s->n_inputs;
    bool wanted = s->n_only == 0;
    for (size_t i = 0; i < s->n_only; i++) {
        wanted = wanted || s->only[i] == learner;
    }
    return wanted && gy_space_of(learner) && (ops->tasks & GY_TASK_BIT(s->task)) &&
           (learner != GY_LEARNER_GLM || s->positive) &&
           (s->n_only > 0 || ((learner != GY_LEARNER_FOREST || cells <= FOREST_CELLS) &&
                              (learner != GY_LEARNER_MLP || cells <= MLP_CELLS)));
}

size_t gy_space_learners(const struct gy_space *s, enum gy_learner *out)
{
    size_t n = 0;
    for (int l = 0; l < GY_LEARNERS; l++) {
        if (suits(s, (enum gy_learner)l)) {
            out[n++] = (enum gy_learner)l;
        }
    }
    return n;
}

/* ---- the portfolio ---- */

/* The first ones differ most from each other: a short search still sees a linear model, shallow and
 * deep trees. Settings that are not said are the learner's own. */
static const struct {
    enum gy_learner learner;
    const char *settings; /* "key value;key value" */
} g_portfolio[] = {
    {GY_LEARNER_LOGISTIC, "l2 1"},
    {GY_LEARNER_LINEAR, "scale zscore;l2 1"},
    {GY_LEARNER_XGBOOST, "depth 4;eta 0.1;subsample 0.8"},
    {GY_LEARNER_XGBOOST, "depth 6;eta 0.1;subsample 0.8;colsample 0.8"},
    {GY_LEARNER_XGBOOST, "depth 2;eta 0.2"},
    {GY_LEARNER_FOREST, "trees 200;depth 16"},
    {GY_LEARNER_XGBOOST, "depth 8;eta 0.1;min_child_weight 5;subsample 0.8;colsample 0.7"},
    {GY_LEARNER_XGBOOST, "depth 3;eta 0.1;min_child_weight 5;subsample 0.8;colsample 0.8"},
    {GY_LEARNER_MLP, "layers [64]"},
    {GY_LEARNER_GLM, "family poisson;scale zscore;l2 1"},
    {GY_LEARNER_XGBOOST, "depth 6;eta 0.05;min_child_weight 10;subsample 0.7;colsample 0.7;"
                         "lambda 3"},
    {GY_LEARNER_LOGISTIC, "l2 100"},
    {GY_LEARNER_LINEAR, "scale zscore;l2 100"},
    {GY_LEARNER_XGBOOST, "depth 5;eta 0.05;min_child_weight 1;subsample 0.9;colsample 0.6;"
                         "lambda 1"},
    {GY_LEARNER_XGBOOST, "depth 1;eta 0.3"},
    {GY_LEARNER_FOREST, "trees 300;depth 24;max_features 0.5;min_child_weight 2"},
    {GY_LEARNER_XGBOOST, "depth 10;eta 0.05;min_child_weight 20;subsample 0.7;colsample 0.6;"
                         "lambda 5"},
    {GY_LEARNER_LOGISTIC, "l2 0.01"},
};
#define N_PORTFOLIO (sizeof g_portfolio / sizeof g_portfolio[0])

size_t gy_space_portfolio(const struct gy_space *s)
{
    size_t n = 0;
    for (size_t i = 0; i < N_PORTFOLIO; i++) {
        n += suits(s, g_portfolio[i].learner);
    }
    return n;
}

static void set(struct gy_trial *t, const char *key, struct gy_str value)
{
    struct gy_trial_setting *to = &t->settings[t->n_settings++];
    to->key = key;
    (void)snprintf(to->value, sizeof to->value, "%.*s", (int)value.n, value.p);
}

/* The text of a dimension's key lives as long as the program. */
static const struct gy_dimension *dimension(enum gy_learner learner, struct gy_str key)
{
    const struct gy_dimension *d = gy_space_of(learner);
    while (d && d->key && !gy_str_eqc(key, d->key)) {
        d++;
    }
    return d && d->key ? d : NULL;
}

static void from_portfolio(size_t at, struct gy_trial *ret)
{
    struct gy_str rest = gy_str_c(g_portfolio[at].settings);
    struct gy_str item;
    ret->learner = g_portfolio[at].learner;
    while (gy_str_next(&rest, ';', &item)) {
        struct gy_str key, value;
        if (gy_str_cut(item, ' ', &key, &value)) {
            const struct gy_dimension *d = dimension(ret->learner, key);
            GY_REQUIRE(d != NULL);
            set(ret, d->key, value);
        }
    }
}

/* ---- points ---- */

static size_t words_of(const struct gy_dimension *d)
{
    size_t n = 0;
    while (d->words && d->words[n]) {
        n++;
    }
    return n;
}

static size_t dimensions_of(enum gy_learner learner, size_t *n_words)
{
    const struct gy_dimension *d = gy_space_of(learner);
    size_t n = 0;
    for (; d && d[n].key; n++) {
        n_words[n] = words_of(&d[n]);
    }
    return n;
}

static void set_point(struct gy_trial *t, const struct gy_dimension *d, double u)
{
    char text[32];
    size_t n = words_of(d);
    if (n > 0) {
        size_t w = (size_t)(u * (double)n);
        set(t, d->key, gy_str_c(d->words[w < n ? w : n - 1]));
        return;
    }
    double v = d->log ? d->low * pow(d->high / d->low, u) : d->low + u * (d->high - d->low);
    (void)snprintf(text, sizeof text, d->whole ? "%.0f" : "%.3g", v);
    set(t, d->key, gy_str_c(text));
}

/* The middle for what a trial does not say: it is the learner's own choice. */
static double point_of(const struct gy_trial *t, const struct gy_dimension *d)
{
    size_t n = words_of(d);
    for (size_t i = 0; i < t->n_settings; i++) {
        double v = 0;
        if (strcmp(t->settings[i].key, d->key) != 0) {
            continue;
        }
        for (size_t w = 0; w < n; w++) {
            if (strcmp(t->settings[i].value, d->words[w]) == 0) {
                return ((double)w + 0.5) / (double)n;
            }
        }
        if (n == 0 && gy_parse_f64(gy_str_c(t->settings[i].value), &v, NULL) == GY_OK) {
            double u = d->log ? log(fmax(v, d->low) / d->low) / log(d->high / d->low)
                              : (v - d->low) / (d->high - d->low);
            return fmin(1, fmax(0, u));
        }
    }
    return 0.5;
}

/* ---- proposals ---- */

#define GOOD 0.25     /* of the trials, for the choice of a learner */
#define GOOD_OF_IT 10 /* one in so many of a learner's own, for its settings */
#define ANYWHERE 8    /* one proposal in so many is drawn anywhere */
#define MIN_SEEN 4    /* of a learner, before its settings are modelled */

/* A learner by its share of the good trials, each seen once more than it was. */
static enum gy_learner draw_learner(const enum gy_learner *learners, size_t n,
                                    const struct gy_trial *const *sorted, size_t n_good,
                                    struct gy_rng *r)
{
    double weight[GY_LEARNERS], sum = 0;
    for (size_t l = 0; l < n; l++) {
        weight[l] = 0.5;
        for (size_t i = 0; i < n_good; i++) {
            weight[l] += sorted[i]->learner == learners[l];
        }
        sum += weight[l];
    }
    double rest = gy_rng_f64(r) * sum;
    size_t l = 0;
    while (l + 1 < n && rest >= weight[l]) {
        rest -= weight[l++];
    }
    return learners[l];
}

/* The trials of one learner as points, best first. */
static size_t seen_of(enum gy_learner learner, const struct gy_trial *const *sorted, size_t n,
                      struct gy_tpe_seen *seen)
{
    const struct gy_dimension *d = gy_space_of(learner);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; sorted[i]->learner == learner && d[k].key; k++) {
            seen[kept].u[k] = point_of(sorted[i], &d[k]);
        }
        kept += sorted[i]->learner == learner;
    }
    return kept;
}

static void propose(const struct gy_space *s, const struct gy_trial **sorted, size_t n,
                    struct gy_tpe_seen *seen, struct gy_rng *r, struct gy_trial *ret)
{
    enum gy_learner learners[GY_LEARNERS];
    size_t n_words[GY_SPACE_MAX_DIMENSIONS];
    double u[GY_SPACE_MAX_DIMENSIONS];
    double gain = 0;
    size_t n_good = (size_t)ceil(GOOD * (double)n);
    ret->learner = draw_learner(learners, gy_space_learners(s, learners), sorted, n_good, r);
    size_t n_dimensions = dimensions_of(ret->learner, n_words);
    size_t of_it = seen_of(ret->learner, sorted, n, seen);
    if (of_it < MIN_SEEN || gy_rng_below(r, ANYWHERE) == 0) {
        for (size_t d = 0; d < n_dimensions; d++) {
            u[d] = gy_rng_f64(r);
        }
    } else {
        gy_tpe_propose(seen, of_it, 1 + of_it / GOOD_OF_IT, n_words, n_dimensions, r, u, &gain);
    }
    const struct gy_dimension *dimensions = gy_space_of(ret->learner);
    for (size_t d = 0; d < n_dimensions; d++) {
        set_point(ret, &dimensions[d], u[d]);
    }
}

void gy_space_trial(const struct gy_space *s, size_t i, const struct gy_search *so_far,
                    struct gy_trial *ret)
{
    struct gy_rng r;
    size_t at = 0;
    *ret = (struct gy_trial){.learner = GY_LEARNER_MAJORITY};
    for (size_t k = 0; k < N_PORTFOLIO; k++) {
        if (suits(s, g_portfolio[k].learner) && at++ == i) {
            from_portfolio(k, ret);
            return;
        }
    }
    size_t n = so_far->n_trials, n_ok = 0;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + 1, sizeof(struct gy_tpe_seen));
    GY_AUTO(gy_free) char *list = gy_reallocarray(NULL, n + 1, sizeof(struct gy_trial *));
    gy_rng_init_stream(&r, s->seed, i);
    if (room && list) {
        const struct gy_trial **sorted = (const struct gy_trial **)(void *)list;
        gy_search_sorted(so_far, sorted);
        while (n_ok < n && sorted[n_ok]->ok) {
            n_ok++;
        }
        propose(s, sorted, n_ok, (struct gy_tpe_seen *)(void *)room, &r, ret);
    }
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
    /* Whoever listed steps, or said how to scale, has said it for every trial. */
    ret->steps = base->steps;
    ret->n_steps = base->n_steps;
    ret->has_steps = base->has_steps;
    ret->impute = base->impute.p ? base->impute : ret->impute;
    ret->scale = base->has_steps || base->scale.p ? base->scale : ret->scale;
    ret->has_task = base->has_task;
    ret->task = base->task;
    ret->target = base->target;
    ret->features = base->features;
    ret->n_features = base->n_features;
    ret->threshold = base->threshold;
    ret->threshold_rule = base->threshold_rule;
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
