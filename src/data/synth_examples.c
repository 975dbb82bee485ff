/* SPDX-License-Identifier: Apache-2.0 */
#include "data/synth_examples.h"

#include <math.h>

#include "base/file.h"
#include "base/id.h"

enum { MAX_EXAMPLE_ROWS = 1000000 };

static gy_status check_rows(int64_t rows, struct gy_err *err)
{
    return rows > 0 && rows <= MAX_EXAMPLE_ROWS
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "--rows must be 1 to %d", MAX_EXAMPLE_ROWS);
}

static gy_status write_table(const char *out, const struct gy_buf *text, int64_t rows,
                             struct gy_synth_result *ret, struct gy_err *err)
{
    GY_TRY(gy_buf_check(text, "made rows", err));
    GY_TRY(gy_file_write(out, gy_buf_str(text), 0666, err));
    ret->rows += rows;
    ret->bytes += (int64_t)text->n;
    return GY_OK;
}

static double clamp(double v, double min, double max)
{
    return v < min ? min : v > max ? max : v;
}

/* ---- cars ---- */

/* What an engine of so many cylinders is like: mean and spread. */
struct engine {
    int cylinders;
    double share; /* of all cars, cumulated */
    double weight[2], displacement[2], power[2], seconds[2];
};
static const struct engine engines[] = {
    {4, 0.51, {2310, 340}, {110, 20}, {78, 14}, {16.6, 2.3}},
    {6, 0.73, {3200, 330}, {218, 35}, {101, 15}, {16.2, 2.0}},
    {8, 1.00, {4110, 450}, {345, 45}, {158, 28}, {13.0, 2.2}},
};

static void add_car(struct gy_rng *rng, int64_t row, int64_t rows, struct gy_buf *text)
{
    static const char *const makers[] = {"avenue", "borough", "comet", "dale", "estuary"};
    double u = gy_rng_f64(rng);
    const struct engine *e = &engines[u < engines[0].share ? 0 : u < engines[1].share ? 1 : 2];
    int year = 70 + (int)(13 * row / rows);
    /* A heavy car of its kind has the larger engine, too. */
    double size = gy_rng_normal(rng);
    double weight = clamp(e->weight[0] + e->weight[1] * size - 15 * (year - 76), 1600, 5200);
    double displacement = clamp(
        e->displacement[0] + e->displacement[1] * (0.8 * size + 0.6 * gy_rng_normal(rng)), 68, 460);
    double power =
        clamp(e->power[0] + e->power[1] * (0.7 * size + 0.7 * gy_rng_normal(rng)), 45, 230);
    double seconds = clamp(e->seconds[0] + e->seconds[1] * gy_rng_normal(rng), 8, 25);
    double gallons_a_mile =
        (1.35e-5 * weight + 0.003) * (1 - 0.025 * (year - 76)) * exp(0.1 * gy_rng_normal(rng));
    double origin = gy_rng_f64(rng);
    int from = e->cylinders == 8 || origin < 0.35 ? 1 : origin < 0.67 ? 2 : 3;
    gy_buf_addf(text, "%.1f,%d,%.0f,", 1 / gallons_a_mile, e->cylinders, displacement);
    if (row % 80 == 32) {
        gy_buf_addc(text, "?");
    } else {
        gy_buf_addf(text, "%.0f", power);
    }
    gy_buf_addf(text, ",%.0f,%.1f,%d,%d,%s %lld\n", weight, seconds, year, from, makers[row % 5],
                (long long)row + 1);
}

gy_status gy_synth_cars(int64_t rows, uint64_t seed, const char *out, struct gy_synth_result *ret,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_rng rng;
    gy_buf_init(&text, 256 * GY_MIB);
    GY_TRY(check_rows(rows, err));
    gy_rng_init(&rng, seed);
    gy_buf_addc(&text, "mpg,cyl,dpl,hp,wght,acc,year,org,name\n");
    for (int64_t i = 0; i < rows; i++) {
        add_car(&rng, i, rows, &text);
    }
    return write_table(out, &text, rows, ret, err);
}

/* ---- iris ---- */

/* Fisher 1936: means and the lower triangle of the covariances of sepal length and width, petal
 * length and width, in cm. */
static const struct species {
    const char *name;
    double mean[4], covariance[10];
} species[] = {
    {"setosa",
     {5.006, 3.428, 1.462, 0.246},
     {0.1242, 0.0992, 0.1437, 0.0164, 0.0117, 0.0302, 0.0103, 0.0093, 0.0061, 0.0111}},
    {"versicolor",
     {5.936, 2.770, 4.260, 1.326},
     {0.2664, 0.0852, 0.0985, 0.1829, 0.0827, 0.2208, 0.0558, 0.0412, 0.0731, 0.0391}},
    {"virginica",
     {6.588, 2.974, 5.552, 2.026},
     {0.4043, 0.0938, 0.1040, 0.3033, 0.0714, 0.3046, 0.0491, 0.0476, 0.0488, 0.0754}},
};

/* The lower triangle L with L L' = covariance (Cholesky), packed by rows. */
static void factor(const double covariance[10], double l[10])
{
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j <= i; j++) {
            double v = covariance[i * (i + 1) / 2 + j];
            for (int k = 0; k < j; k++) {
                v -= l[i * (i + 1) / 2 + k] * l[j * (j + 1) / 2 + k];
            }
            l[i * (i + 1) / 2 + j] = i == j ? sqrt(v) : v / l[j * (j + 1) / 2 + j];
        }
    }
}

static void add_flower(struct gy_rng *rng, const struct species *s, struct gy_buf *text)
{
    double l[10];
    double z[4];
    factor(s->covariance, l);
    for (int i = 0; i < 4; i++) {
        z[i] = gy_rng_normal(rng);
    }
    for (int i = 0; i < 4; i++) {
        double v = s->mean[i];
        for (int k = 0; k <= i; k++) {
            v += l[i * (i + 1) / 2 + k] * z[k];
        }
        gy_buf_addf(text, "%.1f,", clamp(v, 0.1, 9.9));
    }
    gy_buf_addf(text, "%s\n", s->name);
}

gy_status gy_synth_iris(int64_t rows, uint64_t seed, const char *out, struct gy_synth_result *ret,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_rng rng;
    gy_buf_init(&text, 256 * GY_MIB);
    GY_TRY(check_rows(rows, err));
    gy_rng_init(&rng, seed);
    gy_buf_addc(&text, "sepal_length,sepal_width,petal_length,petal_width,species\n");
    for (int64_t i = 0; i < rows; i++) {
        add_flower(&rng, &species[3 * i / rows], &text);
    }
    return write_table(out, &text, rows, ret, err);
}
