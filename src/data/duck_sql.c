/* SPDX-License-Identifier: Apache-2.0 */
#include "data/duck_sql.h"

#include "base/limits.h"

#define MAX_DEPTH 64 /* of brackets whose clause is known */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static char at(struct gy_str s, size_t i)
{
    return i < s.n ? s.p[i] : '\0';
}

/* Behind a comment at i; i itself when there is none. */
static size_t skip_comment(struct gy_str s, size_t i)
{
    if (at(s, i) == '-' && at(s, i + 1) == '-') {
        while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r') {
            i++;
        }
        return i;
    }
    if (at(s, i) != '/' || at(s, i + 1) != '*') {
        return i;
    }
    size_t depth = 0;
    do { /* comments nest */
        if (at(s, i) == '/' && at(s, i + 1) == '*') {
            depth++;
            i += 2;
        } else if (at(s, i) == '*' && at(s, i + 1) == '/') {
            depth--;
            i += 2;
        } else {
            i++;
        }
    } while (i < s.n && depth > 0);
    return i < s.n ? i : s.n;
}

/* Behind the quote that ends what starts at i. */
static size_t skip_quoted(struct gy_str s, size_t i, bool escapes)
{
    const char quote = s.p[i];
    for (i++; i < s.n; i++) {
        const bool doubled = s.p[i] == quote && at(s, i + 1) == quote;
        if (doubled || (escapes && s.p[i] == '\\')) {
            i++;
        } else if (s.p[i] == quote) {
            return i + 1;
        }
    }
    return s.n;
}

/* Behind $tag$ ... $tag$ at i; i itself when it is none. */
static size_t skip_dollar(struct gy_str s, size_t i)
{
    size_t n = 1;
    if (at(s, i) != '$' || (at(s, i + 1) >= '0' && at(s, i + 1) <= '9')) {
        return i;
    }
    while (i + n < s.n && is_word(s.p[i + n]) && s.p[i + n] != '$') {
        n++;
    }
    if (at(s, i + n) != '$') {
        return i;
    }
    const struct gy_str tag = gy_str_sub(s, i, n + 1);
    const size_t end = gy_str_find_str(gy_str_sub(s, i + tag.n, SIZE_MAX), tag);
    return end == SIZE_MAX ? s.n : i + tag.n + end + tag.n;
}

struct gy_duck_token gy_duck_token_next(struct gy_str *rest)
{
    const struct gy_str s = *rest;
    struct gy_duck_token t = {GY_DUCK_WORD_END, GY_STR_NULL};
    size_t i = 0, end;
    for (size_t before = SIZE_MAX; i < s.n && i != before;) {
        before = i;
        while (i < s.n && is_blank(s.p[i])) {
            i++;
        }
        i = skip_comment(s, i);
    }
    end = i;
    if (i < s.n) {
        const bool escapes = (s.p[i] == 'e' || s.p[i] == 'E') && at(s, i + 1) == '\'';
        if (s.p[i] == '"') {
            t.kind = GY_DUCK_WORD_NAME;
            end = skip_quoted(s, i, false);
        } else if (s.p[i] == '\'' || escapes) {
            t.kind = GY_DUCK_WORD_STRING;
            end = skip_quoted(s, i + (escapes ? 1 : 0), escapes);
        } else if ((end = skip_dollar(s, i)) > i) {
            t.kind = GY_DUCK_WORD_STRING;
        } else if (is_word(s.p[i])) {
            t.kind = GY_DUCK_WORD_BARE;
            while (end < s.n && is_word(s.p[end])) {
                end++;
            }
        } else {
            t.kind = GY_DUCK_WORD_SIGN;
            end = i + 1;
        }
        t.text = gy_str_sub(s, i, end - i);
    }
    *rest = gy_str_sub(s, end, SIZE_MAX);
    return t;
}

bool gy_duck_token_text(const struct gy_duck_token *t, struct gy_buf *out)
{
    const struct gy_str s = t->text;
    const char quote = at(s, 0);
    if ((quote != '\'' && quote != '"') || s.n < 2 || s.p[s.n - 1] != quote) {
        return false;
    }
    for (size_t i = 1; i + 1 < s.n; i++) {
        gy_buf_add_char(out, s.p[i]);
        i += s.p[i] == quote ? 1 : 0;
    }
    return true;
}

bool gy_duck_statement_next(struct gy_str *rest, struct gy_str *ret)
{
    const char *from = NULL;
    for (;;) {
        const struct gy_duck_token t = gy_duck_token_next(rest);
        const bool end = t.kind == GY_DUCK_WORD_END;
        if (!end && !gy_str_eqc(t.text, ";")) {
            from = from ? from : t.text.p;
        } else if (from) {
            const char *to = end ? rest->p + rest->n : t.text.p;
            *ret = gy_str_n(from, (size_t)(to - from));
            return true;
        } else if (end) {
            return false;
        }
    }
}

