/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of Open Inference Protocol v2. What does not change from request to request was made text
 * when the endpoint was loaded. */
#include <endian.h>
#include <math.h>
#include <stdio.h>

#include "serve/answer_internal.h"

/* ---- which outputs there are ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "loading an endpoint");
}

static gy_status add_output(struct gy_endpoint *e, struct gy_endpoint_output o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    size_t at = e->n_outputs;
    gy_buf_init(&text, 64 * GY_KIB);
    if (at == GY_ENDPOINT_MAX_OUTPUTS) {
        return gy_err_set(err, GY_E_TOOBIG, "an endpoint with more than %d outputs",
                          GY_ENDPOINT_MAX_OUTPUTS);
    }
    for (size_t i = 0; o.name.n && i < at; i++) {
        if (gy_str_eq(o.name, e->outputs[i].name)) {
            return gy_err_set(err, GY_E_INVALID,
                              "the model has an output '%" GY_STR_F
                              "', which is what the answer of "
                              "rules is called: export it with another name",
                              GY_STR_A(o.name));
        }
    }
    o.width = 1;
    for (size_t i = 0; i < o.n_dims; i++) {
        o.width *= o.dims[i];
    }
    ADD(&text, "{\"name\":");
    gy_answer_text(&text, o.name);
    ADD(&text, ",\"shape\":[");
    GY_TRY(gy_buf_check(&text, "the name of an output", err));
    o.head = gy_arena_str(&e->arena, gy_buf_str(&text));
    if (!o.head.p) {
        return no_memory(err);
    }
    e->outputs[at] = o;
    e->output_names[at] = o.name;
    e->n_outputs++;
    return GY_OK;
}

static gy_status add_tensors(struct gy_endpoint *e, struct gy_err *err)
{
    for (size_t i = 0; i < e->info->n_out_tensors; i++) {
        const struct gy_tensor_group *t = &e->info->out_tensors[i];
        struct gy_endpoint_output o = {.name = t->name,
                                       .type = t->type,
                                       .tensor = true,
                                       .first = t->first,
                                       .n_dims = t->n_dims};
        memcpy(o.dims, t->dims, sizeof o.dims);
        GY_TRY(add_output(e, o, err));
    }
    return GY_OK;
}

gy_status gy_outputs_build(struct gy_endpoint *e, struct gy_err *err)
{
    bool regression = e->info->task == GY_TASK_REGRESSION;
    bool many = e->info->task == GY_TASK_MULTICLASS, tensors = e->info->n_out_tensors > 0;
    size_t room = e->info->n_out_tensors + GY_N_OUTPUTS + 1;
    e->outputs = gy_arena_calloc(&e->arena, room, sizeof *e->outputs);
    e->output_names = gy_arena_calloc(&e->arena, room, sizeof *e->output_names);
    if (!e->outputs || !e->output_names) {
        return no_memory(err);
    }
    struct gy_endpoint_output prediction = {.name = GY_STR("prediction"),
                                            .what = GY_OUT_PREDICTION,
                                            .type = regression           ? GY_DATATYPE_FP64
                                                    : e->numeric_classes ? GY_DATATYPE_INT64
                                                                         : GY_DATATYPE_BYTES};
    struct gy_endpoint_output probability = {.name =
                                                 regression ? GY_STR_NULL : GY_STR("probability"),
                                             .what = GY_OUT_PROBABILITY,
                                             .type = GY_DATATYPE_FP64,
                                             .n_dims = many,
                                             .dims = {many ? (uint32_t)e->info->n_outputs : 0}};
    struct gy_endpoint_output rule = {.name = e->n_rules ? GY_STR("rule") : GY_STR_NULL,
                                      .what = GY_OUT_RULE,
                                      .type = GY_DATATYPE_BYTES};
    GY_TRY(add_tensors(e, err));
    if (!tensors || e->n_rules) {
        GY_TRY(add_output(e, prediction, err));
    }
    if (!tensors) {
        GY_TRY(add_output(e, probability, err));
    }
    return !tensors || e->n_rules ? add_output(e, rule, err) : GY_OK;
}

gy_status gy_answer_check(const struct gy_endpoint *e, const struct gy_infer_request *q,
                          struct gy_err *err)
{
    for (size_t i = 0; i < e->n_outputs; i++) {
        const struct gy_endpoint_output *o = &e->outputs[i];
        bool as_json = o->name.n && (q->outputs & ~q->asked) >> i & 1;
        if (as_json && !gy_datatype_has_json(o->type)) {
            return gy_err_set(err, GY_E_INVALID,
                              "output '%.*s' is %s, which has no JSON form: ask for it with "
                              "binary_data",
                              (int)(o->name.n > 64 ? 64 : o->name.n), o->name.p,
                              gy_datatype_name(o->type));
        }
    }
    return GY_OK;
}

/* ---- values ---- */

