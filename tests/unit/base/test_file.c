/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>

#include "unit.h"

static char g_dir[64];
static char g_path[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(g_dir);
    (void)snprintf(g_path, sizeof g_path, "%s/file", g_dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_file_set_fault(NULL, NULL);
    scratch_done(g_dir);
    return 0;
}

static void assert_content(const char *path, const char *expected)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&b, GY_MIB);
    assert_status(GY_OK, gy_file_read(path, &b, &err), err);
    assert_string_equal(b.p, expected);
}

static gy_status count_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    (void)name;
    (void)is_dir;
    (void)err;
    ++*(int *)ctx;
    return GY_OK;
}

static int entries(const char *dir)
{
    int n = 0;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_dir_each(dir, count_entry, &n, &err), err);
    return n;
}

static void test_write_and_read(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_file_write(g_path, GY_STR("one"), 0640, &err), err);
    assert_content(g_path, "one");
    assert_status(GY_OK, gy_file_write(g_path, GY_STR("two"), 0640, &err), err);
    assert_content(g_path, "two");
    assert_int_equal(gy_file_size(g_path), 3);
    assert_int_equal(entries(g_dir), 1); /* no temporary file is left */
    struct stat st;
    assert_int_equal(stat(g_path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    assert_status(GY_OK, gy_file_append(g_path, GY_STR("+three\n"), 0600, &err), err);
    assert_content(g_path, "two\n+three\n"); /* the torn line was closed */
}

static void test_read_ceiling(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 5);
    assert_status(GY_OK, gy_file_write(g_path, GY_STR("12345"), 0600, &err), err);
    assert_status(GY_OK, gy_file_read(g_path, &b, &err), err);
    gy_buf_reset(&b);
    assert_status(GY_OK, gy_file_write(g_path, GY_STR("123456"), 0600, &err), err);
    assert_int_equal(gy_file_read(g_path, &b, &err), GY_E_TOOBIG);
    assert_int_equal(gy_file_read("/nonexistent/file", &b, &err), GY_E_NOTFOUND);
    gy_buf_reset(&b);
    assert_int_equal(gy_file_read(g_dir, &b, &err), GY_E_IO);
}

static void test_writer_streams(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf expected;
    gy_buf_init(&expected, GY_MIB);
    struct gy_file_writer *w = NULL;
    assert_status(GY_OK, gy_file_writer_open(g_path, 0644, &w, &err), err);
    for (int i = 0; i < 5000; i++) {
        char line[64];
        struct gy_str s = gy_str_n(line, (size_t)snprintf(line, sizeof line, "%d,some text\n", i));
        gy_buf_add(&expected, s);
        assert_status(GY_OK, gy_file_writer_write(w, s, &err), err);
    }
    GY_AUTO(gy_free) char *large = gy_malloc(200000);
    memset(large, 'x', 200000);
    assert_status(GY_OK, gy_file_writer_write(w, gy_str_n(large, 200000), &err), err);
    gy_buf_add(&expected, gy_str_n(large, 200000));
    assert_false(gy_path_exists(g_path)); /* nothing is there before the commit */
    assert_status(GY_OK, gy_file_writer_commit(w, NULL, &err), err);
    gy_file_writer_free(w);
    assert_content(g_path, expected.p);

    char other[128];
    (void)snprintf(other, sizeof other, "%s/other", g_dir);
    assert_status(GY_OK, gy_file_writer_open(g_path, 0644, &w, &err), err);
    assert_status(GY_OK, gy_file_writer_write(w, GY_STR("moved"), &err), err);
    assert_status(GY_OK, gy_file_writer_commit(w, other, &err), err);
    gy_file_writer_free(w);
    assert_content(other, "moved");
    assert_status(GY_OK, gy_file_writer_open(g_path, 0644, &w, &err), err);
    gy_file_writer_free(w); /* aborts */
    assert_int_equal(entries(g_dir), 2);
}

struct fault {
    const char *op;
    int nth; /* the nth call of op fails */
    int errnum;
    int seen;
};

static int inject(void *ctx, const char *op, const char *path)
{
    struct fault *f = ctx;
    (void)path;
    if (strcmp(op, f->op) != 0) {
        return 0;
    }
    return ++f->seen == f->nth ? f->errnum : 0;
}

/* Whatever step fails, the old content stays and no temporary file does. Only the fsync of the
 * folder comes too late for the old content: the new one is in place then, whole. */
