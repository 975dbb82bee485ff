/* SPDX-License-Identifier: Apache-2.0 */
/* gy_db_exec_many: rows go as one array a column, so that thousands of them cost one round trip and
 * one plan. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"

/* One array of one column, in binary form. */
static void put_array(struct gy_buf *b, const struct gy_val *vals, size_t stride, size_t n_rows,
                      unsigned type)
{
    char four[4], eight[8];
    bool has_null = false;
    for (size_t i = 0; i < n_rows; i++) {
        const struct gy_val *v = &vals[i * stride];
        has_null |= v->kind == GY_VAL_NULL || (v->kind == GY_VAL_REAL && isnan(v->f));
    }
    const uint32_t head[] = {1, has_null, type, (uint32_t)n_rows, 1};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        gy_pg_put32(four, head[i]);
        gy_buf_add_bytes(b, four, sizeof four);
    }
    for (size_t i = 0; i < n_rows; i++) {
        const struct gy_val *v = &vals[i * stride];
        bool null = v->kind == GY_VAL_NULL || (v->kind == GY_VAL_REAL && isnan(v->f));
        bool number = v->kind == GY_VAL_INT || v->kind == GY_VAL_REAL;
        gy_pg_put32(four, null ? UINT32_MAX : number ? 8 : (uint32_t)v->s.n);
        gy_buf_add_bytes(b, four, sizeof four);
        if (!null && number) {
            gy_pg_put64(eight, v->kind == GY_VAL_INT ? (uint64_t)v->i : gy_pg_double_bits(v->f));
            gy_buf_add_bytes(b, eight, sizeof eight);
        } else if (!null) {
            gy_buf_add(b, v->s);
        }
    }
}

static const struct array_type {
    enum gy_val_kind kind;
    unsigned element, array;
    const char *sql;
} array_types[] = {
    {GY_VAL_INT, GY_PG_INT8, GY_PG_INT8_ARRAY, "bigint[]"},
    {GY_VAL_REAL, GY_PG_FLOAT8, GY_PG_FLOAT8_ARRAY, "double precision[]"},
    {GY_VAL_TEXT, GY_PG_TEXT, GY_PG_TEXT_ARRAY, "text[]"},
    {GY_VAL_BLOB, GY_PG_BYTEA, GY_PG_BYTEA_ARRAY, "bytea[]"},
};

/* The type of a column over all rows; NULL in *ret: nothing but NULL. */
static gy_status column_kind(const struct gy_val *vals, size_t stride, size_t n_rows,
                             const struct array_type **ret, struct gy_err *err)
{
    *ret = NULL;
    for (size_t i = 0; i < n_rows; i++) {
        const struct gy_val *v = &vals[i * stride];
        if (v->kind == GY_VAL_NULL) {
            continue;
        }
        if (*ret && (*ret)->kind != v->kind) {
            return gy_err_set(err, GY_E_INVALID, "a column has values of two kinds");
        }
        if (v->kind == GY_VAL_TEXT && v->s.n > 0 && memchr(v->s.p, 0, v->s.n)) {
            return gy_err_set(err, GY_E_INVALID, "PostgreSQL keeps no text with a zero byte in it");
        }
        for (size_t k = 0; k < sizeof array_types / sizeof array_types[0] && !*ret; k++) {
            *ret = array_types[k].kind == v->kind ? &array_types[k] : NULL;
        }
    }
    return GY_OK;
}

/* Rows that go into one statement. */
static size_t rows_that_fit(const struct gy_val *vals, size_t n_vals, size_t n_rows)
{
    size_t bytes = 0, rows = 0;
    while (rows < n_rows && rows < GY_PG_MANY_ROWS && (rows == 0 || bytes < GY_PG_MANY_BYTES)) {
        for (size_t i = 0; i < n_vals; i++) {
            bytes += 12 + vals[rows * n_vals + i].s.n;
        }
        rows++;
    }
    return rows;
}

/* What the statement is for: a letter a column. */
static const char letters[] = {'0', 'i', 'r', 't', 'b'};

