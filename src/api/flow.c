/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of pipeline runs. `gyre run` executes the stages where the project is and tells here what
 * happened.
 *   POST /flow/runs                      -> 201 {id,status,cancelled:[id],done:[stage]}
 *        {id?,project,folder,code_revision,targets,name?,job?,place?}
 *        place says that the caller holds the run.lock there: runs that were left running by a kill
 *        are ended as cancelled and named; done: what earlier attempts of the job have done
 *   PUT  /flow/runs/{id}/steps/{stage}   -> 200
 *        {position,status,why,cmd,exit_code,started_us,ended_us,log,error,deps,params,outs}
 *   POST /flow/runs/{id}/end             -> 200 {status,error}
 *   GET  /flow/runs?project=&job=&limit= -> {"runs":[...]}, newest first
 *   GET  /flow/runs/{id}                 -> the run with its steps */
#include "api/app.h"
#include "api/body.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/records.h"

#define BASE "/api/gyre/v1"
#define MAX_PART ((size_t)(8 * GY_MIB)) /* deps, params or outs of a step */

/* A part of the body as JSON text, in the arena; the absent string when it is not there. */
static gy_status part_of(struct gy_request *req, yyjson_val *root, const char *key, size_t max,
                         struct gy_str *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(root, key);
    *ret = GY_STR_NULL;
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, max);
    gy_jw_init(&w, &text);
    gy_jw_val(&w, v);
    GY_TRY(gy_buf_check(&text, key, err));
    *ret = gy_arena_str(req->arena, gy_buf_str(&text));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status reply_id(struct gy_reply *reply, int http, struct gy_str id, struct gy_str status,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "id", id);
    gy_jw_kv_str(&w, "status", status);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, http, &out, err);
}

struct start_call {
    struct gy_flow_run_record r;
    char id[GY_UUID_TEXT];
    struct gy_arena *arena;
    struct gy_str *cancelled, *done;
    size_t n_cancelled, n_done;
};

static gy_status start_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct start_call *c = ctx;
    GY_TRY(gy_flow_record_start(db, &c->r, c->id, err));
    if (c->r.place.n > 0) {
        GY_TRY(gy_flow_record_abandon(db, c->r.place, GY_STR_NULL, gy_str_c(c->id), c->r.actor,
                                      c->arena, &c->cancelled, &c->n_cancelled, err));
    }
    if (c->r.job.n > 0) {
        GY_TRY(gy_flow_record_job_done(db, c->r.job, c->arena, &c->done, &c->n_done, err));
    }
    return GY_OK;
}

static void write_texts(struct gy_jw *w, const char *key, const struct gy_str *list, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_str(w, list[i]);
    }
    gy_jw_arr_end(w);
}

static gy_status reply_started(struct gy_reply *reply, const struct start_call *c,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "id", c->id);
    gy_jw_kv_strc(&w, "status", "running");
    write_texts(&w, "cancelled", c->cancelled, c->n_cancelled);
    write_texts(&w, "done", c->done, c->n_done);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 201, &out, err);
}

static gy_status post_run(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct start_call call = {.r = {.actor = req->actor, .started_us = gy_now_us()},
                              .arena = req->arena};
    GY_TRY(gy_json_need_str(root, "project", &call.r.project, err));
    GY_TRY(gy_api_text(root, "id", GY_MAX_NAME, &call.r.id, err));
    GY_TRY(gy_api_text(root, "folder", GY_MAX_PATH, &call.r.folder, err));
    GY_TRY(gy_api_text(root, "code_revision", GY_MAX_NAME, &call.r.code_revision, err));
    GY_TRY(gy_api_text(root, "name", GY_MAX_NAME, &call.r.name, err));
    GY_TRY(gy_api_text(root, "job", GY_MAX_NAME, &call.r.job, err));
    GY_TRY(gy_api_text(root, "place", GY_MAX_PATH, &call.r.place, err));
    GY_TRY(part_of(req, root, "targets", GY_API_MAX_TEXT, &call.r.targets_json, err));
    GY_TRY(gy_store_write(app->store, start_closure, &call, err));
    return reply_started(reply, &call, err);
}

struct step_call {
    struct gy_flow_step_record s;
    struct gy_str actor;
};

static gy_status step_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct step_call *c = ctx;
    return gy_flow_record_step(db, &c->s, c->actor, err);
}

static gy_status put_step(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct step_call call = {.actor = req->actor};
    struct gy_flow_step_record *s = &call.s;
    s->run_id = gy_req_param(req, "id");
    s->stage = gy_req_param(req, "stage");
    GY_TRY(gy_json_need_str(root, "status", &s->status, err));
    s->position = gy_json_i64(root, "position", 0);
    GY_TRY(gy_api_text(root, "why", GY_API_MAX_TEXT, &s->why, err));
    GY_TRY(gy_api_text(root, "cmd", GY_MIB, &s->cmd, err));
    s->exit_code = gy_json_i64(root, "exit_code", 0);
    s->started_us = gy_json_i64(root, "started_us", 0);
    s->ended_us = gy_json_i64(root, "ended_us", 0);
    GY_TRY(gy_api_text(root, "log", GY_MAX_PATH, &s->log, err));
    GY_TRY(gy_api_text(root, "error", GY_API_MAX_TEXT, &s->error, err));
    GY_TRY(part_of(req, root, "deps", MAX_PART, &s->deps_json, err));
    GY_TRY(part_of(req, root, "params", MAX_PART, &s->params_json, err));
    GY_TRY(part_of(req, root, "outs", MAX_PART, &s->outs_json, err));
    GY_TRY(gy_store_write(app->store, step_closure, &call, err));
    return reply_id(reply, 200, s->run_id, s->status, err);
}

