/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/guard.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/events.h"

#define ACTOR "gyre"
#define HISTORY 200            /* revisions that the beginning of a canary is looked for in */
#define RETRY_US (5 * 1000000) /* after an action that failed */
#define LONG_NS 5000000        /* of a count of labels: the next one waits ... */
#define LONG_REST 20           /* ... so many times as long */

/* A canary that is watched: one pair of versions of one endpoint, over the revisions that only
 * change their shares, or who else takes part. */
struct watched {
    struct watched *next;
    char endpoint[GY_MAX_NAME];
    char stable[24], canary[24];
    char stable_digest[72], canary_digest[72];
    uint32_t revision; /* that was last seen */
    size_t n_canaries; /* in it */
    bool has_rule;     /* its configuration has a rollout section */
    struct gy_rollout rule;
    int64_t began_us;          /* when the canary came */
    struct gy_seq_prior prior; /* what the stable version did before; fixed at the first look */
    bool has_prior;
    struct gy_stat_sum stable_then, canary_then;
    struct gy_arm stable_labels, canary_labels; /* as last counted ... */
    int64_t counted_ns, took_ns;                /* ... then, 0: never, in so long */
    bool told;                                  /* that a person must decide */
    bool held;                                  /* a signal: do not promote */
    int64_t retry_us;                           /* not before */
    bool seen;                                  /* in this tick */
    struct gy_signal roll_back; /* a signal to take it back; reason "" without one */
};

struct gy_guard {
    struct gy_deployer d;
    struct gy_join *join;
    struct watched *first;
    size_t n;
};

gy_status gy_guard_new(const struct gy_deployer *d, struct gy_join *join, struct gy_guard **ret,
                       struct gy_err *err)
{
    GY_REQUIRE(d->serving);
    struct gy_guard *g = gy_calloc(1, sizeof *g);
    if (!g) {
        return gy_err_set(err, GY_E_NOMEM, "the guard of rollouts");
    }
    g->d = *d;
    g->join = join;
    *ret = g;
    return GY_OK;
}

void gy_guard_free(struct gy_guard *g)
{
    if (!g) {
        return;
    }
    while (g->first) {
        struct watched *next = g->first->next;
        gy_free(g->first);
        g->first = next;
    }
    gy_free(g);
}

/* ---- which canaries there are ---- */

static void set_text(char *to, size_t size, struct gy_str from)
{
    GY_REQUIRE(from.n < size);
    memcpy(to, from.p, from.n);
    to[from.n] = '\0';
}

static bool same_pair(const struct watched *w, const struct gy_endpoint *e,
                      const struct gy_endpoint *canary)
{
    return gy_str_eqc(e->name, w->endpoint) && gy_str_eqc(e->version, w->stable) &&
           gy_str_eqc(canary->version, w->canary) && gy_str_eqc(e->digest, w->stable_digest) &&
           gy_str_eqc(canary->digest, w->canary_digest);
}

struct beginning {
    struct gy_arena a;
    const struct gy_endpoint *e, *canary;
    int64_t began_us;
    struct gy_str config;
};

/* Does the revision have this pair of versions? */
static bool has_pair(yyjson_val *config, const struct beginning *b)
{
    bool stable = false;
    bool canary = false;
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(config, "weights"), i, n, one)
    {
        struct gy_str role = gy_json_str(one, "role");
        struct gy_str digest = gy_json_str(one, "digest");
        stable = stable || (gy_str_eqc(role, "stable") && gy_str_eq(digest, b->e->digest));
        canary = canary || (gy_str_eqc(role, "canary") && gy_str_eq(digest, b->canary->digest));
    }
    return stable && canary;
}

/* As the revision says it; 0: it was written when revisions did not. */
static int64_t came_us(yyjson_val *config, const struct beginning *b)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(config, "weights"), i, n, one)
    {
        if (gy_str_eqc(gy_json_str(one, "role"), "canary") &&
            gy_str_eq(gy_json_str(one, "digest"), b->canary->digest)) {
            return gy_json_i64(one, "since_us", 0);
        }
    }
    return 0;
}

