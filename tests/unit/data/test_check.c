/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/id.h"
#include "base/map.h"
#include "base/mem.h"
#include "csv_oracle.h"
#include "data/check.h"
#include "data/unique.h"

static const char SCHEMA[] =
    "columns:\n"
    "  - {name: id, type: int, required: true, unique: true, role: id}\n"
    "  - {name: Temp, type: float, min: 25, max: 45, required: true}\n"
    "  - {name: note, type: string}\n"
    "  - {name: ward, type: string, values: [ICU, A, B, C, D, E, F, G, H, 'I, 2']}\n"
    "  - {name: y, type: int, values: [0, 1], required: true, role: label, not_in: [SERVING]}\n";

/* One table: a header, then records; out gets the canonical lines and, for a dead record, "!" with
 * its codes, the column and the reason. */
static gy_status run(const char *schema_text, const char *environment, const char *csv,
                     struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(gy_schema_parse(gy_str_c(schema_text), "s", &schema, err));
    struct slow_reader in = slow_reader(gy_str_c(csv), 0);
    GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
    GY_AUTO(gy_checker_free) struct gy_checker *checker = NULL;
    GY_AUTO_DONE(gy_reasons_done) struct gy_reasons reasons;
    gy_reasons_init(&reasons);
    struct gy_csv_options o = {.delimiter = ',', .record_max = 100};
    GY_TRY(gy_csv_open(&in.reader, &o, &c, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(c, &item, &more, err));
        if (!more) {
            return gy_buf_check(out, "test", err);
        }
        if (item.kind == GY_CSV_HEADER) {
            struct gy_csv_field fields[16];
            size_t n = gy_csv_split(item.raw, item.quotes, ',', fields, 16);
            GY_TRY(gy_checker_new(schema, gy_str_c(environment), fields, n, &checker, err));
            gy_checker_header(checker, out);
        } else if (item.kind == GY_CSV_RECORD) {
            size_t before = out->n;
            GY_TRY(gy_checker_record(checker, &item, ',', out, &reasons, err));
            if (reasons.codes) {
                assert_int_equal(out->n, before);
                for (int code = 0; code < GY_DEAD_N; code++) {
                    if (reasons.codes >> code & 1) {
                        gy_buf_addf(out, "!%s", gy_dead_name((enum gy_dead_code)code));
                    }
                }
                gy_buf_addf(out, "@%s", reasons.column ? reasons.column->name.p : "-");
                gy_buf_addf(out, " %s\n", reasons.text.p);
            }
        }
    }
}

