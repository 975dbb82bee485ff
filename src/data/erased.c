/* SPDX-License-Identifier: Apache-2.0 */
#include "data/erased.h"

#include "base/limits.h"
#include "store/lineage.h"

static gy_status add_versions(struct gy_db *db, struct gy_str sha256, struct gy_buf *out,
                              struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT name, version, erased_rows FROM dataset_versions WHERE sha256 = ? "
                       "AND gone_why = 'erased' ORDER BY workspace_id, name, version",
                       GY_VALS(gy_vs(sha256)), &st, err));
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        gy_buf_addf(out, "%s%" GY_STR_F "@%lld (%lld rows)", out->n ? ", " : "",
                    GY_STR_A(gy_col_str(st, 0)), (long long)gy_col_i64(st, 1),
                    (long long)gy_col_i64(st, 2));
    }
}

gy_status gy_erased_under(struct gy_db *db, struct gy_str node, struct gy_arena *a,
                          struct gy_str *ret, struct gy_err *err)
{
    struct gy_lineage_edge *edges;
    size_t n;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    *ret = GY_STR_NULL;
    GY_TRY(gy_lineage_nearest(db, node, true, GY_ERASED_MAX_NODES, a, &edges, &n, err));
    for (size_t i = 0; i < n; i++) {
        bool seen = !gy_str_starts(edges[i].from, GY_STR("data:"));
        for (size_t k = 0; k < i && !seen; k++) {
            seen = gy_str_eq(edges[k].from, edges[i].from);
        }
        if (!seen) {
            GY_TRY(add_versions(db, gy_str_sub(edges[i].from, 5, SIZE_MAX), &out, err));
        }
    }
    GY_TRY(gy_buf_check(&out, "what was erased", err));
    if (out.n) {
        *ret = gy_arena_str(a, gy_buf_str(&out));
        return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "what was erased");
    }
    return GY_OK;
}
