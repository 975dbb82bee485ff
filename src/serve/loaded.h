/* SPDX-License-Identifier: Apache-2.0 */
/* gy_loaded: a package in memory, with what was measured of it. Revisions of endpoints share it by
 * references: a change of traffic or of rules loads no package again. Immutable, but for what it
 * predicts with, which the process's budget of memory may unload (serve/budget.h); any thread. */
#ifndef GY_SERVE_LOADED_H
#define GY_SERVE_LOADED_H

#include <stdatomic.h>

#include "learn/predictor.h"
#include "serve/budget.h"
#include "serve/warmup.h"

struct gy_loaded {
    _Atomic uint32_t refs;
    struct gy_predictor *predictor;
    const struct gy_predictor_info *info;
    double row_ns;        /* time per row of a full chunk */
    size_t scratch_bytes; /* what the predictor needs for a chunk, a multiple of 64 */
    struct gy_warmup warmup;
    size_t bytes;             /* gy_predictor_bytes, while it is loaded */
    bool unloads;             /* the budget may unload it: whoever asks it holds it */
    char *dir;                /* of the package */
    _Atomic uint32_t holds;   /* who asks it now; GY_LOADED_AWAY: it is unloaded */
    _Atomic int64_t used_ns;  /* gy_mono_ns of when it was held last */
    struct gy_budget *budget; /* NULL: it is not counted */
    /* Of the budget, under its lock: */
    struct gy_loaded *prev, *next;
    bool loading;
};
#define GY_LOADED_AWAY 0x80000000u

/* Load it, warm it up (warmup.h) and count it in the budget (MAY be NULL). *ret has one reference.
 * Fails: CORRUPT (the folder's digest is another), NOTSERVABLE, NOTFOUND, NOMEM, and as
 * gy_budget_enter. */
GY_CHECKED gy_status gy_loaded_open(const char *package_dir, struct gy_str digest,
                                    struct gy_budget *budget, struct gy_loaded **ret,
                                    struct gy_err *err);
struct gy_loaded *gy_loaded_ref(struct gy_loaded *l);
void gy_loaded_unref(struct gy_loaded *l); /* NULL allowed */
GY_DEFINE_AUTO(struct gy_loaded *, gy_loaded_unref);

/* Around asking its predictor. try: never blocks; false: it is unloaded. The other one loads it
 * then. Fails: as gy_budget_load. */
bool gy_loaded_try_hold(struct gy_loaded *l);
GY_CHECKED gy_status gy_loaded_hold(struct gy_loaded *l, struct gy_err *err);
void gy_loaded_release(struct gy_loaded *l);

#endif
