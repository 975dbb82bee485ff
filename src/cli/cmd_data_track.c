/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data add, commit, status, unprotect, remove, and checkout of what DVC tracks: the local half
 * of versions. */
#include "cli/dvc_work.h"
#include "data/dvc/add.h"
#include "data/dvc/checkout.h"
#include "data/dvc/stages.h"
#include "data/dvc/status.h"

#define ARENA_MAX (16 * GY_GIB) /* lists of millions of files */

struct track_opts {
    const char *file;
    const char *remote;
    bool no_commit, no_relink, outs, force, cloud;
};

/* ---- add, commit ---- */

static void json_added(struct gy_jw *w, const struct gy_dvc_added *d)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "path", d->path);
    gy_jw_kv_str(w, "file", d->file);
    gy_jw_kv_strc(w, "md5", d->oid.hex);
    if (d->size_bytes >= 0) {
        gy_jw_kv_i64(w, "size", d->size_bytes);
    }
    if (d->n_files >= 0) {
        gy_jw_kv_i64(w, "nfiles", d->n_files);
    }
    gy_jw_kv_bool(w, "changed", d->changed);
    gy_jw_obj_end(w);
}

static void say_added(const struct gy_cli *cli, const struct gy_dvc_added *d)
{
    char size[32];
    if (d->n_files >= 0) {
        gy_cli_say(cli, "%" GY_STR_F ": %" GY_STR_F ", %lld files, %s%s\n", GY_STR_A(d->file),
                   GY_STR_A(d->path), (long long)d->n_files,
                   d->size_bytes >= 0 ? gy_cli_bytes(d->size_bytes, size) : "size not known",
                   d->changed ? "" : " (as before)");
    } else {
        gy_cli_say(cli, "%" GY_STR_F ": %" GY_STR_F ", %s%s\n", GY_STR_A(d->file),
                   GY_STR_A(d->path), gy_cli_bytes(d->size_bytes, size),
                   d->changed ? "" : " (as before)");
    }
    if (d->empty) {
        gy_cli_note(cli, "%" GY_STR_F " is empty\n", GY_STR_A(d->path));
    }
}

static void say_git(struct gy_cli *cli, struct gy_dvc_repo *r, const struct gy_dvc_added *d,
                    size_t n)
{
    if (gy_dvc_config_bool(gy_dvc_repo_config(r), "core", "no_scm", false)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (d[i].changed) {
            gy_cli_note(cli,
                        "to keep this version: git add -A '*.dvc' '*.gitignore' && git commit\n");
            return;
        }
    }
}

static gy_status print_added(struct gy_cli *cli, struct gy_dvc_repo *r,
                             const struct gy_dvc_added *d, size_t n, struct gy_err *err)
{
    if (!cli->json) {
        for (size_t i = 0; i < n; i++) {
            say_added(cli, &d[i]);
        }
        say_git(cli, r, d, n);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "root", gy_dvc_repo_root(r));
    gy_jw_key(&w, "outs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        json_added(&w, &d[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status run_add(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct track_opts *o = opts;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, ARENA_MAX);
    if (o->file && cli->argc != 1) {
        return gy_err_set(err, GY_E_USAGE, "--file names the .dvc file of one PATH");
    }
    GY_TRY(gy_cli_dvc_open(cli, true, &r, err));
    size_t n = (size_t)cli->argc;
    struct gy_dvc_added *added = gy_arena_calloc(&a, n, sizeof *added);
    if (!added) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for what is added");
    }
    GY_AUTO_DONE(gy_cli_dvc_bar_end) struct gy_cli_dvc_bar bar;
    gy_cli_dvc_bar_start(&bar, cli, "adding");
    struct gy_dvc_add_options add = {
        .file = o->file, .no_commit = o->no_commit, .no_relink = o->no_relink, .progress = &bar.at};
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_dvc_add(r, cli->argv[i], &add, &a, &added[i], err));
    }
    gy_cli_dvc_bar_end(&bar);
    return print_added(cli, r, added, n, err);
}

