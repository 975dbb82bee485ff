/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/stage_md5.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/dvc/dir.h"

static bool is_one_of(struct gy_str key, const char *const *words)
{
    for (; *words; words++) {
        if (gy_str_eqc(key, *words)) {
            return true;
        }
    }
    return false;
}

/* DVC's lists: of keys at any depth, and at the top. */
static bool is_left_out(const struct gy_yaml_node *map, size_t i, int depth)
{
    static const char *const anywhere[] = {"desc",   "type",   "labels", "meta",
                                           "locked", "frozen", "metric", "persist",
                                           "isexec", "size",   "nfiles", NULL};
    static const char *const top[] = {"md5", "meta", "desc", NULL};
    return is_one_of(map->keys[i], anywhere) ||
           (depth == 0 && (is_one_of(map->keys[i], top) || (gy_str_eqc(map->keys[i], "wdir") &&
                                                            gy_str_eqc(map->items[i].text, "."))));
}

struct member {
    struct gy_str key;
    const struct gy_yaml_node *value;
};

static int by_key(const void *a, const void *b)
{
    return gy_dvc_path_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static gy_status add_node(struct gy_buf *out, const struct gy_yaml_node *n, int depth,
                          struct gy_err *err);

static gy_status add_map(struct gy_buf *out, const struct gy_yaml_node *n, int depth,
                         struct gy_err *err)
{
    struct member *m = gy_calloc(n->n_items + 1, sizeof *m);
    size_t count = 0;
    gy_status status = GY_OK;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a stage");
    }
    for (size_t i = 0; i < n->n_items; i++) {
        if (!is_left_out(n, i, depth)) {
            m[count++] = (struct member){n->keys[i], &n->items[i]};
        }
    }
    if (count) {
        qsort(m, count, sizeof *m, by_key);
    }
    gy_buf_add_char(out, '{');
    for (size_t i = 0; i < count && status == GY_OK; i++) {
        gy_buf_addc(out, i ? ", " : "");
        gy_dvc_add_python_string(out, m[i].key);
        gy_buf_addc(out, ": ");
        status = add_node(out, m[i].value, depth + 1, err);
    }
    gy_buf_add_char(out, '}');
    gy_free(m);
    return status;
}

static gy_status add_node(struct gy_buf *out, const struct gy_yaml_node *n, int depth,
                          struct gy_err *err)
{
    if (depth > GY_MAX_JSON_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "a stage is nested too deep");
    }
    switch (n->kind) {
    case GY_YAML_NULL:
        gy_buf_addc(out, "null");
        return GY_OK;
    case GY_YAML_BOOL:
        gy_buf_addc(out, n->b ? "true" : "false");
        return GY_OK;
    case GY_YAML_INT:
        gy_buf_addf(out, "%lld", (long long)n->i);
        return GY_OK;
    case GY_YAML_FLOAT:
        return gy_err_set(err, GY_E_UNSUPPORTED, "the stage holds the number %" GY_STR_F,
                          GY_STR_A(n->text));
    case GY_YAML_STR:
        gy_dvc_add_python_string(out, n->text);
        return GY_OK;
    case GY_YAML_SEQ:
        gy_buf_add_char(out, '[');
        for (size_t i = 0; i < n->n_items; i++) {
            gy_buf_addc(out, i ? ", " : "");
            GY_TRY(add_node(out, &n->items[i], depth + 1, err));
        }
        gy_buf_add_char(out, ']');
        return GY_OK;
    case GY_YAML_MAP:
        return add_map(out, n, depth, err);
    }
    return GY_OK;
}

gy_status gy_dvc_stage_md5(const struct gy_yaml_node *stage, char ret[GY_MD5_HEX],
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4 * GY_MAX_YAML);
    GY_TRY(add_node(&json, stage, 0, err));
    GY_TRY(gy_buf_check(&json, "a stage", err));
    return gy_md5_hex(gy_buf_str(&json), ret, err);
}
