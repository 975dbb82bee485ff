/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/deploy_internal.h"
#include "serve/table.h"
#include "track/registry.h"

/* ---- packages ---- */

struct packing {
    const struct gy_plan_variant *v;
    struct gy_arena *a;
    struct gy_model_version version;
};

static gy_status find_package(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct packing *p = ctx;
    return gy_registry_by_digest(db, p->v->model, p->v->version, p->v->digest, true, p->a,
                                 &p->version, err);
}

/* The package of a version in the cache folder, whole or not at all. By the digest: what is served
 * stays served when its model was renamed or its version deleted. */
static gy_status checkout(const struct gy_deployer *d, const struct gy_plan_variant *v,
                          char dir[GY_MAX_PATH], struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct packing packing = {.v = v, .a = &a};
    char digest[GY_SHA256_HEX];
    if (d->package) {
        return d->package(d->package_ctx, v->model, v->version, v->digest, dir, err);
    }
    GY_TRY(gy_store_read(d->store, find_package, &packing, err));
    (void)snprintf(digest, sizeof digest, "%" GY_STR_F, GY_STR_A(v->digest));
    GY_TRY(gy_path_check_relative(v->digest, err));
    GY_TRY(gy_dir_make(d->cache_dir, err));
    GY_TRY(gy_path_join(dir, GY_MAX_PATH, d->cache_dir, digest, err));
    return gy_registry_checkout(d->store, d->objects, &packing.version, dir, err);
}

/* What is in memory already, with a reference. */
static struct gy_loaded *in_memory(const struct gy_deployer *d, const struct gy_endpoint *fresh,
                                   struct gy_str digest)
{
    struct gy_endpoint *e;
    for (size_t i = 0; fresh && (e = gy_variants_at(fresh, i)) != NULL; i++) {
        if (gy_str_eq(e->digest, digest)) {
            return gy_loaded_ref(e->model);
        }
    }
    if (!d->serving) {
        return NULL;
    }
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(d->serving);
    return gy_table_loaded(t, digest);
}

/* ---- a revision ---- */

static gy_status load_variant(const struct gy_deployer *d, const struct gy_plan_variant *v,
                              struct gy_str endpoint, int64_t revision, yyjson_val *config,
                              const struct gy_endpoint *fresh, struct gy_endpoint **ret,
                              struct gy_err *err)
{
    char dir[GY_MAX_PATH] = "";
    char version[24];
    GY_AUTO(gy_loaded_unref) struct gy_loaded *loaded = in_memory(d, fresh, v->digest);
    if (!loaded) {
        GY_TRY(checkout(d, v, dir, err));
    }
    (void)snprintf(version, sizeof version, "%lld", (long long)v->version);
    const struct gy_endpoint_spec spec = {.name = endpoint,
                                          .model_name = v->model,
                                          .version = gy_str_c(version),
                                          .digest = v->digest,
                                          .revision = (uint32_t)revision,
                                          .package_dir = dir,
                                          .loaded = loaded,
                                          .budget =
                                              d->serving ? gy_serving_budget(d->serving) : NULL,
                                          .config = config,
                                          .threshold = isnan(v->threshold) ? NULL : &v->threshold};
    return gy_endpoint_build(&spec, ret, err);
}

/* The stable one, and what is to be joined to it. A reference of each. */
static gy_status load_variants(const struct gy_deployer *d, const struct gy_plan *p,
                               struct gy_str endpoint, int64_t revision, yyjson_val *config,
                               const struct gy_endpoint *fresh, struct gy_endpoint **stable,
                               struct gy_variants *with, struct gy_err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_plan_variant *v = &p->variants[i];
        struct gy_endpoint *e = NULL;
        GY_TRY(load_variant(d, v, endpoint, revision, config, fresh, &e, err));
        switch (v->role) {
        case GY_VARIANT_STABLE:
            *stable = e;
            break;
        case GY_VARIANT_CANARY:
            with->weights[with->n_canaries] = v->weight;
            with->canaries[with->n_canaries++] = e;
            break;
        case GY_VARIANT_SHADOW:
            with->shadow = e;
            break;
        }
    }
    return GY_OK;
}

