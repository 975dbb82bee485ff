/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "data/dvc/lock.h"
#include "flow/cached.h"

#define MAX_LOG (1 * GY_GIB) /* of one stage; more is passed on but not kept */
#define KILL_AFTER_MS 10000  /* from asking a cancelled stage to end to ending it */
#define CANCEL_LOOK_MS 100   /* a signal may land just before poll: look again this often */
#define ARENA_MAX (4 * GY_GIB)

struct runner {
    const struct gy_flow *f;
    const struct gy_flow_run_options *o;
    struct gy_flow_result *r;
    struct gy_flow_lock lock;
    char log_dir[GY_MAX_PATH];
};

const char *gy_step_status_name(enum gy_step_status s)
{
    static const char *const names[] = {"pending", "running", "done",      "unchanged",
                                        "frozen",  "failed",  "cancelled", "not_run"};
    return names[s];
}

void gy_flow_result_done(struct gy_flow_result *r)
{
    if (r) {
        gy_arena_done(&r->arena);
        r->steps = NULL;
        r->n_steps = 0;
    }
}

static bool cancelled(const struct runner *r)
{
    return r->o->cancel && *r->o->cancel;
}

static gy_status tell(struct runner *r, const struct gy_flow_step *step, struct gy_err *err)
{
    return r->o->on_step ? r->o->on_step(r->o->ctx, step, err) : GY_OK;
}

/* ---- one command line ---- */

struct output {
    int log_fd;
    int echo_fd;
    size_t logged;
};

static void write_out(int fd, const char *p, size_t n)
{
    while (fd >= 0 && n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return; /* a reader that went away must not end the stage */
        }
        p += done;
        n -= (size_t)done;
    }
}

static void emit(struct output *out, const char *p, size_t n)
{
    write_out(out->echo_fd, p, n);
    if (out->logged + n <= MAX_LOG) {
        write_out(out->log_fd, p, n);
        out->logged += n;
    }
}

/* Read what is there. False at the end of the stream. */
static bool drain(int fd, struct output *out)
{
    char step[16 * 1024];
    for (;;) {
        ssize_t n = read(fd, step, sizeof step);
        if (n > 0) {
            emit(out, step, (size_t)n);
        } else if (n == 0) {
            return false;
        } else if (errno != EINTR) {
            return errno == EAGAIN;
        }
    }
}

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Until the child ended: not until its output did, for a daemon that it left behind may hold the
 * pipe for ever. */
static void follow(struct runner *r, const struct gy_proc *child, int pidfd, int pipe_fd,
                   struct output *out)
{
    int64_t asked_ns = 0;
    bool open = true;
    for (;;) {
        struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN},
                                {.fd = open ? pipe_fd : -1, .events = POLLIN}};
        int n = poll(fds, 2, r->o->cancel ? CANCEL_LOOK_MS : -1);
        if (cancelled(r)) {
            int64_t now = gy_mono_ns();
            if (asked_ns == 0) {
                gy_proc_kill(child, SIGTERM);
                asked_ns = now;
            } else if (now - asked_ns > KILL_AFTER_MS * INT64_C(1000000)) {
                gy_proc_kill(child, SIGKILL);
            }
        }
        if (n > 0 && fds[1].revents) {
            open = drain(pipe_fd, out);
        }
        if (n > 0 && fds[0].revents) {
            (void)drain(pipe_fd, out);
            return;
        }
    }
}

/* $SHELL as DVC calls it. */
static void shell_argv(const char *line, const char *argv[6])
{
    const char *shell = getenv("SHELL");
    size_t n = 0;
    argv[n++] = shell && shell[0] == '/' ? shell : "/bin/sh";
    const char *name = strrchr(argv[0], '/') + 1;
    if (strcmp(name, "bash") == 0) {
        argv[n++] = "--noprofile";
        argv[n++] = "--norc";
    } else if (strcmp(name, "zsh") == 0) {
        argv[n++] = "--no-rcs";
    }
    argv[n++] = "-c";
    argv[n++] = line;
    argv[n] = NULL;
}

