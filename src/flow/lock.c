/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/lock.h"

#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/dvc/yaml_out.h"

#define MAX_LOCK (64 * GY_MIB)

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for dvc.lock");
}

static void add_entry(struct gy_buf *out, const struct gy_flow_entry *e)
{
    gy_buf_addc(out, "    - path: ");
    gy_yaml_add_scalar(out, e->path);
    gy_buf_addc(out, "\n      hash: md5\n      md5: ");
    gy_yaml_add_scalar(out, gy_str_c(e->md5));
    gy_buf_addf(out, "\n      size: %lld\n", (long long)e->size_bytes);
    if (e->n_files >= 0) {
        gy_buf_addf(out, "      nfiles: %lld\n", (long long)e->n_files);
    }
    if (e->is_exec) {
        gy_buf_addc(out, "      isexec: true\n");
    }
}

static void add_stage(struct gy_buf *out, const struct gy_flow_stage *s,
                      const struct gy_flow_state *st)
{
    gy_buf_addc(out, "  ");
    gy_yaml_add_scalar(out, s->name);
    gy_buf_addc(out, s->cmd_is_list ? ":\n    cmd:\n" : ":\n    cmd: ");
    for (size_t i = 0; i < s->n_cmd; i++) {
        if (s->cmd_is_list) {
            gy_buf_addc(out, "    - ");
        }
        gy_dvc_yaml_folded(out, s->cmd[i], 6);
    }
    if (s->n_deps > 0) {
        gy_buf_addc(out, "    deps:\n");
    }
    for (size_t i = 0; i < s->n_deps; i++) {
        add_entry(out, &st->deps[i]);
    }
    gy_buf_add(out, st->params);
    if (s->n_outs > 0) {
        gy_buf_addc(out, "    outs:\n");
    }
    for (size_t i = 0; i < s->n_outs; i++) {
        add_entry(out, &st->outs[i]);
    }
}

/* ---- reading ---- */

void gy_flow_lock_done(struct gy_flow_lock *l)
{
    if (l) {
        gy_yaml_free(l->yaml);
        l->yaml = NULL;
    }
}

gy_status gy_flow_lock_read(const char *dir, struct gy_flow_lock *ret, struct gy_err *err)
{
    ret->yaml = NULL;
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, "dvc.lock", err));
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    GY_TRY(gy_file_read(path, &text, err));
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(gy_yaml_parse(gy_buf_str(&text), "dvc.lock", &y, err));
    const struct gy_yaml_node *schema = gy_yaml_get(gy_yaml_root(y), "schema");
    if (gy_yaml_root(y) && (!schema || !gy_str_eqc(schema->text, "2.0"))) {
        (void)gy_err_set(err, GY_E_VERSION, "dvc.lock is not of schema 2.0");
        (void)gy_err_hint(err, "it was written by DVC 1: remove it and run the stages again");
        return GY_E_VERSION;
    }
    ret->yaml = GY_TAKE(y);
    return GY_OK;
}

static const struct gy_yaml_node *lock_stage(const struct gy_flow_lock *l, struct gy_str name)
{
    const struct gy_yaml_node *stages =
        l->yaml ? gy_yaml_get(gy_yaml_root(l->yaml), "stages") : NULL;
    for (size_t i = 0; stages && stages->kind == GY_YAML_MAP && i < stages->n_items; i++) {
        if (gy_str_eq(stages->keys[i], name)) {
            return &stages->items[i];
        }
    }
    return NULL;
}

/* ---- what a stage holds now ---- */

static void json_node(struct gy_jw *w, const struct gy_yaml_node *n)
{
    switch (n->kind) {
    case GY_YAML_NULL:
        gy_jw_null(w);
        break;
    case GY_YAML_BOOL:
        gy_jw_bool(w, n->b);
        break;
    case GY_YAML_INT:
        gy_jw_i64(w, n->i);
        break;
    case GY_YAML_FLOAT:
        gy_jw_f64(w, n->f);
        break;
    case GY_YAML_STR:
        gy_jw_str(w, n->text);
        break;
    case GY_YAML_SEQ:
        gy_jw_arr(w);
        for (size_t i = 0; i < n->n_items; i++) {
            json_node(w, &n->items[i]);
        }
        gy_jw_arr_end(w);
        break;
    case GY_YAML_MAP:
        gy_jw_obj(w);
        for (size_t i = 0; i < n->n_items; i++) {
            gy_jw_keys(w, n->keys[i]);
            json_node(w, &n->items[i]);
        }
        gy_jw_obj_end(w);
        break;
    }
}

