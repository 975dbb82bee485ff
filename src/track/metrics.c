/* SPDX-License-Identifier: Apache-2.0 */
#include "track/metrics.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "store/scope.h"

gy_status gy_metric_check(const struct gy_metric *m, const char *path, struct gy_err *err)
{
    char where[64];
    snprintf(where, sizeof where, "%s%sname", path, path[0] ? "." : "");
    GY_TRY(gy_track_check_key(m->key, where, err));
    if (m->ts_ms < 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid value %lld for parameter '%s%stimestamp' supplied: metric "
                          "'%" GY_STR_F "' (value=%g). Timestamp must be a nonnegative long "
                          "(64-bit integer) ",
                          (long long)m->ts_ms, path, path[0] ? "." : "",
                          GY_STR_A(gy_str_sub(m->key, 0, 250)), m->value);
    }
    GY_TRY(gy_track_check_length(m->dataset_name, 500, "dataset_name", err));
    GY_TRY(gy_track_check_length(m->dataset_digest, 36, "dataset_digest", err));
    return gy_track_check_length(m->key, GY_TRACK_MAX_KEY, "Metric name", err);
}

static double stored_value(double v)
{
    if (isnan(v)) {
        return 0.0;
    }
    if (isinf(v)) {
        return v > 0 ? DBL_MAX : -DBL_MAX;
    }
    return v == 0 ? 0.0 : v; /* one zero: -0.0 equals it in the database */
}

/* ---- writing: a few statements, however many points ---- */

/* A key of the batch: its number, its greatest point, its least step and the time of that, and how
 * many steps it has (-1: times do not rise with steps). */
struct batch_key {
    struct gy_str name;
    int64_t id; /* 0: not known yet */
    const struct gy_metric *latest;
    int64_t first_step, first_ms, n_steps;
    bool back; /* a later step has an earlier time */
};

/* A point of the batch with its key, sorted into the order in which it is stored. */
struct batch_point {
    const struct gy_metric *m;
    struct batch_key *key;
};

struct batch {
    struct gy_db *db;
    int64_t run;
    struct batch_point *points;
    size_t n_points;
    struct batch_key *keys;
    size_t n_keys;
    struct gy_val *vals; /* room for the parameters of any statement below */
};

#define POINT_COLUMNS 6
#define LATEST_COLUMNS 9
#define MODEL_COLUMNS 9
#define NAMES 16 /* names that are looked up by one statement */

static bool is_later(const struct gy_metric *m, const struct gy_metric *than)
{
    if (m->step != than->step) {
        return m->step > than->step;
    }
    if (m->ts_ms != than->ts_ms) {
        return m->ts_ms > than->ts_ms;
    }
    return stored_value(m->value) >= stored_value(than->value);
}

static int by_key_and_step(const void *a, const void *b)
{
    const struct batch_point *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    if (x->m->step != y->m->step) {
        return x->m->step < y->m->step ? -1 : 1;
    }
    return x->m->ts_ms < y->m->ts_ms ? -1 : x->m->ts_ms > y->m->ts_ms;
}

/* Sort the points to their keys, and sum each key up. */
static gy_status gather(struct batch *b, const struct gy_metric *metrics, size_t n,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_map_done) struct gy_map seen;
    gy_map_init(&seen, n);
    for (size_t i = 0; i < n; i++) {
        struct batch_key *k = gy_map_get(&seen, metrics[i].key);
        if (!k) {
            k = &b->keys[b->n_keys++];
            *k = (struct batch_key){.name = metrics[i].key};
            GY_TRY(gy_map_put(&seen, metrics[i].key, k, err));
        }
        if (!k->latest || is_later(&metrics[i], k->latest)) {
            k->latest = &metrics[i];
        }
        b->points[b->n_points++] = (struct batch_point){&metrics[i], k};
    }
    qsort(b->points, n, sizeof *b->points, by_key_and_step);
    for (size_t i = 0; i < n; i++) {
        struct batch_point *p = &b->points[i];
        bool first = i == 0 || p[-1].key != p->key;
        if (first) {
            p->key->first_step = p->m->step;
            p->key->first_ms = p->m->ts_ms;
        }
        p->key->back = p->key->back || (!first && p[-1].m->ts_ms > p->m->ts_ms);
        p->key->n_steps += first || p[-1].m->step != p->m->step;
    }
    return GY_OK;
}

