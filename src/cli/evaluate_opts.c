/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/evaluate_opts.h"

#include <math.h>

#include "cli/model_input.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "reading the options");
}

/* "a, b" as pieces in cli->arena. */
static gy_status split_list(struct gy_cli *cli, const char *commas, struct gy_str **ret,
                            size_t *ret_n, struct gy_err *err)
{
    struct gy_str rest = gy_str_c(commas);
    struct gy_str piece;
    *ret = gy_arena_calloc(&cli->arena, rest.n + 1, sizeof **ret);
    *ret_n = 0;
    if (!*ret) {
        return no_memory(err);
    }
    while (gy_str_next(&rest, ',', &piece)) {
        (*ret)[(*ret_n)++] = gy_str_trim(piece);
    }
    return GY_OK;
}

/* "age" or "age=30,50". */
static gy_status read_group(struct gy_cli *cli, const char *text, struct gy_fairness_spec *ret,
                            struct gy_err *err)
{
    struct gy_str edges;
    struct gy_str *pieces = NULL;
    size_t n = 0;
    *ret = (struct gy_fairness_spec){0};
    if (!gy_str_cut(gy_str_c(text), '=', &ret->column, &edges)) {
        return GY_OK;
    }
    GY_TRY(split_list(cli, edges.p, &pieces, &n, err));
    double *values = gy_arena_calloc(&cli->arena, n, sizeof *values);
    if (!values) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (gy_parse_f64(pieces[i], &values[i], err) != GY_OK) {
            (void)gy_err_wrap(err, "--group %s", text);
            return gy_err_hint(err, "edges are numbers: --group age=30,50");
        }
    }
    ret->edges = values;
    ret->n_edges = n;
    return GY_OK;
}

static gy_status read_lists(struct gy_cli *cli, const struct gy_evaluate_opts *o,
                            struct gy_eval_options *ret, struct gy_err *err)
{
    struct gy_str *slices = gy_arena_calloc(&cli->arena, o->slices.n + 1, sizeof *slices);
    struct gy_fairness_spec *groups = gy_arena_calloc(&cli->arena, o->groups.n + 1, sizeof *groups);
    if (!slices || !groups) {
        return no_memory(err);
    }
    for (size_t i = 0; i < o->slices.n; i++) {
        slices[i] = gy_str_c(o->slices.items[i]);
    }
    for (size_t i = 0; i < o->groups.n; i++) {
        GY_TRY(read_group(cli, o->groups.items[i], &groups[i], err));
    }
    ret->slices = slices;
    ret->n_slices = o->slices.n;
    ret->fairness = groups;
    ret->n_fairness = o->groups.n;
    return GY_OK;
}

static gy_status read_threshold(const struct gy_evaluate_opts *o, struct gy_evaluate_plan *ret,
                                struct gy_err *err)
{
    if (!o->threshold) {
        return GY_OK;
    }
    GY_TRY(gy_threshold_parse(gy_str_c(o->threshold), &ret->rule, err));
    ret->chooses = ret->rule.kind != GY_THRESHOLD_FIXED;
    ret->options.threshold = ret->chooses ? 0 : ret->rule.value;
    return GY_OK;
}

gy_status gy_evaluate_plan(struct gy_cli *cli, const struct gy_evaluate_opts *o,
                           struct gy_evaluate_plan *ret, struct gy_err *err)
{
    *ret = (struct gy_evaluate_plan){.which = o->training   ? GY_EVAL_TRAINING
                                              : o->all_rows ? GY_EVAL_ALL
                                                            : GY_EVAL_HELD_OUT};
    if (o->training && o->all_rows) {
        return gy_err_set(err, GY_E_USAGE, "--training-rows and --all-rows exclude each other");
    }
    if (o->slices.n > GY_EVAL_MAX_SLICES) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --slice", GY_EVAL_MAX_SLICES);
    }
    if (o->groups.n > GY_FAIRNESS_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --group", GY_FAIRNESS_MAX_COLUMNS);
    }
    if (!(o->power == 0 || (o->power >= 1 && o->power <= 3))) {
        return gy_err_set(err, GY_E_USAGE,
                          "--power takes 0 (normal), 1 (Poisson), 1 to 2 (Tweedie), 2 (gamma) "
                          "or up to 3");
    }
    if (o->repeats < 1 || o->repeats > 1000) {
        return gy_err_set(err, GY_E_USAGE, "--repeats takes 1 to 1000");
    }
    GY_TRY(gy_cli_check_work(o->replicates, o->threads, err));
    ret->options.replicates = (size_t)o->replicates;
    ret->options.n_threads = (int)o->threads;
    ret->options.details = true;
    ret->options.keep = true;
    ret->options.weight = gy_str_c(o->weight);
    ret->options.deviance_power = o->power;
    GY_TRY(read_lists(cli, o, &ret->options, err));
    return read_threshold(o, ret, err);
}

/* ---- predictions of the table ---- */

/* "0", "1", ... where nothing else is said. */
static gy_status number_classes(struct gy_cli *cli, size_t n, struct gy_eval_columns *ret,
                                struct gy_err *err)
{
    struct gy_str *classes = gy_arena_calloc(&cli->arena, n, sizeof *classes);
    for (size_t i = 0; classes && i < n; i++) {
        classes[i] = gy_str_c(gy_arena_printf(&cli->arena, "%zu", i));
        if (!classes[i].p) {
            return no_memory(err);
        }
    }
    ret->classes = classes;
    ret->n_classes = n;
    return classes ? GY_OK : no_memory(err);
}

/* 0 and 1 with probabilities beside them are classes; other numbers are values. */
static enum gy_task told_task(const struct gy_table *t, const struct gy_eval_columns *c)
{
    const struct gy_table_column *truth = gy_table_column(t, c->target);
    const struct gy_table_column *p = gy_table_column(t, c->predicted[0]);
    if (c->n_predicted > 1) {
        return GY_TASK_MULTICLASS;
    }
    for (size_t i = 0; truth && p && truth->numeric && p->numeric && i < t->n_rows; i++) {
        double y = truth->num[i];
        if (!isnan(y) && ((y != 0 && y != 1) || !(p->num[i] >= 0 && p->num[i] <= 1))) {
            return GY_TASK_REGRESSION;
        }
    }
    return GY_TASK_BINARY;
}

gy_status gy_evaluate_columns_plan(struct gy_cli *cli, const struct gy_evaluate_opts *o,
                                   const struct gy_table *t, struct gy_eval_columns *ret,
                                   struct gy_err *err)
{
    struct gy_str *pieces = NULL;
    *ret = (struct gy_eval_columns){.target = gy_str_c(o->target), .threshold = 0.5};
    if (!o->target) {
        return gy_err_set(err, GY_E_USAGE,
                          "--predicted needs the truth beside it: --target COLUMN");
    }
    GY_TRY(split_list(cli, o->predicted, &pieces, &ret->n_predicted, err));
    ret->predicted = pieces;
    ret->task = o->classes && ret->n_predicted == 1 ? GY_TASK_BINARY : told_task(t, ret);
    if (o->task) {
        GY_TRY(gy_task_parse(gy_str_c(o->task), &ret->task, err));
    }
    if (ret->task == GY_TASK_REGRESSION) {
        return GY_OK;
    }
    if (o->classes) {
        GY_TRY(split_list(cli, o->classes, &pieces, &ret->n_classes, err));
        ret->classes = pieces;
        return GY_OK;
    }
    return number_classes(cli, ret->task == GY_TASK_BINARY ? 2 : ret->n_predicted, ret, err);
}
