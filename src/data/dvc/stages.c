/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/stages.h"

#include <dirent.h>
#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "data/dvc/dir.h"
#include "data/dvc/ignore.h"
#include "data/dvc/repo_internal.h"

#define MAX_STAGES ((size_t)1000000)
#define MAX_DEPTH 128 /* folders in each other */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the stages of a repository");
}

/* ---- paths ---- */

bool gy_dvc_resolve(struct gy_str base, struct gy_str path, char ret[GY_MAX_PATH])
{
    size_t n = 0;
    struct gy_str both[2] = {base, path};
    for (size_t i = 0; i < 2; i++) {
        struct gy_str rest = both[i], part;
        while (gy_str_next(&rest, '/', &part)) {
            if (part.n == 0 || gy_str_eqc(part, ".")) {
                continue;
            }
            if (gy_str_eqc(part, "..")) {
                if (n == 0) {
                    return false;
                }
                while (n > 0 && ret[--n] != '/') {
                }
                continue;
            }
            if (n + part.n + 2 >= GY_MAX_PATH) {
                return false;
            }
            if (n > 0) {
                ret[n++] = '/';
            }
            memcpy(ret + n, part.p, part.n);
            n += part.n;
        }
    }
    ret[n] = '\0';
    return true;
}

bool gy_dvc_is_private(struct gy_str path)
{
    struct gy_str rest = path, part;
    while (gy_str_next(&rest, '/', &part)) {
        if (gy_str_eqc(part, ".git") || gy_str_eqc(part, ".hg") || gy_str_eqc(part, ".dvc")) {
            return true;
        }
    }
    return path.n == 0;
}

gy_status gy_dvc_from_root(const struct gy_dvc_repo *r, const char *path, char ret[GY_MAX_PATH],
                           struct gy_err *err)
{
    char dir[GY_MAX_PATH], at[GY_MAX_PATH], full[2 * GY_MAX_PATH];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    if (n == 0 || n >= sizeof dir) {
        return gy_err_set(err, n ? GY_E_TOOBIG : GY_E_INVALID, "a path is %s",
                          n ? "too long" : "empty");
    }
    (void)snprintf(dir, sizeof dir, "%.*s", (int)n, path);
    char *slash = strrchr(dir, '/');
    const char *name = slash ? slash + 1 : dir;
    bool whole = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || *name == '\0';
    char *real = NULL;
    if (whole) {
        real = realpath(dir, at);
        name = "";
    } else if (slash) {
        *slash = '\0';
        real = realpath(slash == dir ? "/" : dir, at);
    } else {
        real = realpath(".", at);
    }
    if (!real) {
        return gy_err_sys(err, errno, "there is no %s", path);
    }
    int len = snprintf(full, sizeof full, "%s%s%s", real, *name ? "/" : "", name);
    size_t root = strlen(r->root);
    if (len < 0 || len >= (int)sizeof full || (size_t)len >= root + GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "the path %s is too long", path);
    }
    if (strncmp(full, r->root, root) != 0 || (full[root] != '/' && full[root] != '\0')) {
        return gy_err_set(err, GY_E_INVALID, "%s is outside of the repository %s", path, r->root);
    }
    (void)snprintf(ret, GY_MAX_PATH, "%s", full + root + (full[root] == '/'));
    return GY_OK;
}

gy_status gy_dvc_repo_ignore(struct gy_dvc_repo *r, struct gy_dvc_ignore **ret, struct gy_err *err)
{
    if (!r->ignore) {
        GY_TRY(gy_dvc_ignore_new(r->root, ".dvcignore", ".hg/\n.git/\n.git\n.dvc/\n", &r->ignore,
                                 err));
    }
    *ret = r->ignore;
    return GY_OK;
}

/* ---- one entry ---- */

struct reader {
    struct gy_arena *a;
    struct gy_yaml *y;
    struct gy_str file, dir;
    struct gy_err *err;
};

