/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/diff.h"

#include <stdlib.h>

#include "base/mem.h"
#include "data/dvc/dir.h"
#include "data/dvc/revisions.h"
#include "data/dvc/tree.h"

struct thing {
    struct gy_str path;
    struct gy_dvc_oid oid;
};

struct index {
    struct gy_arena *a;
    struct thing *things; /* sorted by path at the end */
    size_t n, cap;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a comparison");
}

static gy_status add(struct index *x, struct gy_str path, const struct gy_dvc_oid *oid,
                     struct gy_err *err)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 64;
        struct thing *more = gy_reallocarray(x->things, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        x->things = more;
        x->cap = cap;
    }
    x->things[x->n++] = (struct thing){path, *oid};
    return path.p ? GY_OK : no_memory(err);
}

static gy_status add_file(struct index *x, struct gy_str folder, struct gy_str relpath,
                          const char *md5, bool legacy, struct gy_err *err)
{
    struct gy_dvc_oid oid = {.legacy = legacy};
    size_t n = folder.n + 1 + relpath.n;
    char *path = gy_arena_alloc(x->a, n + 1);
    if (!path) {
        return no_memory(err);
    }
    memcpy(oid.hex, md5, GY_MD5_HEX);
    memcpy(path, folder.p, folder.n);
    path[folder.n] = '/';
    memcpy(path + folder.n + 1, relpath.p, relpath.n);
    path[n] = '\0';
    return add(x, gy_str_n(path, n), &oid, err);
}

static struct gy_str as_folder(struct index *x, struct gy_str path)
{
    return gy_str_c(gy_arena_printf(x->a, "%.*s/", (int)path.n, path.p));
}

/* As a revision has it: a list that is not in the cache is the folder as one. */
static gy_status add_recorded(struct index *x, struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                              struct gy_err *err)
{
    struct gy_dvc_entry *entries = NULL;
    size_t n = 0;
    if (!out->oid.hex[0]) {
        return GY_OK;
    }
    if (!gy_dvc_oid_is_dir(&out->oid)) {
        return add(x, out->path, &out->oid, err);
    }
    GY_TRY(add(x, as_folder(x, out->path), &out->oid, err));
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_dvc_dir_load(r, &out->oid, x->a, &entries, &n, &why);
    if (status != GY_OK && status != GY_E_NOTFOUND) {
        if (err) {
            *err = why;
        }
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(add_file(x, out->path, entries[i].relpath, entries[i].md5, out->oid.legacy, err));
    }
    return GY_OK;
}

/* As it stands in the workspace. */
static gy_status add_present(struct index *x, struct gy_dvc_repo *r, const struct gy_dvc_out *out,
                             struct gy_err *err)
{
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options o = {.legacy = out->oid.legacy};
    GY_TRY(gy_dvc_tree(r, out->path, &o, x->a, &t, err));
    if (!t.exists) {
        return GY_OK;
    }
    if (!t.is_dir) {
        return add(x, out->path, &t.oid, err);
    }
    GY_TRY(add(x, as_folder(x, out->path), &t.oid, err));
    for (size_t i = 0; i < t.n_files; i++) {
        GY_TRY(add_file(x, out->path, t.files[i].relpath, t.files[i].md5, out->oid.legacy, err));
    }
    return GY_OK;
}

static int by_path(const void *a, const void *b)
{
    const struct thing *x = a, *y = b;
    return gy_dvc_path_cmp(x->path, y->path);
}

