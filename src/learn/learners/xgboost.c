/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost: gradient-boosted trees by libxgboost; answered by the flat walker (runtime/trees.h). */
#include "learn/xgb.h"

#include <math.h>

#include "base/id.h"
#include "base/mem.h"
#include "learn/glm.h"
#include "learn/learners/learners.h"
#include "learn/runtime/trees.h"

#define MAX_ROUNDS 10000
#define SPLIT_STREAM 0x7867 /* of the seed: which rows are set aside for early stopping */

/* Our settings, and what libxgboost calls them; NULL: not its own. */
static const struct {
    const char *ours, *theirs;
} g_names[] = {{"depth", "max_depth"},
               {"eta", "eta"},
               {"min_child_weight", "min_child_weight"},
               {"subsample", "subsample"},
               {"colsample", "colsample_bytree"},
               {"lambda", "lambda"},
               {"alpha", "alpha"},
               {"gamma", "gamma"},
               {"max_bin", "max_bin"},
               {"scale_pos_weight", "scale_pos_weight"},
               {"colsample_bynode", "colsample_bynode"},
               {"num_parallel_tree", "num_parallel_tree"}};

static const char *const g_objectives[] = {"squarederror", "absoluteerror", "poisson",
                                           "gamma",        "tweedie",       NULL};
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
    {"colsample_bynode", GY_SETTING_NUMBER, 0.01, 1, NULL, NULL, "share of them a split sees"},
    {"num_parallel_tree", GY_SETTING_WHOLE, 1, 1000, NULL, NULL, "trees of a round"},
    {"objective", GY_SETTING_WORD, 0, 0, NULL, g_objectives,
     "what regression makes small, squarederror when not said"},
    {"power", GY_SETTING_NUMBER, 1, 2, NULL, NULL, "tweedie: 1.5 when not said"},
    {"monotone", GY_SETTING_LIST, 0, 0, NULL, NULL,
     "features the answer only rises with (+name) or only falls with (-name)"},
    {"early_stopping", GY_SETTING_WHOLE, 1, MAX_ROUNDS, NULL, NULL,
     "stop when so many rounds brought nothing on rows set aside"},
    {"validation", GY_SETTING_NUMBER, 0.01, 0.9, "0.1", NULL,
     "share of the training rows set aside for early_stopping"},
    {0}};

static int64_t rounds(const struct gy_settings *s)
{
    return gy_setting_whole(s, "rounds");
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

/* ---- what libxgboost is told ---- */

static const char *objective_of(const struct gy_settings *s, enum gy_task task)
{
    struct gy_str word = gy_setting_text(s, "objective");
    return task == GY_TASK_BINARY              ? "binary:logistic"
           : task == GY_TASK_MULTICLASS        ? "multi:softprob"
           : gy_str_eqc(word, "absoluteerror") ? "reg:absoluteerror"
           : gy_str_eqc(word, "poisson")       ? "count:poisson"
           : gy_str_eqc(word, "gamma")         ? "reg:gamma"
           : gy_str_eqc(word, "tweedie")       ? "reg:tweedie"
                                               : "reg:squarederror";
}

static gy_status add_settings(const struct gy_settings *s, struct gy_arena *a,
                              struct gy_xgb_param *out, size_t *n, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof g_names / sizeof g_names[0]; i++) {
        struct gy_str text = gy_setting_text(s, g_names[i].ours);
        if (text.p) {
            const char *value = gy_arena_strdup(a, text);
            if (!value) {
                return no_memory(err);
            }
            out[(*n)++] = (struct gy_xgb_param){g_names[i].theirs, value};
        }
    }
    return GY_OK;
}