static bool is_true(const struct gy_yaml_node *map, const char *key, bool standard)
{
    const struct gy_yaml_node *v = gy_yaml_get(map, key);
    return v && v->kind == GY_YAML_BOOL ? v->b : standard;
}

static bool is_text(const struct gy_yaml_node *v)
{
    return v && v->kind != GY_YAML_MAP && v->kind != GY_YAML_SEQ && v->kind != GY_YAML_NULL;
}

/* The path of an entry from the root; *ret_outside when there is none such. */
static gy_status entry_path(const struct reader *rd, const struct gy_yaml_node *at,
                            struct gy_str text, struct gy_str *ret, bool *ret_outside)
{
    char path[GY_MAX_PATH];
    if (text.n == 0 || memchr(text.p, 0, text.n)) {
        return gy_yaml_err(rd->y, at, rd->err, "an empty path");
    }
    *ret_outside = text.p[0] == '/' || gy_str_find_str(text, GY_STR("://")) != SIZE_MAX ||
                   !gy_dvc_resolve(rd->dir, text, path);
    *ret = *ret_outside ? gy_arena_str(rd->a, text) : gy_arena_str(rd->a, gy_str_c(path));
    return ret->p ? GY_OK : no_memory(rd->err);
}

/* The list of a cloud-versioned folder stands in the entry itself: its digest is of the list that
 * there would be. */
static gy_status files_oid(const struct reader *rd, const struct gy_yaml_node *files,
                           struct gy_dvc_oid *ret)
{
    struct gy_dvc_entry *entries = gy_arena_calloc(rd->a, files->n_items + 1, sizeof *entries);
    if (!entries) {
        return no_memory(rd->err);
    }
    for (size_t i = 0; i < files->n_items; i++) {
        const struct gy_yaml_node *path = gy_yaml_get(&files->items[i], "relpath");
        const struct gy_yaml_node *md5 = gy_yaml_get(&files->items[i], "md5");
        if (!is_text(path) || !is_text(md5) || md5->text.n != GY_MD5_HEX - 1 ||
            !gy_dvc_hex_lower(md5->text, entries[i].md5)) {
            ret->hex[0] = '\0';
            return GY_OK; /* known by its place in the cloud alone */
        }
        entries[i].relpath = path->text;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_DVC_MAX_LIST);
    GY_TRY(gy_dvc_dir_json(entries, files->n_items, &json, rd->err));
    GY_TRY(gy_md5_hex(gy_buf_str(&json), ret->hex, rd->err));
    memcpy(ret->hex + GY_MD5_HEX - 1, ".dir", 5);
    return GY_OK;
}

static gy_status entry_oid(const struct reader *rd, const struct gy_yaml_node *e, bool outside,
                           struct gy_dvc_oid *ret)
{
    const struct gy_yaml_node *md5 = gy_yaml_get(e, "md5");
    const struct gy_yaml_node *files = gy_yaml_get(e, "files");
    *ret = (struct gy_dvc_oid){.legacy = false};
    if (files && files->kind == GY_YAML_SEQ) {
        return files_oid(rd, files, ret);
    }
    if (!is_text(md5)) {
        return GY_OK;
    }
    /* The text counts, not the number that YAML would see in it. */
    if (!gy_dvc_oid_set(ret, md5->text, !gy_yaml_get(e, "hash")) && !outside) {
        return gy_yaml_err(rd->y, md5, rd->err, "'%" GY_STR_F "' is no MD5", GY_STR_A(md5->text));
    }
    return GY_OK;
}

static int64_t number(const struct gy_yaml_node *map, const char *key)
{
    const struct gy_yaml_node *v = gy_yaml_get(map, key);
    return v && v->kind == GY_YAML_INT && v->i >= 0 ? v->i : -1;
}

