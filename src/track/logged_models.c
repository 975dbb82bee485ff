/* SPDX-License-Identifier: Apache-2.0 */
#include "track/logged_models.h"

#include <stdio.h>

#include "base/id.h"
#include "base/time.h"
#include "store/scope.h"
#include "track/experiments.h"
#include "track/page.h"

#define COLUMNS                                                                               \
    "l.id, l.name, l.artifact_uri, l.model_type, l.source_run_id, l.actor, l.experiment_id, " \
    "l.status, l.created_us, l.updated_us, l.deleted"
#define N_COLUMNS 11

/* ---- making ---- */

static gy_status check_name(struct gy_str name, struct gy_err *err)
{
    char quote = gy_str_find(name, '\'') == SIZE_MAX ? '\'' : '"'; /* as Python prints it */
    for (size_t i = 0; i < name.n; i++) {
        if (strchr("/:.%\"'", name.p[i])) {
            return gy_err_set(
                err, GY_E_INVALID,
                "Invalid model name (%c%" GY_STR_F
                "%c) provided. Model name must be a non-empty string and cannot "
                "contain the following characters: ('/', ':', '.', '%%', '\"', \"'\")",
                quote, GY_STR_A(gy_str_sub(name, 0, 200)), quote);
        }
    }
    return gy_track_check_length(name, GY_TRACK_MAX_EXPERIMENT_NAME, "name", err);
}

static gy_status put_tags(struct gy_db *db, struct gy_str id, const struct gy_tag *tags, size_t n,
                          struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_track_check_key(tags[i].key, "key", err));
        GY_TRY(gy_track_check_length(tags[i].key, GY_TRACK_MAX_KEY, "key", err));
        struct gy_str value = tags[i].value.p ? tags[i].value : GY_STR("");
        GY_TRY(
            gy_db_exec(db,
                       "INSERT INTO logged_model_tags (model_id, key, value) VALUES (?, ?, ?) ON "
                       "CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
                       GY_VALS(gy_vs(id), gy_vs(tags[i].key),
                               gy_vs(gy_track_cut(value, GY_TRACK_MAX_TAG_VALUE))),
                       NULL, err));
    }
    return GY_OK;
}

static gy_status put_params(struct gy_db *db, struct gy_str id, const struct gy_tag *params,
                            size_t n, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        int64_t added = 0, same = 0;
        bool found = false;
        GY_TRY(gy_track_check_key(params[i].key, "key", err));
        GY_TRY(gy_track_check_length(params[i].key, GY_TRACK_MAX_KEY, "Param key", err));
        struct gy_str value = gy_track_cut(params[i].value.p ? params[i].value : GY_STR(""),
                                           GY_TRACK_MAX_PARAM_VALUE);
        GY_TRY(gy_db_exec(db,
                          "INSERT INTO logged_model_params (model_id, key, value) VALUES (?, ?, ?) "
                          "ON CONFLICT DO NOTHING",
                          GY_VALS(gy_vs(id), gy_vs(params[i].key), gy_vs(value)), &added, err));
        if (added > 0) {
            continue;
        }
        GY_TRY(gy_db_get_i64(db,
                             "SELECT 1 FROM logged_model_params WHERE model_id = ? AND key = ? AND "
                             "value = ?",
                             GY_VALS(gy_vs(id), gy_vs(params[i].key), gy_vs(value)), &found, &same,
                             err));
        if (!found) {
            return gy_err_set(err, GY_E_INVALID,
                              "Changing param values is not allowed. Param with key='%" GY_STR_F
                              "' was already logged for model ID='%" GY_STR_F "'.",
                              GY_STR_A(gy_str_sub(params[i].key, 0, 250)),
                              GY_STR_A(gy_str_sub(id, 0, 100)));
        }
    }
    return GY_OK;
}

gy_status gy_logged_model_create(struct gy_db *db, const struct gy_logged_model_new *in,
                                 struct gy_str actor, struct gy_arena *a,
                                 struct gy_logged_model *ret, struct gy_err *err)
{
    struct gy_str location, name = in->name;
    char made[32], hex[33], id[40], tail[80];
    GY_TRY(check_name(name, err));
    int64_t experiment_id = in->experiment_id;
    GY_TRY(gy_experiment_resolve(db, &experiment_id, err));
    GY_TRY(gy_experiment_need_active(db, experiment_id, a, &location, err));
    if (name.n == 0) {
        GY_TRY(gy_track_random_name(made, err));
        name = gy_str_c(made);
    }
    GY_TRY(gy_new_hex32(hex, err));
    snprintf(id, sizeof id, "m-%s", hex);
    snprintf(tail, sizeof tail, "models/%s/artifacts", id);
    struct gy_str uri = gy_track_uri_join(a, location, tail);
    if (!uri.p) {
        return gy_track_nomem(err);
    }
    int64_t now = gy_now_us();
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO logged_models (id, workspace_id, experiment_id, name, artifact_uri, status, "
        "model_type, source_run_id, actor, created_us, updated_us) VALUES (?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vc(id), gy_vs(gy_db_workspace(db)), gy_vi(experiment_id), gy_vs(name),
                gy_vs(uri), gy_vi(GY_LOGGED_PENDING), gy_vs(in->model_type),
                gy_vs(in->source_run_id), gy_vs(actor), gy_vi(now), gy_vi(now)),
        NULL, err));
    GY_TRY(put_params(db, gy_str_c(id), in->params, in->n_params, err));
    GY_TRY(put_tags(db, gy_str_c(id), in->tags, in->n_tags, err));
    return gy_logged_model_get(db, gy_str_c(id), false, a, ret, err);
}

