/* SPDX-License-Identifier: Apache-2.0 */
#include "base/expr.h"

#include "base/expr_internal.h"
#include "base/mem.h"

enum token {
    T_END,
    T_NUM,
    T_STR,
    T_NAME,   /* also keywords: told apart by text */
    T_QUOTED, /* `name` */
    T_SYMBOL, /* 1 or 2 characters */
};

struct compiler {
    struct gy_expr *e;
    gy_expr_resolve_fn resolve;
    void *ctx;
    struct gy_err *err;
    size_t at; /* behind the current token */
    enum token token;
    size_t start; /* of the current token */
    struct gy_str text;
    double num;
    int nesting;
};

static gy_status fail(struct compiler *c, gy_status code, size_t at, const char *what)
{
    return gy_err_set(c->err, code, "%s at column %zu of '%" GY_STR_F "'", what, at + 1,
                      GY_STR_A(gy_str_sub(gy_str_n(c->e->text, c->e->text_n), 0, 200)));
}

static bool name_start(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' ||
           (unsigned char)ch >= 0x80;
}

static bool digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static gy_status lex_number(struct compiler *c)
{
    const struct gy_expr *e = c->e;
    size_t i = c->at;
    while (i < e->text_n && digit(e->text[i])) {
        i++;
    }
    if (i < e->text_n && e->text[i] == '.') {
        for (i++; i < e->text_n && digit(e->text[i]); i++) {
        }
    }
    if (i < e->text_n && (e->text[i] == 'e' || e->text[i] == 'E')) {
        size_t k = i + 1;
        if (k < e->text_n && (e->text[k] == '+' || e->text[k] == '-')) {
            k++;
        }
        if (k < e->text_n && digit(e->text[k])) {
            for (i = k; i < e->text_n && digit(e->text[i]); i++) {
            }
        }
    }
    c->text = gy_str_n(e->text + c->at, i - c->at);
    if (gy_parse_f64(c->text, &c->num, NULL) != GY_OK ||
        (i < e->text_n && name_start(e->text[i]))) {
        return fail(c, GY_E_PARSE, c->start, "not a number");
    }
    c->token = T_NUM;
    c->at = i;
    return GY_OK;
}

/* A text between two quotes, the quote doubled inside. Strings are unescaped into the pool. */
static gy_status lex_quoted(struct compiler *c, char quote)
{
    struct gy_expr *e = c->e;
    char *to = e->pool + e->pool_n;
    size_t n = 0;
    for (size_t i = c->at + 1; i < e->text_n; i++) {
        if (e->text[i] == quote) {
            if (i + 1 < e->text_n && e->text[i + 1] == quote) {
                i++;
            } else {
                c->text = gy_str_n(to, n);
                e->pool_n += n;
                c->token = quote == '`' ? T_QUOTED : T_STR;
                c->at = i + 1;
                return GY_OK;
            }
        }
        to[n++] = e->text[i];
    }
    return fail(c, GY_E_PARSE, c->start, "a quote that is not closed");
}

static gy_status advance(struct compiler *c)
{
    const struct gy_expr *e = c->e;
    while (c->at < e->text_n && strchr(" \t\r\n", e->text[c->at])) {
        c->at++;
    }
    c->start = c->at;
    if (c->at == e->text_n) {
        c->token = T_END;
        c->text = GY_STR("");
        return GY_OK;
    }
    char ch = e->text[c->at];
    if (digit(ch) || (ch == '.' && c->at + 1 < e->text_n && digit(e->text[c->at + 1]))) {
        return lex_number(c);
    }
    if (ch == '\'' || ch == '"' || ch == '`') {
        return lex_quoted(c, ch);
    }
    if (name_start(ch)) {
        size_t i = c->at;
        while (i < e->text_n &&
               (name_start(e->text[i]) || digit(e->text[i]) || e->text[i] == '.')) {
            i++;
        }
        c->token = T_NAME;
        c->text = gy_str_n(e->text + c->at, i - c->at);
        c->at = i;
        return GY_OK;
    }
    static const char *const symbols[] = {"==", "!=", "<>", "<=", ">=", "=", "<", ">", "+",
                                          "-",  "*",  "/",  "%",  "(",  ")", ",", NULL};
    struct gy_str rest = gy_str_n(e->text + c->at, e->text_n - c->at);
    for (size_t i = 0; symbols[i]; i++) {
        if (gy_str_starts(rest, gy_str_c(symbols[i]))) {
            c->token = T_SYMBOL;
            c->text = gy_str_sub(rest, 0, strlen(symbols[i]));
            c->at += c->text.n;
            return GY_OK;
        }
    }
    return fail(c, GY_E_PARSE, c->start, "a character that means nothing here");
}

