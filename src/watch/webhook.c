/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures, and what a notify section may say. */
#include "watch/webhook.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#define PREFIX "whsec_"
enum { MIN_KEY = 16, MAX_KEY = 64, MAC = 32 };

/* ---- signatures ---- */

static gy_status key_of(struct gy_str secret, unsigned char key[MAX_KEY + 4], size_t *ret_n,
                        struct gy_err *err)
{
    struct gy_str text = gy_str_sub(secret, sizeof PREFIX - 1, SIZE_MAX);
    bool good = gy_str_starts(secret, GY_STR(PREFIX)) && text.n <= (MAX_KEY + 2) / 3 * 4 &&
                gy_base64_decode(text, key, ret_n, NULL) == GY_OK && *ret_n >= MIN_KEY &&
                *ret_n <= MAX_KEY;
    if (!good) {
        (void)gy_err_set(err, GY_E_INVALID, "this is no secret of a webhook");
        return gy_err_hint(
            err, PREFIX " and base64 of %d to %d bytes: echo " PREFIX "$(openssl rand -base64 32)",
            MIN_KEY, MAX_KEY);
    }
    return GY_OK;
}

static gy_status mac_of(struct gy_str secret, struct gy_str id, struct gy_str timestamp,
                        struct gy_str body, unsigned char mac[MAC], struct gy_err *err)
{
    unsigned char key[MAX_KEY + 4];
    size_t n = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_REPLY);
    GY_TRY(key_of(secret, key, &n, err));
    gy_buf_add(&text, id);
    gy_buf_add_char(&text, '.');
    gy_buf_add(&text, timestamp);
    gy_buf_add_char(&text, '.');
    gy_buf_add(&text, body);
    gy_status status = gy_buf_check(&text, "a message", err);
    if (status == GY_OK) {
        status = gy_hmac_sha256(gy_str_n((const char *)key, n), gy_buf_str(&text), mac, err);
    }
    explicit_bzero(key, sizeof key);
    return status;
}

gy_status gy_webhook_sign(struct gy_str secret, struct gy_str id, int64_t timestamp_s,
                          struct gy_str body, char ret[GY_WEBHOOK_SIGNATURE], struct gy_err *err)
{
    unsigned char mac[MAC];
    char time[24];
    int n = snprintf(time, sizeof time, "%lld", (long long)timestamp_s);
    GY_TRY(mac_of(secret, id, gy_str_n(time, (size_t)n), body, mac, err));
    memcpy(ret, "v1,", 3);
    gy_base64(mac, sizeof mac, ret + 3);
    return GY_OK;
}

gy_status gy_webhook_verify(struct gy_str secret, struct gy_str id, struct gy_str timestamp,
                            struct gy_str signatures, struct gy_str body, int64_t now_s,
                            struct gy_err *err)
{
    unsigned char mac[MAC];
    char wanted[GY_WEBHOOK_SIGNATURE] = "v1,";
    struct gy_str one;
    int64_t then_s = 0;
    bool right = false;
    GY_TRY(mac_of(secret, id, timestamp, body, mac, err));
    gy_base64(mac, sizeof mac, wanted + 3);
    while (gy_str_next(&signatures, ' ', &one)) {
        right = (one.n == sizeof wanted - 1 && gy_equal_secret(one.p, wanted, one.n)) || right;
    }
    if (!right) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the signature of the webhook is wrong");
    }
    if (gy_parse_i64(timestamp, 0, INT64_MAX / 2, &then_s, NULL) != GY_OK ||
        then_s < now_s - GY_WEBHOOK_TOLERANCE_S || then_s > now_s + GY_WEBHOOK_TOLERANCE_S) {
        return gy_err_set(err, GY_E_UNAUTHENTICATED, "the webhook is too old, or of the future");
    }
    return GY_OK;
}

/* ---- the section ---- */

static gy_status check_keys(yyjson_val *target, struct gy_err *err)
{
    static const char *const known[] = {"url", "secret_env", "secret_file", "events"};
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(target, i, n, key, value)
    {
        (void)value;
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            found = found || gy_str_eqc(gy_json_val_str(key), known[k]);
        }
        if (!found) {
            (void)gy_err_set(err, GY_E_INVALID, "notify: unknown key '%" GY_STR_F "'",
                             GY_STR_A(gy_json_val_str(key)));
            return gy_err_hint(err, "url, events, and secret_env or secret_file");
        }
    }
    return GY_OK;
}

