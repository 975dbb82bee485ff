/* SPDX-License-Identifier: Apache-2.0 */
/* How much each row counts in training: a column's number times the weight of its class. */
#include <math.h>

#include "base/mem.h"
#include "learn/train_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "training");
}

static gy_status by_column(const struct gy_train_job *j, double *w, struct gy_err *err)
{
    const struct gy_table_column *c = gy_table_column(j->t, j->p->weight);
    if (!c || !c->numeric) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "the table has no column of numbers '%" GY_STR_F "' to weigh rows by",
                          GY_STR_A(j->p->weight));
    }
    for (size_t i = 0; i < j->n_train; i++) {
        w[i] = c->num[j->train[i]];
        if (!(w[i] >= 0) || isinf(w[i])) {
            return gy_err_set(err, GY_E_INVALID,
                              "row %u has the weight %g: weights are 0 or more, and there",
                              (unsigned)j->train[i], w[i]);
        }
    }
    return GY_OK;
}

/* n / (classes x rows of the class), as scikit-learn's class_weight="balanced". */
static void balance(const struct gy_train_job *j, const struct gy_model *m, double *of_class)
{
    size_t present = 0;
    for (size_t i = 0; i < j->n_train; i++) {
        size_t c = (size_t)j->y[j->train[i]];
        present += of_class[c] == 0;
        of_class[c]++;
    }
    for (size_t c = 0; c < m->n_classes; c++) {
        of_class[c] = of_class[c] > 0 ? (double)j->n_train / ((double)present * of_class[c]) : 0;
    }
}

static gy_status by_label(const struct gy_train_job *j, const struct gy_model *m, double *of_class,
                          struct gy_err *err)
{
    for (size_t c = 0; c < m->n_classes; c++) {
        of_class[c] = 1;
    }
    for (size_t k = 0; k < j->p->n_class_weights; k++) {
        size_t c = 0;
        while (c < m->n_classes && !gy_str_eq(m->classes[c], j->p->class_weights[k].label)) {
            c++;
        }
        if (c == m->n_classes) {
            return gy_err_set(err, GY_E_INVALID, "class_weight: there is no class '%" GY_STR_F "'",
                              GY_STR_A(j->p->class_weights[k].label));
        }
        of_class[c] = j->p->class_weights[k].weight;
    }
    return GY_OK;
}

gy_status gy_train_weights(const struct gy_train_job *j, const struct gy_model *m, double **ret,
                           struct gy_err *err)
{
    const struct gy_train_params *p = j->p;
    bool classes = p->balanced || p->n_class_weights > 0;
    *ret = NULL;
    if (!p->weight.p && !classes) {
        return GY_OK;
    }
    if (classes && m->task == GY_TASK_REGRESSION) {
        return gy_err_set(err, GY_E_INVALID, "class_weight is for classes: this is a regression");
    }
    GY_AUTO(gy_free)
    char *room = gy_calloc(j->n_train + m->n_classes + 1, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    double *w = (double *)(void *)room;
    double *of_class = w + j->n_train;
    for (size_t i = 0; i < j->n_train; i++) {
        w[i] = 1;
    }
    if (p->weight.p) {
        GY_TRY(by_column(j, w, err));
    }
    if (p->balanced) {
        balance(j, m, of_class);
    } else if (classes) {
        GY_TRY(by_label(j, m, of_class, err));
    }
    double sum = 0;
    for (size_t i = 0; i < j->n_train; i++) {
        w[i] *= classes ? of_class[(size_t)j->y[j->train[i]]] : 1;
        sum += w[i];
    }
    if (!(sum > 0)) {
        return gy_err_set(err, GY_E_INVALID, "all rows to train on have the weight 0");
    }
    *ret = (double *)(void *)GY_TAKE(room);
    return GY_OK;
}
