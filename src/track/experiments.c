/* SPDX-License-Identifier: Apache-2.0 */
#include "track/experiments.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/time.h"
#include "store/scope.h"
#include "track/page.h"

#define COLUMNS "e.id, e.name, e.artifact_location, e.deleted, e.actor, e.created_us, e.updated_us"
#define N_COLUMNS 7

/* ---- making ---- */

/* Only schemes of the web have params ("http://h/p;x=1"); elsewhere ';' is a letter. */
static bool has_params(struct gy_str location)
{
    bool web = gy_str_starts(location, GY_STR("http:")) ||
               gy_str_starts(location, GY_STR("https:")) || gy_str_starts(location, GY_STR("ftp:"));
    return web && gy_str_find(location, ';') != SIZE_MAX;
}

/* An absolute place: URIs stay as they are, paths are taken from the working folder. */
static gy_status check_location(struct gy_str location, struct gy_arena *a, struct gy_str *ret,
                                struct gy_err *err)
{
    GY_TRY(gy_track_check_length(location, GY_TRACK_MAX_URI, "artifact_location", err));
    size_t colon = gy_str_find(location, ':');
    bool uri = colon != SIZE_MAX && colon > 1;
    for (size_t i = 0; uri && i < colon; i++) {
        char c = location.p[i];
        uri = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '-' || c == '.';
    }
    if (gy_str_starts(location, GY_STR("runs:"))) {
        return gy_err_set(err, GY_E_INVALID,
                          "Artifact location cannot be a runs:/ URI. Given: '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(location, 0, 200)));
    }
    if (uri && (gy_str_find(location, '#') != SIZE_MAX || has_params(location))) {
        return gy_err_set(err, GY_E_INVALID,
                          "'artifact_location' URL can't include fragments or params.");
    }
    if (uri || location.p[0] == '/') {
        *ret = location;
        return GY_OK;
    }
    char here[GY_MAX_PATH];
    if (!getcwd(here, sizeof here)) {
        return gy_err_sys(err, errno, "the working folder");
    }
    const char *joined =
        gy_arena_printf(a, "%s/%" GY_STR_F, here, GY_STR_A(gy_str_sub(location, 0, 2048)));
    if (!joined) {
        return gy_track_nomem(err);
    }
    *ret = gy_str_c(joined);
    return GY_OK;
}

static gy_status check_name(struct gy_str name, struct gy_err *err)
{
    if (gy_str_trim(name).n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Invalid experiment name: '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(name, 0, 100)));
    }
    return gy_track_check_length(name, GY_TRACK_MAX_EXPERIMENT_NAME, "name", err);
}

static gy_status check_tag(struct gy_str key, struct gy_str value, struct gy_err *err)
{
    GY_TRY(gy_track_check_key(key, "key", err));
    GY_TRY(gy_track_check_length(key, GY_TRACK_MAX_KEY, "key", err));
    return gy_track_check_length(value, GY_TRACK_MAX_EXPERIMENT_TAG_VALUE, "value", err);
}

static gy_status put_tag(struct gy_db *db, int64_t id, struct gy_str key, struct gy_str value,
                         struct gy_err *err)
{
    GY_TRY(check_tag(key, value, err));
    return gy_db_exec(db,
                      "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (?, ?, ?) "
                      "ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
                      GY_VALS(gy_vi(id), gy_vs(key), gy_vs(value.p ? value : GY_STR(""))), NULL,
                      err);
}

gy_status gy_experiment_next_id(struct gy_db *db, int64_t *ret, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(
        db,
        "SELECT COALESCE(MAX(n), 0) + 1 FROM (SELECT MAX(id) AS n FROM experiments "
        "UNION ALL SELECT MAX(CAST(SUBSTR(subject, 12) AS INTEGER)) FROM events "
        "WHERE kind = 'experiment.purged') x", /* "experiment:ID" */
        GY_NO_VALS, &found, ret, err);
}

gy_status gy_experiment_create(struct gy_db *db, struct gy_str name, struct gy_str location,
                               const struct gy_tag *tags, size_t n_tags, struct gy_str actor,
                               struct gy_arena *a, int64_t *ret_id, struct gy_err *err)
{
    GY_TRY(check_name(name, err));
    if (location.n > 0) {
        GY_TRY(check_location(location, a, &location, err));
    }
    bool found = false;
    int64_t deleted = 0, id = 0;
    struct gy_val workspace = gy_vs(gy_db_workspace(db));
    GY_TRY(gy_db_get_i64(db, "SELECT deleted FROM experiments WHERE workspace_id = ? AND name = ?",
                         GY_VALS(workspace, gy_vs(name)), &found, &deleted, err));
    if (found) {
        return gy_err_set(err, GY_E_EXISTS, "Experiment(name=%" GY_STR_F ") already exists.%s",
                          GY_STR_A(gy_str_sub(name, 0, 300)),
                          deleted ? " It is deleted: restore it, or choose another name." : "");
    }
    GY_TRY(gy_experiment_next_id(db, &id, err));
    if (location.n == 0) {
        const char *place = gy_arena_printf(a, "mlflow-artifacts:/%lld", (long long)id);
        if (!place) {
            return gy_track_nomem(err);
        }
        location = gy_str_c(place);
    }
    int64_t now = gy_now_us();
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO experiments (id, workspace_id, name, artifact_location, actor, created_us, "
        "updated_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vi(id), workspace, gy_vs(name), gy_vs(location), gy_vs(actor), gy_vi(now),
                gy_vi(now)),
        NULL, err));
    for (size_t i = 0; i < n_tags; i++) {
        GY_TRY(put_tag(db, id, tags[i].key, tags[i].value, err));
    }
    *ret_id = id;
    return GY_OK;
}

