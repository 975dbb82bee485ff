/* SPDX-License-Identifier: Apache-2.0 */
#include "net/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

gy_status gy_unix_path(const char *path, char out[GY_UNIX_PATH_MAX], int *ret_dir_fd,
                       struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    const char *slash = strrchr(path, '/');
    size_t n = strlen(path);
    *ret_dir_fd = -1;
    if (n < GY_UNIX_PATH_MAX) {
        memcpy(out, path, n + 1);
        return GY_OK;
    }
    if (!slash || (size_t)(slash - path) >= sizeof dir) {
        return gy_err_set(err, GY_E_INVALID, "the socket path is too long: %s", path);
    }
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "the folder of the socket %s", path);
    }
    int k = snprintf(out, GY_UNIX_PATH_MAX, "/proc/self/fd/%d/%s", fd, slash + 1);
    if (k < 0 || k >= GY_UNIX_PATH_MAX) {
        (void)close(fd);
        return gy_err_set(err, GY_E_INVALID, "the socket name is too long: %s", slash + 1);
    }
    *ret_dir_fd = fd;
    return GY_OK;
}
