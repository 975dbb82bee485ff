/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/status.h"

#include <stdlib.h>

#include "base/limits.h"
#include "data/dvc/dir.h"
#include "data/dvc/tree_internal.h"

struct work {
    struct gy_dvc_repo *r;
    struct gy_dvc_progress *progress;
    struct gy_arena *a;
    struct gy_err *err;
    struct gy_map seen[2]; /* trees by path, of 3.x and of 2.x: many stages may read one file */
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a status");
}

const char *gy_dvc_state_name(enum gy_dvc_state s)
{
    static const char *const names[] = {"clean", "new", "modified", "deleted", "not in cache"};
    return names[s];
}

/* check: files are asked for in the cache, too; then the tree is made anew. */
static gy_status tree_of(struct work *w, struct gy_str path, bool legacy, bool check,
                         const struct gy_dvc_tree **ret)
{
    struct gy_dvc_tree_options o = {.legacy = legacy, .check = check, .progress = w->progress};
    *ret = check ? NULL : gy_map_get(&w->seen[legacy], path);
    if (*ret) {
        return GY_OK;
    }
    struct gy_dvc_tree *t = gy_arena_calloc(w->a, 1, sizeof *t);
    if (!t) {
        return no_memory(w->err);
    }
    GY_TRY(gy_dvc_tree(w->r, path, &o, w->a, t, w->err));
    *ret = t;
    return gy_map_put(&w->seen[legacy], path, t, w->err);
}

static enum gy_dvc_state compare(const struct gy_dvc_tree *t, const struct gy_dvc_oid *oid)
{
    return !t->exists                          ? GY_DVC_IS_DELETED
           : !oid->hex[0]                      ? GY_DVC_IS_NEW
           : strcmp(t->oid.hex, oid->hex) != 0 ? GY_DVC_IS_MODIFIED
                                               : GY_DVC_CLEAN;
}

gy_status gy_dvc_cached(struct gy_dvc_repo *r, const struct gy_dvc_oid *oid, struct gy_arena *a,
                        bool *ret, struct gy_err *err)
{
    struct gy_dvc_entry *entries = NULL;
    size_t n = 0;
    struct gy_dvc_saver saver;
    GY_TRY(gy_dvc_cache_has(r, oid, ret, err));
    if (!*ret || !gy_dvc_oid_is_dir(oid)) {
        return GY_OK;
    }
    GY_TRY(gy_dvc_dir_load(r, oid, a, &entries, &n, err));
    gy_dvc_saver_init(&saver, r, oid->legacy);
    gy_status status = GY_OK;
    for (size_t i = 0; status == GY_OK && *ret && i < n; i++) {
        status = gy_dvc_saver_has(&saver, entries[i].md5, -1, ret, err);
    }
    gy_dvc_saver_done(&saver);
    return status;
}

static gy_status out_state(struct work *w, const struct gy_dvc_out *out, enum gy_dvc_state *ret)
{
    const struct gy_dvc_tree *t = NULL;
    bool cached = true;
    bool asks = out->cache && out->oid.hex[0];
    GY_TRY(tree_of(w, out->path, out->oid.legacy, asks, &t));
    *ret = compare(t, &out->oid);
    if (!asks) {
        return GY_OK;
    }
    if (*ret == GY_DVC_CLEAN && gy_dvc_oid_is_dir(&out->oid)) {
        GY_TRY(gy_dvc_cache_has(w->r, &out->oid, &cached, w->err));
        for (size_t i = 0; i < t->n_files; i++) {
            cached = cached && t->files[i].cached;
        }
    } else if (*ret == GY_DVC_CLEAN) {
        cached = t->n_files == 1 && t->files[0].cached;
    } else {
        /* Its own list says what to ask for. */
        GY_TRY(gy_dvc_cached(w->r, &out->oid, w->a, &cached, w->err));
    }
    *ret = cached ? *ret : GY_DVC_NOT_IN_CACHE; /* what DVC says first, and alone */
    return GY_OK;
}

