/* SPDX-License-Identifier: Apache-2.0 */
/* The feature steps as operators of ONNX, on one matrix of double from the raw cells to what the
 * learner sees. A step is read from what it writes to model.json, so that this file needs nothing
 * of how a step keeps itself. */
#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "learn/features.h"
#include "learn/onnx_export.h"

#define MAX_STATE (64 * GY_MIB)

/* One step on its way into the graph. */
struct job {
    struct gy_onnx_writer *w;
    const struct gy_step *s;
    yyjson_val *state;
    const char *x; /* what it works on */
    struct gy_err *err;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "exporting a feature step");
}

/* ---- numbers of a step ---- */

/* An array of numbers (null: NaN) in the writer's arena; *ret_n MAY be NULL when n is known. */
static gy_status numbers(struct job *j, yyjson_val *v, const char *key, double **ret, size_t *ret_n)
{
    size_t i, n;
    yyjson_val *item;
    yyjson_val *array = gy_json_get(v, key);
    *ret = gy_arena_calloc(&j->w->arena, yyjson_arr_size(array) + 1, sizeof **ret);
    if (!*ret) {
        return no_memory(j->err);
    }
    yyjson_arr_foreach(array, i, n, item)
    {
        (*ret)[i] = yyjson_is_num(item) ? yyjson_get_num(item) : NAN;
    }
    if (ret_n) {
        *ret_n = yyjson_arr_size(array);
    } else if (yyjson_arr_size(array) != j->s->n_in) {
        return gy_err_set(j->err, GY_E_CORRUPT, "step %s: '%s' is not of its columns",
                          j->s->ops->name, key);
    }
    return GY_OK;
}

static bool is_chosen(const struct gy_step *s, size_t column)
{
    for (size_t k = 0; k < s->n_chosen; k++) {
        if (s->chosen[k] == column) {
            return true;
        }
    }
    return false;
}

/* A row of n numbers as a constant. */
static const char *row(struct job *j, const double *v, size_t n)
{
    const int64_t dims[2] = {1, (int64_t)n};
    return gy_onnx_f64s(j->w, v, dims, 2);
}

static const char *where(struct job *j, const char *condition, const char *yes, const char *no)
{
    gy_onnx_begin(j->w, "Where", false);
    gy_onnx_in(j->w, condition);
    gy_onnx_in(j->w, yes);
    gy_onnx_in(j->w, no);
    return gy_onnx_end(j->w, NULL);
}

/* ---- columns ---- */

/* Columns of x, in the order given; NULL without memory. */
static const char *gather(struct job *j, const char *x, const int64_t *columns, size_t n)
{
    const char *indices = gy_onnx_i64s(j->w, columns, n);
    gy_onnx_begin(j->w, "Gather", false);
    gy_onnx_in(j->w, x);
    gy_onnx_in(j->w, indices);
    gy_onnx_attr_i(j->w, "axis", 1);
    return gy_onnx_end(j->w, NULL);
}

static gy_status gather_chosen(struct job *j, const char *x, const char **ret)
{
    int64_t *columns = gy_arena_calloc(&j->w->arena, j->s->n_chosen + 1, sizeof *columns);
    if (!columns) {
        return no_memory(j->err);
    }
    for (size_t k = 0; k < j->s->n_chosen; k++) {
        columns[k] = j->s->chosen[k];
    }
    *ret = gather(j, x, columns, j->s->n_chosen);
    return GY_OK;
}

/* The matrix anew, pieces[k] in the place of chosen column k. */
static gy_status stitch(struct job *j, const char *const *pieces, const char **ret)
{
    const struct gy_step *s = j->s;
    const char **parts = gy_arena_calloc(&j->w->arena, 2 * s->n_chosen + 2, sizeof *parts);
    int64_t *columns = gy_arena_calloc(&j->w->arena, s->n_in + 1, sizeof *columns);
    size_t n_parts = 0;
    size_t from = 0;
    if (!parts || !columns) {
        return no_memory(j->err);
    }
    for (size_t k = 0; k <= s->n_chosen; k++) {
        size_t to = k < s->n_chosen ? s->chosen[k] : s->n_in;
        for (size_t c = from; c < to; c++) {
            columns[c - from] = (int64_t)c;
        }
        if (to > from) {
            parts[n_parts++] = gather(j, j->x, columns, to - from);
        }
        if (k < s->n_chosen && pieces[k]) {
            parts[n_parts++] = pieces[k];
        }
        from = to + 1;
    }
    *ret = gy_onnx_concat(j->w, parts, n_parts);
    return GY_OK;
}

