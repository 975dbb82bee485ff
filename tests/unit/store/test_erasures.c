/* SPDX-License-Identifier: Apache-2.0 */
/* store/erasures.h: erasures are resumed and finished, holds refuse, the ledger holds what was
 * signed and nothing else. */
#include "store/erasures.h"

#include "scratch.h"
#include "unit.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct ctx {
    struct gy_arena a;
    struct gy_erasure in, out, *list;
    struct gy_erasure_item *items;
    size_t n, n_items;
    bool resumed;
    const char *target;
};

static int setup(void **state)
{
    struct scratch *s = scratch_new();
    scratch_open(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static gy_status begin(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct ctx *c = ctx;
    return gy_erasure_begin(db, &c->in, &c->a, &c->out, &c->resumed, err);
}

static gy_status add_items(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct ctx *c = ctx;
    GY_TRY(gy_erasure_item(db, c->out.id, "dataset", GY_STR("a@1"), 2, err));
    GY_TRY(gy_erasure_item(db, c->out.id, "dataset", GY_STR("a@1"), 3, err));
    return gy_erasure_item(db, c->out.id, "reviews", GY_STR("reviews"), 1, err);
}

static gy_status finish(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_erasure_finish(db, ((struct ctx *)ctx)->out.id, err);
}

static gy_status list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct ctx *c = ctx;
    GY_TRY(gy_erasure_list(db, GY_STR(HASH_A), 10, &c->a, &c->list, &c->n, err));
    return gy_erasure_items(db, c->out.id, &c->a, &c->items, &c->n_items, err);
}

static void test_an_erasure_is_gone_on_with_until_it_is_done(void **state)
{
    struct scratch *s = *state;
    struct ctx c = {.in = {.subject_hash = GY_STR(HASH_A),
                           .reason = GY_STR("request 17"),
                           .actor = GY_STR("ann")}};
    char first[64];
    gy_arena_init(&c.a, GY_MIB);
    scratch_write(s, begin, &c);
    assert_false(c.resumed);
    assert_str(c.out.state, "running");
    (void)snprintf(first, sizeof first, "%s", c.out.id.p);
    scratch_write(s, add_items, &c);
    c.in.reason = GY_STR("another");
    scratch_write(s, begin, &c);
    assert_true(c.resumed);
    assert_str(c.out.id, first);
    assert_str(c.out.reason, "request 17");
    /* Of one dataset is another one. */
    c.in.dataset = GY_STR("a");
    scratch_write(s, begin, &c);
    assert_false(c.resumed);
    c.in.dataset = GY_STR_NULL;
    scratch_write(s, begin, &c);
    scratch_write(s, finish, &c);
    scratch_read(s, list, &c);
    assert_int_equal(c.n, 2);
    assert_int_equal(c.n_items, 2);
    assert_int_equal(c.items[0].n, 5);
    scratch_write(s, begin, &c);
    assert_false(c.resumed); /* done is done */
    gy_arena_done(&c.a);
}

static gy_status hold(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_hold_add(db, "subject", gy_str_c(ctx), GY_STR("case 4711"), GY_STR("ann"), err);
}
static gy_status release(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_hold_release(db, "subject", gy_str_c(ctx), GY_STR("closed"), GY_STR("bob"), err);
}
static gy_status check(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_hold_check(db, "subject", gy_str_c(ctx), err);
}

static void test_holds(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    char a[] = HASH_A, b[] = HASH_B;
    assert_status(GY_OK, gy_store_read(s->store, check, a, &err), err);
    scratch_write(s, hold, a);
    assert_int_equal(gy_store_write(s->store, hold, a, &err), GY_E_EXISTS);
    assert_int_equal(gy_store_read(s->store, check, a, &err), GY_E_CONFLICT);
    assert_non_null(strstr(err.msg, "case 4711"));
    assert_status(GY_OK, gy_store_read(s->store, check, b, &err), err);
    assert_int_equal(gy_store_write(s->store, release, b, &err), GY_E_NOTFOUND);
    scratch_write(s, release, a);
    assert_status(GY_OK, gy_store_read(s->store, check, a, &err), err);
    scratch_write(s, hold, a); /* held anew */
}

static void test_the_ledger(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_erasure_key key, other, got;
    char folder[128], path[256], elsewhere[128];
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_erasure *entries;
    size_t n;
    const struct gy_erasure e = {.id = GY_STR("01a21ebd-e440-705c-96fa-86f16215239b"),
                                 .subject_hash = GY_STR(HASH_A),
                                 .reason = GY_STR("a \"reason\""),
                                 .actor = GY_STR("ann"),
                                 .possible = true,
                                 .created_us = 1700000000000000};
    gy_arena_init(&a, GY_MIB);
    (void)snprintf(folder, sizeof folder, "%s/erasures", s->dir);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", s->dir);
    assert_status(GY_OK, gy_ledger_read(folder, &got, &a, &entries, &n, &err), err);
    assert_int_equal(n, 0); /* nothing was erased yet */
    assert_status(GY_OK, gy_erasure_key_open(folder, true, &key, &err), err);
    assert_status(GY_OK, gy_ledger_write(folder, &key, &e, &err), err);
    assert_status(GY_OK, gy_ledger_write(folder, &key, &e, &err), err);
    assert_status(GY_OK, gy_ledger_read(folder, &got, &a, &entries, &n, &err), err);
    assert_int_equal(n, 1);
    assert_str(entries[0].reason, "a \"reason\"");
    assert_true(entries[0].possible);
    assert_false(entries[0].dataset.p);
    assert_int_equal(entries[0].created_us, e.created_us);
    /* Another home's key does not belong here. */
    assert_status(GY_OK, gy_erasure_key_open(elsewhere, true, &other, &err), err);
    assert_int_equal(gy_ledger_write(elsewhere, &key, &e, &err), GY_E_CONFLICT);
    /* Each byte of an entry is signed, but for the blanks. */
    (void)snprintf(path, sizeof path, "%s/%s.json", folder, e.id.p);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    assert_status(GY_OK, gy_file_read(path, &text, &err), err);
    static const char *const changes[][2] = {{"ann", "bob"},
                                             {"true", "false"},
                                             {"17000", "17001"},
                                             {"aaaa", "aaab"},
                                             {"reason\\\"", "season\\\""}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf forged;
        gy_buf_init(&forged, GY_MIB);
        size_t at = gy_str_find_str(gy_buf_str(&text), gy_str_c(changes[i][0]));
        assert_true(at != SIZE_MAX);
        gy_buf_add(&forged, gy_str_sub(gy_buf_str(&text), 0, at));
        gy_buf_addc(&forged, changes[i][1]);
        gy_buf_add(&forged, gy_str_sub(gy_buf_str(&text), at + strlen(changes[i][0]), SIZE_MAX));
        assert_status(GY_OK, gy_file_write(path, gy_buf_str(&forged), 0600, &err), err);
        assert_int_equal(gy_ledger_read(folder, &got, &a, &entries, &n, &err), GY_E_CORRUPT);
    }
}

static gy_status collect(void *ctx, const char *dir, struct gy_err *err)
{
    (void)err;
    (void)strncat(ctx, dir, 100);
    return GY_OK;
}

static void test_archives(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_home home = {.lock_fd = -1};
    char all[512] = "";
    (void)snprintf(home.dir, sizeof home.dir, "%s", s->dir);
    assert_status(GY_OK, gy_ledger_each_archive(&home, collect, all, &err), err);
    assert_status(GY_OK, gy_ledger_remember_archive(&home, "/a", &err), err);
    assert_status(GY_OK, gy_ledger_remember_archive(&home, "/b c", &err), err);
    assert_status(GY_OK, gy_ledger_remember_archive(&home, "/a", &err), err);
    assert_status(GY_OK, gy_ledger_each_archive(&home, collect, all, &err), err);
    assert_string_equal(all, "/a/b c");
}

/* What was deleted is in the file until it is written anew. */
static void test_compact_leaves_nothing(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    char make[] = "CREATE TABLE t (a TEXT)", add[] = "INSERT INTO t VALUES ('subject-7f3k29x')";
    char keep[] = "INSERT INTO t VALUES ('others stay')";
    char gone[] = "DELETE FROM t WHERE a = 'subject-7f3k29x'";
    scratch_write(s, scratch_exec, make);
    scratch_write(s, scratch_exec, add);
    scratch_write(s, scratch_exec, keep);
    scratch_write(s, scratch_exec, gone);
    assert_status(GY_OK, gy_store_compact(s->store, "t", &err), err);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM t"), 1);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_MIB);
    assert_status(GY_OK, gy_file_read(s->path, &b, &err), err);
    assert_true(gy_str_find_str(gy_buf_str(&b), GY_STR("others stay")) != SIZE_MAX);
    assert_true(gy_str_find_str(gy_buf_str(&b), GY_STR("subject-7f3k29x")) == SIZE_MAX);
    char wal[160];
    (void)snprintf(wal, sizeof wal, "%s-wal", s->path);
    assert_true(gy_file_size(wal) <= 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_an_erasure_is_gone_on_with_until_it_is_done),
        T(test_holds),
        T(test_the_ledger),
        T(test_archives),
        T(test_compact_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
