/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/xgb.h"

#include <math.h>
#include <stdio.h>

#include "base/dl.h"
#include "base/mem.h"

/* From xgboost/c_api.h, which is not needed to build Gyre. */
typedef void *dmatrix;
typedef void *booster;

static struct {
    void (*version)(int *, int *, int *);
    const char *(*last_error)(void);
    int (*set_global)(const char *);
    int (*matrix_new)(const float *, uint64_t, uint64_t, float, dmatrix *, int);
    int (*matrix_floats)(dmatrix, const char *, const float *, uint64_t);
    int (*matrix_free)(dmatrix);
    int (*booster_new)(const dmatrix *, uint64_t, booster *);
    int (*booster_free)(booster);
    int (*set_param)(booster, const char *, const char *);
    int (*booster_strings)(booster, const char *, const char **, uint64_t);
    int (*update)(booster, int, dmatrix);
    int (*predict)(booster, dmatrix, const char *, const uint64_t **, uint64_t *, const float **);
    int (*load)(booster, const void *, uint64_t);
    int (*save)(booster, const char *, uint64_t *, const char **);
    int (*slice)(booster, int, int, int, booster *);
} g_xgb;

static void *g_handle;

#define SYMBOL(field, name)                 \
    {                                       \
        name, (void **)(void *)&g_xgb.field \
    }

static gy_status open_library(struct gy_err *err)
{
    static const struct gy_dl_symbol symbols[] = {
        SYMBOL(version, "XGBoostVersion"),
        SYMBOL(last_error, "XGBGetLastError"),
        SYMBOL(set_global, "XGBSetGlobalConfig"),
        SYMBOL(matrix_new, "XGDMatrixCreateFromMat_omp"),
        SYMBOL(matrix_floats, "XGDMatrixSetFloatInfo"),
        SYMBOL(matrix_free, "XGDMatrixFree"),
        SYMBOL(booster_new, "XGBoosterCreate"),
        SYMBOL(booster_free, "XGBoosterFree"),
        SYMBOL(set_param, "XGBoosterSetParam"),
        SYMBOL(booster_strings, "XGBoosterSetStrFeatureInfo"),
        SYMBOL(update, "XGBoosterUpdateOneIter"),
        SYMBOL(predict, "XGBoosterPredictFromDMatrix"),
        SYMBOL(load, "XGBoosterLoadModelFromBuffer"),
        SYMBOL(save, "XGBoosterSaveModelToBuffer"),
        SYMBOL(slice, "XGBoosterSlice"),
    };
    return gy_dl_open(&g_handle, "libxgboost.so.0", "libxgboost0", symbols,
                      sizeof symbols / sizeof symbols[0], err);
}

gy_status gy_xgb_open(int ret_version[3], struct gy_err *err)
{
    GY_TRY(open_library(err));
    g_xgb.version(&ret_version[0], &ret_version[1], &ret_version[2]);
    if (ret_version[0] < 1 || (ret_version[0] == 1 && ret_version[1] < 7)) {
        return gy_err_set(err, GY_E_VERSION, "libxgboost %d.%d.%d is older than 1.7",
                          ret_version[0], ret_version[1], ret_version[2]);
    }
    return GY_OK;
}

/* The first line of libxgboost's message, without its time and source file: "[01:02:03] a.cc:1: x".
 */
static gy_status failed(gy_status code, const char *what, struct gy_err *err)
{
    struct gy_str message = gy_str_c(g_xgb.last_error());
    (void)gy_str_cut(message, '\n', &message, &(struct gy_str){0});
    size_t at = gy_str_find_str(message, GY_STR("] "));
    if (at != SIZE_MAX) {
        message = gy_str_sub(message, at + 2, message.n);
    }
    at = gy_str_find_str(message, GY_STR(": "));
    if (at != SIZE_MAX && gy_str_find(gy_str_sub(message, 0, at), '/') != SIZE_MAX) {
        message = gy_str_sub(message, at + 2, message.n);
    }
    return gy_err_set(err, code, "libxgboost: %s: %" GY_STR_F, what, GY_STR_A(message));
}

