/* SPDX-License-Identifier: Apache-2.0 */
/* gy_made_table: a recipe for made rows: columns with distributions, how they go together, gaps and
 * drift; from the statistics of a table (synth_profile.c) or from a text by people (synth_spec.c).
 * Rows are made one by one, each from a stream of chance of its own (seed, row): the same recipe
 * and seed give the same bytes; a gap or drift in one column leaves the others as they are. A
 * recipe is immutable once made. */
#ifndef GY_DATA_SYNTH_TABLE_H
#define GY_DATA_SYNTH_TABLE_H

#include "base/arena.h"
#include "base/expr.h"
#include "data/statistics.h"
#include "data/synth.h"
#include "data/times.h"

#define GY_MADE_MAX_VALUES 10000 /* of a column of choices */
#define GY_MADE_MAX_TRIES 100000 /* rows drawn for one whose label is the wanted class */
#define GY_MADE_LEAST_SEEN 2     /* a text that came once names a row: it is never given back */
#define GY_MADE_SCHEMA_VALUES 100

enum gy_made_kind {
    GY_MADE_ID,        /* start, start + 1 ... */
    GY_MADE_KEYS,      /* one of n_keys made-up ones, each as likely as the others */
    GY_MADE_NORMAL,    /* a: mean, b: sd; cut off at low and high */
    GY_MADE_LOGNORMAL, /* a, b: mean and sd of the logarithm; the same */
    GY_MADE_UNIFORM,   /* low to high */
    GY_MADE_CURVE,     /* points of a distribution function, straight lines between */
    GY_MADE_CHOICE,    /* values with weights; numbers in ascending order */
    GY_MADE_FORMULA,   /* of the columns before it */
    GY_MADE_NOTHING    /* always missing */
};

struct gy_made_value {
    struct gy_str text;
    double number; /* NaN of texts */
    double upto;   /* share of this one and those before it */
};
struct gy_made_point {
    double v, upto;
};

struct gy_made_column {
    struct gy_str name, unit; /* unit MAY be absent */
    enum gy_type type;
    enum gy_role role;
    enum gy_made_kind kind;
    double a, b, low, high; /* low, high not finite: no bound */
    int decimals;           /* of floats; -1: six digits */
    enum gy_time_form form; /* of times, whose numbers are seconds */
    int64_t start, n_keys;
    const struct gy_made_value *values;
    size_t n_values;
    const struct gy_made_point *points;
    size_t n_points;
    struct gy_expr *formula;
    double flip;    /* of a label from a formula: share that says the other of two classes */
    double missing; /* share */
    bool drifts;
    double times, add; /* v * times + add, once the label is settled */
};

struct gy_made_table {
    struct gy_arena arena;
    struct gy_made_column *columns;
    size_t n_columns;
    /* latent: which columns go together (their places), the label first; factor: the lower triangle
     * of their normal scores, n_latent x n_latent. */
    size_t *latent;
    size_t n_latent;
    double *factor;
    double kept;  /* share of the correlations that could be kept (copula.h) */
    size_t label; /* its place; SIZE_MAX: none */
};
void gy_made_table_free(struct gy_made_table *t);
GY_DEFINE_AUTO(struct gy_made_table *, gy_made_table_free);

/* Shares of the label's classes, exact in what is made. */
struct gy_made_class {
    struct gy_str value;
    double share;
};

struct gy_made_options {
    int64_t rows, bad;
    uint64_t seed;
    const struct gy_made_class *balance; /* n 0: as it comes */
    size_t n_balance;
    const char *out, *ledger; /* as gy_synth_options */
};
/* ret->positives: rows of the last class of balance. Fails: INVALID (balance without a label, of a
 * class that does not come), as gy_synth_patients. */
GY_CHECKED gy_status gy_made_write(const struct gy_made_table *t, const struct gy_made_options *o,
                                   struct gy_synth_result *ret, struct gy_err *err);
/* The schema of what it writes, before gaps that were asked for and drift. Fails: NOMEM. */
GY_CHECKED gy_status gy_made_schema(const struct gy_made_table *t, struct gy_schema **ret,
                                    struct gy_err *err);

/* From statistics. label MAY be absent: that of the roles. Texts are those that came at least
 * GY_MADE_LEAST_SEEN times; where there are none they are made up. Keys (role id, subject, and
 * columns in which every row has another value) are made up too. Fails: NOTFOUND (label), NOMEM. */
GY_CHECKED gy_status gy_made_from_statistics(const struct gy_statistics *s, struct gy_str label,
                                             struct gy_made_table **ret, struct gy_err *err);

/* From a text; docs/profile.md has the format. What it says of rows, seed, balance and bad records
 * goes into ret_o (views into the table). name is for messages. Fails: PARSE, INVALID with
 * name:line:column, NOMEM. */
GY_CHECKED gy_status gy_made_from_spec(struct gy_str text, const char *name,
                                       struct gy_made_table **ret, struct gy_made_options *ret_o,
                                       struct gy_err *err);

/* More of what a recipe may say: gaps and drift of a column. Fail: INVALID (no such column; not of
 * numbers; a share that is none). */
GY_CHECKED gy_status gy_made_drift(struct gy_made_table *t, const struct gy_synth_drift *d,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_made_missing(struct gy_made_table *t, struct gy_str column, double share,
                                     struct gy_err *err);
/* "0=.5,1=.5" into classes (views into text); one share alone, ".3", is that of the label's last
 * class of two. They are made to add up to 1. Fails: INVALID. */
GY_CHECKED gy_status gy_made_balance(const struct gy_made_table *t, struct gy_str text,
                                     struct gy_made_class *out, size_t max, size_t *ret_n,
                                     struct gy_err *err);

/* ---- for those who make recipes ---- */

/* The value at u in (0, 1) of a column that has a distribution; NaN of texts. */
double gy_made_at(const struct gy_made_column *c, double u);
bool gy_made_is_numeric(const struct gy_made_column *c);
/* correlations: n x n of the columns `which`; latent: they are those of the normal scores already,
 * else Pearson's of the columns. The label is put first. Fails: NOMEM. */
GY_CHECKED gy_status gy_made_correlate(struct gy_made_table *t, const size_t *which, size_t n,
                                       const double *correlations, bool latent, struct gy_err *err);

#endif
