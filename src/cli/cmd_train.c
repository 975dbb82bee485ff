/* SPDX-License-Identifier: Apache-2.0 */
/* gyre train: computed here, beside the server; what is to be kept goes through the call seam. */
#include "cli/cli_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/time.h"
#include "base/yaml.h"
#include "cli/measured.h"
#include "cli/model_input.h"
#include "cli/search_jobs.h"
#include "cli/train_grid.h"
#include "cli/train_search.h"
#include "flow/patch.h"
#include "learn/publish.h"

struct train_opts {
    const char *target, *learner, *params, *features, *register_as, *experiment, *out, *schema,
        *run_name, *key;
    int64_t seed, threads;
    struct gy_opt_list slices, grid;
    const char *evaluate_on, *folds, *metric;
    const char *search, *prefer;
    int64_t jobs, patience;
    bool resume;
};

static const struct gy_opt train_options[] = {
    {"target", 0, GY_OPT_STR, offsetof(struct train_opts, target), "COLUMN", NULL,
     "the column to predict"},
    {"learner", 0, GY_OPT_STR, offsetof(struct train_opts, learner), "NAME", NULL,
     "what learns (see below); xgboost is the usual one"},
    {"params", 0, GY_OPT_STR, offsetof(struct train_opts, params), "FILE", NULL,
     "params.yaml: seed, holdout, train"},
    {"features", 0, GY_OPT_STR, offsetof(struct train_opts, features), "A,B", NULL,
     "the input columns; else every numeric one"},
    {"register", 0, GY_OPT_STR, offsetof(struct train_opts, register_as), "NAME", NULL,
     "register the model under this name"},
    {"experiment", 0, GY_OPT_STR, offsetof(struct train_opts, experiment), "NAME", NULL,
     "the experiment of the run"},
    {"run-name", 0, GY_OPT_STR, offsetof(struct train_opts, run_name), "NAME", NULL,
     "the name of the run"},
    {"idempotency-key", 0, GY_OPT_STR, offsetof(struct train_opts, key), "KEY", NULL,
     "with --register: the same model of the same data is registered once under it (a stage has "
     "one)"},
    {"out", 'o', GY_OPT_STR, offsetof(struct train_opts, out), "DIR", NULL,
     "keep the model package in this folder"},
    {"schema", 0, GY_OPT_STR, offsetof(struct train_opts, schema), "FILE", NULL,
     "schema.yaml; else the nearest one"},
    {"slice", 0, GY_OPT_LIST, offsetof(struct train_opts, slices), "EXPR", NULL,
     "measure where this holds, too: 'HR > 90' (repeatable)"},
    {"folds", 0, GY_OPT_STR, offsetof(struct train_opts, folds), "N", NULL,
     "measure on every row, each by a model that has not seen it (k-fold)"},
    {"evaluate-on", 0, GY_OPT_STR, offsetof(struct train_opts, evaluate_on), "ROWS", NULL,
     "held_out (the usual), or training: flatters, and is marked in every record"},
    {"grid", 0, GY_OPT_LIST, offsetof(struct train_opts, grid), "KEY=A,B,..", NULL,
     "train every combination of these settings of the learner, each a run of its own; register "
     "the best (repeatable)"},
    {"metric", 0, GY_OPT_STR, offsetof(struct train_opts, metric), "NAME", NULL,
     "what the best of a grid or a search is the best by; else rmse, auc or f1_macro"},
    {"search", 0, GY_OPT_STR, offsetof(struct train_opts, search), "BUDGET", NULL,
     "look for learner and settings first: 90s, 5m, 40trials"},
    {"jobs", 0, GY_OPT_INT, offsetof(struct train_opts, jobs), "N", "0",
     "processes that search beside each other; 0: one a processor"},
    {"resume", 0, GY_OPT_FLAG, offsetof(struct train_opts, resume), NULL, NULL,
     "go on with the same search that was stopped before"},
    {"prefer", 0, GY_OPT_STR, offsetof(struct train_opts, prefer), "WHAT", "best",
     "best, or simple: the smallest model within a standard error of the best"},
    {"patience", 0, GY_OPT_INT, offsetof(struct train_opts, patience), "N", "32",
     "a search ends after N trials that improved nothing plainly; 0: never"},
    {"seed", 0, GY_OPT_INT, offsetof(struct train_opts, seed), "N", "-1",
     "of the split and the learner; -1: that of params.yaml, else 0"},
    {"threads", 0, GY_OPT_INT, offsetof(struct train_opts, threads), "N", "0",
     "0: that of params.yaml, else 1; the model does not depend on it"},
};

