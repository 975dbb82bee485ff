/* SPDX-License-Identifier: Apache-2.0 */
#include "data/taken.h"

#include "base/time.h"
#include "store/scope.h"

#define MAX_STEPS_BACK 10000 /* versions made from each other by other means than a step */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for what was taken");
}

static gy_status newest_of(struct gy_db *db, struct gy_str name, int64_t *ret, struct gy_err *err)
{
    bool found = false;
    *ret = 0;
    return gy_db_get_i64(db,
                         "SELECT COALESCE(MAX(version), 0) FROM dataset_versions WHERE "
                         "workspace_id = ? AND name = ? AND deleted_us IS NULL",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name)), &found, ret, err);
}

static gy_status base_of(struct gy_db *db, struct gy_str name, int64_t version, int64_t *ret,
                         struct gy_err *err)
{
    bool found = false;
    *ret = 0;
    return gy_db_get_i64(db,
                         "SELECT COALESCE(base_version, 0) FROM dataset_versions WHERE "
                         "workspace_id = ? AND name = ? AND version = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), &found,
                         ret, err);
}

/* Dead letters that were replayed make versions, too. */
static gy_status comes_from(struct gy_db *db, struct gy_str name, int64_t version, int64_t origin,
                            bool *ret, struct gy_err *err)
{
    for (int i = 0; i < MAX_STEPS_BACK && version > origin; i++) {
        GY_TRY(base_of(db, name, version, &version, err));
    }
    *ret = version == origin;
    return GY_OK;
}

/* ---- looking ---- */

static gy_status list_sources(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                              struct gy_taken *ret, int64_t *ret_last, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db,
        "SELECT source, version FROM dataset_sources WHERE workspace_id = ? AND "
        "name = ? ORDER BY source LIMIT ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(GY_TAKEN_MAX_SOURCES)), &st, err));
    ret->sources = gy_arena_calloc(a, GY_TAKEN_MAX_SOURCES, sizeof *ret->sources);
    if (!ret->sources) {
        return no_memory(err);
    }
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        ret->sources[ret->n_sources] = gy_col_dup(st, 0, a);
        if (!ret->sources[ret->n_sources++].p) {
            return no_memory(err);
        }
        int64_t version = gy_col_i64(st, 1);
        *ret_last = version > *ret_last ? version : *ret_last;
    }
}

static gy_status state_of(struct gy_db *db, struct gy_str name, struct gy_str source,
                          struct gy_arena *a, int64_t *ret_version, struct gy_str *ret_watermark,
                          struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row = false;
    *ret_version = 0;
    *ret_watermark = GY_STR_NULL;
    GY_TRY(gy_db_query(
        db,
        "SELECT version, watermark FROM dataset_sources WHERE workspace_id = ? AND name = ? AND "
        "source = ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(source)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return GY_OK;
    }
    *ret_version = gy_col_i64(st, 0);
    *ret_watermark = gy_col_dup(st, 1, a);
    return GY_OK;
}

gy_status gy_taken_look(struct gy_db *db, struct gy_str name, struct gy_str source,
                        struct gy_arena *a, struct gy_taken *ret, struct gy_err *err)
{
    int64_t last = 0;
    *ret = (struct gy_taken){.continues = true};
    GY_TRY(newest_of(db, name, &ret->newest, err));
    GY_TRY(list_sources(db, name, a, ret, &last, err));
    if (last > 0) {
        GY_TRY(comes_from(db, name, ret->newest, last, &ret->continues, err));
    }
    return state_of(db, name, source, a, &ret->version, &ret->watermark, err);
}

gy_status gy_taken_objects(struct gy_db *db, struct gy_str name, struct gy_str source,
                           struct gy_str after, size_t max, struct gy_arena *a,
                           struct gy_taken_object **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    *ret_n = 0;
    *ret = gy_arena_calloc(a, max, sizeof **ret);
    if (!*ret) {
        return no_memory(err);
    }
    GY_TRY(gy_db_query(db,
                       "SELECT object, mark FROM dataset_source_objects WHERE workspace_id = ? "
                       "AND name = ? AND source = ? AND object > ? ORDER BY object LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(source), gy_vs(after),
                               gy_vi((int64_t)max)),
                       &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_taken_object *o = &(*ret)[(*ret_n)++];
        *o = (struct gy_taken_object){gy_col_dup(st, 0, a), gy_col_dup(st, 1, a)};
        if (!o->object.p || !o->mark.p) {
            return no_memory(err);
        }
    }
}

/* ---- a step ---- */

static bool same(struct gy_str a, struct gy_str b)
{
    return (a.p != NULL) == (b.p != NULL) && (!a.p || gy_str_eq(a, b));
}

static gy_status overtaken(struct gy_str name, const char *what, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_CONFLICT, "%s of dataset '%" GY_STR_F "' since this began", what,
                     GY_STR_A(name));
    return gy_err_hint(err, "nothing was changed: run it again");
}

