/* SPDX-License-Identifier: Apache-2.0 */
#include "store/actor.h"

bool gy_actor_named(struct gy_str actor)
{
    return actor.n > 0 && !gy_str_eqc(actor, "anonymous");
}

gy_status gy_actor_need(struct gy_str actor, const char *what, struct gy_err *err)
{
    if (gy_actor_named(actor)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_UNAUTHENTICATED, "%s needs a name: the actor is anonymous", what);
    (void)gy_err_hint(err, "ask over the server's socket (your user is the actor) or with a token");
    return GY_E_UNAUTHENTICATED;
}
