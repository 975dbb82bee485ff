/* SPDX-License-Identifier: Apache-2.0 */
/* What came, beside what is stored (track/import.h): one query for each kind of item. */
#include "track/import.h"

/* Columns: id; what came: params, tags, points, links; the row (-1: gone), the experiment (-1:
 * none); what is stored: params, tags, points, links. */
static const char g_experiments[] =
    "SELECT i.id, i.n_params, i.n_tags, i.n_points, i.n_links, COALESCE(e.id, -1), COALESCE(e.id, "
    "-1), 0, (SELECT COUNT(*) FROM experiment_tags x WHERE x.experiment_id = e.id), 0, 0 FROM "
    "import_items i LEFT JOIN experiments e ON e.id = CAST(i.id AS BIGINT) WHERE i.import_id = ? "
    "AND i.kind = 'experiment' ORDER BY i.id";
static const char g_runs[] =
    "SELECT i.id, i.n_params, i.n_tags, i.n_points, i.n_links, COALESCE(r.seq, -1), "
    "COALESCE(r.experiment_id, -1), (SELECT COUNT(*) FROM run_params x WHERE x.run = r.seq), "
    "(SELECT COUNT(*) FROM run_tags x WHERE x.run = r.seq), (SELECT COUNT(*) FROM metrics x WHERE "
    "x.run = r.seq), (SELECT COUNT(*) FROM run_inputs x WHERE x.run = r.seq) + (SELECT COUNT(*) "
    "FROM run_models x WHERE x.run = r.seq) FROM import_items i LEFT JOIN runs r ON r.id = i.id "
    "WHERE i.import_id = ? AND i.kind = 'run' ORDER BY i.id";
static const char g_logged[] =
    "SELECT i.id, i.n_params, i.n_tags, i.n_points, i.n_links, CASE WHEN l.id IS NULL THEN -1 ELSE "
    "1 END, COALESCE(l.experiment_id, -1), (SELECT COUNT(*) FROM logged_model_params x WHERE "
    "x.model_id = l.id), (SELECT COUNT(*) FROM logged_model_tags x WHERE x.model_id = l.id), "
    "(SELECT COUNT(*) FROM logged_model_metrics x WHERE x.model_id = l.id), 0 FROM import_items i "
    "LEFT JOIN logged_models l ON l.id = i.id WHERE i.import_id = ? AND i.kind = 'logged_model' "
    "ORDER BY i.id";
static const char g_models[] =
    "SELECT i.id, i.n_params, i.n_tags, i.n_points, i.n_links, COALESCE(m.id, -1), -1, 0, (SELECT "
    "COUNT(*) FROM registered_model_tags x WHERE x.model = m.id), 0, (SELECT COUNT(*) FROM "
    "model_aliases x WHERE x.model = m.id) FROM import_items i JOIN imports s ON s.id = "
    "i.import_id LEFT JOIN registered_models m ON m.name = i.id AND m.workspace_id = "
    "s.workspace_id WHERE i.import_id = ? AND i.kind = 'model' ORDER BY i.id";
static const char g_versions[] =
    "SELECT i.id, i.n_params, i.n_tags, i.n_points, i.n_links, COALESCE(v.id, -1), -1, 0, (SELECT "
    "COUNT(*) FROM model_version_tags x WHERE x.version_id = v.id), 0, 0 FROM import_items i JOIN "
    "imports s ON s.id = i.import_id LEFT JOIN (SELECT y.id AS id, m.workspace_id AS workspace_id, "
    "m.name || '/' || y.version AS ref FROM model_versions y JOIN registered_models m ON m.id = "
    "y.model) v ON v.ref = i.id AND v.workspace_id = s.workspace_id WHERE i.import_id = ? AND "
    "i.kind = 'version' ORDER BY i.id";

static const struct {
    const char *kind, *sql;
} g_kinds[] = {
    {"experiment", g_experiments}, {"run", g_runs},         {"logged_model", g_logged},
    {"model", g_models},           {"version", g_versions},
};

static gy_status walk(struct gy_db *db, int64_t import, size_t kind, gy_import_check_fn fn,
                      void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, g_kinds[kind].sql, GY_VALS(gy_vi(import)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_import_check c = {
            .kind = gy_str_c(g_kinds[kind].kind),
            .id = gy_col_str(st, 0),
            .expected = {gy_col_i64(st, 1), gy_col_i64(st, 2), gy_col_i64(st, 3),
                         gy_col_i64(st, 4)},
            .present = gy_col_i64(st, 5) >= 0,
            .experiment = gy_col_i64(st, 6),
            .stored = {gy_col_i64(st, 7), gy_col_i64(st, 8), gy_col_i64(st, 9), gy_col_i64(st, 10)},
        };
        GY_TRY(fn(ctx, &c, err));
    }
}

gy_status gy_import_compare(struct gy_db *db, int64_t import, gy_import_check_fn fn, void *ctx,
                            struct gy_err *err)
{
    for (size_t i = 0; i < sizeof g_kinds / sizeof g_kinds[0]; i++) {
        GY_TRY(walk(db, import, i, fn, ctx, err));
    }
    return GY_OK;
}

bool gy_import_lacks(const struct gy_import_check *c)
{
    return !c->present || c->stored.params < c->expected.params ||
           c->stored.tags < c->expected.tags || c->stored.points < c->expected.points ||
           c->stored.links < c->expected.links;
}