static gy_status any_experiment(struct gy_db *db, void *ctx, struct gy_err *err)
{
    int64_t one = 0;
    return gy_db_get_i64(db, "SELECT id FROM experiments WHERE workspace_id = ? LIMIT 1",
                         GY_VALS(gy_vs(gy_db_workspace(db))), ctx, &one, err);
}

static bool in_default_workspace(struct gy_str workspace)
{
    return gy_str_eqc(workspace, GY_WORKSPACE_DEFAULT);
}

/* Id 0 is the one of the workspace "default". */
static gy_status make_default(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    struct gy_str workspace = gy_db_workspace(db);
    int64_t now = gy_now_us(), id = 0;
    char place[48];
    if (!in_default_workspace(workspace)) {
        GY_TRY(gy_experiment_next_id(db, &id, err));
    }
    snprintf(place, sizeof place, "mlflow-artifacts:/%lld", (long long)id);
    return gy_db_exec(db,
                      "INSERT INTO experiments (id, workspace_id, name, artifact_location, actor, "
                      "created_us, updated_us) VALUES (?, ?, 'Default', ?, 'gyre', ?, ?) "
                      "ON CONFLICT DO NOTHING",
                      GY_VALS(gy_vi(id), gy_vs(workspace), gy_vc(place), gy_vi(now), gy_vi(now)),
                      NULL, err);
}

gy_status gy_experiments_init(struct gy_store *s, struct gy_err *err)
{
    bool any = false;
    GY_TRY(gy_store_read(s, any_experiment, &any, err));
    return any ? GY_OK : gy_store_write(s, make_default, NULL, err);
}

gy_status gy_experiments_enter(struct gy_store *s, struct gy_err *err)
{
    const struct gy_scope *scope = gy_scope_current();
    return !scope || !scope->workspace.p || in_default_workspace(scope->workspace)
               ? GY_OK
               : gy_experiments_init(s, err);
}

gy_status gy_experiment_resolve(struct gy_db *db, int64_t *id, struct gy_err *err)
{
    struct gy_str workspace = gy_db_workspace(db);
    bool found = false;
    if (*id != 0 || in_default_workspace(workspace)) {
        return GY_OK;
    }
    return gy_db_get_i64(db,
                         "SELECT id FROM experiments WHERE workspace_id = ? AND name = 'Default'",
                         GY_VALS(gy_vs(workspace)), &found, id, err);
}

/* ---- reading ---- */

static gy_status read_row(struct gy_db *db, struct gy_stmt *st, struct gy_arena *a,
                          struct gy_experiment *e, struct gy_err *err)
{
    *e = (struct gy_experiment){
        .id = gy_col_i64(st, 0),
        .name = gy_col_dup(st, 1, a),
        .artifact_location = gy_col_dup(st, 2, a),
        .deleted = gy_col_i64(st, 3) != 0,
        .actor = gy_col_dup(st, 4, a),
        .created_us = gy_col_i64(st, 5),
        .updated_us = gy_col_i64(st, 6),
    };
    return gy_track_tags(
        db, "SELECT key, value FROM experiment_tags WHERE experiment_id = ? ORDER BY key",
        gy_vi(e->id), a, &e->tags, &e->n_tags, err);
}

