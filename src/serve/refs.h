/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects the tables speak of: what a backup has to take along, and what must not be tidied
 * away. The tables and columns stand in refs.c; a test fails when a migration adds a column of
 * digests that it does not know. */
#ifndef GY_SERVE_REFS_H
#define GY_SERVE_REFS_H

#include "store/store.h"

/* Call fn for each object that is named, once, in order of the names. The view lives during the
 * call; a failing fn ends the walk. unfinished: also those of uploads that are
 * under way. Inside a read closure. */
typedef gy_status (*gy_ref_fn)(void *ctx, struct gy_str sha256, struct gy_err *err);
GY_CHECKED gy_status gy_refs_each(struct gy_db *db, bool unfinished, gy_ref_fn fn, void *ctx,
                                  struct gy_err *err);

/* A set of such names, for whoever has to ask about many. Caller storage; zeroed is empty. At most
 * GY_REFS_MAX names (TOOBIG). add: those of one more database; before asking, as often as wanted.
 */
#define GY_REFS_MAX ((size_t)100 * 1000 * 1000)
struct gy_refs {
    unsigned char (*names)[32];
    size_t n, cap;
    bool sorted;
};
GY_CHECKED gy_status gy_refs_add(struct gy_refs *set, struct gy_db *db, bool unfinished,
                                 struct gy_err *err);
bool gy_refs_has(struct gy_refs *set, const char *sha256);
void gy_refs_done(struct gy_refs *set);
GY_DEFINE_AUTO_DONE(struct gy_refs, gy_refs_done);

/* Is one object named now, by what is finished? A closure for gy_store_read; ctx is this. */
struct gy_ref_asked {
    struct gy_str sha256;
    bool named; /* the answer */
};
GY_CHECKED gy_status gy_refs_ask(struct gy_db *db, void *asked, struct gy_err *err);

/* For the test: does table.column name objects (1), hold digests of something else (0), or is it
 * not known here (-1)? */
int gy_refs_knows(struct gy_str table, struct gy_str column);

#endif