/* changed where a column was chosen, x elsewhere. */
static gy_status only_chosen(struct job *j, const char *changed, const char **ret)
{
    double *mask = gy_arena_calloc(&j->w->arena, j->s->n_in + 1, sizeof *mask);
    if (!mask) {
        return no_memory(j->err);
    }
    for (size_t c = 0; c < j->s->n_in; c++) {
        mask[c] = is_chosen(j->s, c);
    }
    const char *chosen = gy_onnx_cast(j->w, row(j, mask, j->s->n_in), GY_ONNX_BOOL);
    *ret = where(j, chosen, changed, j->x);
    return GY_OK;
}

/* ---- the steps ---- */

static gy_status impute(struct job *j, const char **ret)
{
    double *fill = NULL;
    GY_TRY(numbers(j, j->state, "fill", &fill, NULL));
    const char *missing = gy_onnx_op1(j->w, "IsNaN", j->x);
    const char *filled = where(j, missing, row(j, fill, j->s->n_in), j->x);
    *ret = filled;
    if (gy_json_bool(j->state, "indicator", false) && j->s->n_chosen > 0) {
        const char *flags = NULL;
        GY_TRY(gather_chosen(j, gy_onnx_cast(j->w, missing, GY_ONNX_DOUBLE), &flags));
        *ret = gy_onnx_concat(j->w, (const char *const[]){filled, flags}, 2);
    }
    return GY_OK;
}

static gy_status zscore(struct job *j, const char **ret)
{
    double *mean = NULL, *sd = NULL;
    GY_TRY(numbers(j, j->state, "mean", &mean, NULL));
    GY_TRY(numbers(j, j->state, "sd", &sd, NULL));
    const char *centred = gy_onnx_op2(j->w, "Sub", j->x, row(j, mean, j->s->n_in));
    *ret = gy_onnx_op2(j->w, "Div", centred, row(j, sd, j->s->n_in));
    return GY_OK;
}

/* NaN stays NaN: it is neither less nor greater. */
static const char *clamp(struct job *j, const char *x, const char *low, const char *high)
{
    x = where(j, gy_onnx_op2(j->w, "Less", x, low), low, x);
    return where(j, gy_onnx_op2(j->w, "Greater", x, high), high, x);
}

static gy_status minmax(struct job *j, const char **ret)
{
    double *scale = NULL, *shift = NULL;
    GY_TRY(numbers(j, j->state, "scale", &scale, NULL));
    GY_TRY(numbers(j, j->state, "shift", &shift, NULL));
    const char *x = gy_onnx_op2(j->w, "Mul", j->x, row(j, scale, j->s->n_in));
    x = gy_onnx_op2(j->w, "Add", x, row(j, shift, j->s->n_in));
    if (gy_json_bool(j->state, "clip", false)) {
        const char *low = gy_onnx_f64(j->w, gy_json_f64(j->state, "low", 0));
        x = clamp(j, x, low, gy_onnx_f64(j->w, gy_json_f64(j->state, "high", 1)));
    }
    return only_chosen(j, x, ret);
}

static gy_status clip(struct job *j, const char **ret)
{
    double *low = NULL, *high = NULL;
    GY_TRY(numbers(j, j->state, "low", &low, NULL));
    GY_TRY(numbers(j, j->state, "high", &high, NULL));
    for (size_t c = 0; c < j->s->n_in; c++) { /* no bound */
        low[c] = isnan(low[c]) ? -INFINITY : low[c];
        high[c] = isnan(high[c]) ? INFINITY : high[c];
    }
    const char *bounds[2] = {row(j, low, j->s->n_in), row(j, high, j->s->n_in)};
    return only_chosen(j, clamp(j, j->x, bounds[0], bounds[1]), ret);
}

static gy_status logarithm(struct job *j, const char **ret)
{
    struct gy_str base = gy_json_str(j->state, "base");
    double per = gy_str_eqc(base, "2") ? log(2) : gy_str_eqc(base, "10") ? log(10) : 1;
    const char *moved =
        gy_onnx_op2(j->w, "Add", j->x, gy_onnx_f64(j->w, gy_json_f64(j->state, "offset", 0)));
    const char *some = gy_onnx_op2(j->w, "Greater", moved, gy_onnx_f64(j->w, 0));
    const char *x =
        gy_onnx_op2(j->w, "Div", gy_onnx_op1(j->w, "Log", moved), gy_onnx_f64(j->w, per));
    return only_chosen(j, where(j, some, x, gy_onnx_f64(j->w, NAN)), ret);
}

