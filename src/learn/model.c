/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/model.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/cells.h"
#include "learn/holdout.h"
#include "learn/learner.h"
#include "learn/picture.h"

#define MAX_CATEGORIES 1000000 /* of a text input */

static const char *const g_tasks[] = {"binary", "multiclass", "regression"};

void gy_model_init(struct gy_model *m)
{
    memset(m, 0, sizeof *m);
    gy_arena_init_small(&m->arena, 4 * GY_MODEL_MAX_BYTES);
    gy_features_init(&m->features);
}

void gy_model_done(struct gy_model *m)
{
    if (m) {
        gy_features_done(&m->features);
        gy_arena_done(&m->arena);
    }
}

const char *gy_task_name(enum gy_task task)
{
    return g_tasks[task];
}

static int name_index(struct gy_str name, const char *const names[3])
{
    for (int i = 0; i < 3; i++) {
        if (gy_str_eqc(name, names[i])) {
            return i;
        }
    }
    return -1;
}

gy_status gy_task_parse(struct gy_str name, enum gy_task *ret, struct gy_err *err)
{
    int i = name_index(name, g_tasks);
    if (i < 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "task '%" GY_STR_F "' is not one of binary, multiclass, regression",
                          GY_STR_A(name));
    }
    *ret = (enum gy_task)i;
    return GY_OK;
}

gy_status gy_model_holdout(const struct gy_model *m, struct gy_holdout *ret, struct gy_err *err)
{
    *ret = (struct gy_holdout){.column = m->split_key,
                               .seed = m->seed,
                               .share = m->holdout,
                               .cutoff = m->split_cutoff,
                               .folds = m->split_folds};
    return m->split_by.p && gy_holdout_parse(m->split_by, &ret->by, NULL) == GY_OK
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "the package does not say how its data was split");
}

/* ---- writing ---- */

static const char *const g_input_kinds[] = {"float", "text", "time", "image"};

static void write_input(struct gy_jw *w, const struct gy_predictor_input *in)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", in->name);
    gy_jw_kv_strc(w, "type",
                  in->integer && in->kind == GY_INPUT_NUMBER ? "int" : g_input_kinds[in->kind]);
    if (isfinite(in->min) && isfinite(in->max)) {
        gy_jw_kv_f64(w, "min", in->min);
        gy_jw_kv_f64(w, "max", in->max);
    }
    gy_jw_kv_bool(w, "required", in->required);
    if (in->kind == GY_INPUT_TEXT) {
        gy_jw_kv_bool(w, "hashed", in->hashed);
        gy_jw_kv_bool(w, "whole", in->integer);
        gy_jw_key(w, "values");
        gy_jw_arr(w);
        for (size_t i = 0; i < in->n_values; i++) {
            gy_jw_str(w, in->values[i]);
        }
        gy_jw_arr_end(w);
    }
    if (in->kind == GY_INPUT_IMAGE) {
        gy_jw_kv_i64(w, "width", in->image_width);
        gy_jw_kv_i64(w, "height", in->image_height);
        gy_jw_kv_i64(w, "channels", in->image_channels);
    }
    gy_jw_obj_end(w);
}

static void write_inputs(struct gy_jw *w, const struct gy_model *m, bool simple)
{
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < m->n_inputs; i++) {
        write_input(w, &m->inputs[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "features");
    if (simple) {
        gy_features_write_simple(w, &m->features);
    } else {
        gy_features_write(w, &m->features);
    }
}

static void write_learner(struct gy_jw *w, const struct gy_model *m)
{
    gy_jw_key(w, "learner");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "name", gy_learner_name(m->learner));
    gy_jw_key(w, "params");
    gy_jw_raw(w, m->params_json.p ? m->params_json : GY_STR("{}"));
    if (m->file.p) {
        gy_jw_kv_str(w, "file", m->file);
        gy_jw_kv_str(w, "sha256", m->file_sha256);
    }
    if (m->n_trees > 0) {
        gy_jw_kv_i64(w, "trees", m->n_trees);
    }
    if (!m->file.p || m->n_values > 0) {
        gy_jw_key(w, "values");
        gy_jw_arr(w);
        for (size_t i = 0; i < m->n_values; i++) {
            gy_jw_f64(w, m->values[i]);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_obj_end(w);
}

static void write_origin(struct gy_jw *w, const struct gy_model *m)
{
    gy_jw_key(w, "split");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "by", m->split_by);
    gy_jw_kv_str(w, "key", m->split_key);
    gy_jw_key(w, "seed");
    gy_jw_u64(w, m->seed);
    gy_jw_kv_f64(w, "holdout", m->holdout);
    if (gy_str_eqc(m->split_by, "time")) {
        gy_jw_kv_f64(w, "cutoff", m->split_cutoff);
    }
    if (m->split_folds > 0) {
        gy_jw_kv_i64(w, "folds", m->split_folds);
    }
    gy_jw_obj_end(w);
    gy_jw_key(w, "data");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "sha256", m->data_sha256);
    gy_jw_kv_i64(w, "train", m->rows_train);
    gy_jw_kv_i64(w, "held_out", m->rows_held_out);
    gy_jw_obj_end(w);
}

