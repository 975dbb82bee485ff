/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a gy_dvc_repo, for the files of data/dvc that are part of it. */
#ifndef GY_DATA_DVC_REPO_INTERNAL_H
#define GY_DATA_DVC_REPO_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "base/map.h"
#include "data/dvc/repo.h"

/* Of an object that is whole, but perhaps not on disk: DVC hashes it before it trusts it. */
#define GY_DVC_UNSETTLED 0644

struct gy_dvc_ignore;
struct gy_dvc_stats;

struct gy_dvc_repo {
    char root[GY_MAX_PATH];
    char dvc[GY_MAX_PATH];   /* root/.dvc */
    char cache[GY_MAX_PATH]; /* cache.dir */
    struct gy_dvc_config *config;
    struct gy_dvc_ignore *ignore; /* made when first asked for */
    struct gy_dvc_stats *stats;   /* opened when first asked for */
    int lock_fd;                  /* -1: not held */
    int root_fd;
    bool bare;       /* there is no .dvc: nothing is written */
    mode_t dir_mode; /* of folders in the cache: 0777, or 02775 with cache.shared */
    mode_t umask;
    bool shared; /* cache.shared = group */
    pthread_mutex_t fresh_mutex;
    struct gy_map fresh; /* objects that wait for gy_dvc_repo_settle, by path under the cache */
    uint64_t tmp_seed;   /* makes names of temporary files differ */
};

/* mkdir -p of a folder of the cache, with its mode. Thread safe. */
GY_CHECKED gy_status gy_dvc_cache_mkdir(const struct gy_dvc_repo *r, const char *path,
                                        struct gy_err *err);
/* The object at path under the cache is whole, but not yet on disk. Thread safe. */
GY_CHECKED gy_status gy_dvc_fresh_add(struct gy_dvc_repo *r, const char *path, struct gy_err *err);
bool gy_dvc_fresh_has(struct gy_dvc_repo *r, const char *path);
/* ".<16 hex digits>.tmp". Thread safe. */
void gy_dvc_tmp_name(const struct gy_dvc_repo *r, char ret[32]);

#endif
