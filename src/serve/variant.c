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

static bool same_tensors(const struct gy_tensor_group *a, size_t n_a,
                         const struct gy_tensor_group *b, size_t n_b)
{
    bool same = n_a == n_b;
    for (size_t i = 0; same && i < n_a; i++) {
        same = gy_str_eq(a[i].name, b[i].name) && a[i].type == b[i].type &&
               a[i].n_dims == b[i].n_dims && memcmp(a[i].dims, b[i].dims, sizeof a[i].dims) == 0;
    }
    return same;
}

/* The same, and b wants none that a can do without: requests are checked once, as a has it. */
static bool same_inputs(const struct gy_predictor_info *a, const struct gy_predictor_info *b)
{
    bool same = a->n_inputs == b->n_inputs &&
                same_tensors(a->in_tensors, a->n_in_tensors, b->in_tensors, b->n_in_tensors);
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
    if (!same_tensors(stable->info->out_tensors, stable->info->n_out_tensors,
                      other->info->out_tensors, other->info->n_out_tensors)) {
        return differ(stable, other, role, "their outputs", err);
    }
    if (!same_inputs(stable->info, other->info)) {
        return differ(stable, other, role, "their inputs", err);
    }
    return GY_OK;
}

/* The loop's time goes to the answer, whoever gives it, and to the shadow. One limit for all that
 * answer: a request that goes to the pool is drawn anew there, which must not depend on the first
 * draw. */
static void limit_inline(struct gy_endpoint *stable)
{
    double row_ns = stable->model->row_ns;
    for (size_t i = 0; i < stable->n_canaries; i++) {
        double its = stable->canaries[i]->model->row_ns;
        row_ns = its > row_ns ? its : row_ns;
    }
    stable->waits = stable->unloads = false;
    const struct gy_endpoint *e;
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        stable->waits = stable->waits || e->lane;
        stable->unloads = stable->unloads || e->model->unloads;
    }
    row_ns += stable->shadow ? stable->shadow->model->row_ns : 0;
    double rows = GY_ENDPOINT_INLINE_NS / row_ns;
    stable->inline_rows = rows < 1e6 ? (size_t)rows : 1000000;
}

static gy_status twice(const struct gy_endpoint *e, const char *what, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "version %" GY_STR_F " is %s", GY_STR_A(e->version), what);
}

static gy_status check_all(const struct gy_endpoint *stable, const struct gy_variants *with,
                           struct gy_err *err)
{
    for (size_t i = 0; i < with->n_canaries; i++) {
        const struct gy_endpoint *one = with->canaries[i];
        GY_TRY(check(stable, one, "canary", err));
        for (size_t k = 0; k < i; k++) {
            if (gy_str_eq(with->canaries[k]->version, one->version)) {
                return twice(one, "a canary twice", err);
            }
        }
        if (with->shadow && gy_str_eq(with->shadow->version, one->version)) {
            return twice(one, "canary and shadow at once", err);
        }
    }
    return check(stable, with->shadow, "shadow", err);
}

static int64_t number_of(const struct gy_endpoint *e)
{
    int64_t n = 0;
    GY_IGNORE(gy_parse_i64(e->version, 0, INT64_MAX, &n, NULL)); /* versions are numbers */
    return n;
}

static const struct gy_endpoint *who_is(const struct gy_endpoint *stable,
                                        const struct gy_variants *with, int64_t version)
{
    for (size_t i = 0; i < with->n_canaries; i++) {
        if (number_of(with->canaries[i]) == version) {
            return with->canaries[i];
        }
    }
    return stable;
}

/* Stretches and the gaps between them, end to end. */
static gy_status deal_lots(struct gy_endpoint *stable, const struct gy_variants *with,
                           struct gy_err *err)
{
    struct gy_stretch_share shares[GY_CANARIES_MAX];
    struct gy_stretches s = with->stretches ? *with->stretches : (struct gy_stretches){.n = 0};
    for (size_t i = 0; i < with->n_canaries; i++) {
        shares[i] = (struct gy_stretch_share){number_of(with->canaries[i]), with->weights[i]};
    }
    gy_stretches_weigh(&s, shares, with->n_canaries); /* changes nothing where they fit */
    struct gy_lots *lots = gy_arena_calloc(&stable->arena, 2 * s.n + 1, sizeof *lots);
    size_t n = 0;
    uint64_t end = 0;
    if (!lots) {
        return gy_err_set(err, GY_E_NOMEM, "who answers which request");
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.at[i].from > end) {
            lots[n++] = (struct gy_lots){s.at[i].from, stable};
        }
        end = s.at[i].to;
        lots[n++] = (struct gy_lots){end, who_is(stable, with, s.at[i].version)};
    }
    if (end < GY_LOTS) {
        lots[n++] = (struct gy_lots){GY_LOTS, stable};
    }
    stable->lots = lots;
    stable->n_lots = n;
    return GY_OK;
}

gy_status gy_variants_join(struct gy_endpoint *stable, const struct gy_variants *with,
                           struct gy_err *err)
{
    double sum = 0;
    GY_REQUIRE(!stable->n_canaries && !stable->shadow && with->n_canaries <= GY_CANARIES_MAX);
    GY_TRY(check_all(stable, with, err));
    for (size_t i = 0; i < with->n_canaries; i++) {
        GY_REQUIRE(with->weights[i] >= 0 && with->weights[i] <= 1);
        sum += with->weights[i];
    }
    GY_REQUIRE(sum <= 1 + 1e-9);
    GY_TRY(deal_lots(stable, with, err));
    stable->weight = sum < 1 ? 1 - sum : 0;
    for (size_t i = 0; i < with->n_canaries; i++) {
        stable->canaries[i] = with->canaries[i];
        stable->canaries[i]->role = GY_VARIANT_CANARY;
        stable->canaries[i]->weight = with->weights[i];
    }
    stable->n_canaries = with->n_canaries;
    stable->shadow = with->shadow;
    if (with->shadow) {
        with->shadow->role = GY_VARIANT_SHADOW;
        with->shadow->weight = 0;
    }
    limit_inline(stable);
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
    if (!stable->n_canaries) {
        return stable;
    }
    /* No row's lot, so that who answers says nothing about which rows are sampled. */
    uint64_t lot = key.n ? key_lot(stable->name, key) : gy_infer_lot(id, SIZE_MAX - 1);
    size_t i = 0;
    while (i + 1 < stable->n_lots && lot >= stable->lots[i].end) {
        i++;
    }
    return stable->lots[i].who;
}

const struct gy_endpoint *gy_variants_version(const struct gy_endpoint *stable,
                                              struct gy_str version)
{
    const struct gy_endpoint *e = gy_variants_any(stable, version);
    return e && e->role != GY_VARIANT_SHADOW ? e : NULL;
}

const struct gy_endpoint *gy_variants_any(const struct gy_endpoint *stable, struct gy_str version)
{
    const struct gy_endpoint *e;
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        if (gy_str_eq(version, e->version)) {
            return e;
        }
    }
    return NULL;
}

struct gy_endpoint *gy_variants_at(const struct gy_endpoint *stable, size_t i)
{
    if (i == 0) {
        return (struct gy_endpoint *)stable; /* const only for those who answer with it */
    }
    if (i <= stable->n_canaries) {
        return stable->canaries[i - 1];
    }
    return i == stable->n_canaries + 1 ? stable->shadow : NULL;
}
