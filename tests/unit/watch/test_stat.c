/* SPDX-License-Identifier: Apache-2.0 */
/* Drift statistics against numbers that the real Evidently (scipy 1.10.1) gave, against exact
 * enumeration, and by the laws they must obey. */
#include "support_watch.h"

#include <float.h>

/* ---- golden vectors ---- */

static void generator_is_the_one_of_the_vectors(void **state)
{
    (void)state;
    struct lcg g = {1};
    assert_true(lcg_normal(&g) == 0.1988428328925691);
    assert_true(lcg_normal(&g) == 0.9336421355651483);
    assert_true(lcg_normal(&g) == 0.25189222499795516);
}

struct golden {
    enum gy_stat stat;
    double value;
};

static void assert_golden(const struct gy_values *a, const struct gy_values *b, bool categorical,
                          const struct golden *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_near(run(g[i].stat, a, b, categorical), g[i].value,
                    gy_stat_is_p_value(g[i].stat) ? 1e-6 : 1e-9);
    }
}
#define GOLDEN(a, b, categorical, list) \
    assert_golden(a, b, categorical, list, sizeof(list) / sizeof((list)[0]))

static void numbers_as_evidently(void **state)
{
    (void)state;
    static const struct golden a[] = {{GY_STAT_KS, 0.04792553279498187},
                                      {GY_STAT_WASSERSTEIN, 0.14657933653426314},
                                      {GY_STAT_JENSENSHANNON, 0.08916302353216844},
                                      {GY_STAT_PSI, 0.06637175632112602},
                                      {GY_STAT_KL, 0.028534166157380254},
                                      {GY_STAT_HELLINGER, 0.09007478030576305}};
    static const struct golden b[] = {{GY_STAT_KS, 3.0170790371333697e-12},
                                      {GY_STAT_WASSERSTEIN, 0.1852671856752657},
                                      {GY_STAT_JENSENSHANNON, 0.09917831063174845},
                                      {GY_STAT_PSI, 0.08250261119598148},
                                      {GY_STAT_KL, 0.03557634938475447},
                                      {GY_STAT_HELLINGER, 0.10030376719352611}};
    static const struct golden c[] = {{GY_STAT_KS, 0.00524750492567533},
                                      {GY_STAT_WASSERSTEIN, 0.04091929032311351},
                                      {GY_STAT_JENSENSHANNON, 0.018862590534380393},
                                      {GY_STAT_PSI, 0.002851885675827564},
                                      {GY_STAT_KL, 0.0014355778268827757},
                                      {GY_STAT_HELLINGER, 0.018871669723567602}};
    struct gy_values ref = lcg_column(1, 800, 0, 1), cur = lcg_column(2, 600, .15, 1.1);
    assert_int_equal(gy_stat_choose(ref.total, gy_stat_union(&ref, &cur), false), GY_STAT_KS);
    GOLDEN(&ref, &cur, false, a);
    ref = lcg_column(3, 5000, 0, 1);
    cur = lcg_column(4, 4000, .1, 1.2);
    assert_int_equal(gy_stat_choose(ref.total, 9000, false), GY_STAT_WASSERSTEIN);
    GOLDEN(&ref, &cur, false, b);
    ref = lcg_column(5, 20000, 0, 1);
    cur = lcg_column(6, 15000, .02, 1);
    GOLDEN(&ref, &cur, false, c);
}

