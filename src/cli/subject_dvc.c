/* SPDX-License-Identifier: Apache-2.0 */
/* One person in what DVC keeps: outputs in the workspace are rewritten and tracked again, so that
 * .dvc files name what is there; then objects of the cache and of all remotes that hold the person
 * go, and the lists of folders that name such an object. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/map.h"
#include "cli/subject_local.h"
#include "data/dvc/add.h"
#include "data/dvc/remote.h"
#include "data/dvc/stages.h"

#define LOCK_WAIT_MS 60000
#define DVC_ARENA GY_GIB
#define MAX_OBJECTS 50000000 /* of cache and remotes */
#define RUNS_DEPTH 4         /* folders of the run cache within each other */

struct dvc {
    struct gy_local_subject *l;
    struct gy_dvc_repo *repo;
    struct gy_arena a;
    struct gy_dvc_out *outs;
    size_t n_outs;
    struct gy_map gone;  /* names of objects that hold the subject, or did */
    struct gy_map clean; /* objects that were looked into and do not */
};

static gy_status note_gone(struct dvc *d, struct gy_str oid, struct gy_err *err)
{
    return gy_map_put(&d->gone, oid, d, err);
}

/* ---- the workspace ---- */

static gy_status out_path(const struct dvc *d, struct gy_str path, char out[GY_MAX_PATH],
                          struct gy_err *err)
{
    char relative[GY_MAX_PATH];
    if (path.n >= sizeof relative) {
        return gy_err_set(err, GY_E_TOOBIG, "the path of an output is too long");
    }
    (void)snprintf(relative, sizeof relative, "%" GY_STR_F, GY_STR_A(path));
    return gy_path_join(out, GY_MAX_PATH, gy_dvc_repo_root(d->repo), relative, err);
}

/* Was the output, or a file in it, rewritten? */
static bool out_changed(const struct dvc *d, const char *path)
{
    char real[GY_MAX_PATH];
    struct gy_str at = gy_str_c(realpath(path, real) ? real : path);
    for (size_t i = 0; i < d->l->n_changed; i++) {
        struct gy_str c = d->l->changed[i];
        if (gy_str_eq(c, at) || (gy_str_starts(c, at) && c.n > at.n && c.p[at.n] == '/')) {
            return true;
        }
    }
    return false;
}

static gy_status track_again(struct dvc *d, const struct gy_dvc_out *out, struct gy_err *err)
{
    struct gy_dvc_add_options o = {.no_relink = true};
    struct gy_dvc_added added;
    char file[GY_MAX_PATH];
    GY_TRY(note_gone(d, gy_str_c(out->oid.hex), err));
    (void)snprintf(file, sizeof file, "%" GY_STR_F, GY_STR_A(out->file));
    if (out->stage.p) {
        return gy_local_tell(d->l, "dvc", file, 1, "told",
                             "an output of a stage: gyre run makes dvc.lock name what is there",
                             err);
    }
    if (out->imported) {
        return gy_local_tell(d->l, "dvc", file, 1, "told",
                             "imported: what it was imported from still has the subject", err);
    }
    GY_TRY(gy_dvc_commit(d->repo, out, &o, &d->a, &added, err));
    return gy_local_tell(d->l, "dvc", file, 1, "found", NULL, err);
}

static gy_status workspace(struct dvc *d, struct gy_err *err)
{
    for (size_t i = 0; i < d->n_outs; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(out_path(d, d->outs[i].path, path, err));
        GY_TRY(gy_local_path(d->l, path, false, err));
    }
    for (size_t i = 0; d->l->take_out && i < d->n_outs; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(out_path(d, d->outs[i].path, path, err));
        if (out_changed(d, path)) {
            GY_TRY(track_again(d, &d->outs[i], err));
        }
    }
    return GY_OK;
}

/* Outputs that still name what is gone: an erasure that ended before it could say so had rewritten
 * them. */
static gy_status leftover(struct dvc *d, struct gy_err *err)
{
    bool any = false;
    for (size_t i = 0; d->l->take_out && i < d->n_outs; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(out_path(d, d->outs[i].path, path, err));
        if (gy_map_has(&d->gone, gy_str_c(d->outs[i].oid.hex)) && gy_path_exists(path) &&
            !out_changed(d, path)) {
            GY_TRY(track_again(d, &d->outs[i], err));
            any = true;
        }
    }
    return any ? gy_dvc_repo_settle(d->repo, err) : GY_OK;
}

/* ---- the cache ---- */

struct objects {
    struct dvc *d;
    char dir[GY_MAX_PATH];  /* <cache>/files/md5 or, of 2.x, <cache> */
    char part[GY_MAX_PATH]; /* dir/ab */
    char two[3];
    int pass; /* 0: files, 1: lists of folders */
    int64_t n;
};

