/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of gy_train: train.c goes through them, columns.c says what the columns are, card.c
 * writes the files that people read. */
#ifndef GY_LEARN_TRAIN_INTERNAL_H
#define GY_LEARN_TRAIN_INTERNAL_H

#include "learn/train.h"

/* Fill m->inputs, m->classes and m->task of the columns; y: one value a table row, NaN = no label.
 */
GY_CHECKED gy_status gy_train_columns(const struct gy_table *t, const struct gy_train_params *p,
                                      struct gy_model *m, double *y, struct gy_err *err);

/* The half of it that is about the target. */
GY_CHECKED gy_status gy_train_labels(const struct gy_table *t, const struct gy_train_params *p,
                                     struct gy_model *m, double *y, struct gy_err *err);

/* input_example.json: the training row nearest to typical: every input at its median. */
GY_CHECKED gy_status gy_write_example(const struct gy_model *m, const struct gy_table *t,
                                      const uint32_t *rows, size_t n, const char *dir,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_write_metrics(const struct gy_trained *t, const char *dir,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_write_card(const struct gy_trained *t, const char *dir, struct gy_err *err);
/* profile.json: the training rows, and what the package in dir answers to the held-out ones. */
struct gy_profile_rows {
    const struct gy_table *t;
    const double *y; /* a value a table row */
    const uint32_t *train, *test;
    size_t n_train, n_test;
};
GY_CHECKED gy_status gy_write_profile(const struct gy_model *m, const struct gy_profile_rows *r,
                                      const char *dir, struct gy_err *err);
/* dir/name */
GY_CHECKED gy_status gy_package_put(const char *dir, const char *name, struct gy_str bytes,
                                    struct gy_err *err);

#endif
