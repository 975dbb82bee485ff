/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/train_grid.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/time.h"
#include "cli/ask.h"
#include "learn/runtime/ubj.h"
#include "learn/trials.h"

/* "trees=50,100": a setting of the learner and its values, as texts. */
struct axis {
    struct gy_str key;
    struct gy_str *values;
    size_t n;
};

/* One combination and what came of it. */
struct point {
    struct gy_str values[GY_GRID_MAX_AXES];
    char run_id[64];
    struct gy_metrics metrics; /* on the rows that all are measured on */
    double score;
};

struct grid {
    struct gy_cli *cli;
    const struct gy_cli_grid *g;
    struct axis axes[GY_GRID_MAX_AXES];
    size_t n_axes;
    struct point *points;
    size_t n_points, best; /* best: of those that ran */
    const char *metric;
    enum gy_task task;
    bool lower_is_better;
    char dirs[2][GY_MAX_PATH]; /* the best package so far, and the next one */
    int best_dir;
    struct gy_published best_published;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "a grid");
}

/* ---- the combinations ---- */

static gy_status read_axis(struct grid *s, const char *text, struct axis *ret, struct gy_err *err)
{
    struct gy_settings tried = s->g->params->settings;
    struct gy_str list;
    struct gy_str value;
    if (!gy_str_cut(gy_str_c(text), '=', &ret->key, &list) || ret->key.n == 0 || list.n == 0) {
        (void)gy_err_set(err, GY_E_USAGE, "'%s' is no axis of a grid", text);
        return gy_err_hint(err, "--grid trees=50,100,200 --grid depth=5,10");
    }
    ret->values = gy_arena_calloc(&s->cli->arena, list.n + 1, sizeof *ret->values);
    if (!ret->values) {
        return no_memory(err);
    }
    while (gy_str_next(&list, ',', &value)) {
        ret->values[ret->n] = gy_str_trim(value);
        GY_TRY(gy_settings_set(&tried, ret->key, ret->values[ret->n++], err));
    }
    return GY_OK;
}

static gy_status read_axes(struct grid *s, struct gy_err *err)
{
    const struct gy_opt_list *given = s->g->axes;
    s->n_points = 1;
    if (given->n > GY_GRID_MAX_AXES) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --grid", GY_GRID_MAX_AXES);
    }
    for (size_t i = 0; i < given->n; i++) {
        GY_TRY(read_axis(s, given->items[i], &s->axes[i], err));
        for (size_t k = 0; k < i; k++) {
            if (gy_str_eq(s->axes[k].key, s->axes[i].key)) {
                return gy_err_set(err, GY_E_USAGE, "--grid %" GY_STR_F " is there twice",
                                  GY_STR_A(s->axes[i].key));
            }
        }
        s->n_axes++;
        s->n_points *= s->axes[i].n;
        if (s->n_points > GY_GRID_MAX_RUNS) {
            return gy_err_set(err, GY_E_USAGE, "a grid has at most %d runs", GY_GRID_MAX_RUNS);
        }
    }
    s->points = gy_arena_calloc(&s->cli->arena, s->n_points, sizeof *s->points);
    if (!s->points) {
        return no_memory(err);
    }
    /* The last axis turns fastest. */
    for (size_t i = 0; i < s->n_points; i++) {
        size_t rest = i;
        for (size_t a = s->n_axes; a-- > 0;) {
            s->points[i].values[a] = s->axes[a].values[rest % s->axes[a].n];
            rest /= s->axes[a].n;
        }
    }
    return GY_OK;
}

/* "forest_50_5" */
static gy_status name_of(const struct grid *s, const struct point *p, struct gy_str *ret,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
    gy_buf_init(&name, 4 * GY_KIB);
    gy_buf_addc(&name, gy_learner_name(s->g->params->learner));
    for (size_t a = 0; a < s->n_axes; a++) {
        gy_buf_addf(&name, "_%" GY_STR_F, GY_STR_A(p->values[a]));
    }
    GY_TRY(gy_buf_check(&name, "the name of a run", err));
    *ret = gy_arena_str(&s->cli->arena, gy_buf_str(&name));
    return ret->p ? GY_OK : no_memory(err);
}

