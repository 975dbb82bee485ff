/* SPDX-License-Identifier: Apache-2.0 */
/* Every span lies within the source, and every scalar, written by gy_yaml_add_scalar, reads back as
 * the same string. */
#include "base/limits.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct gy_yaml *y, const struct gy_yaml_node *n, size_t *budget)
{
    if (*budget == 0) {
        return;
    }
    --*budget;
    size_t source_n = gy_yaml_source(y).n;
    GY_REQUIRE(n->offset <= source_n && n->length <= source_n - n->offset);
    if (n->kind == GY_YAML_SEQ || n->kind == GY_YAML_MAP) {
        for (size_t i = 0; i < n->n_items; i++) {
            check(y, &n->items[i], budget);
        }
        return;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    gy_buf_addc(&text, "k: ");
    gy_yaml_add_scalar(&text, n->text);
    GY_AUTO(gy_yaml_free) struct gy_yaml *again = NULL;
    struct gy_err err = GY_ERR_INIT;
    GY_REQUIRE(gy_yaml_parse(gy_buf_str(&text), "again", &again, &err) == GY_OK);
    const struct gy_yaml_node *back = gy_yaml_get(gy_yaml_root(again), "k");
    GY_REQUIRE(back && back->kind == GY_YAML_STR && gy_str_eq(back->text, n->text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_yaml_parse(gy_str_n((const char *)data, size), "fuzz", &y, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return 0;
    }
    size_t budget = 200;
    if (gy_yaml_root(y)) {
        check(y, gy_yaml_root(y), &budget);
    }
    return 0;
}
