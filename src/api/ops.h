/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes of the registry for operations share (ops*.c): one request that runs in one
 * closure of the store and answers with what the closure wrote. */
#ifndef GY_API_OPS_H
#define GY_API_OPS_H

#include "api/app.h"
#include "base/json.h"

#define GY_OPS_MAX_BODY ((size_t)(512 * 1024)) /* of what these routes read */

struct gy_ops_call {
    struct gy_app *app;
    struct gy_request *req;
    yyjson_doc *doc;  /* of the body, gy_ops_body */
    yyjson_val *body; /* its root; NULL: none was read */
    struct gy_buf out;
    struct gy_jw w; /* of the answer; starts anew when a closure does */
    int http;       /* of the answer; 0: 200 */
    void *in;       /* the closure's own */
};
void gy_ops_done(struct gy_ops_call *c);
GY_DEFINE_AUTO_DONE(struct gy_ops_call, gy_ops_done);
#define GY_OPS_CALL(ctx, request)      \
    {                                  \
        .app = (ctx), .req = (request) \
    }

typedef gy_status (*gy_ops_fn)(struct gy_db *db, struct gy_ops_call *c, struct gy_err *err);

/* Read the body as an object. Fails: as gy_api_object. */
GY_CHECKED gy_status gy_ops_body(struct gy_ops_call *c, struct gy_err *err);
/* A text of the body, at most GY_API_MAX_TEXT bytes, absent when it is not there. */
GY_CHECKED gy_status gy_ops_text(struct gy_ops_call *c, const char *key, struct gy_str *ret,
                                 struct gy_err *err);
/* The reason of the body, else that of the header. */
GY_CHECKED gy_status gy_ops_reason(struct gy_ops_call *c, struct gy_str *ret, struct gy_err *err);
/* A whole number of the body; absent: `absent`. Fails: INVALID. */
GY_CHECKED gy_status gy_ops_i64(struct gy_ops_call *c, const char *key, int64_t min, int64_t absent,
                                int64_t *ret, struct gy_err *err);
/* The same of the query. */
GY_CHECKED gy_status gy_ops_query(struct gy_ops_call *c, const char *key, int64_t min, int64_t max,
                                  int64_t absent, int64_t *ret, struct gy_err *err);
/* Run fn in a closure. What it wrote into c->w stays there. */
GY_CHECKED gy_status gy_ops_run(struct gy_ops_call *c, gy_ops_fn fn, bool write,
                                struct gy_err *err);
/* Send what is in c->w. */
GY_CHECKED gy_status gy_ops_send(struct gy_ops_call *c, struct gy_reply *reply, struct gy_err *err);
/* Both. */
GY_CHECKED gy_status gy_ops_answer(struct gy_ops_call *c, gy_ops_fn fn, bool write,
                                   struct gy_reply *reply, struct gy_err *err);

#endif
