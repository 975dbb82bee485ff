/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoint revisions as the store keeps them. A revision freezes everything that decides an answer:
 * model version and digest, rules, mappings, threshold, gate. It is never changed, so rollback, log
 * and trace can name it. All functions run inside a store closure; results live in the arena. */
#ifndef GY_SERVE_REVISION_H
#define GY_SERVE_REVISION_H

#include "base/json.h"
#include "store/store.h"

struct gy_revision {
    struct gy_str endpoint;
    int64_t revision;
    struct gy_str kind;       /* "deploy", "rollback", "canary", "shadow", "promote", "traffic" */
    struct gy_str model_name; /* of the stable version; config has all */
    int64_t model_version;
    struct gy_str model_digest, run_id;
    struct gy_str config;     /* JSON object: weights (who takes part), rules, aliases, threshold,
                                 columns, review, rollout, gate */
    bool gated;               /* it had to hold a passing verdict */
    struct gy_str verdict_id; /* absent: none */
    int64_t copied_from;      /* a rollback: the revision it copies; else 0 */
    struct gy_str actor;
    struct gy_str reason; /* as the actor gave it; absent: none */
    int64_t created_us;
};

/* Was there ever such a revision? Inside a closure. */
GY_CHECKED gy_status gy_revision_is(struct gy_db *db, struct gy_str endpoint, int64_t revision,
                                    bool *ret, struct gy_err *err);
/* revision 0: the one that is served. Fails: NOTFOUND (no such endpoint or revision, or
 * undeployed).
 */
GY_CHECKED gy_status gy_revision_get(struct gy_db *db, struct gy_str endpoint, int64_t revision,
                                     struct gy_arena *a, struct gy_revision *ret,
                                     struct gy_err *err);
/* The revisions that are served now, one an endpoint, by name. */
GY_CHECKED gy_status gy_revision_current(struct gy_db *db, struct gy_arena *a,
                                         struct gy_revision **ret, size_t *ret_n,
                                         struct gy_err *err);
/* The newest max revisions of an endpoint, newest first; *ret_current: the one served, 0 = none.
 * Fails: NOTFOUND. */
GY_CHECKED gy_status gy_revision_history(struct gy_db *db, struct gy_str endpoint, size_t max,
                                         struct gy_arena *a, struct gy_revision **ret,
                                         size_t *ret_n, int64_t *ret_current, struct gy_err *err);
/* The newest revision before the one that is served which let one version alone answer and differs
 * from what is served in versions or configuration: what a rollback means when it names none. After
 * an undeploy: the last one there was. Fails: NOTFOUND (no such endpoint), CONFLICT (there is no
 * such revision). */
GY_CHECKED gy_status gy_revision_before(struct gy_db *db, struct gy_str endpoint,
                                        struct gy_arena *a, struct gy_revision *ret,
                                        struct gy_err *err);
/* Add r as the next revision of its endpoint and serve it; *ret_revision is its number. Writes the
 * lineage (each model version -deployed-> revision, a shadow -shadowed->, each verdict -deployed->)
 * and the event. */
GY_CHECKED gy_status gy_revision_add(struct gy_db *db, const struct gy_revision *r,
                                     int64_t *ret_revision, struct gy_err *err);
/* Fails when another revision than `expect` is served: CONFLICT. To be asked in the closure that
 * adds the next one; expect < 0: whichever. */
GY_CHECKED gy_status gy_revision_expect(struct gy_db *db, struct gy_str endpoint, int64_t expect,
                                        struct gy_err *err);
/* Serve no revision of it any more. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_revision_undeploy(struct gy_db *db, struct gy_str endpoint,
                                          struct gy_str actor, struct gy_err *err);

/* Does a gate section of gyre.yaml ask for an approval: "required", or a map without `required:
 * false`. gate MAY be NULL. */
bool gy_gate_asks_approval(yyjson_val *gate);
/* May a package with this digest be served where a gate stands? project_gated: the caller asks for
 * it (gyre.yaml has a gate); needs_approval: besides the verdict. An alias of the model that is
 * protected, or an earlier gated revision of the endpoint, asks for it too: without a gate of its
 * own a deployment needs an approval when the newest one with a gate did. *ret_gated says whether
 * there was a gate, *ret_verdict_id the newest verdict (absent: none). Fails: NOTBLESSED with the
 * reason. */
GY_CHECKED gy_status gy_revision_gate(struct gy_db *db, struct gy_str endpoint, struct gy_str model,
                                      struct gy_str digest, bool project_gated, bool needs_approval,
                                      struct gy_arena *a, bool *ret_gated,
                                      struct gy_str *ret_verdict_id, struct gy_err *err);

#endif
