/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/bandit.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#define ACTOR "gyre"
#define MAX_REASON 600

/* An endpoint whose shares a bandit sets, as its newest revision says it. */
struct played {
    struct played *next;
    char endpoint[GY_MAX_NAME];
    uint32_t revision;
    bool plays; /* its rollout says so */
    bool seen;  /* in this tick */
    struct gy_rollout rule;
    int64_t since_us[GY_CANARIES_MAX + 1]; /* of its arms, in order of variants */
    int64_t next_us;                       /* when shares may change */
};

struct gy_bandit {
    struct gy_deployer d;
    struct gy_join *join;
    struct played *first;
    size_t n;
};

gy_status gy_bandit_new(const struct gy_deployer *d, struct gy_join *join, struct gy_bandit **ret,
                        struct gy_err *err)
{
    GY_REQUIRE(d->serving && join);
    struct gy_bandit *b = gy_calloc(1, sizeof *b);
    if (!b) {
        return gy_err_set(err, GY_E_NOMEM, "the bandit");
    }
    b->d = *d;
    b->join = join;
    *ret = b;
    return GY_OK;
}

void gy_bandit_free(struct gy_bandit *b)
{
    if (!b) {
        return;
    }
    while (b->first) {
        struct played *next = b->first->next;
        gy_free(b->first);
        b->first = next;
    }
    gy_free(b);
}

/* ---- what its revision says ---- */

struct reading {
    struct gy_arena a;
    const struct gy_endpoint *e;
    struct gy_revision r;
};

static gy_status read_revision(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct reading *r = ctx;
    return gy_revision_get(db, r->e->name, (int64_t)r->e->revision, &r->a, &r->r, err);
}

static int64_t came_us(yyjson_val *config, const struct gy_endpoint *e)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(config, "weights"), i, n, one)
    {
        if (gy_str_eq(gy_json_str(one, "digest"), e->digest) &&
            gy_str_eqc(gy_json_str(one, "role"), gy_variant_role_name(e->role))) {
            return gy_json_i64(one, "since_us", 0);
        }
    }
    return 0;
}

/* The stable version takes part since the first canary came. */
static void read_since(struct played *p, const struct gy_endpoint *e, yyjson_val *config,
                       int64_t created_us)
{
    p->since_us[0] = created_us;
    for (size_t i = 0; i < e->n_canaries; i++) {
        int64_t came = came_us(config, e->canaries[i]);
        came = came ? came : created_us;
        p->since_us[i + 1] = came;
        p->since_us[0] = came < p->since_us[0] ? came : p->since_us[0];
    }
}

static gy_status read_rule(struct gy_bandit *b, struct played *p, const struct gy_endpoint *e,
                           struct gy_err *err)
{
    struct reading r = {.e = e};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_arena_init(&r.a, GY_MAX_REQUEST_ARENA);
    gy_status st = gy_store_read(b->d.store, read_revision, &r, err);
    if (st == GY_OK) {
        st = gy_json_parse(r.r.config, &doc, err);
    }
    if (st == GY_OK) {
        yyjson_val *config = yyjson_doc_get_root(doc);
        st = gy_rollout_read(gy_json_get(config, "rollout"), &p->rule, err);
        p->plays = p->rule.strategy == GY_STRATEGY_BANDIT;
        p->next_us = r.r.created_us + p->rule.every_s * 1000000;
        read_since(p, e, config, r.r.created_us);
    }
    p->revision = st == GY_OK ? e->revision : 0;
    gy_arena_done(&r.a);
    return st;
}

static gy_status find(struct gy_bandit *b, const struct gy_endpoint *e, struct played **ret,
                      struct gy_err *err)
{
    struct played *p = b->first;
    while (p && !gy_str_eqc(e->name, p->endpoint)) {
        p = p->next;
    }
    if (!p && b->n == GY_BANDIT_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d bandits at a time", GY_BANDIT_MAX);
    }
    if (!p) {
        p = gy_calloc(1, sizeof *p);
        if (!p) {
            return gy_err_set(err, GY_E_NOMEM, "the bandit");
        }
        memcpy(p->endpoint, e->name.p, e->name.n); /* names are short */
        p->next = b->first;
        b->first = p;
        b->n++;
    }
    p->seen = true;
    *ret = p;
    return p->revision == e->revision ? GY_OK : read_rule(b, p, e, err);
}

/* Those whose canaries have gone. */
static void forget(struct gy_bandit *b)
{
    struct played **at = &b->first;
    while (*at) {
        struct played *p = *at;
        if (p->seen) {
            p->seen = false;
            at = &p->next;
        } else {
            *at = p->next;
            b->n--;
            gy_free(p);
        }
    }
}

/* ---- playing ---- */

