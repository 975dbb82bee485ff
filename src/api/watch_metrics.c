/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's part of /metrics: what the newest window of each served version said, the watcher
 * itself, and alerts. docs/metrics.md lists the names. */
#include <math.h>

#include "api/watching.h"
#include "serve/revision.h"
#include "serve/shape.h"
#include "watch/alerts.h"
#include "watch/watcher.h"

#define MAX_ALERTS 1000

struct scrape {
    struct gy_arena *a;
    struct gy_revision *served;
    size_t n_served;
    struct gy_window_row *latest;
    size_t n_latest;
    struct gy_alert *alerts;
    size_t n_alerts;
    yyjson_doc **docs; /* of latest; NULL: not served any more */
};

static gy_status read_scrape(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct scrape *s = ctx;
    GY_TRY(gy_revision_current(db, s->a, &s->served, &s->n_served, err));
    GY_TRY(gy_window_latest(db, GY_STR_NULL, s->a, &s->latest, &s->n_latest, err));
    return gy_alert_list(db, GY_STR_NULL, false, MAX_ALERTS, s->a, &s->alerts, &s->n_alerts, err);
}

/* A value that Prometheus can read back: '\', '"' and line ends escaped. */
static void label(struct gy_buf *b, const char *name, struct gy_str value)
{
    gy_buf_addf(b, "%s%s=\"", b->p[b->n - 1] == '{' ? "" : ",", name);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"') {
            gy_buf_add_char(b, '\\');
        }
        if (c == '\n') {
            gy_buf_addc(b, "\\n");
        } else {
            gy_buf_add_char(b, c);
        }
    }
    gy_buf_add_char(b, '"');
}

