/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/explain.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/bootstrap.h"
#include "learn/cells.h"
#include "learn/model_internal.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/ubj.h"
#include "learn/xgb.h"

#define BLOCK 256
#define MAX_BACKGROUND (16 * GY_MIB)
#define MAX_SUM_ERROR 1e-3 /* libxgboost adds in float32 */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "explaining");
}

void gy_explanation_done(struct gy_explanation *e)
{
    if (e) {
        gy_doubles_free(e->values);
        e->values = NULL;
        e->n_rows = 0;
    }
}

/* ---- rows after the feature steps ---- */

static gy_status features_of(const struct gy_model *m, const struct gy_table *t,
                             const uint32_t *rows, size_t n, double *out, struct gy_err *err)
{
    const struct gy_features *f = &m->features;
    GY_AUTO(gy_doubles_free) double *cells = gy_doubles_new(BLOCK, f->n_in + 1);
    GY_AUTO(gy_doubles_free) double *scratch = gy_doubles_new(gy_features_scratch(f, BLOCK) + 1, 1);
    uint32_t some[BLOCK];
    if (!cells || !scratch) {
        return no_memory(err);
    }
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t k = n - first < BLOCK ? n - first : BLOCK;
        for (size_t i = 0; i < k; i++) {
            some[i] = rows ? rows[first + i] : (uint32_t)(first + i);
        }
        GY_TRY(gy_cells_of_table(m->inputs, m->n_inputs, t, some, k, cells, err));
        gy_features_apply(f, cells, k, out + first * f->n_out, scratch);
    }
    return GY_OK;
}

/* ---- linear models ---- */

/* The parts of a linear model: n_sets x (n_features + 1) values, the intercept last. */
struct linear {
    const double *values;
    size_t n_sets, n_features;
    size_t exposure; /* the feature that adds its logarithm; SIZE_MAX: none */
};

static gy_status linear_of(const struct gy_model *m, struct linear *ret, bool *ret_is,
                           struct gy_err *err)
{
    struct gy_str name = gy_str_c(gy_learner_name(m->learner));
    size_t width = m->features.n_out + 1;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    *ret = (struct linear){m->values, m->n_values / width, m->features.n_out, SIZE_MAX};
    *ret_is =
        m->n_values > 0 && m->n_values % width == 0 &&
        (gy_str_eqc(name, "logistic") || gy_str_eqc(name, "linear") || gy_str_eqc(name, "glm"));
    if (*ret_is && gy_str_eqc(name, "glm") && m->params_json.p) {
        GY_TRY(gy_json_parse(m->params_json, &doc, err));
        struct gy_str exposure = gy_json_str(yyjson_doc_get_root(doc), "exposure");
        ret->exposure = exposure.p ? gy_features_find(&m->features, exposure) : SIZE_MAX;
    }
    return GY_OK;
}

/* What a feature is averaged as, and enters the margin as. */
static double entering(const struct linear *l, const double *x, size_t i)
{
    return i == l->exposure ? log(x[i]) : x[i];
}

static void means_of(const struct linear *l, const double *x, size_t n, double *mean)
{
    for (size_t i = 0; i < l->n_features; i++) {
        mean[i] = 0;
        for (size_t r = 0; r < n; r++) {
            mean[i] += entering(l, x + r * l->n_features, i) / (double)n;
        }
    }
}

