/* SPDX-License-Identifier: Apache-2.0 */
/* From the cache into the workspace. First a plan for all outputs: what there is against what there
 * should be; whether each object is in the cache; whether what goes is saved. Then the plan is
 * carried out: removals, folders, files on all cores. */
#include "data/dvc/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/pool.h"
#include "data/dvc/dir.h"
#include "data/dvc/link.h"
#include "data/dvc/stages.h"
#include "data/dvc/tree_internal.h"

#define ARENA_MAX (16 * GY_GIB)

struct put {
    struct gy_str rel; /* under the plan's folder */
    const char *md5;
    bool replaces;
};

struct plan {
    const struct gy_dvc_out *out;
    struct gy_dvc_tree was;
    struct gy_dvc_entry *wanted; /* of a file: one, its relpath absent */
    size_t n_wanted;
    struct put *puts;
    size_t n_puts;
    const struct gy_dvc_file **goes; /* files that are removed */
    size_t n_goes;
    bool turns; /* a file becomes a folder or the other way round */
};

struct checkout {
    struct gy_dvc_repo *r;
    const struct gy_dvc_checkout_options *o;
    struct gy_arena *a;
    struct gy_dvc_links links;
    struct gy_err *err;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a checkout");
}

/* ---- what would be lost ---- */

struct asking {
    struct gy_dvc_saver saver;
    const struct plan *p;
    bool puts; /* else goes */
    atomic_size_t first_missing;
    pthread_mutex_t mutex;
    gy_status status;
    struct gy_err err;
};

#define ASK_STEP 256 /* objects asked for at once by a thread */

static const char *asked(const struct asking *q, size_t i)
{
    return q->puts ? q->p->puts[i].md5 : q->p->goes[i]->md5;
}

static void ask(void *ctx, size_t step)
{
    struct asking *q = ctx;
    size_t n = q->puts ? q->p->n_puts : q->p->n_goes;
    struct gy_err err = GY_ERR_INIT;
    for (size_t i = step * ASK_STEP; i < n && i < (step + 1) * ASK_STEP; i++) {
        bool has = false;
        /* What goes has a size that its object has, too, unless that is damaged. */
        int64_t size = q->puts || q->p->was.oid.legacy ? -1 : q->p->goes[i]->size_bytes;
        gy_status status = gy_dvc_saver_has(&q->saver, asked(q, i), size, &has, &err);
        if (status != GY_OK) {
            (void)pthread_mutex_lock(&q->mutex);
            q->status = status;
            q->err = err;
            (void)pthread_mutex_unlock(&q->mutex);
            return;
        }
        size_t first = atomic_load(&q->first_missing);
        while (!has && i < first && !atomic_compare_exchange_weak(&q->first_missing, &first, i)) {
        }
    }
}

/* The first one that the cache does not have; SIZE_MAX: it has all. */
static gy_status find_missing(struct checkout *c, const struct plan *p, bool puts, bool legacy,
                              size_t *ret)
{
    struct asking q = {.p = p, .puts = puts, .status = GY_OK};
    size_t n = puts ? p->n_puts : p->n_goes;
    gy_dvc_saver_init(&q.saver, c->r, legacy);
    atomic_init(&q.first_missing, SIZE_MAX);
    (void)pthread_mutex_init(&q.mutex, NULL); /* can not fail for a plain mutex */
    gy_status status = gy_parallel(gy_dvc_cores(), (n + ASK_STEP - 1) / ASK_STEP, ask, &q, c->err);
    (void)pthread_mutex_destroy(&q.mutex);
    gy_dvc_saver_done(&q.saver);
    if (status == GY_OK && q.status != GY_OK) {
        if (c->err) {
            *c->err = q.err;
        }
        status = q.status;
    }
    *ret = atomic_load(&q.first_missing);
    return status;
}