static gy_status find_beginning(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct beginning *b = ctx;
    struct gy_revision *all;
    size_t n;
    int64_t served;
    GY_TRY(gy_revision_history(db, b->e->name, HISTORY, &b->a, &all, &n, &served, err));
    for (size_t i = 0; i < n; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        if (all[i].revision > (int64_t)b->e->revision) {
            continue;
        }
        GY_TRY(gy_json_parse(all[i].config, &doc, err));
        if (!has_pair(yyjson_doc_get_root(doc), b)) {
            break;
        }
        b->began_us = all[i].created_us;
        if (all[i].revision == (int64_t)b->e->revision) {
            int64_t came = came_us(yyjson_doc_get_root(doc), b);
            b->config = all[i].config;
            b->began_us = came ? came : b->began_us;
            if (came) {
                break;
            }
        }
    }
    return GY_OK;
}

/* What the store says of the revision that is served: the rule, and since when. */
static gy_status read_rule(struct gy_guard *g, struct watched *w, const struct gy_endpoint *e,
                           const struct gy_endpoint *canary, struct gy_err *err)
{
    struct beginning b = {.e = e, .canary = canary};
    gy_arena_init(&b.a, GY_MAX_REQUEST_ARENA);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_status st = gy_store_read(g->d.store, find_beginning, &b, err);
    if (st == GY_OK && b.config.p) {
        st = gy_json_parse(b.config, &doc, err);
    }
    if (st == GY_OK && doc) {
        yyjson_val *rollout = gy_json_get(yyjson_doc_get_root(doc), "rollout");
        w->has_rule = yyjson_is_obj(rollout);
        st = gy_rollout_read(rollout, &w->rule, err);
        w->began_us = b.began_us;
        w->revision = e->revision;
    }
    gy_arena_done(&b.a);
    return st;
}

/* Count from when the revision was published. */
static void begin(struct watched *w, const struct gy_endpoint *e, const struct gy_endpoint *canary)
{
    w->stable_then = e->stats_then;
    w->canary_then = canary->stats_then;
    w->counted_ns = w->took_ns = 0;
    w->has_prior = false;
    w->told = false;
    w->held = false;
    w->retry_us = 0;
    w->roll_back.reason[0] = '\0';
}

/* The canary of e, watched from now on when it is new; NULL: it can not be. */
static gy_status watch(struct gy_guard *g, const struct gy_endpoint *e,
                       const struct gy_endpoint *canary, struct watched **ret, struct gy_err *err)
{
    struct watched *w = g->first;
    while (w && !same_pair(w, e, canary)) {
        w = w->next;
    }
    *ret = w;
    if (w && w->revision == e->revision) {
        return GY_OK;
    }
    if (w) {
        /* The weights were changed, perhaps the rule; or it went and came back meanwhile. */
        int64_t began_us = w->began_us;
        GY_TRY(read_rule(g, w, e, canary, err));
        if (w->began_us != began_us) {
            begin(w, e, canary);
        }
        return GY_OK;
    }
    if (g->n == GY_GUARD_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d canaries at a time", GY_GUARD_MAX);
    }
    w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "the guard of rollouts");
    }
    set_text(w->endpoint, sizeof w->endpoint, e->name);
    set_text(w->stable, sizeof w->stable, e->version);
    set_text(w->canary, sizeof w->canary, canary->version);
    set_text(w->stable_digest, sizeof w->stable_digest, e->digest);
    set_text(w->canary_digest, sizeof w->canary_digest, canary->digest);
    begin(w, e, canary);
    w->next = g->first;
    g->first = w;
    g->n++;
    *ret = w;
    return read_rule(g, w, e, canary, err);
}

