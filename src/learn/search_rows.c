/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a search: which, in which folds, and as what each kind of learner gets them. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/split.h"
#include "learn/cells.h"
#include "learn/search_internal.h"

#define MAX_ARENA (256 * GY_MIB)
#define MIN_ROWS 10
#define FEW_ROWS 2000         /* 5 folds up to here */
#define MANY_ROWS 20000       /* 3 folds up to here, then one validation part */
#define VALIDATION_SHARE 0.25 /* of the rows searched on, when it is one part */
#define SAMPLE_SEED 0x5a3d1e  /* the three ways of dividing rows must not be one */
#define FOLD_SEED 0x7f0e2b
#define MAX_CELLS 20000000 /* values searched on: a wide table has a smaller sample */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a search");
}

/* A row that may be searched on, and what decides its fold. */
struct candidate {
    uint32_t row;
    double stratum; /* class; 0 for quantities */
    uint64_t hash;
    double time;
};

/* ---- which rows ---- */

/* What rows that belong together share: the text of the group, else the id, else the record. */
static struct gy_str key_of(const struct gy_search_data *d, const struct gy_table_column *group,
                            uint32_t row, char scratch[32])
{
    struct gy_str text = group ? gy_table_text(group, row, scratch) : GY_STR_NULL;
    return text.p ? text : gy_table_key(d->t, row);
}

static const struct gy_table_column *group_of(const struct gy_search_data *d)
{
    enum gy_holdout_by by = d->base->split.by;
    bool grouped = by == GY_HOLDOUT_GROUP || (by == GY_HOLDOUT_KFOLD && d->base->split.column.p);
    return grouped ? gy_table_column(d->t, d->base->split.column) : NULL;
}

static gy_status training_side(struct gy_search_data *d, bool *held_out, struct gy_err *err)
{
    struct gy_holdout h = d->base->split;
    h.seed = d->base->seed;
    h.share = d->base->holdout;
    GY_TRY(gy_holdout_fit(&h, d->t, err));
    return gy_holdout_rows(&h, d->t, held_out, err);
}

/* The labelled rows of the training side, at most about max of them. */
static gy_status choose(struct gy_search_data *d, size_t max, struct candidate *out, size_t *ret_n,
                        struct gy_err *err)
{
    const struct gy_table_column *group = group_of(d);
    size_t n = d->t->n_rows, kept = 0;
    GY_AUTO(gy_free) char *room = gy_malloc(n + 1);
    if (!room) {
        return no_memory(err);
    }
    bool *held_out = (bool *)(void *)room;
    GY_TRY(training_side(d, held_out, err));
    for (size_t i = 0; i < n; i++) {
        d->n_training += !held_out[i] && !isnan(d->y[i]);
    }
    double share = (double)max / (double)(d->n_training ? d->n_training : 1);
    for (size_t i = 0; i < n; i++) {
        char scratch[32];
        struct candidate c = {.row = (uint32_t)i};
        if (held_out[i] || isnan(d->y[i])) {
            continue;
        }
        struct gy_str key = key_of(d, group, c.row, scratch);
        if (share < 1) {
            GY_TRY(gy_split_hash(d->base->seed ^ SAMPLE_SEED, key, &c.hash, err));
            if (!gy_split_below(c.hash, share)) {
                continue;
            }
        }
        GY_TRY(gy_split_hash(d->base->seed ^ FOLD_SEED, key, &c.hash, err));
        c.stratum = d->host.model.task == GY_TASK_REGRESSION || group ? 0 : d->y[i];
        out[kept++] = c;
    }
    *ret_n = kept;
    return GY_OK;
}

/* ---- folds ---- */

static int by_stratum(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->stratum != y->stratum) {
        return x->stratum < y->stratum ? -1 : 1;
    }
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

static int by_time(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->time != y->time) {
        return x->time < y->time ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

/* Dealt out class by class in the order of their hashes, so that each class is spread evenly; rows
 * of equal hash (one group, equal records) stay together. */
static void deal(struct candidate *c, size_t n, size_t n_folds, uint8_t *fold_of)
{
    size_t turn = 0;
    qsort(c, n, sizeof *c, by_stratum);
    for (size_t i = 0; i < n; i++) {
        turn += i > 0 && c[i].hash != c[i - 1].hash;
        fold_of[c[i].row] = (uint8_t)(turn % n_folds);
    }
}

/* Later rows are validated by earlier ones: times do not come back. Rows of one moment stay
 * together. */
static gy_status by_moment(const struct gy_search_data *d, struct candidate *c, size_t n,
                           uint8_t *fold_of, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, d->t->n_rows + 1, sizeof(double));
    if (!room) {
        return no_memory(err);
    }
    double *times = (double *)(void *)room;
    GY_TRY(gy_holdout_times(d->t, d->base->split.column, times, err));
    for (size_t i = 0; i < n; i++) {
        double t = times[c[i].row];
        c[i].time = isnan(t) ? -INFINITY : t;
    }
    qsort(c, n, sizeof *c, by_time);
    double from = n ? c[(size_t)((1 - VALIDATION_SHARE) * (double)(n - 1))].time : 0;
    for (size_t i = 0; i < n; i++) {
        fold_of[c[i].row] = c[i].time > from ? 0 : 1;
    }
    return GY_OK;
}

