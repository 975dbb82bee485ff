/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3_xml.h"

struct reader {
    struct gy_str xml;
    size_t at;
    struct gy_buf path, text;
    size_t starts[GY_S3_XML_DEPTH]; /* where each open element's name begins in path */
    size_t depth;
    bool had_root;
    gy_s3_xml_fn fn;
    void *ctx;
};

static gy_status wrong(const struct reader *r, const char *what, struct gy_err *err)
{
    return gy_err_set(err, GY_E_PARSE, "byte %zu of the XML: %s", r->at, what);
}

static struct gy_str rest(const struct reader *r)
{
    return gy_str_sub(r->xml, r->at, SIZE_MAX);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (unsigned char)c >= 0x80 || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->xml.n && is_blank(r->xml.p[r->at])) {
        r->at++;
    }
}

static gy_status read_name(struct reader *r, struct gy_str *ret, struct gy_err *err)
{
    size_t from = r->at;
    while (r->at < r->xml.n && is_name(r->xml.p[r->at], r->at == from)) {
        r->at++;
    }
    *ret = gy_str_sub(r->xml, from, r->at - from);
    return ret->n ? GY_OK : wrong(r, "a name was expected", err);
}

/* Past the next `mark`. */
static gy_status skip_past(struct reader *r, struct gy_str mark, struct gy_err *err)
{
    size_t found = gy_str_find_str(rest(r), mark);
    if (found == SIZE_MAX) {
        return wrong(r, "the text ends within markup", err);
    }
    r->at += found + mark.n;
    return GY_OK;
}

static void add_utf8(struct gy_buf *b, int64_t c)
{
    if (c < 0x80) {
        gy_buf_add_char(b, (char)c);
    } else if (c < 0x800) {
        gy_buf_add_char(b, (char)(0xc0 | c >> 6));
        gy_buf_add_char(b, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        gy_buf_add_char(b, (char)(0xe0 | c >> 12));
        gy_buf_add_char(b, (char)(0x80 | (c >> 6 & 0x3f)));
        gy_buf_add_char(b, (char)(0x80 | (c & 0x3f)));
    } else {
        gy_buf_add_char(b, (char)(0xf0 | c >> 18));
        gy_buf_add_char(b, (char)(0x80 | (c >> 12 & 0x3f)));
        gy_buf_add_char(b, (char)(0x80 | (c >> 6 & 0x3f)));
        gy_buf_add_char(b, (char)(0x80 | (c & 0x3f)));
    }
}

/* The digits of &#9; or &#x9; -1: not a character. */
static int64_t code_point(struct gy_str digits)
{
    bool hex = gy_str_starts(digits, GY_STR("x"));
    digits = hex ? gy_str_sub(digits, 1, SIZE_MAX) : digits;
    int64_t value = digits.n && digits.n <= 8 ? 0 : -1;
    for (size_t i = 0; i < digits.n && value >= 0; i++) {
        char c = digits.p[i];
        int digit = c >= '0' && c <= '9'          ? c - '0'
                    : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                  : -1;
        value = digit < 0 ? -1 : value * (hex ? 16 : 10) + digit;
    }
    bool allowed = value == 9 || value == 10 || value == 13 || (value >= 32 && value < 0xd800) ||
                   (value >= 0xe000 && value <= 0x10ffff);
    return allowed ? value : -1;
}

static gy_status read_entity(struct reader *r, struct gy_err *err)
{
    static const struct {
        struct gy_str name;
        char c;
    } known[] = {{{"amp", 3}, '&'},
                 {{"lt", 2}, '<'},
                 {{"gt", 2}, '>'},
                 {{"quot", 4}, '"'},
                 {{"apos", 4}, '\''}};
    struct gy_str name = gy_str_sub(rest(r), 1, 12);
    size_t end = gy_str_find(name, ';');
    if (end == SIZE_MAX) {
        return wrong(r, "'&' begins no entity", err);
    }
    name.n = end;
    int64_t c = -1;
    if (gy_str_starts(name, GY_STR("#"))) {
        c = code_point(gy_str_sub(name, 1, SIZE_MAX));
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        c = gy_str_eq(name, known[i].name) ? known[i].c : c;
    }
    if (c < 0) {
        return wrong(r, "an entity that is not known", err);
    }
    add_utf8(&r->text, c);
    r->at += end + 2;
    return GY_OK;
}

static gy_status read_text(struct reader *r, struct gy_err *err)
{
    while (r->at < r->xml.n && r->xml.p[r->at] != '<') {
        char c = r->xml.p[r->at];
        if (r->depth == 0 && !is_blank(c)) {
            return wrong(r, "text outside of the root element", err);
        }
        if (c == '&') {
            GY_TRY(read_entity(r, err));
        } else {
            gy_buf_add_char(&r->text, c);
            r->at++;
        }
    }
    return gy_buf_check(&r->text, "text in the XML", err);
}

static gy_status open_element(struct reader *r, struct gy_str name, struct gy_err *err)
{
    if (r->depth == 0 && r->had_root) {
        return wrong(r, "a second root element", err);
    }
    if (r->depth == GY_S3_XML_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "the XML is nested deeper than %d", GY_S3_XML_DEPTH);
    }
    r->had_root = true;
    if (r->depth) {
        gy_buf_add_char(&r->path, '/');
    }
    r->starts[r->depth++] = r->path.n;
    gy_buf_add(&r->path, name);
    gy_buf_reset(&r->text);
    return gy_buf_check(&r->path, "the path in the XML", err);
}

