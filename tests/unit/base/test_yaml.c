/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/yaml.h"
#include "unit.h"

static struct gy_yaml *parse(const char *text)
{
    struct gy_yaml *y = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_yaml_parse(gy_str_c(text), "f.yaml", &y, &err), err);
    return y;
}

static void test_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum gy_yaml_kind kind;
        double value;
    } rows[] = {
        {"null", GY_YAML_NULL, 0},
        {"~", GY_YAML_NULL, 0},
        {"Null", GY_YAML_NULL, 0},
        {"nULL", GY_YAML_STR, 0},
        {"true", GY_YAML_BOOL, 1},
        {"FALSE", GY_YAML_BOOL, 0},
        {"yes", GY_YAML_STR, 0},
        {"off", GY_YAML_STR, 0},
        {"0", GY_YAML_INT, 0},
        {"-12", GY_YAML_INT, -12},
        {"+12", GY_YAML_INT, 12},
        {"012345", GY_YAML_INT, 12345},
        {"0x1F", GY_YAML_INT, 31},
        {"0o17", GY_YAML_INT, 15},
        {"0xZ", GY_YAML_STR, 0},
        {"+-1", GY_YAML_STR, 0},
        {"1.5", GY_YAML_FLOAT, 1.5},
        {"-.5", GY_YAML_FLOAT, -0.5},
        {"5.", GY_YAML_FLOAT, 5},
        {"1e3", GY_YAML_FLOAT, 1e3},
        {"12e34", GY_YAML_FLOAT, 12e34},
        {"+1e3", GY_YAML_FLOAT, 1e3},
        {".inf", GY_YAML_FLOAT, INFINITY},
        {"-.INF", GY_YAML_FLOAT, -INFINITY},
        {"inf", GY_YAML_STR, 0},
        {"1_000", GY_YAML_STR, 0},
        {"1:30", GY_YAML_STR, 0},
        {"2026-11-21", GY_YAML_STR, 0},
        {"99999999999999999999", GY_YAML_FLOAT, 1e20},
        {"'12'", GY_YAML_STR, 0},
        {"\"true\"", GY_YAML_STR, 0},
        {"!!str 12", GY_YAML_STR, 0},
        {"!!float 12", GY_YAML_FLOAT, 12},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "k: %s\n", rows[i].text);
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = parse(text);
        const struct gy_yaml_node *n = gy_yaml_get(gy_yaml_root(y), "k");
        assert_non_null(n);
        if (n->kind != rows[i].kind) {
            fail_msg("%s is of kind %d", rows[i].text, (int)n->kind);
        }
        if (n->kind == GY_YAML_BOOL) {
            assert_int_equal(n->b, rows[i].value != 0);
        } else if (n->kind == GY_YAML_INT || n->kind == GY_YAML_FLOAT) {
            assert_true(n->f == rows[i].value);
        }
    }
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = parse("k: .nan\n");
    assert_true(isnan(gy_yaml_get(gy_yaml_root(y), "k")->f));
}

static void test_tree(void **state)
{
    (void)state;
    GY_AUTO(gy_yaml_free)
    struct gy_yaml *y = parse("a: 1\n"
                              "b:\n"
                              "  c: [x, {d: deep}]\n"
                              "  e: |\n"
                              "    line 1\n"
                              "    line 2\n"
                              "  f:\n"
                              "  'g h': \"q\\n\"\n");
    const struct gy_yaml_node *root = gy_yaml_root(y);
    assert_int_equal(root->kind, GY_YAML_MAP);
    assert_int_equal(root->n_items, 2);
    assert_str(root->keys[1], "b");
    const struct gy_yaml_node *c = gy_yaml_path(root, GY_STR("b.c"));
    assert_int_equal(c->kind, GY_YAML_SEQ);
    assert_str(gy_yaml_get(&c->items[1], "d")->text, "deep");
    const struct gy_yaml_node *e = gy_yaml_path(root, GY_STR("b.e"));
    assert_str(e->text, "line 1\nline 2\n");
    assert_true(e->quoted);
    assert_int_equal(gy_yaml_path(root, GY_STR("b.f"))->kind, GY_YAML_NULL);
    assert_int_equal(gy_yaml_path(root, GY_STR("b.f"))->line, 7);
    assert_str(gy_yaml_path(root, GY_STR("b.g h"))->text, "q\n");
    assert_null(gy_yaml_path(root, GY_STR("b.c.d")));
    assert_null(gy_yaml_path(root, GY_STR("x.y")));
    assert_null(gy_yaml_get(NULL, "x"));
}

/* The promise that a file of a person can be spliced: the bytes of a span are the value, whatever
 * stands around it. */
