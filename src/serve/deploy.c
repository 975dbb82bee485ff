/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/deploy.h"

#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "track/registry.h"

#define MAX_CONFIG_BYTES (4 * GY_MIB)

/* ---- the package ---- */

struct resolving {
    struct gy_str ref;
    struct gy_arena *a;
    struct gy_model_version *version;
};

static gy_status resolve(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct resolving *r = ctx;
    return gy_registry_resolve(db, r->ref, r->a, r->version, err);
}

static gy_status check_servable(const struct gy_model_version *v, struct gy_err *err)
{
    if (gy_str_eqc(v->servable, "yes") && v->digest.n) {
        return GY_OK;
    }
    bool unknown = !gy_str_eqc(v->servable, "no");
    (void)gy_err_set(err, GY_E_NOTSERVABLE,
                     "%" GY_STR_F " version %lld can not be served: %" GY_STR_F, GY_STR_A(v->name),
                     (long long)v->version,
                     GY_STR_A(unknown ? GY_STR("it was not proven yet") : v->servable_reason));
    if (unknown) {
        (void)gy_err_hint(err, "gyre models register proves a version; gyre train --register too");
    }
    return GY_E_NOTSERVABLE;
}

/* The package of a version in the cache folder, whole or not at all. */
static gy_status checkout(const struct gy_deployer *d, const struct gy_model_version *v,
                          char dir[GY_MAX_PATH], struct gy_err *err)
{
    char digest[GY_SHA256_HEX];
    (void)snprintf(digest, sizeof digest, "%" GY_STR_F, GY_STR_A(v->digest));
    GY_TRY(gy_path_check_relative(v->digest, err));
    GY_TRY(gy_dir_make(d->cache_dir, err));
    GY_TRY(gy_path_join(dir, GY_MAX_PATH, d->cache_dir, digest, err));
    return gy_registry_checkout(d->store, d->objects, v, dir, err);
}

/* Load a revision: package and configuration. */
static gy_status load_version(const struct gy_deployer *d, const struct gy_model_version *v,
                              struct gy_str endpoint, int64_t revision, struct gy_str config,
                              struct gy_endpoint **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    char version[24];
    GY_TRY(checkout(d, v, dir, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(config, &doc, err));
    (void)snprintf(version, sizeof version, "%lld", (long long)v->version);
    const struct gy_endpoint_spec spec = {.name = endpoint,
                                          .model_name = v->name,
                                          .version = gy_str_c(version),
                                          .digest = v->digest,
                                          .revision = (uint32_t)revision,
                                          .package_dir = dir,
                                          .config = yyjson_doc_get_root(doc)};
    return gy_endpoint_build(&spec, ret, err);
}

struct packing {
    const struct gy_revision *r;
    struct gy_arena *a;
    struct gy_model_version *version;
};

static gy_status find_package(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct packing *p = ctx;
    return gy_registry_by_digest(db, p->r->model_name, p->r->model_version, p->r->model_digest,
                                 true, p->a, p->version, err);
}

/* By the digest: what is served stays served when its model was renamed or its version deleted. */
static gy_status load_revision(const struct gy_deployer *d, const struct gy_revision *r,
                               struct gy_arena *a, struct gy_endpoint **ret, struct gy_err *err)
{
    struct gy_model_version v;
    struct packing packing = {r, a, &v};
    GY_TRY(gy_store_read(d->store, find_package, &packing, err));
    v.name = r->model_name;
    v.version = r->model_version;
    return load_version(d, &v, r->endpoint, r->revision, r->config, ret, err);
}

/* ---- the configuration ---- */

static gy_status check_keys(yyjson_val *object, const char *const *allowed, const char *where,
                            struct gy_err *err)
{
    if (!object) {
        return GY_OK;
    }
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be an object", where);
    }
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        bool known = false;
        for (const char *const *a = allowed; *a; a++) {
            known = known || gy_str_eqc(gy_json_val_str(key), *a);
        }
        if (!known) {
            return gy_err_set(err, GY_E_INVALID, "%s: unknown key '%" GY_STR_F "'", where,
                              GY_STR_A(gy_json_val_str(key)));
        }
    }
    return GY_OK;
}

