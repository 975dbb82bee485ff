/* SPDX-License-Identifier: Apache-2.0 */
/* Names of objects, each once and numbered in the order they came. Not thread safe; readers may
 * share it while nobody adds. */
#ifndef GY_DATA_DVC_OIDSET_H
#define GY_DATA_DVC_OIDSET_H

#include "data/dvc/repo.h"

#define GY_DVC_MAX_OBJECTS 16000000 /* objects of one transfer or collection */

struct gy_dvc_oidset {
    struct gy_dvc_oid *oids;
    size_t n, cap;
    uint32_t *slots; /* index + 1 into oids, 0: free */
    size_t n_slots;
};

void gy_dvc_oidset_done(struct gy_dvc_oidset *s); /* zeroed is an empty one */
GY_DEFINE_AUTO_DONE(struct gy_dvc_oidset, gy_dvc_oidset_done);

/* *ret_new (MAY be NULL): it was not there. *ret_at (MAY be NULL): its number. Fails: TOOBIG,
 * NOMEM. */
GY_CHECKED gy_status gy_dvc_oidset_add(struct gy_dvc_oidset *s, const struct gy_dvc_oid *oid,
                                       size_t *ret_at, bool *ret_new, struct gy_err *err);
/* Its number; SIZE_MAX: it is not there. */
size_t gy_dvc_oidset_find(const struct gy_dvc_oidset *s, const struct gy_dvc_oid *oid);

/* "files/md5/ab/cdef...", or "ab/cdef..." of a legacy one: where DVC keeps it below a cache or a
 * remote. */
#define GY_DVC_KEY_BYTES 64
const char *gy_dvc_oid_key(const struct gy_dvc_oid *oid, char ret[GY_DVC_KEY_BYTES]);
/* The other way round; false: no object is kept there. */
bool gy_dvc_oid_of_key(struct gy_str key, struct gy_dvc_oid *ret);

#endif
