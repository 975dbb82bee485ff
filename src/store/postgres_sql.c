/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postgres_sql.h"

#include <string.h>

#include "base/limits.h"

#define MAX_SUBSTR_DEPTH 16 /* SUBSTR within SUBSTR */

/* ---- tokens ---- */

enum kind { END, BLANK, WORD, QUOTED, LITERAL, PARAM, PUNCT, BROKEN };

struct token {
    enum kind kind;
    struct gy_str s;
};

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Past the quote that ends what begins at from; a doubled one stands for itself. 0: there is none.
 */
static size_t quoted_end(struct gy_str s, size_t from)
{
    char quote = s.p[from];
    for (size_t i = from + 1; i < s.n; i++) {
        if (s.p[i] == quote && (i + 1 >= s.n || s.p[i + 1] != quote)) {
            return i + 1;
        }
        i += s.p[i] == quote;
    }
    return 0;
}

/* Past the blanks and comments at the beginning; a comment without an end stays. */
static size_t blank_end(struct gy_str s)
{
    size_t i = 0;
    for (;;) {
        if (i < s.n && memchr(" \t\r\n", s.p[i], 4)) {
            i++;
        } else if (i + 1 < s.n && s.p[i] == '-' && s.p[i + 1] == '-') {
            size_t line = gy_str_find(gy_str_sub(s, i, SIZE_MAX), '\n');
            i = line == SIZE_MAX ? s.n : i + line + 1;
        } else if (i + 1 < s.n && s.p[i] == '/' && s.p[i + 1] == '*') {
            size_t end = gy_str_find_str(gy_str_sub(s, i + 2, SIZE_MAX), GY_STR("*/"));
            if (end == SIZE_MAX) {
                return i;
            }
            i += end + 4;
        } else {
            return i;
        }
    }
}

static enum kind kind_at(struct gy_str s, size_t *ret_n)
{
    char c = s.p[0];
    *ret_n = 1;
    if (c == '\'' || c == '"') {
        *ret_n = quoted_end(s, 0);
        return *ret_n == 0 ? BROKEN : c == '"' ? QUOTED : LITERAL;
    }
    if (c == '?') {
        return PARAM;
    }
    if (!is_word_char(c)) {
        return c == '/' && s.n > 1 && s.p[1] == '*' ? BROKEN : PUNCT;
    }
    while (*ret_n < s.n && is_word_char(s.p[*ret_n])) {
        (*ret_n)++;
    }
    return WORD;
}

/* Take the next token off rest. */
static struct token next_token(struct gy_str *rest)
{
    struct token t = {END, {rest->p, 0}};
    if (rest->n == 0) {
        return t;
    }
    size_t n = blank_end(*rest);
    t.kind = n > 0 ? BLANK : kind_at(*rest, &n);
    t.s = gy_str_sub(*rest, 0, n);
    *rest = gy_str_sub(*rest, n, SIZE_MAX);
    return t;
}

static struct token next_solid(struct gy_str *rest)
{
    struct token t = next_token(rest);
    while (t.kind == BLANK) {
        t = next_token(rest);
    }
    return t;
}

static struct token peek_solid(struct gy_str rest)
{
    return next_solid(&rest);
}

static bool is_word(struct token t, const char *word)
{
    return t.kind == WORD && gy_str_ieq(t.s, gy_str_c(word));
}

static bool is_punct(struct token t, char c)
{
    return t.kind == PUNCT && t.s.p[0] == c;
}

static gy_status refuse(struct gy_err *err, const char *why, struct gy_str at)
{
    struct gy_str shown = gy_str_sub(at, 0, 60);
    return gy_err_set(err, GY_E_INVALID, "%s: %" GY_STR_F, why, GY_STR_A(shown));
}

/* ---- one statement ---- */

struct writer {
    struct gy_buf *out;
    const char *const
        *types; /* the parameters are columns of an unnest; NULL: they are $1, $2 .. */
    size_t n_params;
    int depth;
    struct substr {
        int depth, argument;
    } substr[MAX_SUBSTR_DEPTH]; /* the open ones */
    size_t n_substr;
    struct token before; /* the last token that is not blank */
};

/* What a type is called in a CAST; NULL: the same. */
static const char *cast_type(struct token t)
{
    return is_word(t, "INTEGER") ? "BIGINT"
           : is_word(t, "REAL")  ? "DOUBLE PRECISION"
           : is_word(t, "BLOB")  ? "BYTEA"
                                 : NULL;
}

