/* SPDX-License-Identifier: Apache-2.0 */
/* schema.yaml from anywhere: what is read is written, and what is written is read as the same, as
 * YAML and as JSON; it differs from itself in nothing. */
#include <stdint.h>
#include <stdlib.h>

#include "data/schema_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const struct gy_schema *s, struct gy_str text, struct gy_str json)
{
    struct gy_schema *again = NULL;
    struct gy_schema_change *changes = NULL;
    struct gy_buf out;
    struct gy_arena arena;
    size_t n = 0;
    gy_arena_init(&arena, 16 * GY_MIB);
    gy_buf_init(&out, 64 * GY_MIB);
    if (gy_schema_parse(text, "again", &again, NULL) != GY_OK ||
        gy_schema_diff(s, again, &arena, &changes, &n, NULL) != GY_OK || n != 0) {
        abort();
    }
    gy_schema_json(again, &out);
    if (!gy_str_eq(gy_buf_str(&out), json)) {
        abort();
    }
    gy_schema_free(again);
    gy_arena_done(&arena);
    gy_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_schema *s = NULL;
    if (gy_schema_parse(gy_str_n((const char *)data, size), "fuzz", &s, NULL) != GY_OK) {
        return 0;
    }
    struct gy_buf yaml, json;
    gy_buf_init(&yaml, 64 * GY_MIB);
    gy_buf_init(&json, 64 * GY_MIB);
    gy_schema_yaml(s, &yaml);
    gy_schema_json(s, &json);
    if (gy_buf_check(&yaml, "yaml", NULL) != GY_OK || gy_buf_check(&json, "json", NULL) != GY_OK) {
        abort();
    }
    read_again(s, gy_buf_str(&yaml), gy_buf_str(&json));
    read_again(s, gy_buf_str(&json), gy_buf_str(&json));
    gy_schema_free(s);
    gy_buf_done(&yaml);
    gy_buf_done(&json);
    return 0;
}
