/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration says of one remote, and opening it. */
#include <stdio.h>

#include "data/dvc/remote_internal.h"
#include "data/dvc/remote_keys.h"

static gy_status section_of(struct gy_str name, char ret[GY_MAX_NAME + 16], struct gy_err *err)
{
    if (name.n == 0 || name.n > GY_MAX_NAME) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no name for a remote",
                          GY_STR_A(gy_str_sub(name, 0, 100)));
    }
    int n = snprintf(ret, GY_MAX_NAME + 16, "remote \"%" GY_STR_F "\"", GY_STR_A(name));
    for (int i = 0; i < n; i++) {
        ret[i] = (char)(ret[i] >= 'A' && ret[i] <= 'Z' ? ret[i] + ('a' - 'A') : ret[i]);
    }
    return GY_OK;
}

/* The url of sections[at], which may stand below another remote's, into s->url. */
static gy_status resolve(struct gy_dvc_settings *s, struct gy_str name, size_t at,
                         struct gy_err *err)
{
    static const char remote[] = "remote://";
    char url[GY_MAX_PATH];
    if (at == GY_DVC_MAX_INHERIT) {
        return gy_err_set(err, GY_E_INVALID, "remotes inherit from each other in a circle");
    }
    GY_TRY(section_of(name, s->sections[at], err));
    s->n_sections = at + 1;
    GY_TRY(gy_dvc_config_path(s->config, s->sections[at], "url", url, err));
    if (!url[0]) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "there is no remote '%" GY_STR_F "'", GY_STR_A(name));
        return gy_err_hint(err, "gyre data remote list shows them; gyre data remote add NAME URL");
    }
    if (strncmp(url, remote, sizeof remote - 1) != 0) {
        (void)snprintf(s->url, sizeof s->url, "%s", url);
        return GY_OK;
    }
    struct gy_str rest = gy_str_c(url + sizeof remote - 1), base, below;
    if (!gy_str_cut(rest, '/', &base, &below)) {
        base = rest;
        below = GY_STR("");
    }
    while (gy_str_starts(below, GY_STR("/"))) {
        below = gy_str_sub(below, 1, below.n);
    }
    GY_TRY(resolve(s, base, at + 1, err));
    size_t n = strlen(s->url);
    if (n + below.n + 2 > sizeof s->url) {
        return gy_err_set(err, GY_E_TOOBIG, "the url of a remote is too long");
    }
    (void)snprintf(s->url + n, sizeof s->url - n, "/%" GY_STR_F, GY_STR_A(below));
    return GY_OK;
}

gy_status gy_dvc_settings_read(const struct gy_dvc_config *c, const char *name,
                               struct gy_dvc_settings *ret, struct gy_err *err)
{
    *ret = (struct gy_dvc_settings){.config = c};
    return resolve(ret, gy_str_c(name), 0, err);
}

struct gy_str gy_dvc_setting(const struct gy_dvc_settings *s, const char *key)
{
    for (size_t i = 0; i < s->n_sections; i++) {
        struct gy_str v = gy_dvc_config_get(s->config, s->sections[i], key, NULL);
        if (v.p) {
            return v;
        }
    }
    return GY_STR_NULL;
}

gy_status gy_dvc_setting_path(const struct gy_dvc_settings *s, const char *key,
                              char ret[GY_MAX_PATH], struct gy_err *err)
{
    ret[0] = '\0';
    for (size_t i = 0; i < s->n_sections && !ret[0]; i++) {
        GY_TRY(gy_dvc_config_path(s->config, s->sections[i], key, ret, err));
    }
    return GY_OK;
}

bool gy_dvc_setting_bool(const struct gy_dvc_settings *s, const char *key, bool standard)
{
    for (size_t i = 0; i < s->n_sections; i++) {
        if (gy_dvc_config_get(s->config, s->sections[i], key, NULL).p) {
            return gy_dvc_config_bool(s->config, s->sections[i], key, standard);
        }
    }
    return standard;
}

static gy_status no_remote(const struct gy_dvc_config *c, struct gy_err *err)
{
    bool any = false;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_str *names = NULL;
    size_t n = 0;
    gy_arena_init(&a, GY_DVC_MAX_CONFIG);
    any = gy_dvc_config_remotes(c, GY_DVC_N_LEVELS, &a, &names, &n, NULL) == GY_OK && n > 0;
    (void)gy_err_set(err, GY_E_NOTFOUND, "no remote is the default one");
    return any ? gy_err_hint(err,
                             "name one with -r, or make it the default: gyre data remote "
                             "default %.100s",
                             names[0].p)
               : gy_err_hint(err,
                             "gyre data remote add -d NAME URL; URL is a folder or s3://BUCKET/"
                             "PREFIX");
}

gy_status gy_dvc_remote_open(const struct gy_dvc_config *c, const char *name,
                             struct gy_dvc_remote **ret, struct gy_err *err)
{
    struct gy_dvc_settings s;
    char standard[GY_MAX_NAME + 1];
    if (!name) {
        struct gy_str core = gy_dvc_config_get(c, "core", "remote", NULL);
        if (!core.n || core.n > GY_MAX_NAME) {
            return no_remote(c, err);
        }
        (void)snprintf(standard, sizeof standard, "%" GY_STR_F, GY_STR_A(core));
        name = standard;
    }
    GY_TRY(gy_dvc_settings_read(c, name, &s, err));
    static const char *const versioned[] = {"version_aware", "worktree"};
    for (size_t i = 0; i < 2; i++) {
        if (gy_dvc_setting_bool(&s, versioned[i], false)) {
            (void)gy_err_set(err, GY_E_UNSUPPORTED, "remote '%s': '%s' is not supported", name,
                             versioned[i]);
            return gy_err_hint(err,
                               "such remotes keep files by their paths; dvc push and pull know "
                               "them");
        }
    }
    const struct gy_dvc_remote_ops *ops = NULL;
    void *self = NULL;
    struct gy_str scheme = gy_dvc_url_scheme(gy_str_c(s.url));
    gy_status status = GY_OK;
    if (!scheme.p) {
        status = gy_dvc_folder_open(&s, &ops, &self, err);
    } else if (gy_str_eqc(scheme, "s3")) {
        status = gy_dvc_s3_open(&s, &ops, &self, err);
    } else {
        (void)gy_err_set(err, GY_E_UNSUPPORTED,
                         "remote '%s': places of the kind %" GY_STR_F ":// are not supported", name,
                         GY_STR_A(scheme));
        return gy_err_hint(err, "folders and s3:// are; dvc push and pull know others");
    }
    if (status != GY_OK) {
        return gy_err_wrap(err, "remote '%s'", name);
    }
    GY_TRY(gy_dvc_remote_new(ops, self, name, s.url, ret, err));
    int64_t jobs = 0;
    struct gy_str set = gy_dvc_setting(&s, "jobs");
    if (set.p && gy_parse_i64(set, 1, GY_DVC_MAX_JOBS, &jobs, NULL) == GY_OK) {
        gy_dvc_remote_set_jobs(*ret, (int)jobs);
    }
    return GY_OK;
}
