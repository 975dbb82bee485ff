/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/deploy.h"

#include <math.h>

#include "base/time.h"
#include "serve/deploy_internal.h"
#include "store/verdicts.h"
#include "track/history.h"

/* A change on its way: what is served now, the plan of what shall be, and under which gate. */
struct change {
    const struct gy_deployer *d;
    struct gy_str endpoint;
    const struct gy_deploy_by *by;
    struct gy_arena *a;
    const char *kind;
    struct gy_plan plan;
    yyjson_val *gate; /* the section that this deployment brings; NULL: none */
    struct gy_revision base, target;
    bool has_base;
    yyjson_doc *base_doc, *target_doc;
    int64_t copied_from;
    int64_t expect; /* see gy_revision_expect */
    bool gated;
    bool blessed_only; /* whatever gate there is: the stable version needs a passing verdict */
    char promote_alias[GY_MAX_NAME + 1]; /* to move with it; "": none */
    /* filled on the way */
    struct gy_revision r;
    const struct gy_endpoint *loaded;
};

static void change_done(struct change *c)
{
    gy_json_free(c->base_doc);
    gy_json_free(c->target_doc);
}
GY_DEFINE_AUTO_DONE(struct change, change_done);

/* ---- the model ---- */

struct resolving {
    struct gy_str ref;
    struct gy_arena *a;
    struct gy_model_version version;
};

static gy_status resolve(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct resolving *r = ctx;
    return gy_registry_resolve(db, r->ref, r->a, &r->version, err);
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

/* The model version of ref in that role; a shadow answers nobody and so passes no gate. */
static gy_status find_model(const struct change *c, struct gy_str ref, enum gy_variant_role role,
                            struct gy_plan_variant *ret, struct gy_err *err)
{
    struct resolving resolving = {.ref = ref, .a = c->a};
    GY_TRY(gy_store_read(c->d->store, resolve, &resolving, err));
    const struct gy_model_version *v = &resolving.version;
    GY_TRY(check_servable(v, err));
    *ret = (struct gy_plan_variant){.role = role,
                                    .model = v->name,
                                    .digest = v->digest,
                                    .run_id = v->run_id,
                                    .version = v->version,
                                    .weight = role == GY_VARIANT_STABLE,
                                    .threshold = NAN,
                                    .since_us = role == GY_VARIANT_CANARY ? gy_now_us() : 0,
                                    .gate = role != GY_VARIANT_SHADOW};
    return GY_OK;
}

/* ---- what is served ---- */

static gy_status read_base(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct change *c = ctx;
    return gy_revision_get(db, c->endpoint, 0, c->a, &c->base, err);
}

/* What the row of a revision says of its stable version: it was written when configurations held
 * less. */
static void take_row(struct gy_plan_variant *stable, const struct gy_revision *r)
{
    stable->model = r->model_name;
    stable->version = r->model_version;
    stable->run_id = r->run_id;
    stable->verdict = r->verdict_id;
}

/* Start from what is served: the plan is its plan. Thresholds are found anew: as the settings say,
 * else each package's own. */
static gy_status begin(struct change *c, struct gy_err *err)
{
    GY_TRY(gy_endpoint_check_name(c->endpoint, err));
    GY_TRY(gy_store_read(c->d->store, read_base, c, err));
    if (c->by->expect && c->base.revision != c->by->expect) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "endpoint '%" GY_STR_F "' was changed meanwhile: revision %lld is served",
                          GY_STR_A(c->endpoint), (long long)c->base.revision);
    }
    GY_TRY(gy_json_parse(c->base.config, &c->base_doc, err));
    GY_TRY(gy_plan_frozen(yyjson_doc_get_root(c->base_doc), &c->plan, err));
    for (size_t i = 0; i < c->plan.n; i++) {
        c->plan.variants[i].threshold = NAN;
    }
    c->plan.gate = NULL; /* a change that brings no gate is under the newest that one brought */
    take_row(&c->plan.variants[0], &c->base);
    c->has_base = true;
    c->expect = c->base.revision;
    c->gated = c->base.gated;
    return GY_OK;
}

