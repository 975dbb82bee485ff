/* SPDX-License-Identifier: Apache-2.0 */
/* A schema as JSON and as schema.yaml: the same keys, only those that say something. */
#include <math.h>

#include "base/json.h"
#include "base/yaml.h"
#include "data/schema.h"

/* Where keys go: a JSON object, or lines of YAML with JSON for what is not plain. */
struct target {
    struct gy_buf *out;
    struct gy_jw *json; /* NULL: YAML */
    struct gy_jw value; /* of the key at hand */
    const char *indent; /* of YAML's lines */
    bool first;         /* YAML: the next key comes behind "- " */
};

static struct gy_jw *key(struct target *t, const char *name)
{
    if (t->json) {
        gy_jw_key(t->json, name);
        return t->json;
    }
    gy_buf_addf(t->out, "%s%s: ", t->first ? "  - " : t->indent, name);
    t->first = false;
    gy_jw_init(&t->value, t->out);
    return &t->value;
}

static void end(struct target *t)
{
    if (!t->json) {
        gy_buf_addc(t->out, "\n");
    }
}

static void put_text(struct target *t, const char *name, struct gy_str text)
{
    struct gy_jw *w = key(t, name);
    if (t->json) {
        gy_jw_str(w, text);
    } else {
        gy_yaml_add_scalar(t->out, text);
    }
    end(t);
}

static void put_number(struct target *t, const char *name, double number)
{
    struct gy_jw *w = key(t, name);
    if (t->json) {
        gy_jw_f64(w, number);
    } else {
        char text[32];
        (void)gy_fmt_f64_trim(number, text);
        gy_buf_addc(t->out, text);
    }
    end(t);
}

static void put_i64(struct target *t, const char *name, int64_t number)
{
    gy_jw_i64(key(t, name), number);
    end(t);
}

static void put_true(struct target *t, const char *name, bool flag)
{
    if (flag) {
        gy_jw_bool(key(t, name), true);
        end(t);
    }
}

/* In YAML "[a, b]" with JSON's quotes, which are YAML's: a plain text in [ ] may hold no comma. */
static void put_texts(struct target *t, const char *name, const struct gy_str *texts, size_t n)
{
    struct gy_jw *w = key(t, name);
    if (t->json) {
        gy_jw_arr(w);
        for (size_t i = 0; i < n; i++) {
            gy_jw_str(w, texts[i]);
        }
        gy_jw_arr_end(w);
        return;
    }
    gy_buf_addc(t->out, "[");
    for (size_t i = 0; i < n; i++) {
        struct gy_jw item;
        gy_buf_addc(t->out, i ? ", " : "");
        gy_jw_init(&item, t->out);
        gy_jw_str(&item, texts[i]);
    }
    gy_buf_addc(t->out, "]\n");
}

static void put_span(struct target *t, const char *name, int64_t min, int64_t max)
{
    if (min <= 0 && max < 0) {
        return;
    }
    struct gy_jw *w = key(t, name);
    gy_jw_obj(w);
    if (min > 0) {
        gy_jw_kv_i64(w, "min", min);
    }
    if (max >= 0) {
        gy_jw_kv_i64(w, "max", max);
    }
    gy_jw_obj_end(w);
    end(t);
}

static void kv_asked(struct gy_jw *w, const char *name, double limit)
{
    if (!isnan(limit)) {
        gy_jw_kv_f64(w, name, limit);
    }
}

static void put_comparator(struct target *t, const char *name, const struct gy_comparator *c)
{
    if (isnan(c->infinity_norm) && isnan(c->jensen_shannon) &&
        isnan(c->normalized_abs_difference)) {
        return;
    }
    struct gy_jw *w = key(t, name);
    gy_jw_obj(w);
    kv_asked(w, "infinity_norm", c->infinity_norm);
    kv_asked(w, "jensen_shannon_divergence", c->jensen_shannon);
    kv_asked(w, "normalized_abs_difference", c->normalized_abs_difference);
    gy_jw_obj_end(w);
    end(t);
}

