/* SPDX-License-Identifier: Apache-2.0 */
#include "track/page.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/scope.h"

/* ---- terms ---- */

static void add(struct gy_sort *s, struct gy_sort_term t)
{
    GY_REQUIRE(s->n < GY_PAGE_MAX_TERMS); /* the parser bounds the order */
    s->terms[s->n++] = t;
}

void gy_sort_add(struct gy_sort *s, const char *sql, enum gy_val_kind kind, bool descending)
{
    add(s, (struct gy_sort_term){.sql = sql, .kind = kind, .descending = descending});
}

void gy_sort_add_nullable(struct gy_sort *s, const char *class_sql, const char *sql,
                          enum gy_val_kind kind, bool descending)
{
    add(s, (struct gy_sort_term){.sql = class_sql, .kind = GY_VAL_INT, .is_class = true});
    gy_sort_add(s, sql, kind, descending);
}

gy_status gy_sort_add_one(struct gy_sort *s, const struct gy_search_order *o, size_t i,
                          struct gy_arena *a, struct gy_err *err)
{
    const char *sql = NULL, *class_sql = NULL;
    enum gy_val_kind kind = o->attr && o->attr->numeric ? GY_VAL_INT : GY_VAL_TEXT;
    if (o->attr) {
        sql = o->attr->sql;
        class_sql = gy_arena_printf(a, "(CASE WHEN %s IS NULL THEN 1 ELSE 0 END)", sql);
    } else if (o->entity == GY_SEARCH_METRIC) {
        kind = GY_VAL_REAL;
        sql = gy_arena_printf(a, "o%zu.value", i);
        class_sql = gy_arena_printf(
            a, "(CASE WHEN o%zu.value IS NULL THEN 2 WHEN o%zu.is_nan = 1 THEN 1 ELSE 0 END)", i,
            i);
    } else {
        sql = gy_arena_printf(a, "o%zu.value", i);
        class_sql = gy_arena_printf(a, "(CASE WHEN o%zu.value IS NULL THEN 1 ELSE 0 END)", i);
    }
    if (!sql || !class_sql) {
        return gy_track_nomem(err);
    }
    gy_sort_add_nullable(s, class_sql, sql, kind, o->descending);
    return GY_OK;
}

gy_status gy_sort_add_order(struct gy_sort *s, const struct gy_search_order *order, size_t n,
                            struct gy_arena *a, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_sort_add_one(s, &order[i], i, a, err));
    }
    return GY_OK;
}

/* ---- SQL ---- */

void gy_sort_columns(struct gy_sql_builder *b, const struct gy_sort *s)
{
    for (size_t i = 0; i < s->n; i++) {
        gy_sql_add(b, ", ");
        gy_sql_add(b, s->terms[i].sql);
    }
}

void gy_sort_order(struct gy_sql_builder *b, const struct gy_sort *s)
{
    const char *between = " ORDER BY ";
    for (size_t i = 0; i < s->n; i++) {
        if (!s->terms[i].fixed) {
            const struct gy_sort_term *t = &s->terms[i];
            const char *direction = t->descending ? " DESC" : " ASC";
            gy_sql_add(b, between);
            if (t->lead) {
                gy_sql_add(b, t->lead);
                gy_sql_add(b, direction);
                gy_sql_add(b, ", ");
            }
            gy_sql_add(b, t->sql);
            gy_sql_add(b, direction);
            between = ", ";
        }
    }
}

/* Does the value of term i say nothing, being fixed or in a class that has no values? */
static bool is_mute(const struct gy_sort *s, const struct gy_val *after, size_t i)
{
    return s->terms[i].fixed || (i > 0 && s->terms[i - 1].is_class && after[i - 1].i != 0);
}

