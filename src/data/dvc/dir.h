/* SPDX-License-Identifier: Apache-2.0 */
/* What only DVC's own files need of lists of folders: Python's order and Python's JSON strings.
 * Pure and thread safe. */
#ifndef GY_DATA_DVC_DIR_H
#define GY_DATA_DVC_DIR_H

#include "data/dvc/repo.h"

#define GY_DVC_MAX_LIST (2 * GY_GIB) /* bytes of a folder's list */

/* By code point, as Python sorts strings; a byte that is no UTF-8 counts as U+DC00 + byte. */
int gy_dvc_path_cmp(struct gy_str a, struct gy_str b);
/* As json.dumps writes it with ensure_ascii, quotes included. */
void gy_dvc_add_python_string(struct gy_buf *out, struct gy_str s);
/* By relpath. */
void gy_dvc_dir_sort(struct gy_dvc_entry *entries, size_t n);
/* May this be the path of a file inside a folder? No empty, "." or ".." part, no '/' in front. */
bool gy_dvc_relpath_ok(struct gy_str path);
/* Copy hex digits in lower case, with a NUL; false when there are others. */
bool gy_dvc_hex_lower(struct gy_str hex, char *out);

#endif
