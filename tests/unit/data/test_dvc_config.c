/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "data/dvc/config.h"
#include "data/dvc/ini.h"
#include "data/dvc/remote_keys.h"

static struct gy_err err;
static struct gy_arena arena;

static struct gy_ini parse(const char *text)
{
    struct gy_ini ini;
    err = (struct gy_err)GY_ERR_INIT;
    gy_arena_done(&arena);
    gy_arena_init(&arena, GY_MIB);
    assert_status(GY_OK, gy_ini_parse(gy_str_c(text), "t", &arena, &ini, &err), err);
    return ini;
}

static const char *value(const char *text, const char *section, const char *key)
{
    struct gy_ini ini = parse(text);
    const struct gy_ini_entry *e = gy_ini_entry(&ini, gy_str_c(section), gy_str_c(key));
    return e ? gy_arena_strdup(&arena, e->value) : NULL;
}

/* Each line as configobj 5.0.9 reads it. */
static void test_values(void **state)
{
    static const struct {
        const char *line, *value;
    } cases[] = {
        {"k = v", "v"},
        {"K=v  ", "v"},
        {"  k\t=\tv w  # c", "v w"},
        {"k = a#b", "a"},
        {"k = \"a#b\" # c", "a#b"},
        {"k = 'it''s'", "it''s"},
        {"k = it's", "it's"},
        {"k = \"a\" \"b\"", "a\" \"b"},
        {"k = '''both ' and \"''' # c", "both ' and \""},
        {"k =", ""},
        {"k = \"\"", ""},
        {"k = a, b ,c", "a,b,c"},
        {"k = \"a,b\", c", "a,b,c"},
        {"k = a,", "a"},
        {"'k' = v", "v"},
        {"k = a=b==", "a=b=="},
        {"k = %20 100%", "%20 100%"},
        {"k = \xc3\xa9", "\xc3\xa9"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "[core]\n%s\n", cases[i].line);
        const char *got = value(text, "core", "k");
        assert_non_null(got);
        assert_string_equal(got, cases[i].value);
        (void)snprintf(text, sizeof text, "[core]\r\n%s\r\n", cases[i].line);
        assert_string_equal(value(text, "core", "k"), cases[i].value);
    }
}

static void test_sections(void **state)
{
    (void)state;
    static const char *const heads[] = {"['remote \"S\"']", "[remote \"S\"]",
                                        " [ 'remote \"s\"' ] # c", "[\"remote \"s\"\"]"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "\xef\xbb\xbf# c\n%s\nUrl = x", heads[i]);
        assert_string_equal(value(text, "remote \"s\"", "url"), "x");
    }
    assert_null(value("[a]\nx = 1\n[b]\n", "b", "x"));
    assert_null(value("x = 1\n[b]\n", "b", "x"));
    assert_string_equal(value("x = 1\n[b]\n", "", "x"), "1");
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {"[core]\nnonsense", 2},
        {"[core]\n[[deep]]\n", 2},
        {"[core]\n\n[core]\n", 3},
        {"[core]\nk = 1\nK = 2\n", 3},
        {"[core\n", 1},
        {"[]\n", 1},
        {"[core]\nk = 'a\n", 2},
        {"[core]\nk = \"\"\"a\nb\"\"\"\n", 2},
        {"[core]\nk = %(home)s\n", 2},
        {"= 1\n", 1},
        {"k = 'a' b\n", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_ini ini;
        char where[16];
        gy_arena_done(&arena);
        gy_arena_init(&arena, GY_MIB);
        assert_int_equal(gy_ini_parse(gy_str_c(cases[i].text), "t", &arena, &ini, &err),
                         GY_E_PARSE);
        (void)snprintf(where, sizeof where, "t:%d:", cases[i].line);
        assert_memory_equal(err.msg, where, strlen(where));
    }
    struct gy_ini ini;
    assert_int_equal(gy_ini_parse(GY_STR("k = \xff\n"), "t", &arena, &ini, &err), GY_E_PARSE);
}

