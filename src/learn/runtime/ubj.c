/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/ubj.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/mem.h"

struct parser {
    const unsigned char *start, *p, *end;
    struct gy_arena *arena;
    int depth;
    struct gy_err *err;
};

static gy_status corrupt(struct parser *s, const char *what)
{
    return gy_err_set(s->err, GY_E_CORRUPT, "model file, byte %zu: %s", (size_t)(s->p - s->start),
                      what);
}

static gy_status new_node(struct parser *s, enum gy_ubj_kind kind, struct gy_ubj **ret)
{
    struct gy_ubj *v = gy_arena_calloc(s->arena, 1, sizeof *v);
    if (!v) {
        return gy_err_set(s->err, GY_E_NOMEM, "reading a model file");
    }
    v->kind = kind;
    *ret = v;
    return GY_OK;
}

static void append(struct gy_ubj *parent, struct gy_ubj **tail, struct gy_ubj *child)
{
    if (*tail) {
        (*tail)->next = child;
    } else {
        parent->first = child;
    }
    *tail = child;
    parent->n++;
}

/* ---- UBJSON ---- */

/* Bytes of a number with this marker; 0: no number. */
static size_t number_size(char type)
{
    switch (type) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static uint32_t load_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static uint64_t load_u64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

/* An integer with its marker already known; false for floats. */
static bool load_int(char type, const char *p, int64_t *ret)
{
    uint16_t u16;
    switch (type) {
    case 'i':
        *ret = (int8_t)p[0];
        return true;
    case 'U':
        *ret = (uint8_t)p[0];
        return true;
    case 'I':
        memcpy(&u16, p, sizeof u16);
        *ret = (int16_t)be16toh(u16);
        return true;
    case 'l':
        *ret = (int32_t)load_u32(p);
        return true;
    case 'L':
        *ret = (int64_t)load_u64(p);
        return true;
    default:
        return false;
    }
}

static gy_status take(struct parser *s, size_t n, const char **ret)
{
    if ((size_t)(s->end - s->p) < n) {
        return corrupt(s, "the file ends in the middle of a value");
    }
    *ret = (const char *)s->p;
    s->p += n;
    return GY_OK;
}

static gy_status marker(struct parser *s, char *ret)
{
    do {
        const char *p = NULL;
        GY_TRY(take(s, 1, &p));
        *ret = *p;
    } while (*ret == 'N');
    return GY_OK;
}

/* A length: an integer with its marker. What follows is at least n bytes long in every place where
 * lengths are used with `element` > 0, so a huge length is refused before anything is allocated. */
static gy_status length(struct parser *s, size_t element, size_t *ret)
{
    char type = 0;
    const char *p = NULL;
    int64_t n = 0;
    GY_TRY(marker(s, &type));
    GY_TRY(take(s, number_size(type), &p));
    if (!load_int(type, p, &n) || n < 0) {
        return corrupt(s, "a length must be a whole number");
    }
    if ((uint64_t)n > (uint64_t)(s->end - s->p) / element) {
        return corrupt(s, "a length reaches past the end of the file");
    }
    *ret = (size_t)n;
    return GY_OK;
}

static gy_status text(struct parser *s, struct gy_str *ret)
{
    size_t n = 0;
    const char *p = NULL;
    GY_TRY(length(s, 1, &n));
    GY_TRY(take(s, n, &p));
    *ret = gy_str_n(p, n);
    return GY_OK;
}

static gy_status value(struct parser *s, char type, struct gy_ubj **ret);

/* `[$d#L...`: numbers of one type. */
static gy_status typed_array(struct parser *s, struct gy_ubj **ret)
{
    char type = 0;
    const char *p = NULL;
    size_t n = 0;
    GY_TRY(marker(s, &type));
    size_t size = number_size(type);
    if (size == 0) {
        return corrupt(s, "an array of this type is not supported");
    }
    char sharp = 0;
    GY_TRY(marker(s, &sharp));
    if (sharp != '#') {
        return corrupt(s, "a typed array needs a count");
    }
    GY_TRY(length(s, size, &n));
    GY_TRY(take(s, n * size, &p));
    GY_TRY(new_node(s, GY_UBJ_NUMS, ret));
    (*ret)->type = type;
    (*ret)->n = n;
    (*ret)->text = gy_str_n(p, n * size);
    return GY_OK;
}

static bool peek_is(struct parser *s, char c)
{
    while (s->p < s->end && *s->p == 'N') {
        s->p++;
    }
    return s->p < s->end && (char)*s->p == c;
}

/* After '[' or '{'. */
static gy_status container(struct parser *s, bool object, struct gy_ubj **ret)
{
    if (++s->depth > GY_UBJ_MAX_DEPTH) {
        return gy_err_set(s->err, GY_E_TOOBIG, "model file: nested deeper than %d",
                          GY_UBJ_MAX_DEPTH);
    }
    if (!object && peek_is(s, '$')) {
        s->p++;
        s->depth--;
        return typed_array(s, ret);
    }
    bool counted = peek_is(s, '#');
    size_t count = 0;
    if (counted) {
        s->p++;
        GY_TRY(length(s, 1, &count));
    }
    struct gy_ubj *v = NULL;
    struct gy_ubj *tail = NULL;
    GY_TRY(new_node(s, object ? GY_UBJ_OBJ : GY_UBJ_ARR, &v));
    while (counted ? v->n < count : !peek_is(s, object ? '}' : ']')) {
        struct gy_str key = GY_STR_NULL;
        struct gy_ubj *child = NULL;
        char type = 0;
        if (object) {
            GY_TRY(text(s, &key));
        }
        GY_TRY(marker(s, &type));
        GY_TRY(value(s, type, &child));
        child->key = key;
        append(v, &tail, child);
    }
    if (!counted) {
        s->p++;
    }
    s->depth--;
    *ret = v;
    return GY_OK;
}

static gy_status value(struct parser *s, char type, struct gy_ubj **ret)
{
    const char *p = NULL;
    size_t size = number_size(type);
    if (size > 0) {
        GY_TRY(take(s, size, &p));
        GY_TRY(new_node(s, GY_UBJ_NUM, ret));
        (*ret)->type = type;
        (*ret)->text = gy_str_n(p, size);
        return GY_OK;
    }
    switch (type) {
    case '{':
        return container(s, true, ret);
    case '[':
        return container(s, false, ret);
    case 'S':
        GY_TRY(new_node(s, GY_UBJ_STR, ret));
        return text(s, &(*ret)->text);
    case 'C':
        GY_TRY(take(s, 1, &p));
        GY_TRY(new_node(s, GY_UBJ_STR, ret));
        (*ret)->text = gy_str_n(p, 1);
        return GY_OK;
    case 'Z':
        return new_node(s, GY_UBJ_NULL, ret);
    case 'T':
    case 'F':
        GY_TRY(new_node(s, GY_UBJ_BOOL, ret));
        (*ret)->b = type == 'T';
        return GY_OK;
    default:
        return corrupt(s, "unknown type of value");
    }
}

/* ---- JSON ---- */

static void *yy_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return gy_malloc(size);
}

