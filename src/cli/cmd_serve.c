/* SPDX-License-Identifier: Apache-2.0 */
/* gyre serve: a process that answers predictions and nothing else. Alone it serves package folders
 * and registered models; with --server it is a replica: it asks for that server's endpoint
 * revisions, fetches their packages by digest, and ships what it answered to the server's log.
 *
 * The loops answer; what there is between a replica and its server is the work of one more thread
 * (serve/replica.h, docs/prediction-log.md). */
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/auth_file.h"
#include "api/retention.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/model_input.h"
#include "cli/retention_opts.h"
#include "cli/transport.h"
#include "serve/budget.h"
#include "serve/replica.h"

#define MAX_MODELS GY_SERVING_MAX_ENDPOINTS
#define MAX_KEEP_S (7 * 86400)

struct serve_opts {
    const char *host, *tls_cert, *tls_key, *auth, *replica, *model_memory;
    int64_t port, loops, log_sync_ms, poll_ms, ship_ms, keep_s, server_timeout_s, drain_delay_ms;
    const char *log_keep, *log_max;
    bool log_drop, access_log;
};

/* ---- alone ---- */

/* "NAME=REF", "FOLDER", "models:/NAME@ALIAS": which endpoint, of what. */
static void split_model(const char *arg, struct gy_str *name, const char **ref)
{
    const char *equals = strchr(arg, '=');
    struct gy_str text = gy_str_c(arg);
    *ref = equals ? equals + 1 : arg;
    if (equals) {
        *name = gy_str_n(arg, (size_t)(equals - arg));
        return;
    }
    if (gy_str_starts(text, GY_STR("models:/"))) {
        text = gy_str_sub(text, 8, SIZE_MAX);
    } else {
        while (text.n > 1 && text.p[text.n - 1] == '/') {
            text.n--;
        }
        const char *slash = gy_path_is_dir(arg) ? memrchr(text.p, '/', text.n) : NULL;
        text = slash ? gy_str_sub(text, (size_t)(slash + 1 - text.p), SIZE_MAX) : text;
    }
    struct gy_str rest;
    (void)gy_str_cut(text, '@', &text, &rest);
    (void)gy_str_cut(text, '/', &text, &rest);
    *name = text;
}

struct alone {
    char (*dirs)[GY_MAX_PATH];
    struct gy_str *names;
    struct gy_endpoint **endpoints;
    size_t n;
};

/* The table has references of its own; these go before the serving that counts the models. */
static void let_endpoints_go(struct alone *a)
{
    for (size_t i = 0; a->endpoints && i < a->n; i++) {
        gy_endpoint_unref(a->endpoints[i]);
    }
    gy_free(a->endpoints);
    a->endpoints = NULL;
}

static void alone_done(struct alone *a)
{
    let_endpoints_go(a);
    gy_free(a->dirs);
    gy_free(a->names);
}
GY_DEFINE_AUTO_DONE(struct alone, alone_done);

/* While the registry of the home can still be asked: serving takes the home's lock. */
static gy_status find_packages(struct gy_cli *cli, struct alone *a, struct gy_err *err)
{
    if (cli->argc > MAX_MODELS) {
        return gy_err_set(err, GY_E_USAGE, "at most %d models", MAX_MODELS);
    }
    a->n = (size_t)cli->argc;
    a->dirs = gy_calloc(a->n, sizeof *a->dirs);
    a->names = gy_calloc(a->n, sizeof *a->names);
    a->endpoints = gy_calloc(a->n, sizeof(struct gy_endpoint *));
    if (!a->dirs || !a->names || !a->endpoints) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for models");
    }
    for (size_t i = 0; i < a->n; i++) {
        const char *ref;
        split_model(cli->argv[i], &a->names[i], &ref);
        GY_TRY(gy_endpoint_check_name(a->names[i], err));
        GY_TRY(gy_cli_model_dir(cli, ref, a->dirs[i], err));
    }
    gy_cli_close_transport(cli);
    return GY_OK;
}

static gy_status publish_packages(struct gy_app *app, struct alone *a, struct gy_err *err)
{
    for (size_t i = 0; i < a->n; i++) {
        char digest[GY_SHA256_HEX];
        GY_TRY(gy_package_digest(a->dirs[i], digest, err));
        const struct gy_endpoint_spec spec = {.name = a->names[i],
                                              .model_name = a->names[i],
                                              .version = GY_STR("1"),
                                              .digest = gy_str_c(digest),
                                              .package_dir = a->dirs[i],
                                              .budget = gy_serving_budget(app->serving)};
        gy_status st = gy_endpoint_build(&spec, &a->endpoints[i], err);
        if (st != GY_OK) {
            return gy_err_wrap(err, "'%s'", a->dirs[i]);
        }
    }
    return gy_serving_publish(app->serving, a->endpoints, a->n, err);
}

