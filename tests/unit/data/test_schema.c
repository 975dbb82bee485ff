/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/schema.h"

static const char FULL[] =
    "columns:\n"
    "  - {name: id, type: int, required: true, unique: true, role: id}\n"
    "  - {name: Temp, type: float, unit: '\xc2\xb0"
    "C', min: 25, max: 45.5, required: true}\n"
    "  - {name: ward, type: string, values: [ICU, 'a, b', \"q\\\"x\"]}\n"
    "  - {name: ok, type: bool, values: [true]}\n"
    "  - {name: 2011, type: time}\n"
    "  - {name: y, type: int, values: [0, 1.0], role: label, not_in: [SERVING, TEST]}\n"
    "missing: ['', NaN, '?']\n";

static struct gy_schema *parse(const char *text)
{
    struct gy_schema *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_schema_parse(gy_str_c(text), "schema.yaml", &s, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return s;
}

static void check_full(const struct gy_schema *s)
{
    assert_int_equal(s->n_columns, 6);
    const struct gy_column *c = gy_schema_column(s, GY_STR("Temp"));
    assert_non_null(c);
    assert_int_equal(gy_schema_index(s, c), 1);
    assert_int_equal(c->type, GY_TYPE_FLOAT);
    assert_true(c->has_min && c->has_max && c->min == 25 && c->max == 45.5);
    assert_true(gy_str_eqc(c->unit, "\xc2\xb0"
                                    "C"));
    assert_true(c->required && !c->unique);
    c = gy_schema_role(s, GY_ROLE_LABEL);
    assert_true(gy_str_eqc(c->name, "y"));
    assert_int_equal(c->n_values, 2);
    assert_true(gy_str_eqc(c->values[1], "1")); /* canonical */
    assert_true(gy_column_in(c, GY_STR_NULL));
    assert_true(gy_column_in(c, GY_STR("TRAINING")));
    assert_false(gy_column_in(c, GY_STR("TEST")));
    c = gy_schema_role(s, GY_ROLE_ID);
    assert_true(gy_str_eqc(c->name, "id") && c->unique);
    assert_null(gy_schema_role(s, GY_ROLE_WEIGHT));
    assert_null(gy_schema_column(s, GY_STR("temp")));
    assert_int_equal(gy_schema_column(s, GY_STR("2011"))->type, GY_TYPE_TIME);
    c = gy_schema_column(s, GY_STR("ward"));
    assert_true(gy_str_eqc(c->values[1], "a, b") && gy_str_eqc(c->values[2], "q\"x"));
    assert_true(gy_schema_is_missing(s, GY_STR("?")) && gy_schema_is_missing(s, GY_STR("NaN")) &&
                gy_schema_is_missing(s, GY_STR("")));
    assert_false(gy_schema_is_missing(s, GY_STR("nan")));
}

static void test_parse(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = parse(FULL);
    check_full(s);
}

static void test_defaults(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = parse("columns: [{name: a, type: float}]");
    assert_int_equal(s->columns[0].role, GY_ROLE_FEATURE);
    assert_false(s->columns[0].required || s->columns[0].unique || s->columns[0].has_min);
    assert_true(gy_schema_is_missing(s, GY_STR("NaN")) && gy_schema_is_missing(s, GY_STR("")));
    assert_false(gy_schema_is_missing(s, GY_STR("?")));
}

/* What is written reads back as the same, in both forms. */
static void test_round_trips(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = parse(FULL);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf yaml, json, again;
    gy_buf_init(&yaml, GY_MIB);
    gy_buf_init(&json, GY_MIB);
    gy_buf_init(&again, GY_MIB);
    gy_schema_yaml(s, &yaml);
    gy_schema_json(s, &json);
    GY_AUTO(gy_schema_free) struct gy_schema *from_yaml = parse(yaml.p);
    check_full(from_yaml);
    GY_AUTO(gy_schema_free) struct gy_schema *from_json = parse(json.p);
    check_full(from_json);
    gy_schema_json(from_yaml, &again);
    assert_string_equal(again.p, json.p);
}

static void test_image_sizes(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        parse("columns: [{name: a, type: image, width: 300, height: 200, channels: 3}, "
              "{name: b, type: image, channels: 1}, {name: c, type: image}]");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf yaml, json;
    gy_buf_init(&yaml, GY_MIB);
    gy_buf_init(&json, GY_MIB);
    gy_schema_yaml(s, &yaml);
    gy_schema_json(s, &json);
    GY_AUTO(gy_schema_free) struct gy_schema *from_yaml = parse(yaml.p);
    GY_AUTO(gy_schema_free) struct gy_schema *from_json = parse(json.p);
    const struct gy_schema *all[] = {s, from_yaml, from_json};
    for (size_t i = 0; i < 3; i++) {
        const struct gy_column *c = all[i]->columns;
        assert_true(c[0].width == 300 && c[0].height == 200 && c[0].channels == 3);
        assert_true(c[1].width == 0 && c[1].height == 0 && c[1].channels == 1);
        assert_true(c[2].width == 0 && c[2].height == 0 && c[2].channels == 0);
    }
    assert_null(strstr(json.p, "\"width\":0"));
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } cases[] = {
        {"columns: [{name: a, type: flot}]", "schema.yaml:1:27: unknown type 'flot'",
         "did you mean 'float'?"},
        {"columns: [{name: a, type: int, requird: true}]", "unknown key 'requird'",
         "did you mean 'required'?"},
        {"colums: []", "unknown key 'colums'", "did you mean 'columns'?"},
        {"columns: [{name: a, type: int, role: labl}]", "unknown role 'labl'",
         "did you mean 'label'?"},
        {"columns: [{name: a, type: sound}]", "unknown type 'sound'", "one of int"},
        {"columns: [{name: a, type: image, min: 3}]", "min is for columns of type int", ""},
        {"columns: [{name: a, type: string, width: 3}]", "width is for columns of type image", ""},
        {"columns: [{name: a, type: image, height: 0}]", "height: a number from 1 to 65535", ""},
        {"columns: [{name: a, type: image, width: 65536}]", "width: a number from 1 to 65535", ""},
        {"columns: [{name: a, type: image, width: 2.5}]", "width: a number from 1 to 65535", ""},
        {"columns: [{name: a, type: image, channels: 5}]", "channels: a number from 1 to 4", ""},
        {"columns: []", "a list of 1 to", ""},
        {"columns: [{name: a}]", "a column needs name and type", ""},
        {"columns: [a]", "a column is a map", ""},
        {"columns: [{name: a, type: int}, {name: a, type: int}]", "column 'a' is there twice", ""},
        {"columns: [{name: '', type: int}]", "a column name is a text", ""},
        {"columns: [{name: \"a\\0b\", type: int}]", "a column name is a text", ""},
        {"columns: [{name: a, type: int, unit: [mmHg]}]", "unit: a text is wanted", ""},
        {"columns: [{name: a, type: int, min: 3, max: 2}]", "min is above max", ""},
        {"columns: [{name: a, type: string, min: 3}]", "min is for columns of type int", ""},
        {"columns: [{name: a, type: int, min: low}]", "min: a number is wanted", ""},
        {"columns: [{name: a, type: int, min: .inf}]", "min: a number is wanted", ""},
        {"columns: [{name: a, type: int, values: [x]}]", "'x' is not of type int", ""},
        {"columns: [{name: a, type: int, required: maybe}]", "true or false", ""},
        {"columns: [{name: a, type: int, not_in: {x: 1}}]", "not_in: a list", ""},
        {"columns: [{name: a, type: int}]\nmissing: [[a]]", "missing: a text is wanted", ""},
        {"[1]", "a schema is a map", ""},
        {"", "a schema is a map", ""},
        {"columns: [", "schema.yaml", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        struct gy_schema *s = NULL;
        gy_status status = gy_schema_parse(gy_str_c(cases[i].text), "schema.yaml", &s, &err);
        assert_true(status == GY_E_INVALID || status == GY_E_PARSE);
        assert_null(s);
        if (!strstr(err.msg, cases[i].message) || !strstr(err.hint, cases[i].hint)) {
            fail_msg("%s: '%s' (%s)", cases[i].text, err.msg, err.hint);
        }
    }
}

/* 200 numbers, one of them spoilt: strictly a text, mostly a float. */
static void test_infer_most(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, GY_MIB);
    gy_buf_addc(&csv, "n,x,when,word\n");
    for (int i = 0; i < 200; i++) {
        gy_buf_addf(&csv, i == 77 ? "%d,1.2.3,yesterday,w%d\n" : "%d,1.5,2024-01-02,w%d\n", i, i);
    }
    struct gy_err err = GY_ERR_INIT;
    for (int i = 0; i < 2; i++) {
        GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
        assert_int_equal(gy_schema_infer_most(gy_buf_str(&csv), true, i ? 0.01 : 0, &s, &err),
                         GY_OK);
        assert_int_equal(s->columns[0].type, GY_TYPE_INT);
        assert_int_equal(s->columns[1].type, i ? GY_TYPE_FLOAT : GY_TYPE_STRING);
        assert_int_equal(s->columns[2].type, i ? GY_TYPE_TIME : GY_TYPE_STRING);
        assert_int_equal(s->columns[3].type, GY_TYPE_STRING);
    }
}

