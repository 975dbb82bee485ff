/* SPDX-License-Identifier: Apache-2.0 */
#include "store/users.h"

#include "base/time.h"
#include "store/scope.h"
#include "store/users_internal.h"

/* ---- names ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '@';
}

gy_status gy_user_check_name(struct gy_str name, struct gy_err *err)
{
    bool fits = name.n >= 1 && name.n <= GY_USER_MAX_NAME && name.p[0] != '-';
    for (size_t i = 0; i < name.n && fits; i++) {
        fits = is_name_char(name.p[i]);
    }
    if (!fits) {
        return gy_err_set(err, GY_E_INVALID,
                          "a user's name has 1 to %d letters, digits or . _ - @, no '-' first",
                          GY_USER_MAX_NAME);
    }
    /* What the program itself writes as an actor must not be somebody's name. */
    if (gy_str_ieq(name, GY_STR("anonymous")) || gy_str_ieq(name, GY_STR("gyre"))) {
        return gy_err_set(err, GY_E_INVALID, "the name '%" GY_STR_F "' is reserved",
                          GY_STR_A(name));
    }
    return GY_OK;
}

gy_status gy_identity_generation(struct gy_db *db, int64_t *ret, struct gy_err *err)
{
    bool found;
    GY_TRY(gy_db_get_i64(db, "SELECT generation FROM identity_state WHERE id=1", GY_NO_VALS, &found,
                         ret, err));
    return found ? GY_OK : gy_err_set(err, GY_E_CORRUPT, "the generation of logins is gone");
}

gy_status gy_identity_moved(struct gy_db *db, struct gy_err *err)
{
    return gy_db_exec(db, "UPDATE identity_state SET generation = generation + 1 WHERE id=1",
                      GY_NO_VALS, NULL, err);
}

gy_status gy_identity_bound(struct gy_db *db, const char *sql, const struct gy_val *vals,
                            size_t n_vals, int64_t max, const char *what, struct gy_err *err)
{
    int64_t n = 0;
    bool found;
    GY_TRY(gy_db_get_i64(db, sql, vals, n_vals, &found, &n, err));
    return n < max ? GY_OK
                   : gy_err_set(err, GY_E_TOOBIG, "there are %lld %s already, the most",
                                (long long)n, what);
}

/* ---- users ---- */

gy_status gy_user_need(struct gy_db *db, struct gy_str name, struct gy_err *err)
{
    int64_t one;
    bool found;
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM users WHERE name=?", GY_VALS(gy_vs(name)), &found, &one,
                         err));
    return found ? GY_OK
                 : gy_err_set(err, GY_E_NOTFOUND, "there is no user '%" GY_STR_F "'",
                              GY_STR_A(gy_str_sub(name, 0, GY_USER_MAX_NAME)));
}

gy_status gy_user_add(struct gy_db *db, struct gy_str name, bool service,
                      struct gy_str password_hash, struct gy_str actor, struct gy_err *err)
{
    int64_t added = 0;
    GY_TRY(gy_user_check_name(name, err));
    GY_TRY(
        gy_identity_bound(db, "SELECT COUNT(*) FROM users", GY_NO_VALS, GY_USER_MAX, "users", err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO users (name, service, password_hash, actor, created_us) "
                      "VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
                      GY_VALS(gy_vs(name), gy_vi(service), gy_vs(password_hash), gy_vs(actor),
                              gy_vi(gy_now_us())),
                      &added, err));
    if (added == 0) {
        return gy_err_set(err, GY_E_EXISTS, "there is a user '%" GY_STR_F "' already",
                          GY_STR_A(name));
    }
    return gy_identity_moved(db, err);
}

#define USER_COLUMNS                                                                            \
    "SELECT name, service, disabled, from_file, CASE WHEN password_hash IS NULL THEN 0 ELSE 1 " \
    "END, actor, created_us, last_login_us FROM users "

static gy_status read_user(struct gy_stmt *st, struct gy_arena *a, struct gy_user *ret,
                           struct gy_err *err)
{
    *ret = (struct gy_user){.service = gy_col_i64(st, 1) != 0,
                            .disabled = gy_col_i64(st, 2) != 0,
                            .from_file = gy_col_i64(st, 3) != 0,
                            .has_password = gy_col_i64(st, 4) != 0,
                            .created_us = gy_col_i64(st, 6),
                            .last_login_us = gy_col_i64(st, 7)};
    GY_TRY(gy_col_copy(st, 0, a, &ret->name, err));
    return gy_col_copy(st, 5, a, &ret->actor, err);
}

