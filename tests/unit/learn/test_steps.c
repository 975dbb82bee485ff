/* SPDX-License-Identifier: Apache-2.0 */
/* The feature steps one by one: what they make, what they refuse, and that what was read back from
 * JSON makes the same bits. Agreement with scikit-learn: tests/interop/test_steps_sklearn.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "learn/cells.h"
#include "learn/features.h"

#define MAX_OUT 64

static struct gy_err g_err;
static const struct gy_str g_seasons[3] = {{"autumn", 6}, {"spring", 6}, {"winter", 6}};

/* a, b, c: numbers; season: a category; when: a time; city: hashed; px: a pixel. */
static const struct gy_feature g_cells[] = {
    {.name = {"a", 1}},
    {.name = {"b", 1}},
    {.name = {"c", 1}},
    {.name = {"season", 6}, .kind = GY_FEATURE_CATEGORY, .values = g_seasons, .n_values = 3},
    {.name = {"when", 4}, .kind = GY_FEATURE_TIME},
    {.name = {"city", 4}, .kind = GY_FEATURE_HASHED},
    {.name = {"px", 2}, .kind = GY_FEATURE_PIXEL},
};
#define N_CELLS 7

/* 2024-02-29T13:45:07Z, a Thursday, and others. */
static const double g_rows[4][N_CELLS] = {
    {1, 10, -1, 0, 1709214307, 77, 0},
    {2, 20, 5, 1, 0, 78, 255},
    {3, NAN, 5, 1, -1, 1e15, 128},
    {4, 40, 7, 2, NAN, 5, 64},
};
static const double g_labels[4] = {0, 0, 1, 1};

struct fitted {
    struct gy_features f;
    double out[4][MAX_OUT];
};

static gy_status fit(const char *yaml, struct fitted *t)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_step_plan *plans = NULL;
    size_t n_plans = 0;
    double *x = NULL;
    gy_arena_init(&a, GY_MIB);
    gy_features_init(&t->f);
    assert_int_equal(gy_yaml_parse(gy_str_c(yaml), "steps", &y, &g_err), GY_OK);
    GY_TRY(gy_steps_read(y, gy_yaml_root(y), &a, &plans, &n_plans, &g_err));
    const struct gy_step_rows rows = {.x = &g_rows[0][0], .n_rows = 4, .y = g_labels};
    GY_TRY(gy_features_fit(&t->f, g_cells, N_CELLS, plans, n_plans, &rows, &x, &g_err));
    for (size_t r = 0; r < 4 && t->f.n_out <= MAX_OUT; r++) {
        memcpy(t->out[r], x + r * t->f.n_out, t->f.n_out * sizeof *x);
    }
    gy_free(x);
    return GY_OK;
}

static void apply(const struct gy_features *f, const double *in, size_t n_rows, double *out)
{
    double *scratch = gy_malloc((gy_features_scratch(f, n_rows) + 1) * sizeof *scratch);
    assert_non_null(scratch);
    gy_features_apply(f, in, n_rows, out, scratch);
    gy_free(scratch);
}

/* What is read back says the same, to the bit. */
static void check_round_trip(const struct fitted *t)
{
    GY_AUTO_DONE(gy_features_done) struct gy_features back;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf again;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&text, GY_MIB);
    gy_buf_init(&again, GY_MIB);
    gy_jw_init(&w, &text);
    gy_features_write(&w, &t->f);
    assert_int_equal(gy_json_parse(gy_buf_str(&text), &doc, NULL), GY_OK);
    gy_features_init(&back);
    gy_status st = gy_features_read(&back, yyjson_doc_get_root(doc), g_cells, N_CELLS, &g_err);
    if (st != GY_OK) {
        fail_msg("%s: %s", g_err.msg, text.p);
    }
    assert_int_equal(back.n_out, t->f.n_out);
    double *out = gy_malloc(4 * (back.n_out + 1) * sizeof *out);
    assert_non_null(out);
    apply(&back, &g_rows[0][0], 4, out);
    for (size_t r = 0; r < 4; r++) {
        assert_memory_equal(out + r * back.n_out, t->out[r], back.n_out * sizeof *out);
    }
    for (size_t i = 0; i < back.n_out; i++) {
        assert_true(gy_str_eq(back.out[i].name, t->f.out[i].name));
        assert_int_equal(back.out[i].kind, t->f.out[i].kind);
    }
    gy_free(out);
    gy_jw_init(&w, &again);
    gy_features_write(&w, &back);
    assert_string_equal(text.p, again.p);
}

