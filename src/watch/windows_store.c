/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"
#include "watch/alerts.h"
#include "watch/windows_internal.h"

#define ACTOR "gyre"
#define MAX_PLACE (16 * GY_MIB)

/* ---- places ---- */

static gy_status put_place(struct gy_db *db, struct gy_str name, const struct gy_log_marks *m,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, MAX_PLACE);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    gy_log_marks_write(m, &w);
    GY_TRY(gy_buf_check(&b, "a place in the prediction log", err));
    return gy_db_exec(db,
                      "INSERT INTO watch_cursors (name, place, updated_us) VALUES (?,?,?) ON "
                      "CONFLICT (name) DO UPDATE SET place=excluded.place, "
                      "updated_us=excluded.updated_us",
                      GY_VALS(gy_vs(name), gy_vs(gy_buf_str(&b)), gy_vi(gy_now_us())), NULL, err);
}

/* Each home has a prediction log of its own, so on a shared database its places have its name:
 * "log@HOME". Neither homes nor endpoints nor versions hold a ':'. */
static struct gy_str kind_name(struct gy_buf *b, const struct gy_db *db, const char *kind)
{
    const char *home = gy_db_home(db);
    gy_buf_addf(b, "%s%s%s", kind, home[0] ? "@" : "", home);
    return gy_buf_str(b);
}

static struct gy_str place_name(struct gy_buf *b, const struct gy_db *db, const char *endpoint,
                                const char *version)
{
    (void)kind_name(b, db, "window");
    gy_buf_addf(b, ":%s:%s", endpoint, version);
    return gy_buf_str(b);
}

gy_status gy_window_put_place(struct gy_db *db, const char *endpoint, const char *version,
                              const struct gy_log_marks *m, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_KIB);
    struct gy_str name = place_name(&b, db, endpoint, version);
    GY_TRY(gy_buf_check(&b, "the name of a window", err));
    return put_place(db, name, m, err);
}

gy_status gy_window_drop_place(struct gy_db *db, const char *endpoint, const char *version,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_KIB);
    struct gy_str name = place_name(&b, db, endpoint, version);
    GY_TRY(gy_buf_check(&b, "the name of a window", err));
    return gy_db_exec(db, "DELETE FROM watch_cursors WHERE name=?", GY_VALS(gy_vs(name)), NULL,
                      err);
}

gy_status gy_window_put_log(struct gy_db *db, const struct gy_log_marks *m, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    struct gy_str name = kind_name(&b, db, "log");
    GY_TRY(gy_buf_check(&b, "the name of a log", err));
    return put_place(db, name, m, err);
}

gy_status gy_windows_log_place(struct gy_db *db, struct gy_log_marks *ret, bool *ret_found,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, MAX_PLACE + GY_MIB);
    struct gy_str place = GY_STR_NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    struct gy_str name = kind_name(&b, db, "log");
    GY_TRY(gy_buf_check(&b, "the name of a log", err));
    GY_TRY(gy_db_get_str(db, "SELECT place FROM watch_cursors WHERE name=?", GY_VALS(gy_vs(name)),
                         &a, ret_found, &place, err));
    return gy_log_marks_read(ret, place, err);
}

gy_status gy_window_get_log(struct gy_db *db, struct gy_log_marks *m, struct gy_err *err)
{
    bool found;
    return gy_windows_log_place(db, m, &found, err);
}

gy_status gy_window_each_place(struct gy_db *db, gy_window_place_fn fn, void *ctx,
                               struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    (void)kind_name(&b, db, "window");
    gy_buf_add_char(&b, ':');
    GY_TRY(gy_buf_check(&b, "the name of a window", err));
    GY_TRY(gy_db_query(
        db, "SELECT name, place FROM watch_cursors WHERE SUBSTR(name, 1, ?) = ? ORDER BY name",
        GY_VALS(gy_vi((int64_t)b.n), gy_vs(gy_buf_str(&b))), &st, err));
    for (;;) {
        bool row;
        struct gy_str kind;
        struct gy_str endpoint;
        struct gy_str version;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        (void)gy_str_cut(gy_col_str(st, 0), ':', &kind, &version); /* there is one, see above */
        if (gy_str_cut(version, ':', &endpoint, &version)) {
            GY_TRY(fn(ctx, endpoint, version, gy_col_str(st, 1), err));
        }
    }
}

/* ---- references ---- */

