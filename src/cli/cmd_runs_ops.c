/* SPDX-License-Identifier: Apache-2.0 */
/* gyre runs comment, patch: what people say about a run, and the changes its working tree had. */
#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/comments.h"
#include "flow/patch.h"

#define MLFLOW "/api/2.0/mlflow"

static gy_status run_comment(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const char *subject = gy_arena_printf(&cli->arena, "run:%s", cli->argv[0]);
    return subject ? gy_cli_comment(cli, subject, cli->argc > 1 ? cli->argv[1] : NULL, opts, err)
                   : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* ---- patch ---- */

struct patch_opts {
    const char *out;
};

static struct gy_str tag_of(yyjson_val *run, const char *key)
{
    size_t i, n;
    yyjson_val *t;
    yyjson_arr_foreach(gy_json_get(gy_json_get(run, "data"), "tags"), i, n, t)
    {
        if (gy_str_eqc(gy_json_str(t, "key"), key)) {
            return gy_json_str(t, "value");
        }
    }
    return GY_STR_NULL;
}

static gy_status fetch(struct gy_cli *cli, const char *id, struct gy_collect *ret,
                       struct gy_err *err)
{
    const char *path = NULL;
    struct gy_caller *caller = NULL;
    GY_TRY(gy_cli_path(cli, "/get-artifact?path=" GY_PATCH_NAME "&run_uuid={}", gy_str_c(id), &path,
                       err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    return gy_call_json(caller, "GET", path, GY_STR_NULL, ret, err);
}

static gy_status run_patch(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct patch_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_AUTO_DONE(gy_collect_done) struct gy_collect patch;
    const char *path = NULL, *id = cli->argv[0];
    gy_collect_init(&patch, GY_PATCH_MAX_BYTES + GY_MIB);
    GY_TRY(gy_cli_path(cli, MLFLOW "/runs/get?run_id={}", gy_str_c(id), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    yyjson_val *run = gy_json_get(a.root, "run");
    struct gy_str sha256 = tag_of(run, "gyre.code_patch_sha256");
    struct gy_str revision = tag_of(run, "gyre.code_revision");
    if (sha256.n == 0) {
        bool dirty = gy_str_ends(revision, GY_STR("+dirty"));
        return gy_err_set(err, GY_E_NOTFOUND,
                          dirty ? "run %s came from a dirty tree, but its changes were not kept"
                                : "run %s has no patch: its tree was clean, or not known",
                          id);
    }
    GY_TRY(fetch(cli, id, &patch, err));
    if (o->out) {
        GY_TRY(gy_file_write(o->out, gy_buf_str(&patch.body), 0644, err));
    }
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, GY_MAX_REPLY);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "run_id", id);
        gy_jw_kv_str(&w, "code_revision", revision);
        gy_jw_kv_str(&w, "sha256", sha256);
        gy_jw_kv_str(&w, "patch", gy_buf_str(&patch.body));
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    if (!o->out && fwrite(patch.body.p, 1, patch.body.n, stdout) != patch.body.n) {
        return gy_err_set(err, GY_E_IO, "the patch could not be written to stdout");
    }
    return GY_OK;
}

static const struct gy_opt comment_options[] = {GY_CLI_COMMENT_OPTIONS};
static const struct gy_opt patch_options[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct patch_opts, out), "FILE", NULL,
     "write it there (default: stdout)"},
};
static const struct gy_verb verbs[] = {
    {"runs", "comment", "RUN_ID [TEXT]", 1, 2, "comment on a run, or list what was said",
     "Nothing is lost: an edit keeps what was said, a deletion hides it.",
     "gyre runs comment 5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5 \"trained before the sensor was "
     "replaced\"\n"
     "gyre runs comment 5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5\n",
     GY_OPTS(comment_options), sizeof(struct gy_cli_comment_opts), run_comment},
    {"runs", "patch", "RUN_ID", 1, 1, "what a run's working tree had beside its commit",
     "git checkout its commit, then git apply this, and the tree is what it was.",
     "gyre runs patch 5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5 | git apply\n", GY_OPTS(patch_options),
     sizeof(struct patch_opts), run_patch},
};
const struct gy_verb_table gy_cmd_runs_ops = GY_VERB_TABLE(verbs);
