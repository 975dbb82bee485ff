/* SPDX-License-Identifier: Apache-2.0 */
/* What is watched, what was found, and the alerts.
 *   POST /api/gyre/v1/watch/apply     {"project","folder","endpoints":[...],"watch","triggers",
 *                                     "notify"}: the sections of gyre.yaml -> what is watched now
 *   GET  /api/gyre/v1/watch[?endpoint=NAME][&wait=1]  state; wait: of all answered so far
 *   GET  /api/gyre/v1/watch/windows?endpoint=NAME[&version=V][&limit=N][&full=1]  newest first
 *   GET  /api/gyre/v1/alerts[?endpoint=NAME][&all=1]
 *   POST /api/gyre/v1/alerts/{id}/acknowledge         {"reason"} */
#include <math.h>

#include "api/body.h"
#include "api/dispatcher.h"
#include "api/watching.h"
#include "flow/trigger.h"
#include "serve/revision.h"
#include "store/actor.h"
#include "watch/alerts.h"
#include "watch/watcher.h"
#include "watch/webhook.h"

#define BASE "/api/gyre/v1/"
#define WINDOWS_DEFAULT 100
#define ALERTS_MAX 1000

/* ---- apply ---- */

struct applying {
    struct gy_watch_config config;
    struct gy_str triggers; /* JSON; "null": the project has none */
};

static bool shares_endpoint(const struct gy_watch_config *c, yyjson_val *endpoints)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(endpoints);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&it));) {
        if (gy_watch_config_has(c, gy_json_val_str(v))) {
            return true;
        }
    }
    return false;
}

/* Else nobody's call would end the alerts, messages and triggers that somebody answers for: of a
 * project, or of an endpoint, whose newest project counts. */
static gy_status check_replaced(struct gy_db *db, const struct gy_watch_config *c,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_watch_config *all;
    size_t n;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(gy_json_parse(c->endpoints, &doc, err));
    GY_TRY(gy_watch_config_list(db, &a, &all, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (gy_actor_named(all[i].actor) && (gy_str_eq(all[i].project, c->project) ||
                                             shares_endpoint(&all[i], yyjson_doc_get_root(doc)))) {
            (void)gy_err_set(err, GY_E_UNAUTHENTICATED,
                             "'%" GY_STR_F "' was applied by '%" GY_STR_F "': who changes what is "
                             "watched there needs a name, and the actor is anonymous",
                             GY_STR_A(all[i].project), GY_STR_A(all[i].actor));
            return gy_err_hint(err, "ask over the server's socket (your user is the actor)");
        }
    }
    return GY_OK;
}

static gy_status store_config(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct applying *a = ctx;
    if (!gy_actor_named(a->config.actor)) {
        GY_TRY(check_replaced(db, &a->config, err));
    }
    GY_TRY(gy_watch_config_put(db, &a->config, err));
    /* Without a folder nothing can be run, so there is nothing to say about triggers. */
    return a->config.folder.n > 0 && gy_actor_named(a->config.actor)
               ? gy_triggers_replace(db, a->config.project, a->config.folder, a->triggers,
                                     a->config.actor, err)
               : GY_OK;
}

/* Triggers run commands, and who is told of events may be anyone: both want a name. */
static gy_status check_others(yyjson_val *body, struct gy_str actor, struct gy_err *err)
{
    yyjson_val *notify = gy_json_get(body, "notify");
    yyjson_val *triggers = gy_json_get(body, "triggers");
    GY_TRY(gy_webhook_check(notify, err));
    if (yyjson_arr_size(notify) || yyjson_arr_size(triggers)) {
        return gy_actor_need(actor, "a project with triggers or notify", err);
    }
    return GY_OK;
}

static gy_status only_known(yyjson_val *body, struct gy_err *err)
{
    static const char *const known[] = {"project",  "folder", "endpoints", "watch",
                                        "triggers", "notify", NULL};
    yyjson_obj_iter it = yyjson_obj_iter_with(body);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        struct gy_str name = gy_json_val_str(key);
        size_t i = 0;
        while (known[i] && !gy_str_eqc(name, known[i])) {
            i++;
        }
        if (!known[i]) {
            (void)gy_err_set(err, GY_E_INVALID, "there is no '%" GY_STR_F "'", GY_STR_A(name));
            return gy_err_hint(err, "known: project, folder, endpoints, watch, triggers, notify");
        }
    }
    return GY_OK;
}

