/* SPDX-License-Identifier: Apache-2.0 */
/* gy_mapping: an alias route that computes. Clients keep their own units and names: the body's
 * weight in kilograms becomes the model's in pounds, and the model's miles a gallon become litres.
 * In gyre.yaml a text that begins with '=' is an expression (base/expr.h), any other one a name:
 *
 *   input:  {wght: "= weight_kg * 2.205", year: "= year % 100"}     over the fields of the body
 *   output: {l_per_100km: "= 235.2145 / prediction"}               over `prediction`, `probability`
 *
 * What is logged, watched and warned about are the model's inputs, as if the client had sent them.
 * Compiled at deploy, immutable afterwards: any number of threads. Lives in the endpoint's arena;
 * gy_mapping_done frees the expressions. */
#ifndef GY_SERVE_MAPPING_H
#define GY_SERVE_MAPPING_H

#include "base/arena.h"
#include "base/expr.h"
#include "base/json.h"
#include "serve/parse.h"

#define GY_MAPPING_MAX_FIELDS 256 /* of a body that is computed with, and of the model */

struct gy_mapped {
    struct gy_expr *expr; /* NULL: field `from` of the body as it is */
    size_t from;
};

struct gy_mapping {
    struct gy_infer_shape body; /* what the request must look like */
    struct gy_mapped *fields;   /* one a field of the endpoint's shape; NULL: nothing is computed */
};

/* Is the text an expression? *ret: it, without the '='. */
bool gy_mapping_is_expr(struct gy_str text, struct gy_str *ret);

/* Compile `input` of an alias. shape: the endpoint's, with the keys that the plain names gave. The
 * body has the fields that are not computed and those that expressions read; of these, a field is
 * required where the input made of it is. Fails: INVALID naming the input and what is wrong,
 * TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_mapping_compile(struct gy_mapping *m, const struct gy_infer_shape *shape,
                                        yyjson_val *map, struct gy_arena *a, struct gy_err *err);
void gy_mapping_done(struct gy_mapping *m, size_t n_fields); /* zeroed allowed */

/* q holds rows of the body; afterwards it holds rows of the endpoint's shape (images stay as they
 * are). Fails: INVALID (a required input can not be computed), NOMEM. */
GY_CHECKED gy_status gy_mapping_apply(const struct gy_mapping *m,
                                      const struct gy_infer_shape *shape,
                                      struct gy_infer_request *q, struct gy_err *err);

/* Values that an output's expression reads, by slot. */
enum gy_mapping_slot { GY_SLOT_PREDICTION, GY_SLOT_PROBABILITY, GY_SLOTS };

/* Compile an expression of `output`; prediction: its type. Fails: INVALID, PARSE, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_mapping_output(struct gy_str text, enum gy_expr_type prediction,
                                       struct gy_expr **ret, struct gy_err *err);

#endif
