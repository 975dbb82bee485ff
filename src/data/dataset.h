/* SPDX-License-Identifier: Apache-2.0 */
/* The dataset registry: a name has versions 1, 2, ...; a version is the canonical bytes of one
 * accepted table (SHA-256, MD5 as DVC counts), with its schema, its counts and where it came from.
 * The same bytes under the same name are the same version. Inside a store closure; results live in
 * the arena. */
#ifndef GY_DATA_DATASET_H
#define GY_DATA_DATASET_H

#include "store/objects.h"
#include "store/store.h"

struct gy_dataset_version {
    struct gy_str name;
    int64_t version;
    struct gy_str sha256, md5;
    int64_t size_bytes, rows;
    int64_t read, accepted, dead; /* of the ingest that made it: accepted + dead == read */
    struct gy_str schema_json, source /* file name */, source_sha256, actor;
    int64_t created_us;
};

/* Register (the object must be there). Existing bytes give the existing version and *ret_new false.
 * Adds the edges file:<source> -> data:<sha256> -> dataset:<name>/<v>. */
GY_CHECKED gy_status gy_dataset_add(struct gy_db *db, const struct gy_dataset_version *v,
                                    int64_t *ret_version, bool *ret_new, struct gy_err *err);
/* "name", "name@3", "name@v3", "sha256:<hex>". Fails: NOTFOUND. */
GY_CHECKED gy_status gy_dataset_resolve(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                                        struct gy_dataset_version *ret, struct gy_err *err);
/* Every version, of one name or of all, in the order of name and version, without schema_json.
 * Fails: TOOBIG. */
GY_CHECKED gy_status gy_dataset_list(struct gy_db *db, struct gy_str name_or_absent,
                                     struct gy_arena *a, struct gy_dataset_version **ret,
                                     size_t *ret_n, struct gy_err *err);

#endif
