/* SPDX-License-Identifier: Apache-2.0 */
/* People's data, for admins (flow/erase.h, docs/erasure.md). The id of a subject comes in the body,
 * never in a path: paths are logged. Long work answers with JSON lines: {"phase","done","total"}
 * now and then, {"finding":{"kind","where","n","state","note"}} for each place, {"record":{"kind",
 * "where","data"}} for each thing that is written out, and last {"result":{...}} or
 * {"code","detail","hint"}.
 *   POST /subjects/find    {"id","possible":false,"dataset":null}
 *   POST /subjects/export  the same
 *   POST /subjects/erase   the same and "reason"; "open": true leaves the erasure running, for who
 * has more to erase elsewhere GET  /subjects/erasures, GET /subjects/erasures/{id} POST
 * /subjects/erasures/{id}/done {"items":[{"kind","item","n"}]} GET  /subjects/holds, POST
 * /subjects/holds, POST /subjects/holds/release
 *                          {"id" or "dataset","reason"} */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "api/app.h"
#include "api/body.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "flow/erase.h"
#include "serve/serving.h"
#include "store/actor.h"
#include "store/scope.h"

#define BASE "/api/gyre/v1/subjects"
#define BODY_BYTES (4 * GY_MIB)
#define ERASE_ARENA (2 * GY_GIB)
#define TELL_EVERY_NS (200 * 1000000LL)
#define MAX_RECORD (512 * GY_MIB)

/* ---- lines ---- */

struct lines {
    struct gy_reply *reply;
    struct gy_buf line;
    int64_t last_ns;
    char phase[64];
};

static gy_status send_line(struct lines *l, struct gy_err *err)
{
    gy_buf_add_char(&l->line, '\n');
    GY_TRY(gy_buf_check(&l->line, "the answer", err));
    return gy_reply_write(l->reply, gy_buf_str(&l->line), err);
}

static void begin_line(struct lines *l, struct gy_jw *w)
{
    gy_buf_reset(&l->line);
    gy_jw_init(w, &l->line);
    gy_jw_obj(w);
}

static gy_status tell_progress(void *ctx, const char *phase, int64_t done, int64_t total,
                               struct gy_err *err)
{
    struct lines *l = ctx;
    struct gy_jw w;
    int64_t now_ns = gy_mono_ns();
    if (strcmp(l->phase, phase) == 0 && now_ns - l->last_ns < TELL_EVERY_NS) {
        return GY_OK;
    }
    l->last_ns = now_ns;
    (void)snprintf(l->phase, sizeof l->phase, "%s", phase);
    begin_line(l, &w);
    gy_jw_kv_strc(&w, "phase", phase);
    gy_jw_kv_i64(&w, "done", done);
    gy_jw_kv_i64(&w, "total", total);
    gy_jw_obj_end(&w);
    return send_line(l, err);
}

static gy_status tell_finding(void *ctx, const struct gy_erase_finding *f, struct gy_err *err)
{
    struct lines *l = ctx;
    struct gy_jw w;
    begin_line(l, &w);
    gy_jw_key(&w, "finding");
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "kind", f->kind);
    gy_jw_kv_str(&w, "where", f->where);
    gy_jw_kv_i64(&w, "n", f->n);
    gy_jw_kv_strc(&w, "state", f->state);
    gy_jw_kv_str(&w, "note", f->note);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return send_line(l, err);
}

static gy_status tell_record(void *ctx, const char *kind, struct gy_str where, struct gy_str json,
                             struct gy_err *err)
{
    struct lines *l = ctx;
    struct gy_jw w;
    begin_line(l, &w);
    gy_jw_key(&w, "record");
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "kind", kind);
    gy_jw_kv_str(&w, "where", where);
    gy_jw_key(&w, "data");
    gy_jw_raw(&w, json);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return send_line(l, err);
}

/* ---- what is asked ---- */

struct call {
    struct gy_app *app;
    struct gy_request *req;
    enum gy_erase_mode mode;
    yyjson_doc *doc;
    struct gy_str reason;
    bool open;
    struct gy_subject subject;
    struct gy_erasure_key key;
    char hash_hex[GY_ERASURE_HASH_HEX];
    char audited[128]; /* what the audit log calls it */
    int lock_fd;
    struct gy_arena arena;
    struct gy_erase_options o;
    struct gy_erase_source src;
    struct gy_erasure erasure;
    bool resumed;
    struct lines lines;
};

