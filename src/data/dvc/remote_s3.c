/* SPDX-License-Identifier: Apache-2.0 */
/* A remote in a bucket: PREFIX/files/md5/ab/cdef... */
#include <stdio.h>

#include "base/mem.h"
#include "data/dvc/remote_internal.h"
#include "net/s3.h"

struct bucket {
    struct gy_s3 *s3;
    char prefix[GY_S3_MAX_NAME]; /* "" or "a/b/" */
};

static gy_status key_of(const struct bucket *b, const char *key, char ret[GY_S3_MAX_NAME],
                        struct gy_err *err)
{
    int n = snprintf(ret, GY_S3_MAX_NAME, "%s%s", b->prefix, key);
    return n < 0 || n >= GY_S3_MAX_NAME
               ? gy_err_set(err, GY_E_TOOBIG, "a key of S3 is too long: %.200s...", ret)
               : GY_OK;
}

/* What is in a bucket is whole: S3 shows no half of an object. */
static gy_status s3_has(void *self, const char *key, bool *ret, bool *ret_trusted,
                        struct gy_err *err)
{
    struct bucket *b = self;
    char full[GY_S3_MAX_NAME];
    int64_t size, modified_us;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(key_of(b, key, full, err));
    gy_status status = gy_s3_head(b->s3, full, &size, &modified_us, &why);
    *ret = *ret_trusted = status == GY_OK;
    if (status == GY_OK || status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (err) {
        *err = why;
    }
    return status;
}

static gy_status s3_put(void *self, const char *key, const struct gy_dvc_source *from,
                        struct gy_err *err)
{
    struct bucket *b = self;
    char full[GY_S3_MAX_NAME];
    GY_TRY(key_of(b, key, full, err));
    return from->bytes.p
               ? gy_s3_put(b->s3, full, from->bytes, err)
               : gy_s3_put_file(b->s3, full, from->fd, from->size_bytes, from->sha256, err);
}

static gy_status s3_get(void *self, const char *key, gy_dvc_sink_fn fn, void *ctx,
                        struct gy_err *err)
{
    struct bucket *b = self;
    char full[GY_S3_MAX_NAME];
    GY_TRY(key_of(b, key, full, err));
    return gy_s3_get(b->s3, full, fn, ctx, err);
}

struct listing {
    size_t skip; /* bytes of the prefix */
    gy_dvc_key_fn fn;
    void *ctx;
};

static gy_status listed(void *ctx, const char *key, int64_t size_bytes, int64_t modified_us,
                        struct gy_err *err)
{
    struct listing *l = ctx;
    (void)modified_us;
    return strlen(key) > l->skip ? l->fn(l->ctx, key + l->skip, size_bytes, err) : GY_OK;
}

static gy_status s3_list(void *self, const char *prefix, gy_dvc_key_fn fn, void *ctx,
                         struct gy_err *err)
{
    struct bucket *b = self;
    char full[GY_S3_MAX_NAME];
    struct listing l = {strlen(b->prefix), fn, ctx};
    GY_TRY(key_of(b, prefix, full, err));
    return gy_s3_list(b->s3, full, listed, &l, err);
}

static gy_status s3_remove(void *self, const char *key, struct gy_err *err)
{
    struct bucket *b = self;
    char full[GY_S3_MAX_NAME];
    GY_TRY(key_of(b, key, full, err));
    return gy_s3_delete(b->s3, full, err);
}

static void s3_free(void *self)
{
    struct bucket *b = self;
    gy_s3_free(b->s3);
    gy_free(b);
}

static const struct gy_dvc_remote_ops s3_ops = {.version = 1,
                                                .name = "s3",
                                                .wants_sha256 = true,
                                                .jobs = 16,
                                                .page_keys = 1000,
                                                .has = s3_has,
                                                .put = s3_put,
                                                .get = s3_get,
                                                .list = s3_list,
                                                .remove = s3_remove,
                                                .free = s3_free};

/* Settings that would change what is stored, who may read it or whom we trust: to pass over one
 * would do what nobody asked for. */
static gy_status refuse_settings(const struct gy_dvc_settings *s, struct gy_err *err)
{
    static const char *const unsupported[] = {"sse",
                                              "sse_kms_key_id",
                                              "sse_customer_algorithm",
                                              "sse_customer_key",
                                              "acl",
                                              "grant_read",
                                              "grant_read_acp",
                                              "grant_write_acp",
                                              "grant_full_control",
                                              "connect_timeout"};
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        if (gy_dvc_setting(s, unsupported[i]).p) {
            (void)gy_err_set(err, GY_E_UNSUPPORTED, "the setting '%s' of a remote is not supported",
                             unsupported[i]);
            return gy_err_hint(err, "dvc push and pull know it");
        }
    }
    if (gy_dvc_setting_bool(s, "allow_anonymous_login", false)) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "the setting 'allow_anonymous_login' of a remote is not supported");
    }
    struct gy_str verify = gy_dvc_setting(s, "ssl_verify");
    if (verify.p && !gy_str_ieq(verify, GY_STR("true"))) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "the setting 'ssl_verify' of a remote is not supported");
        return gy_err_hint(err, "GYRE_CA_FILE names a file of authorities to trust");
    }
    return GY_OK;
}

