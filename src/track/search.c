/* SPDX-License-Identifier: Apache-2.0 */
#include "track/search.h"

#include <stdio.h>

/* ---- what each kind of search knows ---- */

static const struct gy_search_attr run_attrs[] = {
    {"run_id", "r.id", false, true, true, true},
    {"run_name", "r.name", false, false, true, true},
    {"user_id", "r.user_id", false, false, true, true},
    {"status", "r.status", false, false, true, true},
    {"start_time", "r.start_ms", true, false, true, true},
    {"end_time", "r.end_ms", true, false, true, true},
    {"artifact_uri", "r.artifact_uri", false, false, true, true},
    {"created", "r.start_ms", true, false, true, true},
    {"Created", "r.start_ms", true, false, true, true},
    {"run name", "r.name", false, false, true, false},
    {"Run name", "r.name", false, false, true, false},
    {"Run Name", "r.name", false, false, true, false},
    {NULL, NULL, false, false, false, false},
};
static const struct gy_search_attr experiment_attrs[] = {
    {"name", "e.name", false, false, true, true},
    {"experiment_id", "CAST(e.id AS TEXT)", false, true, true, false},
    {"experiment_id", "e.id", true, false, false, true},
    {"creation_time", "(e.created_us / 1000)", true, false, true, true},
    {"last_update_time", "(e.updated_us / 1000)", true, false, true, true},
    {NULL, NULL, false, false, false, false},
};
static const struct gy_search_attr model_attrs[] = {
    {"name", "m.name", false, true, true, true},
    {"timestamp", "(m.updated_us / 1000)", true, false, false, true},
    {"last_updated_timestamp", "(m.updated_us / 1000)", true, false, false, true},
    {NULL, NULL, false, false, false, false},
};
static const struct gy_search_attr version_attrs[] = {
    {"name", "m.name", false, true, true, true},
    {"run_id", "v.run_id", false, true, true, false},
    {"source_path", "v.source", false, false, true, false},
    {"version_number", "v.version", true, false, true, true},
    {"creation_timestamp", "(v.created_us / 1000)", true, false, false, true},
    {"last_updated_timestamp", "(v.updated_us / 1000)", true, false, false, true},
    {NULL, NULL, false, false, false, false},
};
#define LOGGED_STATUS \
    "(CASE l.status WHEN 1 THEN 'PENDING' WHEN 2 THEN 'READY' WHEN 3 THEN 'FAILED' END)"
static const struct gy_search_attr logged_attrs[] = {
    {"name", "l.name", false, true, true, true},
    {"model_id", "l.id", false, true, true, true},
    {"model_type", "l.model_type", false, true, true, true},
    {"status", LOGGED_STATUS, false, true, true, false},
    {"status", "l.status", true, false, false, true},
    {"source_run_id", "l.source_run_id", false, true, true, true},
    {"experiment_id", "CAST(l.experiment_id AS TEXT)", false, true, true, true},
    {"creation_timestamp", "(l.created_us / 1000)", true, false, true, true},
    {"creation_timestamp_ms", "(l.created_us / 1000)", true, false, true, true},
    {"creation_time", "(l.created_us / 1000)", true, false, true, true},
    {"last_updated_timestamp", "(l.updated_us / 1000)", true, false, true, true},
    {"last_updated_timestamp_ms", "(l.updated_us / 1000)", true, false, true, true},
    {NULL, NULL, false, false, false, false},
};

struct entity_name {
    const char *name;
    enum gy_search_entity entity;
};
static const struct entity_name run_entities[] = {
    {"metric", GY_SEARCH_METRIC},
    {"metrics", GY_SEARCH_METRIC},
    {"param", GY_SEARCH_PARAM},
    {"params", GY_SEARCH_PARAM},
    {"parameter", GY_SEARCH_PARAM},
    {"parameters", GY_SEARCH_PARAM},
    {"tag", GY_SEARCH_TAG},
    {"tags", GY_SEARCH_TAG},
    {"attribute", GY_SEARCH_ATTRIBUTE},
    {"attributes", GY_SEARCH_ATTRIBUTE},
    {"attr", GY_SEARCH_ATTRIBUTE},
    {"run", GY_SEARCH_ATTRIBUTE},
    {"dataset", GY_SEARCH_DATASET},
    {"datasets", GY_SEARCH_DATASET},
    {NULL, GY_SEARCH_ATTRIBUTE},
};
static const struct entity_name plain_entities[] = {
    {"attribute", GY_SEARCH_ATTRIBUTE},
    {"tag", GY_SEARCH_TAG},
    {"tags", GY_SEARCH_TAG},
    {NULL, GY_SEARCH_ATTRIBUTE},
};
static const struct entity_name logged_entities[] = {
    {"attributes", GY_SEARCH_ATTRIBUTE}, {"metrics", GY_SEARCH_METRIC},
    {"params", GY_SEARCH_PARAM},         {"tags", GY_SEARCH_TAG},
    {NULL, GY_SEARCH_ATTRIBUTE},
};

