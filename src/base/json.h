/* SPDX-License-Identifier: Apache-2.0 */
/* JSON. Reading is yyjson behind a depth limit, our allocator and getters that answer with a clear
 * error; values are yyjson's own (include <yyjson.h> comes with this header). Writing is a small
 * streaming writer into a gy_buf: no tree, no allocation of its own, failures stick to the buffer.
 * Nothing here is shared between threads. */
#ifndef GY_BASE_JSON_H
#define GY_BASE_JSON_H

#include <yyjson.h>

#include "base/buf.h"

/* Parse strict JSON (UTF-8 checked, one value, blanks around it). NaN and Infinity are refused. The
 * document copies the text; free with gy_json_free. Fails: PARSE (with position), TOOBIG (deeper
 * than GY_MAX_JSON_DEPTH), NOMEM. */
GY_CHECKED gy_status gy_json_parse(struct gy_str text, yyjson_doc **ret_doc, struct gy_err *err);
/* The same, but numbers stay the texts that they are (yyjson_is_raw, yyjson_get_raw), and the words
 * NaN and Infinity, which other writers put for numbers, are such texts too. For records of data.
 */
GY_CHECKED gy_status gy_json_parse_texts(struct gy_str text, yyjson_doc **ret_doc,
                                         struct gy_err *err);
void gy_json_free(yyjson_doc *doc);
GY_DEFINE_AUTO(yyjson_doc *, gy_json_free);
/* A whole file, at most max_bytes. Fails as gy_json_parse, and NOTFOUND, IO. */
GY_CHECKED gy_status gy_json_read_file(const char *path, size_t max_bytes, yyjson_doc **ret_doc,
                                       struct gy_err *err);

/* Views into the document. Absent or of another type: the absent string / the default / NULL. */
struct gy_str gy_json_str(yyjson_val *object, const char *key);
int64_t gy_json_i64(yyjson_val *object, const char *key, int64_t absent);
double gy_json_f64(yyjson_val *object, const char *key, double absent);
bool gy_json_bool(yyjson_val *object, const char *key, bool absent);
yyjson_val *gy_json_get(yyjson_val *object, const char *key);
static inline struct gy_str gy_json_val_str(yyjson_val *v)
{
    return yyjson_is_str(v) ? gy_str_n(yyjson_get_str(v), yyjson_get_len(v)) : GY_STR_NULL;
}
/* Required ones. Fail with INVALID: "missing 'key'" or "'key' must be a string". */
GY_CHECKED gy_status gy_json_need_str(yyjson_val *object, const char *key, struct gy_str *ret,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_json_need_i64(yyjson_val *object, const char *key, int64_t *ret,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_json_need_f64(yyjson_val *object, const char *key, double *ret,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_json_need_arr(yyjson_val *object, const char *key, yyjson_val **ret,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_json_need_obj(yyjson_val *object, const char *key, yyjson_val **ret,
                                      struct gy_err *err);

/* The writer: gy_jw_init on a buffer, then values in document order; commas and colons are put by
 * it. Misnesting is a programmer error (GY_REQUIRE). `pretty` indents by two blanks. */
struct gy_jw {
    struct gy_buf *out;
    int depth;
    bool pretty;
    bool after_key;
    uint64_t has_items[2]; /* one bit a level: something was written there already */
};

void gy_jw_init(struct gy_jw *w, struct gy_buf *out);
void gy_jw_obj(struct gy_jw *w);     /* { */
void gy_jw_obj_end(struct gy_jw *w); /* } */
void gy_jw_arr(struct gy_jw *w);
void gy_jw_arr_end(struct gy_jw *w);
void gy_jw_key(struct gy_jw *w, const char *key);
void gy_jw_keys(struct gy_jw *w, struct gy_str key);
void gy_jw_str(struct gy_jw *w,
               struct gy_str s); /* absent string: null. Bytes that are not UTF-8 become U+FFFD */
void gy_jw_strc(struct gy_jw *w, const char *s);
void gy_jw_strf(struct gy_jw *w, const char *fmt, ...) GY_PRINTF(2, 3);
void gy_jw_i64(struct gy_jw *w, int64_t v);
void gy_jw_u64(struct gy_jw *w, uint64_t v);
void gy_jw_f64(
    struct gy_jw *w,
    double v); /* shortest; NaN and infinities as the strings MLflow uses: "NaN" "Infinity" */
void gy_jw_bool(struct gy_jw *w, bool v);
void gy_jw_null(struct gy_jw *w);
void gy_jw_raw(struct gy_jw *w, struct gy_str json); /* already JSON, trusted */
void gy_jw_val(struct gy_jw *w, yyjson_val *v);      /* copy a parsed value */
/* key and value at once. */
void gy_jw_kv_str(struct gy_jw *w, const char *key, struct gy_str v);
void gy_jw_kv_strc(struct gy_jw *w, const char *key, const char *v);
void gy_jw_kv_i64(struct gy_jw *w, const char *key, int64_t v);
void gy_jw_kv_f64(struct gy_jw *w, const char *key, double v);
void gy_jw_kv_bool(struct gy_jw *w, const char *key, bool v);
void gy_jw_kv_null(struct gy_jw *w, const char *key);

#endif
