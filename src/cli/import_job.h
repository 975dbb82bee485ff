/* SPDX-License-Identifier: Apache-2.0 */
/* One run of `gyre import mlflow`: the source is read page by page and sent as lines
 * (track/transfer.h) in batches through the seam, so that it works on a running server as
 * in-process, in memory that does not grow with the store. What has not changed since it came is
 * passed over, so that a killed import goes on where it was: an item is noted only after all of it
 * was sent. Main thread only. */
#ifndef GY_CLI_IMPORT_JOB_H
#define GY_CLI_IMPORT_JOB_H

#include "base/limits.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/move.h"

#define GY_IMPORT_BASE "/api/gyre/v1"
#define GY_IMPORT_BATCH_BYTES (GY_MIB)   /* sent at once */
#define GY_IMPORT_MAX_LINE (15 * GY_MIB) /* one entity */
#define GY_IMPORT_MAX_KEPT (4 * GY_GIB)  /* experiments, models, a page of runs */

struct gy_import_opts {
    const char *artifacts, *artifacts_root;
    struct gy_opt_list experiments;
    bool dry_run, with_registry, allow_rejected, full;
};

struct gy_ijob_counts {
    int64_t items, params, tags, points, links;
};

/* What one experiment of the source held, as far as it was read now or is known from before. */
struct gy_ijob_experiment {
    struct gy_experiment e;
    int64_t id; /* here */
    bool moves; /* its artifacts come here */
    struct gy_ijob_counts runs, logged;
};

struct gy_ijob_prefix { /* what lay below `from` lies below `to` */
    struct gy_str from, to;
};

struct gy_ijob_model { /* an MLmodel that was seen, for the end */
    const char *where, *why;
    enum gy_move_serve serve;
};

struct gy_ijob {
    struct gy_cli *cli;
    const struct gy_import_opts *o;
    struct gy_caller *caller; /* NULL: a dry run */
    struct gy_move_source source;
    struct gy_move_report report;
    struct gy_arena keep, page; /* of the job, of a page of entities */
    struct gy_buf batch, line;
    struct gy_collect answer;
    struct gy_progress progress;
    const char *batch_path;
    bool copy; /* artifacts */
    struct gy_ijob_experiment *experiments;
    size_t n_experiments;
    struct gy_ijob_prefix *prefixes;
    size_t n_prefixes, cap_prefixes;
    struct gy_ijob_model *models;
    size_t n_models, cap_models;
    struct gy_ijob_counts registered, versions;
    int64_t n_unchanged, n_points, n_duplicates, n_files, n_bytes, n_same_files, n_remote;
    int64_t start_ns;
};

/* What an item was when it came. */
struct gy_ijob_known {
    struct gy_ijob_counts counts;
    char fingerprint[GY_SHA256_HEX];
};

/* ---- import_send.c ---- */

/* Give the line in j->line to the batch, which goes when it is full. */
GY_CHECKED gy_status gy_ijob_line(struct gy_ijob *j, struct gy_err *err);
GY_CHECKED gy_status gy_ijob_flush(struct gy_ijob *j, struct gy_err *err);
/* All of an item was sent. */
GY_CHECKED gy_status gy_ijob_item(struct gy_ijob *j, const char *what, struct gy_str id,
                                  const char *fingerprint, const struct gy_ijob_counts *c,
                                  struct gy_err *err);
/* What is known of these ids, in the arena of the page (gy_ijob_known by id). */
GY_CHECKED gy_status gy_ijob_ask_known(struct gy_ijob *j, const char *kind,
                                       const struct gy_str *ids, size_t n, struct gy_map *ret,
                                       struct gy_err *err);
void gy_ijob_add(struct gy_ijob_counts *to, const struct gy_ijob_counts *c); /* one more item */

/* ---- import_artifacts.c ---- */

/* Where the artifacts of a run or a logged model go; its URI stays when they do not come here. */
GY_CHECKED gy_status gy_ijob_place(struct gy_ijob *j, const struct gy_ijob_experiment *x,
                                   const struct gy_move_place *p, const char *tail,
                                   struct gy_str *ret_uri, bool *ret_moves, struct gy_err *err);
/* Where a version's files are after the move. */
GY_CHECKED gy_status gy_ijob_map(struct gy_ijob *j, struct gy_str uri, struct gy_str *ret,
                                 bool *ret_moves, struct gy_err *err);
/* Copy them to uri (copies; else they are only looked at), and note each MLmodel among them. */
GY_CHECKED gy_status gy_ijob_artifacts(struct gy_ijob *j, const struct gy_move_place *p,
                                       struct gy_str uri, bool copies, struct gy_err *err);

/* ---- import_runs.c, import_models.c ---- */

GY_CHECKED gy_status gy_ijob_runs(struct gy_ijob *j, struct gy_ijob_experiment *x,
                                  struct gy_err *err);
GY_CHECKED gy_status gy_ijob_logged(struct gy_ijob *j, struct gy_ijob_experiment *x,
                                    struct gy_err *err);
GY_CHECKED gy_status gy_ijob_registry(struct gy_ijob *j, struct gy_err *err);

#endif
