/* SPDX-License-Identifier: Apache-2.0 */
/* params.yaml -> struct gy_train_params. */
#include <math.h>

#include "base/yaml.h"
#include "learn/picture.h"
#include "learn/steps/steps.h"
#include "learn/train_internal.h"

void gy_train_set_learner(struct gy_train_params *p, enum gy_learner learner)
{
    p->learner = learner;
    p->settings = (struct gy_settings){.specs = gy_learner_get(learner)->settings};
}

int64_t gy_train_rounds(const struct gy_train_params *p)
{
    const struct gy_learner_ops *ops = gy_learner_get(p->learner);
    return ops->rounds ? ops->rounds(&p->settings) : 0;
}

gy_status gy_train_steps(const struct gy_train_params *p, struct gy_arena *a,
                         const struct gy_step_plan **ret, size_t *ret_n, struct gy_err *err)
{
    const struct gy_learner_ops *ops = gy_learner_get(p->learner);
    struct gy_str impute = p->impute.p     ? p->impute
                           : ops->complete ? GY_STR("median")
                                           : GY_STR("none");
    bool scale = p->scale.p ? gy_str_eqc(p->scale, "zscore") : ops->scaled;
    *ret = p->steps;
    *ret_n = p->n_steps;
    if (p->has_steps) {
        return GY_OK;
    }
    struct gy_step_plan *plans = gy_arena_calloc(a, 2, sizeof *plans);
    size_t n = 0;
    if (!plans) {
        return gy_err_set(err, GY_E_NOMEM, "feature steps");
    }
    /* The majority does not look at the inputs. */
    bool looks = p->learner != GY_LEARNER_MAJORITY;
    if (looks && !gy_str_eqc(impute, "none")) {
        plans[n].ops = &gy_step_impute;
        plans[n].settings.specs = gy_step_impute.settings;
        GY_TRY(gy_settings_set(&plans[n++].settings, GY_STR("by"), impute, err));
    }
    if (looks && scale) {
        plans[n++].ops = &gy_step_zscore;
    }
    *ret = plans;
    *ret_n = n;
    return GY_OK;
}

