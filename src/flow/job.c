/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/job.h"

#include <stdio.h>

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/records.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/lineage.h"
#include "track/runs.h"

#define GY_MAX_ERROR (64 * GY_KIB) /* as told; GY_JOB_MAX_REASON of it are kept */
#define OPEN_STATES "('queued', 'running', 'waiting_approval')"

static struct gy_str or_text(struct gy_str s, const char *otherwise)
{
    return s.n > 0 ? s : gy_str_c(otherwise);
}

bool gy_job_is_open(const struct gy_job *j)
{
    return gy_str_eqc(j->state, "queued") || gy_str_eqc(j->state, "running") ||
           gy_str_eqc(j->state, "waiting_approval");
}

/* ---- reading ---- */

#define COLUMNS                                                                              \
    "SELECT id, trigger_id, trigger_name, project, folder, name, spec, dedupe_key, reason, " \
    "state, step, flow_run, model, digest, verdict, approval, error, actor, event_seq, "     \
    "attempt, pid, pid_start, lease_until_us, version, revision, cancel_asked, created_us, " \
    "started_us, ended_us FROM jobs "

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_job *j,
                          struct gy_err *err)
{
    struct gy_str *texts[] = {
        &j->id,    &j->trigger_id, &j->trigger, &j->project,  &j->folder, &j->name,
        &j->spec,  &j->dedupe_key, &j->reason,  &j->state,    &j->step,   &j->flow_run,
        &j->model, &j->digest,     &j->verdict, &j->approval, &j->error,  &j->actor};
    enum { N_TEXTS = sizeof texts / sizeof texts[0] };
    int64_t *numbers[] = {&j->event_seq,      &j->attempt, &j->pid,     &j->pid_start,
                          &j->lease_until_us, &j->version, &j->revision};
    enum { N_NUMBERS = sizeof numbers / sizeof numbers[0] };
    for (int i = 0; i < N_TEXTS; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    for (int i = 0; i < N_NUMBERS; i++) {
        *numbers[i] = gy_col_i64(st, N_TEXTS + i);
    }
    j->cancel_asked = gy_col_i64(st, N_TEXTS + N_NUMBERS) != 0;
    j->created_us = gy_col_i64(st, N_TEXTS + N_NUMBERS + 1);
    j->started_us = gy_col_i64(st, N_TEXTS + N_NUMBERS + 2);
    j->ended_us = gy_col_i64(st, N_TEXTS + N_NUMBERS + 3);
    return GY_OK;
}

gy_status gy_job_get(struct gy_db *db, struct gy_str id, struct gy_arena *a, struct gy_job *ret,
                     struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool found = false;
    memset(ret, 0, sizeof *ret);
    GY_TRY(gy_db_query(db, COLUMNS "WHERE id=?", GY_VALS(gy_vs(id)), &st, err));
    GY_TRY(gy_stmt_step(st, &found, err));
    if (found) {
        return read_row(st, a, ret, err);
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "no job '%" GY_STR_F "'", GY_STR_A(gy_str_sub(id, 0, 64)));
    return gy_err_hint(err, "gyre jobs list shows them");
}

gy_status gy_job_list(struct gy_db *db, struct gy_str project, struct gy_str state, size_t max,
                      struct gy_arena *a, struct gy_job **ret, size_t *ret_n, struct gy_err *err)
{
    max = max > 0 && max < GY_JOB_LIST_MAX ? max : GY_JOB_LIST_MAX;
    struct gy_job *rows = gy_arena_calloc(a, max, sizeof *rows);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (!rows) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory listing jobs");
    }
    struct gy_str p = or_text(project, "");
    struct gy_str s = or_text(state, "");
    GY_TRY(gy_db_query(
        db,
        COLUMNS "WHERE (?='' OR project=?) AND (?='' OR state=? OR (?='open' AND "
                "state IN " OPEN_STATES ")) ORDER BY created_us DESC, id DESC LIMIT "
                "?",
        GY_VALS(gy_vs(p), gy_vs(p), gy_vs(s), gy_vs(s), gy_vs(s), gy_vi((int64_t)max)), &st, err));
    size_t n = 0;
    for (bool more = true; n < max; n++) {
        GY_TRY(gy_stmt_step(st, &more, err));
        if (!more) {
            break;
        }
        GY_TRY(read_row(st, a, &rows[n], err));
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

/* ---- events ---- */

static gy_status tell_event(struct gy_db *db, const char *kind, const struct gy_job *j,
                            struct gy_str why, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    struct gy_jw w;
    char node[GY_UUID_TEXT + 8];
    gy_buf_init(&data, GY_MIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "job", j->id);
    gy_jw_kv_str(&w, "trigger", j->trigger);
    gy_jw_kv_str(&w, "project", j->project);
    gy_jw_kv_str(&w, "name", j->name);
    gy_jw_kv_str(&w, "step", j->step);
    gy_jw_kv_i64(&w, "attempt", j->attempt);
    gy_jw_kv_str(&w, "model", j->model);
    gy_jw_kv_i64(&w, "version", j->version);
    gy_jw_kv_str(&w, "reason", why);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "an event", err));
    (void)snprintf(node, sizeof node, "job:%.36s", j->id.p);
    return gy_event_add(db, kind, gy_str_c(node), actor, gy_buf_str(&data), err);
}

