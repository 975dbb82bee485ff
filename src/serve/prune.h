/* SPDX-License-Identifier: Apache-2.0 */
/* Retention of the prediction log: sealed segments that are older than asked for, or that make the
 * log larger than asked for, are removed, and what was removed stays known: a row of log_pruned for
 * each stream (stream, numbers, ids, times, counts), written with a row of the audit log before the
 * first file goes. So a killed prune leaves the old or the new: a segment whose row is there and
 * whose file still is (GY_PRUNE_LEFT) is removed by the next one.
 *
 * A stream loses its oldest segments first and never one in its middle, so that its numbers only
 * begin later: readers who come afterwards, or who had read what went, see neither a hole nor
 * damage. What must stay, with all behind it in its stream:
 *   open      not sealed, or unreadable: that is for a person to look at
 *   newest    of a stream whose ring is still there: recovery asks it what the ring still owes
 *   unread    somebody reads on in the log and has not come so far (the watcher, gyre log ship, a
 *             replica that ships)
 *   legal     it holds records of somebody under a legal hold
 * Not thread safe; gy_predlog_files_lock keeps it apart from backups and erasures. */
#ifndef GY_SERVE_PRUNE_H
#define GY_SERVE_PRUNE_H

#include "serve/marks.h"
#include "serve/record.h"
#include "store/store.h"

#define GY_PRUNE_MAX_SEGMENTS 1000000
#define GY_PRUNE_MAX_LIST 10000 /* rows of log_pruned a call */

struct gy_retention {
    int64_t keep_us;   /* of the newest record of a segment; 0: any age */
    int64_t max_bytes; /* of all segments with their indexes; 0: any size */
};

/* Somebody who reads on in the log. */
struct gy_prune_reader {
    struct gy_str name; /* "the watcher" */
    struct gy_log_marks read;
};

struct gy_prune_order {
    const char *dir;
    const char *ring_dir; /* NULL: as gy_predlog_open */
    struct gy_retention keep;
    int64_t now_us;
    const struct gy_log_marks *pruned; /* of each stream, by earlier prunes (gy_pruned_marks) */
    const struct gy_prune_reader *readers;
    size_t n_readers;
    /* MAY be NULL. Asked only of segments that would go: must it stay (legal hold)? */
    gy_status (*held)(void *ctx, const char *path, bool *ret, struct gy_err *err);
    /* MAY be NULL. Asked in the closure that writes the rows: is what held was answered from still
     * so? Its failure ends the prune before anything has gone. */
    gy_status (*still)(void *ctx, struct gy_db *db, struct gy_err *err);
    void *ctx;
};

enum gy_prune_fate {
    GY_PRUNE_STAYS, /* young enough, and there is room */
    GY_PRUNE_AGE,   /* goes: too old */
    GY_PRUNE_SIZE,  /* goes: the log is too large */
    GY_PRUNE_LEFT,  /* goes: an earlier prune was killed before it did */
    GY_PRUNE_OPEN,  /* must stay, and the following ones too */
    GY_PRUNE_NEWEST,
    GY_PRUNE_UNREAD,
    GY_PRUNE_LEGAL,
    GY_PRUNE_BEHIND, /* one before it must stay */
};
const char *gy_prune_fate_name(enum gy_prune_fate fate); /* "age", "unread" */
static inline bool gy_prune_goes(enum gy_prune_fate fate)
{
    return fate == GY_PRUNE_AGE || fate == GY_PRUNE_SIZE || fate == GY_PRUNE_LEFT;
}

struct gy_prune_segment {
    unsigned char boot[16], least[16], greatest[16]; /* ids */
    uint32_t ring, number;
    uint64_t records, first_seq, last_seq;
    int64_t bytes;          /* with its index */
    int64_t from_us, to_us; /* of the ids */
    enum gy_prune_fate fate;
    struct gy_str reader; /* UNREAD: whose */
};
struct gy_prune_plan {
    struct gy_prune_segment *segments; /* stream by stream, in order of their numbers */
    size_t n;
    int64_t log_bytes; /* of all, before */
    /* Of those that go now (LEFT are not counted again). */
    int64_t segments_go, records_go, bytes_go, from_us, to_us;
};

/* What would go; changes nothing. Everything lives in the arena. A log that is not there has
 * nothing. Fails: TOOBIG, IO, NOMEM, as held does. */
GY_CHECKED gy_status gy_prune_plan(const struct gy_prune_order *o, struct gy_arena *a,
                                   struct gy_prune_plan *ret, struct gy_err *err);
/* Do it: rows and the audit line first, then the files. Not inside a closure. actor: of the audit
 * log where no scope writes one. Fails: IO, as the store and still do; what was not removed is
 * LEFT.
 */
GY_CHECKED gy_status gy_prune_apply(const struct gy_prune_order *o,
                                    const struct gy_prune_plan *plan, struct gy_store *store,
                                    struct gy_str actor, struct gy_err *err);

/* Only the second half: the files of what goes. Fails: IO. */
GY_CHECKED gy_status gy_prune_remove(const char *dir, const struct gy_prune_plan *plan,
                                     struct gy_err *err);

/* Files of the log are copied or rewritten (shared), or removed (alone), by any process: *ret_fd is
 * closed when done; -1 where there is no log. shared waits for a prune, which is short; alone fails
 * with BUSY. */
GY_CHECKED gy_status gy_predlog_files_lock(const char *dir, bool alone, int *ret_fd,
                                           struct gy_err *err);

/* ---- what is known of it afterwards; inside closures ---- */

struct gy_pruned {
    unsigned char boot[16];
    uint32_t ring;
    int64_t segments, records, bytes;
    int64_t first_seq, last_seq;
    int64_t from_us, to_us;
    struct gy_str why, actor; /* "age", "size", "age, size" */
    int64_t pruned_us;
};
/* Up to which record each stream was pruned. */
GY_CHECKED gy_status gy_pruned_marks(struct gy_db *db, struct gy_log_marks *ret,
                                     struct gy_err *err);
/* The newest first, at most max. */
GY_CHECKED gy_status gy_pruned_list(struct gy_db *db, size_t max, struct gy_arena *a,
                                    struct gy_pruned **ret, size_t *ret_n, struct gy_err *err);
/* Was a stretch pruned in which this id would lie? *ret_found; the first of them. */
GY_CHECKED gy_status gy_pruned_find(struct gy_db *db, const unsigned char id[16],
                                    struct gy_arena *a, bool *ret_found, struct gy_pruned *ret,
                                    struct gy_err *err);

#endif
