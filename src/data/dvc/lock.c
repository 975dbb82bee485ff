/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time.h"
#include "data/dvc/repo_internal.h"

#define LOOK_MS 20         /* between two tries at a lock that another process holds */
#define TELL_AFTER_MS 1000 /* waiting longer is said once */
#define MAX_RWLOCK (4 * GY_MIB)

static void nap(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL); /* cut short by a signal: we only look earlier */
}

/* ---- a lock file as zc.lockfile has it: flock, and " <pid>\n" inside ---- */

static void write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, " %ld\n", (long)getpid());
    /* What stands in the file only helps a person who waits. */
    if (pwrite(fd, text, (size_t)n, 0) == n && ftruncate(fd, n) != 0) {
        return;
    }
}

static long read_pid(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    int64_t pid = 0;
    struct gy_err none = GY_ERR_INIT;
    if (n <= 0 ||
        gy_parse_i64(gy_str_trim(gy_str_n(text, (size_t)n)), 1, INT32_MAX, &pid, &none) != GY_OK) {
        return 0;
    }
    return (long)pid;
}

static gy_status take_file(const char *path, int64_t until_ns, int *ret_fd, struct gy_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open the lock %s", path);
    }
    int64_t start = gy_mono_ns();
    bool told = false;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            int errnum = errno;
            (void)close(fd);
            return gy_err_sys(err, errnum, "can not lock %s", path);
        }
        int64_t now = gy_mono_ns();
        if (until_ns >= 0 && now >= until_ns) {
            long pid = read_pid(fd);
            (void)close(fd);
            (void)gy_err_set(err, GY_E_BUSY, "%s is locked by process %ld", path, pid);
            return gy_err_hint(err, "another `dvc` or `gyre data` is at work in this repository");
        }
        if (!told && now - start > TELL_AFTER_MS * INT64_C(1000000)) {
            gy_log(GY_LOG_INFO, "dvc", "waiting for the lock of the repository",
                   GY_KV_I("pid", read_pid(fd)));
            told = true;
        }
        nap(LOOK_MS);
    }
    write_pid(fd);
    *ret_fd = fd;
    return GY_OK;
}

static gy_status tmp_path(const struct gy_dvc_repo *r, const char *name, char ret[GY_MAX_PATH],
                          struct gy_err *err)
{
    int n = snprintf(ret, GY_MAX_PATH, "%s/tmp/%s", r->dvc, name);
    return n > 0 && n < GY_MAX_PATH ? GY_OK
                                    : gy_err_set(err, GY_E_TOOBIG, "the path of .dvc is too long");
}

static int64_t until(int64_t wait_ms)
{
    return wait_ms < 0 ? -1 : gy_mono_ns() + wait_ms * INT64_C(1000000);
}

static gy_status lock_until(struct gy_dvc_repo *r, int64_t until_ns, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (r->lock_fd >= 0) {
        return GY_OK;
    }
    if (gy_dvc_config_bool(r->config, "core", "hardlink_lock", false)) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "core.hardlink_lock: locks by hard links are not supported");
        return gy_err_hint(err, "`dvc config --unset core.hardlink_lock`");
    }
    GY_TRY(tmp_path(r, "lock", path, err));
    GY_TRY(gy_dir_make_for(path, err));
    return take_file(path, until_ns, &r->lock_fd, err);
}

gy_status gy_dvc_repo_lock(struct gy_dvc_repo *r, int64_t wait_ms, struct gy_err *err)
{
    return lock_until(r, until(wait_ms), err);
}

void gy_dvc_repo_unlock(struct gy_dvc_repo *r)
{
    if (r->lock_fd >= 0) {
        (void)close(r->lock_fd); /* which gives the lock back */
        r->lock_fd = -1;
    }
}

/* ---- rwlock ---- */

/* Is one of the two absolute paths the other, or inside it? */
static bool overlaps(struct gy_str a, struct gy_str b)
{
    struct gy_str less = a.n < b.n ? a : b;
    struct gy_str more = a.n < b.n ? b : a;
    return gy_str_starts(more, less) && (more.n == less.n || more.p[less.n] == '/');
}

