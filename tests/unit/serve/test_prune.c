/* SPDX-License-Identifier: Apache-2.0 */
/* serve/prune.h: what goes, what must stay, and that readers do not notice. */
#include "serve/prune.h"

#include "base/time.h"
#include "log_record.h"
#include "serve/predlog.h"
#include "serve/tail.h"
#include "unit.h"

#define RECORDS 420
#define DAY_US ((int64_t)86400 * 1000000)

struct fixture {
    char dir[64], log[GY_MAX_PATH], rings[GY_MAX_PATH];
    struct gy_uuid_gen gen;
    struct gy_arena a;
    struct gy_predlog *l;
    uint32_t n; /* records appended */
};

static void open_log(struct fixture *f)
{
    const struct gy_predlog_options o = {
        .dir = f->log, .ring_dir = f->rings, .n_loops = 1, .ring_bytes = 1 << 20, .sync_ms = 5};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_predlog_open(&o, &f->l, &err), err);
}

static void append(struct fixture *f, uint32_t n)
{
    struct gy_err err = GY_ERR_INIT;
    for (uint32_t i = 0; i < n; i++) {
        struct gy_record r = log_record(&f->gen, f->n++);
        assert_true(gy_predlog_append(f->l, 0, &r));
        if (i % 40 == 39) { /* ten sealed segments of 40, and an open one */
            assert_status(GY_OK, gy_predlog_rotate(f->l, &err), err);
        }
    }
    assert_status(GY_OK, gy_predlog_flush(f->l, true, &err), err);
}

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    struct gy_err err = GY_ERR_INIT;
    scratch_make(f->dir);
    (void)snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    (void)snprintf(f->rings, sizeof f->rings, "%s/rings", f->dir);
    assert_status(GY_OK, gy_dir_make(f->rings, &err), err);
    assert_status(GY_OK, gy_uuid_gen_init(&f->gen, &err), err);
    gy_arena_init(&f->a, 64 * GY_MIB);
    open_log(f);
    append(f, RECORDS);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_predlog_close(f->l);
    gy_arena_done(&f->a);
    scratch_done(f->dir);
    gy_free(f);
    return 0;
}

static struct gy_prune_order order_of(struct fixture *f, int64_t keep_us, int64_t max_bytes)
{
    return (struct gy_prune_order){.dir = f->log,
                                   .ring_dir = f->rings,
                                   .keep = {keep_us, max_bytes},
                                   .now_us = gy_now_us() + 10 * DAY_US};
}

static struct gy_prune_plan plan(struct fixture *f, const struct gy_prune_order *o)
{
    struct gy_prune_plan p;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_prune_plan(o, &f->a, &p, &err), err);
    return p;
}

static size_t count(const struct gy_prune_plan *p, enum gy_prune_fate fate)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += p->segments[i].fate == fate;
    }
    return n;
}

/* In each stream what goes comes before all that stays. */
static void assert_prefixes(const struct gy_prune_plan *p)
{
    for (size_t i = 1; i < p->n; i++) {
        const struct gy_prune_segment *a = &p->segments[i - 1], *b = &p->segments[i];
        bool same = a->ring == b->ring && memcmp(a->boot, b->boot, 16) == 0;
        assert_true(!same || a->number < b->number);
        assert_false(same && gy_prune_goes(b->fate) && !gy_prune_goes(a->fate));
    }
}

static gy_status see(void *ctx, const struct gy_log_place *place, const struct gy_record *r,
                     struct gy_err *err)
{
    (void)place;
    (void)r;
    (void)err;
    ++*(size_t *)ctx;
    return GY_OK;
}

/* How many records the cursor gives; none is missing on the way, and nothing is damaged. */
static size_t read_on(struct gy_log_cursor *c)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_tail_stats stats;
    size_t n = 1, seen = 0;
    while (n) {
        assert_status(GY_OK, gy_log_tail(c, 1000, see, &seen, &n, &err), err);
    }
    gy_log_cursor_stats(c, &stats);
    assert_int_equal(stats.holes, 0);
    assert_int_equal(stats.bad, 0);
    return seen;
}

static gy_status count_one(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    (void)r;
    (void)err;
    ++*(size_t *)ctx;
    return GY_OK;
}

