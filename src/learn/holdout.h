/* SPDX-License-Identifier: Apache-2.0 */
/* gy_holdout: which rows of a table a model may learn from and which it is measured on. Kept in
 * model.json, so that evaluation and the gate find the same rows again, on the same table or on a
 * later one:
 *   hash    a row is held out by the hash of its id (else of the record): split.h
 *   group   the same by the text of a column, so that rows of one patient stay together
 *   time    what is later than a moment is held out: the moment is fitted to the table
 *   kfold   every row is held out once, by a model that did not see it; the model that is kept has
 *           learnt from all rows, so on this table none is left for the gate
 *   none    nothing is held out
 * Pure; thread safe. */
#ifndef GY_LEARN_HOLDOUT_H
#define GY_LEARN_HOLDOUT_H

#include "base/str.h"

#define GY_FOLDS_MAX 50

struct gy_table;

enum gy_holdout_by {
    GY_HOLDOUT_HASH,
    GY_HOLDOUT_GROUP,
    GY_HOLDOUT_TIME,
    GY_HOLDOUT_KFOLD,
    GY_HOLDOUT_NONE
};

struct gy_holdout {
    enum gy_holdout_by by;
    struct gy_str
        column; /* GROUP, TIME; KFOLD: rows with the same text share a fold, MAY be absent */
    uint64_t seed;
    double share;  /* HASH, GROUP, TIME: of the rows that is held out, (0, 1) */
    double cutoff; /* TIME: rows from here on are held out; NaN until gy_holdout_fit */
    int folds;     /* KFOLD */
};

const char *gy_holdout_name(enum gy_holdout_by by); /* "hash" */
/* Fails: INVALID naming those there are. */
GY_CHECKED gy_status gy_holdout_parse(struct gy_str name, enum gy_holdout_by *ret,
                                      struct gy_err *err);

/* TIME: find the cutoff; others: nothing. Rows of the same time stay together. Fails: NOTFOUND (no
 * such column), INVALID (a value is no time; all rows have the same time), NOMEM. */
GY_CHECKED gy_status gy_holdout_fit(struct gy_holdout *h, const struct gy_table *t,
                                    struct gy_err *err);
/* held_out[i] for every row; KFOLD and NONE hold out nothing. A row without a time is trained on.
 * Fails: NOTFOUND, INVALID, NOMEM. */
GY_CHECKED gy_status gy_holdout_rows(const struct gy_holdout *h, const struct gy_table *t,
                                     bool *held_out, struct gy_err *err);
/* The fold of each row, 0 .. folds - 1. y: class index a row (each class is spread evenly over the
 * folds) or NULL. Fails: NOTFOUND, INVALID, NOMEM. */
GY_CHECKED gy_status gy_holdout_folds(const struct gy_holdout *h, const struct gy_table *t,
                                      const double *y, size_t n_classes, uint8_t *fold,
                                      struct gy_err *err);
/* A column as seconds since 1970 (gy_cell_seconds); NaN where missing; out has n_rows. Fails:
 * NOTFOUND, INVALID with the row. */
GY_CHECKED gy_status gy_holdout_times(const struct gy_table *t, struct gy_str column, double *out,
                                      struct gy_err *err);

#endif
