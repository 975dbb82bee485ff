/* SPDX-License-Identifier: Apache-2.0 */
/* The items of gy_jsonrec as text, and what must hold of them for any bytes: they tile the file,
 * and do not depend on how the bytes arrive. Shared by the unit test and the fuzz target. */
#ifndef GY_TESTS_JSON_ITEMS_H
#define GY_TESTS_JSON_ITEMS_H

#include "csv_oracle.h"
#include "data/jsonrec.h"

/* Items, one after the other: kind (R or B), fault, offset+size, raw. *ret_tiles: offsets and sizes
 * add up to the bytes, contents lie inside, rows count up. */
static inline gy_status json_items(struct gy_str bytes, enum gy_jsonrec_shape shape, size_t step,
                                   size_t chunk, size_t max, struct gy_buf *out, bool *ret_tiles)
{
    struct slow_reader in = slow_reader(bytes, step);
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *j = NULL;
    const struct gy_jsonrec_options o = {shape, max, chunk};
    GY_TRY(gy_jsonrec_open(&in.reader, &o, &j, NULL));
    int64_t at = 0, rows = 0;
    *ret_tiles = true;
    for (;;) {
        struct gy_csv_item it;
        bool more = false;
        GY_TRY(gy_jsonrec_next(j, &it, &more, NULL));
        if (!more) {
            *ret_tiles = *ret_tiles && at == (int64_t)bytes.n;
            gy_buf_addc(out, gy_jsonrec_unclosed(j) ? "~" : "");
            return GY_OK;
        }
        *ret_tiles = *ret_tiles && it.offset == at && it.size_bytes > 0 &&
                     it.skip + it.length <= it.size_bytes &&
                     it.row == (it.kind == GY_CSV_RECORD ? rows : -1);
        rows += it.kind == GY_CSV_RECORD;
        at += it.size_bytes;
        if (it.raw.p) { /* raw is what stands there */
            *ret_tiles = *ret_tiles && it.raw.n == (size_t)it.length && it.raw.n <= max &&
                         memcmp(it.raw.p, bytes.p + it.offset + it.skip, it.raw.n) == 0;
        }
        gy_buf_addf(out, "%c%c %lld+%lld[%.*s]", "HRB"[it.kind], "-QTS"[it.fault],
                    (long long)it.offset, (long long)it.size_bytes, (int)it.raw.n,
                    it.raw.p ? it.raw.p : "");
    }
}

/* True when the properties do not hold. */
static inline bool json_differs(struct gy_str bytes, enum gy_jsonrec_shape shape, size_t step,
                                size_t chunk, size_t max)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a, b;
    bool tiles_a = true, tiles_b = true;
    gy_buf_init(&a, GY_GIB);
    gy_buf_init(&b, GY_GIB);
    gy_status whole = json_items(bytes, shape, 0, GY_MIB, max, &a, &tiles_a);
    gy_status pieces = json_items(bytes, shape, step, chunk, max, &b, &tiles_b);
    return whole != pieces ||
           (whole == GY_OK && (!tiles_a || !tiles_b || a.n != b.n || memcmp(a.p, b.p, a.n) != 0));
}

#endif
