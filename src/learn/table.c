/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/table.h"

#include <math.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/ingest.h"
#include "data/records.h"
#include "data/schema.h"
#include "learn/table_json.h"
#include "net/call.h"

#define MAX_ARENA ((size_t)64 << 30) /* every cell costs up to 24 bytes beside the file */

struct loader {
    const char *name;
    const struct gy_schema *schema;
    struct gy_table *t;
    struct gy_csv_field *fields; /* one a column */
    char delimiter;
    struct gy_buf scratch;
    const struct gy_column **known; /* a column of the schema, or NULL */
    struct gy_err *err;
};

static gy_status no_memory(const struct loader *l)
{
    return gy_err_set(l->err, GY_E_NOMEM, "reading %s", l->name);
}

/* ---- pass 1: where the records are ---- */

static gy_status refuse_record(const struct loader *l, const struct gy_csv_item *item,
                               const char *why)
{
    (void)gy_err_set(l->err, GY_E_SCHEMA, "%s, record %lld: %s", l->name, (long long)item->row,
                     why);
    return gy_err_hint(l->err, "gyre data ingest sets damaged records aside");
}

static gy_status add_record(struct loader *l, const struct gy_csv_item *item, size_t *cap)
{
    struct gy_table *t = l->t;
    if (t->n_rows == *cap) {
        size_t larger = *cap ? *cap * 2 : 1024;
        struct gy_str *records = gy_reallocarray(t->records, larger, sizeof *records);
        if (!records) {
            return no_memory(l);
        }
        t->records = records;
        *cap = larger;
    }
    if (t->n_rows >= GY_TABLE_MAX_ROWS) {
        return gy_err_set(l->err, GY_E_TOOBIG, "%s has more than %zu rows", l->name,
                          GY_TABLE_MAX_ROWS);
    }
    t->records[t->n_rows++] =
        gy_str_n(t->bytes.p + item->offset + item->skip, (size_t)item->length);
    return GY_OK;
}

static gy_status make_columns(struct loader *l, struct gy_str header)
{
    struct gy_table *t = l->t;
    size_t n = gy_csv_split(header, true, l->delimiter, NULL, 0);
    if (n == 0 || n > GY_MAX_COLUMNS) {
        return gy_err_set(l->err, GY_E_SCHEMA, "%s has %zu columns; 1 to %d can be read", l->name,
                          n, GY_MAX_COLUMNS);
    }
    t->columns = gy_arena_calloc(t->arena, n, sizeof *t->columns);
    l->fields = gy_arena_calloc(t->arena, n, sizeof *l->fields);
    l->known = gy_arena_calloc(t->arena, n, sizeof(struct gy_column *));
    if (!t->columns || !l->fields || !l->known) {
        return no_memory(l);
    }
    t->n_columns = n;
    (void)gy_csv_split(header, true, l->delimiter, l->fields, n);
    for (size_t c = 0; c < n; c++) {
        struct gy_str text = gy_csv_text(&l->fields[c], &l->scratch);
        struct gy_str name = gy_arena_str(t->arena, text);
        if (!name.p) {
            return no_memory(l);
        }
        if (gy_table_column(t, name)) {
            return gy_err_set(l->err, GY_E_SCHEMA, "%s has two columns '%" GY_STR_F "'", l->name,
                              GY_STR_A(name));
        }
        t->columns[c].name = name;
        l->known[c] = l->schema ? gy_schema_column(l->schema, name) : NULL;
    }
    return GY_OK;
}

static gy_status scan(struct loader *l)
{
    struct gy_table *t = l->t;
    struct gy_mem_reader memory;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    const struct gy_csv_options options = {.delimiter = l->delimiter};
    struct gy_csv_item item;
    size_t cap = 0;
    bool more = true;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&memory, gy_buf_str(&t->bytes)), &options, &csv, l->err));
    for (;;) {
        GY_TRY(gy_csv_next(csv, &item, &more, l->err));
        if (!more) {
            break;
        }
        if (item.kind == GY_CSV_BLANK) {
            continue;
        }
        if (item.fault != GY_CSV_FINE || !item.raw.p) {
            return refuse_record(l, &item, "a quote is not closed, or it is too long");
        }
        l->delimiter = gy_csv_delimiter(csv);
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(make_columns(l, item.raw));
        } else {
            GY_TRY(add_record(l, &item, &cap));
        }
    }
    return t->n_columns > 0 ? GY_OK : gy_err_set(l->err, GY_E_SCHEMA, "%s is empty", l->name);
}

/* ---- pass 2: the cells as text ---- */

static bool is_missing(const struct loader *l, struct gy_str text)
{
    if (l->schema) {
        return gy_schema_is_missing(l->schema, text);
    }
    return text.n == 0 || gy_str_eqc(text, "NaN");
}

