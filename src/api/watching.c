/* SPDX-License-Identifier: Apache-2.0 */
#include "api/watching.h"

#include <stdio.h>

#include "api/retention.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/serving.h"
#include "watch/alerts.h"
#include "watch/bounds.h"
#include "watch/bandit.h"
#include "watch/follow.h"
#include "watch/guard.h"
#include "watch/judge.h"
#include "watch/review.h"

#define FOLLOWED 80

struct gy_watching {
    struct gy_app *app;
    char log[GY_MAX_PATH], cache[GY_MAX_PATH];
    struct gy_judge judge;
    struct gy_review_batch *batch;
    struct gy_bounds *bounds;
    struct gy_guard *guard;
    struct gy_bandit *bandit;
    struct gy_follow *follow;
    char followed[FOLLOWED]; /* what was served when we looked last */
    int64_t retry_ns;        /* when what could not be loaded then is tried again; 0: all could */
};

/* ---- the join ---- */

static gy_status join_begin(void *self, struct gy_err *err)
{
    struct gy_watching *w = self;
    return gy_join_rebuild(w->app->join, w->app->store, w->log, err);
}

static gy_status join_record(void *self, const struct gy_record *r, struct gy_err *err)
{
    struct gy_watching *w = self;
    return gy_join_prediction(w->app->join, r, err);
}

/* ---- the review queue ---- */

static gy_status review_record(void *self, const struct gy_record *r, struct gy_err *err)
{
    struct gy_watching *w = self;
    const struct gy_shape *shape;
    gy_status st = gy_shapes_get(w->app->shapes, r->endpoint, r->revision, &shape, err);
    if (st == GY_E_NOTFOUND || st == GY_E_CORRUPT || st == GY_E_TOOBIG) {
        return GY_OK; /* of another home: counted where windows are */
    }
    GY_TRY(st);
    return gy_review_offer(w->batch, r, shape, err);
}

static gy_status review_store(void *self, struct gy_db *db, struct gy_err *err)
{
    struct gy_watching *w = self;
    return gy_review_batch_count(w->batch) ? gy_review_store(db, w->batch, err) : GY_OK;
}

static void review_stored(void *self)
{
    struct gy_watching *w = self;
    gy_review_batch_reset(w->batch);
}

/* ---- canaries ---- */

#define GUARD_EVERY_MS 250

static gy_status guard_tick(void *self, struct gy_watcher *watcher, bool fresh, struct gy_err *err)
{
    struct gy_watching *w = self;
    (void)watcher;
    (void)fresh;
    bool ours = gy_serving_attached(w->app->serving) && gy_store_leads(w->app->store);
    return ours ? gy_guard_tick(w->guard, err) : GY_OK;
}

/* ---- bandits ---- */

#define BANDIT_EVERY_MS 1000
#define ALIAS_EVERY_MS 1000

static gy_status bandit_tick(void *self, struct gy_watcher *watcher, bool fresh, struct gy_err *err)
{
    struct gy_watching *w = self;
    (void)watcher;
    (void)fresh;
    bool ours = gy_serving_attached(w->app->serving) && gy_store_leads(w->app->store);
    return ours ? gy_bandit_tick(w->bandit, err) : GY_OK;
}

/* ---- aliases that endpoints follow ---- */

static gy_status alias_tick(void *self, struct gy_watcher *watcher, bool fresh, struct gy_err *err)
{
    struct gy_watching *w = self;
    (void)watcher;
    (void)fresh;
    bool ours = gy_serving_attached(w->app->serving) && gy_store_leads(w->app->store);
    return ours ? gy_follow_tick(w->follow, err) : GY_OK;
}

/* ---- what other servers deploy ---- */

#define FOLLOW_EVERY_MS 1000
#define RETRY_EVERY_NS INT64_C(30000000000) /* what could not be loaded */