static gy_status run_line(struct runner *r, const char *line, const char *cwd,
                          const char *const *env, struct output *out, int *ret_code,
                          struct gy_err *err)
{
    int fds[2];
    const char *argv[6];
    struct gy_proc child;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return gy_err_sys(err, errno, "can not make a pipe");
    }
    shell_argv(line, argv);
    struct gy_proc_options o = {.argv = argv,
                                .cwd = cwd,
                                .env_add = env,
                                .stdin_fd = -1,
                                .stdout_fd = fds[1],
                                .stderr_fd = fds[1]};
    gy_status status = gy_proc_start(&o, &child, err);
    (void)close(fds[1]); /* the child has its own */
    if (status != GY_OK) {
        (void)close(fds[0]);
        return status;
    }
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK); /* can not fail for our own pipe */
    int pidfd = open_pidfd(child.pid);
    if (pidfd >= 0) {
        follow(r, &child, pidfd, fds[0], out);
        (void)close(pidfd);
    } else { /* kernels before 5.3: until the output ends */
        struct pollfd only = {.fd = fds[0], .events = POLLIN};
        while (poll(&only, 1, CANCEL_LOOK_MS) <= 0 || drain(fds[0], out)) {
            if (cancelled(r)) {
                gy_proc_kill(&child, SIGTERM);
            }
        }
    }
    (void)close(fds[0]);
    return gy_proc_wait(&child, ret_code, err);
}

/* ---- one stage ---- */

/* The environment of the stages, over ours. NULL: out of memory. */
static const char *const *stage_env(struct runner *r, const struct gy_flow_stage *s)
{
    const char **env = gy_arena_calloc(&r->r->arena, 11, sizeof *env);
    struct gy_arena *a = &r->r->arena;
    size_t n = 0;
    if (!env) {
        return NULL;
    }
    env[n++] = gy_arena_printf(a, "DVC_ROOT=%s", r->f->dir);
    env[n++] = gy_arena_printf(a, "DVC_STAGE=%" GY_STR_F, GY_STR_A(s->name));
    env[n++] = gy_arena_printf(a, "GYRE_HOME=%s", r->o->home);
    env[n++] = gy_arena_printf(a, "GYRE_PROJECT=%s", r->f->dir);
    env[n++] = gy_arena_printf(a, "GYRE_STEP=%s/%" GY_STR_F, r->o->run_id, GY_STR_A(s->name));
    env[n++] = gy_arena_printf(a, "GYRE_CODE_REVISION=%s", r->o->code_revision);
    /* Always said: what an outer run knew is not true of this one. */
    env[n++] = gy_arena_printf(a, "GYRE_CODE_PATCH=%s", r->o->code_patch ? r->o->code_patch : "");
    if (r->o->server && r->o->server[0]) {
        env[n++] = gy_arena_printf(a, "GYRE_SERVER=%s", r->o->server);
    }
    const char *slash = r->o->program ? strrchr(r->o->program, '/') : NULL;
    if (slash) {
        const char *path = getenv("PATH");
        env[n++] = gy_arena_printf(a, "PATH=%.*s:%s", (int)(slash - r->o->program), r->o->program,
                                   path && *path ? path : "/usr/local/bin:/usr/bin:/bin");
    }
    for (size_t i = 0; i < n; i++) {
        if (!env[i]) {
            return NULL;
        }
    }
    return env;
}

/* As DVC: what a stage makes it makes anew, so that nothing of an earlier run is taken for its
 * work. */
