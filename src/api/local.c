/* SPDX-License-Identifier: Apache-2.0 */
/* The in-process transport: what a command uses when no server runs. The request goes to the router
 * on the calling thread, as the user who runs the command. */
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "api/app.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"

struct local {
    struct gy_app *app;
    char actor[64];
};

static gy_status local_call(void *self, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct local *l = self;
    char request_id[GY_UUID_TEXT];
    struct gy_arena *given = req->arena;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena own;
    gy_arena_init(&own, GY_MAX_REQUEST_ARENA);
    GY_TRY(gy_new_id(request_id, err));
    req->arena = given ? given : &own;
    req->peer = GY_PEER_LOCAL;
    req->actor = gy_str_c(l->actor);
    if (!req->request_id.p) {
        req->request_id = gy_str_c(request_id);
    }
    gy_status status = gy_router_call(l->app->router, req, reply, err);
    req->arena = given;
    req->request_id = GY_STR_NULL; /* pointed into this frame */
    return status;
}

static void local_free(void *self)
{
    gy_free(self);
}

static const struct gy_call_ops local_ops = {1, "local", local_call, local_free};

static void user_name(char *out, size_t size)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char text[1024];
    if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) == 0 && found) {
        (void)snprintf(out, size, "%s", found->pw_name);
    } else {
        (void)snprintf(out, size, "uid:%u", (unsigned)geteuid());
    }
}

gy_status gy_local_caller_new(struct gy_app *app, struct gy_caller **ret, struct gy_err *err)
{
    struct local *l = gy_calloc(1, sizeof *l);
    struct gy_caller *c = gy_calloc(1, sizeof *c);
    if (!l || !c) {
        gy_free(l);
        gy_free(c);
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    l->app = app;
    user_name(l->actor, sizeof l->actor);
    *c = (struct gy_caller){&local_ops, l};
    *ret = c;
    return GY_OK;
}
