/* SPDX-License-Identifier: Apache-2.0 */
/* gy_arm: what feedback says of one version of an endpoint: the rows that it answered since it
 * came, found in the join by the version that each prediction was logged with, never by the shares
 * there are now. */
#ifndef GY_WATCH_ARMS_H
#define GY_WATCH_ARMS_H

#include "serve/rollout.h"
#include "watch/join.h"
#include "watch/sequential.h"

struct gy_arm {
    uint64_t labelled; /* rows that have a value of any metric */
    struct gy_seq metric[GY_N_METRICS];
    /* Of the rewards, or where there is none: was the model right? For estimates of what this
     * version would bring if it answered everybody (inverse propensity scoring, Horvitz and
     * Thompson 1952): each row weighs 1/share, the share that the version had in the revision that
     * answered it. Rows whose version was not drawn (the request named it) are left out. */
    double ips_sum, ips_weight; /* of value/share; of 1/share */
    uint64_t ips_rows;
};

/* One row; fills *ret by metric, NaN where it says nothing of it. */
void gy_arm_values(const struct gy_join_row *row, double ret[GY_N_METRICS]);
/* The rows of one version from since_us on (until_us 0: to now). Not inside a store closure. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_arm_count(struct gy_join *j, struct gy_str endpoint, struct gy_str version,
                                  int64_t since_us, int64_t until_us, struct gy_arm *ret,
                                  struct gy_err *err);

#endif
