/* SPDX-License-Identifier: Apache-2.0 */
#include "track/history.h"

#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/scope.h"

/* ---- reading ---- */

/* Versions and stages in one column: as text. */
#define ALIAS_ROWS                                                                              \
    "SELECT created_us, 'alias' AS kind, alias AS what, COALESCE(action, CASE WHEN to_version " \
    "IS NULL THEN 'removed' ELSE 'moved' END) AS action, CAST(from_version AS TEXT) AS came, "  \
    "CAST(to_version AS TEXT) AS went, 0 AS revision, actor, reason, id AS place FROM "         \
    "model_alias_history WHERE workspace_id = ? AND model_name = ? AND (? = '' OR alias = ?)"

static const char g_alias_history[] =
    ALIAS_ROWS " ORDER BY created_us DESC, place DESC, kind LIMIT ?";

static const char g_history[] = ALIAS_ROWS
    " UNION ALL SELECT created_us, kind, CAST(version AS TEXT), NULL, from_value, to_value, 0, "
    "actor, reason, id FROM model_changes WHERE workspace_id = ? AND model_name = ?"
    " UNION ALL SELECT r.created_us, 'endpoint', r.endpoint, r.kind, (SELECT "
    "CAST(p.model_version AS TEXT) FROM endpoint_revisions p WHERE p.workspace_id = "
    "r.workspace_id AND p.endpoint = r.endpoint AND p.revision = r.revision - 1 AND p.model_name "
    "= r.model_name), CAST(r.model_version AS TEXT), r.revision, r.actor, r.reason, r.revision "
    "FROM endpoint_revisions r WHERE r.workspace_id = ? AND r.model_name = ? AND r.kind IN "
    "('deploy', 'promote', 'rollback')"
    " UNION ALL SELECT v.created_us, 'version', CAST(v.version AS TEXT), 'registered', NULL, "
    "CAST(v.version AS TEXT), 0, v.actor, NULL, v.id FROM model_versions v JOIN "
    "registered_models m ON m.id = v.model WHERE m.workspace_id = ? AND m.name = ?"
    " ORDER BY created_us DESC, place DESC, kind LIMIT ?";

static gy_status read_entry(struct gy_stmt *st, struct gy_arena *a, struct gy_history_entry *e,
                            struct gy_err *err)
{
    *e = (struct gy_history_entry){.time_us = gy_col_i64(st, 0), .revision = gy_col_i64(st, 6)};
    struct gy_str *texts[] = {NULL,   &e->kind, &e->what,  &e->action, &e->from,
                              &e->to, NULL,     &e->actor, &e->reason};
    for (int i = 0; i < 9; i++) {
        if (texts[i]) {
            GY_TRY(gy_col_copy(st, i, a, texts[i], err));
        }
    }
    return GY_OK;
}

gy_status gy_model_history(struct gy_db *db, struct gy_str name, struct gy_str alias, int64_t max,
                           struct gy_arena *a, struct gy_history_entry **ret, size_t *ret_n,
                           struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_val ws = gy_vs(gy_db_workspace(db)), n = gy_vs(name);
    struct gy_val which = gy_vs(alias.p ? alias : GY_STR(""));
    max = max > GY_HISTORY_MAX ? GY_HISTORY_MAX : max;
    if (which.s.n > 0) {
        GY_TRY(
            gy_db_query(db, g_alias_history, GY_VALS(ws, n, which, which, gy_vi(max)), &st, err));
    } else {
        GY_TRY(gy_db_query(db, g_history,
                           GY_VALS(ws, n, which, which, ws, n, ws, n, ws, n, gy_vi(max)), &st,
                           err));
    }
    void *items = NULL;
    size_t count = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, count, &cap, sizeof(struct gy_history_entry), err));
        GY_TRY(read_entry(st, a, &((struct gy_history_entry *)items)[count++], err));
    }
    *ret = items;
    *ret_n = count;
    return GY_OK;
}

/* ---- moving aliases ---- */

static gy_status version_of_alias(struct gy_db *db, int64_t model, struct gy_str alias,
                                  int64_t *ret, struct gy_err *err)
{
    bool found = false;
    *ret = 0;
    return gy_db_get_i64(db, "SELECT version FROM model_aliases WHERE model = ? AND alias = ?",
                         GY_VALS(gy_vi(model), gy_vs(alias)), &found, ret, err);
}

/* Where an alias was, newest last; a rollback takes off what it undoes. */
struct stack {
    int64_t *versions;
    size_t n;
};

