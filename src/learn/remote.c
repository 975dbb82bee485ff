/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/remote.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "data/schema.h"
#include "learn/cells.h"
#include "learn/package.h"
#include "learn/runtime/remote.h"
#include "learn/train_internal.h"

#define MAX_FILE (16 * GY_MIB)

/* What is being put together. */
struct work {
    const struct gy_remote_plan *plan;
    struct gy_schema *schema; /* NULL: none */
    yyjson_doc *doc;          /* the upstream's metadata; NULL: it tells none */
    yyjson_val *inputs, *outputs;
    struct gy_model *m;
    struct gy_oip_spec spec;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "describing a remote model");
}

static gy_status keep(struct work *w, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = gy_arena_str(&w->m->arena, s);
    return ret->p ? GY_OK : no_memory(err);
}

/* ---- asking ---- */

static gy_status extensions(struct work *w, struct gy_remote *r)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_remote_get(r, "/v2", &doc, NULL) != GY_OK) {
        return GY_OK; /* not every upstream tells: JSON does */
    }
    size_t i, n;
    yyjson_val *e;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "extensions"), i, n, e)
    {
        w->spec.binary = w->spec.binary || gy_str_eqc(gy_json_val_str(e), "binary_tensor_data");
    }
    return GY_OK;
}

static gy_status ask(struct work *w, struct gy_err *err)
{
    const struct gy_remote_plan *p = w->plan;
    GY_AUTO(gy_remote_free) struct gy_remote *r = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path = {0};
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(gy_remote_new(&(struct gy_remote_options){.url = p->url,
                                                     .token_env = p->token_env,
                                                     .token_file = p->token_file,
                                                     .timeout_ms = p->timeout_ms,
                                                     .spec = &w->spec,
                                                     .guarded = true},
                         &r, err));
    gy_buf_init(&path, GY_MAX_PATH);
    GY_TRY(gy_oip_path(&w->spec, "", &path, err));
    gy_status status = gy_remote_get(r, path.p, &w->doc, &why);
    if (status != GY_OK && w->schema && p->output.p) {
        return GY_OK; /* all is said */
    }
    if (status != GY_OK) {
        if (err) {
            *err = why;
        }
        (void)gy_err_wrap(err, "the metadata of '%" GY_STR_F "'", GY_STR_A(p->model));
        return gy_err_hint(err, "an upstream without metadata needs --schema FILE and --answer "
                                "NAME");
    }
    yyjson_val *root = yyjson_doc_get_root(w->doc);
    w->inputs = gy_json_get(root, "inputs");
    w->outputs = gy_json_get(root, "outputs");
    return extensions(w, r);
}

/* ---- inputs ---- */

/* Columns behind the rows: 1 for [n] and [n, 1], 0 when that is open or no table. */
static size_t width_of(yyjson_val *tensor)
{
    yyjson_val *shape = gy_json_get(tensor, "shape");
    size_t n = yyjson_arr_size(shape);
    int64_t d = n == 2 ? yyjson_get_sint(yyjson_arr_get(shape, 1)) : n == 1;
    return d > 0 && d <= GY_MAX_FEATURES ? (size_t)d : 0;
}

static gy_status set_values(struct work *w, struct gy_predictor_input *in,
                            const struct gy_column *c, struct gy_err *err)
{
    struct gy_str *values = gy_arena_calloc(&w->m->arena, c->n_values + 1, sizeof *values);
    if (!values) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->n_values; i++) {
        GY_TRY(keep(w, c->values[i], &values[i], err));
        for (size_t k = i; k > 0 && gy_str_cmp(values[k - 1], values[k]) > 0; k--) {
            struct gy_str less = values[k];
            values[k] = values[k - 1];
            values[k - 1] = less;
        }
    }
    in->kind = GY_INPUT_TEXT;
    in->values = values;
    in->n_values = c->n_values;
    return GY_OK;
}

