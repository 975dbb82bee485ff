/* SPDX-License-Identifier: Apache-2.0 */
/* The text of answers. Written piece by piece into one buffer that keeps its memory: what does not
 * change from request to request was made text when the endpoint was loaded. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "serve/infer.h"

#define ADD(out, literal) gy_buf_add((out), GY_STR(literal))

static void add_number(struct gy_buf *out, double v)
{
    char text[32];
    if (isnan(v)) {
        ADD(out, "null"); /* the model was not asked */
        return;
    }
    gy_buf_add_bytes(out, text, gy_fmt_f64(v, text));
}

static void add_uint(struct gy_buf *out, uint64_t v)
{
    char text[24];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    gy_buf_add_bytes(out, text + at, sizeof text - at);
}

static void add_text(struct gy_buf *out, struct gy_str s)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_str(&w, s);
}

static void add_prediction(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                           struct gy_buf *out)
{
    if (e->info->task == GY_TASK_REGRESSION) {
        add_number(out, w->classes[i]);
    } else {
        gy_buf_add(out, e->class_json[(size_t)w->classes[i]]);
    }
}

static void add_probability(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                            bool as_array, struct gy_buf *out)
{
    const double *p = w->out + i * e->n_log_outputs + 1;
    bool hidden = gy_infer_skips(e, w, i); /* the log may know it, the answer is the rule's */
    for (size_t k = 0; k + 1 < e->n_log_outputs; k++) {
        if (k || as_array) {
            gy_buf_add_char(out, k ? ',' : '[');
        }
        add_number(out, hidden ? NAN : p[k]);
    }
    if (as_array) {
        gy_buf_add_char(out, ']');
    }
}

static void add_rule_name(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                          struct gy_buf *out)
{
    if (e->n_rules && w->rules[i].rule >= 0) {
        gy_buf_add(out, e->plans[w->rules[i].rule].name_json);
    } else {
        ADD(out, "\"\"");
    }
}

/* "HR is 300, outside of the 60 to 250 seen in training" */
static void add_warning(const struct gy_endpoint *e, const struct gy_infer_work *w,
                        struct gy_buf *out)
{
    const struct gy_predictor_input *input = &e->info->inputs[w->range_input];
    const struct gy_infer_request *q = &w->q;
    char value[32];
    char min[32];
    char max[32];
    char text[512];
    (void)gy_fmt_f64_trim(w->q.values[w->range_row * e->shape.n_fields + w->range_input], value);
    (void)gy_fmt_f64_trim(input->min, min);
    (void)gy_fmt_f64_trim(input->max, max);
    int n_name = (int)(input->name.n < 200 ? input->name.n : 200);
    bool told =
        q->unseen_bytes && q->unseen_row == w->range_row && q->unseen_field == w->range_input;
    int n =
        input->kind != GY_INPUT_TEXT
            ? snprintf(text, sizeof text, "%.*s is %s, outside of the %s to %s seen in training",
                       n_name, input->name.p, value, min, max)
            : snprintf(text, sizeof text, "%.*s: %s%.*s%s not seen in training", n_name,
                       input->name.p, told ? "'" : "a value", told ? (int)q->unseen_bytes : 0,
                       q->unseen, told ? "' was" : " that was");
    if (w->q.n_rows > 1) {
        n += snprintf(text + n, sizeof text - (size_t)n, " (row %zu)", w->range_row);
    }
    if (w->out_of_range > 1) {
        n += snprintf(text + n, sizeof text - (size_t)n, "; %zu more", w->out_of_range - 1);
    }
    add_text(out, gy_str_n(text, (size_t)n));
}

/* ---- OIP v2 ---- */

