/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/ini.h"

#include "data/dvc/config.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static size_t skip_blanks(struct gy_str s, size_t at)
{
    while (at < s.n && is_blank(s.p[at])) {
        at++;
    }
    return at;
}

/* Nothing but blanks and a comment from here on? */
static bool at_end(struct gy_str s, size_t at)
{
    at = skip_blanks(s, at);
    return at == s.n || s.p[at] == '#';
}

static struct gy_str lower(struct gy_arena *a, struct gy_str s)
{
    char *p = gy_arena_strdup(a, s);
    if (!p) {
        return GY_STR_NULL;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z') {
            p[i] = (char)(p[i] + ('a' - 'A'));
        }
    }
    return gy_str_n(p, s.n);
}

/* ---- reading ---- */

struct parse {
    const char *name;
    size_t line; /* from 1 */
    struct gy_arena *arena;
    struct gy_ini *ini;
    size_t cap_sections, cap_entries;
};

static gy_status bad(const struct parse *p, struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_PARSE, "%s:%zu: %s", p->name, p->line, what);
}

static gy_status out_of_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a configuration");
}

/* Room for one more of what an array in the arena holds. */
static gy_status grow(struct parse *p, void **items, size_t n, size_t *cap, size_t size,
                      struct gy_err *err)
{
    if (n < *cap) {
        return GY_OK;
    }
    if (n >= GY_DVC_MAX_KEYS) {
        return gy_err_set(err, GY_E_TOOBIG, "%s holds more than %d keys", p->name, GY_DVC_MAX_KEYS);
    }
    size_t more = *cap ? *cap * 2 : 16;
    char *grown = gy_arena_calloc(p->arena, more, size);
    if (!grown) {
        return out_of_memory(err);
    }
    if (n) {
        memcpy(grown, *items, n * size);
    }
    *items = grown;
    *cap = more;
    return GY_OK;
}

/* One item of a value from *at on: quoted, or up to a comma or a comment. */
static gy_status read_item(const struct parse *p, struct gy_str s, size_t *at, struct gy_str *ret,
                           struct gy_err *err)
{
    size_t from = *at;
    if (from < s.n && (s.p[from] == '"' || s.p[from] == '\'')) {
        for (size_t to = from + 1; to < s.n; to++) {
            size_t next = skip_blanks(s, to + 1);
            if (s.p[to] == s.p[from] && (at_end(s, to + 1) || s.p[next] == ',')) {
                *ret = gy_str_n(s.p + from + 1, to - from - 1);
                *at = to + 1;
                return GY_OK;
            }
        }
        return bad(p, err, "a quote that is not closed");
    }
    size_t to = from;
    while (to < s.n && s.p[to] != ',' && s.p[to] != '#') {
        to++;
    }
    *ret = gy_str_trim(gy_str_n(s.p + from, to - from));
    *at = from + (ret->n ? (size_t)(ret->p - (s.p + from)) + ret->n : 0);
    return GY_OK;
}

/* The value that s begins with; *ret_bytes: how much of s it takes, without the comment. */
static gy_status read_value(const struct parse *p, struct gy_str s, struct gy_str *ret,
                            size_t *ret_bytes, struct gy_err *err)
{
    struct gy_str triple = gy_str_sub(s, 0, 3);
    if (gy_str_eqc(triple, "'''") || gy_str_eqc(triple, "\"\"\"")) {
        for (size_t end = 3; end + 3 <= s.n; end++) {
            if (gy_str_eq(gy_str_sub(s, end, 3), triple) && at_end(s, end + 3)) {
                *ret = gy_str_sub(s, 3, end - 3);
                *ret_bytes = end + 3;
                return GY_OK;
            }
        }
        return bad(p, err, "values over several lines are not supported");
    }
    size_t at = 0;
    struct gy_str item;
    GY_TRY(read_item(p, s, &at, &item, err));
    *ret = item;
    *ret_bytes = at;
    while (true) {
        size_t comma = skip_blanks(s, at);
        if (comma >= s.n || s.p[comma] != ',') {
            break;
        }
        at = skip_blanks(s, comma + 1);
        *ret_bytes = comma + 1;
        if (at_end(s, at)) {
            break; /* a comma at the end makes a list of one */
        }
        GY_TRY(read_item(p, s, &at, &item, err));
        *ret_bytes = at;
        const char *joined =
            gy_arena_printf(p->arena, "%.*s,%.*s", (int)ret->n, ret->n ? ret->p : "", (int)item.n,
                            item.n ? item.p : "");
        if (!joined) {
            return out_of_memory(err);
        }
        *ret = gy_str_c(joined);
    }
    return at_end(s, *ret_bytes) ? GY_OK : bad(p, err, "the value can not be read");
}

