/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/survey.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "data/schema.h"
#include "learn/survey_internal.h"
#include "learn/train_internal.h"

#define MAX_ARENA (256 * GY_MIB)
#define FEW_ROWS 200
#define RARE_CLASS 0.1
#define MOSTLY_MISSING 0.5
#define NAME_LIKE 10 /* a text target with a class for fewer rows than this is a name */
#define SUBJECT_LIKE                                                                \
    20 /* an id column with a value for fewer rows than this names whoever the rows \
          are about */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "surveying a table");
}

/* ---- values in order ---- */

bool gy_survey_same(const struct gy_survey_cell *a, const struct gy_survey_cell *b)
{
    return a->p ? gy_str_eq(gy_survey_text(a), gy_survey_text(b)) : a->num == b->num;
}

static int by_number(const void *a, const void *b)
{
    double x = ((const struct gy_survey_cell *)a)->num;
    double y = ((const struct gy_survey_cell *)b)->num;
    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    return gy_str_cmp(gy_survey_text(a), gy_survey_text(b));
}

void gy_survey_sort(struct gy_survey_job *j, const struct gy_table_column *c)
{
    size_t n = j->t->n_rows, last = n;
    j->n_cells = 0;
    for (size_t i = 0; i < n; i++) {
        bool missing = c->numeric ? isnan(c->num[i]) : !c->text[i].p;
        size_t at = missing ? --last : j->n_cells++;
        struct gy_str text = c->numeric ? GY_STR_NULL : c->text[i];
        j->cells[at] = (struct gy_survey_cell){.num = c->numeric ? c->num[i] : NAN,
                                               .p = text.p,
                                               .n = (uint32_t)text.n, /* a record is no larger */
                                               .row = (uint32_t)i};
    }
    qsort(j->cells, j->n_cells, sizeof *j->cells, c->numeric ? by_number : by_text);
}

/* ---- one column ---- */

GY_PRINTF(4, 0)
static gy_status add_text(struct gy_survey_job *j, struct gy_str *ret, struct gy_err *err,
                          const char *fmt, va_list args)
{
    char text[512];
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut reason is still one */
    *ret = gy_arena_str(&j->s->arena, gy_str_c(text));
    return ret->p ? GY_OK : no_memory(err);
}

gy_status gy_survey_warn(struct gy_survey_job *j, struct gy_err *err, const char *fmt, ...)
{
    struct gy_survey *s = j->s;
    if (s->n_warnings == GY_SURVEY_MAX_WARNINGS) {
        return GY_OK;
    }
    va_list args;
    va_start(args, fmt);
    gy_status status = add_text(j, &s->warnings[s->n_warnings++], err, fmt, args);
    va_end(args);
    return status;
}

static bool listed(const struct gy_str *names, size_t n, struct gy_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

gy_status gy_survey_exclude(struct gy_survey_job *j, struct gy_surveyed *c, enum gy_survey_use use,
                            struct gy_err *err, const char *fmt, ...)
{
    bool guess = use == GY_USE_LEAK || use == GY_USE_COUNTER;
    if (guess && listed(j->o->keep, j->o->n_keep, c->column->name)) {
        return GY_OK;
    }
    va_list args;
    va_start(args, fmt);
    gy_status status = add_text(j, &c->why, err, fmt, args);
    va_end(args);
    c->use = use;
    return status;
}

/* distinct, common, min, max, mean of the sorted cells. */
static gy_status describe(struct gy_survey_job *j, struct gy_surveyed *c, struct gy_err *err)
{
    size_t n = j->n_cells;
    double sum = 0;
    c->missing = j->t->n_rows - n;
    c->min = c->max = c->mean = NAN;
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && gy_survey_same(&j->cells[from], &j->cells[i])) {
            sum += j->cells[i].num;
            i++;
        }
        c->distinct++;
        if (i - from > c->n_common) {
            char scratch[32];
            c->n_common = i - from;
            c->common = gy_table_text(c->column, j->cells[from].row, scratch);
            if (c->column->numeric) {
                c->common = gy_arena_str(&j->s->arena, c->common);
            }
            if (!c->common.p) {
                return no_memory(err);
            }
        }
    }
    if (c->column->numeric && n > 0) {
        c->min = j->cells[0].num;
        c->max = j->cells[n - 1].num;
        c->mean = sum / (double)n;
    }
    return GY_OK;
}