/* Value k of row i of an output of numbers; NaN: the model was not asked. */
static double value_of(const struct gy_endpoint *e, const struct gy_infer_work *w,
                       const struct gy_endpoint_output *o, size_t i, size_t k)
{
    const double *row = w->out + i * e->n_log_outputs;
    if (!o->tensor && o->what == GY_OUT_PREDICTION) {
        return e->info->task == GY_TASK_REGRESSION ? w->classes[i]
                                                   : e->class_values[(size_t)w->classes[i]];
    }
    return gy_infer_skips(e, w, i) ? NAN : row[1 + o->first + k];
}

static void add_value(enum gy_datatype type, double v, struct gy_buf *out)
{
    char text[32];
    double min, max;
    if (isnan(v)) {
        ADD(out, "null");
    } else if (type == GY_DATATYPE_BOOL) {
        gy_buf_addc(out, v != 0 ? "true" : "false");
    } else if (gy_datatype_range(type, &min, &max)) {
        int n = snprintf(text, sizeof text, "%.0f", v);
        gy_buf_add_bytes(out, text, (size_t)n);
    } else {
        gy_answer_number(out, v);
    }
}

static void add_row(const struct gy_endpoint *e, const struct gy_infer_work *w,
                    const struct gy_endpoint_output *o, size_t i, struct gy_buf *out)
{
    if (o->tensor) {
        for (size_t k = 0; k < o->width; k++) {
            if (k) {
                gy_buf_add_char(out, ',');
            }
            add_value(o->type, value_of(e, w, o, i, k), out);
        }
        return;
    }
    switch (o->what) {
    case GY_OUT_PREDICTION:
        gy_answer_prediction(e, w, i, out);
        break;
    case GY_OUT_PROBABILITY:
        gy_answer_probability(e, w, i, false, out);
        break;
    case GY_OUT_RULE:
    case GY_N_OUTPUTS:
        gy_answer_rule_name(e, w, i, out);
        break;
    }
}

/* ---- in binary form ---- */

/* A text of row i: a label, or the name of a rule. */
static struct gy_str text_of(const struct gy_endpoint *e, const struct gy_infer_work *w,
                             const struct gy_endpoint_output *o, size_t i)
{
    if (o->what == GY_OUT_PREDICTION) {
        return e->info->classes[(size_t)w->classes[i]];
    }
    return w->rules[i].rule >= 0 ? gy_rules_at(e->rules, (size_t)w->rules[i].rule)->name
                                 : GY_STR("");
}

size_t gy_answer_binary_size(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i)
{
    const struct gy_endpoint_output *o = &e->outputs[i];
    size_t size = gy_datatype_size(o->type), n = 0;
    if (size) {
        return w->q.n_rows * o->width * size;
    }
    for (size_t row = 0; row < w->q.n_rows; row++) {
        n += sizeof(uint32_t) + text_of(e, w, o, row).n;
    }
    return n;
}

