/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"
#include "store/scope.h"
#include "store/users_internal.h"

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* As MLflow has it (WorkspaceNameValidator), so that a name that is good there is good here. */
gy_status gy_workspace_check_name(struct gy_str name, struct gy_err *err)
{
    static const char *const reserved[] = {"workspaces", "api", "ajax-api", "static-files"};
    if (name.n < 2 || name.n > 63) {
        return gy_err_set(err, GY_E_INVALID,
                          "Workspace name '%" GY_STR_F "' must be between 2 and 63 characters.",
                          GY_STR_A(gy_str_sub(name, 0, 100)));
    }
    bool fits = is_word_char(name.p[0]) && is_word_char(name.p[name.n - 1]);
    for (size_t i = 1; i < name.n && fits; i++) {
        fits = is_word_char(name.p[i]) || (name.p[i] == '-' && name.p[i - 1] != '-');
    }
    if (!fits) {
        return gy_err_set(err, GY_E_INVALID,
                          "Workspace name '%" GY_STR_F "' must match the pattern "
                          "^(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?$ (lowercase alphanumeric with "
                          "optional internal hyphens).",
                          GY_STR_A(name));
    }
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (gy_str_eqc(name, reserved[i])) {
            return gy_err_set(err, GY_E_INVALID,
                              "Workspace name '%s' is reserved and cannot be used.", reserved[i]);
        }
    }
    return GY_OK;
}

static gy_status not_found(struct gy_str name, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTFOUND, "Workspace '%" GY_STR_F "' not found",
                      GY_STR_A(gy_str_sub(name, 0, 64)));
}

gy_status gy_workspace_exists(struct gy_db *db, struct gy_str name, bool *ret, struct gy_err *err)
{
    int64_t one;
    return gy_db_get_i64(db, "SELECT 1 FROM workspaces WHERE id=? AND deleted=0",
                         GY_VALS(gy_vs(name)), ret, &one, err);
}

gy_status gy_workspace_add(struct gy_db *db, struct gy_str name, struct gy_str description,
                           struct gy_str actor, struct gy_err *err)
{
    int64_t added = 0;
    if (gy_str_eqc(name, GY_WORKSPACE_DEFAULT)) {
        return gy_err_set(err, GY_E_INVALID,
                          "The 'default' workspace is reserved and cannot be created");
    }
    GY_TRY(gy_workspace_check_name(name, err));
    GY_TRY(gy_identity_bound(db, "SELECT COUNT(*) FROM workspaces", GY_NO_VALS, GY_WORKSPACE_MAX,
                             "workspaces", err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO workspaces (id, name, description, actor, created_us) "
        "VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
        GY_VALS(gy_vs(name), gy_vs(name), gy_vs(description), gy_vs(actor), gy_vi(gy_now_us())),
        &added, err));
    if (added == 0) {
        bool live;
        GY_TRY(gy_workspace_exists(db, name, &live, err));
        if (!live) {
            return gy_err_set(err, GY_E_CONFLICT,
                              "a workspace '%" GY_STR_F "' was deleted; choose another name",
                              GY_STR_A(name));
        }
        return gy_err_set(err, GY_E_EXISTS, "Workspace '%" GY_STR_F "' already exists.",
                          GY_STR_A(name));
    }
    return gy_identity_moved(db, err);
}

gy_status gy_workspace_describe(struct gy_db *db, struct gy_str name, struct gy_str description,
                                struct gy_err *err)
{
    int64_t changed = 0;
    GY_TRY(gy_db_exec(db, "UPDATE workspaces SET description=? WHERE id=? AND deleted=0",
                      GY_VALS(gy_vs(description), gy_vs(name)), &changed, err));
    return changed ? GY_OK : not_found(name, err);
}

#define WORKSPACE_COLUMNS "SELECT w.id, w.description, w.actor, w.created_us FROM workspaces w "

static gy_status read_workspace(struct gy_stmt *st, struct gy_arena *a, struct gy_workspace *ret,
                                struct gy_err *err)
{
    *ret = (struct gy_workspace){.created_us = gy_col_i64(st, 3)};
    GY_TRY(gy_col_copy(st, 0, a, &ret->name, err));
    GY_TRY(gy_col_copy(st, 1, a, &ret->description, err));
    return gy_col_copy(st, 2, a, &ret->actor, err);
}

gy_status gy_workspace_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                           struct gy_workspace *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_query(db, WORKSPACE_COLUMNS "WHERE w.id=? AND w.deleted=0", GY_VALS(gy_vs(name)),
                       &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    return row ? read_workspace(st, a, ret, err) : not_found(name, err);
}

gy_status gy_workspace_list(struct gy_db *db, struct gy_str user, struct gy_arena *a,
                            struct gy_workspace **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_workspace *all = gy_arena_calloc(a, GY_WORKSPACE_MAX, sizeof *all);
    struct gy_str any = user.p ? user : GY_STR("");
    size_t n = 0;
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "reading workspaces");
    }
    GY_TRY(gy_db_query(db,
                       WORKSPACE_COLUMNS
                       "WHERE w.deleted=0 AND (?='' OR EXISTS (SELECT 1 FROM grants g WHERE "
                       "g.user_name=? AND (g.workspace=w.id OR g.workspace=?))) ORDER BY w.id",
                       GY_VALS(gy_vs(any), gy_vs(any), gy_vc(GY_WORKSPACE_ANY)), &st, err));
    while (n < GY_WORKSPACE_MAX) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_workspace(st, a, &all[n++], err));
    }
    *ret = all;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_workspace_remove(struct gy_db *db, struct gy_str name, struct gy_err *err)
{
    bool exists;
    int64_t things = 0;
    if (gy_str_eqc(name, GY_WORKSPACE_DEFAULT)) {
        return gy_err_set(err, GY_E_CONFLICT, "the workspace 'default' stays");
    }
    GY_TRY(gy_workspace_exists(db, name, &exists, err));
    if (!exists) {
        return not_found(name, err);
    }
    GY_TRY(gy_db_get_i64(db,
                         "SELECT (SELECT COUNT(*) FROM experiments WHERE workspace_id=?) + (SELECT "
                         "COUNT(*) FROM registered_models WHERE workspace_id=?)",
                         GY_VALS(gy_vs(name), gy_vs(name)), &exists, &things, err));
    if (things) {
        (void)gy_err_set(err, GY_E_CONFLICT, "the workspace '%" GY_STR_F "' is not empty",
                         GY_STR_A(name));
        return gy_err_hint(err, "deleted experiments and models count until they are purged");
    }
    GY_TRY(gy_db_exec(db, "DELETE FROM grants WHERE workspace=?", GY_VALS(gy_vs(name)), NULL, err));
    GY_TRY(gy_db_exec(db, "UPDATE workspaces SET deleted=1 WHERE id=?", GY_VALS(gy_vs(name)), NULL,
                      err));
    return gy_identity_moved(db, err);
}
