/* SPDX-License-Identifier: Apache-2.0 */
#include "data/check.h"

#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "data/image.h"
#include "data/quick.h"
#include "data/unique.h"

#define MAX_QUOTED 40 /* bytes of a value that a reason shows */
#define FEW_VALUES 8  /* up to here a list is searched faster than a map */
#define NO_FIELD SIZE_MAX

/* One column of the canonical line. */
struct target {
    const struct gy_column *column;
    size_t field; /* index into the input record; NO_FIELD: the file has none */
    struct gy_map values;
    struct gy_unique *unique;
    struct gy_buf kept; /* unique: the value of the record at hand, to remember once accepted */
    struct gy_str text; /* canonical value of the record at hand; empty: missing */
    char number[GY_VALUE_TEXT];
    struct gy_buf joined; /* of a list */
};

struct gy_checker {
    const struct gy_schema *schema;
    struct target *targets;
    size_t n_targets, n_fields;
    struct gy_csv_field *fields;   /* of the record at hand; n_fields + 1 */
    const struct gy_value *values; /* instead of fields, when the record is not CSV */
    struct gy_buf scratch;
    struct gy_str environment;
    const char *folder;
    bool any_list, allow_repeated, has_values;
    bool no_quotes; /* a field that is not quoted needs no quotes in the canonical line */
    size_t n_unique;
    bool missing_starts[256]; /* first bytes of the missing markers */
};

const char *gy_dead_name(enum gy_dead_code code)
{
    static const char *const names[] = {
#define X(name) #name,
        GY_DEAD_CODES(X)
#undef X
    };
    return names[code];
}

void gy_reasons_init(struct gy_reasons *r)
{
    *r = (struct gy_reasons){0};
    gy_buf_init(&r->text, GY_REASONS_MAX_TEXT);
}

void gy_reasons_done(struct gy_reasons *r)
{
    gy_buf_done(&r->text);
}

/* ---- the header ---- */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for checking records");
}

static gy_status unknown_column(const struct gy_schema *s, struct gy_str name, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_SCHEMA,
                     "the file has a column '%" GY_STR_F "' that the schema does "
                     "not know",
                     GY_STR_A(name));
    const char **known = gy_calloc(s->n_columns + 1, sizeof *known);
    if (known) {
        for (size_t i = 0; i < s->n_columns; i++) {
            known[i] = s->columns[i].name.p;
        }
        const char *near = gy_yaml_nearest(name, known);
        if (near) {
            (void)gy_err_hint(err, "is it '%s'?", near);
        }
        gy_free(known);
    }
    return GY_E_SCHEMA;
}

/* Which field is which column: places[column] = field. */
static gy_status map_header(const struct gy_checker *c, const struct gy_csv_field *header,
                            size_t *places, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    gy_buf_init(&scratch, GY_MAX_CSV_RECORD);
    for (size_t i = 0; i < c->n_fields; i++) {
        struct gy_str name = gy_csv_text(&header[i], &scratch);
        if (!name.p) {
            return no_memory(err);
        }
        name = gy_str_trim(name);
        const struct gy_column *column = gy_schema_column(c->schema, name);
        if (!column) {
            return unknown_column(c->schema, name, err);
        }
        size_t *place = &places[gy_schema_index(c->schema, column)];
        if (*place != NO_FIELD) {
            return gy_err_set(err, GY_E_SCHEMA, "the file has the column '%s' twice",
                              column->name.p);
        }
        *place = i;
    }
    return GY_OK;
}

static gy_status make_unique(struct gy_checker *c, struct target *t, struct gy_err *err)
{
    if (t->unique || !t->column->unique) {
        return GY_OK;
    }
    t->unique = gy_malloc(sizeof *t->unique);
    if (!t->unique) {
        return no_memory(err);
    }
    c->n_unique++;
    return gy_unique_init(t->unique, err);
}

