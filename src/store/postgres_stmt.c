/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of the PostgreSQL backend: parameters, rows, columns. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"

/* ---- making and ending ---- */

void gy_pg_stmt_free(struct gy_pg_stmt *s)
{
    for (int i = 0; i < GY_PG_VARIANTS; i++) {
        gy_free(s->variants[i].types);
    }
    gy_buf_done(&s->copied);
    gy_buf_done(&s->kept);
    gy_free(s->kinds);
    gy_free(s->values);
    gy_free(s->lengths);
    gy_free(s->formats);
    gy_free(s->numbers);
    gy_free(s->column_types);
    gy_free(s->texts);
    gy_free(s->cells);
    gy_free(s->many_types);
    gy_free(s->text);
    gy_free(s->sql);
    gy_free(s);
}

static void bury(struct gy_pg_conn *c, const struct gy_pg_variant *v)
{
    if (v->name > 0 && v->epoch == c->epoch && c->n_dead < GY_PG_MAX_DEAD) {
        c->dead[c->n_dead++] = v->name; /* one too many stays until the connection ends */
    }
}

void gy_pg_finalize(void *stmt)
{
    struct gy_pg_stmt *s = stmt;
    gy_pg_reset(s);
    if (s->many) {
        gy_pg_finalize(s->many);
    }
    for (int i = 0; i < GY_PG_VARIANTS; i++) {
        bury(s->c, &s->variants[i]);
    }
    gy_pg_stmt_free(s);
}

static gy_status make_params(struct gy_pg_stmt *s, struct gy_err *err)
{
    size_t n = s->info.n_params;
    s->kinds = gy_calloc(n + 1, sizeof *s->kinds);
    s->values = gy_calloc(n + 1, sizeof *s->values);
    s->lengths = gy_calloc(n + 1, sizeof *s->lengths);
    s->formats = gy_calloc(n + 1, sizeof *s->formats);
    s->numbers = gy_calloc(n + 1, sizeof *s->numbers);
    if (!s->kinds || !s->values || !s->lengths || !s->formats || !s->numbers) {
        return gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    }
    for (size_t i = 0; i < n; i++) {
        s->formats[i] = 1;
    }
    return GY_OK;
}

gy_status gy_pg_stmt_new(struct gy_pg_conn *c, const char *sql, char *text, size_t n_params,
                         struct gy_pg_stmt **ret, struct gy_err *err)
{
    struct gy_pg_stmt *s = gy_calloc(1, sizeof *s);
    if (!s) {
        gy_free(text);
        return gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    }
    s->c = c;
    s->text = text;
    s->sql = gy_strdup(sql);
    s->info.n_params = n_params;
    gy_buf_init(&s->copied, GY_SQL_MAX_VALUE);
    gy_buf_init(&s->kept, GY_PG_MAX_KEPT);
    gy_status status =
        s->sql && text ? make_params(s, err) : gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    if (status != GY_OK) {
        gy_pg_stmt_free(s);
        return status;
    }
    *ret = s;
    return GY_OK;
}

static gy_status new_stmt(struct gy_pg_conn *c, const char *sql, struct gy_pg_stmt **ret,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_SQL_MAX_VALUE);
    struct gy_pg_sql info;
    GY_TRY(gy_pg_statement(sql, &text, &info, err));
    struct gy_pg_stmt *s = NULL;
    GY_TRY(gy_pg_stmt_new(c, sql, gy_buf_take(&text), info.n_params, &s, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf again;
    gy_buf_init(&again, GY_SQL_MAX_VALUE);
    gy_status status = gy_pg_statement(s->sql, &again, &s->info, err); /* views of its own text */
    if (status != GY_OK) {
        gy_pg_stmt_free(s);
        return status;
    }
    *ret = s;
    return GY_OK;
}

/* ---- columns that number themselves ---- */

void gy_pg_forget_identities(struct gy_pg_conn *c)
{
    gy_arena_reset(&c->arena);
    c->identities = NULL;
    c->n_identities = 0;
}

static const char identities_sql[] =
    "SELECT t.relname::text, a.attname::text FROM pg_catalog.pg_class t JOIN "
    "pg_catalog.pg_attribute a ON a.attrelid = t.oid WHERE t.relnamespace = "
    "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()) "
    "AND a.attidentity <> '' AND NOT a.attisdropped";

#define MAX_IDENTITIES 512

static gy_status read_identities(struct gy_pg_conn *c, struct gy_err *err)
{
    void *st = NULL;
    bool row = false;
    gy_pg_forget_identities(c);
    struct gy_pg_identity *list = gy_arena_calloc(&c->arena, MAX_IDENTITIES, sizeof *list);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "reading the schema");
    }
    GY_TRY(gy_pg_prepare(c, identities_sql, &st, err));
    gy_status status = gy_pg_step(st, &row, err);
    for (; status == GY_OK && row && c->n_identities < MAX_IDENTITIES; c->n_identities++) {
        struct gy_val table, column;
        gy_pg_column(st, 0, GY_VAL_TEXT, &table);
        gy_pg_column(st, 1, GY_VAL_TEXT, &column);
        struct gy_pg_identity *i = &list[c->n_identities];
        i->table = gy_arena_str(&c->arena, table.s);
        i->column = gy_arena_str(&c->arena, column.s);
        status = i->table.p && i->column.p ? gy_pg_step(st, &row, err)
                                           : gy_err_set(err, GY_E_NOMEM, "reading the schema");
    }
    gy_pg_finalize(st);
    c->identities = status == GY_OK ? list : NULL;
    return status;
}

