/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/remote_keys.h"

#include "base/yaml.h"

enum kind { TEXT, BOOL, POSITIVE, WHOLE };
struct key {
    const char *name;
    enum kind kind;
};

static const struct key common[] = {
    {"url", TEXT},         {"checksum_jobs", POSITIVE}, {"jobs", POSITIVE}, {"worktree", BOOL},
    {"no_traverse", BOOL}, {"version_aware", BOOL},     {"verify", BOOL},   {NULL, TEXT}};
static const struct key of_folder[] = {{"type", TEXT},
                                       {"protected", BOOL},
                                       {"shared", TEXT},
                                       {"slow_link_warning", BOOL},
                                       {NULL, TEXT}};
static const struct key of_s3[] = {{"region", TEXT},
                                   {"profile", TEXT},
                                   {"credentialpath", TEXT},
                                   {"configpath", TEXT},
                                   {"endpointurl", TEXT},
                                   {"access_key_id", TEXT},
                                   {"secret_access_key", TEXT},
                                   {"session_token", TEXT},
                                   {"listobjects", BOOL},
                                   {"use_ssl", BOOL},
                                   {"allow_anonymous_login", BOOL},
                                   {"ssl_verify", TEXT},
                                   {"sse", TEXT},
                                   {"sse_kms_key_id", TEXT},
                                   {"sse_customer_algorithm", TEXT},
                                   {"sse_customer_key", TEXT},
                                   {"acl", TEXT},
                                   {"grant_read", TEXT},
                                   {"grant_read_acp", TEXT},
                                   {"grant_write_acp", TEXT},
                                   {"grant_full_control", TEXT},
                                   {"cache_regions", BOOL},
                                   {"read_timeout", WHOLE},
                                   {"connect_timeout", WHOLE},
                                   {NULL, TEXT}};

struct gy_str gy_dvc_url_scheme(struct gy_str url)
{
    size_t at = gy_str_find_str(url, GY_STR("://"));
    return at == SIZE_MAX || at == 0 || at + 3 >= url.n ? GY_STR_NULL : gy_str_sub(url, 0, at);
}

gy_status gy_dvc_remote_check_url(struct gy_str url, struct gy_err *err)
{
    static const char *const known[] = {"s3",     "gs",      "ssh",    "hdfs", "webhdfs",
                                        "azure",  "oss",     "gdrive", "http", "https",
                                        "webdav", "webdavs", "remote", NULL};
    struct gy_str scheme = gy_dvc_url_scheme(url);
    if (url.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "a remote needs a url");
    }
    for (size_t i = 0; scheme.p && known[i]; i++) {
        if (gy_str_eqc(scheme, known[i])) {
            return GY_OK;
        }
    }
    if (!scheme.p) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID, "no remote has the scheme %" GY_STR_F "://",
                     GY_STR_A(scheme));
    const char *near = gy_yaml_nearest(scheme, known);
    return near ? gy_err_hint(err, "did you mean %s://?", near) : GY_E_INVALID;
}

static const struct key *find(const struct key *keys, const char *name)
{
    for (; keys->name; keys++) {
        if (strcmp(keys->name, name) == 0) {
            return keys;
        }
    }
    return NULL;
}

static gy_status check_value(const struct key *k, struct gy_str v, struct gy_err *err)
{
    int64_t n = 0;
    switch (k->kind) {
    case TEXT:
        return GY_OK;
    case BOOL:
        return gy_str_ieq(v, GY_STR("true")) || gy_str_ieq(v, GY_STR("false"))
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "%s is true or false", k->name);
    case POSITIVE:
    case WHOLE:
        return gy_parse_i64(v, k->kind == POSITIVE ? 1 : 0, 1000000, &n, NULL) == GY_OK
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "%s is a number%s", k->name,
                                k->kind == POSITIVE ? " from 1 on" : "");
    }
    return GY_OK;
}

gy_status gy_dvc_remote_check_key(struct gy_str url, const char *key, struct gy_str value,
                                  struct gy_err *err)
{
    struct gy_str scheme = gy_dvc_url_scheme(url);
    if (scheme.p && !gy_str_eqc(scheme, "s3")) {
        return GY_OK; /* not one of ours: dvc's own plugins know their keys */
    }
    const struct key *own = scheme.p ? of_s3 : of_folder, *k = find(own, key);
    k = k ? k : find(common, key);
    if (k) {
        return check_value(k, value, err);
    }
    const char *names[sizeof common / sizeof common[0] + sizeof of_s3 / sizeof of_s3[0]];
    size_t n = 0;
    for (const struct key *i = own; i->name; i++) {
        names[n++] = i->name;
    }
    for (const struct key *i = common; i->name; i++) {
        names[n++] = i->name;
    }
    names[n] = NULL;
    (void)gy_err_set(err, GY_E_INVALID, "a remote %s has no setting '%.60s'",
                     scheme.p ? "of s3" : "in a folder", key);
    const char *near = gy_yaml_nearest(gy_str_c(key), names);
    return near ? gy_err_hint(err, "did you mean %s?", near) : GY_E_INVALID;
}