static gy_status divide(struct gy_search_data *d, struct candidate *c, size_t n, uint8_t *fold_of,
                        struct gy_err *err)
{
    int asked = d->base->split.folds;
    d->n_folds = n <= FEW_ROWS ? 5 : n <= MANY_ROWS ? 3 : 1;
    if (d->base->split.by == GY_HOLDOUT_TIME) {
        d->n_folds = 1;
        return by_moment(d, c, n, fold_of, err);
    }
    if (d->base->split.by == GY_HOLDOUT_KFOLD && asked >= 2) {
        d->n_folds = asked < GY_SEARCH_MAX_FOLDS ? (size_t)asked : GY_SEARCH_MAX_FOLDS;
    }
    if (d->n_folds > 1) {
        deal(c, n, d->n_folds, fold_of);
        return GY_OK;
    }
    for (size_t i = 0; i < n; i++) {
        fold_of[c[i].row] = gy_split_below(c[i].hash, VALIDATION_SHARE) ? 0 : 1;
    }
    return GY_OK;
}

static int by_row(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

static gy_status filter(struct gy_search_data *d, struct gy_search_fold *f, struct gy_err *err)
{
    struct gy_row_filtered *filtered = NULL;
    size_t n_filtered = 0;
    struct gy_train_job j = {.t = d->t,
                             .p = d->base,
                             .ret = &d->host,
                             .y = d->y,
                             .train = f->train,
                             .n_train = f->n_train};
    if (d->base->n_filters == 0) {
        return GY_OK;
    }
    GY_TRY(gy_train_filter(&j, &filtered, &n_filtered, err));
    f->n_train = j.n_train;
    return GY_OK;
}

/* Put rows into the order of their folds, each fold in the order of the table; of few rows a fold
 * may get none and is left out. */
static gy_status order(struct gy_search_data *d, struct candidate *c, size_t n,
                       const uint8_t *fold_of, struct gy_err *err)
{
    size_t at = 0, kept = 0, parts = d->n_folds;
    qsort(c, n, sizeof *c, by_row);
    for (size_t part = 0; part <= parts; part++) {
        size_t first = at;
        for (size_t i = 0; i < n; i++) {
            if (fold_of[c[i].row] == part) {
                d->rows[at++] = c[i].row;
            }
        }
        if (part < parts) {
            d->n_validated = at;
            if (at > first && at - first < n) {
                d->folds[kept++] =
                    (struct gy_search_fold){.first = first, .n_validated = at - first};
            }
        }
    }
    d->n_folds = kept;
    d->n_rows = n;
    for (size_t f = 0; f < kept; f++) {
        struct gy_search_fold *fold = &d->folds[f];
        fold->train = gy_arena_calloc(&d->arena, n, sizeof *fold->train);
        if (!fold->train) {
            return no_memory(err);
        }
        for (size_t i = 0; i < n; i++) {
            if (i < fold->first || i >= fold->first + fold->n_validated) {
                fold->train[fold->n_train++] = d->rows[i];
            }
        }
        GY_TRY(filter(d, fold, err));
    }
    return GY_OK;
}

static gy_status check(const struct gy_search_data *d, struct gy_err *err)
{
    bool two = d->host.model.task == GY_TASK_REGRESSION;
    if (d->n_folds == 0 || d->n_rows < MIN_ROWS) {
        (void)gy_err_set(err, GY_E_INVALID, "%zu labelled training rows are too few to search on",
                         d->n_rows);
        return gy_err_hint(err, "take more rows");
    }
    for (size_t i = 1; i < d->n_validated && !two; i++) {
        two = d->y[d->rows[i]] != d->y[d->rows[0]];
    }
    return two ? GY_OK
               : gy_err_set(err, GY_E_INVALID,
                            "the rows to validate on hold one class only: too few rows to search");
}

gy_status gy_search_data_open(struct gy_search_data *d, const struct gy_table *t,
                              const struct gy_train_params *base, size_t max_rows,
                              struct gy_err *err)
{
    struct gy_model *m = &d->host.model;
    size_t n = 0;
    d->t = t;
    d->base = base;
    gy_arena_init(&d->arena, MAX_ARENA);
    gy_model_init(m);
    d->y = gy_arena_calloc(&d->arena, t->n_rows + 1, sizeof *d->y);
    d->rows = gy_arena_calloc(&d->arena, t->n_rows + 1, sizeof *d->rows);
    uint8_t *fold_of = gy_arena_calloc(&d->arena, t->n_rows + 1, 1);
    struct candidate *c = gy_arena_calloc(&d->arena, t->n_rows + 1, sizeof *c);
    if (!d->y || !d->rows || !fold_of || !c) {
        return no_memory(err);
    }
    GY_TRY(gy_train_columns(t, base, m, d->y, err));
    m->seed = base->seed;
    m->threshold = base->threshold;
    size_t most = MAX_CELLS / (m->n_inputs ? m->n_inputs : 1);
    GY_TRY(choose(d, max_rows < most ? max_rows : most, c, &n, err));
    GY_TRY(divide(d, c, n, fold_of, err));
    GY_TRY(order(d, c, n, fold_of, err));
    GY_TRY(check(d, err));
    d->n_out = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
    d->truth = gy_arena_calloc(&d->arena, d->n_validated, sizeof *d->truth);
    if (!d->truth) {
        return no_memory(err);
    }
    for (size_t i = 0; i < d->n_validated; i++) {
        d->truth[i] = d->y[d->rows[i]];
    }
    return GY_OK;
}

/* ---- views ---- */

static void view_done(struct gy_search_view *v)
{
    if (v->ready) {
        gy_features_done(&v->features);
    }
    gy_xgb_data_free(v->fitted);
    gy_xgb_data_free(v->validated);
    gy_free(v->x);
    gy_free(v->y);
    gy_free(v->weight);
    gy_free(v->validated_x);
    memset(v, 0, sizeof *v);
}

void gy_search_data_done(struct gy_search_data *d)
{
    for (size_t f = 0; d->t && f < GY_SEARCH_MAX_FOLDS; f++) {
        for (size_t k = 0; k < GY_SEARCH_VIEWS; k++) {
            view_done(&d->folds[f].views[k]);
        }
    }
    if (d->t) {
        gy_model_done(&d->host.model);
        gy_arena_done(&d->arena);
        d->t = NULL;
    }
}

/* n rows as raw cells; gy_free. */
static gy_status cells(struct gy_search_data *d, const uint32_t *rows, size_t n, size_t n_cells,
                       double **ret, struct gy_err *err)
{
    const struct gy_model *m = &d->host.model;
    double *x = gy_reallocarray(NULL, n + 1, n_cells * sizeof *x);
    gy_status status =
        x ? gy_cells_of_table(m->inputs, m->n_inputs, d->t, rows, n, x, err) : no_memory(err);
    if (status != GY_OK) {
        gy_free(x);
        return status;
    }
    *ret = x;
    return GY_OK;
}

/* Made-up rows of the rare classes, for the learner alone. */
static gy_status oversample(struct gy_search_data *d, struct gy_search_view *v, struct gy_err *err)
{
    struct gy_smote o = d->base->smote;
    double *x = NULL, *y = NULL;
    size_t n = 0;
    o.seed = d->base->seed;
    GY_TRY(gy_smote_rows(&o, v->x, v->y, v->n, v->features.n_out, d->host.model.n_classes, &x, &y,
                         &n, err));
    gy_free(v->x);
    gy_free(v->y);
    v->x = x;
    v->y = y;
    v->n = n;
    return GY_OK;
}

static gy_status fit_steps(struct gy_search_data *d, const struct gy_search_fold *f,
                           const struct gy_train_params *p, struct gy_search_view *v,
                           size_t *ret_n_cells, struct gy_err *err)
{
    struct gy_model *m = &d->host.model;
    struct gy_feature *columns = NULL;
    const struct gy_step_plan *plans = NULL;
    size_t n_plans = 0;
    double *raw = NULL;
    GY_TRY(gy_train_vocabularies(d->t, f->train, f->n_train, m, err));
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &d->arena, &columns, ret_n_cells, err));
    GY_TRY(gy_train_steps(p, &d->arena, &plans, &n_plans, err));
    GY_TRY(cells(d, f->train, f->n_train, *ret_n_cells, &raw, err));
    const struct gy_step_rows rows = {
        .x = raw, .n_rows = f->n_train, .y = v->y, .weight = v->weight, .seed = d->base->seed};
    gy_status status =
        gy_features_fit(&v->features, columns, *ret_n_cells, plans, n_plans, &rows, &v->x, err);
    gy_free(raw);
    return status;
}