static bool is_simple(const struct gy_model *m)
{
    /* Programs that write /1 alone know logistic regression for two classes only. */
    bool old = m->learner <= GY_LEARNER_XGBOOST &&
               !(m->learner == GY_LEARNER_LOGISTIC && m->task == GY_TASK_MULTICLASS);
    return old && gy_features_is_simple(&m->features);
}

const char *gy_model_format(const struct gy_model *m)
{
    return is_simple(m) ? GY_MODEL_FORMAT_1 : GY_MODEL_FORMAT;
}

gy_status gy_model_write(const struct gy_model *m, struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    w.pretty = true;
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "format", gy_model_format(m));
    gy_jw_kv_strc(&w, "task", gy_task_name(m->task));
    gy_jw_kv_str(&w, "target", m->target);
    write_inputs(&w, m, is_simple(m));
    write_learner(&w, m);
    if (m->task != GY_TASK_REGRESSION) {
        gy_jw_key(&w, "classes");
        gy_jw_arr(&w);
        for (size_t i = 0; i < m->n_classes; i++) {
            gy_jw_str(&w, m->classes[i]);
        }
        gy_jw_arr_end(&w);
    }
    if (m->task == GY_TASK_BINARY) {
        gy_jw_kv_f64(&w, "threshold", m->threshold);
    }
    write_origin(&w, m);
    gy_jw_obj_end(&w);
    gy_buf_add_char(out, '\n');
    return gy_buf_check(out, "model.json", err);
}

