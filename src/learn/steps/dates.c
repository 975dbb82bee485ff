/* SPDX-License-Identifier: Apache-2.0 */
/* dates: a time becomes the parts of its date, "sold.year", "sold.weekday" (0: Monday), in UTC, at
 * the place where it stood. With `cyclic` a part that comes round again becomes its place on a
 * circle, "sold.hour.sin" and "sold.hour.cos", so that 23 h is next to 0 h. */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

#define DAY 86400.0
#define MAX_SECONDS 253402300800.0 /* the year 10000 */
#define MIN_SECONDS (-62135596800.0)

enum part {
    PART_YEAR,
    PART_QUARTER,
    PART_MONTH,
    PART_DAY,
    PART_WEEKDAY,
    PART_HOUR,
    PART_MINUTE,
    PART_SECOND,
    PART_IS_WEEKEND,
    PART_DAY_OF_YEAR,
    PART_SECONDS,
    PARTS
};

static const struct {
    const char *name;
    double first, period; /* of the circle; 0: it does not come round */
} g_parts[PARTS] = {
    {"year", 0, 0},       {"quarter", 1, 4},       {"month", 1, 12},  {"day", 1, 31},
    {"weekday", 0, 7},    {"hour", 0, 24},         {"minute", 0, 60}, {"second", 0, 60},
    {"is_weekend", 0, 0}, {"day_of_year", 1, 366}, {"seconds", 0, 0},
};

struct dates {
    enum part parts[PARTS];
    size_t n_parts;
    bool cyclic;
    size_t width; /* outputs for each time */
};

struct date {
    double parts[PARTS];
};

/* The civil date of a day since 1970-01-01: years begin in March, so that the leap day is their
 * last; 400 years are 146097 days. */
static void set_day(struct date *d, int64_t days)
{
    int64_t moved = days + 719468; /* since 0000-03-01 */
    int64_t era = (moved >= 0 ? moved : moved - 146096) / 146097;
    int64_t of_era = moved - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t shifted = (5 * of_year + 2) / 153; /* 0: March */
    int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    int64_t full = year + era * 400 + (month <= 2);
    bool leap = (full % 4 == 0 && full % 100 != 0) || full % 400 == 0;
    /* 306 days from March to the end of December */
    int64_t since_january = month <= 2 ? of_year - 306 : of_year + 59 + leap;
    int64_t weekday = ((days + 3) % 7 + 7) % 7;
    int64_t quarter = (month - 1) / 3 + 1;
    int64_t day = of_year - (153 * shifted + 2) / 5 + 1;
    d->parts[PART_YEAR] = (double)full;
    d->parts[PART_QUARTER] = (double)quarter;
    d->parts[PART_MONTH] = (double)month;
    d->parts[PART_DAY] = (double)day;
    d->parts[PART_WEEKDAY] = (double)weekday;
    d->parts[PART_IS_WEEKEND] = weekday >= 5;
    d->parts[PART_DAY_OF_YEAR] = (double)(since_january + 1);
}

static void read_date(double seconds, struct date *d)
{
    if (!(seconds >= MIN_SECONDS && seconds < MAX_SECONDS)) { /* also when missing */
        for (size_t i = 0; i < PARTS; i++) {
            d->parts[i] = NAN;
        }
        return;
    }
    double day = floor(seconds / DAY);
    int64_t rest = (int64_t)floor(seconds - day * DAY);
    int64_t hour = rest / 3600, minute = rest / 60 % 60;
    set_day(d, (int64_t)day);
    d->parts[PART_HOUR] = (double)hour;
    d->parts[PART_MINUTE] = (double)minute;
    d->parts[PART_SECOND] = (double)(rest % 60);
    d->parts[PART_SECONDS] = seconds;
}

static enum part part_of(struct gy_str name)
{
    for (int i = 0; i < PARTS; i++) {
        if (gy_str_eqc(name, g_parts[i].name)) {
            return (enum part)i;
        }
    }
    return PARTS;
}

static bool is_circle(const struct dates *m, enum part part)
{
    return m->cyclic && g_parts[part].period > 0;
}

static gy_status add_part(struct dates *m, struct gy_str name, struct gy_err *err)
{
    enum part part = part_of(name);
    bool twice = false;
    for (size_t i = 0; i < m->n_parts; i++) {
        twice = twice || m->parts[i] == part;
    }
    if (part == PARTS || twice) {
        (void)gy_err_set(err, GY_E_INVALID, "step 'dates': '%" GY_STR_F "' is %s", GY_STR_A(name),
                         twice ? "named twice" : "no part of a date");
        return gy_err_hint(err, "year, quarter, month, day, weekday, hour, minute, second, "
                                "is_weekend, day_of_year, seconds");
    }
    m->parts[m->n_parts++] = part;
    m->width += is_circle(m, part) ? 2 : 1;
    return GY_OK;
}

