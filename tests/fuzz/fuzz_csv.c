/* SPDX-License-Identifier: Apache-2.0 */
/* The CSV reader: the sizes of its items add up to the file's size, the items do not depend on how
 * the bytes arrive, and they are those of the slow reading in tests/unit/data/csv_oracle.h. The
 * first two bytes of an input choose the record limit and the chunk size. */
#include <stdlib.h>

#include "../unit/data/csv_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct gy_str bytes = gy_str_n((const char *)data + 2, size - 2);
    size_t max = 1 + (data[0] & 0x7f) * (data[0] & 0x80 ? 64U : 1U);
    size_t chunk = 1 + data[1];
    size_t run = 1 + (data[0] ^ data[1]) * 3U;
    if (csv_more_differs(bytes, 0, chunk, max, run) || csv_more_differs(bytes, 1, 64, max, 4096) ||
        csv_differs(bytes, 0, chunk, max) || csv_differs(bytes, 1, 4096, max) ||
        csv_differs(bytes, 0, 65536, GY_MAX_CSV_RECORD)) {
        abort();
    }
    return 0;
}
