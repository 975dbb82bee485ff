/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost: gradient-boosted trees by libxgboost; answered by the flat walker (runtime/trees.h). */
#include "learn/xgb.h"

#include "base/mem.h"
#include "learn/learners/learners.h"
#include "learn/runtime/trees.h"

#define MAX_ROUNDS 10000

/* Our names for what libxgboost calls otherwise, beside g_settings; NULL: not its own. */
static const char *const g_theirs[] = {
    NULL,     "max_depth", "eta",   "min_child_weight", "subsample",       "colsample_bytree",
    "lambda", "alpha",     "gamma", "max_bin",          "scale_pos_weight"};
static const struct gy_setting_spec g_settings[] = {
    {"rounds", GY_SETTING_WHOLE, 1, MAX_ROUNDS, "100", NULL, "trees, one after the other"},
    {"depth", GY_SETTING_WHOLE, 0, 64, NULL, NULL, "of a tree, 6 when not said"},
    {"eta", GY_SETTING_NUMBER, 0, 1, NULL, NULL, "how far each tree goes, 0.3 when not said"},
    {"min_child_weight", GY_SETTING_NUMBER, 0, 1e9, NULL, NULL, "least weight of a leaf"},
    {"subsample", GY_SETTING_NUMBER, 0.01, 1, NULL, NULL, "share of the rows a tree sees"},
    {"colsample", GY_SETTING_NUMBER, 0.01, 1, NULL, NULL, "share of the columns a tree sees"},
    {"lambda", GY_SETTING_NUMBER, 0, 1e9, NULL, NULL, "L2 penalty of leaves"},
    {"alpha", GY_SETTING_NUMBER, 0, 1e9, NULL, NULL, "L1 penalty of leaves"},
    {"gamma", GY_SETTING_NUMBER, 0, 1e9, NULL, NULL, "least gain of a split"},
    {"max_bin", GY_SETTING_WHOLE, 2, 65536, NULL, NULL, "values told apart in a column"},
    {"scale_pos_weight", GY_SETTING_NUMBER, 0, 1e9, NULL, NULL, "weight of rows of class 1"},
    {0}};

static int64_t rounds(const struct gy_settings *s)
{
    return gy_setting_whole(s, "rounds");
}

/* Fixed ones first so that a person's come last. */
gy_status gy_xgboost_params(const struct gy_settings *s, const struct gy_model *m, uint64_t seed,
                            struct gy_arena *a, struct gy_xgb_param *out, size_t *ret_n,
                            struct gy_err *err)
{
    size_t n = 0;
    const char *objective = m->task == GY_TASK_BINARY       ? "binary:logistic"
                            : m->task == GY_TASK_MULTICLASS ? "multi:softprob"
                                                            : "reg:squarederror";
    const char *seed_text = gy_arena_printf(a, "%llu", (unsigned long long)seed);
    const char *classes = gy_arena_printf(a, "%zu", m->n_classes);
    if (!seed_text || !classes) {
        return gy_err_set(err, GY_E_NOMEM, "training");
    }
    out[n++] = (struct gy_xgb_param){"objective", objective};
    out[n++] = (struct gy_xgb_param){"tree_method", "hist"};
    out[n++] = (struct gy_xgb_param){"seed", seed_text};
    /* Said, because left to itself 1.7 takes 0.5 and 2.0 fits it to the data. */
    if (m->task != GY_TASK_REGRESSION) {
        out[n++] = (struct gy_xgb_param){"base_score", "0.5"};
    }
    if (m->task == GY_TASK_MULTICLASS) {
        out[n++] = (struct gy_xgb_param){"num_class", classes};
    }
    for (size_t i = 0; g_settings[i].key; i++) {
        if (g_theirs[i] && s->values[i].p) {
            const char *value = gy_arena_strdup(a, s->values[i]);
            if (!value) {
                return gy_err_set(err, GY_E_NOMEM, "training");
            }
            out[n++] = (struct gy_xgb_param){g_theirs[i], value};
        }
    }
    *ret_n = n;
    return GY_OK;
}

