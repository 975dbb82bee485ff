/* SPDX-License-Identifier: Apache-2.0 */
/* gy_logquery: logged rows by time, endpoint and what they say. Segments that are wholly older than
 * what is asked for are passed over by their indexes. What is given begins behind a place in the
 * log (marks.h) and ends at one, so that a reader who keeps the place gets each record once,
 * whatever is written meanwhile, by this server or by replicas. A page has three bounds (records,
 * bytes that were written of them, bytes of the log that were looked at): the next one begins where
 * it ended, also when nothing on it matched.
 *
 * where: an expression (base/expr.h) over the logged inputs, prediction, probability (of class 1,
 * of the best class) and latency_us; inputs that are texts are not known to it. Rows of a revision
 * that does not have what it names do not match. Not thread safe; one owner. */
#ifndef GY_SERVE_LOGQUERY_H
#define GY_SERVE_LOGQUERY_H

#include "serve/marks.h"
#include "serve/shape.h"

#define GY_LOGQUERY_MAX_REVISIONS 10000 /* that a where is compiled for */

struct gy_logquery {
    const char *dir; /* the log; flush a live one before */
    struct gy_shapes *shapes;
    struct gy_str endpoint, version, request_id, where; /* absent: any */
    int64_t since_us, until_us; /* of the prediction, until not included; 0: no bound */
    size_t max_records;         /* given at most; 0: all */
    /* What fn has written so far (MAY be NULL), and past which size no other record is given: a
     * page is longer by at most one record. */
    const size_t *written;
    size_t max_bytes;
    uint64_t max_scan_bytes; /* of the log, looked at in one run; 0: all */
};
/* A record with rows that match: those with rows[i]. shape NULL: its revision is gone. */
typedef gy_status (*gy_logquery_fn)(void *ctx, const struct gy_record *r, const bool *rows,
                                    const struct gy_shape *shape, struct gy_err *err);
struct gy_logquery_result {
    uint64_t scanned; /* records looked at */
    uint64_t records, rows;
    bool more; /* it ended at one of the bounds */
    /* Of the revisions whose records were held against where: some have what it names; else (not
     * OK) why none has. */
    bool right;
    struct gy_err wrong;
};
/* place: where to begin, and then where it ended. Fails: INVALID (where is no expression; or, of
 * the log from its beginning to its end, wrong), IO, NOMEM, as the store and fn do. */
GY_CHECKED gy_status gy_logquery_run(const struct gy_logquery *q, struct gy_log_marks *place,
                                     gy_logquery_fn fn, void *ctx, struct gy_logquery_result *ret,
                                     struct gy_err *err);

#endif
