/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dispatcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/mlflow_artifacts.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "flow/job.h"
#include "flow/trigger.h"

#define MAX_EXIT_FILE (64 * GY_KIB)
#define CLEAN_UPLOADS_NS \
    ((int64_t)600 * 1000000000) /* how often dead parts of uploads are looked for */

/* One job that runs. */
struct child {
    char id[GY_UUID_TEXT], folder[GY_MAX_PATH];
    int64_t attempt;
    pid_t pid;
    int pidfd;
    bool own;         /* our child: to be reaped */
    int64_t asked_ns; /* when it was asked to end; 0: not */
};

struct gy_dispatcher {
    struct gy_app *app;
    char program[GY_MAX_PATH];
    pthread_t thread;
    int wake_fd;
    atomic_bool stopping;
    struct child children[GY_DISPATCHER_MAX_CHILDREN]; /* of the thread */
    size_t n;
    int64_t renewed_ns;
};

static void complain(const char *what, const struct gy_err *err)
{
    gy_log_err(GY_LOG_WARN, "jobs", what, err);
}

/* ---- the store ---- */

enum op_kind { LOOK, CLAIM, SET_PROCESS, RENEW, TELL, LOST, APPROVAL };

struct op {
    enum op_kind kind;
    const char *id;
    int64_t attempt, pid, pid_start;
    struct gy_job_news news;
    const char *why;
    bool flag; /* more events, again, decided */
};

static gy_status op_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct op *o = ctx;
    struct gy_str id = gy_str_c(o->id);
    int64_t now = gy_now_us();
    switch (o->kind) {
    case LOOK:
        return gy_triggers_look(db, now, &o->flag, err);
    case CLAIM:
        return gy_job_claim(db, id, now, &o->attempt, err);
    case SET_PROCESS:
        return gy_job_set_process(db, id, o->attempt, o->pid, o->pid_start, err);
    case RENEW:
        return gy_job_renew(db, id, o->attempt, now, err);
    case TELL:
        return gy_job_tell(db, id, o->attempt, &o->news, now, err);
    case LOST:
        return gy_job_lost(db, id, o->attempt, gy_str_c(o->why), now, &o->flag, err);
    case APPROVAL:
        return gy_job_look_at_approval(db, id, now, &o->flag, err);
    }
    return GY_OK;
}

static gy_status write_op(struct gy_dispatcher *d, struct op *o, struct gy_err *err)
{
    return gy_store_write(d->app->store, op_closure, o, err);
}

/* What there is to do, in one read. */
struct scan {
    struct gy_arena arena;
    bool due;
    struct gy_job *jobs; /* open ones */
    bool *decided;       /* what the job waits for */
    size_t n;
};

static gy_status scan_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct scan *s = ctx;
    GY_TRY(gy_triggers_due(db, gy_now_us(), &s->due, err));
    GY_TRY(gy_job_list(db, GY_STR_NULL, GY_STR("open"), 0, &s->arena, &s->jobs, &s->n, err));
    s->decided = gy_arena_calloc(&s->arena, s->n + 1, sizeof *s->decided);
    if (!s->decided) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory looking at jobs");
    }
    for (size_t i = 0; i < s->n; i++) {
        GY_TRY(gy_job_is_decided(db, &s->jobs[i], &s->decided[i], err));
    }
    return GY_OK;
}

/* ---- children ---- */

static struct child *find_child(struct gy_dispatcher *d, struct gy_str id)
{
    for (size_t i = 0; i < d->n; i++) {
        if (gy_str_eqc(id, d->children[i].id)) {
            return &d->children[i];
        }
    }
    return NULL;
}

static bool folder_is_busy(struct gy_dispatcher *d, struct gy_str folder)
{
    for (size_t i = 0; i < d->n; i++) {
        if (gy_str_eqc(folder, d->children[i].folder)) {
            return true;
        }
    }
    return false;
}

