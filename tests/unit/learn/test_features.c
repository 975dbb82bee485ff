/* SPDX-License-Identifier: Apache-2.0 */
/* The split, the feature steps and tables. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "data/schema.h"
#include "learn/features.h"
#include "learn/split.h"
#include "learn/table.h"

/* ---- split ---- */

/* From Python's hashlib, as split.h says. */
static void split_hash_is_the_documented_one(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        const char *key;
        uint64_t hash;
    } golden[] = {
        {7, "1", 10223439768799106630ULL},
        {7, "patient \xc3\xbc", 6718560005474792341ULL},
        {0, "", 11107881273621416814ULL},
        {UINT64_MAX, "a,b", 9043096647830166503ULL},
    };
    for (size_t i = 0; i < 4; i++) {
        uint64_t hash = 0;
        assert_int_equal(gy_split_hash(golden[i].seed, gy_str_c(golden[i].key), &hash, NULL),
                         GY_OK);
        assert_true(hash == golden[i].hash);
    }
}

static void split_threshold_is_exact(void **state)
{
    (void)state;
    assert_false(gy_split_below(0, 0));
    assert_true(gy_split_below(0, 1e-300)); /* 0 / 2^64 < 1e-300 */
    assert_false(gy_split_below(1, 1e-300));
    assert_true(gy_split_below(0x7fffffffffffffffULL, 0.5));
    assert_false(gy_split_below(0x8000000000000000ULL, 0.5));
    assert_true(gy_split_below(UINT64_MAX, 1));
    assert_false(gy_split_below(UINT64_MAX, nextafter(1, 0)));
}

static struct gy_str number_key(const void *ctx, size_t row)
{
    return gy_str_c((const char *)ctx + 16 * row);
}

static void split_holds_the_share_and_stays(void **state)
{
    (void)state;
    enum { ROWS = 20000 };
    static char keys[ROWS][16];
    static bool a[ROWS], b[ROWS];
    const struct gy_split s = {.seed = 7, .holdout = 1.0 / 3},
                          other = {.seed = 8, .holdout = 1.0 / 3};
    size_t held = 0;
    size_t moved = 0;
    for (size_t i = 0; i < ROWS; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "p%zu", i);
    }
    assert_int_equal(gy_split_rows(&s, number_key, keys, ROWS, a, NULL), GY_OK);
    assert_int_equal(gy_split_rows(&other, number_key, keys, ROWS, b, NULL), GY_OK);
    for (size_t i = 0; i < ROWS; i++) {
        held += a[i];
        moved += a[i] != b[i];
    }
    assert_true(held > ROWS / 3 - 300 && held < ROWS / 3 + 300);
    assert_true(moved > ROWS * 4 / 9 - 400 && moved < ROWS * 4 / 9 + 400);
    /* the place does not depend on the other rows */
    bool one = false;
    assert_int_equal(gy_split_rows(&s, number_key, keys + 777, 1, &one, NULL), GY_OK);
    assert_int_equal(one, a[777]);
    const struct gy_split bad = {.holdout = 1};
    assert_int_equal(gy_split_rows(&bad, number_key, keys, 1, a, NULL), GY_E_INVALID);
}

/* ---- features ---- */

static struct gy_err g_err;

/* Fit what the YAML list says on n rows of n_cells numbers. */
static gy_status fit_steps(const char *yaml, size_t n_cells, const double *x, size_t n,
                           struct gy_features *f, double **ret_x)
{
    static const char *const names[] = {"a", "b", "c"};
    struct gy_feature cells[3] = {0};
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_step_plan *plans = NULL;
    size_t n_plans = 0;
    gy_arena_init(&a, GY_MIB);
    for (size_t i = 0; i < n_cells; i++) {
        cells[i].name = gy_str_c(names[i]);
    }
    gy_features_init(f);
    assert_int_equal(gy_yaml_parse(gy_str_c(yaml), "steps", &y, &g_err), GY_OK);
    gy_status status = gy_steps_read(y, gy_yaml_root(y), &a, &plans, &n_plans, &g_err);
    if (status == GY_OK) {
        const double labels[8] = {0};
        const struct gy_step_rows rows = {.x = x, .n_rows = n, .y = labels};
        status = gy_features_fit(f, cells, n_cells, plans, n_plans, &rows, ret_x, &g_err);
    }
    return status;
}

