/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/gc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"

struct collector {
    struct gy_dvc_repo *repo;
    const struct gy_dvc_gc_options *o;
    struct gy_dvc_oidset used, unused; /* unused: of one side */
    struct gy_arena arena;             /* lists of folders */
    struct gy_dvc_gc_side *side;
    pthread_mutex_t lock; /* guards what follows */
    gy_status status;
    struct gy_err err; /* of the first failure */
    atomic_bool failed;
    bool dirs; /* which kind is being removed */
};

static gy_status take_file(void *ctx, struct gy_str path, struct gy_str text, struct gy_err *err)
{
    struct collector *c = ctx;
    char name[GY_MAX_PATH];
    if (gy_str_ends(path, GY_STR("dvc.yaml"))) {
        return GY_OK; /* its dvc.lock says what was made */
    }
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(path));
    return gy_dvc_named_by(text, name, &c->used, err);
}

static gy_status take_project(struct collector *c, struct gy_dvc_repo *repo, int64_t *n_revisions,
                              struct gy_err *err)
{
    const struct gy_dvc_scope *s = &c->o->scope;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_GIB);
    GY_TRY(gy_dvc_files_here(repo, take_file, c, err));
    if (!s->branches && !s->tags && !s->commits && !s->experiments && !s->n_revs) {
        return GY_OK;
    }
    struct gy_str *commits = NULL;
    size_t n = 0;
    GY_TRY(gy_dvc_commits(gy_dvc_repo_root(repo), s, &a, &commits, &n, err));
    *n_revisions += (int64_t)n;
    return gy_dvc_files_at(gy_dvc_repo_root(repo), commits, n, take_file, c, err);
}

/* The list of a folder from the cache, or from the remote into a file for the moment. */
static gy_status load_list(struct collector *c, const struct gy_dvc_oid *oid,
                           struct gy_dvc_entry **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_arena_reset(&c->arena);
    gy_status status = gy_dvc_dir_load(c->repo, oid, &c->arena, ret, ret_n, &why);
    if (status == GY_E_NOTFOUND && c->o->remote) {
        char tmp[GY_MAX_PATH];
        GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
        gy_buf_init(&json, GY_GIB);
        GY_TRY(gy_dvc_cache_tmp(c->repo, tmp, err));
        why = (struct gy_err)GY_ERR_INIT;
        status = gy_dvc_remote_get(c->o->remote, oid, tmp, NULL, &why);
        if (status == GY_OK) {
            status = gy_file_read(tmp, &json, &why);
            (void)unlink(tmp); /* it was only for a look */
        }
        if (status == GY_OK) {
            char *text = gy_arena_strdup(&c->arena, gy_buf_str(&json)); /* entries are views */
            status = text ? gy_dvc_dir_parse(gy_str_n(text, json.n), &c->arena, ret, ret_n, &why)
                          : gy_err_set(&why, GY_E_NOMEM, "out of memory for a list");
        }
    }
    if (status == GY_E_NOTFOUND) {
        (void)gy_err_set(
            err, GY_E_CONFLICT,
            "the list %s of a folder that is in use is not in the cache%s: which files "
            "it needs is not known",
            oid->hex, c->o->remote ? " and not on the remote" : "");
        return gy_err_hint(err, "fetch it first: gyre data fetch");
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

static gy_status open_lists(struct collector *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->used.n; i++) {
        struct gy_dvc_oid oid = c->used.oids[i]; /* a copy: the set grows */
        struct gy_dvc_entry *entries = NULL;
        size_t n = 0;
        if (!gy_dvc_oid_is_dir(&oid)) {
            continue;
        }
        GY_TRY(load_list(c, &oid, &entries, &n, err));
        for (size_t k = 0; k < n; k++) {
            struct gy_dvc_oid file = {.legacy = oid.legacy};
            memcpy(file.hex, entries[k].md5, GY_MD5_HEX);
            GY_TRY(gy_dvc_oidset_add(&c->used, &file, NULL, NULL, err));
        }
    }
    return GY_OK;
}

/* ---- what is there ---- */

static gy_status see(void *ctx, const struct gy_dvc_oid *oid, int64_t size_bytes,
                     struct gy_err *err)
{
    struct collector *c = ctx;
    c->side->n_objects++;
    if (gy_dvc_oidset_find(&c->used, oid) != SIZE_MAX) {
        return GY_OK;
    }
    c->side->n_unused++;
    c->side->unused_bytes += size_bytes;
    return gy_dvc_oidset_add(&c->unused, oid, NULL, NULL, err);
}

struct folder {
    struct collector *c;
    const char *key; /* below the cache */
    int depth;       /* folders that an object's key still has */
};

static gy_status see_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct folder *f = ctx;
    char key[GY_MAX_PATH], path[GY_MAX_PATH];
    struct gy_dvc_oid oid;
    (void)snprintf(key, sizeof key, "%s%s%s", f->key, f->key[0] ? "/" : "", name);
    GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_cache(f->c->repo), key, err));
    if (!is_dir) {
        int64_t size = gy_file_size(path);
        return gy_dvc_oid_of_key(gy_str_c(key), &oid) && size >= 0 ? see(f->c, &oid, size, err)
                                                                   : GY_OK;
    }
    struct folder below = {f->c, key, f->depth - 1};
    bool is_ours = gy_is_hex(gy_str_c(name), 2); /* not runs/, files/, tmp/ */
    return f->depth > 0 && is_ours ? gy_dir_each(path, see_entry, &below, err) : GY_OK;
}

