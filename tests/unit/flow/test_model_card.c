/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/model_card.h"
#include "unit.h"

static yyjson_doc *parse(const char *text)
{
    struct gy_err err = GY_ERR_INIT;
    yyjson_doc *doc = NULL;
    assert_status(GY_OK, gy_json_parse(gy_str_c(text), &doc, &err), err);
    return doc;
}

static void expect_state(const char *stated, const char *set, const char *wanted)
{
    GY_AUTO(gy_json_free) yyjson_doc *a = stated ? parse(stated) : NULL;
    GY_AUTO(gy_json_free) yyjson_doc *b = set ? parse(set) : NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    assert_status(GY_OK, gy_card_state(yyjson_doc_get_root(a), yyjson_doc_get_root(b), &out, &err),
                  err);
    assert_string_equal(out.p, wanted);
}

static void test_stating(void **state)
{
    (void)state;
    expect_state(NULL, NULL, "{}");
    expect_state(NULL, "{\"owner\":\"ann\",\"intended_use\":\"x\"}",
                 "{\"intended_use\":\"x\",\"owner\":\"ann\"}");
    expect_state("{\"owner\":\"ann\",\"limits\":[\"a\"]}",
                 "{\"owner\":null,\"limits\":[\"b\",\"c\"]}", "{\"limits\":[\"b\",\"c\"]}");
    expect_state("{\"owner\":\"ann\",\"limits\":[\"a\"]}", "{\"limits\":[]}",
                 "{\"owner\":\"ann\"}");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *set, *says, *hint;
    } rows[] = {
        {"[]", "must be a map", ""},
        {"{\"ownr\":\"x\"}", "unknown key 'ownr'", "'owner'"},
        {"{\"owner\":3}", "'owner' must be a text", ""},
        {"{\"owner\":\" \"}", "'owner' must be a text", ""},
        {"{\"limits\":\"x\"}", "'limits' must be a list", ""},
        {"{\"contacts\":[1]}", "'contacts' must be a text", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = parse(rows[i].set);
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_err err = GY_ERR_INIT;
        gy_buf_init(&out, GY_MIB);
        gy_status status = gy_card_state(NULL, yyjson_doc_get_root(doc), &out, &err);
        if (status != GY_E_INVALID || !strstr(err.msg, rows[i].says) ||
            !strstr(err.hint, rows[i].hint)) {
            fail_msg("%s gave %s: %s (%s)", rows[i].set, gy_status_name(status), err.msg, err.hint);
        }
    }
}

static void expect_start(const char *facts, const char *wanted)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = parse(facts);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&out, GY_MIB);
    assert_status(GY_OK, gy_card_start(yyjson_doc_get_root(doc), &out, &err), err);
    assert_string_equal(out.p, wanted);
}

static void test_a_package_starts_it(void **state)
{
    (void)state;
    expect_start("{\"package_card\":null}", "{}");
    expect_start("{\"package_card\":{\"owner\":\"ann\",\"limits\":[\"a\"],\"notes\":7,\"x\":1}}",
                 "{\"owner\":\"ann\",\"limits\":[\"a\"]}");
    expect_start(
        "{\"package_card\":{\"format\":\"gyre.card/1\",\"owner\":\"ann\",\"limits\":[\"a\"]}}",
        "{\"owner\":\"ann\"}");
}