/* Sums over the columns of each row, [rows, 1]. */
static const char *row_sums(struct job *j, const char *x)
{
    const int64_t axis = 1;
    const char *axes = gy_onnx_i64s(j->w, &axis, 1);
    gy_onnx_begin(j->w, "ReduceSum", false);
    gy_onnx_in(j->w, x);
    gy_onnx_in(j->w, axes);
    gy_onnx_attr_i(j->w, "keepdims", 1);
    return gy_onnx_end(j->w, NULL);
}

static const char *column_of(struct job *j, size_t k)
{
    const int64_t column = j->s->chosen[k];
    return gather(j, j->x, &column, 1);
}

static gy_status bin_column(struct job *j, size_t k, yyjson_val *v, const char **ret)
{
    double *edges = NULL;
    size_t n = 0;
    GY_TRY(numbers(j, v, "edges", &edges, &n));
    const char *x = column_of(j, k);
    const char *missing = gy_onnx_op1(j->w, "IsNaN", x);
    const char *passed = gy_onnx_op2(j->w, "GreaterOrEqual", x, row(j, edges, n));
    const char *bin = row_sums(j, gy_onnx_cast(j->w, passed, GY_ONNX_DOUBLE));
    *ret = where(j, missing, x, bin);
    return GY_OK;
}

/* Whether a value is each of the known ones, [rows, n], and whether it is none ([rows, 1]). */
struct lookup {
    const char *known, *missing, *unseen;
    size_t n;
};

static gy_status look_up(struct job *j, size_t k, yyjson_val *v, struct lookup *ret)
{
    double *values = NULL;
    GY_TRY(numbers(j, v, "values", &values, &ret->n));
    const char *x = column_of(j, k);
    const char *one = gy_onnx_f64(j->w, 1);
    const char *missing = gy_onnx_op1(j->w, "IsNaN", x);
    const char *known = gy_onnx_op2(j->w, "Equal", x, row(j, values, ret->n));
    ret->missing = gy_onnx_cast(j->w, missing, GY_ONNX_DOUBLE);
    ret->known = gy_onnx_cast(j->w, known, GY_ONNX_DOUBLE);
    const char *found = gy_onnx_op2(j->w, "Add", row_sums(j, ret->known), ret->missing);
    ret->unseen = gy_onnx_op2(j->w, "Sub", one, found);
    return GY_OK;
}

/* Adds a column of 0 and 1 at a slot. */
static gy_status add_slot(struct job *j, const char *flag, yyjson_val *slot, size_t width,
                          const char **sum)
{
    if (!yyjson_is_uint(slot) || yyjson_get_uint(slot) >= width) {
        return GY_OK;
    }
    double *at = gy_arena_calloc(&j->w->arena, width, sizeof *at);
    if (!at) {
        return no_memory(j->err);
    }
    at[yyjson_get_uint(slot)] = 1;
    *sum = gy_onnx_op2(j->w, "Add", *sum, gy_onnx_op2(j->w, "MatMul", flag, row(j, at, width)));
    return GY_OK;
}

static gy_status onehot_column(struct job *j, size_t k, yyjson_val *v, const char **ret)
{
    struct lookup l;
    size_t width = (size_t)gy_json_i64(v, "width", 0);
    yyjson_val *slots = gy_json_get(v, "slots");
    GY_TRY(look_up(j, k, v, &l));
    if (width == 0) {
        *ret = NULL;
        return GY_OK;
    }
    double *matrix = gy_arena_calloc(&j->w->arena, l.n * width + 1, sizeof *matrix);
    if (!matrix) {
        return no_memory(j->err);
    }
    for (size_t i = 0; i < l.n; i++) {
        yyjson_val *slot = yyjson_arr_get(slots, i);
        if (yyjson_is_uint(slot) && yyjson_get_uint(slot) < width) {
            matrix[i * width + yyjson_get_uint(slot)] = 1;
        }
    }
    const int64_t dims[2] = {(int64_t)l.n, (int64_t)width};
    *ret = gy_onnx_op2(j->w, "MatMul", l.known, gy_onnx_f64s(j->w, matrix, dims, 2));
    GY_TRY(add_slot(j, l.unseen, gy_json_get(v, "other"), width, ret));
    return add_slot(j, l.missing, gy_json_get(v, "missing"), width, ret);
}

