/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's configuration: the levels system, global, .dvc/config and .dvc/config.local, the later ones
 * above the earlier. An ini dialect (configobj): sections `core`, `cache`, `'remote "store"'`; keys
 * are lower-cased. Read whole, edited by splicing lines, so that what people wrote stays as it is.
 */
#ifndef GY_DATA_DVC_CONFIG_H
#define GY_DATA_DVC_CONFIG_H

#include "base/arena.h"
#include "base/limits.h"

enum gy_dvc_level { GY_DVC_SYSTEM, GY_DVC_GLOBAL, GY_DVC_REPO, GY_DVC_LOCAL, GY_DVC_N_LEVELS };

struct gy_dvc_config;

/* root holds `.dvc`. Absent files are empty. Fails: PARSE with file:line, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_config_load(const char *root, struct gy_dvc_config **ret,
                                        struct gy_err *err);
void gy_dvc_config_free(struct gy_dvc_config *c);
GY_DEFINE_AUTO(struct gy_dvc_config *, gy_dvc_config_free);

/* The value that counts: "core", "remote" or "cache", "type", or "remote \"store\"", "url". Absent
 * when no level has it. *ret_level (MAY be NULL): where it stands (relative urls are relative to
 * that file's folder). A view, live as long as c. */
struct gy_str gy_dvc_config_get(const struct gy_dvc_config *c, const char *section, const char *key,
                                enum gy_dvc_level *ret_level);
/* "true", "yes", "on", "1" in any case; absent: standard. */
bool gy_dvc_config_bool(const struct gy_dvc_config *c, const char *section, const char *key,
                        bool standard);
/* The names of all remotes, sorted, in the arena. */
GY_CHECKED gy_status gy_dvc_config_remotes(const struct gy_dvc_config *c, struct gy_arena *a,
                                           struct gy_str **ret, size_t *ret_n, struct gy_err *err);
/* Set (value absent: remove; key NULL: remove the section) in one level's file, durably, comments
 * kept; and in c. */
GY_CHECKED gy_status gy_dvc_config_set(struct gy_dvc_config *c, enum gy_dvc_level level,
                                       const char *section, const char *key, struct gy_str value,
                                       struct gy_err *err);

#endif
