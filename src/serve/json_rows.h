/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a request that come as plain JSON values. KServe V1, Seldon's and MLflow's forms are
 * different wrappings of the same three: a list of rows, an object of columns, names and rows
 * apart. What a value may be is the same in all of them: a number, what the field's kind takes (a
 * text, a time, an image in base64), null for a missing value; true and false are 1 and 0 where a
 * number is wanted; a list of one value is that value; {"b64": "..."} is its bytes.
 *
 * Every input must be named by at least one row; a row that leaves out a required one is refused.
 * Names that are no input are passed over. One owner, no lock; allocates only in the request. */
#ifndef GY_SERVE_JSON_ROWS_H
#define GY_SERVE_JSON_ROWS_H

#include "base/json.h"
#include "serve/parse.h"

struct gy_json_rows {
    const struct gy_infer_shape *shape;
    struct gy_infer_request *q; /* reset before */
    const char *what;           /* how messages call the list: "instances" */
    size_t body_bytes;          /* bounds what a body may ask for */
    bool as_mlflow;             /* "104" is a number, too, and what misses is told in its words */
};

/* Nothing is asked yet; all outputs are wanted. */
void gy_json_rows_reset(struct gy_infer_request *q);
/* The same, then read the body as Python's json module does: NaN and Infinity are values,
 * too. Fails as gy_json_parse, with PARSE when the body is empty, INVALID when it is no object. */
GY_CHECKED gy_status gy_json_rows_parse(struct gy_infer_request *q, struct gy_str body,
                                        yyjson_doc **ret, struct gy_err *err);

/* [[104, 22], ...] in the model's order, [{"HR": 104}, ...] by name, or, where the model has one
 * input, [104, ...]. All fail with INVALID, TOOBIG, PARSE (an image), NOMEM. */
GY_CHECKED gy_status gy_json_rows_list(const struct gy_json_rows *r, yyjson_val *list,
                                       struct gy_err *err);
/* {"HR": [104, ...], ...}: columns of one length; a value that is no list is a column of one. */
GY_CHECKED gy_status gy_json_rows_columns(const struct gy_json_rows *r, yyjson_val *object,
                                          struct gy_err *err);
/* Names apart from rows of values in their order. names NULL, null or empty: the model's order. */
GY_CHECKED gy_status gy_json_rows_split(const struct gy_json_rows *r, yyjson_val *names,
                                        yyjson_val *list, struct gy_err *err);
/* n_rows x width values one after the other, named as above. */
GY_CHECKED gy_status gy_json_rows_flat(const struct gy_json_rows *r, yyjson_val *names,
                                       yyjson_val *values, size_t n_rows, size_t width,
                                       struct gy_err *err);

/* Values that are no JSON (a CSV): which field a column is, room for the rows, then one by one. */
#define GY_JSON_ROWS_NO_FIELD UINT16_MAX
struct gy_json_rows_map {
    uint16_t field[GY_MAX_COLUMNS]; /* of each column; GY_JSON_ROWS_NO_FIELD: of none */
    size_t n;
};
/* The next column. Fails: INVALID (the input is there twice), TOOBIG. */
GY_CHECKED gy_status gy_json_rows_name(const struct gy_json_rows *r, struct gy_json_rows_map *map,
                                       struct gy_str name, struct gy_err *err);
/* Every input is among the columns? Fails: INVALID, TOOBIG (rows), NOMEM. */
GY_CHECKED gy_status gy_json_rows_begin(const struct gy_json_rows *r,
                                        const struct gy_json_rows_map *map, size_t n_rows,
                                        struct gy_err *err);
/* A text that stands for a missing value is one ("", "NaN", "NA", ... as pandas reads them). */
GY_CHECKED gy_status gy_json_rows_text(const struct gy_json_rows *r, uint16_t field, size_t row,
                                       struct gy_str text, struct gy_err *err);

#endif