static bool is_symbol(const struct compiler *c, const char *symbol)
{
    return c->token == T_SYMBOL && gy_str_eqc(c->text, symbol);
}

static bool is_word(const struct compiler *c, const char *word)
{
    return c->token == T_NAME && gy_str_ieq(c->text, gy_str_c(word));
}

static gy_status take_symbol(struct compiler *c, const char *symbol, const char *what)
{
    if (!is_symbol(c, symbol)) {
        return fail(c, GY_E_PARSE, c->start, what);
    }
    return advance(c);
}

static gy_status new_node(struct compiler *c, enum expr_op op, enum gy_expr_type type,
                          size_t column, uint16_t *ret)
{
    struct gy_expr *e = c->e;
    if (e->n_nodes == GY_EXPR_MAX_NODES) {
        return fail(c, GY_E_TOOBIG, column, "too many parts");
    }
    e->nodes[e->n_nodes] = (struct expr_node){.op = (uint8_t)op,
                                              .type = (uint8_t)type,
                                              .first = EXPR_NONE,
                                              .next = EXPR_NONE,
                                              .depth = 1,
                                              .column = (uint16_t)(column + 1)};
    *ret = (uint16_t)e->n_nodes++;
    return GY_OK;
}

static gy_status add_child(struct compiler *c, uint16_t parent, uint16_t child)
{
    struct expr_node *nodes = c->e->nodes;
    uint16_t *link = &nodes[parent].first;
    while (*link != EXPR_NONE) {
        link = &nodes[*link].next;
    }
    *link = child;
    if (nodes[parent].depth <= nodes[child].depth) {
        nodes[parent].depth = (uint16_t)(nodes[child].depth + 1);
    }
    if (nodes[parent].depth > GY_EXPR_MAX_DEPTH) {
        return fail(c, GY_E_TOOBIG, nodes[parent].column - 1u, "nested too deeply");
    }
    return GY_OK;
}

static const char *type_name(int type)
{
    static const char *const names[] = {"null", "a number", "a string", "a bool"};
    return names[type];
}

static gy_status want_type(struct compiler *c, uint16_t node, enum gy_expr_type type)
{
    const struct expr_node *n = &c->e->nodes[node];
    if (n->type == GY_EXPR_NULL || n->type == type) {
        return GY_OK;
    }
    return gy_err_set(c->err, GY_E_INVALID, "%s is needed, not %s, at column %u of '%" GY_STR_F "'",
                      type_name((int)type), type_name(n->type), (unsigned)n->column,
                      GY_STR_A(gy_str_sub(gy_str_n(c->e->text, c->e->text_n), 0, 200)));
}

static gy_status same_type(struct compiler *c, uint16_t a, uint16_t b)
{
    uint8_t type = c->e->nodes[a].type;
    return type == GY_EXPR_NULL ? GY_OK : want_type(c, b, (enum gy_expr_type)type);
}

static gy_status binary(struct compiler *c, enum expr_op op, enum gy_expr_type result,
                        uint16_t left, uint16_t right, size_t column, uint16_t *ret)
{
    GY_TRY(new_node(c, op, result, column, ret));
    GY_TRY(add_child(c, *ret, left));
    return add_child(c, *ret, right);
}

static gy_status parse_or(struct compiler *c, uint16_t *ret);

static gy_status use_name(struct compiler *c, uint16_t *ret)
{
    struct gy_expr *e = c->e;
    size_t slot = 0;
    enum gy_expr_type type = GY_EXPR_NULL;
    if (!c->resolve || !c->resolve(c->ctx, c->text, &slot, &type)) {
        return gy_err_set(c->err, GY_E_INVALID,
                          "unknown name '%" GY_STR_F "' at column %zu of '%" GY_STR_F "'",
                          GY_STR_A(c->text), c->start + 1,
                          GY_STR_A(gy_str_sub(gy_str_n(e->text, e->text_n), 0, 200)));
    }
    GY_TRY(new_node(c, OP_SLOT, type, c->start, ret));
    e->nodes[*ret].slot = slot;
    size_t at = 0;
    while (at < e->n_slots && e->slots[at] < slot) {
        at++;
    }
    if (at == e->n_slots || e->slots[at] != slot) {
        if (e->n_slots == GY_EXPR_MAX_NAMES) {
            return fail(c, GY_E_TOOBIG, c->start, "too many names");
        }
        memmove(e->slots + at + 1, e->slots + at, (e->n_slots - at) * sizeof e->slots[0]);
        e->slots[at] = slot;
        e->n_slots++;
    }
    return advance(c);
}

