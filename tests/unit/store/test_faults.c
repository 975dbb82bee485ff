/* SPDX-License-Identifier: Apache-2.0 */
/* What the store promises when things fail below it: for N = 1, 2, .. the Nth operation fails
 * (alone, or with all after it); after reopening the database is sound, every acknowledged closure
 * is there, and none is there by half. */
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
#include "base/mem.h"
#include "faulty.h"
#include "scratch.h"

#define GROUPS 3
#define IN_GROUP                                                                                \
    4 /* writes that wait while the gate holds the writer, so that groups are the same in every \
         run */
#define WRITES (GROUPS * (IN_GROUP + 1))

struct pair {
    int64_t id;
    gy_status status;
    bool acknowledged;
    sem_t *entered, *go; /* a gate: NULL for the others */
};

/* One closure is two rows; each id that leaves a trace must leave both. */
static gy_status write_pair(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct pair *p = ctx;
    if (p->entered) {
        sem_post(p->entered);
        while (sem_wait(p->go) != 0) {
        }
    }
    char filler[700];
    memset(filler, 'x', sizeof filler);
    GY_TRY(gy_db_exec(db, "INSERT INTO a (id, t) VALUES (?, ?)",
                      GY_VALS(gy_vi(p->id), gy_vs(gy_str_n(filler, 700))), NULL, err));
    return gy_db_exec(db, "INSERT INTO b (id) VALUES (?)", GY_VALS(gy_vi(p->id)), NULL, err);
}

struct job {
    pthread_t thread;
    struct gy_store *s;
    struct pair *p;
};

static void *job_main(void *arg)
{
    struct job *j = arg;
    j->p->status = gy_store_write(j->s, write_pair, j->p, NULL);
    j->p->acknowledged = j->p->status == GY_OK;
    return NULL;
}

static void start(struct job *j, struct gy_store *s, struct pair *p)
{
    *j = (struct job){.s = s, .p = p};
    assert_int_equal(pthread_create(&j->thread, NULL, job_main, j), 0);
}

static int64_t queued(struct gy_store *s)
{
    struct gy_store_stats stats;
    gy_store_get_stats(s, &stats);
    return stats.queued;
}

/* When the gate's group can not even begin, its closure never runs; so it is started, and met or
 * done. */
static void *gate_main(void *arg)
{
    struct job *j = arg;
    job_main(j);
    sem_post(j->p->entered);
    return NULL;
}

static void write_group(struct gy_store *s, struct pair *pairs)
{
    struct job gate, jobs[IN_GROUP];
    sem_t entered, go;
    sem_init(&entered, 0, 0);
    sem_init(&go, 0, 0);
    pairs[0].entered = &entered;
    pairs[0].go = &go;
    gate = (struct job){.s = s, .p = &pairs[0]};
    assert_int_equal(pthread_create(&gate.thread, NULL, gate_main, &gate), 0);
    while (sem_wait(&entered) != 0) {
    }
    bool held = !pairs[0].acknowledged && pairs[0].status == GY_OK;
    for (int i = 0; i < IN_GROUP; i++) {
        start(&jobs[i], s, &pairs[i + 1]);
        while (held && queued(s) < i + 1) {
            sched_yield();
        }
        if (!held) {
            pthread_join(jobs[i].thread, NULL);
        }
    }
    sem_post(&go);
    for (int i = 0; i < IN_GROUP && held; i++) {
        pthread_join(jobs[i].thread, NULL);
    }
    pthread_join(gate.thread, NULL);
    sem_destroy(&entered);
    sem_destroy(&go);
}

/* The whole life of a store: open, write in groups, close (which moves the log into the database).
 */
static gy_status scenario(const struct gy_store_options *o, struct pair pairs[WRITES])
{
    memset(pairs, 0, WRITES * sizeof *pairs);
    struct gy_store *s = NULL;
    GY_TRY(gy_store_open(o, &s, NULL));
    for (int i = 0; i < WRITES; i++) {
        pairs[i].id = i + 1;
    }
    for (int g = 0; g < GROUPS; g++) {
        write_group(s, &pairs[g * (IN_GROUP + 1)]);
    }
    gy_store_free(s);
    return GY_OK;
}

