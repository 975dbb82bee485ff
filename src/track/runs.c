/* SPDX-License-Identifier: Apache-2.0 */
#include "track/runs.h"

#include <stdio.h>

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/lineage.h"
#include "store/scope.h"
#include "track/experiments.h"
#include "track/run_rows.h"
#include "track/search.h"

#define NAME_TAG "mlflow.runName"

/* ---- lineage of tags ---- */

/* A tag that names where the run came from becomes an edge to it. */
gy_status gy_run_note_origin(struct gy_db *db, struct gy_str run_id, const struct gy_tag *t,
                             struct gy_str actor, struct gy_err *err)
{
    char from[512], to[300];
    const char *rel = "input";
    if (t->value.n == 0 || t->value.n > 400) {
        return GY_OK;
    }
    if (gy_str_eqc(t->key, "gyre.data_sha256")) {
        snprintf(from, sizeof from, "data:%" GY_STR_F, GY_STR_A(t->value));
    } else if (gy_str_eqc(t->key, "gyre.code_revision")) {
        snprintf(from, sizeof from, "code:%" GY_STR_F, GY_STR_A(t->value));
        rel = "code";
    } else if (gy_str_eqc(t->key, "gyre.dataset")) {
        struct gy_str name, version;
        if (!gy_str_cut(t->value, '@', &name, &version)) {
            return GY_OK;
        }
        snprintf(from, sizeof from, "dataset:%" GY_STR_F "/%" GY_STR_F, GY_STR_A(name),
                 GY_STR_A(version));
    } else if (gy_str_starts(t->key,
                             GY_STR("gyre.part."))) { /* "a/3": a chain holds that version */
        snprintf(from, sizeof from, "model:%" GY_STR_F, GY_STR_A(t->value));
        rel = "part";
    } else {
        return GY_OK;
    }
    snprintf(to, sizeof to, "run:%" GY_STR_F, GY_STR_A(run_id));
    return gy_lineage_add(db, gy_str_c(from), rel, gy_str_c(to), actor, err);
}

/* All tags by one statement; of a key that comes twice the last counts. */
static gy_status put_tags(struct gy_db *db, int64_t seq, struct gy_str run_id,
                          const struct gy_tag *tags, size_t n, struct gy_str actor,
                          struct gy_err *err)
{
    if (n == 0) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_map_done) struct gy_map later;
    gy_map_init(&later, n);
    GY_AUTO(gy_free) char *memory = gy_calloc(3 * n, sizeof(struct gy_val));
    struct gy_val *vals = (struct gy_val *)(void *)memory;
    size_t rows = 0;
    if (!vals) {
        return gy_track_nomem(err);
    }
    for (size_t i = n; i > 0; i--) {
        const struct gy_tag *t = &tags[i - 1];
        if (gy_map_has(&later, t->key)) {
            continue;
        }
        GY_TRY(gy_map_put(&later, t->key, (void *)t, err));
        struct gy_str value =
            gy_track_cut(t->value.p ? t->value : GY_STR(""), GY_TRACK_MAX_TAG_VALUE);
        vals[3 * rows] = gy_vi(seq);
        vals[3 * rows + 1] = gy_vs(t->key);
        vals[3 * rows + 2] = gy_vs(value);
        rows++;
        if (gy_str_eqc(t->key, NAME_TAG)) {
            GY_TRY(gy_db_exec(db, "UPDATE runs SET name = ? WHERE seq = ?",
                              GY_VALS(gy_vs(value), gy_vi(seq)), NULL, err));
        }
    }
    GY_TRY(gy_db_exec_many(db,
                           "INSERT INTO run_tags (run, key, value) VALUES (?, ?, ?) ON CONFLICT "
                           "(run, key) DO UPDATE SET value = excluded.value",
                           vals, 3, rows, NULL, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_run_note_origin(db, run_id, &tags[i], actor, err));
    }
    return GY_OK;
}

static gy_status check_tag(const struct gy_tag *t, const char *path, struct gy_err *err)
{
    GY_TRY(gy_track_check_key(t->key, path, err));
    return gy_track_check_length(t->key, GY_TRACK_MAX_KEY, path, err);
}

/* ---- making ---- */

