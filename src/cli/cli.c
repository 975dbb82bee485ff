/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli_internal.h"
#include "cli/options.h"
#include "cli/transport.h"

static const struct gy_verb_table *const g_tables[] = {
    &gy_cmd_stream,
    &gy_cmd_init,
    &gy_cmd_try,
    &gy_cmd_demo,
    &gy_cmd_data_ingest,
    &gy_cmd_data,
    &gy_cmd_data_schema,
    &gy_cmd_data_synth,
    &gy_cmd_data_profile,
    &gy_cmd_data_query,
    &gy_cmd_data_split,
    &gy_cmd_data_remote,
    &gy_cmd_data_track,
    &gy_cmd_data_registry,
    &gy_cmd_data_diff,
    &gy_cmd_data_push,
    &gy_cmd_data_gc,
    &gy_cmd_data_import,
    &gy_cmd_dlq,
    &gy_cmd_dlq_replay,
    &gy_cmd_train,
    &gy_cmd_evaluate,
    &gy_cmd_predict,
    &gy_cmd_run,
    &gy_cmd_gate,
    &gy_cmd_exp,
    &gy_cmd_runs,
    &gy_cmd_models,
    &gy_cmd_models_move,
    &gy_cmd_models_card,
    &gy_cmd_runs_ops,
    &gy_cmd_usecase,
    &gy_cmd_usecase_report,
    &gy_cmd_server,
    &gy_cmd_endpoint,
    &gy_cmd_trace,
    &gy_cmd_replay,
    &gy_cmd_backtest,
    &gy_cmd_feedback,
    &gy_cmd_review,
    &gy_cmd_review_export,
    &gy_cmd_watch,
    &gy_cmd_watch_performance,
    &gy_cmd_watch_drift,
    &gy_cmd_trigger,
    &gy_cmd_import,
    &gy_cmd_export,
    &gy_cmd_user,
    &gy_cmd_token,
    &gy_cmd_audit,
    &gy_cmd_exec,
    &gy_cmd_python,
    &gy_cmd_query,
    &gy_cmd_backup,
    &gy_cmd_subject,
    &gy_cmd_gc,
    &gy_cmd_serve,
    &gy_cmd_log,
    &gy_cmd_log_export,
    &gy_cmd_log_prune,
    &gy_cmd_flow,
    &gy_cmd_tutorial,
    &gy_cmd_version,
    &gy_cmd_models_files,
    &gy_cmd_models_chain,
};

enum { N_TABLES = sizeof g_tables / sizeof g_tables[0] };

/* The i-th verb over all tables; NULL past the end. */
static const struct gy_verb *verb_at(size_t i)
{
    for (size_t t = 0; t < N_TABLES; t++) {
        if (i < g_tables[t]->n) {
            return &g_tables[t]->verbs[i];
        }
        i -= g_tables[t]->n;
    }
    return NULL;
}

static bool is_noun(const char *word)
{
    for (size_t i = 0; verb_at(i); i++) {
        if (strcmp(verb_at(i)->noun, word) == 0) {
            return true;
        }
    }
    return false;
}

static const struct gy_verb *find_verb(const char *noun, const char *verb)
{
    for (size_t i = 0; verb_at(i); i++) {
        const struct gy_verb *v = verb_at(i);
        if (strcmp(v->noun, noun) == 0 && (v->verb ? verb && strcmp(v->verb, verb) == 0 : !verb)) {
            return v;
        }
    }
    return NULL;
}

static void print_overview(FILE *out, const char *noun)
{
    if (noun) {
        (void)fprintf(out, "usage: gyre %s <verb> [options]\n\n", noun);
    } else {
        (void)fprintf(out,
                      "gyre: the whole machine-learning operations loop in one program\n\n"
                      "usage: gyre <noun> [<verb>] [options]      gyre <noun> -h for more\n\n");
    }
    for (size_t i = 0; verb_at(i); i++) {
        const struct gy_verb *v = verb_at(i);
        bool hidden = v->noun[0] == '_'; /* not for people */
        if (!hidden && (!noun || strcmp(noun, v->noun) == 0)) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s%s%s", v->noun, v->verb ? " " : "",
                           v->verb ? v->verb : "");
            (void)fprintf(out, "  %-22s %s\n", name, v->summary);
        }
    }
    (void)fprintf(
        out,
        "\nEverywhere: --home DIR, --server URL, --workspace NAME, --json, --quiet, --log SPEC, "
        "--color=auto|always|never, -h\n");
}

