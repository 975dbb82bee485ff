/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the table once, counting per column what the schema has something against. */
#include "data/validate.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/jsonfields.h"
#include "data/jsonrec.h"
#include "data/times.h"
#include "data/validate_internal.h"
#include "net/call.h"

#define ARENA_MAX (256 * GY_MIB)
#define MAX_SHOWN 80 /* bytes of a value in an example */
#define PROGRESS_ROWS 4096
#define FEW_VALUES 8

struct reading {
    struct gy_table_tally t;
    struct gy_csv_field *fields;
    size_t n_fields;
    struct gy_buf scratch;
    char number[GY_VALUE_TEXT];
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a validation");
}

/* ---- notes ---- */

static gy_status note_in(struct gy_validation *v, struct gy_note *n, struct gy_str value,
                         struct gy_err *err)
{
    if (n->count < GY_VALIDATE_EXAMPLES) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf shown;
        gy_buf_init(&shown, 4 * MAX_SHOWN);
        struct gy_str head = gy_str_head(value, MAX_SHOWN);
        gy_buf_add(&shown, head);
        gy_buf_addc(&shown, head.n < value.n ? "..." : "");
        struct gy_example *e = &n->examples[n->count];
        e->row = v->rows;
        e->value = gy_arena_str(&v->arena, gy_buf_str(&shown));
        if (!e->value.p) {
            return no_memory(err);
        }
    }
    n->count++;
    return GY_OK;
}

static gy_status note(struct reading *r, struct gy_tally *t, enum gy_anomaly_kind kind,
                      struct gy_str value, struct gy_err *err)
{
    return note_in(r->t.v, &t->notes[kind], value, err);
}

/* ---- one value ---- */

static bool says(struct gy_str text, const char *word)
{
    text =
        text.n > 0 && (text.p[0] == '-' || text.p[0] == '+') ? gy_str_sub(text, 1, SIZE_MAX) : text;
    return gy_str_ieq(text, gy_str_c(word));
}

static enum gy_anomaly_kind kind_of_misfit(const struct gy_column *c, struct gy_str text,
                                           enum gy_value_kind kind)
{
    bool written = kind == GY_VALUE_PLAIN || kind == GY_VALUE_STRING;
    switch (c->type) {
    case GY_TYPE_INT:
        return written ? GY_ANOMALY_INT_TYPE_NOT_INT_STRING : GY_ANOMALY_UNEXPECTED_DATA_TYPE;
    case GY_TYPE_FLOAT:
        return says(text, "nan")                             ? GY_ANOMALY_FLOAT_TYPE_HAS_NAN
               : says(text, "inf") || says(text, "infinity") ? GY_ANOMALY_FLOAT_TYPE_HAS_INF
               : written ? GY_ANOMALY_FLOAT_TYPE_STRING_NOT_FLOAT
                         : GY_ANOMALY_UNEXPECTED_DATA_TYPE;
    case GY_TYPE_BOOL:
        return written ? GY_ANOMALY_BOOL_TYPE_UNEXPECTED_STRING : GY_ANOMALY_UNEXPECTED_DATA_TYPE;
    case GY_TYPE_TIME:
        return written && gy_time_lacks_zone(text) ? GY_ANOMALY_TIME_WITHOUT_ZONE
                                                   : GY_ANOMALY_UNEXPECTED_DATA_TYPE;
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        break;
    }
    return GY_ANOMALY_UNEXPECTED_DATA_TYPE;
}

static gy_status take_number(struct reading *r, struct gy_tally *t, double number,
                             struct gy_str text, struct gy_err *err)
{
    const struct gy_column *c = t->column;
    bool whole = c->type == GY_TYPE_INT;
    t->low = isnan(t->low) || number < t->low ? number : t->low;
    t->high = isnan(t->high) || number > t->high ? number : t->high;
    if (c->has_min && number < c->min) {
        return note(r, t, whole ? GY_ANOMALY_INT_TYPE_SMALL_INT : GY_ANOMALY_FLOAT_TYPE_SMALL_FLOAT,
                    text, err);
    }
    if (c->has_max && number > c->max) {
        return note(r, t, whole ? GY_ANOMALY_INT_TYPE_BIG_INT : GY_ANOMALY_FLOAT_TYPE_BIG_FLOAT,
                    text, err);
    }
    return GY_OK;
}

