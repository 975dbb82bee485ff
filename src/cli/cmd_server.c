/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/auth_file.h"
#include "api/dispatcher.h"
#include "api/prover.h"
#include "api/query.h"
#include "api/review_api.h"
#include "api/watching.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "cli/cli_internal.h"
#include "cli/retention_opts.h"
#include "cli/transport.h"
#include "learn/runtime/python.h"
#include "serve/budget.h"
#include "serve/serving.h"
#include "watch/webhook.h"

#define MAX_CONNECTIONS 1000000
#define OTHER_FILES 256 /* that a server has open beside its connections */

struct server_opts {
    const char *host, *tls_cert, *tls_key, *auth, *allowed_hosts, *cors, *python_runtime,
        *model_memory;
    bool insecure, metrics_public;
    int64_t port, inference_port; /* -1: none */
    int64_t loops, max_connections;
    int64_t drain_delay_ms;
    bool access_log;
    int64_t log_sync_ms;
    const char *log_keep, *log_max;
    bool log_drop;
    bool migrate;
};

static bool wants_logins(const struct server_opts *o)
{
    return o->auth && strcmp(o->auth, "off") != 0;
}

/* Without logins the server may only be reached from this machine; with them, it says when they go
 * over the network for everybody to read. */
static gy_status check_host(const struct server_opts *o, struct gy_err *err)
{
    bool loopback = strcmp(o->host, "127.0.0.1") == 0 || strcmp(o->host, "localhost") == 0 ||
                    strcmp(o->host, "::1") == 0;
    if (loopback) {
        return GY_OK;
    }
    if (!wants_logins(o)) {
        gy_err_set(err, GY_E_DENIED, "refusing to listen on %s without logins", o->host);
        return gy_err_hint(err, "add --auth on (gyre user add makes the first user), or use --host "
                                "127.0.0.1 and a reverse proxy that authenticates");
    }
    if (!o->tls_cert && !o->insecure) {
        gy_log(GY_LOG_WARN, "server",
               "tokens and passwords go over the network unencrypted: give --tls-cert and "
               "--tls-key, or --insecure where a proxy in front does that",
               GY_KV_C("host", o->host));
    }
    return GY_OK;
}

struct admins_call {
    int64_t n;
    bool found;
};

static gy_status count_users(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct admins_call *c = ctx;
    return gy_db_get_i64(db, "SELECT COUNT(*) FROM users WHERE disabled=0", GY_NO_VALS, &c->found,
                         &c->n, err);
}

/* Who may log in, before anybody can try. */
static gy_status set_up_logins(struct gy_app *app, const struct server_opts *o, struct gy_err *err)
{
    char key[GY_MAX_PATH];
    struct admins_call users = {.n = 0};
    bool logins = wants_logins(o);
    if (logins && strcmp(o->auth, "on") != 0) {
        GY_TRY(gy_auth_file_apply(app->store, o->auth, err));
    }
    GY_TRY(gy_home_path(&app->home, GY_REVIEW_KEY, key, err));
    const struct gy_auth_options options = {
        .logins = logins, .metrics_public = o->metrics_public, .review_key = key};
    GY_TRY(gy_auth_start(app->auth, &options, err));
    if (logins) {
        GY_TRY(gy_store_read(app->store, count_users, &users, err));
        if (users.n == 0) {
            gy_log(GY_LOG_WARN, "server",
                   "nobody can log in yet: gyre user add NAME --role admin --password");
        }
    }
    return GY_OK;
}

/* As many files as the system allows: each connection is one. */
static gy_status allow_connections(const struct server_opts *o, struct gy_err *err)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return gy_err_sys(err, errno, "the limit of open files");
    }
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* looked at next */
    (void)getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur != RLIM_INFINITY &&
        files.rlim_cur < (rlim_t)o->max_connections + OTHER_FILES) {
        gy_err_set(err, GY_E_INVALID,
                   "%lld connections need %lld open files, and the system allows %lld",
                   (long long)o->max_connections, (long long)o->max_connections + OTHER_FILES,
                   (long long)files.rlim_cur);
        return gy_err_hint(
            err, "raise the limit (ulimit -Hn, LimitNOFILE=), or give a lower --max-connections");
    }
    return GY_OK;
}

