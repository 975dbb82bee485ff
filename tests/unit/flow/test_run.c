/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>

#include "flow/run.h"
#include "unit.h"

static char g_dir[64];
static char g_home[128];
static volatile sig_atomic_t g_cancel;
static struct gy_buf g_told;
static int g_echo[2];

static void put(const char *rel, const char *text)
{
    char path[256];
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static bool there(const char *rel)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    return gy_path_exists(path);
}

static void content(const char *rel, struct gy_buf *b)
{
    char path[256];
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    assert_status(GY_OK, gy_file_read(path, b, &err), err);
}

static int setup(void **state)
{
    (void)state;
    scratch_make(g_dir);
    (void)snprintf(g_home, sizeof g_home, "%s/.gyre", g_dir);
    gy_buf_init(&g_told, GY_MIB);
    g_cancel = 0;
    (void)setenv("SHELL", "/bin/sh", 1);
    return pipe2(g_echo, O_CLOEXEC | O_NONBLOCK);
}

static int teardown(void **state)
{
    (void)state;
    (void)close(g_echo[0]);
    (void)close(g_echo[1]);
    gy_buf_done(&g_told);
    scratch_done(g_dir);
    return 0;
}

static gy_status told(void *ctx, const struct gy_flow_step *step, struct gy_err *err)
{
    (void)err;
    (void)ctx;
    gy_buf_addf(&g_told, "%.*s:%s ", (int)step->stage->name.n, step->stage->name.p,
                gy_step_status_name(step->status));
    return GY_OK;
}

static gy_status run_with(struct gy_flow_run_options o, struct gy_flow_result *r,
                          struct gy_err *err)
{
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    assert_status(GY_OK, gy_flow_load(g_dir, &f, err), *err);
    gy_buf_reset(&g_told);
    o.home = g_home;
    o.run_id = "run1";
    o.code_revision = "rev1";
    o.on_step = told;
    o.cancel = &g_cancel;
    gy_status status = gy_flow_run(f, &o, r, err);
    for (size_t i = 0; i < r->n_steps; i++) {
        r->steps[i].stage = NULL; /* the pipeline goes with f */
    }
    return status;
}

static gy_status run(struct gy_err *err)
{
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    return run_with((struct gy_flow_run_options){.echo_fd = -1}, &r, err);
}

static void test_runs_then_skips(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    put("in", "1\n");
    put("dvc.yaml", "stages:\n  b: {cmd: cat a in > b, deps: [a, in], outs: [b]}\n  a: {cmd: cp in "
                    "a, deps: [in], outs: [a]}\n");
    assert_status(GY_OK, run(&err), err);
    assert_string_equal(g_told.p, "a:running a:done b:running b:done ");
    assert_status(GY_OK, run(&err), err);
    assert_string_equal(g_told.p, "a:unchanged b:unchanged ");
    put("in", "2\n");
    assert_status(GY_OK, run(&err), err);
    assert_string_equal(g_told.p, "a:running a:done b:running b:done ");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 100);
    content("b", &b);
    assert_string_equal(b.p, "2\n2\n");
    put("b", "spoilt\n"); /* an output that somebody touched is made again, and only it */
    assert_status(GY_OK, run(&err), err);
    assert_string_equal(g_told.p, "a:unchanged b:running b:done ");
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    assert_status(GY_OK,
                  run_with((struct gy_flow_run_options){.echo_fd = -1,
                                                        .force = true,
                                                        .targets = (const char *const[]){"a"},
                                                        .n_targets = 1},
                           &r, &err),
                  err);
    assert_string_equal(g_told.p, "a:running a:done ");
    assert_int_equal(r.n_done, 1);
}

