/* SPDX-License-Identifier: Apache-2.0 */
/* A year of bike rentals, hour by hour. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/id.h"
#include "data/synth_examples.h"

#define TWO_PI 6.283185307179586

static const int month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
/* Public holidays of 2011 on working days, as month * 100 + day. */
static const int holidays[] = {117, 221, 415, 530, 704, 905, 1010, 1111, 1124, 1226};

/* How many of a day's commuters and idlers ride in an hour, in thousandths. */
static const int commuters[24] = {7,  3,  2,  1,  2,  10,  38,  105, 130, 62, 38, 43,
                                  52, 51, 47, 53, 78, 128, 118, 80,  57,  43, 32, 18};
static const int idlers[24] = {12, 9,  7,  4,  2,  2,  4,  10, 20, 36, 56, 71,
                               83, 87, 90, 88, 85, 78, 68, 54, 42, 36, 32, 24};

struct weather {
    double warmth, wetness, wind; /* departures from the usual; they last for days */
};

struct hour {
    int instant, day_of_year, month, day, hour, weekday, season, weathersit;
    bool holiday, working;
    double temp, atemp, humidity, windspeed;
};

static double clamp(double v, double min, double max)
{
    return v < min ? min : v > max ? max : v;
}

static bool is_holiday(int month, int day)
{
    for (size_t i = 0; i < sizeof holidays / sizeof holidays[0]; i++) {
        if (holidays[i] == month * 100 + day) {
            return true;
        }
    }
    return false;
}

static int season_of(int month, int day)
{
    int date = month * 100 + day;
    return date < 321 || date >= 1221 ? 1 : date < 621 ? 2 : date < 923 ? 3 : 4;
}

/* An autoregression from day to day. */
static void next_day(struct gy_rng *rng, struct weather *w)
{
    w->warmth = 0.75 * w->warmth + 0.05 * gy_rng_normal(rng);
    w->wetness = 0.45 * w->wetness + 0.85 * gy_rng_normal(rng);
    w->wind = 0.5 * w->wind + 0.5 * gy_rng_normal(rng);
}

/* temp is degrees / 41 in steps of 0.02, windspeed a whole number / 67, as the real file has them.
 */
static void next_hour(struct gy_rng *rng, const struct weather *w, struct hour *h)
{
    double year = cos(TWO_PI * (h->day_of_year - 25) / 365);
    double day = cos(TWO_PI * (h->hour - 15) / 24);
    double wet = w->wetness + 0.35 * gy_rng_normal(rng);
    h->weathersit = wet < 0.45 ? 1 : wet < 1.25 ? 2 : 3;
    double temp = 0.48 - 0.26 * year + 0.07 * day + w->warmth - 0.02 * wet;
    h->temp = clamp(round(50 * temp + 0.4 * gy_rng_normal(rng)) / 50, 0.02, 1);
    h->humidity =
        clamp(0.61 - 0.03 * year - 0.11 * day + 0.13 * wet + 0.05 * gy_rng_normal(rng), 0.08, 1);
    double gusts = 12 + 5 * w->wind + 3 * day + 4 * gy_rng_normal(rng);
    h->windspeed = gusts < 5 ? 0 : clamp(round(gusts), 6, 57) / 67;
    h->atemp = clamp(0.93 * h->temp + 0.035 - 0.06 * h->windspeed, 0, 1);
}

static int riders(struct gy_rng *rng, double expected)
{
    double n =
        expected * exp(0.22 * gy_rng_normal(rng)) + sqrt(expected) * gy_rng_normal(rng) * 0.6;
    return n < 0.5 ? 0 : (int)round(n);
}

static void add_hour(struct gy_rng *rng, const struct hour *h, struct gy_buf *text)
{
    static const double wet[] = {0, 1, 0.88, 0.5};
    double warm = clamp((h->temp - 0.08) / 0.55, 0.1, 1) - clamp(2 * (h->temp - 0.8), 0, 0.4);
    double growth = 0.75 + 0.6 * h->day_of_year / 365;
    double damp = 1 - clamp(h->humidity - 0.8, 0, 0.2) - 0.3 * clamp(h->windspeed - 0.3, 0, 1);
    double mood = growth * wet[h->weathersit] * damp;
    double work = h->working ? 1 : 0.72;
    const int *by_hour = h->working ? commuters : idlers;
    int registered = riders(rng, 3.6 * by_hour[h->hour] * work * mood * (0.35 + 0.65 * warm));
    int casual = riders(rng, 1.15 * idlers[h->hour] * (h->working ? 0.35 : 1) * mood * warm * warm);
    if (registered + casual == 0) {
        registered = 1; /* the real file has no hour without a ride */
    }
    gy_buf_addf(text, "2011-%02d-%02d,%d,%d,0,%d,%d,%d,%d,%d,%d,%.2f,%.4f,%.2f,%.4f,%d,%d,%d\n",
                h->month, h->day, h->instant, h->season, h->month, h->hour, h->holiday, h->weekday,
                h->working, h->weathersit, h->temp, h->atemp, h->humidity, h->windspeed, casual,
                registered, casual + registered);
}

static gy_status write_month(const char *folder, int month, const struct gy_buf *text,
                             struct gy_synth_result *ret, struct gy_err *err)
{
    char name[32];
    char path[GY_MAX_PATH];
    (void)snprintf(name, sizeof name, "bikes_2011_%02d.csv", month);
    GY_TRY(gy_buf_check(text, "a month of rentals", err));
    GY_TRY(gy_path_join(path, sizeof path, folder, name, err));
    GY_TRY(gy_file_write(path, gy_buf_str(text), 0666, err));
    ret->rows += 24 * month_days[month - 1];
    ret->bytes += (int64_t)text->n;
    return GY_OK;
}

gy_status gy_synth_bikes(uint64_t seed, const char *folder, struct gy_synth_result *ret,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_rng rng;
    struct weather w = {0};
    struct hour h = {.weekday = 6}; /* 2011-01-01 was a Saturday */
    gy_buf_init(&text, 16 * GY_MIB);
    gy_rng_init(&rng, seed);
    GY_TRY(gy_dir_make(folder, err));
    for (h.month = 1; h.month <= 12; h.month++) {
        gy_buf_reset(&text);
        gy_buf_addc(&text, "dteday,instant,season,year,month,hour,holiday,weekday,workingday,"
                           "weathersit,temp,atemp,humidity,windspeed,casual,registered,count\n");
        for (h.day = 1; h.day <= month_days[h.month - 1]; h.day++) {
            next_day(&rng, &w);
            h.day_of_year++;
            h.season = season_of(h.month, h.day);
            h.holiday = is_holiday(h.month, h.day);
            h.working = h.weekday > 0 && h.weekday < 6 && !h.holiday;
            for (h.hour = 0; h.hour < 24; h.hour++) {
                h.instant++;
                next_hour(&rng, &w, &h);
                add_hour(&rng, &h, &text);
            }
            h.weekday = (h.weekday + 1) % 7;
        }
        GY_TRY(write_month(folder, h.month, &text, ret, err));
    }
    return GY_OK;
}