/* want: "NAME: v v v v; NAME: ...", '?' for missing; those of the outputs that are named. */
static void check(const char *yaml, const char *want)
{
    struct fitted t;
    if (fit(yaml, &t) != GY_OK) {
        fail_msg("%s: %s", yaml, g_err.msg);
    }
    struct gy_str rest = gy_str_c(want);
    struct gy_str column;
    while (gy_str_next(&rest, ';', &column)) {
        struct gy_str name, values, value;
        assert_true(gy_str_cut(gy_str_trim(column), ':', &name, &values));
        size_t at = gy_features_find(&t.f, name);
        if (at == SIZE_MAX) {
            fail_msg("%s: no output %.*s", yaml, (int)name.n, name.p);
        }
        values = gy_str_trim(values);
        for (size_t r = 0; r < 4; r++) {
            double v = NAN;
            assert_true(gy_str_next(&values, ' ', &value));
            bool missing = gy_str_eqc(value, "?");
            assert_true(missing || gy_parse_f64(value, &v, NULL) == GY_OK);
            bool same = missing ? isnan(t.out[r][at]) : fabs(t.out[r][at] - v) < 1e-12;
            if (!same) {
                fail_msg("%s: %.*s[%zu] is %.17g", yaml, (int)name.n, name.p, r, t.out[r][at]);
            }
        }
    }
    check_round_trip(&t);
    gy_features_done(&t.f);
}

static void steps_of_numbers(void **state)
{
    (void)state;
    check("[minmax]",
          "a: 0 0.33333333333333331 0.66666666666666663 1; b: 0 0.33333333333333331 ? 1");
    check("[minmax: {low: -1, high: 1, columns: [c]}]", "c: -1 0.5 0.5 1; a: 1 2 3 4");
    check("[minmax: [px]]", "px: 0 1 0.50196078431372548 0.25098039215686274");
    check("[log: [a]]", "a: 0.69314718055994529 1.0986122886681098 1.3862943611198906 "
                        "1.6094379124341003; c: -1 5 5 7");
    check("[log: {offset: 9, base: 10, columns: [a]}]", "a: 1 1.0413926851582251 "
                                                        "1.0791812460476249 1.1139433523068367");
    check("[log: {offset: 2, base: 2, columns: [c]}]", "c: 0 2.8073549220576042 "
                                                       "2.8073549220576042 3.1699250014423126");
    check("[clip: {low: 2, high: 20}]", "a: 2 2 3 4; b: 10 20 ? 20; c: 2 5 5 7");
    check("[clip: {quantiles: [0.25, 0.75], columns: [a]}]", "a: 1.75 2 3 3.25; b: 10 20 ? 40");
    check("[bins: {bins: 2, columns: [a, b]}]", "a: 0 0 1 1; b: 0 1 ? 1");
    check("[bins: {bins: 4, by: width, columns: [c]}]", "c: 0 3 3 3");
    check("[bins: {edges: [5, 6], columns: [c]}]", "c: 0 1 1 2");
}

