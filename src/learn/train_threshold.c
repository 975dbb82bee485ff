/* SPDX-License-Identifier: Apache-2.0 */
/* From which probability on a model says class 1, when a rule and not a number says it. The rows it
 * is chosen on are of training, each predicted by a model that has not seen it: the reported rows
 * would flatter, the rows a model learnt from even more. */
#include <math.h>

#include "base/mem.h"
#include "learn/train_internal.h"

#define FOLDS 3

static gy_status check_task(const struct gy_train_job *j, struct gy_err *err)
{
    if (j->ret->model.task != GY_TASK_BINARY) {
        return gy_err_set(err, GY_E_INVALID,
                          "a rule for the threshold is for two classes, this is a %s task",
                          gy_task_name(j->ret->model.task));
    }
    if (j->split.by == GY_HOLDOUT_KFOLD) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "k-fold reports every row: none is left to choose a threshold on");
        return gy_err_hint(err, "take another split, or a number: threshold: 0.5");
    }
    return GY_OK;
}

static gy_status choose(struct gy_train_job *folds, struct gy_threshold *ret, struct gy_err *err)
{
    double *p = NULL;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, folds->n_test + 1, sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a threshold");
    }
    double *truth = (double *)(void *)room;
    for (size_t i = 0; i < folds->n_test; i++) {
        truth[i] = folds->y[folds->test[i]];
    }
    GY_TRY(gy_train_folds(folds, &p, err));
    gy_status status =
        gy_threshold_choose(&folds->p->threshold_rule, truth, p, NULL, folds->n_test, ret, err);
    gy_free(p);
    return status;
}

gy_status gy_train_threshold(struct gy_train_job *j, struct gy_err *err)
{
    if (j->p->threshold_rule.kind == GY_THRESHOLD_FIXED) {
        return GY_OK;
    }
    GY_TRY(check_task(j, err));
    size_t n = j->t->n_rows;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + 1, sizeof(uint32_t) + 1);
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "a threshold");
    }
    struct gy_train_job folds = *j;
    folds.test = (uint32_t *)(void *)room;
    folds.fold = (uint8_t *)(folds.test + n);
    folds.n_test = j->n_train;
    memcpy(folds.test, j->train, j->n_train * sizeof *folds.test);
    folds.split = (struct gy_holdout){.by = GY_HOLDOUT_KFOLD,
                                      .column = j->split.by == GY_HOLDOUT_GROUP ? j->split.column
                                                                                : GY_STR_NULL,
                                      .seed = j->split.seed + 1,
                                      .folds = FOLDS};
    GY_TRY(gy_holdout_folds(&folds.split, j->t, j->y, 2, folds.fold, err));
    GY_TRY(choose(&folds, &j->ret->threshold, err));
    j->ret->model.threshold = j->ret->threshold.value;
    return GY_OK;
}
