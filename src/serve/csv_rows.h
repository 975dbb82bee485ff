/* SPDX-License-Identifier: Apache-2.0 */
/* A CSV body as rows of a request: a header of names, then records, as pandas.read_csv takes them
 * (RFC 4180 quotes, blank lines passed over, short records filled up with missing values). */
#ifndef GY_SERVE_CSV_ROWS_H
#define GY_SERVE_CSV_ROWS_H

#include "serve/json_rows.h"

/* The request is reset before. Fails: PARSE (not UTF-8, an open quote, a record longer than the
 * header), and as gy_json_rows_begin and gy_json_rows_text. */
GY_CHECKED gy_status gy_csv_rows(const struct gy_json_rows *r, struct gy_str body,
                                 struct gy_err *err);

#endif