static bool is_allowed(const struct gy_tally *t, struct gy_str text)
{
    if (t->column->n_values > FEW_VALUES) {
        return gy_map_has(&t->allowed, text);
    }
    for (size_t i = 0; i < t->column->n_values; i++) {
        if (gy_str_eq(t->column->values[i], text)) {
            return true;
        }
    }
    return false;
}

/* Outside of the domain: counted by value, as long as there are few of them. */
static gy_status take_unexpected(struct reading *r, struct gy_tally *t, struct gy_str text,
                                 struct gy_err *err)
{
    struct gy_arena *a = &r->t.v->arena;
    GY_TRY(note(r, t, GY_ANOMALY_ENUM_TYPE_UNEXPECTED_STRING_VALUES, text, err));
    if (!t->unexpected_counts) {
        t->unexpected_counts = gy_arena_calloc(a, GY_VALIDATE_UNEXPECTED, sizeof(int64_t));
        t->unexpected_text = gy_arena_calloc(a, GY_VALIDATE_UNEXPECTED, sizeof(struct gy_str));
    }
    if (!t->unexpected_counts || !t->unexpected_text) {
        return no_memory(err);
    }
    int64_t *count = gy_map_get(&t->unexpected, text);
    if (!count && t->n_unexpected < GY_VALIDATE_UNEXPECTED && text.n <= MAX_SHOWN) {
        struct gy_str copy = gy_arena_str(a, text);
        if (!copy.p) {
            return no_memory(err);
        }
        t->unexpected_text[t->n_unexpected] = copy;
        count = &t->unexpected_counts[t->n_unexpected++];
        GY_TRY(gy_map_put(&t->unexpected, copy, count, err));
    }
    if (count) {
        (*count)++;
    }
    return GY_OK;
}

static gy_status take_distinct(struct reading *r, struct gy_tally *t, struct gy_str text,
                               struct gy_err *err)
{
    gy_unique_ask(t->distinct, text);
    if (!gy_unique_has(t->distinct, text)) {
        return gy_unique_add(t->distinct, text, err);
    }
    return t->column->unique ? note(r, t, GY_ANOMALY_VALUE_NOT_UNIQUE, text, err) : GY_OK;
}

static gy_status take_element(struct reading *r, struct gy_tally *t, struct gy_str text,
                              enum gy_value_kind kind, struct gy_err *err)
{
    const struct gy_column *c = t->column;
    struct gy_str canonical;
    double number;
    if (!gy_value_fits(c->type, kind) ||
        !gy_column_canonical(c, text, r->number, &canonical, &number)) {
        return note(r, t, kind_of_misfit(c, text, kind), text, err);
    }
    t->values++;
    if (!isnan(number) && c->type != GY_TYPE_BOOL) {
        GY_TRY(take_number(r, t, number, text, err));
    }
    if (c->n_values && !is_allowed(t, canonical)) {
        GY_TRY(take_unexpected(r, t, canonical, err));
    }
    if (c->type == GY_TYPE_TIME &&
        (c->role == GY_ROLE_EVENT_TIME || c->role == GY_ROLE_AVAILABLE_AT)) {
        enum gy_time_form form;
        if (!gy_column_time(c, text, &t->at_us, &form)) {
            t->at_us = INT64_MIN;
        }
    }
    return t->distinct ? take_distinct(r, t, canonical, err) : GY_OK;
}