static void *yy_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return gy_realloc(p, size);
}

static void yy_free(void *ctx, void *p)
{
    (void)ctx;
    gy_free(p);
}

/* Strings are copied: the yyjson document ends before the tree does. */
static gy_status copy_text(struct parser *s, const char *p, size_t n, struct gy_str *ret)
{
    *ret = gy_arena_str(s->arena, gy_str_n(p, n));
    return ret->p ? GY_OK : gy_err_set(s->err, GY_E_NOMEM, "reading a model file");
}

static gy_status from_json(struct parser *s, yyjson_val *j, struct gy_ubj **ret)
{
    enum gy_ubj_kind kind = yyjson_is_obj(j)    ? GY_UBJ_OBJ
                            : yyjson_is_arr(j)  ? GY_UBJ_ARR
                            : yyjson_is_raw(j)  ? GY_UBJ_NUM
                            : yyjson_is_str(j)  ? GY_UBJ_STR
                            : yyjson_is_bool(j) ? GY_UBJ_BOOL
                                                : GY_UBJ_NULL;
    struct gy_ubj *v = NULL;
    struct gy_ubj *tail = NULL;
    GY_TRY(new_node(s, kind, &v));
    *ret = v;
    if (kind == GY_UBJ_NUM || kind == GY_UBJ_STR) {
        v->type = 'H';
        return kind == GY_UBJ_NUM ? copy_text(s, yyjson_get_raw(j), yyjson_get_len(j), &v->text)
                                  : copy_text(s, yyjson_get_str(j), yyjson_get_len(j), &v->text);
    }
    v->b = kind == GY_UBJ_BOOL && yyjson_get_bool(j);
    if (kind != GY_UBJ_OBJ && kind != GY_UBJ_ARR) {
        return GY_OK;
    }
    if (++s->depth > GY_UBJ_MAX_DEPTH) {
        return gy_err_set(s->err, GY_E_TOOBIG, "model file: nested deeper than %d",
                          GY_UBJ_MAX_DEPTH);
    }
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    struct gy_ubj *child = NULL;
    if (kind == GY_UBJ_ARR) {
        yyjson_arr_foreach(j, i, max, item)
        {
            GY_TRY(from_json(s, item, &child));
            append(v, &tail, child);
        }
    } else {
        yyjson_obj_foreach(j, i, max, key, item)
        {
            GY_TRY(from_json(s, item, &child));
            GY_TRY(copy_text(s, yyjson_get_str(key), yyjson_get_len(key), &child->key));
            append(v, &tail, child);
        }
    }
    s->depth--;
    return GY_OK;
}

