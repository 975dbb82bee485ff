/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json_python.h"
#include "base/limits.h"
#include "base/mem.h"

static void *json_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return gy_malloc(size);
}

static void *json_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return gy_realloc(p, size);
}

static void json_free(void *ctx, void *p)
{
    (void)ctx;
    gy_free(p);
}

static const yyjson_alc json_alc = {json_malloc, json_realloc, json_free, NULL};

/* yyjson has no depth limit of its own and would build 16 bytes for each bracket of a bomb; so
 * count first. */
static bool too_deep(struct gy_str text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > GY_MAX_JSON_DEPTH) {
                return true;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static gy_status parse(struct gy_str text, yyjson_read_flag flags, yyjson_doc **ret_doc,
                       struct gy_err *err)
{
    if (too_deep(text)) {
        return gy_err_set(err, GY_E_TOOBIG, "JSON is nested deeper than %d levels",
                          GY_MAX_JSON_DEPTH);
    }
    yyjson_read_err why;
    /* Without YYJSON_READ_INSITU yyjson copies the text and never writes to it; its signature is
     * only not const. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)(text.p ? text.p : ""), text.n, flags, &json_alc, &why);
    if (!doc) {
        if (why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for JSON of %zu bytes", text.n);
        }
        return gy_err_set(err, GY_E_PARSE, "not valid JSON: %s at byte %zu", why.msg, why.pos);
    }
    *ret_doc = doc;
    return GY_OK;
}

gy_status gy_json_parse(struct gy_str text, yyjson_doc **ret_doc, struct gy_err *err)
{
    return parse(text, YYJSON_READ_NOFLAG, ret_doc, err);
}

gy_status gy_json_parse_texts(struct gy_str text, yyjson_doc **ret_doc, struct gy_err *err)
{
    return parse(text, YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INF_AND_NAN, ret_doc, err);
}

gy_status gy_json_parse_python(struct gy_str text, yyjson_doc **ret_doc, struct gy_err *err)
{
    return parse(text, YYJSON_READ_ALLOW_INF_AND_NAN, ret_doc, err);
}

void gy_json_free(yyjson_doc *doc)
{
    yyjson_doc_free(doc);
}

gy_status gy_json_read_file(const char *path, size_t max_bytes, yyjson_doc **ret_doc,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, max_bytes);
    GY_TRY(gy_file_read(path, &text, err));
    gy_status s = gy_json_parse(gy_buf_str(&text), ret_doc, err);
    if (s != GY_OK) {
        (void)gy_err_wrap(err, "%s", path); /* err may be NULL: the status must not get lost */
    }
    return s;
}

yyjson_val *gy_json_get(yyjson_val *object, const char *key)
{
    return yyjson_obj_get(object, key);
}

struct gy_str gy_json_str(yyjson_val *object, const char *key)
{
    return gy_json_val_str(gy_json_get(object, key));
}

int64_t gy_json_i64(yyjson_val *object, const char *key, int64_t absent)
{
    yyjson_val *v = gy_json_get(object, key);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : absent;
}

double gy_json_f64(yyjson_val *object, const char *key, double absent)
{
    yyjson_val *v = gy_json_get(object, key);
    return yyjson_is_num(v) ? yyjson_get_num(v) : absent;
}

bool gy_json_bool(yyjson_val *object, const char *key, bool absent)
{
    yyjson_val *v = gy_json_get(object, key);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : absent;
}

static gy_status need(yyjson_val *object, const char *key, bool (*is)(yyjson_val *),
                      const char *kind, yyjson_val **ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    if (!v) {
        return gy_err_set(err, GY_E_INVALID, "missing '%s'", key);
    }
    if (!is(v)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be %s", key, kind);
    }
    *ret = v;
    return GY_OK;
}

gy_status gy_json_need_str(yyjson_val *object, const char *key, struct gy_str *ret,
                           struct gy_err *err)
{
    yyjson_val *v = NULL;
    GY_TRY(need(object, key, yyjson_is_str, "a string", &v, err));
    *ret = gy_json_val_str(v);
    return GY_OK;
}

gy_status gy_json_need_i64(yyjson_val *object, const char *key, int64_t *ret, struct gy_err *err)
{
    yyjson_val *v = NULL;
    GY_TRY(need(object, key, yyjson_is_int, "an integer", &v, err));
    if (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX) {
        return gy_err_set(err, GY_E_INVALID, "'%s' is too large", key);
    }
    *ret = yyjson_get_sint(v);
    return GY_OK;
}

