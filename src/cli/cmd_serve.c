/* SPDX-License-Identifier: Apache-2.0 */
/* gyre serve: a process that answers predictions and nothing else. Alone it serves package folders
 * and registered models; with --server it is a replica: it asks for that server's endpoint
 * revisions, fetches their packages by digest, and ships what it answered to the server's log.
 *
 * One thread (the main one) asks, publishes and ships; the loops answer. What a replica can lose
 * with its disk is what it has not shipped yet: the answers of the last --ship-every, as long as
 * the server can be reached (docs/prediction-log.md). */
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/auth_file.h"
#include "base/file.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/model_input.h"
#include "cli/transport.h"
#include "learn/publish.h"
#include "net/http_client.h"
#include "serve/deploy.h"
#include "serve/tail.h"

#define BASE "/api/gyre/v1"
#define MAX_MODELS GY_SERVING_MAX_ENDPOINTS
#define MAX_ANSWER (64 * GY_MIB)
#define TICK_MS 100
#define BATCH_RECORDS 4096
#define TICK_BATCHES 64 /* shipped between two looks at signals and revisions; the rest follows */

struct serve_opts {
    const char *host, *tls_cert, *tls_key, *auth, *replica;
    int64_t port, loops, log_sync_ms, poll_ms, ship_ms, drain_delay_ms;
    bool log_drop, access_log;
};

/* A replica's dealings with its server. */
struct replica {
    struct gy_cli *cli;
    const struct serve_opts *o;
    struct gy_app *app;
    struct gy_caller *server;
    struct gy_deployer d;
    char cache[GY_MAX_PATH], log[GY_MAX_PATH], marks[GY_MAX_PATH];
    struct gy_buf served; /* "name/revision\n" of each endpoint */
    struct gy_log_cursor *cursor;
    struct gy_buf batch; /* frames of one stream */
    unsigned char boot[16];
    uint32_t ring;
    bool away; /* the server did not answer: told once */
    int64_t shipped;
};

/* ---- what is served ---- */

static gy_status fetch_package(void *ctx, struct gy_str model, int64_t version,
                               struct gy_str digest, char ret_dir[GY_MAX_PATH], struct gy_err *err)
{
    struct replica *r = ctx;
    char ref[GY_MAX_NAME + 32];
    (void)digest; /* gy_endpoint_build holds the folder against it */
    (void)snprintf(ref, sizeof ref, "%" GY_STR_F "/%lld", GY_STR_A(model), (long long)version);
    return gy_package_fetch(r->server, gy_str_c(ref), r->cache, ret_dir, NULL, err);
}

static bool is_wanted(const struct gy_cli *cli, struct gy_str endpoint)
{
    for (int i = 0; i < cli->argc; i++) {
        if (gy_str_eqc(endpoint, cli->argv[i])) {
            return true;
        }
    }
    return cli->argc == 0;
}

static gy_status read_revision(yyjson_val *one, struct gy_arena *a, struct gy_revision *ret,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf config;
    struct gy_jw w;
    gy_buf_init(&config, MAX_ANSWER);
    gy_jw_init(&w, &config);
    gy_jw_val(&w, gy_json_get(one, "config"));
    GY_TRY(gy_buf_check(&config, "a revision", err));
    *ret = (struct gy_revision){.endpoint = gy_json_str(one, "endpoint"),
                                .revision = gy_json_i64(one, "revision", 0),
                                .model_name = gy_json_str(one, "model"),
                                .model_version = gy_json_i64(one, "version", 0),
                                .model_digest = gy_json_str(one, "digest"),
                                .run_id = gy_json_str(one, "run_id"),
                                .config = gy_arena_str(a, gy_buf_str(&config))};
    return ret->config.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a revision");
}

static gy_status publish(struct replica *r, yyjson_val *list, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf served;
    size_t n = 0, failed = 0, i, max;
    yyjson_val *one;
    gy_buf_init(&served, GY_MIB);
    gy_arena_init(&a, 4 * GY_MAX_REQUEST_ARENA);
    struct gy_revision *all = gy_arena_calloc(&a, yyjson_arr_size(list) + 1, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for endpoints");
    }
    yyjson_arr_foreach(list, i, max, one)
    {
        if (is_wanted(r->cli, gy_json_str(one, "endpoint"))) {
            GY_TRY(read_revision(one, &a, &all[n], err));
            gy_buf_addf(&served, "%" GY_STR_F "/%lld\n", GY_STR_A(all[n].endpoint),
                        (long long)all[n].revision);
            n++;
        }
    }
    GY_TRY(gy_buf_check(&served, "endpoints", err));
    if (gy_str_eq(gy_buf_str(&served), gy_buf_str(&r->served))) {
        return GY_OK;
    }
    GY_TRY(gy_deploy_serve(&r->d, all, n, &failed, err));
    gy_log(GY_LOG_INFO, "serve", "endpoints taken over", GY_KV_I("endpoints", n),
           GY_KV_I("failed", failed));
    gy_buf_reset(&r->served);
    if (failed == 0) { /* else the next look tries again */
        gy_buf_add(&r->served, gy_buf_str(&served));
    }
    return gy_buf_check(&r->served, "endpoints", err);
}

