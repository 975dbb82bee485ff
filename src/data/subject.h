/* SPDX-License-Identifier: Apache-2.0 */
/* Recognising one person. A subject is known by an id, or (when a restored backup is brought up to
 * date) only by the keyed hash of one; both ways find the same.
 *
 *  - As a value (a field of a table, a member of an object, a request id) the id counts when it is
 *    the whole value, blanks around it aside. A decimal integer equals its forms with a ".0":
 *    "42" is "42.0". Other texts are compared byte by byte: "007" is not "7".
 *  - In free text the id counts where it stands as words of its own (letters, digits and bytes
 *    beyond ASCII make words), and only when it can hardly be anything else: at least 4 bytes with
 *    both a letter and a digit, or 12 with something that is no digit. So 42 is never found in a
 *    text, and P-8f3k is found in "visit/P-8f3k/2" but not in "P-8f3kz".
 *
 * Values only; nothing here is shared. A match keeps views of what it was made from. */
#ifndef GY_DATA_SUBJECT_H
#define GY_DATA_SUBJECT_H

#include "base/buf.h"
#include "store/erasure_key.h"

#define GY_SUBJECT_MAX_ID 512
#define GY_SUBJECT_MAX_HASHES 1000000
#define GY_SUBJECT_MAX_WORDS 8 /* of an id within a text, where only its hash is known */

struct gy_subject {
    struct gy_str id;                 /* canonical; absent: by hash */
    const struct gy_erasure_key *key; /* of the hashes */
    const unsigned char (*hashes)[GY_ERASURE_HASH];
    size_t n_hashes; /* sorted bytewise */
};

/* As ids are compared and hashed: without blanks around it, integers without ".0". A view of text.
 */
struct gy_str gy_subject_canonical(struct gy_str text);
/* Fails: INVALID (empty, too long, control characters). */
GY_CHECKED gy_status gy_subject_init(struct gy_subject *s, struct gy_str id, struct gy_err *err);
/* Sorts the hashes. */
void gy_subject_init_hashes(struct gy_subject *s, const struct gy_erasure_key *key,
                            unsigned char (*hashes)[GY_ERASURE_HASH], size_t n);

bool gy_subject_is(const struct gy_subject *s, struct gy_str value);
bool gy_subject_is_number(const struct gy_subject *s, double value);
/* The first place in a text where it stands (see above). at and n MAY be NULL. */
bool gy_subject_named(const struct gy_subject *s, struct gy_str text, size_t *ret_at,
                      size_t *ret_n);
/* The same, and a text that is the id alone counts whatever the id: for texts that are meant to be
 * ids, such as that of a request. */
bool gy_subject_in(const struct gy_subject *s, struct gy_str text, size_t *ret_at, size_t *ret_n);
/* Can it be found in free text at all? Of hashes nobody knows: true. */
bool gy_subject_is_telling(const struct gy_subject *s);
/* Append text with every place where it is named replaced by "[erased]". */
void gy_subject_blank(const struct gy_subject *s, struct gy_str text, struct gy_buf *out);

#endif
