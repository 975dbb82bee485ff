/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"

#include "serve/message.h"

static void test_frames_come_back(void **state)
{
    (void)state;
    const struct gy_message in[] = {
        {GY_STR("t/0/1"), GY_STR("key\n1"), GY_STR("{\"a\":\n1}")},
        {GY_STR(""), GY_STR(""), GY_STR("")},
        {GY_STR("x"), GY_STR("\0\xff"), GY_STR("3 4 5\n")},
    };
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_KIB);
    for (size_t i = 0; i < 3; i++) {
        gy_message_add(&text, &in[i]);
    }
    struct gy_str rest = gy_buf_str(&text);
    for (size_t i = 0; i < 3; i++) {
        struct gy_message m;
        bool more = false;
        assert_int_equal(gy_message_next(&rest, &m, &more, NULL), GY_OK);
        assert_true(more);
        assert_true(gy_str_eq(m.id, in[i].id) && gy_str_eq(m.key, in[i].key) &&
                    gy_str_eq(m.body, in[i].body));
    }
    bool more = true;
    assert_int_equal(gy_message_next(&rest, &(struct gy_message){0}, &more, NULL), GY_OK);
    assert_false(more);
}

static void test_broken_frames(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "1",          "1 1 1",         "1 1 1\n", "1 1 1\nabc",          "1 1 1\nabcd",
        "-1 0 0\n\n", "1  1 1\nabc\n", "x",       "99999999999 0 0\n\n", "0 0 9999999999\na\n",
        " 0 0 0\n\n"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct gy_str rest = gy_str_c(broken[i]);
        struct gy_message m;
        bool more = false;
        assert_int_equal(gy_message_next(&rest, &m, &more, NULL), GY_E_PARSE);
    }
}

static void test_answers(void **state)
{
    (void)state;
    struct gy_str rest = GY_STR("200 3\n{a}\n404 0\n\n7");
    struct gy_message_answer a;
    bool more = false;
    assert_int_equal(gy_message_answer_next(&rest, &a, &more, NULL), GY_OK);
    assert_true(more && a.status == 200 && gy_str_eqc(a.json, "{a}"));
    assert_int_equal(gy_message_answer_next(&rest, &a, &more, NULL), GY_OK);
    assert_true(more && a.status == 404 && a.json.n == 0);
    assert_int_equal(gy_message_answer_next(&rest, &a, &more, NULL), GY_E_PARSE);
    assert_true(gy_message_retry(429) && gy_message_retry(503) && !gy_message_retry(400) &&
                !gy_message_retry(200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_back),
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
