/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles as text. The digits are yyjson's (Schubfach: the shortest decimal that reads back, and of
 * those the nearest; 40 times faster than trying printf's precisions); the layout is Python's repr.
 */
#include <math.h>
#include <stdio.h>
#include <yyjson.h>

#include "base/str.h"

enum { MAX_DIGITS = 17, NUMBER_BYTES = 64 };

/* yyjson writes into memory that it asks for; here that is on the stack. */
struct stack_memory {
    char bytes[NUMBER_BYTES];
};

static void *take_stack(void *ctx, size_t size)
{
    struct stack_memory *m = ctx;
    return size <= sizeof m->bytes ? m->bytes : NULL;
}

static void *keep_stack(void *ctx, void *p, size_t old_size, size_t size)
{
    struct stack_memory *m = ctx;
    (void)old_size;
    return p == m->bytes && size <= sizeof m->bytes ? p : NULL;
}

static void leave_stack(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

/* value = 0.d1d2...dn * 10^point, without zeros at either end (none at all for 0). */
struct decimal {
    char digits[MAX_DIGITS];
    int n, point;
};

static void add_digit(struct decimal *d, char c)
{
    if (d->n < MAX_DIGITS) { /* what follows are zeros before the point */
        d->digits[d->n++] = c;
    }
}

/* From "123.45", "0.00123", "1.5e-7", "1e22" as JSON has them. */
static struct decimal read_decimal(const char *s, size_t n)
{
    struct decimal d = {.n = 0};
    bool after_point = false;
    size_t i = 0;
    for (; i < n && s[i] != 'e' && s[i] != 'E'; i++) {
        if (s[i] == '.') {
            after_point = true;
            continue;
        }
        if (s[i] != '0' || d.n) {
            add_digit(&d, s[i]);
            d.point += !after_point;
        } else {
            d.point -= after_point;
        }
    }
    if (i < n) {
        bool negative = s[++i] == '-';
        int exponent = 0;
        for (i += s[i] == '-' || s[i] == '+'; i < n; i++) {
            exponent = exponent * 10 + (s[i] - '0');
        }
        d.point += negative ? -exponent : exponent;
    }
    while (d.n && d.digits[d.n - 1] == '0') {
        d.n--;
    }
    return d;
}

static size_t put_fixed(char *out, const struct decimal *d)
{
    size_t n = 0;
    for (int i = d->point < 1 ? d->point - 1 : 0; i < d->n || i < d->point || i < 1; i++) {
        if (i == d->point) {
            out[n++] = '.';
        }
        out[n++] = i >= 0 && i < d->n ? d->digits[i] : '0';
    }
    if (d->n <= d->point) {
        out[n++] = '.';
        out[n++] = '0';
    }
    return n;
}

static size_t put_scientific(char *out, const struct decimal *d)
{
    size_t n = 0;
    int exponent = d->point - 1, size = exponent < 0 ? -exponent : exponent;
    out[n++] = d->digits[0];
    if (d->n > 1) {
        out[n++] = '.';
        memcpy(out + n, d->digits + 1, (size_t)d->n - 1);
        n += (size_t)d->n - 1;
    }
    out[n++] = 'e';
    out[n++] = exponent < 0 ? '-' : '+';
    if (size >= 100) {
        out[n++] = (char)('0' + size / 100);
    }
    out[n++] = (char)('0' + size / 10 % 10);
    out[n++] = (char)('0' + size % 10);
    return n;
}

size_t gy_fmt_f64(double value, char out[32])
{
    if (isnan(value)) {
        memcpy(out, "nan", 4);
        return 3;
    }
    size_t at = 0;
    if (signbit(value)) {
        out[at++] = '-';
    }
    if (isinf(value)) {
        memcpy(out + at, "inf", 4);
        return at + 3;
    }
    if (value == 0) {
        memcpy(out + at, "0.0", 4);
        return at + 3;
    }
    struct stack_memory memory;
    yyjson_alc alc = {take_stack, keep_stack, leave_stack, &memory};
    yyjson_val number = {0};
    size_t n = 0;
    (void)yyjson_set_real(&number, fabs(value));
    const char *text = yyjson_val_write_opts(&number, 0, &alc, &n, NULL);
    if (!text) { /* a yyjson that wants more room than any number needs */
        return (size_t)snprintf(out, 32, "%.17g", value);
    }
    struct decimal d = read_decimal(text, n);
    at += d.point < -3 || d.point > 16 ? put_scientific(out + at, &d) : put_fixed(out + at, &d);
    out[at] = '\0';
    return at;
}

size_t gy_fmt_f64_trim(double value, char out[32])
{
    size_t n = gy_fmt_f64(value, out);
    if (n > 2 && out[n - 2] == '.' && out[n - 1] == '0') {
        n -= 2;
        out[n] = '\0';
    }
    return n;
}