static void replay(struct stack *s, const struct gy_alias_move *m)
{
    size_t at = s->n;
    if (gy_str_eqc(m->action, "rolled_back")) {
        while (at > 0 && s->versions[at - 1] != m->to_version) {
            at--;
        }
    }
    bool undone = gy_str_eqc(m->action, "rolled_back") && at > 0;
    s->n = undone ? at : s->n;
    if (!undone) {
        s->versions[s->n++] = m->to_version;
    }
}

static gy_status is_live(struct gy_db *db, int64_t model, int64_t version, bool *ret,
                         struct gy_err *err)
{
    int64_t one = 0;
    return gy_db_get_i64(
        db, "SELECT 1 FROM model_versions WHERE model = ? AND version = ? AND deleted = 0",
        GY_VALS(gy_vi(model), gy_vi(version)), ret, &one, err);
}

static gy_status find_before(struct gy_db *db, struct gy_str name, struct gy_str alias,
                             struct gy_arena *a, int64_t *ret, struct gy_err *err)
{
    struct gy_alias_move *moves = NULL;
    size_t n = 0;
    int64_t model = 0, now = 0;
    GY_TRY(gy_model_find(db, name, &model, err));
    GY_TRY(version_of_alias(db, model, alias, &now, err));
    GY_TRY(gy_model_alias_history(db, name, alias, GY_HISTORY_MAX, a, &moves, &n, err));
    struct stack s = {gy_arena_calloc(a, n + 1, sizeof(int64_t)), 0};
    if (!s.versions) {
        return gy_track_nomem(err);
    }
    if (n > 0 && moves[n - 1].from_version) {
        s.versions[s.n++] = moves[n - 1].from_version; /* what was before we kept a history */
    }
    for (size_t i = n; i > 0; i--) {
        replay(&s, &moves[i - 1]);
    }
    while (s.n > 0) {
        int64_t version = s.versions[--s.n];
        bool live = false;
        if (version != 0 && version != now) {
            GY_TRY(is_live(db, model, version, &live, err));
        }
        if (live) {
            *ret = version;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_NOTFOUND,
                     "%" GY_STR_F "@%" GY_STR_F " pointed to no other version before",
                     GY_STR_A(gy_str_sub(name, 0, 200)), GY_STR_A(alias));
    return gy_err_hint(err, "--to N names the version");
}

gy_status gy_model_alias_before(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                int64_t *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    return find_before(db, name, alias, &a, ret, err);
}

static gy_status held_before(struct gy_db *db, struct gy_str name, struct gy_str alias,
                             int64_t version, bool *ret, struct gy_err *err)
{
    int64_t one = 0;
    return gy_db_get_i64(db,
                         "SELECT 1 FROM model_alias_history WHERE workspace_id = ? AND model_name "
                         "= ? AND alias = ? AND (to_version = ? OR from_version = ?) LIMIT 1",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(alias),
                                 gy_vi(version), gy_vi(version)),
                         ret, &one, err);
}

static gy_status move(struct gy_db *db, struct gy_str name, struct gy_str alias, int64_t version,
                      const struct gy_model_why *why, struct gy_alias_moved *ret,
                      struct gy_err *err)
{
    int64_t model = 0;
    GY_TRY(gy_track_check_length(why->reason, GY_HISTORY_MAX_REASON, "reason", err));
    GY_TRY(gy_model_find(db, name, &model, err));
    GY_TRY(version_of_alias(db, model, alias, &ret->from, err));
    ret->to = version;
    return gy_registry_move_alias(db, name, alias, version, why, err);
}

gy_status gy_model_promote(struct gy_db *db, struct gy_str name, int64_t version,
                           struct gy_str alias, const struct gy_model_why *why,
                           struct gy_alias_moved *ret, struct gy_err *err)
{
    struct gy_model_why w = {.actor = why->actor, .reason = why->reason, .action = "promoted"};
    return move(db, name, alias, version, &w, ret, err);
}

gy_status gy_model_rollback(struct gy_db *db, struct gy_str name, struct gy_str alias, int64_t to,
                            const struct gy_model_why *why, struct gy_alias_moved *ret,
                            struct gy_err *err)
{
    struct gy_model_why w = {.actor = why->actor, .reason = why->reason, .action = "rolled_back"};
    if (to == 0) {
        GY_TRY(gy_model_alias_before(db, name, alias, &to, err));
    }
    GY_TRY(held_before(db, name, alias, to, &w.back, err));
    return move(db, name, alias, to, &w, ret, err);
}