static void put_severities(struct target *t, const struct gy_severity_of *list, size_t n)
{
    if (n == 0) {
        return;
    }
    struct gy_jw *w = key(t, "severity");
    gy_jw_obj(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_kv_strc(w, gy_anomaly_name(list[i].kind), gy_severity_name(list[i].severity));
    }
    gy_jw_obj_end(w);
    end(t);
}

static void put_column(struct target *t, const struct gy_column *c)
{
    put_text(t, "name", c->name);
    put_text(t, "type", gy_str_c(gy_type_name(c->type)));
    if (c->unit.p) {
        put_text(t, "unit", c->unit);
    }
    if (c->has_min) {
        put_number(t, "min", c->min);
    }
    if (c->has_max) {
        put_number(t, "max", c->max);
    }
    if (c->width) {
        put_i64(t, "width", c->width);
    }
    if (c->height) {
        put_i64(t, "height", c->height);
    }
    if (c->channels) {
        put_i64(t, "channels", c->channels);
    }
    if (c->n_values) {
        put_texts(t, "values", c->values, c->n_values);
    }
    put_true(t, "required", c->required);
    put_true(t, "unique", c->unique);
    put_text(t, "role", gy_str_c(gy_role_name(c->role)));
    if (c->n_not_in) {
        put_texts(t, "not_in", c->not_in, c->n_not_in);
    }
    if (c->n_in) {
        put_texts(t, "in", c->in, c->n_in);
    }
    put_true(t, "categorical", c->categorical);
    if (c->min_fraction > 0) {
        put_number(t, "min_fraction", c->min_fraction);
    }
    if (c->min_count > 0) {
        put_i64(t, "min_count", c->min_count);
    }
    put_span(t, "distinct", c->min_distinct, c->max_distinct);
    if (c->min_domain_mass < 1) {
        put_number(t, "min_domain_mass", c->min_domain_mass);
    }
    if (c->list.p) {
        gy_jw_str(key(t, "list"), c->list);
        end(t);
    }
    put_span(t, "value_count", c->min_values, c->max_values);
    if (c->zone.p) {
        put_text(t, "zone", c->zone);
    }
    if (c->lifecycle != GY_LIFECYCLE_PRODUCTION) {
        put_text(t, "lifecycle", gy_str_c(gy_lifecycle_name(c->lifecycle)));
    }
    put_comparator(t, "skew", &c->skew);
    put_comparator(t, "drift", &c->drift);
    put_severities(t, c->severities, c->n_severities);
}

static void put_rows(struct target *t, const struct gy_schema *s)
{
    bool drift = !isnan(s->min_rows_drift) || !isnan(s->max_rows_drift);
    if (s->min_rows <= 0 && s->max_rows < 0 && !drift) {
        return;
    }
    struct gy_jw *w = key(t, "rows");
    gy_jw_obj(w);
    if (s->min_rows > 0) {
        gy_jw_kv_i64(w, "min", s->min_rows);
    }
    if (s->max_rows >= 0) {
        gy_jw_kv_i64(w, "max", s->max_rows);
    }
    if (drift) {
        gy_jw_key(w, "drift");
        gy_jw_obj(w);
        kv_asked(w, "min_fraction", s->min_rows_drift);
        kv_asked(w, "max_fraction", s->max_rows_drift);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
    end(t);
}

static void put_table(struct target *t, const struct gy_schema *s)
{
    put_texts(t, "missing", s->missing, s->n_missing);
    if (s->n_environments) {
        put_texts(t, "environments", s->environments, s->n_environments);
    }
    put_rows(t, s);
    put_severities(t, s->severities, s->n_severities);
}

void gy_schema_json(const struct gy_schema *s, struct gy_buf *out)
{
    struct gy_jw w;
    struct target t = {.out = out, .json = &w};
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < s->n_columns; i++) {
        gy_jw_obj(&w);
        put_column(&t, &s->columns[i]);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    put_table(&t, s);
    gy_jw_obj_end(&w);
}

void gy_schema_yaml(const struct gy_schema *s, struct gy_buf *out)
{
    struct target t = {.out = out, .indent = "    "};
    gy_buf_addc(out, "columns:\n");
    for (size_t i = 0; i < s->n_columns; i++) {
        t.first = true;
        put_column(&t, &s->columns[i]);
    }
    t.indent = "";
    put_table(&t, s);
}