static gy_status endpoints_of(yyjson_val *body, struct gy_str project, struct gy_buf *out,
                              struct gy_err *err)
{
    struct gy_jw w;
    yyjson_val *list = gy_json_get(body, "endpoints");
    if (list && !yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'endpoints' must be a list of names");
    }
    gy_jw_init(&w, out);
    gy_jw_arr(&w);
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&it));) {
        struct gy_str name = gy_json_val_str(v);
        if (name.n == 0 || name.n > GY_MAX_NAME) {
            return gy_err_set(err, GY_E_INVALID, "'endpoints' must be a list of names");
        }
        gy_jw_str(&w, name);
    }
    if (!list) { /* a project of one endpoint that has its name */
        gy_jw_str(&w, project);
    }
    gy_jw_arr_end(&w);
    return gy_buf_check(out, "the names of endpoints", err);
}

static gy_status sections_of(yyjson_val *body, struct gy_buf *out, struct gy_err *err)
{
    static const char *const names[] = {"watch", "triggers", "notify"};
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        yyjson_val *v = gy_json_get(body, names[i]);
        if (v && !yyjson_is_null(v)) {
            gy_jw_key(&w, names[i]);
            gy_jw_val(&w, v);
        }
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the sections of gyre.yaml", err);
}

static gy_status triggers_of(yyjson_val *body, struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    yyjson_val *v = gy_json_get(body, "triggers");
    gy_jw_init(&w, out);
    if (v) {
        gy_jw_val(&w, v);
    } else {
        gy_jw_null(&w);
    }
    return gy_buf_check(out, "the triggers", err);
}

static gy_status get_watch(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err);

static gy_status post_apply(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf endpoints;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sections;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf triggers;
    gy_buf_init(&triggers, GY_WATCH_MAX_SECTIONS);
    gy_buf_init(&endpoints, GY_WATCH_MAX_SECTIONS);
    gy_buf_init(&sections, GY_WATCH_MAX_SECTIONS);
    GY_TRY(gy_api_object(req, GY_WATCH_MAX_SECTIONS, &doc, err));
    yyjson_val *body = yyjson_doc_get_root(doc);
    struct applying a = {.config = {.actor = req->actor}};
    GY_TRY(only_known(body, err));
    GY_TRY(check_others(body, req->actor, err));
    GY_TRY(gy_json_need_str(body, "project", &a.config.project, err));
    GY_TRY(gy_api_text(body, "folder", GY_MAX_PATH, &a.config.folder, err));
    GY_TRY(endpoints_of(body, a.config.project, &endpoints, err));
    GY_TRY(sections_of(body, &sections, err));
    GY_TRY(triggers_of(body, &triggers, err));
    a.config.endpoints = gy_buf_str(&endpoints);
    a.config.sections = gy_buf_str(&sections);
    a.triggers = gy_buf_str(&triggers);
    GY_TRY(gy_store_write(app->store, store_config, &a, err));
    gy_watcher_reload(app->watcher);
    gy_dispatcher_wake(app->dispatcher);
    return get_watch(app, req, reply, err);
}

/* ---- state ---- */

struct state {
    struct gy_arena *a;
    struct gy_str endpoint; /* absent: all */
    struct gy_watch_config *configs;
    size_t n_configs;
    struct gy_revision *served;
    size_t n_served;
    struct gy_window_row *latest;
    size_t n_latest;
    struct gy_alert *alerts;
    size_t n_alerts;
    struct gy_window_state *open;
    size_t n_open;
};

static gy_status read_state(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct state *s = ctx;
    GY_TRY(gy_watch_config_list(db, s->a, &s->configs, &s->n_configs, err));
    GY_TRY(gy_revision_current(db, s->a, &s->served, &s->n_served, err));
    GY_TRY(gy_window_latest(db, s->endpoint, s->a, &s->latest, &s->n_latest, err));
    return gy_alert_list(db, s->endpoint, false, ALERTS_MAX, s->a, &s->alerts, &s->n_alerts, err);
}

