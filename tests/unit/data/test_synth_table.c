/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes of made rows: the normal distribution against scipy's, correlations that come out as they
 * were wanted, what a spec may not say, and no memory. */
#include "unit.h"

#include <math.h>

#include "data/copula.h"
#include "data/gather.h"
#include "data/synth_table.h"

static double g_x[GY_COPULA_GRID], g_y[GY_COPULA_GRID];

/* scipy.stats.norm.ppf and cdf */
static void test_normal_is_scipys(void **state)
{
    (void)state;
    static const double quantiles[][2] = {
        {1e-300, -37.0470962993612}, {1e-10, -6.361340902404056},  {0.001, -3.090232306167813},
        {0.07, -1.4757910281791706}, {0.3, -0.5244005127080409},   {0.5, 0.0},
        {0.9, 1.2815515655446004},   {0.999999, 4.753424308817087}};
    static const double below[][2] = {{-8.0, 6.22096057427174e-16},
                                      {-1.0, 0.15865525393145707},
                                      {0.0, 0.5},
                                      {0.3, 0.6179114221889526},
                                      {5.0, 0.9999997133484281}};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        double z = gy_normal_quantile(quantiles[i][0]);
        assert_true(fabs(z - quantiles[i][1]) <= 1e-13 * fabs(quantiles[i][1]) + 1e-15);
    }
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        assert_true(fabs(gy_normal_cdf(below[i][0]) / below[i][1] - 1) < 1e-13);
    }
    assert_true(gy_normal_quantile(0) == -INFINITY && gy_normal_quantile(1) == INFINITY);
}

static void fill(double *grid, int shape)
{
    for (size_t i = 0; i < GY_COPULA_GRID; i++) {
        double u = ((double)i + 0.5) / GY_COPULA_GRID, z = gy_normal_quantile(u);
        grid[i] = shape == 0   ? z
                  : shape == 1 ? (u > 0.9)
                  : shape == 2 ? exp(z)
                  : shape == 3 ? 1e9 + u
                               : 7;
    }
}

static void test_latent_correlations(void **state)
{
    (void)state;
    fill(g_x, 0);
    fill(g_y, 0);
    assert_true(fabs(gy_copula_latent(g_x, g_y, 0.6, 96) - 0.6) < 0.01); /* of normal ones */
    assert_true(fabs(gy_copula_latent(g_x, g_y, -0.3, 96) + 0.3) < 0.01);
    /* Of a normal and a binary one: r = rho phi(z) / sqrt(p (1 - p)), z at 1 - p. */
    fill(g_y, 1);
    double most = exp(-0.5 * 1.2815515655446004 * 1.2815515655446004) / sqrt(2 * M_PI) / 0.3;
    assert_true(fabs(gy_copula_latent(g_x, g_y, 0.4, 96) - 0.4 / most) < 0.02);
    assert_true(gy_copula_latent(g_x, g_y, 0.95, 96) > 0.99); /* out of reach */
    /* Of two lognormal ones with sigma 1: r = (exp(rho) - 1) / (e - 1). */
    fill(g_x, 2);
    fill(g_y, 2);
    assert_true(fabs(gy_copula_latent(g_x, g_y, 0.377541, 96) - 0.5) < 0.06);
    fill(g_y, 4);
    assert_true(gy_copula_latent(g_x, g_y, 0.5, 32) == 0);
    fill(g_x, 0);
    fill(g_y, 3); /* a large offset costs nothing */
    assert_true(fabs(gy_copula_latent(g_x, g_y, 0.5, 96) - 0.5 / 0.977205) < 0.02);
}

static void test_factor(void **state)
{
    (void)state;
    double m[9] = {1, 0.5, 0.2, 0.5, 1, -0.4, 0.2, -0.4, 1}, l[9], scratch[9], kept;
    memcpy(l, m, sizeof m);
    gy_copula_factor(l, 3, scratch, &kept);
    assert_true(kept == 1);
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            double sum = 0;
            for (size_t j = 0; j < 3; j++) {
                sum += l[i * 3 + j] * l[k * 3 + j];
            }
            assert_true(fabs(sum - m[i * 3 + k]) < 1e-12);
        }
    }
    /* a goes with b and c, which go against each other: no such columns exist */
    double impossible[9] = {1, 0.9, 0.9, 0.9, 1, -0.9, 0.9, -0.9, 1};
    gy_copula_factor(impossible, 3, scratch, &kept);
    assert_true(kept > 0.4 && kept < 0.7 && isfinite(impossible[8]));
}

