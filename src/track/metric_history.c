/* SPDX-License-Identifier: Apache-2.0 */
/* Histories of metrics: pages, several runs, and samples of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "track/metrics.h"
#include "track/page.h"

#define CHUNK 64 /* steps that are looked up by one statement */

static gy_status key_number(struct gy_db *db, struct gy_str key, int64_t *ret, struct gy_err *err)
{
    bool found = false;
    *ret = -1; /* of no metric */
    return gy_db_get_i64(db, "SELECT id FROM metric_keys WHERE name = ?", GY_VALS(gy_vs(key)),
                         &found, ret, err);
}

/* Columns ts_ms, step, value, is_nan. */
static struct gy_metric read_point(struct gy_stmt *st, struct gy_str key)
{
    return (struct gy_metric){
        .key = key,
        .ts_ms = gy_col_i64(st, 0),
        .step = gy_col_i64(st, 1),
        .value = gy_col_i64(st, 3) ? NAN : gy_col_f64(st, 2),
    };
}

/* ---- pages ---- */

static void history_sort(struct gy_sort *sort)
{
    gy_sort_add(sort, "ts_ms", GY_VAL_INT, false);
    gy_sort_add(sort, "step", GY_VAL_INT, false);
    gy_sort_add(sort, "value", GY_VAL_REAL, false);
    gy_sort_add(sort, "is_nan", GY_VAL_INT, false);
}

#define POINTS "SELECT ts_ms, step, value, is_nan FROM metrics WHERE run = ? AND key = ? "

/* Where steps and times came in order, the order by step, which is how points are stored, is the
 * order by time. Else they are sorted: for each page anew. */
static gy_status in_order(struct gy_db *db, int64_t run, int64_t key, bool *ret, struct gy_err *err)
{
    int64_t n_steps = -1;
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT n_steps FROM latest_metrics WHERE run = ? AND key = ?",
                         GY_VALS(gy_vi(run), gy_vi(key)), &found, &n_steps, err));
    *ret = n_steps >= 0;
    return GY_OK;
}

static gy_status history_query(struct gy_db *db, int64_t run, int64_t key,
                               const struct gy_val *after, int64_t limit, struct gy_stmt **ret,
                               struct gy_err *err)
{
    bool by_step = false;
    GY_TRY(in_order(db, run, key, &by_step, err));
    if (!after) {
        return gy_db_query(db,
                           by_step ? POINTS "ORDER BY step, ts_ms, value, is_nan LIMIT ?"
                                   : POINTS "ORDER BY ts_ms, step, value, is_nan LIMIT ?",
                           GY_VALS(gy_vi(run), gy_vi(key), gy_vi(limit)), ret, err);
    }
    return gy_db_query(db,
                       by_step ? POINTS "AND (step, ts_ms, value, is_nan) > (?, ?, ?, ?) ORDER BY "
                                        "step, ts_ms, value, is_nan LIMIT ?"
                               : POINTS "AND (ts_ms, step, value, is_nan) > (?, ?, ?, ?) ORDER BY "
                                        "ts_ms, step, value, is_nan LIMIT ?",
                       GY_VALS(gy_vi(run), gy_vi(key), after[by_step ? 1 : 0],
                               after[by_step ? 0 : 1], after[2], after[3], gy_vi(limit)),
                       ret, err);
}

