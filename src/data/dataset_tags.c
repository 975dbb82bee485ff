/* SPDX-License-Identifier: Apache-2.0 */
/* What people say of datasets: tags, which name versions, and a description. */
#include "base/json.h"
#include "base/time.h"
#include "data/dataset_internal.h"
#include "store/scope.h"

/* Room for one more of a list in the arena; NULL: out of memory. */
static void *push(struct gy_arena *a, void **items, size_t n, size_t *cap, size_t bytes)
{
    if (n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        void *grown = gy_arena_calloc(a, more, bytes);
        if (!grown) {
            return NULL;
        }
        if (n > 0) {
            memcpy(grown, *items, n * bytes);
        }
        *items = grown;
        *cap = more;
    }
    return (char *)*items + n * bytes;
}

/* ---- descriptions ---- */

gy_status gy_dataset_description(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                 struct gy_str *ret, struct gy_err *err)
{
    bool found = false;
    *ret = GY_STR_NULL;
    return gy_db_get_str(db, "SELECT description FROM datasets WHERE workspace_id = ? AND name = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name)), a, &found, ret, err);
}

gy_status gy_dataset_describe(struct gy_db *db, struct gy_str name, struct gy_str description,
                              struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_YAML + GY_MIB);
    struct gy_dataset_version v;
    const int64_t now = gy_now_us();
    if (description.n > GY_DATASET_MAX_TEXT || !gy_str_is_utf8(description)) {
        return gy_err_set(err, GY_E_INVALID, "a description is a text of at most %zu bytes",
                          GY_DATASET_MAX_TEXT);
    }
    GY_TRY(gy_dataset_resolve(db, name, &a, &v, err));
    return gy_db_exec(db,
                      "INSERT INTO datasets (workspace_id, name, description, actor, created_us, "
                      "updated_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (workspace_id, name) DO "
                      "UPDATE SET description = excluded.description, actor = excluded.actor, "
                      "updated_us = excluded.updated_us",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(description),
                              gy_vs(actor), gy_vi(now), gy_vi(now)),
                      NULL, err);
}

/* ---- tags ---- */

gy_status gy_dataset_tags(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                          struct gy_dataset_tag **ret, size_t *ret_n, struct gy_err *err)
{
#define TAG_COLUMNS "SELECT name, tag, version, actor, created_us FROM dataset_tags "
    static const char all[] = TAG_COLUMNS "WHERE workspace_id = ? ORDER BY name, tag";
    static const char one[] = TAG_COLUMNS "WHERE workspace_id = ? AND name = ? ORDER BY name, tag";
#undef TAG_COLUMNS
    const struct gy_val ws = gy_vs(gy_db_workspace(db));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    void *items = NULL;
    size_t n = 0, cap = 0;
    if (name.p) {
        GY_TRY(gy_db_query(db, one, GY_VALS(ws, gy_vs(name)), &st, err));
    } else {
        GY_TRY(gy_db_query(db, all, GY_VALS(ws), &st, err));
    }
    for (;; n++) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        struct gy_dataset_tag *t = push(a, &items, n, &cap, sizeof *t);
        if (!t) {
            return gy_dataset_no_memory(err);
        }
        GY_TRY(gy_col_copy(st, 0, a, &t->name, err));
        GY_TRY(gy_col_copy(st, 1, a, &t->tag, err));
        t->version = gy_col_i64(st, 2);
        GY_TRY(gy_col_copy(st, 3, a, &t->actor, err));
        t->time_us = gy_col_i64(st, 4);
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_dataset_tag_changes(struct gy_db *db, struct gy_str name, size_t max,
                                 struct gy_arena *a, struct gy_dataset_tag_change **ret,
                                 size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    void *items = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_db_query(db,
                       "SELECT tag, from_version, to_version, reason, actor, created_us FROM "
                       "dataset_tag_changes WHERE workspace_id = ? AND name = ? ORDER BY id DESC "
                       "LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi((int64_t)max)), &st,
                       err));
    for (;; n++) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        struct gy_dataset_tag_change *c = push(a, &items, n, &cap, sizeof *c);
        if (!c) {
            return gy_dataset_no_memory(err);
        }
        GY_TRY(gy_col_copy(st, 0, a, &c->tag, err));
        c->from_version = gy_col_i64(st, 1);
        c->to_version = gy_col_i64(st, 2);
        GY_TRY(gy_col_copy(st, 3, a, &c->reason, err));
        GY_TRY(gy_col_copy(st, 4, a, &c->actor, err));
        c->time_us = gy_col_i64(st, 5);
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* Both in the history and for those who listen. */
static gy_status record_change(struct gy_db *db, const struct gy_dataset_tagging *t, int64_t from,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4 * GY_DATASET_MAX_TEXT + 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", t->name);
    gy_jw_kv_str(&w, "tag", t->tag);
    if (from) {
        gy_jw_kv_i64(&w, "from", from);
    }
    if (t->version) {
        gy_jw_kv_i64(&w, "to", t->version);
    }
    gy_jw_kv_str(&w, "reason", t->reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO dataset_tag_changes (workspace_id, name, tag, from_version, "
                      "to_version, reason, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(t->name), gy_vs(t->tag),
                              from ? gy_vi(from) : gy_vnull(),
                              t->version ? gy_vi(t->version) : gy_vnull(), gy_vs(t->reason),
                              gy_vs(t->actor), gy_vi(gy_now_us())),
                      NULL, err));
    return gy_dataset_tell(db, t->version ? "dataset.tagged" : "dataset.untagged", t->name,
                           t->version ? t->version : from, t->actor, &json, err);
}

