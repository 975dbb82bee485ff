/* SPDX-License-Identifier: Apache-2.0 */
/* The input example of a package as raw cells: what proves a version and warms it up. */
#ifndef GY_LEARN_EXAMPLE_H
#define GY_LEARN_EXAMPLE_H

#include "learn/predictor.h"

/* info->input_example must be there. cells: n_cells of one row; an image is not decoded but black,
 * any one does. Fails: INVALID (it lacks an input, a text is no value of its input), PARSE, NOMEM.
 */
GY_CHECKED gy_status gy_example_cells(const struct gy_predictor_info *info, double *cells,
                                      struct gy_err *err);

#endif
