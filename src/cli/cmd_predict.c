/* SPDX-License-Identifier: Apache-2.0 */
/* gyre predict: computed here, beside the server. */
#include "cli/cli_internal.h"

#include "base/file.h"
#include "cli/model_input.h"
#include "learn/explain.h"

struct predict_opts {
    const char *out, *schema;
    bool features, explain;
};

static const struct gy_opt predict_options[] = {
    {"out", 'o', GY_OPT_STR, offsetof(struct predict_opts, out), "FILE", NULL,
     "where the answers go (.jsonl, .ndjson: JSON lines, else CSV); else stdout"},
    {"schema", 0, GY_OPT_STR, offsetof(struct predict_opts, schema), "FILE", NULL,
     "schema.yaml; else the nearest one"},
    {"features", 0, GY_OPT_FLAG, offsetof(struct predict_opts, features), NULL, NULL,
     "instead of answers, what the learner sees: the rows after the model's feature steps"},
    {"explain", 0, GY_OPT_FLAG, offsetof(struct predict_opts, explain), NULL, NULL,
     "and what each feature adds to the margin (SHAP); of linear and tree models"},
};

static gy_status write_out(const struct predict_opts *o, const struct gy_buf *out,
                           struct gy_err *err)
{
    if (o->out) {
        GY_TRY(gy_dir_make_for(o->out, err));
        return gy_file_write(o->out, gy_buf_str(out), 0644, err);
    }
    return fwrite(out->p, 1, out->n, stdout) == out->n
               ? GY_OK
               : gy_err_set(err, GY_E_IO, "writing the answers");
}

static gy_status answer(struct gy_cli *cli, const struct predict_opts *o,
                        const struct gy_predictor *p, const struct gy_cli_predicted *done,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw w;
    if (!cli->json) {
        gy_cli_note(cli, "%zu rows, %zu predicted\n", done->rows, done->predicted);
        if (done->predicted < done->rows) {
            gy_cli_note(cli, "%zu refused, the first is row %zu: it lacks %" GY_STR_F "\n",
                        done->rows - done->predicted, done->first_refused,
                        GY_STR_A(done->refused_by));
        }
        if (done->unseen > 0) {
            gy_cli_note(
                cli,
                "%zu with a text that training has not seen, the first is row %zu: %" GY_STR_F
                " is '%" GY_STR_F "'\n",
                done->unseen, done->first_unseen, GY_STR_A(done->unseen_in),
                GY_STR_A(done->unseen_text));
        }
        return GY_OK;
    }
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "rows", (int64_t)done->rows);
    gy_jw_kv_i64(&w, "predicted", (int64_t)done->predicted);
    gy_jw_kv_i64(&w, "refused", (int64_t)(done->rows - done->predicted));
    gy_jw_kv_i64(&w, "unseen", (int64_t)done->unseen);
    gy_jw_kv_i64(&w, "positive", (int64_t)done->positive);
    gy_jw_kv_str(&w, "digest", gy_predictor_info(p)->digest);
    gy_jw_kv_strc(&w, "out", o->out);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status run_predict(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct predict_opts *o = opts;
    char dir[GY_MAX_PATH];
    struct gy_cli_predicted done;
    GY_AUTO_DONE(gy_cli_table_done) struct gy_cli_table in = {0};
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_explanation_done) struct gy_explanation why = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, (size_t)4 * GY_GIB);
    if (o->features && o->explain) {
        return gy_err_set(err, GY_E_USAGE, "--features and --explain exclude each other");
    }
    if (cli->json && !o->out) {
        return gy_err_set(err, GY_E_USAGE,
                          "--json prints a summary: say where the rows go with -o");
    }
    GY_TRY(gy_cli_model_dir(cli, cli->argv[0], dir, err));
    GY_TRY(gy_predictor_load(dir, &p, err));
    GY_TRY(gy_cli_table_open(cli, cli->argv[1], o->schema, &in, err));
    struct gy_str to = gy_str_c(o->out);
    bool lines = gy_str_ends(to, GY_STR(".jsonl")) || gy_str_ends(to, GY_STR(".ndjson"));
    if (o->features) {
        GY_TRY(gy_cli_features(p, in.table, lines, &out, err));
        done = (struct gy_cli_predicted){.rows = in.table->n_rows, .predicted = in.table->n_rows};
    } else {
        if (o->explain) {
            GY_TRY(gy_explain(p, dir, in.table, NULL, in.table->n_rows, &why, err));
        }
        GY_TRY(gy_cli_predict(p, in.table, o->explain ? &why : NULL, lines, &out, &done, err));
    }
    GY_TRY(write_out(o, &out, err));
    return answer(cli, o, p, &done, err);
}

static const struct gy_verb verbs[] = {
    {.noun = "predict",
     .args = "MODEL TABLE",
     .min_args = 2,
     .max_args = 2,
     .summary = "answer every row of a table",
     .examples = "  gyre predict models/challenger data/new.csv -o answers.csv\n"
                 "  gyre predict models:/sepsis@champion data/new.csv -o answers.jsonl --json\n"
                 "  gyre predict models/challenger data/new.csv --explain -o why.jsonl\n"
                 "  gyre predict models/challenger data/new.csv --features",
     GY_OPTS(predict_options),
     .opts_bytes = sizeof(struct predict_opts),
     .run = run_predict},
};

const struct gy_verb_table gy_cmd_predict = GY_VERB_TABLE(verbs);