static gy_status look_in_cache(struct collector *c, struct gy_err *err)
{
    static const char *const parts[] = {"", "files/md5"};
    for (size_t i = 0; i < 2; i++) {
        char path[GY_MAX_PATH];
        struct folder f = {c, parts[i], 1};
        GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_cache(c->repo), parts[i], err));
        if (gy_path_is_dir(path)) {
            GY_TRY(gy_dir_each(path, see_entry, &f, err));
        }
    }
    return GY_OK;
}

/* ---- removing ---- */

static gy_status remove_one(struct collector *c, const struct gy_dvc_oid *oid, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (c->side == NULL) {
        return gy_dvc_remote_remove(c->o->remote, oid, err);
    }
    GY_TRY(gy_dvc_cache_path(c->repo, oid, path, err));
    return unlink(path) == 0 || errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "%s", path);
}

static void remove_at(void *ctx, size_t i)
{
    struct collector *c = ctx;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_dvc_oid *oid = &c->unused.oids[i];
    if (gy_dvc_oid_is_dir(oid) != c->dirs || atomic_load(&c->failed)) {
        return;
    }
    gy_status status = remove_one(c, oid, &err);
    if (status != GY_OK) {
        (void)pthread_mutex_lock(&c->lock); /* an error-free default mutex */
        if (c->status == GY_OK) {
            c->status = status;
            c->err = err;
        }
        (void)pthread_mutex_unlock(&c->lock);
        atomic_store(&c->failed, true);
    }
}

/* Lists first: one that is there says that its files are, too. */
static gy_status remove_unused(struct collector *c, int jobs, struct gy_err *err)
{
    for (int pass = 0; pass < 2; pass++) {
        c->dirs = pass == 0;
        GY_TRY(gy_parallel(jobs, c->unused.n, remove_at, c, err));
        if (c->status != GY_OK) {
            if (err) {
                *err = c->err;
            }
            return c->status;
        }
    }
    return GY_OK;
}

static gy_status sweep_cache(struct collector *c, struct gy_dvc_gc *ret, struct gy_err *err)
{
    c->side = &ret->cache;
    GY_TRY(look_in_cache(c, err));
    if (c->o->apply) {
        GY_TRY(remove_unused(c, 4, err));
        ret->cache.n_removed = ret->cache.n_unused;
    }
    gy_dvc_oidset_done(&c->unused);
    return GY_OK;
}

static gy_status sweep_remote(struct collector *c, struct gy_dvc_gc *ret, struct gy_err *err)
{
    if (!c->o->remote) {
        return GY_OK;
    }
    c->side = &ret->remote;
    GY_TRY(gy_dvc_remote_list(c->o->remote, see, c, err));
    if (c->o->apply) {
        c->side = NULL; /* remove_one: of the remote */
        GY_TRY(remove_unused(c, gy_dvc_remote_jobs(c->o->remote), err));
        ret->remote.n_removed = ret->remote.n_unused;
    }
    gy_dvc_oidset_done(&c->unused);
    return GY_OK;
}

static gy_status collect(struct collector *c, struct gy_dvc_gc *ret, struct gy_err *err)
{
    GY_TRY(take_project(c, c->repo, &ret->n_revisions, err));
    for (size_t i = 0; i < c->o->n_projects; i++) {
        GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *other = NULL;
        GY_TRY(gy_dvc_repo_open(c->o->projects[i], &other, err));
        GY_TRY(gy_dvc_repo_lock(other, -1, err));
        GY_TRY(take_project(c, other, &ret->n_revisions, err));
    }
    GY_TRY(open_lists(c, err));
    ret->n_used = (int64_t)c->used.n;
    /* The remote first: what the cache holds helps to read it. */
    GY_TRY(sweep_remote(c, ret, err));
    return sweep_cache(c, ret, err);
}

gy_status gy_dvc_gc(struct gy_dvc_repo *r, const struct gy_dvc_gc_options *o, struct gy_dvc_gc *ret,
                    struct gy_err *err)
{
    struct collector c = {.repo = r, .o = o};
    *ret = (struct gy_dvc_gc){.n_used = 0};
    gy_arena_init(&c.arena, 16 * GY_GIB);
    (void)pthread_mutex_init(&c.lock, NULL); /* a default mutex can not fail on Linux */
    gy_status status = collect(&c, ret, err);
    gy_dvc_oidset_done(&c.used);
    gy_dvc_oidset_done(&c.unused);
    gy_arena_done(&c.arena);
    (void)pthread_mutex_destroy(&c.lock); /* nobody holds it any more */
    return status;
}
