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
#include "cli/subject_local.h"
#include "data/dvc/add.h"
#include "data/dvc/stages.h"

#define LOCK_WAIT_MS 60000
#define DVC_ARENA GY_GIB

struct dvc {
    struct gy_local_subject *l;
    struct gy_dvc_repo *repo;
    struct gy_arena a;
    struct gy_dvc_out *outs;
    size_t n_outs;
    struct gy_str *gone; /* names of objects that hold the subject, or did */
    size_t n_gone, cap_gone;
    struct gy_str *clean; /* objects of the cache that were looked into and do not */
    size_t n_clean, cap_clean;
};

static bool is_in(const struct gy_str *list, size_t n, struct gy_str text)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(list[i], text)) {
            return true;
        }
    }
    return false;
}

static gy_status note_gone(struct dvc *d, struct gy_str oid, struct gy_err *err)
{
    return gy_local_add(d->l, &d->gone, &d->n_gone, &d->cap_gone, oid, err);
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

static gy_status track_again(struct dvc *d, const struct gy_dvc_out *out, const char *path,
                             struct gy_err *err)
{
    struct gy_dvc_add_options o = {.no_relink = true};
    struct gy_dvc_added added;
    char file[GY_MAX_PATH];
    if (!out_changed(d, path)) {
        return GY_OK;
    }
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
        GY_TRY(track_again(d, &d->outs[i], path, err));
    }
    return GY_OK;
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
        *ret = is_in(o->d->gone, o->d->n_gone, gy_str_c(entries[i].md5)) ||
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
    goes = goes || is_in(d->gone, d->n_gone, gy_str_c(oid));
    if (!goes) {
        return gy_local_add(d->l, &d->clean, &d->n_clean, &d->cap_clean, gy_str_c(oid), err);
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
    return cache(d, err);
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
    status = with_repo(&d, err);
    gy_dvc_repo_free(d.repo);
    gy_arena_done(&d.a);
    return status;
}
