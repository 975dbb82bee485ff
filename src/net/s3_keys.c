/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and region from the environment or from AWS's files. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "net/s3.h"

#define MAX_FILE GY_MIB

static bool take(struct gy_str value, char *out, size_t out_size)
{
    if (value.n >= out_size) {
        return false;
    }
    for (size_t i = 0; i < value.n; i++) {
        if ((unsigned char)value.p[i] <= ' ' || (unsigned char)value.p[i] > '~') {
            return false; /* would break the header, or is a mistake of copying */
        }
    }
    memcpy(out, value.p ? value.p : "", value.n);
    out[value.n] = '\0';
    return true;
}

struct setting {
    const char *name;
    char *out;
    size_t out_size;
};

/* The settings of [section] that are still empty. Comments and what is unknown are passed over. */
static gy_status read_profile(const char *path, const char *section, const struct setting *settings,
                              size_t n, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    gy_buf_init(&file, MAX_FILE);
    gy_status status = gy_file_read(path, &file, err);
    if (status != GY_OK) {
        return status == GY_E_NOTFOUND ? GY_OK : status;
    }
    struct gy_str rest = gy_buf_str(&file), line;
    bool inside = false;
    while (gy_str_next(&rest, '\n', &line)) {
        struct gy_str name, value;
        line = gy_str_trim(line);
        if (gy_str_starts(line, GY_STR("[")) && gy_str_ends(line, GY_STR("]"))) {
            inside = gy_str_eqc(gy_str_trim(gy_str_sub(line, 1, line.n - 2)), section);
            continue;
        }
        if (!inside || gy_str_starts(line, GY_STR("#")) || !gy_str_cut(line, '=', &name, &value)) {
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (!settings[i].out[0] && gy_str_eqc(gy_str_trim(name), settings[i].name) &&
                !take(gy_str_trim(value), settings[i].out, settings[i].out_size)) {
                explicit_bzero(file.p, file.n);
                return gy_err_set(err, GY_E_INVALID, "%s in '%s' [%s] is not of the right form",
                                  settings[i].name, path, section);
            }
        }
    }
    explicit_bzero(file.p, file.n);
    return GY_OK;
}

/* An environment variable; false: it is set to what can not be used. */
static bool env(const char *name, char *out, size_t out_size)
{
    return take(gy_str_c(getenv(name)), out, out_size);
}

static void aws_path(const char *named, const char *env_name, const char *name,
                     char out[GY_MAX_PATH])
{
    const char *given = named ? named : getenv(env_name), *home = getenv("HOME");
    (void)snprintf(out, GY_MAX_PATH, "%s%s%s",
                   given && given[0] ? given
                   : home            ? home
                                     : "",
                   given && given[0] ? "" : "/.aws/", given && given[0] ? "" : name);
}

static gy_status read_files(const struct gy_s3_keys_from *from, struct gy_s3_keys *k, char *region,
                            struct gy_err *err)
{
    char path[GY_MAX_PATH], section[GY_MAX_NAME + 16];
    const char *profile = from->profile ? from->profile : getenv("AWS_PROFILE");
    profile = profile && profile[0] ? profile : "default";
    const struct setting settings[] = {
        {"region", region, GY_S3_MAX_REGION},
        {"aws_access_key_id", k->access, sizeof k->access},
        {"aws_secret_access_key", k->secret, sizeof k->secret},
        {"aws_session_token", k->token, sizeof k->token},
    };
    /* Keys of the environment and of a file are never mixed. */
    size_t n = k->access[0] ? 1 : sizeof settings / sizeof settings[0];
    aws_path(from->credentials_file, "AWS_SHARED_CREDENTIALS_FILE", "credentials", path);
    GY_TRY(read_profile(path, profile, settings, n, err));
    aws_path(from->config_file, "AWS_CONFIG_FILE", "config", path);
    bool is_default = strcmp(profile, "default") == 0;
    (void)snprintf(section, sizeof section, "%s%.*s", is_default ? "" : "profile ", GY_MAX_NAME,
                   profile);
    return read_profile(path, section, settings, n, err);
}

gy_status gy_s3_keys_find(struct gy_s3_keys *ret, char ret_region[GY_S3_MAX_REGION],
                          struct gy_err *err)
{
    struct gy_s3_keys_from from = {NULL, NULL, NULL};
    return gy_s3_keys_find_in(&from, ret, ret_region, err);
}

gy_status gy_s3_keys_find_in(const struct gy_s3_keys_from *from, struct gy_s3_keys *ret,
                             char ret_region[GY_S3_MAX_REGION], struct gy_err *err)
{
    memset(ret, 0, sizeof *ret);
    ret_region[0] = '\0';
    if (!env("AWS_ACCESS_KEY_ID", ret->access, sizeof ret->access) ||
        !env("AWS_SECRET_ACCESS_KEY", ret->secret, sizeof ret->secret) ||
        !env("AWS_SESSION_TOKEN", ret->token, sizeof ret->token) ||
        !env("AWS_REGION", ret_region, GY_S3_MAX_REGION) ||
        (!ret_region[0] && !env("AWS_DEFAULT_REGION", ret_region, GY_S3_MAX_REGION))) {
        return gy_err_set(
            err, GY_E_INVALID,
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or the region "
            "is not of the right form: blanks, or too long");
    }
    if (!ret->access[0] != !ret->secret[0]) {
        return gy_err_set(err, GY_E_INVALID,
                          "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together");
    }
    if (!ret->access[0]) {
        ret->token[0] = '\0';
    }
    if (from->profile) {
        explicit_bzero(ret, sizeof *ret);
    }
    GY_TRY(read_files(from, ret, ret_region, err));
    if (!ret->access[0] || !ret->secret[0]) {
        gy_err_set(err, GY_E_DENIED, "there are no keys for S3");
        return gy_err_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in "
                                "~/.aws/credentials (AWS_PROFILE)");
    }
    if (!ret_region[0]) {
        (void)snprintf(ret_region, GY_S3_MAX_REGION, "us-east-1");
    }
    return GY_OK;
}
