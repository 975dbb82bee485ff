/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "serve/deploy_internal.h"
#include "serve/shape.h"

#define MAX_CONFIG_BYTES (4 * GY_MIB)

/* ---- who takes part ---- */

struct gy_plan_variant *gy_plan_find(struct gy_plan *p, enum gy_variant_role role)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->variants[i].role == role) {
            return &p->variants[i];
        }
    }
    return NULL;
}

struct gy_plan_variant *gy_plan_version(struct gy_plan *p, int64_t version)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->variants[i].version == version && p->variants[i].role != GY_VARIANT_SHADOW) {
            return &p->variants[i];
        }
    }
    return NULL;
}

size_t gy_plan_canaries(const struct gy_plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += p->variants[i].role == GY_VARIANT_CANARY;
    }
    return n;
}

void gy_plan_remove(struct gy_plan *p, enum gy_variant_role role)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->variants[i].role != role) {
            p->variants[n++] = p->variants[i];
        }
    }
    p->n = n;
}

void gy_plan_drop(struct gy_plan *p, int64_t version)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        bool it = p->variants[i].version == version && p->variants[i].role == GY_VARIANT_CANARY;
        if (!it) {
            p->variants[n++] = p->variants[i];
        }
    }
    p->n = n;
}

/* The roles are in order: stable, canaries as they came, shadow. */
static void insert(struct gy_plan *p, const struct gy_plan_variant *v)
{
    size_t at = p->n;
    GY_REQUIRE(p->n < GY_VARIANTS_MAX);
    while (at > 0 && p->variants[at - 1].role > v->role) {
        p->variants[at] = p->variants[at - 1];
        at--;
    }
    p->variants[at] = *v;
    p->n++;
}

void gy_plan_put(struct gy_plan *p, const struct gy_plan_variant *v)
{
    gy_plan_remove(p, v->role);
    insert(p, v);
}

gy_status gy_plan_add(struct gy_plan *p, const struct gy_plan_variant *v, struct gy_err *err)
{
    if (v->role == GY_VARIANT_CANARY && gy_plan_version(p, v->version)) {
        return gy_err_set(err, GY_E_CONFLICT, "version %lld answers already",
                          (long long)v->version);
    }
    if (v->role == GY_VARIANT_CANARY && gy_plan_canaries(p) == GY_CANARIES_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d canaries at once", GY_CANARIES_MAX);
    }
    insert(p, v);
    return GY_OK;
}

gy_status gy_plan_balance(struct gy_plan *p, struct gy_err *err)
{
    struct gy_plan_variant *stable = gy_plan_find(p, GY_VARIANT_STABLE);
    struct gy_stretch_share shares[GY_CANARIES_MAX];
    size_t n = 0;
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_plan_variant *v = &p->variants[i];
        if (v->role == GY_VARIANT_CANARY) {
            shares[n++] = (struct gy_stretch_share){v->version, v->weight};
            sum += v->weight;
        }
    }
    if (sum > 1 + 1e-9) {
        return gy_err_set(err, GY_E_INVALID, "the shares of the canaries add up to %g: at most 1",
                          sum);
    }
    /* 1 - 0.9 is 0.1 to whoever reads it */
    stable->weight = sum < 1 ? round((1 - sum) * 1e12) / 1e12 : 0;
    gy_stretches_weigh(&p->stretches, shares, n);
    return GY_OK;
}

/* ---- reading ---- */

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

/* The section of gyre.yaml: its model, and settings. */
static gy_status check_project(yyjson_val *project, struct gy_err *err)
{
    if (!project) {
        return GY_OK;
    }
    if (!yyjson_is_obj(project)) {
        return gy_err_set(err, GY_E_INVALID, "'endpoint' must be an object");
    }
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(project, i, n, key, value)
    {
        struct gy_str name = gy_json_val_str(key);
        if (!gy_str_eqc(name, "model") && !gy_setting_known(name)) {
            return gy_err_set(err, GY_E_INVALID, "endpoint: unknown key '%" GY_STR_F "'",
                              GY_STR_A(name));
        }
    }
    return GY_OK;
}