gy_status gy_version_take_reason(struct gy_db *db, struct gy_str name, int64_t version,
                                 struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    struct gy_model_version v;
    struct gy_tag *tags = NULL;
    size_t n = 0;
    *ret = GY_STR_NULL;
    if (gy_version_get(db, name, version, a, &v, NULL) != GY_OK) {
        return GY_OK; /* who moves something there will say so */
    }
    GY_TRY(gy_version_tags(db, &v, a, &tags, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eqc(tags[i].key, GY_HISTORY_REASON)) {
            *ret = gy_track_cut(tags[i].value, GY_HISTORY_MAX_REASON);
            return gy_version_delete_tag(db, name, version, tags[i].key, err);
        }
    }
    return GY_OK;
}

/* ---- stages, names, ends ---- */

static gy_status note(struct gy_db *db, struct gy_str name, int64_t version, const char *kind,
                      struct gy_str from, struct gy_str to, const struct gy_model_why *why,
                      struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO model_changes (workspace_id, model_name, version, kind, from_value, to_value, "
        "reason, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), version ? gy_vi(version) : gy_vnull(),
                gy_vc(kind), gy_vs(from), gy_vs(to),
                gy_vs(why->reason.n ? why->reason : GY_STR_NULL), gy_vs(why->actor),
                gy_vi(gy_now_us())),
        NULL, err);
}

gy_status gy_model_note_stage(struct gy_db *db, struct gy_str name, int64_t version_id,
                              struct gy_str stage, bool archive_others,
                              const struct gy_model_why *why, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_track_check_length(why->reason, GY_HISTORY_MAX_REASON, "reason", err));
    GY_TRY(gy_db_query(db,
                       "SELECT w.version, w.stage, CASE WHEN w.id = v.id THEN 1 ELSE 0 END FROM "
                       "model_versions v JOIN model_versions w ON w.model = v.model WHERE v.id = ? "
                       "AND w.deleted = 0 AND (w.id = v.id OR (? = 1 AND w.stage = ?)) ORDER BY "
                       "w.version",
                       GY_VALS(gy_vi(version_id), gy_vi(archive_others), gy_vs(stage)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_str to = gy_col_i64(st, 2) ? stage : GY_STR("Archived");
        if (!gy_str_eq(gy_col_str(st, 1), to)) {
            GY_TRY(note(db, name, gy_col_i64(st, 0), "stage", gy_col_str(st, 1), to, why, err));
        }
    }
}

gy_status gy_model_records_renamed(struct gy_db *db, struct gy_str from, struct gy_str to,
                                   struct gy_str actor, struct gy_err *err)
{
    static const char *const updates[] = {
        "UPDATE model_alias_history SET model_name = ? WHERE workspace_id = ? AND model_name = ?",
        "UPDATE model_changes SET model_name = ? WHERE workspace_id = ? AND model_name = ?",
        "UPDATE model_cards SET model_name = ? WHERE workspace_id = ? AND model_name = ?",
    };
    static const char comments[] =
        "UPDATE comments SET subject = 'model:' || ? || SUBSTR(subject, CAST(? AS INTEGER)) WHERE "
        "workspace_id = ? "
        "AND gone_us = 0 AND subject IN (SELECT 'model:' || m.name || '/' || CAST(v.version AS "
        "TEXT) FROM model_versions v JOIN registered_models m ON m.id = v.model WHERE "
        "m.workspace_id = ? AND m.name = ?)";
    const struct gy_model_why why = {.actor = actor};
    struct gy_val ws = gy_vs(gy_db_workspace(db));
    int64_t characters = 0;
    bool found = false;
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        GY_TRY(gy_db_exec(db, updates[i], GY_VALS(gy_vs(to), ws, gy_vs(from)), NULL, err));
    }
    /* Another model of the new name may have been attached before it was deleted. */
    GY_TRY(gy_db_exec(db, "DELETE FROM use_case_models WHERE workspace_id = ? AND model_name = ?",
                      GY_VALS(ws, gy_vs(to)), NULL, err));
    GY_TRY(gy_db_exec(
        db, "UPDATE use_case_models SET model_name = ? WHERE workspace_id = ? AND model_name = ?",
        GY_VALS(gy_vs(to), ws, gy_vs(from)), NULL, err));
    GY_TRY(gy_db_get_i64(db, "SELECT LENGTH(?)", GY_VALS(gy_vs(from)), &found, &characters, err));
    GY_TRY(gy_db_exec(
        db, comments,
        GY_VALS(gy_vs(to), gy_vi(characters + (int64_t)sizeof "model:"), ws, ws, gy_vs(from)), NULL,
        err));
    return note(db, to, 0, "renamed", from, to, &why, err);
}