static gy_status add_target(struct gy_checker *c, const struct gy_column *column, size_t field,
                            struct gy_err *err)
{
    struct target *t = &c->targets[c->n_targets++];
    t->column = column;
    t->field = field;
    gy_map_init(&t->values, GY_SCHEMA_MAX_VALUES);
    c->any_list = c->any_list || column->list.p;
    gy_buf_init(&t->kept, GY_MAX_CSV_RECORD);
    gy_buf_init(&t->joined, 8 * GY_MAX_CSV_RECORD); /* a canonical number may be longer */
    for (size_t i = 0; column->n_values > FEW_VALUES && i < column->n_values; i++) {
        GY_TRY(gy_map_put(&t->values, column->values[i], &column->values[i], err));
    }
    return make_unique(c, t, err);
}

/* Does the canonical line have this column? */
static gy_status wants(const struct gy_checker *c, const struct gy_column *column, bool there,
                       bool *ret, struct gy_err *err)
{
    *ret = there || (gy_column_in(column, c->environment) && !gy_column_optional(column));
    if (there || !*ret || !column->required) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_SCHEMA, "the file has no column '%s', which is required",
                     column->name.p);
    if (column->n_not_in) {
        (void)gy_err_hint(err, "the schema allows that with --environment %s", column->not_in[0].p);
    }
    return GY_E_SCHEMA;
}

static gy_status fill_checker(struct gy_checker *c, const struct gy_csv_field *header,
                              size_t *places, struct gy_err *err)
{
    const struct gy_schema *s = c->schema;
    GY_TRY(map_header(c, header, places, err));
    for (size_t i = 0; i < s->n_columns; i++) {
        bool wanted = false;
        GY_TRY(wants(c, &s->columns[i], places[i] != NO_FIELD, &wanted, err));
        if (wanted) {
            GY_TRY(add_target(c, &s->columns[i], places[i], err));
        }
    }
    return GY_OK;
}

/* The targets are there already; only where their fields are is new. */
static gy_status refill_checker(struct gy_checker *c, const struct gy_csv_field *header,
                                size_t *places, struct gy_err *err)
{
    const struct gy_schema *s = c->schema;
    size_t at = 0;
    GY_TRY(map_header(c, header, places, err));
    for (size_t i = 0; i < s->n_columns; i++) {
        bool wanted = false;
        bool has = at < c->n_targets && c->targets[at].column == &s->columns[i];
        GY_TRY(wants(c, &s->columns[i], places[i] != NO_FIELD, &wanted, err));
        if (wanted != has) {
            return gy_err_set(err, GY_E_SCHEMA, "the file %s a column '%s', unlike those before it",
                              wanted ? "has" : "lacks", s->columns[i].name.p);
        }
        if (has) {
            c->targets[at].field = places[i];
            GY_TRY(make_unique(c, &c->targets[at], err));
            at++;
        }
    }
    return GY_OK;
}

/* Map a header: the first one makes the targets. */
static gy_status take_header(struct gy_checker *c, const struct gy_csv_field *header,
                             size_t n_header, struct gy_err *err)
{
    if (n_header > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu columns; at most %d are read", n_header,
                          GY_MAX_COLUMNS);
    }
    gy_free(c->fields);
    c->n_fields = n_header;
    c->fields = gy_calloc(n_header + 1, sizeof *c->fields);
    GY_AUTO(gy_free) char *room = gy_calloc(c->schema->n_columns, sizeof(size_t));
    if (!c->fields || !room) {
        return no_memory(err);
    }
    size_t *places = (size_t *)(void *)room;
    for (size_t i = 0; i < c->schema->n_columns; i++) {
        places[i] = NO_FIELD;
    }
    return c->n_targets == 0 ? fill_checker(c, header, places, err)
                             : refill_checker(c, header, places, err);
}

