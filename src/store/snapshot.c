/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store_internal.h"

enum {
    COPY_ROWS = 500, /* a round trip of a copy by rows */
    MAX_TABLES = 500,
    MAX_COLUMNS = 100,
    COPY_ARENA = 64 * 1024 * 1024, /* of one such round; rows of larger values go one by one */
    LARGE_ROW = 1024 * 1024,
};

struct gy_snapshot {
    struct gy_db *db;
    bool begun;
};

/* ---- the point ---- */

struct point {
    struct gy_snapshot *snap;
    gy_snapshot_fn fn;
    void *ctx;
};

/* On the writer thread: what is committed now is what the other connection sees from here on. What
 * this group has done before is not committed and nobody was told so. */
static gy_status fix_point(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)db;
    struct point *p = ctx;
    struct gy_db *own = p->snap->db;
    bool found;
    int64_t n;
    GY_TRY(own->ops->begin(own->conn, false, err));
    p->snap->begun = true;
    GY_TRY(gy_db_get_i64(own, "SELECT COUNT(*) FROM schema_migrations", GY_NO_VALS, &found, &n,
                         err)); /* the first read fixes it */
    return p->fn ? p->fn(p->ctx, err) : GY_OK;
}

gy_status gy_snapshot_open(struct gy_store *s, gy_snapshot_fn at_point, void *ctx,
                           struct gy_snapshot **ret, struct gy_err *err)
{
    GY_AUTO(gy_snapshot_free) struct gy_snapshot *snap = gy_calloc(1, sizeof *snap);
    if (!snap) {
        return gy_err_set(err, GY_E_NOMEM, "taking a snapshot");
    }
    GY_TRY(gy_store_connect(s, &snap->db, err));
    struct point p = {snap, at_point, ctx};
    GY_TRY(gy_store_write(s, fix_point, &p, err));
    *ret = GY_TAKE(snap);
    return GY_OK;
}

void gy_snapshot_free(struct gy_snapshot *s)
{
    if (!s) {
        return;
    }
    if (s->db && s->begun) {
        gy_db_finish_all(s->db);
        s->db->ops->rollback(s->db->conn);
    }
    gy_db_free(s->db);
    gy_free(s);
}

gy_status gy_snapshot_read(struct gy_snapshot *s, gy_db_fn fn, void *ctx, struct gy_err *err)
{
    gy_status status = fn(s->db, ctx, err);
    gy_db_finish_all(s->db);
    return status;
}

/* ---- the schema: as a SQLite database of this program has it ---- */

struct table {
    struct gy_str name;
    struct gy_str columns; /* "a, b, c" */
    size_t n_columns;
    int64_t born; /* rows in a new database */
};
struct schema {
    struct table tables[MAX_TABLES]; /* a table comes after those that it refers to */
    size_t n;
};

static gy_status read_columns(struct gy_db *db, struct table *t, struct gy_arena *a,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 64 * GY_KIB);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, "SELECT name FROM pragma_table_info(?) ORDER BY cid",
                       GY_VALS(gy_vs(t->name)), &st, err));
    for (bool row = true;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        gy_buf_addf(&text, "%s\"%" GY_STR_F "\"", t->n_columns++ ? ", " : "",
                    GY_STR_A(gy_col_str(st, 0)));
    }
    GY_TRY(gy_buf_check(&text, "the columns", err));
    t->columns = gy_arena_str(a, gy_buf_str(&text));
    if (!t->columns.p || t->n_columns > MAX_COLUMNS) {
        return gy_err_set(err, t->columns.p ? GY_E_TOOBIG : GY_E_NOMEM, "reading the schema");
    }
    return GY_OK;
}

static gy_status count_rows(struct gy_db *db, struct gy_str table, int64_t *ret, struct gy_err *err)
{
    char sql[256];
    bool found;
    (void)snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM \"%" GY_STR_F "\"", GY_STR_A(table));
    return gy_db_get_i64(db, sql, GY_NO_VALS, &found, ret, err);
}

