/* SPDX-License-Identifier: Apache-2.0 */
#include "net/authorization.h"

#include "base/hash.h"

static bool scheme(struct gy_str value, struct gy_str name, struct gy_str *ret_rest)
{
    if (value.n <= name.n || !gy_str_ieq(gy_str_sub(value, 0, name.n), name) ||
        value.p[name.n] != ' ') {
        return false;
    }
    *ret_rest = gy_str_trim(gy_str_sub(value, name.n, value.n));
    return true;
}

static bool has_control(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* b64token of RFC 6750: what can stand in it. */
static bool is_token(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("-._~+/=", c) != NULL;
        if (!fits || c == '\0') {
            return false;
        }
    }
    return s.n > 0;
}

static gy_status parse_basic(struct gy_str text, char room[GY_AUTHORIZATION_MAX],
                             struct gy_authorization *ret, struct gy_err *err)
{
    size_t n = 0;
    struct gy_str secret;
    if (gy_base64_decode(text, (unsigned char *)room, &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the Authorization header is not base64");
    }
    struct gy_str pair = gy_str_n(room, n);
    if (!gy_str_cut(pair, ':', &ret->user, &secret) || has_control(pair)) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED,
                          "the Authorization header has no user and password");
    }
    ret->secret = gy_secret_of(secret);
    return GY_OK;
}

gy_status gy_authorization_parse(struct gy_str value, char room[GY_AUTHORIZATION_MAX],
                                 struct gy_authorization *ret, struct gy_err *err)
{
    struct gy_str rest;
    value = gy_str_trim(value);
    *ret = (struct gy_authorization){.user = GY_STR_NULL};
    if (value.n > GY_AUTHORIZATION_MAX) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the Authorization header is too long");
    }
    if (scheme(value, GY_STR("Basic"), &rest)) {
        return parse_basic(rest, room, ret, err);
    }
    if (scheme(value, GY_STR("Bearer"), &rest) && is_token(rest)) {
        ret->secret = gy_secret_of(rest);
        return GY_OK;
    }
    return gy_err_set(err, GY_E_UNAUTHENTICATED, "the Authorization header is Basic or Bearer");
}