gy_status gy_model_records_deleted(struct gy_db *db, struct gy_str name, int64_t version,
                                   struct gy_str actor, struct gy_err *err)
{
    static const char comments[] =
        "UPDATE comments SET gone_us = ? WHERE workspace_id = ? AND gone_us = 0 AND subject IN "
        "(SELECT 'model:' || m.name || '/' || CAST(v.version AS TEXT) FROM model_versions v JOIN "
        "registered_models m ON m.id = v.model WHERE m.workspace_id = ? AND m.name = ?)";
    const struct gy_model_why why = {.actor = actor};
    struct gy_val ws = gy_vs(gy_db_workspace(db)), now = gy_vi(gy_now_us());
    if (version == 0) { /* a version's number is not given again while its model is there */
        GY_TRY(gy_db_exec(db,
                          "UPDATE model_cards SET gone_us = ? WHERE workspace_id = ? AND "
                          "model_name = ? AND gone_us = 0",
                          GY_VALS(now, ws, gy_vs(name)), NULL, err));
        GY_TRY(gy_db_exec(db, comments, GY_VALS(now, ws, ws, gy_vs(name)), NULL, err));
        GY_TRY(gy_db_exec(db,
                          "DELETE FROM use_case_models WHERE workspace_id = ? AND model_name = ?",
                          GY_VALS(ws, gy_vs(name)), NULL, err));
    }
    return note(db, name, version, "deleted", GY_STR_NULL, GY_STR_NULL, &why, err);
}

/* ---- what is served may not go ---- */

struct served {
    struct gy_db *db;
    struct gy_arena *arena;
    int64_t model, version_id;
};

static gy_status refuse_one(struct served *x, struct gy_str endpoint, struct gy_str name,
                            int64_t version, struct gy_str digest, struct gy_str role,
                            struct gy_err *err)
{
    struct gy_model_version v;
    struct gy_err why = GY_ERR_INIT;
    gy_status status =
        digest.n ? gy_registry_by_digest(x->db, name, version, digest, false, x->arena, &v, &why)
                 : GY_E_NOTFOUND;
    if (status != GY_OK && status != GY_E_NOTFOUND) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    if (status == GY_E_NOTFOUND || v.model != x->model ||
        (x->version_id && v.id != x->version_id)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_CONFLICT,
                     "version %lld of model '%" GY_STR_F "' is served by endpoint '%" GY_STR_F
                     "'%s%" GY_STR_F ": it can not be deleted",
                     (long long)v.version, GY_STR_A(gy_str_sub(v.name, 0, 200)), GY_STR_A(endpoint),
                     role.n ? " as its " : "", GY_STR_A(role));
    return gy_err_hint(err, "gyre endpoint undeploy %" GY_STR_F ", or deploy another version",
                       GY_STR_A(endpoint));
}

static gy_status refuse_endpoint(struct served *x, struct gy_stmt *st, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str endpoint = gy_col_str(st, 0);
    GY_TRY(gy_json_parse(gy_col_str(st, 1), &doc, err));
    yyjson_val *weights = gy_json_get(yyjson_doc_get_root(doc), "weights");
    if (yyjson_arr_size(weights) == 0) { /* a revision of before there were canaries */
        return refuse_one(x, endpoint, gy_col_str(st, 2), gy_col_i64(st, 3), gy_col_str(st, 4),
                          GY_STR_NULL, err);
    }
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(weights, i, n, one)
    {
        struct gy_str role = gy_json_str(one, "role");
        role = gy_str_eqc(role, "stable") ? GY_STR_NULL : role;
        GY_TRY(refuse_one(x, endpoint, gy_json_str(one, "model"), gy_json_i64(one, "version", 0),
                          gy_json_str(one, "digest"), role, err));
    }
    return GY_OK;
}

gy_status gy_model_refuse_served(struct gy_db *db, int64_t model, int64_t version_id,
                                 struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct served x = {db, &a, model, version_id};
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT e.name, r.config, r.model_name, r.model_version, r.model_digest "
                       "FROM endpoints e JOIN endpoint_revisions r ON r.workspace_id = "
                       "e.workspace_id AND r.endpoint = e.name AND r.revision = e.revision WHERE "
                       "e.workspace_id = ? ORDER BY e.name",
                       GY_VALS(gy_vs(gy_db_workspace(db))), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(refuse_endpoint(&x, st, err));
    }
}
