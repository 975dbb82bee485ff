/* SPDX-License-Identifier: Apache-2.0 */
/* gy_features: what happens to the raw cells of a row before the learner sees them: a list of
 * steps, each a vtable (learn/steps/). Fitted on training rows only, kept in model.json, applied at
 * training and at serving by the same functions, so the two can not drift apart. Immutable once
 * fitted; any number of threads apply.
 *
 * A raw cell is a double: a number; a text's index in its input's vocabulary (GY_CELL_UNSEEN when
 * it is not in there), or its hash; a time in seconds since 1970 UTC; NaN = missing. */
#ifndef GY_LEARN_FEATURES_H
#define GY_LEARN_FEATURES_H

#include "base/arena.h"
#include "base/json.h"
#include "base/limits.h"
#include "learn/settings.h"

#define GY_FEATURES_MAX_STEPS 64
#define GY_FEATURES_MAX 65536 /* values a row at any point of the list */
#define GY_CELL_UNSEEN (-1.0) /* a text that training has not seen */

enum gy_feature_kind {
    GY_FEATURE_NUMBER,
    GY_FEATURE_CATEGORY, /* a whole number that names one of `values`; no order, no distance */
    GY_FEATURE_HASHED,   /* a text's hash, 0 .. 2^52 */
    GY_FEATURE_TIME,     /* seconds since 1970 UTC */
    GY_FEATURE_PIXEL     /* of an image, 0 .. 255 */
};

/* One value of a row, before a step or after it. */
struct gy_feature {
    struct gy_str name; /* "HR", "season=2", "wght^2", "wght*year" */
    enum gy_feature_kind kind;
    const struct gy_str *values; /* CATEGORY: the vocabulary, by index */
    size_t n_values;
};

struct gy_step;

/* What a step is fitted on: training rows as the steps before it left them. */
struct gy_step_rows {
    const double *x; /* n_rows x step->n_in, row-major, NaN = missing */
    size_t n_rows;
    const double *y;      /* class index or value; n_rows */
    const double *weight; /* n_rows; NULL: all 1 */
    uint64_t seed;
};

/* What a step is, apart from an instance of it. */
struct gy_step_ops {
    uint32_t version; /* 1 */
    const char *name; /* in params.yaml and model.json */
    const char *summary;
    const struct gy_setting_spec *settings; /* the first is what `name: VALUE` sets; MAY be NULL */
    /* Columns it works on when none are named. MAY be NULL: all of them. */
    bool (*takes)(const struct gy_feature *column);
    /* Columns it can work on when they are named. MAY be NULL: what it takes. */
    bool (*can)(const struct gy_feature *column);
    /* Set step->self (in the arena), n_out and out of step->in, step->chosen, step->settings and
     * the rows. Fails: INVALID naming the column, NOMEM. */
    gy_status (*fit)(struct gy_step *step, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err);
    /* n_rows rows; MUST NOT allocate and can not fail. in and out may be the same memory where
     * in_place holds and n_out == n_in; else they do not overlap. */
    void (*apply)(const struct gy_step *step, const double *in, size_t n_rows, double *out);
    bool in_place; /* while n_out == n_in, value i of a row depends on value i alone */
    /* The fitted state as members of an open object; read gives it back with the same bits. */
    void (*write)(struct gy_jw *w, const struct gy_step *step);
    gy_status (*read)(struct gy_step *step, yyjson_val *v, struct gy_arena *a, struct gy_err *err);
};

struct gy_step {
    const struct gy_step_ops *ops;
    struct gy_settings settings;
    size_t n_in, n_out;
    const struct gy_feature *in; /* n_in */
    struct gy_feature *out;      /* n_out */
    const uint32_t *chosen;      /* the columns of `in` it works on, ascending */
    size_t n_chosen;
    void *self; /* fitted */
};

/* A step that is asked for and not fitted yet. */
struct gy_step_plan {
    const struct gy_step_ops *ops;
    struct gy_settings settings;
    const struct gy_str *columns; /* names, or "name=" / "name*" for all that begins so */
    size_t n_columns;             /* 0: what the step takes by itself */
};

struct gy_features {
    struct gy_arena arena;
    struct gy_step *steps;
    size_t n_steps;
    const struct gy_feature *in; /* the raw cells */
    const struct gy_feature *out;
    size_t n_in, n_out;
    size_t widest; /* values a row between two steps */
};

void gy_features_init(struct gy_features *f); /* no step, no column */
/* No step yet, room for n_steps; cells are copied. f was initialised. Fails: TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_features_empty(struct gy_features *f, const struct gy_feature *cells,
                                       size_t n_cells, size_t n_steps, struct gy_err *err);
void gy_features_done(struct gy_features *f);
GY_DEFINE_AUTO_DONE(struct gy_features, gy_features_done);

/* The steps there are, NULL-terminated; the one of a name, NULL when there is none. */
extern const struct gy_step_ops *const gy_steps[];
const struct gy_step_ops *gy_step_find(struct gy_str name);

/* `steps:` of params.yaml: a list whose items are a name, {name: main setting} or {name: {setting:
 * value, columns: [..]}}. Plans live in the arena. Fails: INVALID with name:line, NOMEM. */
GY_CHECKED gy_status gy_steps_read(const struct gy_yaml *y, const struct gy_yaml_node *list,
                                   struct gy_arena *a, struct gy_step_plan **ret, size_t *ret_n,
                                   struct gy_err *err);

/* Fit the plans one after the other. cells: n_cells, copied; rows->x is n_rows x n_cells. f was
 * initialised. *ret_x (gy_free) gets the rows after the last step; ret_x MAY be NULL. Fails:
 * INVALID (an infinite value, a column that a step can not take), NOTFOUND (a column named that is
 * not there), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_features_fit(struct gy_features *f, const struct gy_feature *cells,
                                     size_t n_cells, const struct gy_step_plan *plans,
                                     size_t n_plans, const struct gy_step_rows *rows,
                                     double **ret_x, struct gy_err *err);

/* in: n_rows x n_in; out: n_rows x n_out. scratch: gy_features_scratch values of double; NULL when
 * that is 0. in and out may be the same memory when every step is in place (and n_in == n_out). */
void gy_features_apply(const struct gy_features *f, const double *in, size_t n_rows, double *out,
                       double *scratch);
size_t gy_features_scratch(const struct gy_features *f, size_t n_rows);
bool gy_features_is_identity(const struct gy_features *f);
/* The index of an output; SIZE_MAX when there is none of that name. */
size_t gy_features_find(const struct gy_features *f, struct gy_str name);
/* Does some step fill in missing values of every column? */
bool gy_features_impute(const struct gy_features *f);

/* The list of steps as an array, and back. Reading: n_cells raw columns as given. */
void gy_features_write(struct gy_jw *w, const struct gy_features *f);
GY_CHECKED gy_status gy_features_read(struct gy_features *f, yyjson_val *array,
                                      const struct gy_feature *cells, size_t n_cells,
                                      struct gy_err *err);
/* The form of gyre.model/1: an array with one object an input. Only where gy_features_is_simple:
 * at most an impute step and then a zscore step, of all columns. */
bool gy_features_is_simple(const struct gy_features *f);
void gy_features_write_simple(struct gy_jw *w, const struct gy_features *f);
GY_CHECKED gy_status gy_features_read_simple(struct gy_features *f, yyjson_val *array,
                                             const struct gy_feature *cells, size_t n_cells,
                                             struct gy_err *err);

#endif