gy_status gy_checker_new(const struct gy_schema *schema, struct gy_str environment,
                         const struct gy_csv_field *header, size_t n_header,
                         struct gy_checker **ret, struct gy_err *err)
{
    GY_TRY(gy_schema_check_environment(schema, environment, err));
    GY_AUTO(gy_checker_free) struct gy_checker *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return no_memory(err);
    }
    c->schema = schema;
    c->environment = environment;
    gy_buf_init(&c->scratch, GY_MAX_CSV_RECORD);
    for (size_t i = 0; i < schema->n_missing; i++) {
        if (schema->missing[i].n > 0) {
            c->missing_starts[(unsigned char)schema->missing[i].p[0]] = true;
        }
    }
    c->targets = gy_calloc(schema->n_columns, sizeof *c->targets);
    if (!c->targets) {
        return no_memory(err);
    }
    GY_TRY(take_header(c, header, n_header, err));
    *ret = GY_TAKE(c);
    return GY_OK;
}

gy_status gy_checker_next_file(struct gy_checker *c, const struct gy_csv_field *header,
                               size_t n_header, struct gy_err *err)
{
    return take_header(c, header, n_header, err);
}

void gy_checker_folder(struct gy_checker *c, const char *folder)
{
    c->folder = folder;
}

void gy_checker_refuse_repeated(struct gy_checker *c, bool on)
{
    c->allow_repeated = !on;
}

size_t gy_checker_n_unique(const struct gy_checker *c)
{
    return c->n_unique;
}

static const struct target *unique_target(const struct gy_checker *c, size_t i)
{
    const struct target *t = c->targets;
    for (; !t->unique || i > 0; t++) {
        i -= t->unique ? 1 : 0;
    }
    return t;
}

const struct gy_column *gy_checker_unique_column(const struct gy_checker *c, size_t i)
{
    return unique_target(c, i)->column;
}

struct gy_str gy_checker_unique_text(const struct gy_checker *c, size_t i)
{
    return gy_buf_str(&unique_target(c, i)->kept);
}

bool gy_checker_has_values(const struct gy_checker *c)
{
    return c->has_values;
}

void gy_checker_free(struct gy_checker *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->n_targets; i++) {
        gy_map_done(&c->targets[i].values);
        gy_buf_done(&c->targets[i].kept);
        gy_buf_done(&c->targets[i].joined);
        gy_unique_done(c->targets[i].unique);
        gy_free(c->targets[i].unique);
    }
    gy_free(c->targets);
    gy_free(c->fields);
    gy_buf_done(&c->scratch);
    gy_free(c);
}

void gy_checker_header(const struct gy_checker *c, struct gy_buf *out)
{
    for (size_t i = 0; i < c->n_targets; i++) {
        if (i) {
            gy_buf_add_char(out, ',');
        }
        gy_csv_add_field(out, c->targets[i].column->name);
    }
    gy_buf_add_char(out, '\n');
}

size_t gy_checker_n_columns(const struct gy_checker *c)
{
    return c->n_targets;
}

/* ---- a record ---- */

/* Start a reason: its code, its column, and "name: " in the text. */
static struct gy_buf *reason(struct gy_reasons *r, enum gy_dead_code code,
                             const struct gy_column *column)
{
    if (!r->codes) {
        r->column = column;
    }
    r->codes |= 1U << code;
    if (r->text.n) {
        gy_buf_addc(&r->text, "; ");
    }
    if (column) {
        gy_buf_add(&r->text, column->name);
        gy_buf_addc(&r->text, ": ");
    }
    return &r->text;
}

/* A value from outside, cut, in quotes. */
static void show(struct gy_buf *b, struct gy_str text)
{
    struct gy_str head = gy_str_head(text, MAX_QUOTED);
    gy_buf_add_char(b, '\'');
    gy_buf_add(b, head);
    gy_buf_addc(b, head.n < text.n ? "...'" : "'");
}

static void check_range(const struct gy_column *c, double number, struct gy_reasons *r)
{
    char value[32], bound[32];
    bool low = c->has_min && number < c->min;
    if (low || (c->has_max && number > c->max)) {
        (void)gy_fmt_f64_trim(number, value);
        (void)gy_fmt_f64_trim(low ? c->min : c->max, bound);
        gy_buf_addf(reason(r, GY_DEAD_RANGE, c), "%s is %s %s", value,
                    low ? "below the minimum" : "above the maximum", bound);
    }
}