static void categories_as_evidently(void **state)
{
    (void)state;
    static const double w7[] = {.5, .3, .15, .05}, w8[] = {.45, .3, .2, .05};
    static const uint64_t d7[] = {470, 258, 131, 41, 0}, d8[] = {438, 270, 158, 34, 0};
    static const struct golden d[] = {{GY_STAT_CHISQUARE, .023364677580316955},
                                      {GY_STAT_JENSENSHANNON, .03567288330474861},
                                      {GY_STAT_PSI, .01019134283035576},
                                      {GY_STAT_KL, .005043065956253491},
                                      {GY_STAT_HELLINGER, .03568242786194761}};
    struct gy_values ref = lcg_categories(7, 900, w7), cur = lcg_categories(8, 900, w8);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ref.counts[i], d7[i]);
        assert_int_equal(cur.counts[i], d8[i]);
    }
    assert_int_equal(gy_stat_choose(900, 4, true), GY_STAT_CHISQUARE);
    GOLDEN(&ref, &cur, true, d);
    /* a category that the reference does not have */
    static const uint64_t e1[] = {1521, 902, 430, 147, 0}, e2[] = {894, 616, 391, 72, 27, 0};
    static const struct golden e[] = {{GY_STAT_JENSENSHANNON, .09033142122869815},
                                      {GY_STAT_CHISQUARE, 0},
                                      {GY_STAT_PSI, .09366433875582925},
                                      {GY_STAT_KL, .02663724208321696},
                                      {GY_STAT_HELLINGER, .10117486086563608}};
    ref = counted(e1);
    cur = counted(e2);
    assert_int_equal(gy_stat_choose(3000, 5, true), GY_STAT_JENSENSHANNON);
    GOLDEN(&ref, &cur, true, e);
    /* two values */
    static const uint64_t f1[] = {363, 137, 0}, f2[] = {305, 195, 0};
    static const struct golden f[] = {{GY_STAT_Z, 9.833230767974932e-05},
                                      {GY_STAT_CHISQUARE, 6.03932218998093e-09},
                                      {GY_STAT_JENSENSHANNON, .0872553288858449}};
    ref = counted(f1);
    cur = counted(f2);
    assert_int_equal(gy_stat_choose(500, 2, true), GY_STAT_Z);
    GOLDEN(&ref, &cur, true, f);
}

/* Durbin's matrix in 60 decimal digits. */
static void one_sample_kolmogorov(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double d, p;
    } exact[] = {
        {1, 0.7, 0.59999999999999998},
        {3, 0.6, 0.14399999999999999},
        {5, 0.1, 1},
        {5, 0.19, 0.97732518400000001},
        {5, 0.3, 0.66400000000000003},
        {10, 0.274, 0.37152038454349573},
        {40, 0.05, 0.99984913678087006},
        {40, 0.2, 0.070481876168844756},
        {100, 0.1, 0.2526927570063901},
        {140, 0.07, 0.47762282879465667},
        {140, 0.15, 0.0032495604415060959},
        {141, 0.1, 0.11128449666352745},
        {141, 0.2, 2.0276784223976933e-05},
        {343, 0.03, 0.90776656463181993},
        {343, 0.05, 0.3463596857683679},
        {343, 0.08, 0.023421795688179349},
        {343, 0.13, 1.6310415666516602e-05},
        {1000, 0.03, 0.32269024641329991},
        {1000, 0.04, 0.079339554975401239},
        {1000, 0.055, 0.0045334263214137716},
    };
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        double got = gy_stat_kolmogorov_sf(exact[i].d, exact[i].n);
        /* Pelz and Good's series is good to 1e-7 at n = 343 */
        if (!(fabs(got - exact[i].p) <= fmax(1e-6 * exact[i].p, exact[i].n > 140 ? 1e-7 : 0))) {
            fail_msg("n %d d %g: %.12g, not %.12g", (int)exact[i].n, exact[i].d, got, exact[i].p);
        }
    }
    assert_true(gy_stat_kolmogorov_sf(0, 10) == 1 && gy_stat_kolmogorov_sf(1, 10) == 0);
}