/* version 0: the only one. */
static gy_status need_canary(struct change *c, int64_t version, struct gy_plan_variant **ret,
                             struct gy_err *err)
{
    if (version == 0 && gy_plan_canaries(&c->plan) > 1) {
        (void)gy_err_set(err, GY_E_CONFLICT, "endpoint '%" GY_STR_F "' has %zu canaries: name one",
                         GY_STR_A(c->endpoint), gy_plan_canaries(&c->plan));
        (void)gy_err_hint(err, "gyre endpoint show NAME says which");
        return GY_E_CONFLICT;
    }
    *ret = version ? gy_plan_version(&c->plan, version) : gy_plan_find(&c->plan, GY_VARIANT_CANARY);
    if (version && (!*ret || (*ret)->role != GY_VARIANT_CANARY)) {
        return gy_err_set(err, GY_E_CONFLICT, "version %lld is no canary of '%" GY_STR_F "'",
                          (long long)version, GY_STR_A(c->endpoint));
    }
    if (!*ret) {
        (void)gy_err_set(err, GY_E_CONFLICT, "endpoint '%" GY_STR_F "' has no canary",
                         GY_STR_A(c->endpoint));
        (void)gy_err_hint(err, "gyre endpoint deploy NAME --model REF --canary 10%%");
        return GY_E_CONFLICT;
    }
    (*ret)->gate = true; /* it may have lost its verdict since */
    return GY_OK;
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

/* ---- the gate ---- */

static gy_status need_blessing(struct gy_db *db, const struct change *c, struct gy_err *err)
{
    const struct gy_plan_variant *v = &c->plan.variants[0];
    struct gy_verdict verdict;
    bool found = false;
    if (!c->blessed_only) {
        return GY_OK;
    }
    GY_TRY(gy_verdict_latest(db, v->digest, GY_STR_NULL, c->a, &found, &verdict, err));
    if (found && verdict.blessed) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTBLESSED,
                     "%" GY_STR_F
                     " names version %lld, which %s: only blessed versions are followed",
                     GY_STR_A(c->plan.ref), (long long)v->version,
                     found ? "the gate has judged NOT_BLESSED" : "holds no verdict");
    (void)gy_err_hint(err, "gyre gate check, or deploy it by hand");
    return GY_E_NOTBLESSED;
}

static gy_status pass_gate(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct change *c = ctx;
    bool asks = yyjson_is_obj(c->gate) && yyjson_obj_size(c->gate) > 0;
    bool approval = gy_gate_asks_approval(c->gate);
    for (size_t i = 0; i < c->plan.n; i++) {
        struct gy_plan_variant *v = &c->plan.variants[i];
        bool gated = false;
        if (v->gate) {
            GY_TRY(gy_revision_gate(db, c->endpoint, v->model, v->digest, asks, approval, c->a,
                                    &gated, &v->verdict, err));
        }
        c->gated = c->gated || gated;
    }
    return need_blessing(db, c, err);
}

/* ---- carrying it out ---- */

/* In the transaction of the revision: both or none. */
static gy_status move_alias(struct gy_db *db, const struct change *c, struct gy_err *err)
{
    const struct gy_model_why why = {.actor = c->by->actor, .reason = c->by->reason};
    struct gy_alias_moved moved;
    if (gy_model_promote(db, c->r.model_name, c->r.model_version, gy_str_c(c->promote_alias), &why,
                         &moved, err) != GY_OK) {
        return gy_err_wrap(err, "rollout: promote_alias '%s'", c->promote_alias);
    }
    return GY_OK;
}

static gy_status record(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct change *c = ctx;
    GY_TRY(pass_gate(db, c, err)); /* again: only here can nothing come between */
    GY_TRY(check_paths(db, c->loaded, err));
    GY_TRY(gy_revision_expect(db, c->endpoint, c->expect, err));
    GY_TRY(gy_revision_add(db, &c->r, &c->r.revision, err));
    return c->promote_alias[0] ? move_alias(db, c, err) : GY_OK;
}

static gy_status reread(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct change *c = ctx;
    return gy_revision_get(db, c->r.endpoint, c->r.revision, c->a, &c->r, err);
}

