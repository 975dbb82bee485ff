/* SPDX-License-Identifier: Apache-2.0 */
/* gyre evaluate: computed here, beside the server. */
#include "cli/cli_internal.h"

#include "base/id.h"
#include "cli/evaluate_opts.h"
#include "cli/measured.h"
#include "cli/model_input.h"
#include "learn/explain.h"
#include "learn/importance.h"
#include "learn/pictures.h"

static const struct gy_opt evaluate_options[] = {
    {"schema", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, schema), "FILE", NULL,
     "schema.yaml; else the nearest one"},
    {"slice", 0, GY_OPT_LIST, offsetof(struct gy_evaluate_opts, slices), "EXPR", NULL,
     "measure where this holds, too (repeatable)"},
    {"group", 0, GY_OPT_LIST, offsetof(struct gy_evaluate_opts, groups), "COLUMN[=EDGES]", NULL,
     "fairness by this column, as by the protected ones (repeatable): age=30,50"},
    {"against", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, against), "MODEL", NULL,
     "compare with this model on the same rows, pair by pair"},
    {"weight", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, weight), "COLUMN", NULL,
     "how much a row counts: an exposure, a sampling weight"},
    {"threshold", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, threshold), "RULE", NULL,
     "0.3, or chosen on one half of the rows and measured on the other: precision=0.9, recall=0.9, "
     "cost=FP:FN, f1"},
    {"power", 0, GY_OPT_NUM, offsetof(struct gy_evaluate_opts, power), "P", "0",
     "of the deviance of a regression: 0 as the model has it, else normal; 1 Poisson, 2 gamma, "
     "between: Tweedie"},
    {"plots", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, plots), "DIR", NULL,
     "draw into this folder (SVG)"},
    {"predicted", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, predicted), "A,B", NULL,
     "no model: these columns of TABLE are the predictions"},
    {"target", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, target), "COLUMN", NULL,
     "with --predicted: the truth"},
    {"classes", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, classes), "A,B", NULL,
     "with --predicted: the labels in order; else 0, 1, ..."},
    {"task", 0, GY_OPT_STR, offsetof(struct gy_evaluate_opts, task), "TASK", NULL,
     "with --predicted: binary, multiclass or regression; else told from the columns"},
    {"importance", 0, GY_OPT_FLAG, offsetof(struct gy_evaluate_opts, importance), NULL, NULL,
     "how much worse it gets when an input is mixed up; of any model"},
    {"explain", 0, GY_OPT_FLAG, offsetof(struct gy_evaluate_opts, explain), NULL, NULL,
     "how much each feature moves the answers (SHAP); of linear and tree models"},
    {"repeats", 0, GY_OPT_INT, offsetof(struct gy_evaluate_opts, repeats), "N", "10",
     "with --importance: times each column is mixed up"},
    {"training-rows", 0, GY_OPT_FLAG, offsetof(struct gy_evaluate_opts, training), NULL, NULL,
     "on the rows the model was trained on (flatters)"},
    {"all-rows", 0, GY_OPT_FLAG, offsetof(struct gy_evaluate_opts, all_rows), NULL, NULL,
     "on every row: for a table that training did not see"},
    {"replicates", 0, GY_OPT_INT, offsetof(struct gy_evaluate_opts, replicates), "N", "1000",
     "bootstrap replicates of the intervals; 0: none"},
    {"threads", 0, GY_OPT_INT, offsetof(struct gy_evaluate_opts, threads), "N", "1",
     "the numbers do not depend on it"},
};

/* One evaluation. */
struct work {
    struct gy_cli *cli;
    const struct gy_evaluate_opts *o;
    struct gy_evaluate_plan plan;
    struct gy_cli_table in;
    const char *on; /* "held_out", "training", "all" */
    struct gy_predictor *p, *other;
    char dir[GY_MAX_PATH];
    struct gy_eval eval, other_eval;
    struct gy_threshold chosen;        /* plan.chooses */
    struct gy_paired paired;           /* n 0: no comparison */
    struct gy_importance importance;   /* n 0: not asked for */
    struct gy_explanation explanation; /* n_rows 0: not asked for */
    struct gy_pictures pictures;
};

static void work_done(struct work *w)
{
    gy_pictures_done(&w->pictures);
    gy_importance_done(&w->importance);
    gy_explanation_done(&w->explanation);
    gy_eval_done(&w->eval);
    gy_eval_done(&w->other_eval);
    gy_predictor_free(w->p);
    gy_predictor_free(w->other);
    gy_cli_table_done(&w->in);
}
GY_DEFINE_AUTO_DONE(struct work, work_done);