static void kv_number(struct gy_jw *w, const char *key, double v)
{
    if (isfinite(v)) {
        gy_jw_kv_f64(w, key, v);
    } else {
        gy_jw_kv_null(w, key);
    }
}

/* Names of the features that drifted, from the whole result. */
static void write_drifted(struct gy_jw *w, yyjson_val *result)
{
    gy_jw_key(w, "features_drifted");
    gy_jw_arr(w);
    yyjson_arr_iter it = yyjson_arr_iter_with(gy_json_get(result, "features"));
    for (yyjson_val *f; (f = yyjson_arr_iter_next(&it));) {
        if (gy_json_bool(f, "drifted", false)) {
            gy_jw_str(w, gy_json_str(f, "name"));
        }
    }
    gy_jw_arr_end(w);
}

static void write_window(struct gy_jw *w, const struct gy_window_row *r, bool full)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *result =
        gy_json_parse(r->result, &doc, NULL) == GY_OK ? yyjson_doc_get_root(doc) : NULL;
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "number", r->number);
    gy_jw_kv_str(w, "endpoint", r->endpoint);
    gy_jw_kv_str(w, "version", r->version);
    gy_jw_kv_i64(w, "revision", r->revision);
    gy_jw_kv_i64(w, "rows", r->rows);
    gy_api_kv_time(w, "from", r->from_us);
    gy_api_kv_time(w, "to", r->to_us);
    gy_api_kv_time(w, "judged", r->created_us);
    gy_jw_kv_bool(w, "dataset_drift", r->drift);
    kv_number(w, "share", r->share);
    gy_jw_kv_str(w, "cause", r->cause);
    gy_jw_kv_str(w, "reason", gy_json_str(gy_json_get(result, "diagnosis"), "reason"));
    gy_jw_kv_str(w, "reference", gy_json_str(result, "reference"));
    write_drifted(w, result);
    gy_jw_key(w, "rule_hit_rate");
    gy_jw_val(w, gy_json_get(result, "rule_hit_rate"));
    if (full) {
        gy_jw_key(w, "result");
        gy_jw_raw(w, r->result);
    }
    gy_jw_obj_end(w);
}

static void write_configs(struct gy_jw *w, const struct state *s)
{
    gy_jw_key(w, "projects");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_configs; i++) {
        const struct gy_watch_config *c = &s->configs[i];
        if (s->endpoint.p && !gy_watch_config_has(c, s->endpoint)) {
            continue;
        }
        gy_jw_obj(w);
        gy_jw_kv_str(w, "project", c->project);
        gy_jw_kv_str(w, "folder", c->folder);
        gy_jw_key(w, "endpoints");
        gy_jw_raw(w, c->endpoints);
        gy_jw_key(w, "sections");
        gy_jw_raw(w, c->sections);
        gy_jw_kv_str(w, "actor", c->actor);
        gy_api_kv_time(w, "applied", c->updated_us);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

/* One version of an endpoint: served, or with windows, or both. */
struct line {
    struct gy_str endpoint, version;
    const char *role; /* NULL: not served now */
    int64_t revision;
};

static void write_line(struct gy_jw *w, const struct state *s, const struct line *l)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "endpoint", l->endpoint);
    gy_jw_kv_str(w, "version", l->version);
    gy_jw_kv_strc(w, "role", l->role);
    gy_jw_kv_i64(w, "revision", l->revision);
    int64_t rows = 0;
    int64_t of = 0;
    for (size_t i = 0; i < s->n_open; i++) {
        if (gy_str_eq(s->open[i].endpoint, l->endpoint) &&
            gy_str_eq(s->open[i].version, l->version)) {
            rows = s->open[i].rows;
            of = s->open[i].of;
        }
    }
    gy_jw_kv_i64(w, "rows_waiting", rows);
    gy_jw_kv_i64(w, "window_rows", of);
    gy_jw_key(w, "last_window");
    const struct gy_window_row *last = NULL;
    for (size_t i = 0; i < s->n_latest && !last; i++) {
        last = gy_str_eq(s->latest[i].endpoint, l->endpoint) &&
                       gy_str_eq(s->latest[i].version, l->version)
                   ? &s->latest[i]
                   : NULL;
    }
    if (last) {
        write_window(w, last, false);
    } else {
        gy_jw_null(w);
    }
    gy_jw_obj_end(w);
}

