/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data gc: objects of DVC's cache and remotes that nothing names any more. */
#include "cli/dvc_work.h"
#include "data/dvc/gc.h"

struct gc_opts {
    bool workspace, branches, tags, commits, experiments, cloud, yes;
    const char *remote;
    struct gy_opt_list revs, projects;
};

static void json_side(struct gy_jw *w, const char *name, const struct gy_dvc_gc_side *s)
{
    gy_jw_key(w, name);
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "objects", s->n_objects);
    gy_jw_kv_i64(w, "unused", s->n_unused);
    gy_jw_kv_i64(w, "bytes", s->unused_bytes);
    gy_jw_kv_i64(w, "removed", s->n_removed);
    gy_jw_obj_end(w);
}

static gy_status print_json(const struct gy_cli *cli, const struct gc_opts *o,
                            const struct gy_dvc_gc *gc, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "applied", o->yes);
    gy_jw_kv_i64(&w, "revisions", gc->n_revisions);
    gy_jw_kv_i64(&w, "used", gc->n_used);
    json_side(&w, "cache", &gc->cache);
    if (o->cloud) {
        json_side(&w, "remote", &gc->remote);
    }
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static void say_side(const struct gy_cli *cli, const char *name, const struct gy_dvc_gc_side *s,
                     bool applied)
{
    char bytes[32];
    gy_cli_say(cli, "%s: %lld of %lld objects (%s) %s\n", name, (long long)s->n_unused,
               (long long)s->n_objects, gy_cli_bytes(s->unused_bytes, bytes),
               applied ? "were removed" : "are named by nothing");
}

static gy_status collect(struct gy_cli *cli, const struct gc_opts *o, struct gy_dvc_repo *r,
                         struct gy_dvc_remote *remote, struct gy_err *err)
{
    struct gy_dvc_gc gc;
    struct gy_dvc_gc_options g = {.scope = {.branches = o->branches,
                                            .tags = o->tags,
                                            .commits = o->commits,
                                            .experiments = o->experiments,
                                            .revs = o->revs.items,
                                            .n_revs = o->revs.n},
                                  .projects = o->projects.items,
                                  .n_projects = o->projects.n,
                                  .remote = remote,
                                  .apply = o->yes};
    GY_TRY(gy_dvc_gc(r, &g, &gc, err));
    if (cli->json) {
        return print_json(cli, o, &gc, err);
    }
    gy_cli_say(cli, "%lld objects are named by the workspace and %lld revisions\n",
               (long long)gc.n_used, (long long)gc.n_revisions);
    if (o->cloud) {
        say_side(cli, gy_dvc_remote_url(remote), &gc.remote, o->yes);
    }
    say_side(cli, "cache", &gc.cache, o->yes);
    if (!o->yes && gc.cache.n_unused + gc.remote.n_unused > 0) {
        gy_cli_note(cli, "nothing was removed: --yes does that\n");
    }
    return GY_OK;
}

static gy_status run_gc(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct gc_opts *o = opts;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_AUTO(gy_dvc_remote_free) struct gy_dvc_remote *remote = NULL;
    if (!o->workspace && !o->branches && !o->tags && !o->commits && !o->experiments && !o->revs.n) {
        (void)gy_err_set(err, GY_E_USAGE, "what is to stay? There is no scope");
        return gy_err_hint(err, "-w the workspace alone, -a and all branches, -T tags, -A commits, "
                                "--rev REV");
    }
    if (o->remote && !o->cloud) {
        return gy_err_set(err, GY_E_USAGE, "--remote is for --cloud");
    }
    GY_TRY(gy_cli_dvc_open(cli, false, &r, err));
    if (o->cloud) {
        GY_TRY(gy_dvc_remote_open(gy_dvc_repo_config(r), o->remote, &remote, err));
    }
    return collect(cli, o, r, remote, err);
}

static const struct gy_opt gc_opts[] = {
    {"workspace", 'w', GY_OPT_FLAG, offsetof(struct gc_opts, workspace), NULL, NULL,
     "what the workspace names stays (it does with each scope)"},
    {"all-branches", 'a', GY_OPT_FLAG, offsetof(struct gc_opts, branches), NULL, NULL,
     "what the tips of branches name stays"},
    {"all-tags", 'T', GY_OPT_FLAG, offsetof(struct gc_opts, tags), NULL, NULL,
     "what tags name stays"},
    {"all-commits", 'A', GY_OPT_FLAG, offsetof(struct gc_opts, commits), NULL, NULL,
     "what any commit names stays"},
    {"all-experiments", 0, GY_OPT_FLAG, offsetof(struct gc_opts, experiments), NULL, NULL,
     "what dvc's experiments name stays"},
    {"rev", 0, GY_OPT_LIST, offsetof(struct gc_opts, revs), "REV", NULL,
     "what this revision names stays"},
    {"projects", 'p', GY_OPT_LIST, offsetof(struct gc_opts, projects), "DIR", NULL,
     "another repository that shares the cache: what it names stays"},
    {"cloud", 'c', GY_OPT_FLAG, offsetof(struct gc_opts, cloud), NULL, NULL, "on the remote, too"},
    {"remote", 'r', GY_OPT_STR, offsetof(struct gc_opts, remote), "NAME", NULL,
     "another remote than the default one"},
    {"yes", 'y', GY_OPT_FLAG, offsetof(struct gc_opts, yes), NULL, NULL,
     "remove; without it only the plan is shown"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "gc",
     .summary = "remove versions that nothing names any more",
     .details = "Shows the plan; --yes carries it out. Nothing goes that the workspace or a chosen "
                "revision names.",
     .examples = "  gyre data gc -w\n  gyre data gc -a -T --yes\n  gyre data gc -A -c --yes",
     .opts = gc_opts,
     .n_opts = sizeof gc_opts / sizeof gc_opts[0],
     .opts_bytes = sizeof(struct gc_opts),
     .run = run_gc},
};

const struct gy_verb_table gy_cmd_data_gc = GY_VERB_TABLE(verbs);