/* A line without its end, and without the blanks there. */
static struct gy_str line_of(const struct parse *p, size_t line, size_t after)
{
    while (after > line && is_blank(p->ini->text.p[after - 1])) {
        after--;
    }
    return gy_str_n(p->ini->text.p + line, after - line);
}

static gy_status read_section(struct parse *p, size_t line, size_t after, struct gy_err *err)
{
    struct gy_str s = line_of(p, line, after);
    size_t from = skip_blanks(s, skip_blanks(s, 0) + 1), to = SIZE_MAX;
    if (from < s.n && s.p[from] == '[') {
        return bad(p, err, "sections in sections are not supported");
    }
    bool quoted = from < s.n && (s.p[from] == '"' || s.p[from] == '\'');
    for (size_t i = from + 1; i < s.n && to == SIZE_MAX; i++) {
        size_t close = quoted ? skip_blanks(s, i + 1) : i;
        if ((!quoted || s.p[i] == s.p[from]) && close < s.n && s.p[close] == ']' &&
            at_end(s, close + 1)) {
            to = i + (quoted ? 1 : 0);
        }
    }
    if (to == SIZE_MAX) {
        return bad(p, err, "the name of a section can not be read");
    }
    struct gy_str name = quoted ? gy_str_n(s.p + from + 1, to - from - 2)
                                : gy_str_trim(gy_str_n(s.p + from, to - from));
    name = lower(p->arena, gy_str_trim(name));
    GY_TRY(grow(p, (void **)&p->ini->sections, p->ini->n_sections, &p->cap_sections,
                sizeof *p->ini->sections, err));
    if (!name.p) {
        return out_of_memory(err);
    }
    if (name.n == 0) {
        return bad(p, err, "a section without a name");
    }
    if (gy_ini_section(p->ini, name)) {
        return bad(p, err, "the section is there twice");
    }
    p->ini->sections[p->ini->n_sections++] = (struct gy_ini_section){.name = name,
                                                                     .line = line,
                                                                     .after = after,
                                                                     .name_at = line + from,
                                                                     .name_bytes = to - from};
    return GY_OK;
}

/* Where the '=' is and what the key before it, which may be quoted. SIZE_MAX: there is none. */
static size_t find_key(struct gy_str s, size_t from, struct gy_str *ret)
{
    if (from < s.n && (s.p[from] == '"' || s.p[from] == '\'')) {
        for (size_t i = from + 1; i < s.n; i++) {
            size_t equals = skip_blanks(s, i + 1);
            if (s.p[i] == s.p[from] && equals < s.n && s.p[equals] == '=') {
                *ret = gy_str_n(s.p + from + 1, i - from - 1);
                return equals;
            }
        }
        return SIZE_MAX;
    }
    size_t equals = gy_str_find(gy_str_sub(s, from, s.n), '=');
    if (equals == SIZE_MAX || equals == 0) {
        return SIZE_MAX;
    }
    *ret = gy_str_trim(gy_str_n(s.p + from, equals));
    return from + equals;
}

