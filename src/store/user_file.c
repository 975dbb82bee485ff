/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "base/time.h"
#include "store/users_internal.h"

/* Whom an actor column names for what a file says. */
#define FILE_ACTOR "gyre"

static gy_status set_grants(struct gy_db *db, const struct gy_user_file_entry *e,
                            struct gy_err *err)
{
    GY_TRY(
        gy_db_exec(db, "DELETE FROM grants WHERE user_name=?", GY_VALS(gy_vs(e->name)), NULL, err));
    for (size_t i = 0; i < e->n_grants; i++) {
        GY_TRY(gy_grant_set(db, e->name, e->grants[i].workspace, e->grants[i].role,
                            GY_STR(FILE_ACTOR), err));
    }
    return GY_OK;
}

static gy_status set_token(struct gy_db *db, struct gy_str user, const struct gy_user_file_token *t,
                           struct gy_err *err)
{
    char id[GY_UUID_TEXT];
    int64_t changed = 0;
    struct gy_val expires = t->expires_us ? gy_vi(t->expires_us) : gy_vnull();
    GY_TRY(gy_db_exec(db,
                      "UPDATE tokens SET label=?, expires_us=?, from_file=1, revoked_us=NULL, "
                      "revoked_by=NULL WHERE sha256=? AND user_name=?",
                      GY_VALS(gy_vs(t->label), expires, gy_vs(t->sha256), gy_vs(user)), &changed,
                      err));
    if (changed) {
        return GY_OK;
    }
    GY_TRY(gy_new_id(id, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO tokens (id, user_name, sha256, prefix, label, from_file, actor, "
                      "created_us, expires_us) VALUES (?,?,?,'(file)',?,1,?,?,?) "
                      "ON CONFLICT DO NOTHING",
                      GY_VALS(gy_vc(id), gy_vs(user), gy_vs(t->sha256), gy_vs(t->label),
                              gy_vc(FILE_ACTOR), gy_vi(gy_now_us()), expires),
                      &changed, err));
    return changed ? GY_OK
                   : gy_err_set(err, GY_E_CONFLICT,
                                "a token of '%" GY_STR_F "' is somebody else's already",
                                GY_STR_A(user));
}

/* Tokens of an earlier file are revoked first, and those that are still named live again. */
static gy_status apply_entry(struct gy_db *db, const struct gy_user_file_entry *e,
                             struct gy_err *err)
{
    GY_TRY(gy_user_check_name(e->name, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO users (name, service, from_file, password_hash, actor, "
                      "created_us) VALUES (?,?,1,?,?,?) ON CONFLICT (name) DO UPDATE SET "
                      "service=excluded.service, from_file=1, disabled=0, "
                      "password_hash=excluded.password_hash",
                      GY_VALS(gy_vs(e->name), gy_vi(e->service), gy_vs(e->password_hash),
                              gy_vc(FILE_ACTOR), gy_vi(gy_now_us())),
                      NULL, err));
    GY_TRY(gy_db_exec(db,
                      "UPDATE tokens SET revoked_us=?, revoked_by=? WHERE user_name=? AND "
                      "from_file=1 AND revoked_us IS NULL",
                      GY_VALS(gy_vi(gy_now_us()), gy_vc(FILE_ACTOR), gy_vs(e->name)), NULL, err));
    GY_TRY(set_grants(db, e, err));
    for (size_t i = 0; i < e->n_tokens; i++) {
        GY_TRY(set_token(db, e->name, &e->tokens[i], err));
    }
    return GY_OK;
}

gy_status gy_user_file_apply(struct gy_db *db, const struct gy_user_file_entry *entries, size_t n,
                             const struct gy_str *workspaces, size_t n_workspaces,
                             struct gy_err *err)
{
    for (size_t i = 0; i < n_workspaces; i++) {
        bool exists;
        GY_TRY(gy_workspace_exists(db, workspaces[i], &exists, err));
        if (!exists) {
            GY_TRY(gy_workspace_add(db, workspaces[i], GY_STR_NULL, GY_STR(FILE_ACTOR), err));
        }
    }
    /* Whom this file does not name any more can not log in; set again below for those it does. */
    GY_TRY(gy_db_exec(db, "UPDATE users SET disabled=1 WHERE from_file=1", GY_NO_VALS, NULL, err));
    for (size_t i = 0; i < n; i++) {
        gy_status status = apply_entry(db, &entries[i], err);
        if (status != GY_OK) {
            return gy_err_wrap(err, "user '%" GY_STR_F "'", GY_STR_A(entries[i].name));
        }
    }
    return gy_identity_moved(db, err);
}
