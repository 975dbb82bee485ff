/* SPDX-License-Identifier: Apache-2.0 */
/* Users, what they may (grants), how they are known (passwords, tokens), and workspaces. All
 * functions run inside store closures; those that change something move the generation, by which
 * servers notice that what they remember is void (api/auth.h).
 *
 * Passwords are kept as argon2id texts. A token is "gyre_" and 32 random bytes in base64url: shown
 * once, kept as SHA-256, which is enough, since nobody can search 256 random bits however fast the
 * digest is. Strings of results are in the caller's arena. */
#ifndef GY_STORE_USERS_H
#define GY_STORE_USERS_H

#include "base/secret.h"
#include "net/access.h"
#include "store/store.h"

#define GY_USER_MAX_NAME 60      /* bytes: letters, digits and . _ - @ */
#define GY_USER_MAX_PASSWORD 512 /* bytes */
#define GY_USER_MIN_PASSWORD 8
#define GY_USER_MAX 10000                          /* users */
#define GY_USER_MAX_TOKENS 1000                    /* live tokens a user */
#define GY_USER_MAX_GRANTS 1000                    /* grants a user */
#define GY_TOKEN_MAX_LABEL 100                     /* bytes */
#define GY_TOKEN_TEXT 64                           /* of a token, with the NUL, rounded up */
#define GY_TOKEN_PREFIX "gyre_"                    /* of every token */
#define GY_TOKEN_PREFIX_SHOWN 11                   /* bytes of a token that lists show */
#define GY_PASSWORD_HASH_TEXT 128                  /* of an argon2id text, with the NUL */
#define GY_WORKSPACE_MAX 10000                     /* workspaces */
#define GY_WORKSPACE_ANY "*"                       /* in a grant: every workspace */
#define GY_USED_EVERY_US ((int64_t)3600 * 1000000) /* last_used is as coarse as this */

/* ---- names and secrets; outside of closures too ---- */
/* Fails: INVALID (length, characters, reserved). */
GY_CHECKED gy_status gy_user_check_name(struct gy_str name, struct gy_err *err);
GY_CHECKED gy_status gy_workspace_check_name(struct gy_str name, struct gy_err *err);
/* argon2id of a password; takes tens of milliseconds and 19 MiB, so never inside a closure or on a
 * loop. Fails: INVALID (too short or long, or it looks like a token), NOMEM. */
GY_CHECKED gy_status gy_password_hash(struct gy_secret password, char out[GY_PASSWORD_HASH_TEXT],
                                      struct gy_err *err);
/* hash absent: takes as long, answers false. As slow as gy_password_hash. */
bool gy_password_matches(struct gy_secret password, struct gy_str hash);
bool gy_token_looks_so(struct gy_secret s); /* begins as tokens do */

/* ---- users ---- */
struct gy_user {
    struct gy_str name, actor;
    bool service, disabled, from_file, has_password;
    int64_t created_us, last_login_us; /* 0: never */
};
struct gy_grant {
    struct gy_str workspace;
    enum gy_auth_role role;
};

/* password_hash MAY be absent. Fails: EXISTS, INVALID, TOOBIG. */
GY_CHECKED gy_status gy_user_add(struct gy_db *db, struct gy_str name, bool service,
                                 struct gy_str password_hash, struct gy_str actor,
                                 struct gy_err *err);
GY_CHECKED gy_status gy_user_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                 struct gy_user *ret, struct gy_err *err); /* NOTFOUND */
GY_CHECKED gy_status gy_user_list(struct gy_db *db, struct gy_arena *a, struct gy_user **ret,
                                  size_t *ret_n, struct gy_err *err); /* by name */
/* hash absent: no password any more. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_user_set_password(struct gy_db *db, struct gy_str name, struct gy_str hash,
                                          struct gy_err *err);
/* Fails: NOTFOUND; CONFLICT (the last admin). */
GY_CHECKED gy_status gy_user_disable(struct gy_db *db, struct gy_str name, bool disabled,
                                     struct gy_err *err);
/* Fails: NOTFOUND (user, workspace), CONFLICT (the last admin would go), TOOBIG. */
GY_CHECKED gy_status gy_grant_set(struct gy_db *db, struct gy_str user, struct gy_str workspace,
                                  enum gy_auth_role role, struct gy_str actor, struct gy_err *err);
