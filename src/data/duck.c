/* SPDX-License-Identifier: Apache-2.0 */
#include "data/duck.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/duck_internal.h"
#include "data/duck_sql.h"

#define LIB gy_duck_lib()
#define MIN_THREADS 1
#define MAX_THREADS 256

struct gy_duck_rows {
    struct gy_duck *duck;
    duckdb_prepared_statement statement;
    duckdb_result result;
    bool has_result;
    duckdb_data_chunk chunk;
    size_t n_columns;
    struct gy_duck_node **nodes; /* one a column */
    duckdb_vector *vectors;      /* of the chunk */
    int64_t changed;
};

/* ---- failures ---- */

void gy_duck_keep(struct gy_duck *d, const struct gy_err *failed)
{
    (void)pthread_mutex_lock(&d->lock); /* an error-free default mutex, here and below */
    if (d->own.code == GY_OK) {
        d->own = *failed;
    }
    (void)pthread_mutex_unlock(&d->lock);
}

static gy_status status_of(struct gy_str text)
{
    static const struct {
        const char *prefix;
        gy_status status;
    } table[] = {
        {"INTERRUPT Error", GY_E_CANCELLED},
        {"Out of Memory Error", GY_E_NOMEM},
        {"Permission Error", GY_E_DENIED},
        {"IO Error", GY_E_IO},
        {"HTTP Error", GY_E_NETWORK},
        {"Missing Extension Error", GY_E_UNSUPPORTED},
        {"Not implemented Error", GY_E_UNSUPPORTED},
        {"INTERNAL Error", GY_E_FAILED},
        {"FATAL Error", GY_E_FAILED},
        {"TransactionContext Error", GY_E_CONFLICT},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (gy_str_starts(text, gy_str_c(table[i].prefix))) {
            return table[i].status;
        }
    }
    if (gy_str_starts(text, GY_STR("Catalog Error: Table ")) &&
        gy_str_find_str(text, GY_STR("does not exist")) != SIZE_MAX) {
        return GY_E_NOTFOUND;
    }
    return GY_E_INVALID;
}

/* DuckDB's message up to where it quotes the SQL, in one line. */
static gy_status say(struct gy_err *err, const char *what)
{
    struct gy_str text = gy_str_c(what ? what : "no reason was given");
    const gy_status status = status_of(text);
    size_t quoted = gy_str_find_str(text, GY_STR("\nLINE "));
    struct gy_str where = GY_STR_NULL;
    if (quoted != SIZE_MAX) {
        where = gy_str_sub(text, quoted + 1, SIZE_MAX);
        (void)gy_str_cut(where, ':', &where, &(struct gy_str){0});
        text = gy_str_sub(text, 0, quoted);
    }
    char line[440];
    size_t n = 0;
    for (size_t i = 0; i < text.n && n + 1 < sizeof line; i++) {
        bool blank = text.p[i] == '\n' || text.p[i] == '\r' || text.p[i] == ' ';
        if (!blank || (n > 0 && line[n - 1] != ' ')) {
            line[n++] = text.p[i];
            line[n - 1] = blank ? ' ' : line[n - 1];
        }
    }
    while (n > 0 && line[n - 1] == ' ') {
        n--;
    }
    return gy_err_set(err, status, "%.*s%s%.*s%s", (int)n, line, where.n ? " (" : "",
                      (int)(where.n > 20 ? 20 : where.n), where.n ? where.p : "",
                      where.n ? ")" : "");
}

/* A failure that DuckDB tells: ours, when one of our callbacks failed. */
static gy_status failed(struct gy_duck *d, const char *what, struct gy_err *err)
{
    (void)pthread_mutex_lock(&d->lock);
    struct gy_err own = d->own;
    d->own = (struct gy_err)GY_ERR_INIT;
    (void)pthread_mutex_unlock(&d->lock);
    if (own.code == GY_OK || status_of(gy_str_c(what ? what : "")) == GY_E_CANCELLED) {
        return say(err, what);
    }
    if (err) {
        *err = own;
    }
    return own.code;
}

/* ---- opening ---- */