gy_status gy_write_background(const struct gy_model *m, const struct gy_table *t,
                              const uint32_t *rows, size_t n, const char *dir, struct gy_err *err)
{
    struct linear l;
    bool is = false;
    GY_TRY(linear_of(m, &l, &is, err));
    if (!is) {
        return GY_OK;
    }
    GY_AUTO(gy_doubles_free) double *x = gy_doubles_new(n + 1, l.n_features);
    if (!x) {
        return no_memory(err);
    }
    GY_TRY(features_of(m, t, rows, n, x, err));
    double *mean = x + n * l.n_features;
    means_of(&l, x, n, mean);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char path[GY_MAX_PATH];
    struct gy_jw w;
    gy_buf_init(&out, MAX_BACKGROUND);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "format", "gyre.background/1");
    gy_jw_kv_i64(&w, "rows", (int64_t)n);
    gy_jw_key(&w, "means");
    gy_jw_arr(&w);
    for (size_t i = 0; i < l.n_features; i++) {
        gy_jw_f64(&w, mean[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, GY_BACKGROUND_FILE, err));
    GY_TRY(gy_path_join(path, sizeof path, dir, GY_BACKGROUND_FILE, err));
    return gy_file_write(path, gy_buf_str(&out), 0644, err);
}

gy_status gy_read_background(const char *dir, const struct gy_model *m, double **ret,
                             struct gy_err *err)
{
    char path[GY_MAX_PATH];
    size_t n = m->features.n_out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    *ret = NULL;
    GY_TRY(gy_path_join(path, sizeof path, dir, GY_BACKGROUND_FILE, err));
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_TRY(gy_json_read_file(path, MAX_BACKGROUND, &doc, err));
    yyjson_val *means = gy_json_get(yyjson_doc_get_root(doc), "means");
    if (yyjson_arr_size(means) != n) {
        return gy_err_set(err, GY_E_CORRUPT, "%s has not one mean a feature", path);
    }
    GY_AUTO(gy_doubles_free) double *mean = gy_doubles_new(n + 1, 1);
    if (!mean) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *v = yyjson_arr_get(means, i);
        if (!yyjson_is_num(v)) {
            return gy_err_set(err, GY_E_CORRUPT, "%s: a mean is no number", path);
        }
        mean[i] = yyjson_get_num(v);
    }
    *ret = GY_TAKE(mean);
    return GY_OK;
}

static gy_status explain_linear(const struct linear *l, const struct gy_model *m, const char *dir,
                                const double *x, struct gy_explanation *e, struct gy_err *err)
{
    GY_AUTO(gy_doubles_free) double *mean = NULL;
    GY_TRY(gy_read_background(dir, m, &mean, err));
    if (!mean) {
        mean = gy_doubles_new(l->n_features + 1, 1);
        if (!mean) {
            return no_memory(err);
        }
        means_of(l, x, e->n_rows, mean);
        e->of_rows = true;
    }
    for (size_t r = 0; r < e->n_rows; r++) {
        for (size_t s = 0; s < l->n_sets; s++) {
            const double *w = l->values + s * (l->n_features + 1);
            double *out = e->values + (r * l->n_sets + s) * (l->n_features + 1);
            double base = w[l->n_features];
            for (size_t i = 0; i < l->n_features; i++) {
                double weight = i == l->exposure ? 1 : w[i];
                out[i] = weight * (entering(l, x + r * l->n_features, i) - mean[i]);
                base += weight * mean[i];
            }
            out[l->n_features] = base;
        }
    }
    return GY_OK;
}

/* ---- tree models ---- */

/* A newer file may hold what this libxgboost passes over without a word: the walker knows better
 * what the model answers. */
static gy_status check_sums(struct gy_trees *trees, int n_rounds, const float *x, const float *out,
                            size_t n_inside, const struct gy_explanation *e, struct gy_err *err)
{
    size_t n = e->n_rows * n_inside;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(float));
    if (!room) {
        return no_memory(err);
    }
    float *margin = (float *)(void *)room;
    if (n_rounds > 0) {
        gy_trees_cut(trees, (size_t)n_rounds);
    }
    gy_trees_run(trees, x, e->n_rows, true, margin);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t f = 0; f <= e->n_features; f++) {
            sum += (double)out[i * (e->n_features + 1) + f];
        }
        if (!(fabs(sum - (double)margin[i]) <= MAX_SUM_ERROR * (1 + fabs((double)margin[i])))) {
            return gy_err_set(
                err, GY_E_UNSUPPORTED,
                "libxgboost's contributions do not sum to what this model answers: it "
                "was made by another version");
        }
    }
    return GY_OK;
}

