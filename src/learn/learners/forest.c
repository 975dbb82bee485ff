/* SPDX-License-Identifier: Apache-2.0 */
/* forest: a random forest (Breiman, Machine Learning 45, 2001) grown by libxgboost: one round of
 * many trees, each on a part of the rows, each split on a part of the columns, with squared error.
 * A leaf is then the mean of its rows, so that for a class the answer is the share of its rows, as
 * in scikit-learn; libxgboost's own logistic forests take one Newton step instead and stay near one
 * half. Several classes have one forest each, whose answers are divided by their sum; the file then
 * holds them one behind the other (docs/formats.md). */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "learn/learners/learners.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/ubj.h"
#include "learn/xgb.h"

#define MAX_TREES 10000
#define MAGIC "gyre.forest/1"
#define MAX_PARAMS 16

static const char *const g_features[] = {"sqrt", "third", "all", NULL};
static const struct gy_setting_spec g_settings[] = {
    {"trees", GY_SETTING_WHOLE, 1, MAX_TREES, "100", NULL, "that are averaged"},
    {"depth", GY_SETTING_WHOLE, 0, 64, "12", NULL, "of a tree; 0: as deep as it gets"},
    {"min_child_weight", GY_SETTING_NUMBER, 0, 1e9, "1", NULL, "least weight of a leaf"},
    {"subsample", GY_SETTING_NUMBER, 0.01, 1, "0.632", NULL,
     "share of the rows a tree sees; 0.632 is that of a bootstrap sample"},
    {"columns", GY_SETTING_NUMBER, 0.01, 1, "1", NULL, "share of the columns a tree sees"},
    {"max_features", GY_SETTING_NUMBER, 0.001, 1, NULL, g_features,
     "share of them a split sees; sqrt for classes and third for numbers when not said"},
    {"max_bin", GY_SETTING_WHOLE, 2, 65536, "256", NULL, "values told apart in a column"},
    {0}};

struct forest {
    size_t n_classes; /* 0: one forest, its answer as it is */
    bool probability;
    size_t n;
    struct gy_trees *parts[];
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

/* ---- growing ---- */

/* The share of the columns that a split sees, as a text. */
static const char *share_of(const struct gy_fit *f)
{
    struct gy_str given = gy_setting_text(f->settings, "max_features");
    double d = (double)f->n_features;
    bool classes = f->m->task != GY_TASK_REGRESSION;
    double share = gy_setting_number(f->settings, "max_features");
    if (given.p ? gy_str_eqc(given, "sqrt") : classes) {
        share = sqrt(d) / d;
    } else if (given.p ? gy_str_eqc(given, "third") : true) {
        share = 1.0 / 3;
    } else if (gy_str_eqc(given, "all")) {
        share = 1;
    }
    return gy_arena_printf(&f->m->arena, "%.9g", share);
}

static gy_status tell(const struct gy_fit *f, struct gy_xgb_param out[MAX_PARAMS], size_t *ret_n,
                      struct gy_err *err)
{
    struct gy_arena *a = &f->m->arena;
    static const struct {
        const char *theirs, *ours;
    } names[] = {{"num_parallel_tree", "trees"},           {"max_depth", "depth"},
                 {"min_child_weight", "min_child_weight"}, {"subsample", "subsample"},
                 {"colsample_bytree", "columns"},          {"max_bin", "max_bin"}};
    size_t n = 0;
    const char *seed = gy_arena_printf(a, "%llu", (unsigned long long)f->seed);
    const char *share = share_of(f);
    out[n++] = (struct gy_xgb_param){"objective", "reg:squarederror"};
    out[n++] = (struct gy_xgb_param){"tree_method", "hist"};
    out[n++] = (struct gy_xgb_param){"seed", seed};
    out[n++] = (struct gy_xgb_param){"base_score", "0"};
    out[n++] = (struct gy_xgb_param){"eta", "1"};
    out[n++] = (struct gy_xgb_param){"lambda", "0"};
    out[n++] = (struct gy_xgb_param){"colsample_bynode", share};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = gy_arena_strdup(a, gy_setting_text(f->settings, names[i].ours));
        out[n++] = (struct gy_xgb_param){names[i].theirs, value};
        if (!value) {
            return no_memory(err);
        }
    }
    *ret_n = n;
    return seed && share ? GY_OK : no_memory(err);
}

