/* SPDX-License-Identifier: Apache-2.0 */
/* A scan: one thread at a time finds the next records (that is the cheap part, and the only one
 * that must be done in order), copies them into a batch of its own, and then puts their fields
 * apart and reads the values beside the others. A batch is one chunk of output. */
#include <stdio.h>

#include "base/mem.h"
#include "data/jsonfields.h"
#include "data/jsonrec.h"
#include "data/tablefn_internal.h"
#include "net/call.h"

#define LIB gy_duck_lib()
#define BATCH_BYTES GY_MIB /* a batch ends when it has so many */
#define MAX_THREADS 64
#define NO_FIELD SIZE_MAX
#define MAX_SHOWN 60

/* Which field of a file's records is which column; one a file, kept until the scan ends. */
struct layout {
    struct layout *next;
    const char *file; /* of the source */
    size_t n_fields;
    size_t *fields; /* one a column: its field, or NO_FIELD */
};

/* What all threads of a scan share; the lock guards it. */
struct scan {
    struct gy_tablefn_table *table;
    struct gy_source_list sources; /* own ones, unless it is standard input */
    struct gy_source_list *list;
    pthread_mutex_t lock;
    size_t at; /* the source to open next, or open */
    bool open, failed;
    struct gy_reader *reader;
    struct gy_csv *csv;
    struct gy_jsonrec *json;
    struct layout *layouts; /* the newest first */
    struct gy_csv_field *header;
    /* Set at init. */
    size_t n_wanted;
    uint64_t *wanted; /* a column each, or n_columns + GY_TABLEFN_x, or more: none */
    bool want_bytes, want_checks;
};

/* Of one thread. */
struct local {
    struct scan *scan;
    struct gy_csv_item *items;
    size_t *starts; /* of the raw bytes */
    size_t n, max;
    char *bytes;
    size_t n_bytes, cap;
    const struct layout *layout;
    char delimiter;
    struct gy_csv_field *fields;
    struct gy_value *values;
    struct gy_jsonfields *json;
    struct gy_reasons reasons;
    struct gy_buf *scratch; /* one a column: unescaped text */
    size_t n_scratch;
    struct gy_tablefn_out *outs;
    int64_t bad_values, bad_records;
    char first[300];
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for reading a table");
}

/* ---- shared ---- */

static void close_source(struct scan *s)
{
    gy_csv_free(s->csv);
    gy_jsonrec_free(s->json);
    s->csv = NULL;
    s->json = NULL;
    if (s->open) {
        gy_source_close(s->list->items[s->at]);
    }
    s->open = false;
}

static void scan_free(void *arg)
{
    struct scan *s = arg;
    if (!s) {
        return;
    }
    if (s->list) {
        close_source(s);
    }
    gy_source_list_done(&s->sources);
    while (s->layouts) {
        struct layout *next = s->layouts->next;
        gy_free(s->layouts->fields);
        gy_free(s->layouts);
        s->layouts = next;
    }
    gy_free(s->header);
    gy_free(s->wanted);
    (void)pthread_mutex_destroy(&s->lock);
    gy_free(s);
}
GY_DEFINE_AUTO(struct scan *, scan_free);

static gy_status add_layout(struct scan *s, size_t n_fields, struct gy_err *err)
{
    struct layout *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return no_memory(err);
    }
    l->next = s->layouts;
    s->layouts = l;
    l->file = s->list->items[s->at]->name;
    l->n_fields = n_fields;
    l->fields = gy_reallocarray(NULL, s->table->n_columns + 1, sizeof *l->fields);
    if (!l->fields) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->table->n_columns; i++) {
        l->fields[i] = NO_FIELD;
    }
    return GY_OK;
}

