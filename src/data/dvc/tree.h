/* SPDX-License-Identifier: Apache-2.0 */
/* What stands at a path of the workspace: one file, or a folder with all its files, each with its
 * MD5; and putting that into the cache. Files are looked at, hashed and copied on all cores; a
 * small one is read once, a large one while it is copied. As DVC: links to files are followed,
 * links to folders and what .dvcignore names are left out, empty folders are not seen. */
#ifndef GY_DATA_DVC_TREE_H
#define GY_DATA_DVC_TREE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "data/dvc/repo.h"

#define GY_DVC_MAX_DEPTH 128 /* folders in each other */

struct gy_dvc_file {
    struct gy_str relpath; /* within the folder; absent for a file */
    int64_t size_bytes;
    mode_t mode;
    uint64_t dev, ino;
    uint64_t n_links;
    bool is_link; /* a symbolic one */
    bool known;   /* md5 was remembered, the file was not read */
    bool cached;  /* the object is in the cache; only with `check` */
    char md5[GY_MD5_HEX];
    char sha256[GY_SHA256_HEX]; /* "" unless asked for */
};

struct gy_dvc_tree {
    bool exists, is_dir;
    struct gy_dvc_oid oid;
    int64_t size_bytes;
    bool is_exec;              /* of a file */
    struct gy_dvc_file *files; /* sorted by relpath; one for a file */
    size_t n_files;
    struct gy_str json; /* of a folder: the bytes its digest is of */
};

struct gy_dvc_progress { /* MAY be shared with a thread that shows it */
    atomic_llong total_files, done_files, done_bytes;
};

struct gy_dvc_tree_options {
    bool legacy;                      /* md5-dos2unix */
    bool save;                        /* into the cache as well */
    bool check;                       /* ask of each file whether the cache has it */
    bool sha256;                      /* every file is read then */
    bool list_only;                   /* what is there and how large: no digests */
    struct gy_dvc_progress *progress; /* MAY be NULL */
};

/* path is from the root. Nothing there: exists false, no failure. What it fills lives in the arena.
 * Fails: INVALID (a device, a broken link, a .dvcignore inside), CONFLICT (a file changed while it
 * was read), NOTFOUND (a file vanished), NOSPACE, DENIED, TOOBIG, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_tree(struct gy_dvc_repo *r, struct gy_str path,
                                 const struct gy_dvc_tree_options *o, struct gy_arena *a,
                                 struct gy_dvc_tree *ret, struct gy_err *err);
/* Write down what was learned about files, for the next time; nothing without a `.dvc`. Fails:
 * NOSPACE, DENIED, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_repo_remember(struct gy_dvc_repo *r, struct gy_err *err);

int gy_dvc_cores(void); /* threads worth having, at most 32 */

#endif