static gy_status home_folder(const struct gy_app *app, char out[GY_MAX_PATH], struct gy_err *err)
{
    return gy_home_path(&app->home, GY_ERASURES_DIR, out, err);
}

static gy_status open_key(struct gy_app *app, struct gy_erasure_key *ret, struct gy_err *err)
{
    char folder[GY_MAX_PATH];
    GY_TRY(home_folder(app, folder, err));
    return gy_erasure_key_open(folder, true, ret, err);
}

static void hash_of(const struct gy_erasure_key *key, struct gy_str id,
                    char out[GY_ERASURE_HASH_HEX])
{
    unsigned char hash[GY_ERASURE_HASH];
    gy_erasure_hash(key, id, hash);
    gy_hex(hash, sizeof hash, out);
}

static gy_status read_reason(yyjson_val *body, const struct gy_subject *s, struct gy_str *ret,
                             struct gy_err *err)
{
    GY_TRY(gy_api_text(body, "reason", GY_ERASURE_MAX_REASON, ret, err));
    *ret = gy_str_trim(*ret);
    if (ret->n == 0) {
        return gy_err_set(err, GY_E_INVALID, "a reason is wanted: 'reason'");
    }
    if (s && gy_subject_in(s, *ret, NULL, NULL)) {
        return gy_err_set(err, GY_E_INVALID,
                          "the reason is kept for good: it must not name the subject");
    }
    return GY_OK;
}

static gy_status read_call(struct call *c, struct gy_err *err)
{
    struct gy_str id;
    GY_TRY(gy_actor_need(c->req->actor, "people's data", err));
    GY_TRY(gy_api_object(c->req, BODY_BYTES, &c->doc, err));
    yyjson_val *body = yyjson_doc_get_root(c->doc);
    GY_TRY(gy_json_need_str(body, "id", &id, err));
    GY_TRY(gy_subject_init(&c->subject, id, err));
    GY_TRY(gy_api_text(body, "dataset", GY_MAX_NAME, &c->o.dataset, err));
    c->o.possible = gy_json_bool(body, "possible", false);
    c->open = gy_json_bool(body, "open", false);
    if (c->mode == GY_ERASE_TAKE_OUT) {
        GY_TRY(read_reason(body, &c->subject, &c->reason, err));
    }
    GY_TRY(open_key(c->app, &c->key, err));
    c->o.key = &c->key; /* of hashed columns, also when they are only looked for */
    hash_of(&c->key, c->subject.id, c->hash_hex);
    (void)snprintf(c->audited, sizeof c->audited, "subject=%.16s", c->hash_hex);
    if (gy_scope_current()) {
        gy_scope_current()->subject = gy_str_c(c->audited);
    }
    return GY_OK;
}

/* One at a time: two would rewrite the same segments. */
static gy_status take_lock(struct call *c, struct gy_err *err)
{
    char folder[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_TRY(home_folder(c->app, folder, err));
    GY_TRY(gy_path_join(path, sizeof path, folder, GY_ERASURE_KEY_FILE, err));
    c->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c->lock_fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    return flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_BUSY, "another erasure is under way on this home");
}

/* ---- holds ---- */

struct hold_call {
    const char *kind;
    struct gy_str target, reason, actor;
};

static gy_status check_hold(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct hold_call *h = ctx;
    return gy_hold_check(db, h->kind, h->target, err);
}

/* A dataset that has the subject may be held as well. */
static gy_status check_dataset(void *ctx, const struct gy_erase_finding *f, struct gy_err *err)
{
    struct call *c = ctx;
    struct hold_call h = {.kind = "dataset"};
    struct gy_str version;
    if (strcmp(f->kind, "dataset") != 0 || strcmp(f->state, "found") != 0) {
        return GY_OK;
    }
    (void)gy_str_cut(f->where, '@', &h.target, &version); /* names have no '@' */
    return gy_store_read(c->app->store, check_hold, &h, err);
}

