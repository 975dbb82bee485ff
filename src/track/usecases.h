/* SPDX-License-Identifier: Apache-2.0 */
/* Use cases: what a model is for, who answers for it, and whether that was approved. A use case is
 * what usecase.yaml says (flow/usecase_file.h), as JSON, and a state:
 *
 *   draft -request-> requested -approve-> approved     approved or rejected -another text-> draft
 *                              -reject--> rejected     any but retired      -retire------> retired
 *
 * Models attach to one. Every change is kept with its actor. Inside closures of the store; results
 * live in the arena. */
#ifndef GY_TRACK_USECASES_H
#define GY_TRACK_USECASES_H

#include "track/track.h"

#define GY_USECASE_MAX_SPEC (64 * 1024) /* bytes */
#define GY_USECASE_MAX_LIST 10000       /* use cases, changes, or models a call */

struct gy_usecase {
    struct gy_str name, state, spec;        /* spec: JSON object */
    int64_t number;                         /* of the text, from 1 */
    bool four_eyes;                         /* who requested may not approve */
    struct gy_str requested_by, decided_by; /* absent: nobody */
    struct gy_str actor;                    /* who applied it first */
    int64_t created_us, updated_us;
    struct gy_str *models;
    size_t n_models;
};
struct gy_usecase_change {
    int64_t number;
    struct gy_str action, state; /* "applied", "requested", ...; the state after it */
    struct gy_str spec;          /* of "applied"; else absent */
    struct gy_str model;         /* of "attached" and "detached"; else absent */
    struct gy_str reason, actor;
    int64_t time_us;
};

/* Every one that changes something refuses the actor "anonymous" (UNAUTHENTICATED). */

/* Make it, or give it another text: then it is a draft again. The same text changes nothing.
 * *ret_changed MAY be NULL. Fails: INVALID (name), TOOBIG. */
GY_CHECKED gy_status gy_usecase_apply(struct gy_db *db, struct gy_str name, struct gy_str spec,
                                      bool four_eyes, struct gy_str actor, bool *ret_changed,
                                      struct gy_err *err);
enum gy_usecase_step {
    GY_USECASE_REQUEST,
    GY_USECASE_APPROVE,
    GY_USECASE_REJECT,
    GY_USECASE_RETIRE
};
/* Fails: NOTFOUND, CONFLICT (not from this state), DENIED (four eyes are wanted). */
GY_CHECKED gy_status gy_usecase_step(struct gy_db *db, struct gy_str name,
                                     enum gy_usecase_step step, struct gy_str actor,
                                     struct gy_str reason, struct gy_err *err);
/* A model that is attached to another one moves here. Fails: NOTFOUND (model or use case), CONFLICT
 * (it is retired). */
GY_CHECKED gy_status gy_usecase_attach(struct gy_db *db, struct gy_str name, struct gy_str model,
                                       struct gy_str actor, struct gy_err *err);
/* Fails: NOTFOUND, CONFLICT (it is not attached). */
GY_CHECKED gy_status gy_usecase_detach(struct gy_db *db, struct gy_str name, struct gy_str model,
                                       struct gy_str actor, struct gy_err *err);
/* With its models. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_usecase_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                    struct gy_usecase *ret, struct gy_err *err);
/* The one that a model is attached to; *ret_found false: none. */
GY_CHECKED gy_status gy_usecase_of_model(struct gy_db *db, struct gy_str model, struct gy_arena *a,
                                         bool *ret_found, struct gy_usecase *ret,
                                         struct gy_err *err);
/* By name, with their models. */
GY_CHECKED gy_status gy_usecase_list(struct gy_db *db, struct gy_arena *a, struct gy_usecase **ret,
                                     size_t *ret_n, struct gy_err *err);
/* Newest first. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_usecase_changes(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                        struct gy_usecase_change **ret, size_t *ret_n,
                                        struct gy_err *err);

#endif
