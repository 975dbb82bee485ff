/* SPDX-License-Identifier: Apache-2.0 */
/* gy_bandit: divides the traffic of an endpoint by what feedback says of its versions, where its
 * rollout says `strategy: bandit`. Each version's share is the probability that it is the best one,
 * given a Beta(1, 1) prior and the values of its rows (Thompson 1933; as shares of traffic: Scott,
 * "A modern Bayesian look at the multi-armed bandit", 2010), but at least min_share, so that none
 * is ever forgotten. New shares are a new revision, at most every every_s, and only where a share
 * moves by GY_BANDIT_STEP; so the probability with which a version was drawn stands in the revision
 * that answered. A row counts for the version that it was logged with.
 *
 * One thread at a time (the watcher's). */
#ifndef GY_WATCH_BANDIT_H
#define GY_WATCH_BANDIT_H

#include "serve/deploy.h"
#include "watch/arms.h"

#define GY_BANDIT_STEP 0.01
#define GY_BANDIT_DRAWS 10000
#define GY_BANDIT_MAX 1000 /* endpoints with a bandit at a time */

/* Pure. Shares of n arms (1 to GY_CANARIES_MAX + 1), which add up to 1, in steps of 0.0001; the
 * same for the same seed and stream. min_share is at most 1/n. */
void gy_bandit_shares(const struct gy_seq *arms, size_t n, double min_share, uint64_t seed,
                      uint64_t stream, double *ret);

struct gy_bandit;
/* d (copied; its serving must be there) and join must outlive it. Fails: NOMEM. */
GY_CHECKED gy_status gy_bandit_new(const struct gy_deployer *d, struct gy_join *join,
                                   struct gy_bandit **ret, struct gy_err *err);
void gy_bandit_free(struct gy_bandit *b);
GY_DEFINE_AUTO(struct gy_bandit *, gy_bandit_free);
/* Look at all endpoints once. What can not be changed does not keep the others from it; the first
 * failure comes back. */
GY_CHECKED gy_status gy_bandit_tick(struct gy_bandit *b, struct gy_err *err);

#endif
