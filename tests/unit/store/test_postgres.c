/* SPDX-License-Identifier: Apache-2.0 */
/* What only a store on PostgreSQL has: a server that goes away and comes back, rows by the million,
 * a schema that its operator must let go, passwords. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "postgres.h"
#include "store/postgres_internal.h"
#include "store/store_internal.h"
#include "store/users.h"

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
    static char url[256];
    postgres_url(url);
    *state = url;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

static struct gy_db *open_db(const char *url)
{
    struct gy_db *db = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_sql_config cfg = {.location = gy_str_c(url), .busy_timeout_ms = 10000};
    if (gy_db_open(gy_sql_postgres, &cfg, &db, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return db;
}

static int64_t number(const char *url, const char *sql)
{
    int64_t n = -1;
    bool found;
    struct gy_db *db = open_db(url);
    assert_int_equal(gy_db_get_i64(db, sql, GY_NO_VALS, &found, &n, NULL), GY_OK);
    gy_db_free(db);
    return n;
}

static gy_status migrate(const char *url, size_t n, bool allowed, struct gy_err *err)
{
    struct gy_db *db = open_db(url);
    gy_status status = gy_store_migrate(db, three, n, NULL, allowed, err);
    gy_db_free(db);
    return status;
}

/* ---- the schema ---- */

static void an_older_schema_is_changed_only_when_the_operator_says_so(void **state)
{
    const char *url = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(migrate(url, 2, false, NULL), GY_OK); /* a fresh one: nothing to lose */
    assert_int_equal(migrate(url, 2, false, NULL), GY_OK);
    assert_int_equal(migrate(url, 3, false, &err), GY_E_VERSION);
    assert_non_null(strstr(err.msg, "schema 2"));
    assert_non_null(strstr(err.hint, "pg_dump"));
    assert_int_equal(number(url, "SELECT COUNT(*) FROM schema_migrations"), 2);
    assert_int_equal(migrate(url, 3, true, NULL), GY_OK);
    assert_int_equal(number(url, "SELECT COUNT(*) FROM schema_migrations"), 3);
    assert_int_equal(migrate(url, 2, true, &err), GY_E_VERSION); /* newer: never */
    assert_non_null(strstr(err.msg, "schema 4"));
}

static void foreign_tables_are_left_alone(void **state)
{
    const char *url = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_db *db = open_db(url);
    assert_int_equal(db->ops->exec(db->conn, "CREATE TABLE theirs (x INTEGER)", NULL), GY_OK);
    assert_int_equal(gy_store_migrate(db, three, 3, NULL, true, &err), GY_E_VERSION);
    /* Another program's record of that name is not ours. */
    assert_int_equal(db->ops->exec(db->conn, "CREATE TABLE schema_migrations (version TEXT)", NULL),
                     GY_OK);
    assert_int_equal(gy_store_migrate(db, three, 3, NULL, true, &err), GY_E_VERSION);
    gy_db_free(db);
    assert_int_equal(number(url, "SELECT COUNT(*) FROM information_schema.tables WHERE "
                                 "table_schema = current_schema()"),
                     2);
}

static void a_migration_that_fails_leaves_nothing(void **state)
{
    const char *url = *state;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_embedded broken[] = {
        three[0],
        M("2", "0002_b.sql", "CREATE TABLE half (x INTEGER); INSERT INTO nope VALUES (1)")};
    struct gy_db *db = open_db(url);
    assert_int_equal(gy_store_migrate(db, broken, 2, NULL, false, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "0002_b.sql"));
    assert_int_equal(gy_store_migrate(db, three, 3, NULL, false, NULL), GY_OK);
    gy_db_free(db);
    assert_int_equal(number(url, "SELECT COUNT(*) FROM information_schema.tables WHERE "
                                 "table_schema = current_schema() AND table_name = 'half'"),
                     0);
}

struct opener {
    pthread_t thread;
    const char *url;
    gy_status status;
    struct gy_err err;
};

static void *open_store(void *arg)
{
    struct opener *o = arg;
    struct gy_store *s = NULL;
    o->status = gy_store_open(&(struct gy_store_options){.url = o->url}, &s, &o->err);
    gy_store_free(s);
    return NULL;
}

