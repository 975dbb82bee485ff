/* SPDX-License-Identifier: Apache-2.0 */
/* A table against its schema: each kind of finding, what is not one, and the comparators. */
#include "../unit.h"

#include <math.h>

#include "data/validate.h"

static char g_dir[64];

static struct gy_schema *schema_of(const char *text)
{
    struct gy_schema *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_schema_parse(gy_str_c(text), "s", &s, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return s;
}

static gy_status try_validate(const char *name, const char *bytes,
                              const struct gy_validate_options *o, struct gy_validation **ret,
                              struct gy_err *err)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, name);
    GY_TRY(gy_file_write(path, gy_str_c(bytes), 0600, err));
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    GY_TRY(gy_source_file(path, NULL, &source, err));
    return gy_validate(source, o, ret, err);
}

/* "column KIND severity count text | ..." */
static void check_with(const struct gy_validate_options *o, const char *name, const char *bytes,
                       const char *wanted)
{
    GY_AUTO(gy_validation_free) struct gy_validation *v = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (try_validate(name, bytes, o, &v, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    for (size_t i = 0; i < v->n_anomalies; i++) {
        const struct gy_anomaly *a = &v->anomalies[i];
        gy_buf_addf(&out, "%" GY_STR_F " %s %s %lld: %" GY_STR_F,
                    GY_STR_A(a->column.p ? a->column : GY_STR("-")), gy_anomaly_name(a->kind),
                    gy_severity_name(a->severity), (long long)a->count, GY_STR_A(a->text));
        for (size_t e = 0; e < a->n_examples; e++) {
            gy_buf_addf(&out, " [%lld %" GY_STR_F "]", (long long)a->examples[e].row,
                        GY_STR_A(a->examples[e].value));
        }
        gy_buf_addc(&out, "\n");
    }
    assert_string_equal(out.p, wanted);
    assert_int_equal(v->n_errors + v->n_warnings, v->n_anomalies);
    gy_buf_reset(&out); /* and as JSON it is JSON */
    gy_validation_json(v, &out);
    yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&out), &doc, &err), GY_OK);
    assert_int_equal(gy_json_bool(yyjson_doc_get_root(doc), "ok", v->n_errors > 0),
                     v->n_errors == 0);
    gy_json_free(doc);
}

static void check(const char *schema, const char *csv, const char *wanted)
{
    GY_AUTO(gy_schema_free) struct gy_schema *s = schema_of(schema);
    const struct gy_validate_options o = {.schema = s};
    check_with(&o, "t.csv", csv, wanted);
}

static void test_structure(void **state)
{
    (void)state;
    static const char schema[] = "columns: [{name: a, type: int, required: true}, {name: b, type: "
                                 "int, min_fraction: 0.5}, {name: c, type: int, min_count: 3}, "
                                 "{name: d, type: int}]";
    check(schema, "a,b,c\n1,,1\n2,2,2\n3,3,3\n", "");
    check(schema, "a,z\n1,1\n",
          "b SCHEMA_MISSING_COLUMN ERROR -1: the column is not there\n"
          "c SCHEMA_MISSING_COLUMN ERROR -1: the column is not there\n"
          "z SCHEMA_NEW_COLUMN ERROR -1: the schema does not know the column\n");
    check(schema, "a,b,c\n1,,1\n,,\n,3,\n,,\n",
          "a FEATURE_TYPE_LOW_FRACTION_PRESENT ERROR 3: 25 % of the rows have a value, 100 % are "
          "wanted: 3 have none\n"
          "b FEATURE_TYPE_LOW_FRACTION_PRESENT ERROR 3: 25 % of the rows have a value, 50 % are "
          "wanted: 3 have none\n"
          "c FEATURE_TYPE_LOW_NUMBER_PRESENT ERROR 1: 1 rows have a value, 3 are wanted\n");
    check("columns: [{name: a, type: int, required: true}, {name: b, type: int, required: true}]",
          "a,b\n1,\n2,NaN\n", "b FEATURE_TYPE_NOT_PRESENT ERROR 2: no row has a value\n");
    check(
        "columns: [{name: a, type: int}]", "a\n1\n2,3\n\"4\n5\n",
        "- RECORD_BROKEN ERROR 2: 2 of 4 records can not be read [1 another number of fields than "
        "the header] [2 a quoted field never ends well]\n");
}