/* "s3://bucket/prefix"; posix rules for the join of prefix and key, as DVC has them. */
static gy_status split_url(const char *url, char bucket[64], struct bucket *b, struct gy_err *err)
{
    struct gy_str rest = gy_str_sub(gy_str_c(url), 5, SIZE_MAX), name, prefix;
    if (!gy_str_cut(rest, '/', &name, &prefix)) {
        prefix = GY_STR("");
    }
    if (name.n == 0 || name.n >= 64 || prefix.n + GY_S3_MAX_NAME / 2 >= GY_S3_MAX_NAME) {
        return gy_err_set(err, GY_E_INVALID, "'%.200s' is not s3://BUCKET/PREFIX", url);
    }
    (void)snprintf(bucket, 64, "%" GY_STR_F, GY_STR_A(name));
    (void)snprintf(b->prefix, sizeof b->prefix, "%" GY_STR_F "%s", GY_STR_A(prefix),
                   prefix.n && prefix.p[prefix.n - 1] != '/' ? "/" : "");
    return GY_OK;
}

/* Its keys and region: from the settings, else as boto3 finds them. */
static gy_status find_keys(const struct gy_dvc_settings *s, struct gy_s3_keys *keys,
                           char region[GY_S3_MAX_REGION], struct gy_err *err)
{
    char profile[GY_MAX_NAME + 1], credentials[GY_MAX_PATH], config[GY_MAX_PATH];
    struct gy_str named = gy_dvc_setting(s, "profile"), access = gy_dvc_setting(s, "access_key_id"),
                  secret = gy_dvc_setting(s, "secret_access_key"),
                  token = gy_dvc_setting(s, "session_token"), wanted = gy_dvc_setting(s, "region");
    GY_TRY(gy_dvc_setting_path(s, "credentialpath", credentials, err));
    GY_TRY(gy_dvc_setting_path(s, "configpath", config, err));
    (void)snprintf(profile, sizeof profile, "%" GY_STR_F, GY_STR_A(named));
    if (!access.p != !secret.p) {
        return gy_err_set(err, GY_E_INVALID,
                          "the settings access_key_id and secret_access_key belong together");
    }
    if (access.n >= sizeof keys->access || secret.n >= sizeof keys->secret ||
        token.n >= sizeof keys->token || wanted.n >= GY_S3_MAX_REGION) {
        return gy_err_set(err, GY_E_INVALID, "a key or the region of the remote is too long");
    }
    struct gy_s3_keys_from from = {named.p ? profile : NULL, credentials[0] ? credentials : NULL,
                                   config[0] ? config : NULL};
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_s3_keys_find_in(&from, keys, region, &why);
    if (access.p) { /* only the region may come from elsewhere then */
        explicit_bzero(keys, sizeof *keys);
        (void)snprintf(keys->access, sizeof keys->access, "%" GY_STR_F, GY_STR_A(access));
        (void)snprintf(keys->secret, sizeof keys->secret, "%" GY_STR_F, GY_STR_A(secret));
        (void)snprintf(keys->token, sizeof keys->token, "%" GY_STR_F, GY_STR_A(token));
        if (!region[0]) {
            (void)snprintf(region, GY_S3_MAX_REGION, "us-east-1");
        }
    } else if (status != GY_OK) {
        if (err) {
            *err = why;
        }
        return gy_err_hint(err, "gyre data remote modify --local NAME access_key_id KEY, and "
                                "secret_access_key; or AWS_ACCESS_KEY_ID, or a profile");
    }
    if (wanted.p) {
        (void)snprintf(region, GY_S3_MAX_REGION, "%" GY_STR_F, GY_STR_A(wanted));
    }
    return GY_OK;
}

static gy_status open_bucket(const struct gy_dvc_settings *s, struct bucket *b, struct gy_err *err)
{
    char bucket[64], region[GY_S3_MAX_REGION] = "", endpoint[GY_MAX_PATH];
    struct gy_s3_keys keys;
    struct gy_str given = gy_dvc_setting(s, "endpointurl"),
                  stall = gy_dvc_setting(s, "read_timeout");
    int64_t stall_s = 0;
    GY_TRY(refuse_settings(s, err));
    GY_TRY(split_url(s->url, bucket, b, err));
    GY_TRY(find_keys(s, &keys, region, err));
    (void)snprintf(endpoint, sizeof endpoint, "%" GY_STR_F, GY_STR_A(given));
    if (!given.n && !gy_dvc_setting_bool(s, "use_ssl", true)) {
        (void)snprintf(endpoint, sizeof endpoint, "http://{bucket}.s3.%s.amazonaws.com", region);
    }
    if (stall.p) {
        GY_TRY(gy_parse_i64(stall, 0, 86400, &stall_s, err));
    }
    struct gy_s3_options o = {.bucket = bucket,
                              .endpoint = endpoint[0] ? endpoint : NULL,
                              .region = region,
                              .keys = &keys,
                              .stall_s = (long)stall_s};
    gy_status status = gy_s3_open(&o, &b->s3, err);
    explicit_bzero(&keys, sizeof keys);
    return status;
}

gy_status gy_dvc_s3_open(const struct gy_dvc_settings *s, const struct gy_dvc_remote_ops **ret_ops,
                         void **ret_self, struct gy_err *err)
{
    struct bucket *b = gy_calloc(1, sizeof *b);
    if (!b) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a remote");
    }
    gy_status status = open_bucket(s, b, err);
    if (status != GY_OK) {
        gy_free(b);
        return status;
    }
    *ret_ops = &s3_ops;
    *ret_self = b;
    return GY_OK;
}