static gy_status record_params(const struct gy_fit *f, const struct gy_xgb_param *params, size_t n,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    int version[3];
    GY_TRY(gy_xgb_open(version, err));
    gy_buf_init(&json, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "rounds", rounds(f->settings));
    for (size_t i = 0; i < n; i++) {
        gy_jw_kv_strc(&w, params[i].name, params[i].value);
    }
    gy_jw_key(&w, "libxgboost");
    gy_jw_strf(&w, "%d.%d.%d", version[0], version[1], version[2]);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    struct gy_xgb_param params[GY_XGB_MAX_PARAMS];
    size_t n = 0;
    GY_TRY(gy_xgboost_params(f->settings, m, f->seed, &m->arena, params, &n, err));
    GY_TRY(record_params(f, params, n, err));
    size_t cells = f->n_rows * f->n_features;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, cells + f->n_rows, sizeof(float));
    const char **names = gy_arena_calloc(&m->arena, f->n_features, sizeof *names);
    if (!room || !names) {
        return gy_err_set(err, GY_E_NOMEM, "training");
    }
    float *x = (float *)(void *)room;
    for (size_t i = 0; i < cells; i++) {
        x[i] = (float)f->x[i];
    }
    for (size_t i = 0; i < f->n_rows; i++) {
        x[cells + i] = (float)f->y[i];
    }
    for (size_t i = 0; i < f->n_features; i++) {
        names[i] = f->features[i].name.p;
    }
    const struct gy_xgb_matrix data = {.x = x,
                                       .n_rows = f->n_rows,
                                       .n_features = f->n_features,
                                       .y = x + cells,
                                       .feature_names = names};
    const struct gy_xgb_plan plan = {.params = params,
                                     .n_params = n,
                                     .n_rounds = (int)rounds(f->settings),
                                     .n_threads = f->n_threads,
                                     .on_round = f->on_round,
                                     .ctx = f->on_round_ctx};
    GY_TRY(gy_xgb_train(&data, &plan, f->file, err));
    m->n_trees = rounds(f->settings) * (m->task == GY_TASK_MULTICLASS ? (int64_t)m->n_classes : 1);
    return GY_OK;
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return m->n_values == 0 ? GY_OK : gy_err_set(err, GY_E_CORRUPT, "a tree model has no values");
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    struct gy_trees *trees = NULL;
    GY_TRY(gy_trees_parse(file, &trees, err));
    *ret = (struct gy_runtime){.ops = &gy_trees_ops, .self = trees};
    const struct gy_trees_info *t = gy_trees_get_info(trees);
    size_t n_outputs = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
    bool fits = t->n_features == m->features.n_out && t->n_outputs == n_outputs &&
                (m->task != GY_TASK_BINARY || t->output == GY_TREES_SIGMOID) &&
                (m->task == GY_TASK_MULTICLASS) == (t->output == GY_TREES_SOFTMAX) &&
                (m->task != GY_TASK_REGRESSION ||
                 !gy_str_starts(gy_str_c(t->objective), GY_STR("binary:")));
    ret->n_trees = t->n_trees;
    return fits ? GY_OK
                : gy_err_set(err, GY_E_CORRUPT,
                             "%" GY_STR_F " does not fit the inputs and the task of model.json",
                             GY_STR_A(m->file));
}

const struct gy_learner_ops gy_learner_xgboost = {.version = 1,
                                                  .name = "xgboost",
                                                  .summary = "gradient-boosted trees",
                                                  .tasks = GY_TASKS_ALL,
                                                  .file = "model.ubj",
                                                  .settings = g_settings,
                                                  .rounds = rounds,
                                                  .fit = fit,
                                                  .check = check,
                                                  .load = load};
