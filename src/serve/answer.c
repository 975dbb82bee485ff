/* SPDX-License-Identifier: Apache-2.0 */
/* The text of answers. Written piece by piece into one buffer that keeps its memory: what does not
 * change from request to request was made text when the endpoint was loaded. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "serve/answer_internal.h"

void gy_answer_number(struct gy_buf *out, double v)
{
    char text[32];
    if (isnan(v)) {
        ADD(out, "null"); /* the model was not asked */
        return;
    }
    gy_buf_add_bytes(out, text, gy_fmt_f64(v, text));
}

void gy_answer_uint(struct gy_buf *out, uint64_t v)
{
    char text[24];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    gy_buf_add_bytes(out, text + at, sizeof text - at);
}

void gy_answer_text(struct gy_buf *out, struct gy_str s)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_str(&w, s);
}

void gy_answer_prediction(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                          struct gy_buf *out)
{
    if (e->info->task == GY_TASK_REGRESSION) {
        gy_answer_number(out, w->classes[i]);
    } else {
        gy_buf_add(out, e->class_json[(size_t)w->classes[i]]);
    }
}

void gy_answer_probability(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                           bool as_array, struct gy_buf *out)
{
    const double *p = w->out + i * e->n_log_outputs + 1;
    bool hidden = gy_infer_skips(e, w, i); /* the log may know it, the answer is the rule's */
    for (size_t k = 0; k + 1 < e->n_log_outputs; k++) {
        if (k || as_array) {
            gy_buf_add_char(out, k ? ',' : '[');
        }
        gy_answer_number(out, hidden ? NAN : p[k]);
    }
    if (as_array) {
        gy_buf_add_char(out, ']');
    }
}

void gy_answer_rule_name(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                         struct gy_buf *out)
{
    if (e->n_rules && w->rules[i].rule >= 0) {
        gy_buf_add(out, e->plans[w->rules[i].rule].name_json);
    } else {
        ADD(out, "\"\"");
    }
}

/* "HR is 300, outside of the 60 to 250 seen in training" */
struct gy_str gy_answer_warning_text(const struct gy_endpoint *e, const struct gy_infer_work *w,
                                     char text[GY_ANSWER_WARNING])
{
    const struct gy_predictor_input *input = &e->info->inputs[w->range_input];
    const struct gy_infer_request *q = &w->q;
    char value[32];
    char min[32];
    char max[32];
    (void)gy_fmt_f64_trim(w->q.values[w->range_row * e->shape.n_fields + w->range_input], value);
    (void)gy_fmt_f64_trim(input->min, min);
    (void)gy_fmt_f64_trim(input->max, max);
    int n_name = (int)gy_str_head(input->name, 200).n;
    bool told =
        q->unseen_bytes && q->unseen_row == w->range_row && q->unseen_field == w->range_input;
    int n = input->kind != GY_INPUT_TEXT
                ? snprintf(text, GY_ANSWER_WARNING,
                           "%.*s is %s, outside of the %s to %s seen in training", n_name,
                           input->name.p, value, min, max)
                : snprintf(text, GY_ANSWER_WARNING, "%.*s: %s%.*s%s not seen in training", n_name,
                           input->name.p, told ? "'" : "a value", told ? (int)q->unseen_bytes : 0,
                           q->unseen, told ? "' was" : " that was");
    if (w->q.n_rows > 1) {
        n += snprintf(text + n, GY_ANSWER_WARNING - (size_t)n, " (row %zu)", w->range_row);
    }
    if (w->out_of_range > 1) {
        n += snprintf(text + n, GY_ANSWER_WARNING - (size_t)n, "; %zu more", w->out_of_range - 1);
    }
    return gy_str_n(text, (size_t)n);
}

void gy_answer_warning(const struct gy_endpoint *e, const struct gy_infer_work *w,
                       struct gy_buf *out)
{
    char text[GY_ANSWER_WARNING];
    gy_answer_text(out, gy_answer_warning_text(e, w, text));
}

/* ---- alias routes: an object a row ---- */

static void alias_value(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                        enum gy_output what, struct gy_buf *out)
{
    switch (what) {
    case GY_OUT_PREDICTION:
        gy_answer_prediction(e, w, row, out);
        return;
    case GY_OUT_PROBABILITY:
        if (e->info->task == GY_TASK_REGRESSION) {
            ADD(out, "null");
        } else {
            gy_answer_probability(e, w, row, e->info->task == GY_TASK_MULTICLASS, out);
        }
        return;
    case GY_OUT_RULE:
    case GY_N_OUTPUTS:
        gy_answer_rule_name(e, w, row, out);
    }
}