gy_status gy_user_get(struct gy_db *db, struct gy_str name, struct gy_arena *a, struct gy_user *ret,
                      struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_user_need(db, name, err));
    GY_TRY(gy_db_query(db, USER_COLUMNS "WHERE name=?", GY_VALS(gy_vs(name)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    return row ? read_user(st, a, ret, err)
               : gy_err_set(err, GY_E_NOTFOUND, "there is no such user");
}

gy_status gy_user_list(struct gy_db *db, struct gy_arena *a, struct gy_user **ret, size_t *ret_n,
                       struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_user *users = gy_arena_calloc(a, GY_USER_MAX, sizeof *users);
    size_t n = 0;
    bool row = true;
    if (!users) {
        return gy_err_set(err, GY_E_NOMEM, "reading users");
    }
    GY_TRY(gy_db_query(db, USER_COLUMNS "ORDER BY name", GY_NO_VALS, &st, err));
    while (n < GY_USER_MAX) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_user(st, a, &users[n++], err));
    }
    *ret = users;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_user_set_password(struct gy_db *db, struct gy_str name, struct gy_str hash,
                               struct gy_err *err)
{
    GY_TRY(gy_user_need(db, name, err));
    GY_TRY(gy_db_exec(db, "UPDATE users SET password_hash=? WHERE name=?",
                      GY_VALS(gy_vs(hash), gy_vs(name)), NULL, err));
    return gy_identity_moved(db, err);
}

/* ---- the last admin ---- */

/* People who can keep users: admins of "default" or of every workspace, not disabled. Counted after
 * gy_identity_moved, on whose row the servers of one database queue: two that each take one of the
 * last two admins must not both count the other's. */
static gy_status count_admins(struct gy_db *db, int64_t *ret, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(
        db,
        "SELECT COUNT(DISTINCT u.name) FROM users u JOIN grants g ON "
        "g.user_name = u.name WHERE u.disabled = 0 AND g.role = ? AND "
        "(g.workspace = ? OR g.workspace = ?)",
        GY_VALS(gy_vi(GY_AUTH_ADMIN), gy_vc(GY_WORKSPACE_ANY), gy_vc(GY_WORKSPACE_DEFAULT)), &found,
        ret, err);
}

static gy_status check_admins(struct gy_db *db, int64_t before, struct gy_err *err)
{
    int64_t after = 0;
    GY_TRY(count_admins(db, &after, err));
    if (before > 0 && after == 0) {
        (void)gy_err_set(err, GY_E_CONFLICT, "that would leave nobody who is an admin");
        return gy_err_hint(err, "make somebody else one first: gyre user grant NAME admin");
    }
    return GY_OK;
}

gy_status gy_user_disable(struct gy_db *db, struct gy_str name, bool disabled, struct gy_err *err)
{
    int64_t admins = 0;
    GY_TRY(gy_user_need(db, name, err));
    GY_TRY(gy_identity_moved(db, err));
    GY_TRY(count_admins(db, &admins, err));
    GY_TRY(gy_db_exec(db, "UPDATE users SET disabled=? WHERE name=?",
                      GY_VALS(gy_vi(disabled), gy_vs(name)), NULL, err));
    return check_admins(db, admins, err);
}

/* ---- grants ---- */

gy_status gy_grant_set(struct gy_db *db, struct gy_str user, struct gy_str workspace,
                       enum gy_auth_role role, struct gy_str actor, struct gy_err *err)
{
    bool exists = gy_str_eqc(workspace, GY_WORKSPACE_ANY);
    int64_t admins = 0;
    GY_TRY(gy_user_need(db, user, err));
    if (!exists) {
        GY_TRY(gy_workspace_exists(db, workspace, &exists, err));
    }
    if (!exists) {
        return gy_err_set(err, GY_E_NOTFOUND, "Workspace '%" GY_STR_F "' not found",
                          GY_STR_A(gy_str_sub(workspace, 0, 64)));
    }
    GY_TRY(gy_identity_bound(db, "SELECT COUNT(*) FROM grants WHERE user_name=?",
                             GY_VALS(gy_vs(user)), GY_USER_MAX_GRANTS, "grants", err));
    GY_TRY(gy_identity_moved(db, err));
    GY_TRY(count_admins(db, &admins, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO grants (user_name, workspace, role, actor, created_us) "
        "VALUES (?,?,?,?,?) ON CONFLICT (user_name, workspace) DO UPDATE SET "
        "role=excluded.role, actor=excluded.actor, created_us=excluded.created_us",
        GY_VALS(gy_vs(user), gy_vs(workspace), gy_vi(role), gy_vs(actor), gy_vi(gy_now_us())), NULL,
        err));
    return check_admins(db, admins, err);
}

gy_status gy_grant_remove(struct gy_db *db, struct gy_str user, struct gy_str workspace,
                          struct gy_err *err)
{
    int64_t admins = 0, removed = 0;
    GY_TRY(gy_user_need(db, user, err));
    GY_TRY(gy_identity_moved(db, err));
    GY_TRY(count_admins(db, &admins, err));
    GY_TRY(gy_db_exec(db, "DELETE FROM grants WHERE user_name=? AND workspace=?",
                      GY_VALS(gy_vs(user), gy_vs(workspace)), &removed, err));
    if (removed == 0) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "'%" GY_STR_F "' has no role of its own in '%" GY_STR_F "'",
                          GY_STR_A(user), GY_STR_A(gy_str_sub(workspace, 0, 64)));
    }
    return check_admins(db, admins, err);
}

