/* SPDX-License-Identifier: Apache-2.0 */
/* Retention of the prediction log, for admins.
 *   POST /api/gyre/v1/log/prune {"keep_s":7776000,"max_bytes":0,"apply":false}
 *        what would go, or (apply) went: {"applied","keep_s","max_bytes","log_bytes","segments",
 *        "records","bytes","from","to","stays":[{"why","reader","segments","records","bytes"}],
 *        "list":[{"segment","records","bytes","from","to","why"}]}. Without keep_s and max_bytes:
 *        as the server was told (--log-keep, --log-max). list: the first 1000 that go.
 *   GET  /api/gyre/v1/log/pruned?limit=   what went, the newest first: {"pruned":[{"boot","ring",
 *        "segments","records","bytes","from","to","why","actor","time"}]} */
#include "api/retention.h"

#include <stdio.h>
#include <unistd.h>

#include "api/body.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "flow/erase.h"
#include "serve/prune.h"
#include "serve/serving.h"
#include "store/actor.h"
#include "store/scope.h"
#include "watch/windows.h"

#define MAX_KEEP_S ((int64_t)1000 * 365 * 86400)
#define MAX_PLACE_FILE (8 * GY_MIB)
#define LIST_MAX 1000
#define PRUNED_STANDARD 100
#define MAX_ARENA (512 * GY_MIB) /* a plan of a million segments */

/* One prune, with what it looks at. */
struct prune {
    struct gy_app *app;
    bool watched; /* by this process */
    struct gy_arena a;
    char dir[GY_MAX_PATH];
    struct gy_prune_reader readers[GY_RETENTION_MAX_SHIPS + 2];
    struct gy_log_marks pruned;
    struct gy_hold *holds;
    size_t n_holds;
    struct gy_erasure_key key;
    struct gy_subject subjects; /* under a legal hold */
    struct gy_prune_order o;
    struct gy_prune_plan plan;
};

static struct prune *prune_new(struct gy_app *app, bool watched)
{
    struct prune *p = gy_calloc(1, sizeof *p);
    if (p) {
        p->app = app;
        p->watched = watched;
        p->o.dir = p->dir;
        p->o.readers = p->readers;
        p->o.pruned = &p->pruned;
        gy_arena_init(&p->a, MAX_ARENA);
    }
    return p;
}

static void prune_free(struct prune *p)
{
    if (p) {
        for (size_t i = 0; i < p->o.n_readers; i++) {
            gy_log_marks_done(&p->readers[i].read);
        }
        gy_log_marks_done(&p->pruned);
        gy_arena_done(&p->a);
        gy_free(p);
    }
}
GY_DEFINE_AUTO(struct prune *, prune_free);

/* ---- who must not be overtaken ---- */

/* What a process serves that has no watcher and never had one (gyre serve), nobody watches. */
static gy_status read_store(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct prune *p = ctx;
    struct gy_prune_reader *watcher = &p->readers[0];
    bool found = false;
    watcher->name = GY_STR("the watcher");
    p->o.n_readers = 1; /* its marks are freed in any case */
    GY_TRY(gy_windows_log_place(db, &watcher->read, &found, err));
    p->o.n_readers = found || p->watched ? 1 : 0;
    GY_TRY(gy_pruned_marks(db, &p->pruned, err));
    return gy_hold_list(db, &p->a, &p->holds, &p->n_holds, err);
}

/* The member `member` of a file, or (NULL) the whole file, is a place in the log. */
static gy_status add_reader(struct prune *p, const char *path, const char *member, const char *what,
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    if (p->o.n_readers == sizeof p->readers / sizeof p->readers[0]) {
        return gy_err_set(err, GY_E_TOOBIG,
                          "more than %d places of gyre log ship: remove those "
                          "that are not used any more",
                          GY_RETENTION_MAX_SHIPS);
    }
    GY_TRY(gy_json_read_file(path, MAX_PLACE_FILE, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc), *place = member ? gy_json_get(root, member) : root;
    struct gy_str to = member ? gy_json_str(root, "to") : GY_STR_NULL;
    struct gy_prune_reader *r = &p->readers[p->o.n_readers];
    char *name = gy_arena_printf(&p->a, "%s%s%" GY_STR_F, what, to.n ? " to " : "", GY_STR_A(to));
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_buf_init(&text, MAX_PLACE_FILE);
    gy_jw_init(&w, &text);
    gy_jw_val(&w, place);
    GY_TRY(gy_buf_check(&text, "a place in the log", err));
    *r = (struct gy_prune_reader){.name = gy_str_c(name)};
    p->o.n_readers++;
    return gy_log_marks_read(&r->read, place ? gy_buf_str(&text) : GY_STR_NULL, err);
}

struct ships {
    struct prune *p;
    const char *dir;
};

static gy_status add_ship(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct ships *s = ctx;
    char path[GY_MAX_PATH], what[128];
    if (is_dir || !gy_str_ends(gy_str_c(name), GY_STR(".json"))) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, s->dir, name, err));
    (void)snprintf(what, sizeof what, "gyre log ship (ship/%.100s)", name);
    gy_status st = add_reader(s->p, path, "cursor", what, err);
    if (st != GY_OK) {
        (void)gy_err_wrap(err, "%s", path);
    }
    return st;
}

