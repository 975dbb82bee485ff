/* SPDX-License-Identifier: Apache-2.0 */
/* gyre.yaml: what a project proposes (name, endpoints, gate, watch, triggers, notify). It is read
 * here and applied by `gyre endpoint deploy`, `gyre gate check` and `gyre watch apply`; nothing is
 * ever written back. Sections of rooms below stay YAML nodes for their owners. Immutable after
 * loading. */
#ifndef GY_FLOW_PROJECT_H
#define GY_FLOW_PROJECT_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/yaml.h"

#define GY_GATE_MAX_BOUNDS 64
#define GY_GATE_MAX_SLICES 64
#define GY_GATE_MAX_PROTECTED 16

enum gy_gate_where { GY_GATE_ALL, GY_GATE_OVERALL, GY_GATE_SLICES };

/* One line of gate.metrics. Absent limits are NaN. low_min bounds the lower end of the value's 95 %
 * interval, high_max the upper one: with few rows a good value proves little. champion_change_*
 * bound candidate minus champion. */
struct gy_gate_bound {
    struct gy_str metric;
    double min, max;
    double champion_change_min, champion_change_max;
    double low_min, high_max;
    enum gy_gate_where where; /* `on: all|overall|slices`, all when absent */
};

struct gy_gate_spec {
    struct gy_gate_bound bounds[GY_GATE_MAX_BOUNDS];
    size_t n_bounds;
    struct gy_str slices[GY_GATE_MAX_SLICES]; /* conditions in the rule language */
    size_t n_slices;
    struct gy_str protect[GY_GATE_MAX_PROTECTED]; /* aliases */
    size_t n_protect;
    bool needs_approval;
    bool four_eyes;       /* who asked for the approval may not give it */
    bool needs_usecase;   /* the model is attached to an approved use case */
    bool refuse_dirty;    /* the run's code was not what its commit says */
    bool refuse_unpinned; /* the run names no bytes of data, or no commit */
};

struct gy_project {
    char dir[GY_MAX_PATH]; /* absolute */
    struct gy_yaml *yaml;  /* NULL: no gyre.yaml */
    struct gy_str name;    /* of gyre.yaml, else of the folder */
    struct gy_gate_spec gate;
    /* For their owners; NULL when absent. */
    const struct gy_yaml_node *endpoints, *watch, *triggers, *notify;
};

/* The nearest folder at or above `start` (NULL: the working folder) that holds gyre.yaml, else
 * dvc.yaml. Fails: NOTFOUND with a hint. */
GY_CHECKED gy_status gy_project_find(const char *start, char ret_dir[GY_MAX_PATH],
                                     struct gy_err *err);
/* Read dir/gyre.yaml (absent is fine). Fails: PARSE, INVALID (unknown key, wrong value) with
 * file:line. */
GY_CHECKED gy_status gy_project_load(const char *dir, struct gy_project **ret, struct gy_err *err);
void gy_project_free(struct gy_project *p);
GY_DEFINE_AUTO(struct gy_project *, gy_project_free);

#endif