static gy_status set_base_margin(const struct gy_xgb_matrix *data, dmatrix m, struct gy_err *err)
{
    size_t k = data->n_base_margin;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, data->n_rows, k * sizeof(float));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "margins of %zu rows", data->n_rows);
    }
    float *margins = (float *)(void *)room;
    for (size_t i = 0; i < data->n_rows * k; i++) {
        margins[i] = data->base_margin[i % k];
    }
    if (g_xgb.matrix_floats(m, "base_margin", margins, data->n_rows * k) != 0) {
        return failed(GY_E_INVALID, "the margins", err);
    }
    return GY_OK;
}

static gy_status make_matrix(const struct gy_xgb_matrix *data, int n_threads, dmatrix *ret,
                             struct gy_err *err)
{
    if (g_xgb.matrix_new(data->x, data->n_rows, data->n_features, NAN, ret, n_threads) != 0) {
        return failed(GY_E_INVALID, "the data", err);
    }
    if (data->y && g_xgb.matrix_floats(*ret, "label", data->y, data->n_rows) != 0) {
        return failed(GY_E_INVALID, "the labels", err);
    }
    if (data->weight && g_xgb.matrix_floats(*ret, "weight", data->weight, data->n_rows) != 0) {
        return failed(GY_E_INVALID, "the weights", err);
    }
    return data->base_margin ? set_base_margin(data, *ret, err) : GY_OK;
}

static gy_status set_params(booster b, const struct gy_xgb_param *params, size_t n, int n_threads,
                            struct gy_err *err)
{
    char threads[16];
    (void)snprintf(threads, sizeof threads, "%d", n_threads);
    if (g_xgb.set_param(b, "verbosity", "0") != 0 || g_xgb.set_param(b, "nthread", threads) != 0) {
        return failed(GY_E_INVALID, "nthread", err);
    }
    for (size_t i = 0; i < n; i++) {
        if (g_xgb.set_param(b, params[i].name, params[i].value) != 0) {
            return failed(GY_E_INVALID, params[i].name, err);
        }
    }
    return GY_OK;
}

/* What libxgboost is asked for: its numbers. */
enum what { ANSWERS = 0, MARGINS = 1, CONTRIBUTIONS = 2 };

static gy_status predict_rounds(booster b, dmatrix m, enum what what, int n_rounds, size_t n_out,
                                const float **ret, struct gy_err *err)
{
    char config[160];
    const uint64_t *shape = NULL;
    uint64_t dims = 0;
    (void)snprintf(config, sizeof config,
                   "{\"type\": %d, \"training\": false, \"iteration_begin\": 0, "
                   "\"iteration_end\": %d, \"strict_shape\": false}",
                   (int)what, n_rounds);
    if (g_xgb.predict(b, m, config, &shape, &dims, ret) != 0) {
        return failed(GY_E_CORRUPT, "predicting", err);
    }
    uint64_t n = 1;
    for (uint64_t i = 0; i < dims; i++) {
        n *= shape[i];
    }
    if (n != n_out) {
        return gy_err_set(err, GY_E_CORRUPT, "libxgboost gave %llu values where %zu belong",
                          (unsigned long long)n, n_out);
    }
    return GY_OK;
}

/* libxgboost keeps the predictions of a matrix that the booster knows, so that each look costs only
 * the trees since the last one. */
static gy_status look(booster b, dmatrix m, const struct gy_xgb_watch *w, int rounds,
                      size_t *next_at, bool *ret_go_on, struct gy_err *err)
{
    const float *out = NULL;
    if (*next_at >= w->n_at || rounds != w->at[*next_at]) {
        return GY_OK;
    }
    (*next_at)++;
    GY_TRY(predict_rounds(b, m, ANSWERS, 0, w->n_out, &out, err));
    return w->look(w->ctx, rounds, out, ret_go_on, err);
}

