/* SPDX-License-Identifier: Apache-2.0 */
/* schema.yaml into a schema: every key by name, every fault with its line. */
#include <math.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "data/schema.h"

#define ARENA_MAX (64 * GY_MIB)

static const char *const TYPES[] = {"int", "float", "string", "bool", "time", "image", NULL};
static const char *const ROLES[] = {"feature",    "label",        "id",     "subject", "protected",
                                    "event_time", "available_at", "weight", NULL};
static const char *const LIFECYCLES[] = {"production", "beta",       "planned", "alpha",
                                         "debug",      "deprecated", NULL};
static const char *const SEVERITIES[] = {"ERROR", "WARNING", "IGNORE", NULL};

const char *gy_type_name(enum gy_type t)
{
    return TYPES[t];
}

const char *gy_role_name(enum gy_role r)
{
    return ROLES[r];
}

const char *gy_lifecycle_name(enum gy_lifecycle l)
{
    return LIFECYCLES[l];
}

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
        (void)gy_err_hint(err, "one of %s",
                          names == TYPES        ? "int, float, string, bool, time, image"
                          : names == ROLES      ? "feature, label, id, subject, protected, "
                                                  "event_time, available_at, weight"
                          : names == SEVERITIES ? "ERROR, WARNING, IGNORE"
                                                : "production, beta, planned, alpha, debug, "
                                                  "deprecated");
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

/* A number below a key of a map; *ret stays without one. */
static gy_status read_number(const struct loading *l, const struct gy_yaml_node *map,
                             const char *key, double min, double max, double *ret,
                             struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (!node) {
        return GY_OK;
    }
    if ((node->kind != GY_YAML_INT && node->kind != GY_YAML_FLOAT) ||
        !(node->f >= min && node->f <= max)) {
        char low[32], high[32];
        (void)gy_fmt_f64_trim(min, low);
        (void)gy_fmt_f64_trim(max, high);
        return gy_yaml_err(l->yaml, node, err, "%s: a number from %s to %s is wanted", key, low,
                           high);
    }
    *ret = node->f;
    return GY_OK;
}

static gy_status read_count(const struct loading *l, const struct gy_yaml_node *map,
                            const char *key, int64_t *ret, struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (node && (node->kind != GY_YAML_INT || node->i < 0)) {
        return gy_yaml_err(l->yaml, node, err, "%s: a whole number from 0 on is wanted", key);
    }
    *ret = node ? node->i : *ret;
    return GY_OK;
}

/* {min: 1, max: 3} */
static gy_status read_span(const struct loading *l, const struct gy_yaml_node *map, const char *key,
                           int64_t *ret_min, int64_t *ret_max, struct gy_err *err)
{
    static const char *const keys[] = {"min", "max", NULL};
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (!node) {
        return GY_OK;
    }
    if (node->kind != GY_YAML_MAP) {
        return gy_yaml_err(l->yaml, node, err, "%s: a map such as {min: 1, max: 3} is wanted", key);
    }
    GY_TRY(gy_yaml_only(l->yaml, node, keys, err));
    GY_TRY(read_count(l, node, "min", ret_min, err));
    GY_TRY(read_count(l, node, "max", ret_max, err));
    if (*ret_max >= 0 && *ret_min > *ret_max) {
        return gy_yaml_err(l->yaml, node, err, "%s: min is above max", key);
    }
    return GY_OK;
}

static gy_status read_severities(const struct loading *l, const struct gy_yaml_node *map,
                                 const struct gy_severity_of **ret, size_t *ret_n,
                                 struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, "severity");
    if (!node) {
        return GY_OK;
    }
    if (node->kind != GY_YAML_MAP) {
        return gy_yaml_err(l->yaml, node, err, "severity: a map of kind to ERROR, WARNING, IGNORE");
    }
    struct gy_severity_of *list =
        gy_arena_calloc(&l->schema->arena, node->n_items + 1, sizeof *list);
    if (!list) {
        return no_memory(err);
    }
    for (size_t i = 0; i < node->n_items; i++) {
        int choice = 0;
        if (!gy_anomaly_parse(node->keys[i], &list[i].kind)) {
            (void)gy_yaml_err(l->yaml, &node->items[i], err,
                              "severity: '%" GY_STR_F "' is no kind of anomaly",
                              GY_STR_A(node->keys[i]));
            return gy_err_hint(err, "`gyre data schema kinds` lists them");
        }
        GY_TRY(pick(l, &node->items[i], "severity", SEVERITIES, &choice, err));
        list[i].severity = (enum gy_severity)choice;
    }
    *ret = list;
    *ret_n = node->n_items;
    return GY_OK;
}

static bool is_amount(const struct gy_column *c)
{
    return c->type == GY_TYPE_FLOAT || c->type == GY_TYPE_TIME ||
           (c->type == GY_TYPE_INT && !c->categorical && c->n_values == 0);
}

