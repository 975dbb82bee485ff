/* SPDX-License-Identifier: Apache-2.0 */
/* gyre evaluate: computed here, beside the server. */
#include "cli/cli_internal.h"

#include "cli/measured.h"
#include "cli/model_input.h"

struct evaluate_opts {
    const char *schema;
    struct gy_opt_list slices;
    bool training, all_rows;
    int64_t replicates, threads;
};

static const struct gy_opt evaluate_options[] = {
    {"schema", 0, GY_OPT_STR, offsetof(struct evaluate_opts, schema), "FILE", NULL,
     "schema.yaml; else the nearest one"},
    {"slice", 0, GY_OPT_LIST, offsetof(struct evaluate_opts, slices), "EXPR", NULL,
     "measure where this holds, too (repeatable)"},
    {"training-rows", 0, GY_OPT_FLAG, offsetof(struct evaluate_opts, training), NULL, NULL,
     "on the rows the model was trained on (flatters)"},
    {"all-rows", 0, GY_OPT_FLAG, offsetof(struct evaluate_opts, all_rows), NULL, NULL,
     "on every row: for a table that training did not see"},
    {"replicates", 0, GY_OPT_INT, offsetof(struct evaluate_opts, replicates), "N", "1000",
     "bootstrap replicates of the intervals; 0: none"},
    {"threads", 0, GY_OPT_INT, offsetof(struct evaluate_opts, threads), "N", "1",
     "the numbers do not depend on it"},
};

static gy_status answer_evaluate(struct gy_cli *cli, const struct gy_eval *e, const char *on,
                                 struct gy_err *err)
{
    if (!cli->json) {
        gy_cli_say(cli, "%zu rows (%s)\n", e->n_rows, on);
        gy_cli_say_metrics(cli, &e->groups[0].metrics, NULL);
        for (size_t i = 1; i < e->n_groups; i++) {
            gy_cli_say(cli, "%.*s: %zu rows\n", (int)e->groups[i].slice.n, e->groups[i].slice.p,
                       e->groups[i].metrics.n_rows);
            gy_cli_say_metrics(cli, &e->groups[i].metrics, NULL);
        }
        if (e->n_trained_on > 0) {
            gy_cli_note(cli, "%zu of these rows %s trained on: the numbers flatter\n",
                        e->n_trained_on, e->same_data ? "were" : "may have been");
        }
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "digest", e->digest);
    gy_jw_kv_strc(&w, "data_sha256", e->data_sha256);
    gy_jw_kv_strc(&w, "on", on);
    gy_eval_write(&w, e);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status run_evaluate(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct evaluate_opts *o = opts;
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_cli_table_done) struct gy_cli_table in = {0};
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_eval_done) struct gy_eval eval = {0};
    struct gy_str slices[GY_EVAL_MAX_SLICES];
    if (o->training && o->all_rows) {
        return gy_err_set(err, GY_E_USAGE, "--training-rows and --all-rows exclude each other");
    }
    if (o->slices.n > GY_EVAL_MAX_SLICES) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --slice", GY_EVAL_MAX_SLICES);
    }
    GY_TRY(gy_cli_check_work(o->replicates, o->threads, err));
    for (size_t i = 0; i < o->slices.n; i++) {
        slices[i] = gy_str_c(o->slices.items[i]);
    }
    GY_TRY(gy_cli_model_dir(cli, cli->argv[0], dir, err));
    GY_TRY(gy_predictor_load(dir, &p, err));
    GY_TRY(gy_cli_table_open(cli, cli->argv[1], o->schema, &in, err));
    const struct gy_eval_options options = {.slices = slices,
                                            .n_slices = o->slices.n,
                                            .replicates = (size_t)o->replicates,
                                            .seed = gy_predictor_model(p)->seed,
                                            .n_threads = (int)o->threads};
    enum gy_eval_which which = o->training   ? GY_EVAL_TRAINING
                               : o->all_rows ? GY_EVAL_ALL
                                             : GY_EVAL_HELD_OUT;
    static const char *const names[] = {"held_out", "training", "all"};
    uint32_t *rows = NULL;
    size_t n = 0;
    GY_TRY(gy_eval_rows(gy_predictor_model(p), in.table, which, &rows, &n, err));
    gy_status status = gy_evaluate(p, in.table, rows, n, &options, &eval, err);
    gy_eval_rows_free(rows);
    return status == GY_OK ? answer_evaluate(cli, &eval, names[which], err) : status;
}

static const struct gy_verb verbs[] = {
    {.noun = "evaluate",
     .args = "MODEL TABLE",
     .min_args = 2,
     .max_args = 2,
     .summary = "measure a model on the rows its training held out",
     .details =
         "MODEL is a package folder or a registered model (models:/NAME@ALIAS, NAME/VERSION).",
     .examples = "  gyre evaluate models/challenger data/patients/data.csv --slice 'HR > 90'\n"
                 "  gyre evaluate models:/sepsis@champion sepsis@2 --json",
     GY_OPTS(evaluate_options),
     .opts_bytes = sizeof(struct evaluate_opts),
     .run = run_evaluate},
};

const struct gy_verb_table gy_cmd_evaluate = GY_VERB_TABLE(verbs);
