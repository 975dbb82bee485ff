/* SPDX-License-Identifier: Apache-2.0 */
/* gy_validate: a whole table against a schema: what `gyre data schema check` says. Where ingest
 * judges record by record (and a dead letter is its answer), this judges the table: presence,
 * domains, ranges, numbers of different values, rows; and, beside other tables, how far it has
 * moved. Nothing is changed. Findings have the names of TensorFlow Data Validation (anomaly.h).
 * Leakage: a value of role available_at later than the row's event_time (the decision) was not
 * known when the decision was made; a model that learns from it is better on paper than in life. */
#ifndef GY_DATA_VALIDATE_H
#define GY_DATA_VALIDATE_H

#include "data/compare.h"
#include "data/source.h"

#define GY_VALIDATE_EXAMPLES 3    /* of one finding */
#define GY_VALIDATE_UNEXPECTED 20 /* values outside of a domain that are counted one by one */

struct gy_example {
    int64_t row; /* 0-based, as dead letters count */
    struct gy_str value;
};

struct gy_anomaly {
    struct gy_str column; /* absent: the table */
    enum gy_anomaly_kind kind;
    enum gy_severity severity; /* ERROR or WARNING */
    int64_t count;             /* values (or rows) concerned; -1: it is not of single ones */
    struct gy_str text;        /* for people, with the numbers in it */
    const struct gy_example *examples; /* the first ones */
    size_t n_examples;
};

struct gy_comparison {
    struct gy_str column;
    bool skew; /* else drift */
    enum gy_measure measure;
    double value, limit; /* value NaN: a side has no values */
};

struct gy_validation {
    int64_t rows, broken;               /* broken: records that can not be read */
    const struct gy_anomaly *anomalies; /* by column in the schema's order, the table's last */
    size_t n_anomalies, n_errors, n_warnings;
    const struct gy_comparison *comparisons; /* every one that was made */
    size_t n_comparisons;
    struct gy_arena arena;
};

struct gy_validate_options {
    const struct gy_schema *schema;
    struct gy_str environment; /* absent: all columns are wanted */
    char delimiter;            /* 0: sniffed */
    /* For comparators; MAY be NULL (then they are not made). current: of the table itself, wanted
     * with either other; previous: of the span before (drift); serving: of what is asked in
     * production (skew). */
    const struct gy_statistics *current, *previous, *serving;
    void (*progress)(void *ctx,
                     int64_t bytes_done); /* MAY be NULL; of the source as it lies there */
    void *progress_ctx;
};

/* CSV, JSON or JSONL; the source is closed at the end. Fails: as the source does; PARSE (no
 * header), INVALID (environment; times that can not be compared), NOMEM, TOOBIG. Findings are no
 * failure. */
GY_CHECKED gy_status gy_validate(struct gy_source *source, const struct gy_validate_options *o,
                                 struct gy_validation **ret, struct gy_err *err);
void gy_validation_free(struct gy_validation *v);
GY_DEFINE_AUTO(struct gy_validation *, gy_validation_free);

/* {"ok","rows","broken","errors","warnings","anomalies":[{"column","kind","severity","text",
 * "count","examples":[{"row","value"}]}],"comparisons":[{"column","kind","measure","value","limit",
 * "formula"}]}; a failure sticks to out. */
void gy_validation_json(const struct gy_validation *v, struct gy_buf *out);

#endif