/* ---- answering ---- */

static void say_chosen(const struct work *w)
{
    const struct gy_threshold *t = &w->chosen;
    if (w->plan.chooses) {
        gy_cli_say(w->cli,
                   "threshold %.4f: %s on %zu other rows, with precision %.4f and recall %.4f "
                   "there\n",
                   t->value, w->o->threshold, t->n_rows, t->precision, t->recall);
    }
}

static gy_status say(const struct work *w, struct gy_err *err)
{
    const struct gy_eval *e = &w->eval;
    say_chosen(w);
    gy_cli_say(w->cli, "%zu rows (%s)\n", e->n_rows, w->on);
    gy_cli_say_metrics(w->cli, &e->groups[0].metrics, NULL);
    gy_cli_say_details(w->cli, e);
    for (size_t i = 1; i < e->n_groups; i++) {
        gy_cli_say(w->cli, "%.*s: %zu rows\n", (int)e->groups[i].slice.n, e->groups[i].slice.p,
                   e->groups[i].metrics.n_rows);
        gy_cli_say_metrics(w->cli, &e->groups[i].metrics, NULL);
    }
    if (w->paired.n > 0) {
        gy_cli_say_paired(w->cli, &w->paired, w->cli->argv[0], w->o->against);
    }
    if (w->importance.n > 0) {
        GY_TRY(gy_cli_say_importance(w->cli, &w->importance, err));
    }
    if (w->explanation.n_rows > 0) {
        GY_TRY(gy_cli_say_explanation(w->cli, &w->explanation, err));
    }
    if (e->n_trained_on > 0) {
        gy_cli_note(w->cli, "%zu of these rows %s trained on: the numbers flatter\n",
                    e->n_trained_on, e->same_data ? "were" : "may have been");
    }
    if (w->other_eval.n_trained_on > 0) {
        gy_cli_note(w->cli, "%s %s trained on %zu of these rows: its numbers flatter\n",
                    w->o->against, w->other_eval.same_data ? "was" : "may have been",
                    w->other_eval.n_trained_on);
    }
    for (size_t i = 0; i < w->pictures.n; i++) {
        gy_cli_note(w->cli, "%s/%s.svg\n", w->o->plots, w->pictures.items[i].name);
    }
    return GY_OK;
}

static void write_chosen(struct gy_jw *j, const struct work *w)
{
    gy_jw_key(j, "threshold");
    gy_jw_obj(j);
    gy_jw_kv_f64(j, "value", w->chosen.value);
    gy_jw_kv_strc(j, "rule", w->o->threshold);
    gy_jw_kv_i64(j, "chosen_on", (int64_t)w->chosen.n_rows);
    gy_jw_kv_f64(j, "precision", w->chosen.precision);
    gy_jw_kv_f64(j, "recall", w->chosen.recall);
    gy_jw_obj_end(j);
}

static void write_against(struct gy_jw *j, const struct work *w)
{
    gy_jw_key(j, "against");
    gy_jw_obj(j);
    gy_jw_kv_strc(j, "model", w->o->against);
    gy_jw_kv_strc(j, "digest", w->other_eval.digest);
    gy_jw_kv_i64(j, "trained_on", (int64_t)w->other_eval.n_trained_on);
    gy_jw_key(j, "metrics");
    gy_paired_write(j, &w->paired);
    gy_jw_obj_end(j);
}

static gy_status answer(const struct work *w, struct gy_err *err)
{
    if (!w->cli->json) {
        return say(w, err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw j;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&j, &out);
    gy_jw_obj(&j);
    if (w->p) {
        gy_jw_kv_strc(&j, "digest", w->eval.digest);
    }
    gy_jw_kv_strc(&j, "data_sha256", w->eval.data_sha256);
    gy_jw_kv_strc(&j, "on", w->on);
    gy_eval_write(&j, &w->eval);
    if (w->plan.chooses) {
        write_chosen(&j, w);
    }
    if (w->paired.n > 0) {
        write_against(&j, w);
    }
    if (w->importance.n > 0) {
        gy_jw_key(&j, "importance");
        gy_importance_write(&j, &w->importance);
    }
    if (w->explanation.n_rows > 0) {
        gy_jw_key(&j, "explanation");
        GY_TRY(gy_explanation_write(&j, &w->explanation, err));
    }
    gy_jw_obj_end(&j);
    return gy_cli_print_json(w->cli, &out, err);
}

/* ---- measuring ---- */

/* One half of the rows by a coin of its own for each, so that the other half can be reported. */
static size_t take_half(uint32_t *rows, size_t n, uint64_t seed, uint32_t *half)
{
    size_t taken = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct gy_rng r;
        gy_rng_init_stream(&r, seed, rows[i]);
        if (gy_rng_below(&r, 2)) {
            half[taken++] = rows[i];
        } else {
            rows[kept++] = rows[i];
        }
    }
    return taken;
}

