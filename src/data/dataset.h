/* SPDX-License-Identifier: Apache-2.0 */
/* The dataset registry: a name has versions 1, 2, ...; a version is the canonical bytes of one
 * accepted table (SHA-256, MD5 as DVC counts), with its schema, its counts, its statistics and
 * where it came from. The same bytes under the same name are the same version, and a number never
 * comes to mean other bytes: a version that was deleted keeps its row. Tags name versions.
 * Scope: gy_db_workspace(db). Inside store closures; results live in the arena. */
#ifndef GY_DATA_DATASET_H
#define GY_DATA_DATASET_H

#include "store/objects.h"
#include "store/store.h"

#define GY_DATASET_MAX_TEXT ((size_t)(16 * 1024)) /* a description, a reason */
#define GY_DATASET_MAX_TAG 128                    /* bytes of a tag */
#define GY_DATASET_MAX_TAGS 1000                  /* of one dataset */

struct gy_dataset_version {
    struct gy_str name;
    int64_t version;
    struct gy_str sha256, md5;
    int64_t size_bytes, rows;
    int64_t read, accepted, dead; /* of the ingest that made it: accepted + dead == read */
    struct gy_str schema_json, source /* file name */, source_sha256, actor;
    int64_t created_us;
    struct gy_str statistics_sha256; /* absent: not asked for yet */
    int64_t base_version; /* dead letters were replayed into that one; 0: an ingest of its own */
    int64_t deleted_us;   /* 0: it is there */
    int64_t gone_us;      /* 0: its bytes are there */
};

/* 1 to GY_MAX_NAME bytes of UTF-8, no blanks, none of / @ : % ? # quotes. Fails: INVALID. */
GY_CHECKED gy_status gy_dataset_check_name(struct gy_str name, struct gy_err *err);
/* Letters, digits and - _ . + up to GY_DATASET_MAX_TAG; no number, no "v3", not "latest": those
 * mean versions. Fails: INVALID. */
GY_CHECKED gy_status gy_dataset_check_tag(struct gy_str tag, struct gy_err *err);

/* Register (the object must be there). Existing bytes give the existing version and *ret_new false;
 * when that one was deleted or purged it is there again. Adds the edges file:<source> ->
 * data:<sha256> -> dataset:<name>/<v>, and of a version with a base data:<base's> ->
 * data:<sha256>. Fails: CONFLICT (these bytes were given up for a reason that forbids them). */
GY_CHECKED gy_status gy_dataset_add(struct gy_db *db, const struct gy_dataset_version *v,
                                    int64_t *ret_version, bool *ret_new, struct gy_err *err);
/* "name" and "name@latest" (the newest one), "name@3", "name@v3", "name@TAG", "sha256:<hex>". What
 * was deleted is not found. Fails: NOTFOUND, INVALID. */
GY_CHECKED gy_status gy_dataset_resolve(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                                        struct gy_dataset_version *ret, struct gy_err *err);
/* The same of name and number, deleted ones included. */
GY_CHECKED gy_status gy_dataset_get(struct gy_db *db, struct gy_str name, int64_t version,
                                    struct gy_arena *a, struct gy_dataset_version *ret,
                                    struct gy_err *err);
/* Every version, of one name or of all, in the order of name and version, without schema_json.
 * deleted: those that were deleted, instead. Fails: TOOBIG. */
GY_CHECKED gy_status gy_dataset_list(struct gy_db *db, struct gy_str name_or_absent, bool deleted,
                                     struct gy_arena *a, struct gy_dataset_version **ret,
                                     size_t *ret_n, struct gy_err *err);
/* What is remembered of a version's statistics. */
GY_CHECKED gy_status gy_dataset_set_statistics(struct gy_db *db, struct gy_str name,
                                               int64_t version, struct gy_str sha256,
                                               struct gy_err *err);

/* ---- what is said of a dataset (dataset_tags.c) ---- */

/* The absent string without one. */
GY_CHECKED gy_status gy_dataset_description(struct gy_db *db, struct gy_str name,
                                            struct gy_arena *a, struct gy_str *ret,
                                            struct gy_err *err);
/* Fails: NOTFOUND (no version of that name). */
GY_CHECKED gy_status gy_dataset_describe(struct gy_db *db, struct gy_str name,
                                         struct gy_str description, struct gy_str actor,
                                         struct gy_err *err);

struct gy_dataset_tag {
    struct gy_str name, tag, actor;
    int64_t version, time_us;
};
/* Of one name or of all, by name and tag. */
GY_CHECKED gy_status gy_dataset_tags(struct gy_db *db, struct gy_str name_or_absent,
                                     struct gy_arena *a, struct gy_dataset_tag **ret, size_t *ret_n,
                                     struct gy_err *err);
struct gy_dataset_tag_change {
    struct gy_str tag, reason, actor;
    int64_t from_version, to_version; /* 0: none */
    int64_t time_us;
};
/* The newest changes, newest first. */
GY_CHECKED gy_status gy_dataset_tag_changes(struct gy_db *db, struct gy_str name, size_t max,
                                            struct gy_arena *a, struct gy_dataset_tag_change **ret,
                                            size_t *ret_n, struct gy_err *err);
struct gy_dataset_tagging {
    struct gy_str name, tag, reason /* MAY be absent */, actor;
    int64_t version; /* 0: take the tag off */
    bool force;      /* an existing tag may be moved */
};
/* Set, move or take off a tag; *ret_from: the version it named before, 0: none. Setting it where it
 * is changes nothing. Fails: INVALID, NOTFOUND (version, or tag to be taken off), CONFLICT (it
 * names another version, and no force), TOOBIG. */
GY_CHECKED gy_status gy_dataset_tag(struct gy_db *db, const struct gy_dataset_tagging *t,
                                    int64_t *ret_from, struct gy_err *err);

/* ---- the end of versions (dataset_end.c) ---- */

/* What stands on a version: runs, models and endpoints that its bytes led to, and tags. */
struct gy_dataset_uses {
    struct gy_str *nodes; /* "run:..", "model:name/1", "revision:endpoint/1", "tag:v1.0" */
    size_t n;
    bool more; /* there are others */
};
GY_CHECKED gy_status gy_dataset_used_by(struct gy_db *db, const struct gy_dataset_version *v,
                                        struct gy_arena *a, struct gy_dataset_uses *ret,
                                        struct gy_err *err);
/* Mark as deleted: gy_dataset_purge_some ends it. Its tags are taken off. Fails: NOTFOUND, CONFLICT
 * (it is used, and no force). */
GY_CHECKED gy_status gy_dataset_delete(struct gy_db *db, struct gy_str name, int64_t version,
                                       bool force, struct gy_str reason, struct gy_str actor,
                                       struct gy_err *err);
/* Take the mark back. Fails: NOTFOUND, CONFLICT (its bytes are gone). */
GY_CHECKED gy_status gy_dataset_restore(struct gy_db *db, struct gy_str name, int64_t version,
                                        struct gy_str actor, struct gy_err *err);
/* How many versions were deleted before before_us and still name their bytes. */
GY_CHECKED gy_status gy_dataset_purge_plan(struct gy_db *db, int64_t before_us,
                                           int64_t *ret_versions, int64_t *ret_bytes,
                                           struct gy_err *err);
/* Give up the bytes of at most max of them; *ret_n: how many it were. */
GY_CHECKED gy_status gy_dataset_purge_some(struct gy_db *db, int64_t before_us, size_t max,
                                           struct gy_str actor, int64_t *ret_n, struct gy_err *err);

#endif
