/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG files made in memory, by libpng's and libjpeg's writers. A sample's value follows
 * from its place (picture_sample), so that a reader's result can be checked. */
#ifndef GY_TESTS_PICTURES_H
#define GY_TESTS_PICTURES_H

#include "base/buf.h"

struct picture {
    int width, height;
    int channels; /* 1 grey, 2 grey and alpha, 3, 4; JPEG: 1, 3, or 4 inks */
    int bits;     /* PNG: 1, 2, 4 (of one channel), 8, 16; 0: 8 */
    bool palette; /* PNG: of 3 channels, or 4 with transparency; 16 colours */
    bool interlaced;
    bool progressive; /* JPEG */
    bool separate;    /* JPEG: a scan for each component */
};

/* A smooth slope, so that JPEG keeps it nearly. */
uint8_t picture_sample(const struct picture *p, int x, int y, int channel);
void picture_png(const struct picture *p, struct gy_buf *out);
void picture_jpeg(const struct picture *p, struct gy_buf *out);

#endif
