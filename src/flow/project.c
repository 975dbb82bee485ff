/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/project.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/expr.h"
#include "base/file.h"
#include "base/mem.h"

static bool holds(const char *dir, const char *name)
{
    char path[GY_MAX_PATH];
    return gy_path_join(path, sizeof path, dir, name, NULL) == GY_OK && gy_file_size(path) >= 0;
}

static bool search_up(const char *start, const char *name, char ret_dir[GY_MAX_PATH])
{
    size_t n = strlen(start);
    memcpy(ret_dir, start, n + 1);
    for (;;) {
        if (holds(ret_dir, name)) {
            return true;
        }
        char *slash = strrchr(ret_dir, '/');
        if (!slash || ret_dir[1] == '\0') {
            return false;
        }
        slash[slash == ret_dir ? 1 : 0] = '\0';
    }
}

gy_status gy_project_find(const char *start, char ret_dir[GY_MAX_PATH], struct gy_err *err)
{
    char from[GY_MAX_PATH]; /* PATH_MAX bytes, as realpath wants */
    if (!realpath(start ? start : ".", from)) {
        return gy_err_sys(err, errno, "can not resolve %s", start ? start : "the working folder");
    }
    if (search_up(from, "gyre.yaml", ret_dir) || search_up(from, "dvc.yaml", ret_dir)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "no gyre.yaml or dvc.yaml in %s or above it", from);
    (void)gy_err_hint(err, "`gyre init` makes a project");
    return GY_E_NOTFOUND;
}

static gy_status need_text(const struct gy_yaml *y, const struct gy_yaml_node *n, const char *what,
                           struct gy_str *ret, struct gy_err *err)
{
    if (!n || n->kind == GY_YAML_NULL || n->kind == GY_YAML_SEQ || n->kind == GY_YAML_MAP ||
        n->text.n == 0) {
        return gy_yaml_err(y, n, err, "%s must be a text", what);
    }
    *ret = n->text;
    return GY_OK;
}

static gy_status read_limit(const struct gy_yaml *y, const struct gy_yaml_node *bound,
                            const char *key, double *ret, struct gy_err *err)
{
    const struct gy_yaml_node *n = gy_yaml_get(bound, key);
    *ret = NAN;
    if (!n) {
        return GY_OK;
    }
    if ((n->kind != GY_YAML_INT && n->kind != GY_YAML_FLOAT) || !isfinite(n->f)) {
        return gy_yaml_err(y, n, err, "%s must be a number", key);
    }
    *ret = n->f;
    return GY_OK;
}

static gy_status read_where(const struct gy_yaml *y, const struct gy_yaml_node *n,
                            enum gy_gate_where *ret, struct gy_err *err)
{
    static const struct {
        const char *name;
        enum gy_gate_where where;
    } rows[] = {{"all", GY_GATE_ALL}, {"overall", GY_GATE_OVERALL}, {"slices", GY_GATE_SLICES}};
    *ret = GY_GATE_ALL;
    if (!n) {
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (gy_str_eqc(n->text, rows[i].name)) {
            *ret = rows[i].where;
            return GY_OK;
        }
    }
    return gy_yaml_err(y, n, err, "on must be all, overall or slices");
}

static gy_status read_bound(const struct gy_yaml *y, const struct gy_yaml_node *n,
                            struct gy_gate_bound *b, struct gy_err *err)
{
    static const char *const known[] = {
        "name", "min", "max", "low_min", "high_max", "champion_change_min", "champion_change_max",
        "on",   NULL};
    if (n->kind != GY_YAML_MAP) {
        return gy_yaml_err(y, n, err, "a gate metric is {name: .., min: ..}");
    }
    GY_TRY(gy_yaml_only(y, n, known, err));
    const struct gy_yaml_node *name = gy_yaml_get(n, "name");
    GY_TRY(need_text(y, name ? name : n, "name of a gate metric", &b->metric, err));
    GY_TRY(read_limit(y, n, "min", &b->min, err));
    GY_TRY(read_limit(y, n, "max", &b->max, err));
    GY_TRY(read_limit(y, n, "low_min", &b->low_min, err));
    GY_TRY(read_limit(y, n, "high_max", &b->high_max, err));
    GY_TRY(read_limit(y, n, "champion_change_min", &b->champion_change_min, err));
    GY_TRY(read_limit(y, n, "champion_change_max", &b->champion_change_max, err));
    GY_TRY(read_where(y, gy_yaml_get(n, "on"), &b->where, err));
    if (isnan(b->min) && isnan(b->max) && isnan(b->low_min) && isnan(b->high_max) &&
        isnan(b->champion_change_min) && isnan(b->champion_change_max)) {
        return gy_yaml_err(
            y, n, err,
            "the gate metric '%" GY_STR_F
            "' has no limit: give min, max, low_min, high_max or champion_change_min",
            GY_STR_A(b->metric));
    }
    if (b->min > b->max) {
        return gy_yaml_err(y, n, err, "min is above max");
    }
    return GY_OK;
}