struct kind_rules {
    const struct gy_search_attr *attrs;
    const struct entity_name *entities;
    bool null_of_tags, null_of_params; /* IS [NOT] NULL is allowed on them */
    bool lists;                        /* IN on params and tags */
};
static const struct kind_rules g_kinds[] = {
    [GY_SEARCH_RUNS] = {run_attrs, run_entities, true, true, false},
    [GY_SEARCH_EXPERIMENTS] = {experiment_attrs, plain_entities, true, false, false},
    [GY_SEARCH_MODELS] = {model_attrs, plain_entities, false, false, false},
    [GY_SEARCH_VERSIONS] = {version_attrs, plain_entities, false, false, false},
    [GY_SEARCH_LOGGED_MODELS] = {logged_attrs, logged_entities, false, false, true},
};

static const char *const g_entity_names[] = {
    [GY_SEARCH_METRIC] = "metric",       [GY_SEARCH_PARAM] = "parameter", [GY_SEARCH_TAG] = "tag",
    [GY_SEARCH_ATTRIBUTE] = "attribute", [GY_SEARCH_DATASET] = "dataset",
};

/* ---- tokens ---- */

enum token_kind {
    T_END,
    T_WORD,   /* name, a.b.c, entity.`quoted key` */
    T_STRING, /* 'x' or "x" standing alone */
    T_TICKS,  /* `x` standing alone */
    T_NUMBER,
    T_OP, /* = != < <= > >= and what looks like one: == <> */
    T_OPEN,
    T_CLOSE,
    T_COMMA,
    T_SEMICOLON,
    T_OTHER
};

struct token {
    enum token_kind kind;
    struct gy_str text;   /* as written */
    struct gy_str entity; /* T_WORD, T_TICKS: before the first dot, absent without one */
    struct gy_str key;    /* after it, without quotes */
    struct gy_str value;  /* T_STRING: between the quotes */
};

struct lexer {
    struct gy_str text;
    size_t at;
    struct token t; /* the current one */
};

static bool word_byte(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || u == '_' ||
           u >= 0x80;
}

/* Position behind the quoted text that starts at `at`; SIZE_MAX when it is not closed. A doubled
 * quote and one behind a backslash belong to the text (and stay in it as they are), unless no other
 * quote closes it: then the last such one does. */
static size_t quoted_end(struct gy_str s, size_t at)
{
    char quote = s.p[at];
    size_t last = SIZE_MAX;
    for (size_t i = at + 1; i < s.n; i++) {
        bool doubled = s.p[i] == quote && i + 1 < s.n && s.p[i + 1] == quote;
        bool escaped = s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == quote;
        if (quote != '`' && (doubled || escaped)) {
            last = doubled ? i + 1 : i + 2;
            i++;
        } else if (s.p[i] == quote) {
            return i + 1;
        }
    }
    return last;
}

static size_t words_end(struct gy_str s, size_t at)
{
    while (at < s.n && (word_byte(s.p[at]) || s.p[at] == '.')) {
        at++;
    }
    return at;
}

static struct gy_str unquoted(struct gy_str s)
{
    if (s.n >= 2 && strchr("'\"`", s.p[0]) && s.p[s.n - 1] == s.p[0]) {
        return gy_str_sub(s, 1, s.n - 2);
    }
    return s;
}

