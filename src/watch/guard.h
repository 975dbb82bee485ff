/* SPDX-License-Identifier: Apache-2.0 */
/* gy_guard: judges canaries by what they do and acts: takes one back, promotes it, or tells once
 * that a person must decide. It looks at each served endpoint whose revision has a canary and a
 * `rollout` section (serve/rollout.h). Judged since the canary began: the share of failed requests
 * (5xx, and no finite number), p99 of the time to answer, and, with labels, recall of the model's
 * own outputs against the stable version's, of the same time and so of the same population.
 *
 * Labelled rows come one after another, and whoever looks after each of them will at some time see
 * a difference that is none: recall is compared when there are min_labels, and then each time their
 * number has doubled.
 *
 * One thread at a time (the watcher's). */
#ifndef GY_WATCH_GUARD_H
#define GY_WATCH_GUARD_H

#include "serve/deploy.h"
#include "serve/rollout.h"
#include "watch/join.h"

#define GY_GUARD_MAX 1000       /* endpoints with a canary at a time */
#define GY_GUARD_MAX_REASON 400 /* bytes */

/* ---- the decision, on plain numbers ---- */

/* What a version did since the canary began. */
struct gy_guard_side {
    uint64_t requests, errors; /* answered or failed; wrong requests count for nobody */
    double p99_ms;
    uint64_t slow;         /* requests slower than the rule's max_p99_ms */
    uint64_t labelled;     /* rows with a label and a value of the model */
    uint64_t hits, misses; /* of the positive ones; MULTICLASS: of all */
};

enum gy_guard_verdict {
    GY_GUARD_WAIT,
    GY_GUARD_ROLL_BACK,
    GY_GUARD_PROMOTE,
    GY_GUARD_INCONCLUSIVE
};
const char *gy_guard_verdict_name(enum gy_guard_verdict v);

struct gy_guard_decision {
    enum gy_guard_verdict verdict;
    char reason[GY_GUARD_MAX_REASON];
};
/* Pure. Rolls back when the canary is surely worse, promotes when it surely is not worse than the
 * rule allows. Failures and latency are looked at all the time, by a test that takes back at most 5
 * % of the canaries that keep to the bound, over all looks together. Recall: a 95 % interval, so
 * 2.5 % on either side at each look; with a difference right at the bound 6 % were wrong after four
 * looks and 13 % after eight (simulated), since their number is not paid for. elapsed_s: since the
 * canary began. look: recall may be compared now. */
void gy_guard_decide(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                     const struct gy_guard_side *canary, double elapsed_s, bool look,
                     struct gy_guard_decision *ret);

/* Interval of a share hits/n by Wilson (1927) for a normal quantile z, and of the difference a - b
 * of two shares by Newcombe (1998, method 10). n = 0: the whole range. */
void gy_guard_share(uint64_t hits, uint64_t n, double z, double *ret_low, double *ret_high);
void gy_guard_difference(const struct gy_guard_side *a, const struct gy_guard_side *b, double z,
                         double *ret_low, double *ret_high);

/* ---- on a server ---- */

struct gy_guard;

/* d (copied; its serving must be there) and join must outlive it. join MAY be NULL: recall then is
 * never known. Fails: NOMEM. */
GY_CHECKED gy_status gy_guard_new(const struct gy_deployer *d, struct gy_join *join,
                                  struct gy_guard **ret, struct gy_err *err);
void gy_guard_free(struct gy_guard *g);
GY_DEFINE_AUTO(struct gy_guard *, gy_guard_free);
/* Look at all canaries once and act: gy_deploy_rollback and gy_deploy_promote as actor "gyre", with
 * the reason, and an event rollout.rolled_back, rollout.promoted or rollout.inconclusive. A canary
 * that can not be acted on does not keep the others from it; the first failure comes back. */
GY_CHECKED gy_status gy_guard_tick(struct gy_guard *g, struct gy_err *err);

#endif