/* Whole numbers that count the rows, or rise with them. */
static bool is_counter(const struct gy_survey_job *j, const struct gy_surveyed *c)
{
    size_t n = j->t->n_rows;
    if (!c->column->numeric || !c->column->integer || c->missing > 0 || c->distinct != n ||
        n < 20) {
        return false;
    }
    bool rising = true;
    for (size_t i = 1; i < n && rising; i++) {
        rising = c->column->num[i] > c->column->num[i - 1];
    }
    return rising || c->max - c->min == (double)(n - 1);
}

static bool named_id(struct gy_str name)
{
    struct gy_str end = gy_str_sub(name, name.n < 3 ? 0 : name.n - 3, 3);
    return gy_str_ieq(name, GY_STR("id")) || gy_str_ieq(end, GY_STR("_id")) ||
           gy_str_eqc(gy_str_sub(name, name.n < 2 ? 0 : name.n - 2, 2), "Id");
}

/* "3,14": a number for half of Europe. */
static bool decimal_commas(const struct gy_survey_job *j)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n_cells; i++) {
        struct gy_str head, tail;
        double v;
        bool cut = gy_str_cut(gy_survey_text(&j->cells[i]), ',', &head, &tail);
        n += gy_parse_f64(head, &v, NULL) == GY_OK &&
             (!cut || (tail.n > 0 && gy_parse_f64(tail, &v, NULL) == GY_OK));
    }
    return j->n_cells > 0 && n * 20 >= j->n_cells * 19;
}

static gy_status exclude_text(struct gy_survey_job *j, struct gy_surveyed *c, struct gy_err *err)
{
    if (strcmp(c->type, "time") == 0) {
        return gy_survey_exclude(j, c, GY_USE_TIME, err, "a time; learners take numbers");
    }
    if (decimal_commas(j)) {
        return gy_survey_exclude(j, c, GY_USE_TEXT, err,
                                 "numbers with a decimal comma; write them with a point");
    }
    return gy_survey_exclude(j, c, GY_USE_TEXT, err, "text of %zu values; learners take numbers",
                             c->distinct);
}

static gy_status judge(struct gy_survey_job *j, struct gy_surveyed *c, struct gy_err *err)
{
    struct gy_str name = c->column->name;
    if (gy_str_eq(name, j->o->target)) {
        c->use = GY_USE_TARGET;
        j->s->target = c;
        return GY_OK;
    }
    if (listed(j->o->drop, j->o->n_drop, name)) {
        return gy_survey_exclude(j, c, GY_USE_DROPPED, err, "by --drop");
    }
    if (c->column == j->t->id) {
        return gy_survey_exclude(j, c, GY_USE_ID, err, "names the row");
    }
    if (c->distinct == 0) {
        return gy_survey_exclude(j, c, GY_USE_EMPTY, err, "no value in any row");
    }
    if (c->distinct == 1 && c->missing == 0) {
        return gy_survey_exclude(j, c, GY_USE_CONSTANT, err, "the same in every row");
    }
    if (is_counter(j, c)) {
        GY_TRY(gy_survey_exclude(j, c, GY_USE_COUNTER, err, "counts the rows"));
    } else if (named_id(name) && c->distinct * SUBJECT_LIKE > j->t->n_rows &&
               !listed(j->o->keep, j->o->n_keep, name)) {
        return gy_survey_exclude(j, c, GY_USE_ID, err, "names whom the row is about");
    }
    if (c->use == GY_USE_INPUT) {
        GY_TRY(gy_leaks_column(j, c, err));
    }
    return c->use == GY_USE_INPUT && !c->column->numeric ? exclude_text(j, c, err) : GY_OK;
}

/* ---- the target ---- */