static gy_status run_commit(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct track_opts *o = opts;
    struct gy_dvc_out *outs = NULL;
    size_t n = 0, kept = 0;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, ARENA_MAX);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    GY_TRY(
        gy_dvc_repo_outs(r, (const char *const *)cli->argv, (size_t)cli->argc, &a, &outs, &n, err));
    struct gy_dvc_added *added = gy_arena_calloc(&a, n + 1, sizeof *added);
    if (!added) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for what is committed");
    }
    GY_AUTO_DONE(gy_cli_dvc_bar_end) struct gy_cli_dvc_bar bar;
    gy_cli_dvc_bar_start(&bar, cli, "saving");
    struct gy_dvc_add_options add = {.no_relink = o->no_relink, .progress = &bar.at};
    for (size_t i = 0; i < n; i++) {
        if (outs[i].stage.p && cli->argc == 0) {
            continue; /* `gyre run` records what stages make */
        }
        GY_TRY(gy_dvc_commit(r, &outs[i], &add, &a, &added[kept++], err));
    }
    gy_cli_dvc_bar_end(&bar);
    return print_added(cli, r, added, kept, err);
}

/* ---- status ---- */

/* As DVC names a stage: "x.csv.dvc", "train", "sub/dvc.yaml:train". */
static const char *stage_name(struct gy_cli *cli, const struct gy_dvc_stage *s)
{
    const char *name = !s->name.p ? gy_arena_strdup(&cli->arena, s->file)
                       : gy_str_eqc(s->file, "dvc.yaml")
                           ? gy_arena_strdup(&cli->arena, s->name)
                           : gy_arena_printf(&cli->arena, "%" GY_STR_F ":%" GY_STR_F,
                                             GY_STR_A(s->file), GY_STR_A(s->name));
    return name ? name : "?";
}

static void json_findings(struct gy_jw *w, const char *what, const struct gy_dvc_finding *f,
                          size_t n)
{
    if (n == 0) {
        return;
    }
    gy_jw_obj(w);
    gy_jw_key(w, what);
    gy_jw_obj(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_keys(w, f[i].path);
        gy_jw_strc(w, gy_dvc_state_name(f[i].state));
    }
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static gy_status json_status(struct gy_cli *cli, const struct gy_dvc_stage_status *s, size_t n,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_key(&w, stage_name(cli, s[i].stage));
        gy_jw_arr(&w);
        json_findings(&w, "changed deps", s[i].deps, s[i].n_deps);
        json_findings(&w, "changed outs", s[i].outs, s[i].n_outs);
        if (s[i].cmd_changed) {
            gy_jw_strc(&w, "changed command");
        }
        if (s[i].always_changed) {
            gy_jw_strc(&w, "always changed");
        }
        gy_jw_arr_end(&w);
    }
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static void say_findings(const struct gy_cli *cli, const char *what, const struct gy_dvc_finding *f,
                         size_t n)
{
    if (n > 0) {
        gy_cli_say(cli, "\t%s:\n", what);
    }
    for (size_t i = 0; i < n; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "%s:", gy_dvc_state_name(f[i].state));
        gy_cli_say(cli, "\t\t%-20s%" GY_STR_F "\n", label, GY_STR_A(f[i].path));
    }
}

static gy_status run_status(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct track_opts *o = opts;
    if (o->cloud || o->remote) {
        return gy_cli_dvc_compare(cli, o->remote, err);
    }
    struct gy_dvc_stage_status *s = NULL;
    size_t n = 0;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, ARENA_MAX);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    GY_AUTO_DONE(gy_cli_dvc_bar_end) struct gy_cli_dvc_bar bar;
    gy_cli_dvc_bar_start(&bar, cli, "looking");
    GY_TRY(gy_dvc_status(r, (const char *const *)cli->argv, (size_t)cli->argc, &bar.at, &a, &s, &n,
                         err));
    gy_cli_dvc_bar_end(&bar);
    cli->exit_code = n > 0 ? gy_status_exit(GY_E_FAILED) : 0;
    if (cli->json) {
        return json_status(cli, s, n, err);
    }
    for (size_t i = 0; i < n; i++) {
        gy_cli_say(cli, "%s:\n", stage_name(cli, s[i].stage));
        say_findings(cli, "changed deps", s[i].deps, s[i].n_deps);
        say_findings(cli, "changed outs", s[i].outs, s[i].n_outs);
        if (s[i].cmd_changed) {
            gy_cli_say(cli, "\tchanged command\n");
        }
        if (s[i].always_changed) {
            gy_cli_say(cli, "\talways changed\n");
        }
    }
    if (n == 0) {
        gy_cli_say(cli, "Everything is as it was recorded.\n");
    }
    return GY_OK;
}