/* ---- reading ---- */

static gy_status not_found(struct gy_str id, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTFOUND, "Logged model with ID '%" GY_STR_F "' not found.",
                      GY_STR_A(gy_str_sub(id, 0, 200)));
}

static gy_status read_row(struct gy_db *db, struct gy_stmt *st, struct gy_arena *a,
                          struct gy_logged_model *m, struct gy_err *err)
{
    *m = (struct gy_logged_model){
        .id = gy_col_dup(st, 0, a),
        .name = gy_col_dup(st, 1, a),
        .artifact_uri = gy_col_dup(st, 2, a),
        .model_type = gy_col_dup(st, 3, a),
        .source_run_id = gy_col_dup(st, 4, a),
        .actor = gy_col_dup(st, 5, a),
        .experiment_id = gy_col_i64(st, 6),
        .status = (enum gy_logged_status)gy_col_i64(st, 7),
        .created_us = gy_col_i64(st, 8),
        .updated_us = gy_col_i64(st, 9),
        .deleted = gy_col_i64(st, 10) != 0,
    };
    if (!m->id.p || !m->artifact_uri.p) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_track_tags(db,
                         "SELECT key, value FROM logged_model_tags WHERE model_id = ? ORDER BY key",
                         gy_vs(m->id), a, &m->tags, &m->n_tags, err));
    GY_TRY(gy_track_tags(
        db, "SELECT key, value FROM logged_model_params WHERE model_id = ? ORDER BY key",
        gy_vs(m->id), a, &m->params, &m->n_params, err));
    return gy_metrics_of_model(db, m->id, a, &m->metrics, &m->n_metrics, err);
}

gy_status gy_logged_model_get(struct gy_db *db, struct gy_str id, bool allow_deleted,
                              struct gy_arena *a, struct gy_logged_model *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db, "SELECT " COLUMNS " FROM logged_models l WHERE l.id = ? AND l.workspace_id = ?",
        GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found || (!allow_deleted && gy_col_i64(st, 10))) {
        return not_found(id, err);
    }
    return read_row(db, st, a, ret, err);
}

static gy_status need(struct gy_db *db, struct gy_str id, bool allow_deleted, struct gy_err *err)
{
    bool found = false;
    int64_t one = 0;
    GY_TRY(gy_db_get_i64(
        db, "SELECT 1 FROM logged_models WHERE id = ? AND workspace_id = ? AND deleted <= ?",
        GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db)), gy_vi(allow_deleted)), &found, &one, err));
    return found ? GY_OK : not_found(id, err);
}

/* ---- changing ---- */

gy_status gy_logged_model_finalize(struct gy_db *db, struct gy_str id, enum gy_logged_status status,
                                   struct gy_err *err)
{
    GY_TRY(need(db, id, true, err));
    return gy_db_exec(db, "UPDATE logged_models SET status = ?, updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vi(status), gy_vi(gy_now_us()), gy_vs(id)), NULL, err);
}

gy_status gy_logged_model_delete(struct gy_db *db, struct gy_str id, struct gy_err *err)
{
    GY_TRY(need(db, id, true, err));
    return gy_db_exec(
        db, "UPDATE logged_models SET deleted = 1, deleted_us = ?, updated_us = ? WHERE id = ?",
        GY_VALS(gy_vi(gy_now_us()), gy_vi(gy_now_us()), gy_vs(id)), NULL, err);
}

gy_status gy_logged_model_set_tags(struct gy_db *db, struct gy_str id, const struct gy_tag *tags,
                                   size_t n, struct gy_err *err)
{
    GY_TRY(need(db, id, false, err));
    return put_tags(db, id, tags, n, err);
}

gy_status gy_logged_model_delete_tag(struct gy_db *db, struct gy_str id, struct gy_str key,
                                     struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(need(db, id, false, err));
    GY_TRY(gy_db_exec(db, "DELETE FROM logged_model_tags WHERE model_id = ? AND key = ?",
                      GY_VALS(gy_vs(id), gy_vs(key)), &n, err));
    if (n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "No tag with key '%" GY_STR_F "' found for model with ID '%" GY_STR_F
                          "'.",
                          GY_STR_A(gy_str_sub(key, 0, 250)), GY_STR_A(gy_str_sub(id, 0, 100)));
    }
    return GY_OK;
}