static void check_by(const char *schema, const char *environment, const char *csv, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    if (run(schema, environment, csv, &out, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(out.p, want);
}

static void check(const char *csv, const char *want)
{
    check_by(SCHEMA, NULL, csv, want);
}

static void test_canonical(void **state)
{
    (void)state;
    /* Columns in any order, every spelling: one text. */
    check("y,note,Temp,ward,id\n1,x,37.50,ICU,007\n", "id,Temp,note,ward,y\n7,37.5,x,ICU,1\n");
    check("id,Temp,note,ward,y\n7,\" 37.5 \",\"x\",\"ICU\",1.0\n",
          "id,Temp,note,ward,y\n7,37.5,x,ICU,1\n");
    /* Strings: quoted only where needed; absent columns and markers are empty. */
    check("id,Temp,note,ward,y\n1,37,\"a \"\"b\"\", c\",\"I, 2\",0\n2,37,NaN,,0\n3,37, ,,0\n",
          "id,Temp,note,ward,y\n1,37,\"a \"\"b\"\", c\",\"I, 2\",0\n2,37,,,0\n3,37, ,,0\n");
    check("id,Temp,y\n1,37,0\n", "id,Temp,note,ward,y\n1,37,,,0\n");
}

static void test_each_code(void **state)
{
    (void)state;
    static const struct {
        const char *record, *want;
    } cases[] = {
        {"1,37,a,ICU", "!FIELDS@- 4 fields; the header has 5"},
        {"1,37,a,ICU,1,1", "!FIELDS@- 6 fields; the header has 5"},
        {"1,37,\"a,ICU,1",
         "!QUOTE@- a quoted field never ends well: no delimiter, newline or end behind it"},
        {"1,37,a\xff,ICU,1", "!UTF8@note note: not UTF-8"},
        {"1,3\xc3(,a,ICU,1", "!UTF8@Temp Temp: not UTF-8"},
        {"1\xff,37", "!FIELDS!UTF8@- 2 fields; the header has 5; not UTF-8"},
        {"x,37,a,ICU,1", "!TYPE@id id: 'x' is not of type int"},
        {"1,45.01,a,ICU,1", "!RANGE@Temp Temp: 45.01 is above the maximum 45"},
        {"1,24,a,ICU,1", "!RANGE@Temp Temp: 24 is below the minimum 25"},
        {"1,NaN,a,ICU,1", "!REQUIRED@Temp Temp: the value is missing"},
        {"1,37,a,ICU,", "!REQUIRED@y y: the value is missing"},
        {"1,37,a,icu,1", "!VALUES@ward ward: 'icu' is not one of the allowed values"},
        {"1,37,a,ICU,2", "!VALUES@y y: '2' is not one of the allowed values"},
        {"x,46,a\xff,Z,", "!UTF8!TYPE!RANGE!REQUIRED!VALUES@id id: 'x' is not of type int; Temp: "
                          "46 is above the maximum 45; note: not UTF-8; ward: 'Z' is not one of "
                          "the allowed values; y: the value is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char csv[256], want[512];
        (void)snprintf(csv, sizeof csv, "id,Temp,note,ward,y\n%s\n", cases[i].record);
        (void)snprintf(want, sizeof want, "id,Temp,note,ward,y\n%s\n", cases[i].want);
        check(csv, want);
    }
    char line[140], csv[200];
    memset(line, '7', sizeof line);
    line[139] = '\0';
    (void)snprintf(csv, sizeof csv, "id,Temp,note,ward,y\n%s\n", line);
    check(csv, "id,Temp,note,ward,y\n!TOOLONG@- a line of 139 bytes\n");
}

static void test_lists(void **state)
{
    (void)state;
    static const char schema[] =
        "columns:\n"
        "  - {name: n, type: int, min: 0, list: ';', value_count: {min: 2, max: 3}}\n"
        "  - {name: tag, type: string, values: [a, b], list: '|'}\n"
        "  - {name: ok, type: bool, list: ' '}\n"
        "missing: ['', NaN]\n";
    check_by(schema, NULL, "n,tag,ok\n1.0; 02 ;3,a|b|a,0 1 true\n,,\n1;2,b,\n",
             "n,tag,ok\n1;2;3,a|b|a,false true true\n,,\n1;2,b,\n");
    check_by(
        schema, NULL, "n,tag\n1,a\n1;2;3;4,a\n1;x;-1,c|a\n1;;2,\n",
        "n,tag,ok\n"
        "!VALUES@n n: 1 values in the list, more are wanted\n"
        "!VALUES@n n: 4 values in the list, fewer are wanted\n"
        "!TYPE!RANGE!VALUES@n n: 'x' is not of type int; n: -1 is below the minimum 0; tag: 'c' "
        "is not one of the allowed values\n"
        "!REQUIRED@n n: a value of the list is missing\n");
}

static void test_domains_and_lifecycles(void **state)
{
    (void)state;
    /* Below 1 the table is judged, not the record. */
    check_by("columns: [{name: a, type: string, values: [x], min_domain_mass: 0.9}]", NULL,
             "a\nx\ny\n", "a\nx\ny\n");
    check_by("columns: [{name: a, type: int}, {name: b, type: int, required: true, lifecycle: "
             "planned}]",
             NULL, "a\n1\n", "a\n1\n");
    check_by("columns: [{name: a, type: int}, {name: b, type: int, required: true, in: [TRAIN]}]",
             "SERVE", "a\n1\n", "a\n1\n");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(run("columns: [{name: a, type: int}]\nenvironments: [TRAIN]\n", "SERVE",
                         "a\n1\n", &out, &err),
                     GY_E_INVALID);
}

static void test_times_say_their_zone(void **state)
{
    (void)state;
    check_by("columns: [{name: t, type: time}, {name: u, type: time, zone: '-01:00'}]", NULL,
             "t,u\n2011-01-01,2011-01-01 05:00:00\n2011-01-01 05:00:00,\n2011-13-01,\n",
             "t,u\n2011-01-01,2011-01-01T06:00:00Z\n"
             "!TYPE@t t: '2011-01-01 05:00:00' says no zone, and the schema names none\n"
             "!TYPE@t t: '2011-13-01' is not of type time\n");
}

static void test_unique(void **state)
{
    (void)state;
    /* Only an accepted record takes its id, and the canonical value counts. */
    check("id,Temp,note,ward,y\n5,99,,,0\n5,37,,,0\n005,37,,,0\n5,99,,,0\n6,37,,,0\n",
          "id,Temp,note,ward,y\n"
          "!RANGE@Temp Temp: 99 is above the maximum 45\n"
          "5,37,,,0\n"
          "!UNIQUE@id id: '5' was in an accepted record before\n"
          "!RANGE!UNIQUE@Temp Temp: 99 is above the maximum 45; id: '5' was in an accepted record "
          "before\n"
          "6,37,,,0\n");
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    check("id,Temp,note,ward,y\n"
          "1,12345678901234567890123456789012345678\xc3\xa9\xc3\xa9xyz,,,0\n",
          "id,Temp,note,ward,y\n!TYPE@Temp Temp: "
          "'12345678901234567890123456789012345678\xc3\xa9...' is not of type float\n");
}

static void test_one_empty_column(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(run("columns: [{name: a, type: string}]", NULL, "a\nNaN\nx\n", &out, NULL),
                     GY_OK);
    assert_string_equal(out.p, "a\n\"\"\nx\n");
}

static void check_header(const char *environment, const char *header, const char *want_msg,
                         const char *want_hint)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    gy_status status = run(SCHEMA, environment, header, &out, &err);
    if (!want_msg) {
        assert_int_equal(status, GY_OK);
        assert_string_equal(out.p, want_hint);
        return;
    }
    assert_int_equal(status, GY_E_SCHEMA);
    if (!strstr(err.msg, want_msg) || !strstr(err.hint, want_hint)) {
        fail_msg("'%s': '%s' (%s)", header, err.msg, err.hint);
    }
}

static void test_headers(void **state)
{
    (void)state;
    check_header(NULL, "id,Tempp,y\n", "a column 'Tempp' that the schema does not know",
                 "is it 'Temp'?");
    check_header(NULL, "id,Temp,Temp,y\n", "the column 'Temp' twice", "");
    check_header(NULL, "id,y\n", "no column 'Temp', which is required", "");
    check_header(NULL, "id,Temp\n", "no column 'y', which is required", "--environment SERVING");
    check_header("SERVING", "id,Temp\n", NULL, "id,Temp,note,ward\n");
    /* What is there is kept, environment or not. */
    check_header("SERVING", "y,id,Temp\n", NULL, "id,Temp,note,ward,y\n");
    check_header("SERVING", "id\n", "no column 'Temp'", "");
    check_header(NULL, "\"id\", Temp ,y\n", NULL, "id,Temp,note,ward,y\n");
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static const char csv[] = "id,Temp,note,ward,y\n1,37,\"a\"\"b\",ICU,0\n1,99,a,Z,\n2,37,,,1\n";
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_buf out;
        gy_buf_init(&out, GY_MIB);
        gy_mem_fail_at(nth, 1);
        gy_status status = run(SCHEMA, NULL, csv, &out, NULL);
        gy_mem_fail_at(0, 0);
        gy_buf_done(&out);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK && nth > 100) {
            break;
        }
        /* A reason's text may be lost (it is for people); the verdict may not. */
        assert_true(status == GY_E_NOMEM || status == GY_OK);
    }
}

