/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a prediction request. Two readers with one meaning: a scanner that writes numbers
 * straight into the row buffer (what clients really send), and a general one over yyjson that knows
 * every legal form and has every error message. The scanner never judges: whatever it does not
 * expect (escapes, unknown keys, wrong types ...) it gives up on, and the general reader decides.
 * Where the scanner accepts, the general reader accepts with the same values, bit for bit
 * (tests/fuzz/fuzz_infer.c).
 *
 * Two forms. OIP v2: {"id"?, "parameters"?, "inputs": [tensor...], "outputs"?: [{"name",
 * "parameters"?}]}: one tensor of shape [n, inputs] in the model's input order, or one tensor an
 * input (serve/tensors.h); data flat or nested; columns that only rules read may come as further
 * named tensors. A tensor may come in binary form behind the JSON (gy_infer_read_binary), and
 * outputs be asked for in it: bit i of q->asked says that output i is. Flat object (alias routes):
 * {"hr": 104, "resp": 22, "temp": 38.9} is one row, a list of such objects a row each. Keys that
 * are not known are ignored; a known key twice is refused. null is a missing value: refused where
 * the schema requires the input, else imputed by the model. */
#ifndef GY_SERVE_PARSE_H
#define GY_SERVE_PARSE_H

#include "base/buf.h"
#include "base/limits.h"

#define GY_INFER_MAX_BODY (8 * GY_MIB) /* a prediction request */
#define GY_INFER_MAX_ROWS 100000       /* rows of one request */
#define GY_INFER_MAX_ID 128            /* bytes of the caller's id */
#define GY_INFER_MAX_WIDTH 9999999     /* values a row of one tensor, as its shape says */

#define GY_INFER_MAX_PIXELS ((size_t)4 << 20)   /* of all images of a request together */
#define GY_INFER_MAX_DECODED (64 * 1000 * 1000) /* the same as they come, before resizing */

struct gy_predictor_input; /* learn/predictor.h */
struct gy_tensor_group;    /* learn/datatype.h */

struct gy_infer_field {
    struct gy_str name; /* of the model input or column */
    struct gy_str key;  /* what the flat form calls it */
    bool required;      /* null is refused */
    /* A text, a time or an image: as JSON strings (images in base64). NULL: a number. */
    const struct gy_predictor_input *input;
    size_t first_pixel; /* IMAGE: where its cells are in a row's pixels */
};

/* What a request must look like: the model's inputs, then the columns that only rules read. */
struct gy_infer_shape {
    const struct gy_infer_field *fields;
    size_t n_inputs, n_fields;
    const struct gy_str *outputs; /* names that a request may select; at most 32 */
    size_t n_outputs;
    bool mixed;      /* some field is no number: left to the general reader */
    size_t n_pixels; /* cells of all images of a row */
    /* Inputs that are neighbouring fields of plain numbers and come as one tensor. */
    const struct gy_tensor_group *groups;
    size_t n_groups;
};

/* One request as read. Reused from request to request (its buffer only grows). */
struct gy_infer_request {
    double *values; /* n_rows x n_fields as logged (learn/decode.h), NaN = missing */
    size_t capacity;
    double *pixels; /* n_rows x shape.n_pixels */
    size_t pixel_capacity;
    int64_t decoded; /* pixels of its images as they came */
    char unseen[60]; /* the first text that training has not seen, and where it stands */
    size_t unseen_bytes, unseen_row, unseen_field;
    size_t n_rows;
    bool flat;                    /* gy_infer_parse read it in the flat form */
    uint32_t asked;               /* of the protocol that read it, for its answer; 0 at first */
    uint8_t coding;               /* the same: what the client takes its answer packed with */
    uint32_t outputs;             /* bit i: outputs[i] was asked for; all when none was named */
    char id[GY_INFER_MAX_ID + 1]; /* the caller's id, empty when none */
    size_t id_bytes;
};
void gy_infer_request_done(struct gy_infer_request *q); /* frees the buffer; NULL allowed */
GY_DEFINE_AUTO_DONE(struct gy_infer_request, gy_infer_request_done);

enum gy_infer_form { GY_INFER_V2, GY_INFER_FLAT };

/* Read body into q: the scanner, then the general reader. Fails: PARSE (not JSON), INVALID (not
 * what the model takes; the message names tensor or field), TOOBIG (rows), NOMEM. */
GY_CHECKED gy_status gy_infer_parse(enum gy_infer_form form, const struct gy_infer_shape *shape,
                                    struct gy_str body, struct gy_infer_request *q,
                                    struct gy_err *err);
/* The two alone (tests compare them). The scanner says false when it gives up. */
bool gy_infer_scan(enum gy_infer_form form, const struct gy_infer_shape *shape, struct gy_str body,
                   struct gy_infer_request *q);
GY_CHECKED gy_status gy_infer_read(enum gy_infer_form form, const struct gy_infer_shape *shape,
                                   struct gy_str body, struct gy_infer_request *q,
                                   struct gy_err *err);

/* OIP v2 with the binary extension: header_bytes of JSON, then the bytes of the tensors that say
 * binary_data_size, in their order. Fails as gy_infer_parse. */
GY_CHECKED gy_status gy_infer_read_binary(const struct gy_infer_shape *shape, struct gy_str body,
                                          size_t header_bytes, struct gy_infer_request *q,
                                          struct gy_err *err);

/* Integer datatypes of OIP and the values they hold; false: not a datatype whose JSON form is
 * numbers. *ret_integer false for FP32 and FP64. */
bool gy_infer_datatype(struct gy_str name, bool *ret_integer, double *ret_min, double *ret_max);

#endif
