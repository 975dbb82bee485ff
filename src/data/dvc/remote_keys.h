/* SPDX-License-Identifier: Apache-2.0 */
/* What may be said of a remote in a configuration, by the scheme of its url, as `dvc` checks it: so
 * that what Gyre writes `dvc` accepts. Pure functions. */
#ifndef GY_DATA_DVC_REMOTE_KEYS_H
#define GY_DATA_DVC_REMOTE_KEYS_H

#include "base/str.h"

/* A folder or a url whose scheme `dvc` knows. Fails: INVALID. */
GY_CHECKED gy_status gy_dvc_remote_check_url(struct gy_str url, struct gy_err *err);
/* A key of a remote at this url and its value. Fails: INVALID, with the nearest key as hint. */
GY_CHECKED gy_status gy_dvc_remote_check_key(struct gy_str url, const char *key,
                                             struct gy_str value, struct gy_err *err);
/* "s3" of "s3://bucket"; absent: a folder. */
struct gy_str gy_dvc_url_scheme(struct gy_str url);

#endif
