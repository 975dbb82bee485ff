/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/cached.h"

#include "data/dvc/add.h"
#include "data/dvc/checkout.h"
#include "data/dvc/runcache.h"
#include "data/dvc/status.h"

static bool may_be_cached(const struct gy_flow *f, const struct gy_flow_stage *s)
{
    bool persists = false;
    for (size_t i = 0; i < s->n_outs; i++) {
        persists |= s->outs[i].persist;
    }
    return !gy_dvc_repo_is_bare(f->repo) && !s->always_changed && !persists && s->n_cmd > 0 &&
           s->n_outs > 0 && s->n_deps + s->n_params > 0;
}

gy_status gy_flow_remember_run(const struct gy_flow *f, const struct gy_flow_stage *s,
                               const struct gy_flow_state *st, struct gy_arena *a,
                               struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    const struct gy_yaml_node *entry = NULL;
    if (!may_be_cached(f, s)) {
        return GY_OK;
    }
    for (size_t i = 0; i < s->n_outs; i++) {
        bool saved = false;
        if (!s->outs[i].cache) {
            GY_TRY(gy_flow_cache(f->repo, s->outs[i].full, &st->outs[i], a, &saved, err));
        }
    }
    GY_TRY(gy_flow_lock_entry(s, st, &y, &entry, err));
    GY_TRY(gy_dvc_repo_settle(f->repo, err)); /* the entry names them */
    return gy_dvc_run_save(f->repo, entry, err);
}

static bool is_true(const struct gy_yaml_node *n)
{
    return n && n->kind == GY_YAML_BOOL && n->b;
}

/* The outputs as the entry has them; *ret false when one is missing there or in the cache. */
static gy_status outs_of(const struct gy_flow *f, const struct gy_flow_stage *s,
                         const struct gy_yaml_node *entry, struct gy_arena *a,
                         struct gy_dvc_out *outs, bool *ret, struct gy_err *err)
{
    const struct gy_yaml_node *list = gy_yaml_get(entry, "outs");
    *ret = false;
    for (size_t i = 0; i < s->n_outs; i++) {
        const struct gy_yaml_node *e = NULL;
        for (size_t k = 0; list && list->kind == GY_YAML_SEQ && k < list->n_items; k++) {
            const struct gy_yaml_node *path = gy_yaml_get(&list->items[k], "path");
            e = path && gy_str_eq(path->text, s->outs[i].path) ? &list->items[k] : e;
        }
        const struct gy_yaml_node *md5 = gy_yaml_get(e, "md5");
        bool cached = false;
        outs[i] = (struct gy_dvc_out){.path = s->outs[i].full,
                                      .file = GY_STR("dvc.yaml"),
                                      .stage = s->name,
                                      .cache = true,
                                      .is_exec = is_true(gy_yaml_get(e, "isexec"))};
        if (!md5 || !gy_dvc_oid_set(&outs[i].oid, md5->text, !gy_yaml_get(e, "hash")) ||
            !outs[i].oid.hex[0]) {
            return GY_OK;
        }
        GY_TRY(gy_dvc_cached(f->repo, &outs[i].oid, a, &cached, err));
        if (!cached) {
            return GY_OK;
        }
    }
    *ret = true;
    return GY_OK;
}

gy_status gy_flow_restore_run(const struct gy_flow *f, const struct gy_flow_stage *s,
                              const struct gy_flow_state *st, struct gy_arena *a, bool *ret,
                              struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO(gy_yaml_free) struct gy_yaml *found = NULL;
    const struct gy_yaml_node *entry = NULL;
    struct gy_dvc_changes changes;
    struct gy_dvc_checkout_options o = {.force = true}; /* as a run would make them anew */
    *ret = false;
    if (!may_be_cached(f, s)) {
        return GY_OK;
    }
    GY_TRY(gy_flow_lock_entry(s, st, &y, &entry, err));
    GY_TRY(gy_dvc_run_find(f->repo, entry, &found, err));
    struct gy_dvc_out *outs = gy_arena_calloc(a, s->n_outs + 1, sizeof *outs);
    if (!outs) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the run cache");
    }
    if (!found) {
        return GY_OK;
    }
    GY_TRY(outs_of(f, s, gy_yaml_root(found), a, outs, ret, err));
    if (!*ret) {
        return GY_OK;
    }
    GY_TRY(gy_dvc_checkout_with(f->repo, outs, s->n_outs, &o, a, &changes, err));
    for (size_t i = 0; i < s->n_outs; i++) {
        size_t n = 0;
        if (!s->outs[i].cache) { /* git's, not the cache's: never a link to it */
            GY_TRY(gy_dvc_unprotect(f->repo, &outs[i], a, &n, err));
        }
    }
    return GY_OK;
}
