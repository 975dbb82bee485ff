/* SPDX-License-Identifier: Apache-2.0 */
/* gy_protocol: a wire format in which predictions are asked for: Open Inference Protocol, the alias
 * routes, ... Each is a vtable in a file of its own (protocol_*.c) and one line in protocols.c.
 * What is between reading and answering is the same for all: who answers (canary, version), rules,
 * model, shadow, log, counters (serving.c).
 *
 * Everything here runs on an event loop: nothing blocks, nothing allocates in a steady state. */
#ifndef GY_SERVE_PROTOCOL_H
#define GY_SERVE_PROTOCOL_H

#include "net/server.h"
#include "serve/infer.h"

struct gy_protocol;

enum gy_verb {
    GY_VERB_PREDICT,
    GY_VERB_EXPLAIN, /* what moved the answer, beside it: always on the pool */
};

/* What is asked of whom, as far as the path (and `locate`) says it. Views into the request. */
struct gy_ask {
    const struct gy_protocol *protocol;
    struct gy_str endpoint;       /* absent: not named; the endpoint that is the default answers */
    struct gy_str version;        /* absent: whoever is drawn */
    struct gy_str label;          /* the same by role: "stable", "canary" */
    const struct gy_alias *alias; /* of the endpoint that has the path; NULL: no alias route */
    enum gy_verb verb;
    bool unlogged; /* neither logged nor counted; only messages ask so (serve/message.h) */
    bool sticky;   /* the version is a wish: when it does not answer, whoever is drawn does */
};

struct gy_protocol {
    uint32_t ops_version; /* 1 */
    const char *name;     /* "v2" */
    /* Is the path one of its own, whatever the method? Looks at the path alone; fills endpoint,
     * version and verb of *ret (the rest is zero). Paths are as sent: %-encoded. */
    bool (*claims)(struct gy_str path, struct gy_ask *ret);
    /* MAY be NULL. Where headers or body say whom the request is for: completes *ask. Fails: as
     * read. */
    gy_status (*locate)(struct gy_ask *ask, const struct gy_request *req, struct gy_str body,
                        struct gy_err *err);
    /* The body as rows of values of the endpoint's inputs. stable: whose shape counts for all
     * variants. What answer will need to know of the request is kept in q->asked. Fails: PARSE,
     * INVALID, TOOBIG, UNSUPPORTED, NOMEM. */
    gy_status (*read)(const struct gy_ask *ask, const struct gy_request *req,
                      const struct gy_endpoint *stable, struct gy_str body,
                      struct gy_infer_request *q, struct gy_err *err);
    /* MAY be NULL. Is what a request asks for too long for an event loop, whatever its size? Cheap.
     */
    bool (*heavy)(const struct gy_request *req, struct gy_str body);
    /* Status, content type and body of the answer; extra_headers hold Gyre's own already, and may
     * be added to. */
    void (*answer)(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out);
    /* The same for what failed. */
    void (*fail)(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out);
};

/* The protocol that has the path; false: none has. Aliases are the table's business. */
bool gy_protocols_claim(struct gy_str path, struct gy_ask *ret);

extern const struct gy_protocol gy_protocol_v2, gy_protocol_alias;
/* POST /v2/models/{name}[/versions/{version}]/explain: asked as infer is. */
extern const struct gy_protocol gy_protocol_explain;
extern const struct gy_protocol gy_protocol_grpc, gy_protocol_grpc_stream;
extern const struct gy_protocol gy_protocol_v1, gy_protocol_seldon, gy_protocol_mlflow;

/* An answer of {"error": "..."}, as protocols without a form of their own have it. */
void gy_protocol_fail_json(const struct gy_ask *ask, const struct gy_err *failed,
                           struct gy_fast_reply *out);

#endif
