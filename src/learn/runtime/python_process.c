/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/python_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "learn/runtime/python.h"
#include "net/http_client.h"
#include "net/unix_path.h"

#define LOOK_MS 200       /* between two looks at what is asked of the worker's thread */
#define FIRST_PAUSE_MS 50 /* before it is started again; doubled by each death */
#define SETTLED_MS 10000  /* a life as long as that makes its death a first one */
#define BACKLOG 128
#define READY "gyre: ready"
#define SLOW "gyre: slow "
#define PROBE_MS 500        /* a look whether it is alive; a call of the model does not hinder it */
#define PROBE_PAUSE_MS 1000 /* between two looks */

static struct {
    atomic_uint_fast64_t started, died, slow, silent;
} g_stats;

struct gy_python_process {
    char interpreter[GY_MAX_PATH], dir[GY_MAX_PATH];
    char path[GY_MAX_PATH], url[GY_MAX_PATH + 8];
    int listen_fd;
    struct gy_caller *probe; /* asks whether it is alive */
    pthread_t thread;        /* starts it, reads what it prints, waits for its end */
    bool has_thread;
    /* Of the thread alone. */
    struct gy_proc child;
    char line[512];
    size_t n_line;
    bool slow;                                               /* this life ended for a slow call */
    char refused[GY_PYTHON_MAX_REFUSED][GY_PYTHON_MARK + 1]; /* by number of slow calls, modulo */
    size_t n_refused;
    int64_t probed_ns;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t life;    /* counted up by each start */
    int64_t doubt_ns; /* since when it has answered nothing, after a late request; 0: no doubt */
    bool ready, stopping;
    char why[256]; /* it is not ready */
};

/* ---- the socket ---- */

static gy_status listen_at(struct gy_python_process *p, struct gy_err *err)
{
    static _Atomic unsigned counter;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int dir_fd = -1;
    char folder[GY_MAX_PATH];
    (void)snprintf(folder, sizeof folder, "%s/run", gy_python_dir());
    GY_TRY(gy_dir_make(folder, err));
    (void)chmod(folder, 0700); /* who reaches the socket reaches the model */
    (void)snprintf(p->path, sizeof p->path, "%s/%d-%u", folder, (int)getpid(),
                   atomic_fetch_add(&counter, 1));
    (void)snprintf(p->url, sizeof p->url, "unix:%s", p->path);
    (void)unlink(p->path);
    GY_TRY(gy_unix_path(p->path, a.sun_path, &dir_fd, err));
    p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = p->listen_fd >= 0 &&
                bind(p->listen_fd, (const struct sockaddr *)&a, sizeof a) == 0 &&
                listen(p->listen_fd, BACKLOG) == 0;
    gy_status status = good ? GY_OK : gy_err_sys(err, errno, "the socket of a worker");
    if (dir_fd >= 0) {
        (void)close(dir_fd);
    }
    return status;
}

/* ---- one life ---- */

