/* SPDX-License-Identifier: Apache-2.0 */
#include "track/import.h"

#include <float.h>
#include <math.h>

#include "base/limits.h"
#include "base/time.h"
#include "store/lineage.h"
#include "store/scope.h"

/* ---- imports and their items ---- */

gy_status gy_import_find(struct gy_db *db, struct gy_str source, int64_t *ret_import,
                         struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM imports WHERE workspace_id = ? AND source = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(source)), &found, ret_import,
                         err));
    return found ? GY_OK
                 : gy_err_set(err, GY_E_NOTFOUND, "nothing was imported from '%" GY_STR_F "'",
                              GY_STR_A(gy_str_sub(source, 0, 300)));
}

gy_status gy_import_open(struct gy_db *db, struct gy_str source, struct gy_str actor,
                         int64_t *ret_import, struct gy_err *err)
{
    if (source.n == 0 || source.n > GY_IMPORT_MAX_SOURCE) {
        return gy_err_set(err, GY_E_INVALID, "a source has a name of 1 to %d bytes",
                          GY_IMPORT_MAX_SOURCE);
    }
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO imports (workspace_id, source, actor, created_us) VALUES (?, ?, "
        "?, ?) ON CONFLICT DO NOTHING",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(source), gy_vs(actor), gy_vi(gy_now_us())), NULL,
        err));
    return gy_import_find(db, source, ret_import, err);
}

gy_status gy_import_note(struct gy_db *db, int64_t import, const struct gy_import_item *item,
                         struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO import_items (import_id, kind, id, fingerprint, n_params, n_tags, n_points, "
        "n_links, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (import_id, kind, id) "
        "DO UPDATE SET fingerprint = excluded.fingerprint, n_params = excluded.n_params, n_tags = "
        "excluded.n_tags, n_points = excluded.n_points, n_links = excluded.n_links",
        GY_VALS(gy_vi(import), gy_vs(item->kind), gy_vs(item->id), gy_vs(item->fingerprint),
                gy_vi(item->n_params), gy_vi(item->n_tags), gy_vi(item->n_points),
                gy_vi(item->n_links), gy_vi(gy_now_us())),
        NULL, err);
}

gy_status gy_import_known(struct gy_db *db, int64_t import, struct gy_str kind, struct gy_str id,
                          struct gy_arena *a, bool *ret_found, struct gy_import_item *ret,
                          struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    *ret_found = false;
    GY_TRY(gy_db_query(db,
                       "SELECT fingerprint, n_params, n_tags, n_points, n_links FROM import_items "
                       "WHERE import_id = ? AND kind = ? AND id = ?",
                       GY_VALS(gy_vi(import), gy_vs(kind), gy_vs(id)), &st, err));
    bool row = false;
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return GY_OK;
    }
    *ret = (struct gy_import_item){.kind = kind,
                                   .id = id,
                                   .fingerprint = gy_col_dup(st, 0, a),
                                   .n_params = gy_col_i64(st, 1),
                                   .n_tags = gy_col_i64(st, 2),
                                   .n_points = gy_col_i64(st, 3),
                                   .n_links = gy_col_i64(st, 4)};
    if (!ret->fingerprint.p) {
        return gy_track_nomem(err);
    }
    int64_t one = 0; /* what was removed since has to come again */
    const char *sql = gy_str_eqc(kind, "run") ? "SELECT 1 FROM runs WHERE id = ?"
                      : gy_str_eqc(kind, "logged_model")
                          ? "SELECT 1 FROM logged_models WHERE id = ?"
                          : NULL;
    *ret_found = true;
    return sql ? gy_db_get_i64(db, sql, GY_VALS(gy_vs(id)), ret_found, &one, err) : GY_OK;
}

/* ---- key and value rows ---- */

/* A key that is there already gets the source's value. */
static gy_status put_pairs(struct gy_db *db, const char *sql, struct gy_val owner,
                           const struct gy_tag *tags, size_t n, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_db_exec(
            db, sql,
            GY_VALS(owner, gy_vs(tags[i].key), gy_vs(tags[i].value.p ? tags[i].value : GY_STR(""))),
            NULL, err));
    }
    return GY_OK;
}

/* When what is deleted in the source counts as deleted here (track/purge.h): since it came. Without
 * a time the next collection would take it, however long deleted things are to be kept. */
static struct gy_val deleted_at(bool deleted)
{
    return deleted ? gy_vi(gy_now_us()) : gy_vnull();
}
/* What was deleted here before keeps its time; what is not deleted may have an old one. */
#define KEEP_DELETED(table)                                                                    \
    "CASE WHEN excluded.deleted = 1 THEN COALESCE(CASE WHEN " table ".deleted = 1 THEN " table \
    ".deleted_us END, excluded.deleted_us) END"