gy_status gy_metrics_history(struct gy_db *db, int64_t run_seq, struct gy_str key, int64_t max,
                             struct gy_str page_token, struct gy_arena *a, gy_metric_fn fn,
                             void *ctx, struct gy_str *ret_token, struct gy_err *err)
{
    struct gy_sort sort = {.n = 0};
    struct gy_page page;
    char run[32];
    int64_t id = 0;
    *ret_token = GY_STR_NULL;
    snprintf(run, sizeof run, "%lld", (long long)run_seq);
    history_sort(&sort);
    const struct gy_str parts[] = {GY_STR("history"), gy_str_c(run), key};
    GY_TRY(gy_page_open(db, &sort, parts, 3, page_token, a, &page, err));
    GY_TRY(key_number(db, key, &id, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(history_query(db, run_seq, id, page.after, max + 1, &st, err));
    struct gy_val *last = NULL;
    for (int64_t n = 0;; n++) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (n == max) {
            return gy_page_token(&page, &sort, last, a, ret_token, err);
        }
        if (n + 1 == max) {
            GY_TRY(gy_sort_read(st, 0, &sort, a, &last, err));
        }
        struct gy_metric m = read_point(st, key);
        GY_TRY(fn(ctx, &m, err));
    }
}

gy_status gy_metrics_bulk(struct gy_db *db, const struct gy_metric_run *runs, size_t n,
                          struct gy_str key, int64_t max, gy_metric_fn fn, void *ctx,
                          struct gy_err *err)
{
    int64_t id = 0;
    GY_TRY(key_number(db, key, &id, err));
    for (size_t i = 0; i < n && max > 0; i++) {
        GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
        GY_TRY(history_query(db, runs[i].seq, id, NULL, max, &st, err));
        for (;;) {
            bool row = false;
            GY_TRY(gy_stmt_step(st, &row, err));
            if (!row) {
                break;
            }
            struct gy_metric m = read_point(st, key);
            m.run_id = runs[i].id;
            max--;
            GY_TRY(fn(ctx, &m, err));
        }
    }
    return GY_OK;
}

/* ---- samples ---- */

/* The different steps of some histories: intervals without gaps, or (where a history has gaps, or
 * nobody knows) a list of all. */
struct interval {
    int64_t first, last;
};
struct steps {
    struct interval *intervals; /* apart, ascending */
    size_t n_intervals;
    int64_t *list; /* ascending, without repetition; NULL: the intervals count */
    size_t n_list, cap_list;
    int64_t *picked;
    size_t n_picked, cap_picked;
};

static void steps_done(struct steps *s)
{
    gy_free(s->intervals);
    gy_free(s->list);
    gy_free(s->picked);
}
GY_DEFINE_AUTO_DONE(struct steps, steps_done);

static gy_status push(int64_t **list, size_t *n, size_t *cap, int64_t v, struct gy_err *err)
{
    if (*n == *cap) {
        if (*n >= GY_METRICS_MAX_STEPS) {
            return gy_err_set(err, GY_E_TOOBIG, "these histories have more than %d different steps",
                              GY_METRICS_MAX_STEPS);
        }
        size_t bigger = *cap ? 2 * *cap : 1024;
        int64_t *grown = gy_realloc(*list, bigger * sizeof **list);
        if (!grown) {
            return gy_track_nomem(err);
        }
        *list = grown;
        *cap = bigger;
    }
    (*list)[(*n)++] = v;
    return GY_OK;
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int by_first(const void *a, const void *b)
{
    return by_value(&((const struct interval *)a)->first, &((const struct interval *)b)->first);
}

static size_t unique(int64_t *list, size_t n)
{
    size_t kept = 0;
    if (n == 0) {
        return 0; /* the list may be none */
    }
    qsort(list, n, sizeof *list, by_value);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || list[kept - 1] != list[i]) {
            list[kept++] = list[i];
        }
    }
    return kept;
}

static size_t unite(struct interval *list, size_t n)
{
    size_t kept = 0;
    qsort(list, n, sizeof *list, by_first);
    for (size_t i = 0; i < n; i++) {
        struct interval *last = kept ? &list[kept - 1] : NULL;
        if (last && list[i].first <= last->last) {
            last->last = list[i].last > last->last ? list[i].last : last->last;
        } else {
            list[kept++] = list[i];
        }
    }
    return kept;
}

/* First and last step of each run into s->picked; *ret_dense: no history has a gap. */
static gy_status read_ends(struct gy_db *db, const struct gy_metric_run *runs, size_t n,
                           int64_t key, struct steps *s, bool *ret_dense, struct gy_err *err)
{
    s->intervals = gy_calloc(n + 1, sizeof *s->intervals);
    if (!s->intervals) {
        return gy_track_nomem(err);
    }
    *ret_dense = true;
    for (size_t i = 0; i < n; i++) {
        GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
        GY_TRY(gy_db_query(db,
                           "SELECT CASE WHEN n_steps >= 0 THEN first_step ELSE (SELECT MIN(step) "
                           "FROM metrics WHERE run = ? AND key = ?) END, step, n_steps FROM "
                           "latest_metrics WHERE run = ? AND key = ?",
                           GY_VALS(gy_vi(runs[i].seq), gy_vi(key), gy_vi(runs[i].seq), gy_vi(key)),
                           &st, err));
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            continue;
        }
        struct interval *x = &s->intervals[s->n_intervals++];
        *x = (struct interval){gy_col_i64(st, 0), gy_col_i64(st, 1)};
        uint64_t span =
            (uint64_t)x->last - (uint64_t)x->first; /* wraps only where it can not fit */
        *ret_dense = *ret_dense && span < INT64_MAX && gy_col_i64(st, 2) == (int64_t)span + 1;
        GY_TRY(push(&s->picked, &s->n_picked, &s->cap_picked, x->first, err));
        GY_TRY(push(&s->picked, &s->n_picked, &s->cap_picked, x->last, err));
    }
    return GY_OK;
}

static gy_status read_list(struct gy_db *db, const struct gy_metric_run *runs, size_t n,
                           int64_t key, const struct gy_metric_range *range, struct steps *s,
                           struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
        GY_TRY(gy_db_query(
            db,
            "SELECT DISTINCT step FROM metrics WHERE run = ? AND key = ? AND step "
            ">= ? AND step <= ? ORDER BY step",
            GY_VALS(gy_vi(runs[i].seq), gy_vi(key), gy_vi(range->start), gy_vi(range->end)), &st,
            err));
        for (;;) {
            bool row = false;
            GY_TRY(gy_stmt_step(st, &row, err));
            if (!row) {
                break;
            }
            GY_TRY(push(&s->list, &s->n_list, &s->cap_list, gy_col_i64(st, 0), err));
        }
    }
    s->n_list = n > 1 ? unique(s->list, s->n_list) : s->n_list;
    return GY_OK;
}

