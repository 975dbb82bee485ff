/* SPDX-License-Identifier: Apache-2.0 */
/* gy_guard: judges canaries by what they do and acts: takes one back, promotes it, or tells once
 * that a person must decide. It looks at each served endpoint whose revision has canaries and a
 * `rollout` section (serve/rollout.h), at each canary against the stable version. Judged since the
 * canary began: the share of failed requests (5xx, and no finite number), p99 of the time to
 * answer, and, with feedback, the metric of the rollout against the stable version's, of the same
 * time and so of the same population.
 *
 * It looks four times a second, so all tests are always valid (sequential.h): over all looks
 * together a canary that keeps to every bound is taken back with a probability of at most alpha,
 * shared equally by what is judged, and one that is not within change_min is promoted with a
 * probability of at most alpha, shared by the canaries there are.
 *
 * One thread at a time (the watcher's). */
#ifndef GY_WATCH_GUARD_H
#define GY_WATCH_GUARD_H

#include "serve/deploy.h"
#include "serve/rollout.h"
#include "watch/arms.h"

#define GY_GUARD_MAX 1000       /* endpoints with a canary at a time */
#define GY_GUARD_MAX_REASON 400 /* bytes */

/* ---- the decision, on plain numbers ---- */

/* What a version did since the canary began. */
struct gy_guard_side {
    uint64_t requests, errors; /* answered or failed; wrong requests count for nobody */
    double p99_ms;
    uint64_t slow;        /* requests slower than the rule's max_p99_ms */
    uint64_t labelled;    /* rows that feedback told of */
    struct gy_seq metric; /* the values of those the metric is about */
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
/* Pure. Rolls back when the canary is surely worse than a bound allows, promotes when it surely is
 * within change_min (without one: when nothing speaks against it), both at any look. prior: made of
 * the stable version's rows before the canary began. n_canaries: that alpha is shared by.
 * elapsed_s: since the canary began. */
void gy_guard_decide(const struct gy_rollout *rule, const struct gy_guard_side *stable,
                     const struct gy_guard_side *canary, const struct gy_seq_prior *prior,
                     size_t n_canaries, double elapsed_s, struct gy_guard_decision *ret);

/* ---- on a server ---- */

struct gy_guard;

/* d (copied; its serving must be there) and join must outlive it. join MAY be NULL: recall then is
 * never known. Fails: NOMEM. */
GY_CHECKED gy_status gy_guard_new(const struct gy_deployer *d, struct gy_join *join,
                                  struct gy_guard **ret, struct gy_err *err);
void gy_guard_free(struct gy_guard *g);
GY_DEFINE_AUTO(struct gy_guard *, gy_guard_free);
/* Look at all canaries once and act: gy_deploy_rollback (where others run beside it: it leaves, by
 * gy_deploy_shares) and gy_deploy_promote as actor "gyre", with the reason, and an event
 * rollout.rolled_back, rollout.promoted or rollout.inconclusive. A canary that can not be acted on
 * does not keep the others from it; the first failure comes back. */
GY_CHECKED gy_status gy_guard_tick(struct gy_guard *g, struct gy_err *err);

#endif