/* An INSERT into a table that numbers its rows tells the number, as SQLite's last rowid does. */
static gy_status find_identity(struct gy_pg_stmt *s, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    if (!s->info.insert_table.p || s->info.returning) {
        return GY_OK;
    }
    if (!c->identities) {
        GY_TRY(read_identities(c, err));
    }
    for (size_t i = 0; i < c->n_identities; i++) {
        if (gy_str_ieq(c->identities[i].table, s->info.insert_table)) {
            s->identity = c->identities[i].column;
        }
    }
    if (!s->identity.p) {
        return GY_OK;
    }
    struct gy_str columns = s->info.insert_columns, name;
    while (gy_str_next(&columns, ',', &name)) {
        s->sets_identity |= gy_str_ieq(gy_str_trim(name), s->identity);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_SQL_MAX_VALUE);
    gy_buf_addf(&text, "%s RETURNING %" GY_STR_F, s->text, GY_STR_A(s->identity));
    gy_free(s->text);
    s->text = gy_buf_take(&text);
    /* Not a view of the list, which is made anew when the schema changes. */
    size_t at = s->text ? strlen(s->text) - s->identity.n : 0;
    s->identity = s->text ? gy_str_n(s->text + at, s->identity.n) : GY_STR_NULL;
    return s->text ? GY_OK : gy_err_set(err, GY_E_NOMEM, "preparing a statement");
}

/* A number that was given must not be given again: the sequence goes on after it. */
static gy_status move_sequence(struct gy_pg_stmt *s, struct gy_err *err)
{
    char sql[512];
    struct gy_str t = s->info.insert_table, i = s->identity;
    int n =
        snprintf(sql, sizeof sql,
                 "SELECT setval(pg_get_serial_sequence('%" GY_STR_F "', '%" GY_STR_F
                 "'), GREATEST(MAX(%" GY_STR_F "), 1), MAX(%" GY_STR_F ") >= 1) FROM %" GY_STR_F,
                 GY_STR_A(t), GY_STR_A(i), GY_STR_A(i), GY_STR_A(i), GY_STR_A(t));
    if (n < 0 || (size_t)n >= sizeof sql) {
        return gy_err_set(err, GY_E_TOOBIG, "a table's name is too long");
    }
    return gy_pg_command(s->c, sql, NULL, err);
}

/* ---- variants ---- */

static bool fits(const struct gy_pg_stmt *s, const struct gy_pg_variant *v)
{
    if (v->name == 0 || v->epoch != s->c->epoch) {
        return false;
    }
    for (size_t i = 0; i < s->info.n_params; i++) {
        if (s->kinds[i] != GY_PG_UNKNOWN && s->kinds[i] != v->types[i]) {
            return false;
        }
    }
    return true;
}

