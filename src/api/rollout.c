/* SPDX-License-Identifier: Apache-2.0 */
/* What the versions of an endpoint do, side by side, for people who look at a rollout:
 *   GET /api/gyre/v1/endpoints/{name}/live  {"endpoint","revision","strategy","metric","variants":[
 *     {"version","role","weight","requests",...,"recall":{"mean","low","high","rows"},...}]}
 * Counters are those of this process; feedback is that of rows which were answered since the newest
 * canary came, so that all versions are told of the same time. */
#include <math.h>

#include "api/app.h"
#include "api/body.h"
#include "api/rollout.h"
#include "serve/variant.h"
#include "watch/arms.h"

#define LIVE "/api/gyre/v1/endpoints/{name}/live"

/* An endpoint as it is served, with what feedback says of each of its variants. */
struct live {
    struct gy_app *app;
    const struct gy_endpoint *stable;
    struct gy_rollout rule;
    int64_t since_us; /* of the feedback */
    struct gy_arm arms[GY_VARIANTS_MAX];
    struct gy_seq_prior prior;
    yyjson_doc *config;
};

static void live_done(struct live *l)
{
    gy_json_free(l->config);
}
GY_DEFINE_AUTO_DONE(struct live, live_done);

struct finding {
    const struct gy_endpoint *e;
    struct gy_arena *a;
    struct gy_revision r;
};

static gy_status find_revision(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct finding *f = ctx;
    return gy_revision_get(db, f->e->name, (int64_t)f->e->revision, f->a, &f->r, err);
}

/* When the newest canary came; without one: when the revision was made. */
static int64_t newest_us(yyjson_val *config, int64_t created_us)
{
    int64_t newest = 0;
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(config, "weights"), i, n, one)
    {
        int64_t came = gy_json_i64(one, "since_us", 0);
        newest = came > newest ? came : newest;
    }
    return newest ? newest : created_us;
}

static gy_status read_live(struct live *l, struct gy_arena *a, struct gy_err *err)
{
    struct finding f = {.e = l->stable, .a = a};
    const struct gy_endpoint *e;
    GY_TRY(gy_store_read(l->app->store, find_revision, &f, err));
    GY_TRY(gy_json_parse(f.r.config, &l->config, err));
    yyjson_val *config = yyjson_doc_get_root(l->config);
    GY_TRY(gy_rollout_read(gy_json_get(config, "rollout"), &l->rule, err));
    l->since_us = newest_us(config, f.r.created_us);
    for (size_t i = 0; l->app->join && (e = gy_variants_at(l->stable, i)) != NULL; i++) {
        GY_TRY(gy_arm_count(l->app->join, e->name, e->version, l->since_us, 0, &l->arms[i], err));
    }
    if (l->app->join) {
        struct gy_arm before;
        GY_TRY(gy_arm_count(l->app->join, l->stable->name, l->stable->version, 0, l->since_us,
                            &before, err));
        l->prior.before = before.metric[l->rule.metric];
    }
    return GY_OK;
}

/* ---- writing ---- */

static void write_number(struct gy_jw *w, const char *key, double v)
{
    if (isfinite(v)) {
        gy_jw_kv_f64(w, key, v);
    } else {
        gy_jw_kv_null(w, key);
    }
}

/* Only the metric that decides may lean on what was before it. */
static void write_metric(struct gy_jw *w, const struct live *l, const struct gy_arm *arm,
                         enum gy_metric m)
{
    const struct gy_seq_prior none = {{0, 0}};
    double low, high;
    gy_seq_mean(&arm->metric[m], m == l->rule.metric ? &l->prior : &none, l->rule.alpha, &low,
                &high);
    gy_jw_key(w, gy_metric_name(m));
    if (!(arm->metric[m].n > 0)) {
        gy_jw_null(w);
        return;
    }
    gy_jw_obj(w);
    gy_jw_kv_f64(w, "mean", gy_seq_average(&arm->metric[m]));
    gy_jw_kv_f64(w, "low", low);
    gy_jw_kv_f64(w, "high", high);
    gy_jw_kv_i64(w, "rows", (int64_t)arm->metric[m].n);
    gy_jw_obj_end(w);
}

static void write_classes(struct gy_jw *w, const struct gy_endpoint *e, const struct gy_stat_sum *s)
{
    uint64_t all = 0;
    for (size_t i = 0; i < GY_STATS_CLASSES; i++) {
        all += s->classes[i];
    }
    gy_jw_key(w, "classes");
    gy_jw_obj(w);
    for (size_t i = 0; i < e->info->n_classes && i < GY_STATS_CLASSES; i++) {
        bool rest = i == GY_STATS_CLASSES - 1 && e->info->n_classes > GY_STATS_CLASSES;
        gy_jw_keys(w, rest ? GY_STR("...") : e->info->classes[i]);
        gy_jw_f64(w, all ? (double)s->classes[i] / (double)all : 0);
    }
    gy_jw_obj_end(w);
}