/* ---- making ---- */

static gy_status find_twin(struct gy_db *db, const struct gy_job *j, struct gy_arena *a,
                           bool *ret_found, struct gy_str *ret_id, struct gy_err *err)
{
    GY_TRY(gy_db_get_str(db, "SELECT id FROM jobs WHERE dedupe_key=?",
                         GY_VALS(gy_vs(j->dedupe_key)), a, ret_found, ret_id, err));
    if (*ret_found || !gy_job_is_open(j)) {
        return GY_OK;
    }
    return gy_db_get_str(db, "SELECT id FROM jobs WHERE trigger_id=? AND state IN " OPEN_STATES,
                         GY_VALS(gy_vs(j->trigger_id)), a, ret_found, ret_id, err);
}

/* "[drift] at 2026-11-27T12:00:00Z" */
static void name_of(struct gy_str trigger, int64_t now_us, char *out, size_t size)
{
    char iso[32];
    (void)gy_time_iso(now_us - now_us % 1000000, iso);
    iso[19] = '\0'; /* without the fraction */
    (void)snprintf(out, size, "[%.*s] at %sZ", (int)(trigger.n < 200 ? trigger.n : 200), trigger.p,
                   iso);
}

gy_status gy_job_add(struct gy_db *db, const struct gy_job *j, int64_t now_us, bool *ret_made,
                     char *ret_id, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_str twin = GY_STR_NULL;
    bool has_twin = false;
    char name[GY_MAX_NAME + 40];
    struct gy_job made = *j;
    GY_TRY(find_twin(db, j, &a, &has_twin, &twin, err));
    *ret_made = !has_twin;
    if (has_twin) {
        (void)snprintf(ret_id, GY_UUID_TEXT, "%.36s", twin.p);
        return GY_OK;
    }
    GY_TRY(gy_new_id(ret_id, err));
    name_of(j->trigger, now_us, name, sizeof name);
    made.id = gy_str_c(ret_id);
    made.name = gy_str_c(name);
    made.step = GY_STR("run");
    bool open = gy_job_is_open(j);
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO jobs (id, trigger_id, trigger_name, project, folder, name, spec, "
        "dedupe_key, event_seq, reason, state, step, attempt, cancel_asked, error, "
        "actor, created_us, ended_us) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0,0,?,?,?,?)",
        GY_VALS(gy_vs(made.id), gy_vs(j->trigger_id), gy_vs(j->trigger), gy_vs(j->project),
                gy_vs(j->folder), gy_vs(made.name), gy_vs(j->spec), gy_vs(j->dedupe_key),
                j->event_seq > 0 ? gy_vi(j->event_seq) : gy_vnull(), gy_vs(j->reason),
                gy_vs(j->state), gy_vs(made.step), gy_vs(j->error), gy_vs(j->actor), gy_vi(now_us),
                open ? gy_vnull() : gy_vi(now_us)),
        NULL, err));
    return open ? GY_OK : tell_event(db, "job.refused", &made, j->error, j->actor, err);
}

/* ---- changing ---- */

static gy_status conflict(const struct gy_job *j, struct gy_err *err)
{
    return gy_err_set(err, GY_E_CONFLICT, "the job is %" GY_STR_F " in attempt %lld",
                      GY_STR_A(j->state), (long long)j->attempt);
}

