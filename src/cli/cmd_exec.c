/* SPDX-License-Identifier: Apache-2.0 */
/* gyre __exec JOB: the process of a job, a child of the server (api/dispatcher.h). It goes on at
 * the step that the job's row names and tells the row before and after each; every step may be done
 * again: stages that ended well are not run twice (flow/run.h), a registration finds its version
 * (learn/publish.h), a verdict, a request and a deployment are looked for before they are made. How
 * it ended stands in its exit file before it is told, so that it is known when the server is away.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/dispatcher.h"
#include "base/file.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/time.h"
#include "cli/ask.h"
#include "flow/project.h"
#include "flow/trigger.h"

#define BASE "/api/gyre/v1"
#define MAX_OUTPUT (64 * GY_MIB) /* JSON of a command */
#define MAX_ARGS (GY_TRIGGER_MAX_STAGES + 16)
#define BUSY_WAIT_MS 500 /* while a person runs the same project */
#define BUSY_MOST_S 3600
#define MAX_FILES 4096
#define MOST_TRIES 20 /* of what is asked for once at a time */

struct job {
    struct gy_cli *cli;
    const char *id, *home;
    int64_t attempt;
    struct gy_str folder, name, created; /* of the row; texts in cli->arena, as all here */
    struct gy_trigger_spec spec;
    struct gy_project *project;
    const char *step; /* the one to do next */
    struct gy_str model, digest, flow_run, verdict, approval, run_id;
    int64_t version, revision;
};

/* How a step came out: go on with job.step, or end in a state. */
struct outcome {
    const char *state; /* NULL: go on */
    const char *error; /* NULL: none */
};

static volatile sig_atomic_t g_ended;
static volatile sig_atomic_t g_child; /* the process group of the command that runs; 0: none */

static void on_signal(int number)
{
    g_ended = number;
    if (g_child > 0) {
        (void)kill(-(pid_t)g_child, SIGTERM); /* it ends its own stage */
    }
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status cancelled(struct gy_err *err)
{
    return gy_err_set(err, GY_E_CANCELLED, "cancelled");
}

/* Nothing else was wrong: another attempt may have more luck. */
static gy_status went_away(struct gy_err *err)
{
    return gy_err_set(err, GY_E_UNAVAILABLE, "the server did not answer, %d times in a row",
                      MOST_TRIES);
}

static gy_status keep(struct job *j, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    if (s.n == 0) {
        return GY_OK;
    }
    *ret = gy_arena_str(&j->cli->arena, s);
    return ret->p ? GY_OK : no_memory(err);
}

/* ---- telling ---- */

static gy_status write_news(struct job *j, const char *state, const char *error, struct gy_buf *out,
                            struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "attempt", j->attempt);
    gy_jw_kv_strc(&w, "state", state);
    gy_jw_kv_strc(&w, "step", j->step);
    gy_jw_kv_strc(&w, "error", error);
    gy_jw_kv_str(&w, "flow_run", j->flow_run);
    gy_jw_kv_str(&w, "model", j->model);
    gy_jw_kv_i64(&w, "version", j->version);
    gy_jw_kv_str(&w, "digest", j->digest);
    gy_jw_kv_str(&w, "run_id", j->run_id);
    gy_jw_kv_str(&w, "verdict", j->verdict);
    gy_jw_kv_str(&w, "approval", j->approval);
    gy_jw_kv_i64(&w, "revision", j->revision);
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "what became of the job", err);
}

static gy_status tell(struct job *j, const char *state, const char *error, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    const char *path = NULL;
    gy_buf_init(&body, GY_MIB);
    GY_TRY(write_news(j, state, error, &body, err));
    GY_TRY(gy_cli_path(j->cli, BASE "/jobs/{}/tell", gy_str_c(j->id), &path, err));
    return gy_cli_ask(j->cli, "POST", path, gy_buf_str(&body), &answer, err);
}

