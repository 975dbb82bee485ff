/* SPDX-License-Identifier: Apache-2.0 */
/* The survey: what is told of columns, and what would spoil a model. */
#include "support_learn.h"

#include "learn/survey.h"

static struct gy_buf g_csv;

static int new_csv(void **state)
{
    (void)state;
    gy_buf_init(&g_csv, 16 * GY_MIB);
    return 0;
}

static int drop_csv(void **state)
{
    (void)state;
    gy_buf_done(&g_csv);
    return 0;
}

static struct gy_table *parse(void)
{
    struct gy_table *t = NULL;
    OK(gy_buf_check(&g_csv, "a table", &g_err));
    OK(gy_table_parse(gy_buf_str(&g_csv), "t.csv", NULL, &t, &g_err));
    return t;
}

static const struct gy_surveyed *find(const struct gy_survey *s, const char *name)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        if (gy_str_eqc(s->columns[i].column->name, name)) {
            return &s->columns[i];
        }
    }
    fail_msg("no column %s", name);
    return NULL;
}

static void assert_use(const struct gy_survey *s, const char *name, enum gy_survey_use use)
{
    const struct gy_surveyed *c = find(s, name);
    if (c->use != use) {
        fail_msg("%s is %s (%s), not %s", name, gy_use_name(c->use), c->why.p ? c->why.p : "",
                 gy_use_name(use));
    }
    assert_int_equal(use == GY_USE_INPUT || use == GY_USE_TARGET, c->why.p == NULL);
}

