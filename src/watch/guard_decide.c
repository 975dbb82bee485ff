/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "watch/guard.h"

#define MIN_REQUESTS_FAILING 10 /* before failures alone take a canary back */
#define SLOW 0.01               /* of the requests are slower than p99 */

const char *gy_guard_verdict_name(enum gy_guard_verdict v)
{
    static const char *const names[] = {"wait", "roll back", "promote", "inconclusive"};
    return names[v];
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

static struct gy_seq counted(uint64_t sum, uint64_t n)
{
    return (struct gy_seq){(double)sum, (double)n};
}

/* log e that is enough to take it back: alpha is shared by what is judged. */
static double enough(const struct gy_rollout *rule)
{
    int judged = 1 + !isnan(rule->max_p99_ms) + !isnan(rule->change_min);
    return log(judged / rule->alpha);
}

/* Failures. Where the stable version fails as much, the canary is not what is wrong. */
static bool fails_too_much(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                           const struct gy_guard_side *canary, struct gy_guard_decision *d)
{
    double low, high;
    struct gy_seq failed = counted(canary->errors, canary->requests);
    struct gy_seq stable_failed = counted(stable->errors, stable->requests);
    double rate = gy_seq_average(&failed);
    double stable_rate = gy_seq_average(&stable_failed);
    if (canary->requests < MIN_REQUESTS_FAILING || rate <= stable_rate ||
        gy_seq_evidence_above(&failed, rule->max_error_rate) < enough(rule)) {
        return false;
    }
    gy_seq_mean(&failed, &(struct gy_seq_prior){{0}}, rule->alpha, &low, &high);
    decide(d, GY_GUARD_ROLL_BACK,
           "error rate %.3f (%.3f-%.3f) above %.3f over %llu requests, stable %.3f", rate, low,
           high, rule->max_error_rate, (unsigned long long)canary->requests, stable_rate);
    return true;
}

/* That more than a hundredth of the requests are slower than a bound says that p99 is above it. A
 * machine that is slow for both is no reason. */
static bool is_too_slow(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                        const struct gy_guard_side *canary, struct gy_guard_decision *d)
{
    uint64_t least = (uint64_t)rule->min_requests;
    bool both = stable->requests >= least && stable->p99_ms >= canary->p99_ms;
    struct gy_seq slow = counted(canary->slow, canary->requests);
    if (isnan(rule->max_p99_ms) || canary->requests < least || both ||
        !(canary->p99_ms > rule->max_p99_ms) || gy_seq_evidence_above(&slow, SLOW) < enough(rule)) {
        return false;
    }
    decide(d, GY_GUARD_ROLL_BACK,
           "p99 %.3g ms above %.3g ms over %llu requests, %llu of them slower, stable %.3g ms",
           canary->p99_ms, rule->max_p99_ms, (unsigned long long)canary->requests,
           (unsigned long long)canary->slow, stable->p99_ms);
    return true;
}

/* "recall 0.41 (0.33-0.50), stable 0.86 (0.80-0.91)" */
static void describe(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                     const struct gy_guard_side *canary, const struct gy_seq_prior *prior,
                     char *out, size_t size)
{
    double lc, uc, ls, us;
    gy_seq_mean(&canary->metric, prior, rule->alpha, &lc, &uc);
    gy_seq_mean(&stable->metric, prior, rule->alpha, &ls, &us);
    (void)snprintf(out, size, "%s %.2f (%.2f-%.2f), stable %.2f (%.2f-%.2f)",
                   gy_metric_name(rule->metric), gy_seq_average(&canary->metric), lc, uc,
                   gy_seq_average(&stable->metric), ls, us);
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

static void by_metric(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                      const struct gy_guard_side *canary, const struct gy_seq_prior *prior,
                      size_t n_canaries, double elapsed_s, struct gy_guard_decision *d)
{
    char text[128];
    double low, high;
    uint64_t labels = canary->labelled < stable->labelled ? canary->labelled : stable->labelled;
    bool late = rule->after_s > 0 && elapsed_s >= (double)rule->after_s;
    if (labels < (uint64_t)rule->min_labels) {
        decide(d, late ? GY_GUARD_INCONCLUSIVE : GY_GUARD_WAIT,
               "%llu and %llu (stable) of %lld labelled rows%s",
               (unsigned long long)canary->labelled, (unsigned long long)stable->labelled,
               (long long)rule->min_labels, late ? " after the time it had" : "");
        return;
    }
    double change = rule->change_min;
    double worse = gy_seq_evidence(&canary->metric, &stable->metric, prior, change);
    double within = gy_seq_evidence(&stable->metric, &canary->metric, prior, -change);
    describe(rule, stable, canary, prior, text, sizeof text);
    if (worse >= enough(rule)) {
        decide(d, GY_GUARD_ROLL_BACK, "%s: changed by less than %+.3g over %llu labelled rows",
               text, change, (unsigned long long)canary->labelled);
    } else if (within >= log((double)n_canaries / rule->alpha)) {
        good(rule, canary, elapsed_s, text, d);
    } else {
        gy_seq_difference(&canary->metric, &stable->metric, prior, rule->alpha, &low, &high);
        decide(d, GY_GUARD_INCONCLUSIVE,
               "%s: a change of %+.2f to %+.2f over %llu labelled rows does not tell against %+.3g",
               text, low, high, (unsigned long long)canary->labelled, change);
    }
}

void gy_guard_decide(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                     const struct gy_guard_side *canary, const struct gy_seq_prior *prior,
                     size_t n_canaries, double elapsed_s, struct gy_guard_decision *ret)
{
    if (fails_too_much(rule, stable, canary, ret) || is_too_slow(rule, stable, canary, ret)) {
        return;
    }
    if (isnan(rule->change_min)) {
        char text[96];
        struct gy_seq failed = counted(canary->errors, canary->requests);
        (void)snprintf(text, sizeof text, "%llu requests, error rate %.3f, p99 %.3g ms",
                       (unsigned long long)canary->requests, gy_seq_average(&failed),
                       canary->p99_ms);
        good(rule, canary, elapsed_s, text, ret);
        return;
    }
    by_metric(rule, stable, canary, prior, n_canaries, elapsed_s, ret);
}