/* Cut the intervals to the range. */
static void clip(struct steps *s, const struct gy_metric_range *range)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_intervals; i++) {
        struct interval x = s->intervals[i];
        x.first = x.first < range->start ? range->start : x.first;
        x.last = x.last > range->end ? range->end : x.last;
        if (x.first <= x.last) {
            s->intervals[kept++] = x;
        }
    }
    s->n_intervals = unite(s->intervals, kept);
}

static int64_t count(const struct steps *s)
{
    int64_t n = (int64_t)s->n_list;
    for (size_t i = 0; i < s->n_intervals; i++) {
        n += s->intervals[i].last - s->intervals[i].first + 1;
    }
    return n;
}

static int64_t step_at(const struct steps *s, int64_t i)
{
    if (s->list) {
        return s->list[i];
    }
    size_t at = 0;
    while (i > s->intervals[at].last - s->intervals[at].first) {
        i -= s->intervals[at].last - s->intervals[at].first + 1;
        at++;
    }
    return s->intervals[at].first + i;
}

static gy_status pick(struct steps *s, const struct gy_metric_range *range, int64_t max,
                      struct gy_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_picked; i++) {
        if (s->picked[i] >= range->start && s->picked[i] <= range->end) {
            s->picked[kept++] = s->picked[i];
        }
    }
    s->n_picked = kept;
    int64_t n = count(s);
    double apart = n <= max ? 1 : (double)n / (double)max;
    for (int64_t i = 0; i < (n <= max ? n : max); i++) {
        int64_t at = (int64_t)((double)i * apart);
        if (at < n) {
            GY_TRY(push(&s->picked, &s->n_picked, &s->cap_picked, step_at(s, at), err));
        }
    }
    if (n > 0) {
        GY_TRY(push(&s->picked, &s->n_picked, &s->cap_picked, step_at(s, n - 1), err));
    }
    s->n_picked = unique(s->picked, s->n_picked);
    return GY_OK;
}

#define Q8 "?, ?, ?, ?, ?, ?, ?, ?"

/* All points of one run on the picked steps. */
static gy_status points_on(struct gy_db *db, const struct gy_metric_run *run, int64_t key,
                           struct gy_str name, const struct steps *s, gy_metric_fn fn, void *ctx,
                           struct gy_err *err)
{
    int64_t left = GY_METRICS_MAX_SAMPLED;
    for (size_t at = 0; at < s->n_picked && left > 0; at += CHUNK) {
        struct gy_val vals[CHUNK + 3] = {gy_vi(run->seq), gy_vi(key)};
        for (size_t i = 0; i < CHUNK; i++) {
            size_t of = at + i < s->n_picked ? at + i : s->n_picked - 1;
            vals[2 + i] = gy_vi(s->picked[of]);
        }
        vals[CHUNK + 2] = gy_vi(left);
        GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
        GY_TRY(gy_db_query(db,
                           "SELECT ts_ms, step, value, is_nan FROM metrics WHERE run = ? AND key = "
                           "? AND step IN (" Q8 ", " Q8 ", " Q8 ", " Q8 ", " Q8 ", " Q8 ", " Q8
                           ", " Q8 ") ORDER BY step, ts_ms, value, is_nan LIMIT ?",
                           vals, CHUNK + 3, &st, err));
        for (;;) {
            bool row = false;
            GY_TRY(gy_stmt_step(st, &row, err));
            if (!row) {
                break;
            }
            struct gy_metric m = read_point(st, name);
            m.run_id = run->id;
            left--;
            GY_TRY(fn(ctx, &m, err));
        }
    }
    return GY_OK;
}

gy_status gy_metrics_sample(struct gy_db *db, const struct gy_metric_run *runs, size_t n,
                            struct gy_str key, struct gy_metric_range range, int64_t max,
                            gy_metric_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(steps_done) struct steps s = {NULL};
    int64_t id = 0;
    bool dense = false;
    GY_TRY(key_number(db, key, &id, err));
    GY_TRY(read_ends(db, runs, n, id, &s, &dense, err));
    if (s.n_intervals == 0) {
        return GY_OK;
    }
    if (!range.given) {
        range.start = 0;
        range.end = s.intervals[0].last;
        for (size_t i = 1; i < s.n_intervals; i++) {
            range.end = s.intervals[i].last > range.end ? s.intervals[i].last : range.end;
        }
    }
    if (dense) {
        clip(&s, &range);
    } else {
        s.n_intervals = 0;
        GY_TRY(read_list(db, runs, n, id, &range, &s, err));
    }
    GY_TRY(pick(&s, &range, max, err));
    for (size_t i = 0; i < n && s.n_picked > 0; i++) {
        GY_TRY(points_on(db, &runs[i], id, key, &s, fn, ctx, err));
    }
    return GY_OK;
}
