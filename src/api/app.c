/* SPDX-License-Identifier: Apache-2.0 */
#include "api/app.h"

#include <stdio.h>

#include "api/auth.h"
#include "api/auth_limit.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/places.h"
#include "watch/join.h"

/* Each file of this room that has routes stands here; the order does not matter to the router. */
typedef gy_status (*add_fn)(struct gy_router *r, struct gy_app *app, struct gy_err *err);
static const add_fn add_routes[] = {
    gy_api_backup_add,
    gy_api_gc_add,
    gy_api_data_add,
    gy_api_flow_add,
    gy_api_gate_add,
    gy_api_grpc_add,
    gy_api_health_add,
    gy_api_inference_add,
    gy_api_model_statistics_add,
    gy_api_repository_add,
    gy_api_inference_v1_add,
    gy_api_inference_seldon_add,
    gy_api_inference_mlflow_add,
    gy_api_metrics_add,
    gy_api_mlflow_add,
    gy_api_models_add,
    gy_api_openapi_add,
    gy_api_serve_add,
    gy_api_rollout_add,
    gy_api_trace_add,
    gy_api_users_add,
    gy_api_audit_add,
    gy_api_ui_add,
    gy_api_review_add,
    gy_api_review_work_add,
    gy_api_feedback_add,
    gy_api_performance_add,
    gy_api_watch_add,
    gy_api_webhook_add,
    gy_api_log_add,
    gy_api_predictions_add,
    gy_api_retention_add,
    gy_api_messages_add,
    gy_api_jobs_add,
    gy_api_ops_add,
    gy_api_usecases_add,
    gy_api_comments_add,
    gy_api_cards_add,
    gy_api_import_add,
    gy_api_export_add,
    gy_api_data_tags_add,
    gy_api_data_taken_add,
    gy_api_subjects_add,
    gy_api_query_add,
    gy_api_data_ingest_add,
    gy_api_data_letters_add,
    gy_api_data_statistics_add,
    gy_api_problems_add,
    gy_api_endpoint_docs_add,
};

static gy_status open_store(struct gy_app *app, const struct gy_app_options *o, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char url[GY_MAX_PATH + 16];
    GY_TRY(gy_place_check(&app->home, GY_PLACE_STORE, o->store_url, err));
    GY_TRY(gy_place_check(&app->home, GY_PLACE_OBJECTS, o->objects_url, err));
    GY_TRY(gy_home_path(&app->home, "gyre.db", path, err));
    /* A single command may look elsewhere; a server, or the first command of all, settles it. */
    bool settle = o->settle || !gy_path_exists(path);
    (void)snprintf(url, sizeof url, "sqlite://%s", path);
    struct gy_store_options store = {.url = o->store_url ? o->store_url : url,
                                     .migrate = o->migrate};
    char id[GY_UUID_TEXT];
    if (gy_store_url_is_shared(store.url)) {
        GY_TRY(gy_home_id(&app->home, id, err));
        store.home = id;
    }
    GY_TRY(gy_store_open(&store, &app->store, err));
    char cache[GY_MAX_PATH];
    GY_TRY(gy_home_path(&app->home, "objects", path, err));
    GY_TRY(gy_home_path(&app->home, "cache/objects", cache, err));
    struct gy_objects_options objects = {.s3_endpoint = o->s3_endpoint, .cache_dir = cache};
    GY_TRY(
        gy_objects_open_with(o->objects_url ? o->objects_url : path, &objects, &app->objects, err));
    if (settle) {
        GY_TRY(gy_place_remember(&app->home, GY_PLACE_STORE, o->store_url, err));
        GY_TRY(gy_place_remember(&app->home, GY_PLACE_OBJECTS, o->objects_url, err));
    }
    return GY_OK;
}

/* What is Gyre's own or the registry's, a replica does not have. */
static bool is_inference(struct gy_str pattern)
{
    static const char *const others[] = {"/api/gyre/",    "/api/2.0/", "/api/3.0/", "/ajax-api/",
                                         "/get-artifact", "/graphql",  "/docs"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (gy_str_starts(pattern, gy_str_c(others[i]))) {
            return false;
        }
    }
    return true;
}

gy_status gy_app_open(const struct gy_app_options *o, struct gy_app **ret, struct gy_err *err)
{
    GY_AUTO(gy_app_free) struct gy_app *app = gy_calloc(1, sizeof *app);
    if (!app) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    app->home.lock_fd = -1;
    app->started_us = gy_now_us();
    GY_TRY(gy_home_find(o->home_dir, true, &app->home, err));
    GY_TRY(open_store(app, o, err));
    GY_TRY(gy_shapes_new(app->store, &app->shapes, err));
    GY_TRY(gy_join_new(app->shapes, 0, &app->join, err));
    GY_TRY(gy_auth_new(app->store, &app->auth, err));
    GY_TRY(gy_auth_limit_new(&app->reports, err));
    GY_TRY(gy_router_new(&app->router, err));
    gy_router_set_guard(app->router, gy_auth_guard(app->auth));
    if (o->inference_only) {
        gy_router_set_filter(app->router, is_inference);
    }
    for (size_t i = 0; i < sizeof add_routes / sizeof add_routes[0]; i++) {
        GY_TRY(add_routes[i](app->router, app, err));
    }
    *ret = GY_TAKE(app);
    return GY_OK;
}

void gy_app_free(struct gy_app *app)
{
    if (!app) {
        return;
    }
    gy_router_free(app->router);
    gy_auth_free(app->auth);
    gy_auth_limit_free(app->reports);
    gy_join_free(app->join);
    gy_shapes_free(app->shapes);
    gy_objects_free(app->objects);
    gy_store_free(app->store);
    gy_home_done(&app->home);
    gy_free(app);
}