/* ---- experiments ---- */

static gy_status need_experiment(struct gy_db *db, int64_t id, struct gy_err *err)
{
    bool found = false;
    int64_t one = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM experiments WHERE id = ? AND workspace_id = ?",
                         GY_VALS(gy_vi(id), gy_vs(gy_db_workspace(db))), &found, &one, err));
    return found
               ? GY_OK
               : gy_err_set(err, GY_E_NOTFOUND, "No Experiment with id=%lld exists", (long long)id);
}

/* The experiment 0 that every new home has, when nothing was put in it yet. */
static gy_status default_is_empty(struct gy_db *db, bool *ret, struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(gy_db_get_i64(
        db,
        "SELECT 1 FROM experiments e WHERE e.id = 0 AND e.name = 'Default' AND e.workspace_id = ? "
        "AND NOT EXISTS (SELECT 1 FROM runs WHERE experiment_id = 0) AND NOT EXISTS (SELECT 1 FROM "
        "logged_models WHERE experiment_id = 0) AND NOT EXISTS (SELECT 1 FROM experiment_tags "
        "WHERE experiment_id = 0)",
        GY_VALS(gy_vs(gy_db_workspace(db))), ret, &n, err));
    return GY_OK;
}

static gy_status find_place(struct gy_db *db, int64_t import, const struct gy_experiment *e,
                            int64_t *ret_id, enum gy_import_place *ret_place, bool *ret_fill,
                            struct gy_err *err)
{
    bool found = false, taken = false, empty = false;
    int64_t one = 0, same_name = 0;
    *ret_fill = true;
    GY_TRY(gy_db_get_i64(
        db, "SELECT experiment_id FROM import_experiments WHERE import_id = ? AND source_id = ?",
        GY_VALS(gy_vi(import), gy_vi(e->id)), &found, ret_id, err));
    if (found) {
        /* It came before, to a place of its own or into an experiment that was here already. Its
         * own one began when the source's did; another's name, time and place are not the source's.
         */
        GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM experiments WHERE id = ? AND created_us = ?",
                             GY_VALS(gy_vi(*ret_id), gy_vi(e->created_us)), ret_fill, &one, err));
        *ret_place = !*ret_fill         ? GY_IMPORT_MERGED
                     : *ret_id == e->id ? GY_IMPORT_KEPT
                                        : GY_IMPORT_NUMBERED;
        return GY_OK;
    }
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM experiments WHERE workspace_id = ? AND name = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(e->name)), &found, &same_name,
                         err));
    GY_TRY(default_is_empty(db, &empty, err));
    if (found && !(same_name == 0 && empty)) {
        *ret_id = same_name;
        *ret_place = GY_IMPORT_MERGED;
        *ret_fill = false;
        return GY_OK;
    }
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM experiments WHERE id = ?", GY_VALS(gy_vi(e->id)),
                         &taken, &one, err));
    if (found || (e->id == 0 && empty)) { /* "Default" of the new home gives way */
        *ret_id = 0;
        *ret_place = e->id == 0 ? GY_IMPORT_KEPT : GY_IMPORT_MERGED;
        return GY_OK;
    }
    *ret_id = e->id;
    *ret_place = GY_IMPORT_KEPT;
    if (taken) {
        GY_TRY(gy_experiment_next_id(db, ret_id, err));
        *ret_place = GY_IMPORT_NUMBERED;
    }
    return GY_OK;
}

gy_status gy_import_experiment(struct gy_db *db, int64_t import, const struct gy_experiment *e,
                               struct gy_str actor, struct gy_arena *a, int64_t *ret_id,
                               enum gy_import_place *ret_place, struct gy_err *err)
{
    bool fill = false;
    GY_TRY(find_place(db, import, e, ret_id, ret_place, &fill, err));
    const char *ours = gy_arena_printf(a, "mlflow-artifacts:/%lld", (long long)*ret_id);
    struct gy_str location = e->artifact_location.n > 0 ? e->artifact_location : gy_str_c(ours);
    if (!ours) {
        return gy_track_nomem(err);
    }
    if (fill) {
        GY_TRY(gy_db_exec(
            db,
            "INSERT INTO experiments (id, workspace_id, name, artifact_location, deleted, "
            "deleted_us, "
            "actor, created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO "
            "UPDATE SET name = excluded.name, artifact_location = excluded.artifact_location, "
            "deleted = excluded.deleted, deleted_us = " KEEP_DELETED(
                "experiments") ", created_us "
                               "= excluded.created_us, updated_us = excluded.updated_us",
            GY_VALS(gy_vi(*ret_id), gy_vs(gy_db_workspace(db)), gy_vs(e->name), gy_vs(location),
                    gy_vi(e->deleted), deleted_at(e->deleted), gy_vs(actor), gy_vi(e->created_us),
                    gy_vi(e->updated_us)),
            NULL, err));
    }
    GY_TRY(put_pairs(db,
                     "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (?, ?, ?) ON "
                     "CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
                     gy_vi(*ret_id), e->tags, e->n_tags, err));
    return gy_db_exec(db,
                      "INSERT INTO import_experiments (import_id, source_id, experiment_id) VALUES "
                      "(?, ?, ?) ON CONFLICT DO NOTHING",
                      GY_VALS(gy_vi(import), gy_vi(e->id), gy_vi(*ret_id)), NULL, err);
}

