/* SPDX-License-Identifier: Apache-2.0 */
/* Index, loading and unloading of the model repository extension, for every protocol that has it
 * (repository.c says what they mean). Worker threads; MAY block for a load. req says who asks and
 * whose arena is used; name is a view that ends in NUL. */
#ifndef GY_API_REPOSITORY_H
#define GY_API_REPOSITORY_H

#include "api/app.h"
#include "base/json.h"

/* A version of the index: one that answers (READY), or an endpoint that should and could not be
 * loaded (UNAVAILABLE, with the reason). */
struct gy_repository_entry {
    struct gy_str name, version;
    const char *state, *reason;
};
/* All of them, what is served first; ready_only: no others. Views into req's arena. Fails:
 * UNAVAILABLE (no server), NOMEM, as stores do. */
GY_CHECKED gy_status gy_api_repository_index(struct gy_app *app, struct gy_request *req,
                                             bool ready_only, struct gy_repository_entry **ret,
                                             size_t *ret_n, struct gy_err *err);
/* body: {"parameters": {"config": "..."}}, NULL: nothing. Fails: NOTFOUND, INVALID, UNSUPPORTED,
 * UNAVAILABLE (no server), as gy_deploy. */
GY_CHECKED gy_status gy_api_repository_load(struct gy_app *app, struct gy_request *req,
                                            struct gy_str name, yyjson_val *body,
                                            struct gy_err *err);
/* Fails: NOTFOUND (never deployed), UNAVAILABLE, as gy_deploy_undeploy. */
GY_CHECKED gy_status gy_api_repository_unload(struct gy_app *app, struct gy_request *req,
                                              struct gy_str name, struct gy_err *err);

#endif