void gy_sort_after(struct gy_sql_builder *b, const struct gy_sort *s, const struct gy_val *after)
{
    size_t depth = 0;
    if (!after) {
        return;
    }
    /* The row is beyond in the first term, or equal in it and beyond in the rest. The first
     * condition repeats the leading term as a plain bound, which is what an index can use. */
    for (size_t i = 0; i < s->n; i++) {
        const struct gy_sort_term *t = &s->terms[i];
        if (is_mute(s, after, i)) {
            continue;
        }
        if (depth == 0) {
            gy_sql_add(b, " AND ");
            gy_sql_add(b, t->lead ? t->lead : t->sql);
            gy_sql_add(b, t->descending ? " <= " : " >= ");
            gy_sql_bind(b, t->lead ? gy_vs(gy_track_cut(after[i].s, 64)) : after[i]);
        }
        gy_sql_add(b, " AND (");
        gy_sql_add(b, t->sql);
        gy_sql_add(b, t->descending ? " < " : " > ");
        gy_sql_bind(b, after[i]);
        gy_sql_add(b, " OR (");
        gy_sql_add(b, t->sql);
        gy_sql_add(b, " = ");
        gy_sql_bind(b, after[i]);
        depth++;
    }
    if (depth > 0) {
        gy_sql_add(b, " AND 1 = 0"); /* equal in all terms: the row itself */
    }
    for (; depth > 0; depth--) {
        gy_sql_add(b, "))");
    }
}

gy_status gy_sort_read(struct gy_stmt *st, int first, const struct gy_sort *s, struct gy_arena *a,
                       struct gy_val **ret, struct gy_err *err)
{
    struct gy_val *v = gy_arena_calloc(a, s->n, sizeof *v);
    if (!v) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < s->n; i++) {
        int column = first + (int)i;
        if (gy_col_null(st, column)) {
            v[i] = gy_vnull();
            continue;
        }
        v[i].kind = s->terms[i].kind;
        switch (v[i].kind) {
        case GY_VAL_INT:
            v[i].i = gy_col_i64(st, column);
            break;
        case GY_VAL_REAL:
            v[i].f = gy_col_f64(st, column);
            break;
        case GY_VAL_TEXT:
        case GY_VAL_BLOB:
        case GY_VAL_NULL:
            GY_TRY(gy_col_copy(st, column, a, &v[i].s, err));
            break;
        }
    }
    *ret = v;
    return GY_OK;
}

/* ---- tokens: base64 of ["<digest>", term, term, ..] ---- */

gy_status gy_page_token(const struct gy_page *p, const struct gy_sort *s,
                        const struct gy_val *tuple, struct gy_arena *a, struct gy_str *ret,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_PAGE_MAX_TOKEN / 4 * 3);
    struct gy_jw w;
    gy_jw_init(&w, &text);
    gy_jw_arr(&w);
    gy_jw_strc(&w, p->digest);
    for (size_t i = 0; i < s->n; i++) {
        switch (tuple[i].kind) {
        case GY_VAL_INT:
            gy_jw_i64(&w, tuple[i].i);
            break;
        case GY_VAL_REAL:
            gy_jw_f64(&w, tuple[i].f);
            break;
        case GY_VAL_TEXT:
        case GY_VAL_BLOB:
            gy_jw_str(&w, tuple[i].s);
            break;
        case GY_VAL_NULL:
            gy_jw_null(&w);
            break;
        }
    }
    gy_jw_arr_end(&w);
    GY_TRY(gy_buf_check(&text, "a page token", err));
    size_t n = gy_base64_size(text.n);
    char *token = gy_arena_alloc(a, n + 1);
    if (!token) {
        return gy_track_nomem(err);
    }
    gy_base64(text.p, text.n, token);
    *ret = gy_str_n(token, n);
    return GY_OK;
}

static gy_status bad_token(struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "Invalid page token");
}

