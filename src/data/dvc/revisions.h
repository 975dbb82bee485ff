/* SPDX-License-Identifier: Apache-2.0 */
/* What DVC's files said at other revisions: asked of git itself, each blob read once. */
#ifndef GY_DATA_DVC_REVISIONS_H
#define GY_DATA_DVC_REVISIONS_H

#include "base/yaml.h"
#include "data/dvc/oidset.h"

#define GY_DVC_MAX_REVISIONS 1000000
#define GY_DVC_MAX_GIT (1 * GY_GIB) /* bytes of one answer of git */

/* Which revisions. */
struct gy_dvc_scope {
    bool branches, tags, commits, experiments; /* all of a kind; HEAD is one of branches */
    const char *const *revs;                   /* and these */
    size_t n_revs;
};

/* Their commits, each once, as 40 hex digits in the arena. Fails: NOTFOUND (a rev; no git
 * repository), MISSINGDEP (git), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_dvc_commits(const char *root, const struct gy_dvc_scope *scope,
                                    struct gy_arena *a, struct gy_str **ret, size_t *ret_n,
                                    struct gy_err *err);

/* A .dvc file, a dvc.yaml or a dvc.lock of a revision. Text and views live during the call. */
typedef gy_status (*gy_dvc_file_fn)(void *ctx, struct gy_str path, struct gy_str text,
                                    struct gy_err *err);
/* Each such file of the commits below root (paths from there); one blob at one path is passed once,
 * however many commits have it. */
GY_CHECKED gy_status gy_dvc_files_at(const char *root, const struct gy_str *commits, size_t n,
                                     gy_dvc_file_fn fn, void *ctx, struct gy_err *err);
/* The same of the workspace. */
GY_CHECKED gy_status gy_dvc_files_here(struct gy_dvc_repo *r, gy_dvc_file_fn fn, void *ctx,
                                       struct gy_err *err);

/* What a revision tracks, as gy_dvc_repo_outs of a checkout would say; paths from root. */
GY_CHECKED gy_status gy_dvc_outs_at(const char *root, const char *rev, struct gy_arena *a,
                                    struct gy_dvc_out **ret, size_t *ret_n, struct gy_err *err);

/* All objects that such a file names, outputs and dependencies of all stages: rather one too many.
 * name is for messages. Fails: PARSE, NOMEM. */
GY_CHECKED gy_status gy_dvc_named_by(struct gy_str text, const char *name,
                                     struct gy_dvc_oidset *ret, struct gy_err *err);

#endif