/* Whom a hold forbids to erase keeps the segments that hold their records. */
static gy_status is_held(void *ctx, const char *path, bool *ret, struct gy_err *err)
{
    struct prune *p = ctx;
    const struct gy_erase_source src = {
        .home = &p->app->home, .store = p->app->store, .objects = p->app->objects};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, MAX_ARENA);
    return gy_erase_concerns(&src, &p->subjects, path, &a, ret, err);
}

/* A hold that was set while the plan was made: nothing that it names may go. Holds are never
 * deleted, only released, so their number tells. */
static gy_status holds_are_the_same(void *ctx, struct gy_db *db, struct gy_err *err)
{
    const struct prune *p = ctx;
    struct gy_hold *holds = NULL;
    size_t n = 0;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, MAX_ARENA);
    GY_TRY(gy_hold_list(db, &a, &holds, &n, err));
    if (n == p->n_holds) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_BUSY, "a legal hold was set meanwhile");
    return gy_err_hint(err, "try again: nothing was removed");
}

static gy_status take_holds(struct prune *p, struct gy_err *err)
{
    char folder[GY_MAX_PATH];
    size_t n = 0;
    p->o.still = holds_are_the_same;
    p->o.ctx = p;
    if (p->n_holds >= GY_ERASURES_MAX_LIST) { /* the newest are not in the list */
        return gy_err_set(err, GY_E_TOOBIG, "more than %d legal holds: nothing can be pruned",
                          GY_ERASURES_MAX_LIST);
    }
    unsigned char(*hashes)[GY_ERASURE_HASH] =
        gy_arena_calloc(&p->a, p->n_holds + 1, sizeof *hashes);
    if (!hashes) {
        return gy_err_set(err, GY_E_NOMEM, "legal holds");
    }
    for (size_t i = 0; i < p->n_holds; i++) {
        const struct gy_hold *h = &p->holds[i];
        if (!h->released_us && gy_str_eqc(h->kind, "subject")) {
            if (!gy_unhex(h->target, hashes[n], sizeof *hashes)) {
                return gy_err_set(err, GY_E_CORRUPT, "a legal hold has no hash");
            }
            n++;
        }
    }
    if (n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_home_path(&p->app->home, GY_ERASURES_DIR, folder, err));
    GY_TRY(gy_erasure_key_open(folder, false, &p->key, err));
    gy_subject_init_hashes(&p->subjects, &p->key, hashes, n);
    p->o.held = is_held;
    return GY_OK;
}

static gy_status make_plan(struct prune *p, struct gy_retention keep, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    p->o.keep = keep;
    p->o.now_us = gy_now_us();
    GY_TRY(gy_home_path(&p->app->home, "log", p->dir, err));
    GY_TRY(gy_store_read(p->app->store, read_store, p, err));
    GY_TRY(gy_home_path(&p->app->home, "shipped.json", path, err));
    if (gy_path_exists(path)) {
        GY_TRY(add_reader(p, path, NULL, "this replica, which ships", err));
    }
    GY_TRY(gy_home_path(&p->app->home, "ship", path, err));
    struct ships ships = {p, path};
    GY_TRY(gy_path_is_dir(path) ? gy_dir_each(path, add_ship, &ships, err) : GY_OK);
    GY_TRY(take_holds(p, err));
    return gy_prune_plan(&p->o, &p->a, &p->plan, err);
}

