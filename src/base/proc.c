/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <dirent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"

enum { READ_BYTES = 16384, MAX_ENV = 4096 };

static bool names_same_variable(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool overridden(const char *entry, const char *const *env_add)
{
    for (size_t i = 0; env_add[i]; i++) {
        if (names_same_variable(env_add[i], entry)) {
            return true;
        }
    }
    return false;
}

/* The caller's environment with env_add over it; the strings are borrowed. */
static gy_status merge_env(const char *const *env_add, char ***ret, struct gy_err *err)
{
    size_t n = 0;
    size_t n_add = 0;
    while (environ[n]) {
        n++;
    }
    while (env_add[n_add]) {
        n_add++;
    }
    if (n + n_add > MAX_ENV) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d environment variables", MAX_ENV);
    }
    char **env = gy_calloc(n + n_add + 1, sizeof *env);
    if (!env) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a child's environment");
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!overridden(environ[i], env_add)) {
            env[k++] = environ[i];
        }
    }
    for (size_t i = 0; i < n_add; i++) {
        env[k++] =
            (char *)(uintptr_t)env_add[i]; /* posix_spawn takes char *const * and does not write */
    }
    *ret = env;
    return GY_OK;
}

static int add_fd(posix_spawn_file_actions_t *actions, int fd, int as)
{
    return fd >= 0 && fd != as ? posix_spawn_file_actions_adddup2(actions, fd, as) : 0;
}

