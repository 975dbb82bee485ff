/* SPDX-License-Identifier: Apache-2.0 */
/* Moving whole stores: one entity is one line of JSON with its id, times and lifecycle, which no
 * client's API lets through. The same lines go in (api/import.c reads them) and come out
 * (api/export.c writes them), so that what was exported can be imported as it is. "kind" says what
 * a line is: experiment, run, points (a piece of one metric's history), logged_model, model,
 * version, alias, artifact. Times are in the unit that the database keeps (start_ms, created_us).
 */
#ifndef GY_TRACK_TRANSFER_H
#define GY_TRACK_TRANSFER_H

#include "base/json.h"
#include "track/artifacts.h"
#include "track/experiments.h"
#include "track/logged_models.h"
#include "track/models.h"
#include "track/runs.h"

#define GY_TRANSFER_MAX_POINTS 4096 /* points in one line */

struct gy_transfer_version { /* what a version has besides gy_model_version */
    struct gy_model_version v;
    bool deleted;
    struct gy_tag *tags;
    size_t n_tags;
};

struct gy_transfer_points {
    struct gy_str run_id;
    struct gy_metric *points; /* all of one key */
    size_t n;
};

/* One JSON object each; the line's end is the caller's. */
void gy_transfer_write_experiment(struct gy_jw *w, const struct gy_experiment *e);
void gy_transfer_write_run(struct gy_jw *w, const struct gy_run *r); /* without its metrics */
void gy_transfer_write_points(struct gy_jw *w, const struct gy_transfer_points *p);
void gy_transfer_write_logged(struct gy_jw *w, const struct gy_logged_model *m);
void gy_transfer_write_model(struct gy_jw *w, const struct gy_registered_model *m);
void gy_transfer_write_version(struct gy_jw *w, const struct gy_transfer_version *x);
void gy_transfer_write_alias(struct gy_jw *w, struct gy_str model, struct gy_str alias,
                             int64_t version);
void gy_transfer_write_artifact(struct gy_jw *w, const struct gy_artifact *f);

/* A parsed line; strings are views into the document, arrays are in the arena. Fail with INVALID
 * naming the member. */
GY_CHECKED gy_status gy_transfer_read_experiment(yyjson_val *o, struct gy_arena *a,
                                                 struct gy_experiment *ret, struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_run(yyjson_val *o, struct gy_arena *a, struct gy_run *ret,
                                          struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_points(yyjson_val *o, struct gy_arena *a,
                                             struct gy_transfer_points *ret, struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_logged(yyjson_val *o, struct gy_arena *a,
                                             struct gy_logged_model *ret, struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_model(yyjson_val *o, struct gy_arena *a,
                                            struct gy_registered_model *ret, struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_version(yyjson_val *o, struct gy_arena *a,
                                              struct gy_transfer_version *ret, struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_alias(yyjson_val *o, struct gy_str *ret_model,
                                            struct gy_str *ret_alias, int64_t *ret_version,
                                            struct gy_err *err);
GY_CHECKED gy_status gy_transfer_read_artifact(yyjson_val *o, struct gy_artifact *ret,
                                               struct gy_err *err);

#endif
