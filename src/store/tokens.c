/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdio.h>

#include "base/id.h"
#include "base/time.h"
#include "store/users_internal.h"

enum { TOKEN_BYTES = 32, MAX_LISTED = 10000 };

_Static_assert(sizeof GY_TOKEN_PREFIX - 1 +
                       sodium_base64_ENCODED_LEN(TOKEN_BYTES,
                                                 sodium_base64_VARIANT_URLSAFE_NO_PADDING) <=
                   GY_TOKEN_TEXT,
               "a token's text fits");

static gy_status make_secret(char out[GY_TOKEN_TEXT], struct gy_err *err)
{
    unsigned char bytes[TOKEN_BYTES];
    size_t prefix = sizeof GY_TOKEN_PREFIX - 1;
    GY_TRY(gy_random_bytes(bytes, sizeof bytes, err));
    memcpy(out, GY_TOKEN_PREFIX, prefix);
    (void)sodium_bin2base64(out + prefix, GY_TOKEN_TEXT - prefix, bytes, sizeof bytes,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING); /* asserted to fit */
    sodium_memzero(bytes, sizeof bytes);
    return GY_OK;
}

#define TOKEN_COLUMNS                                                                              \
    "SELECT id, user_name, prefix, label, actor, revoked_by, created_us, expires_us, revoked_us, " \
    "last_used_us FROM tokens "

static gy_status read_token(struct gy_stmt *st, struct gy_arena *a, struct gy_token *ret,
                            struct gy_err *err)
{
    *ret = (struct gy_token){.created_us = gy_col_i64(st, 6),
                             .expires_us = gy_col_i64(st, 7),
                             .revoked_us = gy_col_i64(st, 8),
                             .last_used_us = gy_col_i64(st, 9)};
    struct gy_str *texts[] = {&ret->id,    &ret->user,  &ret->prefix,
                              &ret->label, &ret->actor, &ret->revoked_by};
    for (int i = 0; i < 6; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    return GY_OK;
}

gy_status gy_token_get(struct gy_db *db, struct gy_str id, struct gy_arena *a, struct gy_token *ret,
                       struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_query(db, TOKEN_COLUMNS "WHERE id=?", GY_VALS(gy_vs(id)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    return row ? read_token(st, a, ret, err)
               : gy_err_set(err, GY_E_NOTFOUND, "there is no token '%" GY_STR_F "'",
                            GY_STR_A(gy_str_sub(id, 0, 40)));
}

gy_status gy_token_add(struct gy_db *db, struct gy_str user, struct gy_str label,
                       int64_t expires_us, struct gy_str actor, struct gy_arena *a,
                       char secret[GY_TOKEN_TEXT], struct gy_token *ret, struct gy_err *err)
{
    char id[GY_UUID_TEXT], digest[GY_SHA256_HEX];
    int64_t now = gy_now_us();
    GY_TRY(gy_user_need(db, user, err));
    if (label.n > GY_TOKEN_MAX_LABEL || !gy_str_is_utf8(label)) {
        return gy_err_set(err, GY_E_INVALID, "a token's label has at most %d bytes of text",
                          GY_TOKEN_MAX_LABEL);
    }
    if (expires_us && expires_us <= now) {
        return gy_err_set(err, GY_E_INVALID, "the token would have expired already");
    }
    GY_TRY(gy_identity_bound(db,
                             "SELECT COUNT(*) FROM tokens WHERE user_name=? AND revoked_us IS NULL "
                             "AND (expires_us IS NULL OR expires_us > ?)",
                             GY_VALS(gy_vs(user), gy_vi(now)), GY_USER_MAX_TOKENS, "live tokens",
                             err));
    GY_TRY(gy_new_id(id, err));
    GY_TRY(make_secret(secret, err));
    GY_TRY(gy_sha256_hex(gy_str_c(secret), digest, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO tokens (id, user_name, sha256, prefix, label, actor, created_us, "
        "expires_us) VALUES (?,?,?,?,?,?,?,?)",
        GY_VALS(gy_vc(id), gy_vs(user), gy_vc(digest),
                gy_vs(gy_str_n(secret, GY_TOKEN_PREFIX_SHOWN)), gy_vs(label.p ? label : GY_STR("")),
                gy_vs(actor), gy_vi(now), expires_us ? gy_vi(expires_us) : gy_vnull()),
        NULL, err));
    GY_TRY(gy_identity_moved(db, err));
    return gy_token_get(db, gy_str_c(id), a, ret, err);
}

gy_status gy_token_list(struct gy_db *db, struct gy_str user, struct gy_arena *a,
                        struct gy_token **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_token *tokens = gy_arena_calloc(a, MAX_LISTED, sizeof *tokens);
    size_t n = 0;
    if (!tokens) {
        return gy_err_set(err, GY_E_NOMEM, "reading tokens");
    }
    struct gy_str any = user.p ? user : GY_STR("");
    GY_TRY(gy_db_query(db,
                       TOKEN_COLUMNS
                       "WHERE (?='' OR user_name=?) ORDER BY created_us DESC, id DESC "
                       "LIMIT ?",
                       GY_VALS(gy_vs(any), gy_vs(any), gy_vi(MAX_LISTED)), &st, err));
    while (n < MAX_LISTED) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_token(st, a, &tokens[n++], err));
    }
    *ret = tokens;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_token_revoke(struct gy_db *db, struct gy_str id, struct gy_str actor,
                          struct gy_err *err)
{
    int64_t one;
    bool found;
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM tokens WHERE id=?", GY_VALS(gy_vs(id)), &found, &one,
                         err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no token '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(id, 0, 40)));
    }
    GY_TRY(gy_db_exec(
        db, "UPDATE tokens SET revoked_us=?, revoked_by=? WHERE id=? AND revoked_us IS NULL",
        GY_VALS(gy_vi(gy_now_us()), gy_vs(actor), gy_vs(id)), NULL, err));
    return gy_identity_moved(db, err);
}
