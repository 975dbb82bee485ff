/* SPDX-License-Identifier: Apache-2.0 */
/* gy_value_canonical of schema.h: one text of a typed value for all texts of it. Numbers take a
 * path of their own, without strtod and printf, because every field of every record passes here. */
#include <math.h>

#include "base/time.h"
#include "data/schema.h"

static bool is_digit(char b)
{
    return b >= '0' && b <= '9';
}

static struct gy_str trim_blanks(struct gy_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = gy_str_n(s.p + 1, s.n - 1);
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* A '-' and the digits at p as canonical text. The sign stands right before the first digit unless
 * zeros were stripped between them. */
static struct gy_str signed_view(struct gy_str s, bool negative, size_t first, size_t end,
                                 char out[GY_VALUE_TEXT])
{
    if (!negative) {
        return gy_str_n(s.p + first, end - first);
    }
    if (first == 1) {
        return gy_str_n(s.p, end);
    }
    out[0] = '-';
    memcpy(out + 1, s.p + first, end - first); /* the callers bound it well below GY_VALUE_TEXT */
    return gy_str_n(out, 1 + end - first);
}

static bool int_canonical(struct gy_str s, char out[GY_VALUE_TEXT], struct gy_str *ret,
                          double *ret_num)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t first = negative ? 1 : 0;
    size_t i = first;
    while (i < s.n && is_digit(s.p[i])) {
        i++;
    }
    size_t end = i; /* of the integer digits */
    if (end == first) {
        return false;
    }
    if (i < s.n) { /* only a fraction of zeros may follow */
        if (s.p[i] != '.' || i + 1 == s.n) {
            return false;
        }
        for (i++; i < s.n; i++) {
            if (s.p[i] != '0') {
                return false;
            }
        }
    }
    while (first + 1 < end && s.p[first] == '0') {
        first++;
    }
    int64_t value = 0;
    if (end - first <= 18) {
        for (size_t k = first; k < end; k++) {
            value = value * 10 + (s.p[k] - '0');
        }
        value = negative ? -value : value;
    } else if (end - first > 19 || gy_parse_i64(signed_view(s, negative, first, end, out),
                                                INT64_MIN, INT64_MAX, &value, NULL) != GY_OK) {
        return false;
    }
    *ret_num = (double)value;
    *ret = value == 0 ? GY_STR("0") : signed_view(s, negative, first, end, out);
    return true;
}

static const double POW10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Any number, through the slow exact way. */
static bool float_slow(struct gy_str s, char out[GY_VALUE_TEXT], struct gy_str *ret,
                       double *ret_num)
{
    double value = 0;
    if (gy_parse_f64(s, &value, NULL) != GY_OK) {
        return false;
    }
    *ret_num = value;
    *ret = value == 0 ? GY_STR("0") : gy_str_n(out, gy_fmt_f64_trim(value, out));
    return true;
}

/* A plain decimal of at most 15 digits is exactly mantissa / 10^k (both are exact doubles, so the
 * quotient is correctly rounded), and no two such decimals share a double: its own digits, without
 * needless zeros, are the shortest text. */
static bool float_canonical(struct gy_str s, char out[GY_VALUE_TEXT], struct gy_str *ret,
                            double *ret_num)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t first = negative ? 1 : 0;
    size_t i = first;
    uint64_t mantissa = 0;
    while (i < s.n && is_digit(s.p[i])) {
        mantissa = mantissa * 10 + (uint64_t)(s.p[i++] - '0');
    }
    size_t end = i, decimals = 0;
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && is_digit(s.p[i]); i++) {
            mantissa = mantissa * 10 + (uint64_t)(s.p[i] - '0');
            decimals++;
        }
    }
    bool plain = i == s.n && end > first && i - first <= 16 && mantissa < 1000000000000000ULL &&
                 !(s.p[first] == '0' && end - first > 1);
    if (!plain) {
        return float_slow(s, out, ret, ret_num);
    }
    double value = decimals ? (double)mantissa / POW10[decimals] : (double)mantissa;
    if (mantissa == 0) {
        *ret = GY_STR("0");
        *ret_num = 0;
        return true;
    }
    if (value < 1e-4) { /* written with an exponent */
        return float_slow(s, out, ret, ret_num);
    }
    if (decimals > 0) {
        end = i;
        while (s.p[end - 1] == '0') {
            end--;
        }
        end -= s.p[end - 1] == '.' ? 1 : 0;
    }
    *ret_num = negative ? -value : value;
    *ret = signed_view(s, negative, first, end, out);
    return true;
}

