/* SPDX-License-Identifier: Apache-2.0 */
#include "track/usecases.h"

#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/scope.h"
#include "track/history.h"

/* What each step does: from which states, to which, and how it is called. */
static const struct step {
    const char *action, *to;
    const char *from[3];
    const char *event, *what;
} g_steps[] = {
    [GY_USECASE_REQUEST] = {"requested",
                            "requested",
                            {"draft", "rejected", NULL},
                            "usecase.requested",
                            "asking for an approval"},
    [GY_USECASE_APPROVE] =
        {"approved", "approved", {"requested", NULL, NULL}, "usecase.approved", "a decision"},
    [GY_USECASE_REJECT] =
        {"rejected", "rejected", {"requested", NULL, NULL}, "usecase.rejected", "a decision"},
    [GY_USECASE_RETIRE] =
        {"retired", "retired", {NULL, NULL, NULL}, "usecase.retired", "retiring a use case"},
};

static gy_status check_name(struct gy_str name, struct gy_err *err)
{
    bool good = name.n > 0 && name.n <= GY_MAX_NAME && name.p[0] != '-' && name.p[0] != '.';
    for (size_t i = 0; good && i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    }
    return good ? GY_OK
                : gy_err_set(err, GY_E_INVALID,
                             "'%" GY_STR_F "' is no name of a use case: letters, digits, '-', '_' "
                             "and '.', at most %d",
                             GY_STR_A(gy_str_sub(name, 0, 100)), GY_MAX_NAME);
}

static gy_status tell(struct gy_db *db, const char *event, struct gy_str name, struct gy_str actor,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf node;
    gy_buf_init(&node, GY_MAX_PATH);
    gy_buf_addf(&node, "usecase:%" GY_STR_F, GY_STR_A(name));
    GY_TRY(gy_buf_check(&node, "an event", err));
    return gy_event_add(db, event, gy_buf_str(&node), actor, GY_STR_NULL, err);
}

static gy_status note(struct gy_db *db, const struct gy_usecase *u, const char *action,
                      const char *state, struct gy_str spec, struct gy_str model,
                      struct gy_str reason, struct gy_str actor, struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO use_case_changes (workspace_id, name, number, action, state, spec, "
        "model_name, reason, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(u->name), gy_vi(u->number), gy_vc(action),
                state ? gy_vc(state) : gy_vs(u->state), gy_vs(spec), gy_vs(model),
                gy_vs(reason.n ? reason : GY_STR_NULL), gy_vs(actor), gy_vi(gy_now_us())),
        NULL, err);
}

/* ---- reading ---- */

#define COLUMNS                                                                         \
    "SELECT u.name, u.state, u.spec, u.requested_by, u.decided_by, u.actor, u.number, " \
    "u.four_eyes, u.created_us, u.updated_us FROM use_cases u "

static gy_status read_models(struct gy_db *db, struct gy_arena *a, struct gy_usecase *u,
                             struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db,
        "SELECT model_name FROM use_case_models WHERE workspace_id = ? AND use_case "
        "= ? ORDER BY model_name LIMIT ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(u->name), gy_vi(GY_USECASE_MAX_LIST)), &st, err));
    void *items = NULL;
    size_t cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, u->n_models, &cap, sizeof(struct gy_str), err));
        GY_TRY(gy_col_copy(st, 0, a, &((struct gy_str *)items)[u->n_models++], err));
    }
    u->models = items;
    return GY_OK;
}

static gy_status read_row(struct gy_db *db, struct gy_stmt *st, struct gy_arena *a,
                          struct gy_usecase *u, struct gy_err *err)
{
    *u = (struct gy_usecase){.number = gy_col_i64(st, 6),
                             .four_eyes = gy_col_i64(st, 7) != 0,
                             .created_us = gy_col_i64(st, 8),
                             .updated_us = gy_col_i64(st, 9)};
    struct gy_str *texts[] = {&u->name,         &u->state,      &u->spec,
                              &u->requested_by, &u->decided_by, &u->actor};
    for (int i = 0; i < 6; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    return read_models(db, a, u, err);
}

static gy_status find(struct gy_db *db, struct gy_str name, struct gy_arena *a, bool *ret_found,
                      struct gy_usecase *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, COLUMNS "WHERE u.workspace_id = ? AND u.name = ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_row(db, st, a, ret, err) : GY_OK;
}

gy_status gy_usecase_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                         struct gy_usecase *ret, struct gy_err *err)
{
    bool found = false;
    GY_TRY(find(db, name, a, &found, ret, err));
    return found ? GY_OK
                 : gy_err_set(err, GY_E_NOTFOUND, "no use case '%" GY_STR_F "'",
                              GY_STR_A(gy_str_sub(name, 0, 200)));
}