static gy_status read_schema(struct gy_db *sqlite, struct gy_arena *a, struct schema *ret,
                             struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(sqlite,
                       "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
                       "'sqlite_%' AND name <> 'schema_migrations' ORDER BY rowid",
                       GY_NO_VALS, &st, err));
    ret->n = 0;
    for (bool row = true;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (ret->n == MAX_TABLES) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %d tables", MAX_TABLES);
        }
        struct table *t = &ret->tables[ret->n++];
        *t = (struct table){.name = gy_col_dup(st, 0, a)};
        if (!t->name.p) {
            return gy_err_set(err, GY_E_NOMEM, "reading the schema");
        }
        GY_TRY(read_columns(sqlite, t, a, err));
        GY_TRY(count_rows(sqlite, t->name, &t->born, err));
    }
}

/* The schema of this program, from a database in memory made for that. */
static gy_status own_schema(struct gy_arena *a, struct schema *ret, struct gy_err *err)
{
    GY_AUTO(gy_db_free) struct gy_db *db = NULL;
    const struct gy_sql_config cfg = {.location = GY_STR(":memory:")};
    GY_TRY(gy_db_open(gy_sql_sqlite, &cfg, &db, err));
    GY_TRY(gy_store_migrate(db, gy_migrations, gy_migrations_count, NULL, true, err));
    gy_status status = read_schema(db, a, ret, err);
    gy_db_finish_all(db);
    return status;
}

static gy_status schema_new(struct gy_arena *a, struct schema **ret, struct gy_err *err)
{
    struct schema *s = gy_arena_calloc(a, 1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "reading the schema");
    }
    *ret = s;
    return own_schema(a, s, err);
}

static int by_name(const void *a, const void *b)
{
    const struct gy_table_count *x = a, *y = b;
    return gy_str_cmp(x->table, y->table);
}

gy_status gy_store_count(struct gy_db *db, struct gy_arena *a, struct gy_table_count **ret,
                         size_t *ret_n, struct gy_err *err)
{
    struct schema *s = NULL;
    GY_TRY(schema_new(a, &s, err));
    struct gy_table_count *counts = gy_arena_calloc(a, s->n + 1, sizeof *counts);
    if (!counts) {
        return gy_err_set(err, GY_E_NOMEM, "counting rows");
    }
    for (size_t i = 0; i < s->n; i++) {
        counts[i].table = s->tables[i].name;
        GY_TRY(count_rows(db, counts[i].table, &counts[i].rows, err));
    }
    qsort(counts, s->n, sizeof *counts, by_name);
    *ret = counts;
    *ret_n = s->n;
    return GY_OK;
}

/* ---- copying by rows ---- */

struct copy {
    struct gy_db *from, *to;
    const struct table *table;
    char *insert;
    struct gy_arena *arena; /* of the rows that are gathered */
    struct gy_val *vals;
    size_t n_rows, bytes;
};

static gy_status sql_texts(const struct table *t, struct gy_arena *a, char **ret_select,
                           char **ret_insert, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf select, insert;
    gy_buf_init(&select, 64 * GY_KIB);
    gy_buf_init(&insert, 64 * GY_KIB);
    gy_buf_addf(&select, "SELECT %" GY_STR_F " FROM \"%" GY_STR_F "\"", GY_STR_A(t->columns),
                GY_STR_A(t->name));
    gy_buf_addf(&insert, "INSERT INTO \"%" GY_STR_F "\" (%" GY_STR_F ") VALUES (",
                GY_STR_A(t->name), GY_STR_A(t->columns));
    for (size_t i = 0; i < t->n_columns; i++) {
        gy_buf_addc(&insert, i ? ", ?" : "?");
    }
    gy_buf_addc(&insert, ")");
    GY_TRY(gy_buf_check(&select, "the columns", err));
    GY_TRY(gy_buf_check(&insert, "the columns", err));
    *ret_select = gy_arena_strdup(a, gy_buf_str(&select));
    *ret_insert = gy_arena_strdup(a, gy_buf_str(&insert));
    return *ret_select && *ret_insert ? GY_OK : gy_err_set(err, GY_E_NOMEM, "copying a table");
}

static gy_status flush(struct copy *c, struct gy_err *err)
{
    GY_TRY(gy_db_exec_many(c->to, c->insert, c->vals, c->table->n_columns, c->n_rows, NULL, err));
    gy_arena_reset(c->arena);
    c->vals = NULL;
    c->n_rows = c->bytes = 0;
    return GY_OK;
}

