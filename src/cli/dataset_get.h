/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a dataset version as a local file, through the routes. Main thread only. */
#ifndef GY_CLI_DATASET_GET_H
#define GY_CLI_DATASET_GET_H

#include "cli/ask.h"

/* ref: "name", "name@3", "name@TAG". The file is there as a whole or not at all, and has the digest
 * that the registry tells. *ret: the answer about the version, with its schema (initialized here,
 * also on failure). Fails: USAGE, NOTFOUND, CORRUPT (other bytes arrived), as files and the
 * transport do. */
GY_CHECKED gy_status gy_cli_dataset_get(struct gy_cli *cli, const char *ref, const char *to,
                                        struct gy_cli_answer *ret, struct gy_err *err);

/* The same bytes, written to an open file. Fails: CORRUPT, IO, NOSPACE, as the transport does. */
GY_CHECKED gy_status gy_cli_dataset_get_fd(struct gy_cli *cli, struct gy_str sha256, int fd,
                                           struct gy_err *err);

#endif
