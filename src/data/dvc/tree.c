/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/pool.h"
#include "data/dvc/dir.h"
#include "data/dvc/link.h"
#include "data/dvc/tree_internal.h"

#define MAX_CORES 32

struct job {
    struct gy_dvc_repo *r;
    const struct gy_dvc_tree_options *o;
    struct gy_dvc_stats *stats;
    struct gy_dvc_saver *saver; /* NULL: nothing is saved or asked */
    int at;                     /* the folder that relpaths start in */
    const char *name;           /* its path, for messages; of a file: its own */
    struct gy_dvc_file *files;
    const uint32_t *order; /* the large ones first; NULL: as they are */
    size_t n;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t mutex; /* of status and err */
    gy_status status;
    struct gy_err err;
};

int gy_dvc_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_CORES ? MAX_CORES : (int)n;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the files of a folder");
}

static void fail(struct job *j, gy_status status, const struct gy_err *err)
{
    (void)pthread_mutex_lock(&j->mutex);
    if (j->status == GY_OK) {
        j->status = status;
        j->err = *err;
    }
    (void)pthread_mutex_unlock(&j->mutex);
    atomic_store(&j->failed, true);
}

static void fill(struct gy_dvc_file *f, const struct stat *st)
{
    f->size_bytes = st->st_size;
    f->mode = st->st_mode;
    f->dev = (uint64_t)st->st_dev;
    f->ino = (uint64_t)st->st_ino;
    f->n_links = (uint64_t)st->st_nlink;
}

/* ---- one file ---- */

struct worker {
    struct job *j;
    struct gy_dvc_hasher h;
    struct gy_hash *sha256; /* NULL unless asked for */
};

static gy_status read_one(struct worker *w, struct gy_dvc_file *f, int fd, const struct stat *st,
                          const char *rel, const char *name, struct gy_err *err)
{
    struct job *j = w->j;
    if (j->o->save) {
        return gy_dvc_save_file(j->saver, &w->h, w->sha256, fd, st, j->at, rel, f->md5, f->sha256,
                                err);
    }
    if (w->sha256) {
        return gy_dvc_hash_both(&w->h, w->sha256, fd, name, f->md5, f->sha256, err);
    }
    return gy_dvc_hash_fd(&w->h, fd, name, j->o->legacy, f->md5, NULL, err);
}

static gy_status open_one(struct worker *w, struct gy_dvc_file *f, const char *rel,
                          const char *name, struct gy_err *err)
{
    struct stat st;
    int fd = openat(w->j->at, rel, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not open %s", name);
    }
    int64_t began = gy_dvc_stats_now();
    gy_status status = GY_OK;
    if (fstat(fd, &st) != 0) {
        status = gy_err_sys(err, errno, "can not look at %s", name);
    } else if (!S_ISREG(st.st_mode)) {
        status = gy_err_set(err, GY_E_INVALID, "%s is neither a file nor a folder", name);
    } else {
        status = read_one(w, f, fd, &st, rel, name, err);
    }
    (void)close(fd); /* only read from */
    if (status == GY_OK) {
        fill(f, &st);
        gy_dvc_stats_note(w->j->stats, &st, w->j->o->legacy, f->md5, f->sha256, began);
    }
    return status;
}

static gy_status do_file(struct worker *w, struct gy_dvc_file *f, struct gy_err *err)
{
    struct job *j = w->j;
    struct stat st;
    char name[2 * GY_MAX_PATH];
    const char *rel = f->relpath.p ? f->relpath.p : j->name;
    (void)snprintf(name, sizeof name, "%s%s%s", j->name, f->relpath.p ? "/" : "",
                   f->relpath.p ? f->relpath.p : "");
    if (fstatat(j->at, rel, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return gy_err_sys(err, errno, "can not look at %s", name);
    }
    f->is_link = S_ISLNK(st.st_mode);
    if (f->is_link && fstatat(j->at, rel, &st, 0) != 0) {
        return gy_err_sys(err, errno, "can not follow the link %s", name);
    }
    fill(f, &st);
    if (j->o->list_only) {
        return GY_OK;
    }
    if (gy_dvc_stats_find(j->stats, &st, j->o->legacy, f->md5, j->o->sha256 ? f->sha256 : NULL)) {
        bool has = true;
        if (j->o->save) {
            GY_TRY(gy_dvc_saver_has(j->saver, f->md5, j->o->legacy ? -1 : st.st_size, &has, err));
        }
        f->known = has;
    }
    if (!f->known) {
        GY_TRY(open_one(w, f, rel, name, err));
    }
    if (j->o->check) {
        GY_TRY(
            gy_dvc_saver_has(j->saver, f->md5, j->o->legacy ? -1 : f->size_bytes, &f->cached, err));
    }
    if (j->o->progress) {
        atomic_fetch_add(&j->o->progress->done_files, 1);
        atomic_fetch_add(&j->o->progress->done_bytes, f->size_bytes);
    }
    return GY_OK;
}

static void work(void *ctx, size_t i)
{
    struct worker w = {.j = ctx};
    struct job *j = ctx;
    struct gy_err err = GY_ERR_INIT;
    (void)i; /* all workers take from one heap */
    gy_status status = gy_dvc_hasher_init(&w.h, &err);
    if (status == GY_OK && j->o->sha256) {
        status = gy_hash_new(GY_HASH_SHA256, &w.sha256, &err);
    }
    while (status == GY_OK && !atomic_load_explicit(&j->failed, memory_order_relaxed)) {
        size_t k = atomic_fetch_add(&j->next, 1);
        if (k >= j->n) {
            break;
        }
        status = do_file(&w, &j->files[j->order ? j->order[k] : k], &err);
    }
    if (status != GY_OK) {
        fail(j, status, &err);
    }
    gy_hash_free(w.sha256);
    gy_dvc_hasher_done(&w.h);
}

static gy_status run_job(struct job *j, struct gy_err *err)
{
    int cores = gy_dvc_cores();
    int n = j->n < 32 && !j->saver ? 1 : (size_t)cores > j->n ? (int)j->n : cores;
    (void)pthread_mutex_init(&j->mutex, NULL); /* can not fail for a plain mutex */
    atomic_init(&j->next, 0);
    atomic_init(&j->failed, false);
    j->status = GY_OK;
    gy_status status = gy_parallel(n < 1 ? 1 : n, (size_t)(n < 1 ? 1 : n), work, j, err);
    (void)pthread_mutex_destroy(&j->mutex);
    if (status == GY_OK && j->status != GY_OK) {
        if (err) {
            *err = j->err;
        }
        status = j->status;
    }
    return status;
}

/* ---- a folder ---- */

static gy_status folder_oid(struct gy_dvc_tree *t, struct gy_arena *a, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_DVC_MAX_LIST);
    struct gy_arena scratch;
    gy_arena_init(&scratch, 4 * GY_GIB);
    struct gy_dvc_entry *entries = gy_arena_calloc(&scratch, t->n_files + 1, sizeof *entries);
    gy_status status = entries ? GY_OK : no_memory(err);
    for (size_t i = 0; entries && status == GY_OK && i < t->n_files; i++) {
        entries[i].relpath = t->files[i].relpath;
        memcpy(entries[i].md5, t->files[i].md5, GY_MD5_HEX);
        t->size_bytes += t->files[i].size_bytes;
    }
    if (status == GY_OK) {
        status = gy_dvc_dir_json(entries, t->n_files, &json, err);
    }
    gy_arena_done(&scratch);
    GY_TRY(status);
    GY_TRY(gy_md5_hex(gy_buf_str(&json), t->oid.hex, err));
    memcpy(t->oid.hex + GY_MD5_HEX - 1, ".dir", 5);
    t->json = gy_arena_str(a, gy_buf_str(&json));
    return t->json.p ? GY_OK : no_memory(err);
}

