/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of logged rows against a training profile: what is taken, what is judged, what is told.
 */
#include "support_watch.h"

#include "watch/drift.h"

/* ---- profiles and windows of our own ---- */

static const struct gy_str NAMES[] = {{"a", 1}, {"b", 1}, {"c", 1}};

static struct gy_profile_column described(struct gy_str name, struct gy_values v)
{
    struct gy_profile_column c = {.name = name, .input = true};
    OK(gy_profile_describe(&v, 3, &g_arena, &c, &g_err));
    return c;
}

static struct gy_profile profile_of(struct gy_profile_column *columns, size_t n)
{
    return (struct gy_profile){
        .rows = columns[0].values.total, .columns = columns, .n_columns = n, .positive_share = NAN};
}

static struct gy_drift_window *window(size_t n_inputs, size_t max_rows, bool sliding)
{
    struct gy_drift_window *w = NULL;
    OK(gy_drift_window_new(NAMES, n_inputs, max_rows, sliding, &w, &g_err));
    return w;
}

static bool add(struct gy_drift_window *w, const double *inputs, double score, bool hit)
{
    const struct gy_drift_row row = {.inputs = inputs,
                                     .answer = hit,
                                     .score = score,
                                     .weight = 1,
                                     .rules = true,
                                     .rule_hit = hit,
                                     .time_us = 1000};
    return gy_drift_window_add(w, &row);
}

static struct gy_drift_result evaluate(const struct gy_profile *p, const struct gy_drift_window *w,
                                       const struct gy_drift_options *o)
{
    struct gy_drift_options usual;
    struct gy_drift_result r;
    gy_drift_options_init(&usual);
    OK(gy_drift_evaluate(p, w, o ? o : &usual, &g_arena, &r, &g_err));
    return r;
}

static void tells_what_moved(void **state)
{
    (void)state;
    struct gy_profile_column columns[2] = {described(NAMES[0], lcg_column(1, 5000, 10, 2)),
                                           described(NAMES[1], lcg_column(2, 5000, 0, 1))};
    struct gy_profile p = profile_of(columns, 2);
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(3, 1000, false);
    struct lcg g = {3};
    for (size_t i = 0; i < 1000; i++) {
        /* b is one sd higher; c has no reference */
        const double x[] = {10 + 2 * lcg_normal(&g), 1 + lcg_normal(&g), 5};
        assert_true(add(w, x, 0.5, i % 10 == 0));
    }
    assert_true(gy_drift_window_full(w));
    const double more[] = {1, 2, 3};
    assert_false(add(w, more, 0, false)); /* full: the next window's */
    struct gy_drift_result r = evaluate(&p, w, NULL);
    assert_int_equal(r.n_features, 2);
    assert_int_equal(r.n_unknown, 1);
    assert_int_equal(r.n_drifted, 1);
    assert_true(r.detected && r.dataset_drift && r.share == 0.5);
    const struct gy_drift_feature *a = gy_drift_feature(&r, NAMES[0]);
    const struct gy_drift_feature *b = gy_drift_feature(&r, NAMES[1]);
    assert_null(gy_drift_feature(&r, NAMES[2]));
    assert_true(a->test == GY_STAT_WASSERSTEIN && !a->drifted && a->score < 0.1);
    assert_true(b->drifted && fabs(b->score - 1) < 0.1 && b->score == b->distance);
    assert_int_equal(r.rule_current.hits, 100);
    assert_int_equal(r.rule_current.n, 1000);
    assert_false(r.rule_moved); /* nothing to compare with */
    struct gy_drift_options o;
    gy_drift_options_init(&o);
    o.share = 0.6;
    o.rule_reference = gy_share_of(700, 10000);
    r = evaluate(&p, w, &o);
    assert_true(r.rule_moved && r.detected && !r.dataset_drift);
    o.rule_reference = gy_share_of(970, 10000);
    r = evaluate(&p, w, &o);
    assert_false(r.rule_moved);
}

/* A column that is empty, constant, or all missing spoils nothing. */
static void odd_columns_do_not_fail(void **state)
{
    (void)state;
    double gone[100], same[100];
    for (size_t i = 0; i < 100; i++) {
        gone[i] = NAN;
        same[i] = 4;
    }
    struct gy_profile_column columns[3] = {described(NAMES[0], column(gone, 100)),
                                           described(NAMES[1], column(same, 100)),
                                           described(NAMES[2], lcg_column(2, 100, 0, 1))};
    struct gy_profile p = profile_of(columns, 3);
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(3, 200, false);
    struct gy_drift_result r = evaluate(&p, w, NULL); /* not one row */
    assert_int_equal(r.n_features, 3);
    assert_false(r.detected || r.dataset_drift || r.has_score);
    for (size_t i = 0; i < 200; i++) {
        const double x[] = {(double)i, 4, i % 2 ? INFINITY : NAN};
        assert_true(add(w, x, NAN, false));
    }
    r = evaluate(&p, w, NULL);
    assert_int_equal(r.n_drifted, 0);
    assert_true(isnan(r.features[0].score) && !r.features[0].enough);
    assert_true(r.features[0].missing_moved); /* from all to none */
    assert_true(r.features[1].enough && !r.features[1].drifted && !r.features[1].missing_moved);
    assert_true(r.features[2].missing_moved && r.features[2].current_missing.value == 1);
    assert_true(r.detected); /* an input lacks its values */
    assert_false(r.has_score);
}

