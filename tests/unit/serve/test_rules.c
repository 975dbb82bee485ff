/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "base/mem.h"
#include "learn/predictor.h"
#include "serve/rules.h"

static const struct gy_str inputs[] = {{"HR", 2}, {"Resp", 4}, {"Temp", 4}};
static const struct gy_str columns[] = {{"HR", 2}, {"Temp", 4}, {"WBC", 3}, {"Age", 3}};
static const struct gy_rule_names names = {inputs, 3, columns, 4};

static const char sirs[] =
    "[{\"name\":\"sirs\",\"at_least\":2,\"of\":[\"Temp > 38.5 or Temp < 35.0\",\"HR > 90\","
    "\"Resp > 20\",\"WBC > 12 or WBC < 4\"],"
    "\"then\":{\"prediction\":1,\"skip_model\":true,\"reason\":\"SIRS: 2 or more of 4\"}}]";

static struct gy_rules *compile(const char *json, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_str_c(json), &doc, NULL), GY_OK);
    struct gy_rules *r = NULL;
    gy_status st = gy_rules_compile(yyjson_doc_get_root(doc), &names, &r, err);
    assert_int_equal(st == GY_OK, r != NULL);
    return r;
}

static struct gy_rule_outcome eval(const struct gy_rules *r, double hr, double resp, double temp,
                                   double wbc)
{
    const double slots[] = {hr, resp, temp, wbc};
    struct gy_rule_outcome o;
    gy_rules_eval(r, slots, 4, &o);
    return o;
}

static void outcome_is(struct gy_rule_outcome o, int rule, int hits, int evaluated, int of)
{
    assert_int_equal(o.rule, rule);
    assert_int_equal(o.hits, hits);
    assert_int_equal(o.evaluated, evaluated);
    assert_int_equal(o.of, of);
}

static void test_two_of_four(void **state)
{
    (void)state;
    GY_AUTO(gy_rules_free) struct gy_rules *r = compile(sirs, NULL);
    assert_int_equal(gy_rules_count(r), 1);
    const struct gy_rule_info *info = gy_rules_at(r, 0);
    assert_true(gy_str_eqc(info->name, "sirs"));
    assert_true(gy_str_eqc(info->reason, "SIRS: 2 or more of 4"));
    assert_true(gy_str_eqc(info->prediction, "1"));
    assert_true(info->skip_model);
    outcome_is(eval(r, 104, 22, 38.9, 8), 0, 3, 4, 4);
    outcome_is(eval(r, 104, 16, 37.0, 13), 0, 2, 4, 4);
    outcome_is(eval(r, 104, 16, 37.0, 8), -1, 1, 4, 4);
    outcome_is(eval(r, 80, 16, 37.0, 8), -1, 0, 4, 4);
    outcome_is(eval(r, 90, 20, 38.5, 12), -1, 0, 4, 4); /* the bounds themselves do not hit */
}

static void test_absent_is_null(void **state)
{
    (void)state;
    GY_AUTO(gy_rules_free) struct gy_rules *r = compile(sirs, NULL);
    outcome_is(eval(r, 104, 22, 37, NAN), 0, 2, 3, 4);
    outcome_is(eval(r, 104, 16, 37, NAN), -1, 1, 3, 4); /* might be 2, is not known: no hit */
    outcome_is(eval(r, NAN, NAN, NAN, NAN), -1, 0, 0, 4);
}