/* The one for the values' types: *ret_new when the server does not know it yet. */
static gy_status pick_variant(struct gy_pg_stmt *s, struct gy_pg_variant **ret, bool *ret_new,
                              struct gy_err *err)
{
    struct gy_pg_variant *oldest = &s->variants[0];
    s->n_binds++;
    for (int i = 0; i < GY_PG_VARIANTS; i++) {
        struct gy_pg_variant *v = &s->variants[i];
        if (fits(s, v)) {
            v->last_use = s->n_binds;
            *ret = v;
            *ret_new = false;
            return GY_OK;
        }
        oldest = v->last_use < oldest->last_use ? v : oldest;
    }
    bury(s->c, oldest);
    oldest->name = 0;
    if (!oldest->types) {
        oldest->types = gy_calloc(s->info.n_params + 1, sizeof *oldest->types);
    }
    if (!oldest->types) {
        return gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    }
    memcpy(oldest->types, s->kinds, s->info.n_params * sizeof *oldest->types);
    for (size_t i = 0; i < s->info.n_null_tests; i++) {
        unsigned *type = &oldest->types[s->info.null_tests[i]];
        *type = *type == GY_PG_UNKNOWN ? GY_PG_TEXT : *type;
    }
    oldest->last_use = s->n_binds;
    *ret = oldest;
    *ret_new = true;
    return GY_OK;
}

static gy_status set_columns(struct gy_pg_stmt *s, const struct gy_pq_result *r, struct gy_err *err)
{
    int n = s->c->lib->n_fields(r);
    if (n != s->n_columns || !s->column_types) {
        gy_free(s->column_types);
        gy_free(s->texts);
        gy_free(s->cells);
        s->n_columns = 0;
        s->column_types = gy_calloc((size_t)n + 1, sizeof *s->column_types);
        s->texts = gy_calloc((size_t)n + 1, sizeof *s->texts);
        s->cells = gy_calloc((size_t)n + 1, sizeof *s->cells);
        if (!s->column_types || !s->texts || !s->cells) {
            return gy_err_set(err, GY_E_NOMEM, "reading rows");
        }
        s->n_columns = n;
    }
    for (int i = 0; i < n; i++) {
        s->column_types[i] = s->c->lib->field_type(r, i);
    }
    return GY_OK;
}

static gy_status read_description(struct gy_pg_stmt *s, struct gy_pg_variant *v, struct gy_err *err)
{
    const struct gy_pq_lib *lib = s->c->lib;
    struct gy_pq_result *r = lib->get_result(s->c->pq);
    gy_status status = GY_OK;
    if (!r || lib->result_status(r) != GY_PQ_COMMAND_OK ||
        lib->n_params(r) != (int)s->info.n_params) {
        status = gy_pg_fail(s->c, r, s->sql, err);
    } else {
        for (size_t i = 0; i < s->info.n_params; i++) {
            v->types[i] = lib->param_type(r, (int)i);
        }
        status = set_columns(s, r, err);
    }
    lib->clear(r);
    if (r) {
        lib->clear(lib->get_result(s->c->pq)); /* the end of this command's results */
    }
    return status;
}

static bool send_prepare(struct gy_pg_stmt *s, struct gy_pg_variant *v, char name[32])
{
    struct gy_pg_conn *c = s->c;
    v->name = ++c->n_names;
    v->epoch = c->epoch;
    (void)snprintf(name, 32, "gy%llu", (unsigned long long)v->name);
    return c->lib->send_prepare(c->pq, name, s->text, (int)s->info.n_params, v->types) == 1 &&
           c->lib->send_describe(c->pq, name) == 1;
}

/* The answers of what was sent before the statement's own, and of its preparation. */
static gy_status read_preparation(struct gy_pg_stmt *s, size_t n_before, struct gy_pg_variant *v,
                                  bool is_new, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    gy_status status = gy_pg_read_commands(c, n_before, NULL, err);
    if (status != GY_OK || !is_new) {
        return status;
    }
    struct gy_pq_result *r = c->lib->get_result(c->pq);
    if (!r || c->lib->result_status(r) != GY_PQ_COMMAND_OK) {
        status = gy_pg_fail(c, r, s->sql, err);
    }
    c->lib->clear(r);
    if (r) {
        c->lib->clear(c->lib->get_result(c->pq)); /* the end of this command's results */
    }
    return status == GY_OK ? read_description(s, v, err) : status;
}

/* Prepare without running: what is wrong with the text is told. */
static gy_status describe(struct gy_pg_stmt *s, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    struct gy_pg_variant *v;
    bool is_new;
    char name[32];
    size_t n;
    GY_TRY(gy_pg_send_deferred(c, &n, err));
    GY_TRY(pick_variant(s, &v, &is_new, err));
    if (is_new && !send_prepare(s, v, name)) {
        v->name = 0;
        return gy_pg_fail(c, NULL, s->sql, err);
    }
    gy_status status = gy_pg_sync(c, err);
    if (status == GY_OK) {
        status = read_preparation(s, n, v, is_new, err);
    }
    gy_pg_discard(c);
    if (status != GY_OK && is_new) {
        v->name = 0;
    }
    return status;
}