gy_status gy_taken_begin(struct gy_db *db, struct gy_str name, const struct gy_taken_step *s,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * 1024);
    int64_t newest, version;
    struct gy_str watermark;
    if (s->source.n == 0 || s->source.n > GY_TAKEN_MAX_SOURCE ||
        s->watermark.n > GY_TAKEN_MAX_WATERMARK || s->n_objects > GY_TAKEN_MAX_OBJECTS) {
        return gy_err_set(err, GY_E_INVALID, "what was taken is described in too many words");
    }
    GY_TRY(newest_of(db, name, &newest, err));
    if (newest != s->newest) {
        return overtaken(name, "there is another newest version", err);
    }
    GY_TRY(state_of(db, name, s->source, &a, &version, &watermark, err));
    if (version != s->from_version || !same(watermark, s->from_watermark)) {
        return overtaken(name, "somebody else has taken from the source", err);
    }
    return GY_OK;
}

static gy_status forget(struct gy_db *db, struct gy_str name, struct gy_err *err)
{
    GY_TRY(gy_db_exec(db, "DELETE FROM dataset_source_objects WHERE workspace_id = ? AND name = ?",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name)), NULL, err));
    return gy_db_exec(db, "DELETE FROM dataset_sources WHERE workspace_id = ? AND name = ?",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name)), NULL, err);
}

static gy_status add_object(struct gy_db *db, struct gy_str name, const struct gy_taken_step *s,
                            const struct gy_taken_object *o, int64_t version, struct gy_str actor,
                            struct gy_err *err)
{
    int64_t added = 0;
    if (o->object.n == 0 || o->object.n > GY_TAKEN_MAX_OBJECT || o->mark.n > GY_TAKEN_MAX_MARK) {
        return gy_err_set(err, GY_E_INVALID, "an object's name or mark is too long");
    }
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO dataset_source_objects (workspace_id, name, source, object, "
        "mark, version, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(s->source), gy_vs(o->object),
                gy_vs(o->mark), gy_vi(version), gy_vs(actor), gy_vi(gy_now_us())),
        &added, err));
    return added ? GY_OK : overtaken(name, "an object was taken", err);
}

gy_status gy_taken_end(struct gy_db *db, struct gy_str name, const struct gy_taken_step *s,
                       int64_t version, bool is_new, struct gy_str actor, struct gy_err *err)
{
    if (!is_new && version != s->newest) {
        (void)gy_err_set(err, GY_E_CONFLICT,
                         "the same rows are version %lld of '%" GY_STR_F
                         "' already, and there are newer ones",
                         (long long)version, GY_STR_A(name));
        return gy_err_hint(err, "nothing was changed: use another name, or delete the newer ones");
    }
    if (s->restart) {
        GY_TRY(forget(db, name, err));
    }
    const int64_t now_us = gy_now_us();
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO dataset_sources (workspace_id, name, source, watermark, version, actor, "
        "created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (workspace_id, name, "
        "source) DO "
        "UPDATE SET watermark = excluded.watermark, version = excluded.version, "
        "actor = excluded.actor, updated_us = excluded.updated_us",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(s->source), gy_vs(s->watermark),
                gy_vi(version), gy_vs(actor), gy_vi(now_us), gy_vi(now_us)),
        NULL, err));
    for (size_t i = 0; i < s->n_objects; i++) {
        GY_TRY(add_object(db, name, s, &s->objects[i], version, actor, err));
    }
    return GY_OK;
}