static void test_infer(void **state)
{
    (void)state;
    static const char csv[] = "patient_id;i;f;b;t;s;n;z\r\n"
                              "1;5;5;true;2011-01-01;x;NaN;0\r\n"
                              "2;?;5.0;false;2011-01-02 10:00:00;7;;1\r\n"
                              "\"broken\r\n"
                              "3;-1;1e3;TRUE;NA;\"a;b\";;0\r\n"
                              "3;cut";
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_schema_infer(gy_str_c(csv), false, &s, &err), GY_OK);
    static const enum gy_type want[] = {GY_TYPE_INT,  GY_TYPE_INT,    GY_TYPE_FLOAT,  GY_TYPE_BOOL,
                                        GY_TYPE_TIME, GY_TYPE_STRING, GY_TYPE_STRING, GY_TYPE_INT};
    assert_int_equal(s->n_columns, 8);
    for (size_t i = 0; i < 8; i++) {
        if (s->columns[i].type != want[i]) {
            fail_msg("%s: %s", s->columns[i].name.p, gy_type_name(s->columns[i].type));
        }
        assert_false(s->columns[i].required);
    }
    assert_int_equal(s->columns[0].role, GY_ROLE_ID);
    assert_true(gy_schema_is_missing(s, GY_STR("?")) && gy_schema_is_missing(s, GY_STR("NA")) &&
                gy_schema_is_missing(s, GY_STR("NaN")));
    assert_false(gy_schema_is_missing(s, GY_STR("null")));
    /* A repeated id is no id. */
    GY_AUTO(gy_schema_free) struct gy_schema *twice = NULL;
    assert_int_equal(gy_schema_infer(GY_STR("id\n1\n1\n"), true, &twice, &err), GY_OK);
    assert_int_equal(twice->columns[0].role, GY_ROLE_FEATURE);
    struct gy_schema *none = NULL;
    assert_int_equal(gy_schema_infer(GY_STR("\n\n"), true, &none, &err), GY_E_PARSE);
    assert_int_equal(gy_schema_infer(GY_STR("a,,c\n"), true, &none, &err), GY_E_PARSE);
    assert_null(none);
}