static void too_few_rows_are_not_judged(void **state)
{
    (void)state;
    struct gy_profile_column columns[1] = {described(NAMES[0], lcg_column(1, 5000, 0, 1))};
    struct gy_profile p = profile_of(columns, 1);
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(1, 100, false);
    const double far[] = {100};
    for (size_t i = 0; i < 29; i++) {
        assert_true(add(w, far, 0, false));
    }
    struct gy_drift_result r = evaluate(&p, w, NULL);
    assert_true(!r.detected && r.features[0].score > 50 && !r.features[0].enough);
    assert_true(add(w, far, 0, false));
    r = evaluate(&p, w, NULL);
    assert_true(r.detected && r.features[0].enough);
}

static void a_sliding_window_keeps_the_last(void **state)
{
    (void)state;
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(1, 50, true);
    struct gy_profile_column columns[1] = {described(NAMES[0], lcg_column(1, 500, 0, 1))};
    struct gy_profile p = profile_of(columns, 1);
    for (size_t i = 0; i < 175; i++) {
        const double x[] = {(double)i};
        assert_true(add(w, x, (double)i, false));
    }
    assert_int_equal(gy_drift_window_rows(w), 50);
    struct gy_drift_result r = evaluate(&p, w, NULL);
    assert_true(r.features[0].current.values[0] == 125);
    assert_true(r.features[0].current.values[49] == 174);
    gy_drift_window_reset(w);
    assert_int_equal(gy_drift_window_rows(w), 0);
    r = evaluate(&p, w, NULL);
    assert_int_equal(r.rows, 0);
}

/* ---- log records ---- */

/* Two inputs, one rule that skips the model, stable version 3 and canary 4. */
static void records_fill_it(void **state)
{
    (void)state;
    const struct gy_shape_rule rule = {.decides = true, .skip_model = true, .prediction = 1};
    const struct gy_shape_variant variants[] = {
        {.role = GY_VARIANT_STABLE, .version = GY_STR("3"), .threshold = 0.5},
        {.role = GY_VARIANT_CANARY, .version = GY_STR("4"), .threshold = 0.5}};
    const struct gy_str classes[] = {GY_STR("0"), GY_STR("1")};
    const double values[] = {0, 1};
    const struct gy_shape shape = {.task = GY_TASK_BINARY,
                                   .inputs = NAMES,
                                   .n_inputs = 2,
                                   .classes = classes,
                                   .class_values = values,
                                   .n_classes = 2,
                                   .rules = &rule,
                                   .n_rules = 1,
                                   .variants = variants,
                                   .n_variants = 2,
                                   .rule_shadow = 0.25};
    const double inputs[] = {1, 10, 2, NAN, 3, 30, 4, 40};
    const double outputs[] = {0, 0.1, 1, NAN, 1, 0.9, 1, 0.7}; /* row 2 was sampled */
    const struct gy_rule_outcome outcomes[] = {
        {.rule = -1}, {.rule = 0}, {.rule = 0}, {.rule = -1}};
    struct gy_record r = {.n_rows = 4,
                          .total_rows = 4,
                          .n_inputs = 2,
                          .n_outputs = 2,
                          .time_us = 7,
                          .model_version = GY_STR("3"),
                          .inputs = inputs,
                          .outputs = outputs,
                          .rules = outcomes};
    struct gy_profile_column columns[2] = {described(NAMES[0], lcg_column(1, 100, 0, 1)),
                                           described(NAMES[1], lcg_column(2, 100, 0, 1))};
    struct gy_profile p = profile_of(columns, 2);
    p.task = GY_TASK_BINARY;
    p.target = GY_STR("y");
    p.classes = classes;
    p.n_classes = 2;
    p.positive_share = 0.25;
    const double scores[] = {0.2, 0.4};
    p.score = column(scores, 2);
    uint32_t taken = 0;
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(2, 6, false);
    OK(gy_drift_window_record(w, &shape, GY_STR("3"), &r, 0, &taken, &g_err));
    assert_int_equal(taken, 4);
    r.model_version = GY_STR("4"); /* a canary's scores are not the stable version's */
    OK(gy_drift_window_record(w, &shape, GY_STR("3"), &r, 0, &taken, &g_err));
    assert_int_equal(taken, 2); /* then it was full: the next window begins at row 2 */
    struct gy_drift_result res = evaluate(&p, w, NULL);
    assert_int_equal(res.rows, 6);
    assert_int_equal(res.rule_current.hits, 3);
    assert_int_equal(res.rule_current.n, 6);
    assert_int_equal(res.features[0].current.total, 6);
    assert_int_equal(res.features[1].current.missing, 2);
    assert_int_equal(res.positive.hits, 4);
    assert_true(res.reference_positive == 0.25);
    /* 0.1 and 0.7 once, 0.9 for the four rows that its sample stands for */
    assert_int_equal(res.score.current.total, 6);
    assert_int_equal(res.score.current.counts[2], 4);
    assert_true(res.has_score && res.score.test == GY_STAT_WASSERSTEIN);
    assert_int_equal(res.since_us, 7);
    r.n_inputs = 1;
    assert_int_equal(gy_drift_window_record(w, &shape, GY_STR("3"), &r, 0, &taken, &g_err),
                     GY_E_INVALID);
}