static gy_status read_served(struct gy_db *db, void *ctx, struct gy_err *err)
{
    char(*now)[FOLLOWED] = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_query(db,
                       "SELECT COUNT(*), COALESCE(SUM(revision), 0), COALESCE(MAX(updated_us), 0) "
                       "FROM endpoints",
                       GY_NO_VALS, &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    (void)snprintf(*now, sizeof *now, "%lld %lld %lld", (long long)gy_col_i64(st, 0),
                   (long long)gy_col_i64(st, 1), (long long)gy_col_i64(st, 2));
    return GY_OK;
}

/* Packages that did not change are not loaded again, so a look too many costs little. */
static gy_status follow_tick(void *self, struct gy_watcher *watcher, bool fresh, struct gy_err *err)
{
    struct gy_watching *w = self;
    char now[FOLLOWED] = "";
    size_t failed = 0;
    (void)watcher;
    (void)fresh;
    GY_TRY(gy_store_read(w->app->store, read_served, &now, err));
    bool retry = w->retry_ns && gy_mono_ns() >= w->retry_ns;
    if (!gy_serving_attached(w->app->serving) || (strcmp(now, w->followed) == 0 && !retry)) {
        return GY_OK;
    }
    const struct gy_deployer d = {w->app->store, w->app->objects, w->cache, w->app->serving};
    GY_TRY(gy_deploy_load(&d, &failed, err));
    memcpy(w->followed, now, sizeof now);
    w->retry_ns = failed ? gy_mono_ns() + RETRY_EVERY_NS : 0;
    return GY_OK;
}

/* ---- retention ---- */

static gy_status retention_tick(void *self, struct gy_watcher *watcher, bool fresh,
                                struct gy_err *err)
{
    struct gy_watching *w = self;
    (void)watcher;
    (void)fresh;
    return gy_retention_tick(w->app, true, err);
}

/* ---- all of it ---- */

static void watching_free(struct gy_watching *w)
{
    if (!w) {
        return;
    }
    gy_review_batch_free(w->batch);
    gy_judge_done(&w->judge);
    gy_bounds_free(w->bounds);
    gy_guard_free(w->guard);
    gy_bandit_free(w->bandit);
    gy_follow_free(w->follow);
    gy_free(w);
}
GY_DEFINE_AUTO(struct gy_watching *, watching_free);

gy_status gy_watching_start(struct gy_app *app, struct gy_watching **ret, struct gy_err *err)
{
    GY_AUTO(watching_free) struct gy_watching *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the watcher");
    }
    w->app = app;
    GY_TRY(gy_home_path(&app->home, "log", w->log, err));
    GY_TRY(gy_home_path(&app->home, "cache/models", w->cache, err));
    GY_TRY(gy_review_batch_new(0, &w->batch, err));
    GY_TRY(gy_bounds_new(app->store, app->shapes, app->join, &w->bounds, err));
    const struct gy_deployer d = {app->store, app->objects, w->cache, app->serving};
    GY_TRY(gy_guard_new(&d, app->join, &w->guard, err));
    GY_TRY(gy_bandit_new(&d, app->join, &w->bandit, err));
    GY_TRY(gy_follow_new(&d, &w->follow, err));
    w->judge = (struct gy_judge){.cache_dir = w->cache, .join = app->join};
    struct gy_watcher_options o = {
        .store = app->store,
        .shapes = app->shapes,
        .log_dir = w->log,
        .live = gy_serving_log(app->serving),
        .ops = &gy_judge_ops,
        .ops_self = &w->judge,
        .consumers = {{"join", w, join_begin, join_record, NULL, NULL},
                      {"review", w, NULL, review_record, review_store, review_stored}},
        .n_consumers = 2,
        .hooks = {{"bounds", w->bounds, GY_BOUNDS_EVERY_MS, gy_bounds_tick},
                  {"guard", w, GUARD_EVERY_MS, guard_tick},
                  {"bandit", w, BANDIT_EVERY_MS, bandit_tick},
                  {"alias", w, ALIAS_EVERY_MS, alias_tick},
                  {"retention", w, GY_RETENTION_EVERY_MS, retention_tick}},
        .n_hooks = 5,
    };
    if (gy_store_is_shared(app->store)) {
        o.hooks[o.n_hooks++] = (struct gy_watch_hook){"follow", w, FOLLOW_EVERY_MS, follow_tick};
    }
    GY_TRY(gy_watcher_start(&o, &app->watcher, err));
    app->join_live = true;
    *ret = GY_TAKE(w);
    return GY_OK;
}

void gy_watching_stop(struct gy_watching *w)
{
    if (!w) {
        return;
    }
    gy_watcher_stop(w->app->watcher);
    w->app->watcher = NULL;
    w->app->join_live = false;
    watching_free(w);
}

const char *gy_watching_state(struct gy_app *app)
{
    struct gy_watcher_stats s;
    if (!app->watcher) {
        return "not running";
    }
    gy_watcher_get_stats(app->watcher, &s);
    int64_t since = s.last_success_us ? s.last_success_us : app->started_us;
    if (gy_now_us() - since > (int64_t)GY_WATCHER_DEAD_S * 1000000 && s.begun) {
        return s.failure[0] ? "failing" : "dead";
    }
    return s.failure[0] ? "failing" : s.begun ? "watching" : "starting";
}

static gy_status raise_dead(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    const struct gy_alert a = {.kind = GY_STR("watcher"),
                               .endpoint = GY_STR(""),
                               .subject = GY_STR(""),
                               .text = GY_STR("the watcher has not looked at the predictions for "
                                              "more than 30 s"),
                               .actor = GY_STR("gyre")};
    return gy_alert_raise(db, &a, NULL, err);
}

gy_status gy_watching_check(struct gy_app *app, struct gy_err *err)
{
    return strcmp(gy_watching_state(app), "dead") == 0
               ? gy_store_write(app->store, raise_dead, NULL, err)
               : GY_OK;
}