/* The header of the first file is the table's, place by place; others are found by name. */
static gy_status take_header(struct scan *s, const struct gy_csv_item *item, struct gy_err *err)
{
    const struct gy_tablefn_table *t = s->table;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    gy_buf_init(&scratch, GY_MAX_CSV_RECORD);
    const size_t n = item->fault != GY_CSV_FINE
                         ? GY_MAX_COLUMNS + 1
                         : gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(s->csv),
                                        s->header, GY_MAX_COLUMNS);
    if (n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_PARSE, "'%s': the header line is broken",
                          s->list->items[s->at]->name);
    }
    GY_TRY(add_layout(s, n, err));
    for (size_t f = 0; f < n; f++) {
        struct gy_str name = gy_str_trim(gy_csv_text(&s->header[f], &scratch));
        size_t column = s->at == 0 && f < t->n_columns ? f : 0;
        while (s->at > 0 && column < t->n_columns && !gy_str_eq(t->fields[column], name)) {
            column++;
        }
        if (column == t->n_columns) {
            (void)gy_err_set(err, GY_E_SCHEMA, "'%s' has a column '%" GY_STR_F "', '%s' has none",
                             s->list->items[s->at]->name, GY_STR_A(gy_str_sub(name, 0, 100)),
                             s->list->items[0]->name);
            return gy_err_hint(err,
                               "read the files one by one and join them with UNION ALL BY NAME");
        }
        s->layouts->fields[column] = f;
    }
    return GY_OK;
}

static gy_status open_source(struct scan *s, struct gy_err *err)
{
    const struct gy_tablefn_table *t = s->table;
    GY_TRY(gy_source_open(s->list->items[s->at], &s->reader, err));
    s->open = true;
    if (t->format == GY_INGEST_CSV) {
        const struct gy_csv_options o = {.delimiter = t->delimiter};
        return gy_csv_open(s->reader, &o, &s->csv, err);
    }
    const struct gy_jsonrec_options o = {.shape = t->format == GY_INGEST_JSON ? GY_JSONREC_ARRAY
                                                                              : GY_JSONREC_LINES};
    GY_TRY(gy_jsonrec_open(s->reader, &o, &s->json, err));
    GY_TRY(add_layout(s, t->n_columns, err));
    for (size_t i = 0; i < t->n_columns; i++) {
        s->layouts->fields[i] = i;
    }
    return GY_OK;
}

static gy_status keep_bytes(struct local *l, struct gy_str raw, struct gy_err *err)
{
    if (l->n_bytes + raw.n > l->cap) {
        size_t cap = (l->n_bytes + raw.n) * 2;
        char *bytes = gy_realloc(l->bytes, cap);
        if (!bytes) {
            return no_memory(err);
        }
        l->bytes = bytes;
        l->cap = cap;
    }
    memcpy(l->bytes + l->n_bytes, raw.p, raw.n);
    l->n_bytes += raw.n;
    return GY_OK;
}

static gy_status add_item(struct scan *s, struct local *l, const struct gy_csv_item *item,
                          struct gy_err *err)
{
    l->starts[l->n] = l->n_bytes;
    l->items[l->n] = *item;
    if (s->want_bytes && item->raw.p) {
        GY_TRY(keep_bytes(l, item->raw, err));
    }
    l->n++;
    return GY_OK;
}

/* Records of one file into the batch, until it is full or the file ends (*ret_end). */
static gy_status take_records(struct scan *s, struct local *l, bool *ret_end, struct gy_err *err)
{
    while (l->n < l->max && l->n_bytes < BATCH_BYTES) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(s->csv ? gy_csv_next(s->csv, &item, &more, err)
                      : gy_jsonrec_next(s->json, &item, &more, err));
        if (!more) {
            *ret_end = true;
            return GY_OK;
        }
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(take_header(s, &item, err));
        } else if (item.kind == GY_CSV_RECORD) {
            GY_TRY(add_item(s, l, &item, err));
        }
    }
    return GY_OK;
}

