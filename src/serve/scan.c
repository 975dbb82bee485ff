/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner of prediction requests. Numbers follow Clinger ("How to read floating point numbers
 * accurately", 1990): up to 2^53 times an exact power of ten is one correctly rounded operation;
 * everything else goes to strtod, which rounds correctly too. */
#include "serve/tensors.h"

#include <math.h>
#include <stdlib.h>

#define NUMBER_MAX 63 /* longer ones are left to the general reader */

struct scan {
    const char *p, *end;
};

static inline void blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) {
        s->p++;
    }
}

static inline bool take(struct scan *s, char c)
{
    blanks(s);
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }
    return false;
}

/* Printable ASCII without escapes. */
static bool plain_string(struct scan *s, struct gy_str *ret)
{
    if (!take(s, '"')) {
        return false;
    }
    const char *from = s->p;
    while (s->p < s->end && *s->p != '"') {
        if (*s->p < 0x20 || *s->p == '\\' || *s->p > 0x7e) {
            return false; /* also what is not ASCII: char may be signed, then it is < 0x20 */
        }
        s->p++;
    }
    if (s->p == s->end) {
        return false;
    }
    *ret = gy_str_n(from, (size_t)(s->p - from));
    s->p++;
    return true;
}

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline bool is_digit(const struct scan *s)
{
    return s->p < s->end && (unsigned char)(*s->p - '0') <= 9;
}

/* Digits into *mantissa; false when there is none. *ret_digits counts them. */
static inline bool digits(struct scan *s, uint64_t *mantissa, int *ret_digits)
{
    const char *from = s->p;
    while (is_digit(s)) {
        *mantissa = *mantissa * 10 + (uint64_t)(*s->p - '0');
        s->p++;
    }
    *ret_digits += (int)(s->p - from);
    return s->p > from;
}

static bool slow_number(const char *from, const char *to, double *ret)
{
    char text[NUMBER_MAX + 1];
    size_t n = (size_t)(to - from);
    if (n > NUMBER_MAX) {
        return false;
    }
    memcpy(text, from, n);
    text[n] = '\0';
    *ret = strtod(text, NULL);
    return isfinite(*ret);
}

static bool exponent(struct scan *s, int *ret)
{
    bool down = false;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
        down = *s->p == '-';
        s->p++;
    }
    uint64_t value = 0;
    int n = 0;
    if (!digits(s, &value, &n) || n > 6) {
        return false;
    }
    *ret = down ? -(int)value : (int)value;
    return true;
}

static bool number(struct scan *s, double *ret)
{
    blanks(s);
    const char *from = s->p;
    bool minus = s->p < s->end && *s->p == '-';
    s->p += minus;
    uint64_t mantissa = 0;
    int n = 0;
    const char *first = s->p;
    if (!digits(s, &mantissa, &n) || (n > 1 && *first == '0')) {
        return false;
    }
    int scale = 0;
    bool real = false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        int before = n;
        if (!digits(s, &mantissa, &n)) {
            return false;
        }
        scale = before - n;
        real = true;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        int e = 0;
        if (!exponent(s, &e)) {
            return false;
        }
        scale += e;
        real = true;
    }
    if (n > 19 || mantissa > (uint64_t)1 << 53 || scale < -22 || scale > 22) {
        return slow_number(from, s->p, ret);
    }
    double value = (double)mantissa;
    value = scale < 0 ? value / powers[-scale] : value * powers[scale];
    /* The integer -0 is 0; -0.0 keeps its sign (as the general reader has it). */
    *ret = minus && (real || mantissa) ? -value : value;
    return true;
}

static bool literal(struct scan *s, const char *word, size_t n)
{
    blanks(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) {
        return false;
    }
    s->p += n;
    return true;
}

struct tensor {
    struct gy_str name;
    uint64_t shape[2];
    size_t n_dims;
    bool integer;
    double min, max;
    bool required;
};

static bool value(struct scan *s, const struct tensor *t, double *ret)
{
    blanks(s);
    if (s->p < s->end && (*s->p == 'n' || *s->p == 'N')) {
        *ret = NAN;
        return !t->required && (literal(s, "null", 4) || literal(s, "NaN", 3));
    }
    return number(s, ret) &&
           (!t->integer || (*ret == rint(*ret) && *ret >= t->min && *ret <= t->max));
}

/* n numbers after '[' and up to ']', to every stride-th place. */
static bool run_of(struct scan *s, const struct tensor *t, double *to, size_t n, size_t stride)
{
    for (size_t i = 0; i < n; i++) {
        if ((i > 0 && !take(s, ',')) || !value(s, t, to + i * stride)) {
            return false;
        }
    }
    return take(s, ']');
}

