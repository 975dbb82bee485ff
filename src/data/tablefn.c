/* SPDX-License-Identifier: Apache-2.0 */
/* How SQL's names become tables: by views made before a statement is parsed (DuckDB's own readers
 * would take the names of files otherwise), whose table function is one of two. */
#include "data/tablefn.h"

#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/duck_sql.h"
#include "data/tablefn_internal.h"

#define LIB gy_duck_lib()

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
}

void gy_tablefn_table_free(void *arg)
{
    struct gy_tablefn_table *t = arg;
    if (!t) {
        return;
    }
    gy_source_list_done(&t->sources);
    gy_schema_free(t->given);
    gy_schema_free(t->inferred);
    gy_arena_done(&t->arena);
    gy_free(t->path);
    gy_free(t);
}
GY_DEFINE_AUTO(struct gy_tablefn_table *, gy_tablefn_table_free);

static gy_status add_note(struct gy_tablefn *owner, struct gy_str what,
                          struct gy_tablefn_note **ret, struct gy_err *err)
{
    struct gy_tablefn_note *n = gy_calloc(1, sizeof *n);
    if (!n) {
        return no_memory(err);
    }
    (void)snprintf(n->what, sizeof n->what, "%" GY_STR_F, GY_STR_A(what));
    *owner->last = n;
    owner->last = &n->next;
    *ret = n;
    return GY_OK;
}

static gy_status table_new(struct gy_tablefn *owner, struct gy_str path, struct gy_str what,
                           struct gy_tablefn_table **ret, struct gy_err *err)
{
    GY_AUTO(gy_tablefn_table_free) struct gy_tablefn_table *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return no_memory(err);
    }
    gy_arena_init(&t->arena, 64 * GY_MIB);
    t->owner = owner;
    t->path = gy_malloc(path.n + 1);
    if (!t->path) {
        return no_memory(err);
    }
    memcpy(t->path, path.p, path.n);
    t->path[path.n] = '\0';
    GY_TRY(add_note(owner, what, &t->note, err));
    *ret = GY_TAKE(t);
    return GY_OK;
}

/* ---- parameters ---- */

/* A text parameter into out; false when it is absent or NULL. */
static bool text_of(duckdb_value v, struct gy_buf *out)
{
    /* It throws at NULL, which must not pass through C. */
    char *text = v && !LIB->is_null_value(v) ? LIB->get_varchar(v) : NULL;
    const bool there = text != NULL;
    gy_buf_addc(out, text ? text : "");
    LIB->free(text);
    if (v) {
        LIB->destroy_value(&v);
    }
    return there;
}

static bool named_text(duckdb_bind_info info, const char *name, struct gy_buf *out)
{
    gy_buf_reset(out);
    return text_of(LIB->bind_get_named_parameter(info, name), out);
}

static bool named_flag(duckdb_bind_info info, const char *name)
{
    duckdb_value v = LIB->bind_get_named_parameter(info, name);
    const bool yes = v && !LIB->is_null_value(v) && LIB->get_bool(v);
    if (v) {
        LIB->destroy_value(&v);
    }
    return yes;
}

static gy_status file_options(struct gy_tablefn_table *t, duckdb_bind_info info, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_PATH);
    if (named_text(info, "format", &text)) {
        GY_TRY(gy_ingest_parse_format(gy_buf_str(&text), &t->format, err));
    }
    if (named_text(info, "delimiter", &text)) {
        if (text.n != 1) {
            return gy_err_set(err, GY_E_INVALID, "a delimiter is one of , ; tab |");
        }
        t->delimiter = text.p[0];
    }
    if (named_text(info, "schema", &text)) {
        GY_TRY(gy_buf_check(&text, "the path of a schema", err));
        GY_TRY(gy_schema_read(text.p, &t->given, err));
    }
    return GY_OK;
}

/* ---- bind ---- */

static void add_column(duckdb_bind_info info, const char *name, enum gy_duck_type type)
{
    duckdb_logical_type logical = LIB->create_logical_type((duckdb_type)type);
    LIB->bind_add_result_column(info, name, logical);
    LIB->destroy_logical_type(&logical);
}

