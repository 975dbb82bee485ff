/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/shipped.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/time.h"
#include "serve/record.h"

struct walk {
    const char *dir;
    const struct gy_log_marks *acknowledged;
    int64_t now_us, keep_us;
    uint64_t spare; /* bytes of acknowledged segments that are still there */
    bool removes;   /* the second walk */
    struct gy_shipped *ret;
};

/* A segment with an index, of which the server has each record that can be read. */
static bool is_done(const struct walk *w, const char *path, const unsigned char boot[16],
                    uint32_t ring, struct gy_segment_info *info)
{
    const struct gy_log_mark *mark = gy_log_marks_get(w->acknowledged, boot, ring);
    return gy_segment_sealed(path, info, NULL) == GY_OK &&
           (info->records == 0 || (mark && info->last_seq <= mark->seq));
}

static gy_status remove_segment(const char *path, struct gy_err *err)
{
    char index[GY_MAX_PATH];
    (void)snprintf(index, sizeof index, "%.*s.idx", (int)(strlen(path) - 4), path);
    if ((unlink(index) != 0 && errno != ENOENT) || (unlink(path) != 0 && errno != ENOENT)) {
        return gy_err_sys(err, errno, "removing %s", path);
    }
    return GY_OK;
}

static gy_status look(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    unsigned char boot[16];
    uint32_t ring, number;
    char path[GY_MAX_PATH];
    struct stat st;
    struct gy_segment_info info;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, w->dir, name, err));
    if (stat(path, &st) != 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "stat %s", path);
    }
    uint64_t bytes = (uint64_t)st.st_size;
    bool done = is_done(w, path, boot, ring, &info);
    if (!w->removes) {
        w->spare += done ? bytes : 0;
        return GY_OK;
    }
    int64_t age_us = w->now_us - (int64_t)st.st_mtim.tv_sec * 1000000 - st.st_mtim.tv_nsec / 1000;
    if (!done || (age_us < w->keep_us && w->spare <= GY_SHIPPED_MAX_BYTES)) {
        w->ret->left++;
        w->ret->left_bytes += bytes;
        return GY_OK;
    }
    GY_TRY(remove_segment(path, err));
    w->spare -= bytes < w->spare ? bytes : w->spare;
    w->ret->segments++;
    w->ret->bytes += bytes;
    w->ret->damaged += info.bad > 0;
    return GY_OK;
}

gy_status gy_shipped_remove(const char *dir, const struct gy_log_marks *acknowledged,
                            int64_t keep_ms, struct gy_shipped *ret, struct gy_err *err)
{
    struct walk w = {.dir = dir,
                     .acknowledged = acknowledged,
                     .now_us = gy_now_us(),
                     .keep_us = keep_ms * 1000,
                     .ret = ret};
    *ret = (struct gy_shipped){0};
    if (!gy_path_is_dir(dir)) {
        return GY_OK;
    }
    GY_TRY(gy_dir_each(dir, look, &w, err));
    w.removes = true;
    return gy_dir_each(dir, look, &w, err);
}
