/* SPDX-License-Identifier: Apache-2.0 */
/* Time: UTC microseconds since the epoch everywhere; the clock can be replaced by tests. Thread
 * safe. */
#ifndef GY_BASE_TIME_H
#define GY_BASE_TIME_H

#include "base/str.h"

int64_t gy_now_us(void);  /* wall clock, UTC */
int64_t gy_mono_ns(void); /* monotonic; only differences mean anything */
/* "2026-11-21T01:31:57.123456Z"; out of 32 bytes. */
size_t gy_time_iso(int64_t time_us, char out[32]);
/* RFC 3339 with a zone ("Z" or an offset), up to microseconds. Fails: INVALID (also when the zone
 * is missing). */
GY_CHECKED gy_status gy_time_parse_iso(struct gy_str s, int64_t *ret_us, struct gy_err *err);
/* A span of time: a whole number and its unit, "30d", "12h", "90m", "45s"; seconds without one. At
 * most max_s. Fails: INVALID, with a hint. */
GY_CHECKED gy_status gy_time_parse_span(struct gy_str s, int64_t max_s, int64_t *ret_s,
                                        struct gy_err *err);
/* RFC 9110 date for HTTP headers: "Sat, 21 Nov 2026 01:31:57 GMT"; out of 32 bytes. */
size_t gy_time_http(int64_t time_us, char out[32]);
void gy_time_set_fake(int64_t now_us); /* 0: the real clock again */

#endif