void gy_answer_binary(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                      struct gy_buf *out)
{
    const struct gy_endpoint_output *o = &e->outputs[i];
    size_t size = gy_datatype_size(o->type);
    char element[8];
    for (size_t row = 0; size && row < w->q.n_rows; row++) {
        for (size_t k = 0; k < o->width; k++) {
            gy_datatype_put(o->type, value_of(e, w, o, row, k), element);
            gy_buf_add_bytes(out, element, size);
        }
    }
    for (size_t row = 0; !size && row < w->q.n_rows; row++) {
        struct gy_str text = text_of(e, w, o, row);
        uint32_t n = htole32((uint32_t)text.n);
        gy_buf_add_bytes(out, &n, sizeof n);
        gy_buf_add(out, text);
    }
}

/* ---- the answer ---- */

static void add_parameters(const struct gy_endpoint *e, const struct gy_infer_work *w,
                           const char *prediction_id, struct gy_buf *out)
{
    ADD(out, ",\"parameters\":{\"prediction_id\":\"");
    gy_buf_add_bytes(out, prediction_id, GY_UUID_TEXT - 1);
    ADD(out, "\",\"revision\":");
    gy_answer_uint(out, e->revision);
    if (e->n_rules && w->q.n_rows == 1) {
        const struct gy_rule_outcome *o = &w->rules[0];
        if (o->rule >= 0) {
            ADD(out, ",\"rule\":");
            gy_buf_add(out, e->plans[o->rule].name_json);
        }
        ADD(out, ",\"rule_conditions_true\":");
        gy_answer_uint(out, o->hits);
        ADD(out, ",\"rule_conditions_evaluated\":");
        gy_answer_uint(out, o->evaluated);
        ADD(out, ",\"rule_conditions\":");
        gy_answer_uint(out, o->of);
    }
    if (w->out_of_range) {
        ADD(out, ",\"warning\":");
        gy_answer_warning(e, w, out);
    }
    ADD(out, "}");
}

static void add_json_output(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                            struct gy_buf *out)
{
    const struct gy_endpoint_output *o = &e->outputs[i];
    gy_buf_add(out, o->head);
    gy_answer_uint(out, w->q.n_rows);
    for (size_t k = 0; k < o->n_dims; k++) {
        gy_buf_add_char(out, ',');
        gy_answer_uint(out, o->dims[k]);
    }
    ADD(out, "],\"datatype\":\"");
    gy_buf_addc(out, gy_datatype_name(o->type));
    if (w->q.asked >> i & 1) {
        ADD(out, "\",\"parameters\":{\"binary_data_size\":");
        gy_answer_uint(out, gy_answer_binary_size(e, w, i));
        ADD(out, "}}");
        return;
    }
    ADD(out, "\",\"data\":[");
    for (size_t row = 0; row < w->q.n_rows; row++) {
        if (row) {
            gy_buf_add_char(out, ',');
        }
        add_row(e, w, o, row, out);
    }
    ADD(out, "]}");
}

size_t gy_answer_v2(const struct gy_endpoint *e, const struct gy_infer_work *w,
                    const char prediction_id[GY_UUID_TEXT], struct gy_buf *out)
{
    size_t from = out->n;
    gy_buf_add(out, e->v2_head);
    if (w->q.id_bytes) {
        ADD(out, ",\"id\":");
        gy_answer_text(out, gy_str_n(w->q.id, w->q.id_bytes));
    }
    add_parameters(e, w, prediction_id, out);
    ADD(out, ",\"outputs\":[");
    bool first = true, binary = false;
    for (size_t i = 0; i < e->n_outputs; i++) {
        if (gy_answer_wants(e, w, i)) {
            if (!first) {
                gy_buf_add_char(out, ',');
            }
            add_json_output(e, w, i, out);
            first = false;
            binary = binary || (w->q.asked >> i & 1);
        }
    }
    ADD(out, "]}");
    size_t json_bytes = out->n - from;
    for (size_t i = 0; binary && i < e->n_outputs; i++) {
        if (gy_answer_wants(e, w, i) && (w->q.asked >> i & 1)) {
            gy_answer_binary(e, w, i, out);
        }
    }
    return binary ? json_bytes : 0;
}
