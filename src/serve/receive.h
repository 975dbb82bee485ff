/* SPDX-License-Identifier: Apache-2.0 */
/* gy_receiver: records that replicas ship, kept beside the log's own. A stream is (boot, ring) of
 * the replica; its frames come in order of their numbers and are written to segments of that stream
 * in the same folder, so that trace, join, watcher and exports read them like any other. What is
 * there already (a batch that was sent again) is passed over by its numbers. When gy_receiver_take
 * returns, the frames are on the disk. A start seals what was left open, and goes on in new
 * segments. Thread safe: one mutex. */
#ifndef GY_SERVE_RECEIVE_H
#define GY_SERVE_RECEIVE_H

#include "serve/record.h"

#define GY_RECEIVER_MAX_STREAMS 4096 /* of one server's life */
#define GY_RECEIVER_MAX_BATCH (4 * GY_MIB)

struct gy_receiver;
GY_CHECKED gy_status gy_receiver_new(const char *dir, size_t segment_bytes,
                                     struct gy_receiver **ret, struct gy_err *err);
void gy_receiver_free(struct gy_receiver *r); /* seals what is open */

struct gy_received {
    uint64_t last_seq; /* of the stream, now on the disk */
    uint64_t records;  /* new ones of this batch */
};
/* frames: whole frames of records, numbers ascending; none: only last_seq is asked for. Fails:
 * CORRUPT (not good frames; nothing is kept), INVALID (order), TOOBIG, NOSPACE, IO. */
GY_CHECKED gy_status gy_receiver_take(struct gy_receiver *r, const unsigned char boot[16],
                                      uint32_t ring, struct gy_str frames, struct gy_received *ret,
                                      struct gy_err *err);
/* What is open is sealed; what comes begins new segments. Fails: IO, NOSPACE, NOMEM. */
GY_CHECKED gy_status gy_receiver_rotate(struct gy_receiver *r, struct gy_err *err);

#endif