/* Two samples: every way to interleave them. */
static void two_sample_kolmogorov_is_exact(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {{4, 4}, {3, 5}, {2, 7}, {4, 6}, {1, 9}, {5, 5}, {6, 8}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        unsigned n1 = sizes[s][0], n2 = sizes[s][1], all = 0;
        unsigned at_least[257] = {0}; /* by D * n1 * n2 */
        for (unsigned mask = 0; mask < 1u << (n1 + n2); mask++) {
            if ((unsigned)__builtin_popcount(mask) != n1) {
                continue;
            }
            unsigned most = 0, a = 0, b = 0;
            for (unsigned i = 0; i < n1 + n2; i++) {
                a += mask >> i & 1;
                b += !(mask >> i & 1);
                unsigned gap = a * n2 > b * n1 ? a * n2 - b * n1 : b * n1 - a * n2;
                most = gap > most ? gap : most;
            }
            all++;
            for (unsigned d = 0; d <= most; d++) {
                at_least[d]++;
            }
        }
        for (unsigned d = 0; d <= n1 * n2; d++) {
            /* only these distances can occur */
            if (d > 0 && at_least[d] == (d < 256 ? at_least[d + 1] : 0)) {
                continue;
            }
            double p = -1;
            OK(gy_stat_ks_p((double)d / (n1 * n2), n1, n2, &p, &g_err));
            assert_near(p, (double)at_least[d] / all, 1e-12);
            double other = -1;
            OK(gy_stat_ks_p((double)d / (n1 * n2), n2, n1, &other, &g_err));
            assert_true(p == other);
        }
    }
}

static void chi_square_tail(void **state)
{
    (void)state;
    /* df 2: exp(-x/2); df 1: erfc; df 4: exp(-x/2)(1 + x/2) */
    for (double x = 0.01; x < 300; x *= 1.37) {
        assert_near(gy_stat_chi2_sf(x, 2), exp(-x / 2), 1e-12);
        assert_near(gy_stat_chi2_sf(x, 1), erfc(sqrt(x / 2)), 1e-12);
        assert_near(gy_stat_chi2_sf(x, 4), exp(-x / 2) * (1 + x / 2), 1e-12);
    }
    assert_near(gy_stat_chi2_sf(1000, 1000), 0.4940535, 1e-5);
    assert_true(isnan(gy_stat_chi2_sf(1, 0)) && gy_stat_chi2_sf(0, 3) == 1);
    assert_true(gy_stat_chi2_sf(INFINITY, 3) == 0);
}

/* ---- odd columns ---- */

static const enum gy_stat ALL[] = {GY_STAT_KS, GY_STAT_WASSERSTEIN,   GY_STAT_CHISQUARE,
                                   GY_STAT_Z,  GY_STAT_JENSENSHANNON, GY_STAT_PSI,
                                   GY_STAT_KL, GY_STAT_HELLINGER};

static void nothing_in_a_column(void **state)
{
    (void)state;
    const double gone[] = {NAN, INFINITY, -INFINITY}, some[] = {1, 2, 3};
    struct gy_values none = column(gone, 3), here = column(some, 3);
    for (size_t i = 0; i < GY_STAT_COUNT; i++) {
        for (int categorical = 0; categorical < 2; categorical++) {
            assert_true(isnan(run(ALL[i], &none, &here, categorical)));
            assert_true(isnan(run(ALL[i], &here, &none, categorical)));
            assert_true(isnan(run(ALL[i], &none, &none, categorical)));
            assert_false(gy_stat_drifted(ALL[i], NAN, gy_stat_threshold(ALL[i])));
        }
    }
}

static void one_value_everywhere(void **state)
{
    (void)state;
    const double x[] = {5, 5, 5}, y[] = {6};
    struct gy_values a = column(x, 3), b = column(y, 1);
    for (size_t i = 0; i < GY_STAT_COUNT; i++) {
        for (int categorical = 0; categorical < 2; categorical++) {
            double same = run(ALL[i], &a, &a, categorical);
            bool drifted = gy_stat_drifted(ALL[i], same, gy_stat_threshold(ALL[i]));
            assert_false(drifted); /* NaN for chi-square, 1 or 0 for the others */
        }
    }
    assert_true(run(GY_STAT_Z, &a, &a, true) == 1);
    assert_true(run(GY_STAT_WASSERSTEIN, &a, &b, false) == 1000); /* over the floor of 0.001 */
    assert_near(run(GY_STAT_JENSENSHANNON, &a, &b, false), sqrt(log(2)), 1e-12);
    assert_near(run(GY_STAT_KS, &a, &b, false), 0.5, 1e-12);
    assert_true(run(GY_STAT_HELLINGER, &a, &b, true) == 1);
}