/* The name: given, else of the tag, else random. Both given must agree. */
static gy_status choose_name(const struct gy_run_new *in, char made[32], struct gy_str *ret,
                             bool *ret_in_tags, struct gy_err *err)
{
    struct gy_str tagged = GY_STR_NULL;
    for (size_t i = 0; i < in->n_tags; i++) {
        if (gy_str_eqc(in->tags[i].key, NAME_TAG)) {
            tagged = in->tags[i].value;
        }
    }
    if (in->name.n > 0 && tagged.n > 0 && !gy_str_eq(in->name, tagged)) {
        return gy_err_set(
            err, GY_E_INVALID,
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but "
            "with different values (run_name='%" GY_STR_F "', mlflow.runName='%" GY_STR_F "').",
            GY_STR_A(gy_str_sub(in->name, 0, 100)), GY_STR_A(gy_str_sub(tagged, 0, 100)));
    }
    *ret_in_tags = tagged.n > 0;
    if (in->name.n > 0 || tagged.n > 0) {
        *ret = gy_track_cut(in->name.n > 0 ? in->name : tagged, GY_TRACK_MAX_TAG_VALUE);
        return GY_OK;
    }
    GY_TRY(gy_track_random_name(made, err));
    *ret = gy_str_c(made);
    return GY_OK;
}

gy_status gy_run_create(struct gy_db *db, const struct gy_run_new *in, struct gy_str actor,
                        struct gy_arena *a, struct gy_run *ret, struct gy_err *err)
{
    struct gy_str location, name;
    char made[32], id[33], tail[64];
    bool in_tags = false;
    for (size_t i = 0; i < in->n_tags; i++) {
        /* Any key goes here, as in MLflow; only set-tag and log-batch look at its letters. */
        GY_TRY(gy_track_check_length(in->tags[i].key, GY_TRACK_MAX_KEY, "key", err));
    }
    int64_t experiment_id = in->experiment_id;
    GY_TRY(gy_experiment_resolve(db, &experiment_id, err));
    GY_TRY(gy_experiment_need_active(db, experiment_id, a, &location, err));
    GY_TRY(choose_name(in, made, &name, &in_tags, err));
    GY_TRY(gy_new_hex32(id, err));
    snprintf(tail, sizeof tail, "%s/artifacts", id);
    struct gy_str uri = gy_track_uri_join(a, location, tail);
    if (!uri.p) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO runs (id, workspace_id, experiment_id, name, user_id, status, start_ms, "
        "artifact_uri, actor, created_us) VALUES (?, ?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?)",
        GY_VALS(gy_vc(id), gy_vs(gy_db_workspace(db)), gy_vi(experiment_id), gy_vs(name),
                gy_vs(in->user_id.p ? in->user_id : GY_STR("")), gy_vi(in->start_ms), gy_vs(uri),
                gy_vs(actor), gy_vi(gy_now_us())),
        NULL, err));
    int64_t seq = gy_db_last_id(db);
    GY_TRY(put_tags(db, seq, gy_str_c(id), in->tags, in->n_tags, actor, err));
    if (!in_tags) {
        struct gy_tag t = {GY_STR(NAME_TAG), name};
        GY_TRY(put_tags(db, seq, gy_str_c(id), &t, 1, actor, err));
    }
    return gy_run_get(db, gy_str_c(id), true, a, ret, err);
}

/* ---- reading ---- */

gy_status gy_run_find(struct gy_db *db, struct gy_str id, bool need_active, int64_t *ret_seq,
                      struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, "SELECT seq, deleted FROM runs WHERE id = ? AND workspace_id = ?",
                       GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "Run with id=%" GY_STR_F " not found",
                          GY_STR_A(gy_str_sub(id, 0, 256)));
    }
    if (need_active && gy_col_i64(st, 1)) {
        return gy_err_set(err, GY_E_INVALID,
                          "The run %" GY_STR_F
                          " must be in the 'active' state. Current state is deleted.",
                          GY_STR_A(gy_str_sub(id, 0, 256)));
    }
    *ret_seq = gy_col_i64(st, 0);
    return GY_OK;
}