gy_status gy_pg_prepare(void *conn, const char *sql, void **ret_stmt, struct gy_err *err)
{
    struct gy_pg_conn *c = conn;
    struct gy_pg_stmt *s = NULL;
    GY_TRY(gy_pg_ready(c, err));
    GY_TRY(new_stmt(c, sql, &s, err));
    gy_status status = find_identity(s, err);
    if (status == GY_OK && s->info.n_params == 0) {
        status = describe(s, err); /* with parameters their types have a say: at the first bind */
    }
    if (status != GY_OK) {
        gy_pg_stmt_free(s);
        return status;
    }
    *ret_stmt = s;
    return GY_OK;
}

int gy_pg_n_columns(void *stmt)
{
    struct gy_pg_stmt *s = stmt;
    if (!s->column_types && describe(s, NULL) != GY_OK) {
        return 0; /* running it will tell why */
    }
    return s->n_columns;
}

/* ---- parameters ---- */

static gy_status bind_text(struct gy_pg_stmt *s, size_t i, const struct gy_val *v,
                           struct gy_err *err)
{
    if (v->s.n > (size_t)GY_SQL_MAX_VALUE) {
        return gy_err_set(err, GY_E_TOOBIG, "a value has more than %lld bytes",
                          (long long)GY_SQL_MAX_VALUE);
    }
    if (v->kind == GY_VAL_TEXT && v->s.n > 0 && memchr(v->s.p, 0, v->s.n)) {
        return gy_err_set(err, GY_E_INVALID, "PostgreSQL keeps no text with a zero byte in it");
    }
    s->values[i] = v->s.p ? v->s.p : "";
    s->lengths[i] = (int)v->s.n;
    s->kinds[i] = v->kind == GY_VAL_TEXT ? GY_PG_TEXT : GY_PG_BYTEA;
    return GY_OK;
}

static gy_status bind_one(struct gy_pg_stmt *s, size_t i, const struct gy_val *v,
                          struct gy_err *err)
{
    s->values[i] = s->numbers[i];
    s->lengths[i] = (int)sizeof s->numbers[i];
    switch (v->kind) {
    case GY_VAL_NULL:
        s->values[i] = NULL;
        s->kinds[i] = GY_PG_UNKNOWN;
        return GY_OK;
    case GY_VAL_INT:
        gy_pg_put64(s->numbers[i], (uint64_t)v->i);
        s->kinds[i] = GY_PG_INT8;
        return GY_OK;
    case GY_VAL_REAL:
        gy_pg_put64(s->numbers[i], gy_pg_double_bits(v->f));
        s->values[i] = isnan(v->f) ? NULL : s->values[i];
        s->kinds[i] = GY_PG_FLOAT8;
        return GY_OK;
    case GY_VAL_TEXT:
    case GY_VAL_BLOB:
        return bind_text(s, i, v, err);
    }
    return gy_err_set(err, GY_E_INVALID, "a value of no kind");
}

static gy_status copy_texts(struct gy_pg_stmt *s, struct gy_err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < s->info.n_params; i++) {
        if (s->values[i] && s->values[i] != s->numbers[i]) {
            gy_buf_add_bytes(&s->copied, s->values[i], (size_t)s->lengths[i]);
        }
    }
    GY_TRY(gy_buf_check(&s->copied, "the parameters", err));
    for (size_t i = 0; i < s->info.n_params; i++) {
        if (s->values[i] && s->values[i] != s->numbers[i]) {
            s->values[i] = s->copied.p + at;
            at += (size_t)s->lengths[i];
        }
    }
    return GY_OK;
}

gy_status gy_pg_bind(void *stmt, const struct gy_val *vals, size_t n, bool copy, struct gy_err *err)
{
    struct gy_pg_stmt *s = stmt;
    if (n != s->info.n_params) {
        return gy_err_set(err, GY_E_INVALID, "%zu values for %zu parameters: %s", n,
                          s->info.n_params, s->sql);
    }
    gy_buf_reset(&s->copied);
    for (size_t i = 0; i < n; i++) {
        GY_TRY(bind_one(s, i, &vals[i], err));
    }
    if (copy) {
        GY_TRY(copy_texts(s, err));
    }
    s->bound = true;
    return GY_OK;
}

