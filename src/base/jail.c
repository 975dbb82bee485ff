/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sanitizers map terabytes, which they do not use. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* linux/landlock.h of Debian 12 is older than what newer kernels offer: the ABI is stable, so its
 * numbers stand here (Documentation/userspace-api/landlock.rst). */
enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    VERSION = 1,
    RULE_PATH = 1,
    EXECUTE = 1 << 0,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
};

struct ruleset {
    uint64_t files, tcp;
};
struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static gy_status limit(int what, int64_t value, struct gy_err *err)
{
    const struct rlimit r = {(rlim_t)value, (rlim_t)value};
    return setrlimit((__rlimit_resource_t)what, &r) == 0
               ? GY_OK
               : gy_err_sys(err, errno, "limiting the process");
}

static gy_status allow(int rules, const char *path, bool execute, struct gy_err *err)
{
    struct stat s;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return GY_OK; /* nothing that could be read */
    }
    const struct path_rule rule = {.allowed = READ_FILE |
                                              (S_ISDIR(s.st_mode) ? (uint64_t)READ_DIR : 0) |
                                              (execute ? (uint64_t)EXECUTE : 0),
                                   .fd = fd};
    const long rc = syscall(ADD_RULE, rules, RULE_PATH, &rule, 0);
    const int failed = errno;
    (void)close(fd);
    return rc == 0 ? GY_OK : gy_err_sys(err, failed, "walling the process in");
}

static gy_status wall_in(int rules, const struct gy_jail_options *o, struct gy_err *err)
{
    for (const char *const *path = o->readable; path && *path; path++) {
        GY_TRY(allow(rules, *path, o->execute, err));
    }
    return syscall(RESTRICT_SELF, rules, 0) == 0 ? GY_OK
                                                 : gy_err_sys(err, errno, "walling the process in");
}

/* All that this kernel knows to refuse is refused. */
static gy_status landlock(const struct gy_jail_options *o, bool *ret_walled, struct gy_err *err)
{
    const long abi = syscall(CREATE_RULESET, NULL, 0, VERSION);
    *ret_walled = abi > 0;
    if (abi <= 0) {
        return GY_OK;
    }
    const unsigned kinds = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
    const struct ruleset r = {.files = ((uint64_t)1 << kinds) - 1, .tcp = abi >= 4 ? 3 : 0};
    const int rules = (int)syscall(CREATE_RULESET, &r, abi >= 4 ? sizeof r : sizeof r.files, 0);
    if (rules < 0) {
        return gy_err_sys(err, errno, "walling the process in");
    }
    gy_status status = wall_in(rules, o, err);
    (void)close(rules);
    return status;
}

gy_status gy_jail_enter(const struct gy_jail_options *o, bool *ret_walled, struct gy_err *err)
{
    bool walled = false;
    if (clearenv() != 0) {
        return gy_err_set(err, GY_E_FAILED, "the environment can not be cleared");
    }
    (void)signal(SIGXFSZ, SIG_IGN); /* a write to a file fails with EFBIG instead */
    GY_TRY(limit(RLIMIT_CORE, 0, err));
    GY_TRY(limit(RLIMIT_FSIZE, 0, err));
    if (!SANITIZED) {
        GY_TRY(limit(RLIMIT_AS, o->memory_bytes, err));
    }
    GY_TRY(limit(RLIMIT_CPU, o->cpu_s, err));
    GY_TRY(limit(RLIMIT_NOFILE, o->max_files, err));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return gy_err_sys(err, errno, "limiting the process");
    }
    GY_TRY(landlock(o, &walled, err));
    if (ret_walled) {
        *ret_walled = walled;
    }
    return GY_OK;
}
