/* SPDX-License-Identifier: Apache-2.0 */
/* Taking rows of a person out of the prediction log. A record all of whose rows go becomes a gap: a
 * frame of the same length, number and prediction id in which everything else is zeros, so that
 * offsets, indexes and places of readers stay right and nothing is counted as lost. Of a record
 * that keeps some rows, the values of the others become GY_GAP_VALUE. At the end of the segment a
 * note says what was taken out and is signed with the home's key:
 *   note body: public key (32), signature (64), then an item for each record: seq u64, first row
 *   u32, rows u32; the signature is over "gyre gap 1", the segment's header, the erasure (16), the
 *   time (8) and the items.
 * A segment is replaced as a whole: it is as it was, or erased. Only for sealed segments
 * (gy_predlog_rotate). Not thread safe. */
#ifndef GY_SERVE_GAP_H
#define GY_SERVE_GAP_H

#include "serve/predlog.h"
#include "store/erasure_key.h"

/* What stands for a value of an erased row: a NaN that no computation makes. */
extern const double gy_gap_value;
bool gy_gap_is_value(double v);
/* Was this row of a record that keeps others erased? */
bool gy_gap_row(const struct gy_record *r, uint32_t row);

/* CONFLICT when these parts of a prediction (gy_predlog_find) were erased as a whole. */
GY_CHECKED gy_status gy_gap_refuse(const struct gy_record *parts, size_t n, struct gy_err *err);

struct gy_gap_order {
    unsigned char erasure[16];
    int64_t now_us;
    const struct gy_erasure_key *key;
    /* Does this row go? */
    bool (*row)(void *ctx, const struct gy_record *r, uint32_t row);
    /* Do these bytes of a damaged place? MAY be NULL: none do. */
    bool (*damage)(void *ctx, struct gy_str bytes);
    void *ctx;
};
struct gy_gap_result {
    int64_t segments, records, rows; /* with something erased; records whole or in part */
    int64_t damaged;                 /* places that held it and became zeros */
};
/* Rewrite one sealed segment, when it holds such rows. Adds to ret. order->now_us 0: only count.
 * Fails: CORRUPT, IO, NOSPACE, NOMEM. */
GY_CHECKED gy_status gy_segment_erase(const char *path, const struct gy_gap_order *order,
                                      struct gy_gap_result *ret, struct gy_err *err);

struct gy_gap_check {
    int64_t gaps, rows, notes;
    int64_t unsigned_gaps; /* gaps that no good note tells of */
    int64_t bad_notes;     /* their signature is not by this key, or does not hold */
};
/* Hold gaps against notes. Adds to ret. */
GY_CHECKED gy_status gy_segment_check_gaps(const char *path,
                                           const unsigned char public_key[GY_ERASURE_PUBLIC],
                                           struct gy_gap_check *ret, struct gy_err *err);

/* Over all segments of a log folder; live: the open log of this process, which is made to seal what
 * it has first; what it begins meanwhile is left for another call. A segment that can not be read
 * at all is told to the log and passed over. progress MAY be NULL. */
typedef gy_status (*gy_gap_progress)(void *ctx, int64_t done, int64_t total, struct gy_err *err);
GY_CHECKED gy_status gy_predlog_erase(struct gy_predlog *live, const char *dir,
                                      const struct gy_gap_order *order, gy_gap_progress progress,
                                      void *ctx, struct gy_gap_result *ret, struct gy_err *err);
GY_CHECKED gy_status gy_predlog_check_gaps(const char *dir,
                                           const unsigned char public_key[GY_ERASURE_PUBLIC],
                                           struct gy_gap_check *ret, struct gy_err *err);

#endif
