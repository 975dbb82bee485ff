/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: Prometheus text format 0.0.4. Counters are summed here; the request path only adds
 * to its own. docs/metrics.md lists the names. */
#include "api/auth.h"
#include "api/health.h"
#include "api/metrics_internal.h"
#include "api/performance.h"
#include "api/watching.h"
#include "api/review_api.h"
#include "base/time.h"
#include "learn/runtime/python.h"
#include "serve/replica.h"
#include "serve/serving.h"

#define family gy_metric_family
#define MAX_METRICS_BYTES (32 * GY_MIB)

/* Names of endpoints need no escaping; versions are numbers. */
static void labelled(struct gy_buf *b, const char *name, const struct gy_endpoint_stats *s,
                     const char *more, uint64_t v)
{
    gy_buf_addf(b, "%s{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F "\"%s} %llu\n", name,
                GY_STR_A(s->endpoint), GY_STR_A(s->version), more, (unsigned long long)v);
}

static void requests(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    struct gy_stat_sum sum;
    gy_metric_family(b, "gyre_inference_requests_total", "counter",
                     "Prediction requests by endpoint, model version and outcome.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        gy_endpoint_stats_sum(s, &sum);
        labelled(b, "gyre_inference_requests_total", s, ",outcome=\"ok\"", sum.ok);
        labelled(b, "gyre_inference_requests_total", s, ",outcome=\"refused\"", sum.refused);
        labelled(b, "gyre_inference_requests_total", s, ",outcome=\"no_number\"", sum.no_number);
        labelled(b, "gyre_inference_requests_total", s, ",outcome=\"failed\"", sum.failed);
    }
}

static void simple_counters(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"gyre_inference_rows_total", "Rows predicted.", offsetof(struct gy_stat_sum, rows)},
        {"gyre_inference_limited_total", "Requests refused because their caller asked too much.",
         offsetof(struct gy_stat_sum, limited)},
        {"gyre_inference_shed_total",
         "Requests not begun: their deadline had passed, or would have in the queue.",
         offsetof(struct gy_stat_sum, shed)},
        {"gyre_rule_hits_total", "Rows for which a rule hit.",
         offsetof(struct gy_stat_sum, rule_hits)},
        {"gyre_model_skipped_total", "Rows that a rule decided without the model.",
         offsetof(struct gy_stat_sum, model_skipped)},
        {"gyre_rule_sampled_total",
         "Of the rows that a rule decided without the model, those scored for the log all the "
         "same.",
         offsetof(struct gy_stat_sum, rule_sampled)},
        {"gyre_log_sampled_out_total", "Predictions that the endpoint's log keeps no record of.",
         offsetof(struct gy_stat_sum, not_logged)},
        {"gyre_shadow_rows_total", "Rows that the version was asked for as a shadow.",
         offsetof(struct gy_stat_sum, shadow_rows)},
        {"gyre_shadow_differs_total", "Of them, rows that it would have answered otherwise.",
         offsetof(struct gy_stat_sum, shadow_differs)},
        {"gyre_shadow_failed_total", "Of them, rows for which it gave no finite number.",
         offsetof(struct gy_stat_sum, shadow_failed)},
        {"gyre_inference_out_of_range_total", "Input values outside of what training saw.",
         offsetof(struct gy_stat_sum, out_of_range)},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        gy_metric_family(b, counters[i].name, "counter", counters[i].help);
        for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
            struct gy_stat_sum sum;
            uint64_t v;
            gy_endpoint_stats_sum(s, &sum);
            memcpy(&v, (const char *)&sum + counters[i].offset, sizeof v);
            labelled(b, counters[i].name, s, "", v);
        }
    }
}

static void classes(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    gy_metric_family(
        b, "gyre_predictions_total", "counter",
        "Predictions by index of the class; the last index also counts all further ones.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        gy_endpoint_stats_sum(s, &sum);
        for (int i = 0; i < GY_STATS_CLASSES; i++) {
            if (sum.classes[i]) {
                gy_buf_addf(b,
                            "gyre_predictions_total{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F
                            "\",class=\"%d\"} %llu\n",
                            GY_STR_A(s->endpoint), GY_STR_A(s->version), i,
                            (unsigned long long)sum.classes[i]);
            }
        }
    }
}

