/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/time.h"
#include "store/audit.h"
#include "store/scope.h"

struct fixture {
    struct gy_store *store;
    struct gy_arena a;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    gy_arena_init(&f->a, 64 * GY_MIB);
    gy_time_set_fake(1700000000000000);
    *state = f;
    return gy_store_open(&o, &f->store, NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_time_set_fake(0);
    gy_store_free(f->store);
    gy_arena_done(&f->a);
    free(f);
    return 0;
}

static gy_status add_rows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    int n = *(int *)ctx;
    for (int i = 0; i < n; i++) {
        const struct gy_audit e = {.actor = i % 2 ? GY_STR("bob") : GY_STR("alice"),
                                   .workspace = GY_STR("default"),
                                   .action = i % 3 ? GY_STR("POST /a_b") : GY_STR("login"),
                                   .subject = GY_STR("name=x"),
                                   .outcome = i % 5 ? GY_STR("done") : GY_STR("denied")};
        GY_TRY(gy_audit_add(db, &e, err));
    }
    return GY_OK;
}

static void add(struct fixture *f, int n)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(f->store, add_rows, &n, &err), err);
}

static gy_status run_sql(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db, ctx, GY_NO_VALS, NULL, err);
}

/* What somebody with the database in hand would do. */
static void tamper(struct fixture *f, const char *sql)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(f->store, run_sql, (void *)(uintptr_t)sql, &err), err);
}

struct verify_call {
    int64_t seq;
    struct gy_str hash;
    struct gy_audit_verdict v;
};

static gy_status verify_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct verify_call *c = ctx;
    return gy_audit_verify(db, c->seq, c->hash, &c->v, err);
}

static struct gy_audit_verdict verify(struct fixture *f, int64_t seq, const char *hash)
{
    struct verify_call c = {.seq = seq, .hash = gy_str_c(hash)};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_read(f->store, verify_fn, &c, &err), err);
    return c.v;
}

static void test_chain_holds(void **state)
{
    struct fixture *f = *state;
    struct gy_audit_verdict v = verify(f, 0, NULL);
    assert_int_equal(v.bad_seq, 0); /* nothing happened yet */
    assert_int_equal(v.rows, 0);
    add(f, 25);
    add(f, 5);
    v = verify(f, 0, NULL);
    assert_int_equal(v.bad_seq, 0);
    assert_int_equal(v.rows, 30);
    assert_int_equal(v.last_seq, 30);
    assert_int_equal(verify(f, 30, v.last_hash).bad_seq, 0);
}

/* The canonical text is part of the format (docs/formats.md): whoever checks an export by other
 * means counts on it. */
static void test_hash_is_what_is_documented(void **state)
{
    (void)state;
    static const char prev[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char text[] = "1:1,16:1700000000000000,5:alice,7:default,5:login,0:,4:done,0:,"
                               "9:127.0.0.1,8:by token,";
    const struct gy_audit e = {.seq = 1,
                               .time_us = 1700000000000000,
                               .actor = GY_STR("alice"),
                               .workspace = GY_STR("default"),
                               .action = GY_STR("login"),
                               .outcome = GY_STR("done"),
                               .peer = GY_STR("127.0.0.1"),
                               .detail = GY_STR("by token")};
    char all[512], want[GY_SHA256_HEX], got[GY_SHA256_HEX];
    snprintf(all, sizeof all, "%s%s", prev, text);
    assert_int_equal(gy_sha256_hex(gy_str_c(all), want, NULL), GY_OK);
    assert_int_equal(gy_audit_hash(gy_str_c(prev), &e, got, NULL), GY_OK);
    assert_string_equal(got, want);
}

struct attack {
    const char *sql;
    int64_t bad_seq;
    const char *why;
};

static void test_attacks(void **state)
{
    static const struct attack attacks[] = {
        {"UPDATE audit SET actor='carol' WHERE seq=4", 4, "changed"},
        {"UPDATE audit SET outcome='done' WHERE seq=6", 6, "changed"},
        {"UPDATE audit SET time_us=time_us+1 WHERE seq=1", 1, "changed"},
        {"UPDATE audit SET hash=(SELECT hash FROM audit WHERE seq=3) WHERE seq=7", 7, "changed"},
        {"DELETE FROM audit WHERE seq=5", 5, "missing"},
        {"DELETE FROM audit WHERE seq=1", 1, "missing"},
        {"DELETE FROM audit WHERE seq>=9", 9, "taken from the end"},
        {"DELETE FROM audit", 1, "taken from the end"},
        /* two rows change places */
        {"UPDATE audit SET seq = CASE seq WHEN 3 THEN 1004 WHEN 4 THEN 1003 END WHERE seq IN (3,4)",
         3, "missing"},
        /* a text moves to the next column: every field is told apart */
        {"UPDATE audit SET subject='', outcome=subject||outcome WHERE seq=2", 2, "changed"},
        /* one row more in front of the end */
        {"INSERT INTO audit SELECT 11,time_us,actor,workspace,action,subject,outcome,request_id,"
         "peer,detail,hash FROM audit WHERE seq=10",
         11, "changed"},
    };
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        assert_int_equal(setup(state), 0);
        struct fixture *f = *state;
        add(f, 10);
        tamper(f, attacks[i].sql);
        struct gy_audit_verdict v = verify(f, 0, NULL);
        if (v.bad_seq != attacks[i].bad_seq || !strstr(v.why, attacks[i].why)) {
            fail_msg("%s: row %lld, %s", attacks[i].sql, (long long)v.bad_seq, v.why);
        }
        assert_int_equal(teardown(state), 0);
    }
}

