/* SPDX-License-Identifier: Apache-2.0 */
/* gy_oip: the client's side of the Open Inference Protocol v2: rows as the body of an infer
 * request, and its answer as numbers; in JSON, or with tensors as bytes (the binary tensor
 * extension). Answers are untrusted: shapes and sizes are held against what was asked for. Pure;
 * thread safe. */
#ifndef GY_LEARN_RUNTIME_OIP_H
#define GY_LEARN_RUNTIME_OIP_H

#include "base/arena.h"
#include "base/json.h"
#include "learn/predictor.h"

#define GY_OIP_MAX_ANSWER (64 * GY_MIB)

/* What an output tensor holds. */
enum gy_oip_output {
    GY_OIP_VALUE,       /* [n] or [n, 1]: a number */
    GY_OIP_PROBABILITY, /* [n, classes]; of two classes also [n] or [n, 1]: that of the second */
    GY_OIP_LABEL        /* [n] or [n, 1]: the name or number of a class */
};

/* How a model is asked. Strings and arrays live as long as whoever made it says. */
struct gy_oip_spec {
    struct gy_str model, version; /* absent version: whichever the upstream takes */
    struct gy_str tensor;         /* one tensor [n, n_inputs]; absent: one an input, by its name */
    struct gy_str datatype;       /* of the one tensor */
    const struct gy_str *datatypes; /* else: of each input */
    const bool *flat;               /* else: is input i of shape [n]? It is [n, 1] otherwise */
    const struct gy_predictor_input *inputs;
    size_t n_inputs;
    struct gy_str output; /* the tensor that is read */
    enum gy_oip_output kind;
    const struct gy_str *classes;
    size_t n_classes;
    size_t n_outputs; /* values a row */
    bool binary;      /* the upstream has the extension */
};

/* The spec as members of an object of model.json, and back: into the arena; inputs and classes are
 * the model's. Fails: CORRUPT, NOMEM. */
void gy_oip_write_spec(struct gy_jw *w, const struct gy_oip_spec *s);
GY_CHECKED gy_status gy_oip_read_spec(yyjson_val *object, struct gy_arena *a,
                                      struct gy_oip_spec *ret, struct gy_err *err);

/* "/v2/models/M[/versions/V]" and then tail ("/infer", ""). */
GY_CHECKED gy_status gy_oip_path(const struct gy_oip_spec *s, const char *tail, struct gy_buf *out,
                                 struct gy_err *err);
/* The body for n_rows rows (x: n_rows x n_inputs cells; texts are told by their place in the
 * vocabulary, one that is not in it is ""). *ret_json_bytes: 0 when it is all JSON, else what
 * Inference-Header-Content-Length says. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_oip_write(const struct gy_oip_spec *s, const double *x, size_t n_rows,
                                  struct gy_buf *out, size_t *ret_json_bytes, struct gy_err *err);
/* json_bytes: of that header in the answer; 0: it is all JSON. out: n_rows x n_outputs. Fails:
 * NETWORK (not the answer to what was asked, and in what), NOMEM. */
GY_CHECKED gy_status gy_oip_read(const struct gy_oip_spec *s, struct gy_str body, size_t json_bytes,
                                 size_t n_rows, double *out, struct gy_err *err);
/* Bytes of an element; 0: BYTES or no datatype. */
size_t gy_oip_width(struct gy_str datatype);

#endif