/* A word, or quoted text, with an optional ".key" behind it. */
static void lex_name(struct lexer *l)
{
    size_t start = l->at, end;
    struct token *t = &l->t;
    if (l->text.p[start] == '`' || l->text.p[start] == '"') {
        end = quoted_end(l->text, start);
        if (end == SIZE_MAX) {
            t->kind = T_OTHER;
            t->text = gy_str_sub(l->text, start, SIZE_MAX);
            l->at = l->text.n;
            return;
        }
        t->kind = l->text.p[start] == '`' ? T_TICKS : T_STRING;
        t->value = gy_str_sub(l->text, start + 1, end - start - 2);
        t->key = t->value;
        if (end >= l->text.n || l->text.p[end] != '.') {
            t->text = gy_str_sub(l->text, start, end - start);
            l->at = end;
            return;
        }
        t->entity = t->value;
        t->kind = T_WORD;
    } else {
        t->kind = T_WORD;
        end = start;
        while (end < l->text.n && word_byte(l->text.p[end])) {
            end++;
        }
        t->key = gy_str_sub(l->text, start, end - start);
        if (end < l->text.n && l->text.p[end] == '.') {
            t->entity = t->key;
        }
    }
    if (t->entity.p) {
        size_t key = end + 1;
        if (key < l->text.n && strchr("`\"'", l->text.p[key])) {
            end = quoted_end(l->text, key);
            if (end == SIZE_MAX) {
                t->kind = T_OTHER;
                end = l->text.n;
            }
        } else {
            end = words_end(l->text, key);
        }
        t->key = unquoted(gy_str_sub(l->text, key, end - key));
    }
    t->text = gy_str_sub(l->text, start, end - start);
    l->at = end;
}

static void lex_number(struct lexer *l)
{
    size_t end = l->at + 1;
    while (end < l->text.n && (word_byte(l->text.p[end]) || l->text.p[end] == '.' ||
                               ((l->text.p[end] == '-' || l->text.p[end] == '+') &&
                                (l->text.p[end - 1] == 'e' || l->text.p[end - 1] == 'E')))) {
        end++;
    }
    l->t.kind = T_NUMBER;
    l->t.text = gy_str_sub(l->text, l->at, end - l->at);
    l->at = end;
}

static void lex_punctuation(struct lexer *l)
{
    struct gy_str s = l->text;
    char c = s.p[l->at];
    size_t n = 1;
    l->t.kind = T_OTHER;
    if (strchr("=!<>", c)) {
        while (l->at + n < s.n && strchr("=!<>", s.p[l->at + n])) {
            n++;
        }
        l->t.kind = T_OP;
    } else if (c == '(') {
        l->t.kind = T_OPEN;
    } else if (c == ')') {
        l->t.kind = T_CLOSE;
    } else if (c == ',') {
        l->t.kind = T_COMMA;
    } else if (c == ';') {
        l->t.kind = T_SEMICOLON;
    }
    l->t.text = gy_str_sub(s, l->at, n);
    l->at += n;
}

static void lex_next(struct lexer *l)
{
    l->t = (struct token){.kind = T_END, .text = GY_STR("")};
    while (l->at < l->text.n && strchr(" \t\r\n\v\f", l->text.p[l->at]) && l->text.p[l->at]) {
        l->at++;
    }
    if (l->at >= l->text.n) {
        return;
    }
    char c = l->text.p[l->at], next = l->at + 1 < l->text.n ? l->text.p[l->at + 1] : 0;
    bool digit = c >= '0' && c <= '9', next_digit = next >= '0' && next <= '9';
    if (digit || ((c == '-' || c == '+' || c == '.') && (next_digit || next == '.'))) {
        lex_number(l);
    } else if (c == '\'') {
        size_t end = quoted_end(l->text, l->at);
        l->t.kind = end == SIZE_MAX ? T_OTHER : T_STRING;
        end = end == SIZE_MAX ? l->text.n : end;
        l->t.text = gy_str_sub(l->text, l->at, end - l->at);
        l->t.value = unquoted(l->t.text);
        l->at = end;
    } else if (word_byte(c) || c == '`' || c == '"') {
        lex_name(l);
    } else {
        lex_punctuation(l);
    }
}

static bool is_keyword(const struct token *t, const char *word)
{
    return t->kind == T_WORD && !t->entity.p && gy_str_ieq(t->text, gy_str_c(word));
}

/* ---- the parser ---- */

struct parser {
    enum gy_search_kind kind;
    const struct kind_rules *rules;
    struct lexer lex;
    size_t n_listed; /* values of all lists so far */
    struct gy_arena *arena;
    struct gy_err *err;
};

