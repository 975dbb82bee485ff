/* SPDX-License-Identifier: Apache-2.0 */
/* gyre flow import: a notebook as a pipeline. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/yaml.h"
#include "cli/cli_internal.h"
#include "flow/notebook.h"
#include "flow/project.h"

struct import_opts {
    const char *dir;
    bool force, dry_run;
};

/* What was done, for the answer. */
struct imported {
    const struct gy_notebook *n;
    const struct gy_notebook_plan *p;
    const char *dir;
    bool dry_run, own_project;
};

/* The folder that the notebook is in. */
static gy_status folder_of(const char *path, char ret[GY_MAX_PATH], struct gy_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    if (n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    (void)snprintf(ret, GY_MAX_PATH, "%.*s", n ? (int)n : 1, n ? path : ".");
    return GY_OK;
}

static void say(const struct gy_cli *cli, const struct imported *done)
{
    const struct gy_notebook_plan *p = done->p;
    const char *dir = done->dir;
    size_t i;
    size_t max;
    yyjson_val *v;
    for (i = 0; i < p->n_files; i++) {
        gy_cli_say(cli, "  %-16s %s/%s\n", gy_notebook_state_name(p->files[i].state), dir,
                   p->files[i].path.p);
    }
    if (done->own_project) {
        gy_cli_say(cli, "  %-16s %s/gyre.yaml (a project of its own)\n", "new", dir);
    }
    for (i = 0; i < p->n_left; i++) {
        gy_cli_say(cli, "  %-16s %s/%s\n", "left over", dir, p->left[i].p);
    }
    yyjson_arr_foreach(p->notices, i, max, v)
    {
        int64_t cell = gy_json_i64(v, "cell", 0);
        struct gy_str text = gy_json_str(v, "text");
        if (cell > 0) {
            gy_cli_note(cli, "note: cell %lld: %.*s\n", (long long)cell, (int)text.n, text.p);
        } else {
            gy_cli_note(cli, "note: %.*s\n", (int)text.n, text.p);
        }
    }
    gy_cli_say(cli,
               done->dry_run ? "nothing was written (--dry-run)\n"
                             : "next: cd %s && gyre run   (or dvc repro)\n",
               dir);
}

static gy_status print_json(const struct gy_cli *cli, const struct imported *done,
                            struct gy_err *err)
{
    const struct gy_notebook_plan *p = done->p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    static const char *const lists[] = {"deps", "params", "outs", "metrics"};
    struct gy_jw w;
    size_t i;
    size_t max;
    yyjson_val *stage;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "notebook", done->n->name);
    gy_jw_kv_strc(&w, "dir", done->dir);
    gy_jw_kv_bool(&w, "written", !done->dry_run);
    gy_jw_kv_bool(&w, "own_project", done->own_project);
    gy_jw_key(&w, "stages");
    gy_jw_arr(&w);
    yyjson_arr_foreach(p->stages, i, max, stage)
    {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "stage", gy_json_str(stage, "name"));
        for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
            gy_jw_key(&w, lists[k]);
            gy_jw_val(&w, gy_json_get(stage, lists[k]));
        }
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "files");
    gy_jw_arr(&w);
    for (i = 0; i < p->n_files; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "path", p->files[i].path);
        gy_jw_kv_strc(&w, "state", gy_notebook_state_name(p->files[i].state));
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "left");
    gy_jw_arr(&w);
    for (i = 0; i < p->n_left; i++) {
        gy_jw_str(&w, p->left[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "notices");
    gy_jw_val(&w, p->notices);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* A gyre.yaml above the folder would make it a part of that project, and `gyre run` there run the
 * other pipeline: the folder becomes a project of its own. */
static gy_status own_project(const char *dir, struct gy_str notebook, bool *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    char found[GY_MAX_PATH];
    char absolute[PATH_MAX];
    char path[GY_MAX_PATH];
    *ret = false;
    if (!realpath(dir, absolute)) {
        return gy_err_sys(err, errno, "looking at %s", dir);
    }
    GY_TRY(gy_project_find(dir, found, err));
    if (strcmp(found, absolute) == 0) {
        return GY_OK;
    }
    gy_buf_init(&text, GY_MAX_PATH);
    gy_buf_addc(&text, "name: ");
    gy_yaml_add_scalar(&text, gy_str_ends(notebook, GY_STR(".ipynb"))
                                  ? gy_str_sub(notebook, 0, notebook.n - 6)
                                  : notebook);
    gy_buf_add_char(&text, '\n');
    GY_TRY(gy_buf_check(&text, "gyre.yaml", err));
    GY_TRY(gy_path_join(path, sizeof path, dir, "gyre.yaml", err));
    *ret = true;
    return gy_file_write(path, gy_buf_str(&text), 0644, err);
}

static gy_status run_import(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct import_opts *o = opts;
    GY_AUTO(gy_notebook_free) struct gy_notebook *n = NULL;
    GY_AUTO(gy_notebook_plan_free) struct gy_notebook_plan *p = NULL;
    char beside[GY_MAX_PATH];
    char absolute[PATH_MAX];
    GY_TRY(folder_of(cli->argv[0], beside, err));
    const char *dir = o->dir ? o->dir : beside;
    if (!realpath(beside, absolute)) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no folder %s", beside);
    }
    GY_TRY(gy_notebook_read(cli->argv[0], &n, err));
    if (gy_notebook_plan(n, dir, absolute, &p, err) != GY_OK) {
        return gy_err_wrap(err, "%s", n->name.p);
    }
    GY_TRY(gy_notebook_compare(p, dir, err));
    if (!o->dry_run) {
        GY_TRY(gy_notebook_write(p, dir, o->force, err));
    }
    struct imported done = {.n = n, .p = p, .dir = dir, .dry_run = o->dry_run};
    if (!o->dry_run) {
        GY_TRY(own_project(dir, n->name, &done.own_project, err));
    }
    say(cli, &done);
    return cli->json ? print_json(cli, &done, err) : GY_OK;
}

static const struct gy_opt import_options[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct import_opts, dir), "DIR", NULL,
     "write the project there (default: beside the notebook)"},
    {"force", 'f', GY_OPT_FLAG, offsetof(struct import_opts, force), NULL, NULL,
     "replace files that were written or changed by hand, too"},
    {"dry-run", 0, GY_OPT_FLAG, offsetof(struct import_opts, dry_run), NULL, NULL,
     "list what would be written, write nothing"},
};