static void steps_of_categories(void **state)
{
    (void)state;
    check("[onehot]", "season=autumn: 1 0 0 0; season=spring: 0 1 1 0; season=winter: 0 0 0 1; "
                      "when: 1709214307 0 -1 ?");
    check("[onehot: [c]]", "c=-1: 1 0 0 0; c=5: 0 1 1 0; c=7: 0 0 0 1; season: 0 1 1 2");
    check("[onehot: {top: 1, columns: [season]}]", "season=spring: 0 1 1 0; season=*: 1 0 0 1");
    check("[onehot: {top: 2, columns: [season]}]",
          "season=autumn: 1 0 0 0; season=spring: 0 1 1 0; season=*: 0 0 0 1");
    check("[onehot: {drop: first, columns: [season]}]",
          "season=spring: 0 1 1 0; season=winter: 0 0 0 1");
    check("[onehot: {missing: column, columns: [b]}]", "b=10: 1 0 0 0; b=?: 0 0 1 0");
    check("[onehot: {unseen: other, columns: [b]}]", "b=*: 0 0 0 0; b=40: 0 0 0 1");
    check("[ordinal]", "season: 0 1 1 2");
    check("[ordinal: {order: [winter, spring, autumn], columns: [season]}]", "season: 2 1 1 0");
    check("[ordinal: {unseen: missing, columns: [b]}]", "b: 0 1 ? 2");
    check("[hash: {buckets: 4, sign: false, columns: [city]}]",
          "city#0: 0 0 1 0; city#1: 1 0 0 1; city#2: 0 1 0 0; city#3: 0 0 0 0");
    check("[impute: {columns: [season, city, b]}, onehot: {columns: [season]}]",
          "b: 10 20 20 40; season=winter: 0 0 0 1");
    check("[bins: {bins: 2, columns: [a]}, onehot: [a]]", "a=0: 1 1 0 0; a=1: 0 0 1 1");
}

static void steps_of_products(void **state)
{
    (void)state;
    check("[polynomial: {columns: [a, c]}]",
          "a: 1 2 3 4; a^2: 1 4 9 16; a*c: -1 10 15 28; c^2: 1 25 25 49");
    check("[polynomial: {degree: 3, columns: [a, c]}]",
          "a^3: 1 8 27 64; a^2*c: -1 20 45 112; a*c^2: 1 50 75 196; c^3: -1 125 125 343");
    check("[polynomial: {interaction_only: true, bias: true, degree: 3}]",
          "1: 1 1 1 1; a*b: 10 40 ? 160; a*c: -1 10 15 28; b*c: -10 100 ? 280; "
          "a*b*c: -10 200 ? 1120");
    check("[interactions: [a*c, c * c]]", "a*c: -1 10 15 28; c*c: 1 25 25 49");
    check("[interactions]", "a*b: 10 40 ? 160; a*c: -1 10 15 28; b*c: -10 100 ? 280");
    check("[interactions: [a*c], interactions: [a*c*a]]", "a*c*a: -1 20 45 112");
    struct fitted t;
    assert_int_equal(fit("[polynomial: {degree: 4, columns: [a, b, c]}]", &t), GY_OK);
    static const char *const order[] = {
        "a^2",   "a*b",   "a*c",   "b^2",     "b*c",     "c^2",     "a^3",   "a^2*b",
        "a^2*c", "a*b^2", "a*b*c", "a*c^2",   "b^3",     "b^2*c",   "b*c^2", "c^3",
        "a^4",   "a^3*b", "a^3*c", "a^2*b^2", "a^2*b*c", "a^2*c^2", "a*b^3", "a*b^2*c"};
    assert_int_equal(t.f.n_out, N_CELLS + 6 + 10 + 15);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (!gy_str_eqc(t.f.out[N_CELLS + i].name, order[i])) {
            fail_msg("%zu: %s", i, t.f.out[N_CELLS + i].name.p);
        }
    }
    gy_features_done(&t.f);
}

static void steps_of_times(void **state)
{
    (void)state;
    check("[dates]", "when.year: 2024 1970 1969 ?; when.month: 2 1 12 ?; when.day: 29 1 31 ?; "
                     "when.weekday: 3 3 2 ?; when.hour: 13 0 23 ?; city: 77 78 1e15 5");
    check("[dates: [quarter, minute, second, is_weekend, day_of_year, seconds]]",
          "when.quarter: 1 1 4 ?; when.minute: 45 0 59 ?; when.second: 7 0 59 ?; "
          "when.is_weekend: 0 0 0 ?; when.day_of_year: 60 1 365 ?; "
          "when.seconds: 1709214307 0 -1 ?");
    check("[dates: {parts: [hour, year], cyclic: true}]",
          "when.hour.sin: -0.25881904510252 0 -0.258819045102521 ?; when.hour.cos: "
          "-0.96592582628907 1 0.96592582628906 ?; when.year: 2024 1970 1969 ?");
    /* every day of 1600 to 2400 against the calendar counted up */
    struct fitted t;
    assert_int_equal(fit("[dates: [year, month, day, weekday, day_of_year, is_weekend]]", &t),
                     GY_OK);
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    size_t at = gy_features_find(&t.f, GY_STR("when.year"));
    int64_t day = -135140; /* 1600-01-01, a Saturday */
    int weekday = 5;
    for (int year = 1600; year < 2400; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int of_year = 1;
        for (int month = 0; month < 12; month++) {
            for (int d = 1; d <= lengths[month] + (month == 1 && leap); d++) {
                double in[N_CELLS] = {0}, out[MAX_OUT];
                in[4] = (double)day * 86400 + 3;
                apply(&t.f, in, 1, out);
                assert_true(out[at] == year && out[at + 1] == month + 1 && out[at + 2] == d);
                assert_true(out[at + 3] == weekday && out[at + 4] == of_year);
                assert_true(out[at + 5] == (weekday >= 5));
                day++;
                of_year++;
                weekday = (weekday + 1) % 7;
            }
        }
    }
    assert_int_equal(day, 157054);
    gy_features_done(&t.f);
}

