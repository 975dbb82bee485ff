/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "watch/guard.h"

#define Z_95 1.959963984540054
#define MIN_REQUESTS_FAILING 10 /* before failures alone take a canary back */
#define SLOW 0.01               /* of the requests are slower than p99 */
#define ALTERNATIVES 10         /* rates that an observed one is held against */
#define EVIDENCE 20             /* times likelier under those than under the bound: 5 % */

const char *gy_guard_verdict_name(enum gy_guard_verdict v)
{
    static const char *const names[] = {"wait", "roll back", "promote", "inconclusive"};
    return names[v];
}

/* ---- intervals ---- */

static double share(uint64_t hits, uint64_t n)
{
    return n ? (double)hits / (double)n : 0;
}

void gy_guard_share(uint64_t hits, uint64_t n, double z, double *ret_low, double *ret_high)
{
    if (n == 0) {
        *ret_low = 0;
        *ret_high = 1;
        return;
    }
    double p = share(hits, n);
    double z2 = z * z / (double)n;
    double middle = p + z2 / 2;
    double half = z * sqrt(p * (1 - p) / (double)n + z2 / (4 * (double)n));
    *ret_low = hits == 0 ? 0 : (middle - half) / (1 + z2);
    *ret_high = hits == n ? 1 : (middle + half) / (1 + z2);
}

void gy_guard_difference(const struct gy_guard_side *a, const struct gy_guard_side *b, double z,
                         double *ret_low, double *ret_high)
{
    double la, ua, lb, ub;
    double pa = share(a->hits, a->hits + a->misses);
    double pb = share(b->hits, b->hits + b->misses);
    gy_guard_share(a->hits, a->hits + a->misses, z, &la, &ua);
    gy_guard_share(b->hits, b->hits + b->misses, z, &lb, &ub);
    *ret_low = pa - pb - sqrt((pa - la) * (pa - la) + (ub - pb) * (ub - pb));
    *ret_high = pa - pb + sqrt((ua - pa) * (ua - pa) + (pb - lb) * (pb - lb));
}

/* ---- the decision ---- */

GY_PRINTF(3, 4)
static void decide(struct gy_guard_decision *d, enum gy_guard_verdict verdict, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(d->reason, sizeof d->reason, fmt, args);
    va_end(args);
    d->verdict = verdict;
}

/* Is the rate behind hits of n above `most`? Asked several times a second, so an interval would be
 * left by chance sooner or later: a rate equal to the bound leaves one of 99 % in a fifth of the
 * canaries. The mean of likelihood ratios of greater rates to the bound reaches EVIDENCE in at most
 * one of EVIDENCE canaries that keep to it, however often one looks (Ville 1939, Robbins 1970). */
static bool surely_above(uint64_t hits, uint64_t n, double most)
{
    double sum = 0;
    if (most <= 0 || most >= 1) {
        return most <= 0 && hits > 0;
    }
    for (int k = 1; k <= ALTERNATIVES; k++) {
        double rate = most + ldexp(1 - most, -k);
        sum += exp((double)hits * log(rate / most) +
                   (double)(n - hits) * log((1 - rate) / (1 - most)));
    }
    return sum >= EVIDENCE * ALTERNATIVES;
}

/* Failures. Where the stable version fails as much, the canary is not what is wrong. */
static bool fails_too_much(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                           const struct gy_guard_side *canary, struct gy_guard_decision *d)
{
    double low, high;
    double rate = share(canary->errors, canary->requests);
    double stable_rate = share(stable->errors, stable->requests);
    if (canary->requests < MIN_REQUESTS_FAILING || rate <= stable_rate ||
        !surely_above(canary->errors, canary->requests, rule->max_error_rate)) {
        return false;
    }
    gy_guard_share(canary->errors, canary->requests, Z_95, &low, &high);
    decide(d, GY_GUARD_ROLL_BACK,
           "error rate %.3f (%.3f-%.3f) above %.3f over %llu requests, stable %.3f", rate, low,
           high, rule->max_error_rate, (unsigned long long)canary->requests, stable_rate);
    return true;
}