/* ---- checkout ---- */

static const char *change_name(enum gy_dvc_change c)
{
    static const char *const names[] = {"same", "added", "modified", "deleted"};
    return names[c];
}

static gy_status print_checkout(struct gy_cli *cli, const struct gy_dvc_out *outs, size_t n,
                                const struct gy_dvc_changes *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "outs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        bool known = outs[i].oid.hex[0] != '\0';
        if (!known) {
            gy_cli_note(cli, "%" GY_STR_F " has no recorded version: left as it is\n",
                        GY_STR_A(outs[i].path));
        } else if (c->outs[i] != GY_DVC_SAME) {
            gy_cli_say(cli, "%-9s %" GY_STR_F "\n", change_name(c->outs[i]),
                       GY_STR_A(outs[i].path));
        }
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "path", outs[i].path);
        gy_jw_kv_strc(&w, "change", known ? change_name(c->outs[i]) : "unknown");
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_i64(&w, "added", (int64_t)c->n_added);
    gy_jw_kv_i64(&w, "modified", (int64_t)c->n_modified);
    gy_jw_kv_i64(&w, "deleted", (int64_t)c->n_deleted);
    gy_jw_obj_end(&w);
    if (cli->json) {
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli, "%zu files added, %zu modified, %zu deleted\n", c->n_added, c->n_modified,
               c->n_deleted);
    return GY_OK;
}

gy_status gy_cli_dvc_checkout(struct gy_cli *cli, bool force, bool relink, struct gy_err *err)
{
    struct gy_dvc_out *outs = NULL;
    struct gy_dvc_changes changes;
    size_t n = 0;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, ARENA_MAX);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    GY_TRY(gy_cli_dvc_outs_to_write(cli, r, &a, &outs, &n, err));
    GY_AUTO_DONE(gy_cli_dvc_bar_end) struct gy_cli_dvc_bar bar;
    gy_cli_dvc_bar_start(&bar, cli, "checking out");
    struct gy_dvc_checkout_options o = {.force = force, .relink = relink, .progress = &bar.at};
    GY_TRY(gy_dvc_checkout_with(r, outs, n, &o, &a, &changes, err));
    gy_cli_dvc_bar_end(&bar);
    return print_checkout(cli, outs, n, &changes, err);
}

/* ---- unprotect, remove ---- */

static gy_status run_unprotect(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    struct gy_dvc_out *outs = NULL;
    size_t n = 0, files = 0, all = 0;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, ARENA_MAX);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    GY_TRY(
        gy_dvc_repo_outs(r, (const char *const *)cli->argv, (size_t)cli->argc, &a, &outs, &n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_dvc_unprotect(r, &outs[i], &a, &files, err));
        all += files;
    }
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_KIB);
        gy_buf_addf(&out, "{\"outs\":%zu,\"files\":%zu}", n, all);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli, "%zu files may be written to\n", all);
    return GY_OK;
}

static gy_status run_remove(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct track_opts *o = opts;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, ARENA_MAX);
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    if (o->outs) {
        struct gy_dvc_out *all = NULL;
        size_t n_all = 0;
        GY_TRY(gy_cli_dvc_outs_to_write(cli, r, &a, &all, &n_all, err));
    }
    for (int i = 0; i < cli->argc; i++) {
        struct gy_dvc_out *outs = NULL;
        size_t n = 0;
        const char *const one[] = {cli->argv[i]};
        GY_TRY(gy_dvc_repo_outs(r, one, 1, &a, &outs, &n, err));
        for (size_t k = 0; k < n; k++) {
            if (outs[k].stage.p) {
                return gy_err_set(err, GY_E_UNSUPPORTED,
                                  "'%" GY_STR_F "' is a stage of %" GY_STR_F ": take it out there",
                                  GY_STR_A(outs[k].stage), GY_STR_A(outs[k].file));
            }
        }
        for (size_t k = 0; k < n; k++) {
            if (k > 0 && gy_str_eq(outs[k].file, outs[k - 1].file)) {
                continue;
            }
            GY_TRY(gy_dvc_remove(r, outs[k].file, o->outs, o->force, &a, err));
            gy_cli_say(cli, "removed %" GY_STR_F "\n", GY_STR_A(outs[k].file));
        }
    }
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_KIB);
        gy_buf_addf(&out, "{\"removed\":%d}", cli->argc);
        return gy_cli_print_json(cli, &out, err);
    }
    return GY_OK;
}