static bool warned(const struct gy_survey *s, const char *part)
{
    for (size_t i = 0; i < s->n_warnings; i++) {
        if (gy_str_find_str(s->warnings[i], gy_str_c(part)) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* 400 rows; sick is rare; discharged is filled in for the sick only; copy is the label as text. */
static void add_sick(void)
{
    struct gy_rng r;
    gy_rng_init(&r, 3);
    gy_buf_addc(&g_csv, "no,visit_id,age,pulse,site,ward,unused,note,discharged,copy,sick\n");
    for (int i = 0; i < 400; i++) {
        int sick = gy_rng_below(&r, 20) == 0;
        gy_buf_addf(&g_csv, "%d,%d,%d,%d,main,%s,,n%d,", 100 + i, (int)gy_rng_below(&r, 200),
                    (int)(20 + gy_rng_below(&r, 60)), 60 + sick * 40 + (int)gy_rng_below(&r, 38),
                    i % 3 ? "a" : "b", i);
        gy_buf_addf(&g_csv, "%s,%s,%d\n", sick ? "7" : "", sick ? "yes" : "no", sick);
    }
}

static void tells_what_each_column_is(void **state)
{
    (void)state;
    add_sick();
    GY_AUTO(gy_table_free) struct gy_table *t = parse();
    GY_AUTO_DONE(gy_survey_done) struct gy_survey s;
    const struct gy_survey_options o = {.target = GY_STR("sick")};
    OK(gy_survey(t, &o, &s, &g_err));
    assert_use(&s, "no", GY_USE_COUNTER);
    assert_use(&s, "visit_id", GY_USE_ID);
    assert_use(&s, "age", GY_USE_INPUT);
    assert_use(&s, "pulse", GY_USE_INPUT);
    assert_use(&s, "site", GY_USE_CONSTANT);
    assert_use(&s, "ward", GY_USE_TEXT);
    assert_use(&s, "unused", GY_USE_EMPTY);
    assert_use(&s, "note", GY_USE_TEXT);
    assert_use(&s, "discharged", GY_USE_LEAK);
    assert_use(&s, "copy", GY_USE_LEAK);
    assert_use(&s, "sick", GY_USE_TARGET);
    assert_int_equal(s.n_inputs, 2);
    assert_int_equal(s.task, GY_TASK_BINARY);
    assert_int_equal(s.n_classes, 2);
    assert_int_equal(s.classes[0].rows + s.classes[1].rows, 400);
    assert_true(s.classes[1].rows < 40);
    const struct gy_surveyed *c = find(&s, "discharged");
    assert_int_equal(c->distinct, 1);
    assert_int_equal(c->missing, s.classes[0].rows);
    assert_true(gy_str_eqc(c->common, "7") && c->n_common == s.classes[1].rows);
    c = find(&s, "age");
    assert_true(c->min >= 20 && c->max < 80 && c->mean > 40 && c->mean < 60);
    assert_true(warned(&s, "is rare"));
    assert_true(warned(&s, "discharged, copy"));
    assert_true(warned(&s, "pulse alone tells"));
    assert_true(warned(&s, "of text left out"));
}

static void a_person_decides(void **state)
{
    (void)state;
    add_sick();
    GY_AUTO(gy_table_free) struct gy_table *t = parse();
    GY_AUTO_DONE(gy_survey_done) struct gy_survey s;
    const struct gy_str drop[] = {GY_STR("pulse")};
    const struct gy_str keep[] = {GY_STR("no"), GY_STR("discharged"), GY_STR("visit_id")};
    const struct gy_survey_options o = {
        .target = GY_STR("sick"), .drop = drop, .n_drop = 1, .keep = keep, .n_keep = 3};
    OK(gy_survey(t, &o, &s, &g_err));
    assert_use(&s, "pulse", GY_USE_DROPPED);
    assert_use(&s, "no", GY_USE_INPUT);
    assert_use(&s, "visit_id", GY_USE_INPUT);
    assert_use(&s, "discharged", GY_USE_INPUT);
    assert_use(&s, "copy", GY_USE_LEAK);
}

/* rentals = casual + registered; kelvin is the target in other units; rows 0 and 1 are equal. */
static void finds_parts_of_a_quantity(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 4);
    gy_buf_addc(&g_csv, "casual,registered,kelvin,hour,rentals\n1,2,276.15,5,3\n1,2,276.15,5,3\n");
    for (int i = 0; i < 300; i++) {
        int a = (int)gy_rng_below(&r, 50), b = (int)gy_rng_below(&r, 90);
        gy_buf_addf(&g_csv, "%d,%d,%.2f,%d,%d\n", a, b, a + b + 273.15, i % 24, a + b);
    }
    GY_AUTO(gy_table_free) struct gy_table *t = parse();
    GY_AUTO_DONE(gy_survey_done) struct gy_survey s;
    const struct gy_survey_options o = {.target = GY_STR("rentals")};
    OK(gy_survey(t, &o, &s, &g_err));
    assert_int_equal(s.task, GY_TASK_REGRESSION);
    assert_use(&s, "casual", GY_USE_LEAK);
    assert_use(&s, "registered", GY_USE_LEAK);
    assert_use(&s, "kelvin", GY_USE_LEAK);
    assert_use(&s, "hour", GY_USE_INPUT);
    assert_true(gy_str_eqc(find(&s, "casual")->why, "casual + registered is 'rentals'"));
    assert_true(s.n_duplicates >= 1);
    assert_true(warned(&s, "repeat another one wholly: "));
}

static void refused(const char *csv, const char *target, gy_status code, const char *message,
                    const char *hint)
{
    struct gy_survey s;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_reset(&g_csv);
    gy_buf_addc(&g_csv, csv);
    GY_AUTO(gy_table_free) struct gy_table *t = parse();
    const struct gy_survey_options o = {.target = gy_str_c(target)};
    assert_int_equal(gy_survey(t, &o, &s, &err), code);
    if (!strstr(err.msg, message) || !strstr(err.hint, hint)) {
        fail_msg("%s / %s", err.msg, err.hint);
    }
}

static void says_what_is_wrong_with_a_target(void **state)
{
    (void)state;
    refused("age,isSepsis\n1,0\n", "isSepsiss", GY_E_NOTFOUND, "'isSepsiss'", "'isSepsis' meant");
    refused("age,isSepsis\n1,0\n", "ISSEPSIS", GY_E_NOTFOUND, "ISSEPSIS", "'isSepsis' meant");
    refused("age,b\n1,0\n", "zzzzzzzz", GY_E_NOTFOUND, "zzzz", "age, b");
    refused("age,y\n1,\n2,\n", "y", GY_E_INVALID, "no value in any row", "known");
    refused("age,y\n1,no\n2,no\n3,\n", "y", GY_E_INVALID, "is 'no' wherever", "one class");
    refused("a,y\n1,p\n2,q\n3,r\n4,s\n", "y", GY_E_INVALID, "4 different texts", "ten rows");
    refused("a,y\nu,0\nv,1\n", "y", GY_E_INVALID, "no column is left", "--keep");
    refused("a,y\n\"1,5\",0\n\"2,5\",1\n", "y", GY_E_INVALID, "decimal comma", "3.14");
}

static void writes_json(void **state)
{
    (void)state;
    add_sick();
    GY_AUTO(gy_table_free) struct gy_table *t = parse();
    GY_AUTO_DONE(gy_survey_done) struct gy_survey s;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    const struct gy_survey_options o = {.target = GY_STR("sick")};
    OK(gy_survey(t, &o, &s, &g_err));
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_survey_write(&w, &s);
    gy_jw_obj_end(&w);
    OK(gy_json_parse(gy_buf_str(&out), &doc, &g_err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_int_equal(gy_json_i64(root, "rows", 0), 400);
    assert_int_equal(yyjson_arr_size(gy_json_get(root, "columns")), 11);
    assert_int_equal(yyjson_arr_size(gy_json_get(root, "classes")), 2);
    yyjson_val *first = yyjson_arr_get_first(gy_json_get(root, "columns"));
    assert_true(gy_str_eqc(gy_json_str(first, "use"), "counter"));
    assert_true(
        yyjson_is_null(gy_json_get(yyjson_arr_get(gy_json_get(root, "columns"), 4), "min")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_what_each_column_is, new_csv, drop_csv),
        cmocka_unit_test_setup_teardown(a_person_decides, new_csv, drop_csv),
        cmocka_unit_test_setup_teardown(finds_parts_of_a_quantity, new_csv, drop_csv),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_with_a_target, new_csv, drop_csv),
        cmocka_unit_test_setup_teardown(writes_json, new_csv, drop_csv),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
