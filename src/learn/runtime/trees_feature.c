/* SPDX-License-Identifier: Apache-2.0 */
/* What an XGBoost model file says about its features. None of it is needed to walk the trees, so
 * what is absent or of a form that a later version may bring is left out, not refused. */
#include <math.h>

#include "base/mem.h"
#include "learn/runtime/trees_internal.h"
#include "learn/runtime/ubj.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "the features of a model");
}

static gy_status read_names(const struct gy_ubj *learner, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *names = gy_ubj_get(learner, "feature_names");
    const struct gy_ubj *types = gy_ubj_get(learner, "feature_types");
    size_t i = 0;
    if (names && names->kind == GY_UBJ_ARR && names->n == t->info.n_features) {
        for (const struct gy_ubj *v = names->first; v; v = v->next, i++) {
            if (v->kind != GY_UBJ_STR || v->text.n == 0) {
                continue;
            }
            t->features[i].name = gy_arena_str(&t->arena, v->text);
            if (!t->features[i].name.p) {
                return no_memory(err);
            }
        }
    }
    i = 0;
    if (types && types->kind == GY_UBJ_ARR && types->n == t->info.n_features) {
        for (const struct gy_ubj *v = types->first; v; v = v->next, i++) {
            t->features[i].categorical = v->kind == GY_UBJ_STR && gy_str_eqc(v->text, "c");
        }
    }
    return GY_OK;
}

/* ---- "cats": the categories of a table that XGBoost >= 3.1 was trained on ---- */

/* Texts: their bytes one behind the other, and where each begins. */
static gy_status read_texts(const struct gy_ubj *enc, struct gy_trees *t,
                            struct gy_trees_feature *f, struct gy_err *err)
{
    const struct gy_ubj *offsets = gy_ubj_get(enc, "offsets");
    const struct gy_ubj *bytes = gy_ubj_get(enc, "values");
    size_t n = gy_ubj_len(offsets);
    size_t n_bytes = gy_ubj_len(bytes);
    if (n < 2 || n > GY_TREES_MAX_CATEGORY) {
        return GY_OK;
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + n_bytes, sizeof(int32_t));
    if (!room) {
        return no_memory(err);
    }
    int32_t *at = (int32_t *)(void *)room;
    int32_t *raw = at + n;
    if (!gy_ubj_i32s(offsets, n, at) || !gy_ubj_i32s(bytes, n_bytes, raw)) {
        return GY_OK;
    }
    char *text = gy_arena_alloc(&t->arena, n_bytes + 1);
    struct gy_str *categories = gy_arena_calloc(&t->arena, n - 1, sizeof *categories);
    if (!text || !categories) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n_bytes; i++) {
        text[i] = (char)(unsigned char)(raw[i] & 0xff);
    }
    text[n_bytes] = '\0';
    for (size_t i = 0; i + 1 < n; i++) {
        if (at[i] < 0 || at[i] > at[i + 1] || (size_t)at[i + 1] > n_bytes) {
            return GY_OK;
        }
        categories[i] = gy_str_n(text + at[i], (size_t)(at[i + 1] - at[i]));
    }
    f->categories = categories;
    f->n_categories = n - 1;
    return GY_OK;
}

/* Numbers as categories, in the form that a text of them would have. */
static gy_status read_numbers(const struct gy_ubj *enc, struct gy_trees *t,
                              struct gy_trees_feature *f, struct gy_err *err)
{
    const struct gy_ubj *values = gy_ubj_get(enc, "values");
    size_t n = gy_ubj_len(values);
    if (n == 0 || n > GY_TREES_MAX_CATEGORY) {
        return GY_OK;
    }
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(float));
    struct gy_str *categories = gy_arena_calloc(&t->arena, n, sizeof *categories);
    if (!room || !categories) {
        return no_memory(err);
    }
    float *numbers = (float *)(void *)room;
    if (!gy_ubj_f32s(values, n, numbers)) {
        return GY_OK;
    }
    for (size_t i = 0; i < n; i++) {
        char text[32];
        if (fabsf(numbers[i]) >= 16777216.0F) { /* a whole number may have lost digits */
            return GY_OK;
        }
        categories[i] =
            gy_arena_str(&t->arena, gy_str_n(text, gy_fmt_f64_trim((double)numbers[i], text)));
        if (!categories[i].p) {
            return no_memory(err);
        }
    }
    f->categories = categories;
    f->n_categories = n;
    f->numbers = true;
    return GY_OK;
}

static gy_status read_categories(const struct gy_ubj *model, struct gy_trees *t, struct gy_err *err)
{
    const struct gy_ubj *enc = gy_ubj_get(gy_ubj_get(model, "cats"), "enc");
    size_t i = 0;
    if (!enc || enc->kind != GY_UBJ_ARR || enc->n != t->info.n_features) {
        return GY_OK;
    }
    for (const struct gy_ubj *v = enc->first; v; v = v->next, i++) {
        if (gy_ubj_get(v, "offsets")) {
            GY_TRY(read_texts(v, t, &t->features[i], err));
        } else {
            GY_TRY(read_numbers(v, t, &t->features[i], err));
        }
    }
    return GY_OK;
}

gy_status gy_trees_read_features(const struct gy_ubj *learner, const struct gy_ubj *model,
                                 struct gy_trees *t, struct gy_err *err)
{
    t->features = gy_calloc(t->info.n_features, sizeof *t->features);
    if (!t->features) {
        return no_memory(err);
    }
    GY_TRY(read_names(learner, t, err));
    return read_categories(model, t, err);
}
