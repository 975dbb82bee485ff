/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "data/dataset_internal.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"

#define FIRST                                                                         \
    "name, version, sha256, md5, size_bytes, row_count, read_count, accepted_count, " \
    "dead_count, "
#define LAST                                                                        \
    ", source, source_sha256, actor, created_us, statistics_sha256, base_version, " \
    "deleted_us, gone_us"
#define COLUMNS FIRST "schema_json" LAST
/* Schemas may be large, lists long: a list goes without them. */
#define LISTED FIRST "NULL" LAST
#define FROM " FROM dataset_versions WHERE workspace_id = ?"
#define THERE FROM " AND deleted_us IS NULL"
#define MAX_LISTED 10000 /* versions of one answer */

gy_status gy_dataset_no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for dataset versions");
}

/* ---- names ---- */

gy_status gy_dataset_check_name(struct gy_str name, struct gy_err *err)
{
    bool good = name.n > 0 && name.n <= GY_MAX_NAME && gy_str_is_utf8(name);
    for (size_t i = 0; good && i < name.n; i++) {
        good = (unsigned char)name.p[i] > ' ' && !strchr("/@:%?#\"'\\", name.p[i]) &&
               name.p[i] != 0x7f;
    }
    if (!good) {
        (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' can not name a dataset",
                         GY_STR_A(gy_str_sub(name, 0, 200)));
        return gy_err_hint(err, "1 to %d bytes, no blanks, none of / @ : %% ? # quotes",
                           GY_MAX_NAME);
    }
    return GY_OK;
}

/* "3" and "v3". */
static bool is_number(struct gy_str version)
{
    size_t i = gy_str_starts(version, GY_STR("v")) ? 1 : 0;
    if (i == version.n) {
        return false;
    }
    while (i < version.n && version.p[i] >= '0' && version.p[i] <= '9') {
        i++;
    }
    return i == version.n;
}

gy_status gy_dataset_check_tag(struct gy_str tag, struct gy_err *err)
{
    static const char also[] = "-_.+";
    bool good = tag.n > 0 && tag.n <= GY_DATASET_MAX_TAG && !is_number(tag) &&
                !gy_str_eqc(tag, "latest") && tag.p[0] != '-' && tag.p[0] != '.';
    for (size_t i = 0; good && i < tag.n; i++) {
        char c = tag.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c != '\0' && strchr(also, c));
    }
    if (!good) {
        (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' can not be a tag",
                         GY_STR_A(gy_str_sub(tag, 0, 200)));
        return gy_err_hint(err,
                           "letters, digits and - _ . + up to %d, as v1.0; a number, v3 and "
                           "latest mean versions",
                           GY_DATASET_MAX_TAG);
    }
    return GY_OK;
}

struct gy_str gy_dataset_node(struct gy_str name, int64_t version, char out[GY_DATASET_NODE])
{
    int n = snprintf(out, GY_DATASET_NODE, "dataset:%" GY_STR_F "/%lld", GY_STR_A(name),
                     (long long)version);
    return gy_str_n(out, (size_t)n);
}

gy_status gy_dataset_tell(struct gy_db *db, const char *kind, struct gy_str name, int64_t version,
                          struct gy_str actor, const struct gy_buf *json, struct gy_err *err)
{
    char node[GY_DATASET_NODE];
    GY_TRY(gy_buf_check(json, "an event", err));
    return gy_event_add(db, kind, gy_dataset_node(name, version, node), actor, gy_buf_str(json),
                        err);
}

/* ---- adding ---- */