static const char *edit(const char *text, const char *section, const char *key, const char *v)
{
    static struct gy_buf out;
    gy_buf_done(&out);
    gy_buf_init(&out, GY_MIB);
    struct gy_ini ini = parse(text);
    assert_status(GY_OK,
                  gy_ini_set(&ini, gy_str_c(section), gy_str_c(key), gy_str_c(v), &out, &err), err);
    return out.p;
}

static void test_edits(void **state)
{
    (void)state;
    assert_string_equal(edit("", "core", "remote", "s"), "[core]\n    remote = s\n");
    assert_string_equal(edit("[core]\n  # c\n  a = 1 # d\n", "core", "a", "2"),
                        "[core]\n  # c\n  a = 2 # d\n");
    assert_string_equal(edit("[core]\n  a = 1 # d", "core", "b", "x,y"),
                        "[core]\n  a = 1 # d\n  b = \"x,y\"\n");
    assert_string_equal(edit("[core]\n[cache]\n  t = 1\n", "core", "b", "x"),
                        "[core]\n  b = x\n[cache]\n  t = 1\n");
    assert_string_equal(edit("# c\n['remote \"s\"']\nurl = x\n", "core", "remote", "s"),
                        "# c\n[core]\nremote = s\n['remote \"s\"']\nurl = x\n");
    assert_string_equal(
        edit("[core]\na = 1\n\n# r\n['remote \"s\"']\nurl = x\n", "cache", "dir", "d"),
        "[core]\na = 1\n[cache]\ndir = d\n\n# r\n['remote \"s\"']\nurl = x\n");
    assert_string_equal(edit("[core]\na = 1\n[cache]\nb = 2\n", "core", "a", NULL),
                        "[cache]\nb = 2\n");
    assert_string_equal(edit("[core]\n# keep\na = 1\n", "core", "a", NULL), "[core]\n# keep\n");
    assert_string_equal(edit("['remote \"s\"']\nurl = x\n", "remote \"s\"", "url", NULL),
                        "['remote \"s\"']\n");
    assert_string_equal(edit("['remote \"s\"']\nurl = x\n# n\n[b]\n", "remote \"s\"", NULL, NULL),
                        "# n\n[b]\n");
    assert_string_equal(edit("[core]\na = 1\n", "core", "z", NULL), "[core]\na = 1\n");
}

static void test_what_no_quotes_can_hold(void **state)
{
    static const char *const bad[] = {"a\nb", "\"\"\" '''", "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_buf out;
        gy_buf_init(&out, GY_MIB);
        struct gy_ini ini = parse("");
        assert_int_equal(
            gy_ini_set(&ini, GY_STR("core"), GY_STR("k"), gy_str_c(bad[i]), &out, &err),
            GY_E_INVALID);
        gy_buf_done(&out);
    }
}

