/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

struct loader {
    struct gy_flow *f;
    const struct gy_yaml *y;
    size_t n_paths;
    struct gy_err *err;
};

static gy_status no_memory(struct loader *l)
{
    return gy_err_set(l->err, GY_E_NOMEM, "out of memory for the pipeline");
}

static gy_status refuse(struct loader *l, const struct gy_yaml_node *n, const char *what)
{
    (void)gy_yaml_err(l->y, n, l->err, "%s", what);
    if (l->err) {
        l->err->code = GY_E_UNSUPPORTED;
    }
    return GY_E_UNSUPPORTED;
}

/* Keys that DVC has and we do not: told apart from spelling mistakes, so that nobody searches for
 * one. */
static gy_status only_keys(struct loader *l, const struct gy_yaml_node *map,
                           const char *const *known, const char *const *not_yet)
{
    if (map->kind != GY_YAML_MAP) {
        return gy_yaml_err(l->y, map, l->err, "must be a map of names to values");
    }
    for (size_t i = 0; i < map->n_items; i++) {
        for (const char *const *name = not_yet; *name; name++) {
            if (gy_str_eqc(map->keys[i], *name)) {
                char text[120];
                (void)snprintf(text, sizeof text,
                               "'%s' is DVC's, but not supported by gyre run yet", *name);
                return refuse(l, &map->items[i], text);
            }
        }
    }
    return gy_yaml_only(l->y, map, known, l->err);
}

/* The text of a scalar. ${...} would be DVC's interpolation: refused, while \${ stands for itself
 * as with DVC. */
static gy_status text_of(struct loader *l, const struct gy_yaml_node *n, const char *what,
                         struct gy_str *ret)
{
    if (n->kind == GY_YAML_NULL || n->kind == GY_YAML_SEQ || n->kind == GY_YAML_MAP ||
        n->text.n == 0) {
        return gy_yaml_err(l->y, n, l->err, "%s must be a text", what);
    }
    *ret = n->text;
    if (gy_str_find_str(n->text, GY_STR("${")) == SIZE_MAX) {
        return GY_OK;
    }
    char *copy = gy_arena_alloc(&l->f->arena, n->text.n + 1);
    if (!copy) {
        return no_memory(l);
    }
    size_t to = 0;
    for (size_t i = 0; i < n->text.n; i++) {
        struct gy_str rest = gy_str_sub(n->text, i, n->text.n);
        if (gy_str_starts(rest, GY_STR("${"))) {
            return refuse(l, n,
                          "the interpolation ${...} is not supported yet (a shell variable is "
                          "$NAME or \\${NAME})");
        }
        if (gy_str_starts(rest, GY_STR("\\${"))) {
            i++;
            copy[to++] = '$'; /* and the '{' is copied by the next turn */
            continue;
        }
        copy[to++] = n->text.p[i];
    }
    copy[to] = '\0';
    *ret = gy_str_n(copy, to);
    return GY_OK;
}

/* wdir/path without ".", ".." and double slashes, relative to the project. */
static gy_status full_path(struct loader *l, const struct gy_yaml_node *n, struct gy_str wdir,
                           struct gy_str path, struct gy_str *ret)
{
    if (gy_str_find_str(path, GY_STR("://")) != SIZE_MAX) {
        return refuse(l, n, "paths on remotes are not supported yet");
    }
    if (path.n > 0 && path.p[0] == '/') {
        return refuse(l, n, "paths outside of the project are not supported");
    }
    if (path.n == 0 || wdir.n + path.n + 2 >= GY_MAX_PATH || memchr(path.p, '\0', path.n)) {
        return gy_yaml_err(l->y, n, l->err, "not a usable path");
    }
    char *out = gy_arena_alloc(&l->f->arena, wdir.n + path.n + 2);
    if (!out) {
        return no_memory(l);
    }
    size_t to = 0;
    struct gy_str sources[2] = {wdir, path};
    for (int k = 0; k < 2; k++) {
        struct gy_str part;
        while (gy_str_next(&sources[k], '/', &part)) {
            if (part.n == 0 || gy_str_eqc(part, ".")) {
                continue;
            }
            if (gy_str_eqc(part, "..")) {
                if (to == 0) {
                    return refuse(l, n, "paths outside of the project are not supported");
                }
                while (to > 0 && out[--to] != '/') {
                }
                continue;
            }
            if (to > 0) {
                out[to++] = '/';
            }
            memcpy(out + to, part.p, part.n);
            to += part.n;
        }
    }
    if (to == 0) {
        out[to++] = '.';
    }
    out[to] = '\0';
    *ret = gy_str_n(out, to);
    return GY_OK;
}

