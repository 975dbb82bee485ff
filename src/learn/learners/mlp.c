/* SPDX-License-Identifier: Apache-2.0 */
/* mlp: a network of dense layers with relu between them, trained by Adam (learn/network/). */
#include "learn/learners/network.h"

#include "learn/network/weights.h"

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_net_spec spec = {.input = {1, 1, (uint32_t)f->n_features}};
    GY_TRY(gy_network_dense(f, "layers", &spec, err));
    return gy_network_fit(f, &spec, 0, false, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"layers", GY_SETTING_LIST, 1, GY_NET_MAX_UNITS, "64\n32", NULL, "units of each hidden layer"},
    GY_NETWORK_SETTINGS("0.1", "200", "20"),
    {0}};

const struct gy_learner_ops gy_learner_mlp = {.version = 1,
                                              .name = "mlp",
                                              .summary = "a neural network of dense layers",
                                              .tasks = GY_TASKS_ALL,
                                              .complete = true,
                                              .scaled = true,
                                              .file = GY_NET_FILE,
                                              .settings = g_settings,
                                              .rounds = gy_network_rounds,
                                              .fit = fit,
                                              .check = gy_network_check,
                                              .load = gy_network_load};
