/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/transfer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "data/dvc/import.h"
#include "data/dvc/plan.h"
#include "data/dvc/runs.h"
#include "data/dvc/status.h"

/* What is known of an object. */
enum state { UNKNOWN, WANTED, PRESENT, DONE, FAILED };

struct job {
    struct gy_dvc_repo *repo;
    struct gy_dvc_remote *remote;
    const struct gy_dvc_transfer_options *o;
    struct gy_dvc_plan plan;
    unsigned char *states; /* of each object; written by the one thread that works on it */
    size_t n_states;
    uint32_t *todo; /* numbers of objects */
    size_t n_todo;
    struct gy_dvc_transfer *ret;
    pthread_mutex_t lock; /* guards ret, shown */
    int64_t done, total;
    atomic_bool stop; /* what follows would fail alike */
};

static int jobs_of(const struct job *j)
{
    int n = j->o->jobs > 0 ? j->o->jobs : gy_dvc_remote_jobs(j->remote);
    return n > GY_DVC_MAX_JOBS ? GY_DVC_MAX_JOBS : n;
}

/* Room for the states and the list of what is to be done of all objects so far. */
static gy_status grow(struct job *j, struct gy_err *err)
{
    size_t n = j->plan.oids.n;
    unsigned char *states = gy_realloc(j->states, n + 1);
    j->states = states ? states : j->states;
    uint32_t *todo = gy_reallocarray(j->todo, n + 1, sizeof *todo);
    j->todo = todo ? todo : j->todo;
    if (!states || !todo) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu objects", n);
    }
    memset(states + j->n_states, UNKNOWN, n - j->n_states);
    j->n_states = n;
    return GY_OK;
}

/* Others will meet it, too. */
static bool ends_all(gy_status status)
{
    return status == GY_E_DENIED || status == GY_E_NOSPACE || status == GY_E_UNAVAILABLE ||
           status == GY_E_NOMEM || status == GY_E_UNSUPPORTED;
}

static void tell_failure(struct job *j, size_t i, gy_status status, const struct gy_err *err)
{
    struct gy_dvc_transfer *t = j->ret;
    if (t->status == GY_OK) {
        t->status = status;
        (void)snprintf(t->hint, sizeof t->hint, "%s", err->hint);
    }
    t->n_failed++;
    if (t->n_told < GY_DVC_MAX_TOLD) {
        struct gy_dvc_failure *f = &t->told[t->n_told++];
        *f = (struct gy_dvc_failure){gy_dvc_plan_path(&j->plan, i), j->plan.oids.oids[i], status,
                                     ""};
        (void)snprintf(f->msg, sizeof f->msg, "%.255s", err->msg);
    }
}

static void finish(struct job *j, size_t i, gy_status status, int64_t bytes,
                   const struct gy_err *err)
{
    (void)pthread_mutex_lock(&j->lock); /* an error-free default mutex */
    j->states[i] = status == GY_OK ? DONE : FAILED;
    if (status == GY_OK) {
        j->ret->n_done++;
        j->ret->done_bytes += bytes;
    } else {
        tell_failure(j, i, status, err);
        if (ends_all(status)) {
            atomic_store(&j->stop, true);
        }
    }
    j->done++;
    if (j->o->progress) {
        j->o->progress(j->o->progress_ctx, j->done, j->total);
    }
    (void)pthread_mutex_unlock(&j->lock);
}

/* The objects in state WANTED that are (not) lists of folders. */
static void collect(struct job *j, bool dirs)
{
    j->n_todo = 0;
    for (size_t i = 0; i < j->plan.oids.n; i++) {
        if (j->states[i] == WANTED && gy_dvc_oid_is_dir(&j->plan.oids.oids[i]) == dirs) {
            j->todo[j->n_todo++] = (uint32_t)i;
        }
    }
}

static gy_status run(struct job *j, void (*fn)(void *ctx, size_t i), struct gy_err *err)
{
    j->total += (int64_t)j->n_todo;
    return gy_parallel(jobs_of(j), j->n_todo, fn, j, err);
}