/* Does configobj take %(name)s in it for another value? */
static bool interpolated(struct gy_str s)
{
    size_t at = gy_str_find_str(s, GY_STR("%("));
    return at != SIZE_MAX && gy_str_find_str(gy_str_sub(s, at, s.n), GY_STR(")s")) != SIZE_MAX;
}

static gy_status read_entry(struct parse *p, size_t line, size_t after, struct gy_err *err)
{
    struct gy_str s = line_of(p, line, after);
    size_t from = skip_blanks(s, 0), bytes = 0;
    struct gy_ini_entry e = {
        .section = p->ini->n_sections - 1, .line = line, .after = after, .key_at = line + from};
    size_t equals = find_key(s, from, &e.key);
    if (equals == SIZE_MAX) {
        return bad(p, err, "neither a section nor 'key = value'");
    }
    size_t at = skip_blanks(s, equals + 1);
    GY_TRY(read_value(p, gy_str_sub(s, at, s.n), &e.value, &bytes, err));
    if (interpolated(e.value)) {
        return bad(p, err, "%(name)s in values is not supported");
    }
    e.key = lower(p->arena, e.key);
    if (!e.key.p) {
        return out_of_memory(err);
    }
    if (!e.value.p) {
        e.value = GY_STR("");
    }
    e.value_at = line + at;
    e.value_bytes = bytes;
    for (size_t i = 0; i < p->ini->n_entries; i++) {
        if (p->ini->entries[i].section == e.section && gy_str_eq(p->ini->entries[i].key, e.key)) {
            return bad(p, err, "the key is there twice");
        }
    }
    GY_TRY(grow(p, (void **)&p->ini->entries, p->ini->n_entries, &p->cap_entries,
                sizeof *p->ini->entries, err));
    p->ini->entries[p->ini->n_entries++] = e;
    return GY_OK;
}

gy_status gy_ini_parse(struct gy_str text, const char *name, struct gy_arena *a, struct gy_ini *ret,
                       struct gy_err *err)
{
    *ret = (struct gy_ini){.text = text};
    struct parse p = {.name = name, .arena = a, .ini = ret};
    size_t at = gy_str_starts(text, GY_STR("\xef\xbb\xbf")) ? 3 : 0;
    if (!gy_str_is_utf8(text)) {
        return gy_err_set(err, GY_E_PARSE, "%s: not UTF-8", name);
    }
    while (at < text.n) {
        size_t eol = gy_str_find(gy_str_sub(text, at, text.n), '\n');
        size_t after = eol == SIZE_MAX ? text.n : at + eol + 1;
        struct gy_str line = gy_str_trim(gy_str_n(text.p + at, after - at));
        p.line++;
        if (line.n && line.p[0] == '[') {
            GY_TRY(read_section(&p, at, after, err));
        } else if (line.n && line.p[0] != '#') {
            GY_TRY(read_entry(&p, at, after, err));
        }
        at = after;
    }
    return GY_OK;
}

const struct gy_ini_section *gy_ini_section(const struct gy_ini *ini, struct gy_str name)
{
    for (size_t i = 0; i < ini->n_sections; i++) {
        if (gy_str_eq(ini->sections[i].name, name)) {
            return &ini->sections[i];
        }
    }
    return NULL;
}

const struct gy_ini_entry *gy_ini_entry(const struct gy_ini *ini, struct gy_str section,
                                        struct gy_str key)
{
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct gy_ini_entry *e = &ini->entries[i];
        if (gy_str_eq(e->key, key) &&
            (e->section == SIZE_MAX ? section.n == 0
                                    : gy_str_eq(ini->sections[e->section].name, section))) {
            return e;
        }
    }
    return NULL;
}

/* ---- writing ---- */

