/* SPDX-License-Identifier: Apache-2.0 */
/* gy_warmup: a loaded model answers before anybody asks it: its own input example, then made-up
 * rows over what training saw, one at a time and GY_ENDPOINT_CHUNK at once. So its memory is there
 * when the first request comes, the time of a row is known, and a model that gives no number is
 * told before it is served. */
#ifndef GY_SERVE_WARMUP_H
#define GY_SERVE_WARMUP_H

#include "base/json.h"
#include "learn/predictor.h"

struct gy_warmup {
    double single_ns; /* one row alone: the best of a few */
    double row_ns;    /* a row of a full chunk: the best of a few */
    double took_ns;   /* all of it */
    size_t rows;      /* that were answered; 0: not tried, it waits for another process */
    bool example;     /* its own example was among them */
};

/* Blocking. scratch_bytes: of the predictor for a full chunk. Fails: NOTSERVABLE (the example, or
 * every made-up row, gets no finite number), NOMEM. */
GY_CHECKED gy_status gy_warmup_run(const struct gy_predictor *p, size_t scratch_bytes,
                                   struct gy_warmup *ret, struct gy_err *err);
/* The members of an object that is open. */
void gy_warmup_write(struct gy_jw *w, const struct gy_warmup *u);

#endif