/* Fixed ones first so that a person's come last. */
gy_status gy_xgboost_params(const struct gy_settings *s, const struct gy_model *m, uint64_t seed,
                            struct gy_arena *a, struct gy_xgb_param *out, size_t *ret_n,
                            struct gy_err *err)
{
    size_t n = 0;
    const char *objective = objective_of(s, m->task);
    const char *seed_text = gy_arena_printf(a, "%llu", (unsigned long long)seed);
    const char *classes = gy_arena_printf(a, "%zu", m->n_classes);
    struct gy_str power = gy_setting_text(s, "power");
    if (!seed_text || !classes) {
        return no_memory(err);
    }
    if (m->task != GY_TASK_REGRESSION && gy_setting_given(s, "objective")) {
        return gy_err_set(err, GY_E_INVALID,
                          "xgboost: objective is for regression: classes have "
                          "an objective of their own");
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
    if (power.p && gy_str_eqc(gy_str_c(objective), "reg:tweedie")) {
        const char *value = gy_arena_strdup(a, power);
        if (!value) {
            return no_memory(err);
        }
        out[n++] = (struct gy_xgb_param){"tweedie_variance_power", value};
    }
    GY_TRY(add_settings(s, a, out, &n, err));
    *ret_n = n;
    return GY_OK;
}

/* "(1,0,-1)": one sign a feature. */
static gy_status add_monotone(const struct gy_fit *f, struct gy_xgb_param *out, size_t *n,
                              struct gy_err *err)
{
    struct gy_str list = gy_setting_text(f->settings, "monotone");
    struct gy_str item;
    GY_AUTO(gy_free) char *signs = gy_calloc(f->n_features + 1, 1);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    if (!signs) {
        return no_memory(err);
    }
    if (!list.p) {
        return GY_OK;
    }
    while (gy_setting_next(&list, &item)) {
        bool found = false;
        struct gy_str name = gy_str_sub(item, 1, item.n);
        for (size_t i = 0; i < f->n_features && item.n > 1; i++) {
            if (gy_str_eq(f->features[i].name, name) && (item.p[0] == '+' || item.p[0] == '-')) {
                signs[i] = item.p[0];
                found = true;
            }
        }
        if (!found) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "xgboost: monotone: '%" GY_STR_F "' is not + or - "
                             "and a feature",
                             GY_STR_A(item));
            return gy_err_hint(err, "as in monotone: [+age, -income]");
        }
    }
    for (size_t i = 0; i < f->n_features; i++) {
        gy_buf_addf(&text, "%s%s", i ? "," : "(",
                    signs[i] == '+'   ? "1"
                    : signs[i] == '-' ? "-1"
                                      : "0");
    }
    gy_buf_addc(&text, ")");
    GY_TRY(gy_buf_check(&text, "monotone", err));
    const char *value = gy_arena_strdup(&f->m->arena, gy_buf_str(&text));
    out[(*n)++] = (struct gy_xgb_param){"monotone_constraints", value};
    return value ? GY_OK : no_memory(err);
}

static gy_status record_params(const struct gy_fit *f, const struct gy_xgb_param *params, size_t n,
                               int kept, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    int version[3];
    GY_TRY(gy_xgb_open(version, err));
    gy_buf_init(&json, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "rounds", rounds(f->settings));
    for (size_t i = 0; i < n; i++) {
        gy_jw_kv_strc(&w, params[i].name, params[i].value);
    }
    if (gy_setting_given(f->settings, "early_stopping")) {
        gy_jw_kv_i64(&w, "early_stopping", gy_setting_whole(f->settings, "early_stopping"));
        gy_jw_kv_f64(&w, "validation", gy_setting_number(f->settings, "validation"));
        gy_jw_kv_i64(&w, "kept_rounds", kept);
    }
    gy_jw_key(&w, "libxgboost");
    gy_jw_strf(&w, "%d.%d.%d", version[0], version[1], version[2]);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

/* ---- targets that an objective can not have ---- */

static gy_status check_rows(const struct gy_fit *f, struct gy_err *err)
{
    struct gy_str word = gy_setting_text(f->settings, "objective");
    bool gamma = gy_str_eqc(word, "gamma");
    bool counts = gy_str_eqc(word, "poisson") || gy_str_eqc(word, "tweedie");
    double total = 0;
    for (size_t i = 0; i < f->n_rows; i++) {
        total += f->weight ? f->weight[i] : 1;
        if ((counts && !(f->y[i] >= 0)) || (gamma && !(f->y[i] > 0))) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "the target of training row %zu is %g: objective "
                             "%" GY_STR_F " needs targets %s",
                             i + 1, f->y[i], GY_STR_A(word), gamma ? "above 0" : "of 0 or more");
            return gy_err_hint(err, "take objective: squarederror");
        }
    }
    return total > 0 ? GY_OK : gy_err_set(err, GY_E_INVALID, "all rows have the weight 0");
}

