/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a database to the schema of this program: all that is missing in one write transaction,
 * with the rows that record it, so an interrupted start changes nothing. Two processes that start
 * at once take turns at the write lock; the second finds the rows of the first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/store_internal.h"

#define GY_MAX_MIGRATIONS 1000

/* "0003_track.sql" is 3. */
static gy_status number_of(const struct gy_embedded *m, int64_t *ret, struct gy_err *err)
{
    struct gy_str digits, rest;
    (void)gy_str_cut(gy_str_c(m->name), '_', &digits,
                     &rest); /* without one, digits is not a number below */
    gy_status status = gy_parse_i64(digits, 1, GY_MAX_MIGRATIONS, ret, err);
    if (status != GY_OK) {
        gy_err_wrap(err, "migration file name '%s'", m->name);
    }
    return status;
}

static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, "
    "actor TEXT NOT NULL, created_us INTEGER NOT NULL)";

/* How each database tells what it holds: whether our record is there, and what else is. */
struct catalog {
    const char *has_record, *n_foreign;
};

static const struct catalog *catalog_of(enum gy_sql_dialect dialect)
{
    static const struct catalog sqlite = {
        "SELECT COUNT(*) FROM sqlite_master WHERE type='table' AND name='schema_migrations'",
        "SELECT COUNT(*) FROM sqlite_master WHERE type='table'"};
    /* Others have a table of that name, too: ours has this column. */
    static const struct catalog postgres = {
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name = 'schema_migrations' AND column_name = 'sha256'",
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()"};
    return dialect == GY_SQL_POSTGRES ? &postgres : &sqlite;
}

static gy_status count_of(struct gy_db *db, const char *sql, int64_t *ret, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, sql, GY_NO_VALS, &found, ret, err);
}

/* Under the write lock: two that start at once take turns. A database full of somebody else's
 * tables is not ours to change. */
static gy_status begin_record(struct gy_db *db, const struct catalog *c, struct gy_err *err)
{
    int64_t recorded = 0, foreign = 0;
    GY_TRY(count_of(db, c->has_record, &recorded, err));
    GY_TRY(count_of(db, c->n_foreign, &foreign, err));
    if (recorded == 0 && foreign > 0) {
        gy_err_set(err, GY_E_VERSION, "the database holds tables that are not Gyre's");
        return gy_err_hint(err, db->ops->dialect == GY_SQL_POSTGRES
                                    ? "give Gyre a database of its own: CREATE DATABASE gyre"
                                    : "name another file");
    }
    return recorded ? GY_OK : db->ops->exec(db->conn, create_table, err);
}

static gy_status make_record(struct gy_db *db, struct gy_err *err)
{
    const struct catalog *c = catalog_of(db->ops->dialect);
    int64_t recorded = 0;
    GY_TRY(count_of(db, c->has_record, &recorded, err));
    if (recorded > 0) {
        return GY_OK;
    }
    GY_TRY(db->ops->begin(db->conn, true, err));
    gy_status status = begin_record(db, c, err);
    if (status == GY_OK) {
        status = db->ops->commit(db->conn, err);
    }
    if (status != GY_OK) {
        db->ops->rollback(db->conn);
    }
    return status;
}

static gy_status newest_known(const struct gy_embedded *migrations, size_t n, int64_t *ret,
                              struct gy_err *err)
{
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t number;
        GY_TRY(number_of(&migrations[i], &number, err));
        if (number <= *ret) {
            return gy_err_set(err, GY_E_FAILED, "migration '%s' is out of order",
                              migrations[i].name);
        }
        *ret = number;
    }
    return GY_OK;
}

static gy_status recorded(struct gy_db *db, const struct gy_embedded *m, int64_t number,
                          bool *ret_done, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_KIB);
    struct gy_str sha = GY_STR_NULL;
    GY_TRY(gy_db_get_str(db, "SELECT sha256 FROM schema_migrations WHERE number=?",
                         GY_VALS(gy_vi(number)), &a, ret_done, &sha, err));
    if (*ret_done && !gy_str_eqc(sha, m->sha256)) {
        gy_err_set(err, GY_E_VERSION,
                   "migration %d of the database is not the one of this program (%s)", (int)number,
                   m->name);
        gy_err_hint(
            err, "the database was made by another build of Gyre; use that one, or another --home");
        return GY_E_VERSION;
    }
    return GY_OK;
}

