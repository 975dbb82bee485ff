/* SPDX-License-Identifier: Apache-2.0 */
/* gy_app: one open Gyre: home, store, objects and the routes onto them. `gyre server` has one with
 * a server and a serving table; a command without a running server has one in-process (server and
 * serving NULL). Handlers get it as their ctx. Thread safe after gy_app_open. */
#ifndef GY_API_APP_H
#define GY_API_APP_H

#include <stdatomic.h>

#include "net/router.h"
#include "net/server.h"
#include "store/home.h"
#include "store/objects.h"
#include "store/store.h"

struct gy_serving;      /* serve/serving.h */
struct gy_replica;      /* serve/replica.h */
struct gy_prover;       /* api/prover.h */
struct gy_shapes;       /* serve/shape.h */
struct gy_join;         /* watch/join.h */
struct gy_watcher;      /* watch/watcher.h */
struct gy_dispatcher;   /* api/dispatcher.h */
struct gy_query_runner; /* api/query.h */
struct gy_auth;         /* api/auth.h */
struct gy_auth_limit;   /* api/auth_limit.h */

struct gy_app {
    struct gy_home home;
    struct gy_store *store;
    struct gy_objects *objects;
    struct gy_router *router;
    struct gy_auth *auth;          /* the router's guard */
    struct gy_auth_limit *reports; /* how often somebody reported a problem */
    struct gy_serving *serving;    /* NULL: nothing is served by this process */
    struct gy_server *server;      /* NULL: in-process */
    struct gy_replica *replica;    /* NULL: it is none; set before the server starts */
    struct gy_prover *prover;      /* NULL: who registers proves */
    struct gy_shapes *shapes;
    struct gy_join *join; /* predictions and feedback; may lag or be empty: gy_app_join_refresh */
    struct gy_watcher *watcher; /* NULL: nothing is watched by this process (api/watching.h) */
    bool join_live;             /* a watcher keeps it up to date; set before the server starts */
    atomic_bool join_loaded;    /* log and table were read by gy_app_join_refresh */
    struct gy_dispatcher *dispatcher; /* NULL: jobs wait for a server */
    struct gy_query_runner *queries;  /* NULL: no SQL over HTTP */
    int64_t started_us;
    /* Retention of the prediction log by this process (api/retention.h), 0: none; set before any
     * other thread starts. */
    int64_t log_keep_us, log_max_bytes;
};

struct gy_app_options {
    const char *home_dir;    /* NULL: found */
    const char *store_url;   /* NULL: sqlite in the home */
    const char *objects_url; /* NULL: objects/ in the home */
    const char *s3_endpoint; /* of s3:// objects; NULL: by the URL */
    bool migrate;            /* of gy_store_options */
    bool inference_only;     /* routes of inference, health and metrics alone (gyre serve) */
    bool settle;             /* the home is to remember where store and objects are (a server) */
};
/* Open home, store and objects and build the router. Fails as those do. */
GY_CHECKED gy_status gy_app_open(const struct gy_app_options *o, struct gy_app **ret,
                                 struct gy_err *err);
void gy_app_free(struct gy_app *app);
GY_DEFINE_AUTO(struct gy_app *, gy_app_free);

/* `gyre server`: open the prediction log and load what is served, before the server starts; the
 * result is app->serving, to be given to the server as its fast path. Close after it stopped. */
struct gy_app_serve_options {
    int n_loops;     /* as the server's; 0: one a CPU */
    int log_sync_ms; /* -1: 50; 0: each answer waits for the disk */
    bool log_drop_when_full;
    size_t model_memory; /* bytes for loaded models (serve/budget.h); 0: no limit */
    bool replica;        /* its log is shipped and removed (serve/replica.h) */
};
/* Fails: CONFLICT (the home is a replica's, and this is none). */
GY_CHECKED gy_status gy_app_serve_open(struct gy_app *app, const struct gy_app_serve_options *o,
                                       struct gy_err *err);