/* data of n rows and `width` values a row, flat or nested. */
static bool data(struct scan *s, const struct tensor *t, double *to, size_t n, size_t width,
                 size_t row_stride)
{
    if (!take(s, '[')) {
        return false;
    }
    blanks(s);
    bool nested = s->p < s->end && *s->p == '[';
    if (nested && t->n_dims == 1) {
        return false;
    }
    if (!nested && width == 1) {
        return run_of(s, t, to, n, row_stride);
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !take(s, ',')) {
            return false;
        }
        if (nested && (!take(s, '[') || !run_of(s, t, to + i * row_stride, width, 1))) {
            return false;
        }
        for (size_t k = 0; !nested && k < width; k++) {
            if ((k > 0 && !take(s, ',')) || !value(s, t, to + i * row_stride + k)) {
                return false;
            }
        }
    }
    return take(s, ']');
}

struct v2 {
    const struct gy_infer_shape *shape;
    struct gy_infer_request *q;
    struct gy_seen seen; /* fields */
    size_t n_seen_inputs;
    size_t hint;
    bool matrix;
    size_t body_bytes;
};

static bool scan_shape(struct scan *s, struct tensor *t)
{
    if (!take(s, '[')) {
        return false;
    }
    do {
        blanks(s);
        uint64_t v = 0;
        int n = 0;
        const char *first = s->p;
        if (t->n_dims == 2 || !digits(s, &v, &n) || n > 7 || *first == '0') {
            return false;
        }
        t->shape[t->n_dims++] = v;
    } while (take(s, ','));
    return take(s, ']');
}

/* Where the values of a tensor go, once its name and shape are known. */
static bool scan_data(struct scan *s, struct v2 *v, struct tensor *t)
{
    const struct gy_infer_shape *shape = v->shape;
    size_t n = t->shape[0];
    size_t width = t->n_dims == 2 ? t->shape[1] : 1;
    const struct gy_tensor_group *group = gy_tensors_group(shape, t->name);
    size_t field = group ? group->first : gy_infer_field_find(shape, t->name, v->hint, false);
    bool column = field != SIZE_MAX && (group ? width == group->width : width == 1);
    if (!column && (group || t->n_dims != 2 || width != shape->n_inputs || v->n_seen_inputs > 0)) {
        return false;
    }
    if (v->q->n_rows == 0) {
        /* A value takes two bytes of text: what can not be there is not worth memory. */
        if (n > v->body_bytes / 2 || n * shape->n_inputs > v->body_bytes / 2 ||
            gy_infer_rows(v->q, shape, n, NULL) != GY_OK) {
            return false;
        }
    } else if (v->q->n_rows != n) {
        return false;
    }
    if (!column) {
        if (v->matrix) {
            return false;
        }
        for (size_t i = 0; i < shape->n_inputs; i++) {
            t->required = t->required || shape->fields[i].required;
        }
        v->matrix = true;
        v->n_seen_inputs = shape->n_inputs;
        return data(s, t, v->q->values, n, width, shape->n_fields);
    }
    if (v->matrix && field < shape->n_inputs) {
        return false;
    }
    for (size_t i = field; i < field + width; i++) {
        if (gy_seen_test_set(&v->seen, i)) {
            return false;
        }
        t->required = t->required || shape->fields[i].required;
    }
    v->n_seen_inputs += field < shape->n_inputs ? width : 0;
    v->hint = field + width;
    return data(s, t, v->q->values + field, n, width, shape->n_fields);
}

static bool scan_tensor(struct scan *s, struct v2 *v)
{
    struct tensor t = {0};
    enum { NAME = 1, SHAPE = 2, TYPE = 4, DATA = 8 };
    int seen = 0;
    if (!take(s, '{')) {
        return false;
    }
    do {
        struct gy_str key;
        struct gy_str type;
        if (!plain_string(s, &key) || !take(s, ':')) {
            return false;
        }
        int what = gy_str_eqc(key, "name")       ? NAME
                   : gy_str_eqc(key, "shape")    ? SHAPE
                   : gy_str_eqc(key, "datatype") ? TYPE
                   : gy_str_eqc(key, "data")     ? DATA
                                                 : 0;
        if (what == 0 || (seen & what)) {
            return false;
        }
        seen |= what;
        bool good = false;
        switch (what) {
        case NAME:
            good = plain_string(s, &t.name);
            break;
        case SHAPE:
            good = scan_shape(s, &t);
            break;
        case TYPE:
            good = plain_string(s, &type) && gy_infer_datatype(type, &t.integer, &t.min, &t.max);
            break;
        case DATA:
            good = seen == (NAME | SHAPE | TYPE | DATA) && scan_data(s, v, &t);
            break;
        }
        if (!good) {
            return false;
        }
    } while (take(s, ','));
    return seen == (NAME | SHAPE | TYPE | DATA) && take(s, '}');
}