static gy_status count_arms(struct gy_bandit *b, const struct played *p,
                            const struct gy_endpoint *e, struct gy_seq *arms, double *ret_rows,
                            struct gy_err *err)
{
    *ret_rows = 0;
    for (size_t i = 0; i <= e->n_canaries; i++) {
        struct gy_arm arm;
        GY_TRY(gy_arm_count(b->join, e->name, gy_variants_at(e, i)->version, p->since_us[i], 0,
                            &arm, err));
        arms[i] = arm.metric[p->rule.metric];
        *ret_rows += arms[i].n;
    }
    return GY_OK;
}

/* "bandit: reward 0.41 of 120 rows: version 1 has 20%, ..." */
static void describe(const struct played *p, const struct gy_endpoint *e, const struct gy_seq *arms,
                     const double *shares, char out[MAX_REASON])
{
    size_t at = (size_t)snprintf(out, MAX_REASON, "bandit by %s:", gy_metric_name(p->rule.metric));
    for (size_t i = 0; i <= e->n_canaries && at < MAX_REASON; i++) {
        at += (size_t)snprintf(out + at, MAX_REASON - at,
                               "%s version %" GY_STR_F " %.3f of %.0f rows: %.4g%%", i ? ";" : "",
                               GY_STR_A(gy_variants_at(e, i)->version), gy_seq_average(&arms[i]),
                               arms[i].n, 100 * shares[i]);
    }
}

static bool moves(const struct gy_endpoint *e, const double *shares)
{
    bool any = false;
    for (size_t i = 0; i <= e->n_canaries; i++) {
        any = any || fabs(shares[i] - gy_variants_at(e, i)->weight) >= GY_BANDIT_STEP - 1e-9;
    }
    return any;
}

static gy_status play(struct gy_bandit *b, struct played *p, const struct gy_endpoint *e,
                      struct gy_err *err)
{
    struct gy_seq arms[GY_CANARIES_MAX + 1];
    double shares[GY_CANARIES_MAX + 1];
    struct gy_stretch_share list[GY_CANARIES_MAX];
    char reason[MAX_REASON];
    double rows;
    GY_TRY(count_arms(b, p, e, arms, &rows, err));
    if (rows < (double)p->rule.min_labels) {
        return GY_OK;
    }
    gy_bandit_shares(arms, e->n_canaries + 1, p->rule.min_share, (uint64_t)p->rule.seed,
                     e->revision, shares);
    if (!moves(e, shares)) {
        return GY_OK;
    }
    describe(p, e, arms, shares, reason);
    for (size_t i = 0; i < e->n_canaries; i++) {
        GY_TRY(gy_parse_i64(e->canaries[i]->version, 0, INT64_MAX, &list[i].version, err));
        list[i].share = shares[i + 1];
    }
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_revision r;
    const struct gy_deploy_by by = {
        .actor = GY_STR(ACTOR), .reason = gy_str_c(reason), .expect = (int64_t)e->revision};
    GY_TRY(gy_deploy_shares(&b->d, e->name, list, e->n_canaries, &by, &a, &r, err));
    gy_log(GY_LOG_INFO, "bandit", "shares changed", GY_KV_S("endpoint", e->name),
           GY_KV_I("revision", r.revision), GY_KV_S("reason", gy_str_c(reason)));
    return GY_OK;
}

static gy_status look(struct gy_bandit *b, const struct gy_endpoint *e, struct gy_err *err)
{
    struct played *p = NULL;
    int64_t now = gy_now_us();
    GY_TRY(find(b, e, &p, err));
    if (!p->plays || now < p->next_us) {
        return GY_OK;
    }
    /* Whatever comes of it, labels are not counted again before that. */
    p->next_us = now + p->rule.every_s * 1000000;
    gy_status st = play(b, p, e, err);
    if (st == GY_E_CONFLICT) {
        return GY_OK; /* changed meanwhile: the next look sees what there is */
    }
    return st == GY_OK ? GY_OK : gy_err_wrap(err, "the bandit of '%s'", p->endpoint);
}

gy_status gy_bandit_tick(struct gy_bandit *b, struct gy_err *err)
{
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(b->d.serving);
    gy_status first = GY_OK;
    struct gy_err why = GY_ERR_INIT;
    for (size_t i = 0; i < gy_table_count(t); i++) {
        const struct gy_endpoint *e = gy_table_at(t, i);
        struct gy_err one = GY_ERR_INIT;
        gy_status st = e->n_canaries ? look(b, e, &one) : GY_OK;
        if (st != GY_OK && first == GY_OK) {
            first = st;
            why = one;
        }
    }
    forget(b);
    if (first != GY_OK && err) {
        *err = why;
    }
    return first;
}
