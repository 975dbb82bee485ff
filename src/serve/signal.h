/* SPDX-License-Identifier: Apache-2.0 */
/* gy_signals: what other parts have to say about a rollout (drift in what the canary is asked, a
 * reviewer's alarm), kept until the guard of rollouts (watch/guard.h) reads it. Any thread; one
 * mutex; bounded: the newest GY_SIGNALS_MAX stay. */
#ifndef GY_SERVE_SIGNAL_H
#define GY_SERVE_SIGNAL_H

#include <pthread.h>

#include "base/limits.h"
#include "base/str.h"

#define GY_SIGNALS_MAX 256
#define GY_SIGNAL_MAX_REASON 256

enum gy_signal_kind {
    GY_SIGNAL_ROLL_BACK, /* take the canary back */
    GY_SIGNAL_HOLD,      /* do not promote it: a person decides */
};

struct gy_signal {
    enum gy_signal_kind kind;
    char endpoint[GY_MAX_NAME];
    char version[24]; /* of the canary that is meant */
    double value;
    char reason[GY_SIGNAL_MAX_REASON];
};

struct gy_signals {
    pthread_mutex_t mu; /* all below */
    struct gy_signal ring[GY_SIGNALS_MAX];
    size_t first, n;
};

void gy_signals_init(struct gy_signals *s);
void gy_signals_done(struct gy_signals *s);
/* false: endpoint or version are too long to be one. reason is cut to what fits. */
bool gy_signals_put(struct gy_signals *s, struct gy_str endpoint, struct gy_str version,
                    enum gy_signal_kind kind, double value, struct gy_str reason);
/* The oldest one comes out; false: there is none. */
bool gy_signals_take(struct gy_signals *s, struct gy_signal *ret);

#endif
