/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data remote: where versions are pushed to, in DVC's own configuration. */
#include <unistd.h>

#include "cli/cli_internal.h"
#include "data/dvc/config.h"
#include "data/dvc/remote_keys.h"

struct remote_opts {
    bool local, global, system;
    bool as_default, force, unset;
};

struct job {
    struct gy_cli *cli;
    const struct remote_opts *o;
    struct gy_dvc_config *config;
    enum gy_dvc_level level; /* to be written */
    int argc;                /* behind the sub-command */
    char **argv;
    char cwd[GY_MAX_PATH];
    char name[GY_MAX_NAME + 1];     /* the remote, lower case */
    char section[GY_MAX_NAME + 16]; /* remote "name" */
};

static gy_status usage(struct gy_err *err, const char *how)
{
    (void)gy_err_set(err, GY_E_USAGE, "gyre data remote %s", how);
    return GY_E_USAGE;
}

static gy_status lower_name(const char *text, char ret[GY_MAX_NAME + 1], struct gy_err *err)
{
    size_t n = strlen(text);
    if (n == 0 || n > GY_MAX_NAME || strchr(text, '"')) {
        return gy_err_set(err, GY_E_INVALID, "'%.100s' is no name for a remote", text);
    }
    for (size_t i = 0; i <= n; i++) {
        ret[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    }
    return GY_OK;
}

static gy_status take_name(struct job *j, const char *text, struct gy_err *err)
{
    GY_TRY(lower_name(text, j->name, err));
    (void)snprintf(j->section, sizeof j->section, "remote \"%s\"", j->name);
    return GY_OK;
}

static gy_status need_remote(const struct job *j, enum gy_dvc_level level, struct gy_err *err)
{
    if (gy_dvc_config_has(j->config, level, j->section)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "there is no remote '%s'%s", j->name,
                     gy_dvc_config_has(j->config, GY_DVC_N_LEVELS, j->section)
                         ? " in this file of the configuration"
                         : "");
    return gy_err_hint(err, "gyre data remote list shows them; --local, --global and --system name "
                            "another file");
}

static gy_status set(struct job *j, enum gy_dvc_level level, const char *section, const char *key,
                     struct gy_str value, struct gy_err *err)
{
    return gy_dvc_config_set(j->config, level, section, key, value, err);
}

static gy_status said(const struct job *j, const char *what, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    if (!j->cli->json) {
        gy_cli_say(j->cli, "%s %s\n", j->name, what);
        return GY_OK;
    }
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "remote", j->name);
    gy_jw_kv_strc(&w, "done", what);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(j->cli, &out, err);
}

static gy_status run_add(struct job *j, struct gy_err *err)
{
    if (j->argc != 2) {
        return usage(err, "add NAME URL");
    }
    char url[GY_MAX_PATH];
    GY_TRY(take_name(j, j->argv[0], err));
    if (gy_dvc_config_has(j->config, j->level, j->section) && !j->o->force) {
        (void)gy_err_set(err, GY_E_EXISTS, "there is a remote '%s' already", j->name);
        return gy_err_hint(err,
                           "--force replaces it; gyre data remote modify %s url URL keeps its "
                           "other settings",
                           j->name);
    }
    GY_TRY(gy_dvc_config_path_text(j->config, j->level, j->cwd, j->argv[1], url, err));
    GY_TRY(gy_dvc_remote_check_url(gy_str_c(url), err));
    GY_TRY(set(j, j->level, j->section, NULL, GY_STR_NULL, err));
    GY_TRY(set(j, j->level, j->section, "url", gy_str_c(url), err));
    if (j->o->as_default) {
        GY_TRY(set(j, j->level, "core", "remote", gy_str_c(j->name), err));
    }
    return said(j, "added", err);
}

static gy_status run_modify(struct job *j, struct gy_err *err)
{
    if (j->argc != (j->o->unset ? 2 : 3)) {
        return usage(err, "modify NAME KEY VALUE, or --unset NAME KEY");
    }
    char key[GY_MAX_NAME + 1], path[GY_MAX_PATH];
    GY_TRY(take_name(j, j->argv[0], err));
    GY_TRY(lower_name(j->argv[1], key, err));
    GY_TRY(need_remote(j, GY_DVC_N_LEVELS, err));
    struct gy_str value = gy_str_c(j->o->unset ? NULL : j->argv[2]);
    if (value.p) {
        char url[GY_MAX_PATH];
        GY_TRY(gy_dvc_config_path(j->config, j->section, "url", url, err));
        GY_TRY(strcmp(key, "url") == 0 ? gy_dvc_remote_check_url(value, err)
                                       : gy_dvc_remote_check_key(gy_str_c(url), key, value, err));
        if (gy_dvc_config_is_path(j->section, key)) {
            GY_TRY(gy_dvc_config_path_text(j->config, j->level, j->cwd, j->argv[2], path, err));
            value = gy_str_c(path);
        }
    }
    GY_TRY(set(j, j->level, j->section, key, value, err));
    return said(j, "modified", err);
}