static gy_status apply(struct gy_db *db, const struct gy_embedded *m, struct gy_err *err)
{
    int64_t number;
    bool done = false;
    GY_TRY(number_of(m, &number, err));
    GY_TRY(recorded(db, m, number, &done, err));
    if (done) {
        return GY_OK;
    }
    gy_status status = db->ops->exec(db->conn, m->bytes, err);
    if (status == GY_OK) {
        status = gy_db_exec(db,
                            "INSERT INTO schema_migrations (number, name, sha256, actor, "
                            "created_us) VALUES (?,?,?,?,?)",
                            GY_VALS(gy_vi(number), gy_vc(m->name), gy_vc(m->sha256), gy_vc("gyre"),
                                    gy_vi(gy_now_us())),
                            NULL, err);
    }
    if (status != GY_OK) {
        gy_err_wrap(err, "migration '%s'", m->name);
    }
    return status;
}

static gy_status apply_all(struct gy_db *db, const struct gy_embedded *migrations, size_t n,
                           struct gy_err *err)
{
    GY_TRY(db->ops->begin(db->conn, true, err));
    gy_status status = GY_OK;
    for (size_t i = 0; i < n && status == GY_OK; i++) {
        status = apply(db, &migrations[i], err);
    }
    if (status == GY_OK) {
        status = db->ops->commit(db->conn, err);
    }
    if (status != GY_OK) {
        db->ops->rollback(db->conn);
    }
    return status;
}

static gy_status sync_file(const char *path, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    gy_status status = fsync(fd) == 0 ? GY_OK : gy_err_sys(err, errno, "syncing '%s'", path);
    (void)close(fd); /* nothing was written through it */
    return status;
}

/* The copy gets its name only when it is whole and on disk. */
static gy_status back_up(struct gy_db *db, const char *base, int64_t number, struct gy_err *err)
{
    char path[GY_MAX_PATH + 64], part[GY_MAX_PATH + 128];
    snprintf(path, sizeof path, "%s.bak-%d", base, (int)number);
    snprintf(part, sizeof part, "%s.part-%d", path,
             (int)gettid()); /* openers may be threads of one process */
    gy_status status = db->ops->backup(db->conn, part, err);
    if (status == GY_OK) {
        status = sync_file(part, err);
    }
    if (status == GY_OK && rename(part, path) != 0) {
        status = gy_err_sys(err, errno, "renaming '%s'", part);
    }
    if (status != GY_OK) {
        (void)unlink(part); /* what could not be finished is of no use */
        gy_err_wrap(err, "backup before the migration");
        return status;
    }
    char dir[GY_MAX_PATH];
    snprintf(dir, sizeof dir, "%s", base);
    char *slash = strrchr(dir, '/');
    if (slash) {
        slash[slash == dir] = '\0';
    }
    return gy_dir_sync(slash ? dir : ".", err);
}

/* A database that can not be backed up from here is changed only when its operator says so. */
static gy_status ask_operator(int64_t from, int64_t to, struct gy_err *err)
{
    gy_err_set(err, GY_E_VERSION, "the database has schema %d, this program wants %d", (int)from,
               (int)to);
    return gy_err_hint(err, "stop its servers, back it up (`gyre backup` of the older program, or "
                            "pg_dump -Fc), then start one with `gyre server --migrate`: there is "
                            "no other way back");
}

gy_status gy_store_migrate(struct gy_db *db, const struct gy_embedded *migrations, size_t n,
                           const char *backup_base, bool allowed, struct gy_err *err)
{
    int64_t known, newest = 0, missing = 0;
    bool found;
    GY_TRY(newest_known(migrations, n, &known, err));
    GY_TRY(make_record(db, err));
    GY_TRY(gy_db_get_i64(db, "SELECT COALESCE(MAX(number), 0) FROM schema_migrations", GY_NO_VALS,
                         &found, &newest, err));
    if (newest > known) {
        gy_err_set(err, GY_E_VERSION, "the database has schema %d, this program knows up to %d",
                   (int)newest, (int)known);
        gy_err_hint(err, "use the newer Gyre that made it, or restore the backup beside it");
        return GY_E_VERSION;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t number;
        bool done;
        GY_TRY(number_of(&migrations[i], &number, err));
        GY_TRY(recorded(db, &migrations[i], number, &done, err));
        missing += !done;
    }
    if (missing > 0 && newest > 0 && backup_base && db->ops->backup) {
        GY_TRY(back_up(db, backup_base, newest, err));
    } else if (missing > 0 && newest > 0 && !db->ops->backup && !allowed) {
        return ask_operator(newest, known, err);
    }
    return missing > 0 ? apply_all(db, migrations, n, err) : GY_OK;
}
