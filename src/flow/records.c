/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/records.h"

#include <stdio.h>

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"
#include "track/runs.h"

struct node {
    char text[GY_LINEAGE_MAX_NODE + 1];
};

static struct gy_str node_of(struct node *n, const char *kind, struct gy_str id, struct gy_str more)
{
    (void)snprintf(n->text, sizeof n->text, "%s:%" GY_STR_F "%s%" GY_STR_F, kind, GY_STR_A(id),
                   more.n ? "/" : "", GY_STR_A(more));
    return gy_str_c(n->text);
}

static gy_status need(struct gy_str s, size_t max, const char *what, struct gy_err *err)
{
    return s.n > 0 && s.n <= max
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "%s must have 1 to %zu bytes", what, max);
}

static struct gy_str or_text(struct gy_str s, const char *otherwise)
{
    return s.n > 0 ? s : gy_str_c(otherwise);
}

static struct gy_val us_or_null(int64_t us)
{
    return us > 0 ? gy_vi(us) : gy_vnull();
}

/* A start that was told already, by a client that did not hear the answer. */
static gy_status told_before(struct gy_db *db, const struct gy_flow_run_record *r, const char *id,
                             bool *ret, struct gy_err *err)
{
    int64_t one = 0;
    *ret = false;
    return r->id.n == 0 || r->job.n == 0
               ? GY_OK
               : gy_db_get_i64(db,
                               "SELECT 1 FROM flow_runs WHERE id=? AND job=? AND status='running'",
                               GY_VALS(gy_vc(id), gy_vs(r->job)), ret, &one, err);
}

gy_status gy_flow_record_start(struct gy_db *db, const struct gy_flow_run_record *r, char *ret_id,
                               struct gy_err *err)
{
    char id[GY_UUID_TEXT];
    bool again = false;
    GY_TRY(need(r->project, GY_MAX_NAME, "the project", err));
    GY_TRY(need(r->actor, GY_MAX_NAME, "the actor", err));
    if (r->id.n > 0) {
        unsigned char raw[16];
        GY_TRY(gy_uuid_parse(r->id, raw, err));
        gy_uuid_text(raw, id);
    } else {
        GY_TRY(gy_new_id(id, err));
    }
    memcpy(ret_id, id, sizeof id);
    GY_TRY(told_before(db, r, id, &again, err));
    if (again) {
        return GY_OK;
    }
    return gy_db_exec(db,
                      "INSERT INTO flow_runs (id, project, folder, code_revision, status, targets, "
                      "actor, created_us, name, job, place) "
                      "VALUES (?,?,?,?,'running',?,?,?,?,?,?)",
                      GY_VALS(gy_vc(id), gy_vs(r->project), gy_vs(or_text(r->folder, "")),
                              gy_vs(or_text(r->code_revision, "unversioned")),
                              gy_vs(or_text(r->targets_json, "[]")), gy_vs(r->actor),
                              gy_vi(r->started_us ? r->started_us : gy_now_us()), gy_vs(r->name),
                              gy_vs(r->job), gy_vs(r->place)),
                      NULL, err);
}

/* ---- lineage ---- */

struct edges {
    struct gy_db *db;
    struct gy_str step, actor;
    bool output;
    struct gy_err *err;
};

static gy_status add_edge(struct edges *e, struct gy_str other)
{
    return e->output ? gy_lineage_add(e->db, e->step, "output", other, e->actor, e->err)
                     : gy_lineage_add(e->db, other, "input", e->step, e->actor, e->err);
}

/* Bytes that are a dataset version are called so: there the walk goes on, to the run that trained
 * on them. */
static gy_status add_file_edge(struct edges *e, struct gy_str sha256)
{
    struct node data;
    struct node file;
    bool known = false;
    int64_t one = 0;
    if (sha256.n != 64) {
        return gy_err_set(e->err, GY_E_INVALID, "a sha256 has 64 hex digits");
    }
    GY_TRY(gy_db_get_i64(
        e->db, "SELECT 1 FROM dataset_versions WHERE sha256=? AND workspace_id=? LIMIT 1",
        GY_VALS(gy_vs(sha256), gy_vs(gy_db_workspace(e->db))), &known, &one, e->err));
    return add_edge(e, known ? node_of(&data, "data", sha256, GY_STR_NULL)
                             : node_of(&file, "file", sha256, GY_STR_NULL));
}