gy_status gy_run_get(struct gy_db *db, struct gy_str id, bool with_data, struct gy_arena *a,
                     struct gy_run *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db, "SELECT " GY_RUN_COLUMNS " FROM runs r WHERE r.id = ? AND r.workspace_id = ?",
        GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "Run with id=%" GY_STR_F " not found",
                          GY_STR_A(gy_str_sub(id, 0, 256)));
    }
    GY_TRY(gy_run_read_row(st, a, ret, err));
    return with_data ? gy_runs_load(db, ret, 1, a, err) : GY_OK;
}

/* ---- changing ---- */

gy_status gy_run_kill_tagged(struct gy_db *db, const char *key, struct gy_str prefix,
                             int64_t *ret_n, struct gy_err *err)
{
    return gy_db_exec(
        db,
        "UPDATE runs SET status = 'KILLED', end_ms = ? WHERE status = 'RUNNING' AND "
        "EXISTS (SELECT 1 FROM run_tags t WHERE t.run = runs.seq AND t.key = ? AND "
        "SUBSTR(t.value, 1, ?) = ?)",
        GY_VALS(gy_vi(gy_now_us() / 1000), gy_vc(key), gy_vi((int64_t)prefix.n), gy_vs(prefix)),
        ret_n, err);
}

gy_status gy_run_update(struct gy_db *db, struct gy_str id, const struct gy_run_change *change,
                        struct gy_err *err)
{
    int64_t seq = 0;
    GY_TRY(gy_run_find(db, id, true, &seq, err));
    if (change->status.n > 0) {
        GY_TRY(gy_db_exec(db, "UPDATE runs SET status = ? WHERE seq = ?",
                          GY_VALS(gy_vs(change->status), gy_vi(seq)), NULL, err));
    }
    if (change->end_ms != 0) {
        GY_TRY(gy_db_exec(db, "UPDATE runs SET end_ms = ? WHERE seq = ?",
                          GY_VALS(gy_vi(change->end_ms), gy_vi(seq)), NULL, err));
    }
    if (change->name.n > 0) {
        struct gy_tag t = {GY_STR(NAME_TAG), change->name};
        GY_TRY(put_tags(db, seq, id, &t, 1, GY_STR(""), err));
    }
    return GY_OK;
}

gy_status gy_run_set_deleted(struct gy_db *db, struct gy_str id, bool deleted, struct gy_err *err)
{
    int64_t seq = 0;
    GY_TRY(gy_run_find(db, id, false, &seq, err));
    return gy_db_exec(db, "UPDATE runs SET deleted = ?, deleted_us = ? WHERE seq = ?",
                      GY_VALS(gy_vi(deleted), gy_vi(gy_now_us()), gy_vi(seq)), NULL, err);
}

static gy_status check_count(size_t n, size_t max, const char *what, struct gy_err *err)
{
    if (n <= max) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID,
                      "A batch logging request can contain at most %zu %s. Got %zu %s. Please "
                      "split up %s across multiple requests and try again.",
                      max, what, n, what, what);
}

static gy_status check_params(const struct gy_tag *params, size_t n, struct gy_err *err)
{
    GY_AUTO_DONE(gy_map_done) struct gy_map seen;
    gy_map_init(&seen, GY_TRACK_MAX_BATCH_PARAMS);
    for (size_t i = 0; i < n; i++) {
        char path[32];
        snprintf(path, sizeof path, n == 1 ? "key" : "params[%zu].key", i);
        GY_TRY(gy_track_check_key(params[i].key, path, err));
        GY_TRY(gy_track_check_length(params[i].key, GY_TRACK_MAX_KEY, "Param key", err));
        if (gy_map_has(&seen, params[i].key)) {
            return gy_err_set(err, GY_E_INVALID,
                              "Duplicate parameter keys have been submitted: ['%" GY_STR_F
                              "']. Please ensure the request contains only one param value per "
                              "param key.",
                              GY_STR_A(gy_str_sub(params[i].key, 0, 250)));
        }
        GY_TRY(gy_map_put(&seen, params[i].key, (void *)&params[i], err));
    }
    return GY_OK;
}