static gy_status unknown_column(const struct gy_table *t, struct gy_str name, const char *flag,
                                struct gy_err *err)
{
    const char **names = gy_reallocarray(NULL, t->n_columns + 1, sizeof *names);
    gy_err_set(err, GY_E_NOTFOUND, "there is no column '%" GY_STR_F "' (%s)", GY_STR_A(name), flag);
    if (!names) {
        return GY_E_NOTFOUND;
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        names[i] = t->columns[i].name.p; /* arena strings end in NUL */
    }
    names[t->n_columns] = NULL;
    const char *nearest = gy_yaml_nearest(name, names);
    for (size_t i = 0; i < t->n_columns && !nearest; i++) {
        nearest = gy_str_ieq(name, t->columns[i].name) ? names[i] : NULL;
    }
    if (nearest) {
        (void)gy_err_hint(err, "is '%s' meant?", nearest);
    } else {
        (void)gy_err_hint(err, "the columns are: %s%s%s%s%s%s", names[0],
                          t->n_columns > 1 ? ", " : "", t->n_columns > 1 ? names[1] : "",
                          t->n_columns > 2 ? ", " : "", t->n_columns > 2 ? names[2] : "",
                          t->n_columns > 3 ? " ..." : "");
    }
    gy_free(names);
    return GY_E_NOTFOUND;
}

static gy_status check_names(const struct gy_survey_job *j, struct gy_err *err)
{
    const struct gy_survey_options *o = j->o;
    if (!gy_table_column(j->t, o->target)) {
        return unknown_column(j->t, o->target, "--target", err);
    }
    for (size_t i = 0; i < o->n_drop + o->n_keep; i++) {
        struct gy_str name = i < o->n_drop ? o->drop[i] : o->keep[i - o->n_drop];
        if (!gy_table_column(j->t, name)) {
            return unknown_column(j->t, name, i < o->n_drop ? "--drop" : "--keep", err);
        }
    }
    return GY_OK;
}

/* Before the learners' own words for it: a newcomer's target is often not what it seems. */
static gy_status check_target(struct gy_survey_job *j, struct gy_err *err)
{
    const struct gy_table_column *c = gy_table_column(j->t, j->o->target);
    struct gy_surveyed look = {.column = c};
    gy_survey_sort(j, c);
    GY_TRY(describe(j, &look, err));
    j->s->n_unlabelled = look.missing;
    if (look.distinct == 0) {
        gy_err_set(err, GY_E_INVALID, "the target '%" GY_STR_F "' has no value in any row",
                   GY_STR_A(j->o->target));
        return gy_err_hint(err, "learning needs rows whose answer is known");
    }
    if (look.distinct == 1) {
        gy_err_set(err, GY_E_INVALID,
                   "the target '%" GY_STR_F "' is '%" GY_STR_F "' wherever it has a value",
                   GY_STR_A(j->o->target), GY_STR_A(look.common));
        return gy_err_hint(err, "there is nothing to predict with one class: add rows of others");
    }
    if (!c->numeric && look.distinct > 2 && look.distinct * NAME_LIKE > j->n_cells) {
        gy_err_set(err, GY_E_INVALID,
                   "the target '%" GY_STR_F "' has %zu different texts in %zu rows: a name, not a "
                   "class",
                   GY_STR_A(j->o->target), look.distinct, j->n_cells);
        return gy_err_hint(err, "a class should have some ten rows or more");
    }
    return GY_OK;
}

static gy_status read_target(struct gy_survey_job *j, struct gy_err *err)
{
    struct gy_survey *s = j->s;
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    gy_model_init(&m);
    gy_train_params_init(&p);
    p.target = j->o->target;
    p.has_task = j->o->has_task;
    p.task = j->o->task;
    GY_TRY(gy_train_labels(j->t, &p, &m, j->y, err));
    s->task = m.task;
    s->n_classes = m.n_classes;
    s->classes = gy_arena_calloc(&s->arena, m.n_classes + 1, sizeof *s->classes);
    if (!s->classes) {
        return no_memory(err);
    }
    for (size_t k = 0; k < m.n_classes; k++) {
        s->classes[k].name = gy_arena_str(&s->arena, m.classes[k]);
        if (!s->classes[k].name.p) {
            return no_memory(err);
        }
    }
    for (size_t i = 0; m.n_classes && i < j->t->n_rows; i++) {
        if (!isnan(j->y[i])) {
            s->classes[(size_t)j->y[i]].rows++;
        }
    }
    return GY_OK;
}

