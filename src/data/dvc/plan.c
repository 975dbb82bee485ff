/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/plan.h"

#include "base/mem.h"

void gy_dvc_plan_init(struct gy_dvc_plan *p, struct gy_arena *a)
{
    *p = (struct gy_dvc_plan){.arena = a};
}

void gy_dvc_plan_done(struct gy_dvc_plan *p)
{
    for (size_t i = 0; i < p->n_folders; i++) {
        gy_free(p->folders[i].files);
    }
    gy_free(p->folders);
    gy_free(p->objects);
    gy_dvc_oidset_done(&p->oids);
}

static gy_status add_object(struct gy_dvc_plan *p, const struct gy_dvc_oid *oid,
                            const struct gy_dvc_out *out, struct gy_str relpath, size_t *ret_at,
                            bool *ret_new, struct gy_err *err)
{
    bool is_new = false;
    size_t at = 0;
    GY_TRY(gy_dvc_oidset_add(&p->oids, oid, &at, &is_new, err));
    if (p->cap_objects < p->oids.cap) {
        struct gy_dvc_object *more = gy_reallocarray(p->objects, p->oids.cap, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu objects", p->oids.cap);
        }
        p->objects = more;
        p->cap_objects = p->oids.cap;
    }
    if (is_new) {
        p->objects[at] = (struct gy_dvc_object){out, relpath};
    }
    *ret_at = at;
    *ret_new = is_new;
    return GY_OK;
}

gy_status gy_dvc_plan_add(struct gy_dvc_plan *p, const struct gy_dvc_out *out, struct gy_err *err)
{
    size_t at = 0;
    bool is_new = false;
    if (!out->oid.hex[0]) {
        return GY_OK;
    }
    GY_TRY(add_object(p, &out->oid, out, GY_STR_NULL, &at, &is_new, err));
    if (!is_new || !gy_dvc_oid_is_dir(&out->oid)) {
        return GY_OK;
    }
    if (p->n_folders == p->cap_folders) {
        size_t cap = p->cap_folders ? p->cap_folders * 2 : 16;
        struct gy_dvc_folder *more = gy_reallocarray(p->folders, cap, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu folders", cap);
        }
        p->folders = more;
        p->cap_folders = cap;
    }
    p->folders[p->n_folders++] = (struct gy_dvc_folder){.object = at};
    return GY_OK;
}

static gy_status open_folder(struct gy_dvc_plan *p, struct gy_dvc_folder *f, struct gy_dvc_repo *r,
                             struct gy_err *err)
{
    struct gy_dvc_entry *entries = NULL;
    size_t n = 0;
    struct gy_dvc_oid dir = p->oids.oids[f->object]; /* a copy: the set grows */
    const struct gy_dvc_out *out = p->objects[f->object].out;
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_dvc_dir_load(r, &dir, p->arena, &entries, &n, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK; /* the caller knows what that means */
    }
    if (status != GY_OK) {
        if (err) {
            *err = why;
        }
        return status;
    }
    f->files = gy_malloc((n + 1) * sizeof *f->files);
    if (!f->files) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for %zu files", n);
    }
    for (size_t i = 0; i < n; i++) {
        struct gy_dvc_oid oid = {.legacy = dir.legacy};
        size_t at = 0;
        bool is_new = false;
        memcpy(oid.hex, entries[i].md5, GY_MD5_HEX);
        GY_TRY(add_object(p, &oid, out, entries[i].relpath, &at, &is_new, err));
        f->files[f->n_files++] = (uint32_t)at;
    }
    f->opened = true;
    return GY_OK;
}

gy_status gy_dvc_plan_open(struct gy_dvc_plan *p, struct gy_dvc_repo *r, struct gy_err *err)
{
    for (size_t i = 0; i < p->n_folders; i++) {
        if (!p->folders[i].opened) {
            GY_TRY(open_folder(p, &p->folders[i], r, err));
        }
    }
    return GY_OK;
}

struct gy_str gy_dvc_plan_path(const struct gy_dvc_plan *p, size_t object)
{
    const struct gy_dvc_object *o = &p->objects[object];
    if (!o->relpath.p) {
        return o->out->path;
    }
    size_t n = o->out->path.n;
    char *path = gy_arena_alloc(p->arena, n + o->relpath.n + 2);
    if (!path) {
        return GY_STR_NULL;
    }
    memcpy(path, o->out->path.p, n);
    path[n] = '/';
    memcpy(path + n + 1, o->relpath.p, o->relpath.n);
    path[n + 1 + o->relpath.n] = '\0';
    return gy_str_n(path, n + 1 + o->relpath.n);
}