static void latencies(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    static const char name[] = "gyre_inference_latency_seconds";
    gy_metric_family(b, name, "histogram",
                     "Time from when an event loop or a worker begins with a request to its answer "
                     "being ready.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        gy_endpoint_stats_sum(s, &sum);
        for (size_t i = 0; i < GY_STATS_BUCKETS; i++) {
            char bound[32] = "+Inf";
            if (i < GY_STATS_BUCKETS - 1) {
                (void)gy_fmt_f64((double)gy_stat_bound_ns(i) / 1e9, bound);
            }
            gy_buf_addf(b,
                        "%s_bucket{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F
                        "\",le=\"%s\"} %llu\n",
                        name, GY_STR_A(s->endpoint), GY_STR_A(s->version), bound,
                        (unsigned long long)sum.buckets[i]);
        }
        gy_buf_addf(b, "%s_sum{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F "\"} ", name,
                    GY_STR_A(s->endpoint), GY_STR_A(s->version));
        gy_metric_number(b, (double)sum.latency_ns / 1e9);
        gy_buf_addf(b, "%s_count{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F "\"} %llu\n",
                    name, GY_STR_A(s->endpoint), GY_STR_A(s->version),
                    (unsigned long long)sum.buckets[GY_STATS_BUCKETS - 1]);
    }
}

static void revisions(struct gy_buf *b, struct gy_serving *serving)
{
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(serving);
    gy_metric_family(b, "gyre_endpoint_revision", "gauge", "The revision that is served.");
    for (size_t i = 0; i < gy_table_count(t); i++) {
        const struct gy_endpoint *e = gy_table_at(t, i);
        gy_buf_addf(
            b, "gyre_endpoint_revision{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F "\"} %u\n",
            GY_STR_A(e->name), GY_STR_A(e->version), e->revision);
    }
    gy_metric_family(b, "gyre_endpoint_weight", "gauge",
                     "Share of the traffic that a version answers.");
    for (size_t i = 0; i < gy_table_count(t); i++) {
        const struct gy_endpoint *stable = gy_table_at(t, i);
        const struct gy_endpoint *e;
        for (size_t k = 0; (e = gy_variants_at(stable, k)) != NULL; k++) {
            gy_buf_addf(b,
                        "gyre_endpoint_weight{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F
                        "\",role=\"%s\"} ",
                        GY_STR_A(e->name), GY_STR_A(e->version), gy_variant_role_name(e->role));
            gy_metric_number(b, e->weight);
        }
    }
}

static void log_metrics(struct gy_buf *b, struct gy_predlog *log)
{
    struct gy_predlog_stats s;
    gy_predlog_get_stats(log, &s);
    gy_metric_one(b, "gyre_log_bytes_total", "counter",
                  "Bytes of prediction records moved to segments.", (double)s.appended_bytes);
    gy_metric_one(b, "gyre_log_full_total", "counter",
                  "Predictions refused or records dropped: a ring was full.", (double)s.refused);
    gy_metric_one(b, "gyre_log_recovered_total", "counter",
                  "Records drained from rings of a killed process.", (double)s.recovered);
    gy_metric_one(b, "gyre_log_holes", "gauge", "Records missing by their number in all segments.",
                  (double)s.holes);
    gy_metric_one(b, "gyre_log_damaged", "gauge",
                  "Places in segments and rings that could not be read.", (double)s.bad);
    gy_metric_one(b, "gyre_log_write_failures_total", "counter",
                  "Tries to write or sync the log that failed.", (double)s.write_failures);
    gy_metric_one(b, "gyre_log_syncs_total", "counter", "Syncs of segments.", (double)s.syncs);
    gy_metric_one(b, "gyre_log_ring_fill_ratio", "gauge", "Fill of the fullest ring.",
                  (double)s.ring_used_max / (double)s.ring_capacity);
    gy_metric_one(b, "gyre_log_lag_seconds", "gauge",
                  "Age of the oldest record that is not durable yet.", (double)s.lag_us / 1e6);
    gy_metric_one(b, "gyre_log_segments", "gauge", "Segment files.", (double)s.segments);
}

static void received_metrics(struct gy_buf *b, struct gy_predlog *log)
{
    struct gy_receiver_stats s;
    gy_receiver_get_stats(gy_predlog_receiver(log), &s);
    gy_metric_one(b, "gyre_log_received_total", "counter", "Records of replicas that were kept.",
                  (double)s.records);
    gy_metric_one(b, "gyre_log_received_refused_total", "counter",
                  "Records of replicas that do not belong here.", (double)s.refused);
    gy_metric_one(b, "gyre_log_received_damaged_total", "counter",
                  "Batches of replicas that were refused: something in them was damaged.",
                  (double)s.damaged);
}