static const double g_column[4] = {1, NAN, 4, 7};

static void check_column(const char *yaml, double fill, double mean, double sd)
{
    GY_AUTO_DONE(gy_features_done) struct gy_features f;
    double *x = NULL;
    assert_int_equal(fit_steps(yaml, 1, g_column, 4, &f, &x), GY_OK);
    const double probe[2] = {NAN, 10};
    double out[2], scratch[8];
    gy_features_apply(&f, probe, 2, out, scratch);
    double want[2] = {(fill - mean) / sd, (10 - mean) / sd};
    assert_true(isnan(fill) ? isnan(out[0]) : fabs(out[0] - want[0]) < 1e-15);
    assert_true(fabs(out[1] - want[1]) < 1e-15);
    /* the rows it was fitted on come out as any others */
    gy_features_apply(&f, g_column + 2, 1, out, scratch);
    assert_memory_equal(&x[2], out, sizeof *out);
    gy_free(x);
}

static void features_are_fitted_on_the_training_rows(void **state)
{
    (void)state;
    check_column("[impute: median, zscore]", 4, 4, sqrt(4.5)); /* 1, 4, 4, 7 */
    check_column("[impute: mean]", 4, 0, 1);
    check_column("[impute: -1, zscore]", -1, 2.75, sqrt(9.1875));
    check_column("[impute: {by: constant, value: 9}]", 9, 0, 1);
    check_column("[zscore]", NAN, 4, sqrt(6)); /* what is there */
    check_column("[impute: mode]", 1, 0, 1);   /* of equally frequent ones the least */
    check_column("[]", NAN, 0, 1);
}

static void features_say_what_was_missing(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_features_done) struct gy_features f;
    const double rows[4] = {1, NAN, NAN, 3};
    double out[6];
    assert_int_equal(
        fit_steps("[impute: {by: zero, indicator: true, columns: [b]}]", 2, rows, 2, &f, NULL),
        GY_OK);
    assert_int_equal(f.n_out, 3);
    assert_true(gy_str_eqc(f.out[2].name, "b?"));
    gy_features_apply(&f, rows, 2, out, NULL);
    assert_true(out[0] == 1 && out[1] == 0 && out[2] == 1);
    assert_true(isnan(out[3]) && out[4] == 3 && out[5] == 0);
    assert_int_equal(gy_features_find(&f, GY_STR("b?")), 2);
    assert_int_equal(gy_features_find(&f, GY_STR("c")), SIZE_MAX);
    assert_false(gy_features_is_simple(&f) || gy_features_is_identity(&f));
    assert_false(gy_features_impute(&f)); /* a stays as it is */
}

static void features_of_odd_columns(void **state)
{
    (void)state;
    const double rows[6] = {5, NAN, 5, NAN, 5, NAN}, infinite[2] = {1, INFINITY};
    double out[2], scratch[4];
    GY_AUTO_DONE(gy_features_done) struct gy_features f;
    GY_AUTO_DONE(gy_features_done) struct gy_features g;
    assert_int_equal(fit_steps("[impute: median, zscore]", 2, rows, 3, &f, NULL), GY_OK);
    const double probe[2] = {6, NAN};
    gy_features_apply(&f, probe, 1, out, scratch);
    assert_true(out[0] == 1 && out[1] == 0); /* constant: no scale; nothing there: 0 */
    assert_int_equal(fit_steps("[impute: median]", 1, infinite, 2, &g, NULL), GY_E_INVALID);
}

/* The mean of ten times 0.1 is not 0.1: the deviation of 1e-17 would make 1e16 out of a 0.2. */
static void a_constant_that_rounds_is_a_constant(void **state)
{
    (void)state;
    double constant[8], huge[2] = {1.5e308, 1.5e308}, wide[2] = {-1e300, 1e300};
    const double probe[1] = {0.2};
    double out[1], scratch[2];
    struct gy_features f[4];
    for (size_t i = 0; i < 8; i++) {
        constant[i] = 0.1;
    }
    constant[0] = 0.1 + 1e-17;
    assert_int_equal(fit_steps("[impute: median, zscore]", 1, constant, 8, &f[0], NULL), GY_OK);
    gy_features_apply(&f[0], probe, 1, out, scratch);
    assert_true(fabs(out[0] - 0.1) < 1e-9);
    /* what can not be scaled is told, not left unscaled */
    assert_int_equal(fit_steps("[zscore]", 1, huge, 2, &f[1], NULL), GY_E_INVALID);
    assert_int_equal(fit_steps("[impute: mean]", 1, huge, 2, &f[2], NULL), GY_E_INVALID);
    assert_int_equal(fit_steps("[zscore]", 1, wide, 2, &f[3], NULL), GY_E_INVALID);
    for (size_t i = 0; i < 4; i++) {
        gy_features_done(&f[i]);
    }
}