static gy_status record(const struct gy_fit *f, const struct gy_xgb_param *params, size_t n,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    int version[3];
    GY_TRY(gy_xgb_open(version, err));
    gy_buf_init(&json, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_kv_strc(&w, params[i].name, params[i].value);
    }
    gy_jw_key(&w, "libxgboost");
    gy_jw_strf(&w, "%d.%d.%d", version[0], version[1], version[2]);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

static size_t n_parts(const struct gy_model *m)
{
    return m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
}

/* The forest of class k, or the only one. */
static gy_status grow(const struct gy_fit *f, const struct gy_xgb_plan *plan, float *room, size_t k,
                      struct gy_buf *out, struct gy_err *err)
{
    float *y = room + f->n_rows * f->n_features;
    float *weight = y + f->n_rows;
    bool many = f->m->task == GY_TASK_MULTICLASS;
    for (size_t i = 0; i < f->n_rows; i++) {
        y[i] = many ? (float)(f->y[i] == (double)k) : (float)f->y[i];
        weight[i] = f->weight ? (float)f->weight[i] : 1;
    }
    const char **names = gy_arena_calloc(&f->m->arena, f->n_features, sizeof *names);
    if (!names) {
        return no_memory(err);
    }
    for (size_t i = 0; i < f->n_features; i++) {
        names[i] = f->features[i].name.p;
    }
    const struct gy_xgb_matrix data = {.x = room,
                                       .n_rows = f->n_rows,
                                       .n_features = f->n_features,
                                       .y = y,
                                       .weight = f->weight ? weight : NULL,
                                       .feature_names = names};
    return gy_xgb_train(&data, plan, out, err);
}

/* Several forests as one file: "gyre.forest/1 SIZE SIZE ...\n", then their bytes. */
static gy_status grow_many(struct gy_fit *f, const struct gy_xgb_plan *plan, float *room,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    gy_buf_addc(f->file, MAGIC);
    for (size_t k = 0; k < n_parts(f->m); k++) {
        size_t before = bytes.n;
        GY_TRY(grow(f, plan, room, k, &bytes, err));
        gy_buf_addf(f->file, " %zu", bytes.n - before);
        if (f->on_round) {
            f->on_round(f->on_round_ctx, (int64_t)k + 1);
        }
    }
    gy_buf_addc(f->file, "\n");
    gy_buf_add(f->file, gy_buf_str(&bytes));
    return gy_buf_check(f->file, "the forests", err);
}

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    struct gy_xgb_param params[MAX_PARAMS];
    size_t n = 0;
    double total = 0;
    for (size_t i = 0; i < f->n_rows; i++) {
        total += f->weight ? f->weight[i] : 1;
    }
    if (!(total > 0)) {
        return gy_err_set(err, GY_E_INVALID, "all rows have the weight 0");
    }
    GY_TRY(tell(f, params, &n, err));
    GY_TRY(record(f, params, n, err));
    GY_AUTO(gy_free)
    char *memory = gy_reallocarray(NULL, f->n_rows, (f->n_features + 2) * sizeof(float));
    if (!memory) {
        return no_memory(err);
    }
    float *room = (float *)(void *)memory;
    for (size_t i = 0; i < f->n_rows * f->n_features; i++) {
        room[i] = (float)f->x[i];
    }
    const struct gy_xgb_plan plan = {
        .params = params, .n_params = n, .n_rounds = 1, .n_threads = f->n_threads};
    m->n_trees = gy_setting_whole(f->settings, "trees") * (int64_t)n_parts(m);
    return m->task == GY_TASK_MULTICLASS ? grow_many(f, &plan, room, err)
                                         : grow(f, &plan, room, 0, f->file, err);
}

/* ---- answering ---- */

static void forest_free(void *self)
{
    struct forest *r = self;
    for (size_t i = 0; r && i < r->n; i++) {
        gy_trees_free(r->parts[i]);
    }
    gy_free(r);
}
GY_DEFINE_AUTO(struct forest *, forest_free);

const struct gy_trees *gy_forest_part(const void *self, size_t k)
{
    const struct forest *r = self;
    return r->parts[k];
}

/* Scratch: the answers of one class, then that of the walker. */
static size_t forest_scratch(const void *self, size_t n_rows)
{
    const struct forest *r = self;
    return GY_RUNTIME_BLOCK * sizeof(double) + gy_trees_ops.scratch(r->parts[0], n_rows);
}

static void forest_run(const void *self, const double *x, size_t n_rows, double *out, void *scratch)
{
    const struct forest *r = self;
    double *answers = scratch;
    char *rest = (char *)scratch + GY_RUNTIME_BLOCK * sizeof(double);
    for (size_t k = 0; k < r->n; k++) {
        gy_trees_ops.run(r->parts[k], x, n_rows, answers, rest);
        for (size_t i = 0; i < n_rows; i++) {
            double v = answers[i];
            out[i * r->n + k] = !r->probability ? v : v < 0 ? 0 : v > 1 ? 1 : v;
        }
    }
    for (size_t i = 0; i < n_rows && r->n > 1; i++) {
        double sum = 0;
        for (size_t k = 0; k < r->n; k++) {
            sum += out[i * r->n + k];
        }
        for (size_t k = 0; k < r->n; k++) {
            out[i * r->n + k] = sum > 0 ? out[i * r->n + k] / sum : 1 / (double)r->n;
        }
    }
}