/* ---- running ---- */

static gy_status try_start(struct gy_pg_stmt *s, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    struct gy_pg_variant *v = NULL;
    bool is_new = false;
    char name[32];
    size_t n = 0;
    GY_TRY(gy_pg_ready(c, err));
    GY_TRY(gy_pg_send_deferred(c, &n, err));
    GY_TRY(pick_variant(s, &v, &is_new, err));
    (void)snprintf(name, sizeof name, "gy%llu", (unsigned long long)v->name);
    bool sent = !is_new || send_prepare(s, v, name);
    sent = sent && c->lib->send_prepared(c->pq, name, (int)s->info.n_params, s->values, s->lengths,
                                         s->formats, 1) == 1;
    gy_status status = sent ? gy_pg_sync(c, err) : gy_pg_fail(c, NULL, s->sql, err);
    if (status == GY_OK) {
        status = read_preparation(s, n, v, is_new, err);
    }
    if (status != GY_OK) {
        v->name = is_new ? 0 : v->name;
        gy_pg_discard(c);
        return status;
    }
    (void)c->lib->single_row(c->pq); /* refused only when the answer is an error already */
    c->streaming = s;
    return GY_OK;
}

/* No more rows: what was done, and the connection is free. */
static void end_rows(struct gy_pg_stmt *s, struct gy_pq_result *r)
{
    struct gy_pg_conn *c = s->c;
    const char *did = c->lib->command_status(r);
    if (strncmp(did, "INSERT", 6) == 0 || strncmp(did, "UPDATE", 6) == 0 ||
        strncmp(did, "DELETE", 6) == 0) {
        if (gy_parse_i64(gy_str_c(c->lib->command_tuples(r)), 0, INT64_MAX, &c->changes, NULL) !=
            GY_OK) {
            c->changes = 0;
        }
    }
    c->lib->clear(r);
    gy_pg_discard(c);
    c->streaming = NULL;
    s->done = true;
}

/* The next answer: a row in s->row, or the end. */
static gy_status next_row(struct gy_pg_stmt *s, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    struct gy_pq_result *r = c->lib->get_result(c->pq);
    int got = r ? c->lib->result_status(r) : GY_PQ_PIPELINE_ABORTED;
    if (got == GY_PQ_SINGLE_TUPLE) {
        s->row = r;
        return GY_OK;
    }
    if (got == GY_PQ_TUPLES_OK || got == GY_PQ_COMMAND_OK) {
        end_rows(s, r);
        return GY_OK;
    }
    gy_status status = gy_pg_fail(c, r, s->sql, err);
    c->lib->clear(r);
    gy_pg_discard(c);
    c->streaming = NULL;
    s->done = true;
    return status;
}

/* Send and have the first answer. A read that had no answer yet can begin anew on another
 * connection without anyone noticing. */
static gy_status start(struct gy_pg_stmt *s, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    bool again = c->in_transaction && c->reading && !c->answered;
    struct gy_err first = GY_ERR_INIT;
    gy_status status = try_start(s, again ? &first : err);
    if (status == GY_OK) {
        status = next_row(s, again ? &first : err);
    }
    if (status != GY_OK && again && gy_pg_is_lost(c)) {
        GY_TRY(gy_pg_reconnect(c, err));
        c->in_transaction = true;
        s->done = false;
        gy_pg_defer(c, GY_PG_BEGIN_READ);
        status = try_start(s, err);
        if (status == GY_OK) {
            status = next_row(s, err);
        }
    } else if (status != GY_OK && again && err) {
        *err = first;
    }
    c->answered = c->answered || status == GY_OK;
    s->started = true;
    return status;
}

static void drop_row(struct gy_pg_stmt *s)
{
    s->c->lib->clear(s->row);
    s->row = NULL;
    s->has_row = false;
}

static void cells_of_result(struct gy_pg_stmt *s)
{
    const struct gy_pq_lib *lib = s->c->lib;
    for (int i = 0; i < s->n_columns; i++) {
        s->cells[i] = lib->is_null(s->row, 0, i) ? GY_STR_NULL
                                                 : gy_str_n(lib->get_value(s->row, 0, i),
                                                            (size_t)lib->get_length(s->row, 0, i));
    }
    s->has_row = true;
}

