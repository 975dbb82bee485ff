/* SPDX-License-Identifier: Apache-2.0 */
/* gy_predictor: a loaded model package, ready to answer. It holds the WHOLE prediction path
 * (feature steps, then the learner), so training and serving can not diverge. Immutable after
 * loading: any number of threads predict with their own scratch. */
#ifndef GY_LEARN_PREDICTOR_H
#define GY_LEARN_PREDICTOR_H

#include "base/str.h"
#include "learn/datatype.h"

enum gy_task { GY_TASK_BINARY, GY_TASK_MULTICLASS, GY_TASK_REGRESSION };

struct gy_predictor;
struct gy_decoder; /* learn/decode.h */

enum gy_input_kind { GY_INPUT_NUMBER, GY_INPUT_TEXT, GY_INPUT_TIME, GY_INPUT_IMAGE };

/* What is asked for. Its raw cells (learn/cells.h): one double; an image has width of them. */
struct gy_predictor_input {
    struct gy_str name;
    enum gy_input_kind kind;
    bool integer; /* schema type int */
    bool hashed;  /* TEXT: the cell is a hash of the text, not its index */
    double min,
        max; /* seen in training, -inf/inf when not known: outside is a warning, not an error */
    bool required;               /* schema: a missing value is refused (else it is imputed) */
    const struct gy_str *values; /* TEXT: what training saw, sorted bytewise */
    size_t n_values;
    uint16_t image_width, image_height; /* IMAGE: after resizing */
    uint8_t image_channels;             /* IMAGE: 1 grey, 3 red green blue */
    size_t width;                       /* cells */
};

struct gy_predictor_info {
    enum gy_task task;
    struct gy_str learner; /* "majority", "logistic", "xgboost" */
    struct gy_str target;
    const struct gy_predictor_input *inputs;
    size_t n_inputs;
    size_t n_cells;               /* raw cells a row: the widths of the inputs together */
    const struct gy_str *classes; /* labels by class index; BINARY: 2; REGRESSION: none */
    size_t n_classes;
    size_t n_outputs; /* values a row: BINARY 1 (probability of classes[1]), MULTICLASS n_classes,
                         REGRESSION 1, or those of out_tensors */
    /* Inputs that come as tensors of several columns, in order and without a hole; none: each input
     * is a tensor of its own. */
    const struct gy_tensor_group *in_tensors;
    size_t n_in_tensors;
    /* REGRESSION: the tensors that are answered; none: one number. The first value stands for the
     * row where only one can (drift, labels, aliases). */
    const struct gy_tensor_group *out_tensors;
    size_t n_out_tensors;
    double threshold; /* BINARY: class 1 when probability >= threshold */
    size_t n_trees;   /* 0 when no tree model */
    bool blocks;      /* answers by waiting for another process: gy_predictor_try_run, never on an
                         event loop */
    int64_t
        timeout_ms; /* of a model that blocks: how long an answer may take, as its package says */
    struct gy_str digest;        /* of the package folder, hex SHA-256: gy_package_digest */
    struct gy_str input_example; /* JSON object of one row; absent when none */
};

/* Load a package folder: the gyre flavor (model.json), else the xgboost flavor as MLflow's clients
 * log it (JSON or UBJSON). Fails: NOTSERVABLE (a flavor we do not run,
 * with the reason), CORRUPT, NOTFOUND, NOMEM. Never opens libxgboost: trees run on the flat walker.
 */
GY_CHECKED gy_status gy_predictor_load(const char *dir, struct gy_predictor **ret,
                                       struct gy_err *err);
const struct gy_predictor_info *gy_predictor_info(const struct gy_predictor *p);
/* From logged values to the cells of this model; NULL: they are the same. */
const struct gy_decoder *gy_predictor_decoder(const struct gy_predictor *p);
void gy_predictor_free(struct gy_predictor *p);
GY_DEFINE_AUTO(struct gy_predictor *, gy_predictor_free);

/* Memory of what answers (trees, weights), as its runtime tells it; what is told of the model stays
 * beside it. 0: it waits for another process. */
size_t gy_predictor_bytes(const struct gy_predictor *p);
/* Give that memory back. Until it is loaded again, info, decoder and ready are all that may be
 * asked for. Not of a model that blocks. Nobody predicts meanwhile: the caller sees to it. */
void gy_predictor_unload(struct gy_predictor *p);
/* After gy_predictor_unload, from the same folder: it predicts again, as before, or stays unloaded.
 * Fails: NOTFOUND, CORRUPT (the file is another by now), NOMEM. */
GY_CHECKED gy_status gy_predictor_load_again(struct gy_predictor *p, const char *dir,
                                             struct gy_err *err);

/* Bytes of scratch a thread needs to predict up to n rows at once. */
size_t gy_predictor_scratch(const struct gy_predictor *p, size_t n_rows);
/* rows: row-major n_rows x n_cells raw cells in input order, NaN = missing. out: n_rows x
 * n_outputs. scratch: 64-byte aligned, of at least gy_predictor_scratch bytes. Does not allocate
 * and can not fail. */
void gy_predictor_run(const struct gy_predictor *p, const double *rows, size_t n_rows, double *out,
                      void *scratch);

/* The same for any model, also one that blocks: the answer is there before deadline_ns (gy_mono_ns;
 * 0: within info->timeout_ms). Fails: UNAVAILABLE, TIMEOUT, NETWORK, INVALID (whoever answers
 * refuses the rows), NOMEM; never where info->blocks is false. gy_predictor_run of a model that
 * blocks gives NaN where this fails. */
GY_CHECKED gy_status gy_predictor_try_run(const struct gy_predictor *p, const double *rows,
                                          size_t n_rows, double *out, void *scratch,
                                          int64_t deadline_ns, struct gy_err *err);
/* Could it answer now? Waits until deadline_ns at most; 0: only looks. Models that do not block
 * always can. Fails: as gy_predictor_try_run, with the reason. */
GY_CHECKED gy_status gy_predictor_ready(const struct gy_predictor *p, int64_t deadline_ns,
                                        struct gy_err *err);

/* The digest that verdicts bind to: SHA-256 over "<sha256 of file>  <relative path>\n" of every
 * file of the folder, sorted by path bytewise. */
GY_CHECKED gy_status gy_package_digest(const char *dir, char ret_sha256[65], struct gy_err *err);

/* The proof of a version (run after registering, by a command or a child process, never by the
 * server itself): the package loads, predicts its own input example to finite numbers, and, for
 * xgboost, equals libxgboost bit for bit on n_rows random and boundary rows. *ret_servable with the
 * reason in `reason`. Fails only when the proof could not be run. */
GY_CHECKED gy_status gy_package_prove(const char *dir, size_t n_rows, bool *ret_servable,
                                      char reason[512], struct gy_err *err);

#endif
