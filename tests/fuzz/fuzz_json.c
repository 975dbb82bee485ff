/* SPDX-License-Identifier: Apache-2.0 */
/* What parses is written again and must read back as the same text: the writer and the reader
 * agree. */
#include "base/json.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_json_parse(gy_str_n((const char *)data, size), &doc, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return 0;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf once;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf twice;
    struct gy_jw w;
    gy_buf_init(&once, GY_MAX_REPLY);
    gy_buf_init(&twice, GY_MAX_REPLY);
    gy_jw_init(&w, &once);
    gy_jw_val(&w, yyjson_doc_get_root(doc));
    GY_AUTO(gy_json_free) yyjson_doc *again = NULL;
    GY_REQUIRE(gy_json_parse(gy_buf_str(&once), &again, &err) == GY_OK);
    gy_jw_init(&w, &twice);
    gy_jw_val(&w, yyjson_doc_get_root(again));
    GY_REQUIRE(gy_str_eq(gy_buf_str(&once), gy_buf_str(&twice)));
    return 0;
}