static struct gy_str shown(struct gy_str s)
{
    return gy_str_sub(s, 0, 120);
}

static gy_status bad_clause(struct parser *p, size_t from)
{
    struct gy_str rest = gy_str_trim(gy_str_sub(p->lex.text, from, SIZE_MAX));
    return gy_err_set(p->err, GY_E_INVALID, "Invalid clause(s) in filter string: '%" GY_STR_F "'",
                      GY_STR_A(shown(rest)));
}

static size_t token_start(const struct lexer *l)
{
    return l->at - l->t.text.n;
}

/* Python's way of showing a set, which clients' tests know the head of. */
static void attr_names(const struct kind_rules *rules, bool order, char *out, size_t out_size)
{
    size_t at = (size_t)snprintf(out, out_size, "{");
    for (const struct gy_search_attr *s = rules->attrs; s->name && at < out_size; s++) {
        if (order ? s->order : s->filter) {
            at += (size_t)snprintf(out + at, out_size - at, "%s'%s'", at > 1 ? ", " : "", s->name);
        }
    }
    if (at < out_size) {
        snprintf(out + at, out_size - at, "}");
    }
}

static gy_status find_attr(struct parser *p, struct gy_str key, bool order,
                           const struct gy_search_attr **ret)
{
    for (const struct gy_search_attr *s = p->rules->attrs; s->name; s++) {
        if ((order ? s->order : s->filter) && gy_str_eqc(key, s->name)) {
            *ret = s;
            return GY_OK;
        }
    }
    char names[256];
    attr_names(p->rules, order, names, sizeof names);
    if (order && (p->kind == GY_SEARCH_MODELS || p->kind == GY_SEARCH_VERSIONS)) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Invalid order by key '%" GY_STR_F "' specified. Valid keys are '%s'",
                          GY_STR_A(shown(key)), names);
    }
    return gy_err_set(p->err, GY_E_INVALID,
                      "Invalid attribute key '%" GY_STR_F "' specified. Valid keys are '%s'",
                      GY_STR_A(shown(key)), names);
}

static gy_status resolve_name(struct parser *p, const struct token *t, bool order,
                              enum gy_search_entity *ret_entity,
                              const struct gy_search_attr **ret_attr)
{
    *ret_entity = GY_SEARCH_ATTRIBUTE;
    *ret_attr = NULL;
    if (t->entity.p) {
        const struct entity_name *e = p->rules->entities;
        while (e->name && !gy_str_eqc(t->entity, e->name)) {
            e++;
        }
        if (!e->name) {
            return gy_err_set(
                p->err, GY_E_INVALID, "Invalid entity type '%" GY_STR_F "'. Valid values are %s",
                GY_STR_A(shown(t->entity)),
                p->kind == GY_SEARCH_RUNS ? "['metric', 'parameter', 'tag', 'attribute', 'dataset']"
                : p->kind == GY_SEARCH_LOGGED_MODELS ? "['attributes', 'metrics', 'params', 'tags']"
                                                     : "('attribute', 'tag', 'tags')");
        }
        *ret_entity = e->entity;
    }
    if (*ret_entity == GY_SEARCH_ATTRIBUTE) {
        return find_attr(p, t->key, order, ret_attr);
    }
    if (*ret_entity == GY_SEARCH_DATASET && !gy_str_eqc(t->key, "name") &&
        !gy_str_eqc(t->key, "digest") && !gy_str_eqc(t->key, "context")) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Invalid dataset key '%" GY_STR_F
                          "' specified. Valid keys are '{'name', 'digest', 'context'}'",
                          GY_STR_A(shown(t->key)));
    }
    return GY_OK;
}