static void keep_child(struct gy_dispatcher *d, const struct gy_job *j, int64_t attempt, pid_t pid,
                       int pidfd, bool own)
{
    struct child *c = &d->children[d->n++];
    memset(c, 0, sizeof *c);
    (void)snprintf(c->id, sizeof c->id, "%.36s", j->id.p);
    (void)snprintf(c->folder, sizeof c->folder, "%.*s", (int)j->folder.n, j->folder.p);
    c->attempt = attempt;
    c->pid = pid;
    c->pidfd = pidfd;
    c->own = own;
}

static void forget_child(struct gy_dispatcher *d, struct child *c)
{
    (void)close(c->pidfd); /* only a handle */
    *c = d->children[--d->n];
}

static gy_status job_path(struct gy_dispatcher *d, const char *id, const char *name,
                          char path[GY_MAX_PATH], struct gy_err *err)
{
    int n = snprintf(path, GY_MAX_PATH, "%s/runs/%s/%s", d->app->home.dir, id, name);
    return n > 0 && n < GY_MAX_PATH ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "a path is too long");
}

static gy_status open_log(struct gy_dispatcher *d, const char *id, int *ret_fd, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(job_path(d, id, "log", path, err));
    GY_TRY(gy_dir_make_for(path, err));
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return *ret_fd >= 0 ? GY_OK : gy_err_sys(err, errno, "opening %s", path);
}

static gy_status spawn(struct gy_dispatcher *d, const struct gy_job *j, int64_t attempt,
                       struct gy_proc *ret, struct gy_err *err)
{
    char job[GY_UUID_TEXT + 16];
    char number[40];
    char home[GY_MAX_PATH + 16];
    int log_fd = -1;
    (void)snprintf(job, sizeof job, "GYRE_JOB=%.36s", j->id.p);
    (void)snprintf(number, sizeof number, "GYRE_JOB_ATTEMPT=%lld", (long long)attempt);
    (void)snprintf(home, sizeof home, "GYRE_HOME=%s", d->app->home.dir);
    GY_TRY(open_log(d, job + 9, &log_fd, err));
    const char *argv[] = {d->program, "__exec", "--home", d->app->home.dir, "--", job + 9, NULL};
    const char *env[] = {job, number, home, "GYRE_SERVER=", NULL};
    const struct gy_proc_options o = {.argv = argv,
                                      .cwd = d->app->home.dir,
                                      .env_add = env,
                                      .stdin_fd = -1,
                                      .stdout_fd = log_fd,
                                      .stderr_fd = log_fd,
                                      .new_session = true};
    gy_status status = gy_proc_start(&o, ret, err);
    (void)close(log_fd); /* the child has its own */
    return status;
}

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* queued -> running with a child. A death of ours between the claim and the pid leaves a child that
 * nobody knows: the next server ends it by its mark before it starts the next attempt. */
static gy_status start_job(struct gy_dispatcher *d, const struct gy_job *j, struct gy_err *err)
{
    char id[GY_UUID_TEXT];
    struct gy_proc p = {0};
    (void)snprintf(id, sizeof id, "%.36s", j->id.p);
    struct op claim = {.kind = CLAIM, .id = id};
    GY_TRY(write_op(d, &claim, err));
    gy_status status = spawn(d, j, claim.attempt, &p, err);
    if (status != GY_OK) {
        struct gy_err lost = GY_ERR_INIT;
        struct op gone = {
            .kind = LOST, .id = id, .attempt = claim.attempt, .why = "no process could be started"};
        (void)write_op(d, &gone, &lost); /* the first failure is the one to tell */
        return status;
    }
    int fd = open_pidfd(p.pid); /* not reaped yet, so it is this one */
    if (fd < 0) {
        int why = errno;
        int code = 0;
        gy_proc_kill(&p, SIGKILL);
        struct gy_err waiting = GY_ERR_INIT;
        if (gy_proc_wait(&p, &code, &waiting) != GY_OK) {
            complain("the end of a job's process", &waiting);
        }
        return gy_err_sys(err, why, "watching the process of a job");
    }
    keep_child(d, j, claim.attempt, p.pid, fd, true);
    struct op known = {.kind = SET_PROCESS,
                       .id = id,
                       .attempt = claim.attempt,
                       .pid = p.pid,
                       .pid_start = gy_proc_start_time(p.pid)};
    gy_status kept = write_op(d, &known, err);
    return kept == GY_E_CONFLICT ? GY_OK : kept; /* it has ended already */
}

