/* SPDX-License-Identifier: Apache-2.0 */
/* gy_letters: the dead letters of uploads (api/data_ingest.c), a row each, in the transaction that
 * makes the version of the upload; a replay marks them in the transaction that makes the version
 * they come into. So a letter is there exactly when its upload's version is, and is in a table at
 * most once, however many servers work on the database. Known by the upload's bytes and the row in
 * them (data/letter.h): the same file sent again has the same letters.
 * Scope: gy_db_workspace(db). Inside store closures; results live in the arena. */
#ifndef GY_DATA_LETTERS_H
#define GY_DATA_LETTERS_H

#include "base/json.h"
#include "data/check.h"
#include "store/store.h"

#define GY_LETTERS_MAX 100000 /* of one upload */
#define GY_LETTERS_MAX_BYTES ((int64_t)(256 * GY_MIB))
#define GY_LETTERS_PAGE 1000 /* of one answer, at most */

struct gy_stored_letter {
    int64_t seq;
    struct gy_str id, codes /* ",RANGE,UNIQUE," */, json /* data/deadletter.h */;
    int64_t version;          /* of its upload */
    int64_t refusals;         /* by replays */
    int64_t replayed_version; /* 0: it is dead */
    struct gy_str replayed_by;
    int64_t replayed_us;
};

/* The letters of the log at path, of an upload that became that version. Those that are known
 * already stay as they are. Fails: TOOBIG, as files do. */
GY_CHECKED gy_status gy_letters_add(struct gy_db *db, struct gy_str name, int64_t version,
                                    const char *path, struct gy_str actor, struct gy_err *err);

struct gy_letters_filter {
    int64_t after;       /* seq above it */
    struct gy_str code;  /* "RANGE"; absent: any */
    bool dead, replayed; /* only those; both false: all */
    int64_t version;     /* of the upload; 0: any */
};
/* By seq, at most max. */
GY_CHECKED gy_status gy_letters_list(struct gy_db *db, struct gy_str name,
                                     const struct gy_letters_filter *f, size_t max,
                                     struct gy_arena *a, struct gy_stored_letter **ret,
                                     size_t *ret_n, struct gy_err *err);
/* Fails: NOTFOUND. */
GY_CHECKED gy_status gy_letters_get(struct gy_db *db, struct gy_str name, struct gy_str id,
                                    struct gy_arena *a, struct gy_stored_letter *ret,
                                    struct gy_err *err);
/* It came into that version. Fails: CONFLICT (it did so before, into whichever). */
GY_CHECKED gy_status gy_letters_replayed(struct gy_db *db, struct gy_str name, struct gy_str id,
                                         int64_t version, struct gy_str actor, struct gy_err *err);
/* It stays dead, for these reasons. */
GY_CHECKED gy_status gy_letters_refused(struct gy_db *db, struct gy_str name, struct gy_str id,
                                        struct gy_str json, struct gy_str codes,
                                        struct gy_err *err);
/* ",RANGE,UNIQUE," appended. */
void gy_letters_codes(struct gy_buf *out, unsigned codes);
/* The letter's JSON with other reasons appended. */
void gy_letters_with_reasons(struct gy_buf *out, yyjson_val *letter, const struct gy_reasons *r);

#endif
