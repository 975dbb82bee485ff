/* SPDX-License-Identifier: Apache-2.0 */
/* The store on a file, in memory and on a real PostgreSQL: closures, readers, values, errors,
 * limits, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/scope.h"
#include "postgres.h"
#include "store/sql.h"

struct world {
    char dir[64];
    char path[128];
    char url[256];
    struct gy_store *s;
};

static void reopen(struct world *w, int max_group, size_t max_queue)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_store_options o = {.url = w->url, .max_group = max_group, .max_queue = max_queue};
    gy_store_free(w->s);
    w->s = NULL;
    if (gy_store_open(&o, &w->s, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static gy_status make_table(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_db_exec(db,
                      "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT UNIQUE, v REAL, b BLOB, n "
                      "INTEGER CHECK (n >= 0))",
                      GY_NO_VALS, NULL, err);
}

static int setup_on(void **state, bool postgres)
{
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/gyre-store-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/gyre.db", w->dir);
    snprintf(w->url, sizeof w->url, "sqlite://%s", w->path);
    if (postgres) {
        postgres_url(w->url);
    }
    reopen(w, 0, 0);
    assert_int_equal(gy_store_write(w->s, make_table, NULL, NULL), GY_OK);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_on(state, false);
}

static int setup_postgres(void **state)
{
    return setup_on(state, true);
}

static int setup_memory(void **state)
{
    setup(state);
    struct world *w = *state;
    snprintf(w->url, sizeof w->url, "sqlite://:memory:");
    reopen(w, 0, 0);
    assert_int_equal(gy_store_write(w->s, make_table, NULL, NULL), GY_OK);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    gy_store_free(w->s);
    assert_int_equal(gy_dir_remove(w->dir, NULL), GY_OK);
    free(w);
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

struct put {
    const char *k;
    int64_t n;
    gy_status then; /* what the closure returns after its insert */
    int64_t ret_id;
};

static gy_status put(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct put *p = ctx;
    GY_TRY(gy_db_exec(db, "INSERT INTO t (k, n) VALUES (?, ?)", GY_VALS(gy_vc(p->k), gy_vi(p->n)),
                      NULL, err));
    p->ret_id = gy_db_last_id(db);
    return p->then == GY_OK ? GY_OK : gy_err_set(err, p->then, "asked to fail");
}

static gy_status count(struct gy_db *db, void *ctx, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, "SELECT COUNT(*) FROM t", GY_NO_VALS, &found, ctx, err);
}

static int64_t rows(struct world *w)
{
    int64_t n = -1;
    assert_int_equal(gy_store_read(w->s, count, &n, NULL), GY_OK);
    return n;
}

static void a_write_is_there_after_reopening(void **state)
{
    struct world *w = *state;
    struct put p = {.k = "a", .n = 1};
    assert_int_equal(gy_store_write(w->s, put, &p, NULL), GY_OK);
    assert_int_equal(p.ret_id, 1);
    assert_int_equal(rows(w), 1);
    reopen(w, 0, 0);
    assert_int_equal(rows(w), 1);
    assert_int_equal(gy_store_check(w->s, NULL), GY_OK);
}

static void a_failing_closure_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct gy_err err = GY_ERR_INIT;
    struct put p = {.k = "a", .then = GY_E_DENIED};
    assert_int_equal(gy_store_write(w->s, put, &p, &err), GY_E_DENIED);
    assert_string_equal(err.msg, "asked to fail");
    assert_int_equal(rows(w), 0);
}

static void constraints_and_bad_sql_have_their_codes(void **state)
{
    struct world *w = *state;
    struct gy_err err = GY_ERR_INIT;
    struct put p = {.k = "a"}, bad = {.k = "b", .n = -1};
    assert_int_equal(gy_store_write(w->s, put, &p, &err), GY_OK);
    assert_int_equal(gy_store_write(w->s, put, &p, &err), GY_E_EXISTS);
    assert_true(strstr(err.msg, "t.k") || strstr(err.msg, "(k)=(a)")); /* which column */
    assert_int_equal(gy_store_write(w->s, put, &bad, &err), GY_E_CONFLICT);
    assert_int_equal(rows(w), 1);
}

static gy_status run_sql(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db, ctx, GY_NO_VALS, NULL, err);
}

