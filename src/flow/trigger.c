/* SPDX-License-Identifier: Apache-2.0 */
/* Triggers in the store, and a person who fires one. What fires by itself: trigger_look.c. */
#include <stdio.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/job.h"
#include "flow/trigger_internal.h"
#include "store/actor.h"
#include "store/events.h"

/* ---- reading ---- */

#define COLUMNS                                                                              \
    "SELECT id, project, name, folder, actor, spec, from_file, enabled, pending, deferred, " \
    "fired_us, created_us, updated_us FROM triggers "

static gy_status parse_spec(struct gy_str json, struct gy_arena *a, struct gy_trigger_spec *ret,
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(json, &doc, err));
    return gy_trigger_parse(yyjson_doc_get_root(doc), a, ret, err);
}

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_trigger *t,
                          struct gy_err *err)
{
    struct gy_str *texts[] = {&t->id, &t->project, &t->name, &t->folder, &t->actor, &t->spec_json};
    for (int i = 0; i < 6; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    t->from_file = gy_col_i64(st, 6) != 0;
    t->enabled = gy_col_i64(st, 7) != 0;
    t->pending = gy_col_i64(st, 8);
    t->deferred = gy_col_i64(st, 9) != 0;
    t->fired_us = gy_col_i64(st, 10);
    t->created_us = gy_col_i64(st, 11);
    t->since_us = gy_col_i64(st, 12);
    return parse_spec(t->spec_json, a, &t->spec, err);
}

gy_status gy_trigger_select(struct gy_db *db, const char *where, const struct gy_val *vals,
                            size_t n_vals, struct gy_arena *a, struct gy_trigger **ret,
                            size_t *ret_n, struct gy_err *err)
{
    char sql[512];
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    size_t n = 0;
    size_t room = 0;
    struct gy_trigger *rows = NULL;
    (void)snprintf(sql, sizeof sql, COLUMNS "%s ORDER BY project, name LIMIT %d", where,
                   GY_TRIGGER_LIST_MAX);
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    for (bool more = true;; n++) {
        GY_TRY(gy_stmt_step(st, &more, err));
        if (!more) {
            break;
        }
        if (n == room) {
            struct gy_trigger *longer = gy_arena_calloc(a, room * 2 + 16, sizeof *longer);
            if (!longer) {
                return gy_err_set(err, GY_E_NOMEM, "out of memory listing triggers");
            }
            if (n > 0) {
                memcpy(longer, rows, n * sizeof *rows);
            }
            rows = longer;
            room = room * 2 + 16;
        }
        GY_TRY(read_row(st, a, &rows[n], err));
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_trigger_list(struct gy_db *db, struct gy_str project, struct gy_arena *a,
                          struct gy_trigger **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_str p = project.n > 0 ? project : GY_STR("");
    return gy_trigger_select(db, "WHERE ?='' OR project=?", GY_VALS(gy_vs(p), gy_vs(p)), a, ret,
                             ret_n, err);
}

gy_status gy_trigger_get(struct gy_db *db, struct gy_str project, struct gy_str name,
                         struct gy_arena *a, struct gy_trigger *ret, struct gy_err *err)
{
    struct gy_trigger *rows = NULL;
    size_t n = 0;
    struct gy_str p = project.n > 0 ? project : GY_STR("");
    GY_TRY(gy_trigger_select(db, "WHERE name=? AND (?='' OR project=?)",
                             GY_VALS(gy_vs(name), gy_vs(p), gy_vs(p)), a, &rows, &n, err));
    if (n == 0) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "no trigger '%" GY_STR_F "'",
                         GY_STR_A(gy_str_sub(name, 0, 60)));
        (void)gy_err_hint(err, "`gyre trigger add` takes those of gyre.yaml over");
        return GY_E_NOTFOUND;
    }
    if (n > 1) {
        (void)gy_err_set(err, GY_E_CONFLICT, "%zu projects have a trigger '%" GY_STR_F "'", n,
                         GY_STR_A(name));
        (void)gy_err_hint(err, "--project says which");
        return GY_E_CONFLICT;
    }
    *ret = rows[0];
    return GY_OK;
}

/* ---- events ---- */

static void subject_of(const struct gy_trigger *t, char *out, size_t size)
{
    (void)snprintf(out, size, "trigger:%.*s/%.*s", (int)t->project.n, t->project.p, (int)t->name.n,
                   t->name.p);
}

gy_status gy_trigger_tell(struct gy_db *db, const char *kind, const struct gy_trigger *t,
                          const struct gy_trigger_told *told, struct gy_str actor,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    struct gy_jw w;
    char node[2 * GY_MAX_NAME + 16];
    gy_buf_init(&data, GY_MIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "trigger", t->name);
    gy_jw_kv_str(&w, "project", t->project);
    gy_jw_kv_str(&w, "endpoint", t->spec.endpoint);
    gy_jw_kv_str(&w, "reason", told->reason);
    gy_jw_kv_str(&w, "job", told->job);
    gy_jw_key(&w, "event");
    if (told->event_seq > 0) {
        gy_jw_i64(&w, told->event_seq);
    } else {
        gy_jw_null(&w);
    }
    gy_jw_key(&w, "features");
    gy_jw_raw(&w, told->features_json.n > 0 ? told->features_json : GY_STR("[]"));
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "an event", err));
    subject_of(t, node, sizeof node);
    return gy_event_add(db, kind, gy_str_c(node), actor, gy_buf_str(&data), err);
}