static void fill_revision(struct change *c)
{
    const struct gy_plan_variant *stable = &c->plan.variants[0];
    c->r = (struct gy_revision){.endpoint = c->endpoint,
                                .kind = gy_str_c(c->kind),
                                .model_name = stable->model,
                                .model_version = stable->version,
                                .model_digest = stable->digest,
                                .run_id = stable->run_id,
                                .config = c->r.config,
                                .gated = c->gated,
                                .verdict_id = stable->verdict,
                                .copied_from = c->copied_from,
                                .actor = c->by->actor,
                                .reason = c->by->reason};
}

/* Load the plan and freeze what that says of it. */
static gy_status load(struct change *c, struct gy_endpoint **ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str config;
    GY_TRY(gy_plan_freeze(&c->plan, NULL, c->a, &config, err));
    GY_TRY(gy_json_parse(config, &doc, err));
    return gy_plan_load(c->d, &c->plan, c->endpoint, 0, yyjson_doc_get_root(doc), NULL, ret, err);
}

/* Gate, load, record, serve: what can not be served is never recorded. */
static gy_status carry_out(struct change *c, struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO(gy_endpoint_unref) struct gy_endpoint *e = NULL;
    GY_TRY(gy_store_read(c->d->store, pass_gate, c, err)); /* early, and for the verdicts' ids */
    GY_TRY(load(c, &e, err));
    GY_TRY(gy_plan_freeze(&c->plan, e, c->a, &c->r.config, err));
    c->loaded = e;
    fill_revision(c);
    GY_TRY(gy_store_write(c->d->store, record, c, err));
    GY_TRY(gy_store_read(c->d->store, reread, c, err));
    *ret = c->r;
    if (!c->d->serving) {
        return GY_OK;
    }
    size_t failed;
    gy_status st = gy_deploy_publish(c->d, e, &failed, err);
    if (st != GY_OK) {
        (void)gy_err_wrap(err, "revision %lld is recorded but not served",
                          (long long)c->r.revision);
    }
    return st;
}

static void change_init(struct change *c, const struct gy_deployer *d, struct gy_str endpoint,
                        const char *kind, const struct gy_deploy_by *by, struct gy_arena *a)
{
    *c = (struct change){.d = d,
                         .endpoint = endpoint,
                         .by = by,
                         .a = a,
                         .kind = kind,
                         .expect = by->expect ? by->expect : -1};
}

/* ---- deploy ---- */

/* Who is served alone, or beside what is served with a share of the traffic. */
static gy_status plan_deploy(struct change *c, yyjson_val *body, struct gy_str ref,
                             struct gy_err *err)
{
    struct gy_plan_variant v;
    GY_TRY(gy_endpoint_check_name(c->endpoint, err));
    GY_TRY(gy_plan_request(body, &c->plan, err));
    GY_TRY(find_model(c, ref, GY_VARIANT_STABLE, &v, err));
    gy_plan_put(&c->plan, &v);
    c->plan.ref = ref;
    c->plan.followed = v.version;
    if (gy_plan_follows(&c->plan) && gy_str_find(ref, '@') == SIZE_MAX) {
        return gy_err_set(err, GY_E_INVALID,
                          "'follow' needs a model by alias, e.g. models:/sepsis@champion");
    }
    return GY_OK;
}

static gy_status plan_canary(struct change *c, yyjson_val *body, struct gy_str ref,
                             yyjson_val *share, struct gy_err *err)
{
    struct gy_plan request;
    struct gy_plan_variant v;
    struct gy_rollout rollout;
    GY_TRY(gy_plan_request(body, &request, err));
    gy_status st = begin(c, err);
    if (st == GY_E_NOTFOUND) {
        (void)gy_err_hint(err, "a canary runs beside what is served: deploy a version without one");
    }
    GY_TRY(st);
    GY_TRY(gy_plan_adopt(&c->plan, &request, err));
    GY_TRY(find_model(c, ref, GY_VARIANT_CANARY, &v, err));
    GY_TRY(gy_rollout_read(c->plan.settings.value[GY_SET_ROLLOUT], &rollout, err));
    double weight = rollout.canary;
    if (!yyjson_is_true(share)) {
        GY_TRY(gy_rollout_share(share, "canary", &weight, err));
    }
    /* A shadow that is good enough becomes the canary. */
    const struct gy_plan_variant *shadow = gy_plan_find(&c->plan, GY_VARIANT_SHADOW);
    if (shadow && gy_str_eq(shadow->digest, v.digest)) {
        gy_plan_remove(&c->plan, GY_VARIANT_SHADOW);
    }
    v.weight = weight;
    if (gy_json_bool(body, "add", false)) {
        GY_TRY(gy_plan_add(&c->plan, &v, err));
    } else if (gy_plan_canaries(&c->plan) > 1) {
        (void)gy_err_set(err, GY_E_CONFLICT, "endpoint '%" GY_STR_F "' has several canaries",
                         GY_STR_A(c->endpoint));
        (void)gy_err_hint(err, "--add puts this one beside them");
        return GY_E_CONFLICT;
    } else {
        gy_plan_put(&c->plan, &v);
    }
    return gy_plan_balance(&c->plan, err);
}

