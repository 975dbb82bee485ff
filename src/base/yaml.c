/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

/* Nodes are counted as a reader who follows every alias would meet them, so that a small text can
 * not stand for an endless walk ("billion laughs"). */
#define MAX_NODES ((size_t)500000)
#define MAX_DEPTH 64
#define MAX_ANCHORS 1024
#define MAX_ARENA (256 * GY_MIB)

struct gy_yaml {
    struct gy_arena arena;
    char *source;
    size_t source_n;
    char *name;
    struct gy_yaml_node *root; /* NULL: an empty text */
};

/* A value under construction, with what only the parser needs to know. */
struct built {
    struct gy_yaml_node node;
    size_t weight;
};

struct frame {
    bool is_map;
    bool has_key;
    bool flow;
    struct built self;
    struct gy_str anchor;
    struct gy_yaml_node pending_key_node;
    struct gy_yaml_node *items;
    struct gy_yaml_node *key_nodes; /* maps: one a key, for messages and the check for twins */
    size_t n, cap;
};

struct anchor {
    struct gy_str name;
    struct built value;
};

struct parser {
    struct gy_yaml *y;
    struct fy_diag *diag;
    struct fy_parser *fyp;
    struct frame frames[MAX_DEPTH];
    size_t depth;
    struct anchor *anchors;
    size_t n_anchors;
    size_t weight;
    int documents;
};

