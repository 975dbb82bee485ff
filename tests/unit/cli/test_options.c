/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/options.h"

struct opts {
    bool force;
    const char *output_path;
    int64_t rows;
    double share;
    struct gy_opt_list drift;
};

static const struct gy_opt table[] = {
    {"force", 'f', GY_OPT_FLAG, offsetof(struct opts, force), NULL, NULL, "do it"},
    {"output-path", 'o', GY_OPT_STR, offsetof(struct opts, output_path), "DIR", "out", "where"},
    {"rows", 'n', GY_OPT_INT, offsetof(struct opts, rows), "N", "10", "how many"},
    {"share", 0, GY_OPT_NUM, offsetof(struct opts, share), "S", NULL, "of all"},
    {"drift", 0, GY_OPT_LIST, offsetof(struct opts, drift), "C=D", NULL, "repeatable"},
};

static const struct gy_verb verb = {.noun = "data",
                                    .verb = "synth",
                                    .args = "KIND",
                                    .min_args = 1,
                                    .max_args = 2,
                                    .summary = "make rows",
                                    .opts = table,
                                    .n_opts = sizeof table / sizeof table[0],
                                    .opts_bytes = sizeof(struct opts)};

struct parsed {
    struct gy_cli cli;
    struct opts *o;
    bool help;
    struct gy_err err;
    gy_status status;
};

/* Words of a line, as main gets them. */
static void parse(struct parsed *p, const char *line)
{
    static char text[512];
    static char *argv[64];
    int argc = 0;
    (void)snprintf(text, sizeof text, "%s", line);
    struct gy_str rest = gy_str_c(text);
    struct gy_str word;
    while (rest.n && gy_str_next(&rest, ' ', &word)) {
        argv[argc] = text + (word.p - text);
        argv[argc++][word.n] = '\0';
    }
    memset(p, 0, sizeof *p);
    gy_arena_init(&p->cli.arena, GY_MIB);
    void *o = NULL;
    p->status = gy_cli_parse_options(&p->cli, &verb, argc, argv, &o, &p->help, &p->err);
    p->o = o;
}

static void done(struct parsed *p)
{
    gy_arena_done(&p->cli.arena);
}

static void test_defaults_and_values(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "patients");
    assert_int_equal(p.status, GY_OK);
    assert_string_equal(p.o->output_path, "out");
    assert_int_equal(p.o->rows, 10);
    assert_false(p.o->force);
    assert_string_equal(p.cli.argv[0], "patients");
    done(&p);
    parse(&p, "-f --output_path here --rows=-3 --share 2.5 patients --drift a --drift b --json "
              "--server http://x");
    assert_int_equal(p.status, GY_OK);
    assert_true(p.o->force);
    assert_string_equal(p.o->output_path, "here"); /* '_' and '-' are the same */
    assert_int_equal(p.o->rows, -3);
    assert_true(p.o->share == 2.5);
    assert_int_equal(p.o->drift.n, 2);
    assert_string_equal(p.o->drift.items[1], "b");
    assert_true(p.cli.json);
    assert_string_equal(p.cli.server, "http://x");
    assert_int_equal(p.cli.argc, 1);
    assert_null(p.cli.argv[1]);
    done(&p);
}

static void test_double_dash_ends_options(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "-- -f --rows");
    assert_int_equal(p.status, GY_OK);
    assert_int_equal(p.cli.argc, 2);
    assert_string_equal(p.cli.argv[0], "-f");
    done(&p);
}

static void test_help_skips_the_counting_of_arguments(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "-h");
    assert_int_equal(p.status, GY_OK);
    assert_true(p.help);
    done(&p);
}

static void test_usage_errors_name_the_word(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "needs KIND"},
        {"a b c", "'c' is one argument too many"},
        {"a --nope", "no such option: --nope"},
        {"a --nope=3", "no such option: --nope"},
        {"a -z", "no such option: -z"},
        {"a --rows", "--rows needs a value"},
        {"a --rows x", "--rows takes a whole number, not 'x'"},
        {"a --share 1e", "--share takes a number, not '1e'"},
        {"a --force=1", "--force takes no value"},
        {"a --color=pink", "--color takes auto, always or never"},
        {"a --log nonsense=loud", "loud"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p;
        parse(&p, cases[i].line);
        assert_int_not_equal(p.status, GY_OK);
        if (!strstr(p.err.msg, cases[i].says)) {
            fail_msg("'%s' gave: %s", cases[i].line, p.err.msg);
        }
        done(&p);
    }
}

static void test_long_lists_keep_their_order(void **state)
{
    (void)state;
    struct parsed p;
    parse(
        &p,
        "k --drift 0 --drift 1 --drift 2 --drift 3 --drift 4 --drift 5 --drift 6 --drift 7 --drift "
        "8 --drift 9 "
        "--drift 10 --drift 11 --drift 12 --drift 13 --drift 14 --drift 15 --drift 16 --drift 17");
    assert_int_equal(p.status, GY_OK);
    assert_int_equal(p.o->drift.n, 18);
    for (size_t i = 0; i < 18; i++) {
        int64_t value = -1;
        assert_int_equal(gy_parse_i64(gy_str_c(p.o->drift.items[i]), 0, 99, &value, NULL), GY_OK);
        assert_int_equal(value, i);
    }
    done(&p);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    for (uint64_t n = 1;; n++) {
        struct parsed p;
        gy_mem_fail_at(n, 1);
        parse(&p, "kind --drift a --rows 5");
        gy_mem_fail_at(0, 0);
        gy_status s = p.status;
        done(&p);
        if (s == GY_OK) {
            assert_true(n > 1);
            break;
        }
        assert_int_equal(s, GY_E_NOMEM);
    }
    assert_int_equal(gy_mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_values),
        cmocka_unit_test(test_double_dash_ends_options),
        cmocka_unit_test(test_help_skips_the_counting_of_arguments),
        cmocka_unit_test(test_usage_errors_name_the_word),
        cmocka_unit_test(test_long_lists_keep_their_order),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