/* Those whose canary has gone. */
static void forget(struct gy_guard *g)
{
    struct watched **at = &g->first;
    while (*at) {
        struct watched *w = *at;
        if (w->seen) {
            w->seen = false;
            at = &w->next;
        } else {
            *at = w->next;
            g->n--;
            gy_free(w);
        }
    }
}

/* ---- what they did ---- */

static void count_requests(const struct gy_endpoint_stats *stats, const struct gy_stat_sum *then,
                           double max_p99_ms, struct gy_guard_side *side)
{
    struct gy_stat_sum now;
    struct gy_stat_sum since;
    gy_endpoint_stats_sum(stats, &now);
    gy_stat_since(&now, then, &since);
    side->errors = since.failed + since.no_number;
    side->requests = since.ok + side->errors;
    side->p99_ms = gy_stat_quantile(&since, 0.99) / 1e6;
    side->slow = isnan(max_p99_ms) ? 0 : (uint64_t)gy_stat_slower(&since, max_p99_ms * 1e6);
}

static gy_status count_labels(struct gy_guard *g, const struct watched *w, const char *version,
                              int64_t since_us, int64_t until_us, struct gy_arm *ret,
                              struct gy_err *err)
{
    *ret = (struct gy_arm){.labelled = 0};
    return g->join ? gy_arm_count(g->join, gy_str_c(w->endpoint), gy_str_c(version), since_us,
                                  until_us, ret, err)
                   : GY_OK;
}

/* Once, so that nothing that is tested shapes what it is tested by. */
static gy_status read_prior(struct gy_guard *g, struct watched *w, struct gy_err *err)
{
    struct gy_arm before;
    if (w->has_prior) {
        return GY_OK;
    }
    GY_TRY(count_labels(g, w, w->stable, 0, w->began_us, &before, err));
    w->prior.before = before.metric[w->rule.metric];
    w->has_prior = true;
    return GY_OK;
}

/* With millions of labelled rows a count takes a while, and holds up those who bring labels. */
static gy_status read_labels(struct gy_guard *g, struct watched *w, struct gy_guard_side *stable,
                             struct gy_guard_side *canary, struct gy_err *err)
{
    int64_t now = gy_mono_ns();
    bool rests = w->took_ns >= LONG_NS && now - w->counted_ns < LONG_REST * w->took_ns;
    GY_TRY(read_prior(g, w, err));
    if (w->counted_ns == 0 || !rests) {
        struct gy_arm s;
        struct gy_arm c;
        GY_TRY(count_labels(g, w, w->stable, w->began_us, 0, &s, err));
        GY_TRY(count_labels(g, w, w->canary, w->began_us, 0, &c, err));
        w->stable_labels = s;
        w->canary_labels = c;
        w->counted_ns = now;
        w->took_ns = gy_mono_ns() - now;
    }
    stable->labelled = w->stable_labels.labelled;
    stable->metric = w->stable_labels.metric[w->rule.metric];
    canary->labelled = w->canary_labels.labelled;
    canary->metric = w->canary_labels.metric[w->rule.metric];
    return GY_OK;
}

/* ---- acting ---- */

struct telling {
    const struct watched *w;
    const char *kind;
    int64_t revision; /* that the event is about */
    const char *reason;
};

static gy_status add_event(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct telling *t = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    char subject[GY_MAX_NAME + 40];
    struct gy_jw w;
    gy_buf_init(&data, 64 * GY_KIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "endpoint", t->w->endpoint);
    gy_jw_kv_i64(&w, "revision", t->revision);
    gy_jw_kv_strc(&w, "stable", t->w->stable);
    gy_jw_kv_strc(&w, "canary", t->w->canary);
    gy_jw_kv_strc(&w, "digest", t->w->canary_digest);
    gy_jw_kv_strc(&w, "reason", t->reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "an event", err));
    int n = snprintf(subject, sizeof subject, "revision:%s/%lld", t->w->endpoint,
                     (long long)t->revision);
    return gy_event_add(db, t->kind, gy_str_n(subject, (size_t)n), GY_STR(ACTOR), gy_buf_str(&data),
                        err);
}

