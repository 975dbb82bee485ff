/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: histories of metrics. A history may have millions of points, so an answer is sent while
 * it is read, a chunk at a time; between two chunks no connection to the database is held. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/mlflow_wire.h"
#include "base/limits.h"
#include "track/metrics.h"
#include "track/runs.h"

#define CHUNK 20000      /* points that are read at once */
#define MAX_PAGE 1000000 /* points of a page of one run */
#define MAX_RUNS 100     /* of one request over several */
#define MAX_POINTS 25000 /* of a page over several runs */
#define MAX_SAMPLE 2500  /* steps */

/* ---- answers ---- */

struct out {
    struct gy_buf buf;
    struct gy_jw w;
    bool bare_nan; /* the page's own route answers what Python's json writes */
    size_t n;      /* points of this chunk */
};

static gy_status write_point(void *ctx, const struct gy_metric *m, struct gy_err *err)
{
    struct out *o = ctx;
    gy_jw_obj(&o->w);
    gy_jw_kv_str(&o->w, "key", m->key);
    gy_jw_key(&o->w, "value");
    if (o->bare_nan && isnan(m->value)) {
        gy_jw_raw(&o->w, GY_STR("NaN"));
    } else {
        gy_jw_f64(&o->w, m->value);
    }
    gy_jw_kv_i64(&o->w, "timestamp", m->ts_ms);
    gy_jw_kv_i64(&o->w, "step", m->step);
    gy_mf_kv(&o->w, "run_id", m->run_id);
    gy_jw_obj_end(&o->w);
    o->n++;
    return gy_buf_check(&o->buf, "the answer", err);
}

/* ---- parameters ---- */

static gy_status run_id_of(struct gy_mf_call *c, struct gy_str *ret, struct gy_err *err)
{
    GY_TRY(GY_MF_STR(c, "run_id", GY_MF_OPTIONAL, ret));
    if (ret->n == 0) {
        GY_TRY(GY_MF_STR(c, "run_uuid", GY_MF_OPTIONAL, ret)); /* its older name */
    }
    if (ret->n == 0) {
        return GY_MF_STR(c, "run_id", GY_MF_REQUIRED, ret);
    }
    return gy_track_check_run_id(*ret, err);
}

static gy_status bad_max(int64_t max, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "Invalid value %lld for parameter 'max_results' supplied.",
                      (long long)max);
}

/* A run that is not has no points; so says MLflow. */
static gy_status find_run(struct gy_db *db, struct gy_str id, int64_t *ret_seq, bool *ret_found,
                          struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_run_find(db, id, false, ret_seq, &why);
    *ret_found = status == GY_OK;
    return status == GY_OK || status == GY_E_NOTFOUND ? GY_OK
                                                      : gy_err_set(err, status, "%s", why.msg);
}

/* ---- one run: all of it, or a page ---- */

struct history {
    struct gy_str run_id, key, token;
    int64_t max; /* 0: all */
    struct gy_arena *arena;
    struct out *out;
    struct gy_str next; /* the token of what follows */
    char place[512];    /* a copy of it; a place in a history is four numbers */
};

static gy_status read_chunk(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct history *h = ctx;
    int64_t seq = 0;
    bool found = false;
    GY_TRY(find_run(db, h->run_id, &seq, &found, err));
    if (!found) {
        return GY_OK;
    }
    return gy_metrics_history(db, seq, h->key, h->max > 0 ? h->max : CHUNK, h->token, h->arena,
                              write_point, h->out, &h->next, err);
}

static gy_status parse_history(struct gy_mf_call *c, struct history *h, struct gy_err *err)
{
    GY_TRY(run_id_of(c, &h->run_id, err));
    GY_TRY(GY_MF_STR(c, "metric_key", GY_MF_REQUIRED, &h->key));
    GY_TRY(GY_MF_STR(c, "page_token", GY_MF_OPTIONAL, &h->token));
    GY_TRY(gy_mf_i64(c->args, NULL, "max_results", GY_MF_OPTIONAL, 0, &h->max, err));
    return h->max < 0 || h->max > MAX_PAGE ? bad_max(h->max, err) : GY_OK;
}