static gy_status check_tagging(struct gy_db *db, const struct gy_dataset_tagging *t,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_YAML + GY_MIB);
    struct gy_dataset_version v;
    int64_t n = 0;
    bool found = false;
    GY_TRY(gy_dataset_check_tag(t->tag, err));
    if (t->reason.n > GY_DATASET_MAX_TEXT || (t->reason.p && !gy_str_is_utf8(t->reason))) {
        return gy_err_set(err, GY_E_INVALID, "a reason is a text of at most %zu bytes",
                          GY_DATASET_MAX_TEXT);
    }
    GY_TRY(gy_dataset_get(db, t->name, t->version, &a, &v, err));
    if (v.deleted_us) {
        return gy_err_set(err, GY_E_NOTFOUND, "%" GY_STR_F "@%lld was deleted", GY_STR_A(t->name),
                          (long long)t->version);
    }
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM dataset_tags WHERE workspace_id = ? AND name = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(t->name)), &found, &n, err));
    return n < GY_DATASET_MAX_TAGS
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "a dataset has at most %d tags", GY_DATASET_MAX_TAGS);
}

static gy_status set_tag(struct gy_db *db, const struct gy_dataset_tagging *t, int64_t from,
                         struct gy_err *err)
{
    GY_TRY(check_tagging(db, t, err));
    if (from && !t->force) {
        (void)gy_err_set(err, GY_E_CONFLICT,
                         "tag '%" GY_STR_F "' of %" GY_STR_F " names version %lld",
                         GY_STR_A(t->tag), GY_STR_A(t->name), (long long)from);
        return gy_err_hint(err, "others may rely on it: give another tag, or move it with --force");
    }
    return gy_db_exec(db,
                      "INSERT INTO dataset_tags (workspace_id, name, tag, version, actor, "
                      "created_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (workspace_id, name, "
                      "tag) DO UPDATE SET version = excluded.version, actor = excluded.actor, "
                      "created_us = excluded.created_us",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(t->name), gy_vs(t->tag),
                              gy_vi(t->version), gy_vs(t->actor), gy_vi(gy_now_us())),
                      NULL, err);
}

gy_status gy_dataset_tag(struct gy_db *db, const struct gy_dataset_tagging *t, int64_t *ret_from,
                         struct gy_err *err)
{
    const struct gy_val ws = gy_vs(gy_db_workspace(db));
    bool found = false;
    *ret_from = 0;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT version FROM dataset_tags WHERE workspace_id = ? AND name = ? "
                         "AND tag = ?",
                         GY_VALS(ws, gy_vs(t->name), gy_vs(t->tag)), &found, ret_from, err));
    if (found && *ret_from == t->version) {
        return GY_OK;
    }
    if (t->version) {
        GY_TRY(set_tag(db, t, *ret_from, err));
    } else if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "dataset '%" GY_STR_F "' has no tag '%" GY_STR_F "'",
                          GY_STR_A(t->name), GY_STR_A(gy_str_sub(t->tag, 0, 200)));
    } else {
        GY_TRY(gy_db_exec(db,
                          "DELETE FROM dataset_tags WHERE workspace_id = ? AND name = ? AND tag = "
                          "?",
                          GY_VALS(ws, gy_vs(t->name), gy_vs(t->tag)), NULL, err));
    }
    return record_change(db, t, *ret_from, err);
}
