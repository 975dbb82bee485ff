/* SPDX-License-Identifier: Apache-2.0 */
/* What validate.c (reading the table) and validate_judge.c (what follows from it) share. */
#ifndef GY_DATA_VALIDATE_INTERNAL_H
#define GY_DATA_VALIDATE_INTERNAL_H

#include "base/map.h"
#include "data/check.h"
#include "data/unique.h"
#include "data/validate.h"

/* One kind of finding in one column, while the table is read. */
struct gy_note {
    int64_t count;
    struct gy_example examples[GY_VALIDATE_EXAMPLES];
};

/* One column of the schema. */
struct gy_tally {
    const struct gy_column *column;
    size_t field;                   /* of the file at hand; SIZE_MAX: it has none */
    int64_t present, values;        /* rows with a value; values of the type, of lists each one */
    double low, high;               /* of values of numbers; NaN: none */
    struct gy_map allowed;          /* of large domains */
    struct gy_unique *distinct;     /* only where the schema asks */
    struct gy_map unexpected;       /* to int64_t */
    int64_t *unexpected_counts;     /* GY_VALIDATE_UNEXPECTED */
    struct gy_str *unexpected_text; /* as many */
    size_t n_unexpected;
    int64_t at_us; /* event_time and available_at: of the row at hand; INT64_MIN: none */
    struct gy_note notes[GY_ANOMALY_N];
};

/* A header field that the schema does not know. */
struct gy_new_column {
    struct gy_str name;
    int64_t count; /* -1: a column of the file */
};

struct gy_table_tally {
    const struct gy_validate_options *o;
    struct gy_validation *v; /* rows, broken; the arena */
    struct gy_tally *columns;
    size_t n_columns;
    struct gy_new_column *unknown;
    size_t n_unknown;
    struct gy_note broken;
    bool json; /* a column is there when a record has it */
};

/* Make v's anomalies and comparisons. Fails: NOMEM. */
GY_CHECKED gy_status gy_validate_judge(struct gy_table_tally *t, struct gy_err *err);

#endif
