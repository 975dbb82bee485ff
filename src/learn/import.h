/* SPDX-License-Identifier: Apache-2.0 */
/* gy_import: a bare model file of another program as a package folder: the file, and an MLmodel
 * with its flavor, its inputs and their types, which Gyre serves and MLflow's clients load. */
#ifndef GY_LEARN_IMPORT_H
#define GY_LEARN_IMPORT_H

#include "base/err.h"
#include "base/str.h"

struct gy_import_options {
    struct gy_str inputs; /* "HR,Resp,Temp": their names in the order of the model; absent: those
                             that the file has, else f0, f1, ... */
    struct gy_str target; /* what is predicted; absent: "prediction" */
};

struct gy_imported {
    char made_by[64]; /* "XGBoost 3.2.0" */
    size_t n_inputs;
    const char *file; /* in the folder: "model.ubj" */
    const char *flavor;
};

/* Write the package into dir, an empty folder. Fails: NOTFOUND, NOTSERVABLE (no model that is
 * known, with what to do), INVALID (another number of names than inputs), as describing the model
 * does, as files do. */
GY_CHECKED gy_status gy_import_package(const char *file, const struct gy_import_options *o,
                                       const char *dir, struct gy_imported *ret,
                                       struct gy_err *err);

#endif
