/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/refs.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

/* Columns that hold the names of objects, and of which rows; the queries below are made of these. A
 * dataset version whose bytes were given up keeps its digest. */
#define OBJECTS(X)                                          \
    X("dataset_versions", "sha256", " AND gone_us IS NULL") \
    X("dataset_versions", "statistics_sha256", "")          \
    X("artifacts", "sha256", "")                            \
    X("model_version_files", "sha256", "")

/* Of what is not finished: kept while it is there, but no backup needs it, and its objects may go
 * before its rows do. */
#define UNFINISHED(X) X("upload_parts", "sha256", "")

/* Digests of other things: packages, rows a gate judged, files as they were before ingest and their
 * names, tokens.
 */
#define OTHERS(X)                              \
    X("dataset_versions", "source_sha256", "") \
    X("verdicts", "data_sha256", "")           \
    X("uploads", "sha256", "")                 \
    X("tokens", "sha256", "")                  \
    X("dataset_source_objects", "object", "")  \
    X("schema_migrations", "sha256", "")

struct column {
    const char *table, *column;
};
#define ENTRY(t, c, rows) {t, c},
static const struct column objects[] = {OBJECTS(ENTRY) UNFINISHED(ENTRY)};
static const struct column others[] = {OTHERS(ENTRY)};
#undef ENTRY

/* A saved database (serve/archive.h) is read as the program left it that saved it; before this
 * migration no bytes were given up, and there were no statistics. */
#define GIVING_UP 19
#define OBJECTS_BEFORE(X)               \
    X("dataset_versions", "sha256", "") \
    X("model_version_files", "sha256", "")

/* UNION takes each name once; the start names artifacts. */
#define SELECT(t, c, rows) " UNION SELECT " c " FROM " t " WHERE " c " IS NOT NULL" rows
static const char finished[] = "SELECT sha256 FROM artifacts" OBJECTS(SELECT) " ORDER BY 1";
static const char finished_before[] =
    "SELECT sha256 FROM artifacts" OBJECTS_BEFORE(SELECT) " ORDER BY 1";
static const char all[] =
    "SELECT sha256 FROM artifacts" OBJECTS(SELECT) UNFINISHED(SELECT) " ORDER BY 1";
#undef SELECT
#define ASK(t, c, rows) "SELECT COUNT(*) FROM " t " WHERE " c " = ?" rows,
static const char *const asks[] = {OBJECTS(ASK)};
#undef ASK

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
    int64_t schema = 0;
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT MAX(number) FROM schema_migrations", GY_NO_VALS, &found,
                         &schema, err));
    const char *sql = unfinished ? all : schema < GIVING_UP ? finished_before : finished;
    GY_TRY(gy_db_query(db, sql, GY_NO_VALS, &st, err));
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

gy_status gy_refs_ask(struct gy_db *db, void *asked, struct gy_err *err)
{
    struct gy_ref_asked *ask = asked;
    ask->named = false;
    for (size_t i = 0; !ask->named && i < sizeof asks / sizeof asks[0]; i++) {
        int64_t n = 0;
        bool found = false;
        GY_TRY(gy_db_get_i64(db, asks[i], GY_VALS(gy_vs(ask->sha256)), &found, &n, err));
        ask->named = n > 0;
    }
    return GY_OK;
}

/* ---- a set ---- */

static gy_status add_name(void *ctx, struct gy_str sha256, struct gy_err *err)
{
    struct gy_refs *set = ctx;
    if (set->n == GY_REFS_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %zu objects", GY_REFS_MAX);
    }
    if (set->n == set->cap) {
        size_t cap = set->cap ? set->cap * 2 : 1024;
        void *more = gy_reallocarray(set->names, cap, sizeof *set->names);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "listing the objects that are named");
        }
        set->names = more;
        set->cap = cap;
    }
    set->n += gy_unhex(sha256, set->names[set->n], 32);
    return GY_OK;
}

gy_status gy_refs_add(struct gy_refs *set, struct gy_db *db, bool unfinished, struct gy_err *err)
{
    set->sorted = false;
    return gy_refs_each(db, unfinished, add_name, set, err);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

bool gy_refs_has(struct gy_refs *set, const char *sha256)
{
    unsigned char name[32];
    if (set->n == 0 || !gy_unhex(gy_str_c(sha256), name, 32)) {
        return false;
    }
    if (!set->sorted) {
        qsort(set->names, set->n, sizeof *set->names, compare);
        set->sorted = true;
    }
    return bsearch(name, set->names, set->n, sizeof *set->names, compare) != NULL;
}

void gy_refs_done(struct gy_refs *set)
{
    gy_free(set->names);
    *set = (struct gy_refs){.names = NULL};
}
