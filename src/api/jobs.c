/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of triggers and jobs.
 *   GET    /triggers?project=                 -> {"triggers":[...]}
 *   PUT    /triggers                          -> 200 {"triggers":[...]}: those of gyre.yaml
 *          {project,folder,triggers:[...]}
 *   POST   /triggers                          -> 200 {"triggers":[...]}: one by hand
 *          {project,folder,trigger:{...}}
 *   POST   /triggers/{name}/fire              -> 202 the job; 401 for "anonymous"
 *          {project?,reason}
 *   POST   /triggers/{name}/enable|disable    -> 200 {project?}
 *   DELETE /triggers/{name}?project=          -> 200
 *   GET    /jobs?project=&state=&limit=       -> {"jobs":[...]}, newest first; state=open
 *   GET    /jobs/{id}                         -> the job with its pipeline runs
 *   GET    /jobs/{id}/log                     -> text, the last MiB of what its process printed
 *   POST   /jobs/{id}/cancel                  -> 202 {reason}; 401 for "anonymous"
 *   POST   /jobs/{id}/tell                    -> 200: the job's own process (flow/job.h)
 *          {attempt,state,step,flow_run,model,digest,verdict,approval,error,run_id,version,
 *           revision}
 *   GET    /flow/runs/{id}/log?stage=         -> text, the last MiB of a stage's log */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "api/app.h"
#include "api/body.h"
#include "api/dispatcher.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/job.h"
#include "flow/records.h"
#include "flow/trigger.h"
#include "store/actor.h"

#define BASE "/api/gyre/v1"
#define MAX_LOG_TAIL ((size_t)GY_MIB)
#define MAX_BODY ((size_t)(8 * GY_MIB))

/* ---- triggers ---- */

struct trigger_call {
    struct gy_str project, folder, name, json, actor, reason;
    bool flag;
    struct gy_arena *arena;
    struct gy_trigger *list;
    size_t n;
    char job[GY_UUID_TEXT];
};

static void write_trigger(struct gy_jw *w, const struct gy_trigger *t)
{
    int64_t cool = t->fired_us > 0 ? t->fired_us + t->spec.cooldown_us : 0;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", t->name);
    gy_jw_kv_str(w, "project", t->project);
    gy_jw_kv_str(w, "folder", t->folder);
    gy_jw_key(w, "spec");
    gy_jw_raw(w, t->spec_json);
    gy_jw_kv_bool(w, "from_file", t->from_file);
    gy_jw_kv_bool(w, "enabled", t->enabled);
    gy_jw_kv_i64(w, "pending", t->pending);
    gy_jw_kv_bool(w, "deferred", t->deferred);
    gy_api_kv_time(w, "fired", t->fired_us);
    gy_api_kv_time(w, "cools_down_until", cool > gy_now_us() ? cool : 0);
    gy_jw_kv_str(w, "actor", t->actor);
    gy_api_kv_time(w, "created", t->created_us);
    gy_jw_obj_end(w);
}

