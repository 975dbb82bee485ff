/* SPDX-License-Identifier: Apache-2.0 */
/* gy_image: PNG and JPEG files as 8-bit samples, decoded by libpng and libjpeg-turbo. Bytes from
 * outside: whatever they say, memory stays below the limits here, damage is an error and never a
 * crash. A file is whole only when all of it decodes: cut ones, and ones with broken checksums or
 * entropy data, are refused even where a viewer would show something. Pure functions, thread safe.
 *
 * Channels: 1 grey, 2 grey and alpha, 3 red green blue, 4 with alpha. A palette counts as what it
 * stands for (3, or 4 with transparency), 16 bits become 8, CMYK becomes 3. */
#ifndef GY_DATA_IMAGE_H
#define GY_DATA_IMAGE_H

#include "base/buf.h"
#include "base/limits.h"
#include "data/schema.h"

#define GY_IMAGE_MAX_BYTES (64 * GY_MIB)        /* of a file */
#define GY_IMAGE_MAX_SIDE GY_SCHEMA_MAX_SIDE    /* pixels */
#define GY_IMAGE_MAX_PIXELS (100 * 1000 * 1000) /* of one image */
#define GY_IMAGE_MAX_MEMORY (256 * GY_MIB)      /* of a decoder: a progressive JPEG is kept whole */
#define GY_IMAGE_MAX_SCANS 100                  /* of a progressive JPEG: each costs a pass */

enum gy_image_format { GY_IMAGE_PNG, GY_IMAGE_JPEG };

struct gy_image_info {
    enum gy_image_format format;
    int width, height, channels;
};

struct gy_image {
    int width, height, channels;
    uint8_t *pixels; /* height x width x channels, without gaps; gy_free */
};

/* From the header alone. Fails: PARSE (no PNG or JPEG, or its header is damaged), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_image_info(struct gy_str bytes, struct gy_image_info *ret,
                                   struct gy_err *err);
/* Decode all of it, keep nothing: a row at a time. Fails: as above, PARSE for any damage. */
GY_CHECKED gy_status gy_image_verify(struct gy_str bytes, struct gy_image_info *ret,
                                     struct gy_err *err);
/* Decode into channels (0: those of the file). Colours become grey by ITU-R 601 weights, grey
 * becomes three equal colours, alpha is dropped, or is 255 where there is none. On GY_OK
 * gy_image_done is due. Fails: as gy_image_verify; INVALID (channels). */
GY_CHECKED gy_status gy_image_decode(struct gy_str bytes, int channels, struct gy_image *ret,
                                     struct gy_err *err);
void gy_image_done(struct gy_image *image);
GY_DEFINE_AUTO_DONE(struct gy_image, gy_image_done);

/* What is wrong with a file that an image column names. */
enum gy_image_fault {
    GY_IMAGE_FINE,
    GY_IMAGE_NO_FILE, /* no relative path without "..", not there, or not for us to read */
    GY_IMAGE_BROKEN,  /* no PNG or JPEG that can be decoded */
    GY_IMAGE_SIZE     /* not the width, height or channels of the column */
};
/* Decode the file name in folder and compare it with the column. why: what is wrong is appended,
 * for people ("is ..."), unless FINE. Fails (the file was not judged): IO, NOMEM. */
GY_CHECKED gy_status gy_image_check(const char *folder, struct gy_str name,
                                    const struct gy_column *column, enum gy_image_fault *ret,
                                    struct gy_buf *why, struct gy_err *err);
/* Read such a file whole, to decode it. Fails: NOTFOUND (no regular file), INVALID (the name),
 * DENIED, IO, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_image_read(const char *folder, struct gy_str name, struct gy_buf *ret,
                                   struct gy_err *err);

#endif
