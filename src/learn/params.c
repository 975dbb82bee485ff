/* SPDX-License-Identifier: Apache-2.0 */
/* params.yaml -> struct gy_train_params. */
#include <math.h>

#include "base/yaml.h"
#include "learn/train.h"

void gy_train_params_init(struct gy_train_params *p)
{
    memset(p, 0, sizeof *p);
    gy_arena_init(&p->arena, GY_MAX_YAML);
    p->learner = GY_LEARNER_XGBOOST;
    p->threshold = 0.5;
    p->l2 = 1;
    p->rounds = 100;
    p->holdout = 1.0 / 3;
    p->n_threads = 1;
    p->replicates = GY_METRICS_REPLICATES;
}

void gy_train_params_done(struct gy_train_params *p)
{
    if (p) {
        gy_arena_done(&p->arena);
    }
}

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

static gy_status number(struct reader *r, const struct gy_yaml_node *n, const char *key, double min,
                        double max, double *ret)
{
    const struct gy_yaml_node *v = gy_yaml_get(n, key);
    if (!v) {
        return GY_OK;
    }
    if ((v->kind != GY_YAML_INT && v->kind != GY_YAML_FLOAT) || !(v->f >= min && v->f <= max)) {
        return gy_yaml_err(r->y, v, r->err, "%s must be a number from %g to %g", key, min, max);
    }
    *ret = v->f;
    return GY_OK;
}

static gy_status whole(struct reader *r, const struct gy_yaml_node *n, const char *key, int64_t min,
                       int64_t max, int64_t *ret)
{
    const struct gy_yaml_node *v = gy_yaml_get(n, key);
    if (!v) {
        return GY_OK;
    }
    if (v->kind != GY_YAML_INT || v->i < min || v->i > max) {
        return gy_yaml_err(r->y, v, r->err, "%s must be a whole number from %lld to %lld", key,
                           (long long)min, (long long)max);
    }
    *ret = v->i;
    return GY_OK;
}

static gy_status list(struct reader *r, const struct gy_yaml_node *n, const char *key,
                      struct gy_str **ret, size_t *ret_n)
{
    const struct gy_yaml_node *v = gy_yaml_get(n, key);
    if (!v) {
        return GY_OK;
    }
    if (v->kind != GY_YAML_SEQ || v->n_items == 0) {
        return gy_yaml_err(r->y, v, r->err, "%s must be a list", key);
    }
    struct gy_str *items = gy_arena_calloc(&r->p->arena, v->n_items, sizeof *items);
    if (!items) {
        return gy_err_set(r->err, GY_E_NOMEM, "reading parameters");
    }
    for (size_t i = 0; i < v->n_items; i++) {
        if (!v->items[i].text.p) {
            return gy_yaml_err(r->y, &v->items[i], r->err, "%s must be a list of texts", key);
        }
        GY_TRY(keep(r, v->items[i].text, &items[i]));
    }
    *ret = items;
    *ret_n = v->n_items;
    return GY_OK;
}

/* impute: median|mean|zero|none or a number; scale: zscore|none. */
static gy_status steps(struct reader *r, const struct gy_yaml_node *n)
{
    const struct gy_yaml_node *impute = gy_yaml_get(n, "impute");
    const struct gy_yaml_node *scale = gy_yaml_get(n, "scale");
    if (impute) {
        r->p->has_impute = true;
        r->p->constant = 0;
        if (impute->kind == GY_YAML_INT || impute->kind == GY_YAML_FLOAT) {
            r->p->impute = GY_IMPUTE_CONSTANT;
            r->p->constant = impute->f;
        } else if (gy_impute_parse(impute->text, &r->p->impute, NULL) != GY_OK) {
            return gy_yaml_err(r->y, impute, r->err,
                               "impute must be median, mean, zero, none or a number");
        }
    }
    if (scale) {
        r->p->has_scale = true;
        r->p->scale = gy_str_eqc(scale->text, "zscore");
        if (!r->p->scale && !gy_str_eqc(scale->text, "none")) {
            return gy_yaml_err(r->y, scale, r->err, "scale must be zscore or none");
        }
    }
    return GY_OK;
}

/* Our names for what libxgboost calls otherwise; the value is passed on as it is written. */
static const struct {
    const char *ours, *theirs;
    double min, max;
} g_xgb[] = {
    {"depth", "max_depth", 0, 64},
    {"eta", "eta", 0, 1},
    {"min_child_weight", "min_child_weight", 0, 1e9},
    {"subsample", "subsample", 0.01, 1},
    {"colsample", "colsample_bytree", 0.01, 1},
    {"lambda", "lambda", 0, 1e9},
    {"alpha", "alpha", 0, 1e9},
    {"gamma", "gamma", 0, 1e9},
    {"max_bin", "max_bin", 2, 65536},
    {"scale_pos_weight", "scale_pos_weight", 0, 1e9},
};

