/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/logrow.h"

#include <math.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/gap.h"
#include "serve/logging.h"

void gy_logrow_value(struct gy_jw *w, double v)
{
    if (isnan(v)) {
        gy_jw_null(w);
    } else if (v == floor(v) && fabs(v) < 1e15) {
        gy_jw_i64(w, (int64_t)v);
    } else {
        gy_jw_f64(w, v);
    }
}

void gy_logrow_body(struct gy_jw *w, const struct gy_record *r)
{
    if (r->body.n == 0) {
        return;
    }
    if (gy_str_is_utf8(r->body)) {
        gy_jw_kv_str(w, "body", r->body);
    } else {
        GY_AUTO(gy_free) char *text = gy_malloc(gy_base64_size(r->body.n) + 1);
        if (text) {
            gy_base64(r->body.p, r->body.n, text);
        }
        gy_jw_kv_strc(w, "body_b64", text);
    }
    gy_jw_kv_str(w, "body_type", r->body_type);
}

void gy_logrow_trace(struct gy_jw *w, const struct gy_record *r)
{
    char hex[33];
    if (gy_record_has_trace(r)) {
        gy_hex(r->trace_id, sizeof r->trace_id, hex);
        gy_jw_kv_strc(w, "trace_id", hex);
        gy_hex(r->parent_span, sizeof r->parent_span, hex);
        gy_jw_kv_strc(w, "parent_span", hex);
    }
}

static void write_head(struct gy_jw *w, const struct gy_record *r, uint32_t row)
{
    char id[GY_UUID_TEXT], time[32];
    gy_uuid_text(r->id, id);
    gy_jw_kv_strc(w, "prediction_id", id);
    gy_jw_kv_i64(w, "row", (int64_t)r->first_row + row);
    gy_jw_kv_i64(w, "rows", r->total_rows);
    gy_jw_kv_str(w, "time", gy_str_n(time, gy_time_iso(r->time_us, time)));
    gy_jw_kv_str(w, "endpoint", r->endpoint);
    gy_jw_kv_i64(w, "revision", r->revision);
    gy_jw_kv_str(w, "model_version", r->model_version);
    gy_jw_kv_str(w, "request_id", r->request_id);
    gy_jw_kv_i64(w, "status", r->status);
    gy_jw_kv_f64(w, "latency_us", (double)r->latency_ns / 1e3);
}

/* Of the configuration, not of the shape: that calls hidden columns by another name. */
static struct gy_str input_name(yyjson_val *names, size_t i, char number[32])
{
    struct gy_str name = gy_json_val_str(yyjson_arr_get(names, i));
    return name.p ? name : gy_str_n(number, gy_fmt_f64_trim((double)i, number));
}

void gy_logrow_inputs(struct gy_jw *w, const struct gy_record *r, uint32_t row, yyjson_val *config)
{
    yyjson_val *names = gy_json_get(config, "inputs");
    yyjson_val *left_out = gy_json_get(gy_json_get(config, "log"), "leave_out");
    gy_jw_key(w, "inputs");
    gy_jw_obj(w);
    for (size_t i = 0; i < r->n_inputs; i++) {
        char number[32], scratch[40];
        double v = r->inputs[(size_t)row * r->n_inputs + i];
        struct gy_str name = input_name(names, i, number);
        enum gy_log_column how = gy_logging_column_of(config, name);
        struct gy_str text = gy_shape_logged_text(config, name, v, scratch);
        if (how == GY_LOG_LEFT_OUT) {
            continue;
        }
        gy_jw_keys(w, name);
        if (how == GY_LOG_HASHED && !isnan(v)) {
            gy_jw_strf(w, "hash:%013llx", (unsigned long long)v);
        } else if (text.p) {
            gy_jw_str(w, text);
        } else {
            gy_logrow_value(w, v);
        }
    }
    gy_jw_obj_end(w);
    if (yyjson_arr_size(left_out) > 0) {
        gy_jw_key(w, "left_out");
        gy_jw_val(w, left_out);
    }
}

/* A class by its label, as it was answered. */
static void write_class(struct gy_jw *w, const struct gy_shape *s, double value)
{
    bool texts = s && s->n_classes && !gy_json_bool(s->config, "numeric_classes", true);
    char scratch[32];
    if (texts && !isnan(value)) {
        gy_jw_str(w, gy_shape_text(s, value, scratch));
    } else {
        gy_logrow_value(w, value);
    }
}

static void write_outputs(struct gy_jw *w, const struct gy_record *r, uint32_t row,
                          const struct gy_shape *s)
{
    const double *out = r->outputs + (size_t)row * r->n_outputs;
    bool regression = s && s->task == GY_TASK_REGRESSION;
    gy_jw_key(w, "prediction");
    write_class(w, s, r->n_outputs ? out[0] : NAN);
    gy_jw_key(w, "probability");
    if (regression || r->n_outputs < 2) {
        gy_jw_null(w);
    } else if (r->n_outputs == 2) {
        gy_logrow_value(w, out[1]);
    } else {
        gy_jw_arr(w);
        for (size_t i = 1; i < r->n_outputs; i++) {
            gy_logrow_value(w, out[i]);
        }
        gy_jw_arr_end(w);
    }
    const struct gy_shape_rule *rule =
        s ? gy_shape_rule(s, r->rules ? &r->rules[row] : NULL) : NULL;
    gy_jw_key(w, "rule");
    if (rule) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", rule->name);
        gy_jw_kv_str(w, "reason", rule->reason);
        gy_jw_obj_end(w);
    } else {
        gy_jw_null(w);
    }
    if (r->shadow && r->n_shadow) {
        gy_jw_key(w, "shadow");
        gy_jw_obj(w);
        gy_jw_kv_str(w, "model_version", r->shadow_version);
        gy_jw_key(w, "prediction");
        write_class(w, s, r->shadow[(size_t)row * r->n_shadow]);
        gy_jw_obj_end(w);
    }
}

void gy_logrow_write(struct gy_jw *w, const struct gy_record *r, uint32_t row,
                     const struct gy_shape *shape)
{
    gy_jw_obj(w);
    write_head(w, r, row);
    if (gy_gap_row(r, row)) {
        gy_jw_kv_bool(w, "erased", true);
        gy_jw_obj_end(w);
        return;
    }
    gy_logrow_inputs(w, r, row, shape ? shape->config : NULL);
    write_outputs(w, r, row, shape);
    if (r->sample_rate > 0) {
        gy_jw_kv_f64(w, "sample_rate", r->sample_rate);
    }
    if (r->propensity > 0) {
        gy_jw_kv_f64(w, "propensity", r->propensity);
    }
    gy_logrow_trace(w, r);
    if (row == 0) { /* once: all its rows are in this record */
        gy_logrow_body(w, r);
    }
    gy_jw_obj_end(w);
}