static void replica_metrics(struct gy_buf *b, struct gy_replica *replica)
{
    struct gy_replica_stats s;
    gy_replica_get_stats(replica, &s);
    gy_metric_one(b, "gyre_replica_server_up", "gauge",
                  "1 when the last calls to the server went well.", s.up);
    gy_metric_one(b, "gyre_replica_last_contact_timestamp_seconds", "gauge",
                  "When a call to the server last went well, Unix seconds.",
                  (double)s.last_contact_us / 1e6);
    gy_metric_family(b, "gyre_replica_failures_total", "counter",
                     "Calls to the server that failed.");
    for (int call = 0; call < 2; call++) {
        for (int why = 0; why < 3; why++) {
            gy_buf_addf(b, "gyre_replica_failures_total{call=\"%s\",why=\"%s\"} %llu\n",
                        gy_replica_call_name((enum gy_replica_call)call),
                        gy_replica_failure_name((enum gy_replica_failure)why),
                        (unsigned long long)s.failures[call][why]);
        }
    }
    gy_metric_one(b, "gyre_replica_shipped_total", "counter",
                  "Records that the server acknowledged or refused.", (double)s.shipped);
    gy_metric_one(b, "gyre_replica_refused_total", "counter", "Records that the server refused.",
                  (double)s.refused);
    gy_metric_one(b, "gyre_replica_refused_lost_total", "counter",
                  "Of the refused records those for which there was no room.",
                  (double)s.refused_lost);
    gy_metric_one(b, "gyre_replica_removed_segments_total", "counter",
                  "Segments removed after the server had them.", (double)s.removed);
    gy_metric_one(b, "gyre_replica_removed_bytes_total", "counter",
                  "Bytes of segments removed after the server had them.", (double)s.removed_bytes);
    gy_metric_one(b, "gyre_replica_log_bytes", "gauge", "Bytes of the segments that are here.",
                  (double)s.segment_bytes);
}

static void model_metrics(struct gy_buf *b, struct gy_serving *serving)
{
    struct gy_budget_stats s;
    gy_budget_get_stats(gy_serving_budget(serving), &s);
    gy_metric_one(b, "gyre_models_served", "gauge", "Models of all endpoints and variants.",
                  (double)s.models);
    gy_metric_one(b, "gyre_models_loaded", "gauge", "Of them, those that are in memory now.",
                  (double)s.loaded);
    gy_metric_one(b, "gyre_model_bytes", "gauge", "Memory of those, as their runtimes tell it.",
                  (double)s.bytes);
    gy_metric_one(b, "gyre_model_memory_bytes", "gauge",
                  "What they may take together (--model-memory); 0: no limit.", (double)s.limit);
    gy_metric_one(b, "gyre_model_loads_total", "counter", "Models loaded, the first time or again.",
                  (double)s.loads);
    gy_metric_one(b, "gyre_model_load_seconds_total", "counter", "Time that loading took.",
                  (double)s.load_ns / 1e9);
    gy_metric_one(b, "gyre_model_load_failures_total", "counter",
                  "Unloaded models that could not be loaded again.", (double)s.failures);
    gy_metric_one(b, "gyre_model_unloads_total", "counter",
                  "Models unloaded to make room for others.", (double)s.unloads);
}

static void serving_metrics(struct gy_buf *b, struct gy_serving *serving)
{
    const struct gy_endpoint_stats *all = gy_serving_stats(serving);
    requests(b, all);
    simple_counters(b, all);
    classes(b, all);
    latencies(b, all);
    revisions(b, serving);
    gy_metrics_peers(b, all);
    gy_metric_one(b, "gyre_inference_unknown_total", "counter",
                  "Requests for endpoints that are not served.",
                  (double)gy_serving_unknown(serving));
    gy_metric_one(b, "gyre_serving_tables_total", "counter", "Tables of endpoints published.",
                  (double)gy_serving_swaps(serving));
    model_metrics(b, serving);
    log_metrics(b, gy_serving_log(serving));
    received_metrics(b, gy_serving_log(serving));
}

static void python_metrics(struct gy_buf *b)
{
    struct gy_python_stats s;
    gy_python_get_stats(&s);
    gy_metric_one(b, "gyre_python_workers_started_total", "counter",
                  "Processes of Python models that were started.", (double)s.started);
    gy_metric_family(b, "gyre_python_workers_ended_total", "counter",
                     "Processes of Python models that ended while they were needed.");
    gy_buf_addf(b, "gyre_python_workers_ended_total{why=\"died\"} %llu\n",
                (unsigned long long)s.died);
    gy_buf_addf(b, "gyre_python_workers_ended_total{why=\"slow\"} %llu\n",
                (unsigned long long)s.slow);
    gy_buf_addf(b, "gyre_python_workers_ended_total{why=\"silent\"} %llu\n",
                (unsigned long long)s.silent);
}