/* The numbers of keys [at, at + NAMES) that are known; *ret_missing counts the others. */
static gy_status find_keys(struct batch *b, size_t at, size_t *ret_missing, struct gy_err *err)
{
    struct gy_val names[NAMES];
    size_t n = b->n_keys - at < NAMES ? b->n_keys - at : NAMES;
    for (size_t i = 0; i < NAMES; i++) {
        names[i] = gy_vs(b->keys[at + (i < n ? i : 0)].name);
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(b->db,
                       "SELECT id, name FROM metric_keys WHERE name IN (?, ?, ?, ?, ?, ?, ?, ?, "
                       "?, ?, ?, ?, ?, ?, ?, ?)",
                       names, NAMES, &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        struct gy_str name = gy_col_str(st, 1);
        for (size_t i = 0; i < n; i++) {
            struct batch_key *k = &b->keys[at + i];
            if (gy_str_eq(k->name, name)) {
                k->id = gy_col_i64(st, 0);
                break;
            }
        }
    }
    *ret_missing = 0;
    for (size_t i = 0; i < n; i++) {
        *ret_missing += b->keys[at + i].id == 0;
    }
    return GY_OK;
}

static gy_status number_keys(struct batch *b, struct gy_err *err)
{
    for (size_t at = 0; at < b->n_keys; at += NAMES) {
        size_t missing = 0, n = 0;
        GY_TRY(find_keys(b, at, &missing, err));
        if (missing == 0) {
            continue;
        }
        struct gy_val names[NAMES];
        for (size_t i = at; i < b->n_keys && i < at + NAMES; i++) {
            if (b->keys[i].id == 0) {
                names[n++] = gy_vs(b->keys[i].name);
            }
        }
        GY_TRY(gy_db_exec_many(b->db,
                               "INSERT INTO metric_keys (name) VALUES (?) ON CONFLICT DO NOTHING",
                               names, 1, n, NULL, err));
        GY_TRY(find_keys(b, at, &missing, err));
        if (missing > 0) {
            return gy_err_set(err, GY_E_CORRUPT, "a metric's name was not stored");
        }
    }
    return GY_OK;
}

static gy_status put_points(struct batch *b, struct gy_err *err)
{
    struct gy_val *v = b->vals;
    for (size_t i = 0; i < b->n_points; i++) {
        const struct gy_metric *m = b->points[i].m;
        *v++ = gy_vi(b->run);
        *v++ = gy_vi(b->points[i].key->id);
        *v++ = gy_vi(m->step);
        *v++ = gy_vi(m->ts_ms);
        *v++ = gy_vf(stored_value(m->value));
        *v++ = gy_vi(isnan(m->value) != 0);
    }
    return gy_db_exec_many(b->db,
                           "INSERT INTO metrics (run, key, step, ts_ms, value, is_nan) VALUES (?, "
                           "?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                           b->vals, POINT_COLUMNS, b->n_points, NULL, err);
}

/* How many steps there are stays known while steps and times come in order; a batch that begins at
 * the last known step brings all but that one. */
#define LATER                                                                   \
    "(excluded.step, excluded.ts_ms, excluded.value) >= (latest_metrics.step, " \
    "latest_metrics.ts_ms, latest_metrics.value)"
#define TAKE(column) \
    column " = CASE WHEN " LATER " THEN excluded." column " ELSE latest_metrics." column " END, "
#define LEAST(column)                                                           \
    column " = CASE WHEN excluded." column " < latest_metrics." column " THEN " \
           "excluded." column " ELSE latest_metrics." column " END, "
static const char g_put_latest[] =
    "INSERT INTO latest_metrics (run, key, step, ts_ms, value, is_nan, first_step, first_ms, "
    "n_steps) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, key) DO UPDATE SET " TAKE("step")
        TAKE("ts_ms") TAKE("value") TAKE("is_nan") LEAST("first_step")
            LEAST("first_ms") "n_steps = CASE WHEN latest_metrics.n_steps < 0 OR excluded.n_steps "
                              "< 0 OR excluded.first_step < "
                              "latest_metrics.step OR excluded.first_ms < latest_metrics.ts_ms "
                              "THEN -1 WHEN "
                              "excluded.first_step = latest_metrics.step THEN "
                              "latest_metrics.n_steps + excluded.n_steps - 1 "
                              "ELSE latest_metrics.n_steps + excluded.n_steps END";

static gy_status put_latest(struct batch *b, struct gy_err *err)
{
    struct gy_val *v = b->vals;
    for (size_t i = 0; i < b->n_keys; i++) {
        const struct batch_key *k = &b->keys[i];
        *v++ = gy_vi(b->run);
        *v++ = gy_vi(k->id);
        *v++ = gy_vi(k->latest->step);
        *v++ = gy_vi(k->latest->ts_ms);
        *v++ = gy_vf(stored_value(k->latest->value));
        *v++ = gy_vi(isnan(k->latest->value) != 0);
        *v++ = gy_vi(k->first_step);
        *v++ = gy_vi(k->first_ms);
        *v++ = gy_vi(k->back ? -1 : k->n_steps);
    }
    return gy_db_exec_many(b->db, g_put_latest, b->vals, LATEST_COLUMNS, b->n_keys, NULL, err);
}

/* ---- points of logged models ---- */

static gy_status need_model(struct gy_db *db, struct gy_str id, struct gy_err *err)
{
    bool found = false;
    int64_t one = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM logged_models WHERE id = ? AND workspace_id = ?",
                         GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &found, &one, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "Logged model with ID '%" GY_STR_F "' not found.",
                          GY_STR_A(gy_str_sub(id, 0, 100)));
    }
    return GY_OK;
}

