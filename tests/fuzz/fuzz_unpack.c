/* SPDX-License-Identifier: Apache-2.0 */
/* Packed bytes from outside: unpacking ends, in bounded memory, and does not depend on how the
 * bytes arrive; what fails one way fails the other. The first byte of an input chooses the pieces.
 */
#include <stdlib.h>

#include "../unit/data/csv_oracle.h"
#include "base/hash.h"
#include "data/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_OUT (8 * GY_MIB) /* a small input may hold gigabytes */

static gy_status unpack(struct gy_str bytes, size_t step, size_t room, struct gy_buf *out)
{
    struct slow_reader in = slow_reader(bytes, step);
    GY_AUTO(gy_unpack_free) struct gy_unpack *u = NULL;
    GY_TRY(gy_unpack_new(&in.reader, "x", &u, NULL));
    struct gy_reader *r = gy_unpack_reader(u);
    while (out->n < MAX_OUT) {
        char piece[8192];
        size_t want = MAX_OUT - out->n < room ? MAX_OUT - out->n : room, got = 0;
        GY_TRY(r->read(r, piece, want, &got, NULL));
        if (got == 0) {
            return GY_OK;
        }
        gy_buf_add_bytes(out, piece, got);
    }
    return GY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct gy_str bytes = gy_str_n((const char *)data + 1, size - 1);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf one, other;
    gy_buf_init(&one, MAX_OUT);
    gy_buf_init(&other, MAX_OUT);
    gy_status first = unpack(bytes, 1 + data[0] % 16U, 1 + data[0] / 16U * 97U, &one);
    gy_status second = unpack(bytes, 0, 8192, &other);
    /* Near the end of what is looked at, one of them may see damage that the other does not. */
    bool cut = one.n > MAX_OUT - 8192 || other.n > MAX_OUT - 8192;
    if (!cut && (first != second ||
                 (first == GY_OK && (one.n != other.n || memcmp(one.p, other.p, one.n) != 0)))) {
        abort();
    }
    return 0;
}
