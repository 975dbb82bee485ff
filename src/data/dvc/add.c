/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/add.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "data/dvc/checkout.h"
#include "data/dvc/dir.h"
#include "data/dvc/file.h"
#include "data/dvc/ignore.h"
#include "data/dvc/link.h"
#include "data/dvc/lock.h"
#include "data/dvc/stages.h"
#include "data/dvc/tree_internal.h"
#include "data/git.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for tracking");
}

/* ---- may this be tracked? ---- */

/* A folder on the way is a link: DVC would look for the file elsewhere than it is. */
static gy_status check_way(const struct gy_dvc_repo *r, const char *named, struct gy_str path,
                           struct gy_err *err)
{
    char cwd[GY_MAX_PATH], as_named[GY_MAX_PATH];
    size_t root = strlen(r->root);
    const char *rel = named;
    struct gy_str base = GY_STR("");
    if (named[0] == '/') {
        if (strncmp(named, r->root, root) != 0 || named[root] != '/') {
            return GY_OK; /* the way to the root has links: that is no matter */
        }
        rel = named + root + 1;
    } else if (!getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "where are we?");
    } else if (strncmp(cwd, r->root, root) == 0 && (cwd[root] == '/' || cwd[root] == '\0')) {
        base = gy_str_c(cwd + root);
    } else {
        return GY_OK; /* from outside, by "..": as it was found */
    }
    if (!gy_dvc_resolve(base, gy_str_c(rel), as_named) || !gy_str_eqc(path, as_named)) {
        return gy_err_set(err, GY_E_INVALID, "%s is inside a folder that is a link", named);
    }
    return GY_OK;
}

static bool is_stage_file(struct gy_str path)
{
    const char *slash = memrchr(path.p, '/', path.n);
    struct gy_str name = gy_str_sub(path, slash ? (size_t)(slash - path.p) + 1 : 0, path.n);
    return gy_str_eqc(name, "dvc.yaml") || gy_str_eqc(name, "dvc.lock") ||
           (name.n > 4 && gy_str_ends(name, GY_STR(".dvc")));
}

static gy_status check_kind(struct gy_dvc_repo *r, const char *named, struct gy_str path,
                            struct gy_err *err)
{
    struct stat st;
    struct gy_dvc_ignore *ignore = NULL;
    struct gy_str why = GY_STR_NULL;
    bool hit = false;
    if (path.n == 0 || is_stage_file(path)) {
        return gy_err_set(err, GY_E_INVALID, "%s can not be tracked: it is %s", named,
                          path.n ? "a file of DVC's" : "the repository");
    }
    if (fstatat(r->root_fd, path.p, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return gy_err_sys(err, errno, "there is no %s", named);
    }
    if (S_ISLNK(st.st_mode) && fstatat(r->root_fd, path.p, &st, 0) != 0) {
        return gy_err_set(err, GY_E_INVALID, "%s is a link to nothing", named);
    }
    GY_TRY(check_way(r, named, path, err));
    bool is_dir = S_ISDIR(st.st_mode);
    if (is_dir && fstatat(r->root_fd, path.p, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(st.st_mode)) {
        return gy_err_set(err, GY_E_INVALID, "%s is a link to a folder", named);
    }
    GY_TRY(gy_dvc_repo_ignore(r, &ignore, err));
    GY_TRY(gy_dvc_ignore_look(ignore, path, is_dir, &hit, &why, err));
    if (hit) {
        (void)gy_err_set(err, GY_E_INVALID, "%s is ignored: the pattern '%" GY_STR_F "'", named,
                         GY_STR_A(why));
        return gy_err_hint(err, "see .dvcignore; .git, .hg and .dvc are never tracked");
    }
    return GY_OK;
}

/* The output that path is, or is in. Its file is a .dvc file. */
static gy_status find_owner(struct gy_dvc_repo *r, const char *named, struct gy_str path,
                            struct gy_arena *a, const struct gy_dvc_out **ret, struct gy_err *err)
{
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    *ret = NULL;
    GY_TRY(gy_dvc_repo_outs(r, NULL, 0, a, &outs, &n, err));
    for (size_t i = 0; i < n; i++) {
        bool own = gy_str_eq(outs[i].path, path) || gy_dvc_inside(path, outs[i].path);
        if (own && outs[i].stage.p) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "%s: the stage '%" GY_STR_F "' of %" GY_STR_F " makes it", named,
                             GY_STR_A(outs[i].stage), GY_STR_A(outs[i].file));
            return gy_err_hint(err, "`gyre run` updates it");
        }
        if (gy_dvc_inside(outs[i].path, path)) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "%s holds %" GY_STR_F ", which %" GY_STR_F " tracks", named,
                             GY_STR_A(outs[i].path), GY_STR_A(outs[i].file));
            return gy_err_hint(err, "`gyre data remove %.100s` first",
                               outs[i].file.n < 100 ? outs[i].file.p : "FILE.dvc");
        }
        if (own) {
            *ret = &outs[i];
        }
    }
    return GY_OK;
}

