/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/yaml.h"
#include "data/dvc/add.h"
#include "data/dvc/dir.h"
#include "data/dvc/file.h"
#include "data/dvc/md5.h"
#include "data/dvc/remote_internal.h"
#include "data/dvc/repo_internal.h"
#include "data/dvc/revisions.h"
#include "data/dvc/stage_md5.h"
#include "data/dvc/stages.h"
#include "data/dvc/transfer.h"
#include "data/dvc/yaml_out.h"
#include "data/git.h"

/* Where something comes from, and what it is. */
struct origin {
    const char *repo, *path, *rev; /* as they are written; repo NULL: outside */
    char rev_lock[48];
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for an import");
}

/* The folder of a repository's url. */
static gy_status folder_of(const char *url, char ret[GY_MAX_PATH], struct gy_err *err)
{
    static const char file[] = "file://";
    const char *path = strncmp(url, file, sizeof file - 1) == 0 ? url + sizeof file - 1 : url;
    if (strlen(path) >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "the url of the repository is too long");
    }
    if (!gy_path_is_dir(path)) {
        bool remote = strstr(url, "://") || strchr(url, '@');
        (void)gy_err_set(err, remote ? GY_E_UNSUPPORTED : GY_E_NOTFOUND,
                         "'%.200s' is no repository on this machine", url);
        return gy_err_hint(err, remote ? "clone it with git, and import from the clone"
                                       : "a folder with git and .dvc in it");
    }
    (void)snprintf(ret, GY_MAX_PATH, "%s", path);
    return GY_OK;
}

/* ---- objects ---- */

/* Another repository's cache is laid out as a remote is. */
static gy_status open_cache(struct gy_dvc_repo *other, struct gy_dvc_remote **ret,
                            struct gy_err *err)
{
    struct gy_dvc_settings s = {.config = gy_dvc_repo_config(other)};
    const struct gy_dvc_remote_ops *ops = NULL;
    void *self = NULL;
    (void)snprintf(s.url, sizeof s.url, "%s", gy_dvc_repo_cache(other));
    GY_TRY(gy_dvc_folder_open(&s, &ops, &self, err));
    return gy_dvc_remote_new(ops, self, "cache", s.url, ret, err);
}

static gy_status fetch_from(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                            struct gy_dvc_remote *from, struct gy_arena *a, struct gy_err *err)
{
    struct gy_dvc_transfer *t = gy_arena_calloc(a, 1, sizeof *t);
    struct gy_dvc_transfer_options o = {.to = from};
    if (!t) {
        return no_memory(err);
    }
    GY_TRY(gy_dvc_fetch(r, out, 1, &o, a, t, err));
    return t->status == GY_OK ? GY_OK
                              : gy_err_set(err, t->status, "%" GY_STR_F ": %s",
                                           GY_STR_A(t->told[0].path), t->told[0].msg);
}

