/* SPDX-License-Identifier: Apache-2.0 */
/* linear: least squares, with a penalty ridge regression (learn/least_squares.h). */
#include "learn/learners/learners.h"
#include "learn/least_squares.h"

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    GY_TRY(gy_learner_complete(f, err));
    GY_TRY(gy_learner_values(f->m, f->n_features + 1, err));
    const struct gy_least_squares p = {.x = f->x,
                                       .y = f->y,
                                       .weight = f->weight,
                                       .n_rows = f->n_rows,
                                       .n_features = f->n_features,
                                       .l2 = gy_setting_number(f->settings, "l2"),
                                       .n_threads = f->n_threads};
    struct gy_least_squares_report report;
    GY_TRY(gy_least_squares_fit(&p, f->m->values, &report, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4096);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_settings_write(&w, f->settings);
    gy_jw_kv_i64(&w, "rank", (int64_t)report.rank);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return gy_learner_check_values(m, m->features.n_out + 1, err);
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    (void)file;
    ret->ops = &gy_linear_ops;
    return gy_linear_new(&(struct gy_linear_spec){.weights = m->values,
                                                  .n_features = m->features.n_out,
                                                  .n_sets = 1,
                                                  .link = GY_LINK_IDENTITY,
                                                  .exposure = SIZE_MAX},
                         &ret->self, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"l2", GY_SETTING_NUMBER, 0, 1e12, "0", NULL, "the penalty of large weights: ridge regression"},
    {0}};

const struct gy_learner_ops gy_learner_linear = {
    .version = 1,
    .name = "linear",
    .summary = "least squares or ridge; weights people can read",
    .tasks = GY_TASK_BIT(GY_TASK_REGRESSION),
    .complete = true,
    .settings = g_settings,
    .fit = fit,
    .check = check,
    .load = load};