static void store_metrics(struct gy_buf *b, struct gy_store *store)
{
    struct gy_store_stats s;
    gy_store_get_stats(store, &s);
    gy_metric_one(b, "gyre_store_commits_total", "counter", "Group commits.", (double)s.commits);
    gy_metric_one(b, "gyre_store_writes_total", "counter", "Write closures run.",
                  (double)s.closures);
    gy_metric_one(b, "gyre_store_failed_writes_total", "counter", "Write closures rolled back.",
                  (double)s.failed_closures);
    gy_metric_one(b, "gyre_store_queue", "gauge", "Write closures waiting.", (double)s.queued);
    gy_metric_one(b, "gyre_store_wal_bytes", "gauge", "Size of the write-ahead log.",
                  (double)s.wal_bytes);
    gy_metric_one(b, "gyre_store_leads", "gauge",
                  "1: this server does the background work of its database.",
                  gy_store_leads(store));
    gy_metric_family(b, "gyre_store_commit_seconds", "summary",
                     "Commit latency over the last 1024 commits.");
    gy_buf_addc(b, "gyre_store_commit_seconds{quantile=\"0.5\"} ");
    gy_metric_number(b, (double)s.commit_us_p50 / 1e6);
    gy_buf_addc(b, "gyre_store_commit_seconds{quantile=\"0.99\"} ");
    gy_metric_number(b, (double)s.commit_us_p99 / 1e6);
    gy_buf_addc(b, "gyre_store_commit_seconds{quantile=\"1\"} ");
    gy_metric_number(b, (double)s.commit_us_max / 1e6);
}

static void server_metrics(struct gy_buf *b, struct gy_server *server)
{
    struct gy_server_stats s;
    gy_server_get_stats(server, &s);
    gy_metric_one(b, "gyre_http_connections_total", "counter", "Connections accepted.",
                  (double)s.accepted);
    gy_metric_one(b, "gyre_http_connections_refused_total", "counter", "Connections over the cap.",
                  (double)s.refused);
    gy_metric_one(b, "gyre_http_connections", "gauge", "Open connections.",
                  (double)s.open_connections);
    gy_metric_one(b, "gyre_http_requests_total", "counter", "Requests read.", (double)s.requests);
    gy_metric_one(b, "gyre_http_in_flight", "gauge", "Requests being answered.",
                  (double)s.in_flight);
    gy_metric_one(b, "gyre_http_queued", "gauge", "Requests waiting for a worker.",
                  (double)s.queued);
    gy_metric_one(b, "gyre_http_parse_errors_total", "counter", "Requests that were no HTTP.",
                  (double)s.parse_errors);
    gy_metric_one(b, "gyre_http_timeouts_total", "counter", "Connections closed for slowness.",
                  (double)s.timeouts);
    gy_metric_one(b, "gyre_http_received_bytes_total", "counter", "Bytes read.",
                  (double)s.bytes_in);
    gy_metric_one(b, "gyre_http_sent_bytes_total", "counter", "Bytes written.",
                  (double)s.bytes_out);
    gy_metric_one(b, "gyre_loop_lag_seconds", "gauge",
                  "Longest delay of an event loop since the last scrape.",
                  (double)s.loop_lag_us_max / 1e6);
    gy_metric_family(b, "gyre_http_responses_total", "counter", "Answers by class of status.");
    for (int i = 1; i < 6; i++) {
        gy_buf_addf(b, "gyre_http_responses_total{class=\"%dxx\"} %llu\n", i,
                    (unsigned long long)s.by_class[i]);
    }
}

static void auth_metrics(struct gy_buf *b, struct gy_auth *auth)
{
    struct gy_auth_stats s;
    gy_auth_get_stats(auth, &s);
    gy_metric_family(b, "gyre_auth_logins_total", "counter",
                     "Logins looked up, by what came of them.");
    gy_buf_addf(b, "gyre_auth_logins_total{result=\"ok\"} %llu\n", (unsigned long long)s.logins_ok);
    gy_buf_addf(b, "gyre_auth_logins_total{result=\"failed\"} %llu\n",
                (unsigned long long)s.logins_failed);
    gy_buf_addf(b, "gyre_auth_logins_total{result=\"limited\"} %llu\n",
                (unsigned long long)s.limited);
    gy_metric_one(b, "gyre_auth_cache_hits_total", "counter",
                  "Requests whose login was remembered.", (double)s.cache_hits);
    gy_metric_one(b, "gyre_auth_denied_total", "counter",
                  "Requests refused to a caller that is known.", (double)s.denied);
    gy_metric_one(b, "gyre_audit_left_out_total", "counter",
                  "Refusals that were too many to be written down one by one.",
                  (double)s.rows_left_out);
}