/* ---- train ---- */

static gy_status copy_list(struct gy_train_params *p, const char *commas, struct gy_err *err)
{
    struct gy_str rest = gy_str_c(commas);
    struct gy_str piece;
    size_t n = 0;
    p->features = gy_arena_calloc(&p->arena, rest.n + 1, sizeof *p->features);
    if (!p->features) {
        return gy_err_set(err, GY_E_NOMEM, "features");
    }
    while (gy_str_next(&rest, ',', &piece)) {
        p->features[n++] = gy_str_trim(piece);
    }
    p->n_features = n;
    return GY_OK;
}

/* --folds and --evaluate-on. */
static gy_status read_rows(const struct train_opts *o, struct gy_train_params *p,
                           struct gy_err *err)
{
    int64_t folds = 0;
    if (o->folds) {
        if (gy_parse_i64(gy_str_c(o->folds), 2, GY_FOLDS_MAX, &folds, NULL) != GY_OK) {
            return gy_err_set(err, GY_E_USAGE, "--folds takes 2 to %d", GY_FOLDS_MAX);
        }
        p->split.by = GY_HOLDOUT_KFOLD;
        p->split.folds = (int)folds;
    }
    if (o->evaluate_on) {
        p->on_training = strcmp(o->evaluate_on, "training") == 0;
        if (!p->on_training && strcmp(o->evaluate_on, "held_out") != 0 &&
            strcmp(o->evaluate_on, "held-out") != 0) {
            return gy_err_set(err, GY_E_USAGE, "--evaluate-on takes held_out or training");
        }
    }
    return GY_OK;
}

/* params.yaml first, the command line over it. */
static gy_status read_params(const struct train_opts *o, struct gy_train_params *p,
                             struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    if (o->learner) {
        enum gy_learner learner = p->learner;
        if (gy_learner_parse(gy_str_c(o->learner), &learner, err) != GY_OK) {
            return gy_err_wrap(err, "--learner");
        }
        gy_train_set_learner(p, learner);
        p->learner_fixed = true;
    }
    if (o->params) {
        GY_TRY(gy_yaml_read_file(o->params, &y, err));
        GY_TRY(gy_train_params_read(p, y, err));
    }
    if (o->target) {
        p->target = gy_str_c(o->target);
    }
    if (!p->target.p) {
        return gy_err_set(err, GY_E_USAGE, "what is to be predicted? --target COLUMN");
    }
    if (o->features) {
        GY_TRY(copy_list(p, o->features, err));
    }
    if (o->seed < -1 || o->threads < 0 || o->threads > GY_TRAIN_MAX_THREADS) {
        return gy_err_set(err, GY_E_USAGE, "--seed must not be negative, --threads be 1 to %d",
                          GY_TRAIN_MAX_THREADS);
    }
    GY_TRY(read_rows(o, p, err));
    p->seed = o->seed >= 0 ? (uint64_t)o->seed : p->seed;
    p->n_threads = o->threads > 0 ? (int)o->threads : p->n_threads;
    if (o->slices.n > 0) {
        p->slices = gy_arena_calloc(&p->arena, o->slices.n, sizeof *p->slices);
        if (!p->slices) {
            return gy_err_set(err, GY_E_NOMEM, "slices");
        }
        for (size_t i = 0; i < o->slices.n; i++) {
            p->slices[i] = gy_str_c(o->slices.items[i]);
        }
        p->n_slices = o->slices.n;
    }
    return GY_OK;
}

