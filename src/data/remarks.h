/* SPDX-License-Identifier: Apache-2.0 */
/* gy_remarks: what a careful person would point at in the statistics of a table before anything is
 * learnt from it. In the order of gravity, then of the columns. Pure; thread safe. */
#ifndef GY_DATA_REMARKS_H
#define GY_DATA_REMARKS_H

#include "data/statistics.h"

#define GY_REMARKS_MAX 200             /* kept; all are counted */
#define GY_REMARK_MISSING 0.2          /* share of rows without a value */
#define GY_REMARK_CORRELATED 0.95      /* |r| of two columns */
#define GY_REMARK_LEAK 0.99            /* |r| of a column with the label */
#define GY_REMARK_RARE_CLASS 0.05      /* share of the smallest class */
#define GY_REMARK_MANY_VALUES 0.5      /* different texts a row */
#define GY_REMARK_MANY_VALUES_LEAST 50 /* and at least so many */

/* leak        a column that as good as says the label
 * broken      records that could not be read
 * duplicates  rows that are there more than once
 * invalid     values that are not of their column's type
 * empty       a column without any value
 * constant    a column of one value
 * missing     many rows without a value
 * imbalance   a class of the label that is rare
 * key         every row has another value, but the column's role is not id
 * many_values texts that hardly ever repeat
 * correlated  two columns that say nearly the same */
#define GY_REMARKS(X) \
    X(leak)           \
    X(broken)         \
    X(duplicates)     \
    X(invalid) X(empty) X(constant) X(missing) X(imbalance) X(key) X(many_values) X(correlated)
enum gy_remark_kind {
#define X(name) GY_REMARK_##name,
    GY_REMARKS(X)
#undef X
        GY_REMARK_N
};
const char *gy_remark_name(enum gy_remark_kind kind);
static inline bool gy_remark_is_grave(enum gy_remark_kind kind)
{
    return kind <= GY_REMARK_empty;
}

struct gy_remark {
    enum gy_remark_kind kind;
    struct gy_str column; /* absent: of the table */
    struct gy_str text;   /* a sentence, without the column's name */
};
struct gy_remarks {
    struct gy_remark items[GY_REMARKS_MAX];
    size_t n, total;
    struct gy_arena arena;
};

/* ret is initialised here; gy_remarks_done frees. s must outlive it. Fails: NOMEM. */
GY_CHECKED gy_status gy_remarks_make(const struct gy_statistics *s, struct gy_remarks *ret,
                                     struct gy_err *err);
void gy_remarks_done(struct gy_remarks *r);
GY_DEFINE_AUTO_DONE(struct gy_remarks, gy_remarks_done);
/* [{"kind","column","text"}] as a value. */
void gy_remarks_write(struct gy_jw *w, const struct gy_remarks *r);

#endif