static void test_failure_stops_and_leaves_the_lock(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf before;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf after;
    gy_buf_init(&before, GY_MIB);
    gy_buf_init(&after, GY_MIB);
    put("dvc.yaml", "stages:\n  a: {cmd: echo x > a, outs: [a]}\n");
    assert_status(GY_OK, run(&err), err);
    content("dvc.lock", &before);
    put("dvc.yaml", "stages:\n  a: {cmd: echo x > a, outs: [a]}\n"
                    "  b: {cmd: [echo one, exit 3, touch never], deps: [a], outs: [b]}\n  c: {cmd: "
                    "touch c, deps: [b], outs: [c]}\n");
    assert_int_equal(run(&err), GY_E_FAILED);
    assert_string_equal(g_told.p, "a:unchanged b:running b:failed c:not_run ");
    assert_non_null(strstr(err.msg, "the stage 'b' ended with exit code 3"));
    assert_non_null(strstr(err.hint, "runs/run1/b.log"));
    assert_false(there("never"));
    assert_false(there("c"));
    content("dvc.lock", &after);
    assert_string_equal(before.p, after.p);
    put("dvc.yaml", "stages:\n  b: {cmd: 'kill -9 $$', outs: [b]}\n");
    assert_int_equal(run(&err), GY_E_FAILED);
    assert_non_null(strstr(err.msg, "signal 9"));
    put("dvc.yaml", "stages:\n  b: {cmd: 'true', outs: [b]}\n");
    assert_int_equal(run(&err), GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "did not make its output 'b'"));
    assert_string_equal(g_told.p, "b:running b:failed ");
}

static void test_missing_things_are_told_first(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml",
        "stages:\n  a: {cmd: touch a, outs: [a]}\n  b: {cmd: x, deps: [a, nowhere.csv]}\n");
    assert_int_equal(run(&err), GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "'b' (dvc.yaml:3) needs 'nowhere.csv'"));
    assert_string_equal(g_told.p, ""); /* nothing ran */
    assert_false(there("a"));
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    assert_int_equal(run_with((struct gy_flow_run_options){.echo_fd = -1,
                                                           .targets = (const char *const[]){"zz"},
                                                           .n_targets = 1},
                              &r, &err),
                     GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "no stage 'zz'"));
}

static void test_each_line_has_its_own_shell_and_environment(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char expected[1024];
    char sub[128];
    (void)snprintf(sub, sizeof sub, "%s/sub", g_dir);
    assert_status(GY_OK, gy_dir_make(sub, &err), err);
    put("dvc.yaml",
        "stages:\n  env:\n    wdir: sub\n    cmd: |\n      X=1; cd ..; pwd > sub/w\n\n"
        "      echo \"$DVC_ROOT $DVC_STAGE $GYRE_HOME $GYRE_PROJECT $GYRE_STEP $GYRE_CODE_REVISION "
        "[$X]\" > e\n"
        "      pwd > here; echo \"$PATH\" | cut -d: -f1 > path\n    outs: [e, here, path, w]\n");
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    assert_status(
        GY_OK,
        run_with((struct gy_flow_run_options){.echo_fd = -1, .program = "/opt/gyre/bin/gyre"}, &r,
                 &err),
        err);
    char real[GY_MAX_PATH];
    assert_non_null(realpath(g_dir, real));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    content("sub/e", &b);
    (void)snprintf(expected, sizeof expected, "%s env %s %s run1/env rev1 []\n", real, g_home,
                   real);
    assert_string_equal(b.p, expected);
    gy_buf_reset(&b);
    content("sub/here", &b); /* the cd of the line before is gone */
    (void)snprintf(expected, sizeof expected, "%s/sub\n", real);
    assert_string_equal(b.p, expected);
    gy_buf_reset(&b);
    content("sub/path", &b);
    assert_string_equal(b.p, "/opt/gyre/bin\n");
}

