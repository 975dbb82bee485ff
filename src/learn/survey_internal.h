/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_survey: survey.c fills the columns, leaks.c finds what says the target. */
#ifndef GY_LEARN_SURVEY_INTERNAL_H
#define GY_LEARN_SURVEY_INTERNAL_H

#include "learn/survey.h"

/* A row and its value: text (p, n) for columns of text, else num (NaN: missing). 24 bytes, because
 * qsort goes a detour for elements above 32. */
struct gy_survey_cell {
    double num;
    const char *p;
    uint32_t n, row;
};
static inline struct gy_str gy_survey_text(const struct gy_survey_cell *c)
{
    return gy_str_n(c->p, c->n);
}

struct gy_survey_job {
    const struct gy_table *t;
    const struct gy_survey_options *o;
    struct gy_survey *s;
    double *y;                    /* class index or value a row, NaN: no label */
    struct gy_survey_cell *cells; /* of the column at hand, sorted by value, missing ones last */
    size_t n_cells;               /* of them: with a value */
};

/* Fill cells from a column. */
void gy_survey_sort(struct gy_survey_job *j, const struct gy_table_column *c);
/* Do these sorted cells hold the same value? */
bool gy_survey_same(const struct gy_survey_cell *a, const struct gy_survey_cell *b);
/* Take a column out of the inputs, for a reason. */
GY_CHECKED gy_status gy_survey_exclude(struct gy_survey_job *j, struct gy_surveyed *c,
                                       enum gy_survey_use use, struct gy_err *err, const char *fmt,
                                       ...) GY_PRINTF(5, 6);
GY_CHECKED gy_status gy_survey_warn(struct gy_survey_job *j, struct gy_err *err, const char *fmt,
                                    ...) GY_PRINTF(3, 4);

/* Does the column at hand (its cells are sorted) say the target? */
GY_CHECKED gy_status gy_leaks_column(struct gy_survey_job *j, struct gy_surveyed *c,
                                     struct gy_err *err);
/* Do two inputs together: a + b, a - b or a * b? */
GY_CHECKED gy_status gy_leaks_pairs(struct gy_survey_job *j, struct gy_err *err);

#endif
