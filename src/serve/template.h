/* SPDX-License-Identifier: Apache-2.0 */
/* gy_template: a small JSON value with places in its texts, for what clients of other systems
 * expect beside predictions: {"version": "v{version}"}, {"detail": "{message}"}. Places that the
 * endpoint tells ({endpoint} {model} {version} {revision}) are filled in when it is built;
 * {message} and {status} of a failure, and {versions} of the model, when it is written. A text that
 * is nothing but {status} or {revision} is a number; one with {versions} becomes a list, a text for
 * each.
 *
 * Compiled at deploy, immutable afterwards, lives in the arena: any number of threads. */
#ifndef GY_SERVE_TEMPLATE_H
#define GY_SERVE_TEMPLATE_H

#include "base/arena.h"
#include "base/json.h"
#include "base/limits.h"

#define GY_TEMPLATE_MAX_BYTES (8 * GY_KIB) /* of the value, as it stands in gyre.yaml */
#define GY_TEMPLATE_MAX_PARTS 64

enum gy_template_place {
    GY_PLACE_NONE,     /* only the text before it */
    GY_PLACE_MESSAGE,  /* inside of a JSON text */
    GY_PLACE_STATUS,   /* the number */
    GY_PLACE_VERSIONS, /* a JSON list: each version between `before` and `after` */
};

struct gy_template_part {
    struct gy_str json; /* as it is written */
    enum gy_template_place then;
    struct gy_str before, after; /* VERSIONS: as JSON text, without quotes */
};

struct gy_template {
    const struct gy_template_part *parts;
    size_t n; /* 0: there is none */
    bool versions;
};

/* What is known when an endpoint is built. */
struct gy_template_known {
    struct gy_str endpoint, model, version;
    uint32_t revision;
};

/* failure: places are those of a failure, else those of an answer. Fails: INVALID (a place that is
 * not known, with those that are), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_template_compile(yyjson_val *value, bool failure,
                                         const struct gy_template_known *known, struct gy_arena *a,
                                         struct gy_template *ret, struct gy_err *err);

/* What is known when it is written. */
struct gy_template_values {
    struct gy_str message;
    int status;
    const int64_t *versions;
    size_t n_versions;
};
void gy_template_write(const struct gy_template *t, const struct gy_template_values *v,
                       struct gy_buf *out);

#endif