/* A sample of 0.7 was taken for all rows it came from, one each: a third of them went unseen. */
static void samples_stand_for_all_their_rows(void **state)
{
    (void)state;
    const struct gy_shape_rule rule = {.decides = true, .skip_model = true, .prediction = 1};
    struct gy_shape shape = {
        .task = GY_TASK_BINARY, .inputs = NAMES, .n_inputs = 1, .rules = &rule, .n_rules = 1};
    const double inputs[] = {1};
    const double outputs[] = {1, 0.9};
    const struct gy_rule_outcome outcome = {.rule = 0};
    const struct gy_record r = {.n_rows = 1,
                                .total_rows = 1,
                                .n_inputs = 1,
                                .n_outputs = 2,
                                .time_us = 7,
                                .model_version = GY_STR("3"),
                                .inputs = inputs,
                                .outputs = outputs,
                                .rules = &outcome};
    struct gy_profile_column c = described(NAMES[0], lcg_column(1, 100, 0, 1));
    struct gy_profile p = profile_of(&c, 1);
    const double scores[] = {0.2, 0.4};
    p.score = column(scores, 2);
    static const double shares[] = {1, 0.9, 0.7, 0.4, 0.3, 0.1, 0.0001};
    static const uint64_t rows[] = {210, 233, 300, 525, 700, 2100, 210000}; /* of 210 in the log */
    for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
        GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(1, 210, false);
        shape.rule_shadow = shares[k];
        for (int i = 0; i < 210; i++) {
            uint32_t taken = 0;
            OK(gy_drift_window_record(w, &shape, GY_STR("3"), &r, 0, &taken, &g_err));
            assert_int_equal(taken, 1);
        }
        struct gy_drift_result res = evaluate(&p, w, NULL);
        assert_int_equal(res.score.current.total, rows[k]);
    }
}

static void limits(void **state)
{
    (void)state;
    struct gy_drift_window *w = NULL;
    assert_int_equal(gy_drift_window_new(NAMES, 3, 0, false, &w, &g_err), GY_E_INVALID);
    assert_int_equal(gy_drift_window_new(NAMES, 3, GY_DRIFT_MAX_ROWS + 1, false, &w, &g_err),
                     GY_E_INVALID);
    assert_int_equal(gy_drift_window_new(NAMES, 4096, GY_DRIFT_MAX_ROWS, false, &w, &g_err),
                     GY_E_TOOBIG);
    assert_null(w);
}

/* ---- options ---- */