static int fill_actions(const struct gy_proc_options *o, posix_spawn_file_actions_t *actions)
{
    int failed = 0;
    if (o->stdin_fd >= 0) {
        failed = add_fd(actions, o->stdin_fd, STDIN_FILENO);
    } else {
        failed = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    if (!failed) {
        failed = add_fd(actions, o->stdout_fd, STDOUT_FILENO);
    }
    if (!failed) {
        failed = add_fd(actions, o->stderr_fd, STDERR_FILENO);
    }
    if (!failed && o->cwd) {
        failed = posix_spawn_file_actions_addchdir_np(actions, o->cwd);
    }
    if (!failed) {
        failed = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    }
    return failed;
}

static int fill_attributes(const struct gy_proc_options *o, posix_spawnattr_t *attr)
{
    short group = o->new_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none); /* can not fail for a valid pointer */
    (void)sigfillset(&all);
    int failed = posix_spawnattr_setsigmask(attr, &none);
    if (!failed) {
        failed = posix_spawnattr_setsigdefault(attr, &all);
    }
    if (!failed) {
        failed = posix_spawnattr_setpgroup(attr, 0);
    }
    if (!failed) {
        failed = posix_spawnattr_setflags(
            attr, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
    }
    return failed;
}

gy_status gy_proc_start(const struct gy_proc_options *o, struct gy_proc *ret, struct gy_err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    char **env = NULL;
    if (o->env_add) {
        GY_TRY(merge_env(o->env_add, &env, err));
    }
    int failed = posix_spawn_file_actions_init(&actions);
    if (!failed) {
        failed = posix_spawnattr_init(&attr);
        if (!failed) {
            failed = fill_actions(o, &actions);
            if (!failed) {
                failed = fill_attributes(o, &attr);
            }
            if (!failed) {
                failed = posix_spawnp(&ret->pid, o->argv[0], &actions, &attr,
                                      (char *const *)(uintptr_t)o->argv, env ? env : environ);
            }
            (void)posix_spawnattr_destroy(&attr); /* nothing to be done about a failure */
        }
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    gy_free(env);
    return failed ? gy_err_sys(err, failed, "starting %s", o->argv[0]) : GY_OK;
}

gy_status gy_proc_wait(struct gy_proc *p, int *ret_code, struct gy_err *err)
{
    int status = 0;
    while (waitpid(p->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return gy_err_sys(err, errno, "waiting for process %d", (int)p->pid);
        }
    }
    p->pid = 0;
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return GY_OK;
}

gy_status gy_proc_wait_ms(struct gy_proc *p, int timeout_ms, bool *ret_ended, int *ret_code,
                          struct gy_err *err)
{
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0); /* glibc 2.36 has no wrapper in all headers */
    if (fd < 0) {
        return gy_err_sys(err, errno, "watching process %d", (int)p->pid);
    }
    int64_t end = gy_mono_ns() + (int64_t)timeout_ms * 1000000;
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    int n = -1;
    do {
        int64_t left_ms = (end - gy_mono_ns() + 999999) / 1000000;
        n = poll(&watch, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (n < 0 && errno == EINTR);
    (void)close(fd); /* only a handle */
    *ret_ended = n > 0;
    return n > 0 ? gy_proc_wait(p, ret_code, err) : GY_OK;
}

void gy_proc_kill(const struct gy_proc *p, int signal_number)
{
    if (p->pid > 0) {
        (void)kill(-p->pid,
                   signal_number); /* fails only when the group is gone, which is what is wanted */
    }
}

/* ---- other processes ---- */

enum { MAX_STAT = 4096, MAX_ENVIRON = 4 << 20, KILLED_WAIT_MS = 5000 };

/* A file of /proc, at most max bytes of it. */
static size_t read_proc(pid_t pid, const char *name, char *out, size_t max)
{
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && n < max) {
        ssize_t got = read(fd, out + n, max - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    if (fd >= 0) {
        (void)close(fd); /* read only */
    }
    return n;
}

int64_t gy_proc_start_time(pid_t pid)
{
    enum { STATE = 0, START_TIME = 19 }; /* fields after the name: proc(5) counts them from 3 */
    char text[MAX_STAT + 1];
    size_t n = read_proc(pid, "stat", text, MAX_STAT);
    struct gy_str s = gy_str_n(text, n);
    size_t name_end = SIZE_MAX;
    for (size_t i = 0; i < n; i++) { /* the name may hold blanks and brackets */
        name_end = text[i] == ')' ? i : name_end;
    }
    if (name_end == SIZE_MAX || name_end + 2 > n) {
        return 0;
    }
    struct gy_str rest = gy_str_sub(s, name_end + 2, n);
    struct gy_str field;
    int64_t start = 0;
    for (int i = 0; i <= START_TIME && gy_str_next(&rest, ' ', &field); i++) {
        if (i == STATE && (gy_str_eqc(field, "Z") || gy_str_eqc(field, "X"))) {
            return 0;
        }
        if (i == START_TIME && gy_parse_i64(field, 0, INT64_MAX, &start, NULL) != GY_OK) {
            return 0;
        }
    }
    return start;
}

static bool has_mark(pid_t pid, struct gy_str mark, char *buffer)
{
    size_t n = read_proc(pid, "environ", buffer, MAX_ENVIRON);
    struct gy_str rest = gy_str_n(buffer, n);
    struct gy_str entry;
    while (gy_str_next(&rest, '\0', &entry)) {
        if (gy_str_starts(entry, mark)) {
            return true;
        }
    }
    return false;
}

/* Through a pidfd, so that the one that is killed is the one that was looked at. */
static bool kill_if_marked(pid_t pid, struct gy_str mark, char *buffer)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool killed = fd >= 0 && has_mark(pid, mark, buffer) &&
                  syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    struct pollfd gone = {.fd = fd, .events = POLLIN};
    /* Gone in no time, unless it hangs in the kernel: nobody waits for that for ever. */
    while (killed && poll(&gone, 1, KILLED_WAIT_MS) < 0 && errno == EINTR) {
    }
    if (fd >= 0) {
        (void)close(fd); /* only a handle */
    }
    return killed;
}

size_t gy_proc_kill_marked(struct gy_str mark)
{
    char *buffer = gy_malloc(MAX_ENVIRON);
    DIR *d = buffer ? opendir("/proc") : NULL;
    size_t n = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        int64_t pid = 0;
        if (gy_parse_i64(gy_str_c(e->d_name), 1, INT32_MAX, &pid, NULL) == GY_OK &&
            pid != getpid()) {
            n += kill_if_marked((pid_t)pid, mark, buffer);
        }
    }
    if (d) {
        (void)closedir(d); /* read only */
    }
    gy_free(buffer);
    return n;
}

/* Append what fd gives until its end. */
static gy_status drain(int fd, struct gy_buf *out, struct gy_err *err)
{
    for (;;) {
        char *to = gy_buf_reserve(out, READ_BYTES);
        if (!to) {
            return gy_buf_check(out, "what the child printed", err);
        }
        ssize_t n = read(fd, to, READ_BYTES);
        if (n == 0) {
            return GY_OK;
        }
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "reading what a child printed");
        }
        if (n > 0) {
            gy_buf_commit(out, (size_t)n);
        }
    }
}

gy_status gy_proc_capture(const struct gy_proc_options *o, struct gy_buf *out, int *ret_code,
                          struct gy_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gy_err_sys(err, errno, "making a pipe");
    }
    struct gy_proc_options with_pipe = *o;
    struct gy_proc p = {0};
    with_pipe.stdout_fd = ends[1];
    gy_status status = gy_proc_start(&with_pipe, &p, err);
    (void)close(ends[1]); /* a pipe end: nothing is lost by a failing close */
    if (status == GY_OK) {
        status = drain(ends[0], out, err);
        if (status != GY_OK) {
            gy_proc_kill(&p, SIGKILL);
        }
        gy_status waited = gy_proc_wait(&p, ret_code, status == GY_OK ? err : NULL);
        status = status == GY_OK ? waited : status;
    }
    (void)close(ends[0]);
    return status;
}
