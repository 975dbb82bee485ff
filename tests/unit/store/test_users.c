/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/hash.h"
#include "base/time.h"
#include "store/scope.h"
#include "store/users.h"

#define ADMIN GY_STR("root")

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

/* A test is a function inside one write closure, on the writer thread: an assertion that fails
 * there ends the whole program, which is a failure, too. */
typedef gy_status (*step_fn)(struct gy_db *db, struct fixture *f, struct gy_err *err);
struct step {
    step_fn fn;
    struct fixture *f;
};

static gy_status run_step(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct step *s = ctx;
    return s->fn(db, s->f, err);
}

static gy_status in_write(struct fixture *f, step_fn fn, struct gy_err *err)
{
    struct step s = {fn, f};
    return gy_store_write(f->store, run_step, &s, err);
}

static gy_status add(struct gy_db *db, const char *name, struct gy_err *err)
{
    return gy_user_add(db, gy_str_c(name), false, GY_STR_NULL, ADMIN, err);
}

static gy_status grant(struct gy_db *db, const char *name, const char *workspace,
                       enum gy_auth_role role, struct gy_err *err)
{
    return gy_grant_set(db, gy_str_c(name), gy_str_c(workspace), role, ADMIN, err);
}

/* ---- names ---- */

static void test_names(void **state)
{
    (void)state;
    char longest[GY_USER_MAX_NAME + 2];
    memset(longest, 'a', sizeof longest);
    longest[GY_USER_MAX_NAME + 1] = '\0';
    const char *const good[] = {"a", "alice", "ci-bot", "a.b_c@example.org", "0", longest + 1};
    const char *const bad[] = {"",          "-a",   "a b",      "a:b", "a/b",  "anonymous",
                               "Anonymous", "gyre", "\xc3\xa9", "a\n", longest};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gy_user_check_name(gy_str_c(good[i]), NULL), GY_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_user_check_name(gy_str_c(bad[i]), NULL), GY_E_INVALID);
    }
}

static void test_workspace_names(void **state)
{
    (void)state;
    const char *const good[] = {"ab", "team-a", "a1", "x-y-z"};
    const char *const bad[] = {
        "",           "a",
        "-ab",        "ab-",
        "a--b",       "Ab",
        "a_b",        "api",
        "workspaces", "a123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gy_workspace_check_name(gy_str_c(good[i]), NULL), GY_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_workspace_check_name(gy_str_c(bad[i]), NULL), GY_E_INVALID);
    }
}

/* ---- passwords ---- */

static void test_passwords(void **state)
{
    (void)state;
    char hash[GY_PASSWORD_HASH_TEXT], again[GY_PASSWORD_HASH_TEXT];
    struct gy_secret password = gy_secret_of(GY_STR("correct horse"));
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_password_hash(password, hash, &err), err);
    assert_status(GY_OK, gy_password_hash(password, again, &err), err);
    assert_int_equal(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
    assert_string_not_equal(hash, again); /* salted */
    assert_true(gy_password_matches(password, gy_str_c(hash)));
    assert_false(gy_password_matches(gy_secret_of(GY_STR("correct horsf")), gy_str_c(hash)));
    assert_false(gy_password_matches(gy_secret_of(GY_STR("")), gy_str_c(hash)));
    assert_false(gy_password_matches(password, GY_STR_NULL));
    assert_false(gy_password_matches(password, GY_STR("$argon2id$nonsense")));
    const char *const bad[] = {"", "short", "gyre_looks_like_a_token"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_password_hash(gy_secret_of(gy_str_c(bad[i])), hash, &err),
                         GY_E_INVALID);
        assert_true(bad[i][0] == '\0' || !strstr(err.msg, bad[i]));
    }
}

/* ---- users and grants ---- */