static gy_status take_list(struct reading *r, struct gy_tally *t, struct gy_str text,
                           enum gy_value_kind kind, struct gy_err *err)
{
    const struct gy_column *c = t->column;
    int64_t n = 0;
    for (struct gy_str rest = text; rest.p; n++) {
        size_t at = gy_str_find(rest, c->list.p[0]);
        struct gy_str item = gy_str_trim(gy_str_sub(rest, 0, at));
        rest = at == SIZE_MAX ? GY_STR_NULL : gy_str_sub(rest, at + 1, SIZE_MAX);
        GY_TRY(gy_schema_is_missing(r->t.o->schema, item)
                   ? note(r, t, GY_ANOMALY_UNEXPECTED_DATA_TYPE, text, err)
                   : take_element(r, t, item, kind, err));
    }
    if (n < c->min_values) {
        GY_TRY(note(r, t, GY_ANOMALY_FEATURE_TYPE_LOW_NUMBER_VALUES, text, err));
    }
    if (c->max_values >= 0 && n > c->max_values) {
        GY_TRY(note(r, t, GY_ANOMALY_FEATURE_TYPE_HIGH_NUMBER_VALUES, text, err));
    }
    return GY_OK;
}

static gy_status take_value(struct reading *r, struct gy_tally *t, struct gy_str text,
                            enum gy_value_kind kind, struct gy_err *err)
{
    t->at_us = INT64_MIN;
    if (!gy_str_is_utf8(text)) {
        t->present++;
        return note(r, t, GY_ANOMALY_ENUM_TYPE_INVALID_UTF8, GY_STR("(bytes)"), err);
    }
    struct gy_str bare = t->column->type == GY_TYPE_STRING ? text : gy_str_trim(text);
    if (gy_schema_is_missing(r->t.o->schema, bare)) {
        return GY_OK;
    }
    t->present++;
    return t->column->list.p ? take_list(r, t, bare, kind, err)
                             : take_element(r, t, bare, kind, err);
}

/* After a row: was something known too late? */
static gy_status check_leaks(struct reading *r, struct gy_err *err)
{
    int64_t event = INT64_MIN;
    for (size_t i = 0; i < r->t.n_columns && event == INT64_MIN; i++) {
        const struct gy_tally *t = &r->t.columns[i];
        if (t->column->role == GY_ROLE_EVENT_TIME && t->field != SIZE_MAX) {
            event = t->at_us;
        }
    }
    for (size_t i = 0; event != INT64_MIN && i < r->t.n_columns; i++) {
        struct gy_tally *t = &r->t.columns[i];
        if (t->column->role == GY_ROLE_AVAILABLE_AT && t->field != SIZE_MAX &&
            t->at_us != INT64_MIN && t->at_us > event) {
            char text[32];
            size_t n = gy_time_iso(t->at_us, text);
            GY_TRY(note(r, t, GY_ANOMALY_LEAKAGE_AVAILABLE_LATER, gy_str_n(text, n), err));
        }
    }
    return GY_OK;
}

/* ---- the columns ---- */

static gy_status start_column(struct gy_tally *t, const struct gy_column *c, struct gy_err *err)
{
    t->column = c;
    t->field = SIZE_MAX;
    t->low = t->high = NAN;
    gy_map_init(&t->allowed, GY_SCHEMA_MAX_VALUES);
    gy_map_init(&t->unexpected, GY_VALIDATE_UNEXPECTED);
    for (size_t i = 0; c->n_values > FEW_VALUES && i < c->n_values; i++) {
        GY_TRY(gy_map_put(&t->allowed, c->values[i], &c->values[i], err));
    }
    if (!c->unique && c->min_distinct <= 0 && c->max_distinct < 0) {
        return GY_OK;
    }
    t->distinct = gy_calloc(1, sizeof *t->distinct);
    return t->distinct ? gy_unique_init(t->distinct, err) : no_memory(err);
}

/* Local times and instants can not be told apart from later and earlier. */
static gy_status check_clocks(const struct gy_schema *s, struct gy_err *err)
{
    const struct gy_column *event = gy_schema_role(s, GY_ROLE_EVENT_TIME);
    for (size_t i = 0; event && i < s->n_columns; i++) {
        const struct gy_column *c = &s->columns[i];
        bool local = gy_str_eqc(c->zone, "none"), event_local = gy_str_eqc(event->zone, "none");
        if (c->role == GY_ROLE_AVAILABLE_AT && local != event_local) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "'%s' and '%s' can not be compared: one of them is local time",
                             event->name.p, c->name.p);
            return gy_err_hint(err, "name a zone for the one that says zone: none");
        }
    }
    return GY_OK;
}

