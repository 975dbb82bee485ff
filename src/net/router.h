/* SPDX-License-Identifier: Apache-2.0 */
/* The router: patterns to handlers. A pattern is "/api/gyre/v1/datasets/{name}" ; "{rest*}" at the
 * end takes the remaining path. Literal segments win over parameters, whatever the order of adding;
 * a colon suffix works inside a segment:
 * "/v1/models/{name}:predict". "//a" is routed as "/a". Unknown path: 404; known path, wrong
 * method: 405 with Allow; HEAD is answered by GET; OPTIONS: 204 with Allow. Each group of routes
 * has its own error style, so that MLflow clients see MLflow's error bodies. Built once, then read
 * by any number of threads. */
#ifndef GY_NET_ROUTER_H
#define GY_NET_ROUTER_H

#include "base/limits.h"
#include "net/access.h"
#include "net/call.h"

/* A request body of a route that sets no limit of its own. Small enough that a body of nothing but
 * brackets costs little before it is refused. */
#define GY_ROUTE_MAX_BODY (8 * GY_MIB)

struct gy_router;

/* A handler answers through reply, or returns an error before reply was begun. ctx is the router's.
 */
typedef gy_status (*gy_handler)(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                struct gy_err *err);
/* Turns a failure into an answer; NULL in a route: gy_reply_problem. */
typedef gy_status (*gy_error_style)(struct gy_request *req, struct gy_reply *reply,
                                    const struct gy_err *failed, struct gy_err *err);

struct gy_route {
    const char *method;
    const char *pattern;
    gy_handler handler;
    gy_error_style errors;
    size_t max_body;   /* 0: GY_ROUTE_MAX_BODY; SIZE_MAX: streamed without limit */
    const char *title; /* for the API document */
    enum gy_access access;
    unsigned flags; /* GY_ROUTE_* */
};

/* Who may come in. The router asks it before each handler, and the server before each prediction
 * that it answers on an event loop. Thread safe; self outlives the router's use. */
struct gy_router_guard {
    void *self;
    /* Worker or caller's thread; MAY block. route NULL: a prediction. GY_OK: req->actor and
     * req->role are set, and leave(*ret_pass) is called on the same thread when the handler has
     * come back. Else the failure is the answer: UNAUTHENTICATED gets the header WWW-Authenticate.
     */
    gy_status (*enter)(void *self, const struct gy_route *route, struct gy_request *req,
                       void **ret_pass, struct gy_err *err);
    /* What became of it: status and, unless it is GY_OK, why. */
    void (*leave)(void *self, void *pass, gy_status status, const struct gy_err *failed);
    /* Event loop; must neither block nor lock. True: this caller may predict, req->actor and
     * req->role are set (views that live as long as the calling thread's next call). False: not
     * known here, ask enter. */
    bool (*known)(void *self, struct gy_request *req);
};

GY_CHECKED gy_status gy_router_new(struct gy_router **ret, struct gy_err *err);
/* Add n routes whose handlers get ctx. The table must outlive the router. Fails: EXISTS (same
 * method and pattern), NOMEM. */
GY_CHECKED gy_status gy_router_add(struct gy_router *r, const struct gy_route *routes, size_t n,
                                   void *ctx, struct gy_err *err);
void gy_router_free(struct gy_router *r);
GY_DEFINE_AUTO(struct gy_router *, gy_router_free);

/* What a path would meet, before any body is read: NULL when unknown. */
const struct gy_route *gy_router_find(const struct gy_router *r, struct gy_str method,
                                      struct gy_str path);
/* Dispatch, error styles applied. Always delivers an answer unless the reply itself fails. */
GY_CHECKED gy_status gy_router_call(struct gy_router *r, struct gy_request *req,
                                    struct gy_reply *reply, struct gy_err *err);
/* The router as a gy_caller (in-process transport). c must outlive its use; frees nothing. */
void gy_router_caller(struct gy_router *r, struct gy_caller *c);
/* Before the first call; guard outlives the router. Without one everybody may everything. */
/* From now on routes are added only where keep says yes to their pattern. NULL: all. */
void gy_router_set_filter(struct gy_router *r, bool (*keep)(struct gy_str pattern));
void gy_router_set_guard(struct gy_router *r, const struct gy_router_guard *guard);
const struct gy_router_guard *gy_router_guard(const struct gy_router *r); /* NULL: none */
/* What a failure of the guard adds to the answer; absent name: nothing. */
struct gy_header gy_router_challenge(gy_status failed);
/* Iterate over all routes (for the API document). */
const struct gy_route *gy_router_at(const struct gy_router *r, size_t i);

#endif