/* Looks at everything first, so that a refused erasure has changed nothing. */
static gy_status check_holds(struct call *c, struct gy_err *err)
{
    struct hold_call h = {.kind = "subject", .target = gy_str_c(c->hash_hex)};
    struct gy_erase_options look = c->o;
    struct gy_erase_result found;
    GY_TRY(gy_store_read(c->app->store, check_hold, &h, err));
    look.mode = GY_ERASE_FIND;
    look.found = check_dataset;
    look.record = NULL;
    look.progress = NULL;
    look.ctx = c;
    return gy_erase_run(&c->src, &look, &c->arena, &found, err);
}

/* ---- the work ---- */

static gy_status begin_erasure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    const struct gy_erasure e = {.subject_hash = gy_str_c(c->hash_hex),
                                 .reason = c->reason,
                                 .actor = c->req->actor,
                                 .dataset = c->o.dataset,
                                 .possible = c->o.possible};
    return gy_erasure_begin(db, &e, &c->arena, &c->erasure, &c->resumed, err);
}

static gy_status finish_erasure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct gy_erasure *e = ctx;
    return gy_erasure_finish(db, e->id, err);
}

struct ledgers {
    const struct gy_erasure_key *key;
    const struct gy_erasure *e;
    gy_status (*found)(void *ctx, const struct gy_erase_finding *f, struct gy_err *err);
    void *ctx;
};

/* An archive that can not be reached now is told: the ledger is in the home, too. */
static gy_status write_ledger(void *ctx, const char *dir, struct gy_err *err)
{
    const struct ledgers *l = ctx;
    char folder[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_path_is_dir(dir)
                           ? gy_path_join(folder, sizeof folder, dir, GY_ERASURES_DIR, &why)
                           : gy_err_set(&why, GY_E_NOTFOUND, "it is not there");
    if (status == GY_OK) {
        status = gy_ledger_write(folder, l->key, l->e, &why);
    }
    if (status == GY_OK || !l->found) {
        return GY_OK;
    }
    char note[sizeof why.msg + 128];
    (void)snprintf(note, sizeof note,
                   "%s: the ledger was not written there; gyre restore --erasures takes the home's",
                   why.msg);
    const struct gy_erase_finding f = {"backup", gy_str_c(dir), 0, "told", gy_str_c(note)};
    return l->found(l->ctx, &f, err);
}

static gy_status write_ledgers(struct gy_app *app, struct ledgers *l, struct gy_err *err)
{
    char folder[GY_MAX_PATH];
    GY_TRY(home_folder(app, folder, err));
    GY_TRY(gy_ledger_write(folder, l->key, l->e, err));
    return gy_ledger_each_archive(&app->home, write_ledger, l, err);
}

/* The engine writes many times; the audit log has the beginning and the end. */
static gy_status run_quietly(struct call *c, struct gy_erase_result *ret, struct gy_err *err)
{
    struct gy_scope quiet = {.workspace = GY_STR(GY_WORKSPACE_DEFAULT), .actor = c->req->actor};
    gy_scope_enter(&quiet);
    gy_status status = gy_erase_run(&c->src, &c->o, &c->arena, ret, err);
    gy_scope_leave(&quiet);
    return status;
}

static gy_status look_written_down(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)db;
    (void)ctx;
    (void)err;
    return GY_OK; /* the scope writes the row */
}