/* Contributions of one file of libxgboost, into every n_sets-th place from `set` on. */
static gy_status explain_file(struct gy_str file, int n_rounds, const float *x, size_t n_inside,
                              size_t set, struct gy_explanation *e, struct gy_err *err)
{
    size_t width = e->n_features + 1;
    GY_AUTO(gy_trees_free) struct gy_trees *trees = NULL;
    GY_AUTO(gy_free)
    char *room = gy_reallocarray(NULL, e->n_rows * n_inside, width * sizeof(float));
    if (!room) {
        return no_memory(err);
    }
    float *out = (float *)(void *)room;
    GY_TRY(gy_trees_parse(file, &trees, err));
    bool list = gy_trees_get_info(trees)->base_score_list; /* libxgboost 1.7 would ignore it */
    const struct gy_xgb_matrix data = {.x = x,
                                       .n_rows = e->n_rows,
                                       .n_features = e->n_features,
                                       .base_margin = list ? gy_trees_base_margin(trees) : NULL,
                                       .n_base_margin = n_inside,
                                       .n_rounds = n_rounds};
    GY_TRY(gy_xgb_contributions(file, &data, out, e->n_rows * n_inside * width, err));
    GY_TRY(check_sums(trees, n_rounds, x, out, n_inside, e, err));
    for (size_t r = 0; r < e->n_rows; r++) {
        for (size_t k = 0; k < n_inside; k++) {
            double *to = e->values + (r * e->n_sets + set + k) * width;
            const float *from = out + (r * n_inside + k) * width;
            for (size_t i = 0; i < width; i++) {
                to[i] = (double)from[i];
            }
        }
    }
    return GY_OK;
}

/* A forest of several classes: "gyre.forest/1 SIZE SIZE ...\n", then one file a class. */
static gy_status explain_forests(const struct gy_model *m, struct gy_str file, const float *x,
                                 struct gy_explanation *e, struct gy_err *err)
{
    struct gy_str head, word;
    bool ok = gy_str_cut(file, '\n', &head, &file) && gy_str_next(&head, ' ', &word);
    for (size_t k = 0; k < e->n_sets; k++) {
        int64_t size = 0;
        ok = ok && gy_str_next(&head, ' ', &word) &&
             gy_parse_i64(word, 1, (int64_t)file.n, &size, NULL) == GY_OK;
        if (!ok) {
            return gy_err_set(err, GY_E_CORRUPT, "%" GY_STR_F " is no file of forests",
                              GY_STR_A(m->file));
        }
        GY_TRY(explain_file(gy_str_sub(file, 0, (size_t)size), 0, x, 1, k, e, err));
        file = gy_str_sub(file, (size_t)size, file.n);
    }
    return GY_OK;
}

static gy_status explain_trees(const struct gy_model *m, const char *dir, const double *x,
                               struct gy_explanation *e, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file = {0};
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, e->n_rows, e->n_features * sizeof(float));
    if (!room) {
        return no_memory(err);
    }
    float *floats = (float *)(void *)room;
    for (size_t i = 0; i < e->n_rows * e->n_features; i++) {
        floats[i] = (float)x[i];
    }
    gy_buf_init(&file, GY_MAX_MODEL_FILE);
    GY_TRY(gy_path_join(path, sizeof path, dir, m->file.p, err));
    GY_TRY(gy_file_read(path, &file, err));
    int rounds = m->n_values == 1 ? (int)m->values[0] : 0; /* of a training that stopped early */
    bool many = e->n_sets > 1 && gy_str_eqc(gy_str_c(gy_learner_name(m->learner)), "forest");
    return many ? explain_forests(m, gy_buf_str(&file), floats, e, err)
                : explain_file(gy_buf_str(&file), rounds, floats, e->n_sets, 0, e, err);
}

