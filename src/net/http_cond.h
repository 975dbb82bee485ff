/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says about the form in which it wants a thing that is known: which part of it
 * (RFC 9110, 14), only if it is, or is not, one that the client has (13), and packed how (12.5.3).
 * Pure functions over header values from outside: no memory, no failure; what can not be understood
 * counts as not said, as the RFC asks. Any thread. */
#ifndef GY_NET_HTTP_COND_H
#define GY_NET_HTTP_COND_H

#include "base/str.h"

enum gy_range {
    GY_RANGE_WHOLE,  /* no range, several, another unit, or not understood */
    GY_RANGE_PART,   /* *ret_first and *ret_n hold, with *ret_n >= 1 */
    GY_RANGE_BEYOND, /* nothing of it lies within the size: 416 */
};
/* value: of the header Range, absent when there is none. */
enum gy_range gy_range_parse(struct gy_str value, int64_t size_bytes, int64_t *ret_first,
                             int64_t *ret_n);

/* Does a list of entity tags ("*", or "a", W/"b") name etag, which is given without quotes? The
 * weak comparison of If-None-Match takes W/ too, the strong one of If-Match and If-Range does not.
 */
bool gy_etag_in(struct gy_str list, struct gy_str etag, bool weak);

/* Does Accept-Encoding allow gzip, or deflate (which is zlib's form)? */
bool gy_accepts_gzip(struct gy_str accept_encoding);
bool gy_accepts_deflate(struct gy_str accept_encoding);

#endif