/* ---- ends ---- */

/* {"state","step","error"} as the child left it; false: there is none. */
static bool read_exit(struct gy_dispatcher *d, const char *id, int64_t attempt, yyjson_doc **ret)
{
    char path[GY_MAX_PATH];
    char name[64];
    struct gy_err none = GY_ERR_INIT;
    (void)snprintf(name, sizeof name, GY_JOB_EXIT_FILE, (long long)attempt);
    return job_path(d, id, name, path, &none) == GY_OK &&
           gy_json_read_file(path, MAX_EXIT_FILE, ret, &none) == GY_OK;
}

/* What the exit file says is told, unless it says that the work was cut off (*ret_why). */
static bool tell_exit(struct gy_dispatcher *d, const char *id, int64_t attempt, char *ret_why,
                      size_t size)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct op told = {.kind = TELL, .id = id, .attempt = attempt};
    if (!read_exit(d, id, attempt, &doc) ||
        gy_job_news_read(yyjson_doc_get_root(doc), &told.news, &err) != GY_OK) {
        return false;
    }
    if (gy_str_eqc(told.news.state, "lost")) {
        struct gy_str why = gy_str_sub(told.news.error, 0, size - 1);
        (void)snprintf(ret_why, size, "%.*s", (int)why.n, why.p ? why.p : "");
        return false;
    }
    gy_status status = write_op(d, &told, &err);
    if (status != GY_OK && status != GY_E_CONFLICT) {
        complain("how a job ended could not be recorded", &err);
    }
    return status == GY_OK || status == GY_E_CONFLICT;
}

/* The process of the attempt is gone: what came of it? What it told stands; else its exit file
 * tells; else it was killed. */
static void settle(struct gy_dispatcher *d, const char *id, int64_t attempt)
{
    struct gy_err err = GY_ERR_INIT;
    char mark[GY_UUID_TEXT + 16];
    char why[512] = "its process was killed too often";
    if (tell_exit(d, id, attempt, why, sizeof why)) {
        return;
    }
    (void)snprintf(mark, sizeof mark, "GYRE_JOB=%s", id);
    size_t left = gy_proc_kill_marked(gy_str_c(mark));
    struct op gone = {.kind = LOST, .id = id, .attempt = attempt, .why = why};
    if (write_op(d, &gone, &err) != GY_OK) {
        complain("the end of a job could not be recorded", &err);
    } else if (gone.flag) {
        gy_log(GY_LOG_WARN, "jobs", "the process of a job was lost; it goes on in a new one",
               GY_KV_C("job", id), GY_KV_I("attempt", attempt), GY_KV_I("ended", (int64_t)left));
    }
}

static void reap(struct gy_dispatcher *d, struct child *c)
{
    struct child gone = *c;
    if (c->own) {
        struct gy_err err = GY_ERR_INIT;
        struct gy_proc p = {.pid = c->pid};
        int code = 0;
        if (gy_proc_wait(&p, &code, &err) != GY_OK) {
            complain("the end of a job's process", &err);
        }
    }
    forget_child(d, c);
    settle(d, gone.id, gone.attempt);
}

/* ---- one round ---- */

/* A running job that is nobody's child here: its server died. Watch its process when it still is
 * that process, else see what came of it. */
