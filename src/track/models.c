/* SPDX-License-Identifier: Apache-2.0 */
#include "track/models.h"

#include "base/limits.h"
#include "base/time.h"
#include "store/scope.h"
#include "store/verdicts.h"
#include "track/history.h"
#include "track/page.h"

#define COLUMNS "m.id, m.name, m.description, m.actor, m.created_us, m.updated_us"
#define N_COLUMNS 6

/* ---- checks ---- */

static gy_status check_name(struct gy_str name, struct gy_err *err)
{
    if (gy_str_trim(name).n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Missing value for required parameter 'name'.");
    }
    if (gy_str_find(name, '/') != SIZE_MAX || gy_str_find(name, ':') != SIZE_MAX) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid model name '%" GY_STR_F "'. Names cannot contain '/' or ':'.",
                          GY_STR_A(gy_str_sub(name, 0, 300)));
    }
    return gy_track_check_length(name, GY_TRACK_MAX_MODEL_NAME, "name", err);
}

gy_status gy_model_check_alias(struct gy_str alias, struct gy_err *err)
{
    if (alias.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "Registered model alias name cannot be empty.");
    }
    for (size_t i = 0; i < alias.n; i++) {
        unsigned char c = (unsigned char)alias.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-' || c >= 0x80;
        if (!word) {
            return gy_err_set(err, GY_E_INVALID,
                              "Invalid alias name: '%" GY_STR_F
                              "'. Names may only contain alphanumerics, underscores (_), and "
                              "dashes (-).",
                              GY_STR_A(gy_str_sub(alias, 0, 255)));
        }
    }
    GY_TRY(gy_track_check_length(alias, GY_TRACK_MAX_ALIAS, "Registered model alias name", err));
    if (gy_str_ieq(alias, GY_STR("latest"))) {
        return gy_err_set(err, GY_E_INVALID, "'latest' alias name (case insensitive) is reserved.");
    }
    bool version = alias.n > 1 && (alias.p[0] == 'v' || alias.p[0] == 'V');
    for (size_t i = 1; version && i < alias.n; i++) {
        version = alias.p[i] >= '0' && alias.p[i] <= '9';
    }
    if (version) {
        return gy_err_set(err, GY_E_INVALID, "Version alias name '%" GY_STR_F "' is reserved.",
                          GY_STR_A(gy_str_sub(alias, 0, 255)));
    }
    return GY_OK;
}

gy_status gy_model_check_tag(struct gy_str key, struct gy_str value, struct gy_err *err)
{
    GY_TRY(gy_track_check_key(key, "key", err));
    GY_TRY(gy_track_check_length(key, GY_TRACK_MAX_KEY, "key", err));
    return gy_track_check_length(value, GY_TRACK_MAX_REGISTRY_TAG_VALUE, "value", err);
}

static gy_status not_found(struct gy_str name, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTFOUND, "Registered Model with name=%" GY_STR_F " not found",
                      GY_STR_A(gy_str_sub(name, 0, 300)));
}

gy_status gy_model_find(struct gy_db *db, struct gy_str name, int64_t *ret_id, struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM registered_models WHERE name = ? AND workspace_id = ?",
                         GY_VALS(gy_vs(name), gy_vs(gy_db_workspace(db))), &found, ret_id, err));
    return found ? GY_OK : not_found(name, err);
}

gy_status gy_model_touch(struct gy_db *db, int64_t id, struct gy_err *err)
{
    return gy_db_exec(db, "UPDATE registered_models SET updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vi(gy_now_us()), gy_vi(id)), NULL, err);
}

/* ---- making and changing ---- */

/* An empty description is none. */
static struct gy_val or_null(struct gy_str s)
{
    return s.n > 0 ? gy_vs(s) : gy_vnull();
}

static gy_status refuse_taken(struct gy_db *db, struct gy_str name, struct gy_err *err)
{
    bool found = false;
    int64_t id = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT id FROM registered_models WHERE name = ? AND workspace_id = ?",
                         GY_VALS(gy_vs(name), gy_vs(gy_db_workspace(db))), &found, &id, err));
    if (found) {
        return gy_err_set(err, GY_E_EXISTS, "Registered Model (name=%" GY_STR_F ") already exists.",
                          GY_STR_A(gy_str_sub(name, 0, 300)));
    }
    return GY_OK;
}

static gy_status put_tag(struct gy_db *db, int64_t model, struct gy_str key, struct gy_str value,
                         struct gy_err *err)
{
    GY_TRY(gy_model_check_tag(key, value, err));
    return gy_db_exec(db,
                      "INSERT INTO registered_model_tags (model, key, value) VALUES (?, ?, ?) ON "
                      "CONFLICT (model, key) DO UPDATE SET value = excluded.value",
                      GY_VALS(gy_vi(model), gy_vs(key), gy_vs(value.p ? value : GY_STR(""))), NULL,
                      err);
}

