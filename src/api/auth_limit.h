/* SPDX-License-Identifier: Apache-2.0 */
/* gy_auth_limit: how often somebody may try: counts of failed logins by a key (user and peer, or
 * peer alone) in a bounded table. When it is full, the key whose window began first is forgotten.
 * Thread safe. */
#ifndef GY_API_AUTH_LIMIT_H
#define GY_API_AUTH_LIMIT_H

#include "base/str.h"

#define GY_AUTH_WINDOW_US ((int64_t)60 * 1000000)
#define GY_AUTH_USER_FAILS 10   /* wrong passwords a window of one user from one peer */
#define GY_AUTH_PEER_FAILS 100  /* of one peer, whatever the user */
#define GY_AUTH_LIMIT_KEYS 2048 /* remembered */

struct gy_auth_limit;
GY_CHECKED gy_status gy_auth_limit_new(struct gy_auth_limit **ret, struct gy_err *err);
void gy_auth_limit_free(struct gy_auth_limit *l);
GY_DEFINE_AUTO(struct gy_auth_limit *, gy_auth_limit_free);

/* False: too many failures lately. */
bool gy_auth_limit_allows(struct gy_auth_limit *l, struct gy_str user, struct gy_str peer,
                          int64_t now_us);
void gy_auth_limit_failed(struct gy_auth_limit *l, struct gy_str user, struct gy_str peer,
                          int64_t now_us);
void gy_auth_limit_succeeded(struct gy_auth_limit *l, struct gy_str user, struct gy_str peer);

#endif
