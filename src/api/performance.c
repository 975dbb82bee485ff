/* SPDX-License-Identifier: Apache-2.0 */
/* How good the answers of an endpoint were, once labels have come.
 *   GET /api/gyre/v1/endpoints/{name}/performance?since=&until=&last=&revision=&version=&window=
 *     since, until: "7d" before now, or a time with its zone, of the prediction; last: the newest n
 *     labelled rows; window: the width of "windows" ("1h"; absent: such that there are few)
 *     -> {"endpoint","task","revision","predictions","labelled","coverage","by":{"rule","model",
 *         "combined","shadow"},"unreadable","orphans","duplicates","conflicts","repeated",
 *         "other_task","label_delay_seconds","versions":[...],"windows":{"seconds","list":[...]}}
 * and the same for /metrics. */
#include "api/performance.h"

#include <math.h>
#include <stdlib.h>

#include "api/body.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/revision.h"
#include "watch/performance.h"

#define MAX_WINDOWS 200
#define FEW_WINDOWS 48
#define US 1000000

/* ---- what is asked ---- */

struct asked {
    struct gy_join_query q;
    int64_t window_us; /* 0: choose */
};

static gy_status number_of(struct gy_request *req, const char *key, int64_t max, int64_t *ret,
                           struct gy_err *err)
{
    struct gy_str text = gy_req_query(req, key);
    *ret = 0;
    if (text.n && gy_parse_i64(text, 1, max, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be a number from 1", key);
    }
    return GY_OK;
}

static gy_status read_asked(struct gy_request *req, struct asked *ret, struct gy_err *err)
{
    int64_t now = gy_now_us();
    int64_t last;
    struct gy_str since = gy_req_query(req, "since");
    struct gy_str until = gy_req_query(req, "until");
    struct gy_str version = gy_req_query(req, "version");
    struct gy_str window = gy_req_query(req, "window");
    *ret = (struct asked){.q = {.endpoint = gy_req_param(req, "name")}};
    ret->q.version = version.n ? version : GY_STR_NULL;
    GY_TRY(number_of(req, "revision", INT32_MAX, &ret->q.revision, err));
    GY_TRY(number_of(req, "last", GY_JOIN_MAX_ROWS, &last, err));
    ret->q.last_n = (size_t)last;
    if (since.n) {
        GY_TRY(gy_performance_since(since, now, &ret->q.since_us, err));
    }
    if (until.n) {
        GY_TRY(gy_performance_since(until, now, &ret->q.until_us, err));
    }
    return window.n ? gy_performance_span(window, &ret->window_us, err) : GY_OK;
}

struct exists_call {
    struct gy_str name;
    struct gy_arena *arena;
};

static gy_status exists_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct exists_call *c = ctx;
    struct gy_revision *list;
    size_t n;
    int64_t current;
    return gy_revision_history(db, c->name, 1, c->arena, &list, &n, &current, err);
}

/* ---- how late labels are ---- */

struct delays {
    int64_t *us;
    size_t n, cap;
};

static gy_status collect_delay(void *ctx, const struct gy_join_row *row, struct gy_err *err)
{
    struct delays *d = ctx;
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 1024;
        int64_t *more = gy_reallocarray(d->us, cap, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "counting the delays of labels");
        }
        d->us = more;
        d->cap = cap;
    }
    d->us[d->n++] = row->given_us - row->time_us;
    return GY_OK;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static gy_status write_delays(struct gy_jw *w, struct gy_join *j, const struct gy_join_query *q,
                              struct gy_err *err)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};
    struct delays d = {.n = 0};
    struct gy_join_query labelled = *q;
    labelled.labelled = true;
    gy_status st = gy_join_each(j, &labelled, collect_delay, &d, err);
    if (st == GY_OK) {
        gy_jw_key(w, "label_delay_seconds");
        gy_jw_obj(w);
        if (d.n) {
            qsort(d.us, d.n, sizeof *d.us, by_size);
        }
        for (size_t i = 0; d.n && i < sizeof quantiles / sizeof quantiles[0]; i++) {
            size_t at = (size_t)ceil(quantiles[i].share * (double)d.n) - 1;
            gy_jw_kv_f64(w, quantiles[i].name, (double)d.us[at] / US);
        }
        gy_jw_obj_end(w);
    }
    gy_free(d.us);
    return st;
}

/* ---- parts of the answer ---- */

