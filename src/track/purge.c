/* SPDX-License-Identifier: Apache-2.0 */
#include "track/purge.h"

#include <stdio.h>

#include "base/limits.h"
#include "store/events.h"
#include "store/scope.h"
#include "track/artifacts.h"

/* Deleted before ?, in the workspace ?; each query adds who of them others stand on. */
#define DELETED_RUNS \
    " FROM runs r WHERE r.workspace_id = ? AND r.deleted = 1 AND COALESCE(r.deleted_us, 0) < ?"
#define RUN_IS_NEEDED                                                                      \
    "(EXISTS (SELECT 1 FROM model_versions v WHERE v.run_id = r.id AND v.deleted = 0) OR " \
    "EXISTS (SELECT 1 FROM endpoint_revisions e WHERE e.run_id = r.id))"
#define DELETED_MODELS                                                      \
    " FROM logged_models r WHERE r.workspace_id = ? AND r.deleted = 1 AND " \
    "COALESCE(r.deleted_us, 0) < ?"
#define MODEL_IS_NEEDED \
    "EXISTS (SELECT 1 FROM model_versions v WHERE v.logged_model_id = r.id AND v.deleted = 0)"
#define EMPTY_EXPERIMENTS                                                       \
    " FROM experiments e WHERE e.workspace_id = ? AND e.deleted = 1 AND "       \
    "COALESCE(e.deleted_us, 0) < ? AND NOT EXISTS (SELECT 1 FROM runs r WHERE " \
    "r.experiment_id = e.id"
/* The key of import_items begins with the import: named, it is looked up and not searched for. */
#define FORGET_ITEM(kind)                                                                         \
    "DELETE FROM import_items WHERE import_id IN (SELECT id FROM imports) AND kind = '" kind "' " \
    "AND id = ?"

/* One thing to purge. */
struct item {
    int64_t seq; /* of a run */
    struct gy_str id, uri;
};

static gy_status run_each(struct gy_db *db, const char *const *statements, size_t n,
                          struct gy_val id, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_db_exec(db, statements[i], &id, 1, NULL, err));
    }
    return GY_OK;
}

/* ---- artifacts ---- */

/* All below a path: "path/" up to, not including, "path0" ('0' follows '/'). */
static gy_status range_of(struct gy_str path, struct gy_arena *a, struct gy_str *ret_from,
                          struct gy_str *ret_to, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_ARTIFACT_MAX_PATH + 16);
    gy_buf_addf(&text, "%" GY_STR_F "/", GY_STR_A(path));
    *ret_from = text.failed == GY_OK ? gy_arena_str(a, gy_buf_str(&text)) : GY_STR_NULL;
    gy_buf_reset(&text);
    gy_buf_addf(&text, "%" GY_STR_F "0", GY_STR_A(path));
    *ret_to = text.failed == GY_OK ? gy_arena_str(a, gy_buf_str(&text)) : GY_STR_NULL;
    return ret_from->p && ret_to->p ? GY_OK : gy_track_nomem(err);
}

static gy_status count_artifacts(struct gy_db *db, struct gy_str uri, struct gy_arena *a,
                                 struct gy_purge_counts *counts, struct gy_err *err)
{
    struct gy_str path = gy_artifact_path_of_uri(uri, a), from, to;
    if (path.n == 0) { /* it lies elsewhere: not ours to remove */
        return GY_OK;
    }
    GY_TRY(range_of(path, a, &from, &to, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM artifacts WHERE "
                       "workspace_id = ? AND path >= ? AND path < ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(from), gy_vs(to)), &st, err));
    bool row;
    GY_TRY(gy_stmt_step(st, &row, err));
    counts->artifacts += gy_col_i64(st, 0);
    counts->artifact_bytes += gy_col_i64(st, 1);
    return GY_OK;
}

static gy_status purge_artifacts(struct gy_db *db, struct gy_str uri, struct gy_arena *a,
                                 struct gy_purge_counts *counts, struct gy_err *err)
{
    struct gy_str path = gy_artifact_path_of_uri(uri, a), from, to;
    GY_TRY(count_artifacts(db, uri, a, counts, err));
    if (path.n == 0) {
        return GY_OK;
    }
    GY_TRY(range_of(path, a, &from, &to, err));
    return gy_db_exec(db, "DELETE FROM artifacts WHERE workspace_id = ? AND path >= ? AND path < ?",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(from), gy_vs(to)), NULL, err);
}

/* ---- runs, logged models, experiments ---- */

/* The first rows of a query with columns seq, id, uri. */
static gy_status read_items(struct gy_db *db, const char *sql, int64_t before_us, size_t max,
                            struct gy_arena *a, struct item **ret, size_t *ret_n,
                            struct gy_err *err)
{
    struct item *items = gy_arena_calloc(a, max + 1, sizeof *items);
    if (!items) {
        return gy_track_nomem(err);
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql,
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(before_us), gy_vi((int64_t)max)),
                       &st, err));
    for (*ret_n = 0;; ++*ret_n) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            *ret = items;
            return GY_OK;
        }
        struct item *i = &items[*ret_n];
        i->seq = gy_col_i64(st, 0);
        GY_TRY(gy_col_copy(st, 1, a, &i->id, err));
        GY_TRY(gy_col_copy(st, 2, a, &i->uri, err));
    }
}