static gy_status fill(struct index *x, struct gy_dvc_repo *r, const char *rev, struct gy_err *err)
{
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    GY_TRY(rev ? gy_dvc_outs_at(gy_dvc_repo_root(r), rev, x->a, &outs, &n, err)
               : gy_dvc_repo_outs(r, NULL, 0, x->a, &outs, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (outs[i].cache) {
            GY_TRY(rev ? add_recorded(x, r, &outs[i], err) : add_present(x, r, &outs[i], err));
        }
    }
    if (x->n) {
        qsort(x->things, x->n, sizeof *x->things, by_path);
    }
    return GY_OK;
}

/* ---- the difference ---- */

static bool same(const struct gy_dvc_oid *a, const struct gy_dvc_oid *b)
{
    return strcmp(a->hex, b->hex) == 0;
}

static void differ(const struct index *was, const struct index *now, struct gy_dvc_difference *d,
                   size_t *ret_n)
{
    size_t i = 0, k = 0, n = 0;
    while (i < was->n || k < now->n) {
        const struct thing *w = i < was->n ? &was->things[i] : NULL;
        const struct thing *h = k < now->n ? &now->things[k] : NULL;
        int order = !w ? 1 : !h ? -1 : by_path(w, h);
        if (w && order < 0) {
            d[n++] = (struct gy_dvc_difference){
                .delta = GY_DVC_D_DELETED, .old_path = w->path, .old_oid = w->oid};
        } else if (h && order > 0) {
            d[n++] = (struct gy_dvc_difference){
                .delta = GY_DVC_D_ADDED, .new_path = h->path, .new_oid = h->oid};
        } else if (w && h && !same(&w->oid, &h->oid)) {
            d[n++] =
                (struct gy_dvc_difference){GY_DVC_D_MODIFIED, w->path, h->path, w->oid, h->oid};
        }
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    *ret_n = n;
}

static int by_digest(const void *a, const void *b)
{
    const struct gy_dvc_difference *x = *(struct gy_dvc_difference *const *)a,
                                   *y = *(struct gy_dvc_difference *const *)b;
    int c = strcmp(x->old_oid.hex, y->old_oid.hex);
    return c ? c : gy_str_cmp(x->old_path, y->old_path);
}

/* Something that was added and is what was deleted elsewhere was renamed: the first of each. */
static gy_status find_renames(struct gy_dvc_difference *d, size_t *n, struct gy_err *err)
{
    struct gy_dvc_difference **gone = gy_calloc(*n + 1, sizeof(struct gy_dvc_difference *));
    size_t n_gone = 0, kept = 0;
    if (!gone) {
        return no_memory(err);
    }
    for (size_t i = 0; i < *n; i++) {
        if (d[i].delta == GY_DVC_D_DELETED) {
            gone[n_gone++] = &d[i];
        }
    }
    if (n_gone) {
        qsort(gone, n_gone, sizeof *gone, by_digest);
    }
    for (size_t i = 0; i < *n && n_gone; i++) {
        if (d[i].delta != GY_DVC_D_ADDED) {
            continue;
        }
        size_t low = 0, high = n_gone; /* the first with this digest */
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (strcmp(gone[mid]->old_oid.hex, d[i].new_oid.hex) < 0) {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        while (low < n_gone && same(&gone[low]->old_oid, &d[i].new_oid) &&
               gone[low]->delta != GY_DVC_D_DELETED) {
            low++; /* taken by another */
        }
        if (low < n_gone && same(&gone[low]->old_oid, &d[i].new_oid)) {
            d[i].delta = GY_DVC_D_RENAMED;
            d[i].old_path = gone[low]->old_path;
            d[i].old_oid = gone[low]->old_oid;
            gone[low]->delta = GY_DVC_D_RENAMED; /* without a new path: it is no line of its own */
        }
    }
    for (size_t i = 0; i < *n; i++) {
        if (d[i].delta != GY_DVC_D_RENAMED || d[i].new_path.p) {
            d[kept++] = d[i];
        }
    }
    *n = kept;
    gy_free(gone);
    return GY_OK;
}

static int by_kind(const void *a, const void *b)
{
    const struct gy_dvc_difference *x = a, *y = b;
    if (x->delta != y->delta) {
        return x->delta < y->delta ? -1 : 1;
    }
    int c = gy_str_cmp(x->old_path, y->old_path);
    return c ? c : gy_str_cmp(x->new_path, y->new_path);
}

static gy_status compare(struct index *was, struct index *now, struct gy_dvc_difference **ret,
                         size_t *ret_n, struct gy_err *err)
{
    struct gy_dvc_difference *d = gy_arena_calloc(was->a, was->n + now->n + 1, sizeof *d);
    if (!d) {
        return no_memory(err);
    }
    differ(was, now, d, ret_n);
    GY_TRY(find_renames(d, ret_n, err));
    if (*ret_n) {
        qsort(d, *ret_n, sizeof *d, by_kind);
    }
    *ret = d;
    return GY_OK;
}

gy_status gy_dvc_diff(struct gy_dvc_repo *r, const char *old_rev, const char *new_rev,
                      struct gy_arena *a, struct gy_dvc_difference **ret, size_t *ret_n,
                      struct gy_err *err)
{
    struct index was = {.a = a}, now = {.a = a};
    gy_status status = fill(&was, r, old_rev, err);
    if (status == GY_OK) {
        status = fill(&now, r, new_rev, err);
    }
    if (status == GY_OK) {
        status = compare(&was, &now, ret, ret_n, err);
    }
    gy_free(was.things);
    gy_free(now.things);
    return status;
}