/* ---- the table as a whole ---- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static gy_status count_duplicates(struct gy_survey_job *j, struct gy_err *err)
{
    size_t n = j->t->n_rows;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + 1, sizeof(uint64_t));
    if (!room) {
        return no_memory(err);
    }
    uint64_t *hashes = (uint64_t *)(void *)room;
    for (size_t i = 0; i < n; i++) {
        hashes[i] = gy_str_hash(j->t->records[i], 0);
    }
    qsort(hashes, n, sizeof *hashes, by_hash);
    for (size_t i = 1; i < n; i++) {
        j->s->n_duplicates += hashes[i] == hashes[i - 1];
    }
    return GY_OK;
}

static gy_status warn_of_use(struct gy_survey_job *j, enum gy_survey_use use, const char *what,
                             struct gy_err *err)
{
    char names[256];
    size_t n = 0, at = 0;
    names[0] = '\0';
    for (size_t i = 0; i < j->s->n_columns; i++) {
        const struct gy_surveyed *c = &j->s->columns[i];
        if (c->use != use) {
            continue;
        }
        if (at + c->column->name.n + 8 < sizeof names) {
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%" GY_STR_F, n ? ", " : "",
                                   GY_STR_A(c->column->name));
        } else if (at + 4 < sizeof names) {
            at += (size_t)snprintf(names + at, sizeof names - at, "...");
        }
        n++;
    }
    return n ? gy_survey_warn(j, err, "%zu column%s %s: %s", n, n == 1 ? "" : "s", what, names)
             : GY_OK;
}

static gy_status warn_of_target(struct gy_survey_job *j, struct gy_err *err)
{
    const struct gy_survey *s = j->s;
    size_t labelled = s->n_rows - s->n_unlabelled;
    size_t rarest = 0;
    for (size_t k = 1; k < s->n_classes; k++) {
        rarest = s->classes[k].rows < s->classes[rarest].rows ? k : rarest;
    }
    double share = s->n_classes ? (double)s->classes[rarest].rows / (double)labelled : 1;
    if (share < RARE_CLASS) {
        GY_TRY(gy_survey_warn(
            j, err,
            "%" GY_STR_F " %" GY_STR_F " is rare (%.1f %%, %zu rows): accuracy says little, "
            "look at %s",
            GY_STR_A(j->o->target), GY_STR_A(s->classes[rarest].name), 100 * share,
            s->classes[rarest].rows, s->task == GY_TASK_BINARY ? "recall, f1 and AUC" : "f1"));
    }
    if (s->n_unlabelled > 0) {
        GY_TRY(gy_survey_warn(j, err, "%zu rows have no '%" GY_STR_F "' and are not learnt from",
                              s->n_unlabelled, GY_STR_A(j->o->target)));
    }
    if (labelled < FEW_ROWS) {
        GY_TRY(gy_survey_warn(j, err, "%zu rows are few: every number will have a wide interval",
                              labelled));
    }
    return GY_OK;
}

static gy_status warn(struct gy_survey_job *j, struct gy_err *err)
{
    struct gy_survey *s = j->s;
    GY_TRY(warn_of_use(j, GY_USE_LEAK, "left out, saying what is to be predicted", err));
    GY_TRY(warn_of_target(j, err));
    if (s->n_duplicates > 0) {
        GY_TRY(gy_survey_warn(j, err,
                              "rows that repeat another one wholly: %zu (equal rows stay on one "
                              "side of the split)",
                              s->n_duplicates));
    }
    GY_TRY(warn_of_use(j, GY_USE_TEXT, "of text left out, learners take numbers", err));
    GY_TRY(warn_of_use(j, GY_USE_TIME, "of times left out, learners take numbers", err));
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct gy_surveyed *c = &s->columns[i];
        double share = (double)c->missing / (double)s->n_rows;
        if (c->use == GY_USE_INPUT && share > MOSTLY_MISSING) {
            GY_TRY(gy_survey_warn(j, err, "%" GY_STR_F " is missing in %.0f %% of the rows",
                                  GY_STR_A(c->column->name), 100 * share));
        }
    }
    return GY_OK;
}

/* ---- the whole ---- */

static const char *type_of(const struct gy_survey_job *j, const struct gy_table_column *c)
{
    const struct gy_column *known = j->o->schema ? gy_schema_column(j->o->schema, c->name) : NULL;
    return known                      ? gy_type_name(known->type)
           : c->numeric && c->integer ? "int"
           : c->numeric               ? "float"
                                      : "string";
}

