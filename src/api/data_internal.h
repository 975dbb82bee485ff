/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the routes of datasets share. Any thread. */
#ifndef GY_API_DATA_INTERNAL_H
#define GY_API_DATA_INTERNAL_H

#include "api/app.h"
#include "api/body.h"
#include "base/json.h"
#include "base/limits.h"
#include "data/dataset.h"

#define GY_DATASETS_PATH "/api/gyre/v1/datasets"
#define GY_MAX_OBJECT_BYTES ((int64_t)(64 * GY_GIB))

/* The version that {name} and {version} of the path mean: a number, a tag or "latest". In the arena
 * of the request. Fails: NOTFOUND, INVALID. */
GY_CHECKED gy_status gy_api_dataset_of(struct gy_app *app, struct gy_request *req,
                                       struct gy_dataset_version *ret, struct gy_err *err);
/* The same with a number that may be of a deleted version. */
GY_CHECKED gy_status gy_api_dataset_number(struct gy_request *req, struct gy_str *ret_name,
                                           int64_t *ret_version, struct gy_err *err);
/* Bytes that were erased (flow/erase.h) do not come back: the object that was just put goes again.
 * Fails: CONFLICT. */
GY_CHECKED gy_status gy_api_refuse_erased(struct gy_app *app, const char *sha256,
                                          struct gy_err *err);
/* The members of a version, without its schema, in an open object. tags: of any versions of the
 * workspace. */
void gy_api_write_version(struct gy_jw *w, const struct gy_dataset_version *v,
                          const struct gy_dataset_tag *tags, size_t n_tags);
/* "true" and "1" of a query; absent: false. Fails: INVALID. */
GY_CHECKED gy_status gy_api_query_flag(const struct gy_request *req, const char *key, bool *ret,
                                       struct gy_err *err);
/* "12" of a query, from least to most. */
GY_CHECKED gy_status gy_api_query_number(const struct gy_request *req, const char *key,
                                         int64_t absent, int64_t least, int64_t most, int64_t *ret,
                                         struct gy_err *err);

#endif
