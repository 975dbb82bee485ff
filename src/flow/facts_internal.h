/* SPDX-License-Identifier: Apache-2.0 */
/* Between facts.c (finding) and facts_write.c (telling). */
#ifndef GY_FLOW_FACTS_INTERNAL_H
#define GY_FLOW_FACTS_INTERNAL_H

#include "base/yaml.h"
#include "data/dataset.h"
#include "flow/facts.h"
#include "store/lineage.h"
#include "store/verdicts.h"
#include "track/history.h"
#include "track/runs.h"
#include "track/usecases.h"

/* What was found; rows in the arena, documents owned. */
struct gy_found {
    struct gy_arena arena;
    struct gy_str ref;
    bool is_version, has_run, has_dataset, has_usecase;
    struct gy_model_version version;
    struct gy_run run;
    struct gy_dataset_version dataset;
    struct gy_usecase usecase;
    struct gy_str erased; /* gy_erased_under; absent: none */
    struct gy_artifact *files;
    size_t n_files;
    struct gy_verdict *verdicts;
    size_t n_verdicts;
    struct gy_approval *approvals; /* of any package: those of this one are told */
    size_t n_approvals;
    struct gy_lineage_edge *edges;
    size_t n_edges;
    struct gy_history_entry *history;
    size_t n_history;
    yyjson_doc *model, *metrics, *card, *profile; /* model.json, ...; NULL: not there */
    struct gy_yaml *mlmodel;
};

/* A tag of the run; absent: none. */
struct gy_str gy_found_tag(const struct gy_found *f, const char *key);
GY_CHECKED gy_status gy_found_write(const struct gy_found *f, struct gy_jw *w, struct gy_err *err);

#endif