static gy_status write_versions(struct gy_jw *w, struct gy_join *j, const struct gy_join_query *q,
                                struct gy_arena *a, struct gy_err *err)
{
    struct gy_join_group *groups;
    size_t n;
    GY_TRY(gy_join_groups(j, q->endpoint, a, &groups, &n, err));
    gy_jw_key(w, "versions");
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        bool asked = (!q->version.p || gy_str_eq(q->version, groups[i].version)) &&
                     (!q->revision || q->revision == groups[i].shape->revision);
        bool newest = true; /* of that version: one entry each */
        for (size_t k = i + 1; k < n; k++) {
            newest = newest && !(gy_str_eq(groups[k].version, groups[i].version) &&
                                 (!q->revision || q->revision == groups[k].shape->revision));
        }
        if (!asked || !newest) {
            continue;
        }
        struct gy_join_query one = *q;
        struct gy_join_counts c;
        one.version = groups[i].version;
        GY_TRY(gy_join_counts(j, &one, NULL, &c, err));
        const struct gy_shape_variant *v = gy_shape_variant(groups[i].shape, groups[i].version);
        gy_jw_obj(w);
        gy_jw_kv_str(w, "version", groups[i].version);
        gy_jw_kv_str(w, "model", v ? v->model : GY_STR_NULL);
        gy_jw_kv_strc(w, "role", v ? gy_variant_role_name(v->role) : NULL);
        gy_jw_kv_i64(w, "revision", groups[i].shape->revision);
        gy_performance_write(w, &c);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    return GY_OK;
}

/* Round widths: so that a person can read the starts. */
static int64_t choose_width(int64_t span_us)
{
    static const int64_t seconds[] = {60, 300, 900, 3600, 10800, 43200, 86400, 604800, 2419200};
    size_t i = 0;
    size_t n = sizeof seconds / sizeof seconds[0];
    while (i + 1 < n && span_us / (seconds[i] * US) >= FEW_WINDOWS) {
        i++;
    }
    return seconds[i] * US;
}

static gy_status write_windows(struct gy_jw *w, struct gy_join *j, const struct asked *asked,
                               const struct gy_join_counts *all, struct gy_err *err)
{
    int64_t width =
        asked->window_us ? asked->window_us : choose_width(all->last_us - all->first_us);
    int64_t start = all->first_us / width * width;
    int64_t n = all->last_us / width - start / width + 1;
    n = all->predictions == 0 ? 0 : n;
    if (n > MAX_WINDOWS) { /* the newest ones */
        start += (n - MAX_WINDOWS) * width;
        n = MAX_WINDOWS;
    }
    struct gy_join_counts *list = gy_calloc((size_t)n + 1, sizeof *list);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "counting by windows");
    }
    gy_status st = gy_join_windows(j, &asked->q, start, width, (size_t)n, list, err);
    gy_jw_key(w, "windows");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "seconds", width / US);
    gy_jw_key(w, "list");
    gy_jw_arr(w);
    for (int64_t i = 0; st == GY_OK && i < n; i++) {
        if (list[i].predictions) {
            gy_jw_obj(w);
            gy_api_kv_time(w, "start", start + i * width);
            gy_performance_write(w, &list[i]);
            gy_jw_obj_end(w);
        }
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    gy_free(list);
    return st;
}

static void write_head(struct gy_jw *w, const struct asked *asked, const struct gy_join_counts *c)
{
    static const char *const tasks[] = {"binary", "multiclass", "regression"};
    gy_jw_kv_str(w, "endpoint", asked->q.endpoint);
    gy_jw_kv_strc(w, "task", c->shape ? tasks[c->task] : NULL);
    if (c->shape) {
        gy_jw_kv_i64(w, "revision", c->shape->revision);
    } else {
        gy_jw_kv_null(w, "revision");
    }
    gy_jw_kv_str(w, "positive",
                 c->shape && c->task == GY_TASK_BINARY && c->shape->n_classes == 2
                     ? c->shape->classes[1]
                     : GY_STR_NULL);
    gy_jw_kv_bool(w, "has_rules", c->has_rules);
    gy_api_kv_time(w, "since", asked->q.since_us);
    gy_api_kv_time(w, "until", asked->q.until_us);
    gy_jw_kv_i64(w, "last", (int64_t)asked->q.last_n);
    gy_api_kv_time(w, "first_prediction", c->first_us);
    gy_api_kv_time(w, "last_prediction", c->last_us);
    gy_performance_write(w, c);
    gy_jw_kv_i64(w, "unreadable", (int64_t)c->unreadable);
    gy_jw_kv_i64(w, "duplicates", (int64_t)c->many);
    gy_jw_kv_i64(w, "conflicts", (int64_t)c->conflicts);
    gy_jw_kv_i64(w, "repeated", (int64_t)c->repeated);
    gy_jw_kv_i64(w, "other_task", (int64_t)c->other_task);
    gy_jw_kv_i64(w, "orphans", (int64_t)c->orphans);
}

