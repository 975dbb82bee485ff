/* SPDX-License-Identifier: Apache-2.0 */
/* gyre trace: from one prediction back to everything it came from. */
#include "base/limits.h"
#include "cli/cli_internal.h"

struct trace_opts {
    bool edges;
};

static void line(const struct gy_cli *cli, const char *name, struct gy_str value)
{
    gy_cli_say(cli, "  %-14s %" GY_STR_F "\n", name, GY_STR_A(value.p ? value : GY_STR("-")));
}

static void object_line(const struct gy_cli *cli, const char *name, yyjson_val *object)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &text);
    gy_jw_val(&w, object);
    line(cli, name, text.failed == GY_OK ? gy_buf_str(&text) : GY_STR_NULL);
}

/* Of a chain: the registered versions that it was put together of. */
static void parts_lines(const struct gy_cli *cli, yyjson_val *t)
{
    const struct gy_str run = GY_STR("run:"), model = GY_STR("model:");
    size_t i, n;
    yyjson_val *e;
    yyjson_arr_foreach(gy_json_get(t, "lineage"), i, n, e)
    {
        struct gy_str from = gy_json_str(e, "from"), to = gy_json_str(e, "to");
        if (gy_str_eqc(gy_json_str(e, "rel"), "part") && gy_str_starts(to, run) &&
            gy_str_starts(from, model) &&
            gy_str_eq(gy_str_sub(to, run.n, to.n), gy_json_str(t, "run_id"))) {
            line(cli, "part", gy_str_sub(from, model.n, from.n));
        }
    }
}

static void print_trace(const struct gy_cli *cli, yyjson_val *t, bool edges)
{
    yyjson_val *erased = gy_json_get(t, "erased");
    gy_cli_say(cli, "prediction %" GY_STR_F "\n", GY_STR_A(gy_json_str(t, "prediction_id")));
    if (yyjson_is_obj(erased)) {
        gy_cli_say(cli, "  erased on %" GY_STR_F " by %" GY_STR_F " for reason: %" GY_STR_F "\n",
                   GY_STR_A(gy_json_str(erased, "time")), GY_STR_A(gy_json_str(erased, "actor")),
                   GY_STR_A(gy_json_str(erased, "reason")));
        line(cli, "erasure", gy_json_str(erased, "erasure"));
        return;
    }
    line(cli, "time", gy_json_str(t, "time"));
    line(cli, "request", gy_json_str(t, "request_id"));
    if (gy_json_i64(t, "rows", 1) == 1) {
        object_line(cli, "inputs", gy_json_get(t, "inputs"));
        object_line(cli, "outputs", gy_json_get(t, "outputs"));
        object_line(cli, "rules", gy_json_get(t, "rules"));
    } else {
        gy_cli_say(cli, "  %-14s %lld (values: --json)\n", "rows",
                   (long long)gy_json_i64(t, "rows", 0));
    }
    gy_cli_say(cli, "  %-14s %" GY_STR_F "/%lld\n", "revision",
               GY_STR_A(gy_json_str(t, "endpoint")), (long long)gy_json_i64(t, "revision", 0));
    gy_cli_say(cli, "  %-14s %" GY_STR_F " version %" GY_STR_F "\n", "model",
               GY_STR_A(gy_json_str(t, "model")), GY_STR_A(gy_json_str(t, "model_version")));
    line(cli, "digest", gy_json_str(t, "digest"));
    parts_lines(cli, t);
    line(cli, "run", gy_json_str(t, "run_id"));
    line(cli, "data", gy_json_str(t, "data_sha256"));
    line(cli, "code", gy_json_str(t, "code_revision"));
    line(cli, "verdict", gy_json_str(t, "verdict"));
    line(cli, "approved by", gy_json_str(t, "approver"));
    line(cli, "deployed by", gy_json_str(t, "deployed_by"));
    size_t i, n;
    yyjson_val *e;
    yyjson_arr_foreach(gy_json_get(t, "problems"), i, n, e)
    {
        struct gy_str text = gy_json_str(e, "text");
        gy_cli_say(cli,
                   "  %-14s %" GY_STR_F ", row %lld, by %" GY_STR_F ": %" GY_STR_F "%s%" GY_STR_F
                   "\n",
                   "problem", GY_STR_A(gy_json_str(e, "time")), (long long)gy_json_i64(e, "row", 0),
                   GY_STR_A(gy_json_str(e, "actor")), GY_STR_A(gy_json_str(e, "reason")),
                   text.n ? ". " : "", GY_STR_A(text));
    }
    yyjson_arr_foreach(edges ? gy_json_get(t, "lineage") : NULL, i, n, e)
    {
        gy_cli_say(cli, "  %" GY_STR_F " -%" GY_STR_F "-> %" GY_STR_F "\n",
                   GY_STR_A(gy_json_str(e, "from")), GY_STR_A(gy_json_str(e, "rel")),
                   GY_STR_A(gy_json_str(e, "to")));
    }
}

static gy_status run_trace(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct trace_opts *o = opts;
    struct gy_caller *caller = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&path, 16 * GY_KIB);
    gy_collect_init(&answer, 64 * GY_MIB);
    gy_buf_addc(&path, "/api/gyre/v1/trace/");
    gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path.p, GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    print_trace(cli, yyjson_doc_get_root(doc), o->edges);
    return GY_OK;
}

static const struct gy_opt trace_opts[] = {
    {"lineage", 'l', GY_OPT_FLAG, offsetof(struct trace_opts, edges), NULL, NULL,
     "all edges of its lineage too"},
};

static const struct gy_verb verbs[] = {
    {.noun = "trace",
     .args = "PREDICTION_ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "where a prediction came from: revision, model, run, data, code, verdict, approver",
     .examples = "  gyre trace 01932f4e-7c1a-7000-8000-0123456789ab",
     .opts = trace_opts,
     .n_opts = sizeof trace_opts / sizeof trace_opts[0],
     .opts_bytes = sizeof(struct trace_opts),
     .run = run_trace},
};

const struct gy_verb_table gy_cmd_trace = GY_VERB_TABLE(verbs);