static gy_status remove_outs(const struct runner *r, const struct gy_flow_stage *s,
                             struct gy_err *err)
{
    char path[GY_MAX_PATH];
    for (size_t i = 0; i < s->n_outs; i++) {
        if (s->outs[i].persist) {
            continue;
        }
        int n = snprintf(path, sizeof path, "%s/%" GY_STR_F, r->f->dir, GY_STR_A(s->outs[i].full));
        if (n < 0 || n >= (int)sizeof path) {
            return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
        }
        struct stat st;
        if (lstat(path, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            GY_TRY(gy_dir_remove(path, err));
        } else if (unlink(path) != 0) {
            return gy_err_sys(err, errno, "can not remove %s", path);
        }
    }
    return GY_OK;
}

static gy_status run_lines(struct runner *r, struct gy_flow_step *step, struct output *out,
                           struct gy_err *err)
{
    const struct gy_flow_stage *s = step->stage;
    const char *const *env = stage_env(r, s);
    const char *cwd = gy_arena_printf(&r->r->arena, "%s/%" GY_STR_F, r->f->dir, GY_STR_A(s->wdir));
    if (!env || !cwd) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory running a stage");
    }
    for (size_t i = 0; i < s->n_cmd; i++) {
        struct gy_str rest = s->cmd[i];
        struct gy_str line;
        while (gy_str_next(&rest, '\n', &line)) {
            line = gy_str_trim(line);
            if (line.n == 0) {
                continue;
            }
            char *text = gy_arena_strdup(&r->r->arena, line);
            if (!text) {
                return gy_err_set(err, GY_E_NOMEM, "out of memory running a stage");
            }
            emit(out, "> ", 2);
            emit(out, text, line.n);
            emit(out, "\n", 1);
            GY_TRY(run_line(r, text, cwd, env, out, &step->exit_code, err));
            if (step->exit_code != 0 || cancelled(r)) {
                return GY_OK;
            }
        }
    }
    return GY_OK;
}

static gy_status open_log(struct runner *r, struct gy_flow_step *step, int *ret_fd,
                          struct gy_err *err)
{
    int n = snprintf(step->log, sizeof step->log, "%s/%" GY_STR_F ".log", r->log_dir,
                     GY_STR_A(step->stage->name));
    if (n < 0 || n >= (int)sizeof step->log) {
        return gy_err_set(err, GY_E_TOOBIG, "the path of a log is too long");
    }
    *ret_fd = open(step->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return *ret_fd >= 0 ? GY_OK : gy_err_sys(err, errno, "can not write %s", step->log);
}

/* ---- marks of a job ---- */

static gy_status mark_path(const struct runner *r, const struct gy_flow_stage *s,
                           char path[GY_MAX_PATH], struct gy_err *err)
{
    int n = snprintf(path, GY_MAX_PATH, "%s/%" GY_STR_F, r->o->marks, GY_STR_A(s->name));
    return n > 0 && n < GY_MAX_PATH
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "the path of a mark is too long");
}

static gy_status write_mark(const struct runner *r, const struct gy_flow_step *step,
                            struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char digest[GY_SHA256_HEX];
    GY_TRY(mark_path(r, step->stage, path, err));
    GY_TRY(gy_dir_make(r->o->marks, err));
    GY_TRY(gy_flow_state_digest(step->stage, &step->state, digest, err));
    return gy_file_write(path, gy_str_c(digest), 0644, err);
}

/* Did the job do this very step before? Its mark was made from what is there now. */
static gy_status is_marked(const struct runner *r, const struct gy_flow_step *step, bool *ret,
                           struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char digest[GY_SHA256_HEX];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_err none = GY_ERR_INIT;
    *ret = false;
    gy_buf_init(&text, GY_KIB);
    GY_TRY(mark_path(r, step->stage, path, err));
    if (gy_file_read(path, &text, &none) != GY_OK) {
        return GY_OK; /* no mark that could be read: the stage runs again, which is always right */
    }
    GY_TRY(gy_flow_state_digest(step->stage, &step->state, digest, err));
    *ret = gy_str_eqc(gy_buf_str(&text), digest);
    return GY_OK;
}

static bool is_recorded(const struct runner *r, struct gy_str stage)
{
    for (size_t i = 0; i < r->o->n_recorded; i++) {
        if (gy_str_eq(r->o->recorded[i], stage)) {
            return true;
        }
    }
    return false;
}

/* What it made: digested, kept, and told to dvc.lock. */
static gy_status keep_outputs(struct runner *r, struct gy_flow_step *step, struct gy_err *err)
{
    const struct gy_flow_stage *s = step->stage;
    GY_TRY(gy_flow_state_outputs(r->f, s, true, &r->r->arena, &step->state, err));
    for (size_t i = 0; i < s->n_outs; i++) {
        if (s->outs[i].cache) {
            bool saved = false;
            GY_TRY(gy_flow_cache(r->f->repo, s->outs[i].full, &step->state.outs[i], &r->r->arena,
                                 &saved, err));
            if (saved) {
                GY_TRY(gy_git_ignore(r->f->dir, s->outs[i].full, err));
            }
        }
    }
    GY_TRY(gy_flow_remember_run(r->f, s, &step->state, &r->r->arena, err));
    GY_TRY(gy_dvc_repo_settle(r->f->repo, err));
    if (r->o->marks) {
        GY_TRY(write_mark(r, step, err));
    }
    return gy_flow_lock_write(r->f->dir, &r->lock, s, &step->state, err);
}

