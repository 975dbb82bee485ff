/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the dataset registry share. Inside store closures. */
#ifndef GY_DATA_DATASET_INTERNAL_H
#define GY_DATA_DATASET_INTERNAL_H

#include "base/limits.h"
#include "data/dataset.h"

#define GY_DATASET_NODE (GY_MAX_NAME + 64) /* bytes of "dataset:<name>/<version>" */

gy_status gy_dataset_no_memory(struct gy_err *err);
/* The node of a version, a view into out. */
struct gy_str gy_dataset_node(struct gy_str name, int64_t version, char out[GY_DATASET_NODE]);
/* An event about a version; json: its data, unchecked. */
GY_CHECKED gy_status gy_dataset_tell(struct gy_db *db, const char *kind, struct gy_str name,
                                     int64_t version, struct gy_str actor,
                                     const struct gy_buf *json, struct gy_err *err);

#endif