static gy_status write_exit(struct job *j, const struct outcome *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    char name[64];
    char path[GY_MAX_PATH];
    gy_buf_init(&text, GY_MIB);
    GY_TRY(write_news(j, o->state, o->error, &text, err));
    (void)snprintf(name, sizeof name, GY_JOB_EXIT_FILE, (long long)j->attempt);
    int n = snprintf(path, sizeof path, "%s/runs/%s/%s", j->home, j->id, name);
    if (n < 0 || n >= (int)sizeof path) {
        return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
    }
    GY_TRY(gy_dir_make_for(path, err));
    return gy_file_write(path, gy_buf_str(&text), 0644, err);
}

/* ---- commands ---- */

static gy_status drain(int fd, struct gy_buf *out, struct gy_err *err)
{
    for (;;) {
        char *to = gy_buf_reserve(out, 64 * GY_KIB);
        if (!to) {
            return gy_buf_check(out, "what a command printed", err);
        }
        ssize_t n = read(fd, to, 64 * GY_KIB);
        if (n == 0) {
            return GY_OK;
        }
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "reading what a command printed");
        }
        if (n > 0) {
            gy_buf_commit(out, (size_t)n);
        }
    }
}

static void note_command(const char *const *argv)
{
    (void)fputs(">", stderr);
    for (size_t i = 1; argv[i]; i++) {
        (void)fputc(' ', stderr);
        gy_cli_put(stderr, gy_str_c(argv[i]), false, false);
    }
    (void)fputc('\n', stderr);
}

/* Run `gyre ...` in the project's folder; what it prints is JSON, its messages go to our log. A
 * signal to us reaches it, also one that came just before it started. once: it does not ask again
 * when the server goes away (cli/patient.h), since what it asks for must not be done twice. */
static gy_status run_gyre(struct job *j, const char *const *argv, bool once, struct gy_buf *out,
                          int *ret_code, struct gy_err *err)
{
    static const char *const impatient[] = {"GYRE_JOB_ONCE=1", NULL};
    int ends[2];
    struct gy_proc child = {0};
    note_command(argv);
    if (g_ended) {
        return cancelled(err);
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gy_err_sys(err, errno, "making a pipe");
    }
    const struct gy_proc_options o = {.argv = argv,
                                      .cwd = j->folder.p,
                                      .env_add = once ? impatient : NULL,
                                      .stdin_fd = -1,
                                      .stdout_fd = ends[1],
                                      .stderr_fd = -1};
    gy_status status = gy_proc_start(&o, &child, err);
    (void)close(ends[1]); /* the child has its own */
    if (status == GY_OK) {
        g_child = child.pid;
        if (g_ended) {
            gy_proc_kill(&child, SIGTERM);
        }
        status = drain(ends[0], out, err);
        if (status != GY_OK) {
            gy_proc_kill(&child, SIGKILL);
        }
        gy_status waited = gy_proc_wait(&child, ret_code, status == GY_OK ? err : NULL);
        g_child = 0;
        status = status == GY_OK ? waited : status;
    }
    (void)close(ends[0]);
    return status == GY_OK && g_ended ? cancelled(err) : status;
}

/* The server went away for too long, or the command was killed: that says nothing about the work.
 */
static bool is_lost(int code)
{
    return code > 128 || code == gy_status_exit(GY_E_NETWORK) ||
           code == gy_status_exit(GY_E_UNAVAILABLE) || code == gy_status_exit(GY_E_TIMEOUT);
}

/* The failure that a command told as JSON. */
static gy_status failure_of(const char *what, const struct gy_buf *out, int code,
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str message = GY_STR_NULL;
    if (gy_json_parse(gy_buf_str(out), &doc, NULL) == GY_OK) {
        message = gy_json_str(gy_json_get(yyjson_doc_get_root(doc), "error"), "message");
    }
    return gy_err_set(err, is_lost(code) ? GY_E_UNAVAILABLE : GY_E_FAILED,
                      "%s ended with %d%s%" GY_STR_F, what, code, message.n > 0 ? ": " : "",
                      GY_STR_A(gy_str_sub(message, 0, 400)));
}

/* ---- the steps ---- */

