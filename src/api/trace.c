/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/gyre/v1/trace/{prediction_id}: from one answer back to everything it came from. The log
 * knows values, rule outcome and revision; the revision knows the package; the lineage knows the
 * run, the data, the code, the verdict and who approved. */
#include <math.h>

#include "api/health.h"
#include "api/body.h"
#include "base/id.h"
#include "base/time.h"
#include "serve/gap.h"
#include "serve/logging.h"
#include "serve/logrow.h"
#include "serve/prune.h"
#include "serve/revision.h"
#include "serve/serving.h"
#include "serve/shape.h"
#include "store/erasures.h"
#include "store/lineage.h"
#include "watch/problem.h"

#define TRACE_ROWS 100   /* shown of one request */
#define TRACE_EDGES 1000 /* the nearest: data made of a folder of images has one a file */

struct trace {
    struct gy_arena *a;
    const struct gy_record *parts;
    size_t n_parts;
    struct gy_revision revision;
    bool has_revision;
    struct gy_lineage_edge *edges;
    size_t n_edges;
    struct gy_erasure erasure; /* of a prediction that was erased */
    bool has_erasure;
    struct gy_problem *problems;
    size_t n_problems;
};

static gy_status read_lineage(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trace *t = ctx;
    const struct gy_record *r = t->parts;
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_revision_get(db, r->endpoint, r->revision, t->a, &t->revision, &why);
    t->has_revision = st == GY_OK;
    if (st != GY_OK && st != GY_E_NOTFOUND) {
        if (err) {
            *err = why;
        }
        return st;
    }
    char id[GY_UUID_TEXT];
    gy_uuid_text(r->id, id);
    GY_TRY(gy_problem_list(db, gy_str_c(id), t->a, &t->problems, &t->n_problems, err));
    char *node =
        gy_arena_printf(t->a, "revision:%" GY_STR_F "/%u", GY_STR_A(r->endpoint), r->revision);
    if (!node) {
        return gy_err_set(err, GY_E_NOMEM, "tracing a prediction");
    }
    return gy_lineage_nearest(db, gy_str_c(node), true, TRACE_EDGES, t->a, &t->edges, &t->n_edges,
                              err);
}

/* What stands behind the colon of the first upstream node of that kind; absent: none. */
static struct gy_str upstream(const struct trace *t, struct gy_str kind)
{
    for (size_t i = 0; i < t->n_edges; i++) {
        if (gy_str_starts(t->edges[i].from, kind)) {
            return gy_str_sub(t->edges[i].from, kind.n, t->edges[i].from.n);
        }
    }
    return GY_STR_NULL;
}

/* The same, and of the run that made the model: a name may have been given to other runs' models.
 */
static struct gy_str of_run(const struct trace *t, struct gy_str run_id, struct gy_str kind)
{
    for (size_t i = 0; run_id.n && i < t->n_edges; i++) {
        const struct gy_lineage_edge *e = &t->edges[i];
        if (gy_str_starts(e->from, kind) && gy_str_starts(e->to, GY_STR("run:")) &&
            gy_str_eq(gy_str_sub(e->to, 4, SIZE_MAX), run_id)) {
            return gy_str_sub(e->from, kind.n, SIZE_MAX);
        }
    }
    return upstream(t, kind);
}

/* Who approved the package that answered: a canary has another one than the stable version. */
static struct gy_str approver(const struct trace *t, struct gy_str digest)
{
    const struct gy_str kind = GY_STR("modeldigest:");
    for (size_t i = 0; digest.n && i < t->n_edges; i++) {
        const struct gy_lineage_edge *e = &t->edges[i];
        if (gy_str_eqc(e->rel, "approved") && gy_str_starts(e->to, kind) &&
            gy_str_eq(gy_str_sub(e->to, kind.n, SIZE_MAX), digest)) {
            return e->actor;
        }
    }
    return GY_STR_NULL;
}

/* A rule answered without asking the model. */
static bool rule_decided(const struct gy_record *r, size_t row, yyjson_val *config)
{
    yyjson_val *rules = gy_json_get(config, "rules");
    yyjson_val *rule = r->rules && r->rules[row].rule >= 0
                           ? yyjson_arr_get(rules, (size_t)r->rules[row].rule)
                           : NULL;
    return gy_json_bool(gy_json_get(rule, "then"), "skip_model", false);
}

