/* SPDX-License-Identifier: Apache-2.0 */
/* Comments on runs and model versions: what people say beside what was measured. Nothing is ever
 * lost: an edit adds a text, a deletion is a mark that hides them. The subject is a lineage node,
 * "run:<id>" or "model:<name>/<version>". Inside closures of the store; results in the arena. */
#ifndef GY_TRACK_COMMENTS_H
#define GY_TRACK_COMMENTS_H

#include "track/track.h"

#define GY_COMMENT_MAX_BYTES 16384 /* of one text */
#define GY_COMMENT_MAX_EDITS 1000  /* texts of one comment */
#define GY_COMMENT_MAX_LIST 1000   /* comments of one subject that are listed, the newest */

struct gy_comment {
    struct gy_str id;      /* UUIDv7 */
    struct gy_str subject; /* a lineage node */
    struct gy_str text;    /* the newest; absent when it was deleted */
    int64_t n_texts;       /* 1: never edited */
    struct gy_str actor, deleted_by;
    int64_t created_us, edited_us /* 0: never */, deleted_us /* 0: it is not */;
};
/* One of the texts that a comment had. */
struct gy_comment_text {
    int64_t number; /* from 1 */
    struct gy_str text, actor;
    int64_t time_us;
};

/* A subject that is there: "run:<id>", or "model:" and what gy_registry_resolve takes; *ret names
 * the version by its number. Fails: NOTFOUND, INVALID. */
GY_CHECKED gy_status gy_comment_subject(struct gy_db *db, struct gy_str subject, struct gy_arena *a,
                                        struct gy_str *ret, struct gy_err *err);
/* Adds the event comment.added. Fails: UNAUTHENTICATED (anonymous), INVALID (empty, too long, not
 * UTF-8). */
GY_CHECKED gy_status gy_comment_add(struct gy_db *db, struct gy_str subject, struct gy_str text,
                                    struct gy_str actor, struct gy_arena *a, struct gy_comment *ret,
                                    struct gy_err *err);
/* Only who wrote it may. Fails: NOTFOUND, CONFLICT (it is deleted), DENIED, TOOBIG, and as add. */
GY_CHECKED gy_status gy_comment_edit(struct gy_db *db, struct gy_str id, struct gy_str text,
                                     struct gy_str actor, struct gy_arena *a,
                                     struct gy_comment *ret, struct gy_err *err);
/* Only who wrote it, or an administrator. Again: nothing changes. Fails: as edit. */
GY_CHECKED gy_status gy_comment_delete(struct gy_db *db, struct gy_str id, struct gy_str actor,
                                       bool is_admin, struct gy_arena *a, struct gy_comment *ret,
                                       struct gy_err *err);
/* Fails: NOTFOUND. */
GY_CHECKED gy_status gy_comment_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                    struct gy_comment *ret, struct gy_err *err);
/* Oldest first. with_deleted: those too, without their texts. */
GY_CHECKED gy_status gy_comment_list(struct gy_db *db, struct gy_str subject, bool with_deleted,
                                     struct gy_arena *a, struct gy_comment **ret, size_t *ret_n,
                                     struct gy_err *err);
/* Every text there was, oldest first, of a deleted one too. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_comment_texts(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                      struct gy_comment_text **ret, size_t *ret_n,
                                      struct gy_err *err);

#endif
