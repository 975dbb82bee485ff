/* SPDX-License-Identifier: Apache-2.0 */
/* The Authorization header (RFC 9110 section 11.6.2): Basic (RFC 7617) and Bearer (RFC 6750). Pure;
 * what it reads comes from anybody, so this is what a fuzzer drives. */
#ifndef GY_NET_AUTHORIZATION_H
#define GY_NET_AUTHORIZATION_H

#include "base/secret.h"

#define GY_AUTHORIZATION_MAX 1024 /* bytes of the header's value */

struct gy_authorization {
    struct gy_str user; /* Basic; absent: Bearer */
    struct gy_secret secret;
};

/* value: the header's. room: where Basic is decoded; *ret are views into it and into value. Fails:
 * UNAUTHENTICATED (another scheme, not base64, no colon, control characters, too long); the text
 * never repeats any of it. */
GY_CHECKED gy_status gy_authorization_parse(struct gy_str value, char room[GY_AUTHORIZATION_MAX],
                                            struct gy_authorization *ret, struct gy_err *err);

#endif