static bool bool_canonical(struct gy_str s, struct gy_str *ret, double *ret_num)
{
    bool yes = gy_str_eqc(s, "1") || gy_str_ieq(s, GY_STR("true"));
    if (!yes && !gy_str_eqc(s, "0") && !gy_str_ieq(s, GY_STR("false"))) {
        return false;
    }
    *ret = yes ? GY_STR("true") : GY_STR("false");
    *ret_num = yes ? 1 : 0;
    return true;
}

/* Without needless zeros behind the point. */
static struct gy_str utc_text(int64_t us, char out[GY_VALUE_TEXT])
{
    size_t n = gy_time_iso(us, out);
    while (n > 2 && out[n - 2] == '0' && memchr(out, '.', n)) { /* before the Z */
        n--;
    }
    n -= out[n - 2] == '.' ? 1 : 0;
    out[n - 1] = 'Z';
    return gy_str_n(out, n);
}

static bool time_canonical(struct gy_str s, char out[GY_VALUE_TEXT], struct gy_str *ret)
{
    const size_t date = 10; /* YYYY-MM-DD */
    char text[GY_VALUE_TEXT];
    int64_t us = 0;
    if (s.n > 40) {
        return false;
    }
    if (s.n == date) {
        memcpy(text, s.p, date);
        memcpy(text + date, "T00:00:00Z", 10);
        *ret = s;
        return gy_time_parse_iso(gy_str_n(text, date + 10), &us, NULL) == GY_OK;
    }
    if (gy_time_parse_iso(s, &us, NULL) == GY_OK) {
        *ret = utc_text(us, out);
        return true;
    }
    memcpy(out, s.p, s.n);
    out[s.n] = 'Z';
    if (gy_time_parse_iso(gy_str_n(out, s.n + 1), &us, NULL) != GY_OK) {
        return false;
    }
    out[date] = 'T';
    *ret = gy_str_n(out, s.n);
    return true;
}

bool gy_time_lacks_zone(struct gy_str text)
{
    char out[GY_VALUE_TEXT];
    struct gy_str canonical;
    text = trim_blanks(text);
    return text.n > 10 && time_canonical(text, out, &canonical) &&
           canonical.p[canonical.n - 1] != 'Z';
}

bool gy_column_canonical(const struct gy_column *c, struct gy_str text, char out[GY_VALUE_TEXT],
                         struct gy_str *ret, double *ret_num)
{
    if (!gy_value_canonical(c->type, text, out, ret, ret_num)) {
        return false;
    }
    const size_t date = 10; /* a day needs no zone */
    if (c->type != GY_TYPE_TIME || ret->n == date || ret->p[ret->n - 1] == 'Z') {
        return true;
    }
    if (!c->clock) {
        return c->zone.p != NULL; /* "none" */
    }
    char local[GY_VALUE_TEXT];
    int64_t us = 0;
    memcpy(local, ret->p, ret->n); /* of time_canonical: well below GY_VALUE_TEXT - 1 */
    local[ret->n] = 'Z';
    if (gy_time_parse_iso(gy_str_n(local, ret->n + 1), &us, NULL) != GY_OK) {
        return false;
    }
    const int64_t second = 1000000;
    int64_t micro = us % second < 0 ? us % second + second : us % second;
    us = gy_zone_to_utc(c->clock, (us - micro) / second) * second + micro;
    *ret = utc_text(us, out);
    return true;
}

bool gy_value_canonical(enum gy_type type, struct gy_str text, char out[GY_VALUE_TEXT],
                        struct gy_str *ret, double *ret_num)
{
    *ret_num = NAN;
    if (type == GY_TYPE_STRING || type == GY_TYPE_IMAGE) {
        *ret = text;
        return true;
    }
    struct gy_str s = trim_blanks(text);
    switch (type) {
    case GY_TYPE_INT:
        return int_canonical(s, out, ret, ret_num);
    case GY_TYPE_FLOAT:
        return float_canonical(s, out, ret, ret_num);
    case GY_TYPE_BOOL:
        return bool_canonical(s, ret, ret_num);
    case GY_TYPE_TIME:
        return time_canonical(s, out, ret);
    case GY_TYPE_STRING:
    case GY_TYPE_IMAGE:
        break;
    }
    return false;
}
