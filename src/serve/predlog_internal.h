/* SPDX-License-Identifier: Apache-2.0 */
/* What predlog.c and recover.c share. */
#ifndef GY_SERVE_PREDLOG_INTERNAL_H
#define GY_SERVE_PREDLOG_INTERNAL_H

#include "serve/predlog.h"

#define GY_RING_DIR "/dev/shm"
/* Ring files: gyre-<key of the log folder>-<boot>-<ring>.ring. The key is device and inode, so that
 * a home that was moved still finds its rings. */
#define GY_RING_PREFIX "gyre-"

GY_CHECKED gy_status gy_predlog_key(const char *dir, char out[17], struct gy_err *err);
GY_CHECKED gy_status gy_predlog_write_all(int fd, const char *p, size_t n, struct gy_err *err);

struct gy_predlog_recovery {
    uint64_t records; /* drained from rings */
    uint64_t rings, segments, holes, bad;
};
/* Finish the record that a killed flusher was writing, seal segments that were left open, then
 * drain and remove all rings of this log folder. Nobody else may have the log open (the server's
 * lock sees to that). */
GY_CHECKED gy_status gy_predlog_recover(const char *dir, const char *ring_dir,
                                        struct gy_predlog_recovery *ret, struct gy_err *err);

#endif
