/* SPDX-License-Identifier: Apache-2.0 */
/* Loading and unloading of the model repository extension, for every protocol that has it
 * (repository.c says what they mean). Worker threads; MAY block for a load. req says who asks and
 * whose arena is used; name is a view that ends in NUL. */
#ifndef GY_API_REPOSITORY_H
#define GY_API_REPOSITORY_H

#include "api/app.h"
#include "base/json.h"

/* body: {"parameters": {"config": "..."}}, NULL: nothing. Fails: NOTFOUND, INVALID, UNSUPPORTED,
 * UNAVAILABLE (no server), as gy_deploy. */
GY_CHECKED gy_status gy_api_repository_load(struct gy_app *app, struct gy_request *req,
                                            struct gy_str name, yyjson_val *body,
                                            struct gy_err *err);
/* Fails: NOTFOUND (never deployed), UNAVAILABLE, as gy_deploy_undeploy. */
GY_CHECKED gy_status gy_api_repository_unload(struct gy_app *app, struct gy_request *req,
                                              struct gy_str name, struct gy_err *err);

#endif
