/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's configuration: the levels system, global, .dvc/config and .dvc/config.local, the later ones
 * above the earlier. An ini dialect (configobj): sections `core`, `cache`, `'remote "store"'`; keys
 * and names of remotes are lower-cased. Read whole, edited by splicing lines, so that what people
 * wrote, comments too, stays as it is. Not thread safe. */
#ifndef GY_DATA_DVC_CONFIG_H
#define GY_DATA_DVC_CONFIG_H

#include "base/arena.h"
#include "base/limits.h"

#define GY_DVC_MAX_CONFIG                                                              \
    (4 * GY_MIB)             /* a file of configuration; all edits of one run together \
                              */
#define GY_DVC_MAX_KEYS 4096 /* sections and keys of one file */

enum gy_dvc_level { GY_DVC_SYSTEM, GY_DVC_GLOBAL, GY_DVC_REPO, GY_DVC_LOCAL, GY_DVC_N_LEVELS };

struct gy_dvc_config;

/* The folder that holds `.dvc`: dir or the nearest above it. Fails: NOTFOUND with a hint, IO. */
GY_CHECKED gy_status gy_dvc_find_root(const char *dir, char ret[GY_MAX_PATH], struct gy_err *err);

/* root holds `.dvc`; NULL: only the levels outside repositories. Absent files are empty. Folders of
 * the two outer levels: DVC_SYSTEM_CONFIG_DIR, DVC_GLOBAL_CONFIG_DIR, else XDG's. Fails: PARSE with
 * file:line, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_config_load(const char *root, struct gy_dvc_config **ret,
                                        struct gy_err *err);
void gy_dvc_config_free(struct gy_dvc_config *c);
GY_DEFINE_AUTO(struct gy_dvc_config *, gy_dvc_config_free);

/* The value that counts: "core", "remote" or "cache", "type", or "remote \"store\"", "url". Absent
 * when no level has it. *ret_level (MAY be NULL): where it stands. Items of a list are joined by
 * ','. A view, live as long as c. */
struct gy_str gy_dvc_config_get(const struct gy_dvc_config *c, const char *section, const char *key,
                                enum gy_dvc_level *ret_level);
/* The same of one level alone. */
struct gy_str gy_dvc_config_get_at(const struct gy_dvc_config *c, enum gy_dvc_level level,
                                   const char *section, const char *key);
/* Does the level (GY_DVC_N_LEVELS: any) have the section? It may be empty. */
bool gy_dvc_config_has(const struct gy_dvc_config *c, enum gy_dvc_level level, const char *section);
/* "true", "yes", "on", "1" in any case; absent: standard. */
bool gy_dvc_config_bool(const struct gy_dvc_config *c, const char *section, const char *key,
                        bool standard);
/* A value that is a path (cache.dir, a folder's url), absolute: what is relative is so to the
 * folder of the file it stands in, "~" is home. "s3://..." stays as it is. ret is "" when it is
 * absent. Fails: TOOBIG. */
GY_CHECKED gy_status gy_dvc_config_path(const struct gy_dvc_config *c, const char *section,
                                        const char *key, char ret[GY_MAX_PATH], struct gy_err *err);
/* The other way round: how `dvc` writes a path or url that was given in folder cwd: "s3://...",
 * "~/x" and absolute ones as they are, others relative to the folder of the level's file. */
GY_CHECKED gy_status gy_dvc_config_path_text(const struct gy_dvc_config *c, enum gy_dvc_level level,
                                             const char *cwd, const char *path,
                                             char ret[GY_MAX_PATH], struct gy_err *err);
/* Is the value of this key such a path? */
bool gy_dvc_config_is_path(const char *section, const char *key);
/* The file of a level; NULL for those of a repository without one. */
const char *gy_dvc_config_file(const struct gy_dvc_config *c, enum gy_dvc_level level);

/* The names of all remotes of a level (GY_DVC_N_LEVELS: of all, as they were met from system to
 * local, each once), in the arena. */
GY_CHECKED gy_status gy_dvc_config_remotes(const struct gy_dvc_config *c, enum gy_dvc_level level,
                                           struct gy_arena *a, struct gy_str **ret, size_t *ret_n,
                                           struct gy_err *err);
/* The n-th key of a section over all levels, each once; absent behind the last. */
struct gy_str gy_dvc_config_key(const struct gy_dvc_config *c, const char *section, size_t n);

/* Set (value absent: remove; key NULL: remove the section) in one level's file, durably, comments
 * kept; and in c. Sections and keys are put where `dvc` puts them. What is not there needs no
 * removal. Fails: INVALID (a text that the dialect can not hold, a level without a file), PARSE,
 * TOOBIG, IO, DENIED, NOMEM. */
GY_CHECKED gy_status gy_dvc_config_set(struct gy_dvc_config *c, enum gy_dvc_level level,
                                       const char *section, const char *key, struct gy_str value,
                                       struct gy_err *err);
/* Give a section of one level another name, in its place. Fails: NOTFOUND, and as above. */
GY_CHECKED gy_status gy_dvc_config_rename(struct gy_dvc_config *c, enum gy_dvc_level level,
                                          const char *section, const char *to, struct gy_err *err);

#endif