/* Until it is committed, a nameless one is not in its folder. */
static void test_nameless_writer(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    for (int commit = 0; commit < 2; commit++) {
        GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
        assert_status(GY_OK, gy_file_write(g_path, GY_STR("old"), 0600, &err), err);
        assert_status(GY_OK, gy_file_writer_open_nameless(g_path, 0640, &w, &err), err);
        assert_status(GY_OK, gy_file_writer_write(w, GY_STR("new"), &err), err);
        if (entries(g_dir) == 2) {
            print_message("this file system has no files without a name\n");
        } else {
            assert_int_equal(entries(g_dir), 1);
        }
        if (commit) {
            struct stat st;
            assert_status(GY_OK, gy_file_writer_commit(w, NULL, &err), err);
            assert_int_equal(stat(g_path, &st), 0);
            assert_int_equal(st.st_mode & 0137, 0);
        }
        gy_file_writer_free(GY_TAKE(w));
        assert_int_equal(entries(g_dir), 1);
        assert_content(g_path, commit ? "new" : "old");
    }
}

static void test_faults_leave_the_old_file(void **state)
{
    (void)state;
    static const struct {
        const char *op;
        int nth;
        int errnum;
        gy_status expected;
        const char *content;
    } rows[] = {
        {"open", 1, EACCES, GY_E_DENIED, "old"},   {"write", 1, ENOSPC, GY_E_NOSPACE, "old"},
        {"fsync", 1, EIO, GY_E_IO, "old"},         {"rename", 1, EXDEV, GY_E_IO, "old"},
        {"fsync", 2, EIO, GY_E_IO, "new content"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, gy_file_write(g_path, GY_STR("old"), 0600, &err), err);
        struct fault f = {rows[i].op, rows[i].nth, rows[i].errnum, 0};
        gy_file_set_fault(inject, &f);
        assert_int_equal(gy_file_write(g_path, GY_STR("new content"), 0600, &err),
                         rows[i].expected);
        gy_file_set_fault(NULL, NULL);
        assert_int_equal(err.sys_errno, rows[i].errnum);
        assert_content(g_path, rows[i].content);
        assert_int_equal(entries(g_dir), 1);
    }
    struct gy_err err = GY_ERR_INIT;
    struct fault f = {"fsync", 1, EIO, 0};
    gy_file_set_fault(inject, &f);
    assert_int_equal(gy_file_append(g_path, GY_STR("x"), 0600, &err), GY_E_IO);
    assert_content(g_path, rows[sizeof rows / sizeof rows[0] - 1].content);
    /* The name of a new log has to last, too: its folder is made durable; of an old one it was. */
    char log[160];
    (void)snprintf(log, sizeof log, "%s/log", g_dir);
    f = (struct fault){"fsync", 2, EIO, 0};
    assert_int_equal(gy_file_append(log, GY_STR("x\n"), 0600, &err), GY_E_IO);
    assert_int_equal(gy_file_size(log), 0);
    f = (struct fault){"fsync", 3, EIO, 0};
    assert_status(GY_OK, gy_file_append(log, GY_STR("y\n"), 0600, &err), err);
    f = (struct fault){"fsync", 2, EIO, 0};
    assert_status(GY_OK, gy_file_append(log, GY_STR("z\n"), 0600, &err), err);
    assert_content(log, "y\nz\n");
    f = (struct fault){"mkdir", 1, ENOSPC, 0};
    char deep[160];
    (void)snprintf(deep, sizeof deep, "%s/a/b", g_dir);
    assert_int_equal(gy_dir_make(deep, &err), GY_E_NOSPACE);
    f = (struct fault){"unlink", 1, EACCES, 0};
    assert_int_equal(gy_dir_remove(g_dir, &err), GY_E_DENIED);
}

