/* SPDX-License-Identifier: Apache-2.0 */
/* Logged models: what a client's log_model makes, before and apart from any registering: a name, a
 * place for files, params, tags and metrics. Ids are "m-" and 32 hex digits. */
#ifndef GY_TRACK_LOGGED_MODELS_H
#define GY_TRACK_LOGGED_MODELS_H

#include "track/metrics.h"
#include "track/search.h"
#include "track/track.h"

enum gy_logged_status {
    GY_LOGGED_PENDING = 1,
    GY_LOGGED_READY = 2,
    GY_LOGGED_FAILED = 3,
};

struct gy_logged_model {
    struct gy_str id, name, artifact_uri, model_type, source_run_id, actor;
    int64_t experiment_id;
    enum gy_logged_status status;
    int64_t created_us, updated_us;
    bool deleted;
    struct gy_tag *tags, *params;
    size_t n_tags, n_params;
    struct gy_metric *metrics;
    size_t n_metrics;
};

struct gy_logged_model_new {
    int64_t experiment_id;
    struct gy_str name; /* absent: random */
    struct gy_str model_type, source_run_id;
    const struct gy_tag *params, *tags;
    size_t n_params, n_tags;
};
/* Status PENDING. Fails: NOTFOUND (experiment), INVALID. */
GY_CHECKED gy_status gy_logged_model_create(struct gy_db *db, const struct gy_logged_model_new *in,
                                            struct gy_str actor, struct gy_arena *a,
                                            struct gy_logged_model *ret, struct gy_err *err);
/* Fails: NOTFOUND "Logged model with ID 'm' not found."; deleted ones too unless allowed. */
GY_CHECKED gy_status gy_logged_model_get(struct gy_db *db, struct gy_str id, bool allow_deleted,
                                         struct gy_arena *a, struct gy_logged_model *ret,
                                         struct gy_err *err);
GY_CHECKED gy_status gy_logged_model_finalize(struct gy_db *db, struct gy_str id,
                                              enum gy_logged_status status, struct gy_err *err);
GY_CHECKED gy_status gy_logged_model_delete(struct gy_db *db, struct gy_str id, struct gy_err *err);
GY_CHECKED gy_status gy_logged_model_set_tags(struct gy_db *db, struct gy_str id,
                                              const struct gy_tag *tags, size_t n,
                                              struct gy_err *err);
/* Fails: NOTFOUND "No tag with key 'k' found ..." */
GY_CHECKED gy_status gy_logged_model_delete_tag(struct gy_db *db, struct gy_str id,
                                                struct gy_str key, struct gy_err *err);
/* Params are set once; the same again is fine. Fails: INVALID. */
GY_CHECKED gy_status gy_logged_model_log_params(struct gy_db *db, struct gy_str id,
                                                const struct gy_tag *params, size_t n,
                                                struct gy_err *err);

struct gy_logged_query {
    const int64_t *experiment_ids;
    size_t n_experiment_ids;
    struct gy_str filter;
    const struct gy_search_dataset *datasets;
    size_t n_datasets;
    struct gy_search_order *order; /* parsed by gy_logged_order */
    size_t n_order;
    int64_t max_results;
    struct gy_str page_token;
};
/* One "metrics.f1" or "creation_timestamp". Fails: INVALID. */
GY_CHECKED gy_status gy_logged_order(struct gy_str field, bool ascending, struct gy_str dataset,
                                     struct gy_str digest, struct gy_arena *a,
                                     struct gy_search_order *ret, struct gy_err *err);
/* *ret_token is absent on the last page. Fails: INVALID. */
GY_CHECKED gy_status gy_logged_model_search(struct gy_db *db, const struct gy_logged_query *q,
                                            struct gy_arena *a, struct gy_logged_model **ret,
                                            size_t *ret_n, struct gy_str *ret_token,
                                            struct gy_err *err);

#endif
