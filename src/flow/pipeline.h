/* SPDX-License-Identifier: Apache-2.0 */
/* A pipeline: the stages of dvc.yaml and how they depend on each other. The syntax is DVC's own
 * (`dvc repro` runs the same file); what DVC knows and Gyre does not yet is refused by name and
 * line, never ignored: vars, matrix, foreach, artifacts, datasets, ${...}, paths outside of the
 * project. Immutable after loading; all views live until gy_flow_free. */
#ifndef GY_FLOW_PIPELINE_H
#define GY_FLOW_PIPELINE_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/yaml.h"
#include "data/dvc/repo.h"

#define GY_FLOW_MAX_STAGES 1000
#define GY_FLOW_MAX_PATHS 20000 /* deps and outs over all stages */

struct gy_flow_dep {
    struct gy_str path; /* as written: relative to the stage's wdir */
    struct gy_str full; /* relative to the project, normalised */
};

struct gy_flow_params {
    struct gy_str path, full;
    const struct gy_str *keys; /* dotted, sorted */
    size_t n_keys;             /* 0: the whole file */
};

struct gy_flow_out {
    struct gy_str path, full;
    bool cache;   /* keep a copy in DVC's cache */
    bool persist; /* not removed before the stage runs */
    bool metric;
};

struct gy_flow_stage {
    struct gy_str name, desc;
    struct gy_str wdir;       /* relative to the project; "." is the project */
    const struct gy_str *cmd; /* as written; a text of several lines is one entry */
    size_t n_cmd;
    bool cmd_is_list;
    const struct gy_flow_dep *deps; /* sorted by path, as all below */
    size_t n_deps;
    const struct gy_flow_params *params; /* params.yaml first, then by path */
    size_t n_params;
    const struct gy_flow_out *outs; /* metrics and plots among them */
    size_t n_outs;
    bool frozen, always_changed;
    bool manual; /* meta: {gyre: {manual: true}}: runs only when it, or what needs it, is named */
    int line;
    const size_t *upstream; /* stages that must come before, ascending */
    size_t n_upstream;
};

struct gy_flow {
    char dir[GY_MAX_PATH];    /* the project, absolute */
    struct gy_dvc_repo *repo; /* of the folder, with or without a .dvc; one owner */
    struct gy_arena arena;
    struct gy_yaml *yaml;
    struct gy_flow_stage *stages; /* in the order of the file */
    size_t n_stages;
    size_t *order; /* n_stages indices: upstream first, otherwise in the order of the file */
};

/* Read dir/dvc.yaml. Fails: NOTFOUND (with a hint), PARSE, INVALID, UNSUPPORTED (both with
 * file:line), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_flow_load(const char *dir, struct gy_flow **ret, struct gy_err *err);
void gy_flow_free(struct gy_flow *f);
GY_DEFINE_AUTO(struct gy_flow *, gy_flow_free);

/* Index of a stage, SIZE_MAX when there is none. */
size_t gy_flow_find(const struct gy_flow *f, struct gy_str name);
/* Some stage makes this path, a part of it, or what it is a part of. */
bool gy_flow_is_output(const struct gy_flow *f, struct gy_str full);
/* Mark (n_stages bools) the named stages and everything upstream of them; no name: all but the
 * manual ones. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_flow_select(const struct gy_flow *f, const char *const *names, size_t n,
                                    bool *selected, struct gy_err *err);

#endif