static gy_status fail_at(const struct parser *p, gy_status code, int line, int column,
                         struct gy_err *err, const char *what)
{
    return gy_err_set(err, code, "%s:%d:%d: %s", p->y->name, line, column, what);
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory reading YAML");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool any_of(struct gy_str s, const char *const *words)
{
    for (; *words; words++) {
        if (gy_str_eqc(s, *words)) {
            return true;
        }
    }
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};

/* Digits of the given base after the prefix; false on overflow too. */
static bool based_int(struct gy_str digits, int64_t base, int64_t *ret)
{
    int64_t value = 0;
    for (size_t i = 0; i < digits.n; i++) {
        char c = digits.p[i];
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *ret = value;
    return digits.n > 0;
}

/* int of the core schema: [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ */
static bool core_int(struct gy_str s, int64_t *ret)
{
    if (gy_str_starts(s, GY_STR("0o"))) {
        return based_int(gy_str_sub(s, 2, s.n), 8, ret);
    }
    if (gy_str_starts(s, GY_STR("0x"))) {
        return based_int(gy_str_sub(s, 2, s.n), 16, ret);
    }
    struct gy_str body = s.n > 0 && s.p[0] == '+' ? gy_str_sub(s, 1, s.n) : s;
    if (s.n > 0 && s.p[0] == '+' && body.n > 0 && body.p[0] == '-') {
        return false;
    }
    return gy_parse_i64(body, INT64_MIN, INT64_MAX, ret, NULL) == GY_OK;
}

/* float of the core schema. An integer too large for 64 bits lands here as well. */
static bool core_float(struct gy_str s, double *ret)
{
    static const char *const inf_words[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    if (any_of(s, nan_words)) {
        *ret = __builtin_nan("");
        return true;
    }
    bool sign = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    struct gy_str body = sign ? gy_str_sub(s, 1, s.n) : s;
    bool negative = sign && s.p[0] == '-';
    if (any_of(body, inf_words)) {
        *ret = negative ? -__builtin_inf() : __builtin_inf();
        return true;
    }
    if (body.n == 0 || !(is_digit(body.p[0]) || body.p[0] == '.') ||
        gy_parse_f64(body, ret, NULL) != GY_OK) {
        return false;
    }
    *ret = negative ? -*ret : *ret;
    return true;
}

static void type_plain(struct gy_yaml_node *n)
{
    n->kind = GY_YAML_STR;
    if (any_of(n->text, null_words)) {
        n->kind = GY_YAML_NULL;
    } else if (any_of(n->text, true_words) || any_of(n->text, false_words)) {
        n->kind = GY_YAML_BOOL;
        n->b = any_of(n->text, true_words);
    } else if (core_int(n->text, &n->i)) {
        n->kind = GY_YAML_INT;
        n->f = (double)n->i;
    } else if (core_float(n->text, &n->f)) {
        n->kind = GY_YAML_FLOAT;
    }
}

static void mark_node(struct gy_yaml_node *n, const struct fy_mark *start,
                      const struct fy_mark *end)
{
    if (start) {
        n->line = start->line + 1;
        n->column = start->column + 1;
        n->offset = start->input_pos;
        n->length =
            end && end->input_pos > start->input_pos ? end->input_pos - start->input_pos : 0;
    }
}

/* Our own tags would be silently ignored by every other reader, so only those of the core schema
 * pass. */
static gy_status apply_tag(const struct parser *p, struct fy_token *tag, struct gy_yaml_node *n,
                           struct gy_err *err)
{
    size_t size = 0;
    const char *text = tag ? fy_token_get_text(tag, &size) : NULL;
    if (!text || size == 0) {
        return GY_OK;
    }
    struct gy_str s = gy_str_n(text, size);
    bool scalar = n->kind != GY_YAML_SEQ && n->kind != GY_YAML_MAP;
    if (scalar && (gy_str_eqc(s, "tag:yaml.org,2002:str") || gy_str_eqc(s, "!"))) {
        n->kind = GY_YAML_STR;
        n->quoted = true;
        return GY_OK;
    }
    static const struct {
        const char *tag;
        enum gy_yaml_kind kind;
    } known[] = {
        {"tag:yaml.org,2002:int", GY_YAML_INT},   {"tag:yaml.org,2002:float", GY_YAML_FLOAT},
        {"tag:yaml.org,2002:bool", GY_YAML_BOOL}, {"tag:yaml.org,2002:null", GY_YAML_NULL},
        {"tag:yaml.org,2002:seq", GY_YAML_SEQ},   {"tag:yaml.org,2002:map", GY_YAML_MAP},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(s, known[i].tag)) {
            if (n->kind == GY_YAML_INT && known[i].kind == GY_YAML_FLOAT) {
                n->kind = GY_YAML_FLOAT;
            }
            if (n->kind == known[i].kind) {
                return GY_OK;
            }
        }
    }
    return gy_err_set(err, GY_E_PARSE,
                      "%s:%d:%d: the tag '%" GY_STR_F "' does not fit or is not known", p->y->name,
                      n->line, n->column, GY_STR_A(s));
}

static gy_status scalar_node(struct parser *p, struct fy_token *token, struct gy_yaml_node *n,
                             struct gy_err *err)
{
    size_t size = 0;
    const char *text = token ? fy_token_get_text(token, &size) : NULL;
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    mark_node(n, token ? fy_token_start_mark(token) : NULL,
              token ? fy_token_end_mark(token) : NULL);
    n->text = gy_arena_str(&p->y->arena, gy_str_n(text ? text : "", text ? size : 0));
    if (!n->text.p) {
        return no_memory(err);
    }
    n->quoted = style != FYSS_PLAIN && style != FYSS_ANY;
    if (n->quoted) {
        n->kind = GY_YAML_STR;
        bool marks = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
        if (marks && n->offset > 0) { /* libfyaml's span is inside the quotes */
            n->offset--;
            n->column--;
            n->length += 2;
        }
    } else {
        type_plain(n);
    }
    return GY_OK;
}

static gy_status count(struct parser *p, size_t weight, const struct gy_yaml_node *n,
                       struct gy_err *err)
{
    p->weight += weight;
    if (p->weight > MAX_NODES) {
        return fail_at(p, GY_E_TOOBIG, n->line, n->column, err,
                       "too many values (aliases count each time)");
    }
    return GY_OK;
}

static gy_status remember(struct parser *p, struct gy_str name, const struct built *value,
                          struct gy_err *err)
{
    if (name.n == 0) {
        return GY_OK;
    }
    if (p->n_anchors == MAX_ANCHORS) {
        return fail_at(p, GY_E_TOOBIG, value->node.line, value->node.column, err,
                       "too many anchors");
    }
    if (!p->anchors) {
        p->anchors = gy_calloc(MAX_ANCHORS, sizeof *p->anchors);
        if (!p->anchors) {
            return no_memory(err);
        }
    }
    p->anchors[p->n_anchors++] = (struct anchor){name, *value};
    return GY_OK;
}

static gy_status grow(struct frame *f, struct gy_err *err)
{
    if (f->n < f->cap) {
        return GY_OK;
    }
    size_t cap = f->cap ? 2 * f->cap : 8;
    struct gy_yaml_node *items = gy_reallocarray(f->items, cap, sizeof *items);
    if (!items) {
        return no_memory(err);
    }
    f->items = items;
    if (f->is_map) {
        struct gy_yaml_node *keys = gy_reallocarray(f->key_nodes, cap, sizeof *keys);
        if (!keys) {
            return no_memory(err);
        }
        f->key_nodes = keys;
    }
    f->cap = cap;
    return GY_OK;
}

/* A finished value goes to the open collection, or becomes the root. */
static gy_status place(struct parser *p, const struct built *value, struct gy_err *err)
{
    const struct gy_yaml_node *n = &value->node;
    GY_TRY(count(p, value->weight, n, err));
    if (p->depth == 0) {
        p->y->root = gy_arena_alloc(&p->y->arena, sizeof *p->y->root);
        if (!p->y->root) {
            return no_memory(err);
        }
        *p->y->root = *n;
        return GY_OK;
    }
    struct frame *f = &p->frames[p->depth - 1];
    f->self.weight += value->weight;
    if (f->is_map && !f->has_key) {
        if (n->kind == GY_YAML_SEQ || n->kind == GY_YAML_MAP) {
            return fail_at(p, GY_E_PARSE, n->line, n->column, err, "a key must be a scalar");
        }
        f->pending_key_node = *n;
        f->has_key = true;
        return GY_OK;
    }
    GY_TRY(grow(f, err));
    f->items[f->n] = *n;
    if (f->is_map) {
        f->key_nodes[f->n] = f->pending_key_node;
        f->has_key = false;
        if (n->line == 0) { /* `key:` with nothing after it */
            f->items[f->n].line = f->pending_key_node.line;
            f->items[f->n].column = f->pending_key_node.column;
            f->items[f->n].offset = f->pending_key_node.offset + f->pending_key_node.length;
        }
    }
    f->n++;
    return GY_OK;
}

static gy_status token_text(struct parser *p, struct fy_token *token, struct gy_str *ret,
                            struct gy_err *err)
{
    *ret = GY_STR_NULL;
    if (token) {
        size_t size = 0;
        const char *text = fy_token_get_text(token, &size);
        *ret = gy_arena_str(&p->y->arena, gy_str_n(text ? text : "", text ? size : 0));
        return ret->p ? GY_OK : no_memory(err);
    }
    return GY_OK;
}

static gy_status on_scalar(struct parser *p, const struct fy_event *e, struct gy_err *err)
{
    struct built value = {.weight = 1};
    struct gy_str anchor;
    GY_TRY(scalar_node(p, e->scalar.value, &value.node, err));
    GY_TRY(apply_tag(p, e->scalar.tag, &value.node, err));
    GY_TRY(token_text(p, e->scalar.anchor, &anchor, err));
    GY_TRY(remember(p, anchor, &value, err));
    return place(p, &value, err);
}

static gy_status on_alias(struct parser *p, const struct fy_event *e, struct gy_err *err)
{
    size_t size = 0;
    const char *text = fy_token_get_text(e->alias.anchor, &size);
    struct gy_str name = gy_str_n(text ? text : "", text ? size : 0);
    struct gy_yaml_node where = {.kind = GY_YAML_NULL};
    mark_node(&where, fy_token_start_mark(e->alias.anchor), fy_token_end_mark(e->alias.anchor));
    for (size_t i = p->n_anchors; i-- > 0;) { /* the newest of a name counts */
        if (gy_str_eq(p->anchors[i].name, name)) {
            struct built value = p->anchors[i].value;
            value.node.line = where.line;
            value.node.column = where.column;
            value.node.offset =
                where.offset > 0 ? where.offset - 1 : 0; /* the span leaves the '*' out */
            value.node.length = where.length + 1;
            return place(p, &value, err);
        }
    }
    return gy_err_set(err, GY_E_PARSE, "%s:%d:%d: '*%" GY_STR_F "' names no finished anchor",
                      p->y->name, where.line, where.column, GY_STR_A(name));
}

static gy_status on_start(struct parser *p, bool is_map, struct fy_token *start,
                          struct fy_token *anchor, struct fy_token *tag, struct gy_err *err)
{
    struct gy_yaml_node n = {.kind = is_map ? GY_YAML_MAP : GY_YAML_SEQ};
    mark_node(&n, start ? fy_token_start_mark(start) : NULL,
              start ? fy_token_end_mark(start) : NULL);
    GY_TRY(apply_tag(p, tag, &n, err));
    if (p->depth == MAX_DEPTH) {
        return fail_at(p, GY_E_TOOBIG, n.line, n.column, err, "nested too deeply");
    }
    struct frame *f = &p->frames[p->depth];
    *f = (struct frame){.is_map = is_map, .flow = n.length > 0, .self = {.node = n, .weight = 1}};
    p->depth++; /* from here the frame's arrays are freed with the parser */
    return token_text(p, anchor, &f->anchor, err);
}

static int by_key(const void *a, const void *b)
{
    const struct gy_yaml_node *ka = *(const struct gy_yaml_node *const *)a;
    const struct gy_yaml_node *kb = *(const struct gy_yaml_node *const *)b;
    int order = gy_str_cmp(ka->text, kb->text);
    return order != 0 ? order : ka->offset < kb->offset ? -1 : ka->offset > kb->offset;
}

static gy_status refuse_twins(const struct parser *p, const struct frame *f, struct gy_err *err)
{
    if (f->n < 2) {
        return GY_OK;
    }
    GY_AUTO(gy_free) char *memory = gy_malloc(f->n * sizeof(struct gy_yaml_node *));
    if (!memory) {
        return no_memory(err);
    }
    const struct gy_yaml_node **sorted = (const struct gy_yaml_node **)(void *)memory;
    for (size_t i = 0; i < f->n; i++) {
        sorted[i] = &f->key_nodes[i];
    }
    qsort(sorted, f->n, sizeof sorted[0], by_key);
    for (size_t i = 1; i < f->n; i++) {
        if (gy_str_eq(sorted[i - 1]->text, sorted[i]->text)) {
            return gy_err_set(err, GY_E_PARSE,
                              "%s:%d:%d: the key '%" GY_STR_F
                              "' stands here twice (first on line %d)",
                              p->y->name, sorted[i]->line, sorted[i]->column,
                              GY_STR_A(sorted[i]->text), sorted[i - 1]->line);
        }
    }
    return GY_OK;
}

static gy_status store_items(struct parser *p, struct frame *f, struct gy_err *err)
{
    struct gy_yaml_node *n = &f->self.node;
    n->n_items = f->n;
    if (f->n == 0) {
        return GY_OK;
    }
    struct gy_yaml_node *items = gy_arena_calloc(&p->y->arena, f->n, sizeof *items);
    if (!items) {
        return no_memory(err);
    }
    memcpy(items, f->items, f->n * sizeof *items);
    n->items = items;
    if (f->is_map) {
        struct gy_str *keys = gy_arena_calloc(&p->y->arena, f->n, sizeof *keys);
        if (!keys) {
            return no_memory(err);
        }
        for (size_t i = 0; i < f->n; i++) {
            keys[i] = f->key_nodes[i].text;
        }
        n->keys = keys;
    }
    return GY_OK;
}

static void frame_done(struct frame *f)
{
    gy_free(f->items);
    gy_free(f->key_nodes);
    f->items = NULL;
    f->key_nodes = NULL;
}

static gy_status on_end(struct parser *p, struct fy_token *end, struct gy_err *err)
{
    struct frame *f = &p->frames[p->depth - 1];
    struct gy_yaml_node *n = &f->self.node;
    if (f->is_map) {
        GY_TRY(refuse_twins(p, f, err));
    }
    GY_TRY(store_items(p, f, err));
    const struct fy_mark *mark = end ? fy_token_end_mark(end) : NULL;
    if (f->flow && mark && mark->input_pos > n->offset) {
        n->length = mark->input_pos - n->offset;
    } else if (f->n >
               0) { /* a block ends where its last value does, not where the next line starts */
        const struct gy_yaml_node *last = &f->items[f->n - 1];
        n->length =
            last->offset + last->length > n->offset ? last->offset + last->length - n->offset : 0;
    }
    struct built value = f->self;
    struct gy_str anchor = f->anchor;
    frame_done(f);
    p->depth--;
    /* Its items were counted when they were placed; only itself is new, but an alias to it weighs
     * all. */
    p->weight -= value.weight - 1;
    GY_TRY(remember(p, anchor, &value, err));
    return place(p, &value, err);
}

static gy_status on_event(struct parser *p, const struct fy_event *e, struct gy_err *err)
{
    switch ((int)e->type) {
    case FYET_DOCUMENT_START:
        if (p->documents++ > 0) {
            return gy_err_set(err, GY_E_PARSE, "%s: holds more than one document", p->y->name);
        }
        return GY_OK;
    case FYET_SCALAR:
        return on_scalar(p, e, err);
    case FYET_ALIAS:
        return on_alias(p, e, err);
    case FYET_MAPPING_START:
        return on_start(p, true, e->mapping_start.mapping_start, e->mapping_start.anchor,
                        e->mapping_start.tag, err);
    case FYET_SEQUENCE_START:
        return on_start(p, false, e->sequence_start.sequence_start, e->sequence_start.anchor,
                        e->sequence_start.tag, err);
    case FYET_MAPPING_END:
        return on_end(p, e->mapping_end.mapping_end, err);
    case FYET_SEQUENCE_END:
        return on_end(p, e->sequence_end.sequence_end, err);
    default:
        return GY_OK; /* stream and document boundaries */
    }
}

static gy_status stream_error(const struct parser *p, struct gy_err *err)
{
    void *prev = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(p->diag, &prev);
    if (!e) {
        return gy_err_set(err, GY_E_PARSE, "%s: not YAML", p->y->name);
    }
    return fail_at(p, GY_E_PARSE, e->line, e->column, err, e->msg ? e->msg : "not YAML");
}

/* libfyaml prints some errors although it was told to be quiet; with an output function they go
 * nowhere else. */
static void swallow(struct fy_diag *diag, void *user, const char *text, size_t n)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)n;
}