/* ---- runs ---- */

static gy_status put_run(struct gy_db *db, const struct gy_run *r, struct gy_str actor,
                         int64_t *ret_seq, struct gy_err *err)
{
    bool found = false;
    int64_t experiment = 0;
    struct gy_str empty = GY_STR("");
    GY_TRY(gy_db_get_i64(db, "SELECT experiment_id FROM runs WHERE id = ?", GY_VALS(gy_vs(r->id)),
                         &found, &experiment, err));
    if (found && experiment != r->experiment_id) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "run %" GY_STR_F " is here already, in another experiment",
                          GY_STR_A(gy_str_sub(r->id, 0, 256)));
    }
    /* Not deleted until all of it is there: what follows writes to active runs only. */
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO runs (id, workspace_id, experiment_id, name, user_id, status, start_ms, "
        "end_ms, artifact_uri, deleted, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, "
        "?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, user_id = excluded.user_id, "
        "status = excluded.status, start_ms = excluded.start_ms, end_ms = excluded.end_ms, "
        "artifact_uri = excluded.artifact_uri, deleted_us = CASE WHEN runs.deleted = 1 THEN "
        "runs.deleted_us END, deleted = 0",
        GY_VALS(gy_vs(r->id), gy_vs(gy_db_workspace(db)), gy_vi(r->experiment_id),
                gy_vs(r->name.p ? r->name : empty), gy_vs(r->user_id.p ? r->user_id : empty),
                gy_vs(r->status), r->start_ms ? gy_vi(r->start_ms) : gy_vnull(),
                r->end_ms ? gy_vi(r->end_ms) : gy_vnull(), gy_vs(r->artifact_uri), gy_vs(actor),
                gy_vi(r->start_ms > 0 && r->start_ms <= INT64_MAX / 1000 ? r->start_ms * 1000
                                                                         : gy_now_us())),
        NULL, err));
    return gy_run_find(db, r->id, false, ret_seq, err);
}

gy_status gy_import_run(struct gy_db *db, const struct gy_run *r, struct gy_str actor,
                        struct gy_err *err)
{
    int64_t seq = 0;
    GY_TRY(need_experiment(db, r->experiment_id, err));
    GY_TRY(put_run(db, r, actor, &seq, err));
    GY_TRY(put_pairs(db,
                     "INSERT INTO run_params (run, key, value) VALUES (?, ?, ?) ON CONFLICT (run, "
                     "key) DO UPDATE SET value = excluded.value",
                     gy_vi(seq), r->params, r->n_params, err));
    GY_TRY(put_pairs(db,
                     "INSERT INTO run_tags (run, key, value) VALUES (?, ?, ?) ON CONFLICT (run, "
                     "key) DO UPDATE SET value = excluded.value",
                     gy_vi(seq), r->tags, r->n_tags, err));
    for (size_t i = 0; i < r->n_tags; i++) {
        GY_TRY(gy_run_note_origin(db, r->id, &r->tags[i], actor, err));
    }
    GY_TRY(gy_run_log_inputs(db, r->id, r->inputs, r->n_inputs, r->model_inputs, r->n_model_inputs,
                             actor, err));
    GY_TRY(gy_run_log_outputs(db, r->id, r->model_outputs, r->n_model_outputs, err));
    return gy_db_exec(db,
                      r->deleted
                          ? "UPDATE runs SET deleted = 1, deleted_us = COALESCE(deleted_us, ?) "
                            "WHERE seq = ?"
                          : "UPDATE runs SET deleted_us = ? WHERE seq = ?",
                      GY_VALS(deleted_at(r->deleted), gy_vi(seq)), NULL, err);
}