static gy_status add_param(const struct gy_flow_stage *s, const struct gy_flow_params *p,
                           struct gy_str key, const struct gy_yaml_node *value, struct gy_buf *out,
                           struct gy_jw *w, struct gy_err *err)
{
    if (!value) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "the parameter '%" GY_STR_F "' of the stage '%" GY_STR_F
                          "' is not in %" GY_STR_F,
                          GY_STR_A(key), GY_STR_A(s->name), GY_STR_A(p->full));
    }
    gy_buf_addc(out, "        ");
    gy_yaml_add_scalar(out, key);
    gy_buf_add_char(out, ':');
    gy_dvc_yaml_node(out, value, 8);
    gy_jw_keys(w, key);
    json_node(w, value);
    return GY_OK;
}

static gy_status params_of(const struct gy_flow *f, const struct gy_flow_stage *s,
                           const struct gy_flow_params *p, struct gy_buf *out, struct gy_jw *w,
                           struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    int n = snprintf(path, sizeof path, "%s/%" GY_STR_F, f->dir, GY_STR_A(p->full));
    if (n < 0 || n >= (int)sizeof path) {
        return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
    }
    if (gy_yaml_read_file(path, &y, err) != GY_OK) { /* JSON is YAML */
        return gy_err_wrap(err, "the parameters of the stage '%" GY_STR_F "'", GY_STR_A(s->name));
    }
    const struct gy_yaml_node *root = gy_yaml_root(y);
    gy_buf_addc(out, "      ");
    gy_yaml_add_scalar(out, p->path);
    gy_buf_addc(out, ":\n");
    gy_jw_keys(w, p->path);
    gy_jw_obj(w);
    for (size_t i = 0; i < p->n_keys; i++) {
        GY_TRY(add_param(s, p, p->keys[i], gy_yaml_path(root, p->keys[i]), out, w, err));
    }
    for (size_t i = 0; p->n_keys == 0 && root && root->kind == GY_YAML_MAP && i < root->n_items;
         i++) {
        GY_TRY(add_param(s, p, root->keys[i], &root->items[i], out, w, err));
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status all_params(const struct gy_flow *f, const struct gy_flow_stage *s,
                            struct gy_arena *a, struct gy_flow_state *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf block;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&block, GY_MAX_YAML);
    gy_buf_init(&json, GY_MAX_YAML);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    if (s->n_params > 0) {
        gy_buf_addc(&block, "    params:\n");
    }
    for (size_t i = 0; i < s->n_params; i++) {
        GY_TRY(params_of(f, s, &s->params[i], &block, &w, err));
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&block, "the parameters", err));
    GY_TRY(gy_buf_check(&json, "the parameters", err));
    ret->params = gy_arena_str(a, gy_buf_str(&block));
    ret->params_json = gy_arena_str(a, gy_buf_str(&json));
    return ret->params.p && ret->params_json.p ? GY_OK : no_memory(err);
}

gy_status gy_flow_state_inputs(const struct gy_flow *f, const struct gy_flow_stage *s,
                               struct gy_arena *a, struct gy_flow_state *ret, struct gy_err *err)
{
    ret->deps = gy_arena_calloc(a, s->n_deps + 1, sizeof *ret->deps);
    ret->outs = gy_arena_calloc(a, s->n_outs + 1, sizeof *ret->outs);
    if (!ret->deps || !ret->outs) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_deps; i++) {
        bool exists = false;
        GY_TRY(gy_flow_digest(f->repo, s->deps[i].full, s->deps[i].path, a, &exists, &ret->deps[i],
                              err));
        if (!exists) {
            return gy_err_set(err, GY_E_NOTFOUND,
                              "the stage '%" GY_STR_F "' needs '%" GY_STR_F
                              "', which is not there and which no stage %s",
                              GY_STR_A(s->name), GY_STR_A(s->deps[i].full),
                              gy_flow_is_output(f, s->deps[i].full) ? "has made yet" : "makes");
        }
    }
    return all_params(f, s, a, ret, err);
}

gy_status gy_flow_state_outputs(const struct gy_flow *f, const struct gy_flow_stage *s,
                                bool must_exist, struct gy_arena *a, struct gy_flow_state *st,
                                struct gy_err *err)
{
    for (size_t i = 0; i < s->n_outs; i++) {
        bool exists = false;
        GY_TRY(gy_flow_digest(f->repo, s->outs[i].full, s->outs[i].path, a, &exists, &st->outs[i],
                              err));
        if (!exists && must_exist) {
            return gy_err_set(err, GY_E_NOTFOUND,
                              "the stage '%" GY_STR_F "' did not make its output '%" GY_STR_F "'",
                              GY_STR_A(s->name), GY_STR_A(s->outs[i].full));
        }
    }
    return GY_OK;
}