/* The server's endpoints as they are now; served when they differ. */
static gy_status poll_server(struct replica *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *list = NULL;
    gy_collect_init(&answer, MAX_ANSWER);
    GY_TRY(gy_call_json(r->server, "GET", BASE "/endpoints", GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    GY_TRY(gy_json_need_arr(yyjson_doc_get_root(doc), "endpoints", &list, err));
    return publish(r, list, err);
}

/* ---- what is shipped ---- */

static gy_status send_batch(struct replica *r, struct gy_err *err)
{
    char path[512], boot[GY_UUID_TEXT];
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf replica;
    struct gy_mem_reader body;
    gy_collect_init(&answer, GY_MIB);
    gy_buf_init(&replica, GY_KIB);
    if (r->batch.n == 0) {
        return GY_OK;
    }
    gy_uuid_text(r->boot, boot);
    gy_url_encode(&replica, gy_str_c(r->o->replica), false);
    (void)snprintf(path, sizeof path, BASE "/log/receive?boot=%s&ring=%u&replica=%s", boot, r->ring,
                   replica.p);
    GY_TRY(gy_call_body(r->server, "POST", path, "application/octet-stream",
                        gy_mem_reader_init(&body, gy_buf_str(&r->batch)), &answer, err));
    gy_buf_reset(&r->batch);
    return GY_OK;
}

static gy_status take_record(void *ctx, const struct gy_log_place *place,
                             const struct gy_record *record, struct gy_err *err)
{
    struct replica *r = ctx;
    size_t bytes = gy_record_frame_bytes(record);
    bool other = r->ring != place->ring || memcmp(r->boot, place->boot, 16) != 0;
    if (other || r->batch.n + bytes > GY_RECEIVER_MAX_BATCH) {
        GY_TRY(send_batch(r, err));
    }
    memcpy(r->boot, place->boot, 16);
    r->ring = place->ring;
    char *room = gy_buf_reserve(&r->batch, bytes);
    if (!room) {
        return gy_buf_check(&r->batch, "records to ship", err);
    }
    gy_record_write(record, room);
    gy_buf_commit(&r->batch, bytes);
    r->shipped++;
    return GY_OK;
}

static gy_status save_marks(const struct replica *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 4 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_log_marks_write(gy_log_cursor_marks(r->cursor), &w);
    GY_TRY(gy_buf_check(&out, "what is shipped", err));
    return gy_file_write(r->marks, gy_buf_str(&out), 0644, err);
}

/* Behind what the server has acknowledged: after a failure from there again. */
static gy_status open_cursor(struct replica *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks marks = {0};
    gy_buf_init(&text, 4 * GY_MIB);
    gy_log_cursor_free(r->cursor);
    r->cursor = NULL;
    gy_buf_reset(&r->batch);
    if (gy_path_exists(r->marks)) {
        GY_TRY(gy_file_read(r->marks, &text, err));
        GY_TRY(gy_log_marks_read(&marks, gy_buf_str(&text), err));
    }
    GY_TRY(gy_log_cursor_new(r->log, &r->cursor, err));
    return gy_log_cursor_seek(r->cursor, &marks, err);
}

static gy_status ship(struct replica *r, struct gy_err *err)
{
    if (!r->cursor) { /* it could not be opened last time */
        GY_TRY(open_cursor(r, err));
    }
    GY_TRY(gy_predlog_flush(gy_serving_log(r->app->serving), false, err));
    size_t n = BATCH_RECORDS;
    for (int i = 0; i < TICK_BATCHES && n == BATCH_RECORDS; i++) {
        int64_t before = r->shipped;
        GY_TRY(gy_log_tail(r->cursor, BATCH_RECORDS, take_record, r, &n, err));
        GY_TRY(send_batch(r, err));
        GY_TRY(r->shipped > before ? save_marks(r, err) : GY_OK);
    }
    return GY_OK;
}

/* Told when it begins and when it is over. */
static void note(struct replica *r, gy_status st, const struct gy_err *why)
{
    if (st != GY_OK && !r->away) {
        gy_log_err(GY_LOG_WARN, "serve", "the server can not be reached: serving goes on", why);
    } else if (st == GY_OK && r->away) {
        gy_log(GY_LOG_INFO, "serve", "the server is back");
    }
    r->away = st != GY_OK;
}

static void look_after(struct replica *r, bool polls, bool ships)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status st = polls ? poll_server(r, &why) : GY_OK;
    if (ships) {
        struct gy_err failed = GY_ERR_INIT;
        gy_status sent = ship(r, &failed);
        if (sent != GY_OK) {
            struct gy_err again = GY_ERR_INIT;
            if (open_cursor(r, &again) != GY_OK) {
                gy_log_err(GY_LOG_ERROR, "serve", "the own log can not be read again", &again);
            }
            st = sent;
            why = failed;
        }
    }
    if (polls || ships) {
        note(r, st, &why);
    }
}

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

static void alone_done(struct alone *a)
{
    for (size_t i = 0; a->endpoints && i < a->n; i++) {
        gy_endpoint_unref(a->endpoints[i]);
    }
    gy_free(a->endpoints);
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
                                              .package_dir = a->dirs[i]};
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
    if (o->log_sync_ms < 0 || o->log_sync_ms > 60000) {
        return gy_err_set(err, GY_E_USAGE, "--log-sync takes 0 to 60000");
    }
    if (!o->tls_cert != !o->tls_key) {
        return gy_err_set(err, GY_E_USAGE, "--tls-cert and --tls-key belong together");
    }
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

/* Until a signal; in between the replica looks after its server. */
static void run_until_signal(struct replica *r, const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    int64_t poll_ns = gy_mono_ns(), ship_ns = poll_ns;
    while (sigtimedwait(signals, NULL, &tick) < 0) {
        int64_t now = gy_mono_ns();
        bool polls = r && now - poll_ns >= r->o->poll_ms * 1000000;
        bool ships = r && now - ship_ns >= r->o->ship_ms * 1000000;
        poll_ns = polls ? now : poll_ns;
        ship_ns = ships ? now : ship_ns;
        if (r) {
            look_after(r, polls, ships);
        }
    }
}

static gy_status listen_and_serve(struct gy_cli *cli, const struct serve_opts *o,
                                  struct gy_app *app, struct replica *r, const sigset_t *signals,
                                  struct gy_err *err)
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
    if (st == GY_OK) {
        run_until_signal(r, signals);
    }
    if (!gy_server_stop(app->server)) {
        gy_log(GY_LOG_ERROR, "serve", "a request does not end: the process ends without it");
        _exit(1); /* what it answered is in the log's rings */
    }
    gy_serving_attach(app->serving, NULL);
    gy_server_free(app->server);
    app->server = NULL;
    if (r) {
        look_after(r, false, true); /* what was answered last */
    }
    return st;
}

