/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of artifacts and of uploads in parts: their states, and that each workspace has its own.
 */
#include "unit.h"

#include "base/time.h"
#include "store/scope.h"
#include "track/uploads.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct fixture {
    struct gy_store *store;
    struct gy_arena arena;
    struct gy_err err;
};

enum verb {
    PUT,
    GET,
    DELETE,
    LIST,
    TREE,
    CREATE,
    ADD,
    FIND,
    COMPLETE,
    ABORT,
    STATE,
    DEAD,
    DROP,
    AGE,
    KEY,
    READ_KEY,
    READABLE
};

/* One operation inside a closure; what it gives is in the same struct. */
struct op {
    enum verb verb;
    struct fixture *f;
    const char *path, *sha256;
    char id[GY_UPLOAD_ID], key[GY_UPLOAD_KEY];
    int64_t part, n;
    size_t count;
    bool readable;
    struct gy_artifact file;
    struct gy_upload_row row;
    struct gy_upload_part *dead;
};

static gy_status run(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct op *o = ctx;
    struct gy_arena *a = &o->f->arena;
    struct gy_str path = gy_str_c(o->path), sha = gy_str_c(o->sha256), id = gy_str_c(o->id);
    struct gy_artifact_entry *entries;
    struct gy_artifact *files;
    switch (o->verb) {
    case PUT:
        return gy_artifact_put(db, path, sha, 5, GY_STR("me"), err);
    case GET:
        return gy_artifact_get(db, path, a, &o->file, err);
    case DELETE:
        return gy_artifact_delete(db, path, err);
    case LIST:
        return gy_artifact_list(db, path, a, &entries, &o->count, err);
    case TREE:
        return gy_artifact_tree(db, path, 100, a, &files, &o->count, err);
    case CREATE:
        return gy_upload_create(db, path, o->n, GY_STR("me"), o->id, err);
    case ADD:
        return gy_upload_add_part(db, id, o->part, sha, 7, err);
    case FIND:
        return gy_upload_find_part(db, id, o->part, sha, &o->n, err);
    case COMPLETE:
        return gy_upload_complete(db, id, sha, 9, GY_STR("me"), err);
    case ABORT:
        return gy_upload_abort(db, id, err);
    case STATE:
        return gy_upload_get(db, id, a, &o->row, err);
    case DEAD:
        return gy_upload_dead_parts(db, 100, a, &o->dead, &o->count, err);
    case DROP:
        return gy_upload_drop(db, o->dead, o->count, err);
    case AGE:
        return gy_db_exec(db, "UPDATE uploads SET expires_us = ? WHERE id = ?",
                          GY_VALS(gy_vi(gy_now_us() - 1), gy_vs(id)), NULL, err);
    case READABLE:
        return gy_artifact_object_readable(db, sha, &o->readable, err);
    case KEY:
        return gy_upload_key(db, o->key, err);
    case READ_KEY:
        return gy_upload_read_key(db, o->key, err);
    }
    return GY_E_FAILED;
}

static gy_status go(struct op *o, enum verb verb)
{
    o->verb = verb;
    o->f->err = (struct gy_err)GY_ERR_INIT;
    return gy_store_write(o->f->store, run, o, &o->f->err);
}