static void count_untried(struct job *j)
{
    for (size_t i = 0; i < j->plan.oids.n; i++) {
        j->ret->n_untried += j->states[i] == WANTED ? 1 : 0;
        j->ret->n_present += j->states[i] == PRESENT ? 1 : 0;
    }
    j->ret->n_objects += (int64_t)j->plan.oids.n;
}

/* ---- push ---- */

static void push_one(void *ctx, size_t k)
{
    struct job *j = ctx;
    size_t i = j->todo[k];
    char path[GY_MAX_PATH];
    int64_t bytes = 0;
    struct gy_err err = GY_ERR_INIT;
    if (atomic_load(&j->stop)) {
        return;
    }
    const struct gy_dvc_oid *oid = &j->plan.oids.oids[i];
    gy_status status = gy_dvc_cache_path(j->repo, oid, path, &err);
    if (status == GY_OK) {
        status = gy_dvc_remote_put(j->remote, oid, path, &bytes, &err);
    }
    if (status == GY_E_NOTFOUND && access(path, F_OK) != 0) {
        (void)gy_err_set(&err, status, "it is neither in the cache nor on the remote");
    }
    finish(j, i, status, bytes, &err);
}

/* Ask which of the unknown objects that are (not) lists are there. */
static gy_status look(struct job *j, bool dirs, struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < j->plan.oids.n; i++) {
        if (j->states[i] == UNKNOWN && gy_dvc_oid_is_dir(&j->plan.oids.oids[i]) == dirs) {
            j->todo[n++] = (uint32_t)i;
        }
    }
    GY_AUTO(gy_free) char *memory = gy_malloc(n * (sizeof(struct gy_dvc_oid) + sizeof(bool)) + 1);
    if (!memory) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu objects", n);
    }
    struct gy_dvc_oid *oids = (struct gy_dvc_oid *)(void *)memory;
    bool *there = (bool *)(memory + n * sizeof *oids);
    for (size_t k = 0; k < n; k++) {
        oids[k] = j->plan.oids.oids[j->todo[k]];
    }
    GY_TRY(gy_dvc_remote_has(j->remote, oids, n, jobs_of(j), there, err));
    for (size_t k = 0; k < n; k++) {
        j->states[j->todo[k]] = there[k] ? PRESENT : WANTED;
    }
    return GY_OK;
}

/* A .dir that is there says that its files are, too. */
static void trust_dirs(struct job *j)
{
    for (size_t f = 0; f < j->plan.n_folders && !j->o->check_all; f++) {
        const struct gy_dvc_folder *folder = &j->plan.folders[f];
        for (size_t k = 0; k < folder->n_files && j->states[folder->object] == PRESENT; k++) {
            j->states[folder->files[k]] = PRESENT;
        }
    }
}

/* Those that name a file which is not there do not go. */
static void hold_dirs(struct job *j)
{
    for (size_t f = 0; f < j->plan.n_folders; f++) {
        const struct gy_dvc_folder *folder = &j->plan.folders[f];
        unsigned char *state = &j->states[folder->object];
        bool complete = folder->opened;
        for (size_t k = 0; k < folder->n_files && complete; k++) {
            unsigned char file = j->states[folder->files[k]];
            complete = file == PRESENT || file == DONE;
        }
        if (*state == WANTED && folder->opened && !complete) {
            *state = FAILED;
            j->ret->n_held++;
        }
    }
}

static gy_status push_objects(struct job *j, struct gy_err *err)
{
    GY_TRY(gy_dvc_plan_open(&j->plan, j->repo, err));
    GY_TRY(grow(j, err));
    GY_TRY(look(j, true, err));
    trust_dirs(j);
    GY_TRY(look(j, false, err));
    collect(j, false);
    GY_TRY(run(j, push_one, err));
    hold_dirs(j);
    collect(j, true);
    if (j->n_todo) {
        GY_TRY(
            gy_dvc_remote_sync(j->remote, err)); /* or a power loss leaves a list without files */
        GY_TRY(run(j, push_one, err));
    }
    return gy_dvc_remote_sync(j->remote, err);
}

/* ---- fetch ---- */

