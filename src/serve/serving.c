/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serving.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "serve/about.h"
#include "serve/admission.h"
#include "serve/protocol.h"
#include "serve/table.h"
#include "serve/trace_context.h"

#define HASTY_NS INT64_C(1000000000)
#define LOG_SYNC_MS 50
#define MAX_DEFAULT_LOOPS 8

/* What one loop thread owns. Nobody else reads it, except for counters. */
struct loop {
    _Alignas(64) struct gy_table *table; /* counted by the serving, not here */
    struct gy_infer_work work;
    struct gy_uuid_gen ids;
    _Atomic uint64_t unknown;
};

struct gy_serving {
    int n_loops;
    struct loop *loops;
    void *loops_memory;
    struct gy_predlog *log;
    struct gy_budget *budget;
    struct gy_store *store; /* MAY be NULL */
    /* The pool threads' share of it. */
    pthread_mutex_t shared;
    struct gy_uuid_gen shared_ids;
    _Atomic uint64_t shared_unknown;
    pthread_mutex_t changing; /* see gy_serving_change_begin */
    /* One publisher at a time. */
    pthread_mutex_t publishing;
    pthread_mutex_t mu; /* table, server, swaps, and the head of stats */
    struct gy_table *table;
    struct gy_table *kept; /* tables that loops may still hold: a server that went down mid-swap */
    struct gy_server *server;
    struct gy_endpoint_stats *stats;
    uint64_t swaps;
    struct gy_signals signals; /* has a lock of its own */
    char key_dir[GY_MAX_PATH];
    bool has_log_key; /* set before the first table that needs it is published */
    unsigned char log_key[GY_LOGGING_KEY];
    struct gy_admission admission;
};

/* ---- life ---- */

static gy_status make_loops(struct gy_serving *s, struct gy_err *err)
{
    s->loops_memory = gy_calloc(1, (size_t)s->n_loops * sizeof(struct loop) + 64);
    if (!s->loops_memory) {
        return gy_err_set(err, GY_E_NOMEM, "the serving");
    }
    uintptr_t at = ((uintptr_t)s->loops_memory + 63) & ~(uintptr_t)63;
    s->loops = (struct loop *)at;
    for (int i = 0; i < s->n_loops; i++) {
        GY_TRY(gy_uuid_gen_init(&s->loops[i].ids, err));
    }
    return gy_uuid_gen_init(&s->shared_ids, err);
}

static int default_loops(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : cpus > MAX_DEFAULT_LOOPS ? MAX_DEFAULT_LOOPS : (int)cpus;
}

gy_status gy_serving_open(const struct gy_serving_options *o, struct gy_serving **ret,
                          struct gy_err *err)
{
    struct gy_serving *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "the serving");
    }
    pthread_mutex_init(&s->shared, NULL);
    pthread_mutex_init(&s->changing, NULL);
    pthread_mutex_init(&s->publishing, NULL);
    pthread_mutex_init(&s->mu, NULL);
    gy_signals_init(&s->signals);
    s->store = o->store;
    s->n_loops = o->n_loops > 0 ? o->n_loops : default_loops();
    (void)snprintf(s->key_dir, sizeof s->key_dir, "%s", o->key_dir ? o->key_dir : "");
    const struct gy_predlog_options log = {.dir = o->log_dir,
                                           .ring_dir = o->ring_dir,
                                           .n_loops = s->n_loops,
                                           .ring_bytes = o->log_ring_bytes,
                                           .sync_ms =
                                               o->log_sync_ms < 0 ? LOG_SYNC_MS : o->log_sync_ms,
                                           .drop_when_full = o->log_drop_when_full};
    gy_status st = make_loops(s, err);
    if (st == GY_OK) {
        st = gy_budget_new(o->model_memory, &s->budget, err);
    }
    if (st == GY_OK) {
        st = gy_admission_init(&s->admission, err);
    }
    if (st == GY_OK) {
        st = gy_predlog_open(&log, &s->log, err);
    }
    if (st == GY_OK) {
        st = gy_serving_publish(s, NULL, 0, err);
    }
    if (st != GY_OK) {
        gy_serving_close(s);
        return st;
    }
    *ret = s;
    return GY_OK;
}