static gy_status run(struct parser *p, struct gy_err *err)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = swallow;
    diag_cfg.level = FYET_ERROR;
    diag_cfg.colorize = false;
    p->diag = fy_diag_create(&diag_cfg);
    if (!p->diag) {
        return no_memory(err);
    }
    fy_diag_set_collect_errors(p->diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2, .diag = p->diag};
    p->fyp = fy_parser_create(&cfg);
    if (!p->fyp || fy_parser_set_string(p->fyp, p->y->source, p->y->source_n) != 0) {
        return no_memory(err);
    }
    struct fy_event *e;
    while ((e = fy_parser_parse(p->fyp)) != NULL) {
        gy_status status = on_event(p, e, err);
        bool end = e->type == FYET_STREAM_END;
        fy_parser_event_free(p->fyp, e);
        GY_TRY(status);
        if (end) {
            break;
        }
    }
    if (fy_parser_get_stream_error(p->fyp) || p->depth > 0) {
        return stream_error(p, err);
    }
    return GY_OK;
}

static void parser_free(struct parser *p)
{
    while (p->depth > 0) {
        frame_done(&p->frames[--p->depth]);
    }
    gy_free(p->anchors);
    fy_parser_destroy(p->fyp);
    if (p->diag) {
        fy_diag_destroy(p->diag);
    }
    gy_free(p);
}
GY_DEFINE_AUTO(struct parser *, parser_free);