/* The operator at the current token, which is passed. */
static gy_status parse_op(struct parser *p, enum gy_search_op *ret, struct gy_str *ret_text)
{
    static const struct {
        const char *text;
        enum gy_search_op op;
    } ops[] = {
        {"=", GY_SEARCH_EQ},      {"!=", GY_SEARCH_NE},       {"<", GY_SEARCH_LT},
        {"<=", GY_SEARCH_LE},     {">", GY_SEARCH_GT},        {">=", GY_SEARCH_GE},
        {"LIKE", GY_SEARCH_LIKE}, {"ILIKE", GY_SEARCH_ILIKE}, {"IN", GY_SEARCH_IN},
    };
    struct token t = p->lex.t;
    size_t start = token_start(&p->lex);
    *ret_text = t.text;
    if (is_keyword(&t, "IS")) {
        lex_next(&p->lex);
        *ret = GY_SEARCH_IS_NULL;
        if (is_keyword(&p->lex.t, "NOT")) {
            *ret = GY_SEARCH_NOT_NULL;
            lex_next(&p->lex);
        }
        if (!is_keyword(&p->lex.t, "NULL")) {
            return bad_clause(p, start);
        }
        lex_next(&p->lex);
        return GY_OK;
    }
    if (is_keyword(&t, "NOT")) {
        lex_next(&p->lex);
        if (!is_keyword(&p->lex.t, "IN")) {
            return bad_clause(p, start);
        }
        *ret = GY_SEARCH_NOT_IN;
        *ret_text = GY_STR("NOT IN");
        lex_next(&p->lex);
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        bool same = t.kind == T_OP ? gy_str_eqc(t.text, ops[i].text) : is_keyword(&t, ops[i].text);
        if (same) {
            *ret = ops[i].op;
            lex_next(&p->lex);
            return GY_OK;
        }
    }
    if (t.kind == T_OP) {
        return gy_err_set(p->err, GY_E_INVALID, "Invalid comparator '%" GY_STR_F "'",
                          GY_STR_A(shown(t.text)));
    }
    return bad_clause(p, start);
}

#define OPS_NUMBER "{'>', '>=', '!=', '=', '<', '<='}"
#define OPS_TEXT "{'!=', '=', 'LIKE', 'ILIKE'}"
#define OPS_NULL "{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}"
#define OPS_LIST "{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}"

static gy_status check_op(struct parser *p, const struct gy_search_clause *c, struct gy_str text)
{
    bool is_null = c->op == GY_SEARCH_IS_NULL || c->op == GY_SEARCH_NOT_NULL;
    bool tag = c->entity == GY_SEARCH_TAG, param = c->entity == GY_SEARCH_PARAM;
    bool may_null = (tag && p->rules->null_of_tags) || (param && p->rules->null_of_params);
    if (is_null) {
        if (may_null) {
            return GY_OK;
        }
        return gy_err_set(p->err, GY_E_INVALID,
                          "IS NULL / IS NOT NULL is only supported for tags%s, not for '%s' "
                          "'%" GY_STR_F "'",
                          p->rules->null_of_params ? " and params" : "", g_entity_names[c->entity],
                          GY_STR_A(shown(c->key)));
    }
    bool in = c->op == GY_SEARCH_IN || c->op == GY_SEARCH_NOT_IN;
    bool like = c->op == GY_SEARCH_LIKE || c->op == GY_SEARCH_ILIKE;
    bool order = c->op == GY_SEARCH_LT || c->op == GY_SEARCH_LE || c->op == GY_SEARCH_GT ||
                 c->op == GY_SEARCH_GE;
    bool number = c->entity == GY_SEARCH_METRIC || (c->attr && c->attr->numeric);
    const char *allowed = NULL;
    if (number) {
        allowed = in || like ? OPS_NUMBER : NULL;
    } else if (order) {
        allowed = c->entity == GY_SEARCH_ATTRIBUTE || c->entity == GY_SEARCH_DATASET ? OPS_LIST
                  : may_null                                                         ? OPS_NULL
                                                                                     : OPS_TEXT;
    } else if (in && (tag || param) && !p->rules->lists) {
        allowed = may_null ? OPS_NULL : OPS_TEXT;
    }
    if (!allowed) {
        return GY_OK;
    }
    return gy_err_set(p->err, GY_E_INVALID, "Invalid comparator '%" GY_STR_F "' not one of '%s'",
                      GY_STR_A(shown(text)), allowed);
}