/* The exact set against a plain map, through several growths. */
static void test_unique_set(void **state)
{
    (void)state;
    struct gy_unique u;
    struct gy_rng rng;
    GY_AUTO_DONE(gy_map_done) struct gy_map map;
    gy_map_init(&map, 100000);
    gy_rng_init(&rng, 11);
    assert_int_equal(gy_unique_init(&u, NULL), GY_OK);
    for (int i = 0; i < 60000; i++) {
        char text[300];
        /* Some count up, some come out of turn, some are spelled so that they are no numbers. */
        uint64_t id = i % 3 ? (uint64_t)i / 2 : gy_rng_below(&rng, 40000);
        size_t n =
            (size_t)snprintf(text, sizeof text, i % 17 ? "%llu" : "0%llu", (unsigned long long)id);
        if (i % 100 == 0) { /* a length of two bytes */
            memset(text + n, 'x', sizeof text - n);
            n = sizeof text;
        }
        struct gy_str s = gy_str_n(text, n);
        gy_unique_ask(&u, s);
        bool has = gy_unique_has(&u, s);
        assert_int_equal(has, gy_map_has(&map, s));
        if (!has) {
            assert_int_equal(gy_unique_add(&u, s, NULL), GY_OK);
            assert_int_equal(gy_map_put(&map, s, &u, NULL), GY_OK);
        }
    }
    assert_int_equal(u.n, map.n_live);
    assert_true(u.n_pooled > 1000 && u.n_pooled < u.n / 2);
    gy_unique_done(&u);
}