/* Backups and erasures are kept out from the plan on: what it says is what goes. */
static gy_status do_prune(struct prune *p, struct gy_retention keep, struct gy_str actor,
                          struct gy_err *err)
{
    int files = -1;
    GY_TRY(gy_home_path(&p->app->home, "log", p->dir, err));
    GY_TRY(gy_predlog_files_lock(p->dir, true, &files, err));
    gy_status st = make_plan(p, keep, err);
    struct gy_scope *scope = gy_scope_current();
    if (st == GY_OK && scope) {
        char *what = gy_arena_printf(&p->a, "segments=%lld records=%lld bytes=%lld",
                                     (long long)p->plan.segments_go, (long long)p->plan.records_go,
                                     (long long)p->plan.bytes_go);
        scope->subject = what ? gy_str_c(what) : scope->subject;
    }
    if (st == GY_OK) {
        st = gy_prune_apply(&p->o, &p->plan, p->app->store, actor, err);
    }
    if (scope) {
        scope->subject = GY_STR_NULL; /* it was p's */
    }
    if (files >= 0) {
        (void)close(files); /* and so the lock */
    }
    if (st == GY_OK && p->app->serving) {
        gy_predlog_removed(gy_serving_log(p->app->serving), (uint64_t)p->plan.segments_go);
    }
    if (st == GY_OK && p->plan.segments_go) {
        gy_log(GY_LOG_INFO, "predlog", "retention removed segments",
               GY_KV_I("segments", p->plan.segments_go), GY_KV_I("records", p->plan.records_go),
               GY_KV_I("bytes", p->plan.bytes_go), GY_KV_S("actor", actor));
    }
    return st;
}

gy_status gy_retention_tick(struct gy_app *app, bool watched, struct gy_err *err)
{
    const struct gy_retention keep = {app->log_keep_us, app->log_max_bytes};
    struct gy_err why = GY_ERR_INIT;
    if (!keep.keep_us && !keep.max_bytes) {
        return GY_OK;
    }
    GY_AUTO(prune_free) struct prune *p = prune_new(app, watched);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for retention");
    }
    gy_status st = do_prune(p, keep, GY_STR("gyre"), &why);
    if (st != GY_OK && st != GY_E_BUSY && err) {
        *err = why;
    }
    return st == GY_E_BUSY ? GY_OK : st; /* the next look does it */
}

/* ---- the routes ---- */

static void write_stays(struct gy_jw *w, const struct gy_prune_plan *plan)
{
    gy_jw_key(w, "stays");
    gy_jw_arr(w);
    for (int fate = GY_PRUNE_OPEN; fate <= GY_PRUNE_BEHIND; fate++) {
        int64_t segments = 0, records = 0, bytes = 0;
        struct gy_str reader = GY_STR_NULL;
        for (size_t i = 0; i < plan->n; i++) {
            const struct gy_prune_segment *s = &plan->segments[i];
            if ((int)s->fate == fate) {
                segments++;
                records += (int64_t)s->records;
                bytes += s->bytes;
                reader = s->reader;
            }
        }
        if (segments) {
            gy_jw_obj(w);
            gy_jw_kv_strc(w, "why", gy_prune_fate_name((enum gy_prune_fate)fate));
            gy_jw_kv_str(w, "reader", reader);
            gy_jw_kv_i64(w, "segments", segments);
            gy_jw_kv_i64(w, "records", records);
            gy_jw_kv_i64(w, "bytes", bytes);
            gy_jw_obj_end(w);
        }
    }
    gy_jw_arr_end(w);
}

