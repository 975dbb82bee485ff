/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/gyre/v1/gc {"apply": false, "older_than_s": 2592000, "grace_s": 86400}
 * What was deleted so long ago goes for good (track/purge.h, data/dataset.h, of the request's
 * workspace), then the
 * objects that no table of any workspace names and that nobody has put within the grace. Without
 * "apply" nothing changes: the answer says what would go. Objects of what would be purged are
 * counted under "artifact_bytes"; "objects" are those that are not named now. */
#include "api/app.h"
#include "api/body.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "data/dataset.h"
#include "serve/refs.h"
#include "store/actor.h"
#include "track/purge.h"

#define STEP 50 /* runs of one write closure */
#define DEFAULT_AGE_S ((int64_t)30 * 24 * 3600)
#define DEFAULT_GRACE_S ((int64_t)24 * 3600)
#define LEAST_GRACE_S 60 /* a put is followed by its name within this, or it was given up */
#define MAX_AGE_S ((int64_t)100 * 365 * 24 * 3600)

struct gc {
    struct gy_app *app;
    struct gy_str actor;
    bool apply, more;
    int64_t before_us, grace_us;
    struct gy_purge_counts counts;
    struct gy_refs refs;
    int64_t datasets, dataset_bytes; /* versions */
    int64_t objects, bytes, young, stale;
};

static gy_status plan(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gc *g = ctx;
    GY_TRY(gy_dataset_purge_plan(db, g->before_us, &g->datasets, &g->dataset_bytes, err));
    return gy_purge_plan(db, g->before_us, &g->counts, err);
}

static gy_status purge_step(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gc *g = ctx;
    return gy_purge_some(db, g->before_us, STEP, g->actor, &g->counts, &g->more, err);
}

static gy_status purge_datasets(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gc *g = ctx;
    int64_t n = 0;
    GY_TRY(gy_dataset_purge_some(db, g->before_us, STEP, g->actor, &n, err));
    g->more = n == STEP;
    return GY_OK;
}

static gy_status read_refs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gc *g = ctx;
    return gy_refs_add(&g->refs, db, true, err);
}

static gy_status sweep_one(void *ctx, const char *sha256, int64_t size_bytes, int64_t modified_us,
                           struct gy_err *err)
{
    struct gc *g = ctx;
    if (gy_refs_has(&g->refs, sha256)) {
        return GY_OK;
    }
    bool gone = modified_us < g->grace_us;
    if (gone && g->apply) {
        GY_TRY(gy_objects_remove_older(g->app->objects, sha256, g->grace_us, &gone, err));
    }
    g->objects += gone;
    g->bytes += gone ? size_bytes : 0;
    g->young += !gone;
    return GY_OK;
}

/* In the order that makes it safe beside puts: the limit, the references, the listing. */
static gy_status sweep(struct gc *g, struct gy_err *err)
{
    GY_TRY(gy_store_read(g->app->store, read_refs, g, err));
    GY_TRY(gy_objects_list(g->app->objects, sweep_one, g, err));
    return g->apply ? gy_objects_clean(g->app->objects, g->grace_us, &g->stale, err) : GY_OK;
}

static gy_status collect(struct gc *g, struct gy_err *err)
{
    struct gy_purge_counts planned;
    GY_TRY(gy_store_read(g->app->store, plan, g, err));
    planned = g->counts;
    if (g->apply) {
        g->counts = (struct gy_purge_counts){.kept = planned.kept};
        do {
            struct gy_purge_counts before = g->counts;
            gy_status status = gy_store_write(g->app->store, purge_step, g, err);
            if (status != GY_OK) {
                g->counts = before;
                return status;
            }
        } while (g->more);
        do {
            GY_TRY(gy_store_write(g->app->store, purge_datasets, g, err));
        } while (g->more);
    }
    return sweep(g, err);
}

static gy_status read_seconds(yyjson_val *body, const char *key, int64_t absent, int64_t least,
                              int64_t *ret, struct gy_err *err)
{
    *ret = absent;
    if (gy_json_get(body, key)) {
        GY_TRY(gy_json_need_i64(body, key, ret, err));
    }
    return *ret >= least && *ret <= MAX_AGE_S
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'%s' is %lld to %lld seconds", key,
                            (long long)least, (long long)MAX_AGE_S);
}

static gy_status post_gc(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    int64_t age_s = 0, grace_s = 0, now_us = gy_now_us();
    struct gc g = {.app = ctx, .actor = req->actor};
    GY_TRY(gy_actor_need(req->actor, "garbage collection", err));
    GY_TRY(gy_api_object(req, 64 * GY_KIB, &doc, err));
    yyjson_val *body = yyjson_doc_get_root(doc);
    GY_TRY(read_seconds(body, "older_than_s", DEFAULT_AGE_S, 0, &age_s, err));
    GY_TRY(read_seconds(body, "grace_s", DEFAULT_GRACE_S, LEAST_GRACE_S, &grace_s, err));
    g.apply = gy_json_bool(body, "apply", false);
    g.before_us = now_us - age_s * 1000000;
    g.grace_us = now_us - grace_s * 1000000;
    gy_status status = collect(&g, err);
    gy_refs_done(&g.refs);
    GY_TRY(status);
    if (g.apply) {
        gy_log(GY_LOG_INFO, "gc", "what was deleted is gone", GY_KV_I("runs", g.counts.runs),
               GY_KV_I("objects", g.objects), GY_KV_I("bytes", g.bytes),
               GY_KV_S("actor", req->actor));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "applied", g.apply);
    gy_api_kv_time(&w, "deleted_before", g.before_us);
    gy_jw_kv_i64(&w, "runs", g.counts.runs);
    gy_jw_kv_i64(&w, "logged_models", g.counts.logged_models);
    gy_jw_kv_i64(&w, "experiments", g.counts.experiments);
    gy_jw_kv_i64(&w, "dataset_versions", g.datasets);
    gy_jw_kv_i64(&w, "dataset_bytes", g.dataset_bytes);
    gy_jw_kv_i64(&w, "kept", g.counts.kept);
    gy_jw_kv_i64(&w, "artifacts", g.counts.artifacts);
    gy_jw_kv_i64(&w, "artifact_bytes", g.counts.artifact_bytes);
    gy_jw_kv_i64(&w, "objects", g.objects);
    gy_jw_kv_i64(&w, "object_bytes", g.bytes);
    gy_jw_kv_i64(&w, "young_objects", g.young);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", "/api/gyre/v1/gc", post_gc, NULL, 64 * GY_KIB,
     "remove for good what was deleted, and bytes that nothing names; a plan unless \"apply\"",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED},
};

gy_status gy_api_gc_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