static bool is_allowed(const struct target *t, struct gy_str text)
{
    if (t->column->n_values > FEW_VALUES) {
        return gy_map_has(&t->values, text);
    }
    for (size_t i = 0; i < t->column->n_values; i++) {
        if (gy_str_eq(t->column->values[i], text)) {
            return true;
        }
    }
    return false;
}

/* Does a value that the file wrote so fit the type? */
bool gy_value_fits(enum gy_type type, enum gy_value_kind kind)
{
    switch (kind) {
    case GY_VALUE_PLAIN:
        return true;
    case GY_VALUE_NUMBER:
        return type == GY_TYPE_INT || type == GY_TYPE_FLOAT;
    case GY_VALUE_BOOL:
        return type == GY_TYPE_BOOL;
    case GY_VALUE_STRING:
        return type == GY_TYPE_STRING || type == GY_TYPE_TIME || type == GY_TYPE_IMAGE;
    case GY_VALUE_NESTED:
        break;
    }
    return false;
}

/* The file that an image column names. Fails: IO, NOMEM, when nothing can be said of it. */
static gy_status check_file(const struct gy_checker *c, const struct target *t,
                            struct gy_reasons *r, struct gy_err *err)
{
    static const enum gy_dead_code codes[] = {[GY_IMAGE_NO_FILE] = GY_DEAD_FILE,
                                              [GY_IMAGE_BROKEN] = GY_DEAD_IMAGE,
                                              [GY_IMAGE_SIZE] = GY_DEAD_SIZE};
    enum gy_image_fault fault;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf why;
    gy_buf_init(&why, GY_REASONS_MAX_TEXT);
    GY_TRY(gy_image_check(c->folder, t->text, t->column, &fault, &why, err));
    if (fault != GY_IMAGE_FINE) {
        struct gy_buf *b = reason(r, codes[fault], t->column);
        show(b, t->text);
        gy_buf_add_char(b, ' ');
        gy_buf_add(b, gy_buf_str(&why));
    }
    return GY_OK;
}

/* One value: its canonical text, or the reasons against it. False: it is not of the type. */
static bool check_one(struct target *t, struct gy_str text, enum gy_value_kind kind,
                      struct gy_str *ret, struct gy_reasons *r)
{
    const struct gy_column *column = t->column;
    double number;
    if (!gy_value_fits(column->type, kind) ||
        !gy_column_canonical(column, text, t->number, ret, &number)) {
        struct gy_buf *b = reason(r, GY_DEAD_TYPE, column);
        show(b, text);
        if (column->type == GY_TYPE_TIME && gy_time_lacks_zone(text)) {
            gy_buf_addc(b, " says no zone, and the schema names none");
        } else {
            gy_buf_addf(b, " is not of type %s", gy_type_name(column->type));
        }
        return false;
    }
    check_range(column, number, r);
    if (column->n_values && column->min_domain_mass >= 1 && !is_allowed(t, *ret)) {
        struct gy_buf *b = reason(r, GY_DEAD_VALUES, column);
        show(b, *ret);
        gy_buf_addc(b, " is not one of the allowed values");
    }
    return true;
}

/* Values between separators, each of them checked; their canonical texts, put together again. */
static void check_list(const struct gy_checker *c, struct target *t, struct gy_str text,
                       enum gy_value_kind kind, struct gy_reasons *r)
{
    const struct gy_column *column = t->column;
    int64_t n = 0;
    gy_buf_reset(&t->joined);
    for (struct gy_str rest = text; rest.p; n++) {
        size_t at = gy_str_find(rest, column->list.p[0]);
        struct gy_str item = gy_str_trim(gy_str_sub(rest, 0, at)), canonical = GY_STR("");
        rest = at == SIZE_MAX ? GY_STR_NULL : gy_str_sub(rest, at + 1, SIZE_MAX);
        if (gy_schema_is_missing(c->schema, item)) {
            gy_buf_addc(reason(r, GY_DEAD_REQUIRED, column), "a value of the list is missing");
        } else {
            (void)check_one(t, item, kind, &canonical, r); /* the reasons tell */
        }
        if (n > 0) {
            gy_buf_add(&t->joined, column->list);
        }
        gy_buf_add(&t->joined, canonical);
    }
    t->text = gy_buf_str(&t->joined);
    if (n < column->min_values || (column->max_values >= 0 && n > column->max_values)) {
        gy_buf_addf(reason(r, GY_DEAD_VALUES, column), "%lld values in the list, %s wanted",
                    (long long)n, n < column->min_values ? "more are" : "fewer are");
    }
}

