/* SPDX-License-Identifier: Apache-2.0 */
/* gy_secret: a password or a token on its way. A type of its own, so that no log field, error text
 * or JSON writer takes one by accident: they all want a gy_str, and only gy_secret_reveal, which is
 * easy to search for, makes one. A view; it owns nothing. */
#ifndef GY_BASE_SECRET_H
#define GY_BASE_SECRET_H

#include "base/str.h"

struct gy_secret {
    struct gy_str hidden;
};

static inline struct gy_secret gy_secret_of(struct gy_str s)
{
    return (struct gy_secret){s};
}
static inline struct gy_str gy_secret_reveal(struct gy_secret s)
{
    return s.hidden;
}

#endif
