/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "flow/digest.h"
#include "unit.h"

static char g_dir[64];
static struct gy_arena g_arena;

static void put(const char *rel, const char *text)
{
    char path[256];
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_status(GY_OK, gy_dir_make(path, &err), err);
    *slash = '/';
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static int setup(void **state)
{
    (void)state;
    scratch_make(g_dir);
    gy_arena_init(&g_arena, GY_GIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_arena_done(&g_arena);
    scratch_done(g_dir);
    return 0;
}

static struct gy_flow_entry digest(const char *rel)
{
    struct gy_flow_entry e;
    bool exists = false;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  gy_flow_digest(g_dir, gy_str_c(rel), gy_str_c(rel), &g_arena, &exists, &e, &err),
                  err);
    assert_true(exists);
    return e;
}

static void test_file(void **state)
{
    (void)state;
    char path[128];
    put("foo", "foo");
    struct gy_flow_entry e = digest("foo");
    assert_string_equal(e.md5, "acbd18db4cc2f85cedef654fccc4a4d8"); /* DVC's own test vector */
    assert_string_equal(e.sha256,
                        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
    assert_int_equal(e.size_bytes, 3);
    assert_int_equal(e.n_files, -1);
    assert_false(e.is_exec);
    (void)snprintf(path, sizeof path, "%s/foo", g_dir);
    assert_int_equal(chmod(path, 0755), 0);
    assert_true(digest("foo").is_exec);
    bool exists = true;
    assert_int_equal(
        gy_flow_digest(g_dir, GY_STR("nope"), GY_STR("nope"), &g_arena, &exists, &e, NULL), GY_OK);
    assert_false(exists);
    assert_int_equal(
        gy_flow_digest(g_dir, GY_STR("foo/x"), GY_STR("x"), &g_arena, &exists, &e, NULL), GY_OK);
    assert_false(exists);
}

static void test_folder(void **state)
{
    (void)state;
    put("d/1", "1");
    put("d/2", "2");
    struct gy_flow_entry e = digest("d");
    assert_string_equal(e.md5, "5fb6b29836c388e093ca0715c872fe2a.dir"); /* DVC's own test vector */
    assert_int_equal(e.size_bytes, 2);
    assert_int_equal(e.n_files, 2);
    assert_str(e.dir_json, "[{\"md5\": \"c4ca4238a0b923820dcc509a6f75849b\", \"relpath\": \"1\"}, "
                           "{\"md5\": \"c81e728d9d4c2f636f067f89cc14862c\", \"relpath\": \"2\"}]");
    assert_string_equal(e.files[0].sha256,
                        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
}

/* json.dumps with ensure_ascii: escapes, surrogate pairs, bytes that are no UTF-8. */
static void test_names_as_python_writes_them(void **state)
{
    (void)state;
    put("d/q\".txt", "y");
    put("d/\xc3\xa9.txt", "x");
    assert_string_equal(digest("d").md5, "617fac7c91e52fada738209f696c6763.dir");
    put("e/\xf0\x9f\x98\x80", "x");
    put("e/a\x7f\n\t\\", "x");
    put("e/\x80", "x");
    put("e/sub/z", "x");
    put("e/sub-", "x");
    struct gy_flow_entry e = digest("e");
    assert_str(e.files[1].relpath, "sub-"); /* '-' sorts before '/' */
    assert_str(e.files[2].relpath, "sub/z");
    assert_non_null(strstr(e.dir_json.p, "\"relpath\": \"a\\u007f\\n\\t\\\\\"}"));
    assert_non_null(strstr(e.dir_json.p, "\"relpath\": \"\\ud83d\\ude00\"}"));
    assert_non_null(strstr(e.dir_json.p, "\"relpath\": \"\\udc80\"}"));
}

static void test_what_does_not_count(void **state)
{
    (void)state;
    put("d/a", "a");
    struct gy_flow_entry plain = digest("d");
    put("d/.git/x", "x");
    put("d/.dvc/x", "x");
    assert_string_equal(digest("d").md5, plain.md5);
    put("d/.dvcignore", "");
    struct gy_flow_entry e;
    bool exists;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_flow_digest(g_dir, GY_STR("d"), GY_STR("d"), &g_arena, &exists, &e, &err),
                     GY_E_INVALID);
    put(".dvcignore", "# only a comment\n\n");
    put("e/a", "a");
    assert_string_equal(digest("e").md5, plain.md5);
    put(".dvcignore", "*.tmp\n");
    assert_int_equal(gy_flow_digest(g_dir, GY_STR("e"), GY_STR("e"), &g_arena, &exists, &e, &err),
                     GY_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "*.tmp"));
}

static void assert_object(const char *rel, const char *content)
{
    char path[256];
    struct stat st;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    assert_status(GY_OK, gy_file_read(path, &b, &err), err);
    assert_string_equal(b.p, content);
}

static void test_cache(void **state)
{
    (void)state;
    bool saved = true;
    struct gy_err err = GY_ERR_INIT;
    put("d/1", "1");
    put("d/s/2", "2");
    struct gy_flow_entry e = digest("d");
    assert_status(GY_OK, gy_flow_cache(g_dir, GY_STR("d"), &e, &saved, &err), err);
    assert_false(saved); /* no DVC repository */
    put(".dvc/config", "[core]\n    remote = x\n");
    assert_status(GY_OK, gy_flow_cache(g_dir, GY_STR("d"), &e, &saved, &err), err);
    assert_true(saved);
    assert_object(".dvc/cache/files/md5/c4/ca4238a0b923820dcc509a6f75849b", "1");
    assert_object(".dvc/cache/files/md5/c8/1e728d9d4c2f636f067f89cc14862c", "2");
    char list[128];
    (void)snprintf(list, sizeof list, ".dvc/cache/files/md5/%.2s/%s", e.md5, e.md5 + 2);
    assert_object(list, e.dir_json.p);
    assert_status(GY_OK, gy_flow_cache(g_dir, GY_STR("d"), &e, &saved, &err),
                  err); /* again: nothing to do */

    put(".dvc/config.local", "[cache]\n    dir = ../elsewhere\n");
    struct gy_flow_entry one = digest("d/1");
    assert_status(GY_OK, gy_flow_cache(g_dir, GY_STR("d/1"), &one, &saved, &err), err);
    assert_object("elsewhere/files/md5/c4/ca4238a0b923820dcc509a6f75849b", "1");
    put("d/1", "3"); /* between hashing and saving */
    memcpy(one.md5, "00000000000000000000000000000000", 33);
    assert_int_equal(gy_flow_cache(g_dir, GY_STR("d/1"), &one, &saved, &err), GY_E_CONFLICT);
    char bad[160];
    (void)snprintf(bad, sizeof bad, "%s/elsewhere/files/md5/00/000000000000000000000000000000",
                   g_dir);
    assert_false(gy_path_exists(bad));
}

static gy_status digest_all(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_GIB);
    struct gy_flow_entry e;
    bool exists;
    bool saved;
    GY_TRY(gy_flow_digest(g_dir, GY_STR("d"), GY_STR("d"), &a, &exists, &e, err));
    return gy_flow_cache(g_dir, GY_STR("d"), &e, &saved, err);
}

static void test_torture(void **state)
{
    (void)state;
    put("d/1", "1");
    put("d/s/2", "2");
    put(".dvc/config", "");
    torture(digest_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_as_python_writes_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