/* The rest of a history of which the first chunk is in out. */
static gy_status send_rest(struct gy_app *app, struct history *h, struct gy_reply *reply,
                           struct gy_err *err)
{
    const struct gy_header json = {GY_STR("Content-Type"), GY_STR("application/json")};
    GY_TRY(gy_reply_begin(reply, 200, &json, 1, -1, err));
    while (h->next.n > 0) {
        GY_REQUIRE(h->next.n < sizeof h->place);
        memcpy(h->place, h->next.p, h->next.n);
        h->token = gy_str_n(h->place, h->next.n);
        GY_TRY(gy_reply_write(reply, gy_buf_str(&h->out->buf), err));
        gy_buf_reset(&h->out->buf);
        gy_arena_reset(h->arena);
        GY_TRY(gy_store_read(app->store, read_chunk, h, err));
    }
    gy_jw_arr_end(&h->out->w);
    gy_jw_obj_end(&h->out->w);
    GY_TRY(gy_buf_check(&h->out->buf, "the answer", err));
    GY_TRY(gy_reply_write(reply, gy_buf_str(&h->out->buf), err));
    return gy_reply_end(reply, err);
}

static gy_status answer_history(struct gy_mf_call *c, struct history *h, struct gy_reply *reply,
                                struct gy_err *err)
{
    struct out *o = h->out;
    gy_jw_obj(&o->w);
    gy_jw_key(&o->w, "metrics");
    gy_jw_arr(&o->w);
    GY_TRY(gy_store_read(c->app->store, read_chunk, h, err));
    if (o->n == 0) {
        return gy_reply_send(reply, 200, "application/json", GY_STR("{}"), err);
    }
    if (h->max == 0 && h->next.n > 0) {
        return send_rest(c->app, h, reply, err);
    }
    gy_jw_arr_end(&o->w);
    gy_mf_kv(&o->w, "next_page_token", h->next);
    gy_jw_obj_end(&o->w);
    return gy_reply_json(reply, 200, &o->buf, err);
}

static gy_status h_history(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena chunk;
    struct gy_mf_call c = {.app = ctx, .req = req, .arena = req->arena};
    struct out o = {.n = 0};
    struct history h = {.arena = &chunk, .out = &o};
    gy_arena_init(&chunk, GY_MAX_REQUEST_ARENA);
    GY_TRY(gy_mf_args(req, req->arena, &doc, &c.from_query, err));
    c.args = doc ? yyjson_doc_get_root(doc) : NULL;
    GY_TRY(parse_history(&c, &h, err));
    gy_buf_init(&o.buf, GY_MAX_REPLY);
    gy_jw_init(&o.w, &o.buf);
    gy_status status = answer_history(&c, &h, reply, err);
    gy_buf_done(&o.buf);
    return status;
}

/* ---- several runs ---- */

struct several {
    struct gy_str *ids;
    size_t n;
    struct gy_str key;
    int64_t max;
    struct gy_metric_range range;
    struct gy_metric_run *runs;
    struct out out;
};

static gy_status alloc_runs(struct gy_mf_call *c, struct several *x, struct gy_err *err)
{
    x->runs = gy_arena_calloc(c->arena, x->n, sizeof *x->runs);
    return x->runs ? GY_OK : gy_track_nomem(err);
}

static void begin_points(struct gy_mf_call *c)
{
    struct several *x = c->in;
    gy_buf_reset(&x->out.buf); /* a closure may be run again */
    gy_jw_init(&x->out.w, &x->out.buf);
    x->out.n = 0;
    gy_jw_obj(&x->out.w);
    gy_jw_key(&x->out.w, "metrics");
    gy_jw_arr(&x->out.w);
}

static void end_points(struct gy_mf_call *c)
{
    struct several *x = c->in;
    gy_jw_arr_end(&x->out.w);
    gy_jw_obj_end(&x->out.w);
    gy_buf_add(&c->out, gy_buf_str(&x->out.buf));
}

static gy_status parse_bulk(struct gy_mf_call *c, struct gy_err *err)
{
    struct several *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    if (!x) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_mf_strs(c, "run_id", GY_TRACK_MAX_BATCH, &x->ids, &x->n, err));
    if (x->n == 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "GetMetricHistoryBulk request must specify at least one run_id.");
    }
    if (x->n > MAX_RUNS) {
        return gy_err_set(err, GY_E_INVALID,
                          "GetMetricHistoryBulk request cannot specify more than %d run_ids. "
                          "Received %zu run_ids.",
                          MAX_RUNS, x->n);
    }
    GY_TRY(GY_MF_STR(c, "metric_key", GY_MF_OPTIONAL, &x->key));
    if (!x->key.p) {
        return gy_err_set(err, GY_E_INVALID,
                          "GetMetricHistoryBulk request must specify a metric_key.");
    }
    GY_TRY(alloc_runs(c, x, err));
    GY_TRY(gy_mf_i64(c->args, NULL, "max_results", GY_MF_OPTIONAL, MAX_POINTS, &x->max, err));
    x->max = x->max < MAX_POINTS ? x->max : MAX_POINTS;
    return x->max < 0 ? bad_max(x->max, err) : GY_OK;
}

