/* SPDX-License-Identifier: Apache-2.0 */
/* A table against a model's training data or against another table. */
#include <math.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/drift_input.h"
#include "cli/model_input.h"
#include "learn/cells.h"

#define MAX_CATEGORIES 65536
#define FREE_TEXT 0.5 /* more distinct values than this share of the rows: not categories */

void gy_cli_drift_input_done(struct gy_cli_drift_input *in)
{
    if (in) {
        gy_drift_window_free(in->window);
        in->window = NULL;
    }
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "comparing tables");
}

struct comparing {
    const struct gy_cli_drift_files *f;
    const struct gy_table *current, *reference; /* reference NULL: a model */
    struct gy_arena *a;
    struct gy_cli_drift_input *in;
    struct gy_str *names; /* of the columns that are compared */
    const double **now;   /* their current values */
    size_t n, max;
    struct gy_profile_column *columns; /* of the reference table */
    struct gy_drift_feature_options *options;
};

static bool is_listed(const struct gy_str *list, size_t n, struct gy_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(list[i], name)) {
            return true;
        }
    }
    return false;
}

/* The texts of a column as numbers: the same text, the same number in both tables. */
static gy_status codes_of(const struct gy_table_column *c, size_t n, struct gy_map *codes,
                          struct gy_arena *a, double **ret, struct gy_err *err)
{
    char scratch[32];
    double *out = gy_arena_calloc(a, n + 1, sizeof *out);
    if (!out) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        struct gy_str text = gy_table_text(c, i, scratch);
        if (!text.p) {
            out[i] = NAN;
            continue;
        }
        uintptr_t code = (uintptr_t)gy_map_get(codes, text);
        if (code == 0) { /* its place in the order of appearance, from 1 */
            code = codes->n_live + 1;
            GY_TRY(gy_map_put(codes, text, (void *)code, err)); /* an opaque number */
        }
        out[i] = (double)code;
    }
    *ret = out;
    return GY_OK;
}

static gy_status put_column(struct comparing *c, struct gy_str name, const double *reference,
                            size_t n_reference, const double *now, bool categorical,
                            struct gy_err *err)
{
    struct gy_values v;
    struct gy_profile_column *to = &c->columns[c->n];
    GY_TRY(gy_values_of(reference, NULL, n_reference, c->a, &v, err));
    GY_TRY(gy_profile_describe(&v, 1, c->a, to, err)); /* in memory: no budget to share */
    to->name = name;
    c->options[c->n] = (struct gy_drift_feature_options){.name = name, .categorical = categorical};
    c->names[c->n] = name;
    c->now[c->n++] = now;
    return GY_OK;
}

/* A column that is text in either table. */
static gy_status put_text(struct comparing *c, const struct gy_table_column *then,
                          const struct gy_table_column *now, struct gy_err *err)
{
    GY_AUTO_DONE(gy_map_done) struct gy_map codes;
    double *a = NULL;
    double *b = NULL;
    size_t rows = c->reference->n_rows + c->current->n_rows;
    gy_map_init(&codes, MAX_CATEGORIES);
    gy_status status = codes_of(then, c->reference->n_rows, &codes, c->a, &a, err);
    if (status == GY_OK) {
        status = codes_of(now, c->current->n_rows, &codes, c->a, &b, err);
    }
    if (status != GY_OK && status != GY_E_TOOBIG) {
        return status;
    }
    if (status == GY_E_TOOBIG || (double)codes.n_live > FREE_TEXT * (double)rows) {
        c->in->text_columns[c->in->n_text_columns++] = now->name;
        return GY_OK;
    }
    return put_column(c, now->name, a, c->reference->n_rows, b, true, err);
}

static gy_status compare_tables(struct comparing *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->current->n_columns; i++) {
        const struct gy_table_column *now = &c->current->columns[i];
        const struct gy_table_column *then = gy_table_column(c->reference, now->name);
        bool asked = c->f->columns && is_listed(c->f->columns, c->f->n_columns, now->name);
        if (!then || (c->f->columns ? !asked : now == c->current->id || then == c->reference->id)) {
            continue;
        }
        struct gy_err why = GY_ERR_INIT; /* free text is no failure, its message not news */
        gy_status status =
            now->numeric && then->numeric
                ? put_column(c, now->name, then->num, c->reference->n_rows, now->num,
                             is_listed(c->f->categorical, c->f->n_categorical, now->name), &why)
                : put_text(c, then, now, &why);
        if (status != GY_OK) {
            if (err) {
                *err = why;
            }
            return status;
        }
    }
    c->in->profile = (struct gy_profile){.rows = c->reference->n_rows,
                                         .columns = c->columns,
                                         .n_columns = c->n,
                                         .positive_share = NAN};
    return GY_OK;
}

/* A text of the table as the profile of a model has it: a hash, or a time in seconds. *ret NULL:
 * the model knows the column as numbers. */