/* From the cache beside the repository, then from where it pushes to. */
static gy_status fetch_out(struct gy_dvc_repo *r, const char *dir, const struct gy_dvc_out *out,
                           struct gy_arena *a, struct gy_err *err)
{
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *other = NULL;
    GY_AUTO(gy_dvc_remote_free) struct gy_dvc_remote *cache = NULL;
    GY_AUTO(gy_dvc_remote_free) struct gy_dvc_remote *remote = NULL;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(gy_dvc_repo_open(dir, &other, err));
    GY_TRY(open_cache(other, &cache, err));
    gy_status status = fetch_from(r, out, cache, a, &why);
    if (status != GY_OK &&
        gy_dvc_remote_open(gy_dvc_repo_config(other), NULL, &remote, NULL) == GY_OK) {
        why = (struct gy_err)GY_ERR_INIT;
        status = fetch_from(r, out, remote, a, &why);
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

static gy_status save_list(struct gy_dvc_repo *r, struct gy_dvc_entry *entries, size_t n,
                           struct gy_dvc_oid *ret, struct gy_err *err)
{
    char tmp[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_DVC_MAX_LIST);
    GY_TRY(gy_dvc_dir_json(entries, n, &json, err));
    *ret = (struct gy_dvc_oid){.legacy = false};
    GY_TRY(gy_md5_hex(gy_buf_str(&json), ret->hex, err));
    memcpy(ret->hex + GY_MD5_HEX - 1, ".dir", 5);
    GY_TRY(gy_dvc_cache_tmp(r, tmp, err));
    GY_TRY(gy_file_write(tmp, gy_buf_str(&json), 0600, err));
    return gy_dvc_cache_take(r, ret, tmp, err);
}

/* A file or folder inside a tracked folder: its own digest, from the whole's list. */
static gy_status take_part(struct gy_dvc_repo *r, const struct gy_dvc_out *whole,
                           struct gy_str inside, struct gy_dvc_out *out, struct gy_arena *a,
                           struct gy_err *err)
{
    struct gy_dvc_entry *all = NULL;
    size_t n = 0, kept = 0;
    GY_TRY(gy_dvc_dir_load(r, &whole->oid, a, &all, &n, err));
    out->size_bytes = -1; /* DVC finds the size of a part by downloading it; see set_size */
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(all[i].relpath, inside)) {
            out->oid = (struct gy_dvc_oid){.legacy = whole->oid.legacy};
            memcpy(out->oid.hex, all[i].md5, GY_MD5_HEX);
            out->n_files = -1;
            return GY_OK;
        }
        if (gy_dvc_inside(all[i].relpath, inside)) {
            all[kept] = all[i];
            all[kept++].relpath = gy_str_sub(all[i].relpath, inside.n + 1, all[i].relpath.n);
        }
    }
    if (kept == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "%" GY_STR_F " has no %" GY_STR_F " in it",
                          GY_STR_A(whole->path), GY_STR_A(inside));
    }
    out->n_files = (int64_t)kept;
    return save_list(r, all, kept, &out->oid, err);
}

/* The sizes of all objects together, when the source's .dvc file does not say. */
static gy_status set_size(struct gy_dvc_repo *r, struct gy_dvc_out *out, struct gy_arena *a,
                          struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_dvc_entry *all = NULL;
    size_t n = 0;
    if (out->size_bytes >= 0) {
        return GY_OK;
    }
    if (!gy_dvc_oid_is_dir(&out->oid)) {
        GY_TRY(gy_dvc_cache_path(r, &out->oid, path, err));
        out->size_bytes = gy_file_size(path);
        return GY_OK;
    }
    GY_TRY(gy_dvc_dir_load(r, &out->oid, a, &all, &n, err));
    out->size_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        struct gy_dvc_oid oid = {.legacy = out->oid.legacy};
        memcpy(oid.hex, all[i].md5, GY_MD5_HEX);
        GY_TRY(gy_dvc_cache_path(r, &oid, path, err));
        int64_t size = gy_file_size(path);
        out->size_bytes += size > 0 ? size : 0;
    }
    return GY_OK;
}

/* What git itself keeps at that commit. */
static gy_status take_from_git(struct gy_dvc_repo *r, const char *dir, const struct origin *from,
                               struct gy_dvc_out *out, struct gy_err *err)
{
    char tmp[GY_MAX_PATH], object[GY_MAX_PATH + 48];
    int code = 0;
    struct gy_proc p;
    GY_TRY(gy_dvc_cache_tmp(r, tmp, err));
    GY_TRY(gy_dir_make_for(tmp, err));
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "%s", tmp);
    }
    (void)snprintf(object, sizeof object, "%s:%s", from->rev_lock, from->path);
    const char *const argv[] = {"git", "cat-file", "blob", object, NULL};
    struct gy_proc_options o = {
        .argv = argv, .cwd = dir, .stdin_fd = -1, .stdout_fd = fd, .stderr_fd = nowhere};
    gy_status status = gy_proc_start(&o, &p, err);
    if (status == GY_OK) {
        status = gy_proc_wait(&p, &code, err);
    }
    (void)close(fd); /* git has written */
    if (nowhere >= 0) {
        (void)close(nowhere); /* nothing was written by us */
    }
    if (status == GY_OK && code != 0) {
        status =
            gy_err_set(err, GY_E_NOTFOUND, "'%s' is neither tracked nor a file of git at %.12s",
                       from->path, from->rev_lock);
    }
    if (status == GY_OK) {
        status = gy_file_digest(tmp, NULL, out->oid.hex, &out->size_bytes, err);
    }
    out->n_files = -1;
    if (status == GY_OK) {
        status = gy_dvc_cache_take(r, &out->oid, tmp, err);
    }
    if (status != GY_OK) {
        (void)unlink(tmp); /* it may be gone */
    }
    return status;
}

