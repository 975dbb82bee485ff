/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/revision.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "serve/setting.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/verdicts.h"

#define MAX_CURRENT 10000
#define LOOK_BACK 500 /* revisions that a rollback without a target looks at */
#define COLUMNS                                                                                 \
    "r.endpoint, r.revision, r.kind, r.model_name, r.model_version, r.model_digest, r.run_id, " \
    "r.config, r.gated, r.verdict_id, r.copied_from, r.actor, r.created_us, r.reason"

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_revision *r,
                          struct gy_err *err)
{
    *r = (struct gy_revision){
        .endpoint = gy_col_dup(st, 0, a),
        .revision = gy_col_i64(st, 1),
        .kind = gy_col_dup(st, 2, a),
        .model_name = gy_col_dup(st, 3, a),
        .model_version = gy_col_i64(st, 4),
        .model_digest = gy_col_dup(st, 5, a),
        .run_id = gy_col_dup(st, 6, a),
        .config = gy_col_dup(st, 7, a),
        .gated = gy_col_i64(st, 8) != 0,
        .verdict_id = gy_col_dup(st, 9, a),
        .copied_from = gy_col_i64(st, 10),
        .actor = gy_col_dup(st, 11, a),
        .created_us = gy_col_i64(st, 12),
        .reason = gy_col_dup(st, 13, a),
    };
    bool good = r->endpoint.p && r->kind.p && r->model_name.p && r->model_digest.p && r->config.p &&
                r->actor.p && (r->run_id.p || gy_col_null(st, 6)) &&
                (r->verdict_id.p || gy_col_null(st, 9)) && (r->reason.p || gy_col_null(st, 13));
    return good ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading endpoint revisions");
}

static gy_status read_all(struct gy_db *db, const char *sql, const struct gy_val *vals,
                          size_t n_vals, size_t max, struct gy_arena *a, struct gy_revision **ret,
                          size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_revision *rows = NULL;
    size_t n = 0;
    size_t capacity = 0;
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    for (;;) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row || n == max) {
            break;
        }
        if (n == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct gy_revision *more = gy_arena_calloc(a, capacity, sizeof *more);
            if (!more) {
                return gy_err_set(err, GY_E_NOMEM, "reading endpoint revisions");
            }
            if (n) {
                memcpy(more, rows, n * sizeof *rows);
            }
            rows = more;
        }
        GY_TRY(read_row(st, a, &rows[n], err));
        n++;
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

static gy_status current_of(struct gy_db *db, struct gy_str endpoint, int64_t *ret,
                            struct gy_err *err)
{
    bool found;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT revision FROM endpoints WHERE workspace_id='default' AND name=?",
                         GY_VALS(gy_vs(endpoint)), &found, ret, err));
    return found
               ? GY_OK
               : gy_err_set(err, GY_E_NOTFOUND, "no endpoint '%" GY_STR_F "'", GY_STR_A(endpoint));
}

gy_status gy_revision_is(struct gy_db *db, struct gy_str endpoint, int64_t revision, bool *ret,
                         struct gy_err *err)
{
    int64_t n = 0;
    bool found = false;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM endpoint_revisions WHERE workspace_id='default' AND "
                         "endpoint=? AND revision=?",
                         GY_VALS(gy_vs(endpoint), gy_vi(revision)), &found, &n, err));
    *ret = found && n > 0;
    return GY_OK;
}

gy_status gy_revision_get(struct gy_db *db, struct gy_str endpoint, int64_t revision,
                          struct gy_arena *a, struct gy_revision *ret, struct gy_err *err)
{
    int64_t current;
    GY_TRY(current_of(db, endpoint, &current, err));
    if (revision == 0 && current == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "endpoint '%" GY_STR_F "' is undeployed",
                          GY_STR_A(endpoint));
    }
    struct gy_revision *r;
    size_t n;
    GY_TRY(read_all(db,
                    "SELECT " COLUMNS " FROM endpoint_revisions r "
                    "WHERE r.workspace_id='default' AND r.endpoint=? AND r.revision=?",
                    GY_VALS(gy_vs(endpoint), gy_vi(revision ? revision : current)), 1, a, &r, &n,
                    err));
    if (n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "endpoint '%" GY_STR_F "' has no revision %lld",
                          GY_STR_A(endpoint), (long long)revision);
    }
    *ret = *r;
    return GY_OK;
}

