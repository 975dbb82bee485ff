/* SPDX-License-Identifier: Apache-2.0 */
/* The schema that a command works with: given, the project's, or told from the file. Main thread
 * only. */
#ifndef GY_CLI_SCHEMA_OF_H
#define GY_CLI_SCHEMA_OF_H

#include "cli/cli_internal.h"
#include "data/ingest.h"

/* The file `given` (--schema), else the project's schema.yaml, else (may_infer) told from file. */
GY_CHECKED gy_status gy_cli_schema_find(const struct gy_cli *cli, const char *given,
                                        const char *file, bool may_infer,
                                        enum gy_ingest_format format, struct gy_schema **ret,
                                        struct gy_err *err);
/* The same; source NULL: it must be given or the project's. */
GY_CHECKED gy_status gy_cli_schema_find_source(const struct gy_cli *cli, const char *given,
                                               struct gy_source *source, struct gy_schema **ret,
                                               struct gy_err *err);

/* --delimiter: one character, "tab", or "auto" and NULL: 0, sniffed. Fails: USAGE. */
GY_CHECKED gy_status gy_cli_delimiter(const char *text, char *ret, struct gy_err *err);

/* The schema in a file, else that of a dataset version. Fails: NOTFOUND, as both do. */
GY_CHECKED gy_status gy_cli_schema_of(struct gy_cli *cli, const char *what, struct gy_schema **ret,
                                      struct gy_err *err);

#endif