static gy_status reply_triggers(struct gy_reply *reply, const struct trigger_call *c,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "triggers");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c->n; i++) {
        write_trigger(&w, &c->list[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status list_triggers(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trigger_call *c = ctx;
    return gy_trigger_list(db, c->project, c->arena, &c->list, &c->n, err);
}

static gy_status get_triggers(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct trigger_call c = {.project = gy_req_query(req, "project"), .arena = req->arena};
    GY_TRY(gy_store_read(app->store, list_triggers, &c, err));
    return reply_triggers(reply, &c, err);
}

static gy_status replace_triggers(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trigger_call *c = ctx;
    GY_TRY(gy_triggers_replace(db, c->project, c->folder, c->json, c->actor, err));
    return list_triggers(db, c, err);
}

static gy_status put_trigger(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trigger_call *c = ctx;
    GY_TRY(gy_trigger_put(db, c->project, c->folder, c->json, c->actor, err));
    return list_triggers(db, c, err);
}

/* A member as JSON text, in the request's arena. */
static gy_status json_of(struct gy_request *req, yyjson_val *v, struct gy_str *ret,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    struct gy_jw w;
    *ret = GY_STR_NULL;
    if (!v) {
        return GY_OK;
    }
    gy_buf_init(&text, MAX_BODY);
    gy_jw_init(&w, &text);
    gy_jw_val(&w, v);
    GY_TRY(gy_buf_check(&text, "triggers", err));
    *ret = gy_arena_str(req->arena, gy_buf_str(&text));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status store_triggers(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                const char *key, gy_db_fn fn, struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct trigger_call c = {.actor = req->actor, .arena = req->arena};
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_str(root, "project", &c.project, err));
    GY_TRY(gy_json_need_str(root, "folder", &c.folder, err));
    GY_TRY(json_of(req, gy_json_get(root, key), &c.json, err));
    GY_TRY(gy_store_write(app->store, fn, &c, err));
    gy_dispatcher_wake(app->dispatcher);
    return reply_triggers(reply, &c, err);
}

/* Stages are commands of a project's own files: who may make them run must be known. */
static gy_status need_name(const struct gy_request *req, struct gy_err *err)
{
    return gy_actor_need(req->actor, "what runs commands", err);
}

static gy_status put_triggers(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    GY_TRY(need_name(req, err));
    return store_triggers(ctx, req, reply, "triggers", replace_triggers, err);
}

static gy_status post_trigger(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    GY_TRY(need_name(req, err));
    return store_triggers(ctx, req, reply, "trigger", put_trigger, err);
}

static gy_status fire_trigger(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trigger_call *c = ctx;
    return gy_trigger_fire(db, c->project, c->name, c->actor, c->reason, gy_now_us(), c->job, err);
}

static gy_status enable_trigger(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trigger_call *c = ctx;
    return gy_trigger_enable(db, c->project, c->name, c->flag, c->actor, err);
}

static gy_status remove_trigger(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trigger_call *c = ctx;
    return gy_trigger_remove(db, c->project, c->name, c->actor, err);
}

static gy_status reply_name(struct gy_reply *reply, int http, const struct trigger_call *c,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "trigger", c->name);
    if (c->job[0]) {
        gy_jw_kv_strc(&w, "job", c->job);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, http, &out, err);
}

static gy_status on_trigger(void *ctx, struct gy_request *req, struct gy_reply *reply, gy_db_fn fn,
                            bool flag, int http, struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct trigger_call c = {.name = gy_req_param(req, "name"),
                             .project = gy_req_query(req, "project"),
                             .actor = req->actor,
                             .flag = flag};
    GY_TRY(need_name(req, err));
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_str project = GY_STR_NULL;
    GY_TRY(gy_api_text(root, "project", GY_MAX_NAME, &project, err));
    GY_TRY(gy_api_text(root, "reason", GY_JOB_MAX_REASON, &c.reason, err));
    c.project = project.n > 0 ? project : c.project;
    GY_TRY(gy_store_write(app->store, fn, &c, err));
    gy_dispatcher_wake(app->dispatcher);
    return reply_name(reply, http, &c, err);
}

static gy_status post_fire(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    return on_trigger(ctx, req, reply, fire_trigger, true, 202, err);
}

static gy_status post_enable(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    return on_trigger(ctx, req, reply, enable_trigger, true, 200, err);
}

static gy_status post_disable(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    return on_trigger(ctx, req, reply, enable_trigger, false, 200, err);
}

static gy_status delete_trigger(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                struct gy_err *err)
{
    return on_trigger(ctx, req, reply, remove_trigger, false, 200, err);
}

/* ---- jobs ---- */

struct job_call {
    struct gy_str id, project, state, actor, reason;
    int64_t max, attempt;
    struct gy_job_news news;
    struct gy_arena *arena;
    struct gy_job *list;
    size_t n;
    struct gy_job job;
    struct gy_flow_run_record *runs;
    size_t n_runs;
};

static void kv_number(struct gy_jw *w, const char *key, int64_t n)
{
    if (n > 0) {
        gy_jw_kv_i64(w, key, n);
    } else {
        gy_jw_kv_null(w, key);
    }
}

/* Members of an open object. */
static void write_job(struct gy_jw *w, const struct gy_job *j)
{
    gy_jw_kv_str(w, "id", j->id);
    gy_jw_kv_str(w, "name", j->name);
    gy_jw_kv_str(w, "trigger", j->trigger);
    gy_jw_kv_str(w, "project", j->project);
    gy_jw_kv_str(w, "folder", j->folder);
    gy_jw_kv_str(w, "state", j->state);
    gy_jw_kv_str(w, "step", j->step);
    gy_jw_kv_i64(w, "attempt", j->attempt);
    gy_jw_kv_str(w, "reason", j->reason);
    gy_jw_kv_str(w, "error", j->error);
    gy_jw_kv_str(w, "flow_run", j->flow_run);
    gy_jw_kv_str(w, "model", j->model);
    kv_number(w, "version", j->version);
    gy_jw_kv_str(w, "digest", j->digest);
    gy_jw_kv_str(w, "verdict", j->verdict);
    gy_jw_kv_str(w, "approval", j->approval);
    kv_number(w, "revision", j->revision);
    kv_number(w, "event", j->event_seq);
    kv_number(w, "pid", j->pid);
    gy_jw_kv_bool(w, "cancel_asked", j->cancel_asked);
    gy_api_kv_time(w, "lease_until", j->lease_until_us);
    gy_jw_key(w, "spec");
    gy_jw_raw(w, j->spec);
    gy_jw_kv_str(w, "actor", j->actor);
    gy_api_kv_time(w, "created", j->created_us);
    gy_api_kv_time(w, "started", j->started_us);
    gy_api_kv_time(w, "ended", j->ended_us);
}

static gy_status list_jobs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job_call *c = ctx;
    return gy_job_list(db, c->project, c->state, (size_t)c->max, c->arena, &c->list, &c->n, err);
}

static gy_status check_state(struct gy_str state, struct gy_err *err)
{
    static const char *const known[] = {"",     "open",   "queued",  "running",  "waiting_approval",
                                        "done", "failed", "refused", "cancelled"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(state, known[i])) {
            return GY_OK;
        }
    }
    return gy_err_set(
        err, GY_E_INVALID,
        "'state' is open, queued, running, waiting_approval, done, failed, refused or "
        "cancelled");
}