/* The names of the features and the bytes of a model. */
static gy_status save(booster b, const struct gy_xgb_matrix *data, struct gy_buf *model,
                      struct gy_err *err)
{
    if (data->feature_names &&
        g_xgb.booster_strings(b, "feature_name", (const char **)(uintptr_t)data->feature_names,
                              data->n_features) != 0) {
        return failed(GY_E_INVALID, "the names of the features", err);
    }
    uint64_t n = 0;
    const char *bytes = NULL;
    if (g_xgb.save(b, "{\"format\": \"ubj\"}", &n, &bytes) != 0) {
        return failed(GY_E_FAILED, "saving the model", err);
    }
    gy_buf_add_bytes(model, bytes, n);
    return gy_buf_check(model, "the model", err);
}

static gy_status save_first(booster b, int rounds, const struct gy_xgb_matrix *data,
                            struct gy_buf *model, struct gy_err *err)
{
    booster first = NULL;
    if (g_xgb.slice(b, 0, rounds, 1, &first) != 0) {
        return failed(GY_E_FAILED, "keeping the first rounds", err);
    }
    gy_status status = save(first, data, model, err);
    (void)g_xgb.booster_free(first);
    return status;
}

static gy_status boost(booster b, dmatrix m, dmatrix watched, const struct gy_xgb_matrix *data,
                       const struct gy_xgb_plan *plan, struct gy_buf *model, struct gy_err *err)
{
    bool go_on = true;
    size_t next_at = 0;
    int done = 0;
    while (done < plan->n_rounds && go_on) {
        if (g_xgb.update(b, done, m) != 0) {
            return failed(GY_E_INVALID, "training", err);
        }
        done++;
        if (plan->on_round) {
            plan->on_round(plan->ctx, done);
        }
        if (plan->watch) {
            GY_TRY(look(b, watched, plan->watch, done, &next_at, &go_on, err));
        }
    }
    if (!model) {
        return GY_OK;
    }
    int keep = plan->keep ? *plan->keep : 0;
    return keep > 0 && keep < done ? save_first(b, keep, data, model, err)
                                   : save(b, data, model, err);
}

gy_status gy_xgb_train(const struct gy_xgb_matrix *data, const struct gy_xgb_plan *plan,
                       struct gy_buf *model, struct gy_err *err)
{
    int version[3];
    dmatrix m[2] = {NULL, NULL}; /* the training rows, the watched ones */
    booster b = NULL;
    GY_TRY(gy_xgb_open(version, err));
    (void)g_xgb.set_global("{\"verbosity\": 0}"); /* of this thread; only messages depend on it */
    gy_status status = make_matrix(data, plan->n_threads, &m[0], err);
    if (status == GY_OK && plan->watch) {
        status = make_matrix(&plan->watch->data, plan->n_threads, &m[1], err);
    }
    if (status == GY_OK && g_xgb.booster_new(m, plan->watch ? 2 : 1, &b) != 0) {
        status = failed(GY_E_FAILED, "a new booster", err);
    }
    if (status == GY_OK) {
        status = set_params(b, plan->params, plan->n_params, plan->n_threads, err);
    }
    if (status == GY_OK) {
        status = boost(b, m[0], m[1], data, plan, model, err);
    }
    if (b) {
        (void)g_xgb.booster_free(b);
    }
    for (size_t i = 0; i < 2; i++) {
        if (m[i]) {
            (void)g_xgb.matrix_free(m[i]);
        }
    }
    return status;
}

/* ---- boosting in pieces ---- */

struct gy_xgb_live {
    booster b;
    dmatrix rows, watched; /* not ours */
    int done;
};

gy_status gy_xgb_data_new(const struct gy_xgb_matrix *data, int n_threads, struct gy_xgb_data **ret,
                          struct gy_err *err)
{
    int version[3];
    dmatrix m = NULL;
    GY_TRY(gy_xgb_open(version, err));
    (void)g_xgb.set_global("{\"verbosity\": 0}");
    gy_status status = make_matrix(data, n_threads, &m, err);
    if (status != GY_OK && m) {
        (void)g_xgb.matrix_free(m);
        return status;
    }
    *ret = m; /* the library's own handle: nothing is to be kept beside it */
    return status;
}

void gy_xgb_data_free(struct gy_xgb_data *d)
{
    if (d) {
        (void)g_xgb.matrix_free(d);
    }
}