/* ---- storing ---- */

static gy_status check_place(struct gy_str project, struct gy_str folder, struct gy_str actor,
                             struct gy_err *err)
{
    if (project.n == 0 || project.n > GY_MAX_NAME || actor.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "a trigger needs a project and an actor");
    }
    if (folder.n == 0 || folder.p[0] != '/' || folder.n >= GY_MAX_PATH ||
        memchr(folder.p, '\0', folder.n)) {
        return gy_err_set(err, GY_E_INVALID, "a trigger needs the absolute folder of its project");
    }
    return GY_OK;
}

struct place {
    struct gy_str project, folder, actor;
    bool from_file;
};

static gy_status put(struct gy_db *db, const struct place *p, const struct gy_trigger_spec *s,
                     struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf spec;
    struct gy_jw w;
    char id[GY_UUID_TEXT];
    int64_t now = gy_now_us();
    static const char *const kinds[] = {NULL, "review.verdict", "clock"};
    gy_buf_init(&spec, GY_TRIGGER_MAX_SPEC);
    gy_jw_init(&w, &spec);
    gy_trigger_write(&w, s);
    GY_TRY(gy_buf_check(&spec, "a trigger", err));
    GY_TRY(gy_new_id(id, err));
    struct gy_str kind = s->on == GY_ON_EVENT ? s->event : gy_str_c(kinds[s->on]);
    return gy_db_exec(db,
                      "INSERT INTO triggers (id, project, name, folder, spec, on_kind, from_file, "
                      "enabled, pending, deferred, actor, created_us, updated_us) VALUES "
                      "(?,?,?,?,?,?,?,1,0,0,?,?,?) ON CONFLICT (workspace_id, project, name) DO "
                      "UPDATE SET folder=excluded.folder, spec=excluded.spec, "
                      "on_kind=excluded.on_kind, from_file=excluded.from_file, "
                      "actor=excluded.actor, updated_us=CASE WHEN triggers.on_kind="
                      "excluded.on_kind THEN triggers.updated_us ELSE excluded.updated_us END",
                      GY_VALS(gy_vc(id), gy_vs(p->project), gy_vs(s->name), gy_vs(p->folder),
                              gy_vs(gy_buf_str(&spec)), gy_vs(kind), gy_vi(p->from_file),
                              gy_vs(p->actor), gy_vi(now), gy_vi(now)),
                      NULL, err);
}