void gy_duck_quote(struct gy_buf *out, struct gy_str text)
{
    gy_buf_add_char(out, '\'');
    for (size_t i = 0; i < text.n; i++) {
        gy_buf_add_char(out, text.p[i]);
        if (text.p[i] == '\'') {
            gy_buf_add_char(out, '\'');
        }
    }
    gy_buf_add_char(out, '\'');
}

void gy_duck_quote_name(struct gy_buf *out, struct gy_str name)
{
    gy_buf_add_char(out, '"');
    for (size_t i = 0; i < name.n; i++) {
        gy_buf_add_char(out, name.p[i]);
        if (name.p[i] == '"') {
            gy_buf_add_char(out, '"');
        }
    }
    gy_buf_add_char(out, '"');
}

static int64_t default_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (int64_t)pages * page / 2 : (int64_t)GY_GIB;
}

static gy_status set(duckdb_config config, const char *name, const char *value, struct gy_err *err)
{
    return LIB->set_config(config, name, value) == GY_DUCK_SUCCESS
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "DuckDB does not take the setting %s=%s", name,
                            value);
}

static gy_status configure(duckdb_config config, const struct gy_duck_options *o,
                           struct gy_err *err)
{
    static const char *const fixed[][2] = {
        {"autoinstall_known_extensions", "false"}, {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"},   {"allow_unsigned_extensions", "false"},
        {"allow_persistent_secrets", "false"},
    };
    char text[32];
    int64_t threads = o->threads ? o->threads : (int64_t)sysconf(_SC_NPROCESSORS_ONLN);
    threads = threads < MIN_THREADS ? MIN_THREADS : threads > MAX_THREADS ? MAX_THREADS : threads;
    int64_t memory = o->memory_bytes ? o->memory_bytes : default_memory();
    if (memory < GY_DUCK_MIN_MEMORY) {
        return gy_err_set(err, GY_E_INVALID, "SQL needs %lld MiB of memory at least",
                          (long long)(GY_DUCK_MIN_MEMORY / (int64_t)GY_MIB));
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        GY_TRY(set(config, fixed[i][0], fixed[i][1], err));
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)threads);
    GY_TRY(set(config, "threads", text, err));
    (void)snprintf(text, sizeof text, "%lldKiB", (long long)(memory / 1024 * 6 / 10));
    GY_TRY(set(config, "memory_limit", text, err));
    GY_TRY(set(config, "preserve_insertion_order", o->unordered ? "false" : "true", err));
    return set(config, "temp_directory", o->temp_dir ? o->temp_dir : "", err);
}

/* What can only be said once it is open; the last of it is that nothing can be changed any more. */
static gy_status settle(struct gy_duck *d, const struct gy_duck_options *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    gy_buf_init(&sql, GY_DUCK_MAX_SQL);
    gy_buf_addc(&sql, "SET GLOBAL TimeZone='UTC';SET enable_progress_bar=true;"
                      "SET enable_progress_bar_print=false;");
    if (!o->files) {
        gy_buf_addc(&sql, "SET GLOBAL allowed_paths=[");
        for (size_t i = 0; i < o->n_readable; i++) {
            gy_buf_addc(&sql, i ? "," : "");
            gy_duck_quote(&sql, gy_str_c(o->readable[i]));
        }
        gy_buf_addc(&sql, "];SET GLOBAL enable_external_access=false;");
    }
    gy_buf_addc(&sql, "SET GLOBAL lock_configuration=true");
    GY_TRY(gy_buf_check(&sql, "the settings of SQL", err));
    return gy_duck_run(d, gy_buf_str(&sql), err);
}