/* The canonical text of one value into t->text; reasons when it is refused. */
static gy_status check_value(const struct gy_checker *c, struct target *t, struct gy_str text,
                             enum gy_value_kind kind, bool utf8, struct gy_reasons *r,
                             struct gy_err *err)
{
    const struct gy_column *column = t->column;
    t->text = GY_STR("");
    if (!utf8 && !gy_str_is_utf8(text)) {
        gy_buf_addc(reason(r, GY_DEAD_UTF8, column), "not UTF-8");
        return GY_OK;
    }
    struct gy_str bare = text;
    if (column->type != GY_TYPE_STRING && text.n > 0 &&
        ((unsigned char)text.p[0] <= ' ' || (unsigned char)text.p[text.n - 1] <= ' ')) {
        bare = gy_str_trim(text);
    }
    if (bare.n == 0 ||
        (c->missing_starts[(unsigned char)bare.p[0]] && gy_schema_is_missing(c->schema, bare))) {
        if (column->required) {
            gy_buf_addc(reason(r, GY_DEAD_REQUIRED, column), "the value is missing");
        }
        return GY_OK;
    }
    if (column->list.p) {
        check_list(c, t, bare, kind, r);
        return gy_buf_check(&t->joined, "the values of a list", err);
    }
    if (!check_one(t, text, kind, &t->text, r)) {
        return GY_OK;
    }
    return column->type == GY_TYPE_IMAGE && c->folder ? check_file(c, t, r, err) : GY_OK;
}

void gy_reasons_repeated(struct gy_reasons *r, const struct gy_column *column, struct gy_str text)
{
    struct gy_buf *b = reason(r, GY_DEAD_UNIQUE, column);
    show(b, text);
    gy_buf_addc(b, " was in an accepted record before");
}

/* Last of all, so that the look-up had time to arrive. */
static void check_unique(struct gy_checker *c, struct gy_reasons *r)
{
    for (size_t i = 0; i < c->n_targets; i++) {
        struct target *t = &c->targets[i];
        if (t->unique && t->kept.n > 0 && gy_unique_has(t->unique, gy_buf_str(&t->kept))) {
            gy_reasons_repeated(r, t->column, gy_buf_str(&t->kept));
        }
    }
}

/* Raw bytes and UTF-8 of a record whose fields can not be told apart. */
static void check_whole(const struct gy_csv_item *item, struct gy_reasons *r)
{
    if (item->fault == GY_CSV_QUOTE) {
        gy_buf_addc(reason(r, GY_DEAD_QUOTE, NULL),
                    "a quoted field never ends well: no delimiter, newline or end behind it");
    } else if (item->fault == GY_CSV_TOOLONG) {
        gy_buf_addf(reason(r, GY_DEAD_TOOLONG, NULL), "a line of %lld bytes",
                    (long long)item->length);
    }
    if (item->raw.p && !gy_str_is_utf8(item->raw)) {
        gy_buf_addc(reason(r, GY_DEAD_UTF8, NULL), "not UTF-8");
    }
}

/* Append a field that needs no quotes: room for it is there. */
static char *put(char *to, struct gy_str text)
{
    memcpy(to, text.p, text.n);
    return to + text.n;
}

static char *put_string(char *to, struct gy_str text)
{
    if (text.n == 0) {
        return to;
    }
    if (!memchr(text.p, ',', text.n) && !memchr(text.p, '"', text.n) &&
        !memchr(text.p, '\n', text.n) && !memchr(text.p, '\r', text.n)) {
        return put(to, text);
    }
    *to++ = '"';
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"') {
            *to++ = '"';
        }
        *to++ = text.p[i];
    }
    *to++ = '"';
    return to;
}

