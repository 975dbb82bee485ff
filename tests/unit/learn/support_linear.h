/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the linear learners share: one made table whose numbers are the same on every
 * machine (splitmix64), so that answers which scikit-learn 1.9 gave for it can stand in the tests.
 */
#ifndef GY_TESTS_SUPPORT_LINEAR_H
#define GY_TESTS_SUPPORT_LINEAR_H

#include <math.h>

#include "base/id.h"
#include "unit.h"

#define ROWS 400
#define COLS 4

static struct {
    double x[ROWS * COLS];      /* columns of very different sizes: a, 1e4 b, 1e8 b^2, c */
    double scaled[ROWS * COLS]; /* a, b, b^2, c */
    double y[ROWS];             /* a linear target with noise */
    double binary[ROWS], class3[ROWS];
    double counts[ROWS], amounts[ROWS], mixed[ROWS];
    double weight[ROWS], exposure[ROWS];
} g_made;

GY_UNUSED static double uniform(uint64_t *s)
{
    uint64_t z = (*s += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

GY_UNUSED static void make_table(void)
{
    uint64_t s = 7;
    for (size_t i = 0; i < ROWS; i++) {
        double a = uniform(&s), b = uniform(&s), c = uniform(&s), q = uniform(&s);
        double w = uniform(&s), e = uniform(&s), v = uniform(&s);
        double *x = g_made.x + i * COLS, *z = g_made.scaled + i * COLS;
        x[0] = a * 4 - 2;
        x[1] = b * 1e4;
        x[2] = b * b * 1e8;
        x[3] = c;
        z[0] = x[0];
        z[1] = x[1] / 1e4;
        z[2] = x[2] / 1e8;
        z[3] = c;
        g_made.y[i] = 3 * x[0] + 1e-3 * x[1] - 2e-8 * x[2] + c + q;
        g_made.weight[i] = 3 * w;
        g_made.exposure[i] = .1 + e;
        g_made.binary[i] = 1.5 * x[0] - .3 * b + c + (q - .5) * 4 > 0;
        g_made.class3[i] = floor(fmod(a * 3 + q * 1.5, 3));
        g_made.counts[i] = floor(6 * q * g_made.exposure[i] * (a + .5) * v);
        g_made.amounts[i] = .5 + q * (1 + a);
        g_made.mixed[i] = v < .6 ? 0 : q * (1 + a) * g_made.exposure[i];
    }
}

GY_UNUSED static int make_table_once(void **state)
{
    (void)state;
    make_table();
    return 0;
}

/* Within 1e-8 of the size of the number, and of 1e-8 where it is small itself. */
GY_UNUSED static void assert_close(const char *what, const double *got, const double *want,
                                   size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(got[i] - want[i]) <= tolerance * fmax(1, fabs(want[i])))) {
            fail_msg("%s: value %zu is %.17g, not %.17g", what, i, got[i], want[i]);
        }
    }
}

/* The message names what is wrong, and what to do where there is something to do. */
GY_UNUSED static void assert_says(const struct gy_err *err, const char *message, const char *hint)
{
    if (!strstr(err->msg, message) || (hint && !strstr(err->hint, hint))) {
        fail_msg("\"%s\" (%s) does not say \"%s\" (%s)", err->msg, err->hint, message,
                 hint ? hint : "");
    }
}

#endif