gy_status gy_xgb_live_new(const struct gy_xgb_data *rows, const struct gy_xgb_data *watched,
                          const struct gy_xgb_param *params, size_t n_params, int n_threads,
                          struct gy_xgb_live **ret, struct gy_err *err)
{
    struct gy_xgb_live *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "a booster");
    }
    l->rows = (dmatrix)(uintptr_t)rows;
    l->watched = (dmatrix)(uintptr_t)watched;
    dmatrix both[2] = {l->rows, l->watched};
    gy_status status =
        g_xgb.booster_new(both, 2, &l->b) == 0 ? GY_OK : failed(GY_E_FAILED, "a new booster", err);
    if (status == GY_OK && g_xgb.set_param(l->b, "seed_per_iteration", "1") != 0) {
        status = failed(GY_E_INVALID, "seed_per_iteration", err);
    }
    if (status == GY_OK) {
        status = set_params(l->b, params, n_params, n_threads, err);
    }
    if (status != GY_OK) {
        gy_xgb_live_free(l);
        return status;
    }
    *ret = l;
    return GY_OK;
}

gy_status gy_xgb_live_boost(struct gy_xgb_live *b, int n_rounds, struct gy_err *err)
{
    for (; b->done < n_rounds; b->done++) {
        if (g_xgb.update(b->b, b->done, b->rows) != 0) {
            return failed(GY_E_INVALID, "training", err);
        }
    }
    return GY_OK;
}

gy_status gy_xgb_live_look(struct gy_xgb_live *b, size_t n_out, const float **ret,
                           struct gy_err *err)
{
    return predict_rounds(b->b, b->watched, ANSWERS, 0, n_out, ret, err);
}

gy_status gy_xgb_live_save(struct gy_xgb_live *b, int n_rounds, struct gy_buf *model,
                           struct gy_err *err)
{
    const struct gy_xgb_matrix nameless = {.n_features = 0};
    return n_rounds < b->done ? save_first(b->b, n_rounds, &nameless, model, err)
                              : save(b->b, &nameless, model, err);
}

void gy_xgb_live_free(struct gy_xgb_live *b)
{
    if (b) {
        if (b->b) {
            (void)g_xgb.booster_free(b->b);
        }
        gy_free(b);
    }
}

static gy_status predict(booster b, dmatrix m, enum what what, int n_rounds, float *out,
                         size_t n_out, struct gy_err *err)
{
    const float *result = NULL;
    GY_TRY(predict_rounds(b, m, what, n_rounds, n_out, &result, err));
    memcpy(out, result, n_out * sizeof *out);
    return GY_OK;
}

static gy_status ask(struct gy_str model, const struct gy_xgb_matrix *data, enum what what,
                     float *out, size_t n_out, struct gy_err *err)
{
    int version[3];
    dmatrix m = NULL;
    booster b = NULL;
    GY_TRY(gy_xgb_open(version, err));
    (void)g_xgb.set_global("{\"verbosity\": 0}");
    gy_status status = make_matrix(data, 1, &m, err);
    if (status == GY_OK && g_xgb.booster_new(NULL, 0, &b) != 0) {
        status = failed(GY_E_FAILED, "a new booster", err);
    }
    if (status == GY_OK && g_xgb.load(b, model.p, model.n) != 0) {
        status = failed(GY_E_CORRUPT, "loading the model", err);
    }
    if (status == GY_OK) {
        status = set_params(b, NULL, 0, 1, err);
    }
    if (status == GY_OK) {
        status = predict(b, m, what, data->n_rounds, out, n_out, err);
    }
    if (b) {
        (void)g_xgb.booster_free(b);
    }
    if (m) {
        (void)g_xgb.matrix_free(m);
    }
    return status;
}

gy_status gy_xgb_predict(struct gy_str model, const struct gy_xgb_matrix *data, bool margin,
                         float *out, size_t n_out, struct gy_err *err)
{
    return ask(model, data, margin ? MARGINS : ANSWERS, out, n_out, err);
}

gy_status gy_xgb_contributions(struct gy_str model, const struct gy_xgb_matrix *data, float *out,
                               size_t n_out, struct gy_err *err)
{
    return ask(model, data, CONTRIBUTIONS, out, n_out, err);
}
