/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lineage.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/scope.h"

static gy_status check_node(struct gy_str node, struct gy_err *err)
{
    size_t colon = gy_str_find(node, ':');
    if (colon == SIZE_MAX || colon == 0 || colon + 1 == node.n || node.n > GY_LINEAGE_MAX_NODE) {
        return gy_err_set(err, GY_E_INVALID, "not a lineage node (kind:id): '%" GY_STR_F "'",
                          GY_STR_A(node));
    }
    return GY_OK;
}

gy_status gy_lineage_add(struct gy_db *db, struct gy_str from, const char *rel, struct gy_str to,
                         struct gy_str actor, struct gy_err *err)
{
    GY_TRY(check_node(from, err));
    GY_TRY(check_node(to, err));
    if (actor.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "a lineage edge needs an actor");
    }
    return gy_db_exec(
        db,
        "INSERT INTO lineage (workspace_id, from_node, rel, to_node, actor, created_us) VALUES "
        "(?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(from), gy_vc(rel), gy_vs(to), gy_vs(actor),
                gy_vi(gy_now_us())),
        NULL, err);
}

struct walk {
    struct gy_db *db;
    struct gy_arena *arena;
    bool upstream;
    bool nearest, cut; /* nearest: with max edges it ends, cut, instead of failing */
    struct gy_lineage_edge
        *edges; /* found so far, in order; their far ends are the queue of nodes to visit */
    size_t n, cap, max;
    struct gy_map seen; /* nodes queued or visited; at most max + 1 */
};

static gy_status add_edge(struct walk *w, const struct gy_lineage_edge *e, struct gy_err *err)
{
    if (w->n == w->max && w->nearest) {
        w->cut = true;
        return GY_OK;
    }
    if (w->n == w->max) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %zu lineage edges", w->max);
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct gy_lineage_edge *grown = gy_reallocarray(w->edges, cap, sizeof *grown);
        if (!grown) {
            return gy_err_set(err, GY_E_NOMEM, "walking the lineage");
        }
        w->edges = grown;
        w->cap = cap;
    }
    w->edges[w->n++] = *e;
    return GY_OK;
}

static gy_status expand(struct walk *w, struct gy_str node, struct gy_err *err)
{
    static const char up[] =
        "SELECT from_node, rel, to_node, actor, created_us FROM lineage WHERE to_node=? "
        "AND workspace_id=? ORDER BY created_us, from_node, rel";
    static const char down[] =
        "SELECT from_node, rel, to_node, actor, created_us FROM lineage WHERE from_node=? "
        "AND workspace_id=? ORDER BY created_us, to_node, rel";
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(w->db, w->upstream ? up : down,
                       GY_VALS(gy_vs(node), gy_vs(gy_db_workspace(w->db))), &st, err));
    for (;;) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row || w->cut) {
            return GY_OK;
        }
        struct gy_lineage_edge e = {.time_us = gy_col_i64(st, 4)};
        GY_TRY(gy_col_copy(st, 0, w->arena, &e.from, err));
        GY_TRY(gy_col_copy(st, 1, w->arena, &e.rel, err));
        GY_TRY(gy_col_copy(st, 2, w->arena, &e.to, err));
        GY_TRY(gy_col_copy(st, 3, w->arena, &e.actor, err));
        GY_TRY(add_edge(w, &e, err));
    }
}

/* Each node is expanded once, so each edge comes once, and a circle ends. */
static gy_status run(struct walk *w, struct gy_str start, struct gy_err *err)
{
    GY_TRY(gy_map_put(&w->seen, start, w, err));
    GY_TRY(expand(w, start, err));
    for (size_t next = 0; next < w->n && !w->cut; next++) {
        struct gy_str node = w->upstream ? w->edges[next].from : w->edges[next].to;
        if (!gy_map_has(&w->seen, node)) {
            GY_TRY(gy_map_put(&w->seen, node, w, err));
            GY_TRY(expand(w, node, err));
        }
    }
    return GY_OK;
}

static gy_status walk_from(struct gy_db *db, struct gy_str node, bool upstream, bool nearest,
                           size_t max, struct gy_arena *a, struct gy_lineage_edge **ret,
                           size_t *ret_n, struct gy_err *err)
{
    struct walk w = {.db = db, .arena = a, .upstream = upstream, .nearest = nearest, .max = max};
    gy_map_init(&w.seen, max + 1);
    gy_status status = check_node(node, err);
    if (status == GY_OK) {
        status = run(&w, node, err);
    }
    if (status == GY_OK) {
        struct gy_lineage_edge *edges = gy_arena_calloc(a, w.n ? w.n : 1, sizeof *edges);
        if (edges) {
            if (w.n) {
                memcpy(edges, w.edges, w.n * sizeof *edges);
            }
            *ret = edges;
            *ret_n = w.n;
        } else {
            status = gy_err_set(err, GY_E_NOMEM, "walking the lineage");
        }
    }
    gy_map_done(&w.seen);
    gy_free(w.edges);
    return status;
}

gy_status gy_lineage_walk(struct gy_db *db, struct gy_str node, bool upstream, size_t max,
                          struct gy_arena *a, struct gy_lineage_edge **ret, size_t *ret_n,
                          struct gy_err *err)
{
    return walk_from(db, node, upstream, false, max, a, ret, ret_n, err);
}

gy_status gy_lineage_nearest(struct gy_db *db, struct gy_str node, bool upstream, size_t max,
                             struct gy_arena *a, struct gy_lineage_edge **ret, size_t *ret_n,
                             struct gy_err *err)
{
    return walk_from(db, node, upstream, true, max, a, ret, ret_n, err);
}
