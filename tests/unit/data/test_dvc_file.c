/* SPDX-License-Identifier: Apache-2.0 */
/* .dvc files: new ones as DVC writes them, edits that leave the rest alone. */
#include "unit.h"

#include "data/dvc/file.h"
#include "data/dvc/yaml_out.h"

#define FOO "acbd18db4cc2f85cedef654fccc4a4d8"

static struct gy_err err;

static struct gy_dvc_out out_of(const char *md5, int64_t size, int64_t n_files, bool exec)
{
    struct gy_dvc_out o = {
        .path = GY_STR("d/f"), .size_bytes = size, .n_files = n_files, .is_exec = exec};
    assert_true(gy_dvc_oid_set(&o.oid, gy_str_c(md5), false));
    return o;
}

static void assert_new(struct gy_dvc_out o, const char *name, const char *text)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    gy_dvc_file_text(&b, &o, gy_str_c(name));
    assert_str(gy_buf_str(&b), text);
}

/* What dvc 3.67 wrote for such outputs. */
static void test_new(void **state)
{
    (void)state;
    assert_new(out_of(FOO, 3, -1, false), "foo",
               "outs:\n- md5: " FOO "\n  size: 3\n  hash: md5\n  path: foo\n");
    assert_new(out_of("d751713988987e9331980363e24189ce.dir", 0, 0, false), "emptyd",
               "outs:\n- md5: d751713988987e9331980363e24189ce.dir\n  size: 0\n  nfiles: 0\n"
               "  hash: md5\n  path: emptyd\n");
    assert_new(out_of(FOO, 10, -1, true), "ex.sh",
               "outs:\n- md5: " FOO "\n  size: 10\n  isexec: true\n  hash: md5\n  path: ex.sh\n");
    /* What YAML could read as a number. */
    assert_new(out_of("12345678901234567890123456789012", 1, -1, false), "123",
               "outs:\n- md5: '12345678901234567890123456789012'\n  size: 1\n  hash: md5\n"
               "  path: '123'\n");
    assert_new(out_of("12345678901234567890123456789e12", 1, -1, false), "x",
               "outs:\n- md5: '12345678901234567890123456789e12'\n  size: 1\n  hash: md5\n"
               "  path: x\n");
    static const char *const names[][2] = {
        {"!bang", "'!bang'"},
        {"#hash.txt", "'#hash.txt'"},
        {"- x", "'- x'"},
        {"1e5", "'1e5'"},
        {"[br].txt", "'[br].txt'"},
        {"a #b", "'a #b'"},
        {"a#b", "a#b"},
        {"a:b", "a:b"},
        {"it's.txt", "it's.txt"},
        {"null", "'null'"},
        {"star*", "star*"},
        {"tr ", "'tr '"},
        {"x: y", "'x: y'"},
        {"yes", "yes"},
        {"~", "'~'"},
        {"\xc3\xbcn", "\xc3\xbcn"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "outs:\n- md5: " FOO "\n  size: 1\n  hash: md5\n  path: %s\n", names[i][1]);
        assert_new(out_of(FOO, 1, -1, false), names[i][0], text);
    }
}

static void assert_edit(struct gy_dvc_out o, const char *from, const char *to)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    assert_status(GY_OK, gy_dvc_file_edit(gy_str_c(from), GY_STR("d/f.dvc"), &o, &b, &err), err);
    assert_string_equal(b.p, to);
}

static void test_edits(void **state)
{
    (void)state;
    struct gy_dvc_out file = out_of(FOO, 3, -1, false);
    struct gy_dvc_out exec = out_of(FOO, 3, -1, true);
    struct gy_dvc_out folder = out_of(FOO ".dir", 9, 2, false);
    /* Nothing to say: not a byte changes, whatever the style. */
    static const char same[] = "# c\nouts:\n  -   path:   f\n      hash: md5\n      md5: \"" FOO
                               "\"\n      size: 3 # three\n\nmeta: {a: 1}\n";
    assert_edit(file, same, same);
    assert_edit(exec, "outs:\n- md5: x\n  path: f\n# end",
                "outs:\n- md5: " FOO "\n  path: f\n  size: 3\n  isexec: true\n  hash: md5\n# end");
    assert_edit(folder,
                "outs:\n- md5: " FOO "\n  size: 3\n  isexec: true\n  hash: md5\n  path: f\n",
                "outs:\n- md5: " FOO ".dir\n  size: 9\n  hash: md5\n  path: f\n  nfiles: 2\n");
    assert_edit(file, "outs:\n- nfiles: 7\n  md5: " FOO ".dir\n  path: f",
                "outs:\n- md5: " FOO "\n  path: f\n  size: 3\n  hash: md5\n");
    /* The right one of several, in another folder. */
    assert_edit(file,
                "wdir: ../d\nouts:\n- path: other\n  md5: 1\n- path: ./f\n  md5: 2\n  size: 1\n",
                "wdir: ../d\nouts:\n- path: other\n  md5: 1\n- path: ./f\n  md5: " FOO
                "\n  size: 3\n  hash: md5\n");
    /* In braces. */
    assert_edit(file, "outs: [{path: f, md5: 1, nfiles: 2}]\n",
                "outs: [{path: f, md5: " FOO ", nfiles: null, size: 3, hash: md5}]\n");
    /* The stage's own checksum of old, and what an import keeps. */
    assert_edit(file, "md5: 12ab\nouts:\n- md5: 1\n  size: 3\n  hash: md5\n  path: f\n",
                "outs:\n- md5: " FOO "\n  size: 3\n  hash: md5\n  path: f\n");
}

static void test_refused(void **state)
{
    struct gy_dvc_out o = out_of(FOO, 3, -1, false);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    (void)state;
    gy_buf_init(&b, GY_MIB);
    assert_status(GY_E_NOTFOUND,
                  gy_dvc_file_edit(GY_STR("outs:\n- path: g\n"), GY_STR("d/f.dvc"), &o, &b, &err),
                  err);
    assert_status(GY_E_PARSE, gy_dvc_file_edit(GY_STR("outs: ["), GY_STR("d/f.dvc"), &o, &b, &err),
                  err);
    assert_status(GY_E_UNSUPPORTED,
                  gy_dvc_file_edit(GY_STR("outs:\n- path: f\n  files: []\n"), GY_STR("d/f.dvc"), &o,
                                   &b, &err),
                  err);
}

static void test_folded(void **state)
{
    static const char text[] = "word word word word word word word word word word word word word "
                               "word word word word word word";
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    (void)state;
    gy_buf_init(&b, GY_MIB);
    gy_buf_addc(&b, "  path: ");
    gy_dvc_yaml_folded(&b, gy_str_c(text), 4);
    assert_non_null(strstr(b.p, "\n    word"));
    assert_status(GY_OK, gy_yaml_parse(gy_buf_str(&b), "t", &y, &err), err);
    assert_str(gy_yaml_get(gy_yaml_root(y), "path")->text, text);
}

/* As ruamel 0.18 dumps it. */
static void test_values(void **state)
{
    static const char text[] = "c:\n- 1\n- true\n- x: y\n  z:\n- []\nd: {}\n";
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    (void)state;
    gy_buf_init(&b, GY_MIB);
    assert_status(GY_OK, gy_yaml_parse(gy_str_c(text), "t", &y, &err), err);
    gy_dvc_yaml_node(&b, gy_yaml_root(y), -2);
    assert_string_equal(b.p, "\nc:\n- 1\n- true\n- x: y\n  z:\n- []\nd: {}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),     cmocka_unit_test(test_edits),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_folded),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