gy_status gy_duck_open(const struct gy_duck_options *o, struct gy_duck **ret, struct gy_err *err)
{
    GY_TRY(gy_duck_lib_open(err));
    GY_AUTO(gy_duck_free) struct gy_duck *d = gy_calloc(1, sizeof *d);
    if (!d) {
        return gy_err_set(err, GY_E_NOMEM, "opening DuckDB");
    }
    (void)pthread_mutex_init(&d->lock, NULL); /* can not fail on Linux */
    duckdb_config config = NULL;
    if (LIB->create_config(&config) != GY_DUCK_SUCCESS) {
        return gy_err_set(err, GY_E_NOMEM, "opening DuckDB");
    }
    gy_status status = configure(config, o, err);
    if (status == GY_OK) {
        char *why = NULL;
        if (LIB->open_ext(NULL, &d->database, config, &why) != GY_DUCK_SUCCESS) {
            status = gy_err_set(err, GY_E_FAILED, "DuckDB can not be opened: %.300s",
                                why ? why : "no reason was given");
            LIB->free(why);
        }
    }
    LIB->destroy_config(&config);
    GY_TRY(status);
    if (LIB->connect(d->database, &d->connection) != GY_DUCK_SUCCESS) {
        return gy_err_set(err, GY_E_FAILED, "DuckDB gives no connection");
    }
    GY_TRY(settle(d, o, err));
    *ret = GY_TAKE(d);
    return GY_OK;
}

void gy_duck_free(struct gy_duck *d)
{
    if (!d) {
        return;
    }
    if (d->connection) {
        LIB->disconnect(&d->connection);
    }
    if (d->database) {
        LIB->close(&d->database);
    }
    (void)pthread_mutex_destroy(&d->lock);
    gy_free(d);
}

void gy_duck_interrupt(struct gy_duck *d)
{
    LIB->interrupt(d->connection);
}

double gy_duck_progress(struct gy_duck *d)
{
    double percentage = LIB->query_progress(d->connection).percentage;
    return percentage < 0 ? -1 : percentage / 100;
}

/* ---- queries ---- */

static gy_status bind_one(duckdb_prepared_statement s, idx_t index, const struct gy_duck_param *p,
                          struct gy_err *err)
{
    int state = GY_DUCK_SUCCESS;
    switch (p->kind) {
    case GY_DUCK_NULL:
        state = LIB->bind_null(s, index);
        break;
    case GY_DUCK_BOOL:
        state = LIB->bind_boolean(s, index, p->b);
        break;
    case GY_DUCK_INT:
        state = LIB->bind_int64(s, index, p->i);
        break;
    case GY_DUCK_REAL:
        state = LIB->bind_double(s, index, p->f);
        break;
    case GY_DUCK_TEXT:
        if (!gy_str_is_utf8(p->text)) {
            return gy_err_set(err, GY_E_INVALID, "the value of $%" GY_STR_F " is not UTF-8",
                              GY_STR_A(p->name));
        }
        state = LIB->bind_varchar_length(s, index, p->text.p ? p->text.p : "", p->text.n);
        break;
    }
    return state == GY_DUCK_SUCCESS
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "the value of $%" GY_STR_F " can not be used",
                            GY_STR_A(p->name));
}

static gy_status bind(duckdb_prepared_statement s, const struct gy_duck_param *params, size_t n,
                      struct gy_err *err)
{
    const idx_t wanted = LIB->nparams(s);
    bool used[GY_DUCK_MAX_PARAMS] = {false};
    if (n > GY_DUCK_MAX_PARAMS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d parameters", GY_DUCK_MAX_PARAMS);
    }
    for (idx_t i = 1; i <= wanted; i++) {
        const char *name = LIB->parameter_name(s, i);
        size_t at = 0;
        while (at < n && !gy_str_eqc(params[at].name, name ? name : "")) {
            at++;
        }
        gy_status status = GY_OK;
        if (at == n) {
            status = gy_err_set(err, GY_E_INVALID, "the parameter $%.100s has no value",
                                name ? name : "?");
        } else {
            used[at] = true;
            status = bind_one(s, i, &params[at], err);
        }
        LIB->free((void *)(uintptr_t)name);
        GY_TRY(status);
    }
    for (size_t i = 0; i < n; i++) {
        if (!used[i]) {
            return gy_err_set(err, GY_E_INVALID, "the statement has no parameter $%" GY_STR_F,
                              GY_STR_A(gy_str_sub(params[i].name, 0, 100)));
        }
    }
    return GY_OK;
}

void gy_duck_rows_free(struct gy_duck_rows *r)
{
    if (!r) {
        return;
    }
    if (r->chunk) {
        LIB->destroy_data_chunk(&r->chunk);
    }
    for (size_t i = 0; r->nodes && i < r->n_columns; i++) {
        gy_duck_node_free(r->nodes[i]);
    }
    gy_free(r->nodes);
    gy_free(r->vectors);
    if (r->has_result) {
        LIB->destroy_result(&r->result);
    }
    if (r->statement) {
        LIB->destroy_prepare(&r->statement);
    }
    gy_free(r);
}