/* The path as DVC keeps it in dvc.lock: without trailing slashes and "./". */
static struct gy_str tidy(struct gy_str path)
{
    while (path.n > 1 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    while (path.n > 2 && path.p[0] == '.' && path.p[1] == '/') {
        path = gy_str_sub(path, 2, path.n);
    }
    return path;
}

static gy_status count_paths(struct loader *l, const struct gy_yaml_node *n, size_t more)
{
    l->n_paths += more;
    return l->n_paths <= GY_FLOW_MAX_PATHS
               ? GY_OK
               : gy_err_set(l->err, GY_E_TOOBIG, "dvc.yaml:%d: too many paths", n->line);
}

static gy_status read_list(struct loader *l, const struct gy_yaml_node *n, const char *what)
{
    if (n->kind != GY_YAML_SEQ) {
        return gy_yaml_err(l->y, n, l->err, "%s must be a list", what);
    }
    return count_paths(l, n, n->n_items);
}

static gy_status read_cmd(struct loader *l, const struct gy_yaml_node *stage,
                          struct gy_flow_stage *s)
{
    const struct gy_yaml_node *n = gy_yaml_get(stage, "cmd");
    if (!n) {
        return gy_yaml_err(l->y, stage, l->err, "the stage '%" GY_STR_F "' has no cmd",
                           GY_STR_A(s->name));
    }
    s->cmd_is_list = n->kind == GY_YAML_SEQ;
    s->n_cmd = s->cmd_is_list ? n->n_items : 1;
    if (s->n_cmd == 0) {
        return gy_yaml_err(l->y, n, l->err, "cmd is empty");
    }
    struct gy_str *cmd = gy_arena_calloc(&l->f->arena, s->n_cmd, sizeof *cmd);
    if (!cmd) {
        return no_memory(l);
    }
    for (size_t i = 0; i < s->n_cmd; i++) {
        GY_TRY(text_of(l, s->cmd_is_list ? &n->items[i] : n, "cmd", &cmd[i]));
    }
    s->cmd = cmd;
    return GY_OK;
}

static int by_dep_path(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_flow_dep *)a)->path, ((const struct gy_flow_dep *)b)->path);
}