static struct gy_str trimmed(const char *path)
{
    struct gy_str s = gy_str_c(path);
    while (s.n > 1 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    return gy_str_starts(s, GY_STR("./")) ? gy_str_sub(s, 2, s.n) : s;
}

static gy_status take_from_repo(struct gy_dvc_repo *r, struct origin *from, struct gy_dvc_out *out,
                                struct gy_arena *a, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    const char *rev = from->rev ? from->rev : "HEAD";
    struct gy_str *commit = NULL, path = trimmed(from->path);
    struct gy_dvc_out *outs = NULL;
    size_t n = 0, n_commits = 0;
    struct gy_dvc_scope scope = {.revs = &rev, .n_revs = 1};
    GY_TRY(folder_of(from->repo, dir, err));
    if (!from->rev_lock[0]) {
        GY_TRY(gy_dvc_commits(dir, &scope, a, &commit, &n_commits, err));
        (void)snprintf(from->rev_lock, sizeof from->rev_lock, "%" GY_STR_F, GY_STR_A(commit[0]));
    }
    GY_TRY(gy_dvc_outs_at(dir, from->rev_lock, a, &outs, &n, err));
    for (size_t i = 0; i < n; i++) {
        const struct gy_dvc_out *o = &outs[i];
        bool whole = gy_str_eq(o->path, path), part = gy_dvc_inside(path, o->path);
        if ((!whole && !part) || !o->oid.hex[0] || !o->cache) {
            continue;
        }
        out->oid = o->oid;
        out->size_bytes = o->size_bytes;
        out->n_files = o->n_files;
        out->is_exec = o->is_exec;
        if (part) {
            GY_TRY(fetch_out(r, dir, out, a, err));
            GY_TRY(take_part(r, o, gy_str_sub(path, o->path.n + 1, path.n), out, a, err));
        }
        GY_TRY(fetch_out(r, dir, out, a, err));
        return set_size(r, out, a, err);
    }
    return take_from_git(r, dir, from, out, err);
}

/* ---- from outside ---- */

static gy_status copy_file(const char *from, const char *to, struct gy_err *err)
{
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    char step[64 * 1024];
    struct stat st;
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not keep us waiting */
    if (fd < 0) {
        return gy_err_sys(err, errno, "%s", from);
    }
    gy_status status = GY_OK;
    if (fstat(fd, &st) != 0) {
        status = gy_err_sys(err, errno, "%s", from);
    } else if (!S_ISREG(st.st_mode)) {
        status = gy_err_set(err, GY_E_INVALID, "%s is neither a file nor a folder", from);
    } else {
        status = gy_file_writer_open(to, 0666 | (st.st_mode & 0111), &w, err);
    }
    for (ssize_t n = 1; status == GY_OK && n != 0;) {
        n = read(fd, step, sizeof step);
        if (n > 0) {
            status = gy_file_writer_write(w, gy_str_n(step, (size_t)n), err);
        } else if (n < 0 && errno != EINTR) {
            status = gy_err_sys(err, errno, "%s", from);
        }
    }
    (void)close(fd); /* was only read */
    return status == GY_OK ? gy_file_writer_commit(w, NULL, err) : status;
}

struct copy {
    const char *from, *to;
    int depth;
};

static gy_status copy_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct copy *c = ctx;
    char from[GY_MAX_PATH], to[GY_MAX_PATH];
    GY_TRY(gy_path_join(from, sizeof from, c->from, name, err));
    GY_TRY(gy_path_join(to, sizeof to, c->to, name, err));
    if (!is_dir) {
        return copy_file(from, to, err);
    }
    struct copy below = {from, to, c->depth + 1};
    if (c->depth > GY_DVC_MAX_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "%s is nested too deep", from);
    }
    GY_TRY(gy_dir_make(to, err));
    return gy_dir_each(from, copy_entry, &below, err);
}

