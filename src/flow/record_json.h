/* SPDX-License-Identifier: Apache-2.0 */
/* Records of CSV as the flat JSON objects that an endpoint is asked in: the fields of inputs that
 * are numbers become numbers, those of texts strings, missing ones null. Immutable once the header
 * is known. */
#ifndef GY_FLOW_RECORD_JSON_H
#define GY_FLOW_RECORD_JSON_H

#include "data/records.h"
#include "net/call.h"

struct gy_record_kinds;

/* Ask what the endpoint's inputs are. Fails: NOTFOUND, as the transport does. */
GY_CHECKED gy_status gy_record_kinds_ask(struct gy_caller *server, const char *endpoint,
                                         struct gy_record_kinds **ret, struct gy_err *err);
void gy_record_kinds_free(struct gy_record_kinds *k);
GY_DEFINE_AUTO(struct gy_record_kinds *, gy_record_kinds_free);
/* The columns from here on; an item of kind HEADER. Fails: PARSE, NOMEM. */
GY_CHECKED gy_status gy_record_header(struct gy_record_kinds *k, const struct gy_csv_item *header,
                                      char delimiter, struct gy_err *err);
size_t gy_record_n_columns(const struct gy_record_kinds *k);
/* Append the object of an item without fault. False: it has another number of fields than the
 * header, or is not UTF-8. fields: room for gy_record_n_columns. */
bool gy_record_json(const struct gy_record_kinds *k, const struct gy_csv_item *item, char delimiter,
                    struct gy_csv_field *fields, struct gy_buf *scratch, struct gy_buf *out);
/* Why a record of a file can not even be asked. */
const char *gy_record_fault(const struct gy_csv_item *item);

#endif