static void add_columns(const struct gy_tablefn_table *t, duckdb_bind_info info)
{
    static const struct {
        const char *name;
        enum gy_duck_type type;
    } extra[GY_TABLEFN_N_EXTRA] = {
        [GY_TABLEFN_FILE] = {"_file", GY_DUCK_VARCHAR},
        [GY_TABLEFN_ROW] = {"_row", GY_DUCK_BIGINT},
        [GY_TABLEFN_OFFSET] = {"_offset", GY_DUCK_BIGINT},
        [GY_TABLEFN_LENGTH] = {"_length", GY_DUCK_BIGINT},
        [GY_TABLEFN_CODES] = {"_codes", GY_DUCK_VARCHAR},
        [GY_TABLEFN_ERROR] = {"_error", GY_DUCK_VARCHAR},
        [GY_TABLEFN_RAW] = {"_raw", GY_DUCK_BLOB},
    };
    if (t->counted) {
        add_column(info, GY_TABLEFN_COUNTED, GY_DUCK_BOOLEAN);
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        add_column(info, t->names[i].p, gy_tablefn_type(t, i)); /* arena texts end in NUL */
    }
    for (size_t i = 0; t->records && i < GY_TABLEFN_N_EXTRA; i++) {
        add_column(info, extra[i].name, extra[i].type);
    }
}

/* Look at the sources of t and tell DuckDB what they hold. */
static gy_status finish_bind(struct gy_tablefn_table *t, duckdb_bind_info info, struct gy_err *err)
{
    t->records = named_flag(info, "records");
    t->all_text = named_flag(info, "all_text");
    t->counted = named_flag(info, GY_TABLEFN_COUNTED);
    const bool input = strcmp(t->path, "-") == 0;
    t->list = input ? &t->owner->input : &t->sources;
    if (t->list->n == 0) {
        GY_TRY(gy_source_list_add_path(t->list, t->path, NULL, err));
    }
    GY_TRY(gy_tablefn_columns(t, err));
    add_columns(t, info);
    return GY_OK;
}

static gy_status bind_file(struct gy_tablefn *owner, duckdb_bind_info info,
                           struct gy_tablefn_table **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH - 1);
    if (!text_of(LIB->bind_get_parameter(info, 0), &path)) {
        return gy_err_set(err, GY_E_INVALID, "gyre_read wants the path of a file");
    }
    GY_TRY(gy_buf_check(&path, "a path", err));
    GY_TRY(table_new(owner, gy_buf_str(&path), gy_buf_str(&path), ret, err));
    GY_TRY(file_options(*ret, info, err));
    return finish_bind(*ret, info, err);
}

/* Fails as the option `dataset` does. */
static gy_status find_dataset(struct gy_tablefn *t, struct gy_str ref,
                              const struct gy_tablefn_dataset **ret, struct gy_err *err)
{
    struct gy_tablefn_found *f = t->found;
    while (f && !gy_str_eqc(ref, f->ref)) {
        f = f->next;
    }
    if (!f) {
        f = ref.n < GY_MAX_PATH ? gy_calloc(1, sizeof *f) : NULL;
        if (!f) {
            return no_memory(err);
        }
        memcpy(f->ref, ref.p, ref.n);
        gy_buf_init(&f->where.schema_json, GY_MAX_YAML);
        gy_status status = t->o.dataset(t->o.ctx, ref, &f->where, err);
        if (status != GY_OK) {
            gy_buf_done(&f->where.schema_json);
            gy_free(f);
            return status;
        }
        f->next = t->found;
        t->found = f;
    }
    *ret = &f->where;
    return GY_OK;
}

static gy_status bind_dataset(struct gy_tablefn *owner, duckdb_bind_info info,
                              struct gy_tablefn_table **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf ref;
    const struct gy_tablefn_dataset *where = NULL;
    gy_buf_init(&ref, GY_MAX_PATH - 1);
    if (!text_of(LIB->bind_get_parameter(info, 0), &ref)) {
        return gy_err_set(err, GY_E_INVALID, "dataset() wants a name such as 'sepsis@3'");
    }
    GY_TRY(gy_buf_check(&ref, "the name of a dataset", err));
    GY_TRY(find_dataset(owner, gy_buf_str(&ref), &where, err));
    GY_TRY(table_new(owner, gy_str_c(where->path), gy_buf_str(&ref), ret, err));
    (*ret)->format = GY_INGEST_CSV; /* canonical, whatever its first byte */
    (*ret)->delimiter = ',';
    if (where->schema_json.n > 0) {
        GY_TRY(gy_schema_parse(gy_buf_str(&where->schema_json), ref.p, &(*ret)->given, err));
    }
    return finish_bind(*ret, info, err);
}