static gy_status refuse_foreign(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    static const char *const ours[] = {
        "MLmodel",    "background.json", "card.json",       "input_example.json", "metrics.json",
        "model.json", "profile.json",    "python_env.yaml", "requirements.txt"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (!is_dir && strcmp(name, ours[i]) == 0) {
            return GY_OK;
        }
    }
    for (int i = 0; i < GY_LEARNERS; i++) {
        const char *file = gy_learner_get((enum gy_learner)i)->file;
        if (!is_dir && file && strcmp(name, file) == 0) {
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_EXISTS, "%s holds other things than a model package: %s",
                     (const char *)ctx, name);
    return gy_err_hint(err, "--out takes a folder that is new, empty or an older package");
}

static gy_status remove_file(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    (void)is_dir; /* refuse_foreign let no folder pass */
    GY_TRY(gy_path_join(path, sizeof path, ctx, name, err));
    return unlink(path) == 0 ? GY_OK : gy_err_sys(err, errno, "removing %s", path);
}

/* --out: a folder that holds nothing or an older package of ours; anything else is not emptied. */
static gy_status clear_out(const char *dir, struct gy_err *err)
{
    if (!gy_path_exists(dir)) {
        return GY_OK;
    }
    GY_TRY(gy_dir_each(dir, refuse_foreign, (void *)(uintptr_t)dir, err));
    return gy_dir_each(dir, remove_file, (void *)(uintptr_t)dir, err);
}

static gy_status temporary_out(struct gy_cli *cli, char out[GY_MAX_PATH], struct gy_err *err)
{
    struct gy_home home;
    char id[GY_UUID_TEXT];
    GY_TRY(gy_cli_home(cli, &home, err));
    GY_TRY(gy_new_id(id, err));
    const char *name = gy_arena_printf(&cli->arena, "cache/train-%s", id);
    gy_status status = name ? gy_home_path(&home, name, out, err)
                            : gy_err_set(err, GY_E_NOMEM, "a temporary folder");
    gy_home_done(&home);
    return status;
}

/* What the row filters left, and what kind of rows the numbers are of. */
static void say_rows(const struct gy_cli *cli, const struct gy_trained *t)
{
    if (t->threshold.n_rows > 0) {
        gy_cli_say(cli,
                   "  class %.*s from a probability of %.4f on: precision %.3f, recall %.3f on %zu "
                   "rows of training not seen\n",
                   (int)t->model.classes[1].n, t->model.classes[1].p, t->threshold.value,
                   t->threshold.precision, t->threshold.recall, t->threshold.n_rows);
    }
    for (size_t i = 0; i < t->n_filtered; i++) {
        size_t before = i ? t->filtered[i - 1].rows : t->rows_read;
        if (t->filtered[i].rows != before) {
            gy_cli_say(cli, "  rows: %zu after %.*s\n", t->filtered[i].rows,
                       (int)t->filtered[i].what.n, t->filtered[i].what.p);
        }
    }
    if (t->on == GY_MEASURED_FOLDS) {
        gy_cli_say(cli, "cross-validated in %d folds: each row by a model that had not seen it\n",
                   t->model.split_folds);
    } else if (t->on == GY_MEASURED_TRAINING) {
        gy_cli_say(cli,
                   "measured on the rows TRAINED ON: rows it has not seen get worse answers\n");
    }
}

/* searched: members of the answer about the search; MAY be empty. */
static gy_status answer_train(struct gy_cli *cli, const struct train_opts *o,
                              const struct gy_trained *t, const struct gy_published *p,
                              struct gy_str searched, struct gy_err *err)
{
    if (!cli->json) {
        gy_cli_say(cli, "%s for %.*s: %lld rows trained on, %lld held out (%.1f s)\n",
                   gy_learner_name(t->model.learner), (int)t->model.target.n, t->model.target.p,
                   (long long)t->model.rows_train, (long long)t->model.rows_held_out, t->seconds);
        say_rows(cli, t);
        gy_cli_say_metrics(cli, &t->eval.groups[0].metrics, &t->baseline);
        for (size_t i = 0; i < t->n_warnings; i++) {
            gy_cli_say(cli, "warning: %.*s\n", (int)t->warnings[i].n, t->warnings[i].p);
        }
        gy_cli_say(cli, "run %s\n", p->run_id);
        if (p->version > 0) {
            gy_cli_say(cli, "registered as %s, version %lld%s: %s%s\n", o->register_as,
                       (long long)p->version, p->found ? " (by an earlier attempt)" : "",
                       p->servable ? "servable" : "not servable: ", p->reason);
        }
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 80 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "run_id", p->run_id);
    gy_jw_kv_strc(&w, "experiment_id", p->experiment_id);
    gy_jw_kv_strc(&w, "model", o->register_as);
    if (p->version > 0) {
        gy_jw_kv_i64(&w, "version", p->version);
        gy_jw_kv_bool(&w, "servable", p->servable);
        gy_jw_kv_strc(&w, "reason", p->reason);
        gy_jw_kv_bool(&w, "found", p->found);
    } else {
        gy_jw_kv_null(&w, "version");
        gy_jw_kv_null(&w, "servable");
        gy_jw_kv_bool(&w, "found", false);
    }
    gy_jw_kv_strc(&w, "digest", p->digest);
    gy_jw_kv_strc(&w, "learner", gy_learner_name(t->model.learner));
    gy_jw_kv_str(&w, "data_sha256", t->model.data_sha256);
    gy_jw_kv_strc(&w, "out", o->out);
    gy_metrics_write(&w, &t->eval.groups[0].metrics, t->model.task);
    gy_jw_key(&w, "rows");
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "train", t->model.rows_train);
    gy_jw_kv_i64(&w, "held_out", t->model.rows_held_out);
    gy_jw_kv_i64(&w, "read", (int64_t)t->rows_read);
    gy_jw_obj_end(&w);
    gy_jw_kv_strc(&w, "measured_on", gy_measured_name(t->on));
    if (t->threshold.n_rows > 0) {
        gy_jw_key(&w, "threshold");
        gy_jw_obj(&w);
        gy_jw_kv_f64(&w, "value", t->threshold.value);
        gy_jw_kv_f64(&w, "precision", t->threshold.precision);
        gy_jw_kv_f64(&w, "recall", t->threshold.recall);
        gy_jw_kv_i64(&w, "chosen_on", (int64_t)t->threshold.n_rows);
        gy_jw_obj_end(&w);
    }
    gy_jw_key(&w, "filters");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->n_filtered; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "filter", t->filtered[i].what);
        gy_jw_kv_i64(&w, "rows", (int64_t)t->filtered[i].rows);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    if (t->baseline.n_groups > 0) {
        gy_jw_key(&w, "baseline");
        gy_jw_obj(&w);
        gy_metrics_write(&w, &t->baseline.groups[0].metrics, t->model.task);
        gy_jw_obj_end(&w);
    }
    gy_jw_key(&w, "warnings");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t->n_warnings; i++) {
        gy_jw_str(&w, t->warnings[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_f64(&w, "seconds", t->seconds);
    if (searched.n > 0) {
        gy_buf_add_char(&out, ',');
        gy_buf_add(&out, searched);
    }
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static void draw_round(void *ctx, int64_t done)
{
    gy_progress_at(ctx, done);
}

/* gy_train with a bar. */
static gy_status train(struct gy_cli *cli, const struct gy_cli_table *in, struct gy_train_params *p,
                       const char *dir, struct gy_trained *ret, struct gy_err *err)
{
    struct gy_progress bar;
    gy_progress_start(&bar, cli, "train", gy_train_rounds(p));
    p->on_round = draw_round;
    p->on_round_ctx = &bar;
    gy_status status = gy_train(in->table, p, dir, ret, err);
    p->on_round = NULL;
    gy_progress_end(&bar);
    return status;
}

/* In a stage the work is named by it: within a job by the stage, since its attempts are several
 * runs. */
static gy_status name_work(struct gy_cli *cli, const struct train_opts *o,
                           struct gy_publish_options *p, struct gy_err *err)
{
    const char *step = getenv("GYRE_STEP");
    const char *job = getenv("GYRE_JOB");
    const char *slash = step ? strrchr(step, '/') : NULL;
    const char *key = o->key;
    if (step && step[0]) {
        p->step = gy_str_c(step);
    }
    if (job && job[0]) {
        p->job = gy_str_c(job);
    }
    if (!key && p->step.p) {
        key = p->job.p && slash ? gy_arena_printf(&cli->arena, "job:%s%s", job, slash)
                                : gy_arena_printf(&cli->arena, "step:%s", step);
        if (!key) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
    }
    p->key = gy_str_c(key);
    return GY_OK;
}

/* What a stage's `gyre run` kept before the stages changed anything, or what is here now. Training
 * does not fail for want of it: the revision says "+dirty" in any case. */
static void take_patch(struct gy_cli *cli, const char *revision, bool told, struct gy_buf *patch)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_patch p;
    const char *file = getenv("GYRE_CODE_PATCH");
    gy_status status = GY_OK;
    if (told && file && file[0]) {
        status = gy_file_read(file, patch, &why);
    } else if (!told) {
        status = gy_flow_code_patch(".", revision, patch, &p, &why);
    }
    if (status != GY_OK) {
        gy_buf_reset(patch);
        gy_cli_note(cli, "the changes of the working tree are not kept: %s\n", why.msg);
    }
}

/* Inside a stage `gyre run` knows better which code this is: it asked before any stage ran. */
static gy_status name_code(struct gy_cli *cli, char revision[GY_CODE_REVISION + 1],
                           struct gy_buf *patch, struct gy_publish_options *ret, struct gy_err *err)
{
    const char *told = getenv("GYRE_CODE_REVISION");
    bool is_told = told && told[0] && strcmp(told, "unversioned") != 0;
    if (is_told) {
        (void)snprintf(revision, GY_CODE_REVISION + 1, "%s", told);
    } else {
        GY_TRY(gy_git_revision(".", revision, err));
    }
    /* Without git the commit can still be read. */
    if (strcmp(revision, "unversioned") == 0 && !gy_code_revision(".", revision)) {
        return GY_OK;
    }
    ret->code_revision = gy_str_c(revision);
    take_patch(cli, revision, is_told, patch);
    ret->code_patch = patch->n > 0 ? gy_buf_str(patch) : GY_STR_NULL;
    return GY_OK;
}

static gy_status train_grid(struct gy_cli *cli, const struct train_opts *o,
                            const struct gy_cli_table *in, struct gy_train_params *p,
                            const char *dir, struct gy_caller *caller,
                            const struct gy_publish_options *publish, struct gy_err *err)
{
    const struct gy_cli_grid grid = {.axes = &o->grid,
                                     .metric = o->metric,
                                     .in = in,
                                     .params = p,
                                     .publish = *publish,
                                     .caller = caller,
                                     .out = o->out};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf work;
    gy_buf_init(&work, GY_MAX_PATH);
    gy_buf_addf(&work, "%s.grid", dir);
    GY_TRY(gy_buf_check(&work, "the name of a folder", err));
    return gy_cli_train_grid(cli, &grid, work.p, err);
}

static void search_of(const struct train_opts *o, const struct gy_cli_table *in,
                      const struct gy_train_params *p, struct gy_caller *caller,
                      struct gy_str settled, struct gy_cli_search *ret)
{
    *ret = (struct gy_cli_search){.budget = o->search,
                                  .metric = o->metric,
                                  .prefer = o->prefer,
                                  .jobs = o->jobs,
                                  .patience = o->patience,
                                  .resume = o->resume,
                                  .one_learner = o->learner != NULL,
                                  .in = in,
                                  .params = p,
                                  .settled = settled,
                                  .experiment = gy_str_c(o->experiment),
                                  .caller = caller};
}

/* The search, then the best of it on all rows of training, as a run below that of the search. */
static gy_status search_and_publish(struct gy_cli *cli, const struct train_opts *o,
                                    const struct gy_cli_table *in, struct gy_train_params *p,
                                    const char *dir, struct gy_caller *caller,
                                    struct gy_publish_options *publish, struct gy_err *err)
{
    struct gy_cli_search s;
    struct gy_published published;
    GY_AUTO_DONE(gy_cli_searched_done) struct gy_cli_searched found = {0};
    GY_AUTO_DONE(gy_trained_done) struct gy_trained trained = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    if (o->params) {
        GY_TRY(gy_file_read(o->params, &text, err));
    }
    search_of(o, in, p, caller, gy_buf_str(&text), &s);
    GY_TRY(gy_cli_train_search(cli, &s, &found, err));
    publish->start_us = gy_now_us();
    publish->parent_run_id = gy_str_c(found.parent_run_id);
    publish->run_name = publish->run_name.p ? publish->run_name : GY_STR("best, on all rows");
    GY_TRY(train(cli, in, &found.params, dir, &trained, err));
    GY_TRY(name_work(cli, o, publish, err));
    GY_TRY(gy_publish(caller, dir, &trained, &found.params, publish, &published, err));
    return answer_train(cli, o, &trained, &published, gy_buf_str(&found.json), err);
}

static gy_status train_and_publish(struct gy_cli *cli, const struct train_opts *o,
                                   const struct gy_cli_table *in, struct gy_train_params *p,
                                   const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_trained_done) struct gy_trained trained = {0};
    struct gy_published published;
    struct gy_caller *caller = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf patch;
    char revision[GY_CODE_REVISION + 1];
    struct gy_publish_options publish = {.experiment = gy_str_c(o->experiment),
                                         .run_name = gy_str_c(o->run_name),
                                         .register_as = gy_str_c(o->register_as),
                                         .dataset = in->dataset,
                                         .start_us = gy_now_us()};
    gy_buf_init(&patch, GY_PATCH_MAX_BYTES);
    GY_TRY(gy_cli_caller(cli, &caller, err)); /* before the work: no server, no training */
    GY_TRY(name_code(cli, revision, &patch, &publish, err));
    if (o->grid.n > 0) {
        GY_TRY(name_work(cli, o, &publish, err));
        return train_grid(cli, o, in, p, dir, caller, &publish, err);
    }
    if (o->search) {
        return search_and_publish(cli, o, in, p, dir, caller, &publish, err);
    }
    GY_TRY(train(cli, in, p, dir, &trained, err));
    GY_TRY(name_work(cli, o, &publish, err));
    GY_TRY(gy_publish(caller, dir, &trained, p, &publish, &published, err));
    return answer_train(cli, o, &trained, &published, GY_STR_NULL, err);
}

static gy_status run_train(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct train_opts *o = opts;
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_cli_table_done) struct gy_cli_table in = {0};
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params params;
    gy_train_params_init(&params);
    GY_TRY(read_params(o, &params, err));
    GY_TRY(gy_cli_table_open(cli, cli->argv[0], o->schema, &in, err));
    if (o->search && gy_search_jobs_child()) {
        struct gy_cli_search s;
        search_of(o, &in, &params, NULL, GY_STR_NULL, &s);
        return gy_cli_train_search_child(&s, err);
    }
    if (o->search && o->grid.n > 0) {
        return gy_err_set(err, GY_E_USAGE, "--search and --grid are two ways of it: take one");
    }
    if (o->out) {
        GY_TRY(clear_out(o->out, err));
        return train_and_publish(cli, o, &in, &params, o->out, err);
    }
    GY_TRY(temporary_out(cli, dir, err));
    gy_status status = train_and_publish(cli, o, &in, &params, dir, err);
    gy_status cleaned =
        gy_path_exists(dir) ? gy_dir_remove(dir, status == GY_OK ? err : NULL) : GY_OK;
    return status == GY_OK ? cleaned : status;
}

