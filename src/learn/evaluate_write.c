/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation as JSON: in metrics.json, in answers of the command line, in cards. */
#include <math.h>

#include "learn/evaluate.h"

static void number_or_null(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

void gy_metric_write(struct gy_jw *w, const struct gy_metric *m)
{
    gy_jw_key(w, m->name);
    gy_jw_obj(w);
    number_or_null(w, "value", m->value);
    number_or_null(w, "low", m->low);
    number_or_null(w, "high", m->high);
    gy_jw_obj_end(w);
}

void gy_metrics_write(struct gy_jw *w, const struct gy_metrics *m, enum gy_task task)
{
    gy_jw_key(w, "metrics");
    gy_jw_obj(w);
    for (size_t i = 0; i < m->n; i++) {
        gy_metric_write(w, &m->items[i]);
    }
    gy_jw_obj_end(w);
    if (task == GY_TASK_BINARY && m->n > 0) {
        gy_jw_key(w, "confusion");
        gy_jw_obj(w);
        gy_jw_kv_i64(w, "tp", m->tp);
        gy_jw_kv_i64(w, "fp", m->fp);
        gy_jw_kv_i64(w, "tn", m->tn);
        gy_jw_kv_i64(w, "fn", m->fn);
        gy_jw_obj_end(w);
    }
}

static void write_confusion(struct gy_jw *w, const struct gy_eval *e)
{
    gy_jw_key(w, "confusion_matrix"); /* rows: truth, columns: what was said */
    gy_jw_obj(w);
    gy_jw_key(w, "labels");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->n_labels; i++) {
        gy_jw_str(w, e->labels[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "counts");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->n_labels; i++) {
        gy_jw_arr(w);
        for (size_t k = 0; k < e->n_labels; k++) {
            gy_jw_i64(w, e->confusion[i * e->n_labels + k]);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_classes(struct gy_jw *w, const struct gy_eval *e)
{
    gy_jw_key(w, "classes");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->n_labels; i++) {
        const struct gy_class_metrics *c = &e->classes[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "class", e->labels[i]);
        gy_jw_kv_i64(w, "support", c->support);
        gy_jw_kv_i64(w, "predicted", c->predicted);
        gy_metric_write(w, &c->precision);
        gy_metric_write(w, &c->recall);
        gy_metric_write(w, &c->f1);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_calibration(struct gy_jw *w, const struct gy_calibration *c)
{
    gy_jw_key(w, "calibration");
    gy_jw_obj(w);
    gy_metric_write(w, &c->ece);
    gy_jw_key(w, "bins");
    gy_jw_arr(w);
    for (size_t i = 0; i < c->n_bins; i++) {
        const struct gy_calibration_bin *b = &c->bins[i];
        gy_jw_obj(w);
        gy_jw_kv_f64(w, "above", b->low);
        gy_jw_kv_f64(w, "to", b->high);
        gy_jw_kv_i64(w, "rows", (int64_t)b->n_rows);
        number_or_null(w, "predicted", b->predicted);
        gy_metric_write(w, &b->observed);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

void gy_eval_write_details(struct gy_jw *w, const struct gy_eval *e)
{
    if (e->confusion) {
        write_confusion(w, e);
    }
    if (e->classes) {
        write_classes(w, e);
    }
    if (e->calibration.n_bins > 0) {
        write_calibration(w, &e->calibration);
    }
    if (e->n_fairness > 0) {
        gy_jw_key(w, "fairness");
        gy_jw_arr(w);
        for (size_t i = 0; i < e->n_fairness; i++) {
            gy_fairness_write(w, &e->fairness[i]);
        }
        gy_jw_arr_end(w);
    }
}

void gy_eval_write(struct gy_jw *w, const struct gy_eval *e)
{
    gy_jw_kv_i64(w, "rows", (int64_t)e->n_rows);
    gy_jw_kv_i64(w, "unlabelled", (int64_t)e->n_unlabelled);
    gy_jw_kv_i64(w, "trained_on", (int64_t)e->n_trained_on);
    gy_jw_kv_bool(w, "trained_on_this_data", e->same_data);
    if (e->weight.p) {
        gy_jw_kv_str(w, "weight", e->weight);
    }
    gy_metrics_write(w, &e->groups[0].metrics, e->task);
    gy_eval_write_details(w, e);
    gy_jw_key(w, "slices");
    gy_jw_arr(w);
    for (size_t i = 1; i < e->n_groups; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "slice", e->groups[i].slice);
        gy_jw_kv_i64(w, "rows", (int64_t)e->groups[i].metrics.n_rows);
        gy_metrics_write(w, &e->groups[i].metrics, e->task);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

void gy_paired_write(struct gy_jw *w, const struct gy_paired *p)
{
    gy_jw_obj(w);
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_difference *d = &p->items[i];
        gy_jw_key(w, d->name);
        gy_jw_obj(w);
        number_or_null(w, "a", d->a);
        number_or_null(w, "b", d->b);
        number_or_null(w, "difference", d->difference);
        number_or_null(w, "low", d->low);
        number_or_null(w, "high", d->high);
        number_or_null(w, "better", d->better);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}