/* ---- recipes ---- */

static const char SPEC[] =
    "rows: 300\nseed: 5\nbad: 2\n"
    "columns:\n"
    "  - {name: id, dist: id, start: 100}\n"
    "  - {name: a, dist: normal, mean: 5, sd: 2, min: 0, max: 9, decimals: 2}\n"
    "  - {name: b, dist: lognormal, median: 3, sigma: 0.5, missing: 0.2}\n"
    "  - {name: c, values: {x: 1, 'y,z': 2}}\n"
    "  - {name: d, dist: time, from: 2024-01-01, to: 2024-01-31}\n"
    "  - {name: e, type: bool, formula: \"a > 5 and c = 'x'\"}\n"
    "  - {name: y, type: int, role: label, formula: \"if(a > 6, 1, 0)\"}\n"
    "correlations: [[a, b, 0.7]]\n"
    "balance: {0: 1, 1: 1}\n";

static gy_status make(void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_made_table_free) struct gy_made_table *t = NULL;
    struct gy_made_options o = {0};
    struct gy_synth_result r;
    GY_TRY(gy_made_from_spec(GY_STR(SPEC), "spec.yaml", &t, &o, err));
    o.out = ctx;
    GY_TRY(gy_made_write(t, &o, &r, err));
    if (r.rows != 300 || r.positives != 150 || r.bad != 2) {
        return gy_err_set(err, GY_E_FAILED, "%lld rows, %lld positives, %lld bad",
                          (long long)r.rows, (long long)r.positives, (long long)r.bad);
    }
    return GY_OK;
}

static void read_whole(const char *path, struct gy_buf *out)
{
    gy_buf_reset(out);
    assert_int_equal(gy_file_read(path, out, NULL), GY_OK);
}

static void test_same_recipe_same_bytes(void **state)
{
    (void)state;
    char path[] = "/tmp/gyre-made-XXXXXX";
    int fd = mkstemp(path);
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf one;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf other;
    gy_buf_init(&one, GY_MIB);
    gy_buf_init(&other, GY_MIB);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_status(GY_OK, make(path, &err), err);
    read_whole(path, &one);
    assert_status(GY_OK, make(path, &err), err);
    read_whole(path, &other);
    assert_true(gy_str_eq(gy_buf_str(&one), gy_buf_str(&other)));
    assert_true(gy_str_starts(gy_buf_str(&one), GY_STR("id,a,b,c,d,e,y\n100,")));
    torture(make, path);
    (void)unlink(path);
}

static void test_what_a_spec_may_not_say(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "columns: []",
        "columns: [{name: a}]",
        "columns: [{name: a, dist: normal, typ: int}]",
        "columns: [{name: a, dist: odd}]",
        "columns: [{name: a, dist: normal, sd: -1}]",
        "columns: [{name: a, dist: normal, sd: x}]",
        "columns: [{name: a, dist: normal, type: string}]",
        "columns: [{name: a, dist: normal, min: 3, max: 1}]",
        "columns: [{name: a, dist: normal}, {name: a, dist: normal}]",
        "columns: [{name: a, values: []}]",
        "columns: [{name: a, values: [1, 2], weights: [1]}]",
        "columns: [{name: a, values: {x: -1}}]",
        "columns: [{name: a, values: {x: 0}}]",
        "columns: [{name: a, values: [x], type: int}]",
        "columns: [{name: a, dist: time, from: 2024-02-01, to: 2024-01-01}]",
        "columns: [{name: a, dist: time, from: soon, to: later}]",
        "columns: [{name: a, formula: 'b > 1'}]",
        "columns: [{name: a, formula: 'a > 1'}]",
        "columns: [{name: a, dist: normal, missing: 2}]",
        "columns: [{name: a, values: [x], drift: 1}]",
        "columns: [{name: a, dist: normal, drift: much}]",
        "columns: [{name: a, dist: normal}]\ncorrelations: [[a, b, 0.5]]",
        "columns: [{name: a, dist: normal}]\ncorrelations: [[a, a]]",
        "columns: [{name: a, dist: normal}]\nbalance: {0: 0}",
        "columns: [{name: a, dist: normal}]\nrows: -1",
        "columns: [{name: a, dist: normal}]\nbad: x",
        "columns: [{name: a, dist: normal, role: king}]",
        "columns: [{name: [a], dist: normal}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_made_table *t = NULL;
        struct gy_made_options o = {0};
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_made_from_spec(gy_str_c(bad[i]), "spec", &t, &o, &err);
        if (status != GY_E_INVALID && status != GY_E_PARSE) {
            fail_msg("%s gave %s", bad[i], gy_status_name(status));
        }
        assert_null(t);
        assert_true(err.msg[0] != '\0');
    }
}

