/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/refs.h"

#include "base/hash.h"

/* Columns that hold the names of objects. The queries below are made of these. */
#define OBJECTS(X)                  \
    X("dataset_versions", "sha256") \
    X("artifacts", "sha256")        \
    X("model_version_files", "sha256")

/* Of what is not finished: kept while it is there, but no backup needs it, and its objects may go
 * before its rows do. */
#define UNFINISHED(X) X("upload_parts", "sha256")

/* Digests of other things: packages, rows a gate judged, files as they were before ingest. */
#define OTHERS(X)                          \
    X("dataset_versions", "source_sha256") \
    X("verdicts", "data_sha256")           \
    X("uploads", "sha256")                 \
    X("schema_migrations", "sha256")

struct column {
    const char *table, *column;
};
#define ENTRY(t, c) {t, c},
static const struct column objects[] = {OBJECTS(ENTRY) UNFINISHED(ENTRY)};
static const struct column others[] = {OTHERS(ENTRY)};
#undef ENTRY

/* UNION takes each name once; an empty start keeps the macro simple. */
#define SELECT(t, c) " UNION SELECT " c " FROM " t " WHERE " c " IS NOT NULL"
static const char finished[] = "SELECT sha256 FROM artifacts" OBJECTS(SELECT) " ORDER BY 1";
static const char all[] =
    "SELECT sha256 FROM artifacts" OBJECTS(SELECT) UNFINISHED(SELECT) " ORDER BY 1";
#undef SELECT

static bool is_in(const struct column *list, size_t n, struct gy_str table, struct gy_str column)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eqc(table, list[i].table) && gy_str_eqc(column, list[i].column)) {
            return true;
        }
    }
    return false;
}

int gy_refs_knows(struct gy_str table, struct gy_str column)
{
    return is_in(objects, sizeof objects / sizeof objects[0], table, column) ? 1
           : is_in(others, sizeof others / sizeof others[0], table, column)  ? 0
                                                                             : -1;
}

gy_status gy_refs_each(struct gy_db *db, bool unfinished, gy_ref_fn fn, void *ctx,
                       struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, unfinished ? all : finished, GY_NO_VALS, &st, err));
    for (bool row = true;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_str name = gy_col_str(st, 0);
        if (name.n == GY_SHA256_HEX - 1) {
            GY_TRY(fn(ctx, name, err));
        }
    }
}
