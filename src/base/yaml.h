/* SPDX-License-Identifier: Apache-2.0 */
/* YAML 1.2 (core schema) over libfyaml, read into a small tree of our own, so that no libfyaml type
 * travels. Nodes know line and column for messages, and the byte span of their text in the source,
 * so that a person's file is edited by splicing (libfyaml does not keep comments). Aliases are
 * resolved within a bound. A tree is immutable after parsing. */
#ifndef GY_BASE_YAML_H
#define GY_BASE_YAML_H

#include "base/buf.h"

enum gy_yaml_kind {
    GY_YAML_NULL,
    GY_YAML_BOOL,
    GY_YAML_INT,
    GY_YAML_FLOAT,
    GY_YAML_STR,
    GY_YAML_SEQ,
    GY_YAML_MAP
};

struct gy_yaml; /* the document; owns all nodes */
struct gy_yaml_node {
    enum gy_yaml_kind kind;
    struct gy_str text; /* scalars: the text (unquoted); BOOL/INT/FLOAT/NULL also keep it */
    bool quoted;        /* a quoted or block scalar is a string whatever it looks like */
    bool b;
    int64_t i;
    double f;                         /* INT sets it too */
    size_t n_items;                   /* SEQ and MAP */
    const struct gy_yaml_node *items; /* SEQ: items; MAP: values */
    const struct gy_str *keys;        /* MAP: n_items keys, in file order, unique */
    int line, column;                 /* from 1 */
    size_t offset, length; /* bytes in the source, quotes included; block scalars: whole lines */
};

/* Parse text (copied). name is for messages ("gyre.yaml"). Fails: PARSE with name:line:column,
 * TOOBIG, NOMEM. An empty text gives a NULL node. */
GY_CHECKED gy_status gy_yaml_parse(struct gy_str text, const char *name, struct gy_yaml **ret,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_yaml_read_file(const char *path, struct gy_yaml **ret, struct gy_err *err);
const struct gy_yaml_node *gy_yaml_root(const struct gy_yaml *y);
struct gy_str gy_yaml_source(const struct gy_yaml *y);
void gy_yaml_free(struct gy_yaml *y);
GY_DEFINE_AUTO(struct gy_yaml *, gy_yaml_free);

/* NULL when absent, or node is NULL or no map. */
const struct gy_yaml_node *gy_yaml_get(const struct gy_yaml_node *map, const char *key);
/* "a.b.c" through maps. */
const struct gy_yaml_node *gy_yaml_path(const struct gy_yaml_node *map, struct gy_str dotted);
/* Fail with INVALID "name:line: unknown key 'x'" (with the nearest known one as hint) when map has
 * a key not in allowed (NULL-terminated). */
GY_CHECKED gy_status gy_yaml_only(const struct gy_yaml *y, const struct gy_yaml_node *map,
                                  const char *const *allowed, struct gy_err *err);
/* The one of known (NULL-terminated) that word was probably meant to be; NULL when none is near.
 * For hints. */
const char *gy_yaml_nearest(struct gy_str word, const char *const *known);
/* gy_err_set(INVALID, "name:line:column: ..."). */
gy_status gy_yaml_err(const struct gy_yaml *y, const struct gy_yaml_node *node, struct gy_err *err,
                      const char *fmt, ...) GY_PRINTF(4, 5);

/* Append s as a YAML scalar for a block context (not inside [] or {}): plain where that reads back
 * as the same string, else single- or double-quoted. A text that YAML could read as a number (an
 * all-digit md5) is always quoted. */
void gy_yaml_add_scalar(struct gy_buf *out, struct gy_str s);

#endif
