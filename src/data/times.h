/* SPDX-License-Identifier: Apache-2.0 */
/* Times of a column as numbers. Pure; thread safe. */
#ifndef GY_DATA_TIMES_H
#define GY_DATA_TIMES_H

#include "data/schema.h"

/* How a time was written: a day, a time without a zone, one with a zone. */
enum gy_time_form { GY_TIME_DAY, GY_TIME_LOCAL, GY_TIME_ZONED };

/* Microseconds since 1970 of a value of a time column; what has no zone, and whose column names
 * none to read it by, counts as UTC. c MAY be NULL: any time. False: not a time of this column. */
bool gy_column_time(const struct gy_column *c, struct gy_str text, int64_t *ret_us,
                    enum gy_time_form *ret_form);

/* The canonical text (schema.h) of a time that was written so. A view into out. */
struct gy_str gy_time_text(int64_t us, enum gy_time_form form, char out[GY_VALUE_TEXT]);

#endif