static gy_status from_column(struct work *w, struct gy_predictor_input *in, bool text,
                             struct gy_err *err)
{
    const struct gy_column *c = w->schema ? gy_schema_column(w->schema, in->name) : NULL;
    if (w->schema && !c) {
        return gy_err_set(err, GY_E_INVALID, "%s has no column '%" GY_STR_F "'", w->plan->schema,
                          GY_STR_A(in->name));
    }
    if (c) {
        in->required = c->required;
        in->min = c->has_min ? c->min : in->min;
        in->max = c->has_max ? c->max : in->max;
        in->integer = in->integer || c->type == GY_TYPE_INT;
    }
    if (!text) {
        return GY_OK;
    }
    if (!c || c->type != GY_TYPE_STRING || c->n_values == 0) {
        (void)gy_err_set(err, GY_E_NOTSERVABLE,
                         "input '%" GY_STR_F "' is a text, and nothing says which ones there are",
                         GY_STR_A(in->name));
        return gy_err_hint(err, "--schema schema.yaml with `values: [...]` of that column");
    }
    return set_values(w, in, c, err);
}

static bool is_whole(struct gy_str datatype)
{
    return gy_str_starts(datatype, GY_STR("INT")) || gy_str_starts(datatype, GY_STR("UINT"));
}

static gy_status make_inputs(struct work *w, size_t n, struct gy_err *err)
{
    if (n == 0 || n > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "a model with %zu inputs is not served", n);
    }
    w->m->n_inputs = n;
    w->m->inputs = gy_arena_calloc(&w->m->arena, n, sizeof *w->m->inputs);
    if (!w->m->inputs) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        w->m->inputs[i] =
            (struct gy_predictor_input){.min = -INFINITY, .max = INFINITY, .width = 1};
    }
    return GY_OK;
}

/* The columns of one tensor: names that were given, else "x_0", "x_1", ... */
static gy_status from_one(struct work *w, yyjson_val *tensor, struct gy_err *err)
{
    struct gy_str names = w->plan->inputs, name = GY_STR_NULL;
    struct gy_str datatype = gy_json_str(tensor, "datatype");
    size_t width = width_of(tensor), n_names = names.n > 0;
    for (size_t i = 0; i < names.n; i++) {
        n_names += names.p[i] == ',';
    }
    if ((width == 0 && n_names == 0) || (width && n_names && width != n_names)) {
        return gy_err_set(err, GY_E_INVALID,
                          "the tensor '%" GY_STR_F "' has %s%zu columns: --inputs A,B,C names each",
                          GY_STR_A(gy_json_str(tensor, "name")),
                          width ? "" : "an open number, not ", width);
    }
    if (!gy_oip_width(datatype)) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "the tensor '%" GY_STR_F "' is of %" GY_STR_F ", which is no number",
                          GY_STR_A(gy_json_str(tensor, "name")), GY_STR_A(datatype));
    }
    GY_TRY(make_inputs(w, width ? width : n_names, err));
    GY_TRY(keep(w, gy_json_str(tensor, "name"), &w->spec.tensor, err));
    GY_TRY(keep(w, datatype, &w->spec.datatype, err));
    for (size_t i = 0; i < w->m->n_inputs; i++) {
        struct gy_predictor_input *in = &w->m->inputs[i];
        if (n_names) {
            (void)gy_str_next(&names, ',', &name);
            GY_TRY(keep(w, gy_str_trim(name), &in->name, err));
        } else {
            in->name = gy_str_c(
                gy_arena_printf(&w->m->arena, "%" GY_STR_F "_%zu", GY_STR_A(w->spec.tensor), i));
        }
        if (!in->name.n) {
            return gy_err_set(err, GY_E_INVALID, "--inputs has a name that is empty");
        }
        in->integer = is_whole(datatype);
        GY_TRY(from_column(w, in, false, err));
    }
    return GY_OK;
}