/* Every double comes back from the JSON text with the same bits. */
static void features_round_trip_bit_for_bit(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "[]", "[impute: mean, zscore]", "[zscore]", "[impute: {by: mode, indicator: true}, zscore]",
        "[zscore: [b], {impute: {columns: [a, c], by: 0.30000000000000004}}]"};
    double rows[9] = {1.0 / 3, NAN, 0.1, 1e-300, 2.5, NAN, 7, -1e17, 0.2};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        GY_AUTO_DONE(gy_features_done) struct gy_features f;
        GY_AUTO_DONE(gy_features_done) struct gy_features back;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        struct gy_jw w;
        double a[18] = {0}, b[18] = {0}, scratch[64];
        assert_int_equal(fit_steps(lists[i], 3, rows, 3, &f, NULL), GY_OK);
        gy_buf_init(&text, GY_MIB);
        gy_jw_init(&w, &text);
        bool simple = gy_features_is_simple(&f);
        assert_int_equal(simple, i < 3);
        if (simple) {
            gy_features_write_simple(&w, &f);
        } else {
            gy_features_write(&w, &f);
        }
        gy_features_init(&back);
        assert_int_equal(gy_json_parse(gy_buf_str(&text), &doc, NULL), GY_OK);
        yyjson_val *root = yyjson_doc_get_root(doc);
        assert_int_equal(simple ? gy_features_read_simple(&back, root, f.in, 3, &g_err)
                                : gy_features_read(&back, root, f.in, 3, &g_err),
                         GY_OK);
        assert_int_equal(back.n_out, f.n_out);
        gy_features_apply(&f, rows, 3, a, scratch);
        gy_features_apply(&back, rows, 3, b, scratch);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void bad_steps_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        gy_status status;
        const char *says;
    } bad[] = {
        {"{impute: mean}", GY_E_INVALID, "list"},
        {"[imput]", GY_E_INVALID, "steps:1"},
        {"[impute: often]", GY_E_INVALID, "by must be"},
        {"[impute: {by: mean, colums: [a]}]", GY_E_INVALID, "colums"},
        {"[impute: {columns: [z]}]", GY_E_NOTFOUND, "'z'"},
        {"[zscore: [b=]]", GY_E_NOTFOUND, "'b='"},
        {"[[impute]]", GY_E_INVALID, "a step is a name"},
    };
    const double rows[2] = {1, 2};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO_DONE(gy_features_done) struct gy_features f;
        gy_status status = fit_steps(bad[i].yaml, 2, rows, 1, &f, NULL);
        if (status != bad[i].status || !strstr(g_err.msg, bad[i].says)) {
            fail_msg("%s: %s '%s'", bad[i].yaml, gy_status_name(status), g_err.msg);
        }
    }
}

/* ---- tables ---- */

#define SCHEMA                                                                                     \
    "columns:\n- {name: id, type: string, role: id}\n- {name: a, type: int, required: true, min: " \
    "0, "                                                                                          \
    "max: 9}\n- {name: b, type: float}\nmissing: ['', '?']\n"

static struct gy_table *parse(const char *csv, const struct gy_schema *s, gy_status want)
{
    struct gy_table *t = NULL;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_table_parse(gy_str_c(csv), "test.csv", s, &t, &err);
    if (status != want) {
        fail_msg("%s: %s", gy_status_name(status), err.msg);
    }
    return t;
}

