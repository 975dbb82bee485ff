/* SPDX-License-Identifier: Apache-2.0 */
/* gy_rollout: under what a canary is rolled back, promoted or left to a person, and how traffic is
 * divided meanwhile, as the `rollout` section of an endpoint says it; watch/guard.h and
 * watch/bandit.h act on it. */
#ifndef GY_SERVE_ROLLOUT_H
#define GY_SERVE_ROLLOUT_H

#include "base/json.h"
#include "base/limits.h"

/* What versions are compared by, a value from 0 to 1 for each row that feedback told of. */
enum gy_metric {
    GY_METRIC_RECALL,   /* positive rows: did the model find it? MULTICLASS: as accuracy */
    GY_METRIC_ACCURACY, /* was the model right? */
    GY_METRIC_REWARD,   /* the reward that came for the answer */
    GY_N_METRICS
};
const char *gy_metric_name(enum gy_metric m); /* "recall" */

enum gy_strategy {
    GY_STRATEGY_FIXED, /* shares stay as they were set */
    GY_STRATEGY_BANDIT /* Thompson sampling divides the traffic */
};

struct gy_rollout {
    double canary;         /* share that a canary gets when the deployment names none; 0.1 */
    int64_t min_requests;  /* answered by the canary before it is judged; 200 */
    int64_t min_labels;    /* labelled rows of each before recall is compared; 50 */
    double max_error_rate; /* of the canary's requests; 0.02 */
    double max_p99_ms;     /* NaN: latency is not judged */
    double change_min; /* of the metric, canary minus stable: -0.05 is not worse by more than that,
                          0.02 is better by at least that; NaN: it is not judged */
    double alpha;      /* of wrong decisions, over all looks: watch/guard.h; 0.05 */
    enum gy_metric metric; /* what change_min and the bandit are about */
    enum gy_strategy strategy;
    double min_share;                    /* bandit: of each version; 0.05 */
    int64_t seed;                        /* bandit */
    int64_t every_s;                     /* bandit: shares change at most so often; 60 */
    bool promote;                        /* auto: promoted when nothing speaks against it */
    char promote_alias[GY_MAX_NAME + 1]; /* moves to the version that is promoted; "": none does */
    int64_t after_s; /* it runs so long at least; past it, what is undecided is told */
};

/* object: the section; NULL: the defaults. Fails: INVALID (unknown key, value out of range). */
GY_CHECKED gy_status gy_rollout_read(yyjson_val *object, struct gy_rollout *ret,
                                     struct gy_err *err);

/* A share of the traffic: 0 to 1. Fails: INVALID, naming key. */
GY_CHECKED gy_status gy_rollout_share(yyjson_val *v, const char *key, double *ret,
                                      struct gy_err *err);

#endif