gy_status gy_job_claim(struct gy_db *db, struct gy_str id, int64_t now_us, int64_t *ret_attempt,
                       struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_job j;
    GY_TRY(gy_job_get(db, id, &a, &j, err));
    if (!gy_str_eqc(j.state, "queued")) {
        return conflict(&j, err);
    }
    GY_TRY(gy_db_exec(
        db,
        "UPDATE jobs SET state='running', attempt=attempt+1, pid=NULL, "
        "pid_start=NULL, lease_until_us=?, started_us=COALESCE(started_us, ?) WHERE "
        "id=?",
        GY_VALS(gy_vi(now_us + GY_JOB_LEASE_S * INT64_C(1000000)), gy_vi(now_us), gy_vs(id)), NULL,
        err));
    j.attempt++;
    *ret_attempt = j.attempt;
    return tell_event(db, "job.started", &j, j.reason, j.actor, err);
}

static gy_status update_running(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                size_t n_vals, struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(gy_db_exec(db, sql, vals, n_vals, &n, err));
    return n == 1 ? GY_OK
                  : gy_err_set(err, GY_E_CONFLICT, "another attempt has the job, or it ended");
}

gy_status gy_job_set_process(struct gy_db *db, struct gy_str id, int64_t attempt, int64_t pid,
                             int64_t pid_start, struct gy_err *err)
{
    return update_running(
        db, "UPDATE jobs SET pid=?, pid_start=? WHERE id=? AND attempt=? AND state='running'",
        GY_VALS(gy_vi(pid), gy_vi(pid_start), gy_vs(id), gy_vi(attempt)), err);
}

gy_status gy_job_renew(struct gy_db *db, struct gy_str id, int64_t attempt, int64_t now_us,
                       struct gy_err *err)
{
    return update_running(
        db, "UPDATE jobs SET lease_until_us=? WHERE id=? AND attempt=? AND state='running'",
        GY_VALS(gy_vi(now_us + GY_JOB_LEASE_S * INT64_C(1000000)), gy_vs(id), gy_vi(attempt)), err);
}

static gy_status text_of(yyjson_val *object, const char *key, size_t max, struct gy_str *ret,
                         struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    *ret = gy_json_val_str(v);
    return !v || yyjson_is_null(v) || (yyjson_is_str(v) && ret->n <= max)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'%s' must be a text of at most %zu bytes", key,
                            max);
}

gy_status gy_job_news_read(yyjson_val *object, struct gy_job_news *ret, struct gy_err *err)
{
    memset(ret, 0, sizeof *ret);
    const struct {
        const char *key;
        struct gy_str *to;
    } texts[] = {{"state", &ret->state},       {"step", &ret->step},
                 {"flow_run", &ret->flow_run}, {"model", &ret->model},
                 {"digest", &ret->digest},     {"verdict", &ret->verdict},
                 {"approval", &ret->approval}, {"run_id", &ret->run_id}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        GY_TRY(text_of(object, texts[i].key, GY_MAX_NAME, texts[i].to, err));
    }
    GY_TRY(text_of(object, "error", GY_MAX_ERROR, &ret->error, err));
    ret->version = gy_json_i64(object, "version", 0);
    ret->revision = gy_json_i64(object, "revision", 0);
    return GY_OK;
}

static bool one_of(struct gy_str s, const char *const *names)
{
    for (; *names; names++) {
        if (gy_str_eqc(s, *names)) {
            return true;
        }
    }
    return false;
}

static gy_status check_news(const struct gy_job_news *n, struct gy_err *err)
{
    static const char *const states[] = {"running", "waiting_approval", "done", "failed",
                                         "refused", "cancelled",        NULL};
    static const char *const steps[] = {"run",    "version", "gate", "approval",
                                        "deploy", "end",     NULL};
    if (!one_of(n->state, states)) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no state that an attempt can tell",
                          GY_STR_A(gy_str_sub(n->state, 0, 40)));
    }
    return one_of(n->step, steps) ? GY_OK
                                  : gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no step",
                                               GY_STR_A(gy_str_sub(n->step, 0, 40)));
}

static struct gy_val text_or(struct gy_str now, struct gy_str before)
{
    return gy_vs(now.n > 0 ? now : before);
}

static struct gy_val number_or(int64_t now, int64_t before)
{
    int64_t n = now > 0 ? now : before;
    return n > 0 ? gy_vi(n) : gy_vnull();
}