static void write_list(struct gy_jw *w, const struct gy_prune_plan *plan)
{
    size_t n = 0;
    gy_jw_key(w, "list");
    gy_jw_arr(w);
    for (size_t i = 0; i < plan->n && n < LIST_MAX; i++) {
        const struct gy_prune_segment *s = &plan->segments[i];
        char name[128];
        if (!gy_prune_goes(s->fate)) {
            continue;
        }
        n++;
        gy_segment_name(s->boot, s->ring, s->number, ".seg", name);
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "segment", name);
        gy_jw_kv_i64(w, "records", (int64_t)s->records);
        gy_jw_kv_i64(w, "bytes", s->bytes);
        gy_api_kv_time(w, "from", s->from_us);
        gy_api_kv_time(w, "to", s->to_us);
        gy_jw_kv_strc(w, "why", gy_prune_fate_name(s->fate));
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status send_plan(const struct prune *p, bool applied, struct gy_reply *reply,
                           struct gy_err *err)
{
    const struct gy_prune_plan *plan = &p->plan;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 4 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "applied", applied);
    gy_jw_kv_i64(&w, "keep_s", p->o.keep.keep_us / 1000000);
    gy_jw_kv_i64(&w, "max_bytes", p->o.keep.max_bytes);
    gy_jw_kv_i64(&w, "log_bytes", plan->log_bytes);
    gy_jw_kv_i64(&w, "segments", plan->segments_go);
    gy_jw_kv_i64(&w, "records", plan->records_go);
    gy_jw_kv_i64(&w, "bytes", plan->bytes_go);
    gy_api_kv_time(&w, "from", plan->from_us);
    gy_api_kv_time(&w, "to", plan->to_us);
    write_stays(&w, plan);
    write_list(&w, plan);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status read_number(yyjson_val *body, const char *key, int64_t most, int64_t *ret,
                             struct gy_err *err)
{
    *ret = 0;
    if (!gy_json_get(body, key)) {
        return GY_OK;
    }
    GY_TRY(gy_json_need_i64(body, key, ret, err));
    return *ret >= 0 && *ret <= most
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'%s' is 0 to %lld", key, (long long)most);
}

static gy_status post_prune(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    int64_t keep_s = 0, max_bytes = 0;
    GY_TRY(gy_actor_need(req->actor, "pruning the prediction log", err));
    GY_TRY(gy_api_object(req, 64 * GY_KIB, &doc, err));
    yyjson_val *body = yyjson_doc_get_root(doc);
    GY_TRY(read_number(body, "keep_s", MAX_KEEP_S, &keep_s, err));
    GY_TRY(read_number(body, "max_bytes", INT64_MAX, &max_bytes, err));
    bool apply = gy_json_bool(body, "apply", false);
    struct gy_retention keep = {keep_s * 1000000, max_bytes};
    if (!keep_s && !max_bytes) {
        keep = (struct gy_retention){app->log_keep_us, app->log_max_bytes};
    }
    if (!keep.keep_us && !keep.max_bytes) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the prediction log has no retention: everything is "
                         "kept");
        return gy_err_hint(err, "say how long or how much is kept: --keep 90d, --max 50G");
    }
    if (!app->serving) {
        GY_TRY(gy_app_drain_log(app, err));
    }
    GY_AUTO(prune_free) struct prune *p = prune_new(app, app->watcher != NULL);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for retention");
    }
    GY_TRY(apply ? do_prune(p, keep, req->actor, err) : make_plan(p, keep, err));
    return send_plan(p, apply, reply, err);
}

struct pruned_call {
    struct gy_arena *a;
    int64_t limit;
    struct gy_pruned *list;
    size_t n;
};

static gy_status read_pruned(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct pruned_call *c = ctx;
    return gy_pruned_list(db, (size_t)c->limit, c->a, &c->list, &c->n, err);
}

static gy_status get_pruned(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct pruned_call c = {.a = req->arena, .limit = PRUNED_STANDARD};
    struct gy_str limit = gy_req_query(req, "limit");
    if (limit.p && gy_parse_i64(limit, 1, GY_PRUNE_MAX_LIST, &c.limit, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "'limit' must be from 1 to %d", GY_PRUNE_MAX_LIST);
    }
    GY_TRY(gy_store_read(app->store, read_pruned, &c, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "pruned");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.n; i++) {
        const struct gy_pruned *p = &c.list[i];
        char boot[GY_UUID_TEXT];
        gy_uuid_text(p->boot, boot);
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "boot", boot);
        gy_jw_kv_i64(&w, "ring", p->ring);
        gy_jw_kv_i64(&w, "segments", p->segments);
        gy_jw_kv_i64(&w, "records", p->records);
        gy_jw_kv_i64(&w, "bytes", p->bytes);
        gy_api_kv_time(&w, "from", p->from_us);
        gy_api_kv_time(&w, "to", p->to_us);
        gy_jw_kv_str(&w, "why", p->why);
        gy_jw_kv_str(&w, "actor", p->actor);
        gy_api_kv_time(&w, "time", p->pruned_us);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", "/api/gyre/v1/log/prune", post_prune, NULL, 64 * GY_KIB,
     "Remove what retention does not keep of the prediction log; a plan unless \"apply\"",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
    {"GET", "/api/gyre/v1/log/pruned", get_pruned, NULL, 0,
     "What retention removed of the prediction log"},
};

gy_status gy_api_retention_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
