/* SPDX-License-Identifier: Apache-2.0 */
/* The end of dataset versions: what stands on one, the mark, and giving up its bytes. */
#include <stdio.h>

#include "base/json.h"
#include "base/time.h"
#include "data/dataset_internal.h"
#include "store/lineage.h"
#include "store/scope.h"

#define MAX_EDGES 5000 /* that are looked at for what stands on a version */
#define MAX_USES 100   /* that are told */

/* Nodes that somebody would miss the bytes for. */
static bool is_use(struct gy_str node)
{
    return gy_str_starts(node, GY_STR("run:")) || gy_str_starts(node, GY_STR("model:")) ||
           gy_str_starts(node, GY_STR("revision:")) || gy_str_starts(node, GY_STR("step:"));
}

static void add_use(struct gy_dataset_uses *u, struct gy_str node)
{
    for (size_t i = 0; i < u->n; i++) {
        if (gy_str_eq(u->nodes[i], node)) {
            return;
        }
    }
    if (u->n == MAX_USES) {
        u->more = true;
        return;
    }
    u->nodes[u->n++] = node;
}

static gy_status add_downstream(struct gy_db *db, struct gy_str node, struct gy_arena *a,
                                struct gy_dataset_uses *u, struct gy_err *err)
{
    struct gy_lineage_edge *edges = NULL;
    size_t n = 0;
    GY_TRY(gy_lineage_nearest(db, node, false, MAX_EDGES, a, &edges, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (is_use(edges[i].to)) {
            add_use(u, edges[i].to);
        }
    }
    return GY_OK;
}

static gy_status add_tags(struct gy_db *db, const struct gy_dataset_version *v, struct gy_arena *a,
                          struct gy_dataset_uses *u, struct gy_err *err)
{
    struct gy_dataset_tag *tags = NULL;
    size_t n = 0;
    GY_TRY(gy_dataset_tags(db, v->name, a, &tags, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (tags[i].version == v->version) {
            char *node = gy_arena_printf(a, "tag:%" GY_STR_F, GY_STR_A(tags[i].tag));
            if (!node) {
                return gy_dataset_no_memory(err);
            }
            add_use(u, gy_str_c(node));
        }
    }
    return GY_OK;
}

gy_status gy_dataset_used_by(struct gy_db *db, const struct gy_dataset_version *v,
                             struct gy_arena *a, struct gy_dataset_uses *ret, struct gy_err *err)
{
    char data[GY_DATASET_NODE], dataset[GY_DATASET_NODE];
    *ret = (struct gy_dataset_uses){.nodes = gy_arena_calloc(a, MAX_USES, sizeof *ret->nodes)};
    if (!ret->nodes) {
        return gy_dataset_no_memory(err);
    }
    (void)snprintf(data, sizeof data, "data:%" GY_STR_F, GY_STR_A(v->sha256));
    GY_TRY(add_tags(db, v, a, ret, err));
    GY_TRY(add_downstream(db, gy_str_c(data), a, ret, err));
    return add_downstream(db, gy_dataset_node(v->name, v->version, dataset), a, ret, err);
}

static gy_status untag(struct gy_db *db, const struct gy_dataset_version *v, struct gy_str reason,
                       struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MIB);
    struct gy_dataset_tag *tags = NULL;
    size_t n = 0;
    GY_TRY(gy_dataset_tags(db, v->name, &a, &tags, &n, err));
    for (size_t i = 0; i < n; i++) {
        struct gy_dataset_tagging off = {
            .name = v->name, .tag = tags[i].tag, .reason = reason, .actor = actor};
        int64_t from = 0;
        if (tags[i].version == v->version) {
            GY_TRY(gy_dataset_tag(db, &off, &from, err));
        }
    }
    return GY_OK;
}

static gy_status tell(struct gy_db *db, const char *kind, struct gy_str name, int64_t version,
                      struct gy_str reason, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 4 * GY_DATASET_MAX_TEXT + 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", name);
    gy_jw_kv_i64(&w, "version", version);
    gy_jw_kv_str(&w, "reason", reason);
    gy_jw_obj_end(&w);
    return gy_dataset_tell(db, kind, name, version, actor, &json, err);
}

static gy_status refuse_used(const struct gy_dataset_version *v, const struct gy_dataset_uses *u,
                             struct gy_err *err)
{
    struct gy_str first = gy_str_sub(u->nodes[0], 0, 120);
    (void)gy_err_set(err, GY_E_CONFLICT,
                     "%" GY_STR_F "@%lld is used by %" GY_STR_F "%s: it is kept", GY_STR_A(v->name),
                     (long long)v->version, GY_STR_A(first), u->n > 1 ? " and others" : "");
    return gy_err_hint(err, "all of them: gyre data lineage; --force deletes it all the same");
}

gy_status gy_dataset_delete(struct gy_db *db, struct gy_str name, int64_t version, bool force,
                            struct gy_str reason, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_YAML + 16 * GY_MIB);
    struct gy_dataset_version v;
    struct gy_dataset_uses uses;
    GY_TRY(gy_dataset_get(db, name, version, &a, &v, err));
    if (v.deleted_us) {
        return gy_err_set(err, GY_E_NOTFOUND, "%" GY_STR_F "@%lld was deleted already",
                          GY_STR_A(name), (long long)version);
    }
    GY_TRY(gy_dataset_used_by(db, &v, &a, &uses, err));
    if (uses.n > 0 && !force) {
        return refuse_used(&v, &uses, err);
    }
    GY_TRY(untag(db, &v, reason, actor, err));
    GY_TRY(gy_db_exec(db,
                      "UPDATE dataset_versions SET deleted_us = ?, deleted_by = ? WHERE "
                      "workspace_id = ? AND name = ? AND version = ?",
                      GY_VALS(gy_vi(gy_now_us()), gy_vs(actor), gy_vs(gy_db_workspace(db)),
                              gy_vs(name), gy_vi(version)),
                      NULL, err));
    return tell(db, "dataset.deleted", name, version, reason, actor, err);
}

