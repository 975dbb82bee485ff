/* SPDX-License-Identifier: Apache-2.0 */
/* How far a column of one table is from the same column of another, by the measures of TensorFlow
 * Data Validation. Of categories (texts, bools, ints that are categories) the shares of the values
 * are compared; values beyond the kept top ones are one more category. Of numbers the histograms
 * are, split at the bounds of both, the mass of a bin spread evenly within it and that of a column
 * of one value kept as a point. Pure; thread safe.
 *
 *   infinity norm                max_i |p_i - q_i|                                   0..1
 *   Jensen-Shannon divergence    (KL(p||m) + KL(q||m)) / 2, m = (p + q) / 2, base 2  0..1
 *                                (Lin 1991, doi:10.1109/18.61115)
 *   normalized abs difference    sum_i |a_i - b_i| / (sum a + sum b), of counts      0..1 */
#ifndef GY_DATA_COMPARE_H
#define GY_DATA_COMPARE_H

#include "data/statistics.h"

enum gy_measure { GY_MEASURE_L_INFTY, GY_MEASURE_JENSEN_SHANNON, GY_MEASURE_ABS_DIFFERENCE };

const char *gy_measure_name(enum gy_measure m);    /* as schema.yaml calls it */
const char *gy_measure_formula(enum gy_measure m); /* for people: what the value is */
double gy_comparator_limit(const struct gy_comparator *c, enum gy_measure m); /* NaN: not asked */

/* categorical: by values, else by histogram (a column that is not numeric is always by values).
 * NaN in *ret: one side has no values. Fails: NOMEM. */
GY_CHECKED gy_status gy_compare(enum gy_measure m, const struct gy_statistics_column *a,
                                const struct gy_statistics_column *b, bool categorical, double *ret,
                                struct gy_err *err);

#endif