static gy_status put_model_points(struct batch *b, struct gy_str run_id, struct gy_err *err)
{
    const struct gy_str none = GY_STR("");
    struct gy_val *v = b->vals;
    struct gy_str checked = GY_STR_NULL;
    size_t n = 0;
    for (size_t i = 0; i < b->n_points; i++) {
        const struct gy_metric *m = b->points[i].m;
        if (m->model_id.n == 0) {
            continue;
        }
        if (!gy_str_eq(checked, m->model_id)) {
            GY_TRY(need_model(b->db, m->model_id, err));
            checked = m->model_id;
        }
        *v++ = gy_vs(m->model_id);
        *v++ = gy_vs(m->key);
        *v++ = gy_vi(m->ts_ms);
        *v++ = gy_vi(m->step);
        *v++ = gy_vs(run_id);
        *v++ = gy_vs(m->dataset_name.p ? m->dataset_name : none);
        *v++ = gy_vs(m->dataset_digest.p ? m->dataset_digest : none);
        *v++ = gy_vf(stored_value(m->value));
        *v++ = gy_vi(isnan(m->value) != 0);
        n++;
    }
    return gy_db_exec_many(
        b->db,
        "INSERT INTO logged_model_metrics (model_id, key, ts_ms, step, run_id, dataset_name, "
        "dataset_digest, value, is_nan) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        b->vals, MODEL_COLUMNS, n, NULL, err);
}

gy_status gy_metrics_log(struct gy_db *db, int64_t run_seq, struct gy_str run_id,
                         const struct gy_metric *metrics, size_t n, struct gy_err *err)
{
    if (n == 0) {
        return GY_OK;
    }
    GY_AUTO(gy_free) char *points = gy_calloc(n, sizeof(struct batch_point));
    GY_AUTO(gy_free) char *keys = gy_calloc(n, sizeof(struct batch_key));
    GY_AUTO(gy_free) char *vals = gy_calloc(n * MODEL_COLUMNS, sizeof(struct gy_val));
    struct batch b = {
        .db = db,
        .run = run_seq,
        .points = (struct batch_point *)(void *)points,
        .keys = (struct batch_key *)(void *)keys,
        .vals = (struct gy_val *)(void *)vals,
    };
    if (!points || !keys || !vals) {
        return gy_track_nomem(err);
    }
    GY_TRY(gather(&b, metrics, n, err));
    GY_TRY(number_keys(&b, err));
    GY_TRY(put_points(&b, err));
    GY_TRY(put_latest(&b, err));
    return put_model_points(&b, run_id, err);
}

/* ---- reading ---- */

gy_status gy_metrics_of_model(struct gy_db *db, struct gy_str model_id, struct gy_arena *a,
                              struct gy_metric **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT key, value, is_nan, ts_ms, step, run_id, dataset_name, "
                       "dataset_digest FROM logged_model_metrics WHERE model_id = ? ORDER BY key, "
                       "ts_ms, step",
                       GY_VALS(gy_vs(model_id)), &st, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_metric), err));
        struct gy_metric *m = &((struct gy_metric *)items)[n];
        /* The points repeat the key: keep one copy. */
        struct gy_str key = gy_col_str(st, 0);
        m->key = n > 0 && gy_str_eq(m[-1].key, key) ? m[-1].key : gy_arena_str(a, key);
        if (!m->key.p) {
            return gy_track_nomem(err);
        }
        m->value = gy_col_i64(st, 2) ? NAN : gy_col_f64(st, 1);
        m->ts_ms = gy_col_i64(st, 3);
        m->step = gy_col_i64(st, 4);
        m->run_id = gy_col_dup(st, 5, a);
        m->dataset_name = gy_col_dup(st, 6, a);
        m->dataset_digest = gy_col_dup(st, 7, a);
        n++;
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
