/* SPDX-License-Identifier: Apache-2.0 */
#include "data/schema.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"

static const char *const TYPES[] = {"int", "float", "string", "bool", "time", "image", NULL};
static const char *const ROLES[] = {"feature",    "label",        "id",     "subject", "protected",
                                    "event_time", "available_at", "weight", NULL};
#define MAX_ENVIRONMENTS 16
#define ARENA_MAX (64 * GY_MIB)

const char *gy_type_name(enum gy_type t)
{
    return TYPES[t];
}

const char *gy_role_name(enum gy_role r)
{
    return ROLES[r];
}

void gy_schema_free(struct gy_schema *s)
{
    if (s) {
        gy_map_done(&s->by_name);
        gy_arena_done(&s->arena);
        gy_free(s);
    }
}

const struct gy_column *gy_schema_column(const struct gy_schema *s, struct gy_str name)
{
    return gy_map_get(&s->by_name, name);
}

const struct gy_column *gy_schema_role(const struct gy_schema *s, enum gy_role role)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        if (s->columns[i].role == role) {
            return &s->columns[i];
        }
    }
    return NULL;
}

bool gy_column_in(const struct gy_column *c, struct gy_str environment)
{
    for (size_t i = 0; environment.p && i < c->n_not_in; i++) {
        if (gy_str_eq(c->not_in[i], environment)) {
            return false;
        }
    }
    return true;
}

bool gy_schema_is_missing(const struct gy_schema *s, struct gy_str text)
{
    if (text.n == 0) {
        return true;
    }
    for (size_t i = 0; i < s->n_missing; i++) {
        if (gy_str_eq(s->missing[i], text)) {
            return true;
        }
    }
    return false;
}

/* ---- reading ---- */

struct loading {
    const struct gy_yaml *yaml;
    struct gy_schema *schema;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a schema");
}

static gy_status pick(const struct loading *l, const struct gy_yaml_node *node, const char *what,
                      const char *const *names, int *ret, struct gy_err *err)
{
    for (int i = 0; names[i]; i++) {
        if (node->kind == GY_YAML_STR && gy_str_eqc(node->text, names[i])) {
            *ret = i;
            return GY_OK;
        }
    }
    (void)gy_yaml_err(l->yaml, node, err, "unknown %s '%" GY_STR_F "'", what, GY_STR_A(node->text));
    const char *near = gy_yaml_nearest(node->text, names);
    if (near) {
        (void)gy_err_hint(err, "did you mean '%s'?", near);
    } else {
        (void)gy_err_hint(err, names == TYPES
                                   ? "one of int, float, string, bool, time"
                                   : "one of feature, label, id, subject, protected, event_time, "
                                     "available_at, weight");
    }
    return GY_E_INVALID;
}

/* A list of texts (one text alone is a list of one), copied. */
static gy_status read_texts(const struct loading *l, const struct gy_yaml_node *node,
                            const char *what, size_t max, struct gy_str **ret, size_t *ret_n,
                            struct gy_err *err)
{
    bool one = node->kind != GY_YAML_SEQ && node->kind != GY_YAML_MAP;
    size_t n = one ? 1 : node->n_items;
    if (node->kind == GY_YAML_MAP || n > max) {
        return gy_yaml_err(l->yaml, node, err, "%s: a list of at most %zu texts is wanted", what,
                           max);
    }
    struct gy_str *out = gy_arena_calloc(&l->schema->arena, n + 1, sizeof *out);
    if (!out) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct gy_yaml_node *item = one ? node : &node->items[i];
        if (item->kind == GY_YAML_SEQ || item->kind == GY_YAML_MAP) {
            return gy_yaml_err(l->yaml, item, err, "%s: a text is wanted", what);
        }
        /* A bare `-` is the empty text. */
        struct gy_str text = item->text.p ? item->text : GY_STR("");
        out[i] = gy_arena_str(&l->schema->arena, text);
        if (!out[i].p) {
            return no_memory(err);
        }
    }
    *ret = out;
    *ret_n = n;
    return GY_OK;
}

static gy_status read_flag(const struct loading *l, const struct gy_yaml_node *map, const char *key,
                           bool *ret, struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (!node) {
        return GY_OK;
    }
    if (node->kind != GY_YAML_BOOL) {
        return gy_yaml_err(l->yaml, node, err, "%s: true or false is wanted", key);
    }
    *ret = node->b;
    return GY_OK;
}