static void two_that_start_at_once_take_turns(void **state)
{
    struct opener o[4];
    for (int i = 0; i < 4; i++) {
        o[i] = (struct opener){.url = *state};
        assert_int_equal(pthread_create(&o[i].thread, NULL, open_store, &o[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(o[i].thread, NULL);
        if (o[i].status != GY_OK) {
            fail_msg("%s", o[i].err.msg);
        }
    }
    assert_int_equal(number(*state, "SELECT COUNT(*) FROM schema_migrations"),
                     (int64_t)gy_migrations_count);
}

/* ---- two servers, two admins ---- */

static gy_status add_admin(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gy_str name = gy_str_c(ctx);
    GY_TRY(gy_user_add(db, name, false, GY_STR_NULL, GY_STR("root"), err));
    return gy_grant_set(db, name, GY_STR("default"), GY_AUTH_ADMIN, GY_STR("root"), err);
}

struct leaver {
    pthread_t thread;
    struct gy_store *store;
    const char *name;
    sem_t *done, *go; /* NULL: commit at once */
    gy_status status;
    struct gy_err err;
};

static gy_status disable_one(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct leaver *l = ctx;
    GY_TRY(gy_user_disable(db, gy_str_c(l->name), true, err));
    if (l->done) {
        sem_post(l->done);
        while (sem_wait(l->go) != 0) {
        }
    }
    return GY_OK;
}

static void *leave_main(void *arg)
{
    struct leaver *l = arg;
    l->status = gy_store_write(l->store, disable_one, l, &l->err);
    return NULL;
}

/* Each server counted the admin whom the other was just disabling: nobody was left. */
static void two_servers_can_not_take_the_last_two_admins(void **state)
{
    static char alice[] = "alice", bob[] = "bob";
    const struct gy_store_options o = {.url = *state};
    struct leaver first = {.name = alice}, second = {.name = bob};
    struct gy_err err = GY_ERR_INIT;
    sem_t done, go;
    assert_int_equal(gy_store_open(&o, &first.store, &err), GY_OK);
    assert_int_equal(gy_store_open(&o, &second.store, &err), GY_OK);
    assert_int_equal(gy_store_write(first.store, add_admin, alice, &err), GY_OK);
    assert_int_equal(gy_store_write(first.store, add_admin, bob, &err), GY_OK);
    assert_int_equal(sem_init(&done, 0, 0), 0);
    assert_int_equal(sem_init(&go, 0, 0), 0);
    first.done = &done;
    first.go = &go;
    assert_int_equal(pthread_create(&first.thread, NULL, leave_main, &first), 0);
    while (sem_wait(&done) != 0) {
    }
    assert_int_equal(pthread_create(&second.thread, NULL, leave_main, &second), 0);
    /* until the second one waits for what the first one holds */
    while (number(*state, "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = "
                          "current_database() AND wait_event_type = 'Lock'") == 0) {
        usleep(10000);
    }
    sem_post(&go);
    pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    assert_int_equal(first.status, GY_OK);
    assert_int_equal(second.status, GY_E_CONFLICT);
    assert_int_equal(number(*state, "SELECT COUNT(*) FROM users WHERE disabled = 0"), 1);
    gy_store_free(second.store);
    gy_store_free(first.store);
    sem_destroy(&done);
    sem_destroy(&go);
}

/* ---- the server goes away ---- */

static gy_status put(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db,
                      "INSERT INTO events (kind, subject, actor, data, created_us) VALUES "
                      "('k', ?, 'a', '{}', 1)",
                      GY_VALS(gy_vc(ctx)), NULL, err);
}

static gy_status count(struct gy_db *db, void *ctx, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, "SELECT COUNT(*) FROM events", GY_NO_VALS, &found, ctx, err);
}

static struct gy_store *open_it(const char *url)
{
    struct gy_store *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_store_open(&(struct gy_store_options){.url = url}, &s, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return s;
}

static void a_store_finds_its_server_again(void **state)
{
    struct gy_store *s = open_it(*state);
    struct gy_err err = GY_ERR_INIT;
    int64_t n = -1;
    assert_int_equal(gy_store_write(s, put, "one", NULL), GY_OK);
    assert_int_equal(gy_store_read(s, count, &n, NULL), GY_OK);
    postgres_down();
    gy_status status = gy_store_write(s, put, "lost", &err);
    if (status != GY_E_UNAVAILABLE) {
        fail_msg("%s: %s", gy_status_name(status), err.msg);
    }
    assert_true(err.msg[0] != '\0' && err.hint[0] != '\0' && gy_status_retryable(err.code));
    assert_int_equal(gy_store_read(s, count, &n, &err), GY_E_UNAVAILABLE);
    postgres_up();
    assert_int_equal(gy_store_read(s, count, &n, NULL), GY_OK);
    assert_int_equal(n, 1);
    assert_int_equal(gy_store_write(s, put, "two", NULL), GY_OK);
    /* Down and up between two calls: nobody notices, for nothing was under way. */
    postgres_down();
    postgres_up();
    assert_int_equal(gy_store_read(s, count, &n, NULL), GY_OK);
    assert_int_equal(n, 2);
    if (gy_store_write(s, put, "three", &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    gy_store_free(s);
}

struct cut {
    bool before; /* anything was done in the closure */
    gy_status seen;
};

static gy_status cut_off(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct cut *c = ctx;
    if (c->before) {
        GY_TRY(put(db, "half", err));
    }
    postgres_down();
    postgres_up();
    c->seen = put(db, "half", err);
    return c->seen;
}

static void a_closure_that_is_cut_off_leaves_nothing(void **state)
{
    struct gy_store *s = open_it(*state);
    struct gy_err err = GY_ERR_INIT;
    int64_t n = -1;
    for (int before = 0; before < 2; before++) {
        struct cut c = {.before = before};
        assert_int_equal(gy_store_write(s, cut_off, &c, &err), GY_E_UNAVAILABLE);
        assert_int_equal(c.seen, GY_E_UNAVAILABLE);
        assert_int_equal(gy_store_read(s, count, &n, NULL), GY_OK);
        assert_int_equal(n, before);
        assert_int_equal(gy_store_write(s, put, "whole", NULL), GY_OK);
    }
    gy_store_free(s);
}

static gy_status read_cut_off(struct gy_db *db, void *ctx, struct gy_err *err)
{
    GY_TRY(count(db, ctx, err));
    postgres_down();
    postgres_up();
    return count(db, ctx, err); /* of another snapshot: not for a read that has begun */
}

static void a_read_that_has_begun_is_not_begun_anew(void **state)
{
    struct gy_store *s = open_it(*state);
    int64_t n = -1;
    assert_int_equal(gy_store_read(s, read_cut_off, &n, NULL), GY_E_UNAVAILABLE);
    assert_int_equal(gy_store_read(s, count, &n, NULL), GY_OK);
    gy_store_free(s);
}

static void a_commit_that_fails_fails_its_closures(void **state)
{
    struct gy_db *db = open_db(*state);
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(db->ops->exec(db->conn, "CREATE TABLE t (x INTEGER)", NULL), GY_OK);
    assert_int_equal(db->ops->begin(db->conn, true, NULL), GY_OK);
    assert_int_equal(gy_db_exec(db, "INSERT INTO t VALUES (1)", GY_NO_VALS, NULL, NULL), GY_OK);
    postgres_down();
    assert_int_equal(db->ops->commit(db->conn, &err), GY_E_UNAVAILABLE);
    if (!strstr(err.msg, "may be there or not")) {
        fail_msg("%s", err.msg);
    }
    assert_false(db->ops->in_transaction(db->conn));
    db->ops->rollback(db->conn);
    postgres_up();
    /* A transaction in which a statement failed does not commit, and says so. */
    assert_int_equal(db->ops->begin(db->conn, true, NULL), GY_OK);
    assert_int_equal(gy_db_exec(db, "INSERT INTO t VALUES (2)", GY_NO_VALS, NULL, NULL), GY_OK);
    assert_int_equal(gy_db_exec(db, "INSERT INTO nope VALUES (2)", GY_NO_VALS, NULL, NULL),
                     GY_E_INVALID);
    assert_int_equal(gy_db_exec(db, "INSERT INTO t VALUES (2)", GY_NO_VALS, NULL, NULL),
                     GY_E_CONFLICT);
    assert_int_equal(db->ops->commit(db->conn, &err), GY_E_CONFLICT);
    assert_false(db->ops->in_transaction(db->conn));
    gy_db_free(db);
    assert_int_equal(number(*state, "SELECT COUNT(*) FROM t"), 0);
}

/* ---- rows ---- */

/* A sanitizer keeps what was freed for a while. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GROWTH_KB (600 * 1024)
#endif
#endif
#ifndef GROWTH_KB
#define GROWTH_KB (20 * 1024)
#endif

static long resident_kb(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
    fclose(f);
    return resident * 4;
}

static gy_status read_many(struct gy_db *db, void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    int64_t *sum = ctx;
    bool row = true;
    GY_TRY(gy_db_query(db,
                       "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < "
                       "400000) SELECT x, 'a text that makes the row some hundred bytes long, so "
                       "that all the rows together would be seen in the memory of this process, a "
                       "hundred megabytes and more' FROM c",
                       GY_NO_VALS, &st, err));
    while (row) {
        GY_TRY(gy_stmt_step(st, &row, err));
        *sum += row ? gy_col_i64(st, 0) : 0;
    }
    return GY_OK;
}

static void huge_results_stream(void **state)
{
    struct gy_store *s = open_it(*state);
    int64_t sum = 0;
    long before = resident_kb();
    assert_int_equal(gy_store_read(s, read_many, &sum, NULL), GY_OK);
    assert_int_equal(sum, (int64_t)400000 * 400001 / 2);
    long grown = resident_kb() - before;
    assert_true(grown < GROWTH_KB); /* all rows are 80 MB */
    gy_store_free(s);
}

/* ---- who may know what ---- */

static void expect_open_error(const char *url, gy_status code, const char *text)
{
    struct gy_store *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_store_open(&(struct gy_store_options){.url = url}, &s, &err), code);
    if (!strstr(err.msg, text)) {
        fail_msg("'%s' is not in: %s", text, err.msg);
    }
    assert_true(err.hint[0] != '\0');
    assert_null(strstr(err.msg, "s3cret"));
    assert_null(strstr(err.hint, "s3cret"));
}

static void errors_do_not_tell_the_password(void **state)
{
    (void)state;
    char url[256], bad[600];
    postgres_password_url(url);
    struct gy_store *s = open_it(url);
    gy_store_free(s);
    const char *at = strchr(url, '@');
    snprintf(bad, sizeof bad, "postgresql://gyre:s3cret-wrong%s", at);
    expect_open_error(bad, GY_E_UNAUTHENTICATED, "password authentication failed");
    snprintf(bad, sizeof bad, "%.*s/no_such_database", (int)(strrchr(url, '/') - url), url);
    expect_open_error(bad, GY_E_NOTFOUND, "does not exist");
    expect_open_error("postgresql://gyre:s3cret@127.0.0.1:1/db", GY_E_UNAVAILABLE, "127.0.0.1");
    expect_open_error("postgresql://gyre:s3cret@h/db?no_such_option=1", GY_E_INVALID, "***");
    expect_open_error("postgresql://gyre:s3cret@[h/db", GY_E_INVALID, "***");
    expect_open_error("mysql://gyre:s3cret@h/db", GY_E_INVALID, "mysql://gyre:***@h/db");
}

static void states_have_their_codes(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        gy_status code;
    } all[] = {{"23505", GY_E_EXISTS},
               {"23503", GY_E_CONFLICT},
               {"23514", GY_E_CONFLICT},
               {"40001", GY_E_BUSY},
               {"40P01", GY_E_BUSY},
               {"55P03", GY_E_BUSY},
               {"53100", GY_E_NOSPACE},
               {"53200", GY_E_NOMEM},
               {"53300", GY_E_UNAVAILABLE},
               {"57P01", GY_E_UNAVAILABLE},
               {"57P03", GY_E_UNAVAILABLE},
               {"08006", GY_E_UNAVAILABLE},
               {"57014", GY_E_TIMEOUT},
               {"25006", GY_E_DENIED},
               {"42501", GY_E_DENIED},
               {"42601", GY_E_INVALID},
               {"42P01", GY_E_INVALID},
               {"22003", GY_E_INVALID},
               {"28P01", GY_E_UNAUTHENTICATED},
               {"3D000", GY_E_NOTFOUND},
               {"XX001", GY_E_CORRUPT},
               {"58030", GY_E_IO},
               {"54000", GY_E_TOOBIG},
               {"25P02", GY_E_CONFLICT},
               {"99999", GY_E_FAILED}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(gy_pg_status_of(all[i].sqlstate), all[i].code);
    }
}

static void a_database_of_another_encoding_is_refused(void **state)
{
    char url[300], latin[300];
    struct gy_store *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_db *db = open_db(*state);
    snprintf(url, sizeof url, "%s", (const char *)*state);
    assert_int_equal(db->ops->exec(db->conn,
                                   "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' "
                                   "LOCALE_PROVIDER libc TEMPLATE template0",
                                   NULL),
                     GY_OK);
    gy_db_free(db);
    char *query = strchr(url, '?');
    snprintf(latin, sizeof latin, "postgresql:///latin%s", query);
    assert_int_equal(gy_store_open(&(struct gy_store_options){.url = latin}, &s, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "LATIN1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_older_schema_is_changed_only_when_the_operator_says_so),
        TEST(foreign_tables_are_left_alone),
        TEST(a_migration_that_fails_leaves_nothing),
        TEST(two_that_start_at_once_take_turns),
        TEST(two_servers_can_not_take_the_last_two_admins),
        TEST(a_store_finds_its_server_again),
        TEST(a_closure_that_is_cut_off_leaves_nothing),
        TEST(a_read_that_has_begun_is_not_begun_anew),
        TEST(a_commit_that_fails_fails_its_closures),
        TEST(huge_results_stream),
        TEST(errors_do_not_tell_the_password),
        TEST(states_have_their_codes),
        TEST(a_database_of_another_encoding_is_refused),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test(postgres_skipped)};
    return postgres_there() ? cmocka_run_group_tests_name("PostgreSQL", tests, NULL, NULL)
                            : cmocka_run_group_tests_name("PostgreSQL", none, NULL, NULL);
}