/* What the model said by itself, also where a rule answered. */
static void write_model(struct gy_jw *w, const struct gy_record *r, size_t row)
{
    const double *out = r->outputs + row * r->n_outputs;
    gy_jw_key(w, "model_outputs");
    gy_jw_arr(w);
    for (size_t i = r->n_outputs > 1 ? 1 : 0; i < r->n_outputs; i++) {
        gy_logrow_value(w, out[i]);
    }
    gy_jw_arr_end(w);
}

/* What a shadow would have answered, laid out as the model's: answer first. */
static void write_shadow(struct gy_jw *w, const struct gy_record *r, size_t row)
{
    if (!r->shadow) {
        return;
    }
    gy_jw_key(w, "shadow");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "model_version", r->shadow_version);
    gy_jw_key(w, "outputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < r->n_shadow; i++) {
        gy_logrow_value(w, r->shadow[row * r->n_shadow + i]);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

/* As answered. */
static void write_outputs(struct gy_jw *w, const struct gy_record *r, size_t row,
                          yyjson_val *config)
{
    const double *out = r->outputs + row * r->n_outputs;
    bool regression = gy_str_eqc(gy_json_str(config, "task"), "regression");
    bool hidden = rule_decided(r, row, config); /* what the log then knows the answer did not say */
    bool text_classes = yyjson_arr_size(gy_json_get(config, "classes")) > 0 &&
                        !gy_json_bool(config, "numeric_classes", true);
    gy_jw_key(w, "outputs");
    gy_jw_obj(w);
    gy_jw_key(w, "prediction");
    if (text_classes && out[0] >= 0) {
        gy_jw_str(w,
                  gy_json_val_str(yyjson_arr_get(gy_json_get(config, "classes"), (size_t)out[0])));
    } else {
        gy_logrow_value(w, out[0]);
    }
    if (r->n_outputs == 2 && !regression) {
        gy_jw_key(w, "probability");
        gy_logrow_value(w, hidden ? NAN : out[1]);
    } else if (r->n_outputs > 2) {
        gy_jw_key(w, "probability");
        gy_jw_arr(w);
        for (size_t i = 1; i < r->n_outputs; i++) {
            gy_logrow_value(w, hidden ? NAN : out[i]);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_obj_end(w);
}

static void write_rules(struct gy_jw *w, const struct gy_record *r, size_t row, yyjson_val *config)
{
    gy_jw_key(w, "rules");
    if (!r->rules) {
        gy_jw_null(w);
        return;
    }
    const struct gy_rule_outcome *o = &r->rules[row];
    yyjson_val *rule =
        o->rule >= 0 ? yyjson_arr_get(gy_json_get(config, "rules"), (size_t)o->rule) : NULL;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", gy_json_str(rule, "name"));
    gy_jw_kv_str(w, "reason", gy_json_str(gy_json_get(rule, "then"), "reason"));
    gy_jw_kv_i64(w, "true", o->hits);
    gy_jw_kv_i64(w, "evaluated", o->evaluated);
    gy_jw_kv_i64(w, "of", o->of);
    gy_jw_obj_end(w);
}

static void write_row(struct gy_jw *w, const struct gy_record *r, size_t row, yyjson_val *config)
{
    if (gy_gap_row(r, (uint32_t)row)) {
        gy_jw_kv_bool(w, "erased", true);
        return;
    }
    gy_logrow_inputs(w, r, (uint32_t)row, config);
    write_outputs(w, r, row, config);
    write_model(w, r, row);
    write_shadow(w, r, row);
    write_rules(w, r, row, config);
}

static void write_rows(struct gy_jw *w, const struct trace *t, yyjson_val *config)
{
    size_t left = TRACE_ROWS;
    gy_jw_key(w, "predictions");
    gy_jw_arr(w);
    for (size_t i = 0; i < t->n_parts && left; i++) {
        for (size_t row = 0; row < t->parts[i].n_rows && left; row++, left--) {
            gy_jw_obj(w);
            write_row(w, &t->parts[i], row, config);
            gy_jw_obj_end(w);
        }
    }
    gy_jw_arr_end(w);
}

/* The entry of the version that answered among those of the revision; NULL: the stable one did. */
static yyjson_val *answered_by(const struct trace *t, yyjson_val *config)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(config, "weights"), i, n, one)
    {
        int64_t version;
        if (gy_str_eqc(gy_json_str(one, "role"), "canary") &&
            gy_parse_i64(t->parts->model_version, 0, INT64_MAX, &version, NULL) == GY_OK &&
            version == gy_json_i64(one, "version", -1)) {
            return one;
        }
    }
    return NULL;
}

static void write_origin(struct gy_jw *w, const struct trace *t, yyjson_val *config)
{
    const struct gy_record *r = t->parts;
    struct gy_revision of = t->has_revision ? t->revision : (struct gy_revision){.revision = 0};
    yyjson_val *canary = answered_by(t, config);
    if (canary) {
        of.model_name = gy_json_str(canary, "model");
        of.model_digest = gy_json_str(canary, "digest");
        of.run_id = gy_json_str(canary, "run_id");
        of.verdict_id = gy_json_str(canary, "verdict");
    }
    gy_jw_kv_str(w, "endpoint", r->endpoint);
    gy_jw_kv_i64(w, "revision", r->revision);
    gy_jw_kv_strc(w, "variant", canary ? "canary" : "stable");
    gy_jw_kv_str(w, "model", of.model_name);
    gy_jw_kv_str(w, "model_version", r->model_version);
    gy_jw_kv_str(w, "digest", of.model_digest);
    struct gy_str run_id = of.run_id.p ? of.run_id : upstream(t, GY_STR("run:"));
    gy_jw_kv_str(w, "run_id", run_id);
    gy_jw_kv_str(w, "data_sha256", of_run(t, run_id, GY_STR("data:")));
    gy_jw_kv_str(w, "code_revision", of_run(t, run_id, GY_STR("code:")));
    gy_jw_kv_str(w, "verdict", of.verdict_id);
    gy_jw_kv_str(w, "approver", approver(t, of.model_digest));
    gy_jw_kv_str(w, "deployed_by", of.actor);
}

/* Members that only records have whose endpoint (or client) asked for them. */
static void write_extras(struct gy_jw *w, const struct gy_record *r)
{
    gy_logrow_trace(w, r);
    if (r->sample_rate > 0) {
        gy_jw_kv_f64(w, "sample_rate", r->sample_rate);
    }
    if (r->propensity > 0) {
        gy_jw_kv_f64(w, "propensity", r->propensity);
    }
    gy_logrow_body(w, r);
    if (!r->body.n && r->body_bytes) {
        gy_jw_kv_null(w, "body");
        gy_jw_kv_i64(w, "body_bytes", (int64_t)r->body_bytes);
    }
}

static gy_status send_trace(const struct trace *t, struct gy_reply *reply, struct gy_err *err)
{
    const struct gy_record *r = t->parts;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (t->has_revision) {
        GY_TRY(gy_json_parse(t->revision.config, &doc, err));
    }
    yyjson_val *config = doc ? yyjson_doc_get_root(doc) : NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    char id[GY_UUID_TEXT];
    char time[32];
    gy_uuid_text(r->id, id);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "prediction_id", id);
    gy_jw_kv_str(&w, "request_id", r->request_id);
    gy_jw_kv_str(&w, "time", gy_str_n(time, gy_time_iso(r->time_us, time)));
    gy_jw_kv_f64(&w, "latency_us", (double)r->latency_ns / 1e3);
    gy_jw_kv_i64(&w, "status", r->status);
    write_extras(&w, r);
    write_origin(&w, t, config);
    gy_jw_kv_i64(&w, "rows", r->total_rows);
    if (r->total_rows == 1) {
        write_row(&w, r, 0, config);
    } else {
        write_rows(&w, t, config);
    }
    gy_jw_key(&w, "problems");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->n_problems; i++) {
        gy_problem_write(&w, &t->problems[i]);
    }
    gy_jw_arr_end(&w);
    gy_api_kv_edges(&w, "lineage", t->edges, t->n_edges);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status read_erasure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct trace *t = ctx;
    char id[GY_UUID_TEXT];
    struct gy_err why = GY_ERR_INIT;
    gy_uuid_text(t->parts->erasure, id);
    gy_status status = gy_erasure_get(db, gy_str_c(id), t->a, &t->erasure, &why);
    t->has_erasure = status == GY_OK;
    return status == GY_OK || status == GY_E_NOTFOUND ? GY_OK
                                                      : gy_err_set(err, status, "%s", why.msg);
}