static gy_status do_folder(struct job *j, struct gy_str path, struct gy_arena *a,
                           struct gy_dvc_tree *t, struct gy_err *err)
{
    j->at = openat(j->r->root_fd, path.n ? path.p : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->at < 0) {
        return gy_err_sys(err, errno, "can not enter %s", j->name);
    }
    gy_status status = gy_dvc_walk(j->r, path, j->at, a, &t->files, &t->n_files, err);
    if (status == GY_OK) {
        j->files = t->files;
        j->n = t->n_files;
        if (j->o->progress) {
            atomic_fetch_add(&j->o->progress->total_files, (long long)j->n);
        }
        status = run_job(j, err);
    }
    (void)close(j->at); /* only looked up from */
    GY_TRY(status);
    if (j->o->list_only) {
        return GY_OK;
    }
    GY_TRY(folder_oid(t, a, err));
    return j->o->save ? gy_dvc_save_bytes(j->saver, t->oid.hex, t->json, err) : GY_OK;
}

static gy_status do_single(struct job *j, struct gy_arena *a, struct gy_dvc_tree *t,
                           struct gy_err *err)
{
    t->files = gy_arena_calloc(a, 1, sizeof *t->files);
    if (!t->files) {
        return no_memory(err);
    }
    t->n_files = 1;
    j->at = j->r->root_fd;
    j->files = t->files;
    j->n = 1;
    if (j->o->progress) {
        atomic_fetch_add(&j->o->progress->total_files, 1);
    }
    GY_TRY(run_job(j, err));
    memcpy(t->oid.hex, t->files[0].md5, GY_MD5_HEX);
    t->size_bytes = t->files[0].size_bytes;
    t->is_exec = (t->files[0].mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
    return GY_OK;
}

gy_status gy_dvc_tree(struct gy_dvc_repo *r, struct gy_str path,
                      const struct gy_dvc_tree_options *o, struct gy_arena *a,
                      struct gy_dvc_tree *ret, struct gy_err *err)
{
    struct stat st;
    struct gy_dvc_saver saver;
    struct job j = {.r = r, .o = o, .name = gy_arena_strdup(a, path)};
    *ret = (struct gy_dvc_tree){.oid.legacy = o->legacy};
    if (!j.name) {
        return no_memory(err);
    }
    if (fstatat(r->root_fd, path.n ? j.name : ".", &st, 0) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? GY_OK
                   : gy_err_sys(err, errno, "can not look at %s", j.name);
    }
    ret->exists = true;
    ret->is_dir = S_ISDIR(st.st_mode);
    if (!ret->is_dir && !S_ISREG(st.st_mode)) {
        return gy_err_set(err, GY_E_INVALID, "%s is neither a file nor a folder", j.name);
    }
    GY_TRY(gy_dvc_repo_stats(r, &j.stats, err));
    if (o->save || o->check) {
        struct gy_dvc_links links;
        GY_TRY(gy_dvc_links_read(r, &links, err));
        gy_dvc_saver_init(&saver, r, o->legacy);
        saver.how = links.types[0] == GY_DVC_HARDLINK || links.types[0] == GY_DVC_SYMLINK
                        ? GY_DVC_BY_LINK
                        : GY_DVC_BY_COPY;
        j.saver = &saver;
    }
    gy_status status =
        ret->is_dir ? do_folder(&j, gy_str_c(j.name), a, ret, err) : do_single(&j, a, ret, err);
    if (j.saver) {
        gy_dvc_saver_done(&saver);
    }
    return status;
}