struct function {
    const char *name;
    enum expr_op op;
    int min_args, max_args; /* max 0: any number */
    enum gy_expr_type arg, result;
};

static const struct function functions[] = {
    {"abs", OP_ABS, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"min", OP_MIN, 1, 0, GY_EXPR_NUM, GY_EXPR_NUM},
    {"max", OP_MAX, 1, 0, GY_EXPR_NUM, GY_EXPR_NUM},
    {"floor", OP_FLOOR, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"ceil", OP_CEIL, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"round", OP_ROUND, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"log", OP_LOG, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"exp", OP_EXP, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"sqrt", OP_SQRT, 1, 1, GY_EXPR_NUM, GY_EXPR_NUM},
    {"if", OP_IF, 3, 3, GY_EXPR_NULL, GY_EXPR_NULL},
    {"len", OP_LEN, 1, 1, GY_EXPR_STR, GY_EXPR_NUM},
    {"lower", OP_LOWER, 1, 1, GY_EXPR_STR, GY_EXPR_STR},
    {"upper", OP_UPPER, 1, 1, GY_EXPR_STR, GY_EXPR_STR},
};

/* The arms of if() must agree, else nobody could say what it gives. */
static gy_status type_if(struct compiler *c, uint16_t node)
{
    struct expr_node *nodes = c->e->nodes;
    uint16_t condition = nodes[node].first;
    uint16_t yes = nodes[condition].next;
    uint16_t no = nodes[yes].next;
    GY_TRY(want_type(c, condition, GY_EXPR_BOOL));
    GY_TRY(same_type(c, yes, no));
    nodes[node].type = nodes[yes].type != GY_EXPR_NULL ? nodes[yes].type : nodes[no].type;
    return GY_OK;
}

static gy_status parse_call(struct compiler *c, const struct function *f, size_t column,
                            uint16_t *ret)
{
    GY_TRY(new_node(c, f->op, f->result, column, ret));
    int n = 0;
    do {
        GY_TRY(advance(c)); /* over '(' or ',' */
        uint16_t arg = EXPR_NONE;
        GY_TRY(parse_or(c, &arg));
        if (f->arg != GY_EXPR_NULL) {
            GY_TRY(want_type(c, arg, f->arg));
        }
        GY_TRY(add_child(c, *ret, arg));
        n++;
    } while (is_symbol(c, ","));
    if (n < f->min_args || (f->max_args > 0 && n > f->max_args)) {
        return fail(c, GY_E_INVALID, column, "a wrong number of arguments");
    }
    if (f->op == OP_IF) {
        GY_TRY(type_if(c, *ret));
    }
    return take_symbol(c, ")", "')' is missing");
}

static bool reserved(struct gy_str word)
{
    static const char *const words[] = {"and", "or", "not", "is", "in", NULL};
    for (size_t i = 0; words[i]; i++) {
        if (gy_str_ieq(word, gy_str_c(words[i]))) {
            return true;
        }
    }
    return false;
}

static gy_status parse_constant(struct compiler *c, struct gy_expr_value value, uint16_t *ret)
{
    GY_TRY(new_node(c, OP_CONST, value.type, c->start, ret));
    c->e->nodes[*ret].value = value;
    return advance(c);
}