/* One tensor an input. */
static gy_status from_many(struct work *w, struct gy_err *err)
{
    size_t i, n = yyjson_arr_size(w->inputs);
    yyjson_val *tensor;
    GY_TRY(make_inputs(w, n, err));
    struct gy_str *types = gy_arena_calloc(&w->m->arena, n, sizeof *types);
    bool *flat = gy_arena_calloc(&w->m->arena, n, sizeof *flat);
    if (!types || !flat) {
        return no_memory(err);
    }
    yyjson_arr_foreach(w->inputs, i, n, tensor)
    {
        struct gy_predictor_input *in = &w->m->inputs[i];
        struct gy_str datatype = gy_json_str(tensor, "datatype");
        bool text = gy_str_eqc(datatype, "BYTES");
        if (width_of(tensor) != 1 || (!text && !gy_oip_width(datatype))) {
            return gy_err_set(err, GY_E_NOTSERVABLE,
                              "input '%" GY_STR_F "' is no column of numbers or texts but of "
                              "%" GY_STR_F " in another shape",
                              GY_STR_A(gy_json_str(tensor, "name")), GY_STR_A(datatype));
        }
        GY_TRY(keep(w, gy_json_str(tensor, "name"), &in->name, err));
        GY_TRY(keep(w, datatype, &types[i], err));
        flat[i] = yyjson_arr_size(gy_json_get(tensor, "shape")) == 1;
        in->integer = is_whole(datatype);
        GY_TRY(from_column(w, in, text, err));
    }
    w->spec.datatypes = types;
    w->spec.flat = flat;
    return GY_OK;
}

/* Without metadata: a tensor [n] for each feature of the schema. */
static gy_status from_schema(struct work *w, struct gy_err *err)
{
    size_t n = 0, max = w->schema->n_columns;
    struct gy_str *types = gy_arena_calloc(&w->m->arena, max + 1, sizeof *types);
    bool *flat = gy_arena_calloc(&w->m->arena, max + 1, sizeof *flat);
    if (!types || !flat) {
        return no_memory(err);
    }
    for (size_t i = 0; i < max; i++) {
        n += w->schema->columns[i].role == GY_ROLE_FEATURE;
    }
    GY_TRY(make_inputs(w, n, err));
    n = 0;
    for (size_t i = 0; i < max; i++) {
        const struct gy_column *c = &w->schema->columns[i];
        if (c->role == GY_ROLE_FEATURE) {
            bool text = c->type == GY_TYPE_STRING;
            GY_TRY(keep(w, c->name, &w->m->inputs[n].name, err));
            GY_TRY(from_column(w, &w->m->inputs[n], text, err));
            types[n] = text                      ? GY_STR("BYTES")
                       : c->type == GY_TYPE_INT  ? GY_STR("INT64")
                       : c->type == GY_TYPE_BOOL ? GY_STR("BOOL")
                                                 : GY_STR("FP64");
            flat[n++] = true;
        }
    }
    w->spec.datatypes = types;
    w->spec.flat = flat;
    return GY_OK;
}

static gy_status read_inputs(struct work *w, struct gy_err *err)
{
    size_t n = yyjson_arr_size(w->inputs);
    if (!w->doc) {
        return from_schema(w, err);
    }
    yyjson_val *first = yyjson_arr_get_first(w->inputs);
    bool one = n == 1 && (width_of(first) != 1 || w->plan->inputs.p);
    return one ? from_one(w, first, err) : from_many(w, err);
}

/* ---- the answer ---- */

static gy_status add_classes(struct work *w, const struct gy_str *names, size_t n,
                             struct gy_err *err)
{
    if (n < 2 || n > GY_MODEL_MAX_CLASSES) {
        return gy_err_set(err, GY_E_INVALID, "a classifier has 2 to %d classes, not %zu",
                          GY_MODEL_MAX_CLASSES, n);
    }
    w->m->classes = gy_arena_calloc(&w->m->arena, n, sizeof *w->m->classes);
    if (!w->m->classes) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(keep(w, names[i], &w->m->classes[i], err));
    }
    w->m->n_classes = n;
    w->m->task = n == 2 ? GY_TASK_BINARY : GY_TASK_MULTICLASS;
    w->m->threshold = 0.5;
    return GY_OK;
}

static yyjson_val *output_named(const struct work *w, struct gy_str name)
{
    size_t i, n;
    yyjson_val *o;
    yyjson_arr_foreach(w->outputs, i, n, o)
    {
        if (gy_str_eq(gy_json_str(o, "name"), name)) {
            return o;
        }
    }
    return NULL;
}

/* "no,yes" of --classes; else the values of the schema's label; else, for an output of
 * probabilities of two beside a whole number, 0 and 1. */