static gy_status ordinal_column(struct job *j, size_t k, yyjson_val *v, const char **ret)
{
    struct lookup l;
    double *codes = NULL;
    size_t n = 0;
    GY_TRY(look_up(j, k, v, &l));
    GY_TRY(numbers(j, v, "codes", &codes, &n));
    const int64_t dims[2] = {(int64_t)n, 1};
    const char *code = gy_onnx_op2(j->w, "MatMul", l.known, gy_onnx_f64s(j->w, codes, dims, 2));
    const char *unseen = gy_onnx_f64(j->w, gy_json_f64(j->state, "unseen", NAN));
    code = where(j, gy_onnx_cast(j->w, l.unseen, GY_ONNX_BOOL), unseen, code);
    *ret = where(j, gy_onnx_cast(j->w, l.missing, GY_ONNX_BOOL), gy_onnx_f64(j->w, NAN), code);
    return GY_OK;
}

/* Steps that replace each chosen column by what `one` makes of it. */
static gy_status each_column(struct job *j, const char *key,
                             gy_status (*one)(struct job *, size_t, yyjson_val *, const char **),
                             const char **ret)
{
    yyjson_val *list = gy_json_get(j->state, key);
    const char **pieces = gy_arena_calloc(&j->w->arena, j->s->n_chosen + 1, sizeof *pieces);
    if (!pieces) {
        return no_memory(j->err);
    }
    if (yyjson_arr_size(list) != j->s->n_chosen) {
        return gy_err_set(j->err, GY_E_CORRUPT, "step %s: '%s' is not of its columns",
                          j->s->ops->name, key);
    }
    for (size_t k = 0; k < j->s->n_chosen; k++) {
        GY_TRY(one(j, k, yyjson_arr_get(list, k), &pieces[k]));
    }
    return stitch(j, pieces, ret);
}

static gy_status bins(struct job *j, const char **ret)
{
    return each_column(j, "bins", bin_column, ret);
}

static gy_status onehot(struct job *j, const char **ret)
{
    return each_column(j, "onehot", onehot_column, ret);
}

static gy_status ordinal(struct job *j, const char **ret)
{
    return each_column(j, "ordinal", ordinal_column, ret);
}

static gy_status interactions(struct job *j, const char **ret)
{
    yyjson_val *pairs = gy_json_get(j->state, "pairs");
    size_t n = yyjson_arr_size(pairs);
    int64_t *columns = gy_arena_calloc(&j->w->arena, 2 * n + 1, sizeof *columns);
    if (!columns) {
        return no_memory(j->err);
    }
    *ret = j->x;
    if (n == 0) {
        return GY_OK;
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *pair = yyjson_arr_get(pairs, i);
        columns[i] = yyjson_get_sint(yyjson_arr_get(pair, 0));
        columns[n + i] = yyjson_get_sint(yyjson_arr_get(pair, 1));
    }
    const char *product =
        gy_onnx_op2(j->w, "Mul", gather(j, j->x, columns, n), gather(j, j->x, columns + n, n));
    *ret = gy_onnx_concat(j->w, (const char *const[]){j->x, product}, 2);
    return GY_OK;
}

/* The next ascending list of `degree` of n columns (strictly when `once`); false after the last. */
static bool next_term(int64_t *list, int degree, int64_t n, bool once)
{
    int i = degree - 1;
    while (i >= 0 && list[i] >= n - 1 - (once ? degree - 1 - i : 0)) {
        i--;
    }
    if (i < 0) {
        return false;
    }
    list[i]++;
    for (int k = i + 1; k < degree; k++) {
        list[k] = list[k - 1] + once;
    }
    return true;
}

/* All terms of one degree, [rows, terms]; NULL when there are none. Term t's factor k is column
 * factors[k][t]. */