/* A norm that is always 0 of numbers would look like a check and be none. */
static gy_status read_comparator(const struct loading *l, const struct gy_yaml_node *map,
                                 const char *key, const struct gy_column *c,
                                 struct gy_comparator *ret, struct gy_err *err)
{
    static const char *const keys[] = {"infinity_norm", "jensen_shannon_divergence",
                                       "normalized_abs_difference", NULL};
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    *ret = (struct gy_comparator){NAN, NAN, NAN};
    if (!node) {
        return GY_OK;
    }
    if (node->kind != GY_YAML_MAP || node->n_items == 0) {
        return gy_yaml_err(l->yaml, node, err,
                           "%s: a map such as {jensen_shannon_divergence: 0.1} is wanted", key);
    }
    GY_TRY(gy_yaml_only(l->yaml, node, keys, err));
    GY_TRY(read_number(l, node, keys[0], 0, 1, &ret->infinity_norm, err));
    GY_TRY(read_number(l, node, keys[1], 0, 1, &ret->jensen_shannon, err));
    GY_TRY(read_number(l, node, keys[2], 0, 1, &ret->normalized_abs_difference, err));
    if (is_amount(c) && (!isnan(ret->infinity_norm) || !isnan(ret->normalized_abs_difference))) {
        (void)gy_yaml_err(l->yaml, node, err, "%s: %s is of categories, and '%s' is a %s", key,
                          isnan(ret->infinity_norm) ? keys[2] : keys[0], c->name.p,
                          gy_type_name(c->type));
        return gy_err_hint(err, "jensen_shannon_divergence is for both; categorical: true makes "
                                "an int one of categories");
    }
    return GY_OK;
}

static gy_status read_list(const struct loading *l, const struct gy_yaml_node *node,
                           struct gy_column *c, struct gy_err *err)
{
    const struct gy_yaml_node *list = gy_yaml_get(node, "list");
    const struct gy_yaml_node *count = gy_yaml_get(node, "value_count");
    c->min_values = 0;
    c->max_values = -1;
    if (!list) {
        return count ? gy_yaml_err(l->yaml, count, err, "value_count is for columns with list")
                     : GY_OK;
    }
    if (list->kind != GY_YAML_STR || list->text.n != 1 || (unsigned char)list->text.p[0] >= 0x80 ||
        strchr("\"\r\n", list->text.p[0]) || c->type == GY_TYPE_IMAGE) {
        return gy_yaml_err(l->yaml, list, err,
                           "list: one character between the values, such as ';' (no quote)");
    }
    c->list = gy_arena_str(&l->schema->arena, list->text);
    if (!c->list.p) {
        return no_memory(err);
    }
    return read_span(l, node, "value_count", &c->min_values, &c->max_values, err);
}

static gy_status read_zone(const struct loading *l, const struct gy_yaml_node *node,
                           struct gy_column *c, struct gy_err *err)
{
    const struct gy_yaml_node *zone = gy_yaml_get(node, "zone");
    if (!zone) {
        return GY_OK;
    }
    if (c->type != GY_TYPE_TIME || zone->kind == GY_YAML_SEQ || zone->kind == GY_YAML_MAP ||
        zone->text.n == 0) {
        return gy_yaml_err(l->yaml, zone, err, "zone: a text, for columns of type time");
    }
    c->zone = gy_arena_str(&l->schema->arena, zone->text);
    if (!c->zone.p) {
        return no_memory(err);
    }
    if (gy_str_eqc(c->zone, "none")) {
        return GY_OK;
    }
    struct gy_err why = GY_ERR_INIT;
    if (gy_zone_open(c->zone, &c->clock, &why) != GY_OK) {
        (void)gy_yaml_err(l->yaml, zone, err, "zone: %s", why.msg);
        return gy_err_hint(err, "%s", why.hint);
    }
    return GY_OK;
}

/* The keys that a table is held against, not a record. */
static gy_status read_table_keys(const struct loading *l, const struct gy_yaml_node *node,
                                 struct gy_column *c, struct gy_err *err)
{
    int choice = 0;
    c->min_domain_mass = 1;
    c->max_distinct = -1;
    GY_TRY(read_flag(l, node, "categorical", &c->categorical, err));
    if (c->categorical && c->type != GY_TYPE_INT) {
        return gy_yaml_err(l->yaml, node, err, "column '%s': categorical is for ints", c->name.p);
    }
    GY_TRY(read_number(l, node, "min_fraction", 0, 1, &c->min_fraction, err));
    GY_TRY(read_number(l, node, "min_domain_mass", 0, 1, &c->min_domain_mass, err));
    if (c->min_domain_mass < 1 && c->n_values == 0) {
        return gy_yaml_err(l->yaml, node, err, "column '%s': min_domain_mass is for values",
                           c->name.p);
    }
    GY_TRY(read_count(l, node, "min_count", &c->min_count, err));
    GY_TRY(read_span(l, node, "distinct", &c->min_distinct, &c->max_distinct, err));
    GY_TRY(read_list(l, node, c, err));
    GY_TRY(read_zone(l, node, c, err));
    const struct gy_yaml_node *at = gy_yaml_get(node, "lifecycle");
    if (at) {
        GY_TRY(pick(l, at, "lifecycle", LIFECYCLES, &choice, err));
        c->lifecycle = (enum gy_lifecycle)choice;
    }
    GY_TRY(read_comparator(l, node, "skew", c, &c->skew, err));
    GY_TRY(read_comparator(l, node, "drift", c, &c->drift, err));
    return read_severities(l, node, &c->severities, &c->n_severities, err);
}