gy_status gy_model_create(struct gy_db *db, struct gy_str name, struct gy_str description,
                          const struct gy_tag *tags, size_t n_tags, struct gy_str actor,
                          struct gy_err *err)
{
    int64_t now = gy_now_us();
    GY_TRY(check_name(name, err));
    GY_TRY(gy_track_check_length(description, GY_TRACK_MAX_DESCRIPTION, "description", err));
    GY_TRY(refuse_taken(db, name, err));
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO registered_models (workspace_id, name, description, actor, created_us, "
        "updated_us) VALUES (?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), or_null(description), gy_vs(actor),
                gy_vi(now), gy_vi(now)),
        NULL, err));
    int64_t id = gy_db_last_id(db);
    for (size_t i = 0; i < n_tags; i++) {
        GY_TRY(put_tag(db, id, tags[i].key, tags[i].value, err));
    }
    return GY_OK;
}

/* An alias that is protected under the new name has to be deserved there, too: else renaming would
 * be a way round the gate. */
static gy_status check_aliases_under(struct gy_db *db, int64_t id, struct gy_str new_name,
                                     struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT a.alias, v.digest FROM model_aliases a JOIN model_versions v ON "
                       "v.model = a.model AND v.version = a.version WHERE a.model = ?",
                       GY_VALS(gy_vi(id)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_gate_allows_alias(db, new_name, gy_col_str(st, 0), gy_col_str(st, 1), err));
    }
}

