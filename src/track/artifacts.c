/* SPDX-License-Identifier: Apache-2.0 */
#include "track/artifacts.h"

#include <stdlib.h>

#include "base/time.h"
#include "net/call.h"
#include "store/scope.h"

/* ---- paths ---- */

static gy_status invalid_path(struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "Invalid path");
}

/* Is this spelling of a path harmless? */
static bool path_ok(struct gy_str s)
{
    if (s.n > 0 && s.p[0] == '/') {
        return false;
    }
    if (s.n > 2 && s.p[1] == ':' && s.p[2] == '/') { /* C:/x */
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || s.p[i] == '\\' || s.p[i] == '#') {
            return false;
        }
    }
    struct gy_str rest = s, piece;
    while (gy_str_next(&rest, '/', &piece)) {
        if (gy_str_eqc(piece, "..")) {
            return false;
        }
    }
    return gy_str_is_utf8(s) && !gy_str_starts(s, GY_STR("file:"));
}

gy_status gy_artifact_clean_path(struct gy_str raw, struct gy_arena *a, struct gy_str *ret,
                                 struct gy_err *err)
{
    if (raw.n > GY_ARTIFACT_MAX_PATH) {
        return invalid_path(err);
    }
    /* Every spelling that decoding again and again leads to must be harmless. */
    struct gy_str seen = raw;
    for (int i = 0; i < 16; i++) {
        if (!path_ok(seen)) {
            return invalid_path(err);
        }
        struct gy_str next = gy_url_decode(a, seen, false);
        if (!next.p && seen.n > 0) {
            return gy_track_nomem(err);
        }
        if (gy_str_eq(next, seen)) {
            break;
        }
        if (i == 15) {
            return invalid_path(err);
        }
        seen = next;
    }
    char *out = gy_arena_alloc(a, raw.n + 1);
    if (!out) {
        return gy_track_nomem(err);
    }
    size_t n = 0;
    struct gy_str rest = raw, piece;
    while (raw.n > 0 && gy_str_next(&rest, '/', &piece)) {
        if (piece.n == 0 || gy_str_eqc(piece, ".")) {
            continue;
        }
        if (n > 0) {
            out[n++] = '/';
        }
        memcpy(out + n, piece.p, piece.n);
        n += piece.n;
    }
    out[n] = '\0';
    *ret = gy_str_n(out, n);
    return GY_OK;
}

struct gy_str gy_artifact_path_of_uri(struct gy_str uri, struct gy_arena *a)
{
    static const char through[] = "/mlflow-artifacts/artifacts/";
    struct gy_str rest = GY_STR_NULL, query, clean;
    if (gy_str_starts(uri, GY_STR("mlflow-artifacts:"))) {
        rest = gy_str_sub(uri, sizeof "mlflow-artifacts:" - 1, SIZE_MAX);
        if (gy_str_starts(rest, GY_STR("//"))) { /* a server is named: what follows it */
            size_t slash = gy_str_find(gy_str_sub(rest, 2, SIZE_MAX), '/');
            rest = slash == SIZE_MAX ? GY_STR("") : gy_str_sub(rest, 2 + slash, SIZE_MAX);
        }
    } else if (gy_str_starts(uri, GY_STR("http:")) || gy_str_starts(uri, GY_STR("https:"))) {
        size_t at = gy_str_find_str(uri, gy_str_n(through, sizeof through - 1));
        if (at == SIZE_MAX) {
            return GY_STR_NULL;
        }
        rest = gy_str_sub(uri, at + sizeof through - 1, SIZE_MAX);
    } else {
        return GY_STR_NULL;
    }
    (void)gy_str_cut(rest, '?', &rest, &query);
    while (rest.n > 0 && rest.p[0] == '/') {
        rest = gy_str_sub(rest, 1, SIZE_MAX);
    }
    return gy_artifact_clean_path(rest, a, &clean, NULL) == GY_OK ? clean : GY_STR_NULL;
}