static gy_status copy_all(const char *source, const char *to, struct gy_err *err)
{
    struct copy c = {source, to, 0};
    if (!gy_path_is_dir(source)) {
        return copy_file(source, to, err);
    }
    GY_TRY(gy_dir_make(to, err));
    return gy_dir_each(source, copy_entry, &c, err);
}

/* Everything is copied beside first: what fails half way has replaced nothing. What is in the way
 * goes then: the caller has asked whether that may be. */
static gy_status copy_over(struct gy_dvc_repo *r, const char *source, const char *to,
                           struct gy_err *err)
{
    char tmp[GY_MAX_PATH + 40], real[GY_MAX_PATH], name[32];
    if (!realpath(source, real)) {
        return gy_err_sys(err, errno, "%s", source);
    }
    if (strcmp(real, to) == 0 || gy_dvc_inside(gy_str_c(real), gy_str_c(to)) ||
        gy_dvc_inside(gy_str_c(to), gy_str_c(real))) {
        (void)gy_err_set(err, GY_E_INVALID, "%s can not be imported to %s: one is in the other",
                         source, to);
        return gy_err_hint(err, "`gyre data add` tracks what is in the repository");
    }
    gy_dvc_tmp_name(r, name);
    (void)snprintf(tmp, sizeof tmp, "%s%s", to, name);
    gy_status status = copy_all(source, tmp, err);
    if (status == GY_OK && gy_path_is_dir(to) && unlink(to) != 0) { /* not a link to a folder */
        status = gy_dir_remove(to, err);
    }
    if (status == GY_OK && gy_path_is_dir(tmp)) {
        (void)unlink(to); /* a file where a folder comes; what does not go is told now */
    }
    if (status == GY_OK && rename(tmp, to) != 0) {
        status = gy_err_sys(err, errno, "%s", to);
    }
    if (status != GY_OK) {
        GY_IGNORE(gy_dir_remove(tmp, NULL)); /* the failure at hand is what counts */
        (void)unlink(tmp);
    }
    return status;
}

static gy_status take_from_outside(struct gy_dvc_repo *r, const char *source,
                                   struct gy_dvc_out *out, struct gy_arena *a, struct gy_err *err)
{
    char to[GY_MAX_PATH], path[GY_MAX_PATH];
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options save = {.save = true};
    (void)snprintf(path, sizeof path, "%" GY_STR_F, GY_STR_A(out->path));
    GY_TRY(gy_path_join(to, sizeof to, gy_dvc_repo_root(r), path, err));
    GY_TRY(gy_dir_make_for(to, err));
    GY_TRY(copy_over(r, source, to, err));
    GY_TRY(gy_dvc_tree(r, out->path, &save, a, &t, err));
    out->oid = t.oid;
    out->size_bytes = t.size_bytes;
    out->n_files = t.is_dir ? (int64_t)t.n_files : -1;
    out->is_exec = t.is_exec;
    return GY_OK;
}

/* ---- the .dvc file ---- */

static void add_scalar_line(struct gy_buf *b, const char *key, const char *text, int depth)
{
    gy_buf_addf(b, "%*s%s: ", depth, "", key);
    gy_dvc_yaml_folded(b, gy_str_c(text), depth + 2);
}

