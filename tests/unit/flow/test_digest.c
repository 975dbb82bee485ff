/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "flow/digest.h"
#include "unit.h"

static char g_dir[64];
static struct gy_dvc_repo *g_repo;
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
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_dvc_repo_open_at(g_dir, &g_repo, &err), err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_arena_done(&g_arena);
    gy_dvc_repo_free(g_repo);
    g_repo = NULL;
    scratch_done(g_dir);
    return 0;
}

static struct gy_flow_entry digest(const char *rel)
{
    struct gy_flow_entry e;
    bool exists = false;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  gy_flow_digest(g_repo, gy_str_c(rel), gy_str_c(rel), &g_arena, &exists, &e, &err),
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
        gy_flow_digest(g_repo, GY_STR("nope"), GY_STR("nope"), &g_arena, &exists, &e, NULL), GY_OK);
    assert_false(exists);
    assert_int_equal(
        gy_flow_digest(g_repo, GY_STR("foo/x"), GY_STR("x"), &g_arena, &exists, &e, NULL), GY_OK);
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
    assert_string_equal(e.files[0].sha256,
                        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
}

static void reopen(void)
{
    struct gy_err err = GY_ERR_INIT;
    gy_dvc_repo_free(g_repo);
    g_repo = NULL;
    assert_status(GY_OK, gy_dvc_repo_open_at(g_dir, &g_repo, &err), err);
}

static void test_what_does_not_count(void **state)
{
    (void)state;
    put("d/a", "a");
    struct gy_flow_entry plain = digest("d");
    put("d/.git/x", "x");
    put("d/b.tmp", "x");
    put(".dvcignore", "*.tmp\n");
    reopen();
    assert_string_equal(digest("d").md5, plain.md5);
    struct gy_flow_entry e;
    bool exists;
    struct gy_err err = GY_ERR_INIT;
    put("d/.dvcignore", "");
    assert_int_equal(gy_flow_digest(g_repo, GY_STR("d"), GY_STR("d"), &g_arena, &exists, &e, &err),
                     GY_E_INVALID);
}

/* What was learned is found again: both digests, without reading. */
static void test_remembered(void **state)
{
    (void)state;
    char path[128];
    struct gy_err err = GY_ERR_INIT;
    put(".dvc/config", "");
    put("f", "foo");
    reopen();
    (void)usleep(60000); /* past the tick in which a change would not show */
    (void)digest("f");
    assert_status(GY_OK, gy_dvc_repo_remember(g_repo, &err), err);
    reopen();
    struct gy_flow_entry e = digest("f");
    assert_string_equal(e.sha256,
                        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options o = {.sha256 = true};
    assert_status(GY_OK, gy_dvc_tree(g_repo, GY_STR("f"), &o, &g_arena, &t, &err), err);
    assert_true(t.files[0].known);
    (void)snprintf(path, sizeof path, "%s/f", g_dir);
    assert_int_equal(chmod(path, 0600), 0); /* its ctime is another one */
    assert_status(GY_OK, gy_dvc_tree(g_repo, GY_STR("f"), &o, &g_arena, &t, &err), err);
    assert_false(t.files[0].known);
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
    assert_status(GY_OK, gy_flow_cache(g_repo, GY_STR("d"), &e, &g_arena, &saved, &err), err);
    assert_false(saved); /* no DVC repository */
    put(".dvc/config", "[core]\n    remote = x\n");
    reopen();
    assert_status(GY_OK, gy_flow_cache(g_repo, GY_STR("d"), &e, &g_arena, &saved, &err), err);
    assert_true(saved);
    assert_status(GY_OK, gy_dvc_repo_settle(g_repo, &err), err);
    assert_object(".dvc/cache/files/md5/c4/ca4238a0b923820dcc509a6f75849b", "1");
    assert_object(".dvc/cache/files/md5/c8/1e728d9d4c2f636f067f89cc14862c", "2");
    put("d/1", "3"); /* between hashing and saving */
    assert_int_equal(gy_flow_cache(g_repo, GY_STR("d"), &e, &g_arena, &saved, &err), GY_E_CONFLICT);
}

static gy_status digest_all(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_GIB);
    struct gy_flow_entry e;
    bool exists;
    bool saved;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_TRY(gy_dvc_repo_open_at(g_dir, &r, err));
    GY_TRY(gy_flow_digest(r, GY_STR("d"), GY_STR("d"), &a, &exists, &e, err));
    return gy_flow_cache(r, GY_STR("d"), &e, &a, &saved, err);
}

static void test_torture(void **state)
{
    (void)state;
    put("d/1", "1");
    put("d/s/2", "2");
    put(".dvc/config", "");
    reopen();
    torture(digest_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
