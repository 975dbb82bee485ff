/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "api/endpoint_docs.h"

static const char *const kinds[] = {"number", "text", "time", "image"};

struct gy_str gy_endpoint_unit(yyjson_val *units, struct gy_str input)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(units, "columns"), i, n, one)
    {
        if (gy_str_eq(gy_json_str(one, "name"), input)) {
            struct gy_str unit = gy_json_str(one, "unit");
            return unit.n ? unit : GY_STR_NULL;
        }
    }
    return GY_STR_NULL;
}

/* ---- examples ---- */

static double middle(const struct gy_predictor_input *in)
{
    double min = isfinite(in->min) ? in->min : 0, max = isfinite(in->max) ? in->max : min;
    double v = min + (max - min) / 2;
    return in->integer ? floor(v) : v;
}

static void example_value(struct gy_jw *w, const struct gy_predictor_input *in, yyjson_val *example)
{
    yyjson_val *given = example ? yyjson_obj_getn(example, in->name.p, in->name.n) : NULL;
    if (given) {
        gy_jw_val(w, given);
    } else if (in->kind == GY_INPUT_TEXT) {
        gy_jw_str(w, in->n_values ? in->values[0] : GY_STR("text"));
    } else if (in->kind == GY_INPUT_TIME) {
        gy_jw_strc(w, "2026-01-01T12:00:00Z");
    } else {
        gy_jw_f64(w, middle(in));
    }
}

/* The input that a field of a shape is; NULL: a column that only rules or expressions read. */
static const struct gy_predictor_input *input_of(const struct gy_endpoint *e, struct gy_str name)
{
    for (size_t i = 0; i < e->info->n_inputs; i++) {
        if (gy_str_eq(e->info->inputs[i].name, name)) {
            return &e->info->inputs[i];
        }
    }
    return NULL;
}

void gy_endpoint_example(struct gy_jw *w, const struct gy_endpoint *e,
                         const struct gy_infer_shape *shape)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    const struct gy_infer_shape *s = shape ? shape : &e->shape;
    if (e->info->input_example.p && gy_json_parse(e->info->input_example, &doc, NULL) != GY_OK) {
        doc = NULL; /* without an example the middle of the ranges does */
    }
    yyjson_val *example = doc ? yyjson_doc_get_root(doc) : NULL;
    gy_jw_obj(w);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const struct gy_predictor_input *in = input_of(e, s->fields[i].name);
        if (in && in->kind == GY_INPUT_IMAGE) {
            continue;
        }
        gy_jw_keys(w, shape ? s->fields[i].key : s->fields[i].name);
        if (in) {
            example_value(w, in, yyjson_is_obj(example) ? example : NULL);
        } else {
            gy_jw_i64(w, 1);
        }
    }
    gy_jw_obj_end(w);
}

/* ---- schemas ---- */

static void write_values(struct gy_jw *w, const struct gy_predictor_input *in)
{
    gy_jw_key(w, "examples");
    gy_jw_arr(w);
    for (size_t i = 0; i < in->n_values && i < GY_ENDPOINT_DOCS_MAX_VALUES; i++) {
        gy_jw_str(w, in->values[i]);
    }
    gy_jw_arr_end(w);
}

/* JSON Schema of a value. Ranges are what training saw: outside of them is a warning. */
static void write_property(struct gy_jw *w, const struct gy_predictor_input *in, bool required,
                           struct gy_str unit)
{
    bool number = !in || in->kind == GY_INPUT_NUMBER || (in->kind == GY_INPUT_TEXT && in->integer);
    gy_jw_obj(w);
    gy_jw_key(w, "type");
    gy_jw_arr(w);
    gy_jw_strc(w, number ? "number" : "string");
    if (!required) {
        gy_jw_strc(w, "null");
    }
    gy_jw_arr_end(w);
    if (in) {
        gy_jw_kv_strc(w, "x-gyre-kind", kinds[in->kind]);
        gy_jw_kv_bool(w, "x-gyre-integer", in->integer);
    }
    if (in && in->kind == GY_INPUT_NUMBER && isfinite(in->min) && isfinite(in->max)) {
        gy_jw_kv_f64(w, "x-gyre-min", in->min);
        gy_jw_kv_f64(w, "x-gyre-max", in->max);
    }
    if (in && in->kind == GY_INPUT_TEXT && in->n_values) {
        write_values(w, in);
    }
    if (in && in->kind == GY_INPUT_TIME) {
        gy_jw_kv_strc(w, "format", "date-time");
    }
    if (in && in->kind == GY_INPUT_IMAGE) {
        gy_jw_kv_strc(w, "contentEncoding", "base64");
        gy_jw_kv_strc(w, "description", "a PNG or JPEG, of any size");
    }
    if (unit.p) {
        gy_jw_kv_str(w, "x-gyre-unit", unit);
    }
    gy_jw_obj_end(w);
}