void gy_serving_close(struct gy_serving *s)
{
    if (!s) {
        return;
    }
    gy_predlog_close(s->log);
    gy_table_unref(s->table);
    gy_table_unref_all(s->kept);
    gy_budget_free(s->budget);
    for (int i = 0; s->loops && i < s->n_loops; i++) {
        gy_infer_work_done(&s->loops[i].work);
    }
    gy_free(s->loops_memory);
    while (s->stats) {
        struct gy_endpoint_stats *next = s->stats->next;
        gy_endpoint_stats_free(s->stats);
        s->stats = next;
    }
    pthread_mutex_destroy(&s->shared);
    pthread_mutex_destroy(&s->changing);
    pthread_mutex_destroy(&s->publishing);
    pthread_mutex_destroy(&s->mu);
    gy_signals_done(&s->signals);
    gy_admission_done(&s->admission);
    gy_free(s);
}

void gy_serving_change_begin(struct gy_serving *s)
{
    pthread_mutex_lock(&s->changing);
}

void gy_serving_change_end(struct gy_serving *s)
{
    pthread_mutex_unlock(&s->changing);
}

int gy_serving_loops(const struct gy_serving *s)
{
    return s->n_loops;
}

void gy_serving_attach(struct gy_serving *s, struct gy_server *server)
{
    pthread_mutex_lock(&s->publishing); /* not in the middle of a swap */
    s->server = server;
    pthread_mutex_unlock(&s->publishing);
}

bool gy_serving_attached(struct gy_serving *s)
{
    pthread_mutex_lock(&s->publishing);
    bool attached = s->server != NULL;
    pthread_mutex_unlock(&s->publishing);
    return attached;
}

struct gy_predlog *gy_serving_log(struct gy_serving *s)
{
    return s->log;
}

struct gy_budget *gy_serving_budget(struct gy_serving *s)
{
    return s->budget;
}

struct gy_signals *gy_serving_signals(struct gy_serving *s)
{
    return &s->signals;
}

bool gy_rollout_signal(struct gy_serving *s, struct gy_str endpoint, struct gy_str version,
                       enum gy_signal_kind kind, double value, struct gy_str reason)
{
    return gy_signals_put(&s->signals, endpoint, version, kind, value, reason);
}

const struct gy_endpoint_stats *gy_serving_stats(struct gy_serving *s)
{
    pthread_mutex_lock(&s->mu);
    const struct gy_endpoint_stats *head = s->stats;
    pthread_mutex_unlock(&s->mu);
    return head;
}

uint64_t gy_serving_unknown(struct gy_serving *s)
{
    uint64_t n = atomic_load_explicit(&s->shared_unknown, memory_order_relaxed);
    for (int i = 0; i < s->n_loops; i++) {
        n += atomic_load_explicit(&s->loops[i].unknown, memory_order_relaxed);
    }
    return n;
}

uint64_t gy_serving_swaps(struct gy_serving *s)
{
    pthread_mutex_lock(&s->mu);
    uint64_t n = s->swaps;
    pthread_mutex_unlock(&s->mu);
    return n;
}

struct gy_table *gy_serving_table(struct gy_serving *s)
{
    pthread_mutex_lock(&s->mu);
    struct gy_table *t = gy_table_ref(s->table);
    pthread_mutex_unlock(&s->mu);
    return t;
}

/* ---- publishing ---- */

/* The counters of an endpoint and version: found or made, never removed. */
static gy_status give_stats_one(struct gy_serving *s, struct gy_endpoint *e, struct gy_err *err)
{
    if (e->stats) {
        return GY_OK; /* published before: loops may be reading it */
    }
    for (struct gy_endpoint_stats *one = s->stats; one; one = one->next) {
        if (gy_str_eq(one->endpoint, e->name) && gy_str_eq(one->version, e->version)) {
            e->stats = one;
            gy_endpoint_stats_sum(one, &e->stats_then);
            return GY_OK;
        }
    }
    struct gy_endpoint_stats *made =
        gy_endpoint_stats_new(e->name, e->version, (size_t)s->n_loops + 1);
    if (!made) {
        return gy_err_set(err, GY_E_NOMEM, "counters of an endpoint");
    }
    pthread_mutex_lock(&s->mu);
    made->next = s->stats;
    s->stats = made;
    pthread_mutex_unlock(&s->mu);
    e->stats = made;
    return GY_OK;
}