static gy_status check_url(struct gy_str url, struct gy_err *err)
{
    bool secure = gy_str_starts(url, GY_STR("https://"));
    struct gy_str rest = gy_str_sub(url, secure ? 8 : 7, SIZE_MAX), host = rest, path;
    (void)gy_str_cut(rest, '/', &host, &path);
    bool good = (secure || gy_str_starts(url, GY_STR("http://"))) && host.n > 0 &&
                url.n <= GY_WEBHOOK_MAX_URL && gy_str_is_utf8(url);
    for (size_t i = 0; good && i < url.n; i++) {
        good = (unsigned char)url.p[i] > ' ' && url.p[i] != 0x7f && url.p[i] != '#';
    }
    if (!good) {
        return gy_err_set(err, GY_E_INVALID, "notify: 'url' is an http or https address");
    }
    if (gy_str_find(host, '@') != SIZE_MAX) {
        (void)gy_err_set(err, GY_E_INVALID, "notify: a password does not belong into 'url'");
        return gy_err_hint(err, "messages are signed: the receiver checks the signature");
    }
    return GY_OK;
}

static gy_status check_events(yyjson_val *events, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *kind;
    if (!yyjson_is_arr(events) || yyjson_arr_size(events) == 0 ||
        yyjson_arr_size(events) > GY_WEBHOOK_MAX_EVENTS) {
        (void)gy_err_set(err, GY_E_INVALID, "notify: 'events' is a list of 1 to %d kinds",
                         GY_WEBHOOK_MAX_EVENTS);
        return gy_err_hint(err,
                           "events: [review.created, review.verdict, drift.detected, alert.*]");
    }
    yyjson_arr_foreach(events, i, n, kind)
    {
        struct gy_str text = gy_json_val_str(kind);
        size_t star = gy_str_find(text, '*');
        if (text.n == 0 || text.n > GY_MAX_NAME || (star != SIZE_MAX && star + 1 != text.n)) {
            return gy_err_set(err, GY_E_INVALID,
                              "notify: a kind of event is text, with '*' at its end or not at all");
        }
    }
    return GY_OK;
}

gy_status gy_webhook_check(yyjson_val *notify, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *target;
    if (!notify || yyjson_is_null(notify)) {
        return GY_OK;
    }
    if (!yyjson_is_arr(notify) || yyjson_arr_size(notify) > GY_WEBHOOK_MAX) {
        return gy_err_set(err, GY_E_INVALID, "notify: a list of at most %d targets is wanted",
                          GY_WEBHOOK_MAX);
    }
    yyjson_arr_foreach(notify, i, n, target)
    {
        struct gy_str url, name = gy_json_str(target, "secret_env");
        struct gy_str file = gy_json_str(target, "secret_file");
        if (!yyjson_is_obj(target)) {
            return gy_err_set(err, GY_E_INVALID, "notify: a target is a section with 'url'");
        }
        GY_TRY(check_keys(target, err));
        GY_TRY(gy_json_need_str(target, "url", &url, err));
        GY_TRY(check_url(url, err));
        GY_TRY(check_events(gy_json_get(target, "events"), err));
        if ((name.n > 0) == (file.n > 0) || name.n > GY_MAX_NAME || file.n >= GY_MAX_PATH) {
            (void)gy_err_set(err, GY_E_INVALID, "notify: either 'secret_env' or 'secret_file'");
            return gy_err_hint(err, "where the secret is read from; it is not written here");
        }
    }
    return GY_OK;
}

bool gy_webhook_matches(yyjson_val *events, struct gy_str kind)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(events, i, n, one)
    {
        struct gy_str pattern = gy_json_val_str(one);
        bool prefix = gy_str_ends(pattern, GY_STR("*"));
        pattern.n -= prefix;
        if (prefix ? gy_str_starts(kind, pattern) : gy_str_eq(kind, pattern)) {
            return true;
        }
    }
    return false;
}
