/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a package that tell about the model: input_example.json, metrics.json, card.json.
 * None holds a time or an id. */
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/image.h"
#include "learn/train_internal.h"

#define MAX_BYTES (16 * GY_MIB)
#define MAX_EXAMPLE_IMAGE (64 * GY_KIB)

gy_status gy_package_put(const char *dir, const char *name, struct gy_str bytes, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
    return gy_file_write(path, bytes, 0644, err);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A value that is in the data: the lower median; NaN when there is none. */
static double typical(const double *column, const uint32_t *rows, size_t n, double *room)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(column[rows[i]])) {
            room[kept++] = column[rows[i]];
        }
    }
    qsort(room, kept, sizeof *room, compare_doubles);
    return kept ? room[(kept - 1) / 2] : NAN;
}

/* The first image, as requests send them; null when it is large. */
static void write_image(struct gy_jw *w, const struct gy_table_column *c, const struct gy_table *t,
                        const uint32_t *rows, size_t n)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, MAX_EXAMPLE_IMAGE);
    for (size_t i = 0; i < n; i++) {
        if (!c->text[rows[i]].p) {
            continue;
        }
        GY_AUTO(gy_free) char *text = gy_malloc(gy_base64_size(MAX_EXAMPLE_IMAGE) + 1);
        if (!text || gy_image_read(t->folder.p, c->text[rows[i]], &bytes, NULL) != GY_OK) {
            break;
        }
        gy_base64(bytes.p, bytes.n, text);
        gy_jw_strc(w, text);
        return;
    }
    gy_jw_null(w);
}

/* The cell that is typical of an input, as a client would write it. */
static void write_typical(struct gy_jw *w, const struct gy_predictor_input *in,
                          const struct gy_table *t, const uint32_t *rows, size_t n, double *room)
{
    char scratch[40];
    const struct gy_table_column *c = gy_table_column(t, in->name);
    if (in->kind == GY_INPUT_IMAGE) {
        write_image(w, c, t, rows, n);
        return;
    }
    if (in->kind != GY_INPUT_NUMBER) {
        struct gy_str text = GY_STR_NULL;
        for (size_t i = 0; !text.p && i < n; i++) {
            text = gy_table_text(c, rows[i], scratch);
        }
        if (in->integer && text.p) { /* a category of whole numbers */
            gy_jw_raw(w, text);
        } else {
            gy_jw_str(w, text);
        }
        return;
    }
    double v = typical(c->num, rows, n, room);
    if (isnan(v)) {
        gy_jw_null(w);
    } else {
        gy_jw_f64(w, v);
    }
}

/* {"columns": [...], "data": [[...]]}: MLflow's split orientation. */
gy_status gy_write_example(const struct gy_model *m, const struct gy_table *t, const uint32_t *rows,
                           size_t n, const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, sizeof(double));
    struct gy_jw w;
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "the input example");
    }
    gy_buf_init(&out, MAX_BYTES);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < m->n_inputs; i++) {
        gy_jw_str(&w, m->inputs[i].name);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "data");
    gy_jw_arr(&w);
    gy_jw_arr(&w);
    for (size_t i = 0; i < m->n_inputs; i++) {
        write_typical(&w, &m->inputs[i], t, rows, n, (double *)(void *)room);
    }
    gy_jw_arr_end(&w);
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "the input example", err));
    return gy_package_put(dir, "input_example.json", gy_buf_str(&out), err);
}

gy_status gy_write_metrics(const struct gy_trained *t, const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, MAX_BYTES);
    gy_jw_init(&w, &out);
    w.pretty = true;
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "on", gy_measured_name(t->on));
    gy_jw_kv_f64(&w, "confidence", 0.95);
    gy_eval_write(&w, &t->eval);
    if (t->baseline.n_groups > 0) {
        gy_jw_key(&w, "baseline");
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "learner", "majority");
        gy_eval_write(&w, &t->baseline);
        gy_jw_obj_end(&w);
    }
    gy_jw_obj_end(&w);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "metrics.json", err));
    return gy_package_put(dir, "metrics.json", gy_buf_str(&out), err);
}

static void write_inputs(struct gy_jw *w, const struct gy_model *m)
{
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < m->n_inputs; i++) {
        const struct gy_predictor_input *in = &m->inputs[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", in->name);
        if (isfinite(in->min)) {
            gy_jw_key(w, "trained_on");
            gy_jw_arr(w);
            gy_jw_f64(w, in->min);
            gy_jw_f64(w, in->max);
            gy_jw_arr_end(w);
        }
        gy_jw_kv_strc(w, "missing",
                      in->required                       ? "refused"
                      : gy_features_impute(&m->features) ? "imputed"
                                                         : "passed to the learner");
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

/* What a person must know before using the model; all of it measured, none of it promised. */
gy_status gy_write_card(const struct gy_trained *t, const char *dir, struct gy_err *err)
{
    const struct gy_model *m = &t->model;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, MAX_BYTES);
    gy_jw_init(&w, &out);
    w.pretty = true;
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "format", "gyre.card/1");
    gy_jw_kv_strc(&w, "learner", gy_learner_name(m->learner));
    gy_jw_kv_strc(&w, "task", gy_task_name(m->task));
    gy_jw_kv_str(&w, "target", m->target);
    write_inputs(&w, m);
    gy_jw_key(&w, "data");
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "sha256", m->data_sha256);
    gy_jw_kv_i64(&w, "rows_trained_on", m->rows_train);
    gy_jw_kv_i64(&w, "rows_held_out", m->rows_held_out);
    gy_jw_kv_i64(&w, "held_out_without_label", (int64_t)t->eval.n_unlabelled);
    gy_jw_obj_end(&w);
    gy_jw_key(&w, "measured");
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "on",
                  t->on == GY_MEASURED_TRAINING
                      ? "the rows trained on: what unseen rows get is worse"
                      : "rows that training did not see");
    gy_metrics_write(&w, &t->eval.groups[0].metrics, m->task);
    gy_eval_write_details(&w, &t->eval);
    gy_jw_obj_end(&w);
    if (t->baseline.n_groups > 0) {
        gy_jw_key(&w, "majority_baseline");
        gy_jw_obj(&w);
        gy_metrics_write(&w, &t->baseline.groups[0].metrics, m->task);
        gy_jw_obj_end(&w);
    }
    if (t->n_warnings > 0) {
        gy_jw_key(&w, "warnings");
        gy_jw_arr(&w);
        for (size_t i = 0; i < t->n_warnings; i++) {
            gy_jw_str(&w, t->warnings[i]);
        }
        gy_jw_arr_end(&w);
    }
    gy_jw_key(&w, "limits");
    gy_jw_arr(&w);
    gy_jw_strc(
        &w, "Values outside the ranges trained on are answered, but nothing measured covers them.");
    gy_jw_strc(&w, "The intervals tell the chance of sampling, not a change of the population.");
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "card.json", err));
    return gy_package_put(dir, "card.json", gy_buf_str(&out), err);
}
