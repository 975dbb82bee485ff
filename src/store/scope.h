/* SPDX-License-Identifier: Apache-2.0 */
/* gy_scope: on whose behalf a thread works, for the time of one request: the workspace in which
 * names and ids are looked up, the actor, and what is to be written down beside each change. It
 * goes with the thread instead of through every signature, so that no closure can forget it:
 * gy_store_write and gy_store_read take the caller's scope into the closure, where
 * gy_db_workspace(db) and gy_db_scope(db) tell it. Without a scope the workspace is "default".
 *
 * Lifecycle: gy_scope_enter -> store calls -> gy_scope_leave, nested as function calls are. The
 * scope and its strings belong to the caller and live until leave. Thread rule: each thread has its
 * own; a closure on the writer thread sees the scope of the thread that waits for it. */
#ifndef GY_STORE_SCOPE_H
#define GY_STORE_SCOPE_H

#include "store/store.h"

#define GY_WORKSPACE_DEFAULT "default"

struct gy_scope {
    struct gy_str workspace; /* absent: "default" */
    struct gy_str actor;
    struct gy_str subject; /* what the request is about, for the audit log; absent: its path */
    /* MAY be NULL. Called once for each write closure that succeeded, inside its savepoint, before
     * the commit: what it writes is there exactly when the closure's own changes are. Its failure
     * is the closure's. */
    gy_status (*on_write)(struct gy_db *db, struct gy_scope *scope, struct gy_err *err);
    void *ctx;              /* of on_write */
    struct gy_scope *outer; /* set by gy_scope_enter */
};
void gy_scope_enter(struct gy_scope *s);
void gy_scope_leave(struct gy_scope *s); /* the innermost one */
struct gy_scope *gy_scope_current(void); /* NULL: none */

/* Inside closures. */
struct gy_str gy_db_workspace(const struct gy_db *db); /* never absent */
struct gy_scope *gy_db_scope(const struct gy_db *db);  /* NULL: none */
/* What is of one home only, as the place in its own prediction log, is stored under this name; "":
 * the database has only one. */
const char *gy_db_home(const struct gy_db *db);

#endif