static void test_what_is_young_stays(void **state)
{
    struct fixture *f = *state;
    struct gy_prune_order o = order_of(f, 11 * DAY_US, 0);
    struct gy_prune_plan p = plan(f, &o);
    assert_int_equal(p.n, 11);
    assert_int_equal(p.segments_go, 0);
    assert_int_equal(count(&p, GY_PRUNE_STAYS) + count(&p, GY_PRUNE_OPEN), p.n);
    o = order_of(f, 0, p.log_bytes);
    p = plan(f, &o);
    assert_int_equal(p.segments_go, 0);
    o = order_of(f, 0, 0);
    p = plan(f, &o);
    assert_int_equal(p.segments_go, 0);
}

static void test_what_is_old_goes_but_for_what_recovery_needs(void **state)
{
    struct fixture *f = *state;
    struct gy_prune_order o = order_of(f, DAY_US, 0);
    struct gy_prune_plan p = plan(f, &o);
    assert_prefixes(&p);
    assert_int_equal(p.segments_go, count(&p, GY_PRUNE_AGE));
    assert_int_equal(count(&p, GY_PRUNE_NEWEST), 1); /* the ring is there */
    assert_int_equal(p.segments_go, 9);
    assert_int_equal(p.records_go, 360);
    assert_true(p.bytes_go < p.log_bytes);
    assert_true(p.from_us > 0 && p.from_us <= p.to_us);
    /* After a clean end there is no ring, and everything is sealed. */
    gy_predlog_close(GY_TAKE(f->l));
    p = plan(f, &o);
    assert_int_equal(p.segments_go, p.n);
    assert_int_equal(p.records_go, RECORDS);
    assert_int_equal(p.bytes_go, p.log_bytes);
}

static void test_size_takes_the_oldest_until_it_fits(void **state)
{
    struct fixture *f = *state;
    struct gy_prune_order o = order_of(f, 0, 40000);
    struct gy_prune_plan p = plan(f, &o);
    assert_prefixes(&p);
    assert_int_equal(p.segments_go, count(&p, GY_PRUNE_SIZE));
    assert_true(p.segments_go > 0 && p.log_bytes - p.bytes_go <= 40000);
    int64_t last = p.segments[p.segments_go - 1].bytes; /* without it, it would not fit */
    assert_true(p.log_bytes - p.bytes_go + last > 40000);
}

static void test_readers_see_no_hole(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_log_cursor *half = NULL, *late = NULL;
    size_t n = 0, seen = 0;
    assert_status(GY_OK, gy_log_cursor_new(f->log, &half, &err), err);
    assert_status(GY_OK, gy_log_tail(half, RECORDS / 2, see, &seen, &n, &err), err);
    assert_int_equal(seen, RECORDS / 2);
    struct gy_prune_reader reader = {.name = GY_STR("half")};
    assert_status(GY_OK, gy_log_marks_copy(&reader.read, gy_log_cursor_marks(half), &err), err);
    struct gy_prune_order o = order_of(f, DAY_US, 0);
    o.readers = &reader;
    o.n_readers = 1;
    struct gy_prune_plan p = plan(f, &o);
    assert_prefixes(&p);
    assert_int_equal(count(&p, GY_PRUNE_UNREAD), 1);
    assert_true(count(&p, GY_PRUNE_BEHIND) > 0);
    assert_int_equal(p.records_go, 200);
    for (size_t i = 0; i < p.n; i++) {
        assert_true(p.segments[i].fate != GY_PRUNE_UNREAD ||
                    gy_str_eqc(p.segments[i].reader, "half"));
    }
    assert_status(GY_OK, gy_prune_remove(f->log, &p, &err), err);
    append(f, 10);
    assert_int_equal(read_on(half), RECORDS / 2 + 10);
    assert_status(GY_OK, gy_log_cursor_new(f->log, &late, &err), err);
    assert_int_equal(read_on(late), RECORDS + 10 - (size_t)p.records_go);
    seen = 0;
    assert_status(GY_OK, gy_predlog_each(f->log, count_one, &seen, &err), err);
    assert_int_equal(seen, RECORDS + 10 - (size_t)p.records_go);
    /* A new start finds nothing that is missing. */
    gy_predlog_close(GY_TAKE(f->l));
    open_log(f);
    struct gy_predlog_stats stats;
    gy_predlog_get_stats(f->l, &stats);
    assert_int_equal(stats.holes, 0);
    assert_int_equal(stats.bad, 0);
    gy_log_cursor_free(half);
    gy_log_cursor_free(late);
    gy_log_marks_done(&reader.read);
}

static gy_status third_is_held(void *ctx, const char *path, bool *ret, struct gy_err *err)
{
    (void)path;
    (void)err;
    *ret = ++*(int *)ctx >= 3;
    return GY_OK;
}

