/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts: files below the root "mlflow-artifacts:/", named by relative path; their bytes are
 * objects (store/objects.h), stored before the name is. A file and a folder can not have one name.
 * Files of a model version that a gate has judged, or that an alias points to, are fixed: other
 * bytes or removal are refused. Folders exist by their files.
 *
 * Scope: each workspace has a tree of its own. A path means the file of that name in
 * gy_db_workspace(db), whatever experiment or custom location it begins with, for all functions
 * here; so another workspace's file can not be read, replaced, listed or deleted, nor found out to
 * exist, by any path. Bytes may be shared (objects are named by content); who asks for an object by
 * its SHA-256 gets it only if gy_artifact_object_readable. */
#ifndef GY_TRACK_ARTIFACTS_H
#define GY_TRACK_ARTIFACTS_H

#include "track/registry.h"
#include "track/track.h"

#define GY_ARTIFACT_MAX_PATH 2048                /* bytes of a path */
#define GY_ARTIFACT_MAX_BYTES ((int64_t)1 << 40) /* of one file */

/* A path as clients write it, %-decoded once: blank and "." segments are dropped. Refused with
 * INVALID "Invalid path", also when more decoding would show it: ".." segments, absolute paths of
 * any system, backslashes, '#', control characters. The result (may be empty: the root) is in the
 * arena. */
GY_CHECKED gy_status gy_artifact_clean_path(struct gy_str raw, struct gy_arena *a,
                                            struct gy_str *ret, struct gy_err *err);
/* The path below the root that a URI means ("mlflow-artifacts:/0/r/artifacts" gives
 * "0/r/artifacts"); the absent string when the place is not ours. */
struct gy_str gy_artifact_path_of_uri(struct gy_str uri, struct gy_arena *a);
/* "dir/name", or name when dir is empty. The absent string: out of memory. */
struct gy_str gy_artifact_join(struct gy_str dir, struct gy_str name, struct gy_arena *a);

/* Name an object. The same again changes nothing. Fails: INVALID (a folder has the name, or a file
 * stands where a folder is needed), CONFLICT (it is fixed). */
GY_CHECKED gy_status gy_artifact_put(struct gy_db *db, struct gy_str path, struct gy_str sha256,
                                     int64_t size_bytes, struct gy_str actor, struct gy_err *err);
/* Could a file of this name be put, whatever its bytes? Fails: as gy_artifact_put; what is fixed
 * may still be put with the bytes that it has. */
GY_CHECKED gy_status gy_artifact_check(struct gy_db *db, struct gy_str path, struct gy_err *err);
/* Fails: NOTFOUND "No such artifact: 'x'". */
GY_CHECKED gy_status gy_artifact_get(struct gy_db *db, struct gy_str path, struct gy_arena *a,
                                     struct gy_artifact *ret, struct gy_err *err);
/* A file, or a folder with all in it; absent is fine. Fails: CONFLICT. */
GY_CHECKED gy_status gy_artifact_delete(struct gy_db *db, struct gy_str path, struct gy_err *err);

/* May an object be read by its SHA-256 in this workspace? Not what only other workspaces' artifacts
 * or datasets hold, and no part of an upload. What nothing names yet may: its sender goes on with
 * it. */
GY_CHECKED gy_status gy_artifact_object_readable(struct gy_db *db, struct gy_str sha256, bool *ret,
                                                 struct gy_err *err);

struct gy_artifact_entry {
    struct gy_str name; /* the last segment */
    bool is_dir;
    int64_t size_bytes;
};
/* What a folder holds, by name; a file or an absent folder holds nothing. Fails: TOOBIG. */
GY_CHECKED gy_status gy_artifact_list(struct gy_db *db, struct gy_str dir, struct gy_arena *a,
                                      struct gy_artifact_entry **ret, size_t *ret_n,
                                      struct gy_err *err);
/* All files below a folder, paths relative to it, sorted bytewise. Fails: TOOBIG (over max). */
GY_CHECKED gy_status gy_artifact_tree(struct gy_db *db, struct gy_str dir, size_t max,
                                      struct gy_arena *a, struct gy_artifact **ret, size_t *ret_n,
                                      struct gy_err *err);

#endif
