/* SPDX-License-Identifier: Apache-2.0 */
/* gy_split: which row of a table goes into which part. Two kinds of answer:
 *  - by hash: a row's place depends on its key and the seed alone, never on its position or on the
 *    other rows, so a patient stays in one part when the table grows or is sorted, and every tool
 *    can repeat it: in Python
 *      int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8], "big") / 2**64
 *    lies in the part's interval. The last part has the lowest interval: with the parts train=.8,
 *    test=.2 test has what `gyre train` holds out with holdout .2 and the same seed.
 *  - by looking at all rows: parts of exact sizes (of each class too), groups kept together, or
 *    earlier before later. Deterministic by key and seed, not by position.
 * Pure; thread safe. */
#ifndef GY_DATA_SPLIT_H
#define GY_DATA_SPLIT_H

#include "base/str.h"

struct gy_hash; /* base/hash.h */

#define GY_SPLIT_MAX_PARTS 100
#define GY_SPLIT_MAX_CLASSES 10000

/* The first 8 bytes of SHA-256("<seed in decimal>\n<key>"), big-endian. Fails: NOMEM. */
GY_CHECKED gy_status gy_split_hash(uint64_t seed, struct gy_str key, uint64_t *ret,
                                   struct gy_err *err);
/* The same with a SHA-256 at hand, which starts anew afterwards. */
uint64_t gy_split_hash_with(struct gy_hash *sha256, uint64_t seed, struct gy_str key);
/* hash / 2^64 < share, without rounding. */
bool gy_split_below(uint64_t hash, double share);

struct gy_split_part {
    struct gy_str name; /* letters, digits, '_', '-', '.' */
    double share;       /* of 1 */
};
/* "train=.7,valid=.15,test=.15"; names are views into text. Shares add up to 1 (within 1e-6; they
 * are made to). Fails: INVALID. */
GY_CHECKED gy_status gy_split_parse_parts(struct gy_str text,
                                          struct gy_split_part out[GY_SPLIT_MAX_PARTS],
                                          size_t *ret_n, struct gy_err *err);
/* The part of a hash: intervals from the last part on. */
size_t gy_split_part_of(uint64_t hash, const struct gy_split_part *parts, size_t n);

/* What is known of n rows. */
struct gy_split_table {
    size_t n;
    const uint64_t *order;   /* hash of each row's key: the order in which parts are filled */
    const uint64_t *group;   /* hash of what must stay together; NULL: nothing */
    const uint32_t *classes; /* below n_classes each; NULL: one class */
    size_t n_classes;
    const double *time; /* NULL: none */
};
/* out[row]: the part. Sizes are exact: each part has its share of the rows and of each class, up to
 * one row. Fails: NOMEM. */
GY_CHECKED gy_status gy_split_exact(const struct gy_split_table *t,
                                    const struct gy_split_part *parts, size_t n_parts, uint8_t *out,
                                    struct gy_err *err);
/* Groups are dealt out whole, the largest first, each to the part whose shares of the classes it
 * disturbs least. Fails: NOMEM. */
GY_CHECKED gy_status gy_split_groups(const struct gy_split_table *t,
                                     const struct gy_split_part *parts, size_t n_parts,
                                     uint8_t *out, struct gy_err *err);
/* Parts in the order of time; rows of the same time stay together, so each part ends before the
 * next one begins. Fails: INVALID (a part would be empty), NOMEM. */
GY_CHECKED gy_status gy_split_times(const struct gy_split_table *t,
                                    const struct gy_split_part *parts, size_t n_parts, uint8_t *out,
                                    struct gy_err *err);
/* How many different keys have rows in more than one part. Fails: NOMEM. */
GY_CHECKED gy_status gy_split_shared(const uint64_t *keys, const uint8_t *parts, size_t n,
                                     size_t *ret, struct gy_err *err);

#endif