static gy_status start(struct reading *r, const struct gy_validate_options *o, struct gy_err *err)
{
    const struct gy_schema *s = o->schema;
    GY_TRY(gy_schema_check_environment(s, o->environment, err));
    GY_TRY(check_clocks(s, err));
    r->t.columns = gy_calloc(s->n_columns, sizeof *r->t.columns);
    r->fields = gy_calloc(GY_MAX_COLUMNS + 1, sizeof *r->fields);
    if (!r->t.columns || !r->fields) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        r->t.n_columns = i + 1;
        GY_TRY(start_column(&r->t.columns[i], &s->columns[i], err));
    }
    return GY_OK;
}

static void reading_done(struct reading *r)
{
    for (size_t i = 0; i < r->t.n_columns; i++) {
        struct gy_tally *t = &r->t.columns[i];
        gy_map_done(&t->allowed);
        gy_map_done(&t->unexpected);
        if (t->distinct) {
            gy_unique_done(t->distinct);
            gy_free(t->distinct);
        }
    }
    gy_free(r->t.columns);
    gy_free(r->fields);
    gy_buf_done(&r->scratch);
}
GY_DEFINE_AUTO_DONE(struct reading, reading_done);

static gy_status add_unknown(struct reading *r, struct gy_str name, int64_t count,
                             struct gy_err *err)
{
    struct gy_arena *a = &r->t.v->arena;
    if (!r->t.unknown) {
        r->t.unknown = gy_arena_calloc(a, GY_MAX_COLUMNS, sizeof *r->t.unknown);
    }
    struct gy_str copy = gy_arena_str(a, name.p ? name : GY_STR("(others)"));
    if (!r->t.unknown || !copy.p) {
        return no_memory(err);
    }
    if (r->t.n_unknown < GY_MAX_COLUMNS) {
        r->t.unknown[r->t.n_unknown++] = (struct gy_new_column){copy, count};
    }
    return GY_OK;
}

static gy_status map_header(struct reading *r, const struct gy_csv_field *header, size_t n,
                            struct gy_err *err)
{
    if (n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu columns; at most %d are read", n, GY_MAX_COLUMNS);
    }
    r->n_fields = n;
    for (size_t i = 0; i < n; i++) {
        struct gy_str name = gy_csv_text(&header[i], &r->scratch);
        if (!name.p) {
            return no_memory(err);
        }
        name = gy_str_trim(name);
        const struct gy_column *c = gy_schema_column(r->t.o->schema, name);
        struct gy_tally *t = c ? &r->t.columns[gy_schema_index(r->t.o->schema, c)] : NULL;
        if (!t) {
            GY_TRY(add_unknown(r, name, -1, err));
        } else if (t->field != SIZE_MAX) {
            return gy_err_set(err, GY_E_SCHEMA, "the column '%s' is there twice", c->name.p);
        } else {
            t->field = i;
        }
    }
    return GY_OK;
}

/* ---- the records ---- */

static gy_status take_broken(struct reading *r, struct gy_str why, struct gy_err *err)
{
    GY_TRY(note_in(r->t.v, &r->t.broken, why, err));
    r->t.v->broken++;
    r->t.v->rows++;
    return GY_OK;
}

