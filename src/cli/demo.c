/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"

enum { MAX_WORDS = 64, MAX_ANSWER = 16 << 20 };

static const char marker[] = ".gyre/made-by-demo"; /* a folder that holds it is ours to empty */

/* The server's process group, for the handler; 0 when none runs. */
static volatile sig_atomic_t g_server_pid;

/* Everything is done and only the server is wanted: it ends first, then the demo, in order. */
static volatile sig_atomic_t g_waiting;

static void on_signal(int signal_number)
{
    static const char stopped[] = "\ngyre: stopped before the end\n";
    if (g_server_pid > 0) {
        (void)kill(-(pid_t)g_server_pid, SIGTERM); /* gone is as good as stopped */
    }
    if (!g_waiting) { /* in the middle of a step, which may be long: nobody waits for its end */
        ssize_t said = write(STDERR_FILENO, stopped, sizeof stopped - 1);
        (void)said; /* a lost stderr does not change what happens */
        _exit(128 + signal_number);
    }
}

static gy_status is_empty(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    (void)is_dir;
    *(bool *)ctx = false;
    return gy_err_set(err, GY_E_CONFLICT, "it holds '%s'", name);
}

static gy_status prepare_folder(const char *dir, struct gy_err *err)
{
    char mark[GY_MAX_PATH];
    GY_TRY(gy_path_join(mark, sizeof mark, dir, marker, err));
    if (gy_path_exists(mark)) {
        GY_TRY(gy_dir_remove(dir, err));
    } else if (gy_path_exists(dir)) {
        bool empty = true;
        gy_status s = gy_dir_each(dir, is_empty, &empty, err);
        if (s != GY_OK) {
            gy_err_set(err, GY_E_CONFLICT, "%s is not empty and was not made by a demo", dir);
            return gy_err_hint(err, "run the demo in another folder, or move that one away");
        }
    }
    char home[GY_MAX_PATH];
    GY_TRY(gy_path_join(home, sizeof home, dir, ".gyre", err));
    GY_TRY(gy_dir_make(home, err));
    return gy_file_write(mark, GY_STR("made by gyre demo\n"), 0644, err);
}

/* The demo's commands call `gyre`: this very binary must be the first in PATH. */
static gy_status set_environment(struct gy_demo *d, struct gy_err *err)
{
    struct gy_arena *a = &d->cli->arena;
    const char *slash = strrchr(d->cli->program, '/');
    const char *path = getenv("PATH");
    char *bin = gy_arena_strdup(
        a, gy_str_n(d->cli->program, slash ? (size_t)(slash - d->cli->program) : 0));
    char *new_path =
        bin ? gy_arena_printf(a, "PATH=%s:%s", bin, path ? path : "/usr/bin:/bin") : NULL;
    char *home = gy_arena_printf(a, "GYRE_HOME=%s/.gyre", d->dir);
    if (!new_path || !home) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    d->env[0] = new_path;
    d->env[1] = home;
    d->env[2] = "GYRE_SERVER=";
    d->env[3] = "REVIEW_OPTIONS=--with-simulated"; /* what the reviewer of a demo says counts */
    return GY_OK;
}

gy_status gy_demo_open(struct gy_cli *cli, const char *dir, struct gy_demo *d, struct gy_err *err)
{
    *d = (struct gy_demo){.cli = cli, .server_out = -1};
    gy_buf_init(&d->table_text, GY_MIB);
    gy_jw_init(&d->table, &d->table_text);
    gy_jw_obj(&d->table);
    GY_TRY(prepare_folder(dir, err));
    if (!realpath(dir, d->dir)) { /* GY_MAX_PATH is PATH_MAX, what realpath wants */
        return gy_err_sys(err, errno, "finding %s", dir);
    }
    return set_environment(d, err);
}

void gy_demo_close(struct gy_demo *d)
{
    if (d->server.pid > 0) {
        int code = 0;
        gy_proc_kill(&d->server, SIGTERM);
        GY_IGNORE(gy_proc_wait(&d->server, &code, NULL)); /* it is gone either way */
    }
    g_server_pid = 0;
    if (d->server_out >= 0) {
        (void)close(d->server_out);
        d->server_out = -1;
    }
    gy_buf_done(&d->table_text);
}

/* Words of a command line into argv; the text is cut in place. */
static gy_status split_words(char *text, const char **argv, size_t *n, struct gy_err *err)
{
    char *save = NULL;
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (*n + 1 >= MAX_WORDS) {
            return gy_err_set(err, GY_E_TOOBIG, "a command of more than %d words", MAX_WORDS);
        }
        argv[(*n)++] = word;
    }
    argv[*n] = NULL;
    return GY_OK;
}

gy_status gy_demo_gyre(struct gy_demo *d, const char *words, int want_code, yyjson_doc **ret_doc,
                       struct gy_err *err)
{
    const char *argv[MAX_WORDS] = {d->cli->program};
    size_t n = 1;
    char *text = gy_arena_strdup(&d->cli->arena, gy_str_c(words));
    if (!text) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(split_words(text, argv, &n, err));
    argv[n++] = "--json";
    argv[n] = NULL;
    char log[GY_MAX_PATH];
    GY_TRY(gy_path_join(log, sizeof log, d->dir, ".gyre/demo.log", err));
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0) {
        return gy_err_sys(err, errno, "opening %s", log);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_ANSWER);
    int code = 0;
    struct gy_proc_options o = {
        .argv = argv, .cwd = d->dir, .env_add = d->env, .stdin_fd = -1, .stderr_fd = log_fd};
    gy_status status = gy_proc_capture(&o, &out, &code, err);
    (void)close(log_fd); /* appended by the child, which has ended */
    GY_TRY(status);
    d->exit_code = code;
    if (want_code >= 0 && code != want_code) {
        gy_err_set(err, GY_E_FAILED, "gyre %s: exit code %d instead of %d: %.200s", words, code,
                   want_code, out.p);
        return gy_err_hint(err, "%s/.gyre/demo.log has what it said", d->dir);
    }
    return ret_doc ? gy_json_parse(gy_buf_str(&out), ret_doc, err) : GY_OK;
}