static void test_columns_only_rules_read(void **state)
{
    (void)state;
    GY_AUTO(gy_rules_free)
    struct gy_rules *r =
        compile("[{\"name\":\"a\",\"when\":\"Age > 70 and WBC > 12\",\"then\":{\"prediction\":1}},"
                "{\"name\":\"b\",\"when\":\"Age < 1\",\"then\":{\"prediction\":\"0\"}}]",
                NULL);
    const struct gy_str *extra;
    assert_int_equal(gy_rules_columns(r, &extra), 2);
    assert_true(gy_str_eqc(extra[0], "Age"));
    assert_true(gy_str_eqc(extra[1], "WBC"));
    const double old[] = {80, 16, 37, 71, 13};
    const double baby[] = {80, 16, 37, 0.5, NAN};
    struct gy_rule_outcome o;
    gy_rules_eval(r, old, 5, &o);
    outcome_is(o, 0, 1, 1, 1);
    gy_rules_eval(r, baby, 5, &o);
    outcome_is(o, 1, 1, 1, 1); /* "false and null" of the first is false */
    assert_true(gy_str_eqc(gy_rules_at(r, 1)->prediction, "0"));
    assert_false(gy_rules_at(r, 1)->skip_model);
}

static void test_first_hit_wins(void **state)
{
    (void)state;
    GY_AUTO(gy_rules_free)
    struct gy_rules *r =
        compile("[{\"name\":\"a\",\"when\":\"HR > 100\",\"then\":{\"prediction\":0}},"
                "{\"name\":\"b\",\"when\":\"HR > 90\",\"then\":{\"prediction\":1}}]",
                NULL);
    assert_int_equal(eval(r, 120, 1, 1, 1).rule, 0);
    assert_int_equal(eval(r, 95, 1, 1, 1).rule, 1);
    assert_int_equal(eval(r, 90, 1, 1, 1).rule, -1);
}

static void test_no_rules(void **state)
{
    (void)state;
    struct gy_rules *r = NULL;
    assert_int_equal(gy_rules_compile(NULL, &names, &r, NULL), GY_OK);
    outcome_is(eval(r, 1, 1, 1, 1), -1, 0, 0, 0);
    gy_rules_free(r);
    r = compile("[]", NULL);
    assert_int_equal(gy_rules_count(r), 0);
    gy_rules_free(r);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *says;
    } bad[] = {
        {"[{\"name\":\"r\",\"when\":\"Lactate > 2\"}]", "Lactate"},
        {"[{\"name\":\"r\",\"when\":\"HR >\"}]", "rule 'r'"},
        {"[{\"name\":\"r\"}]", "'when' or 'at_least'"},
        {"[{\"name\":\"r\",\"when\":\"HR > 1\",\"of\":[\"HR > 1\"]}]", "'when' or 'at_least'"},
        {"[{\"name\":\"r\",\"of\":[\"HR > 1\"]}]", "'at_least' must be from 1 to 1"},
        {"[{\"name\":\"r\",\"at_least\":2,\"of\":[\"HR > 1\"]}]", "from 1 to 1"},
        {"[{\"name\":\"r\",\"at_least\":1,\"of\":[]}]", "list of 1 to"},
        {"[{\"name\":\"r\",\"at_least\":1,\"of\":[7]}]", "must be a string"},
        {"[{\"name\":\"r\",\"when\":\"HR > 1\",\"than\":{}}]", "unknown key 'than'"},
        {"[{\"name\":\"r\",\"when\":\"HR > 1\",\"then\":{\"skip_model\":true}}]", "skip_model"},
        {"[{\"name\":\"r\",\"when\":\"HR > 1\",\"then\":{\"prediction\":[1]}}]", "prediction"},
        {"[{\"when\":\"HR > 1\"}]", "rule 1"},
        {"[{\"name\":\"\",\"when\":\"HR > 1\"}]", "'name'"},
        {"[7]", "must be an object"},
        {"{}", "must be a list"},
    };
    int64_t live = gy_mem_live();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        assert_null(compile(bad[i].json, &err));
        if (!strstr(err.msg, bad[i].says)) {
            fail_msg("%s: says \"%s\", not \"%s\"", bad[i].json, err.msg, bad[i].says);
        }
    }
    assert_int_equal(gy_mem_live(), live);
}

/* ---- after the model ---- */