gy_status gy_deploy(const struct gy_deployer *d, struct gy_str endpoint, yyjson_val *body,
                    const struct gy_deploy_by *by, struct gy_arena *a, struct gy_revision *ret,
                    struct gy_err *err)
{
    yyjson_val *share = gy_json_get(body, "canary");
    bool canary = share && !yyjson_is_null(share) && !yyjson_is_false(share);
    GY_AUTO_DONE(change_done) struct change c;
    change_init(&c, d, endpoint, canary ? "canary" : "deploy", by, a);
    struct gy_str ref = gy_json_str(body, "model");
    if (!ref.p) {
        ref = gy_json_str(gy_json_get(body, "project"), "model");
    }
    if (!ref.p) {
        return gy_err_set(err, GY_E_INVALID, "missing 'model', e.g. \"models:/sepsis@champion\"");
    }
    GY_TRY(canary ? plan_canary(&c, body, ref, share, err) : plan_deploy(&c, body, ref, err));
    c.gate = gy_json_get(body, "gate");
    return carry_out(&c, ret, err);
}

/* ---- traffic, shadow, promote ---- */

gy_status gy_deploy_traffic(const struct gy_deployer *d, struct gy_str endpoint, double canary,
                            const struct gy_deploy_by *by, struct gy_arena *a,
                            struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO_DONE(change_done) struct change c;
    struct gy_plan_variant *v;
    change_init(&c, d, endpoint, "traffic", by, a);
    if (!(canary >= 0 && canary <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "'canary' must be a share from 0 to 1");
    }
    GY_TRY(begin(&c, err));
    GY_TRY(need_canary(&c, 0, &v, err));
    v->weight = canary;
    GY_TRY(gy_plan_balance(&c.plan, err));
    return carry_out(&c, ret, err);
}

/* A version of the stable one's model that takes no part yet. */
static gy_status join_test(struct change *c, const struct gy_stretch_share *share,
                           struct gy_err *err)
{
    struct gy_plan_variant v;
    const char *ref =
        gy_arena_printf(c->a, "models:/%" GY_STR_F "/%lld", GY_STR_A(c->plan.variants[0].model),
                        (long long)share->version);
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "deploying");
    }
    GY_TRY(find_model(c, gy_str_c(ref), GY_VARIANT_CANARY, &v, err));
    const struct gy_plan_variant *shadow = gy_plan_find(&c->plan, GY_VARIANT_SHADOW);
    if (shadow && gy_str_eq(shadow->digest, v.digest)) {
        gy_plan_remove(&c->plan, GY_VARIANT_SHADOW);
    }
    v.weight = share->share;
    return gy_plan_add(&c->plan, &v, err);
}

static gy_status set_share(struct change *c, const struct gy_stretch_share *share,
                           struct gy_err *err)
{
    struct gy_plan_variant *v = gy_plan_version(&c->plan, share->version);
    bool leaves = isnan(share->share);
    if (!leaves && !(share->share >= 0 && share->share <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "the share of version %lld must be from 0 to 1",
                          (long long)share->version);
    }
    if (v && v->role == GY_VARIANT_STABLE) {
        return leaves ? gy_err_set(err, GY_E_INVALID, "version %lld is the stable one and stays",
                                   (long long)share->version)
                      : GY_OK; /* looked at when the others are known */
    }
    if (leaves && !v) {
        return gy_err_set(err, GY_E_NOTFOUND, "version %lld is no canary of '%" GY_STR_F "'",
                          (long long)share->version, GY_STR_A(c->endpoint));
    }
    if (leaves) {
        gy_plan_drop(&c->plan, share->version);
        return GY_OK;
    }
    if (!v) {
        return join_test(c, share, err);
    }
    v->weight = share->share;
    v->gate = true;
    return GY_OK;
}