static void test_distributions_keep_their_bounds(void **state)
{
    (void)state;
    const struct gy_made_point points[] = {{1, 0}, {2, 0.5}, {2, 0.6}, {10, 1}};
    const struct gy_made_column all[] = {
        {.kind = GY_MADE_NORMAL, .a = 0, .b = 1, .low = -1, .high = 3},
        {.kind = GY_MADE_NORMAL, .a = -50, .b = 1, .low = -1, .high = 3}, /* far from its mean */
        {.kind = GY_MADE_LOGNORMAL, .a = 0, .b = 2, .low = 0.5, .high = 3},
        {.kind = GY_MADE_UNIFORM, .type = GY_TYPE_INT, .low = 1, .high = 6},
        {.kind = GY_MADE_CURVE, .points = points, .n_points = 4, .low = 1, .high = 10},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        double before = -INFINITY;
        for (int k = 0; k < 1000; k++) {
            double v = gy_made_at(&all[i], (k + 0.5) / 1000);
            assert_true(v >= all[i].low && v <= all[i].high && v >= before);
            before = v;
        }
    }
    assert_true(gy_made_at(&all[4], 0.25) == 1.5 && gy_made_at(&all[4], 0.55) == 2);
}

static void test_a_text_that_came_once_is_not_given_back(void **state)
{
    (void)state;
    static const struct gy_gather_column columns[] = {{{"s", 1}, GY_TYPE_STRING, 0, NULL},
                                                      {{"t", 1}, GY_TYPE_STRING, 0, NULL}};
    static const struct gy_gather_options o = {columns, 2, NULL, 0};
    static const char *const lines[] = {"often,a", "often,b", "secret,c"};
    GY_AUTO(gy_gather_free) struct gy_gather *g = NULL;
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = NULL;
    GY_AUTO(gy_made_table_free) struct gy_made_table *t = NULL;
    assert_int_equal(gy_gather_new(&o, &g, NULL), GY_OK);
    for (size_t i = 0; i < 3; i++) {
        struct gy_csv_field fields[2];
        (void)gy_csv_split(gy_str_c(lines[i]), false, ',', fields, 2);
        assert_int_equal(gy_gather_fields(g, fields, gy_str_c(lines[i]), NULL), GY_OK);
    }
    assert_int_equal(gy_gather_finish(g, &s, NULL), GY_OK);
    assert_int_equal(gy_made_from_statistics(s, GY_STR_NULL, &t, NULL), GY_OK);
    assert_int_equal(t->columns[0].n_values, 1);
    assert_str(t->columns[0].values[0].text, "often");
    assert_int_equal(t->columns[1].kind, GY_MADE_KEYS); /* made up */
    struct gy_made_table *none = NULL;
    assert_int_equal(gy_made_from_statistics(s, GY_STR("no"), &none, NULL), GY_E_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_is_scipys),
        cmocka_unit_test(test_latent_correlations),
        cmocka_unit_test(test_factor),
        cmocka_unit_test(test_same_recipe_same_bytes),
        cmocka_unit_test(test_what_a_spec_may_not_say),
        cmocka_unit_test(test_distributions_keep_their_bounds),
        cmocka_unit_test(test_a_text_that_came_once_is_not_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