static gy_status check_git(const struct gy_dvc_repo *r, const char *named, struct gy_str path,
                           struct gy_err *err)
{
    bool tracked = false;
    GY_TRY(gy_git_tracks(r->root, path, &tracked, err));
    if (!tracked) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID, "%s is tracked by git", named);
    return gy_err_hint(err, "`git rm -r --cached '%.100s'`, then add it", named);
}

/* ---- hashing and saving ---- */

/* As it is recorded when that still fits (2.x stays 2.x while nothing changes), else as of now. */
static gy_status digest(struct gy_dvc_repo *r, struct gy_str path, const struct gy_dvc_out *was,
                        const struct gy_dvc_add_options *o, struct gy_arena *a,
                        struct gy_dvc_tree *ret, struct gy_err *err)
{
    struct gy_dvc_tree_options t = {.save = !o->no_commit && (!was || was->cache),
                                    .progress = o->progress};
    if (was && was->oid.legacy) {
        struct gy_dvc_tree_options look = {.legacy = true};
        GY_TRY(gy_dvc_tree(r, path, &look, a, ret, err));
        t.legacy = strcmp(ret->oid.hex, was->oid.hex) == 0;
    }
    GY_TRY(gy_dvc_tree(r, path, &t, a, ret, err));
    return ret->exists ? GY_OK
                       : gy_err_set(err, GY_E_NOTFOUND, "there is no %" GY_STR_F, GY_STR_A(path));
}

/* A part of a tracked folder: its list with what is under `inside` replaced. */
static gy_status merge_part(struct gy_dvc_repo *r, struct gy_dvc_out *out, struct gy_str inside,
                            const struct gy_dvc_tree *part, bool save, struct gy_arena *a,
                            struct gy_err *err)
{
    struct gy_dvc_entry *was = NULL;
    size_t n_was = 0, n = 0;
    GY_TRY(gy_dvc_dir_load(r, &out->oid, a, &was, &n_was, err));
    struct gy_dvc_entry *now = gy_arena_calloc(a, n_was + part->n_files + 1, sizeof *now);
    if (!now) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n_was; i++) {
        if (!gy_str_eq(was[i].relpath, inside) && !gy_dvc_inside(was[i].relpath, inside)) {
            now[n++] = was[i];
        }
    }
    bool only_more = n == n_was;
    for (size_t i = 0; i < part->n_files; i++) {
        const struct gy_dvc_file *f = &part->files[i];
        memcpy(now[n].md5, f->md5, GY_MD5_HEX);
        now[n].relpath = f->relpath.p
                             ? gy_str_c(gy_arena_printf(a, "%" GY_STR_F "/%" GY_STR_F,
                                                        GY_STR_A(inside), GY_STR_A(f->relpath)))
                             : inside;
        if (!now[n++].relpath.p) {
            return no_memory(err);
        }
    }
    struct gy_dvc_oid before = out->oid;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_DVC_MAX_LIST);
    GY_TRY(gy_dvc_dir_json(now, n, &json, err));
    GY_TRY(gy_md5_hex(gy_buf_str(&json), out->oid.hex, err));
    memcpy(out->oid.hex + GY_MD5_HEX - 1, ".dir", 5);
    out->n_files = (int64_t)n;
    if (strcmp(before.hex, out->oid.hex) !=
        0) { /* what is no longer known is left out, as by DVC */
        out->size_bytes =
            only_more && out->size_bytes >= 0 ? out->size_bytes + part->size_bytes : -1;
    }
    if (!save) {
        return GY_OK;
    }
    struct gy_dvc_saver saver;
    gy_dvc_saver_init(&saver, r, out->oid.legacy);
    gy_status status = gy_dvc_save_bytes(&saver, out->oid.hex, gy_buf_str(&json), err);
    gy_dvc_saver_done(&saver);
    return status;
}