static void bind_with(duckdb_bind_info info,
                      gy_status (*fn)(struct gy_tablefn *owner, duckdb_bind_info info,
                                      struct gy_tablefn_table **ret, struct gy_err *err))
{
    struct gy_tablefn *owner = LIB->bind_get_extra_info(info);
    struct gy_tablefn_table *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (fn(owner, info, &t, &err) != GY_OK) {
        gy_tablefn_table_free(t);
        gy_duck_keep(owner->duck, &err);
        LIB->bind_set_error(info, err.msg);
        return;
    }
    LIB->bind_set_bind_data(info, t, gy_tablefn_table_free);
}

static void on_bind_file(duckdb_bind_info info)
{
    bind_with(info, bind_file);
}

static void on_bind_dataset(duckdb_bind_info info)
{
    bind_with(info, bind_dataset);
}

/* ---- names ---- */

static gy_status before_statement(void *ctx, struct gy_str statement, struct gy_err *err);

static bool is_data_path(struct gy_str name)
{
    return name.n < GY_MAX_PATH &&
           (gy_str_eqc(name, "-") || gy_str_ends(name, GY_STR("/")) ||
            (gy_ingest_is_data_name(name.p) && gy_str_find(name, '\0') == SIZE_MAX));
}

/* Does SQL have a table or view of this name by itself? */
static gy_status is_known(struct gy_tablefn *t, struct gy_str name, bool *ret, struct gy_err *err)
{
    const struct gy_str sql =
        GY_STR("SELECT 1 FROM (SELECT table_name AS name, temporary FROM duckdb_tables() UNION ALL "
               "SELECT view_name, temporary FROM duckdb_views() WHERE NOT internal) "
               "WHERE lower(name) = lower($name) LIMIT 1");
    const struct gy_duck_param param = {.name = GY_STR("name"), .kind = GY_DUCK_TEXT, .text = name};
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
    size_t n = 0;
    t->duck->before = NULL; /* this names no file */
    gy_status status = gy_duck_query(t->duck, sql, &param, 1, &r, err);
    t->duck->before = before_statement;
    GY_TRY(status);
    GY_TRY(gy_duck_next(r, &n, err));
    *ret = n > 0;
    return GY_OK;
}

/* A view of this name. What it selects leaves out the first column (scan: `wanted`). */
static gy_status make_view(struct gy_tablefn *t, struct gy_str name, const char *function,
                           struct gy_str argument, struct gy_err *err)
{
    const bool ours = strcmp(function, "parquet_scan") != 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    gy_buf_init(&sql, GY_DUCK_MAX_SQL);
    gy_buf_addc(&sql, "CREATE OR REPLACE TEMP VIEW ");
    gy_duck_quote_name(&sql, name);
    gy_buf_addf(&sql, " AS SELECT * %s FROM %s(",
                ours ? "EXCLUDE (\"" GY_TABLEFN_COUNTED "\")" : "", function);
    gy_duck_quote(&sql, argument);
    gy_buf_addc(&sql, ours ? ", \"" GY_TABLEFN_COUNTED "\" := true" : "");
    if (t->o.schema && strcmp(function, "gyre_read") == 0) {
        gy_buf_addc(&sql, ", schema := ");
        gy_duck_quote(&sql, gy_str_c(t->o.schema));
    }
    gy_buf_addc(&sql, ")");
    GY_TRY(gy_buf_check(&sql, "a view", err));
    t->duck->before = NULL;
    gy_status status = gy_duck_run(t->duck, gy_buf_str(&sql), err);
    t->duck->before = before_statement;
    return status;
}

static gy_status dataset_view(struct gy_tablefn *t, struct gy_str name, struct gy_err *err)
{
    const struct gy_tablefn_dataset *where = NULL;
    struct gy_err why = GY_ERR_INIT;
    const gy_status status = find_dataset(t, name, &where, &why);
    if (status == GY_OK) {
        return where->parquet[0] ? make_view(t, name, "parquet_scan", gy_str_c(where->parquet), err)
                                 : make_view(t, name, "dataset", name, err);
    }
    if (status == GY_E_NOTFOUND || status == GY_E_INVALID || status == GY_E_USAGE) {
        return GY_OK; /* whatever else it may be, DuckDB will say */
    }
    if (err) {
        *err = why;
    }
    return status;
}

