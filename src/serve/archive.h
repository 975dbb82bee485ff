/* SPDX-License-Identifier: Apache-2.0 */
/* Backups. An archive is a folder that holds any number of snapshots and the objects of all of
 * them, each once: a second backup copies only what is new. A snapshot is one point: the database,
 * the prediction log and the objects as they were between two writes, so that every prediction in
 * the log finds its revision in the database, every piece of feedback its prediction, and every
 * name its bytes. Layout (docs/formats.md):
 *   objects/ab/cdef..          by SHA-256, as in a home
 *   snapshots/ID/manifest.json what is in it, with the SHA-256 of every file
 *   snapshots/ID/manifest.sha256  its own
 *   snapshots/ID/gyre.db       the metadata, always as SQLite (store/snapshot.h)
 *   snapshots/ID/log/          segments of the prediction log
 *   snapshots/ID/home/         what else lay in the home (keys, logs of runs)
 * A snapshot appears under its name when it is whole and on the disk; what an interrupted backup
 * leaves is dropped by pruning. Thread rule: any thread; making and restoring take long. */
#ifndef GY_SERVE_ARCHIVE_H
#define GY_SERVE_ARCHIVE_H

#include "serve/predlog.h"
#include "store/home.h"
#include "store/objects.h"
#include "store/store.h"

#define GY_ARCHIVE_ID 32             /* bytes of an id with its NUL */
#define GY_ARCHIVE_MAX_FILES 1000000 /* segments and files of a home in one snapshot */
#define GY_ARCHIVE_MAX_LIST 10000    /* snapshots of an archive */

struct gy_archive_source {
    const struct gy_home *home;
    struct gy_store *store;
    struct gy_objects *objects;
    struct gy_predlog *log; /* the open log of this process; NULL: nobody has it open */
};

/* How far it is: "objects", 120 of 4000. total 0: not known. Called often; MAY be NULL. Its failure
 * ends the work (the caller of a backup has gone). */
typedef gy_status (*gy_archive_progress)(void *ctx, const char *phase, int64_t done, int64_t total,
                                         struct gy_err *err);

struct gy_archive_info {
    struct gy_str id;
    int64_t point_us;
    int64_t schema;
    int64_t objects, object_bytes;  /* of this snapshot */
    int64_t new_objects, new_bytes; /* that no earlier snapshot had brought; 0 when listed */
    int64_t segments, log_bytes;
    int64_t rows; /* over all tables */
};

/* Add a snapshot to dir (an archive, or a new or empty folder). Fails: CONFLICT (the folder holds
 * something else, or lies in the home), BUSY (it is being pruned), NOTFOUND (an object is gone:
 * named), NOSPACE, IO. */
GY_CHECKED gy_status gy_archive_make(const struct gy_archive_source *src, const char *dir,
                                     gy_archive_progress progress, void *ctx, struct gy_arena *a,
                                     struct gy_archive_info *ret, struct gy_err *err);
/* Oldest first. Fails: NOTFOUND (no archive), TOOBIG. */
GY_CHECKED gy_status gy_archive_list(const char *dir, struct gy_arena *a,
                                     struct gy_archive_info **ret, size_t *ret_n,
                                     struct gy_err *err);
/* Read everything of a snapshot (id absent: the newest) and compare. Fails: CORRUPT naming the
 * first thing that is not as it was written, NOTFOUND. */
GY_CHECKED gy_status gy_archive_verify(const char *dir, struct gy_str id,
                                       gy_archive_progress progress, void *ctx, struct gy_arena *a,
                                       struct gy_archive_info *ret, struct gy_err *err);
/* Keep the newest `keep` snapshots and the objects that they name; the rest is told (dry), or
 * removed. *ret_bytes: of objects. Fails: BUSY (a backup is under way). */
GY_CHECKED gy_status gy_archive_prune(const char *dir, size_t keep, bool dry,
                                      int64_t *ret_snapshots, int64_t *ret_objects,
                                      int64_t *ret_bytes, struct gy_err *err);

struct gy_archive_target {
    const char *home_dir;    /* must not exist, or be empty */
    const char *store_url;   /* NULL: SQLite in the home; else an empty database */
    const char *objects_url; /* NULL: objects/ in the home; else as gy_objects_open_with */
    const char *s3_endpoint; /* for s3://; NULL: AWS */
    /* MAY be NULL. Called when everything is there and before the home gets its name: home is the
     * folder that it still has. Its failure is the restore's, and leaves no home. */
    gy_status (*last)(void *ctx, const char *home, struct gy_err *err);
    void *last_ctx;
};
/* Bring a snapshot (id absent: the newest) back, verified while it is read: a home that is whole or
 * none, which remembers the URLs. At the end the rows of every table are counted and every object
 * that is named is looked for. Fails: CORRUPT, CONFLICT (the target is not empty), VERSION (made by
 * a newer program). */
GY_CHECKED gy_status gy_archive_restore(const char *dir, struct gy_str id,
                                        const struct gy_archive_target *to,
                                        gy_archive_progress progress, void *ctx, struct gy_arena *a,
                                        struct gy_archive_info *ret, struct gy_err *err);

#endif
