/* SPDX-License-Identifier: Apache-2.0 */
/* What changed from one schema to another, and whether data that was good may be refused now. */
#ifndef GY_DATA_SCHEMA_DIFF_H
#define GY_DATA_SCHEMA_DIFF_H

#include "data/schema.h"

struct gy_schema_change {
    struct gy_str column;        /* absent: the table */
    const char *what;            /* a key of schema.yaml; "column" (added or removed), "order" */
    struct gy_str before, after; /* as schema.yaml writes them; absent: not there */
    bool breaking; /* stricter, or of another meaning: a table that was good may not be so now */
};

/* Changes in the order of after's columns, then those removed, then the table. Views live in the
 * arena and as long as both schemas. Fails: NOMEM. */
GY_CHECKED gy_status gy_schema_diff(const struct gy_schema *before, const struct gy_schema *after,
                                    struct gy_arena *a, struct gy_schema_change **ret,
                                    size_t *ret_n, struct gy_err *err);

#endif
