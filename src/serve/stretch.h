/* SPDX-License-Identifier: Apache-2.0 */
/* gy_stretches: which lots (gy_infer_lot, [0, 2^53)) belong to which canary. What no stretch covers
 * is the stable version's.
 *
 * Shares are changed by moving as few lots as can be: a canary that grows takes from the stable
 * version, the lowest lots first; one that shrinks gives back its highest ones. So a sticky key
 * that a canary answers stays with it while any shares grow, and one canary alone always has [0,
 * share). Plain values; pure functions. */
#ifndef GY_SERVE_STRETCH_H
#define GY_SERVE_STRETCH_H

#include "base/json.h"

#define GY_CANARIES_MAX 8   /* versions beside the stable one that answer a share */
#define GY_STRETCHES_MAX 64 /* in more pieces the lots are dealt out anew */
#define GY_LOTS (UINT64_C(1) << 53)

struct gy_stretch {
    uint64_t from, to; /* to: not included */
    int64_t version;
};

struct gy_stretches {
    size_t n;
    struct gy_stretch at[GY_STRETCHES_MAX]; /* by from; they do not overlap */
};

struct gy_stretch_share {
    int64_t version;
    double share;
};

/* Give each version that share (they add up to at most 1, n <= GY_CANARIES_MAX); versions that are
 * not in the list lose what they have. */
void gy_stretches_weigh(struct gy_stretches *s, const struct gy_stretch_share *shares, size_t n);
/* Whose the lot is; 0: the stable version's. */
int64_t gy_stretches_version(const struct gy_stretches *s, uint64_t lot);

/* The stretches of one version as a list of [from, to), shares of all lots; nothing is written when
 * it has just the first lots, as a canary alone does. */
void gy_stretches_write(struct gy_jw *w, const struct gy_stretches *s, int64_t version);
/* Add what a frozen entry of `weights` says; without a list it has the first lots of its share.
 * Fails: CORRUPT (no such list, an overlap). */
GY_CHECKED gy_status gy_stretches_read(struct gy_stretches *s, yyjson_val *entry, int64_t version,
                                       double share, struct gy_err *err);

#endif
