/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "api/auth_cache.h"
#include "api/auth_internal.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/scope.h"
#include "store/users.h"
#include "watch/review_token.h"

/* One request that was let in; in its arena. */
struct pass {
    struct gy_scope scope; /* ctx: this */
    struct gy_auth *auth;
    const struct gy_route *route; /* NULL: a prediction */
    struct gy_request *req;
    bool audit;
};

/* ---- the audit log ---- */

static struct gy_str peer_of(const struct gy_request *req)
{
    switch (req->peer) {
    case GY_PEER_LOCAL:
        return GY_STR("local");
    case GY_PEER_UNIX:
        return GY_STR("socket");
    case GY_PEER_TCP:
        break;
    }
    return req->peer_address.p ? req->peer_address : GY_STR("tcp");
}

/* "name=sepsis version=3" of the path; the path itself where it has no parameters. */
static struct gy_str subject_of(const struct gy_request *req)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 16 * GY_AUDIT_MAX_TEXT);
    if (req->n_params == 0) {
        return gy_str_sub(req->path, 0, GY_AUDIT_MAX_TEXT);
    }
    for (size_t i = 0; i < req->n_params; i++) {
        gy_buf_addf(&b, "%s%" GY_STR_F "=%" GY_STR_F, i ? " " : "", GY_STR_A(req->params[i].name),
                    GY_STR_A(gy_str_sub(req->params[i].value, 0, GY_AUDIT_MAX_TEXT)));
    }
    struct gy_str text = b.failed == GY_OK ? gy_arena_str(req->arena, gy_buf_str(&b)) : GY_STR_NULL;
    return text.p ? text : gy_str_sub(req->path, 0, GY_AUDIT_MAX_TEXT);
}

static struct gy_audit entry_of(const struct gy_route *route, const struct gy_request *req,
                                struct gy_str workspace, const char *outcome)
{
    char action[256];
    int n = snprintf(action, sizeof action, "%s %s", route ? route->method : "POST",
                     route ? route->pattern : "(a prediction)");
    struct gy_str kept = gy_arena_str(
        req->arena, gy_str_n(action, (size_t)n < sizeof action ? (size_t)n : sizeof action - 1));
    return (struct gy_audit){.actor = req->actor,
                             .workspace = workspace.p ? workspace : GY_STR(GY_WORKSPACE_DEFAULT),
                             .action = kept.p ? kept : GY_STR("?"),
                             .subject = subject_of(req),
                             .outcome = gy_str_c(outcome),
                             .request_id = req->request_id,
                             .peer = peer_of(req)};
}

/* Inside each write closure of the request, before the commit. */
static gy_status audit_write(struct gy_db *db, struct gy_scope *scope, struct gy_err *err)
{
    const struct pass *p = scope->ctx;
    struct gy_audit e = entry_of(p->route, p->req, scope->workspace, "done");
    e.actor = scope->actor;
    if (scope->subject.p) {
        e.subject = scope->subject;
    }
    return gy_audit_add(db, &e, err);
}

static gy_status add_row(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_audit_add(db, ctx, err);
}

