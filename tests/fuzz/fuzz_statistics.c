/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics from anywhere (a dataset of another server): refused, or read, written and read again
 * as the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "data/statistics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_statistics *s = NULL, *back = NULL;
    if (gy_statistics_parse(gy_str_n((const char *)data, size), &s, NULL) != GY_OK) {
        return 0;
    }
    struct gy_buf one, other;
    gy_buf_init(&one, GY_STATISTICS_MAX_BYTES);
    gy_buf_init(&other, GY_STATISTICS_MAX_BYTES);
    gy_statistics_json(s, &one);
    if (one.failed || gy_statistics_parse(gy_buf_str(&one), &back, NULL) != GY_OK) {
        abort();
    }
    gy_statistics_json(back, &other);
    if (!gy_str_eq(gy_buf_str(&one), gy_buf_str(&other))) {
        abort();
    }
    gy_buf_done(&one);
    gy_buf_done(&other);
    gy_statistics_free(s);
    gy_statistics_free(back);
    return 0;
}