static gy_status parse_list(struct parser *p, struct gy_search_clause *c)
{
    struct lexer *l = &p->lex;
    if (c->attr && !c->attr->list) {
        const char *name = "run_id";
        for (const struct gy_search_attr *s = p->rules->attrs; s->name; s++) {
            name = s->list ? s->name : name;
        }
        return gy_err_set(p->err, GY_E_INVALID,
                          "Only ['%s'] attributes support comparison with a list of quoted string "
                          "values.",
                          name);
    }
    if (l->t.kind != T_OPEN) {
        return bad_clause(p, token_start(l));
    }
    void *items = NULL;
    size_t cap = 0;
    lex_next(l);
    while (l->t.kind != T_CLOSE) {
        if (l->t.kind != T_STRING) {
            return gy_err_set(p->err, GY_E_INVALID,
                              "While parsing a list in the query, expected string value, "
                              "punctuation, or whitespace, but got different type in list: "
                              "%" GY_STR_F,
                              GY_STR_A(shown(l->t.text)));
        }
        if (p->n_listed++ >= GY_SEARCH_MAX_LIST) {
            return gy_err_set(p->err, GY_E_INVALID,
                              "the lists of a filter have at most %d values together",
                              GY_SEARCH_MAX_LIST);
        }
        GY_TRY(gy_track_grow(p->arena, &items, c->n_list, &cap, sizeof(struct gy_str), p->err));
        ((struct gy_str *)items)[c->n_list++] = l->t.value;
        lex_next(l);
        if (l->t.kind == T_COMMA) {
            lex_next(l);
        } else if (l->t.kind != T_CLOSE) {
            return gy_err_set(p->err, GY_E_INVALID,
                              "While parsing a list in the query, expected a non-empty list of "
                              "string values, but got ill-formed list.");
        }
    }
    lex_next(l);
    if (c->n_list == 0) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "While parsing a list in the query, expected a non-empty list of string "
                          "values, but got empty list");
    }
    c->list = items;
    return GY_OK;
}

static gy_status parse_value(struct parser *p, struct gy_search_clause *c)
{
    const struct token *t = &p->lex.t;
    if (t->kind == T_END || t->kind == T_COMMA || t->kind == T_CLOSE || t->kind == T_SEMICOLON ||
        t->kind == T_OP || t->kind == T_OTHER) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Invalid clause(s) in filter string: a value is missing at "
                          "'%" GY_STR_F "'",
                          GY_STR_A(shown(t->text)));
    }
    bool loose = p->kind == GY_SEARCH_LOGGED_MODELS && (t->kind == T_WORD || t->kind == T_NUMBER);
    if (c->entity == GY_SEARCH_METRIC || (c->attr && c->attr->numeric)) {
        /* As MLflow does, a version's number may be quoted. */
        bool quoted = p->kind == GY_SEARCH_VERSIONS && t->kind == T_STRING;
        if ((t->kind != T_NUMBER && !quoted) ||
            gy_parse_f64(quoted ? t->value : t->text, &c->number, NULL) != GY_OK) {
            if (c->entity == GY_SEARCH_METRIC) {
                return gy_err_set(p->err, GY_E_INVALID,
                                  "Expected numeric value type for metric. Found %" GY_STR_F,
                                  GY_STR_A(shown(t->text)));
            }
            return gy_err_set(p->err, GY_E_INVALID,
                              "Expected numeric value type for numeric attribute: %" GY_STR_F
                              ". Found %" GY_STR_F,
                              GY_STR_A(shown(c->key)), GY_STR_A(shown(t->text)));
        }
    } else if (t->kind == T_STRING || loose) { /* text of logged models needs no quotes */
        c->text = loose ? t->text : t->value;
        if ((c->op == GY_SEARCH_LIKE || c->op == GY_SEARCH_ILIKE) &&
            c->text.n > GY_SEARCH_MAX_PATTERN) {
            return gy_err_set(p->err, GY_E_INVALID, "a LIKE pattern has at most %d bytes",
                              GY_SEARCH_MAX_PATTERN);
        }
    } else if (t->kind == T_WORD || t->kind == T_TICKS) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Parameter value is either not quoted or unidentified quote types used "
                          "for string value %" GY_STR_F ". Use either single or double quotes.",
                          GY_STR_A(shown(t->text)));
    } else if (c->entity == GY_SEARCH_ATTRIBUTE || c->entity == GY_SEARCH_DATASET) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Expected a quoted string value for %s. Got value %" GY_STR_F,
                          c->entity == GY_SEARCH_DATASET ? "dataset attributes" : "attributes",
                          GY_STR_A(shown(t->text)));
    } else {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Expected a quoted string value for %s (e.g. 'my-value'). Got value "
                          "%" GY_STR_F,
                          g_entity_names[c->entity], GY_STR_A(shown(t->text)));
    }
    lex_next(&p->lex);
    return GY_OK;
}