/* A list that names a file which is gone, or whose names of files name the subject. */
static gy_status list_goes(const struct objects *o, const char *path, bool *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_dvc_entry *entries;
    size_t n;
    gy_buf_init(&json, GY_GIB);
    gy_arena_init(&a, 4 * GY_GIB);
    *ret = false;
    GY_TRY(gy_file_read(path, &json, err));
    if (gy_dvc_dir_parse(gy_buf_str(&json), &a, &entries, &n, NULL) != GY_OK) {
        return GY_OK; /* damaged: status tells */
    }
    for (size_t i = 0; i < n && !*ret; i++) {
        *ret = gy_map_has(&o->d->gone, gy_str_c(entries[i].md5)) ||
               gy_subject_named(o->d->l->subject, entries[i].relpath, NULL, NULL);
    }
    return GY_OK;
}

static gy_status drop(const char *path, struct gy_err *err)
{
    return unlink(path) == 0 || errno == ENOENT ? GY_OK
                                                : gy_err_sys(err, errno, "removing '%s'", path);
}

static gy_status each_object(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct objects *o = ctx;
    struct dvc *d = o->d;
    char path[GY_MAX_PATH], oid[GY_DVC_OID_HEX + 4];
    struct gy_str rest = gy_str_c(name);
    bool list = gy_str_ends(rest, GY_STR(".dir"));
    bool goes = false;
    if (is_dir || rest.n - (list ? 4 : 0) != 30 || list != (o->pass == 1)) {
        return GY_OK;
    }
    (void)snprintf(oid, sizeof oid, "%s%s", o->two, name);
    GY_TRY(gy_path_join(path, sizeof path, o->part, name, err));
    if (list) {
        GY_TRY(list_goes(o, path, &goes, err));
    } else {
        GY_TRY(gy_local_holds(d->l, path, &goes, err));
    }
    goes = goes || gy_map_has(&d->gone, gy_str_c(oid));
    if (!goes) {
        return gy_map_put(&d->clean, gy_str_c(oid), d, err);
    }
    GY_TRY(note_gone(d, gy_str_c(oid), err));
    GY_TRY(d->l->take_out ? drop(path, err) : GY_OK);
    return gy_local_tell(d->l, "cache", oid, 1, "found", NULL, err);
}

static gy_status each_part(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct objects *o = ctx;
    if (!is_dir || strlen(name) != 2) {
        return GY_OK;
    }
    memcpy(o->two, name, 3);
    GY_TRY(gy_path_join(o->part, sizeof o->part, o->dir, name, err));
    return gy_dir_each(o->part, each_object, o, err);
}

static gy_status cache_at(struct dvc *d, const char *below, int pass, struct gy_err *err)
{
    struct objects o = {.d = d, .pass = pass};
    if (below) {
        GY_TRY(gy_path_join(o.dir, sizeof o.dir, gy_dvc_repo_cache(d->repo), below, err));
    } else {
        (void)snprintf(o.dir, sizeof o.dir, "%s", gy_dvc_repo_cache(d->repo));
    }
    return gy_path_is_dir(o.dir) ? gy_dir_each(o.dir, each_part, &o, err) : GY_OK;
}

static gy_status cache(struct dvc *d, struct gy_err *err)
{
    for (int pass = 0; pass < 2; pass++) {
        GY_TRY(cache_at(d, "files/md5", pass, err));
        GY_TRY(cache_at(d, NULL, pass, err)); /* of DVC 2.x */
    }
    return GY_OK;
}

/* The run cache: what stages were run with, as text. */
static gy_status each_run(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct objects *o = ctx;
    struct objects below = *o;
    char path[GY_MAX_PATH];
    bool goes = false;
    GY_TRY(gy_path_join(path, sizeof path, o->part, name, err));
    if (is_dir) {
        memcpy(below.part, path, sizeof path);
        return ++below.pass > RUNS_DEPTH ? GY_OK : gy_dir_each(path, each_run, &below, err);
    }
    GY_TRY(gy_local_holds(o->d->l, path, &goes, err));
    if (!goes) {
        return GY_OK;
    }
    GY_TRY(o->d->l->take_out ? drop(path, err) : GY_OK);
    return gy_local_tell(o->d->l, "cache", name, 1, "found", NULL, err);
}

static gy_status run_cache(struct dvc *d, struct gy_err *err)
{
    struct objects o = {.d = d};
    GY_TRY(gy_path_join(o.part, sizeof o.part, gy_dvc_repo_cache(d->repo), "runs", err));
    return gy_path_is_dir(o.part) ? gy_dir_each(o.part, each_run, &o, err) : GY_OK;
}

/* ---- remotes ---- */

struct remote {
    struct dvc *d;
    struct gy_dvc_remote *r;
    struct objects o; /* of list_goes */
    int pass;         /* as of objects */
    int64_t n;
};