static void test_types(void **state)
{
    (void)state;
    check("columns: [{name: i, type: int}, {name: f, type: float}, {name: b, type: bool}, "
          "{name: t, type: time}]\nmissing: ['']",
          "i,f,b,t\nx,abc,maybe,soon\n1,nan,1,2011-01-01\n2,-Infinity,0,2011-01-01 05:00:00\n"
          "3,1e3,true,2011-01-01T05:00:00Z\n\xff,1,0,\n",
          "i INT_TYPE_NOT_INT_STRING ERROR 1: 1 values are no whole numbers [0 x]\n"
          "i ENUM_TYPE_INVALID_UTF8 ERROR 1: 1 values are not UTF-8 [4 (bytes)]\n"
          "f FLOAT_TYPE_STRING_NOT_FLOAT ERROR 1: 1 values are no numbers [0 abc]\n"
          "f FLOAT_TYPE_HAS_NAN ERROR 1: 1 values are NaN [1 nan]\n"
          "f FLOAT_TYPE_HAS_INF ERROR 1: 1 values are infinite [2 -Infinity]\n"
          "b BOOL_TYPE_UNEXPECTED_STRING ERROR 1: 1 values are neither true nor false [0 maybe]\n"
          "t UNEXPECTED_DATA_TYPE ERROR 1: 1 values are not of the type [0 soon]\n"
          "t TIME_WITHOUT_ZONE ERROR 1: 1 times say no zone, and the schema names none [2 "
          "2011-01-01 05:00:00]\n");
}

static void test_ranges_and_domains(void **state)
{
    (void)state;
    check("columns: [{name: i, type: int, min: 0, max: 9}, {name: f, type: float, min: 0.5, max: "
          "1.5}]",
          "i,f\n-3,0.25\n10,2\n-7,1\n5,0.5\n",
          "i INT_TYPE_SMALL_INT ERROR 2: 2 values are below the minimum 0; the smallest is -7 [0 "
          "-3] [2 -7]\n"
          "i INT_TYPE_BIG_INT ERROR 1: 1 values are above the maximum 9; the largest is 10 [1 10]\n"
          "f FLOAT_TYPE_SMALL_FLOAT ERROR 1: 1 values are below the minimum 0.5; the smallest is "
          "0.25 [0 0.25]\n"
          "f FLOAT_TYPE_BIG_FLOAT ERROR 1: 1 values are above the maximum 1.5; the largest is 2 [1 "
          "2]\n");
    check("columns: [{name: a, type: string, values: [x, y]}]", "a\nx\nq\nr\nq\n",
          "a ENUM_TYPE_UNEXPECTED_STRING_VALUES ERROR 3: 3 of 4 values (75 %) are none of the "
          "allowed ones: 'q' (2), 'r' (1) [1 q] [2 r] [3 q]\n");
    check("columns: [{name: a, type: string, values: [x, y], min_domain_mass: 0.7}]",
          "a\nx\ny\ny\nq\n", "");
    check("columns: [{name: a, type: string, values: [x, y], min_domain_mass: 0.8}]",
          "a\nx\ny\ny\nq\n",
          "a ENUM_TYPE_UNEXPECTED_STRING_VALUES ERROR 1: 1 of 4 values (25 %) are none of the "
          "allowed ones: 'q' (1) [3 q]\n");
}

static void test_uniqueness(void **state)
{
    (void)state;
    check(
        "columns: [{name: a, type: int, unique: true}, {name: b, type: string, distinct: {min: 2, "
        "max: 3}}]",
        "a,b\n1,x\n2,x\n01,x\n",
        "a VALUE_NOT_UNIQUE ERROR 1: 1 values come more than once [2 1]\n"
        "b FEATURE_TYPE_LOW_UNIQUE ERROR 1: 1 different values, 2 are wanted\n");
    check("columns: [{name: b, type: string, distinct: {max: 3}}]", "b\nx\ny\nz\nw\n",
          "b FEATURE_TYPE_HIGH_UNIQUE ERROR 4: 4 different values, at most 3 are wanted\n");
}