static void set_down(struct gy_python_process *p, const char *why)
{
    (void)pthread_mutex_lock(&p->lock);
    p->ready = false;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

static void set_ready(struct gy_python_process *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->ready = true;
    p->doubt_ns = 0;
    p->life++;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    gy_log(GY_LOG_INFO, "python", "a worker answers", GY_KV_S("model", gy_str_c(p->dir)),
           GY_KV_I("pid", p->child.pid));
}

static void set_slow(struct gy_python_process *p, struct gy_str mark)
{
    p->slow = true;
    if (gy_is_hex(mark, GY_PYTHON_MARK)) {
        (void)snprintf(p->refused[p->n_refused++ % GY_PYTHON_MAX_REFUSED], sizeof p->refused[0],
                       "%" GY_STR_F, GY_STR_A(mark));
    }
    set_down(p, "a request took too long and ended it; it is started again");
    gy_log(GY_LOG_ERROR, "python", "a call of the model took too long: the worker ends",
           GY_KV_S("model", gy_str_c(p->dir)), GY_KV_I("pid", p->child.pid),
           GY_KV_I("bound_ms", GY_PYTHON_TIMEOUT_MS), GY_KV_S("request", mark));
}

static void take_line(struct gy_python_process *p)
{
    struct gy_str line = gy_str_n(p->line, p->n_line);
    if (gy_str_eqc(line, READY)) {
        set_ready(p);
    } else if (gy_str_starts(line, GY_STR(SLOW))) {
        set_slow(p, gy_str_sub(line, sizeof SLOW - 1, SIZE_MAX));
    } else if (p->n_line) {
        gy_log(GY_LOG_WARN, "python", "a worker says", GY_KV_S("text", line),
               GY_KV_S("model", gy_str_c(p->dir)));
        if (gy_str_starts(line, GY_STR("{\"error\""))) {
            char text[sizeof p->line + 1];
            (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(line));
            set_down(p, text);
        }
    }
    p->n_line = 0;
}

/* What it prints; false at the end. */
static bool read_output(struct gy_python_process *p, int fd)
{
    char bytes[1024];
    ssize_t n = read(fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n') {
            take_line(p);
        } else if (p->n_line < sizeof p->line) {
            p->line[p->n_line++] = bytes[i];
        }
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static bool is_stopping(struct gy_python_process *p)
{
    (void)pthread_mutex_lock(&p->lock);
    bool stopping = p->stopping;
    (void)pthread_mutex_unlock(&p->lock);
    return stopping;
}

/* Nobody needs to wait long to be late, so that says little; that it does not say that it is alive
 * for as long as a call of the model may take says that it will not. */
static bool is_silent(struct gy_python_process *p)
{
    (void)pthread_mutex_lock(&p->lock);
    int64_t doubt_ns = p->ready ? p->doubt_ns : 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (!doubt_ns || gy_mono_ns() - p->probed_ns < (int64_t)PROBE_PAUSE_MS * 1000000) {
        return false;
    }
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, 64 * GY_KIB);
    bool alive =
        gy_call_json(p->probe, "GET", "/v2/health/ready", GY_STR_NULL, &answer, NULL) == GY_OK;
    p->probed_ns = gy_mono_ns();
    if (alive) {
        gy_python_process_answered(p);
    }
    return !alive && p->probed_ns - doubt_ns > (int64_t)GY_PYTHON_TIMEOUT_MS * 1000000;
}

/* Until it has ended: its pipe closes with it. *ret_silent: it was ended. */
static void watch(struct gy_python_process *p, int fd, bool *ret_silent)
{
    struct pollfd out = {.fd = fd, .events = POLLIN};
    *ret_silent = false;
    while (!is_stopping(p)) {
        if (poll(&out, 1, LOOK_MS) > 0 && !read_output(p, fd)) {
            return;
        }
        *ret_silent = is_silent(p);
        if (*ret_silent) {
            set_down(p, "it did not say anything any more and is started again");
            gy_log(GY_LOG_ERROR, "python", "a worker says nothing any more: it is ended",
                   GY_KV_S("model", gy_str_c(p->dir)), GY_KV_I("pid", p->child.pid));
            return; /* what it has started may hold its output open */
        }
    }
}

static gy_status start(struct gy_python_process *p, int *ret_fd, struct gy_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return gy_err_sys(err, errno, "starting a worker");
    }
    const char *const argv[] = {
        "/proc/self/exe", GY_PYTHON_WORKER_VERB, "serve", p->interpreter, p->dir, NULL};
    char refused[sizeof GY_PYTHON_REFUSED_ENV + sizeof p->refused];
    size_t n = (size_t)snprintf(refused, sizeof refused, GY_PYTHON_REFUSED_ENV "=");
    for (size_t i = 0; i < GY_PYTHON_MAX_REFUSED && p->refused[i][0]; i++) {
        n += (size_t)snprintf(refused + n, sizeof refused - n, i ? ",%s" : "%s", p->refused[i]);
    }
    const char *const env[] = {refused, NULL};
    const struct gy_proc_options o = {.argv = argv,
                                      .env_add = env,
                                      .stdin_fd = p->listen_fd,
                                      .stdout_fd = fds[1],
                                      .stderr_fd = fds[1]};
    gy_status status = gy_proc_start(&o, &p->child, err);
    (void)close(fds[1]);
    if (status != GY_OK) {
        (void)close(fds[0]);
        return status;
    }
    *ret_fd = fds[0];
    return GY_OK;
}

static void live(struct gy_python_process *p)
{
    struct gy_err err = GY_ERR_INIT;
    char why[256];
    int fd = -1, code = 0;
    bool silent = false;
    p->n_line = 0;
    p->slow = false;
    if (start(p, &fd, &err) != GY_OK) {
        set_down(p, err.msg);
        return;
    }
    atomic_fetch_add_explicit(&g_stats.started, 1, memory_order_relaxed);
    watch(p, fd, &silent);
    (void)close(fd);
    gy_proc_kill(&p->child, SIGKILL);                /* it may have closed its output alone */
    GY_IGNORE(gy_proc_wait(&p->child, &code, NULL)); /* the number is for the message */
    (void)pthread_mutex_lock(&p->lock);
    bool was_ready = p->ready, stopping = p->stopping;
    (void)pthread_mutex_unlock(&p->lock);
    if (stopping) {
        return;
    }
    atomic_fetch_add_explicit(p->slow  ? &g_stats.slow
                              : silent ? &g_stats.silent
                                       : &g_stats.died,
                              1, memory_order_relaxed);
    (void)snprintf(why, sizeof why, "it ended (%d)", code);
    if (was_ready) {
        set_down(p, why);
    }
    gy_log(GY_LOG_ERROR, "python", "a worker ended", GY_KV_S("model", gy_str_c(p->dir)),
           GY_KV_I("code", code));
}

