/* SPDX-License-Identifier: Apache-2.0 */
#include "data/copula.h"

#include <math.h>
#include <string.h>

#define LARGEST 0.999
#define STEPS 16 /* of bisection: 2 / 2^16 */
#define LEAST_PIVOT 1e-9
#define SHRINK 0.97

double gy_normal_cdf(double z)
{
    return 0.5 * erfc(-z / M_SQRT2);
}

static double polynomial(const double *c, size_t n, double x)
{
    double sum = c[n - 1];
    for (size_t i = n - 1; i-- > 0;) {
        sum = sum * x + c[i];
    }
    return sum;
}

double gy_normal_quantile(double u)
{
    static const double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                               1.9715909503065514427e+3, 1.3731693765509461125e+4,
                               4.5921953931549871457e+4, 6.7265770927008700853e+4,
                               3.3430575583588128105e+4, 2.5090809287301226727e+3},
                        b[] = {1.0,
                               4.2313330701600911252e+1,
                               6.8718700749205790830e+2,
                               5.3941960214247511077e+3,
                               2.1213794301586595867e+4,
                               3.9307895800092710610e+4,
                               2.8729085735721942674e+4,
                               5.2264952788528545610e+3},
                        c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                               5.76949722146069140550e0,  3.64784832476320460504e0,
                               1.27045825245236838258e0,  2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4},
                        d[] = {1.0,
                               2.05319162663775882187e0,
                               1.67638483018380384940e0,
                               6.89767334985100004550e-1,
                               1.48103976427480074590e-1,
                               1.51986665636164571966e-2,
                               5.47593808499534494600e-4,
                               1.05075007164441684324e-9},
                        e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                               1.78482653991729133580e0,  2.96560571828504891230e-1,
                               2.65321895265761230930e-2, 1.24266094738807843860e-3,
                               2.71155556874348757815e-5, 2.01033439929228813265e-7},
                        f[] = {1.0,
                               5.99832206555887937690e-1,
                               1.36929880922735805310e-1,
                               1.48753612908506148525e-2,
                               7.86869131145613259100e-4,
                               1.84631831751005468180e-5,
                               1.42151175831644588870e-7,
                               2.04426310338993978564e-15};
    double q = u - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, 8, r) / polynomial(b, 8, r);
    }
    double r = q < 0 ? u : 1 - u;
    if (!(r > 0)) {
        return q < 0 ? -INFINITY : INFINITY;
    }
    r = sqrt(-log(r));
    double z = r <= 5 ? polynomial(c, 8, r - 1.6) / polynomial(d, 8, r - 1.6)
                      : polynomial(e, 8, r - 5) / polynomial(f, 8, r - 5);
    return q < 0 ? -z : z;
}

static double at(const double *grid, double u)
{
    double place = u * GY_COPULA_GRID;
    size_t i = place > 0 ? (size_t)place : 0;
    return grid[i < GY_COPULA_GRID ? i : GY_COPULA_GRID - 1];
}

/* The correlation of the two columns when their latent one is rho: x at equally likely places, and
 * y at equally likely places given x. */
static double observed(const double *grid_x, const double *grid_y, double rho, size_t nodes)
{
    double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0, n = (double)(nodes * nodes);
    double rest = sqrt(1 - rho * rho);
    for (size_t i = 0; i < nodes; i++) {
        double u = ((double)i + 0.5) / (double)nodes, z = gy_normal_quantile(u);
        double x = at(grid_x, u), sum = 0, squares = 0;
        for (size_t k = 0; k < nodes; k++) {
            double e = gy_normal_quantile(((double)k + 0.5) / (double)nodes);
            double y = at(grid_y, gy_normal_cdf(rho * z + rest * e));
            sum += y;
            squares += y * y;
        }
        sx += x * (double)nodes;
        xx += x * x * (double)nodes;
        sy += sum;
        yy += squares;
        xy += x * sum;
    }
    double spread = (xx - sx * sx / n) * (yy - sy * sy / n);
    return spread > 0 ? (xy - sx * sy / n) / sqrt(spread) : NAN;
}

/* Centred and scaled, so that squares neither overflow nor cancel. False: no spread. */
static bool standard(const double *grid, double *out)
{
    double mean = 0, spread = 0;
    for (size_t i = 0; i < GY_COPULA_GRID; i++) {
        mean += grid[i] / GY_COPULA_GRID;
    }
    for (size_t i = 0; i < GY_COPULA_GRID; i++) {
        spread = fmax(spread, fabs(grid[i] - mean));
    }
    for (size_t i = 0; i < GY_COPULA_GRID; i++) {
        out[i] = (grid[i] - mean) / spread;
    }
    return spread > 0 && isfinite(spread);
}

double gy_copula_latent(const double *grid_x, const double *grid_y, double r, size_t nodes)
{
    double x[GY_COPULA_GRID], y[GY_COPULA_GRID];
    if (!isfinite(r) || r == 0 || !standard(grid_x, x) || !standard(grid_y, y)) {
        return 0;
    }
    double low = -LARGEST, high = LARGEST;
    for (int i = 0; i < STEPS; i++) { /* it grows with rho */
        double rho = (low + high) / 2, got = observed(x, y, rho, nodes);
        if (isnan(got)) {
            return 0;
        }
        if (got < r) {
            low = rho;
        } else {
            high = rho;
        }
    }
    return (low + high) / 2;
}

static bool factor(const double *m, size_t n, double kept, double *l)
{
    memset(l, 0, n * n * sizeof *l);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k <= i; k++) {
            double sum = i == k ? 1 : m[i * n + k] * kept;
            for (size_t j = 0; j < k; j++) {
                sum -= l[i * n + j] * l[k * n + j];
            }
            if (i == k && sum < LEAST_PIVOT) {
                return false;
            }
            l[i * n + k] = i == k ? sqrt(sum) : sum / l[k * n + k];
        }
    }
    return true;
}

void gy_copula_factor(double *m, size_t n, double *scratch, double *ret_kept)
{
    *ret_kept = 1;
    while (!factor(m, n, *ret_kept, scratch)) { /* ends: the unit matrix has a factor */
        *ret_kept = *ret_kept > 1e-3 ? *ret_kept * SHRINK : 0;
    }
    memcpy(m, scratch, n * n * sizeof *m);
}
