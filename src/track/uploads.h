/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts: a client asks for one (how many parts, for which artifact), sends the parts in
 * any order, at once, and as often as it likes, and then says which of what it sent make the file.
 * Only then is there an artifact, whole. Here are the rows; the bytes of a part are an object,
 * which api/mlflow_mpu.c stores before the row and removes before the row goes.
 *
 * States: open -> completed or aborted, once. An upload that is not completed within
 * GY_UPLOAD_MAX_AGE_S counts as aborted. Scope: an upload belongs to gy_db_workspace(db), in which
 * alone it is found. Functions run inside closures of the store; results live in the arena. */
#ifndef GY_TRACK_UPLOADS_H
#define GY_TRACK_UPLOADS_H

#include "track/artifacts.h"

#define GY_UPLOAD_MAX_PARTS 10000 /* of one upload */
#define GY_UPLOAD_MAX_AGE_S (24 * 3600)
#define GY_UPLOAD_MAX_OPEN 1000   /* of one workspace */
#define GY_UPLOAD_MAX_VERSIONS 16 /* of one part: different bytes that came in for it */
#define GY_UPLOAD_ID 33           /* 32 hex digits and a NUL */
#define GY_UPLOAD_KEY 65          /* 64 hex digits and a NUL */

enum gy_upload_state { GY_UPLOADING, GY_UPLOAD_COMPLETED, GY_UPLOAD_ABORTED };

struct gy_upload_row {
    struct gy_str path;
    int64_t n_parts, expires_us;
    enum gy_upload_state state; /* ABORTED too when it has expired */
};

/* What signs the places of parts, made when there is none: one of a database. Write closure. */
GY_CHECKED gy_status gy_upload_key(struct gy_db *db, char ret[GY_UPLOAD_KEY], struct gy_err *err);
/* Fails: DENIED (there is none, so nothing was ever signed). */
GY_CHECKED gy_status gy_upload_read_key(struct gy_db *db, char ret[GY_UPLOAD_KEY],
                                        struct gy_err *err);

/* Write closures. create: *ret_id names it. Fails: INVALID (n_parts, path), BUSY (too many open),
 * and as gy_artifact_check. */
GY_CHECKED gy_status gy_upload_create(struct gy_db *db, struct gy_str path, int64_t n_parts,
                                      struct gy_str actor, char ret_id[GY_UPLOAD_ID],
                                      struct gy_err *err);
/* Fails: NOTFOUND. */
GY_CHECKED gy_status gy_upload_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                   struct gy_upload_row *ret, struct gy_err *err);
/* Note that object sha256 holds what came in for a part. Fails: NOTFOUND (no such upload, or part),
 * CONFLICT (it is not open any more), TOOBIG (too many versions of this part). */
GY_CHECKED gy_status gy_upload_add_part(struct gy_db *db, struct gy_str id, int64_t part,
                                        struct gy_str sha256, int64_t size_bytes,
                                        struct gy_err *err);
/* The upload becomes artifact path with these bytes, or is one already (of a completion that was
 * asked for twice). Fails: NOTFOUND, CONFLICT (aborted), and as gy_artifact_put. */
GY_CHECKED gy_status gy_upload_complete(struct gy_db *db, struct gy_str id, struct gy_str sha256,
                                        int64_t size_bytes, struct gy_str actor,
                                        struct gy_err *err);
/* An upload that is open is aborted; any other is left as it is. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_upload_abort(struct gy_db *db, struct gy_str id, struct gy_err *err);

struct gy_upload_part {
    struct gy_str upload, sha256;
    int64_t part, size_bytes;
};
/* Does the part exist with this object? Fails: INVALID (it does not). */
GY_CHECKED gy_status gy_upload_find_part(struct gy_db *db, struct gy_str id, int64_t part,
                                         struct gy_str sha256, int64_t *ret_size,
                                         struct gy_err *err);

/* Parts that nobody needs any more, of all workspaces: of uploads that are over, at most max.
 * Remove the objects, then drop the rows; between the two they may be found again. */
GY_CHECKED gy_status gy_upload_dead_parts(struct gy_db *db, size_t max, struct gy_arena *a,
                                          struct gy_upload_part **ret, size_t *ret_n,
                                          struct gy_err *err);
/* Drop the rows of parts; and uploads that have expired and have no parts left. Write closure. */
GY_CHECKED gy_status gy_upload_drop(struct gy_db *db, const struct gy_upload_part *parts, size_t n,
                                    struct gy_err *err);

#endif
