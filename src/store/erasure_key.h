/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a home's erasures, in erasures/key: with its first half subject ids are hashed, so
 * that what is written down about an erasure does not keep the id; with its second half (Ed25519)
 * gaps in the prediction log and entries of the ledger are signed. Made once; readable by its owner
 * alone. Whoever holds it can test whether an id was erased, so it is kept as the data itself was.
 * Values only; any thread. */
#ifndef GY_STORE_ERASURE_KEY_H
#define GY_STORE_ERASURE_KEY_H

#include "base/str.h"

#define GY_ERASURE_KEY_FILE "key"
#define GY_ERASURE_HASH 32 /* bytes of a keyed hash */
#define GY_ERASURE_HASH_HEX 65
#define GY_ERASURE_PUBLIC 32
#define GY_ERASURE_SIGNATURE 64

struct gy_erasure_key {
    unsigned char hash_key[32];
    unsigned char public_key[GY_ERASURE_PUBLIC];
    unsigned char secret[64]; /* zeros: it can check signatures, not make them */
};

/* Read FOLDER/key; make: write a new one where there is none. Fails: NOTFOUND (make false),
 * CORRUPT, IO, DENIED. */
GY_CHECKED gy_status gy_erasure_key_open(const char *folder, bool make, struct gy_erasure_key *ret,
                                         struct gy_err *err);
/* Write it to another folder (an archive, a restored home); what stands there already must be the
 * same. Fails: CONFLICT, IO. */
GY_CHECKED gy_status gy_erasure_key_copy(const struct gy_erasure_key *k, const char *folder,
                                         struct gy_err *err);
void gy_erasure_hash(const struct gy_erasure_key *k, struct gy_str text,
                     unsigned char out[GY_ERASURE_HASH]);
void gy_erasure_sign(const struct gy_erasure_key *k, struct gy_str text,
                     unsigned char out[GY_ERASURE_SIGNATURE]);
bool gy_erasure_signed(const unsigned char public_key[GY_ERASURE_PUBLIC], struct gy_str text,
                       const unsigned char signature[GY_ERASURE_SIGNATURE]);

#endif