/* An attempt before this one ended the stage well, but died before all had heard of it. */
static gy_status finish_marked(struct runner *r, struct gy_flow_step *step, struct gy_err *err)
{
    const char *why = NULL;
    GY_TRY(gy_flow_changed(&r->lock, step->stage, &step->state, &r->r->arena, &why, err));
    if (why) {
        GY_TRY(gy_flow_lock_write(r->f->dir, &r->lock, step->stage, &step->state, err));
    }
    bool known = is_recorded(r, step->stage->name);
    step->why = "an earlier attempt of this job did it";
    step->status = known ? GY_STEP_UNCHANGED : GY_STEP_DONE;
    step->ended_us = gy_now_us();
    r->r->n_unchanged++;
    return tell(r, step, err);
}

/* What a stage reads and writes, from the project; as the rwlock of DVC wants to know it. */
static gy_status paths_of(struct runner *r, const struct gy_flow_stage *s,
                          struct gy_str **ret_reads, struct gy_str **ret_writes, struct gy_err *err)
{
    *ret_reads = gy_arena_calloc(&r->r->arena, s->n_deps + 1, sizeof **ret_reads);
    *ret_writes = gy_arena_calloc(&r->r->arena, s->n_outs + 1, sizeof **ret_writes);
    if (!*ret_reads || !*ret_writes) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory running a stage");
    }
    for (size_t i = 0; i < s->n_deps; i++) {
        (*ret_reads)[i] = s->deps[i].full;
    }
    for (size_t i = 0; i < s->n_outs; i++) {
        (*ret_writes)[i] = s->outs[i].full;
    }
    return GY_OK;
}

/* The commands, as DVC runs them: its lock is given back meanwhile, so that they may use it, and
 * the rwlock says who works on what. */
static gy_status run_unlocked(struct runner *r, struct gy_flow_step *step, struct output *out,
                              struct gy_err *err)
{
    const struct gy_flow_stage *s = step->stage;
    struct gy_str *reads = NULL, *writes = NULL;
    struct gy_err why = GY_ERR_INIT;
    if (gy_dvc_repo_is_bare(r->f->repo)) {
        return run_lines(r, step, out, err);
    }
    GY_TRY(paths_of(r, s, &reads, &writes, err));
    GY_TRY(
        gy_dvc_repo_claim(r->f->repo, reads, s->n_deps, writes, s->n_outs, "gyre run", true, err));
    gy_dvc_repo_unlock(r->f->repo);
    gy_status status = run_lines(r, step, out, err);
    gy_status again = gy_dvc_repo_lock(r->f->repo, -1, &why);
    if (again == GY_OK) {
        again = gy_dvc_repo_claim(r->f->repo, reads, s->n_deps, writes, s->n_outs, "gyre run",
                                  false, &why);
    }
    if (status == GY_OK && again != GY_OK && err) {
        *err = why; /* the commands' own failure would be the one that counts */
    }
    return status != GY_OK ? status : again;
}