static gy_status no_such_command(const char *noun, const char *verb, struct gy_err *err)
{
    if (!is_noun(noun)) {
        gy_err_set(err, GY_E_USAGE, "no such command: %s", noun);
        return gy_err_hint(err, "gyre -h lists them");
    }
    if (verb) {
        gy_err_set(err, GY_E_USAGE, "no such command: %s %s", noun, verb);
    } else {
        gy_err_set(err, GY_E_USAGE, "gyre %s needs a verb", noun);
    }
    return gy_err_hint(err, "gyre %s -h lists its verbs", noun);
}

static void print_error(const struct gy_cli *cli, const struct gy_err *err)
{
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, 16 * GY_KIB); /* each byte of a message may need six */
        struct gy_jw w;
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_key(&w, "error");
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "code", gy_status_name(err->code));
        gy_jw_kv_strc(&w, "message", err->msg);
        gy_jw_kv_strc(&w, "hint", err->hint);
        gy_jw_obj_end(&w);
        gy_jw_obj_end(&w);
        (void)printf("%s\n", out.p);
    }
    (void)fputs("gyre: ", stderr);
    gy_cli_put(stderr, gy_str_c(err->msg), false, false);
    if (err->hint[0]) {
        (void)fputs("\nhint: ", stderr);
        gy_cli_put(stderr, gy_str_c(err->hint), false, false);
    }
    (void)fputc('\n', stderr);
}

static gy_status run_verb(struct gy_cli *cli, const struct gy_verb *verb, int argc, char **argv,
                          struct gy_err *err)
{
    void *opts = NULL;
    bool help = false;
    GY_TRY(gy_cli_parse_options(cli, verb, argc, argv, &opts, &help, err));
    if (help) {
        gy_cli_print_help(stdout, verb);
        return GY_OK;
    }
    return verb->run(cli, opts, err);
}

/* Runs one command line; argv without the program name. */
static gy_status dispatch(struct gy_cli *cli, int argc, char **argv, struct gy_err *err)
{
    if (argc == 0) {
        print_overview(stderr, NULL);
        return gy_err_set(err, GY_E_USAGE, "no command given");
    }
    const char *noun = argv[0];
    if (strcmp(noun, "-h") == 0 || strcmp(noun, "--help") == 0 || strcmp(noun, "help") == 0) {
        print_overview(stdout, argc > 1 && is_noun(argv[1]) ? argv[1] : NULL);
        return GY_OK;
    }
    if (strcmp(noun, "--version") == 0) {
        noun = "version";
    }
    if (noun[0] == '-') {
        gy_err_set(err, GY_E_USAGE, "%s before the command", noun);
        return gy_err_hint(err, "options come after it: gyre <noun> [<verb>] %s", noun);
    }
    const struct gy_verb *verb = argc > 1 ? find_verb(noun, argv[1]) : NULL;
    int used = 2;
    if (!verb) {
        verb = find_verb(noun, NULL);
        used = 1;
    }
    if (!verb) {
        if (argc > 1 && is_noun(noun) &&
            (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
            print_overview(stdout, noun);
            return GY_OK;
        }
        return no_such_command(noun, argc > 1 && argv[1][0] != '-' ? argv[1] : NULL, err);
    }
    gy_status status = run_verb(cli, verb, argc - used, argv + used, err);
    if (status == GY_E_USAGE && err->hint[0] == '\0') {
        (void)gy_err_hint(err, "gyre %s%s%s -h shows how it is called", verb->noun,
                          verb->verb ? " " : "", verb->verb ? verb->verb : "");
    }
    return status;
}

/* An early write that failed left no errno: ask the pipe itself. */
static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int gy_cli_main(int argc, char **argv)
{
    struct gy_cli cli = {.program = "gyre"};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&cli.arena, 64 * GY_MIB);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed peer is an error code, not a death; fails only for a
                                       bad signal number */
    char self[GY_MAX_PATH];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        cli.program = self;
    }
    cli.server = getenv("GYRE_SERVER");
    const char *level = getenv("GYRE_LOG");
    gy_status status = gy_log_setup(gy_str_c(level ? level : "warn"), &err);
    if (status == GY_OK) {
        status = dispatch(&cli, argc - 1, argv + 1, &err);
    }
    if (status != GY_OK) {
        print_error(&cli, &err);
        cli.exit_code = gy_status_exit(status);
    }
    gy_cli_close_transport(&cli);
    gy_arena_done(&cli.arena);
    bool flushed = fflush(stdout) == 0;
    if ((!flushed || ferror(stdout)) && cli.exit_code == 0) {
        if (flushed ? !reader_is_gone() : errno != EPIPE) { /* `gyre ... | head` took what it
                                                               wanted: that is no news */
            (void)fprintf(stderr, "gyre: the output could not be written\n");
        }
        cli.exit_code = gy_status_exit(GY_E_IO);
    }
    return cli.exit_code;
}
