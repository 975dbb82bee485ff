/* SPDX-License-Identifier: Apache-2.0 */
/* Gate verdicts and approvals, bound to the digest of a model package: flow writes them, track and
 * serve read them. A verdict is never changed; the newest one of a digest and gate counts. */
#ifndef GY_STORE_VERDICTS_H
#define GY_STORE_VERDICTS_H

#include "store/store.h"

#define GY_APPROVAL_LIST_MAX 1000 /* the newest so many */
#define GY_VERDICT_LIST_MAX 1000

struct gy_verdict {
    struct gy_str id; /* UUIDv7 */
    struct gy_str model_digest, model_name, model_version, gate /* project or endpoint name */;
    bool blessed;
    struct gy_str checks; /* JSON: every check with its numbers */
    struct gy_str champion_digest;
    struct gy_str data_sha256; /* the frozen rows it was judged on */
    struct gy_str actor;
    int64_t time_us;
};
/* v->id may be absent: made and written to ret_id (GY_UUID_TEXT). Adds the edge modeldigest ->
 * verdict. */
GY_CHECKED gy_status gy_verdict_add(struct gy_db *db, const struct gy_verdict *v, char *ret_id,
                                    struct gy_err *err);
/* The newest verdict for digest (gate absent: of any gate); *ret_found false when there is none. In
 * the arena. */
GY_CHECKED gy_status gy_verdict_latest(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                                       struct gy_arena *a, bool *ret_found, struct gy_verdict *ret,
                                       struct gy_err *err);

/* Verdicts, newest first, at most GY_VERDICT_LIST_MAX; digest and gate absent: of any. */
GY_CHECKED gy_status gy_verdict_list(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                                     struct gy_arena *a, struct gy_verdict **ret, size_t *ret_n,
                                     struct gy_err *err);

struct gy_approval {
    struct gy_str id, model_digest, model_name, model_version, gate;
    struct gy_str state; /* requested, approved, rejected */
    struct gy_str requested_by, decided_by, reason;
    int64_t requested_us, decided_us;
};
/* Decisions refuse the actor "anonymous" (UNAUTHENTICATED) and are made once (CONFLICT). Where the
 * gate asks for four eyes, who asked may reject but not approve (DENIED). */
GY_CHECKED gy_status gy_approval_request(struct gy_db *db, const struct gy_approval *a,
                                         char *ret_id, struct gy_err *err);
GY_CHECKED gy_status gy_approval_decide(struct gy_db *db, struct gy_str id, bool approve,
                                        struct gy_str actor, struct gy_str reason,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_approval_latest(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                                        struct gy_arena *a, bool *ret_found,
                                        struct gy_approval *ret, struct gy_err *err);
GY_CHECKED gy_status gy_approval_list(struct gy_db *db, struct gy_arena *a,
                                      struct gy_approval **ret, size_t *ret_n, struct gy_err *err);

/* Protected aliases and what a digest needs to take one (from gyre.yaml's gate, applied by flow):
 * one row a (model, alias); a change is an event. "latest" is INVALID: it is no alias.
 * gate_allows: GY_OK, or NOTBLESSED with the reason in err: no verdict, NOT_BLESSED with the
 * failing checks, approval missing. */
/* Would that ask for less than now: no approval, or no second pair of eyes, where one is asked? */
GY_CHECKED gy_status gy_protect_loosens(struct gy_db *db, struct gy_str model, struct gy_str alias,
                                        bool needs_approval, bool four_eyes, bool *ret,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_protect_alias(struct gy_db *db, struct gy_str model, struct gy_str alias,
                                      struct gy_str gate, bool needs_approval, struct gy_str actor,
                                      struct gy_err *err);
/* Must an approval under that protection's gate come from another person than who asked for it? A
 * change is an event; nothing happens where the alias is not protected. */
GY_CHECKED gy_status gy_protect_four_eyes(struct gy_db *db, struct gy_str model,
                                          struct gy_str alias, bool on, struct gy_str actor,
                                          struct gy_err *err);
/* What was protected under one name of a model is so under its new one, too; the old name keeps it
 * for who takes that. A protection that the new name has already stays. */
GY_CHECKED gy_status gy_protect_renamed(struct gy_db *db, struct gy_str from, struct gy_str to,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_gate_allows_alias(struct gy_db *db, struct gy_str model,
                                          struct gy_str alias, struct gy_str digest,
                                          struct gy_err *err);
/* The same for the way back to a version that held the alias before: one blessed verdict at any
 * time is enough (later ones compare it with later champions), and of approvals the newest one that
 * was decided counts. */
GY_CHECKED gy_status gy_gate_allows_return(struct gy_db *db, struct gy_str model,
                                           struct gy_str alias, struct gy_str digest,
                                           struct gy_err *err);

#endif