static gy_status check_rest(struct change *c, const struct gy_stretch_share *share,
                            struct gy_err *err)
{
    const struct gy_plan_variant *stable = &c->plan.variants[0];
    if (share->version != stable->version || fabs(share->share - stable->weight) < 1e-9) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID,
                      "version %lld is the stable one and has what the others leave: %g, not %g",
                      (long long)share->version, stable->weight, share->share);
}

gy_status gy_deploy_shares(const struct gy_deployer *d, struct gy_str endpoint,
                           const struct gy_stretch_share *shares, size_t n,
                           const struct gy_deploy_by *by, struct gy_arena *a,
                           struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO_DONE(change_done) struct change c;
    change_init(&c, d, endpoint, "traffic", by, a);
    GY_TRY(begin(&c, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(set_share(&c, &shares[i], err));
    }
    GY_TRY(gy_plan_balance(&c.plan, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(check_rest(&c, &shares[i], err));
    }
    return carry_out(&c, ret, err);
}

gy_status gy_deploy_shadow(const struct gy_deployer *d, struct gy_str endpoint, struct gy_str ref,
                           const struct gy_deploy_by *by, struct gy_arena *a,
                           struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO_DONE(change_done) struct change c;
    change_init(&c, d, endpoint, "shadow", by, a);
    GY_TRY(begin(&c, err));
    if (ref.p) {
        struct gy_plan_variant v;
        GY_TRY(find_model(&c, ref, GY_VARIANT_SHADOW, &v, err));
        gy_plan_put(&c.plan, &v);
    } else {
        if (!gy_plan_find(&c.plan, GY_VARIANT_SHADOW)) {
            return gy_err_set(err, GY_E_CONFLICT, "endpoint '%" GY_STR_F "' has no shadow",
                              GY_STR_A(endpoint));
        }
        gy_plan_remove(&c.plan, GY_VARIANT_SHADOW);
    }
    return carry_out(&c, ret, err);
}

gy_status gy_deploy_promote(const struct gy_deployer *d, struct gy_str endpoint, int64_t version,
                            const struct gy_deploy_by *by, struct gy_arena *a,
                            struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO_DONE(change_done) struct change c;
    struct gy_plan_variant *canary;
    struct gy_rollout rollout;
    change_init(&c, d, endpoint, "promote", by, a);
    GY_TRY(begin(&c, err));
    GY_TRY(need_canary(&c, version, &canary, err));
    struct gy_plan_variant v = *canary;
    GY_TRY(gy_rollout_read(c.plan.settings.value[GY_SET_ROLLOUT], &rollout, err));
    memcpy(c.promote_alias, rollout.promote_alias, sizeof c.promote_alias);
    v.role = GY_VARIANT_STABLE;
    v.since_us = 0;
    gy_plan_remove(&c.plan, GY_VARIANT_CANARY);
    gy_plan_put(&c.plan, &v);
    GY_TRY(gy_plan_balance(&c.plan, err));
    return carry_out(&c, ret, err);
}

/* ---- following an alias ---- */

gy_status gy_deploy_follow(const struct gy_deployer *d, struct gy_str endpoint,
                           const struct gy_deploy_by *by, struct gy_arena *a,
                           struct gy_revision *ret, bool *ret_moved, struct gy_err *err)
{
    GY_AUTO_DONE(change_done) struct change c;
    struct gy_plan_variant v;
    change_init(&c, d, endpoint, "deploy", by, a);
    *ret_moved = false;
    GY_TRY(begin(&c, err));
    if (!gy_plan_follows(&c.plan)) {
        return GY_OK;
    }
    GY_TRY(find_model(&c, c.plan.ref, GY_VARIANT_STABLE, &v, err));
    if (v.version == c.plan.followed || gy_str_eq(v.digest, c.plan.variants[0].digest)) {
        return GY_OK;
    }
    struct gy_plan_variant *shadow = gy_plan_find(&c.plan, GY_VARIANT_SHADOW);
    if (shadow && shadow->version == v.version) {
        gy_plan_remove(&c.plan, GY_VARIANT_SHADOW);
    }
    gy_plan_remove(&c.plan, GY_VARIANT_CANARY); /* they ran against what goes now */
    gy_plan_put(&c.plan, &v);
    GY_TRY(gy_plan_balance(&c.plan, err));
    c.plan.followed = v.version;
    c.blessed_only = true;
    *ret_moved = true;
    return carry_out(&c, ret, err);
}

/* ---- rollback ---- */

struct earlier {
    struct change *c;
    int64_t to;
};

static bool is_stable_now(const struct change *c, const struct gy_plan_variant *v)
{
    return c->has_base && v->role == GY_VARIANT_STABLE &&
           gy_str_eq(v->digest, c->base.model_digest);
}

/* The same bytes as then: a model of that name may have been made anew since. What is served now
 * needs no version that is still there. */
static gy_status find_versions(struct gy_db *db, struct change *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->plan.n; i++) {
        struct gy_plan_variant *v = &c->plan.variants[i];
        struct gy_model_version found;
        bool now = is_stable_now(c, v);
        GY_TRY(gy_registry_by_digest(db, v->model, v->version, v->digest, now, c->a, &found, err));
        v->model = found.name;
        v->version = found.version;
        v->threshold = NAN;
        v->since_us = v->role == GY_VARIANT_CANARY ? gy_now_us() : 0; /* it begins anew */
        v->gate = v->role != GY_VARIANT_SHADOW && !now;
    }
    return gy_plan_balance(&c->plan, err); /* numbers may have changed */
}

/* Who goes back means it: the alias is followed again when it has moved from where it is now. */
static void look_at_alias(struct gy_db *db, struct change *c)
{
    struct gy_model_version now;
    if (gy_plan_follows(&c->plan) &&
        gy_registry_resolve(db, c->plan.ref, c->a, &now, NULL) == GY_OK) {
        c->plan.followed = now.version;
    }
}

static gy_status find_earlier(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct earlier *x = ctx;
    struct change *c = x->c;
    struct gy_revision *one;
    size_t n;
    int64_t served;
    GY_TRY(gy_revision_history(db, c->endpoint, 1, c->a, &one, &n, &served, err));
    c->has_base = served > 0;
    c->expect = served;
    if (c->has_base) {
        GY_TRY(gy_revision_get(db, c->endpoint, served, c->a, &c->base, err));
    }
    if (c->by->expect && served != c->by->expect) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "endpoint '%" GY_STR_F "' was changed meanwhile: revision %lld is served",
                          GY_STR_A(c->endpoint), (long long)served);
    }
    if (x->to == 0) {
        GY_TRY(gy_revision_before(db, c->endpoint, c->a, &c->target, err));
    } else {
        GY_TRY(gy_revision_get(db, c->endpoint, x->to, c->a, &c->target, err));
    }
    GY_TRY(gy_json_parse(c->target.config, &c->target_doc, err));
    GY_TRY(gy_plan_frozen(yyjson_doc_get_root(c->target_doc), &c->plan, err));
    take_row(&c->plan.variants[0], &c->target);
    c->copied_from = c->target.revision;
    c->gated = c->target.gated;
    look_at_alias(db, c);
    return find_versions(db, c, err);
}

gy_status gy_deploy_rollback(const struct gy_deployer *d, struct gy_str endpoint, int64_t to,
                             const struct gy_deploy_by *by, struct gy_arena *a,
                             struct gy_revision *ret, struct gy_err *err)
{
    GY_AUTO_DONE(change_done) struct change c;
    change_init(&c, d, endpoint, "rollback", by, a);
    struct earlier earlier = {&c, to};
    GY_TRY(gy_store_read(d->store, find_earlier, &earlier, err));
    return carry_out(&c, ret, err); /* under what is asked of the endpoint now, not then */
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
