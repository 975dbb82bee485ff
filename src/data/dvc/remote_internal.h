/* SPDX-License-Identifier: Apache-2.0 */
/* The places a remote can be at, and what was configured for one. */
#ifndef GY_DATA_DVC_REMOTE_INTERNAL_H
#define GY_DATA_DVC_REMOTE_INTERNAL_H

#include "data/dvc/remote.h"

#define GY_DVC_MAX_INHERIT 8 /* `remote://` below `remote://` */

/* One remote's settings: its own and, below them, those of the remotes it inherits from. */
struct gy_dvc_settings {
    const struct gy_dvc_config *config;
    char sections[GY_DVC_MAX_INHERIT][GY_MAX_NAME + 16];
    size_t n_sections;
    char url[GY_MAX_PATH]; /* resolved */
};

/* Fails: NOTFOUND (a remote that is inherited from), INVALID (in a circle). */
GY_CHECKED gy_status gy_dvc_settings_read(const struct gy_dvc_config *c, const char *name,
                                          struct gy_dvc_settings *ret, struct gy_err *err);
/* Absent: not set. */
struct gy_str gy_dvc_setting(const struct gy_dvc_settings *s, const char *key);
GY_CHECKED gy_status gy_dvc_setting_path(const struct gy_dvc_settings *s, const char *key,
                                         char ret[GY_MAX_PATH], struct gy_err *err);
bool gy_dvc_setting_bool(const struct gy_dvc_settings *s, const char *key, bool standard);

GY_CHECKED gy_status gy_dvc_folder_open(const struct gy_dvc_settings *s,
                                        const struct gy_dvc_remote_ops **ret_ops, void **ret_self,
                                        struct gy_err *err);
GY_CHECKED gy_status gy_dvc_s3_open(const struct gy_dvc_settings *s,
                                    const struct gy_dvc_remote_ops **ret_ops, void **ret_self,
                                    struct gy_err *err);

#endif
