/* SPDX-License-Identifier: Apache-2.0 */
/* The live patients of a demo: a CSV file of vitals whose labels only the demo knows, asked one by
 * one over several connections, in the background where wanted, and afterwards judged by a
 * simulated reviewer. Owned by the main thread; only the worker threads touch a group while it
 * streams. */
#ifndef GY_CLI_DEMO_LIVE_H
#define GY_CLI_DEMO_LIVE_H

#include <stdatomic.h>

#include "base/id.h"
#include "base/str.h"

struct gy_pool;
struct gy_caller;

#define GY_DEMO_MAX_PATIENTS 200000
#define GY_DEMO_CONNECTIONS 4

struct gy_demo_patient {
    int64_t id;
    double hr, resp, temp;
    bool septic; /* what only the demo knows */
    /* What came back; answered is written last. */
    atomic_bool answered;
    bool alarm, by_rule;
    int version;
    char prediction_id[GY_UUID_TEXT];
};

/* One file of patients on its way through the endpoint. */
struct gy_demo_live {
    const char *address;
    struct gy_demo_patient *patients; /* gy_free by gy_demo_live_done */
    size_t n;
    double temp_offset;  /* a sensor's fault: added to Temp when asking */
    atomic_int pause_us; /* between two patients of a connection; 0: as fast as it goes */
    atomic_size_t next;
    atomic_size_t n_asked, n_failed; /* failed: any answer that was not 2xx, and no answer */
    atomic_bool stop;
    struct gy_pool *pool; /* NULL: nothing streams */
    size_t reviewed;      /* patients before it were judged */
};

/* Read file (columns patient_id, HR, Resp, Temp, isSepsis). Fails: NOTFOUND, SCHEMA, PARSE, NOMEM.
 */
GY_CHECKED gy_status gy_demo_live_load(const char *file, const char *address,
                                       struct gy_demo_live *ret, struct gy_err *err);
void gy_demo_live_done(struct gy_demo_live *l); /* stops it; NULL-safe parts */
/* Ask all patients from the first one that was not asked; gy_demo_live_join waits until all were,
 * gy_demo_live_stop ends it after the requests under way. */
GY_CHECKED gy_status gy_demo_live_start(struct gy_demo_live *l, struct gy_err *err);
void gy_demo_live_join(struct gy_demo_live *l);
void gy_demo_live_stop(struct gy_demo_live *l);

struct gy_demo_review {
    int64_t verdicts, wrong; /* wrong: the simulated reviewer erred */
};
/* Patients before this one were asked, and are answered or failed; while it streams some fewer than
 * really were. */
size_t gy_demo_live_answered(struct gy_demo_live *l);
/* Verdicts on the patients before `end` that were answered and not judged yet, through caller
 * (whose actor is the reviewer): the held label, wrong for a share `error` of them (a random stream
 * of seed and patient), tagged simulated. Fails as the route does. */
GY_CHECKED gy_status gy_demo_live_review(struct gy_demo_live *l, size_t end,
                                         struct gy_caller *caller, double error, uint64_t seed,
                                         struct gy_demo_review *ret, struct gy_err *err);

#endif
