/* SPDX-License-Identifier: Apache-2.0 */
/* gyre run, gyre flow: the stages of dvc.yaml, run here; what happened is told to the routes. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/proc.h"
#include "base/time.h"
#include "cli/cli_internal.h"
#include "flow/patch.h"
#include "flow/project.h"
#include "flow/run.h"

#define BASE "/api/gyre/v1"
#define MAX_LISTED_FILES \
    1000 /* files of one folder that are told one by one: as many as lineage names */

struct run_opts {
    bool force, no_run_cache;
    const char *name;
};

struct run_call {
    struct gy_cli *cli;
    const struct gy_flow *flow;
    struct gy_caller *caller;
    char id[GY_UUID_TEXT];
    int64_t n_told; /* of steps that started: their position */
    const char *name, *job, *place;
    struct gy_str *done; /* stages that earlier attempts of the job ended well */
    size_t n_done;
};

/* Written by the signal handler only. */
static volatile sig_atomic_t g_cancel;

static void on_signal(int number)
{
    (void)number;
    g_cancel = 1;
}

static void catch_signals(struct sigaction *old_int, struct sigaction *old_term)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask); /* these three can not fail for valid arguments */
    (void)sigaction(SIGINT, &action, old_int);
    (void)sigaction(SIGTERM, &action, old_term);
}

/* ---- telling the routes ---- */

/* Stages of runs that a kill ended may still be at work on the same files. */
static void end_leftovers(struct run_call *c, yyjson_val *cancelled)
{
    size_t i;
    size_t max;
    yyjson_val *v;
    yyjson_arr_foreach(cancelled, i, max, v)
    {
        char mark[GY_UUID_TEXT + 16];
        struct gy_str id = gy_json_val_str(v);
        (void)snprintf(mark, sizeof mark, "GYRE_STEP=%.36s/", id.p ? id.p : "-");
        (void)gy_proc_kill_marked(gy_str_c(mark)); /* how many does not matter */
        gy_cli_note(c->cli, "the run %.*s had been killed: it is cancelled now\n", (int)id.n, id.p);
    }
}

