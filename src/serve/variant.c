/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/variant.h"

#include "serve/endpoint.h"
#include "serve/infer.h"

const char *gy_variant_role_name(enum gy_variant_role role)
{
    static const char *const names[] = {"stable", "canary", "shadow"};
    return names[role];
}

/* ---- agreement ---- */

static gy_status differ(const struct gy_endpoint *stable, const struct gy_endpoint *other,
                        const char *role, const char *in, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID,
                      "the %s %" GY_STR_F " version %" GY_STR_F " and the stable %" GY_STR_F
                      " version %" GY_STR_F " differ in %s: deploy it without sharing traffic",
                      role, GY_STR_A(other->model_name), GY_STR_A(other->version),
                      GY_STR_A(stable->model_name), GY_STR_A(stable->version), in);
}

/* The same, and b wants none that a can do without: requests are checked once, as a has it. */
static bool same_inputs(const struct gy_predictor_info *a, const struct gy_predictor_info *b)
{
    bool same = a->n_inputs == b->n_inputs;
    for (size_t i = 0; same && i < a->n_inputs; i++) {
        same =
            gy_str_eq(a->inputs[i].name, b->inputs[i].name) &&
            a->inputs[i].kind == b->inputs[i].kind && a->inputs[i].width == b->inputs[i].width &&
            a->inputs[i].image_width == b->inputs[i].image_width &&
            a->inputs[i].image_height == b->inputs[i].image_height &&
            a->inputs[i].image_channels == b->inputs[i].image_channels &&
            (a->inputs[i].kind != GY_INPUT_TEXT || a->inputs[i].integer == b->inputs[i].integer) &&
            (a->inputs[i].required || !b->inputs[i].required);
    }
    return same;
}

static bool same_classes(const struct gy_predictor_info *a, const struct gy_predictor_info *b)
{
    bool same = a->n_classes == b->n_classes && a->n_outputs == b->n_outputs;
    for (size_t i = 0; same && i < a->n_classes; i++) {
        same = gy_str_eq(a->classes[i], b->classes[i]);
    }
    return same;
}

static gy_status check(const struct gy_endpoint *stable, const struct gy_endpoint *other,
                       const char *role, struct gy_err *err)
{
    if (!other) {
        return GY_OK;
    }
    if (gy_str_eq(stable->version, other->version)) {
        /* Records and counters tell variants apart by the number alone. */
        return gy_err_set(err, GY_E_INVALID,
                          "version %" GY_STR_F " answers already: the %s must have another number",
                          GY_STR_A(stable->version), role);
    }
    if (stable->info->task != other->info->task) {
        return differ(stable, other, role, "their task", err);
    }
    if (!same_classes(stable->info, other->info)) {
        return differ(stable, other, role, "their classes", err);
    }
    if (!same_inputs(stable->info, other->info)) {
        return differ(stable, other, role, "their inputs", err);
    }
    return GY_OK;
}

/* The loop's time goes to the answer, whoever gives it, and to the shadow. One limit for both that
 * answer: a request that goes to the pool is drawn anew there, which must not depend on the first
 * draw. */
static void limit_inline(struct gy_endpoint *stable)
{
    double row_ns = stable->model->row_ns;
    if (stable->canary && stable->canary->model->row_ns > row_ns) {
        row_ns = stable->canary->model->row_ns;
    }
    row_ns += stable->shadow ? stable->shadow->model->row_ns : 0;
    stable->waits = stable->lane || (stable->canary && stable->canary->lane) ||
                    (stable->shadow && stable->shadow->lane);
    double rows = GY_ENDPOINT_INLINE_NS / row_ns;
    stable->inline_rows = rows < 1e6 ? (size_t)rows : 1000000;
}

gy_status gy_variants_join(struct gy_endpoint *stable, struct gy_endpoint *canary, double weight,
                           struct gy_endpoint *shadow, struct gy_err *err)
{
    GY_REQUIRE(!stable->canary && !stable->shadow && weight >= 0 && weight <= 1);
    GY_TRY(check(stable, canary, "canary", err));
    GY_TRY(check(stable, shadow, "shadow", err));
    if (canary && shadow && gy_str_eq(canary->version, shadow->version)) {
        return gy_err_set(err, GY_E_INVALID, "version %" GY_STR_F " is canary and shadow at once",
                          GY_STR_A(canary->version));
    }
    stable->canary = canary;
    stable->canary_cut = gy_share_cut(weight);
    stable->canary_weight = canary ? weight : 0;
    stable->shadow = shadow;
    limit_inline(stable);
    if (canary) {
        canary->role = GY_VARIANT_CANARY;
    }
    if (shadow) {
        shadow->role = GY_VARIANT_SHADOW;
    }
    return GY_OK;
}

/* ---- who answers ---- */

/* FNV-1a of endpoint and key, then the same finalizer as for ids. Without the revision:
 * while the canary's weight grows, who was answered by it stays with it. */
static uint64_t key_lot(struct gy_str endpoint, struct gy_str key)
{
    uint64_t h = 0xcbf29ce484222325u;
    unsigned char id[16] = {0};
    for (size_t i = 0; i < endpoint.n; i++) {
        h = (h ^ (unsigned char)endpoint.p[i]) * 0x100000001b3u;
    }
    h = (h ^ '/') * 0x100000001b3u;
    for (size_t i = 0; i < key.n; i++) {
        h = (h ^ (unsigned char)key.p[i]) * 0x100000001b3u;
    }
    memcpy(id, &h, sizeof h);
    return gy_infer_lot(id, 0);
}

const struct gy_endpoint *gy_variants_pick(const struct gy_endpoint *stable,
                                           const unsigned char id[16], struct gy_str key)
{
    if (!stable->canary) {
        return stable;
    }
    /* No row's lot, so that who answers says nothing about which rows are sampled. */
    uint64_t lot = key.n ? key_lot(stable->name, key) : gy_infer_lot(id, SIZE_MAX - 1);
    return lot < stable->canary_cut ? stable->canary : stable;
}

const struct gy_endpoint *gy_variants_version(const struct gy_endpoint *stable,
                                              struct gy_str version)
{
    if (gy_str_eq(version, stable->version)) {
        return stable;
    }
    bool canary = stable->canary && gy_str_eq(version, stable->canary->version);
    return canary ? stable->canary : NULL;
}

struct gy_endpoint *gy_variants_at(const struct gy_endpoint *stable, size_t i)
{
    if (i == 0) {
        return (struct gy_endpoint *)stable; /* const only for those who answer with it */
    }
    if (stable->canary) {
        return i == 1 ? stable->canary : i == 2 ? stable->shadow : NULL;
    }
    return i == 1 ? stable->shadow : NULL;
}
