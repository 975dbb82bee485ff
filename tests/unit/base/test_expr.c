/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/expr.h"
#include "unit.h"

/* hr 0 number, temp 1 number, unit 2 string, vent 3 bool, any 4 of unknown type, "two words" 5
 * number. */
static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    (void)ctx;
    static const struct {
        const char *name;
        enum gy_expr_type type;
    } names[] = {{"hr", GY_EXPR_NUM},    {"temp", GY_EXPR_NUM}, {"unit", GY_EXPR_STR},
                 {"vent", GY_EXPR_BOOL}, {"any", GY_EXPR_NULL}, {"two words", GY_EXPR_NUM}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (gy_str_eqc(name, names[i].name)) {
            *ret_slot = i;
            *ret_type = names[i].type;
            return true;
        }
    }
    return false;
}

/* The value of text as a string: numbers as repr, strings in quotes. hr=80 temp=null unit='ICU'
 * vent=true any=null. */
static const char *value_of(const char *text, char out[64])
{
    const struct gy_expr_value slots[] = {{.type = GY_EXPR_NUM, .num = 80},
                                          {.type = GY_EXPR_NULL},
                                          {.type = GY_EXPR_STR, .str = GY_STR("ICU")},
                                          {.type = GY_EXPR_BOOL, .b = true},
                                          {.type = GY_EXPR_NULL},
                                          {.type = GY_EXPR_NUM, .num = 3}};
    GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_expr_compile(gy_str_c(text), resolve, NULL, &e, &err) != GY_OK) {
        fail_msg("%s: %s", text, err.msg);
    }
    struct gy_expr_value v;
    if (gy_expr_eval(e, slots, 6, &v, &err) != GY_OK) {
        (void)snprintf(out, 64, "%s", gy_status_name(err.code));
    } else if (v.type == GY_EXPR_NULL) {
        (void)snprintf(out, 64, "null");
    } else if (v.type == GY_EXPR_BOOL) {
        (void)snprintf(out, 64, "%s", v.b ? "true" : "false");
    } else if (v.type == GY_EXPR_NUM) {
        (void)gy_fmt_f64_trim(v.num, out);
    } else {
        (void)snprintf(out, 64, "'%" GY_STR_F "'", GY_STR_A(v.str));
    }
    return out;
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"1 + 2 * 3", "7"},
        {"(1 + 2) * 3", "9"},
        {"10 - 2 - 3", "5"},
        {"-2 * -3", "6"},
        {"- -2", "2"},
        {"7 % 4 + .5", "3.5"},
        {"1 / 0", "null"},
        {"1e308 * 10", "null"},
        {"hr > 90", "false"},
        {"hr >= 80 and hr <= 80", "true"},
        {"hr = 80 and hr == 80 and not hr != 80 and not hr <> 80", "true"},
        {"temp > 38.5", "null"},
        {"temp + 1", "null"},
        {"temp > 38.5 or hr = 80", "true"},
        {"temp > 38.5 and hr = 81", "false"},
        {"temp > 38.5 and hr = 80", "null"},
        {"not (temp > 38.5)", "null"},
        {"temp is null", "true"},
        {"temp is not null", "false"},
        {"hr is null or unit is null", "false"},
        {"null = null", "null"},
        {"unit == 'ICU'", "true"},
        {"unit < \"JCU\"", "true"},
        {"unit in ('ER', 'ICU')", "true"},
        {"unit not in ('ER', 'ICU')", "false"},
        {"hr in (1, 2)", "false"},
        {"hr in (1, temp)", "null"},
        {"hr not in (80, temp)", "false"},
        {"temp in (1, 2)", "null"},
        {"'it''s'", "'it's'"},
        {"lower(unit) = 'icu' and upper('a\xc3\xa9') = 'A\xc3\xa9'", "true"},
        {"lower(unit)", "'icu'"},
        {"len('a\xc3\xa9')", "2"},
        {"len(any)", "null"},
        {"abs(-3) + min(3, 1, 2) + max(1, 2)", "6"},
        {"min(1, temp)", "null"},
        {"floor(-1.5) + ceil(1.2)", "0"},
        {"round(2.5) + round(-2.5)", "0"},
        {"round(0.4)", "0"},
        {"sqrt(9) + exp(0) + log(1)", "4"},
        {"sqrt(-1)", "null"},
        {"log(0)", "null"},
        {"if(hr > 70, 'fast', 'slow')", "'fast'"},
        {"if(temp > 1, 1, 2)", "2"},
        {"vent", "true"},
        {"vent = true and vent != false", "true"},
        {"`two words` * 2", "6"},
        {"any = 3", "null"},
        {"TRUE AND NOT FALSE", "true"},
        {"kg_like_call_free", ""},
        {"true or any", "true"},
        {"false and any", "false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        if (rows[i].value[0] == '\0') {
            struct gy_expr *e = NULL;
            assert_int_equal(gy_expr_compile(gy_str_c(rows[i].text), resolve, NULL, &e, NULL),
                             GY_E_INVALID);
        } else if (strcmp(value_of(rows[i].text, out), rows[i].value) != 0) {
            fail_msg("%s gave %s, not %s", rows[i].text, out, rows[i].value);
        }
    }
}