/* Names of environments that the schema lists, when it lists any. */
static gy_status read_environments(const struct loading *l, const struct gy_yaml_node *node,
                                   const char *key, struct gy_str **ret, size_t *ret_n,
                                   struct gy_err *err)
{
    const struct gy_yaml_node *at = gy_yaml_get(node, key);
    if (!at) {
        return GY_OK;
    }
    GY_TRY(read_texts(l, at, key, GY_SCHEMA_MAX_ENVIRONMENTS, ret, ret_n, err));
    for (size_t i = 0; i < *ret_n; i++) {
        struct gy_err why = GY_ERR_INIT;
        if (gy_schema_check_environment(l->schema, (*ret)[i], &why) != GY_OK) {
            return gy_yaml_err(l->yaml, at, err, "%s: %s", key, why.msg);
        }
    }
    return GY_OK;
}

static gy_status read_column(const struct loading *l, const struct gy_yaml_node *node,
                             struct gy_column *c, struct gy_err *err)
{
    static const char *const keys[] = {"name",      "type",        "unit",
                                       "min",       "max",         "values",
                                       "width",     "height",      "channels",
                                       "required",  "unique",      "role",
                                       "not_in",    "in",          "min_fraction",
                                       "min_count", "distinct",    "min_domain_mass",
                                       "list",      "value_count", "categorical",
                                       "zone",      "lifecycle",   "skew",
                                       "drift",     "severity",    NULL};
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
    GY_TRY(read_environments(l, node, "not_in", &c->not_in, &c->n_not_in, err));
    GY_TRY(read_environments(l, node, "in", &c->in, &c->n_in, err));
    return read_table_keys(l, node, c, err);
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
        s->n_columns = i + 1; /* what it owns is freed with the schema, however far it came */
        GY_TRY(read_column(l, &node->items[i], c, err));
        if (gy_map_has(&s->by_name, c->name)) {
            return gy_yaml_err(l->yaml, &node->items[i], err, "column '%s' is there twice",
                               c->name.p);
        }
        GY_TRY(gy_map_put(&s->by_name, c->name, c, err));
    }
    return GY_OK;
}

/* What is said of the table as a whole. */
static gy_status read_table(const struct loading *l, const struct gy_yaml_node *root,
                            struct gy_err *err)
{
    static const char *const keys[] = {"min", "max", "drift", NULL};
    static const char *const drifts[] = {"min_fraction", "max_fraction", NULL};
    struct gy_schema *s = l->schema;
    s->max_rows = -1;
    s->min_rows_drift = s->max_rows_drift = NAN;
    const struct gy_yaml_node *at = gy_yaml_get(root, "environments");
    if (at) {
        struct gy_str *names = NULL;
        GY_TRY(read_texts(l, at, "environments", GY_SCHEMA_MAX_ENVIRONMENTS, &names,
                          &s->n_environments, err));
        s->environments = names;
    }
    const struct gy_yaml_node *rows = gy_yaml_get(root, "rows");
    if (rows) {
        if (rows->kind != GY_YAML_MAP) {
            return gy_yaml_err(l->yaml, rows, err, "rows: a map such as {min: 1000} is wanted");
        }
        GY_TRY(gy_yaml_only(l->yaml, rows, keys, err));
        GY_TRY(read_count(l, rows, "min", &s->min_rows, err));
        GY_TRY(read_count(l, rows, "max", &s->max_rows, err));
        if (s->max_rows >= 0 && s->min_rows > s->max_rows) {
            return gy_yaml_err(l->yaml, rows, err, "rows: min is above max");
        }
        at = gy_yaml_get(rows, "drift");
        if (at) {
            GY_TRY(gy_yaml_only(l->yaml, at, drifts, err));
            GY_TRY(read_number(l, at, drifts[0], 0, 1e9, &s->min_rows_drift, err));
            GY_TRY(read_number(l, at, drifts[1], 0, 1e9, &s->max_rows_drift, err));
        }
    }
    return read_severities(l, root, &s->severities, &s->n_severities, err);
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
    static const char *const keys[] = {"columns", "missing",  "environments",
                                       "rows",    "severity", NULL};
    const struct gy_yaml_node *root = gy_yaml_root(yaml);
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    GY_TRY(schema_new(&s, err));
    struct loading l = {yaml, s};
    if (!root || root->kind != GY_YAML_MAP) {
        return gy_yaml_err(yaml, root, err, "a schema is a map with columns");
    }
    GY_TRY(gy_yaml_only(yaml, root, keys, err));
    GY_TRY(read_table(&l, root, err));
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