/* What is written is read back as what was meant. */
static void test_written_values_come_back(void **state)
{
    static const char *const values[] = {"x",           " x ",         "a,b",
                                         "#",           "it's",        "\"q\"",
                                         "\"",          "'",           "both ' and \" in",
                                         "a = b",       "[x]",         "%20",
                                         "\xc3\xa9",    "a\tb",        "x,",
                                         ",",           "'x' \"y\" z", "it's \"so\"",
                                         "\"so\" it's", "'",           "''' \"",
                                         "\"a'"};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char *text = strdup(edit("[core]\na = 1 # c\n", "remote \"s\"", "url", values[i]));
        assert_string_equal(value(text, "remote \"s\"", "url"), values[i]);
        assert_string_equal(value(edit(text, "core", "a", values[i]), "core", "a"), values[i]);
        free(text);
    }
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_status(GY_OK, gy_dir_make_for(path, &err), err);
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static void test_levels(void **state)
{
    char dir[64], path[GY_MAX_PATH], outer[128], root[GY_MAX_PATH], want[GY_MAX_PATH];
    GY_AUTO(gy_dvc_config_free) struct gy_dvc_config *c = NULL;
    enum gy_dvc_level level = GY_DVC_SYSTEM;
    struct gy_str *names = NULL;
    size_t n = 0;
    (void)state;
    scratch_make(dir);
    (void)snprintf(outer, sizeof outer, "%s/outer", dir);
    setenv("DVC_GLOBAL_CONFIG_DIR", outer, 1);
    setenv("DVC_SYSTEM_CONFIG_DIR", outer, 1);
    write_file(dir, "r/.dvc/config",
               "[core]\nremote = s\n['remote \"s\"']\nurl = ../data/./x/../y\n");
    write_file(
        dir, "r/.dvc/config.local",
        "[core]\nautostage = True\n['remote \"s\"']\nregion = r\n['remote \"t\"']\nurl = s3://t\n");
    write_file(dir, "outer/config", "['remote \"g\"']\nurl = rel\n['remote \"s\"']\nurl = lost\n");
    write_file(dir, "r/sub/deep/f", "");
    (void)snprintf(path, sizeof path, "%s/r/sub/deep", dir);
    assert_status(GY_OK, gy_dvc_find_root(path, root, &err), err);
    (void)snprintf(want, sizeof want, "%s/r", dir);
    assert_string_equal(root, want);
    assert_int_equal(gy_dvc_find_root("/proc", path, &err), GY_E_NOTFOUND);

    assert_status(GY_OK, gy_dvc_config_load(root, &c, &err), err);
    assert_str(gy_dvc_config_get(c, "remote \"s\"", "url", &level), "../data/./x/../y");
    assert_int_equal(level, GY_DVC_REPO);
    assert_status(GY_OK, gy_dvc_config_path(c, "remote \"s\"", "url", path, &err), err);
    (void)snprintf(want, sizeof want, "%s/r/data/y", dir);
    assert_string_equal(path, want);
    assert_status(GY_OK, gy_dvc_config_path(c, "remote \"g\"", "url", path, &err), err);
    (void)snprintf(want, sizeof want, "%s/outer/rel", dir);
    assert_string_equal(path, want);
    assert_status(GY_OK, gy_dvc_config_path(c, "remote \"t\"", "url", path, &err), err);
    assert_string_equal(path, "s3://t");
    assert_status(GY_OK, gy_dvc_config_path(c, "cache", "dir", path, &err), err);
    assert_string_equal(path, "");
    assert_true(gy_dvc_config_bool(c, "core", "autostage", false));
    assert_true(gy_dvc_config_bool(c, "core", "analytics", true));
    assert_null(gy_dvc_config_get_at(c, GY_DVC_LOCAL, "remote \"s\"", "url").p);
    assert_str(gy_dvc_config_key(c, "remote \"s\"", 0), "url");
    assert_str(gy_dvc_config_key(c, "remote \"s\"", 1), "region");
    assert_null(gy_dvc_config_key(c, "remote \"s\"", 2).p);

    struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    assert_status(GY_OK, gy_dvc_config_remotes(c, GY_DVC_N_LEVELS, &a, &names, &n, &err), err);
    assert_int_equal(n, 3);
    assert_str(names[0], "g");
    assert_str(names[2], "t");
    gy_arena_done(&a);

    assert_status(GY_OK,
                  gy_dvc_config_set(c, GY_DVC_LOCAL, "core", "autostage", GY_STR("no"), &err), err);
    assert_false(gy_dvc_config_bool(c, "core", "autostage", true));
    assert_status(GY_OK,
                  gy_dvc_config_rename(c, GY_DVC_LOCAL, "remote \"t\"", "remote \"u\"", &err), err);
    assert_false(gy_dvc_config_has(c, GY_DVC_N_LEVELS, "remote \"t\""));
    assert_int_equal(gy_dvc_config_rename(c, GY_DVC_REPO, "remote \"t\"", "remote \"u\"", &err),
                     GY_E_NOTFOUND);
    gy_dvc_config_free(GY_TAKE(c));
    assert_status(GY_OK, gy_dvc_config_load(root, &c, &err), err);
    assert_str(gy_dvc_config_get(c, "remote \"u\"", "url", NULL), "s3://t");
    gy_dvc_config_free(GY_TAKE(c));
    assert_status(GY_OK, gy_dvc_config_load(NULL, &c, &err), err);
    assert_null(gy_dvc_config_file(c, GY_DVC_REPO));
    assert_int_equal(gy_dvc_config_set(c, GY_DVC_REPO, "core", "a", GY_STR("b"), &err),
                     GY_E_INVALID);
    scratch_done(dir);
}

