/* SPDX-License-Identifier: Apache-2.0 */
/* gy_shipped: what of a replica's log may go. A sealed segment of which every record was
 * acknowledged by the server (which says so when they are on its disk) is of no more use here; it
 * goes when it is older than a small time, or at once when such segments are more than a bound. So
 * the disk of a replica holds what is not shipped yet and little else. Any one thread. */
#ifndef GY_SERVE_SHIPPED_H
#define GY_SERVE_SHIPPED_H

#include "serve/marks.h"

#define GY_SHIPPED_MAX_BYTES                                             \
    (256 * GY_MIB) /* of acknowledged segments that are kept for a while \
                    */

struct gy_shipped {
    uint64_t segments, bytes;  /* that were removed */
    uint64_t left, left_bytes; /* segments that are there after it, and their bytes */
    uint64_t damaged;          /* removed ones with places that nobody can read */
};
/* Remove from the folder `dir` what is acknowledged (up to the marks) and whose last record came
 * more than keep_ms ago. An index goes before its segment: what a death leaves between the two is
 * sealed again by the next start. Fails: IO; what was removed until then is told. */
GY_CHECKED gy_status gy_shipped_remove(const char *dir, const struct gy_log_marks *acknowledged,
                                       int64_t keep_ms, struct gy_shipped *ret, struct gy_err *err);

#endif