/* What the version is made of is what it was before dead letters were replayed into it. */
static gy_status add_base_edge(struct gy_db *db, const struct gy_dataset_version *v,
                               struct gy_str data, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * GY_KIB);
    struct gy_str sha256 = GY_STR_NULL;
    char base[GY_DATASET_NODE];
    bool found = false;
    if (v->base_version == 0) {
        return GY_OK;
    }
    GY_TRY(
        gy_db_get_str(db, "SELECT sha256" FROM " AND name = ? AND version = ?",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(v->name), gy_vi(v->base_version)),
                      &a, &found, &sha256, err));
    if (!found || gy_str_eq(sha256, v->sha256)) {
        return GY_OK;
    }
    (void)snprintf(base, sizeof base, "data:%" GY_STR_F, GY_STR_A(sha256));
    return gy_lineage_add(db, gy_str_c(base), "input", data, v->actor, err);
}

static gy_status add_edges(struct gy_db *db, const struct gy_dataset_version *v, int64_t version,
                           struct gy_err *err)
{
    char file[GY_DATASET_NODE], data[GY_DATASET_NODE], dataset[GY_DATASET_NODE];
    (void)snprintf(data, sizeof data, "data:%" GY_STR_F, GY_STR_A(v->sha256));
    if (v->source_sha256.n > 0) {
        (void)snprintf(file, sizeof file, "file:%" GY_STR_F, GY_STR_A(v->source_sha256));
        GY_TRY(gy_lineage_add(db, gy_str_c(file), "input", gy_str_c(data), v->actor, err));
    }
    GY_TRY(add_base_edge(db, v, gy_str_c(data), err));
    return gy_lineage_add(db, gy_str_c(data), "registered",
                          gy_dataset_node(v->name, version, dataset), v->actor, err);
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
    return gy_dataset_tell(db, "dataset.added", v->name, version, v->actor, &json, err);
}

/* The version of these bytes under this name. */
static gy_status find_same(struct gy_db *db, const struct gy_dataset_version *v, bool *ret_found,
                           int64_t *ret_version, bool *ret_there, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db, "SELECT version, deleted_us, gone_us, gone_why" FROM " AND name = ? AND sha256 = ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(v->name), gy_vs(v->sha256)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    if (!*ret_found) {
        return GY_OK;
    }
    *ret_version = gy_col_i64(st, 0);
    *ret_there = gy_col_null(st, 1) && gy_col_null(st, 2);
    if (!gy_col_null(st, 2) && !gy_str_eqc(gy_col_str(st, 3), "purged")) {
        struct gy_str why = gy_col_str(st, 3);
        return gy_err_set(
            err, GY_E_CONFLICT,
            "%" GY_STR_F "@%lld had these bytes and was %" GY_STR_F ": they do not come back",
            GY_STR_A(v->name), (long long)*ret_version, GY_STR_A(why.n ? why : GY_STR("given up")));
    }
    return GY_OK;
}

static gy_status insert(struct gy_db *db, const struct gy_dataset_version *v, int64_t number,
                        struct gy_err *err)
{
    int64_t created = v->created_us ? v->created_us : gy_now_us();
    return gy_db_exec(
        db,
        "INSERT INTO dataset_versions (workspace_id, name, version, sha256, md5, size_bytes, "
        "row_count, read_count, accepted_count, dead_count, schema_json, source, source_sha256, "
        "actor, created_us, base_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(v->name), gy_vi(number), gy_vs(v->sha256),
                gy_vs(v->md5), gy_vi(v->size_bytes), gy_vi(v->rows), gy_vi(v->read),
                gy_vi(v->accepted), gy_vi(v->dead), gy_vs(v->schema_json), gy_vs(v->source),
                gy_vs(v->source_sha256), gy_vs(v->actor), gy_vi(created),
                v->base_version ? gy_vi(v->base_version) : gy_vnull()),
        NULL, err);
}