static gy_status parse_word(struct compiler *c, uint16_t *ret)
{
    if (is_word(c, "true") || is_word(c, "false")) {
        return parse_constant(
            c, (struct gy_expr_value){.type = GY_EXPR_BOOL, .b = is_word(c, "true")}, ret);
    }
    if (is_word(c, "null")) {
        return parse_constant(c, (struct gy_expr_value){.type = GY_EXPR_NULL}, ret);
    }
    if (reserved(c->text)) {
        return fail(c, GY_E_PARSE, c->start, "a value is missing");
    }
    size_t k = c->at;
    while (k < c->e->text_n && c->e->text[k] == ' ') {
        k++;
    }
    if (k == c->e->text_n || c->e->text[k] != '(') {
        return use_name(c, ret);
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (is_word(c, functions[i].name)) {
            size_t column = c->start;
            GY_TRY(advance(c));
            return parse_call(c, &functions[i], column, ret);
        }
    }
    return fail(c, GY_E_INVALID, c->start, "unknown function");
}

static gy_status parse_primary(struct compiler *c, uint16_t *ret)
{
    switch (c->token) {
    case T_NUM:
        return parse_constant(c, (struct gy_expr_value){.type = GY_EXPR_NUM, .num = c->num}, ret);
    case T_STR:
        return parse_constant(c, (struct gy_expr_value){.type = GY_EXPR_STR, .str = c->text}, ret);
    case T_QUOTED:
        return use_name(c, ret);
    case T_NAME:
        return parse_word(c, ret);
    case T_SYMBOL:
        if (is_symbol(c, "(")) {
            GY_TRY(advance(c));
            GY_TRY(parse_or(c, ret));
            return take_symbol(c, ")", "')' is missing");
        }
        return fail(c, GY_E_PARSE, c->start, "a value is missing");
    case T_END:
        break;
    }
    return fail(c, GY_E_PARSE, c->start, "a value is missing");
}

/* The recursion of the parser itself is bounded here: every way to nest passes through a unary. */
static gy_status parse_unary(struct compiler *c, uint16_t *ret)
{
    if (c->nesting == GY_EXPR_MAX_DEPTH) {
        return fail(c, GY_E_TOOBIG, c->start, "nested too deeply");
    }
    c->nesting++;
    gy_status status;
    if (is_symbol(c, "-")) {
        size_t column = c->start;
        uint16_t child = EXPR_NONE;
        status = advance(c);
        if (status == GY_OK) {
            status = parse_unary(c, &child);
        }
        if (status == GY_OK) {
            status = want_type(c, child, GY_EXPR_NUM);
        }
        if (status == GY_OK) {
            status = new_node(c, OP_NEG, GY_EXPR_NUM, column, ret);
        }
        if (status == GY_OK) {
            status = add_child(c, *ret, child);
        }
    } else {
        status = parse_primary(c, ret);
    }
    c->nesting--;
    return status;
}

struct binary_op {
    const char *symbol;
    enum expr_op op;
};

static const struct binary_op *find_op(const struct compiler *c, const struct binary_op *ops)
{
    for (; ops->symbol; ops++) {
        if (is_symbol(c, ops->symbol)) {
            return ops;
        }
    }
    return NULL;
}

static gy_status parse_arithmetic(struct compiler *c, bool product, uint16_t *ret)
{
    static const struct binary_op sums[] = {{"+", OP_ADD}, {"-", OP_SUB}, {NULL, OP_CONST}};
    static const struct binary_op products[] = {
        {"*", OP_MUL}, {"/", OP_DIV}, {"%", OP_MOD}, {NULL, OP_CONST}};
    GY_TRY(product ? parse_unary(c, ret) : parse_arithmetic(c, true, ret));
    const struct binary_op *op;
    while ((op = find_op(c, product ? products : sums)) != NULL) {
        size_t column = c->start;
        uint16_t left = *ret;
        uint16_t right = EXPR_NONE;
        GY_TRY(advance(c));
        GY_TRY(product ? parse_unary(c, &right) : parse_arithmetic(c, true, &right));
        GY_TRY(want_type(c, left, GY_EXPR_NUM));
        GY_TRY(want_type(c, right, GY_EXPR_NUM));
        GY_TRY(binary(c, op->op, GY_EXPR_NUM, left, right, column, ret));
    }
    return GY_OK;
}

static gy_status parse_in(struct compiler *c, enum expr_op op, uint16_t left, size_t column,
                          uint16_t *ret)
{
    GY_TRY(new_node(c, op, GY_EXPR_BOOL, column, ret));
    GY_TRY(add_child(c, *ret, left));
    if (!is_symbol(c, "(")) {
        return fail(c, GY_E_PARSE, c->start, "'in' needs a list in parentheses");
    }
    do {
        uint16_t item = EXPR_NONE;
        GY_TRY(advance(c));
        GY_TRY(parse_arithmetic(c, false, &item));
        GY_TRY(same_type(c, left, item));
        GY_TRY(add_child(c, *ret, item));
    } while (is_symbol(c, ","));
    return take_symbol(c, ")", "')' is missing");
}

