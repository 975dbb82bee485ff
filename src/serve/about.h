/* SPDX-License-Identifier: Apache-2.0 */
/* What a GET of an alias says: is it there, which version answers, which versions the registry has.
 * Texts are ready since the deploy; only the registry's list is read when it is asked for. */
#ifndef GY_SERVE_ABOUT_H
#define GY_SERVE_ABOUT_H

#include "net/server.h"
#include "serve/endpoint.h"
#include "store/store.h"

#define GY_ABOUT_MAX_VERSIONS 1000 /* that a list names: the newest ones */

/* May block when the answer lists versions (alias->answer.versions). store MAY be NULL: then the
 * list has the versions that answer. Fails: as the store, NOMEM. */
GY_CHECKED gy_status gy_about_answer(struct gy_store *store, const struct gy_endpoint *e,
                                     const struct gy_alias *alias, struct gy_fast_reply *out,
                                     struct gy_err *err);

#endif