gy_status gy_dataset_add(struct gy_db *db, const struct gy_dataset_version *v, int64_t *ret_version,
                         bool *ret_new, struct gy_err *err)
{
    bool found = false, there = true;
    int64_t last = 0;
    GY_TRY(find_same(db, v, &found, ret_version, &there, err));
    *ret_new = !found;
    if (found && !there) {
        GY_TRY(gy_db_exec(db,
                          "UPDATE dataset_versions SET deleted_us = NULL, deleted_by = NULL, "
                          "gone_us = NULL, gone_why = NULL WHERE workspace_id = ? AND name = ? "
                          "AND version = ?",
                          GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(v->name), gy_vi(*ret_version)),
                          NULL, err));
        GY_TRY(add_event(db, v, *ret_version, err));
    }
    if (found) {
        /* The same bytes may come from another file. */
        return add_edges(db, v, *ret_version, err);
    }
    GY_TRY(gy_db_get_i64(db, "SELECT COALESCE(MAX(version), 0)" FROM " AND name = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(v->name)), &found, &last, err));
    GY_TRY(insert(db, v, last + 1, err));
    *ret_version = last + 1;
    GY_TRY(add_edges(db, v, last + 1, err));
    return add_event(db, v, last + 1, err);
}

/* ---- finding ---- */

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
        .statistics_sha256 = gy_col_dup(st, 14, a),
        .base_version = gy_col_i64(st, 15),
        .deleted_us = gy_col_i64(st, 16),
        .gone_us = gy_col_i64(st, 17),
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
    return ret->name.p && ret->sha256.p ? GY_OK : gy_dataset_no_memory(err);
}

/* A name that is there, but not as that version: what is. */
static gy_status no_such_version(struct gy_db *db, struct gy_str name, struct gy_str version,
                                 struct gy_err *err)
{
    int64_t last = 0;
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT COALESCE(MAX(version), 0)" THERE " AND name = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name)), &found, &last, err));
    if (last == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "no dataset '%" GY_STR_F "'", GY_STR_A(name));
    }
    (void)gy_err_set(err, GY_E_NOTFOUND,
                     "dataset '%" GY_STR_F "' has no version or tag '%" GY_STR_F "'",
                     GY_STR_A(name), GY_STR_A(gy_str_sub(version, 0, 200)));
    return gy_err_hint(err, "its newest version is %lld; all of them: gyre data list",
                       (long long)last);
}

/* A version whose bytes were erased says so; *ret_erased false: it was not. */
static gy_status tell_erased(struct gy_db *db, struct gy_str name, int64_t version,
                             bool *ret_erased, struct gy_err *err)
{
    char time[32];
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT v.gone_us, e.reason FROM dataset_versions v LEFT JOIN erasures e ON "
                       "e.id = v.erasure_id WHERE v.workspace_id = ? AND v.name = ? AND v.version "
                       "= ? AND v.gone_why = 'erased'",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_erased, err));
    if (!*ret_erased) {
        return GY_OK;
    }
    size_t n = gy_time_iso(gy_col_i64(st, 0), time);
    return gy_err_set(err, GY_E_NOTFOUND,
                      "%" GY_STR_F "@%lld was erased on %" GY_STR_F ": %" GY_STR_F, GY_STR_A(name),
                      (long long)version, GY_STR_A(gy_str_n(time, n)),
                      GY_STR_A(gy_str_sub(gy_col_str(st, 1), 0, 200)));
}

static gy_status get_tagged(struct gy_db *db, struct gy_str name, struct gy_str tag,
                            struct gy_arena *a, struct gy_dataset_version *ret, struct gy_err *err)
{
    int64_t number = 0;
    bool found = false;
    GY_TRY(gy_dataset_check_tag(tag, err));
    GY_TRY(gy_db_get_i64(db,
                         "SELECT version FROM dataset_tags WHERE workspace_id = ? AND name = ? "
                         "AND tag = ?",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(tag)), &found,
                         &number, err));
    return found ? gy_dataset_get(db, name, number, a, ret, err)
                 : no_such_version(db, name, tag, err);
}

gy_status gy_dataset_get(struct gy_db *db, struct gy_str name, int64_t version, struct gy_arena *a,
                         struct gy_dataset_version *ret, struct gy_err *err)
{
    static const char one[] = "SELECT " COLUMNS FROM " AND name = ? AND version = ?";
    return get_one(db, one, GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), name,
                   a, ret, err);
}

