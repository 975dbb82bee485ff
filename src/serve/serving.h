/* SPDX-License-Identifier: Apache-2.0 */
/* gy_serving: what this process serves. It owns the table of loaded endpoints, the memory of each
 * event loop, the counters and the prediction log.
 *
 * The table is immutable and counted. Publishing builds a new one and has every loop swap its own
 * pointer between two requests (gy_server_on_loops); when all have acknowledged, the old one is let
 * go. So a request sees one whole table from its first to its last byte, and takes no lock and no
 * atomic operation for it; and when publishing returns, no loop answers from the old table.
 *
 * Lifecycle: gy_serving_open -> gy_server_start(fast = &gy_serving_fast, fast_self = serving) ->
 * gy_serving_attach -> ... -> gy_server_stop -> gy_serving_attach(NULL) -> gy_serving_close. */
#ifndef GY_SERVE_SERVING_H
#define GY_SERVE_SERVING_H

#include "net/server.h"
#include "serve/endpoint.h"
#include "serve/predlog.h"
#include "serve/signal.h"

#define GY_SERVING_MAX_ENDPOINTS 1000
#define GY_SERVING_INLINE_BODY (32 * GY_KIB) /* longer bodies are read off the loop */

struct gy_serving;

struct gy_serving_options {
    struct gy_store *store; /* MAY be NULL: where versions of models are listed from */
    const char *log_dir;    /* .gyre/log */
    const char *ring_dir;
    const char *key_dir; /* of the home's key (store/erasure_key.h); NULL: no hashed columns */
    int n_loops;         /* as the server has; 0: number of CPUs, at most 8 */
    int log_sync_ms;     /* -1: 50; 0: each answer waits until it is on the disk */
    size_t log_ring_bytes;
    bool log_drop_when_full;
    size_t model_memory; /* bytes; what the loaded models may take together; 0: no limit */
};
/* Opens (and recovers) the prediction log; serves nothing yet. Fails as gy_predlog_open. */
GY_CHECKED gy_status gy_serving_open(const struct gy_serving_options *o, struct gy_serving **ret,
                                     struct gy_err *err);
void gy_serving_close(struct gy_serving *s); /* after the server stopped; drains the log */
GY_DEFINE_AUTO(struct gy_serving *, gy_serving_close);
int gy_serving_loops(const struct gy_serving *s);
/* From now on publishing goes through the loops of this server. NULL: they have ended. */
void gy_serving_attach(struct gy_serving *s, struct gy_server *server);
/* Is there a server? Threads that change what is served by themselves wait for it: before, loops
 * may run already that publishing does not know. */
bool gy_serving_attached(struct gy_serving *s);

/* Hash logged columns with this key instead of the home's: a replica has its server's, so that
 * equal values have equal hashes in one log. Before the first publish. */
void gy_serving_set_log_key(struct gy_serving *s, const unsigned char key[GY_LOGGING_KEY]);

/* Serve exactly these endpoints (references are taken). Returns after every loop has the new table.
 * Fails: CONFLICT (two claim one alias path), TOOBIG, NOMEM, UNAVAILABLE (the server is going
 * down); then the old table stays. */
GY_CHECKED gy_status gy_serving_publish(struct gy_serving *s, struct gy_endpoint *const *endpoints,
                                        size_t n, struct gy_err *err);

/* Around "read what is to be served, publish it": changes come one after the other, so that none
 * publishes what another has replaced meanwhile. */
void gy_serving_change_begin(struct gy_serving *s);
void gy_serving_change_end(struct gy_serving *s);

/* The current table, for handlers on pool threads. One reference. */
struct gy_table;
struct gy_table *gy_serving_table(struct gy_serving *s);
void gy_table_unref(struct gy_table *t);
GY_DEFINE_AUTO(struct gy_table *, gy_table_unref);
size_t gy_table_count(const struct gy_table *t);
const struct gy_endpoint *gy_table_at(const struct gy_table *t, size_t i); /* sorted by name */
const struct gy_endpoint *gy_table_find(const struct gy_table *t, struct gy_str name);
/* The endpoint whose alias has that path, and the alias; NULL when none has. */
const struct gy_endpoint *gy_table_alias(const struct gy_table *t, struct gy_str path,
                                         const struct gy_alias **ret_alias);
/* The same for a request: on the main port without the aliases that are the inference port's, and
 * with what is told about the default endpoint (/status, /models/, ...) where no alias has it. */
const struct gy_endpoint *gy_table_route(const struct gy_table *t, struct gy_str path,
                                         bool inference_port, const struct gy_alias **ret_alias);

/* Who answers where no endpoint is named: the one that says `default: true`, else the only one.
 * Fails: NOTFOUND, listing those that there are. */
GY_CHECKED gy_status gy_table_default(const struct gy_table *t, const struct gy_endpoint **ret,
                                      struct gy_err *err);

/* For gy_server_options.fast, with fast_self = the serving. */
extern const struct gy_fast_ops gy_serving_fast;
/* Answer a prediction request on a pool thread (MAY block): what the router falls back to. */
void gy_serving_answer(struct gy_serving *s, const struct gy_request *req, struct gy_str body,
                       struct gy_fast_reply *out);

/* Something to know about the canary `version` of an endpoint, for the guard of rollouts. Any
 * thread. */
bool gy_rollout_signal(struct gy_serving *s, struct gy_str endpoint, struct gy_str version,
                       enum gy_signal_kind kind, double value, struct gy_str reason);
struct gy_signals *gy_serving_signals(struct gy_serving *s);

/* For metrics. The list is append-only and lives as long as the serving. */
struct gy_predlog *gy_serving_log(struct gy_serving *s);
struct gy_budget *gy_serving_budget(struct gy_serving *s); /* where loaded models are counted */
const struct gy_endpoint_stats *gy_serving_stats(struct gy_serving *s);
uint64_t gy_serving_unknown(struct gy_serving *s); /* requests for endpoints that are not there */
uint64_t gy_serving_swaps(struct gy_serving *s);   /* tables published */

#endif