static gy_status work(struct call *c, struct gy_erase_result *ret, struct gy_err *err)
{
    if (!c->app->serving) {
        GY_TRY(gy_app_drain_log(c->app, err));
    }
    if (c->mode != GY_ERASE_TAKE_OUT) {
        GY_TRY(gy_store_write(c->app->store, look_written_down, NULL, err));
        return run_quietly(c, ret, err);
    }
    GY_TRY(take_lock(c, err));
    GY_TRY(check_holds(c, err));
    GY_TRY(gy_store_write(c->app->store, begin_erasure, c, err));
    size_t n = strlen(c->audited);
    (void)snprintf(c->audited + n, sizeof c->audited - n, " erasure=%" GY_STR_F,
                   GY_STR_A(c->erasure.id));
    if (gy_scope_current()) {
        gy_scope_current()->subject = gy_str_c(c->audited);
    }
    c->o.erasure = &c->erasure;
    c->o.actor = c->req->actor;
    GY_TRY(run_quietly(c, ret, err));
    struct ledgers l = {&c->key, &c->erasure, tell_finding, &c->lines};
    GY_TRY(write_ledgers(c->app, &l, err));
    return c->open ? GY_OK : gy_store_write(c->app->store, finish_erasure, &c->erasure, err);
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

static void write_result(struct call *c, const struct gy_erase_result *r, struct gy_jw *w)
{
    gy_jw_key(w, "result");
    gy_jw_obj(w);
    if (c->mode == GY_ERASE_TAKE_OUT) {
        gy_jw_kv_str(w, "erasure", c->erasure.id);
        gy_jw_kv_bool(w, "resumed", c->resumed);
        gy_jw_kv_strc(w, "state", c->open ? "running" : "done");
    }
    gy_jw_kv_i64(w, "places", r->places);
    gy_jw_kv_i64(w, "items", r->items);
    gy_jw_kv_i64(w, "possible", r->possible);
    write_texts(w, "columns", r->columns, r->n_columns);
    write_texts(w, "md5", r->md5, r->n_md5);
    gy_jw_obj_end(w);
}

static gy_status answer(struct call *c, struct gy_reply *reply, struct gy_err *err)
{
    const struct gy_header type = {GY_STR("Content-Type"), GY_STR("application/jsonl")};
    struct gy_erase_result result;
    struct gy_err failed = GY_ERR_INIT;
    struct gy_jw w;
    GY_TRY(gy_reply_begin(reply, 200, &type, 1, -1, err));
    gy_status status = work(c, &result, &failed);
    begin_line(&c->lines, &w);
    if (status == GY_OK) {
        write_result(c, &result, &w);
        if (c->mode == GY_ERASE_TAKE_OUT) {
            gy_log(GY_LOG_INFO, "subjects", "a subject was erased",
                   GY_KV_S("erasure", c->erasure.id), GY_KV_I("places", result.places),
                   GY_KV_S("actor", c->req->actor));
        }
    } else {
        gy_log_err(GY_LOG_ERROR, "subjects", "people's data could not be worked on", &failed);
        gy_jw_kv_strc(&w, "code", gy_status_name(status));
        gy_jw_kv_strc(&w, "detail", failed.msg);
        gy_jw_kv_strc(&w, "hint", failed.hint);
    }
    gy_jw_obj_end(&w);
    GY_TRY(send_line(&c->lines, err));
    return gy_reply_end(reply, err);
}

static gy_status serve(struct gy_app *app, struct gy_request *req, struct gy_reply *reply,
                       enum gy_erase_mode mode, struct gy_err *err)
{
    struct call c = {.app = app, .req = req, .mode = mode, .lock_fd = -1};
    c.lines.reply = reply;
    gy_buf_init(&c.lines.line, MAX_RECORD);
    gy_arena_init(&c.arena, ERASE_ARENA);
    gy_status status = read_call(&c, err);
    if (status == GY_OK) {
        c.src = (struct gy_erase_source){&app->home, app->store, app->objects,
                                         app->serving ? gy_serving_log(app->serving) : NULL};
        c.o.mode = mode;
        c.o.subject = &c.subject;
        c.o.found = tell_finding;
        c.o.record = tell_record;
        c.o.progress = tell_progress;
        c.o.ctx = &c.lines;
        status = answer(&c, reply, err);
    }
    if (c.lock_fd >= 0) {
        (void)close(c.lock_fd); /* unlocks */
    }
    gy_json_free(c.doc);
    gy_arena_done(&c.arena);
    gy_buf_done(&c.lines.line);
    return status;
}

static gy_status post_find(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    return serve(ctx, req, reply, GY_ERASE_FIND, err);
}

static gy_status post_export(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    return serve(ctx, req, reply, GY_ERASE_EXPORT, err);
}

static gy_status post_erase(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    return serve(ctx, req, reply, GY_ERASE_TAKE_OUT, err);
}

/* ---- what was erased ---- */

struct list_call {
    struct gy_str id; /* absent: all */
    struct gy_arena *a;
    struct gy_erasure one, *list;
    size_t n;
    struct gy_erasure_item *items;
    size_t n_items;
};

static gy_status read_erasures(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    if (!c->id.p) {
        return gy_erasure_list(db, GY_STR_NULL, 1000, c->a, &c->list, &c->n, err);
    }
    c->list = &c->one;
    c->n = 1;
    GY_TRY(gy_erasure_get(db, c->id, c->a, &c->one, err));
    return gy_erasure_items(db, c->id, c->a, &c->items, &c->n_items, err);
}

static void write_erasure(struct gy_jw *w, const struct gy_erasure *e)
{
    gy_jw_kv_str(w, "id", e->id);
    gy_jw_kv_str(w, "subject_hash", e->subject_hash);
    gy_jw_kv_str(w, "reason", e->reason);
    gy_jw_kv_str(w, "dataset", e->dataset);
    gy_jw_kv_str(w, "state", e->state);
    gy_jw_kv_str(w, "actor", e->actor);
    gy_api_kv_time(w, "created", e->created_us);
    gy_api_kv_time(w, "done", e->done_us);
}

static gy_status get_erasures(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct list_call c = {.id = gy_req_param(req, "id"), .a = req->arena};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_store_read(app->store, read_erasures, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    if (c.id.p) {
        write_erasure(&w, &c.one);
        gy_jw_key(&w, "items");
        gy_jw_arr(&w);
        for (size_t i = 0; i < c.n_items; i++) {
            gy_jw_obj(&w);
            gy_jw_kv_str(&w, "kind", c.items[i].kind);
            gy_jw_kv_str(&w, "item", c.items[i].item);
            gy_jw_kv_i64(&w, "n", c.items[i].n);
            gy_jw_obj_end(&w);
        }
        gy_jw_arr_end(&w);
    } else {
        gy_jw_key(&w, "erasures");
        gy_jw_arr(&w);
        for (size_t i = 0; i < c.n; i++) {
            gy_jw_obj(&w);
            write_erasure(&w, &c.list[i]);
            gy_jw_obj_end(&w);
        }
        gy_jw_arr_end(&w);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct done_call {
    struct gy_erasure e;
    struct gy_arena *a;
    yyjson_val *items;
};

static gy_status store_done(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct done_call *c = ctx;
    yyjson_val *item;
    size_t i, n;
    GY_TRY(gy_erasure_get(db, c->e.id, c->a, &c->e, err));
    yyjson_arr_foreach(c->items, i, n, item)
    {
        struct gy_str kind, what;
        GY_TRY(gy_json_need_str(item, "kind", &kind, err));
        GY_TRY(gy_json_need_str(item, "item", &what, err));
        char *text = gy_arena_strdup(c->a, gy_str_sub(kind, 0, 64));
        if (!text) {
            return gy_err_set(err, GY_E_NOMEM, "an erasure's items");
        }
        GY_TRY(gy_erasure_item(db, c->e.id, text, what, gy_json_i64(item, "n", 0), err));
    }
    return gy_erasure_finish(db, c->e.id, err);
}

static gy_status post_done(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct done_call c = {.a = req->arena};
    GY_TRY(gy_actor_need(req->actor, "an erasure", err));
    GY_TRY(gy_api_object(req, BODY_BYTES, &doc, err));
    c.e.id = gy_req_param(req, "id");
    c.items = gy_json_get(yyjson_doc_get_root(doc), "items");
    GY_TRY(gy_store_write(app->store, store_done, &c, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "id", c.e.id);
    gy_jw_kv_strc(&w, "state", "done");
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- holds ---- */

struct holds_call {
    struct gy_arena *a;
    struct gy_hold *list;
    size_t n;
};

static gy_status read_holds(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct holds_call *c = ctx;
    return gy_hold_list(db, c->a, &c->list, &c->n, err);
}

static gy_status get_holds(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct holds_call c = {.a = req->arena};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(gy_store_read(app->store, read_holds, &c, err));
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "holds");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n; i++) {
        const struct gy_hold *h = &c.list[i];
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "kind", h->kind);
        gy_jw_kv_str(&w, "target", h->target);
        gy_jw_kv_str(&w, "reason", h->reason);
        gy_jw_kv_str(&w, "actor", h->actor);
        gy_api_kv_time(&w, "created", h->created_us);
        gy_api_kv_time(&w, "released", h->released_us);
        gy_jw_kv_str(&w, "released_by", h->released_by);
        gy_jw_kv_str(&w, "release_reason", h->release_reason);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status add_hold(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct hold_call *h = ctx;
    return gy_hold_add(db, h->kind, h->target, h->reason, h->actor, err);
}

static gy_status release_hold(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct hold_call *h = ctx;
    return gy_hold_release(db, h->kind, h->target, h->reason, h->actor, err);
}

static gy_status change_hold(struct gy_app *app, struct gy_request *req, gy_db_fn change,
                             struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str id, dataset;
    struct gy_subject subject;
    struct gy_erasure_key key;
    struct hold_call h = {.kind = "dataset", .actor = req->actor};
    char hex[GY_ERASURE_HASH_HEX], audited[GY_MAX_NAME + 32];
    GY_TRY(gy_actor_need(req->actor, "a legal hold", err));
    GY_TRY(gy_api_object(req, BODY_BYTES, &doc, err));
    yyjson_val *body = yyjson_doc_get_root(doc);
    GY_TRY(gy_api_text(body, "id", GY_SUBJECT_MAX_ID, &id, err));
    GY_TRY(gy_api_text(body, "dataset", GY_MAX_NAME, &dataset, err));
    if (!id.p == !dataset.p) {
        return gy_err_set(err, GY_E_INVALID, "either 'id' or 'dataset' is held");
    }
    if (id.p) {
        GY_TRY(gy_subject_init(&subject, id, err));
        GY_TRY(open_key(app, &key, err));
        hash_of(&key, subject.id, hex);
        h.kind = "subject";
    }
    h.target = id.p ? gy_str_c(hex) : dataset;
    GY_TRY(read_reason(body, id.p ? &subject : NULL, &h.reason, err));
    (void)snprintf(audited, sizeof audited, "%s=%" GY_STR_F, h.kind,
                   GY_STR_A(gy_str_sub(h.target, 0, id.p ? 16 : GY_MAX_NAME)));
    if (gy_scope_current()) {
        gy_scope_current()->subject = gy_str_c(audited);
    }
    gy_status status = gy_store_write(app->store, change, &h, err);
    if (gy_scope_current()) {
        gy_scope_current()->subject = GY_STR_NULL;
    }
    GY_TRY(status);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "kind", h.kind);
    gy_jw_kv_str(&w, "target", h.target);
    gy_jw_kv_bool(&w, "held", change == add_hold);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status post_hold(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    return change_hold(ctx, req, add_hold, reply, err);
}

static gy_status post_release(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    return change_hold(ctx, req, release_hold, reply, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/find", post_find, NULL, BODY_BYTES, "Where one person's data is, as JSON lines",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
    {"POST", BASE "/export", post_export, NULL, BODY_BYTES, "One person's data, as JSON lines",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
    {"POST", BASE "/erase", post_erase, NULL, BODY_BYTES, "Take one person's data out, for good",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
    {"GET", BASE "/erasures", get_erasures, NULL, 0, "What was erased, newest first",
     GY_ACCESS_ADMIN},
    {"GET", BASE "/erasures/{id}", get_erasures, NULL, 0, "One erasure and what it took out",
     GY_ACCESS_ADMIN},
    {"POST", BASE "/erasures/{id}/done", post_done, NULL, BODY_BYTES,
     "An erasure that was left open is done", GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
    {"GET", BASE "/holds", get_holds, NULL, 0, "Legal holds", GY_ACCESS_ADMIN},
    {"POST", BASE "/holds", post_hold, NULL, BODY_BYTES, "Forbid to erase a subject or a dataset",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
    {"POST", BASE "/holds/release", post_release, NULL, BODY_BYTES, "Lift a legal hold",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
};

gy_status gy_api_subjects_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