static gy_status parse_list(yyjson_val *list, struct gy_arena *a, struct gy_trigger_spec **ret,
                            size_t *ret_n, struct gy_err *err)
{
    size_t i;
    size_t n;
    yyjson_val *v;
    *ret_n = 0;
    if (!list || yyjson_is_null(list)) {
        return GY_OK;
    }
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > GY_TRIGGER_MAX) {
        return gy_err_set(err, GY_E_INVALID, "triggers must be a list of at most %d",
                          GY_TRIGGER_MAX);
    }
    *ret = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof **ret);
    if (!*ret) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for triggers");
    }
    yyjson_arr_foreach(list, i, n, v)
    {
        GY_TRY(gy_trigger_parse(v, a, &(*ret)[i], err));
        for (size_t k = 0; k < i; k++) {
            if (gy_str_eq((*ret)[k].name, (*ret)[i].name)) {
                return gy_err_set(err, GY_E_INVALID, "two triggers are called '%" GY_STR_F "'",
                                  GY_STR_A((*ret)[i].name));
            }
        }
    }
    *ret_n = n;
    return GY_OK;
}

/* Those of the file that are not in the list any more. */
static gy_status drop_others(struct gy_db *db, struct gy_str project,
                             const struct gy_trigger_spec *specs, size_t n, struct gy_arena *a,
                             struct gy_err *err)
{
    struct gy_trigger *have = NULL;
    size_t n_have = 0;
    GY_TRY(gy_trigger_list(db, project, a, &have, &n_have, err));
    for (size_t i = 0; i < n_have; i++) {
        bool stays = !have[i].from_file;
        for (size_t k = 0; k < n; k++) {
            stays = stays || gy_str_eq(have[i].name, specs[k].name);
        }
        if (!stays) {
            GY_TRY(gy_db_exec(db, "DELETE FROM triggers WHERE id=?", GY_VALS(gy_vs(have[i].id)),
                              NULL, err));
        }
    }
    return GY_OK;
}