static gy_status execute(struct runner *r, struct gy_flow_step *step, struct gy_err *err)
{
    static const char restored_line[] = "restored from the run cache\n";
    struct output out = {.log_fd = -1, .echo_fd = r->o->echo_fd};
    bool restored = false;
    GY_TRY(open_log(r, step, &out.log_fd, err));
    gy_status status = GY_OK;
    if (!r->o->force && !r->o->marks && !r->o->no_run_cache) {
        status = gy_flow_restore_run(r->f, step->stage, &step->state, &r->r->arena, &restored, err);
    }
    if (restored) {
        step->why = "the run cache has it";
        emit(&out, restored_line, sizeof restored_line - 1);
    }
    if (status == GY_OK && !restored) {
        status = remove_outs(r, step->stage, err);
    }
    if (status == GY_OK && !restored) {
        status = run_unlocked(r, step, &out, err);
    }
    (void)close(out.log_fd); /* a log is worth no failure */
    GY_TRY(status);
    if (cancelled(r)) {
        return gy_err_set(err, GY_E_CANCELLED, "cancelled in the stage '%" GY_STR_F "'",
                          GY_STR_A(step->stage->name));
    }
    if (step->exit_code != 0) {
        (void)gy_err_set(err, GY_E_FAILED, "the stage '%" GY_STR_F "' ended with %s %d",
                         GY_STR_A(step->stage->name),
                         step->exit_code > 128 ? "signal" : "exit code",
                         step->exit_code > 128 ? step->exit_code - 128 : step->exit_code);
        (void)gy_err_hint(err, "its log: %.200s", step->log);
        return GY_E_FAILED;
    }
    return keep_outputs(r, step, err);
}

static gy_status finish(struct runner *r, struct gy_flow_step *step, gy_status status,
                        struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    step->ended_us = gy_now_us();
    step->status = status == GY_OK            ? GY_STEP_DONE
                   : status == GY_E_CANCELLED ? GY_STEP_CANCELLED
                                              : GY_STEP_FAILED;
    if (status != GY_OK && err) {
        step->error = gy_arena_strdup(&r->r->arena, gy_str_c(err->msg));
    }
    /* The stage's own failure is what the user must hear, whatever becomes of its record. */
    gy_status told = tell(r, step, status == GY_OK ? err : &why);
    return status != GY_OK ? status : told;
}

static gy_status run_step_locked(struct runner *r, struct gy_flow_step *step, struct gy_err *err)
{
    const struct gy_flow_stage *s = step->stage;
    if (s->frozen) {
        step->status = GY_STEP_FROZEN;
        return tell(r, step, err);
    }
    step->started_us = gy_now_us();
    gy_status status = gy_flow_state_inputs(r->f, s, &r->r->arena, &step->state, err);
    if (status == GY_OK && (!r->o->force || r->o->marks)) {
        bool marked = false;
        status = gy_flow_state_outputs(r->f, s, false, &r->r->arena, &step->state, err);
        if (status == GY_OK && r->o->marks) {
            status = is_marked(r, step, &marked, err);
        }
        if (status == GY_OK && marked) {
            return finish_marked(r, step, err);
        }
    }
    if (status == GY_OK && !r->o->force) {
        status = gy_flow_changed(&r->lock, s, &step->state, &r->r->arena, &step->why, err);
        if (status == GY_OK && !step->why) {
            step->status = GY_STEP_UNCHANGED;
            step->ended_us = gy_now_us();
            r->r->n_unchanged++;
            return tell(r, step, err);
        }
    }
    if (status != GY_OK) {
        return finish(r, step, status, err);
    }
    step->why = step->why ? step->why : "forced";
    step->status = GY_STEP_RUNNING;
    GY_TRY(tell(r, step, err));
    status = finish(r, step, execute(r, step, err), err);
    r->r->n_done += status == GY_OK;
    return status;
}

/* Under DVC's lock, where there is one. */
static gy_status run_step(struct runner *r, struct gy_flow_step *step, struct gy_err *err)
{
    struct gy_str *reads = NULL, *writes = NULL;
    bool waited = false;
    if (gy_dvc_repo_is_bare(r->f->repo)) {
        return run_step_locked(r, step, err);
    }
    GY_TRY(paths_of(r, step->stage, &reads, &writes, err));
    GY_TRY(gy_dvc_repo_lock_paths(r->f->repo, reads, step->stage->n_deps, writes,
                                  step->stage->n_outs, -1, &waited, err));
    gy_status status = run_step_locked(r, step, err);
    gy_dvc_repo_unlock(r->f->repo);
    return status;
}

/* ---- the pipeline ---- */

/* What no stage makes must be there before the first one starts: nobody wants to hear it an hour
 * later. */