static gy_status describe(struct gy_duck_rows *r, struct gy_err *err)
{
    if (LIB->result_return_type(r->result) != GY_DUCK_RESULT_ROWS) {
        r->changed = (int64_t)LIB->rows_changed(&r->result);
        return GY_OK;
    }
    const size_t n = (size_t)LIB->column_count(&r->result);
    r->nodes = gy_calloc(n, sizeof *r->nodes);
    r->vectors = gy_calloc(n, sizeof *r->vectors);
    if (!r->nodes || !r->vectors) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu columns", n);
    }
    r->n_columns = n;
    for (size_t i = 0; i < n; i++) {
        if (gy_duck_node_new(LIB->column_logical_type(&r->result, i), 0, &r->nodes[i], err) !=
            GY_OK) {
            return gy_err_wrap(err, "column \"%.100s\"", gy_duck_name(r, i));
        }
    }
    return GY_OK;
}

static gy_status prepare(struct gy_duck *d, duckdb_extracted_statements all, idx_t index,
                         struct gy_duck_rows **ret, struct gy_err *err)
{
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "running SQL");
    }
    r->duck = d;
    if (LIB->prepare_extracted_statement(d->connection, all, index, &r->statement) !=
        GY_DUCK_SUCCESS) {
        return failed(d, r->statement ? LIB->prepare_error(r->statement) : NULL, err);
    }
    *ret = GY_TAKE(r);
    return GY_OK;
}

static gy_status execute(struct gy_duck_rows *r, struct gy_err *err)
{
    r->has_result = true; /* also a failed one is to be destroyed */
    return LIB->execute_prepared_streaming(r->statement, &r->result) == GY_DUCK_SUCCESS
               ? describe(r, err)
               : failed(r->duck, LIB->result_error(&r->result), err);
}

static gy_status drain(struct gy_duck_rows *r, struct gy_err *err)
{
    for (size_t n = 1; n > 0;) {
        GY_TRY(gy_duck_next(r, &n, err));
    }
    return GY_OK;
}

/* The last of what DuckDB made of a statement gives the rows; PIVOT without IN first looks at the
 * values that become columns. */
static gy_status run_parts(struct gy_duck *d, duckdb_extracted_statements all, idx_t n,
                           const struct gy_duck_param *params, size_t n_params,
                           struct gy_duck_rows **ret, struct gy_err *err)
{
    for (idx_t i = 0; i < n; i++) {
        GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
        const bool last = i + 1 == n;
        GY_TRY(prepare(d, all, i, &r, err));
        GY_REQUIRE(r); /* a failure has a code */
        GY_TRY(bind(r->statement, params, last ? n_params : 0, err));
        GY_TRY(execute(r, err));
        if (last) {
            *ret = GY_TAKE(r);
            return GY_OK;
        }
        GY_TRY(drain(r, err));
    }
    return gy_err_set(err, GY_E_INVALID, "the SQL can not be taken apart into statements");
}

/* One statement, whose text ends in NUL. */
static gy_status run_one(struct gy_duck *d, const char *sql, const struct gy_duck_param *params,
                         size_t n_params, struct gy_duck_rows **ret, struct gy_err *err)
{
    duckdb_extracted_statements all = NULL;
    const idx_t n = LIB->extract_statements(d->connection, sql, &all);
    const char *why = LIB->extract_statements_error(all);
    gy_status status = why ? failed(d, why, err) : run_parts(d, all, n, params, n_params, ret, err);
    LIB->destroy_extracted(&all);
    return status;
}

/* Behind its statement, `rest` holds no other one. */
static bool is_last(struct gy_str rest)
{
    struct gy_str statement;
    return !gy_duck_statement_next(&rest, &statement);
}