/* The next batch, all of one file; empty at the end. */
static gy_status next_batch(struct scan *s, struct local *l, struct gy_err *err)
{
    l->n = 0;
    l->n_bytes = 0;
    while (l->n == 0 && s->at < s->list->n) {
        bool end = false;
        if (!s->open) {
            GY_TRY(open_source(s, err));
        }
        GY_TRY(take_records(s, l, &end, err));
        l->layout = s->layouts;
        l->delimiter = s->csv ? gy_csv_delimiter(s->csv) : 0;
        if (end) {
            close_source(s);
            s->at++;
        }
    }
    return GY_OK;
}

static gy_status locked_next_batch(struct scan *s, struct local *l, struct gy_err *err)
{
    (void)pthread_mutex_lock(&s->lock); /* an error-free default mutex, here and below */
    gy_status status = GY_OK;
    l->n = 0;
    if (!s->failed) {
        status = next_batch(s, l, err);
        s->failed = status != GY_OK;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return status;
}

/* ---- init ---- */

static gy_status choose(struct scan *s, duckdb_init_info info, struct gy_err *err)
{
    const struct gy_tablefn_table *t = s->table;
    s->n_wanted = (size_t)LIB->init_get_column_count(info);
    s->wanted = gy_reallocarray(NULL, s->n_wanted + 1, sizeof *s->wanted);
    if (!s->wanted) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_wanted; i++) {
        /* SIZE_MAX for GY_TABLEFN_COUNTED, which is before the first. */
        const uint64_t column = (uint64_t)LIB->init_get_column_index(info, i) - t->counted;
        s->wanted[i] = column;
        const bool check =
            column == t->n_columns + GY_TABLEFN_CODES || column == t->n_columns + GY_TABLEFN_ERROR;
        s->want_checks = s->want_checks || check;
        s->want_bytes = s->want_bytes || check || column < t->n_columns ||
                        column == t->n_columns + GY_TABLEFN_RAW;
    }
    return GY_OK;
}

static gy_status init(struct gy_tablefn_table *t, duckdb_init_info info, struct scan **ret,
                      struct gy_err *err)
{
    GY_AUTO(scan_free) struct scan *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return no_memory(err);
    }
    (void)pthread_mutex_init(&s->lock, NULL); /* can not fail on Linux */
    s->table = t;
    s->header = gy_calloc(GY_MAX_COLUMNS, sizeof *s->header);
    if (!s->header) {
        return no_memory(err);
    }
    GY_TRY(choose(s, info, err));
    if (t->list != &t->sources) {
        if (t->owner->input_used) {
            return gy_err_set(err, GY_E_UNSUPPORTED, "standard input can be read once only");
        }
        t->owner->input_used = true;
        s->list = t->list;
    } else {
        GY_TRY(gy_source_list_add_path(&s->sources, t->path, NULL, err));
        s->list = &s->sources;
    }
    *ret = GY_TAKE(s);
    return GY_OK;
}

void gy_tablefn_init(duckdb_init_info info)
{
    struct gy_tablefn_table *t = LIB->init_get_bind_data(info);
    struct scan *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (init(t, info, &s, &err) != GY_OK) {
        gy_duck_keep(t->owner->duck, &err);
        LIB->init_set_error(info, err.msg);
        return;
    }
    LIB->init_set_init_data(info, s, scan_free);
    LIB->init_set_max_threads(info, MAX_THREADS);
}

static void local_free(void *arg)
{
    struct local *l = arg;
    if (!l) {
        return;
    }
    for (size_t i = 0; l->scratch && i < l->n_scratch; i++) {
        gy_buf_done(&l->scratch[i]);
    }
    gy_reasons_done(&l->reasons);
    gy_jsonfields_free(l->json);
    gy_free(l->items);
    gy_free(l->starts);
    gy_free(l->bytes);
    gy_free(l->fields);
    gy_free(l->values);
    gy_free(l->scratch);
    gy_free(l->outs);
    gy_free(l);
}
GY_DEFINE_AUTO(struct local *, local_free);