static void add_digests(struct gy_buf *out, const char *what, const struct gy_flow_entry *entries,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gy_buf_addf(out, "%s %s %" GY_STR_F "\n", what, entries[i].md5, GY_STR_A(entries[i].path));
    }
}

gy_status gy_flow_state_digest(const struct gy_flow_stage *s, const struct gy_flow_state *st,
                               char ret[GY_SHA256_HEX], struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_JSON_BODY);
    for (size_t i = 0; i < s->n_cmd; i++) {
        gy_buf_addf(&text, "cmd %zu ", s->cmd[i].n);
        gy_buf_add(&text, s->cmd[i]);
    }
    add_digests(&text, "dep", st->deps, s->n_deps);
    gy_buf_add(&text, st->params);
    add_digests(&text, "out", st->outs, s->n_outs);
    GY_TRY(gy_buf_check(&text, "the state of a stage", err));
    return gy_sha256_hex(gy_buf_str(&text), ret, err);
}

/* ---- comparing ---- */

static bool same_cmd(const struct gy_flow_stage *s, const struct gy_yaml_node *cmd)
{
    if (!cmd) {
        return false;
    }
    if (cmd->kind != GY_YAML_SEQ) {
        return !s->cmd_is_list && gy_str_eq(cmd->text, s->cmd[0]);
    }
    if (!s->cmd_is_list || cmd->n_items != s->n_cmd) {
        return false;
    }
    for (size_t i = 0; i < s->n_cmd; i++) {
        if (!gy_str_eq(cmd->items[i].text, s->cmd[i])) {
            return false;
        }
    }
    return true;
}

/* The lock's digest of path in a list of entries; absent when it has none that was made as we make
 * it (`hash: md5`). */
static struct gy_str lock_md5(const struct gy_yaml_node *list, struct gy_str path)
{
    for (size_t i = 0; list && list->kind == GY_YAML_SEQ && i < list->n_items; i++) {
        const struct gy_yaml_node *entry = &list->items[i];
        const struct gy_yaml_node *name = gy_yaml_get(entry, "path");
        const struct gy_yaml_node *hash = gy_yaml_get(entry, "hash");
        const struct gy_yaml_node *md5 = gy_yaml_get(entry, "md5");
        if (name && gy_str_eq(name->text, path)) {
            return md5 && hash && gy_str_eqc(hash->text, "md5") ? md5->text : GY_STR_NULL;
        }
    }
    return GY_STR_NULL;
}

static const char *entry_changed(const char *what, const struct gy_yaml_node *list,
                                 const struct gy_flow_entry *entries, size_t n, struct gy_arena *a)
{
    size_t in_lock = list && list->kind == GY_YAML_SEQ ? list->n_items : 0;
    for (size_t i = 0; i < n; i++) {
        struct gy_str known = lock_md5(list, entries[i].path);
        const char *how = !known.p                                      ? "is new"
                          : entries[i].md5[0] == '\0'                   ? "is gone"
                          : gy_str_ieq(known, gy_str_c(entries[i].md5)) ? NULL
                                                                        : "changed";
        if (how) {
            return gy_arena_printf(a, "%s %" GY_STR_F " %s", what, GY_STR_A(entries[i].path), how);
        }
    }
    return in_lock != n ? gy_arena_printf(a, "%s list changed", what) : "";
}

/* The lock's params, written again by our writer: equal values give equal bytes. */
static gy_status params_changed(const struct gy_yaml_node *params, struct gy_str now, bool *ret,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf was;
    gy_buf_init(&was, GY_MAX_YAML);
    if (params && params->kind == GY_YAML_MAP && params->n_items > 0) {
        gy_buf_addc(&was, "    params:");
        gy_dvc_yaml_node(&was, params, 4);
    }
    GY_TRY(gy_buf_check(&was, "the parameters", err));
    *ret = !gy_str_eq(gy_buf_str(&was), now);
    return GY_OK;
}