static gy_status wait_while_busy(int64_t since_ns, bool *ret_go_on)
{
    const struct timespec pause = {.tv_nsec = BUSY_WAIT_MS * 1000000L};
    *ret_go_on = !g_ended && gy_mono_ns() - since_ns < BUSY_MOST_S * INT64_C(1000000000);
    if (*ret_go_on) {
        (void)nanosleep(&pause, NULL); /* a signal ends it early, which is meant */
    }
    return GY_OK;
}

/* A stage that kill -9 (or the kernel, short of memory) ended is worth another attempt. */
static bool stage_was_killed(const struct gy_buf *out)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    size_t i;
    size_t n;
    yyjson_val *s;
    if (gy_json_parse(gy_buf_str(out), &doc, NULL) != GY_OK) {
        return false;
    }
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "stages"), i, n, s)
    {
        if (gy_json_i64(s, "exit_code", 0) == 128 + SIGKILL) {
            return true;
        }
    }
    return false;
}

/* A run of this job that ended well, though the attempt that started it died before it said so. */
static gy_status find_run(struct job *j, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    const char *path = NULL;
    size_t i;
    size_t n;
    yyjson_val *r;
    GY_TRY(gy_cli_path(j->cli, BASE "/flow/runs?job={}", gy_str_c(j->id), &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    yyjson_arr_foreach(gy_json_get(answer.root, "runs"), i, n, r)
    {
        if (gy_str_eqc(gy_json_str(r, "status"), "done")) {
            GY_TRY(keep(j, gy_json_str(r, "id"), &j->flow_run, err));
        }
    }
    return GY_OK;
}

static gy_status do_run(struct job *j, struct outcome *ret, struct gy_err *err)
{
    (void)ret;
    GY_TRY(find_run(j, err));
    if (j->flow_run.p) {
        j->step = "version";
        return GY_OK;
    }
    const char *argv[MAX_ARGS] = {j->cli->program, "run", "--json", "--name", j->name.p, "--"};
    size_t n = 6;
    for (size_t i = 0; i < j->spec.n_stages; i++) {
        argv[n++] = j->spec.stages[i].p; /* arena texts end in NUL */
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_OUTPUT);
    int64_t since = gy_mono_ns();
    int code = 0;
    for (bool again = true; again;) {
        gy_buf_reset(&out);
        GY_TRY(run_gyre(j, argv, false, &out, &code, err));
        again = false;
        if (code == gy_status_exit(GY_E_BUSY)) {
            GY_TRY(wait_while_busy(since, &again));
        }
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (code != 0) {
        gy_status status = failure_of("gyre run", &out, code, err);
        return status == GY_E_FAILED && stage_was_killed(&out) ? GY_E_UNAVAILABLE : status;
    }
    GY_TRY(gy_json_parse(gy_buf_str(&out), &doc, err));
    GY_TRY(keep(j, gy_json_str(yyjson_doc_get_root(doc), "run"), &j->flow_run, err));
    j->step = "version";
    return GY_OK;
}

static int64_t number_at(yyjson_val *v, const char *key)
{
    int64_t n = gy_json_i64(v, key, 0);
    struct gy_str text = gy_json_str(v, key);
    if (text.n > 0 && gy_parse_i64(text, 0, INT64_MAX, &n, NULL) != GY_OK) {
        return 0;
    }
    return n;
}

/* Of the versions that this job registered the newest of the wanted model. */
static yyjson_val *newest_of(struct job *j, yyjson_val *versions)
{
    yyjson_val *best = NULL;
    size_t i;
    size_t n;
    yyjson_val *v;
    yyjson_arr_foreach(versions, i, n, v)
    {
        struct gy_str name = gy_json_str(v, "name");
        if (j->spec.model.p && !gy_str_eq(name, j->spec.model)) {
            continue;
        }
        int64_t made = number_at(v, "creation_timestamp");
        int64_t best_made = best ? number_at(best, "creation_timestamp") : -1;
        if (made > best_made ||
            (made == best_made && number_at(v, "version") > number_at(best, "version"))) {
            best = v;
        }
    }
    return best;
}

static gy_status read_digest(struct job *j, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    char format[64];
    const char *path = NULL;
    (void)snprintf(format, sizeof format, BASE "/models/{}/versions/%lld", (long long)j->version);
    GY_TRY(gy_cli_path(j->cli, format, j->model, &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    return keep(j, gy_json_str(answer.root, "digest"), &j->digest, err);
}

static gy_status do_version(struct job *j, struct outcome *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    char filter[128];
    const char *path = NULL;
    (void)snprintf(filter, sizeof filter, "tags.`gyre.job` = '%s'", j->id);
    GY_TRY(gy_cli_path(j->cli, "/api/2.0/mlflow/model-versions/search?max_results=1000&filter={}",
                       gy_str_c(filter), &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    yyjson_val *v = newest_of(j, gy_json_get(answer.root, "model_versions"));
    if (!v && (j->spec.endpoint.p || j->spec.model.p)) {
        return gy_err_set(err, GY_E_FAILED,
                          "its stages registered no version of a model: none of them registers "
                          "one, or nothing that they learn from has changed");
    }
    if (!v) {
        j->step = "end";
        *ret = (struct outcome){.state = "done"};
        return GY_OK;
    }
    GY_TRY(keep(j, gy_json_str(v, "name"), &j->model, err));
    GY_TRY(keep(j, gy_json_str(v, "run_id"), &j->run_id, err));
    j->version = number_at(v, "version");
    GY_TRY(read_digest(j, err));
    j->step = "gate";
    return GY_OK;
}

static gy_status version_text(struct job *j, const char **ret, struct gy_err *err)
{
    *ret = gy_arena_printf(&j->cli->arena, "%" GY_STR_F "/%lld", GY_STR_A(j->model),
                           (long long)j->version);
    return *ret ? GY_OK : no_memory(err);
}

/* "NOT_BLESSED: recall (HR > 90): 0.41 is below 0.55; ..." */
static const char *failed_checks(struct job *j, yyjson_val *root)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    size_t i;
    size_t n;
    yyjson_val *c;
    gy_buf_init(&text, 16 * GY_KIB);
    gy_buf_addc(&text, "NOT_BLESSED");
    yyjson_arr_foreach(gy_json_get(root, "checks"), i, n, c)
    {
        yyjson_val *passed = gy_json_get(c, "passed");
        struct gy_str slice = gy_json_str(c, "slice");
        if (yyjson_is_false(passed)) {
            gy_buf_addf(&text, "; %" GY_STR_F "%s%" GY_STR_F "%s: %" GY_STR_F,
                        GY_STR_A(gy_json_str(c, "metric")), slice.p ? " (" : "", GY_STR_A(slice),
                        slice.p ? ")" : "", GY_STR_A(gy_json_str(c, "reason")));
        }
    }
    return gy_buf_check(&text, "the checks", NULL) == GY_OK
               ? gy_arena_strdup(&j->cli->arena, gy_buf_str(&text))
               : "NOT_BLESSED";
}

static gy_status do_gate(struct job *j, struct outcome *ret, struct gy_err *err)
{
    const char *version = NULL;
    int code = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, MAX_OUTPUT);
    j->step = "approval";
    if (j->project->gate.n_bounds == 0) {
        return GY_OK; /* the project judges nothing */
    }
    j->step = "gate";
    GY_TRY(version_text(j, &version, err));
    const char *argv[] = {j->cli->program, "gate", "check", "--json", "--", version, NULL};
    GY_TRY(run_gyre(j, argv, false, &out, &code, err));
    if (code != 0 && code != gy_status_exit(GY_E_NOTBLESSED)) {
        return failure_of("gyre gate check", &out, code, err);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&out), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(keep(j, gy_json_str(root, "id"), &j->verdict, err));
    if (code != 0) {
        *ret = (struct outcome){.state = "refused", .error = failed_checks(j, root)};
        return ret->error ? GY_OK : no_memory(err);
    }
    j->step = "approval";
    return GY_OK;
}

/* What people said of this package under this gate: the newest; absent: nobody was asked. */
static gy_status read_approval(struct job *j, struct gy_str *ret_state, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    size_t i;
    size_t n;
    yyjson_val *a;
    GY_TRY(gy_cli_ask(j->cli, "GET", BASE "/approvals", GY_STR_NULL, &answer, err));
    yyjson_arr_foreach(gy_json_get(answer.root, "approvals"), i, n, a)
    {
        if (gy_str_eq(gy_json_str(a, "model_digest"), j->digest) &&
            gy_str_eq(gy_json_str(a, "gate"), j->project->name)) {
            GY_TRY(keep(j, gy_json_str(a, "id"), &j->approval, err));
            return keep(j, gy_json_str(a, "state"), ret_state, err);
        }
    }
    return GY_OK;
}

static gy_status request_approval(struct job *j, struct gy_err *err)
{
    const char *version = NULL;
    int code = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, MAX_OUTPUT);
    GY_TRY(version_text(j, &version, err));
    const char *argv[] = {j->cli->program, "gate", "request", "--json", "--reason",
                          j->name.p,       "--",   version,   NULL};
    GY_TRY(run_gyre(j, argv, true, &out, &code, err));
    if (code != 0) {
        return failure_of("gyre gate request", &out, code, err);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&out), &doc, err));
    return keep(j, gy_json_str(yyjson_doc_get_root(doc), "id"), &j->approval, err);
}

/* One attempt to ask for the approval, unless it was asked for. *ret_state absent: ask again, the
 * server went away over it. */
static gy_status ask_for_approval(struct job *j, struct gy_str *ret_state, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    *ret_state = GY_STR_NULL;
    GY_TRY(read_approval(j, ret_state, err));
    if (gy_str_eqc(*ret_state, "approved") || gy_str_eqc(*ret_state, "requested")) {
        return GY_OK;
    }
    gy_status status = request_approval(j, &why); /* never asked, or rejected for another job */
    *ret_state = status == GY_OK ? GY_STR("requested") : GY_STR_NULL;
    if (status != GY_OK && status != GY_E_UNAVAILABLE) {
        if (err) {
            *err = why;
        }
        return status;
    }
    return GY_OK;
}

static gy_status do_approval(struct job *j, struct outcome *ret, struct gy_err *err)
{
    struct gy_str state = GY_STR_NULL;
    if (!j->project->gate.needs_approval) {
        j->step = "deploy";
        return GY_OK;
    }
    for (int i = 0; !state.p; i++) {
        GY_TRY(i < MOST_TRIES ? ask_for_approval(j, &state, err) : went_away(err));
    }
    if (gy_str_eqc(state, "approved")) {
        j->step = "deploy";
        return GY_OK;
    }
    *ret = (struct outcome){.state = "waiting_approval"};
    return GY_OK;
}

static bool serves(struct job *j, yyjson_val *revision)
{
    size_t i;
    size_t n;
    yyjson_val *w;
    yyjson_arr_foreach(gy_json_get(gy_json_get(revision, "config"), "weights"), i, n, w)
    {
        if (gy_str_eq(gy_json_str(w, "digest"), j->digest)) {
            return true;
        }
    }
    return false;
}

/* The oldest revision with our package that came after the job: it is ours, whatever became of it
 * since (a guard may have rolled it back: it must not be deployed again). */
static gy_status find_revision(struct job *j, bool *ret_served, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    const char *path = NULL;
    struct gy_err none = GY_ERR_INIT;
    size_t i;
    size_t n;
    yyjson_val *r;
    *ret_served = false;
    GY_TRY(gy_cli_path(j->cli, BASE "/endpoints/{}", j->spec.endpoint, &path, err));
    gy_status status = gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, &none);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        if (err) {
            *err = none;
        }
        return status;
    }
    *ret_served = gy_json_i64(answer.root, "revision", 0) > 0;
    yyjson_arr_foreach(gy_json_get(answer.root, "revisions"), i, n, r)
    {
        if (serves(j, r) && gy_str_cmp(gy_json_str(r, "time"), j->created) >= 0) {
            j->revision = gy_json_i64(r, "revision", 0);
        }
    }
    return GY_OK;
}

