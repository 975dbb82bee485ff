/* SPDX-License-Identifier: Apache-2.0 */
/* What a process in jail can not do any more; each case in a child, since there is no way back. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "unit.h"

#include "base/jail.h"

static char g_dir[64], g_file[128], g_other[128];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(g_dir, sizeof g_dir, "/tmp/jail-XXXXXX");
    if (!mkdtemp(g_dir)) {
        return 1;
    }
    (void)snprintf(g_file, sizeof g_file, "%s/readable", g_dir);
    (void)snprintf(g_other, sizeof g_other, "%s/other", g_dir);
    return gy_file_write(g_file, GY_STR("x"), 0666, NULL) == GY_OK &&
                   gy_file_write(g_other, GY_STR("y"), 0666, NULL) == GY_OK
               ? 0
               : 1;
}

static int teardown(void **state)
{
    (void)state;
    return gy_dir_remove(g_dir, NULL) == GY_OK ? 0 : 1;
}

static bool enter(const char *readable, bool *walled)
{
    const char *list[] = {readable, "/no/such/file", NULL};
    const struct gy_jail_options o = {
        .memory_bytes = (int64_t)GY_GIB, .cpu_s = 2, .max_files = 32, .readable = list};
    return gy_jail_enter(&o, walled, NULL) == GY_OK;
}

static int inside_reads(void)
{
    bool walled = false;
    if (!enter(g_file, &walled)) {
        return 10;
    }
    if (open(g_file, O_RDONLY) < 0) {
        return 11;
    }
    if (!walled) {
        return 99;
    }
    if (open(g_other, O_RDONLY) >= 0 || open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES) {
        return 12;
    }
    return open(g_dir, O_RDONLY | O_DIRECTORY) >= 0 ? 13 : 0;
}

static int inside_reads_a_folder(void)
{
    bool walled = false;
    return !enter(g_dir, &walled) || open(g_other, O_RDONLY) < 0 ? 10 : 0;
}

static int inside_writes(void)
{
    int fd = open(g_file, O_WRONLY); /* before: what is open stays open, but takes nothing */
    bool walled = false;
    if (fd < 0 || !enter(g_dir, &walled)) {
        return 10;
    }
    if (write(fd, "zzz", 3) >= 0 || errno != EFBIG) {
        return 11;
    }
    if (!walled) {
        return 99;
    }
    char path[160];
    (void)snprintf(path, sizeof path, "%s/made", g_dir);
    if (open(path, O_WRONLY | O_CREAT, 0666) >= 0 || open(g_file, O_WRONLY) >= 0 ||
        unlink(g_other) == 0 || rename(g_other, path) == 0) {
        return 12;
    }
    int ends[2]; /* pipes are no files */
    return pipe(ends) == 0 && write(ends[1], "x", 1) == 1 ? 0 : 13;
}

static int inside_connects(void)
{
    bool walled = false;
    if (!enter(g_file, &walled)) {
        return 10;
    }
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(9),
                                   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)connect(fd, (const struct sockaddr *)(const void *)&to, sizeof to);
    return errno == EACCES ? 0 : 99; /* kernels before 6.7 do not refuse it */
}

static int inside_has_no_environment(void)
{
    bool walled = false;
    (void)setenv("GYRE_SECRET", "x", 1);
    return enter(g_file, &walled) && !getenv("GYRE_SECRET") && !getenv("PATH") ? 0 : 10;
}

static int inside_burns(void)
{
    bool walled = false;
    volatile unsigned n = 0;
    if (!enter(g_file, &walled)) {
        return 10;
    }
    for (;;) {
        n++;
    }
    return (int)n;
}

/* The exit code of fn in a process of its own; 128 + the signal that ended it. */
static int in_child(int (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(fn());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void check(int (*fn)(void))
{
    int code = in_child(fn);
    if (code == 99) {
        print_message("skipped: this kernel has not all of Landlock\n");
        skip();
    }
    assert_int_equal(code, 0);
}

static void test_reads_what_is_named_alone(void **state)
{
    (void)state;
    check(inside_reads);
    check(inside_reads_a_folder);
}

static void test_writes_nothing(void **state)
{
    (void)state;
    check(inside_writes);
    char text[8] = {0};
    struct gy_buf b;
    gy_buf_init(&b, sizeof text);
    assert_int_equal(gy_file_read(g_file, &b, NULL), GY_OK);
    assert_string_equal(b.p, "x");
    gy_buf_done(&b);
}

static void test_connects_to_nobody(void **state)
{
    (void)state;
    check(inside_connects);
}

static void test_knows_no_environment(void **state)
{
    (void)state;
    check(inside_has_no_environment);
}

static void test_its_time_is_bounded(void **state)
{
    (void)state;
    int code = in_child(inside_burns);
    assert_true(code == 128 + SIGXCPU || code == 128 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_is_named_alone),
        cmocka_unit_test(test_writes_nothing),
        cmocka_unit_test(test_connects_to_nobody),
        cmocka_unit_test(test_knows_no_environment),
        cmocka_unit_test(test_its_time_is_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
