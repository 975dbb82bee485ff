/* SPDX-License-Identifier: Apache-2.0 */
/* A recipe of made rows in any bytes: refused with a reason, or its schema can be told and its
 * distributions stay within their bounds. */
#include <math.h>

#include "data/synth_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct gy_made_column *c)
{
    for (int i = 0; i < 16; i++) {
        double v = gy_made_at(c, (i + 0.5) / 16);
        GY_REQUIRE(isnan(v) || c->kind == GY_MADE_CHOICE || !(v < c->low) || isinf(v));
        GY_REQUIRE(isnan(v) || c->kind == GY_MADE_CHOICE || !(v > c->high) || isinf(v));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_made_table_free) struct gy_made_table *t = NULL;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    struct gy_made_options o = {0};
    struct gy_err err = GY_ERR_INIT;
    if (gy_made_from_spec(gy_str_n((const char *)data, size), "spec", &t, &o, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        look_at(&t->columns[i]);
    }
    GY_REQUIRE(gy_made_schema(t, &schema, &err) == GY_OK || err.msg[0]);
    return 0;
}