static gy_status take_csv_record(struct reading *r, const struct gy_csv_item *item, char delimiter,
                                 struct gy_err *err)
{
    if (item->fault != GY_CSV_FINE) {
        return take_broken(r,
                           item->fault == GY_CSV_QUOTE ? GY_STR("a quoted field never ends well")
                                                       : GY_STR("too long"),
                           err);
    }
    size_t n = gy_csv_split(item->raw, item->quotes, delimiter, r->fields, r->n_fields + 1);
    if (n != r->n_fields) {
        return take_broken(r, GY_STR("another number of fields than the header"), err);
    }
    for (size_t i = 0; i < r->t.n_columns; i++) {
        struct gy_tally *t = &r->t.columns[i];
        if (t->field == SIZE_MAX) {
            continue;
        }
        struct gy_str text = gy_csv_text(&r->fields[t->field], &r->scratch);
        if (!text.p) {
            return no_memory(err);
        }
        GY_TRY(take_value(r, t, text, GY_VALUE_PLAIN, err));
    }
    GY_TRY(check_leaks(r, err));
    r->t.v->rows++;
    return GY_OK;
}

static void tell_progress(const struct reading *r, const struct gy_source *source)
{
    if (r->t.o->progress && r->t.v->rows % PROGRESS_ROWS == 0) {
        r->t.o->progress(r->t.o->progress_ctx, source->done_bytes);
    }
}

static gy_status read_csv(struct reading *r, struct gy_source *source, struct gy_reader *in,
                          struct gy_err *err)
{
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    const struct gy_csv_options o = {.delimiter = r->t.o->delimiter};
    bool header = false;
    GY_TRY(gy_csv_open(in, &o, &csv, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            return header ? GY_OK
                          : gy_err_set(err, GY_E_PARSE, "'%s' has no header line", source->name);
        }
        if (item.kind == GY_CSV_HEADER) {
            header = true;
            if (item.fault != GY_CSV_FINE || !gy_str_is_utf8(item.raw)) {
                return gy_err_set(err, GY_E_PARSE, "'%s': the header line is broken", source->name);
            }
            size_t n = gy_csv_split(item.raw, item.quotes, gy_csv_delimiter(csv), r->fields,
                                    GY_MAX_COLUMNS + 1);
            GY_TRY(map_header(r, r->fields, n, err));
        } else if (item.kind == GY_CSV_RECORD) {
            GY_TRY(take_csv_record(r, &item, gy_csv_delimiter(csv), err));
            tell_progress(r, source);
        }
    }
}

static gy_status take_json_record(struct reading *r, struct gy_jsonfields *fields,
                                  const struct gy_csv_item *item, struct gy_err *err)
{
    GY_AUTO_DONE(gy_reasons_done) struct gy_reasons reasons;
    gy_reasons_init(&reasons);
    const struct gy_value *values = NULL;
    GY_TRY(gy_jsonfields_read(fields, item, &values, &reasons, err));
    if (!values) {
        return take_broken(r, gy_buf_str(&reasons.text), err);
    }
    for (size_t i = 0; i < r->t.n_columns; i++) {
        struct gy_tally *t = &r->t.columns[i];
        if (t->field != SIZE_MAX) {
            const struct gy_value *value = &values[t->field];
            GY_TRY(take_value(r, t, value->text.p ? value->text : GY_STR(""), value->kind, err));
        }
    }
    GY_TRY(check_leaks(r, err));
    r->t.v->rows++;
    return GY_OK;
}

static gy_status read_json(struct reading *r, struct gy_source *source, struct gy_reader *in,
                           bool lines, struct gy_err *err)
{
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *json = NULL;
    GY_AUTO(gy_jsonfields_free) struct gy_jsonfields *fields = NULL;
    const struct gy_jsonrec_options o = {.shape = lines ? GY_JSONREC_LINES : GY_JSONREC_ARRAY};
    size_t n = 0;
    r->t.json = true;
    GY_TRY(gy_jsonfields_new(r->t.o->schema, r->t.o->environment, &fields, err));
    const struct gy_csv_field *header = gy_jsonfields_header(fields, &n);
    GY_TRY(map_header(r, header, n, err));
    GY_TRY(gy_jsonrec_open(in, &o, &json, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_jsonrec_next(json, &item, &more, err));
        if (!more) {
            break;
        }
        if (item.kind == GY_CSV_RECORD) {
            GY_TRY(take_json_record(r, fields, &item, err));
            tell_progress(r, source);
        }
    }
    const struct gy_unknown *unknown = gy_jsonfields_unknown(fields);
    for (size_t i = 0; i < unknown->n; i++) {
        GY_TRY(add_unknown(r, unknown->names[i].name, unknown->names[i].count, err));
    }
    return unknown->others ? add_unknown(r, GY_STR_NULL, unknown->others, err) : GY_OK;
}