static gy_status give_stats(struct gy_serving *s, struct gy_endpoint *stable, struct gy_err *err)
{
    struct gy_endpoint *e;
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        GY_TRY(give_stats_one(s, e, err));
    }
    return GY_OK;
}

struct swap {
    struct gy_serving *serving;
    struct gy_table *table;
};

static void swap_loop(void *ctx, int loop)
{
    struct swap *swap = ctx;
    if (loop < swap->serving->n_loops) {
        swap->serving->loops[loop].table = swap->table;
    }
}

static gy_status swap_tables(struct gy_serving *s, struct gy_table *table, struct gy_err *err)
{
    struct swap swap = {s, table};
    if (s->server) {
        GY_TRY(gy_server_on_loops(s->server, swap_loop, &swap, err));
    } else {
        for (int i = 0; i < s->n_loops; i++) {
            swap_loop(&swap, i);
        }
    }
    pthread_mutex_lock(&s->mu);
    struct gy_table *old = s->table;
    s->table = table;
    s->swaps++;
    pthread_mutex_unlock(&s->mu);
    gy_table_unref(old);
    return GY_OK;
}

void gy_serving_set_log_key(struct gy_serving *s, const unsigned char key[GY_LOGGING_KEY])
{
    memcpy(s->log_key, key, sizeof s->log_key);
    s->has_log_key = true;
}

/* The key of hashed columns, when the first endpoint comes that has some. */
static gy_status need_log_key(struct gy_serving *s, struct gy_endpoint *stable, struct gy_err *err)
{
    struct gy_erasure_key home;
    struct gy_endpoint *e;
    bool needed = false;
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        needed = needed || e->logging.hashes;
    }
    if (!needed || s->has_log_key) {
        return GY_OK;
    }
    if (!s->key_dir[0]) {
        return gy_err_set(err, GY_E_UNSUPPORTED, "there is no home whose key could hash columns");
    }
    GY_TRY(gy_erasure_key_open(s->key_dir, true, &home, err));
    gy_logging_key(&home, s->log_key);
    s->has_log_key = true;
    return GY_OK;
}

gy_status gy_serving_publish(struct gy_serving *s, struct gy_endpoint *const *endpoints, size_t n,
                             struct gy_err *err)
{
    struct gy_table *table = NULL;
    GY_TRY(gy_table_new(endpoints, n, &table, err));
    pthread_mutex_lock(&s->publishing);
    gy_status st = GY_OK;
    for (size_t i = 0; st == GY_OK && i < n; i++) {
        st = give_stats(s, endpoints[i], err);
        st = st == GY_OK ? need_log_key(s, endpoints[i], err) : st;
    }
    if (st != GY_OK) {
        gy_table_unref(table);
    } else {
        st = swap_tables(s, table, err);
        if (st != GY_OK) {
            /* Some loops may have it, some the old one: both live until the end. */
            gy_table_keep(&s->kept, table);
        }
    }
    pthread_mutex_unlock(&s->publishing);
    gy_budget_settle(s->budget);
    return st;
}

/* ---- the request path ---- */

struct target {
    const struct gy_endpoint *stable;
    const struct gy_endpoint *endpoint; /* who answers; NULL until it is drawn */
    struct gy_ask ask;
    double propensity; /* with which probability it was drawn; 0: there was nothing to draw */
};