static gy_status check_sources(const struct runner *r, const bool *selected, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    for (size_t i = 0; i < r->f->n_stages; i++) {
        const struct gy_flow_stage *s = &r->f->stages[i];
        for (size_t k = 0; selected[i] && !s->frozen && k < s->n_deps; k++) {
            int n =
                snprintf(path, sizeof path, "%s/%" GY_STR_F, r->f->dir, GY_STR_A(s->deps[k].full));
            if (n < 0 || n >= (int)sizeof path) {
                return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
            }
            if (gy_path_exists(path) || gy_flow_is_output(r->f, s->deps[k].full)) {
                continue;
            }
            return gy_err_set(err, GY_E_NOTFOUND,
                              "the stage '%" GY_STR_F "' (dvc.yaml:%d) needs '%" GY_STR_F
                              "', which is not there and which no stage makes",
                              GY_STR_A(s->name), s->line, GY_STR_A(s->deps[k].full));
        }
    }
    return GY_OK;
}

static gy_status prepare(struct runner *r, struct gy_err *err)
{
    struct gy_flow_result *ret = r->r;
    bool *selected = gy_arena_calloc(&ret->arena, r->f->n_stages + 1, sizeof *selected);
    ret->steps = gy_arena_calloc(&ret->arena, r->f->n_stages + 1, sizeof *ret->steps);
    if (!selected || !ret->steps) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the run");
    }
    GY_TRY(gy_flow_select(r->f, r->o->targets, r->o->n_targets, selected, err));
    for (size_t i = 0; i < r->f->n_stages; i++) {
        if (selected[r->f->order[i]]) {
            ret->steps[ret->n_steps++].stage = &r->f->stages[r->f->order[i]];
        }
    }
    int n = snprintf(r->log_dir, sizeof r->log_dir, "%s/runs/%s", r->o->home, r->o->run_id);
    if (n < 0 || n >= (int)sizeof r->log_dir) {
        return gy_err_set(err, GY_E_TOOBIG, "the path of the logs is too long");
    }
    GY_TRY(gy_dir_make(r->log_dir, err));
    GY_TRY(gy_flow_lock_read(r->f->dir, &r->lock, err));
    return check_sources(r, selected, err);
}

static gy_status run_all(struct runner *r, struct gy_err *err)
{
    GY_TRY(prepare(r, err));
    gy_status status = GY_OK;
    for (size_t i = 0; i < r->r->n_steps; i++) {
        struct gy_flow_step *step = &r->r->steps[i];
        if (status == GY_OK && cancelled(r)) {
            status = gy_err_set(err, GY_E_CANCELLED, "cancelled before the stage '%" GY_STR_F "'",
                                GY_STR_A(step->stage->name));
        }
        if (status != GY_OK) {
            struct gy_err ignored = GY_ERR_INIT;
            step->status = GY_STEP_NOT_RUN;
            (void)tell(r, step, &ignored); /* the first failure is the one that counts */
            continue;
        }
        status = run_step(r, step, err);
    }
    GY_IGNORE(gy_dvc_repo_remember(r->f->repo, NULL)); /* else files are hashed once more */
    return status;
}

gy_status gy_flow_hold(const char *home, int *ret_fd, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_dir_make(home, err));
    GY_TRY(gy_path_join(path, sizeof path, home, "run.lock", err));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int why = errno;
        (void)close(fd);
        if (why != EWOULDBLOCK) {
            return gy_err_sys(err, why, "can not lock %s", path);
        }
        return gy_err_set(err, GY_E_BUSY, "another `gyre run` is at work here (it holds %s)", path);
    }
    *ret_fd = fd;
    return GY_OK;
}

gy_status gy_flow_run(const struct gy_flow *f, const struct gy_flow_run_options *o,
                      struct gy_flow_result *ret, struct gy_err *err)
{
    struct runner r = {.f = f, .o = o, .r = ret};
    memset(ret, 0, sizeof *ret);
    gy_arena_init(&ret->arena, ARENA_MAX);
    int held = -1;
    if (!o->held) {
        GY_TRY(gy_flow_hold(o->home, &held, err));
    }
    gy_status status = run_all(&r, err);
    gy_flow_lock_done(&r.lock);
    if (held >= 0) {
        (void)close(held); /* releases the lock */
    }
    return status;
}