static int by_id(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_metric_run *)a)->id, ((const struct gy_metric_run *)b)->id);
}

/* Those runs that are. */
static gy_status find_runs(struct gy_db *db, struct several *x, size_t *ret_n, struct gy_err *err)
{
    *ret_n = 0;
    for (size_t i = 0; i < x->n; i++) {
        bool found = false;
        GY_TRY(find_run(db, x->ids[i], &x->runs[*ret_n].seq, &found, err));
        if (found) {
            x->runs[(*ret_n)++].id = x->ids[i];
        }
    }
    return GY_OK;
}

/* The same run twice is one. */
static gy_status run_bulk(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct several *x = c->in;
    size_t n = 0, kept = 0;
    GY_TRY(find_runs(db, x, &n, err));
    qsort(x->runs, n, sizeof *x->runs, by_id);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || x->runs[kept - 1].seq != x->runs[i].seq) {
            x->runs[kept++] = x->runs[i];
        }
    }
    gy_buf_init(&x->out.buf, GY_MAX_REPLY);
    x->out.bare_nan = true;
    begin_points(c);
    gy_status status =
        gy_metrics_bulk(db, x->runs, kept, x->key, x->max, write_point, &x->out, err);
    end_points(c);
    gy_buf_done(&x->out.buf);
    return status;
}

static gy_status parse_range(struct gy_mf_call *c, struct several *x, struct gy_err *err)
{
    bool start = gy_mf_get(c->args, "start_step") != NULL;
    bool end = gy_mf_get(c->args, "end_step") != NULL;
    GY_TRY(gy_mf_i64(c->args, NULL, "start_step", GY_MF_OPTIONAL, 0, &x->range.start, err));
    GY_TRY(gy_mf_i64(c->args, NULL, "end_step", GY_MF_OPTIONAL, 0, &x->range.end, err));
    if (start != end) {
        return gy_err_set(
            err, GY_E_INVALID,
            "If either start step or end step are specified, both must be specified.");
    }
    x->range.given = start;
    if (start && x->range.start > x->range.end) {
        return gy_err_set(err, GY_E_INVALID,
                          "end_step must be greater than start_step. Found start_step=%lld and "
                          "end_step=%lld.",
                          (long long)x->range.start, (long long)x->range.end);
    }
    return GY_OK;
}

static gy_status parse_sample(struct gy_mf_call *c, struct gy_err *err)
{
    struct several *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    if (!x) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_mf_strs(c, "run_ids", GY_TRACK_MAX_BATCH, &x->ids, &x->n, err));
    if (x->n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Missing value for required parameter 'run_ids'.");
    }
    if (x->n > MAX_RUNS) {
        return gy_err_set(err, GY_E_INVALID,
                          "GetMetricHistoryBulkInterval request must specify at most %d run_ids. "
                          "Received %zu run_ids.",
                          MAX_RUNS, x->n);
    }
    GY_TRY(GY_MF_STR(c, "metric_key", GY_MF_REQUIRED, &x->key));
    GY_TRY(alloc_runs(c, x, err));
    GY_TRY(parse_range(c, x, err));
    GY_TRY(gy_mf_i64(c->args, NULL, "max_results", GY_MF_OPTIONAL, MAX_SAMPLE, &x->max, err));
    if (x->max < 1 || x->max > MAX_SAMPLE) {
        return gy_err_set(err, GY_E_INVALID, "max_results must be between 1 and %d.", MAX_SAMPLE);
    }
    return GY_OK;
}

static gy_status run_sample(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct several *x = c->in;
    size_t n = 0;
    GY_TRY(find_runs(db, x, &n, err));
    gy_buf_init(&x->out.buf, GY_MAX_REPLY);
    begin_points(c);
    gy_status status =
        gy_metrics_sample(db, x->runs, n, x->key, x->range, x->max, write_point, &x->out, err);
    if (status == GY_OK && x->out.n > 0) {
        end_points(c);
    }
    gy_buf_done(&x->out.buf);
    return status;
}

GY_MF_OP(bulk, parse_bulk, run_bulk, false);
GY_MF_OP(sample, parse_sample, run_sample, false);

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("GET", "/metrics/get-history", h_history, "All points of a metric"),
    GY_MF_ROUTE("GET", "/metrics/get-history-bulk", h_bulk, "Points of a metric of several runs"),
    GY_MF_ROUTE("GET", "/metrics/get-history-bulk-interval", h_sample,
                "A sample of a metric of several runs"),
};

gy_status gy_mf_add_history(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