static gy_status on_name(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct gy_tablefn *t = ctx;
    const bool file = is_data_path(name);
    bool known = false;
    if (file ? !t->o.files : !t->o.dataset || name.n > GY_MAX_NAME) {
        return GY_OK;
    }
    if (file) {
        return make_view(t, name, "gyre_read", name, err);
    }
    GY_TRY(is_known(t, name, &known, err));
    return known ? GY_OK : dataset_view(t, name, err);
}

static gy_status before_statement(void *ctx, struct gy_str statement, struct gy_err *err)
{
    return gy_duck_tables(statement, on_name, ctx, err);
}

/* ---- set-up ---- */

static void add_option(duckdb_table_function f, const char *name, enum gy_duck_type type)
{
    duckdb_logical_type logical = LIB->create_logical_type((duckdb_type)type);
    if (name) {
        LIB->table_function_add_named_parameter(f, name, logical);
    } else {
        LIB->table_function_add_parameter(f, logical);
    }
    LIB->destroy_logical_type(&logical);
}

static gy_status add_function(struct gy_tablefn *t, const char *name, bool file,
                              duckdb_table_function_bind_t bind, struct gy_err *err)
{
    duckdb_table_function f = LIB->create_table_function();
    LIB->table_function_set_name(f, name);
    add_option(f, NULL, GY_DUCK_VARCHAR);
    add_option(f, "records", GY_DUCK_BOOLEAN);
    add_option(f, "all_text", GY_DUCK_BOOLEAN);
    add_option(f, GY_TABLEFN_COUNTED, GY_DUCK_BOOLEAN);
    if (file) {
        add_option(f, "schema", GY_DUCK_VARCHAR);
        add_option(f, "format", GY_DUCK_VARCHAR);
        add_option(f, "delimiter", GY_DUCK_VARCHAR);
    }
    LIB->table_function_set_extra_info(f, t, NULL);
    LIB->table_function_set_bind(f, bind);
    LIB->table_function_set_init(f, gy_tablefn_init);
    LIB->table_function_set_local_init(f, gy_tablefn_local_init);
    LIB->table_function_set_function(f, gy_tablefn_scan);
    LIB->table_function_supports_projection_pushdown(f, true);
    const int state = LIB->register_table_function(t->duck->connection, f);
    LIB->destroy_table_function(&f);
    return state == GY_DUCK_SUCCESS
               ? GY_OK
               : gy_err_set(err, GY_E_FAILED, "DuckDB does not take the table function %s", name);
}

gy_status gy_tablefn_add(struct gy_duck *d, const struct gy_tablefn_options *o,
                         struct gy_tablefn **ret, struct gy_err *err)
{
    struct gy_tablefn *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return no_memory(err);
    }
    *ret = t;
    t->duck = d;
    t->o = *o;
    t->last = &t->notes;
    (void)pthread_mutex_init(&t->lock, NULL); /* can not fail on Linux */
    if (o->files) {
        GY_TRY(add_function(t, "gyre_read", true, on_bind_file, err));
    }
    if (o->dataset) {
        GY_TRY(add_function(t, "dataset", false, on_bind_dataset, err));
    }
    d->before = before_statement;
    d->before_ctx = t;
    return GY_OK;
}

void gy_tablefn_free(struct gy_tablefn *t)
{
    if (!t) {
        return;
    }
    while (t->notes) {
        struct gy_tablefn_note *next = t->notes->next;
        gy_free(t->notes);
        t->notes = next;
    }
    gy_source_list_done(&t->input);
    while (t->found) {
        struct gy_tablefn_found *next = t->found->next;
        gy_buf_done(&t->found->where.schema_json);
        gy_free(t->found);
        t->found = next;
    }
    (void)pthread_mutex_destroy(&t->lock);
    gy_free(t);
}

bool gy_tablefn_note(const struct gy_tablefn *t, size_t index, struct gy_buf *out)
{
    for (const struct gy_tablefn_note *n = t->notes; n; n = n->next) {
        if (n->bad_values == 0 && n->bad_records == 0) {
            continue;
        }
        if (index-- > 0) {
            continue;
        }
        gy_buf_addf(out, "%s: of %lld records, ", n->what, (long long)n->records);
        if (n->bad_records) {
            gy_buf_addf(out, "%lld could not be taken apart%s", (long long)n->bad_records,
                        n->bad_values ? ", and " : "");
        }
        if (n->bad_values) {
            gy_buf_addf(out, "%lld values could not be read", (long long)n->bad_values);
        }
        gy_buf_addf(out, "; they are NULL. %s", n->first);
        return true;
    }
    return false;
}
