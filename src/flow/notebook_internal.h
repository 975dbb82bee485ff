/* SPDX-License-Identifier: Apache-2.0 */
/* Between notebook_plan.c, which asks Python, and notebook_files.c, which makes texts of it. */
#ifndef GY_FLOW_NOTEBOOK_INTERNAL_H
#define GY_FLOW_NOTEBOOK_INTERNAL_H

#include "base/embed.h"
#include "flow/notebook.h"

extern const struct gy_embedded gy_notebook_python[]; /* notebook.py, gyre_notebook.py */
extern const size_t gy_notebook_python_count;

enum { GY_NOTEBOOK_ANALYSIS, GY_NOTEBOOK_HELPER };

/* Make p->files of p->stages and p->params. Fails: TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_notebook_make_files(struct gy_notebook_plan *p, struct gy_str notebook,
                                            struct gy_err *err);
/* Does the text carry our mark, and is what follows the mark as it was written? */
bool gy_notebook_is_ours(struct gy_str text);

#endif