/* What is common to entries of .dvc files and of dvc.lock. */
static gy_status read_out(const struct reader *rd, const struct gy_yaml_node *e,
                          struct gy_dvc_out *ret, bool *ret_outside)
{
    const struct gy_yaml_node *path = gy_yaml_get(e, "path");
    if (!e || e->kind != GY_YAML_MAP || !is_text(path)) {
        return gy_yaml_err(rd->y, e, rd->err, "an output has no path");
    }
    *ret = (struct gy_dvc_out){.file = rd->file, .cache = true, .push = true};
    GY_TRY(entry_path(rd, path, path->text, &ret->path, ret_outside));
    if (!*ret_outside && gy_dvc_is_private(ret->path)) {
        return gy_yaml_err(rd->y, path, rd->err, "'%" GY_STR_F "' can not be an output",
                           GY_STR_A(path->text));
    }
    GY_TRY(entry_oid(rd, e, *ret_outside, &ret->oid));
    ret->size_bytes = number(e, "size");
    ret->n_files = number(e, "nfiles");
    ret->is_exec = is_true(e, "isexec", false);
    return GY_OK;
}

static gy_status read_flags(const struct reader *rd, const struct gy_yaml_node *flags,
                            struct gy_dvc_out *out)
{
    const struct gy_yaml_node *remote = gy_yaml_get(flags, "remote");
    out->cache = is_true(flags, "cache", true);
    out->push = is_true(flags, "push", true);
    if (is_text(remote)) {
        out->remote = gy_arena_str(rd->a, remote->text);
        return out->remote.p ? GY_OK : no_memory(rd->err);
    }
    return GY_OK;
}

