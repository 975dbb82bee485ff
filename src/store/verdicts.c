/* SPDX-License-Identifier: Apache-2.0 */
#include "store/verdicts.h"

#include <stdio.h>

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"

/* "kind:" + id */
struct node {
    char text[GY_LINEAGE_MAX_NODE + 1];
};

static struct gy_str make_node(struct node *n, const char *kind, struct gy_str id)
{
    snprintf(n->text, sizeof n->text, "%s:%" GY_STR_F, kind, GY_STR_A(id));
    return gy_str_c(n->text);
}

static gy_status need(struct gy_str s, const char *what, struct gy_err *err)
{
    return s.n > 0 && s.n <= GY_MAX_NAME
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "%s: 1 to %d bytes are wanted", what, GY_MAX_NAME);
}

static struct gy_val text_or_empty(struct gy_str s)
{
    return gy_vs(s.p ? s : GY_STR(""));
}

static gy_status id_of(struct gy_str given, char ret_id[GY_UUID_TEXT], struct gy_err *err)
{
    if (given.n == 0) {
        return gy_new_id(ret_id, err);
    }
    unsigned char uuid[16];
    GY_TRY(gy_uuid_parse(given, uuid, err));
    gy_uuid_text(uuid, ret_id);
    return GY_OK;
}

/* ---- verdicts ---- */

static gy_status check_json(struct gy_str json, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_status status = gy_json_parse(json, &doc, err);
    if (status != GY_OK) {
        gy_err_wrap(err, "the verdict's checks");
    }
    return status;
}

gy_status gy_verdict_add(struct gy_db *db, const struct gy_verdict *v, char *ret_id,
                         struct gy_err *err)
{
    GY_TRY(need(v->model_digest, "model digest", err));
    GY_TRY(need(v->gate, "gate", err));
    GY_TRY(gy_actor_need(v->actor, "a verdict", err));
    struct gy_str checks = v->checks.n ? v->checks : GY_STR("[]");
    GY_TRY(check_json(checks, err));
    char id[GY_UUID_TEXT];
    GY_TRY(id_of(v->id, id, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO verdicts (id, model_digest, model_name, model_version, gate, blessed, checks, "
        "champion_digest, data_sha256, actor, created_us) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        GY_VALS(gy_vc(id), gy_vs(v->model_digest), text_or_empty(v->model_name),
                text_or_empty(v->model_version), gy_vs(v->gate), gy_vi(v->blessed), gy_vs(checks),
                gy_vs(v->champion_digest), gy_vs(v->data_sha256), gy_vs(v->actor),
                gy_vi(v->time_us ? v->time_us : gy_now_us())),
        NULL, err));
    struct node from, to;
    GY_TRY(gy_lineage_add(db, make_node(&from, "modeldigest", v->model_digest), "judged",
                          make_node(&to, "verdict", gy_str_c(id)), v->actor, err));
    GY_TRY(gy_event_add(db, v->blessed ? "verdict.blessed" : "verdict.refused", gy_str_c(from.text),
                        v->actor, GY_STR_NULL, err));
    if (ret_id) {
        memcpy(ret_id, id, sizeof id);
    }
    return GY_OK;
}

#define VERDICT_COLUMNS                                                                            \
    "SELECT id, model_digest, model_name, model_version, gate, blessed, checks, champion_digest, " \
    "data_sha256, actor, created_us FROM verdicts "

static gy_status read_verdict(struct gy_stmt *st, struct gy_arena *a, struct gy_verdict *ret,
                              struct gy_err *err)
{
    struct gy_verdict v = {.blessed = gy_col_i64(st, 5) != 0, .time_us = gy_col_i64(st, 10)};
    struct gy_str *texts[] = {
        &v.id, &v.model_digest, &v.model_name,      &v.model_version, &v.gate,
        NULL,  &v.checks,       &v.champion_digest, &v.data_sha256,   &v.actor};
    for (int i = 0; i < 10; i++) {
        if (texts[i]) {
            GY_TRY(gy_col_copy(st, i, a, texts[i], err));
        }
    }
    *ret = v;
    return GY_OK;
}

