/* SPDX-License-Identifier: Apache-2.0 */
/* Values as most files write them, straight into the canonical line: plain numbers, true and false,
 * days. Every field of every record passes here, so these are small and inline. Each gives what
 * gy_value_canonical gives (the unit test compares them), or NULL when the spelling is not one of
 * the plain ones: then that one is asked. `to` has room for n bytes. */
#ifndef GY_DATA_QUICK_H
#define GY_DATA_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Copy n bytes. Most values are shorter than a call of memcpy is worth. */
static inline char *gy_quick_put(char *to, const char *p, size_t n)
{
    if (n > 16) {
        memcpy(to, p, n);
    } else if (n >= 8) { /* two words that may overlap */
        uint64_t head, tail;
        memcpy(&head, p, 8);
        memcpy(&tail, p + n - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + n - 8, &tail, 8);
    } else if (n >= 4) {
        uint32_t head, tail;
        memcpy(&head, p, 4);
        memcpy(&tail, p + n - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + n - 4, &tail, 4);
    } else if (n > 0) {
        to[0] = p[0];
        to[n / 2] = p[n / 2];
        to[n - 1] = p[n - 1];
    }
    return to + n;
}

/* Up to 18 digits without needless zeros, behind a '-' perhaps. */
static inline char *gy_quick_int(char *to, const char *p, size_t n, double *ret_num)
{
    const bool negative = n > 0 && p[0] == '-';
    const size_t first = negative ? 1 : 0;
    int64_t value = 0;
    if (n == first || n - first > 18 || (p[first] == '0' && n > 1)) {
        return NULL;
    }
    for (size_t i = first; i < n; i++) {
        const unsigned digit = (unsigned char)p[i] - (unsigned)'0';
        if (digit > 9) {
            return NULL;
        }
        value = value * 10 + (int64_t)digit;
    }
    *ret_num = (double)(negative ? -value : value);
    return gy_quick_put(to, p, n);
}

/* A decimal of at most 15 digits: those digits, without zeros at the end of the fraction, are the
 * shortest text, and mantissa / 10^k is the double (value.c says why). */
static inline char *gy_quick_float(char *to, const char *p, size_t n, double *ret_num)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const bool negative = n > 0 && p[0] == '-';
    const size_t first = negative ? 1 : 0;
    size_t i = first, decimals = 0;
    uint64_t mantissa = 0;
    unsigned digit;
    if (n == first || n - first > 16) {
        return NULL;
    }
    while (i < n && (digit = (unsigned char)p[i] - (unsigned)'0') <= 9) {
        mantissa = mantissa * 10 + digit;
        i++;
    }
    const size_t whole = i - first;
    if (whole == 0 || whole > 15 || (p[first] == '0' && whole > 1)) {
        return NULL;
    }
    if (i < n) {
        if (p[i] != '.' || whole + (n - i - 1) > 15) {
            return NULL;
        }
        for (i++; i < n && (digit = (unsigned char)p[i] - (unsigned)'0') <= 9; i++) {
            mantissa = mantissa * 10 + digit;
            decimals++;
        }
        if (i < n) {
            return NULL;
        }
        while (p[n - 1] == '0' && decimals > 0) {
            n--;
            decimals--;
            mantissa /= 10;
        }
        n -= p[n - 1] == '.' ? 1 : 0;
    }
    const double value = (double)mantissa / powers[decimals];
    if (mantissa == 0) {
        *ret_num = 0;
        *to = '0';
        return to + 1;
    }
    if (value < 1e-4) { /* written with an exponent */
        return NULL;
    }
    *ret_num = negative ? -value : value;
    return gy_quick_put(to, p, n);
}

static inline char *gy_quick_bool(char *to, const char *p, size_t n, double *ret_num)
{
    if (n == 4 && memcmp(p, "true", 4) == 0) {
        *ret_num = 1;
    } else if (n == 5 && memcmp(p, "false", 5) == 0) {
        *ret_num = 0;
    } else {
        return NULL;
    }
    return gy_quick_put(to, p, n);
}

/* YYYY-MM-DD, of the days that every month has. */
static inline char *gy_quick_day(char *to, const char *p, size_t n)
{
    static const char shape[] = "dddd-dd-dd";
    if (n != sizeof shape - 1) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        const bool is_digit = p[i] >= '0' && p[i] <= '9';
        if (shape[i] == 'd' ? !is_digit : p[i] != '-') {
            return NULL;
        }
    }
    const int month = (p[5] - '0') * 10 + p[6] - '0', day = (p[8] - '0') * 10 + p[9] - '0';
    return month >= 1 && month <= 12 && day >= 1 && day <= 28 ? gy_quick_put(to, p, n) : NULL;
}

#endif