static gy_status tell(struct gy_guard *g, const struct watched *w, const char *kind,
                      int64_t revision, const char *reason, struct gy_err *err)
{
    struct telling t = {w, kind, revision, reason};
    gy_log(GY_LOG_INFO, "guard", kind, GY_KV_S("endpoint", gy_str_c(w->endpoint)),
           GY_KV_S("canary", gy_str_c(w->canary)), GY_KV_S("reason", gy_str_c(reason)));
    return gy_store_write(g->d.store, add_event, &t, err);
}

static gy_status inconclusive(struct gy_guard *g, struct watched *w, const char *reason,
                              struct gy_err *err)
{
    if (w->told) {
        return GY_OK;
    }
    GY_TRY(tell(g, w, "rollout.inconclusive", w->revision, reason, err));
    w->told = true;
    return GY_OK;
}

static int64_t canary_number(const struct watched *w)
{
    int64_t n = 0;
    GY_IGNORE(gy_parse_i64(gy_str_c(w->canary), 0, INT64_MAX, &n, NULL)); /* versions are numbers */
    return n;
}

/* What is served has changed: its other canaries are looked at when they were read again. */
static void stale(struct gy_guard *g, const struct watched *acted)
{
    for (struct watched *w = g->first; w; w = w->next) {
        if (w != acted && strcmp(w->endpoint, acted->endpoint) == 0) {
            w->revision = 0;
        }
    }
}

/* Others run beside it: it leaves, and they stay. */
static gy_status take_back(struct gy_guard *g, const struct watched *w,
                           const struct gy_deploy_by *by, struct gy_arena *a,
                           struct gy_revision *ret, struct gy_err *err)
{
    struct gy_str name = gy_str_c(w->endpoint);
    const struct gy_stretch_share leaves = {canary_number(w), NAN};
    return w->n_canaries > 1 ? gy_deploy_shares(&g->d, name, &leaves, 1, by, a, ret, err)
                             : gy_deploy_rollback(&g->d, name, 0, by, a, ret, err);
}

static gy_status act(struct gy_guard *g, struct watched *w, bool promote, const char *reason,
                     struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_revision r;
    /* A person who was faster has decided: CONFLICT, and the next look sees what there is. */
    const struct gy_deploy_by by = {
        .actor = GY_STR(ACTOR), .reason = gy_str_c(reason), .expect = w->revision};
    struct gy_err why = GY_ERR_INIT;
    gy_status st = promote ? gy_deploy_promote(&g->d, gy_str_c(w->endpoint), canary_number(w), &by,
                                               &a, &r, &why)
                           : take_back(g, w, &by, &a, &r, &why);
    stale(g, w);
    if (st == GY_OK) {
        return tell(g, w, promote ? "rollout.promoted" : "rollout.rolled_back", r.revision, reason,
                    err);
    }
    w->retry_us = gy_now_us() + RETRY_US;
    if (st == GY_E_NOTBLESSED) {
        return inconclusive(g, w, why.msg, err);
    }
    if (err) {
        *err = why;
    }
    return gy_err_wrap(err, "the canary of '%s'", w->endpoint);
}

static gy_status carry_out(struct gy_guard *g, struct watched *w, const struct gy_guard_decision *d,
                           struct gy_err *err)
{
    switch (d->verdict) {
    case GY_GUARD_WAIT:
        return GY_OK;
    case GY_GUARD_ROLL_BACK:
        return act(g, w, false, d->reason, err);
    case GY_GUARD_PROMOTE:
        return w->held ? inconclusive(g, w, "it would be promoted, but is held", err)
                       : act(g, w, true, d->reason, err);
    case GY_GUARD_INCONCLUSIVE:
        break;
    }
    return inconclusive(g, w, d->reason, err);
}