/* Are they what this learner takes? */
static gy_status check_steps(struct gy_search_data *d, const struct gy_train_params *p,
                             const struct gy_search_view *v, struct gy_err *err)
{
    struct gy_model *m = &d->host.model;
    m->learner = p->learner;
    m->features = v->features;
    gy_status status = gy_train_check_features(m, err);
    gy_features_init(&m->features); /* they are the view's */
    return status;
}

static gy_status apply_steps(struct gy_search_data *d, const struct gy_search_fold *f,
                             struct gy_search_view *v, size_t n_cells, struct gy_err *err)
{
    double *raw = NULL;
    GY_AUTO(gy_free)
    char *scratch = gy_reallocarray(NULL, gy_features_scratch(&v->features, 1) + 1, sizeof(double));
    v->validated_x = gy_reallocarray(NULL, f->n_validated + 1, v->features.n_out * sizeof(double));
    if (!scratch || !v->validated_x) {
        return no_memory(err);
    }
    GY_TRY(cells(d, d->rows + f->first, f->n_validated, n_cells, &raw, err));
    for (size_t i = 0; i < f->n_validated; i++) {
        gy_features_apply(&v->features, raw + i * n_cells, 1,
                          v->validated_x + i * v->features.n_out, (double *)(void *)scratch);
    }
    gy_free(raw);
    return GY_OK;
}

