/* SPDX-License-Identifier: Apache-2.0 */
/* Reading on in the prediction log where one stopped: what the watcher, exports and replays stand
 * on. A cursor knows the last record it gave of each stream (marks.h), so each record is given
 * once, whatever happens between two calls: segments that are sealed, damaged places, servers that
 * were killed, new ones. It also remembers, in memory only, where in which file it stopped: a call
 * without news costs one stat of the folder and one read at the end of each open segment.
 *
 * Only segment files are read, also the part of the open segment that is written so far. What is
 * still in the rings of a running server comes later; gy_predlog_flush first, who can not wait. Not
 * thread safe; one owner. */
#ifndef GY_SERVE_TAIL_H
#define GY_SERVE_TAIL_H

#include "serve/marks.h"
#include "serve/record.h"

#define GY_TAIL_MAX_SEGMENTS 1000000 /* files that a cursor looks through */

struct gy_log_cursor;

/* At the beginning of the log in folder dir (which need not be there yet). Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_log_cursor_new(const char *dir, struct gy_log_cursor **ret,
                                       struct gy_err *err);
void gy_log_cursor_free(struct gy_log_cursor *c);
GY_DEFINE_AUTO(struct gy_log_cursor *, gy_log_cursor_free);
/* Go on behind these places; rows of a mark do not matter here, the record is given whole. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_log_cursor_seek(struct gy_log_cursor *c, const struct gy_log_marks *marks,
                                        struct gy_err *err);
/* The places behind which the next call goes on; valid until the next call. Marks of streams
 * without segments are left out. */
const struct gy_log_marks *gy_log_cursor_marks(const struct gy_log_cursor *c);

/* Where a record stands: its stream and number (record.seq). */
struct gy_log_place {
    const unsigned char *boot; /* 16 bytes */
    uint32_t ring;
};
typedef gy_status (*gy_tail_fn)(void *ctx, const struct gy_log_place *place,
                                const struct gy_record *r, struct gy_err *err);
/* Give the next records, at most max: server start by server start, within one about in order of
 * time, within a stream exactly in order of their numbers. The record lives until fn returns. A
 * failing fn ends the walk with its status; its record comes again. *ret_n: how many were given;
 * less than max: there are no more now. Fails: IO, NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_log_tail(struct gy_log_cursor *c, size_t max, gy_tail_fn fn, void *ctx,
                                 size_t *ret_n, struct gy_err *err);

struct gy_tail_stats {
    uint64_t records, holes, bad; /* given; missing by number; damaged places skipped */
    uint64_t segments_read, segments_skipped, scans; /* files; looks through the folder */
};
void gy_log_cursor_stats(const struct gy_log_cursor *c, struct gy_tail_stats *ret);

#endif