static const struct gy_opt add_opts[] = {
    {"file", 'f', GY_OPT_STR, offsetof(struct track_opts, file), "NAME.dvc", NULL,
     "name of the .dvc file, beside PATH"},
    {"no-commit", 0, GY_OPT_FLAG, offsetof(struct track_opts, no_commit), NULL, NULL,
     "only record: nothing goes into the cache (gyre data commit does that later)"},
    {"no-relink", 0, GY_OPT_FLAG, offsetof(struct track_opts, no_relink), NULL, NULL,
     "leave the workspace's files as they are, whatever cache.type says"},
};

static const struct gy_opt commit_opts[] = {
    {"no-relink", 0, GY_OPT_FLAG, offsetof(struct track_opts, no_relink), NULL, NULL,
     "leave the workspace's files as they are, whatever cache.type says"},
};

static const struct gy_opt status_opts[] = {
    {"cloud", 'c', GY_OPT_FLAG, offsetof(struct track_opts, cloud), NULL, NULL,
     "the cache against the remote: new, deleted (only there), missing (on neither side)"},
    {"remote", 'r', GY_OPT_STR, offsetof(struct track_opts, remote), "NAME", NULL,
     "the same against another remote than the default one"},
};

static const struct gy_opt remove_opts[] = {
    {"outs", 0, GY_OPT_FLAG, offsetof(struct track_opts, outs), NULL, NULL,
     "remove the data in the workspace, too (the cache keeps it)"},
    {"force", 'f', GY_OPT_FLAG, offsetof(struct track_opts, force), NULL, NULL,
     "with --outs: also what no cache holds"},
};

#define TARGETS "A TARGET is a .dvc file, a tracked path, a path inside or above one, or a stage."

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "add",
     .args = "PATH...",
     .min_args = 1,
     .max_args = -1,
     .summary = "version files and folders, as DVC does",
     .details =
         "Each PATH gets a small .dvc file for git; its bytes go into .dvc/cache. `dvc` and "
         "Gyre\nread each other's. Without a repository one is made. A PATH inside a tracked "
         "folder updates\nthat part of it.",
     .examples = "  gyre data add data/raw.csv\n  gyre data add images labels.csv",
     .opts = add_opts,
     .n_opts = sizeof add_opts / sizeof add_opts[0],
     .opts_bytes = sizeof(struct track_opts),
     .run = run_add},
    {.noun = "data",
     .verb = "commit",
     .args = "[TARGET...]",
     .max_args = -1,
     .summary = "record what tracked files hold now",
     .details = TARGETS,
     .examples = "  gyre data commit\n  gyre data commit images.dvc",
     .opts = commit_opts,
     .n_opts = sizeof commit_opts / sizeof commit_opts[0],
     .opts_bytes = sizeof(struct track_opts),
     .run = run_commit},
    {.noun = "data",
     .verb = "status",
     .args = "[TARGET...]",
     .max_args = -1,
     .summary = "what differs from what was recorded (exit code 1: something does)",
     .details = "new, modified, deleted, or not in cache: as `dvc status` says it. " TARGETS,
     .examples = "  gyre data status\n  gyre data status images --json\n  gyre data status -c",
     .opts = status_opts,
     .n_opts = sizeof status_opts / sizeof status_opts[0],
     .opts_bytes = sizeof(struct track_opts),
     .run = run_status},
    {.noun = "data",
     .verb = "unprotect",
     .args = "TARGET...",
     .min_args = 1,
     .max_args = -1,
     .summary = "make files writable that are links into the cache",
     .details = TARGETS,
     .examples = "  gyre data unprotect images",
     .run = run_unprotect},
    {.noun = "data",
     .verb = "remove",
     .args = "TARGET...",
     .min_args = 1,
     .max_args = -1,
     .summary = "stop tracking: the .dvc file goes, the data stays",
     .details = TARGETS,
     .examples = "  gyre data remove images.dvc\n  gyre data remove --outs images.dvc",
     .opts = remove_opts,
     .n_opts = sizeof remove_opts / sizeof remove_opts[0],
     .opts_bytes = sizeof(struct track_opts),
     .run = run_remove},
};

const struct gy_verb_table gy_cmd_data_track = GY_VERB_TABLE(verbs);
