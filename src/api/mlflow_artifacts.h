/* SPDX-License-Identifier: Apache-2.0 */
/* What mlflow_artifacts.c offers to the other files of the protocol. */
#ifndef GY_API_MLFLOW_ARTIFACTS_H
#define GY_API_MLFLOW_ARTIFACTS_H

#include "api/mlflow_wire.h"
#include "track/artifacts.h"

/* "files": what lies in root/sub, each path shown below `shown`; nothing when the folder is empty.
 * Inside an open object. */
GY_CHECKED gy_status gy_mf_write_files(struct gy_db *db, struct gy_mf_call *c, struct gy_str root,
                                       struct gy_str sub, struct gy_str shown, struct gy_err *err);
/* The type by which a browser may take a file of this name. */
const char *gy_mf_content_type(struct gy_str name);
/* Answer with a file: its type by its name, tag, parts and packing as net/file_answer.h says. */
GY_CHECKED gy_status gy_mf_send_artifact(struct gy_app *app, struct gy_request *req,
                                         struct gy_reply *reply, const struct gy_artifact *f,
                                         struct gy_err *err);

/* Remove the bytes of parts whose uploads are over (complains to the log). mlflow_mpu.c. Not inside
 * a store closure. */
void gy_mf_clean_uploads(struct gy_app *app);
GY_CHECKED gy_status gy_mf_add_uploads(struct gy_router *r, struct gy_app *app, struct gy_err *err);

#endif
