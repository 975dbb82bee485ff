/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's formats: lists of folders, digests, ignore patterns. Expected values are DVC's own. */
#include "unit.h"

#include <fcntl.h>

#include "data/dvc/dir.h"
#include "data/dvc/ignore.h"
#include "data/dvc/md5.h"
#include "data/dvc/stages.h"

static struct gy_err err;
static struct gy_arena arena;

static int setup(void **state)
{
    (void)state;
    err = (struct gy_err)GY_ERR_INIT;
    gy_arena_init(&arena, 64 * GY_MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_arena_done(&arena);
    return 0;
}

static struct gy_dvc_entry entry(const char *path, const char *content)
{
    struct gy_dvc_entry e = {.relpath = gy_str_c(path)};
    assert_status(GY_OK, gy_md5_hex(gy_str_c(content), e.md5, &err), err);
    return e;
}

static void assert_list(struct gy_dvc_entry *entries, size_t n, const char *md5)
{
    char got[GY_MD5_HEX];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MIB);
    assert_status(GY_OK, gy_dvc_dir_json(entries, n, &json, &err), err);
    assert_status(GY_OK, gy_md5_hex(gy_buf_str(&json), got, &err), err);
    assert_string_equal(got, md5);
    struct gy_dvc_entry *again = NULL;
    size_t n_again = 0;
    assert_status(GY_OK, gy_dvc_dir_parse(gy_buf_str(&json), &arena, &again, &n_again, &err), err);
    assert_int_equal(n_again, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(gy_str_eq(again[i].relpath, entries[i].relpath));
        assert_string_equal(again[i].md5, entries[i].md5);
    }
}

static void test_golden_lists(void **state)
{
    (void)state;
    struct gy_dvc_entry two[] = {entry("2", "2"), entry("1", "1")};
    assert_list(two, 2, "5fb6b29836c388e093ca0715c872fe2a");
    struct gy_dvc_entry odd[] = {entry("q\".txt", "y"), entry("\xc3\xa9.txt", "x")};
    assert_list(odd, 2, "617fac7c91e52fada738209f696c6763");
    struct gy_dvc_entry made[] = {
        entry("q\".txt", "y"), entry("sub/a b.txt", "x"), entry("\xc3\xa9.txt", "z"),
        entry("1", "1"),       entry("2", "2"),           entry("empty", "")};
    assert_list(made, 6, "9a16c717ce47b45a6e594cc9ff270307");
    assert_list(made, 0, "d751713988987e9331980363e24189ce");
}

/* As CPython's json.dumps with ensure_ascii. */
static void test_python_strings(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"a/b", "\"a/b\""},
        {"\x7f\x01", "\"\\u007f\\u0001\""},
        {"\b\f\n\r\t\"\\", "\"\\b\\f\\n\\r\\t\\\"\\\\\""},
        {"\xc3\xa9", "\"\\u00e9\""},
        {"\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\""},
        {"\x80x\xff", "\"\\udc80x\\udcff\""},
        {"\xed\xa0\x80", "\"\\udced\\udca0\\udc80\""},
        {"\xc3", "\"\\udcc3\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_KIB);
        gy_dvc_add_python_string(&out, gy_str_c(cases[i].text));
        assert_str(gy_buf_str(&out), cases[i].json);
    }
}

/* Each is smaller than the next, for Python. */
static void test_order(void **state)
{
    static const char *const sorted[] = {"",
                                         "a",
                                         "a/b",
                                         "a0",
                                         "b",
                                         "\xc3\xa9",
                                         "\xe4\xb8\xad",
                                         "\x80",
                                         "\xff",
                                         "\xef\xbf\xbd",
                                         "\xf0\x9f\x98\x80"};
    enum { N = sizeof sorted / sizeof sorted[0] };
    (void)state;
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < N; k++) {
            int c = gy_dvc_path_cmp(gy_str_c(sorted[i]), gy_str_c(sorted[k]));
            assert_int_equal(c < 0, i < k);
            assert_int_equal(c > 0, i > k);
        }
    }
    assert_true(gy_dvc_path_cmp(GY_STR("x\xc3\xa9"), GY_STR("x\xc3")) < 0);
}