static gy_status parse_json(struct parser *s, struct gy_str bytes, struct gy_ubj **ret)
{
    const yyjson_alc alc = {.malloc = yy_malloc, .realloc = yy_realloc, .free = yy_free};
    yyjson_read_err why;
    /* XGBoost before 3 writes NaN as the split value of a split by categories. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)bytes.p, bytes.n,
                         YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INF_AND_NAN, &alc, &why);
    if (!doc) {
        gy_status code =
            why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? GY_E_NOMEM : GY_E_CORRUPT;
        return gy_err_set(s->err, code, "model file, byte %zu: %s", why.pos, why.msg);
    }
    gy_status status = from_json(s, yyjson_doc_get_root(doc), ret);
    yyjson_doc_free(doc);
    return status;
}

gy_status gy_ubj_parse(struct gy_str bytes, struct gy_arena *a, struct gy_ubj **ret,
                       struct gy_err *err)
{
    struct parser s = {.start = (const unsigned char *)bytes.p, .arena = a, .err = err};
    s.p = s.start;
    s.end = s.start + bytes.n;
    if (bytes.n < 2 || bytes.p[0] != '{') {
        return corrupt(&s, "neither UBJSON nor JSON of an XGBoost model");
    }
    /* A UBJSON object goes on with the marker of its first key's length; JSON with a quote, a blank
     * or the closing brace. */
    if (bytes.p[1] == '"' || bytes.p[1] == ' ' || bytes.p[1] == '\n' || bytes.p[1] == '\r' ||
        bytes.p[1] == '\t') {
        return parse_json(&s, bytes, ret);
    }
    s.p++;
    GY_TRY(container(&s, true, ret));
    return s.p == s.end ? GY_OK : corrupt(&s, "bytes after the end of the model");
}

/* ---- reading the tree ---- */

const struct gy_ubj *gy_ubj_get(const struct gy_ubj *o, const char *key)
{
    if (!o || o->kind != GY_UBJ_OBJ) {
        return NULL;
    }
    for (const struct gy_ubj *v = o->first; v; v = v->next) {
        if (gy_str_eqc(v->key, key)) {
            return v;
        }
    }
    return NULL;
}

struct gy_str gy_ubj_str(const struct gy_ubj *o, const char *key)
{
    const struct gy_ubj *v = gy_ubj_get(o, key);
    return v && v->kind == GY_UBJ_STR ? v->text : GY_STR_NULL;
}

size_t gy_ubj_len(const struct gy_ubj *v)
{
    return v && (v->kind == GY_UBJ_ARR || v->kind == GY_UBJ_NUMS) ? v->n : 0;
}

static bool number_f32(char type, const char *p, size_t n, float *ret)
{
    int64_t i = 0;
    if (type == 'd') {
        uint32_t bits = load_u32(p);
        memcpy(ret, &bits, sizeof *ret);
        return true;
    }
    if (type == 'D') {
        uint64_t bits = load_u64(p);
        double d;
        memcpy(&d, &bits, sizeof d);
        *ret = (float)d;
        return true;
    }
    if (type == 'H') {
        char *end = NULL;
        *ret = strtof(p, &end); /* texts in the arena end in NUL */
        return end == p + n;
    }
    bool ok = load_int(type, p, &i);
    *ret = (float)i;
    return ok;
}

static bool number_i32(char type, const char *p, size_t n, int32_t *ret)
{
    int64_t i = 0;
    if (type == 'H') {
        if (gy_parse_i64(gy_str_n(p, n), INT32_MIN, INT32_MAX, &i, NULL) != GY_OK) {
            return false;
        }
    } else if (!load_int(type, p, &i)) {
        return false;
    }
    *ret = (int32_t)i;
    return i >= INT32_MIN && i <= INT32_MAX;
}

bool gy_ubj_f32s(const struct gy_ubj *v, size_t n, float *out)
{
    if (!v || gy_ubj_len(v) != n) {
        return false;
    }
    if (v->kind == GY_UBJ_NUMS) {
        size_t size = number_size(v->type);
        for (size_t i = 0; i < n; i++) {
            if (!number_f32(v->type, v->text.p + i * size, size, &out[i])) {
                return false;
            }
        }
        return true;
    }
    for (const struct gy_ubj *e = v->first; e; e = e->next) {
        if (e->kind != GY_UBJ_NUM || !number_f32(e->type, e->text.p, e->text.n, out++)) {
            return false;
        }
    }
    return v->kind == GY_UBJ_ARR;
}

bool gy_ubj_i32s(const struct gy_ubj *v, size_t n, int32_t *out)
{
    if (!v || gy_ubj_len(v) != n) {
        return false;
    }
    if (v->kind == GY_UBJ_NUMS) {
        size_t size = number_size(v->type);
        for (size_t i = 0; i < n; i++) {
            if (!number_i32(v->type, v->text.p + i * size, size, &out[i])) {
                return false;
            }
        }
        return true;
    }
    for (const struct gy_ubj *e = v->first; e; e = e->next, out++) {
        if (e->kind == GY_UBJ_BOOL) {
            *out = e->b;
        } else if (e->kind != GY_UBJ_NUM || !number_i32(e->type, e->text.p, e->text.n, out)) {
            return false;
        }
    }
    return v->kind == GY_UBJ_ARR;
}
