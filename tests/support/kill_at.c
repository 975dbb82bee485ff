/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program: it is killed (SIGKILL) at its n-th step, GYRE_KILL_AT=n, where a step
 * is a call that changes or syncs files: before it is made when GYRE_KILL_WHEN=before, else after.
 * So a test can end a command at each of its steps, one after the other. GYRE_KILL_LOG names a file
 * that gets a line a step. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long g_step;

static long wanted(void)
{
    long n = 0;
    for (const char *p = getenv("GYRE_KILL_AT"); p && *p >= '0' && *p <= '9'; p++) {
        n = 10 * n + (*p - '0');
    }
    return n;
}

static int before(void)
{
    const char *text = getenv("GYRE_KILL_WHEN");
    return text && strcmp(text, "before") == 0;
}

/* The function that this one stands before; to: a pointer to a function. POSIX lets it be had so.
 */
static void next(const char *name, void *to)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        abort();
    }
    memcpy(to, &found, sizeof found);
}

static void tell(const char *what)
{
    const char *path = getenv("GYRE_KILL_LOG");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) {
        char line[64];
        int n = snprintf(line, sizeof line, "%s\n", what);
        if (write(fd, line, (size_t)n) < 0) {
            abort();
        }
        (void)close(fd);
    }
}

static int begin(const char *what)
{
    long step = atomic_fetch_add(&g_step, 1) + 1;
    tell(what);
    if (step != wanted()) {
        return 0;
    }
    if (before()) {
        (void)kill(getpid(), SIGKILL);
    }
    return 1;
}

static void end(int now)
{
    if (now) {
        (void)kill(getpid(), SIGKILL);
    }
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = NULL;
    next("rename", &real);
    int now = begin("rename");
    int status = real(from, to);
    end(now);
    return status;
}

int fsync(int fd)
{
    int (*real)(int) = NULL;
    next("fsync", &real);
    int now = begin("fsync");
    int status = real(fd);
    end(now);
    return status;
}

int fdatasync(int fd)
{
    int (*real)(int) = NULL;
    next("fdatasync", &real);
    int now = begin("fdatasync");
    int status = real(fd);
    end(now);
    return status;
}

int unlink(const char *path)
{
    int (*real)(const char *) = NULL;
    next("unlink", &real);
    int now = begin("unlink");
    int status = real(path);
    end(now);
    return status;
}

int ftruncate(int fd, off_t size)
{
    int (*real)(int, off_t) = NULL;
    next("ftruncate", &real);
    int now = begin("ftruncate");
    int status = real(fd, size);
    end(now);
    return status;
}
