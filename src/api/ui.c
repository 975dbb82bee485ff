/* SPDX-License-Identifier: Apache-2.0 */
/* The status page at `/` for browsers, {"status":"alive"} for everyone else, and what the page
 * asks for every two seconds: GET /api/gyre/v1/status. The page is one file without anything from
 * elsewhere (src/api/status.html, put into the program at build time). */
#include <unistd.h>

#include "api/health.h"
#include "base/embed.h"
#include "base/time.h"
#include "serve/serving.h"

#ifndef GY_VERSION
#define GY_VERSION "0.1.0"
#endif

extern const struct gy_embedded gy_pages[];

static gy_status get_root(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    (void)ctx;
    struct gy_str accept = gy_req_header(req, "accept");
    if (req->inference_port || /* where there is nothing to show */
        gy_str_find_str(accept, GY_STR("text/html")) == SIZE_MAX) {
        return gy_reply_send(reply, 200, "application/json", GY_STR("{\"status\":\"alive\"}"), err);
    }
    const struct gy_header headers[] = {
        {GY_STR("Content-Type"), GY_STR("text/html; charset=utf-8")},
        {GY_STR("Cache-Control"), GY_STR("no-cache")},
        {GY_STR("Vary"), GY_STR("Accept")},
        {GY_STR("Content-Security-Policy"),
         GY_STR("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'")},
        {GY_STR("X-Frame-Options"), GY_STR("DENY")}, /* for browsers without frame-ancestors */
        {GY_STR("X-Content-Type-Options"), GY_STR("nosniff")},
    };
    GY_TRY(gy_reply_begin(reply, 200, headers, sizeof headers / sizeof headers[0],
                          (int64_t)gy_pages[0].size, err));
    GY_TRY(gy_reply_write(reply, gy_str_n(gy_pages[0].bytes, gy_pages[0].size), err));
    return gy_reply_end(reply, err);
}

static void write_endpoint(struct gy_jw *w, const struct gy_endpoint *e)
{
    struct gy_stat_sum s;
    gy_endpoint_stats_sum(e->stats, &s);
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", e->name);
    gy_jw_kv_i64(w, "revision", e->revision);
    gy_jw_kv_str(w, "model", e->model_name);
    gy_jw_kv_str(w, "version", e->version);
    gy_jw_kv_strc(w, "role", gy_variant_role_name(e->role));
    gy_jw_kv_f64(w, "weight", e->weight);
    gy_jw_kv_str(w, "learner", e->info->learner);
    gy_jw_kv_str(w, "digest", e->digest);
    gy_jw_kv_i64(w, "rules", (int64_t)e->n_rules);
    gy_jw_key(w, "paths");
    gy_jw_arr(w);
    gy_jw_strf(w, "/v2/models/%" GY_STR_F "/infer", GY_STR_A(e->name));
    for (size_t i = 0; i < e->n_aliases; i++) {
        gy_jw_str(w, e->aliases[i].path);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_i64(w, "requests", (int64_t)(s.ok + s.refused + s.no_number + s.failed));
    gy_jw_kv_i64(w, "ok", (int64_t)s.ok);
    gy_jw_kv_i64(w, "refused", (int64_t)s.refused);
    gy_jw_kv_i64(w, "failed", (int64_t)(s.failed + s.no_number));
    gy_jw_kv_i64(w, "rows", (int64_t)s.rows);
    gy_jw_kv_i64(w, "rule_hits", (int64_t)s.rule_hits);
    gy_jw_kv_i64(w, "out_of_range", (int64_t)s.out_of_range);
    gy_jw_kv_f64(w, "p50_us", gy_stat_quantile(&s, 0.5) / 1e3);
    gy_jw_kv_f64(w, "p99_us", gy_stat_quantile(&s, 0.99) / 1e3);
    gy_jw_kv_f64(w, "row_us", e->model->row_ns / 1e3);
    gy_jw_obj_end(w);
}

static void write_serving(struct gy_jw *w, struct gy_serving *serving)
{
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(serving);
    gy_jw_key(w, "endpoints");
    gy_jw_arr(w);
    for (size_t i = 0; i < gy_table_count(t); i++) {
        const struct gy_endpoint *stable = gy_table_at(t, i);
        const struct gy_endpoint *e;
        for (size_t k = 0; (e = gy_variants_at(stable, k)) != NULL; k++) {
            write_endpoint(w, e);
        }
    }
    gy_jw_arr_end(w);
    struct gy_predlog_stats s;
    gy_predlog_get_stats(gy_serving_log(serving), &s);
    gy_jw_key(w, "log");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "bytes", (int64_t)s.appended_bytes);
    gy_jw_kv_i64(w, "segments", (int64_t)s.segments);
    gy_jw_kv_i64(w, "holes", (int64_t)s.holes);
    gy_jw_kv_i64(w, "damaged", (int64_t)s.bad);
    gy_jw_kv_i64(w, "recovered", (int64_t)s.recovered);
    gy_jw_kv_i64(w, "refused", (int64_t)s.refused);
    gy_jw_kv_f64(w, "ring_fill", (double)s.ring_used_max / (double)s.ring_capacity);
    gy_jw_kv_i64(w, "lag_us", s.lag_us);
    gy_jw_obj_end(w);
}