static gy_status judge(struct gy_guard *g, struct watched *w, const struct gy_endpoint *e,
                       const struct gy_endpoint *canary_of, struct gy_err *err)
{
    struct gy_guard_side stable = {0};
    struct gy_guard_side canary = {0};
    struct gy_guard_decision d;
    if (w->roll_back.reason[0] && gy_now_us() >= w->retry_us) {
        return act(g, w, false, w->roll_back.reason, err);
    }
    if (!w->has_rule || gy_now_us() < w->retry_us) {
        return GY_OK;
    }
    count_requests(e->stats, &w->stable_then, w->rule.max_p99_ms, &stable);
    count_requests(canary_of->stats, &w->canary_then, w->rule.max_p99_ms, &canary);
    if (!isnan(w->rule.change_min)) {
        GY_TRY(read_labels(g, w, &stable, &canary, err));
    }
    double elapsed_s = (double)(gy_now_us() - w->began_us) / 1e6;
    gy_guard_decide(&w->rule, &stable, &canary, &w->prior, w->n_canaries, elapsed_s, &d);
    return carry_out(g, w, &d, err);
}

/* ---- signals ---- */

static void take_signals(struct gy_guard *g)
{
    struct gy_signal s;
    while (gy_signals_take(gy_serving_signals(g->d.serving), &s)) {
        for (struct watched *w = g->first; w; w = w->next) {
            if (strcmp(w->endpoint, s.endpoint) != 0 || strcmp(w->canary, s.version) != 0) {
                continue;
            }
            if (s.kind == GY_SIGNAL_HOLD) {
                w->held = true;
                continue;
            }
            if (!s.reason[0]) {
                (void)snprintf(s.reason, sizeof s.reason, "a signal of value %g", s.value);
            }
            w->roll_back = s;
        }
    }
}

/* The first failure is the one that is told. */
static void keep_first(gy_status st, const struct gy_err *err, gy_status *first,
                       struct gy_err *ret_why)
{
    if (st != GY_OK && *first == GY_OK) {
        *first = st;
        *ret_why = *err;
    }
}

/* The canaries of an endpoint; one that can not be watched does not keep the others from it. */
static gy_status watch_all(struct gy_guard *g, const struct gy_endpoint *e, struct gy_err *err)
{
    gy_status first = GY_OK;
    struct gy_err why = GY_ERR_INIT;
    for (size_t i = 0; i < e->n_canaries; i++) {
        struct watched *w = NULL;
        struct gy_err one = GY_ERR_INIT;
        keep_first(watch(g, e, e->canaries[i], &w, &one), &one, &first, &why);
        if (w) {
            w->seen = true;
            w->n_canaries = e->n_canaries;
        }
    }
    if (first != GY_OK && err) {
        *err = why;
    }
    return first;
}

gy_status gy_guard_tick(struct gy_guard *g, struct gy_err *err)
{
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(g->d.serving);
    gy_status first = GY_OK;
    struct gy_err why = GY_ERR_INIT;
    for (size_t i = 0; i < gy_table_count(t); i++) {
        struct gy_err one = GY_ERR_INIT;
        keep_first(watch_all(g, gy_table_at(t, i), &one), &one, &first, &why);
    }
    forget(g);
    take_signals(g);
    for (struct watched *w = g->first; w; w = w->next) {
        const struct gy_endpoint *e = gy_table_find(t, gy_str_c(w->endpoint));
        struct gy_err one = GY_ERR_INIT;
        if (w->revision == e->revision) { /* else its rule could not be read, or it changed */
            const struct gy_endpoint *canary = gy_variants_version(e, gy_str_c(w->canary));
            keep_first(judge(g, w, e, canary, &one), &one, &first, &why);
        }
    }
    if (first != GY_OK && err) {
        *err = why;
    }
    return first;
}