static void adopt(struct gy_dispatcher *d, const struct gy_job *j)
{
    char id[GY_UUID_TEXT];
    (void)snprintf(id, sizeof id, "%.36s", j->id.p);
    int fd = j->pid > 0 ? open_pidfd((pid_t)j->pid) : -1;
    /* The start time is read after the handle is held, so both are of one process. */
    if (fd >= 0 && j->pid_start > 0 && gy_proc_start_time((pid_t)j->pid) == j->pid_start) {
        gy_log(GY_LOG_INFO, "jobs", "adopted a running job", GY_KV_C("job", id),
               GY_KV_I("pid", j->pid));
        keep_child(d, j, j->attempt, (pid_t)j->pid, fd, false);
        return;
    }
    if (fd >= 0) {
        (void)close(fd); /* another process has the number now */
    }
    settle(d, id, j->attempt);
}

static void end_cancelled(struct child *c)
{
    int64_t now = gy_mono_ns();
    if (c->asked_ns == 0) {
        c->asked_ns = now;
        (void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGTERM, NULL, 0); /* gone is fine */
    } else if (now - c->asked_ns > GY_DISPATCHER_KILL_S * INT64_C(1000000000)) {
        char mark[GY_UUID_TEXT + 16];
        (void)snprintf(mark, sizeof mark, "GYRE_JOB=%s", c->id);
        (void)gy_proc_kill_marked(gy_str_c(mark)); /* how many does not matter */
    }
}

static void renew(struct gy_dispatcher *d)
{
    int64_t now = gy_mono_ns();
    if (now - d->renewed_ns < GY_DISPATCHER_RENEW_S * INT64_C(1000000000)) {
        return;
    }
    d->renewed_ns = now;
    for (size_t i = 0; i < d->n; i++) {
        struct gy_err err = GY_ERR_INIT;
        struct op o = {.kind = RENEW, .id = d->children[i].id, .attempt = d->children[i].attempt};
        gy_status status = write_op(d, &o, &err);
        if (status != GY_OK && status != GY_E_CONFLICT) { /* CONFLICT: it just ended */
            complain("a lease could not be renewed", &err);
        }
    }
}

/* A running job that no child of ours does: is it for us to see what came of it? What another home
 * on this database started is its server's business, for as long as that renews the lease. */
static bool is_ours(struct gy_dispatcher *d, const struct gy_job *j, const char *id, bool leads)
{
    char path[GY_MAX_PATH];
    if (!gy_store_is_shared(d->app->store)) {
        return true;
    }
    bool started_here = job_path(d, id, "log", path, NULL) == GY_OK && gy_path_exists(path);
    return started_here || (leads && j->lease_until_us < gy_now_us());
}

static gy_status handle_job(struct gy_dispatcher *d, const struct gy_job *j, bool decided,
                            bool leads, struct gy_err *err)
{
    char id[GY_UUID_TEXT];
    (void)snprintf(id, sizeof id, "%.36s", j->id.p);
    struct child *c = find_child(d, j->id);
    if (gy_str_eqc(j->state, "waiting_approval")) {
        struct op o = {.kind = APPROVAL, .id = id};
        return decided && !c && leads ? write_op(d, &o, err) : GY_OK;
    }
    if (gy_str_eqc(j->state, "running")) {
        if (c && j->cancel_asked) {
            end_cancelled(c);
        } else if (!c && d->n < GY_DISPATCHER_MAX_CHILDREN && is_ours(d, j, id, leads)) {
            adopt(d, j);
        }
        return GY_OK;
    }
    bool free_hand =
        leads && d->n < GY_DISPATCHER_MAX_CHILDREN && !c && !folder_is_busy(d, j->folder);
    return free_hand ? start_job(d, j, err) : GY_OK;
}