static void look_in_cache(void *ctx, size_t k)
{
    struct job *j = ctx;
    size_t i = j->todo[k];
    bool there = false;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_dvc_cache_has(j->repo, &j->plan.oids.oids[i], &there, &err);
    if (status != GY_OK) {
        finish(j, i, status, 0, &err);
        return;
    }
    j->states[i] = there ? PRESENT : WANTED;
}

static void fetch_one(void *ctx, size_t k)
{
    struct job *j = ctx;
    size_t i = j->todo[k];
    char tmp[GY_MAX_PATH];
    int64_t bytes = 0;
    struct gy_err err = GY_ERR_INIT;
    if (atomic_load(&j->stop)) {
        return;
    }
    const struct gy_dvc_oid *oid = &j->plan.oids.oids[i];
    gy_status status = gy_dvc_cache_tmp(j->repo, tmp, &err);
    if (status == GY_OK) {
        status = gy_dvc_remote_get(j->remote, oid, tmp, &bytes, &err);
    }
    if (status == GY_OK) {
        status = gy_dvc_cache_take(j->repo, oid, tmp, &err);
        if (status != GY_OK) {
            (void)unlink(tmp); /* it may be gone */
        }
    } else if (status == GY_E_NOTFOUND) {
        (void)gy_err_set(&err, status, "it is neither in the cache nor on the remote");
    }
    finish(j, i, status, bytes, &err);
}

/* What is missing of the unknown objects that are (not) lists comes. */
static gy_status fetch_kind(struct job *j, bool dirs, struct gy_err *err)
{
    GY_TRY(grow(j, err));
    j->n_todo = 0;
    for (size_t i = 0; i < j->plan.oids.n; i++) {
        if (j->states[i] == UNKNOWN && gy_dvc_oid_is_dir(&j->plan.oids.oids[i]) == dirs) {
            j->todo[j->n_todo++] = (uint32_t)i;
        }
    }
    GY_TRY(gy_parallel(jobs_of(j), j->n_todo, look_in_cache, j, err));
    collect(j, dirs);
    return run(j, fetch_one, err);
}

static gy_status fetch_objects(struct job *j, struct gy_err *err)
{
    GY_TRY(fetch_kind(j, true, err));
    GY_TRY(gy_dvc_plan_open(&j->plan, j->repo, err));
    GY_TRY(fetch_kind(j, false, err));
    return gy_dvc_repo_settle(j->repo, err);
}

/* ---- one remote after the other ---- */

/* The name of the remote that an output goes to; absent: the default. */
static struct gy_str remote_of(const struct gy_dvc_out *out,
                               const struct gy_dvc_transfer_options *o)
{
    return o->remote ? gy_str_c(o->remote) : out->remote;
}

/* DVC passes over outputs that have another remote than the one asked for. */
static bool is_wanted(const struct gy_dvc_out *out, const struct gy_dvc_transfer_options *o)
{
    bool elsewhere = o->remote && out->remote.p && !gy_str_ieq(out->remote, gy_str_c(o->remote));
    return out->cache && out->oid.hex[0] && !elsewhere;
}

/* Is it the first output with its remote? */
static bool is_first(const struct gy_dvc_out *outs, size_t i, const bool *wanted,
                     const struct gy_dvc_transfer_options *o)
{
    for (size_t k = 0; k < i; k++) {
        if (wanted[k] && gy_str_ieq(remote_of(&outs[k], o), remote_of(&outs[i], o))) {
            return false;
        }
    }
    return true;
}

static void job_done(struct job *j)
{
    gy_free(j->states);
    gy_free(j->todo);
    gy_dvc_plan_done(&j->plan);
    if (j->remote != j->o->to) {
        gy_dvc_remote_free(j->remote);
    }
    (void)pthread_mutex_destroy(&j->lock); /* nobody holds it any more */
}

struct direction {
    gy_status (*objects)(struct job *j, struct gy_err *err);
    gy_status (*runs)(const struct gy_dvc_repo *r, struct gy_dvc_remote *remote, int jobs,
                      int64_t *ret_n, struct gy_err *err);
};