static void keep_row(struct gy_pg_stmt *s)
{
    const struct gy_pq_lib *lib = s->c->lib;
    for (int i = 0; i < s->n_columns; i++) {
        int32_t n = lib->is_null(s->row, 0, i) ? -1 : lib->get_length(s->row, 0, i);
        gy_buf_add_bytes(&s->kept, &n, sizeof n);
        if (n >= 0) {
            gy_buf_add_bytes(&s->kept, lib->get_value(s->row, 0, i), (size_t)n);
            gy_buf_add_char(&s->kept, '\0');
        }
    }
}

static void cells_of_kept(struct gy_pg_stmt *s)
{
    for (int i = 0; i < s->n_columns; i++) {
        int32_t n;
        memcpy(&n, s->kept.p + s->kept_at, sizeof n);
        s->kept_at += sizeof n;
        s->cells[i] = n < 0 ? GY_STR_NULL : gy_str_n(s->kept.p + s->kept_at, (size_t)n);
        s->kept_at += n < 0 ? 0 : (size_t)n + 1;
    }
    s->has_row = true;
}

void gy_pg_keep_rest(struct gy_pg_stmt *s)
{
    struct gy_pg_conn *c = s->c;
    struct gy_pq_result *current = GY_TAKE(s->row);
    while (!s->done) {
        gy_status status = next_row(s, &s->late);
        if (status == GY_OK && s->row) {
            keep_row(s);
            c->lib->clear(GY_TAKE(s->row));
            status = gy_buf_check(&s->kept, "the rows of a statement that was left for another",
                                  &s->late);
        }
        if (status != GY_OK && !s->done) {
            gy_pg_discard(c);
            c->streaming = NULL;
            s->done = true;
        }
    }
    s->row = current;
}

/* The rows of an INSERT that nobody asked for: the numbers that the table gave. */
static gy_status finish_insert(struct gy_pg_stmt *s, struct gy_err *err)
{
    struct gy_pg_conn *c = s->c;
    while (s->row) {
        struct gy_val v;
        cells_of_result(s);
        gy_pg_column(s, 0, GY_VAL_INT, &v);
        c->last_id = v.i;
        drop_row(s);
        GY_TRY(next_row(s, err));
    }
    return s->sets_identity && c->changes > 0 ? move_sequence(s, err) : GY_OK;
}

gy_status gy_pg_step(void *stmt, bool *ret_row, struct gy_err *err)
{
    struct gy_pg_stmt *s = stmt;
    if (s->info.n_params > 0 && !s->bound) {
        return gy_err_set(err, GY_E_INVALID, "parameters have no values: %s", s->sql);
    }
    *ret_row = false;
    if (s->kept_at < s->kept.n) {
        drop_row(s);
        cells_of_kept(s);
        *ret_row = true;
        return GY_OK;
    }
    drop_row(s);
    if (s->late.code != GY_OK) {
        if (err) {
            *err = s->late;
        }
        return s->late.code;
    }
    if (s->done) {
        return GY_OK;
    }
    if (s->started) {
        GY_TRY(next_row(s, err));
    } else {
        GY_TRY(start(s, err));
    }
    if (s->identity.p) {
        return finish_insert(s, err);
    }
    if (s->row) {
        cells_of_result(s);
        *ret_row = true;
    } else if (s->info.changes_schema) {
        gy_pg_forget_identities(s->c);
    }
    return GY_OK;
}

void gy_pg_reset(void *stmt)
{
    struct gy_pg_stmt *s = stmt;
    if (s->c->streaming == s) {
        gy_pg_discard(s->c);
        s->c->streaming = NULL;
    }
    drop_row(s);
    gy_buf_done(&s->kept);
    gy_buf_done(&s->copied);
    gy_buf_init(&s->copied, GY_SQL_MAX_VALUE);
    gy_buf_init(&s->kept, GY_PG_MAX_KEPT);
    s->kept_at = 0;
    s->late.code = GY_OK;
    s->bound = s->started = s->done = false;
}

void gy_pg_column(void *stmt, int column, enum gy_val_kind want, struct gy_val *ret)
{
    struct gy_pg_stmt *s = stmt;
    bool there = s->has_row && column >= 0 && column < s->n_columns && s->cells[column].p;
    if (!there) {
        *ret = gy_vnull();
        return;
    }
    gy_pg_decode(s->column_types[column], s->cells[column], want, s->texts[column], ret);
}
