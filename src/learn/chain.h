/* SPDX-License-Identifier: Apache-2.0 */
/* gy_chain_package: several models as one package (runtime/chain.h answers). The package holds its
 * parts whole, each the folder of a package, byte for byte, so it is one thing: registered,
 * verified, deployed, backed up as any other, and what becomes of the registered models that the
 * parts came from changes nothing. model.json says the parts, where they came from, and what feeds
 * what. */
#ifndef GY_LEARN_CHAIN_H
#define GY_LEARN_CHAIN_H

#include "base/arena.h"
#include "learn/model.h"
#include "learn/runtime/chain.h"

#define GY_CHAIN_PART_DIR "parts/%zu" /* in the package; from 0 */

struct gy_chain_part {
    const char *dir;      /* of its package */
    struct gy_str name;   /* as the feeds call it: of the registered model, of the folder */
    int64_t version;      /* of the registered model; 0: it came from a folder */
    struct gy_str sha256; /* gy_package_digest; gy_chain_package finds it out */
};

struct gy_chain_plan {
    const struct gy_chain_part *parts; /* in order */
    size_t n_parts;
    /* "INPUT=PART.OUTPUT"; PART is a name or a place from 1. None: an input of a later part that is
     * named like what an earlier part predicts is fed by its prediction. */
    const char *const *feeds;
    size_t n_feeds;
};

struct gy_chained {
    char task[16];
    size_t n_inputs, n_fed;
};

/* Write the package into dir, an empty folder. Fails: INVALID (parts or feeds that do not fit, with
 * what to do), TOOBIG, as gy_predictor_load of the parts, as files do. */
GY_CHECKED gy_status gy_chain_package(const struct gy_chain_plan *plan, const char *dir,
                                      struct gy_chained *ret, struct gy_err *err);

/* What the parameters of a chain's model.json say. */
struct gy_chain_said {
    struct gy_chain_part parts[GY_CHAIN_MAX_PARTS]; /* dir: NULL */
    size_t n_parts;
    struct gy_chain_feed *feeds;
    size_t n_feeds;
};
/* params: of the learner. Strings and feeds live in the arena. Fails: CORRUPT, NOMEM. */
GY_CHECKED gy_status gy_chain_read(yyjson_val *params, struct gy_arena *a,
                                   struct gy_chain_said *ret, struct gy_err *err);

#endif