gy_status gy_demo_read(struct gy_demo *d, const char *file, yyjson_doc **ret_doc,
                       struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, d->dir, file, err));
    return gy_json_read_file(path, MAX_ANSWER, ret_doc, err);
}

void gy_demo_begin(struct gy_demo *d, const char *name, const char *command_fmt, ...)
{
    GY_REQUIRE(d->n_steps < GY_DEMO_MAX_STEPS);
    struct gy_demo_step *s = &d->steps[d->n_steps++];
    *s = (struct gy_demo_step){.name = name};
    va_list args;
    va_start(args, command_fmt);
    (void)vsnprintf(s->command, sizeof s->command, command_fmt,
                    args); /* a cut command shows where it was cut */
    va_end(args);
    gy_cli_say(d->cli, "%s%2zu  %s%s\n", d->cli->color ? "\033[1m" : "", d->n_steps, name,
               d->cli->color ? "\033[0m" : "");
    if (s->command[0]) {
        gy_cli_say(d->cli, "    $ %s\n", s->command);
    }
    (void)fflush(stdout); /* so that the command stands there while it runs */
    d->step_start_ns = gy_mono_ns();
}

gy_status gy_demo_done(struct gy_demo *d, bool ok, struct gy_err *err, const char *value_fmt, ...)
{
    struct gy_demo_step *s = &d->steps[d->n_steps - 1];
    va_list args;
    va_start(args, value_fmt);
    (void)vsnprintf(s->value, sizeof s->value, value_fmt, args);
    va_end(args);
    s->seconds = (double)(gy_mono_ns() - d->step_start_ns) / 1e9;
    s->ok = ok;
    const char *tick = ok ? "\xe2\x9c\x94" : "\xe2\x9c\x98";
    gy_cli_say(d->cli, "    %s%s%s %s  (%.2f s)\n",
               d->cli->color ? (ok ? "\033[32m" : "\033[31m") : "", tick,
               d->cli->color ? "\033[0m" : "", s->value, s->seconds);
    if (!ok) {
        return gy_err_set(err, GY_E_FAILED, "step '%s' missed what was expected: %s", s->name,
                          s->value);
    }
    return GY_OK;
}

/* Read the server's first line: {"listening": "http://127.0.0.1:41234", ...}. */
static gy_status read_address(struct gy_demo *d, struct gy_err *err)
{
    char line[1024];
    size_t n = 0;
    while (n + 1 < sizeof line) {
        ssize_t got = read(d->server_out, line + n, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            gy_err_set(err, GY_E_UNAVAILABLE, "the server ended before it listened");
            return gy_err_hint(err, "%s/.gyre/demo.log has what it said", d->dir);
        }
        if (line[n] == '\n') {
            break;
        }
        n++;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str address;
    GY_TRY(gy_json_parse(gy_str_n(line, n), &doc, err));
    GY_TRY(gy_json_need_str(yyjson_doc_get_root(doc), "listening", &address, err));
    (void)snprintf(d->address, sizeof d->address, "%" GY_STR_F, GY_STR_A(address));
    return GY_OK;
}

gy_status gy_demo_serve(struct gy_demo *d, struct gy_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gy_err_sys(err, errno, "making a pipe");
    }
    d->server_out = ends[0];
    char log[GY_MAX_PATH];
    gy_status status = gy_path_join(log, sizeof log, d->dir, ".gyre/demo.log", err);
    int log_fd = status == GY_OK ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    if (status == GY_OK && log_fd < 0) {
        status = gy_err_sys(err, errno, "opening %s", log);
    }
    if (status == GY_OK) {
        const char *argv[] = {d->cli->program, "server", "--port", "0", "--json", NULL};
        struct gy_proc_options o = {.argv = argv,
                                    .cwd = d->dir,
                                    .env_add = d->env,
                                    .stdin_fd = -1,
                                    .stdout_fd = ends[1],
                                    .stderr_fd = log_fd};
        status = gy_proc_start(&o, &d->server, err);
        (void)close(log_fd); /* the child has its own */
    }
    (void)close(ends[1]); /* so that the end of the child is seen */
    GY_TRY(status);
    g_server_pid = (sig_atomic_t)d->server.pid;
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL); /* fails only for a bad signal number */
    (void)sigaction(SIGTERM, &action, NULL);
    return read_address(d, err);
}

gy_status gy_demo_server(struct gy_demo *d, struct gy_err *err)
{
    gy_demo_begin(d, "a server", "gyre server --port 0");
    GY_TRY(gy_demo_serve(d, err));
    return gy_demo_done(d, true, err, "listening on %s", d->address);
}

void gy_demo_wait(struct gy_demo *d)
{
    int code = 0;
    g_waiting = 1;
    GY_IGNORE(
        gy_proc_wait(&d->server, &code,
                     NULL)); /* on_signal ends it; how it ended is no longer the demo's matter */
    g_server_pid = 0;
}