static gy_status deploy(struct job *j, bool canary, struct gy_err *err)
{
    char share[32];
    int code = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, MAX_OUTPUT);
    const char *ref = gy_arena_printf(&j->cli->arena, "models:/%" GY_STR_F "/%lld",
                                      GY_STR_A(j->model), (long long)j->version);
    if (!ref) {
        return no_memory(err);
    }
    const char *argv[16] = {j->cli->program, "endpoint", "deploy",   "--json",
                            "--model",       ref,        "--reason", j->name.p};
    size_t n = 8;
    if (canary) {
        (void)snprintf(share, sizeof share, "%.8g", j->spec.canary);
        argv[n++] = "--canary";
        argv[n++] = share;
    }
    argv[n++] = "--";
    argv[n++] = j->spec.endpoint.p;
    GY_TRY(run_gyre(j, argv, true, &out, &code, err));
    if (is_lost(code)) {
        return GY_OK; /* who knows: the revisions will tell */
    }
    if (code != 0) {
        return failure_of("gyre endpoint deploy", &out, code, err);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&out), &doc, err));
    j->revision = gy_json_i64(yyjson_doc_get_root(doc), "revision", 0);
    return GY_OK;
}

static gy_status do_deploy(struct job *j, struct outcome *ret, struct gy_err *err)
{
    bool served = false;
    for (int i = 0; j->spec.endpoint.p && j->revision == 0; i++) {
        GY_TRY(i < MOST_TRIES ? find_revision(j, &served, err) : went_away(err));
        if (j->revision == 0) {
            GY_TRY(deploy(j, served && j->spec.canary > 0, err));
        }
    }
    j->step = "end";
    *ret = (struct outcome){.state = "done"};
    return GY_OK;
}