gy_status gy_yaml_parse(struct gy_str text, const char *name, struct gy_yaml **ret,
                        struct gy_err *err)
{
    if (text.n > GY_MAX_YAML) {
        return gy_err_set(err, GY_E_TOOBIG, "%s: larger than %zu bytes", name, GY_MAX_YAML);
    }
    if (!gy_str_is_utf8(text) || (text.n > 0 && memchr(text.p, '\0', text.n))) {
        return gy_err_set(err, GY_E_PARSE, "%s: not UTF-8 text", name);
    }
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = gy_calloc(1, sizeof *y);
    if (!y) {
        return no_memory(err);
    }
    gy_arena_init(&y->arena, MAX_ARENA);
    y->source = gy_strndup(text.p ? text.p : "", text.n);
    y->source_n = text.n;
    y->name = gy_strdup(name);
    GY_AUTO(parser_free) struct parser *p = gy_calloc(1, sizeof *p);
    if (!y->source || !y->name || !p) {
        return no_memory(err);
    }
    p->y = y;
    GY_TRY(run(p, err));
    if (y->root && y->root->kind == GY_YAML_NULL && y->root->length == 0 && !y->root->quoted) {
        y->root = NULL; /* only comments, or nothing */
    }
    *ret = GY_TAKE(y);
    return GY_OK;
}

