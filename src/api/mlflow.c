/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: experiments, and what tells a client which server it talks to. */
#include <stdio.h>

#include "api/inference.h"
#include "api/mlflow_wire.h"
#include "store/scope.h"
#include "track/experiments.h"

/* What the server says it is: clients choose their calls by it. */
#define MLFLOW_VERSION "3.17.2"

/* ---- answers ---- */

static void write_experiment(struct gy_jw *w, struct gy_db *db, const struct gy_experiment *e)
{
    gy_jw_obj(w);
    gy_jw_key(w, "experiment_id");
    gy_jw_strf(w, "%lld", (long long)e->id);
    gy_jw_kv_str(w, "name", e->name);
    gy_jw_kv_str(w, "artifact_location", e->artifact_location);
    gy_jw_kv_strc(w, "lifecycle_stage", e->deleted ? "deleted" : "active");
    gy_jw_kv_i64(w, "last_update_time", e->updated_us / 1000);
    gy_jw_kv_i64(w, "creation_time", e->created_us / 1000);
    gy_mf_tags_out(w, "tags", e->tags, e->n_tags);
    gy_jw_kv_str(w, "workspace", gy_db_workspace(db));
    gy_jw_obj_end(w);
}

static void answer_experiment(struct gy_mf_call *c, struct gy_db *db, const struct gy_experiment *e)
{
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "experiment");
    write_experiment(&c->w, db, e);
    gy_jw_obj_end(&c->w);
}

/* ---- operations ---- */

struct change { /* of one experiment */
    int64_t id;
    struct gy_str name, location, key, value;
    struct gy_tag *tags;
    size_t n_tags;
};

static gy_status new_change(struct gy_mf_call *c, struct change **ret, struct gy_err *err)
{
    *ret = c->in = gy_arena_calloc(c->arena, 1, sizeof **ret);
    return *ret ? GY_OK : gy_track_nomem(err);
}

static gy_status parse_id(struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x;
    struct gy_str id;
    GY_TRY(new_change(c, &x, err));
    GY_TRY(GY_MF_STR(c, "experiment_id", GY_MF_REQUIRED, &id));
    return gy_track_parse_experiment_id(id, &x->id, err);
}

static gy_status parse_create(struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x;
    GY_TRY(new_change(c, &x, err));
    GY_TRY(GY_MF_STR(c, "name", GY_MF_REQUIRED, &x->name));
    GY_TRY(GY_MF_STR(c, "artifact_location", GY_MF_OPTIONAL, &x->location));
    return gy_mf_tags(c, c->args, "tags", GY_TRACK_MAX_BATCH, &x->tags, &x->n_tags, err);
}

static gy_status run_create(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x = c->in;
    int64_t id = 0;
    GY_TRY(gy_experiment_create(db, x->name, x->location, x->tags, x->n_tags, c->req->actor,
                                c->arena, &id, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "experiment_id");
    gy_jw_strf(&c->w, "%lld", (long long)id);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status run_get(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x = c->in;
    struct gy_experiment e;
    GY_TRY(gy_experiment_get(db, x->id, c->arena, &e, err));
    answer_experiment(c, db, &e);
    return GY_OK;
}

static gy_status parse_by_name(struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x;
    GY_TRY(new_change(c, &x, err));
    return GY_MF_STR(c, "experiment_name", GY_MF_REQUIRED, &x->name);
}

static gy_status run_by_name(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x = c->in;
    struct gy_experiment e;
    GY_TRY(gy_experiment_get_by_name(db, x->name, c->arena, &e, err));
    answer_experiment(c, db, &e);
    return GY_OK;
}

static gy_status run_delete(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_experiment_set_deleted(db, ((struct change *)c->in)->id, true, err);
}

static gy_status run_restore(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_experiment_set_deleted(db, ((struct change *)c->in)->id, false, err);
}

static gy_status parse_update(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    return GY_MF_STR(c, "new_name", GY_MF_REQUIRED, &((struct change *)c->in)->name);
}

static gy_status run_update(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x = c->in;
    return gy_experiment_rename(db, x->id, x->name, err);
}

static gy_status parse_tag(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_id(c, err));
    struct change *x = c->in;
    GY_TRY(GY_MF_STR(c, "key", GY_MF_REQUIRED, &x->key));
    return GY_MF_STR(c, "value", GY_MF_OPTIONAL, &x->value);
}

static gy_status run_set_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x = c->in;
    return gy_experiment_set_tag(db, x->id, x->key, x->value, err);
}

static gy_status run_delete_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct change *x = c->in;
    return gy_experiment_delete_tag(db, x->id, x->key, err);
}

static gy_status parse_search(struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_experiment_query *q = c->in = gy_arena_calloc(c->arena, 1, sizeof *q);
    struct gy_str *order = NULL;
    if (!q) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_mf_max_results(c, 1000, GY_TRACK_MAX_PAGE, &q->max_results, err));
    GY_TRY(gy_mf_view(c, "view_type", &q->view, err));
    GY_TRY(GY_MF_STR(c, "filter", GY_MF_OPTIONAL, &q->filter));
    GY_TRY(GY_MF_STR(c, "page_token", GY_MF_OPTIONAL, &q->page_token));
    GY_TRY(gy_mf_strs(c, "order_by", 100, &order, &q->n_order_by, err));
    q->order_by = order;
    return GY_OK;
}