gy_status gy_revision_current(struct gy_db *db, struct gy_arena *a, struct gy_revision **ret,
                              size_t *ret_n, struct gy_err *err)
{
    return read_all(db,
                    "SELECT " COLUMNS " FROM endpoints e JOIN endpoint_revisions r "
                    "ON r.workspace_id=e.workspace_id AND r.endpoint=e.name AND "
                    "r.revision=e.revision WHERE e.workspace_id='default' ORDER BY r.endpoint",
                    GY_NO_VALS, MAX_CURRENT, a, ret, ret_n, err);
}

gy_status gy_revision_history(struct gy_db *db, struct gy_str endpoint, size_t max,
                              struct gy_arena *a, struct gy_revision **ret, size_t *ret_n,
                              int64_t *ret_current, struct gy_err *err)
{
    GY_TRY(current_of(db, endpoint, ret_current, err));
    return read_all(db,
                    "SELECT " COLUMNS " FROM endpoint_revisions r "
                    "WHERE r.workspace_id='default' AND r.endpoint=? ORDER BY r.revision DESC",
                    GY_VALS(gy_vs(endpoint)), max, a, ret, ret_n, err);
}

/* ---- looking back ---- */

static bool same_variant(yyjson_val *a, yyjson_val *b)
{
    static const char *const keys[] = {"digest", "version", "role", "weight", "threshold"};
    bool same = true;
    for (size_t i = 0; same && i < sizeof keys / sizeof keys[0]; i++) {
        same = gy_setting_same(gy_json_get(a, keys[i]), gy_json_get(b, keys[i]));
    }
    return same;
}

/* Do two configurations serve the same? Gates and verdicts say under what, not what. */
static bool same_serving(yyjson_val *a, yyjson_val *b)
{
    struct gy_settings of_a, of_b;
    yyjson_val *x = gy_json_get(a, "weights");
    yyjson_val *y = gy_json_get(b, "weights");
    bool same = yyjson_arr_size(x) == yyjson_arr_size(y) &&
                gy_setting_same(gy_json_get(a, "columns"), gy_json_get(b, "columns"));
    gy_setting_read_all(a, &of_a);
    gy_setting_read_all(b, &of_b);
    for (int i = 0; same && i < GY_N_SETTINGS; i++) {
        same = gy_setting_same(of_a.value[i], of_b.value[i]);
    }
    for (size_t i = 0; same && i < yyjson_arr_size(x); i++) {
        same = same_variant(yyjson_arr_get(x, i), yyjson_arr_get(y, i));
    }
    return same;
}

/* Does one version answer alone? A shadow answers nobody. */
static bool is_alone(yyjson_val *config)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(config, "weights"), i, n, one)
    {
        if (gy_str_eqc(gy_json_str(one, "role"), "canary")) {
            return false;
        }
    }
    return true;
}

/* all: newest first. *ret: the number of the revision before all[at], 0: there is none. */
static gy_status find_before(const struct gy_revision *all, size_t n, size_t at, int64_t *ret,
                             struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *now = NULL;
    GY_TRY(gy_json_parse(all[at].config, &now, err));
    *ret = 0;
    for (size_t i = at + 1; i < n; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *then = NULL;
        GY_TRY(gy_json_parse(all[i].config, &then, err));
        yyjson_val *config = yyjson_doc_get_root(then);
        if (is_alone(config) && !same_serving(config, yyjson_doc_get_root(now))) {
            *ret = all[i].revision;
            return GY_OK;
        }
    }
    return GY_OK;
}