/* Make links of what is now in the cache, where cache.type wants links or a link leads elsewhere.
 */
static gy_status relink(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                        const struct gy_dvc_tree *t, struct gy_arena *a, struct gy_err *err)
{
    struct gy_dvc_links links;
    struct gy_dvc_changes changes;
    struct gy_dvc_checkout_options o = {.relink = true};
    GY_TRY(gy_dvc_links_read(r, &links, err));
    bool wanted = links.types[0] == GY_DVC_HARDLINK || links.types[0] == GY_DVC_SYMLINK;
    for (size_t i = 0; i < t->n_files && !wanted; i++) {
        wanted = t->files[i].is_link || t->files[i].n_links > 1;
    }
    return wanted ? gy_dvc_checkout_with(r, out, 1, &o, a, &changes, err) : GY_OK;
}

static void tell(struct gy_dvc_added *ret, const struct gy_dvc_out *out,
                 const struct gy_dvc_tree *t)
{
    *ret = (struct gy_dvc_added){.path = out->path,
                                 .file = out->file,
                                 .oid = out->oid,
                                 .size_bytes = out->size_bytes,
                                 .n_files = out->n_files,
                                 .empty = t->size_bytes == 0 && (!t->is_dir || t->n_files == 0)};
}

/* Everything is in the cache: on disk with it, then the files that name it. */
static gy_status record(struct gy_dvc_repo *r, struct gy_dvc_out *out, const struct gy_dvc_tree *t,
                        const struct gy_dvc_add_options *o, struct gy_arena *a,
                        struct gy_dvc_added *ret, struct gy_err *err)
{
    GY_TRY(gy_dvc_repo_settle(r, err));
    if (out->cache && !gy_dvc_config_bool(r->config, "core", "no_scm", false)) {
        GY_TRY(gy_git_ignore(r->root, out->path, err));
    }
    tell(ret, out, t);
    GY_TRY(gy_dvc_file_write(r, out->file, out, &ret->changed, err));
    if (out->cache && !o->no_commit && !o->no_relink) {
        GY_TRY(relink(r, out, t, a, err));
    }
    return gy_dvc_repo_remember(r, err);
}

static struct gy_str file_of(struct gy_str path, const char *file, struct gy_arena *a)
{
    const char *slash = memrchr(path.p, '/', path.n);
    if (file) {
        return gy_str_c(
            gy_arena_printf(a, "%.*s%s", slash ? (int)(slash + 1 - path.p) : 0, path.p, file));
    }
    return gy_str_c(gy_arena_printf(a, "%" GY_STR_F ".dvc", GY_STR_A(path)));
}

static void take_tree(struct gy_dvc_out *out, const struct gy_dvc_tree *t)
{
    out->oid = t->oid;
    out->size_bytes = t->size_bytes;
    out->n_files = t->is_dir ? (int64_t)t->n_files : -1;
    out->is_exec = t->is_exec;
}

