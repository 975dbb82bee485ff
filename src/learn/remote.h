/* SPDX-License-Identifier: Apache-2.0 */
/* gy_remote_package: a model that lives elsewhere as a package folder: how it is asked (address,
 * tensors, which output), its inputs, their types, its classes. It is registered, gated, deployed,
 * logged and compared like any other; runtime/remote.h answers. What the package says is what is
 * served: a change of the upstream's tensors is a failure, not a new meaning. */
#ifndef GY_LEARN_REMOTE_H
#define GY_LEARN_REMOTE_H

#include "base/err.h"
#include "base/str.h"

struct gy_remote_plan {
    struct gy_str url, model;
    struct gy_str version; /* absent: whichever the upstream takes */
    struct gy_str token_env, token_file;
    int64_t timeout_ms;
    struct gy_str output;  /* the tensor that is the answer; absent: as the metadata has it */
    struct gy_str classes; /* "no,yes": names by index; absent: schema, else none */
    struct gy_str inputs;  /* "HR,Resp": names of the columns of one tensor */
    const char *schema;    /* schema.yaml: types, texts, ranges, the label; NULL: none */
};

struct gy_remote_packaged {
    size_t n_inputs, n_classes;
    char task[16], output[128];
    bool binary; /* tensors travel as bytes */
};

/* Ask the upstream what it is and write the package into dir, an empty folder. Fails: NOTSERVABLE
 * (what can not be told or served, with what to do), INVALID, as the upstream and files do. */
GY_CHECKED gy_status gy_remote_package(const struct gy_remote_plan *plan, const char *dir,
                                       struct gy_remote_packaged *ret, struct gy_err *err);

#endif