static gy_status open_app(struct gy_cli *cli, const struct serve_opts *o, struct gy_app **ret,
                          struct gy_err *err)
{
    struct gy_app_options options = gy_cli_app_options(cli);
    int64_t pid = 0;
    options.inference_only = true;
    GY_TRY(gy_app_open(&options, ret, err));
    struct gy_app *app = *ret;
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
    const struct gy_app_serve_options serving = {.n_loops = (int)o->loops,
                                                 .log_sync_ms = (int)o->log_sync_ms,
                                                 .log_drop_when_full = o->log_drop};
    return gy_app_serve_open(app, &serving, err);
}

static gy_status open_replica(struct replica *r, struct gy_err *err)
{
    gy_buf_init(&r->served, GY_MIB);
    gy_buf_init(&r->batch, 2 * GY_RECEIVER_MAX_BATCH);
    GY_TRY(gy_home_path(&r->app->home, "log", r->log, err));
    GY_TRY(gy_home_path(&r->app->home, "cache/models", r->cache, err));
    GY_TRY(gy_home_path(&r->app->home, "shipped.json", r->marks, err));
    GY_TRY(gy_cli_caller(r->cli, &r->server, err));
    r->d = (struct gy_deployer){
        .serving = r->app->serving, .package = fetch_package, .package_ctx = r};
    GY_TRY(poll_server(r, err));
    return open_cursor(r, err);
}

static void replica_done(struct replica *r)
{
    gy_log_cursor_free(r->cursor);
    gy_buf_done(&r->served);
    gy_buf_done(&r->batch);
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
    struct replica replica = {.cli = cli, .o = o, .app = app};
    struct replica *r = cli->server ? &replica : NULL;
    if (st == GY_OK) {
        st = r ? open_replica(r, err) : publish_packages(app, &alone, err);
    }
    if (st == GY_OK) {
        st = listen_and_serve(cli, o, app, r, &signals, err);
    }
    if (r && app && app->serving) {
        replica_done(r);
    }
    if (app) {
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
