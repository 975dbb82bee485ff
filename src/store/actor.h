/* SPDX-License-Identifier: Apache-2.0 */
/* Who acts. The server gives each caller a name, and "anonymous" to those it does not know; what
 * somebody must answer for refuses them. */
#ifndef GY_STORE_ACTOR_H
#define GY_STORE_ACTOR_H

#include "base/err.h"
#include "base/str.h"

bool gy_actor_named(struct gy_str actor);
/* what: "a verdict". Fails: UNAUTHENTICATED. */
GY_CHECKED gy_status gy_actor_need(struct gy_str actor, const char *what, struct gy_err *err);

#endif