void gy_app_serve_close(struct gy_app *app);

/* The in-process transport: a gy_caller that runs handlers on the calling thread as actor = the
 * user's name. It does not own app. */
GY_CHECKED gy_status gy_local_caller_new(struct gy_app *app, struct gy_caller **ret,
                                         struct gy_err *err);

/* Before app->join is asked for anything: where no watcher feeds it, read log and table. Not inside
 * a store closure. Fails as gy_join_rebuild. (feedback.c) */
GY_CHECKED gy_status gy_app_join_refresh(struct gy_app *app, struct gy_err *err);

/* Without a server the log may still lie in rings that a killed one left: move them into segments.
 * Takes the home's lock. Fails: BUSY (a server has just been started). (backup.c) */
GY_CHECKED gy_status gy_app_drain_log(struct gy_app *app, struct gy_err *err);

/* Each file of this room adds its routes; app.c calls those that stand in its table. */
GY_CHECKED gy_status gy_api_gc_add(struct gy_router *r, struct gy_app *app,
                                   struct gy_err *err); /* gc.c */
GY_CHECKED gy_status gy_api_backup_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* backup.c */
GY_CHECKED gy_status gy_api_openapi_add(struct gy_router *r, struct gy_app *app,
                                        struct gy_err *err); /* openapi.c */
GY_CHECKED gy_status gy_api_mlflow_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* mlflow*.c */
GY_CHECKED gy_status gy_api_models_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* models.c */
GY_CHECKED gy_status gy_api_data_add(struct gy_router *r, struct gy_app *app,
                                     struct gy_err *err); /* data.c */
GY_CHECKED gy_status gy_api_data_tags_add(struct gy_router *r, struct gy_app *app,
                                          struct gy_err *err); /* data_tags.c */
GY_CHECKED gy_status gy_api_data_ingest_add(struct gy_router *r, struct gy_app *app,
                                            struct gy_err *err); /* data_ingest.c */
GY_CHECKED gy_status gy_api_data_letters_add(struct gy_router *r, struct gy_app *app,
                                             struct gy_err *err); /* data_letters.c */
GY_CHECKED gy_status gy_api_data_statistics_add(struct gy_router *r, struct gy_app *app,
                                                struct gy_err *err); /* data_statistics.c */
GY_CHECKED gy_status gy_api_data_taken_add(struct gy_router *r, struct gy_app *app,
                                           struct gy_err *err); /* data_taken.c */
GY_CHECKED gy_status gy_api_query_add(struct gy_router *r, struct gy_app *app,
                                      struct gy_err *err); /* query.c */
GY_CHECKED gy_status gy_api_gate_add(struct gy_router *r, struct gy_app *app,
                                     struct gy_err *err); /* gate.c */
GY_CHECKED gy_status gy_api_feedback_add(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err); /* feedback.c */
GY_CHECKED gy_status gy_api_flow_add(struct gy_router *r, struct gy_app *app,
                                     struct gy_err *err); /* flow.c */
GY_CHECKED gy_status gy_api_grpc_add(struct gy_router *r, struct gy_app *app,
                                     struct gy_err *err); /* grpc.c */
GY_CHECKED gy_status gy_api_jobs_add(struct gy_router *r, struct gy_app *app,
                                     struct gy_err *err); /* jobs.c */
GY_CHECKED gy_status gy_api_inference_add(struct gy_router *r, struct gy_app *app,
                                          struct gy_err *err); /* inference.c */
GY_CHECKED gy_status gy_api_messages_add(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err); /* messages.c */
GY_CHECKED gy_status gy_api_repository_add(struct gy_router *r, struct gy_app *app,
                                           struct gy_err *err); /* repository.c */
GY_CHECKED gy_status gy_api_model_statistics_add(struct gy_router *r, struct gy_app *app,
                                                 struct gy_err *err); /* model_statistics.c */