static gy_status make_view(struct gy_search_data *d, const struct gy_search_fold *f,
                           const struct gy_train_params *p, struct gy_search_view *v,
                           struct gy_err *err)
{
    struct gy_train_job j = {.t = d->t,
                             .p = d->base,
                             .ret = &d->host,
                             .y = d->y,
                             .train = f->train,
                             .n_train = f->n_train};
    size_t n_cells = 0;
    gy_features_init(&v->features);
    v->ready = true; /* from here on view_done is needed */
    v->n = f->n_train;
    v->y = gy_reallocarray(NULL, v->n + 1, sizeof *v->y);
    if (!v->y) {
        return no_memory(err);
    }
    for (size_t i = 0; i < v->n; i++) {
        v->y[i] = d->y[f->train[i]];
    }
    GY_TRY(gy_train_weights(&j, &d->host.model, &v->weight, err));
    GY_TRY(fit_steps(d, f, p, v, &n_cells, err));
    GY_TRY(check_steps(d, p, v, err));
    GY_TRY(apply_steps(d, f, v, n_cells, err));
    return d->base->has_smote ? oversample(d, v, err) : GY_OK;
}

gy_status gy_search_view_of(struct gy_search_data *d, size_t fold, const struct gy_train_params *p,
                            struct gy_search_view **ret, struct gy_err *err)
{
    const struct gy_learner_ops *ops = gy_learner_get(p->learner);
    struct gy_search_fold *f = &d->folds[fold];
    bool scaled = p->scale.p ? !gy_str_eqc(p->scale, "none") : ops->scaled;
    struct gy_search_view *v = &f->views[(ops->complete ? 1 : 0) + (scaled ? 2 : 0)];
    if (!v->ready) {
        gy_status status = make_view(d, f, p, v, err);
        if (status != GY_OK) {
            view_done(v);
            return status;
        }
    }
    *ret = v;
    return GY_OK;
}

static gy_status as_floats(const double *x, const double *y, const double *weight, size_t n,
                           size_t width, int n_threads, struct gy_xgb_data **ret,
                           struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n + 1, (width + 2) * sizeof(float));
    if (!room) {
        return no_memory(err);
    }
    float *to = (float *)(void *)room;
    float *labels = to + n * width, *weights = labels + n;
    for (size_t i = 0; i < n * width; i++) {
        to[i] = (float)x[i];
    }
    for (size_t i = 0; y && i < n; i++) {
        labels[i] = (float)y[i];
        weights[i] = weight ? (float)weight[i] : 1;
    }
    const struct gy_xgb_matrix m = {.x = to,
                                    .n_rows = n,
                                    .n_features = width,
                                    .y = y ? labels : NULL,
                                    .weight = weight ? weights : NULL};
    return gy_xgb_data_new(&m, n_threads, ret, err);
}

gy_status gy_search_view_xgb(struct gy_search_data *d, size_t fold, struct gy_search_view *v,
                             struct gy_err *err)
{
    size_t width = v->features.n_out;
    if (!v->fitted) {
        GY_TRY(as_floats(v->x, v->y, v->weight, v->n, width, d->base->n_threads, &v->fitted, err));
    }
    return v->validated ? GY_OK
                        : as_floats(v->validated_x, NULL, NULL, d->folds[fold].n_validated, width,
                                    d->base->n_threads, &v->validated, err);
}