gy_status gy_verdict_latest(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                            struct gy_arena *a, bool *ret_found, struct gy_verdict *ret,
                            struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       VERDICT_COLUMNS "WHERE model_digest=? AND (?='' OR gate=?) "
                                       "ORDER BY created_us DESC, id DESC LIMIT 1",
                       GY_VALS(gy_vs(digest), text_or_empty(gate), text_or_empty(gate)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_verdict(st, a, ret, err) : GY_OK;
}

gy_status gy_verdict_list(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                          struct gy_arena *a, struct gy_verdict **ret, size_t *ret_n,
                          struct gy_err *err)
{
    struct gy_verdict *rows = gy_arena_calloc(a, GY_VERDICT_LIST_MAX, sizeof *rows);
    if (!rows) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory listing verdicts");
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       VERDICT_COLUMNS "WHERE (?='' OR model_digest=?) AND (?='' OR gate=?) "
                                       "ORDER BY created_us DESC, id DESC LIMIT ?",
                       GY_VALS(text_or_empty(digest), text_or_empty(digest), text_or_empty(gate),
                               text_or_empty(gate), gy_vi(GY_VERDICT_LIST_MAX)),
                       &st, err));
    size_t n = 0;
    while (n < GY_VERDICT_LIST_MAX) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_verdict(st, a, &rows[n], err));
        n++;
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

/* ---- approvals ---- */

gy_status gy_approval_request(struct gy_db *db, const struct gy_approval *a, char *ret_id,
                              struct gy_err *err)
{
    GY_TRY(need(a->model_digest, "model digest", err));
    GY_TRY(need(a->gate, "gate", err));
    GY_TRY(need(a->requested_by, "the actor of the request", err));
    char id[GY_UUID_TEXT];
    GY_TRY(id_of(a->id, id, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO approvals (id, model_digest, model_name, model_version, gate, state, actor, "
        "created_us, "
        "reason) VALUES (?,?,?,?,?,'requested',?,?,?)",
        GY_VALS(gy_vc(id), gy_vs(a->model_digest), text_or_empty(a->model_name),
                text_or_empty(a->model_version), gy_vs(a->gate), gy_vs(a->requested_by),
                gy_vi(a->requested_us ? a->requested_us : gy_now_us()), gy_vs(a->reason)),
        NULL, err));
    struct node subject;
    GY_TRY(gy_event_add(db, "approval.requested", make_node(&subject, "approval", gy_str_c(id)),
                        a->requested_by, GY_STR_NULL, err));
    if (ret_id) {
        memcpy(ret_id, id, sizeof id);
    }
    return GY_OK;
}

/* Why a decision changed no row. */
static gy_status explain_undecided(struct gy_db *db, struct gy_str id, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, 4 * GY_KIB);
    bool found;
    struct gy_str state;
    GY_TRY(gy_db_get_str(db, "SELECT state FROM approvals WHERE id=?", GY_VALS(gy_vs(id)), &arena,
                         &found, &state, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "no approval '%" GY_STR_F "'", GY_STR_A(id));
    }
    return gy_err_set(err, GY_E_CONFLICT, "approval '%" GY_STR_F "' is %" GY_STR_F " already",
                      GY_STR_A(id), GY_STR_A(state));
}

/* Where a protected alias asks for four eyes, they are not those of one person. What the gate is
 * called decides, not which model the request says it is about. */
static gy_status check_four_eyes(struct gy_db *db, struct gy_str id, struct gy_str actor,
                                 struct gy_err *err)
{
    bool found = false;
    int64_t one = 0;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT 1 FROM approvals a JOIN protected_aliases p ON p.gate=a.gate AND "
                         "p.workspace_id=? WHERE a.id=? AND a.state='requested' AND "
                         "a.actor=? AND p.four_eyes=1 LIMIT 1",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(id), gy_vs(actor)), &found, &one,
                         err));
    if (!found) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_DENIED,
                     "approval '%" GY_STR_F "' was asked for by %" GY_STR_F
                     ": the gate wants another person to decide",
                     GY_STR_A(id), GY_STR_A(actor));
    return gy_err_hint(err, "gate: {approval: {four_eyes: true}} stands in gyre.yaml");
}