static void add_dep(struct gy_buf *b, const struct origin *from, const struct gy_dvc_out *out)
{
    gy_buf_addc(b, "frozen: true\ndeps:\n- ");
    if (!from->repo) {
        gy_buf_addc(b, "md5: ");
        gy_yaml_add_scalar(b, gy_str_c(out->oid.hex));
        gy_buf_addf(b, "\n  size: %lld\n", (long long)out->size_bytes);
        if (out->n_files >= 0) {
            gy_buf_addf(b, "  nfiles: %lld\n", (long long)out->n_files);
        }
        if (out->is_exec) {
            gy_buf_addc(b, "  isexec: true\n");
        }
        gy_buf_addc(b, "  hash: md5\n  ");
    }
    gy_buf_addc(b, "path: ");
    gy_dvc_yaml_folded(b, gy_str_c(from->path), 4);
    if (from->repo) {
        gy_buf_addc(b, "  repo:\n");
        add_scalar_line(b, "url", from->repo, 4);
        if (from->rev) {
            add_scalar_line(b, "rev", from->rev, 4);
        }
        gy_buf_addc(b, "    rev_lock: ");
        gy_yaml_add_scalar(b, gy_str_c(from->rev_lock));
        gy_buf_add_char(b, '\n');
    }
}

static struct gy_str base_name(struct gy_str path)
{
    const char *slash = memrchr(path.p, '/', path.n);
    return slash ? gy_str_sub(path, (size_t)(slash + 1 - path.p), path.n) : path;
}

/* The text of the file with its stage's digest in front. */
static gy_status sign(const struct gy_buf *body, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    char md5[GY_MD5_HEX];
    GY_TRY(gy_buf_check(body, "a .dvc file", err));
    GY_TRY(gy_yaml_parse(gy_buf_str(body), "the import", &y, err));
    GY_TRY(gy_dvc_stage_md5(gy_yaml_root(y), md5, err));
    gy_buf_addc(out, "md5: ");
    gy_yaml_add_scalar(out, gy_str_c(md5));
    gy_buf_add_char(out, '\n');
    gy_buf_add(out, gy_buf_str(body));
    return gy_buf_check(out, "a .dvc file", err);
}

static gy_status full_path(struct gy_dvc_repo *r, struct gy_str path, char ret[GY_MAX_PATH],
                           struct gy_err *err)
{
    char text[GY_MAX_PATH];
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(path));
    return gy_path_join(ret, GY_MAX_PATH, gy_dvc_repo_root(r), text, err);
}

/* Objects are in the cache: the workspace, then the file that says so. */
static gy_status record(struct gy_dvc_repo *r, const struct gy_dvc_out *out, struct gy_str text,
                        bool force, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_dvc_repo_settle(r, err));
    GY_TRY(gy_dvc_checkout(r, out, 1, force, err));
    if (!gy_dvc_config_bool(gy_dvc_repo_config(r), "core", "no_scm", false)) {
        GY_TRY(gy_git_ignore(gy_dvc_repo_root(r), out->path, err));
    }
    GY_TRY(full_path(r, out->file, path, err));
    return gy_file_write(path, text, 0644, err);
}

static gy_status place_out(struct gy_dvc_repo *r, const struct gy_dvc_import *i, struct gy_arena *a,
                           struct gy_dvc_out *out, struct gy_err *err)
{
    char at[GY_MAX_PATH], full[GY_MAX_PATH], file[GY_MAX_PATH];
    struct gy_str name = base_name(trimmed(i->path));
    const char *to = i->out ? i->out : gy_arena_strdup(a, name);
    if (!to) {
        return no_memory(err);
    }
    GY_TRY(gy_dvc_from_root(r, to, at, err));
    *out = (struct gy_dvc_out){.path = gy_arena_str(a, gy_str_c(at)),
                               .file = gy_str_c(gy_arena_printf(a, "%s.dvc", at)),
                               .size_bytes = -1,
                               .n_files = -1,
                               .cache = true,
                               .push = true};
    if (!out->path.p || !out->file.p) {
        return no_memory(err);
    }
    GY_TRY(full_path(r, out->path, full, err));
    GY_TRY(full_path(r, out->file, file, err));
    if (!i->force && (gy_path_exists(full) || gy_path_exists(file))) {
        (void)gy_err_set(err, GY_E_EXISTS, "%s is there already",
                         gy_path_exists(file) ? file : full);
        return gy_err_hint(err, "--out NAME gives another name, --force replaces it");
    }
    return GY_OK;
}

