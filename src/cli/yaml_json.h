/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of gyre.yaml as JSON, for a request. */
#ifndef GY_CLI_YAML_JSON_H
#define GY_CLI_YAML_JSON_H

#include "base/json.h"
#include "base/yaml.h"

/* NULL: null. Numbers that are not finite are written as their text. */
void gy_cli_yaml_value(struct gy_jw *w, const struct gy_yaml_node *n);

#endif