static void process_metrics(struct gy_buf *b, const struct gy_app *app)
{
    struct gy_process_stats p;
    struct gy_disk_stats d;
    const char *reason;
    gy_process_get_stats(&p);
    gy_disk_get_stats(app, &d);
    gy_metric_one(b, "process_cpu_seconds_total", "counter", "User and system CPU time.",
                  p.cpu_seconds);
    gy_metric_one(b, "process_resident_memory_bytes", "gauge", "Resident memory.",
                  (double)p.rss_bytes);
    gy_metric_one(b, "process_open_fds", "gauge", "Open file descriptors.", (double)p.open_fds);
    gy_metric_one(b, "process_max_fds", "gauge", "Most file descriptors that may be open.",
                  (double)p.max_fds);
    gy_metric_one(b, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
                  (double)p.virtual_bytes);
    gy_metric_one(b, "process_threads", "gauge", "Threads.", (double)p.threads);
    gy_metric_one(b, "process_start_time_seconds", "gauge", "Start time, Unix seconds.",
                  (double)app->started_us / 1e6);
    gy_metric_one(b, "gyre_disk_free_bytes", "gauge", "Free bytes of the file system of the home.",
                  (double)d.free_bytes);
    gy_metric_one(b, "gyre_ready", "gauge", "1 when new work may be sent here.",
                  gy_api_ready(app, &reason));
}

static void object_metrics(struct gy_buf *b, const struct gy_app *app)
{
    struct gy_objects_stats s;
    gy_objects_get_stats(app->objects, &s);
    gy_metric_one(b, "gyre_objects_up", "gauge",
                  "0 when the object store did not answer the last request.", s.up);
    gy_metric_one(b, "gyre_objects_requests_total", "counter",
                  "Requests to the object store, each try.", (double)s.requests);
    gy_metric_one(b, "gyre_objects_retries_total", "counter", "Requests that were tried again.",
                  (double)s.retries);
    gy_metric_one(b, "gyre_objects_errors_total", "counter", "Requests that failed for good.",
                  (double)s.errors);
    gy_metric_one(b, "gyre_objects_sent_bytes_total", "counter", "Bytes sent to the object store.",
                  (double)s.sent_bytes);
    gy_metric_one(b, "gyre_objects_received_bytes_total", "counter",
                  "Bytes got from the object store.", (double)s.received_bytes);
    gy_metric_one(b, "gyre_objects_cache_hits_total", "counter", "Objects read from a local copy.",
                  (double)s.cache_hits);
    gy_metric_one(b, "gyre_objects_cache_misses_total", "counter",
                  "Objects that had to be fetched.", (double)s.cache_misses);
    gy_metric_one(b, "gyre_objects_cache_bytes", "gauge", "Bytes of local copies.",
                  (double)s.cache_bytes);
}

static gy_status get_metrics(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, MAX_METRICS_BYTES);
    GY_TRY(gy_performance_metrics(app, req->arena, &b, err));
    GY_TRY(gy_watching_metrics(app, req->arena, &b, err));
    GY_TRY(gy_review_metrics(app, req->arena, &b, err));
    if (app->serving) {
        serving_metrics(&b, app->serving);
    }
    if (app->replica) {
        replica_metrics(&b, app->replica);
    }
    python_metrics(&b);
    store_metrics(&b, app->store);
    auth_metrics(&b, app->auth);
    if (app->server) {
        server_metrics(&b, app->server);
    }
    object_metrics(&b, app);
    process_metrics(&b, app);
    gy_metrics_host(&b);
    GY_TRY(gy_buf_check(&b, "metrics", err));
    return gy_reply_send(reply, 200, "text/plain; version=0.0.4; charset=utf-8", gy_buf_str(&b),
                         err);
}

static const struct gy_route routes[] = {
    {"GET", "/metrics", get_metrics, NULL, 0, "metrics in Prometheus text format"},
};

gy_status gy_api_metrics_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