static void write_param(struct writer *w)
{
    size_t number = ++w->n_params;
    if (!w->types) {
        gy_buf_addf(w->out, "$%zu", number);
    } else if (w->types[number - 1]) {
        gy_buf_addf(w->out, "u.p%zu", number);
    } else {
        gy_buf_addc(w->out, "NULL");
    }
}

/* Offset and length of SUBSTR are INT4 in PostgreSQL, while our integers are wider: each is put
 * into a CAST. True: the token is written. */
static bool write_nesting(struct writer *w, struct token t)
{
    struct substr *in = w->n_substr > 0 ? &w->substr[w->n_substr - 1] : NULL;
    bool own = in && in->depth == w->depth;
    if (is_punct(t, '(')) {
        w->depth++;
        if (is_word(w->before, "SUBSTR") && w->n_substr < MAX_SUBSTR_DEPTH) {
            w->substr[w->n_substr++] = (struct substr){w->depth, 0};
        }
        return false;
    }
    bool next = is_punct(t, ',') && own;
    if (own && in->argument > 0 && (next || is_punct(t, ')'))) {
        gy_buf_addc(w->out, " AS INT4)");
    }
    if (is_punct(t, ')')) {
        w->n_substr -= own;
        w->depth--;
    }
    if (next) {
        in->argument++;
        gy_buf_addc(w->out, ", CAST(");
    }
    return next;
}

static void write_token(struct writer *w, struct token t)
{
    const char *type = is_word(w->before, "AS") ? cast_type(t) : NULL;
    if (write_nesting(w, t)) {
        /* done */
    } else if (t.kind == PARAM) {
        write_param(w);
    } else if (type) {
        gy_buf_addc(w->out, type);
    } else {
        gy_buf_add(w->out, t.s);
    }
    if (t.kind != BLANK) {
        w->before = t;
    }
}

/* From an opening parenthesis, which was taken, to the one that closes it, which is taken too. */
static struct gy_str take_parentheses(struct gy_str *rest)
{
    const char *from = rest->p;
    int depth = 1;
    for (;;) {
        struct token t = next_token(rest);
        depth += is_punct(t, '(') - is_punct(t, ')');
        if (depth == 0 || t.kind == END || t.kind == BROKEN) {
            return depth == 0 ? gy_str_n(from, (size_t)(t.s.p - from)) : GY_STR_NULL;
        }
    }
}

/* INSERT INTO table (columns) .. VALUES (row) .. : where its parts are. */
static void read_insert(struct gy_str rest, struct gy_pg_sql *ret)
{
    struct token t = next_solid(&rest);
    if (!is_word(t, "INTO")) {
        return;
    }
    ret->insert_table = next_solid(&rest).s;
    if (is_punct(peek_solid(rest), '(')) {
        (void)next_solid(&rest);
        ret->insert_columns = take_parentheses(&rest);
    }
    for (t = next_solid(&rest); t.kind != END && t.kind != BROKEN; t = next_solid(&rest)) {
        bool row = is_word(t, "VALUES") && !ret->values.p && is_punct(peek_solid(rest), '(');
        if (row) {
            (void)next_solid(&rest);
            ret->values = take_parentheses(&rest);
            ret->after_values = rest;
        } else if (ret->values.p && is_punct(t, ',') &&
                   t.s.p == peek_solid(ret->after_values).s.p) {
            ret->values = GY_STR_NULL; /* several rows */
            return;
        }
        ret->returning |= is_word(t, "RETURNING");
    }
}

static void read_kind(struct gy_str sql, struct gy_pg_sql *ret)
{
    struct token first = next_solid(&sql);
    if (is_word(first, "INSERT")) {
        read_insert(sql, ret);
    }
    ret->changes_schema =
        is_word(first, "CREATE") || is_word(first, "ALTER") || is_word(first, "DROP");
}

static void write_all(struct writer *w, struct gy_str part)
{
    for (struct token t = next_token(&part); t.kind != END; t = next_token(&part)) {
        write_token(w, t);
    }
}

