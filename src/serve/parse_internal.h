/* SPDX-License-Identifier: Apache-2.0 */
/* What the scanner (scan.c) and the general reader (parse.c) share. */
#ifndef GY_SERVE_PARSE_INTERNAL_H
#define GY_SERVE_PARSE_INTERNAL_H

#include <math.h>

#include "base/json.h"
#include "serve/parse.h"

/* Which fields were given, one bit each. */
#define GY_SEEN_WORDS ((GY_MAX_FEATURES + 64) / 64 + 2)
struct gy_seen {
    uint64_t bits[GY_SEEN_WORDS];
};
static inline bool gy_seen_test_set(struct gy_seen *s, size_t i)
{
    uint64_t bit = (uint64_t)1 << (i & 63);
    bool was = (s->bits[i >> 6] & bit) != 0;
    s->bits[i >> 6] |= bit;
    return was;
}
static inline bool gy_seen_has(const struct gy_seen *s, size_t i)
{
    return (s->bits[i >> 6] >> (i & 63) & 1) != 0;
}

/* Make room for n_rows and set every value to missing. Fails: TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_infer_rows(struct gy_infer_request *q, const struct gy_infer_shape *shape,
                                   size_t n_rows, struct gy_err *err);
/* The field of that name (by_key: as the flat form calls it), looked for from `hint` on, around;
 * SIZE_MAX when there is none. */
size_t gy_infer_field_find(const struct gy_infer_shape *shape, struct gy_str name, size_t hint,
                           bool by_key);
/* What JSON says for a missing value: null, or NaN, which Python's json module writes. */
static inline bool gy_infer_missing(yyjson_val *v)
{
    return yyjson_is_null(v) || (yyjson_is_real(v) && isnan(yyjson_get_real(v)));
}
/* Infinity, which that module writes too, or a number as large. Refused in every form. */
static inline bool gy_infer_infinite(yyjson_val *v)
{
    return yyjson_is_real(v) && isinf(yyjson_get_real(v));
}
/* The value of a field that is no plain number, as it is logged; pixels go to the request. name: of
 * the field, as messages call it. Fails: INVALID, PARSE (no image), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_infer_value(const struct gy_infer_shape *shape, struct gy_infer_request *q,
                                    size_t field, size_t row, struct gy_str name, yyjson_val *v,
                                    double *ret, struct gy_err *err);
/* The same of a text, whatever it came in (what: "string"). An image may be base64, or the bytes of
 * the file themselves. */
GY_CHECKED gy_status gy_infer_text(const struct gy_infer_shape *shape, struct gy_infer_request *q,
                                   size_t field, size_t row, struct gy_str name, struct gy_str text,
                                   const char *what, double *ret, struct gy_err *err);
/* INVALID: the field, which is no plain number, must be ..., not a `what`. */
GY_CHECKED gy_status gy_infer_wrong_type(const struct gy_infer_field *f, struct gy_str name,
                                         const char *what, struct gy_err *err);
/* The general reader of OIP v2 (parse_v2.c): the root of json_bytes of JSON, and the bytes behind
 * it (binary NULL: the request has no such part). */
GY_CHECKED gy_status gy_infer_read_v2(const struct gy_infer_shape *shape, yyjson_val *root,
                                      size_t json_bytes, const struct gy_str *binary,
                                      struct gy_infer_request *q, struct gy_err *err);
void gy_infer_request_reset(struct gy_infer_request *q);

#endif