/* A field of the record at hand as most are: plain and good. NULL: it takes a closer look. */
static char *put_quick(const struct gy_checker *c, const struct target *t,
                       const struct gy_csv_field *f, char *to)
{
    const struct gy_column *column = t->column;
    double number = 0;
    char *end = NULL;
    if (f->n == 0) {
        return column->required ? NULL : to;
    }
    if (f->escaped || column->list.p || c->missing_starts[(unsigned char)f->p[0]]) {
        return NULL;
    }
    switch (column->type) {
    case GY_TYPE_INT:
        end = gy_quick_int(to, f->p, f->n, &number);
        break;
    case GY_TYPE_FLOAT:
        end = gy_quick_float(to, f->p, f->n, &number);
        break;
    case GY_TYPE_BOOL:
        end = gy_quick_bool(to, f->p, f->n, &number);
        break;
    case GY_TYPE_TIME:
        end = gy_quick_day(to, f->p, f->n);
        break;
    case GY_TYPE_STRING:
        end = c->no_quotes && !f->quoted ? gy_quick_put(to, f->p, f->n)
                                         : put_string(to, gy_str_n(f->p, f->n));
        break;
    case GY_TYPE_IMAGE:
        break;
    }
    if (!end || (column->has_min && number < column->min) ||
        (column->has_max && number > column->max)) {
        return NULL;
    }
    if (column->n_values && column->min_domain_mass >= 1) {
        const bool text = column->type == GY_TYPE_STRING; /* may have got quotes in the line */
        return is_allowed(t, text ? gy_str_n(f->p, f->n) : gy_str_n(to, (size_t)(end - to))) ? end
                                                                                             : NULL;
    }
    return end;
}

/* The same however it is written. */
static gy_status put_field(struct gy_checker *c, struct target *t, bool utf8, char *to,
                           struct gy_reasons *r, char **ret_end, struct gy_err *err)
{
    struct gy_str text = GY_STR("");
    enum gy_value_kind kind = GY_VALUE_PLAIN;
    if (t->field != NO_FIELD && c->values) {
        text = c->values[t->field].text;
        kind = c->values[t->field].kind;
    } else if (t->field != NO_FIELD) {
        const struct gy_csv_field *f = &c->fields[t->field];
        text = f->escaped ? gy_csv_text(f, &c->scratch) : gy_str_n(f->p, f->n);
        if (!text.p) {
            return no_memory(err);
        }
    }
    GY_TRY(check_value(c, t, text, kind, utf8, r, err));
    const bool free_text = t->column->type == GY_TYPE_STRING || t->column->type == GY_TYPE_IMAGE;
    *ret_end = free_text ? put_string(to, t->text) : put(to, t->text);
    return GY_OK;
}

/* Keep the value that must not repeat: it is looked up when the record is known. */
static gy_status keep_unique(const struct gy_checker *c, struct target *t, struct gy_str text,
                             struct gy_err *err)
{
    gy_buf_reset(&t->kept);
    gy_buf_add(&t->kept, text);
    GY_TRY(gy_buf_check(&t->kept, "a unique value", err));
    if (!c->allow_repeated) {
        gy_unique_ask(t->unique, gy_buf_str(&t->kept));
    }
    return GY_OK;
}

/* All columns: reasons, and the canonical line. The line is at most twice the record (a quote in an
 * unquoted field becomes two), two quotes and a comma a field, and the rewritten numbers. */
