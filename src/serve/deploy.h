/* SPDX-License-Identifier: Apache-2.0 */
/* Deploying: from a model reference and an endpoint's configuration to a frozen revision that is
 * loaded, recorded and served, in that order, so that what can not be served is never recorded. The
 * loading happens outside of the store's closures. Any thread; blocking. */
#ifndef GY_SERVE_DEPLOY_H
#define GY_SERVE_DEPLOY_H

#include "base/json.h"
#include "serve/revision.h"
#include "serve/serving.h"
#include "store/objects.h"

struct gy_deployer {
    struct gy_store *store;
    struct gy_objects *objects;
    const char *cache_dir;      /* .gyre/cache/models: packages by digest */
    struct gy_serving *serving; /* NULL: only recorded; the next server start serves it */
    /* MAY be NULL: where packages come from otherwise (a replica's server). The folder of the one
     * with this digest, which is held against what is in it. */
    gy_status (*package)(void *ctx, struct gy_str model, int64_t version, struct gy_str digest,
                         char ret_dir[GY_MAX_PATH], struct gy_err *err);
    void *package_ctx;
};

/* Who changes it and why. */
struct gy_deploy_by {
    struct gy_str actor;
    struct gy_str reason; /* absent: none */
    int64_t expect;       /* the revision that must be served now, else CONFLICT; 0: whichever */
};

/* Every change is a new frozen revision with its event and lineage, and is served by every loop
 * when the call returns. Where the endpoint is gated, a version must be blessed (and approved) to
 * answer; a shadow, which answers nobody, need only be servable.
 *
 * body: {"model": ref, "project": {endpoint section of gyre.yaml}, "columns": [names of the
 * schema], "gate": {gate section of gyre.yaml}, "canary": share or true, "add": bool}; all but the
 * model may be missing, and the model may stand in project. With a canary the version is added to
 * what is served, under the settings that are served; true: the share that rollout says. It takes
 * the place of a canary that there is, with `add` a place beside it. Fails: NOTFOUND (model;
 * nothing is served to add a canary to), INVALID (configuration), NOTSERVABLE, NOTBLESSED, CONFLICT
 * (an alias path of another endpoint; changed meanwhile; several canaries and no `add`), and as
 * loading does. */
GY_CHECKED gy_status gy_deploy(const struct gy_deployer *d, struct gy_str endpoint,
                               yyjson_val *body, const struct gy_deploy_by *by, struct gy_arena *a,
                               struct gy_revision *ret, struct gy_err *err);
/* Change the share of the only canary, 0..1. Fails: CONFLICT (there is none, or several),
 * NOTBLESSED. */
GY_CHECKED gy_status gy_deploy_traffic(const struct gy_deployer *d, struct gy_str endpoint,
                                       double canary, const struct gy_deploy_by *by,
                                       struct gy_arena *a, struct gy_revision *ret,
                                       struct gy_err *err);
/* Shares by version: those of other canaries stay, the stable version has the rest. A version that
 * takes no part yet (of the stable one's model) comes as a canary; NaN: a canary leaves. Lots move
 * as little as can be (stretch.h). Fails: INVALID (more than all; the stable version named with
 * another share than the rest), CONFLICT (nothing is served), NOTFOUND (no such version), TOOBIG,
 * as deploying does. */
GY_CHECKED gy_status gy_deploy_shares(const struct gy_deployer *d, struct gy_str endpoint,
                                      const struct gy_stretch_share *shares, size_t n,
                                      const struct gy_deploy_by *by, struct gy_arena *a,
                                      struct gy_revision *ret, struct gy_err *err);
/* Ask that model version for every request too, and log what it would have answered; an absent ref
 * ends it. Fails: as gy_deploy, CONFLICT (there is no shadow to end). */
GY_CHECKED gy_status gy_deploy_shadow(const struct gy_deployer *d, struct gy_str endpoint,
                                      struct gy_str ref, const struct gy_deploy_by *by,
                                      struct gy_arena *a, struct gy_revision *ret,
                                      struct gy_err *err);
/* The canary of that version (0: the only one) answers everything and is the stable version from
 * now on, other canaries leave; where its rollout says promote_alias, that alias moves to it in the
 * same transaction. Fails: as traffic, and as gy_model_promote. */
GY_CHECKED gy_status gy_deploy_promote(const struct gy_deployer *d, struct gy_str endpoint,
                                       int64_t version, const struct gy_deploy_by *by,
                                       struct gy_arena *a, struct gy_revision *ret,
                                       struct gy_err *err);
/* Where the settings say `follow: true` and the alias that the model was deployed by has moved
 * since: deploy what it names now, under the settings that are served; canaries leave. A version
 * without a passing verdict is not followed, whatever gate the endpoint has: NOTBLESSED. A rollback
 * is not undone: only the next move of the alias is followed. *ret_moved false: there was nothing
 * to do. */
GY_CHECKED gy_status gy_deploy_follow(const struct gy_deployer *d, struct gy_str endpoint,
                                      const struct gy_deploy_by *by, struct gy_arena *a,
                                      struct gy_revision *ret, bool *ret_moved, struct gy_err *err);
/* A copy of revision `to` (0: as gy_revision_before finds it, so that a canary's rollback gives
 * what was before it). A version that is served as the stable one is not asked for its verdict
 * again. Fails: CONFLICT (there is none), NOTFOUND, NOTBLESSED. */
GY_CHECKED gy_status gy_deploy_rollback(const struct gy_deployer *d, struct gy_str endpoint,
                                        int64_t to, const struct gy_deploy_by *by,
                                        struct gy_arena *a, struct gy_revision *ret,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_deploy_undeploy(const struct gy_deployer *d, struct gy_str endpoint,
                                        struct gy_str actor, struct gy_err *err);
/* Load what the store says is served and publish it (server start, and after each change). What
 * can not be loaded is left out and logged; *ret_failed counts it. */
GY_CHECKED gy_status gy_deploy_load(const struct gy_deployer *d, size_t *ret_failed,
                                    struct gy_err *err);

/* Serve exactly these revisions, which another server made; what is in memory already is not
 * loaded again. *ret_failed: how many can not be loaded (told to the log). Store and objects of d
 * are not looked at. Fails: as gy_serving_publish. */
GY_CHECKED gy_status gy_deploy_serve(const struct gy_deployer *d, struct gy_revision *revisions,
                                     size_t n, size_t *ret_failed, struct gy_err *err);

#endif