static void test_lists(void **state)
{
    (void)state;
    check("columns: [{name: a, type: int, list: ' ', min: 0, value_count: {min: 2, max: 3}}]",
          "a\n1 2\n1\n1 2 3 4\n1 -2\n1 x\n",
          "a FEATURE_TYPE_LOW_NUMBER_VALUES ERROR 1: 1 rows have too few values in their list [1 "
          "1]\n"
          "a FEATURE_TYPE_HIGH_NUMBER_VALUES ERROR 1: 1 rows have too many values in their list [2 "
          "1 2 3 4]\n"
          "a INT_TYPE_NOT_INT_STRING ERROR 1: 1 values are no whole numbers [4 x]\n"
          "a INT_TYPE_SMALL_INT ERROR 1: 1 values are below the minimum 0; the smallest is -2 [3 "
          "-2]\n");
}

static void test_environments_and_severities(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        schema_of("columns:\n"
                  "  - {name: y, type: int, required: true, not_in: [SERVING]}\n"
                  "  - {name: w, type: int, required: true, in: [TRAINING]}\n"
                  "  - {name: p, type: int, required: true, lifecycle: planned}\n"
                  "  - {name: x, type: int, max: 3, severity: {INT_TYPE_BIG_INT: WARNING}}\n"
                  "  - {name: u, type: int, max: 3, severity: {INT_TYPE_BIG_INT: IGNORE}}\n"
                  "environments: [TRAINING, SERVING]\n"
                  "rows: {min: 2, max: 3}\n"
                  "severity: {SCHEMA_NEW_COLUMN: WARNING}\n");
    struct gy_validate_options o = {.schema = s, .environment = GY_STR("SERVING")};
    check_with(
        &o, "t.csv", "x,u,z\n9,9,9\n",
        "x INT_TYPE_BIG_INT WARNING 1: 1 values are above the maximum 3; the largest is 9 [0 "
        "9]\n"
        "z SCHEMA_NEW_COLUMN WARNING -1: the schema does not know the column\n"
        "- DATASET_LOW_NUM_EXAMPLES ERROR 1: 1 rows, 2 are wanted\n");
    o.environment = GY_STR("TRAINING");
    check_with(&o, "t.csv", "x\n1\n1\n1\n1\n",
               "y SCHEMA_MISSING_COLUMN ERROR -1: the column is not there\n"
               "w SCHEMA_MISSING_COLUMN ERROR -1: the column is not there\n"
               "- DATASET_HIGH_NUM_EXAMPLES ERROR 4: 4 rows, at most 3 are wanted\n");
    GY_AUTO(gy_validation_free) struct gy_validation *v = NULL;
    struct gy_err err = GY_ERR_INIT;
    o.environment = GY_STR("TEST");
    assert_int_equal(try_validate("t.csv", "x\n1\n", &o, &v, &err), GY_E_INVALID);
}

static void test_json(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        schema_of("columns: [{name: a, type: int, required: true, max: 5}, {name: "
                  "b, type: string, min_count: 1}]");
    const struct gy_validate_options o = {.schema = s};
    check_with(&o, "t.jsonl", "{\"a\": 7, \"z\": 1}\n{\"a\": \"x\"}\n{\"a\": [1]}\n{\"a\": 1\n",
               "a UNEXPECTED_DATA_TYPE ERROR 1: 1 values are not of the type [2 [...]]\n"
               "a INT_TYPE_NOT_INT_STRING ERROR 1: 1 values are no whole numbers [1 x]\n"
               "a INT_TYPE_BIG_INT ERROR 1: 1 values are above the maximum 5; the largest is 7 [0 "
               "7]\n"
               "b SCHEMA_MISSING_COLUMN ERROR -1: the column is not there\n"
               "z SCHEMA_NEW_COLUMN ERROR 1: the schema does not know the column; 1 records have "
               "it\n"
               "- RECORD_BROKEN ERROR 1: 1 of 4 records can not be read [3 not valid JSON: "
               "unexpected end of data at byte 7]\n");
}