static bool wanted(const struct state *s, struct gy_str endpoint)
{
    return !s->endpoint.p || gy_str_eq(s->endpoint, endpoint);
}

/* The served versions, then those that are not served any more and have windows. */
static gy_status write_versions(struct gy_jw *w, struct gy_app *app, const struct state *s,
                                struct gy_err *err)
{
    gy_jw_key(w, "versions");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_served; i++) {
        const struct gy_revision *r = &s->served[i];
        const struct gy_shape *shape;
        if (!wanted(s, r->endpoint)) {
            continue;
        }
        GY_TRY(gy_shapes_get(app->shapes, r->endpoint, r->revision, &shape, err));
        for (size_t v = 0; v < shape->n_variants; v++) {
            const struct line l = {r->endpoint, shape->variants[v].version,
                                   gy_variant_role_name(shape->variants[v].role), r->revision};
            write_line(w, s, &l);
        }
    }
    for (size_t i = 0; i < s->n_latest; i++) {
        const struct gy_window_row *row = &s->latest[i];
        bool served = false;
        for (size_t k = 0; k < s->n_served && !served; k++) {
            const struct gy_shape *shape;
            if (gy_str_eq(s->served[k].endpoint, row->endpoint)) {
                GY_TRY(
                    gy_shapes_get(app->shapes, row->endpoint, s->served[k].revision, &shape, err));
                served = gy_shape_variant(shape, row->version) != NULL;
            }
        }
        const struct line l = {row->endpoint, row->version, NULL, row->revision};
        if (!served && wanted(s, row->endpoint)) {
            write_line(w, s, &l);
        }
    }
    gy_jw_arr_end(w);
    return GY_OK;
}

static void write_watcher(struct gy_jw *w, struct gy_app *app)
{
    struct gy_watcher_stats t = {0};
    if (app->watcher) {
        gy_watcher_get_stats(app->watcher, &t);
    }
    gy_jw_key(w, "watcher");
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "state", gy_watching_state(app));
    gy_jw_kv_f64(w, "lag_seconds", t.lag_seconds);
    gy_api_kv_time(w, "last_success", t.last_success_us);
    gy_jw_kv_i64(w, "records", (int64_t)t.records);
    gy_jw_kv_i64(w, "windows", (int64_t)t.windows);
    gy_jw_kv_i64(w, "holes", (int64_t)t.holes);
    gy_jw_kv_i64(w, "damaged", (int64_t)t.bad);
    gy_jw_kv_i64(w, "unreadable", (int64_t)t.unreadable);
    gy_jw_kv_i64(w, "failures", (int64_t)t.failures);
    gy_jw_kv_strc(w, "failure", t.failure[0] ? t.failure : NULL);
    gy_jw_obj_end(w);
}

static void write_alert(struct gy_jw *w, const struct gy_alert *a)
{
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "id", a->id);
    gy_jw_kv_str(w, "kind", a->kind);
    gy_jw_kv_str(w, "endpoint", a->endpoint);
    gy_jw_kv_str(w, "subject", a->subject);
    gy_jw_kv_str(w, "state", a->state);
    gy_jw_kv_str(w, "text", a->text);
    gy_jw_key(w, "data");
    gy_jw_raw(w, a->data);
    gy_jw_kv_str(w, "raised_by", a->actor);
    gy_api_kv_time(w, "raised", a->created_us);
    gy_api_kv_time(w, "updated", a->updated_us);
    gy_api_kv_time(w, "cleared", a->cleared_us);
    gy_jw_kv_str(w, "cleared_by", a->cleared_by);
    gy_api_kv_time(w, "acknowledged", a->acknowledged_us);
    gy_jw_kv_str(w, "acknowledged_by", a->acknowledged_by);
    gy_jw_kv_str(w, "acknowledge_reason", a->acknowledge_reason);
    gy_jw_obj_end(w);
}

static void write_alerts(struct gy_jw *w, const struct gy_alert *all, size_t n)
{
    gy_jw_key(w, "alerts");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        write_alert(w, &all[i]);
    }
    gy_jw_arr_end(w);
}

