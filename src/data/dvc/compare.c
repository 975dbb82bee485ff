/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects are in the cache, which on the remote. */
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pool.h"
#include "data/dvc/plan.h"
#include "data/dvc/transfer.h"

struct compare {
    struct gy_dvc_repo *repo;
    struct gy_dvc_plan plan;
    bool *here, *there;   /* of each object */
    pthread_mutex_t lock; /* guards what follows */
    gy_status status;
    struct gy_err err; /* of the first failure */
};

static void look_in_cache(void *ctx, size_t i)
{
    struct compare *c = ctx;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_dvc_cache_has(c->repo, &c->plan.oids.oids[i], &c->here[i], &err);
    if (status != GY_OK) {
        (void)pthread_mutex_lock(&c->lock); /* an error-free default mutex */
        if (c->status == GY_OK) {
            c->status = status;
            c->err = err;
        }
        (void)pthread_mutex_unlock(&c->lock);
    }
}

static gy_status look(struct compare *c, const struct gy_dvc_transfer_options *o,
                      struct gy_dvc_remote *remote, struct gy_err *err)
{
    size_t n = c->plan.oids.n;
    int jobs = o->jobs ? o->jobs : gy_dvc_remote_jobs(remote);
    c->here = gy_calloc(2 * n + 1, sizeof *c->here);
    if (!c->here) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu objects", n);
    }
    c->there = c->here + n;
    GY_TRY(gy_parallel(jobs, n, look_in_cache, c, err));
    if (c->status != GY_OK) {
        if (err) {
            *err = c->err;
        }
        return c->status;
    }
    return gy_dvc_remote_has(remote, c->plan.oids.oids, n, jobs, c->there, err);
}

/* Lists that only the remote has come into the cache, as they do with dvc: else nothing could be
 * said of the files in them. */
static gy_status fetch_lists(struct compare *c, struct gy_dvc_remote *remote, struct gy_err *err)
{
    for (size_t i = 0; i < c->plan.n_folders; i++) {
        const struct gy_dvc_oid *oid = &c->plan.oids.oids[c->plan.folders[i].object];
        char tmp[GY_MAX_PATH];
        bool there = false;
        struct gy_err why = GY_ERR_INIT;
        GY_TRY(gy_dvc_cache_has(c->repo, oid, &there, err));
        if (there) {
            continue;
        }
        GY_TRY(gy_dvc_cache_tmp(c->repo, tmp, err));
        gy_status status = gy_dvc_remote_get(remote, oid, tmp, NULL, &why);
        if (status == GY_OK) {
            status = gy_dvc_cache_take(c->repo, oid, tmp, &why);
        }
        if (status != GY_OK && status != GY_E_NOTFOUND) {
            if (err) {
                *err = why;
            }
            return status;
        }
    }
    return gy_dvc_repo_settle(c->repo, err);
}

static gy_status compare(struct compare *c, const struct gy_dvc_out *outs, size_t n,
                         const struct gy_dvc_transfer_options *o, struct gy_dvc_remote *remote,
                         struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (outs[i].cache) {
            GY_TRY(gy_dvc_plan_add(&c->plan, &outs[i], err));
        }
    }
    GY_TRY(fetch_lists(c, remote, err));
    GY_TRY(gy_dvc_plan_open(&c->plan, c->repo, err));
    return look(c, o, remote, err);
}

static gy_status tell(const struct compare *c, struct gy_arena *a, struct gy_dvc_where **ret,
                      size_t *ret_n, size_t *ret_n_both, struct gy_err *err)
{
    size_t n = c->plan.oids.n, told = 0;
    for (size_t i = 0; i < n; i++) {
        told += c->here[i] && c->there[i] ? 0 : 1;
    }
    struct gy_dvc_where *list = gy_arena_calloc(a, told + 1, sizeof *list);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu objects", told);
    }
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!c->here[i] || !c->there[i]) {
            struct gy_str path = gy_dvc_plan_path(&c->plan, i);
            list[(*ret_n)++] = (struct gy_dvc_where){path, c->plan.oids.oids[i],
                                                     c->here[i]    ? GY_DVC_NEW
                                                     : c->there[i] ? GY_DVC_DELETED
                                                                   : GY_DVC_MISSING};
            if (!path.p) {
                return gy_err_set(err, GY_E_NOMEM, "out of memory for a path");
            }
        }
    }
    *ret = list;
    *ret_n_both = n - told;
    return GY_OK;
}

gy_status gy_dvc_compare(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                         const struct gy_dvc_transfer_options *o, struct gy_arena *a,
                         struct gy_dvc_where **ret, size_t *ret_n, size_t *ret_n_both,
                         struct gy_err *err)
{
    struct compare c = {.repo = r};
    GY_AUTO(gy_dvc_remote_free) struct gy_dvc_remote *remote = NULL;
    GY_TRY(gy_dvc_remote_open(gy_dvc_repo_config(r), o->remote, &remote, err));
    (void)pthread_mutex_init(&c.lock, NULL); /* a default mutex can not fail on Linux */
    gy_dvc_plan_init(&c.plan, a);
    gy_status status = compare(&c, outs, n, o, remote, err);
    if (status == GY_OK) {
        status = tell(&c, a, ret, ret_n, ret_n_both, err);
    }
    gy_free(c.here);
    gy_dvc_plan_done(&c.plan);
    (void)pthread_mutex_destroy(&c.lock); /* nobody holds it any more */
    return status;
}
