/* SPDX-License-Identifier: Apache-2.0 */
/* Changes between schemas, and what statistics make of one. */
#include "../unit.h"

#include "data/schema_diff.h"
#include "data/statistics.h"

static struct gy_schema *schema_of(const char *text)
{
    struct gy_schema *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_schema_parse(gy_str_c(text), "s", &s, &err) != GY_OK) {
        fail_msg("%s: %s", text, err.msg);
    }
    return s;
}

/* "column what before>after!" each; "!": breaking. */
static void check_texts(const char *before, const char *after, const char *wanted)
{
    GY_AUTO(gy_schema_free) struct gy_schema *a = schema_of(before);
    GY_AUTO(gy_schema_free) struct gy_schema *b = schema_of(after);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_arena_init(&arena, GY_MIB);
    gy_buf_init(&out, GY_MIB);
    struct gy_schema_change *list = NULL;
    size_t n = 0;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_schema_diff(a, b, &arena, &list, &n, &err), err);
    for (size_t i = 0; i < n; i++) {
        gy_buf_addf(&out, "%s%" GY_STR_F " %s %" GY_STR_F ">%" GY_STR_F "%s", i ? "; " : "",
                    GY_STR_A(list[i].column.p ? list[i].column : GY_STR("-")), list[i].what,
                    GY_STR_A(list[i].before.p ? list[i].before : GY_STR("")),
                    GY_STR_A(list[i].after.p ? list[i].after : GY_STR("")),
                    list[i].breaking ? "!" : "");
    }
    if (strcmp(out.p, wanted) != 0) {
        fail_msg("%s -> %s: %s, not %s", before, after, out.p, wanted);
    }
}

/* One column each. */
static void check(const char *before, const char *after, const char *wanted, const char *back)
{
    char a[256], b[256];
    (void)snprintf(a, sizeof a, "columns: [{name: a, %s}]", before);
    (void)snprintf(b, sizeof b, "columns: [{name: a, %s}]", after);
    check_texts(a, b, wanted);
    check_texts(b, a, back);
    check_texts(a, a, "");
}

static void test_columns(void **state)
{
    (void)state;
    check("type: int", "type: float", "a type int>float", "a type float>int!");
    check("type: time", "type: string", "a type time>string", "a type string>time!");
    check("type: int", "type: int, min: 3", "a min >3!", "a min 3>");
    check("type: int, max: 3", "type: int, max: 4", "a max 3>4", "a max 4>3!");
    check("type: int, min: 3", "type: int, min: 4", "a min 3>4!", "a min 4>3");
    check("type: int, unit: kg", "type: int, unit: lb", "a unit kg>lb!", "a unit lb>kg!");
    check("type: int", "type: int, required: true", "a required false>true!",
          "a required true>false");
    check("type: int", "type: int, role: id, unique: true",
          "a unique false>true!; a role feature>id", "a unique true>false; a role id>feature");
    check("type: string, values: [x]", "type: string, values: [x, y]",
          "a values [\"x\"]>[\"x\",\"y\"]", "a values [\"x\",\"y\"]>[\"x\"]!");
    check("type: string", "type: string, values: [x]", "a values >[\"x\"]!; a min_domain_mass >1!",
          "a values [\"x\"]>; a min_domain_mass 1>");
    check("type: string, values: [x]", "type: string, values: [x], min_domain_mass: 0.5",
          "a min_domain_mass 1>0.5", "a min_domain_mass 0.5>1!");
    check("type: int", "type: int, not_in: [S]", "a not_in >[\"S\"]", "a not_in [\"S\"]>!");
    check("type: int", "type: int, in: [S]", "a in >[\"S\"]", "a in [\"S\"]>!");
    check("type: int, min_fraction: 0.5", "type: int, min_fraction: 0.9", "a min_fraction 0.5>0.9!",
          "a min_fraction 0.9>0.5");
    check("type: int", "type: int, distinct: {min: 2, max: 4}",
          "a distinct.min >2!; a distinct.max >4!", "a distinct.min 2>; a distinct.max 4>");
    check("type: time", "type: time, zone: UTC", "a zone >UTC", "a zone UTC>!");
    check("type: int, lifecycle: planned, required: true", "type: int, required: true",
          "a lifecycle planned>production!", "a lifecycle production>planned");
    check("type: image, width: 300", "type: image, width: 200", "a width 300>200!",
          "a width 200>300!");
    check("type: image", "type: image, width: 200", "a width >200!", "a width 200>");
    check("type: string, drift: {infinity_norm: 0.1}", "type: string, drift: {infinity_norm: 0.2}",
          "a drift 0.1>0.2", "a drift 0.2>0.1!");
}

