/* SPDX-License-Identifier: Apache-2.0 */
/* gyre stream: messages in, decisions out (flow/stream.h). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "cli/serving_here.h"
#include "flow/stream.h"
#include "net/router.h"
#include "net/server.h"

struct stream_opts {
    const char *from, *to, *notify, *when, *dead_letter, *group, *kafka_config;
    struct gy_opt_list kafka;
    int64_t max_messages, metrics_port;
    double until_idle;
    bool with_input;
};

static const struct gy_opt stream_options[] = {
    {"from", 0, GY_OPT_STR, offsetof(struct stream_opts, from), "WHERE", "stdin",
     "kafka://BROKERS/TOPIC, stdin (JSON lines), dir:PATH or http:PORT"},
    {"to", 0, GY_OPT_STR, offsetof(struct stream_opts, to), "WHERE", "stdout",
     "kafka://BROKERS/TOPIC, stdout, file:PATH, http://... or https://..."},
    {"notify", 0, GY_OPT_STR, offsetof(struct stream_opts, notify), "TOPIC", NULL,
     "where decisions that --when picks go as well: a topic, or as --to"},
    {"when", 0, GY_OPT_STR, offsetof(struct stream_opts, when), "EXPRESSION", NULL,
     "over prediction, probability, rule, model_version; with --notify: prediction == 1"},
    {"dead-letter", 0, GY_OPT_STR, offsetof(struct stream_opts, dead_letter), "TOPIC|FILE", NULL,
     "where messages go that can not be answered; else TOPIC.dead, or ./stream-dead.jsonl"},
    {"group", 0, GY_OPT_STR, offsetof(struct stream_opts, group), "NAME", NULL,
     "the consumer group; else gyre-ENDPOINT"},
    {"with-input", 0, GY_OPT_FLAG, offsetof(struct stream_opts, with_input), NULL, NULL,
     "decisions have the message beside the answer"},
    {"kafka", 0, GY_OPT_LIST, offsetof(struct stream_opts, kafka), "NAME=VALUE", NULL,
     "a setting of librdkafka; may be repeated"},
    {"kafka-config", 0, GY_OPT_STR, offsetof(struct stream_opts, kafka_config), "FILE", NULL,
     "the same, NAME=VALUE lines: passwords belong there"},
    {"max-messages", 0, GY_OPT_INT, offsetof(struct stream_opts, max_messages), "N", "0",
     "end after so many; 0: go on"},
    {"until-idle", 0, GY_OPT_NUM, offsetof(struct stream_opts, until_idle), "SECONDS", "0",
     "end when nothing came for so long; 0: go on"},
    {"metrics-port", 0, GY_OPT_INT, offsetof(struct stream_opts, metrics_port), "PORT", "-1",
     "serve /metrics on this port of loopback; 0: any free one"},
};

static volatile int g_stop;

static void on_signal(int number)
{
    (void)number;
    g_stop = 1;
}

/* ---- settings of librdkafka ---- */

struct settings {
    struct gy_kafka_setting items[GY_KAFKA_MAX_SETTINGS];
    size_t n;
};