struct end_call {
    struct gy_str id, status, error, actor;
};

static gy_status end_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct end_call *c = ctx;
    return gy_flow_record_end(db, c->id, c->status, c->error, c->actor, err);
}

static gy_status post_end(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct end_call call = {.id = gy_req_param(req, "id"), .actor = req->actor};
    GY_TRY(gy_api_text(root, "error", GY_API_MAX_TEXT, &call.error, err));
    GY_TRY(gy_json_need_str(root, "status", &call.status, err));
    GY_TRY(gy_store_write(app->store, end_closure, &call, err));
    return reply_id(reply, 200, call.id, call.status, err);
}

/* Members of an open object. */
static void write_run(struct gy_jw *w, const struct gy_flow_run_record *r)
{
    gy_jw_kv_str(w, "id", r->id);
    gy_jw_kv_str(w, "name", r->name);
    gy_jw_kv_str(w, "job", r->job);
    gy_jw_kv_str(w, "project", r->project);
    gy_jw_kv_str(w, "folder", r->folder);
    gy_jw_kv_str(w, "code_revision", r->code_revision);
    gy_jw_kv_str(w, "status", r->status);
    gy_jw_key(w, "targets");
    gy_jw_raw(w, r->targets_json);
    gy_jw_kv_str(w, "error", r->error);
    gy_jw_kv_str(w, "actor", r->actor);
    gy_api_kv_time(w, "started", r->started_us);
    gy_api_kv_time(w, "ended", r->ended_us);
}

struct list_call {
    struct gy_str project, job;
    int64_t max;
    struct gy_arena *arena;
    struct gy_flow_run_record *list;
    size_t n;
};

static gy_status list_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    return gy_flow_record_list(db, c->project, c->job, (size_t)c->max, c->arena, &c->list, &c->n,
                               err);
}

static gy_status get_runs(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct list_call call = {.project = gy_req_query(req, "project"),
                             .job = gy_req_query(req, "job"),
                             .max = GY_FLOW_LIST_MAX,
                             .arena = req->arena};
    struct gy_str limit = gy_req_query(req, "limit");
    if (limit.n > 0 && gy_parse_i64(limit, 1, GY_FLOW_LIST_MAX, &call.max, err) != GY_OK) {
        return gy_err_wrap(err, "'limit'");
    }
    GY_TRY(gy_store_read(app->store, list_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "runs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n; i++) {
        gy_jw_obj(&w);
        write_run(&w, &call.list[i]);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct get_call {
    struct gy_str id;
    struct gy_arena *arena;
    struct gy_flow_run_record run;
    struct gy_flow_step_record *steps;
    size_t n_steps;
};

static gy_status get_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct get_call *c = ctx;
    bool found = false;
    GY_TRY(gy_flow_record_get(db, c->id, c->arena, &found, &c->run, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "no pipeline run '%" GY_STR_F "'", GY_STR_A(c->id));
    }
    return gy_flow_record_steps(db, c->id, c->arena, &c->steps, &c->n_steps, err);
}

static void write_step(struct gy_jw *w, const struct gy_flow_step_record *s)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "stage", s->stage);
    gy_jw_kv_str(w, "status", s->status);
    gy_jw_kv_str(w, "why", s->why);
    gy_jw_kv_str(w, "cmd", s->cmd);
    gy_jw_kv_i64(w, "exit_code", s->exit_code);
    gy_api_kv_time(w, "started", s->started_us);
    gy_api_kv_time(w, "ended", s->ended_us);
    gy_jw_kv_str(w, "log", s->log);
    gy_jw_kv_str(w, "error", s->error);
    gy_jw_key(w, "deps");
    gy_jw_raw(w, s->deps_json);
    gy_jw_key(w, "params");
    gy_jw_raw(w, s->params_json);
    gy_jw_key(w, "outs");
    gy_jw_raw(w, s->outs_json);
    gy_jw_obj_end(w);
}

static gy_status get_run(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct get_call call = {.id = gy_req_param(req, "id"), .arena = req->arena};
    GY_TRY(gy_store_read(app->store, get_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_run(&w, &call.run);
    gy_jw_key(&w, "steps");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n_steps; i++) {
        write_step(&w, &call.steps[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/flow/runs", post_run, NULL, 0, "Start the record of a pipeline run"},
    {"GET", BASE "/flow/runs", get_runs, NULL, 0, "Pipeline runs, newest first"},
    {"GET", BASE "/flow/runs/{id}", get_run, NULL, 0, "A pipeline run with its steps"},
    {"PUT", BASE "/flow/runs/{id}/steps/{stage}", put_step, NULL, 0,
     "What a stage of a run came to"},
    {"POST", BASE "/flow/runs/{id}/end", post_end, NULL, 0, "End the record of a pipeline run"},
};

gy_status gy_api_flow_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