static void statements_are_single_and_fully_bound(void **state)
{
    struct world *w = *state;
    assert_int_equal(gy_store_write(w->s, run_sql, "INSERT INTO nope VALUES (1)", NULL),
                     GY_E_INVALID);
    assert_int_equal(gy_store_write(w->s, run_sql, "INSERT INTO t (k) VALUES (?)", NULL),
                     GY_E_INVALID);
    assert_int_equal(gy_store_write(w->s, run_sql, "DELETE FROM t; DELETE FROM t", NULL),
                     GY_E_INVALID);
    assert_int_equal(gy_store_write(w->s, run_sql, " ", NULL), GY_E_INVALID);
    assert_int_equal(gy_store_write(w->s, run_sql, "DELETE FROM t ; ", NULL), GY_OK);
}

static void a_read_closure_can_not_write(void **state)
{
    struct world *w = *state;
    struct put p = {.k = "a"};
    assert_int_equal(gy_store_read(w->s, put, &p, NULL), GY_E_DENIED);
    assert_int_equal(rows(w), 0);
}

static gy_status all_kinds(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    const char blob[] = {0, 1, 0, (char)255};
    const char text[] = "zwei\tteile";
    GY_TRY(gy_db_exec(
        db, "INSERT INTO t (k, v, b, n) VALUES (?,?,?,?)",
        GY_VALS(gy_vs(gy_str_n(text, 10)), gy_vf(0.1), gy_vb(gy_str_n(blob, 4)), gy_vi(INT64_MAX)),
        NULL, err));
    GY_TRY(gy_db_exec(db, "INSERT INTO t (k, v, b, n) VALUES (?,?,?,?)",
                      GY_VALS(gy_vc(""), gy_vnull(), gy_vb(GY_STR("")), gy_vs(GY_STR_NULL)), NULL,
                      err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, "SELECT k, v, b, n FROM t ORDER BY id", GY_NO_VALS, &st, err));
    bool row;
    GY_TRY(gy_stmt_step(st, &row, err));
    assert_true(row);
    assert_true(gy_str_eq(gy_col_str(st, 0), gy_str_n(text, 10)));
    assert_true(gy_col_f64(st, 1) == 0.1);
    assert_true(gy_str_eq(gy_col_blob(st, 2), gy_str_n(blob, 4)));
    assert_true(gy_col_i64(st, 3) == INT64_MAX);
    assert_true(gy_col_null(st, 99));
    GY_TRY(gy_stmt_step(st, &row, err));
    assert_true(row);
    assert_non_null(gy_col_str(st, 0).p);
    assert_int_equal(gy_col_str(st, 0).n, 0);
    assert_true(gy_col_null(st, 1));
    assert_true(gy_col_f64(st, 1) == 0.0);
    assert_false(gy_col_null(st, 2));
    assert_non_null(gy_col_blob(st, 2).p);
    assert_null(gy_col_str(st, 3).p);
    GY_TRY(gy_stmt_step(st, &row, err));
    assert_false(row);
    return GY_OK;
}