static gy_status want_list(const struct gy_yaml *y, const struct gy_yaml_node *n, const char *what,
                           size_t max, struct gy_err *err)
{
    if (n->kind != GY_YAML_SEQ) {
        return gy_yaml_err(y, n, err, "%s must be a list", what);
    }
    return n->n_items <= max ? GY_OK
                             : gy_yaml_err(y, n, err, "%s has more than %zu entries", what, max);
}

static gy_status read_texts(const struct gy_yaml *y, const struct gy_yaml_node *n, const char *what,
                            struct gy_str *out, size_t max, size_t *ret_n, struct gy_err *err)
{
    if (!n || n->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    GY_TRY(want_list(y, n, what, max, err));
    for (size_t i = 0; i < n->n_items; i++) {
        GY_TRY(need_text(y, &n->items[i], what, &out[i], err));
    }
    *ret_n = n->n_items;
    return GY_OK;
}

/* Any name passes here: which columns there are is known only to who evaluates. */
static bool any_name(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    (void)name;
    *ret_slot = (*(size_t *)ctx)++;
    *ret_type = GY_EXPR_NULL;
    return true;
}

static gy_status read_required(const struct gy_yaml *y, const struct gy_yaml_node *n,
                               const char *what, bool *ret, struct gy_err *err)
{
    if (!n) {
        return GY_OK;
    }
    *ret = gy_str_eqc(n->text, "required");
    return *ret || gy_str_eqc(n->text, "none")
               ? GY_OK
               : gy_yaml_err(y, n, err, "%s must be required or none", what);
}

static gy_status read_bool(const struct gy_yaml *y, const struct gy_yaml_node *n, const char *what,
                           bool *ret, struct gy_err *err)
{
    if (!n) {
        return GY_OK;
    }
    *ret = n->b;
    return n->kind == GY_YAML_BOOL ? GY_OK
                                   : gy_yaml_err(y, n, err, "%s must be true or false", what);
}

/* "required", "none", or {four_eyes: true}, which means required unless it says otherwise. */
static gy_status read_approval(const struct gy_yaml *y, const struct gy_yaml_node *n,
                               struct gy_gate_spec *g, struct gy_err *err)
{
    static const char *const known[] = {"required", "four_eyes", NULL};
    if (!n || n->kind != GY_YAML_MAP) {
        return read_required(y, n, "approval", &g->needs_approval, err);
    }
    g->needs_approval = true;
    GY_TRY(gy_yaml_only(y, n, known, err));
    GY_TRY(read_bool(y, gy_yaml_get(n, "required"), "required", &g->needs_approval, err));
    return read_bool(y, gy_yaml_get(n, "four_eyes"), "four_eyes", &g->four_eyes, err);
}

static gy_status read_refuse(const struct gy_yaml *y, const struct gy_yaml_node *n,
                             struct gy_gate_spec *g, struct gy_err *err)
{
    if (!n || n->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    GY_TRY(want_list(y, n, "refuse", 2, err));
    for (size_t i = 0; i < n->n_items; i++) {
        if (gy_str_eqc(n->items[i].text, "dirty")) {
            g->refuse_dirty = true;
        } else if (gy_str_eqc(n->items[i].text, "unpinned")) {
            g->refuse_unpinned = true;
        } else {
            return gy_yaml_err(y, &n->items[i], err, "refuse knows dirty and unpinned");
        }
    }
    return GY_OK;
}

static gy_status read_gate(struct gy_project *p, const struct gy_yaml_node *gate,
                           struct gy_err *err)
{
    static const char *const known[] = {"protect", "metrics", "slices", "approval",
                                        "usecase", "refuse",  NULL};
    const struct gy_yaml *y = p->yaml;
    struct gy_gate_spec *g = &p->gate;
    GY_TRY(gy_yaml_only(y, gate, known, err));
    GY_TRY(read_texts(y, gy_yaml_get(gate, "protect"), "protect", g->protect, GY_GATE_MAX_PROTECTED,
                      &g->n_protect, err));
    const struct gy_yaml_node *slices = gy_yaml_get(gate, "slices");
    GY_TRY(read_texts(y, slices, "slices", g->slices, GY_GATE_MAX_SLICES, &g->n_slices, err));
    for (size_t i = 0; i < g->n_slices; i++) {
        GY_AUTO(gy_expr_free) struct gy_expr *e = NULL;
        size_t slots = 0;
        if (gy_expr_compile(g->slices[i], any_name, &slots, &e, err) != GY_OK) {
            return gy_err_wrap(err, "gyre.yaml:%d: slices", slices->items[i].line);
        }
    }
    const struct gy_yaml_node *metrics = gy_yaml_get(gate, "metrics");
    if (metrics && metrics->kind != GY_YAML_NULL) {
        GY_TRY(want_list(y, metrics, "metrics", GY_GATE_MAX_BOUNDS, err));
        for (size_t i = 0; i < metrics->n_items; i++) {
            GY_TRY(read_bound(y, &metrics->items[i], &g->bounds[i], err));
        }
        g->n_bounds = metrics->n_items;
    }
    GY_TRY(read_approval(y, gy_yaml_get(gate, "approval"), g, err));
    GY_TRY(read_required(y, gy_yaml_get(gate, "usecase"), "usecase", &g->needs_usecase, err));
    return read_refuse(y, gy_yaml_get(gate, "refuse"), g, err);
}

static gy_status read_project(struct gy_project *p, struct gy_err *err)
{
    static const char *const known[] = {"name",     "endpoints", "gate", "watch",
                                        "triggers", "notify",    NULL};
    const struct gy_yaml_node *root = gy_yaml_root(p->yaml);
    GY_TRY(gy_yaml_only(p->yaml, root, known, err));
    const struct gy_yaml_node *name = gy_yaml_get(root, "name");
    if (name) {
        GY_TRY(need_text(p->yaml, name, "name", &p->name, err));
        if (p->name.n > GY_MAX_NAME) {
            return gy_yaml_err(p->yaml, name, err, "a name has at most %d bytes", GY_MAX_NAME);
        }
    }
    p->endpoints = gy_yaml_get(root, "endpoints");
    p->watch = gy_yaml_get(root, "watch");
    p->triggers = gy_yaml_get(root, "triggers");
    p->notify = gy_yaml_get(root, "notify");
    return read_gate(p, gy_yaml_get(root, "gate"), err);
}

gy_status gy_project_load(const char *dir, struct gy_project **ret, struct gy_err *err)
{
    GY_AUTO(gy_project_free) struct gy_project *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the project");
    }
    if (!realpath(dir, p->dir)) {
        return gy_err_sys(err, errno, "can not resolve %s", dir);
    }
    const char *slash = strrchr(p->dir, '/');
    p->name = gy_str_c(slash && slash[1] ? slash + 1 : "project");
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, p->dir, "gyre.yaml", err));
    if (gy_path_exists(path)) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        gy_buf_init(&text, GY_MAX_YAML);
        GY_TRY(gy_file_read(path, &text, err));
        GY_TRY(gy_yaml_parse(gy_buf_str(&text), "gyre.yaml", &p->yaml, err));
        GY_TRY(read_project(p, err));
    }
    *ret = GY_TAKE(p);
    return GY_OK;
}

void gy_project_free(struct gy_project *p)
{
    if (p) {
        gy_yaml_free(p->yaml);
        gy_free(p);
    }
}
