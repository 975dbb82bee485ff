/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "flow/usecase_file.h"
#include "unit.h"

#define GOOD                                                                                 \
    "\"name\":\"ward\",\"owner\":\"ann\",\"purpose\":\"find them\",\"risk_class\":\"high\"," \
    "\"success_metric\":{\"name\":\"recall\",\"min\":0.8}"

static gy_status read_text(const char *text, struct gy_buf *spec, struct gy_str *name,
                           bool *four_eyes, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_str_c(text), &doc, err));
    gy_status status = gy_usecase_read(yyjson_doc_get_root(doc), spec, name, four_eyes, err);
    *name = status == GY_OK && gy_str_eqc(*name, "ward") ? GY_STR("ward") : GY_STR_NULL;
    return status;
}

static void test_equal_texts_are_equal(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{" GOOD ",\"contacts\":[\"a@b\"]}",
        "{\"contacts\":[\"a@b\"],\"links\":null,\"four_eyes\":false," GOOD "}",
    };
    for (size_t i = 0; i < 2; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf spec;
        struct gy_str name;
        struct gy_err err = GY_ERR_INIT;
        bool four_eyes = true;
        gy_buf_init(&spec, GY_MIB);
        assert_status(GY_OK, read_text(texts[i], &spec, &name, &four_eyes, &err), err);
        assert_str(gy_buf_str(&spec),
                   "{\"owner\":\"ann\",\"purpose\":\"find them\",\"success_metric\":{\"name\":"
                   "\"recall\",\"min\":0.8},\"risk_class\":\"high\",\"contacts\":[\"a@b\"]}");
        assert_str(name, "ward");
        assert_false(four_eyes);
    }
}

static void test_the_metric(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_usecase_metric m;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_json_parse(GY_STR("{" GOOD "}"), &doc, &err), err);
    assert_true(gy_usecase_metric_of(yyjson_doc_get_root(doc), &m));
    assert_str(m.name, "recall");
    assert_true(m.min == 0.8 && isnan(m.max));
    assert_false(gy_usecase_metric_of(NULL, &m));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } rows[] = {
        {"[]", "a use case is a map", ""},
        {"{}", "missing 'name'", ""},
        {"{" GOOD ",\"ower\":\"x\"}", "unknown key 'ower'", "'owner'"},
        {"{\"name\":\"ward\"}", "missing 'owner'", ""},
        {"{\"name\":\"ward\",\"owner\":\" \"}", "'owner' must be a text", ""},
        {"{\"name\":\"ward\",\"owner\":\"a\",\"purpose\":3}", "'purpose' must be a text", ""},
        {"{\"name\":\"ward\",\"owner\":\"a\",\"purpose\":\"p\"}", "missing 'success_metric'", ""},
        {"{\"name\":\"ward\",\"owner\":\"a\",\"purpose\":\"p\",\"success_metric\":{\"name\":\"f1\"}"
         "}",
         "'success_metric' must be {name", ""},
        {"{\"name\":\"ward\",\"owner\":\"a\",\"purpose\":\"p\",\"success_metric\":{\"name\":\"f1\","
         "\"min\":\"0.8\"}}",
         "'success_metric' must be {name", ""},
        {"{\"name\":\"ward\",\"owner\":\"a\",\"purpose\":\"p\",\"success_metric\":{\"name\":\"f1\","
         "\"min\":1,\"mx\":2}}",
         "'success_metric' must be {name", ""},
        {"{\"name\":\"ward\",\"owner\":\"a\",\"purpose\":\"p\",\"success_metric\":{\"name\":\"f1\","
         "\"min\":1}}",
         "missing 'risk_class'", ""},
        {"{" GOOD ",\"contacts\":\"a\"}", "'contacts' must be a list", ""},
        {"{" GOOD ",\"contacts\":[1]}", "'contacts' must be a list", ""},
        {"{" GOOD ",\"four_eyes\":\"yes\"}", "'four_eyes' must be true or false", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf spec;
        struct gy_str name;
        struct gy_err err = GY_ERR_INIT;
        bool four_eyes = false;
        gy_buf_init(&spec, GY_MIB);
        gy_status status = read_text(rows[i].text, &spec, &name, &four_eyes, &err);
        if (status != GY_E_INVALID || !strstr(err.msg, rows[i].message) ||
            !strstr(err.hint, rows[i].hint)) {
            fail_msg("%s gave %s: %s (%s)", rows[i].text, gy_status_name(status), err.msg,
                     err.hint);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_texts_are_equal),
        cmocka_unit_test(test_the_metric),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("usecase.yaml", tests, NULL, NULL);
}