static gy_status local_new(struct scan *s, struct local **ret, struct gy_err *err)
{
    const size_t n_columns = s->table->n_columns;
    GY_AUTO(local_free) struct local *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return no_memory(err);
    }
    l->scan = s;
    gy_reasons_init(&l->reasons);
    l->max = (size_t)LIB->vector_size();
    l->items = gy_reallocarray(NULL, l->max, sizeof *l->items);
    l->starts = gy_reallocarray(NULL, l->max, sizeof *l->starts);
    l->fields = gy_reallocarray(NULL, GY_MAX_COLUMNS, sizeof *l->fields);
    l->values = gy_calloc(n_columns + 1, sizeof *l->values);
    l->outs = gy_calloc(s->n_wanted + 1, sizeof *l->outs);
    l->scratch = gy_calloc(n_columns + 1, sizeof *l->scratch);
    if (!l->items || !l->starts || !l->fields || !l->values || !l->outs || !l->scratch) {
        return no_memory(err);
    }
    for (l->n_scratch = 0; l->n_scratch < n_columns; l->n_scratch++) {
        gy_buf_init(&l->scratch[l->n_scratch], GY_MAX_CSV_RECORD);
    }
    if (s->table->format != GY_INGEST_CSV) {
        GY_TRY(gy_jsonfields_new(s->table->inferred, GY_STR_NULL, &l->json, err));
    }
    *ret = GY_TAKE(l);
    return GY_OK;
}

/* What DuckDB keeps for a thread. Its local is made with the first chunk: only there the scan is
 * known. */
struct slot {
    struct local *local;
};

static void slot_free(void *arg)
{
    struct slot *slot = arg;
    local_free(slot->local);
    gy_free(slot);
}

void gy_tablefn_local_init(duckdb_init_info info)
{
    struct slot *slot = gy_calloc(1, sizeof *slot);
    if (slot) {
        LIB->init_set_init_data(info, slot, slot_free);
    } else {
        LIB->init_set_error(info, "out of memory for reading a table");
    }
}

/* ---- a chunk ---- */

static void show(struct gy_buf *b, struct gy_str text)
{
    size_t n = text.n > MAX_SHOWN ? MAX_SHOWN : text.n;
    gy_buf_add_char(b, '\'');
    for (size_t i = 0; i < n; i++) {
        const char c = text.p[i];
        gy_buf_add_char(b, c >= ' ' && c < 127 ? c : '?');
    }
    gy_buf_addc(b, n < text.n ? "...'" : "'");
}

/* Add why a value is not there. */
static void add_reason(struct local *l, size_t column, enum gy_tablefn_read why,
                       const struct gy_value *v)
{
    const struct gy_tablefn_table *t = l->scan->table;
    struct gy_reasons *r = &l->reasons;
    if (why == GY_TABLEFN_FINE) {
        return;
    }
    const enum gy_dead_code code = why == GY_TABLEFN_NOT_UTF8 ? GY_DEAD_UTF8 : GY_DEAD_TYPE;
    r->codes |= 1U << code;
    gy_buf_addc(&r->text, r->text.n ? "; " : "");
    gy_buf_add(&r->text, t->names[column]);
    gy_buf_addc(&r->text, ": ");
    if (code == GY_DEAD_UTF8) {
        gy_buf_addc(&r->text, "not UTF-8");
    } else {
        show(&r->text, v->text);
        gy_buf_addf(&r->text, " is not of type %s", gy_type_name(t->columns[column]->type));
    }
}

