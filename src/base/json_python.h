/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Python's json module writes and reads it: NaN, Infinity and -Infinity are numbers, too.
 * Bodies of clients in Python hold them for missing values. */
#ifndef GY_BASE_JSON_PYTHON_H
#define GY_BASE_JSON_PYTHON_H

#include "base/json.h"

/* Else as gy_json_parse. (json.c) */
GY_CHECKED gy_status gy_json_parse_python(struct gy_str text, yyjson_doc **ret_doc,
                                          struct gy_err *err);

#endif