/* ---- the judge ---- */

static gy_status judge(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct pair *pairs = ctx;
    for (int i = 0; i < WRITES; i++) {
        int64_t a, b;
        bool found;
        GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM a WHERE id=? AND LENGTH(t)=700",
                             GY_VALS(gy_vi(i + 1)), &found, &a, err));
        GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM b WHERE id=?", GY_VALS(gy_vi(i + 1)), &found,
                             &b, err));
        if (a != b) {
            return gy_err_set(err, GY_E_FAILED, "closure %d is there by half", i + 1);
        }
        if (pairs[i].acknowledged && a != 1) {
            return gy_err_set(err, GY_E_FAILED, "closure %d was acknowledged and is gone", i + 1);
        }
    }
    return GY_OK;
}

static void check_after(struct scratch *s, const struct pair *pairs, const char *what, long at)
{
    struct gy_err err = GY_ERR_INIT;
    scratch_open(s);
    gy_status status = gy_store_check(s->store, &err);
    status = status == GY_OK ? gy_store_read(s->store, judge, (void *)pairs, &err) : status;
    if (status != GY_OK) {
        fail_msg("%s, operation %ld: %s", what, at, err.msg);
    }
    scratch_write(s, scratch_exec, "DELETE FROM a");
    scratch_write(s, scratch_exec, "DELETE FROM b");
    scratch_close(s);
}