/* As configobj quotes: only where it must, with double ones unless there are such inside. */
static gy_status add_quoted(struct gy_buf *out, struct gy_str s, bool is_value, struct gy_err *err)
{
    bool has_single = gy_str_find(s, '\'') != SIZE_MAX,
         has_double = gy_str_find(s, '"') != SIZE_MAX;
    if (s.n == 0) {
        gy_buf_addc(out, "\"\"");
        return GY_OK;
    }
    bool odd = !gy_str_is_utf8(s) || (is_value && interpolated(s));
    for (size_t i = 0; i < s.n; i++) {
        odd = odd || ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t');
    }
    bool triple = has_single && has_double;
    bool singles = gy_str_find_str(s, GY_STR("'''")) != SIZE_MAX;
    bool doubles = gy_str_find_str(s, GY_STR("\"\"\"")) != SIZE_MAX;
    if (odd || (triple && (!is_value || (singles && doubles)))) {
        return gy_err_set(err, GY_E_INVALID,
                          "'%" GY_STR_F "' can not be written into a configuration", GY_STR_A(s));
    }
    static const char ends[] = " \t'\"";
    bool plain = !strchr(ends, s.p[0]) && !strchr(ends, s.p[s.n - 1]) &&
                 gy_str_find(s, ',') == SIZE_MAX && gy_str_find(s, '#') == SIZE_MAX;
    const char *quote = triple       ? (singles ? "\"\"\"" : "'''")
                        : plain      ? ""
                        : has_double ? "'"
                                     : "\"";
    gy_buf_addc(out, quote);
    gy_buf_add(out, s);
    gy_buf_addc(out, quote);
    return GY_OK;
}

/* The text with [from, to) replaced. */
static gy_status splice(const struct gy_ini *ini, size_t from, size_t to, const struct gy_buf *by,
                        struct gy_buf *out, struct gy_err *err)
{
    GY_TRY(gy_buf_check(by, "a configuration", err));
    gy_buf_add(out, gy_str_sub(ini->text, 0, from));
    gy_buf_add(out, gy_buf_str(by));
    gy_buf_add(out, gy_str_sub(ini->text, to, ini->text.n));
    return gy_buf_check(out, "a configuration", err);
}

static gy_status add_entry(struct gy_buf *out, struct gy_str indent, struct gy_str key,
                           struct gy_str value, struct gy_err *err)
{
    gy_buf_add(out, indent);
    GY_TRY(add_quoted(out, key, false, err));
    gy_buf_addc(out, " = ");
    GY_TRY(add_quoted(out, value, true, err));
    gy_buf_add_char(out, '\n');
    return GY_OK;
}

/* 0: plain ("core"), then remotes, then others with names: the order in which DVC writes. */
static int rank(struct gy_str section)
{
    if (gy_str_starts(section, GY_STR("remote \""))) {
        return 1;
    }
    return gy_str_starts(section, GY_STR("machine \"")) ? 2
           : gy_str_starts(section, GY_STR("db \""))    ? 3
                                                        : 0;
}

/* Where the lines of section i end: before the comments that stand over the next one. */
static size_t section_end(const struct gy_ini *ini, size_t i)
{
    size_t end = ini->sections[i].after;
    for (size_t k = 0; k < ini->n_entries; k++) {
        if (ini->entries[k].section == i) {
            end = ini->entries[k].after;
        }
    }
    return end;
}

static gy_status add_section(const struct gy_ini *ini, struct gy_str section, struct gy_str key,
                             struct gy_str value, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf by;
    gy_buf_init(&by, GY_DVC_MAX_CONFIG);
    struct gy_str indent = GY_STR("    ");
    if (ini->n_entries) {
        const struct gy_ini_entry *e = &ini->entries[0];
        indent = gy_str_sub(ini->text, e->line, e->key_at - e->line);
    }
    size_t at = ini->text.n;
    for (size_t i = 0; i < ini->n_sections; i++) {
        if (rank(ini->sections[i].name) > rank(section)) {
            at = i ? section_end(ini, i - 1) : ini->sections[i].line;
            break;
        }
    }
    if (at > 0 && ini->text.p[at - 1] != '\n') {
        gy_buf_add_char(&by, '\n'); /* behind a last line without its end */
    }
    gy_buf_add_char(&by, '[');
    GY_TRY(add_quoted(&by, section, false, err));
    gy_buf_addc(&by, "]\n");
    GY_TRY(add_entry(&by, indent, key, value, err));
    return splice(ini, at, at, &by, out, err);
}

