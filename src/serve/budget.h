/* SPDX-License-Identifier: Apache-2.0 */
/* gy_budget: how much memory the loaded models of a process may take together, as their runtimes
 * tell it (gy_predictor_bytes). With a limit, a model that needs room gets it from those that were
 * not asked for longest: they are unloaded, and loaded again when they are asked next. What a model
 * is (inputs, classes, its digest) stays, so an unloaded one is served like any other.
 *
 * Who is about to ask a model holds it, and what is held is not unloaded. Event loops only try
 * (gy_loaded_try_hold: two atomic operations, none without a limit); where that fails a pool thread
 * takes over, which may wait for the file (gy_loaded_hold). Whoever waits for a model holds no
 * other one, so nobody waits for what he keeps himself.
 *
 * Thread safe. It outlives all models that are counted in it. */
#ifndef GY_SERVE_BUDGET_H
#define GY_SERVE_BUDGET_H

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

#define GY_BUDGET_MIN_BYTES ((size_t)4 * GY_KIB) /* below is a mistake: "512" for 512M */
#define GY_BUDGET_WAIT_MS 10000                  /* for room, while all others are being asked */

struct gy_budget;
struct gy_loaded; /* serve/loaded.h */

struct gy_budget_stats {
    size_t limit;          /* bytes; 0: none */
    size_t bytes;          /* of those that are loaded; with a limit never more than that */
    size_t loaded, models; /* models that are loaded; all that are served */
    uint64_t loads, unloads, failures; /* unloads: to make room; failures: of loading again */
    uint64_t load_ns;                  /* that loading took, together */
};

/* limit 0: none, it only counts. Fails: NOMEM. */
GY_CHECKED gy_status gy_budget_new(size_t limit_bytes, struct gy_budget **ret, struct gy_err *err);
void gy_budget_free(struct gy_budget *b); /* NULL allowed */
void gy_budget_get_stats(struct gy_budget *b, struct gy_budget_stats *ret);

/* After a publication: what unloading has freed since, between what stays, goes back to the system.
 * Takes milliseconds; never on a loop. */
void gy_budget_settle(struct gy_budget *b);

/* ---- for loaded.c ---- */

/* It was just loaded (which took so long): count it, making room. Fails: NOTSERVABLE (it alone is
 * larger than the limit), BUSY (all others are being asked, for GY_BUDGET_WAIT_MS). */
GY_CHECKED gy_status gy_budget_enter(struct gy_budget *b, struct gy_loaded *l, uint64_t took_ns,
                                     struct gy_err *err);
void gy_budget_leave(struct gy_budget *b, struct gy_loaded *l); /* before it is freed */
/* It was found unloaded: load it, or wait for who does, and hold it. Blocks. Fails: BUSY as above,
 * UNAVAILABLE (it can not be loaded, with the reason). */
GY_CHECKED gy_status gy_budget_load(struct gy_budget *b, struct gy_loaded *l, struct gy_err *err);

/* The option --model-memory: "268435456", "256M", "2G" (K, M, G: of 1024), "0" for no limit.
 * Fails: USAGE saying what is expected. */
GY_CHECKED gy_status gy_budget_parse(struct gy_str text, size_t *ret_bytes, struct gy_err *err);

#endif