static void zeros_and_extremes(void **state)
{
    (void)state;
    const double zero[] = {0.0, -0.0, 0.0}, minus[] = {-0.0};
    const double tiny[] = {DBL_TRUE_MIN, 3 * DBL_TRUE_MIN, 0}, huge[] = {-DBL_MAX, DBL_MAX, 0};
    struct gy_values a = column(zero, 3), b = column(minus, 1);
    assert_int_equal(gy_stat_union(&a, &b), 1);
    assert_true(run(GY_STAT_WASSERSTEIN, &a, &b, false) == 0);
    a = column(tiny, 3);
    b = column(huge, 3);
    for (size_t i = 0; i < GY_STAT_COUNT; i++) {
        (void)run(ALL[i], &a, &b, false);
        (void)run(ALL[i], &b, &a, false);
        (void)run(ALL[i], &b, &b, true);
    }
    double wide[30], same[30];
    for (size_t i = 0; i < 30; i++) {
        wide[i] = (i % 2 ? 1 : -1) * DBL_MAX / (double)(i + 1);
        same[i] = (double)i * DBL_TRUE_MIN;
    }
    a = column(wide, 30);
    b = column(same, 30);
    for (size_t i = 0; i < GY_STAT_COUNT; i++) {
        (void)run(ALL[i], &a, &b, false);
        (void)run(ALL[i], &b, &a, false);
        (void)run(ALL[i], &b, &b, false);
    }
}

/* Counts beyond 2^31 and whole numbers beyond 2^53. */
static void many_rows(void **state)
{
    (void)state;
    static const uint64_t a[] = {UINT64_C(3000000000), UINT64_C(1000000000), 0};
    static const uint64_t b[] = {UINT64_C(1500000000), UINT64_C(500000000), 0};
    struct gy_values x = counted(a), y = counted(b);
    assert_true(run(GY_STAT_WASSERSTEIN, &x, &y, false) == 0);
    assert_true(run(GY_STAT_JENSENSHANNON, &x, &y, true) == 0);
    assert_true(run(GY_STAT_Z, &x, &y, true) == 1);
    assert_true(run(GY_STAT_KS, &x, &y, false) == 1);
    const double big[] = {9007199254740992.0, 9007199254740994.0};
    x = column(big, 2);
    assert_int_equal(x.n, 2);
}

/* A value on an edge belongs to the bin that begins there; the last bin is closed. */
static void values_on_edges(void **state)
{
    (void)state;
    /* 0..31, so 32 + 32 rows: width 31/(log2(64)+1), 7 bins of 31/7 */
    double x[32], y[32];
    for (size_t i = 0; i < 32; i++) {
        x[i] = (double)i;
        y[i] = i < 16 ? 31.0 : 0.0;
    }
    struct gy_values a = column(x, 32), b = column(y, 32);
    /* ref: 5 4 5 4 4 5 5 of 32 (edges 4.43 8.86 13.29 17.71 22.14 26.57), cur: 16 0 0 0 0 0 16 */
    double ref[7] = {5, 4, 5, 4, 5, 4, 5}, cur[7] = {16, 0, 0, 0, 0, 0, 16}, js = 0;
    for (size_t i = 0; i < 7; i++) {
        double p = ref[i] / 32, q = cur[i] / 32, m = (p + q) / 2;
        js += p * log(p / m) / 2 + (q > 0 ? q * log(q / m) / 2 : 0);
    }
    assert_near(run(GY_STAT_JENSENSHANNON, &a, &b, false), sqrt(js), 1e-12);
}

