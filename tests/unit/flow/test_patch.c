/* SPDX-License-Identifier: Apache-2.0 */
/* The patch of a dirty tree, applied to a clean checkout, gives the tree again. Needs git: skipped
 * without. */
#include "flow/patch.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/proc.h"
#include "unit.h"

struct fixture {
    char dir[64], tree[96], clean[96];
};

static int git_in(const char *dir, const char *const *argv)
{
    struct gy_proc_options o = {
        .argv = argv, .cwd = dir, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    int code = 127;
    gy_buf_init(&out, GY_MIB);
    return gy_proc_capture(&o, &out, &code, &err) == GY_OK ? code : 127;
}

#define GIT(dir, ...)                                                                           \
    git_in((dir), (const char *const[]){"git", "-c", "user.name=t", "-c", "user.email=t@e.org", \
                                        __VA_ARGS__, NULL})

static void put(const char *dir, const char *name, struct gy_str bytes)
{
    char path[256];
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_status(GY_OK, gy_dir_make_for(path, &err), err);
    assert_status(GY_OK, gy_file_write(path, bytes, 0644, &err), err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    scratch_make(f->dir);
    (void)snprintf(f->tree, sizeof f->tree, "%s/tree", f->dir);
    (void)snprintf(f->clean, sizeof f->clean, "%s/clean", f->dir);
    *state = f;
    if (git_in("/", (const char *const[]){"git", "--version", NULL}) != 0) {
        return 0; /* the tests skip */
    }
    put(f->tree, "train.py", GY_STR("print(1)\nprint(2)\n"));
    put(f->tree, "old.txt", GY_STR("gone soon\n"));
    put(f->tree, "sub/deep.cfg", GY_STR("a = 1"));
    put(f->tree, "image.bin", gy_str_n("\0\1\2", 3));
    put(f->tree, ".gitignore", GY_STR("ignored.txt\n"));
    assert_int_equal(GIT(f->tree, "init", "-q"), 0);
    assert_int_equal(GIT(f->tree, "add", "-A"), 0);
    assert_int_equal(GIT(f->tree, "commit", "-q", "-m", "one"), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scratch_done(f->dir);
    free(f);
    return 0;
}

static void need_git(const struct fixture *f)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/.git", f->tree);
    if (!gy_path_exists(path)) {
        print_message("SKIP: git is not here\n");
        skip();
    }
}

/* The patch of the tree as it is, asked for in one of its folders. */
static struct gy_patch make(const struct fixture *f, const char *sub, struct gy_buf *out)
{
    char dir[256], revision[GY_CODE_REVISION];
    struct gy_patch p;
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(dir, sizeof dir, "%s/%s", f->tree, sub);
    gy_buf_init(out, GY_PATCH_MAX_BYTES);
    assert_status(GY_OK, gy_git_revision(dir, revision, &err), err);
    assert_status(GY_OK, gy_flow_code_patch(dir, revision, out, &p, &err), err);
    return p;
}

static void expect_same(const struct fixture *f, const char *name)
{
    char a[256], b[256];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf x;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf y;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&x, GY_MIB);
    gy_buf_init(&y, GY_MIB);
    (void)snprintf(a, sizeof a, "%s/%s", f->tree, name);
    (void)snprintf(b, sizeof b, "%s/%s", f->clean, name);
    assert_status(GY_OK, gy_file_read(a, &x, &err), err);
    assert_status(GY_OK, gy_file_read(b, &y, &err), err);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
}

static void apply(const struct fixture *f, struct gy_str patch)
{
    char path[128];
    put(f->dir, "p.patch", patch);
    (void)snprintf(path, sizeof path, "%s/p.patch", f->dir);
    assert_int_equal(GIT(f->dir, "clone", "-q", f->tree, f->clean), 0);
    assert_int_equal(GIT(f->clean, "apply", path), 0);
}

static void test_it_gives_the_tree_again(void **state)
{
    const struct fixture *f = *state;
    need_git(f);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    static const char *const changed[] = {"train.py",           "sub/deep.cfg", "new.py",
                                          "a b/\xc3\xa4 c.txt", "no newline",   "empty"};
    char gone[160];
    /* Whatever a person has configured. */
    assert_int_equal(GIT(f->tree, "config", "diff.noprefix", "true"), 0);
    assert_int_equal(GIT(f->tree, "config", "diff.mnemonicPrefix", "true"), 0);
    assert_int_equal(GIT(f->tree, "config", "color.diff", "always"), 0);
    assert_int_equal(GIT(f->tree, "config", "diff.external", "/bin/false"), 0);
    put(f->tree, changed[0], GY_STR("print(1)\nprint(3)\n"));
    put(f->tree, changed[1], GY_STR("a = 2"));
    put(f->tree, changed[2], GY_STR("import x\r\n# diff --git a/x b/x\n"));
    put(f->tree, changed[3], GY_STR("\xc3\xa9\n"));
    put(f->tree, changed[4], GY_STR("x"));
    put(f->tree, changed[5], GY_STR(""));
    put(f->tree, "staged.py", GY_STR("s = 1\n"));
    assert_int_equal(GIT(f->tree, "add", "staged.py"), 0);
    (void)snprintf(gone, sizeof gone, "%s/old.txt", f->tree);
    assert_int_equal(unlink(gone), 0);
    struct gy_patch p = make(f, "sub", &patch); /* asked below the top: still the whole tree */
    assert_true(p.dirty);
    assert_int_equal(p.n_binary + p.n_omitted, 0);
    apply(f, gy_buf_str(&patch));
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
        expect_same(f, changed[i]);
    }
    expect_same(f, "staged.py");
    (void)snprintf(gone, sizeof gone, "%s/old.txt", f->clean);
    assert_false(gy_path_exists(gone));
}