/* Two outputs that overlap would make the whole repository unreadable. */
static gy_status check_place(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                             struct gy_arena *a, struct gy_err *err)
{
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    if (gy_dvc_is_private(out->path)) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' can not be an output",
                          GY_STR_A(out->path));
    }
    GY_TRY(gy_dvc_repo_outs(r, NULL, 0, a, &outs, &n, err));
    for (size_t i = 0; i < n; i++) {
        bool overlap = gy_str_eq(outs[i].path, out->path) ||
                       gy_dvc_inside(outs[i].path, out->path) ||
                       gy_dvc_inside(out->path, outs[i].path);
        if (overlap && (outs[i].stage.p || !gy_str_eq(outs[i].file, out->file))) {
            return gy_err_set(err, GY_E_EXISTS, "%" GY_STR_F " tracks %" GY_STR_F,
                              GY_STR_A(outs[i].file), GY_STR_A(outs[i].path));
        }
    }
    return GY_OK;
}

static void tell(struct gy_dvc_imported *ret, const struct gy_dvc_out *out,
                 const struct origin *from, bool changed)
{
    *ret = (struct gy_dvc_imported){
        .path = out->path, .file = out->file, .oid = out->oid, .changed = changed};
    (void)snprintf(ret->rev_lock, sizeof ret->rev_lock, "%s", from->repo ? from->rev_lock : "");
}

gy_status gy_dvc_import(struct gy_dvc_repo *r, const struct gy_dvc_import *i, struct gy_arena *a,
                        struct gy_dvc_imported *ret, struct gy_err *err)
{
    struct gy_dvc_out out;
    struct origin from = {.repo = i->repo, .path = i->path, .rev = i->rev};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&body, GY_MAX_YAML);
    gy_buf_init(&text, GY_MAX_YAML);
    char absolute[PATH_MAX];
    if (!i->repo && strstr(i->path, "://")) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "'%.200s': only files and folders of this machine "
                         "are imported by path",
                         i->path);
        return gy_err_hint(err, "dvc import-url knows other places");
    }
    if (!i->repo && !realpath(i->path, absolute)) {
        return gy_err_sys(err, errno, "%s", i->path);
    }
    GY_TRY(place_out(r, i, a, &out, err));
    GY_TRY(check_place(r, &out, a, err));
    if (i->repo) {
        GY_TRY(take_from_repo(r, &from, &out, a, err));
    } else {
        from.path = absolute;
        GY_TRY(take_from_outside(r, absolute, &out, a, err));
    }
    add_dep(&body, &from, &out);
    gy_dvc_file_text(&body, &out, base_name(out.path));
    GY_TRY(sign(&body, &text, err));
    GY_TRY(record(r, &out, gy_buf_str(&text), i->force, err));
    tell(ret, &out, &from, true);
    return GY_OK;
}

/* ---- update ---- */

/* A .dvc file with one dependency, and what it says of it. Views live as long as y. */
struct imported {
    struct gy_yaml *y;
    const struct gy_yaml_node *dep, *repo;
};

static gy_status read_import(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                             struct imported *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    *ret = (struct imported){.y = NULL};
    GY_TRY(full_path(r, out->file, path, err));
    GY_TRY(gy_yaml_read_file(path, &ret->y, err));
    const struct gy_yaml_node *deps = gy_yaml_get(gy_yaml_root(ret->y), "deps");
    if (deps && deps->kind == GY_YAML_SEQ && deps->n_items == 1) {
        ret->dep = &deps->items[0];
        ret->repo = gy_yaml_get(ret->dep, "repo");
    }
    if (!ret->dep || !gy_yaml_get(ret->dep, "path") ||
        (ret->repo && (!gy_yaml_get(ret->repo, "url") || !gy_yaml_get(ret->repo, "rev_lock")))) {
        gy_yaml_free(GY_TAKE(ret->y));
        return gy_err_set(err, GY_E_INVALID, "%" GY_STR_F " is no import", GY_STR_A(out->file));
    }
    return GY_OK;
}