static void test_output_is_logged_and_passed_on(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml",
        "stages:\n  talk: {cmd: ['echo out; echo err >&2', 'seq 1 20000 > /dev/null']}\n");
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    assert_status(GY_OK, run_with((struct gy_flow_run_options){.echo_fd = g_echo[1]}, &r, &err),
                  err);
    char echoed[4096];
    ssize_t n = read(g_echo[0], echoed, sizeof echoed - 1);
    assert_true(n > 0);
    echoed[n] = '\0';
    static const char expected[] =
        "> echo out; echo err >&2\nout\nerr\n> seq 1 20000 > /dev/null\n";
    assert_string_equal(echoed, expected);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf log;
    gy_buf_init(&log, GY_MIB);
    content(".gyre/runs/run1/talk.log", &log);
    assert_string_equal(log.p, expected);
    put("dvc.yaml", "stages:\n  loud: {cmd: 'seq 1 100000'}\n"); /* more than a pipe holds */
    gy_flow_result_done(&r);
    assert_status(GY_OK, run_with((struct gy_flow_run_options){.echo_fd = -1}, &r, &err), err);
    gy_buf_reset(&log);
    content(".gyre/runs/run1/loud.log", &log);
    assert_true(gy_str_ends(gy_buf_str(&log), GY_STR("\n99999\n100000\n")));
}

