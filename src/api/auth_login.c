/* SPDX-License-Identifier: Apache-2.0 */
/* From an Authorization header to a name and a role. What was found is remembered; what was not is
 * looked up on the worker that asks: a token by its SHA-256, a password by argon2id, one at a time,
 * so that logging in can not use up memory or all processors. */
#include <stdio.h>
#include <sodium.h>

#include "api/auth_internal.h"
#include "base/log.h"
#include "base/time.h"
#include "net/authorization.h"
#include "store/scope.h"
#include "store/users.h"

/* One look-up. */
struct look {
    struct gy_authorization who;
    struct gy_str workspace; /* never absent */
    int64_t now_us;
    struct gy_arena *arena;
    struct gy_login login;
    int64_t voided, generation; /* what the server had forgotten before, and what it then read */
    bool exists;                /* the workspace */
};

static gy_status read_common(struct gy_db *db, struct look *l, struct gy_err *err)
{
    GY_TRY(gy_identity_generation(db, &l->generation, err));
    return gy_workspace_exists(db, l->workspace, &l->exists, err);
}

static gy_status read_by_token(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct look *l = ctx;
    GY_TRY(read_common(db, l, err));
    return gy_login_token(db, l->who.secret, l->workspace, l->now_us, l->arena, &l->login, err);
}

static gy_status read_by_name(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct look *l = ctx;
    GY_TRY(read_common(db, l, err));
    return gy_login_user(db, l->who.user, l->workspace, l->arena, &l->login, err);
}

static gy_status by_token(struct gy_auth *a, struct look *l, struct gy_err *err)
{
    GY_TRY(gy_store_read(a->store, read_by_token, l, err));
    if (l->who.user.p && !gy_str_eq(l->who.user, l->login.user)) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the token is another user's");
    }
    return GY_OK;
}

static gy_status check_password(struct gy_auth *a, struct look *l, struct gy_err *err)
{
    GY_TRY(gy_store_read(a->store, read_by_name, l, err));
    /* Unknown users and those without password take as long as others. */
    if (!gy_password_matches(l->who.secret, l->login.password_hash)) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the user or the password is wrong");
    }
    return GY_OK;
}

/* Another worker may have checked the same password while this one waited for its turn. */
static bool known_by_now(struct gy_auth *a, const struct gy_auth_key *key,
                         struct gy_auth_known *ret)
{
    return gy_auth_cache_get(a->cache, key, gy_auth_mark_now(a), gy_now_us(), ret);
}

static void remember(struct gy_auth *a, const struct look *l, const struct gy_auth_key *key,
                     struct gy_auth_known *known)
{
    int64_t expires = l->now_us + GY_AUTH_REMEMBER_US;
    if (l->login.expires_us && l->login.expires_us < expires) {
        expires = l->login.expires_us;
    }
    (void)snprintf(known->actor, sizeof known->actor, "%" GY_STR_F, GY_STR_A(l->login.user));
    known->role = l->login.role;
    if (l->exists) {
        gy_auth_saw(a, l->generation); /* what it was looked up in may be newer than what we know */
        gy_auth_cache_put(a->cache, key, gy_auth_mark(l->voided, l->generation), expires, known);
    }
}

static gy_status by_password(struct gy_auth *a, struct look *l, const struct gy_auth_key *key,
                             struct gy_str peer, struct gy_auth_known *ret_known, bool *ret_hit,
                             struct gy_err *err)
{
    if (!gy_auth_limit_allows(a->limit, l->who.user, peer, l->now_us)) {
        gy_auth_count(a, GY_AUTH_N_LIMITED);
        (void)gy_err_set(err, GY_E_LIMITED, "too many wrong passwords");
        return gy_err_hint(err, "wait a minute; tokens work meanwhile");
    }
    if (atomic_fetch_add(&a->n_hashing, 1) >= GY_AUTH_MAX_HASHING) {
        (void)atomic_fetch_sub(&a->n_hashing, 1);
        return gy_err_set(err, GY_E_BUSY, "too many passwords are being checked");
    }
    (void)pthread_mutex_lock(&a->hashing);
    gy_status status = GY_OK;
    *ret_hit = known_by_now(a, key, ret_known);
    if (!*ret_hit) {
        status = check_password(a, l, err);
        if (status == GY_OK) {
            remember(a, l, key, ret_known); /* before the next one looks */
        }
    }
    (void)pthread_mutex_unlock(&a->hashing);
    (void)atomic_fetch_sub(&a->n_hashing, 1);
    if (status == GY_E_UNAUTHENTICATED) {
        gy_auth_limit_failed(a->limit, l->who.user, peer, l->now_us);
    } else if (status == GY_OK) {
        gy_auth_limit_succeeded(a->limit, l->who.user, peer);
    }
    return status;
}

/* ---- writing it down ---- */

struct used_call {
    const struct look *look;
    struct gy_audit entry;
};