gy_status gy_revision_before(struct gy_db *db, struct gy_str endpoint, struct gy_arena *a,
                             struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena memory;
    gy_arena_init(&memory, 64 * GY_MIB);
    struct gy_revision *all;
    size_t n;
    int64_t served;
    int64_t number = 0;
    GY_TRY(gy_revision_history(db, endpoint, LOOK_BACK, &memory, &all, &n, &served, err));
    if (served == 0 && n) {
        number = all[0].revision; /* undeployed: the last one there was */
    }
    for (size_t i = 0; i < n && served; i++) {
        if (all[i].revision == served) {
            GY_TRY(find_before(all, n, i, &number, err));
            break;
        }
    }
    if (number == 0) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "endpoint '%" GY_STR_F "' has no earlier revision to go back to",
                          GY_STR_A(endpoint));
    }
    return gy_revision_get(db, endpoint, number, a, ret, err);
}

/* ---- writing ---- */

/* "kind:name" or "kind:name/number" (number < 0: none). */
static gy_status node(struct gy_buf *b, const char *kind, struct gy_str name, int64_t number,
                      struct gy_err *err)
{
    gy_buf_reset(b);
    gy_buf_addf(b, "%s:%" GY_STR_F, kind, GY_STR_A(name));
    if (number >= 0) {
        gy_buf_addf(b, "/%lld", (long long)number);
    }
    return gy_buf_check(b, "a lineage node", err);
}

static gy_status add_edge(struct gy_db *db, const char *kind, struct gy_str name, int64_t number,
                          const char *rel, struct gy_str to, struct gy_str actor,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf from;
    gy_buf_init(&from, GY_KIB);
    GY_TRY(node(&from, kind, name, number, err));
    return gy_lineage_add(db, gy_buf_str(&from), rel, to, actor, err);
}

/* Everyone who takes part: versions and the verdicts they hold. */
static gy_status add_lineage(struct gy_db *db, const struct gy_revision *r, yyjson_val *weights,
                             struct gy_str to, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(weights, i, n, one)
    {
        bool shadow = gy_str_eqc(gy_json_str(one, "role"), "shadow");
        struct gy_str verdict = gy_json_str(one, "verdict");
        GY_TRY(add_edge(db, "model", gy_json_str(one, "model"), gy_json_i64(one, "version", 0),
                        shadow ? "shadowed" : "deployed", to, r->actor, err));
        if (verdict.p) {
            GY_TRY(add_edge(db, "verdict", verdict, -1, "deployed", to, r->actor, err));
        }
    }
    return GY_OK;
}

static gy_status add_event(struct gy_db *db, const char *kind, const struct gy_revision *r,
                           yyjson_val *weights, int64_t number, struct gy_str subject,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    gy_buf_init(&data, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", r->endpoint);
    gy_jw_kv_i64(&w, "revision", number);
    gy_jw_kv_str(&w, "model", r->model_name);
    gy_jw_kv_i64(&w, "version", r->model_version);
    gy_jw_kv_str(&w, "digest", r->model_digest);
    if (r->copied_from) {
        gy_jw_kv_i64(&w, "copied_from", r->copied_from);
    }
    if (weights) {
        gy_jw_key(&w, "weights");
        gy_jw_val(&w, weights);
    }
    if (r->reason.n) {
        gy_jw_kv_str(&w, "reason", r->reason);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "an event", err));
    return gy_event_add(db, kind, subject, r->actor, gy_buf_str(&data), err);
}

static gy_status insert(struct gy_db *db, const struct gy_revision *r, int64_t number, int64_t now,
                        struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO endpoint_revisions (endpoint, revision, kind, model_name, model_version, "
        "model_digest, run_id, config, gated, verdict_id, copied_from, actor, created_us, "
        "reason) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        GY_VALS(gy_vs(r->endpoint), gy_vi(number), gy_vs(r->kind), gy_vs(r->model_name),
                gy_vi(r->model_version), gy_vs(r->model_digest), gy_vs(r->run_id), gy_vs(r->config),
                gy_vi(r->gated), gy_vs(r->verdict_id),
                r->copied_from ? gy_vi(r->copied_from) : gy_vnull(), gy_vs(r->actor), gy_vi(now),
                r->reason.n ? gy_vs(r->reason) : gy_vnull()),
        NULL, err);
}