static gy_status tell(struct gy_db *db, const char *kind, const char *node, struct gy_str id,
                      struct gy_str actor, struct gy_err *err)
{
    char subject[512];
    (void)snprintf(subject, sizeof subject, "%s:%.256s", node, id.p);
    return gy_event_add(db, kind, gy_str_c(subject), actor, GY_STR("{}"), err);
}

static gy_status purge_run(struct gy_db *db, const struct item *i, struct gy_str actor,
                           struct gy_arena *a, struct gy_purge_counts *counts, struct gy_err *err)
{
    static const char *const by_seq[] = {
        "DELETE FROM metrics WHERE run = ?",        "DELETE FROM latest_metrics WHERE run = ?",
        "DELETE FROM run_params WHERE run = ?",     "DELETE FROM run_tags WHERE run = ?",
        "DELETE FROM run_input_tags WHERE run = ?", "DELETE FROM run_inputs WHERE run = ?",
        "DELETE FROM run_models WHERE run = ?",     "DELETE FROM runs WHERE seq = ?",
    };
    GY_TRY(purge_artifacts(db, i->uri, a, counts, err));
    GY_TRY(run_each(db, by_seq, sizeof by_seq / sizeof by_seq[0], gy_vi(i->seq), err));
    /* What was imported once and is gone is brought again when it is asked for again. */
    GY_TRY(gy_db_exec(db, FORGET_ITEM("run"), GY_VALS(gy_vs(i->id)), NULL, err));
    counts->runs++;
    return tell(db, "run.purged", "run", i->id, actor, err);
}

static gy_status purge_model(struct gy_db *db, const struct item *i, struct gy_str actor,
                             struct gy_arena *a, struct gy_purge_counts *counts, struct gy_err *err)
{
    static const char *const by_id[] = {
        "DELETE FROM logged_model_metrics WHERE model_id = ?",
        "DELETE FROM logged_model_params WHERE model_id = ?",
        "DELETE FROM logged_model_tags WHERE model_id = ?",
        "DELETE FROM run_models WHERE model_id = ?",
        "DELETE FROM logged_models WHERE id = ?",
    };
    GY_TRY(purge_artifacts(db, i->uri, a, counts, err));
    GY_TRY(gy_db_exec(db, FORGET_ITEM("logged_model"), GY_VALS(gy_vs(i->id)), NULL, err));
    GY_TRY(run_each(db, by_id, sizeof by_id / sizeof by_id[0], gy_vs(i->id), err));
    counts->logged_models++;
    return tell(db, "logged_model.purged", "logged_model", i->id, actor, err);
}

static gy_status purge_experiment(struct gy_db *db, const struct item *i, struct gy_str actor,
                                  struct gy_purge_counts *counts, struct gy_err *err)
{
    static const char *const by_id[] = {
        "DELETE FROM experiment_tags WHERE experiment_id = ?",
        "DELETE FROM run_datasets WHERE experiment_id = ?",
        "DELETE FROM import_experiments WHERE experiment_id = ?",
        "DELETE FROM experiments WHERE id = ?",
    };
    GY_TRY(gy_db_exec(db, FORGET_ITEM("experiment"), GY_VALS(gy_vs(i->id)), NULL, err));
    GY_TRY(run_each(db, by_id, sizeof by_id / sizeof by_id[0], gy_vi(i->seq), err));
    counts->experiments++;
    return tell(db, "experiment.purged", "experiment", i->id, actor, err);
}