static void copy_key(struct gy_jw *w, const char *key, yyjson_val *v)
{
    if (v && !yyjson_is_null(v)) {
        gy_jw_key(w, key);
        gy_jw_val(w, v);
    }
}

/* What the loaded endpoint adds: how to read its records when it is long gone. */
static void freeze_shape(struct gy_jw *w, const struct gy_endpoint *e)
{
    static const char *const tasks[] = {"binary", "multiclass", "regression"};
    gy_jw_kv_strc(w, "task", tasks[e->info->task]);
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->shape.n_fields; i++) {
        gy_jw_str(w, e->shape.fields[i].name);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_i64(w, "model_inputs", (int64_t)e->shape.n_inputs);
    gy_jw_key(w, "classes");
    gy_jw_arr(w);
    for (size_t i = 0; i < e->info->n_classes; i++) {
        gy_jw_str(w, e->info->classes[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "numeric_classes", e->numeric_classes);
    gy_jw_kv_f64(w, "rule_shadow", e->rule_shadow);
    if (e->info->task == GY_TASK_BINARY) {
        gy_jw_kv_f64(w, "threshold", e->threshold);
    }
}

/* What is frozen: all that decides an answer, and what it was decided under. e NULL: before the
 * endpoint was loaded from it. */
static gy_status freeze(yyjson_val *body, const struct gy_model_version *v,
                        const struct gy_endpoint *e, struct gy_arena *a, struct gy_str *ret,
                        struct gy_err *err)
{
    static const char *const body_keys[] = {"model", "project", "columns", "gate", NULL};
    static const char *const project_keys[] = {"model",  "aliases",     "rules", "threshold",
                                               "review", "rule_shadow", NULL};
    yyjson_val *project = gy_json_get(body, "project");
    GY_TRY(check_keys(body, body_keys, "the deploy request", err));
    GY_TRY(check_keys(project, project_keys, "endpoint", err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_CONFIG_BYTES);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "weights");
    gy_jw_arr(&w);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "model", v->name);
    gy_jw_kv_i64(&w, "version", v->version);
    gy_jw_kv_str(&w, "digest", v->digest);
    gy_jw_kv_i64(&w, "weight", 1);
    gy_jw_obj_end(&w);
    gy_jw_arr_end(&w);
    for (size_t i = 1; project_keys[i]; i++) {
        bool resolved = strcmp(project_keys[i], "threshold") == 0 ||
                        strcmp(project_keys[i], "rule_shadow") == 0;
        if (!e || !resolved) {
            copy_key(&w, project_keys[i], gy_json_get(project, project_keys[i]));
        }
    }
    if (e) {
        freeze_shape(&w, e);
    }
    copy_key(&w, "columns", gy_json_get(body, "columns"));
    copy_key(&w, "gate", gy_json_get(body, "gate"));
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "the configuration of an endpoint", err));
    *ret = gy_arena_str(a, gy_buf_str(&out));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "deploying");
}

static bool asks_for_gate(yyjson_val *gate)
{
    return yyjson_is_obj(gate) && yyjson_obj_size(gate) > 0;
}

static bool asks_for_approval(yyjson_val *gate)
{
    return gy_str_eqc(gy_json_str(gate, "approval"), "required");
}

/* ---- alias paths ---- */

static gy_status check_paths(struct gy_db *db, const struct gy_endpoint *e, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MAX_REQUEST_ARENA);
    struct gy_revision *all;
    size_t n;
    GY_TRY(gy_revision_current(db, &a, &all, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(all[i].endpoint, e->name)) {
            continue;
        }
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_TRY(gy_json_parse(all[i].config, &doc, err));
        size_t k, m;
        yyjson_val *alias;
        yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "aliases"), k, m, alias)
        {
            for (size_t j = 0; j < e->n_aliases; j++) {
                if (gy_str_eq(e->aliases[j].path, gy_json_str(alias, "path"))) {
                    return gy_err_set(err, GY_E_CONFLICT,
                                      "alias path %" GY_STR_F " belongs to endpoint '%" GY_STR_F
                                      "'",
                                      GY_STR_A(e->aliases[j].path), GY_STR_A(all[i].endpoint));
                }
            }
        }
    }
    return GY_OK;
}

