/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/yaml_json.h"

#include <math.h>

static void scalar(struct gy_jw *w, const struct gy_yaml_node *n)
{
    switch (n->kind) {
    case GY_YAML_BOOL:
        gy_jw_bool(w, n->b);
        return;
    case GY_YAML_INT:
        gy_jw_i64(w, n->i);
        return;
    case GY_YAML_FLOAT:
        if (isfinite(n->f)) {
            gy_jw_f64(w, n->f);
        } else {
            gy_jw_str(w, n->text);
        }
        return;
    case GY_YAML_STR:
        gy_jw_str(w, n->text);
        return;
    case GY_YAML_NULL:
    case GY_YAML_SEQ:
    case GY_YAML_MAP:
        gy_jw_null(w);
    }
}

/* The parser bounds the depth. */
void gy_cli_yaml_value(struct gy_jw *w, const struct gy_yaml_node *n)
{
    if (!n) {
        gy_jw_null(w);
    } else if (n->kind == GY_YAML_MAP) {
        gy_jw_obj(w);
        for (size_t i = 0; i < n->n_items; i++) {
            gy_jw_keys(w, n->keys[i]);
            gy_cli_yaml_value(w, &n->items[i]);
        }
        gy_jw_obj_end(w);
    } else if (n->kind == GY_YAML_SEQ) {
        gy_jw_arr(w);
        for (size_t i = 0; i < n->n_items; i++) {
            gy_cli_yaml_value(w, &n->items[i]);
        }
        gy_jw_arr_end(w);
    } else {
        scalar(w, n);
    }
}
