/* SPDX-License-Identifier: Apache-2.0 */
/* A connection with its statement cache, and the gy_db_* and gy_col_* calls of closures. */
#include "base/mem.h"
#include "store/store_internal.h"

#define N_BUCKETS 512

struct gy_stmt {
    struct gy_db *db;
    void *st;
    char *sql;
    uint64_t hash;
    bool cached;
    bool live;
    struct gy_stmt *chain;                 /* the next in its bucket */
    struct gy_stmt *older, *newer;         /* cached: by last use */
    struct gy_stmt *live_prev, *live_next; /* handed out */
};

gy_status gy_db_open(struct gy_sql_driver driver, const struct gy_sql_config *cfg,
                     struct gy_db **ret, struct gy_err *err)
{
    struct gy_db *db = gy_calloc(1, sizeof *db);
    if (!db) {
        return gy_err_set(err, GY_E_NOMEM, "opening the database");
    }
    db->ops = driver.ops;
    db->buckets = gy_calloc(N_BUCKETS, sizeof *db->buckets);
    gy_status status = db->buckets ? driver.ops->open(driver.self, cfg, &db->conn, err)
                                   : gy_err_set(err, GY_E_NOMEM, "opening the database");
    if (status != GY_OK) {
        gy_db_free(db);
        return status;
    }
    *ret = db;
    return GY_OK;
}

static void lru_unlink(struct gy_stmt *s)
{
    struct gy_db *db = s->db;
    *(s->older ? &s->older->newer : &db->oldest) = s->newer;
    *(s->newer ? &s->newer->older : &db->newest) = s->older;
    s->older = s->newer = NULL;
}

static void lru_append(struct gy_stmt *s)
{
    struct gy_db *db = s->db;
    s->older = db->newest;
    s->newer = NULL;
    *(db->newest ? &db->newest->newer : &db->oldest) = s;
    db->newest = s;
}

static void free_stmt(struct gy_stmt *s)
{
    s->db->ops->finalize(s->st);
    gy_free(s->sql);
    gy_free(s);
}

static void evict(struct gy_stmt *s)
{
    struct gy_db *db = s->db;
    struct gy_stmt **at = &db->buckets[s->hash % N_BUCKETS];
    while (*at != s) {
        at = &(*at)->chain;
    }
    *at = s->chain;
    lru_unlink(s);
    db->n_cached--;
    free_stmt(s);
}

void gy_db_free(struct gy_db *db)
{
    if (!db) {
        return;
    }
    gy_db_finish_all(db);
    while (db->oldest) {
        evict(db->oldest);
    }
    if (db->conn) {
        db->ops->close(db->conn);
    }
    gy_free(db->buckets);
    gy_free(db);
}

/* Make room for one more: the longest unused one that is not handed out goes. */
static bool cache_has_room(struct gy_db *db)
{
    if (db->n_cached < GY_STORE_STATEMENTS) {
        return true;
    }
    for (struct gy_stmt *s = db->oldest; s; s = s->newer) {
        if (!s->live) {
            evict(s);
            return true;
        }
    }
    return false;
}

static gy_status prepare(struct gy_db *db, const char *sql, uint64_t hash, bool cache,
                         struct gy_stmt **ret, struct gy_err *err)
{
    struct gy_stmt *s = gy_calloc(1, sizeof *s);
    if (s) {
        s->sql = gy_strdup(sql);
    }
    if (!s || !s->sql) {
        gy_free(s);
        return gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    }
    s->db = db;
    s->hash = hash;
    gy_status status = db->ops->prepare(db->conn, sql, &s->st, err);
    if (status != GY_OK) {
        gy_free(s->sql);
        gy_free(s);
        return status;
    }
    if (cache && cache_has_room(db)) {
        struct gy_stmt **bucket = &db->buckets[hash % N_BUCKETS];
        s->cached = true;
        s->chain = *bucket;
        *bucket = s;
        lru_append(s);
        db->n_cached++;
    }
    *ret = s;
    return GY_OK;
}

static gy_status acquire(struct gy_db *db, const char *sql, struct gy_stmt **ret,
                         struct gy_err *err)
{
    uint64_t hash = gy_str_hash(gy_str_c(sql), 0);
    struct gy_stmt *s = db->buckets[hash % N_BUCKETS];
    while (s && (s->hash != hash || strcmp(s->sql, sql) != 0)) {
        s = s->chain;
    }
    if (s && !s->live) {
        lru_unlink(s);
        lru_append(s);
    } else {
        /* The same text inside itself (a query within its own rows) gets a statement for this once.
         */
        GY_TRY(prepare(db, sql, hash, s == NULL, &s, err));
    }
    s->live = true;
    s->live_prev = NULL;
    s->live_next = db->live;
    if (db->live) {
        db->live->live_prev = s;
    }
    db->live = s;
    *ret = s;
    return GY_OK;
}

void gy_stmt_finish(struct gy_stmt *s)
{
    if (!s || !s->live) {
        return;
    }
    struct gy_db *db = s->db;
    *(s->live_prev ? &s->live_prev->live_next : &db->live) = s->live_next;
    if (s->live_next) {
        s->live_next->live_prev = s->live_prev;
    }
    s->live = false;
    if (s->cached) {
        db->ops->reset(s->st);
    } else {
        free_stmt(s);
    }
}

void gy_db_finish_all(struct gy_db *db)
{
    while (db->live) {
        gy_stmt_finish(db->live);
    }
}