static void test_what_is_held_keeps_all_behind_it(void **state)
{
    struct fixture *f = *state;
    int asked = 0;
    struct gy_prune_order o = order_of(f, DAY_US, 0);
    o.held = third_is_held;
    o.ctx = &asked;
    struct gy_prune_plan p = plan(f, &o);
    assert_int_equal(p.segments_go, 2);
    assert_int_equal(count(&p, GY_PRUNE_LEGAL), 1);
    assert_int_equal(asked, 3); /* those behind it are not read */
    assert_int_equal(p.segments[2].fate, GY_PRUNE_LEGAL);
}

static void test_what_a_killed_prune_left(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_log_marks pruned = {0};
    struct gy_prune_order o = order_of(f, 0, 0);
    struct gy_prune_plan p = plan(f, &o);
    const struct gy_prune_segment *second = &p.segments[1];
    assert_status(GY_OK,
                  gy_log_marks_set(&pruned, second->boot, second->ring, second->last_seq, 0, &err),
                  err);
    o.pruned = &pruned;
    struct gy_prune_plan again = plan(f, &o);
    assert_int_equal(count(&again, GY_PRUNE_LEFT), 2);
    assert_int_equal(again.segments_go, 0);
    assert_status(GY_OK, gy_prune_remove(f->log, &again, &err), err);
    assert_int_equal(plan(f, &o).n, p.n - 2);
    gy_log_marks_done(&pruned);
}

static gy_status has_changed(void *ctx, struct gy_db *db, struct gy_err *err)
{
    (void)db;
    ++*(int *)ctx;
    return gy_err_set(err, GY_E_BUSY, "a hold was set");
}

static gy_status read_marks(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_pruned_marks(db, ctx, err);
}

/* A legal hold that was set after the plan was made: no row, and no file has gone. */
static void test_what_changed_meanwhile_ends_it(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_store *store = NULL;
    struct gy_log_marks marks = {0};
    const struct gy_store_options options = {.url = "sqlite://:memory:"};
    int asked = 0;
    assert_status(GY_OK, gy_store_open(&options, &store, &err), err);
    struct gy_prune_order o = order_of(f, DAY_US, 0);
    o.still = has_changed;
    o.ctx = &asked;
    struct gy_prune_plan p = plan(f, &o);
    assert_int_equal(gy_prune_apply(&o, &p, store, GY_STR("t"), &err), GY_E_BUSY);
    assert_int_equal(asked, 1);
    assert_int_equal(plan(f, &o).n, p.n);
    assert_status(GY_OK, gy_store_read(store, read_marks, &marks, &err), err);
    assert_int_equal(marks.n, 0);
    o.still = NULL;
    assert_status(GY_OK, gy_prune_apply(&o, &p, store, GY_STR("t"), &err), err);
    assert_int_equal(plan(f, &o).n, p.n - (size_t)p.segments_go);
    assert_status(GY_OK, gy_store_read(store, read_marks, &marks, &err), err);
    assert_int_equal(marks.n, 1);
    gy_log_marks_done(&marks);
    gy_store_free(store);
}

static void test_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    int copies = -1, more = -1, alone = -1;
    assert_status(GY_OK, gy_predlog_files_lock(f->log, false, &copies, &err), err);
    assert_status(GY_OK, gy_predlog_files_lock(f->log, false, &more, &err), err);
    assert_int_equal(gy_predlog_files_lock(f->log, true, &alone, &err), GY_E_BUSY);
    assert_int_equal(alone, -1);
    (void)close(copies);
    (void)close(more);
    assert_status(GY_OK, gy_predlog_files_lock(f->log, true, &alone, &err), err);
    (void)close(alone);
    assert_status(GY_OK, gy_predlog_files_lock("/nowhere/at/all", true, &alone, &err), err);
    assert_int_equal(alone, -1);
}

static void test_no_log(void **state)
{
    struct fixture *f = *state;
    struct gy_prune_order o = order_of(f, DAY_US, 1);
    o.dir = "/nowhere/at/all";
    struct gy_prune_plan p = plan(f, &o);
    assert_int_equal(p.n, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_is_young_stays),
        T(test_what_is_old_goes_but_for_what_recovery_needs),
        T(test_size_takes_the_oldest_until_it_fits),
        T(test_readers_see_no_hole),
        T(test_what_is_held_keeps_all_behind_it),
        T(test_what_a_killed_prune_left),
        T(test_what_changed_meanwhile_ends_it),
        T(test_one_at_a_time),
        T(test_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
