/* SPDX-License-Identifier: Apache-2.0 */
/* `gyre init`: a project from a template. The templates are examples/<name>/ of the source tree,
 * embedded in the program. */
#include "base/embed.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/cli_internal.h"
#include "cli/templates.h"

struct init_opts {
    const char *template_name;
};

static const struct {
    const char *name;
    const struct gy_embedded *files;
    const size_t *count;
} templates[] = {
    {"sepsis", gy_template_sepsis, &gy_template_sepsis_count},
    {"fuel", gy_template_fuel, &gy_template_fuel_count},
    {"bikes", gy_template_bikes, &gy_template_bikes_count},
    {"iris", gy_template_iris, &gy_template_iris_count},
    {"fraud", gy_template_fraud, &gy_template_fraud_count},
    {"insurance", gy_template_insurance, &gy_template_insurance_count},
    {"rings", gy_template_rings, &gy_template_rings_count},
    {"blank", gy_template_blank, &gy_template_blank_count},
};

#define TEMPLATE_NAMES "sepsis, fuel, bikes, iris, fraud, insurance, rings, blank"
enum { N_TEMPLATES = sizeof templates / sizeof templates[0] };

static gy_status find_template(const char *name, size_t *ret, struct gy_err *err)
{
    for (size_t i = 0; i < N_TEMPLATES; i++) {
        if (strcmp(templates[i].name, name) == 0) {
            *ret = i;
            return GY_OK;
        }
    }
    gy_err_set(err, GY_E_USAGE, "no template named '%s'", name);
    return gy_err_hint(err, "there are: " TEMPLATE_NAMES);
}

/* A person's file is never overwritten: all are checked before the first is written. */
static gy_status refuse_existing(const char *dir, size_t t, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    for (size_t i = 0; i < *templates[t].count; i++) {
        GY_TRY(gy_path_join(path, sizeof path, dir, templates[t].files[i].name, err));
        if (gy_path_exists(path)) {
            gy_err_set(err, GY_E_EXISTS, "%s is there already", path);
            return gy_err_hint(err, "gyre init writes into a folder without these files");
        }
    }
    return GY_OK;
}

static gy_status write_files(const char *dir, size_t t, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_dir_make(dir, err));
    for (size_t i = 0; i < *templates[t].count; i++) {
        const struct gy_embedded *f = &templates[t].files[i];
        GY_TRY(gy_path_join(path, sizeof path, dir, f->name, err));
        GY_TRY(gy_file_write(path, gy_str_n(f->bytes, f->size), 0644, err));
    }
    GY_TRY(gy_path_join(path, sizeof path, dir, ".gitignore", err));
    return gy_path_exists(path)
               ? GY_OK
               : gy_file_write(path, GY_STR("/.gyre/\n/data/\n/models/\n/reports/\n"), 0644, err);
}

static gy_status print_result(struct gy_cli *cli, const char *dir, size_t t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "template", templates[t].name);
    gy_jw_kv_strc(&w, "dir", dir);
    gy_jw_key(&w, "files");
    gy_jw_arr(&w);
    for (size_t i = 0; i < *templates[t].count; i++) {
        gy_jw_strc(&w, templates[t].files[i].name);
        gy_cli_say(cli, "  %s/%s\n", dir, templates[t].files[i].name);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

static gy_status run_init(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct init_opts *o = opts;
    const char *dir = cli->argc > 0 ? cli->argv[0] : ".";
    size_t t = 0;
    GY_TRY(find_template(o->template_name, &t, err));
    GY_TRY(refuse_existing(dir, t, err));
    GY_TRY(write_files(dir, t, err));
    char home[GY_MAX_PATH];
    GY_TRY(gy_path_join(home, sizeof home, dir, ".gyre", err));
    struct gy_home made = {.lock_fd = -1};
    GY_TRY(gy_home_find(home, true, &made, err));
    gy_home_done(&made);
    return print_result(cli, dir, t, err);
}

static const struct gy_opt init_opts[] = {
    {"template", 't', GY_OPT_STR, offsetof(struct init_opts, template_name), "NAME", "blank",
     TEMPLATE_NAMES},
};

static const struct gy_verb verbs[] = {
    {.noun = "init",
     .args = "[DIR]",
     .max_args = 1,
     .summary = "make a project: gyre.yaml, dvc.yaml, params.yaml, schema.yaml",
     .examples = "  gyre init --template sepsis my-project\n  gyre init",
     .opts = init_opts,
     .n_opts = sizeof init_opts / sizeof init_opts[0],
     .opts_bytes = sizeof(struct init_opts),
     .run = run_init},
};

const struct gy_verb_table gy_cmd_init = GY_VERB_TABLE(verbs);
