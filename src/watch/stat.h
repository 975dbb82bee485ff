/* SPDX-License-Identifier: Apache-2.0 */
/* gy_stat: how far a column has moved from its reference, as Evidently computes it (names,
 * formulas, edges of the bins and default thresholds), so that a number can be compared with what
 * people know. All of it works on distributions (values with counts), so a reference that is stored
 * sorted costs no sort, and the order of rows can not matter. NaN and infinite values are left out
 * beforehand; empty and constant columns give a defined answer or NaN ("can not be told"), never a
 * failure. Pure; thread safe.
 *
 * Which test: see gy_stat_choose. A p-value is small when the columns differ; a distance is large.
 */
#ifndef GY_WATCH_STAT_H
#define GY_WATCH_STAT_H

#include "learn/values.h"

enum gy_stat {
    GY_STAT_KS,            /* two-sample Kolmogorov-Smirnov, p-value */
    GY_STAT_WASSERSTEIN,   /* W1 over the reference's standard deviation (at least 0.001) */
    GY_STAT_CHISQUARE,     /* p-value; the reference gives the expected shares */
    GY_STAT_Z,             /* of two proportions, p-value */
    GY_STAT_JENSENSHANNON, /* distance (root of the divergence, natural logarithm) */
    GY_STAT_PSI,           /* population stability index */
    GY_STAT_KL,            /* Kullback-Leibler divergence, reference to current */
    GY_STAT_HELLINGER,
};
#define GY_STAT_COUNT 8

const char *gy_stat_name(enum gy_stat s); /* "ks", "wasserstein", "jensenshannon", "kl_div" ... */
GY_CHECKED gy_status gy_stat_parse(struct gy_str name, enum gy_stat *ret, struct gy_err *err);
double gy_stat_threshold(enum gy_stat s); /* 0.05 of p-values, 0.1 of distances */
bool gy_stat_is_p_value(enum gy_stat s);  /* small means drifted */
/* Drifted? K-S at most the threshold, chi-square and z below it, distances at least; NaN: no. */
bool gy_stat_drifted(enum gy_stat s, double score, double threshold);

/* The usual choice. n_reference: rows with a value; n_union: distinct values of both columns.
 *                          up to 1000 rows                    more
 *   number, > 5 distinct   K-S                                Wasserstein
 *   else                   chi-square, up to 2 distinct: z    Jensen-Shannon */
enum gy_stat gy_stat_choose(uint64_t n_reference, size_t n_union, bool categorical);
#define GY_STAT_SMALL_REFERENCE 1000
#define GY_STAT_FEW_VALUES 5
/* Distinct values of both. */
size_t gy_stat_union(const struct gy_values *reference, const struct gy_values *current);

/* categorical: each value is a cell of its own for the binned statistics (else numbers with more
 * than 20 distinct reference values are binned by Sturges' rule over both columns). NaN: can not be
 * told (a side without values). Fails: NOMEM. */
GY_CHECKED gy_status gy_stat_run(enum gy_stat s, const struct gy_values *reference,
                                 const struct gy_values *current, bool categorical, double *ret,
                                 struct gy_err *err);

/* ---- single ones ---- */

/* D, the largest distance of the two distribution functions. */
double gy_stat_ks_distance(const struct gy_values *a, const struct gy_values *b);
/* P(D >= d) of two samples of n1 and n2: exact up to 10000 rows a side; beyond, that of one sample
 * of round(n1 n2 / (n1 + n2)), as scipy does. Fails: NOMEM. */
GY_CHECKED gy_status gy_stat_ks_p(double d, uint64_t n1, uint64_t n2, double *ret,
                                  struct gy_err *err);
/* P(D_n >= d) of one sample against a known continuous distribution. */
double gy_stat_kolmogorov_sf(double d, uint64_t count);
/* W1: the area between the two distribution functions. */
double gy_stat_wasserstein(const struct gy_values *a, const struct gy_values *b);
/* The same over sd (of the reference; at least 0.001). */
double gy_stat_wasserstein_normed(const struct gy_values *reference,
                                  const struct gy_values *current, double sd);
/* P(X >= x) of chi-square with df degrees; NaN when df is 0. */
double gy_stat_chi2_sf(double x, double df);

/* Wilson's interval (95 %) of a share of hits in n; 0..1 when n is 0. */
struct gy_share {
    uint64_t hits, n;
    double value, low, high; /* value NaN when n is 0 */
};
struct gy_share gy_share_of(uint64_t hits, uint64_t n);
/* The intervals do not touch: the difference is hardly chance. */
bool gy_share_differs(const struct gy_share *a, const struct gy_share *b);

#endif