static gy_status add_key(const struct gy_ini *ini, size_t section, struct gy_str key,
                         struct gy_str value, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf by;
    gy_buf_init(&by, GY_DVC_MAX_CONFIG);
    struct gy_str indent = GY_STR("    ");
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct gy_ini_entry *e = &ini->entries[i];
        if (i == 0 || e->section == section) {
            indent = gy_str_sub(ini->text, e->line, e->key_at - e->line);
        }
    }
    size_t at = section_end(ini, section);
    if (at > 0 && ini->text.p[at - 1] != '\n') {
        gy_buf_add_char(&by, '\n');
    }
    GY_TRY(add_entry(&by, indent, key, value, err));
    return splice(ini, at, at, &by, out, err);
}

static gy_status drop(const struct gy_ini *ini, size_t from, size_t to, struct gy_buf *out,
                      struct gy_err *err)
{
    gy_buf_add(out, gy_str_sub(ini->text, 0, from));
    gy_buf_add(out, gy_str_sub(ini->text, to, ini->text.n));
    return gy_buf_check(out, "a configuration", err);
}

static gy_status drop_key(const struct gy_ini *ini, const struct gy_ini_entry *e,
                          struct gy_buf *out, struct gy_err *err)
{
    if (e->section == SIZE_MAX || rank(ini->sections[e->section].name) != 0) {
        return drop(ini, e->line, e->after, out, err);
    }
    size_t n = 0;
    for (size_t i = 0; i < ini->n_entries; i++) {
        n += ini->entries[i].section == e->section ? 1 : 0;
    }
    const struct gy_ini_section *s = &ini->sections[e->section];
    struct gy_str between = gy_str_n(ini->text.p + s->after, e->line - s->after);
    bool alone = n == 1 && gy_str_trim(between).n == 0;
    return drop(ini, alone ? s->line : e->line, e->after, out, err);
}

gy_status gy_ini_set(const struct gy_ini *ini, struct gy_str section, struct gy_str key,
                     struct gy_str value, struct gy_buf *out, struct gy_err *err)
{
    const struct gy_ini_section *s = gy_ini_section(ini, section);
    const struct gy_ini_entry *e = key.p ? gy_ini_entry(ini, section, key) : NULL;
    if (!key.p || !value.p) { /* remove */
        if (e) {
            return drop_key(ini, e, out, err);
        }
        if (!key.p && s) {
            return drop(ini, s->line, section_end(ini, (size_t)(s - ini->sections)), out, err);
        }
        gy_buf_add(out, ini->text);
        return gy_buf_check(out, "a configuration", err);
    }
    if (!s) {
        return add_section(ini, section, key, value, out, err);
    }
    if (!e) {
        return add_key(ini, (size_t)(s - ini->sections), key, value, out, err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf by;
    gy_buf_init(&by, GY_DVC_MAX_CONFIG);
    GY_TRY(add_quoted(&by, value, true, err));
    return splice(ini, e->value_at, e->value_at + e->value_bytes, &by, out, err);
}

gy_status gy_ini_rename(const struct gy_ini *ini, struct gy_str section, struct gy_str to,
                        struct gy_buf *out, struct gy_err *err)
{
    const struct gy_ini_section *s = gy_ini_section(ini, section);
    if (!s) {
        return gy_err_set(err, GY_E_NOTFOUND, "no section [%" GY_STR_F "]", GY_STR_A(section));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf by;
    gy_buf_init(&by, GY_DVC_MAX_CONFIG);
    GY_TRY(add_quoted(&by, to, false, err));
    return splice(ini, s->name_at, s->name_at + s->name_bytes, &by, out, err);
}