static void write_row_schema(struct gy_jw *w, const struct gy_endpoint *e,
                             const struct gy_infer_shape *s, bool by_key, yyjson_val *units)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "type", "object");
    gy_jw_key(w, "required");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_inputs; i++) {
        gy_jw_str(w, by_key ? s->fields[i].key : s->fields[i].name);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "properties");
    gy_jw_obj(w);
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct gy_infer_field *f = &s->fields[i];
        gy_jw_keys(w, by_key ? f->key : f->name);
        write_property(w, input_of(e, f->name), f->required, gy_endpoint_unit(units, f->name));
    }
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static void write_answer(struct gy_jw *w, const char *text)
{
    gy_jw_key(w, "responses");
    gy_jw_obj(w);
    gy_jw_key(w, "200");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "description", text);
    gy_jw_obj_end(w);
    gy_jw_key(w, "400");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "description", "what is wrong with the request");
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static void open_operation(struct gy_jw *w, const char *method, const char *summary)
{
    gy_jw_obj(w);
    gy_jw_key(w, method);
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "summary", summary);
}

static void close_operation(struct gy_jw *w)
{
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static void write_alias(struct gy_jw *w, const struct gy_endpoint *e, const struct gy_alias *alias,
                        yyjson_val *units)
{
    static const char *const types[] = {"application/json", "multipart/form-data"};
    gy_jw_keys(w, alias->path);
    if (alias->answer.n) {
        open_operation(w, "get", "tells about the endpoint");
        write_answer(w, "what it tells");
        close_operation(w);
        return;
    }
    open_operation(w, "post", alias->protocol ? "predict, as the protocol has it" : "predict");
    gy_jw_key(w, "requestBody");
    gy_jw_obj(w);
    gy_jw_kv_bool(w, "required", true);
    gy_jw_key(w, "content");
    gy_jw_obj(w);
    for (size_t i = 0; i < (alias->protocol ? 1 : 2); i++) {
        gy_jw_key(w, types[i]);
        gy_jw_obj(w);
        if (!alias->protocol) {
            gy_jw_key(w, "schema");
            write_row_schema(w, e, &alias->shape, true, alias->mapping.fields ? NULL : units);
        }
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
    write_answer(w, "the prediction, with its prediction_id");
    close_operation(w);
}

static void write_v2(struct gy_jw *w, const struct gy_endpoint *e)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_KIB);
    gy_buf_addf(&path, "/v2/models/%" GY_STR_F "/infer", GY_STR_A(e->name));
    gy_jw_keys(w, gy_buf_str(&path));
    open_operation(w, "post", "predict (Open Inference Protocol)");
    gy_jw_key(w, "requestBody");
    gy_jw_raw(w, GY_STR("{\"required\":true,\"content\":{\"application/json\":{\"schema\":{"
                        "\"type\":\"object\",\"required\":[\"inputs\"],\"properties\":{\"inputs\":{"
                        "\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\","
                        "\"required\":[\"name\",\"shape\",\"datatype\",\"data\"]}}}}}}}"));
    write_answer(w, "tensors: prediction, probability, rule");
    close_operation(w);
}

void gy_endpoint_openapi(struct gy_jw *w, const struct gy_endpoint *e, yyjson_val *units)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "openapi", "3.1.0");
    gy_jw_key(w, "info");
    gy_jw_obj(w);
    gy_jw_key(w, "title");
    gy_jw_strf(w, "endpoint %" GY_STR_F, GY_STR_A(e->name));
    gy_jw_key(w, "version");
    gy_jw_strf(w, "%" GY_STR_F " (revision %u)", GY_STR_A(e->version), e->revision);
    gy_jw_obj_end(w);
    gy_jw_key(w, "paths");
    gy_jw_obj(w);
    write_v2(w, e);
    for (size_t i = 0; i < e->n_aliases; i++) {
        write_alias(w, e, &e->aliases[i], units);
    }
    gy_jw_obj_end(w);
    gy_jw_key(w, "components");
    gy_jw_obj(w);
    gy_jw_key(w, "schemas");
    gy_jw_obj(w);
    gy_jw_key(w, "Row");
    write_row_schema(w, e, &e->shape, false, units);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}
