/* SPDX-License-Identifier: Apache-2.0 */
/* What was erased of whom, when, why and by whom; and what must not be erased. A subject is written
 * down as a keyed hash (store/erasure_key.h), never by its id. An erasure is running until all of
 * it is done: whoever asks for the same subject again goes on with it.
 *
 * The ledger: each erasure is also a signed file FOLDER/<id>.json, in the home's erasures/ and in
 * the archives of backups. It says no more than the table, and lets a restored snapshot, whose
 * table is older, be brought up to date.
 *
 * Functions with a gy_db run inside closures. */
#ifndef GY_STORE_ERASURES_H
#define GY_STORE_ERASURES_H

#include "store/erasure_key.h"
#include "store/home.h"
#include "store/store.h"

#define GY_ERASURES_DIR "erasures"  /* in a home and in an archive */
#define GY_ERASURE_MAX_REASON 2000  /* bytes */
#define GY_ERASURES_MAX_LIST 100000 /* of one answer */

struct gy_erasure {
    struct gy_str id;           /* UUIDv7 */
    struct gy_str subject_hash; /* GY_ERASURE_HASH bytes as hex */
    struct gy_str reason, state, actor;
    struct gy_str dataset;       /* absent: from everywhere; else only from this one */
    bool possible;               /* also where no column is said to identify people */
    int64_t created_us, done_us; /* 0: not yet */
};

/* The running erasure of this subject and dataset (*ret_resumed: it was begun before; its reason
 * stays), else a new one with the given id (absent: made) and time (0: now). */
GY_CHECKED gy_status gy_erasure_begin(struct gy_db *db, const struct gy_erasure *e,
                                      struct gy_arena *a, struct gy_erasure *ret, bool *ret_resumed,
                                      struct gy_err *err);
/* Add to what was taken out. */
GY_CHECKED gy_status gy_erasure_item(struct gy_db *db, struct gy_str id, const char *kind,
                                     struct gy_str item, int64_t n, struct gy_err *err);
GY_CHECKED gy_status gy_erasure_finish(struct gy_db *db, struct gy_str id, struct gy_err *err);
/* Fails: NOTFOUND. */
GY_CHECKED gy_status gy_erasure_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                    struct gy_erasure *ret, struct gy_err *err);
/* Newest first; of one subject, or (absent) all. */
GY_CHECKED gy_status gy_erasure_list(struct gy_db *db, struct gy_str subject_hash, size_t max,
                                     struct gy_arena *a, struct gy_erasure **ret, size_t *ret_n,
                                     struct gy_err *err);
struct gy_erasure_item {
    struct gy_str kind, item;
    int64_t n;
};
GY_CHECKED gy_status gy_erasure_items(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                      struct gy_erasure_item **ret, size_t *ret_n,
                                      struct gy_err *err);

/* ---- holds ---- */

struct gy_hold {
    struct gy_str id, kind, target, reason, actor, released_by, release_reason;
    int64_t created_us, released_us; /* 0: it holds */
};
/* kind "subject" (target: the hash) or "dataset". Fails: EXISTS (it is held already). */
GY_CHECKED gy_status gy_hold_add(struct gy_db *db, const char *kind, struct gy_str target,
                                 struct gy_str reason, struct gy_str actor, struct gy_err *err);
/* Fails: NOTFOUND (nothing holds it). */
GY_CHECKED gy_status gy_hold_release(struct gy_db *db, const char *kind, struct gy_str target,
                                     struct gy_str reason, struct gy_str actor, struct gy_err *err);
/* CONFLICT naming the hold, its reason and who set it; GY_OK when nothing holds the target. */
GY_CHECKED gy_status gy_hold_check(struct gy_db *db, const char *kind, struct gy_str target,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_hold_list(struct gy_db *db, struct gy_arena *a, struct gy_hold **ret,
                                  size_t *ret_n, struct gy_err *err);

/* ---- the ledger ---- */

/* Write the entry (and the key) to a folder, made when absent. Fails: CONFLICT (another home's),
 * IO.
 */
GY_CHECKED gy_status gy_ledger_write(const char *folder, const struct gy_erasure_key *key,
                                     const struct gy_erasure *e, struct gy_err *err);
/* All entries of a folder, oldest first, signatures checked; none when the folder has no key.
 * Fails: CORRUPT (an entry is not as it was signed: named), TOOBIG. */
GY_CHECKED gy_status gy_ledger_read(const char *folder, struct gy_erasure_key *ret_key,
                                    struct gy_arena *a, struct gy_erasure **ret, size_t *ret_n,
                                    struct gy_err *err);

/* Archives that snapshots of this home were put into, one path a line, so that an erasure is
 * written to their ledgers as well. */
GY_CHECKED gy_status gy_ledger_remember_archive(const struct gy_home *h, const char *dir,
                                                struct gy_err *err);
typedef gy_status (*gy_archive_dir_fn)(void *ctx, const char *dir, struct gy_err *err);
GY_CHECKED gy_status gy_ledger_each_archive(const struct gy_home *h, gy_archive_dir_fn fn,
                                            void *ctx, struct gy_err *err);

#endif
