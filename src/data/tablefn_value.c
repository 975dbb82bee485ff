/* SPDX-License-Identifier: Apache-2.0 */
/* Values of records into DuckDB's vectors. What is a value of a type is decided by
 * gy_column_canonical, as in ingest; plain numbers take a short way that gives the same. */
#include <math.h>

#include "base/time.h"
#include "data/tablefn_internal.h"

#define LIB gy_duck_lib()

enum gy_duck_type gy_tablefn_type(const struct gy_tablefn_table *t, size_t column)
{
    const struct gy_column *c = t->columns[column];
    if (t->all_text || c->list.p) {
        return GY_DUCK_VARCHAR;
    }
    switch (c->type) {
    case GY_TYPE_INT:
        return GY_DUCK_BIGINT;
    case GY_TYPE_FLOAT:
        return GY_DUCK_DOUBLE;
    case GY_TYPE_BOOL:
        return GY_DUCK_BOOLEAN;
    case GY_TYPE_TIME:
        return GY_DUCK_TIMESTAMP;
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        break;
    }
    return GY_DUCK_VARCHAR;
}

void gy_tablefn_null(struct gy_tablefn_out *out, uint64_t row)
{
    if (!out->validity) {
        LIB->vector_ensure_validity_writable(out->vector);
        out->validity = LIB->vector_get_validity(out->vector);
    }
    out->validity[row / 64] &= ~((uint64_t)1 << (row % 64));
}

void gy_tablefn_string(struct gy_tablefn_out *out, uint64_t row, struct gy_str text)
{
    if (text.n <= GY_DUCK_INLINE_MAX) {
        duckdb_string_t *s = (duckdb_string_t *)out->data + row;
        memset(s, 0, sizeof *s); /* short strings are compared as a whole */
        s->value.inlined.length = (uint32_t)text.n;
        memcpy(s->value.inlined.inlined, text.p, text.n);
    } else {
        LIB->vector_assign_string_element_len(out->vector, row, text.p, text.n);
    }
}

static bool is_digit(char b)
{
    return b >= '0' && b <= '9';
}

/* A plain integer of at most 18 digits. */
static bool short_int(struct gy_str s, int64_t *ret)
{
    const size_t first = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    int64_t value = 0;
    if (s.n == first || s.n - first > 18) {
        return false;
    }
    for (size_t i = first; i < s.n; i++) {
        if (!is_digit(s.p[i])) {
            return false;
        }
        value = value * 10 + (s.p[i] - '0');
    }
    *ret = first ? -value : value;
    return true;
}

/* A plain decimal of at most 15 digits: mantissa and power are exact doubles, so that their
 * quotient is correctly rounded. */
static bool short_float(struct gy_str s, double *ret)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const size_t first = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    int64_t mantissa = 0;
    size_t i = first, decimals = 0;
    if (s.n - first > 16) {
        return false;
    }
    for (; i < s.n && is_digit(s.p[i]); i++) {
        mantissa = mantissa * 10 + (s.p[i] - '0');
    }
    const size_t whole = i - first;
    if (whole == 0 || (whole > 1 && s.p[first] == '0')) {
        return false; /* ".5" and "007": the long way knows */
    }
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && is_digit(s.p[i]); i++) {
            mantissa = mantissa * 10 + (s.p[i] - '0');
            decimals++;
        }
        if (decimals == 0) {
            return false;
        }
    }
    if (i != s.n || whole + decimals > 15) {
        return false;
    }
    const double value = decimals ? (double)mantissa / powers[decimals] : (double)mantissa;
    *ret = first && mantissa ? -value : value;
    return true;
}

/* n digits at p as a number; -1 when they are none. */
static int digits(const char *p, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i])) {
            return -1;
        }
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

/* A day that there is in every year: what comes after the 28th, the long way knows. */
static bool short_day(const char *p, int64_t *ret)
{
    const int year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 28 || p[4] != '-' || p[7] != '-') {
        return false;
    }
    /* Days before a month of the year that starts with March. */
    const int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    *ret = (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
    return true;
}

/* YYYY-MM-DD, YYYY-MM-DDThh:mm:ssZ, and without the Z where the column says that this is fine. */
static bool short_time(const struct gy_column *c, struct gy_str s, int64_t *ret)
{
    const int64_t day_us = INT64_C(86400000000);
    int64_t days = 0;
    const bool local = s.n == 19 && c->zone.p && !c->clock;
    if ((s.n != 10 && s.n != 20 && !local) || !short_day(s.p, &days)) {
        return false;
    }
    *ret = days * day_us;
    if (s.n == 10) {
        return true;
    }
    const int hour = digits(s.p + 11, 2), minute = digits(s.p + 14, 2),
              second = digits(s.p + 17, 2);
    if ((s.p[10] != 'T' && s.p[10] != ' ') || s.p[13] != ':' || s.p[16] != ':' || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
        (s.n == 20 && s.p[19] != 'Z')) {
        return false;
    }
    *ret += ((int64_t)hour * 3600 + minute * 60 + second) * 1000000;
    return true;
}