/* ---- rows as floats ---- */

/* n rows of f, all or those of `rows`, with targets and weights behind them. */
struct part {
    char *room; /* gy_free */
    struct gy_xgb_matrix data;
};

static gy_status take(const struct gy_fit *f, const uint32_t *rows, size_t n,
                      const char *const *names, struct part *ret, struct gy_err *err)
{
    size_t d = f->n_features;
    ret->room = gy_reallocarray(NULL, n + 1, (d + 2) * sizeof(float));
    if (!ret->room) {
        return no_memory(err);
    }
    float *x = (float *)(void *)ret->room;
    float *y = x + n * d;
    float *weight = y + n;
    for (size_t i = 0; i < n; i++) {
        size_t row = rows ? rows[i] : i;
        for (size_t j = 0; j < d; j++) {
            x[i * d + j] = (float)f->x[row * d + j];
        }
        y[i] = (float)f->y[row];
        weight[i] = f->weight ? (float)f->weight[row] : 1;
    }
    ret->data = (struct gy_xgb_matrix){.x = x,
                                       .n_rows = n,
                                       .n_features = d,
                                       .y = y,
                                       .weight = f->weight ? weight : NULL,
                                       .feature_names = names};
    return GY_OK;
}

/* ---- early stopping ---- */

struct watcher {
    const struct gy_fit *f;
    const struct gy_xgb_matrix *data; /* the rows set aside */
    size_t n_out;
    double power; /* of a deviance; 0: squares; -1: absolute values */
    double best;
    int best_at;
    int patience;
};

static double row_loss(const struct watcher *w, size_t i, const float *out)
{
    double y = (double)w->data->y[i];
    if (w->f->m->task == GY_TASK_MULTICLASS) {
        return -log(fmax((double)out[i * w->n_out + (size_t)y], 1e-15));
    }
    double p = (double)out[i];
    if (w->f->m->task == GY_TASK_BINARY) {
        return -log(fmax(y > 0.5 ? p : 1 - p, 1e-15));
    }
    return w->power > 0   ? gy_glm_deviance(w->power, y, p)
           : w->power < 0 ? fabs(y - p)
                          : (y - p) * (y - p);
}

static gy_status look(void *ctx, int n_rounds, const float *out, bool *ret_go_on,
                      struct gy_err *err)
{
    struct watcher *w = ctx;
    double loss = 0;
    double total = 0;
    (void)err;
    for (size_t i = 0; i < w->data->n_rows; i++) {
        double weight = w->data->weight ? (double)w->data->weight[i] : 1;
        loss += weight > 0 ? weight * row_loss(w, i, out) : 0;
        total += weight;
    }
    loss = total > 0 ? loss / total : 0;
    if (w->f->on_measure) {
        w->f->on_measure(w->f->on_measure_ctx, "val_loss", n_rounds, loss);
    }
    if (w->best_at == 0 || loss < w->best) {
        w->best = loss;
        w->best_at = n_rounds;
    }
    *ret_go_on = n_rounds - w->best_at < w->patience;
    return GY_OK;
}

static double power_of(const struct gy_settings *s)
{
    struct gy_str word = gy_setting_text(s, "objective");
    double power = gy_setting_number(s, "power");
    return gy_str_eqc(word, "poisson")         ? 1
           : gy_str_eqc(word, "gamma")         ? 2
           : gy_str_eqc(word, "tweedie")       ? (isnan(power) ? 1.5 : power)
           : gy_str_eqc(word, "absoluteerror") ? -1
                                               : 0;
}

/* Rows in order, each to one side by the seed alone. rows: n_rows; those to train on first. */
static gy_status divide(const struct gy_fit *f, uint32_t *rows, size_t *ret_train,
                        struct gy_err *err)
{
    double share = gy_setting_number(f->settings, "validation");
    size_t n_train = 0;
    size_t n_aside = 0;
    for (int side = 0; side < 2; side++) {
        struct gy_rng r;
        gy_rng_init_stream(&r, f->seed, SPLIT_STREAM);
        for (size_t i = 0; i < f->n_rows; i++) {
            bool aside = gy_rng_f64(&r) < share && i < f->n_rows - f->n_made_up;
            if (aside == (side == 1)) {
                rows[n_train + n_aside] = (uint32_t)i;
                n_train += !aside;
                n_aside += aside;
            }
        }
    }
    *ret_train = n_train;
    if (n_train == 0 || n_aside == 0) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "xgboost: %zu training rows are too few to set some "
                         "aside for early_stopping",
                         f->n_rows);
        return gy_err_hint(err, "leave early_stopping out");
    }
    return GY_OK;
}