static yyjson_val *given(yyjson_val *object, const char *key)
{
    yyjson_val *v = gy_json_get(object, key);
    return v && !yyjson_is_null(v) ? v : NULL;
}

gy_status gy_plan_request(yyjson_val *body, struct gy_plan *ret, struct gy_err *err)
{
    static const char *const body_keys[] = {"model",  "project", "columns", "gate",
                                            "canary", "add",     "reason",  NULL};
    yyjson_val *project = gy_json_get(body, "project");
    GY_TRY(check_keys(body, body_keys, "the deploy request", err));
    GY_TRY(check_project(project, err));
    *ret = (struct gy_plan){.columns = given(body, "columns"), .gate = given(body, "gate")};
    gy_setting_read_all(project, &ret->settings);
    return gy_setting_check_all(&ret->settings, err);
}

static enum gy_variant_role role_of(yyjson_val *one)
{
    struct gy_str role = gy_json_str(one, "role");
    return gy_str_eqc(role, "canary")   ? GY_VARIANT_CANARY
           : gy_str_eqc(role, "shadow") ? GY_VARIANT_SHADOW
                                        : GY_VARIANT_STABLE;
}

static gy_status check_weights(const struct gy_plan *p, struct gy_err *err)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_plan_variant *v = &p->variants[i];
        bool canary = v->role == GY_VARIANT_CANARY;
        sum += canary && v->weight >= 0 ? v->weight : canary ? INFINITY : 0;
    }
    return sum <= 1 + 1e-9 && gy_plan_canaries(p) <= GY_CANARIES_MAX
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT,
                            "a revision of an endpoint has shares above 1, or too many canaries");
}

gy_status gy_plan_frozen(yyjson_val *config, struct gy_plan *ret, struct gy_err *err)
{
    *ret = (struct gy_plan){.columns = given(config, "columns"),
                            .gate = given(config, "gate"),
                            .ref = gy_json_str(config, "ref"),
                            .followed = gy_json_i64(config, "followed", 0)};
    gy_setting_read_all(config, &ret->settings);
    if (!gy_json_bool(config, "threshold_set", true)) {
        ret->settings.value[GY_SET_THRESHOLD] = NULL; /* it is the stable package's own */
    }
    yyjson_val *list = gy_json_get(config, "weights");
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        const struct gy_plan_variant v = {.role = role_of(one),
                                          .model = gy_json_str(one, "model"),
                                          .digest = gy_json_str(one, "digest"),
                                          .run_id = gy_json_str(one, "run_id"),
                                          .version = gy_json_i64(one, "version", 0),
                                          .verdict = gy_json_str(one, "verdict"),
                                          .weight = gy_json_f64(one, "weight", 0),
                                          .threshold = gy_json_f64(one, "threshold", NAN),
                                          .since_us = gy_json_i64(one, "since_us", 0)};
        if (ret->n == GY_VARIANTS_MAX) {
            return gy_err_set(err, GY_E_CORRUPT, "a revision of an endpoint names too many models");
        }
        insert(ret, &v);
        if (v.role == GY_VARIANT_CANARY) {
            GY_TRY(gy_stretches_read(&ret->stretches, one, v.version, v.weight, err));
        }
    }
    GY_TRY(check_weights(ret, err));
    if (ret->n == 0 || ret->variants[0].role != GY_VARIANT_STABLE) {
        return gy_err_set(err, GY_E_CORRUPT, "a revision of an endpoint names no model");
    }
    return GY_OK;
}

gy_status gy_plan_adopt(struct gy_plan *p, const struct gy_plan *request, struct gy_err *err)
{
    for (int i = 0; i < GY_N_SETTINGS; i++) {
        const struct gy_setting_info *info = gy_setting_info((enum gy_setting)i);
        yyjson_val *asked = request->settings.value[i];
        if (asked && info->free) {
            p->settings.value[i] = asked;
        } else if (asked && !gy_setting_same(asked, p->settings.value[i])) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "a canary changes the model only, and '%s' is not what is served",
                             info->name);
            (void)gy_err_hint(err, "deploy the change first, without --canary");
            return GY_E_INVALID;
        }
    }
    p->gate = request->gate;
    return GY_OK;
}

