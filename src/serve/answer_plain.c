/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/answer_plain.h"

#include <math.h>

void gy_plain_number(double value, struct gy_buf *out)
{
    char text[32];
    if (isnan(value)) {
        gy_buf_add(out, GY_STR("null"));
        return;
    }
    gy_buf_add_bytes(out, text, gy_fmt_f64(value, text));
}

void gy_plain_prediction(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                         struct gy_buf *out)
{
    if (e->info->task == GY_TASK_REGRESSION) {
        gy_plain_number(w->classes[row], out);
    } else {
        gy_buf_add(out, e->class_json[(size_t)w->classes[row]]);
    }
}

void gy_plain_predictions(const struct gy_endpoint *e, const struct gy_infer_work *w,
                          struct gy_buf *out)
{
    gy_buf_add_char(out, '[');
    for (size_t i = 0; i < w->q.n_rows; i++) {
        if (i) {
            gy_buf_add_char(out, ',');
        }
        gy_plain_prediction(e, w, i, out);
    }
    gy_buf_add_char(out, ']');
}

double gy_plain_probability(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                            size_t class)
{
    const double *p = w->out + row * e->n_log_outputs + 1;
    if (gy_infer_skips(e, w, row)) {
        return NAN;
    }
    if (e->info->task == GY_TASK_BINARY) {
        return class == 1 ? p[0] : 1 - p[0];
    }
    return p[class];
}

double gy_plain_certainty(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t row,
                          size_t class)
{
    bool decided = e->n_rules && w->rules[row].rule >= 0 && e->plans[w->rules[row].rule].decides;
    return decided ? (double)((size_t)w->classes[row] == class)
                   : gy_plain_probability(e, w, row, class);
}

gy_status gy_plain_check(const struct gy_endpoint *e, struct gy_err *err)
{
    bool many = e->info->task == GY_TASK_REGRESSION && e->info->n_outputs > 1;
    return many ? gy_err_set(err, GY_E_UNSUPPORTED,
                             "the model answers with tensors: ask /v2/models/%" GY_STR_F "/infer",
                             GY_STR_A(e->name))
                : GY_OK;
}