/* Of an erased prediction the log keeps its id, its revision's number and why it is gone. */
static gy_status send_erased(const struct trace *t, struct gy_reply *reply, struct gy_err *err)
{
    const struct gy_record *r = t->parts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char id[GY_UUID_TEXT], time[32];
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_uuid_text(r->id, id);
    gy_jw_kv_strc(&w, "prediction_id", id);
    gy_jw_kv_i64(&w, "revision", r->revision);
    gy_jw_kv_i64(&w, "rows", r->total_rows);
    gy_jw_key(&w, "erased");
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "time", gy_str_n(time, gy_time_iso(r->time_us, time)));
    gy_uuid_text(r->erasure, id);
    gy_jw_kv_strc(&w, "erasure", id);
    gy_jw_kv_str(&w, "reason", t->has_erasure ? t->erasure.reason : GY_STR_NULL);
    gy_jw_kv_str(&w, "actor", t->has_erasure ? t->erasure.actor : GY_STR_NULL);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* Is there an endpoint that keeps no record of some predictions? */
static bool samples(struct gy_app *app)
{
    if (!app->serving) {
        return false;
    }
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    bool any = false;
    for (size_t i = 0; i < gy_table_count(t); i++) {
        any = any || gy_table_at(t, i)->logging.sample < 1;
    }
    return any;
}

