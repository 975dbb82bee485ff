/* SPDX-License-Identifier: Apache-2.0 */
/* gyre predict: every row of a table answered (flow/batch.h), by a model, computed here beside the
 * server, or by an endpoint. What looks at all rows together (--explain, --features) reads the
 * table into memory. */
#include "cli/cli_internal.h"

#include "base/file.h"
#include "cli/data_input.h"
#include "cli/model_input.h"
#include "cli/serving_here.h"
#include "data/ingest.h"
#include "flow/batch.h"
#include "learn/explain.h"

struct predict_opts {
    const char *out, *schema, *format, *dead_letter, *endpoint, *max_dead;
    int64_t threads;
    bool features, explain, resume, logged;
};

static const struct gy_opt predict_options[] = {
    {"out", 'o', GY_OPT_STR, offsetof(struct predict_opts, out), "FILE", NULL,
     "where the answers go (.jsonl, .ndjson: JSON lines; .parquet; else CSV); else stdout"},
    {"format", 0, GY_OPT_STR, offsetof(struct predict_opts, format), "csv|jsonl|parquet", NULL,
     "of the answers; else by the name"},
    {"dead-letter", 0, GY_OPT_STR, offsetof(struct predict_opts, dead_letter), "FILE", NULL,
     "where rows go that can not be answered; else OUT.dead.jsonl, ./predict.dead.jsonl"},
    {"max-dead", 0, GY_OPT_STR, offsetof(struct predict_opts, max_dead), "N|P%", NULL,
     "more of them fail the command"},
    {"resume", 0, GY_OPT_FLAG, offsetof(struct predict_opts, resume), NULL, NULL,
     "go on where a run with the same -o was killed"},
    {"threads", 0, GY_OPT_INT, offsetof(struct predict_opts, threads), "N", "0",
     "0: one a processor; the answers are the same"},
    {"endpoint", 0, GY_OPT_STR, offsetof(struct predict_opts, endpoint), "NAME", NULL,
     "ask what is served by that name (rules and model) instead of a model"},
    {"logged", 0, GY_OPT_FLAG, offsetof(struct predict_opts, logged), NULL, NULL,
     "with --endpoint: into the prediction log, as any other request"},
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

/* Everything that looks at the whole table. */
static gy_status predict_table(struct gy_cli *cli, const struct predict_opts *o, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_cli_predicted done;
    GY_AUTO_DONE(gy_cli_table_done) struct gy_cli_table in = {0};
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_explanation_done) struct gy_explanation why = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, (size_t)4 * GY_GIB);
    GY_TRY(gy_cli_model_dir(cli, cli->argv[0], dir, err));
    GY_TRY(gy_predictor_load(dir, &p, err));
    GY_TRY(gy_cli_table_open(cli, cli->argv[1], o->schema, &in, err));
    struct gy_str to = gy_str_c(o->out);
    bool lines = gy_str_ends(to, GY_STR(".jsonl")) || gy_str_ends(to, GY_STR(".ndjson"));
    if (o->features) {
        GY_TRY(gy_cli_features(p, in.table, lines, &out, err));
        done = (struct gy_cli_predicted){.rows = in.table->n_rows, .predicted = in.table->n_rows};
    } else {
        GY_TRY(gy_explain(p, dir, in.table, NULL, in.table->n_rows, &why, err));
        GY_TRY(gy_cli_predict(p, in.table, &why, lines, &out, &done, err));
    }
    GY_TRY(write_out(o, &out, err));
    return answer(cli, o, p, &done, err);
}

/* ---- row by row ---- */

static void progress(void *ctx, int64_t bytes_done)
{
    gy_progress_at(ctx, bytes_done);
}