static void steps_that_choose(void **state)
{
    (void)state;
    struct fitted t;
    /* r with the label: a .894, b .945 over three rows, c .707 */
    assert_int_equal(fit("[select: 0.85]", &t), GY_OK);
    assert_int_equal(gy_features_find(&t.f, GY_STR("c")), SIZE_MAX);
    assert_int_equal(gy_features_find(&t.f, GY_STR("season")), 2); /* not measured: stays */
    check_round_trip(&t);
    gy_features_done(&t.f);
    assert_int_equal(fit("[select: [c, season]]", &t), GY_OK);
    assert_int_equal(t.f.n_out, 2);
    check_round_trip(&t);
    gy_features_done(&t.f);
    assert_int_equal(fit("[onehot, drop: ['season=', when, a]]", &t), GY_OK);
    assert_int_equal(t.f.n_out, 4);
    check_round_trip(&t);
    gy_features_done(&t.f);
}

/* At serving: what training has not seen. */
static void what_training_has_not_seen(void **state)
{
    (void)state;
    struct fitted t;
    const double unseen[N_CELLS] = {-5, 11, 1e9, GY_CELL_UNSEEN, 1e300, -1, 0};
    double out[MAX_OUT];
    assert_int_equal(
        fit("[log: [a], bins: {columns: [c]}, onehot: {columns: [season, b]}, dates]", &t), GY_OK);
    apply(&t.f, unseen, 1, out);
    for (size_t i = 0; i < t.f.n_out; i++) {
        struct gy_str name = t.f.out[i].name;
        if (gy_str_eqc(name, "a") || gy_str_starts(name, GY_STR("when."))) {
            assert_true(isnan(out[i])); /* no logarithm; no date */
        } else if (gy_str_eqc(name, "c")) {
            assert_true(out[i] == 3); /* 5, 5, 5, 6.6 are three edges: the last range */
        } else {
            assert_true(gy_str_eqc(name, "city") || out[i] == 0);
        }
    }
    gy_features_done(&t.f);
    assert_int_equal(fit("[ordinal, hash, onehot: {unseen: other, columns: [c]}]", &t), GY_OK);
    apply(&t.f, unseen, 1, out);
    assert_true(out[gy_features_find(&t.f, GY_STR("season"))] == -1);
    assert_true(out[gy_features_find(&t.f, GY_STR("c=*"))] == 1);
    gy_features_done(&t.f);
}

static void a_vocabulary_is_hashed_like_its_texts(void **state)
{
    (void)state;
    struct fitted t;
    assert_int_equal(fit("[hash: {buckets: 1000, columns: [season]}]", &t), GY_OK);
    size_t first = gy_features_find(&t.f, GY_STR("season#0"));
    for (size_t i = 0; i < 3; i++) {
        double in[N_CELLS] = {0};
        double *out = gy_calloc(t.f.n_out, sizeof *out);
        assert_non_null(out);
        in[3] = (double)i;
        apply(&t.f, in, 1, out);
        assert_true(out[first + (uint64_t)gy_cell_hash(g_seasons[i]) % 1000] != 0);
        gy_free(out);
    }
    gy_features_done(&t.f);
}