gy_status gy_yaml_read_file(const char *path, struct gy_yaml **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    GY_TRY(gy_file_read(path, &text, err));
    return gy_yaml_parse(gy_buf_str(&text), path, ret, err);
}

const struct gy_yaml_node *gy_yaml_root(const struct gy_yaml *y)
{
    return y->root;
}

struct gy_str gy_yaml_source(const struct gy_yaml *y)
{
    return gy_str_n(y->source, y->source_n);
}

void gy_yaml_free(struct gy_yaml *y)
{
    if (y) {
        gy_arena_done(&y->arena);
        gy_free(y->source);
        gy_free(y->name);
        gy_free(y);
    }
}

static const struct gy_yaml_node *get(const struct gy_yaml_node *map, struct gy_str key)
{
    if (!map || map->kind != GY_YAML_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->n_items; i++) {
        if (gy_str_eq(map->keys[i], key)) {
            return &map->items[i];
        }
    }
    return NULL;
}

const struct gy_yaml_node *gy_yaml_get(const struct gy_yaml_node *map, const char *key)
{
    return get(map, gy_str_c(key));
}

const struct gy_yaml_node *gy_yaml_path(const struct gy_yaml_node *map, struct gy_str dotted)
{
    struct gy_str rest = dotted;
    struct gy_str part;
    while (map && gy_str_next(&rest, '.', &part)) {
        map = get(map, part);
    }
    return map;
}

