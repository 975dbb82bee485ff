/* SPDX-License-Identifier: Apache-2.0 */
/* Two model versions or runs, section by section (flow/facts.h). Pure.
 *
 *   {"a":"sepsis/1","b":"sepsis/3","same":false,
 *    "sections":[{"section":"data","changed":1,"rows":[{"key","change","a","b"}]}, ...]}
 *
 * change: "added", "removed", "changed"; of metrics also "same", since all of them are told, with
 * "difference" (b minus a) and "overlap" (whether the two intervals meet; null without intervals).
 * A section without a difference has no rows, but metrics. */
#ifndef GY_FLOW_MODEL_DIFF_H
#define GY_FLOW_MODEL_DIFF_H

#include "flow/facts.h"

/* Writes the document. */
void gy_model_diff(yyjson_val *a, yyjson_val *b, struct gy_jw *w);

/* The same for two flat objects: one section's rows; the number of differences. */
size_t gy_diff_rows(yyjson_val *a, yyjson_val *b, bool metrics, struct gy_jw *w);

#endif