static void bad_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        gy_status status;
        const char *says;
    } bad[] = {
        {"[minmax: {low: 1, high: 1}]", GY_E_INVALID, "low must be less"},
        {"[log: [c]]", GY_E_INVALID, "'c' has the value -1"},
        {"[log: {base: 3}]", GY_E_INVALID, "base must be"},
        {"[clip]", GY_E_INVALID, "needs low"},
        {"[clip: {low: 3, high: 2}]", GY_E_INVALID, "needs low"},
        {"[clip: {low: 3, quantiles: [0.1, 0.2]}]", GY_E_INVALID, "needs low"},
        {"[clip: {quantiles: [0.9, 0.1]}]", GY_E_INVALID, "two"},
        {"[bins: {edges: [2, 1]}]", GY_E_INVALID, "ascending"},
        {"[minmax, onehot: [a]]", GY_E_INVALID, "not whole"},
        {"[onehot: [city]]", GY_E_INVALID, "holds hashed texts"},
        {"[zscore: [season]]", GY_E_INVALID, "holds categories: onehot"},
        {"[ordinal: {order: [winter], columns: [season]}]", GY_E_INVALID, "not in its order"},
        {"[ordinal: {order: [1], columns: [a, c]}]", GY_E_INVALID, "one column"},
        {"[polynomial: 6]", GY_E_INVALID, "degree must be"},
        {"[polynomial: {columns: [season]}]", GY_E_INVALID, "holds categories"},
        {"[interactions: [a*z]]", GY_E_NOTFOUND, "'a*z'"},
        {"[interactions: [a*season]]", GY_E_INVALID, "holds no numbers"},
        {"[dates: [yeer]]", GY_E_INVALID, "no part of a date"},
        {"[dates: [year, year]]", GY_E_INVALID, "twice"},
        {"[drop: [when], dates]", GY_E_INVALID, "no time"},
        {"[select: 0.99]", GY_E_INVALID, "the strongest is 'b' with 0.945"},
        {"[select: {r: 2}]", GY_E_INVALID, "r must be"},
        {"[drop]", GY_E_INVALID, "no column out"},
        {"[drop: ['*']]", GY_E_INVALID, "every column out"},
        {"[hash: {buckets: 65536}, hash: {columns: [season]}]", GY_E_TOOBIG, "at most"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fitted t;
        gy_status status = fit(bad[i].yaml, &t);
        if (status != bad[i].status || !strstr(g_err.msg, bad[i].says)) {
            fail_msg("%s: %s '%s'", bad[i].yaml, gy_status_name(status), g_err.msg);
        }
        gy_features_done(&t.f);
    }
}

/* 300 columns to the fifth degree are 2 * 10^10 terms: said before any memory is taken. */
static void too_many_terms_are_refused(void **state)
{
    (void)state;
    enum { N = 300 };
    static double x[N];
    struct gy_feature cells[N] = {0};
    char names[N][8];
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
        cells[i].name = gy_str_c(names[i]);
    }
    static const char *const lists[] = {"5", "{degree: 3, interaction_only: true}"};
    for (size_t i = 0; i < 2; i++) {
        GY_AUTO_DONE(gy_features_done) struct gy_features f;
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
        struct gy_step_plan *plans = NULL;
        size_t n_plans = 0;
        char yaml[80];
        gy_arena_init(&a, GY_MIB);
        gy_features_init(&f);
        (void)snprintf(yaml, sizeof yaml, "[polynomial: %s]", lists[i]);
        assert_int_equal(gy_yaml_parse(gy_str_c(yaml), "s", &y, &g_err), GY_OK);
        assert_int_equal(gy_steps_read(y, gy_yaml_root(y), &a, &plans, &n_plans, &g_err), GY_OK);
        const struct gy_step_rows rows = {.x = x, .n_rows = 1, .y = g_labels};
        assert_int_equal(gy_features_fit(&f, cells, N, plans, n_plans, &rows, NULL, &g_err),
                         GY_E_TOOBIG);
    }
}

