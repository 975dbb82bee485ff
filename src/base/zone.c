/* SPDX-License-Identifier: Apache-2.0 */
#include "base/zone.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#define FOLDER "/usr/share/zoneinfo"
#define HEAD_BYTES 44 /* of a TZif file (RFC 8536 section 3.1) */
#define TYPE_BYTES 6
#define MAX_RULE 64
#define DAY_S 86400

/* A rule of the footer: when a half of the year begins. */
struct rule {
    int month, week, day; /* Mm.w.d */
    int julian;           /* Jn and n; -1: Mm.w.d */
    bool leap_counts;     /* n */
    int32_t at_s;         /* local time of the day */
};

struct gy_zone {
    int32_t fixed_s; /* without transitions: UTC offset */
    size_t n;
    int64_t *at;      /* n instants, ascending: from then on ... */
    int32_t *offset;  /* ... this many seconds east of UTC */
    int32_t before_s; /* before the first one */
    bool has_rules;   /* behind the last one, by the footer */
    int32_t std_s, dst_s;
    struct rule to_dst, to_std;
};

void gy_zone_free(struct gy_zone *z)
{
    if (z) {
        gy_free(z->at);
        gy_free(z->offset);
        gy_free(z);
    }
}

/* ---- "+01:00" ---- */

static bool parse_offset(struct gy_str s, int32_t *ret)
{
    int64_t hours, minutes = 0;
    bool good =
        (s.n == 6 || s.n == 5 || s.n == 3) && (s.p[0] == '+' || s.p[0] == '-') &&
        (s.n != 6 || s.p[3] == ':') &&
        gy_parse_i64(gy_str_n(s.p + 1, 2), 0, 14, &hours, NULL) == GY_OK &&
        (s.n == 3 || gy_parse_i64(gy_str_n(s.p + s.n - 2, 2), 0, 59, &minutes, NULL) == GY_OK);
    if (good) {
        int32_t seconds = (int32_t)(hours * 3600 + minutes * 60);
        *ret = s.p[0] == '-' ? -seconds : seconds;
    }
    return good;
}

/* ---- the footer: "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ, RFC 8536 section 3.3) ---- */

static bool skip_name(struct gy_str *s)
{
    size_t n = 0;
    if (s->n > 0 && s->p[0] == '<') {
        size_t end = gy_str_find(*s, '>');
        if (end == SIZE_MAX) {
            return false;
        }
        n = end + 1;
    } else {
        while (n < s->n &&
               ((s->p[n] >= 'A' && s->p[n] <= 'Z') || (s->p[n] >= 'a' && s->p[n] <= 'z'))) {
            n++;
        }
    }
    *s = gy_str_sub(*s, n, SIZE_MAX);
    return n > 0;
}

static bool take_number(struct gy_str *s, int max, int *ret)
{
    int value = 0;
    size_t n = 0;
    for (; n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
        value = value * 10 + (s->p[n] - '0');
    }
    *s = gy_str_sub(*s, n, SIZE_MAX);
    *ret = value;
    return n > 0 && value <= max;
}

static bool take_char(struct gy_str *s, char c)
{
    bool there = s->n > 0 && s->p[0] == c;
    *s = gy_str_sub(*s, there ? 1 : 0, SIZE_MAX);
    return there;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct gy_str *s, int32_t *ret)
{
    bool negative = take_char(s, '-');
    int hours, minutes = 0, seconds = 0;
    if (!negative) {
        (void)take_char(s, '+');
    }
    bool good = take_number(s, 167, &hours) &&
                (!take_char(s, ':') || take_number(s, 59, &minutes)) &&
                (!take_char(s, ':') || take_number(s, 59, &seconds));
    *ret = (hours * 3600 + minutes * 60 + seconds) * (negative ? -1 : 1);
    return good;
}

static bool take_rule(struct gy_str *s, struct rule *r)
{
    *r = (struct rule){.julian = -1, .at_s = 2 * 3600};
    bool good = take_char(s, ',');
    if (good && take_char(s, 'M')) {
        good = take_number(s, 12, &r->month) && take_char(s, '.') && take_number(s, 5, &r->week) &&
               take_char(s, '.') && take_number(s, 6, &r->day) && r->month >= 1 && r->week >= 1;
    } else if (good) {
        r->leap_counts = !take_char(s, 'J');
        good = take_number(s, 365, &r->julian);
    }
    return good && (!take_char(s, '/') || take_time(s, &r->at_s));
}