/* ---- freezing ---- */

static void copy_key(struct gy_jw *w, const char *key, yyjson_val *v)
{
    if (v) {
        gy_jw_key(w, key);
        gy_jw_val(w, v);
    }
}

static double threshold_of(const struct gy_endpoint *stable, int64_t version)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)version);
    const struct gy_endpoint *e = gy_variants_any(stable, gy_str_n(text, (size_t)n));
    return (e ? e : stable)->threshold;
}

static void write_weights(struct gy_jw *w, const struct gy_plan *p, const struct gy_endpoint *e)
{
    gy_jw_key(w, "weights");
    gy_jw_arr(w);
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_plan_variant *v = &p->variants[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "model", v->model);
        gy_jw_kv_i64(w, "version", v->version);
        gy_jw_kv_str(w, "digest", v->digest);
        gy_jw_kv_str(w, "run_id", v->run_id);
        gy_jw_kv_f64(w, "weight", v->weight);
        gy_jw_kv_strc(w, "role", gy_variant_role_name(v->role));
        if (v->role == GY_VARIANT_CANARY) {
            gy_stretches_write(w, &p->stretches, v->version);
        }
        if (v->since_us) {
            gy_jw_kv_i64(w, "since_us", v->since_us);
        }
        if (v->verdict.p) {
            gy_jw_kv_str(w, "verdict", v->verdict);
        }
        if (e && e->info->task == GY_TASK_BINARY) {
            gy_jw_kv_f64(w, "threshold", threshold_of(e, v->version));
        }
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

/* What the logged numbers of inputs that are none stand for; texts while they are not too many. */
static void write_described(struct gy_jw *w, const struct gy_endpoint *e)
{
    static const char *const kinds[] = {"number", "text", "time", "image"};
    size_t left = GY_SHAPE_MAX_TEXTS;
    gy_jw_key(w, "described");
    gy_jw_obj(w);
    for (size_t i = 0; i < e->shape.n_inputs; i++) {
        const struct gy_predictor_input *in = e->shape.fields[i].input;
        if (!in || in->integer) {
            continue; /* a number, or a category of whole numbers, logged as its number */
        }
        gy_jw_keys(w, in->name);
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "kind", kinds[in->kind]);
        gy_jw_key(w, "values");
        gy_jw_arr(w);
        for (size_t k = 0; k < in->n_values && left > 0; k++, left--) {
            gy_jw_str(w, in->values[k]);
        }
        gy_jw_arr_end(w);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}

/* What the loaded endpoint adds: how to read its records when it is long gone. */
static void write_shape(struct gy_jw *w, const struct gy_endpoint *e, bool threshold_set)
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
    if (e->shape.mixed) {
        write_described(w, e);
    }
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
        gy_jw_kv_bool(w, "threshold_set", threshold_set);
    }
}

gy_status gy_plan_freeze(const struct gy_plan *p, const struct gy_endpoint *e, struct gy_arena *a,
                         struct gy_str *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, MAX_CONFIG_BYTES);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_weights(&w, p, e);
    for (int i = 0; i < GY_N_SETTINGS; i++) {
        const struct gy_setting_info *info = gy_setting_info((enum gy_setting)i);
        if (!e || !info->loaded) {
            copy_key(&w, info->name, p->settings.value[i]);
        }
    }
    if (e) {
        write_shape(&w, e, p->settings.value[GY_SET_THRESHOLD] != NULL);
    }
    if (gy_plan_follows(p)) {
        gy_jw_kv_str(&w, "ref", p->ref);
        gy_jw_kv_i64(&w, "followed", p->followed);
    }
    copy_key(&w, "columns", p->columns);
    copy_key(&w, "gate", p->gate);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "the configuration of an endpoint", err));
    *ret = gy_arena_str(a, gy_buf_str(&out));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "deploying");
}