static gy_status check_objects(struct checkout *c, const struct plan *p)
{
    size_t i = SIZE_MAX;
    GY_TRY(find_missing(c, p, true, p->out->oid.legacy, &i));
    if (i != SIZE_MAX) {
        (void)gy_err_set(
            c->err, GY_E_NOTFOUND, "%" GY_STR_F "%s%" GY_STR_F " is not in the cache: %s",
            GY_STR_A(p->out->path),
            p->puts[i].rel.p && p->n_wanted > 0 && p->wanted[0].relpath.p ? "/" : "",
            GY_STR_A(p->wanted[0].relpath.p ? p->puts[i].rel : GY_STR("")), p->puts[i].md5);
        return gy_err_hint(c->err, "`gyre data fetch` or `gyre data pull` gets it from a remote");
    }
    if (c->o->force) {
        return GY_OK;
    }
    GY_TRY(find_missing(c, p, false, p->was.oid.legacy, &i));
    if (i != SIZE_MAX) {
        const struct gy_dvc_file *f = p->goes[i];
        (void)gy_err_set(c->err, GY_E_CONFLICT,
                         "%" GY_STR_F "%s%" GY_STR_F " would be lost: no cache holds it",
                         GY_STR_A(p->out->path), f->relpath.p ? "/" : "", GY_STR_A(f->relpath));
        return gy_err_hint(c->err, "`gyre data add` or `commit` saves it, --force gives it up");
    }
    return GY_OK;
}

/* ---- the plan ---- */

static gy_status load_wanted(struct checkout *c, struct plan *p)
{
    if (gy_dvc_oid_is_dir(&p->out->oid)) {
        gy_status status =
            gy_dvc_dir_load(c->r, &p->out->oid, c->a, &p->wanted, &p->n_wanted, c->err);
        for (size_t i = 0; status == GY_OK && i < p->n_wanted; i++) {
            if (gy_dvc_is_private(p->wanted[i].relpath)) { /* no `dvc add` takes one in */
                return gy_err_set(c->err, GY_E_INVALID,
                                  "%" GY_STR_F "/%" GY_STR_F " is not put into the workspace",
                                  GY_STR_A(p->out->path), GY_STR_A(p->wanted[i].relpath));
            }
        }
        if (status == GY_E_NOTFOUND) {
            (void)gy_err_wrap(c->err, "%" GY_STR_F, GY_STR_A(p->out->path));
            (void)gy_err_hint(c->err,
                              "`gyre data fetch` or `gyre data pull` gets it from a remote");
        }
        return status;
    }
    p->wanted = gy_arena_calloc(c->a, 1, sizeof *p->wanted);
    if (!p->wanted) {
        return no_memory(c->err);
    }
    memcpy(p->wanted->md5, p->out->oid.hex, GY_MD5_HEX);
    p->n_wanted = 1;
    return GY_OK;
}

/* Where something of the output stands, under the folder that puts go to. */
static gy_status object_of(struct checkout *c, const struct plan *p, const char *md5,
                           char ret[GY_MAX_PATH])
{
    struct gy_dvc_oid oid;
    if (!gy_dvc_oid_set(&oid, gy_str_c(md5), p->out->oid.legacy)) {
        return gy_err_set(c->err, GY_E_INVALID, "'%s' names no object", md5);
    }
    return gy_dvc_cache_path(c->r, &oid, ret, c->err);
}

static gy_status keeps(struct checkout *c, const struct plan *p, const struct gy_dvc_file *f,
                       const struct gy_dvc_entry *w, bool *ret)
{
    char object[GY_MAX_PATH], path[2 * GY_MAX_PATH];
    *ret = memcmp(f->md5, w->md5, GY_MD5_HEX) == 0;
    if (*ret && c->o->relink) {
        GY_TRY(object_of(c, p, w->md5, object));
        (void)snprintf(path, sizeof path, "%" GY_STR_F "%s%" GY_STR_F, GY_STR_A(p->out->path),
                       f->relpath.p ? "/" : "", GY_STR_A(f->relpath));
        *ret = gy_dvc_link_fits(&c->links, f, object, c->r->root_fd, path);
    }
    return GY_OK;
}

/* A wanted file that the listing does not have may stand there all the same, when .dvcignore names
 * it: *ret_same, or *ret is what would be replaced. */
static gy_status find_unlisted(struct checkout *c, const struct plan *p,
                               const struct gy_dvc_entry *w, bool *ret_same,
                               const struct gy_dvc_file **ret)
{
    char path[2 * GY_MAX_PATH];
    struct stat st;
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options look = {.legacy = p->out->oid.legacy};
    *ret = NULL;
    if (!p->was.exists || !p->was.is_dir || p->turns || !w->relpath.p) {
        return GY_OK;
    }
    int n = snprintf(path, sizeof path, "%" GY_STR_F "/%" GY_STR_F, GY_STR_A(p->out->path),
                     GY_STR_A(w->relpath));
    if (n <= 0 || n >= (int)sizeof path || fstatat(c->r->root_fd, path, &st, 0) != 0 ||
        !S_ISREG(st.st_mode)) {
        return GY_OK; /* nothing, or no data: a folder is not replaced by a file's rename */
    }
    GY_TRY(gy_dvc_tree(c->r, gy_str_c(path), &look, c->a, &t, c->err));
    if (t.exists && !t.is_dir) {
        t.files[0].relpath = w->relpath;
        *ret_same = memcmp(t.files[0].md5, w->md5, GY_MD5_HEX) == 0;
        *ret = *ret_same ? NULL : &t.files[0];
    }
    return GY_OK;
}