/* ---- the process ---- */

static gy_status check_opts(const struct gy_cli *cli, const struct serve_opts *o,
                            struct gy_err *err)
{
    bool loopback = strcmp(o->host, "127.0.0.1") == 0 || strcmp(o->host, "localhost") == 0 ||
                    strcmp(o->host, "::1") == 0;
    if (o->port < 0 || o->port > 65535 || o->loops < 0 || o->loops > 64) {
        return gy_err_set(err, GY_E_USAGE, "--port takes 0 to 65535, --loops 0 to 64");
    }
    if (o->poll_ms < 50 || o->ship_ms < 50 || o->poll_ms > 3600000 || o->ship_ms > 3600000) {
        return gy_err_set(err, GY_E_USAGE, "--poll and --ship-every take 50 to 3600000");
    }
    if (o->keep_s < 0 || o->keep_s > MAX_KEEP_S) {
        return gy_err_set(err, GY_E_USAGE, "--keep takes 0 to %d seconds", MAX_KEEP_S);
    }
    if (o->server_timeout_s < 1 || o->server_timeout_s > 600) {
        return gy_err_set(err, GY_E_USAGE, "--server-timeout takes 1 to 600 seconds");
    }
    if (o->log_sync_ms < 0 || o->log_sync_ms > 60000) {
        return gy_err_set(err, GY_E_USAGE, "--log-sync takes 0 to 60000");
    }
    if (!o->tls_cert != !o->tls_key) {
        return gy_err_set(err, GY_E_USAGE, "--tls-cert and --tls-key belong together");
    }
    if (cli->server && (o->log_keep || o->log_max)) {
        (void)gy_err_set(err, GY_E_USAGE, "--log-keep and --log-max are of a log that stays here");
        return gy_err_hint(err, "a replica removes what its server has on its disk: --keep");
    }
    int64_t keep_s, max_bytes;
    GY_TRY(gy_cli_keep("--log-keep", o->log_keep, &keep_s, err));
    GY_TRY(gy_cli_size("--log-max", o->log_max, &max_bytes, err));
    if (!loopback && !o->auth) {
        (void)gy_err_set(err, GY_E_DENIED, "refusing to listen on %s without logins", o->host);
        return gy_err_hint(err, "--auth FILE names who may ask (docs/users.md)");
    }
    if (!cli->server && cli->argc == 0) {
        (void)gy_err_set(err, GY_E_USAGE, "what is to be served?");
        return gy_err_hint(err, "name package folders or models:/NAME@ALIAS, or a --server whose "
                                "endpoints it shall answer");
    }
    return GY_OK;
}