static bool touches(const struct gy_dvc_repo *r, struct gy_str held, const struct gy_str *paths,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char full[2 * GY_MAX_PATH];
        int len = snprintf(full, sizeof full, "%s/%" GY_STR_F, r->root, GY_STR_A(paths[i]));
        if (len > 0 && len < (int)sizeof full && overlaps(held, gy_str_n(full, (size_t)len))) {
            return true;
        }
    }
    return false;
}

static bool is_other_and_alive(yyjson_val *info, long *ret_pid)
{
    int64_t pid = gy_json_i64(info, "pid", 0);
    *ret_pid = (long)pid;
    return pid > 0 && pid <= INT32_MAX && pid != getpid() &&
           (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* The pid of a live process that uses one of paths, 0: none. infos: {path: {pid,cmd}} or {path:
 * [{pid,cmd}]}. */
static long blocker(const struct gy_dvc_repo *r, yyjson_val *infos, const struct gy_str *paths,
                    size_t n)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(infos);
    yyjson_val *key = NULL;
    while ((key = yyjson_obj_iter_next(&iter))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        long pid = 0;
        if (!touches(r, gy_json_val_str(key), paths, n)) {
            continue;
        }
        if (!yyjson_is_arr(v)) {
            if (is_other_and_alive(v, &pid)) {
                return pid;
            }
            continue;
        }
        yyjson_arr_iter each = yyjson_arr_iter_with(v);
        yyjson_val *info = NULL;
        while ((info = yyjson_arr_iter_next(&each))) {
            if (is_other_and_alive(info, &pid)) {
                return pid;
            }
        }
    }
    return 0;
}

/* *ret NULL: nobody ever wrote one. */
static gy_status read_rwlock(const struct gy_dvc_repo *r, yyjson_doc **ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    *ret = NULL;
    GY_TRY(tmp_path(r, "rwlock", path, err));
    if (gy_file_size(path) <= 0) {
        return GY_OK;
    }
    if (gy_json_read_file(path, MAX_RWLOCK, ret, err) == GY_OK) {
        return GY_OK;
    }
    (void)gy_err_wrap(err, "%s", path);
    return gy_err_hint(err, "when no dvc is running, remove this file");
}

gy_status gy_dvc_repo_lock_paths(struct gy_dvc_repo *r, const struct gy_str *reads, size_t n_reads,
                                 const struct gy_str *writes, size_t n_writes, int64_t wait_ms,
                                 bool *ret_waited, struct gy_err *err)
{
    *ret_waited = false;
    int64_t until_ns = until(wait_ms);
    for (;;) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_TRY(lock_until(r, until_ns, err));
        GY_TRY(read_rwlock(r, &doc, err));
        yyjson_val *root = yyjson_doc_get_root(doc);
        yyjson_val *writers = gy_json_get(root, "write");
        long pid = blocker(r, writers, reads, n_reads);
        pid = pid ? pid : blocker(r, writers, writes, n_writes);
        pid = pid ? pid : blocker(r, gy_json_get(root, "read"), writes, n_writes);
        if (pid == 0) {
            return GY_OK;
        }
        gy_dvc_repo_unlock(r);
        *ret_waited = true;
        if (until_ns >= 0 && gy_mono_ns() >= until_ns) {
            (void)gy_err_set(err, GY_E_BUSY, "process %ld works on these paths", pid);
            return gy_err_hint(err, "it says so in .dvc/tmp/rwlock");
        }
        nap(LOOK_MS * 5);
    }
}

/* ---- saying what we use ---- */

static bool is_ours(yyjson_val *info)
{
    return gy_json_i64(info, "pid", 0) == getpid();
}

