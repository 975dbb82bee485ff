/* SPDX-License-Identifier: Apache-2.0 */
/* A Jupyter notebook (nbformat 4, Python) as a pipeline: tagged cells become stages/NAME.py,
 * params.yaml and dvc.yaml that give the same metrics (docs/notebooks.md has the tags and rules).
 *
 *   gy_notebook_parse    the code cells and what their tags make of them; C alone
 *   gy_notebook_plan     what each stage reads, saves and needs: Python's `ast`, in a child process
 *                        that parses the code and never runs it
 *   gy_notebook_compare  what writing the plan to a folder would change there
 *   gy_notebook_write    write it
 *
 * Input is not trusted: everything has a limit, and a cell that can not be understood is refused by
 * its number. All objects are immutable once returned and own what they show; any one thread. */
#ifndef GY_FLOW_NOTEBOOK_H
#define GY_FLOW_NOTEBOOK_H

#include "base/arena.h"
#include "base/json.h"
#include "base/limits.h"

#define GY_NOTEBOOK_MAX_BYTES (64 * GY_MIB) /* of the file: pictures of outputs are in it */
#define GY_NOTEBOOK_MAX_CELLS 10000
#define GY_NOTEBOOK_MAX_CODE (2 * GY_MIB) /* of all code cells together */
#define GY_NOTEBOOK_MAX_STAGES 100
#define GY_NOTEBOOK_MAX_PLAN (64 * GY_MIB) /* of Python's answer */

enum gy_cell_role {
    GY_CELL_SETUP,      /* before the first stage, without a tag */
    GY_CELL_PARAMETERS, /* tag parameters */
    GY_CELL_INJECTED,   /* tag injected-parameters: what papermill ran the notebook with */
    GY_CELL_STAGE,      /* tag stage:NAME, or follows one without a tag of its own */
    GY_CELL_SKIP,       /* tag skip */
};

struct gy_notebook_cell {
    int64_t number; /* from 1, among all cells of the notebook */
    enum gy_cell_role role;
    struct gy_str source;
    struct gy_str stage; /* GY_CELL_STAGE: its name */
    bool metrics;        /* tag metrics */
};

struct gy_notebook {
    struct gy_arena arena;
    struct gy_str name; /* of the file, for people */
    const struct gy_notebook_cell *cells;
    size_t n_cells, n_stages;
};

/* Fails: PARSE (no JSON), INVALID (no notebook; a tag that is none of ours; no stage; a stage that
 * comes back; parameters after the first stage), UNSUPPORTED (nbformat other than 4, a kernel that
 * is not Python), TOOBIG, NOMEM; each with a hint. */
GY_CHECKED gy_status gy_notebook_parse(struct gy_str json, const char *name,
                                       struct gy_notebook **ret, struct gy_err *err);
/* The same from a file. Fails: NOTFOUND, IO, too. */
GY_CHECKED gy_status gy_notebook_read(const char *path, struct gy_notebook **ret,
                                      struct gy_err *err);
void gy_notebook_free(struct gy_notebook *n);
GY_DEFINE_AUTO(struct gy_notebook *, gy_notebook_free);

enum gy_notebook_state {
    GY_NOTEBOOK_NEW,     /* the file is not there yet */
    GY_NOTEBOOK_SAME,    /* it holds these bytes */
    GY_NOTEBOOK_UPDATED, /* it is as an earlier import wrote it: replaced */
    GY_NOTEBOOK_CHANGED, /* a person wrote or changed it: replaced by force alone */
    GY_NOTEBOOK_KEPT,    /* params.yaml with a person's values, and all that the stages read: stays,
                            unless forced */
};
const char *gy_notebook_state_name(enum gy_notebook_state state); /* "new" "same" ... */

struct gy_notebook_file {
    struct gy_str path; /* relative to the folder */
    struct gy_str text;
    enum gy_notebook_state state; /* after gy_notebook_compare */
};

struct gy_notebook_plan {
    struct gy_arena arena;
    yyjson_doc *doc;                /* Python's answer */
    yyjson_val *stages;             /* [{name, script, deps, params, outs, metrics}], checked */
    yyjson_val *notices;            /* [{cell (0: none), text}]: what a person should know */
    yyjson_val *params;             /* {name: value} */
    struct gy_notebook_file *files; /* in the order of writing */
    size_t n_files;
    const struct gy_str *left; /* stage scripts of an earlier import that nothing names now; set by
                                  gy_notebook_compare */
    size_t n_left;
};

/* dir: the project's folder, whose modules and data are looked for; beside: the notebook's own.
 * Fails: MISSINGDEP (no python3), INVALID (cell and line, with a hint), TIMEOUT, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_notebook_plan(const struct gy_notebook *n, const char *dir,
                                      const char *beside, struct gy_notebook_plan **ret,
                                      struct gy_err *err);
void gy_notebook_plan_free(struct gy_notebook_plan *p);
GY_DEFINE_AUTO(struct gy_notebook_plan *, gy_notebook_plan_free);

/* Look at the files of dir. Fails: IO, DENIED, NOMEM. */
GY_CHECKED gy_status gy_notebook_compare(struct gy_notebook_plan *p, const char *dir,
                                         struct gy_err *err);
/* Write what is not the same; gy_notebook_compare came before. Fails: EXISTS naming the first file
 * that a person changed, unless force (nothing is written then); IO, DENIED, NOSPACE. */
GY_CHECKED gy_status gy_notebook_write(const struct gy_notebook_plan *p, const char *dir,
                                       bool force, struct gy_err *err);

#endif
