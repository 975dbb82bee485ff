/* SPDX-License-Identifier: Apache-2.0 */
/* gy_survey: what a careful person looks at before learning from a table: how each column is
 * filled, how the target is spread, and what would spoil a model unnoticed. It decides which
 * columns are inputs and says of every other one why not. Leaks are judged on the whole table,
 * held-out rows too: they only ever take columns away. Pure; the table must outlive the result. */
#ifndef GY_LEARN_SURVEY_H
#define GY_LEARN_SURVEY_H

#include "base/arena.h"
#include "learn/predictor.h"
#include "learn/table.h"

#define GY_SURVEY_MAX_WARNINGS 64 /* kept; all are counted */

struct gy_schema; /* data/schema.h */
struct gy_jw;

enum gy_survey_use {
    GY_USE_INPUT,
    GY_USE_TARGET,
    GY_USE_ID,       /* names the row */
    GY_USE_EMPTY,    /* without any value */
    GY_USE_CONSTANT, /* the same value in every row */
    GY_USE_COUNTER,  /* 1, 2, 3 ...: the row's place */
    GY_USE_LEAK,     /* says the target itself */
    GY_USE_TEXT,     /* learners take numbers */
    GY_USE_TIME,
    GY_USE_DROPPED, /* a person said so */
};

struct gy_surveyed {
    const struct gy_table_column *column;
    const char *type; /* int, float, bool, time, string */
    size_t missing, distinct;
    double min, max, mean; /* numeric; NaN without values */
    struct gy_str common;  /* the value that occurs most, absent without values */
    size_t n_common;
    enum gy_survey_use use;
    struct gy_str why; /* for people; absent for inputs */
};

struct gy_survey_class {
    struct gy_str name;
    size_t rows;
};

struct gy_survey {
    struct gy_arena arena;
    size_t n_rows, n_duplicates; /* duplicates: rows that repeat an earlier one wholly */
    struct gy_surveyed *columns; /* as in the table */
    size_t n_columns, n_inputs;
    const struct gy_surveyed *target;
    enum gy_task task;
    struct gy_survey_class *classes; /* of the target, in the order of the learners */
    size_t n_classes;
    size_t n_unlabelled;
    struct gy_str warnings[GY_SURVEY_MAX_WARNINGS]; /* sentences, the gravest first */
    size_t n_warnings;
};

struct gy_survey_options {
    struct gy_str target;
    bool has_task; /* else told from the target */
    enum gy_task task;
    const struct gy_schema *schema; /* MAY be NULL */
    const struct gy_str *drop;      /* columns that are no inputs */
    size_t n_drop;
    const struct gy_str *keep; /* columns that are inputs though they look like leaks or counters */
    size_t n_keep;
};

/* ret is initialised here; gy_survey_done frees. Fails: NOTFOUND (target, drop or keep name no
 * column; the nearest name is in the hint), INVALID (no row has a label; one class only; more text
 * classes than can be learnt; no input is left), NOMEM. */
GY_CHECKED gy_status gy_survey(const struct gy_table *t, const struct gy_survey_options *o,
                               struct gy_survey *ret, struct gy_err *err);
void gy_survey_done(struct gy_survey *s);
GY_DEFINE_AUTO_DONE(struct gy_survey, gy_survey_done);

const char *gy_use_name(enum gy_survey_use use); /* "input", "leak", ... */
/* {"rows":..,"columns":[..],"target":{..},"warnings":[..]} as members of an open object. */
void gy_survey_write(struct gy_jw *w, const struct gy_survey *s);

#endif