gy_status gy_logged_model_log_params(struct gy_db *db, struct gy_str id,
                                     const struct gy_tag *params, size_t n, struct gy_err *err)
{
    GY_TRY(need(db, id, false, err));
    return put_params(db, id, params, n, err);
}

/* ---- searching ---- */

gy_status gy_logged_order(struct gy_str field, bool ascending, struct gy_str dataset,
                          struct gy_str digest, struct gy_arena *a, struct gy_search_order *ret,
                          struct gy_err *err)
{
    struct gy_search_order *parsed = NULL;
    GY_TRY(gy_search_parse_order(GY_SEARCH_LOGGED_MODELS, &field, 1, a, &parsed, err));
    *ret = parsed[0];
    ret->descending = !ascending;
    ret->dataset_name = dataset;
    ret->dataset_digest = digest;
    return GY_OK;
}

static gy_status search_sort(struct gy_sort *sort, const struct gy_logged_query *q,
                             struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(gy_sort_add_order(sort, q->order, q->n_order, a, err));
    gy_sort_add(sort, "(l.created_us / 1000)", GY_VAL_INT, true);
    gy_sort_add(sort, "l.id", GY_VAL_TEXT, false);
    return GY_OK;
}

/* What tells one search from another in its tokens besides filter and experiments. */
static gy_status search_parts(const struct gy_logged_query *q, struct gy_arena *a,
                              struct gy_str **ret, size_t *ret_n, struct gy_err *err)
{
    size_t n = 0;
    struct gy_str *parts =
        gy_arena_calloc(a, 2 * q->n_datasets + 4 * q->n_order + 1, sizeof *parts);
    if (!parts) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < q->n_datasets; i++) {
        parts[n++] = q->datasets[i].name;
        parts[n++] = q->datasets[i].digest;
    }
    for (size_t i = 0; i < q->n_order; i++) {
        const struct gy_search_order *o = &q->order[i];
        parts[n++] = o->key;
        parts[n++] = o->descending ? GY_STR("-") : GY_STR("+");
        parts[n++] = o->dataset_name;
        parts[n++] = o->dataset_digest;
    }
    *ret = parts;
    *ret_n = n;
    return GY_OK;
}

static gy_status search_statement(struct gy_sql_builder *b, struct gy_db *db,
                                  const struct gy_logged_query *q, struct gy_sort *sort,
                                  struct gy_arena *a, struct gy_page *ret_page, struct gy_err *err)
{
    struct gy_search filter;
    struct gy_str *parts = NULL;
    size_t n_parts = 0;
    GY_TRY(gy_search_parse(GY_SEARCH_LOGGED_MODELS, q->filter, a, &filter, err));
    GY_TRY(search_sort(sort, q, a, err));
    GY_TRY(search_parts(q, a, &parts, &n_parts, err));
    GY_TRY(gy_page_open_search(db, sort, "logged-models", q->filter, q->experiment_ids,
                               q->n_experiment_ids, parts, n_parts, q->page_token, a, ret_page,
                               err));
    gy_sql_add(b, "SELECT " COLUMNS);
    gy_sort_columns(b, sort);
    gy_sql_add(b, " FROM logged_models l");
    gy_search_joins(b, GY_SEARCH_LOGGED_MODELS, q->order, q->n_order);
    gy_sql_add(b, " WHERE l.deleted = 0 AND l.workspace_id = ");
    gy_sql_bind(b, gy_vs(gy_db_workspace(db)));
    gy_sql_add(b, " AND l.experiment_id IN (");
    for (size_t i = 0; i < q->n_experiment_ids; i++) {
        gy_sql_add(b, i ? ", " : "");
        gy_sql_bind(b, gy_vi(q->experiment_ids[i]));
    }
    gy_sql_add(b, ")");
    gy_search_where(b, GY_SEARCH_LOGGED_MODELS, &filter, q->datasets, q->n_datasets);
    gy_sort_after(b, sort, ret_page->after);
    gy_sort_order(b, sort);
    gy_sql_add(b, " LIMIT ");
    gy_sql_bind(b, gy_vi(q->max_results + 1));
    return GY_OK;
}

gy_status gy_logged_model_search(struct gy_db *db, const struct gy_logged_query *q,
                                 struct gy_arena *a, struct gy_logged_model **ret, size_t *ret_n,
                                 struct gy_str *ret_token, struct gy_err *err)
{
    struct gy_sort sort = {.n = 0};
    struct gy_page page;
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, a);
    GY_TRY(search_statement(&b, db, q, &sort, a, &page, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&b, db, &st, err));
    void *items = NULL;
    struct gy_val *last = NULL;
    size_t n = 0, cap = 0;
    *ret_token = GY_STR_NULL;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        if ((int64_t)n == q->max_results) {
            GY_TRY(gy_page_token(&page, &sort, last, a, ret_token, err));
            break;
        }
        if ((int64_t)n + 1 == q->max_results) {
            GY_TRY(gy_sort_read(st, N_COLUMNS, &sort, a, &last, err));
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_logged_model), err));
        GY_TRY(read_row(db, st, a, &((struct gy_logged_model *)items)[n++], err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
