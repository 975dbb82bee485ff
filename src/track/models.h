/* SPDX-License-Identifier: Apache-2.0 */
/* Registered models and their versions, as MLflow's clients manage them; registry.h is the part
 * other rooms use. Version numbers are never given twice while the model exists. When the files of
 * a version are found below its source, its digest is taken and the list is kept (see registry.h).
 * Every move of an alias is kept in a history: who, when, why, from, to (track/history.h). */
#ifndef GY_TRACK_MODELS_H
#define GY_TRACK_MODELS_H

#include "track/registry.h"
#include "track/track.h"

struct gy_model_alias {
    struct gy_str alias;
    int64_t version;
};

struct gy_registered_model {
    int64_t id;
    struct gy_str name, description, actor;
    int64_t created_us, updated_us;
    struct gy_tag *tags;
    size_t n_tags;
    struct gy_model_alias *aliases;
    size_t n_aliases;
    struct gy_model_version *latest; /* the newest of each stage */
    size_t n_latest;
};

/* Fails: EXISTS "Registered Model (name=X) already exists.", INVALID. */
GY_CHECKED gy_status gy_model_create(struct gy_db *db, struct gy_str name,
                                     struct gy_str description, const struct gy_tag *tags,
                                     size_t n_tags, struct gy_str actor, struct gy_err *err);
/* Fails: NOTFOUND "Registered Model with name=X not found". */
GY_CHECKED gy_status gy_model_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                  struct gy_registered_model *ret, struct gy_err *err);
/* The aliases must be free to be held under the new name: NOTBLESSED, EXISTS, NOTFOUND, INVALID.
 * History, cards, comments and the use case go with it. */
GY_CHECKED gy_status gy_model_rename(struct gy_db *db, struct gy_str name, struct gy_str new_name,
                                     struct gy_str actor, struct gy_err *err);
/* Absent: removed. */
GY_CHECKED gy_status gy_model_describe(struct gy_db *db, struct gy_str name,
                                       struct gy_str description, struct gy_err *err);
/* With its versions, tags and aliases. Fails: CONFLICT when an endpoint serves one of them. */
GY_CHECKED gy_status gy_model_delete(struct gy_db *db, struct gy_str name, struct gy_str actor,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_model_set_tag(struct gy_db *db, struct gy_str name, struct gy_str key,
                                      struct gy_str value, struct gy_err *err);
GY_CHECKED gy_status gy_model_delete_tag(struct gy_db *db, struct gy_str name, struct gy_str key,
                                         struct gy_err *err);
/* An absent alias is fine. */
GY_CHECKED gy_status gy_model_delete_alias(struct gy_db *db, struct gy_str name,
                                           struct gy_str alias, const struct gy_model_why *why,
                                           struct gy_err *err);
/* Fails: INVALID "Registered model alias X not found." */
GY_CHECKED gy_status gy_model_by_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                       struct gy_arena *a, struct gy_model_version *ret,
                                       struct gy_err *err);
struct gy_alias_move {
    struct gy_str alias, actor;
    struct gy_str action;             /* "promoted", "rolled_back", "moved", "removed" */
    struct gy_str reason;             /* absent: none was given */
    int64_t from_version, to_version; /* 0: nowhere */
    int64_t time_us;
};
/* Newest first, at most max. alias absent: of all. */
GY_CHECKED gy_status gy_model_alias_history(struct gy_db *db, struct gy_str name,
                                            struct gy_str alias, int64_t max, struct gy_arena *a,
                                            struct gy_alias_move **ret, size_t *ret_n,
                                            struct gy_err *err);

struct gy_registry_query {
    struct gy_str filter;
    const struct gy_str *order_by;
    size_t n_order_by;
    int64_t max_results;
    struct gy_str page_token;
};
GY_CHECKED gy_status gy_model_search(struct gy_db *db, const struct gy_registry_query *q,
                                     struct gy_arena *a, struct gy_registered_model **ret,
                                     size_t *ret_n, struct gy_str *ret_token, struct gy_err *err);

/* ---- versions ---- */