static void write_counters(struct gy_jw *w, const struct gy_endpoint *e)
{
    struct gy_stat_sum s;
    gy_endpoint_stats_sum(e->stats, &s);
    uint64_t errors = s.failed + s.no_number;
    uint64_t requests = s.ok + errors;
    gy_jw_kv_i64(w, "requests", (int64_t)requests);
    gy_jw_kv_i64(w, "errors", (int64_t)errors);
    gy_jw_kv_f64(w, "error_rate", requests ? (double)errors / (double)requests : 0);
    gy_jw_kv_i64(w, "refused", (int64_t)s.refused);
    gy_jw_kv_i64(w, "rows", (int64_t)s.rows);
    gy_jw_kv_f64(w, "p50_ms", gy_stat_quantile(&s, 0.5) / 1e6);
    gy_jw_kv_f64(w, "p90_ms", gy_stat_quantile(&s, 0.9) / 1e6);
    gy_jw_kv_f64(w, "p99_ms", gy_stat_quantile(&s, 0.99) / 1e6);
    if (e->role == GY_VARIANT_SHADOW) {
        gy_jw_kv_i64(w, "shadow_rows", (int64_t)s.shadow_rows);
        gy_jw_kv_i64(w, "shadow_differs", (int64_t)s.shadow_differs);
    }
    write_classes(w, e, &s);
}

/* What the version would bring if it answered everybody: Horvitz and Thompson's estimate over the
 * rows of all versions, and the self-normalised one, which varies less and may be a little off. */
static void write_off_policy(struct gy_jw *w, const struct live *l, const struct gy_arm *arm)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < GY_VARIANTS_MAX; i++) {
        rows += l->arms[i].ips_rows;
    }
    gy_jw_key(w, "off_policy");
    if (arm->ips_rows == 0) {
        gy_jw_null(w);
        return;
    }
    gy_jw_obj(w);
    gy_jw_kv_f64(w, "ips", arm->ips_sum / (double)rows);
    gy_jw_kv_f64(w, "snips", arm->ips_sum / arm->ips_weight);
    gy_jw_kv_i64(w, "rows", (int64_t)arm->ips_rows);
    gy_jw_kv_i64(w, "of", (int64_t)rows);
    gy_jw_obj_end(w);
}

/* A canary against the stable version, as the guard sees it. */
static void write_change(struct gy_jw *w, const struct live *l, const struct gy_arm *arm)
{
    const struct gy_seq *a = &arm->metric[l->rule.metric];
    const struct gy_seq *b = &l->arms[0].metric[l->rule.metric];
    double low, high;
    gy_seq_difference(a, b, &l->prior, l->rule.alpha, &low, &high);
    gy_jw_key(w, "change");
    if (!(a->n > 0) || !(b->n > 0)) {
        gy_jw_null(w);
        return;
    }
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "metric", gy_metric_name(l->rule.metric));
    gy_jw_kv_f64(w, "value", gy_seq_average(a) - gy_seq_average(b));
    gy_jw_kv_f64(w, "low", low);
    gy_jw_kv_f64(w, "high", high);
    gy_jw_obj_end(w);
}

static void write_variant(struct gy_jw *w, const struct live *l, const struct gy_endpoint *e,
                          const struct gy_arm *arm)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "version", e->version);
    gy_jw_kv_str(w, "model", e->model_name);
    gy_jw_kv_strc(w, "role", gy_variant_role_name(e->role));
    gy_jw_kv_f64(w, "weight", e->weight);
    write_counters(w, e);
    gy_jw_kv_i64(w, "labelled", (int64_t)arm->labelled);
    for (int i = 0; i < GY_N_METRICS; i++) {
        write_metric(w, l, arm, (enum gy_metric)i);
    }
    write_off_policy(w, l, arm);
    if (e->role == GY_VARIANT_CANARY) {
        write_change(w, l, arm);
    }
    gy_jw_obj_end(w);
}

static void write_live(struct gy_jw *w, const struct live *l)
{
    const struct gy_endpoint *e;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "endpoint", l->stable->name);
    gy_jw_kv_i64(w, "revision", l->stable->revision);
    gy_jw_kv_strc(w, "strategy", l->rule.strategy == GY_STRATEGY_BANDIT ? "bandit" : "fixed");
    gy_jw_kv_strc(w, "metric", gy_metric_name(l->rule.metric));
    write_number(w, "change_min", l->rule.change_min);
    gy_jw_kv_f64(w, "alpha", l->rule.alpha);
    gy_api_kv_time(w, "since", l->since_us);
    gy_jw_key(w, "variants");
    gy_jw_arr(w);
    for (size_t i = 0; (e = gy_variants_at(l->stable, i)) != NULL; i++) {
        write_variant(w, l, e, &l->arms[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static gy_status get_live(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_str name = gy_req_param(req, "name");
    if (!app->serving) {
        (void)gy_err_set(err, GY_E_UNAVAILABLE, "nothing is counted: no server runs");
        (void)gy_err_hint(err, "gyre server");
        return GY_E_UNAVAILABLE;
    }
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    GY_AUTO_DONE(live_done) struct live l = {.app = app, .stable = gy_table_find(t, name)};
    if (!l.stable) {
        return gy_err_set(err, GY_E_NOTFOUND, "endpoint '%" GY_STR_F "' is not served",
                          GY_STR_A(name));
    }
    GY_TRY(read_live(&l, req->arena, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    write_live(&w, &l);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- the warm-up, in the answer of a change ---- */

void gy_rollout_write_warmup(struct gy_jw *w, struct gy_serving *serving, struct gy_str name)
{
    GY_AUTO(gy_table_unref) struct gy_table *t = serving ? gy_serving_table(serving) : NULL;
    const struct gy_endpoint *stable = t ? gy_table_find(t, name) : NULL;
    const struct gy_endpoint *e;
    gy_jw_key(w, "warmup");
    gy_jw_arr(w);
    for (size_t i = 0; stable && (e = gy_variants_at(stable, i)) != NULL; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "version", e->version);
        gy_warmup_write(w, &e->model->warmup);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static const struct gy_route routes[] = {
    {"GET", LIVE, get_live, NULL, 0, "what the versions of an endpoint do, side by side"},
};

gy_status gy_api_rollout_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