/* The variant of that role; a shadow answers nobody. */
static gy_status find_label(struct target *t, struct gy_err *err)
{
    struct gy_str label = t->ask.label;
    const struct gy_endpoint *e;
    for (size_t i = 0; (e = gy_variants_at(t->stable, i)) != NULL; i++) {
        if (e->role != GY_VARIANT_SHADOW && gy_str_eqc(label, gy_variant_role_name(e->role))) {
            t->endpoint = e;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_NOTFOUND, "nothing is labelled '%.*s' here",
                      (int)(label.n < 100 ? label.n : 100), label.p);
}

/* Fills err when there is nothing to answer the request. */
static gy_status find_endpoint(const struct gy_table *t, struct target *ret, struct gy_err *err)
{
    struct gy_str name = ret->ask.endpoint;
    struct gy_str version = ret->ask.version;
    if (!name.p) {
        return gy_table_default(t, &ret->stable, err);
    }
    ret->stable = gy_table_find(t, name);
    if (!ret->stable) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model '%.*s' not found",
                          (int)(name.n < 100 ? name.n : 100), name.p);
    }
    if (ret->ask.label.p) {
        return find_label(ret, err);
    }
    ret->endpoint = version.p ? gy_variants_version(ret->stable, version) : NULL;
    if (version.p && !ret->endpoint && !ret->ask.sticky) {
        return gy_err_set(err, GY_E_NOTFOUND, "Model '%.*s' with version '%.*s' not found",
                          (int)name.n, name.p, (int)(version.n < 100 ? version.n : 100), version.p);
    }
    return GY_OK;
}

/* Does a GET tell something about the endpoint there? */
static bool tells(const struct gy_ask *ask)
{
    return ask->alias && ask->alias->answer.n > 0;
}

static gy_status check_method(const struct gy_ask *ask, struct gy_str method,
                              struct gy_fast_reply *out, struct gy_err *err)
{
    bool get = gy_str_eqc(method, "GET") || gy_str_eqc(method, "HEAD");
    if (tells(ask) ? get : gy_str_eqc(method, "POST")) {
        return GY_OK;
    }
    (void)snprintf(out->extra_headers, sizeof out->extra_headers, "Allow: %s\r\n",
                   tells(ask) ? "GET, HEAD" : "POST");
    return gy_err_set(err, GY_E_METHOD, "Method Not Allowed");
}

/* Sets the protocol of *ret in any case: who is asked says how it failed. */
static gy_status find_target(const struct gy_table *t, const struct gy_request *req,
                             struct gy_str body, struct target *ret, struct gy_fast_reply *out,
                             struct gy_err *err)
{
    const struct gy_alias *alias = NULL;
    const struct gy_endpoint *owner = gy_table_route(t, req->path, req->inference_port, &alias);
    *ret =
        (struct target){.stable = owner, .ask = {.protocol = &gy_protocol_alias, .alias = alias}};
    bool own = owner && !alias->protocol; /* else it gives a protocol's path to its endpoint */
    if (!own && !gy_protocols_claim(req->path, &ret->ask)) {
        ret->ask.protocol = &gy_protocol_v2;
        return gy_err_set(err, GY_E_NOTFOUND, "Not Found");
    }
    GY_TRY(check_method(&ret->ask, req->method, out, err));
    if (own) {
        return GY_OK;
    }
    if (ret->ask.protocol->locate) {
        GY_TRY(ret->ask.protocol->locate(&ret->ask, req, body, err));
    }
    if (owner && !ret->ask.endpoint.p) {
        ret->ask.endpoint = owner->name;
    }
    return find_endpoint(t, ret, err);
}

/* The body as values of the endpoint's inputs. */
static gy_status read_body(const struct target *t, const struct gy_request *req, struct gy_str body,
                           struct gy_infer_request *q, struct gy_err *err)
{
    return t->ask.protocol->read(&t->ask, req, t->stable, body, q, err);
}

/* Who answers the prediction with this id. */
static void draw(struct target *t, const struct gy_request *req, const unsigned char id[16])
{
    if (t->endpoint) {
        return; /* the request names the version */
    }
    if (!t->stable->n_canaries) {
        t->endpoint = t->stable;
        return;
    }
    t->endpoint = gy_variants_pick(t->stable, id, gy_req_header(req, GY_STICKY_HEADER));
    t->propensity = t->endpoint->weight;
}