static gy_status add_entry_edges(struct edges *e, yyjson_val *entry)
{
    struct gy_str sha256 = gy_json_str(entry, "sha256");
    struct gy_str md5 = gy_json_str(entry, "md5");
    if (sha256.n > 0) {
        return add_file_edge(e, sha256);
    }
    if (md5.n < 32 || md5.n > 40) {
        return gy_err_set(e->err, GY_E_INVALID,
                          "an entry needs its sha256, or the md5 of a folder");
    }
    struct node dir;
    GY_TRY(add_edge(e, node_of(&dir, "dir", gy_str_sub(md5, 0, 32), GY_STR_NULL)));
    yyjson_val *files = gy_json_get(entry, "files");
    size_t i;
    size_t n;
    yyjson_val *f;
    yyjson_arr_foreach(files, i, n, f)
    {
        if (i >= GY_FLOW_MAX_EDGES) {
            break;
        }
        GY_TRY(add_file_edge(e, gy_json_str(f, "sha256")));
    }
    return GY_OK;
}

static gy_status add_list_edges(struct edges *e, struct gy_str json)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(json, &doc, e->err));
    size_t i;
    size_t n;
    yyjson_val *entry;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, entry)
    {
        GY_TRY(add_entry_edges(e, entry));
    }
    return GY_OK;
}

static gy_status add_lineage(struct gy_db *db, const struct gy_flow_step_record *s,
                             struct gy_str revision, struct gy_str actor, struct gy_err *err)
{
    struct node step;
    struct node code;
    struct edges e = {db, node_of(&step, "step", s->run_id, s->stage), actor, false, err};
    if (!gy_str_eqc(revision, "unversioned")) {
        GY_TRY(gy_lineage_add(db, node_of(&code, "code", revision, GY_STR_NULL), "code", e.step,
                              actor, err));
    }
    GY_TRY(add_list_edges(&e, s->deps_json));
    e.output = true;
    return add_list_edges(&e, s->outs_json);
}

/* ---- steps ---- */

static gy_status open_run(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                          struct gy_flow_run_record *ret, struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_flow_record_get(db, id, a, &found, ret, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "no pipeline run '%" GY_STR_F "'", GY_STR_A(id));
    }
    if (!gy_str_eqc(ret->status, "running")) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "the pipeline run '%" GY_STR_F "' is %" GY_STR_F " already", GY_STR_A(id),
                          GY_STR_A(ret->status));
    }
    return GY_OK;
}

gy_status gy_flow_record_step(struct gy_db *db, const struct gy_flow_step_record *s,
                              struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_flow_run_record run;
    GY_TRY(need(s->stage, GY_MAX_NAME, "the stage", err));
    GY_TRY(open_run(db, s->run_id, &a, &run, err));
    bool was_done = false; /* told twice: one event is enough */
    int64_t one = 0;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT 1 FROM flow_steps WHERE run_id=? AND stage=? AND status='done'",
                         GY_VALS(gy_vs(s->run_id), gy_vs(s->stage)), &was_done, &one, err));
    gy_status status = gy_db_exec(
        db,
        "INSERT INTO flow_steps (run_id, stage, position, status, why, cmd, exit_code, started_us, "
        "ended_us, log, "
        "error, deps, params, outs) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (run_id, "
        "stage) DO UPDATE SET "
        "status=excluded.status, why=excluded.why, exit_code=excluded.exit_code, "
        "started_us=excluded.started_us, "
        "ended_us=excluded.ended_us, log=excluded.log, error=excluded.error, deps=excluded.deps, "
        "params=excluded.params, outs=excluded.outs",
        GY_VALS(gy_vs(s->run_id), gy_vs(s->stage), gy_vi(s->position),
                gy_vs(or_text(s->status, "?")), gy_vs(s->why), gy_vs(or_text(s->cmd, "")),
                gy_vi(s->exit_code), us_or_null(s->started_us), us_or_null(s->ended_us),
                gy_vs(s->log), gy_vs(s->error), gy_vs(or_text(s->deps_json, "[]")),
                gy_vs(or_text(s->params_json, "{}")), gy_vs(or_text(s->outs_json, "[]"))),
        NULL, err);
    if (status == GY_E_CONFLICT) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no state of a step",
                          GY_STR_A(s->status));
    }
    GY_TRY(status);
    if (!gy_str_eqc(s->status, "done") || was_done) {
        return GY_OK;
    }
    struct gy_flow_step_record full = *s;
    full.deps_json = or_text(s->deps_json, "[]");
    full.outs_json = or_text(s->outs_json, "[]");
    GY_TRY(add_lineage(db, &full, run.code_revision, actor, err));
    struct node step;
    return gy_event_add(db, "flow.step.done", node_of(&step, "step", s->run_id, s->stage), actor,
                        GY_STR_NULL, err);
}