gy_status gy_json_need_f64(yyjson_val *object, const char *key, double *ret, struct gy_err *err)
{
    yyjson_val *v = NULL;
    GY_TRY(need(object, key, yyjson_is_num, "a number", &v, err));
    *ret = yyjson_get_num(v);
    return GY_OK;
}

gy_status gy_json_need_arr(yyjson_val *object, const char *key, yyjson_val **ret,
                           struct gy_err *err)
{
    return need(object, key, yyjson_is_arr, "an array", ret, err);
}

gy_status gy_json_need_obj(yyjson_val *object, const char *key, yyjson_val **ret,
                           struct gy_err *err)
{
    return need(object, key, yyjson_is_obj, "an object", ret, err);
}

/* ---- writing ---- */

enum { JW_MAX_DEPTH = 127 };

void gy_jw_init(struct gy_jw *w, struct gy_buf *out)
{
    *w = (struct gy_jw){.out = out};
}

static bool level_has_items(const struct gy_jw *w)
{
    return (w->has_items[w->depth >> 6] >> (w->depth & 63)) & 1;
}

static void newline(struct gy_jw *w)
{
    if (w->pretty) {
        gy_buf_add_char(w->out, '\n');
        for (int i = 0; i < w->depth; i++) {
            gy_buf_addc(w->out, "  ");
        }
    }
}

static void before_value(struct gy_jw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (level_has_items(w)) {
        gy_buf_add_char(w->out, ',');
    }
    if (w->depth > 0) {
        newline(w);
    }
    w->has_items[w->depth >> 6] |= 1ULL << (w->depth & 63);
}

static void open_level(struct gy_jw *w, char c)
{
    before_value(w);
    GY_REQUIRE(w->depth < JW_MAX_DEPTH);
    gy_buf_add_char(w->out, c);
    w->depth++;
    w->has_items[w->depth >> 6] &= ~(1ULL << (w->depth & 63));
}

static void close_level(struct gy_jw *w, char c)
{
    GY_REQUIRE(w->depth > 0 && !w->after_key);
    bool had = level_has_items(w);
    w->depth--;
    if (had) {
        newline(w);
    }
    gy_buf_add_char(w->out, c);
}

void gy_jw_obj(struct gy_jw *w)
{
    open_level(w, '{');
}

void gy_jw_obj_end(struct gy_jw *w)
{
    close_level(w, '}');
}

void gy_jw_arr(struct gy_jw *w)
{
    open_level(w, '[');
}

void gy_jw_arr_end(struct gy_jw *w)
{
    close_level(w, ']');
}

static void write_escape(struct gy_buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        gy_buf_addc(out, "\\\"");
        break;
    case '\\':
        gy_buf_addc(out, "\\\\");
        break;
    case '\n':
        gy_buf_addc(out, "\\n");
        break;
    case '\r':
        gy_buf_addc(out, "\\r");
        break;
    case '\t':
        gy_buf_addc(out, "\\t");
        break;
    default:
        gy_buf_addf(out, "\\u%04x", c);
    }
}

static size_t sequence_length(struct gy_str rest)
{
    for (size_t len = 2; len <= 4 && len <= rest.n; len++) {
        if (gy_str_is_utf8(gy_str_sub(rest, 0, len))) {
            return len;
        }
    }
    return 0;
}

static void write_string(struct gy_buf *out, struct gy_str s)
{
    gy_buf_add_char(out, '"');
    size_t from = 0;
    size_t i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c < 0x80) {
            i++;
            continue;
        }
        size_t len = c >= 0x80 ? sequence_length(gy_str_sub(s, i, 4)) : 0;
        if (len) {
            i += len;
            continue;
        }
        gy_buf_add_bytes(out, s.p + from, i - from);
        if (c >= 0x80) {
            gy_buf_addc(out, "\xef\xbf\xbd");
        } else {
            write_escape(out, c);
        }
        from = ++i;
    }
    gy_buf_add_bytes(out, s.p + from, s.n - from);
    gy_buf_add_char(out, '"');
}

void gy_jw_keys(struct gy_jw *w, struct gy_str key)
{
    GY_REQUIRE(!w->after_key && w->depth > 0);
    before_value(w);
    write_string(w->out, key);
    gy_buf_addc(w->out, w->pretty ? ": " : ":");
    w->after_key = true;
}