static void test_find(void **state)
{
    (void)state;
    char dir[] = "/tmp/gyre-test-XXXXXX", sub[64], file[64], found[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(sub, sizeof sub, "%s/a/b", dir);
    assert_int_equal(gy_dir_make(sub, &err), GY_OK);
    (void)snprintf(file, sizeof file, "%s/schema.yaml", dir);
    assert_int_equal(gy_file_write(file, GY_STR("columns: []"), 0644, &err), GY_OK);
    assert_int_equal(gy_schema_find(sub, found, &err), GY_OK);
    assert_string_equal(found, file);
    /* A project in between has none: the search stays inside it. */
    (void)snprintf(file, sizeof file, "%s/a/gyre.yaml", dir);
    assert_int_equal(gy_file_write(file, GY_STR(""), 0644, &err), GY_OK);
    assert_int_equal(gy_schema_find(sub, found, &err), GY_E_NOTFOUND);
    assert_int_equal(gy_dir_remove(dir, &err), GY_OK);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_schema *s = NULL;
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_schema_parse(gy_str_c(FULL), "schema.yaml", &s, NULL);
        gy_mem_fail_at(0, 0);
        gy_schema_free(s);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

/* ---- what a table is held against ---- */

static const char TABLE[] =
    "columns:\n"
    "  - {name: t, type: time, zone: '+02:00', role: event_time}\n"
    "  - {name: l, type: time, zone: none}\n"
    "  - {name: tags, type: string, values: [a, b], list: ';', value_count: {min: 1, max: 2},\n"
    "     min_domain_mass: 0.5, distinct: {min: 1, max: 9}, drift: {infinity_norm: 0.25}}\n"
    "  - {name: code, type: int, categorical: true, in: [TRAINING], lifecycle: beta,\n"
    "     skew: {infinity_norm: 0.1, jensen_shannon_divergence: 0.2,\n"
    "            normalized_abs_difference: 0.3}}\n"
    "  - {name: x, type: float, min_fraction: 0.9, min_count: 7, lifecycle: alpha,\n"
    "     severity: {FLOAT_TYPE_HAS_NAN: IGNORE}}\n"
    "environments: [TRAINING, SERVING]\n"
    "rows: {min: 3, max: 9, drift: {min_fraction: 0.5, max_fraction: 2}}\n"
    "severity: {SCHEMA_NEW_COLUMN: WARNING, FLOAT_TYPE_HAS_NAN: WARNING}\n";

static void check_table(const struct gy_schema *s)
{
    const struct gy_column *t = &s->columns[0], *tags = &s->columns[2], *code = &s->columns[3],
                           *x = &s->columns[4];
    assert_non_null(t->clock);
    assert_true(gy_str_eqc(s->columns[1].zone, "none") && !s->columns[1].clock);
    assert_true(gy_str_eqc(tags->list, ";") && tags->min_values == 1 && tags->max_values == 2);
    assert_true(tags->min_domain_mass == 0.5 && tags->min_distinct == 1 && tags->max_distinct == 9);
    assert_true(tags->drift.infinity_norm == 0.25 && isnan(tags->drift.jensen_shannon) &&
                isnan(tags->skew.infinity_norm));
    assert_true(code->categorical && code->lifecycle == GY_LIFECYCLE_BETA);
    assert_true(code->skew.infinity_norm == 0.1 && code->skew.jensen_shannon == 0.2 &&
                code->skew.normalized_abs_difference == 0.3);
    assert_true(gy_column_in(code, GY_STR("TRAINING")) && gy_column_in(code, GY_STR_NULL));
    assert_false(gy_column_in(code, GY_STR("SERVING")));
    assert_true(x->min_fraction == 0.9 && x->min_count == 7 && gy_column_optional(x));
    assert_true(x->min_domain_mass == 1 && x->max_distinct == -1 && x->max_values == -1);
    assert_true(s->min_rows == 3 && s->max_rows == 9 && s->min_rows_drift == 0.5 &&
                s->max_rows_drift == 2);
    assert_int_equal(gy_schema_severity(s, x, GY_ANOMALY_FLOAT_TYPE_HAS_NAN), GY_SEVERITY_IGNORE);
    assert_int_equal(gy_schema_severity(s, t, GY_ANOMALY_FLOAT_TYPE_HAS_NAN), GY_SEVERITY_WARNING);
    assert_int_equal(gy_schema_severity(s, NULL, GY_ANOMALY_SCHEMA_NEW_COLUMN),
                     GY_SEVERITY_WARNING);
    assert_int_equal(gy_schema_severity(s, x, GY_ANOMALY_INT_TYPE_BIG_INT), GY_SEVERITY_ERROR);
    assert_int_equal(gy_schema_check_environment(s, GY_STR("SERVING"), NULL), GY_OK);
    assert_int_equal(gy_schema_check_environment(s, GY_STR_NULL, NULL), GY_OK);
    assert_int_equal(gy_schema_check_environment(s, GY_STR("serving"), NULL), GY_E_INVALID);
}

static void test_table_keys(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *s = parse(TABLE);
    check_table(s);
    for (int yaml = 0; yaml < 2; yaml++) { /* what is written reads back as the same */
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        gy_buf_init(&text, 64 * GY_KIB);
        if (yaml) {
            gy_schema_yaml(s, &text);
        } else {
            gy_schema_json(s, &text);
        }
        GY_AUTO(gy_schema_free) struct gy_schema *again = parse(text.p);
        check_table(again);
    }
}

static void test_table_keys_refused(void **state)
{
    (void)state;
    static const struct {
        const char *column, *say;
    } bad[] = {
        {"type: float, drift: {infinity_norm: 0.1}", "infinity_norm is of categories"},
        {"type: int, drift: {normalized_abs_difference: 0.1}",
         "is of categories, and 'a' is a int"},
        {"type: int, drift: {infinity: 0.1}", "unknown key 'infinity'"},
        {"type: int, drift: {jensen_shannon_divergence: 2}", "a number from 0 to 1"},
        {"type: int, drift: 0.1", "drift: a map"},
        {"type: float, categorical: true", "categorical is for ints"},
        {"type: string, zone: UTC", "for columns of type time"},
        {"type: time, zone: Europe/Nowhere", "is no time zone"},
        {"type: string, value_count: {min: 1}", "value_count is for columns with list"},
        {"type: string, list: '\"'", "one character"},
        {"type: string, list: ';;'", "one character"},
        {"type: string, list: ';', value_count: {min: 3, max: 1}", "min is above max"},
        {"type: string, min_domain_mass: 0.5", "min_domain_mass is for values"},
        {"type: string, min_fraction: 1.5", "a number from 0 to 1"},
        {"type: string, min_count: -1", "a whole number"},
        {"type: string, lifecycle: retired", "unknown lifecycle 'retired'"},
        {"type: string, severity: {NO_SUCH: ERROR}", "is no kind of anomaly"},
        {"type: string, severity: {SCHEMA_NEW_COLUMN: fatal}", "unknown severity 'fatal'"},
        {"type: string, in: [TEST]", "is none of the schema's environments"},
        {"type: string, not_in: [TEST]", "is none of the schema's environments"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512];
        struct gy_schema *s = NULL;
        struct gy_err err = GY_ERR_INIT;
        (void)snprintf(text, sizeof text, "columns: [{name: a, %s}]\nenvironments: [TRAINING]\n",
                       bad[i].column);
        assert_int_equal(gy_schema_parse(gy_str_c(text), "schema.yaml", &s, &err), GY_E_INVALID);
        if (!strstr(err.msg, bad[i].say)) {
            fail_msg("%s: '%s' does not say '%s'", bad[i].column, err.msg, bad[i].say);
        }
    }
}

static void test_zones(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        parse("columns: [{name: bare, type: time}, {name: none, type: time, zone: none},"
              " {name: east, type: time, zone: '+02:00'}]");
    static const struct {
        const char *text, *bare, *none, *east; /* NULL: refused */
    } cases[] = {
        {"2011-01-01", "2011-01-01", "2011-01-01", "2011-01-01"},
        {"2011-01-01T05:00:00Z", "2011-01-01T05:00:00Z", "2011-01-01T05:00:00Z",
         "2011-01-01T05:00:00Z"},
        {"2011-01-01 05:00:00", NULL, "2011-01-01T05:00:00", "2011-01-01T03:00:00Z"},
        {"2011-01-01T05:00:00.250", NULL, "2011-01-01T05:00:00.250", "2011-01-01T03:00:00.25Z"},
        {"1969-12-31T23:59:59.5", NULL, "1969-12-31T23:59:59.5", "1969-12-31T21:59:59.5Z"},
        {"2011-01-01 05:00:00+01:00", "2011-01-01T04:00:00Z", "2011-01-01T04:00:00Z",
         "2011-01-01T04:00:00Z"},
        {"yesterday", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *wanted[] = {cases[i].bare, cases[i].none, cases[i].east};
        for (size_t c = 0; c < 3; c++) {
            char out[GY_VALUE_TEXT];
            struct gy_str canonical = GY_STR_NULL;
            double number;
            bool good = gy_column_canonical(&s->columns[c], gy_str_c(cases[i].text), out,
                                            &canonical, &number);
            assert_int_equal(good, wanted[c] != NULL);
            if (good && !gy_str_eqc(canonical, wanted[c])) {
                fail_msg("%s: %.*s, not %s", cases[i].text, (int)canonical.n, canonical.p,
                         wanted[c]);
            }
        }
    }
    assert_true(gy_time_lacks_zone(GY_STR(" 2011-01-01 05:00:00 ")));
    assert_false(gy_time_lacks_zone(GY_STR("2011-01-01")));
    assert_false(gy_time_lacks_zone(GY_STR("2011-01-01T05:00:00Z")));
    assert_false(gy_time_lacks_zone(GY_STR("2011-01-01 05:00:99x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_keys),  cmocka_unit_test(test_table_keys_refused),
        cmocka_unit_test(test_zones),       cmocka_unit_test(test_parse),
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_image_sizes), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_infer),       cmocka_unit_test(test_infer_most),
        cmocka_unit_test(test_find),        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