gy_status gy_model_rename(struct gy_db *db, struct gy_str name, struct gy_str new_name,
                          struct gy_str actor, struct gy_err *err)
{
    int64_t id = 0, now = gy_now_us();
    GY_TRY(check_name(new_name, err));
    GY_TRY(gy_model_find(db, name, &id, err));
    if (gy_str_eq(name, new_name)) {
        return GY_OK;
    }
    GY_TRY(refuse_taken(db, new_name, err));
    GY_TRY(check_aliases_under(db, id, new_name, err));
    GY_TRY(gy_protect_renamed(db, name, new_name, err));
    GY_TRY(gy_model_records_renamed(db, name, new_name, actor, err));
    GY_TRY(gy_db_exec(db, "UPDATE registered_models SET name = ?, updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vs(new_name), gy_vi(now), gy_vi(id)), NULL, err));
    return gy_db_exec(db,
                      "UPDATE model_versions SET updated_us = ? WHERE model = ? AND deleted = 0",
                      GY_VALS(gy_vi(now), gy_vi(id)), NULL, err);
}

gy_status gy_model_describe(struct gy_db *db, struct gy_str name, struct gy_str description,
                            struct gy_err *err)
{
    int64_t id = 0;
    GY_TRY(gy_track_check_length(description, GY_TRACK_MAX_DESCRIPTION, "description", err));
    GY_TRY(gy_model_find(db, name, &id, err));
    return gy_db_exec(db,
                      "UPDATE registered_models SET description = ?, updated_us = ? WHERE id = ?",
                      GY_VALS(or_null(description), gy_vi(gy_now_us()), gy_vi(id)), NULL, err);
}

static gy_status drop_aliases(struct gy_db *db, struct gy_str name, int64_t model,
                              struct gy_str actor, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, "SELECT alias, version FROM model_aliases WHERE model = ?",
                       GY_VALS(gy_vi(model)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        const struct gy_model_why why = {.actor = actor};
        GY_TRY(gy_model_note_alias(db, name, gy_col_str(st, 0), gy_col_i64(st, 1), 0, &why, err));
    }
    return gy_db_exec(db, "DELETE FROM model_aliases WHERE model = ?", GY_VALS(gy_vi(model)), NULL,
                      err);
}

gy_status gy_model_delete(struct gy_db *db, struct gy_str name, struct gy_str actor,
                          struct gy_err *err)
{
    static const char *const deletes[] = {
        "DELETE FROM model_version_files WHERE version_id IN (SELECT id FROM model_versions WHERE "
        "model = ?)",
        "DELETE FROM model_version_tags WHERE version_id IN (SELECT id FROM model_versions WHERE "
        "model = ?)",
        "DELETE FROM model_versions WHERE model = ?",
        "DELETE FROM registered_model_tags WHERE model = ?",
        "DELETE FROM registered_models WHERE id = ?",
    };
    int64_t id = 0;
    GY_TRY(gy_model_find(db, name, &id, err));
    GY_TRY(gy_model_refuse_served(db, id, 0, err));
    GY_TRY(drop_aliases(db, name, id, actor, err));
    GY_TRY(gy_model_records_deleted(db, name, 0, actor, err));
    for (size_t i = 0; i < sizeof deletes / sizeof deletes[0]; i++) {
        GY_TRY(gy_db_exec(db, deletes[i], GY_VALS(gy_vi(id)), NULL, err));
    }
    return GY_OK;
}

gy_status gy_model_set_tag(struct gy_db *db, struct gy_str name, struct gy_str key,
                           struct gy_str value, struct gy_err *err)
{
    int64_t id = 0;
    GY_TRY(gy_model_find(db, name, &id, err));
    return put_tag(db, id, key, value, err);
}

gy_status gy_model_delete_tag(struct gy_db *db, struct gy_str name, struct gy_str key,
                              struct gy_err *err)
{
    int64_t id = 0;
    GY_TRY(gy_model_find(db, name, &id, err));
    return gy_db_exec(db, "DELETE FROM registered_model_tags WHERE model = ? AND key = ?",
                      GY_VALS(gy_vi(id), gy_vs(key)), NULL, err);
}

/* ---- aliases ---- */

gy_status gy_model_delete_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                const struct gy_model_why *why, struct gy_err *err)
{
    int64_t id = 0, version = 0;
    bool found = false;
    GY_TRY(gy_model_find(db, name, &id, err));
    GY_TRY(gy_db_get_i64(db, "SELECT version FROM model_aliases WHERE model = ? AND alias = ?",
                         GY_VALS(gy_vi(id), gy_vs(alias)), &found, &version, err));
    if (!found) {
        return GY_OK;
    }
    GY_TRY(gy_db_exec(db, "DELETE FROM model_aliases WHERE model = ? AND alias = ?",
                      GY_VALS(gy_vi(id), gy_vs(alias)), NULL, err));
    return gy_model_note_alias(db, name, alias, version, 0, why, err);
}

gy_status gy_model_by_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                            struct gy_arena *a, struct gy_model_version *ret, struct gy_err *err)
{
    int64_t id = 0, version = 0;
    bool found = false;
    GY_TRY(gy_model_find(db, name, &id, err));
    if (gy_str_ieq(alias, GY_STR("latest"))) {
        GY_TRY(gy_db_get_i64(db,
                             "SELECT version FROM model_versions WHERE model = ? AND deleted = 0 "
                             "ORDER BY version DESC LIMIT 1",
                             GY_VALS(gy_vi(id)), &found, &version, err));
    } else {
        GY_TRY(gy_db_get_i64(db, "SELECT version FROM model_aliases WHERE model = ? AND alias = ?",
                             GY_VALS(gy_vi(id), gy_vs(alias)), &found, &version, err));
    }
    if (!found) {
        return gy_err_set(err, GY_E_INVALID, "Registered model alias %" GY_STR_F " not found.",
                          GY_STR_A(gy_str_sub(alias, 0, 255)));
    }
    return gy_version_get(db, name, version, a, ret, err);
}

gy_status gy_model_alias_history(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                 int64_t max, struct gy_arena *a, struct gy_alias_move **ret,
                                 size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT alias, actor, from_version, to_version, created_us, "
                       "COALESCE(action, CASE WHEN to_version IS NULL THEN 'removed' ELSE 'moved' "
                       "END), reason FROM model_alias_history WHERE workspace_id = ? AND "
                       "model_name = ? AND (? = '' OR alias = ?) ORDER BY id DESC LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name),
                               gy_vs(alias.p ? alias : GY_STR("")),
                               gy_vs(alias.p ? alias : GY_STR("")), gy_vi(max)),
                       &st, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_alias_move), err));
        struct gy_alias_move *m = &((struct gy_alias_move *)items)[n++];
        *m = (struct gy_alias_move){.from_version = gy_col_i64(st, 2),
                                    .to_version = gy_col_i64(st, 3),
                                    .time_us = gy_col_i64(st, 4)};
        GY_TRY(gy_col_copy(st, 0, a, &m->alias, err));
        GY_TRY(gy_col_copy(st, 1, a, &m->actor, err));
        GY_TRY(gy_col_copy(st, 5, a, &m->action, err));
        GY_TRY(gy_col_copy(st, 6, a, &m->reason, err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* ---- reading ---- */

static gy_status read_latest(struct gy_db *db, struct gy_registered_model *m, struct gy_arena *a,
                             struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT " GY_VERSION_COLUMNS
                       " FROM model_versions v JOIN registered_models m ON m.id = v.model WHERE "
                       "v.model = ? AND v.deleted = 0 AND v.version = (SELECT MAX(w.version) FROM "
                       "model_versions w WHERE w.model = v.model AND w.deleted = 0 AND w.stage = "
                       "v.stage) ORDER BY v.version",
                       GY_VALS(gy_vi(m->id)), &st, err));
    void *items = NULL;
    size_t cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, m->n_latest, &cap, sizeof(struct gy_model_version), err));
        GY_TRY(gy_version_read_row(db, st, a, &((struct gy_model_version *)items)[m->n_latest++],
                                   err));
    }
    m->latest = items;
    return GY_OK;
}