static gy_status read_deps(struct loader *l, const struct gy_yaml_node *n, struct gy_flow_stage *s)
{
    if (!n || n->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    GY_TRY(read_list(l, n, "deps"));
    struct gy_flow_dep *deps = gy_arena_calloc(&l->f->arena, n->n_items + 1, sizeof *deps);
    if (!deps) {
        return no_memory(l);
    }
    for (size_t i = 0; i < n->n_items; i++) {
        GY_TRY(text_of(l, &n->items[i], "a dependency", &deps[i].path));
        deps[i].path = tidy(deps[i].path);
        GY_TRY(full_path(l, &n->items[i], s->wdir, deps[i].path, &deps[i].full));
    }
    qsort(deps, n->n_items, sizeof *deps, by_dep_path);
    s->deps = deps;
    s->n_deps = n->n_items;
    return GY_OK;
}

static int by_text(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

static int by_params_path(const void *a, const void *b)
{
    const struct gy_flow_params *pa = a;
    const struct gy_flow_params *pb = b;
    int first = gy_str_eqc(pb->path, "params.yaml") - gy_str_eqc(pa->path, "params.yaml");
    return first != 0 ? first : gy_str_cmp(pa->path, pb->path);
}

/* The entry of a file, made when it is new. */
static gy_status params_file(struct loader *l, const struct gy_yaml_node *n,
                             struct gy_flow_stage *s, struct gy_flow_params *all,
                             struct gy_str path, size_t max_keys, struct gy_flow_params **ret)
{
    for (size_t i = 0; i < s->n_params; i++) {
        if (gy_str_eq(all[i].path, path)) {
            *ret = &all[i];
            return GY_OK;
        }
    }
    bool known = gy_str_ends(path, GY_STR(".yaml")) || gy_str_ends(path, GY_STR(".yml")) ||
                 gy_str_ends(path, GY_STR(".json"));
    if (!known) {
        return refuse(l, n, "parameters are read from .yaml, .yml and .json files only");
    }
    struct gy_flow_params *p = &all[s->n_params++];
    p->path = path;
    p->keys = gy_arena_calloc(&l->f->arena, max_keys + 1, sizeof *p->keys);
    if (!p->keys) {
        return no_memory(l);
    }
    *ret = p;
    return full_path(l, n, s->wdir, path, &p->full);
}

static size_t count_keys(const struct gy_yaml_node *n)
{
    size_t total = n->n_items;
    for (size_t i = 0; i < n->n_items; i++) {
        for (size_t k = 0; n->items[i].kind == GY_YAML_MAP && k < n->items[i].n_items; k++) {
            total += n->items[i].items[k].n_items;
        }
    }
    return total;
}

static gy_status add_key(struct loader *l, const struct gy_yaml_node *n, struct gy_flow_params *p)
{
    GY_REQUIRE(p);
    struct gy_str *keys = (struct gy_str *)(uintptr_t)p->keys;
    struct gy_str key = GY_STR_NULL;
    GY_TRY(text_of(l, n, "a parameter", &key));
    for (size_t i = 0; i < p->n_keys; i++) {
        if (gy_str_eq(keys[i], key)) {
            return GY_OK;
        }
    }
    keys[p->n_keys++] = key;
    return GY_OK;
}

/* {file: [keys]} or {file: null} for the whole file. */
static gy_status read_params_map(struct loader *l, const struct gy_yaml_node *n,
                                 struct gy_flow_stage *s, struct gy_flow_params *all,
                                 size_t max_keys)
{
    for (size_t i = 0; i < n->n_items; i++) {
        const struct gy_yaml_node *keys = &n->items[i];
        struct gy_flow_params *p = NULL;
        GY_TRY(params_file(l, keys, s, all, tidy(n->keys[i]), max_keys, &p));
        if (keys->kind == GY_YAML_NULL) {
            continue;
        }
        GY_TRY(read_list(l, keys, "the keys of a parameter file"));
        for (size_t k = 0; k < keys->n_items; k++) {
            GY_TRY(add_key(l, &keys->items[k], p));
        }
    }
    return GY_OK;
}

static gy_status read_params(struct loader *l, const struct gy_yaml_node *n,
                             struct gy_flow_stage *s)
{
    if (!n || n->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    GY_TRY(read_list(l, n, "params"));
    size_t max_keys = count_keys(n);
    size_t max_files = 1;
    for (size_t i = 0; i < n->n_items; i++) {
        max_files += n->items[i].kind == GY_YAML_MAP ? n->items[i].n_items : 0;
    }
    struct gy_flow_params *all = gy_arena_calloc(&l->f->arena, max_files, sizeof *all);
    if (!all) {
        return no_memory(l);
    }
    for (size_t i = 0; i < n->n_items; i++) {
        if (n->items[i].kind == GY_YAML_MAP) {
            GY_TRY(read_params_map(l, &n->items[i], s, all, max_keys));
            continue;
        }
        struct gy_flow_params *p = NULL;
        GY_TRY(params_file(l, &n->items[i], s, all, GY_STR("params.yaml"), max_keys, &p));
        GY_TRY(add_key(l, &n->items[i], p));
    }
    for (size_t i = 0; i < s->n_params; i++) {
        qsort((void *)(uintptr_t)all[i].keys, all[i].n_keys, sizeof(struct gy_str), by_text);
    }
    if (s->n_params > 1) {
        qsort(all, s->n_params, sizeof *all, by_params_path);
    }
    s->params = all;
    return GY_OK;
}

enum out_kind { OUTS, METRICS, PLOTS };

static gy_status read_flags(struct loader *l, const struct gy_yaml_node *flags, enum out_kind kind,
                            struct gy_flow_out *out)
{
    static const char *const known[] = {"cache", "persist", "desc", NULL};
    static const char *const plot_known[] = {"cache",   "persist", "desc",  "template", "x", "y",
                                             "x_label", "y_label", "title", "header",   NULL};
    static const char *const not_yet[] = {"remote", "push", "type", "labels", "checkpoint", NULL};
    if (flags->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    GY_TRY(only_keys(l, flags, kind == PLOTS ? plot_known : known, not_yet));
    static const char *const names[2] = {"cache", "persist"};
    bool *slots[2] = {&out->cache, &out->persist};
    for (int i = 0; i < 2; i++) {
        const struct gy_yaml_node *n = gy_yaml_get(flags, names[i]);
        if (n && n->kind != GY_YAML_BOOL) {
            return gy_yaml_err(l->y, n, l->err, "%s must be true or false", names[i]);
        }
        if (n) {
            *slots[i] = n->b;
        }
    }
    return GY_OK;
}

static gy_status read_out(struct loader *l, const struct gy_yaml_node *n, enum out_kind kind,
                          struct gy_flow_stage *s, struct gy_flow_out *out)
{
    *out = (struct gy_flow_out){.cache = true, .metric = kind == METRICS};
    if (n->kind == GY_YAML_MAP) {
        if (n->n_items != 1) {
            return gy_yaml_err(l->y, n, l->err, "an output with flags is {path: {flags}}");
        }
        out->path = n->keys[0];
        if (gy_str_find_str(out->path, GY_STR("${")) != SIZE_MAX) {
            return refuse(l, n, "the interpolation ${...} is not supported yet");
        }
        GY_TRY(read_flags(l, &n->items[0], kind, out));
    } else {
        GY_TRY(text_of(l, n, "an output", &out->path));
    }
    out->path = tidy(out->path);
    GY_TRY(full_path(l, n, s->wdir, out->path, &out->full));
    if (gy_str_eqc(out->full, ".")) {
        return gy_yaml_err(l->y, n, l->err, "the project itself can not be an output");
    }
    return GY_OK;
}

static int by_out_path(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_flow_out *)a)->path, ((const struct gy_flow_out *)b)->path);
}

static gy_status read_outs(struct loader *l, const struct gy_yaml_node *stage,
                           struct gy_flow_stage *s)
{
    static const char *const keys[] = {"outs", "metrics", "plots"};
    size_t total = 0;
    for (int k = 0; k < 3; k++) {
        const struct gy_yaml_node *n = gy_yaml_get(stage, keys[k]);
        if (n && n->kind != GY_YAML_NULL) {
            GY_TRY(read_list(l, n, keys[k]));
            total += n->n_items;
        }
    }
    struct gy_flow_out *outs = gy_arena_calloc(&l->f->arena, total + 1, sizeof *outs);
    if (!outs) {
        return no_memory(l);
    }
    for (int k = 0; k < 3; k++) {
        const struct gy_yaml_node *n = gy_yaml_get(stage, keys[k]);
        for (size_t i = 0; n && n->kind == GY_YAML_SEQ && i < n->n_items; i++) {
            GY_TRY(read_out(l, &n->items[i], (enum out_kind)k, s, &outs[s->n_outs]));
            s->n_outs++;
        }
    }
    qsort(outs, s->n_outs, sizeof *outs, by_out_path);
    s->outs = outs;
    return GY_OK;
}

static gy_status read_flag(struct loader *l, const struct gy_yaml_node *stage, const char *key,
                           bool *ret)
{
    const struct gy_yaml_node *n = gy_yaml_get(stage, key);
    if (n && n->kind != GY_YAML_BOOL) {
        return gy_yaml_err(l->y, n, l->err, "%s must be true or false", key);
    }
    *ret = n && n->b;
    return GY_OK;
}

/* `meta` is anybody's; what is ours in it sits under `gyre`. */
static gy_status read_meta(struct loader *l, const struct gy_yaml_node *stage,
                           struct gy_flow_stage *s)
{
    static const char *const known[] = {"manual", NULL};
    const struct gy_yaml_node *ours = gy_yaml_get(gy_yaml_get(stage, "meta"), "gyre");
    if (!ours || ours->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    if (ours->kind != GY_YAML_MAP) {
        return gy_yaml_err(l->y, ours, l->err, "meta.gyre must be a map: {manual: true}");
    }
    GY_TRY(gy_yaml_only(l->y, ours, known, l->err));
    return read_flag(l, ours, "manual", &s->manual);
}

/* DVC's rule: no punctuation but '_' and '-'. It also keeps log file names harmless. */
static bool good_name(struct gy_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
        if (!letter && c != '_' && c != '-') {
            return false;
        }
    }
    return name.n > 0 && name.n <= GY_MAX_NAME;
}

static gy_status read_stage(struct loader *l, struct gy_str name, const struct gy_yaml_node *n,
                            struct gy_flow_stage *s)
{
    static const char *const known[] = {"cmd",     "wdir",  "deps",   "params",         "outs",
                                        "metrics", "plots", "frozen", "always_changed", "desc",
                                        "meta",    NULL};
    static const char *const not_yet[] = {"vars", "matrix", "foreach", "do", NULL};
    s->name = name;
    s->line = n->line;
    s->wdir = GY_STR(".");
    if (!good_name(name)) {
        return gy_yaml_err(l->y, n, l->err,
                           "'%" GY_STR_F "' is not a stage name: letters, digits, _ and -",
                           GY_STR_A(name));
    }
    GY_TRY(only_keys(l, n, known, not_yet));
    const struct gy_yaml_node *wdir = gy_yaml_get(n, "wdir");
    if (wdir) {
        struct gy_str text = GY_STR_NULL;
        GY_TRY(text_of(l, wdir, "wdir", &text));
        GY_TRY(full_path(l, wdir, GY_STR("."), text, &s->wdir));
    }
    const struct gy_yaml_node *desc = gy_yaml_get(n, "desc");
    if (desc) {
        s->desc = desc->text;
    }
    GY_TRY(read_cmd(l, n, s));
    GY_TRY(read_deps(l, gy_yaml_get(n, "deps"), s));
    GY_TRY(read_params(l, gy_yaml_get(n, "params"), s));
    GY_TRY(read_outs(l, n, s));
    GY_TRY(read_meta(l, n, s));
    GY_TRY(read_flag(l, n, "frozen", &s->frozen));
    return read_flag(l, n, "always_changed", &s->always_changed);
}

/* One of both is the other, or a folder above it. */
static bool overlap(struct gy_str a, struct gy_str b)
{
    struct gy_str shorter = a.n <= b.n ? a : b;
    struct gy_str longer = a.n <= b.n ? b : a;
    if (gy_str_eqc(shorter, ".")) {
        return true;
    }
    return gy_str_starts(longer, shorter) && (longer.n == shorter.n || longer.p[shorter.n] == '/');
}

struct owned {
    struct gy_str full;
    size_t stage;
};

/* By components: '/' sorts before every other byte, so that a folder stands right before what is in
 * it. */
static int by_components(const void *a, const void *b)
{
    struct gy_str x = ((const struct owned *)a)->full;
    struct gy_str y = ((const struct owned *)b)->full;
    size_t n = x.n < y.n ? x.n : y.n;
    for (size_t i = 0; i < n; i++) {
        int cx = x.p[i] == '/' ? 0 : (unsigned char)x.p[i] + 1;
        int cy = y.p[i] == '/' ? 0 : (unsigned char)y.p[i] + 1;
        if (cx != cy) {
            return cx < cy ? -1 : 1;
        }
    }
    return x.n < y.n ? -1 : x.n > y.n;
}

static gy_status check_overlaps(struct loader *l, struct owned *outs, size_t n)
{
    if (n > 1) {
        qsort(outs, n, sizeof *outs, by_components);
    }
    for (size_t i = 1; i < n; i++) {
        if (overlap(outs[i - 1].full, outs[i].full)) {
            const struct gy_flow_stage *a = &l->f->stages[outs[i - 1].stage];
            const struct gy_flow_stage *b = &l->f->stages[outs[i].stage];
            return gy_err_set(l->err, GY_E_INVALID,
                              "dvc.yaml:%d: the outputs '%" GY_STR_F "' of '%" GY_STR_F
                              "' and '%" GY_STR_F "' of '%" GY_STR_F "' overlap",
                              b->line, GY_STR_A(outs[i - 1].full), GY_STR_A(a->name),
                              GY_STR_A(outs[i].full), GY_STR_A(b->name));
        }
    }
    return GY_OK;
}

static bool depends(const struct gy_flow_stage *s, struct gy_str out)
{
    for (size_t i = 0; i < s->n_deps; i++) {
        if (overlap(s->deps[i].full, out)) {
            return true;
        }
    }
    for (size_t i = 0; i < s->n_params; i++) {
        if (overlap(s->params[i].full, out)) {
            return true;
        }
    }
    return false;
}

static gy_status link_stages(struct loader *l)
{
    struct gy_flow *f = l->f;
    size_t n_outs = 0;
    for (size_t i = 0; i < f->n_stages; i++) {
        n_outs += f->stages[i].n_outs;
    }
    GY_AUTO_DONE(gy_arena_done) struct gy_arena scratch;
    gy_arena_init(&scratch, 64 * GY_MIB);
    struct owned *outs = gy_arena_calloc(&scratch, n_outs + 1, sizeof *outs);
    bool *above = gy_arena_calloc(&scratch, f->n_stages + 1, sizeof *above);
    if (!outs || !above) {
        return no_memory(l);
    }
    size_t at = 0;
    for (size_t i = 0; i < f->n_stages; i++) {
        for (size_t k = 0; k < f->stages[i].n_outs; k++) {
            outs[at++] = (struct owned){f->stages[i].outs[k].full, i};
        }
    }
    GY_TRY(check_overlaps(l, outs, n_outs));
    for (size_t i = 0; i < f->n_stages; i++) {
        struct gy_flow_stage *s = &f->stages[i];
        memset(above, 0, f->n_stages * sizeof *above);
        for (size_t k = 0; k < n_outs; k++) {
            if (!above[outs[k].stage] && depends(s, outs[k].full)) {
                above[outs[k].stage] = true;
                s->n_upstream++;
            }
        }
        size_t *upstream = gy_arena_calloc(&f->arena, s->n_upstream + 1, sizeof *upstream);
        if (!upstream) {
            return no_memory(l);
        }
        size_t to = 0;
        for (size_t k = 0; k < f->n_stages; k++) {
            if (above[k]) {
                upstream[to++] = k;
            }
        }
        s->upstream = upstream;
    }
    return GY_OK;
}

static gy_status tell_cycle(struct loader *l, const bool *done)
{
    const struct gy_flow *f = l->f;
    char names[300];
    size_t at = 0;
    int line = 0;
    for (size_t i = 0; i < f->n_stages && at < sizeof names; i++) {
        if (!done[i]) {
            line = line ? line : f->stages[i].line;
            int n = snprintf(names + at, sizeof names - at, "%s%" GY_STR_F, at ? ", " : "",
                             GY_STR_A(f->stages[i].name));
            at += n > 0 ? (size_t)n : 0;
        }
    }
    return gy_err_set(l->err, GY_E_INVALID, "dvc.yaml:%d: these stages wait for each other: %s",
                      line, names);
}

/* Always the first stage of the file that can come next: the order is a function of the file alone.
 */
static gy_status order_stages(struct loader *l)
{
    struct gy_flow *f = l->f;
    f->order = gy_arena_calloc(&f->arena, f->n_stages + 1, sizeof *f->order);
    bool *done = gy_arena_calloc(&f->arena, f->n_stages + 1, sizeof *done);
    if (!f->order || !done) {
        return no_memory(l);
    }
    for (size_t placed = 0; placed < f->n_stages;) {
        size_t next = SIZE_MAX;
        for (size_t i = 0; i < f->n_stages && next == SIZE_MAX; i++) {
            bool ready = !done[i];
            for (size_t k = 0; ready && k < f->stages[i].n_upstream; k++) {
                ready = done[f->stages[i].upstream[k]];
            }
            next = ready ? i : SIZE_MAX;
        }
        if (next == SIZE_MAX) {
            return tell_cycle(l, done);
        }
        done[next] = true;
        f->order[placed++] = next;
    }
    return GY_OK;
}

static gy_status read_pipeline(struct loader *l)
{
    /* params, metrics and plots at the top only tell `dvc params|metrics|plots` what to show. */
    static const char *const known[] = {"stages", "params", "metrics", "plots", NULL};
    static const char *const not_yet[] = {"vars", "artifacts", "datasets", NULL};
    struct gy_flow *f = l->f;
    const struct gy_yaml_node *root = gy_yaml_root(l->y);
    if (!root) {
        return GY_OK;
    }
    GY_TRY(only_keys(l, root, known, not_yet));
    const struct gy_yaml_node *stages = gy_yaml_get(root, "stages");
    if (!stages || stages->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    if (stages->kind != GY_YAML_MAP) {
        return gy_yaml_err(l->y, stages, l->err, "stages must be a map of names to stages");
    }
    if (stages->n_items > GY_FLOW_MAX_STAGES) {
        return gy_err_set(l->err, GY_E_TOOBIG, "dvc.yaml: more than %d stages", GY_FLOW_MAX_STAGES);
    }
    f->stages = gy_arena_calloc(&f->arena, stages->n_items + 1, sizeof *f->stages);
    if (!f->stages) {
        return no_memory(l);
    }
    for (size_t i = 0; i < stages->n_items; i++) {
        GY_TRY(read_stage(l, stages->keys[i], &stages->items[i], &f->stages[i]));
    }
    f->n_stages = stages->n_items;
    GY_TRY(link_stages(l));
    return order_stages(l);
}

gy_status gy_flow_load(const char *dir, struct gy_flow **ret, struct gy_err *err)
{
    GY_AUTO(gy_flow_free) struct gy_flow *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the pipeline");
    }
    gy_arena_init(&f->arena, 64 * GY_MIB);
    if (!realpath(dir, f->dir)) {
        return gy_err_sys(err, errno, "can not resolve %s", dir);
    }
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, f->dir, "dvc.yaml", err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    gy_status status = gy_file_read(path, &text, err);
    if (status == GY_E_NOTFOUND) {
        (void)gy_err_hint(err, "stages stand in dvc.yaml; `gyre init --template sepsis` shows one");
    }
    GY_TRY(status);
    GY_TRY(gy_yaml_parse(gy_buf_str(&text), "dvc.yaml", &f->yaml, err));
    struct loader l = {.f = f, .y = f->yaml, .err = err};
    GY_TRY(read_pipeline(&l));
    GY_TRY(gy_dvc_repo_open_at(f->dir, &f->repo, err));
    *ret = GY_TAKE(f);
    return GY_OK;
}

void gy_flow_free(struct gy_flow *f)
{
    if (f) {
        gy_dvc_repo_free(f->repo);
        gy_arena_done(&f->arena);
        gy_yaml_free(f->yaml);
        gy_free(f);
    }
}

size_t gy_flow_find(const struct gy_flow *f, struct gy_str name)
{
    for (size_t i = 0; i < f->n_stages; i++) {
        if (gy_str_eq(f->stages[i].name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool gy_flow_is_output(const struct gy_flow *f, struct gy_str full)
{
    for (size_t i = 0; i < f->n_stages; i++) {
        for (size_t k = 0; k < f->stages[i].n_outs; k++) {
            if (overlap(f->stages[i].outs[k].full, full)) {
                return true;
            }
        }
    }
    return false;
}

gy_status gy_flow_select(const struct gy_flow *f, const char *const *names, size_t n,
                         bool *selected, struct gy_err *err)
{
    for (size_t i = 0; i < f->n_stages; i++) {
        selected[i] = n == 0 && !f->stages[i].manual;
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = gy_flow_find(f, gy_str_c(names[i]));
        if (at == SIZE_MAX) {
            return gy_err_set(err, GY_E_NOTFOUND, "dvc.yaml has no stage '%s'", names[i]);
        }
        selected[at] = true;
    }
    /* Against the order, so that each stage is complete when its upstream is marked. */
    for (size_t i = f->n_stages; i-- > 0;) {
        const struct gy_flow_stage *s = &f->stages[f->order[i]];
        for (size_t k = 0; selected[f->order[i]] && k < s->n_upstream; k++) {
            selected[s->upstream[k]] = n > 0 || !f->stages[s->upstream[k]].manual;
        }
    }
    return GY_OK;
}