/* A size that images are to have. */
static gy_status read_size(const struct loading *l, const struct gy_yaml_node *map, const char *key,
                           enum gy_type type, int max, int *ret, struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (!node) {
        return GY_OK;
    }
    if (type != GY_TYPE_IMAGE) {
        return gy_yaml_err(l->yaml, node, err, "%s is for columns of type image", key);
    }
    if (node->kind != GY_YAML_INT || node->f < 1 || node->f > max) {
        return gy_yaml_err(l->yaml, node, err, "%s: a number from 1 to %d is wanted", key, max);
    }
    *ret = (int)node->f;
    return GY_OK;
}

static gy_status read_bound(const struct loading *l, const struct gy_yaml_node *map,
                            const char *key, enum gy_type type, bool *ret_has, double *ret,
                            struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (!node) {
        return GY_OK;
    }
    if (type != GY_TYPE_INT && type != GY_TYPE_FLOAT) {
        return gy_yaml_err(l->yaml, node, err, "%s is for columns of type int or float", key);
    }
    if ((node->kind != GY_YAML_INT && node->kind != GY_YAML_FLOAT) || !isfinite(node->f)) {
        return gy_yaml_err(l->yaml, node, err, "%s: a number is wanted", key);
    }
    *ret_has = true;
    *ret = node->f;
    return GY_OK;
}

static gy_status read_values(const struct loading *l, const struct gy_yaml_node *node,
                             struct gy_column *c, struct gy_err *err)
{
    GY_TRY(read_texts(l, node, "values", GY_SCHEMA_MAX_VALUES, &c->values, &c->n_values, err));
    for (size_t i = 0; i < c->n_values; i++) {
        char text[GY_VALUE_TEXT];
        struct gy_str canonical;
        double number;
        if (!gy_value_canonical(c->type, c->values[i], text, &canonical, &number)) {
            return gy_yaml_err(l->yaml, node, err, "values: '%" GY_STR_F "' is not of type %s",
                               GY_STR_A(c->values[i]), gy_type_name(c->type));
        }
        c->values[i] = gy_arena_str(&l->schema->arena, canonical);
        if (!c->values[i].p) {
            return no_memory(err);
        }
    }
    return GY_OK;
}

static gy_status read_column(const struct loading *l, const struct gy_yaml_node *node,
                             struct gy_column *c, struct gy_err *err)
{
    static const char *const keys[] = {"name",   "type",   "unit",     "min",    "max",
                                       "width",  "height", "channels", "values", "required",
                                       "unique", "role",   "not_in",   NULL};
    if (node->kind != GY_YAML_MAP) {
        return gy_yaml_err(l->yaml, node, err, "a column is a map with name and type");
    }
    GY_TRY(gy_yaml_only(l->yaml, node, keys, err));
    const struct gy_yaml_node *name = gy_yaml_get(node, "name");
    const struct gy_yaml_node *type = gy_yaml_get(node, "type");
    if (!name || !type) {
        return gy_yaml_err(l->yaml, node, err, "a column needs name and type");
    }
    if (name->kind == GY_YAML_SEQ || name->kind == GY_YAML_MAP || name->text.n == 0 ||
        name->text.n > GY_MAX_NAME || gy_str_find(name->text, '\0') != SIZE_MAX) {
        return gy_yaml_err(l->yaml, name, err, "a column name is a text of 1 to %d bytes",
                           GY_MAX_NAME);
    }
    c->name = gy_arena_str(&l->schema->arena, name->text);
    if (!c->name.p) {
        return no_memory(err);
    }
    int choice = 0;
    GY_TRY(pick(l, type, "type", TYPES, &choice, err));
    c->type = (enum gy_type)choice;
    const struct gy_yaml_node *at = gy_yaml_get(node, "role");
    if (at) {
        GY_TRY(pick(l, at, "role", ROLES, &choice, err));
        c->role = (enum gy_role)choice;
    }
    at = gy_yaml_get(node, "unit");
    if (at && (at->kind == GY_YAML_SEQ || at->kind == GY_YAML_MAP)) {
        return gy_yaml_err(l->yaml, at, err, "unit: a text is wanted");
    }
    if (at && at->text.n > 0) {
        c->unit = gy_arena_str(&l->schema->arena, at->text);
        if (!c->unit.p) {
            return no_memory(err);
        }
    }
    GY_TRY(read_flag(l, node, "required", &c->required, err));
    GY_TRY(read_flag(l, node, "unique", &c->unique, err));
    GY_TRY(read_bound(l, node, "min", c->type, &c->has_min, &c->min, err));
    GY_TRY(read_bound(l, node, "max", c->type, &c->has_max, &c->max, err));
    if (c->has_min && c->has_max && c->min > c->max) {
        return gy_yaml_err(l->yaml, node, err, "column '%s': min is above max", c->name.p);
    }
    GY_TRY(read_size(l, node, "width", c->type, GY_SCHEMA_MAX_SIDE, &c->width, err));
    GY_TRY(read_size(l, node, "height", c->type, GY_SCHEMA_MAX_SIDE, &c->height, err));
    GY_TRY(read_size(l, node, "channels", c->type, 4, &c->channels, err));
    at = gy_yaml_get(node, "values");
    if (at) {
        GY_TRY(read_values(l, at, c, err));
    }
    at = gy_yaml_get(node, "not_in");
    if (at) {
        GY_TRY(read_texts(l, at, "not_in", MAX_ENVIRONMENTS, &c->not_in, &c->n_not_in, err));
    }
    return GY_OK;
}