static gy_status read_aliases(struct gy_db *db, struct gy_registered_model *m, struct gy_arena *a,
                              struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT alias, version FROM model_aliases WHERE model = ? ORDER BY alias",
                       GY_VALS(gy_vi(m->id)), &st, err));
    void *items = NULL;
    size_t cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, m->n_aliases, &cap, sizeof(struct gy_model_alias), err));
        ((struct gy_model_alias *)items)[m->n_aliases++] =
            (struct gy_model_alias){gy_col_dup(st, 0, a), gy_col_i64(st, 1)};
    }
    m->aliases = items;
    return GY_OK;
}

static gy_status read_model(struct gy_db *db, struct gy_stmt *st, struct gy_arena *a,
                            struct gy_registered_model *m, struct gy_err *err)
{
    *m = (struct gy_registered_model){
        .id = gy_col_i64(st, 0),
        .name = gy_col_dup(st, 1, a),
        .description = gy_col_dup(st, 2, a),
        .actor = gy_col_dup(st, 3, a),
        .created_us = gy_col_i64(st, 4),
        .updated_us = gy_col_i64(st, 5),
    };
    GY_TRY(gy_track_tags(
        db, "SELECT key, value FROM registered_model_tags WHERE model = ? ORDER BY key",
        gy_vi(m->id), a, &m->tags, &m->n_tags, err));
    GY_TRY(read_aliases(db, m, a, err));
    return read_latest(db, m, a, err);
}

gy_status gy_model_get(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                       struct gy_registered_model *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db, "SELECT " COLUMNS " FROM registered_models m WHERE m.name = ? AND m.workspace_id = ?",
        GY_VALS(gy_vs(name), gy_vs(gy_db_workspace(db))), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    return found ? read_model(db, st, a, ret, err) : not_found(name, err);
}

static gy_status search_statement(struct gy_sql_builder *b, struct gy_db *db,
                                  const struct gy_registry_query *q, struct gy_sort *sort,
                                  struct gy_arena *a, struct gy_page *ret_page, struct gy_err *err)
{
    struct gy_search filter;
    struct gy_search_order *order = NULL;
    GY_TRY(gy_search_parse(GY_SEARCH_MODELS, q->filter, a, &filter, err));
    GY_TRY(gy_search_parse_order(GY_SEARCH_MODELS, q->order_by, q->n_order_by, a, &order, err));
    GY_TRY(gy_sort_add_order(sort, order, q->n_order_by, a, err));
    gy_sort_add(sort, "m.name", GY_VAL_TEXT, false);
    GY_TRY(gy_page_open_search(db, sort, "registered-models", q->filter, NULL, 0, q->order_by,
                               q->n_order_by, q->page_token, a, ret_page, err));
    gy_sql_add(b, "SELECT " COLUMNS);
    gy_sort_columns(b, sort);
    gy_sql_add(b, " FROM registered_models m WHERE m.workspace_id = ");
    gy_sql_bind(b, gy_vs(gy_db_workspace(db)));
    gy_search_where(b, GY_SEARCH_MODELS, &filter, NULL, 0);
    gy_sort_after(b, sort, ret_page->after);
    gy_sort_order(b, sort);
    gy_sql_add(b, " LIMIT ");
    gy_sql_bind(b, gy_vi(q->max_results + 1));
    return GY_OK;
}

gy_status gy_model_search(struct gy_db *db, const struct gy_registry_query *q, struct gy_arena *a,
                          struct gy_registered_model **ret, size_t *ret_n, struct gy_str *ret_token,
                          struct gy_err *err)
{
    struct gy_sort sort = {.n = 0};
    struct gy_page page;
    *ret_token = GY_STR_NULL;
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, a);
    GY_TRY(search_statement(&b, db, q, &sort, a, &page, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&b, db, &st, err));
    void *items = NULL;
    struct gy_val *last = NULL;
    size_t n = 0, cap = 0;
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
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_registered_model), err));
        GY_TRY(read_model(db, st, a, &((struct gy_registered_model *)items)[n++], err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
