/* SPDX-License-Identifier: Apache-2.0 */
/* gy_model: what stands in model.json (format "gyre.model/2", or /1 for simple feature steps): the
 * whole prediction path of a package, and how it came about (split, data digest). Written by
 * training, read by the predictor and by evaluation. The text holds no time and no id: equal data,
 * params and seed give equal bytes. Strings and arrays live in the model's arena. One owner. */
#ifndef GY_LEARN_MODEL_H
#define GY_LEARN_MODEL_H

#include "base/arena.h"
#include "base/hash.h"
#include "learn/features.h"
#include "learn/predictor.h"

#define GY_MODEL_FORMAT "gyre.model/2"
#define GY_MODEL_FORMAT_1 \
    "gyre.model/1" /* numbers, imputed and scaled: where it says all there is */
#define GY_MODEL_MAX_BYTES (64 * GY_MIB)
#define GY_MODEL_MAX_CLASSES 1000

/* learn/learner.h has what each is. GY_LEARNERS counts those that can be trained; behind them stand
 * models that only others make (learn/foreign.h). */
enum gy_learner {
    GY_LEARNER_MAJORITY,
    GY_LEARNER_LOGISTIC,
    GY_LEARNER_XGBOOST,
    GY_LEARNER_FORMULA,
    GY_LEARNER_LINEAR,
    GY_LEARNER_GLM,
    GY_LEARNER_FOREST,
    GY_LEARNER_MLP,
    GY_LEARNER_CNN,
    GY_LEARNERS,
    GY_LEARNER_LIGHTGBM = GY_LEARNERS,
    GY_LEARNER_ONNX,
    GY_LEARNER_REMOTE,
    GY_LEARNER_PYTHON,
    GY_LEARNER_CHAIN
};

struct gy_model {
    struct gy_arena arena;
    enum gy_task task;
    enum gy_learner learner;
    struct gy_str target;
    struct gy_predictor_input *inputs;
    size_t n_inputs;
    /* Of a foreign model: as gy_predictor_info has them. */
    struct gy_tensor_group *in_tensors, *out_tensors;
    size_t n_in_tensors, n_out_tensors;
    struct gy_features features; /* from the raw cells of the inputs to what the learner sees */
    struct gy_str *classes;
    size_t n_classes;
    double threshold;
    double *values; /* what the learner fitted, as it lays it out; n_values MAY be 0 */
    size_t n_values;
    struct gy_str file, file_sha256; /* of the learner's own file; absent: it has none */
    int64_t n_trees;                 /* tree models */
    struct gy_str params_json;       /* the learner's parameters, an object */
    /* where it comes from */
    uint64_t seed;
    double holdout;
    struct gy_str split_by,
        split_key; /* "hash", "time", "file", ...; its column: of hash the id, absent: the record */
    struct gy_str data_sha256;
    struct gy_str held_out_sha256; /* split_by "file": all rows of that file were held out */
    double split_cutoff;           /* split by time: rows from here on are held out; else 0 */
    int split_folds;               /* by kfold; else 0 */
    int64_t rows_train, rows_held_out;
};

void gy_model_init(struct gy_model *m); /* zeroed, with an arena */
void gy_model_done(struct gy_model *m);
GY_DEFINE_AUTO_DONE(struct gy_model, gy_model_done);

const char *gy_learner_name(enum gy_learner learner);
/* Fails: INVALID naming those there are. */
GY_CHECKED gy_status gy_learner_parse(struct gy_str name, enum gy_learner *ret, struct gy_err *err);
/* Also of what is not trained but stands in a model.json: "remote", "chain". false: none of that
 * name. */
bool gy_learner_find(struct gy_str name, enum gy_learner *ret);
const char *gy_task_name(enum gy_task task);
GY_CHECKED gy_status gy_task_parse(struct gy_str name, enum gy_task *ret, struct gy_err *err);

/* How the model's table was divided. Strings are views. Fails: INVALID (the package does not say).
 */
struct gy_holdout; /* learn/holdout.h */
GY_CHECKED gy_status gy_model_holdout(const struct gy_model *m, struct gy_holdout *ret,
                                      struct gy_err *err);
/* Which format the model is written in: the oldest that says all there is. */
const char *gy_model_format(const struct gy_model *m);
/* The JSON text, pretty, with a final newline. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_model_write(const struct gy_model *m, struct gy_buf *out,
                                    struct gy_err *err);
/* Read into a model that was initialised. Fails: NOTSERVABLE (another format, an unknown learner),
 * CORRUPT (a field missing or out of range), NOMEM. */
GY_CHECKED gy_status gy_model_parse(struct gy_str text, struct gy_model *m, struct gy_err *err);
GY_CHECKED gy_status gy_model_read(const char *dir, struct gy_model *m, struct gy_err *err);

#endif