gy_status gy_yaml_err(const struct gy_yaml *y, const struct gy_yaml_node *node, struct gy_err *err,
                      const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!node || node->line == 0) {
        return gy_err_set(err, GY_E_INVALID, "%s: %s", y->name, text);
    }
    return gy_err_set(err, GY_E_INVALID, "%s:%d:%d: %s", y->name, node->line, node->column, text);
}

/* The line of a key: maps keep only the key's text, so it is counted from its place before the
 * value. */
static int key_line(const struct gy_yaml *y, const struct gy_yaml_node *map, size_t index)
{
    size_t from =
        index > 0 ? map->items[index - 1].offset + map->items[index - 1].length : map->offset;
    size_t to = map->items[index].offset;
    struct gy_str between = gy_str_sub(gy_yaml_source(y), from, to > from ? to - from : 0);
    size_t at = gy_str_find_str(between, map->keys[index]);
    size_t end = at == SIZE_MAX ? to : from + at;
    int line = 1;
    for (size_t i = 0; i < end && i < y->source_n; i++) {
        line += y->source[i] == '\n';
    }
    return line;
}

/* Levenshtein distance for short names; beyond 31 bytes nothing is near. */
static size_t distance(struct gy_str a, struct gy_str b)
{
    size_t row[32];
    if (a.n >= 32 || b.n >= 32) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[b.n];
}

const char *gy_yaml_nearest(struct gy_str word, const char *const *known)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (; *known; known++) {
        size_t d = distance(word, gy_str_c(*known));
        if (d < least) {
            least = d;
            best = *known;
        }
    }
    /* A third of the letters wrong is a slip; more is another word. */
    return best && least <= (word.n > 3 ? word.n / 3 : 1) ? best : NULL;
}