static void table_with_a_schema(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    assert_int_equal(gy_schema_parse(GY_STR(SCHEMA), "s", &s, NULL), GY_OK);
    GY_AUTO(gy_table_free)
    struct gy_table *t = parse("id,a,b,note\nx,1,?,\"two, \"\"quoted\"\"\"\ny,2,2.5,\n", s, GY_OK);
    assert_int_equal(t->n_rows, 2);
    assert_int_equal(t->n_columns, 4);
    const struct gy_table_column *a = gy_table_column(t, GY_STR("a"));
    const struct gy_table_column *b = gy_table_column(t, GY_STR("b"));
    const struct gy_table_column *note = gy_table_column(t, GY_STR("note"));
    assert_true(a->numeric && a->integer && a->required && a->has_range && a->max == 9);
    assert_true(b->numeric && !b->integer && isnan(b->num[0]) && b->num[1] == 2.5);
    assert_false(note->numeric);
    char room[32];
    assert_true(gy_str_eqc(gy_table_text(note, 0, room), "two, \"quoted\""));
    assert_null(gy_table_text(note, 1, room).p);
    assert_null(gy_table_text(b, 0, room).p);
    assert_true(gy_str_eqc(gy_table_text(a, 1, room), "2"));
    assert_true(gy_str_eqc(gy_table_key(t, 1), "y"));
    assert_null(gy_table_column(t, GY_STR("zz")));
    const struct gy_str names[2] = {GY_STR("b"), GY_STR("a")}, text[1] = {GY_STR("note")};
    const uint32_t rows[1] = {1};
    double out[2];
    assert_int_equal(gy_table_matrix(t, names, 2, rows, 1, out, NULL), GY_OK);
    assert_true(out[0] == 2.5 && out[1] == 2);
    assert_int_equal(gy_table_matrix(t, text, 1, rows, 1, out, NULL), GY_E_INVALID);
    assert_int_equal(gy_table_matrix(t, &t->records[0], 1, rows, 1, out, NULL), GY_E_NOTFOUND);
}

static void table_without_a_schema(void **state)
{
    (void)state;
    GY_AUTO(gy_table_free)
    struct gy_table *t = parse("n;x;s\r\n1;NaN;a\r\n2;1.5;\r\n", NULL, GY_OK);
    assert_true(t->columns[0].numeric && t->columns[0].integer);
    assert_true(t->columns[1].numeric && !t->columns[1].integer && isnan(t->columns[1].num[0]));
    assert_false(t->columns[2].numeric);
    assert_null(t->id);
    assert_true(gy_str_eqc(gy_table_key(t, 1), "2;1.5;"));
}

static void table_refuses_damage(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    assert_int_equal(gy_schema_parse(GY_STR(SCHEMA), "s", &s, NULL), GY_OK);
    assert_null(parse("a,b\n1,2\n3\n", NULL, GY_E_SCHEMA));
    assert_null(parse("a,b\n1,\"2\n3,4\n", NULL, GY_E_SCHEMA));
    assert_null(parse("a,a\n1,2\n", NULL, GY_E_SCHEMA));
    assert_null(parse("", NULL, GY_E_SCHEMA));
    assert_null(parse("id,a\nx,one\n", s, GY_E_SCHEMA));
    struct gy_table *t = NULL;
    assert_int_equal(gy_table_load("/no/such/file.csv", NULL, &t, NULL), GY_E_NOTFOUND);
}

static void table_survives_failing_memory(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    assert_int_equal(gy_schema_parse(GY_STR(SCHEMA), "s", &s, NULL), GY_OK);
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_table *t = NULL;
        gy_mem_fail_at(nth, 0);
        gy_status status =
            gy_table_parse(GY_STR("id,a,b\n\"x\"\"\",1,2\ny,2,\n"), "test.csv", s, &t, NULL);
        gy_mem_fail_at(0, 0);
        gy_table_free(t);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            assert_true(nth > 8);
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_hash_is_the_documented_one),
        cmocka_unit_test(split_threshold_is_exact),
        cmocka_unit_test(split_holds_the_share_and_stays),
        cmocka_unit_test(features_are_fitted_on_the_training_rows),
        cmocka_unit_test(features_say_what_was_missing),
        cmocka_unit_test(features_of_odd_columns),
        cmocka_unit_test(a_constant_that_rounds_is_a_constant),
        cmocka_unit_test(features_round_trip_bit_for_bit),
        cmocka_unit_test(bad_steps_are_refused),
        cmocka_unit_test(table_with_a_schema),
        cmocka_unit_test(table_without_a_schema),
        cmocka_unit_test(table_refuses_damage),
        cmocka_unit_test(table_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