/* All texts of all columns; escaped fields are unquoted into the arena. */
static gy_status split_cells(struct loader *l)
{
    struct gy_table *t = l->t;
    for (size_t c = 0; c < t->n_columns; c++) {
        t->columns[c].text = gy_reallocarray(NULL, t->n_rows, sizeof(struct gy_str));
        if (!t->columns[c].text) {
            return no_memory(l);
        }
    }
    for (size_t r = 0; r < t->n_rows; r++) {
        size_t n = gy_csv_split(t->records[r], true, l->delimiter, l->fields, t->n_columns);
        if (n != t->n_columns) {
            return refuse_record(l, &(struct gy_csv_item){.row = (int64_t)r},
                                 "it has another number of fields than the header");
        }
        for (size_t c = 0; c < t->n_columns; c++) {
            const struct gy_csv_field *f = &l->fields[c];
            struct gy_str text = gy_str_n(f->p, f->n);
            if (f->escaped) {
                text = gy_arena_str(t->arena, gy_csv_text(f, &l->scratch));
                if (!text.p) {
                    return no_memory(l);
                }
            }
            t->columns[c].text[r] = is_missing(l, text) ? GY_STR_NULL : text;
        }
    }
    return GY_OK;
}

/* ---- pass 3: numbers ---- */

static bool read_number(enum gy_type type, struct gy_str text, double *ret)
{
    char room[GY_VALUE_TEXT];
    struct gy_str canonical;
    return gy_value_canonical(type, text, room, &canonical, ret);
}

/* Turn the texts into numbers. *ret_bad: the first row that is none, or n_rows. */
static gy_status to_numbers(const struct loader *l, struct gy_table_column *c, enum gy_type type,
                            size_t *ret_bad)
{
    size_t n = l->t->n_rows;
    double *num = gy_reallocarray(NULL, n, sizeof *num);
    if (!num) {
        return no_memory(l);
    }
    c->integer = true;
    size_t r = 0;
    bool any = false;
    for (; r < n; r++) {
        num[r] = NAN;
        if (c->text[r].p) {
            if (!read_number(type, c->text[r], &num[r])) {
                break;
            }
            any = true;
            c->integer = c->integer && num[r] == floor(num[r]);
        }
    }
    *ret_bad = r;
    if (r < n) {
        gy_free(num);
        return GY_OK;
    }
    c->numeric = true;
    c->integer = c->integer && any;
    c->num = num;
    return GY_OK;
}

static gy_status type_column(const struct loader *l, size_t index)
{
    struct gy_table_column *c = &l->t->columns[index];
    const struct gy_column *known = l->known[index];
    enum gy_type type = known ? known->type : GY_TYPE_FLOAT;
    size_t bad = 0;
    if (type == GY_TYPE_INT || type == GY_TYPE_FLOAT || type == GY_TYPE_BOOL) {
        GY_TRY(to_numbers(l, c, type, &bad));
        if (bad < l->t->n_rows && known) {
            return gy_err_set(l->err, GY_E_SCHEMA,
                              "%s, record %zu: '%" GY_STR_F "' in column %" GY_STR_F " is no %s",
                              l->name, bad, GY_STR_A(c->text[bad]), GY_STR_A(c->name),
                              gy_type_name(type));
        }
    }
    if (known) {
        c->required = known->required;
        c->typed = true;
        c->time = known->type == GY_TYPE_TIME;
        c->image = known->type == GY_TYPE_IMAGE;
        c->is_protected = known->role == GY_ROLE_PROTECTED;
        c->has_range = known->has_min && known->has_max;
        c->min = known->min;
        c->max = known->max;
        c->integer = known->type == GY_TYPE_INT;
    }
    return GY_OK;
}

static gy_status type_columns(struct loader *l)
{
    struct gy_table *t = l->t;
    const struct gy_column *id = l->schema ? gy_schema_role(l->schema, GY_ROLE_ID) : NULL;
    for (size_t c = 0; c < t->n_columns; c++) {
        GY_TRY(type_column(l, c));
        if (id && l->known[c] == id) {
            t->id = &t->columns[c];
            t->id_text = t->columns[c].text;
        } else if (t->columns[c].numeric) {
            gy_free(t->columns[c].text);
        }
        if (t->columns[c].numeric) {
            t->columns[c].text = NULL;
        }
    }
    return GY_OK;
}

/* ---- the whole ---- */

/* With JSON the digest is of the file, the bytes are its CSV. */
static gy_status to_csv(struct loader *l)
{
    struct gy_table *t = l->t;
    const char *path = l->name;
    enum gy_ingest_format format = gy_ingest_format_of(path, gy_buf_str(&t->bytes));
    if (format == GY_INGEST_CSV) {
        return GY_OK;
    }
    struct gy_buf csv;
    gy_buf_init(&csv, GY_TABLE_MAX_BYTES);
    gy_status st =
        gy_table_json(gy_buf_str(&t->bytes), format == GY_INGEST_JSONL, path, &csv, l->err);
    if (st == GY_OK) {
        gy_buf_done(&t->bytes);
        t->bytes = csv;
        l->delimiter = ','; /* not to be guessed from the keys */
    } else {
        gy_buf_done(&csv);
    }
    return st;
}

