/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that name a reviewer to the review routes, where the connection does not (a browser over
 * loopback TCP is anonymous). `gyre review link` makes one and puts it into an address.
 *
 *   gyr1.<expiry, unix seconds>.<name, hex>.<HMAC-SHA256, hex>
 *
 * The key is a file of 32 random bytes in the home folder, 0600, made with the first token; without
 * it every token is void. Thread safe. */
#ifndef GY_WATCH_REVIEW_TOKEN_H
#define GY_WATCH_REVIEW_TOKEN_H

#include "base/arena.h"
#include "base/buf.h"

#define GY_REVIEW_TOKEN_MAX 1024                       /* bytes of a token */
#define GY_REVIEW_TOKEN_NAME 100                       /* bytes of a name */
#define GY_REVIEW_TOKEN_S ((int64_t)30 * 24 * 60 * 60) /* how long one is good at most */

/* Fails: INVALID (the name: 1..GY_REVIEW_TOKEN_NAME bytes of text, not "anonymous"), IO, NOMEM. */
GY_CHECKED gy_status gy_review_token_make(const char *key_path, struct gy_str name,
                                          int64_t expires_us, struct gy_arena *a,
                                          struct gy_str *ret, struct gy_err *err);
/* Whom a token names. Fails: UNAUTHENTICATED (not ours, changed, expired), IO, NOMEM. */
GY_CHECKED gy_status gy_review_token_check(const char *key_path, struct gy_str token,
                                           int64_t now_us, struct gy_arena *a,
                                           struct gy_str *ret_name, struct gy_err *err);

#endif
