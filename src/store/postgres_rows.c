/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postgres_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"

#define SQL_MAX (GY_MIB + 64 * GY_KIB)
#define QUERY_MAX GY_MIB

enum {
    JSON_OID = 114,
    JSONB_OID = 3802,
    DATE_OID = 1082,
    TIMESTAMP_OID = 1114,
    TIMESTAMPTZ_OID = 1184
};

struct gy_pg_rows {
    struct gy_pg_conn *c;
    struct gy_arena arena;
    struct column {
        const char *name;
        enum gy_pg_kind kind;
    } * columns;
    size_t n_columns;
    struct gy_buf sql;
    const char *after;       /* NULL: none */
    bool has_watermark, any; /* any: a row was read */
    bool started, done;
    struct gy_pq_result *row; /* the current one */
    struct gy_buf text;       /* of it, where it had to be changed */
    struct gy_buf mark;       /* watermark of the last row read */
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a query's rows");
}

/* Read what a command answers to its end; *ret_first (MAY be NULL) is the first result, to be
 * cleared by the caller. */
static gy_status finish(struct gy_pg_conn *c, const char *what, struct gy_pq_result **ret_first,
                        struct gy_err *err)
{
    gy_status status = GY_OK;
    struct gy_pq_result *r, *first = NULL;
    bool any = false;
    while ((r = c->lib->get_result(c->pq))) {
        int got = c->lib->result_status(r);
        if (status == GY_OK && got != GY_PQ_COMMAND_OK && got != GY_PQ_TUPLES_OK) {
            status = gy_pg_fail(c, r, what, err);
        }
        if (!any && status == GY_OK) {
            first = r;
        } else {
            c->lib->clear(r);
        }
        any = true;
        if (c->broken) {
            break;
        }
    }
    if (!any) {
        status = gy_pg_fail(c, NULL, what, err);
    }
    if (status != GY_OK || !ret_first) {
        c->lib->clear(first);
        first = NULL;
    }
    if (ret_first) {
        *ret_first = first;
    }
    return status;
}

static gy_status run(struct gy_pg_conn *c, const char *sql, const char *param, const char *what,
                     struct gy_pq_result **ret_first, struct gy_err *err)
{
    const char *const values[] = {param};
    if (c->lib->send_query(c->pq, sql, param ? 1 : 0, NULL, values, NULL, NULL, 0) != 1) {
        return gy_pg_fail(c, NULL, what, err);
    }
    return finish(c, what, ret_first, err);
}

/* ---- what the query gives ---- */

static enum gy_pg_kind kind_of(unsigned type)
{
    switch (type) {
    case GY_PG_INT2:
    case GY_PG_INT4:
    case GY_PG_INT8:
    case GY_PG_OID:
        return GY_PG_KIND_INT;
    case GY_PG_FLOAT4:
    case GY_PG_FLOAT8:
    case GY_PG_NUMERIC:
        return GY_PG_KIND_FLOAT;
    case GY_PG_BOOL:
        return GY_PG_KIND_BOOL;
    case TIMESTAMP_OID:
        return GY_PG_KIND_LOCAL_TIME;
    case DATE_OID:
    case TIMESTAMPTZ_OID:
        return GY_PG_KIND_TIME;
    case JSON_OID:
    case JSONB_OID:
        return GY_PG_KIND_NESTED;
    default:
        /* Arrays of the built-in types; those of others are told by their values. */
        return (type >= 1000 && type <= 1041) || type == 1115 || type == 1182 || type == 1185 ||
                       type == 1231 || type == 2951 || type == 3807
                   ? GY_PG_KIND_NESTED
                   : GY_PG_KIND_TEXT;
    }
}

static gy_status take_columns(struct gy_pg_rows *r, const struct gy_pq_result *d,
                              struct gy_err *err)
{
    const struct gy_pq_lib *lib = r->c->lib;
    int n = lib->n_fields(d);
    if (n < 1 || n > GY_PG_ROWS_MAX_COLUMNS) {
        (void)gy_err_set(err, n < 1 ? GY_E_INVALID : GY_E_TOOBIG, "the query gives %d columns", n);
        return gy_err_hint(err, "one SELECT is wanted, of 1 to %d columns", GY_PG_ROWS_MAX_COLUMNS);
    }
    r->columns = gy_arena_calloc(&r->arena, (size_t)n, sizeof *r->columns);
    if (!r->columns) {
        return no_memory(err);
    }
    for (int i = 0; i < n; i++) {
        struct column *column = &r->columns[r->n_columns];
        column->name = gy_arena_strdup(&r->arena, gy_str_c(lib->field_name(d, i)));
        column->kind = kind_of(lib->field_type(d, i));
        if (!column->name) {
            return no_memory(err);
        }
        for (size_t k = 0; k < r->n_columns; k++) {
            if (strcmp(r->columns[k].name, column->name) == 0) {
                (void)gy_err_set(err, GY_E_INVALID, "the query gives two columns '%s'",
                                 column->name);
                return gy_err_hint(err, "name one of them otherwise: SELECT a.x AS a_x, ...");
            }
        }
        r->n_columns++;
    }
    return GY_OK;
}

