/* SPDX-License-Identifier: Apache-2.0 */
/* gy_replica: the dealings of a serving process with the server whose endpoints it answers. It asks
 * for that server's revisions, fetches their packages by digest and publishes them; it ships what
 * was answered to the server's log, and lets go what the server has acknowledged (shipped.h). What
 * it can lose with its disk is what is not shipped yet.
 *
 * All of it is done by one thread, so nothing that the server does or leaves undone reaches the
 * loops that answer. Each call has the bounds of the caller that it is given; what failed is tried
 * again after its interval, then twice, four times ... as long, up to GY_REPLICA_BACKOFF_MAX_MS.
 * Records that the server refuses (it never deployed their revision) are put into the folder
 * `refused` of the home, in segments of the log's form, and do not come again.
 *
 * Lifecycle: gy_replica_new -> gy_replica_start (the serving is attached) -> gy_replica_stop (the
 * server has stopped) -> gy_replica_free. Stats from any thread, the rest from one. */
#ifndef GY_SERVE_REPLICA_H
#define GY_SERVE_REPLICA_H

#include "net/call.h"
#include "serve/serving.h"
#include "store/home.h"

#define GY_REPLICA_BACKOFF_MAX_MS 10000              /* where the interval itself is not longer */
#define GY_REPLICA_REFUSED_MAX_BYTES (64 * GY_MIB)   /* kept of what the server refused */
#define GY_REPLICA_CALL_MAX_MS ((int64_t)30 * 60000) /* of one call, however it trickles */

struct gy_replica;

struct gy_replica_options {
    struct gy_serving *serving;
    struct gy_caller *server; /* bounded by who made it; not owned */
    const struct gy_home *home;
    const char *name;
    char *const *wanted; /* endpoints */
    size_t n_wanted;     /* 0: all */
    int64_t poll_ms, ship_ms;
    int64_t keep_ms; /* of segments that are acknowledged */
};
/* Ask the server for its key and its endpoints and publish them. Strings and pointers live as long
 * as it. Fails: CONFLICT (the home has a log of its own), as calls to the server do. */
GY_CHECKED gy_status gy_replica_new(const struct gy_replica_options *o, struct gy_replica **ret,
                                    struct gy_err *err);
GY_CHECKED gy_status gy_replica_start(struct gy_replica *r, struct gy_err *err);
/* Begin nothing new; for the time in which the server goes down. */
void gy_replica_pause(struct gy_replica *r);
/* Ends the thread, then ships what was answered last. */
void gy_replica_stop(struct gy_replica *r);
void gy_replica_free(struct gy_replica *r); /* NULL allowed */
GY_DEFINE_AUTO(struct gy_replica *, gy_replica_free);

/* What is answered in a replica's home is shipped and removed, so nobody else may log there: its
 * next start would take these records along. Fails: CONFLICT. Any thread. */
GY_CHECKED gy_status gy_replica_need_none(const struct gy_home *home, struct gy_err *err);

enum gy_replica_call { GY_REPLICA_POLL, GY_REPLICA_SHIP };
enum gy_replica_failure {
    GY_REPLICA_TIMEOUT,     /* it did not answer in time */
    GY_REPLICA_UNREACHABLE, /* no connection, or it broke off */
    GY_REPLICA_OTHER,       /* it refused, or the failure is ours */
};
const char *gy_replica_call_name(enum gy_replica_call call); /* "poll" */
const char *gy_replica_failure_name(enum gy_replica_failure failure);

struct gy_replica_stats {
    bool up;                          /* the last call went well */
    int64_t last_contact_us;          /* of a call that went well */
    uint64_t failures[2][3];          /* by call, by failure */
    uint64_t shipped, refused;        /* records */
    uint64_t refused_lost;            /* of the refused: not kept, since the folder is full */
    uint64_t removed, removed_bytes;  /* segments */
    uint64_t segments, segment_bytes; /* there at the last look */
};
void gy_replica_get_stats(struct gy_replica *r, struct gy_replica_stats *ret);

#endif