/* Of each class's forest as it stands, before the answers are divided by their sum. */
static gy_status forest_explain(const void *self, const double *x, size_t n_rows,
                                const double *means, double *out, struct gy_err *err)
{
    const struct forest *r = self;
    size_t width = gy_trees_get_info(r->parts[0])->n_features + 1;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n_rows, width * sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "explaining");
    }
    double *one = (double *)(void *)room;
    for (size_t k = 0; k < r->n; k++) {
        GY_TRY(gy_trees_ops.explain(r->parts[k], x, n_rows, means, one, err));
        for (size_t i = 0; i < n_rows; i++) {
            memcpy(out + (i * r->n + k) * width, one + i * width, width * sizeof *one);
        }
    }
    return GY_OK;
}

static size_t forest_bytes(const void *self)
{
    const struct forest *r = self;
    size_t bytes = sizeof *r + r->n * sizeof(struct gy_trees *);
    for (size_t k = 0; k < r->n; k++) {
        bytes += gy_runtime_bytes(&gy_trees_ops, r->parts[k]);
    }
    return bytes;
}

static const struct gy_runtime_ops g_forest_ops = {.version = 3,
                                                   .name = "forest",
                                                   .scratch = forest_scratch,
                                                   .run = forest_run,
                                                   .free = forest_free,
                                                   .explain = forest_explain,
                                                   .bytes = forest_bytes};

/* The bytes of part k: the whole file, or a piece of it. */
static gy_status next_part(const struct gy_model *m, struct gy_str *head, struct gy_str *bytes,
                           struct gy_str *ret, struct gy_err *err)
{
    int64_t size = 0;
    struct gy_str word;
    if (m->task != GY_TASK_MULTICLASS) {
        *ret = *bytes;
        return GY_OK;
    }
    if (!gy_str_next(head, ' ', &word) ||
        gy_parse_i64(word, 1, (int64_t)bytes->n, &size, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "%" GY_STR_F " is no file of forests",
                          GY_STR_A(m->file));
    }
    *ret = gy_str_sub(*bytes, 0, (size_t)size);
    *bytes = gy_str_sub(*bytes, (size_t)size, bytes->n);
    return GY_OK;
}

static gy_status load_part(const struct gy_model *m, struct gy_str bytes, struct gy_trees **ret,
                           struct gy_err *err)
{
    GY_TRY(gy_trees_parse(bytes, ret, err));
    const struct gy_trees_info *t = gy_trees_get_info(*ret);
    return t->n_features == m->features.n_out && t->n_outputs == 1 && t->output == GY_TREES_IDENTITY
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT,
                            "%" GY_STR_F " does not fit the inputs and the task of model.json",
                            GY_STR_A(m->file));
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    size_t n = n_parts(m);
    GY_AUTO(forest_free)
    struct forest *r = gy_calloc(1, sizeof *r + n * sizeof(struct gy_trees *));
    struct gy_str head = GY_STR("");
    struct gy_str magic;
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "a forest");
    }
    r->n = n;
    r->probability = m->task != GY_TASK_REGRESSION;
    ret->n_trees = 0;
    if (m->task == GY_TASK_MULTICLASS &&
        (!gy_str_cut(file, '\n', &head, &file) || !gy_str_next(&head, ' ', &magic) ||
         !gy_str_eqc(magic, MAGIC))) {
        return gy_err_set(err, GY_E_CORRUPT, "%" GY_STR_F " is no file of forests",
                          GY_STR_A(m->file));
    }
    for (size_t k = 0; k < n; k++) {
        struct gy_str bytes;
        GY_TRY(next_part(m, &head, &file, &bytes, err));
        GY_TRY(load_part(m, bytes, &r->parts[k], err));
        ret->n_trees += gy_trees_get_info(r->parts[k])->n_trees;
    }
    ret->ops = &g_forest_ops;
    ret->self = GY_TAKE(r);
    return GY_OK;
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_learner_check_values(m, 0, err);
}

const struct gy_learner_ops gy_learner_forest = {.version = 1,
                                                 .name = "forest",
                                                 .summary = "a random forest",
                                                 .tasks = GY_TASKS_ALL,
                                                 .file = "forest.ubj",
                                                 .settings = g_settings,
                                                 .fit = fit,
                                                 .check = check,
                                                 .load = load};
