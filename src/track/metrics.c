/* SPDX-License-Identifier: Apache-2.0 */
#include "track/metrics.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

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

static double shown_value(struct gy_stmt *st, int value, int is_nan)
{
    return gy_col_i64(st, is_nan) ? NAN : gy_col_f64(st, value);
}

static gy_status key_id(struct gy_db *db, struct gy_str key, int64_t *ret, struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM metric_keys WHERE name = ?", GY_VALS(gy_vs(key)),
                         &found, ret, err));
    if (!found) {
        GY_TRY(gy_db_exec(db, "INSERT INTO metric_keys (name) VALUES (?)", GY_VALS(gy_vs(key)),
                          NULL, err));
        *ret = gy_db_last_id(db);
    }
    return GY_OK;
}

static gy_status put_latest(struct gy_db *db, int64_t run, int64_t key, const struct gy_metric *m,
                            struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO latest_metrics (run, key, step, ts_ms, value, is_nan) VALUES (?, ?, ?, ?, ?, "
        "?) ON CONFLICT (run, key) DO UPDATE SET step = excluded.step, ts_ms = excluded.ts_ms, "
        "value = excluded.value, is_nan = excluded.is_nan WHERE (excluded.step, excluded.ts_ms, "
        "excluded.value) >= (latest_metrics.step, latest_metrics.ts_ms, latest_metrics.value)",
        GY_VALS(gy_vi(run), gy_vi(key), gy_vi(m->step), gy_vi(m->ts_ms),
                gy_vf(stored_value(m->value)), gy_vi(isnan(m->value) != 0)),
        NULL, err);
}

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

static gy_status put_model_point(struct gy_db *db, struct gy_str run_id, const struct gy_metric *m,
                                 struct gy_err *err)
{
    bool found = false;
    int64_t one = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM logged_models WHERE id = ? AND workspace_id = ?",
                         GY_VALS(gy_vs(m->model_id), gy_vs(gy_db_workspace(db))), &found, &one,
                         err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "Logged model with ID '%" GY_STR_F "' not found.",
                          GY_STR_A(gy_str_sub(m->model_id, 0, 100)));
    }
    struct gy_str none = GY_STR("");
    return gy_db_exec(
        db,
        "INSERT INTO logged_model_metrics (model_id, key, ts_ms, step, run_id, dataset_name, "
        "dataset_digest, value, is_nan) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        GY_VALS(gy_vs(m->model_id), gy_vs(m->key), gy_vi(m->ts_ms), gy_vi(m->step), gy_vs(run_id),
                gy_vs(m->dataset_name.p ? m->dataset_name : none),
                gy_vs(m->dataset_digest.p ? m->dataset_digest : none),
                gy_vf(stored_value(m->value)), gy_vi(isnan(m->value) != 0)),
        NULL, err);
}

static gy_status put_point(struct gy_db *db, int64_t run, int64_t key, struct gy_str run_id,
                           const struct gy_metric *m, struct gy_err *err)
{
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO metrics (run, key, ts_ms, step, value, is_nan) VALUES (?, ?, ?, "
                      "?, ?, ?) ON CONFLICT DO NOTHING",
                      GY_VALS(gy_vi(run), gy_vi(key), gy_vi(m->ts_ms), gy_vi(m->step),
                              gy_vf(stored_value(m->value)), gy_vi(isnan(m->value) != 0)),
                      NULL, err));
    return m->model_id.n > 0 ? put_model_point(db, run_id, m, err) : GY_OK;
}

/* A key of the batch: its number, and its greatest point. */
struct batch_key {
    int64_t id;
    const struct gy_metric *latest;
};