/* Put the fields of a record apart; false: they can not be, and reasons says why. */
static gy_status split(struct local *l, const struct gy_csv_item *item, bool *ret_fine,
                       struct gy_err *err)
{
    struct gy_reasons *r = &l->reasons;
    *ret_fine = false;
    if (l->json) {
        const struct gy_value *values = NULL;
        GY_TRY(gy_jsonfields_read(l->json, item, &values, r, err));
        if (values) {
            memcpy(l->values, values, l->scan->table->n_columns * sizeof *values);
            *ret_fine = true;
        }
        return GY_OK;
    }
    if (item->fault == GY_CSV_QUOTE) {
        gy_reasons_whole(r, GY_DEAD_QUOTE, "a quoted field never ends well");
        return GY_OK;
    }
    if (item->fault != GY_CSV_FINE || !item->raw.p) {
        gy_reasons_whole(r, GY_DEAD_TOOLONG, "too long for a record");
        return GY_OK;
    }
    const size_t n =
        gy_csv_split(item->raw, item->quotes, l->delimiter, l->fields, l->layout->n_fields);
    if (n != l->layout->n_fields) {
        gy_reasons_whole(r, GY_DEAD_FIELDS, "");
        gy_buf_addf(&r->text, "%zu fields; the header has %zu", n, l->layout->n_fields);
        return GY_OK;
    }
    *ret_fine = true;
    return GY_OK;
}

static const struct gy_value *value_of(struct local *l, size_t column)
{
    if (!l->json) {
        const size_t field = l->layout->fields[column];
        l->values[column] = (struct gy_value){
            .text = field == NO_FIELD ? GY_STR("")
                                      : gy_csv_text(&l->fields[field], &l->scratch[column])};
    }
    return &l->values[column];
}

static void put_i64(struct gy_tablefn_out *out, uint64_t row, int64_t value)
{
    ((int64_t *)out->data)[row] = value;
}

static void put_codes(struct gy_tablefn_out *out, uint64_t row, unsigned codes)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_KIB);
    for (unsigned code = 0; code < GY_DEAD_N; code++) {
        if (codes & 1U << code) {
            gy_buf_addc(&text, text.n ? "," : "");
            gy_buf_addc(&text, gy_dead_name((enum gy_dead_code)code));
        }
    }
    gy_tablefn_string(out, row, gy_buf_str(&text));
}

/* _error is text of SQL: what a broken record brought along is made UTF-8. */
static void put_error(struct gy_tablefn_out *out, uint64_t row, struct gy_str text)
{
    gy_tablefn_string(out, row, gy_str_is_utf8(text) ? text : GY_STR("not UTF-8"));
}

static void put_extra(struct local *l, const struct gy_csv_item *item, uint64_t which,
                      struct gy_tablefn_out *out, uint64_t row)
{
    switch (which) {
    case GY_TABLEFN_FILE:
        gy_tablefn_string(out, row, gy_str_c(l->layout->file));
        break;
    case GY_TABLEFN_ROW:
        put_i64(out, row, item->row);
        break;
    case GY_TABLEFN_OFFSET:
        put_i64(out, row, item->offset + item->skip);
        break;
    case GY_TABLEFN_LENGTH:
        put_i64(out, row, item->length);
        break;
    case GY_TABLEFN_CODES:
    case GY_TABLEFN_ERROR:
        if (!l->reasons.codes) {
            gy_tablefn_null(out, row);
        } else if (which == GY_TABLEFN_CODES) {
            put_codes(out, row, l->reasons.codes);
        } else {
            put_error(out, row, gy_buf_str(&l->reasons.text));
        }
        break;
    case GY_TABLEFN_RAW:
        if (item->raw.p) {
            gy_tablefn_string(out, row, item->raw);
        } else {
            gy_tablefn_null(out, row);
        }
        break;
    default: /* when DuckDB wants no column at all */
        ((bool *)out->data)[row] = true;
        break;
    }
}

/* Remember what could not be read; fails when the query wants all of it. */
static gy_status note_record(struct local *l, const struct gy_csv_item *item, bool whole,
                             int64_t values, struct gy_err *err)
{
    const struct gy_tablefn_table *t = l->scan->table;
    l->bad_records += whole ? 1 : 0;
    l->bad_values += values;
    if (t->owner->o.strict || !l->first[0]) {
        char text[300];
        (void)snprintf(text, sizeof text, "record %lld: %.200s", (long long)item->row,
                       l->reasons.text.p);
        if (t->owner->o.strict) {
            return gy_err_set(err, GY_E_SCHEMA, "'%s', %s", l->layout->file, text);
        }
        memcpy(l->first, text, sizeof text);
    }
    return GY_OK;
}