static gy_status terms_of(struct job *j, int degree, bool once, const char **ret)
{
    int64_t list[16] = {0};
    int64_t n = (int64_t)j->s->n_chosen;
    size_t n_terms = 0;
    size_t most = j->s->n_out;
    *ret = NULL;
    if (degree > 16 || (once && degree > n)) {
        return degree > 16
                   ? gy_err_set(j->err, GY_E_UNSUPPORTED, "a polynomial of degree %d", degree)
                   : GY_OK;
    }
    int64_t *factors = gy_arena_calloc(&j->w->arena, (size_t)degree * most + 1, sizeof *factors);
    if (!factors) {
        return no_memory(j->err);
    }
    for (int k = 0; k < degree; k++) {
        list[k] = once ? k : 0;
    }
    do {
        for (int k = 0; k < degree && n_terms < most; k++) {
            factors[(size_t)k * most + n_terms] = j->s->chosen[list[k]];
        }
        n_terms++;
    } while (n_terms < most && next_term(list, degree, n, once));
    for (int k = degree - 1; k >= 0; k--) { /* the last factors first, as the step multiplies */
        const char *factor = gather(j, j->x, factors + (size_t)k * most, n_terms);
        *ret = *ret ? gy_onnx_op2(j->w, "Mul", factor, *ret) : factor;
    }
    return GY_OK;
}

static gy_status polynomial(struct job *j, const char **ret)
{
    const char *parts[GY_FEATURES_MAX_STEPS];
    int degree = (int)gy_json_i64(j->state, "degree", 2);
    bool once = gy_json_bool(j->state, "interaction_only", false);
    size_t n = 0;
    if (gy_json_bool(j->state, "bias", false)) {
        const int64_t first = 0;
        const char *column = gy_onnx_cast(
            j->w, gy_onnx_op1(j->w, "IsNaN", gather(j, j->x, &first, 1)), GY_ONNX_DOUBLE);
        column = gy_onnx_op2(j->w, "Mul", column, gy_onnx_f64(j->w, 0));
        parts[n++] = gy_onnx_op2(j->w, "Add", column, gy_onnx_f64(j->w, 1));
    }
    parts[n++] = j->x;
    for (int d = 2; d <= degree && j->s->n_chosen > 0; d++) {
        const char *terms = NULL;
        GY_TRY(terms_of(j, d, once, &terms));
        if (terms) {
            parts[n++] = terms;
        }
    }
    *ret = gy_onnx_concat(j->w, parts, n);
    return GY_OK;
}

static gy_status kept(struct job *j, const char **ret)
{
    yyjson_val *list = gy_json_get(j->state, "kept");
    size_t i, n;
    yyjson_val *v;
    int64_t *columns = gy_arena_calloc(&j->w->arena, yyjson_arr_size(list) + 1, sizeof *columns);
    if (!columns) {
        return no_memory(j->err);
    }
    yyjson_arr_foreach(list, i, n, v)
    {
        columns[i] = yyjson_get_sint(v);
    }
    *ret = gather(j, j->x, columns, yyjson_arr_size(list));
    return GY_OK;
}

static const struct {
    const char *name;
    gy_status (*add)(struct job *j, const char **ret);
} g_steps[] = {
    {"impute", impute},
    {"zscore", zscore},
    {"minmax", minmax},
    {"clip", clip},
    {"log", logarithm},
    {"bins", bins},
    {"onehot", onehot},
    {"ordinal", ordinal},
    {"interactions", interactions},
    {"polynomial", polynomial},
    {"select", kept},
    {"drop", kept},
};

static gy_status add_step(struct job *j, const char **ret)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, MAX_STATE);
    gy_jw_init(&w, &text);
    gy_jw_obj(&w);
    j->s->ops->write(&w, j->s);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&text, "a feature step", j->err));
    GY_TRY(gy_json_parse(gy_buf_str(&text), &doc, j->err));
    j->state = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < sizeof g_steps / sizeof g_steps[0]; i++) {
        if (gy_str_eqc(gy_str_c(j->s->ops->name), g_steps[i].name)) {
            return g_steps[i].add(j, ret);
        }
    }
    (void)gy_err_set(j->err, GY_E_UNSUPPORTED, "the feature step '%s' has no form in ONNX",
                     j->s->ops->name);
    return gy_err_hint(j->err, "do it before the model, and train without it");
}

gy_status gy_onnx_add_steps(struct gy_onnx_writer *w, const struct gy_features *f, const char *x,
                            const char **ret, struct gy_err *err)
{
    for (size_t i = 0; i < f->n_steps; i++) {
        struct job j = {.w = w, .s = &f->steps[i], .x = x, .err = err};
        GY_TRY(add_step(&j, &x));
    }
    *ret = x;
    return GY_OK;
}