static void family(struct gy_buf *b, const char *name, const char *type, const char *help)
{
    gy_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void end_line(struct gy_buf *b, double v)
{
    char text[32];
    gy_buf_addc(b, "} ");
    gy_buf_add_bytes(b, text, gy_fmt_f64_trim(v, text));
    gy_buf_add_char(b, '\n');
}

static void begin_line(struct gy_buf *b, const char *name, const struct gy_window_row *r)
{
    gy_buf_addf(b, "%s{", name);
    label(b, "endpoint", r->endpoint);
    label(b, "version", r->version);
}

static void plain(struct gy_buf *b, const char *name, const char *type, const char *help, double v)
{
    char text[32];
    family(b, name, type, help);
    gy_buf_addf(b, "%s ", name);
    gy_buf_add_bytes(b, text, gy_fmt_f64_trim(v, text));
    gy_buf_add_char(b, '\n');
}

/* ---- windows ---- */

static void features(struct gy_buf *b, const struct scrape *s, const char *name, const char *help,
                     const char *key)
{
    family(b, name, "gauge", help);
    for (size_t i = 0; i < s->n_latest; i++) {
        yyjson_val *list = gy_json_get(yyjson_doc_get_root(s->docs[i]), "features");
        yyjson_arr_iter it = yyjson_arr_iter_with(list);
        for (yyjson_val *f; (f = yyjson_arr_iter_next(&it));) {
            bool is_drifted = strcmp(key, "drifted") == 0;
            double v = is_drifted ? gy_json_bool(f, key, false) : gy_json_f64(f, key, NAN);
            if (!isfinite(v)) {
                continue;
            }
            begin_line(b, name, &s->latest[i]);
            label(b, "feature", gy_json_str(f, "name"));
            if (!is_drifted) {
                label(b, "test", gy_json_str(f, "test"));
            }
            end_line(b, v);
        }
    }
}

static void rule_rates(struct gy_buf *b, const struct scrape *s)
{
    static const char *const of[] = {"reference", "current"};
    family(b, "gyre_rule_hit_rate", "gauge",
           "Share of rows that a rule decided: usually, and in the newest window.");
    for (size_t i = 0; i < s->n_latest; i++) {
        yyjson_val *rates = gy_json_get(yyjson_doc_get_root(s->docs[i]), "rule_hit_rate");
        for (size_t k = 0; k < 2; k++) {
            double v = gy_json_f64(gy_json_get(rates, of[k]), "value", NAN);
            if (isfinite(v)) {
                begin_line(b, "gyre_rule_hit_rate", &s->latest[i]);
                label(b, "window", gy_str_c(of[k]));
                end_line(b, v);
            }
        }
    }
}

static void datasets(struct gy_buf *b, const struct scrape *s)
{
    family(b, "gyre_dataset_drift", "gauge", "1 when the newest window drifted as a whole.");
    for (size_t i = 0; i < s->n_latest; i++) {
        if (s->docs[i]) {
            begin_line(b, "gyre_dataset_drift", &s->latest[i]);
            end_line(b, s->latest[i].drift);
        }
    }
    family(b, "gyre_drift_share", "gauge", "Share of features that drifted in the newest window.");
    for (size_t i = 0; i < s->n_latest; i++) {
        if (s->docs[i] && isfinite(s->latest[i].share)) {
            begin_line(b, "gyre_drift_share", &s->latest[i]);
            end_line(b, s->latest[i].share);
        }
    }
    family(b, "gyre_drift_window_rows", "gauge", "Rows of the newest window.");
    for (size_t i = 0; i < s->n_latest; i++) {
        if (s->docs[i]) {
            begin_line(b, "gyre_drift_window_rows", &s->latest[i]);
            end_line(b, (double)s->latest[i].rows);
        }
    }
}

/* ---- alerts and the watcher ---- */

static void alerts(struct gy_buf *b, const struct scrape *s)
{
    family(b, "gyre_alerts_firing", "gauge", "Alerts that fire.");
    for (size_t i = 0; i < s->n_alerts; i++) {
        size_t n = 0;
        bool told = false;
        for (size_t k = 0; k < s->n_alerts; k++) {
            bool same = gy_str_eq(s->alerts[i].kind, s->alerts[k].kind) &&
                        gy_str_eq(s->alerts[i].endpoint, s->alerts[k].endpoint);
            n += same;
            told = told || (same && k < i);
        }
        if (!told) {
            gy_buf_addc(b, "gyre_alerts_firing{");
            label(b, "endpoint", s->alerts[i].endpoint);
            label(b, "kind", s->alerts[i].kind);
            end_line(b, (double)n);
        }
    }
}

static void watcher(struct gy_buf *b, struct gy_watcher *w)
{
    struct gy_watcher_stats t;
    gy_watcher_get_stats(w, &t);
    plain(b, "gyre_watch_lag_seconds", "gauge", "How far the watcher is behind the predictions.",
          t.lag_seconds);
    plain(b, "gyre_watch_last_success_timestamp_seconds", "gauge",
          "When the watcher last looked, Unix seconds.", (double)t.last_success_us / 1e6);
    plain(b, "gyre_watch_records_total", "counter", "Log records that the watcher read.",
          (double)t.records);
    plain(b, "gyre_watch_windows_total", "counter", "Windows judged.", (double)t.windows);
    plain(b, "gyre_watch_failures_total", "counter", "Looks of the watcher that failed.",
          (double)t.failures);
}

/* Only versions that are served: what a retired one last said would stay for ever. */
static gy_status parse_served(struct gy_app *app, struct scrape *s, struct gy_err *err)
{
    s->docs = gy_arena_calloc(s->a, s->n_latest + 1, sizeof(yyjson_doc *));
    if (!s->docs) {
        return gy_err_set(err, GY_E_NOMEM, "metrics");
    }
    for (size_t i = 0; i < s->n_latest; i++) {
        for (size_t k = 0; k < s->n_served; k++) {
            const struct gy_shape *shape;
            if (!gy_str_eq(s->served[k].endpoint, s->latest[i].endpoint)) {
                continue;
            }
            GY_TRY(gy_shapes_get(app->shapes, s->served[k].endpoint, s->served[k].revision, &shape,
                                 err));
            if (gy_shape_variant(shape, s->latest[i].version)) {
                GY_TRY(gy_json_parse(s->latest[i].result, &s->docs[i], err));
            }
        }
    }
    return GY_OK;
}

gy_status gy_watching_metrics(struct gy_app *app, struct gy_arena *a, struct gy_buf *b,
                              struct gy_err *err)
{
    struct scrape s = {.a = a};
    if (!app->watcher) {
        return GY_OK;
    }
    GY_TRY(gy_store_read(app->store, read_scrape, &s, err));
    gy_status st = parse_served(app, &s, err);
    if (st == GY_OK) {
        datasets(b, &s);
        features(b, &s, "gyre_drift_score", "Distance of a feature from its reference, or p-value.",
                 "score");
        features(b, &s, "gyre_drift_threshold", "Where the score tells drift.", "threshold");
        features(b, &s, "gyre_feature_drifted", "1 when the feature drifted in the newest window.",
                 "drifted");
        rule_rates(b, &s);
        alerts(b, &s);
        watcher(b, app->watcher);
    }
    for (size_t i = 0; s.docs && i < s.n_latest; i++) {
        gy_json_free(s.docs[i]);
    }
    return st;
}