struct gy_str gy_artifact_join(struct gy_str dir, struct gy_str name, struct gy_arena *a)
{
    if (dir.n == 0 || name.n == 0) {
        return gy_arena_str(a, dir.n == 0 ? name : dir);
    }
    char *out = gy_arena_alloc(a, dir.n + name.n + 2);
    if (!out) {
        return GY_STR_NULL;
    }
    memcpy(out, dir.p, dir.n);
    out[dir.n] = '/';
    memcpy(out + dir.n + 1, name.p, name.n);
    out[dir.n + name.n + 1] = '\0';
    return gy_str_n(out, dir.n + name.n + 1);
}

/* The range [dir/, dir0) holds what is below dir, since '0' follows '/'. The root: all. */
static gy_status below(struct gy_str dir, struct gy_arena *a, struct gy_str *ret_from,
                       struct gy_str *ret_to, struct gy_err *err)
{
    if (dir.n == 0) {
        *ret_from = GY_STR("");
        *ret_to = GY_STR("\xff"); /* after every UTF-8 text */
        return GY_OK;
    }
    *ret_from = gy_artifact_join(dir, GY_STR("/"), a);
    *ret_to = gy_artifact_join(dir, GY_STR("0"), a);
    if (!ret_from->p || !ret_to->p) {
        return gy_track_nomem(err);
    }
    ret_from->n--; /* "dir//" -> "dir/" */
    ((char *)ret_to->p)[dir.n] = '0';
    ret_to->n--; /* "dir/0" -> "dir0" */
    return GY_OK;
}

/* ---- what is fixed ---- */

#define FIXED                                                                                      \
    "SELECT m.name, v.version FROM model_version_files f JOIN model_versions v ON v.id = "         \
    "f.version_id JOIN registered_models m ON m.id = v.model WHERE m.workspace_id = ? AND "        \
    "v.deleted = 0 AND (EXISTS "                                                                   \
    "(SELECT 1 FROM model_aliases x WHERE x.model = v.model AND x.version = v.version) OR EXISTS " \
    "(SELECT 1 FROM verdicts d WHERE d.model_digest = v.digest)) AND "

static gy_status refuse_fixed(struct gy_db *db, const char *sql, const struct gy_val *vals,
                              size_t n_vals, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (found) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "the artifact belongs to version %lld of model '%" GY_STR_F
                          "', which has an alias or a verdict: its files can not be changed",
                          (long long)gy_col_i64(st, 1),
                          GY_STR_A(gy_str_sub(gy_col_str(st, 0), 0, 200)));
    }
    return GY_OK;
}

/* Nothing is added to the folder of a fixed model either: its loader may find it. */
static gy_status refuse_addition(struct gy_db *db, struct gy_str path, struct gy_arena *a,
                                 struct gy_err *err)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '/') {
            continue;
        }
        struct gy_str mark = gy_artifact_join(gy_str_sub(path, 0, i), GY_STR("MLmodel"), a);
        if (!mark.p) {
            return gy_track_nomem(err);
        }
        GY_TRY(refuse_fixed(db,
                            FIXED "f.artifact_path = ? AND f.path = 'MLmodel' AND NOT EXISTS "
                                  "(SELECT 1 FROM model_version_files g WHERE g.version_id = "
                                  "f.version_id AND g.artifact_path = ?) LIMIT 1",
                            GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(mark), gy_vs(path)), err));
    }
    return GY_OK;
}

/* ---- files ---- */

/* No file may stand where path needs a folder, and no folder where it wants to be. */
static gy_status check_place(struct gy_db *db, struct gy_str path, struct gy_arena *a,
                             struct gy_err *err)
{
    bool found = false;
    int64_t one = 0;
    struct gy_str from, to;
    GY_TRY(below(path, a, &from, &to, err));
    struct gy_str ws = gy_db_workspace(db);
    GY_TRY(gy_db_get_i64(
        db, "SELECT 1 FROM artifacts WHERE workspace_id = ? AND path >= ? AND path < ? LIMIT 1",
        GY_VALS(gy_vs(ws), gy_vs(from), gy_vs(to)), &found, &one, err));
    if (found) {
        return gy_err_set(err, GY_E_INVALID, "artifact '%" GY_STR_F "' is a folder",
                          GY_STR_A(gy_str_sub(path, 0, 300)));
    }
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '/') {
            continue;
        }
        struct gy_str above = gy_str_sub(path, 0, i);
        GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM artifacts WHERE workspace_id = ? AND path = ?",
                             GY_VALS(gy_vs(ws), gy_vs(above)), &found, &one, err));
        if (found) {
            return gy_err_set(err, GY_E_INVALID, "artifact '%" GY_STR_F "' is a file, no folder",
                              GY_STR_A(gy_str_sub(above, 0, 300)));
        }
    }
    return GY_OK;
}

