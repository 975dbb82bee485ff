/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_search: space.c says what to try, search.c measures it. */
#ifndef GY_LEARN_SEARCH_INTERNAL_H
#define GY_LEARN_SEARCH_INTERNAL_H

#include "learn/search.h"

/* The i-th trial (from 0) of a search: the portfolio of its task, then what is drawn from the
 * stream (seed, i): half of it anywhere, half near `best` (MAY be NULL). Sets learner and settings
 * alone.
 */
void gy_space_trial(enum gy_task task, size_t i, uint64_t seed, const struct gy_trial *best,
                    struct gy_trial *ret);

#endif
