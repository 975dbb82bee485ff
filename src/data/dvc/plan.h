/* SPDX-License-Identifier: Apache-2.0 */
/* The objects that outputs are made of, each once, with the lists of folders opened. */
#ifndef GY_DATA_DVC_PLAN_H
#define GY_DATA_DVC_PLAN_H

#include "data/dvc/oidset.h"

struct gy_dvc_object {            /* number i belongs to oids.oids[i] */
    const struct gy_dvc_out *out; /* the first that needs it */
    struct gy_str relpath;        /* in its folder; absent: the output itself */
};

struct gy_dvc_folder { /* an output's list */
    size_t object;     /* its .dir */
    uint32_t *files;   /* numbers of objects */
    size_t n_files;
    bool opened; /* false: the list could not be had */
};

struct gy_dvc_plan {
    struct gy_dvc_oidset oids;
    struct gy_dvc_object *objects;
    size_t cap_objects;
    struct gy_dvc_folder *folders;
    size_t n_folders, cap_folders;
    struct gy_arena *arena;
};

void gy_dvc_plan_init(struct gy_dvc_plan *p, struct gy_arena *a);
void gy_dvc_plan_done(struct gy_dvc_plan *p);
GY_DEFINE_AUTO_DONE(struct gy_dvc_plan, gy_dvc_plan_done);

/* The outputs themselves; an empty oid is passed over. */
GY_CHECKED gy_status gy_dvc_plan_add(struct gy_dvc_plan *p, const struct gy_dvc_out *out,
                                     struct gy_err *err);
/* Read the lists that are in the cache and not opened yet, and take their files in. */
GY_CHECKED gy_status gy_dvc_plan_open(struct gy_dvc_plan *p, struct gy_dvc_repo *r,
                                      struct gy_err *err);
/* "data/a.csv", in the arena; absent: no memory. */
struct gy_str gy_dvc_plan_path(const struct gy_dvc_plan *p, size_t object);

#endif
