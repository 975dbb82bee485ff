/* SPDX-License-Identifier: Apache-2.0 */
/* Work of routes on whole tables (ingest, replay, statistics): only a few at a time, in a folder
 * that goes when the work ends, whatever becomes of it. Any thread; a gy_work has one owner. */
#ifndef GY_API_DATA_WORK_H
#define GY_API_DATA_WORK_H

#include "api/app.h"
#include "base/limits.h"

#define GY_WORK_MAX 4               /* at a time, of one process */
#define GY_WORK_STALE_S (24 * 3600) /* what a killed server left is removed after so long */

struct gy_work {
    char dir[GY_MAX_PATH]; /* below the home's cache */
    bool counted;
};
/* The folder. Caller storage; zeroed is fine to be ended. Fails: as files do. */
GY_CHECKED gy_status gy_work_begin(struct gy_app *app, struct gy_work *w, struct gy_err *err);
/* One of the few, from now on: when what a client sends is here. Fails: BUSY (others are at work).
 */
GY_CHECKED gy_status gy_work_turn(struct gy_work *w, struct gy_err *err);
void gy_work_end(struct gy_work *w);
GY_DEFINE_AUTO_DONE(struct gy_work, gy_work_end);
/* dir/name. */
GY_CHECKED gy_status gy_work_path(const struct gy_work *w, const char *name, char out[GY_MAX_PATH],
                                  struct gy_err *err);
/* An object as a path that can be opened while *ret_fd is open, which the caller closes. */
GY_CHECKED gy_status gy_work_object(struct gy_app *app, struct gy_str sha256, char out[64],
                                    int *ret_fd, struct gy_err *err);

#endif