static gy_status make_workspace(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_db_exec(db,
                      "INSERT INTO workspaces (id, name, actor, created_us) VALUES ('other', "
                      "'other', 'me', 1)",
                      GY_NO_VALS, NULL, err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct gy_store_options o = {.url = "sqlite://:memory:", .n_readers = 1};
    gy_arena_init(&f->arena, GY_MIB);
    *state = f;
    if (gy_store_open(&o, &f->store, &f->err) != GY_OK ||
        gy_store_write(f->store, make_workspace, NULL, &f->err) != GY_OK) {
        fprintf(stderr, "%s\n", f->err.msg);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_store_free(f->store);
    gy_arena_done(&f->arena);
    free(f);
    return gy_mem_live() == 0 ? 0 : -1;
}

static void test_each_workspace_has_its_own_files(void **state)
{
    struct op o = {.f = *state, .path = "0/run/artifacts/x.bin", .sha256 = SHA_A};
    struct gy_scope other = {.workspace = GY_STR("other")};
    assert_status(GY_OK, go(&o, PUT), o.f->err);
    gy_scope_enter(&other);
    assert_status(GY_E_NOTFOUND, go(&o, GET), o.f->err);
    assert_status(GY_OK, go(&o, DELETE), o.f->err); /* nothing: absent is fine */
    static const char *const folders[] = {"", "0", "0/run", "0/run/artifacts"};
    for (size_t i = 0; i < 4; i++) {
        struct op below = {.f = *state, .path = folders[i]};
        assert_status(GY_OK, go(&below, LIST), o.f->err);
        assert_int_equal(below.count, 0);
        assert_status(GY_OK, go(&below, TREE), o.f->err);
        assert_int_equal(below.count, 0);
    }
    struct op same = {.f = *state, .path = "0/run/artifacts/x.bin", .sha256 = SHA_B};
    assert_status(GY_OK, go(&same, PUT), o.f->err);
    struct op inside = {.f = *state, .path = "0/run/artifacts/x.bin/y", .sha256 = SHA_B};
    assert_status(GY_E_INVALID, go(&inside, PUT), o.f->err);
    assert_status(GY_OK, go(&same, GET), o.f->err);
    assert_str(same.file.sha256, SHA_B);
    gy_scope_leave(&other);
    assert_status(GY_OK, go(&o, GET), o.f->err);
    assert_str(o.file.sha256, SHA_A);
    /* and what the other one calls a file may be a folder here */
    struct op folder = {.f = *state, .path = "0/only", .sha256 = SHA_A},
              file = {.f = *state, .path = "0/only/deep", .sha256 = SHA_A};
    assert_status(GY_OK, go(&folder, PUT), o.f->err);
    gy_scope_enter(&other);
    assert_status(GY_OK, go(&file, PUT), o.f->err);
    gy_scope_leave(&other);
}

static void test_a_life_of_an_upload(void **state)
{
    struct op o = {.f = *state, .path = "0/big.bin", .sha256 = SHA_A, .n = 2, .part = 1};
    assert_status(GY_OK, go(&o, CREATE), o.f->err);
    assert_int_equal(strlen(o.id), GY_UPLOAD_ID - 1);
    assert_status(GY_OK, go(&o, ADD), o.f->err);
    assert_status(GY_OK, go(&o, ADD), o.f->err); /* again */
    assert_status(GY_OK, go(&o, FIND), o.f->err);
    assert_int_equal(o.n, 7);
    o.part = 2;
    assert_status(GY_E_INVALID, go(&o, FIND), o.f->err);
    o.part = 3;
    assert_status(GY_E_NOTFOUND, go(&o, ADD), o.f->err);
    o.part = 0;
    assert_status(GY_E_NOTFOUND, go(&o, ADD), o.f->err);
    assert_status(GY_E_NOTFOUND, go(&o, GET), o.f->err);
    assert_status(GY_OK, go(&o, DEAD), o.f->err);
    assert_int_equal(o.count, 0);
    assert_status(GY_OK, go(&o, COMPLETE), o.f->err);
    assert_status(GY_OK, go(&o, GET), o.f->err);
    assert_int_equal(o.file.size_bytes, 9);
    o.sha256 = SHA_B;
    assert_status(GY_OK, go(&o, COMPLETE), o.f->err); /* changes nothing */
    assert_status(GY_OK, go(&o, ABORT), o.f->err);    /* nor does this */
    assert_status(GY_OK, go(&o, GET), o.f->err);
    assert_str(o.file.sha256, SHA_A);
    o.part = 1;
    assert_status(GY_E_CONFLICT, go(&o, ADD), o.f->err);
    assert_status(GY_OK, go(&o, STATE), o.f->err);
    assert_int_equal(o.row.state, GY_UPLOAD_COMPLETED);
    assert_status(GY_OK, go(&o, DEAD), o.f->err);
    assert_int_equal(o.count, 1);
    assert_str(o.dead[0].sha256, SHA_A);
    assert_status(GY_OK, go(&o, DROP), o.f->err);
    assert_status(GY_OK, go(&o, DEAD), o.f->err);
    assert_int_equal(o.count, 0);
    assert_status(GY_OK, go(&o, STATE), o.f->err); /* still told, until it expires */
    assert_status(GY_OK, go(&o, AGE), o.f->err);
    assert_status(GY_OK, go(&o, DROP), o.f->err);
    assert_status(GY_E_NOTFOUND, go(&o, STATE), o.f->err);
}

static void test_aborted_and_expired_ones(void **state)
{
    struct op a = {.f = *state, .path = "0/a", .sha256 = SHA_A, .n = 1, .part = 1}, b = a;
    assert_status(GY_OK, go(&a, CREATE), a.f->err);
    assert_status(GY_OK, go(&b, CREATE), a.f->err);
    assert_string_not_equal(a.id, b.id);
    assert_status(GY_OK, go(&a, ADD), a.f->err);
    assert_status(GY_OK, go(&b, ADD), a.f->err);
    assert_status(GY_OK, go(&a, ABORT), a.f->err);
    assert_status(GY_OK, go(&b, AGE), a.f->err);
    struct op *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        assert_status(GY_E_CONFLICT, go(both[i], ADD), a.f->err);
        assert_status(GY_E_CONFLICT, go(both[i], COMPLETE), a.f->err);
        assert_status(GY_OK, go(both[i], ABORT), a.f->err);
        assert_status(GY_OK, go(both[i], STATE), a.f->err);
        assert_int_equal(both[i]->row.state, GY_UPLOAD_ABORTED);
    }
    assert_status(GY_OK, go(&a, DEAD), a.f->err);
    assert_int_equal(a.count, 2);
    assert_status(GY_E_NOTFOUND, go(&a, GET), a.f->err);
    struct op none = {.f = *state, .id = "0123", .sha256 = SHA_A, .part = 1};
    assert_status(GY_E_NOTFOUND, go(&none, STATE), a.f->err);
    assert_status(GY_E_NOTFOUND, go(&none, ADD), a.f->err);
    assert_status(GY_E_NOTFOUND, go(&none, COMPLETE), a.f->err);
    assert_status(GY_E_NOTFOUND, go(&none, ABORT), a.f->err);
}

static void test_uploads_of_another_workspace(void **state)
{
    struct op o = {.f = *state, .path = "0/a", .sha256 = SHA_A, .n = 1, .part = 1};
    struct gy_scope other = {.workspace = GY_STR("other")};
    assert_status(GY_OK, go(&o, CREATE), o.f->err);
    assert_status(GY_OK, go(&o, ADD), o.f->err);
    gy_scope_enter(&other);
    static const enum verb verbs[] = {STATE, ADD, COMPLETE, ABORT};
    for (size_t i = 0; i < 4; i++) {
        assert_status(GY_E_NOTFOUND, go(&o, verbs[i]), o.f->err);
    }
    gy_scope_leave(&other);
    assert_status(GY_OK, go(&o, COMPLETE), o.f->err);
    gy_scope_enter(&other);
    assert_status(GY_E_NOTFOUND, go(&o, GET), o.f->err);
    gy_scope_leave(&other);
}

static bool readable(struct op *o)
{
    assert_status(GY_OK, go(o, READABLE), o->f->err);
    return o->readable;
}

static void test_objects_by_their_name(void **state)
{
    struct op a = {.f = *state, .path = "0/a", .sha256 = SHA_A, .n = 1, .part = 1};
    struct op part = {.f = *state, .path = "0/p", .sha256 = SHA_B, .n = 1, .part = 1};
    struct gy_scope other = {.workspace = GY_STR("other")};
    assert_true(readable(&a)); /* nobody's yet */
    assert_status(GY_OK, go(&a, PUT), a.f->err);
    assert_true(readable(&a));
    gy_scope_enter(&other);
    assert_false(readable(&a));
    assert_status(GY_OK, go(&a, PUT), a.f->err); /* whoever has the bytes may have them here too */
    assert_true(readable(&a));
    assert_status(GY_OK, go(&a, DELETE), a.f->err);
    assert_false(readable(&a));
    gy_scope_leave(&other);
    assert_status(GY_OK, go(&part, CREATE), a.f->err);
    assert_status(GY_OK, go(&part, ADD), a.f->err);
    assert_false(readable(&part)); /* whoever's it is */
}

static void test_limits(void **state)
{
    struct op o = {.f = *state, .path = "0/a", .sha256 = SHA_A, .part = 1};
    static const int64_t bad[] = {0, -1, GY_UPLOAD_MAX_PARTS + 1};
    for (size_t i = 0; i < 3; i++) {
        o.n = bad[i];
        assert_status(GY_E_INVALID, go(&o, CREATE), o.f->err);
    }
    o.n = GY_UPLOAD_MAX_PARTS;
    o.path = "";
    assert_status(GY_E_INVALID, go(&o, CREATE), o.f->err);
    o.path = "0/a";
    assert_status(GY_OK, go(&o, CREATE), o.f->err);
    char sha[] = SHA_A;
    o.sha256 = sha;
    for (int i = 0; i <= GY_UPLOAD_MAX_VERSIONS; i++) {
        sha[0] = (char)('A' + i);
        assert_status(i < GY_UPLOAD_MAX_VERSIONS ? GY_OK : GY_E_TOOBIG, go(&o, ADD), o.f->err);
    }
    sha[0] = 'A'; /* known: a client that had no answer sends it again */
    assert_status(GY_OK, go(&o, ADD), o.f->err);
    for (int i = 1; i < GY_UPLOAD_MAX_OPEN; i++) {
        assert_status(GY_OK, go(&o, CREATE), o.f->err);
    }
    assert_status(GY_E_BUSY, go(&o, CREATE), o.f->err);
    assert_status(GY_OK, go(&o, ABORT), o.f->err);
    assert_status(GY_OK, go(&o, CREATE), o.f->err);
    /* a folder stands there, or a file where a folder is needed */
    assert_status(GY_OK, go(&o, ABORT), o.f->err);
    struct op file = {.f = *state, .path = "0/b/c", .sha256 = SHA_A, .n = 1};
    assert_status(GY_OK, go(&file, PUT), o.f->err);
    file.path = "0/b";
    assert_status(GY_E_INVALID, go(&file, CREATE), o.f->err);
    file.path = "0/b/c/d";
    assert_status(GY_E_INVALID, go(&file, CREATE), o.f->err);
}

static void test_one_key(void **state)
{
    struct op a = {.f = *state}, b = {.f = *state};
    assert_status(GY_E_DENIED, go(&a, READ_KEY), a.f->err);
    assert_status(GY_OK, go(&a, KEY), a.f->err);
    assert_status(GY_OK, go(&b, KEY), a.f->err);
    assert_string_equal(a.key, b.key);
    assert_status(GY_OK, go(&b, READ_KEY), a.f->err);
    assert_string_equal(a.key, b.key);
    assert_int_equal(strlen(a.key), GY_UPLOAD_KEY - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_workspace_has_its_own_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_life_of_an_upload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aborted_and_expired_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uploads_of_another_workspace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_objects_by_their_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_key, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