static gy_status boost_watched(struct gy_fit *f, struct gy_xgb_plan *plan, const char *const *names,
                               int *ret_kept, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, f->n_rows, sizeof(uint32_t));
    GY_AUTO(gy_free) char *at_room = gy_reallocarray(NULL, (size_t)plan->n_rounds, sizeof(int));
    uint32_t *rows = (uint32_t *)(void *)room;
    int *at = (int *)(void *)at_room;
    size_t n_train = 0;
    struct part parts[2] = {{0}, {0}};
    if (!rows || !at) {
        return no_memory(err);
    }
    for (int i = 0; i < plan->n_rounds; i++) {
        at[i] = i + 1;
    }
    GY_TRY(divide(f, rows, &n_train, err));
    gy_status status = take(f, rows, n_train, names, &parts[0], err);
    if (status == GY_OK) {
        status = take(f, rows + n_train, f->n_rows - n_train, NULL, &parts[1], err);
    }
    if (status == GY_OK) {
        struct watcher w = {.f = f,
                            .data = &parts[1].data,
                            .n_out = f->m->task == GY_TASK_MULTICLASS ? f->m->n_classes : 1,
                            .power = power_of(f->settings),
                            .patience = (int)gy_setting_whole(f->settings, "early_stopping")};
        const struct gy_xgb_watch watch = {.data = parts[1].data,
                                           .at = at,
                                           .n_at = (size_t)plan->n_rounds,
                                           .n_out = w.n_out * parts[1].data.n_rows,
                                           .look = look,
                                           .ctx = &w};
        plan->watch = &watch;
        plan->keep = &w.best_at;
        status = gy_xgb_train(&parts[0].data, plan, f->file, err);
        *ret_kept = w.best_at;
    }
    gy_free(parts[0].room);
    gy_free(parts[1].room);
    return status;
}

static gy_status boost_all(struct gy_fit *f, const struct gy_xgb_plan *plan,
                           const char *const *names, struct gy_err *err)
{
    struct part all = {0};
    gy_status status = take(f, NULL, f->n_rows, names, &all, err);
    if (status == GY_OK) {
        status = gy_xgb_train(&all.data, plan, f->file, err);
    }
    gy_free(all.room);
    return status;
}

/* ---- the learner ---- */

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    struct gy_xgb_param params[GY_XGB_MAX_PARAMS];
    size_t n = 0;
    int kept = (int)rounds(f->settings);
    GY_TRY(check_rows(f, err));
    GY_TRY(gy_xgboost_params(f->settings, m, f->seed, &m->arena, params, &n, err));
    GY_TRY(add_monotone(f, params, &n, err));
    const char **names = gy_arena_calloc(&m->arena, f->n_features, sizeof *names);
    if (!names) {
        return no_memory(err);
    }
    for (size_t i = 0; i < f->n_features; i++) {
        names[i] = f->features[i].name.p;
    }
    struct gy_xgb_plan plan = {.params = params,
                               .n_params = n,
                               .n_rounds = kept,
                               .n_threads = f->n_threads,
                               .on_round = f->on_round,
                               .ctx = f->on_round_ctx};
    if (gy_setting_given(f->settings, "early_stopping")) {
        GY_TRY(boost_watched(f, &plan, names, &kept, err));
    } else {
        GY_TRY(boost_all(f, &plan, names, err));
    }
    int64_t parallel = gy_setting_whole(f->settings, "num_parallel_tree");
    m->n_trees = kept * (parallel > 0 ? parallel : 1) *
                 (m->task == GY_TASK_MULTICLASS ? (int64_t)m->n_classes : 1);
    return record_params(f, params, n, kept, err);
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_learner_check_values(m, 0, err);
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
