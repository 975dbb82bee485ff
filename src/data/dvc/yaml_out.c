/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/yaml_out.h"

#include <math.h>
#include <stdio.h>

#define MAX_TEXT (64 * GY_MIB)
#define FOLD_AT 80 /* ruamel's line width */

static void indent(struct gy_buf *out, int n)
{
    for (int i = 0; i < n; i++) {
        gy_buf_add_char(out, ' ');
    }
}

static void add_scalar_node(struct gy_buf *out, const struct gy_yaml_node *n)
{
    char number[32];
    switch (n->kind) {
    case GY_YAML_NULL:
        break; /* nothing behind the colon */
    case GY_YAML_BOOL:
        gy_buf_addc(out, n->b ? "true" : "false");
        break;
    case GY_YAML_INT:
        gy_buf_addf(out, "%lld", (long long)n->i);
        break;
    case GY_YAML_FLOAT:
        if (isfinite(n->f)) {
            (void)gy_fmt_f64(n->f, number);
            gy_buf_addc(out, number);
        } else {
            gy_buf_addc(out, isnan(n->f) ? ".nan" : n->f < 0 ? "-.inf" : ".inf");
        }
        break;
    case GY_YAML_STR:
        gy_yaml_add_scalar(out, n->text);
        break;
    case GY_YAML_SEQ:
    case GY_YAML_MAP:
        break; /* not scalars */
    }
}

/* The entries of a map, the first one on the line we are on. */
static void add_entries(struct gy_buf *out, const struct gy_yaml_node *map, int depth)
{
    for (size_t i = 0; i < map->n_items; i++) {
        if (i > 0) {
            indent(out, depth);
        }
        gy_yaml_add_scalar(out, map->keys[i]);
        gy_buf_add_char(out, ':');
        gy_dvc_yaml_node(out, &map->items[i], depth);
    }
}

/* A list below a key stands at the key's own column. */
static void add_items(struct gy_buf *out, const struct gy_yaml_node *seq, int depth)
{
    for (size_t i = 0; i < seq->n_items; i++) {
        const struct gy_yaml_node *item = &seq->items[i];
        if (i > 0) {
            indent(out, depth);
        }
        gy_buf_add_char(out, '-');
        if (item->n_items > 0 && item->kind == GY_YAML_MAP) {
            gy_buf_add_char(out, ' ');
            add_entries(out, item, depth + 2);
        } else if (item->n_items > 0 && item->kind == GY_YAML_SEQ) {
            gy_buf_add_char(out, ' ');
            add_items(out, item, depth + 2);
        } else if (item->kind == GY_YAML_NULL) {
            gy_buf_addc(out, " \n");
        } else {
            gy_dvc_yaml_node(out, item, depth);
        }
    }
}

void gy_dvc_yaml_node(struct gy_buf *out, const struct gy_yaml_node *n, int depth)
{
    if (n->kind == GY_YAML_MAP || n->kind == GY_YAML_SEQ) {
        bool map = n->kind == GY_YAML_MAP;
        if (n->n_items == 0) {
            gy_buf_addc(out, map ? " {}\n" : " []\n");
            return;
        }
        gy_buf_add_char(out, '\n');
        indent(out, map ? depth + 2 : depth);
        if (map) {
            add_entries(out, n, depth + 2);
        } else {
            add_items(out, n, depth);
        }
        return;
    }
    if (n->kind != GY_YAML_NULL) {
        gy_buf_add_char(out, ' ');
    }
    add_scalar_node(out, n);
    gy_buf_add_char(out, '\n');
}

static size_t column_of(const struct gy_buf *out)
{
    size_t at = out->n;
    while (at > 0 && out->p[at - 1] != '\n') {
        at--;
    }
    return out->n - at;
}

void gy_dvc_yaml_folded(struct gy_buf *out, struct gy_str text, int depth)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf plain;
    gy_buf_init(&plain, MAX_TEXT);
    gy_yaml_add_scalar(&plain, text);
    if (plain.failed != GY_OK || plain.n == 0 || plain.p[0] == '"' || plain.p[0] == '\'' ||
        gy_str_find_str(text, GY_STR("  ")) != SIZE_MAX) {
        gy_yaml_add_scalar(out, text);
        gy_buf_add_char(out, '\n');
        return;
    }
    struct gy_str rest = text;
    struct gy_str word;
    bool first = true;
    while (gy_str_next(&rest, ' ', &word)) {
        if (!first && column_of(out) >= FOLD_AT) {
            gy_buf_add_char(out, '\n');
            indent(out, depth);
        } else if (!first) {
            gy_buf_add_char(out, ' ');
        }
        if (column_of(out) + word.n > FOLD_AT && column_of(out) > (size_t)depth) {
            gy_buf_add_char(out, '\n');
            indent(out, depth);
        }
        gy_buf_add(out, word);
        first = false;
    }
    gy_buf_add_char(out, '\n');
}