static gy_status survey(struct gy_survey_job *j, struct gy_err *err)
{
    struct gy_survey *s = j->s;
    s->n_rows = j->t->n_rows;
    s->n_columns = j->t->n_columns;
    s->columns = gy_arena_calloc(&s->arena, s->n_columns, sizeof *s->columns);
    if (!s->columns) {
        return no_memory(err);
    }
    GY_TRY(check_names(j, err));
    GY_TRY(check_target(j, err));
    GY_TRY(read_target(j, err));
    for (size_t i = 0; i < s->n_columns; i++) {
        struct gy_surveyed *c = &s->columns[i];
        c->column = &j->t->columns[i];
        c->type = type_of(j, c->column);
        gy_survey_sort(j, c->column);
        GY_TRY(describe(j, c, err));
        GY_TRY(judge(j, c, err));
    }
    GY_TRY(gy_leaks_pairs(j, err));
    GY_TRY(count_duplicates(j, err));
    for (size_t i = 0; i < s->n_columns; i++) {
        s->n_inputs += s->columns[i].use == GY_USE_INPUT;
    }
    if (s->n_inputs == 0) {
        const struct gy_surveyed *c = &s->columns[s->columns == s->target ? s->n_columns - 1 : 0];
        gy_err_set(err, GY_E_INVALID,
                   "no column is left to learn from: %" GY_STR_F " (%" GY_STR_F ")%s",
                   GY_STR_A(c->column->name), GY_STR_A(c->why.p ? c->why : GY_STR("target")),
                   s->n_columns > 2 ? ", ..." : "");
        return gy_err_hint(err, gy_str_find_str(c->why, GY_STR("comma")) != SIZE_MAX
                                    ? "export the file with a decimal point: 3.14, not 3,14"
                                    : "--keep COLUMN keeps one that was left out by a guess");
    }
    return warn(j, err);
}

gy_status gy_survey(const struct gy_table *t, const struct gy_survey_options *o,
                    struct gy_survey *ret, struct gy_err *err)
{
    struct gy_survey_job j = {.t = t, .o = o, .s = ret};
    memset(ret, 0, sizeof *ret);
    gy_arena_init(&ret->arena, MAX_ARENA);
    j.y = gy_reallocarray(NULL, t->n_rows + 1, sizeof *j.y);
    j.cells = gy_reallocarray(NULL, t->n_rows + 1, sizeof *j.cells);
    gy_status status = j.y && j.cells ? survey(&j, err) : no_memory(err);
    gy_free(j.y);
    gy_free(j.cells);
    if (status != GY_OK) {
        gy_survey_done(ret);
    }
    return status;
}

void gy_survey_done(struct gy_survey *s)
{
    if (s) {
        gy_arena_done(&s->arena);
        s->n_columns = 0;
        s->columns = NULL;
    }
}

/* ---- as JSON ---- */

const char *gy_use_name(enum gy_survey_use use)
{
    static const char *const names[] = {"input",   "target", "id",   "empty", "constant",
                                        "counter", "leak",   "text", "time",  "dropped"};
    return names[use];
}

static void number_or_null(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

static void write_column(struct gy_jw *w, const struct gy_surveyed *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", c->column->name);
    gy_jw_kv_strc(w, "type", c->type);
    gy_jw_kv_i64(w, "missing", (int64_t)c->missing);
    gy_jw_kv_i64(w, "distinct", (int64_t)c->distinct);
    number_or_null(w, "min", c->min);
    number_or_null(w, "max", c->max);
    number_or_null(w, "mean", c->mean);
    gy_jw_kv_str(w, "common", c->common);
    gy_jw_kv_i64(w, "common_rows", (int64_t)c->n_common);
    gy_jw_kv_strc(w, "use", gy_use_name(c->use));
    gy_jw_kv_str(w, "why", c->why);
    gy_jw_obj_end(w);
}

void gy_survey_write(struct gy_jw *w, const struct gy_survey *s)
{
    gy_jw_kv_i64(w, "rows", (int64_t)s->n_rows);
    gy_jw_kv_i64(w, "duplicates", (int64_t)s->n_duplicates);
    gy_jw_kv_i64(w, "unlabelled", (int64_t)s->n_unlabelled);
    gy_jw_kv_str(w, "target", s->target->column->name);
    gy_jw_kv_strc(w, "task", gy_task_name(s->task));
    gy_jw_key(w, "classes");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_classes; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", s->classes[i].name);
        gy_jw_kv_i64(w, "rows", (int64_t)s->classes[i].rows);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "columns");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_columns; i++) {
        write_column(w, &s->columns[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "warnings");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_warnings; i++) {
        gy_jw_str(w, s->warnings[i]);
    }
    gy_jw_arr_end(w);
}