static void v2_parameters(const struct gy_endpoint *e, const struct gy_infer_work *w,
                          const char *prediction_id, struct gy_buf *out)
{
    ADD(out, ",\"parameters\":{\"prediction_id\":\"");
    gy_buf_add_bytes(out, prediction_id, GY_UUID_TEXT - 1);
    ADD(out, "\",\"revision\":");
    add_uint(out, e->revision);
    if (e->n_rules && w->q.n_rows == 1) {
        const struct gy_rule_outcome *o = &w->rules[0];
        if (o->rule >= 0) {
            ADD(out, ",\"rule\":");
            gy_buf_add(out, e->plans[o->rule].name_json);
        }
        ADD(out, ",\"rule_conditions_true\":");
        add_uint(out, o->hits);
        ADD(out, ",\"rule_conditions_evaluated\":");
        add_uint(out, o->evaluated);
        ADD(out, ",\"rule_conditions\":");
        add_uint(out, o->of);
    }
    if (w->out_of_range) {
        ADD(out, ",\"warning\":");
        add_warning(e, w, out);
    }
    ADD(out, "}");
}

static void v2_shape(const struct gy_endpoint *e, const struct gy_infer_work *w,
                     enum gy_output what, struct gy_buf *out)
{
    add_uint(out, w->q.n_rows);
    if (what == GY_OUT_PROBABILITY && e->info->task == GY_TASK_MULTICLASS) {
        ADD(out, ",");
        add_uint(out, e->info->n_outputs);
    }
}

static void v2_output(const struct gy_endpoint *e, const struct gy_infer_work *w,
                      enum gy_output what, struct gy_buf *out)
{
    static const char *const names[] = {"{\"name\":\"prediction\",\"shape\":[",
                                        "{\"name\":\"probability\",\"shape\":[",
                                        "{\"name\":\"rule\",\"shape\":["};
    bool regression = e->info->task == GY_TASK_REGRESSION;
    const char *type = what == GY_OUT_PROBABILITY || (what == GY_OUT_PREDICTION && regression)
                           ? "FP64"
                       : what == GY_OUT_PREDICTION && e->numeric_classes ? "INT64"
                                                                         : "BYTES";
    gy_buf_addc(out, names[what]);
    v2_shape(e, w, what, out);
    ADD(out, "],\"datatype\":\"");
    gy_buf_addc(out, type);
    ADD(out, "\",\"data\":[");
    for (size_t i = 0; i < w->q.n_rows; i++) {
        if (i) {
            gy_buf_add_char(out, ',');
        }
        switch (what) {
        case GY_OUT_PREDICTION:
            add_prediction(e, w, i, out);
            break;
        case GY_OUT_PROBABILITY:
            add_probability(e, w, i, false, out);
            break;
        case GY_OUT_RULE:
        case GY_N_OUTPUTS:
            add_rule_name(e, w, i, out);
            break;
        }
    }
    ADD(out, "]}");
}

/* All outputs that there are, or those the request named. */
static bool wanted(const struct gy_endpoint *e, const struct gy_infer_work *w, int what)
{
    bool there = what == GY_OUT_PREDICTION ||
                 (what == GY_OUT_PROBABILITY && e->info->task != GY_TASK_REGRESSION) ||
                 (what == GY_OUT_RULE && e->n_rules > 0);
    return there && (w->q.outputs >> what & 1);
}

static void answer_v2(const struct gy_endpoint *e, const struct gy_infer_work *w,
                      const char *prediction_id, struct gy_buf *out)
{
    gy_buf_add(out, e->v2_head);
    if (w->q.id_bytes) {
        ADD(out, ",\"id\":");
        add_text(out, gy_str_n(w->q.id, w->q.id_bytes));
    }
    v2_parameters(e, w, prediction_id, out);
    ADD(out, ",\"outputs\":[");
    bool first = true;
    for (int what = 0; what < GY_N_OUTPUTS; what++) {
        if (wanted(e, w, what)) {
            if (!first) {
                gy_buf_add_char(out, ',');
            }
            v2_output(e, w, (enum gy_output)what, out);
            first = false;
        }
    }
    ADD(out, "]}");
}

/* ---- alias routes: one row ---- */

static void alias_value(const struct gy_endpoint *e, const struct gy_infer_work *w,
                        enum gy_output what, struct gy_buf *out)
{
    switch (what) {
    case GY_OUT_PREDICTION:
        add_prediction(e, w, 0, out);
        return;
    case GY_OUT_PROBABILITY:
        if (e->info->task == GY_TASK_REGRESSION) {
            ADD(out, "null");
        } else {
            add_probability(e, w, 0, e->info->task == GY_TASK_MULTICLASS, out);
        }
        return;
    case GY_OUT_RULE:
    case GY_N_OUTPUTS:
        add_rule_name(e, w, 0, out);
    }
}

