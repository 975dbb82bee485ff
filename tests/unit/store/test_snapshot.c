/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot is one state while writers go on; a saved one fills another store with the same rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "scratch.h"
#include "store/events.h"
#include "store/snapshot.h"

struct world {
    struct scratch *s, *other;
    char saved[160];
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->s = scratch_new();
    scratch_open(w->s);
    snprintf(w->saved, sizeof w->saved, "%s/saved.db", w->s->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    scratch_close(w->s);
    if (w->other) {
        scratch_free(w->other);
    }
    scratch_free(w->s);
    free(w);
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

static gy_status add_event(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_event_add(db, "test.event", gy_str_c(ctx), GY_STR("tester"), GY_STR("{}"), err);
}

static void add(struct world *w, const char *subject)
{
    scratch_write(w->s, add_event, (void *)(uintptr_t)subject);
}

static struct gy_snapshot *take(struct world *w, gy_snapshot_fn fn, void *ctx)
{
    struct gy_snapshot *snap = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_snapshot_open(w->s->store, fn, ctx, &snap, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return snap;
}

static void save(struct gy_snapshot *snap, const char *path)
{
    struct gy_err err = GY_ERR_INIT;
    if (gy_snapshot_save(snap, path, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static gy_status events_of(struct gy_db *db, void *ctx, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, "SELECT COUNT(*) FROM events", GY_NO_VALS, &found, ctx, err);
}

static void what_comes_later_is_not_in_it(void **state)
{
    struct world *w = *state;
    int64_t seen = 0, saved = 0;
    add(w, "one");
    add(w, "two");
    GY_AUTO(gy_snapshot_free) struct gy_snapshot *snap = take(w, NULL, NULL);
    add(w, "three");
    assert_int_equal(gy_snapshot_read(snap, events_of, &seen, NULL), GY_OK);
    assert_int_equal(seen, 2);
    save(snap, w->saved);
    add(w, "four");
    assert_int_equal(gy_saved_read(w->saved, events_of, &saved, NULL), GY_OK);
    assert_int_equal(saved, 2);
    assert_int_equal(scratch_int(w->s, "SELECT COUNT(*) FROM events"), 4);
    assert_int_equal(gy_snapshot_save(snap, w->saved, NULL), GY_E_EXISTS);
}

static gy_status note(void *ctx, struct gy_err *err)
{
    (void)err;
    (*(int *)ctx)++;
    return GY_OK;
}

static gy_status refuse(void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_err_set(err, GY_E_NOSPACE, "no");
}

static void the_point_is_told_once_and_may_be_refused(void **state)
{
    struct world *w = *state;
    int times = 0;
    struct gy_snapshot *snap = take(w, note, &times);
    gy_snapshot_free(snap);
    assert_int_equal(times, 1);
    snap = NULL;
    assert_int_equal(gy_snapshot_open(w->s->store, refuse, NULL, &snap, NULL), GY_E_NOSPACE);
    assert_null(snap);
    add(w, "the store goes on");
}

static gy_status odd_rows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO feedback (by_request, target, row_no, source, given_us, label, "
                      "reward, actor, created_us, info) VALUES (?,?,?,?,?,?,?,?,?,?)",
                      GY_VALS(gy_vi(0), gy_vb(gy_str_n("\0\xff\x01", 3)), gy_vi(-1), gy_vc("s"),
                              gy_vi(INT64_MAX), gy_vc("it's \"q\""), gy_vf(0.1), gy_vc("a"),
                              gy_vi(INT64_MIN), gy_vc("{}")),
                      NULL, err));
    for (int i = 0; i < 1234; i++) {
        char subject[32];
        snprintf(subject, sizeof subject, "s%d", i);
        GY_TRY(gy_event_add(db, "many", gy_str_c(subject), GY_STR("t"), GY_STR("{}"), err));
    }
    return GY_OK;
}

struct same {
    struct gy_table_count *counts;
    size_t n;
    struct gy_arena *a;
};

static gy_status count_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct same *s = ctx;
    return gy_store_count(db, s->a, &s->counts, &s->n, err);
}

static void a_saved_one_fills_a_new_store(void **state)
{
    struct world *w = *state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    scratch_write(w->s, odd_rows, NULL);
    struct gy_snapshot *snap = take(w, NULL, NULL);
    save(snap, w->saved);
    gy_snapshot_free(snap);
    w->other = scratch_new();
    scratch_open(w->other);
    struct gy_err err = GY_ERR_INIT;
    if (gy_store_load(w->other->store, w->saved, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    struct same before = {.a = &a}, after = {.a = &a};
    scratch_read(w->s, count_all, &before);
    scratch_read(w->other, count_all, &after);
    assert_true(before.n > 20);
    assert_int_equal(before.n, after.n);
    for (size_t i = 0; i < before.n; i++) {
        assert_true(gy_str_eq(before.counts[i].table, after.counts[i].table));
        assert_int_equal(before.counts[i].rows, after.counts[i].rows);
    }
    assert_int_equal(scratch_int(w->other, "SELECT COUNT(*) FROM feedback WHERE target = "
                                           "x'00ff01' AND label = 'it''s \"q\"' AND reward = 0.1 "
                                           "AND given_us = 9223372036854775807 AND typeof(target) "
                                           "= 'blob'"),
                     1);
    /* what is there is never overwritten */
    assert_int_equal(gy_store_load(w->other->store, w->saved, &err), GY_E_CONFLICT);
    assert_non_null(strstr(err.hint, "new database"));
}

static void what_is_no_saved_database_is_refused(void **state)
{
    struct world *w = *state;
    int64_t n = 0;
    assert_int_equal(gy_saved_read(w->saved, events_of, &n, NULL), GY_E_NOTFOUND);
    assert_int_equal(
        gy_file_write(w->saved, GY_STR("not a database, not at all, not even close"), 0600, NULL),
        GY_OK);
    assert_int_equal(gy_saved_read(w->saved, events_of, &n, NULL), GY_E_CORRUPT);
    assert_int_equal(gy_store_load(w->s->store, w->saved, NULL), GY_E_CORRUPT);
}

static void a_store_in_memory_has_no_snapshots(void **state)
{
    struct world *w = *state;
    struct gy_store_options o = {.url = "sqlite://:memory:"};
    GY_AUTO(gy_store_free) struct gy_store *s = NULL;
    struct gy_snapshot *snap = NULL;
    (void)w;
    assert_int_equal(gy_store_open(&o, &s, NULL), GY_OK);
    assert_int_equal(gy_snapshot_open(s, NULL, NULL, &snap, NULL), GY_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_comes_later_is_not_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_point_is_told_once_and_may_be_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_saved_one_fills_a_new_store, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_saved_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_in_memory_has_no_snapshots, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
