/* SPDX-License-Identifier: Apache-2.0 */
/* gy_rollout: under what a canary is rolled back, promoted or left to a person, as the `rollout`
 * section of an endpoint says it; watch/guard.h acts on it. */
#ifndef GY_SERVE_ROLLOUT_H
#define GY_SERVE_ROLLOUT_H

#include "base/json.h"
#include "base/limits.h"

struct gy_rollout {
    double canary;            /* share that a canary gets when the deployment names none; 0.1 */
    int64_t min_requests;     /* answered by the canary before it is judged; 200 */
    int64_t min_labels;       /* labelled rows of each before recall is compared; 50 */
    double max_error_rate;    /* of the canary's requests; 0.02 */
    double max_p99_ms;        /* NaN: latency is not judged */
    double recall_change_min; /* canary minus stable, e.g. -0.05; NaN: recall is not judged */
    bool promote;             /* auto: promoted when nothing speaks against it */
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