static void write_store(struct gy_jw *w, struct gy_store *store)
{
    struct gy_store_stats s;
    gy_store_get_stats(store, &s);
    gy_jw_key(w, "store");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "commits", (int64_t)s.commits);
    gy_jw_kv_i64(w, "writes", (int64_t)s.closures);
    gy_jw_kv_i64(w, "queued", s.queued);
    gy_jw_kv_i64(w, "commit_us_p50", s.commit_us_p50);
    gy_jw_kv_i64(w, "commit_us_p99", s.commit_us_p99);
    gy_jw_kv_i64(w, "wal_bytes", s.wal_bytes);
    gy_jw_obj_end(w);
}

static void write_server(struct gy_jw *w, struct gy_server *server)
{
    struct gy_server_stats s;
    gy_server_get_stats(server, &s);
    gy_jw_key(w, "server");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "port", gy_server_port(server));
    gy_jw_kv_i64(w, "loops", gy_server_loops(server));
    gy_jw_kv_i64(w, "requests", (int64_t)s.requests);
    gy_jw_kv_i64(w, "connections", s.open_connections);
    gy_jw_kv_i64(w, "in_flight", s.in_flight);
    gy_jw_kv_i64(w, "queued", s.queued);
    gy_jw_kv_i64(w, "answers_4xx", (int64_t)s.by_class[4]);
    gy_jw_kv_i64(w, "answers_5xx", (int64_t)s.by_class[5]);
    gy_jw_obj_end(w);
}

static void write_process(struct gy_jw *w, const struct gy_app *app)
{
    struct gy_process_stats p;
    struct gy_disk_stats d;
    gy_process_get_stats(&p);
    gy_disk_get_stats(app, &d);
    gy_jw_key(w, "process");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "pid", getpid());
    gy_jw_kv_i64(w, "rss_bytes", p.rss_bytes);
    gy_jw_kv_f64(w, "cpu_seconds", p.cpu_seconds);
    gy_jw_kv_i64(w, "threads", p.threads);
    gy_jw_kv_i64(w, "open_fds", p.open_fds);
    gy_jw_obj_end(w);
    gy_jw_key(w, "disk");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "free_bytes", d.free_bytes);
    gy_jw_kv_i64(w, "total_bytes", d.total_bytes);
    gy_jw_obj_end(w);
}

static gy_status get_status(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    (void)req;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    struct gy_jw w;
    const char *reason;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", "gyre");
    gy_jw_kv_strc(&w, "version", GY_VERSION);
    gy_jw_kv_strc(&w, "home", app->home.dir);
    int64_t uptime_ms = (gy_now_us() - app->started_us) / 1000;
    gy_jw_kv_f64(&w, "uptime_seconds", (double)uptime_ms / 1e3);
    gy_jw_kv_bool(&w, "ready", gy_api_ready(app, &reason));
    gy_jw_kv_strc(&w, "reason", reason);
    gy_jw_kv_bool(&w, "serving", app->serving != NULL);
    if (app->serving) {
        write_serving(&w, app->serving);
    }
    write_store(&w, app->store);
    if (app->server) {
        write_server(&w, app->server);
    }
    write_process(&w, app);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", "/", get_root, NULL, 0, "the status page; {\"status\":\"alive\"} for programs",
     GY_ACCESS_PUBLIC, 0},
    {"GET", "/api/gyre/v1/status", get_status, NULL, 0, "how the server is"},
};

gy_status gy_api_ui_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