gy_status gy_run_batch_check(const struct gy_run_batch *b, struct gy_err *err)
{
    GY_TRY(check_count(b->n_metrics, GY_TRACK_MAX_BATCH_METRICS, "metrics", err));
    GY_TRY(check_count(b->n_params, GY_TRACK_MAX_BATCH_PARAMS, "params", err));
    GY_TRY(check_count(b->n_tags, GY_TRACK_MAX_BATCH_TAGS, "tags", err));
    GY_TRY(check_count(b->n_metrics + b->n_params + b->n_tags, GY_TRACK_MAX_BATCH,
                       "metrics, params, and tags", err));
    for (size_t i = 0; i < b->n_metrics; i++) {
        char path[32];
        snprintf(path, sizeof path, "metrics[%zu]", i);
        GY_TRY(gy_metric_check(&b->metrics[i], path, err));
    }
    GY_TRY(check_params(b->params, b->n_params, err));
    for (size_t i = 0; i < b->n_tags; i++) {
        char path[32];
        snprintf(path, sizeof path, "tags[%zu].key", i);
        GY_TRY(check_tag(&b->tags[i], path, err));
    }
    return GY_OK;
}

static struct gy_str param_value(const struct gy_tag *p)
{
    return gy_track_cut(p->value.p ? p->value : GY_STR(""), GY_TRACK_MAX_PARAM_VALUE);
}

/* Some params were there before: those of the run must be the same. */
static gy_status check_params_there(struct gy_db *db, int64_t seq, struct gy_str id,
                                    const struct gy_run_batch *b, bool single, struct gy_err *err)
{
    char changed[400] = "";
    size_t at = 0;
    for (size_t i = 0; i < b->n_params; i++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, GY_MIB);
        bool found = false;
        struct gy_str old = GY_STR_NULL;
        GY_TRY(gy_db_get_str(db, "SELECT value FROM run_params WHERE run = ? AND key = ?",
                             GY_VALS(gy_vi(seq), gy_vs(b->params[i].key)), &a, &found, &old, err));
        if (gy_str_eq(old, param_value(&b->params[i]))) {
            continue;
        }
        struct gy_str key = gy_str_sub(b->params[i].key, 0, 80);
        struct gy_str value = gy_str_sub(b->params[i].value, 0, 80);
        old = gy_str_sub(old, 0, 80);
        if (single) {
            return gy_err_set(err, GY_E_INVALID,
                              "Changing param values is not allowed. Param with key='%" GY_STR_F
                              "' was already logged with value='%" GY_STR_F
                              "' for run ID='%" GY_STR_F
                              "'. Attempted logging new value '%" GY_STR_F "'.",
                              GY_STR_A(key), GY_STR_A(old), GY_STR_A(id), GY_STR_A(value));
        }
        if (at < sizeof changed) {
            at += (size_t)snprintf(changed + at, sizeof changed - at,
                                   "%s{'key': '%" GY_STR_F "', 'old_value': '%" GY_STR_F
                                   "', 'new_value': '%" GY_STR_F "'}",
                                   at ? ", " : "", GY_STR_A(key), GY_STR_A(old), GY_STR_A(value));
        }
    }
    if (at > 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "Changing param values is not allowed. Params were already "
                          "logged='[%s]' for run ID='%" GY_STR_F "'.",
                          changed, GY_STR_A(id));
    }
    return GY_OK;
}

/* All params by one statement; only where some were there already are they looked at. */
static gy_status put_params(struct gy_db *db, int64_t seq, struct gy_str id,
                            const struct gy_run_batch *b, bool single, struct gy_err *err)
{
    GY_AUTO(gy_free) char *memory = gy_calloc(3 * b->n_params + 1, sizeof(struct gy_val));
    struct gy_val *vals = (struct gy_val *)(void *)memory;
    int64_t added = 0;
    if (!vals) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < b->n_params; i++) {
        vals[3 * i] = gy_vi(seq);
        vals[3 * i + 1] = gy_vs(b->params[i].key);
        vals[3 * i + 2] = gy_vs(param_value(&b->params[i]));
    }
    GY_TRY(gy_db_exec_many(db,
                           "INSERT INTO run_params (run, key, value) VALUES (?, ?, ?) ON CONFLICT "
                           "DO NOTHING",
                           vals, 3, b->n_params, &added, err));
    return added == (int64_t)b->n_params ? GY_OK : check_params_there(db, seq, id, b, single, err);
}

