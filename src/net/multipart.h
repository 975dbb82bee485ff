/* SPDX-License-Identifier: Apache-2.0 */
/* gy_multipart: the parts of a multipart/form-data body (RFC 7578, RFC 2046), one after the other,
 * as they arrive: what a browser's form and curl -F send. Memory is one buffer, whatever the parts'
 * sizes. A body that ends before its last boundary is an error, never the end of a part. Not thread
 * safe; one owner. Lifecycle: gy_multipart_open -> (gy_multipart_next -> reading part.body)* ->
 * gy_multipart_free. */
#ifndef GY_NET_MULTIPART_H
#define GY_NET_MULTIPART_H

#include "net/call.h"

#define GY_MULTIPART_MAX_PARTS 16
#define GY_MULTIPART_MAX_HEAD ((size_t)8192) /* the header lines of a part */
#define GY_MULTIPART_MAX_BOUNDARY 70         /* RFC 2046, 5.1.1 */

struct gy_multipart;

struct gy_part {
    struct gy_str name, filename, content_type; /* absent when it does not say; views until next */
    struct gy_reader *body;                     /* until next; read or not */
};

/* Is this a Content-Type of multipart/form-data? */
bool gy_multipart_is(struct gy_str content_type);
/* in outlives it. Fails: INVALID (no boundary, or one that is none), NOMEM. */
GY_CHECKED gy_status gy_multipart_open(struct gy_reader *in, struct gy_str content_type,
                                       struct gy_multipart **ret, struct gy_err *err);
void gy_multipart_free(struct gy_multipart *m);
GY_DEFINE_AUTO(struct gy_multipart *, gy_multipart_free);
/* The next part, after what is left of the one before. *ret_more false behind the last one. Fails:
 * PARSE, TOOBIG (head, number of parts), and as in->read does. */
GY_CHECKED gy_status gy_multipart_next(struct gy_multipart *m, struct gy_part *ret, bool *ret_more,
                                       struct gy_err *err);

#endif
