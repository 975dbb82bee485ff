/* SPDX-License-Identifier: Apache-2.0 */
/* XGBoost model file -> flat trees. The schema is the one of XGBoost's doc/model.schema. */
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/runtime/trees_internal.h"
#include "learn/runtime/ubj.h"

struct objective {
    const char *name;
    enum gy_trees_output output;
};

static const struct objective g_objectives[] = {
    {"binary:logistic", GY_TREES_SIGMOID},
    {"binary:logitraw", GY_TREES_IDENTITY},
    {"reg:logistic", GY_TREES_SIGMOID},
    {"reg:squarederror", GY_TREES_IDENTITY},
    {"reg:linear", GY_TREES_IDENTITY},
    {"reg:absoluteerror", GY_TREES_IDENTITY},
    {"reg:squaredlogerror", GY_TREES_IDENTITY},
    {"reg:pseudohubererror", GY_TREES_IDENTITY},
    {"reg:quantileerror", GY_TREES_IDENTITY},
    {"reg:expectileerror", GY_TREES_IDENTITY},
    {"rank:pairwise", GY_TREES_IDENTITY},
    {"rank:ndcg", GY_TREES_IDENTITY},
    {"rank:map", GY_TREES_IDENTITY},
    {"binary:hinge", GY_TREES_STEP},
    {"survival:cox", GY_TREES_EXP},
    {"survival:aft", GY_TREES_EXP},
    {"count:poisson", GY_TREES_EXP},
    {"reg:gamma", GY_TREES_EXP},
    {"reg:tweedie", GY_TREES_EXP},
    {"multi:softprob", GY_TREES_SOFTMAX},
    {"multi:softmax", GY_TREES_SOFTMAX},
};

gy_status gy_trees_corrupt(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "not an XGBoost model: %s", what);
}

gy_status gy_trees_param(const struct gy_ubj *o, const char *key, int64_t absent, int64_t *ret,
                         struct gy_err *err)
{
    const struct gy_ubj *v = gy_ubj_get(o, key);
    *ret = absent;
    if (!v) {
        return GY_OK;
    }
    if (v->kind != GY_UBJ_STR || gy_parse_i64(v->text, 0, INT32_MAX, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "not an XGBoost model: bad '%s'", key);
    }
    return GY_OK;
}

/* One number of base_score, as the margin that the sum starts from. */
static gy_status to_margin(struct gy_str number, enum gy_trees_output output, float *ret,
                           struct gy_err *err)
{
    char copy[64];
    char *end = NULL;
    if (number.n == 0 || number.n >= sizeof copy) {
        return gy_trees_corrupt(err, "no base_score");
    }
    memcpy(copy, number.p, number.n);
    copy[number.n] = '\0';
    float score = strtof(copy, &end);
    if (end != copy + number.n || !isfinite(score)) {
        return gy_trees_corrupt(err, "base_score is no number");
    }
    switch (output) {
    case GY_TREES_IDENTITY:
    case GY_TREES_SOFTMAX:
    case GY_TREES_STEP:
        *ret = score;
        break;
    case GY_TREES_SIGMOID:
        *ret = -logf(1.0F / score - 1.0F);
        break;
    case GY_TREES_EXP:
        *ret = logf(score);
        break;
    }
    return isfinite(*ret) ? GY_OK : gy_trees_corrupt(err, "base_score is out of range");
}

/* base_score: "5E-1", or since 3.1 a list of one "[5E-1]" or of one a class. */
static gy_status read_base_score(const struct gy_ubj *params, struct gy_trees *t,
                                 struct gy_err *err)
{
    struct gy_str rest = gy_str_trim(gy_ubj_str(params, "base_score"));
    struct gy_str piece = GY_STR_NULL;
    size_t n = 0;
    t->base_margin = gy_calloc(t->info.n_outputs, sizeof *t->base_margin);
    if (!t->base_margin) {
        return gy_err_set(err, GY_E_NOMEM, "loading trees");
    }
    if (rest.n > 2 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']') {
        rest = gy_str_sub(rest, 1, rest.n - 2);
        t->info.base_score_list = true;
    }
    while (gy_str_next(&rest, ',', &piece)) {
        if (n == t->info.n_outputs) {
            return gy_err_set(
                err, GY_E_NOTSERVABLE,
                "the XGBoost model has several values of base_score: several targets or quantiles");
        }
        GY_TRY(to_margin(gy_str_trim(piece), t->info.output, &t->base_margin[n++], err));
    }
    if (n == 0) {
        return gy_trees_corrupt(err, "no base_score");
    }
    if (n > 1 && n < t->info.n_outputs) {
        return gy_trees_corrupt(err, "base_score does not fit the classes");
    }
    for (; n < t->info.n_outputs; n++) {
        t->base_margin[n] = t->base_margin[0];
    }
    return GY_OK;
}

static gy_status read_objective(const struct gy_ubj *learner, struct gy_trees *t,
                                struct gy_err *err)
{
    struct gy_str name = gy_ubj_str(gy_ubj_get(learner, "objective"), "name");
    for (size_t i = 0; i < sizeof g_objectives / sizeof g_objectives[0]; i++) {
        if (gy_str_eqc(name, g_objectives[i].name)) {
            t->info.output = g_objectives[i].output;
            memcpy(t->info.objective, name.p, name.n);
            return GY_OK;
        }
    }
    if (!name.p) {
        return gy_trees_corrupt(err, "no objective");
    }
    return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost objective '%" GY_STR_F "' is not supported",
                      GY_STR_A(name));
}

