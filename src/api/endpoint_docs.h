/* SPDX-License-Identifier: Apache-2.0 */
/* The page and the OpenAPI document of one endpoint, made from its signature, aliases and rules
 * when they are asked for: what it takes, in which ranges and units, what it answers, and a request
 * in each of its forms that works as it stands. */
#ifndef GY_API_ENDPOINT_DOCS_H
#define GY_API_ENDPOINT_DOCS_H

#include "api/app.h"
#include "serve/endpoint.h"

#define GY_ENDPOINT_DOCS_MAX_VALUES 1000 /* texts of an input that are listed */

/* A row as a flat JSON object: the package's input example, else the middle of each range. shape:
 * whose keys it has; MAY be NULL: the inputs' names. Images are left out. */
void gy_endpoint_example(struct gy_jw *w, const struct gy_endpoint *e,
                         const struct gy_infer_shape *shape);
/* Its requests in every protocol, as they work when they are pasted, and what each answers: the
 * section of the page. host: where the page was asked for. */
void gy_endpoint_requests(struct gy_buf *b, const struct gy_endpoint *e, struct gy_str host);
/* The OpenAPI document; units: {"columns":[{"name","unit"}]} or NULL. */
void gy_endpoint_openapi(struct gy_jw *w, const struct gy_endpoint *e, yyjson_val *units);
/* The unit of an input; absent: none is known. */
struct gy_str gy_endpoint_unit(yyjson_val *units, struct gy_str input);

#endif