static gy_status to_remote(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                           const bool *wanted, size_t first,
                           const struct gy_dvc_transfer_options *o, const struct direction *d,
                           struct gy_arena *a, struct gy_dvc_transfer *ret, struct gy_err *err)
{
    struct job j = {.repo = r, .o = o, .ret = ret};
    char name[GY_MAX_NAME + 1];
    struct gy_str remote = n ? remote_of(&outs[first], o) : gy_str_c(o->remote);
    if (remote.n >= sizeof name) {
        return gy_err_set(err, GY_E_INVALID, "the name of a remote is too long");
    }
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(remote));
    (void)pthread_mutex_init(&j.lock, NULL); /* a default mutex can not fail on Linux */
    gy_dvc_plan_init(&j.plan, a);
    gy_status status = GY_OK;
    j.remote = o->to;
    if (!o->to) {
        status = gy_dvc_remote_open(gy_dvc_repo_config(r), remote.p ? name : NULL, &j.remote, err);
    }
    for (size_t i = first; i < n && status == GY_OK; i++) {
        if (wanted[i] && gy_str_ieq(remote_of(&outs[i], o), remote)) {
            status = gy_dvc_plan_add(&j.plan, &outs[i], err);
        }
    }
    if (status == GY_OK) {
        status = d->objects(&j, err);
    }
    count_untried(&j);
    if (status == GY_OK && o->run_cache && !atomic_load(&j.stop)) {
        status = d->runs(r, j.remote, jobs_of(&j), &ret->n_runs, err);
    }
    job_done(&j);
    return status;
}

static gy_status all_remotes(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                             bool *wanted, const struct gy_dvc_transfer_options *o,
                             const struct direction *d, struct gy_arena *a,
                             struct gy_dvc_transfer *ret, struct gy_err *err)
{
    *ret = (struct gy_dvc_transfer){.status = GY_OK};
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (wanted[i] && is_first(outs, i, wanted, o)) {
            any = true;
            GY_TRY(to_remote(r, outs, n, wanted, i, o, d, a, ret, err));
        }
    }
    if (!any && o->run_cache) {
        return to_remote(r, NULL, 0, NULL, 0, o, d, a, ret, err);
    }
    return GY_OK;
}

gy_status gy_dvc_push(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                      const struct gy_dvc_transfer_options *o, struct gy_arena *a,
                      struct gy_dvc_transfer *ret, struct gy_err *err)
{
    static const struct direction push = {push_objects, gy_dvc_push_runs};
    bool *wanted = gy_arena_calloc(a, n + 1, sizeof *wanted);
    if (!wanted) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu outputs", n);
    }
    for (size_t i = 0; i < n; i++) {
        bool elsewhere = false;
        GY_TRY(gy_dvc_is_repo_import(r, &outs[i], &elsewhere, err));
        wanted[i] = outs[i].push && !elsewhere && is_wanted(&outs[i], o);
    }
    return all_remotes(r, outs, n, wanted, o, &push, a, ret, err);
}

gy_status gy_dvc_fetch(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                       const struct gy_dvc_transfer_options *o, struct gy_arena *a,
                       struct gy_dvc_transfer *ret, struct gy_err *err)
{
    static const struct direction fetch = {fetch_objects, gy_dvc_fetch_runs};
    bool *wanted = gy_arena_calloc(a, n + 1, sizeof *wanted);
    if (!wanted) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu outputs", n);
    }
    for (size_t i = 0; i < n; i++) {
        bool elsewhere = false;
        GY_TRY(gy_dvc_is_repo_import(r, &outs[i], &elsewhere, err));
        wanted[i] = !elsewhere && is_wanted(&outs[i], o);
        bool cached = false; /* then its source need not be at hand */
        if (elsewhere && outs[i].oid.hex[0]) {
            GY_TRY(gy_dvc_cached(r, &outs[i].oid, a, &cached, err));
        }
        if (elsewhere && !cached) {
            GY_TRY(gy_dvc_fetch_import(r, &outs[i], a, err));
        }
    }
    return all_remotes(r, outs, n, wanted, o, &fetch, a, ret, err);
}
