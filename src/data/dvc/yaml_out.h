/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as ruamel writes it for DVC, byte for byte: order of the source, two blanks a level, lists
 * at their key's column. Pure and thread safe. */
#ifndef GY_DATA_DVC_YAML_OUT_H
#define GY_DATA_DVC_YAML_OUT_H

#include "base/limits.h"
#include "base/yaml.h"

/* What follows "key:" or "-" at column `depth`, with the line's end. */
void gy_dvc_yaml_node(struct gy_buf *out, const struct gy_yaml_node *n, int depth);
/* A text value, folded like ruamel's write_plain: a word that would pass the 80th column starts a
 * new line at column `depth`, and the blank before it stays behind. Quoted texts are not folded:
 * they read back the same. With the line's end. */
void gy_dvc_yaml_folded(struct gy_buf *out, struct gy_str text, int depth);

#endif