gy_status gy_window_get_reference(struct gy_db *db, const char *endpoint, const char *version,
                                  struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    bool found;
    *ret = GY_STR_NULL;
    return gy_db_get_str(
        db, "SELECT data FROM drift_references WHERE endpoint=? AND version=? AND kind='window'",
        GY_VALS(gy_vc(endpoint), gy_vc(version)), a, &found, ret, err);
}

/* Windows of which nothing is told have no cause. */
gy_status gy_window_get_run(struct gy_db *db, const char *endpoint, const char *version,
                            int64_t *ret_since_us, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db,
                         "SELECT COALESCE(MIN(from_us), 0) FROM drift_windows WHERE endpoint=? AND "
                         "version=? AND id > (SELECT COALESCE(MAX(id), 0) FROM drift_windows WHERE "
                         "endpoint=? AND version=? AND cause IS NULL)",
                         GY_VALS(gy_vc(endpoint), gy_vc(version), gy_vc(endpoint), gy_vc(version)),
                         &found, ret_since_us, err);
}

gy_status gy_window_get_rules(struct gy_db *db, const char *endpoint, const char *version,
                              struct gy_rule_reference *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_arena_init(&a, GY_MIB);
    bool found;
    struct gy_str data = GY_STR_NULL;
    GY_TRY(gy_db_get_str(db,
                         "SELECT data FROM drift_references WHERE endpoint=? AND version=? AND "
                         "kind='rules' AND key=?",
                         GY_VALS(gy_vc(endpoint), gy_vc(version), gy_vc(r->key)), &a, &found, &data,
                         err));
    r->rows = r->hits = 0;
    r->windows = 0;
    if (!found) {
        return GY_OK;
    }
    GY_TRY(gy_json_parse(data, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    r->rows = (uint64_t)gy_json_i64(root, "rows", 0);
    r->hits = (uint64_t)gy_json_i64(root, "hits", 0);
    r->windows = gy_json_i64(root, "windows", 0);
    return GY_OK;
}

static gy_status put_reference(struct gy_db *db, const struct gy_open_window *w, const char *kind,
                               const char *key, struct gy_str data, struct gy_err *err)
{
    int64_t now = gy_now_us();
    return gy_db_exec(
        db,
        "INSERT INTO drift_references (endpoint, version, kind, key, data, actor, created_us, "
        "updated_us) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (endpoint, version, kind, key) DO UPDATE "
        "SET data=excluded.data, updated_us=excluded.updated_us",
        GY_VALS(gy_vc(w->endpoint), gy_vc(w->version), gy_vc(kind), gy_vc(key), gy_vs(data),
                gy_vc(ACTOR), gy_vi(now), gy_vi(now)),
        NULL, err);
}

static gy_status put_references(struct gy_db *db, const struct gy_window_closing *c,
                                struct gy_err *err)
{
    if (c->verdict->reference.p) {
        GY_TRY(put_reference(db, c->w, "window", "", c->verdict->reference, err));
    }
    if (!c->rules_changed) {
        return GY_OK;
    }
    char data[128];
    (void)snprintf(data, sizeof data, "{\"rows\":%llu,\"hits\":%llu,\"windows\":%lld}",
                   (unsigned long long)c->rules.rows, (unsigned long long)c->rules.hits,
                   (long long)c->rules.windows);
    return put_reference(db, c->w, "rules", c->rules.key, gy_str_c(data), err);
}

/* ---- events and alerts of a window ---- */

static void rate(struct gy_jw *w, const char *key, uint64_t hits, uint64_t rows)
{
    if (rows) {
        gy_jw_kv_f64(w, key, (double)hits / (double)rows);
    } else {
        gy_jw_kv_null(w, key);
    }
}

static void write_event(struct gy_jw *w, const struct gy_window_closing *c)
{
    const struct gy_open_window *o = c->w;
    const struct gy_window_verdict *v = c->verdict;
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "endpoint", o->endpoint);
    gy_jw_kv_i64(w, "revision", o->revision);
    gy_jw_kv_strc(w, "version", o->version);
    gy_jw_kv_i64(w, "window", c->number);
    gy_jw_kv_i64(w, "rows", o->rows);
    gy_jw_kv_bool(w, "dataset_drift", v->drift);
    gy_jw_kv_f64(w, "share", v->share);
    gy_jw_key(w, "features");
    gy_jw_raw(w, v->features.p ? v->features : GY_STR("[]"));
    gy_jw_kv_str(w, "cause", v->cause);
    gy_jw_kv_str(w, "reason", v->reason);
    gy_jw_kv_bool(w, "may_retrain", v->may_retrain);
    gy_jw_kv_str(w, "retrain_reason", v->retrain_reason);
    gy_jw_kv_strc(w, "on_drift", c->settings->retrain ? "retrain" : "alert");
    gy_jw_key(w, "rule_hit_rate");
    gy_jw_obj(w);
    rate(w, "reference", o->rules.hits, o->rules.rows);
    rate(w, "current", o->rule_hits, o->rule_rows);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static gy_status add_events(struct gy_db *db, const struct gy_window_closing *c, struct gy_err *err)
{
    if (!c->verdict->told) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    write_event(&w, c);
    GY_TRY(gy_buf_check(&b, "an event of drift", err));
    char subject[GY_LINEAGE_MAX_NODE];
    (void)snprintf(subject, sizeof subject, "revision:%s/%lld", c->w->endpoint,
                   (long long)c->w->revision);
    GY_TRY(
        gy_event_add(db, "drift.detected", gy_str_c(subject), GY_STR(ACTOR), gy_buf_str(&b), err));
    /* What a sensor tells wrongly, a model must not learn: who retrains on it makes it permanent.
     */
    return c->verdict->sensor ? gy_event_add(db, "drift.refused", gy_str_c(subject), GY_STR(ACTOR),
                                             gy_buf_str(&b), err)
                              : GY_OK;
}

static gy_status alert_of(struct gy_db *db, const struct gy_window_closing *c, const char *kind,
                          bool holds, struct gy_str subject, struct gy_str text, struct gy_err *err)
{
    const struct gy_open_window *o = c->w;
    if (!holds) {
        /* A sensor's alert is of a feature, whichever version saw it. */
        return gy_alert_clear(db, kind, gy_str_c(o->endpoint), subject, GY_STR_NULL, GY_STR(ACTOR),
                              err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    write_event(&w, c);
    GY_TRY(gy_buf_check(&b, "an alert of drift", err));
    const struct gy_alert a = {.kind = gy_str_c(kind),
                               .endpoint = gy_str_c(o->endpoint),
                               .subject = subject,
                               .text = text,
                               .data = gy_buf_str(&b),
                               .actor = GY_STR(ACTOR)};
    return gy_alert_raise(db, &a, NULL, err);
}

static gy_status set_alerts(struct gy_db *db, const struct gy_window_closing *c, struct gy_err *err)
{
    const struct gy_open_window *o = c->w;
    const struct gy_window_verdict *v = c->verdict;
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "%s: window %lld of version %s differs from its reference%s%.*s", o->endpoint,
                   (long long)c->number, o->version, v->reason.n ? ": " : "",
                   (int)(v->reason.n > 700 ? 700 : v->reason.n), v->reason.p ? v->reason.p : "");
    GY_TRY(
        alert_of(db, c, "drift", v->told && !v->sensor, gy_str_c(o->version), gy_str_c(text), err));
    GY_TRY(gy_alert_clear(db, "sensor", gy_str_c(o->endpoint), GY_STR_NULL,
                          v->sensor ? v->feature : GY_STR_NULL, GY_STR(ACTOR), err));
    if (!v->sensor) {
        return GY_OK;
    }
    char offset[48] = "";
    if (isfinite(v->offset)) {
        (void)snprintf(offset, sizeof offset, " by about %+.3g", v->offset);
    }
    (void)snprintf(text, sizeof text,
                   "%s: the sensor of %.*s is suspected (window %lld): values are off%s. "
                   "Retraining would not cure that. %.*s",
                   o->endpoint, (int)(v->feature.n > 250 ? 250 : v->feature.n), v->feature.p,
                   (long long)c->number, offset, (int)(v->reason.n > 500 ? 500 : v->reason.n),
                   v->reason.p ? v->reason.p : "");
    return alert_of(db, c, "sensor", true, v->feature, gy_str_c(text), err);
}

gy_status gy_window_write(struct gy_db *db, struct gy_window_closing *c, struct gy_err *err)
{
    const struct gy_open_window *o = c->w;
    const struct gy_window_verdict *v = c->verdict;
    bool found;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COALESCE(MAX(number), 0) + 1 FROM drift_windows WHERE "
                         "workspace_id='default' AND endpoint=?",
                         GY_VALS(gy_vc(o->endpoint)), &found, &c->number, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO drift_windows (endpoint, number, revision, version, n_rows, from_us, to_us, "
        "dataset_drift, share, cause, result, actor, created_us) VALUES "
        "(?,?,?,?,?,?,?,?,?,?,?,?,?)",
        GY_VALS(gy_vc(o->endpoint), gy_vi(c->number), gy_vi(o->revision), gy_vc(o->version),
                gy_vi(o->rows), gy_vi(o->from_us), gy_vi(o->to_us), gy_vi(v->drift),
                gy_vf(v->share), gy_vs(v->cause), gy_vs(v->result), gy_vc(ACTOR),
                gy_vi(gy_now_us())),
        NULL, err));
    GY_TRY(gy_db_exec(db,
                      "DELETE FROM drift_windows WHERE workspace_id='default' AND endpoint=? AND "
                      "number <= ?",
                      GY_VALS(gy_vc(o->endpoint), gy_vi(c->number - GY_WINDOWS_KEPT)), NULL, err));
    GY_TRY(put_references(db, c, err));
    GY_TRY(add_events(db, c, err));
    GY_TRY(set_alerts(db, c, err));
    return gy_window_put_place(db, o->endpoint, o->version, c->next, err);
}

/* ---- lists ---- */

#define COLUMNS                                                                                  \
    "SELECT id, number, revision, n_rows, from_us, to_us, created_us, dataset_drift, endpoint, " \
    "version, cause, result, share FROM drift_windows "

static gy_status read_rows(struct gy_stmt *st, size_t max, struct gy_arena *a,
                           struct gy_window_row **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_window_row *all = gy_arena_calloc(a, max, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "reading windows");
    }
    size_t n = 0;
    for (; n < max; n++) {
        bool more;
        struct gy_window_row *r = &all[n];
        GY_TRY(gy_stmt_step(st, &more, err));
        if (!more) {
            break;
        }
        int64_t *const numbers[] = {&r->id,      &r->number, &r->revision,  &r->rows,
                                    &r->from_us, &r->to_us,  &r->created_us};
        struct gy_str *const texts[] = {&r->endpoint, &r->version, &r->cause, &r->result};
        for (int i = 0; i < 7; i++) {
            *numbers[i] = gy_col_i64(st, i);
        }
        r->drift = gy_col_i64(st, 7) != 0;
        for (int i = 0; i < 4; i++) {
            GY_TRY(gy_col_copy(st, 8 + i, a, texts[i], err));
        }
        r->share = gy_col_null(st, 12) ? NAN : gy_col_f64(st, 12);
    }
    *ret = all;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_window_list(struct gy_db *db, struct gy_str endpoint, struct gy_str version,
                         size_t max, struct gy_arena *a, struct gy_window_row **ret, size_t *ret_n,
                         struct gy_err *err)
{
    if (max == 0 || max > GY_WINDOWS_LIST_MAX) {
        return gy_err_set(err, GY_E_INVALID, "windows come 1 to %d at a time", GY_WINDOWS_LIST_MAX);
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       COLUMNS "WHERE (? IS NULL OR endpoint=?) AND (? IS NULL OR version=?) "
                               "ORDER BY id DESC LIMIT ?",
                       GY_VALS(gy_vs(endpoint), gy_vs(endpoint), gy_vs(version), gy_vs(version),
                               gy_vi((int64_t)max)),
                       &st, err));
    return read_rows(st, max, a, ret, ret_n, err);
}

gy_status gy_window_latest(struct gy_db *db, struct gy_str endpoint, struct gy_arena *a,
                           struct gy_window_row **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       COLUMNS
                       "WHERE id IN (SELECT id FROM (SELECT MAX(id) AS id, ROW_NUMBER() OVER "
                       "(PARTITION BY endpoint ORDER BY MAX(id) DESC) AS place FROM drift_windows "
                       "WHERE (? IS NULL OR endpoint=?) GROUP BY endpoint, version) newest WHERE "
                       "place <= ?) ORDER BY endpoint, id DESC LIMIT ?",
                       GY_VALS(gy_vs(endpoint), gy_vs(endpoint), gy_vi(GY_WINDOWS_VERSIONS),
                               gy_vi(GY_WINDOWS_LIST_MAX)),
                       &st, err));
    return read_rows(st, GY_WINDOWS_LIST_MAX, a, ret, ret_n, err);
}