gy_status gy_import_points(struct gy_db *db, const struct gy_transfer_points *p, struct gy_err *err)
{
    int64_t seq = 0;
    GY_TRY(gy_run_find(db, p->run_id, false, &seq, err));
    return gy_metrics_log(db, seq, p->run_id, p->points, p->n, err);
}

/* ---- logged models ---- */

static gy_status put_logged_metrics(struct gy_db *db, const struct gy_logged_model *m,
                                    struct gy_err *err)
{
    struct gy_str none = GY_STR("");
    for (size_t i = 0; i < m->n_metrics; i++) {
        const struct gy_metric *p = &m->metrics[i];
        double v = isnan(p->value) || p->value == 0 ? 0.0 : p->value;
        if (isinf(v)) { /* as track/metrics.h keeps them */
            v = v > 0 ? DBL_MAX : -DBL_MAX;
        }
        GY_TRY(gy_db_exec(
            db,
            "INSERT INTO logged_model_metrics (model_id, key, ts_ms, step, run_id, dataset_name, "
            "dataset_digest, value, is_nan) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO "
            "NOTHING",
            GY_VALS(gy_vs(m->id), gy_vs(p->key), gy_vi(p->ts_ms), gy_vi(p->step),
                    gy_vs(p->run_id.p ? p->run_id : none),
                    gy_vs(p->dataset_name.p ? p->dataset_name : none),
                    gy_vs(p->dataset_digest.p ? p->dataset_digest : none), gy_vf(v),
                    gy_vi(isnan(p->value) != 0)),
            NULL, err));
    }
    return GY_OK;
}

gy_status gy_import_logged(struct gy_db *db, const struct gy_logged_model *m, struct gy_str actor,
                           struct gy_err *err)
{
    bool found = false;
    int64_t experiment = 0;
    GY_TRY(need_experiment(db, m->experiment_id, err));
    GY_TRY(gy_db_get_i64(db, "SELECT experiment_id FROM logged_models WHERE id = ?",
                         GY_VALS(gy_vs(m->id)), &found, &experiment, err));
    if (found && experiment != m->experiment_id) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "logged model %" GY_STR_F " is here already, in another experiment",
                          GY_STR_A(gy_str_sub(m->id, 0, 256)));
    }
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO logged_models (id, workspace_id, experiment_id, name, artifact_uri, status, "
        "model_type, source_run_id, deleted, deleted_us, actor, created_us, updated_us) VALUES (?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
        "artifact_uri = excluded.artifact_uri, status = excluded.status, model_type = "
        "excluded.model_type, source_run_id = excluded.source_run_id, deleted = excluded.deleted, "
        "deleted_us = " KEEP_DELETED("logged_models") ", created_us = excluded.created_us, "
                                                      "updated_us = excluded.updated_us",
        GY_VALS(gy_vs(m->id), gy_vs(gy_db_workspace(db)), gy_vi(m->experiment_id),
                gy_vs(m->name.p ? m->name : GY_STR("")), gy_vs(m->artifact_uri), gy_vi(m->status),
                gy_vs(m->model_type), gy_vs(m->source_run_id), gy_vi(m->deleted),
                deleted_at(m->deleted), gy_vs(actor), gy_vi(m->created_us), gy_vi(m->updated_us)),
        NULL, err));
    GY_TRY(put_pairs(db,
                     "INSERT INTO logged_model_params (model_id, key, value) VALUES (?, ?, ?) ON "
                     "CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
                     gy_vs(m->id), m->params, m->n_params, err));
    GY_TRY(put_pairs(db,
                     "INSERT INTO logged_model_tags (model_id, key, value) VALUES (?, ?, ?) ON "
                     "CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
                     gy_vs(m->id), m->tags, m->n_tags, err));
    return put_logged_metrics(db, m, err);
}

/* ---- the registry ---- */

gy_status gy_import_model(struct gy_db *db, const struct gy_registered_model *m,
                          struct gy_str actor, struct gy_err *err)
{
    bool found = false;
    int64_t id = 0;
    if (gy_str_find(m->name, '/') != SIZE_MAX || gy_str_find(m->name, ':') != SIZE_MAX ||
        gy_str_trim(m->name).n == 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid model name '%" GY_STR_F "'. Names cannot contain '/' or ':'.",
                          GY_STR_A(gy_str_sub(m->name, 0, 300)));
    }
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO registered_models (workspace_id, name, description, actor, created_us, "
        "updated_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (workspace_id, name) DO UPDATE SET "
        "description = excluded.description, created_us = excluded.created_us, updated_us = "
        "excluded.updated_us",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(m->name), gy_vs(m->description), gy_vs(actor),
                gy_vi(m->created_us), gy_vi(m->updated_us)),
        NULL, err));
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM registered_models WHERE workspace_id = ? AND name = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(m->name)), &found, &id, err));
    return put_pairs(db,
                     "INSERT INTO registered_model_tags (model, key, value) VALUES (?, ?, ?) ON "
                     "CONFLICT (model, key) DO UPDATE SET value = excluded.value",
                     gy_vi(id), m->tags, m->n_tags, err);
}