static void round_of(struct gy_dispatcher *d)
{
    struct gy_err err = GY_ERR_INIT;
    struct scan s = {0};
    gy_arena_init(&s.arena, 256 * GY_MIB);
    gy_status status = gy_store_read(d->app->store, scan_closure, &s, &err);
    bool leads = gy_store_leads(d->app->store);
    if (status == GY_OK && s.due && leads) {
        struct op look = {.kind = LOOK};
        do {
            status = write_op(d, &look, &err);
        } while (status == GY_OK && look.flag && !atomic_load(&d->stopping));
    }
    for (size_t i = s.n; status == GY_OK && i-- > 0;) { /* the oldest first */
        struct gy_err why = GY_ERR_INIT;
        if (handle_job(d, &s.jobs[i], s.decided[i], leads, &why) != GY_OK) {
            complain("a job", &why);
        }
    }
    if (status != GY_OK) {
        complain("looking at the triggers", &err);
    }
    gy_arena_done(&s.arena);
    renew(d);
}

/* Until a child ended, somebody woke us, or a tick passed. */
static void wait_for_more(struct gy_dispatcher *d)
{
    struct pollfd fds[GY_DISPATCHER_MAX_CHILDREN + 1];
    size_t n = d->n;
    for (size_t i = 0; i < n; i++) {
        fds[i] = (struct pollfd){.fd = d->children[i].pidfd, .events = POLLIN};
    }
    fds[n] = (struct pollfd){.fd = d->wake_fd, .events = POLLIN};
    if (poll(fds, n + 1, GY_DISPATCHER_TICK_MS) <= 0) {
        return;
    }
    uint64_t count;
    if (fds[n].revents && read(d->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        gy_log(GY_LOG_WARN, "jobs", "the wake-up of the dispatcher can not be read");
    }
    for (size_t i = n; i-- > 0;) { /* from the end: forgetting one moves the last into its place */
        if (fds[i].revents) {
            reap(d, &d->children[i]);
        }
    }
}

static void *dispatcher_main(void *arg)
{
    struct gy_dispatcher *d = arg;
    int64_t cleaned_ns = 0;
    while (!atomic_load(&d->stopping)) {
        round_of(d);
        if (cleaned_ns == 0 || gy_mono_ns() - cleaned_ns > CLEAN_UPLOADS_NS) {
            cleaned_ns = gy_mono_ns();
            if (gy_store_leads(d->app->store)) {
                gy_mf_clean_uploads(d->app);
            }
        }
        if (!atomic_load(&d->stopping)) {
            wait_for_more(d);
        }
    }
    for (size_t i = 0; i < d->n; i++) {
        gy_log(GY_LOG_INFO, "jobs", "a job goes on without the server",
               GY_KV_C("job", d->children[i].id), GY_KV_I("pid", d->children[i].pid));
        (void)close(d->children[i].pidfd); /* only a handle */
    }
    return NULL;
}

gy_status gy_dispatcher_start(struct gy_app *app, const char *program, struct gy_dispatcher **ret,
                              struct gy_err *err)
{
    struct gy_dispatcher *d = gy_calloc(1, sizeof *d);
    if (!d) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the dispatcher");
    }
    d->app = app;
    (void)snprintf(d->program, sizeof d->program, "%s", program);
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = d->wake_fd < 0 ? errno : pthread_create(&d->thread, NULL, dispatcher_main, d);
    if (rc != 0) {
        if (d->wake_fd >= 0) {
            (void)close(d->wake_fd);
        }
        gy_free(d);
        return gy_err_sys(err, rc, "starting the dispatcher");
    }
    (void)pthread_setname_np(d->thread, "gyre-jobs"); /* only a label */
    *ret = d;
    return GY_OK;
}

void gy_dispatcher_wake(struct gy_dispatcher *d)
{
    const uint64_t one = 1;
    if (d && write(d->wake_fd, &one, sizeof one) < 0) {
        return; /* the counter is full: it is awake */
    }
}

void gy_dispatcher_stop(struct gy_dispatcher *d)
{
    if (!d) {
        return;
    }
    atomic_store(&d->stopping, true);
    gy_dispatcher_wake(d);
    (void)pthread_join(d->thread, NULL); /* joinable, joined once */
    (void)close(d->wake_fd);
    gy_free(d);
}