static gy_status add_setting(struct gy_cli *cli, struct settings *s, struct gy_str text,
                             struct gy_err *err)
{
    struct gy_str name, value;
    if (!gy_str_cut(text, '=', &name, &value) || name.n == 0) {
        return gy_err_set(err, GY_E_USAGE, "a Kafka setting is NAME=VALUE");
    }
    if (s->n == GY_KAFKA_MAX_SETTINGS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d Kafka settings", GY_KAFKA_MAX_SETTINGS);
    }
    struct gy_kafka_setting *one = &s->items[s->n++];
    one->name = gy_arena_strdup(&cli->arena, gy_str_trim(name));
    one->value = gy_arena_strdup(&cli->arena, gy_str_trim(value));
    return one->name && one->value ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status read_settings(struct gy_cli *cli, const struct stream_opts *o, struct settings *s,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    if (o->kafka_config) {
        GY_TRY(gy_file_read(o->kafka_config, &text, err));
    }
    struct gy_str rest = gy_buf_str(&text);
    struct gy_str line;
    while (gy_str_next(&rest, '\n', &line)) {
        line = gy_str_trim(line);
        if (line.n && line.p[0] != '#') {
            GY_TRY(add_setting(cli, s, line, err));
        }
    }
    for (size_t i = 0; i < o->kafka.n; i++) {
        GY_TRY(add_setting(cli, s, gy_str_c(o->kafka.items[i]), err));
    }
    return GY_OK;
}

/* ---- how it goes ---- */

struct watch {
    struct gy_cli *cli;
    int64_t start_ns, said_ns;
    uint64_t said_read;
    bool told_port;
};

static void progress(void *ctx, const struct gy_stream_counts *c)
{
    struct watch *w = ctx;
    int64_t now = gy_mono_ns();
    if (c->http_port && !w->told_port) {
        w->told_port = true;
        gy_cli_note(w->cli, "messages are taken at http://127.0.0.1:%lld/\n",
                    (long long)c->http_port);
    }
    if (now - w->said_ns < 10 * INT64_C(1000000000)) {
        return;
    }
    double rate = (double)(c->read - w->said_read) * 1e9 / (double)(now - w->said_ns);
    gy_cli_note(
        w->cli, "%llu read, %llu decided, %llu dead, %llu notified; %.0f a second, lag %lld\n",
        (unsigned long long)c->read, (unsigned long long)c->decided, (unsigned long long)c->dead,
        (unsigned long long)c->notified, rate, (long long)c->lag);
    w->said_ns = now;
    w->said_read = c->read;
}

static gy_status summary(struct gy_cli *cli, const struct watch *w,
                         const struct gy_stream_counts *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw j;
    double seconds = (double)(gy_mono_ns() - w->start_ns) / 1e9;
    double busy = (double)c->busy_ns / 1e9;
    if (!cli->json) {
        gy_cli_note(cli, "%llu read, %llu decided, %llu dead, %llu notified in %.1f s; lag %lld\n",
                    (unsigned long long)c->read, (unsigned long long)c->decided,
                    (unsigned long long)c->dead, (unsigned long long)c->notified, seconds,
                    (long long)c->lag);
        return GY_OK;
    }
    gy_buf_init(&out, 4 * GY_KIB);
    gy_jw_init(&j, &out);
    gy_jw_obj(&j);
    gy_jw_kv_i64(&j, "read", (int64_t)c->read);
    gy_jw_kv_i64(&j, "decided", (int64_t)c->decided);
    gy_jw_kv_i64(&j, "dead", (int64_t)c->dead);
    gy_jw_kv_i64(&j, "notified", (int64_t)c->notified);
    gy_jw_kv_i64(&j, "batches", (int64_t)c->batches);
    gy_jw_kv_i64(&j, "retries", (int64_t)c->retries);
    gy_jw_kv_i64(&j, "unkept", (int64_t)c->unkept);
    gy_jw_kv_i64(&j, "rebalances", (int64_t)c->rebalances);
    gy_jw_kv_i64(&j, "lag", c->lag);
    gy_jw_kv_f64(&j, "seconds", seconds);
    gy_jw_kv_f64(&j, "busy_seconds", busy);
    gy_jw_kv_f64(&j, "per_second", busy > 0 ? (double)c->decided / busy : 0);
    gy_jw_obj_end(&j);
    return gy_cli_print_json(cli, &out, err);
}

/* ---- metrics ---- */

struct metrics {
    const struct gy_stream_counts *counts;
    const char *endpoint;
    struct gy_router *router;
    struct gy_server *server;
};

static gy_status get_metrics(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    const struct metrics *m = ctx;
    const struct gy_stream_counts *c = m->counts;
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"gyre_stream_messages_read_total", "counter", "Messages taken.", (double)c->read},
        {"gyre_stream_messages_decided_total", "counter", "Decisions written.", (double)c->decided},
        {"gyre_stream_messages_dead_total", "counter", "Dead letters written.", (double)c->dead},
        {"gyre_stream_notices_total", "counter", "Notices written.", (double)c->notified},
        {"gyre_stream_batches_total", "counter", "Batches committed.", (double)c->batches},
        {"gyre_stream_retries_total", "counter", "Times that a batch had to wait.",
         (double)c->retries},
        {"gyre_stream_rebalances_total", "counter", "Partitions given or taken away.",
         (double)c->rebalances},
        {"gyre_stream_busy_seconds_total", "counter", "From taking batches to their commit.",
         (double)c->busy_ns / 1e9},
        {"gyre_stream_lag_messages", "gauge", "Messages there and not taken.", (double)c->lag},
        {"gyre_stream_partitions", "gauge", "Partitions of this member.", (double)c->partitions},
    };
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    (void)req;
    gy_buf_init(&out, 16 * GY_KIB);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gy_buf_addf(&out, "# HELP %s %s\n# TYPE %s %s\n%s{endpoint=\"%s\"} %.17g\n", rows[i].name,
                    rows[i].help, rows[i].name, rows[i].type, rows[i].name, m->endpoint,
                    rows[i].value);
    }
    GY_TRY(gy_buf_check(&out, "the metrics", err));
    return gy_reply_send(reply, 200, "text/plain; version=0.0.4", gy_buf_str(&out), err);
}

static const struct gy_route metric_routes[] = {
    {"GET", "/metrics", get_metrics, NULL, 0, "metrics", GY_ACCESS_PUBLIC, 0}};

