/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/events.h"
#include "store/lineage.h"

#define COLUMNS                                                                       \
    "name, version, sha256, md5, size_bytes, row_count, read_count, accepted_count, " \
    "dead_count, schema_json, source, source_sha256, actor, created_us"
/* Schemas may be large, lists long: a list goes without them. */
#define LISTED                                                                        \
    "name, version, sha256, md5, size_bytes, row_count, read_count, accepted_count, " \
    "dead_count, NULL, source, source_sha256, actor, created_us"
#define NODE_BYTES (GY_MAX_NAME + 64)
#define MAX_LISTED 10000 /* versions of one answer */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for dataset versions");
}

static gy_status add_edges(struct gy_db *db, const struct gy_dataset_version *v, int64_t version,
                           struct gy_err *err)
{
    char file[NODE_BYTES], data[NODE_BYTES], dataset[NODE_BYTES];
    (void)snprintf(data, sizeof data, "data:%" GY_STR_F, GY_STR_A(v->sha256));
    (void)snprintf(dataset, sizeof dataset, "dataset:%" GY_STR_F "/%lld", GY_STR_A(v->name),
                   (long long)version);
    if (v->source_sha256.n > 0) {
        (void)snprintf(file, sizeof file, "file:%" GY_STR_F, GY_STR_A(v->source_sha256));
        GY_TRY(gy_lineage_add(db, gy_str_c(file), "input", gy_str_c(data), v->actor, err));
    }
    return gy_lineage_add(db, gy_str_c(data), "registered", gy_str_c(dataset), v->actor, err);
}

static gy_status add_event(struct gy_db *db, const struct gy_dataset_version *v, int64_t version,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", v->name);
    gy_jw_kv_i64(&w, "version", version);
    gy_jw_kv_str(&w, "sha256", v->sha256);
    gy_jw_kv_i64(&w, "accepted", v->accepted);
    gy_jw_kv_i64(&w, "dead", v->dead);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "an event", err));
    char subject[NODE_BYTES];
    (void)snprintf(subject, sizeof subject, "dataset:%" GY_STR_F "/%lld", GY_STR_A(v->name),
                   (long long)version);
    return gy_event_add(db, "dataset.added", gy_str_c(subject), v->actor, gy_buf_str(&json), err);
}

gy_status gy_dataset_add(struct gy_db *db, const struct gy_dataset_version *v, int64_t *ret_version,
                         bool *ret_new, struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT version FROM dataset_versions WHERE workspace_id = 'default' AND "
                         "name = ? AND sha256 = ?",
                         GY_VALS(gy_vs(v->name), gy_vs(v->sha256)), &found, ret_version, err));
    *ret_new = !found;
    if (found) {
        /* The same bytes may come from another file. */
        return add_edges(db, v, *ret_version, err);
    }
    int64_t last = 0;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COALESCE(MAX(version), 0) FROM dataset_versions WHERE "
                         "workspace_id = 'default' AND name = ?",
                         GY_VALS(gy_vs(v->name)), &found, &last, err));
    int64_t created = v->created_us ? v->created_us : gy_now_us();
    GY_TRY(
        gy_db_exec(db,
                   "INSERT INTO dataset_versions (" COLUMNS
                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   GY_VALS(gy_vs(v->name), gy_vi(last + 1), gy_vs(v->sha256), gy_vs(v->md5),
                           gy_vi(v->size_bytes), gy_vi(v->rows), gy_vi(v->read), gy_vi(v->accepted),
                           gy_vi(v->dead), gy_vs(v->schema_json), gy_vs(v->source),
                           gy_vs(v->source_sha256), gy_vs(v->actor), gy_vi(created)),
                   NULL, err));
    *ret_version = last + 1;
    GY_TRY(add_edges(db, v, last + 1, err));
    return add_event(db, v, last + 1, err);
}