gy_status gy_triggers_replace(struct gy_db *db, struct gy_str project, struct gy_str folder,
                              struct gy_str json, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_trigger_spec *specs = NULL;
    size_t n = 0;
    const struct place place = {project, folder, actor, true};
    gy_arena_init(&a, 64 * GY_MIB);
    GY_TRY(check_place(project, folder, actor, err));
    if (json.n > 0) {
        GY_TRY(gy_json_parse(json, &doc, err));
        GY_TRY(parse_list(yyjson_doc_get_root(doc), &a, &specs, &n, err));
    }
    GY_TRY(drop_others(db, project, specs, n, &a, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(put(db, &place, &specs[i], err));
    }
    return GY_OK;
}

gy_status gy_trigger_put(struct gy_db *db, struct gy_str project, struct gy_str folder,
                         struct gy_str json, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_trigger_spec spec;
    struct gy_trigger *have = NULL;
    size_t n = 0;
    const struct place place = {project, folder, actor, false};
    gy_arena_init(&a, 64 * GY_MIB);
    GY_TRY(check_place(project, folder, actor, err));
    GY_TRY(parse_spec(json, &a, &spec, err));
    GY_TRY(gy_trigger_list(db, project, &a, &have, &n, err));
    bool known = false; /* to be changed: not one more */
    for (size_t i = 0; i < n; i++) {
        known = known || gy_str_eq(have[i].name, spec.name);
    }
    if (n >= GY_TRIGGER_MAX && !known) {
        return gy_err_set(err, GY_E_TOOBIG, "a project has at most %d triggers", GY_TRIGGER_MAX);
    }
    return put(db, &place, &spec, err);
}

gy_status gy_trigger_enable(struct gy_db *db, struct gy_str project, struct gy_str name,
                            bool enabled, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_trigger t;
    gy_arena_init(&a, 64 * GY_MIB);
    GY_TRY(gy_trigger_get(db, project, name, &a, &t, err));
    if (t.enabled == enabled) {
        return GY_OK; /* events that nobody has looked at yet stay its own */
    }
    GY_TRY(gy_db_exec(db, "UPDATE triggers SET enabled=?, updated_us=? WHERE id=?",
                      GY_VALS(gy_vi(enabled), gy_vi(gy_now_us()), gy_vs(t.id)), NULL, err));
    return gy_trigger_tell(db, enabled ? "trigger.enabled" : "trigger.disabled", &t,
                           &(struct gy_trigger_told){0}, actor, err);
}

gy_status gy_trigger_remove(struct gy_db *db, struct gy_str project, struct gy_str name,
                            struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_trigger t;
    gy_arena_init(&a, 64 * GY_MIB);
    GY_TRY(gy_trigger_get(db, project, name, &a, &t, err));
    GY_TRY(gy_db_exec(db, "DELETE FROM triggers WHERE id=?", GY_VALS(gy_vs(t.id)), NULL, err));
    return gy_trigger_tell(db, "trigger.removed", &t, &(struct gy_trigger_told){0}, actor, err);
}

/* ---- starting ---- */

gy_status gy_trigger_start(struct gy_db *db, const struct gy_trigger *t,
                           const struct gy_trigger_told *why, struct gy_str dedupe_key,
                           struct gy_str actor, int64_t now_us, bool *ret_started, char *ret_job,
                           struct gy_err *err)
{
    const struct gy_job j = {.trigger_id = t->id,
                             .trigger = t->name,
                             .project = t->project,
                             .folder = t->folder,
                             .spec = t->spec_json,
                             .dedupe_key = dedupe_key,
                             .event_seq = why->event_seq,
                             .reason = why->reason,
                             .state = GY_STR("queued"),
                             .actor = actor};
    GY_TRY(gy_job_add(db, &j, now_us, ret_started, ret_job, err));
    if (!*ret_started) {
        return GY_OK;
    }
    struct gy_trigger_told told = *why;
    told.job = gy_str_c(ret_job);
    GY_TRY(gy_db_exec(db, "UPDATE triggers SET fired_us=?, pending=0, deferred=0 WHERE id=?",
                      GY_VALS(gy_vi(now_us), gy_vs(t->id)), NULL, err));
    return gy_trigger_tell(db, "trigger.fired", t, &told, actor, err);
}

gy_status gy_trigger_fire(struct gy_db *db, struct gy_str project, struct gy_str name,
                          struct gy_str actor, struct gy_str reason, int64_t now_us, char *ret_job,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_trigger t;
    char id[GY_UUID_TEXT];
    bool started = false;
    gy_arena_init(&a, 64 * GY_MIB);
    GY_TRY(gy_actor_need(actor, "firing a trigger", err));
    if (gy_str_trim(reason).n == 0 || reason.n > GY_JOB_MAX_REASON) {
        return gy_err_set(err, GY_E_INVALID,
                          "firing a trigger by hand needs a reason of at most %d "
                          "bytes",
                          GY_JOB_MAX_REASON);
    }
    GY_TRY(gy_trigger_get(db, project, name, &a, &t, err));
    GY_TRY(gy_new_id(id, err));
    const char *key = gy_arena_printf(&a, "%" GY_STR_F "/fire/%s", GY_STR_A(t.id), id);
    if (!key) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    const struct gy_trigger_told why = {.reason = reason};
    GY_TRY(gy_trigger_start(db, &t, &why, gy_str_c(key), actor, now_us, &started, ret_job, err));
    if (!started) {
        (void)gy_err_set(err, GY_E_CONFLICT, "the job %s of this trigger is not over", ret_job);
        (void)gy_err_hint(err, "gyre jobs show %s; gyre jobs cancel %s", ret_job, ret_job);
        return GY_E_CONFLICT;
    }
    return GY_OK;
}
