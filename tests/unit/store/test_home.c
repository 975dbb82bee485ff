/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "store/home.h"

static char g_cwd[GY_MAX_PATH];

static int setup(void **state)
{
    struct scratch *s = scratch_new();
    char real[GY_MAX_PATH];
    assert_non_null(getcwd(g_cwd, sizeof g_cwd));
    assert_non_null(realpath(s->dir, real));
    snprintf(s->dir, sizeof s->dir, "%.60s", real);
    assert_int_equal(chdir(s->dir), 0);
    unsetenv("GYRE_HOME");
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(chdir(g_cwd), 0);
    unsetenv("GYRE_HOME");
    scratch_free(*state);
    return 0;
}

static void find(const char *given, const char *dir, const char *name)
{
    struct gy_home h;
    char want[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    snprintf(want, sizeof want, "%s%s", dir, name);
    if (gy_home_find(given, true, &h, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(h.dir, want);
    assert_true(gy_path_is_dir(want));
    gy_home_done(&h);
}

static void the_home_is_found_in_the_documented_order(void **state)
{
    struct scratch *s = *state;
    struct gy_home h;
    assert_int_equal(gy_home_find(NULL, false, &h, NULL), GY_E_NOTFOUND);
    assert_false(gy_path_exists(".gyre"));
    find(NULL, s->dir, "/.gyre"); /* made here */
    assert_int_equal(gy_dir_make("a/b/c", NULL), GY_OK);
    assert_int_equal(chdir("a/b/c"), 0);
    find(NULL, s->dir, "/.gyre"); /* the nearest upwards */
    assert_int_equal(gy_dir_make("../.gyre", NULL), GY_OK);
    find(NULL, s->dir, "/a/b/.gyre");
    setenv("GYRE_HOME", "other", 1);
    find(NULL, s->dir, "/a/b/c/other"); /* the environment, relative to here */
    find("/proc/self/cwd/given", "/proc/self/cwd", "/given");
    find("", s->dir, "/a/b/c/other"); /* an empty name is none */
}

static void the_folders_are_made(void **state)
{
    struct gy_home h;
    char path[GY_MAX_PATH];
    (void)state;
    assert_int_equal(gy_home_find(NULL, true, &h, NULL), GY_OK);
    const char *names[] = {"objects", "log", "runs", "cache"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(gy_home_path(&h, names[i], path, NULL), GY_OK);
        assert_true(gy_path_is_dir(path));
    }
    gy_home_done(&h);
    assert_int_equal(gy_home_find("a-file/home", true, &h, NULL), GY_OK);
    assert_int_equal(gy_file_write("plain", GY_STR("x"), 0644, NULL), GY_OK);
    assert_int_not_equal(gy_home_find("plain", true, &h, NULL), GY_OK);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

/* The database, with the digests of passwords in it, was for everybody on the machine to read. */
static void a_new_home_is_its_owners_alone(void **state)
{
    struct gy_home h;
    (void)state;
    assert_int_equal(gy_home_find("way/to/new", true, &h, NULL), GY_OK);
    gy_home_done(&h);
    assert_int_equal(mode_of("way/to/new"), 0700);
    assert_int_not_equal(mode_of("way/to"), 0700); /* not ours */
    /* one that somebody has made keeps what they gave it */
    assert_int_equal(mkdir("shared", 0750), 0);
    assert_int_equal(chmod("shared", 0750), 0);
    assert_int_equal(gy_home_find("shared", true, &h, NULL), GY_OK);
    gy_home_done(&h);
    assert_int_equal(mode_of("shared"), 0750);
}

struct syncs {
    char paths[8][GY_MAX_PATH];
    size_t n;
};

static int note_sync(void *ctx, const char *op, const char *path)
{
    struct syncs *s = ctx;
    if (strcmp(op, "fsync") == 0 && s->n < 8) {
        snprintf(s->paths[s->n++], GY_MAX_PATH, "%s", path);
    }
    return 0;
}

/* Its database can sync what is in the home, but not the home's own name. */
static void a_new_home_is_on_disk_with_the_way_to_it(void **state)
{
    struct scratch *s = *state;
    static struct syncs seen;
    struct gy_home h;
    static const char *const want[] = {"/x/y/home", "/x/y", "/x", ""};
    gy_file_set_fault(note_sync, &seen);
    gy_status made = gy_home_find("x/y/home", true, &h, NULL);
    size_t n = seen.n;
    gy_status again = gy_home_find("x/y/home", true, &h, NULL);
    gy_file_set_fault(NULL, NULL);
    assert_int_equal(made, GY_OK);
    assert_int_equal(again, GY_OK);
    assert_int_equal(n, 4);
    assert_int_equal(seen.n, 4); /* not anew each time */
    for (size_t i = 0; i < 4; i++) {
        char path[GY_MAX_PATH];
        snprintf(path, sizeof path, "%s%s", s->dir, want[i]);
        assert_string_equal(seen.paths[i], path);
    }
}

static void the_lock_is_held_by_one_and_names_it(void **state)
{
    struct gy_home h, second;
    int64_t pid = 0;
    (void)state;
    assert_int_equal(gy_home_find(NULL, true, &h, NULL), GY_OK);
    second = h;
    assert_false(gy_home_is_locked(&h));
    assert_int_equal(gy_home_lock(&h, &pid, NULL), GY_OK);
    assert_int_equal(pid, getpid());
    assert_true(gy_home_is_locked(&second));
    assert_int_equal(gy_home_lock(&second, &pid, NULL), GY_E_BUSY);
    assert_int_equal(pid, getpid());
    assert_true(second.lock_fd < 0);
    gy_home_done(&h);
    assert_false(gy_home_is_locked(&second));
    assert_int_equal(gy_home_lock(&second, NULL, NULL), GY_OK);
    gy_home_done(&second);
}

static void a_killed_holder_leaves_no_lock(void **state)
{
    struct gy_home h;
    int pipes[2];
    char go;
    (void)state;
    assert_int_equal(gy_home_find(NULL, true, &h, NULL), GY_OK);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        gy_status status = gy_home_lock(&h, NULL, NULL);
        _exit(status == GY_OK && write(pipes[1], "x", 1) == 1 ? pause() : 1);
    }
    assert_true(child > 0);
    assert_int_equal(read(pipes[0], &go, 1), 1);
    assert_true(gy_home_is_locked(&h));
    int64_t pid = 0;
    assert_int_equal(gy_home_lock(&h, &pid, NULL), GY_E_BUSY);
    assert_int_equal(pid, child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(gy_home_is_locked(&h));
    assert_int_equal(gy_home_lock(&h, &pid, NULL), GY_OK);
    gy_home_done(&h);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_home_is_found_in_the_documented_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folders_are_made, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_home_is_its_owners_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_home_is_on_disk_with_the_way_to_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_lock_is_held_by_one_and_names_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_holder_leaves_no_lock, setup, teardown),
    };
    return cmocka_run_group_tests_name("home", tests, NULL, NULL);
}