gy_status gy_grant_list(struct gy_db *db, struct gy_str user, struct gy_arena *a,
                        struct gy_grant **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_grant *grants = gy_arena_calloc(a, GY_USER_MAX_GRANTS, sizeof *grants);
    size_t n = 0;
    if (!grants) {
        return gy_err_set(err, GY_E_NOMEM, "reading grants");
    }
    GY_TRY(gy_db_query(db,
                       "SELECT workspace, role FROM grants WHERE user_name=? ORDER BY workspace",
                       GY_VALS(gy_vs(user)), &st, err));
    while (n < GY_USER_MAX_GRANTS) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        grants[n].role = (enum gy_auth_role)gy_col_i64(st, 1);
        GY_TRY(gy_col_copy(st, 0, a, &grants[n].workspace, err));
        n++;
    }
    *ret = grants;
    *ret_n = n;
    return GY_OK;
}

/* ---- logging in ---- */

/* The highest of what is granted for that workspace and for every one. */
static gy_status role_in(struct gy_db *db, struct gy_str user, struct gy_str workspace,
                         enum gy_auth_role *ret, struct gy_err *err)
{
    int64_t role = 0;
    bool found;
    GY_TRY(gy_db_get_i64(
        db, "SELECT MAX(role) FROM grants WHERE user_name=? AND (workspace=? OR workspace=?)",
        GY_VALS(gy_vs(user), gy_vs(workspace), gy_vc(GY_WORKSPACE_ANY)), &found, &role, err));
    *ret = found && role >= GY_AUTH_NONE && role <= GY_AUTH_ADMIN ? (enum gy_auth_role)role
                                                                  : GY_AUTH_NONE;
    return GY_OK;
}

gy_status gy_login_token(struct gy_db *db, struct gy_secret token, struct gy_str workspace,
                         int64_t now_us, struct gy_arena *a, struct gy_login *ret,
                         struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    char digest[GY_SHA256_HEX];
    bool row;
    struct gy_login l = {.user = GY_STR_NULL};
    GY_TRY(gy_sha256_hex(gy_secret_reveal(token), digest, err));
    GY_TRY(gy_db_query(db,
                       "SELECT t.id, t.user_name, t.expires_us, t.revoked_us, t.last_used_us, "
                       "u.disabled FROM tokens t JOIN users u ON u.name = t.user_name "
                       "WHERE t.sha256=?",
                       GY_VALS(gy_vc(digest)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the token is not known");
    }
    l.expires_us = gy_col_i64(st, 2);
    l.note_use = now_us - gy_col_i64(st, 4) > GY_USED_EVERY_US;
    GY_TRY(gy_col_copy(st, 0, a, &l.token_id, err));
    GY_TRY(gy_col_copy(st, 1, a, &l.user, err));
    if (!gy_col_null(st, 3)) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the token was revoked");
    }
    if (l.expires_us && l.expires_us <= now_us) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the token has expired");
    }
    if (gy_col_i64(st, 5)) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the user of the token is disabled");
    }
    GY_TRY(role_in(db, l.user, workspace, &l.role, err));
    *ret = l;
    return GY_OK;
}

gy_status gy_login_user(struct gy_db *db, struct gy_str name, struct gy_str workspace,
                        struct gy_arena *a, struct gy_login *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    *ret = (struct gy_login){.user = GY_STR_NULL};
    GY_TRY(gy_db_query(
        db, "SELECT name, password_hash, last_login_us FROM users WHERE name=? AND disabled=0",
        GY_VALS(gy_vs(name)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return GY_OK;
    }
    ret->note_use = gy_now_us() - gy_col_i64(st, 2) > GY_USED_EVERY_US;
    GY_TRY(gy_col_copy(st, 0, a, &ret->user, err));
    GY_TRY(gy_col_copy(st, 1, a, &ret->password_hash, err));
    return role_in(db, ret->user, workspace, &ret->role, err);
}

gy_status gy_login_used(struct gy_db *db, const struct gy_login *l, int64_t now_us,
                        struct gy_err *err)
{
    if (l->token_id.p) {
        return gy_db_exec(db, "UPDATE tokens SET last_used_us=? WHERE id=?",
                          GY_VALS(gy_vi(now_us), gy_vs(l->token_id)), NULL, err);
    }
    return gy_db_exec(db, "UPDATE users SET last_login_us=? WHERE name=?",
                      GY_VALS(gy_vi(now_us), gy_vs(l->user)), NULL, err);
}