/* ---- recording ---- */

struct recording {
    struct gy_revision *r;
    const struct gy_endpoint *e;
    bool gated, needs_approval;
    struct gy_arena *a;
};

static gy_status record(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct recording *c = ctx;
    struct gy_revision *r = c->r;
    GY_TRY(gy_revision_gate(db, r->endpoint, r->model_name, r->model_digest, c->gated,
                            c->needs_approval, c->a, &r->gated, &r->verdict_id, err));
    GY_TRY(check_paths(db, c->e, err));
    return gy_revision_add(db, r, &r->revision, err);
}

static gy_status reread(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct recording *c = ctx;
    return gy_revision_get(db, c->r->endpoint, c->r->revision, c->a, c->r, err);
}

/* Record what was loaded, serve it. */
static gy_status apply(const struct gy_deployer *d, const struct gy_endpoint *e,
                       struct gy_revision *r, yyjson_val *gate, struct gy_arena *a,
                       struct gy_err *err)
{
    struct recording c = {r, e, asks_for_gate(gate), asks_for_approval(gate), a};
    GY_TRY(gy_store_write(d->store, record, &c, err));
    GY_TRY(gy_store_read(d->store, reread, &c, err));
    if (!d->serving) {
        return GY_OK;
    }
    size_t failed;
    gy_status st = gy_deploy_load(d, &failed, err);
    if (st != GY_OK) {
        (void)gy_err_wrap(err, "revision %lld is recorded but not served", (long long)r->revision);
    }
    return st;
}

gy_status gy_deploy(const struct gy_deployer *d, struct gy_str endpoint, yyjson_val *body,
                    struct gy_str actor, struct gy_arena *a, struct gy_revision *ret,
                    struct gy_err *err)
{
    GY_TRY(gy_endpoint_check_name(endpoint, err));
    struct gy_str ref = gy_json_str(body, "model");
    if (!ref.p) {
        ref = gy_json_str(gy_json_get(body, "project"), "model");
    }
    if (!ref.p) {
        return gy_err_set(err, GY_E_INVALID, "missing 'model', e.g. \"models:/sepsis@champion\"");
    }
    struct gy_model_version v;
    struct resolving resolving = {ref, a, &v};
    GY_TRY(gy_store_read(d->store, resolve, &resolving, err));
    GY_TRY(check_servable(&v, err));
    struct gy_revision r = {.endpoint = endpoint,
                            .kind = GY_STR("deploy"),
                            .model_name = v.name,
                            .model_version = v.version,
                            .model_digest = v.digest,
                            .run_id = v.run_id,
                            .actor = actor};
    GY_AUTO(gy_endpoint_unref) struct gy_endpoint *e = NULL;
    GY_TRY(freeze(body, &v, NULL, a, &r.config, err));
    GY_TRY(load_version(d, &v, endpoint, 0, r.config, &e, err));
    GY_TRY(freeze(body, &v, e, a, &r.config, err));
    GY_TRY(apply(d, e, &r, gy_json_get(body, "gate"), a, err));
    *ret = r;
    return GY_OK;
}

struct earlier {
    struct gy_str endpoint;
    int64_t to;
    struct gy_arena *a;
    struct gy_revision *r;
    struct gy_model_version *v;
};

static gy_status find_earlier(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct earlier *c = ctx;
    struct gy_revision *all;
    size_t n;
    int64_t current;
    GY_TRY(gy_revision_history(db, c->endpoint, 2, c->a, &all, &n, &current, err));
    int64_t to = c->to;
    if (to == 0) {
        /* Undeployed: back to the last one there was. */
        to = current == 0 && n ? all[0].revision : current - 1;
        if (to <= 0) {
            return gy_err_set(err, GY_E_CONFLICT,
                              "endpoint '%" GY_STR_F "' has no earlier revision",
                              GY_STR_A(c->endpoint));
        }
    }
    GY_TRY(gy_revision_get(db, c->endpoint, to, c->a, c->r, err));
    /* The same bytes as then: a model of that name may have been made anew since. */
    return gy_registry_by_digest(db, c->r->model_name, c->r->model_version, c->r->model_digest,
                                 false, c->a, c->v, err);
}

