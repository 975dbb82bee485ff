/* SPDX-License-Identifier: Apache-2.0 */
/* What auth.c (the guard) and auth_login.c (credentials) share. Not for other files. */
#ifndef GY_API_AUTH_INTERNAL_H
#define GY_API_AUTH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/auth.h"
#include "api/auth_cache.h"
#include "api/auth_limit.h"
#include "base/limits.h"
#include "store/store.h"

enum { GY_AUTH_LANES = 16 }; /* counters: threads spread over them */

enum gy_auth_counter {
    GY_AUTH_N_OK,
    GY_AUTH_N_FAILED,
    GY_AUTH_N_LIMITED,
    GY_AUTH_N_HIT,
    GY_AUTH_N_DENIED,
    GY_AUTH_N_COUNTERS
};

/* Padded to a cache line, so that threads do not take it from each other. */
struct gy_auth_lane {
    _Atomic uint64_t counts[GY_AUTH_N_COUNTERS];
    uint64_t padding[8 - GY_AUTH_N_COUNTERS];
};

struct gy_auth {
    struct gy_store *store;
    struct gy_router_guard guard;
    struct gy_auth_cache *cache;
    struct gy_auth_limit *limit;
    bool logins, metrics_public; /* set before the server starts */
    char review_key[GY_MAX_PATH];
    _Atomic int64_t generation; /* the newest seen; what was remembered before it is void */
    _Atomic int64_t voided;     /* times that all was forgotten without a newer one */
    struct gy_auth_lane lanes[GY_AUTH_LANES];

    pthread_mutex_t hashing; /* one password at a time */
    _Atomic int n_hashing;   /* with it or waiting for it */

    pthread_t thread;
    bool polls;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    bool stopping;
    int64_t rows_since_us; /* the minute of rows */
    int rows;              /* refusals written in it */
    int64_t left_out;      /* since the last one that was written */
    uint64_t rows_left_out;
};

void gy_auth_count(struct gy_auth *a, enum gy_auth_counter which);
void gy_auth_saw(struct gy_auth *a, int64_t generation);
/* What entries of the cache are marked with: two different ones never mean the same logins. */
int64_t gy_auth_mark(int64_t voided, int64_t generation);
int64_t gy_auth_mark_now(struct gy_auth *a);
/* An audit row of a refusal, within GY_AUTH_REFUSED_ROWS_MIN; false: beyond that, only counted. */
bool gy_auth_refused_row(struct gy_auth *a, const struct gy_audit *entry);
gy_status gy_auth_no_workspace(struct gy_str name, struct gy_err *err); /* NOTFOUND, always */

/* ---- auth_login.c ---- */
/* req->actor and req->role from the Authorization header, remembered or looked up. Fails:
 * UNAUTHENTICATED, LIMITED, BUSY, NOTFOUND (the workspace), as gy_store_read. */
GY_CHECKED gy_status gy_auth_log_in(struct gy_auth *a, struct gy_request *req, struct gy_str header,
                                    struct gy_str workspace, struct gy_err *err);

#endif