static gy_status get_jobs(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw w;
    struct job_call c = {.project = gy_req_query(req, "project"),
                         .state = gy_req_query(req, "state"),
                         .max = GY_JOB_LIST_MAX,
                         .arena = req->arena};
    struct gy_str limit = gy_req_query(req, "limit");
    if (limit.n > 0 && gy_parse_i64(limit, 1, GY_JOB_LIST_MAX, &c.max, err) != GY_OK) {
        return gy_err_wrap(err, "'limit'");
    }
    GY_TRY(check_state(c.state, err));
    GY_TRY(gy_store_read(app->store, list_jobs, &c, err));
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "jobs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n; i++) {
        gy_jw_obj(&w);
        write_job(&w, &c.list[i]);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status read_job(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job_call *c = ctx;
    GY_TRY(gy_job_get(db, c->id, c->arena, &c->job, err));
    return gy_flow_record_list(db, GY_STR_NULL, c->id, 0, c->arena, &c->runs, &c->n_runs, err);
}

static gy_status reply_job(struct gy_reply *reply, int http, const struct job_call *c,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_job(&w, &c->job);
    gy_jw_key(&w, "runs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c->n_runs; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "id", c->runs[i].id);
        gy_jw_kv_str(&w, "status", c->runs[i].status);
        gy_jw_kv_str(&w, "error", c->runs[i].error);
        gy_api_kv_time(&w, "started", c->runs[i].started_us);
        gy_api_kv_time(&w, "ended", c->runs[i].ended_us);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, http, &out, err);
}

static gy_status get_job(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct job_call c = {.id = gy_req_param(req, "id"), .arena = req->arena};
    GY_TRY(gy_store_read(app->store, read_job, &c, err));
    return reply_job(reply, 200, &c, err);
}

static gy_status cancel_job(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job_call *c = ctx;
    GY_TRY(gy_job_cancel(db, c->id, c->actor, c->reason, gy_now_us(), err));
    return read_job(db, c, err);
}

static gy_status post_cancel(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct job_call c = {.id = gy_req_param(req, "id"), .arena = req->arena, .actor = req->actor};
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    GY_TRY(gy_api_text(yyjson_doc_get_root(doc), "reason", GY_JOB_MAX_REASON, &c.reason, err));
    GY_TRY(gy_store_write(app->store, cancel_job, &c, err));
    gy_dispatcher_wake(app->dispatcher);
    return reply_job(reply, 202, &c, err);
}

static gy_status tell_job(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job_call *c = ctx;
    GY_TRY(gy_job_tell(db, c->id, c->attempt, &c->news, gy_now_us(), err));
    return read_job(db, c, err);
}

static gy_status post_tell(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct job_call c = {.id = gy_req_param(req, "id"), .arena = req->arena};
    GY_TRY(need_name(req, err));
    GY_TRY(gy_api_object(req, MAX_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_i64(root, "attempt", &c.attempt, err));
    GY_TRY(gy_job_news_read(root, &c.news, err));
    GY_TRY(gy_store_write(app->store, tell_job, &c, err));
    return reply_job(reply, 200, &c, err);
}

/* ---- logs ---- */

/* The last bytes of a file of our own making. */
static gy_status reply_tail(struct gy_reply *reply, const char *path, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_LOG_TAIL + 64 * GY_KIB);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? gy_err_set(err, GY_E_NOTFOUND, "there is no log of it here")
                               : gy_err_sys(err, errno, "opening a log");
    }
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)MAX_LOG_TAIL ? size - (off_t)MAX_LOG_TAIL : 0;
    ssize_t got = 1;
    while (got > 0 && text.n < MAX_LOG_TAIL) {
        size_t room = MAX_LOG_TAIL - text.n < 64 * GY_KIB ? MAX_LOG_TAIL - text.n : 64 * GY_KIB;
        char *to = gy_buf_reserve(&text, room);
        got = to ? pread(fd, to, room, from + (off_t)text.n) : 0;
        if (got > 0) {
            gy_buf_commit(&text, (size_t)got);
        }
    }
    (void)close(fd); /* read only */
    GY_TRY(gy_buf_check(&text, "a log", err));
    return gy_reply_send(reply, 200, "text/plain; charset=utf-8", gy_buf_str(&text), err);
}