gy_status gy_usecase_of_model(struct gy_db *db, struct gy_str model, struct gy_arena *a,
                              bool *ret_found, struct gy_usecase *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       COLUMNS "JOIN use_case_models m ON m.workspace_id = u.workspace_id AND "
                               "m.use_case = u.name WHERE m.workspace_id = ? AND m.model_name = ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_row(db, st, a, ret, err) : GY_OK;
}

gy_status gy_usecase_list(struct gy_db *db, struct gy_arena *a, struct gy_usecase **ret,
                          size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    void *items = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_db_query(db, COLUMNS "WHERE u.workspace_id = ? ORDER BY u.name LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(GY_USECASE_MAX_LIST)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_usecase), err));
        GY_TRY(read_row(db, st, a, &((struct gy_usecase *)items)[n++], err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_usecase_changes(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                             struct gy_usecase_change **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_usecase u;
    void *items = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_usecase_get(db, name, a, &u, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT action, state, spec, model_name, reason, actor, number, created_us "
                       "FROM use_case_changes WHERE workspace_id = ? AND name = ? ORDER BY id DESC "
                       "LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(GY_USECASE_MAX_LIST)),
                       &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_usecase_change), err));
        struct gy_usecase_change *c = &((struct gy_usecase_change *)items)[n++];
        *c = (struct gy_usecase_change){.number = gy_col_i64(st, 6), .time_us = gy_col_i64(st, 7)};
        struct gy_str *texts[] = {&c->action, &c->state,  &c->spec,
                                  &c->model,  &c->reason, &c->actor};
        for (int i = 0; i < 6; i++) {
            GY_TRY(gy_col_copy(st, i, a, texts[i], err));
        }
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* ---- changing ---- */

static gy_status put_new(struct gy_db *db, struct gy_usecase *u, struct gy_str actor,
                         struct gy_err *err)
{
    int64_t now = gy_now_us();
    u->number = 1;
    return gy_db_exec(db,
                      "INSERT INTO use_cases (workspace_id, name, number, state, four_eyes, spec, "
                      "actor, created_us, updated_us) VALUES (?, ?, 1, 'draft', ?, ?, ?, ?, ?)",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(u->name), gy_vi(u->four_eyes),
                              gy_vs(u->spec), gy_vs(actor), gy_vi(now), gy_vi(now)),
                      NULL, err);
}

/* Another text is another thing to approve. */
static gy_status put_text(struct gy_db *db, struct gy_usecase *u, struct gy_err *err)
{
    u->number++;
    return gy_db_exec(db,
                      "UPDATE use_cases SET number = ?, state = 'draft', four_eyes = ?, spec = ?, "
                      "requested_by = NULL, decided_by = NULL, updated_us = ? WHERE workspace_id = "
                      "? AND name = ?",
                      GY_VALS(gy_vi(u->number), gy_vi(u->four_eyes), gy_vs(u->spec),
                              gy_vi(gy_now_us()), gy_vs(gy_db_workspace(db)), gy_vs(u->name)),
                      NULL, err);
}

gy_status gy_usecase_apply(struct gy_db *db, struct gy_str name, struct gy_str spec, bool four_eyes,
                           struct gy_str actor, bool *ret_changed, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_usecase u;
    bool found = false;
    GY_TRY(gy_actor_need(actor, "a use case", err));
    GY_TRY(check_name(name, err));
    if (spec.n > GY_USECASE_MAX_SPEC) {
        return gy_err_set(err, GY_E_TOOBIG, "a use case has at most %d bytes", GY_USECASE_MAX_SPEC);
    }
    GY_TRY(find(db, name, &a, &found, &u, err));
    bool changed = !found || !gy_str_eq(u.spec, spec) || u.four_eyes != four_eyes;
    if (ret_changed) {
        *ret_changed = changed;
    }
    if (!changed) {
        return GY_OK;
    }
    if (!found) {
        u = (struct gy_usecase){.name = name};
    }
    u.spec = spec;
    u.four_eyes = four_eyes;
    GY_TRY(found ? put_text(db, &u, err) : put_new(db, &u, actor, err));
    GY_TRY(note(db, &u, "applied", "draft", spec, GY_STR_NULL, GY_STR_NULL, actor, err));
    return tell(db, "usecase.applied", name, actor, err);
}

static gy_status check_step(const struct gy_usecase *u, enum gy_usecase_step step,
                            struct gy_str actor, struct gy_err *err)
{
    const struct step *s = &g_steps[step];
    bool good = step == GY_USECASE_RETIRE && !gy_str_eqc(u->state, "retired");
    for (size_t i = 0; i < 3 && s->from[i]; i++) {
        good |= gy_str_eqc(u->state, s->from[i]);
    }
    if (!good) {
        (void)gy_err_set(err, GY_E_CONFLICT,
                         "use case '%" GY_STR_F "' is %" GY_STR_F ": it can not become %s",
                         GY_STR_A(u->name), GY_STR_A(u->state), s->to);
        return step == GY_USECASE_APPROVE || step == GY_USECASE_REJECT
                   ? gy_err_hint(err, "run: gyre usecase request %" GY_STR_F, GY_STR_A(u->name))
                   : GY_E_CONFLICT;
    }
    if (step == GY_USECASE_APPROVE && u->four_eyes && gy_str_eq(u->requested_by, actor)) {
        (void)gy_err_set(err, GY_E_DENIED,
                         "use case '%" GY_STR_F "' was requested by %" GY_STR_F
                         ": it wants four eyes",
                         GY_STR_A(u->name), GY_STR_A(actor));
        return gy_err_hint(err, "another person approves it");
    }
    return GY_OK;
}

gy_status gy_usecase_step(struct gy_db *db, struct gy_str name, enum gy_usecase_step step,
                          struct gy_str actor, struct gy_str reason, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    const struct step *s = &g_steps[step];
    struct gy_usecase u;
    GY_TRY(gy_actor_need(actor, s->what, err));
    GY_TRY(gy_track_check_length(reason, GY_HISTORY_MAX_REASON, "reason", err));
    GY_TRY(gy_usecase_get(db, name, &a, &u, err));
    GY_TRY(check_step(&u, step, actor, err));
    struct gy_str requested = step == GY_USECASE_REQUEST ? actor : u.requested_by;
    bool decides = step == GY_USECASE_APPROVE || step == GY_USECASE_REJECT;
    struct gy_str decided = step == GY_USECASE_REQUEST ? GY_STR_NULL
                            : decides                  ? actor
                                                       : u.decided_by;
    GY_TRY(gy_db_exec(db,
                      "UPDATE use_cases SET state = ?, requested_by = ?, decided_by = ?, "
                      "updated_us = ? WHERE workspace_id = ? AND name = ?",
                      GY_VALS(gy_vc(s->to), gy_vs(requested), gy_vs(decided), gy_vi(gy_now_us()),
                              gy_vs(gy_db_workspace(db)), gy_vs(name)),
                      NULL, err));
    GY_TRY(note(db, &u, s->action, s->to, GY_STR_NULL, GY_STR_NULL, reason, actor, err));
    return tell(db, s->event, name, actor, err);
}

gy_status gy_usecase_attach(struct gy_db *db, struct gy_str name, struct gy_str model,
                            struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_usecase u, was;
    int64_t id = 0;
    bool attached = false;
    GY_TRY(gy_actor_need(actor, "attaching a model", err));
    GY_TRY(gy_usecase_get(db, name, &a, &u, err));
    GY_TRY(gy_model_find(db, model, &id, err));
    if (gy_str_eqc(u.state, "retired")) {
        return gy_err_set(err, GY_E_CONFLICT, "use case '%" GY_STR_F "' is retired",
                          GY_STR_A(name));
    }
    GY_TRY(gy_usecase_of_model(db, model, &a, &attached, &was, err));
    if (attached && gy_str_eq(was.name, name)) {
        return GY_OK;
    }
    if (attached) {
        GY_TRY(gy_usecase_detach(db, was.name, model, actor, err));
    }
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO use_case_models (workspace_id, model_name, use_case, actor, "
                      "created_us) VALUES (?, ?, ?, ?, ?)",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vs(name), gy_vs(actor),
                              gy_vi(gy_now_us())),
                      NULL, err));
    GY_TRY(note(db, &u, "attached", NULL, GY_STR_NULL, model, GY_STR_NULL, actor, err));
    return tell(db, "usecase.attached", name, actor, err);
}

gy_status gy_usecase_detach(struct gy_db *db, struct gy_str name, struct gy_str model,
                            struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_usecase u;
    int64_t changed = 0;
    GY_TRY(gy_actor_need(actor, "detaching a model", err));
    GY_TRY(gy_usecase_get(db, name, &a, &u, err));
    GY_TRY(gy_db_exec(
        db,
        "DELETE FROM use_case_models WHERE workspace_id = ? AND model_name = ? AND use_case = ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vs(name)), &changed, err));
    if (changed == 0) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "model '%" GY_STR_F "' is not attached to use case '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(model, 0, 200)), GY_STR_A(name));
    }
    GY_TRY(note(db, &u, "detached", NULL, GY_STR_NULL, model, GY_STR_NULL, actor, err));
    return tell(db, "usecase.detached", name, actor, err);
}