static gy_status keep_done(struct run_call *c, yyjson_val *done, struct gy_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *v;
    c->done = gy_arena_calloc(&c->cli->arena, yyjson_arr_size(done) + 1, sizeof *c->done);
    if (!c->done) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(done, i, max, v)
    {
        c->done[c->n_done] = gy_arena_str(&c->cli->arena, gy_json_val_str(v));
        if (!c->done[c->n_done++].p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
    }
    return GY_OK;
}

static gy_status start_record(struct run_call *c, const struct gy_project *p, const char *revision,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_jw w;
    gy_buf_init(&body, GY_MAX_JSON_BODY);
    gy_collect_init(&answer, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "id", c->id);
    gy_jw_kv_str(&w, "project", p->name);
    gy_jw_kv_strc(&w, "folder", p->dir);
    gy_jw_kv_strc(&w, "code_revision", revision);
    gy_jw_kv_strc(&w, "name", c->name);
    gy_jw_kv_strc(&w, "job", c->job);
    gy_jw_kv_strc(&w, "place", c->place);
    gy_jw_key(&w, "targets");
    gy_jw_arr(&w);
    for (int i = 0; i < c->cli->argc; i++) {
        gy_jw_strc(&w, c->cli->argv[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the run's record", err));
    GY_TRY(gy_call_json(c->caller, "POST", BASE "/flow/runs", gy_buf_str(&body), &answer, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    end_leftovers(c, gy_json_get(yyjson_doc_get_root(doc), "cancelled"));
    return keep_done(c, gy_json_get(yyjson_doc_get_root(doc), "done"), err);
}

static void write_entries(struct gy_jw *w, const char *key, const struct gy_flow_entry *entries,
                          size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; entries && i < n; i++) {
        const struct gy_flow_entry *e = &entries[i];
        if (e->md5[0] == '\0') {
            continue; /* an output that is not there yet */
        }
        gy_jw_obj(w);
        gy_jw_kv_str(w, "path", e->path);
        gy_jw_kv_strc(w, "md5", e->md5);
        gy_jw_kv_i64(w, "size", e->size_bytes);
        if (e->n_files < 0) {
            gy_jw_kv_strc(w, "sha256", e->sha256);
        } else {
            gy_jw_kv_i64(w, "nfiles", e->n_files);
            gy_jw_key(w, "files");
            gy_jw_arr(w);
            for (int64_t k = 0; k < e->n_files && k < MAX_LISTED_FILES; k++) {
                gy_jw_obj(w);
                gy_jw_kv_str(w, "path", e->files[k].relpath);
                gy_jw_kv_strc(w, "sha256", e->files[k].sha256);
                gy_jw_obj_end(w);
            }
            gy_jw_arr_end(w);
        }
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_cmd(struct gy_jw *w, const struct gy_flow_stage *s, struct gy_buf *scratch)
{
    gy_buf_reset(scratch);
    for (size_t i = 0; i < s->n_cmd; i++) {
        gy_buf_addf(scratch, "%s", i ? "\n" : "");
        gy_buf_add(scratch, s->cmd[i]);
    }
    gy_jw_kv_str(w, "cmd", gy_buf_str(scratch));
}

static gy_status tell_step(struct run_call *c, const struct gy_flow_step *step, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf cmd;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_jw w;
    gy_buf_init(&body, GY_MAX_JSON_BODY);
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_init(&cmd, GY_MAX_YAML);
    gy_collect_init(&answer, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "position", c->n_told);
    gy_jw_kv_strc(&w, "status", gy_step_status_name(step->status));
    gy_jw_kv_strc(&w, "why", step->why);
    write_cmd(&w, step->stage, &cmd);
    gy_jw_kv_i64(&w, "exit_code", step->exit_code);
    gy_jw_kv_i64(&w, "started_us", step->started_us);
    gy_jw_kv_i64(&w, "ended_us", step->ended_us);
    gy_jw_kv_strc(&w, "log", step->log[0] ? step->log : NULL);
    gy_jw_kv_strc(&w, "error", step->error);
    write_entries(&w, "deps", step->state.deps, step->stage->n_deps);
    gy_jw_key(&w, "params");
    gy_jw_raw(&w, step->state.params_json.n ? step->state.params_json : GY_STR("{}"));
    write_entries(
        &w, "outs",
        step->status == GY_STEP_DONE || step->status == GY_STEP_UNCHANGED ? step->state.outs : NULL,
        step->stage->n_outs);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the step's record", err));
    gy_buf_addf(&path, BASE "/flow/runs/%s/steps/", c->id);
    gy_url_encode(&path, step->stage->name, false);
    GY_TRY(gy_buf_check(&path, "the step's address", err));
    return gy_call_json(c->caller, "PUT", path.p, gy_buf_str(&body), &answer, err);
}

static gy_status end_record(struct run_call *c, gy_status outcome, const struct gy_err *why,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    char path[128];
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_collect_init(&answer, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "status",
                  outcome == GY_OK            ? "done"
                  : outcome == GY_E_CANCELLED ? "cancelled"
                                              : "failed");
    gy_jw_kv_strc(&w, "error", outcome == GY_OK ? NULL : why->msg);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the run's record", err));
    (void)snprintf(path, sizeof path, BASE "/flow/runs/%s/end", c->id);
    gy_status status = gy_call_json(c->caller, "POST", path, gy_buf_str(&body), &answer, err);
    /* In a job the first time it was told may have got lost on its way back. */
    return status == GY_E_CONFLICT && c->job ? GY_OK : status;
}

static gy_status on_step(void *ctx, const struct gy_flow_step *step, struct gy_err *err)
{
    struct run_call *c = ctx;
    if (step->status == GY_STEP_RUNNING) {
        gy_cli_note(c->cli, "stage '%" GY_STR_F "': %s\n", GY_STR_A(step->stage->name), step->why);
    } else if (step->status == GY_STEP_UNCHANGED) {
        gy_cli_note(c->cli, "stage '%" GY_STR_F "': nothing changed, skipped\n",
                    GY_STR_A(step->stage->name));
    }
    GY_TRY(tell_step(c, step, err));
    c->n_told += step->status != GY_STEP_RUNNING;
    return GY_OK;
}

/* ---- gyre run ---- */

static gy_status print_result(struct run_call *c, const struct gy_flow_result *r, gy_status outcome,
                              const struct gy_err *why, struct gy_err *err)
{
    if (!c->cli->json) {
        for (size_t i = 0; i < r->n_steps; i++) {
            const struct gy_flow_step *s = &r->steps[i];
            double seconds =
                s->ended_us > s->started_us ? (double)(s->ended_us - s->started_us) / 1e6 : 0.0;
            gy_cli_say(c->cli, "%-24.*s %-10s %8.2f s\n", (int)s->stage->name.n, s->stage->name.p,
                       gy_step_status_name(s->status), seconds);
        }
        gy_cli_say(c->cli, "run %s: %zu done, %zu unchanged\n", c->id, r->n_done, r->n_unchanged);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "run", c->id);
    gy_jw_kv_strc(&w, "status",
                  outcome == GY_OK            ? "done"
                  : outcome == GY_E_CANCELLED ? "cancelled"
                                              : "failed");
    gy_jw_kv_i64(&w, "done", (int64_t)r->n_done);
    gy_jw_kv_i64(&w, "unchanged", (int64_t)r->n_unchanged);
    gy_jw_key(&w, "stages");
    gy_jw_arr(&w);
    for (size_t i = 0; i < r->n_steps; i++) {
        const struct gy_flow_step *s = &r->steps[i];
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "stage", s->stage->name);
        gy_jw_kv_strc(&w, "status", gy_step_status_name(s->status));
        gy_jw_kv_strc(&w, "why", s->why);
        gy_jw_kv_i64(&w, "exit_code", s->exit_code);
        gy_jw_kv_f64(&w, "seconds",
                     s->ended_us > s->started_us ? (double)(s->ended_us - s->started_us) / 1e6
                                                 : 0.0);
        gy_jw_kv_strc(&w, "log", s->log[0] ? s->log : NULL);
        gy_jw_kv_strc(&w, "error", s->error);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    if (outcome != GY_OK) {
        gy_jw_key(&w, "error");
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "code", gy_status_name(outcome));
        gy_jw_kv_strc(&w, "message", why->msg);
        gy_jw_kv_strc(&w, "hint", why->hint);
        gy_jw_obj_end(&w);
    }
    gy_jw_obj_end(&w);
    return gy_cli_print_json(c->cli, &out, err);
}

static gy_status run_recorded(struct run_call *c, const struct gy_project *p,
                              struct gy_flow_run_options *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result result = {0};
    struct gy_err why = GY_ERR_INIT;
    struct gy_err lost = GY_ERR_INIT;
    struct sigaction old_int;
    struct sigaction old_term;
    g_cancel = 0;
    catch_signals(&old_int, &old_term);
    gy_status started = start_record(c, p, o->code_revision, err);
    if (started != GY_OK) {
        return started;
    }
    o->recorded = c->done;
    o->n_recorded = c->n_done;
    gy_status outcome = gy_flow_run(c->flow, o, &result, &why);
    (void)sigaction(SIGINT, &old_int, NULL);
    (void)sigaction(SIGTERM, &old_term, NULL);
    gy_status ended = end_record(c, outcome, &why, outcome == GY_OK ? err : &lost);
    GY_TRY(print_result(c, &result, outcome, &why, err));
    if (outcome != GY_OK && c->cli->json) { /* the one document on stdout has told it */
        gy_cli_note(c->cli, "%s%s%s\n", why.msg, why.hint[0] ? "\n" : "", why.hint);
        c->cli->exit_code = gy_status_exit(outcome);
        return GY_OK;
    }
    if (outcome != GY_OK) {
        if (err) {
            *err = why; /* the stage's failure, not that of its record */
        }
        return outcome;
    }
    return ended;
}

/* A first run from a folder below the project makes the project's home, not one of that folder. */
static gy_status choose_home(struct gy_cli *cli, const char *project_dir, struct gy_err *err)
{
    struct gy_home home = {.lock_fd = -1};
    struct gy_err none = GY_ERR_INIT;
    if (gy_home_find(cli->home, false, &home, &none) == GY_E_NOTFOUND && !cli->home) {
        cli->home = gy_arena_printf(&cli->arena, "%s/.gyre", project_dir);
        return cli->home ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_home_done(&home);
    return GY_OK;
}

/* Who else could be at work with the same lock: this host's name and the folder of the lock. */
static gy_status place_of(struct gy_cli *cli, const char *home, const char **ret,
                          struct gy_err *err)
{
    char host[256];
    if (gethostname(host, sizeof host) != 0) {
        return gy_err_sys(err, errno, "asking for the host's name");
    }
    host[sizeof host - 1] = '\0'; /* a name that was cut may lack it */
    *ret = gy_arena_printf(&cli->arena, "%s:%s", host, home);
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* Where a job's stages leave their marks (flow/run.h); NULL outside of jobs. */
static gy_status marks_of(struct run_call *c, const char *home, const char **ret,
                          struct gy_err *err)
{
    const char *job = getenv("GYRE_JOB");
    unsigned char raw[16];
    if (!job || !job[0]) {
        return GY_OK;
    }
    if (gy_uuid_parse(gy_str_c(job), raw, err) != GY_OK) { /* it becomes part of a path */
        return gy_err_wrap(err, "GYRE_JOB");
    }
    c->job = job;
    *ret = gy_arena_printf(&c->cli->arena, "%s/runs/%s/done", home, job);
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status run_held(struct run_call *c, const struct gy_project *p,
                          struct gy_flow_run_options *o, struct gy_err *err)
{
    int held = -1;
    GY_TRY(place_of(c->cli, o->home, &c->place, err));
    GY_TRY(marks_of(c, o->home, &o->marks, err));
    GY_TRY(gy_cli_caller(c->cli, &c->caller, err));
    GY_TRY(gy_flow_hold(o->home, &held, err));
    o->held = true;
    gy_status status = run_recorded(c, p, o, err);
    (void)close(held); /* releases the lock */
    return status;
}

/* The tree is only now what it is: stages change files. Where it can not be kept the run goes on,
 * and says so: its code revision says "+dirty" in any case. */
static void keep_patch(struct gy_cli *cli, const char *dir, const char *revision, const char *home,
                       const char *id, char ret_path[GY_MAX_PATH])
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_err why = GY_ERR_INIT;
    struct gy_patch patch;
    gy_buf_init(&text, GY_PATCH_MAX_BYTES);
    gy_status status = gy_flow_code_patch(dir, revision, &text, &patch, &why);
    if (status == GY_OK && !patch.dirty) {
        return;
    }
    int n = snprintf(ret_path, GY_MAX_PATH, "%s/runs/%s/dirty.patch", home, id);
    if (status == GY_OK && (n < 0 || n >= GY_MAX_PATH)) {
        status = gy_err_set(&why, GY_E_TOOBIG, "a path is too long");
    }
    if (status == GY_OK) {
        status = gy_dir_make_for(ret_path, &why);
    }
    if (status == GY_OK) {
        status = gy_file_write(ret_path, gy_buf_str(&text), 0644, &why);
    }
    if (status != GY_OK) {
        ret_path[0] = '\0';
        gy_cli_note(cli, "the changes of the working tree are not kept: %s\n", why.msg);
    }
}

static gy_status run_run(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct run_opts *o = opts;
    char dir[GY_MAX_PATH];
    char revision[GY_CODE_REVISION];
    char patch[GY_MAX_PATH] = "";
    GY_AUTO(gy_project_free) struct gy_project *project = NULL;
    GY_AUTO(gy_flow_free) struct gy_flow *flow = NULL;
    struct gy_home home = {.lock_fd = -1};
    struct run_call call = {.cli = cli, .name = o->name};
    GY_TRY(gy_project_find(NULL, dir, err));
    GY_TRY(gy_project_load(dir, &project, err));
    GY_TRY(gy_flow_load(dir, &flow, err));
    GY_TRY(gy_git_revision(dir, revision, err));
    GY_TRY(gy_new_id(call.id, err));
    GY_TRY(choose_home(cli, dir, err));
    GY_TRY(gy_cli_home(cli, &home, err));
    keep_patch(cli, dir, revision, home.dir, call.id, patch);
    call.flow = flow;
    struct gy_flow_run_options options = {.home = home.dir,
                                          .program = cli->program,
                                          .server = cli->server,
                                          .run_id = call.id,
                                          .code_revision = revision,
                                          .code_patch = patch[0] ? patch : NULL,
                                          .targets = (const char *const *)cli->argv,
                                          .n_targets = (size_t)cli->argc,
                                          .force = o->force,
                                          .no_run_cache = o->no_run_cache,
                                          .echo_fd = cli->quiet ? -1 : STDERR_FILENO,
                                          .cancel = &g_cancel,
                                          .on_step = on_step,
                                          .ctx = &call};
    gy_status status = run_held(&call, project, &options, err);
    gy_home_done(&home);
    return status;
}

/* ---- gyre flow ---- */

struct flow_opts {
    const char *project;
};

static gy_status load_here(struct gy_flow **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_TRY(gy_project_find(NULL, dir, err));
    return gy_flow_load(dir, ret, err);
}

static gy_status run_dag(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    GY_TRY(load_here(&f, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "stages");
    gy_jw_arr(&w);
    for (size_t i = 0; i < f->n_stages; i++) {
        const struct gy_flow_stage *s = &f->stages[f->order[i]];
        gy_cli_say(cli, "%.*s", (int)s->name.n, s->name.p);
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "stage", s->name);
        gy_jw_key(&w, "after");
        gy_jw_arr(&w);
        for (size_t k = 0; k < s->n_upstream; k++) {
            struct gy_str above = f->stages[s->upstream[k]].name;
            gy_cli_say(cli, "%s%.*s", k ? ", " : "  <- ", (int)above.n, above.p);
            gy_jw_str(&w, above);
        }
        gy_cli_say(cli, "\n");
        gy_jw_arr_end(&w);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

/* Why a stage would run, NULL: it would not. */
static gy_status stage_why(const struct gy_flow *f, const struct gy_flow_lock *lock,
                           const struct gy_flow_stage *s, struct gy_arena *a, const char **ret_why,
                           struct gy_err *err)
{
    struct gy_flow_state state;
    struct gy_err missing = GY_ERR_INIT;
    *ret_why = NULL;
    if (s->frozen) {
        return GY_OK;
    }
    gy_status status = gy_flow_state_inputs(f, s, a, &state, &missing);
    if (status == GY_E_NOTFOUND) { /* something that a stage before it has to make, or that is
                                      really missing */
        *ret_why = gy_arena_strdup(a, gy_str_c(missing.msg));
        return *ret_why ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    if (status != GY_OK) {
        if (err) {
            *err = missing;
        }
        return status;
    }
    GY_TRY(gy_flow_state_outputs(f, s, false, a, &state, err));
    return gy_flow_changed(lock, s, &state, a, ret_why, err);
}

/* The newest run of the project, where there is a home to ask. */
static gy_status say_last_run(struct gy_cli *cli, const char *dir, struct gy_jw *w,
                              struct gy_err *err)
{
    struct gy_home home = {.lock_fd = -1};
    struct gy_err none = GY_ERR_INIT;
    struct gy_caller *caller = NULL;
    GY_AUTO(gy_project_free) struct gy_project *project = NULL;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_MAX_REPLY);
    gy_buf_init(&path, GY_MAX_PATH);
    gy_jw_key(w, "last_run");
    bool has_home = gy_home_find(cli->home, false, &home, &none) == GY_OK;
    gy_home_done(&home);
    if (!has_home && !(cli->server && cli->server[0])) {
        gy_jw_null(w);
        return GY_OK;
    }
    GY_TRY(gy_project_load(dir, &project, err));
    gy_buf_addc(&path, BASE "/flow/runs?limit=1&project=");
    gy_url_encode(&path, project->name, false);
    GY_TRY(gy_buf_check(&path, "the project's name", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path.p, GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *run = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(doc), "runs"));
    if (!run) {
        gy_jw_null(w);
        return GY_OK;
    }
    struct gy_str name = gy_json_str(run, "name");
    struct gy_str status = gy_json_str(run, "status");
    struct gy_str id = gy_json_str(run, "id");
    gy_cli_say(cli, "last run: %.*s%s%.*s, %.*s\n", (int)name.n, name.p ? name.p : "",
               name.n ? "  " : "", (int)id.n, id.p ? id.p : "", (int)status.n,
               status.p ? status.p : "");
    gy_jw_val(w, run);
    return GY_OK;
}

static gy_status run_status(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock = {NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw w;
    size_t n_changed = 0;
    GY_TRY(load_here(&f, err));
    GY_TRY(gy_flow_lock_read(f->dir, &lock, err));
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "stages");
    gy_jw_arr(&w);
    for (size_t i = 0; i < f->n_stages; i++) {
        const struct gy_flow_stage *s = &f->stages[f->order[i]];
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, GY_GIB);
        const char *why = NULL;
        GY_TRY(stage_why(f, &lock, s, &a, &why, err));
        const char *state = s->frozen   ? "frozen"
                            : s->manual ? "manual"
                            : why       ? "changed"
                                        : "unchanged";
        n_changed += why != NULL && !s->manual;
        gy_cli_say(cli, "%-24.*s %-*s%s\n", (int)s->name.n, s->name.p, why ? 11 : 0, state,
                   why ? why : "");
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "stage", s->name);
        gy_jw_kv_strc(&w, "status", state);
        gy_jw_kv_strc(&w, "why", why);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_i64(&w, "changed", (int64_t)n_changed);
    GY_TRY(say_last_run(cli, f->dir, &w, err));
    gy_jw_obj_end(&w);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

static gy_status run_history(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct flow_opts *o = opts;
    struct gy_caller *caller = NULL;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_MAX_REPLY);
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addc(&path, BASE "/flow/runs?project=");
    gy_url_encode(&path, gy_str_c(o->project ? o->project : ""), false);
    GY_TRY(gy_buf_check(&path, "the project's name", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *runs = gy_json_get(yyjson_doc_get_root(doc), "runs");
    static const char *const head[] = {"run", "name", "project", "status", "started", "code", "by"};
    static const char *const keys[] = {"id",      "name",          "project", "status",
                                       "started", "code_revision", "actor"};
    size_t n = yyjson_arr_size(runs);
    struct gy_str *cells = gy_arena_calloc(&cli->arena, 7 * n + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    size_t i;
    size_t max;
    yyjson_val *r;
    yyjson_arr_foreach(runs, i, max, r)
    {
        for (size_t k = 0; k < 7; k++) {
            cells[7 * i + k] = gy_json_str(r, keys[k]);
        }
    }
    gy_cli_table(cli, head, 7, cells, n, (const bool[7]){false});
    return GY_OK;
}

static const struct gy_opt run_options[] = {
    {"force", 'f', GY_OPT_FLAG, offsetof(struct run_opts, force), NULL, NULL,
     "run stages that did not change, too"},
    {"no-run-cache", 0, GY_OPT_FLAG, offsetof(struct run_opts, no_run_cache), NULL, NULL,
     "run stages that ran in this very state before, too"},
    {"name", 'n', GY_OPT_STR, offsetof(struct run_opts, name), "TEXT", NULL,
     "what this run is called in `gyre flow status` and `history`"},
};

static const struct gy_opt history_options[] = {
    {"project", 0, GY_OPT_STR, offsetof(struct flow_opts, project), "NAME", NULL,
     "only runs of this project"},
};

static const struct gy_verb verbs[] = {
    {.noun = "run",
     .args = "[STAGE...]",
     .min_args = 0,
     .max_args = -1,
     .summary = "run the stages of dvc.yaml that changed",
     .details = "Runs the named stages and what they need, or all but the manual ones, in order. A "
                "stage whose command, dependencies, parameters\n"
                "and outputs are as dvc.lock says is skipped. The first failure stops the run. "
                "Each line of a cmd gets its own\n"
                "shell, with DVC_ROOT, DVC_STAGE, GYRE_HOME, GYRE_PROJECT, GYRE_STEP and "
                "GYRE_CODE_REVISION set, and this gyre\n"
                "first in PATH. Logs are kept in .gyre/runs/<run>/<stage>.log. `dvc repro` runs "
                "the same file.",
     .examples =
         "  gyre run\n  gyre run challenger --force\n  gyre run --name 'after the ward moved'",
     .opts = run_options,
     .n_opts = sizeof run_options / sizeof run_options[0],
     .opts_bytes = sizeof(struct run_opts),
     .run = run_run},
    {.noun = "flow",
     .verb = "dag",
     .args = "",
     .summary = "show the stages and what they wait for",
     .examples = "  gyre flow dag",
     .opts_bytes = sizeof(struct flow_opts),
     .run = run_dag},
    {.noun = "flow",
     .verb = "status",
     .args = "",
     .summary = "show which stages would run, and why",
     .examples = "  gyre flow status --json",
     .opts_bytes = sizeof(struct flow_opts),
     .run = run_status},
    {.noun = "flow",
     .verb = "history",
     .args = "",
     .summary = "list the pipeline runs",
     .examples = "  gyre flow history --project sepsis",
     .opts = history_options,
     .n_opts = sizeof history_options / sizeof history_options[0],
     .opts_bytes = sizeof(struct flow_opts),
     .run = run_history},
};

const struct gy_verb_table gy_cmd_run = GY_VERB_TABLE(verbs);