/* Both lists are sorted: walk along them. */
static gy_status compare(struct checkout *c, struct plan *p)
{
    size_t i = 0, k = 0;
    size_t n_was = p->was.exists ? p->was.n_files : 0;
    bool is_dir = gy_dvc_oid_is_dir(&p->out->oid);
    p->turns = p->was.exists && p->was.is_dir != is_dir;
    p->puts = gy_arena_calloc(c->a, p->n_wanted + 1, sizeof *p->puts);
    p->goes = gy_arena_calloc(c->a, n_was + p->n_wanted + 1, sizeof *p->goes);
    if (!p->puts || !p->goes) {
        return no_memory(c->err);
    }
    while (i < n_was || k < p->n_wanted) {
        const struct gy_dvc_file *f = i < n_was ? &p->was.files[i] : NULL;
        const struct gy_dvc_entry *w = k < p->n_wanted ? &p->wanted[k] : NULL;
        int order = !f ? 1 : !w || p->turns ? -1 : gy_dvc_path_cmp(f->relpath, w->relpath);
        if (f && (order < 0 || !w)) {
            p->goes[p->n_goes++] = f;
            i++;
            continue;
        }
        if (!w) {
            break; /* both lists are at their ends */
        }
        bool same = false;
        if (f && order == 0) {
            GY_TRY(keeps(c, p, f, w, &same));
            i++;
        } else {
            GY_TRY(find_unlisted(c, p, w, &same, &f));
            order = f ? 0 : order;
        }
        k++;
        if (same) {
            continue;
        }
        if (f && order == 0 && memcmp(f->md5, w->md5, GY_MD5_HEX) != 0) {
            p->goes[p->n_goes++] = f; /* it must be saved, but goes when it is replaced */
        }
        p->puts[p->n_puts++] = (struct put){
            .rel = w->relpath.p ? w->relpath : p->out->path, .md5 = w->md5, .replaces = order == 0};
    }
    return GY_OK;
}

static gy_status make_plan(struct checkout *c, struct plan *p)
{
    struct gy_dvc_tree_options look = {.legacy = p->out->oid.legacy};
    GY_TRY(load_wanted(c, p));
    GY_TRY(gy_dvc_tree(c->r, p->out->path, &look, c->a, &p->was, c->err));
    GY_TRY(compare(c, p));
    return check_objects(c, p);
}

/* ---- carrying it out ---- */

/* The folder itself, made with those above it; a link or file in the way is an error, or removed
 * with force. */
static gy_status make_folder(struct checkout *c, int at, struct gy_str rel)
{
    char path[GY_MAX_PATH];
    struct stat st;
    for (size_t end = 0; end < rel.n; end++) {
        size_t slash = gy_str_find(gy_str_sub(rel, end, rel.n), '/');
        end = slash == SIZE_MAX ? rel.n : end + slash;
        (void)snprintf(path, sizeof path, "%.*s", (int)end, rel.p);
        if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
            if (!c->o->force) {
                (void)gy_err_set(c->err, GY_E_CONFLICT, "%s is in the way: it is no folder", path);
                return gy_err_hint(c->err, "--force removes it");
            }
            if (unlinkat(at, path, 0) != 0) {
                return gy_err_sys(c->err, errno, "can not remove %s", path);
            }
        }
        if (mkdirat(at, path, 0777) != 0 && errno != EEXIST) {
            return gy_err_sys(c->err, errno, "can not make the folder %s", path);
        }
    }
    return GY_OK;
}

static struct gy_str folder_of(struct gy_str rel)
{
    const char *slash = rel.n > 0 ? memrchr(rel.p, '/', rel.n) : NULL;
    return gy_str_n(rel.p, slash ? (size_t)(slash - rel.p) : 0);
}