static gy_status make_many(struct gy_pg_stmt *s, const struct array_type *const *types, char *key,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_SQL_MAX_VALUE);
    const char *names[GY_PG_MAX_PARAMS];
    size_t n = 0;
    for (size_t i = 0; i < s->info.n_params; i++) {
        names[i] = types[i] ? types[i]->sql : NULL;
        n += types[i] != NULL;
    }
    gy_status status = gy_pg_insert_many(s->sql, &s->info, names, &text, err);
    if (s->many) {
        gy_pg_finalize(s->many);
        s->many = NULL;
    }
    gy_free(s->many_types);
    s->many_types = key;
    GY_TRY(status);
    return gy_pg_stmt_new(s->c, s->sql, gy_buf_take(&text), n, &s->many, err);
}

static gy_status run_many(struct gy_pg_stmt *s, const struct gy_val *vals, size_t n_rows,
                          const struct array_type *const *types, int64_t *ret_changes,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf arrays;
    gy_buf_init(&arrays, GY_SQL_MAX_VALUE);
    struct gy_pg_stmt *m = s->many;
    size_t n = 0, from[GY_PG_MAX_PARAMS + 1] = {0};
    for (size_t i = 0; i < s->info.n_params; i++) {
        if (types[i]) {
            put_array(&arrays, vals + i, s->info.n_params, n_rows, types[i]->element);
            m->kinds[n] = types[i]->array;
            from[++n] = arrays.n;
        }
    }
    GY_TRY(gy_buf_check(&arrays, "the rows", err));
    for (size_t i = 0; i < n; i++) {
        m->values[i] = arrays.p + from[i];
        m->lengths[i] = (int)(from[i + 1] - from[i]);
    }
    m->bound = true;
    bool row = false;
    gy_status status = gy_pg_step(m, &row, err);
    gy_pg_reset(m);
    if (status == GY_OK) {
        *ret_changes += s->c->changes;
    }
    return status;
}

static gy_status one_by_one(struct gy_pg_stmt *s, const struct gy_val *vals, size_t n_rows,
                            int64_t *ret_changes, struct gy_err *err)
{
    for (size_t i = 0; i < n_rows; i++) {
        bool row = true;
        GY_TRY(gy_pg_bind(s, vals + i * s->info.n_params, s->info.n_params, false, err));
        while (row) {
            GY_TRY(gy_pg_step(s, &row, err));
        }
        *ret_changes += s->c->changes;
        gy_pg_reset(s);
    }
    return GY_OK;
}

/* Only an INSERT of one row that gives nothing back. */
static bool can_be_many(const struct gy_pg_stmt *s)
{
    return s->info.values.p && !s->info.returning && !s->sets_identity;
}

static gy_status some_rows(struct gy_pg_stmt *s, const struct gy_val *vals, size_t n_rows,
                           int64_t *ret_changes, struct gy_err *err)
{
    size_t n = s->info.n_params, n_typed = 0;
    const struct array_type *types[GY_PG_MAX_PARAMS];
    GY_AUTO(gy_free) char *key = gy_calloc(n + 1, 1);
    if (!key) {
        return gy_err_set(err, GY_E_NOMEM, "preparing a statement");
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(column_kind(vals + i, n, n_rows, &types[i], err));
        key[i] = letters[types[i] ? types[i]->kind : GY_VAL_NULL];
        n_typed += types[i] != NULL;
    }
    if (n_typed == 0) {
        return one_by_one(s, vals, n_rows, ret_changes, err);
    }
    if (!s->many || strcmp(key, s->many_types) != 0) {
        GY_TRY(make_many(s, types, GY_TAKE(key), err));
    }
    return run_many(s, vals, n_rows, types, ret_changes, err);
}

gy_status gy_pg_exec_many(void *stmt, const struct gy_val *vals, size_t n_vals, size_t n_rows,
                          int64_t *ret_changes, struct gy_err *err)
{
    struct gy_pg_stmt *s = stmt;
    *ret_changes = 0;
    if (n_vals != s->info.n_params) {
        return gy_err_set(err, GY_E_INVALID, "%zu values for %zu parameters: %s", n_vals,
                          s->info.n_params, s->sql);
    }
    if (n_rows < 2 || !can_be_many(s)) {
        return one_by_one(s, vals, n_rows, ret_changes, err);
    }
    for (size_t at = 0; at < n_rows;) {
        size_t n = rows_that_fit(vals + at * n_vals, n_vals, n_rows - at);
        GY_TRY(some_rows(s, vals + at * n_vals, n, ret_changes, err));
        at += n;
    }
    return GY_OK;
}
