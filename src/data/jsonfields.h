/* SPDX-License-Identifier: Apache-2.0 */
/* gy_jsonfields: the values of one JSON record, by the columns of a schema. The columns are those
 * of the environment; a key that names none of them is left out of the record, whatever its value,
 * and counted by name, so that a person can see what was not kept. Not thread safe; one owner. */
#ifndef GY_DATA_JSONFIELDS_H
#define GY_DATA_JSONFIELDS_H

#include "base/json.h"
#include "data/check.h"
#include "data/unknown.h"

struct gy_jsonfields;

/* schema must outlive it. Fails: NOMEM. */
GY_CHECKED gy_status gy_jsonfields_new(const struct gy_schema *schema, struct gy_str environment,
                                       struct gy_jsonfields **ret, struct gy_err *err);
void gy_jsonfields_free(struct gy_jsonfields *f);
GY_DEFINE_AUTO(struct gy_jsonfields *, gy_jsonfields_free);

/* The header that a checker wants: one field a column. Live as long as f. */
const struct gy_csv_field *gy_jsonfields_header(const struct gy_jsonfields *f, size_t *ret_n);

/* Read an item of gy_jsonrec. *ret_values (one a field of the header, views until the next call),
 * or NULL when the record is refused as a whole; then reasons say why (JSON, UTF8, TOOLONG). Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_jsonfields_read(struct gy_jsonfields *f, const struct gy_csv_item *item,
                                        const struct gy_value **ret_values,
                                        struct gy_reasons *reasons, struct gy_err *err);

/* The keys that the schema does not know, with how often they were met since it was reset. */
struct gy_unknown *gy_jsonfields_unknown(struct gy_jsonfields *f);

/* Guess a schema as gy_schema_infer does, from the records at the head of a JSON file: every key
 * whose value was not nested is a column, in the order of appearance. Numbers make int or float,
 * words bool, texts string or time. Fails: PARSE (no record), NOMEM. */
GY_CHECKED gy_status gy_schema_infer_json(struct gy_str json, bool lines, bool whole,
                                          struct gy_schema **ret, struct gy_err *err);

#endif