static gy_status read_version(const struct gy_ubj *root, struct gy_trees *t)
{
    int32_t v[3];
    if (gy_ubj_i32s(gy_ubj_get(root, "version"), 3, v)) {
        for (size_t i = 0; i < 3; i++) {
            t->info.version[i] = v[i];
        }
    }
    return GY_OK;
}

/* Sizes and the early stop. Fails: NOTSERVABLE (several targets), CORRUPT. */
static gy_status read_sizes(const struct gy_ubj *learner, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *params = gy_ubj_get(learner, "learner_model_param");
    struct gy_str best = gy_ubj_str(gy_ubj_get(learner, "attributes"), "best_iteration");
    int64_t n_features = 0;
    int64_t n_classes = 0;
    int64_t n_targets = 1;
    if (!best.p ||
        gy_parse_i64(best, 0, GY_TREES_MAX_TREES, &t->info.best_iteration, NULL) != GY_OK) {
        t->info.best_iteration = -1;
    }
    GY_TRY(gy_trees_param(params, "num_feature", 0, &n_features, err));
    GY_TRY(gy_trees_param(params, "num_class", 0, &n_classes, err));
    GY_TRY(gy_trees_param(params, "num_target", 1, &n_targets, err));
    if (n_targets > 1) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost model with several targets");
    }
    if (n_features > GY_TREES_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has more than %d features",
                          GY_TREES_MAX_FEATURES);
    }
    if (n_features == 0 || n_classes > GY_TREES_MAX_CLASSES ||
        (t->info.output == GY_TREES_SOFTMAX) != (n_classes > 1)) {
        return gy_trees_corrupt(err, "num_feature or num_class is out of range");
    }
    t->info.n_features = (size_t)n_features;
    t->info.n_outputs = n_classes > 1 ? (size_t)n_classes : 1;
    return GY_OK;
}

/* gblinear: a weight for each feature and class, then a bias for each class. */
static gy_status read_linear(const struct gy_ubj *model, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *weights = gy_ubj_get(model, "weights");
    size_t n = (t->info.n_features + 1) * t->info.n_outputs;
    if (gy_ubj_len(weights) != n) {
        return gy_trees_corrupt(err, "the weights do not fit the features and classes");
    }
    t->weights = gy_calloc(n, sizeof *t->weights);
    if (!t->weights) {
        return gy_err_set(err, GY_E_NOMEM, "a linear model of %zu weights", n);
    }
    if (!gy_ubj_f32s(weights, n, t->weights)) {
        return gy_trees_corrupt(err, "a weight is no number");
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(t->weights[i])) {
            return gy_trees_corrupt(err, "a weight is not finite");
        }
    }
    /* XGBoost 3.1 and 3.2 boost from one score a class here too, but train and answer with the
     * first of them for every class. */
    for (size_t k = 1; k < t->info.n_outputs; k++) {
        t->base_margin[k] = t->base_margin[0];
    }
    t->info.linear = true;
    return GY_OK;
}

static gy_status read_booster(const struct gy_ubj *learner, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *booster = gy_ubj_get(learner, "gradient_booster");
    const struct gy_ubj *weights = NULL;
    struct gy_str name = gy_ubj_str(booster, "name");
    int64_t parallel = 1;
    if (gy_str_eqc(name, "dart")) {
        weights = gy_ubj_get(booster, "weight_drop");
        booster = gy_ubj_get(booster, "gbtree");
        if (!weights) {
            return gy_trees_corrupt(err, "dart without weight_drop");
        }
    } else if (!gy_str_eqc(name, "gbtree") && !gy_str_eqc(name, "gblinear")) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "XGBoost booster '%" GY_STR_F "' is not supported",
                          GY_STR_A(name));
    }
    const struct gy_ubj *model = gy_ubj_get(booster, "model");
    GY_TRY(gy_trees_read_features(learner, model, t, err));
    if (gy_str_eqc(name, "gblinear")) {
        return read_linear(model, t, err);
    }
    GY_TRY(gy_trees_param(gy_ubj_get(model, "gbtree_model_param"), "num_parallel_tree", 1,
                          &parallel, err));
    t->info.round_trees = (size_t)(parallel < 1 ? 1 : parallel) * t->info.n_outputs;
    return gy_trees_read_trees(model, weights, t, err);
}

static gy_status read_learner(const struct gy_ubj *root, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *learner = gy_ubj_get(root, "learner");
    const struct gy_ubj *params = gy_ubj_get(learner, "learner_model_param");
    if (!params || !gy_ubj_str(gy_ubj_get(learner, "gradient_booster"), "name").p) {
        return gy_trees_corrupt(err, "no learner");
    }
    GY_TRY(read_objective(learner, t, err));
    GY_TRY(read_sizes(learner, t, err));
    GY_TRY(read_base_score(params, t, err));
    return read_booster(learner, t, err);
}

gy_status gy_trees_parse(struct gy_str bytes, struct gy_trees **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MAX_MODEL_MEMORY);
    struct gy_ubj *root = NULL;
    GY_TRY(gy_ubj_parse(bytes, &arena, &root, err));
    GY_AUTO(gy_trees_free) struct gy_trees *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return gy_err_set(err, GY_E_NOMEM, "loading trees");
    }
    gy_arena_init_small(&t->arena, GY_MAX_MODEL_FILE);
    GY_TRY(read_version(root, t));
    GY_TRY(read_learner(root, t, err));
    gy_trees_trim(t);
    *ret = GY_TAKE(t);
    return GY_OK;
}

gy_status gy_trees_load(const char *path, struct gy_trees **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    GY_TRY(gy_file_read(path, &bytes, err));
    gy_status status = gy_trees_parse(gy_buf_str(&bytes), ret, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "%s", path);
    }
    return status;
}