static void every_kind_of_value_comes_back(void **state)
{
    struct world *w = *state;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_store_write(w->s, all_kinds, NULL, &err);
    if (status != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

/* A query inside its own rows, statements left unfinished, and more different texts than the cache
 * holds. */
static gy_status nested(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    int64_t pairs = 0;
    bool row, inner_row;
    for (int i = 0; i < 3; i++) {
        GY_TRY(gy_db_exec(db, "INSERT INTO t (n) VALUES (?)", GY_VALS(gy_vi(i)), NULL, err));
    }
    struct gy_stmt *outer = NULL, *inner = NULL;
    GY_TRY(gy_db_query(db, "SELECT n FROM t", GY_NO_VALS, &outer, err));
    for (;;) {
        GY_TRY(gy_stmt_step(outer, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_db_query(db, "SELECT n FROM t", GY_NO_VALS, &inner, err));
        for (;;) {
            GY_TRY(gy_stmt_step(inner, &inner_row, err));
            if (!inner_row) {
                break;
            }
            pairs++;
        }
        gy_stmt_finish(inner);
    }
    assert_int_equal(pairs, 9);
    for (int i = 0; i < 600; i++) {
        char sql[64];
        int64_t v = -1;
        bool found;
        snprintf(sql, sizeof sql, "SELECT %d + ?", i);
        GY_TRY(gy_db_get_i64(db, sql, GY_VALS(gy_vi(1)), &found, &v, err));
        assert_int_equal(v, i + 1);
    }
    GY_TRY(gy_db_query(db, "SELECT n FROM t", GY_NO_VALS, &outer,
                       err)); /* a live one, and another of that text */
    GY_TRY(gy_stmt_step(outer, &row, err));
    return GY_OK;
}

static void statements_nest_and_the_cache_stays_bounded(void **state)
{
    struct world *w = *state;
    struct gy_err err = GY_ERR_INIT;
    for (int i = 0; i < 2; i++) {
        gy_status status = gy_store_write(w->s, nested, NULL, &err);
        if (status != GY_OK) {
            fail_msg("%s", err.msg);
        }
        assert_int_equal(gy_store_write(w->s, run_sql, "DELETE FROM t", NULL), GY_OK);
    }
}

/* ---- grouping: a gate closure holds the writer while others queue ---- */

struct gate {
    sem_t entered, go;
};

static gy_status hold(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gate *g = ctx;
    (void)db;
    (void)err;
    sem_post(&g->entered);
    while (sem_wait(&g->go) != 0) {
    }
    return GY_OK;
}

struct job {
    pthread_t thread;
    struct gy_store *s;
    gy_db_fn fn;
    void *ctx;
    gy_status status;
    struct gy_err err;
};

static void *job_main(void *arg)
{
    struct job *j = arg;
    j->status = gy_store_write(j->s, j->fn, j->ctx, &j->err);
    return NULL;
}

static void start(struct job *j, struct gy_store *s, gy_db_fn fn, void *ctx)
{
    *j = (struct job){.s = s, .fn = fn, .ctx = ctx};
    assert_int_equal(pthread_create(&j->thread, NULL, job_main, j), 0);
}

static void wait_queued(struct gy_store *s, int64_t n)
{
    struct gy_store_stats stats;
    do {
        sched_yield();
        gy_store_get_stats(s, &stats);
    } while (stats.queued < n);
}

static void one_failing_closure_does_not_hurt_its_group(void **state)
{
    struct world *w = *state;
    struct gate g;
    sem_init(&g.entered, 0, 0);
    sem_init(&g.go, 0, 0);
    struct job holder, jobs[5];
    struct put puts[5] = {
        {.k = "a"}, {.k = "b"}, {.k = "a"}, {.k = "c", .then = GY_E_INVALID}, {.k = "d"}};
    struct gy_store_stats before, after;
    gy_store_get_stats(w->s, &before);
    start(&holder, w->s, hold, &g);
    sem_wait(&g.entered);
    for (int i = 0; i < 5; i++) {
        start(&jobs[i], w->s, put, &puts[i]);
        wait_queued(w->s, i + 1);
    }
    sem_post(&g.go);
    pthread_join(holder.thread, NULL);
    const gy_status expected[5] = {GY_OK, GY_OK, GY_E_EXISTS, GY_E_INVALID, GY_OK};
    for (int i = 0; i < 5; i++) {
        pthread_join(jobs[i].thread, NULL);
        assert_int_equal(jobs[i].status, expected[i]);
    }
    assert_int_equal(rows(w), 3);
    gy_store_get_stats(w->s, &after);
    assert_int_equal(after.commits - before.commits, 2); /* the gate, then all five at once */
    assert_int_equal(after.closures - before.closures, 6);
    assert_int_equal(after.failed_closures - before.failed_closures, 2);
    assert_true(after.commit_us_max >= after.commit_us_p99 &&
                after.commit_us_p99 >= after.commit_us_p50);
    sem_destroy(&g.entered);
    sem_destroy(&g.go);
}

static void a_full_queue_says_busy(void **state)
{
    struct world *w = *state;
    reopen(w, 0, 2);
    struct gate g;
    sem_init(&g.entered, 0, 0);
    sem_init(&g.go, 0, 0);
    struct job holder, jobs[2];
    struct put puts[2] = {{.k = "a"}, {.k = "b"}}, late = {.k = "c"};
    start(&holder, w->s, hold, &g);
    sem_wait(&g.entered);
    for (int i = 0; i < 2; i++) {
        start(&jobs[i], w->s, put, &puts[i]);
        wait_queued(w->s, i + 1);
    }
    assert_int_equal(gy_store_write(w->s, put, &late, NULL), GY_E_BUSY);
    sem_post(&g.go);
    pthread_join(holder.thread, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_join(jobs[i].thread, NULL);
        assert_int_equal(jobs[i].status, GY_OK);
    }
    assert_int_equal(rows(w), 2);
    sem_destroy(&g.entered);
    sem_destroy(&g.go);
}

/* An error that makes SQLite drop the whole transaction fails the closures before it in the group,
 * and only those. */
static gy_status lose_transaction(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(gy_db_exec(db, "ROLLBACK", GY_NO_VALS, NULL, err));
    return gy_err_set(err, GY_E_IO, "the disk went away");
}

static void a_lost_transaction_fails_what_came_before_it(void **state)
{
    struct world *w = *state;
    struct gate g;
    sem_init(&g.entered, 0, 0);
    sem_init(&g.go, 0, 0);
    struct job holder, jobs[3];
    struct put puts[2] = {{.k = "a"}, {.k = "b"}};
    start(&holder, w->s, hold, &g);
    sem_wait(&g.entered);
    start(&jobs[0], w->s, put, &puts[0]);
    wait_queued(w->s, 1);
    start(&jobs[1], w->s, lose_transaction, NULL);
    wait_queued(w->s, 2);
    start(&jobs[2], w->s, put, &puts[1]);
    wait_queued(w->s, 3);
    sem_post(&g.go);
    pthread_join(holder.thread, NULL);
    const gy_status expected[3] = {GY_E_IO, GY_E_IO, GY_OK};
    for (int i = 0; i < 3; i++) {
        pthread_join(jobs[i].thread, NULL);
        assert_int_equal(jobs[i].status, expected[i]);
    }
    assert_non_null(strstr(jobs[0].err.msg, "the disk went away"));
    assert_int_equal(rows(w), 1);
    sem_destroy(&g.entered);
    sem_destroy(&g.go);
}

/* ---- many threads ---- */

#define PRODUCERS 32
#define EACH 25

struct producer {
    pthread_t thread;
    struct gy_store *s;
    int number, failures;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int i = 0; i < EACH; i++) {
        char key[32];
        int64_t n = 0;
        snprintf(key, sizeof key, "%d/%d", p->number, i);
        struct put one = {.k = key, .n = i};
        p->failures += gy_store_write(p->s, put, &one, NULL) != GY_OK;
        p->failures += gy_store_read(p->s, count, &n, NULL) != GY_OK || n <= i;
    }
    return NULL;
}

static void many_threads_write_and_read(void **state)
{
    struct world *w = *state;
    struct producer p[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) {
        p[i] = (struct producer){.s = w->s, .number = i};
        assert_int_equal(pthread_create(&p[i].thread, NULL, produce, &p[i]), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(p[i].thread, NULL);
        assert_int_equal(p[i].failures, 0);
    }
    assert_int_equal(rows(w), PRODUCERS * EACH);
    struct gy_store_stats stats;
    gy_store_get_stats(w->s, &stats);
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.failed_closures, 0);
}

static void all_threads_rows_are_there_after_reopening(void **state)
{
    struct world *w = *state;
    many_threads_write_and_read(state);
    reopen(w, 0, 0);
    assert_int_equal(rows(w), PRODUCERS * EACH);
}

static void a_memory_store_starts_empty_and_leaves_no_file(void **state)
{
    struct world *w = *state;
    struct put p = {.k = "a"};
    assert_int_equal(gy_store_write(w->s, put, &p, NULL), GY_OK);
    assert_int_equal(gy_store_check(w->s, NULL), GY_OK);
    reopen(w, 0, 0);
    assert_int_equal(gy_store_read(w->s, count, &(int64_t){0}, NULL),
                     GY_E_INVALID); /* no such table */
    assert_false(gy_path_exists(":memory:"));
}

static void two_stores_on_one_database_take_turns(void **state)
{
    struct world *w = *state;
    struct gy_store *other = NULL;
    struct gy_store_options o = {.url = w->url};
    assert_int_equal(gy_store_open(&o, &other, NULL), GY_OK);
    struct producer p[4];
    for (int i = 0; i < 4; i++) {
        p[i] = (struct producer){.s = i % 2 ? other : w->s, .number = i};
        assert_int_equal(pthread_create(&p[i].thread, NULL, produce, &p[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(p[i].thread, NULL);
        assert_int_equal(p[i].failures, 0);
    }
    gy_store_free(other);
    assert_int_equal(rows(w), 4 * EACH);
}

static gy_status put_blob(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db, "INSERT INTO t (b) VALUES (?)", GY_VALS(gy_vb(*(struct gy_str *)ctx)),
                      NULL, err);
}

/* Under load the log is moved when it passes its limit, without load when nothing came for a
 * moment. */
static void the_log_is_moved_into_the_database(void **state)
{
    struct world *w = *state;
    struct gy_store_stats stats;
    struct gy_str blob = {calloc(1, GY_MIB), GY_MIB};
    int64_t most = 0;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(gy_store_write(w->s, put_blob, &blob, NULL), GY_OK);
        gy_store_get_stats(w->s, &stats);
        most = stats.wal_bytes > most ? stats.wal_bytes : most;
    }
    free((char *)blob.p);
    assert_true(most > 0 && most < (int64_t)(20 * GY_MIB)); /* the limit is 16 MiB */
    do {
        sched_yield();
        gy_store_get_stats(w->s, &stats);
    } while (stats.wal_bytes > 0);
    assert_true(gy_file_size(w->path) > (int64_t)(40 * GY_MIB));
    assert_int_equal(rows(w), 40);
}

static void a_value_over_the_ceiling_is_refused(void **state)
{
    struct world *w = *state;
    struct gy_str blob = {calloc(1, GY_SQL_MAX_VALUE + 1), GY_SQL_MAX_VALUE + 1};
    assert_int_equal(gy_store_write(w->s, put_blob, &blob, NULL), GY_E_TOOBIG);
    free((char *)blob.p);
    assert_int_equal(rows(w), 0);
}

static void bad_urls_and_files_are_refused(void **state)
{
    struct world *w = *state;
    struct gy_store *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_store_options o = {.url = "mysql://x"};
    assert_int_equal(gy_store_open(&o, &s, &err), GY_E_INVALID);
    o.url = "sqlite://";
    assert_int_equal(gy_store_open(&o, &s, &err), GY_E_INVALID);
    char url[256], path[200];
    snprintf(path, sizeof path, "%s/text", w->dir);
    assert_int_equal(
        gy_file_write(path,
                      GY_STR("this is not a database, this is a text, and a long one at that"),
                      0644, NULL),
        GY_OK);
    snprintf(url, sizeof url, "sqlite://%s", path);
    o.url = url;
    assert_int_equal(gy_store_open(&o, &s, &err), GY_E_CORRUPT);
    snprintf(url, sizeof url, "sqlite://%s/no/such/folder/gyre.db", w->dir);
    assert_int_equal(gy_store_open(&o, &s, &err), GY_E_IO);
    assert_null(s);
}

#define ON_BOTH(test)                                         \
    {#test " (file)", test, setup, teardown, NULL},           \
    {                                                         \
#test " (memory)", test, setup_memory, teardown, NULL \
    }

static gy_status many(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gy_val rows[5][2];
    for (int i = 0; i < 5; i++) {
        rows[i][0] = gy_vc(i == 4 ? "k0" : (const char *[]){"k0", "k1", "k2", "k3"}[i]);
        rows[i][1] = gy_vi(i);
    }
    GY_TRY(gy_db_exec_many(db, "INSERT INTO t (k, n) VALUES (?, ?) ON CONFLICT (k) DO NOTHING",
                           &rows[0][0], 2, 5, ctx, err));
    return gy_db_exec_many(db, "INSERT INTO t (k, n) VALUES (?, ?)", NULL, 2, 0, NULL, err);
}

static gy_status many_twice(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    const struct gy_val rows[] = {gy_vc("a"), gy_vi(1), gy_vc("a"), gy_vi(2)};
    return gy_db_exec_many(db, "INSERT INTO t (k, n) VALUES (?, ?)", rows, 2, 2, NULL, err);
}

static void many_rows_go_in_by_one_call(void **state)
{
    struct world *w = *state;
    int64_t changes = -1;
    assert_int_equal(gy_store_write(w->s, many, &changes, NULL), GY_OK);
    assert_int_equal(changes, 4); /* the second "k0" was there */
    assert_int_equal(gy_store_write(w->s, many_twice, NULL, NULL), GY_E_EXISTS);
}

static gy_status note_beside(struct gy_db *db, struct gy_scope *scope, struct gy_err *err)
{
    assert_ptr_equal(gy_db_scope(db), scope);
    GY_TRY(gy_db_exec(db, "INSERT INTO t (k, n) VALUES (?, ?)",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(7)), NULL, err));
    return *(gy_status *)scope->ctx;
}

static gy_status where_am_i(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)err;
    snprintf(ctx, 32, "%" GY_STR_F, GY_STR_A(gy_db_workspace(db)));
    return GY_OK;
}

static void a_scope_goes_with_its_thread_into_closures(void **state)
{
    struct world *w = *state;
    char at[32];
    gy_status answer = GY_OK;
    struct gy_scope outer = {.workspace = GY_STR("lab")};
    struct gy_scope inner = {.workspace = GY_STR("ward"), .on_write = note_beside, .ctx = &answer};
    struct put p = {.k = "mine", .n = 1};
    assert_null(gy_scope_current());
    gy_scope_enter(&outer);
    gy_scope_enter(&inner);
    assert_int_equal(gy_store_read(w->s, where_am_i, at, NULL), GY_OK); /* no note for reads */
    assert_string_equal(at, "ward");
    assert_int_equal(gy_store_write(w->s, put, &p, NULL), GY_OK);
    answer = GY_E_DENIED; /* the note can not be made: nothing is */
    p.k = "never";
    assert_int_equal(gy_store_write(w->s, put, &p, NULL), GY_E_EXISTS);
    gy_scope_leave(&inner);
    assert_int_equal(gy_store_write(w->s, where_am_i, at, NULL), GY_OK);
    assert_string_equal(at, "lab");
    gy_scope_leave(&outer);
    assert_int_equal(gy_store_read(w->s, where_am_i, at, NULL), GY_OK);
    assert_string_equal(at, "default");
    int64_t n = 0;
    assert_int_equal(gy_store_read(w->s, count, &n, NULL), GY_OK);
    assert_int_equal(n, 2); /* "mine" and the note beside it */
}

#define ON_POSTGRES(test)                                           \
    {                                                               \
#test " (postgresql)", test, setup_postgres, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_is_there_after_reopening, setup, teardown),
        ON_BOTH(a_failing_closure_leaves_nothing),
        ON_BOTH(constraints_and_bad_sql_have_their_codes),
        ON_BOTH(statements_are_single_and_fully_bound),
        ON_BOTH(a_read_closure_can_not_write),
        ON_BOTH(every_kind_of_value_comes_back),
        cmocka_unit_test_setup_teardown(statements_nest_and_the_cache_stays_bounded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_failing_closure_does_not_hurt_its_group, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_rows_go_in_by_one_call, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scope_goes_with_its_thread_into_closures, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_says_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_transaction_fails_what_came_before_it, setup,
                                        teardown),
        ON_BOTH(many_threads_write_and_read),
        cmocka_unit_test_setup_teardown(all_threads_rows_are_there_after_reopening, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_memory_store_starts_empty_and_leaves_no_file,
                                        setup_memory, teardown),
        cmocka_unit_test_setup_teardown(two_stores_on_one_database_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_is_moved_into_the_database, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_over_the_ceiling_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_urls_and_files_are_refused, setup, teardown),
    };
    const struct CMUnitTest postgres[] = {
        ON_POSTGRES(a_write_is_there_after_reopening),
        ON_POSTGRES(a_failing_closure_leaves_nothing),
        ON_POSTGRES(constraints_and_bad_sql_have_their_codes),
        ON_POSTGRES(statements_are_single_and_fully_bound),
        ON_POSTGRES(a_read_closure_can_not_write),
        ON_POSTGRES(every_kind_of_value_comes_back),
        ON_POSTGRES(statements_nest_and_the_cache_stays_bounded),
        ON_POSTGRES(one_failing_closure_does_not_hurt_its_group),
        ON_POSTGRES(many_rows_go_in_by_one_call),
        ON_POSTGRES(a_scope_goes_with_its_thread_into_closures),
        ON_POSTGRES(a_full_queue_says_busy),
        ON_POSTGRES(many_threads_write_and_read),
        ON_POSTGRES(all_threads_rows_are_there_after_reopening),
        ON_POSTGRES(two_stores_on_one_database_take_turns),
        ON_POSTGRES(a_value_over_the_ceiling_is_refused),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test(postgres_skipped)};
    int failed = cmocka_run_group_tests_name("store", tests, NULL, NULL);
    failed += postgres_there()
                  ? cmocka_run_group_tests_name("store on PostgreSQL", postgres, NULL, NULL)
                  : cmocka_run_group_tests_name("store on PostgreSQL", none, NULL, NULL);
    return failed;
}