/* By preparing it as it is: errors are about the text that the person wrote, and it is one
 * statement, whatever stands in it. */
static gy_status describe(struct gy_pg_rows *r, const char *query, struct gy_err *err)
{
    struct gy_pg_conn *c = r->c;
    struct gy_pq_result *d = NULL;
    if (c->lib->send_prepare(c->pq, "gyre_query", query, 0, NULL) != 1) {
        return gy_pg_fail(c, NULL, "the query", err);
    }
    GY_TRY(finish(c, "the query", NULL, err));
    if (c->lib->send_describe(c->pq, "gyre_query") != 1) {
        return gy_pg_fail(c, NULL, "the query", err);
    }
    GY_TRY(finish(c, "the query", &d, err));
    gy_status status = c->lib->n_params(d) > 0
                           ? gy_err_set(err, GY_E_INVALID, "the query has parameters ($1)")
                           : take_columns(r, d, err);
    c->lib->clear(d);
    return status;
}

/* ---- the statement that is run ---- */

static void add_name(struct gy_buf *out, const char *name)
{
    gy_buf_add_char(out, '"');
    for (; *name; name++) {
        if (*name == '"') {
            gy_buf_add_char(out, '"');
        }
        gy_buf_add_char(out, *name);
    }
    gy_buf_add_char(out, '"');
}

static void add_mark(struct gy_buf *out, const char *column)
{
    gy_buf_addc(out, "gyre_row.");
    add_name(out, column);
}

/* Without the semicolons and blanks at its end. */
static struct gy_str bare(const char *query)
{
    struct gy_str q = gy_str_trim(gy_str_c(query));
    while (q.n > 0 && q.p[q.n - 1] == ';') {
        q = gy_str_trim(gy_str_n(q.p, q.n - 1));
    }
    return q;
}

/* "FROM (query) AS gyre_row"; a comment at the query's end ends with its line. */
static void add_from(struct gy_buf *out, struct gy_str query)
{
    gy_buf_addc(out, " FROM (\n");
    gy_buf_add(out, query);
    gy_buf_addc(out, "\n) AS gyre_row");
}

static void build(struct gy_pg_rows *r, const struct gy_pg_rows_options *o)
{
    struct gy_buf *sql = &r->sql;
    gy_buf_addc(sql, "SELECT row_to_json(gyre_row.*)::text");
    if (o->watermark) {
        gy_buf_addc(sql, ", ");
        add_mark(sql, o->watermark);
        gy_buf_addc(sql, "::text");
    }
    add_from(sql, bare(o->query));
    if (o->watermark && o->after) {
        gy_buf_addc(sql, " WHERE ");
        add_mark(sql, o->watermark);
        gy_buf_addc(sql, o->equal_too ? " >= $1" : " > $1");
    }
    if (o->watermark) {
        gy_buf_addc(sql, " ORDER BY ");
        add_mark(sql, o->watermark);
    }
}

static gy_status check_marks(struct gy_pg_rows *r, const struct gy_pg_rows_options *o,
                             struct gy_err *err)
{
    size_t i = 0;
    while (i < r->n_columns && strcmp(r->columns[i].name, o->watermark) != 0) {
        i++;
    }
    if (i == r->n_columns) {
        (void)gy_err_set(err, GY_E_INVALID, "the query gives no column '%s' for the watermark",
                         o->watermark);
        return gy_err_hint(err,
                           "it has to be in the SELECT list; names are compared with their case");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    struct gy_pq_result *found = NULL;
    gy_buf_init(&sql, SQL_MAX);
    gy_buf_addc(&sql, "SELECT 1");
    add_from(&sql, bare(o->query));
    gy_buf_addc(&sql, " WHERE ");
    add_mark(&sql, o->watermark);
    gy_buf_addc(&sql, " IS NULL LIMIT 1");
    GY_TRY(gy_buf_check(&sql, "the query", err));
    GY_TRY(run(r->c, sql.p, NULL, "the query", &found, err));
    int n = r->c->lib->n_tuples(found);
    r->c->lib->clear(found);
    if (n > 0) {
        (void)gy_err_set(err, GY_E_INVALID, "rows without a value in '%s' would never be read",
                         o->watermark);
        return gy_err_hint(err, "leave them out in the query (WHERE ... IS NOT NULL), or give them "
                                "a value there (COALESCE)");
    }
    return GY_OK;
}

static gy_status begin(struct gy_pg_rows *r, const struct gy_pg_rows_options *o, struct gy_err *err)
{
    if (strlen(o->query) > QUERY_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "the query is longer than %zu bytes", QUERY_MAX);
    }
    GY_TRY(gy_pg_connect_foreign(o->url, &r->c, err));
    GY_TRY(run(r->c, GY_PG_BEGIN_READ, NULL, "beginning to read", NULL, err));
    GY_TRY(describe(r, o->query, err));
    if (o->watermark) {
        GY_TRY(check_marks(r, o, err));
    }
    if (o->watermark && o->after) {
        r->after = gy_arena_strdup(&r->arena, gy_str_c(o->after));
        if (!r->after) {
            return no_memory(err);
        }
    }
    r->has_watermark = o->watermark != NULL;
    build(r, o);
    return gy_buf_check(&r->sql, "the query", err);
}

