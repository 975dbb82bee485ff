/* SPDX-License-Identifier: Apache-2.0 */
/* A Unix socket's address holds 107 bytes, which the path of a home folder may exceed. Then the
 * folder is opened, and the socket named through it: /proc/self/fd/N/sock. */
#ifndef GY_NET_UNIX_PATH_H
#define GY_NET_UNIX_PATH_H

#include "base/err.h"

#define GY_UNIX_PATH_MAX 108 /* with the NUL */

/* out names the socket `path`. *ret_dir_fd is -1, or a descriptor that must stay open as long as
 * out is used (caller closes). Fails: INVALID (its last part alone is too long), NOTFOUND, DENIED.
 */
GY_CHECKED gy_status gy_unix_path(const char *path, char out[GY_UNIX_PATH_MAX], int *ret_dir_fd,
                                  struct gy_err *err);

#endif