static gy_status parse_is(struct compiler *c, uint16_t left, size_t column, uint16_t *ret)
{
    GY_TRY(advance(c));
    enum expr_op op = OP_IS_NULL;
    if (is_word(c, "not")) {
        op = OP_IS_NOT_NULL;
        GY_TRY(advance(c));
    }
    if (!is_word(c, "null")) {
        return fail(c, GY_E_PARSE, c->start, "'is' is followed by null or not null");
    }
    GY_TRY(advance(c));
    GY_TRY(new_node(c, op, GY_EXPR_BOOL, column, ret));
    return add_child(c, *ret, left);
}

static gy_status parse_comparison(struct compiler *c, uint16_t *ret)
{
    static const struct binary_op ops[] = {{"==", OP_EQ}, {"=", OP_EQ},  {"!=", OP_NE},
                                           {"<>", OP_NE}, {"<=", OP_LE}, {"<", OP_LT},
                                           {">=", OP_GE}, {">", OP_GT},  {NULL, OP_CONST}};
    GY_TRY(parse_arithmetic(c, false, ret));
    size_t column = c->start;
    uint16_t left = *ret;
    if (is_word(c, "is")) {
        return parse_is(c, left, column, ret);
    }
    if (is_word(c, "in")) {
        GY_TRY(advance(c));
        return parse_in(c, OP_IN, left, column, ret);
    }
    if (is_word(c, "not")) {
        GY_TRY(advance(c));
        if (!is_word(c, "in")) {
            return fail(c, GY_E_PARSE, c->start, "'in' is missing after 'not'");
        }
        GY_TRY(advance(c));
        return parse_in(c, OP_NOT_IN, left, column, ret);
    }
    const struct binary_op *op = find_op(c, ops);
    if (!op) {
        return GY_OK;
    }
    uint16_t right = EXPR_NONE;
    GY_TRY(advance(c));
    GY_TRY(parse_arithmetic(c, false, &right));
    GY_TRY(same_type(c, left, right));
    if (op->op != OP_EQ && op->op != OP_NE &&
        (c->e->nodes[left].type == GY_EXPR_BOOL || c->e->nodes[right].type == GY_EXPR_BOOL)) {
        return fail(c, GY_E_INVALID, column, "bools have no order");
    }
    GY_TRY(binary(c, op->op, GY_EXPR_BOOL, left, right, column, ret));
    if (find_op(c, ops)) {
        return fail(c, GY_E_PARSE, c->start, "comparisons do not chain: join them with 'and'");
    }
    return GY_OK;
}

static gy_status parse_not(struct compiler *c, uint16_t *ret)
{
    if (!is_word(c, "not")) {
        return parse_comparison(c, ret);
    }
    if (c->nesting == GY_EXPR_MAX_DEPTH) {
        return fail(c, GY_E_TOOBIG, c->start, "nested too deeply");
    }
    size_t column = c->start;
    uint16_t child = EXPR_NONE;
    GY_TRY(advance(c));
    c->nesting++;
    gy_status status = parse_not(c, &child);
    c->nesting--;
    GY_TRY(status);
    GY_TRY(want_type(c, child, GY_EXPR_BOOL));
    GY_TRY(new_node(c, OP_NOT, GY_EXPR_BOOL, column, ret));
    return add_child(c, *ret, child);
}

typedef gy_status (*parse_fn)(struct compiler *c, uint16_t *ret);

/* part word part word ...: one node with all parts; a part alone is itself. */
static gy_status parse_joined(struct compiler *c, const char *word, enum expr_op op, parse_fn part,
                              uint16_t *ret)
{
    GY_TRY(part(c, ret));
    if (!is_word(c, word)) {
        return GY_OK;
    }
    uint16_t first = *ret;
    GY_TRY(want_type(c, first, GY_EXPR_BOOL));
    GY_TRY(new_node(c, op, GY_EXPR_BOOL, c->start, ret));
    GY_TRY(add_child(c, *ret, first));
    while (is_word(c, word)) {
        uint16_t child = EXPR_NONE;
        GY_TRY(advance(c));
        GY_TRY(part(c, &child));
        GY_TRY(want_type(c, child, GY_EXPR_BOOL));
        GY_TRY(add_child(c, *ret, child));
    }
    return GY_OK;
}