static const char after[] =
    "[{\"name\":\"mark\",\"when\":\"HR > 200\"},"
    "{\"name\":\"too_sure\",\"after\":true,\"when\":\"probability > 0.98 and Age < 2\","
    "\"then\":{\"prediction\":0,\"reason\":\"too young to be that sure\"}},"
    "{\"name\":\"k\",\"after\":true,\"at_least\":2,\"of\":[\"prediction == 1\",\"HR > 90\","
    "\"probability < 0.6\"],\"then\":{\"prediction\":0}}]";

/* slots: HR Resp Temp Age (the one column that a rule reads) */
static struct gy_rule_outcome eval_after(const struct gy_rules *r, double hr, double age,
                                         double prediction, double probability)
{
    const double slots[] = {hr, 15, 37, age};
    double gathered[GY_RULES_SLOTS];
    struct gy_rule_outcome o;
    gy_rules_eval(r, slots, 4, &o);
    gy_rules_gather(r, slots, gathered);
    gy_rules_after(r, gathered, prediction, probability, &o);
    return o;
}

static void test_after_the_model(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_rules_free) struct gy_rules *r = compile(after, &err);
    assert_true(gy_rules_any_after(r) && gy_rules_at(r, 1)->after && !gy_rules_at(r, 0)->after);
    const size_t *reads;
    assert_int_equal(gy_rules_reads(r, &reads), 2);
    assert_true(reads[0] == 3 && reads[1] == 0); /* Age, HR */
    outcome_is(eval_after(r, 80, 1, 1, 0.99), 1, 1, 1, 1);
    outcome_is(eval_after(r, 80, 1, 0, 0.5), -1, 1, 5, 5);
    outcome_is(eval_after(r, 95, 9, 1, 0.7), 2, 2, 3, 3);
    outcome_is(eval_after(r, 95, 9, 1, NAN), 2, 2, 2, 3);
    /* Kleene: an age that is not known does not hit, but a probability that is too low decides */
    outcome_is(eval_after(r, 80, NAN, 1, 0.99), -1, 1, 4, 5);
    outcome_is(eval_after(r, 80, NAN, 1, 0.9), -1, 1, 5, 5);
    /* A rule that only marks gives way to one that hits after it, and stays where none does. */
    outcome_is(eval_after(r, 250, 9, 0, 0.9), 0, 1, 1, 1);
    outcome_is(eval_after(r, 250, 9, 1, 0.9), 2, 2, 3, 3);
}

