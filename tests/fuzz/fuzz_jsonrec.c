/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of JSON records: its items tile the file and do not depend on how the bytes arrive.
 * The first three bytes of an input choose shape and record limit, chunk size, and bytes a read. */
#include <stdlib.h>

#include "../unit/data/json_items.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    struct gy_str bytes = gy_str_n((const char *)data + 3, size - 3);
    enum gy_jsonrec_shape shape = data[0] & 1 ? GY_JSONREC_LINES : GY_JSONREC_ARRAY;
    size_t max = 1 + (data[0] >> 1) * (data[0] & 0x80 ? 64U : 1U);
    if (json_differs(bytes, shape, 1 + data[2] % 32, 1U + data[1], max)) {
        abort();
    }
    return 0;
}