/* May another refusal be written down? Of those that were not, the next row tells. */
static bool take_row(struct gy_auth *a, int64_t now_us, int64_t *ret_left_out)
{
    (void)pthread_mutex_lock(&a->lock);
    if (now_us - a->rows_since_us >= GY_AUTH_WINDOW_US) {
        a->rows_since_us = now_us;
        a->rows = 0;
    }
    bool may = a->rows < GY_AUTH_REFUSED_ROWS_MIN;
    *ret_left_out = may ? a->left_out : 0;
    if (may) {
        a->rows++;
        a->left_out = 0;
    } else {
        a->left_out++;
        a->rows_left_out++;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return may;
}

/* A row of its own; the request is refused whether or not it can be written. */
bool gy_auth_refused_row(struct gy_auth *a, const struct gy_audit *entry)
{
    int64_t left_out;
    char detail[GY_AUDIT_MAX_TEXT];
    struct gy_err err = GY_ERR_INIT;
    struct gy_audit e = *entry;
    if (!take_row(a, gy_now_us(), &left_out)) {
        return false;
    }
    if (left_out) {
        int n = snprintf(detail, sizeof detail,
                         "%" GY_STR_F " (%lld refusals before it were not written)",
                         GY_STR_A(gy_str_sub(e.detail, 0, 1000)), (long long)left_out);
        e.detail = gy_str_n(detail, n > 0 ? (size_t)n : 0);
    }
    if (gy_store_write(a->store, add_row, &e, &err) != GY_OK) {
        gy_log_err(GY_LOG_ERROR, "audit", "a refusal could not be written down", &err);
    }
    return true;
}

static void refused(struct gy_auth *a, const struct gy_route *route, const struct gy_request *req,
                    struct gy_str workspace, const struct gy_err *why)
{
    struct gy_audit e = entry_of(route, req, workspace, "denied");
    e.detail = why ? gy_str_c(why->msg) : GY_STR("");
    gy_auth_count(a, GY_AUTH_N_DENIED);
    (void)gy_auth_refused_row(a, &e); /* counted where there was no room */
}

/* ---- counting ---- */

static _Thread_local unsigned tl_lane; /* 0: none yet */

void gy_auth_count(struct gy_auth *a, enum gy_auth_counter which)
{
    static _Atomic unsigned next;
    if (tl_lane == 0) {
        tl_lane = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % GY_AUTH_LANES;
    }
    atomic_fetch_add_explicit(&a->lanes[tl_lane - 1].counts[which], 1, memory_order_relaxed);
}

static uint64_t sum(struct gy_auth *a, enum gy_auth_counter which)
{
    uint64_t n = 0;
    for (int i = 0; i < GY_AUTH_LANES; i++) {
        n += atomic_load_explicit(&a->lanes[i].counts[which], memory_order_relaxed);
    }
    return n;
}

void gy_auth_get_stats(struct gy_auth *a, struct gy_auth_stats *ret)
{
    *ret = (struct gy_auth_stats){.logins_ok = sum(a, GY_AUTH_N_OK),
                                  .logins_failed = sum(a, GY_AUTH_N_FAILED),
                                  .limited = sum(a, GY_AUTH_N_LIMITED),
                                  .cache_hits = sum(a, GY_AUTH_N_HIT),
                                  .denied = sum(a, GY_AUTH_N_DENIED)};
    (void)pthread_mutex_lock(&a->lock);
    ret->rows_left_out = a->rows_left_out;
    (void)pthread_mutex_unlock(&a->lock);
}

/* ---- who asks ---- */

/* The workspace named by the request; absent: the default one. */
static struct gy_str workspace_of(const struct gy_request *req)
{
    struct gy_str w = gy_str_trim(gy_req_header(req, "x-mlflow-workspace"));
    return w.n == 0 || gy_str_eqc(w, GY_WORKSPACE_DEFAULT) ? GY_STR_NULL : w;
}

struct exists_call {
    struct gy_str name;
    bool exists;
};

static gy_status read_exists(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct exists_call *c = ctx;
    return gy_workspace_exists(db, c->name, &c->exists, err);
}

gy_status gy_auth_no_workspace(struct gy_str name, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTFOUND, "Workspace '%" GY_STR_F "' not found",
                      GY_STR_A(gy_str_sub(name, 0, 64)));
}

static gy_status need_workspace(struct gy_auth *a, struct gy_str name, struct gy_err *err)
{
    struct exists_call c = {.name = name};
    if (!name.p) {
        return GY_OK;
    }
    GY_TRY(gy_store_read(a->store, read_exists, &c, err));
    return c.exists ? GY_OK : gy_auth_no_workspace(name, err);
}

static struct gy_str review_token_of(const struct gy_request *req)
{
    struct gy_str token = gy_req_header(req, "gyre-review-token");
    return token.p ? token : gy_req_query(req, "token");
}

/* Whom a review link names. */
struct link_call {
    struct gy_request *req;
    struct gy_login login;
    bool is_user;
};

static gy_status read_link(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct link_call *c = ctx;
    struct gy_err why = GY_ERR_INIT;
    struct gy_user user;
    gy_status status = gy_user_get(db, c->req->actor, c->req->arena, &user, &why);
    c->is_user = status == GY_OK;
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    return gy_login_user(db, c->req->actor, GY_STR(GY_WORKSPACE_DEFAULT), c->req->arena, &c->login,
                         err);
}