static void test_what_was_decided_stays(void **state)
{
    (void)state;
    GY_AUTO(gy_rules_free)
    struct gy_rules *r =
        compile("[{\"name\":\"first\",\"when\":\"HR > 90\",\"then\":{\"prediction\":1}},"
                "{\"name\":\"last\",\"after\":true,\"when\":\"true\",\"then\":{\"prediction\":0}}]",
                NULL);
    const double slots[] = {100, 15, 37}, low[] = {80, 15, 37};
    double gathered[GY_RULES_SLOTS];
    struct gy_rule_outcome o;
    gy_rules_gather(r, slots, gathered);
    gy_rules_eval(r, slots, 3, &o);
    gy_rules_after(r, gathered, 1, 0.9, &o);
    assert_int_equal(o.rule, 0);
    gy_rules_eval(r, low, 3, &o);
    gy_rules_after(r, gathered, 1, 0.9, &o);
    assert_int_equal(o.rule, 1);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct gy_str mixed[] = {{"ward", 4}, {"age", 3}, {"photo", 5}};
    static const struct gy_predictor_input described[] = {
        {.kind = GY_INPUT_TEXT}, {.kind = GY_INPUT_NUMBER}, {.kind = GY_INPUT_IMAGE}};
    const struct gy_rule_names texts = {
        .inputs = mixed, .n_inputs = 3, .described = described, .text_classes = true};
    static const struct {
        const char *json;
        const char *says; /* NULL: it compiles */
    } all[] = {
        {"[{\"name\":\"w\",\"when\":\"ward in ('ICU', 'ER') and ward != 'x' or ward is null\"}]",
         NULL},
        {"[{\"name\":\"w\",\"after\":true,\"when\":\"prediction == 'septic' and ward = 'ICU'\"}]",
         NULL},
        {"[{\"name\":\"w\",\"when\":\"ward > 'ICU'\"}]", "only be compared with"},
        {"[{\"name\":\"w\",\"when\":\"len(ward) > 2\"}]", "only be compared with"},
        {"[{\"name\":\"w\",\"when\":\"ward == 3\"}]", "is needed"},
        {"[{\"name\":\"w\",\"when\":\"photo == 'x'\"}]", "an input that is an image"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_AUTO(gy_rules_free) struct gy_rules *r = NULL;
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_json_parse(gy_str_c(all[i].json), &doc, NULL), GY_OK);
        gy_status st = gy_rules_compile(yyjson_doc_get_root(doc), &texts, &r, &err);
        if ((st == GY_OK) != !all[i].says || (all[i].says && !strstr(err.msg, all[i].says))) {
            fail_msg("%s: %s \"%s\"", all[i].json, gy_status_name(st), err.msg);
        }
        if (i == 0) {
            const double icu[] = {gy_rules_class(GY_STR("ICU")), 3, NAN}, none[] = {NAN, 3, NAN},
                         other[] = {gy_rules_class(GY_STR("icu")), 3, NAN};
            struct gy_rule_outcome o;
            gy_rules_eval(r, icu, 3, &o);
            assert_int_equal(o.rule, 0);
            gy_rules_eval(r, none, 3, &o);
            assert_int_equal(o.rule, 0);
            gy_rules_eval(r, other, 3, &o);
            assert_int_equal(o.rule, -1);
        }
        if (i == 1) {
            const double row[] = {gy_rules_class(GY_STR("ICU")), 3, NAN};
            double gathered[GY_RULES_SLOTS];
            struct gy_rule_outcome o = {.rule = -1};
            gy_rules_gather(r, row, gathered);
            gy_rules_after(r, gathered, gy_rules_class(GY_STR("septic")), 0.9, &o);
            assert_int_equal(o.rule, 0);
        }
    }
}

static void test_refused_after(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"[{\"name\":\"r\",\"when\":\"probability > 1\"}]", "unknown name 'probability'"},
        {"[{\"name\":\"r\",\"after\":1,\"when\":\"HR > 1\"}]", "'after' must be true or false"},
        {"[{\"name\":\"r\",\"after\":true,\"when\":\"HR > 1\",\"then\":{\"prediction\":1,"
         "\"skip_model\":true}}]",
         "too late"},
        {"[{\"name\":\"r\",\"after\":true,\"when\":\"odds > 1\"}]", "unknown name 'odds'"},
    };
    int64_t live = gy_mem_live();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        assert_null(compile(bad[i].json, &err));
        if (!strstr(err.msg, bad[i].says)) {
            fail_msg("%s: says \"%s\"", bad[i].json, err.msg);
        }
        assert_true(i > 0 || strstr(err.hint, "after: true"));
        assert_int_equal(gy_mem_live(), live);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_str_c(sirs), &doc, NULL), GY_OK);
    int64_t live = gy_mem_live();
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        struct gy_rules *r = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_mem_fail_at(nth, 0);
        gy_status st = gy_rules_compile(yyjson_doc_get_root(doc), &names, &r, &err);
        gy_mem_fail_at(0, 0);
        done = st == GY_OK;
        assert_true(done || st == GY_E_NOMEM);
        gy_rules_free(r);
        assert_int_equal(gy_mem_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_of_four),
        cmocka_unit_test(test_absent_is_null),
        cmocka_unit_test(test_first_hit_wins),
        cmocka_unit_test(test_columns_only_rules_read),
        cmocka_unit_test(test_no_rules),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_after_the_model),
        cmocka_unit_test(test_what_was_decided_stays),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_refused_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