gy_status gy_flow_record_end(struct gy_db *db, struct gy_str id, struct gy_str status,
                             struct gy_str error, struct gy_str actor, struct gy_err *err)
{
    static const char *const ends[] = {"done", "failed", "cancelled"};
    static const char *const events[] = {"flow.run.done", "flow.run.failed", "flow.run.cancelled"};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_flow_run_record run;
    size_t which = 0;
    while (which < 3 && !gy_str_eqc(status, ends[which])) {
        which++;
    }
    if (which == 3) {
        return gy_err_set(err, GY_E_INVALID, "a run ends as done, failed or cancelled");
    }
    GY_TRY(open_run(db, id, &a, &run, err));
    GY_TRY(gy_db_exec(db, "UPDATE flow_runs SET status=?, error=?, ended_us=? WHERE id=?",
                      GY_VALS(gy_vs(status), gy_vs(error), gy_vi(gy_now_us()), gy_vs(id)), NULL,
                      err));
    struct node subject;
    return gy_event_add(db, events[which], node_of(&subject, "flow", id, GY_STR_NULL), actor,
                        GY_STR_NULL, err);
}

/* ---- runs whose process is gone ---- */

static gy_status read_texts(struct gy_db *db, const char *sql, const struct gy_val *vals,
                            size_t n_vals, size_t max, struct gy_arena *a, struct gy_str **ret,
                            size_t *ret_n, struct gy_err *err)
{
    struct gy_str *list = gy_arena_calloc(a, max, sizeof *list);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory listing runs");
    }
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    size_t n = 0;
    for (bool more = true; n < max;) {
        GY_TRY(gy_stmt_step(st, &more, err));
        if (!more) {
            break;
        }
        GY_TRY(gy_col_copy(st, 0, a, &list[n], err));
        n++;
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

static gy_status abandon(struct gy_db *db, struct gy_str id, struct gy_str by, struct gy_str actor,
                         struct gy_err *err)
{
    char why[160];
    int64_t now = gy_now_us();
    (void)snprintf(why, sizeof why, "its process was killed%s%.*s",
                   by.n ? "; found by the run " : "", (int)(by.n < 64 ? by.n : 64),
                   by.n ? by.p : "");
    GY_TRY(gy_db_exec(db,
                      "UPDATE flow_steps SET status='cancelled', error=?, ended_us=? WHERE "
                      "run_id=? AND status IN ('running', 'pending')",
                      GY_VALS(gy_vc(why), gy_vi(now), gy_vs(id)), NULL, err));
    struct node step; /* "<run>/": what its stages tracked is over, too */
    (void)snprintf(step.text, sizeof step.text, "%.*s/", (int)id.n, id.p);
    GY_TRY(gy_run_kill_tagged(db, "gyre.step", gy_str_c(step.text), NULL, err));
    return gy_flow_record_end(db, id, GY_STR("cancelled"), gy_str_c(why), actor, err);
}

gy_status gy_flow_record_abandon(struct gy_db *db, struct gy_str place, struct gy_str job,
                                 struct gy_str by, struct gy_str actor, struct gy_arena *a,
                                 struct gy_str **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_str *ids = NULL;
    size_t n = 0;
    GY_TRY(read_texts(db,
                      "SELECT id FROM flow_runs WHERE status='running' AND (place=? OR job=?) AND "
                      "id<>? ORDER BY created_us",
                      GY_VALS(gy_vs(place), gy_vs(job), gy_vs(or_text(by, ""))),
                      GY_FLOW_ABANDON_MAX, a, &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(abandon(db, ids[i], by, actor, err));
    }
    if (ret) {
        *ret = ids;
        *ret_n = n;
    }
    return GY_OK;
}

gy_status gy_flow_record_job_done(struct gy_db *db, struct gy_str job, struct gy_arena *a,
                                  struct gy_str **ret, size_t *ret_n, struct gy_err *err)
{
    return read_texts(db,
                      "SELECT DISTINCT s.stage FROM flow_steps s JOIN flow_runs r ON r.id = "
                      "s.run_id WHERE r.job=? AND s.status='done'",
                      GY_VALS(gy_vs(job)), GY_FLOW_ABANDON_MAX, a, ret, ret_n, err);
}

/* ---- reading ---- */

#define RUN_COLUMNS                                                                         \
    "SELECT id, project, folder, code_revision, status, targets, error, actor, name, job, " \
    "place, created_us, ended_us FROM flow_runs "

static gy_status read_run(struct gy_stmt *st, struct gy_arena *a, struct gy_flow_run_record *r,
                          struct gy_err *err)
{
    struct gy_str *texts[] = {&r->id,     &r->project,      &r->folder, &r->code_revision,
                              &r->status, &r->targets_json, &r->error,  &r->actor,
                              &r->name,   &r->job,          &r->place};
    for (int i = 0; i < 11; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    r->started_us = gy_col_i64(st, 11);
    r->ended_us = gy_col_i64(st, 12);
    return GY_OK;
}

gy_status gy_flow_record_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                             bool *ret_found, struct gy_flow_run_record *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, RUN_COLUMNS "WHERE id=?", GY_VALS(gy_vs(id)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_run(st, a, ret, err) : GY_OK;
}

gy_status gy_flow_record_list(struct gy_db *db, struct gy_str project, struct gy_str job,
                              size_t max, struct gy_arena *a, struct gy_flow_run_record **ret,
                              size_t *ret_n, struct gy_err *err)
{
    max = max > 0 && max < GY_FLOW_LIST_MAX ? max : GY_FLOW_LIST_MAX;
    struct gy_flow_run_record *rows = gy_arena_calloc(a, max, sizeof *rows);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (!rows) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory listing runs");
    }
    struct gy_str wanted = or_text(project, "");
    struct gy_str of_job = or_text(job, "");
    GY_TRY(gy_db_query(
        db,
        RUN_COLUMNS "WHERE (?='' OR project=?) AND (?='' OR job=?) ORDER BY "
                    "created_us DESC, id DESC LIMIT ?",
        GY_VALS(gy_vs(wanted), gy_vs(wanted), gy_vs(of_job), gy_vs(of_job), gy_vi((int64_t)max)),
        &st, err));
    size_t n = 0;
    for (bool more = true; n < max;) {
        GY_TRY(gy_stmt_step(st, &more, err));
        if (!more) {
            break;
        }
        GY_TRY(read_run(st, a, &rows[n], err));
        n++;
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

static gy_status read_step(struct gy_stmt *st, struct gy_arena *a, struct gy_flow_step_record *s,
                           struct gy_err *err)
{
    struct gy_str *texts[] = {&s->run_id, &s->stage, &s->status,    &s->why,         &s->cmd,
                              &s->log,    &s->error, &s->deps_json, &s->params_json, &s->outs_json};
    for (int i = 0; i < 10; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    s->position = gy_col_i64(st, 10);
    s->exit_code = gy_col_i64(st, 11);
    s->started_us = gy_col_i64(st, 12);
    s->ended_us = gy_col_i64(st, 13);
    return GY_OK;
}

gy_status gy_flow_record_steps(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                               struct gy_flow_step_record **ret, size_t *ret_n, struct gy_err *err)
{
    bool found = false;
    int64_t n = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM flow_steps WHERE run_id=?", GY_VALS(gy_vs(id)),
                         &found, &n, err));
    struct gy_flow_step_record *rows = gy_arena_calloc(a, (size_t)n + 1, sizeof *rows);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (!rows) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory listing steps");
    }
    GY_TRY(gy_db_query(db,
                       "SELECT run_id, stage, status, why, cmd, log, error, deps, params, outs, "
                       "position, exit_code, "
                       "started_us, ended_us FROM flow_steps WHERE run_id=? ORDER BY position",
                       GY_VALS(gy_vs(id)), &st, err));
    size_t at = 0;
    for (bool more = true; at < (size_t)n;) {
        GY_TRY(gy_stmt_step(st, &more, err));
        if (!more) {
            break;
        }
        GY_TRY(read_step(st, a, &rows[at], err));
        at++;
    }
    *ret = rows;
    *ret_n = at;
    return GY_OK;
}
