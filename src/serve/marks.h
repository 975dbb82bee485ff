/* SPDX-License-Identifier: Apache-2.0 */
/* gy_log_marks: how far a reader of the prediction log has come. The log is one stream of numbered
 * records for each ring of each server start (boot), so a place in it is a map (boot, ring) -> the
 * last record that is done. A stream without a mark is not begun. As JSON an object:
 * {"<boot>-<ring>": 4711} or, where the first 40 rows of the next record are done too,
 * {"<boot>-<ring>": [4711, 40]}. Not thread safe; one owner. */
#ifndef GY_SERVE_MARKS_H
#define GY_SERVE_MARKS_H

#include "base/json.h"

#define GY_LOG_MARKS_MAX 65536 /* streams that one place tells apart */

struct gy_log_mark {
    unsigned char boot[16];
    uint32_t ring;
    uint32_t rows; /* of record seq + 1 */
    uint64_t seq;
};

struct gy_log_marks {
    struct gy_log_mark *at; /* by boot, then ring */
    size_t n, cap;
};

/* Zeroed is the beginning of the log. */
void gy_log_marks_done(struct gy_log_marks *m); /* zeroed afterwards */
GY_DEFINE_AUTO_DONE(struct gy_log_marks, gy_log_marks_done);

/* NULL: the stream is not begun. Valid until the next change. */
const struct gy_log_mark *gy_log_marks_get(const struct gy_log_marks *m,
                                           const unsigned char boot[16], uint32_t ring);
/* Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_log_marks_set(struct gy_log_marks *m, const unsigned char boot[16],
                                      uint32_t ring, uint64_t seq, uint32_t rows,
                                      struct gy_err *err);
/* Rows of record `seq` (of n_rows) that are done; n_rows: all of them. */
uint32_t gy_log_marks_rows_done(const struct gy_log_marks *m, const unsigned char boot[16],
                                uint32_t ring, uint64_t seq, uint32_t n_rows);
/* *m becomes a copy of `from`. Fails: NOMEM. */
GY_CHECKED gy_status gy_log_marks_copy(struct gy_log_marks *m, const struct gy_log_marks *from,
                                       struct gy_err *err);
/* *m becomes the further (nearer) of both in each stream; what only one of them has stays (goes).
 * Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_log_marks_max(struct gy_log_marks *m, const struct gy_log_marks *other,
                                      struct gy_err *err);
void gy_log_marks_min(struct gy_log_marks *m, const struct gy_log_marks *other);
/* Drop the marks of streams for which keep says no. */
typedef bool (*gy_log_mark_fn)(void *ctx, const struct gy_log_mark *mark);
void gy_log_marks_prune(struct gy_log_marks *m, gy_log_mark_fn keep, void *ctx);

/* absent or empty text: the beginning. Fails: PARSE, INVALID, TOOBIG, NOMEM; *m is then empty. */
GY_CHECKED gy_status gy_log_marks_read(struct gy_log_marks *m, struct gy_str json,
                                       struct gy_err *err);
void gy_log_marks_write(const struct gy_log_marks *m, struct gy_jw *w);

#endif