static void options(void **state)
{
    (void)state;
    static const char text[] = "{\"share\":0.3,\"min_rows\":50,\"features\":{\"a\":{\"test\":"
                               "\"psi\",\"threshold\":0.25},\"b\":{\"categorical\":true}}}";
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_drift_options o;
    OK(gy_json_parse(GY_STR(text), &doc, &g_err));
    OK(gy_drift_options_read(yyjson_doc_get_root(doc), &g_arena, &o, &g_err));
    assert_true(o.share == 0.3 && o.min_rows == 50 && o.n_features == 2);
    struct gy_profile_column columns[2] = {described(NAMES[0], lcg_column(1, 5000, 0, 1)),
                                           described(NAMES[1], lcg_column(2, 5000, 0, 1))};
    struct gy_profile p = profile_of(columns, 2);
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(2, 100, false);
    for (size_t i = 0; i < 100; i++) {
        const double x[] = {(double)i, columns[1].values.values[i * 40]};
        assert_true(add(w, x, 0, false));
    }
    struct gy_drift_result r = evaluate(&p, w, &o);
    assert_true(r.features[0].test == GY_STAT_PSI && r.features[0].threshold == 0.25);
    assert_true(r.features[1].test == GY_STAT_JENSENSHANNON && r.features[1].categorical);
    OK(gy_drift_options_read(NULL, &g_arena, &o, &g_err));
    assert_true(o.share == 0.5 && o.n_features == 0);
    static const char *const bad[] = {"[]",
                                      "{\"share\":0}",
                                      "{\"share\":1.5}",
                                      "{\"min_rows\":-1}",
                                      "{\"shares\":0.5}",
                                      "{\"features\":[]}",
                                      "{\"features\":{\"a\":1}}",
                                      "{\"features\":{\"a\":{\"test\":\"emd\"}}}",
                                      "{\"features\":{\"a\":{\"threshold\":-1}}}",
                                      "{\"features\":{\"a\":{\"kind\":\"x\"}}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *d = NULL;
        OK(gy_json_parse(gy_str_c(bad[i]), &d, &g_err));
        if (gy_drift_options_read(yyjson_doc_get_root(d), &g_arena, &o, &g_err) != GY_E_INVALID) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

/* ---- for programs and people ---- */

static void json(void **state)
{
    (void)state;
    struct gy_profile_column columns[2] = {described(NAMES[0], lcg_column(1, 5000, 0, 1)),
                                           described(NAMES[1], column(NULL, 0))};
    struct gy_profile p = profile_of(columns, 2);
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(2, 100, false);
    for (size_t i = 0; i < 100; i++) {
        const double x[] = {3 + (double)i / 100, NAN};
        assert_true(add(w, x, 0.5, false));
    }
    struct gy_drift_result r = evaluate(&p, w, NULL);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, GY_MIB);
    struct gy_jw jw;
    gy_jw_init(&jw, &out);
    gy_drift_write(&jw, &r);
    OK(gy_json_parse(gy_buf_str(&out), &doc, &g_err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_int_equal(gy_json_i64(root, "columns", -1), 2);
    assert_int_equal(gy_json_i64(root, "columns_drifted", -1), 1);
    assert_true(gy_json_bool(root, "detected", false));
    yyjson_val *first = yyjson_arr_get_first(gy_json_get(root, "features"));
    assert_true(gy_str_eqc(gy_json_str(first, "test"), "wasserstein"));
    assert_true(gy_json_f64(first, "score", 0) == r.features[0].score);
    yyjson_val *empty = yyjson_arr_get(gy_json_get(root, "features"), 1);
    assert_true(yyjson_is_null(gy_json_get(empty, "score")));
    assert_true(yyjson_is_null(gy_json_get(root, "score"))); /* the profile has none */
    struct gy_drift_histogram h;
    gy_drift_histogram_of(&r.features[0], &h);
    double sums[2] = {0};
    for (size_t i = 0; i < GY_DRIFT_BINS; i++) {
        sums[0] += h.reference[i];
        sums[1] += h.current[i];
    }
    assert_near(sums[0], 1, 1e-12);
    assert_near(sums[1], 1, 1e-12);
    gy_drift_histogram_of(&r.features[1], &h);
    assert_true(isnan(h.low));
}

struct input {
    struct gy_profile p;
    struct gy_drift_window *w;
};

static gy_status all(void *ctx, struct gy_err *err)
{
    struct input *in = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = NULL;
    struct gy_drift_options o;
    struct gy_drift_result r;
    gy_arena_init(&a, 16 * GY_MIB);
    gy_drift_options_init(&o);
    GY_TRY(gy_drift_window_new(NAMES, 3, 10, false, &w, err));
    return gy_drift_evaluate(&in->p, in->w, &o, &a, &r, err);
}

static void no_memory(void **state)
{
    (void)state;
    struct gy_profile_column columns[1] = {described(NAMES[0], lcg_column(1, 200, 0, 1))};
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = window(1, 40, false);
    for (size_t i = 0; i < 40; i++) {
        const double x[] = {(double)i};
        assert_true(add(w, x, 0.5, false));
    }
    struct input in = {profile_of(columns, 1), w};
    in.p.score = columns[0].values;
    torture(all, &in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, arena_start, arena_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_what_moved),
        TEST(odd_columns_do_not_fail),
        TEST(too_few_rows_are_not_judged),
        TEST(a_sliding_window_keeps_the_last),
        TEST(records_fill_it),
        TEST(samples_stand_for_all_their_rows),
        TEST(limits),
        TEST(options),
        TEST(json),
        TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
