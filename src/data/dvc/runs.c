/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/runs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"

#define PREFIX "runs/"

struct runs {
    const struct gy_dvc_repo *repo;
    struct gy_dvc_remote *remote;
    struct gy_map here, there; /* keys */
    const char **todo;
    size_t n_todo;
    pthread_mutex_t lock; /* guards what follows */
    gy_status status;
    struct gy_err err; /* of the first failure */
    atomic_bool failed;
};

/* "runs/ab/abcd...(64)/abcd...(64)": what is none is left alone. */
static bool is_run(struct gy_str key)
{
    struct gy_str rest = gy_str_sub(key, sizeof PREFIX - 1, key.n), two, name, value;
    return gy_str_starts(key, GY_STR(PREFIX)) && gy_str_cut(rest, '/', &two, &rest) &&
           gy_str_cut(rest, '/', &name, &value) && gy_is_hex(two, 2) && gy_is_hex(name, 64) &&
           gy_is_hex(value, 64) && gy_str_starts(name, two);
}

static gy_status note_there(void *ctx, const char *key, int64_t size_bytes, struct gy_err *err)
{
    struct runs *r = ctx;
    (void)size_bytes;
    return is_run(gy_str_c(key)) ? gy_map_put(&r->there, gy_str_c(key), r, err) : GY_OK;
}

struct level {
    struct runs *r;
    const char *key;
    int depth;
};

static gy_status note_here(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct level *l = ctx;
    char key[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_TRY(gy_path_join(key, sizeof key, l->key, name, err));
    if (!is_dir) {
        return is_run(gy_str_c(key)) ? gy_map_put(&l->r->here, gy_str_c(key), l->r, err) : GY_OK;
    }
    struct level below = {l->r, key, l->depth + 1};
    GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_cache(l->r->repo), key, err));
    return l->depth < 2 ? gy_dir_each(path, note_here, &below, err) : GY_OK;
}

static gy_status look(struct runs *r, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct level top = {r, "runs", 0};
    GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_cache(r->repo), "runs", err));
    if (gy_path_is_dir(path)) {
        GY_TRY(gy_dir_each(path, note_here, &top, err));
    }
    return gy_dvc_remote_list_keys(r->remote, PREFIX, note_there, r, err);
}

static gy_status push_one(struct runs *r, const char *key, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_DVC_MAX_RUN);
    GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_cache(r->repo), key, err));
    GY_TRY(gy_file_read(path, &bytes, err));
    return gy_dvc_remote_put_key(r->remote, key, gy_buf_str(&bytes), err);
}

static gy_status fetch_one(struct runs *r, const char *key, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_DVC_MAX_RUN);
    GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_cache(r->repo), key, err));
    GY_TRY(gy_dvc_remote_get_key(r->remote, key, &bytes, err));
    GY_TRY(gy_dir_make_for(path, err));
    return gy_file_write(path, gy_buf_str(&bytes), 0644, err);
}

static void one(struct runs *r, size_t i,
                gy_status (*fn)(struct runs *r, const char *key, struct gy_err *err))
{
    struct gy_err err = GY_ERR_INIT;
    if (atomic_load(&r->failed)) {
        return;
    }
    gy_status status = fn(r, r->todo[i], &err);
    if (status != GY_OK) {
        (void)pthread_mutex_lock(&r->lock); /* an error-free default mutex */
        if (r->status == GY_OK) {
            r->status = status;
            r->err = err;
        }
        (void)pthread_mutex_unlock(&r->lock);
        atomic_store(&r->failed, true);
    }
}

static void push_at(void *ctx, size_t i)
{
    one(ctx, i, push_one);
}

static void fetch_at(void *ctx, size_t i)
{
    one(ctx, i, fetch_one);
}

static gy_status transfer(struct runs *r, bool push, int jobs, int64_t *ret_n, struct gy_err *err)
{
    GY_TRY(look(r, err));
    const struct gy_map *from = push ? &r->here : &r->there, *to = push ? &r->there : &r->here;
    r->todo = gy_calloc(from->n_live + 1, sizeof *r->todo);
    if (!r->todo) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the run cache");
    }
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(from, &pos)) != NULL;) {
        if (!gy_map_has(to, e->key)) {
            r->todo[r->n_todo++] = e->key.p;
        }
    }
    GY_TRY(gy_parallel(jobs, r->n_todo, push ? push_at : fetch_at, r, err));
    if (r->status != GY_OK) {
        if (err) {
            *err = r->err;
        }
        return r->status;
    }
    *ret_n += (int64_t)r->n_todo;
    return push ? gy_dvc_remote_sync(r->remote, err) : GY_OK;
}

static gy_status both(const struct gy_dvc_repo *repo, struct gy_dvc_remote *remote, bool push,
                      int jobs, int64_t *ret_n, struct gy_err *err)
{
    struct runs r = {.repo = repo, .remote = remote};
    gy_map_init(&r.here, GY_DVC_MAX_RUNS);
    gy_map_init(&r.there, GY_DVC_MAX_RUNS);
    (void)pthread_mutex_init(&r.lock, NULL); /* a default mutex can not fail on Linux */
    gy_status status = transfer(&r, push, jobs, ret_n, err);
    (void)pthread_mutex_destroy(&r.lock); /* nobody holds it any more */
    gy_free(r.todo);
    gy_map_done(&r.here);
    gy_map_done(&r.there);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "the run cache");
}

gy_status gy_dvc_push_runs(const struct gy_dvc_repo *r, struct gy_dvc_remote *remote, int jobs,
                           int64_t *ret_n, struct gy_err *err)
{
    return both(r, remote, true, jobs, ret_n, err);
}

gy_status gy_dvc_fetch_runs(const struct gy_dvc_repo *r, struct gy_dvc_remote *remote, int jobs,
                            int64_t *ret_n, struct gy_err *err)
{
    return both(r, remote, false, jobs, ret_n, err);
}
