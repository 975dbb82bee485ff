/* SPDX-License-Identifier: Apache-2.0 */
/* gy_receiver: records that replicas ship, kept beside the log's own. A stream is (boot, ring) of
 * the replica; its frames come in order of their numbers and are written to segments of that stream
 * in the same folder, so that trace, join, watcher and exports read them like any other. What is
 * there already (a batch that was sent again) is passed over by its numbers. When gy_receiver_take
 * returns, the frames are on the disk. A start seals what was left open, and goes on in new
 * segments.
 *
 * Nothing that a sender says of its bytes is believed: gy_receiver_sift computes each checksum,
 * decodes each record and asks whether it may be here; what is damaged is refused with its batch,
 * so that it is sent again, and what does not belong here is left out and named. Thread safe: one
 * mutex. */
#ifndef GY_SERVE_RECEIVE_H
#define GY_SERVE_RECEIVE_H

#include "serve/record.h"

#define GY_RECEIVER_MAX_STREAMS 4096 /* remembered; what was quiet longest is looked up again */
#define GY_RECEIVER_MAX_BATCH (4 * GY_MIB)

struct gy_receiver;
GY_CHECKED gy_status gy_receiver_new(const char *dir, size_t segment_bytes,
                                     struct gy_receiver **ret, struct gy_err *err);
void gy_receiver_free(struct gy_receiver *r); /* seals what is open */
/* The log's own records have this boot: nobody may ship such. Before the first take. */
void gy_receiver_own(struct gy_receiver *r, const unsigned char boot[16]);

/* May this record be kept here? false: *ret_why says why not (a static text). */
typedef gy_status (*gy_receiver_may_fn)(void *ctx, const struct gy_record *r, const char **ret_why,
                                        struct gy_err *err);
struct gy_sifted {
    struct gy_buf good;    /* frames that may be kept */
    struct gy_buf refused; /* uint64_t each: their numbers */
    const char *why;       /* of the first of them */
    uint64_t through;      /* the last number of the batch; 0: it is empty */
};
void gy_sifted_init(struct gy_sifted *s);
void gy_sifted_done(struct gy_sifted *s);
GY_DEFINE_AUTO_DONE(struct gy_sifted, gy_sifted_done);
/* Look at a whole batch: frames as gy_receiver_take wants them. Fails: CORRUPT (a checksum or a
 * content is wrong), INVALID (order), as `may`, NOMEM; nothing of the batch is to be kept then. */
GY_CHECKED gy_status gy_receiver_sift(struct gy_str frames, gy_receiver_may_fn may, void *ctx,
                                      struct gy_sifted *ret, struct gy_err *err);

struct gy_received {
    uint64_t last_seq; /* of the stream, now on the disk */
    uint64_t records;  /* new ones of this batch */
};
/* frames: whole frames of records, numbers ascending; none: only last_seq is asked for. Fails:
 * CORRUPT (not good frames; nothing is kept), INVALID (order), CONFLICT (the log's own boot),
 * NOSPACE, IO. */
GY_CHECKED gy_status gy_receiver_take(struct gy_receiver *r, const unsigned char boot[16],
                                      uint32_t ring, struct gy_str frames, struct gy_received *ret,
                                      struct gy_err *err);
/* What is open is sealed; what comes begins new segments. Fails: IO, NOSPACE, NOMEM. */
GY_CHECKED gy_status gy_receiver_rotate(struct gy_receiver *r, struct gy_err *err);

struct gy_receiver_stats {
    uint64_t records; /* kept */
    uint64_t refused; /* left out by gy_receiver_sift's `may`, as gy_receiver_refused was told */
    uint64_t damaged; /* batches */
};
void gy_receiver_get_stats(struct gy_receiver *r, struct gy_receiver_stats *ret);
void gy_receiver_refused(struct gy_receiver *r, uint64_t records, uint64_t damaged); /* count */

#endif