static gy_status run_all(struct gy_duck *d, struct gy_str sql, const struct gy_duck_param *params,
                         size_t n_params, struct gy_duck_rows **ret, struct gy_err *err)
{
    struct gy_str rest = sql, statement;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DUCK_MAX_SQL);
    while (gy_duck_statement_next(&rest, &statement)) {
        const bool last = is_last(rest);
        GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
        gy_buf_reset(&text);
        for (const char *c = sql.p; c < statement.p; c++) {
            gy_buf_addc(&text, *c == '\n' ? "\n" : ""); /* so that messages name the right line */
        }
        gy_buf_add(&text, statement);
        GY_TRY(gy_buf_check(&text, "the SQL", err));
        if (d->before) {
            GY_TRY(d->before(d->before_ctx, statement, err));
        }
        GY_TRY(run_one(d, text.p, params, last ? n_params : 0, &r, err));
        if (last) {
            *ret = GY_TAKE(r);
            return GY_OK;
        }
        GY_TRY(drain(r, err));
    }
    return gy_err_set(err, GY_E_INVALID, "there is no statement in the SQL");
}

gy_status gy_duck_query(struct gy_duck *d, struct gy_str sql, const struct gy_duck_param *params,
                        size_t n_params, struct gy_duck_rows **ret, struct gy_err *err)
{
    if (sql.n > GY_DUCK_MAX_SQL) {
        return gy_err_set(err, GY_E_TOOBIG, "the SQL is longer than %zu bytes", GY_DUCK_MAX_SQL);
    }
    if (!gy_str_is_utf8(sql) || gy_str_find(sql, '\0') != SIZE_MAX) {
        return gy_err_set(err, GY_E_INVALID, "the SQL is not UTF-8");
    }
    (void)pthread_mutex_lock(&d->lock);
    d->own = (struct gy_err)GY_ERR_INIT;
    (void)pthread_mutex_unlock(&d->lock);
    return run_all(d, sql, params, n_params, ret, err);
}

gy_status gy_duck_run(struct gy_duck *d, struct gy_str sql, struct gy_err *err)
{
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
    GY_TRY(gy_duck_query(d, sql, NULL, 0, &r, err));
    return drain(r, err);
}

size_t gy_duck_n_columns(const struct gy_duck_rows *r)
{
    return r->n_columns;
}

const char *gy_duck_name(const struct gy_duck_rows *r, size_t column)
{
    /* The library takes no const, but changes nothing. */
    const char *name = LIB->column_name((duckdb_result *)(uintptr_t)&r->result, column);
    return name ? name : "";
}

const char *gy_duck_type(const struct gy_duck_rows *r, size_t column)
{
    return gy_duck_type_name(r->nodes[column]->type);
}

bool gy_duck_is_number(const struct gy_duck_rows *r, size_t column)
{
    const enum gy_duck_type t = r->nodes[column]->type;
    return (t >= GY_DUCK_TINYINT && t <= GY_DUCK_DOUBLE) || t == GY_DUCK_HUGEINT ||
           t == GY_DUCK_UHUGEINT || t == GY_DUCK_DECIMAL;
}

int64_t gy_duck_changed(const struct gy_duck_rows *r)
{
    return r->changed;
}

gy_status gy_duck_next(struct gy_duck_rows *r, size_t *ret_n, struct gy_err *err)
{
    if (r->chunk) {
        LIB->destroy_data_chunk(&r->chunk);
    }
    *ret_n = 0;
    if (r->n_columns == 0) {
        return GY_OK;
    }
    r->chunk = LIB->fetch_chunk(r->result);
    if (!r->chunk) {
        const char *why = LIB->result_error(&r->result);
        return why ? failed(r->duck, why, err) : GY_OK;
    }
    for (size_t i = 0; i < r->n_columns; i++) {
        r->vectors[i] = LIB->data_chunk_get_vector(r->chunk, i);
    }
    *ret_n = (size_t)LIB->data_chunk_get_size(r->chunk);
    return GY_OK;
}

bool gy_duck_cell(const struct gy_duck_rows *r, size_t row, size_t column, struct gy_buf *out)
{
    return gy_duck_node_text(r->nodes[column], r->vectors[column], row, out);
}

void gy_duck_cell_json(const struct gy_duck_rows *r, size_t row, size_t column, struct gy_jw *w)
{
    gy_duck_node_json(r->nodes[column], r->vectors[column], row, w);
}