/* Dense numbers take bits, from wherever they start and in whatever order; those that lie far apart
 * do not make the bits grow without bounds. */
static void test_dense_numbers_take_bits(void **state)
{
    (void)state;
    struct gy_unique u;
    assert_int_equal(gy_unique_init(&u, NULL), GY_OK);
    for (int i = 0; i < 100000; i++) {
        char text[16]; /* 7919 and 100000 have no common factor: each comes once */
        const int number = 7 + (int)((int64_t)i * 7919 % 100000);
        struct gy_str s = gy_str_n(text, (size_t)snprintf(text, sizeof text, "%d", number));
        gy_unique_ask(&u, s);
        assert_false(gy_unique_has(&u, s));
        assert_int_equal(gy_unique_add(&u, s, NULL), GY_OK);
    }
    assert_int_equal(u.n_pooled, 0);
    assert_true(u.n_words * 64 < 4 * 100000);
    static const struct {
        const char *text;
        bool has;
    } cases[] = {{"6", false}, {"7", true}, {"100006", true}, {"100007", false}, {"07", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gy_unique_ask(&u, gy_str_c(cases[i].text));
        assert_int_equal(gy_unique_has(&u, gy_str_c(cases[i].text)), cases[i].has);
    }
    gy_unique_done(&u);
}

static void test_far_numbers_are_pooled(void **state)
{
    (void)state;
    struct gy_unique u;
    struct gy_rng rng;
    static const int64_t steps[] = {1, 40, 5000, 1000000007};
    for (size_t k = 0; k < 4; k++) {
        assert_int_equal(gy_unique_init(&u, NULL), GY_OK);
        gy_rng_init(&rng, k);
        int64_t number = k == 1 ? 900000000000 : 0;
        for (int i = 0; i < 50000; i++) {
            char text[32];
            number += 1 + (int64_t)gy_rng_below(&rng, (uint64_t)steps[k]);
            struct gy_str s =
                gy_str_n(text, (size_t)snprintf(text, sizeof text, "%lld", (long long)number));
            gy_unique_ask(&u, s);
            assert_false(gy_unique_has(&u, s));
            assert_int_equal(gy_unique_add(&u, s, NULL), GY_OK);
            gy_unique_ask(&u, s);
            assert_true(gy_unique_has(&u, s));
        }
        assert_true(u.n_words * 8 < 2 * (GY_MIB + 4 * u.n)); /* half more than was asked for */
        assert_true(k < 2 ? u.n_pooled == 0 : u.n_pooled > 0);
        gy_unique_done(&u);
    }
}

static void test_unique_set_survives_failure(void **state)
{
    (void)state;
    struct gy_unique u;
    assert_int_equal(gy_unique_init(&u, NULL), GY_OK);
    size_t added = 0;
    for (int i = 0; i < 3000; i++) {
        char text[16];
        struct gy_str s = gy_str_n(text, (size_t)snprintf(text, sizeof text, "%d", 3 * i));
        gy_unique_ask(&u, s);
        assert_false(gy_unique_has(&u, s));
        gy_mem_fail_at(1, 0);
        gy_status status = gy_unique_add(&u, s, NULL);
        gy_mem_fail_at(0, 0);
        if (status != GY_OK) {
            assert_int_equal(status, GY_E_NOMEM);
            assert_int_equal(u.n, added);
            gy_unique_ask(&u, s);
            assert_false(gy_unique_has(&u, s));
            assert_int_equal(gy_unique_add(&u, s, NULL), GY_OK);
        }
        added++;
        gy_unique_ask(&u, s);
        assert_true(gy_unique_has(&u, s));
    }
    gy_unique_done(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_domains_and_lifecycles),
        cmocka_unit_test(test_times_say_their_zone),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_each_code),
        cmocka_unit_test(test_unique),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_one_empty_column),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_unique_set),
        cmocka_unit_test(test_dense_numbers_take_bits),
        cmocka_unit_test(test_far_numbers_are_pooled),
        cmocka_unit_test(test_unique_set_survives_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
