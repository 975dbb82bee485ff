/* SPDX-License-Identifier: Apache-2.0 */
/* gy_onnx: a model in ONNX's format, answered by ONNX Runtime (opened on first use, see
 * runtime/onnx_api.h). One session a model, with one thread. What is accepted: a graph whose inputs
 * are tables (a tensor [n, d] of numbers, or one tensor for each column, also of texts), or tensors
 * of any shape behind n; and whose output is one number a row, the probabilities of classes, or
 * tensors of numbers with n rows each. Loading tries the graph with 1 and with 64 rows, so that
 * what it answers with is known. Immutable after loading; any number of threads.
 *
 * ONNX Runtime allocates while it runs and can fail; gy_onnx_ops.run then answers NaN for the rows
 * concerned, which serving reports as an answer that is no number. */
#ifndef GY_LEARN_RUNTIME_ONNX_H
#define GY_LEARN_RUNTIME_ONNX_H

#include "learn/datatype.h"
#include "learn/runtime/runtime.h"

#define GY_ONNX_MAX_FEATURES (1 << 20)
#define GY_ONNX_MAX_CLASSES 1000
#define GY_ONNX_MAX_TENSORS 28  /* that a graph answers with */
#define GY_ONNX_MAX_ANSWER 8192 /* their values a row, together */

enum gy_onnx_task {
    GY_ONNX_VALUE,   /* one number */
    GY_ONNX_BINARY,  /* the probability of the second of two classes */
    GY_ONNX_CLASSES, /* a probability for each class */
    GY_ONNX_TENSORS  /* whatever numbers: out_tensors */
};

/* A column of the rows that the runtime is given. */
struct gy_onnx_column {
    struct gy_str name; /* the input's; "pixels[3]" where one input has several columns */
    bool alone;         /* the input has this column only, so the name is one that somebody gave */
    bool text;          /* a value is the index of a text in the vocabulary, -1: another text */
    bool integer;
};

struct gy_onnx_info {
    enum gy_onnx_task task;
    size_t n_features, n_outputs;
    const struct gy_onnx_column *columns; /* n_features */
    const struct gy_str *classes;         /* labels; as many as there are classes */
    size_t n_classes;
    const struct gy_str *vocabulary; /* sorted; of all columns of text */
    size_t n_vocabulary;
    struct gy_str producer; /* "skl2onnx", "pytorch" */
    /* The graph's inputs, in order, where they are not simply columns; none: they are. */
    const struct gy_tensor_group *in_tensors;
    size_t n_in_tensors;
    const struct gy_tensor_group *out_tensors; /* GY_ONNX_TENSORS: the graph's outputs, in order */
    size_t n_out_tensors;
    bool row_by_row; /* the graph takes one row at a time only */
};

struct gy_onnx;

/* n_columns: how many columns a row has, for a graph that leaves it open (0: not known). Fails:
 * MISSINGDEP, NOTSERVABLE (with the reason and what to do), CORRUPT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_onnx_parse(struct gy_str bytes, size_t n_columns, struct gy_onnx **ret,
                                   struct gy_err *err);
const struct gy_onnx_info *gy_onnx_get_info(const struct gy_onnx *m); /* lives as long as m */
void gy_onnx_free(struct gy_onnx *m);
GY_DEFINE_AUTO(struct gy_onnx *, gy_onnx_free);

/* As the runtime's run, and the reason when it fails. Fails: IO with ONNX Runtime's message. */
GY_CHECKED gy_status gy_onnx_run(const struct gy_onnx *m, const double *x, size_t n_rows,
                                 double *out, void *scratch, struct gy_err *err);

extern const struct gy_runtime_ops gy_onnx_ops; /* self = struct gy_onnx */

#endif