static const char *text_of(const struct gy_yaml_node *map, const char *key, struct gy_arena *a)
{
    const struct gy_yaml_node *n = gy_yaml_get(map, key);
    return n ? gy_arena_strdup(a, n->text) : NULL;
}

/* Source from *from on, with the text of the node replaced; *from is behind it then. */
static void replace_span(struct gy_buf *b, const struct gy_yaml_node *n, struct gy_str text,
                         size_t *from, struct gy_str source)
{
    gy_buf_add(b, gy_str_sub(source, *from, n->offset - *from));
    gy_buf_add(b, text);
    *from = n->offset + n->length;
}

/* The dependency's part told anew: spans in the order they stand in. */
static gy_status rewrite(const struct imported *i, const struct origin *from,
                         const struct gy_dvc_out *out, struct gy_buf *ret, struct gy_err *err)
{
    static const char *const keys[] = {"rev", "rev_lock", "md5", "size", "nfiles"};
    struct gy_str source = gy_yaml_source(i->y);
    size_t at = 0;
    for (size_t done = 0; done < 5; done++) {
        const struct gy_yaml_node *next = NULL;
        size_t which = 0;
        for (size_t k = 0; k < 5; k++) { /* few: the one that comes next */
            const struct gy_yaml_node *n = gy_yaml_get(k < 2 ? i->repo : i->dep, keys[k]);
            if (n && n->offset >= at && (!next || n->offset < next->offset)) {
                next = n;
                which = k;
            }
        }
        if (!next) {
            break;
        }
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        gy_buf_init(&text, GY_MAX_PATH);
        if (which == 0) {
            gy_yaml_add_scalar(&text, gy_str_c(from->rev));
        } else if (which == 1) {
            if (!gy_yaml_get(i->repo, "rev") && from->rev) {
                gy_buf_addf(&text, "%s\n%*srev: ", from->rev_lock, i->repo->column - 1, "");
                gy_yaml_add_scalar(&text, gy_str_c(from->rev));
            } else {
                gy_yaml_add_scalar(&text, gy_str_c(from->rev_lock));
            }
        } else if (which == 2) {
            gy_yaml_add_scalar(&text, gy_str_c(out->oid.hex));
        } else {
            gy_buf_addf(&text, "%lld", (long long)(which == 3 ? out->size_bytes : out->n_files));
        }
        replace_span(ret, next, gy_buf_str(&text), &at, source);
    }
    gy_buf_add(ret, gy_str_sub(source, at, source.n));
    return gy_buf_check(ret, "a .dvc file", err);
}

/* The whole text with the stage's digest as it is now. */
static gy_status sign_again(const struct gy_buf *text, struct gy_buf *ret, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    char md5[GY_MD5_HEX];
    size_t at = 0;
    GY_TRY(gy_yaml_parse(gy_buf_str(text), "the import", &y, err));
    GY_TRY(gy_dvc_stage_md5(gy_yaml_root(y), md5, err));
    const struct gy_yaml_node *n = gy_yaml_get(gy_yaml_root(y), "md5");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf digest;
    gy_buf_init(&digest, 64);
    gy_yaml_add_scalar(&digest, gy_str_c(md5));
    if (n) {
        replace_span(ret, n, gy_buf_str(&digest), &at, gy_buf_str(text));
    } else {
        gy_buf_addf(ret, "md5: %s\n", digest.p);
    }
    gy_buf_add(ret, gy_str_sub(gy_buf_str(text), at, text->n));
    return gy_buf_check(ret, "a .dvc file", err);
}

/* What someone changed here is not replaced by what is new elsewhere. */
static gy_status need_unchanged(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                                struct gy_arena *a, struct gy_err *err)
{
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options o = {.legacy = out->oid.legacy};
    GY_TRY(gy_dvc_tree(r, out->path, &o, a, &t, err));
    if (!t.exists || strcmp(t.oid.hex, out->oid.hex) == 0) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_CONFLICT, "%" GY_STR_F " was changed here", GY_STR_A(out->path));
    return gy_err_hint(err, "gyre data checkout --force brings back what was imported");
}

