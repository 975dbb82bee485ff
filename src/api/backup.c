/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/gyre/v1/backup {"dir": "/abs/folder"}: add a snapshot to an archive in a folder of this
 * machine (serve/archive.h). It takes as long as it takes, so the answer is a stream of JSON lines:
 *   {"phase":"objects","done":120,"total":4000}     now and then
 *   {"snapshot":{...}}  or  {"code","detail","hint"}     the last one */
#include <stdio.h>

#include "api/app.h"
#include "api/body.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "serve/archive.h"
#include "serve/serving.h"
#include "store/actor.h"
#include "store/erasures.h"

#define MAX_DIR ((size_t)GY_MAX_PATH - 256)
#define TELL_EVERY_NS (200 * 1000000LL)

struct telling {
    struct gy_reply *reply;
    int64_t last_ns;
    char phase[64];
};

static gy_status send_line(struct gy_reply *reply, struct gy_buf *line, struct gy_err *err)
{
    gy_buf_add_char(line, '\n');
    GY_TRY(gy_buf_check(line, "the answer", err));
    return gy_reply_write(reply, gy_buf_str(line), err);
}

static gy_status tell(void *ctx, const char *phase, int64_t done, int64_t total, struct gy_err *err)
{
    struct telling *t = ctx;
    int64_t now_ns = gy_mono_ns();
    if (strcmp(t->phase, phase) == 0 && now_ns - t->last_ns < TELL_EVERY_NS) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    struct gy_jw w;
    t->last_ns = now_ns;
    (void)snprintf(t->phase, sizeof t->phase, "%s", phase);
    gy_buf_init(&line, 4 * GY_KIB);
    gy_jw_init(&w, &line);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "phase", phase);
    gy_jw_kv_i64(&w, "done", done);
    gy_jw_kv_i64(&w, "total", total);
    gy_jw_obj_end(&w);
    return send_line(t->reply, &line, err);
}

static void write_info(struct gy_jw *w, const struct gy_archive_info *i, struct gy_str dir)
{
    gy_jw_key(w, "snapshot");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", i->id);
    gy_jw_kv_str(w, "archive", dir);
    gy_api_kv_time(w, "point", i->point_us);
    gy_jw_kv_i64(w, "schema", i->schema);
    gy_jw_kv_i64(w, "rows", i->rows);
    gy_jw_kv_i64(w, "objects", i->objects);
    gy_jw_kv_i64(w, "object_bytes", i->object_bytes);
    gy_jw_kv_i64(w, "new_objects", i->new_objects);
    gy_jw_kv_i64(w, "new_bytes", i->new_bytes);
    gy_jw_kv_i64(w, "segments", i->segments);
    gy_jw_kv_i64(w, "log_bytes", i->log_bytes);
    gy_jw_obj_end(w);
}

gy_status gy_app_drain_log(struct gy_app *app, struct gy_err *err)
{
    int64_t pid = 0;
    char dir[GY_MAX_PATH];
    if (app->home.lock_fd >= 0) {
        return GY_OK; /* since then nobody else could log anything */
    }
    gy_status status = gy_home_lock(&app->home, &pid, err);
    if (status == GY_E_BUSY) {
        gy_err_set(err, GY_E_BUSY, "a server (process %lld) has just been started on this home",
                   (long long)pid);
        return gy_err_hint(err, "run the command again: it will ask the server");
    }
    GY_TRY(status);
    GY_TRY(gy_home_path(&app->home, "log", dir, err));
    struct gy_predlog *log = NULL;
    const struct gy_predlog_options options = {.dir = dir, .n_loops = 1, .sync_ms = 50};
    GY_TRY(gy_predlog_open(&options, &log, err));
    gy_predlog_close(log);
    return GY_OK;
}

static gy_status make(struct gy_app *app, struct gy_request *req, const char *dir,
                      struct telling *t, struct gy_archive_info *ret, struct gy_err *err)
{
    if (!app->serving) {
        GY_TRY(gy_app_drain_log(app, err));
    }
    const struct gy_archive_source src = {.home = &app->home,
                                          .store = app->store,
                                          .objects = app->objects,
                                          .log =
                                              app->serving ? gy_serving_log(app->serving) : NULL};
    GY_TRY(gy_archive_make(&src, dir, tell, t, req->arena, ret, err));
    return gy_ledger_remember_archive(&app->home, dir, err); /* erasures are told to it */
}

static gy_status post_backup(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str dir;
    char path[GY_MAX_PATH];
    GY_TRY(gy_actor_need(req->actor, "a backup", err));
    GY_TRY(gy_api_object(req, 64 * GY_KIB, &doc, err));
    GY_TRY(gy_api_text(yyjson_doc_get_root(doc), "dir", MAX_DIR, &dir, err));
    if (!gy_str_starts(dir, GY_STR("/")) || memchr(dir.p, 0, dir.n)) {
        return gy_err_set(err, GY_E_INVALID, "'dir' must be an absolute path of this machine");
    }
    (void)snprintf(path, sizeof path, "%" GY_STR_F, GY_STR_A(dir));
    const struct gy_header type = {GY_STR("Content-Type"), GY_STR("application/jsonl")};
    GY_TRY(gy_reply_begin(reply, 200, &type, 1, -1, err));

    struct telling t = {.reply = reply};
    struct gy_archive_info info;
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = make(ctx, req, path, &t, &info, &failed);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    struct gy_jw w;
    gy_buf_init(&line, 64 * GY_KIB);
    gy_jw_init(&w, &line);
    gy_jw_obj(&w);
    if (status == GY_OK) {
        write_info(&w, &info, dir);
        gy_log(GY_LOG_INFO, "backup", "a snapshot was made", GY_KV_S("archive", dir),
               GY_KV_S("id", info.id), GY_KV_S("actor", req->actor));
    } else {
        gy_log_err(GY_LOG_ERROR, "backup", "a backup failed", &failed);
        gy_jw_kv_strc(&w, "code", gy_status_name(status));
        gy_jw_kv_strc(&w, "detail", failed.msg);
        gy_jw_kv_strc(&w, "hint", failed.hint);
    }
    gy_jw_obj_end(&w);
    GY_TRY(send_line(reply, &line, err));
    return gy_reply_end(reply, err);
}

static const struct gy_route routes[] = {
    {"POST", "/api/gyre/v1/backup", post_backup, NULL, 64 * GY_KIB,
     "add a snapshot of everything to an archive on this machine", GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
};

gy_status gy_api_backup_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