static gy_status name_part(const struct dates *m, enum part part, const struct gy_feature *in,
                           struct gy_feature *out, struct gy_arena *a, struct gy_err *err)
{
    static const char *const axes[2] = {".sin", ".cos"};
    for (size_t i = 0; i < (is_circle(m, part) ? 2u : 1u); i++) {
        GY_TRY(gy_step_named(&out[i],
                             gy_arena_printf(a, "%" GY_STR_F ".%s%s", GY_STR_A(in->name),
                                             g_parts[part].name, is_circle(m, part) ? axes[i] : ""),
                             err));
    }
    return GY_OK;
}

static gy_status outputs(struct gy_step *s, struct dates *m, struct gy_arena *a, struct gy_err *err)
{
    size_t at = 0;
    GY_TRY(gy_step_outputs(s, s->n_in - s->n_chosen + s->n_chosen * m->width, a, err));
    for (size_t i = 0, k = 0; i < s->n_in; i++) {
        if (k == s->n_chosen || s->chosen[k] != i) {
            s->out[at++] = s->in[i];
            continue;
        }
        k++;
        for (size_t p = 0; p < m->n_parts; p++) {
            GY_TRY(name_part(m, m->parts[p], &s->in[i], &s->out[at], a, err));
            at += is_circle(m, m->parts[p]) ? 2 : 1;
        }
    }
    s->self = m;
    return GY_OK;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct dates *m = gy_arena_calloc(a, 1, sizeof *m);
    struct gy_str parts = gy_setting_text(&s->settings, "parts");
    struct gy_str item;
    (void)rows; /* nothing to learn */
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    if (s->n_chosen == 0) {
        (void)gy_err_set(err, GY_E_INVALID, "step 'dates': there is no time among the columns");
        return gy_err_hint(err, "columns of ISO 8601 times are times when train.features names "
                                "them or the schema says type: time");
    }
    m->cyclic = gy_setting_flag(&s->settings, "cyclic");
    while (gy_setting_next(&parts, &item)) {
        GY_TRY(add_part(m, item, err));
    }
    return outputs(s, m, a, err);
}

static double *put_parts(const struct dates *m, double seconds, double *out)
{
    struct date d;
    read_date(seconds, &d);
    for (size_t p = 0; p < m->n_parts; p++) {
        double v = d.parts[m->parts[p]];
        if (is_circle(m, m->parts[p])) {
            double angle = 2 * 3.14159265358979323846 * (v - g_parts[m->parts[p]].first) /
                           g_parts[m->parts[p]].period;
            *out++ = sin(angle);
            *out++ = cos(angle);
        } else {
            *out++ = v;
        }
    }
    return out;
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct dates *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in) {
        for (size_t i = 0, k = 0; i < s->n_in; i++) {
            if (k < s->n_chosen && s->chosen[k] == i) {
                out = put_parts(m, in[i], out);
                k++;
            } else {
                *out++ = in[i];
            }
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct dates *m = s->self;
    gy_jw_kv_bool(w, "cyclic", m->cyclic);
    gy_jw_key(w, "parts");
    gy_jw_arr(w);
    for (size_t p = 0; p < m->n_parts; p++) {
        gy_jw_strc(w, g_parts[m->parts[p]].name);
    }
    gy_jw_arr_end(w);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct dates *m = gy_arena_calloc(a, 1, sizeof *m);
    yyjson_val *parts = NULL;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    m->cyclic = gy_json_bool(v, "cyclic", false);
    GY_TRY(gy_json_need_arr(v, "parts", &parts, err));
    for (size_t i = 0; i < yyjson_arr_size(parts); i++) {
        GY_TRY(add_part(m, gy_json_val_str(yyjson_arr_get(parts, i)), err));
    }
    return outputs(s, m, a, err);
}

static bool takes(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_TIME;
}

static bool can(const struct gy_feature *column)
{
    return column->kind == GY_FEATURE_TIME || column->kind == GY_FEATURE_NUMBER;
}

static const struct gy_setting_spec g_settings[] = {
    {"parts", GY_SETTING_LIST, 0, 0, "year\nmonth\nday\nweekday\nhour", NULL,
     "year, quarter, month, day, weekday, hour, minute, second, is_weekend, day_of_year, seconds"},
    {"cyclic", GY_SETTING_FLAG, 0, 0, "false", NULL,
     "sine and cosine of the parts that come round again"},
    {0}};

const struct gy_step_ops gy_step_dates = {.version = 1,
                                          .name = "dates",
                                          .summary = "a time becomes year, month, weekday, ...",
                                          .settings = g_settings,
                                          .takes = takes,
                                          .can = can,
                                          .fit = fit,
                                          .apply = apply,
                                          .write = write,
                                          .read = read};