static gy_status read_deps(const struct reader *rd, const struct gy_yaml_node *list,
                           struct gy_dvc_stage *s)
{
    size_t n = list && list->kind == GY_YAML_SEQ ? list->n_items : 0;
    struct gy_dvc_dep *deps = gy_arena_calloc(rd->a, n + 1, sizeof *deps);
    if (!deps) {
        return no_memory(rd->err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct gy_yaml_node *e = &list->items[i];
        const struct gy_yaml_node *path = gy_yaml_get(e, "path");
        const struct gy_yaml_node *text = e->kind == GY_YAML_MAP ? path : e;
        if (!is_text(text)) {
            continue; /* a dataset, a parameter */
        }
        struct gy_dvc_dep *d = &deps[s->n_deps++];
        GY_TRY(entry_path(rd, e, text->text, &d->path, &d->outside));
        d->outside |= gy_yaml_get(e, "repo") != NULL || gy_yaml_get(e, "db") != NULL;
        GY_TRY(entry_oid(rd, e, d->outside, &d->oid));
    }
    s->deps = deps;
    return GY_OK;
}

/* ---- a .dvc file ---- */

static gy_status set_dir(struct reader *rd, const struct gy_yaml_node *wdir, struct gy_str *ret)
{
    char dir[GY_MAX_PATH];
    const char *slash = memrchr(rd->file.p, '/', rd->file.n);
    struct gy_str base = gy_str_n(rd->file.p, slash ? (size_t)(slash - rd->file.p) : 0);
    if (!gy_dvc_resolve(base, is_text(wdir) ? wdir->text : GY_STR(""), dir)) {
        return gy_yaml_err(rd->y, wdir, rd->err, "wdir leaves the repository");
    }
    *ret = rd->dir = gy_arena_str(rd->a, gy_str_c(dir));
    return ret->p ? GY_OK : no_memory(rd->err);
}

static gy_status read_yaml(const struct gy_dvc_repo *r, struct gy_str file, struct gy_yaml **ret,
                           struct gy_err *err)
{
    char path[2 * GY_MAX_PATH], name[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    (void)snprintf(path, sizeof path, "%s/%" GY_STR_F, r->root, GY_STR_A(file));
    (void)snprintf(name, sizeof name, "%.*s", (int)(file.n < 4000 ? file.n : 4000), file.p);
    GY_TRY(gy_file_read(path, &text, err));
    return gy_yaml_parse(gy_buf_str(&text), name, ret, err);
}

gy_status gy_dvc_stage_read(struct gy_dvc_repo *r, struct gy_str file, struct gy_arena *a,
                            struct gy_dvc_stage *ret, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(read_yaml(r, file, &y, err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    const struct gy_yaml_node *outs = gy_yaml_get(root, "outs");
    struct reader rd = {.a = a, .y = y, .file = gy_arena_str(a, file), .err = err};
    *ret = (struct gy_dvc_stage){.file = rd.file};
    if (!rd.file.p) {
        return no_memory(err);
    }
    if (root && root->kind != GY_YAML_MAP && root->kind != GY_YAML_NULL) {
        return gy_yaml_err(y, root, err, "not the file of an output");
    }
    GY_TRY(set_dir(&rd, gy_yaml_get(root, "wdir"), &ret->dir));
    GY_TRY(read_deps(&rd, gy_yaml_get(root, "deps"), ret));
    size_t n = outs && outs->kind == GY_YAML_SEQ ? outs->n_items : 0;
    struct gy_dvc_out *list = gy_arena_calloc(a, n + 1, sizeof *list);
    if (!list) {
        return no_memory(err);
    }
    ret->has_cmd = gy_yaml_get(root, "cmd") != NULL;
    ret->frozen = is_true(root, "frozen", false);
    ret->always_changed = is_true(root, "always_changed", false);
    ret->is_import = !ret->has_cmd && ret->n_deps == 1 && n == 1;
    for (size_t i = 0; i < n; i++) {
        bool outside = false;
        struct gy_dvc_out *out = &list[ret->n_outs];
        GY_TRY(read_out(&rd, &outs->items[i], out, &outside));
        GY_TRY(read_flags(&rd, &outs->items[i], out));
        out->imported = ret->is_import;
        ret->n_outs += !outside; /* DVC 3 keeps no copies of what is outside, either */
    }
    ret->outs = list;
    return GY_OK;
}

/* ---- dvc.yaml and dvc.lock ---- */

/* May the template ("models/${item}.bin") have become this path? */
static bool fits_template(struct gy_str template, struct gy_str path)
{
    char pattern[GY_MAX_PATH];
    size_t n = 0;
    for (size_t i = 0; i < template.n && n + 3 < sizeof pattern; i++) {
        if (template.p[i] == '$' && i + 1 < template.n && template.p[i + 1] == '{') {
            pattern[n++] = '*';
            while (i < template.n && template.p[i] != '}') {
                i++;
            }
        } else {
            if (strchr("*?[\\", template.p[i])) {
                pattern[n++] = '\\';
            }
            pattern[n++] = template.p[i];
        }
    }
    return gy_dvc_wildmatch(gy_str_n(pattern, n), path);
}

static bool is_template(struct gy_str text)
{
    return gy_str_find_str(text, GY_STR("${")) != SIZE_MAX;
}

typedef gy_status (*def_fn)(void *ctx, struct gy_str path, const struct gy_yaml_node *flags);

/* Each output that a stage's definition names. */
static gy_status each_def(const struct gy_yaml_node *def, def_fn fn, void *ctx)
{
    static const char *const kinds[] = {"outs", "metrics", "plots"};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const struct gy_yaml_node *list = gy_yaml_get(def, kinds[k]);
        for (size_t i = 0; list && list->kind == GY_YAML_SEQ && i < list->n_items; i++) {
            const struct gy_yaml_node *e = &list->items[i];
            if (is_text(e)) {
                GY_TRY(fn(ctx, e->text, NULL));
            } else if (e->kind == GY_YAML_MAP && e->n_items == 1) {
                GY_TRY(fn(ctx, e->keys[0], &e->items[0]));
            }
        }
    }
    return GY_OK;
}

struct finding {
    const struct reader *rd;
    struct gy_str path; /* as dvc.lock has it */
    bool found;
    const struct gy_yaml_node *flags;
};

static gy_status find_def(void *ctx, struct gy_str path, const struct gy_yaml_node *flags)
{
    struct finding *f = ctx;
    bool same = gy_str_eq(path, f->path);
    if (same || (!f->found && is_template(path) && fits_template(path, f->path))) {
        f->found = true;
        f->flags = flags;
    }
    return GY_OK;
}

struct adding {
    const struct reader *rd;
    struct gy_dvc_out *outs;
    size_t n, cap;
    struct gy_str stage;
};

/* What a definition names and dvc.lock does not: it has no digest yet. */
static gy_status add_def(void *ctx, struct gy_str text, const struct gy_yaml_node *flags)
{
    struct adding *ad = ctx;
    struct gy_dvc_out out = {.file = ad->rd->file,
                             .stage = ad->stage,
                             .cache = true,
                             .push = true,
                             .size_bytes = -1,
                             .n_files = -1};
    bool outside = false;
    if (is_template(text)) {
        return GY_OK;
    }
    GY_TRY(entry_path(ad->rd, NULL, text, &out.path, &outside));
    for (size_t i = 0; i < ad->n; i++) {
        if (gy_str_eq(ad->outs[i].path, out.path)) {
            return GY_OK;
        }
    }
    GY_TRY(read_flags(ad->rd, flags, &out));
    if (!outside && ad->n < ad->cap) {
        ad->outs[ad->n++] = out;
    }
    return GY_OK;
}

static gy_status count_def(void *ctx, struct gy_str path, const struct gy_yaml_node *flags)
{
    (void)path;
    (void)flags;
    ++*(size_t *)ctx;
    return GY_OK;
}

static bool same_text(const struct gy_yaml_node *a, const struct gy_yaml_node *b)
{
    if (!a || !b || a->n_items != b->n_items) {
        return false;
    }
    if (is_text(a) && is_text(b)) {
        return gy_str_eq(gy_str_trim(a->text), gy_str_trim(b->text));
    }
    for (size_t i = 0; i < a->n_items; i++) {
        if (a->kind != GY_YAML_SEQ || b->kind != GY_YAML_SEQ ||
            !same_text(&a->items[i], &b->items[i])) {
            return false;
        }
    }
    return a->kind == b->kind;
}

static bool has_template(const struct gy_yaml_node *n)
{
    bool any = is_text(n) && is_template(n->text);
    for (size_t i = 0; n && i < n->n_items; i++) {
        any |= has_template(&n->items[i]);
    }
    return any;
}

static gy_status read_stage(struct reader *rd, struct gy_str name, const struct gy_yaml_node *def,
                            const struct gy_yaml_node *lock, bool generated,
                            struct gy_dvc_stage *ret)
{
    const struct gy_yaml_node *outs = gy_yaml_get(lock, "outs");
    const struct gy_yaml_node *cmd = gy_yaml_get(def, "cmd");
    *ret = (struct gy_dvc_stage){.file = rd->file, .name = gy_arena_str(rd->a, name)};
    if (!ret->name.p) {
        return no_memory(rd->err);
    }
    GY_TRY(set_dir(rd, gy_yaml_get(def, "wdir"), &ret->dir));
    GY_TRY(read_deps(rd, gy_yaml_get(lock ? lock : def, "deps"), ret));
    ret->has_cmd = true;
    ret->cmd_changed =
        !lock || (!has_template(cmd) && !generated && !same_text(cmd, gy_yaml_get(lock, "cmd")));
    ret->frozen = is_true(def, "frozen", false);
    ret->always_changed = is_true(def, "always_changed", false);
    size_t n = outs && outs->kind == GY_YAML_SEQ ? outs->n_items : 0;
    struct adding ad = {.rd = rd, .stage = ret->name, .cap = n};
    GY_TRY(each_def(def, count_def, &ad.cap));
    ad.outs = gy_arena_calloc(rd->a, ad.cap + 1, sizeof *ad.outs);
    if (!ad.outs) {
        return no_memory(rd->err);
    }
    for (size_t i = 0; i < n; i++) {
        bool outside = false;
        struct gy_dvc_out *out = &ad.outs[ad.n];
        GY_TRY(read_out(rd, &outs->items[i], out, &outside));
        struct finding f = {.rd = rd, .path = gy_yaml_get(&outs->items[i], "path")->text};
        GY_TRY(each_def(def, find_def, &f));
        GY_TRY(read_flags(rd, f.flags, out));
        out->stage = ret->name;
        ad.n += f.found && !outside;
    }
    if (!generated) {
        GY_TRY(each_def(def, add_def, &ad));
    }
    ret->outs = ad.outs;
    ret->n_outs = ad.n;
    return GY_OK;
}

struct list {
    struct gy_dvc_stage *stages;
    size_t n, cap;
};

static gy_status more_room(struct list *l, size_t n, struct gy_err *err)
{
    if (l->n + n > MAX_STAGES) {
        return gy_err_set(err, GY_E_TOOBIG, "the repository has over %zu stages", MAX_STAGES);
    }
    if (l->n + n > l->cap) {
        size_t cap = 2 * (l->n + n);
        struct gy_dvc_stage *grown = gy_reallocarray(l->stages, cap, sizeof *grown);
        if (!grown) {
            return no_memory(err);
        }
        l->stages = grown;
        l->cap = cap;
    }
    return GY_OK;
}

static gy_status read_pipeline(struct gy_dvc_repo *r, struct gy_str file, struct gy_arena *a,
                               struct list *l, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO(gy_yaml_free) struct gy_yaml *locked = NULL;
    char lock_file[GY_MAX_PATH], full[2 * GY_MAX_PATH];
    (void)snprintf(lock_file, sizeof lock_file, "%.*slock", (int)(file.n - 4), file.p);
    (void)snprintf(full, sizeof full, "%s/%s", r->root, lock_file);
    GY_TRY(read_yaml(r, file, &y, err));
    if (gy_path_exists(full)) {
        GY_TRY(read_yaml(r, gy_str_c(lock_file), &locked, err));
    }
    struct reader rd = {.a = a, .y = y, .file = gy_arena_str(a, file), .err = err};
    if (!rd.file.p) {
        return no_memory(err);
    }
    const struct gy_yaml_node *defs = gy_yaml_get(gy_yaml_root(y), "stages");
    const struct gy_yaml_node *locks = locked ? gy_yaml_get(gy_yaml_root(locked), "stages") : NULL;
    size_t n_locks = locks && locks->kind == GY_YAML_MAP ? locks->n_items : 0;
    for (size_t i = 0; defs && defs->kind == GY_YAML_MAP && i < defs->n_items; i++) {
        const struct gy_yaml_node *def = &defs->items[i];
        const struct gy_yaml_node *body = gy_yaml_get(def, "do");
        struct gy_str name = defs->keys[i];
        GY_TRY(more_room(l, n_locks + 1, err));
        if (!body && !gy_yaml_get(def, "matrix")) {
            const struct gy_yaml_node *lock = NULL;
            for (size_t k = 0; k < n_locks; k++) {
                lock = gy_str_eq(locks->keys[k], name) ? &locks->items[k] : lock;
            }
            rd.y = y;
            GY_TRY(read_stage(&rd, name, def, lock, false, &l->stages[l->n]));
            l->n++;
            continue;
        }
        for (size_t k = 0; k < n_locks; k++) { /* "name@key", made by foreach or matrix */
            struct gy_str key = locks->keys[k];
            if (gy_str_starts(key, name) && key.n > name.n && key.p[name.n] == '@') {
                rd.y = locked;
                GY_TRY(read_stage(&rd, key, body ? body : def, &locks->items[k], true,
                                  &l->stages[l->n]));
                l->n++;
            }
        }
    }
    return GY_OK;
}

/* ---- looking for them ---- */

struct look {
    struct gy_dvc_repo *r;
    struct gy_arena *a;
    struct gy_dvc_ignore *dvc, *git; /* git NULL: no git */
    struct list *l;
    struct gy_map outs; /* paths of outputs: not entered */
    struct gy_err *err;
    int depth;
};

static gy_status note_outs(struct look *k, size_t from)
{
    for (size_t i = from; i < k->l->n; i++) {
        for (size_t o = 0; o < k->l->stages[i].n_outs; o++) {
            GY_TRY(gy_map_put(&k->outs, k->l->stages[i].outs[o].path, k, k->err));
        }
    }
    return GY_OK;
}

static gy_status look_file(struct look *k, struct gy_str path)
{
    size_t from = k->l->n;
    if (gy_str_ends(path, GY_STR("dvc.yaml"))) {
        GY_TRY(read_pipeline(k->r, path, k->a, k->l, k->err));
    } else {
        GY_TRY(more_room(k->l, 1, k->err));
        GY_TRY(gy_dvc_stage_read(k->r, path, k->a, &k->l->stages[k->l->n], k->err));
        k->l->n++;
    }
    return note_outs(k, from);
}

struct names {
    struct gy_dvc_ignore *none;
    struct gy_str *files, *dirs;
    size_t n_files, n_dirs;
};

static bool is_stage_file(const char *name)
{
    size_t n = strlen(name);
    return strcmp(name, "dvc.yaml") == 0 || (n > 4 && strcmp(name + n - 4, ".dvc") == 0);
}

static int by_name(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

/* What is in a folder: candidates for stage files, and folders. Paths from the root, in the
 * arena. */
static gy_status list_folder(struct look *k, struct gy_str folder, struct gy_str **ret_files,
                             size_t *ret_n_files, struct gy_str **ret_dirs, size_t *ret_n_dirs)
{
    char full[2 * GY_MAX_PATH];
    (void)snprintf(full, sizeof full, "%s/%" GY_STR_F, k->r->root, GY_STR_A(folder));
    DIR *d = opendir(full);
    size_t caps[2] = {0, 0}, ns[2] = {0, 0};
    struct gy_str *lists[2] = {NULL, NULL};
    if (!d) { /* unreadable, or gone meanwhile: nothing of ours is in there */
        return errno == EACCES || errno == ENOENT
                   ? GY_OK
                   : gy_err_sys(k->err, errno, "can not list %s", full);
    }
    gy_status status = GY_OK;
    struct dirent *e = NULL;
    while (status == GY_OK && (e = readdir(d))) {
        bool is_dir = e->d_type == DT_DIR;
        if (e->d_type == DT_UNKNOWN) {
            struct stat st;
            is_dir =
                fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (!is_dir && !is_stage_file(e->d_name))) {
            continue;
        }
        if (ns[is_dir] == caps[is_dir]) {
            caps[is_dir] = caps[is_dir] ? 2 * caps[is_dir] : 32;
            struct gy_str *grown = gy_reallocarray(lists[is_dir], caps[is_dir], sizeof *grown);
            if (!grown) {
                status = no_memory(k->err);
                break;
            }
            lists[is_dir] = grown;
        }
        struct gy_str path = gy_str_c(gy_arena_printf(k->a, "%" GY_STR_F "%s%s", GY_STR_A(folder),
                                                      folder.n ? "/" : "", e->d_name));
        if (!path.p) {
            status = no_memory(k->err);
            break;
        }
        lists[is_dir][ns[is_dir]++] = path;
    }
    (void)closedir(d);
    for (size_t i = 0; i < 2; i++) {
        if (ns[i] > 0) {
            qsort(lists[i], ns[i], sizeof *lists[i], by_name);
        }
    }
    *ret_files = lists[0];
    *ret_n_files = ns[0];
    *ret_dirs = lists[1];
    *ret_n_dirs = ns[1];
    return status;
}

static bool hidden(const struct look *k, const struct gy_dvc_rules *dvc,
                   const struct gy_dvc_rules *git, struct gy_str path, bool is_dir)
{
    return gy_dvc_ignored(dvc, path, is_dir) || (k->git && gy_dvc_ignored(git, path, is_dir)) ||
           (is_dir && gy_map_has(&k->outs, path));
}

/* A repository inside this one is a world of its own. */
static bool is_repo(const struct look *k, struct gy_str folder)
{
    char path[2 * GY_MAX_PATH];
    (void)snprintf(path, sizeof path, "%s/%" GY_STR_F "/.dvc", k->r->root, GY_STR_A(folder));
    return gy_path_is_dir(path);
}

static gy_status look_folder(struct look *k, struct gy_str folder, const struct gy_dvc_rules *dvc,
                             const struct gy_dvc_rules *git)
{
    struct gy_str *files = NULL, *dirs = NULL;
    size_t n_files = 0, n_dirs = 0;
    if (folder.n > 0) {
        GY_TRY(gy_dvc_ignore_enter(k->dvc, dvc, folder, &dvc, k->err));
        if (k->git) {
            GY_TRY(gy_dvc_ignore_enter(k->git, git, folder, &git, k->err));
        }
    }
    if (++k->depth > MAX_DEPTH) {
        return gy_err_set(k->err, GY_E_TOOBIG, "folders are nested deeper than %d", MAX_DEPTH);
    }
    gy_status status = list_folder(k, folder, &files, &n_files, &dirs, &n_dirs);
    for (size_t i = 0; status == GY_OK && i < n_files; i++) {
        if (!hidden(k, dvc, git, files[i], false)) {
            status = look_file(k, files[i]);
        }
    }
    for (size_t i = 0; status == GY_OK && i < n_dirs; i++) {
        if (!hidden(k, dvc, git, dirs[i], true) && !is_repo(k, dirs[i])) {
            status = look_folder(k, dirs[i], dvc, git);
        }
    }
    gy_free(files);
    gy_free(dirs);
    k->depth--;
    return status;
}

static int by_file(const void *a, const void *b)
{
    const struct gy_dvc_stage *x = a, *y = b;
    int c = gy_str_cmp(x->file, y->file);
    return c ? c : gy_str_cmp(x->name, y->name);
}

gy_status gy_dvc_stages(struct gy_dvc_repo *r, struct gy_arena *a, struct gy_dvc_stage **ret,
                        size_t *ret_n, struct gy_err *err)
{
    struct list l = {.stages = NULL};
    struct look k = {.r = r, .a = a, .l = &l, .err = err};
    GY_AUTO(gy_dvc_ignore_free) struct gy_dvc_ignore *git = NULL;
    GY_TRY(gy_dvc_repo_ignore(r, &k.dvc, err));
    if (!gy_dvc_config_bool(r->config, "core", "no_scm", false)) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf exclude;
        char path[GY_MAX_PATH];
        gy_buf_init(&exclude, GY_DVC_MAX_IGNORE);
        GY_TRY(gy_path_join(path, sizeof path, r->root, ".git/info/exclude", err));
        if (gy_path_exists(path)) {
            GY_TRY(gy_file_read(path, &exclude, err));
        }
        GY_TRY(gy_dvc_ignore_new(r->root, ".gitignore", exclude.p, &git, err));
        k.git = git;
    }
    gy_map_init(&k.outs, MAX_STAGES);
    gy_status status = look_folder(&k, GY_STR(""), gy_dvc_ignore_root(k.dvc),
                                   git ? gy_dvc_ignore_root(git) : NULL);
    gy_map_done(&k.outs);
    struct gy_dvc_stage *all = status == GY_OK ? gy_arena_calloc(a, l.n + 1, sizeof *all) : NULL;
    if (all && l.n > 0) {
        memcpy(all, l.stages, l.n * sizeof *all);
        qsort(all, l.n, sizeof *all, by_file);
    }
    gy_free(l.stages);
    GY_TRY(status);
    if (!all) {
        return no_memory(err);
    }
    *ret = all;
    *ret_n = l.n;
    return GY_OK;
}
