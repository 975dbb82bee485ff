/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/smote.h"

#include <math.h>

#include "base/id.h"
#include "base/mem.h"

#define MAX_ROWS ((size_t)1 << 27)

struct near {
    double distance;
    uint32_t row;
};

struct work {
    const struct gy_smote *o;
    const double *x, *y;
    size_t n, d;
    size_t *counts; /* of each class */
    uint32_t *rare; /* rows of the class at hand */
    size_t n_rare;
    struct near *nearest; /* k of one row */
    double *out_x, *out_y;
    size_t n_out;
};

static double distance(const struct work *w, uint32_t a, uint32_t b, double at_most)
{
    const double *p = w->x + a * w->d;
    const double *q = w->x + b * w->d;
    double sum = 0;
    for (size_t i = 0; i < w->d && sum <= at_most; i++) {
        sum += (p[i] - q[i]) * (p[i] - q[i]);
    }
    return sum;
}

/* The k nearest of the same class, the nearest first, of equal ones the earlier row; returns how
 * many there are. */
static size_t neighbours(struct work *w, uint32_t of)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_rare; i++) {
        uint32_t row = w->rare[i];
        double worst = n == w->o->k ? w->nearest[n - 1].distance : INFINITY;
        double d = row == of ? INFINITY : distance(w, of, row, worst);
        if (row == of || (n == w->o->k && !(d < worst))) {
            continue;
        }
        size_t at = n < w->o->k ? n++ : n - 1;
        while (at > 0 && w->nearest[at - 1].distance > d) {
            w->nearest[at] = w->nearest[at - 1];
            at--;
        }
        w->nearest[at] = (struct near){.distance = d, .row = row};
    }
    return n;
}

/* Rows are taken in turns, so that each has nearly as many children as any other. */
static void make_rows(struct work *w, size_t wanted, size_t class)
{
    struct gy_rng r;
    gy_rng_init_stream(&r, w->o->seed, class);
    for (size_t made = 0, i = 0; made < wanted; i++) {
        size_t left = w->n_rare - i % w->n_rare;
        uint32_t row = w->rare[i % w->n_rare];
        size_t children = (wanted - made) / left;
        /* what does not divide evenly goes to the rows drawn for it */
        children += gy_rng_below(&r, left) < (wanted - made) % left;
        size_t n = children ? neighbours(w, row) : 0;
        for (size_t c = 0; c < children; c++, made++) {
            const double *a = w->x + row * w->d;
            const double *b = w->x + w->nearest[gy_rng_below(&r, n)].row * w->d;
            double part = gy_rng_f64(&r);
            double *to = w->out_x + w->n_out * w->d;
            for (size_t k = 0; k < w->d; k++) {
                to[k] = a[k] + part * (b[k] - a[k]);
            }
            w->out_y[w->n_out++] = (double)class;
        }
    }
}

static gy_status count(struct work *w, size_t n_classes, size_t *ret_most, struct gy_err *err)
{
    for (size_t i = 0; i < w->n * w->d; i++) {
        if (!isfinite(w->x[i])) {
            (void)gy_err_set(err, GY_E_INVALID, "smote can not use missing or infinite values");
            return gy_err_hint(err, "impute them: train: {impute: median}");
        }
    }
    for (size_t i = 0; i < w->n; i++) {
        w->counts[(size_t)w->y[i]]++;
    }
    *ret_most = 0;
    for (size_t c = 0; c < n_classes; c++) {
        *ret_most = w->counts[c] > *ret_most ? w->counts[c] : *ret_most;
    }
    return GY_OK;
}

static gy_status check_class(const struct work *w, size_t class, struct gy_err *err)
{
    if (w->counts[class] == 1) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "smote needs two rows of a class, class %zu has one to train on", class);
        return gy_err_hint(err, "class_weight: balanced works with one");
    }
    if (w->counts[class] > GY_SMOTE_MAX_RARE) {
        (void)gy_err_set(err, GY_E_TOOBIG, "smote: class %zu has %zu rows; at most %d", class,
                         w->counts[class], GY_SMOTE_MAX_RARE);
        return gy_err_hint(err, "a class this large needs no made-up rows: class_weight: balanced");
    }
    return GY_OK;
}

static gy_status oversample(struct work *w, size_t n_classes, struct gy_err *err)
{
    size_t most = 0, n = w->n;
    GY_TRY(count(w, n_classes, &most, err));
    size_t want = (size_t)floor(w->o->ratio * (double)most);
    for (size_t c = 0; c < n_classes; c++) {
        bool rare = w->counts[c] > 0 && w->counts[c] < want;
        if (rare) {
            GY_TRY(check_class(w, c, err));
            n += want - w->counts[c];
        }
    }
    if (n > MAX_ROWS) {
        return gy_err_set(err, GY_E_TOOBIG, "smote would make %zu rows", n);
    }
    w->out_x = gy_reallocarray(NULL, n, w->d * sizeof(double));
    w->out_y = gy_reallocarray(NULL, n, sizeof(double));
    if (!w->out_x || !w->out_y) {
        return gy_err_set(err, GY_E_NOMEM, "smote");
    }
    memcpy(w->out_x, w->x, w->n * w->d * sizeof(double));
    memcpy(w->out_y, w->y, w->n * sizeof(double));
    w->n_out = w->n;
    for (size_t c = 0; c < n_classes; c++) {
        w->n_rare = 0;
        if (w->counts[c] == 0 || w->counts[c] >= want) {
            continue;
        }
        for (size_t i = 0; i < w->n; i++) {
            if ((size_t)w->y[i] == c) {
                w->rare[w->n_rare++] = (uint32_t)i;
            }
        }
        make_rows(w, want - w->counts[c], c);
    }
    return GY_OK;
}

gy_status gy_smote_rows(const struct gy_smote *o, const double *x, const double *y, size_t n_rows,
                        size_t n_features, size_t n_classes, double **ret_x, double **ret_y,
                        size_t *ret_n, struct gy_err *err)
{
    struct work w = {.o = o, .x = x, .y = y, .n = n_rows, .d = n_features};
    w.counts = gy_calloc(n_classes + 1, sizeof *w.counts);
    w.rare = gy_reallocarray(NULL, n_rows + 1, sizeof *w.rare);
    w.nearest = gy_calloc(o->k + 1, sizeof *w.nearest);
    gy_status status = w.counts && w.rare && w.nearest ? oversample(&w, n_classes, err)
                                                       : gy_err_set(err, GY_E_NOMEM, "smote");
    gy_free(w.counts);
    gy_free(w.rare);
    gy_free(w.nearest);
    if (status != GY_OK) {
        gy_free(w.out_x);
        gy_free(w.out_y);
        return status;
    }
    *ret_x = w.out_x;
    *ret_y = w.out_y;
    *ret_n = w.n_out;
    return GY_OK;
}