gy_status gy_dvc_add(struct gy_dvc_repo *r, const char *path, const struct gy_dvc_add_options *o,
                     struct gy_arena *a, struct gy_dvc_added *ret, struct gy_err *err)
{
    char at[GY_MAX_PATH];
    const struct gy_dvc_out *owner = NULL;
    struct gy_dvc_tree t;
    GY_TRY(gy_dvc_from_root(r, path, at, err));
    struct gy_str target = gy_arena_str(a, gy_str_c(at));
    if (!target.p) {
        return no_memory(err);
    }
    if (o->file && (strchr(o->file, '/') || !gy_str_ends(gy_str_c(o->file), GY_STR(".dvc")))) {
        return gy_err_set(err, GY_E_INVALID, "--file takes a name that ends in .dvc");
    }
    bool waited = false;
    GY_TRY(gy_dvc_repo_lock_paths(r, &target, 1, NULL, 0, -1, &waited, err));
    GY_TRY(check_kind(r, path, target, err));
    GY_TRY(find_owner(r, path, target, a, &owner, err));
    struct gy_dvc_out out = {.path = target, .cache = true, .push = true};
    bool part = owner && !gy_str_eq(owner->path, target);
    if (owner) {
        out = *owner;
    } else {
        out.file = file_of(target, o->file, a);
        char full[2 * GY_MAX_PATH];
        (void)snprintf(full, sizeof full, "%s/%" GY_STR_F, r->root, GY_STR_A(out.file));
        if (!out.file.p || gy_path_exists(full)) {
            return out.file.p ? gy_err_set(err, GY_E_EXISTS,
                                           "%" GY_STR_F " exists already, and "
                                           "tracks something else",
                                           GY_STR_A(out.file))
                              : no_memory(err);
        }
    }
    if (part && !gy_dvc_oid_is_dir(&out.oid)) {
        return gy_err_set(err, GY_E_INVALID,
                          "%s is inside %" GY_STR_F ", which is tracked as a file", path,
                          GY_STR_A(out.path));
    }
    if (out.cache) {
        GY_TRY(check_git(r, path, target, err));
    }
    if (part && !out.oid.legacy) {
        struct gy_str inside = gy_str_sub(target, out.path.n + 1, target.n);
        GY_TRY(digest(r, target, &out, o, a, &t, err));
        GY_TRY(merge_part(r, &out, inside, &t, !o->no_commit && out.cache, a, err));
        struct gy_dvc_add_options as_it_is = *o;
        as_it_is.no_relink = true; /* the other parts may have changes that nobody asked about */
        return record(r, &out, &t, &as_it_is, a, ret, err);
    }
    GY_TRY(digest(r, out.path, owner, o, a, &t, err));
    take_tree(&out, &t);
    return record(r, &out, &t, o, a, ret, err);
}

gy_status gy_dvc_commit(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                        const struct gy_dvc_add_options *o, struct gy_arena *a,
                        struct gy_dvc_added *ret, struct gy_err *err)
{
    struct gy_dvc_tree t;
    struct gy_dvc_out now = *out;
    if (out->stage.p) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "%" GY_STR_F " is made by the stage '%" GY_STR_F "'", GY_STR_A(out->path),
                         GY_STR_A(out->stage));
        return gy_err_hint(err, "`gyre run` records it");
    }
    bool waited = false;
    GY_TRY(gy_dvc_repo_lock_paths(r, &out->path, 1, NULL, 0, -1, &waited, err));
    GY_TRY(digest(r, out->path, out, o, a, &t, err));
    take_tree(&now, &t);
    return record(r, &now, &t, o, a, ret, err);
}

/* ---- the other way ---- */

/* What is there of an output's data: all of it must be in the cache. */
static gy_status look_saved(struct gy_dvc_repo *r, const struct gy_dvc_out *out, struct gy_arena *a,
                            struct gy_dvc_tree *ret, struct gy_err *err)
{
    struct gy_dvc_tree_options look = {.legacy = out->oid.legacy, .check = true};
    GY_TRY(gy_dvc_tree(r, out->path, &look, a, ret, err));
    for (size_t i = 0; i < ret->n_files; i++) {
        const struct gy_dvc_file *f = &ret->files[i];
        if (!f->cached) {
            (void)gy_err_set(err, GY_E_CONFLICT,
                             "%" GY_STR_F "%s%" GY_STR_F " would be lost: no cache holds it",
                             GY_STR_A(out->path), f->relpath.p ? "/" : "", GY_STR_A(f->relpath));
            return gy_err_hint(err, "`gyre data commit` saves it, --force gives it up");
        }
    }
    return GY_OK;
}

/* The folder that holds an output is where its path says, not behind a link. */
static gy_status check_folder(const struct gy_dvc_repo *r, struct gy_str path, struct gy_err *err)
{
    char full[2 * GY_MAX_PATH], real[GY_MAX_PATH];
    const char *slash = memrchr(path.p, '/', path.n);
    if (!slash) {
        return GY_OK;
    }
    (void)snprintf(full, sizeof full, "%s/%.*s", r->root, (int)(slash - path.p), path.p);
    return !realpath(full, real) || strcmp(real, full) == 0
               ? GY_OK /* not there: nothing is removed */
               : gy_err_set(err, GY_E_INVALID, "%" GY_STR_F " is inside a folder that is a link",
                            GY_STR_A(path));
}