static void test_folders(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char deep[200];
    (void)snprintf(deep, sizeof deep, "%s/a/b//c/", g_dir);
    assert_status(GY_OK, gy_dir_make(deep, &err), err);
    assert_status(GY_OK, gy_dir_make(deep, &err), err);
    assert_true(gy_path_is_dir(deep));
    assert_status(GY_OK, gy_file_write(g_path, GY_STR("x"), 0600, &err), err);
    assert_int_not_equal(gy_dir_make(g_path, &err), GY_OK); /* a file stands there */
    assert_int_equal(gy_dir_make("", &err), GY_E_INVALID);

    /* Removing does not follow links. */
    char outside[64];
    char kept[128];
    char link[128];
    scratch_make(outside);
    (void)snprintf(kept, sizeof kept, "%s/kept", outside);
    assert_status(GY_OK, gy_file_write(kept, GY_STR("x"), 0600, &err), err);
    (void)snprintf(link, sizeof link, "%s/a/link", g_dir);
    assert_int_equal(symlink(outside, link), 0);
    (void)snprintf(deep, sizeof deep, "%s/a", g_dir);
    assert_status(GY_OK, gy_dir_remove(deep, &err), err);
    assert_false(gy_path_exists(deep));
    assert_true(gy_path_exists(kept));
    assert_status(GY_OK, gy_dir_remove(deep, &err), err); /* absent is fine */
    assert_int_equal(gy_dir_remove(g_path, &err), GY_E_INVALID);
    scratch_done(outside);
    assert_int_equal(gy_file_size(g_dir), -1);
    assert_status(GY_OK, gy_dir_sync(g_dir, &err), err);
    assert_int_equal(gy_dir_sync(g_path, &err), GY_E_IO);
}

static gy_status collect(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct gy_buf *b = ctx;
    if (strcmp(name, "stop") == 0) {
        return gy_err_set(err, GY_E_CANCELLED, "stopped");
    }
    gy_buf_addf(b, "%s%s ", name, is_dir ? "/" : "");
    return GY_OK;
}

static void test_the_folder_of_a_file_is_made(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char dir[128];
    char file[160];
    (void)snprintf(dir, sizeof dir, "%s/a/b", g_dir);
    (void)snprintf(file, sizeof file, "%s/file", dir);
    for (int again = 0; again < 2; again++) {
        assert_status(GY_OK, gy_dir_make_for(file, &err), err);
        assert_true(gy_path_is_dir(dir));
        assert_false(gy_path_exists(file));
    }
    assert_status(GY_OK, gy_dir_make_for("file", &err), err);
    assert_status(GY_OK, gy_dir_make_for("/file", &err), err);
}

static void test_each_is_sorted(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    static const char *const names[] = {"b", "a", "B", "\xc3\xa9", "10", "9"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", g_dir, names[i]);
        assert_status(GY_OK, gy_file_write(path, GY_STR(""), 0600, &err), err);
    }
    (void)snprintf(path, sizeof path, "%s/dir", g_dir);
    assert_status(GY_OK, gy_dir_make(path, &err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 1000);
    assert_status(GY_OK, gy_dir_each(g_dir, collect, &b, &err), err);
    assert_string_equal(b.p, "10 9 B a b dir/ \xc3\xa9 ");
    (void)snprintf(path, sizeof path, "%s/stop", g_dir);
    assert_status(GY_OK, gy_file_write(path, GY_STR(""), 0600, &err), err);
    assert_int_equal(gy_dir_each(g_dir, collect, &b, &err), GY_E_CANCELLED);
    assert_int_equal(gy_dir_each("/nonexistent", collect, &b, &err), GY_E_NOTFOUND);
}

static void test_paths(void **state)
{
    (void)state;
    char out[16];
    assert_int_equal(gy_path_join(out, sizeof out, "a/", "b", NULL), GY_OK);
    assert_string_equal(out, "a/b");
    assert_int_equal(gy_path_join(out, sizeof out, "0123456", "0123456", NULL), GY_OK);
    assert_int_equal(gy_path_join(out, sizeof out, "01234567", "0123456", NULL), GY_E_TOOBIG);
    static const char *const good[] = {"a", "a/b", "a.b/..c/...", "\xc3\xa9"};
    static const char *const bad[] = {"",   "/a",     "a/",  "a//b", ".",
                                      "..", "a/../b", "./a", "a\\b", "a/."};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gy_path_check_relative(gy_str_c(good[i]), NULL), GY_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_path_check_relative(gy_str_c(bad[i]), NULL), GY_E_INVALID);
    }
    assert_int_equal(gy_path_check_relative(gy_str_n("a\0b", 3), NULL), GY_E_INVALID);
}

static gy_status all_of_it(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(gy_file_write(g_path, GY_STR("abc"), 0600, err));
    int n = 0;
    GY_TRY(gy_dir_each(g_dir, count_entry, &n, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 100);
    return gy_file_read(g_path, &b, err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(all_of_it, NULL);
    assert_int_equal(entries(g_dir), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nameless_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults_leave_the_old_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_folder_of_a_file_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_is_sorted, setup, teardown),
        cmocka_unit_test(test_paths),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