static gy_status run_default(struct job *j, struct gy_err *err)
{
    if (j->argc > 1 || (j->o->unset && j->argc)) {
        return usage(err, "default [NAME], or --unset");
    }
    bool one_level = j->o->local || j->o->global || j->o->system;
    if (j->argc == 0 && !j->o->unset) {
        struct gy_str now = one_level ? gy_dvc_config_get_at(j->config, j->level, "core", "remote")
                                      : gy_dvc_config_get(j->config, "core", "remote", NULL);
        if (!now.p) {
            (void)gy_err_set(err, GY_E_NOTFOUND, "no default remote is set");
            return gy_err_hint(err, "gyre data remote default NAME");
        }
        (void)snprintf(j->name, sizeof j->name, "%" GY_STR_F, GY_STR_A(now));
        return said(j, "is the default remote", err);
    }
    if (j->o->unset) {
        GY_TRY(set(j, j->level, "core", "remote", GY_STR_NULL, err));
        return said(j, "no remote is the default", err);
    }
    GY_TRY(take_name(j, j->argv[0], err));
    GY_TRY(need_remote(j, GY_DVC_N_LEVELS, err));
    GY_TRY(set(j, j->level, "core", "remote", gy_str_c(j->name), err));
    return said(j, "is the default remote", err);
}

/* Where core.remote is this one, in the files above and at the level that was edited: to, or
 * nothing. */
static gy_status follow_default(struct job *j, struct gy_str to, struct gy_err *err)
{
    for (int i = GY_DVC_N_LEVELS - 1; i >= (int)j->level; i--) {
        enum gy_dvc_level level = (enum gy_dvc_level)i;
        if (gy_str_ieq(gy_dvc_config_get_at(j->config, level, "core", "remote"),
                       gy_str_c(j->name))) {
            GY_TRY(set(j, level, "core", "remote", to, err));
        }
    }
    return GY_OK;
}

static gy_status run_remove(struct job *j, struct gy_err *err)
{
    if (j->argc != 1) {
        return usage(err, "remove NAME");
    }
    GY_TRY(take_name(j, j->argv[0], err));
    GY_TRY(need_remote(j, j->level, err));
    GY_TRY(set(j, j->level, j->section, NULL, GY_STR_NULL, err));
    GY_TRY(follow_default(j, GY_STR_NULL, err));
    return said(j, "removed", err);
}

static gy_status run_rename(struct job *j, struct gy_err *err)
{
    if (j->argc != 2) {
        return usage(err, "rename NAME NEWNAME");
    }
    char to[GY_MAX_NAME + 1], section[sizeof j->section];
    GY_TRY(lower_name(j->argv[1], to, err));
    (void)snprintf(section, sizeof section, "remote \"%s\"", to);
    GY_TRY(take_name(j, j->argv[0], err));
    GY_TRY(need_remote(j, j->level, err));
    if (gy_dvc_config_has(j->config, GY_DVC_N_LEVELS, section)) {
        return gy_err_set(err, GY_E_EXISTS, "there is a remote '%s' already", to);
    }
    GY_TRY(gy_dvc_config_rename(j->config, j->level, j->section, section, err));
    GY_TRY(follow_default(j, gy_str_c(to), err));
    return said(j, "renamed", err);
}