static gy_status get_performance(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                 struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct asked asked;
    struct gy_join_counts c;
    GY_TRY(read_asked(req, &asked, err));
    GY_TRY(gy_app_join_refresh(app, err));
    GY_TRY(gy_join_counts(app->join, &asked.q, req->arena, &c, err));
    if (!c.shape) {
        struct exists_call call = {asked.q.endpoint, req->arena};
        GY_TRY(gy_store_read(app->store, exists_closure, &call, err));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_head(&w, &asked, &c);
    GY_TRY(write_delays(&w, app->join, &asked.q, err));
    GY_TRY(write_versions(&w, app->join, &asked.q, req->arena, err));
    GY_TRY(write_windows(&w, app->join, &asked, &c, err));
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- /metrics ---- */

/* One endpoint and version. */
struct series {
    const struct gy_join_group *group;
    struct gy_join_counts counts;
    struct gy_performance by[GY_BY_COUNT];
};

static void family(struct gy_buf *b, const char *name, const char *type, const char *help)
{
    gy_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Names of endpoints need no escaping; versions are numbers. What can not be told has no line. */
static void line(struct gy_buf *b, const char *name, const struct series *s, const char *more,
                 double v)
{
    char text[32];
    if (!isnan(v)) {
        gy_buf_addf(b, "%s{endpoint=\"%" GY_STR_F "\",version=\"%" GY_STR_F "\"%s} ", name,
                    GY_STR_A(s->group->shape->endpoint), GY_STR_A(s->group->version), more);
        gy_buf_add_bytes(b, text, gy_fmt_f64_trim(v, text));
        gy_buf_add_char(b, '\n');
    }
}

static void confusion(struct gy_buf *b, const struct series *all, size_t n)
{
    family(b, "gyre_confusion", "gauge",
           "Labelled rows by outcome, of rule, model and both combined; rows of the sample count "
           "more.");
    for (size_t i = 0; i < n; i++) {
        for (int by = 0; by < GY_BY_COUNT; by++) {
            const struct gy_join_way *way = &all[i].counts.by[by];
            const struct {
                const char *name;
                double v;
            } kinds[] = {
                {"tp", way->tp.n}, {"fp", way->fp.n}, {"tn", way->tn.n}, {"fn", way->fn.n}};
            for (int k = 0; k < 4 && way->rows && all[i].counts.task == GY_TASK_BINARY; k++) {
                char more[64];
                (void)snprintf(more, sizeof more, ",by=\"%s\",kind=\"%s\"",
                               gy_join_by_name((enum gy_join_by)by), kinds[k].name);
                line(b, "gyre_confusion", &all[i], more, kinds[k].v);
            }
        }
    }
}

static double value_at(const struct gy_performance *p, size_t offset)
{
    struct gy_estimate e;
    memcpy(&e, (const char *)p + offset, sizeof e);
    return e.value;
}

static void estimates(struct gy_buf *b, const struct series *all, size_t n)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } metrics[] = {
        {"gyre_accuracy", "Share of labelled rows with the right answer.",
         offsetof(struct gy_performance, accuracy)},
        {"gyre_precision", "Share of positive answers that were right.",
         offsetof(struct gy_performance, precision)},
        {"gyre_recall", "Share of positive rows that were found.",
         offsetof(struct gy_performance, recall)},
        {"gyre_f1", "Harmonic mean of precision and recall.", offsetof(struct gy_performance, f1)},
        {"gyre_rmse", "Root of the mean squared error.", offsetof(struct gy_performance, rmse)},
    };
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        family(b, metrics[m].name, "gauge", metrics[m].help);
        for (size_t i = 0; i < n; i++) {
            for (int by = 0; by < GY_BY_COUNT; by++) {
                char more[32];
                (void)snprintf(more, sizeof more, ",by=\"%s\"",
                               gy_join_by_name((enum gy_join_by)by));
                line(b, metrics[m].name, &all[i], more,
                     value_at(&all[i].by[by], metrics[m].offset));
            }
        }
    }
}