static const struct gy_verb verbs[] = {
    {.noun = "flow",
     .verb = "import",
     .args = "NOTEBOOK.ipynb",
     .min_args = 1,
     .max_args = 1,
     .summary = "make a pipeline of a notebook's tagged cells",
     .details =
         "Cell tags: stage:NAME begins a stage, and the cells after it belong to it; parameters "
         "(papermill's) become params.yaml;\n"
         "metrics: what the cell sets becomes a metrics file; skip: left out. Cells before the "
         "first stage are repeated where a\n"
         "stage needs them. Writes stages/NAME.py, params.yaml and dvc.yaml, which give the "
         "metrics of the notebook run from top to\n"
         "bottom: variables pass from stage to stage in stages/out/, files that the code names "
         "become dependencies and outputs.\n"
         "The notebook is read, never run. Run again after a change of the notebook; files changed "
         "by hand are not replaced.",
     .examples = "  gyre flow import notebook.ipynb && gyre run\n"
                 "  gyre flow import notebook.ipynb --dry-run\n"
                 "  gyre flow import notebook.ipynb -o project --json",
     .opts = import_options,
     .n_opts = sizeof import_options / sizeof import_options[0],
     .opts_bytes = sizeof(struct import_opts),
     .run = run_import},
};

const struct gy_verb_table gy_cmd_flow = GY_VERB_TABLE(verbs);