/* ---- one run ---- */

static const char *usual_metric(enum gy_task task)
{
    return task == GY_TASK_REGRESSION ? "rmse" : task == GY_TASK_BINARY ? "auc" : "f1_macro";
}

static gy_status score(struct grid *s, struct point *p, const struct gy_trained *t,
                       struct gy_err *err)
{
    s->metric = s->g->metric ? s->g->metric : usual_metric(t->model.task);
    s->task = t->model.task;
    p->metrics = t->eval.groups[0].metrics;
    const struct gy_metric *m = gy_metrics_get(&p->metrics, gy_str_c(s->metric));
    if (!m) {
        return gy_err_set(err, GY_E_INVALID, "--metric: a %s task has no '%s'",
                          gy_task_name(t->model.task), s->metric);
    }
    s->lower_is_better = m->lower_is_better;
    p->score = m->value;
    return GY_OK;
}

static bool is_better(const struct grid *s, double a, double b)
{
    return !isnan(a) && (isnan(b) || (s->lower_is_better ? a < b : a > b));
}

static gy_status train_point(struct grid *s, struct point *p, struct gy_str parent, const char *dir,
                             struct gy_published *published, struct gy_err *err)
{
    GY_AUTO_DONE(gy_trained_done) struct gy_trained trained = {0};
    struct gy_train_params params = *s->g->params; /* its arena stays the grid's */
    struct gy_publish_options o = s->g->publish;
    for (size_t a = 0; a < s->n_axes; a++) {
        GY_TRY(gy_settings_set(&params.settings, s->axes[a].key, p->values[a], err));
    }
    o.register_as = GY_STR_NULL;
    o.key = GY_STR_NULL;
    o.parent_run_id = parent;
    o.start_us = gy_now_us();
    GY_TRY(name_of(s, p, &o.run_name, err));
    GY_TRY(gy_train(s->g->in->table, &params, dir, &trained, err));
    GY_TRY(score(s, p, &trained, err));
    GY_TRY(gy_publish(s->g->caller, dir, &trained, &params, &o, published, err));
    (void)snprintf(p->run_id, sizeof p->run_id, "%s", published->run_id);
    return GY_OK;
}

static gy_status run_points(struct grid *s, struct gy_str parent, struct gy_err *err)
{
    struct gy_progress bar;
    gy_status status = GY_OK;
    gy_progress_start(&bar, s->cli, "grid", (int64_t)s->n_points);
    for (size_t i = 0; status == GY_OK && i < s->n_points; i++) {
        struct gy_published published = {0};
        int into = i == 0 ? s->best_dir : 1 - s->best_dir;
        status = train_point(s, &s->points[i], parent, s->dirs[into], &published, err);
        bool better = status == GY_OK &&
                      (i == 0 || is_better(s, s->points[i].score, s->points[s->best].score));
        if (better) {
            s->best = i;
            s->best_dir = into;
            s->best_published = published;
        }
        if (status == GY_OK && gy_path_exists(s->dirs[1 - s->best_dir])) {
            status = gy_dir_remove(s->dirs[1 - s->best_dir], err);
        }
        gy_progress_at(&bar, (int64_t)i + 1);
    }
    gy_progress_end(&bar);
    return status;
}

/* ---- all of them ---- */

/* The parent run says what the best one was. */
static gy_status end_parent(struct grid *s, struct gy_trials *trials, struct gy_err *err)
{
    const struct point *p = &s->points[s->best];
    struct gy_trial best = {.learner = s->g->params->learner, .ok = true, .metrics = p->metrics};
    const struct gy_search all = {.best = &best};
    for (size_t a = 0; a < s->n_axes && a < GY_TRIAL_MAX_SETTINGS; a++) {
        struct gy_trial_setting *setting = &best.settings[best.n_settings++];
        setting->key = gy_arena_strdup(&s->cli->arena, s->axes[a].key);
        if (!setting->key) {
            return no_memory(err);
        }
        (void)snprintf(setting->value, sizeof setting->value, "%" GY_STR_F, GY_STR_A(p->values[a]));
    }
    return gy_trials_end(trials, &all, err);
}