/* ---- the whole ---- */

static gy_status read_job(struct job *j, struct gy_err *err)
{
    static const char *const steps[] = {"run", "version", "gate", "approval", "deploy", "end"};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    const char *path = NULL;
    GY_TRY(gy_cli_path(j->cli, BASE "/jobs/{}", gy_str_c(j->id), &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    yyjson_val *r = answer.root;
    const struct {
        const char *key;
        struct gy_str *to;
    } texts[] = {{"folder", &j->folder},     {"name", &j->name},      {"created", &j->created},
                 {"model", &j->model},       {"digest", &j->digest},  {"flow_run", &j->flow_run},
                 {"approval", &j->approval}, {"verdict", &j->verdict}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        GY_TRY(keep(j, gy_json_str(r, texts[i].key), texts[i].to, err));
    }
    j->version = gy_json_i64(r, "version", 0);
    j->revision = gy_json_i64(r, "revision", 0);
    struct gy_str step = gy_json_str(r, "step");
    j->step = NULL;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        j->step = gy_str_eqc(step, steps[i]) ? steps[i] : j->step;
    }
    bool known = j->step != NULL;
    j->step = known ? j->step : "run";
    if (!known || !gy_str_eqc(gy_json_str(r, "state"), "running") ||
        gy_json_i64(r, "attempt", 0) != j->attempt) {
        return gy_err_set(err, GY_E_CONFLICT, "the job is not one for this process");
    }
    GY_TRY(gy_trigger_parse(gy_json_get(r, "spec"), &j->cli->arena, &j->spec, err));
    return gy_project_load(j->folder.p, &j->project, err);
}

static gy_status do_step(struct job *j, struct outcome *ret, struct gy_err *err)
{
    static const struct {
        const char *name;
        gy_status (*fn)(struct job *j, struct outcome *ret, struct gy_err *err);
    } steps[] = {{"run", do_run},
                 {"version", do_version},
                 {"gate", do_gate},
                 {"approval", do_approval},
                 {"deploy", do_deploy}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(j->step, steps[i].name) == 0) {
            return steps[i].fn(j, ret, err);
        }
    }
    *ret = (struct outcome){.state = "done"};
    return GY_OK;
}

