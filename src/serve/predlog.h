/* SPDX-License-Identifier: Apache-2.0 */
/* The prediction log: every answered prediction, kept. Each event loop appends to a ring of its own
 * in shared memory (ring.h): no lock, no system call, no disk on the request path. A flusher thread
 * moves the rings into segment files `.gyre/log/<boot>-<ring>-<number>.seg`, a syncer makes them
 * durable every sync_ms. So the death of the process loses nothing that was answered; loss of power
 * can take the last sync_ms, or nothing with sync_ms 0 (then the answer waits, off the loop).
 * Opening drains rings that a killed process left, skips what is damaged and counts the holes. A
 * full ring is never waited for on a loop: the request is refused, or its record dropped and
 * counted.
 *
 * Threads: append from the one thread that owns that ring; everything else from any thread. */
#ifndef GY_SERVE_PREDLOG_H
#define GY_SERVE_PREDLOG_H

#include "serve/receive.h"
#include "serve/record.h"

#define GY_PREDLOG_MAX_RINGS 65 /* 64 loops and the one that pool threads share */

struct gy_predlog;

struct gy_predlog_options {
    const char *dir;      /* .gyre/log, made when absent */
    const char *ring_dir; /* NULL: /dev/shm, else (not there, full) dir itself */
    int n_loops;          /* rings 0 .. n_loops-1, plus the shared one */
    size_t ring_bytes;    /* 0: 4 MiB; a power of two */
    size_t segment_bytes; /* a segment is sealed past it; 0: 16 MiB */
    int sync_ms;          /* at most this much can be lost with the power; 0: each answer waits */
    bool drop_when_full;  /* else the prediction is refused */
};

/* Recover, make the rings, start the threads. Fails: NOSPACE, DENIED, IO, NOMEM. */
GY_CHECKED gy_status gy_predlog_open(const struct gy_predlog_options *o, struct gy_predlog **ret,
                                     struct gy_err *err);
/* Drain, sync, seal, remove the rings (kept when draining failed: the next open drains them). */
void gy_predlog_close(struct gy_predlog *l);
GY_DEFINE_AUTO(struct gy_predlog *, gy_predlog_close);

/* Ring `loop`, its own thread. false: full (counted); with drop_when_full always true. Split over
 * several records where rows are many. */
bool gy_predlog_append(struct gy_predlog *l, int loop, struct gy_record *r);
/* The shared ring, any thread: waits for room; with sync_ms 0 also until it is durable. Fails:
 * NOSPACE/IO when the segments can not be written. */
GY_CHECKED gy_status gy_predlog_append_wait(struct gy_predlog *l, struct gy_record *r,
                                            struct gy_err *err);
bool gy_predlog_waits(const struct gy_predlog *l); /* sync_ms 0: loops must not append */
/* Everything appended before this call is in segment files, and on the disk when durable. Fails as
 * append_wait. */
GY_CHECKED gy_status gy_predlog_flush(struct gy_predlog *l, bool durable, struct gy_err *err);

/* Everything appended before this call is in sealed segments: the open ones are closed, and what
 * comes next begins new ones. Fails as append_wait. */
GY_CHECKED gy_status gy_predlog_rotate(struct gy_predlog *l, struct gy_err *err);

/* So many sealed segments were taken out of the folder (shipped.h): for the statistics. */
void gy_predlog_removed(struct gy_predlog *l, uint64_t segments);

/* Where records of replicas go (receive.h); lives as long as the log. */
struct gy_receiver *gy_predlog_receiver(struct gy_predlog *l);

struct gy_predlog_stats {
    uint64_t appended_bytes; /* moved into segments by this process */
    uint64_t refused;        /* full rings: refused or dropped */
    uint64_t recovered;      /* records drained from rings left behind, at open */
    uint64_t holes, bad;     /* over all segments: missing by number; damaged places */
    uint64_t syncs, write_failures;
    size_t ring_used_max, ring_capacity; /* the fullest ring now */
    int64_t lag_us;                      /* age of the oldest bytes that are not durable yet */
    uint64_t segments;
    bool failing; /* the last try to write or sync failed */
};
void gy_predlog_get_stats(struct gy_predlog *l, struct gy_predlog_stats *ret);

/* All records of a prediction id (parts in row order), from the segments of `dir`, and from rings
 * that a dead process left. live: the open log of this process (flushed first), or NULL. Fails:
 * NOTFOUND, IO, CORRUPT, NOMEM. */
#define GY_PREDLOG_MAX_PARTS 512
GY_CHECKED gy_status gy_predlog_find(struct gy_predlog *live, const char *dir, const char *ring_dir,
                                     const unsigned char id[16], struct gy_arena *a,
                                     struct gy_record **ret, size_t *ret_n, struct gy_err *err);
/* Each good record of all segments, oldest segment first. */
GY_CHECKED gy_status gy_predlog_each(const char *dir, gy_record_fn fn, void *ctx,
                                     struct gy_err *err);

#endif