gy_status gy_pg_rows_open(const struct gy_pg_rows_options *o, struct gy_pg_rows **ret,
                          struct gy_err *err)
{
    GY_AUTO(gy_pg_rows_free) struct gy_pg_rows *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return no_memory(err);
    }
    gy_arena_init(&r->arena, 4 * GY_MIB);
    gy_buf_init(&r->sql, SQL_MAX);
    gy_buf_init(&r->text, GY_GIB);
    gy_buf_init(&r->mark, GY_PG_ROWS_MAX_WATERMARK);
    GY_TRY(begin(r, o, err));
    *ret = GY_TAKE(r);
    return GY_OK;
}

void gy_pg_rows_free(struct gy_pg_rows *r)
{
    if (!r) {
        return;
    }
    if (r->c) {
        r->c->lib->clear(r->row);
        gy_pg_disconnect(r->c);
    }
    gy_buf_done(&r->sql);
    gy_buf_done(&r->text);
    gy_buf_done(&r->mark);
    gy_arena_done(&r->arena);
    gy_free(r);
}

size_t gy_pg_rows_n_columns(const struct gy_pg_rows *r)
{
    return r->n_columns;
}

const char *gy_pg_rows_column(const struct gy_pg_rows *r, size_t i, enum gy_pg_kind *ret_kind)
{
    *ret_kind = r->columns[i].kind;
    return r->columns[i].name;
}

/* ---- rows ---- */

static gy_status start(struct gy_pg_rows *r, struct gy_err *err)
{
    struct gy_pg_conn *c = r->c;
    const char *const values[] = {r->after};
    if (c->lib->send_query(c->pq, r->sql.p, r->after ? 1 : 0, NULL, values, NULL, NULL, 0) != 1 ||
        c->lib->single_row(c->pq) != 1) {
        return gy_pg_fail(c, NULL, "the query", err);
    }
    r->started = true;
    return GY_OK;
}

static struct gy_str cell(const struct gy_pg_rows *r, int field)
{
    const struct gy_pq_lib *lib = r->c->lib;
    return gy_str_n(lib->get_value(r->row, 0, field), (size_t)lib->get_length(r->row, 0, field));
}

/* A value of type json stands in its row as it was written: between its parts there may be line
 * ends, which mean nothing there. (In a text they are escaped.) */
static gy_status one_line(struct gy_pg_rows *r, struct gy_str *json, struct gy_err *err)
{
    if (!memchr(json->p, '\n', json->n) && !memchr(json->p, '\r', json->n)) {
        return GY_OK;
    }
    gy_buf_reset(&r->text);
    gy_buf_add(&r->text, *json);
    GY_TRY(gy_buf_check(&r->text, "a row", err));
    for (size_t i = 0; i < r->text.n; i++) {
        if (r->text.p[i] == '\n' || r->text.p[i] == '\r') {
            r->text.p[i] = ' ';
        }
    }
    *json = gy_buf_str(&r->text);
    return GY_OK;
}

static gy_status take_row(struct gy_pg_rows *r, struct gy_str *ret, struct gy_err *err)
{
    *ret = cell(r, 0);
    r->any = true;
    if (r->has_watermark) {
        gy_buf_reset(&r->mark);
        gy_buf_add(&r->mark, cell(r, 1));
        GY_TRY(gy_buf_check(&r->mark, "a watermark", err));
    }
    return one_line(r, ret, err);
}

gy_status gy_pg_rows_next(struct gy_pg_rows *r, struct gy_str *ret_json, bool *ret_more,
                          struct gy_err *err)
{
    struct gy_pg_conn *c = r->c;
    *ret_more = false;
    if (r->done) {
        return GY_OK;
    }
    if (!r->started) {
        GY_TRY(start(r, err));
    }
    c->lib->clear(r->row);
    r->row = c->lib->get_result(c->pq);
    int got = r->row ? c->lib->result_status(r->row) : -1;
    if (got == GY_PQ_SINGLE_TUPLE) {
        *ret_more = true;
        return take_row(r, ret_json, err);
    }
    /* The end is said in so many words; anything else is not the end. */
    r->done = true;
    if (got == GY_PQ_TUPLES_OK) {
        return GY_OK;
    }
    const char *state = r->row ? c->lib->result_error_field(r->row, GY_PQ_SQLSTATE) : NULL;
    bool grammar = !r->any && state && strcmp(state, "42601") == 0;
    gy_status status = gy_pg_fail(c, r->row, "reading rows", err);
    if (grammar) { /* alone it was right; it stands in brackets here */
        (void)gy_err_hint(err, "one SELECT is wanted; a semicolon can only be its last character");
    }
    return status;
}

struct gy_str gy_pg_rows_watermark(const struct gy_pg_rows *r)
{
    return r->has_watermark && r->any ? gy_buf_str(&r->mark) : gy_str_c(r->after);
}