/* Predict as whoever answers, then as the shadow. */
static gy_status predict(const struct target *t, struct gy_infer_work *w, struct gy_err *err)
{
    GY_TRY(gy_infer_run(t->endpoint, w, err));
    if (t->ask.verb == GY_VERB_EXPLAIN) {
        GY_TRY(gy_infer_explain(t->endpoint, w, err));
    }
    return t->stable->shadow ? gy_infer_shadow(t->stable->shadow, w, err) : GY_OK;
}

static void fail(const struct target *t, struct gy_fast_reply *out, const struct gy_err *err)
{
    t->ask.protocol->fail(&t->ask, err, out);
}

/* Protocols have statuses of their own: whose fault it is says the error. */
static void fail_counted(const struct target *t, struct gy_fast_reply *out,
                         const struct gy_err *err, struct gy_stat_block *block)
{
    fail(t, out, err);
    gy_stat_add(gy_infer_http(err->code) < 500 ? &block->refused : &block->failed, 1);
}

/* It was not begun at all. */
static void fail_unbegun(const struct target *t, struct gy_fast_reply *out,
                         const struct gy_err *err, struct gy_stat_block *block)
{
    fail_counted(t, out, err, block);
    if (err->code == GY_E_LIMITED) {
        gy_stat_add(&block->limited, 1);
    } else if (err->code == GY_E_BUSY || err->code == GY_E_TIMEOUT) {
        gy_stat_add(&block->shed, 1);
    }
}

/* The request was read well: that there is no prediction is not the client's doing alone. */
static void fail_predicting(const struct target *t, struct gy_fast_reply *out,
                            const struct gy_err *err, struct gy_stat_block *block)
{
    fail(t, out, err);
    gy_stat_add(err->code == GY_E_INVALID ? &block->no_number : &block->failed, 1);
}

/* A deadline so short says more of the client than of the version that was drawn: with a sticky key
 * it could be aimed at a canary, whose guard counts failures. */
static bool is_hasty(const struct gy_infer_work *w, int64_t start, const struct gy_err *err)
{
    return err->code == GY_E_TIMEOUT && w->deadline_ns && w->deadline_ns - start < HASTY_NS;
}

static void count(const struct target *t, const struct gy_infer_work *w, size_t block,
                  uint64_t latency_ns)
{
    if (t->ask.unlogged) {
        return;
    }
    gy_infer_count(t->endpoint, w, &t->endpoint->stats->blocks[block], latency_ns);
    if (w->shadow_of) {
        gy_infer_count_shadow(w, &w->shadow_of->stats->blocks[block]);
    }
}

static void add_headers(const struct gy_endpoint *e, const char *id, struct gy_fast_reply *out)
{
    static const char name[] = "Gyre-Prediction-Id: ";
    char *to = out->extra_headers;
    memcpy(to, name, sizeof name - 1);
    to += sizeof name - 1;
    memcpy(to, id, GY_UUID_TEXT - 1);
    to += GY_UUID_TEXT - 1;
    memcpy(to, "\r\n", 2);
    to += 2;
    memcpy(to, e->headers.p, e->headers.n); /* names are short: it always fits */
    to[e->headers.n] = '\0';
}

static void succeed(const struct target *t, const struct gy_infer_work *w, const unsigned char *id,
                    struct gy_fast_reply *out)
{
    char text[GY_UUID_TEXT];
    gy_uuid_text(id, text);
    add_headers(t->endpoint, text, out);
    t->ask.protocol->answer(&t->ask, t->endpoint, w, text, out);
}