static gy_status remove_gone(struct checkout *c, struct plan *p, int at)
{
    size_t k = p->turns ? p->n_puts : 0;
    char path[GY_MAX_PATH];
    for (size_t i = 0; i < p->n_goes; i++) {
        struct gy_str rel = p->goes[i]->relpath;
        while (k < p->n_puts && gy_dvc_path_cmp(p->puts[k].rel, rel) < 0) {
            k++;
        }
        if (k < p->n_puts && p->puts[k].replaces && gy_str_eq(p->puts[k].rel, rel)) {
            continue; /* the new file takes its name */
        }
        (void)snprintf(path, sizeof path, "%" GY_STR_F, GY_STR_A(rel));
        if (unlinkat(at, path, 0) != 0 && errno != ENOENT) {
            return gy_err_sys(c->err, errno, "can not remove %s", path);
        }
        for (char *slash = NULL; (slash = strrchr(path, '/'));) { /* folders that are empty now */
            *slash = '\0';
            if (unlinkat(at, path, AT_REMOVEDIR) != 0) {
                break;
            }
        }
    }
    return GY_OK;
}

struct putting {
    struct checkout *c;
    const struct plan *p;
    int at;
    atomic_bool failed;
    pthread_mutex_t mutex;
    gy_status status;
    struct gy_err err;
};