/* A link may name somebody who is no user here; a user's is worth no more than what that user may
 * by now, so that disabling somebody ends the links, too. */
static gy_status by_link(struct gy_auth *a, struct gy_request *req, struct gy_str token,
                         struct gy_err *err)
{
    struct link_call c = {.req = req};
    GY_TRY(gy_review_token_check(a->review_key, token, gy_now_us(), req->arena, &req->actor, err));
    GY_TRY(gy_store_read(a->store, read_link, &c, err));
    if (c.is_user && !c.login.user.p) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the user of the review link is disabled");
    }
    req->role = c.is_user && c.login.role < GY_AUTH_REVIEWER ? c.login.role : GY_AUTH_REVIEWER;
    return GY_OK;
}

/* Over TCP with logins. */
static gy_status identify(struct gy_auth *a, const struct gy_route *route, struct gy_request *req,
                          struct gy_str workspace, struct gy_err *err)
{
    struct gy_str header = gy_req_header(req, "authorization");
    req->actor = GY_STR("anonymous"); /* until proven otherwise */
    if (header.n == 0 && route && route->flags & GY_ROUTE_REVIEW_TOKEN && a->review_key[0]) {
        struct gy_str token = review_token_of(req);
        if (token.n) {
            return by_link(a, req, token, err);
        }
    }
    if (header.n == 0) {
        gy_auth_count(a, GY_AUTH_N_DENIED);
        /* MLflow's errors have no place for a hint. */
        (void)gy_err_set(err, GY_E_UNAUTHENTICATED,
                         "this server asks for a login: a token in GYRE_TOKEN (gyre) or "
                         "MLFLOW_TRACKING_TOKEN (MLflow)");
        return gy_err_hint(err, "`gyre token create` makes one");
    }
    return gy_auth_log_in(a, req, header, workspace, err);
}

static gy_status find_actor(struct gy_auth *a, const struct gy_route *route, struct gy_request *req,
                            struct gy_str workspace, struct gy_err *err)
{
    if (req->peer != GY_PEER_TCP) {
        req->role = GY_AUTH_ADMIN;
        return need_workspace(a, workspace, err);
    }
    if (!a->logins) {
        req->role = GY_AUTH_OPERATOR;
        return need_workspace(a, workspace, err);
    }
    return identify(a, route, req, workspace, err);
}

/* ---- whether it may ---- */

static enum gy_access access_of(const struct gy_auth *a, const struct gy_route *route)
{
    if (!route) {
        return GY_ACCESS_VIEWER;
    }
    if (a->metrics_public && strcmp(route->pattern, "/metrics") == 0) {
        return GY_ACCESS_PUBLIC;
    }
    return gy_access_of(route->access, route->method);
}

static gy_status too_little(const struct gy_request *req, struct gy_str workspace,
                            enum gy_auth_role wanted, struct gy_err *err)
{
    struct gy_str where = workspace.p ? workspace : GY_STR(GY_WORKSPACE_DEFAULT);
    if (req->role == GY_AUTH_NONE) {
        return gy_err_set(err, GY_E_DENIED,
                          "Permission denied: '%" GY_STR_F "' has no role in the workspace "
                          "'%" GY_STR_F "'; this needs %s",
                          GY_STR_A(req->actor), GY_STR_A(where), gy_auth_role_name(wanted));
    }
    (void)gy_err_set(err, GY_E_DENIED,
                     "Permission denied: '%" GY_STR_F "' is %s in the workspace '%" GY_STR_F
                     "'; this needs %s",
                     GY_STR_A(req->actor), gy_auth_role_name(req->role), GY_STR_A(where),
                     gy_auth_role_name(wanted));
    return gy_actor_named(req->actor)
               ? GY_E_DENIED
               : gy_err_hint(err, "ask over the server's socket: your user is admin there");
}