static void test_spans(void **state)
{
    (void)state;
    static const char text[] = "# \xc3\xa9 comment\r\n"
                               "a: 'it''s'   # why\r\n"
                               "b: {x: \"\xe2\x82\xac\", y: plain one}\r\n"
                               "c:\r\n"
                               "  - 1\r\n"
                               "  - two words # end\r\n";
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = parse(text);
    static const struct {
        const char *path, *span;
        int line, column;
    } rows[] = {
        {"a", "'it''s'", 2, 4},
        {"b", "{x: \"\xe2\x82\xac\", y: plain one}", 3, 4},
        {"b.x", "\"\xe2\x82\xac\"", 3, 8},
        {"b.y", "plain one", 3, 16},
        {"c", "- 1\r\n  - two words", 5, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct gy_yaml_node *n = gy_yaml_path(gy_yaml_root(y), gy_str_c(rows[i].path));
        assert_str(gy_str_sub(gy_yaml_source(y), n->offset, n->length), rows[i].span);
        assert_int_equal(n->line, rows[i].line);
        assert_int_equal(n->column, rows[i].column);
    }
    assert_str(gy_yaml_path(gy_yaml_root(y), GY_STR("a"))->text, "it's");
    assert_str(gy_yaml_source(y), text);
}

static void test_aliases(void **state)
{
    (void)state;
    GY_AUTO(gy_yaml_free)
    struct gy_yaml *y = parse("base: &b {k: [1, 2]}\nuse: *b\nn: &n 5\nm: [*n, *n]\n*n : key\n");
    const struct gy_yaml_node *root = gy_yaml_root(y);
    assert_int_equal(gy_yaml_path(root, GY_STR("use.k"))->items[1].i, 2);
    assert_int_equal(gy_yaml_get(root, "m")->items[1].i, 5);
    assert_str(gy_yaml_get(root, "5")->text, "key");
    const struct gy_yaml_node *use = gy_yaml_get(root, "use");
    assert_str(gy_str_sub(gy_yaml_source(y), use->offset, use->length), "*b");
    assert_int_equal(use->line, 2);
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gy_status status;
        const char *message;
    } rows[] = {
        {"a: 1\na: 2\n", GY_E_PARSE, "f.yaml:2:1: the key 'a' stands here twice (first on line 1)"},
        {"a: {x: 1, x: 2}\n", GY_E_PARSE, "twice"},
        {"a: [1, 2\n", GY_E_PARSE, "f.yaml:2:1: "},
        {"a:\n\tb: 2\n", GY_E_PARSE, "f.yaml:2:"},
        {"a: *nope\n", GY_E_PARSE, "f.yaml:1:5: '*nope' names no finished anchor"},
        {"&a [*a]\n", GY_E_PARSE, "names no finished anchor"},
        {"--- 1\n--- 2\n", GY_E_PARSE, "more than one document"},
        {"? [a]\n: b\n", GY_E_PARSE, "a key must be a scalar"},
        {"a: !mine x\n", GY_E_PARSE, "the tag '!mine'"},
        {"a: !!int x\n", GY_E_PARSE, "the tag"},
        {"a: \xff\n", GY_E_PARSE, "not UTF-8"},
        {"a: 'open\n", GY_E_PARSE, "f.yaml:"},
        {"a: b: c\n", GY_E_PARSE, "f.yaml:1:"},
        {"@x", GY_E_PARSE, "f.yaml:1:"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gy_yaml *y = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_yaml_parse(gy_str_c(rows[i].text), "f.yaml", &y, &err);
        if (status != rows[i].status || !strstr(err.msg, rows[i].message)) {
            fail_msg("%s gave %s: %s", rows[i].text, gy_status_name(status), err.msg);
        }
    }
    struct gy_yaml *y = NULL;
    assert_int_equal(gy_yaml_parse(gy_str_n("a: \0", 4), "f", &y, NULL), GY_E_PARSE);
}

static void test_bounds(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 8 * GY_MIB);
    struct gy_yaml *y = NULL;
    /* A bomb: each level holds the one below nine times. */
    gy_buf_addc(&b, "a0: &a0 [x]\n");
    for (int i = 1; i < 12; i++) {
        gy_buf_addf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
                    i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    int64_t live = gy_mem_live();
    assert_int_equal(gy_yaml_parse(gy_buf_str(&b), "bomb", &y, NULL), GY_E_TOOBIG);
    assert_int_equal(gy_mem_live(), live);
    gy_buf_reset(&b);
    for (int i = 0; i < 300; i++) {
        gy_buf_add_char(&b, '[');
    }
    assert_int_not_equal(gy_yaml_parse(gy_buf_str(&b), "deep", &y, NULL), GY_OK);
    gy_buf_reset(&b);
    for (int i = 0; i < 200; i++) {
        gy_buf_addf(&b, "%*sk:\n", i, "");
    }
    assert_int_not_equal(gy_yaml_parse(gy_buf_str(&b), "deep", &y, NULL), GY_OK);
    gy_buf_reset(&b);
    while (b.n <= GY_MAX_YAML) {
        gy_buf_addc(&b, "# a comment that fills the file up\n");
    }
    assert_int_equal(gy_yaml_parse(gy_buf_str(&b), "large", &y, NULL), GY_E_TOOBIG);
    assert_null(y);
}

static void test_empty(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = parse(texts[i]);
        assert_null(gy_yaml_root(y));
    }
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = parse("null\n");
    assert_int_equal(gy_yaml_root(y)->kind, GY_YAML_NULL);
}

