/* SPDX-License-Identifier: Apache-2.0 */
/* Runs: one execution with its params (set once), tags (last wins), metrics, and what it read and
 * made. Deleting is a mark. The run's name and its tag mlflow.runName are one thing. Tags that say
 * where the run came from become lineage: gyre.data_sha256, gyre.code_revision, gyre.dataset. */
#ifndef GY_TRACK_RUNS_H
#define GY_TRACK_RUNS_H

#include "track/metrics.h"

struct gy_run_dataset { /* a dataset as the client describes it */
    struct gy_str name, digest, source_type, source, schema, profile;
    int64_t id; /* of what was read */
    struct gy_tag *tags;
    size_t n_tags;
};

struct gy_run_model { /* a logged model read or made */
    struct gy_str model_id;
    int64_t step;
};

struct gy_run {
    int64_t seq; /* its number in this database */
    struct gy_str id, name, user_id, status, artifact_uri, actor;
    int64_t experiment_id;
    int64_t start_ms, end_ms; /* 0: not set */
    bool deleted;
    struct gy_tag *params, *tags;
    size_t n_params, n_tags;
    struct gy_metric *metrics; /* the latest of each key */
    size_t n_metrics;
    struct gy_run_dataset *inputs;
    size_t n_inputs;
    struct gy_run_model *model_inputs, *model_outputs;
    size_t n_model_inputs, n_model_outputs;
};

struct gy_run_new {
    int64_t experiment_id;
    struct gy_str user_id, name;
    int64_t start_ms; /* 0: not set */
    const struct gy_tag *tags;
    size_t n_tags;
};
/* Status RUNNING; the run in *ret has its info and tags. Fails: NOTFOUND (experiment), INVALID. */
GY_CHECKED gy_status gy_run_create(struct gy_db *db, const struct gy_run_new *in,
                                   struct gy_str actor, struct gy_arena *a, struct gy_run *ret,
                                   struct gy_err *err);
/* The number of a run. Fails: NOTFOUND "Run with id=X not found"; INVALID when need_active and it
 * is deleted. */
GY_CHECKED gy_status gy_run_find(struct gy_db *db, struct gy_str id, bool need_active,
                                 int64_t *ret_seq, struct gy_err *err);
/* Info alone, or (with_data) all of it; deleted ones are found. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_run_get(struct gy_db *db, struct gy_str id, bool with_data,
                                struct gy_arena *a, struct gy_run *ret, struct gy_err *err);

struct gy_run_change { /* absent, 0: unchanged */
    struct gy_str status;
    int64_t end_ms;
    struct gy_str name;
};
GY_CHECKED gy_status gy_run_update(struct gy_db *db, struct gy_str id,
                                   const struct gy_run_change *change, struct gy_err *err);
/* Runs that are RUNNING and have a tag `key` whose value starts with prefix: their process is known
 * to be gone, so they are KILLED. *ret_n MAY be NULL. */
GY_CHECKED gy_status gy_run_kill_tagged(struct gy_db *db, const char *key, struct gy_str prefix,
                                        int64_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_run_set_deleted(struct gy_db *db, struct gy_str id, bool deleted,
                                        struct gy_err *err);

/* What one request writes to a run. */
struct gy_run_batch {
    const struct gy_metric *metrics;
    size_t n_metrics;
    const struct gy_tag *params;
    size_t n_params;
    const struct gy_tag *tags;
    size_t n_tags;
};
/* Limits, names and duplicates; needs no store. Fails: INVALID. */
GY_CHECKED gy_status gy_run_batch_check(const struct gy_run_batch *b, struct gy_err *err);
/* Write a checked batch: params, metrics, tags. Safe to repeat. Fails: NOTFOUND, INVALID (deleted,
 * or a param has another value already: then nothing of it is kept). `single` words the message of
 * a changed param as for one. */
GY_CHECKED gy_status gy_run_log(struct gy_db *db, struct gy_str id, const struct gy_run_batch *b,
                                bool single, struct gy_str actor, struct gy_err *err);
/* The lineage edge of a tag that says where the run came from; other tags are passed over. */
GY_CHECKED gy_status gy_run_note_origin(struct gy_db *db, struct gy_str run_id,
                                        const struct gy_tag *t, struct gy_str actor,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_run_delete_tag(struct gy_db *db, struct gy_str id, struct gy_str key,
                                       struct gy_err *err);
/* Datasets and logged models that the run read; the same again changes nothing. */
GY_CHECKED gy_status gy_run_log_inputs(struct gy_db *db, struct gy_str id,
                                       const struct gy_run_dataset *datasets, size_t n_datasets,
                                       const struct gy_run_model *models, size_t n_models,
                                       struct gy_str actor, struct gy_err *err);
GY_CHECKED gy_status gy_run_log_outputs(struct gy_db *db, struct gy_str id,
                                        const struct gy_run_model *models, size_t n_models,
                                        struct gy_err *err);

/* A model as older clients describe it: a JSON text with artifact_path, flavors, utc_time_created
 * and run_id. Fails: INVALID. Needs no store. */
GY_CHECKED gy_status gy_run_check_model(struct gy_str json, struct gy_err *err);
/* Add a checked one to the list that the run's tag mlflow.log-model.history holds. */
GY_CHECKED gy_status gy_run_note_model(struct gy_db *db, struct gy_str id, struct gy_str json,
                                       struct gy_str actor, struct gy_arena *a, struct gy_err *err);

struct gy_dataset_summary {
    int64_t experiment_id;
    struct gy_str name, digest, context; /* context absent: the input was given none */
};
/* The distinct datasets of the runs of these experiments, ordered, at most GY_TRACK_MAX_SUMMARIES.
 */
GY_CHECKED gy_status gy_run_datasets(struct gy_db *db, const int64_t *experiment_ids, size_t n_ids,
                                     struct gy_arena *a, struct gy_dataset_summary **ret,
                                     size_t *ret_n, struct gy_err *err);

/* How a search is answered (track/run_search.c); all ways give the same. Tests hold them against
 * each other, everyone else lets the search choose. */
enum gy_run_way { GY_RUN_CHOOSE, GY_RUN_SORT, GY_RUN_BY_FILTER, GY_RUN_WALK };
struct gy_run_query {
    const int64_t *experiment_ids;
    size_t n_experiment_ids;
    enum gy_view view;
    struct gy_str filter;
    const struct gy_str *order_by;
    size_t n_order_by;
    int64_t max_results; /* 1..GY_TRACK_MAX_PAGE */
    struct gy_str page_token;
    enum gy_run_way way;
};
/* Called for each run with its data; views live during the call. *ret_full set: no more after this
 * one, the page is cut here (a token follows when there are others). A failing one ends the search.
 */
typedef gy_status (*gy_run_fn)(void *ctx, const struct gy_run *r, bool *ret_full,
                               struct gy_err *err);
/* Runs one by one, so that a page of many is not held in memory at once. *ret_token (in the arena)
 * is absent on the last page. Fails: INVALID, and as fn. */
GY_CHECKED gy_status gy_run_search(struct gy_db *db, const struct gy_run_query *q,
                                   struct gy_arena *a, gy_run_fn fn, void *ctx,
                                   struct gy_str *ret_token, struct gy_err *err);

#endif