static const char *event_of(const struct gy_revision *r)
{
    static const struct {
        const char *kind, *event;
    } events[] = {{"canary", "endpoint.canary"},
                  {"shadow", "endpoint.shadow"},
                  {"promote", "endpoint.promoted"},
                  {"traffic", "endpoint.traffic"},
                  {"rollback", "endpoint.rolled_back"}};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (gy_str_eqc(r->kind, events[i].kind)) {
            return events[i].event;
        }
    }
    return "endpoint.deployed";
}

gy_status gy_revision_expect(struct gy_db *db, struct gy_str endpoint, int64_t expect,
                             struct gy_err *err)
{
    int64_t current;
    if (expect < 0) {
        return GY_OK;
    }
    GY_TRY(current_of(db, endpoint, &current, err));
    return current == expect
               ? GY_OK
               : gy_err_set(err, GY_E_CONFLICT,
                            "endpoint '%" GY_STR_F "' was changed meanwhile: revision %lld is "
                            "served, not %lld",
                            GY_STR_A(endpoint), (long long)current, (long long)expect);
}

gy_status gy_revision_add(struct gy_db *db, const struct gy_revision *r, int64_t *ret_revision,
                          struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(r->config, &doc, err));
    yyjson_val *weights = gy_json_get(yyjson_doc_get_root(doc), "weights");
    int64_t last = 0;
    bool found;
    int64_t now = gy_now_us();
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COALESCE(MAX(revision), 0) FROM endpoint_revisions "
                         "WHERE workspace_id='default' AND endpoint=?",
                         GY_VALS(gy_vs(r->endpoint)), &found, &last, err));
    int64_t number = last + 1;
    GY_TRY(insert(db, r, number, now, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO endpoints (name, revision, actor, created_us, updated_us) "
        "VALUES (?,?,?,?,?) ON CONFLICT (workspace_id, name) DO UPDATE SET "
        "revision=excluded.revision, updated_us=excluded.updated_us",
        GY_VALS(gy_vs(r->endpoint), gy_vi(number), gy_vs(r->actor), gy_vi(now), gy_vi(now)), NULL,
        err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf to;
    gy_buf_init(&to, GY_KIB);
    GY_TRY(node(&to, "revision", r->endpoint, number, err));
    GY_TRY(add_lineage(db, r, weights, gy_buf_str(&to), err));
    *ret_revision = number;
    return add_event(db, event_of(r), r, weights, number, gy_buf_str(&to), err);
}

gy_status gy_revision_undeploy(struct gy_db *db, struct gy_str endpoint, struct gy_str actor,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_revision r;
    GY_TRY(gy_revision_get(db, endpoint, 0, &a, &r, err));
    GY_TRY(gy_db_exec(db,
                      "UPDATE endpoints SET revision=0, updated_us=? "
                      "WHERE workspace_id='default' AND name=?",
                      GY_VALS(gy_vi(gy_now_us()), gy_vs(endpoint)), NULL, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf subject;
    gy_buf_init(&subject, GY_KIB);
    GY_TRY(node(&subject, "revision", endpoint, r.revision, err));
    r.actor = actor;
    return add_event(db, "endpoint.undeployed", &r, NULL, r.revision, gy_buf_str(&subject), err);
}

/* ---- the gate ---- */

struct protected
{
    struct gy_str alias;
    struct protected *next;
};

static gy_status protected_aliases(struct gy_db *db, struct gy_str model, struct gy_arena *a,
                                   struct protected **ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT alias FROM protected_aliases WHERE workspace_id='default' AND "
                       "model=? ORDER BY alias",
                       GY_VALS(gy_vs(model)), &st, err));
    for (;;) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct protected *p = gy_arena_alloc(a, sizeof *p);
        if (!p || !(p->alias = gy_col_dup(st, 0, a)).p) {
            return gy_err_set(err, GY_E_NOMEM, "reading protected aliases");
        }
        p->next = *ret;
        *ret = p;
    }
}

