/* SPDX-License-Identifier: Apache-2.0 */
/* The model registry as other rooms see it: names, integer versions, aliases, the digest of a
 * version's package and whether it is servable. All functions run inside a store closure; results
 * live in the arena. */
#ifndef GY_TRACK_REGISTRY_H
#define GY_TRACK_REGISTRY_H

#include "store/objects.h"
#include "store/store.h"

struct gy_model_version {
    struct gy_str name;
    int64_t version;
    struct gy_str source, run_id, actor, description;
    struct gy_str digest;   /* of the package; absent until the artifacts were found */
    struct gy_str servable; /* "yes", "no", "unknown" */
    struct gy_str servable_reason;
    struct gy_str aliases_json; /* ["champion"] */
    int64_t created_us;
    /* What else the registry keeps; rooms above need it rarely. */
    int64_t id, model; /* row numbers */
    int64_t updated_us;
    struct gy_str storage_location; /* where the files are; source is what the caller named */
    struct gy_str run_link, logged_model_id, stage;
    struct gy_str *aliases; /* as aliases_json */
    size_t n_aliases;
};

/* "name/3", "name@alias", "models:/name/3", "models:/name@alias", "name" (the newest version).
 * Fails: NOTFOUND, INVALID. */
GY_CHECKED gy_status gy_registry_resolve(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                                         struct gy_model_version *ret, struct gy_err *err);
/* Record the proof. */
GY_CHECKED gy_status gy_registry_set_proof(struct gy_db *db, struct gy_str name, int64_t version,
                                           bool servable, struct gy_str reason, struct gy_err *err);
/* The oldest version of any workspace whose proof is outstanding (its files are here, servable
 * "unknown") with an id above `after` (0: from the start); *ret_found false when there is none. */
struct gy_unproven {
    int64_t id; /* for `after` */
    struct gy_str workspace, name;
    int64_t version;
};
GY_CHECKED gy_status gy_registry_unproven(struct gy_db *db, int64_t after, struct gy_arena *a,
                                          bool *ret_found, struct gy_unproven *ret,
                                          struct gy_err *err);
/* A version whose package has this digest, best the one of that name and number: models are
 * renamed, deleted and made anew, bytes are not. with_deleted: a deleted version will do. Fails:
 * NOTFOUND. */
GY_CHECKED gy_status gy_registry_by_digest(struct gy_db *db, struct gy_str name, int64_t version,
                                           struct gy_str digest, bool with_deleted,
                                           struct gy_arena *a, struct gy_model_version *ret,
                                           struct gy_err *err);
/* Move an alias. Protected aliases ask store/verdicts.h first: NOTBLESSED with the reason. */
GY_CHECKED gy_status gy_registry_set_alias(struct gy_db *db, struct gy_str name,
                                           struct gy_str alias, int64_t version,
                                           struct gy_str actor, struct gy_err *err);

/* Who moves something, and why. */
struct gy_model_why {
    struct gy_str actor;
    struct gy_str reason; /* absent: none was given */
    const char *action;   /* "promoted", "rolled_back"; NULL: "moved" */
    bool back; /* to a version that the alias held before: whatever its gate said of it later, that
                  it was blessed once is enough */
};
/* gy_registry_set_alias with more than a name to put into the history. */
GY_CHECKED gy_status gy_registry_move_alias(struct gy_db *db, struct gy_str name,
                                            struct gy_str alias, int64_t version,
                                            const struct gy_model_why *why, struct gy_err *err);

/* The files of a version's package: relative path and object, sorted bytewise. They are those the
 * digest was taken of: what is uploaded later to the same place does not change a version. While
 * the digest is absent, what lies at the source now. */
struct gy_artifact {
    struct gy_str path;
    struct gy_str sha256;
    int64_t size_bytes;
};
GY_CHECKED gy_status gy_registry_files(struct gy_db *db, const struct gy_model_version *v,
                                       struct gy_arena *a, struct gy_artifact **ret, size_t *ret_n,
                                       struct gy_err *err);
/* Outside closures: put a version's package into `dir` (made, atomically: a complete folder or
 * none; an existing folder of the same digest is reused). */
GY_CHECKED gy_status gy_registry_checkout(struct gy_store *s, struct gy_objects *o,
                                          const struct gy_model_version *v, const char *dir,
                                          struct gy_err *err);

#endif
