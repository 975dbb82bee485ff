/* SPDX-License-Identifier: Apache-2.0 */
/* Seldon's message format (the v1 line): what its predictions, its feedback and its routes share.
 */
#ifndef GY_SERVE_SELDON_H
#define GY_SERVE_SELDON_H

#include "base/buf.h"
#include "base/json.h"

/* {"status": {"code", "info", "reason", "status": "FAILURE"}}, appended. */
void gy_seldon_failure(const struct gy_err *failed, struct gy_buf *out);

#endif