static gy_status say(struct gy_cli *cli, const struct predict_opts *o, struct gy_str digest,
                     const struct gy_batch_result *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw w;
    if (!cli->json) {
        gy_cli_note(cli, "%lld rows, %lld predicted\n", (long long)r->rows,
                    (long long)r->predicted);
        if (r->dead > 0) {
            gy_cli_note(cli, "%lld refused, the first is row %lld: %s; all of them: %s\n",
                        (long long)r->dead, (long long)r->first_dead, r->why, r->dead_path);
        }
        if (r->unseen > 0) {
            gy_cli_note(cli,
                        "%lld with a text that training has not seen, the first is row %lld: %s\n",
                        (long long)r->unseen, (long long)r->first_unseen, r->unseen_what);
        }
        return GY_OK;
    }
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "rows", r->rows);
    gy_jw_kv_i64(&w, "predicted", r->predicted);
    gy_jw_kv_i64(&w, "refused", r->dead);
    gy_jw_kv_i64(&w, "unseen", r->unseen);
    gy_jw_kv_i64(&w, "positive", r->positive);
    gy_jw_kv_i64(&w, "resumed", r->resumed);
    gy_jw_kv_str(&w, "digest", digest);
    gy_jw_kv_strc(&w, "endpoint", o->endpoint);
    gy_jw_kv_strc(&w, "out", o->out);
    gy_jw_kv_strc(&w, "dead_letters", r->dead ? r->dead_path : NULL);
    gy_jw_kv_f64(&w, "seconds", r->seconds);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status check_dead(const struct predict_opts *o, const struct gy_batch_result *r,
                            struct gy_err *err)
{
    struct gy_ingest_options limit = {.max_dead = -1, .max_dead_share = -1};
    if (r->rows > 0 && r->predicted == 0) {
        return gy_err_set(err, GY_E_INVALID, "no row can be answered: row %lld: %s",
                          (long long)r->first_dead, r->why);
    }
    if (!o->max_dead) {
        return GY_OK;
    }
    GY_TRY(gy_ingest_parse_max_dead(gy_str_c(o->max_dead), &limit, err));
    if ((limit.max_dead >= 0 && r->dead > limit.max_dead) ||
        (limit.max_dead_share >= 0 && (double)r->dead > limit.max_dead_share * (double)r->rows)) {
        return gy_err_set(err, GY_E_SCHEMA, "%lld of %lld rows are dead, more than --max-dead %s",
                          (long long)r->dead, (long long)r->rows, o->max_dead);
    }
    return GY_OK;
}

static gy_status format_of(const struct predict_opts *o, enum gy_batch_format *ret,
                           struct gy_err *err)
{
    static const char *const names[] = {"csv", "jsonl", "parquet"};
    *ret = gy_batch_format_of(o->out);
    for (size_t i = 0; o->format && i < 3; i++) {
        if (strcmp(o->format, names[i]) == 0) {
            *ret = (enum gy_batch_format)i;
            return GY_OK;
        }
    }
    return o->format ? gy_err_set(err, GY_E_USAGE, "--format takes csv, jsonl or parquet") : GY_OK;
}

static gy_status predict_rows(struct gy_cli *cli, const struct predict_opts *o,
                              const struct gy_predictor *p, struct gy_caller *server,
                              struct gy_err *err)
{
    const char *table = cli->argv[o->endpoint ? 0 : 1];
    GY_AUTO_DONE(gy_cli_data_done) struct gy_cli_data in = {0};
    struct gy_progress bar = {0};
    struct gy_batch_result result;
    GY_TRY(gy_cli_data_open(cli, table, o->schema, &in, err));
    if (!in.schema) {
        GY_TRY(gy_cli_schema_near(cli, table, NULL, &in.schema, err));
    }
    const struct gy_column *id = in.schema ? gy_schema_role(in.schema, GY_ROLE_ID) : NULL;
    struct gy_batch_options options = {.source = in.source,
                                       .out = o->out,
                                       .dead_letter = o->dead_letter,
                                       .id_column = id ? id->name : GY_STR_NULL,
                                       .predictor = p,
                                       .server = server,
                                       .endpoint = o->endpoint,
                                       .logged = o->logged,
                                       .resume = o->resume,
                                       .threads = (int)o->threads,
                                       .progress = progress,
                                       .progress_ctx = &bar};
    GY_TRY(format_of(o, &options.format, err));
    if (options.format == GY_BATCH_PARQUET && !o->out) {
        return gy_err_set(err, GY_E_USAGE, "Parquet is a file: say which with -o");
    }
    gy_progress_start(&bar, cli, "predicting", in.source->size_bytes);
    gy_status status = gy_batch_run(&options, &result, err);
    gy_progress_end(&bar);
    GY_TRY(status);
    GY_TRY(say(cli, o, p ? gy_predictor_info(p)->digest : GY_STR_NULL, &result, err));
    return check_dead(o, &result, err);
}

