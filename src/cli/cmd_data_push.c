/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data push, fetch, pull: versions to a remote and back. */
#include <unistd.h>

#include "cli/dvc_work.h"
#include "data/dvc/transfer.h"

struct push_opts {
    const char *remote;
    int64_t jobs;
    bool run_cache, all, force;
};

struct push {
    struct gy_cli *cli;
    struct gy_dvc_repo *repo;
    struct gy_arena arena;
    struct gy_dvc_out *outs;
    size_t n_outs;
    struct gy_dvc_transfer result;
    struct gy_progress bar;
};

static void show(void *ctx, int64_t done, int64_t total)
{
    struct push *p = ctx;
    p->bar.total = total;
    gy_progress_at(&p->bar, done);
}

static void say_failures(const struct push *p)
{
    const struct gy_dvc_transfer *t = &p->result;
    for (size_t i = 0; i < t->n_told; i++) {
        const struct gy_dvc_failure *f = &t->told[i];
        gy_cli_note(p->cli, "failed: %" GY_STR_F " (%s): %s\n", GY_STR_A(f->path), f->oid.hex,
                    f->msg);
    }
    if (t->n_failed > (int64_t)t->n_told) {
        gy_cli_note(p->cli, "... and %lld more\n", (long long)(t->n_failed - (int64_t)t->n_told));
    }
}

static void add_json(const struct push *p, const char *verb, struct gy_buf *out)
{
    const struct gy_dvc_transfer *t = &p->result;
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "objects", t->n_objects);
    gy_jw_kv_i64(&w, "present", t->n_present);
    gy_jw_kv_i64(&w, verb, t->n_done);
    gy_jw_kv_i64(&w, "bytes", t->done_bytes);
    gy_jw_kv_i64(&w, "failed", t->n_failed);
    gy_jw_kv_i64(&w, "held", t->n_held);
    gy_jw_kv_i64(&w, "untried", t->n_untried);
    gy_jw_kv_i64(&w, "runs", t->n_runs);
    gy_jw_key(&w, "failures");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->n_told; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "path", t->told[i].path);
        gy_jw_kv_strc(&w, "md5", t->told[i].oid.hex);
        gy_jw_kv_strc(&w, "code", gy_status_name(t->told[i].status));
        gy_jw_kv_strc(&w, "error", t->told[i].msg);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
}

/* The counts, the failures one by one, and the status of the first. */
static gy_status report(struct push *p, const char *verb, struct gy_err *err)
{
    const struct gy_dvc_transfer *t = &p->result;
    char bytes[32];
    gy_cli_say(p->cli, "%lld %s (%s), %lld there already\n", (long long)t->n_done, verb,
               gy_cli_bytes(t->done_bytes, bytes), (long long)t->n_present);
    if (t->n_runs) {
        gy_cli_say(p->cli, "%lld of the run cache\n", (long long)t->n_runs);
    }
    if (p->cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_MAX_REPLY);
        add_json(p, verb, &out);
        GY_TRY(gy_cli_print_json(p->cli, &out, err));
    }
    if (t->status == GY_OK) {
        return GY_OK;
    }
    say_failures(p);
    (void)gy_err_set(err, t->status, "%lld of %lld objects failed%s", (long long)t->n_failed,
                     (long long)t->n_objects, t->n_untried ? ", and the rest was not tried" : "");
    return gy_err_hint(err, "%s", t->hint[0] ? t->hint : "the same command goes on from here");
}

/* writes: what is in the workspace is going to change. */
static gy_status collect(struct push *p, bool writes, struct gy_err *err)
{
    GY_TRY(gy_cli_dvc_open(p->cli, false, &p->repo, err));
    if (writes) {
        return gy_cli_dvc_outs_to_write(p->cli, p->repo, &p->arena, &p->outs, &p->n_outs, err);
    }
    return gy_dvc_repo_outs(p->repo, (const char *const *)p->cli->argv, (size_t)p->cli->argc,
                            &p->arena, &p->outs, &p->n_outs, err);
}

static gy_status transfer(struct push *p, const struct push_opts *o, bool push, struct gy_err *err)
{
    struct gy_dvc_transfer_options t = {.remote = o->remote,
                                        .jobs = (int)o->jobs,
                                        .check_all = o->all,
                                        .run_cache = o->run_cache,
                                        .progress = show,
                                        .progress_ctx = p};
    if (o->jobs < 0 || o->jobs > GY_DVC_MAX_JOBS) {
        return gy_err_set(err, GY_E_USAGE, "--jobs takes 1 to %d", GY_DVC_MAX_JOBS);
    }
    gy_progress_start(&p->bar, p->cli, push ? "pushing" : "fetching", 0);
    gy_status status =
        push ? gy_dvc_push(p->repo, p->outs, p->n_outs, &t, &p->arena, &p->result, err)
             : gy_dvc_fetch(p->repo, p->outs, p->n_outs, &t, &p->arena, &p->result, err);
    gy_progress_end(&p->bar);
    return status;
}

/* ---- status -c ---- */