gy_status gy_metrics_log(struct gy_db *db, int64_t run_seq, struct gy_str run_id,
                         const struct gy_metric *metrics, size_t n, struct gy_err *err)
{
    if (n == 0) {
        return GY_OK;
    }
    if (n == 1) {
        int64_t key = 0;
        GY_TRY(key_id(db, metrics[0].key, &key, err));
        GY_TRY(put_point(db, run_seq, key, run_id, &metrics[0], err));
        return put_latest(db, run_seq, key, &metrics[0], err);
    }
    GY_AUTO_DONE(gy_map_done) struct gy_map seen;
    gy_map_init(&seen, n);
    GY_AUTO(gy_free) char *memory = gy_calloc(n, sizeof(struct batch_key));
    struct batch_key *keys = (struct batch_key *)(void *)memory;
    size_t n_keys = 0;
    if (!keys) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        struct batch_key *k = gy_map_get(&seen, metrics[i].key);
        if (!k) {
            k = &keys[n_keys++];
            GY_TRY(key_id(db, metrics[i].key, &k->id, err));
            GY_TRY(gy_map_put(&seen, metrics[i].key, k, err));
        }
        if (!k->latest || is_later(&metrics[i], k->latest)) {
            k->latest = &metrics[i];
        }
        GY_TRY(put_point(db, run_seq, k->id, run_id, &metrics[i], err));
    }
    for (size_t i = 0; i < n_keys; i++) {
        GY_TRY(put_latest(db, run_seq, keys[i].id, keys[i].latest, err));
    }
    return GY_OK;
}

/* ---- reading ---- */

/* Rows of (key, value, is_nan, ts_ms, step[, run_id, dataset_name, dataset_digest]). */
static gy_status read_points(struct gy_stmt *st, bool of_model, struct gy_arena *a,
                             struct gy_metric **ret, size_t *ret_n, struct gy_err *err)
{
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
        /* The points of a model repeat the key: keep one copy. */
        struct gy_str key = gy_col_str(st, 0);
        m->key = n > 0 && gy_str_eq(m[-1].key, key) ? m[-1].key : gy_arena_str(a, key);
        if (!m->key.p) {
            return gy_track_nomem(err);
        }
        m->value = shown_value(st, 1, 2);
        m->ts_ms = gy_col_i64(st, 3);
        m->step = gy_col_i64(st, 4);
        if (of_model) {
            m->run_id = gy_col_dup(st, 5, a);
            m->dataset_name = gy_col_dup(st, 6, a);
            m->dataset_digest = gy_col_dup(st, 7, a);
        }
        n++;
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_metrics_latest(struct gy_db *db, int64_t run_seq, struct gy_arena *a,
                            struct gy_metric **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT k.name, l.value, l.is_nan, l.ts_ms, l.step FROM latest_metrics l "
                       "JOIN metric_keys k ON k.id = l.key WHERE l.run = ? ORDER BY k.name",
                       GY_VALS(gy_vi(run_seq)), &st, err));
    return read_points(st, false, a, ret, ret_n, err);
}

gy_status gy_metrics_history(struct gy_db *db, int64_t run_seq, struct gy_str key, int64_t max,
                             struct gy_str page_token, struct gy_arena *a, gy_metric_fn fn,
                             void *ctx, struct gy_str *ret_token, struct gy_err *err)
{
    int64_t offset = 0;
    *ret_token = GY_STR_NULL;
    GY_TRY(gy_track_page_offset(page_token, &offset, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db,
        "SELECT m.value, m.is_nan, m.ts_ms, m.step FROM metrics m WHERE m.run = ? AND m.key = "
        "(SELECT id FROM metric_keys WHERE name = ?) ORDER BY m.ts_ms, m.step, m.value, m.is_nan "
        "LIMIT ? OFFSET ?",
        GY_VALS(gy_vi(run_seq), gy_vs(key), gy_vi(max > 0 ? max + 1 : INT64_MAX), gy_vi(offset)),
        &st, err));
    for (int64_t n = 0;; n++) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (max > 0 && n == max) {
            return gy_track_page_token(a, offset + max, ret_token, err);
        }
        struct gy_metric m = {
            .key = key,
            .value = shown_value(st, 0, 1),
            .ts_ms = gy_col_i64(st, 2),
            .step = gy_col_i64(st, 3),
        };
        GY_TRY(fn(ctx, &m, err));
    }
}

gy_status gy_metrics_of_model(struct gy_db *db, struct gy_str model_id, struct gy_arena *a,
                              struct gy_metric **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT key, value, is_nan, ts_ms, step, run_id, dataset_name, "
                       "dataset_digest FROM logged_model_metrics WHERE model_id = ? ORDER BY key, "
                       "ts_ms, step",
                       GY_VALS(gy_vs(model_id)), &st, err));
    return read_points(st, true, a, ret, ret_n, err);
}