static void test_compile_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gy_status status;
        const char *message;
    } rows[] = {
        {"", GY_E_PARSE, "column 1"},
        {"hr >", GY_E_PARSE, "column 5"},
        {"hr > 1 2", GY_E_PARSE, "left over at column 8"},
        {"hr # 1", GY_E_PARSE, "column 4"},
        {"(hr", GY_E_PARSE, "')' is missing at column 4"},
        {"'open", GY_E_PARSE, "not closed at column 1"},
        {"1 < hr < 3", GY_E_PARSE, "do not chain"},
        {"hr is 3", GY_E_PARSE, "'is' is followed"},
        {"hr not 3", GY_E_PARSE, "'in' is missing"},
        {"hr in 3", GY_E_PARSE, "needs a list"},
        {"hr in ()", GY_E_PARSE, "a value is missing"},
        {"and", GY_E_PARSE, "a value is missing"},
        {"1.2.3", GY_E_PARSE, ""},
        {"12abc", GY_E_PARSE, "not a number"},
        {"1e999", GY_E_PARSE, "not a number"},
        {"hr & 1", GY_E_PARSE, "column 4"},
        {"unknown > 1", GY_E_INVALID, "unknown name 'unknown' at column 1"},
        {"nofunc(1)", GY_E_INVALID, "unknown function"},
        {"abs(1, 2)", GY_E_INVALID, "number of arguments"},
        {"if(vent, 1)", GY_E_INVALID, "number of arguments"},
        {"abs()", GY_E_PARSE, "a value is missing"},
        {"unit > 3", GY_E_INVALID, "a string is needed, not a number"},
        {"unit + 1", GY_E_INVALID, "a number is needed, not a string, at column 1"},
        {"hr and vent", GY_E_INVALID, "a bool is needed"},
        {"not hr", GY_E_INVALID, "a bool is needed"},
        {"-unit", GY_E_INVALID, "a number is needed"},
        {"hr in (1, 'a')", GY_E_INVALID, "a number is needed"},
        {"vent < true", GY_E_INVALID, "no order"},
        {"if(vent, 1, 'a')", GY_E_INVALID, "a number is needed"},
        {"hr > '\xff'", GY_E_PARSE, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gy_expr *e = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_expr_compile(gy_str_c(rows[i].text), resolve, NULL, &e, &err);
        if (status != rows[i].status || !strstr(err.msg, rows[i].message)) {
            fail_msg("'%s' gave %s: %s", rows[i].text, gy_status_name(status), err.msg);
        }
        assert_null(e);
    }
}

static void test_types_at_evaluation(void **state)
{
    (void)state;
    GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_expr_value v;
    struct gy_expr_value slots[5] = {{.type = GY_EXPR_NUM, .num = 1}};
    assert_status(GY_OK, gy_expr_compile(GY_STR("hr = 1 and any > 3"), resolve, NULL, &e, &err),
                  err);
    slots[4] = (struct gy_expr_value){.type = GY_EXPR_STR, .str = GY_STR("x")};
    assert_int_equal(gy_expr_eval(e, slots, 5, &v, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "different types"));
    slots[4] = (struct gy_expr_value){.type = GY_EXPR_NUM, .num = 4};
    assert_status(GY_OK, gy_expr_eval(e, slots, 5, &v, &err), err);
    assert_true(v.b);
    assert_int_equal(gy_expr_eval(e, slots, 4, &v, &err), GY_E_INVALID); /* too few values */
    slots[0] = (struct gy_expr_value){.type = GY_EXPR_STR, .str = GY_STR("x")};
    assert_int_equal(gy_expr_eval(e, slots, 5, &v, &err), GY_E_INVALID); /* not the promised type */
    GY_AUTO(gy_expr_free) struct gy_expr *shout = NULL;
    assert_status(GY_OK, gy_expr_compile(GY_STR("upper(unit) = 'X'"), resolve, NULL, &shout, &err),
                  err);
    char large[300];
    memset(large, 'a', sizeof large);
    slots[2] = (struct gy_expr_value){.type = GY_EXPR_STR, .str = gy_str_n(large, 300)};
    assert_int_equal(gy_expr_eval(shout, slots, 5, &v, &err), GY_E_INVALID);
}

