/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define US_PER_S INT64_C(1000000)
#define S_PER_DAY INT64_C(86400)

static _Atomic int64_t g_fake_us;

int64_t gy_now_us(void)
{
    int64_t fake = atomic_load_explicit(&g_fake_us, memory_order_relaxed);
    if (fake != 0) {
        return fake;
    }
    struct timespec ts;
    GY_REQUIRE(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t gy_mono_ns(void)
{
    struct timespec ts;
    GY_REQUIRE(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void gy_time_set_fake(int64_t now_us)
{
    atomic_store_explicit(&g_fake_us, now_us, memory_order_relaxed);
}

struct civil {
    int64_t year;
    int month, day, hour, minute, second, micro, weekday; /* weekday 0 = Sunday */
};

/* Days to date and back: H. Hinnant, "chrono-compatible low-level date algorithms" (proleptic
 * Gregorian). */
static struct civil civil_of(int64_t time_us)
{
    int64_t s = time_us / US_PER_S;
    int64_t micro = time_us % US_PER_S;
    if (micro < 0) {
        micro += US_PER_S;
        s--;
    }
    int64_t days = s / S_PER_DAY;
    int64_t rest = s % S_PER_DAY;
    if (rest < 0) {
        rest += S_PER_DAY;
        days--;
    }
    struct civil c = {.hour = (int)(rest / 3600),
                      .minute = (int)(rest / 60 % 60),
                      .second = (int)(rest % 60),
                      .micro = (int)micro,
                      .weekday = (int)(((days % 7) + 11) % 7)};
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c.year = yoe + era * 400 + (c.month <= 2);
    return c;
}

static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

size_t gy_time_iso(int64_t time_us, char out[32])
{
    struct civil c = civil_of(time_us);
    int n = snprintf(out, 32, "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ", (long long)c.year, c.month,
                     c.day, c.hour, c.minute, c.second, c.micro);
    return n < 32 ? (size_t)n : 31;
}

size_t gy_time_http(int64_t time_us, char out[32])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil c = civil_of(time_us);
    int n = snprintf(out, 32, "%s, %02d %s %04lld %02d:%02d:%02d GMT", days[c.weekday], c.day,
                     months[c.month - 1], (long long)c.year, c.hour, c.minute, c.second);
    return n < 32 ? (size_t)n : 31;
}

/* n digits at *at into *ret; advances. */
static bool digits(struct gy_str s, size_t *at, int n, int *ret)
{
    int value = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (*at >= s.n || s.p[*at] < '0' || s.p[*at] > '9') {
            return false;
        }
        value = value * 10 + (s.p[*at] - '0');
    }
    *ret = value;
    return true;
}

static bool one_of(struct gy_str s, size_t *at, const char *set)
{
    if (*at < s.n && s.p[*at] != '\0' && strchr(set, s.p[*at])) {
        (*at)++;
        return true;
    }
    return false;
}

static bool parse_fraction(struct gy_str s, size_t *at, int *ret_micro)
{
    int micro = 0;
    int seen = 0;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++, seen++) {
        if (seen < 6) {
            micro = micro * 10 + (s.p[*at] - '0');
        }
    }
    for (int i = seen; i < 6; i++) {
        micro *= 10;
    }
    *ret_micro = micro;
    return seen >= 1 && seen <= 9;
}

static bool parse_zone(struct gy_str s, size_t *at, int *ret_offset_s)
{
    if (one_of(s, at, "Zz")) {
        *ret_offset_s = 0;
        return true;
    }
    int sign = *at < s.n && s.p[*at] == '-' ? -1 : 1;
    int hour = 0;
    int minute = 0;
    if (!one_of(s, at, "+-") || !digits(s, at, 2, &hour) || !one_of(s, at, ":") ||
        !digits(s, at, 2, &minute)) {
        return false;
    }
    *ret_offset_s = sign * (hour * 3600 + minute * 60);
    return hour <= 23 && minute <= 59;
}

static int days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

gy_status gy_time_parse_iso(struct gy_str s, int64_t *ret_us, struct gy_err *err)
{
    size_t at = 0;
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, micro = 0, offset_s = 0;
    bool good = digits(s, &at, 4, &year) && one_of(s, &at, "-") && digits(s, &at, 2, &month) &&
                one_of(s, &at, "-") && digits(s, &at, 2, &day) && one_of(s, &at, "Tt ") &&
                digits(s, &at, 2, &hour) && one_of(s, &at, ":") && digits(s, &at, 2, &minute) &&
                one_of(s, &at, ":") && digits(s, &at, 2, &second);
    if (good && one_of(s, &at, ".")) {
        good = parse_fraction(s, &at, &micro);
    }
    if (good && at == s.n) {
        return gy_err_set(err, GY_E_INVALID,
                          "'%" GY_STR_F "' has no time zone: end it in Z or +hh:mm", GY_STR_A(s));
    }
    good = good && parse_zone(s, &at, &offset_s) && at == s.n;
    /* :60 is a leap second in RFC 3339; UTC microseconds have none, so it is the next second. */
    good = good && month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month) &&
           hour <= 23 && minute <= 59 && second <= 60;
    if (!good) {
        return gy_err_set(err, GY_E_INVALID,
                          "'%" GY_STR_F "' is not a time such as 2026-11-21T01:31:57Z",
                          GY_STR_A(s));
    }
    int64_t seconds =
        days_of(year, month, day) * S_PER_DAY + hour * 3600 + minute * 60 + second - offset_s;
    *ret_us = seconds * US_PER_S + micro;
    return GY_OK;
}

gy_status gy_time_parse_span(struct gy_str s, int64_t max_s, int64_t *ret_s, struct gy_err *err)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'d', S_PER_DAY}, {'h', 3600}, {'m', 60}, {'s', 1}};
    struct gy_str number = s;
    int64_t unit = 1;
    for (size_t i = 0; s.n && i < sizeof units / sizeof units[0]; i++) {
        if (s.p[s.n - 1] == units[i].letter) {
            unit = units[i].seconds;
            number.n = s.n - 1;
        }
    }
    if (gy_parse_i64(number, 0, max_s / unit, ret_s, NULL) != GY_OK) {
        gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no span of time up to %lld seconds",
                   GY_STR_A(s), (long long)max_s);
        (void)gy_err_hint(err, "such as 30d, 12h, 90m, 45s or 0");
        return GY_E_INVALID;
    }
    *ret_s *= unit;
    return GY_OK;
}