gy_status gy_plan_load(const struct gy_deployer *d, const struct gy_plan *p, struct gy_str endpoint,
                       int64_t revision, yyjson_val *config, const struct gy_endpoint *fresh,
                       struct gy_endpoint **ret, struct gy_err *err)
{
    struct gy_endpoint *stable = NULL;
    struct gy_variants with = {.stretches = &p->stretches};
    gy_status st = load_variants(d, p, endpoint, revision, config, fresh, &stable, &with, err);
    if (st == GY_OK) {
        st = gy_variants_join(stable, &with, err);
    }
    if (st != GY_OK) {
        gy_endpoint_unref(stable);
        gy_endpoint_unref(with.shadow);
        for (size_t i = 0; i < with.n_canaries; i++) {
            gy_endpoint_unref(with.canaries[i]);
        }
        return st;
    }
    *ret = stable;
    return GY_OK;
}

/* *ret_partly: a canary or shadow could not be loaded, and the stable version answers alone: better
 * than nobody. */
static gy_status load_revision(const struct gy_deployer *d, const struct gy_revision *r,
                               const struct gy_endpoint *fresh, struct gy_endpoint **ret,
                               bool *ret_partly, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_plan plan;
    GY_TRY(gy_json_parse(r->config, &doc, err));
    yyjson_val *config = yyjson_doc_get_root(doc);
    GY_TRY(gy_plan_frozen(config, &plan, err));
    plan.variants[0].model = r->model_name;
    plan.variants[0].version = r->model_version;
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_plan_load(d, &plan, r->endpoint, r->revision, config, fresh, ret, &why);
    *ret_partly = st != GY_OK && plan.n > 1;
    if (*ret_partly) {
        gy_log_err(GY_LOG_ERROR, "serve", "an endpoint is served without canary and shadow", &why);
        plan.n = 1;
        return gy_plan_load(d, &plan, r->endpoint, r->revision, config, fresh, ret, err);
    }
    if (st != GY_OK && err) {
        *err = why;
    }
    return st;
}

/* ---- what is served ---- */

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

static void load_all(const struct gy_deployer *d, struct loading *l,
                     const struct gy_endpoint *fresh, struct gy_endpoint **loaded, size_t *ret_n,
                     size_t *ret_failed)
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
        bool partly = false;
        if (load_revision(d, r, fresh, &loaded[*ret_n], &partly, &err) == GY_OK) {
            (*ret_n)++;
            *ret_failed += partly;
        } else {
            (*ret_failed)++;
            gy_log_err(GY_LOG_ERROR, "serve",
                       have ? "a revision can not be loaded; the one before it goes on answering"
                            : "an endpoint can not be loaded",
                       &err);
            if (have) {
                loaded[(*ret_n)++] = gy_endpoint_ref((struct gy_endpoint *)have);
            }
        }
    }
}

/* Load what is listed and publish it. */
static gy_status publish_all(const struct gy_deployer *d, struct loading *l,
                             const struct gy_endpoint *fresh, size_t *ret_failed,
                             struct gy_err *err)
{
    size_t n = 0;
    struct gy_endpoint **loaded = gy_calloc(l->n + 1, sizeof *loaded);
    if (!loaded) {
        return gy_err_set(err, GY_E_NOMEM, "loading endpoints");
    }
    load_all(d, l, fresh, loaded, &n, ret_failed);
    gy_status st = gy_serving_publish(d->serving, loaded, n, err);
    for (size_t i = 0; i < n; i++) {
        gy_endpoint_unref(loaded[i]);
    }
    gy_free(loaded);
    return st;
}

gy_status gy_deploy_publish(const struct gy_deployer *d, const struct gy_endpoint *fresh,
                            size_t *ret_failed, struct gy_err *err)
{
    struct loading l = {0};
    gy_arena_init(&l.a, 4 * GY_MAX_REQUEST_ARENA);
    *ret_failed = 0;
    gy_serving_change_begin(d->serving);
    gy_status st = gy_store_read(d->store, read_current, &l, err);
    if (st == GY_OK) {
        st = publish_all(d, &l, fresh, ret_failed, err);
    }
    gy_serving_change_end(d->serving);
    gy_arena_done(&l.a);
    return st;
}

gy_status gy_deploy_serve(const struct gy_deployer *d, struct gy_revision *revisions, size_t n,
                          size_t *ret_failed, struct gy_err *err)
{
    struct loading l = {.all = revisions, .n = n};
    *ret_failed = 0;
    gy_serving_change_begin(d->serving);
    gy_status st = publish_all(d, &l, NULL, ret_failed, err);
    gy_serving_change_end(d->serving);
    return st;
}

gy_status gy_deploy_load(const struct gy_deployer *d, size_t *ret_failed, struct gy_err *err)
{
    return gy_deploy_publish(d, NULL, ret_failed, err);
}