GY_CHECKED gy_status gy_api_inference_v1_add(struct gy_router *r, struct gy_app *app,
                                             struct gy_err *err); /* inference_v1.c */
GY_CHECKED gy_status gy_api_inference_seldon_add(struct gy_router *r, struct gy_app *app,
                                                 struct gy_err *err); /* inference_seldon.c */
GY_CHECKED gy_status gy_api_inference_mlflow_add(struct gy_router *r, struct gy_app *app,
                                                 struct gy_err *err); /* inference_mlflow.c */
GY_CHECKED gy_status gy_api_log_add(struct gy_router *r, struct gy_app *app,
                                    struct gy_err *err); /* log.c */
GY_CHECKED gy_status gy_api_retention_add(struct gy_router *r, struct gy_app *app,
                                          struct gy_err *err); /* retention.c */
GY_CHECKED gy_status gy_api_predictions_add(struct gy_router *r, struct gy_app *app,
                                            struct gy_err *err); /* predictions.c */
GY_CHECKED gy_status gy_api_ops_add(struct gy_router *r, struct gy_app *app,
                                    struct gy_err *err); /* ops.c */
GY_CHECKED gy_status gy_api_usecases_add(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err); /* ops_usecases.c */
GY_CHECKED gy_status gy_api_cards_add(struct gy_router *r, struct gy_app *app,
                                      struct gy_err *err); /* ops_cards.c */
GY_CHECKED gy_status gy_api_comments_add(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err); /* ops_comments.c */
GY_CHECKED gy_status gy_api_performance_add(struct gy_router *r, struct gy_app *app,
                                            struct gy_err *err); /* performance.c */
GY_CHECKED gy_status gy_api_review_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* review.c */
GY_CHECKED gy_status gy_api_review_work_add(struct gy_router *r, struct gy_app *app,
                                            struct gy_err *err); /* review_work.c */
GY_CHECKED gy_status gy_api_webhook_add(struct gy_router *r, struct gy_app *app,
                                        struct gy_err *err); /* webhook.c */
GY_CHECKED gy_status gy_api_serve_add(struct gy_router *r, struct gy_app *app, struct gy_err *err);
GY_CHECKED gy_status gy_api_rollout_add(struct gy_router *r, struct gy_app *app,
                                        struct gy_err *err); /* serve.c */
GY_CHECKED gy_status gy_api_trace_add(struct gy_router *r, struct gy_app *app,
                                      struct gy_err *err); /* trace.c */
GY_CHECKED gy_status gy_api_health_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* health.c */
GY_CHECKED gy_status gy_api_metrics_add(struct gy_router *r, struct gy_app *app,
                                        struct gy_err *err); /* metrics.c */
GY_CHECKED gy_status gy_api_watch_add(struct gy_router *r, struct gy_app *app,
                                      struct gy_err *err); /* watch.c */
GY_CHECKED gy_status gy_api_import_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* import.c */
GY_CHECKED gy_status gy_api_export_add(struct gy_router *r, struct gy_app *app,
                                       struct gy_err *err); /* export.c */
GY_CHECKED gy_status gy_api_users_add(struct gy_router *r, struct gy_app *app,
                                      struct gy_err *err); /* users.c */
GY_CHECKED gy_status gy_api_audit_add(struct gy_router *r, struct gy_app *app,
                                      struct gy_err *err); /* audit.c */
GY_CHECKED gy_status gy_api_subjects_add(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err); /* subjects.c */
GY_CHECKED gy_status gy_api_problems_add(struct gy_router *r, struct gy_app *app,
                                         struct gy_err *err); /* problems.c */
GY_CHECKED gy_status gy_api_endpoint_docs_add(struct gy_router *r, struct gy_app *app,
                                              struct gy_err *err); /* endpoint_docs.c */
GY_CHECKED gy_status gy_api_ui_add(struct gy_router *r, struct gy_app *app,
                                   struct gy_err *err); /* ui.c */

#endif