static gy_status announce(struct gy_cli *cli, const struct serve_opts *o, const struct gy_app *app,
                          struct gy_err *err)
{
    const char *scheme = o->tls_cert ? "https" : "http";
    if (!cli->json) {
        gy_cli_say(cli, "gyre serve: %s://%s:%d  (Ctrl-C ends it)\n", scheme, o->host,
                   gy_server_port(app->server));
        return fflush(stdout) == 0 ? GY_OK : gy_err_set(err, GY_E_IO, "stdout can not be written");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "listening");
    gy_jw_strf(&w, "%s://%s:%d", scheme, o->host, gy_server_port(app->server));
    gy_jw_kv_i64(&w, "port", gy_server_port(app->server));
    gy_jw_kv_i64(&w, "pid", getpid());
    gy_jw_kv_strc(&w, "home", app->home.dir);
    gy_jw_kv_strc(&w, "replica", o->replica);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* Until a signal; a process that serves alone prunes its log in between. */
static void wait_for_signal(struct gy_app *app, const sigset_t *signals)
{
    const struct timespec every = {.tv_sec = GY_RETENTION_EVERY_MS / 1000};
    do {
        struct gy_err why = GY_ERR_INIT;
        if (gy_retention_tick(app, false, &why) != GY_OK) {
            gy_log_err(GY_LOG_WARN, "serve", "the prediction log could not be pruned", &why);
        }
    } while (sigtimedwait(signals, NULL, &every) < 0); /* or interrupted: we look again */
}

static gy_status listen_and_serve(struct gy_cli *cli, const struct serve_opts *o,
                                  struct gy_app *app, const sigset_t *signals, struct gy_err *err)
{
    const struct gy_server_options options = {.host = o->host,
                                              .port = (int)o->port,
                                              .tls_cert = o->tls_cert,
                                              .tls_key = o->tls_key,
                                              .n_loops = gy_serving_loops(app->serving),
                                              .access_log = o->access_log,
                                              .drain_delay_ms = (int)o->drain_delay_ms,
                                              .router = app->router,
                                              .fast = &gy_serving_fast,
                                              .fast_self = app->serving};
    GY_TRY(gy_server_start(&options, &app->server, err));
    gy_serving_attach(app->serving, app->server);
    gy_status st = announce(cli, o, app, err);
    if (st == GY_OK && app->replica) {
        st = gy_replica_start(app->replica, err);
    }
    if (st == GY_OK) {
        wait_for_signal(app, signals);
    }
    if (app->replica) {
        gy_replica_pause(app->replica);
    }
    if (!gy_server_stop(app->server)) {
        gy_log(GY_LOG_ERROR, "serve", "a request does not end: the process ends without it");
        _exit(1); /* what it answered is in the log's rings */
    }
    if (app->replica) {
        gy_replica_stop(app->replica); /* ships what was answered last */
    }
    gy_serving_attach(app->serving, NULL);
    gy_server_free(app->server);
    app->server = NULL;
    return st;
}

static gy_status open_app(struct gy_cli *cli, const struct serve_opts *o, struct gy_app **ret,
                          struct gy_err *err)
{
    struct gy_app_options options = gy_cli_app_options(cli);
    int64_t pid = 0;
    int64_t keep_s = 0, log_max_bytes = 0;
    options.inference_only = true;
    GY_TRY(gy_cli_keep("--log-keep", o->log_keep, &keep_s, err));
    GY_TRY(gy_cli_size("--log-max", o->log_max, &log_max_bytes, err));
    GY_TRY(gy_app_open(&options, ret, err));
    struct gy_app *app = *ret;
    app->log_keep_us = keep_s * 1000000;
    app->log_max_bytes = log_max_bytes;
    gy_status st = gy_home_lock(&app->home, &pid, err);
    if (st == GY_E_BUSY) {
        (void)gy_err_set(err, GY_E_BUSY, "a server (process %lld) runs on %s already",
                         (long long)pid, app->home.dir);
        return gy_err_hint(err, "a replica has a home of its own: --home DIR");
    }
    GY_TRY(st);
    if (o->auth) {
        GY_TRY(gy_auth_file_apply(app->store, o->auth, err));
    }
    const struct gy_auth_options auth = {.logins = o->auth != NULL, .metrics_public = true};
    GY_TRY(gy_auth_start(app->auth, &auth, err));
    size_t model_memory = 0;
    GY_TRY(gy_budget_parse(gy_str_c(o->model_memory), &model_memory, err));
    const struct gy_app_serve_options serving = {.n_loops = (int)o->loops,
                                                 .log_sync_ms = (int)o->log_sync_ms,
                                                 .log_drop_when_full = o->log_drop,
                                                 .model_memory = model_memory,
                                                 .replica = cli->server != NULL};
    return gy_app_serve_open(app, &serving, err);
}

static gy_status open_replica(struct gy_cli *cli, const struct serve_opts *o, struct gy_app *app,
                              struct gy_err *err)
{
    struct gy_replica_options options = {.serving = app->serving,
                                         .home = &app->home,
                                         .name = o->replica,
                                         .wanted = cli->argv,
                                         .n_wanted = (size_t)cli->argc,
                                         .poll_ms = o->poll_ms,
                                         .ship_ms = o->ship_ms,
                                         .keep_ms = o->keep_s * 1000};
    cli->stall_s = (long)o->server_timeout_s;
    cli->call_max_ms = GY_REPLICA_CALL_MAX_MS;
    GY_TRY(gy_cli_caller(cli, &options.server, err));
    return gy_replica_new(&options, &app->replica, err);
}

static gy_status run_serve(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct serve_opts *o = opts;
    GY_AUTO_DONE(alone_done) struct alone alone = {.n = 0};
    GY_AUTO(gy_app_free) struct gy_app *app = NULL;
    sigset_t signals;
    GY_TRY(check_opts(cli, o, err));
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* each connection is a file */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!cli->server) {
        GY_TRY(find_packages(cli, &alone, err));
    }
    (void)sigemptyset(&signals); /* these can not fail for valid arguments */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    gy_status st = open_app(cli, o, &app, err);
    if (st == GY_OK) {
        st = cli->server ? open_replica(cli, o, app, err) : publish_packages(app, &alone, err);
    }
    if (st == GY_OK) {
        st = listen_and_serve(cli, o, app, &signals, err);
    }
    let_endpoints_go(&alone);
    if (app) {
        gy_replica_free(app->replica);
        app->replica = NULL;
        gy_app_serve_close(app);
    }
    return st;
}