/* May this version be put there? *ret_id: the row that is there already, 0: none. */
static gy_status check_number(struct gy_db *db, int64_t model, const struct gy_model_version *v,
                              int64_t *ret_id, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row = false;
    *ret_id = 0;
    GY_TRY(gy_db_query(db,
                       "SELECT id, created_us, source, deleted FROM model_versions WHERE model = ? "
                       "AND version = ?",
                       GY_VALS(gy_vi(model), gy_vi(v->version)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return GY_OK;
    }
    *ret_id = gy_col_i64(st, 0);
    if (gy_col_i64(st, 1) != v->created_us) {
        return gy_err_set(err, GY_E_EXISTS,
                          "version %lld of model '%" GY_STR_F
                          "' is here already and is another one, made of '%" GY_STR_F "'",
                          (long long)v->version, GY_STR_A(gy_str_sub(v->name, 0, 200)),
                          GY_STR_A(gy_str_sub(gy_col_str(st, 2), 0, 150)));
    }
    return GY_OK;
}

static gy_status put_version(struct gy_db *db, int64_t model, const struct gy_transfer_version *x,
                             struct gy_str actor, struct gy_err *err)
{
    const struct gy_model_version *v = &x->v;
    struct gy_str source = v->source.p ? v->source : GY_STR("");
    return gy_db_exec(
        db,
        "INSERT INTO model_versions (model, version, description, source, storage_location, "
        "run_id, run_link, logged_model_id, stage, deleted, actor, created_us, updated_us) VALUES "
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (model, version) DO UPDATE SET "
        "description = excluded.description, source = excluded.source, storage_location = "
        "excluded.storage_location, run_id = excluded.run_id, run_link = excluded.run_link, "
        "logged_model_id = excluded.logged_model_id, stage = excluded.stage, deleted = "
        "excluded.deleted, actor = excluded.actor, updated_us = excluded.updated_us",
        GY_VALS(gy_vi(model), gy_vi(v->version), gy_vs(v->description), gy_vs(source),
                gy_vs(v->storage_location.n ? v->storage_location : source),
                gy_vs(v->run_id.n ? v->run_id : GY_STR_NULL), gy_vs(v->run_link),
                gy_vs(v->logged_model_id.n ? v->logged_model_id : GY_STR_NULL), gy_vs(v->stage),
                gy_vi(x->deleted), gy_vs(v->actor.n ? v->actor : actor), gy_vi(v->created_us),
                gy_vi(v->updated_us)),
        NULL, err);
}

static gy_status finish_version(struct gy_db *db, const struct gy_model_version *v,
                                struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_model_version now;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(gy_version_get(db, v->name, v->version, &a, &now, err));
    GY_TRY(gy_version_take_digest(db, &now, actor, &a, err));
    if (v->run_id.n == 0) {
        return GY_OK;
    }
    const char *run = gy_arena_printf(&a, "run:%" GY_STR_F, GY_STR_A(v->run_id));
    const char *node =
        gy_arena_printf(&a, "model:%" GY_STR_F "/%lld", GY_STR_A(v->name), (long long)v->version);
    if (!run || !node) {
        return gy_track_nomem(err);
    }
    return gy_lineage_add(db, gy_str_c(run), "registered", gy_str_c(node), actor, err);
}

gy_status gy_import_version(struct gy_db *db, const struct gy_transfer_version *x,
                            struct gy_str actor, struct gy_err *err)
{
    int64_t model = 0, id = 0;
    bool found = false;
    GY_TRY(gy_model_find(db, x->v.name, &model, err));
    GY_TRY(check_number(db, model, &x->v, &id, err));
    GY_TRY(put_version(db, model, x, actor, err));
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM model_versions WHERE model = ? AND version = ?",
                         GY_VALS(gy_vi(model), gy_vi(x->v.version)), &found, &id, err));
    GY_TRY(put_pairs(db,
                     "INSERT INTO model_version_tags (version_id, key, value) VALUES (?, ?, ?) ON "
                     "CONFLICT (version_id, key) DO UPDATE SET value = excluded.value",
                     gy_vi(id), x->tags, x->n_tags, err));
    return x->deleted ? GY_OK : finish_version(db, &x->v, actor, err);
}
