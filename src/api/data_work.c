/* SPDX-License-Identifier: Apache-2.0 */
#include "api/data_work.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/time.h"

static atomic_int g_working;

static gy_status remove_stale(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const char *dir = ctx;
    char path[GY_MAX_PATH];
    struct stat st;
    if (!is_dir || gy_path_join(path, sizeof path, dir, name, NULL) != GY_OK ||
        stat(path, &st) != 0 ||
        (int64_t)st.st_mtim.tv_sec > gy_now_us() / 1000000 - GY_WORK_STALE_S) {
        return GY_OK;
    }
    return gy_dir_remove(path, err);
}

gy_status gy_work_turn(struct gy_work *w, struct gy_err *err)
{
    if (atomic_fetch_add(&g_working, 1) >= GY_WORK_MAX) {
        (void)atomic_fetch_sub(&g_working, 1);
        (void)gy_err_set(err, GY_E_BUSY, "%d tables are being worked on", GY_WORK_MAX);
        return gy_err_hint(err, "try again when one of them is done");
    }
    w->counted = true;
    return GY_OK;
}

gy_status gy_work_begin(struct gy_app *app, struct gy_work *w, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    *w = (struct gy_work){.counted = false};
    GY_TRY(gy_home_path(&app->home, "cache/work", dir, err));
    GY_TRY(gy_dir_make_private(dir, err));
    GY_TRY(gy_dir_each(dir, remove_stale, dir, err));
    GY_TRY(gy_path_join(w->dir, sizeof w->dir, dir, "table-XXXXXX", err));
    if (!mkdtemp(w->dir)) {
        gy_status status = gy_err_sys(err, errno, "making a folder in '%s'", dir);
        w->dir[0] = '\0';
        return status;
    }
    return GY_OK;
}

void gy_work_end(struct gy_work *w)
{
    if (w->dir[0] && gy_dir_remove(w->dir, NULL) != GY_OK) {
        /* What stays is removed when it is stale. */
        gy_log(GY_LOG_WARN, "data", "a folder of work is left", GY_KV_S("dir", gy_str_c(w->dir)));
    }
    if (w->counted) {
        (void)atomic_fetch_sub(&g_working, 1);
    }
    *w = (struct gy_work){.counted = false};
}

gy_status gy_work_path(const struct gy_work *w, const char *name, char out[GY_MAX_PATH],
                       struct gy_err *err)
{
    return gy_path_join(out, GY_MAX_PATH, w->dir, name, err);
}

gy_status gy_work_object(struct gy_app *app, struct gy_str sha256, char out[64], int *ret_fd,
                         struct gy_err *err)
{
    char name[GY_SHA256_HEX];
    int64_t size = 0;
    if (!gy_is_hex(sha256, GY_SHA256_HEX - 1)) {
        return gy_err_set(err, GY_E_CORRUPT, "a version names no object");
    }
    memcpy(name, sha256.p, sha256.n);
    name[sha256.n] = '\0';
    GY_TRY(gy_objects_open_fd(app->objects, name, ret_fd, &size, err));
    (void)snprintf(out, 64, "/proc/self/fd/%d", *ret_fd);
    return GY_OK;
}