static gy_status run_search(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_experiment *found = NULL;
    size_t n = 0;
    struct gy_str token = GY_STR_NULL;
    GY_TRY(gy_experiment_search(db, c->in, c->arena, &found, &n, &token, err));
    gy_jw_obj(&c->w);
    if (n > 0) {
        gy_jw_key(&c->w, "experiments");
        gy_jw_arr(&c->w);
        for (size_t i = 0; i < n; i++) {
            write_experiment(&c->w, db, &found[i]);
        }
        gy_jw_arr_end(&c->w);
    }
    gy_mf_kv(&c->w, "next_page_token", token);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

GY_MF_OP(create, parse_create, run_create, true);
GY_MF_OP_ENTERS(get, parse_id, run_get, false);
GY_MF_OP_ENTERS(by_name, parse_by_name, run_by_name, false);
GY_MF_OP(delete, parse_id, run_delete, true);
GY_MF_OP(restore, parse_id, run_restore, true);
GY_MF_OP(update, parse_update, run_update, true);
GY_MF_OP(set_tag, parse_tag, run_set_tag, true);
GY_MF_OP(delete_tag, parse_tag, run_delete_tag, true);
GY_MF_OP_ENTERS(search, parse_search, run_search, false);

/* Renaming a deleted experiment is the one failure MLflow calls INVALID_STATE. */
static gy_status update_error(struct gy_request *req, struct gy_reply *reply,
                              const struct gy_err *failed, struct gy_err *err)
{
    if (failed->code == GY_E_CONFLICT) {
        return gy_mf_send_error(reply, 500, "INVALID_STATE", gy_str_c(failed->msg), err);
    }
    return gy_mf_error(req, reply, failed, err);
}

#define UPDATE(prefix)                                                                           \
    {                                                                                            \
        "POST", prefix "/experiments/update", h_update, update_error, 0, "Rename an experiment", \
            GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED                                                   \
    }

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("POST", "/experiments/create", h_create, "Create an experiment"),
    GY_MF_ROUTE("GET", "/experiments/get", h_get, "Get an experiment"),
    GY_MF_ROUTE("GET", "/experiments/get-by-name", h_by_name, "Get an experiment by name"),
    GY_MF_ROUTE("POST", "/experiments/delete", h_delete, "Delete an experiment"),
    GY_MF_ROUTE("POST", "/experiments/restore", h_restore, "Restore an experiment"),
    GY_MF_ROUTE("POST", "/experiments/set-experiment-tag", h_set_tag, "Tag an experiment"),
    GY_MF_ROUTE("POST", "/experiments/delete-experiment-tag", h_delete_tag, "Remove a tag"),
    GY_MF_SEARCH("POST", "/experiments/search", h_search, "Search experiments"),
    GY_MF_ROUTE("GET", "/experiments/search", h_search, "Search experiments"),
    UPDATE("/api/2.0/mlflow"),
    UPDATE("/ajax-api/2.0/mlflow"),
    UPDATE("/api/3.0/mlflow"),
    UPDATE("/ajax-api/3.0/mlflow"),
};

/* ---- the server itself ---- */

static gy_status h_health(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    return req->inference_port
               ? gy_api_scoring_ping(ctx, reply, err)
               : gy_reply_send(reply, 200, "text/plain; charset=utf-8", GY_STR("OK"), err);
}

static gy_status h_version(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    (void)ctx;
    /* A scoring server says the same text as another type. */
    return gy_reply_send(reply, 200,
                         req->inference_port ? "application/json" : "text/plain; charset=utf-8",
                         GY_STR(MLFLOW_VERSION), err);
}

static gy_status h_server_info(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_reply_send(reply, 200, "application/json",
                         GY_STR("{\"store_type\":\"SqlStore\",\"workspaces_enabled\":true}"), err);
}

/* There is no gateway here: said as MLflow says it, for browsers that look for one. */
static gy_status h_gateway(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    (void)ctx;
    (void)req;
    return gy_reply_send(reply, 200, "application/json", GY_STR("{\"endpoints\":[]}"), err);
}

static const struct gy_route g_server_routes[] = {
    {"GET", "/ajax-api/2.0/mlflow/gateway-proxy", h_gateway, gy_mf_error, 0, "No gateway",
     GY_ACCESS_VIEWER, 0},
    {"POST", "/ajax-api/2.0/mlflow/gateway-proxy", h_gateway, gy_mf_error, 0, "No gateway",
     GY_ACCESS_VIEWER, 0},
    {"GET", "/health", h_health, gy_mf_error, 0, "Alive", GY_ACCESS_PUBLIC, 0},
    {"GET", "/version", h_version, gy_mf_error, 0, "The MLflow version this server speaks",
     GY_ACCESS_PUBLIC, 0},
    /* asked before anybody has said in which workspace */
    GY_MF_ROUTES("GET", "/server-info", h_server_info, "What the server can do", GY_ACCESS_PUBLIC,
                 GY_ROUTE_SCOPED),
};

gy_status gy_api_mlflow_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    GY_TRY(gy_experiments_init(app->store, err));
    GY_TRY(gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err));
    GY_TRY(gy_router_add(r, g_server_routes, sizeof g_server_routes / sizeof g_server_routes[0],
                         app, err));
    GY_TRY(gy_mf_add_runs(r, app, err));
    GY_TRY(gy_mf_add_history(r, app, err));
    GY_TRY(gy_mf_add_artifacts(r, app, err));
    GY_TRY(gy_mf_add_registry(r, app, err));
    GY_TRY(gy_mf_add_workspaces(r, app, err));
    return gy_mf_add_logged(r, app, err);
}