static gy_status lock_home(struct gy_app *app, struct gy_err *err)
{
    int64_t pid = 0;
    gy_status status = gy_home_lock(&app->home, &pid, err);
    if (status == GY_E_BUSY) {
        gy_err_set(err, GY_E_BUSY, "a server (process %lld) runs on %s already", (long long)pid,
                   app->home.dir);
        return gy_err_hint(err,
                           "commands find it by its socket; another --home makes another server");
    }
    return status;
}

static gy_status announce(struct gy_cli *cli, const struct gy_app *app, const struct server_opts *o,
                          struct gy_err *err)
{
    const char *scheme = o->tls_cert ? "https" : "http", *host = o->host;
    if (!cli->json) {
        gy_cli_say(cli, "gyre server: %s://%s:%d  (home %s; Ctrl-C ends it)\n", scheme, host,
                   gy_server_port(app->server), app->home.dir);
        if (o->inference_port >= 0) {
            gy_cli_say(cli, "inference alone: %s://%s:%d\n", scheme, host,
                       gy_server_inference_port(app->server));
        }
        return fflush(stdout) == 0 ? GY_OK : gy_err_set(err, GY_E_IO, "stdout can not be written");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "listening");
    gy_jw_strf(&w, "%s://%s:%d", scheme, host, gy_server_port(app->server));
    gy_jw_kv_i64(&w, "port", gy_server_port(app->server));
    if (o->inference_port >= 0) {
        gy_jw_kv_i64(&w, "inference_port", gy_server_inference_port(app->server));
    }
    gy_jw_kv_i64(&w, "pid", getpid());
    gy_jw_kv_strc(&w, "home", app->home.dir);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* Blocked before any thread starts, so that only sigwait sees them. */
static void block_signals(sigset_t *set)
{
    (void)sigemptyset(set); /* these can not fail for valid arguments */
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void stop_helpers(struct gy_app *app)
{
    gy_dispatcher_stop(app->dispatcher);
    app->dispatcher = NULL;
    gy_prover_stop(app->prover);
    app->prover = NULL;
    gy_query_runner_free(app->queries);
    app->queries = NULL;
}

static gy_status serve_until_signal(struct gy_cli *cli, const struct server_opts *o,
                                    struct gy_app *app, const sigset_t *signals, struct gy_err *err)
{
    char sock[GY_MAX_PATH];
    GY_TRY(gy_home_path(&app->home, "sock", sock, err));
    struct gy_server_options options = {
        .host = o->host,
        .port = (int)o->port,
        .has_inference_port = o->inference_port >= 0,
        .inference_port = (int)o->inference_port,
        .cors = o->cors,
        .unix_path = sock,
        .tls_cert = o->tls_cert,
        .tls_key = o->tls_key,
        .n_loops = (int)o->loops,
        .max_connections = (int)o->max_connections,
        .access_log = o->access_log,
        .drain_delay_ms = (int)o->drain_delay_ms,
        .allowed_hosts = o->allowed_hosts,
        .router = app->router,
        .fast = &gy_serving_fast,
        .fast_self = app->serving,
    };
    GY_AUTO(gy_webhooks_free) struct gy_webhooks *webhooks = NULL;
    GY_TRY(gy_webhooks_new(app->store, &webhooks, err));
    GY_TRY(gy_webhooks_start(webhooks, err));
    /* Before the server: its threads read app->prover and app->dispatcher. */
    GY_TRY(gy_prover_start(app, cli->program, &app->prover, err));
    gy_status status = gy_dispatcher_start(app, cli->program, &app->dispatcher, err);
    if (status == GY_OK) {
        status = gy_query_runner_new(cli->program, &app->queries, err);
    }
    if (status == GY_OK) {
        status = gy_server_start(&options, &app->server, err);
    }
    if (status != GY_OK) {
        stop_helpers(app);
        return status;
    }
    gy_serving_attach(app->serving, app->server);
    status = announce(cli, app, o, err);
    int got = 0;
    if (status == GY_OK) {
        (void)sigwait(signals, &got); /* fails only for a bad set */
        gy_log(GY_LOG_INFO, "server", "draining", GY_KV_I("signal", got));
    }
    gy_query_runner_stop(app->queries);
    if (!gy_server_stop(app->server)) {
        gy_log(GY_LOG_ERROR, "server", "a request does not end: the process ends without it");
        _exit(1); /* the store may be in its hands; what was acknowledged is durable */
    }
    stop_helpers(app);
    gy_serving_attach(app->serving, NULL);
    gy_server_free(app->server);
    app->server = NULL;
    return status;
}

/* In the environment, so that the children that prove versions know it too. Before any thread. */
static gy_status allow_python(struct gy_cli *cli, const char *where, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_home home = {.lock_fd = -1};
    if (!where) {
        return GY_OK; /* as the environment says */
    }
    if (strcmp(where, "auto") == 0) {
        GY_TRY(gy_cli_home(cli, &home, err));
        gy_status status = gy_home_path(&home, "python", dir, err);
        gy_home_done(&home);
        GY_TRY(status);
    } else if (where[0] == '/') {
        (void)snprintf(dir, sizeof dir, "%s", where);
    } else {
        return gy_err_set(err, GY_E_USAGE, "--python-runtime takes auto or an absolute path");
    }
    GY_TRY(gy_dir_make(dir, err));
    return setenv(GY_PYTHON_ENV, dir, 1) == 0 ? GY_OK
                                              : gy_err_set(err, GY_E_NOMEM, "the environment");
}

static gy_status run_server(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct server_opts *o = opts;
    if (o->port < 0 || o->port > 65535) {
        return gy_err_set(err, GY_E_USAGE, "--port takes 0 to 65535");
    }
    if (o->inference_port < -1 || o->inference_port > 65535) {
        return gy_err_set(err, GY_E_USAGE, "--inference-port takes 0 to 65535");
    }
    if (o->cors) {
        GY_TRY(gy_cors_check(gy_str_c(o->cors), err));
    }
    if (o->loops < 0 || o->loops > 64) {
        return gy_err_set(err, GY_E_USAGE, "--loops takes 0 to 64");
    }
    if (o->max_connections < 1 || o->max_connections > MAX_CONNECTIONS) {
        return gy_err_set(err, GY_E_USAGE, "--max-connections takes 1 to %d", MAX_CONNECTIONS);
    }
    if (o->drain_delay_ms < 0 || o->drain_delay_ms > 600000) {
        return gy_err_set(err, GY_E_USAGE, "--drain-delay takes 0 to 600000");
    }
    if (o->log_sync_ms < 0 || o->log_sync_ms > 60000) {
        return gy_err_set(err, GY_E_USAGE, "--log-sync takes 0 to 60000");
    }
    if (!o->tls_cert != !o->tls_key) {
        return gy_err_set(err, GY_E_USAGE, "--tls-cert and --tls-key belong together");
    }
    size_t model_memory = 0;
    GY_TRY(gy_budget_parse(gy_str_c(o->model_memory), &model_memory, err));
    GY_TRY(check_host(o, err));
    GY_TRY(allow_connections(o, err));
    GY_TRY(allow_python(cli, o->python_runtime, err));
    int64_t keep_s = 0, log_max_bytes = 0;
    GY_TRY(gy_cli_keep("--log-keep", o->log_keep, &keep_s, err));
    GY_TRY(gy_cli_size("--log-max", o->log_max, &log_max_bytes, err));
    sigset_t signals;
    block_signals(&signals);
    struct gy_app_options options = gy_cli_app_options(cli);
    options.migrate = options.migrate || o->migrate;
    options.settle = true;
    GY_AUTO(gy_app_free) struct gy_app *app = NULL;
    GY_TRY(gy_app_open(&options, &app, err));
    app->log_keep_us = keep_s * 1000000;
    app->log_max_bytes = log_max_bytes;
    GY_TRY(lock_home(app, err));
    GY_TRY(set_up_logins(app, o, err));
    const struct gy_app_serve_options serving = {.n_loops = (int)o->loops,
                                                 .log_sync_ms = (int)o->log_sync_ms,
                                                 .log_drop_when_full = o->log_drop,
                                                 .model_memory = model_memory};
    GY_TRY(gy_app_serve_open(app, &serving, err));
    struct gy_watching *watching = NULL;
    gy_status status = gy_watching_start(app, &watching, err);
    if (status == GY_OK) {
        status = serve_until_signal(cli, o, app, &signals, err);
    }
    gy_watching_stop(watching);
    gy_app_serve_close(app);
    return status;
}

static const struct gy_opt server_opts[] = {
    {"host", 0, GY_OPT_STR, offsetof(struct server_opts, host), "ADDRESS", "127.0.0.1",
     "where to listen"},
    {"port", 'p', GY_OPT_INT, offsetof(struct server_opts, port), "N", "5000",
     "0: any free one, printed"},
    {"inference-port", 0, GY_OPT_INT, offsetof(struct server_opts, inference_port), "N", "-1",
     "one more port, for predictions alone; 0: any free one, printed; -1: none"},
    {"cors", 0, GY_OPT_STR, offsetof(struct server_opts, cors), "ORIGINS", NULL,
     "origins whose pages may ask for predictions, separated by commas; *: any"},
    {"tls-cert", 0, GY_OPT_STR, offsetof(struct server_opts, tls_cert), "FILE", NULL,
     "speak TLS: the certificate and its chain, PEM; read again when it is renewed"},
    {"tls-key", 0, GY_OPT_STR, offsetof(struct server_opts, tls_key), "FILE", NULL,
     "the certificate's key, PEM"},
    {"auth", 0, GY_OPT_STR, offsetof(struct server_opts, auth), "on|FILE", "off",
     "ask for logins: users from `gyre user`, or also those of a YAML file"},
    {"allowed-hosts", 0, GY_OPT_STR, offsetof(struct server_opts, allowed_hosts), "NAMES", NULL,
     "names by which browsers may ask for this server, separated by commas"},
    {"insecure", 0, GY_OPT_FLAG, offsetof(struct server_opts, insecure), NULL, NULL,
     "do not warn of logins without TLS: a proxy in front has it"},
    {"metrics-public", 0, GY_OPT_FLAG, offsetof(struct server_opts, metrics_public), NULL, NULL,
     "/metrics without a login"},
    {"loops", 0, GY_OPT_INT, offsetof(struct server_opts, loops), "N", "0",
     "event loops; 0: one a CPU"},
    {"max-connections", 0, GY_OPT_INT, offsetof(struct server_opts, max_connections), "N", "4096",
     "open at a time; further ones are told 503"},
    {"log-sync", 0, GY_OPT_INT, offsetof(struct server_opts, log_sync_ms), "MS", "50",
     "predictions reach the disk within this; 0: each answer waits for it"},
    {"log-drop", 0, GY_OPT_FLAG, offsetof(struct server_opts, log_drop), NULL, NULL,
     "when the prediction log is full, answer without a record instead of 503"},
    {"model-memory", 0, GY_OPT_STR, offsetof(struct server_opts, model_memory), "SIZE", "0",
     "what loaded models may take together (512M, 2G): those not asked for longest are unloaded, "
     "and loaded again when they are asked; 0: no limit"},
    {"log-keep", 0, GY_OPT_STR, offsetof(struct server_opts, log_keep), "SPAN", NULL,
     "remove logged predictions that are older: 90d, 12h; without it they are kept"},
    {"log-max", 0, GY_OPT_STR, offsetof(struct server_opts, log_max), "SIZE", NULL,
     "remove the oldest logged predictions while they take more: 50G, 500M"},
    {"drain-delay", 0, GY_OPT_INT, offsetof(struct server_opts, drain_delay_ms), "MS", "0",
     "on SIGTERM stay reachable but not ready for so long, so that a load balancer turns away"},
    {"python-runtime", 0, GY_OPT_STR, offsetof(struct server_opts, python_runtime), "auto|DIR",
     NULL,
     "serve models that only Python can load, in worker processes; auto: environments are in the "
     "home's folder python"},
    {"migrate", 0, GY_OPT_FLAG, offsetof(struct server_opts, migrate), NULL, NULL,
     "bring an older PostgreSQL database to this program's schema; back it up before"},
    {"access-log", 0, GY_OPT_FLAG, offsetof(struct server_opts, access_log), NULL, NULL,
     "log each request"},
};

static const struct gy_verb verbs[] = {
    {.noun = "server",
     .args = "",
     .summary =
         "run the server: MLflow, inference and Gyre's own API, on a port and on the home's socket",
     .details =
         "SIGTERM or Ctrl-C drains: readiness goes false, accepted work is finished, then it ends.",
     .examples =
         "  gyre server\n  gyre server --port 0 --json\n  gyre server --inference-port 8080 "
         "--cors https://app.example\n  gyre server --auth on --host "
         "10.0.0.5 --tls-cert cert.pem --tls-key key.pem\n  "
         "MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py",
     .opts = server_opts,
     .n_opts = sizeof server_opts / sizeof server_opts[0],
     .opts_bytes = sizeof(struct server_opts),
     .run = run_server},
};

const struct gy_verb_table gy_cmd_server = GY_VERB_TABLE(verbs);
