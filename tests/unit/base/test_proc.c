/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"

static void run(const char *const *argv, const char *const *env, const char *cwd, size_t max,
                gy_status want, int code, const char *text)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, max);
    struct gy_err err = GY_ERR_INIT;
    int got = -1;
    struct gy_proc_options o = {
        .argv = argv, .env_add = env, .cwd = cwd, .stdin_fd = -1, .stderr_fd = -1};
    assert_int_equal(gy_proc_capture(&o, &out, &got, &err), want);
    if (want == GY_OK) {
        assert_int_equal(got, code);
        assert_string_equal(out.p, text);
    } else {
        assert_true(err.msg[0] != '\0');
    }
}

static void test_capture(void **state)
{
    (void)state;
    run((const char *const[]){"sh", "-c", "echo hello; exit 3", NULL}, NULL, NULL, 1 << 20, GY_OK,
        3, "hello\n");
    run((const char *const[]){"pwd", NULL}, NULL, "/", 1 << 20, GY_OK, 0, "/\n");
    run((const char *const[]){"cat", NULL}, NULL, NULL, 1 << 20, GY_OK, 0, ""); /* stdin is empty */
    run((const char *const[]){"sh", "-c", "kill -9 $$", NULL}, NULL, NULL, 1 << 20, GY_OK,
        128 + SIGKILL, "");
}

static void test_environment_is_added_and_replaced(void **state)
{
    (void)state;
    assert_int_equal(setenv("GY_TEST_A", "old", 1), 0);
    run((const char *const[]){"sh", "-c", "echo $GY_TEST_A$GY_TEST_B", NULL},
        (const char *const[]){"GY_TEST_A=new", "GY_TEST_B=two", NULL}, NULL, 1 << 20, GY_OK, 0,
        "newtwo\n");
}

static void test_failures(void **state)
{
    (void)state;
    run((const char *const[]){"no-such-program-here", NULL}, NULL, NULL, 1 << 20, GY_E_NOTFOUND, 0,
        "");
    run((const char *const[]){"pwd", NULL}, NULL, "/no/such/folder", 1 << 20, GY_E_NOTFOUND, 0, "");
    run((const char *const[]){"sh", "-c", "yes | head -c 1000000; exec cat /dev/zero", NULL}, NULL,
        NULL, 65536, GY_E_TOOBIG, 0, "");
}

static void test_kill_reaches_the_group(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct gy_proc p = {0};
    struct gy_proc_options o = {
        .argv = (const char *const[]){"sh", "-c", "sleep 100 & echo up; wait", NULL},
        .stdin_fd = -1,
        .stdout_fd = ends[1],
        .stderr_fd = -1};
    int code = 0;
    char text[8];
    assert_int_equal(gy_proc_start(&o, &p, NULL), GY_OK);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], text, sizeof text),
                     3); /* the grandchild was started before "up" */
    gy_proc_kill(&p, SIGKILL);
    assert_int_equal(gy_proc_wait(&p, &code, NULL), GY_OK);
    assert_int_equal(code, 128 + SIGKILL);
    assert_int_equal(read(ends[0], text, sizeof text),
                     0); /* ends only when the grandchild let go of it */
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(p.pid, 0);
}

static void test_waiting_has_a_bound(void **state)
{
    (void)state;
    struct gy_proc p = {0};
    struct gy_proc_options o = {.argv = (const char *const[]){"sleep", "100", NULL},
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = -1};
    bool ended = true;
    int code = 0;
    assert_int_equal(gy_proc_start(&o, &p, NULL), GY_OK);
    assert_int_equal(gy_proc_wait_ms(&p, 10, &ended, &code, NULL), GY_OK);
    assert_false(ended);
    gy_proc_kill(&p, SIGTERM);
    assert_int_equal(gy_proc_wait_ms(&p, 60000, &ended, &code, NULL), GY_OK);
    assert_true(ended);
    assert_int_equal(code, 128 + SIGTERM);
}

/* Found by the environment alone: neither parent nor group nor session need be known. */
static void test_marked_processes_are_ended(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_proc marked = {0};
    struct gy_proc plain = {0};
    char mark[64];
    char longer[80];
    int code = 0;
    (void)snprintf(mark, sizeof mark, "GYRE_TEST_MARK=%d/", (int)getpid());
    (void)snprintf(longer, sizeof longer, "%sstage", mark);
    struct gy_proc_options o = {.argv = (const char *const[]){"sleep", "600", NULL},
                                .env_add = (const char *const[]){longer, NULL},
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = -1,
                                .new_session = true};
    assert_int_equal(gy_proc_start(&o, &marked, &err), GY_OK);
    o.env_add = NULL;
    o.new_session = false;
    assert_int_equal(gy_proc_start(&o, &plain, &err), GY_OK);
    assert_int_equal(getsid(marked.pid), marked.pid);
    assert_int_equal(getsid(plain.pid), getsid(0));
    int64_t started = gy_proc_start_time(marked.pid);
    assert_true(started > 0 && started == gy_proc_start_time(marked.pid));
    assert_true(gy_proc_start_time(plain.pid) >= started);
    int64_t end = gy_mono_ns() + INT64_C(60000000000);
    size_t killed = 0;
    /* Its environment can be read a moment after exec was past failing. */
    while ((killed = gy_proc_kill_marked(gy_str_c(mark))) == 0) {
        assert_true(gy_mono_ns() < end);
    }
    assert_int_equal(killed, 1);
    /* A busy machine lets it die a little later; a zombie is none any more. */
    while (gy_proc_start_time(marked.pid) != 0) {
        assert_true(gy_mono_ns() < end);
    }
    assert_int_equal(gy_proc_kill_marked(gy_str_c(mark)), 0);
    assert_int_equal(gy_proc_wait(&marked, &code, &err), GY_OK);
    assert_int_equal(code, 128 + SIGKILL);
    gy_proc_kill(&plain, SIGTERM);
    assert_int_equal(gy_proc_wait(&plain, &code, &err), GY_OK);
    assert_int_equal(code, 128 + SIGTERM);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    for (uint64_t n = 1; n < 20; n++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, 1 << 20);
        int code = 0;
        struct gy_proc_options o = {.argv = (const char *const[]){"echo", "x", NULL},
                                    .env_add = (const char *const[]){"A=1", NULL},
                                    .stdin_fd = -1,
                                    .stderr_fd = -1};
        gy_mem_fail_at(n, 1);
        gy_status s = gy_proc_capture(&o, &out, &code, NULL);
        gy_mem_fail_at(0, 0);
        if (s == GY_OK) {
            break;
        }
        assert_int_equal(s, GY_E_NOMEM);
    }
    assert_int_equal(gy_mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_environment_is_added_and_replaced),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_kill_reaches_the_group),
        cmocka_unit_test(test_waiting_has_a_bound),
        cmocka_unit_test(test_marked_processes_are_ended),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
