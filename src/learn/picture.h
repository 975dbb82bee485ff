/* SPDX-License-Identifier: Apache-2.0 */
/* gy_picture: an image file as the cells of an input, the same way in training and at serving; and
 * the changes that make more pictures of the training rows. Pure functions, thread safe, the same
 * numbers on every machine.
 *
 * Cell (y * width + x) * channels + c is a sample of channel c, from 0 (black) to 255; resized ones
 * have fractions. */
#ifndef GY_LEARN_PICTURE_H
#define GY_LEARN_PICTURE_H

#include <stdint.h>

#include "base/str.h"

#define GY_PICTURE_MAX_SIDE 1024 /* of what comes out; data/image.h bounds what goes in */

struct gy_picture_shape {
    int width, height;
    int channels; /* 1 grey (ITU-R 601 weights), 3 red green blue */
};

static inline size_t gy_picture_cells(const struct gy_picture_shape *s)
{
    return (size_t)s->width * (size_t)s->height * (size_t)s->channels;
}

/* Decode a PNG or JPEG, drop its alpha, make it grey or coloured, resize, and write the cells.
 * Fails: PARSE (no image), TOOBIG, INVALID (the shape), NOMEM. */
GY_CHECKED gy_status gy_picture_read(struct gy_str bytes, const struct gy_picture_shape *shape,
                                     double *cells, struct gy_err *err);

/* Resize height x width x channels samples of 8 bits. An axis that shrinks (or stays) becomes the
 * mean over the part of the picture that each new pixel covers; one that grows is interpolated
 * between the two nearest pixel centres. Fails: NOMEM. */
GY_CHECKED gy_status gy_picture_resize(const uint8_t *pixels, int width, int height,
                                       const struct gy_picture_shape *shape, double *cells,
                                       struct gy_err *err);

/* What may happen to a picture of the training rows, drawn for (seed, epoch, row). */
enum gy_augment {
    GY_AUGMENT_FLIP = 1,   /* left-right and up-down, each in half of the cases */
    GY_AUGMENT_ROTATE = 2, /* 0, 90, 180 or 270 degrees; a picture that is no square: 0 or 180 */
    GY_AUGMENT_SHIFT = 4   /* by up to a tenth of a side (at least 1 pixel), the edge repeated */
};
/* out must not be in. */
void gy_picture_augment(unsigned how, const struct gy_picture_shape *shape, uint64_t seed,
                        uint64_t epoch, uint64_t row, const double *in, double *out);

#endif