gy_status gy_dataset_restore(struct gy_db *db, struct gy_str name, int64_t version,
                             struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_YAML + GY_MIB);
    struct gy_dataset_version v;
    GY_TRY(gy_dataset_get(db, name, version, &a, &v, err));
    if (v.gone_us) {
        (void)gy_err_set(err, GY_E_CONFLICT, "the bytes of %" GY_STR_F "@%lld are gone",
                         GY_STR_A(name), (long long)version);
        return gy_err_hint(err, "the same bytes, ingested again, become this version again");
    }
    if (!v.deleted_us) {
        return GY_OK;
    }
    GY_TRY(gy_db_exec(db,
                      "UPDATE dataset_versions SET deleted_us = NULL, deleted_by = NULL WHERE "
                      "workspace_id = ? AND name = ? AND version = ?",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), NULL, err));
    return tell(db, "dataset.restored", name, version, GY_STR_NULL, actor, err);
}

/* ---- purging ---- */

/* What a legal hold is on (store/erasures.h) waits. */
#define PURGEABLE                                                                           \
    " FROM dataset_versions WHERE workspace_id = ? AND deleted_us IS NOT NULL AND gone_us " \
    "IS NULL AND deleted_us < ? AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.kind "  \
    "= 'dataset' AND h.target = dataset_versions.name AND h.released_us IS NULL)"

gy_status gy_dataset_purge_plan(struct gy_db *db, int64_t before_us, int64_t *ret_versions,
                                int64_t *ret_bytes, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row = false;
    GY_TRY(gy_db_query(db, "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0)" PURGEABLE,
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(before_us)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    *ret_versions = gy_col_i64(st, 0);
    *ret_bytes = gy_col_i64(st, 1);
    return GY_OK;
}

struct purged {
    struct gy_str name;
    int64_t version;
};

static gy_status read_purgeable(struct gy_db *db, int64_t before_us, size_t max, struct gy_arena *a,
                                struct purged **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct purged *list = gy_arena_calloc(a, max + 1, sizeof *list);
    if (!list) {
        return gy_dataset_no_memory(err);
    }
    GY_TRY(gy_db_query(db, "SELECT name, version" PURGEABLE " ORDER BY name, version LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(before_us), gy_vi((int64_t)max)),
                       &st, err));
    for (*ret_n = 0;; ++*ret_n) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            *ret = list;
            return GY_OK;
        }
        GY_TRY(gy_col_copy(st, 0, a, &list[*ret_n].name, err));
        list[*ret_n].version = gy_col_i64(st, 1);
    }
}

/* Letters of a dataset of which nothing is left are what nobody can replay any more. */
static gy_status drop_letters(struct gy_db *db, struct gy_str name, struct gy_err *err)
{
    const struct gy_val ws = gy_vs(gy_db_workspace(db));
    return gy_db_exec(db,
                      "DELETE FROM dataset_letters WHERE workspace_id = ? AND name = ? AND NOT "
                      "EXISTS (SELECT 1 FROM dataset_versions v WHERE v.workspace_id = ? AND "
                      "v.name = ? AND v.gone_us IS NULL)",
                      GY_VALS(ws, gy_vs(name), ws, gy_vs(name)), NULL, err);
}

gy_status gy_dataset_purge_some(struct gy_db *db, int64_t before_us, size_t max,
                                struct gy_str actor, int64_t *ret_n, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 16 * GY_MIB);
    struct purged *list = NULL;
    size_t n = 0;
    GY_TRY(read_purgeable(db, before_us, max, &a, &list, &n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_db_exec(db,
                          "UPDATE dataset_versions SET gone_us = ?, gone_why = 'purged', "
                          "statistics_sha256 = NULL WHERE workspace_id = ? AND name = ? AND "
                          "version = ?",
                          GY_VALS(gy_vi(gy_now_us()), gy_vs(gy_db_workspace(db)),
                                  gy_vs(list[i].name), gy_vi(list[i].version)),
                          NULL, err));
        GY_TRY(drop_letters(db, list[i].name, err));
        GY_TRY(tell(db, "dataset.purged", list[i].name, list[i].version, GY_STR_NULL, actor, err));
    }
    *ret_n = (int64_t)n;
    return GY_OK;
}
