/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/stat.h"

#include <math.h>

#include "watch/stat_internal.h"

#define LEAST_SD 0.001 /* Evidently's floor: a constant reference gives no division by zero */

static const struct {
    const char *name;
    double threshold;
    bool p_value;
} STATS[GY_STAT_COUNT] = {
    [GY_STAT_KS] = {"ks", 0.05, true},
    [GY_STAT_WASSERSTEIN] = {"wasserstein", 0.1, false},
    [GY_STAT_CHISQUARE] = {"chisquare", 0.05, true},
    [GY_STAT_Z] = {"z", 0.05, true},
    [GY_STAT_JENSENSHANNON] = {"jensenshannon", 0.1, false},
    [GY_STAT_PSI] = {"psi", 0.1, false},
    [GY_STAT_KL] = {"kl_div", 0.1, false},
    [GY_STAT_HELLINGER] = {"hellinger", 0.1, false},
};

const char *gy_stat_name(enum gy_stat s)
{
    return STATS[s].name;
}

gy_status gy_stat_parse(struct gy_str name, enum gy_stat *ret, struct gy_err *err)
{
    for (int i = 0; i < GY_STAT_COUNT; i++) {
        if (gy_str_eqc(name, STATS[i].name)) {
            *ret = (enum gy_stat)i;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "no drift test is called '%" GY_STR_F "'", GY_STR_A(name));
    return gy_err_hint(err, "ks, wasserstein, chisquare, z, jensenshannon, psi, kl_div, hellinger");
}

double gy_stat_threshold(enum gy_stat s)
{
    return STATS[s].threshold;
}

bool gy_stat_is_p_value(enum gy_stat s)
{
    return STATS[s].p_value;
}

bool gy_stat_drifted(enum gy_stat s, double score, double threshold)
{
    if (s == GY_STAT_KS) {
        return score <= threshold;
    }
    return STATS[s].p_value ? score < threshold : score >= threshold; /* false for NaN */
}

enum gy_stat gy_stat_choose(uint64_t n_reference, size_t n_union, bool categorical)
{
    bool small = n_reference <= GY_STAT_SMALL_REFERENCE;
    if (!categorical && n_union > GY_STAT_FEW_VALUES) {
        return small ? GY_STAT_KS : GY_STAT_WASSERSTEIN;
    }
    if (!small) {
        return GY_STAT_JENSENSHANNON;
    }
    return n_union > 2 ? GY_STAT_CHISQUARE : GY_STAT_Z;
}

size_t gy_stat_union(const struct gy_values *reference, const struct gy_values *current)
{
    size_t n = 0;
    struct gy_stat_walk w = {.a = reference, .b = current};
    while (gy_stat_step(&w)) {
        n++;
    }
    return n;
}

/* The area between two distribution functions that are this far apart over this width; the width
 * may be infinite. */
static double area(double gap, double width)
{
    return gap == 0 ? 0 : gap * width;
}

double gy_stat_wasserstein(const struct gy_values *a, const struct gy_values *b)
{
    /* Between two values of the side with fewer of them its function is constant: a tight loop over
     * those of the other side. */
    const struct gy_values *many = a->n < b->n ? b : a, *few = a->n < b->n ? a : b;
    if (a->total == 0 || b->total == 0) {
        return NAN;
    }
    double share = 1 / (double)many->total, few_share = 1 / (double)few->total;
    uint64_t below = 0, few_below = 0;
    double last = fmin(many->values[0], few->values[0]), sum = 0, lost = 0;
    for (size_t i = 0, j = 0; j <= few->n; j++) {
        double end = j < few->n ? few->values[j] : INFINITY;
        double level = (double)few_below * few_share, run = 0;
        for (; i < many->n && many->values[i] < end; i++) {
            double value = many->values[i];
            run += area(fabs((double)below * share - level), value - last);
            below += many->counts[i];
            last = value;
        }
        if (j < few->n) {
            run += area(fabs((double)below * share - level), end - last);
            few_below += few->counts[j];
            last = end;
        }
        /* Kahan: a million small areas keep their digits. */
        double add = run - lost, next = sum + add;
        lost = isfinite(next) ? (next - sum) - add : 0;
        sum = next;
    }
    return sum;
}

double gy_stat_wasserstein_normed(const struct gy_values *reference,
                                  const struct gy_values *current, double sd)
{
    return gy_stat_wasserstein(reference, current) / (sd > LEAST_SD ? sd : LEAST_SD);
}

gy_status gy_stat_run(enum gy_stat s, const struct gy_values *reference,
                      const struct gy_values *current, bool categorical, double *ret,
                      struct gy_err *err)
{
    *ret = NAN;
    if (reference->total == 0 || current->total == 0) {
        return GY_OK;
    }
    switch (s) {
    case GY_STAT_KS:
        return gy_stat_ks_p(gy_stat_ks_distance(reference, current), reference->total,
                            current->total, ret, err);
    case GY_STAT_WASSERSTEIN:
        *ret = gy_stat_wasserstein_normed(reference, current, gy_values_sd(reference));
        return GY_OK;
    case GY_STAT_CHISQUARE:
        *ret = gy_stat_chisquare(reference, current);
        return GY_OK;
    case GY_STAT_Z:
        *ret = gy_stat_z(reference, current);
        return GY_OK;
    case GY_STAT_JENSENSHANNON:
    case GY_STAT_PSI:
    case GY_STAT_KL:
    case GY_STAT_HELLINGER:
        return gy_stat_binned(s, reference, current, categorical, ret, err);
    }
    return GY_OK;
}

/* ---- shares ---- */

struct gy_share gy_share_of(uint64_t hits, uint64_t n)
{
    const double z = 1.959963984540054; /* 97.5 % of the normal distribution */
    struct gy_share s = {.hits = hits, .n = n, .value = NAN, .low = 0, .high = 1};
    if (n == 0) {
        return s;
    }
    double p = (double)hits / (double)n, zz = z * z / (double)n;
    double middle = (p + zz / 2) / (1 + zz);
    double half = z * sqrt(p * (1 - p) / (double)n + zz / (4 * (double)n)) / (1 + zz);
    s.value = p;
    s.low = hits == 0 ? 0 : middle - half;
    s.high = hits == n ? 1 : middle + half;
    return s;
}

bool gy_share_differs(const struct gy_share *a, const struct gy_share *b)
{
    return a->n > 0 && b->n > 0 && (a->low > b->high || b->low > a->high);
}