static gy_status read_columns(const struct loading *l, const struct gy_yaml_node *node,
                              struct gy_err *err)
{
    struct gy_schema *s = l->schema;
    if (!node || node->kind != GY_YAML_SEQ || node->n_items == 0 ||
        node->n_items > GY_MAX_COLUMNS) {
        return gy_yaml_err(l->yaml, node ? node : gy_yaml_root(l->yaml), err,
                           "columns: a list of 1 to %d columns is wanted", GY_MAX_COLUMNS);
    }
    s->columns = gy_arena_calloc(&s->arena, node->n_items, sizeof *s->columns);
    if (!s->columns) {
        return no_memory(err);
    }
    for (size_t i = 0; i < node->n_items; i++) {
        struct gy_column *c = &s->columns[i];
        GY_TRY(read_column(l, &node->items[i], c, err));
        if (gy_map_has(&s->by_name, c->name)) {
            return gy_yaml_err(l->yaml, &node->items[i], err, "column '%s' is there twice",
                               c->name.p);
        }
        GY_TRY(gy_map_put(&s->by_name, c->name, c, err));
        s->n_columns++;
    }
    return GY_OK;
}

static gy_status schema_new(struct gy_schema **ret, struct gy_err *err)
{
    struct gy_schema *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return no_memory(err);
    }
    gy_arena_init(&s->arena, ARENA_MAX);
    gy_map_init(&s->by_name, GY_MAX_COLUMNS);
    *ret = s;
    return GY_OK;
}

/* "" and NaN, when the file names none. */
static const struct gy_str DEFAULT_MISSING[] = {{"", 0}, {"NaN", 3}};

static gy_status load(const struct gy_yaml *yaml, struct gy_schema **ret, struct gy_err *err)
{
    static const char *const keys[] = {"columns", "missing", NULL};
    const struct gy_yaml_node *root = gy_yaml_root(yaml);
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    GY_TRY(schema_new(&s, err));
    struct loading l = {yaml, s};
    if (!root || root->kind != GY_YAML_MAP) {
        return gy_yaml_err(yaml, root, err, "a schema is a map with columns");
    }
    GY_TRY(gy_yaml_only(yaml, root, keys, err));
    GY_TRY(read_columns(&l, gy_yaml_get(root, "columns"), err));
    const struct gy_yaml_node *missing = gy_yaml_get(root, "missing");
    s->missing = DEFAULT_MISSING;
    s->n_missing = 2;
    if (missing) {
        struct gy_str *texts = NULL;
        GY_TRY(
            read_texts(&l, missing, "missing", GY_SCHEMA_MAX_MISSING, &texts, &s->n_missing, err));
        s->missing = texts;
    }
    *ret = GY_TAKE(s);
    return GY_OK;
}

gy_status gy_schema_parse(struct gy_str text, const char *name, struct gy_schema **ret,
                          struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *yaml = NULL;
    GY_TRY(gy_yaml_parse(text, name, &yaml, err));
    return load(yaml, ret, err);
}

gy_status gy_schema_read(const char *path, struct gy_schema **ret, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *yaml = NULL;
    GY_TRY(gy_yaml_read_file(path, &yaml, err));
    return load(yaml, ret, err);
}

gy_status gy_schema_find(const char *dir, char ret_path[GY_MAX_PATH], struct gy_err *err)
{
    static const char *const tops[] = {"gyre.yaml", "dvc.yaml", ".git", NULL};
    char here[GY_MAX_PATH];
    if (!realpath(dir, here)) {
        return gy_err_sys(err, errno, "looking for schema.yaml in '%s'", dir);
    }
    for (;;) {
        GY_TRY(gy_path_join(ret_path, GY_MAX_PATH, here, "schema.yaml", err));
        if (gy_path_exists(ret_path)) {
            return GY_OK;
        }
        for (const char *const *top = tops; *top; top++) {
            char mark[GY_MAX_PATH];
            GY_TRY(gy_path_join(mark, sizeof mark, here, *top, err));
            if (gy_path_exists(mark)) {
                return gy_err_set(err, GY_E_NOTFOUND, "the project has no schema.yaml");
            }
        }
        char *slash = strrchr(here, '/');
        if (!slash || slash == here) {
            (void)gy_err_set(err, GY_E_NOTFOUND, "no schema.yaml in '%s' or above", dir);
            return gy_err_hint(err,
                               "`gyre data schema infer FILE` makes one; --schema FILE names one");
        }
        *slash = '\0';
    }
}

