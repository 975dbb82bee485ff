/* SPDX-License-Identifier: Apache-2.0 */
/* gy_learner_ops: what a learner is: the tasks it can do, what it can be told, how it is fitted to
 * prepared rows, and what then answers. One file a learner in learn/learners/; learners.c lists
 * them. Everything else (params.yaml, the record of a run, the package, the search, the predictor)
 * goes by this table. Static; any number of threads. */
#ifndef GY_LEARN_LEARNER_H
#define GY_LEARN_LEARNER_H

#include "learn/model.h"
#include "learn/runtime/runtime.h"
#include "learn/settings.h"

#define GY_TASK_BIT(task) (1u << (unsigned)(task))
#define GY_TASKS_ALL                                                 \
    (GY_TASK_BIT(GY_TASK_BINARY) | GY_TASK_BIT(GY_TASK_MULTICLASS) | \
     GY_TASK_BIT(GY_TASK_REGRESSION))

/* One fit. Rows are those of training, after the feature steps. */
struct gy_fit {
    const struct gy_settings *settings; /* of this learner */
    const double *x;                    /* n_rows x n_features, row-major; NaN = missing */
    const double *y;                    /* class index or value */
    const double *weight;               /* n_rows, >= 0; NULL: all 1 */
    size_t n_rows, n_features;
    size_t n_made_up; /* the last of them are made up: never set aside to validate on */
    const struct gy_feature *features; /* n_features: names and kinds */
    uint64_t seed;
    int n_threads;                             /* the result MUST NOT depend on it */
    void (*on_round)(void *ctx, int64_t done); /* of ops->rounds; MAY be NULL */
    void *on_round_ctx;
    /* The model to fill: task, classes and inputs are set; `values` and `params_json` go here. */
    struct gy_model *m;
    struct gy_buf *file; /* a learner with ops->file: its bytes */
    /* A learner that goes round by round MAY tell how it went: each name is a metric of the run
     * ("loss", "val_loss"). MAY be NULL. */
    void (*on_measure)(void *ctx, const char *name, int64_t step, double value);
    void *on_measure_ctx;
};

struct gy_learner_ops {
    uint32_t version;                       /* 1; 2: what stands below it counts too */
    const char *name;                       /* in params.yaml and model.json */
    const char *summary;                    /* a line for the help */
    unsigned tasks;                         /* GY_TASK_BITs */
    bool complete;                          /* takes no missing values: usually imputed */
    bool scaled;                            /* usually z-scored */
    const char *file;                       /* of the package, "model.ubj"; NULL: none */
    const struct gy_setting_spec *settings; /* MAY be NULL */
    /* How many rounds a fit has, for a progress bar. MAY be NULL. */
    int64_t (*rounds)(const struct gy_settings *s);
    /* Fails: INVALID (rows or settings this learner can not work with: say what to do), MISSINGDEP,
     * NOMEM, TOOBIG. */
    gy_status (*fit)(struct gy_fit *f, struct gy_err *err);
    /* Do the values that were read fit task, inputs and classes? Fails: CORRUPT. */
    gy_status (*check)(const struct gy_model *m, struct gy_err *err);
    /* What answers; file: the bytes of ops->file, whose digest was compared. Fails: CORRUPT,
     * NOTSERVABLE, NOMEM. */
    gy_status (*load)(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err);

    /* ---- version 2 ---- */
    /* Instead of load: what answers is made of more files of the package folder dir. MAY be NULL.
     * Fails: as load. */
    gy_status (*open)(const struct gy_model *m, const char *dir, struct gy_runtime *ret,
                      struct gy_err *err);
};

const struct gy_learner_ops *gy_learner_get(enum gy_learner learner);
/* Copy of a JSON object as the model's params_json. Fails: NOMEM. */
GY_CHECKED gy_status gy_learner_params(struct gy_model *m, const struct gy_buf *json,
                                       struct gy_err *err);
/* Room for n values in the model. Fails: NOMEM. */
GY_CHECKED gy_status gy_learner_values(struct gy_model *m, size_t n, struct gy_err *err);
/* Fails with CORRUPT unless the model has n values. */
GY_CHECKED gy_status gy_learner_check_values(const struct gy_model *m, size_t n,
                                             struct gy_err *err);
/* Fails with INVALID and what to do when a value is missing. */
GY_CHECKED gy_status gy_learner_complete(const struct gy_fit *f, struct gy_err *err);

#endif
