/* SPDX-License-Identifier: Apache-2.0 */
/* gy_shape: how to read the log records of an endpoint revision: what its inputs are called, what
 * its classes are, what its rules decide and which versions answered. Parsed from the frozen
 * configuration of the revision, so that records of a revision that is long gone still say what
 * they mean. Immutable.
 *
 * Values are told as the log tells them ("class values"): of a classification the label's number
 * where every label is a whole number, else the class index; of a regression the value. */
#ifndef GY_SERVE_SHAPE_H
#define GY_SERVE_SHAPE_H

#include "base/json.h"
#include "learn/predictor.h"
#include "serve/record.h"
#include "serve/revision.h"
#include "serve/variant.h"

#define GY_SHAPE_MAX_TEXTS 1000 /* of all vocabularies that a revision's configuration holds */
#define GY_SHAPES_MAX 10000     /* revisions that one cache holds */

/* A version that takes part in a revision. */
struct gy_shape_variant {
    enum gy_variant_role role;
    struct gy_str model, version, digest; /* version: text of the number, as records have it */
    double weight;                        /* share of the traffic, 0..1; a shadow has 0 */
    double threshold;                     /* BINARY: class 1 when probability >= threshold */
};

struct gy_shape_rule {
    struct gy_str name, reason;
    bool decides; /* it has a prediction */
    bool skip_model;
    bool after;        /* the model, whose answer it read */
    double prediction; /* class value; NaN when it does not decide */
};

struct gy_shape {
    struct gy_str endpoint;
    int64_t revision;
    enum gy_task task;
    /* As records have them: the model's, then those of rules. One that is logged as a hash, or left
     * out, goes by another name ("HR (hashed)"): nobody can take it for the value. */
    const struct gy_str *inputs;
    size_t n_inputs, n_model_inputs;
    const struct gy_str *classes; /* by class index; none of a regression */
    const double *class_values;
    size_t n_classes;
    const struct gy_shape_rule *rules; /* by the index that records have */
    size_t n_rules;
    const struct gy_shape_variant *variants; /* the stable one first */
    size_t n_variants;
    double rule_shadow; /* share of the rows decided by a rule alone that the model scored too */
    double sample;      /* share of the predictions that the log has */
    yyjson_val *config; /* the whole frozen configuration */
};

/* r and the shape live in the arena; *ret_doc is the caller's (gy_json_free) and must live as long.
 * Fails: CORRUPT (the configuration can not be read), NOMEM. */
GY_CHECKED gy_status gy_shape_read(const struct gy_revision *r, struct gy_arena *a,
                                   yyjson_doc **ret_doc, struct gy_shape *ret, struct gy_err *err);

/* What the model of a row said by itself, as a class value; NaN: it was not asked. outputs: the
 * row's values of the record; version: of the record (it decides the threshold). */
double gy_shape_model_value(const struct gy_shape *s, struct gy_str version, const double *outputs,
                            size_t n_outputs);
/* The probability of class 1 (BINARY), the largest one (MULTICLASS), the value (REGRESSION); NaN:
 * the model was not asked. */
double gy_shape_score(const struct gy_shape *s, const double *outputs, size_t n_outputs);
/* A label as people and clients write it ("1", "1.0", "septic", "true") as a class value; NaN: it
 * is no class of the model, or no finite number. */
double gy_shape_label(const struct gy_shape *s, struct gy_str text);
/* What a logged value of an input that is no number stands for: a text of its vocabulary, a time in
 * ISO 8601, "sha256:..." of an image; the absent string of numbers, and of texts that are not in
 * the configuration. scratch backs what is no text. */
struct gy_str gy_shape_logged_text(yyjson_val *config, struct gy_str input, double logged,
                                   char scratch[40]);
/* The other way: the label's text, a view into the shape or (numbers) into scratch. */
struct gy_str gy_shape_text(const struct gy_shape *s, double class_value, char scratch[32]);
/* NULL when no variant has that version. */
const struct gy_shape_variant *gy_shape_variant(const struct gy_shape *s, struct gy_str version);
/* The rule that hit the row, NULL: none. outcome MAY be NULL. */
const struct gy_shape_rule *gy_shape_rule(const struct gy_shape *s,
                                          const struct gy_rule_outcome *outcome);

/* A cache of shapes by endpoint and revision, read from the store when first asked for. Any thread;
 * shapes live until the cache is freed. */
struct gy_shapes;
GY_CHECKED gy_status gy_shapes_new(struct gy_store *store, struct gy_shapes **ret,
                                   struct gy_err *err);
void gy_shapes_free(struct gy_shapes *s);
GY_DEFINE_AUTO(struct gy_shapes *, gy_shapes_free);
/* Not inside a store closure. Fails: NOTFOUND (no such revision), CORRUPT, TOOBIG, as the store
 * does. */
GY_CHECKED gy_status gy_shapes_get(struct gy_shapes *s, struct gy_str endpoint, int64_t revision,
                                   const struct gy_shape **ret, struct gy_err *err);

#endif