static bool is_one_of(struct gy_str word, const char *const *list)
{
    for (; *list; list++) {
        if (gy_str_ieq(word, gy_str_c(*list))) {
            return true;
        }
    }
    return false;
}

static const char *const g_begin[] = {"FROM",  "JOIN",    "DESCRIBE", "SUMMARIZE",
                                      "PIVOT", "UNPIVOT", "SHOW",     NULL};
static const char *const g_stop[] = {"WHERE",   "GROUP",  "ORDER",  "HAVING", "LIMIT", "SELECT",
                                     "UNION",   "EXCEPT", "WINDOW", "VALUES", "SET",   "OFFSET",
                                     "QUALIFY", "SAMPLE", "TO",     NULL};

/* Where tables are named, bracket by bracket. */
struct clauses {
    bool tables[MAX_DEPTH];
    size_t depth;
    bool here; /* is the next word a table's? */
};

static void follow(struct clauses *c, const struct gy_duck_token *t)
{
    const bool bare = t->kind == GY_DUCK_WORD_BARE;
    bool *tables = &c->tables[c->depth];
    c->here = false;
    if (bare && is_one_of(t->text, g_begin)) {
        c->here = true;
        *tables = true;
    } else if (bare && is_one_of(t->text, g_stop)) {
        *tables = false;
    } else if (gy_str_eqc(t->text, "(")) {
        c->depth += c->depth + 1 < MAX_DEPTH ? 1 : 0;
        c->tables[c->depth] = false;
    } else if (gy_str_eqc(t->text, ")")) {
        c->depth -= c->depth > 0 ? 1 : 0;
    } else if (t->kind == GY_DUCK_WORD_SIGN) {
        c->here = gy_str_eqc(t->text, ",") && *tables;
    }
}

/* Is what stands before `rest` the name of a function, or of a schema? */
static bool goes_on(struct gy_str rest)
{
    const struct gy_duck_token next = gy_duck_token_next(&rest);
    return gy_str_eqc(next.text, "(") || gy_str_eqc(next.text, ".");
}

gy_status gy_duck_tables(struct gy_str statement,
                         gy_status (*fn)(void *ctx, struct gy_str name, struct gy_err *err),
                         void *ctx, struct gy_err *err)
{
    struct clauses c = {.depth = 0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
    gy_buf_init(&name, GY_MAX_PATH);
    for (struct gy_str rest = statement;;) {
        const struct gy_duck_token t = gy_duck_token_next(&rest);
        const bool table = c.here;
        if (t.kind == GY_DUCK_WORD_END) {
            return GY_OK;
        }
        follow(&c, &t);
        if (!table || c.here || t.kind == GY_DUCK_WORD_SIGN || goes_on(rest)) {
            continue;
        }
        gy_buf_reset(&name);
        if (t.kind == GY_DUCK_WORD_BARE) {
            gy_buf_add(&name, t.text);
        } else if (!gy_duck_token_text(&t, &name)) {
            continue;
        }
        if (name.failed == GY_OK && name.n > 0) {
            GY_TRY(fn(ctx, gy_buf_str(&name), err));
        }
    }
}

gy_status gy_duck_arguments(struct gy_str statement, const char *function,
                            gy_status (*fn)(void *ctx, struct gy_str argument, struct gy_err *err),
                            void *ctx, struct gy_err *err)
{
    int seen = 0; /* 1: the function's name, 2: and a bracket */
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_PATH);
    for (struct gy_str rest = statement;;) {
        const struct gy_duck_token t = gy_duck_token_next(&rest);
        if (t.kind == GY_DUCK_WORD_END) {
            return GY_OK;
        }
        if (t.kind == GY_DUCK_WORD_BARE || t.kind == GY_DUCK_WORD_NAME) {
            gy_buf_reset(&text);
            const bool quoted = gy_duck_token_text(&t, &text);
            seen = gy_str_ieq(quoted ? gy_buf_str(&text) : t.text, gy_str_c(function)) ? 1 : 0;
            continue;
        }
        if (seen == 2 && t.kind == GY_DUCK_WORD_STRING) {
            gy_buf_reset(&text);
            if (gy_duck_token_text(&t, &text) && text.failed == GY_OK) {
                GY_TRY(fn(ctx, gy_buf_str(&text), err));
            }
        }
        seen = seen == 1 && gy_str_eqc(t.text, "(") ? 2 : 0;
    }
}