static void test_outs_are_removed_unless_they_persist(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    put("kept", "old\n");
    put("gone", "old\n");
    put("dvc.yaml", "stages:\n  a:\n    cmd: 'test -e kept && test ! -e gone && echo more >> kept "
                    "&& echo new > gone'\n"
                    "    outs: [{kept: {persist: true}}, gone]\n");
    assert_status(GY_OK, run(&err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 100);
    content("kept", &b);
    assert_string_equal(b.p, "old\nmore\n");
}

static void test_frozen_is_left_alone(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml", "stages:\n  a: {cmd: touch a, deps: [missing], outs: [a], frozen: true}\n");
    assert_status(GY_OK, run(&err), err);
    assert_string_equal(g_told.p, "a:frozen ");
    assert_false(there("a"));
}

/* A daemon that a stage leaves behind holds the pipe, but not the run. */
static void test_daemon_does_not_hold_the_run(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml", "stages:\n  a: {cmd: '(sleep 100 & echo $! > pid); echo ok', outs: [pid]}\n");
    assert_status(GY_OK, run(&err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    int64_t pid = 0;
    gy_buf_init(&b, 100);
    content("pid", &b);
    assert_int_equal(gy_parse_i64(gy_str_trim(gy_buf_str(&b)), 2, INT32_MAX, &pid, NULL), GY_OK);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

/* Cancels once the stage says that it runs. */
static void *cancel_when_started(void *arg)
{
    (void)arg;
    struct pollfd started = {.fd = g_echo[0], .events = POLLIN};
    (void)poll(&started, 1, -1);
    g_cancel = 1;
    return NULL;
}

static void test_cancel_ends_the_group(void **state)
{
    (void)state;
    pthread_t thread;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml", "stages:\n  a: {cmd: 'sleep 1000 | sleep 1000', outs: [a]}\n  b: {cmd: touch "
                    "b, deps: [a]}\n");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_started, NULL), 0);
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    assert_int_equal(run_with((struct gy_flow_run_options){.echo_fd = g_echo[1]}, &r, &err),
                     GY_E_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(g_told.p, "a:running a:cancelled b:not_run ");
}

static void test_one_run_at_a_time(void **state)
{
    (void)state;
    char path[160];
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml", "stages:\n  a: {cmd: touch a, outs: [a]}\n");
    assert_status(GY_OK, gy_dir_make(g_home, &err), err);
    (void)snprintf(path, sizeof path, "%s/run.lock", g_home);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(run(&err), GY_E_BUSY);
    (void)close(fd);
    assert_status(GY_OK, run(&err), err);
}

static gy_status refuse(void *ctx, const struct gy_flow_step *step, struct gy_err *err)
{
    (void)ctx;
    return step->status == GY_STEP_DONE ? gy_err_set(err, GY_E_NETWORK, "nobody listens") : GY_OK;
}

static void test_record_that_can_not_be_kept_fails_the_run(void **state)
{
    (void)state;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.yaml", "stages:\n  a: {cmd: touch a, outs: [a]}\n");
    assert_status(GY_OK, gy_flow_load(g_dir, &f, &err), err);
    const struct gy_flow_run_options o = {
        .home = g_home, .run_id = "r", .code_revision = "x", .echo_fd = -1, .on_step = refuse};
    assert_int_equal(gy_flow_run(f, &o, &r, &err), GY_E_NETWORK);
}

/* A job that was killed goes on where it was: what its mark says is done is not done again, also
 * when it is always_changed; what was not heard of is told once more. */
static void test_marks_of_a_job(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char marks[160];
    char lock[160];
    struct gy_str known[] = {GY_STR("a")};
    (void)snprintf(marks, sizeof marks, "%s/done", g_dir);
    (void)snprintf(lock, sizeof lock, "%s/dvc.lock", g_dir);
    const struct gy_flow_run_options o = {.echo_fd = -1, .marks = marks};
    put("dvc.yaml", "stages:\n"
                    "  a: {cmd: 'echo x >> times; cp times a', outs: [a], always_changed: true}\n"
                    "  b: {cmd: 'echo x >> times; cp a b', deps: [a], outs: [b]}\n");
    GY_AUTO_DONE(gy_flow_result_done) struct gy_flow_result r;
    assert_status(GY_OK, run_with(o, &r, &err), err);
    assert_true(there("done/a") && there("done/b"));
    gy_flow_result_done(&r);
    gy_buf_reset(&g_told);
    assert_int_equal(unlink(lock), 0); /* as if it died before dvc.lock was told */
    assert_status(GY_OK, run_with(o, &r, &err), err);
    assert_string_equal(g_told.p, "a:done b:done ");
    gy_flow_result_done(&r);
    gy_buf_reset(&g_told);
    assert_true(there("dvc.lock"));
    struct gy_flow_run_options heard = o;
    heard.recorded = known;
    heard.n_recorded = 1;
    heard.force = true;
    assert_status(GY_OK, run_with(heard, &r, &err), err);
    assert_string_equal(g_told.p, "a:unchanged b:done ");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf times;
    gy_buf_init(&times, 100);
    content("times", &times);
    assert_string_equal(times.p, "x\nx\n");
    gy_flow_result_done(&r);
    gy_buf_reset(&g_told);
    put("b", "spoilt\n"); /* what is there is not what the mark was made of */
    assert_status(GY_OK, run_with(o, &r, &err), err);
    assert_string_equal(g_told.p, "a:done b:running b:done ");
    gy_flow_result_done(&r);
    gy_buf_reset(&g_told); /* without the job it is an always_changed stage again */
    assert_status(GY_OK, run_with((struct gy_flow_run_options){.echo_fd = -1}, &r, &err), err);
    assert_non_null(strstr(g_told.p, "a:running a:done "));
}

static void test_code_revision(void **state)
{
    (void)state;
    char rev[GY_CODE_REVISION];
    char command[512];
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_git_revision(g_dir, rev, &err), err);
    assert_string_equal(rev, "unversioned");
    (void)snprintf(command, sizeof command,
                   "cd %s && git init -q . && echo 1 > f && git add f && "
                   "git -c user.name=t -c user.email=t@t commit -qm one",
                   g_dir);
    if (system(command) != 0) { /* NOLINT(cert-env33-c): a test's own fixed command */
        skip();
    }
    assert_status(GY_OK, gy_git_revision(g_dir, rev, &err), err);
    assert_int_equal(strspn(rev, "0123456789abcdef"), 40);
    assert_int_equal(strlen(rev), 40);
    put("untracked", "x");
    assert_status(GY_OK, gy_git_revision(g_dir, rev, &err), err);
    assert_int_equal(strlen(rev), 40);
    put("f", "2\n");
    assert_status(GY_OK, gy_git_revision(g_dir, rev, &err), err);
    assert_string_equal(rev + 40, "+dirty");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 1000);
    for (int i = 0; i < 2; i++) { /* once is enough */
        assert_status(GY_OK, gy_git_ignore(g_dir, GY_STR("untracked"), &err), err);
    }
    content(".gitignore", &b);
    assert_string_equal(b.p, "/untracked\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs_then_skips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_stops_and_leaves_the_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_things_are_told_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_line_has_its_own_shell_and_environment, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_output_is_logged_and_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outs_are_removed_unless_they_persist, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frozen_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_daemon_does_not_hold_the_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_ends_the_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_run_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_that_can_not_be_kept_fails_the_run, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_marks_of_a_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_revision, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