static gy_status was_gated(struct gy_db *db, struct gy_str endpoint, bool *ret, struct gy_err *err)
{
    int64_t n = 0;
    bool found;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM endpoint_revisions WHERE workspace_id='default' AND "
                         "endpoint=? AND gated=1",
                         GY_VALS(gy_vs(endpoint)), &found, &n, err));
    *ret = n > 0;
    return GY_OK;
}

/* Does the newest gate that a deployment of the endpoint came with ask for an approval? One that
 * leaves its gate out is still under it. A rollback carries a copy of an older one; the other
 * changes carry none. */
static gy_status approval_before(struct gy_db *db, struct gy_str endpoint, bool *ret,
                                 struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    *ret = false;
    GY_TRY(gy_db_query(db,
                       "SELECT config FROM endpoint_revisions WHERE workspace_id='default' AND "
                       "endpoint=? AND gated=1 AND kind IN ('deploy', 'canary') AND config LIKE "
                       "'%\"gate\":{%' ORDER BY revision DESC",
                       GY_VALS(gy_vs(endpoint)), &st, err));
    for (;;) {
        bool row;
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_json_parse(gy_col_str(st, 0), &doc, err));
        yyjson_val *gate = gy_json_get(yyjson_doc_get_root(doc), "gate");
        if (yyjson_obj_size(gate) > 0) {
            *ret = gy_gate_asks_approval(gate);
            return GY_OK;
        }
    }
}

bool gy_gate_asks_approval(yyjson_val *gate)
{
    yyjson_val *approval = gy_json_get(gate, "approval");
    return yyjson_is_obj(approval) ? gy_json_bool(approval, "required", true)
                                   : gy_str_eqc(gy_json_val_str(approval), "required");
}

static gy_status not_blessed(struct gy_err *err, const char *why, struct gy_str digest)
{
    (void)gy_err_set(err, GY_E_NOTBLESSED, "%s (package %.12s)", why, digest.p);
    (void)gy_err_hint(err, "gyre gate check says what is missing");
    return GY_E_NOTBLESSED;
}

gy_status gy_revision_gate(struct gy_db *db, struct gy_str endpoint, struct gy_str model,
                           struct gy_str digest, bool project_gated, bool needs_approval,
                           struct gy_arena *a, bool *ret_gated, struct gy_str *ret_verdict_id,
                           struct gy_err *err)
{
    struct protected *aliases = NULL;
    struct gy_verdict verdict;
    bool found = false;
    bool before = false;
    GY_TRY(protected_aliases(db, model, a, &aliases, err));
    GY_TRY(was_gated(db, endpoint, &before, err));
    if (!project_gated && before) {
        GY_TRY(approval_before(db, endpoint, &needs_approval, err));
    }
    GY_TRY(gy_verdict_latest(db, digest, GY_STR_NULL, a, &found, &verdict, err));
    *ret_verdict_id = found ? verdict.id : GY_STR_NULL;
    *ret_gated = aliases || before || project_gated;
    for (struct protected *p = aliases; p; p = p->next) {
        GY_TRY(gy_gate_allows_alias(db, model, p->alias, digest, err));
    }
    if (*ret_gated && (!found || !verdict.blessed)) {
        return not_blessed(err,
                           found ? "the gate has judged this version NOT_BLESSED"
                                 : "this endpoint is gated and the version holds no verdict",
                           digest);
    }
    if (*ret_gated && needs_approval) {
        struct gy_approval approval;
        GY_TRY(gy_approval_latest(db, digest, GY_STR_NULL, a, &found, &approval, err));
        if (!found || !gy_str_eqc(approval.state, "approved")) {
            return not_blessed(err, "the version is blessed, but no person has approved it",
                               digest);
        }
    }
    return GY_OK;
}