static void test_paths_as_they_are_written(void **state)
{
    static const struct {
        const char *path, *text;
    } cases[] = {{"../x", "../../x"},
                 {"x", "../x"},
                 {".", ".."},
                 {".dvc/x", "x"},
                 {"/tmp/../x", "/tmp/../x"},
                 {"s3://b/p", "s3://b/p"},
                 {"remote://a/b", "remote://a/b"},
                 {"~/x", "~/x"},
                 {"../../../../..", "../../../.."},
                 {".dvc", "."},
                 {"../rr", "../../rr"}};
    GY_AUTO(gy_dvc_config_free) struct gy_dvc_config *c = NULL;
    (void)state;
    setenv("HOME", "/home/none", 1);
    assert_status(GY_OK, gy_dvc_config_load("/a/b/r", &c, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[GY_MAX_PATH];
        assert_status(GY_OK,
                      gy_dvc_config_path_text(c, GY_DVC_REPO, "/a/b/r", cases[i].path, got, &err),
                      err);
        assert_string_equal(got, cases[i].text);
    }
}

static void test_keys(void **state)
{
    (void)state;
    assert_status(GY_OK, gy_dvc_remote_check_key(GY_STR("s3://b"), "region", GY_STR("x"), &err),
                  err);
    assert_int_equal(gy_dvc_remote_check_key(GY_STR("/d"), "region", GY_STR("x"), &err),
                     GY_E_INVALID);
    assert_int_equal(gy_dvc_remote_check_key(GY_STR("s3://b"), "regoin", GY_STR("x"), &err),
                     GY_E_INVALID);
    assert_string_equal(err.hint, "did you mean region?");
    assert_int_equal(gy_dvc_remote_check_key(GY_STR("/d"), "jobs", GY_STR("0"), &err),
                     GY_E_INVALID);
    assert_status(GY_OK, gy_dvc_remote_check_key(GY_STR("gs://b"), "anything", GY_STR("0"), &err),
                  err);
    assert_int_equal(gy_dvc_remote_check_url(GY_STR("s4://b"), &err), GY_E_INVALID);
    assert_int_equal(gy_dvc_remote_check_url(GY_STR(""), &err), GY_E_INVALID);
    assert_status(GY_OK, gy_dvc_remote_check_url(GY_STR("../x"), &err), err);
}

static gy_status load_and_edit(void *ctx, struct gy_err *e)
{
    GY_AUTO(gy_dvc_config_free) struct gy_dvc_config *c = NULL;
    GY_TRY(gy_dvc_config_load(ctx, &c, e));
    GY_TRY(gy_dvc_config_set(c, GY_DVC_REPO, "remote \"s\"", "url", GY_STR("a,b"), e));
    return gy_dvc_config_set(c, GY_DVC_REPO, "remote \"s\"", "url", GY_STR("c"), e);
}

static void test_out_of_memory(void **state)
{
    char dir[64];
    (void)state;
    scratch_make(dir);
    write_file(dir, ".dvc/config", "[core]\nremote = s, t\n");
    torture(load_and_edit, dir);
    scratch_done(dir);
}

static int done(void **state)
{
    (void)state;
    gy_arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_what_no_quotes_can_hold),
        cmocka_unit_test(test_written_values_come_back),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_paths_as_they_are_written),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
