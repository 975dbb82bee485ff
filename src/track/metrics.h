/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of runs and of logged models. The history of a run's key is a set of (timestamp, step,
 * value): writing a point again changes nothing, so retries are safe. The latest point, greatest by
 * (step, timestamp, value) with NaN as 0, is kept beside it. Infinities are kept as the largest
 * double of their sign. */
#ifndef GY_TRACK_METRICS_H
#define GY_TRACK_METRICS_H

#include "track/track.h"

struct gy_metric {
    struct gy_str key;
    double value; /* NaN is a value */
    int64_t ts_ms, step;
    struct gy_str model_id, dataset_name, dataset_digest; /* absent: of the run alone */
    struct gy_str run_id;                                 /* filled for logged models */
};

/* Name, length and time of one; path is "metrics[3]" or "" for messages. Fails: INVALID. */
GY_CHECKED gy_status gy_metric_check(const struct gy_metric *m, const char *path,
                                     struct gy_err *err);
/* Points of one run, checked before; those with a model_id go to that model, too. Fails: NOTFOUND
 * (an unknown logged model). */
GY_CHECKED gy_status gy_metrics_log(struct gy_db *db, int64_t run_seq, struct gy_str run_id,
                                    const struct gy_metric *metrics, size_t n, struct gy_err *err);

/* ---- histories ---- */

/* Called for each point; the views live during the call. A failing one ends the walk. */
typedef gy_status (*gy_metric_fn)(void *ctx, const struct gy_metric *m, struct gy_err *err);
/* Points of one key in the order timestamp, step, value, one by one: a history may be larger than
 * a request's memory. At most max (> 0) from the place of the token on; *ret_token (in the arena)
 * is absent on the last page. An unknown key has no points. Fails: INVALID (token), and as fn. */
GY_CHECKED gy_status gy_metrics_history(struct gy_db *db, int64_t run_seq, struct gy_str key,
                                        int64_t max, struct gy_str page_token, struct gy_arena *a,
                                        gy_metric_fn fn, void *ctx, struct gy_str *ret_token,
                                        struct gy_err *err);

/* A run whose history is asked for: its number, and its id for the answer. */
struct gy_metric_run {
    int64_t seq;
    struct gy_str id;
};
/* Points of one key of each run in turn, at most max of all: m->run_id says whose. */
GY_CHECKED gy_status gy_metrics_bulk(struct gy_db *db, const struct gy_metric_run *runs, size_t n,
                                     struct gy_str key, int64_t max, gy_metric_fn fn, void *ctx,
                                     struct gy_err *err);

struct gy_metric_range { /* of steps, both ends included */
    bool given;
    int64_t start, end;
};
#define GY_METRICS_MAX_STEPS \
    (16 * 1000 * 1000)               /* of histories with gaps that are sampled together */
#define GY_METRICS_MAX_SAMPLED 25000 /* points a run */
/* A sample of about max steps of the runs' histories together, evenly taken from the different
 * steps that there are within the range (without one: from 0 on), with the last of them and with
 * the first and last of each run; then all points on these steps, run by run, in the order step,
 * timestamp, value. A history without gaps is not read as a whole for that. Fails: TOOBIG (too many
 * steps), and as fn. */
GY_CHECKED gy_status gy_metrics_sample(struct gy_db *db, const struct gy_metric_run *runs, size_t n,
                                       struct gy_str key, struct gy_metric_range range, int64_t max,
                                       gy_metric_fn fn, void *ctx, struct gy_err *err);

/* All points of a logged model, by key, timestamp, step. */
GY_CHECKED gy_status gy_metrics_of_model(struct gy_db *db, struct gy_str model_id,
                                         struct gy_arena *a, struct gy_metric **ret, size_t *ret_n,
                                         struct gy_err *err);

#endif