static gy_status start_metrics(struct gy_cli *cli, int64_t port, struct metrics *m,
                               struct gy_err *err)
{
    if (port < 0) {
        return GY_OK;
    }
    GY_TRY(gy_router_new(&m->router, err));
    GY_TRY(gy_router_add(m->router, metric_routes, 1, m, err));
    const struct gy_server_options options = {
        .host = "127.0.0.1", .port = (int)port, .n_loops = 1, .n_workers = 1, .router = m->router};
    GY_TRY(gy_server_start(&options, &m->server, err));
    gy_cli_note(cli, "metrics: http://127.0.0.1:%d/metrics\n", gy_server_port(m->server));
    return GY_OK;
}

static void stop_metrics(struct metrics *m)
{
    if (m->server && gy_server_stop(m->server)) {
        gy_server_free(m->server);
    }
    gy_router_free(m->router);
}

/* ---- the command ---- */

static gy_status check(const struct stream_opts *o, struct gy_err *err)
{
    if (o->max_messages < 0 || o->until_idle < 0 || o->until_idle > 86400 * 365.0) {
        return gy_err_set(err, GY_E_USAGE, "--max-messages and --until-idle take 0 and more");
    }
    if (o->metrics_port < -1 || o->metrics_port > 65535) {
        return gy_err_set(err, GY_E_USAGE, "--metrics-port takes 0 to 65535");
    }
    if (o->when && !o->notify) {
        return gy_err_set(err, GY_E_USAGE, "--when picks what --notify gets: give that, too");
    }
    return GY_OK;
}

static gy_status stream_with(struct gy_cli *cli, const struct stream_opts *o,
                             struct gy_caller *server, struct gy_err *err)
{
    struct settings settings = {.n = 0};
    struct gy_stream_counts counts = {0};
    struct watch watch = {.cli = cli, .start_ns = gy_mono_ns(), .said_ns = gy_mono_ns()};
    struct metrics metrics = {.counts = &counts, .endpoint = cli->argv[0]};
    GY_TRY(read_settings(cli, o, &settings, err));
    const struct gy_stream_options options = {
        .endpoint = cli->argv[0],
        .from = o->from,
        .to = o->to,
        .dead_letter = o->dead_letter,
        .notify = o->notify,
        .when = o->when,
        .group = o->group,
        .settings = settings.items,
        .n_settings = settings.n,
        .with_input = o->with_input,
        .max_messages = o->max_messages,
        .idle_ms = (int64_t)(o->until_idle * 1000),
        .server = server,
        .stop = &g_stop,
        .progress = progress,
        .progress_ctx = &watch,
    };
    gy_status status = start_metrics(cli, o->metrics_port, &metrics, err);
    if (status == GY_OK) {
        status = gy_stream_run(&options, &counts, err);
    }
    stop_metrics(&metrics);
    GY_TRY(status);
    return summary(cli, &watch, &counts, err);
}

static gy_status run_stream(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct stream_opts *o = opts;
    struct gy_caller *server = NULL;
    GY_AUTO_DONE(gy_serving_here_done) struct gy_serving_here here = {0};
    struct sigaction action = {.sa_handler = on_signal};
    GY_TRY(check(o, err));
    if (cli->json && (strcmp(o->to, "stdout") == 0 || strcmp(o->to, "-") == 0)) {
        return gy_err_set(err, GY_E_USAGE,
                          "--json prints a summary: say where decisions go with --to");
    }
    (void)sigemptyset(&action.sa_mask); /* these can not fail for valid arguments */
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    GY_TRY(gy_serving_here_open(cli, &here, &server, err));
    return stream_with(cli, o, server, err);
}

static const struct gy_verb verbs[] = {
    {.noun = "stream",
     .args = "ENDPOINT",
     .min_args = 1,
     .max_args = 1,
     .summary = "answer messages of a topic, a folder, standard input or HTTP by an endpoint",
     .details =
         "At least once: a batch is committed at its source when its predictions are in the log, "
         "on "
         "the\ndisk, and its decisions have arrived. SIGTERM and Ctrl-C finish the batch at hand. "
         "Without a\nrunning server the endpoint is served by this process.",
     .examples =
         "  gyre stream fraud --from kafka://localhost:9092/transactions --to "
         "kafka://localhost:9092/decisions --notify alerts --when \"probability >= 0.7\"\n"
         "  tail -f app.jsonl | gyre stream sepsis\n"
         "  gyre stream sepsis --from dir:inbox --to file:decisions.jsonl --until-idle 5 --json\n"
         "  gyre stream sepsis --from http:8090 --to https://example.com/decisions",
     GY_OPTS(stream_options),
     .opts_bytes = sizeof(struct stream_opts),
     .run = run_stream},
};

const struct gy_verb_table gy_cmd_stream = GY_VERB_TABLE(verbs);