void gy_train_params_init(struct gy_train_params *p)
{
    memset(p, 0, sizeof *p);
    gy_arena_init(&p->arena, GY_MAX_YAML);
    gy_train_set_learner(p, GY_LEARNER_XGBOOST);
    p->threshold = 0.5;
    p->holdout = 1.0 / 3;
    p->smote = (struct gy_smote){.k = 5, .ratio = 1};
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

/* impute: a way or a number; scale: zscore|none; steps: the whole list. */
static gy_status steps(struct reader *r, const struct gy_yaml_node *n)
{
    const struct gy_yaml_node *impute = gy_yaml_get(n, "impute");
    const struct gy_yaml_node *scale = gy_yaml_get(n, "scale");
    const struct gy_yaml_node *list = gy_yaml_get(n, "steps");
    enum gy_impute by;
    if (impute) {
        bool number = impute->kind == GY_YAML_INT || impute->kind == GY_YAML_FLOAT;
        if (!number && gy_impute_parse(impute->text, &by, NULL) != GY_OK) {
            return gy_yaml_err(r->y, impute, r->err,
                               "impute must be median, mean, mode, zero, none or a number");
        }
        GY_TRY(keep(r, impute->text, &r->p->impute));
    }
    if (scale) {
        if (!gy_str_eqc(scale->text, "zscore") && !gy_str_eqc(scale->text, "none")) {
            return gy_yaml_err(r->y, scale, r->err, "scale must be zscore or none");
        }
        GY_TRY(keep(r, scale->text, &r->p->scale));
    }
    if (list) {
        r->p->has_steps = true;
        GY_TRY(gy_steps_read(r->y, list, &r->p->arena, &r->p->steps, &r->p->n_steps, r->err));
    }
    if (r->p->has_steps && (r->p->impute.p || r->p->scale.p)) {
        return gy_yaml_err(r->y, list ? list : n, r->err,
                           "say impute and scale as steps, or leave steps out");
    }
    return GY_OK;
}

/* Every learner's section is checked; the settings of the one that is trained are kept. */
static gy_status learner_section(struct reader *r, enum gy_learner learner,
                                 const struct gy_yaml_node *n)
{
    static const char *const also[] = {"impute", "scale", "steps", NULL};
    struct gy_settings all = {.specs = gy_learner_get(learner)->settings};
    GY_TRY(gy_settings_read(&all, r->y, n, also, &r->p->arena, r->err));
    if (learner == r->p->learner) {
        r->p->settings = all;
        GY_TRY(steps(r, n));
    }
    return GY_OK;
}

static gy_status learner_sections(struct reader *r, const struct gy_yaml_node *train)
{
    for (int i = 0; i < GY_LEARNERS; i++) {
        const struct gy_yaml_node *n = gy_yaml_get(train, gy_learner_name((enum gy_learner)i));
        if (n) {
            GY_TRY(learner_section(r, (enum gy_learner)i, n));
        }
    }
    return GY_OK;
}

static gy_status choose_learner(struct reader *r, const struct gy_yaml_node *v)
{
    enum gy_learner learner = r->p->learner;
    struct gy_err why = GY_ERR_INIT;
    if (v && !r->p->learner_fixed) {
        if (gy_learner_parse(v->text, &learner, &why) != GY_OK) {
            return gy_yaml_err(r->y, v, r->err, "%s", why.msg);
        }
        gy_train_set_learner(r->p, learner);
    }
    return GY_OK;
}

/* image: {width: 28, height: 28, grey: true, column: photo} */
static gy_status image_section(struct reader *r, const struct gy_yaml_node *n)
{
    static const char *const keys[] = {"column", "width", "height", "grey", NULL};
    int64_t width = 0, height = 0;
    if (!n) {
        return GY_OK;
    }
    GY_TRY(gy_yaml_only(r->y, n, keys, r->err));
    GY_TRY(whole(r, n, "width", 1, GY_PICTURE_MAX_SIDE, &width));
    GY_TRY(whole(r, n, "height", 1, GY_PICTURE_MAX_SIDE, &height));
    const struct gy_yaml_node *grey = gy_yaml_get(n, "grey");
    const struct gy_yaml_node *column = gy_yaml_get(n, "column");
    if (width == 0 || height == 0 || (grey && grey->kind != GY_YAML_BOOL)) {
        return gy_yaml_err(r->y, n, r->err, "image needs width, height and grey (true or false)");
    }
    r->p->has_image = true;
    r->p->image_width = (uint16_t)width;
    r->p->image_height = (uint16_t)height;
    r->p->image_channels = grey && !grey->b ? 3 : 1;
    if (width * height * r->p->image_channels > GY_FEATURES_MAX) {
        return gy_yaml_err(r->y, n, r->err, "an image may have at most %d pixels and channels",
                           GY_FEATURES_MAX);
    }
    return column ? keep(r, column->text, &r->p->image_column) : GY_OK;
}

static gy_status train_section(struct reader *r, const struct gy_yaml_node *n)
{
    static const char *const own[] = {
        "learner", "task",         "target",  "features",    "rows",  "split", "evaluate",
        "weight",  "class_weight", "smote",   "impute",      "scale", "steps", "threshold",
        "slices",  "replicates",   "threads", "categorical", "image", NULL};
    const char *allowed[sizeof own / sizeof own[0] + GY_LEARNERS];
    size_t n_allowed = 0;
    struct gy_train_params *p = r->p;
    int64_t threads = p->n_threads;
    int64_t replicates = (int64_t)p->replicates;
    for (; own[n_allowed]; n_allowed++) {
        allowed[n_allowed] = own[n_allowed];
    }
    for (int i = 0; i < GY_LEARNERS; i++) {
        allowed[n_allowed++] = gy_learner_name((enum gy_learner)i);
    }
    allowed[n_allowed] = NULL;
    GY_TRY(gy_yaml_only(r->y, n, allowed, r->err));
    const struct gy_yaml_node *task = gy_yaml_get(n, "task");
    const struct gy_yaml_node *target = gy_yaml_get(n, "target");
    GY_TRY(choose_learner(r, gy_yaml_get(n, "learner")));
    p->has_task = task != NULL;
    if (task && gy_task_parse(task->text, &p->task, NULL) != GY_OK) {
        return gy_yaml_err(r->y, task, r->err, "task must be binary, multiclass or regression");
    }
    if (target) {
        GY_TRY(keep(r, target->text, &p->target));
    }
    GY_TRY(list(r, n, "features", &p->features, &p->n_features));
    GY_TRY(list(r, n, "categorical", &p->categorical, &p->n_categorical));
    GY_TRY(image_section(r, gy_yaml_get(n, "image")));
    GY_TRY(list(r, n, "slices", &p->slices, &p->n_slices));
    GY_TRY(whole(r, n, "threads", 1, GY_TRAIN_MAX_THREADS, &threads));
    GY_TRY(whole(r, n, "replicates", 0, GY_METRICS_MAX_REPLICATES, &replicates));
    p->n_threads = (int)threads;
    p->replicates = (size_t)replicates;
    GY_TRY(gy_train_params_rows(p, r->y, n, r->err));
    GY_TRY(steps(r, n));
    return learner_sections(r, n);
}

gy_status gy_train_params_read(struct gy_train_params *p, const struct gy_yaml *y,
                               struct gy_err *err)
{
    struct reader r = {.p = p, .y = y, .err = err};
    const struct gy_yaml_node *root = gy_yaml_root(y);
    int64_t seed = (int64_t)p->seed;
    if (!root || root->kind == GY_YAML_NULL) { /* an empty file says nothing */
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