/* A damaged or hostile model.json. */
static void bad_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[{'step':'minmax','columns':[0],'low':0,'high':1,'scale':[1],'shift':[0]}]",
        "[{'step':'log','columns':[0],'offset':1,'base':'3'}]",
        "[{'step':'clip','columns':[9],'low':[],'high':[]}]",
        "[{'step':'bins','columns':[0],'bins':[{'edges':[2,1]}]}]",
        "[{'step':'bins','columns':[0],'bins':[]}]",
        "[{'step':'onehot','columns':[3],'onehot':[{'values':[0,1,9],'slots':[0,1,2],'width':3}]}]",
        "[{'step':'onehot','columns':[3],'onehot':[{'values':[0,1],'slots':[0,2],'width':2}]}]",
        "[{'step':'onehot','columns':[3],'onehot':[{'values':[0,1],'slots':[0,0],'width':2}]}]",
        "[{'step':'onehot','columns':[3],'onehot':[{'values':[1,0],'slots':[0,1],'width':2}]}]",
        "[{'step':'onehot','columns':[3],'onehot':[{'values':[0.5],'slots':[0],'width':1}]}]",
        "[{'step':'onehot','columns':[3],'onehot':[{'values':[0],'slots':[0],'width':1e9}]}]",
        "[{'step':'ordinal','columns':[3],'ordinal':[{'values':[0,1],'codes':[0]}]}]",
        "[{'step':'hash','columns':[5],'buckets':0}]",
        "[{'step':'hash','columns':[5],'buckets':70000}]",
        "[{'step':'polynomial','columns':[0,1],'degree':6}]",
        "[{'step':'polynomial','columns':[0,1],'degree':1}]",
        "[{'step':'interactions','columns':[0],'pairs':[[0,7]]}]",
        "[{'step':'interactions','columns':[0],'pairs':[[0]]}]",
        "[{'step':'dates','columns':[4],'cyclic':false,'parts':['week']}]",
        "[{'step':'select','columns':[4],'kept':[7]}]",
        "[{'step':'drop','columns':[4],'kept':[1,1]}]",
        "[{'step':'unknown','columns':[]}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO_DONE(gy_features_done) struct gy_features f;
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        char text[300];
        (void)snprintf(text, sizeof text, "%s", bad[i]);
        for (char *p = text; *p; p++) {
            *p = *p == '\'' ? '"' : *p;
        }
        gy_features_init(&f);
        assert_int_equal(gy_json_parse(gy_str_c(text), &doc, NULL), GY_OK);
        gy_status st = gy_features_read(&f, yyjson_doc_get_root(doc), g_cells, N_CELLS, &g_err);
        if (st == GY_OK) {
            fail_msg("taken: %s", text);
        }
    }
}

static void fitting_survives_failing_memory(void **state)
{
    (void)state;
    static const char *const list =
        "[impute, minmax: [a], log: {columns: [b]}, clip: {quantiles: [0, 1]}, bins: {columns: "
        "[c]}, onehot, dates, hash, polynomial: {columns: [a, b]}, interactions: [a*b], drop: "
        "[px]]";
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct fitted t;
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_step_plan *plans = NULL;
        size_t n_plans = 0;
        gy_arena_init(&a, GY_MIB);
        gy_features_init(&t.f);
        assert_int_equal(gy_yaml_parse(gy_str_c(list), "steps", &y, &g_err), GY_OK);
        assert_int_equal(gy_steps_read(y, gy_yaml_root(y), &a, &plans, &n_plans, &g_err), GY_OK);
        const struct gy_step_rows rows = {.x = &g_rows[0][0], .n_rows = 4, .y = g_labels};
        gy_mem_fail_at(nth, 0);
        gy_status st = gy_features_fit(&t.f, g_cells, N_CELLS, plans, n_plans, &rows, NULL, &g_err);
        gy_mem_fail_at(0, 0);
        gy_features_done(&t.f);
        if (st == GY_OK) {
            assert_true(nth > 10);
            break;
        }
        assert_int_equal(st, GY_E_NOMEM);
    }
    assert_int_equal(gy_mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_numbers),
        cmocka_unit_test(steps_of_categories),
        cmocka_unit_test(steps_of_products),
        cmocka_unit_test(steps_of_times),
        cmocka_unit_test(steps_that_choose),
        cmocka_unit_test(what_training_has_not_seen),
        cmocka_unit_test(a_vocabulary_is_hashed_like_its_texts),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(too_many_terms_are_refused),
        cmocka_unit_test(bad_json_is_refused),
        cmocka_unit_test(fitting_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