static gy_status parse_and(struct compiler *c, uint16_t *ret)
{
    return parse_joined(c, "and", OP_AND, parse_not, ret);
}

static gy_status parse_or(struct compiler *c, uint16_t *ret)
{
    return parse_joined(c, "or", OP_OR, parse_and, ret);
}

gy_status gy_expr_compile(struct gy_str text, gy_expr_resolve_fn resolve, void *ctx,
                          struct gy_expr **ret, struct gy_err *err)
{
    if (text.n > GY_EXPR_MAX_TEXT) {
        return gy_err_set(err, GY_E_TOOBIG, "an expression has at most %d bytes", GY_EXPR_MAX_TEXT);
    }
    if (!gy_str_is_utf8(text) || (text.n > 0 && memchr(text.p, '\0', text.n))) {
        return gy_err_set(err, GY_E_PARSE, "an expression must be UTF-8 text");
    }
    GY_AUTO(gy_expr_free) struct gy_expr *e = gy_calloc(1, sizeof *e);
    if (e) {
        e->text = gy_strndup(text.p ? text.p : "", text.n);
        e->text_n = text.n;
        e->pool = gy_malloc(text.n + 1);
        e->nodes = gy_calloc(GY_EXPR_MAX_NODES, sizeof e->nodes[0]);
    }
    if (!e || !e->text || !e->pool || !e->nodes) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for an expression");
    }
    struct compiler c = {.e = e, .resolve = resolve, .ctx = ctx, .err = err};
    GY_TRY(advance(&c));
    GY_TRY(parse_or(&c, &e->root));
    if (c.token != T_END) {
        return fail(&c, GY_E_PARSE, c.start, "something is left over");
    }
    struct expr_node *fitted = gy_reallocarray(e->nodes, e->n_nodes, sizeof *fitted);
    if (fitted) { /* else the larger block serves as well */
        e->nodes = fitted;
    }
    *ret = GY_TAKE(e);
    return GY_OK;
}

void gy_expr_free(struct gy_expr *e)
{
    if (e) {
        gy_free(e->text);
        gy_free(e->pool);
        gy_free(e->nodes);
        gy_free(e);
    }
}

size_t gy_expr_slots(const struct gy_expr *e, size_t *out, size_t max)
{
    for (size_t i = 0; i < e->n_slots && i < max; i++) {
        out[i] = e->slots[i];
    }
    return e->n_slots;
}

struct gy_str gy_expr_text(const struct gy_expr *e)
{
    return gy_str_n(e->text, e->text_n);
}

/* ---- texts as numbers ---- */

static bool compares(uint8_t op)
{
    return op == OP_EQ || op == OP_NE || op == OP_IN || op == OP_NOT_IN || op == OP_IS_NULL ||
           op == OP_IS_NOT_NULL;
}

static bool is_text(const struct expr_node *n)
{
    return n->type == GY_EXPR_STR && (n->op == OP_SLOT || n->op == OP_CONST);
}

gy_status gy_expr_hash_texts(struct gy_expr *e, double (*hash)(struct gy_str text),
                             struct gy_err *err)
{
    for (size_t i = 0; i < e->n_nodes; i++) {
        uint16_t child = compares(e->nodes[i].op) ? e->nodes[i].first : EXPR_NONE;
        for (; child != EXPR_NONE; child = e->nodes[child].next) {
            struct expr_node *n = &e->nodes[child];
            if (is_text(n) && n->op == OP_CONST) {
                n->value.num = hash(n->value.str);
                n->value.type = GY_EXPR_NUM;
            }
            n->type = is_text(n) ? GY_EXPR_NUM : n->type;
        }
    }
    for (size_t i = 0; i < e->n_nodes; i++) {
        if (is_text(&e->nodes[i])) {
            return gy_err_set(err, GY_E_INVALID,
                              "a text can only be compared with == != in, at column %u of "
                              "'%" GY_STR_F "'",
                              (unsigned)e->nodes[i].column,
                              GY_STR_A(gy_str_sub(gy_str_n(e->text, e->text_n), 0, 200)));
        }
    }
    return GY_OK;
}