static gy_status close_element(struct reader *r, struct gy_err *err)
{
    GY_TRY(r->fn(r->ctx, gy_buf_str(&r->path), gy_buf_str(&r->text), err));
    size_t start = r->starts[--r->depth];
    r->path.n = start ? start - 1 : 0;
    gy_buf_reset(&r->text);
    return GY_OK;
}

/* xmlns="..." and the like, up to '>' or '/>'. */
static gy_status skip_attributes(struct reader *r, struct gy_err *err)
{
    for (;;) {
        skip_blanks(r);
        if (r->at < r->xml.n && (r->xml.p[r->at] == '>' || r->xml.p[r->at] == '/')) {
            return GY_OK;
        }
        struct gy_str name;
        GY_TRY(read_name(r, &name, err));
        skip_blanks(r);
        if (r->at >= r->xml.n || r->xml.p[r->at++] != '=') {
            return wrong(r, "'=' was expected", err);
        }
        skip_blanks(r);
        char quote = r->at < r->xml.n ? r->xml.p[r->at] : '\0';
        if (quote != '"' && quote != '\'') {
            return wrong(r, "a quoted value was expected", err);
        }
        r->at++;
        GY_TRY(skip_past(r, gy_str_n(&quote, 1), err));
    }
}

static gy_status read_start(struct reader *r, struct gy_err *err)
{
    struct gy_str name;
    r->at++;
    GY_TRY(read_name(r, &name, err));
    GY_TRY(open_element(r, name, err));
    GY_TRY(skip_attributes(r, err));
    bool empty = r->xml.p[r->at] == '/';
    r->at += empty;
    if (r->at >= r->xml.n || r->xml.p[r->at++] != '>') {
        return wrong(r, "'>' was expected", err);
    }
    return empty ? close_element(r, err) : GY_OK;
}

static gy_status read_end(struct reader *r, struct gy_err *err)
{
    struct gy_str name;
    r->at += 2;
    GY_TRY(read_name(r, &name, err));
    skip_blanks(r);
    if (r->depth == 0 ||
        !gy_str_eq(name, gy_str_sub(gy_buf_str(&r->path), r->starts[r->depth - 1], SIZE_MAX))) {
        return wrong(r, "an end tag without its start", err);
    }
    if (r->at >= r->xml.n || r->xml.p[r->at++] != '>') {
        return wrong(r, "'>' was expected", err);
    }
    return close_element(r, err);
}

static gy_status read_markup(struct reader *r, struct gy_err *err)
{
    struct gy_str s = rest(r);
    if (gy_str_starts(s, GY_STR("</"))) {
        return read_end(r, err);
    }
    if (gy_str_starts(s, GY_STR("<?"))) {
        return skip_past(r, GY_STR("?>"), err);
    }
    if (gy_str_starts(s, GY_STR("<!--"))) {
        r->at += 4; /* "<!-->" is none */
        return skip_past(r, GY_STR("-->"), err);
    }
    if (gy_str_starts(s, GY_STR("<!"))) {
        return wrong(r, "declarations and CDATA are not read", err);
    }
    return read_start(r, err);
}

static gy_status read_all(struct reader *r, struct gy_err *err)
{
    if (gy_str_starts(r->xml, GY_STR("\xef\xbb\xbf"))) {
        r->at = 3;
    }
    while (r->at < r->xml.n) {
        GY_TRY(read_text(r, err));
        if (r->at < r->xml.n) {
            GY_TRY(read_markup(r, err));
        }
    }
    return r->had_root && r->depth == 0 ? GY_OK : wrong(r, "the text ends within an element", err);
}

gy_status gy_s3_xml_each(struct gy_str xml, gy_s3_xml_fn fn, void *ctx, struct gy_err *err)
{
    struct reader r = {.xml = xml, .fn = fn, .ctx = ctx};
    if (!gy_str_is_utf8(xml)) {
        return gy_err_set(err, GY_E_PARSE, "the XML is not UTF-8");
    }
    gy_buf_init(&r.path, GY_S3_XML_PATH);
    gy_buf_init(&r.text, GY_S3_XML_TEXT);
    gy_status status = read_all(&r, err);
    gy_buf_done(&r.path);
    gy_buf_done(&r.text);
    return status;
}
