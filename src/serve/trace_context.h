/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context (Recommendation, 2021): the trace that a request belongs to, as its
 * `traceparent` header says it: 00-<trace id, 32 hex>-<parent span, 16 hex>-<flags, 2 hex>. It is
 * logged with the prediction, so that a trace of the caller's leads to what was predicted and why.
 */
#ifndef GY_SERVE_TRACE_CONTEXT_H
#define GY_SERVE_TRACE_CONTEXT_H

#include "net/call.h"

/* false: none, or not well formed (then, as the standard asks, it is ignored); ret is zero. */
bool gy_trace_context(const struct gy_request *req, unsigned char ret_trace[16],
                      unsigned char ret_span[8]);

#endif
