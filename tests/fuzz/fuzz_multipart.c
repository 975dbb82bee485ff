/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a form: the first line is the Content-Type, the rest the body, which arrives in
 * pieces of one to 64 bytes. However it arrives, the parts are the same, and no byte of them was
 * not in the body. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pieces {
    struct gy_reader reader;
    struct gy_str rest;
    size_t piece;
};

static gy_status read_piece(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                            struct gy_err *err)
{
    struct pieces *p = (struct pieces *)(void *)self;
    (void)err;
    size_t take = p->piece < n ? p->piece : n;
    take = take < p->rest.n ? take : p->rest.n;
    memcpy(buf, p->rest.p, take);
    p->rest = gy_str_sub(p->rest, take, SIZE_MAX);
    *ret_n = take;
    return GY_OK;
}

/* All that was found, as one text. */
static gy_status walk(struct gy_str type, struct gy_str body, size_t piece, struct gy_buf *out)
{
    GY_AUTO(gy_multipart_free) struct gy_multipart *m = NULL;
    struct pieces in = {
        .reader = {.read = read_piece, .size_bytes = -1}, .rest = body, .piece = piece};
    GY_TRY(gy_multipart_open(&in.reader, type, &m, NULL));
    for (;;) {
        struct gy_part part;
        bool more = false;
        GY_TRY(gy_multipart_next(m, &part, &more, NULL));
        if (!more) {
            return GY_OK;
        }
        gy_buf_addf(out, "[%zu %zu %zu]", part.name.n, part.filename.n, part.content_type.n);
        for (;;) {
            char buf[37];
            size_t n = 0;
            GY_TRY(part.body->read(part.body, buf, sizeof buf, &n, NULL));
            if (n == 0) {
                break;
            }
            gy_buf_add(out, gy_str_n(buf, n));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf one;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf other;
    struct gy_str type, body, all = gy_str_n((const char *)data, size);
    gy_buf_init(&one, 64 * GY_MIB);
    gy_buf_init(&other, 64 * GY_MIB);
    if (!gy_str_cut(all, '\n', &type, &body)) {
        return 0;
    }
    gy_status first = walk(type, body, 1, &one), second = walk(type, body, 64, &other);
    if (first != second || !gy_str_eq(gy_buf_str(&one), gy_buf_str(&other))) {
        fprintf(stderr, "%d %d: '%s' or '%s'\n", first, second, one.p, other.p);
        abort();
    }
    if (first == GY_OK && one.n > 2 * size + 64 * GY_MULTIPART_MAX_PARTS) {
        abort();
    }
    return 0;
}
