/* SPDX-License-Identifier: Apache-2.0 */
/* A table that an ingest made as a dataset version, through the routes. Main thread only. */
#ifndef GY_CLI_DATASET_PUT_H
#define GY_CLI_DATASET_PUT_H

#include "cli/cli_internal.h"
#include "data/ingest.h"

struct gy_cli_dataset {
    const struct gy_ingest_result *result;
    const char *path; /* where the table lies now */
    struct gy_str name;
    const struct gy_schema *schema;
    struct gy_str source;      /* what it came from, for people */
    const char *source_sha256; /* NULL: of no file */
    struct gy_str taken;       /* the member "taken" (api/data_taken.c); absent: none */
    int64_t base_version;      /* dead letters were replayed into that one; 0: none */
};
/* Bytes first, then the name: a version never points at nothing. Fails: CORRUPT (the file is not
 * what the ingest wrote any more), as the transport does. */
GY_CHECKED gy_status gy_cli_dataset_put(struct gy_cli *cli, const struct gy_cli_dataset *d,
                                        int64_t *ret_version, bool *ret_new, struct gy_err *err);

#endif