/* Step after step; each is told before it begins, with what the one before it found. */
static gy_status do_steps(struct job *j, struct outcome *ret, struct gy_err *err)
{
    while (!ret->state) {
        if (g_ended) {
            return cancelled(err);
        }
        GY_TRY(tell(j, "running", NULL, err));
        GY_TRY(do_step(j, ret, err));
    }
    return GY_OK;
}

static struct outcome outcome_of(gy_status status, const struct gy_err *why)
{
    /* CANCELLED: we were told to end. Whether the job was cancelled or the machine goes down is
     * known to the row, and so to the server that finds this. */
    bool lost = status == GY_E_UNAVAILABLE || status == GY_E_NETWORK || status == GY_E_TIMEOUT ||
                status == GY_E_CANCELLED;
    return (struct outcome){lost ? "lost" : "failed", why->msg};
}

/* No core files, no more descriptors than a command needs, and rather this than the server when
 * memory is short. What is not granted is done without. */
static void limit_ourselves(void)
{
    const struct rlimit none = {0, 0};
    struct rlimit files;
    (void)setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > MAX_FILES) {
        files.rlim_cur = MAX_FILES;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t written = write(fd, "500", 3);
        (void)written;
        (void)close(fd);
    }
}

static void catch_end(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL); /* these can not fail for valid arguments */
    (void)sigaction(SIGINT, &action, NULL);
}