static const struct gy_opt serve_opts[] = {
    {"host", 0, GY_OPT_STR, offsetof(struct serve_opts, host), "ADDRESS", "127.0.0.1",
     "where to listen"},
    {"port", 'p', GY_OPT_INT, offsetof(struct serve_opts, port), "N", "8080",
     "0: any free one, printed"},
    {"replica", 0, GY_OPT_STR, offsetof(struct serve_opts, replica), "NAME", "replica",
     "its name in what it prints and in the requests that ship"},
    {"poll", 0, GY_OPT_INT, offsetof(struct serve_opts, poll_ms), "MS", "2000",
     "look so often for new revisions"},
    {"ship-every", 0, GY_OPT_INT, offsetof(struct serve_opts, ship_ms), "MS", "2000",
     "what is lost at most with this machine: the answers of so long"},
    {"keep", 0, GY_OPT_INT, offsetof(struct serve_opts, keep_s), "SECONDS", "60",
     "keep records for so long that the server has on its disk, then remove them here"},
    {"server-timeout", 0, GY_OPT_INT, offsetof(struct serve_opts, server_timeout_s), "SECONDS",
     "10", "give up on a server that says nothing for so long, try again"},
    {"tls-cert", 0, GY_OPT_STR, offsetof(struct serve_opts, tls_cert), "FILE", NULL,
     "speak TLS: the certificate and its chain, PEM"},
    {"tls-key", 0, GY_OPT_STR, offsetof(struct serve_opts, tls_key), "FILE", NULL,
     "the certificate's key, PEM"},
    {"auth", 0, GY_OPT_STR, offsetof(struct serve_opts, auth), "FILE", NULL,
     "who may ask: users of a YAML file; nobody is asked without it"},
    {"loops", 0, GY_OPT_INT, offsetof(struct serve_opts, loops), "N", "0",
     "event loops; 0: one a CPU"},
    {"log-sync", 0, GY_OPT_INT, offsetof(struct serve_opts, log_sync_ms), "MS", "50",
     "predictions reach the disk within this; 0: each answer waits for it"},
    {"log-drop", 0, GY_OPT_FLAG, offsetof(struct serve_opts, log_drop), NULL, NULL,
     "when the prediction log is full, answer without a record instead of 503"},
    {"model-memory", 0, GY_OPT_STR, offsetof(struct serve_opts, model_memory), "SIZE", "0",
     "what loaded models may take together (512M, 2G): those not asked for longest are unloaded, "
     "and loaded again when they are asked; 0: no limit"},
    {"log-keep", 0, GY_OPT_STR, offsetof(struct serve_opts, log_keep), "SPAN", NULL,
     "alone: remove logged predictions that are older: 90d, 12h; without it they are kept"},
    {"log-max", 0, GY_OPT_STR, offsetof(struct serve_opts, log_max), "SIZE", NULL,
     "alone: remove the oldest logged predictions while they take more: 50G, 500M"},
    {"drain-delay", 0, GY_OPT_INT, offsetof(struct serve_opts, drain_delay_ms), "MS", "0",
     "on SIGTERM stay reachable but not ready for so long"},
    {"access-log", 0, GY_OPT_FLAG, offsetof(struct serve_opts, access_log), NULL, NULL,
     "log each request"},
};

static const struct gy_verb verbs[] = {
    {.noun = "serve",
     .args = "[[NAME=]MODEL...]",
     .max_args = -1,
     .summary = "answer predictions and nothing else: of packages, or as a replica of a server",
     .details =
         "Without --server: package folders and registered models (models:/NAME@ALIAS, NAME/3).\n"
         "With --server: the endpoints of that server (all, or those named), as they are deployed\n"
         "there, with canary, shadow, rules and aliases; what it answers is shipped to its log.",
     .examples = "  gyre serve ./model --port 8080\n  gyre serve sepsis=models:/sepsis@champion\n  "
                 "gyre serve --server http://10.0.0.5:5000 --home /var/lib/replica1 --replica r1\n",
     .opts = serve_opts,
     .n_opts = sizeof serve_opts / sizeof serve_opts[0],
     .opts_bytes = sizeof(struct serve_opts),
     .run = run_serve},
};

const struct gy_verb_table gy_cmd_serve = GY_VERB_TABLE(verbs);