static gy_status check_fields(struct gy_checker *c, size_t raw_bytes, bool utf8, struct gy_buf *out,
                              struct gy_reasons *r, struct gy_err *err)
{
    /* Quotes double; a value of a list grows fivefold at most ("0;" to "false;"). */
    const size_t grown = (c->any_list ? 8 : 2) * raw_bytes;
    char *const line = gy_buf_reserve(out, grown + c->n_targets * (GY_VALUE_TEXT + 3) + 3);
    if (!line) {
        return gy_buf_check(out, "the canonical records", err);
    }
    char *to = line;
    GY_REQUIRE(c->values || c->fields);
    c->has_values = true;
    const bool quick = utf8 && !c->values;
    for (size_t i = 0; i < c->n_targets; i++) {
        struct target *t = &c->targets[i];
        if (i) {
            *to++ = ',';
        }
        const struct gy_csv_field *f = quick && t->field != NO_FIELD ? &c->fields[t->field] : NULL;
        char *end = f ? put_quick(c, t, f, to) : NULL;
        const bool plain = end != NULL;
        if (!plain) {
            GY_TRY(put_field(c, t, utf8, to, r, &end, err));
        }
        if (t->unique) {
            const bool text = t->column->type == GY_TYPE_STRING;
            GY_TRY(keep_unique(c, t,
                               !plain ? t->text
                               : text ? gy_str_n(f->p, f->n)
                                      : gy_str_n(to, (size_t)(end - to)),
                               err));
        }
        to = end;
    }
    if (c->n_unique > 0 && !c->allow_repeated) {
        check_unique(c, r);
    }
    if (to == line && c->n_targets == 1) {
        to = put(to, GY_STR("\"\"")); /* an empty line would be a blank line, not a record */
    }
    *to++ = '\n';
    const size_t n = (size_t)(to - line) - 1;
    if (n > GY_MAX_CSV_RECORD) { /* doubled quotes: what is written must be readable */
        gy_buf_addf(reason(r, GY_DEAD_TOOLONG, NULL), "%zu bytes in canonical form", n);
    }
    if (r->codes == 0) {
        gy_buf_commit(out, (size_t)(to - line));
    }
    return GY_OK;
}

/* Take the unique values of an accepted record: all of them, or (on failure) the ingest ends. */
static gy_status remember(struct gy_checker *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->n_targets; i++) {
        struct target *t = &c->targets[i];
        if (t->unique && t->kept.n > 0) {
            GY_TRY(gy_unique_add(t->unique, gy_buf_str(&t->kept), err));
        }
    }
    return GY_OK;
}

static void reset_reasons(struct gy_reasons *r)
{
    r->codes = 0;
    r->column = NULL;
    gy_buf_reset(&r->text);
}

void gy_reasons_whole(struct gy_reasons *r, enum gy_dead_code code, const char *why)
{
    reset_reasons(r);
    gy_buf_addc(reason(r, code, NULL), why);
}

gy_status gy_checker_values(struct gy_checker *c, const struct gy_value *values, size_t raw_bytes,
                            struct gy_buf *out, struct gy_reasons *r, struct gy_err *err)
{
    reset_reasons(r);
    c->values = values;
    gy_status status = check_fields(c, raw_bytes, true, out, r, err);
    c->values = NULL;
    GY_TRY(status);
    return r->codes == 0 && c->n_unique > 0 && !c->allow_repeated ? remember(c, err) : GY_OK;
}

gy_status gy_checker_record(struct gy_checker *c, const struct gy_csv_item *item, char delimiter,
                            struct gy_buf *out, struct gy_reasons *r, struct gy_err *err)
{
    reset_reasons(r);
    c->has_values = false;
    size_t n = 0;
    if (item->fault == GY_CSV_FINE) {
        n = gy_csv_split(item->raw, item->quotes, delimiter, c->fields, c->n_fields + 1);
    }
    if (item->fault != GY_CSV_FINE || n != c->n_fields) {
        if (item->fault == GY_CSV_FINE) {
            gy_buf_addf(reason(r, GY_DEAD_FIELDS, NULL), "%zu fields; the header has %zu", n,
                        c->n_fields);
        }
        check_whole(item, r);
        return GY_OK;
    }
    c->no_quotes = !item->quotes && delimiter == ',' && !memchr(item->raw.p, '\r', item->raw.n);
    bool utf8 = gy_str_is_utf8(item->raw);
    GY_TRY(check_fields(c, item->raw.n, utf8, out, r, err));
    if (r->codes) {
        return GY_OK;
    }
    return c->n_unique > 0 && !c->allow_repeated ? remember(c, err) : GY_OK;
}