gy_status gy_deploy_rollback(const struct gy_deployer *d, struct gy_str endpoint, int64_t to,
                             struct gy_str actor, struct gy_arena *a, struct gy_revision *ret,
                             struct gy_err *err)
{
    struct gy_revision r;
    struct gy_model_version v;
    struct earlier earlier = {endpoint, to, a, &r, &v};
    GY_TRY(gy_store_read(d->store, find_earlier, &earlier, err));
    GY_AUTO(gy_endpoint_unref) struct gy_endpoint *e = NULL;
    GY_TRY(load_version(d, &v, endpoint, 0, r.config, &e, err));
    r.kind = GY_STR("rollback");
    r.model_name = v.name;
    r.model_version = v.version;
    r.copied_from = r.revision;
    r.actor = actor;
    GY_TRY(apply(d, e, &r, NULL, a, err)); /* what is asked of the endpoint now, not then */
    *ret = r;
    return GY_OK;
}

struct undeploying {
    struct gy_str endpoint, actor;
};

static gy_status undeploy(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct undeploying *u = ctx;
    return gy_revision_undeploy(db, u->endpoint, u->actor, err);
}

gy_status gy_deploy_undeploy(const struct gy_deployer *d, struct gy_str endpoint,
                             struct gy_str actor, struct gy_err *err)
{
    struct undeploying u = {endpoint, actor};
    GY_TRY(gy_store_write(d->store, undeploy, &u, err));
    size_t failed;
    return d->serving ? gy_deploy_load(d, &failed, err) : GY_OK;
}

/* ---- loading what is served ---- */

struct loading {
    struct gy_arena a;
    struct gy_revision *all;
    size_t n;
};

static gy_status read_current(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct loading *l = ctx;
    return gy_revision_current(db, &l->a, &l->all, &l->n, err);
}

static void load_all(const struct gy_deployer *d, struct loading *l, struct gy_endpoint **loaded,
                     size_t *ret_n, size_t *ret_failed)
{
    GY_AUTO(gy_table_unref) struct gy_table *old = gy_serving_table(d->serving);
    for (size_t i = 0; i < l->n; i++) {
        const struct gy_revision *r = &l->all[i];
        const struct gy_endpoint *have = gy_table_find(old, r->endpoint);
        if (have && have->revision == r->revision) {
            /* The table's reference keeps it alive; const only for those who answer with it. */
            loaded[(*ret_n)++] = gy_endpoint_ref((struct gy_endpoint *)have);
            continue;
        }
        struct gy_err err = GY_ERR_INIT;
        if (load_revision(d, r, &l->a, &loaded[*ret_n], &err) == GY_OK) {
            (*ret_n)++;
        } else {
            (*ret_failed)++;
            gy_log_err(GY_LOG_ERROR, "serve", "an endpoint can not be loaded", &err);
        }
    }
}

gy_status gy_deploy_load(const struct gy_deployer *d, size_t *ret_failed, struct gy_err *err)
{
    struct loading l = {0};
    gy_arena_init(&l.a, 4 * GY_MAX_REQUEST_ARENA);
    *ret_failed = 0;
    gy_serving_change_begin(d->serving);
    gy_status st = gy_store_read(d->store, read_current, &l, err);
    struct gy_endpoint **loaded = NULL;
    size_t n = 0;
    if (st == GY_OK) {
        loaded = gy_calloc(l.n + 1, sizeof *loaded);
        st = loaded ? GY_OK : gy_err_set(err, GY_E_NOMEM, "loading endpoints");
    }
    if (st == GY_OK) {
        load_all(d, &l, loaded, &n, ret_failed);
        st = gy_serving_publish(d->serving, loaded, n, err);
    }
    gy_serving_change_end(d->serving);
    for (size_t i = 0; i < n; i++) {
        gy_endpoint_unref(loaded[i]);
    }
    gy_free(loaded);
    gy_arena_done(&l.a);
    return st;
}
