/* SPDX-License-Identifier: Apache-2.0 */
/* The XML of S3's answers: elements and text, nothing else. Strict and bounded: tags must match,
 * there is one root, no document type (and so no entities but the five of XML and numbers), at most
 * GY_S3_XML_DEPTH levels; attributes, comments, processing instructions are passed over. One pass,
 * no tree. Thread safe. */
#ifndef GY_NET_S3_XML_H
#define GY_NET_S3_XML_H

#include "base/buf.h"

#define GY_S3_XML_DEPTH 16
#define GY_S3_XML_PATH 512   /* bytes of the names of the open elements, with slashes */
#define GY_S3_XML_TEXT 65536 /* bytes of one element's text */

/* Called at each end tag. path: "ListBucketResult/Contents/Key"; text: what stood since the last
 * tag, decoded, blanks kept: of an element without children its content. */
typedef gy_status (*gy_s3_xml_fn)(void *ctx, struct gy_str path, struct gy_str text,
                                  struct gy_err *err);
/* Fails: PARSE with the place, TOOBIG (depth, path, text), or as fn does. */
GY_CHECKED gy_status gy_s3_xml_each(struct gy_str xml, gy_s3_xml_fn fn, void *ctx,
                                    struct gy_err *err);

#endif