static void put_one(void *ctx, size_t i)
{
    struct putting *q = ctx;
    const struct put *put = &q->p->puts[i];
    char object[GY_MAX_PATH], rel[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    if (atomic_load_explicit(&q->failed, memory_order_relaxed)) {
        return;
    }
    struct checkout mine = *q->c;
    mine.err = &err;
    (void)snprintf(rel, sizeof rel, "%" GY_STR_F, GY_STR_A(put->rel));
    gy_status status = object_of(&mine, q->p, put->md5, object);
    if (status == GY_OK) {
        status = gy_dvc_link(q->c->r, &q->c->links, object, put->md5, q->p->out->oid.legacy,
                             q->p->out->is_exec, q->at, rel, &err);
    }
    if (status != GY_OK) {
        (void)pthread_mutex_lock(&q->mutex);
        if (q->status == GY_OK) {
            q->status = status;
            q->err = err;
        }
        (void)pthread_mutex_unlock(&q->mutex);
        atomic_store(&q->failed, true);
    } else if (q->c->o->progress) {
        atomic_fetch_add(&q->c->o->progress->done_files, 1);
    }
}

static gy_status put_all(struct checkout *c, struct plan *p, int at)
{
    struct gy_str last = GY_STR_NULL;
    for (size_t i = 0; i < p->n_puts; i++) {
        struct gy_str folder = folder_of(p->puts[i].rel);
        if (folder.n > 0 && !gy_str_eq(folder, last)) {
            GY_TRY(make_folder(c, at, folder));
        }
        last = folder;
    }
    struct putting q = {.c = c, .p = p, .at = at, .status = GY_OK};
    atomic_init(&q.failed, false);
    (void)pthread_mutex_init(&q.mutex, NULL); /* can not fail for a plain mutex */
    if (c->o->progress) {
        atomic_fetch_add(&c->o->progress->total_files, (long long)p->n_puts);
    }
    gy_status status =
        gy_parallel(p->n_puts < 16 ? 1 : gy_dvc_cores(), p->n_puts, put_one, &q, c->err);
    (void)pthread_mutex_destroy(&q.mutex);
    if (status == GY_OK && q.status != GY_OK) {
        if (c->err) {
            *c->err = q.err;
        }
        status = q.status;
    }
    return status;
}

static gy_status set_exec(struct checkout *c, const struct plan *p)
{
    struct stat st;
    if (p->out->is_exec && p->n_puts == 0 && p->was.n_files == 1 && !p->was.files[0].is_link &&
        fstatat(c->r->root_fd, p->out->path.p, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !(st.st_mode & S_IXUSR) && st.st_nlink == 1 &&
        fchmodat(c->r->root_fd, p->out->path.p, (st.st_mode | (0111 & ~c->r->umask)) & 07777, 0) !=
            0) {
        return gy_err_sys(c->err, errno, "can not make %" GY_STR_F " executable",
                          GY_STR_A(p->out->path));
    }
    return GY_OK;
}

static gy_status carry_out_folder(struct checkout *c, struct plan *p)
{
    GY_TRY(make_folder(c, c->r->root_fd, p->out->path));
    int at = openat(c->r->root_fd, p->out->path.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (at < 0) {
        return gy_err_sys(c->err, errno, "can not enter %" GY_STR_F, GY_STR_A(p->out->path));
    }
    gy_status status = p->turns ? GY_OK : remove_gone(c, p, at);
    if (status == GY_OK) {
        status = put_all(c, p, at);
    }
    (void)close(at); /* only looked up from */
    return status;
}

static gy_status remove_file(struct checkout *c, const char *path)
{
    return unlink(path) == 0 || errno == ENOENT
               ? GY_OK
               : gy_err_sys(c->err, errno, "can not remove %s", path);
}

/* Where a file is to be. What is in it and not tracked (.dvcignore) goes with force only. */
static gy_status remove_folder(struct checkout *c, struct plan *p, const char *path)
{
    if (c->o->force) {
        return gy_dir_remove(path, c->err);
    }
    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        return gy_err_sys(c->err, errno, "can not enter %s", path);
    }
    gy_status status = remove_gone(c, p, at);
    (void)close(at); /* only looked up from */
    GY_TRY(status);
    if (rmdir(path) == 0) {
        return GY_OK;
    }
    (void)gy_err_set(c->err, GY_E_CONFLICT, "%s is in the way and holds what is not tracked", path);
    return gy_err_hint(c->err, "--force removes it");
}

static gy_status carry_out(struct checkout *c, struct plan *p, enum gy_dvc_change *ret)
{
    char path[2 * GY_MAX_PATH];
    *ret = !p->was.exists                               ? GY_DVC_ADDED
           : p->turns || p->n_puts > 0 || p->n_goes > 0 ? GY_DVC_MODIFIED
                                                        : GY_DVC_SAME;
    GY_TRY(make_folder(c, c->r->root_fd, folder_of(p->out->path))); /* and no links on the way */
    if (p->turns) {
        (void)snprintf(path, sizeof path, "%s/%" GY_STR_F, c->r->root, GY_STR_A(p->out->path));
        GY_TRY(p->was.is_dir ? remove_folder(c, p, path) : remove_file(c, path));
    }
    if (gy_dvc_oid_is_dir(&p->out->oid)) {
        return carry_out_folder(c, p);
    }
    GY_TRY(put_all(c, p, c->r->root_fd));
    return set_exec(c, p);
}

static void count(const struct plan *p, struct gy_dvc_changes *ret)
{
    size_t replaced = 0;
    for (size_t i = 0; i < p->n_puts; i++) {
        replaced += p->puts[i].replaces;
    }
    ret->n_added += p->n_puts - replaced;
    ret->n_modified += replaced;
    ret->n_deleted += p->n_goes > replaced ? p->n_goes - replaced : 0;
}

gy_status gy_dvc_checkout_with(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                               const struct gy_dvc_checkout_options *o, struct gy_arena *a,
                               struct gy_dvc_changes *ret, struct gy_err *err)
{
    struct checkout c = {.r = r, .o = o, .a = a, .err = err};
    struct gy_dvc_stats *stats = NULL;
    struct plan *plans = gy_arena_calloc(a, n + 1, sizeof *plans);
    *ret = (struct gy_dvc_changes){.outs = gy_arena_calloc(a, n + 1, sizeof *ret->outs)};
    if (!plans || !ret->outs) {
        return no_memory(err);
    }
    GY_TRY(gy_dvc_repo_settle(r, err));
    GY_TRY(gy_dvc_repo_stats(r, &stats, err));
    GY_TRY(gy_dvc_links_read(r, &c.links, err));
    for (size_t i = 0; i < n; i++) {
        plans[i].out = &outs[i];
        if (outs[i].cache && outs[i].oid.hex[0]) {
            GY_TRY(make_plan(&c, &plans[i]));
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (outs[i].cache && outs[i].oid.hex[0]) {
            GY_TRY(carry_out(&c, &plans[i], &ret->outs[i]));
            count(&plans[i], ret);
        }
    }
    return gy_dvc_repo_remember(r, err);
}

gy_status gy_dvc_checkout(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                          bool force, struct gy_err *err)
{
    struct gy_arena a;
    struct gy_dvc_changes changes;
    struct gy_dvc_checkout_options o = {.force = force};
    gy_arena_init(&a, ARENA_MAX);
    gy_status status = gy_dvc_checkout_with(r, outs, n, &o, &a, &changes, err);
    gy_arena_done(&a);
    return status;
}
