/* SPDX-License-Identifier: Apache-2.0 */
/* The split, the feature steps and tables. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
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

static const double g_column[6] = {1, NAN, 4, 100, 7, NAN};
static const uint32_t g_rows[4] = {0, 1, 2, 4}; /* 1, missing, 4, 7: row 3 is held out */

static struct gy_feature fit(enum gy_impute impute, double constant, bool scale)
{
    const double *columns[1] = {g_column};
    struct gy_features f;
    assert_int_equal(gy_features_fit(columns, 1, g_rows, 4, impute, constant, scale, &f, NULL),
                     GY_OK);
    struct gy_feature step = f.items[0];
    gy_features_done(&f);
    return step;
}

static void features_are_fitted_on_the_training_rows(void **state)
{
    (void)state;
    struct gy_feature f = fit(GY_IMPUTE_MEDIAN, 0, true);
    assert_true(f.fill == 4 && f.mean == 4); /* 1, 4, 4, 7 */
    assert_true(fabs(f.sd - sqrt(4.5)) < 1e-15);
    f = fit(GY_IMPUTE_MEAN, 0, false);
    assert_true(f.fill == 4 && !f.scale);
    f = fit(GY_IMPUTE_CONSTANT, -1, true);
    assert_true(f.fill == -1 && f.mean == 2.75);
    f = fit(GY_IMPUTE_NONE, 0, true); /* what is there */
    assert_true(f.mean == 4 && fabs(f.sd - sqrt(6)) < 1e-15);
}

static void features_apply_what_was_fitted(void **state)
{
    (void)state;
    struct gy_feature items[2] = {
        {.impute = GY_IMPUTE_MEDIAN, .fill = 5, .scale = true, .mean = 3, .sd = 2},
        {.impute = GY_IMPUTE_NONE, .sd = 1}};
    const struct gy_features f = {.items = items, .n = 2};
    const double in[4] = {NAN, NAN, 7, 8};
    double out[4];
    gy_features_apply(&f, in, 2, out);
    assert_true(out[0] == 1 && isnan(out[1]) && out[2] == 2 && out[3] == 8);
    assert_false(gy_features_is_identity(&f));
    items[0] = items[1];
    assert_true(gy_features_is_identity(&f));
}

static void features_of_odd_columns(void **state)
{
    (void)state;
    const double constant[3] = {5, 5, 5}, missing[3] = {NAN, NAN, NAN},
                 infinite[3] = {1, INFINITY, 2};
    const double *columns[2] = {constant, missing};
    const uint32_t rows[3] = {0, 1, 2};
    struct gy_features f;
    assert_int_equal(gy_features_fit(columns, 2, rows, 3, GY_IMPUTE_MEDIAN, 0, true, &f, NULL),
                     GY_OK);
    assert_true(f.items[0].sd == 1 && f.items[0].mean == 5);
    assert_true(f.items[1].fill == 0 && f.items[1].sd == 1);
    gy_features_done(&f);
    columns[0] = infinite;
    assert_int_equal(gy_features_fit(columns, 2, rows, 3, GY_IMPUTE_MEDIAN, 0, true, &f, NULL),
                     GY_E_INVALID);
}

/* The mean of ten times 0.1 is not 0.1: the deviation of 1e-17 would make 1e16 out of a 0.2. */
static void a_constant_that_rounds_is_a_constant(void **state)
{
    (void)state;
    double constant[10], huge[2] = {1.5e308, 1.5e308}, wide[2] = {-1e300, 1e300};
    const double *columns[1] = {constant};
    uint32_t rows[10];
    struct gy_features f;
    for (uint32_t i = 0; i < 10; i++) {
        constant[i] = 0.1;
        rows[i] = i;
    }
    assert_int_equal(gy_features_fit(columns, 1, rows, 10, GY_IMPUTE_MEDIAN, 0, true, &f, NULL),
                     GY_OK);
    assert_true(f.items[0].mean != 0.1 && f.items[0].sd == 1);
    gy_features_done(&f);
    /* what can not be scaled is told, not left unscaled */
    columns[0] = huge;
    assert_int_equal(gy_features_fit(columns, 1, rows, 2, GY_IMPUTE_MEDIAN, 0, true, &f, NULL),
                     GY_E_INVALID);
    assert_int_equal(gy_features_fit(columns, 1, rows, 2, GY_IMPUTE_MEAN, 0, false, &f, NULL),
                     GY_E_INVALID);
    columns[0] = wide;
    assert_int_equal(gy_features_fit(columns, 1, rows, 2, GY_IMPUTE_MEDIAN, 0, true, &f, NULL),
                     GY_E_INVALID);
}

/* Every double comes back from the JSON text with the same bits. */
static void features_round_trip_bit_for_bit(void **state)
{
    (void)state;
    const struct gy_feature f = {
        .impute = GY_IMPUTE_MEAN, .fill = 0.1 + 0.2, .scale = true, .mean = 1.0 / 3, .sd = 1e-300};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_feature back;
    struct gy_jw w;
    gy_buf_init(&text, 4096);
    gy_jw_init(&w, &text);
    gy_feature_write(&w, &f);
    assert_int_equal(gy_json_parse(gy_buf_str(&text), &doc, NULL), GY_OK);
    assert_int_equal(gy_feature_read(yyjson_doc_get_root(doc), &back, NULL), GY_OK);
    assert_memory_equal(&back.fill, &f.fill, sizeof f.fill);
    assert_memory_equal(&back.mean, &f.mean, sizeof f.mean);
    assert_memory_equal(&back.sd, &f.sd, sizeof f.sd);
    assert_int_equal(back.impute, f.impute);
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
        cmocka_unit_test(features_apply_what_was_fitted),
        cmocka_unit_test(features_of_odd_columns),
        cmocka_unit_test(a_constant_that_rounds_is_a_constant),
        cmocka_unit_test(features_round_trip_bit_for_bit),
        cmocka_unit_test(table_with_a_schema),
        cmocka_unit_test(table_without_a_schema),
        cmocka_unit_test(table_refuses_damage),
        cmocka_unit_test(table_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
