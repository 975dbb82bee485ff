/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing databases to the schema: fresh, older, newer, foreign, interrupted, two at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "faulty.h"
#include "scratch.h"
#include "store/store_internal.h"

#define M(n, name, sql)                      \
    {                                        \
        name, sql, sizeof(sql) - 1, "sha-" n \
    }

static const struct gy_embedded three[] = {
    M("1", "0001_a.sql", "CREATE TABLE a (x INTEGER); CREATE TABLE a2 (x INTEGER);"),
    M("2", "0002_b.sql", "CREATE TABLE b (x INTEGER); INSERT INTO b VALUES (7);"),
    M("4", "0004_d.sql", "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x * 2;"),
};

static int setup(void **state)
{
    *state = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static struct gy_db *open_db(struct scratch *s, struct gy_sql_driver driver)
{
    struct gy_db *db = NULL;
    struct gy_sql_config cfg = {.location = gy_str_c(s->path), .busy_timeout_ms = 10000};
    assert_int_equal(gy_db_open(driver, &cfg, &db, NULL), GY_OK);
    return db;
}

static gy_status migrate(struct scratch *s, const struct gy_embedded *m, size_t n,
                         struct gy_err *err)
{
    struct gy_db *db = open_db(s, gy_sql_sqlite);
    gy_status status = gy_store_migrate(db, m, n, s->path, false, err);
    gy_db_free(db);
    return status;
}

static void run_sql(const char *path, const char *sql)
{
    struct gy_db *db = NULL;
    struct gy_sql_config cfg = {.location = gy_str_c(path)};
    assert_int_equal(gy_db_open(gy_sql_sqlite, &cfg, &db, NULL), GY_OK);
    struct gy_err err = GY_ERR_INIT;
    if (db->ops->exec(db->conn, sql, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    gy_db_free(db);
}

static int64_t number(const char *path, const char *sql)
{
    struct gy_db *db = NULL;
    struct gy_sql_config cfg = {.location = gy_str_c(path)};
    int64_t n = -1;
    bool found;
    assert_int_equal(gy_db_open(gy_sql_sqlite, &cfg, &db, NULL), GY_OK);
    assert_int_equal(gy_db_get_i64(db, sql, GY_NO_VALS, &found, &n, NULL), GY_OK);
    gy_db_free(db);
    return n;
}

static void a_fresh_database_gets_all_and_no_backup(void **state)
{
    struct scratch *s = *state;
    char backup[160];
    assert_int_equal(migrate(s, three, 3, NULL), GY_OK);
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM schema_migrations"), 3);
    assert_int_equal(
        number(s->path, "SELECT MAX(number) FROM schema_migrations WHERE sha256='sha-4'"), 4);
    assert_int_equal(number(s->path, "SELECT SUM(x) FROM b"), 7);
    snprintf(backup, sizeof backup, "%s.bak-0", s->path);
    assert_false(gy_path_exists(backup));
    assert_int_equal(migrate(s, three, 3, NULL), GY_OK); /* again: nothing to do */
    assert_int_equal(number(s->path, "SELECT SUM(x) FROM b"), 7);
}

static void an_older_one_is_backed_up_then_brought_up(void **state)
{
    struct scratch *s = *state;
    char backup[160];
    assert_int_equal(migrate(s, three, 2, NULL), GY_OK);
    run_sql(s->path, "INSERT INTO a VALUES (21)");
    assert_int_equal(migrate(s, three, 3, NULL), GY_OK);
    assert_int_equal(number(s->path, "SELECT y FROM a"), 42);
    snprintf(backup, sizeof backup, "%s.bak-2", s->path);
    assert_int_equal(number(backup, "SELECT x FROM a"), 21);
    assert_int_equal(number(backup, "SELECT MAX(number) FROM schema_migrations"), 2);
    assert_int_equal(migrate(s, three, 3, NULL), GY_OK);
}

static void a_missing_number_is_filled_in(void **state)
{
    struct scratch *s = *state;
    const struct gy_embedded gap[] = {three[0], three[2]};
    assert_int_equal(migrate(s, gap, 2, NULL), GY_OK);
    assert_int_equal(migrate(s, three, 3, NULL), GY_OK);
    assert_int_equal(number(s->path, "SELECT SUM(x) FROM b"), 7);
}

static void a_newer_one_is_refused_with_a_hint(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(migrate(s, three, 3, NULL), GY_OK);
    assert_int_equal(migrate(s, three, 2, &err), GY_E_VERSION);
    assert_non_null(strstr(err.msg, "schema 4"));
    assert_true(err.hint[0] != '\0');
    assert_int_equal(migrate(s, three, 2, NULL), GY_E_VERSION);
}

static void another_text_of_a_migration_is_refused(void **state)
{
    struct scratch *s = *state;
    const struct gy_embedded changed[] = {M("changed", "0001_a.sql", "CREATE TABLE a (x INTEGER)")};
    assert_int_equal(migrate(s, three, 1, NULL), GY_OK);
    assert_int_equal(migrate(s, changed, 1, NULL), GY_E_VERSION);
}

static void a_foreign_database_is_left_alone(void **state)
{
    struct scratch *s = *state;
    run_sql(s->path, "CREATE TABLE theirs (x INTEGER)");
    assert_int_equal(migrate(s, three, 3, NULL), GY_E_VERSION);
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM sqlite_master"), 1);
}

static void bad_names_and_bad_sql_are_errors(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_embedded unnumbered[] = {M("1", "core.sql", "SELECT 1")};
    const struct gy_embedded disordered[] = {three[1], three[0]};
    const struct gy_embedded broken[] = {
        three[0], M("2", "0002_b.sql", "CREATE TABLE half (x INTEGER); CREATE TABEL b")};
    assert_int_equal(migrate(s, unnumbered, 1, NULL), GY_E_INVALID);
    assert_int_equal(migrate(s, disordered, 2, NULL), GY_E_FAILED);
    assert_int_equal(migrate(s, broken, 2, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "0002_b.sql"));
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM sqlite_master WHERE name='half'"), 0);
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM schema_migrations"), 0);
}

/* Whatever fails, all of it is there or nothing, and the next start finishes. */
static void each_failing_statement_leaves_all_or_nothing(void **state)
{
    struct scratch *s = *state;
    struct faulty_sql f;
    struct gy_sql_driver driver = faulty_sql(&f, gy_sql_sqlite);
    for (long at = 1; at < 200; at++) {
        (void)unlink(s->path); /* the first time there is none */
        struct gy_db *db = open_db(s, driver);
        fault_reset(&f.fault, FAULT_SQL_ALL & ~FAULT_OPEN, at, true);
        gy_status status = gy_store_migrate(db, three, 3, s->path, false, NULL);
        long fired = f.fault.fired;
        fault_reset(&f.fault, 0, 0, false);
        gy_db_free(db);
        if (fired == 0) {
            assert_int_equal(status, GY_OK);
            assert_true(at > 20);
            return;
        }
        assert_int_equal(status, GY_E_IO);
        int64_t rows =
            number(s->path, "SELECT COUNT(*) FROM sqlite_master WHERE name='schema_migrations'");
        rows = rows ? number(s->path, "SELECT COUNT(*) FROM schema_migrations") : 0;
        assert_int_equal(
            number(s->path, "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('a', 'a2', 'b')"),
            rows == 0 ? 0 : 3);
        assert_int_equal(migrate(s, three, 3, NULL), GY_OK);
        assert_int_equal(number(s->path, "SELECT COUNT(*) FROM schema_migrations"), 3);
    }
    fail_msg("the run never came to its end");
}

struct opener {
    pthread_t thread;
    const char *url;
    gy_status status;
};

static void *open_store(void *arg)
{
    struct opener *o = arg;
    struct gy_store *st = NULL;
    struct gy_store_options options = {.url = o->url};
    o->status = gy_store_open(&options, &st, NULL);
    gy_store_free(st);
    return NULL;
}

static void many_may_open_a_fresh_one_at_once(void **state)
{
    struct scratch *s = *state;
    struct opener o[6];
    for (int i = 0; i < 6; i++) {
        o[i] = (struct opener){.url = s->url};
        assert_int_equal(pthread_create(&o[i].thread, NULL, open_store, &o[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(o[i].thread, NULL);
        assert_int_equal(o[i].status, GY_OK);
    }
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM schema_migrations"),
                     (int64_t)gy_migrations_count);
    for (int i = 0; i <= (int)gy_migrations_count; i++) {
        char backup[160];
        snprintf(backup, sizeof backup, "%s.bak-%d", s->path, i);
        assert_false(gy_path_exists(backup)); /* nobody took a half-made one for an older one */
    }
}

/* The conventions that every room's tables keep: design.md section 3, "Schema from migration 1". */
static void every_root_table_says_who_and_when(void **state)
{
    struct scratch *s = *state;
    scratch_open(s);
    scratch_close(s);
    assert_true(gy_migrations_count >= 1);
    assert_string_equal(gy_migrations[0].name, "0001_core.sql");
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM workspaces WHERE id='default'"), 1);
    assert_int_equal(
        number(
            s->path,
            "SELECT COUNT(*) FROM sqlite_master m WHERE type='table' AND EXISTS (SELECT 1 FROM "
            "pragma_table_info(m.name) WHERE name='workspace_id') AND (NOT EXISTS (SELECT 1 FROM "
            "pragma_table_info(m.name) WHERE name='actor' AND \"notnull\"=1) OR NOT EXISTS "
            "(SELECT 1 FROM pragma_table_info(m.name) WHERE name='created_us'))"),
        0);
}

/* A database that a program before the loop wrote: rows of its tables, then what came since. */
static void an_endpoint_of_schema_5_keeps_its_history(void **state)
{
    struct scratch *s = *state;
    char backup[160];
    assert_true(gy_migrations_count > 5);
    assert_int_equal(migrate(s, gy_migrations, 5, NULL), GY_OK);
    run_sql(s->path,
            "INSERT INTO endpoints (name, revision, actor, created_us, updated_us) VALUES "
            "('sepsis', 2, 'anna', 1, 2);"
            "INSERT INTO endpoint_revisions (endpoint, revision, kind, model_name, model_version, "
            "model_digest, run_id, config, gated, verdict_id, copied_from, actor, created_us) "
            "VALUES ('sepsis', 1, 'deploy', 'sepsis', 3, 'd3', 'r3', '{\"a\":1}', 1, 'v3', NULL, "
            "'anna', 11), ('sepsis', 2, 'rollback', 'sepsis', 2, 'd2', NULL, '{\"a\":2}', 0, "
            "NULL, 1, 'bert', 12);"
            "INSERT INTO events (kind, subject, actor, data, created_us) VALUES "
            "('endpoint.deployed', 'revision:sepsis/1', 'anna', '{}', 11), "
            "('endpoint.rolled_back', 'revision:sepsis/2', 'bert', '{}', 12);"
            "INSERT INTO flow_runs (id, project, folder, code_revision, status, targets, actor, "
            "created_us) VALUES "
            "('f1', 'sepsis', '/p', 'c', 'done', '[]', 'anna', 5)");
    scratch_open(s);
    scratch_close(s);
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM endpoint_revisions r JOIN endpoints e "
                                     "ON e.name=r.endpoint WHERE r.reason IS NULL"),
                     2);
    assert_int_equal(
        number(s->path, "SELECT COUNT(*) FROM endpoint_revisions WHERE revision=1 AND "
                        "kind='deploy' AND model_name='sepsis' AND model_version=3 AND "
                        "model_digest='d3' AND run_id='r3' AND config='{\"a\":1}' AND gated=1 AND "
                        "verdict_id='v3' AND copied_from IS NULL AND actor='anna' AND "
                        "created_us=11 AND workspace_id='default'"),
        1);
    assert_int_equal(number(s->path, "SELECT copied_from FROM endpoint_revisions WHERE revision=2 "
                                     "AND run_id IS NULL AND verdict_id IS NULL AND gated=0"),
                     1);
    /* What happened before there were triggers starts none. */
    assert_int_equal(number(s->path, "SELECT seq FROM trigger_cursor"), 2);
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM flow_runs WHERE id='f1' AND job IS NULL "
                                     "AND place IS NULL AND name IS NULL"),
                     1);
    assert_int_equal(number(s->path, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0);
    run_sql(s->path, "INSERT INTO endpoint_revisions (endpoint, revision, kind, model_name, "
                     "model_version, model_digest, config, gated, actor, created_us, reason) "
                     "VALUES ('sepsis', 3, 'canary', 'sepsis', 3, 'd3', '{}', 0, 'anna', 13, 'x')");
    snprintf(backup, sizeof backup, "%s.bak-5", s->path);
    assert_int_equal(number(backup, "SELECT COUNT(*) FROM endpoint_revisions"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fresh_database_gets_all_and_no_backup, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_one_is_backed_up_then_brought_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_number_is_filled_in, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_one_is_refused_with_a_hint, setup, teardown),
        cmocka_unit_test_setup_teardown(another_text_of_a_migration_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_foreign_database_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_names_and_bad_sql_are_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(each_failing_statement_leaves_all_or_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_may_open_a_fresh_one_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(every_root_table_says_who_and_when, setup, teardown),
        cmocka_unit_test_setup_teardown(an_endpoint_of_schema_5_keeps_its_history, setup, teardown),
    };
    return cmocka_run_group_tests_name("migrations", tests, NULL, NULL);
}