/* All values, for _codes and _error, whatever the query reads. */
static void check_all(struct local *l)
{
    const struct gy_tablefn_table *t = l->scan->table;
    for (size_t c = 0; c < t->n_columns; c++) {
        const struct gy_value *v = value_of(l, c);
        add_reason(l, c, gy_tablefn_value(t, c, v, NULL, 0), v);
    }
}

static gy_status put_row(struct local *l, const struct gy_csv_item *item, uint64_t row,
                         struct gy_err *err)
{
    const struct scan *s = l->scan;
    const struct gy_tablefn_table *t = s->table;
    int64_t bad = 0;
    bool fine = true;
    l->reasons.codes = 0;
    gy_buf_reset(&l->reasons.text);
    if (s->want_bytes) {
        GY_TRY(split(l, item, &fine, err));
    }
    if (fine && s->want_checks) {
        check_all(l);
    }
    for (size_t i = 0; i < s->n_wanted; i++) {
        const uint64_t column = s->wanted[i];
        if (column >= t->n_columns) {
            put_extra(l, item, column - t->n_columns, &l->outs[i], row);
        } else if (!fine) {
            gy_tablefn_null(&l->outs[i], row);
        } else {
            const struct gy_value *v = value_of(l, column);
            if (!l->json && !v->text.p) { /* else it would pass for missing */
                return no_memory(err);
            }
            const enum gy_tablefn_read read = gy_tablefn_value(t, column, v, &l->outs[i], row);
            bad += read != GY_TABLEFN_FINE;
            if (read != GY_TABLEFN_FINE && !s->want_checks) {
                add_reason(l, column, read, v);
            }
        }
    }
    return fine && !bad ? GY_OK : note_record(l, item, !fine, bad, err);
}

/* What this batch found, into the note of the table. */
static void tell(struct local *l)
{
    struct gy_tablefn *owner = l->scan->table->owner;
    struct gy_tablefn_note *note = l->scan->table->note;
    (void)pthread_mutex_lock(&owner->lock);
    note->records += (int64_t)l->n;
    note->bad_values += l->bad_values;
    note->bad_records += l->bad_records;
    if (l->first[0] && !note->first[0]) {
        memcpy(note->first, l->first, sizeof note->first);
    }
    (void)pthread_mutex_unlock(&owner->lock);
    l->bad_values = 0;
    l->bad_records = 0;
    l->first[0] = '\0';
}

static gy_status fill(struct local *l, duckdb_data_chunk output, struct gy_err *err)
{
    struct scan *s = l->scan;
    GY_TRY(locked_next_batch(s, l, err));
    for (size_t i = 0; i < s->n_wanted; i++) {
        duckdb_vector v = LIB->data_chunk_get_vector(output, i);
        l->outs[i] = (struct gy_tablefn_out){.vector = v, .data = LIB->vector_get_data(v)};
    }
    for (size_t row = 0; row < l->n; row++) {
        struct gy_csv_item *item = &l->items[row];
        if (item->raw.p) {
            item->raw.p = s->want_bytes ? l->bytes + l->starts[row] : NULL;
        }
        GY_TRY(put_row(l, item, row, err));
    }
    tell(l);
    LIB->data_chunk_set_size(output, l->n);
    return GY_OK;
}

void gy_tablefn_scan(duckdb_function_info info, duckdb_data_chunk output)
{
    struct slot *slot = LIB->function_get_local_init_data(info);
    struct scan *s = LIB->function_get_init_data(info);
    struct gy_err err = GY_ERR_INIT;
    gy_status status = slot->local ? GY_OK : local_new(s, &slot->local, &err);
    if (status == GY_OK) {
        status = fill(slot->local, output, &err);
    }
    if (status != GY_OK) {
        gy_duck_keep(s->table->owner->duck, &err);
        LIB->function_set_error(info, err.msg);
    }
}
