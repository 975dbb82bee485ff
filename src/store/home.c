/* SPDX-License-Identifier: Apache-2.0 */
#include "store/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const folders[] = {"objects", "log", "runs", "cache"};

static gy_status copy_path(const char *path, char out[GY_MAX_PATH], struct gy_err *err)
{
    size_t n = strlen(path);
    if (n == 0 || n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_INVALID, "the home folder's path has 1 to %d bytes",
                          GY_MAX_PATH - 1);
    }
    memcpy(out, path, n + 1);
    return GY_OK;
}

/* given or GYRE_HOME, made absolute by the working folder. */
static gy_status from_name(const char *name, const char *cwd, char out[GY_MAX_PATH],
                           struct gy_err *err)
{
    return name[0] == '/' ? copy_path(name, out, err)
                          : gy_path_join(out, GY_MAX_PATH, cwd, name, err);
}

/* The nearest .gyre/ from dir upwards. */
static gy_status search_up(const char *cwd, char out[GY_MAX_PATH], bool *ret_found,
                           struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_TRY(copy_path(cwd, dir, err));
    for (;;) {
        GY_TRY(gy_path_join(out, GY_MAX_PATH, strcmp(dir, "/") == 0 ? "" : dir, ".gyre", err));
        *ret_found = gy_path_is_dir(out);
        char *slash = strrchr(dir, '/');
        if (*ret_found || !slash || dir[1] == '\0') {
            return GY_OK;
        }
        slash[slash == dir] = '\0';
    }
}

static gy_status locate(const char *given, char out[GY_MAX_PATH], struct gy_err *err)
{
    char cwd[GY_MAX_PATH];
    const char *name = given && given[0] ? given : getenv("GYRE_HOME");
    if (!getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "asking for the working folder");
    }
    if (name && name[0]) {
        return from_name(name, cwd, out, err);
    }
    bool found;
    GY_TRY(search_up(cwd, out, &found, err));
    return found ? GY_OK : gy_path_join(out, GY_MAX_PATH, cwd, ".gyre", err);
}

/* Cut an absolute path down to its parent. */
static void cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    slash[slash == path] = '\0';
}

/* How many bytes of dir name a folder that is there. */
static size_t existing(const char *dir)
{
    char path[GY_MAX_PATH];
    memcpy(path, dir, strlen(dir) + 1);
    while (!gy_path_is_dir(path) && path[1] != '\0') {
        cut_last(path);
    }
    return strlen(path);
}

static gy_status make_folders(const struct gy_home *h, struct gy_err *err)
{
    size_t had = existing(h->dir);
    char path[GY_MAX_PATH];
    /* Data, the digests of passwords and the keys that addresses are signed with: a role is worth
     * nothing to whoever may read the database. */
    GY_TRY(gy_dir_make_private(h->dir, err));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        GY_TRY(gy_home_path(h, folders[i], path, err));
        GY_TRY(gy_dir_make(path, err));
    }
    if (had == strlen(h->dir)) {
        return GY_OK;
    }
    /* A new home, the way to it included: what is acknowledged in it must not vanish with it. */
    memcpy(path, h->dir, sizeof path);
    while (strlen(path) > had) {
        GY_TRY(gy_dir_sync(path, err));
        cut_last(path);
    }
    return gy_dir_sync(path, err);
}

gy_status gy_home_find(const char *given, bool make, struct gy_home *ret, struct gy_err *err)
{
    struct gy_home h = {.lock_fd = -1};
    GY_TRY(locate(given, h.dir, err));
    if (!make && !gy_path_is_dir(h.dir)) {
        gy_err_set(err, GY_E_NOTFOUND, "no home folder: %s", h.dir);
        gy_err_hint(err, "run 'gyre init' here, or name one with --home");
        return GY_E_NOTFOUND;
    }
    if (make) {
        GY_TRY(make_folders(&h, err));
    }
    *ret = h;
    return GY_OK;
}

gy_status gy_home_path(const struct gy_home *h, const char *name, char out[GY_MAX_PATH],
                       struct gy_err *err)
{
    return gy_path_join(out, GY_MAX_PATH, h->dir, name, err);
}

/* Open file description locks: they belong to the descriptor (two in one process exclude each
 * other), end with the process however it dies, and can be asked about without being taken. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static gy_status owner_of(int fd, int64_t *ret_pid, struct gy_err *err)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text, 0);
    struct gy_str pid = n > 0 ? gy_str_trim(gy_str_n(text, (size_t)n)) : GY_STR("");
    *ret_pid = -1;
    if (gy_parse_i64(pid, 1, INT32_MAX, ret_pid, NULL) != GY_OK) {
        return gy_err_set(
            err, GY_E_BUSY,
            "another process holds the home folder"); /* it has not written its number yet */
    }
    return gy_err_set(err, GY_E_BUSY, "process %d holds the home folder", (int)*ret_pid);
}

static gy_status write_owner(int fd, struct gy_err *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        return gy_err_sys(err, errno, "writing server.lock");
    }
    return GY_OK;
}

gy_status gy_home_lock(struct gy_home *h, int64_t *ret_pid, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    int64_t pid = -1;
    GY_REQUIRE(h->lock_fd < 0);
    GY_TRY(gy_home_path(h, "server.lock", path, err));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    struct flock lock = whole_file();
    gy_status status = GY_OK;
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        status = write_owner(fd, err);
    } else if (errno == EAGAIN || errno == EACCES) {
        status = owner_of(fd, &pid, err);
    } else {
        status = gy_err_sys(err, errno, "locking '%s'", path);
    }
    if (ret_pid) {
        *ret_pid = status == GY_OK ? getpid() : pid;
    }
    if (status != GY_OK) {
        (void)close(fd); /* the lock is somebody else's */
        return status;
    }
    h->lock_fd = fd;
    return GY_OK;
}

bool gy_home_is_locked(const struct gy_home *h)
{
    char path[GY_MAX_PATH];
    if (gy_home_path(h, "server.lock", path, NULL) != GY_OK) {
        return false;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct flock lock = whole_file();
    bool locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd); /* nothing was written */
    return locked;
}

void gy_home_done(struct gy_home *h)
{
    if (h->lock_fd >= 0) {
        (void)close(h->lock_fd); /* ends the lock */
        h->lock_fd = -1;
    }
}
