/* SPDX-License-Identifier: Apache-2.0 */
/* A size and three header values (a line each): Range, a list of entity tags, Accept-Encoding. A
 * part must lie within the file; a list that names a tag strongly names it weakly too. */
#include "base/limits.h"
#include "net/file_answer.h"
#include "net/http_cond.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_str rest = gy_str_n((const char *)data, size), line, range, tags;
    int64_t file = 0, first = -1, n = -1;
    if (!gy_str_next(&rest, '\n', &line) ||
        gy_parse_i64(line, 0, INT64_MAX, &file, NULL) != GY_OK) {
        file = (int64_t)size;
    }
    range = tags = GY_STR_NULL;
    (void)gy_str_next(&rest, '\n', &range); /* absent ones are values too */
    (void)gy_str_next(&rest, '\n', &tags);
    switch (gy_range_parse(range, file, &first, &n)) {
    case GY_RANGE_PART:
        GY_REQUIRE(first >= 0 && n >= 1 && first <= file - n);
        break;
    case GY_RANGE_WHOLE:
    case GY_RANGE_BEYOND:
        GY_REQUIRE(first == -1 && n == -1);
        break;
    }
    bool strong = gy_etag_in(tags, GY_STR("abc"), false);
    GY_REQUIRE(!strong || gy_etag_in(tags, GY_STR("abc"), true));
    (void)gy_accepts_gzip(rest);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 4 * size + GY_KIB); /* each byte is once plain and once %XX */
    gy_attachment(&out, rest.p ? rest : GY_STR(""));
    GY_REQUIRE(out.failed == GY_OK);
    for (size_t i = 0; i < out.n; i++) {
        GY_REQUIRE((unsigned char)out.p[i] >= 0x20 && (unsigned char)out.p[i] < 0x7f);
    }
    return 0;
}
