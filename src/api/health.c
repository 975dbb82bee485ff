/* SPDX-License-Identifier: Apache-2.0 */
/* Liveness and readiness, and what the process can tell about itself.
 *   GET /api/gyre/v1/health/live   {"live":true}: the process answers
 *   GET /api/gyre/v1/health/ready  200 {"ready":true}, or 503 {"ready":false,"reason":"..."} */
#include "api/health.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "serve/infer.h"
#include "serve/serving.h"

static int64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d) {
        return -1;
    }
    int64_t n = 0;
    while (readdir(d)) {
        n++;
    }
    (void)closedir(d);
    return n - 3; /* ".", ".." and the folder itself */
}

/* Field 20 of /proc/self/stat is the number of threads; the name before it may hold blanks. */
static void read_proc(struct gy_process_stats *ret)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_KIB);
    if (gy_file_read("/proc/self/statm", &b, NULL) == GY_OK) {
        struct gy_str size;
        struct gy_str rest;
        int64_t pages = 0;
        if (gy_str_cut(gy_buf_str(&b), ' ', &size, &rest) &&
            gy_parse_i64(size, 0, INT64_MAX / 65536, &pages, NULL) == GY_OK) {
            ret->virtual_bytes = pages * sysconf(_SC_PAGESIZE);
        }
        if (rest.p && (gy_str_cut(rest, ' ', &rest, &size), true) &&
            gy_parse_i64(rest, 0, INT64_MAX / 65536, &pages, NULL) == GY_OK) {
            ret->rss_bytes = pages * sysconf(_SC_PAGESIZE);
        }
    }
    DIR *d = opendir("/proc/self/task");
    if (d) {
        while (readdir(d)) {
            ret->threads++;
        }
        (void)closedir(d);
        ret->threads -= 2;
    }
}

void gy_process_get_stats(struct gy_process_stats *ret)
{
    memset(ret, 0, sizeof *ret);
    read_proc(ret);
    ret->open_fds = count_fds();
    struct rlimit files;
    ret->max_fds = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (int64_t)files.rlim_cur : -1;
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) == 0) {
        ret->cpu_seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    }
}

void gy_disk_get_stats(const struct gy_app *app, struct gy_disk_stats *ret)
{
    *ret = (struct gy_disk_stats){-1, -1, (int64_t)GY_DISK_MIN_MB * (int64_t)GY_MIB};
    const char *given = getenv("GYRE_DISK_MIN_MB");
    int64_t mb;
    if (given &&
        gy_parse_i64(gy_str_c(given), 0, INT64_MAX / (int64_t)GY_MIB, &mb, NULL) == GY_OK) {
        ret->min_bytes = mb * (int64_t)GY_MIB;
    }
    struct statvfs v;
    if (statvfs(app->home.dir, &v) == 0) {
        ret->free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
        ret->total_bytes = (int64_t)v.f_blocks * (int64_t)v.f_frsize;
    }
}

bool gy_api_ready(const struct gy_app *app, const char **ret_reason)
{
    struct gy_disk_stats disk;
    gy_disk_get_stats(app, &disk);
    const char *reason = NULL;
    if (app->server && gy_server_draining(app->server)) {
        reason = "draining";
    } else if (disk.free_bytes >= 0 && disk.free_bytes < disk.min_bytes) {
        reason = "the disk is nearly full";
    } else if (app->serving) {
        struct gy_predlog_stats log;
        gy_predlog_get_stats(gy_serving_log(app->serving), &log);
        if (log.failing) {
            reason = "the prediction log can not be written";
        }
    }
    *ret_reason = reason ? reason : "";
    return reason == NULL;
}

gy_status gy_inference_errors(struct gy_request *req, struct gy_reply *reply,
                              const struct gy_err *failed, struct gy_err *err)
{
    (void)req;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_infer_error(failed, &out);
    return gy_reply_json(reply, gy_status_http(failed->code), &out, err);
}

static gy_status get_live(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_reply_send(reply, 200, "application/json", GY_STR("{\"live\":true}"), err);
}

static gy_status get_ready(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    (void)req;
    const char *reason;
    bool ready = gy_api_ready(ctx, &reason);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "ready", ready);
    if (!ready) {
        gy_jw_kv_strc(&w, "reason", reason);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, ready ? 200 : 503, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", "/api/gyre/v1/health/live", get_live, NULL, 0, "the process answers", GY_ACCESS_PUBLIC,
     0},
    {"GET", "/api/gyre/v1/health/ready", get_ready, NULL, 0, "new work may be sent here",
     GY_ACCESS_PUBLIC, 0},
    {"GET", "/v2/health/live", get_live, gy_inference_errors, 0, "the process answers",
     GY_ACCESS_PUBLIC, 0},
    {"GET", "/v2/health/ready", get_ready, gy_inference_errors, 0, "new work may be sent here",
     GY_ACCESS_PUBLIC, 0},
};

gy_status gy_api_health_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