static int setup(void **state)
{
    struct scratch *s = scratch_new();
    scratch_open(s);
    scratch_write(s, scratch_exec, "CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT)");
    scratch_write(s, scratch_exec, "CREATE TABLE b (id INTEGER PRIMARY KEY)");
    scratch_close(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    fault_reset(fault_vfs(), 0, 0, false);
    fault_vfs_track(false);
    scratch_free(*state);
    return 0;
}

static int acknowledged(const struct pair *pairs)
{
    int n = 0;
    for (int i = 0; i < WRITES; i++) {
        n += pairs[i].acknowledged;
    }
    return n;
}

struct mode {
    const char *name;
    unsigned ops;
    bool once, torn, lose;
    gy_status code;
};

/* Returns how many runs had a fault. */
static long run_vfs(struct scratch *s, const struct mode *m)
{
    struct fault *f = fault_vfs();
    struct gy_store_options o = {.url = s->url, .vfs = FAULT_VFS};
    struct pair pairs[WRITES];
    for (long at = 1; at < 2000; at++) {
        fault_vfs_track(m->lose);
        fault_reset(f, m->ops, at, m->once);
        f->torn = m->torn;
        f->code = m->code;
        gy_status status = scenario(&o, pairs);
        long fired = f->fired;
        fault_reset(f, 0, 0, false);
        if (m->lose) {
            fault_vfs_lose_unsynced((uint64_t)at * 2654435761u);
        }
        check_after(s, pairs, m->name, at);
        if (fired == 0) {
            assert_int_equal(status, GY_OK);
            assert_int_equal(acknowledged(pairs), WRITES);
            return at - 1;
        }
        if (m->code == GY_E_NOSPACE && status == GY_OK && m->ops == FAULT_WRITE) {
            for (int i = 0; i < WRITES; i++) {
                assert_true(pairs[i].acknowledged || pairs[i].status == GY_E_NOSPACE);
            }
        }
    }
    fail_msg("%s: the run never came to its end", m->name);
    return 0;
}

static void after_a_failing_file_operation(void **state)
{
    const struct mode modes[] = {
        {"all writes from N on", FAULT_LOSING, .code = GY_E_IO},
        {"torn, then all", FAULT_LOSING, .torn = true, .code = GY_E_IO},
        {"one", FAULT_LOSING, .once = true, .code = GY_E_IO},
        {"one torn", FAULT_LOSING, .once = true, .torn = true, .code = GY_E_IO},
        {"full disk", FAULT_WRITE, .code = GY_E_NOSPACE},
        {"full disk for a moment", FAULT_WRITE, .once = true, .torn = true, .code = GY_E_NOSPACE},
        {"one read", FAULT_READ, .once = true, .code = GY_E_IO},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        long runs = run_vfs(*state, &modes[i]);
        print_message("%s: %ld runs\n", modes[i].name, runs);
        assert_true(runs >= (modes[i].ops == FAULT_READ ? 3 : 15));
    }
}

/* As if the machine lost power at N: the writes that no sync had followed are partly gone. */
static void after_a_power_loss(void **state)
{
    const struct mode modes[] = {
        {"power loss", FAULT_LOSING, .lose = true, .code = GY_E_IO},
        {"power loss in a torn write", FAULT_LOSING, .torn = true, .lose = true, .code = GY_E_IO},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        long runs = run_vfs(*state, &modes[i]);
        print_message("%s: %ld runs\n", modes[i].name, runs);
        assert_true(runs >= 15);
    }
}

/* One row written under `synchronous`, then the power goes before the log is moved; is the row
 * there, in a sound database? */
static bool survives(struct scratch *s, const char *synchronous, uint64_t seed)
{
    struct gy_sql_config cfg = {.location = gy_str_c(s->path), .vfs = FAULT_VFS};
    const struct gy_sql_ops *ops = gy_sql_sqlite.ops;
    void *conn = NULL;
    char sql[64];
    fault_vfs_track(true);
    assert_int_equal(ops->open(NULL, &cfg, &conn, NULL), GY_OK);
    snprintf(sql, sizeof sql, "PRAGMA synchronous=%s", synchronous);
    assert_int_equal(ops->exec(conn, sql, NULL), GY_OK);
    assert_int_equal(ops->exec(conn, "INSERT INTO a (id) VALUES (1)", NULL), GY_OK);
    fault_reset(fault_vfs(), FAULT_LOSING, 1, false); /* closing changes nothing any more */
    ops->close(conn);
    fault_reset(fault_vfs(), 0, 0, false);
    (void)fault_vfs_lose_unsynced(seed); /* how many there were depends on the mode */
    scratch_open(s);
    bool there = scratch_int(s, "SELECT COUNT(*) FROM a") == 1;
    scratch_write(s, scratch_exec, "DELETE FROM a");
    scratch_close(s);
    return there;
}

/* The tool itself can tell: without syncs acknowledged rows do get lost, with them never. */
static void the_power_loss_is_a_real_one(void **state)
{
    int lost = 0;
    (void)fault_vfs();
    for (uint64_t seed = 1; seed <= 8; seed++) {
        lost += !survives(*state, "OFF", seed * 0x9e3779b97f4a7c15u);
        assert_true(survives(*state, "FULL", seed * 0x9e3779b97f4a7c15u));
    }
    assert_true(lost > 0);
}

/* ---- the statement wrapper ---- */

static void after_a_failing_statement(void **state)
{
    struct scratch *s = *state;
    struct faulty_sql f;
    struct gy_sql_driver driver = faulty_sql(&f, gy_sql_sqlite);
    struct gy_store_options o = {.url = s->url, .driver = &driver};
    struct pair pairs[WRITES];
    for (int once = 0; once < 2; once++) {
        for (long at = 1;; at++) {
            assert_true(at < 2000);
            fault_reset(&f.fault, FAULT_SQL_ALL, at, once);
            gy_status status = scenario(&o, pairs);
            long fired = f.fault.fired;
            fault_reset(&f.fault, 0, 0, false);
            check_after(s, pairs, once ? "one statement" : "statements", at);
            if (fired == 0) {
                assert_int_equal(acknowledged(pairs), WRITES);
                print_message("statements: %ld runs\n", at - 1);
                assert_true(at > 60);
                break;
            }
            assert_true(status == GY_OK || status == GY_E_IO);
            if (once && status == GY_OK) { /* only the group it fell into may be lost */
                assert_true(acknowledged(pairs) >= WRITES - IN_GROUP);
            }
        }
    }
}

/* A commit that fails fails every closure of its group with the reason, and the next group is none
 * the worse. */
static void a_failed_commit_fails_its_group(void **state)
{
    struct scratch *s = *state;
    struct faulty_sql f;
    struct gy_sql_driver driver = faulty_sql(&f, gy_sql_sqlite);
    struct gy_store_options o = {.url = s->url, .driver = &driver};
    struct pair pairs[WRITES];
    fault_reset(&f.fault, FAULT_COMMIT, 2, true); /* of the group behind the first gate */
    f.fault.code = GY_E_NOSPACE;
    assert_int_equal(scenario(&o, pairs), GY_OK);
    for (int i = 0; i < WRITES; i++) {
        assert_int_equal(pairs[i].status, i >= 1 && i <= IN_GROUP ? GY_E_NOSPACE : GY_OK);
    }
    check_after(s, pairs, "a failed commit", 2);
}

/* ---- memory ---- */

static gy_status count_rows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    int64_t n;
    bool found;
    (void)ctx;
    GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM a", GY_NO_VALS, &found, &n, err));
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_str text;
    return gy_db_get_str(db, "SELECT t FROM a", GY_NO_VALS, &a, &found, &text, err);
}

