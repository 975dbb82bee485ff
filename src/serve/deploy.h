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
};

/* body: {"model": ref, "project": {endpoint section of gyre.yaml}, "columns": [names of the
 * schema], "gate": {gate section of gyre.yaml}}; all but the model may be missing, and the model
 * may stand in project. Fails: NOTFOUND (model), INVALID (configuration), NOTSERVABLE, NOTBLESSED,
 * CONFLICT (an alias path of another endpoint), and as loading does. */
GY_CHECKED gy_status gy_deploy(const struct gy_deployer *d, struct gy_str endpoint,
                               yyjson_val *body, struct gy_str actor, struct gy_arena *a,
                               struct gy_revision *ret, struct gy_err *err);
/* A new revision that copies `to` (0: the one before the current). */
GY_CHECKED gy_status gy_deploy_rollback(const struct gy_deployer *d, struct gy_str endpoint,
                                        int64_t to, struct gy_str actor, struct gy_arena *a,
                                        struct gy_revision *ret, struct gy_err *err);
GY_CHECKED gy_status gy_deploy_undeploy(const struct gy_deployer *d, struct gy_str endpoint,
                                        struct gy_str actor, struct gy_err *err);
/* Load what the store says is served and publish it (server start, and after each change). What
 * can not be loaded is left out and logged; *ret_failed counts it. */
GY_CHECKED gy_status gy_deploy_load(const struct gy_deployer *d, size_t *ret_failed,
                                    struct gy_err *err);

#endif