static gy_status identify(struct gy_cli *cli, struct job *j, struct gy_err *err)
{
    const char *job = getenv("GYRE_JOB");
    const char *attempt = getenv("GYRE_JOB_ATTEMPT");
    unsigned char raw[16];
    j->id = cli->argv[0];
    GY_TRY(gy_uuid_parse(gy_str_c(j->id), raw, err));
    if (!job || strcmp(job, j->id) != 0 || !attempt ||
        gy_parse_i64(gy_str_c(attempt), 1, INT64_MAX, &j->attempt, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "this command is started by the server only");
    }
    return GY_OK;
}

static gy_status end_job(struct job *j, const struct outcome *o, struct gy_err *err)
{
    if (o->error) {
        gy_cli_note(j->cli, "%s: %s\n", o->state, o->error);
    }
    GY_TRY(write_exit(j, o, err));
    j->cli->exit_code = strcmp(o->state, "done") == 0 || strcmp(o->state, "waiting_approval") == 0
                            ? 0
                            : gy_status_exit(GY_E_FAILED);
    return strcmp(o->state, "lost") == 0 ? GY_OK : tell(j, o->state, o->error, err);
}

static gy_status run_exec(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    struct job j = {.cli = cli, .step = "run"};
    struct outcome outcome = {0};
    struct gy_err why = GY_ERR_INIT;
    struct gy_home home = {.lock_fd = -1};
    limit_ourselves();
    catch_end();
    GY_TRY(identify(cli, &j, err));
    GY_TRY(gy_cli_home(cli, &home, err));
    j.home = home.dir;
    gy_status status = read_job(&j, &why);
    if (status == GY_OK) {
        status = do_steps(&j, &outcome, &why);
    }
    if (status != GY_OK && status != GY_E_CONFLICT) {
        outcome = outcome_of(status, &why);
    }
    gy_status ended = status == GY_E_CONFLICT ? status : end_job(&j, &outcome, err);
    if (status == GY_E_CONFLICT &&
        err) { /* another attempt has the job: it is none of our business */
        *err = why;
    }
    gy_project_free(j.project);
    gy_home_done(&home);
    return ended;
}

static const struct gy_verb verbs[] = {
    {.noun = "__exec",
     .args = "JOB",
     .min_args = 1,
     .max_args = 1,
     .summary = "the process of a job; started by the server",
     .examples = "  gyre jobs list",
     .run = run_exec},
};

const struct gy_verb_table gy_cmd_exec = GY_VERB_TABLE(verbs);
