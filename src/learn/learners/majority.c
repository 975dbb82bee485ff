/* SPDX-License-Identifier: Apache-2.0 */
/* majority: the shares of the classes, or the mean: what any other learner has to beat. */
#include "learn/learners/learners.h"

static size_t n_values(const struct gy_model *m)
{
    return m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
}

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_model *m = f->m;
    double total = 0;
    GY_TRY(gy_learner_values(m, n_values(m), err));
    for (size_t i = 0; i < f->n_rows; i++) {
        double w = f->weight ? f->weight[i] : 1;
        if (m->task == GY_TASK_MULTICLASS) {
            m->values[(size_t)f->y[i]] += w;
        } else {
            m->values[0] += w * f->y[i];
        }
        total += w;
    }
    if (!(total > 0)) {
        return gy_err_set(err, GY_E_INVALID, "all rows have the weight 0");
    }
    for (size_t i = 0; i < m->n_values; i++) {
        m->values[i] /= total;
    }
    return GY_OK;
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return m->n_values == n_values(m)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "the learner has %zu values where %zu belong",
                            m->n_values, n_values(m));
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    (void)file;
    ret->ops = &gy_constant_ops;
    return gy_constant_new(m->values, m->n_values, &ret->self, err);
}

const struct gy_learner_ops gy_learner_majority = {.version = 1,
                                                   .name = "majority",
                                                   .summary =
                                                       "the shares of the classes, or the mean",
                                                   .tasks = GY_TASKS_ALL,
                                                   .fit = fit,
                                                   .check = check,
                                                   .load = load};
