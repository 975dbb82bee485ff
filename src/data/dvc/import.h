/* SPDX-License-Identifier: Apache-2.0 */
/* Data of elsewhere: a path of another repository at one of its commits (`dvc import`), or a file
 * or folder outside (`dvc import-url`). The .dvc file says where it came from, as DVC writes it,
 * and `update` brings it up to date. */
#ifndef GY_DATA_DVC_IMPORT_H
#define GY_DATA_DVC_IMPORT_H

#include "data/dvc/repo.h"

struct gy_dvc_import {
    const char
        *repo; /* a folder or file:// url of a git repository; NULL: path is a file or folder */
    const char *path; /* in that repository; or of this machine */
    const char *rev;  /* of that repository; NULL: its HEAD */
    const char *out;  /* where to, from the current folder; NULL: the last part of path */
    bool force;       /* over what is there */
};

struct gy_dvc_imported {
    struct gy_str path, file; /* from the root, in the arena */
    struct gy_dvc_oid oid;
    char rev_lock[48]; /* "" of what is outside */
    bool changed;
};

/* The caller holds the lock. Objects come from the other repository's cache, else its remotes.
 * Fails: NOTFOUND (repository, rev, path, objects), EXISTS (the output, the .dvc file), UNSUPPORTED
 * (other urls), and as the parts. */
GY_CHECKED gy_status gy_dvc_import(struct gy_dvc_repo *r, const struct gy_dvc_import *i,
                                   struct gy_arena *a, struct gy_dvc_imported *ret,
                                   struct gy_err *err);
/* What out's .dvc file says it came from, anew; rev (MAY be NULL) another revision from now on. */
GY_CHECKED gy_status gy_dvc_update(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                                   const char *rev, struct gy_arena *a, struct gy_dvc_imported *ret,
                                   struct gy_err *err);
/* Of a .dvc file that imports from a repository: its objects are that repository's business, they
 * are neither pushed nor fetched with ours. */
GY_CHECKED gy_status gy_dvc_is_repo_import(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                                           bool *ret, struct gy_err *err);
/* Bring the objects of such an output into our cache, at the commit that it is locked to. */
GY_CHECKED gy_status gy_dvc_fetch_import(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                                         struct gy_arena *a, struct gy_err *err);

#endif