gy_status gy_artifact_check(struct gy_db *db, struct gy_str path, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 << 10);
    if (path.n == 0) {
        return invalid_path(err);
    }
    GY_TRY(check_place(db, path, &a, err));
    return refuse_addition(db, path, &a, err);
}

gy_status gy_artifact_put(struct gy_db *db, struct gy_str path, struct gy_str sha256,
                          int64_t size_bytes, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 << 10);
    if (path.n == 0) {
        return invalid_path(err);
    }
    GY_TRY(check_place(db, path, &a, err));
    GY_TRY(refuse_fixed(db, FIXED "f.artifact_path = ? AND f.sha256 <> ? LIMIT 1",
                        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(path), gy_vs(sha256)), err));
    GY_TRY(refuse_addition(db, path, &a, err));
    return gy_db_exec(
        db,
        "INSERT INTO artifacts (workspace_id, path, sha256, size_bytes, actor, created_us) VALUES "
        "(?, ?, ?, ?, ?, ?) ON CONFLICT (workspace_id, path) DO UPDATE SET sha256 = "
        "excluded.sha256, size_bytes = "
        "excluded.size_bytes, actor = excluded.actor, created_us = excluded.created_us WHERE "
        "artifacts.sha256 <> excluded.sha256",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(path), gy_vs(sha256), gy_vi(size_bytes),
                gy_vs(actor), gy_vi(gy_now_us())),
        NULL, err);
}

gy_status gy_artifact_get(struct gy_db *db, struct gy_str path, struct gy_arena *a,
                          struct gy_artifact *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(
        db, "SELECT sha256, size_bytes FROM artifacts WHERE workspace_id = ? AND path = ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(path)), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "No such artifact: '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(path, 0, 300)));
    }
    *ret = (struct gy_artifact){path, gy_col_dup(st, 0, a), gy_col_i64(st, 1)};
    return ret->sha256.p ? GY_OK : gy_track_nomem(err);
}

gy_status gy_artifact_delete(struct gy_db *db, struct gy_str path, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 << 10);
    struct gy_str from, to, ws = gy_db_workspace(db);
    GY_TRY(below(path, &a, &from, &to, err));
    GY_TRY(refuse_fixed(db,
                        FIXED "(f.artifact_path = ? OR (f.artifact_path >= ? AND f.artifact_path "
                              "< ?)) LIMIT 1",
                        GY_VALS(gy_vs(ws), gy_vs(path), gy_vs(from), gy_vs(to)), err));
    return gy_db_exec(db,
                      "DELETE FROM artifacts WHERE workspace_id = ? AND (path = ? OR (path >= ? "
                      "AND path < ?))",
                      GY_VALS(gy_vs(ws), gy_vs(path), gy_vs(from), gy_vs(to)), NULL, err);
}