static gy_status life(const struct gy_store_options *o, struct pair *p)
{
    GY_AUTO(gy_store_free) struct gy_store *st = NULL;
    GY_TRY(gy_store_open(o, &st, NULL));
    for (int i = 0; i < 3; i++) {
        p[i].id = i + 1;
        p[i].status = gy_store_write(st, write_pair, &p[i], NULL);
        p[i].acknowledged = p[i].status == GY_OK;
        GY_TRY(p[i].status);
        GY_TRY(gy_store_read(st, count_rows, NULL, NULL));
    }
    return GY_OK;
}

static void want_of_memory_is_an_error(void **state)
{
    struct scratch *s = *state;
    struct gy_store_options o = {.url = s->url, .vfs = FAULT_VFS};
    (void)fault_vfs();
    int64_t live = gy_mem_live();
    for (int once = 0; once < 2; once++) {
        for (uint64_t at = 1;; at++) {
            assert_true(at < 2000);
            struct pair pairs[WRITES] = {{0}};
            gy_mem_fail_at(at, once);
            gy_status status = life(&o, pairs);
            bool fired = gy_mem_count() >= at;
            gy_mem_fail_at(0, 0);
            assert_int_equal(gy_mem_live(), live);
            check_after(s, pairs, "memory", (long)at);
            if (!fired) {
                assert_int_equal(status, GY_OK);
                print_message("memory: %d runs\n", (int)at - 1);
                assert_true(at > 20);
                break;
            }
            assert_int_equal(status, GY_E_NOMEM);
        }
    }
}

/* The same for SQLite's own allocations, through the whole scenario. */
static struct fault *g_sqlite_memory;

static void want_of_memory_in_sqlite_is_an_error(void **state)
{
    struct scratch *s = *state;
    struct gy_store_options o = {.url = s->url};
    struct pair pairs[WRITES];
    /* The first hundred each, then a prime step: opening repeats itself, and there are thousands.
     */
    for (long at = 1;; at += at < 100 ? 1 : 13) {
        assert_true(at < 100000);
        fault_reset(g_sqlite_memory, FAULT_ALLOC, at, true);
        gy_status status = scenario(&o, pairs);
        long fired = g_sqlite_memory->fired;
        fault_reset(g_sqlite_memory, 0, 0, false);
        check_after(s, pairs, "SQLite's memory", at);
        if (fired == 0) {
            assert_int_equal(status, GY_OK);
            assert_int_equal(acknowledged(pairs), WRITES);
            print_message("SQLite's memory: up to %ld\n", at);
            assert_true(at > 500);
            return;
        }
        assert_true(status == GY_OK || status == GY_E_NOMEM);
    }
}

int main(void)
{
    g_sqlite_memory = fault_sqlite_memory();
    /* Thousands of syncs whose failing is simulated: no disk needs to see them. */
    if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(after_a_failing_file_operation, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_power_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(the_power_loss_is_a_real_one, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_failing_statement, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_commit_fails_its_group, setup, teardown),
        cmocka_unit_test_setup_teardown(want_of_memory_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(want_of_memory_in_sqlite_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests_name("store faults", tests, NULL, NULL);
}