gy_status gy_approval_decide(struct gy_db *db, struct gy_str id, bool approve, struct gy_str actor,
                             struct gy_str reason, struct gy_err *err)
{
    GY_TRY(gy_actor_need(actor, "a decision", err));
    GY_TRY(approve ? check_four_eyes(db, id, actor, err) : GY_OK);
    int64_t changed = 0;
    GY_TRY(gy_db_exec(
        db,
        "UPDATE approvals SET state=?, decided_by=?, decided_us=?, reason=COALESCE(?, reason) "
        "WHERE id=? AND state='requested'",
        GY_VALS(gy_vc(approve ? "approved" : "rejected"), gy_vs(actor), gy_vi(gy_now_us()),
                gy_vs(reason), gy_vs(id)),
        &changed, err));
    if (changed != 1) {
        return explain_undecided(db, id, err);
    }
    struct node from, to;
    make_node(&from, "approval", id);
    if (approve) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
        gy_arena_init(&arena, 4 * GY_KIB);
        bool found;
        struct gy_str digest;
        GY_TRY(gy_db_get_str(db, "SELECT model_digest FROM approvals WHERE id=?",
                             GY_VALS(gy_vs(id)), &arena, &found, &digest, err));
        GY_TRY(gy_lineage_add(db, gy_str_c(from.text), "approved",
                              make_node(&to, "modeldigest", digest), actor, err));
    }
    return gy_event_add(db, approve ? "approval.approved" : "approval.rejected",
                        gy_str_c(from.text), actor, GY_STR_NULL, err);
}

#define APPROVAL_COLUMNS                                                                           \
    "SELECT id, model_digest, model_name, model_version, gate, state, actor, decided_by, reason, " \
    "created_us, "                                                                                 \
    "decided_us FROM approvals "

static gy_status read_approval(struct gy_stmt *st, struct gy_arena *a, struct gy_approval *ret,
                               struct gy_err *err)
{
    struct gy_approval v = {.requested_us = gy_col_i64(st, 9), .decided_us = gy_col_i64(st, 10)};
    struct gy_str *texts[] = {&v.id,    &v.model_digest, &v.model_name, &v.model_version, &v.gate,
                              &v.state, &v.requested_by, &v.decided_by, &v.reason};
    for (int i = 0; i < 9; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    *ret = v;
    return GY_OK;
}

gy_status gy_approval_latest(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                             struct gy_arena *a, bool *ret_found, struct gy_approval *ret,
                             struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db,
        APPROVAL_COLUMNS
        "WHERE model_digest=? AND (?='' OR gate=?) ORDER BY created_us DESC, id DESC LIMIT 1",
        GY_VALS(gy_vs(digest), text_or_empty(gate), text_or_empty(gate)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_approval(st, a, ret, err) : GY_OK;
}

gy_status gy_approval_list(struct gy_db *db, struct gy_arena *a, struct gy_approval **ret,
                           size_t *ret_n, struct gy_err *err)
{
    bool found;
    int64_t total = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM approvals", GY_NO_VALS, &found, &total, err));
    size_t max = total > GY_APPROVAL_LIST_MAX ? GY_APPROVAL_LIST_MAX : (size_t)total, n = 0;
    struct gy_approval *list = gy_arena_calloc(a, max ? max : 1, sizeof *list);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "reading approvals");
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, APPROVAL_COLUMNS "ORDER BY created_us DESC, id DESC LIMIT ?",
                       GY_VALS(gy_vi((int64_t)max)), &st, err));
    for (; n < max; n++) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_approval(st, a, &list[n], err));
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

/* ---- protected aliases ---- */

/* A gate that was exchanged for an easier one shows. */
static gy_status note_protection(struct gy_db *db, struct gy_str model, struct gy_str alias,
                                 struct gy_str gate, bool needs_approval, struct gy_str actor,
                                 struct gy_err *err)
{
    struct node subject;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    struct gy_jw w;
    gy_buf_init(&data, 8 * GY_KIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "alias", alias);
    gy_jw_kv_str(&w, "gate", gate);
    gy_jw_kv_strc(&w, "approval", needs_approval ? "required" : "none");
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "an event", err));
    return gy_event_add(db, "alias.protected", make_node(&subject, "model", model), actor,
                        gy_buf_str(&data), err);
}

gy_status gy_protect_loosens(struct gy_db *db, struct gy_str model, struct gy_str alias,
                             bool needs_approval, bool four_eyes, bool *ret, struct gy_err *err)
{
    int64_t now = 0; /* 2: an approval; 1: four eyes */
    bool found;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT 2 * needs_approval + four_eyes FROM protected_aliases WHERE "
                         "workspace_id=? AND model=? AND alias=?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vs(alias)), &found,
                         &now, err));
    *ret = found && ((now / 2 && !needs_approval) || (now % 2 && !four_eyes));
    return GY_OK;
}

