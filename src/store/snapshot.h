/* SPDX-License-Identifier: Apache-2.0 */
/* gy_snapshot: the database as it was at one point, held on a connection of its own while it is
 * read or copied; writers go on meanwhile. And the way back: filling a store from a saved copy. A
 * saved copy is always a SQLite file with this program's schema, whatever the store was, so that a
 * copy of one kind of store can be loaded into another.
 *
 * Thread rule: one owner; free it soon, since what was changed meanwhile can not be tidied away
 * before. */
#ifndef GY_STORE_SNAPSHOT_H
#define GY_STORE_SNAPSHOT_H

#include "store/store.h"

struct gy_snapshot;

/* at_point (MAY be NULL) is called when the state is fixed and while no write can happen: what it
 * notes elsewhere belongs to this very state. It must be quick; its failure is the caller's.
 * Fails: UNSUPPORTED (a database in memory), BUSY, IO, NOMEM. */
typedef gy_status (*gy_snapshot_fn)(void *ctx, struct gy_err *err);
GY_CHECKED gy_status gy_snapshot_open(struct gy_store *s, gy_snapshot_fn at_point, void *ctx,
                                      struct gy_snapshot **ret, struct gy_err *err);
void gy_snapshot_free(struct gy_snapshot *s);
GY_DEFINE_AUTO(struct gy_snapshot *, gy_snapshot_free);

/* Run fn on the snapshot; it must only read. As often as wanted. */
GY_CHECKED gy_status gy_snapshot_read(struct gy_snapshot *s, gy_db_fn fn, void *ctx,
                                      struct gy_err *err);
/* Write it to a new file; not yet synced. Fails: EXISTS, NOSPACE, IO. */
GY_CHECKED gy_status gy_snapshot_save(struct gy_snapshot *s, const char *path, struct gy_err *err);

/* Rows of each table, in order of the tables' names, in the arena. */
struct gy_table_count {
    struct gy_str table;
    int64_t rows;
};
/* Inside a closure of any store; the tables are those of this program's schema. */
GY_CHECKED gy_status gy_store_count(struct gy_db *db, struct gy_arena *a,
                                    struct gy_table_count **ret, size_t *ret_n, struct gy_err *err);
/* Call fn with the saved file as a database, for reading; CORRUPT when its structures are damaged.
 * Its schema may be older than the program's. */
GY_CHECKED gy_status gy_saved_read(const char *path, gy_db_fn fn, void *ctx, struct gy_err *err);
/* Fill a store that holds nothing but what a new one holds (else CONFLICT) with a saved file of the
 * same schema (else VERSION), in one transaction. */
GY_CHECKED gy_status gy_store_load(struct gy_store *s, const char *path, struct gy_err *err);

#endif