static void test_leakage(void **state)
{
    (void)state;
    check("columns: [{name: decided, type: time, zone: '+02:00', role: event_time}, {name: known, "
          "type: time, role: available_at}, {name: lab, type: time, role: available_at}]",
          "decided,known,lab\n"
          "2011-01-01 05:00:00,2011-01-01T03:00:00Z,2011-01-01\n" /* at the same moment */
          "2011-01-01 05:00:00,2011-01-01T03:00:01Z,2011-01-02\n" /* both later */
          "2011-01-01 05:00:00,,2010-12-31\n"
          ",2011-01-01T03:00:01Z,\n",
          "known LEAKAGE_AVAILABLE_LATER ERROR 1: 1 values became available after the decision [1 "
          "2011-01-01T03:00:01.000000Z]\n"
          "lab LEAKAGE_AVAILABLE_LATER ERROR 1: 1 values became available after the decision [1 "
          "2011-01-02T00:00:00.000000Z]\n");
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        schema_of("columns: [{name: d, type: time, zone: none, role: event_time}, "
                  "{name: k, type: time, zone: UTC, role: available_at}]");
    const struct gy_validate_options o = {.schema = s};
    GY_AUTO(gy_validation_free) struct gy_validation *v = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(try_validate("t.csv", "d,k\n", &o, &v, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "one of them is local time"));
}

/* Statistics by hand: a column of categories, and one of numbers. */
static struct gy_statistics *statistics(struct gy_statistics *s, struct gy_statistics_column *c,
                                        const struct gy_statistics_value *top, int64_t rows)
{
    *c = (struct gy_statistics_column){.name = GY_STR("a"),
                                       .type = GY_TYPE_STRING,
                                       .count = rows,
                                       .top = top,
                                       .n_top = 2,
                                       .top_is_all = true};
    *s = (struct gy_statistics){.rows = rows, .columns = c, .n_columns = 1};
    return s;
}

static void test_comparators(void **state)
{
    (void)state;
    static const struct gy_statistics_value now[] = {{{"x", 1}, 2}, {{"y", 1}, 2}};
    static const struct gy_statistics_value before[] = {{{"x", 1}, 6}, {{"y", 1}, 2}};
    struct gy_statistics here, there, nothing = {0};
    struct gy_statistics_column c1, c2;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        schema_of("columns: [{name: a, type: string, drift: {infinity_norm: 0.2}, skew: "
                  "{infinity_norm: 0.25, normalized_abs_difference: 0.3}}]\n"
                  "rows: {drift: {min_fraction: 0.75}}");
    struct gy_validate_options o = {.schema = s,
                                    .current = statistics(&here, &c1, now, 4),
                                    .previous = statistics(&there, &c2, before, 8)};
    static const char csv[] = "a\nx\nx\ny\ny\n";
    check_with(
        &o, "t.csv", csv,
        "a COMPARATOR_L_INFTY_HIGH ERROR -1: drift: infinity_norm is 0.25, above 0.2 (largest "
        "difference of the shares of a value: max |p - q|)\n"
        "- COMPARATOR_LOW_NUM_EXAMPLES ERROR 4: 0.5 times the rows of before, at least 0.75 "
        "is wanted\n");
    o.serving = o.previous;
    o.previous = NULL;
    check_with(&o, "t.csv", csv,
               "a COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH ERROR -1: skew: "
               "normalized_abs_difference is 0.3333333333333333, above 0.3 (sum of the differences "
               "of the counts over all of them: sum |a - b| / (sum a + sum b))\n");
    o.serving = &nothing;
    check_with(
        &o, "t.csv", csv,
        "a COMPARATOR_CONTROL_DATA_MISSING ERROR -1: skew: the serving data has no values of "
        "it\n"
        "a COMPARATOR_CONTROL_DATA_MISSING ERROR -1: skew: the serving data has no values of "
        "it\n");
}

static gy_status under_torture(void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_validation_free) struct gy_validation *v = NULL;
    return try_validate("t.csv", "a,b\n1,q\nx,r\n1,q\n", ctx, &v, err);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s = schema_of("columns: [{name: a, type: int, unique: true}, {name: b, type: "
                                    "string, values: [z]}]");
    struct gy_validate_options o = {.schema = s};
    torture(under_torture, &o);
}

static int make_dir(void **state)
{
    (void)state;
    scratch_make(g_dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    scratch_done(g_dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_structure),
                                       cmocka_unit_test(test_types),
                                       cmocka_unit_test(test_ranges_and_domains),
                                       cmocka_unit_test(test_uniqueness),
                                       cmocka_unit_test(test_lists),
                                       cmocka_unit_test(test_environments_and_severities),
                                       cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_leakage),
                                       cmocka_unit_test(test_comparators),
                                       cmocka_unit_test(test_every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
