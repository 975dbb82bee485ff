/* SPDX-License-Identifier: Apache-2.0 */
/* gy_alias: a route of an endpoint's own, so that clients of another system need no change. Two
 * kinds, told apart by `answer`:
 *
 *   {path, input: {HR: hr}, output: {isSepsis: prediction}, error: detail}   POST: predicts
 *   {path, answer: status | version | models | {any: "JSON {version}"}}      GET: tells about it
 *
 * A prediction is asked for by one flat JSON object, or by a list of them (answered by a list); as
 * multipart/form-data, a field a part; or, where the model takes one image and nothing else, by the
 * image itself. mapping.h says what may be computed, template.h what a text of an answer may hold.
 * `error` is the key of the message, or a template.
 *
 * A path that belongs to a protocol without names (/invocations) claims it for the endpoint: then
 * nothing else may be set. /, /health and /version answer on the inference port alone.
 *
 * Immutable, part of its endpoint. */
#ifndef GY_SERVE_ALIAS_H
#define GY_SERVE_ALIAS_H

#include "serve/mapping.h"
#include "serve/template.h"

#define GY_ENDPOINT_MAX_ALIASES 32

struct gy_endpoint;
struct gy_protocol;

/* What an answer can hold, by position in the shape's `outputs`. */
enum gy_output { GY_OUT_PREDICTION, GY_OUT_PROBABILITY, GY_OUT_RULE, GY_N_OUTPUTS };

struct gy_alias_output {
    struct gy_str key; /* JSON text with quotes and colon: "\"isSepsis\":" */
    enum gy_output what;
    struct gy_expr *expr; /* NULL: `what` as it is */
};

struct gy_alias {
    struct gy_str path;
    const struct gy_protocol *protocol; /* NULL: the alias form */
    struct gy_infer_shape shape;        /* what a body looks like, by the keys it has */
    struct gy_mapping mapping;          /* fields NULL: a body's values are the endpoint's */
    struct gy_alias_output *outputs;
    size_t n_outputs;
    struct gy_template answer; /* n > 0: of a GET */
    struct gy_template error;  /* n 0: {"error": message} */
    bool inference_only;       /* the main port has something else there */
};

/* What is told about the default endpoint where no alias has the path. */
enum gy_about { GY_ABOUT_STATUS, GY_ABOUT_VERSION, GY_ABOUT_MODELS, GY_N_ABOUT };
/* /status, /health/status; /deployed_version/; /models/. False: none of them. */
bool gy_about_path(struct gy_str path, enum gy_about *ret);
/* /predict, /predict/, /predictions: the default endpoint's where no alias has the path. */
bool gy_alias_is_plain(struct gy_str path);

/* What a deploy refuses and an old revision may hold: keys that mean nothing. Fails: INVALID. */
GY_CHECKED gy_status gy_aliases_check(yyjson_val *list, struct gy_err *err);

/* A path an alias may have: not one of Gyre's own. INVALID otherwise. */
GY_CHECKED gy_status gy_endpoint_check_path(struct gy_str path, struct gy_err *err);

#endif