static gy_status take_value(struct copy *c, struct gy_stmt *st, int column, struct gy_val *ret,
                            struct gy_err *err)
{
    switch (gy_col_kind(st, column)) {
    case GY_VAL_NULL:
        *ret = gy_vnull();
        return GY_OK;
    case GY_VAL_INT:
        *ret = gy_vi(gy_col_i64(st, column));
        return GY_OK;
    case GY_VAL_REAL:
        *ret = gy_vf(gy_col_f64(st, column));
        return GY_OK;
    case GY_VAL_TEXT:
        *ret = gy_vs(gy_col_dup(st, column, c->arena));
        break;
    case GY_VAL_BLOB:
        *ret = gy_vb(gy_arena_str(c->arena, gy_col_blob(st, column)));
        break;
    }
    c->bytes += ret->s.n;
    return ret->s.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "copying a row");
}

static gy_status copy_table(struct copy *c, struct gy_arena *a, struct gy_err *err)
{
    char *select = NULL;
    GY_TRY(sql_texts(c->table, a, &select, &c->insert, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(c->from, select, GY_NO_VALS, &st, err));
    size_t n = c->table->n_columns;
    for (bool row = true;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return flush(c, err);
        }
        if (!c->vals) {
            c->vals = gy_arena_calloc(c->arena, COPY_ROWS * n, sizeof *c->vals);
            if (!c->vals) {
                return gy_err_set(err, GY_E_NOMEM, "copying a row");
            }
        }
        struct gy_val *vals = c->vals + c->n_rows++ * n;
        for (size_t i = 0; i < n; i++) {
            GY_TRY(take_value(c, st, (int)i, &vals[i], err));
        }
        if (c->n_rows == COPY_ROWS || c->bytes > LARGE_ROW) {
            GY_TRY(flush(c, err));
        }
    }
}

/* PostgreSQL counts row numbers apart from the rows. */
static gy_status set_counters(struct gy_db *db, const struct schema *s, struct gy_err *err)
{
    if (db->ops->dialect != GY_SQL_POSTGRES) {
        return GY_OK;
    }
    for (size_t i = 0; i < s->n; i++) {
        static const char *const keys[] = {"id", "seq"};
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            char sql[512];
            bool found = false;
            int64_t n = 0;
            GY_TRY(gy_db_get_i64(db,
                                 "SELECT COUNT(*) FROM information_schema.columns WHERE table_name "
                                 "= ? AND column_name = ? AND is_identity = 'YES' AND table_schema "
                                 "= current_schema()",
                                 GY_VALS(gy_vs(s->tables[i].name), gy_vc(keys[k])), &found, &n,
                                 err));
            if (n == 0) {
                continue;
            }
            (void)snprintf(sql, sizeof sql,
                           "SELECT setval(pg_get_serial_sequence('\"%" GY_STR_F "\"', '%s'), "
                           "COALESCE(MAX(\"%s\"), 0) + 1, false) FROM \"%" GY_STR_F "\"",
                           GY_STR_A(s->tables[i].name), keys[k], keys[k],
                           GY_STR_A(s->tables[i].name));
            GY_TRY(gy_db_get_i64(db, sql, GY_NO_VALS, &found, &n, err));
        }
    }
    return GY_OK;
}

/* Rows that a new database has of itself (workspaces) go first. */
static gy_status copy_all(struct gy_db *from, struct gy_db *to, struct gy_err *err)
{
    struct schema *s = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a, rows;
    gy_arena_init(&a, 4 * GY_MIB);
    gy_arena_init(&rows, GY_SQL_MAX_VALUE + COPY_ARENA);
    GY_TRY(schema_new(&a, &s, err));
    for (size_t i = s->n; i-- > 0;) {
        char sql[256];
        (void)snprintf(sql, sizeof sql, "DELETE FROM \"%" GY_STR_F "\"",
                       GY_STR_A(s->tables[i].name));
        GY_TRY(gy_db_exec(to, sql, GY_NO_VALS, NULL, err));
    }
    for (size_t i = 0; i < s->n; i++) {
        struct copy c = {.from = from, .to = to, .table = &s->tables[i], .arena = &rows};
        gy_status status = copy_table(&c, &a, err);
        if (status != GY_OK) {
            gy_err_wrap(err, "table %" GY_STR_F, GY_STR_A(s->tables[i].name));
            return status;
        }
    }
    return set_counters(to, s, err);
}