static void read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_dataset_version *v)
{
    *v = (struct gy_dataset_version){
        .name = gy_col_dup(st, 0, a),
        .version = gy_col_i64(st, 1),
        .sha256 = gy_col_dup(st, 2, a),
        .md5 = gy_col_dup(st, 3, a),
        .size_bytes = gy_col_i64(st, 4),
        .rows = gy_col_i64(st, 5),
        .read = gy_col_i64(st, 6),
        .accepted = gy_col_i64(st, 7),
        .dead = gy_col_i64(st, 8),
        .schema_json = gy_col_dup(st, 9, a),
        .source = gy_col_dup(st, 10, a),
        .source_sha256 = gy_col_dup(st, 11, a),
        .actor = gy_col_dup(st, 12, a),
        .created_us = gy_col_i64(st, 13),
    };
}

static gy_status get_one(struct gy_db *db, const char *sql, const struct gy_val *vals,
                         size_t n_vals, struct gy_str ref, struct gy_arena *a,
                         struct gy_dataset_version *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    bool row = false;
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return gy_err_set(err, GY_E_NOTFOUND, "no dataset '%" GY_STR_F "'", GY_STR_A(ref));
    }
    read_row(st, a, ret);
    return ret->name.p && ret->sha256.p ? GY_OK : no_memory(err);
}

gy_status gy_dataset_resolve(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                             struct gy_dataset_version *ret, struct gy_err *err)
{
    static const char newest[] =
        "SELECT " COLUMNS " FROM dataset_versions WHERE workspace_id = 'default' AND name = "
        "? ORDER BY version DESC LIMIT 1";
    static const char one[] =
        "SELECT " COLUMNS " FROM dataset_versions WHERE workspace_id = 'default' AND name = ? "
        "AND version = ?";
    static const char bytes[] =
        "SELECT " COLUMNS " FROM dataset_versions WHERE workspace_id = 'default' AND sha256 "
        "= ? ORDER BY created_us DESC, name LIMIT 1";
    if (gy_str_starts(ref, GY_STR("sha256:"))) {
        return get_one(db, bytes, GY_VALS(gy_vs(gy_str_sub(ref, 7, SIZE_MAX))), ref, a, ret, err);
    }
    struct gy_str name, version;
    if (!gy_str_cut(ref, '@', &name, &version)) {
        return get_one(db, newest, GY_VALS(gy_vs(ref)), ref, a, ret, err);
    }
    if (gy_str_starts(version, GY_STR("v"))) {
        version = gy_str_sub(version, 1, SIZE_MAX);
    }
    int64_t number = 0;
    if (gy_parse_i64(version, 1, INT64_MAX, &number, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not NAME, NAME@N or sha256:HEX",
                          GY_STR_A(ref));
    }
    return get_one(db, one, GY_VALS(gy_vs(name), gy_vi(number)), ref, a, ret, err);
}

gy_status gy_dataset_list(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                          struct gy_dataset_version **ret, size_t *ret_n, struct gy_err *err)
{
    static const char all[] = "SELECT " LISTED " FROM dataset_versions WHERE workspace_id = "
                              "'default' ORDER BY name, version LIMIT ?";
    static const char of_name[] = "SELECT " LISTED " FROM dataset_versions WHERE workspace_id = "
                                  "'default' AND name = ? ORDER BY version LIMIT ?";
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (name.p) {
        GY_TRY(gy_db_query(db, of_name, GY_VALS(gy_vs(name), gy_vi(MAX_LISTED + 1)), &st, err));
    } else {
        GY_TRY(gy_db_query(db, all, GY_VALS(gy_vi(MAX_LISTED + 1)), &st, err));
    }
    struct gy_dataset_version *list = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        if (n == MAX_LISTED) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %d dataset versions", MAX_LISTED);
        }
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            struct gy_dataset_version *more = gy_arena_alloc(a, cap * sizeof *more);
            if (!more) {
                return no_memory(err);
            }
            if (n) {
                memcpy(more, list, n * sizeof *more);
            }
            list = more;
        }
        read_row(st, a, &list[n]);
        if (!list[n].name.p || !list[n].sha256.p) {
            return no_memory(err);
        }
        n++;
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}
