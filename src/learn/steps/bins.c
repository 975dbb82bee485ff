/* SPDX-License-Identifier: Apache-2.0 */
/* bins: a quantity becomes the number of its range: 0 below the first edge, 1 from it on, ... The
 * edges are given, equally wide or equally full; as scikit-learn's KBinsDiscretizer (ordinal). */
#include <math.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

#define MAX_BINS 1000
#define SAME_EDGE 1e-8 /* quantiles nearer than this are one edge */

struct bins {
    double **edges; /* beside step->chosen: the inner edges, ascending */
    size_t *n_edges;
};

static const char *const g_by[] = {"quantile", "width", NULL};

static gy_status given_edges(const struct gy_step *s, double *edges, size_t *ret_n,
                             struct gy_err *err)
{
    struct gy_str text = gy_setting_text(&s->settings, "edges");
    struct gy_str item;
    size_t n = 0;
    while (gy_setting_next(&text, &item)) {
        if (n == MAX_BINS || gy_parse_f64(item, &edges[n], NULL) != GY_OK ||
            (n > 0 && !(edges[n] > edges[n - 1]))) {
            return gy_err_set(err, GY_E_INVALID,
                              "step 'bins': edges must be ascending numbers, at most %d", MAX_BINS);
        }
        n++;
    }
    *ret_n = n;
    return GY_OK;
}

/* v: n sorted values. */
static size_t fitted_edges(const struct gy_step *s, const double *v, size_t n, double *edges)
{
    size_t n_bins = (size_t)gy_setting_whole(&s->settings, "bins");
    bool quantile = gy_str_eqc(gy_setting_text(&s->settings, "by"), "quantile");
    size_t kept = 0;
    if (n == 0 || v[0] == v[n - 1]) {
        return 0; /* a constant: one bin */
    }
    double before = v[0];
    double width = (v[n - 1] - v[0]) / (double)n_bins;
    for (size_t i = 1; i < n_bins; i++) {
        double edge = quantile ? gy_step_quantile(v, n, (double)i / (double)n_bins)
                               : (double)i * width + v[0];
        if (!quantile || edge - before > SAME_EDGE) {
            edges[kept++] = edge;
            before = edge;
        }
    }
    if (quantile && kept > 0 && !(v[n - 1] - before > SAME_EDGE)) {
        kept--; /* the last edge is the greatest value: nothing beyond it */
    }
    return kept;
}

static struct bins *new_self(const struct gy_step *s, struct gy_arena *a)
{
    struct bins *m = gy_arena_calloc(a, 1, sizeof *m);
    if (m) {
        m->edges = gy_arena_calloc(a, s->n_chosen + 1, sizeof *m->edges);
        m->n_edges = gy_arena_calloc(a, s->n_chosen + 1, sizeof *m->n_edges);
    }
    return m && m->edges && m->n_edges ? m : NULL;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct bins *m = new_self(s, a);
    double edges[MAX_BINS + 1];
    size_t n_edges = 0;
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, rows->n_rows + 1, sizeof(double));
    double *v = (double *)(void *)room;
    bool given = gy_setting_given(&s->settings, "edges");
    if (!m || !room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    if (given) {
        GY_TRY(given_edges(s, edges, &n_edges, err));
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        size_t n = 0;
        GY_TRY(gy_step_present(s, rows, s->chosen[k], v, &n, err));
        if (!given) {
            gy_step_sort(v, n);
            n_edges = fitted_edges(s, v, n, edges);
        }
        m->edges[k] = gy_arena_calloc(a, n_edges + 1, sizeof(double));
        if (!m->edges[k]) {
            return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
        }
        memcpy(m->edges[k], edges, n_edges * sizeof *edges);
        m->n_edges[k] = n_edges;
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

/* How many edges are <= v. */
static double bin_of(const double *edges, size_t n, double v)
{
    size_t low = 0, high = n;
    if (isnan(v)) {
        return v;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (edges[mid] <= v) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return (double)low;
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct bins *m = s->self;
    gy_step_copy(s, in, n_rows, out);
    for (size_t r = 0; r < n_rows; r++, out += s->n_out) {
        for (size_t k = 0; k < s->n_chosen; k++) {
            out[s->chosen[k]] = bin_of(m->edges[k], m->n_edges[k], out[s->chosen[k]]);
        }
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct bins *m = s->self;
    gy_jw_key(w, "bins");
    gy_jw_arr(w);
    for (size_t k = 0; k < s->n_chosen; k++) {
        gy_jw_obj(w);
        gy_step_write_numbers(w, "edges", m->edges[k], m->n_edges[k]);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status read_edges(struct bins *m, size_t k, yyjson_val *v, struct gy_arena *a,
                            struct gy_err *err)
{
    m->n_edges[k] = yyjson_arr_size(gy_json_get(v, "edges"));
    GY_TRY(gy_step_read_numbers(v, "edges", m->n_edges[k], a, &m->edges[k], err));
    for (size_t i = 1; i < m->n_edges[k]; i++) {
        if (!(m->edges[k][i] > m->edges[k][i - 1])) {
            return gy_err_set(err, GY_E_CORRUPT, "the edges of bins must ascend");
        }
    }
    return GY_OK;
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct bins *m = new_self(s, a);
    yyjson_val *array = NULL;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_arr(v, "bins", &array, err));
    if (yyjson_arr_size(array) != s->n_chosen) {
        return gy_err_set(err, GY_E_CORRUPT, "there must be bins for every column");
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        GY_TRY(read_edges(m, k, yyjson_arr_get(array, k), a, err));
    }
    s->self = m;
    return gy_step_number_outputs(s, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"bins", GY_SETTING_WHOLE, 2, MAX_BINS, "5", NULL, "how many"},
    {"by", GY_SETTING_WORD, 0, 0, "quantile", g_by, "equally full or equally wide"},
    {"edges", GY_SETTING_LIST, -1e300, 1e300, NULL, NULL, "the inner edges, instead"},
    {0}};

const struct gy_step_ops gy_step_bins = {.version = 1,
                                         .name = "bins",
                                         .summary = "ranges of a quantity, numbered from 0",
                                         .settings = g_settings,
                                         .takes = gy_step_takes_numbers,
                                         .can = gy_step_can_measure,
                                         .fit = fit,
                                         .apply = apply,
                                         .in_place = true,
                                         .write = write,
                                         .read = read};