/* Experiments: an id is a whole number in quotes that is the same, or one of some; times are whole
 * numbers. */
static gy_status check_experiment(struct parser *p, const struct gy_search_clause *c,
                                  struct gy_str op, struct gy_str value)
{
    int64_t number = 0;
    if (!c->attr || c->entity != GY_SEARCH_ATTRIBUTE) {
        return GY_OK;
    }
    if (c->attr->numeric && gy_parse_i64(value, INT64_MIN, INT64_MAX, &number, NULL) != GY_OK) {
        return gy_err_set(p->err, GY_E_INVALID,
                          "Invalid value for numeric attribute '%s': '%" GY_STR_F "'",
                          c->attr->name, GY_STR_A(shown(value)));
    }
    if (strcmp(c->attr->name, "experiment_id") != 0) {
        return GY_OK;
    }
    if (c->op == GY_SEARCH_LIKE || c->op == GY_SEARCH_ILIKE) {
        return gy_err_set(p->err, GY_E_INVALID, "Invalid comparator for experiment_id: %" GY_STR_F,
                          GY_STR_A(shown(op)));
    }
    for (size_t i = 0; i < c->n_list; i++) {
        GY_TRY(gy_track_parse_experiment_id(c->list[i], &number, p->err));
    }
    return c->n_list > 0 ? GY_OK : gy_track_parse_experiment_id(c->text, &number, p->err);
}

static gy_status parse_clause(struct parser *p, struct gy_search_clause *c)
{
    struct token name = p->lex.t;
    size_t start = token_start(&p->lex);
    lex_next(&p->lex);
    bool named = name.kind == T_WORD || name.kind == T_TICKS ||
                 (name.kind == T_STRING && name.text.p[0] == '"');
    if (!named || !name.key.p) {
        if ((name.kind == T_STRING || name.kind == T_NUMBER) && p->lex.t.kind == T_OP) {
            return gy_err_set(p->err, GY_E_INVALID,
                              "Invalid comparison clause. Expected 'Identifier' found "
                              "'%" GY_STR_F "'",
                              GY_STR_A(shown(name.text)));
        }
        return bad_clause(p, start);
    }
    if (is_keyword(&name, "AND") || is_keyword(&name, "OR") || is_keyword(&name, "NOT") ||
        p->lex.t.kind == T_END || p->lex.t.kind == T_SEMICOLON) {
        return bad_clause(p, start);
    }
    c->key = name.key;
    GY_TRY(resolve_name(p, &name, false, &c->entity, &c->attr));
    struct gy_str op_text = GY_STR_NULL;
    GY_TRY(parse_op(p, &c->op, &op_text));
    GY_TRY(check_op(p, c, op_text));
    if (c->op == GY_SEARCH_IS_NULL || c->op == GY_SEARCH_NOT_NULL) {
        return GY_OK;
    }
    struct gy_str value = p->lex.t.text;
    GY_TRY(c->op == GY_SEARCH_IN || c->op == GY_SEARCH_NOT_IN ? parse_list(p, c)
                                                              : parse_value(p, c));
    return p->kind == GY_SEARCH_EXPERIMENTS ? check_experiment(p, c, op_text, value) : GY_OK;
}

static gy_status parser_init(struct parser *p, enum gy_search_kind kind, struct gy_str text,
                             struct gy_arena *a, struct gy_err *err)
{
    *p = (struct parser){.kind = kind, .rules = &g_kinds[kind], .arena = a, .err = err};
    if (text.n > GY_SEARCH_MAX_TEXT) {
        return gy_err_set(err, GY_E_INVALID, "a filter or order has at most %d bytes",
                          GY_SEARCH_MAX_TEXT);
    }
    if (!gy_str_is_utf8(text) || gy_str_find(text, '\0') != SIZE_MAX) {
        return gy_err_set(err, GY_E_INVALID, "Invalid filter. Could not be parsed: not UTF-8 text");
    }
    p->lex = (struct lexer){.text = text};
    lex_next(&p->lex);
    return GY_OK;
}