gy_status gy_purge_some(struct gy_db *db, int64_t before_us, size_t max, struct gy_str actor,
                        struct gy_purge_counts *counts, bool *ret_more, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * GY_MIB);
    struct item *items = NULL;
    size_t n_runs = 0, n_models = 0, n_experiments = 0;
    GY_TRY(read_items(db,
                      "SELECT r.seq, r.id, r.artifact_uri" DELETED_RUNS " AND NOT " RUN_IS_NEEDED
                      " ORDER BY r.seq LIMIT ?",
                      before_us, max, &a, &items, &n_runs, err));
    for (size_t i = 0; i < n_runs; i++) {
        GY_TRY(purge_run(db, &items[i], actor, &a, counts, err));
    }
    GY_TRY(read_items(db,
                      "SELECT 0, r.id, r.artifact_uri" DELETED_MODELS " AND NOT " MODEL_IS_NEEDED
                      " ORDER BY r.id LIMIT ?",
                      before_us, max, &a, &items, &n_models, err));
    for (size_t i = 0; i < n_models; i++) {
        GY_TRY(purge_model(db, &items[i], actor, &a, counts, err));
    }
    GY_TRY(read_items(db,
                      "SELECT e.id, CAST(e.id AS TEXT), e.artifact_location" EMPTY_EXPERIMENTS
                      ") AND NOT EXISTS (SELECT 1 FROM logged_models m WHERE m.experiment_id = "
                      "e.id) ORDER BY e.id LIMIT ?",
                      before_us, max, &a, &items, &n_experiments, err));
    for (size_t i = 0; i < n_experiments; i++) {
        GY_TRY(purge_experiment(db, &items[i], actor, counts, err));
    }
    *ret_more = n_runs == max || n_models == max || n_experiments == max;
    return GY_OK;
}

/* ---- the plan ---- */

static gy_status count(struct gy_db *db, const char *sql, int64_t before_us, int64_t *ret,
                       struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, sql, GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(before_us)), &found,
                         ret, err);
}

/* The artifacts of all that a query with columns uri gives. */
static gy_status count_all_artifacts(struct gy_db *db, const char *sql, int64_t before_us,
                                     struct gy_purge_counts *counts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(before_us)), &st, err));
    for (;;) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(count_artifacts(db, gy_col_str(st, 0), &a, counts, err));
        gy_arena_reset(&a);
    }
}

gy_status gy_purge_plan(struct gy_db *db, int64_t before_us, struct gy_purge_counts *ret,
                        struct gy_err *err)
{
    int64_t kept_models = 0;
    *ret = (struct gy_purge_counts){0};
    GY_TRY(count(db, "SELECT COUNT(*)" DELETED_RUNS " AND NOT " RUN_IS_NEEDED, before_us,
                 &ret->runs, err));
    GY_TRY(count(db, "SELECT COUNT(*)" DELETED_MODELS " AND NOT " MODEL_IS_NEEDED, before_us,
                 &ret->logged_models, err));
    GY_TRY(count(db, "SELECT COUNT(*)" DELETED_RUNS " AND " RUN_IS_NEEDED, before_us, &ret->kept,
                 err));
    GY_TRY(count(db, "SELECT COUNT(*)" DELETED_MODELS " AND " MODEL_IS_NEEDED, before_us,
                 &kept_models, err));
    ret->kept += kept_models;
    /* An experiment with nothing in it but what goes now; its runs were marked no later than it. */
    GY_TRY(count(db,
                 "SELECT COUNT(*)" EMPTY_EXPERIMENTS " AND (r.deleted = 0 OR " RUN_IS_NEEDED
                 ")) AND NOT EXISTS (SELECT 1 FROM logged_models r WHERE "
                 "r.experiment_id = e.id AND (r.deleted = 0 OR " MODEL_IS_NEEDED "))",
                 before_us, &ret->experiments, err));
    GY_TRY(count_all_artifacts(db, "SELECT r.artifact_uri" DELETED_RUNS " AND NOT " RUN_IS_NEEDED,
                               before_us, ret, err));
    return count_all_artifacts(db,
                               "SELECT r.artifact_uri" DELETED_MODELS " AND NOT " MODEL_IS_NEEDED,
                               before_us, ret, err);
}
