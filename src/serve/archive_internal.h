/* SPDX-License-Identifier: Apache-2.0 */
/* What archive.c (making, listing, verifying, pruning) and archive_restore.c share: the files of a
 * snapshot and its manifest. */
#ifndef GY_SERVE_ARCHIVE_INTERNAL_H
#define GY_SERVE_ARCHIVE_INTERNAL_H

#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "serve/archive.h"
#include "store/snapshot.h"

#define GY_ARCHIVE_FORMAT 1
#define GY_ARCHIVE_MAX_MANIFEST (256 * GY_MIB)

/* Copy the first max_bytes (-1: all) of a file to a new one of the same mode, synced. sha256 of
 * what was copied. Fails: NOTFOUND, NOSPACE, IO. */
GY_CHECKED gy_status gy_archive_copy_file(const char *from, const char *to, int64_t max_bytes,
                                          char ret_sha256[GY_SHA256_HEX], int64_t *ret_size,
                                          struct gy_err *err);
/* "DIR/snapshots/ID/NAME"; name NULL: the snapshot's folder. */
GY_CHECKED gy_status gy_archive_path(const char *dir, struct gy_str id, const char *name,
                                     char out[GY_MAX_PATH], struct gy_err *err);
GY_CHECKED gy_status gy_archive_open_objects(const char *dir, struct gy_objects **ret,
                                             struct gy_err *err);

/* The lock file of an archive: any number of backups, restores and verifications (shared), or one
 * that prunes. *ret_fd is closed by the caller, which unlocks. Fails: BUSY, NOTFOUND (no archive).
 */
GY_CHECKED gy_status gy_archive_lock(const char *dir, bool shared, int *ret_fd, struct gy_err *err);

/* A snapshot's manifest; doc owns all views (gy_json_free). id absent: the newest snapshot. */
struct gy_manifest {
    yyjson_doc *doc;
    struct gy_archive_info info;
    yyjson_val *files;  /* [{path, size_bytes, sha256}] */
    yyjson_val *tables; /* {name: rows} */
};
GY_CHECKED gy_status gy_manifest_read(const char *dir, struct gy_str id, struct gy_arena *a,
                                      struct gy_manifest *ret, struct gy_err *err);
void gy_manifest_done(struct gy_manifest *m);
GY_DEFINE_AUTO_DONE(struct gy_manifest, gy_manifest_done);

/* Of each file in the manifest: its checked relative path and what is said of it. */
typedef gy_status (*gy_manifest_fn)(void *ctx, const char *path, int64_t size_bytes,
                                    struct gy_str sha256, struct gy_err *err);
GY_CHECKED gy_status gy_manifest_each(const struct gy_manifest *m, gy_manifest_fn fn, void *ctx,
                                      struct gy_err *err);

/* Rows of all tables against the manifest; tables that it does not know (a newer schema) are left
 * out. CORRUPT with the first difference. Inside a closure. */
GY_CHECKED gy_status gy_manifest_compare(const struct gy_manifest *m, struct gy_db *db,
                                         struct gy_err *err);

#endif