static gy_status read_classes(struct work *w, struct gy_err *err)
{
    struct gy_str list = w->plan->classes, name;
    struct gy_str names[GY_MODEL_MAX_CLASSES];
    size_t n = 0;
    while (list.p && gy_str_next(&list, ',', &name)) {
        if (n == GY_MODEL_MAX_CLASSES) {
            return gy_err_set(err, GY_E_INVALID, "more than %d classes", GY_MODEL_MAX_CLASSES);
        }
        names[n++] = gy_str_trim(name);
    }
    const struct gy_column *label = w->schema ? gy_schema_role(w->schema, GY_ROLE_LABEL) : NULL;
    if (label) {
        GY_TRY(keep(w, label->name, &w->m->target, err));
    }
    if (n == 0 && label && label->n_values >= 2) {
        return add_classes(w, label->values, label->n_values, err);
    }
    yyjson_val *p = output_named(w, GY_STR("probability"));
    yyjson_val *said = output_named(w, GY_STR("prediction"));
    if (n == 0 && p && said && width_of(p) == 1 && is_whole(gy_json_str(said, "datatype"))) {
        names[n++] = GY_STR("0");
        names[n++] = GY_STR("1");
    }
    if (n == 0 && p) {
        (void)gy_err_set(err, GY_E_INVALID, "the upstream classifies, and does not say into what");
        return gy_err_hint(err, "--classes no,yes names the classes in the order of its "
                                "probabilities");
    }
    return n ? add_classes(w, names, n, err) : GY_OK;
}

/* Does an output fit as probabilities of the classes? */
static bool fits(const struct work *w, yyjson_val *o)
{
    size_t width = width_of(o), n = w->m->n_classes;
    struct gy_str type = gy_json_str(o, "datatype");
    bool real = gy_str_starts(type, GY_STR("FP"));
    return n == 0 ? width == 1 && gy_oip_width(type) > 0
                  : real && (width == n || (n == 2 && width == 1));
}

static gy_status choose_output(struct work *w, yyjson_val **ret, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *o;
    if (w->plan->output.p) {
        *ret = output_named(w, w->plan->output);
        return *ret || !w->doc
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "the upstream has no output '%" GY_STR_F "'",
                                GY_STR_A(w->plan->output));
    }
    *ret = output_named(w, w->m->n_classes ? GY_STR("probability") : GY_STR("prediction"));
    if (*ret && fits(w, *ret)) {
        return GY_OK;
    }
    yyjson_arr_foreach(w->outputs, i, n, o)
    {
        if (fits(w, o)) {
            *ret = o;
            return GY_OK;
        }
    }
    yyjson_arr_foreach(w->outputs, i, n, o)
    {
        if (w->m->n_classes && width_of(o) == 1) { /* labels alone */
            *ret = o;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_NOTSERVABLE,
                     "no output is a number a row, or one a class: what is the answer?");
    return gy_err_hint(err, "--answer NAME, and of a classifier --classes A,B,C");
}

static gy_status read_output(struct work *w, struct gy_err *err)
{
    yyjson_val *o = NULL;
    GY_TRY(read_classes(w, err));
    GY_TRY(choose_output(w, &o, err));
    GY_TRY(keep(w, o ? gy_json_str(o, "name") : w->plan->output, &w->spec.output, err));
    bool numbers = !o || fits(w, o);
    if (!numbers && w->m->n_classes == 0) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "the output '%" GY_STR_F "' is no number a row; of a classifier "
                          "--classes A,B,C",
                          GY_STR_A(w->spec.output));
    }
    w->spec.kind = w->m->n_classes == 0 ? GY_OIP_VALUE
                   : numbers            ? GY_OIP_PROBABILITY
                                        : GY_OIP_LABEL;
    return GY_OK;
}

/* ---- the package ---- */

static gy_status write_params(struct work *w, struct gy_err *err)
{
    const struct gy_remote_plan *p = w->plan;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    struct gy_jw j;
    gy_buf_init(&json, MAX_FILE);
    gy_jw_init(&j, &json);
    gy_jw_obj(&j);
    gy_jw_kv_str(&j, "url", p->url);
    gy_jw_kv_i64(&j, "timeout_ms", p->timeout_ms);
    if (p->token_env.p) {
        gy_jw_kv_str(&j, "token_env", p->token_env);
    } else if (p->token_file.p) {
        gy_jw_kv_str(&j, "token_file", p->token_file);
    }
    w->spec.n_inputs = w->m->n_inputs;
    gy_oip_write_spec(&j, &w->spec);
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&json, "model.json", err));
    return keep(w, gy_buf_str(&json), &w->m->params_json, err);
}