static bool parse_footer(struct gy_zone *z, struct gy_str s)
{
    if (!skip_name(&s) || !take_time(&s, &z->std_s)) {
        return false;
    }
    z->std_s = -z->std_s; /* POSIX counts west of Greenwich */
    z->dst_s = z->std_s;
    z->has_rules = true;
    if (s.n == 0) {
        return true;
    }
    if (!skip_name(&s)) {
        return false;
    }
    z->dst_s = z->std_s + 3600;
    if (s.n > 0 && s.p[0] != ',') {
        if (!take_time(&s, &z->dst_s)) {
            return false;
        }
        z->dst_s = -z->dst_s;
    }
    return take_rule(&s, &z->to_dst) && take_rule(&s, &z->to_std) && s.n == 0;
}

/* ---- the file ---- */

static uint32_t be32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t be64(const char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
};

static bool read_head(struct gy_str s, struct counts *c)
{
    if (s.n < HEAD_BYTES || memcmp(s.p, "TZif", 4) != 0) {
        return false;
    }
    *c = (struct counts){be32(s.p + 20), be32(s.p + 24), be32(s.p + 28),
                         be32(s.p + 32), be32(s.p + 36), be32(s.p + 40)};
    return c->isut < GY_ZONE_MAX_FILE && c->isstd < GY_ZONE_MAX_FILE &&
           c->leap < GY_ZONE_MAX_FILE && c->time < GY_ZONE_MAX_FILE && c->type < 256 &&
           c->type > 0 && c->chars < GY_ZONE_MAX_FILE;
}

static size_t body_bytes(const struct counts *c, size_t time_bytes)
{
    return c->time * (time_bytes + 1) + c->type * TYPE_BYTES + c->chars +
           c->leap * (time_bytes + 4) + c->isstd + c->isut;
}

/* The second, 64-bit part of the file. */
static bool read_body(struct gy_zone *z, struct gy_str s, const struct counts *c)
{
    const char *times = s.p, *kinds = s.p + (size_t)c->time * 8, *types = kinds + c->time;
    z->n = c->time;
    z->before_s = (int32_t)be32(types);
    for (size_t i = 0; i < z->n; i++) {
        unsigned kind = (unsigned char)kinds[i];
        if (kind >= c->type) {
            return false;
        }
        z->at[i] = be64(times + 8 * i);
        z->offset[i] = (int32_t)be32(types + (size_t)kind * TYPE_BYTES);
        bool sane = z->offset[i] > -2 * DAY_S && z->offset[i] < 2 * DAY_S;
        if (!sane || (i > 0 && z->at[i] <= z->at[i - 1])) {
            return false;
        }
    }
    return z->before_s > -2 * DAY_S && z->before_s < 2 * DAY_S;
}

static gy_status parse_file(struct gy_zone *z, struct gy_str s, struct gy_err *err)
{
    struct counts c;
    bool good = read_head(s, &c) && s.p[4] >= '2';
    size_t first = good ? HEAD_BYTES + body_bytes(&c, 4) : 0;
    good = good && first < s.n && read_head(gy_str_sub(s, first, SIZE_MAX), &c);
    size_t body = first + HEAD_BYTES;
    size_t end = good ? body + body_bytes(&c, 8) : 0;
    if (!good || end > s.n) {
        return gy_err_set(err, GY_E_CORRUPT, "its file is no TZif file of version 2 or later");
    }
    z->at = gy_calloc(c.time + 1, sizeof *z->at);
    z->offset = gy_calloc(c.time + 1, sizeof *z->offset);
    if (!z->at || !z->offset) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    good = read_body(z, gy_str_sub(s, body, SIZE_MAX), &c);
    struct gy_str footer = gy_str_trim(gy_str_sub(s, end, SIZE_MAX));
    if (!good || footer.n > MAX_RULE || (footer.n > 0 && !parse_footer(z, footer))) {
        return gy_err_set(err, GY_E_CORRUPT, "its file is damaged");
    }
    return GY_OK;
}

static bool is_name(struct gy_str s)
{
    bool good = s.n > 0 && s.n < GY_ZONE_MAX_NAME && s.p[0] != '/' && s.p[0] != '.';
    for (size_t i = 0; good && i < s.n; i++) {
        char b = s.p[i];
        good = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
               b == '/' || b == '_' || b == '-' || b == '+';
    }
    return good;
}