static bool says(const struct gy_buf *patch, const char *text)
{
    return gy_str_find_str(gy_buf_str(patch), gy_str_c(text)) != SIZE_MAX;
}

static void test_what_is_only_named(void **state)
{
    const struct fixture *f = *state;
    need_git(f);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    char *big = calloc(1, GY_PATCH_MAX_FILE + 1);
    assert_non_null(big);
    memset(big, 'x', GY_PATCH_MAX_FILE + 1);
    put(f->tree, "train.py", GY_STR("print(9)\n"));
    put(f->tree, "image.bin", gy_str_n("\0\1\3", 3));
    put(f->tree, "new.bin", gy_str_n("\0", 1));
    put(f->tree, "big.txt", gy_str_n(big, GY_PATCH_MAX_FILE + 1));
    put(f->tree, "ignored.txt", GY_STR("not to be seen\n"));
    put(f->tree, "conf/.env", GY_STR("TOKEN=hush\n"));
    put(f->tree, "server.pem", GY_STR("hush\n"));
    put(f->tree, ".gyre/gyre.yaml", GY_STR("home\n"));
    put(f->tree, "a\nb", GY_STR("line\n"));
    free(big);
    struct gy_patch p = make(f, ".", &patch);
    assert_int_equal(p.n_binary, 2);
    assert_int_equal(p.n_omitted, 3);
    assert_true(says(&patch, "# binary: image.bin sha256 b744d600fbe3853702978ec726c166d2"
                             "6274fe7b09b2c600ddf2d7d895667b24 3 bytes\n"));
    assert_true(says(&patch, "# binary: new.bin sha256 "));
    assert_true(says(&patch, "# left out: big.txt 262145 bytes (over 262144)"));
    assert_true(says(&patch, "# left out: conf/.env 11 bytes (may hold secrets)"));
    assert_true(says(&patch, "# left out: server.pem"));
    assert_false(says(&patch, "hush"));
    assert_false(says(&patch, "not to be seen"));
    assert_false(says(&patch, ".gyre"));
    apply(f, gy_buf_str(&patch));
    expect_same(f, "train.py");
    expect_same(f, "a\nb");
}

/* Names were compared as they are written: Secrets.yaml and .ENV went along. */
static void test_secrets_in_other_spellings_stay(void **state)
{
    static const char *const names[] = {".ENV.local",         "Server.KEY",  "aws/credentials",
                                        "deploy/Secret.yaml", "home/.npmrc", ".git-credentials"};
    const struct fixture *f = *state;
    need_git(f);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    put(f->tree, "train.py", GY_STR("print(9)\n"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put(f->tree, names[i], GY_STR("hush\n"));
    }
    put(f->tree, "keyboard.txt", GY_STR("said aloud\n"));
    struct gy_patch p = make(f, ".", &patch);
    assert_int_equal(p.n_omitted, sizeof names / sizeof names[0]);
    assert_false(says(&patch, "hush"));
    assert_true(says(&patch, "said aloud"));
}

/* One file of another user made the whole patch fail. */
static void test_what_can_not_be_read_is_named(void **state)
{
    const struct fixture *f = *state;
    char path[256];
    need_git(f);
    if (geteuid() == 0) {
        print_message("SKIP: root reads everything\n");
        skip();
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    put(f->tree, "theirs.txt", GY_STR("not ours\n"));
    put(f->tree, "train.py", GY_STR("print(9)\n"));
    (void)snprintf(path, sizeof path, "%s/theirs.txt", f->tree);
    assert_int_equal(chmod(path, 0), 0);
    struct gy_patch p = make(f, ".", &patch);
    assert_int_equal(p.n_omitted, 1);
    assert_true(says(&patch, "# left out: theirs.txt 9 bytes (can not be read)\n"));
    assert_true(says(&patch, "print(9)"));
}

static void test_a_clean_tree_has_none(void **state)
{
    const struct fixture *f = *state;
    need_git(f);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    struct gy_patch p = make(f, ".", &patch);
    assert_false(p.dirty);
    assert_int_equal(patch.n, 0);
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_flow_code_patch("/", "abc+dirty", &patch, &p, &err), GY_E_FAILED);
}

static void test_too_much_is_refused(void **state)
{
    const struct fixture *f = *state;
    need_git(f);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    char revision[GY_CODE_REVISION];
    struct gy_patch p;
    struct gy_err err = GY_ERR_INIT;
    put(f->tree, "train.py", GY_STR("print(1)\nprint(2)\nprint(3)\n"));
    gy_buf_init(&patch, 64);
    assert_status(GY_OK, gy_git_revision(f->tree, revision, &err), err);
    assert_int_equal(gy_flow_code_patch(f->tree, revision, &patch, &p, &err), GY_E_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_gives_the_tree_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_only_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets_in_other_spellings_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_can_not_be_read_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clean_tree_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("patch", tests, NULL, NULL);
}
