/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a trial as JSON, for the process next door and for the search that goes on later.
 */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "learn/search.h"

static void write_numbers(struct gy_jw *w, const char *key, const double *v, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_f64(w, v[i]);
    }
    gy_jw_arr_end(w);
}

void gy_trial_write(struct gy_jw *w, const struct gy_trial *t)
{
    const double numbers[] = {t->score,     t->loss,         t->seconds, t->predict_us,
                              t->threshold, t->threshold_f1, t->half_f1};
    gy_jw_kv_bool(w, "ok", t->ok);
    gy_jw_kv_bool(w, "begun", t->begun);
    gy_jw_kv_bool(w, "whole", t->whole);
    gy_jw_kv_bool(w, "cut", t->cut);
    gy_jw_kv_i64(w, "rounds", t->rounds);
    gy_jw_kv_i64(w, "model_bytes", t->model_bytes);
    gy_jw_kv_strc(w, "error", t->ok ? NULL : t->error);
    write_numbers(w, "numbers", numbers, sizeof numbers / sizeof numbers[0]);
    write_numbers(w, "rungs", t->rungs, t->n_rungs);
    write_numbers(w, "losses", t->losses, t->n_rungs);
    gy_jw_key(w, "metrics");
    gy_jw_obj(w);
    for (size_t i = 0; i < t->metrics.n; i++) {
        const struct gy_metric *m = &t->metrics.items[i];
        const double of_it[] = {m->value, m->low, m->high};
        write_numbers(w, m->name, of_it, 3);
    }
    gy_jw_obj_end(w);
    const int64_t cells[] = {(int64_t)t->metrics.n_rows, t->metrics.tp, t->metrics.fp,
                             t->metrics.tn, t->metrics.fn};
    gy_jw_key(w, "cells");
    gy_jw_arr(w);
    for (size_t i = 0; i < 5; i++) {
        gy_jw_i64(w, cells[i]);
    }
    gy_jw_arr_end(w);
}

/* A number, or one of the words for what is none. */
static double number(yyjson_val *v)
{
    struct gy_str word = gy_json_val_str(v);
    return yyjson_is_num(v)                ? yyjson_get_num(v)
           : gy_str_eqc(word, "Infinity")  ? INFINITY
           : gy_str_eqc(word, "-Infinity") ? -INFINITY
                                           : NAN;
}

/* At most max numbers of an array; how many there were. */
static size_t read_numbers(yyjson_val *array, double *out, size_t max)
{
    size_t n = yyjson_arr_size(array);
    for (size_t i = 0; i < n && i < max; i++) {
        out[i] = number(yyjson_arr_get(array, i));
    }
    return n < max ? n : max;
}

gy_status gy_trial_read(yyjson_val *v, const struct gy_metrics *names, struct gy_trial *t,
                        struct gy_err *err)
{
    double numbers[7] = {0};
    double cells[5] = {0};
    yyjson_val *metrics = gy_json_get(v, "metrics");
    struct gy_str error = gy_json_str(v, "error");
    if (read_numbers(gy_json_get(v, "numbers"), numbers, 7) != 7 || !metrics) {
        return gy_err_set(err, GY_E_CORRUPT, "the numbers of a trial can not be read");
    }
    t->ok = gy_json_bool(v, "ok", false);
    t->begun = gy_json_bool(v, "begun", false);
    t->whole = gy_json_bool(v, "whole", false);
    t->cut = gy_json_bool(v, "cut", false);
    t->rounds = (int)gy_json_i64(v, "rounds", 0);
    t->model_bytes = gy_json_i64(v, "model_bytes", 0);
    t->score = numbers[0];
    t->loss = numbers[1];
    t->seconds = numbers[2];
    t->predict_us = numbers[3];
    t->threshold = numbers[4];
    t->threshold_f1 = numbers[5];
    t->half_f1 = numbers[6];
    (void)snprintf(t->error, sizeof t->error, "%.*s", (int)error.n, error.p ? error.p : "");
    t->n_rungs = read_numbers(gy_json_get(v, "rungs"), t->rungs, GY_SEARCH_RUNGS);
    (void)read_numbers(gy_json_get(v, "losses"), t->losses, GY_SEARCH_RUNGS);
    (void)read_numbers(gy_json_get(v, "cells"), cells, 5);
    t->metrics = (struct gy_metrics){.n_rows = (size_t)cells[0],
                                     .tp = (int64_t)cells[1],
                                     .fp = (int64_t)cells[2],
                                     .tn = (int64_t)cells[3],
                                     .fn = (int64_t)cells[4]};
    for (size_t i = 0; i < names->n && t->ok; i++) {
        double of_it[3] = {NAN, NAN, NAN};
        yyjson_val *m = gy_json_get(metrics, names->items[i].name);
        if (m && read_numbers(m, of_it, 3) == 3) {
            t->metrics.items[t->metrics.n++] =
                (struct gy_metric){names->items[i].name, of_it[0], of_it[1], of_it[2],
                                   names->items[i].lower_is_better};
        }
    }
    return GY_OK;
}