static bool is_named(const struct gy_dvc_repo *r, struct gy_str key, const struct gy_str *paths,
                     size_t n)
{
    size_t root = strlen(r->root);
    for (size_t i = 0; i < n; i++) {
        if (key.n == root + 1 + paths[i].n && memcmp(key.p, r->root, root) == 0 &&
            key.p[root] == '/' && gy_str_eq(gy_str_sub(key, root + 1, key.n), paths[i])) {
            return true;
        }
    }
    return false;
}

static void add_info(struct gy_jw *w, const char *cmd)
{
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "pid", getpid());
    gy_jw_kv_strc(w, "cmd", cmd);
    gy_jw_obj_end(w);
}

/* One of the two halves with our claims of paths taken out, then put in again when on. */
static void write_half(const struct gy_dvc_repo *r, struct gy_jw *w, yyjson_val *was, bool is_list,
                       const struct gy_str *paths, size_t n, const char *cmd, bool on)
{
    gy_jw_obj(w);
    yyjson_obj_iter iter = yyjson_obj_iter_with(was);
    yyjson_val *key = NULL;
    while ((key = yyjson_obj_iter_next(&iter))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        struct gy_str name = gy_json_val_str(key);
        bool named = is_named(r, name, paths, n);
        if (!is_list) {
            if (!named) {
                gy_jw_keys(w, name);
                gy_jw_val(w, v);
            }
            continue;
        }
        size_t others = 0;
        yyjson_arr_iter each = yyjson_arr_iter_with(v);
        yyjson_val *info = NULL;
        while ((info = yyjson_arr_iter_next(&each))) {
            others += !named || !is_ours(info);
        }
        if (others == 0 && !(named && on)) {
            continue;
        }
        gy_jw_keys(w, name);
        gy_jw_arr(w);
        each = yyjson_arr_iter_with(v);
        while ((info = yyjson_arr_iter_next(&each))) {
            if (!named || !is_ours(info)) {
                gy_jw_val(w, info);
            }
        }
        if (named && on) {
            add_info(w, cmd);
        }
        gy_jw_arr_end(w);
    }
    for (size_t i = 0; on && i < n; i++) {
        char full[2 * GY_MAX_PATH];
        (void)snprintf(full, sizeof full, "%s/%" GY_STR_F, r->root, GY_STR_A(paths[i]));
        if (is_list && yyjson_obj_get(was, full)) {
            continue; /* it was put into the list above */
        }
        gy_jw_key(w, full);
        if (is_list) {
            gy_jw_arr(w);
        }
        add_info(w, cmd);
        if (is_list) {
            gy_jw_arr_end(w);
        }
    }
    gy_jw_obj_end(w);
}

gy_status gy_dvc_repo_claim(struct gy_dvc_repo *r, const struct gy_str *reads, size_t n_reads,
                            const struct gy_str *writes, size_t n_writes, const char *cmd, bool on,
                            struct gy_err *err)
{
    char path[GY_MAX_PATH], guard[GY_MAX_PATH];
    int guard_fd = -1;
    GY_REQUIRE(r->lock_fd >= 0);
    GY_TRY(tmp_path(r, "rwlock", path, err));
    GY_TRY(tmp_path(r, "rwlock.lock", guard, err));
    GY_TRY(take_file(guard, -1, &guard_fd, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_RWLOCK);
    gy_status status = read_rwlock(r, &doc, err);
    if (status == GY_OK) {
        struct gy_jw w;
        yyjson_val *root = yyjson_doc_get_root(doc);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_key(&w, "write");
        write_half(r, &w, gy_json_get(root, "write"), false, writes, n_writes, cmd, on);
        gy_jw_key(&w, "read");
        write_half(r, &w, gy_json_get(root, "read"), true, reads, n_reads, cmd, on);
        gy_jw_obj_end(&w);
        status = gy_buf_check(&out, "the rwlock file", err);
    }
    if (status == GY_OK) {
        status = gy_file_write(path, gy_buf_str(&out), 0666, err);
    }
    (void)close(guard_fd); /* which gives the guard back */
    return status;
}