gy_status gy_artifact_object_readable(struct gy_db *db, struct gy_str sha256, bool *ret,
                                      struct gy_err *err)
{
    struct gy_val ws = gy_vs(gy_db_workspace(db)), sha = gy_vs(sha256);
    int64_t one = 0;
    bool own = false, theirs = false, part = false;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT 1 FROM artifacts WHERE sha256 = ? AND workspace_id = ? UNION ALL "
                         "SELECT 1 FROM dataset_versions WHERE sha256 = ? AND workspace_id = ? "
                         "UNION ALL SELECT 1 FROM dataset_versions WHERE statistics_sha256 = ? "
                         "AND workspace_id = ? LIMIT 1",
                         GY_VALS(sha, ws, sha, ws, sha, ws), &own, &one, err));
    GY_TRY(gy_db_get_i64(db,
                         "SELECT 1 FROM artifacts WHERE sha256 = ? AND workspace_id <> ? UNION ALL "
                         "SELECT 1 FROM dataset_versions WHERE sha256 = ? AND workspace_id <> ? "
                         "UNION ALL SELECT 1 FROM dataset_versions WHERE statistics_sha256 = ? "
                         "AND workspace_id <> ? LIMIT 1",
                         GY_VALS(sha, ws, sha, ws, sha, ws), &theirs, &one, err));
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM upload_parts WHERE sha256 = ? LIMIT 1", GY_VALS(sha),
                         &part, &one, err));
    *ret = own || (!theirs && !part);
    return GY_OK;
}

/* ---- folders ---- */

static int by_name(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_artifact_entry *)a)->name,
                      ((const struct gy_artifact_entry *)b)->name);
}

/* One entry at a time: the first path of what is left; below a sub-folder all is skipped at once,
 * so that a folder of few entries is quick to list whatever it holds. */
gy_status gy_artifact_list(struct gy_db *db, struct gy_str dir, struct gy_arena *a,
                           struct gy_artifact_entry **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_str from, to;
    GY_TRY(below(dir, a, &from, &to, err));
    void *items = NULL;
    size_t n = 0, cap = 0, skip = from.n;
    bool inclusive = true;
    for (;;) {
        GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
        GY_TRY(gy_db_query(db,
                           inclusive
                               ? "SELECT path, size_bytes FROM artifacts WHERE workspace_id = ? "
                                 "AND path >= ? AND path < ? ORDER BY path LIMIT 1"
                               : "SELECT path, size_bytes FROM artifacts WHERE workspace_id = ? "
                                 "AND path > ? AND path < ? ORDER BY path LIMIT 1",
                           GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(from), gy_vs(to)), &st, err));
        bool found = false;
        GY_TRY(gy_stmt_step(st, &found, err));
        if (!found) {
            break;
        }
        if (n >= GY_TRACK_MAX_LIST) {
            return gy_err_set(err, GY_E_TOOBIG, "the folder has more than %d entries",
                              GY_TRACK_MAX_LIST);
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_artifact_entry), err));
        struct gy_artifact_entry *e = &((struct gy_artifact_entry *)items)[n++];
        struct gy_str path = gy_col_dup(st, 0, a), rest;
        if (!path.p) {
            return gy_track_nomem(err);
        }
        e->is_dir = gy_str_cut(gy_str_sub(path, skip, SIZE_MAX), '/', &e->name, &rest);
        inclusive = e->is_dir;
        if (e->is_dir) {
            struct gy_str unused;
            GY_TRY(below(gy_str_sub(path, 0, skip + e->name.n), a, &unused, &from, err));
        } else {
            e->size_bytes = gy_col_i64(st, 1);
            from = path;
        }
    }
    if (n > 0) { /* "a.txt" stands before "a/", but after "a" */
        qsort(items, n, sizeof(struct gy_artifact_entry), by_name);
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_artifact_tree(struct gy_db *db, struct gy_str dir, size_t max, struct gy_arena *a,
                           struct gy_artifact **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_str from, to;
    GY_TRY(below(dir, a, &from, &to, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT path, sha256, size_bytes FROM artifacts WHERE workspace_id = ? AND "
                       "path >= ? AND path < ? ORDER BY path",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(from), gy_vs(to)), &st, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        if (n >= max) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %zu files below '%" GY_STR_F "'", max,
                              GY_STR_A(gy_str_sub(dir, 0, 300)));
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_artifact), err));
        struct gy_artifact *f = &((struct gy_artifact *)items)[n++];
        f->path = gy_arena_str(a, gy_str_sub(gy_col_str(st, 0), from.n, SIZE_MAX));
        f->sha256 = gy_col_dup(st, 1, a);
        f->size_bytes = gy_col_i64(st, 2);
        if (!f->path.p || !f->sha256.p) {
            return gy_track_nomem(err);
        }
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}