/* runs/<uuid>/<name of a stage>: nothing else is named by a request. */
static gy_status log_path(struct gy_app *app, struct gy_str id, struct gy_str stage,
                          const char *suffix, char path[GY_MAX_PATH], struct gy_err *err)
{
    unsigned char raw[16];
    char uuid[GY_UUID_TEXT];
    GY_TRY(gy_uuid_parse(id, raw, err));
    gy_uuid_text(raw, uuid);
    if (gy_str_find(stage, '/') != SIZE_MAX || gy_str_find(stage, '\0') != SIZE_MAX ||
        stage.n == 0 || stage.n > GY_MAX_NAME || stage.p[0] == '.') {
        return gy_err_set(err, GY_E_INVALID, "'stage' is not the name of a stage");
    }
    int n = snprintf(path, GY_MAX_PATH, "%s/runs/%s/%" GY_STR_F "%s", app->home.dir, uuid,
                     GY_STR_A(stage), suffix);
    return n > 0 && n < GY_MAX_PATH ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "a path is too long");
}

static gy_status get_job_log(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(log_path(ctx, gy_req_param(req, "id"), GY_STR("log"), "", path, err));
    return reply_tail(reply, path, err);
}

static gy_status get_stage_log(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(log_path(ctx, gy_req_param(req, "id"), gy_req_query(req, "stage"), ".log", path, err));
    return reply_tail(reply, path, err);
}

static const struct gy_route routes[] = {
    {"GET", BASE "/triggers", get_triggers, NULL, 0, "Triggers (project)"},
    {"PUT", BASE "/triggers", put_triggers, NULL, 0,
     "Replace the triggers of a project's gyre.yaml"},
    {"POST", BASE "/triggers", post_trigger, NULL, 0, "Add or change a trigger by hand"},
    {"POST", BASE "/triggers/{name}/fire", post_fire, NULL, 0, "Fire a trigger, as a person",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
    {"POST", BASE "/triggers/{name}/enable", post_enable, NULL, 0, "Let a trigger fire again"},
    {"POST", BASE "/triggers/{name}/disable", post_disable, NULL, 0, "Keep a trigger from firing"},
    {"DELETE", BASE "/triggers/{name}", delete_trigger, NULL, 0, "Remove a trigger"},
    {"GET", BASE "/jobs", get_jobs, NULL, 0, "Jobs, newest first (project, state, limit)"},
    {"GET", BASE "/jobs/{id}", get_job, NULL, 0, "A job with its pipeline runs"},
    {"GET", BASE "/jobs/{id}/log", get_job_log, NULL, 0, "The end of a job's log"},
    {"POST", BASE "/jobs/{id}/cancel", post_cancel, NULL, 0, "Cancel a job, as a person",
     GY_ACCESS_OPERATOR, GY_ROUTE_NAMED},
    {"POST", BASE "/jobs/{id}/tell", post_tell, NULL, 0, "What the process of a job has come to",
     GY_ACCESS_OPERATOR, GY_ROUTE_BULK},
    {"GET", BASE "/flow/runs/{id}/log", get_stage_log, NULL, 0, "The end of a stage's log (stage)"},
};

gy_status gy_api_jobs_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
