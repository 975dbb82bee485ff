/* SPDX-License-Identifier: Apache-2.0 */
/* What a repository's own files say: each .dvc file is a stage, and each stage of a dvc.yaml, with
 * what its dvc.lock knows. Views into an arena; immutable. */
#ifndef GY_DATA_DVC_STAGES_H
#define GY_DATA_DVC_STAGES_H

#include "data/dvc/repo.h"

struct gy_dvc_ignore;

struct gy_dvc_dep {
    struct gy_str path;    /* from the root; of what is outside: as it stands */
    struct gy_dvc_oid oid; /* "": not known */
    bool outside;          /* a URL, another repository, a path outside the root */
};

struct gy_dvc_stage {
    struct gy_str file; /* the .dvc file or dvc.yaml, from the root */
    struct gy_str name; /* of dvc.yaml; absent: a .dvc file */
    struct gy_str dir;  /* its wdir, from the root; "" is the root */
    const struct gy_dvc_out *outs;
    const struct gy_dvc_dep *deps;
    size_t n_outs, n_deps;
    bool has_cmd, cmd_changed; /* dvc.lock has another command, or none */
    bool always_changed, frozen;
    bool is_import; /* one dep, one out, no command */
};

/* Look for them in all folders that neither .dvcignore nor .gitignore nor an output hides. Sorted
 * by file. Fails: PARSE with file:line, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_stages(struct gy_dvc_repo *r, struct gy_arena *a,
                                   struct gy_dvc_stage **ret, size_t *ret_n, struct gy_err *err);
/* The stage of one .dvc file (its path from the root). */
GY_CHECKED gy_status gy_dvc_stage_read(struct gy_dvc_repo *r, struct gy_str file,
                                       struct gy_arena *a, struct gy_dvc_stage *ret,
                                       struct gy_err *err);
/* The outputs of stages, sorted by path. Fails: INVALID (two own one path, or one is in another),
 * NOMEM. */
GY_CHECKED gy_status gy_dvc_outs_of(const struct gy_dvc_stage *stages, size_t n_stages,
                                    struct gy_arena *a, struct gy_dvc_out **ret, size_t *ret_n,
                                    struct gy_err *err);
/* Is path inside the folder (and not the folder)? */
bool gy_dvc_inside(struct gy_str path, struct gy_str folder);
/* base/path with ".", ".." and "//" resolved, from the root; false when that leaves the root. */
bool gy_dvc_resolve(struct gy_str base, struct gy_str path, char ret[GY_MAX_PATH]);
/* Does a path lead into what is git's or DVC's own (.git, .hg, .dvc), or to the root itself? DVC
 * ignores these; data that is checked out there could run as a hook. */
bool gy_dvc_is_private(struct gy_str path);
/* The path of something that a user named, relative to where the program stands: from the root.
 * Links in its folders are resolved, the last part is not. Fails: INVALID (outside), TOOBIG. */
GY_CHECKED gy_status gy_dvc_from_root(const struct gy_dvc_repo *r, const char *path,
                                      char ret[GY_MAX_PATH], struct gy_err *err);
/* The rules of .dvcignore. */
GY_CHECKED gy_status gy_dvc_repo_ignore(struct gy_dvc_repo *r, struct gy_dvc_ignore **ret,
                                        struct gy_err *err);

#endif