/* sql asks for a key within a workspace. */
static gy_status get_one(struct gy_db *db, const char *sql, struct gy_val key, struct gy_arena *a,
                         bool *ret_found, struct gy_experiment *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, GY_VALS(key, gy_vs(gy_db_workspace(db))), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_row(db, st, a, ret, err) : GY_OK;
}

static gy_status not_found(int64_t id, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTFOUND, "No Experiment with id=%lld exists", (long long)id);
}

gy_status gy_experiment_get(struct gy_db *db, int64_t id, struct gy_arena *a,
                            struct gy_experiment *ret, struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_experiment_resolve(db, &id, err));
    GY_TRY(get_one(db,
                   "SELECT " COLUMNS " FROM experiments e WHERE e.id = ? AND e.workspace_id = ?",
                   gy_vi(id), a, &found, ret, err));
    return found ? GY_OK : not_found(id, err);
}

gy_status gy_experiment_get_by_name(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                    struct gy_experiment *ret, struct gy_err *err)
{
    bool found = false;
    GY_TRY(get_one(db,
                   "SELECT " COLUMNS " FROM experiments e WHERE e.name = ? AND e.workspace_id = ?",
                   gy_vs(name), a, &found, ret, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "Could not find experiment with name '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(name, 0, 300)));
    }
    return GY_OK;
}

/* ---- changing ---- */

gy_status gy_experiment_set_deleted(struct gy_db *db, int64_t id, bool deleted, struct gy_err *err)
{
    int64_t n = 0, now_us = gy_now_us();
    GY_TRY(gy_db_exec(db,
                      "UPDATE experiments SET deleted = ?, deleted_us = ?, updated_us = ? WHERE "
                      "id = ? AND deleted = ? AND workspace_id = ?",
                      GY_VALS(gy_vi(deleted), gy_vi(now_us), gy_vi(now_us), gy_vi(id),
                              gy_vi(!deleted), gy_vs(gy_db_workspace(db))),
                      &n, err));
    if (n == 0) {
        return not_found(id, err);
    }
    return gy_db_exec(db, "UPDATE runs SET deleted = ?, deleted_us = ? WHERE experiment_id = ?",
                      GY_VALS(gy_vi(deleted), gy_vi(now_us), gy_vi(id)), NULL, err);
}

gy_status gy_experiment_need_active(struct gy_db *db, int64_t id, struct gy_arena *a,
                                    struct gy_str *ret_location, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db, "SELECT deleted, artifact_location FROM experiments WHERE id = ? AND workspace_id = ?",
        GY_VALS(gy_vi(id), gy_vs(gy_db_workspace(db))), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return not_found(id, err);
    }
    if (gy_col_i64(st, 0)) {
        return gy_err_set(err, GY_E_INVALID,
                          "The experiment %lld must be in the 'active' state. Current state is "
                          "deleted.",
                          (long long)id);
    }
    if (ret_location) {
        *ret_location = gy_col_dup(st, 1, a);
        if (!ret_location->p) {
            return gy_track_nomem(err);
        }
    }
    return GY_OK;
}

gy_status gy_experiment_rename(struct gy_db *db, int64_t id, struct gy_str name, struct gy_err *err)
{
    GY_TRY(check_name(name, err));
    bool found = false;
    int64_t deleted = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT deleted FROM experiments WHERE id = ? AND workspace_id = ?",
                         GY_VALS(gy_vi(id), gy_vs(gy_db_workspace(db))), &found, &deleted, err));
    if (!found) {
        return not_found(id, err);
    }
    if (deleted) {
        return gy_err_set(err, GY_E_CONFLICT, "Cannot rename a non-active experiment.");
    }
    int64_t other = 0;
    GY_TRY(gy_db_get_i64(
        db, "SELECT id FROM experiments WHERE name = ? AND id <> ? AND workspace_id = ?",
        GY_VALS(gy_vs(name), gy_vi(id), gy_vs(gy_db_workspace(db))), &found, &other, err));
    if (found) {
        return gy_err_set(err, GY_E_EXISTS, "Experiment(name=%" GY_STR_F ") already exists.",
                          GY_STR_A(gy_str_sub(name, 0, 300)));
    }
    return gy_db_exec(db, "UPDATE experiments SET name = ?, updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vs(name), gy_vi(gy_now_us()), gy_vi(id)), NULL, err);
}