struct pruned_call {
    const unsigned char *id;
    struct gy_arena *a;
    bool found;
    struct gy_pruned pruned;
};

static gy_status read_pruned(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct pruned_call *c = ctx;
    return gy_pruned_find(db, c->id, c->a, &c->found, &c->pruned, err);
}

/* Of what retention removed, the ids are not kept: it is told of the stretch in which this one
 * lies.
 */
static gy_status say_not_found(struct gy_app *app, struct gy_request *req,
                               const unsigned char id[16], struct gy_err *err)
{
    struct pruned_call c = {.id = id, .a = req->arena};
    char text[GY_UUID_TEXT], from[32], to[32], when[32];
    if (gy_store_read(app->store, read_pruned, &c, NULL) == GY_OK && c.found) {
        gy_uuid_text(id, text);
        (void)gy_time_iso(c.pruned.from_us, from);
        (void)gy_time_iso(c.pruned.to_us, to);
        (void)gy_time_iso(c.pruned.pruned_us, when);
        (void)gy_err_set(err, GY_E_NOTFOUND,
                         "no prediction %s in the log: pruned by retention on %.10s (what was "
                         "logged from %.19s to %.19s, by %" GY_STR_F ")",
                         text, when, from, to, GY_STR_A(c.pruned.why));
        return gy_err_hint(err, "gyre log pruned lists what was removed; a backup from before may "
                                "have it");
    }
    if (samples(app)) {
        return gy_err_hint(err, "an endpoint logs only a sample of its predictions (`log` in "
                                "gyre.yaml); this one may have been left out");
    }
    return GY_E_NOTFOUND;
}

static gy_status get_trace(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    unsigned char id[16];
    char dir[GY_MAX_PATH];
    struct trace t = {.a = req->arena};
    struct gy_record *parts;
    struct gy_predlog *live = app->serving ? gy_serving_log(app->serving) : NULL;
    GY_TRY(gy_uuid_parse(gy_req_param(req, "id"), id, err));
    GY_TRY(gy_home_path(&app->home, "log", dir, err));
    gy_status found = gy_predlog_find(live, dir, NULL, id, req->arena, &parts, &t.n_parts, err);
    if (found == GY_E_NOTFOUND) {
        return say_not_found(app, req, id, err);
    }
    GY_TRY(found);
    t.parts = parts;
    if (parts->gap) {
        GY_TRY(gy_store_read(app->store, read_erasure, &t, err));
        return send_erased(&t, reply, err);
    }
    GY_TRY(gy_store_read(app->store, read_lineage, &t, err));
    return send_trace(&t, reply, err);
}

static const struct gy_route routes[] = {
    {"GET", "/api/gyre/v1/trace/{id}", get_trace, NULL, 0, "where a prediction came from"},
};

gy_status gy_api_trace_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
