/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of a training. What takes long by nature (many inputs, slow models) is left to `gyre
 * evaluate --plots`. */
#include <stdio.h>
#include <string.h>

#include "learn/bootstrap.h"
#include "learn/importance.h"
#include "learn/train_internal.h"

#define REPEATS 5
#define MAX_ANSWERS 200000 /* rows x inputs x repeats that the importance may ask the model for */
#define MIN_ROWS 100       /* fewer say nothing about an input */

/* Every n-th row where all would take too long; none where even few would. */
static gy_status draw_importance(struct gy_trained *t, const struct gy_predictor *p,
                                 const struct gy_table *table, struct gy_str about,
                                 struct gy_err *err)
{
    size_t rows = MAX_ANSWERS / (REPEATS * gy_predictor_info(p)->n_inputs);
    const struct gy_importance_options o = {
        .repeats = REPEATS, .max_rows = rows, .seed = t->model.seed, .n_threads = 1};
    GY_AUTO_DONE(gy_importance_done) struct gy_importance i = {0};
    /* of k folds the package has seen every row: none is left to mix up honestly */
    if (t->on != GY_MEASURED_HELD_OUT || rows < MIN_ROWS ||
        t->model.learner == GY_LEARNER_MAJORITY || gy_predictor_info(p)->n_cells > 1000) {
        return GY_OK;
    }
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_importance_of(p, table, &t->eval, &o, &i, &why);
    if (status == GY_E_INVALID) {
        return GY_OK; /* the metric can not be told on these rows: one class only */
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    return gy_pictures_add_importance(&t->pictures, &i, about, err);
}

/* One name of the history as a curve; room for n_history of each. */
static size_t take_series(const struct gy_trained *t, const char *name, double *x, double *y)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_history; i++) {
        if (strcmp(t->history[i].name, name) == 0) {
            x[n] = (double)t->history[i].step;
            y[n++] = t->history[i].value;
        }
    }
    return n;
}

/* The losses that the learner told, round by round. */
static gy_status draw_learning(struct gy_trained *t, struct gy_str about, struct gy_err *err)
{
    static const char *const names[] = {"loss", "val_loss"};
    static const char *const labels[] = {"training", "set aside"};
    struct gy_picture_series series[2];
    size_t n = 0;
    GY_AUTO(gy_doubles_free) double *room = gy_doubles_new(t->n_history + 1, 4);
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    for (size_t i = 0; i < 2; i++) {
        double *x = room + 2 * i * t->n_history;
        double *y = x + t->n_history;
        size_t points = take_series(t, names[i], x, y);
        if (points > 1) {
            series[n++] = (struct gy_picture_series){gy_str_c(labels[i]), x, y, points};
        }
    }
    return n == 0 ? GY_OK
                  : gy_pictures_add_learning(&t->pictures, about, GY_STR("round"), GY_STR("loss"),
                                             series, n, err);
}

gy_status gy_train_pictures(struct gy_trained *t, const struct gy_predictor *p,
                            const struct gy_table *table, struct gy_err *err)
{
    char about[128];
    (void)snprintf(about, sizeof about, "%s, %zu rows (%s)", gy_learner_name(t->model.learner),
                   t->eval.n_rows, gy_measured_name(t->on));
    GY_TRY(gy_pictures_of_eval(&t->eval, gy_str_c(about), &t->pictures, err));
    GY_TRY(draw_learning(t, gy_str_c(about), err));
    return draw_importance(t, p, table, gy_str_c(about), err);
}