static void test_numbers_only(void **state)
{
    (void)state;
    GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(
        GY_OK,
        gy_expr_compile(GY_STR("temp > 38.5 or temp < 35.0 and vent"), resolve, NULL, &e, &err),
        err);
    size_t slots[4] = {0};
    assert_int_equal(gy_expr_slots(e, slots, 4), 2);
    assert_int_equal(slots[0], 1);
    assert_int_equal(slots[1], 3);
    assert_str(gy_expr_text(e), "temp > 38.5 or temp < 35.0 and vent");
    static const struct {
        double temp, vent;
        int hit;
    } rows[] = {{39, 0, 1},   {37, 1, 0},   {34, 1, 1},    {34, 0, 0},
                {NAN, 1, -1}, {NAN, 0, -1}, {34, NAN, -1}, {37, NAN, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double values[] = {0, rows[i].temp, 0, rows[i].vent};
        assert_int_equal(gy_expr_test_f64(e, values, 4), rows[i].hit);
    }
    GY_AUTO(gy_expr_free) struct gy_expr *number = NULL;
    assert_status(GY_OK, gy_expr_compile(GY_STR("hr + 1"), resolve, NULL, &number, &err), err);
    assert_int_equal(gy_expr_test_f64(number, (double[]){1}, 1), -1); /* not a condition */
    assert_int_equal(gy_expr_test_f64(e, NULL, 0), -1);
}

/* As a formula: numbers in, a number out, NaN for null on both sides. */
static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum gy_expr_type type;
        double want; /* hr 80, temp missing */
    } rows[] = {
        {"0.02 + 0.001 * hr", GY_EXPR_NUM, 0.02 + 0.001 * 80},
        {"min(1, max(0, hr / 100 - 0.5))", GY_EXPR_NUM, 80.0 / 100 - 0.5},
        {"if(hr > 60, 2, 3) * `two words`", GY_EXPR_NUM, 6},
        {"if(temp is null, 36.6, temp)", GY_EXPR_NUM, 36.6},
        {"hr > 60", GY_EXPR_BOOL, 1},
        {"hr > 90", GY_EXPR_BOOL, 0},
        {"temp > 90 or hr > 60", GY_EXPR_BOOL, 1},
        {"temp > 90", GY_EXPR_BOOL, NAN},
        {"hr + temp", GY_EXPR_NUM, NAN},
        {"hr / (hr - 80)", GY_EXPR_NUM, NAN},
        {"'text'", GY_EXPR_STR, NAN},
    };
    const double values[] = {80, NAN, 0, 0, 0, 3};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
        assert_int_equal(gy_expr_compile(gy_str_c(rows[i].text), resolve, NULL, &e, NULL), GY_OK);
        assert_int_equal(gy_expr_result(e), rows[i].type);
        double got = gy_expr_number_f64(e, values, 6);
        if (isnan(rows[i].want) ? !isnan(got) : got != rows[i].want) {
            fail_msg("%s: %.17g, not %.17g", rows[i].text, got, rows[i].want);
        }
    }
}

static void test_bounds(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    struct gy_expr *e = NULL;
    for (int kind = 0; kind < 4; kind++) {
        static const char *const pieces[] = {"(", "not ", "-", "abs("};
        gy_buf_reset(&b);
        for (int i = 0; i < 200; i++) {
            gy_buf_addc(&b, pieces[kind]);
        }
        gy_buf_addc(&b, "1");
        assert_int_equal(gy_expr_compile(gy_buf_str(&b), resolve, NULL, &e, NULL), GY_E_TOOBIG);
    }
    gy_buf_reset(&b);
    for (int i = 0; i < 200; i++) {
        gy_buf_addc(&b, "1+");
    }
    gy_buf_addc(&b, "1");
    assert_int_equal(gy_expr_compile(gy_buf_str(&b), resolve, NULL, &e, NULL), GY_E_TOOBIG);
    gy_buf_reset(&b);
    for (int i = 0; i < 600; i++) {
        gy_buf_addc(&b, "1,");
    }
    assert_int_equal(gy_expr_compile(gy_str_c("hr in (1)"), resolve, NULL, &e, NULL), GY_OK);
    gy_expr_free(e);
    e = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf list;
    gy_buf_init(&list, GY_MIB);
    gy_buf_addf(&list, "hr in (%s1)", b.p);
    assert_int_equal(gy_expr_compile(gy_buf_str(&list), resolve, NULL, &e, NULL), GY_E_TOOBIG);
    /* A long list of alternatives is wide, not deep. */
    gy_buf_reset(&b);
    for (int i = 0; i < 100; i++) {
        gy_buf_addc(&b, "hr = 1 or ");
    }
    gy_buf_addc(&b, "hr = 2");
    assert_int_equal(gy_expr_compile(gy_buf_str(&b), resolve, NULL, &e, NULL), GY_OK);
    gy_expr_free(e);
    e = NULL;
    gy_buf_reset(&b);
    while (b.n <= GY_EXPR_MAX_TEXT) {
        gy_buf_addc(&b, "          ");
    }
    assert_int_equal(gy_expr_compile(gy_buf_str(&b), resolve, NULL, &e, NULL), GY_E_TOOBIG);
}

static gy_status compile(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
    return gy_expr_compile(GY_STR("hr > 1 and unit in ('a', 'b')"), resolve, NULL, &e, err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(compile, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_compile_errors), cmocka_unit_test(test_types_at_evaluation),
        cmocka_unit_test(test_numbers_only),   cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