/* Choose the threshold on half of the rows; *n are left. */
static gy_status choose(struct work *w, uint32_t *rows, size_t *n, struct gy_err *err)
{
    const struct gy_model *m = gy_predictor_model(w->p);
    GY_AUTO_DONE(gy_eval_done) struct gy_eval e = {0};
    uint32_t *half = gy_arena_calloc(&w->cli->arena, *n + 1, sizeof *half);
    struct gy_eval_options o = {.keep = true, .weight = w->plan.options.weight};
    if (!half) {
        return gy_err_set(err, GY_E_NOMEM, "choosing a threshold");
    }
    if (m->task != GY_TASK_BINARY) {
        return gy_err_set(err, GY_E_USAGE, "--threshold is of binary models");
    }
    size_t taken = take_half(rows, *n, m->seed, half);
    *n -= taken;
    GY_TRY(gy_evaluate(w->p, w->in.table, half, taken, &o, &e, err));
    GY_TRY(gy_threshold_choose(&w->plan.rule, e.scored.truth, e.scored.out, e.scored.weight,
                               e.scored.n_rows, &w->chosen, err));
    w->plan.options.threshold = w->chosen.value;
    return GY_OK;
}

static gy_status compare(struct work *w, const uint32_t *rows, size_t n, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_eval_options o = w->plan.options;
    o.replicates = 0;
    o.details = false;
    o.n_slices = 0;
    o.threshold = 0; /* its own */
    GY_TRY(gy_cli_model_dir(w->cli, w->o->against, dir, err));
    GY_TRY(gy_predictor_load(dir, &w->other, err));
    if (!gy_str_eq(gy_predictor_model(w->other)->target, gy_predictor_model(w->p)->target)) {
        return gy_err_set(err, GY_E_INVALID, "%s predicts '%" GY_STR_F "', %s '%" GY_STR_F "'",
                          w->cli->argv[0], GY_STR_A(gy_predictor_model(w->p)->target),
                          w->o->against, GY_STR_A(gy_predictor_model(w->other)->target));
    }
    GY_TRY(gy_evaluate(w->other, w->in.table, rows, n, &o, &w->other_eval, err));
    return gy_metrics_paired(&w->eval.scored, &w->other_eval.scored, w->plan.options.replicates,
                             w->plan.options.seed, w->plan.options.n_threads, &w->paired, err);
}

static void draw_input(void *ctx, int64_t done)
{
    gy_progress_at(ctx, done);
}

/* What the model looks at, on the rows that were measured. */
static gy_status look_inside(struct work *w, struct gy_err *err)
{
    if (w->o->importance) {
        struct gy_progress bar;
        const struct gy_importance_options o = {.repeats = (size_t)w->o->repeats,
                                                .seed = w->plan.options.seed,
                                                .n_threads = w->plan.options.n_threads,
                                                .on_input = draw_input,
                                                .ctx = &bar};
        gy_progress_start(&bar, w->cli, "importance", (int64_t)gy_predictor_info(w->p)->n_inputs);
        gy_status status = gy_importance_of(w->p, w->in.table, &w->eval, &o, &w->importance, err);
        gy_progress_end(&bar);
        GY_TRY(status);
    }
    return w->o->explain ? gy_explain(w->p, w->dir, w->in.table, w->eval.rows, w->eval.n_rows,
                                      &w->explanation, err)
                         : GY_OK;
}

static gy_status draw_inside(struct work *w, struct gy_str about, struct gy_err *err)
{
    if (w->importance.n > 0) {
        GY_TRY(gy_pictures_add_importance(&w->pictures, &w->importance, about, err));
    }
    return w->explanation.n_rows > 0
               ? gy_pictures_add_explanation(&w->pictures, &w->explanation, about, err)
               : GY_OK;
}