static gy_status write_news(struct gy_db *db, const struct gy_job *j, const struct gy_job_news *n,
                            int64_t now_us, struct gy_err *err)
{
    bool ended = !gy_str_eqc(n->state, "running") && !gy_str_eqc(n->state, "waiting_approval");
    return gy_db_exec(db,
                      "UPDATE jobs SET state=?, step=?, flow_run=?, model=?, digest=?, verdict=?, "
                      "approval=?, error=?, version=?, revision=?, ended_us=? WHERE id=?",
                      GY_VALS(gy_vs(n->state), gy_vs(n->step), text_or(n->flow_run, j->flow_run),
                              text_or(n->model, j->model), text_or(n->digest, j->digest),
                              text_or(n->verdict, j->verdict), text_or(n->approval, j->approval),
                              text_or(gy_str_sub(n->error, 0, GY_JOB_MAX_REASON), j->error),
                              number_or(n->version, j->version),
                              number_or(n->revision, j->revision),
                              ended ? gy_vi(now_us) : gy_vnull(), gy_vs(j->id)),
                      NULL, err);
}

/* From a prediction's run one walk reaches the job, and from it the event. */
static gy_status add_lineage(struct gy_db *db, const struct gy_job *j, struct gy_str run_id,
                             struct gy_err *err)
{
    char job[GY_UUID_TEXT + 8];
    char node[GY_LINEAGE_MAX_NODE + 1];
    (void)snprintf(job, sizeof job, "job:%.36s", j->id.p);
    if (run_id.n > 0 && run_id.n <= 64) {
        (void)snprintf(node, sizeof node, "run:%.*s", (int)run_id.n, run_id.p);
        GY_TRY(gy_lineage_add(db, gy_str_c(job), "started", gy_str_c(node), j->actor, err));
    }
    if (j->event_seq > 0) {
        (void)snprintf(node, sizeof node, "event:%lld", (long long)j->event_seq);
        GY_TRY(gy_lineage_add(db, gy_str_c(node), "caused", gy_str_c(job), j->actor, err));
    }
    return GY_OK;
}

static gy_status end_events(struct gy_db *db, struct gy_job *j, const struct gy_job_news *n,
                            struct gy_err *err)
{
    static const char *const rows[][2] = {{"done", "job.done"},
                                          {"failed", "job.failed"},
                                          {"refused", "job.refused"},
                                          {"cancelled", "job.cancelled"},
                                          {"waiting_approval", "job.waiting"}};
    j->step = n->step;
    j->model = n->model.n > 0 ? n->model : j->model;
    j->version = n->version > 0 ? n->version : j->version;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (gy_str_eqc(n->state, rows[i][0])) {
            return tell_event(db, rows[i][1], j, n->error, j->actor, err);
        }
    }
    return GY_OK;
}

gy_status gy_job_tell(struct gy_db *db, struct gy_str id, int64_t attempt,
                      const struct gy_job_news *news, int64_t now_us, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_job j;
    GY_TRY(check_news(news, err));
    GY_TRY(gy_job_get(db, id, &a, &j, err));
    if (j.attempt == attempt && gy_str_eq(j.state, news->state) &&
        !gy_str_eqc(j.state, "running")) {
        return GY_OK; /* told before; the answer got lost */
    }
    if (j.attempt != attempt || !gy_str_eqc(j.state, "running")) {
        return conflict(&j, err);
    }
    struct gy_job_news told = *news;
    if (j.cancel_asked && gy_str_eqc(told.state, "waiting_approval")) {
        told.state = GY_STR("cancelled"); /* it was not quick enough to hear of it */
    }
    GY_TRY(write_news(db, &j, &told, now_us, err));
    GY_TRY(add_lineage(db, &j, told.run_id, err));
    return end_events(db, &j, &told, err);
}

/* What counts as running of a job whose processes are gone. */
static gy_status end_leftovers(struct gy_db *db, const struct gy_job *j, struct gy_arena *a,
                               struct gy_err *err)
{
    GY_TRY(
        gy_flow_record_abandon(db, GY_STR_NULL, j->id, GY_STR_NULL, j->actor, a, NULL, NULL, err));
    return gy_run_kill_tagged(db, "gyre.job", j->id, NULL, err);
}

gy_status gy_job_lost(struct gy_db *db, struct gy_str id, int64_t attempt, struct gy_str why,
                      int64_t now_us, bool *ret_again, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_job j;
    GY_TRY(gy_job_get(db, id, &a, &j, err));
    *ret_again = false;
    if (j.attempt != attempt || !gy_str_eqc(j.state, "running")) {
        return GY_OK; /* it told how it ended after all */
    }
    GY_TRY(end_leftovers(db, &j, &a, err));
    /* A job that waited for its approval has the same patience again for what comes after. */
    int64_t most = GY_JOB_MAX_ATTEMPTS * (j.approval.n > 0 ? 2 : 1);
    *ret_again = attempt < most && !j.cancel_asked;
    if (*ret_again) {
        return gy_db_exec(db, "UPDATE jobs SET state='queued', pid=NULL, pid_start=NULL WHERE id=?",
                          GY_VALS(gy_vs(id)), NULL, err);
    }
    struct gy_job_news n = {.state = j.cancel_asked ? GY_STR("cancelled") : GY_STR("failed"),
                            .step = j.step,
                            .error = j.cancel_asked ? GY_STR_NULL : why};
    GY_TRY(write_news(db, &j, &n, now_us, err));
    return end_events(db, &j, &n, err);
}

