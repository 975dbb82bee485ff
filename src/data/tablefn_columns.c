/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of a table of SQL: names from the header, types from a schema or from the first
 * values. */
#include <stdio.h>

#include "data/jsonfields.h"
#include "data/tablefn_internal.h"
#include "net/call.h"

#define SAMPLE_BYTES (2 * GY_MIB)

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the columns of a table");
}

static gy_status make_room(struct gy_tablefn_table *t, size_t n, struct gy_err *err)
{
    t->columns = gy_arena_calloc(&t->arena, n + 1, sizeof *t->columns);
    t->names = gy_arena_calloc(&t->arena, n + 1, sizeof *t->names);
    t->fields = gy_arena_calloc(&t->arena, n + 1, sizeof *t->fields);
    t->n_columns = n;
    return t->columns && t->names && t->fields ? GY_OK : no_memory(err);
}

/* SQL's names know no case. */
static bool is_taken(const struct gy_tablefn_table *t, size_t n, struct gy_str name)
{
    static const char *const extra[] = {"_file",  "_row",   "_offset", "_length",
                                        "_codes", "_error", "_raw"};
    for (size_t i = 0; i < n; i++) {
        if (gy_str_ieq(t->names[i], name)) {
            return true;
        }
    }
    for (size_t i = 0; t->records && i < sizeof extra / sizeof extra[0]; i++) {
        if (gy_str_ieq(gy_str_c(extra[i]), name)) {
            return true;
        }
    }
    return false;
}

static gy_status set_name(struct gy_tablefn_table *t, size_t column, struct gy_str said,
                          struct gy_err *err)
{
    char *kept = gy_arena_strdup(&t->arena, said);
    if (!kept) {
        return no_memory(err);
    }
    t->fields[column] = gy_str_n(kept, said.n);
    struct gy_str name = t->fields[column];
    if (name.n == 0 || !gy_str_is_utf8(name) || memchr(name.p, '\0', name.n)) {
        name = gy_str_c(gy_arena_printf(&t->arena, "column%zu", column + 1));
    }
    for (size_t again = 1; name.p && is_taken(t, column, name); again++) {
        name = gy_str_c(
            gy_arena_printf(&t->arena, "%" GY_STR_F "_%zu", GY_STR_A(t->fields[column]), again));
    }
    t->names[column] = name;
    return name.p ? GY_OK : no_memory(err);
}

/* The header that is inferred from has the names that SQL sees, all in quotes: so none is missing,
 * and whatever they hold, the delimiter is found. */
static void add_header(const struct gy_tablefn_table *t, char delimiter, struct gy_buf *out)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (i) {
            gy_buf_add_char(out, delimiter);
        }
        gy_buf_add_char(out, '"');
        for (size_t k = 0; k < t->names[i].n; k++) {
            const char c = t->names[i].p[k];
            gy_buf_add_char(out, c == '\n' || c == '\r' ? ' ' : c);
            if (c == '"') {
                gy_buf_add_char(out, c);
            }
        }
        gy_buf_add_char(out, '"');
    }
    gy_buf_add_char(out, '\n');
}

/* Types: what the given schema knows, the others from the sample. */
static gy_status set_types(struct gy_tablefn_table *t, struct gy_str sample, bool whole, bool json,
                           struct gy_err *err)
{
    bool all = true;
    for (size_t i = 0; i < t->n_columns; i++) {
        t->columns[i] = t->given ? gy_schema_column(t->given, t->fields[i]) : NULL;
        all = all && t->columns[i];
    }
    if (!all && !json) {
        GY_TRY(gy_schema_infer(sample, whole, &t->inferred, err));
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        t->columns[i] = t->columns[i] ? t->columns[i] : &t->inferred->columns[i];
    }
    t->missing = t->given ? t->given : t->inferred;
    for (size_t i = 0; i < t->missing->n_missing; i++) {
        const struct gy_str marker = t->missing->missing[i];
        if (marker.n > 0) {
            t->missing_starts[(unsigned char)marker.p[0]] = true;
        }
    }
    return GY_OK;
}

/* The first item that is no blank line. */
static gy_status read_header(struct gy_csv *csv, struct gy_csv_item *ret, struct gy_err *err)
{
    bool more = true;
    do {
        GY_TRY(gy_csv_next(csv, ret, &more, err));
    } while (more && ret->kind != GY_CSV_HEADER);
    if (!more || ret->fault != GY_CSV_FINE || !ret->raw.p) {
        return gy_err_set(err, GY_E_PARSE,
                          more ? "the header line is broken"
                               : "it is empty: not even a header line");
    }
    return GY_OK;
}

static gy_status csv_columns(struct gy_tablefn_table *t, struct gy_str head, bool whole,
                             struct gy_err *err)
{
    struct gy_mem_reader in;
    struct gy_csv_item item;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sample;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    const struct gy_csv_options o = {.delimiter = t->delimiter};
    gy_buf_init(&sample, 2 * SAMPLE_BYTES + GY_MAX_CSV_RECORD);
    gy_buf_init(&scratch, GY_MAX_CSV_RECORD);
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, head), &o, &csv, err));
    GY_TRY(read_header(csv, &item, err));
    const char delimiter = gy_csv_delimiter(csv);
    const size_t behind = (size_t)(item.offset + item.size_bytes);
    struct gy_csv_field *fields = gy_arena_calloc(&t->arena, GY_MAX_COLUMNS, sizeof *fields);
    if (!fields) {
        return no_memory(err);
    }
    const size_t n = gy_csv_split(item.raw, item.quotes, delimiter, fields, GY_MAX_COLUMNS);
    if (n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu columns; at most %d are read", n, GY_MAX_COLUMNS);
    }
    GY_TRY(make_room(t, n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(set_name(t, i, gy_str_trim(gy_csv_text(&fields[i], &scratch)), err));
    }
    add_header(t, delimiter, &sample);
    gy_buf_add(&sample, gy_str_sub(head, behind, SIZE_MAX));
    GY_TRY(gy_buf_check(&sample, "the first records", err));
    return set_types(t, gy_buf_str(&sample), whole, false, err);
}

static gy_status json_columns(struct gy_tablefn_table *t, struct gy_str head, bool whole,
                              struct gy_err *err)
{
    GY_TRY(gy_schema_infer_json(head, t->format == GY_INGEST_JSONL, whole, &t->inferred, err));
    GY_TRY(make_room(t, t->inferred->n_columns, err));
    for (size_t i = 0; i < t->n_columns; i++) {
        GY_TRY(set_name(t, i, t->inferred->columns[i].name, err));
    }
    return set_types(t, head, whole, true, err);
}

gy_status gy_tablefn_columns(struct gy_tablefn_table *t, struct gy_err *err)
{
    struct gy_source *first = t->list->items[0];
    struct gy_str head;
    bool whole = false;
    if (t->format == GY_INGEST_AUTO) {
        GY_TRY(gy_source_format(first, &t->format, err));
    }
    GY_TRY(gy_source_head(first, SAMPLE_BYTES, &head, &whole, err));
    gy_status status = t->format == GY_INGEST_CSV ? csv_columns(t, head, whole, err)
                                                  : json_columns(t, head, whole, err);
    if (status == GY_OK && t->list == &t->sources) {
        gy_source_close(first); /* a scan opens it again */
    }
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", first->name);
}