gy_status gy_dataset_resolve(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                             struct gy_dataset_version *ret, struct gy_err *err)
{
    static const char newest[] =
        "SELECT " COLUMNS THERE " AND name = ? ORDER BY version DESC LIMIT 1";
    static const char bytes[] =
        "SELECT " COLUMNS THERE " AND sha256 = ? ORDER BY created_us DESC, name LIMIT 1";
    const struct gy_val ws = gy_vs(gy_db_workspace(db));
    if (gy_str_starts(ref, GY_STR("sha256:"))) {
        return get_one(db, bytes, GY_VALS(ws, gy_vs(gy_str_sub(ref, 7, SIZE_MAX))), ref, a, ret,
                       err);
    }
    struct gy_str name, version;
    int64_t number = 0;
    if (!gy_str_cut(ref, '@', &name, &version) || gy_str_eqc(version, "latest")) {
        return get_one(db, newest, GY_VALS(ws, gy_vs(name)), name, a, ret, err);
    }
    if (!is_number(version)) {
        return get_tagged(db, name, version, a, ret, err);
    }
    struct gy_str digits =
        gy_str_starts(version, GY_STR("v")) ? gy_str_sub(version, 1, SIZE_MAX) : version;
    if (gy_parse_i64(digits, 1, INT64_MAX, &number, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "versions are numbered from 1");
    }
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_dataset_get(db, name, number, a, ret, &why);
    if (status == GY_OK && ret->gone_us) {
        bool erased;
        GY_TRY(tell_erased(db, name, number, &erased, err));
    }
    if (status == GY_E_NOTFOUND || (status == GY_OK && ret->deleted_us)) {
        return no_such_version(db, name, version, err);
    }
    return status == GY_OK ? GY_OK : gy_err_set(err, status, "%s", why.msg);
}

gy_status gy_dataset_set_statistics(struct gy_db *db, struct gy_str name, int64_t version,
                                    struct gy_str sha256, struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(gy_db_exec(
        db,
        "UPDATE dataset_versions SET statistics_sha256 = ? WHERE workspace_id = ? "
        "AND name = ? AND version = ? AND gone_us IS NULL",
        GY_VALS(gy_vs(sha256), gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), &n, err));
    return n > 0 ? GY_OK
                 : gy_err_set(err, GY_E_NOTFOUND, "no bytes of %" GY_STR_F "@%lld any more",
                              GY_STR_A(name), (long long)version);
}

gy_status gy_dataset_list(struct gy_db *db, struct gy_str name, bool deleted, struct gy_arena *a,
                          struct gy_dataset_version **ret, size_t *ret_n, struct gy_err *err)
{
    static const char *const all[] = {"SELECT " LISTED THERE " ORDER BY name, version LIMIT ?",
                                      "SELECT " LISTED FROM
                                      " AND deleted_us IS NOT NULL ORDER BY name, version LIMIT ?"};
    static const char *const of_name[] = {
        "SELECT " LISTED THERE " AND name = ? ORDER BY version LIMIT ?",
        "SELECT " LISTED FROM " AND deleted_us IS NOT NULL AND name = ? ORDER BY version LIMIT ?"};
    const struct gy_val ws = gy_vs(gy_db_workspace(db));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (name.p) {
        GY_TRY(gy_db_query(db, of_name[deleted], GY_VALS(ws, gy_vs(name), gy_vi(MAX_LISTED + 1)),
                           &st, err));
    } else {
        GY_TRY(gy_db_query(db, all[deleted], GY_VALS(ws, gy_vi(MAX_LISTED + 1)), &st, err));
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
                return gy_dataset_no_memory(err);
            }
            if (n) {
                memcpy(more, list, n * sizeof *more);
            }
            list = more;
        }
        read_row(st, a, &list[n]);
        if (!list[n].name.p || !list[n].sha256.p) {
            return gy_dataset_no_memory(err);
        }
        n++;
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}
