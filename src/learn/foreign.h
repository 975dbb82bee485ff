/* SPDX-License-Identifier: Apache-2.0 */
/* Models that another program made: XGBoost (JSON, UBJSON), LightGBM (text) and ONNX. A file is
 * described (what it takes, what it answers) and loaded; foreign.c adds what MLmodel says,
 * import.c makes a package of a bare file. */
#ifndef GY_LEARN_FOREIGN_H
#define GY_LEARN_FOREIGN_H

#include "learn/model_internal.h"
#include "learn/runtime/runtime.h"

/* A column of what a foreign model takes. Strings live as long as the model's arena. */
struct gy_foreign_column {
    struct gy_str name; /* absent when the file has none */
    bool integer;
    bool text;        /* the model takes texts: categories are the ones it knows, sorted */
    bool categorical; /* takes codes of categories */
    bool numbers;     /* the categories are numbers */
    const struct gy_str *categories; /* by code; n_categories 0: not said */
    size_t n_categories;
};

struct gy_foreign {
    struct gy_foreign_column *columns;
    size_t n_columns;
    char made_by[64]; /* "XGBoost 3.2.0", "LightGBM", "ONNX by skl2onnx" */
};

/* Which kind of model the bytes are, by how they begin. Fails: NOTSERVABLE with the hint what to do
 * (pickles, archives, old binary XGBoost files, anything else). */
GY_CHECKED gy_status gy_foreign_kind(struct gy_str bytes, enum gy_package_flavor *ret,
                                     struct gy_err *err);

/* Fill task, learner, classes, threshold, n_trees and values of an initialised model from the
 * bytes of its file, and tell its columns. n_columns: how many a signature names, 0 when there is
 * none. early_stop: answer with the rounds up to the best one, as XGBoost's scikit-learn classes
 * do. Fails: NOTSERVABLE, MISSINGDEP, CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_foreign_describe(enum gy_package_flavor flavor, struct gy_str bytes,
                                         size_t n_columns, bool early_stop, struct gy_model *m,
                                         struct gy_foreign *ret, struct gy_err *err);

/* What answers; m was described by the above and has its inputs. Fails: as describing does. */
GY_CHECKED gy_status gy_foreign_load(const struct gy_model *m, struct gy_str bytes,
                                     struct gy_runtime *ret, struct gy_err *err);

#endif