static void test_only(void **state)
{
    (void)state;
    static const char *const known[] = {"cmd", "deps", "outs", "always_changed", NULL};
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free)
    struct gy_yaml *y = parse("s:\n  cmd: x\n  dep: [a]\n  outs: [b]\nt:\n  zzzz: 1\nu: [1]\n");
    const struct gy_yaml_node *root = gy_yaml_root(y);
    assert_int_equal(gy_yaml_only(y, gy_yaml_get(root, "s"), known, &err), GY_E_INVALID);
    assert_string_equal(err.msg, "f.yaml:3: unknown key 'dep'");
    assert_string_equal(err.hint, "did you mean 'deps'?");
    assert_int_equal(gy_yaml_only(y, gy_yaml_get(root, "t"), known, &err), GY_E_INVALID);
    assert_string_equal(err.msg, "f.yaml:6: unknown key 'zzzz'");
    assert_string_equal(err.hint, "known here: cmd deps outs always_changed");
    assert_int_equal(gy_yaml_only(y, gy_yaml_get(root, "u"), known, &err), GY_E_INVALID);
    assert_int_equal(gy_yaml_only(y, NULL, known, &err), GY_OK);
    assert_int_equal(gy_yaml_err(y, gy_yaml_get(root, "u"), &err, "no %s", "good"), GY_E_INVALID);
    assert_string_equal(err.msg, "f.yaml:7:4: no good");
}

static void test_add_scalar_reads_back(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written;
    } rows[] = {
        {"plain", "plain"},
        {"two words", "two words"},
        {"python train.py --lr=0.1, x", "python train.py --lr=0.1, x"},
        {"", "''"},
        {"2.0", "'2.0'"},
        {"12345678901234567890123456789012", "'12345678901234567890123456789012'"},
        {"12e34567890123456789012345678901", "'12e34567890123456789012345678901'"},
        {"acbd18db4cc2f85cedef654fccc4a4d8", "acbd18db4cc2f85cedef654fccc4a4d8"},
        {"true", "'true'"},
        {"null", "'null'"},
        {"yes", "yes"},
        {"it's", "it's"},
        {"'quoted'", "\"'quoted'\""},
        {"a: b", "'a: b'"},
        {"a:b", "a:b"},
        {"a #b", "'a #b'"},
        {"a#b", "a#b"},
        {"- x", "'- x'"},
        {"-x", "-x"},
        {"*x", "'*x'"},
        {"{a}", "'{a}'"},
        {"x ", "'x '"},
        {"x:", "'x:'"},
        {"a\nb", "\"a\\nb\""},
        {"\x01\x7f\"\\", "\"\\x01\\x7f\\\"\\\\\""},
        {"\xc2\x85", "\"\\u0085\""},
        {"\xe2\x80\xa8x", "\"\\u2028x\""},
        {"\xc3\xa9", "\xc3\xa9"},
        {"0x1f", "'0x1f'"},
        {"0xzz", "0xzz"},
        {"0b1010", "'0b1010'"},
        {"0be9216d38fb41cc0268178e4ee24a53", "0be9216d38fb41cc0268178e4ee24a53"},
        {"0b101010101010101010101010101012", "0b101010101010101010101010101012"},
        {"0o17", "'0o17'"},
        {"0e123456789012345678901234567890", "'0e123456789012345678901234567890'"},
        {"1_000", "'1_000'"},
        {"12:30:45", "'12:30:45'"},
        {"---", "'---'"},
        {".inf", "'.inf'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        gy_buf_init(&b, 1000);
        gy_buf_addc(&b, "k: ");
        gy_yaml_add_scalar(&b, gy_str_c(rows[i].text));
        assert_string_equal(b.p + 3, rows[i].written);
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = parse(b.p);
        const struct gy_yaml_node *n = gy_yaml_get(gy_yaml_root(y), "k");
        assert_int_equal(n->kind, GY_YAML_STR);
        assert_str(n->text, rows[i].text);
    }
}

static gy_status read_some(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    return gy_yaml_parse(GY_STR("a: &x [1, 2, {b: c}]\nd: *x\ne: {f: g, h: i}\n"), "f.yaml", &y,
                         err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(read_some, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_schema),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_only),
        cmocka_unit_test(test_add_scalar_reads_back),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