static gy_status xgboost(struct reader *r, const struct gy_yaml_node *n)
{
    static const char *const allowed[] = {
        "rounds", "depth", "eta",     "min_child_weight", "subsample", "colsample", "lambda",
        "alpha",  "gamma", "max_bin", "scale_pos_weight", "impute",    "scale",     NULL};
    int64_t rounds = r->p->rounds;
    GY_TRY(gy_yaml_only(r->y, n, allowed, r->err));
    GY_TRY(whole(r, n, "rounds", 1, GY_TRAIN_MAX_ROUNDS, &rounds));
    r->p->rounds = (int)rounds;
    for (size_t i = 0; i < sizeof g_xgb / sizeof g_xgb[0]; i++) {
        double value = 0;
        const struct gy_yaml_node *v = gy_yaml_get(n, g_xgb[i].ours);
        GY_TRY(number(r, n, g_xgb[i].ours, g_xgb[i].min, g_xgb[i].max, &value));
        if (v) {
            struct gy_train_param *param = &r->p->xgb[r->p->n_xgb++];
            param->name = gy_str_c(g_xgb[i].theirs);
            GY_TRY(keep(r, v->text, &param->value));
        }
    }
    return GY_OK;
}

static gy_status logistic(struct reader *r, const struct gy_yaml_node *n)
{
    static const char *const allowed[] = {"l2", "impute", "scale", NULL};
    GY_TRY(gy_yaml_only(r->y, n, allowed, r->err));
    return number(r, n, "l2", 0, 1e12, &r->p->l2);
}

static gy_status train_section(struct reader *r, const struct gy_yaml_node *n)
{
    static const char *const allowed[] = {
        "learner",    "task",    "target", "features", "impute",  "scale",    "threshold",
        "replicates", "threads", "slices", "logistic", "xgboost", "majority", NULL};
    struct gy_train_params *p = r->p;
    int64_t threads = p->n_threads;
    int64_t replicates = (int64_t)p->replicates;
    GY_TRY(gy_yaml_only(r->y, n, allowed, r->err));
    const struct gy_yaml_node *learner = gy_yaml_get(n, "learner");
    const struct gy_yaml_node *task = gy_yaml_get(n, "task");
    const struct gy_yaml_node *target = gy_yaml_get(n, "target");
    if (learner && !p->learner_fixed &&
        gy_learner_parse(learner->text, &p->learner, NULL) != GY_OK) {
        return gy_yaml_err(r->y, learner, r->err, "learner must be majority, logistic or xgboost");
    }
    p->has_task = task != NULL;
    if (task && gy_task_parse(task->text, &p->task, NULL) != GY_OK) {
        return gy_yaml_err(r->y, task, r->err, "task must be binary, multiclass or regression");
    }
    if (target) {
        GY_TRY(keep(r, target->text, &p->target));
    }
    GY_TRY(list(r, n, "features", &p->features, &p->n_features));
    GY_TRY(list(r, n, "slices", &p->slices, &p->n_slices));
    GY_TRY(number(r, n, "threshold", 0, 1, &p->threshold));
    GY_TRY(whole(r, n, "threads", 1, GY_TRAIN_MAX_THREADS, &threads));
    GY_TRY(whole(r, n, "replicates", 0, GY_METRICS_MAX_REPLICATES, &replicates));
    p->n_threads = (int)threads;
    p->replicates = (size_t)replicates;
    GY_TRY(steps(r, n));
    GY_TRY(steps(r, gy_yaml_get(n, gy_learner_name(p->learner))));
    if (gy_yaml_get(n, "xgboost")) {
        GY_TRY(xgboost(r, gy_yaml_get(n, "xgboost")));
    }
    if (gy_yaml_get(n, "logistic")) {
        GY_TRY(logistic(r, gy_yaml_get(n, "logistic")));
    }
    return GY_OK;
}

gy_status gy_train_params_read(struct gy_train_params *p, const struct gy_yaml *y,
                               struct gy_err *err)
{
    struct reader r = {.p = p, .y = y, .err = err};
    const struct gy_yaml_node *root = gy_yaml_root(y);
    int64_t seed = (int64_t)p->seed;
    if (root->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    if (root->kind != GY_YAML_MAP) {
        return gy_yaml_err(y, root, err, "parameters must be a map");
    }
    GY_TRY(whole(&r, root, "seed", 0, INT32_MAX, &seed));
    p->seed = (uint64_t)seed;
    GY_TRY(number(&r, root, "holdout", 0.001, 0.999, &p->holdout));
    const struct gy_yaml_node *train = gy_yaml_get(root, "train");
    return train ? train_section(&r, train) : GY_OK;
}