/* ---- laws ---- */

static void affine_maps_do_not_matter(void **state)
{
    (void)state;
    struct gy_values ref = lcg_column(11, 3000, 0, 1), cur = lcg_column(12, 1000, .3, 1.2);
    double w = run(GY_STAT_WASSERSTEIN, &ref, &cur, false);
    static const double maps[][2] = {{2, 7}, {-1.8, 32}, {1000, -4}, {-0.25, 0}};
    for (size_t i = 0; i < 4; i++) {
        struct gy_values a, b;
        OK(gy_values_map(&ref, maps[i][0], maps[i][1], &g_arena, &a, &g_err));
        OK(gy_values_map(&cur, maps[i][0], maps[i][1], &g_arena, &b, &g_err));
        assert_near(run(GY_STAT_WASSERSTEIN, &a, &b, false), w, 1e-9);
        assert_near(run(GY_STAT_KS, &a, &b, false), run(GY_STAT_KS, &ref, &cur, false), 1e-9);
    }
    /* W1 of a shift is the shift */
    struct gy_values shifted;
    OK(gy_values_map(&ref, 1, 2.5, &g_arena, &shifted, &g_err));
    assert_near(gy_stat_wasserstein(&ref, &shifted), 2.5, 1e-12);
}

static void order_and_sides_do_not_matter(void **state)
{
    (void)state;
    enum { N = 500 };
    double x[N], y[N];
    struct lcg g = {21};
    for (size_t i = 0; i < N; i++) {
        x[i] = floor(lcg_normal(&g) * 8);
        y[i] = floor(lcg_normal(&g) * 9 + 1);
    }
    struct gy_values a = column(x, N), b = column(y, N);
    double before[GY_STAT_COUNT];
    for (size_t s = 0; s < GY_STAT_COUNT; s++) {
        before[s] = run(ALL[s], &a, &b, false);
    }
    for (size_t i = N - 1; i > 0; i--) {
        size_t k = (size_t)(lcg_next(&g) * (double)(i + 1));
        double swap = x[i];
        x[i] = x[k];
        x[k] = swap;
    }
    a = column(x, N);
    for (size_t s = 0; s < GY_STAT_COUNT; s++) {
        double after = run(ALL[s], &a, &b, false);
        assert_memory_equal(&after, &before[s], sizeof after); /* bit by bit */
    }
    static const enum gy_stat two_sided[] = {GY_STAT_KS, GY_STAT_Z, GY_STAT_JENSENSHANNON,
                                             GY_STAT_PSI, GY_STAT_HELLINGER};
    for (size_t s = 0; s < 5; s++) {
        assert_near(run(two_sided[s], &b, &a, true), run(two_sided[s], &a, &b, true), 1e-12);
    }
}

/* p of two samples of one population is uniform: the p of its own Kolmogorov test is not small.
 * (Sizes without a common divisor: the possible distances lie close.) */
static void p_values_are_uniform_without_drift(void **state)
{
    (void)state;
    enum { DRAWS = 400, N1 = 499, N2 = 503 };
    static double p[DRAWS], x[N1], y[N2];
    struct gy_rng r;
    gy_rng_init(&r, 31);
    for (size_t i = 0; i < DRAWS; i++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_values ref, cur;
        gy_arena_init(&a, GY_MIB);
        for (size_t k = 0; k < N1; k++) {
            x[k] = gy_rng_normal(&r);
        }
        for (size_t k = 0; k < N2; k++) {
            y[k] = gy_rng_normal(&r);
        }
        OK(gy_values_of(x, NULL, N1, &a, &ref, &g_err));
        OK(gy_values_of(y, NULL, N2, &a, &cur, &g_err));
        p[i] = run(GY_STAT_KS, &ref, &cur, false);
    }
    struct gy_values sorted = column(p, DRAWS);
    double most = 0, below = 0;
    for (size_t i = 0; i < sorted.n; i++) {
        double after = below + (double)sorted.counts[i] / DRAWS;
        most = fmax(most, fmax(fabs(sorted.values[i] - below), fabs(sorted.values[i] - after)));
        below = after;
    }
    assert_true(gy_stat_kolmogorov_sf(most, DRAWS) > 0.01);
    assert_true(below > 0.999);
}