gy_status gy_pg_insert_many(const char *sql, const struct gy_pg_sql *s, const char *const *types,
                            struct gy_buf *out, struct gy_err *err)
{
    if (!s->values.p) {
        return refuse(err, "not an INSERT of one row", gy_str_c(sql));
    }
    /* Up to VALUES: its parenthesis is the first before s->values, the word is before that. */
    struct gy_str head = gy_str_n(sql, (size_t)(s->values.p - 1 - sql));
    head = gy_str_trim(head);
    head.n -= strlen("VALUES");
    struct writer w = {.out = out};
    write_all(&w, head);
    gy_buf_addc(out, "SELECT ");
    w.types = types;
    write_all(&w, s->values);
    if (w.n_params != s->n_params) {
        return refuse(err, "parameters outside of its one row", gy_str_c(sql));
    }
    gy_buf_addc(out, " FROM unnest(");
    size_t n = 0;
    for (size_t i = 0; i < s->n_params; i++) {
        if (types[i]) {
            gy_buf_addf(out, "%s$%zu::%s", n > 0 ? ", " : "", n + 1, types[i]);
            n++;
        }
    }
    gy_buf_addc(out, ") WITH ORDINALITY AS u (");
    for (size_t i = 0; i < s->n_params; i++) {
        if (types[i]) {
            gy_buf_addf(out, "p%zu, ", i + 1);
        }
    }
    gy_buf_addc(out, "nth) ORDER BY u.nth");
    w.types = NULL;
    write_all(&w, s->after_values);
    return n > 0 ? gy_buf_check(out, "a statement", err)
                 : refuse(err, "nothing but NULL in all rows", gy_str_c(sql));
}

/* ---- migrations ---- */

/* The type of a column, after its name was written. */
static gy_status write_type(struct gy_buf *out, struct gy_str *rest, struct gy_err *err)
{
    struct token t = next_solid(rest);
    struct gy_str ahead = *rest;
    bool key = is_word(next_solid(&ahead), "PRIMARY") && is_word(next_solid(&ahead), "KEY");
    if (is_word(t, "INTEGER")) {
        gy_buf_addc(out, key ? " BIGINT GENERATED BY DEFAULT AS IDENTITY" : " BIGINT");
    } else if (is_word(t, "REAL")) {
        gy_buf_addc(out, " DOUBLE PRECISION");
    } else if (is_word(t, "BLOB")) {
        gy_buf_addc(out, " BYTEA");
    } else if (is_word(t, "TEXT")) {
        gy_buf_addc(out, " TEXT COLLATE \"C\"");
    } else {
        return refuse(err, "a column is INTEGER, REAL, TEXT or BLOB", t.s);
    }
    return GY_OK;
}

static bool is_table_constraint(struct token t)
{
    return is_word(t, "PRIMARY") || is_word(t, "UNIQUE") || is_word(t, "CHECK") ||
           is_word(t, "FOREIGN") || is_word(t, "CONSTRAINT");
}

static bool has_no_translation(struct token t)
{
    return is_word(t, "AUTOINCREMENT") || is_word(t, "COLLATE") || is_word(t, "GLOB") ||
           is_word(t, "TRIGGER") || is_word(t, "VIRTUAL") || is_word(t, "PRAGMA");
}

/* A column or constraint of CREATE TABLE, up to the comma or parenthesis that ends it. */
static gy_status write_item(struct gy_buf *out, struct gy_str *rest, char *ret_end,
                            struct gy_err *err)
{
    struct writer w = {.out = out};
    struct token t = next_token(rest);
    while (t.kind == BLANK) {
        gy_buf_add(out, t.s);
        t = next_token(rest);
    }
    bool column = (t.kind == WORD || t.kind == QUOTED) && !is_table_constraint(t);
    for (; t.kind != END && t.kind != BROKEN; t = next_token(rest)) {
        if (w.depth == 0 && (is_punct(t, ',') || is_punct(t, ')'))) {
            *ret_end = t.s.p[0];
            gy_buf_add_char(out, *ret_end);
            return GY_OK;
        }
        if (has_no_translation(t)) {
            return refuse(err, "this has no translation for PostgreSQL", t.s);
        }
        write_token(&w, t);
        if (column) {
            GY_TRY(write_type(out, rest, err));
            column = false;
        }
    }
    return refuse(err, "a CREATE TABLE does not end", *rest);
}