static gy_status dep_state(struct work *w, const struct gy_dvc_dep *d, enum gy_dvc_state *ret)
{
    const struct gy_dvc_tree *t = NULL;
    GY_TRY(tree_of(w, d->path, d->oid.legacy, false, &t));
    *ret = compare(t, &d->oid);
    return GY_OK;
}

static gy_status stage_status(struct work *w, const struct gy_dvc_stage *s,
                              struct gy_dvc_stage_status *ret)
{
    *ret = (struct gy_dvc_stage_status){
        .stage = s,
        .cmd_changed = s->cmd_changed,
        .always_changed = s->always_changed && !s->frozen,
        .deps = gy_arena_calloc(w->a, s->n_deps + 1, sizeof *ret->deps),
        .outs = gy_arena_calloc(w->a, s->n_outs + 1, sizeof *ret->outs)};
    if (!ret->deps || !ret->outs) {
        return no_memory(w->err);
    }
    for (size_t i = 0; i < s->n_deps && !s->frozen; i++) {
        struct gy_dvc_finding f = {.path = s->deps[i].path};
        if (!s->deps[i].outside) {
            GY_TRY(dep_state(w, &s->deps[i], &f.state));
        }
        if (f.state != GY_DVC_CLEAN) {
            ret->deps[ret->n_deps++] = f;
        }
    }
    for (size_t i = 0; i < s->n_outs; i++) {
        struct gy_dvc_finding f = {.path = s->outs[i].path};
        GY_TRY(out_state(w, &s->outs[i], &f.state));
        if (f.state != GY_DVC_CLEAN) {
            ret->outs[ret->n_outs++] = f;
        }
    }
    return GY_OK;
}

static bool owns(const struct gy_dvc_stage *s, const struct gy_dvc_out *outs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(outs[i].file, s->file) && gy_str_eq(outs[i].stage, s->name)) {
            return true;
        }
    }
    return false;
}

static gy_status look(struct work *w, const struct gy_dvc_stage *stages, size_t n_stages,
                      const struct gy_dvc_out *wanted, size_t n_wanted, bool all,
                      struct gy_dvc_stage_status *ret, size_t *ret_n)
{
    for (size_t i = 0; i < n_stages; i++) {
        struct gy_dvc_stage_status *s = &ret[*ret_n];
        if (!all && !owns(&stages[i], wanted, n_wanted)) {
            continue;
        }
        GY_TRY(stage_status(w, &stages[i], s));
        *ret_n += s->n_deps > 0 || s->n_outs > 0 || s->cmd_changed || s->always_changed;
    }
    return GY_OK;
}

gy_status gy_dvc_status(struct gy_dvc_repo *r, const char *const *targets, size_t n_targets,
                        struct gy_dvc_progress *progress, struct gy_arena *a,
                        struct gy_dvc_stage_status **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_dvc_stage *stages = NULL;
    struct gy_dvc_out *outs = NULL;
    struct gy_dvc_stats *stats = NULL;
    size_t n_stages = 0, n_outs = 0;
    struct work w = {.r = r, .progress = progress, .a = a, .err = err};
    GY_TRY(gy_dvc_stages(r, a, &stages, &n_stages, err));
    if (n_targets > 0) {
        GY_TRY(gy_dvc_repo_outs(r, targets, n_targets, a, &outs, &n_outs, err));
    } else {
        GY_TRY(gy_dvc_outs_of(stages, n_stages, a, &outs, &n_outs, err));
    }
    GY_TRY(gy_dvc_repo_stats(r, &stats, err));
    *ret_n = 0;
    *ret = gy_arena_calloc(a, n_stages + 1, sizeof **ret);
    if (!*ret) {
        return no_memory(err);
    }
    gy_map_init(&w.seen[0], GY_DVC_MAX_FILES);
    gy_map_init(&w.seen[1], GY_DVC_MAX_FILES);
    gy_status status = look(&w, stages, n_stages, outs, n_outs, n_targets == 0, *ret, ret_n);
    gy_map_done(&w.seen[0]);
    gy_map_done(&w.seen[1]);
    GY_TRY(status);
    return gy_dvc_repo_remember(r, err);
}
