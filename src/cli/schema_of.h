/* SPDX-License-Identifier: Apache-2.0 */
/* The schema that a command works with: given, the project's, or told from the file. Main thread
 * only. */
#ifndef GY_CLI_SCHEMA_OF_H
#define GY_CLI_SCHEMA_OF_H

#include "cli/cli_internal.h"
#include "data/ingest.h"

/* Told from the head of a file. Fails: NOTFOUND, IO, PARSE, NOMEM. */
GY_CHECKED gy_status gy_cli_schema_infer(const char *path, enum gy_ingest_format format,
                                         struct gy_schema **ret, struct gy_err *err);
/* The file `given` (--schema), else the project's schema.yaml, else (may_infer) told from file. */
GY_CHECKED gy_status gy_cli_schema_find(const struct gy_cli *cli, const char *given,
                                        const char *file, bool may_infer,
                                        enum gy_ingest_format format, struct gy_schema **ret,
                                        struct gy_err *err);

#endif