gy_status gy_run_log(struct gy_db *db, struct gy_str id, const struct gy_run_batch *b, bool single,
                     struct gy_str actor, struct gy_err *err)
{
    int64_t seq = 0;
    GY_TRY(gy_run_find(db, id, true, &seq, err));
    GY_TRY(put_params(db, seq, id, b, single, err));
    GY_TRY(gy_metrics_log(db, seq, id, b->metrics, b->n_metrics, err));
    return put_tags(db, seq, id, b->tags, b->n_tags, actor, err);
}

gy_status gy_run_delete_tag(struct gy_db *db, struct gy_str id, struct gy_str key,
                            struct gy_err *err)
{
    int64_t seq = 0, n = 0;
    GY_TRY(gy_run_find(db, id, true, &seq, err));
    GY_TRY(gy_db_exec(db, "DELETE FROM run_tags WHERE run = ? AND key = ?",
                      GY_VALS(gy_vi(seq), gy_vs(key)), &n, err));
    if (n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "No tag with name: %" GY_STR_F " in run with id %" GY_STR_F,
                          GY_STR_A(gy_str_sub(key, 0, 200)), GY_STR_A(gy_str_sub(id, 0, 256)));
    }
    return GY_OK;
}

/* ---- inputs and outputs ---- */

static gy_status put_dataset(struct gy_db *db, int64_t seq, int64_t experiment_id,
                             const struct gy_run_dataset *d, struct gy_str actor,
                             struct gy_err *err)
{
    GY_TRY(gy_track_check_length(d->name, 500, "name", err));
    GY_TRY(gy_track_check_length(d->digest, 36, "digest", err));
    GY_TRY(gy_track_check_length(d->source, 65535, "source", err));
    GY_TRY(gy_track_check_length(d->schema, 1048575, "schema", err));
    GY_TRY(gy_track_check_length(d->profile, 16777215, "profile", err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO run_datasets (experiment_id, name, digest, source_type, source, "
                      "schema, profile, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON "
                      "CONFLICT DO NOTHING",
                      GY_VALS(gy_vi(experiment_id), gy_vs(d->name), gy_vs(d->digest),
                              gy_vs(d->source_type.p ? d->source_type : GY_STR("")),
                              gy_vs(d->source.p ? d->source : GY_STR("")), gy_vs(d->schema),
                              gy_vs(d->profile), gy_vs(actor), gy_vi(gy_now_us())),
                      NULL, err));
    int64_t id = 0, n = 0;
    bool found = false;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT id FROM run_datasets WHERE experiment_id = ? AND name = ? AND "
                         "digest = ?",
                         GY_VALS(gy_vi(experiment_id), gy_vs(d->name), gy_vs(d->digest)), &found,
                         &id, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO run_inputs (run, dataset_id) VALUES (?, ?) ON CONFLICT DO "
                      "NOTHING",
                      GY_VALS(gy_vi(seq), gy_vi(id)), &n, err));
    if (n == 0) { /* linked before: its tags stay as they are */
        return GY_OK;
    }
    for (size_t i = 0; i < d->n_tags; i++) {
        GY_TRY(gy_track_check_length(d->tags[i].key, 255, "key", err));
        GY_TRY(gy_track_check_length(d->tags[i].value, 500, "value", err));
        GY_TRY(gy_db_exec(db,
                          "INSERT INTO run_input_tags (run, dataset_id, key, value) VALUES (?, ?, "
                          "?, ?) ON CONFLICT DO NOTHING",
                          GY_VALS(gy_vi(seq), gy_vi(id), gy_vs(d->tags[i].key),
                                  gy_vs(d->tags[i].value.p ? d->tags[i].value : GY_STR(""))),
                          NULL, err));
    }
    return GY_OK;
}

static gy_status put_models(struct gy_db *db, int64_t seq, const char *kind,
                            const struct gy_run_model *models, size_t n, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_db_exec(
            db,
            "INSERT INTO run_models (run, kind, model_id, step) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            GY_VALS(gy_vi(seq), gy_vc(kind), gy_vs(models[i].model_id), gy_vi(models[i].step)),
            NULL, err));
    }
    return GY_OK;
}

