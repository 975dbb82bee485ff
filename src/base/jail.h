/* SPDX-License-Identifier: Apache-2.0 */
/* A process that works for others gives up what it does not need: once, at its start, for good.
 * Limits of the kernel (rlimits), no new privileges, an empty environment; and, where the kernel
 * has Landlock (Linux 5.13), no file but those named, and no TCP (6.7). Before the first thread is
 * made: what a thread gave up does not bind those that were there before. */
#ifndef GY_BASE_JAIL_H
#define GY_BASE_JAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct gy_jail_options {
    int64_t memory_bytes; /* of address space */
    int64_t cpu_s;        /* of all threads together; the kernel ends a process that used more; -1:
                             as much as it likes */
    int64_t max_files;    /* open at once */
    const char *const *readable; /* files and folders that may be read, NULL-terminated; what is
                                    not there is passed over */
    bool execute;                /* what may be read may also be run */
};

/* Nothing may be written but to descriptors that are no regular files. *ret_walled (MAY be NULL):
 * false where the kernel has no Landlock, then only the limits hold. Fails: FAILED, NOMEM. */
GY_CHECKED gy_status gy_jail_enter(const struct gy_jail_options *o, bool *ret_walled,
                                   struct gy_err *err);

#endif