gy_status gy_yaml_only(const struct gy_yaml *y, const struct gy_yaml_node *map,
                       const char *const *allowed, struct gy_err *err)
{
    if (!map || map->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    if (map->kind != GY_YAML_MAP) {
        return gy_yaml_err(y, map, err, "must be a map of names to values");
    }
    for (size_t i = 0; i < map->n_items; i++) {
        if (any_of(map->keys[i], allowed)) {
            continue;
        }
        (void)gy_err_set(err, GY_E_INVALID, "%s:%d: unknown key '%" GY_STR_F "'", y->name,
                         key_line(y, map, i), GY_STR_A(map->keys[i]));
        const char *near = gy_yaml_nearest(map->keys[i], allowed);
        if (near) {
            (void)gy_err_hint(err, "did you mean '%s'?", near);
        } else if (err) {
            size_t at = (size_t)snprintf(err->hint, sizeof err->hint, "known here:");
            for (const char *const *name = allowed; *name && at < sizeof err->hint; name++) {
                at += (size_t)snprintf(err->hint + at, sizeof err->hint - at, " %s", *name);
            }
        }
        return GY_E_INVALID;
    }
    return GY_OK;
}

/* True for what any YAML reader, 1.1 ones included, could take for a number: digits with signs,
 * '_', ':', '.', 'e'. */
static bool could_be_number(struct gy_str s)
{
    size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    if (i < s.n && s.p[i] == '.') {
        i++;
    }
    if (i >= s.n || !is_digit(s.p[i])) {
        return false;
    }
    if (s.p[i] == '0' && i + 2 < s.n && strchr("xXoObB", s.p[i + 1])) {
        /* Digits of that base only: "0be9" is none, and one digest in 256 begins like it. */
        const char *digits = strchr("xX", s.p[i + 1])   ? "0123456789abcdefABCDEF_"
                             : strchr("oO", s.p[i + 1]) ? "01234567_"
                                                        : "01_";
        for (i += 2; i < s.n && s.p[i] && strchr(digits, s.p[i]); i++) {
        }
        return i == s.n;
    }
    for (; i < s.n; i++) {
        if (!is_digit(s.p[i]) && !strchr("_.:eE+-", s.p[i])) {
            return false;
        }
    }
    return true;
}

static bool plain_is_safe(struct gy_str s)
{
    struct gy_yaml_node typed = {.text = s};
    type_plain(&typed);
    if (s.n == 0 || typed.kind != GY_YAML_STR || could_be_number(s) || gy_str_eqc(s, "=") ||
        gy_str_eqc(s, "<<")) {
        return false;
    }
    if (strchr("#,[]{}&*!|>'\"%@`", s.p[0]) || s.p[0] == ' ' || s.p[s.n - 1] == ' ' ||
        s.p[s.n - 1] == ':' || gy_str_starts(s, GY_STR("---")) || gy_str_starts(s, GY_STR("..."))) {
        return false;
    }
    if ((s.p[0] == '-' || s.p[0] == '?' || s.p[0] == ':') && (s.n == 1 || s.p[1] == ' ')) {
        return false;
    }
    for (size_t i = 1; i < s.n; i++) {
        if ((s.p[i] == ' ' && s.p[i - 1] == ':') || (s.p[i] == '#' && s.p[i - 1] == ' ')) {
            return false;
        }
    }
    return true;
}

/* Length of a UTF-8 character at s that some readers take for a line break or a mark (C1 controls
 * with NEL, LS, PS, BOM); 0 for any other. *ret_code is its code point. */
static size_t exotic(struct gy_str s, unsigned *ret_code)
{
    unsigned char a = (unsigned char)s.p[0];
    unsigned char b = s.n > 1 ? (unsigned char)s.p[1] : 0;
    unsigned char c = s.n > 2 ? (unsigned char)s.p[2] : 0;
    if (a == 0xc2 && b >= 0x80 && b < 0xa0) {
        *ret_code = b;
        return 2;
    }
    if (a == 0xe2 && b == 0x80 && (c == 0xa8 || c == 0xa9)) {
        *ret_code = 0x2000 + (c & 0x3fu);
        return 3;
    }
    if (a == 0xef && b == 0xbb && c == 0xbf) {
        *ret_code = 0xfeff;
        return 3;
    }
    return 0;
}

static void add_double_quoted(struct gy_buf *out, struct gy_str s)
{
    gy_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned code = 0;
        size_t skip = exotic(gy_str_sub(s, i, s.n), &code);
        if (skip > 0) {
            gy_buf_addf(out, "\\u%04x", code);
            i += skip - 1;
        } else if (c == '"' || c == '\\') {
            gy_buf_addf(out, "\\%c", c);
        } else if (c == '\n') {
            gy_buf_addc(out, "\\n");
        } else if (c == '\t') {
            gy_buf_addc(out, "\\t");
        } else if (c == '\r') {
            gy_buf_addc(out, "\\r");
        } else if (c < 0x20 || c == 0x7f) {
            gy_buf_addf(out, "\\x%02x", c);
        } else {
            gy_buf_add_char(out, (char)c);
        }
    }
    gy_buf_add_char(out, '"');
}

void gy_yaml_add_scalar(struct gy_buf *out, struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned code = 0;
        if (c < 0x20 || c == 0x7f || exotic(gy_str_sub(s, i, s.n), &code) > 0) {
            add_double_quoted(out, s);
            return;
        }
    }
    if (plain_is_safe(s)) {
        gy_buf_add(out, s);
        return;
    }
    if (gy_str_find(s, '\'') != SIZE_MAX) { /* as ruamel does, which writes DVC's files */
        add_double_quoted(out, s);
        return;
    }
    gy_buf_add_char(out, '\'');
    gy_buf_add(out, s);
    gy_buf_add_char(out, '\'');
}