static gy_status run_list(struct job *j, struct gy_err *err)
{
    struct gy_str *names = NULL;
    size_t n = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    if (j->argc) {
        return usage(err, "list");
    }
    bool one_level = j->o->local || j->o->global || j->o->system;
    GY_TRY(gy_dvc_config_remotes(j->config, one_level ? j->level : GY_DVC_N_LEVELS, &j->cli->arena,
                                 &names, &n, err));
    struct gy_str standard = gy_dvc_config_get(j->config, "core", "remote", NULL);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "remotes");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        char section[sizeof j->section], url[GY_MAX_PATH];
        (void)snprintf(section, sizeof section, "remote \"%" GY_STR_F "\"", GY_STR_A(names[i]));
        GY_TRY(gy_dvc_config_path(j->config, section, "url", url, err));
        bool is_default = gy_str_ieq(standard, names[i]);
        gy_cli_say(j->cli, "%" GY_STR_F "\t%s%s\n", GY_STR_A(names[i]), url,
                   is_default ? "\t(default)" : "");
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "name", names[i]);
        gy_jw_kv_strc(&w, "url", url);
        gy_jw_kv_bool(&w, "default", is_default);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return j->cli->json ? gy_cli_print_json(j->cli, &out, err) : GY_OK;
}

static gy_status open_config(struct job *j, struct gy_err *err)
{
    const struct remote_opts *o = j->o;
    char root[GY_MAX_PATH];
    if (o->local + o->global + o->system > 1) {
        return gy_err_set(err, GY_E_USAGE, "--local, --global and --system exclude each other");
    }
    j->level = o->local    ? GY_DVC_LOCAL
               : o->global ? GY_DVC_GLOBAL
               : o->system ? GY_DVC_SYSTEM
                           : GY_DVC_REPO;
    if (!getcwd(j->cwd, sizeof j->cwd)) {
        return gy_err_set(err, GY_E_IO, "the current folder has no path");
    }
    gy_status status = gy_dvc_find_root(j->cwd, root, err);
    if (status != GY_OK && !o->global && !o->system) {
        return status;
    }
    return gy_dvc_config_load(status == GY_OK ? root : NULL, &j->config, err);
}

static gy_status run_remote(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const struct {
        const char *name;
        gy_status (*run)(struct job *j, struct gy_err *err);
    } commands[] = {{"add", run_add},       {"list", run_list},     {"modify", run_modify},
                    {"remove", run_remove}, {"rename", run_rename}, {"default", run_default}};
    struct job j = {.cli = cli, .o = opts, .argc = cli->argc - 1, .argv = cli->argv + 1};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(cli->argv[0], commands[i].name) == 0) {
            gy_status status = open_config(&j, err);
            if (status == GY_OK) {
                status = commands[i].run(&j, err);
            }
            gy_dvc_config_free(j.config);
            return status;
        }
    }
    (void)usage(err, "add | list | modify | default | remove | rename");
    return gy_err_hint(err, "'%.50s' is none of them", cli->argv[0]);
}

static const struct gy_opt remote_opts[] = {
    {"local", 0, GY_OPT_FLAG, offsetof(struct remote_opts, local), NULL, NULL,
     "in .dvc/config.local, which git ignores: for secrets"},
    {"global", 0, GY_OPT_FLAG, offsetof(struct remote_opts, global), NULL, NULL,
     "in the configuration of this user"},
    {"system", 0, GY_OPT_FLAG, offsetof(struct remote_opts, system), NULL, NULL,
     "in the configuration of this machine"},
    {"default", 'd', GY_OPT_FLAG, offsetof(struct remote_opts, as_default), NULL, NULL,
     "add: it is the one that push and pull take"},
    {"force", 'f', GY_OPT_FLAG, offsetof(struct remote_opts, force), NULL, NULL,
     "add: over one of this name"},
    {"unset", 'u', GY_OPT_FLAG, offsetof(struct remote_opts, unset), NULL, NULL,
     "modify, default: remove the setting"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "remote",
     .args = "add NAME URL | list | modify NAME KEY VALUE | default [NAME] | remove NAME | rename "
             "NAME NEW",
     .min_args = 1,
     .max_args = 4,
     .summary = "where versions are pushed to (DVC's configuration)",
     .details =
         "Urls: a folder, s3://BUCKET/PREFIX, or remote://NAME/PATH below another one. Keys of "
         "s3: endpointurl,\nregion, profile, access_key_id, secret_access_key, session_token, "
         "use_ssl, jobs, verify.",
     .examples = "  gyre data remote add -d store s3://bucket/data\n"
                 "  gyre data remote modify store endpointurl http://127.0.0.1:9000\n"
                 "  gyre data remote modify --local store access_key_id KEY\n"
                 "  gyre data remote list",
     .opts = remote_opts,
     .n_opts = sizeof remote_opts / sizeof remote_opts[0],
     .opts_bytes = sizeof(struct remote_opts),
     .run = run_remote},
};

const struct gy_verb_table gy_cmd_data_remote = GY_VERB_TABLE(verbs);