static gy_status update(struct gy_dvc_repo *r, const struct imported *i, struct gy_dvc_out *out,
                        const char *rev, struct gy_arena *a, struct gy_dvc_imported *ret,
                        struct gy_err *err)
{
    struct origin from = {.path = text_of(i->dep, "path", a),
                          .repo = i->repo ? text_of(i->repo, "url", a) : NULL,
                          .rev = rev ? rev : text_of(i->repo, "rev", a)};
    struct gy_dvc_oid was = out->oid;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf dep;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf edited;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&dep, GY_MAX_YAML);
    gy_buf_init(&edited, GY_MAX_YAML);
    gy_buf_init(&text, GY_MAX_YAML);
    if (!from.path || (rev && !i->repo)) {
        return from.path ? gy_err_set(err, GY_E_USAGE, "--rev is for imports of a repository")
                         : no_memory(err);
    }
    if (i->repo) {
        GY_TRY(take_from_repo(r, &from, out, a, err));
    } else {
        if (from.path[0] != '/') {
            return gy_err_set(err, GY_E_UNSUPPORTED, "'%s' is updated by dvc update", from.path);
        }
        GY_TRY(need_unchanged(r, out, a, err));
        GY_TRY(take_from_outside(r, from.path, out, a, err));
    }
    GY_TRY(rewrite(i, &from, out, &dep, err));
    GY_TRY(gy_dvc_file_edit(gy_buf_str(&dep), out->file, out, &edited, err));
    GY_TRY(sign_again(&edited, &text, err));
    bool changed = !gy_str_eq(gy_buf_str(&text), gy_yaml_source(i->y));
    if (changed) {
        GY_TRY(record(r, out, gy_buf_str(&text), false, err));
    }
    tell(ret, out, &from, changed || strcmp(was.hex, out->oid.hex) != 0);
    return GY_OK;
}

gy_status gy_dvc_update(struct gy_dvc_repo *r, const struct gy_dvc_out *out, const char *rev,
                        struct gy_arena *a, struct gy_dvc_imported *ret, struct gy_err *err)
{
    struct imported i;
    struct gy_dvc_out now = *out;
    now.imported = false; /* its objects are fetched here and now */
    GY_TRY(read_import(r, out, &i, err));
    gy_status status = update(r, &i, &now, rev, a, ret, err);
    gy_yaml_free(i.y);
    return status;
}

gy_status gy_dvc_is_repo_import(struct gy_dvc_repo *r, const struct gy_dvc_out *out, bool *ret,
                                struct gy_err *err)
{
    struct imported i;
    *ret = false;
    if (!out->imported) {
        return GY_OK;
    }
    GY_TRY(read_import(r, out, &i, err));
    *ret = i.repo != NULL;
    gy_yaml_free(i.y);
    return GY_OK;
}

gy_status gy_dvc_fetch_import(struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                              struct gy_arena *a, struct gy_err *err)
{
    struct imported i;
    struct gy_dvc_out now = *out;
    now.imported = false;
    GY_TRY(read_import(r, out, &i, err));
    struct origin from = {.path = text_of(i.dep, "path", a), .repo = text_of(i.repo, "url", a)};
    const char *lock = text_of(i.repo, "rev_lock", a);
    (void)snprintf(from.rev_lock, sizeof from.rev_lock, "%s", lock ? lock : "");
    gy_yaml_free(i.y);
    if (!from.path || !from.repo) {
        return gy_err_set(err, GY_E_INVALID, "%" GY_STR_F " is no import of a repository",
                          GY_STR_A(out->file));
    }
    GY_TRY(take_from_repo(r, &from, &now, a, err));
    return strcmp(now.oid.hex, out->oid.hex) == 0
               ? gy_dvc_repo_settle(r, err)
               : gy_err_set(err, GY_E_CORRUPT,
                            "%s at %.12s of %s is %s, not what %" GY_STR_F " says", from.path,
                            from.rev_lock, from.repo, now.oid.hex, GY_STR_A(out->file));
}