static void shares_have_wilsons_interval(void **state)
{
    (void)state;
    struct gy_share s = gy_share_of(8, 10), none = gy_share_of(0, 0), zero = gy_share_of(0, 20);
    assert_near(s.low, 0.4901625, 1e-6);
    assert_near(s.high, 0.9433178, 1e-6);
    assert_true(isnan(none.value) && none.low == 0 && none.high == 1);
    assert_true(zero.low == 0 && zero.high > 0.1 && zero.high < 0.2);
    struct gy_share a = gy_share_of(50, 1000), b = gy_share_of(200, 1000),
                    c = gy_share_of(60, 1000);
    assert_true(gy_share_differs(&a, &b) && gy_share_differs(&b, &a));
    assert_false(gy_share_differs(&a, &c) || gy_share_differs(&a, &none));
}

static void names(void **state)
{
    (void)state;
    for (size_t i = 0; i < GY_STAT_COUNT; i++) {
        enum gy_stat s;
        OK(gy_stat_parse(gy_str_c(gy_stat_name(ALL[i])), &s, &g_err));
        assert_int_equal(s, ALL[i]);
    }
    enum gy_stat s;
    assert_int_equal(gy_stat_parse(GY_STR("emd"), &s, &g_err), GY_E_INVALID);
    assert_int_equal(gy_stat_choose(1000, 5, false), GY_STAT_CHISQUARE);
    assert_int_equal(gy_stat_choose(1001, 5, false), GY_STAT_JENSENSHANNON);
    assert_int_equal(gy_stat_choose(1001, 6, true), GY_STAT_JENSENSHANNON);
    assert_int_equal(gy_stat_choose(1000, 6, false), GY_STAT_KS);
    assert_int_equal(gy_stat_choose(1001, 6, false), GY_STAT_WASSERSTEIN);
    assert_true(gy_stat_drifted(GY_STAT_KS, 0.05, 0.05) && !gy_stat_drifted(GY_STAT_Z, 0.05, 0.05));
    assert_true(gy_stat_drifted(GY_STAT_PSI, 0.1, 0.1));
}

static gy_status all_stats(void *ctx, struct gy_err *err)
{
    const struct gy_values *v = ctx;
    for (size_t i = 0; i < GY_STAT_COUNT; i++) {
        double score;
        GY_TRY(gy_stat_run(ALL[i], &v[0], &v[1], false, &score, err));
    }
    return GY_OK;
}

static void no_memory(void **state)
{
    (void)state;
    struct gy_values v[2] = {lcg_column(1, 50, 0, 1), lcg_column(2, 40, 0, 1)};
    torture(all_stats, v);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, arena_start, arena_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(generator_is_the_one_of_the_vectors),
        TEST(numbers_as_evidently),
        TEST(categories_as_evidently),
        TEST(one_sample_kolmogorov),
        TEST(two_sample_kolmogorov_is_exact),
        TEST(chi_square_tail),
        TEST(nothing_in_a_column),
        TEST(one_value_everywhere),
        TEST(zeros_and_extremes),
        TEST(many_rows),
        TEST(values_on_edges),
        TEST(affine_maps_do_not_matter),
        TEST(order_and_sides_do_not_matter),
        TEST(p_values_are_uniform_without_drift),
        TEST(shares_have_wilsons_interval),
        TEST(names),
        TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
