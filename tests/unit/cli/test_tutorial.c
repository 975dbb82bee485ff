/* SPDX-License-Identifier: Apache-2.0 */
/* What a page of the tutorial promises, and when it is kept. */
#include "unit.h"

#include "cli/tutorial.h"

static bool matches(const char *promise, const char *line)
{
    return gy_tutorial_line_matches(gy_str_c(promise), gy_str_c(line));
}

static void test_lines(void **state)
{
    (void)state;
    assert_true(matches("accepted 5", "accepted 5"));
    assert_true(matches("accepted 5", "  accepted   5  "));
    assert_false(matches("accepted 5", "accepted 55"));
    assert_false(matches("accepted 5", "not accepted 5"));
    assert_false(matches("a b", "ab"));
    assert_true(matches("run ... done", "run 42 done"));
    assert_true(matches("run ...", "run 42 done"));
    assert_true(matches("... done", "done done"));
    assert_false(matches("... done", "done once"));
    assert_true(matches("...", "anything"));
    assert_true(matches("...42...", "run 42 done"));
    assert_false(matches("...43...", "run 42 done"));
    assert_true(matches("a...b...b", "a b b b"));
    assert_false(matches("a...b...c", "a c b"));
}

#define PAGE                                                                                   \
    "# 1. Data\n\nTime: 10 minutes.\n\n## One\n\n```console\n$ gyre a\nfirst\n...\n"           \
    "second ...\n$ gyre b &\n```\n\n```\n$ not a command\n```\n## Two\n```console\n$ gyre c\n" \
    "```\n"

static void test_page(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_tutorial_command *list = NULL;
    size_t n = 0;
    gy_arena_init(&a, GY_MIB);
    assert_int_equal(gy_tutorial_commands(GY_STR(PAGE), &a, &list, &n, NULL), GY_OK);
    assert_int_equal(n, 3);
    assert_true(gy_str_eqc(list[0].command, "gyre a") && gy_str_eqc(list[0].section, "One"));
    assert_int_equal(list[0].n_promises, 2);
    assert_true(gy_str_eqc(list[1].command, "gyre b &") && list[1].n_promises == 0);
    assert_true(gy_str_eqc(list[2].section, "Two"));

    assert_null(gy_tutorial_broken(&list[0], GY_STR("zero\nfirst\nother\nsecond one\n")).p);
    struct gy_str broken = gy_tutorial_broken(&list[0], GY_STR("second one\nfirst\n"));
    assert_true(gy_str_eqc(broken, "second ..."));
    assert_null(gy_tutorial_broken(&list[1], GY_STR("")).p);
}

static void test_pages_that_are_wrong(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_tutorial_command *list = NULL;
    size_t n = 0;
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&a, GY_MIB);
    assert_int_equal(
        gy_tutorial_commands(GY_STR("```console\npromised\n```\n"), &a, &list, &n, &err),
        GY_E_INVALID);
    assert_non_null(strstr(err.msg, "promised"));
}

static void test_the_pages_there_are(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * GY_MIB);
    assert_int_equal(gy_tutorial_pages(), 6);
    for (size_t i = 0; i < gy_tutorial_pages(); i++) {
        struct gy_tutorial_page page = gy_tutorial_page(i);
        struct gy_tutorial_command *list = NULL;
        size_t n = 0;
        assert_int_equal(page.number, i);
        assert_true(page.title.n > 0 && gy_str_ends(page.time, GY_STR("minutes")));
        assert_int_equal(gy_tutorial_commands(page.text, &a, &list, &n, NULL), GY_OK);
        assert_true(n >= (i > 0 ? 4 : 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_pages_that_are_wrong),
        cmocka_unit_test(test_the_pages_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
