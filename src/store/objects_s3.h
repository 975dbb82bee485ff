/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in a bucket: PREFIX/ab/cdef... An object's name is known only when all of it has come, so
 * a put is spooled to a local file first, then sent (in parts when it is large), then kept as the
 * local copy that readers open. Whole objects only are ever visible: a single PUT and the
 * completion of a multipart upload are atomic. What is read is checked against its name. */
#ifndef GY_STORE_OBJECTS_S3_H
#define GY_STORE_OBJECTS_S3_H

#include "net/s3.h"
#include "store/objects.h"

/* How young an object has to be for a put of the same to leave it alone: making it young is a copy
 * on the server. Also by how much an object's age is taken for less than it is. */
#define GY_OBJECTS_S3_YOUNG_US (INT64_C(3600) * 1000000)
#define GY_OBJECTS_S3_MAX_PREFIX 512

struct gy_objects_s3_options {
    const char *url;         /* "s3://bucket/prefix" */
    struct gy_s3_options s3; /* bucket is taken from the url */
    const char *cache_dir;   /* made when absent */
    int64_t cache_bytes;     /* 0: GY_OBJECT_CACHE_BYTES */
    int64_t young_us;        /* 0: GY_OBJECTS_S3_YOUNG_US; negative: always made young */
};

/* Asks the bucket once whether it can be used, and drops uploads of a day ago that were never
 * finished. Fails as gy_s3_open and gy_s3_check do. */
GY_CHECKED gy_status gy_objects_open_s3(const struct gy_objects_s3_options *o,
                                        struct gy_objects **ret, struct gy_err *err);

#endif
