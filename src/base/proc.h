/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes by posix_spawn: in a process group of their own, signal mask and handlers reset,
 * no descriptor passed on but the three standard ones. Used for pipeline steps, for training beside
 * the server, and by the demo. One owner a child. */
#ifndef GY_BASE_PROC_H
#define GY_BASE_PROC_H

#include <sys/types.h>

#include "base/buf.h"

struct gy_proc_options {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH */
    const char *cwd;         /* NULL: the caller's */
    const char *const
        *env_add; /* "NAME=value", NULL-terminated, over the caller's environment; MAY be NULL */
    int stdin_fd; /* -1: /dev/null */
    int stdout_fd, stderr_fd; /* -1: inherited */
    bool new_session;         /* setsid: outlives our terminal and our group */
};

struct gy_proc {
    pid_t pid; /* also the process group; 0 after it was reaped */
};

/* Fails: NOTFOUND (no such program), NOMEM, FAILED. */
GY_CHECKED gy_status gy_proc_start(const struct gy_proc_options *o, struct gy_proc *ret,
                                   struct gy_err *err);
/* Wait for the end. *ret_code: the exit code, or 128 + the signal that killed it. */
GY_CHECKED gy_status gy_proc_wait(struct gy_proc *p, int *ret_code, struct gy_err *err);
/* As gy_proc_wait, but at most timeout_ms; *ret_ended false when it still runs. */
GY_CHECKED gy_status gy_proc_wait_ms(struct gy_proc *p, int timeout_ms, bool *ret_ended,
                                     int *ret_code, struct gy_err *err);
void gy_proc_kill(const struct gy_proc *p,
                  int signal_number); /* the whole group; nothing when it is gone */
/* When the kernel started this process, in clock ticks since boot (0: there is none, or it is a
 * zombie). With the pid it names a process for good: pids are used again, pairs are not. */
int64_t gy_proc_start_time(pid_t pid);
/* End (SIGKILL) every process of this user whose environment has an entry that starts with `mark`
 * ("GYRE_JOB=<id>"), but not ours: what a killed parent left behind. The number of them. */
size_t gy_proc_kill_marked(struct gy_str mark);
/* Start, read its stdout into out (its ceiling holds: more is an error and the child is killed),
 * wait. o->stdout_fd is ignored. */
GY_CHECKED gy_status gy_proc_capture(const struct gy_proc_options *o, struct gy_buf *out,
                                     int *ret_code, struct gy_err *err);

#endif