gy_status gy_db_exec(struct gy_db *db, const char *sql, const struct gy_val *vals, size_t n_vals,
                     int64_t *ret_changes, struct gy_err *err)
{
    struct gy_stmt *s = NULL;
    GY_TRY(acquire(db, sql, &s, err));
    bool row = true;
    gy_status status = db->ops->bind(s->st, vals, n_vals, false, err);
    while (status == GY_OK && row) {
        status = db->ops->step(s->st, &row, err);
    }
    if (status == GY_OK && ret_changes) {
        *ret_changes = db->ops->changes(db->conn);
    }
    gy_stmt_finish(s);
    return status;
}

static gy_status exec_rows(struct gy_stmt *s, const struct gy_val *vals, size_t n_vals,
                           size_t n_rows, int64_t *ret_changes, struct gy_err *err)
{
    const struct gy_sql_ops *ops = s->db->ops;
    for (size_t i = 0; i < n_rows; i++) {
        bool row = true;
        GY_TRY(ops->bind(s->st, vals + i * n_vals, n_vals, false, err));
        while (row) {
            GY_TRY(ops->step(s->st, &row, err));
        }
        *ret_changes += ops->changes(s->db->conn);
        ops->reset(s->st);
    }
    return GY_OK;
}

gy_status gy_db_exec_many(struct gy_db *db, const char *sql, const struct gy_val *vals,
                          size_t n_vals, size_t n_rows, int64_t *ret_changes, struct gy_err *err)
{
    int64_t changes = 0;
    struct gy_stmt *s = NULL;
    if (n_rows > 0) {
        GY_TRY(acquire(db, sql, &s, err));
    }
    gy_status status = !s ? GY_OK
                       : db->ops->exec_many
                           ? db->ops->exec_many(s->st, vals, n_vals, n_rows, &changes, err)
                           : exec_rows(s, vals, n_vals, n_rows, &changes, err);
    gy_stmt_finish(s);
    if (status == GY_OK && ret_changes) {
        *ret_changes = changes;
    }
    return status;
}

static gy_status query(struct gy_db *db, const char *sql, const struct gy_val *vals, size_t n_vals,
                       bool copy, struct gy_stmt **ret, struct gy_err *err)
{
    struct gy_stmt *s = NULL;
    GY_TRY(acquire(db, sql, &s, err));
    gy_status status = db->ops->bind(s->st, vals, n_vals, copy, err);
    if (status != GY_OK) {
        gy_stmt_finish(s);
        return status;
    }
    *ret = s;
    return GY_OK;
}

gy_status gy_db_query(struct gy_db *db, const char *sql, const struct gy_val *vals, size_t n_vals,
                      struct gy_stmt **ret, struct gy_err *err)
{
    return query(db, sql, vals, n_vals, true, ret, err);
}

gy_status gy_stmt_step(struct gy_stmt *st, bool *ret_row, struct gy_err *err)
{
    return st->db->ops->step(st->st, ret_row, err);
}

static struct gy_val read_column(struct gy_stmt *st, int column, enum gy_val_kind want)
{
    struct gy_val v;
    st->db->ops->column(st->st, column, want, &v);
    return v;
}

int64_t gy_col_i64(struct gy_stmt *st, int column)
{
    return read_column(st, column, GY_VAL_INT).i;
}

double gy_col_f64(struct gy_stmt *st, int column)
{
    return read_column(st, column, GY_VAL_REAL).f;
}

struct gy_str gy_col_str(struct gy_stmt *st, int column)
{
    return read_column(st, column, GY_VAL_TEXT).s;
}

struct gy_str gy_col_blob(struct gy_stmt *st, int column)
{
    return read_column(st, column, GY_VAL_BLOB).s;
}

bool gy_col_null(struct gy_stmt *st, int column)
{
    return read_column(st, column, GY_VAL_NULL).kind == GY_VAL_NULL;
}

enum gy_val_kind gy_col_kind(struct gy_stmt *st, int column)
{
    return read_column(st, column, GY_VAL_NULL).kind;
}

struct gy_str gy_col_dup(struct gy_stmt *st, int column, struct gy_arena *a)
{
    struct gy_str s = gy_col_str(st, column);
    return s.p ? gy_arena_str(a, s) : GY_STR_NULL;
}

gy_status gy_col_copy(struct gy_stmt *st, int column, struct gy_arena *a, struct gy_str *ret,
                      struct gy_err *err)
{
    struct gy_val v = read_column(st, column, GY_VAL_TEXT);
    *ret = GY_STR_NULL;
    if (v.kind == GY_VAL_NULL) {
        return GY_OK;
    }
    if (v.s.p) {
        *ret = gy_arena_str(a, v.s);
    }
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading column %d", column);
}

gy_status gy_db_get_i64(struct gy_db *db, const char *sql, const struct gy_val *vals, size_t n_vals,
                        bool *ret_found, int64_t *ret, struct gy_err *err)
{
    struct gy_stmt *s = NULL;
    GY_TRY(query(db, sql, vals, n_vals, false, &s, err));
    gy_status status = gy_stmt_step(s, ret_found, err);
    if (status == GY_OK && *ret_found) {
        *ret = gy_col_i64(s, 0);
    }
    gy_stmt_finish(s);
    return status;
}

gy_status gy_db_get_str(struct gy_db *db, const char *sql, const struct gy_val *vals, size_t n_vals,
                        struct gy_arena *a, bool *ret_found, struct gy_str *ret, struct gy_err *err)
{
    struct gy_stmt *s = NULL;
    GY_TRY(query(db, sql, vals, n_vals, false, &s, err));
    gy_status status = gy_stmt_step(s, ret_found, err);
    if (status == GY_OK && *ret_found) {
        status = gy_col_copy(s, 0, a, ret, err);
    }
    gy_stmt_finish(s);
    return status;
}

int64_t gy_db_last_id(struct gy_db *db)
{
    return db->ops->last_id(db->conn);
}