static gy_status check_options(struct gy_cli *cli, const struct predict_opts *o, struct gy_err *err)
{
    bool whole = o->features || o->explain;
    if (o->features && o->explain) {
        return gy_err_set(err, GY_E_USAGE, "--features and --explain exclude each other");
    }
    if (whole && (o->endpoint || o->resume || o->format || o->dead_letter)) {
        return gy_err_set(err, GY_E_USAGE,
                          "--features and --explain look at the whole table: neither --endpoint, "
                          "--resume, --format nor --dead-letter goes with them");
    }
    if (cli->json && !o->out) {
        return gy_err_set(err, GY_E_USAGE,
                          "--json prints a summary: say where the rows go with -o");
    }
    if (o->resume && !o->out) {
        return gy_err_set(err, GY_E_USAGE, "--resume goes on with a file: say which with -o");
    }
    if (o->threads < 0 || o->threads > 64) {
        return gy_err_set(err, GY_E_USAGE, "--threads takes 0 to 64");
    }
    if (o->logged && !o->endpoint) {
        return gy_err_set(err, GY_E_USAGE, "--logged is of --endpoint: a model has no log");
    }
    if (cli->argc != (o->endpoint ? 1 : 2)) {
        return gy_err_set(err, GY_E_USAGE,
                          o->endpoint ? "with --endpoint only the table is named"
                                      : "which model, and which table?");
    }
    return GY_OK;
}

static gy_status run_predict(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct predict_opts *o = opts;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_serving_here_done) struct gy_serving_here here = {0};
    struct gy_caller *server = NULL;
    GY_TRY(check_options(cli, o, err));
    if (o->features || o->explain) {
        return predict_table(cli, o, err);
    }
    if (o->endpoint) {
        GY_TRY(gy_serving_here_open(cli, &here, &server, err));
    } else {
        GY_TRY(gy_cli_model_dir(cli, cli->argv[0], dir, err));
        GY_TRY(gy_predictor_load(dir, &p, err));
    }
    return predict_rows(cli, o, p, server, err);
}

static const struct gy_verb verbs[] = {
    {.noun = "predict",
     .args = "MODEL TABLE",
     .min_args = 1,
     .max_args = 2,
     .summary = "answer every row of a table, of any size",
     .details =
         "A row that can not be answered becomes a dead letter with its bytes and the reason; "
         "the others are\nanswered. CSV, JSON, JSON lines and Parquet, packed or not; \"-\" is "
         "standard input.",
     .examples = "  gyre predict models/challenger data/new.csv -o answers.csv\n"
                 "  gyre predict models:/sepsis@champion data/new.csv -o answers.jsonl --json\n"
                 "  gyre predict models:/fraud@champion big.parquet -o scores.parquet --resume\n"
                 "  gyre predict --endpoint sepsis data/new.csv -o answers.csv --logged\n"
                 "  gyre predict models/challenger data/new.csv --explain -o why.jsonl\n"
                 "  gyre predict models/challenger data/new.csv --features",
     GY_OPTS(predict_options),
     .opts_bytes = sizeof(struct predict_opts),
     .run = run_predict},
};

const struct gy_verb_table gy_cmd_predict = GY_VERB_TABLE(verbs);
