/* SPDX-License-Identifier: Apache-2.0 */
/* The outputs of a repository, all or those that targets name. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/dvc/stages.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the outputs of a repository");
}

static int by_path(const void *a, const void *b)
{
    const struct gy_dvc_out *x = a, *y = b;
    int c = gy_str_cmp(x->path, y->path);
    return c ? c : gy_str_cmp(x->file, y->file);
}

bool gy_dvc_inside(struct gy_str path, struct gy_str folder)
{
    return gy_str_starts(path, folder) && path.n > folder.n && path.p[folder.n] == '/';
}

/* Sorted outputs: does one stand twice, or in another? "a", "a-b", "a/b": what is inside need not
 * follow directly, so the folder at hand is remembered. */
static gy_status check_overlaps(const struct gy_dvc_out *outs, size_t n, struct gy_err *err)
{
    for (size_t i = 0; i + 1 < n; i++) {
        for (size_t k = i + 1; k < n && gy_str_starts(outs[k].path, outs[i].path); k++) {
            bool same = gy_str_eq(outs[k].path, outs[i].path);
            if (same || gy_dvc_inside(outs[k].path, outs[i].path)) {
                return gy_err_set(
                    err, GY_E_INVALID,
                    "%" GY_STR_F " tracks %" GY_STR_F ", and %" GY_STR_F " tracks %s%" GY_STR_F,
                    GY_STR_A(outs[i].file), GY_STR_A(outs[i].path), GY_STR_A(outs[k].file),
                    same ? "it, too: " : "", GY_STR_A(outs[k].path));
            }
        }
    }
    return GY_OK;
}

gy_status gy_dvc_outs_of(const struct gy_dvc_stage *stages, size_t n_stages, struct gy_arena *a,
                         struct gy_dvc_out **ret, size_t *ret_n, struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < n_stages; i++) {
        n += stages[i].n_outs;
    }
    struct gy_dvc_out *all = gy_arena_calloc(a, n + 1, sizeof *all);
    if (!all) {
        return no_memory(err);
    }
    n = 0;
    for (size_t i = 0; i < n_stages; i++) {
        if (stages[i].n_outs > 0) {
            memcpy(all + n, stages[i].outs, stages[i].n_outs * sizeof *all);
        }
        n += stages[i].n_outs;
    }
    if (n > 0) {
        qsort(all, n, sizeof *all, by_path);
    }
    GY_TRY(check_overlaps(all, n, err));
    *ret = all;
    *ret_n = n;
    return GY_OK;
}

/* ---- targets ---- */

struct target {
    struct gy_str path;  /* from the root; absent: only a name */
    struct gy_str stage; /* behind a ':', or all of it */
};

static gy_status read_target(const struct gy_dvc_repo *r, const char *text, struct gy_arena *a,
                             struct target *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_err none = GY_ERR_INIT;
    const char *colon = strrchr(text, ':');
    *ret = (struct target){.stage = gy_str_c(text)};
    if (gy_dvc_from_root(r, text, path, &none) == GY_OK) {
        ret->path = gy_arena_str(a, gy_str_c(path));
        if (!ret->path.p) {
            return no_memory(err);
        }
    }
    if (colon && !strchr(colon, '/')) { /* "sub/dvc.yaml:train" */
        char *file = gy_arena_strdup(a, gy_str_n(text, (size_t)(colon - text)));
        if (!file) {
            return no_memory(err);
        }
        if (*file && gy_dvc_from_root(r, file, path, &none) == GY_OK) {
            ret->stage = gy_str_c(colon + 1);
            ret->path = gy_arena_str(a, gy_str_c(path));
            return ret->path.p ? GY_OK : no_memory(err);
        }
    }
    return GY_OK;
}

static bool stage_named(const struct gy_dvc_out *out, struct gy_str name)
{
    return out->stage.p &&
           (gy_str_eq(out->stage, name) || (gy_str_starts(out->stage, name) &&
                                            out->stage.n > name.n && out->stage.p[name.n] == '@'));
}

static bool is_named(const struct gy_dvc_out *out, const struct target *t)
{
    if (t->path.p && gy_str_eq(out->file, t->path) && !out->stage.p) {
        return true;
    }
    if (t->path.p && gy_str_eq(out->file, t->path)) {
        return gy_str_ends(t->stage, GY_STR("dvc.yaml")) || stage_named(out, t->stage);
    }
    if (t->path.p && (gy_str_eq(out->path, t->path) || gy_dvc_inside(t->path, out->path) ||
                      gy_dvc_inside(out->path, t->path) || t->path.n == 0)) {
        return true;
    }
    return gy_str_eqc(out->file, "dvc.yaml") && stage_named(out, t->stage);
}

gy_status gy_dvc_repo_outs(struct gy_dvc_repo *r, const char *const *targets, size_t n_targets,
                           struct gy_arena *a, struct gy_dvc_out **ret, size_t *ret_n,
                           struct gy_err *err)
{
    struct gy_dvc_stage *stages = NULL;
    struct gy_dvc_out *all = NULL;
    size_t n_stages = 0, n = 0, kept = 0;
    GY_TRY(gy_dvc_stages(r, a, &stages, &n_stages, err));
    GY_TRY(gy_dvc_outs_of(stages, n_stages, a, &all, &n, err));
    bool *wanted = gy_arena_calloc(a, n + 1, sizeof *wanted);
    if (!wanted) {
        return no_memory(err);
    }
    for (size_t t = 0; t < n_targets; t++) {
        struct target target;
        bool any = false;
        GY_TRY(read_target(r, targets[t], a, &target, err));
        for (size_t i = 0; i < n; i++) {
            bool hit = is_named(&all[i], &target);
            wanted[i] |= hit;
            any |= hit;
        }
        if (!any) {
            (void)gy_err_set(err, GY_E_NOTFOUND, "nothing that is tracked is named '%s'",
                             targets[t]);
            return gy_err_hint(err, "a .dvc file, an output, a stage, or a path inside an output");
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (n_targets == 0 || wanted[i]) {
            all[kept++] = all[i];
        }
    }
    *ret = all;
    *ret_n = kept;
    return GY_OK;
}