/* ---- the whole ---- */

static gy_status explain(const struct gy_predictor *p, const char *dir, const struct gy_table *t,
                         const uint32_t *rows, struct gy_explanation *e, struct gy_err *err)
{
    const struct gy_model *m = gy_predictor_model(p);
    struct gy_str name = gy_str_c(gy_learner_name(m->learner));
    struct linear l;
    bool is_linear = false;
    GY_TRY(linear_of(m, &l, &is_linear, err));
    if (!is_linear && !gy_str_eqc(name, "xgboost") && !gy_str_eqc(name, "forest")) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "contributions are told of linear and of tree models, not of '%" GY_STR_F
                         "'",
                         GY_STR_A(name));
        return gy_err_hint(err, "gyre evaluate --importance tells what any model looks at");
    }
    GY_AUTO(gy_doubles_free) double *x = gy_doubles_new(e->n_rows, e->n_features);
    e->values = gy_doubles_new(e->n_rows * e->n_sets, e->n_features + 1);
    if (!x || !e->values) {
        return no_memory(err);
    }
    GY_TRY(features_of(m, t, rows, e->n_rows, x, err));
    return is_linear ? explain_linear(&l, m, dir, x, e, err) : explain_trees(m, dir, x, e, err);
}

gy_status gy_explain(const struct gy_predictor *p, const char *dir, const struct gy_table *t,
                     const uint32_t *rows, size_t n, struct gy_explanation *ret, struct gy_err *err)
{
    const struct gy_model *m = gy_predictor_model(p);
    size_t sets = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
    *ret = (struct gy_explanation){
        .n_rows = n, .n_sets = sets, .n_features = m->features.n_out, .features = m->features.out};
    if (n == 0) {
        return gy_err_set(err, GY_E_INVALID, "there is no row to explain");
    }
    if (n > GY_EXPLAIN_MAX_VALUES / (sets * (ret->n_features + 1))) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu rows are too many to explain at once", n);
    }
    gy_status status = explain(p, dir, t, rows, ret, err);
    if (status != GY_OK) {
        gy_explanation_done(ret);
    }
    return status;
}

double gy_explanation_margin(const struct gy_explanation *e, size_t row, size_t set)
{
    const double *v = gy_explanation_of(e, row, set);
    double sum = v[e->n_features];
    for (size_t i = 0; i < e->n_features; i++) {
        sum += v[i];
    }
    return sum;
}

void gy_explanation_mean(const struct gy_explanation *e, double *out)
{
    memset(out, 0, e->n_features * sizeof *out);
    for (size_t r = 0; r < e->n_rows * e->n_sets; r++) {
        const double *v = e->values + r * (e->n_features + 1);
        for (size_t i = 0; i < e->n_features; i++) {
            out[i] += fabs(v[i]);
        }
    }
    for (size_t i = 0; i < e->n_features; i++) {
        out[i] /= (double)e->n_rows;
    }
}

gy_status gy_explanation_write(struct gy_jw *w, const struct gy_explanation *e, struct gy_err *err)
{
    GY_AUTO(gy_doubles_free) double *mean = gy_doubles_new(e->n_features, 1);
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, e->n_features, sizeof(uint32_t));
    if (!mean || !room) {
        return no_memory(err);
    }
    uint32_t *order = (uint32_t *)(void *)room;
    gy_explanation_mean(e, mean);
    for (size_t k = 0; k < e->n_features; k++) {
        size_t at = k;
        for (; at > 0 && mean[order[at - 1]] < mean[k]; at--) {
            order[at] = order[at - 1];
        }
        order[at] = (uint32_t)k;
    }
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "rows", (int64_t)e->n_rows);
    gy_jw_key(w, "features");
    gy_jw_arr(w);
    for (size_t k = 0; k < e->n_features; k++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", e->features[order[k]].name);
        gy_jw_kv_f64(w, "mean_abs", mean[order[k]]);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}