static gy_status judge(const struct gy_auth *a, const struct gy_route *route,
                       const struct gy_request *req, struct gy_str workspace, struct gy_err *err)
{
    enum gy_auth_role wanted = gy_access_role(access_of(a, route));
    if (workspace.p && (!route || !(route->flags & GY_ROUTE_SCOPED))) {
        return gy_err_set(err, GY_E_INVALID,
                          "this works in the workspace 'default' alone, not in '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(workspace, 0, 64)));
    }
    if (req->role < wanted) {
        return too_little(req, workspace, wanted, err);
    }
    if (route && route->flags & GY_ROUTE_NAMED) {
        return gy_actor_need(req->actor, route->title ? route->title : "this", err);
    }
    return GY_OK;
}

bool gy_auth_audited(const struct gy_route *route)
{
    /* What viewers may only looks, whatever its method. */
    return !(route->flags & GY_ROUTE_BULK) &&
           gy_access_of(route->access, route->method) != GY_ACCESS_VIEWER &&
           strcmp(route->method, "GET") != 0;
}

static gy_status enter(void *self, const struct gy_route *route, struct gy_request *req,
                       void **ret_pass, struct gy_err *err)
{
    struct gy_auth *a = self;
    struct pass *p = gy_arena_calloc(req->arena, 1, sizeof *p);
    struct gy_str workspace = GY_STR_NULL;
    struct gy_err why = GY_ERR_INIT;
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "looking who asks");
    }
    if (access_of(a, route) == GY_ACCESS_PUBLIC) {
        req->role = req->peer == GY_PEER_TCP ? GY_AUTH_NONE : GY_AUTH_ADMIN;
    } else {
        workspace = workspace_of(req);
        if (!workspace.p && req->peer == GY_PEER_LOCAL && gy_scope_current()) {
            workspace = gy_scope_current()->workspace; /* of whoever calls in this process */
        }
        gy_status status = find_actor(a, route, req, workspace, &why);
        if (status == GY_OK) {
            status = judge(a, route, req, workspace, &why);
            if (status == GY_E_DENIED || status == GY_E_UNAUTHENTICATED) {
                refused(a, route, req, workspace, &why);
            }
        }
        if (status != GY_OK) {
            if (err) {
                *err = why;
            }
            return status;
        }
    }
    *p = (struct pass){.scope = {.workspace = workspace, .actor = req->actor, .ctx = p},
                       .auth = a,
                       .route = route,
                       .req = req,
                       .audit = route && gy_auth_audited(route)};
    p->scope.on_write = p->audit ? audit_write : NULL;
    gy_scope_enter(&p->scope);
    *ret_pass = p;
    return GY_OK;
}

static void leave(void *self, void *pass, gy_status status, const struct gy_err *failed)
{
    struct pass *p = pass;
    gy_scope_leave(&p->scope);
    /* Refused by the room itself: the gate, or for want of a name. */
    if (p->route &&
        (status == GY_E_DENIED || status == GY_E_NOTBLESSED || status == GY_E_UNAUTHENTICATED)) {
        refused(self, p->route, p->req, p->scope.workspace, failed);
    }
}

/* On an event loop: memory of the thread, no lock, no database. */
static bool known(void *self, struct gy_request *req)
{
    static _Thread_local struct gy_auth_known tl_known;
    struct gy_auth *a = self;
    struct gy_auth_key key;
    if (workspace_of(req).p) {
        return false;
    }
    if (req->peer != GY_PEER_TCP || !a->logins) {
        req->role = req->peer == GY_PEER_TCP ? GY_AUTH_OPERATOR : GY_AUTH_ADMIN;
        return true;
    }
    struct gy_str header = gy_req_header(req, "authorization");
    if (header.n == 0 || !gy_auth_cache_key(a->cache, header, GY_STR_NULL, &key) ||
        !gy_auth_cache_get(a->cache, &key, gy_auth_mark_now(a), gy_now_us(), &tl_known) ||
        tl_known.role < GY_AUTH_VIEWER) {
        return false;
    }
    gy_auth_count(a, GY_AUTH_N_HIT);
    req->actor = gy_str_c(tl_known.actor);
    req->role = tl_known.role;
    return true;
}

/* ---- keeping up with changes ---- */

static gy_status read_generation(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_identity_generation(db, ctx, err);
}

void gy_auth_saw(struct gy_auth *a, int64_t generation)
{
    int64_t seen = atomic_load(&a->generation);
    while (seen < generation && !atomic_compare_exchange_weak(&a->generation, &seen, generation)) {
        ; /* seen was loaded anew */
    }
}