void gy_jw_key(struct gy_jw *w, const char *key)
{
    gy_jw_keys(w, gy_str_c(key));
}

void gy_jw_str(struct gy_jw *w, struct gy_str s)
{
    before_value(w);
    if (!s.p) {
        gy_buf_addc(w->out, "null");
    } else {
        write_string(w->out, s);
    }
}

void gy_jw_strc(struct gy_jw *w, const char *s)
{
    gy_jw_str(w, gy_str_c(s));
}

void gy_jw_strf(struct gy_jw *w, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) {
        w->out->failed = GY_E_TOOBIG;
        return;
    }
    gy_jw_str(w, gy_str_n(text, (size_t)n));
}

void gy_jw_i64(struct gy_jw *w, int64_t v)
{
    before_value(w);
    gy_buf_addf(w->out, "%lld", (long long)v);
}

void gy_jw_u64(struct gy_jw *w, uint64_t v)
{
    before_value(w);
    gy_buf_addf(w->out, "%llu", (unsigned long long)v);
}

void gy_jw_f64(struct gy_jw *w, double v)
{
    if (isnan(v)) {
        gy_jw_strc(w, "NaN");
        return;
    }
    if (isinf(v)) {
        gy_jw_strc(w, v < 0 ? "-Infinity" : "Infinity");
        return;
    }
    before_value(w);
    char text[32];
    size_t n = gy_fmt_f64(v, text);
    gy_buf_add_bytes(w->out, text, n);
}

void gy_jw_bool(struct gy_jw *w, bool v)
{
    before_value(w);
    gy_buf_addc(w->out, v ? "true" : "false");
}

void gy_jw_null(struct gy_jw *w)
{
    before_value(w);
    gy_buf_addc(w->out, "null");
}

void gy_jw_raw(struct gy_jw *w, struct gy_str json)
{
    before_value(w);
    gy_buf_add(w->out, json);
}

static void write_array(struct gy_jw *w, yyjson_val *v)
{
    gy_jw_arr(w);
    size_t i;
    size_t n;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, n, item)
    {
        gy_jw_val(w, item);
    }
    gy_jw_arr_end(w);
}

static void write_object(struct gy_jw *w, yyjson_val *v)
{
    gy_jw_obj(w);
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_obj_foreach(v, i, n, key, item)
    {
        gy_jw_keys(w, gy_json_val_str(key));
        gy_jw_val(w, item);
    }
    gy_jw_obj_end(w);
}

/* Recursion is bounded: gy_json_parse admits GY_MAX_JSON_DEPTH levels. */
void gy_jw_val(struct gy_jw *w, yyjson_val *v)
{
    if (yyjson_is_obj(v)) {
        write_object(w, v);
    } else if (yyjson_is_arr(v)) {
        write_array(w, v);
    } else if (yyjson_is_str(v)) {
        gy_jw_str(w, gy_json_val_str(v));
    } else if (yyjson_is_bool(v)) {
        gy_jw_bool(w, yyjson_get_bool(v));
    } else if (yyjson_is_uint(v)) {
        gy_jw_u64(w, yyjson_get_uint(v));
    } else if (yyjson_is_sint(v)) {
        gy_jw_i64(w, yyjson_get_sint(v));
    } else if (yyjson_is_real(v)) {
        gy_jw_f64(w, yyjson_get_real(v));
    } else {
        gy_jw_null(w);
    }
}

void gy_jw_kv_str(struct gy_jw *w, const char *key, struct gy_str v)
{
    gy_jw_key(w, key);
    gy_jw_str(w, v);
}

void gy_jw_kv_strc(struct gy_jw *w, const char *key, const char *v)
{
    gy_jw_key(w, key);
    gy_jw_strc(w, v);
}

void gy_jw_kv_i64(struct gy_jw *w, const char *key, int64_t v)
{
    gy_jw_key(w, key);
    gy_jw_i64(w, v);
}

void gy_jw_kv_f64(struct gy_jw *w, const char *key, double v)
{
    gy_jw_key(w, key);
    gy_jw_f64(w, v);
}

void gy_jw_kv_bool(struct gy_jw *w, const char *key, bool v)
{
    gy_jw_key(w, key);
    gy_jw_bool(w, v);
}

void gy_jw_kv_null(struct gy_jw *w, const char *key)
{
    gy_jw_key(w, key);
    gy_jw_null(w);
}