/* The JSON value as a value of this term's kind. */
static bool read_term(const struct gy_sort_term *t, bool mute, yyjson_val *v, struct gy_arena *a,
                      struct gy_val *ret)
{
    if (mute && yyjson_is_null(v)) {
        *ret = gy_vnull();
        return true;
    }
    ret->kind = t->kind;
    switch (t->kind) {
    case GY_VAL_INT:
        ret->i = yyjson_get_sint(v);
        return yyjson_is_int(v) && (!yyjson_is_uint(v) || yyjson_get_uint(v) <= INT64_MAX) &&
               (!t->is_class || (ret->i >= 0 && ret->i <= 2));
    case GY_VAL_REAL:
        ret->f = yyjson_get_num(v);
        return yyjson_is_num(v) && isfinite(ret->f);
    case GY_VAL_TEXT:
        ret->s = gy_arena_str(a, gy_json_val_str(v));
        return yyjson_is_str(v) && ret->s.p && gy_str_find(ret->s, '\0') == SIZE_MAX;
    case GY_VAL_BLOB:
    case GY_VAL_NULL:
        break;
    }
    return false;
}

static gy_status read_token(const struct gy_sort *s, struct gy_str token, struct gy_arena *a,
                            struct gy_page *p, struct gy_err *err)
{
    if (token.n > GY_PAGE_MAX_TOKEN) {
        return bad_token(err);
    }
    unsigned char *text = gy_arena_alloc(a, token.n + 1);
    struct gy_val *v = gy_arena_calloc(a, s->n, sizeof *v);
    size_t n = 0;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (!text || !v) {
        return gy_track_nomem(err);
    }
    if (gy_base64_decode(token, text, &n, NULL) != GY_OK ||
        gy_json_parse(gy_str_n((const char *)text, n), &doc, NULL) != GY_OK) {
        return bad_token(err);
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_arr(root) ||
        !gy_str_eqc(gy_json_val_str(yyjson_arr_get_first(root)), p->digest)) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid page token: it belongs to a search with other experiment_ids, "
                          "filter or order_by");
    }
    if (yyjson_arr_size(root) != s->n + 1) {
        return bad_token(err);
    }
    for (size_t i = 0; i < s->n; i++) {
        bool mute = i > 0 && s->terms[i - 1].is_class && v[i - 1].i != 0;
        if (!read_term(&s->terms[i], mute, yyjson_arr_get(root, i + 1), a, &v[i])) {
            return bad_token(err);
        }
    }
    p->after = v;
    return GY_OK;
}

static void hash_part(struct gy_hash *h, struct gy_str part)
{
    char length[32];
    snprintf(length, sizeof length, "%zu:", part.n);
    gy_hash_add(h, gy_str_c(length));
    gy_hash_add(h, part);
}

gy_status gy_page_open(struct gy_db *db, const struct gy_sort *s, const struct gy_str *parts,
                       size_t n_parts, struct gy_str token, struct gy_arena *a, struct gy_page *ret,
                       struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    char hex[GY_SHA256_HEX];
    *ret = (struct gy_page){.after = NULL};
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    hash_part(h, gy_db_workspace(db));
    for (size_t i = 0; i < n_parts; i++) {
        hash_part(h, parts[i]);
    }
    gy_hash_hex(h, hex);
    snprintf(ret->digest, sizeof ret->digest, "%.16s", hex);
    return token.n > 0 ? read_token(s, token, a, ret, err) : GY_OK;
}

gy_status gy_page_open_search(struct gy_db *db, const struct gy_sort *s, const char *kind,
                              struct gy_str filter, const int64_t *ids, size_t n_ids,
                              const struct gy_str *more, size_t n_more, struct gy_str token,
                              struct gy_arena *a, struct gy_page *ret, struct gy_err *err)
{
    size_t n = 3 + n_more;
    struct gy_str *parts = gy_arena_calloc(a, n, sizeof *parts);
    if (!parts) {
        return gy_track_nomem(err);
    }
    parts[0] = gy_str_c(kind);
    parts[1] = filter.p ? filter : GY_STR("");
    parts[2] = gy_str_n((const char *)(const void *)ids, n_ids * sizeof *ids);
    for (size_t i = 0; i < n_more; i++) {
        parts[3 + i] = more[i];
    }
    return gy_page_open(db, s, parts, n, token, a, ret, err);
}