static uint32_t saturated(int64_t ns)
{
    return ns < 0 ? 0 : ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static bool claims(void *self, int loop, bool inference_port, struct gy_str method,
                   struct gy_str path)
{
    struct gy_serving *s = self;
    if (loop >= s->n_loops) {
        return false;
    }
    const struct gy_alias *alias;
    struct gy_ask ask;
    /* Other methods of a protocol's path are the router's: metadata, preflights. */
    return gy_table_route(s->loops[loop].table, path, inference_port, &alias) != NULL ||
           (gy_str_eqc(method, "POST") && gy_protocols_claim(path, &ask));
}

static gy_status log_full(struct gy_err *err)
{
    return gy_err_set(err, GY_E_UNAVAILABLE, "the prediction log is full, try again");
}

/* The record of what was predicted, as the endpoint wants it logged; false: not at all. */
static gy_status make_record(struct gy_serving *s, const struct target *t,
                             const struct gy_request *req, struct gy_str body, int64_t start,
                             struct gy_infer_work *w, struct gy_record *r, bool *ret_keep,
                             struct gy_err *err)
{
    gy_infer_record(t->endpoint, w, req->request_id, r);
    r->time_us = gy_now_us();
    r->latency_ns = saturated(gy_mono_ns() - start);
    (void)gy_trace_context(req, r->trace_id, r->parent_span);
    r->propensity = t->propensity;
    *ret_keep = true;
    const struct gy_logging *l = &t->endpoint->logging;
    if (l->sample >= 1 && !l->columns && !l->body) {
        return GY_OK;
    }
    struct gy_str type = l->body ? gy_req_header(req, "content-type") : GY_STR_NULL;
    return gy_infer_log_as(t->endpoint, s->log_key, w, body, type, r, ret_keep, err);
}

/* store NULL: on a loop. */
static enum gy_fast_result tell(struct gy_store *store, const struct target *t,
                                struct gy_fast_reply *out)
{
    struct gy_err err = GY_ERR_INIT;
    if (gy_about_answer(store, t->stable, t->ask.alias, out, &err) != GY_OK) {
        fail(t, out, &err);
    }
    return GY_FAST_DONE;
}

/* Give back the first n variants, or all. */
static void release_variants(const struct gy_endpoint *stable, size_t n)
{
    struct gy_endpoint *e;
    for (size_t i = 0; i < n && (e = gy_variants_at(stable, i)) != NULL; i++) {
        gy_loaded_release(e->model);
    }
}

/* All that could be asked, so that it says nothing about who is drawn when the request goes to the
 * pool instead, where lots are drawn anew. false: one is unloaded, and none is held. */
static bool try_hold_variants(const struct gy_endpoint *stable)
{
    struct gy_endpoint *e;
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        if (!gy_loaded_try_hold(e->model)) {
            release_variants(stable, i);
            return false;
        }
    }
    return true;
}

/* On a loop; whoever may answer is loaded, and stays so meanwhile. */
static enum gy_fast_result run_held(struct gy_serving *s, int loop, struct target *t,
                                    const struct gy_request *req, struct gy_str body, int64_t start,
                                    struct gy_fast_reply *out)
{
    struct loop *l = &s->loops[loop];
    struct gy_err err;
    err.hint[0] = '\0';
    gy_uuid7(&l->ids, l->work.id);
    draw(t, req, l->work.id);
    struct gy_stat_block *block = &t->endpoint->stats->blocks[loop];
    if (read_body(t, req, body, &l->work.q, &err) != GY_OK) {
        fail_counted(t, out, &err, block);
        return GY_FAST_DONE;
    }
    if (l->work.q.n_rows > t->stable->inline_rows) {
        return GY_FAST_DEFER;
    }
    struct gy_record r;
    if (predict(t, &l->work, &err) != GY_OK) {
        fail_predicting(t, out, &err, block);
        return GY_FAST_DONE;
    }
    bool keep;
    if (make_record(s, t, req, body, start, &l->work, &r, &keep, &err) != GY_OK) {
        fail_predicting(t, out, &err, block);
        return GY_FAST_DONE;
    }
    if (!keep) {
        gy_stat_add(&block->not_logged, 1);
    } else if (!gy_predlog_append(s->log, loop, &r)) {
        (void)log_full(&err);
        fail_counted(t, out, &err, block);
        return GY_FAST_DONE;
    }
    succeed(t, &l->work, r.id, out);
    count(t, &l->work, (size_t)loop, (uint64_t)(gy_mono_ns() - start));
    return GY_FAST_DONE;
}

