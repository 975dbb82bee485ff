/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/file.h"
#include "base/id.h"
#include "base/time.h"
#include "data/synth_cases.h"

enum { N_AREAS = 60, N_MONTHS = 48, MAX_ROWS = 2000000 };
#define MAX_BYTES ((size_t)1 << 30)
#define FIRST_US INT64_C(1640995200000000) /* 2022-01-01T00:00:00Z */
#define DAY_US INT64_C(86400000000)
#define MONTH_DAYS 30.4375
#define BASE_RATE 0.09 /* claims a year of an ordinary policy */

/* Danger of an area in a month, 1 on average: what it is, and where it wanders to. */
struct world {
    double danger[N_AREAS][N_MONTHS];
    double traffic[N_AREAS]; /* accidents a month at danger 1 */
};

static void make_world(struct gy_rng *r, struct world *w)
{
    for (int a = 0; a < N_AREAS; a++) {
        double level = 0.45 * gy_rng_normal(r), step = 0;
        w->traffic[a] = 4 * exp(0.5 * gy_rng_normal(r));
        for (int m = 0; m < N_MONTHS; m++) {
            step = 0.93 * step + 0.16 * gy_rng_normal(r);
            double season = 0.15 * cos(2 * M_PI * m / 12);
            w->danger[a][m] = exp(level + step + season - 0.2);
        }
    }
}

/* Knuth's product of uniforms; means are small. */
static int poisson(struct gy_rng *r, double mean)
{
    double limit = exp(-mean), product = gy_rng_f64(r);
    int n = 0;
    while (product > limit && n < 1000) {
        product *= gy_rng_f64(r);
        n++;
    }
    return n;
}

static void add_time(struct gy_buf *out, double day)
{
    char text[32];
    (void)gy_time_iso(FIRST_US + (int64_t)floor(day) * DAY_US, text);
    text[10] = '\0'; /* the day */
    gy_buf_addf(out, "%sT00:00:00Z", text);
}

static void add_accidents(struct gy_rng *r, const struct world *w, struct gy_buf *out)
{
    gy_buf_addc(out, "area,happened,severity\n");
    for (int m = 0; m < N_MONTHS; m++) {
        for (int a = 0; a < N_AREAS; a++) {
            int n = poisson(r, w->traffic[a] * w->danger[a][m]);
            for (int i = 0; i < n; i++) {
                double u = gy_rng_f64(r);
                gy_buf_addf(out, "A%02d,", a);
                add_time(out, (m + gy_rng_f64(r)) * MONTH_DAYS);
                gy_buf_addf(out, ",%s\n", u < 0.8 ? "slight" : u < 0.97 ? "serious" : "fatal");
            }
        }
    }
}

/* Mean danger over a policy's time. */
static double danger_of(const struct world *w, int area, double start, double days)
{
    double sum = 0;
    int n = 0;
    for (double day = start; day < start + days || n == 0; day += MONTH_DAYS, n++) {
        int m = (int)(day / MONTH_DAYS);
        sum += w->danger[area][m < N_MONTHS ? m : N_MONTHS - 1];
    }
    return sum / n;
}

static void add_policy(struct gy_rng *r, const struct world *w, int64_t id, int64_t rows,
                       struct gy_synth_result *ret, struct gy_buf *out)
{
    int area = (int)gy_rng_below(r, N_AREAS);
    /* From the second year on, so that each has a year of accidents behind it. */
    double start = 365 + (double)(id - 1) / (double)rows * (2.99 * 365);
    double age = 18 + floor(62 * pow(gy_rng_f64(r), 0.8));
    double car = floor(16 * pow(gy_rng_f64(r), 1.4));
    double power = round(45 + 180 * pow(gy_rng_f64(r), 2));
    double km = round(4000 + 26000 * pow(gy_rng_f64(r), 1.3));
    double exposure = gy_rng_f64(r) < 0.7 ? 1 : 0.1 + 0.9 * gy_rng_f64(r);
    exposure = round(exposure * 100) / 100;
    double young = age < 26 ? exp(0.09 * (26 - age)) : age > 70 ? exp(0.03 * (age - 70)) : 1;
    double rate = BASE_RATE * young * pow(power / 90, 0.3) * pow(km / 14000, 0.5) *
                  exp(0.012 * car) * pow(danger_of(w, area, start, 365 * exposure), 0.8);
    int claims = poisson(r, rate * exposure);
    double paid = 0;
    for (int i = 0; i < claims; i++) {
        paid += exp(7.4 + 0.9 * gy_rng_normal(r));
    }
    ret->positives += claims > 0;
    gy_buf_addf(out, "%lld,A%02d,", (long long)id, area);
    add_time(out, start);
    gy_buf_addf(out, ",%.2f,%.0f,%.0f,%.0f,%.0f,%d,%.2f\n", exposure, age, car, power, km, claims,
                paid);
}

static gy_status put(const char *folder, const char *name, const struct gy_buf *text,
                     struct gy_synth_result *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_buf_check(text, "made rows", err));
    GY_TRY(gy_path_join(path, sizeof path, folder, name, err));
    ret->bytes += (int64_t)text->n;
    return gy_file_write(path, gy_buf_str(text), 0666, err);
}

gy_status gy_synth_claims(int64_t rows, uint64_t seed, const char *folder,
                          struct gy_synth_result *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf policies;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf accidents;
    struct world w;
    struct gy_rng r;
    gy_buf_init(&policies, MAX_BYTES);
    gy_buf_init(&accidents, MAX_BYTES);
    if (rows < 100 || rows > MAX_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "claims: --rows must be 100 to %d", MAX_ROWS);
    }
    *ret = (struct gy_synth_result){.rows = rows};
    gy_rng_init_stream(&r, seed, 2);
    make_world(&r, &w);
    add_accidents(&r, &w, &accidents);
    gy_buf_addc(&policies, "policy_id,area,start,exposure,driver_age,vehicle_age,power,annual_km,"
                           "claims,paid\n");
    for (int64_t i = 1; i <= rows; i++) {
        add_policy(&r, &w, i, rows, ret, &policies);
    }
    GY_TRY(gy_dir_make(folder, err));
    GY_TRY(put(folder, "accidents.csv", &accidents, ret, err));
    return put(folder, "policies.csv", &policies, ret, err);
}