/* The names that dashboards made for Seldon's feedback know. */
static void aliases(struct gy_buf *b, const struct series *all, size_t n)
{
    for (int m = 0; m < 10; m++) {
        static const char *const names[] = {
            "true_pos_total",   "true_neg_total",  "false_pos_total", "false_neg_total",
            "branch_accuracy",  "precision",       "recall",          "f1",
            "n_requests_total", "n_feedback_total"};
        family(b, names[m], "gauge", "As Seldon's feedback clients name it: of the answers.");
        for (size_t i = 0; i < n; i++) {
            const struct gy_join_counts *c = &all[i].counts;
            const struct gy_join_way *way = &c->by[GY_BY_COMBINED];
            const struct gy_performance *p = &all[i].by[GY_BY_COMBINED];
            bool binary = c->task == GY_TASK_BINARY;
            const double values[] = {binary ? way->tp.n : NAN, binary ? way->tn.n : NAN,
                                     binary ? way->fp.n : NAN, binary ? way->fn.n : NAN,
                                     p->accuracy.value,        p->precision.value,
                                     p->recall.value,          p->f1.value,
                                     (double)c->predictions,   (double)c->labelled};
            line(b, names[m], &all[i], "", values[m]);
        }
    }
}

static gy_status read_series(struct gy_join *j, struct gy_arena *a, struct series **ret,
                             size_t *ret_n, struct gy_err *err)
{
    struct gy_join_group *groups;
    size_t n;
    size_t kept = 0;
    GY_TRY(gy_join_groups(j, GY_STR_NULL, a, &groups, &n, err));
    struct series *all = gy_arena_calloc(a, n + 1, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "metrics of performance");
    }
    for (size_t i = 0; i < n; i++) {
        bool newest = true;
        for (size_t k = i + 1; newest && k < n; k++) {
            newest = !(gy_str_eq(groups[k].version, groups[i].version) &&
                       gy_str_eq(groups[k].shape->endpoint, groups[i].shape->endpoint));
        }
        if (newest) {
            struct series *s = &all[kept++];
            const struct gy_join_query q = {.endpoint = groups[i].shape->endpoint,
                                            .version = groups[i].version};
            s->group = &groups[i];
            GY_TRY(gy_join_counts(j, &q, NULL, &s->counts, err));
            for (int by = 0; by < GY_BY_COUNT; by++) {
                gy_performance_of(&s->counts, (enum gy_join_by)by, &s->by[by]);
            }
        }
    }
    *ret = all;
    *ret_n = kept;
    return GY_OK;
}

gy_status gy_performance_metrics(struct gy_app *app, struct gy_arena *a, struct gy_buf *b,
                                 struct gy_err *err)
{
    struct series *all;
    size_t n;
    struct gy_join_stats stats;
    GY_TRY(gy_app_join_refresh(app, err));
    GY_TRY(read_series(app->join, a, &all, &n, err));
    gy_join_get_stats(app->join, &stats);
    family(b, "gyre_feedback_orphans", "gauge", "Labels whose prediction is not known.");
    gy_buf_addf(b, "gyre_feedback_orphans %llu\n", (unsigned long long)stats.orphans);
    family(b, "gyre_join_rows", "gauge", "Predictions and orphans that are kept for joining.");
    gy_buf_addf(b, "gyre_join_rows %llu\n", (unsigned long long)stats.rows);
    family(b, "gyre_join_bytes", "gauge", "Memory of that.");
    gy_buf_addf(b, "gyre_join_bytes %zu\n", stats.bytes);
    family(b, "gyre_feedback_total", "gauge", "Labelled rows.");
    for (size_t i = 0; i < n; i++) {
        line(b, "gyre_feedback_total", &all[i], "", (double)all[i].counts.labelled);
    }
    family(b, "gyre_labelled_ratio", "gauge", "Share of the predictions that have a label.");
    for (size_t i = 0; i < n; i++) {
        line(b, "gyre_labelled_ratio", &all[i], "", gy_performance_coverage(&all[i].counts));
    }
    confusion(b, all, n);
    estimates(b, all, n);
    aliases(b, all, n);
    return GY_OK;
}

static const struct gy_route routes[] = {
    {"GET", "/api/gyre/v1/endpoints/{name}/performance", get_performance, NULL, 0,
     "How good answers were, by rule, model and both combined"},
};

gy_status gy_api_performance_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
