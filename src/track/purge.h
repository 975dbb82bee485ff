/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what was deleted. Deleting an experiment, a run or a logged model is a mark that can
 * be taken back; purging is not: rows, metrics and the names of artifacts go (their bytes when
 * nothing names them any more, see api/gc.c). Kept all the same is what others stand on: a run or
 * logged model of a registered version that is not deleted, and a run whose model was ever
 * deployed, since a trace leads there. An experiment goes when it is deleted and nothing is left in
 * it. What lineage, events and comments say of a purged thing stays.
 *
 * Scope: gy_db_workspace(db). Inside closures of the store. */
#ifndef GY_TRACK_PURGE_H
#define GY_TRACK_PURGE_H

#include "track/track.h"

struct gy_purge_counts {
    int64_t runs, logged_models, experiments;
    int64_t kept; /* deleted runs and logged models that others stand on */
    int64_t artifacts, artifact_bytes;
};

/* What gy_purge_some would do in all, when everything that was deleted before before_us goes. */
GY_CHECKED gy_status gy_purge_plan(struct gy_db *db, int64_t before_us, struct gy_purge_counts *ret,
                                   struct gy_err *err);
/* Purge at most `max` runs and logged models, then what became empty; adds to *counts. *ret_more:
 * call again. A few at a time, because the one writer does nothing else meanwhile. Adds the event
 * experiment.purged, run.purged or logged_model.purged for each. */
GY_CHECKED gy_status gy_purge_some(struct gy_db *db, int64_t before_us, size_t max,
                                   struct gy_str actor, struct gy_purge_counts *counts,
                                   bool *ret_more, struct gy_err *err);

#endif