gy_status gy_job_cancel(struct gy_db *db, struct gy_str id, struct gy_str actor,
                        struct gy_str reason, int64_t now_us, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_job j;
    GY_TRY(gy_actor_need(actor, "cancelling a job", err));
    GY_TRY(gy_job_get(db, id, &a, &j, err));
    if (!gy_job_is_open(&j)) {
        return gy_err_set(err, GY_E_CONFLICT, "the job has ended already: it is %" GY_STR_F,
                          GY_STR_A(j.state));
    }
    const char *why = gy_arena_printf(&a, "cancelled by %" GY_STR_F "%s%" GY_STR_F, GY_STR_A(actor),
                                      reason.n ? ": " : "", GY_STR_A(reason));
    if (!why) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    if (gy_str_eqc(j.state, "running")) {
        return gy_db_exec(db, "UPDATE jobs SET cancel_asked=1, error=? WHERE id=?",
                          GY_VALS(gy_vc(why), gy_vs(id)), NULL, err);
    }
    struct gy_job_news n = {.state = GY_STR("cancelled"), .step = j.step, .error = gy_str_c(why)};
    GY_TRY(write_news(db, &j, &n, now_us, err));
    return end_events(db, &j, &n, err);
}

/* ---- approvals ---- */

static gy_status decision(struct gy_db *db, struct gy_str approval, struct gy_arena *a,
                          struct gy_str *ret_state, struct gy_str *ret_text, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool found = false;
    GY_TRY(gy_db_query(db, "SELECT state, decided_by, reason FROM approvals WHERE id=?",
                       GY_VALS(gy_vs(approval)), &st, err));
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "no approval '%" GY_STR_F "'", GY_STR_A(approval));
    }
    GY_TRY(gy_col_copy(st, 0, a, ret_state, err));
    struct gy_str reason = gy_col_str(st, 2);
    struct gy_str by = gy_col_str(st, 1);
    const char *text =
        gy_arena_printf(a, "%" GY_STR_F " by %" GY_STR_F "%s%" GY_STR_F, GY_STR_A(*ret_state),
                        GY_STR_A(by), reason.n ? ": " : "", GY_STR_A(reason));
    *ret_text = gy_str_c(text);
    return text ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

gy_status gy_job_is_decided(struct gy_db *db, const struct gy_job *j, bool *ret, struct gy_err *err)
{
    int64_t one = 0;
    *ret = false;
    return gy_str_eqc(j->state, "waiting_approval") && j->approval.n > 0
               ? gy_db_get_i64(db, "SELECT 1 FROM approvals WHERE id=? AND state<>'requested'",
                               GY_VALS(gy_vs(j->approval)), ret, &one, err)
               : GY_OK;
}

gy_status gy_job_look_at_approval(struct gy_db *db, struct gy_str id, int64_t now_us,
                                  bool *ret_decided, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_job j;
    struct gy_str state = GY_STR_NULL;
    struct gy_str text = GY_STR_NULL;
    *ret_decided = false;
    GY_TRY(gy_job_get(db, id, &a, &j, err));
    if (!gy_str_eqc(j.state, "waiting_approval") || j.approval.n == 0) {
        return GY_OK;
    }
    GY_TRY(decision(db, j.approval, &a, &state, &text, err));
    if (gy_str_eqc(state, "approved")) {
        *ret_decided = true;
        return gy_db_exec(db, "UPDATE jobs SET state='queued', step='deploy' WHERE id=?",
                          GY_VALS(gy_vs(id)), NULL, err);
    }
    if (!gy_str_eqc(state, "rejected")) {
        return GY_OK;
    }
    *ret_decided = true;
    struct gy_job_news n = {.state = GY_STR("refused"), .step = j.step, .error = text};
    GY_TRY(write_news(db, &j, &n, now_us, err));
    return end_events(db, &j, &n, err);
}