/* ---- reading ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "reading model.json");
}

static gy_status keep(struct gy_model *m, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = s.p ? gy_arena_str(&m->arena, s) : GY_STR_NULL;
    return s.p && !ret->p ? no_memory(err) : GY_OK;
}

static gy_status read_texts(yyjson_val *array, struct gy_model *m, struct gy_str **ret,
                            size_t *ret_n, struct gy_err *err)
{
    size_t n = yyjson_arr_size(array);
    if (n > MAX_CATEGORIES) {
        return gy_err_set(err, GY_E_CORRUPT, "an input has more than %d values", MAX_CATEGORIES);
    }
    *ret = gy_arena_calloc(&m->arena, n + 1, sizeof **ret);
    if (!*ret) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        struct gy_str s = gy_json_val_str(yyjson_arr_get(array, i));
        GY_TRY(keep(m, s, &(*ret)[i], err));
        if (!s.p || (i > 0 && gy_str_cmp((*ret)[i - 1], s) >= 0)) {
            return gy_err_set(err, GY_E_CORRUPT, "the values of an input are not in order");
        }
    }
    *ret_n = n;
    return GY_OK;
}

static gy_status read_image(yyjson_val *v, struct gy_predictor_input *in, struct gy_err *err)
{
    int64_t width = gy_json_i64(v, "width", 0);
    int64_t height = gy_json_i64(v, "height", 0);
    int64_t channels = gy_json_i64(v, "channels", 0);
    if (width < 1 || height < 1 || width > GY_PICTURE_MAX_SIDE || height > GY_PICTURE_MAX_SIDE ||
        (channels != 1 && channels != 3) || width * height * channels > GY_FEATURES_MAX) {
        return gy_err_set(err, GY_E_CORRUPT, "the size of an image is out of range");
    }
    in->image_width = (uint16_t)width;
    in->image_height = (uint16_t)height;
    in->image_channels = (uint8_t)channels;
    in->width = (size_t)(width * height * channels);
    return GY_OK;
}

static gy_status read_input(yyjson_val *v, struct gy_model *m, struct gy_predictor_input *in,
                            struct gy_err *err)
{
    struct gy_str name = GY_STR_NULL;
    struct gy_str type = gy_json_str(v, "type");
    GY_TRY(gy_json_need_str(v, "name", &name, err));
    GY_TRY(keep(m, name, &in->name, err));
    in->integer = gy_str_eqc(type, "int");
    in->width = 1;
    bool known = in->integer || !type.p;
    for (size_t k = 0; k < sizeof g_input_kinds / sizeof g_input_kinds[0]; k++) {
        if (gy_str_eqc(type, g_input_kinds[k])) {
            in->kind = (enum gy_input_kind)k;
            known = true;
        }
    }
    if (!known) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "input type '%" GY_STR_F "' is not known to this version",
                          GY_STR_A(type));
    }
    in->min = gy_json_f64(v, "min", -INFINITY);
    in->max = gy_json_f64(v, "max", INFINITY);
    in->required = gy_json_bool(v, "required", false);
    if (in->kind == GY_INPUT_TEXT) {
        struct gy_str *values = NULL;
        in->hashed = gy_json_bool(v, "hashed", false);
        in->integer = gy_json_bool(v, "whole", false);
        GY_TRY(read_texts(gy_json_get(v, "values"), m, &values, &in->n_values, err));
        in->values = values;
    }
    return in->kind == GY_INPUT_IMAGE ? read_image(v, in, err) : GY_OK;
}

static gy_status read_inputs(yyjson_val *root, struct gy_model *m, bool simple, struct gy_err *err)
{
    yyjson_val *inputs = NULL;
    yyjson_val *features = NULL;
    struct gy_feature *cells = NULL;
    size_t n_cells = 0;
    GY_TRY(gy_json_need_arr(root, "inputs", &inputs, err));
    GY_TRY(gy_json_need_arr(root, "features", &features, err));
    m->n_inputs = yyjson_arr_size(inputs);
    if (m->n_inputs == 0 || m->n_inputs > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_CORRUPT, "there must be 1 to %d inputs", GY_MAX_FEATURES);
    }
    m->inputs = gy_arena_calloc(&m->arena, m->n_inputs, sizeof *m->inputs);
    if (!m->inputs) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        GY_TRY(read_input(yyjson_arr_get(inputs, i), m, &m->inputs[i], err));
    }
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &m->arena, &cells, &n_cells, err));
    return simple ? gy_features_read_simple(&m->features, features, cells, n_cells, err)
                  : gy_features_read(&m->features, features, cells, n_cells, err);
}

static gy_status read_values(yyjson_val *learner, struct gy_model *m, struct gy_err *err)
{
    yyjson_val *values = NULL;
    GY_TRY(gy_json_need_arr(learner, "values", &values, err));
    m->n_values = yyjson_arr_size(values);
    m->values = gy_arena_calloc(&m->arena, m->n_values + 1, sizeof *m->values);
    if (!m->values) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_values; i++) {
        yyjson_val *v = yyjson_arr_get(values, i);
        if (!yyjson_is_num(v)) {
            return gy_err_set(err, GY_E_CORRUPT, "a value of the learner is no number");
        }
        m->values[i] = yyjson_get_num(v);
    }
    return GY_OK;
}

/* As text: each learner knows what its parameters mean. */
static gy_status read_params(yyjson_val *params, struct gy_model *m, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, GY_MODEL_MAX_BYTES);
    if (!yyjson_is_obj(params)) {
        return GY_OK;
    }
    gy_jw_init(&w, &text);
    gy_jw_val(&w, params);
    GY_TRY(gy_buf_check(&text, "parameters", err));
    return keep(m, gy_buf_str(&text), &m->params_json, err);
}

static gy_status read_learner(yyjson_val *root, struct gy_model *m, struct gy_err *err)
{
    yyjson_val *learner = NULL;
    struct gy_str name = GY_STR_NULL;
    struct gy_str s = GY_STR_NULL;
    GY_TRY(gy_json_need_obj(root, "learner", &learner, err));
    GY_TRY(gy_json_need_str(learner, "name", &name, err));
    GY_TRY(read_params(gy_json_get(learner, "params"), m, err));
    if (!gy_learner_find(name, &m->learner)) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "learner '%" GY_STR_F "' is not known to this version", GY_STR_A(name));
    }
    if (gy_json_get(learner, "values") || !gy_learner_get(m->learner)->file) {
        GY_TRY(read_values(learner, m, err));
    }
    if (!gy_learner_get(m->learner)->file) {
        return GY_OK;
    }
    m->n_trees = gy_json_i64(learner, "trees", 0);
    GY_TRY(gy_json_need_str(learner, "file", &s, err));
    GY_TRY(gy_path_check_relative(s, err));
    GY_TRY(keep(m, s, &m->file, err));
    GY_TRY(gy_json_need_str(learner, "sha256", &s, err));
    return keep(m, s, &m->file_sha256, err);
}