gy_status gy_protect_alias(struct gy_db *db, struct gy_str model, struct gy_str alias,
                           struct gy_str gate, bool needs_approval, struct gy_str actor,
                           struct gy_err *err)
{
    GY_TRY(need(model, "model", err));
    GY_TRY(need(alias, "alias", err));
    GY_TRY(need(gate, "gate", err));
    GY_TRY(need(actor, "actor", err));
    if (gy_str_ieq(alias, GY_STR("latest"))) {
        return gy_err_set(err, GY_E_INVALID,
                          "'latest' is the newest version whatever it is: it can not be protected");
    }
    int64_t changed = 0;
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO protected_aliases (workspace_id, model, alias, gate, needs_approval, actor, "
        "created_us) VALUES (?,?,?,?,?,?,?) ON CONFLICT (workspace_id, model, alias) DO UPDATE SET "
        "gate=excluded.gate, needs_approval=excluded.needs_approval, actor=excluded.actor, "
        "created_us=excluded.created_us WHERE protected_aliases.gate<>excluded.gate OR "
        "protected_aliases.needs_approval<>excluded.needs_approval",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vs(alias), gy_vs(gate),
                gy_vi(needs_approval), gy_vs(actor), gy_vi(gy_now_us())),
        &changed, err));
    return changed ? note_protection(db, model, alias, gate, needs_approval, actor, err) : GY_OK;
}

gy_status gy_protect_four_eyes(struct gy_db *db, struct gy_str model, struct gy_str alias, bool on,
                               struct gy_str actor, struct gy_err *err)
{
    int64_t changed = 0;
    GY_TRY(gy_db_exec(
        db,
        "UPDATE protected_aliases SET four_eyes=? WHERE workspace_id=? AND model=? "
        "AND alias=? AND four_eyes<>?",
        GY_VALS(gy_vi(on), gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vs(alias), gy_vi(on)),
        &changed, err));
    struct node subject;
    return changed ? gy_event_add(db, on ? "gate.four_eyes" : "gate.two_eyes",
                                  make_node(&subject, "model", model), actor, GY_STR_NULL, err)
                   : GY_OK;
}

gy_status gy_protect_renamed(struct gy_db *db, struct gy_str from, struct gy_str to,
                             struct gy_err *err)
{
    return gy_db_exec(db,
                      "INSERT INTO protected_aliases (workspace_id, model, alias, gate, "
                      "needs_approval, four_eyes, actor, created_us) SELECT workspace_id, ?, "
                      "alias, gate, needs_approval, four_eyes, actor, created_us FROM "
                      "protected_aliases WHERE workspace_id=? AND model=? "
                      "ON CONFLICT (workspace_id, model, alias) DO NOTHING",
                      GY_VALS(gy_vs(to), gy_vs(gy_db_workspace(db)), gy_vs(from)), NULL, err);
}

/* "recall [HR > 90]: 0.61 is below 0.75", one check. */
static void describe_check(struct gy_buf *out, yyjson_val *check)
{
    struct gy_str metric = gy_json_str(check, "metric"), slice = gy_json_str(check, "slice");
    struct gy_str reason = gy_json_str(check, "reason");
    gy_buf_addc(out, out->n ? "; " : "");
    gy_buf_add(out, metric.p ? metric : GY_STR("a check"));
    if (slice.n) {
        gy_buf_addf(out, " [%" GY_STR_F "]", GY_STR_A(slice));
    }
    if (reason.n) {
        gy_buf_addf(out, ": %" GY_STR_F, GY_STR_A(reason));
    }
}

/* The checks of a verdict that failed, as a sentence. */
static void describe_failures(struct gy_buf *out, struct gy_str checks)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(checks, &doc, NULL) != GY_OK) {
        return;
    }
    size_t i, n;
    yyjson_val *check;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, check)
    {
        if (!gy_json_bool(check, "passed", true)) {
            describe_check(out, check);
        }
    }
}

/* Any verdict of the gate that blessed it. */
static gy_status blessed_once(struct gy_db *db, struct gy_str digest, struct gy_str gate, bool *ret,
                              struct gy_err *err)
{
    int64_t one = 0;
    return gy_db_get_i64(db,
                         "SELECT 1 FROM verdicts WHERE model_digest=? AND gate=? AND blessed=1 "
                         "LIMIT 1",
                         GY_VALS(gy_vs(digest), gy_vs(gate)), ret, &one, err);
}