static void list_settings(struct gy_buf *out, const struct gy_setting_spec *specs)
{
    for (size_t i = 0; i < gy_settings_count(specs); i++) {
        gy_buf_addf(out, "%s%s", i ? ", " : " (", specs[i].key);
    }
    gy_buf_addc(out, specs && specs[0].key ? ")\n" : "\n");
}

/* What there is stands in the tables of learners and steps. */
static void list_parts(struct gy_buf *out)
{
    gy_buf_addc(out, "learners (train.learner), and their settings (train.LEARNER):\n");
    for (int i = 0; i < GY_LEARNERS; i++) {
        const struct gy_learner_ops *ops = gy_learner_get((enum gy_learner)i);
        gy_buf_addf(out, "  %-14s%s", ops->name, ops->summary);
        list_settings(out, ops->settings);
    }
    gy_buf_addc(out, "\nfeature steps (train.steps, in the order you list them):\n");
    for (size_t i = 0; gy_steps[i]; i++) {
        gy_buf_addf(out, "  %-14s%s", gy_steps[i]->name, gy_steps[i]->summary);
        list_settings(out, gy_steps[i]->settings);
    }
}

static const struct gy_verb verbs[] = {
    {.noun = "train",
     .args = "TABLE",
     .min_args = 1,
     .max_args = 1,
     .summary = "train a model and measure it on held-out rows",
     .details = "TABLE is a CSV, JSON or JSONL file or a dataset (NAME, NAME@VERSION). The run, "
                "its numbers and the\n"
                "package are kept as an MLflow run; --register makes it a version and proves it.\n"
                "--grid trains many, each a run below one parent, and registers the best.\n"
                "--search looks for learner and settings on the training rows (docs/search.md).",
     .examples =
         "  gyre train data/patients/data.csv --target isSepsis --features HR,Resp,Temp\n"
         "  gyre train sepsis@1 --target isSepsis --params params.yaml --register sepsis\n"
         "  gyre train bikes@1 --target count --learner forest --grid trees=50,100,200 --grid "
         "depth=5,10\n"
         "  gyre train wine.csv --target quality --search 5m --register wine",
     GY_OPTS(train_options),
     .opts_bytes = sizeof(struct train_opts),
     .run = run_train,
     .more = list_parts},
};

const struct gy_verb_table gy_cmd_train = GY_VERB_TABLE(verbs);
