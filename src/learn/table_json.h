/* SPDX-License-Identifier: Apache-2.0 */
/* A table in JSON (an array of objects, or an object a line) as the CSV that gy_table_parse reads.
 * Private to table.c. */
#ifndef GY_LEARN_TABLE_JSON_H
#define GY_LEARN_TABLE_JSON_H

#include "base/buf.h"

/* Append header and records: every key with a value that is not nested is a column, in the order of
 * appearance; null and an absent key are empty. name is for messages. Fails: PARSE (no JSON),
 * SCHEMA (a damaged record, with its number; a value that is nested in one record and not in
 * others; no record), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_table_json(struct gy_str json, bool lines, const char *name,
                                   struct gy_buf *csv, struct gy_err *err);

#endif