static gy_status say_where(struct gy_cli *cli, const struct gy_dvc_where *w, size_t n,
                           struct gy_err *err)
{
    static const char *const names[] = {"both", "new", "deleted", "missing"};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw j;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&j, &out);
    gy_jw_obj(&j);
    for (size_t i = 0; i < n; i++) {
        gy_jw_keys(&j, w[i].path);
        gy_jw_strc(&j, names[w[i].place]);
        char label[32];
        (void)snprintf(label, sizeof label, "%s:", names[w[i].place]);
        gy_cli_say(cli, "\t%-20s%" GY_STR_F "\n", label, GY_STR_A(w[i].path));
    }
    gy_jw_obj_end(&j);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

gy_status gy_cli_dvc_compare(struct gy_cli *cli, const char *remote, struct gy_err *err)
{
    struct push p = {.cli = cli};
    struct gy_dvc_where *where = NULL;
    struct gy_dvc_transfer_options o = {.remote = remote};
    size_t n = 0, both = 0;
    gy_arena_init(&p.arena, 16 * GY_GIB);
    gy_status status = collect(&p, false, err);
    if (status == GY_OK) {
        status = gy_dvc_compare(p.repo, p.outs, p.n_outs, &o, &p.arena, &where, &n, &both, err);
    }
    if (status == GY_OK) {
        status = say_where(cli, where, n, err);
    }
    if (status == GY_OK && n == 0) {
        gy_cli_say(cli, "Cache and remote hold the same: %zu objects.\n", both);
    }
    cli->exit_code = status == GY_OK && n > 0 ? gy_status_exit(GY_E_FAILED) : 0;
    gy_dvc_repo_free(p.repo);
    gy_arena_done(&p.arena);
    return status;
}

/* ---- push, fetch, pull ---- */

enum what { PUSH, FETCH, PULL };

static gy_status run(struct gy_cli *cli, const struct push_opts *o, enum what what,
                     struct gy_err *err)
{
    struct push p = {.cli = cli};
    gy_arena_init(&p.arena, 16 * GY_GIB);
    gy_status status = collect(&p, what == PULL, err);
    if (status == GY_OK) {
        status = transfer(&p, o, what == PUSH, err);
    }
    if (status == GY_OK) {
        status = report(&p, what == PUSH ? "pushed" : "fetched", err);
    }
    if (status == GY_OK && what == PULL) {
        status = gy_dvc_checkout(p.repo, p.outs, p.n_outs, o->force, err);
    }
    gy_dvc_repo_free(p.repo);
    gy_arena_done(&p.arena);
    return status;
}

static gy_status run_push(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return run(cli, opts, PUSH, err);
}

static gy_status run_fetch(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return run(cli, opts, FETCH, err);
}

static gy_status run_pull(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return run(cli, opts, PULL, err);
}

#define REMOTE                                                                       \
    {                                                                                \
        "remote", 'r', GY_OPT_STR, offsetof(struct push_opts, remote), "NAME", NULL, \
            "another remote than the default one"                                    \
    }
#define JOBS                                                                  \
    {                                                                         \
        "jobs", 'j', GY_OPT_INT, offsetof(struct push_opts, jobs), "N", NULL, \
            "objects at a time (0: as the remote says)"                       \
    }
#define RUN_CACHE                                                                       \
    {                                                                                   \
        "run-cache", 0, GY_OPT_FLAG, offsetof(struct push_opts, run_cache), NULL, NULL, \
            "what commands made of what, too"                                           \
    }

static const struct gy_opt push_opts[] = {
    REMOTE,
    JOBS,
    RUN_CACHE,
    {"all", 'a', GY_OPT_FLAG, offsetof(struct push_opts, all), NULL, NULL,
     "look for each file, even where its folder's list says that it is there"},
};
static const struct gy_opt fetch_opts[] = {REMOTE, JOBS, RUN_CACHE};
static const struct gy_opt pull_opts[] = {
    REMOTE,
    JOBS,
    RUN_CACHE,
    {"force", 'f', GY_OPT_FLAG, offsetof(struct push_opts, force), NULL, NULL,
     "over changed files of the workspace"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "push",
     .args = "[TARGET...]",
     .max_args = -1,
     .summary = "send versions from the cache to a remote",
     .details =
         "A folder's list goes last, after all of its files. An interrupted push goes on where "
         "it was.",
     .examples = "  gyre data push\n  gyre data push data/train.csv.dvc -r backup --jobs 32",
     .opts = push_opts,
     .n_opts = sizeof push_opts / sizeof push_opts[0],
     .opts_bytes = sizeof(struct push_opts),
     .run = run_push},
    {.noun = "data",
     .verb = "fetch",
     .args = "[TARGET...]",
     .max_args = -1,
     .summary = "bring versions from a remote into the cache",
     .details = "Each object is checked against its name before the cache takes it.",
     .examples = "  gyre data fetch\n  gyre data fetch images -r backup",
     .opts = fetch_opts,
     .n_opts = sizeof fetch_opts / sizeof fetch_opts[0],
     .opts_bytes = sizeof(struct push_opts),
     .run = run_fetch},
    {.noun = "data",
     .verb = "pull",
     .args = "[TARGET...]",
     .max_args = -1,
     .summary = "fetch, and bring the files into the workspace",
     .examples = "  gyre data pull\n  gyre data pull data --force",
     .opts = pull_opts,
     .n_opts = sizeof pull_opts / sizeof pull_opts[0],
     .opts_bytes = sizeof(struct push_opts),
     .run = run_pull},
};

const struct gy_verb_table gy_cmd_data_push = GY_VERB_TABLE(verbs);