/* false: stop. */
static bool pause_ms(struct gy_python_process *p, int64_t ms)
{
    int64_t end = gy_mono_ns() + ms * 1000000;
    const struct timespec t = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    (void)pthread_mutex_lock(&p->lock);
    while (!p->stopping && gy_mono_ns() < end) {
        (void)pthread_cond_timedwait(&p->changed, &p->lock, &t); /* we look again */
    }
    bool go_on = !p->stopping;
    (void)pthread_mutex_unlock(&p->lock);
    return go_on;
}

static void *supervise(void *arg)
{
    struct gy_python_process *p = arg;
    int64_t pause = FIRST_PAUSE_MS;
    do {
        int64_t begin = gy_mono_ns();
        live(p);
        bool settled = gy_mono_ns() - begin > (int64_t)SETTLED_MS * 1000000;
        pause = settled ? FIRST_PAUSE_MS : pause * 2;
        pause = pause < GY_PYTHON_BACKOFF_MAX_MS ? pause : GY_PYTHON_BACKOFF_MAX_MS;
    } while (pause_ms(p, pause));
    return NULL;
}

/* ---- from outside ---- */

gy_status gy_python_process_new(const char *interpreter, const char *dir,
                                struct gy_python_process **ret, struct gy_err *err)
{
    struct gy_python_process *p = gy_calloc(1, sizeof *p);
    pthread_condattr_t clock;
    sigset_t all, old;
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "a worker");
    }
    p->listen_fd = -1;
    (void)snprintf(p->interpreter, sizeof p->interpreter, "%s", interpreter);
    (void)snprintf(p->dir, sizeof p->dir, "%s", dir);
    (void)snprintf(p->why, sizeof p->why, "it is starting");
    (void)pthread_mutex_init(&p->lock, NULL); /* these can not fail on Linux */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    gy_status status = listen_at(p, err);
    if (status == GY_OK) {
        status = gy_http_client_new(p->url, &p->probe, err);
    }
    if (status == GY_OK) {
        gy_http_client_timeout(p->probe, PROBE_MS);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
        p->has_thread = pthread_create(&p->thread, NULL, supervise, p) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        status = p->has_thread ? GY_OK : gy_err_set(err, GY_E_FAILED, "no thread for a worker");
    }
    if (status != GY_OK) {
        gy_python_process_free(p);
        return status;
    }
    *ret = p;
    return GY_OK;
}

void gy_python_process_free(struct gy_python_process *p)
{
    if (!p) {
        return;
    }
    if (p->has_thread) {
        (void)pthread_mutex_lock(&p->lock);
        p->stopping = true;
        (void)pthread_cond_broadcast(&p->changed);
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_join(p->thread, NULL);
    }
    gy_caller_free(p->probe);
    if (p->listen_fd >= 0) {
        (void)close(p->listen_fd);
        (void)unlink(p->path);
    }
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
    gy_free(p);
}

const char *gy_python_process_url(const struct gy_python_process *p)
{
    return p->url;
}

gy_status gy_python_process_ready(struct gy_python_process *p, int64_t deadline_ns,
                                  uint64_t *ret_life, struct gy_err *err)
{
    const struct timespec t = {.tv_sec = deadline_ns / 1000000000,
                               .tv_nsec = deadline_ns % 1000000000};
    (void)pthread_mutex_lock(&p->lock);
    while (!p->ready && gy_mono_ns() < deadline_ns) {
        (void)pthread_cond_timedwait(&p->changed, &p->lock, &t); /* we look again */
    }
    gy_status status = GY_OK;
    if (!p->ready) {
        status = gy_err_set(err, GY_E_UNAVAILABLE, "the model's worker process is not there: %s",
                            p->why);
    }
    *ret_life = p->life;
    (void)pthread_mutex_unlock(&p->lock);
    return status;
}

void gy_python_process_was_late(struct gy_python_process *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->doubt_ns = p->doubt_ns ? p->doubt_ns : gy_mono_ns();
    (void)pthread_mutex_unlock(&p->lock);
}

void gy_python_process_answered(struct gy_python_process *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->doubt_ns = 0;
    (void)pthread_mutex_unlock(&p->lock);
}

void gy_python_get_stats(struct gy_python_stats *ret)
{
    *ret = (struct gy_python_stats){
        .started = atomic_load_explicit(&g_stats.started, memory_order_relaxed),
        .died = atomic_load_explicit(&g_stats.died, memory_order_relaxed),
        .slow = atomic_load_explicit(&g_stats.slow, memory_order_relaxed),
        .silent = atomic_load_explicit(&g_stats.silent, memory_order_relaxed)};
}