/* "3". Fails: INVALID "Parameter 'version' must be an integer, got 'x'." */
GY_CHECKED gy_status gy_model_parse_version(struct gy_str s, int64_t *ret, struct gy_err *err);
/* "staging" -> "Staging". Fails: INVALID. */
GY_CHECKED gy_status gy_model_parse_stage(struct gy_str s, struct gy_str *ret, struct gy_err *err);

struct gy_version_new {
    struct gy_str name, source, run_id, run_link, description, logged_model_id;
    const struct gy_tag *tags;
    size_t n_tags;
};
/* With a tag gyre.idempotency_key whose value a version of the model has, it is that version.
 * Fails: NOTFOUND (model, run, logged model, or the version a "models:/" source names), INVALID. */
GY_CHECKED gy_status gy_version_create(struct gy_db *db, const struct gy_version_new *in,
                                       struct gy_str actor, struct gy_arena *a,
                                       struct gy_model_version *ret, struct gy_err *err);
/* Fails: NOTFOUND "Model Version (name=N, version=V) not found". */
GY_CHECKED gy_status gy_version_get(struct gy_db *db, struct gy_str name, int64_t version,
                                    struct gy_arena *a, struct gy_model_version *ret,
                                    struct gy_err *err);
GY_CHECKED gy_status gy_version_tags(struct gy_db *db, const struct gy_model_version *v,
                                     struct gy_arena *a, struct gy_tag **ret, size_t *ret_n,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_version_describe(struct gy_db *db, struct gy_str name, int64_t version,
                                         struct gy_str description, struct gy_err *err);
/* Hidden from then on; aliases that point to it are removed. Fails: CONFLICT when an endpoint
 * serves it. */
GY_CHECKED gy_status gy_version_delete(struct gy_db *db, struct gy_str name, int64_t version,
                                       struct gy_str actor, struct gy_err *err);
GY_CHECKED gy_status gy_version_set_stage(struct gy_db *db, struct gy_str name, int64_t version,
                                          struct gy_str stage, bool archive_others,
                                          const struct gy_model_why *why, struct gy_err *err);
GY_CHECKED gy_status gy_version_set_tag(struct gy_db *db, struct gy_str name, int64_t version,
                                        struct gy_str key, struct gy_str value, struct gy_err *err);
GY_CHECKED gy_status gy_version_delete_tag(struct gy_db *db, struct gy_str name, int64_t version,
                                           struct gy_str key, struct gy_err *err);
GY_CHECKED gy_status gy_version_search(struct gy_db *db, const struct gy_registry_query *q,
                                       struct gy_arena *a, struct gy_model_version **ret,
                                       size_t *ret_n, struct gy_str *ret_token, struct gy_err *err);

/* ---- between registry.c, models.c and versions.c ---- */

/* A version's columns, for "SELECT " GY_VERSION_COLUMNS " FROM model_versions v JOIN
 * registered_models m ON m.id = v.model". */
#define GY_VERSION_COLUMNS                                                                  \
    "m.name, v.version, v.source, v.run_id, v.actor, v.description, v.digest, v.servable, " \
    "v.servable_reason, v.created_us, v.id, v.model, v.updated_us, v.storage_location, "    \
    "v.run_link, v.logged_model_id, v.stage"
#define GY_VERSION_N_COLUMNS 17
GY_CHECKED gy_status gy_version_read_row(struct gy_db *db, struct gy_stmt *st, struct gy_arena *a,
                                         struct gy_model_version *ret, struct gy_err *err);
GY_CHECKED gy_status gy_model_find(struct gy_db *db, struct gy_str name, int64_t *ret_id,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_model_touch(struct gy_db *db, int64_t id, struct gy_err *err);
GY_CHECKED gy_status gy_model_check_alias(struct gy_str alias, struct gy_err *err);
GY_CHECKED gy_status gy_model_check_tag(struct gy_str key, struct gy_str value, struct gy_err *err);
/* Take the digest of a version that has none, when its files are here; v is brought up to date. */
GY_CHECKED gy_status gy_version_take_digest(struct gy_db *db, struct gy_model_version *v,
                                            struct gy_str actor, struct gy_arena *a,
                                            struct gy_err *err);
GY_CHECKED gy_status gy_model_note_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                         int64_t from, int64_t to, const struct gy_model_why *why,
                                         struct gy_err *err);

#endif
