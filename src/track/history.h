/* SPDX-License-Identifier: Apache-2.0 */
/* What happened to a model: who moved which alias, changed a stage, promoted or rolled back an
 * endpoint, when and why. Rows are only added. Aliases move here with what a person has to answer
 * for: promote, and rollback to where the alias was before. All functions run inside closures of
 * the store, in the workspace of the caller; results live in the arena. */
#ifndef GY_TRACK_HISTORY_H
#define GY_TRACK_HISTORY_H

#include "track/models.h"

#define GY_HISTORY_MAX 10000            /* entries a call; moves that a rollback looks back over */
#define GY_HISTORY_MAX_REASON 4000      /* characters of a reason */
#define GY_HISTORY_REASON "gyre.reason" /* tag of a version: why the next move of it happens */

struct gy_history_entry {
    struct gy_str kind;     /* "alias", "stage", "endpoint", "version", "renamed", "deleted" */
    struct gy_str what;     /* the alias, the endpoint, the version's number */
    struct gy_str action;   /* alias: as gy_alias_move; endpoint: "deploy", "promote", "rollback";
                               version: "registered"; stage, renamed, deleted: absent */
    struct gy_str from, to; /* versions, stages or names; absent: nowhere */
    int64_t revision;       /* of the endpoint; 0: no endpoint */
    struct gy_str actor, reason;
    int64_t time_us;
};
/* Newest first, at most max. alias absent: everything, else the moves of that alias. A model that
 * is gone has a history, too. */
GY_CHECKED gy_status gy_model_history(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                      int64_t max, struct gy_arena *a,
                                      struct gy_history_entry **ret, size_t *ret_n,
                                      struct gy_err *err);

/* What a move did. */
struct gy_alias_moved {
    int64_t from, to; /* from 0: the alias pointed nowhere */
};
/* Point an alias to a version; why->action is set here. Fails: as gy_registry_move_alias, INVALID
 * (a reason that is too long). */
GY_CHECKED gy_status gy_model_promote(struct gy_db *db, struct gy_str name, int64_t version,
                                      struct gy_str alias, const struct gy_model_why *why,
                                      struct gy_alias_moved *ret, struct gy_err *err);
/* Point an alias back. to 0: to the version it had before the one it has: promotions go on a stack,
 * and each rollback takes one off, so that two in a row go back two. A version that held the alias
 * before need not be blessed again. Fails: NOTFOUND (there is none before), and as promote. */
GY_CHECKED gy_status gy_model_rollback(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                       int64_t to, const struct gy_model_why *why,
                                       struct gy_alias_moved *ret, struct gy_err *err);
/* The version that such a rollback means. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_model_alias_before(struct gy_db *db, struct gy_str name,
                                           struct gy_str alias, int64_t *ret, struct gy_err *err);

/* For clients that can only tag: the value of the version's tag gyre.reason, which goes with the
 * move that it explains. Absent: there is none. */
GY_CHECKED gy_status gy_version_take_reason(struct gy_db *db, struct gy_str name, int64_t version,
                                            struct gy_arena *a, struct gy_str *ret,
                                            struct gy_err *err);

/* ---- between history.c, models.c and versions.c ---- */

/* Before the stage of that version is changed, and of the others with it when they are archived. */
GY_CHECKED gy_status gy_model_note_stage(struct gy_db *db, struct gy_str name, int64_t version_id,
                                         struct gy_str stage, bool archive_others,
                                         const struct gy_model_why *why, struct gy_err *err);
/* CONFLICT, naming the endpoint, when one serves that version (0: any of the model's) as the stable
 * one, a canary or a shadow. What is served is known by its bytes: a rename changes nothing. */
GY_CHECKED gy_status gy_model_refuse_served(struct gy_db *db, int64_t model, int64_t version_id,
                                            struct gy_err *err);
/* What is kept by the name of a model goes with a rename, and is put away when the model (version
 * 0) or a version of it is deleted: a new one of that name does not inherit it. */
GY_CHECKED gy_status gy_model_records_renamed(struct gy_db *db, struct gy_str from,
                                              struct gy_str to, struct gy_str actor,
                                              struct gy_err *err);
GY_CHECKED gy_status gy_model_records_deleted(struct gy_db *db, struct gy_str name, int64_t version,
                                              struct gy_str actor, struct gy_err *err);

#endif