/* What the cache does not have is fetched and looked into. */
static gy_status fetched_goes(struct remote *x, const struct gy_dvc_oid *oid, bool *ret,
                              struct gy_err *err)
{
    char path[GY_MAX_PATH];
    int64_t size;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(gy_dvc_cache_tmp(x->d->repo, path, err));
    gy_status status = gy_dvc_remote_get(x->r, oid, path, &size, &why);
    if (status == GY_E_NOTFOUND || status == GY_E_CORRUPT) {
        *ret = false; /* it went, or is damaged: nobody can pull it */
        return status == GY_E_CORRUPT
                   ? gy_local_tell(x->d->l, "remote", oid->hex, 0, "told",
                                   "damaged there: it could not be looked into", err)
                   : GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    status = gy_dvc_oid_is_dir(oid) ? list_goes(&x->o, path, ret, err)
                                    : gy_local_holds(x->d->l, path, ret, err);
    (void)unlink(path);
    return status;
}

static gy_status each_remote_object(void *ctx, const struct gy_dvc_oid *oid, int64_t size_bytes,
                                    struct gy_err *err)
{
    struct remote *x = ctx;
    struct dvc *d = x->d;
    struct gy_str name = gy_str_c(oid->hex);
    (void)size_bytes;
    if (gy_dvc_oid_is_dir(oid) != (x->pass == 1)) {
        return GY_OK;
    }
    bool goes = gy_map_has(&d->gone, name);
    if (!goes && !gy_map_has(&d->clean, name)) {
        GY_TRY(fetched_goes(x, oid, &goes, err));
        GY_TRY(goes ? note_gone(d, name, err) : gy_map_put(&d->clean, name, d, err));
    }
    if (!goes) {
        return GY_OK;
    }
    x->n++;
    return d->l->take_out ? gy_dvc_remote_remove(x->r, oid, err) : GY_OK;
}

static gy_status one_remote(struct dvc *d, struct gy_str name, struct gy_err *err)
{
    struct remote x = {.d = d, .o = {.d = d}};
    char text[256];
    struct gy_err why = GY_ERR_INIT;
    GY_AUTO(gy_dvc_remote_free) struct gy_dvc_remote *r = NULL;
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(name));
    gy_status status = gy_dvc_remote_open(gy_dvc_repo_config(d->repo), text, &r, &why);
    if (status == GY_E_UNSUPPORTED) {
        return gy_local_tell(d->l, "remote", text, 0, "told", why.msg, err);
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "remote '%s': %s", text, why.msg);
    }
    x.r = r;
    for (x.pass = 0; x.pass < 2; x.pass++) {
        status = gy_dvc_remote_list(r, each_remote_object, &x, err);
        if (status == GY_E_NOTFOUND) { /* nothing was ever pushed there */
            return GY_OK;
        }
        GY_TRY(status);
    }
    GY_TRY(d->l->take_out ? gy_dvc_remote_sync(r, err) : GY_OK);
    return x.n ? gy_local_tell(d->l, "remote", text, x.n, "found", NULL, err) : GY_OK;
}

static gy_status remotes(struct dvc *d, struct gy_err *err)
{
    struct gy_str *names;
    size_t n;
    GY_TRY(gy_dvc_config_remotes(gy_dvc_repo_config(d->repo), GY_DVC_N_LEVELS, &d->a, &names, &n,
                                 err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(one_remote(d, names[i], err));
    }
    return GY_OK;
}

/* ---- all of it ---- */

static gy_status with_repo(struct dvc *d, struct gy_err *err)
{
    GY_TRY(gy_dvc_repo_lock(d->repo, LOCK_WAIT_MS, err));
    GY_TRY(gy_dvc_repo_outs(d->repo, NULL, 0, &d->a, &d->outs, &d->n_outs, err));
    for (size_t i = 0; i < d->l->n_md5; i++) {
        GY_TRY(note_gone(d, d->l->md5[i], err));
    }
    GY_TRY(workspace(d, err));
    for (size_t i = 0; i < d->l->n_old; i++) {
        GY_TRY(note_gone(d, d->l->old_md5[i], err));
    }
    GY_TRY(gy_dvc_repo_settle(d->repo, err));
    GY_TRY(cache(d, err));
    GY_TRY(run_cache(d, err));
    GY_TRY(remotes(d, err));
    return leftover(d, err);
}

gy_status gy_local_dvc(struct gy_local_subject *l, struct gy_err *err)
{
    struct dvc d = {.l = l};
    char cwd[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    if (!getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "asking for the working folder");
    }
    gy_status status = gy_dvc_repo_open(cwd, &d.repo, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    gy_arena_init(&d.a, DVC_ARENA);
    gy_map_init(&d.gone, MAX_OBJECTS);
    gy_map_init(&d.clean, MAX_OBJECTS);
    status = with_repo(&d, err);
    gy_dvc_repo_free(d.repo);
    gy_map_done(&d.gone);
    gy_map_done(&d.clean);
    gy_arena_done(&d.a);
    return status;
}