gy_status gy_zone_open(struct gy_str name, struct gy_zone **ret, struct gy_err *err)
{
    GY_AUTO(gy_zone_free) struct gy_zone *z = gy_calloc(1, sizeof *z);
    if (!z) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    bool fixed =
        gy_str_eqc(name, "UTC") || gy_str_eqc(name, "Z") || parse_offset(name, &z->fixed_s);
    if (!fixed) {
        char path[GY_ZONE_MAX_NAME + sizeof FOLDER];
        GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
        gy_buf_init(&file, GY_ZONE_MAX_FILE);
        (void)snprintf(path, sizeof path, FOLDER "/%" GY_STR_F, GY_STR_A(name));
        if (!is_name(name) || gy_file_read(path, &file, NULL) != GY_OK) {
            (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no time zone", GY_STR_A(name));
            return gy_err_hint(err, "UTC, an offset such as +01:00, or a name such as "
                                    "Europe/Berlin (package tzdata)");
        }
        gy_status status = parse_file(z, gy_buf_str(&file), err);
        if (status != GY_OK) {
            return gy_err_wrap(err, "time zone '%" GY_STR_F "'", GY_STR_A(name));
        }
    }
    *ret = GY_TAKE(z);
    return GY_OK;
}

/* ---- local time to UTC ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* Days since 1970 of January 1st; Howard Hinnant's days_from_civil for month 1. */
static int64_t year_start(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 719162;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t year_of(int64_t local_s)
{
    int64_t day = floor_div(local_s, DAY_S);
    int64_t year = 1970 + floor_div(day * 400, 146097);
    while (year_start(year) > day) {
        year--;
    }
    while (year_start(year + 1) <= day) {
        year++;
    }
    return year;
}

/* Local second (on the clock that holds before it) at which a rule switches in a year. */
static int64_t switch_at(const struct rule *r, int64_t year)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t start = year_start(year), day;
    bool leap = is_leap(year);
    if (r->julian >= 0) {
        day = r->leap_counts ? r->julian : r->julian - 1 + (leap && r->julian >= 60 ? 1 : 0);
    } else {
        int64_t month = before[r->month - 1] + (leap && r->month > 2 ? 1 : 0);
        int64_t length = before[r->month] - before[r->month - 1] + (leap && r->month == 2 ? 1 : 0);
        int64_t weekday = (start + month + 4) % 7; /* 1970-01-01 was a Thursday */
        weekday = weekday < 0 ? weekday + 7 : weekday;
        day = (r->day - weekday + 7) % 7 + (r->week - 1) * 7;
        day = month + (day >= length ? day - 7 : day);
    }
    return (start + day) * DAY_S + r->at_s;
}

static int64_t by_rules(const struct gy_zone *z, int64_t local_s)
{
    if (z->std_s == z->dst_s) {
        return local_s - z->std_s;
    }
    int64_t year = year_of(local_s);
    int64_t on = switch_at(&z->to_dst, year), off = switch_at(&z->to_std, year);
    /* Forward: what does not exist keeps the offset before. Back: what is there twice is the first.
     */
    int64_t jump = z->dst_s - z->std_s;
    int64_t on_from = on + (jump > 0 ? jump : 0), off_from = off + (jump > 0 ? 0 : -jump);
    bool dst = on < off ? local_s >= on_from && local_s < off_from
                        : !(local_s >= off_from && local_s < on_from);
    return local_s - (dst ? z->dst_s : z->std_s);
}

int64_t gy_zone_to_utc(const struct gy_zone *z, int64_t local_s)
{
    if (z->n == 0 && !z->has_rules) {
        return local_s - (z->at ? z->before_s : z->fixed_s);
    }
    /* The last transition that this clock has passed: with the offset before it for a gap, and
     * passed only when the clock is behind it in both offsets for a fold. */
    size_t low = 0, high = z->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int32_t before = mid ? z->offset[mid - 1] : z->before_s;
        int32_t later = before > z->offset[mid] ? before : z->offset[mid];
        if (local_s >= z->at[mid] + later) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == z->n && z->has_rules) {
        return by_rules(z, local_s);
    }
    return local_s - (low ? z->offset[low - 1] : z->before_s);
}