static gy_status logged_of(struct comparing *c, const struct gy_table_column *now, bool categorical,
                           const double **ret, struct gy_err *err)
{
    const struct gy_predictor_input in = {.name = now->name,
                                          .kind = categorical ? GY_INPUT_TEXT : GY_INPUT_TIME};
    double *out = gy_arena_calloc(c->a, c->current->n_rows + 1, sizeof *out);
    if (!out) {
        return no_memory(err);
    }
    *ret = out;
    for (size_t i = 0; *ret && i < c->current->n_rows; i++) {
        if (gy_cell_logged(&in, now->text[i], &out[i], NULL) != GY_OK) {
            *ret = NULL;
        }
    }
    return GY_OK;
}

static gy_status compare_model(struct comparing *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->in->profile.n_columns; i++) {
        struct gy_str name = c->in->profile.columns[i].name;
        const struct gy_table_column *now = gy_table_column(c->current, name);
        if (!now || (c->f->columns && !is_listed(c->f->columns, c->f->n_columns, name))) {
            continue;
        }
        const double *values = now->num;
        if (!now->numeric) {
            GY_TRY(logged_of(c, now, c->in->profile.columns[i].categorical, &values, err));
        }
        if (!values) {
            continue;
        }
        c->options[c->n] = (struct gy_drift_feature_options){
            .name = name, .categorical = is_listed(c->f->categorical, c->f->n_categorical, name)};
        c->names[c->n] = name;
        c->now[c->n++] = values;
    }
    return GY_OK;
}

static gy_status fill_window(struct comparing *c, struct gy_err *err)
{
    size_t rows = c->current->n_rows;
    double *row = gy_arena_calloc(c->a, c->n + 1, sizeof *row);
    if (!row) {
        return no_memory(err);
    }
    GY_TRY(gy_drift_window_new(c->names, c->n, rows ? rows : 1, false, &c->in->window, err));
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < c->n; i++) {
            row[i] = c->now[i][r];
        }
        const struct gy_drift_row one = {.inputs = row, .answer = NAN, .score = NAN};
        GY_REQUIRE(gy_drift_window_add(c->in->window, &one));
    }
    return GY_OK;
}

static gy_status check_columns(const struct comparing *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->f->n_columns; i++) {
        bool text = is_listed(c->in->text_columns, c->in->n_text_columns, c->f->columns[i]);
        if (!text && !is_listed(c->names, c->n, c->f->columns[i])) {
            return gy_err_set(err, GY_E_NOTFOUND, "no column '%" GY_STR_F "' in both %s and %s",
                              GY_STR_A(c->f->columns[i]), c->f->current, c->f->reference);
        }
    }
    if (c->n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "%s and %s have no column in common", c->f->current,
                          c->f->reference);
    }
    return GY_OK;
}

static bool names_a_model(const char *what)
{
    return gy_path_is_dir(what) || gy_str_starts(gy_str_c(what), GY_STR("models:"));
}

gy_status gy_cli_drift_files(struct gy_cli *cli, const struct gy_cli_drift_files *f,
                             struct gy_arena *a, struct gy_cli_drift_input *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_table_done) struct gy_cli_table now = {0};
    GY_AUTO_DONE(gy_cli_table_done) struct gy_cli_table then = {0};
    bool model = names_a_model(f->reference);
    struct comparing c = {.f = f, .a = a, .in = ret};
    GY_TRY(gy_cli_table_open(cli, f->current, f->schema, &now, err));
    c.current = now.table;
    c.max = now.table->n_columns;
    if (model) {
        char dir[GY_MAX_PATH];
        GY_TRY(gy_cli_model_dir(cli, f->reference, dir, err));
        GY_TRY(gy_profile_read(dir, a, &ret->profile, err));
        c.max = ret->profile.n_columns;
    } else {
        GY_TRY(gy_cli_table_open(cli, f->reference, f->schema, &then, err));
        c.reference = then.table;
    }
    c.names = gy_arena_calloc(a, c.max + 1, sizeof *c.names);
    c.now = gy_arena_calloc(a, c.max + 1, sizeof *c.now);
    c.columns = gy_arena_calloc(a, c.max + 1, sizeof *c.columns);
    c.options = gy_arena_calloc(a, c.max + 1, sizeof *c.options);
    ret->text_columns = gy_arena_calloc(a, c.max + 1, sizeof *ret->text_columns);
    if (!c.names || !c.now || !c.columns || !c.options || !ret->text_columns) {
        return no_memory(err);
    }
    if (model) {
        GY_TRY(compare_model(&c, err));
    } else {
        GY_TRY(compare_tables(&c, err));
    }
    GY_TRY(check_columns(&c, err));
    GY_TRY(fill_window(&c, err));
    /* The tables go: names are kept apart from them. */
    for (size_t i = 0; i < c.n; i++) {
        c.options[i].name = gy_arena_str(a, c.names[i]);
        c.columns[i].name = model ? GY_STR_NULL : c.options[i].name;
        if (!c.options[i].name.p) {
            return no_memory(err);
        }
    }
    for (size_t i = 0; i < ret->n_text_columns; i++) {
        ret->text_columns[i] = gy_arena_str(a, ret->text_columns[i]);
        if (!ret->text_columns[i].p) {
            return no_memory(err);
        }
    }
    gy_drift_options_init(&ret->options);
    ret->options.features = c.options;
    ret->options.n_features = c.n;
    ret->reference = gy_str_c(f->reference);
    return GY_OK;
}