static gy_status play(struct grid *s, struct gy_trials *trials, struct gy_err *err)
{
    gy_status status = run_points(s, gy_str_c(trials->parent_run_id), err);
    if (status != GY_OK) {
        GY_IGNORE(gy_trials_end(trials, NULL, NULL)); /* the first failure is the one to tell */
        return status;
    }
    GY_TRY(end_parent(s, trials, err));
    return s->g->publish.register_as.p
               ? gy_publish_register(s->g->caller, s->dirs[s->best_dir], &s->g->publish,
                                     &s->best_published, err)
               : GY_OK;
}

static gy_status begin(struct grid *s, struct gy_trials *trials, struct gy_err *err)
{
    struct gy_trials_options o = {.experiment = s->g->publish.experiment,
                                  .name = s->g->publish.run_name,
                                  .source = GY_STR("gyre train --grid"),
                                  .data_sha256 = gy_str_c(s->g->in->table->sha256),
                                  .target = s->g->params->target};
    o.experiment = o.experiment.p ? o.experiment : GY_STR("Default");
    o.name = o.name.p ? o.name : GY_STR("grid");
    return gy_trials_begin(s->g->caller, &o, trials, err);
}

/* ---- the answer ---- */

static void write_point(const struct grid *s, const struct point *p, bool metrics, struct gy_jw *w)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "run_id", p->run_id);
    gy_jw_key(w, "settings");
    gy_jw_obj(w);
    for (size_t a = 0; a < s->n_axes; a++) {
        gy_jw_keys(w, s->axes[a].key);
        gy_jw_str(w, p->values[a]);
    }
    gy_jw_obj_end(w);
    gy_jw_kv_f64(w, "score", p->score);
    if (metrics) {
        gy_metrics_write(w, &p->metrics, s->task);
    }
    gy_jw_obj_end(w);
}

static gy_status print_json(const struct grid *s, const struct gy_trials *trials,
                            struct gy_err *err)
{
    const struct gy_published *b = &s->best_published;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "run_id", trials->parent_run_id);
    gy_jw_kv_strc(&w, "experiment_id", trials->experiment_id);
    gy_jw_kv_strc(&w, "learner", gy_learner_name(s->g->params->learner));
    gy_jw_kv_strc(&w, "metric", s->metric);
    gy_jw_key(&w, "runs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < s->n_points; i++) {
        write_point(s, &s->points[i], false, &w);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "best");
    write_point(s, &s->points[s->best], true, &w);
    gy_jw_kv_str(&w, "model", s->g->publish.register_as);
    if (b->version > 0) {
        gy_jw_kv_i64(&w, "version", b->version);
        gy_jw_kv_bool(&w, "servable", b->servable);
        gy_jw_kv_strc(&w, "reason", b->reason);
    } else {
        gy_jw_kv_null(&w, "version");
    }
    gy_jw_kv_strc(&w, "digest", b->digest);
    gy_jw_kv_strc(&w, "out", s->g->out);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(s->cli, &out, err);
}

