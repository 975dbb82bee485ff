/* SPDX-License-Identifier: Apache-2.0 */
/* The home folder `.gyre/`: gyre.db, objects/, log/, runs/, cache/, server.lock, sock. Found by
 * --home, else GYRE_HOME, else the nearest .gyre/ upwards from the working folder, else made in the
 * working folder. */
#ifndef GY_STORE_HOME_H
#define GY_STORE_HOME_H

#include "base/file.h"
#include "base/limits.h"

struct gy_home {
    char dir[GY_MAX_PATH];
    int lock_fd; /* >= 0: this process holds server.lock */
};

/* Resolve (given MAY be NULL) and, when make is set, create the folders; a new home is on disk with
 * the way to it. Fails: NOTFOUND (make false), DENIED, IO. */
GY_CHECKED gy_status gy_home_find(const char *given, bool make, struct gy_home *ret,
                                  struct gy_err *err);
/* dir/name. */
GY_CHECKED gy_status gy_home_path(const struct gy_home *h, const char *name, char out[GY_MAX_PATH],
                                  struct gy_err *err);
/* Take server.lock (an open file description lock, so it ends with the process). BUSY when another
 * process holds it: *ret_pid says which. Released by gy_home_done. */
GY_CHECKED gy_status gy_home_lock(struct gy_home *h, int64_t *ret_pid, struct gy_err *err);
bool gy_home_is_locked(const struct gy_home *h); /* by any process: a server runs */
void gy_home_done(struct gy_home *h);

#endif