/* Whoever writes the whole log anew, head and all, is found by what was kept elsewhere. */
static void test_anchor(void **state)
{
    struct fixture *f = *state;
    add(f, 10);
    struct gy_audit_verdict kept = verify(f, 0, NULL);
    assert_int_equal(verify(f, 10, kept.last_hash).bad_seq, 0);
    tamper(f, "DELETE FROM audit");
    tamper(f, "UPDATE audit_head SET seq=0, hash="
              "'0000000000000000000000000000000000000000000000000000000000000000'");
    gy_time_set_fake(1700000001000000);
    add(f, 12);
    assert_int_equal(verify(f, 0, NULL).bad_seq, 0); /* by itself it is whole */
    struct gy_audit_verdict v = verify(f, 10, kept.last_hash);
    assert_int_equal(v.bad_seq, 10);
    assert_non_null(strstr(v.why, "anew"));
    assert_int_equal(verify(f, 99, kept.last_hash).bad_seq, 99);
}

/* A row goes with its transaction. */
static gy_status add_and_fail(struct gy_db *db, void *ctx, struct gy_err *err)
{
    GY_TRY(add_rows(db, ctx, err));
    return gy_err_set(err, GY_E_INVALID, "no");
}

static void test_rolled_back(void **state)
{
    struct fixture *f = *state;
    int n = 3;
    add(f, 2);
    assert_int_equal(gy_store_write(f->store, add_and_fail, &n, NULL), GY_E_INVALID);
    add(f, 1);
    struct gy_audit_verdict v = verify(f, 0, NULL);
    assert_int_equal(v.bad_seq, 0);
    assert_int_equal(v.rows, 3);
}

struct list_call {
    struct gy_audit_filter f;
    size_t max, n;
    struct gy_arena *a;
    struct gy_audit *rows;
};

static gy_status list_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    return gy_audit_list(db, &c->f, c->max, c->a, &c->rows, &c->n, err);
}

static size_t list(struct fixture *f, struct gy_audit_filter filter, size_t max,
                   struct gy_audit **ret)
{
    struct list_call c = {.f = filter, .max = max, .a = &f->a};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_read(f->store, list_fn, &c, &err), err);
    *ret = c.rows;
    return c.n;
}