/* ---- saving and loading ---- */

static gy_status save_by_rows(struct gy_snapshot *s, const char *path, struct gy_err *err)
{
    GY_AUTO(gy_db_free) struct gy_db *db = NULL;
    const struct gy_sql_config cfg = {.location = gy_str_c(path),
                                      .busy_timeout_ms = GY_STORE_BUSY_MS};
    GY_TRY(gy_db_open(gy_sql_sqlite, &cfg, &db, err));
    GY_TRY(gy_store_migrate(db, gy_migrations, gy_migrations_count, NULL, true, err));
    GY_TRY(db->ops->begin(db->conn, true, err));
    gy_status status = copy_all(s->db, db, err);
    gy_db_finish_all(db);
    gy_db_finish_all(s->db);
    if (status == GY_OK) {
        status = db->ops->commit(db->conn, err);
    }
    if (status != GY_OK) {
        db->ops->rollback(db->conn);
    }
    return status;
}

gy_status gy_snapshot_save(struct gy_snapshot *s, const char *path, struct gy_err *err)
{
    if (gy_path_exists(path)) {
        return gy_err_set(err, GY_E_EXISTS, "'%s' is there already", path);
    }
    return s->db->ops->backup ? s->db->ops->backup(s->db->conn, path, err)
                              : save_by_rows(s, path, err);
}

gy_status gy_saved_read(const char *path, gy_db_fn fn, void *ctx, struct gy_err *err)
{
    if (!gy_path_exists(path)) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no '%s'", path);
    }
    GY_AUTO(gy_db_free) struct gy_db *db = NULL;
    const struct gy_sql_config cfg = {.location = gy_str_c(path),
                                      .busy_timeout_ms = GY_STORE_BUSY_MS};
    GY_TRY(gy_db_open(gy_sql_sqlite, &cfg, &db, err));
    GY_TRY(db->ops->check(db->conn, err));
    GY_TRY(db->ops->begin(db->conn, false, err));
    gy_status status = fn(db, ctx, err);
    gy_db_finish_all(db);
    db->ops->rollback(db->conn);
    return status;
}

/* Rows that the migrations put into a new database, and the experiment "Default" beside them. */
static bool is_new(const struct table *t, int64_t rows)
{
    return rows <= t->born || (rows == 1 && gy_str_eqc(t->name, "experiments"));
}

static gy_status need_new(struct gy_db *db, struct gy_err *err)
{
    struct schema *s = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MIB);
    GY_TRY(schema_new(&a, &s, err));
    for (size_t i = 0; i < s->n; i++) {
        int64_t rows = 0;
        GY_TRY(count_rows(db, s->tables[i].name, &rows, err));
        if (!is_new(&s->tables[i], rows)) {
            gy_err_set(err, GY_E_CONFLICT, "the store is not empty: %" GY_STR_F " has %lld rows",
                       GY_STR_A(s->tables[i].name), (long long)rows);
            return gy_err_hint(err, "restore into a new database");
        }
    }
    return GY_OK;
}

static gy_status newest_of(struct gy_db *db, int64_t *ret, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, "SELECT COALESCE(MAX(number), 0) FROM schema_migrations", GY_NO_VALS,
                         &found, ret, err);
}

struct load {
    struct gy_db *to;
};

static gy_status load_from(struct gy_db *from, void *ctx, struct gy_err *err)
{
    struct load *l = ctx;
    int64_t theirs = 0, ours = 0;
    GY_TRY(newest_of(from, &theirs, err));
    GY_TRY(newest_of(l->to, &ours, err));
    if (theirs != ours) {
        return gy_err_set(err, GY_E_VERSION, "the copy has schema %lld, the store %lld",
                          (long long)theirs, (long long)ours);
    }
    return copy_all(from, l->to, err);
}

static gy_status load_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct load l = {db};
    GY_TRY(need_new(db, err));
    return gy_saved_read(ctx, load_from, &l, err);
}

gy_status gy_store_load(struct gy_store *s, const char *path, struct gy_err *err)
{
    char copy[GY_MAX_PATH];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
        return gy_err_set(err, GY_E_INVALID, "the path is too long");
    }
    return gy_store_write(s, load_closure, copy, err);
}