static gy_status verdict_allows(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                                bool back, struct gy_arena *a, struct gy_err *err)
{
    bool found;
    struct gy_verdict v;
    GY_TRY(gy_verdict_latest(db, digest, gate, a, &found, &v, err));
    if (!found) {
        gy_err_set(err, GY_E_NOTBLESSED,
                   "gate '%" GY_STR_F "' has given no verdict on this version", GY_STR_A(gate));
        gy_err_hint(err, "run: gyre gate check");
        return GY_E_NOTBLESSED;
    }
    bool allowed = v.blessed;
    if (!allowed && back) {
        GY_TRY(blessed_once(db, digest, gate, &allowed, err));
    }
    if (!allowed) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf why;
        gy_buf_init(&why, 4 * GY_KIB);
        describe_failures(&why, v.checks);
        return gy_err_set(err, GY_E_NOTBLESSED,
                          "NOT_BLESSED by gate '%" GY_STR_F "' (verdict %" GY_STR_F ")%s%s",
                          GY_STR_A(gate), GY_STR_A(v.id), why.n ? ": " : "", why.p);
    }
    return GY_OK;
}

/* The newest decision there is on it: asking once more takes nothing back, a rejection does. */
static gy_status approved_before(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                                 struct gy_arena *a, bool *ret, struct gy_err *err)
{
    bool found = false;
    struct gy_str state = GY_STR_NULL;
    GY_TRY(gy_db_get_str(db,
                         "SELECT state FROM approvals WHERE model_digest=? AND gate=? AND "
                         "state<>'requested' ORDER BY decided_us DESC, id DESC LIMIT 1",
                         GY_VALS(gy_vs(digest), gy_vs(gate)), a, &found, &state, err));
    *ret = found && gy_str_eqc(state, "approved");
    return GY_OK;
}

static gy_status approval_allows(struct gy_db *db, struct gy_str digest, struct gy_str gate,
                                 bool back, struct gy_arena *a, struct gy_err *err)
{
    bool found, before = false;
    struct gy_approval p;
    GY_TRY(gy_approval_latest(db, digest, gate, a, &found, &p, err));
    if (back) {
        GY_TRY(approved_before(db, digest, gate, a, &before, err));
    }
    if (before || (found && gy_str_eqc(p.state, "approved"))) {
        return GY_OK;
    }
    if (!found) {
        gy_err_set(err, GY_E_NOTBLESSED,
                   "gate '%" GY_STR_F "' asks for an approval, none was requested", GY_STR_A(gate));
        gy_err_hint(err, "run: gyre gate request");
        return GY_E_NOTBLESSED;
    }
    gy_err_set(err, GY_E_NOTBLESSED,
               "gate '%" GY_STR_F "' asks for an approval: %" GY_STR_F " is %" GY_STR_F,
               GY_STR_A(gate), GY_STR_A(p.id), GY_STR_A(p.state));
    gy_err_hint(err, "run: gyre gate approve %" GY_STR_F, GY_STR_A(p.id));
    return GY_E_NOTBLESSED;
}

static gy_status allows(struct gy_db *db, struct gy_str model, struct gy_str alias,
                        struct gy_str digest, bool back, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT gate, needs_approval FROM protected_aliases WHERE workspace_id=? "
                       "AND model=? AND alias=?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vs(alias)), &st, err));
    bool row;
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return GY_OK;
    }
    struct gy_str gate;
    GY_TRY(gy_col_copy(st, 0, &a, &gate, err));
    bool needs_approval = gy_col_i64(st, 1) != 0;
    if (digest.n == 0) {
        return gy_err_set(err, GY_E_NOTBLESSED,
                          "alias '%" GY_STR_F
                          "' is protected and this version has no digest to judge",
                          GY_STR_A(alias));
    }
    GY_TRY(verdict_allows(db, digest, gate, back, &a, err));
    return needs_approval ? approval_allows(db, digest, gate, back, &a, err) : GY_OK;
}

gy_status gy_gate_allows_alias(struct gy_db *db, struct gy_str model, struct gy_str alias,
                               struct gy_str digest, struct gy_err *err)
{
    return allows(db, model, alias, digest, false, err);
}

gy_status gy_gate_allows_return(struct gy_db *db, struct gy_str model, struct gy_str alias,
                                struct gy_str digest, struct gy_err *err)
{
    return allows(db, model, alias, digest, true, err);
}
