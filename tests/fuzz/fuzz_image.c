/* SPDX-License-Identifier: Apache-2.0 */
/* Image files from outside: header, verification and decoding agree on what the image is; pixels
 * are there exactly when it decodes; nothing stays in memory. The first byte chooses the channels.
 * PNG checksums are made right first, else hardly any input would come past them. */
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"
#include "data/image.h"

#define MOST_INPUT 65536
#define MOST_PIXELS 1000000 /* a header of few bytes may claim many: too slow to look at here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_checksums(uint8_t *p, size_t n)
{
    size_t at = 8;
    while (at + 12 <= n) {
        size_t length =
            (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
        if (length > n - at - 12) {
            break;
        }
        unsigned long sum = crc32(0, p + at + 4, (unsigned)length + 4);
        for (int i = 0; i < 4; i++) {
            p[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        }
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MOST_INPUT) {
        return 0;
    }
    int64_t live = gy_mem_live();
    uint8_t *copy = gy_malloc(size);
    if (!copy) {
        return 0;
    }
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 0x80) {
        mend_checksums(copy, size - 1);
    }
    struct gy_str bytes = gy_str_n((const char *)copy, size - 1);
    struct gy_image_info head, info;
    gy_status read = gy_image_info(bytes, &head, NULL);
    if (read != GY_OK || (int64_t)head.width * head.height <= MOST_PIXELS) {
        struct gy_image image = {0};
        int channels = data[0] % 5;
        gy_status verified = gy_image_verify(bytes, &info, NULL);
        gy_status decoded = gy_image_decode(bytes, channels, &image, NULL);
        if (verified != decoded || (verified == GY_OK && read != GY_OK) ||
            (decoded == GY_OK) != (image.pixels != NULL)) {
            abort();
        }
        if (decoded == GY_OK && (memcmp(&head, &info, sizeof head) != 0 ||
                                 image.width != head.width || image.height != head.height ||
                                 image.channels != (channels ? channels : head.channels))) {
            abort();
        }
        gy_image_done(&image);
    }
    gy_free(copy);
    if (gy_mem_live() != live) {
        abort();
    }
    return 0;
}