/* A row that every upstream takes: the middle of the range, 0, the first text. */
static gy_status write_example(const struct gy_model *m, const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw j;
    gy_buf_init(&out, MAX_FILE);
    gy_jw_init(&j, &out);
    gy_jw_obj(&j);
    gy_jw_key(&j, "columns");
    gy_jw_arr(&j);
    for (size_t i = 0; i < m->n_inputs; i++) {
        gy_jw_str(&j, m->inputs[i].name);
    }
    gy_jw_arr_end(&j);
    gy_jw_key(&j, "data");
    gy_jw_arr(&j);
    gy_jw_arr(&j);
    for (size_t i = 0; i < m->n_inputs; i++) {
        const struct gy_predictor_input *in = &m->inputs[i];
        bool range = isfinite(in->min) && isfinite(in->max);
        if (in->kind == GY_INPUT_TEXT) {
            gy_jw_str(&j, in->values[0]);
        } else if (in->integer) {
            gy_jw_i64(&j, range ? (int64_t)((in->min + in->max) / 2) : 0);
        } else {
            gy_jw_f64(&j, range ? (in->min + in->max) / 2 : 0);
        }
    }
    gy_jw_arr_end(&j);
    gy_jw_arr_end(&j);
    gy_jw_obj_end(&j);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "the input example", err));
    return gy_package_put(dir, "input_example.json", gy_buf_str(&out), err);
}

static gy_status write_package(struct work *w, const char *dir, struct gy_err *err)
{
    struct gy_feature *cells = NULL;
    size_t n_cells = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    gy_buf_init(&out, GY_MODEL_MAX_BYTES);
    GY_TRY(write_params(w, err));
    GY_TRY(gy_cells_columns(w->m->inputs, w->m->n_inputs, &w->m->arena, &cells, &n_cells, err));
    GY_TRY(gy_features_empty(&w->m->features, cells, n_cells, 0, err));
    GY_TRY(gy_model_write(w->m, &out, err));
    GY_TRY(gy_package_put(dir, "model.json", gy_buf_str(&out), err));
    GY_TRY(write_example(w->m, dir, err));
    return gy_package_seal(dir, w->m, &(struct gy_package_ids){.created_us = 0}, err);
}

static gy_status describe(struct work *w, struct gy_err *err)
{
    const struct gy_remote_plan *p = w->plan;
    GY_TRY(gy_remote_check_url(p->url, err));
    if (p->timeout_ms < 1 || p->timeout_ms > GY_REMOTE_MAX_TIMEOUT_MS) {
        return gy_err_set(err, GY_E_INVALID, "the timeout must be from 1 ms to %d s",
                          GY_REMOTE_MAX_TIMEOUT_MS / 1000);
    }
    w->m->learner = GY_LEARNER_REMOTE;
    w->m->task = GY_TASK_REGRESSION;
    w->m->target = GY_STR("prediction");
    w->m->split_by = GY_STR_NULL;
    GY_TRY(keep(w, p->model, &w->spec.model, err));
    if (p->version.p) {
        GY_TRY(keep(w, p->version, &w->spec.version, err));
    }
    if (p->schema) {
        GY_TRY(gy_schema_read(p->schema, &w->schema, err));
    }
    GY_TRY(ask(w, err));
    GY_TRY(read_inputs(w, err));
    return read_output(w, err);
}

gy_status gy_remote_package(const struct gy_remote_plan *plan, const char *dir,
                            struct gy_remote_packaged *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    gy_model_init(&m);
    struct work w = {.plan = plan, .m = &m};
    gy_status status = describe(&w, err);
    if (status == GY_OK) {
        status = write_package(&w, dir, err);
    }
    *ret = (struct gy_remote_packaged){
        .n_inputs = m.n_inputs, .n_classes = m.n_classes, .binary = w.spec.binary};
    (void)snprintf(ret->task, sizeof ret->task, "%s", gy_task_name(m.task));
    (void)snprintf(ret->output, sizeof ret->output, "%" GY_STR_F,
                   GY_STR_A(gy_str_sub(w.spec.output, 0, 127)));
    gy_json_free(w.doc);
    gy_schema_free(w.schema);
    return status;
}
