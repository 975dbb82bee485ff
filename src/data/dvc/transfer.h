/* SPDX-License-Identifier: Apache-2.0 */
/* Objects between a cache and its remotes, many at a time, each whole and checked or not at all.
 * The order is DVC's contract: a .dir goes to a remote only after every file that it names is
 * there, for others take it as the proof of that. What an interrupted run did, the next one finds
 * and passes over. One failure does not end the others, unless they would fail alike. */
#ifndef GY_DATA_DVC_TRANSFER_H
#define GY_DATA_DVC_TRANSFER_H

#include "data/dvc/remote.h"

#define GY_DVC_MAX_TOLD 100 /* failures that are told one by one */

struct gy_dvc_transfer_options {
    const char *remote; /* -r; NULL: each output's own, else the default */
    int jobs;           /* 0: as the remote says */
    bool check_all;     /* look for each file even where its .dir says that it is there */
    bool run_cache;     /* runs/, too */
    /* MAY be NULL. Called by any thread, one at a time; how much there is to do may grow. */
    void (*progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
    struct gy_dvc_remote *to; /* MAY be NULL. An open one, whatever is configured; stays theirs */
};

struct gy_dvc_failure {
    struct gy_str path; /* "data/a.csv" */
    struct gy_dvc_oid oid;
    gy_status status;
    char msg[256];
};

struct gy_dvc_transfer {
    int64_t n_objects; /* looked at, each once, .dir ones included */
    int64_t n_present; /* were there already */
    int64_t n_done, done_bytes;
    int64_t n_failed;  /* of them NOTFOUND: on neither side */
    int64_t n_held;    /* .dir that were not sent, since a file they name failed */
    int64_t n_untried; /* left when something failed that others would fail of, too */
    int64_t n_runs;    /* of the run cache */
    struct gy_dvc_failure told[GY_DVC_MAX_TOLD];
    size_t n_told;
    gy_status status; /* of the first failure, GY_OK: all is there */
    char hint[256];   /* of the first one */
};

/* GY_OK even when objects failed: ret->status says so. Views in ret live in the arena. Fails: as
 * gy_dvc_remote_open, and what keeps anything from being tried. */
GY_CHECKED gy_status gy_dvc_push(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                                 const struct gy_dvc_transfer_options *o, struct gy_arena *a,
                                 struct gy_dvc_transfer *ret, struct gy_err *err);
/* The other way; gy_dvc_repo_settle is called. */
GY_CHECKED gy_status gy_dvc_fetch(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                                  const struct gy_dvc_transfer_options *o, struct gy_arena *a,
                                  struct gy_dvc_transfer *ret, struct gy_err *err);

/* Where each object is: what `status -c` shows. */
enum gy_dvc_place { GY_DVC_BOTH, GY_DVC_NEW, GY_DVC_DELETED, GY_DVC_MISSING };
struct gy_dvc_where {
    struct gy_str path; /* "data", "data/a.csv" */
    struct gy_dvc_oid oid;
    enum gy_dvc_place place; /* NEW: in the cache only; DELETED: on the remote only */
};
/* All that are not in both, in order of outputs and paths; *ret_n_both: the rest. */
GY_CHECKED gy_status gy_dvc_compare(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                                    const struct gy_dvc_transfer_options *o, struct gy_arena *a,
                                    struct gy_dvc_where **ret, size_t *ret_n, size_t *ret_n_both,
                                    struct gy_err *err);

#endif
