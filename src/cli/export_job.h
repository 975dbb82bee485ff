/* SPDX-License-Identifier: Apache-2.0 */
/* `gyre export mlflow DIR`: the lines of /api/gyre/v1/export/ given to one of two writers, a
 * database (export_sqlite.c) or a folder of files (export_files.c). Everything is written to a
 * folder beside DIR, which gets its name at the end: a killed export leaves no DIR. Main thread
 * only. */
#ifndef GY_CLI_EXPORT_JOB_H
#define GY_CLI_EXPORT_JOB_H

#include "base/limits.h"
#include "cli/ask.h"
#include "cli/move.h"

#define GY_EXPORT_BASE "/api/gyre/v1"

/* A writer. Entities come in this order: experiments; for each its logged models, its runs with
 * their points, one key after the other; models, their versions, their aliases. What it can not
 * keep it rejects into the report. All MUST. */
struct gy_export_ops {
    uint32_t version; /* 1 */
    const char *name;
    /* dir: where to write; root: the folder whose name "mlflow-artifacts:/" stands for, once dir
     * has its own name. */
    gy_status (*open)(const char *dir, const char *root, struct gy_move_report *report,
                      void **ret_self, struct gy_err *err);
    gy_status (*experiment)(void *self, const struct gy_experiment *e, struct gy_err *err);
    gy_status (*run)(void *self, const struct gy_run *r, struct gy_err *err);
    gy_status (*points)(void *self, const struct gy_transfer_points *p, struct gy_err *err);
    gy_status (*end_run)(void *self, struct gy_err *err);
    gy_status (*logged)(void *self, const struct gy_logged_model *m, struct gy_err *err);
    gy_status (*model)(void *self, const struct gy_registered_model *m, struct gy_err *err);
    gy_status (*model_version)(void *self, const struct gy_transfer_version *v, struct gy_err *err);
    gy_status (*alias)(void *self, struct gy_str model, struct gy_str alias, int64_t version,
                       struct gy_err *err);
    /* The folder below dir for artifacts of this path ("5/<run>/artifacts/.."). */
    gy_status (*place)(void *self, struct gy_str path, char out[GY_MAX_PATH], struct gy_err *err);
    gy_status (*finish)(void *self, struct gy_err *err); /* all was given */
    void (*free)(void *self);
};
extern const struct gy_export_ops gy_export_sqlite;
extern const struct gy_export_ops gy_export_files;

/* A URI as it is in the export: what Gyre keeps lies below root, other places stay. */
GY_CHECKED gy_status gy_export_uri(struct gy_str uri, const char *root, struct gy_buf *out,
                                   struct gy_err *err);

#endif