/* The files that were looked at, then folders that are empty: what else there is stays. */
static gy_status remove_files(const struct gy_dvc_repo *r, struct gy_str out,
                              const struct gy_dvc_tree *t, struct gy_err *err)
{
    char path[2 * GY_MAX_PATH];
    for (size_t i = 0; i < t->n_files; i++) {
        struct gy_str rel = t->files[i].relpath;
        (void)snprintf(path, sizeof path, "%" GY_STR_F "%s%" GY_STR_F, GY_STR_A(out),
                       rel.p ? "/" : "", GY_STR_A(rel));
        if (unlinkat(r->root_fd, path, 0) != 0 && errno != ENOENT) {
            return gy_err_sys(err, errno, "can not remove %s", path);
        }
        for (char *slash = NULL;
             rel.p && (slash = strrchr(path, '/')) && (size_t)(slash - path) >= out.n;) {
            *slash = '\0';
            if (unlinkat(r->root_fd, path, AT_REMOVEDIR) != 0) {
                break;
            }
        }
    }
    if (t->is_dir) {
        (void)snprintf(path, sizeof path, "%" GY_STR_F, GY_STR_A(out));
        (void)unlinkat(r->root_fd, path, AT_REMOVEDIR); /* one that was empty before, too */
    }
    return GY_OK;
}

static gy_status remove_data(struct gy_dvc_repo *r, const struct gy_dvc_stage *s, bool force,
                             struct gy_arena *a, struct gy_err *err)
{
    char path[2 * GY_MAX_PATH];
    struct gy_dvc_tree *trees = gy_arena_calloc(a, s->n_outs + 1, sizeof *trees);
    if (!trees) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_outs; i++) {
        GY_TRY(check_folder(r, s->outs[i].path, err));
        GY_TRY(force ? GY_OK : look_saved(r, &s->outs[i], a, &trees[i], err));
    }
    for (size_t i = 0; i < s->n_outs; i++) {
        if (!force) {
            GY_TRY(remove_files(r, s->outs[i].path, &trees[i], err));
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%" GY_STR_F, r->root, GY_STR_A(s->outs[i].path));
        if (unlink(path) != 0 && errno != ENOENT) {
            GY_TRY(gy_dir_remove(path, err));
        }
    }
    return GY_OK;
}

gy_status gy_dvc_remove(struct gy_dvc_repo *r, struct gy_str file, bool outs, bool force,
                        struct gy_arena *a, struct gy_err *err)
{
    struct gy_dvc_stage s;
    char path[2 * GY_MAX_PATH];
    GY_TRY(gy_dvc_stage_read(r, file, a, &s, err));
    GY_TRY(outs ? remove_data(r, &s, force, a, err) : GY_OK);
    for (size_t i = 0; i < s.n_outs; i++) {
        GY_TRY(gy_git_unignore(r->root, s.outs[i].path, err));
    }
    (void)snprintf(path, sizeof path, "%s/%" GY_STR_F, r->root, GY_STR_A(file));
    return unlink(path) == 0 ? GY_OK : gy_err_sys(err, errno, "can not remove %s", path);
}

gy_status gy_dvc_unprotect(struct gy_dvc_repo *r, const struct gy_dvc_out *out, struct gy_arena *a,
                           size_t *ret_n, struct gy_err *err)
{
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options look = {.list_only = true};
    GY_TRY(gy_dvc_tree(r, out->path, &look, a, &t, err));
    *ret_n = t.n_files;
    for (size_t i = 0; i < t.n_files; i++) {
        const char *path = t.files[i].relpath.p
                               ? gy_arena_printf(a, "%" GY_STR_F "/%" GY_STR_F, GY_STR_A(out->path),
                                                 GY_STR_A(t.files[i].relpath))
                               : out->path.p;
        if (!path) {
            return no_memory(err);
        }
        GY_TRY(gy_dvc_unlink_from_cache(r, r->root_fd, path, err));
    }
    return GY_OK;
}
