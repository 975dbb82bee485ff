/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data import, update; and diff of what DVC tracks. */
#include "cli/dvc_work.h"
#include "data/dvc/diff.h"
#include "data/dvc/import.h"

struct import_opts {
    const char *out, *rev;
    bool force;
};

/* ---- import, update ---- */

static void json_imported(struct gy_jw *w, const struct gy_dvc_imported *d)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "path", d->path);
    gy_jw_kv_str(w, "file", d->file);
    gy_jw_kv_strc(w, "md5", d->oid.hex);
    if (d->rev_lock[0]) {
        gy_jw_kv_strc(w, "rev_lock", d->rev_lock);
    }
    gy_jw_kv_bool(w, "changed", d->changed);
    gy_jw_obj_end(w);
}

static gy_status print_imported(struct gy_cli *cli, const struct gy_dvc_imported *d, size_t n,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "outs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        json_imported(&w, &d[i]);
        gy_cli_say(cli, "%" GY_STR_F ": %s%s%.12s\n", GY_STR_A(d[i].file),
                   d[i].changed ? "changed" : "as before", d[i].rev_lock[0] ? ", at " : "",
                   d[i].rev_lock);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

static gy_status run_import(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct import_opts *o = opts;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_dvc_imported done;
    bool repo = cli->argc == 2;
    struct gy_dvc_import i = {.repo = repo ? cli->argv[0] : NULL,
                              .path = cli->argv[repo ? 1 : 0],
                              .rev = o->rev,
                              .out = o->out,
                              .force = o->force};
    gy_arena_init(&a, 16 * GY_GIB);
    if (o->rev && !repo) {
        return gy_err_set(err, GY_E_USAGE, "--rev is for imports of a repository");
    }
    GY_TRY(gy_cli_dvc_open(cli, true, &r, err));
    GY_TRY(gy_dvc_import(r, &i, &a, &done, err));
    return print_imported(cli, &done, 1, err);
}

static gy_status run_update(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct import_opts *o = opts;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_dvc_out *outs = NULL;
    size_t n = 0, done = 0;
    gy_arena_init(&a, 16 * GY_GIB);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    GY_TRY(gy_cli_dvc_outs_to_write(cli, r, &a, &outs, &n, err));
    struct gy_dvc_imported *all = gy_arena_calloc(&a, n + 1, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for what is updated");
    }
    for (size_t i = 0; i < n; i++) {
        if (outs[i].imported || cli->argc) {
            GY_TRY(gy_dvc_update(r, &outs[i], o->rev, &a, &all[done++], err));
        }
    }
    return print_imported(cli, all, done, err);
}

/* ---- diff ---- */

static void json_hash(struct gy_jw *w, const struct gy_dvc_difference *d)
{
    gy_jw_key(w, "hash");
    if (d->delta != GY_DVC_D_MODIFIED) {
        gy_jw_strc(w, d->delta == GY_DVC_D_ADDED ? d->new_oid.hex : d->old_oid.hex);
        return;
    }
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "old", d->old_oid.hex);
    gy_jw_kv_strc(w, "new", d->new_oid.hex);
    gy_jw_obj_end(w);
}

static void json_difference(struct gy_jw *w, const struct gy_dvc_difference *d, bool hashes)
{
    gy_jw_obj(w);
    if (d->delta == GY_DVC_D_RENAMED) {
        gy_jw_key(w, "path");
        gy_jw_obj(w);
        gy_jw_kv_str(w, "old", d->old_path);
        gy_jw_kv_str(w, "new", d->new_path);
        gy_jw_obj_end(w);
    } else {
        gy_jw_kv_str(w, "path", d->new_path.p ? d->new_path : d->old_path);
    }
    if (hashes) {
        json_hash(w, d);
    }
    gy_jw_obj_end(w);
}

static gy_status print_diff(struct gy_cli *cli, const struct gy_dvc_difference *d, size_t n,
                            bool hashes, struct gy_err *err)
{
    static const char *const names[] = {"added", "deleted", "modified", "renamed"};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    size_t i = 0;
    for (int kind = 0; kind < 4 && n; kind++) {
        gy_jw_key(&w, names[kind]);
        gy_jw_arr(&w);
        for (; i < n && (int)d[i].delta == kind; i++) {
            json_difference(&w, &d[i], hashes);
            gy_cli_say(cli, "%-9s %" GY_STR_F "%s%" GY_STR_F "\n", names[kind],
                       GY_STR_A(d[i].old_path.p ? d[i].old_path : d[i].new_path),
                       kind == GY_DVC_D_RENAMED ? " -> " : "",
                       GY_STR_A(kind == GY_DVC_D_RENAMED ? d[i].new_path : GY_STR("")));
        }
        gy_jw_arr_end(&w);
    }
    gy_jw_obj_end(&w);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

gy_status gy_cli_dvc_diff(struct gy_cli *cli, bool hashes, struct gy_err *err)
{
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_dvc_difference *d = NULL;
    size_t n = 0;
    gy_arena_init(&a, 16 * GY_GIB);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    GY_TRY(gy_dvc_diff(r, cli->argc > 0 ? cli->argv[0] : "HEAD",
                       cli->argc > 1 ? cli->argv[1] : NULL, &a, &d, &n, err));
    return print_diff(cli, d, n, hashes, err);
}

static const struct gy_opt import_opts[] = {
    {"out", 'o', GY_OPT_STR, offsetof(struct import_opts, out), "NAME", NULL,
     "where to (the last part of PATH)"},
    {"rev", 0, GY_OPT_STR, offsetof(struct import_opts, rev), "REV", NULL,
     "a branch, tag or commit of that repository (its HEAD)"},
    {"force", 'f', GY_OPT_FLAG, offsetof(struct import_opts, force), NULL, NULL,
     "over what is there"},
};
static const struct gy_opt update_opts[] = {
    {"rev", 0, GY_OPT_STR, offsetof(struct import_opts, rev), "REV", NULL,
     "another revision from now on"},
};
static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "import",
     .args = "[REPO] PATH",
     .min_args = 1,
     .max_args = 2,
     .summary = "take over data of another repository, or of outside, and note where it came from",
     .details =
         "REPO is a folder (or file:// url) with git and .dvc; PATH is what it tracks, a part "
         "of that, or\na file in its git. Without REPO, PATH is a file or folder of this "
         "machine. gyre data update\nbrings it up to date.",
     .examples = "  gyre data import ../other data/train.csv --rev v1.0\n"
                 "  gyre data import /srv/exports/patients.csv",
     .opts = import_opts,
     .n_opts = sizeof import_opts / sizeof import_opts[0],
     .opts_bytes = sizeof(struct import_opts),
     .run = run_import},
    {.noun = "data",
     .verb = "update",
     .args = "[TARGET...]",
     .max_args = -1,
     .summary = "bring imports up to date",
     .examples = "  gyre data update\n  gyre data update train.csv.dvc --rev v2.0",
     .opts = update_opts,
     .n_opts = sizeof update_opts / sizeof update_opts[0],
     .opts_bytes = sizeof(struct import_opts),
     .run = run_update},
};

const struct gy_verb_table gy_cmd_data_import = GY_VERB_TABLE(verbs);
