/* SPDX-License-Identifier: Apache-2.0 */
/* What our own routes (/api/gyre/v1) share: reading a JSON body whose texts are bounded before
 * anything is stored, and writing times. Any thread. */
#ifndef GY_API_BODY_H
#define GY_API_BODY_H

#include "base/json.h"
#include "net/call.h"
#include "store/lineage.h"

#define GY_API_MAX_TEXT ((size_t)(16 * GY_KIB)) /* a reason, an error, a list of targets, bytes */

/* The body as a JSON object of at most max bytes; an absent or empty one is {}. *ret_doc is the
 * caller's (gy_json_free). Fails: PARSE, TOOBIG, INVALID (no object). */
GY_CHECKED gy_status gy_api_object(struct gy_request *req, size_t max, yyjson_doc **ret_doc,
                                   struct gy_err *err);
/* A member that is a string of at most max bytes, or absent or null (*ret is then the absent
 * string); a view into the document. Fails: INVALID. */
GY_CHECKED gy_status gy_api_text(yyjson_val *object, const char *key, size_t max,
                                 struct gy_str *ret, struct gy_err *err);
/* Why something is done, as the header X-Gyre-Reason says it (UTF-8, %-encoded where it must be);
 * in the arena of the request, absent without one. Fails: INVALID. */
GY_CHECKED gy_status gy_api_reason(struct gy_request *req, struct gy_str *ret, struct gy_err *err);
/* A member of an open object: the time as ISO 8601, null for 0. */
void gy_api_kv_time(struct gy_jw *w, const char *key, int64_t time_us);
/* The same: edges of lineage as a list. */
void gy_api_kv_edges(struct gy_jw *w, const char *key, const struct gy_lineage_edge *edges,
                     size_t n);

#endif