/* The runs, the best one first. */
static gy_status say_table(const struct grid *s, struct gy_err *err)
{
    const char *head[GY_GRID_MAX_AXES + 3];
    bool right[GY_GRID_MAX_AXES + 3] = {false};
    size_t n_columns = s->n_axes + 3;
    struct gy_cli *cli = s->cli;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, s->n_points * n_columns, sizeof *cells);
    bool *done = gy_arena_calloc(&cli->arena, s->n_points, sizeof *done);
    if (!cells || !done) {
        return no_memory(err);
    }
    for (size_t a = 0; a < s->n_axes; a++) {
        head[a] = gy_cli_cell(cli, s->axes[a].key).p;
        right[a] = true;
    }
    head[s->n_axes] = s->metric;
    head[s->n_axes + 1] = "interval";
    head[s->n_axes + 2] = "run";
    right[s->n_axes] = true;
    for (size_t row = 0; row < s->n_points; row++) {
        size_t next = SIZE_MAX;
        for (size_t i = 0; i < s->n_points; i++) {
            bool first = next == SIZE_MAX;
            next = !done[i] && (first || is_better(s, s->points[i].score, s->points[next].score))
                       ? i
                       : next;
        }
        const struct point *p = &s->points[next];
        struct gy_str *cell = cells + row * n_columns;
        const struct gy_metric *m = gy_metrics_get(&p->metrics, gy_str_c(s->metric));
        done[next] = true;
        for (size_t a = 0; a < s->n_axes; a++) {
            cell[a] = p->values[a];
        }
        cell[s->n_axes] = gy_cli_cellf(cli, "%.4f", p->score);
        cell[s->n_axes + 1] = gy_cli_cellf(cli, "%.4f to %.4f", m->low, m->high);
        cell[s->n_axes + 2] = gy_str_c(p->run_id);
    }
    gy_cli_table(cli, head, n_columns, cells, s->n_points, right);
    return GY_OK;
}

static gy_status answer(const struct grid *s, const struct gy_trials *trials, struct gy_err *err)
{
    const struct gy_published *b = &s->best_published;
    if (s->cli->json) {
        return print_json(s, trials, err);
    }
    GY_TRY(say_table(s, err));
    gy_cli_say(s->cli, "%zu runs below run %s\n", s->n_points, trials->parent_run_id);
    gy_cli_say(s->cli,
               "chosen on the rows it is measured on, the best of %zu looks a little "
               "better than it is\n",
               s->n_points);
    if (b->version > 0) {
        gy_cli_say(s->cli, "registered as %" GY_STR_F ", version %lld: %s%s\n",
                   GY_STR_A(s->g->publish.register_as), (long long)b->version,
                   b->servable ? "servable" : "not servable: ", b->reason);
    }
    return GY_OK;
}

/* A package has no folders. */
static gy_status copy_file(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct grid *s = ctx;
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    if (is_dir) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, s->dirs[s->best_dir], name, err));
    GY_TRY(gy_file_read(path, &bytes, err));
    GY_TRY(gy_path_join(path, sizeof path, s->g->out, name, err));
    return gy_file_write(path, gy_buf_str(&bytes), 0644, err);
}

static gy_status keep_best(struct grid *s, struct gy_err *err)
{
    if (!s->g->out) {
        return GY_OK;
    }
    GY_TRY(gy_dir_make(s->g->out, err));
    return gy_dir_each(s->dirs[s->best_dir], copy_file, s, err);
}

gy_status gy_cli_train_grid(struct gy_cli *cli, const struct gy_cli_grid *g, const char *dir,
                            struct gy_err *err)
{
    struct grid s = {.cli = cli, .g = g};
    GY_AUTO_DONE(gy_trials_done) struct gy_trials trials = {0};
    GY_TRY(read_axes(&s, err));
    GY_TRY(gy_path_join(s.dirs[0], sizeof s.dirs[0], dir, "a", err));
    GY_TRY(gy_path_join(s.dirs[1], sizeof s.dirs[1], dir, "b", err));
    if (gy_path_exists(dir)) {
        (void)gy_err_set(err, GY_E_EXISTS, "%s is there already: the grid works in it", dir);
        return gy_err_hint(err, "move it away, or take another --out");
    }
    GY_TRY(gy_dir_make(dir, err));
    gy_status status = begin(&s, &trials, err);
    if (status == GY_OK) {
        status = play(&s, &trials, err);
    }
    if (status == GY_OK) {
        status = keep_best(&s, err);
    }
    if (status == GY_OK) {
        status = answer(&s, &trials, err);
    }
    gy_status cleaned = gy_dir_remove(dir, status == GY_OK ? err : NULL);
    return status == GY_OK ? cleaned : status;
}