static gy_status touch(struct gy_db *db, int64_t id, struct gy_err *err)
{
    return gy_db_exec(db, "UPDATE experiments SET updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vi(gy_now_us()), gy_vi(id)), NULL, err);
}

gy_status gy_experiment_set_tag(struct gy_db *db, int64_t id, struct gy_str key,
                                struct gy_str value, struct gy_err *err)
{
    GY_TRY(check_tag(key, value, err));
    GY_TRY(gy_experiment_need_active(db, id, NULL, NULL, err));
    GY_TRY(put_tag(db, id, key, value, err));
    return touch(db, id, err);
}

gy_status gy_experiment_delete_tag(struct gy_db *db, int64_t id, struct gy_str key,
                                   struct gy_err *err)
{
    GY_TRY(gy_experiment_need_active(db, id, NULL, NULL, err));
    int64_t n = 0;
    GY_TRY(gy_db_exec(db, "DELETE FROM experiment_tags WHERE experiment_id = ? AND key = ?",
                      GY_VALS(gy_vi(id), gy_vs(key)), &n, err));
    if (n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "No tag with name: %" GY_STR_F " in experiment with id %lld",
                          GY_STR_A(gy_str_sub(key, 0, 250)), (long long)id);
    }
    return touch(db, id, err);
}

/* ---- searching ---- */

/* MLflow's: newest first, then by number; behind any other order the greater number first. */
static gy_status search_sort(struct gy_sort *sort, const struct gy_experiment_query *q,
                             const struct gy_search_order *order, struct gy_arena *a,
                             struct gy_err *err)
{
    GY_TRY(gy_sort_add_order(sort, order, q->n_order_by, a, err));
    if (q->n_order_by == 0) {
        gy_sort_add(sort, "(e.created_us / 1000)", GY_VAL_INT, true);
    }
    gy_sort_add(sort, "e.id", GY_VAL_INT, q->n_order_by > 0);
    return GY_OK;
}

static gy_status search_statement(struct gy_sql_builder *b, struct gy_db *db,
                                  const struct gy_experiment_query *q, struct gy_sort *sort,
                                  struct gy_arena *a, struct gy_page *ret_page, struct gy_err *err)
{
    struct gy_search filter;
    struct gy_search_order *order = NULL;
    const struct gy_str view = q->view == GY_VIEW_ACTIVE    ? GY_STR(" AND e.deleted = 0")
                               : q->view == GY_VIEW_DELETED ? GY_STR(" AND e.deleted = 1")
                                                            : GY_STR("");
    GY_TRY(gy_search_parse(GY_SEARCH_EXPERIMENTS, q->filter, a, &filter, err));
    GY_TRY(
        gy_search_parse_order(GY_SEARCH_EXPERIMENTS, q->order_by, q->n_order_by, a, &order, err));
    GY_TRY(search_sort(sort, q, order, a, err));
    const int64_t which = q->view;
    GY_TRY(gy_page_open_search(db, sort, "experiments", q->filter, &which, 1, q->order_by,
                               q->n_order_by, q->page_token, a, ret_page, err));
    gy_sql_add(b, "SELECT " COLUMNS);
    gy_sort_columns(b, sort);
    gy_sql_add(b, " FROM experiments e WHERE e.workspace_id = ");
    gy_sql_bind(b, gy_vs(gy_db_workspace(db)));
    gy_sql_add(b, view.p);
    gy_search_where(b, GY_SEARCH_EXPERIMENTS, &filter, NULL, 0);
    gy_sort_after(b, sort, ret_page->after);
    gy_sort_order(b, sort);
    gy_sql_add(b, " LIMIT ");
    gy_sql_bind(b, gy_vi(q->max_results + 1));
    return GY_OK;
}

gy_status gy_experiment_search(struct gy_db *db, const struct gy_experiment_query *q,
                               struct gy_arena *a, struct gy_experiment **ret, size_t *ret_n,
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
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_experiment), err));
        GY_TRY(read_row(db, st, a, &((struct gy_experiment *)items)[n++], err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