static bool scan_outputs(struct scan *s, struct v2 *v)
{
    if (!take(s, '[')) {
        return false;
    }
    uint32_t asked = 0;
    do {
        struct gy_str name;
        if (!take(s, '{') || !plain_string(s, &name) || !gy_str_eqc(name, "name") ||
            !take(s, ':') || !plain_string(s, &name) || !take(s, '}')) {
            return false;
        }
        size_t i = 0;
        while (i < v->shape->n_outputs && !(name.n && gy_str_eq(v->shape->outputs[i], name))) {
            i++;
        }
        if (i == v->shape->n_outputs) {
            return false;
        }
        asked |= (uint32_t)1 << i;
    } while (take(s, ','));
    v->q->outputs = asked;
    return take(s, ']');
}

static bool scan_id(struct scan *s, struct gy_infer_request *q)
{
    struct gy_str id;
    if (!plain_string(s, &id) || id.n > GY_INFER_MAX_ID) {
        return false;
    }
    memcpy(q->id, id.p, id.n);
    q->id[id.n] = '\0';
    q->id_bytes = id.n;
    return true;
}

static bool at_end(struct scan *s)
{
    blanks(s);
    return s->p == s->end;
}

static bool scan_v2(struct scan *s, struct v2 *v)
{
    enum { ID = 1, INPUTS = 2, OUTPUTS = 4 };
    int seen = 0;
    if (!take(s, '{')) {
        return false;
    }
    do {
        struct gy_str key;
        if (!plain_string(s, &key) || !take(s, ':')) {
            return false;
        }
        int what = gy_str_eqc(key, "inputs")    ? INPUTS
                   : gy_str_eqc(key, "id")      ? ID
                   : gy_str_eqc(key, "outputs") ? OUTPUTS
                                                : 0;
        if (what == 0 || (seen & what)) {
            return false;
        }
        seen |= what;
        bool good = false;
        if (what == ID) {
            good = scan_id(s, v->q);
        } else if (what == OUTPUTS) {
            good = scan_outputs(s, v);
        } else {
            good = take(s, '[');
            do {
                good = good && scan_tensor(s, v);
            } while (good && take(s, ','));
            good = good && take(s, ']');
        }
        if (!good) {
            return false;
        }
    } while (take(s, ','));
    return (seen & INPUTS) && take(s, '}') && at_end(s) && v->n_seen_inputs == v->shape->n_inputs;
}

static bool scan_flat(struct scan *s, struct v2 *v)
{
    const struct gy_infer_shape *shape = v->shape;
    if (gy_infer_rows(v->q, shape, 1, NULL) != GY_OK || !take(s, '{')) {
        return false;
    }
    do {
        struct gy_str key;
        if (!plain_string(s, &key) || !take(s, ':')) {
            return false;
        }
        size_t field = gy_infer_field_find(shape, key, v->hint, true);
        if (field == SIZE_MAX || gy_seen_test_set(&v->seen, field)) {
            return false;
        }
        struct tensor t = {.required = shape->fields[field].required};
        if (!value(s, &t, v->q->values + field)) {
            return false;
        }
        v->n_seen_inputs += field < shape->n_inputs;
        v->hint = field + 1;
    } while (take(s, ','));
    return take(s, '}') && at_end(s) && v->n_seen_inputs == shape->n_inputs;
}

bool gy_infer_scan(enum gy_infer_form form, const struct gy_infer_shape *shape, struct gy_str body,
                   struct gy_infer_request *q)
{
    gy_infer_request_reset(q);
    q->outputs = UINT32_MAX;
    if (!body.p || shape->mixed) {
        return false; /* no body, or texts: the full parser tells */
    }
    struct scan s = {body.p, body.p + body.n};
    struct v2 v;
    v.shape = shape;
    v.q = q;
    memset(&v.seen, 0, (shape->n_fields / 64 + 1) * sizeof v.seen.bits[0]);
    v.n_seen_inputs = 0;
    v.hint = 0;
    v.matrix = false;
    v.body_bytes = body.n;
    return form == GY_INFER_FLAT ? scan_flat(&s, &v) : scan_v2(&s, &v);
}