static void test_bad_lists(void **state)
{
#define MD5 "acbd18db4cc2f85cedef654fccc4a4d8"
    static const char *const bad[] = {
        "",
        "{}",
        "[",
        "[{}]",
        "[{\"md5\": \"" MD5 "\"}]",
        "[{\"relpath\": \"a\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"../a\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"/a\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a//b\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a/.\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a\\u0000\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"\\ud800\"}]",
        "[{\"md5\": \"" MD5 "0\", \"relpath\": \"a\"}]",
        "[{\"md5\": \"x" MD5 "\", \"relpath\": \"a\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a\"}, {\"md5\": \"" MD5 "\", \"relpath\": \"a\"}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a\"}] x",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a\",}]",
        "[{\"md5\": \"" MD5 "\", \"relpath\": \"a\\\"}]",
        "[{\"x\": [[[[{\"y\": ]]]], \"md5\": \"" MD5 "\", \"relpath\": \"a\"}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_dvc_entry *e = NULL;
        size_t n = 0;
        assert_status(GY_E_PARSE, gy_dvc_dir_parse(gy_str_c(bad[i]), &arena, &e, &n, &err), err);
    }
    struct gy_dvc_entry *e = NULL;
    size_t n = 0;
    const char *more =
        " [ {\"size\": 3, \"etag\": \"\\u0041\", \"x\": {\"y\": [1, null]}, "
        "\"relpath\": \"a\\/\\u00e9\\udcff\", \"md5\": \"ACBD18DB4CC2F85CEDEF654FCCC4A4D8\"}]\n";
    assert_status(GY_OK, gy_dvc_dir_parse(gy_str_c(more), &arena, &e, &n, &err), err);
    assert_int_equal(n, 1);
    assert_str(e[0].relpath, "a/\xc3\xa9\xff");
    assert_string_equal(e[0].md5, MD5);
}

/* ---- digests ---- */