/* The values that an expression may read. */
static void alias_slots(const struct gy_endpoint *e, const struct gy_infer_work *w,
                        struct gy_expr_value slots[GY_SLOTS])
{
    const double *p = w->out + 1;
    bool regression = e->info->task == GY_TASK_REGRESSION;
    bool text = !regression && !e->numeric_classes;
    bool binary = e->info->task == GY_TASK_BINARY && !gy_infer_skips(e, w, 0);
    slots[GY_SLOT_PREDICTION] =
        (struct gy_expr_value){.type = text ? GY_EXPR_STR : GY_EXPR_NUM,
                               .num = w->out[0],
                               .str = text ? e->info->classes[(size_t)w->classes[0]] : GY_STR_NULL};
    slots[GY_SLOT_PROBABILITY] = (struct gy_expr_value){
        .type = binary && !isnan(*p) ? GY_EXPR_NUM : GY_EXPR_NULL, .num = binary ? *p : NAN};
}

/* An expression that can not be told answers null. */
static void alias_computed(const struct gy_endpoint *e, const struct gy_infer_work *w,
                           const struct gy_expr *expr, struct gy_buf *out)
{
    struct gy_expr_value slots[GY_SLOTS];
    struct gy_expr_value v;
    alias_slots(e, w, slots);
    if (gy_expr_eval(expr, slots, GY_SLOTS, &v, NULL) != GY_OK) {
        v.type = GY_EXPR_NULL;
    }
    switch (v.type) {
    case GY_EXPR_NUM:
        add_number(out, v.num);
        return;
    case GY_EXPR_STR:
        add_text(out, v.str);
        return;
    case GY_EXPR_BOOL:
        gy_buf_addc(out, v.b ? "true" : "false");
        return;
    case GY_EXPR_NULL:
        ADD(out, "null");
    }
}

static void answer_alias(const struct gy_endpoint *e, const struct gy_alias *alias,
                         const struct gy_infer_work *w, const char *prediction_id,
                         struct gy_buf *out)
{
    gy_buf_add_char(out, '{');
    for (size_t i = 0; i < alias->n_outputs; i++) {
        gy_buf_add(out, alias->outputs[i].key);
        if (alias->outputs[i].expr) {
            alias_computed(e, w, alias->outputs[i].expr, out);
        } else {
            alias_value(e, w, alias->outputs[i].what, out);
        }
        gy_buf_add_char(out, ',');
    }
    ADD(out, "\"prediction_id\":\"");
    gy_buf_add_bytes(out, prediction_id, GY_UUID_TEXT - 1);
    ADD(out, "\",\"model_version\":\"");
    gy_buf_add(out, e->version);
    ADD(out, "\",\"revision\":");
    add_uint(out, e->revision);
    if (e->n_rules) {
        const struct gy_rule_outcome *o = &w->rules[0];
        ADD(out, ",\"rules\":{");
        if (o->rule >= 0) {
            gy_buf_add(out, e->plans[o->rule].json);
            gy_buf_add_char(out, ',');
        }
        ADD(out, "\"true\":");
        add_uint(out, o->hits);
        ADD(out, ",\"evaluated\":");
        add_uint(out, o->evaluated);
        ADD(out, ",\"of\":");
        add_uint(out, o->of);
        ADD(out, "}");
    }
    if (w->out_of_range) {
        ADD(out, ",\"warning\":");
        add_warning(e, w, out);
    }
    ADD(out, "}");
}

void gy_infer_answer(const struct gy_endpoint *e, const struct gy_alias *alias,
                     const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                     struct gy_buf *out)
{
    if (alias) {
        answer_alias(e, alias, w, prediction_id, out);
    } else {
        answer_v2(e, w, prediction_id, out);
    }
}

void gy_infer_error(const struct gy_err *failed, struct gy_buf *out)
{
    ADD(out, "{\"error\":");
    add_text(out, gy_str_c(failed->msg));
    ADD(out, "}");
}