static gy_status users_step(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    struct gy_user *users, u;
    size_t n;
    int64_t before, after;
    GY_TRY(gy_identity_generation(db, &before, err));
    GY_TRY(add(db, "bob", err));
    GY_TRY(add(db, "alice", err));
    assert_int_equal(add(db, "alice", NULL), GY_E_EXISTS);
    assert_int_equal(add(db, "no way", NULL), GY_E_INVALID);
    GY_TRY(gy_identity_generation(db, &after, err));
    assert_true(after > before);
    GY_TRY(gy_user_list(db, &f->a, &users, &n, err));
    assert_int_equal(n, 2);
    assert_str(users[0].name, "alice");
    assert_false(users[0].has_password || users[0].disabled || users[0].service);
    GY_TRY(gy_user_set_password(db, GY_STR("bob"), GY_STR("$argon2id$x"), err));
    GY_TRY(gy_user_get(db, GY_STR("bob"), &f->a, &u, err));
    assert_true(u.has_password);
    assert_str(u.actor, "root");
    assert_int_equal(gy_user_get(db, GY_STR("carol"), &f->a, &u, NULL), GY_E_NOTFOUND);
    assert_int_equal(gy_user_set_password(db, GY_STR("carol"), GY_STR_NULL, NULL), GY_E_NOTFOUND);
    return GY_OK;
}

static void test_users(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(*state, users_step, &err), err);
}