/* Canonical text of a time: a day, a local time or one in UTC. */
static bool micros(struct gy_str canonical, int64_t *ret)
{
    char text[GY_VALUE_TEXT + sizeof "T00:00:00Z"];
    const size_t date = 10;
    memcpy(text, canonical.p, canonical.n);
    size_t n = canonical.n;
    if (n == date) {
        memcpy(text + n, "T00:00:00Z", 10);
        n += 10;
    } else if (text[n - 1] != 'Z') {
        text[n++] = 'Z';
    }
    return gy_time_parse_iso(gy_str_n(text, n), ret, NULL) == GY_OK;
}

/* The long way. False: not of the type. */
static bool convert(const struct gy_column *c, struct gy_str text, struct gy_tablefn_out *out,
                    uint64_t row)
{
    char room[GY_VALUE_TEXT];
    struct gy_str canonical;
    double number;
    int64_t whole = 0;
    if (!gy_column_canonical(c, text, room, &canonical, &number)) {
        return false;
    }
    switch (c->type) {
    case GY_TYPE_INT:
        if (gy_parse_i64(canonical, INT64_MIN, INT64_MAX, &whole, NULL) != GY_OK) {
            return false;
        }
        break;
    case GY_TYPE_TIME:
        if (!micros(canonical, &whole)) {
            return false;
        }
        break;
    case GY_TYPE_FLOAT:
        if (out) {
            ((double *)out->data)[row] = number;
        }
        return true;
    case GY_TYPE_BOOL:
        if (out) {
            ((bool *)out->data)[row] = number != 0;
        }
        return true;
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        return false;
    }
    if (out) {
        ((int64_t *)out->data)[row] = whole;
    }
    return true;
}

/* Does what the file wrote fit the column? Whatever is not nested is a text, too. */
static bool fits(enum gy_duck_type type, enum gy_value_kind kind)
{
    switch (kind) {
    case GY_VALUE_PLAIN:
        return true;
    case GY_VALUE_NUMBER:
        return type == GY_DUCK_VARCHAR || type == GY_DUCK_BIGINT || type == GY_DUCK_DOUBLE;
    case GY_VALUE_BOOL:
        return type == GY_DUCK_VARCHAR || type == GY_DUCK_BOOLEAN;
    case GY_VALUE_STRING:
        return type == GY_DUCK_VARCHAR || type == GY_DUCK_TIMESTAMP;
    case GY_VALUE_NESTED:
        break;
    }
    return false;
}

static bool is_missing(const struct gy_tablefn_table *t, struct gy_str text)
{
    return text.n == 0 ||
           (t->missing_starts[(unsigned char)text.p[0]] && gy_schema_is_missing(t->missing, text));
}

static enum gy_tablefn_read refuse(enum gy_tablefn_read why, struct gy_tablefn_out *out,
                                   uint64_t row)
{
    if (out) {
        gy_tablefn_null(out, row);
    }
    return why;
}

static enum gy_tablefn_read text_value(const struct gy_value *v, struct gy_tablefn_out *out,
                                       uint64_t row)
{
    if (v->kind == GY_VALUE_PLAIN && !gy_str_is_utf8(v->text)) {
        return refuse(GY_TABLEFN_NOT_UTF8, out, row);
    }
    if (out) {
        gy_tablefn_string(out, row, v->text);
    }
    return GY_TABLEFN_FINE;
}

enum gy_tablefn_read gy_tablefn_value(const struct gy_tablefn_table *t, size_t column,
                                      const struct gy_value *v, struct gy_tablefn_out *out,
                                      uint64_t row)
{
    const struct gy_column *c = t->columns[column];
    const enum gy_duck_type type = gy_tablefn_type(t, column);
    int64_t whole;
    double number;
    if (type == GY_DUCK_BIGINT && v->kind == GY_VALUE_PLAIN && short_int(v->text, &whole)) {
        if (t->missing_starts[(unsigned char)v->text.p[0]] && is_missing(t, v->text)) {
            return refuse(GY_TABLEFN_FINE, out, row); /* "-1" can be a marker */
        }
        if (out) {
            ((int64_t *)out->data)[row] = whole;
        }
        return GY_TABLEFN_FINE;
    }
    if (type == GY_DUCK_DOUBLE && v->kind == GY_VALUE_PLAIN && short_float(v->text, &number) &&
        !(t->missing_starts[(unsigned char)v->text.p[0]] && is_missing(t, v->text))) {
        if (out) {
            ((double *)out->data)[row] = number;
        }
        return GY_TABLEFN_FINE;
    }
    if (type == GY_DUCK_TIMESTAMP && short_time(c, v->text, &whole)) {
        if (out) {
            ((int64_t *)out->data)[row] = whole;
        }
        return GY_TABLEFN_FINE;
    }
    if (t->all_text && v->kind != GY_VALUE_NESTED) {
        return v->text.n == 0 ? refuse(GY_TABLEFN_FINE, out, row) : text_value(v, out, row);
    }
    struct gy_str bare = c->type == GY_TYPE_STRING ? v->text : gy_str_trim(v->text);
    if (is_missing(t, bare)) {
        return refuse(GY_TABLEFN_FINE, out, row);
    }
    if (!fits(type, v->kind)) {
        return refuse(GY_TABLEFN_NOT_OF_TYPE, out, row);
    }
    if (type == GY_DUCK_VARCHAR) {
        return text_value(v, out, row);
    }
    return convert(c, v->text, out, row) ? GY_TABLEFN_FINE
                                         : refuse(GY_TABLEFN_NOT_OF_TYPE, out, row);
}