gy_status gy_run_log_inputs(struct gy_db *db, struct gy_str id,
                            const struct gy_run_dataset *datasets, size_t n_datasets,
                            const struct gy_run_model *models, size_t n_models, struct gy_str actor,
                            struct gy_err *err)
{
    int64_t seq = 0, experiment_id = 0;
    bool found = false;
    GY_TRY(gy_run_find(db, id, true, &seq, err));
    GY_TRY(gy_db_get_i64(db, "SELECT experiment_id FROM runs WHERE seq = ?", GY_VALS(gy_vi(seq)),
                         &found, &experiment_id, err));
    for (size_t i = 0; i < n_datasets; i++) {
        GY_TRY(put_dataset(db, seq, experiment_id, &datasets[i], actor, err));
    }
    return put_models(db, seq, "input", models, n_models, err);
}

gy_status gy_run_log_outputs(struct gy_db *db, struct gy_str id, const struct gy_run_model *models,
                             size_t n_models, struct gy_err *err)
{
    int64_t seq = 0;
    GY_TRY(gy_run_find(db, id, true, &seq, err));
    return put_models(db, seq, "output", models, n_models, err);
}

gy_status gy_run_check_model(struct gy_str json, struct gy_err *err)
{
    static const char *const needed[] = {"artifact_path", "flavors", "utc_time_created", "run_id"};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(json, &doc, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "Malformed model info. \n not valid JSON");
    }
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!yyjson_obj_get(yyjson_doc_get_root(doc), needed[i])) {
            return gy_err_set(err, GY_E_INVALID, "Model json is missing mandatory fields: ['%s']",
                              needed[i]);
        }
    }
    return GY_OK;
}

gy_status gy_run_note_model(struct gy_db *db, struct gy_str id, struct gy_str json,
                            struct gy_str actor, struct gy_arena *a, struct gy_err *err)
{
    static const struct gy_str tag = {"mlflow.log-model.history",
                                      sizeof "mlflow.log-model.history" - 1};
    int64_t seq = 0;
    bool found = false;
    struct gy_str old = GY_STR_NULL;
    GY_TRY(gy_run_find(db, id, true, &seq, err));
    GY_TRY(gy_db_get_str(db, "SELECT value FROM run_tags WHERE run = ? AND key = ?",
                         GY_VALS(gy_vi(seq), gy_vs(tag)), a, &found, &old, err));
    size_t end = found && old.n > 2 && old.p[old.n - 1] == ']' ? old.n - 1 : 0;
    const char *joined = gy_arena_printf(a, "%.*s%s%" GY_STR_F "]", (int)end, end ? old.p : "",
                                         end ? ", " : "[", GY_STR_A(json));
    if (!joined) {
        return gy_track_nomem(err);
    }
    struct gy_tag t = {tag, gy_str_c(joined)};
    struct gy_run_batch b = {.tags = &t, .n_tags = 1};
    return gy_run_log(db, id, &b, true, actor, err);
}

gy_status gy_run_datasets(struct gy_db *db, const int64_t *experiment_ids, size_t n_ids,
                          struct gy_arena *a, struct gy_dataset_summary **ret, size_t *ret_n,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, a);
    gy_sql_add(&b, "SELECT DISTINCT d.experiment_id, d.name, d.digest, t.value FROM run_datasets d "
                   "JOIN experiments e ON e.id = d.experiment_id JOIN run_inputs i ON i.dataset_id "
                   "= d.id LEFT JOIN run_input_tags t ON t.run = i.run AND t.dataset_id = d.id AND "
                   "t.key = 'mlflow.data.context' WHERE e.workspace_id = ");
    gy_sql_bind(&b, gy_vs(gy_db_workspace(db)));
    gy_sql_add(&b, " AND d.experiment_id IN (");
    for (size_t i = 0; i < n_ids; i++) {
        gy_sql_add(&b, i ? ", " : "");
        gy_sql_bind(&b, gy_vi(experiment_ids[i]));
    }
    gy_sql_add(&b, ") ORDER BY d.experiment_id, d.name, d.digest, t.value LIMIT ");
    gy_sql_bind(&b, gy_vi(GY_TRACK_MAX_SUMMARIES));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&b, db, &st, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_dataset_summary), err));
        ((struct gy_dataset_summary *)items)[n++] = (struct gy_dataset_summary){
            gy_col_i64(st, 0), gy_col_dup(st, 1, a), gy_col_dup(st, 2, a), gy_col_dup(st, 3, a)};
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
