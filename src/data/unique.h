/* SPDX-License-Identifier: Apache-2.0 */
/* gy_unique: a set of texts, exact (no false alarms), about 8 bytes a text beside the text itself.
 * For the columns of which no value may come twice. Ids that count up, in any order and with gaps,
 * cost a bit or few and no look-up: as long as they lie densely enough. Not thread safe; one owner.
 */
#ifndef GY_DATA_UNIQUE_H
#define GY_DATA_UNIQUE_H

#include "base/buf.h"
#include "base/limits.h"

#define GY_UNIQUE_MAX_BYTES (4 * GY_GIB) /* of all texts of one set */

struct gy_unique {
    struct gy_buf pool; /* length (7 bits a byte, low first) and bytes of each text */
    uint64_t *slots;    /* 24 bits of the hash over 40 bits of place + 1; 0: free */
    size_t n_slots, n_pooled, n;
    uint64_t seed;
    uint64_t *bits; /* of plain numbers from `first` on; those that are not there may be pooled */
    size_t n_words;
    int64_t first;  /* a multiple of 64 */
    int64_t number; /* the text that was asked for last; -1: not a plain number */
    uint64_t asked; /* hash of the text that was asked for last */
    size_t place;   /* its free slot */
};

/* Fails: IO (no random seed). */
GY_CHECKED gy_status gy_unique_init(struct gy_unique *u, struct gy_err *err);
void gy_unique_done(struct gy_unique *u);
/* A look-up in two steps, because the table is larger than the caches: ask starts to fetch the
 * place of text, has answers for the text that was asked last. */
void gy_unique_ask(struct gy_unique *u, struct gy_str text);
bool gy_unique_has(struct gy_unique *u, struct gy_str text);
/* Add text, which gy_unique_has has just told absent. Fails: NOMEM, TOOBIG; the set is unchanged
 * then. */
GY_CHECKED gy_status gy_unique_add(struct gy_unique *u, struct gy_str text, struct gy_err *err);

#endif