GY_CHECKED gy_status gy_grant_remove(struct gy_db *db, struct gy_str user, struct gy_str workspace,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_grant_list(struct gy_db *db, struct gy_str user, struct gy_arena *a,
                                   struct gy_grant **ret, size_t *ret_n, struct gy_err *err);

/* ---- tokens ---- */
struct gy_token {
    struct gy_str id, user, prefix, label, actor, revoked_by;
    int64_t created_us, expires_us, revoked_us, last_used_us; /* 0: never */
};
/* A new token: its text is in secret, nowhere else. expires_us 0: never. Fails: NOTFOUND (user),
 * INVALID, TOOBIG. */
GY_CHECKED gy_status gy_token_add(struct gy_db *db, struct gy_str user, struct gy_str label,
                                  int64_t expires_us, struct gy_str actor, struct gy_arena *a,
                                  char secret[GY_TOKEN_TEXT], struct gy_token *ret,
                                  struct gy_err *err);
/* user absent: of all. Newest first, at most 10000. */
GY_CHECKED gy_status gy_token_list(struct gy_db *db, struct gy_str user, struct gy_arena *a,
                                   struct gy_token **ret, size_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_token_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                                  struct gy_token *ret, struct gy_err *err); /* NOTFOUND */
/* Once revoked it stays so; revoking again changes nothing. */
GY_CHECKED gy_status gy_token_revoke(struct gy_db *db, struct gy_str id, struct gy_str actor,
                                     struct gy_err *err);

/* ---- logging in ---- */
struct gy_login {
    struct gy_str user, token_id; /* token_id absent: by password */
    struct gy_str password_hash;  /* gy_login_user: to be checked by the caller; MAY be absent */
    enum gy_auth_role role;       /* in the workspace asked for */
    int64_t expires_us;           /* 0: never */
    bool note_use;                /* gy_login_used is due */
};
/* Whose token that is and what it may in workspace. Fails: UNAUTHENTICATED (unknown, expired,
 * revoked, of a disabled user). */
GY_CHECKED gy_status gy_login_token(struct gy_db *db, struct gy_secret token,
                                    struct gy_str workspace, int64_t now_us, struct gy_arena *a,
                                    struct gy_login *ret, struct gy_err *err);
/* A user by name. Unknown, disabled or without password: GY_OK with an absent password_hash. */
GY_CHECKED gy_status gy_login_user(struct gy_db *db, struct gy_str name, struct gy_str workspace,
                                   struct gy_arena *a, struct gy_login *ret, struct gy_err *err);
/* Note when it was used. Does not move the generation. */
GY_CHECKED gy_status gy_login_used(struct gy_db *db, const struct gy_login *l, int64_t now_us,
                                   struct gy_err *err);
GY_CHECKED gy_status gy_identity_generation(struct gy_db *db, int64_t *ret, struct gy_err *err);

/* ---- workspaces ---- */
struct gy_workspace {
    struct gy_str name, description, actor;
    int64_t created_us;
};
GY_CHECKED gy_status gy_workspace_exists(struct gy_db *db, struct gy_str name, bool *ret,
                                         struct gy_err *err);
/* Fails: EXISTS, INVALID, TOOBIG. */
GY_CHECKED gy_status gy_workspace_add(struct gy_db *db, struct gy_str name,
                                      struct gy_str description, struct gy_str actor,
                                      struct gy_err *err);
GY_CHECKED gy_status gy_workspace_describe(struct gy_db *db, struct gy_str name,
                                           struct gy_str description,
                                           struct gy_err *err); /* NOTFOUND */
GY_CHECKED gy_status gy_workspace_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                      struct gy_workspace *ret, struct gy_err *err); /* NOTFOUND */
/* user absent: all; else those in which the user has a role. By name. */
GY_CHECKED gy_status gy_workspace_list(struct gy_db *db, struct gy_str user, struct gy_arena *a,
                                       struct gy_workspace **ret, size_t *ret_n,
                                       struct gy_err *err);
/* With its grants. Fails: NOTFOUND, CONFLICT (something is in it, or it is the default). */
GY_CHECKED gy_status gy_workspace_remove(struct gy_db *db, struct gy_str name, struct gy_err *err);

/* ---- a file of users (gyre server --auth FILE), applied whole ---- */
struct gy_user_file_token {
    struct gy_str sha256, label;
    int64_t expires_us; /* 0: never */
};
struct gy_user_file_entry {
    struct gy_str name, password_hash; /* password_hash absent: none */
    bool service;
    const struct gy_grant *grants;
    size_t n_grants;
    const struct gy_user_file_token *tokens;
    size_t n_tokens;
};
/* Users of the file are made or changed to be as it says, grants and tokens included; users of an
 * earlier file that it does not name are disabled. Workspaces are made. Users added otherwise stay
 * as they are; one that has the name of a file's user becomes that. */
GY_CHECKED gy_status gy_user_file_apply(struct gy_db *db, const struct gy_user_file_entry *entries,
                                        size_t n, const struct gy_str *workspaces,
                                        size_t n_workspaces, struct gy_err *err);

#endif
