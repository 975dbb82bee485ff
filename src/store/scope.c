/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scope.h"

#include "store/store_internal.h"

static _Thread_local struct gy_scope *tl_scope;

void gy_scope_enter(struct gy_scope *s)
{
    s->outer = tl_scope;
    tl_scope = s;
}

void gy_scope_leave(struct gy_scope *s)
{
    GY_REQUIRE(tl_scope == s);
    tl_scope = s->outer;
}

struct gy_scope *gy_scope_current(void)
{
    return tl_scope;
}

struct gy_str gy_db_workspace(const struct gy_db *db)
{
    return db->scope && db->scope->workspace.p ? db->scope->workspace
                                               : GY_STR(GY_WORKSPACE_DEFAULT);
}

const char *gy_db_home(const struct gy_db *db)
{
    return db->home ? db->home : "";
}

struct gy_scope *gy_db_scope(const struct gy_db *db)
{
    return db->scope;
}