/* After CREATE TABLE: up to its semicolon. */
static gy_status write_table(struct gy_buf *out, struct gy_str *rest, struct gy_err *err)
{
    struct token t = next_token(rest);
    for (; t.kind != END && !is_punct(t, '('); t = next_token(rest)) {
        gy_buf_add(out, t.s);
    }
    if (t.kind == END) {
        return refuse(err, "a CREATE TABLE has no columns", *rest);
    }
    gy_buf_add_char(out, '(');
    for (char end = ','; end == ',';) {
        GY_TRY(write_item(out, rest, &end, err));
    }
    for (t = next_solid(rest); t.kind != END && !is_punct(t, ';'); t = next_solid(rest)) {
        if (!is_word(t, "WITHOUT") && !is_word(t, "ROWID") && !is_word(t, "STRICT") &&
            !is_punct(t, ',')) {
            return refuse(err, "this has no translation for PostgreSQL", t.s);
        }
    }
    gy_buf_addc(out, ";");
    return GY_OK;
}

/* Any other statement, up to its semicolon; in ALTER TABLE .. ADD COLUMN the type is translated. */
static gy_status write_other(struct gy_buf *out, struct token t, struct gy_str *rest,
                             struct gy_err *err)
{
    struct writer w = {.out = out};
    bool alter = is_word(t, "ALTER");
    bool adds = false; /* the name of a new column is next, or COLUMN and then it */
    for (; t.kind != END; t = next_token(rest)) {
        if (t.kind == BROKEN) {
            return refuse(err, "a quote or a comment does not end", *rest);
        }
        if (has_no_translation(t)) {
            return refuse(err, "this has no translation for PostgreSQL", t.s);
        }
        bool name = adds && t.kind != BLANK && !is_word(t, "COLUMN") && !is_table_constraint(t);
        write_token(&w, t);
        adds = (adds && (t.kind == BLANK || is_word(t, "COLUMN"))) || (alter && is_word(t, "ADD"));
        if (name) {
            GY_TRY(write_type(out, rest, err));
        }
        if (is_punct(t, ';')) {
            break;
        }
    }
    return GY_OK;
}

gy_status gy_pg_migration(const char *sql, struct gy_buf *out, struct gy_err *err)
{
    struct gy_str rest = gy_str_c(sql);
    for (struct token t = next_token(&rest); t.kind != END; t = next_token(&rest)) {
        if (t.kind == BLANK || is_punct(t, ';')) {
            gy_buf_add(out, t.s);
        } else if (is_word(t, "CREATE") && is_word(peek_solid(rest), "TABLE")) {
            gy_buf_add(out, t.s);
            GY_TRY(write_table(out, &rest, err));
        } else {
            GY_TRY(write_other(out, t, &rest, err));
        }
    }
    return gy_buf_check(out, "a migration", err);
}

/* ---- any statement ---- */

static gy_status find_null_tests(struct gy_str sql, struct gy_pg_sql *ret, struct gy_err *err)
{
    struct gy_str rest = sql;
    size_t param = 0;
    for (struct token t = next_solid(&rest); t.kind != END; t = next_solid(&rest)) {
        if (t.kind != PARAM) {
            continue;
        }
        if (is_word(peek_solid(rest), "IS")) {
            if (ret->n_null_tests == GY_PG_MAX_NULL_TESTS) {
                return refuse(err, "too many parameters are compared with NULL", sql);
            }
            ret->null_tests[ret->n_null_tests++] = param;
        }
        param++;
    }
    return GY_OK;
}

gy_status gy_pg_statement(const char *sql, struct gy_buf *out, struct gy_pg_sql *ret,
                          struct gy_err *err)
{
    struct gy_str rest = gy_str_c(sql);
    struct writer w = {.out = out};
    bool ended = false;
    *ret = (struct gy_pg_sql){0};
    for (struct token t = next_token(&rest); t.kind != END; t = next_token(&rest)) {
        if (t.kind == BROKEN) {
            return refuse(err, "a quote or a comment does not end", rest);
        }
        if (ended && t.kind != BLANK && !is_punct(t, ';')) {
            return refuse(err, "one SQL statement is wanted", gy_str_c(sql));
        }
        ended = ended || is_punct(t, ';');
        if (!ended) {
            write_token(&w, t);
        }
    }
    if (w.before.kind == END) {
        return refuse(err, "one SQL statement is wanted", gy_str_c(sql));
    }
    if (w.n_params > GY_PG_MAX_PARAMS) {
        return refuse(err, "too many parameters", gy_str_c(sql));
    }
    ret->n_params = w.n_params;
    GY_TRY(find_null_tests(gy_str_c(sql), ret, err));
    read_kind(gy_str_c(sql), ret);
    if (ret->changes_schema) {
        gy_buf_reset(out);
        return gy_pg_migration(sql, out, err);
    }
    return gy_buf_check(out, "a statement", err);
}