gy_status gy_flow_changed(const struct gy_flow_lock *l, const struct gy_flow_stage *s,
                          const struct gy_flow_state *st, struct gy_arena *a, const char **ret_why,
                          struct gy_err *err)
{
    const struct gy_yaml_node *was = lock_stage(l, s->name);
    *ret_why = NULL;
    if (!was) {
        *ret_why = "it never ran";
        return GY_OK;
    }
    if (s->always_changed) {
        *ret_why = "always_changed is set";
        return GY_OK;
    }
    if (!same_cmd(s, gy_yaml_get(was, "cmd"))) {
        *ret_why = "the command changed";
        return GY_OK;
    }
    const char *why = entry_changed("dependency", gy_yaml_get(was, "deps"), st->deps, s->n_deps, a);
    if (why && !*why) {
        why = entry_changed("output", gy_yaml_get(was, "outs"), st->outs, s->n_outs, a);
    }
    if (!why) {
        return no_memory(err);
    }
    if (*why) {
        *ret_why = why;
        return GY_OK;
    }
    bool changed = false;
    GY_TRY(params_changed(gy_yaml_get(was, "params"), st->params, &changed, err));
    *ret_why = changed ? "a parameter changed" : NULL;
    return GY_OK;
}

/* ---- writing ---- */

static void add_locked_stage(struct gy_buf *out, struct gy_str name, const struct gy_yaml_node *n)
{
    gy_buf_addc(out, "  ");
    gy_yaml_add_scalar(out, name);
    gy_buf_addc(out, ":\n");
    for (size_t i = 0; i < n->n_items; i++) {
        gy_buf_addc(out, "    ");
        gy_yaml_add_scalar(out, n->keys[i]);
        gy_buf_add_char(out, ':');
        const struct gy_yaml_node *v = &n->items[i];
        if (gy_str_eqc(n->keys[i], "cmd") && v->kind == GY_YAML_STR) {
            gy_buf_add_char(out, ' ');
            gy_dvc_yaml_folded(out, v->text, 6);
        } else if (gy_str_eqc(n->keys[i], "cmd") && v->kind == GY_YAML_SEQ) {
            gy_buf_add_char(out, '\n');
            for (size_t k = 0; k < v->n_items; k++) {
                gy_buf_addc(out, "    - ");
                gy_dvc_yaml_folded(out, v->items[k].text, 6);
            }
        } else {
            gy_dvc_yaml_node(out, v, 4);
        }
    }
}

gy_status gy_flow_lock_entry(const struct gy_flow_stage *s, const struct gy_flow_state *st,
                             struct gy_yaml **ret, const struct gy_yaml_node **ret_entry,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    gy_buf_addc(&text, "stages:\n");
    add_stage(&text, s, st);
    GY_TRY(gy_buf_check(&text, "an entry of dvc.lock", err));
    GY_TRY(gy_yaml_parse(gy_buf_str(&text), "an entry of dvc.lock", ret, err));
    *ret_entry = &gy_yaml_get(gy_yaml_root(*ret), "stages")->items[0];
    return GY_OK;
}

gy_status gy_flow_lock_write(const char *dir, struct gy_flow_lock *l, const struct gy_flow_stage *s,
                             const struct gy_flow_state *st, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    const struct gy_yaml_node *root = l->yaml ? gy_yaml_root(l->yaml) : NULL;
    const struct gy_yaml_node *stages = gy_yaml_get(root, "stages");
    bool placed = false;
    gy_buf_addc(&out, "schema: '2.0'\nstages:\n");
    for (size_t i = 0; stages && stages->kind == GY_YAML_MAP && i < stages->n_items; i++) {
        if (gy_str_eq(stages->keys[i], s->name)) {
            add_stage(&out, s, st);
            placed = true;
        } else {
            add_locked_stage(&out, stages->keys[i], &stages->items[i]);
        }
    }
    if (!placed) {
        add_stage(&out, s, st);
    }
    for (size_t i = 0; root && i < root->n_items; i++) { /* datasets */
        if (!gy_str_eqc(root->keys[i], "schema") && !gy_str_eqc(root->keys[i], "stages")) {
            gy_yaml_add_scalar(&out, root->keys[i]);
            gy_buf_add_char(&out, ':');
            gy_dvc_yaml_node(&out, &root->items[i], 0);
        }
    }
    GY_TRY(gy_buf_check(&out, "dvc.lock", err));
    GY_AUTO(gy_yaml_free) struct gy_yaml *again = NULL;
    GY_TRY(gy_yaml_parse(gy_buf_str(&out), "dvc.lock", &again,
                         err)); /* never write what can not be read */
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, "dvc.lock", err));
    GY_TRY(gy_file_write(path, gy_buf_str(&out), 0644, err));
    gy_yaml_free(l->yaml);
    l->yaml = GY_TAKE(again);
    return GY_OK;
}