static gy_status load(struct gy_table *t, const char *name, const struct gy_schema *schema,
                      bool json, struct gy_err *err)
{
    struct loader l = {.name = name, .schema = schema, .t = t, .err = err};
    gy_buf_init(&l.scratch, GY_MAX_CSV_RECORD);
    gy_status status = gy_sha256_hex(gy_buf_str(&t->bytes), t->sha256, err);
    if (status == GY_OK && json) {
        status = to_csv(&l);
    }
    if (status == GY_OK) {
        status = scan(&l);
    }
    if (status == GY_OK) {
        status = split_cells(&l);
    }
    if (status == GY_OK) {
        status = type_columns(&l);
    }
    gy_buf_done(&l.scratch);
    return status;
}

static gy_status new_table(struct gy_table **ret, struct gy_err *err)
{
    struct gy_table *t = gy_calloc(1, sizeof *t);
    if (t) {
        gy_buf_init(&t->bytes, GY_TABLE_MAX_BYTES);
        t->arena = gy_malloc(sizeof *t->arena);
    }
    if (!t || !t->arena) {
        gy_free(t);
        return gy_err_set(err, GY_E_NOMEM, "reading a table");
    }
    gy_arena_init(t->arena, MAX_ARENA);
    *ret = t;
    return GY_OK;
}

gy_status gy_table_load(const char *path, const struct gy_schema *schema, struct gy_table **ret,
                        struct gy_err *err)
{
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    GY_TRY(new_table(&t, err));
    GY_TRY(gy_file_read(path, &t->bytes, err));
    GY_TRY(load(t, path, schema, true, err));
    const char *slash = strrchr(path, '/');
    t->folder =
        slash ? gy_arena_str(t->arena, gy_str_n(path, (size_t)(slash - path) + 1)) : GY_STR("./");
    if (!t->folder.p) {
        return gy_err_set(err, GY_E_NOMEM, "reading %s", path);
    }
    *ret = GY_TAKE(t);
    return GY_OK;
}

gy_status gy_table_parse(struct gy_str bytes, const char *name, const struct gy_schema *schema,
                         struct gy_table **ret, struct gy_err *err)
{
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    GY_TRY(new_table(&t, err));
    gy_buf_add(&t->bytes, bytes);
    GY_TRY(gy_buf_check(&t->bytes, name, err));
    GY_TRY(load(t, name, schema, false, err));
    *ret = GY_TAKE(t);
    return GY_OK;
}

void gy_table_free(struct gy_table *t)
{
    if (!t) {
        return;
    }
    for (size_t c = 0; c < t->n_columns; c++) {
        gy_free(t->columns[c].num);
        if (t->columns[c].text != t->id_text) {
            gy_free(t->columns[c].text);
        }
    }
    gy_free(t->id_text);
    gy_free(t->records);
    gy_buf_done(&t->bytes);
    gy_arena_done(t->arena);
    gy_free(t->arena);
    gy_free(t);
}

const struct gy_table_column *gy_table_column(const struct gy_table *t, struct gy_str name)
{
    for (size_t c = 0; c < t->n_columns; c++) {
        if (t->columns[c].name.p && gy_str_eq(t->columns[c].name, name)) {
            return &t->columns[c];
        }
    }
    return NULL;
}

struct gy_str gy_table_key(const void *table, size_t row)
{
    const struct gy_table *t = table;
    return t->id_text && t->id_text[row].p ? t->id_text[row] : t->records[row];
}

struct gy_str gy_table_text(const struct gy_table_column *c, size_t row, char scratch[32])
{
    if (!c->numeric) {
        return c->text[row];
    }
    if (isnan(c->num[row])) {
        return GY_STR_NULL;
    }
    return gy_str_n(scratch, gy_fmt_f64_trim(c->num[row], scratch));
}

gy_status gy_table_matrix(const struct gy_table *t, const struct gy_str *names, size_t n_names,
                          const uint32_t *rows, size_t n_rows, double *out, struct gy_err *err)
{
    for (size_t c = 0; c < n_names; c++) {
        const struct gy_table_column *column = gy_table_column(t, names[c]);
        if (!column) {
            return gy_err_set(err, GY_E_NOTFOUND, "the table has no column '%" GY_STR_F "'",
                              GY_STR_A(names[c]));
        }
        if (!column->numeric) {
            return gy_err_set(err, GY_E_INVALID,
                              "column '%" GY_STR_F "' holds text: only numbers can be features",
                              GY_STR_A(names[c]));
        }
        for (size_t i = 0; i < n_rows; i++) {
            out[i * n_names + c] = column->num[rows[i]];
        }
    }
    return GY_OK;
}
