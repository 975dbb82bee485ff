/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/arms.h"

#include <math.h>

void gy_arm_values(const struct gy_join_row *row, double ret[GY_N_METRICS])
{
    const struct gy_shape *s = row->shape;
    bool known = !isnan(row->truth) && !isnan(row->model) && s->task != GY_TASK_REGRESSION;
    bool positive =
        s->task == GY_TASK_MULTICLASS || (s->n_classes == 2 && row->truth == s->class_values[1]);
    double right = known ? row->model == row->truth : NAN;
    ret[GY_METRIC_RECALL] = known && positive ? right : NAN;
    ret[GY_METRIC_ACCURACY] = right;
    ret[GY_METRIC_REWARD] = row->reward;
}

static void weigh(struct gy_arm *arm, const struct gy_join_row *row, double value)
{
    const struct gy_shape_variant *v = gy_shape_variant(row->shape, row->version);
    if (isnan(value) || !row->drawn || !v || !(v->weight > 0)) {
        return;
    }
    arm->ips_sum += value / v->weight;
    arm->ips_weight += 1 / v->weight;
    arm->ips_rows++;
}

/* All versions are asked for the same sample of what rules decide, so their rows are of the same
 * kind and count one each. */
static gy_status count_row(void *ctx, const struct gy_join_row *row, struct gy_err *err)
{
    struct gy_arm *arm = ctx;
    double values[GY_N_METRICS];
    bool any = false;
    (void)err;
    gy_arm_values(row, values);
    for (int i = 0; i < GY_N_METRICS; i++) {
        if (!isnan(values[i])) {
            arm->metric[i].sum += values[i];
            arm->metric[i].n++;
            any = true;
        }
    }
    arm->labelled += any;
    double reward = values[GY_METRIC_REWARD];
    weigh(arm, row, isnan(reward) ? values[GY_METRIC_ACCURACY] : reward);
    return GY_OK;
}

gy_status gy_arm_count(struct gy_join *j, struct gy_str endpoint, struct gy_str version,
                       int64_t since_us, int64_t until_us, struct gy_arm *ret, struct gy_err *err)
{
    const struct gy_join_query q = {.endpoint = endpoint,
                                    .version = version,
                                    .since_us = since_us,
                                    .until_us = until_us,
                                    .labelled = true,
                                    .rewarded = true};
    *ret = (struct gy_arm){.labelled = 0};
    return gy_join_each(j, &q, count_row, ret, err);
}