/* ---- writing ---- */

/* The n-th size that images of the column are to have; NULL: no more. */
static const char *image_size(const struct gy_column *c, size_t n, int *ret)
{
    static const char *const keys[] = {"width", "height", "channels", NULL};
    *ret = n == 0 ? c->width : n == 1 ? c->height : c->channels;
    return keys[n];
}

static void json_texts(struct gy_jw *w, const char *key, const struct gy_str *texts, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_str(w, texts[i]);
    }
    gy_jw_arr_end(w);
}

static void json_column(struct gy_jw *w, const struct gy_column *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", c->name);
    gy_jw_kv_strc(w, "type", gy_type_name(c->type));
    if (c->unit.p) {
        gy_jw_kv_str(w, "unit", c->unit);
    }
    if (c->has_min) {
        gy_jw_kv_f64(w, "min", c->min);
    }
    if (c->has_max) {
        gy_jw_kv_f64(w, "max", c->max);
    }
    const char *key;
    int size;
    for (size_t i = 0; (key = image_size(c, i, &size)); i++) {
        if (size) {
            gy_jw_kv_i64(w, key, size);
        }
    }
    if (c->n_values) {
        json_texts(w, "values", c->values, c->n_values);
    }
    if (c->required) {
        gy_jw_kv_bool(w, "required", true);
    }
    if (c->unique) {
        gy_jw_kv_bool(w, "unique", true);
    }
    gy_jw_kv_strc(w, "role", gy_role_name(c->role));
    if (c->n_not_in) {
        json_texts(w, "not_in", c->not_in, c->n_not_in);
    }
    gy_jw_obj_end(w);
}

void gy_schema_json(const struct gy_schema *s, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < s->n_columns; i++) {
        json_column(&w, &s->columns[i]);
    }
    gy_jw_arr_end(&w);
    json_texts(&w, "missing", s->missing, s->n_missing);
    gy_jw_obj_end(&w);
}

static void yaml_texts(struct gy_buf *out, const char *key, const struct gy_str *texts, size_t n)
{
    gy_buf_addf(out, "%s: [", key);
    for (size_t i = 0; i < n; i++) {
        gy_buf_addc(out, i ? ", " : "");
        /* Inside [ ] a plain text may not hold a comma or a bracket: JSON's quotes are YAML's. */
        struct gy_jw w;
        gy_jw_init(&w, out);
        gy_jw_str(&w, texts[i]);
    }
    gy_buf_addc(out, "]");
}

void gy_schema_yaml(const struct gy_schema *s, struct gy_buf *out)
{
    gy_buf_addc(out, "columns:\n");
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct gy_column *c = &s->columns[i];
        char number[32];
        gy_buf_addc(out, "  - name: ");
        gy_yaml_add_scalar(out, c->name);
        gy_buf_addf(out, "\n    type: %s\n", gy_type_name(c->type));
        if (c->unit.p) {
            gy_buf_addc(out, "    unit: ");
            gy_yaml_add_scalar(out, c->unit);
            gy_buf_addc(out, "\n");
        }
        if (c->has_min) {
            (void)gy_fmt_f64_trim(c->min, number);
            gy_buf_addf(out, "    min: %s\n", number);
        }
        if (c->has_max) {
            (void)gy_fmt_f64_trim(c->max, number);
            gy_buf_addf(out, "    max: %s\n", number);
        }
        const char *key;
        int size;
        for (size_t k = 0; (key = image_size(c, k, &size)); k++) {
            if (size) {
                gy_buf_addf(out, "    %s: %d\n", key, size);
            }
        }
        if (c->n_values) {
            gy_buf_addc(out, "    ");
            yaml_texts(out, "values", c->values, c->n_values);
            gy_buf_addc(out, "\n");
        }
        gy_buf_addc(out, c->required ? "    required: true\n" : "");
        gy_buf_addc(out, c->unique ? "    unique: true\n" : "");
        gy_buf_addf(out, "    role: %s\n", gy_role_name(c->role));
        if (c->n_not_in) {
            gy_buf_addc(out, "    ");
            yaml_texts(out, "not_in", c->not_in, c->n_not_in);
            gy_buf_addc(out, "\n");
        }
    }
    yaml_texts(out, "missing", s->missing, s->n_missing);
    gy_buf_addc(out, "\n");
}