static gy_status roles_step(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    struct gy_login l;
    GY_TRY(add(db, "bob", err));
    GY_TRY(gy_workspace_add(db, GY_STR("team-a"), GY_STR_NULL, ADMIN, err));
    GY_TRY(grant(db, "bob", "team-a", GY_AUTH_OPERATOR, err));
    GY_TRY(gy_login_user(db, GY_STR("bob"), GY_STR("team-a"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_OPERATOR);
    GY_TRY(gy_login_user(db, GY_STR("bob"), GY_STR("default"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_NONE);
    /* "*" is every workspace, and the higher one counts */
    GY_TRY(grant(db, "bob", "*", GY_AUTH_VIEWER, err));
    GY_TRY(gy_login_user(db, GY_STR("bob"), GY_STR("default"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_VIEWER);
    GY_TRY(gy_login_user(db, GY_STR("bob"), GY_STR("team-a"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_OPERATOR);
    GY_TRY(gy_grant_remove(db, GY_STR("bob"), GY_STR("team-a"), err));
    GY_TRY(gy_login_user(db, GY_STR("bob"), GY_STR("team-a"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_VIEWER);
    assert_int_equal(gy_grant_remove(db, GY_STR("bob"), GY_STR("team-a"), NULL), GY_E_NOTFOUND);
    assert_int_equal(grant(db, "bob", "team-b", GY_AUTH_VIEWER, NULL), GY_E_NOTFOUND);
    assert_int_equal(grant(db, "carol", "team-a", GY_AUTH_VIEWER, NULL), GY_E_NOTFOUND);
    return GY_OK;
}

static void test_roles(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(*state, roles_step, &err), err);
}

/* ---- the last admin ---- */

static gy_status two_admins(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    (void)f;
    GY_TRY(add(db, "alice", err));
    GY_TRY(add(db, "bob", err));
    GY_TRY(gy_workspace_add(db, GY_STR("team-a"), GY_STR_NULL, ADMIN, err));
    GY_TRY(grant(db, "alice", "default", GY_AUTH_ADMIN, err));
    return grant(db, "bob", "*", GY_AUTH_ADMIN, err);
}

static gy_status disable_bob(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    (void)f;
    return gy_user_disable(db, GY_STR("bob"), true, err);
}

static gy_status disable_alice(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    (void)f;
    return gy_user_disable(db, GY_STR("alice"), true, err);
}

static gy_status degrade_alice(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    (void)f;
    return grant(db, "alice", "default", GY_AUTH_OPERATOR, err);
}

static gy_status strip_alice(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    (void)f;
    return gy_grant_remove(db, GY_STR("alice"), GY_STR("default"), err);
}

/* An admin of another workspace can not keep users. */
static gy_status admin_elsewhere(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    (void)f;
    GY_TRY(add(db, "carol", err));
    return grant(db, "carol", "team-a", GY_AUTH_ADMIN, err);
}

static gy_status alice_stays(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    struct gy_login l;
    GY_TRY(gy_login_user(db, GY_STR("alice"), GY_STR("default"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_ADMIN);
    return GY_OK;
}

static void test_last_admin(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(f, two_admins, &err), err);
    assert_status(GY_OK, in_write(f, disable_bob, &err), err); /* alice is left */
    assert_status(GY_OK, in_write(f, admin_elsewhere, &err), err);
    assert_status(GY_E_CONFLICT, in_write(f, disable_alice, &err), err);
    assert_status(GY_E_CONFLICT, in_write(f, degrade_alice, &err), err);
    assert_status(GY_E_CONFLICT, in_write(f, strip_alice, &err), err);
    assert_non_null(strstr(err.msg, "nobody who is an admin"));
    assert_status(GY_OK, in_write(f, alice_stays, &err), err);
}

/* ---- tokens ---- */

static struct gy_secret secret_of(const char *text)
{
    return gy_secret_of(gy_str_c(text));
}

static gy_status tokens_step(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    char first[GY_TOKEN_TEXT], second[GY_TOKEN_TEXT], digest[GY_SHA256_HEX], kept[GY_SHA256_HEX];
    struct gy_token t, u, *list;
    struct gy_login l;
    size_t n;
    bool found;
    struct gy_str sha;
    int64_t now = gy_now_us();
    GY_TRY(add(db, "bob", err));
    GY_TRY(grant(db, "bob", "default", GY_AUTH_VIEWER, err));
    GY_TRY(gy_token_add(db, GY_STR("bob"), GY_STR("ci"), 0, ADMIN, &f->a, first, &t, err));
    GY_TRY(
        gy_token_add(db, GY_STR("bob"), GY_STR_NULL, now + 5000000, ADMIN, &f->a, second, &u, err));
    assert_int_equal(strlen(first), 48); /* gyre_ and 43 characters: 256 bits */
    assert_string_not_equal(first, second);
    assert_true(gy_token_looks_so(secret_of(first)));
    assert_int_equal(strncmp(first, t.prefix.p, t.prefix.n), 0);
    /* only the digest is kept */
    GY_TRY(gy_db_get_str(db, "SELECT sha256 FROM tokens WHERE id=?", GY_VALS(gy_vs(t.id)), &f->a,
                         &found, &sha, err));
    GY_TRY(gy_sha256_hex(gy_str_c(first), digest, err));
    memcpy(kept, sha.p, sizeof kept - 1);
    kept[sizeof kept - 1] = '\0';
    assert_string_equal(kept, digest);
    GY_TRY(gy_login_token(db, secret_of(first), GY_STR("default"), now, &f->a, &l, err));
    assert_str(l.user, "bob");
    assert_int_equal(l.role, GY_AUTH_VIEWER);
    assert_true(l.note_use);
    GY_TRY(gy_login_used(db, &l, now, err));
    GY_TRY(gy_login_token(db, secret_of(first), GY_STR("default"), now + 60000000, &f->a, &l, err));
    assert_false(l.note_use); /* once an hour is enough */
    GY_TRY(gy_token_list(db, GY_STR("bob"), &f->a, &list, &n, err));
    assert_int_equal(n, 2);
    GY_TRY(gy_token_list(db, GY_STR("alice"), &f->a, &list, &n, err));
    assert_int_equal(n, 0);
    /* expiry to the microsecond */
    GY_TRY(gy_login_token(db, secret_of(second), GY_STR("default"), now + 4999999, &f->a, &l, err));
    assert_int_equal(
        gy_login_token(db, secret_of(second), GY_STR("default"), now + 5000000, &f->a, &l, NULL),
        GY_E_UNAUTHENTICATED);
    GY_TRY(gy_token_revoke(db, t.id, GY_STR("eve"), err));
    GY_TRY(gy_token_revoke(db, t.id, GY_STR("mallory"), err)); /* the first one counts */
    GY_TRY(gy_token_get(db, t.id, &f->a, &t, err));
    assert_str(t.revoked_by, "eve");
    assert_int_equal(gy_login_token(db, secret_of(first), GY_STR("default"), now, &f->a, &l, NULL),
                     GY_E_UNAUTHENTICATED);
    assert_int_equal(
        gy_login_token(db, secret_of("gyre_x"), GY_STR("default"), now, &f->a, &l, NULL),
        GY_E_UNAUTHENTICATED);
    assert_int_equal(gy_token_revoke(db, GY_STR("none"), ADMIN, NULL), GY_E_NOTFOUND);
    assert_int_equal(
        gy_token_add(db, GY_STR("carol"), GY_STR_NULL, 0, ADMIN, &f->a, second, &u, NULL),
        GY_E_NOTFOUND);
    assert_int_equal(
        gy_token_add(db, GY_STR("bob"), GY_STR_NULL, now, ADMIN, &f->a, second, &u, NULL),
        GY_E_INVALID); /* it would have expired already */
    return GY_OK;
}

static void test_tokens(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(*state, tokens_step, &err), err);
}

static gy_status disabled_step(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    char secret[GY_TOKEN_TEXT];
    struct gy_token t;
    struct gy_login l;
    GY_TRY(add(db, "bob", err));
    GY_TRY(gy_user_set_password(db, GY_STR("bob"), GY_STR("$argon2id$x"), err));
    GY_TRY(gy_token_add(db, GY_STR("bob"), GY_STR_NULL, 0, ADMIN, &f->a, secret, &t, err));
    GY_TRY(gy_user_disable(db, GY_STR("bob"), true, err));
    assert_int_equal(gy_login_token(db, secret_of(secret), GY_STR("default"), 0, &f->a, &l, NULL),
                     GY_E_UNAUTHENTICATED);
    GY_TRY(gy_login_user(db, GY_STR("bob"), GY_STR("default"), &f->a, &l, err));
    assert_null(l.password_hash.p); /* as if there were no such user */
    GY_TRY(gy_user_disable(db, GY_STR("bob"), false, err));
    return gy_login_token(db, secret_of(secret), GY_STR("default"), 0, &f->a, &l, err);
}

static void test_disabled(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(*state, disabled_step, &err), err);
}

/* ---- workspaces ---- */

static gy_status workspaces_step(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    struct gy_workspace *list, w;
    size_t n;
    bool exists;
    GY_TRY(add(db, "bob", err));
    GY_TRY(gy_workspace_add(db, GY_STR("team-a"), GY_STR("first"), ADMIN, err));
    GY_TRY(gy_workspace_add(db, GY_STR("team-b"), GY_STR_NULL, ADMIN, err));
    assert_int_equal(gy_workspace_add(db, GY_STR("team-a"), GY_STR_NULL, ADMIN, NULL), GY_E_EXISTS);
    assert_int_equal(gy_workspace_add(db, GY_STR("default"), GY_STR_NULL, ADMIN, NULL),
                     GY_E_INVALID);
    GY_TRY(grant(db, "bob", "team-a", GY_AUTH_VIEWER, err));
    GY_TRY(gy_workspace_list(db, GY_STR_NULL, &f->a, &list, &n, err));
    assert_int_equal(n, 3);
    GY_TRY(gy_workspace_list(db, GY_STR("bob"), &f->a, &list, &n, err));
    assert_int_equal(n, 1);
    assert_str(list[0].name, "team-a");
    GY_TRY(gy_workspace_describe(db, GY_STR("team-a"), GY_STR("second"), err));
    GY_TRY(gy_workspace_get(db, GY_STR("team-a"), &f->a, &w, err));
    assert_str(w.description, "second");
    /* in use */
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO experiments (workspace_id, name, artifact_location, actor, "
                      "created_us, updated_us) VALUES ('team-a','x','y','root',1,1)",
                      GY_NO_VALS, NULL, err));
    assert_int_equal(gy_workspace_remove(db, GY_STR("team-a"), NULL), GY_E_CONFLICT);
    assert_int_equal(gy_workspace_remove(db, GY_STR("default"), NULL), GY_E_CONFLICT);
    assert_int_equal(gy_workspace_remove(db, GY_STR("team-z"), NULL), GY_E_NOTFOUND);
    GY_TRY(gy_workspace_remove(db, GY_STR("team-b"), err));
    GY_TRY(gy_workspace_exists(db, GY_STR("team-b"), &exists, err));
    assert_false(exists);
    /* a name is not given twice: what happened in the first would be told of the second */
    assert_int_equal(gy_workspace_add(db, GY_STR("team-b"), GY_STR_NULL, ADMIN, NULL),
                     GY_E_CONFLICT);
    return GY_OK;
}

static void test_workspaces(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(*state, workspaces_step, &err), err);
}

/* ---- a file of users ---- */

#define SHA "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8" /* "password" */

static gy_status file_step(struct gy_db *db, struct fixture *f, struct gy_err *err)
{
    const struct gy_grant grants[] = {{GY_STR("default"), GY_AUTH_ADMIN},
                                      {GY_STR("team-a"), GY_AUTH_VIEWER}};
    const struct gy_user_file_token tokens[] = {{GY_STR(SHA), GY_STR("ci"), 0}};
    const struct gy_str workspaces[] = {GY_STR("team-a")};
    struct gy_user_file_entry entries[] = {
        {.name = GY_STR("alice"), .grants = grants, .n_grants = 2},
        {.name = GY_STR("ci"), .service = true, .tokens = tokens, .n_tokens = 1},
    };
    struct gy_login l;
    struct gy_user u;
    GY_TRY(add(db, "hand", err));
    GY_TRY(gy_user_file_apply(db, entries, 2, workspaces, 1, err));
    GY_TRY(gy_user_file_apply(db, entries, 2, workspaces, 1, err)); /* again: the same */
    GY_TRY(gy_login_user(db, GY_STR("alice"), GY_STR("team-a"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_VIEWER);
    GY_TRY(gy_login_token(db, secret_of("password"), GY_STR("default"), 0, &f->a, &l, err));
    assert_str(l.user, "ci");
    /* a grant and a token that the file does not name any more are gone, and so is a user */
    entries[0].n_grants = 1;
    entries[1].n_tokens = 0;
    GY_TRY(gy_user_file_apply(db, entries, 2, workspaces, 1, err));
    GY_TRY(gy_login_user(db, GY_STR("alice"), GY_STR("team-a"), &f->a, &l, err));
    assert_int_equal(l.role, GY_AUTH_NONE);
    assert_int_equal(
        gy_login_token(db, secret_of("password"), GY_STR("default"), 0, &f->a, &l, NULL),
        GY_E_UNAUTHENTICATED);
    GY_TRY(gy_user_file_apply(db, entries, 1, workspaces, 1, err));
    GY_TRY(gy_user_get(db, GY_STR("ci"), &f->a, &u, err));
    assert_true(u.disabled && u.from_file);
    GY_TRY(gy_user_get(db, GY_STR("hand"), &f->a, &u, err));
    assert_false(u.disabled || u.from_file);
    /* and comes back with it */
    entries[1].n_tokens = 1;
    GY_TRY(gy_user_file_apply(db, entries, 2, workspaces, 1, err));
    return gy_login_token(db, secret_of("password"), GY_STR("default"), 0, &f->a, &l, err);
}

static void test_file(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, in_write(*state, file_step, &err), err);
}

#define WITH_STORE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),     cmocka_unit_test(test_workspace_names),
        cmocka_unit_test(test_passwords), WITH_STORE(test_users),
        WITH_STORE(test_roles),           WITH_STORE(test_last_admin),
        WITH_STORE(test_tokens),          WITH_STORE(test_disabled),
        WITH_STORE(test_workspaces),      WITH_STORE(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
