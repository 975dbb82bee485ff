/* SPDX-License-Identifier: Apache-2.0 */
/* gy_onnx_export: a model package as one ONNX file: the inputs under their names (a tensor [rows,
 * 1] of double or string each), the feature steps as plain operators, the learner, and the answer
 * as other exporters name it: a label and probabilities, or the value. What has no form in ONNX
 * (dates, hashes, pictures, formulas) is refused. ONNX Runtime agrees with gy_predictor_run to
 * 1e-5. */
#ifndef GY_LEARN_ONNX_EXPORT_H
#define GY_LEARN_ONNX_EXPORT_H

#include "learn/onnx_write.h"

struct gy_features;
struct gy_trees;

/* dir: a package folder. Appends the file to out. Fails: UNSUPPORTED (what and why), as loading the
 * package does, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_onnx_export(const char *dir, struct gy_buf *out, struct gy_err *err);

/* The parts: x is a matrix of double, [rows, columns]; *ret the one that comes out of it. Fails:
 * UNSUPPORTED, NOMEM. */
GY_CHECKED gy_status gy_onnx_add_steps(struct gy_onnx_writer *w, const struct gy_features *f,
                                       const char *x, const char **ret, struct gy_err *err);
GY_CHECKED gy_status gy_onnx_add_trees(struct gy_onnx_writer *w, const struct gy_trees *t,
                                       const char *x, const char **ret, struct gy_err *err);

#endif