static void test_filters(void **state)
{
    struct fixture *f = *state;
    struct gy_audit *rows;
    add(f, 10);
    gy_time_set_fake(1700000009000000);
    add(f, 2);
    assert_int_equal(list(f, (struct gy_audit_filter){0}, 100, &rows), 12);
    assert_int_equal(rows[0].seq, 1);
    assert_int_equal(list(f, (struct gy_audit_filter){.after = 7}, 2, &rows), 2);
    assert_int_equal(rows[1].seq, 9);
    assert_int_equal(list(f, (struct gy_audit_filter){.newest = true}, 2, &rows), 2);
    assert_int_equal(rows[0].seq, 12);
    assert_int_equal(list(f, (struct gy_audit_filter){.since_us = 1700000009000000}, 9, &rows), 2);
    assert_int_equal(list(f, (struct gy_audit_filter){.actor = GY_STR("bob")}, 99, &rows), 6);
    assert_int_equal(list(f, (struct gy_audit_filter){.action = GY_STR("login")}, 99, &rows), 5);
    assert_int_equal(list(f, (struct gy_audit_filter){.outcome = GY_STR("denied")}, 99, &rows), 3);
    /* '_' and '%' are what they are */
    assert_int_equal(list(f, (struct gy_audit_filter){.action = GY_STR("a_b")}, 99, &rows), 7);
    assert_int_equal(list(f, (struct gy_audit_filter){.action = GY_STR("l_gin")}, 99, &rows), 0);
    assert_int_equal(list(f, (struct gy_audit_filter){.action = GY_STR("%")}, 99, &rows), 0);
}

static gy_status add_long(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct gy_audit e = {.actor = gy_str_n(ctx, 6000), .detail = GY_STR("\xff\xfe")};
    return gy_audit_add(db, &e, err);
}

/* What is too long is cut at a character, what is no text is left out; the chain holds. */
static void test_bounds(void **state)
{
    struct fixture *f = *state;
    struct gy_audit *rows;
    char text[6000];
    struct gy_err err = GY_ERR_INIT;
    for (size_t i = 0; i < sizeof text; i += 3) {
        memcpy(text + i, "\xe2\x82\xac", 3);
    }
    assert_status(GY_OK, gy_store_write(f->store, add_long, text, &err), err);
    assert_int_equal(list(f, (struct gy_audit_filter){0}, 1, &rows), 1);
    assert_int_equal(rows[0].actor.n, 1998);
    assert_true(gy_str_is_utf8(rows[0].actor));
    assert_int_equal(rows[0].detail.n, 0);
    assert_int_equal(verify(f, 0, NULL).bad_seq, 0);
}

/* The scope's hook puts a row beside each write closure. */
static gy_status hook(struct gy_db *db, struct gy_scope *scope, struct gy_err *err)
{
    const struct gy_audit e = {.actor = scope->actor, .action = GY_STR("hooked")};
    return gy_audit_add(db, &e, err);
}

static gy_status add_with_nul(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    const struct gy_audit e = {.actor = GY_STR("mallory"),
                               .workspace = GY_STR("default"),
                               .action = GY_STR("DELETE /x"),
                               .subject = GY_STR("name=a\0b"),
                               .outcome = GY_STR("denied")};
    return gy_audit_add(db, &e, err);
}

/* PostgreSQL has no room for a NUL: a path with %00 left no row of what was tried. */
static void test_a_nul_hides_no_row(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(f->store, add_with_nul, NULL, &err), err);
    struct gy_audit_verdict v = verify(f, 0, NULL);
    assert_int_equal(v.bad_seq, 0);
    assert_int_equal(v.rows, 1);
    tamper(f,
           "UPDATE audit SET subject = 'x' WHERE HEX(subject) <> ''"); /* nothing of it was kept */
    assert_int_equal(verify(f, 0, NULL).bad_seq, 0);
}

static void test_with_scope(void **state)
{
    struct fixture *f = *state;
    struct gy_audit *rows;
    int n = 0;
    struct gy_scope scope = {.actor = GY_STR("alice"), .on_write = hook};
    gy_scope_enter(&scope);
    gy_status first = gy_store_write(f->store, add_rows, &n, NULL);
    gy_status second = gy_store_write(f->store, add_and_fail, &n, NULL);
    gy_scope_leave(&scope);
    assert_int_equal(first, GY_OK);
    assert_int_equal(second, GY_E_INVALID);
    assert_int_equal(list(f, (struct gy_audit_filter){0}, 9, &rows), 1);
    assert_str(rows[0].action, "hooked");
}

#define WITH_STORE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_chain_holds),
        cmocka_unit_test(test_hash_is_what_is_documented),
        cmocka_unit_test(test_attacks),
        WITH_STORE(test_anchor),
        WITH_STORE(test_rolled_back),
        WITH_STORE(test_filters),
        WITH_STORE(test_bounds),
        WITH_STORE(test_with_scope),
        WITH_STORE(test_a_nul_hides_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