gy_status gy_search_parse(enum gy_search_kind kind, struct gy_str filter, struct gy_arena *a,
                          struct gy_search *ret, struct gy_err *err)
{
    *ret = (struct gy_search){NULL, 0};
    struct parser p;
    GY_TRY(parser_init(&p, kind, filter, a, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        while (is_keyword(&p.lex.t, "AND")) { /* MLflow's parser skips it wherever it stands */
            lex_next(&p.lex);
        }
        if (p.lex.t.kind == T_END) {
            break;
        }
        if (n >= GY_SEARCH_MAX_CLAUSES) {
            return gy_err_set(err, GY_E_INVALID, "a filter has at most %d clauses",
                              GY_SEARCH_MAX_CLAUSES);
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_search_clause), err));
        GY_TRY(parse_clause(&p, &((struct gy_search_clause *)items)[n++]));
        size_t at = token_start(&p.lex);
        if (p.lex.t.kind == T_SEMICOLON) {
            lex_next(&p.lex);
            if (p.lex.t.kind != T_END) {
                return gy_err_set(err, GY_E_INVALID,
                                  "Search filter contained multiple expression '%" GY_STR_F
                                  "'. Provide AND-ed expression list.",
                                  GY_STR_A(shown(filter)));
            }
            return bad_clause(&p, at);
        }
    }
    ret->clauses = items;
    ret->n = n;
    return GY_OK;
}

static gy_status parse_one_order(enum gy_search_kind kind, struct gy_str text, struct gy_arena *a,
                                 struct gy_search_order *o, struct gy_err *err)
{
    struct parser p;
    GY_TRY(parser_init(&p, kind, text, a, err));
    struct token name = p.lex.t;
    bool named = name.kind == T_WORD || name.kind == T_TICKS ||
                 (name.kind == T_STRING && name.text.p[0] == '"');
    if (named) {
        lex_next(&p.lex);
    }
    if (named && p.lex.t.kind == T_WORD && !p.lex.t.entity.p) {
        o->descending = is_keyword(&p.lex.t, "DESC");
        if (!o->descending && !is_keyword(&p.lex.t, "ASC")) {
            return gy_err_set(err, GY_E_INVALID,
                              "Invalid ordering key in order_by clause '%" GY_STR_F "'.",
                              GY_STR_A(shown(text)));
        }
        lex_next(&p.lex);
    }
    if (!named || p.lex.t.kind != T_END) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid order_by clause '%" GY_STR_F "'. Could not be parsed.",
                          GY_STR_A(shown(text)));
    }
    o->key = name.key;
    if (kind == GY_SEARCH_MODELS) { /* a name with its entity is no key here */
        name.entity = GY_STR_NULL;
        name.key = name.text;
    }
    GY_TRY(resolve_name(&p, &name, true, &o->entity, &o->attr));
    bool runs = kind == GY_SEARCH_RUNS;
    if (o->entity == GY_SEARCH_DATASET ||
        (!runs && o->entity != GY_SEARCH_ATTRIBUTE &&
         !(kind == GY_SEARCH_LOGGED_MODELS && o->entity == GY_SEARCH_METRIC))) {
        return gy_err_set(err, GY_E_INVALID, "Invalid order_by entity: %s",
                          g_entity_names[o->entity]);
    }
    return GY_OK;
}

gy_status gy_search_parse_order(enum gy_search_kind kind, const struct gy_str *texts, size_t n,
                                struct gy_arena *a, struct gy_search_order **ret,
                                struct gy_err *err)
{
    *ret = NULL;
    if (n == 0) {
        return GY_OK;
    }
    if (n > GY_SEARCH_MAX_ORDER) {
        return gy_err_set(err, GY_E_INVALID, "`order_by` has at most %d fields",
                          GY_SEARCH_MAX_ORDER);
    }
    struct gy_search_order *order = gy_arena_calloc(a, n, sizeof *order);
    if (!order) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(parse_one_order(kind, texts[i], a, &order[i], err));
        /* The same field twice says nothing more; only for experiments MLflow lets it pass. */
        for (size_t j = 0; j < i && kind != GY_SEARCH_EXPERIMENTS; j++) {
            bool same = order[i].attr
                            ? order[j].attr && strcmp(order[j].attr->sql, order[i].attr->sql) == 0
                            : gy_str_eq(order[j].key, order[i].key);
            if (order[j].entity == order[i].entity && same) {
                return gy_err_set(err, GY_E_INVALID,
                                  "`order_by` contains duplicate fields: ['%" GY_STR_F "']",
                                  GY_STR_A(shown(order[i].key)));
            }
        }
    }
    *ret = order;
    return GY_OK;
}
