/* SPDX-License-Identifier: Apache-2.0 */
/* gy_auth: the guard of the router. It finds out who asks (the socket's peer, a login by token or
 * password, or nobody), in which workspace (X-MLFLOW-WORKSPACE), and whether the role held there is
 * enough for the route; it enters the scope in which the handler's store closures run, and writes
 * the audit log: one row for each transaction of a request, inside that transaction, and rows of
 * their own for logins and refusals.
 *
 *   socket, in-process     the system's user, admin everywhere
 *   TCP without logins     "anonymous", operator
 *   TCP with logins        Basic user:password, Basic user:token, Bearer token; else 401
 *
 * Logins are remembered (api/auth_cache.h) until they expire, GY_AUTH_REMEMBER_US have passed or
 * users, grants, tokens or workspaces change: at once on the server where they change, within
 * GY_AUTH_POLL_MS on others that share the database, or when that can be reached again: while it is
 * away nobody can change them, and who was let in stays so until what is remembered expires. Thread
 * safe; must outlive the router. */
#ifndef GY_API_AUTH_H
#define GY_API_AUTH_H

#include "net/router.h"
#include "store/audit.h"

struct gy_store;

#define GY_AUTH_REMEMBER_US ((int64_t)600 * 1000000)
#define GY_AUTH_POLL_MS 2000
#define GY_AUTH_MAX_HASHING 4        /* passwords being checked or waiting for it; beyond: BUSY */
#define GY_AUTH_REFUSED_ROWS_MIN 300 /* audit rows a minute of refusals; the rest is counted */

struct gy_auth;

GY_CHECKED gy_status gy_auth_new(struct gy_store *store, struct gy_auth **ret, struct gy_err *err);
void gy_auth_free(struct gy_auth *a); /* stops it first */
GY_DEFINE_AUTO(struct gy_auth *, gy_auth_free);

struct gy_auth_options {
    bool logins;            /* ask callers over TCP for one */
    bool metrics_public;    /* /metrics without */
    const char *review_key; /* path of the key of review tokens (watch/review_token.h) */
};
/* Before the server starts. With logins, starts the thread that looks whether another server has
 * changed something. Fails: NOMEM, FAILED, as gy_store_read. */
GY_CHECKED gy_status gy_auth_start(struct gy_auth *a, const struct gy_auth_options *o,
                                   struct gy_err *err);
bool gy_auth_logins(const struct gy_auth *a);
const struct gy_router_guard *gy_auth_guard(const struct gy_auth *a);
/* Users, grants, tokens or workspaces have changed and that is committed: what is remembered is
 * void when this returns. Fails as gy_store_read. */
GY_CHECKED gy_status gy_auth_changed(struct gy_auth *a, struct gy_err *err);

/* Are the writes of that route entered in the audit log? */
bool gy_auth_audited(const struct gy_route *route);

/* Monotonic counters. */
struct gy_auth_stats {
    uint64_t logins_ok, logins_failed, limited, cache_hits, denied, rows_left_out;
};
void gy_auth_get_stats(struct gy_auth *a, struct gy_auth_stats *ret);

#endif