/* A machine that is slow for both is no reason. */
static bool is_too_slow(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                        const struct gy_guard_side *canary, struct gy_guard_decision *d)
{
    uint64_t least = (uint64_t)rule->min_requests;
    bool both = stable->requests >= least && stable->p99_ms >= canary->p99_ms;
    if (isnan(rule->max_p99_ms) || canary->requests < least || both ||
        !(canary->p99_ms > rule->max_p99_ms) ||
        !surely_above(canary->slow, canary->requests, SLOW)) {
        return false;
    }
    decide(d, GY_GUARD_ROLL_BACK,
           "p99 %.3g ms above %.3g ms over %llu requests, %llu of them slower, stable %.3g ms",
           canary->p99_ms, rule->max_p99_ms, (unsigned long long)canary->requests,
           (unsigned long long)canary->slow, stable->p99_ms);
    return true;
}

/* "recall 0.41 (0.33-0.50), stable 0.86 (0.80-0.91)" */
static void describe(const struct gy_guard_side *stable, const struct gy_guard_side *canary,
                     char *out, size_t size)
{
    double lc, uc, ls, us;
    gy_guard_share(canary->hits, canary->hits + canary->misses, Z_95, &lc, &uc);
    gy_guard_share(stable->hits, stable->hits + stable->misses, Z_95, &ls, &us);
    (void)snprintf(out, size, "recall %.2f (%.2f-%.2f), stable %.2f (%.2f-%.2f)",
                   share(canary->hits, canary->hits + canary->misses), lc, uc,
                   share(stable->hits, stable->hits + stable->misses), ls, us);
}

/* Nothing speaks against it: when it may be promoted, and by whom. */
static void good(const struct gy_rollout *rule, const struct gy_guard_side *canary,
                 double elapsed_s, const char *why, struct gy_guard_decision *d)
{
    if (canary->requests < (uint64_t)rule->min_requests) {
        decide(d, GY_GUARD_WAIT, "%llu of %lld requests", (unsigned long long)canary->requests,
               (long long)rule->min_requests);
    } else if (elapsed_s < (double)rule->after_s) {
        decide(d, GY_GUARD_WAIT, "%.0f of %lld seconds", elapsed_s, (long long)rule->after_s);
    } else if (rule->promote) {
        decide(d, GY_GUARD_PROMOTE, "%s", why);
    } else {
        decide(d, GY_GUARD_INCONCLUSIVE, "nothing speaks against it, a person promotes: %s", why);
    }
}

static void by_recall(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                      const struct gy_guard_side *canary, double elapsed_s, bool look,
                      struct gy_guard_decision *d)
{
    char text[128];
    double low, high;
    uint64_t labels = canary->labelled < stable->labelled ? canary->labelled : stable->labelled;
    if (labels < (uint64_t)rule->min_labels) {
        bool late = rule->after_s > 0 && elapsed_s >= (double)rule->after_s;
        decide(d, late ? GY_GUARD_INCONCLUSIVE : GY_GUARD_WAIT,
               "%llu and %llu (stable) of %lld labelled rows%s",
               (unsigned long long)canary->labelled, (unsigned long long)stable->labelled,
               (long long)rule->min_labels, late ? " after the time it had" : "");
        return;
    }
    if (!look) {
        decide(d, GY_GUARD_WAIT, "undecided; compared again with twice the labels");
        return;
    }
    describe(stable, canary, text, sizeof text);
    gy_guard_difference(canary, stable, Z_95, &low, &high);
    if (high < rule->recall_change_min) {
        decide(d, GY_GUARD_ROLL_BACK, "%s: changed by less than %+.3g over %llu labelled rows",
               text, rule->recall_change_min, (unsigned long long)canary->labelled);
    } else if (low >= rule->recall_change_min) {
        good(rule, canary, elapsed_s, text, d);
    } else {
        decide(d, GY_GUARD_INCONCLUSIVE,
               "%s: a change of %+.2f to %+.2f over %llu labelled rows does not tell against %+.3g",
               text, low, high, (unsigned long long)canary->labelled, rule->recall_change_min);
    }
}

void gy_guard_decide(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                     const struct gy_guard_side *canary, double elapsed_s, bool look,
                     struct gy_guard_decision *ret)
{
    if (fails_too_much(rule, stable, canary, ret) || is_too_slow(rule, stable, canary, ret)) {
        return;
    }
    if (isnan(rule->recall_change_min)) {
        char text[96];
        (void)snprintf(text, sizeof text, "%llu requests, error rate %.3f, p99 %.3g ms",
                       (unsigned long long)canary->requests,
                       share(canary->errors, canary->requests), canary->p99_ms);
        good(rule, canary, elapsed_s, text, ret);
        return;
    }
    by_recall(rule, stable, canary, elapsed_s, look, ret);
}