static enum gy_fast_result run(void *self, int loop, const struct gy_request *req,
                               struct gy_str body, struct gy_fast_reply *out)
{
    struct gy_serving *s = self;
    struct loop *l = &s->loops[loop];
    int64_t start = gy_mono_ns();
    struct target t;
    struct gy_err err;
    err.hint[0] = '\0';
    if (find_target(l->table, req, body, &t, out, &err) != GY_OK) {
        gy_stat_add(&l->unknown, 1);
        fail(&t, out, &err);
        return GY_FAST_DONE;
    }
    if (tells(&t.ask)) {
        return t.ask.alias->answer.versions ? GY_FAST_DEFER : tell(NULL, &t, out);
    }
    if (gy_admit_rate(&s->admission, t.stable, req, out, &err) != GY_OK) {
        fail_unbegun(&t, out, &err, &t.stable->stats->blocks[loop]);
        return GY_FAST_DONE;
    }
    if (t.stable->waits) {
        return GY_FAST_WAIT;
    }
    /* Pictures are decoded by a worker: a small body may hold large ones. */
    if (body.n > GY_SERVING_INLINE_BODY || t.stable->shape.n_pixels ||
        t.ask.verb == GY_VERB_EXPLAIN ||
        (t.ask.protocol->heavy && t.ask.protocol->heavy(req, body)) || gy_predlog_waits(s->log)) {
        return GY_FAST_DEFER;
    }
    if (t.stable->unloads && !try_hold_variants(t.stable)) {
        return GY_FAST_DEFER;
    }
    enum gy_fast_result result = run_held(s, loop, &t, req, body, start, out);
    if (t.stable->unloads) {
        release_variants(t.stable, SIZE_MAX);
    }
    return result;
}

static bool admit(void *self, int loop, const struct gy_request *req, struct gy_str body,
                  size_t ahead, int n_workers, struct gy_fast_reply *out)
{
    struct gy_serving *s = self;
    struct target t;
    struct gy_err err = GY_ERR_INIT;
    if (find_target(s->loops[loop].table, req, body, &t, out, &err) != GY_OK ||
        gy_admit_queue(&s->admission, t.stable, req, ahead, n_workers, out, &err) == GY_OK) {
        return true; /* a worker says what is wrong with it */
    }
    fail_unbegun(&t, out, &err, &t.stable->stats->blocks[loop]);
    return false;
}

/* On a pool thread, with memory of its own. */
static gy_status answer(struct gy_serving *s, const struct target *t, const struct gy_request *req,
                        struct gy_str body, struct gy_infer_work *w, int64_t start,
                        struct gy_fast_reply *out, bool *ret_read, struct gy_err *err)
{
    struct gy_record r;
    GY_TRY(gy_admit_deadline(req, &w->deadline_ns, err));
    GY_TRY(read_body(t, req, body, &w->q, err));
    *ret_read = true;
    GY_TRY(predict(t, w, err));
    if (t->ask.unlogged) {
        succeed(t, w, w->id, out);
        return GY_OK;
    }
    bool keep;
    GY_TRY(make_record(s, t, req, body, start, w, &r, &keep, err));
    if (keep) {
        GY_TRY(gy_predlog_append_wait(s->log, &r, err));
    } else {
        pthread_mutex_lock(&s->shared);
        gy_stat_add(&t->endpoint->stats->blocks[s->n_loops].not_logged, 1);
        pthread_mutex_unlock(&s->shared);
    }
    succeed(t, w, r.id, out);
    return GY_OK;
}

/* The request may be answered now. */
static void answer_begun(struct gy_serving *s, struct target *t, const struct gy_request *req,
                         struct gy_str body, int64_t start, struct gy_fast_reply *out)
{
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work work = {0};
    pthread_mutex_lock(&s->shared);
    gy_uuid7(&s->shared_ids, work.id);
    pthread_mutex_unlock(&s->shared);
    draw(t, req, work.id);
    struct gy_stat_block *block = &t->endpoint->stats->blocks[s->n_loops];
    bool was_read = false;
    gy_status st = answer(s, t, req, body, &work, start, out, &was_read, &err);
    pthread_mutex_lock(&s->shared);
    if (st == GY_OK) {
        count(t, &work, (size_t)s->n_loops, (uint64_t)(gy_mono_ns() - start));
        gy_stat_add(&block->queue_ns, (uint64_t)(req->received_ns ? start - req->received_ns : 0));
    } else if (is_hasty(&work, start, &err)) {
        fail(t, out, &err);
        gy_stat_add(&block->refused, 1);
    } else if (was_read) {
        fail_predicting(t, out, &err, block);
    } else {
        fail_counted(t, out, &err, block);
    }
    pthread_mutex_unlock(&s->shared);
}