static gy_status draw(struct work *w, struct gy_err *err)
{
    const char *about = gy_arena_printf(&w->cli->arena, "%zu rows (%s)", w->eval.n_rows, w->on);
    if (!about) {
        return gy_err_set(err, GY_E_NOMEM, "drawing");
    }
    GY_TRY(gy_pictures_of_eval(&w->eval, gy_str_c(about), &w->pictures, err));
    GY_TRY(draw_inside(w, gy_str_c(about), err));
    return gy_pictures_write(&w->pictures, w->o->plots, err);
}

static gy_status evaluate_model(struct work *w, struct gy_err *err)
{
    static const char *const names[] = {"held_out", "training", "all"};
    uint32_t *rows = NULL;
    size_t n = 0;
    w->on = names[w->plan.which];
    GY_TRY(gy_cli_model_dir(w->cli, w->cli->argv[0], w->dir, err));
    GY_TRY(gy_predictor_load(w->dir, &w->p, err));
    GY_TRY(gy_cli_table_open(w->cli, w->cli->argv[1], w->o->schema, &w->in, err));
    w->plan.options.seed = gy_predictor_model(w->p)->seed;
    GY_TRY(gy_eval_rows(gy_predictor_model(w->p), w->in.table, w->plan.which, &rows, &n, err));
    gy_status status = w->plan.chooses ? choose(w, rows, &n, err) : GY_OK;
    if (status == GY_OK) {
        status = gy_evaluate(w->p, w->in.table, rows, n, &w->plan.options, &w->eval, err);
    }
    if (status == GY_OK && w->o->against) {
        status = compare(w, rows, n, err);
    }
    if (status == GY_OK) {
        status = look_inside(w, err);
    }
    gy_eval_rows_free(rows);
    return status;
}

static gy_status evaluate_columns(struct work *w, struct gy_err *err)
{
    struct gy_eval_columns c;
    if (w->o->against || w->plan.chooses || w->o->training || w->o->importance || w->o->explain) {
        return gy_err_set(err, GY_E_USAGE,
                          "--against, --training-rows, --importance, --explain and a rule for the "
                          "threshold need a model, not --predicted");
    }
    w->on = "all";
    GY_TRY(gy_cli_table_open(w->cli, w->cli->argv[0], w->o->schema, &w->in, err));
    GY_TRY(gy_evaluate_columns_plan(w->cli, w->o, w->in.table, &c, err));
    if (w->plan.options.threshold > 0) {
        c.threshold = w->plan.options.threshold;
    }
    return gy_evaluate_columns(w->in.table, &c, &w->plan.options, &w->eval, err);
}

static gy_status run_evaluate(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(work_done) struct work w = {.cli = cli, .o = opts};
    GY_TRY(gy_evaluate_plan(cli, w.o, &w.plan, err));
    if (cli->argc != (w.o->predicted ? 1 : 2)) {
        (void)gy_err_set(err, GY_E_USAGE, "evaluate takes %s",
                         w.o->predicted ? "the TABLE alone with --predicted" : "MODEL and TABLE");
        return gy_err_hint(err, "gyre evaluate -h");
    }
    GY_TRY(w.o->predicted ? evaluate_columns(&w, err) : evaluate_model(&w, err));
    if (w.o->plots) {
        GY_TRY(draw(&w, err));
    }
    return answer(&w, err);
}

static const struct gy_verb verbs[] = {
    {.noun = "evaluate",
     .args = "[MODEL] TABLE",
     .min_args = 1,
     .max_args = 2,
     .summary = "measure a model on the rows its training held out",
     .details =
         "MODEL is a package folder or a registered model (models:/NAME@ALIAS, NAME/VERSION).\n"
         "Every number comes with its 95 % bootstrap interval.",
     .examples =
         "  gyre evaluate models/challenger data/patients/data.csv --slice 'HR > 90'\n"
         "  gyre evaluate models:/sepsis@champion sepsis@2 --json\n"
         "  gyre evaluate models/challenger data.csv --against models:/sepsis@champion\n"
         "  gyre evaluate models/challenger data.csv --threshold precision=0.9 --plots plots\n"
         "  gyre evaluate models/challenger data.csv --importance --explain\n"
         "  gyre evaluate models/credit data.csv --group sex --group age=30,50\n"
         "  gyre evaluate answers.csv --predicted probability --target isSepsis",
     GY_OPTS(evaluate_options),
     .opts_bytes = sizeof(struct gy_evaluate_opts),
     .run = run_evaluate},
};

const struct gy_verb_table gy_cmd_evaluate = GY_VERB_TABLE(verbs);