static gy_status read_source(struct reading *r, struct gy_source *source, struct gy_err *err)
{
    enum gy_ingest_format format = GY_INGEST_AUTO;
    struct gy_reader *in = NULL;
    GY_TRY(gy_source_format(source, &format, err));
    GY_TRY(gy_source_open(source, &in, err));
    gy_status status = format == GY_INGEST_CSV
                           ? read_csv(r, source, in, err)
                           : read_json(r, source, in, format == GY_INGEST_JSONL, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", source->name);
}

gy_status gy_validate(struct gy_source *source, const struct gy_validate_options *o,
                      struct gy_validation **ret, struct gy_err *err)
{
    GY_AUTO(gy_validation_free) struct gy_validation *v = gy_calloc(1, sizeof *v);
    GY_AUTO_DONE(reading_done) struct reading r = {.t = {.o = o, .v = v}};
    gy_buf_init(&r.scratch, GY_MAX_CSV_RECORD);
    if (!v) {
        return no_memory(err);
    }
    gy_arena_init(&v->arena, ARENA_MAX);
    GY_TRY(start(&r, o, err));
    gy_status status = read_source(&r, source, err);
    gy_source_close(source);
    GY_TRY(status);
    GY_TRY(gy_validate_judge(&r.t, err));
    *ret = GY_TAKE(v);
    return GY_OK;
}

void gy_validation_free(struct gy_validation *v)
{
    if (v) {
        gy_arena_done(&v->arena);
        gy_free(v);
    }
}

/* ---- as JSON ---- */

static void write_anomaly(struct gy_jw *w, const struct gy_anomaly *a)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "column", a->column);
    gy_jw_kv_strc(w, "kind", gy_anomaly_name(a->kind));
    gy_jw_kv_strc(w, "severity", gy_severity_name(a->severity));
    gy_jw_kv_str(w, "text", a->text);
    gy_jw_key(w, "count");
    if (a->count >= 0) {
        gy_jw_i64(w, a->count);
    } else {
        gy_jw_null(w);
    }
    gy_jw_key(w, "examples");
    gy_jw_arr(w);
    for (size_t i = 0; i < a->n_examples; i++) {
        gy_jw_obj(w);
        gy_jw_kv_i64(w, "row", a->examples[i].row);
        gy_jw_kv_str(w, "value", a->examples[i].value);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_comparison(struct gy_jw *w, const struct gy_comparison *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "column", c->column);
    gy_jw_kv_strc(w, "kind", c->skew ? "skew" : "drift");
    gy_jw_kv_strc(w, "measure", gy_measure_name(c->measure));
    gy_jw_key(w, "value");
    if (isnan(c->value)) {
        gy_jw_null(w);
    } else {
        gy_jw_f64(w, c->value);
    }
    gy_jw_kv_f64(w, "limit", c->limit);
    gy_jw_kv_strc(w, "formula", gy_measure_formula(c->measure));
    gy_jw_obj_end(w);
}

void gy_validation_json(const struct gy_validation *v, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "ok", v->n_errors == 0);
    gy_jw_kv_i64(&w, "rows", v->rows);
    gy_jw_kv_i64(&w, "broken", v->broken);
    gy_jw_kv_i64(&w, "errors", (int64_t)v->n_errors);
    gy_jw_kv_i64(&w, "warnings", (int64_t)v->n_warnings);
    gy_jw_key(&w, "anomalies");
    gy_jw_arr(&w);
    for (size_t i = 0; i < v->n_anomalies; i++) {
        write_anomaly(&w, &v->anomalies[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "comparisons");
    gy_jw_arr(&w);
    for (size_t i = 0; i < v->n_comparisons; i++) {
        write_comparison(&w, &v->comparisons[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
}