static void hash_text(const char *bytes, size_t n, bool legacy, char md5[GY_MD5_HEX])
{
    GY_AUTO_DONE(gy_dvc_hasher_done) struct gy_dvc_hasher h = {.hash = NULL};
    char path[] = "/tmp/gyre-md5-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    int64_t size = 0;
    assert_status(GY_OK, gy_dvc_hasher_init(&h, &err), err);
    assert_status(GY_OK, gy_dvc_hash_fd(&h, fd, path, legacy, md5, &size, &err), err);
    assert_int_equal(size, (int64_t)n);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

static void assert_legacy(const char *bytes, size_t n, const char *same_as, size_t n_same)
{
    char legacy[GY_MD5_HEX], want[GY_MD5_HEX], plain[GY_MD5_HEX], raw[GY_MD5_HEX];
    hash_text(bytes, n, true, legacy);
    assert_status(GY_OK, gy_md5_hex(gy_str_n(same_as, n_same), want, &err), err);
    assert_string_equal(legacy, want);
    hash_text(bytes, n, false, plain);
    assert_status(GY_OK, gy_md5_hex(gy_str_n(bytes, n), raw, &err), err);
    assert_string_equal(plain, raw);
}

static void test_dos2unix(void **state)
{
    (void)state;
    assert_legacy("", 0, "", 0);
    assert_legacy("foo", 3, "foo", 3);
    assert_legacy("a\r\nb\r\n", 6, "a\nb\n", 4);
    assert_legacy("a\rb\n\r", 5, "a\rb\n\r", 5);
    assert_legacy("a\r\n\0", 4, "a\r\n\0", 4);                            /* a NUL: binary */
    assert_legacy("\xff\xff\xff\r\nab", 7, "\xff\xff\xff\r\nab", 7);      /* 3 of 7 are over 30 % */
    assert_legacy("\xff\xff\xff\r\nabcde", 10, "\xff\xff\xff\nabcde", 9); /* 3 of 10 are not */
    /* A CRLF across two pieces stays; a second piece is judged by itself. */
    size_t n = GY_DVC_PIECE + 600;
    char *text = malloc(n), *want = malloc(n);
    assert_non_null(text);
    assert_non_null(want);
    memset(text, 'x', n);
    text[GY_DVC_PIECE - 1] = '\r';
    text[GY_DVC_PIECE] = '\n';
    text[10] = '\r';
    text[11] = '\n';
    text[GY_DVC_PIECE + 20] = '\0';
    text[GY_DVC_PIECE + 30] = '\r';
    text[GY_DVC_PIECE + 31] = '\n';
    memcpy(want, text, 10);
    memcpy(want + 10, text + 11, n - 11);
    assert_legacy(text, n, want, n - 1);
    free(text);
    free(want);
}

static void test_oids(void **state)
{
    struct gy_dvc_oid oid;
    (void)state;
    assert_true(gy_dvc_oid_set(&oid, GY_STR("ACBD18DB4CC2F85CEDEF654FCCC4A4D8"), false));
    assert_string_equal(oid.hex, MD5);
    assert_false(gy_dvc_oid_is_dir(&oid));
    assert_true(gy_dvc_oid_set(&oid, GY_STR(MD5 ".dir"), true));
    assert_true(gy_dvc_oid_is_dir(&oid));
    assert_true(oid.legacy);
    assert_true(gy_dvc_oid_set(&oid, GY_STR(""), false));
    assert_string_equal(oid.hex, "");
    assert_false(gy_dvc_oid_set(&oid, GY_STR("acbd"), false));
    assert_false(gy_dvc_oid_set(&oid, GY_STR("../d18db4cc2f85cedef654fccc4a4d8"), false));
    assert_false(gy_dvc_oid_set(&oid, GY_STR(MD5 ".dirx"), false));
    assert_string_equal(oid.hex, "");
}

/* ---- patterns ---- */

static void test_wildmatch(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool hit;
    } cases[] = {
        {"a", "a", true},
        {"a", "ab", false},
        {"*", "abc", true},
        {"*", "a/b", false},
        {"a*c", "abbc", true},
        {"a*c", "abbd", false},
        {"a?c", "abc", true},
        {"a?c", "a/c", false},
        {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},
        {"[^a-c]x", "dx", true},
        {"[]]", "]", true},
        {"[[:digit:]]", "7", true},
        {"[[:digit:]]", "a", false},
        {"[a", "[a", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\ ", "a ", true},
        {"**/a", "a", true},
        {"**/a", "x/y/a", true},
        {"**/a", "x/ab", false},
        {"a/**", "a", false},
        {"a/**", "a/b", true},
        {"a/**", "a/b/c", true},
        {"a/**/b", "a/b", true},
        {"a/**/b", "a/x/b", true},
        {"a/**/b", "a/x/y/b", true},
        {"a/**/b", "a/x/c", false},
        {"**/b/**/c", "a/b/x/b/y/c", true},
        {"**/x/*.c", "q/x/y.c", true},
        {"**/x/*.c", "q/x/z/y.c", false},
        {"a/*/c", "a/b/c", true},
        {"a/*/c", "a/b/b/c", false},
        {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (gy_dvc_wildmatch(gy_str_c(cases[i].pattern), gy_str_c(cases[i].path)) != cases[i].hit) {
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].path);
        }
    }
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_status(GY_OK, gy_dir_make_for(path, &err), err);
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static void test_ignore(void **state)
{
    char dir[64];
    GY_AUTO(gy_dvc_ignore_free) struct gy_dvc_ignore *g = NULL;
    static const struct {
        const char *path;
        bool is_dir, hit;
    } cases[] = {
        {".git", true, true},       {"a/.git", true, true},
        {"x.log", false, true},     {"a/x.log", false, true},
        {"keep.log", false, false}, {"a/keep.log", false, true},
        {"build", true, true},      {"build", false, false},
        {"a/build", true, true},    {"build/keep.log", false, true},
        {"top", false, true},       {"a/top", false, false},
        {"a/b/c.tmp", false, true}, {"a/c.tmp", false, true},
        {"c.tmp", false, false},    {"a/only", false, true},
        {"only", false, false},     {"#x", false, true},
        {"!y", false, true},        {"data", true, false},
    };
    (void)state;
    scratch_make(dir);
    put(dir, ".dvcignore", "# c\n\n*.log\n!keep.log\nbuild/\n/top\r\n\\#x\n\\!y\n");
    put(dir, "a/.dvcignore", "keep.log\n*.tmp\n/only  \n");
    assert_status(GY_OK, gy_dvc_ignore_new(dir, ".dvcignore", ".git/\n", &g, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool hit = false;
        struct gy_str why;
        assert_status(
            GY_OK,
            gy_dvc_ignore_look(g, gy_str_c(cases[i].path), cases[i].is_dir, &hit, &why, &err), err);
        if (hit != cases[i].hit || (why.p != NULL) != hit) {
            fail_msg("'%s'", cases[i].path);
        }
    }
    scratch_done(dir);
}

static void test_resolve(void **state)
{
    char out[GY_MAX_PATH];
    (void)state;
    assert_true(gy_dvc_resolve(GY_STR("a/b"), GY_STR("../c//d/."), out));
    assert_string_equal(out, "a/c/d");
    assert_true(gy_dvc_resolve(GY_STR(""), GY_STR("x"), out));
    assert_string_equal(out, "x");
    assert_true(gy_dvc_resolve(GY_STR("a"), GY_STR(".."), out));
    assert_string_equal(out, "");
    assert_false(gy_dvc_resolve(GY_STR("a"), GY_STR("../../b"), out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_golden_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_python_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dos2unix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wildmatch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ignore, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