static gy_status note_use(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct used_call *c = ctx;
    GY_TRY(gy_login_used(db, &c->look->login, c->look->now_us, err));
    return gy_audit_add(db, &c->entry, err);
}

static struct gy_audit login_entry(const struct gy_request *req, struct gy_str actor,
                                   struct gy_str workspace, const char *outcome)
{
    return (struct gy_audit){.actor = actor,
                             .workspace = workspace,
                             .action = GY_STR("login"),
                             .outcome = gy_str_c(outcome),
                             .request_id = req->request_id,
                             .peer = req->peer_address};
}

/* Once in an hour for each user or token: somebody who works all day logs in a few times. */
static void succeeded(struct gy_auth *a, const struct gy_request *req, const struct look *l)
{
    struct gy_err err = GY_ERR_INIT;
    struct used_call c = {.look = l,
                          .entry = login_entry(req, l->login.user, l->workspace, "done")};
    gy_auth_count(a, GY_AUTH_N_OK);
    if (!l->login.note_use) {
        return;
    }
    c.entry.subject = l->login.token_id;
    c.entry.detail = l->login.token_id.p ? GY_STR("by token") : GY_STR("by password");
    if (gy_store_write(a->store, note_use, &c, &err) != GY_OK) {
        /* Reading must go on while nothing can be written (a full disk). */
        gy_log_err(GY_LOG_ERROR, "audit", "a login could not be written down", &err);
    }
}

/* The name that was given is told only when it could be one: somebody may have typed a password
 * there. */
static void failed(struct gy_auth *a, const struct gy_request *req, const struct look *l,
                   const struct gy_err *why)
{
    bool is_name = l->who.user.n && gy_user_check_name(l->who.user, NULL) == GY_OK &&
                   !gy_token_looks_so(gy_secret_of(l->who.user));
    struct gy_audit e =
        login_entry(req, is_name ? l->who.user : GY_STR("anonymous"), l->workspace, "failed");
    e.detail = gy_str_c(why->msg);
    if (why->code == GY_E_UNAUTHENTICATED) {
        gy_auth_count(a, GY_AUTH_N_FAILED);
    }
    if (gy_auth_refused_row(a, &e)) { /* the server's log is bounded as the audit log is */
        gy_log(GY_LOG_WARN, "auth", "login refused", GY_KV_S("user", e.actor),
               GY_KV_S("peer", req->peer_address), GY_KV_C("why", why->msg));
    }
}

/* ---- */

static gy_status look_up(struct gy_auth *a, const struct gy_request *req, struct gy_str header,
                         struct look *l, const struct gy_auth_key *key,
                         struct gy_auth_known *ret_known, bool *ret_hit, struct gy_err *err)
{
    char *room = gy_arena_alloc(l->arena, GY_AUTHORIZATION_MAX);
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "looking who asks");
    }
    GY_TRY(gy_authorization_parse(header, room, &l->who, err));
    if (gy_token_looks_so(l->who.secret)) {
        return by_token(a, l, err);
    }
    if (!l->who.user.p) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the token is not known");
    }
    return by_password(a, l, key, req->peer_address, ret_known, ret_hit, err);
}

static gy_status use(struct gy_request *req, const struct gy_auth_known *known, struct gy_err *err)
{
    req->actor = gy_arena_str(req->arena, gy_str_c(known->actor));
    req->role = known->role;
    return req->actor.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "looking who asks");
}

gy_status gy_auth_log_in(struct gy_auth *a, struct gy_request *req, struct gy_str header,
                         struct gy_str workspace, struct gy_err *err)
{
    struct gy_auth_key key;
    struct gy_auth_known known = {.role = GY_AUTH_NONE};
    struct gy_err why = GY_ERR_INIT;
    struct look l = {.workspace = workspace.p ? workspace : GY_STR(GY_WORKSPACE_DEFAULT),
                     .now_us = gy_now_us(),
                     .arena = req->arena,
                     .voided = atomic_load_explicit(&a->voided, memory_order_acquire)};
    bool hit = false;
    gy_status status = GY_OK;
    if (!gy_auth_cache_key(a->cache, header, workspace, &key)) {
        status = gy_err_set(&why, GY_E_UNAUTHENTICATED, "the Authorization header is too long");
    } else if (known_by_now(a, &key, &known)) {
        hit = true;
    } else {
        status = look_up(a, req, header, &l, &key, &known, &hit, &why);
    }
    if (status != GY_OK) {
        if (status == GY_E_UNAUTHENTICATED || status == GY_E_LIMITED) {
            failed(a, req, &l, &why);
        }
        if (err) {
            *err = why;
        }
        return status;
    }
    if (hit) {
        gy_auth_count(a, GY_AUTH_N_HIT);
        return use(req, &known, err);
    }
    remember(a, &l, &key, &known);
    succeeded(a, req, &l);
    return l.exists ? use(req, &known, err) : gy_auth_no_workspace(l.workspace, err);
}
