/* SPDX-License-Identifier: Apache-2.0 */
/* What the learners `mlp` and `cnn` share: the settings of training, the fit of a network whose
 * layers the learner has put together, and its package file. */
#ifndef GY_LEARN_LEARNERS_NETWORK_H
#define GY_LEARN_LEARNERS_NETWORK_H

#include "learn/learners/learners.h"
#include "learn/network/spec.h"

/* Rows of both tables. clang-format would make a column of each. */
/* clang-format off */
#define GY_NETWORK_SETTINGS(dropout, epochs, patience)                                            \
    {"dropout", GY_SETTING_NUMBER, 0, 0.9, dropout, NULL,                                         \
     "share of hidden values left out at random, in training"},                                   \
    {"epochs", GY_SETTING_WHOLE, 1, 10000, epochs, NULL, "at most so often over all rows"},       \
    {"batch", GY_SETTING_WHOLE, 1, 4096, "32", NULL, "rows a step"},                              \
    {"rate", GY_SETTING_NUMBER, 1e-7, 1, "0.001", NULL, "the learning rate of Adam"},             \
    {"schedule", GY_SETTING_WORD, 0, 0, "constant", gy_network_schedules,                         \
     "cosine: the rate falls to 0 over the epochs"},                                              \
    {"decay", GY_SETTING_NUMBER, 0, 10, "0.1", NULL,                                              \
     "weight decay, decoupled from the gradient"},                                                \
    {"patience", GY_SETTING_WHOLE, 1, 10000, patience, NULL,                                      \
     "epochs without a better validation loss before it stops"},                                  \
    {"validation", GY_SETTING_NUMBER, 0, 0.9, "0.1", NULL,                                        \
     "share of the training rows set aside to know when to stop"}
/* clang-format on */

extern const char *const gy_network_schedules[];

int64_t gy_network_rounds(const struct gy_settings *s);
/* n layers of the sizes in the LIST `key`, a relu and (dropout above 0) a dropout after each, then
 * the head of the task. Fails: as gy_net_add does. */
GY_CHECKED gy_status gy_network_dense(const struct gy_fit *f, const char *key,
                                      struct gy_net_spec *spec, struct gy_err *err);
/* Train it. augment: enum gy_augment; standardise: the input, channel by channel. Fills the model
 * and the file. Fails: as gy_net_train does. */
GY_CHECKED gy_status gy_network_fit(struct gy_fit *f, const struct gy_net_spec *spec,
                                    unsigned augment, bool standardise, struct gy_err *err);
GY_CHECKED gy_status gy_network_check(const struct gy_model *m, struct gy_err *err);
GY_CHECKED gy_status gy_network_load(const struct gy_model *m, struct gy_str file,
                                     struct gy_runtime *ret, struct gy_err *err);

#endif