void gy_serving_answer(struct gy_serving *s, const struct gy_request *req, struct gy_str body,
                       struct gy_fast_reply *out)
{
    int64_t start = gy_mono_ns();
    GY_AUTO(gy_table_unref) struct gy_table *table = gy_serving_table(s);
    struct target t;
    struct gy_err err = GY_ERR_INIT;
    if (find_target(table, req, body, &t, out, &err) != GY_OK) {
        pthread_mutex_lock(&s->shared);
        gy_stat_add(&s->shared_unknown, 1);
        pthread_mutex_unlock(&s->shared);
        fail(&t, out, &err);
        return;
    }
    if (tells(&t.ask)) {
        (void)tell(s->store, &t, out);
        return;
    }
    size_t place = SIZE_MAX;
    gy_status begun =
        req->admitted ? GY_OK : gy_admit_rate(&s->admission, t.stable, req, out, &err);
    if (begun == GY_OK) {
        begun = gy_admit_begin(&s->admission, t.stable, req, out, &place, &err);
    }
    if (begun != GY_OK) {
        pthread_mutex_lock(&s->shared);
        fail_unbegun(&t, out, &err, &t.stable->stats->blocks[s->n_loops]);
        pthread_mutex_unlock(&s->shared);
        return;
    }
    answer_begun(s, &t, req, body, start, out);
    /* Waiting for another process says nothing of how fast the queue of the others moves. */
    gy_admit_end(&s->admission, place, t.stable->waits ? 0 : gy_mono_ns() - start);
}

static void deferred(void *self, int loop, const struct gy_request *req, struct gy_str body,
                     struct gy_fast_reply *out)
{
    (void)loop;
    gy_serving_answer(self, req, body, out);
}

static void refuse(void *self, const struct gy_request *req, const struct gy_err *failed,
                   struct gy_fast_reply *out)
{
    struct gy_ask ask;
    const struct gy_alias *alias = NULL;
    GY_AUTO(gy_table_unref) struct gy_table *table = gy_serving_table(self);
    bool owned = gy_table_route(table, req->path, req->inference_port, &alias) != NULL;
    if ((owned && !alias->protocol) || !gy_protocols_claim(req->path, &ask)) {
        ask = (struct gy_ask){.protocol = &gy_protocol_alias, .alias = alias};
    }
    ask.protocol->fail(&ask, failed, out);
    out->status = gy_status_http(failed->code);
}

/* Paths of protocols, the router's part of them too. */
static bool is_inference(struct gy_str path)
{
    static const char *const roots[] = {"/v2",   "/v1",          "/api/v1.0", "/api/v0.1",
                                        "/ping", "/invocations", "/seldon",   "/seldon.json"};
    if (gy_str_starts(path, GY_STR("/v2/repository/models/"))) {
        return false; /* load and unload deploy: no page of another origin, not on that port */
    }
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        size_t n = strlen(roots[i]);
        if (gy_str_starts(path, gy_str_c(roots[i])) && (path.n == n || path.p[n] == '/')) {
            return true;
        }
    }
    return false;
}

static bool serves(void *self, int loop, bool inference_port, struct gy_str path)
{
    return claims(self, loop, inference_port, GY_STR("POST"), path) || is_inference(path);
}

const struct gy_fast_ops gy_serving_fast = {
    .version = 1,
    .max_body = GY_INFER_MAX_BODY,
    .claims = claims,
    .run = run,
    .admit = admit,
    .deferred = deferred,
    .refuse = refuse,
    .serves = serves,
};
