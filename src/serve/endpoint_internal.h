/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that build an endpoint share (endpoint.c, alias.c). */
#ifndef GY_SERVE_ENDPOINT_INTERNAL_H
#define GY_SERVE_ENDPOINT_INTERNAL_H

#include "serve/endpoint.h"

extern const struct gy_str gy_endpoint_outputs[GY_N_OUTPUTS];

bool gy_endpoint_name_char(char c);
/* s as JSON text in the arena, with what follows it. Fails: TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_endpoint_json_text(struct gy_arena *a, struct gy_str s, const char *then,
                                           struct gy_str *ret, struct gy_err *err);
GY_CHECKED gy_status gy_endpoint_copy(struct gy_arena *a, struct gy_str s, struct gy_str *ret,
                                      struct gy_err *err);
/* A new shape of the endpoint, fields called by their names. Fails: NOMEM. */
GY_CHECKED gy_status gy_endpoint_shape(struct gy_endpoint *e, struct gy_infer_shape *shape,
                                       struct gy_err *err);

/* alias.c: list MAY be NULL. What was built before a failure is freed with the endpoint. Fails:
 * INVALID, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_aliases_build(struct gy_endpoint *e, yyjson_val *list, struct gy_err *err);
void gy_aliases_done(struct gy_endpoint *e); /* half-built allowed */

#endif
