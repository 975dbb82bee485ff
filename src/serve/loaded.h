/* SPDX-License-Identifier: Apache-2.0 */
/* gy_loaded: a package in memory, with what was measured of it. Revisions of endpoints share it by
 * references: a change of traffic or of rules loads no package again. Immutable; any thread. */
#ifndef GY_SERVE_LOADED_H
#define GY_SERVE_LOADED_H

#include <stdatomic.h>

#include "learn/predictor.h"
#include "serve/warmup.h"

struct gy_loaded {
    _Atomic uint32_t refs;
    struct gy_predictor *predictor;
    const struct gy_predictor_info *info;
    double row_ns;        /* time per row of a full chunk */
    size_t scratch_bytes; /* what the predictor needs for a chunk, a multiple of 64 */
    struct gy_warmup warmup;
};

/* Load it and warm it up (warmup.h). *ret has one reference. Fails: CORRUPT (the folder's digest is
 * another), NOTSERVABLE, NOTFOUND, NOMEM. */
GY_CHECKED gy_status gy_loaded_open(const char *package_dir, struct gy_str digest,
                                    struct gy_loaded **ret, struct gy_err *err);
struct gy_loaded *gy_loaded_ref(struct gy_loaded *l);
void gy_loaded_unref(struct gy_loaded *l); /* NULL allowed */
GY_DEFINE_AUTO(struct gy_loaded *, gy_loaded_unref);

#endif