#define EVIL "<script>alert(1)</script>"
static const char g_facts[] =
    "{\"name\":\"m\",\"version\":3,\"run_id\":\"r\",\"created\":\"2026-11-27T00:00:00Z\","
    "\"aliases\":[],\"usecase\":{\"name\":\"u\",\"state\":\"draft\",\"spec\":{\"owner\":\"" EVIL
    "\",\"purpose\":\"p\",\"risk_class\":\"high\"}},\"profile\":{\"rows\":1,\"columns\":[{\"name\":"
    "\"" EVIL "\",\"mean\":1.5}]},\"package_card\":{\"format\":\"gyre.card/1\",\"limits\":[\"" EVIL
    "\"],\"inputs\":[]},\"verdicts\":[{\"time\":\"2026-11-27T00:00:00Z\",\"verdict\":\"BLESSED\","
    "\"gate\":\"" EVIL
    "\",\"actor\":\"ann\"}],\"approvals\":[],\"history\":[{\"time\":\"t\",\"kind\":"
    "\"alias\",\"reason\":\"" EVIL "\"}],\"lineage\":[{\"from\":\"run:r\",\"rel\":\"registered\","
    "\"to\":\"model:m/3\"}],\"sections\":{\"model\":{\"digest\":\"d\",\"servable\":\"yes\"},"
    "\"metrics\":{\"recall [" EVIL "]\":{\"value\":0.5,\"low\":0.25,\"high\":0.75,\"rows\":10}},"
    "\"data\":{\"rows\":5,\"sha256\":\"" EVIL "\"},\"learner\":{\"flavor.x\":true},\"code\":{}}}";

static yyjson_doc *make_card(const char *stated, int64_t number)
{
    GY_AUTO(gy_json_free) yyjson_doc *facts = parse(g_facts);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    const struct gy_card_mark mark = {number, number ? 1000000 : 0, GY_STR("ann"), GY_STR("why")};
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_card_write(&w, yyjson_doc_get_root(facts), gy_str_c(stated), &mark);
    return parse(out.p);
}

static void test_the_card_and_its_diff(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *a = make_card("{\"owner\":\"ann\"}", 1);
    GY_AUTO(gy_json_free) yyjson_doc *b = make_card("{\"owner\":\"ben\"}", 2);
    GY_AUTO(gy_json_free) yyjson_doc *fresh = make_card("{}", 0);
    GY_AUTO(gy_json_free) yyjson_doc *diff = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    yyjson_val *card = yyjson_doc_get_root(a);
    assert_str(gy_json_str(card, "format"), "gyre.modelcard/1");
    assert_str(gy_json_str(card, "digest"), "d");
    assert_str(gy_json_str(card, "saved"), "1970-01-01T00:00:01.000000Z");
    assert_int_equal(yyjson_arr_size(gy_json_get(card, "package_limits")), 1);
    assert_true(yyjson_is_null(gy_json_get(yyjson_doc_get_root(fresh), "saved")));
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_card_diff(card, yyjson_doc_get_root(b), &w);
    diff = parse(out.p);
    yyjson_val *first = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(diff), "sections"));
    assert_str(gy_json_str(first, "section"), "stated");
    assert_int_equal(gy_json_i64(first, "changed", 0), 1);
    assert_int_equal(gy_json_i64(yyjson_doc_get_root(diff), "b", 0), 2);
    gy_buf_reset(&out);
    gy_jw_init(&w, &out);
    gy_card_diff(card, card, &w);
    assert_non_null(strstr(out.p, "\"same\":true"));
}

static void test_nothing_on_the_page_is_code(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free)
    yyjson_doc *card = make_card(
        "{\"intended_use\":\"" EVIL "\",\"owner\":\"" EVIL "\",\"limits\":[\"" EVIL "\"]}", 1);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    gy_card_html(yyjson_doc_get_root(card), &out);
    assert_int_equal(out.failed, GY_OK);
    assert_null(strstr(out.p, "<script"));
    size_t n = 0;
    for (const char *p = out.p; (p = strstr(p, "&lt;script&gt;")); p++) {
        n++;
    }
    assert_true(n >= 8); /* each of them is there, as text */
    assert_non_null(strstr(out.p, "0.25"));
    /* A card with nothing in it is a page, too. */
    GY_AUTO(gy_json_free) yyjson_doc *empty = parse("{}");
    gy_buf_reset(&out);
    gy_card_html(yyjson_doc_get_root(empty), &out);
    assert_int_equal(out.failed, GY_OK);
    assert_non_null(strstr(out.p, "Nobody has stated"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stating),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_package_starts_it),
        cmocka_unit_test(test_the_card_and_its_diff),
        cmocka_unit_test(test_nothing_on_the_page_is_code),
    };
    return cmocka_run_group_tests_name("model card", tests, NULL, NULL);
}