static void test_table(void **state)
{
    (void)state;
    check_texts("columns: [{name: a, type: int}, {name: b, type: int}]",
                "columns: [{name: b, type: int}, {name: c, type: int}, {name: d, type: int, "
                "required: true}]",
                "c column >int; d column >int!; a column int>!");
    check_texts("columns: [{name: a, type: int}, {name: b, type: int}]",
                "columns: [{name: b, type: int}, {name: a, type: int}]", "- order >");
    check_texts("columns: [{name: a, type: int}]\nmissing: ['', NA]\nrows: {max: 5}",
                "columns: [{name: a, type: int}]\nmissing: ['']\nrows: {min: 2}\nenvironments: [T]",
                "- missing [\"\",\"NA\"]>[\"\"]!; - environments >[\"T\"]!; - rows.min >2!; - "
                "rows.max 5>");
}

static void test_tighten(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *s =
        schema_of("columns: [{name: i, type: int}, {name: g, type: float}, {name: "
                  "w, type: string}, {name: free, type: string}, {name: e, type: "
                  "int}]");
    const struct gy_statistics_value wards[] = {{{"b", 1}, 5}, {{"a", 1}, 3}};
    const struct gy_statistics_value texts[] = {{{"p", 1}, 2}, {{"q", 1}, 1}, {{"r", 1}, 1}};
    struct gy_statistics_column c[] = {
        {.name = GY_STR("i"), .type = GY_TYPE_INT, .count = 8, .min = -2, .max = 9},
        {.name = GY_STR("g"),
         .type = GY_TYPE_FLOAT,
         .count = 7,
         .missing = 1,
         .min = 0.5,
         .max = 1},
        {.name = GY_STR("w"),
         .type = GY_TYPE_STRING,
         .count = 8,
         .distinct = 2,
         .top = wards,
         .distinct_exact = true,
         .top_is_all = true,
         .n_top = 2},
        {.name = GY_STR("free"),
         .type = GY_TYPE_STRING,
         .count = 4,
         .missing = 4,
         .distinct = 3,
         .distinct_exact = true,
         .top = texts,
         .top_is_all = true,
         .n_top = 3},
        {.name = GY_STR("e"), .type = GY_TYPE_INT, .missing = 8}};
    const struct gy_statistics statistics = {.rows = 8, .columns = c, .n_columns = 5};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_schema_tighten(s, &statistics, 100, true, &err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    gy_schema_yaml(s, &out);
    assert_string_equal(out.p, "columns:\n"
                               "  - name: i\n    type: int\n    min: -2\n    max: 9\n"
                               "    required: true\n    role: feature\n"
                               "  - name: g\n    type: float\n    min: 0.5\n    max: 1\n"
                               "    role: feature\n    min_count: 1\n"
                               "  - name: w\n    type: string\n    values: [\"a\", \"b\"]\n"
                               "    required: true\n    role: feature\n"
                               "  - name: free\n    type: string\n    role: feature\n"
                               "    min_count: 1\n"
                               "  - name: e\n    type: int\n    role: feature\n"
                               "missing: [\"\", \"NaN\"]\n");
    assert_status(GY_E_INVALID, gy_schema_tighten(s, &statistics, 1000000, false, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns), cmocka_unit_test(test_table),
                                       cmocka_unit_test(test_tighten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
