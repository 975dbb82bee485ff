/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of log records in shared memory: a file on tmpfs, mapped shared, so that it outlives the
 * process, whatever kills it, and so that no disk can stall the one thread that appends. One
 * producer (an event loop), one consumer (the flusher); head and tail are the only things they
 * share. A record counts once head has passed it: a producer killed half-way leaves nothing. */
#ifndef GY_SERVE_RING_H
#define GY_SERVE_RING_H

#include "serve/record.h"

struct gy_ring;

/* Make a new ring file (0600, all of its memory allocated up front, so that a full tmpfs fails here
 * and not by SIGBUS). capacity_bytes: a power of two, at least 64 KiB. Fails: NOSPACE, EXISTS, IO,
 * NOMEM. */
GY_CHECKED gy_status gy_ring_create(const char *path, const unsigned char boot[16], uint32_t number,
                                    size_t capacity_bytes, struct gy_ring **ret,
                                    struct gy_err *err);
/* Map a ring that a dead process left. Fails: CORRUPT (not a ring), IO, NOMEM. */
GY_CHECKED gy_status gy_ring_open(const char *path, struct gy_ring **ret, struct gy_err *err);
void gy_ring_close(struct gy_ring *r); /* unmaps; the file stays */
GY_DEFINE_AUTO(struct gy_ring *, gy_ring_close);
const unsigned char *gy_ring_boot(const struct gy_ring *r); /* 16 bytes */
uint32_t gy_ring_number(const struct gy_ring *r);

/* Producer: append one record (its seq is set here). false: no room. Does not block or allocate.
 * r->n_rows must fit a frame (gy_record_rows_fit). */
bool gy_ring_append(struct gy_ring *ring, struct gy_record *r);
/* Producer: would records of n_bytes in all, in frames of at most max_frame, fit now? */
bool gy_ring_has_room(struct gy_ring *ring, size_t n_bytes, size_t max_frame);

/* Consumer: the longest run of whole frames at the tail that lies in one piece, *ret_n bytes (0:
 * the ring is empty) with *ret_last_seq; valid until gy_ring_consume of exactly that run. */
const char *gy_ring_peek(struct gy_ring *ring, size_t *ret_n);
void gy_ring_consume(struct gy_ring *ring, size_t n);
/* Consumer of a ring that a dead process left: call fn with each good frame from tail to head.
 * Damaged places are skipped and counted. A failing fn ends the walk with its status. */
typedef gy_status (*gy_frame_fn)(void *ctx, const char *frame, size_t n, struct gy_err *err);
GY_CHECKED gy_status gy_ring_each(struct gy_ring *ring, gy_frame_fn fn, void *ctx,
                                  uint64_t *ret_bad, struct gy_err *err);

/* Any thread. */
size_t gy_ring_used(const struct gy_ring *ring); /* bytes waiting */
size_t gy_ring_capacity(const struct gy_ring *ring);

#endif
