/* SPDX-License-Identifier: Apache-2.0 */
/* The objects below a prefix of a bucket as sources of records, one each, in the order of their
 * keys (bytewise, as S3 lists). An object is read in blocks of GY_SOURCE_S3_BLOCK, each asked for
 * by the ETag of the listing, so that memory is bounded and all bytes are of one content: one that
 * was replaced meanwhile is CONFLICT, one that vanished NOTFOUND. Blocks that fail are tried again
 * (net/s3.h). Which objects are data, and how they are packed, their names tell, as of files. */
#ifndef GY_DATA_SOURCE_S3_H
#define GY_DATA_SOURCE_S3_H

#include "data/source.h"
#include "net/s3.h"

#define GY_SOURCE_S3_BLOCK (4 * GY_MIB)

/* "s3://bucket/prefix": split, the prefix "" or as it stands there. Fails: INVALID. */
GY_CHECKED gy_status gy_source_s3_parse(const char *url, char ret_bucket[64],
                                        char ret_prefix[GY_S3_MAX_NAME], struct gy_err *err);

/* Which objects are taken: asked for each that is a data file; MAY be NULL (all). *ret_take false:
 * it is passed over. */
typedef gy_status (*gy_source_s3_pick_fn)(void *ctx, const struct gy_s3_object *o, bool *ret_take,
                                          struct gy_err *err);

/* List, and add a source for each data object; s3 must outlive the sources. Names that begin with
 * '.' or '_' (in any part below the prefix), keys that end in '/', and other files are passed over,
 * unless the prefix is the key itself. *ret_n_data counts what is data, taken or not. Fails:
 * NOTFOUND (no data below it, or no bucket), TOOBIG, as pick, as net/s3.h. */
GY_CHECKED gy_status gy_source_list_add_s3(struct gy_source_list *l, struct gy_s3 *s3,
                                           const char *bucket, const char *prefix,
                                           gy_source_s3_pick_fn pick, void *pick_ctx,
                                           int64_t *ret_n_data, struct gy_err *err);

#endif