int64_t gy_auth_mark(int64_t voided, int64_t generation)
{
    return (int64_t)((uint64_t)voided << 40 ^
                     (uint64_t)generation); /* 2^40 changes are never made */
}

int64_t gy_auth_mark_now(struct gy_auth *a)
{
    return gy_auth_mark(atomic_load_explicit(&a->voided, memory_order_acquire),
                        atomic_load_explicit(&a->generation, memory_order_acquire));
}

static gy_status look(struct gy_auth *a, struct gy_err *err)
{
    int64_t generation = 0;
    GY_TRY(gy_store_read(a->store, read_generation, &generation, err));
    gy_auth_saw(a, generation);
    return GY_OK;
}

gy_status gy_auth_changed(struct gy_auth *a, struct gy_err *err)
{
    gy_status status = look(a, err);
    if (status != GY_OK) {
        /* The change is there, and this server does not see it: forget everything that it knows.
         * Not by a generation of its own: the database's would have to catch up with that before
         * anything was remembered again. */
        (void)atomic_fetch_add(&a->voided, 1);
    }
    return status;
}

static void *poll_main(void *arg)
{
    struct gy_auth *a = arg;
    (void)pthread_setname_np(pthread_self(), "auth"); /* only a label */
    (void)pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += GY_AUTH_POLL_MS / 1000;
        if (pthread_cond_timedwait(&a->wake, &a->lock, &until) != ETIMEDOUT) {
            continue;
        }
        (void)pthread_mutex_unlock(&a->lock);
        struct gy_err err = GY_ERR_INIT;
        /* What is remembered stays while the database is away: predictions go on. */
        if (look(a, &err) != GY_OK) {
            gy_log_err(GY_LOG_WARN, "auth", "changes of users can not be looked for", &err);
        }
        (void)pthread_mutex_lock(&a->lock);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}

gy_status gy_auth_start(struct gy_auth *a, const struct gy_auth_options *o, struct gy_err *err)
{
    GY_REQUIRE(!a->polls);
    a->logins = o->logins;
    a->metrics_public = o->metrics_public;
    if (o->review_key) {
        (void)snprintf(a->review_key, sizeof a->review_key, "%s", o->review_key);
    }
    if (!a->logins) {
        return GY_OK;
    }
    GY_TRY(gy_auth_changed(a, err));
    int failed = pthread_create(&a->thread, NULL, poll_main, a);
    if (failed) {
        return gy_err_sys(err, failed, "starting the thread of logins");
    }
    a->polls = true;
    return GY_OK;
}

/* ---- life ---- */

bool gy_auth_logins(const struct gy_auth *a)
{
    return a->logins;
}

const struct gy_router_guard *gy_auth_guard(const struct gy_auth *a)
{
    return &a->guard;
}

gy_status gy_auth_new(struct gy_store *store, struct gy_auth **ret, struct gy_err *err)
{
    GY_AUTO(gy_auth_free) struct gy_auth *a = gy_calloc(1, sizeof *a);
    pthread_condattr_t attr;
    if (!a) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    a->store = store;
    a->guard = (struct gy_router_guard){a, enter, leave, known};
    (void)pthread_mutex_init(&a->lock, NULL); /* these can not fail on Linux */
    (void)pthread_mutex_init(&a->hashing, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&a->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    GY_TRY(gy_auth_cache_new(&a->cache, err));
    GY_TRY(gy_auth_limit_new(&a->limit, err));
    *ret = GY_TAKE(a);
    return GY_OK;
}

void gy_auth_free(struct gy_auth *a)
{
    if (!a) {
        return;
    }
    if (a->polls) {
        (void)pthread_mutex_lock(&a->lock);
        a->stopping = true;
        (void)pthread_cond_signal(&a->wake);
        (void)pthread_mutex_unlock(&a->lock);
        (void)pthread_join(a->thread, NULL); /* joinable, joined once */
    }
    gy_auth_cache_free(a->cache);
    gy_auth_limit_free(a->limit);
    (void)pthread_cond_destroy(&a->wake);
    (void)pthread_mutex_destroy(&a->hashing);
    (void)pthread_mutex_destroy(&a->lock);
    gy_free(a);
}