static bool is_set(struct gy_request *req, const char *key)
{
    struct gy_str v = gy_req_query(req, key);
    return v.p && !gy_str_eqc(v, "0") && !gy_str_eqc(v, "false");
}

static gy_status get_watch(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct state s = {.a = req->arena, .endpoint = gy_req_query(req, "endpoint")};
    if (is_set(req, "wait")) {
        GY_TRY(gy_watcher_catch_up(app->watcher, err));
    }
    GY_TRY(gy_watching_check(app, err));
    GY_TRY(gy_store_read(app->store, read_state, &s, err));
    if (app->watcher) {
        GY_TRY(gy_watcher_windows(app->watcher, req->arena, &s.open, &s.n_open, err));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_watcher(&w, app);
    write_configs(&w, &s);
    GY_TRY(write_versions(&w, app, &s, err));
    write_alerts(&w, s.alerts, s.n_alerts);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- windows ---- */

struct window_query {
    struct gy_arena *a;
    struct gy_str endpoint, version;
    size_t max;
    struct gy_window_row *rows;
    size_t n;
};

static gy_status read_windows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct window_query *q = ctx;
    return gy_window_list(db, q->endpoint, q->version, q->max, q->a, &q->rows, &q->n, err);
}

static gy_status get_windows(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct window_query q = {.a = req->arena,
                             .endpoint = gy_req_query(req, "endpoint"),
                             .version = gy_req_query(req, "version")};
    struct gy_str limit = gy_req_query(req, "limit");
    int64_t max = WINDOWS_DEFAULT;
    if (limit.p) {
        GY_TRY(gy_parse_i64(limit, 1, GY_WINDOWS_LIST_MAX, &max, err));
    }
    q.max = (size_t)max;
    GY_TRY(gy_store_read(app->store, read_windows, &q, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "windows");
    gy_jw_arr(&w);
    for (size_t i = 0; i < q.n; i++) {
        write_window(&w, &q.rows[i], is_set(req, "full"));
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- alerts ---- */

struct alert_query {
    struct gy_arena *a;
    struct gy_str endpoint, actor, reason;
    bool all;
    int64_t id;
    struct gy_alert *alerts;
    size_t n;
};

static gy_status read_alerts(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct alert_query *q = ctx;
    return gy_alert_list(db, q->endpoint, q->all, ALERTS_MAX, q->a, &q->alerts, &q->n, err);
}

static gy_status acknowledge(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct alert_query *q = ctx;
    return gy_alert_acknowledge(db, q->id, q->actor, q->reason, err);
}

static gy_status send_alerts(struct gy_app *app, struct alert_query *q, struct gy_reply *reply,
                             struct gy_err *err)
{
    GY_TRY(gy_store_read(app->store, read_alerts, q, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_alerts(&w, q->alerts, q->n);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status get_alerts(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct alert_query q = {
        .a = req->arena, .endpoint = gy_req_query(req, "endpoint"), .all = is_set(req, "all")};
    GY_TRY(gy_watching_check(app, err));
    return send_alerts(app, &q, reply, err);
}

static gy_status post_acknowledge(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                  struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct alert_query q = {.a = req->arena, .actor = req->actor};
    GY_TRY(gy_parse_i64(gy_req_param(req, "id"), 1, INT64_MAX, &q.id, err));
    GY_TRY(gy_api_object(req, 64 * GY_KIB, &doc, err));
    GY_TRY(gy_api_text(yyjson_doc_get_root(doc), "reason", GY_API_MAX_TEXT, &q.reason, err));
    GY_TRY(gy_store_write(app->store, acknowledge, &q, err));
    return send_alerts(app, &q, reply, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "watch/apply", post_apply, NULL, 0, "watch what a project's gyre.yaml says"},
    {"GET", BASE "watch", get_watch, NULL, 0, "what is watched and how it is"},
    {"GET", BASE "watch/windows", get_windows, NULL, 0, "windows and their drift, newest first"},
    {"GET", BASE "alerts", get_alerts, NULL, 0, "the alerts that fire; all=1: cleared ones too"},
    {"POST", BASE "alerts/{id}/acknowledge", post_acknowledge, NULL, 0,
     "say that an alert was seen, and why it stays", GY_ACCESS_REVIEWER, GY_ROUTE_NAMED},
};

gy_status gy_api_watch_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