static gy_status read_classes(yyjson_val *root, struct gy_model *m, struct gy_err *err)
{
    yyjson_val *classes = NULL;
    if (m->task == GY_TASK_REGRESSION) {
        return GY_OK;
    }
    GY_TRY(gy_json_need_arr(root, "classes", &classes, err));
    m->n_classes = yyjson_arr_size(classes);
    if (m->n_classes < 2 || m->n_classes > GY_MODEL_MAX_CLASSES ||
        (m->task == GY_TASK_BINARY && m->n_classes != 2)) {
        return gy_err_set(err, GY_E_CORRUPT, "the number of classes does not fit the task");
    }
    m->classes = gy_arena_calloc(&m->arena, m->n_classes, sizeof *m->classes);
    if (!m->classes) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_classes; i++) {
        struct gy_str s = gy_json_val_str(yyjson_arr_get(classes, i));
        if (!s.p) {
            return gy_err_set(err, GY_E_CORRUPT, "a class is no string");
        }
        GY_TRY(keep(m, s, &m->classes[i], err));
    }
    m->threshold = 0.5;
    if (m->task == GY_TASK_BINARY) {
        GY_TRY(gy_json_need_f64(root, "threshold", &m->threshold, err));
    }
    return GY_OK;
}

static gy_status read_origin(yyjson_val *root, struct gy_model *m, struct gy_err *err)
{
    yyjson_val *split = gy_json_get(root, "split");
    yyjson_val *data = gy_json_get(root, "data");
    yyjson_val *seed = gy_json_get(split, "seed");
    m->seed = yyjson_is_uint(seed) ? yyjson_get_uint(seed) : 0;
    m->holdout = gy_json_f64(split, "holdout", 0);
    m->split_cutoff = gy_json_f64(split, "cutoff", 0);
    m->split_folds = (int)gy_json_i64(split, "folds", 0);
    m->rows_train = gy_json_i64(data, "train", 0);
    m->rows_held_out = gy_json_i64(data, "held_out", 0);
    GY_TRY(keep(m, gy_json_str(split, "by"), &m->split_by, err));
    GY_TRY(keep(m, gy_json_str(split, "key"), &m->split_key, err));
    return keep(m, gy_json_str(data, "sha256"), &m->data_sha256, err);
}

static gy_status parse_root(yyjson_val *root, struct gy_model *m, struct gy_err *err)
{
    struct gy_str s = GY_STR_NULL;
    GY_TRY(gy_json_need_str(root, "format", &s, err));
    bool simple = gy_str_eqc(s, GY_MODEL_FORMAT_1);
    if (!simple && !gy_str_eqc(s, GY_MODEL_FORMAT)) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "format '%" GY_STR_F "' is not known to this version", GY_STR_A(s));
    }
    GY_TRY(gy_json_need_str(root, "task", &s, err));
    GY_TRY(gy_task_parse(s, &m->task, err));
    GY_TRY(gy_json_need_str(root, "target", &s, err));
    GY_TRY(keep(m, s, &m->target, err));
    GY_TRY(read_inputs(root, m, simple, err));
    GY_TRY(read_learner(root, m, err));
    GY_TRY(read_classes(root, m, err));
    GY_TRY(read_origin(root, m, err));
    return gy_learner_get(m->learner)->check(m, err);
}

gy_status gy_model_parse(struct gy_str text, struct gy_model *m, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err local = GY_ERR_INIT;
    gy_status status = gy_json_parse(text, &doc, &local);
    if (status == GY_OK) {
        status = parse_root(yyjson_doc_get_root(doc), m, &local);
    }
    if (status == GY_OK) {
        return GY_OK;
    }
    /* A file that does not hold what its format says is damaged, whatever the reader called it. */
    if (status == GY_E_INVALID || status == GY_E_PARSE) {
        local.code = GY_E_CORRUPT;
    }
    return gy_err_set(err, local.code, "model.json: %s", local.msg);
}

gy_status gy_model_read(const char *dir, struct gy_model *m, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MODEL_MAX_BYTES);
    GY_TRY(gy_path_join(path, sizeof path, dir, "model.json", err));
    GY_TRY(gy_file_read(path, &text, err));
    return gy_model_parse(gy_buf_str(&text), m, err);
}
