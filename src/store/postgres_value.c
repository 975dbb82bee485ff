/* SPDX-License-Identifier: Apache-2.0 */
/* Values in PostgreSQL's binary form, which is big-endian. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "store/postgres_internal.h"

#define NUMERIC_HEADER 8  /* bytes: digit count, weight, sign, display scale */
#define NUMERIC_DIGITS 30 /* of four decimals each; more than any sum of int8 or double needs */

void gy_pg_put32(char out[4], uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8) {
        out[i] = (char)(v & 0xff);
    }
}

void gy_pg_put64(char out[8], uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8) {
        out[i] = (char)(v & 0xff);
    }
}

uint64_t gy_pg_double_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static uint64_t get_bits(struct gy_str s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        v = v << 8 | (unsigned char)s.p[i];
    }
    return v;
}

static double get_double(struct gy_str s)
{
    uint64_t bits = get_bits(s);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double get_float(struct gy_str s)
{
    uint32_t bits = (uint32_t)get_bits(s);
    float v;
    memcpy(&v, &bits, sizeof v);
    return (double)v;
}

static int get_short(struct gy_str s, size_t at)
{
    return (int16_t)get_bits(gy_str_sub(s, at, 2));
}

/* The digits as decimal text without leading zeros; returns its length. */
static size_t numeric_digits(struct gy_str s, int n_digits, char *out)
{
    size_t n = 0;
    for (int i = 0; i < n_digits; i++) {
        char four[8];
        (void)snprintf(four, sizeof four, "%04u",
                       (unsigned)get_short(s, NUMERIC_HEADER + 2 * (size_t)i) % 10000);
        for (int k = 0; k < 4; k++) {
            if (n > 0 || four[k] != '0') {
                out[n++] = four[k];
            }
        }
    }
    if (n == 0) {
        out[n++] = '0';
    }
    out[n] = '\0';
    return n;
}

/* Sums of integers come as NUMERIC: an integer when it has no fraction and fits, else a double. */
static struct gy_val get_numeric(struct gy_str s)
{
    char text[NUMERIC_DIGITS * 4 + 64];
    if (s.n < NUMERIC_HEADER) {
        return gy_vf(NAN);
    }
    int n_digits = get_short(s, 0), weight = get_short(s, 2), scale = get_short(s, 6);
    unsigned sign = (unsigned)get_short(s, 4) & 0xffff;
    if (sign >= 0xc000) {
        return gy_vf(sign == 0xd000 ? INFINITY : sign == 0xf000 ? -INFINITY : NAN);
    }
    n_digits = n_digits < NUMERIC_DIGITS ? n_digits : NUMERIC_DIGITS;
    text[0] = '-';
    size_t n = 1 + numeric_digits(s, n_digits, text + 1);
    struct gy_val v = {.kind = GY_VAL_REAL};
    int exponent = 4 * (weight + 1 - n_digits);
    if (n_digits == 0) {
        exponent = 0;
    }
    size_t from = sign == 0x4000 ? 0 : 1;
    if (scale == 0 && exponent >= 0 && exponent < 24) {
        (void)snprintf(text + n, sizeof text - n, "%.*s", exponent, "000000000000000000000000");
        v.kind = gy_parse_i64(gy_str_c(text + from), INT64_MIN, INT64_MAX, &v.i, NULL) == GY_OK
                     ? GY_VAL_INT
                     : GY_VAL_REAL;
        exponent = 0;
        n = strlen(text);
    }
    (void)snprintf(text + n, sizeof text - n, "e%d", exponent);
    if (v.kind == GY_VAL_REAL && gy_parse_f64(gy_str_c(text + from), &v.f, NULL) != GY_OK) {
        v.f = NAN;
    }
    return v;
}

/* What is stored: the kind, and its member filled. */
static struct gy_val stored(unsigned type, struct gy_str s)
{
    switch (type) {
    case GY_PG_BOOL:
        return gy_vi(s.n > 0 && s.p[0] != 0);
    case GY_PG_INT2:
        return gy_vi((int16_t)get_bits(s));
    case GY_PG_INT4:
        return gy_vi((int32_t)get_bits(s));
    case GY_PG_OID:
    case GY_PG_INT8:
        return gy_vi((int64_t)get_bits(s));
    case GY_PG_FLOAT4:
        return gy_vf(get_float(s));
    case GY_PG_FLOAT8:
        return gy_vf(get_double(s));
    case GY_PG_NUMERIC:
        return get_numeric(s);
    case GY_PG_BYTEA:
        return gy_vb(s);
    default:
        return gy_vs(s);
    }
}

static int64_t whole(double f)
{
    return isnan(f)                     ? 0
           : f >= 9223372036854775808.0 ? INT64_MAX
           : f < -9223372036854775808.0 ? INT64_MIN
                                        : (int64_t)f;
}

static void as_text(struct gy_val *v, char text[64])
{
    if (v->kind == GY_VAL_INT) {
        v->s = gy_str_n(text, (size_t)snprintf(text, 64, "%lld", (long long)v->i));
    } else if (v->kind == GY_VAL_REAL) {
        v->s = gy_str_n(text, gy_fmt_f64(v->f, text));
    }
}

/* As SQLite answers: a text that is no number is 0. */
static void as_number(struct gy_val *v)
{
    if (v->kind == GY_VAL_INT) {
        v->f = (double)v->i;
        return;
    }
    if (v->kind != GY_VAL_REAL) {
        if (gy_parse_i64(v->s, INT64_MIN, INT64_MAX, &v->i, NULL) == GY_OK) {
            v->f = (double)v->i;
            return;
        }
        if (gy_parse_f64(v->s, &v->f, NULL) != GY_OK) {
            v->f = 0;
        }
    }
    v->i = whole(v->f);
}

void gy_pg_decode(unsigned type, struct gy_str bytes, enum gy_val_kind want, char text[64],
                  struct gy_val *ret)
{
    *ret = stored(type, bytes);
    switch (want) {
    case GY_VAL_NULL:
        break;
    case GY_VAL_INT:
    case GY_VAL_REAL:
        as_number(ret);
        break;
    case GY_VAL_TEXT:
    case GY_VAL_BLOB:
        as_text(ret, text);
        break;
    }
}
