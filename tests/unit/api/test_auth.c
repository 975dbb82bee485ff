/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard remembers, and what it does when the database does not answer. */
#include "unit.h"

#include "api/auth.h"
#include "store/users.h"

struct fixture {
    struct gy_store *store;
    struct gy_auth *auth;
    struct gy_arena a;
    char secret[GY_TOKEN_TEXT];
};

static gy_status add_alice(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct fixture *f = ctx;
    struct gy_token t;
    struct gy_str alice = GY_STR("alice"), root = GY_STR("root");
    GY_TRY(gy_user_add(db, alice, false, GY_STR_NULL, root, err));
    GY_TRY(gy_grant_set(db, alice, GY_STR("default"), GY_AUTH_VIEWER, root, err));
    return gy_token_add(db, alice, GY_STR_NULL, 0, root, &f->a, f->secret, &t, err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    const struct gy_auth_options with = {.logins = true};
    gy_arena_init(&f->a, GY_MIB);
    *state = f;
    return gy_store_open(&o, &f->store, NULL) == GY_OK &&
                   gy_store_write(f->store, add_alice, f, NULL) == GY_OK &&
                   gy_auth_new(f->store, &f->auth, NULL) == GY_OK &&
                   gy_auth_start(f->auth, &with, NULL) == GY_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_auth_free(f->auth);
    gy_store_free(f->store);
    gy_arena_done(&f->a);
    free(f);
    return 0;
}

static gy_status execute(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db, ctx, GY_NO_VALS, NULL, err);
}

static void run_sql(struct fixture *f, char *sql)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(f->store, execute, sql, &err), err);
}

/* A prediction with alice's token; whether it was let in without asking the database. */
static bool was_known(struct fixture *f, gy_status expect)
{
    char line[GY_TOKEN_TEXT + 16];
    (void)snprintf(line, sizeof line, "Bearer %s", f->secret);
    const struct gy_header header = {GY_STR("Authorization"), gy_str_c(line)};
    struct gy_request req = {.method = GY_STR("POST"),
                             .path = GY_STR("/v2/models/m/infer"),
                             .headers = &header,
                             .n_headers = 1,
                             .peer = GY_PEER_TCP,
                             .request_id = GY_STR("r"),
                             .actor = GY_STR("anonymous"),
                             .arena = &f->a};
    const struct gy_router_guard *guard = gy_auth_guard(f->auth);
    struct gy_err err = GY_ERR_INIT;
    void *pass = NULL;
    bool known = guard->known(guard->self, &req);
    gy_status status = guard->enter(guard->self, NULL, &req, &pass, &err);
    assert_status(expect, status, err);
    if (status == GY_OK) {
        guard->leave(guard->self, pass, GY_OK, NULL);
        assert_true(gy_str_eqc(req.actor, "alice"));
    }
    return known;
}

/* Each failed look took a generation of its own, which the database then had to catch up with:
 * after an outage nobody was remembered any more, and every request cost a look-up. */
static void test_logins_are_remembered_again_after_a_failed_look(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_false(was_known(f, GY_OK));
    assert_true(was_known(f, GY_OK));
    run_sql(f, "ALTER TABLE identity_state RENAME TO away");
    for (int i = 0; i < 5; i++) {
        assert_int_not_equal(gy_auth_changed(f->auth, &err), GY_OK);
    }
    run_sql(f, "ALTER TABLE away RENAME TO identity_state");
    assert_false(was_known(f, GY_OK)); /* what was remembered is void */
    assert_true(was_known(f, GY_OK));
}

/* What was looked up before a change that could not be seen does not count after it. */
static void test_a_change_that_can_not_be_seen_voids_all(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_false(was_known(f, GY_OK));
    run_sql(f, "UPDATE users SET disabled = 1 WHERE name = 'alice'"); /* no generation moves */
    assert_true(was_known(f, GY_OK));
    run_sql(f, "ALTER TABLE identity_state RENAME TO away");
    assert_int_not_equal(gy_auth_changed(f->auth, &err), GY_OK);
    run_sql(f, "ALTER TABLE away RENAME TO identity_state");
    assert_false(was_known(f, GY_E_UNAUTHENTICATED));
}

int main(void)
{
#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(test_logins_are_remembered_again_after_a_failed_look),
        WITH(test_a_change_that_can_not_be_seen_voids_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