/* The values that an expression may read. */
static void alias_slots(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                        struct gy_expr_value slots[GY_SLOTS])
{
    const double *out = w->out + row * e->n_log_outputs;
    bool regression = e->info->task == GY_TASK_REGRESSION;
    bool text = !regression && !e->numeric_classes;
    double p = regression || gy_infer_skips(e, w, row) ? NAN : gy_infer_probability(e, out + 1);
    slots[GY_SLOT_PREDICTION] = (struct gy_expr_value){
        .type = text ? GY_EXPR_STR : GY_EXPR_NUM,
        .num = out[0],
        .str = text ? e->info->classes[(size_t)w->classes[row]] : GY_STR_NULL};
    slots[GY_SLOT_PROBABILITY] =
        (struct gy_expr_value){.type = isnan(p) ? GY_EXPR_NULL : GY_EXPR_NUM, .num = p};
}

/* An expression that can not be told answers null. */
static void alias_computed(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                           const struct gy_expr *expr, struct gy_buf *out)
{
    struct gy_expr_value slots[GY_SLOTS];
    struct gy_expr_value v;
    alias_slots(e, w, row, slots);
    if (gy_expr_eval(expr, slots, GY_SLOTS, &v, NULL) != GY_OK) {
        v.type = GY_EXPR_NULL;
    }
    switch (v.type) {
    case GY_EXPR_NUM:
        gy_answer_number(out, v.num);
        return;
    case GY_EXPR_STR:
        gy_answer_text(out, v.str);
        return;
    case GY_EXPR_BOOL:
        gy_buf_addc(out, v.b ? "true" : "false");
        return;
    case GY_EXPR_NULL:
        ADD(out, "null");
    }
}

static void alias_rules(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                        struct gy_buf *out)
{
    const struct gy_rule_outcome *o = &w->rules[row];
    ADD(out, ",\"rules\":{");
    if (o->rule >= 0) {
        gy_buf_add(out, e->plans[o->rule].json);
        gy_buf_add_char(out, ',');
    }
    ADD(out, "\"true\":");
    gy_answer_uint(out, o->hits);
    ADD(out, ",\"evaluated\":");
    gy_answer_uint(out, o->evaluated);
    ADD(out, ",\"of\":");
    gy_answer_uint(out, o->of);
    ADD(out, "}");
}

static void alias_row(const struct gy_endpoint *e, const struct gy_alias *alias,
                      const struct gy_infer_work *w, size_t row, const char *prediction_id,
                      struct gy_buf *out)
{
    gy_buf_add_char(out, '{');
    for (size_t i = 0; i < alias->n_outputs; i++) {
        gy_buf_add(out, alias->outputs[i].key);
        if (alias->outputs[i].expr) {
            alias_computed(e, w, row, alias->outputs[i].expr, out);
        } else {
            alias_value(e, w, row, alias->outputs[i].what, out);
        }
        gy_buf_add_char(out, ',');
    }
    ADD(out, "\"prediction_id\":\"");
    gy_buf_add_bytes(out, prediction_id, GY_UUID_TEXT - 1);
    if (w->q.asked) { /* of a list: feedback names prediction and row */
        ADD(out, "\",\"row\":");
        gy_answer_uint(out, row);
        ADD(out, ",\"model_version\":\"");
    } else {
        ADD(out, "\",\"model_version\":\"");
    }
    gy_buf_add(out, e->version);
    ADD(out, "\",\"revision\":");
    gy_answer_uint(out, e->revision);
    if (e->n_rules) {
        alias_rules(e, w, row, out);
    }
    if (w->out_of_range && w->range_row == row) {
        ADD(out, ",\"warning\":");
        gy_answer_warning(e, w, out);
    }
    ADD(out, "}");
}

static void answer_alias(const struct gy_endpoint *e, const struct gy_alias *alias,
                         const struct gy_infer_work *w, const char *prediction_id,
                         struct gy_buf *out)
{
    if (!w->q.asked) {
        alias_row(e, alias, w, 0, prediction_id, out);
        return;
    }
    for (size_t i = 0; i < w->q.n_rows; i++) {
        gy_buf_add_char(out, i ? ',' : '[');
        alias_row(e, alias, w, i, prediction_id, out);
    }
    gy_buf_add_char(out, ']');
}

void gy_infer_answer(const struct gy_endpoint *e, const struct gy_alias *alias,
                     const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                     struct gy_buf *out)
{
    if (alias) {
        answer_alias(e, alias, w, prediction_id, out);
    } else {
        (void)gy_answer_v2(e, w, prediction_id, out);
    }
}

void gy_infer_error(const struct gy_err *failed, struct gy_buf *out)
{
    ADD(out, "{\"error\":");
    gy_answer_text(out, gy_str_c(failed->msg));
    ADD(out, "}");
}
