/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "data/dataset.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_S "5555555555555555555555555555555555555555555555555555555555555555"

static struct gy_store *g_store;

static int set_up(void **state)
{
    (void)state;
    struct gy_store_options o = {.url = "sqlite://:memory:"};
    return gy_store_open(&o, &g_store, NULL) == GY_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gy_store_free(g_store);
    return 0;
}

struct add {
    struct gy_dataset_version v;
    int64_t version;
    bool is_new;
};

static gy_status add_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct add *a = ctx;
    return gy_dataset_add(db, &a->v, &a->version, &a->is_new, err);
}

static struct gy_dataset_version version(const char *name, const char *sha256, int64_t dead)
{
    return (struct gy_dataset_version){.name = gy_str_c(name),
                                       .sha256 = gy_str_c(sha256),
                                       .md5 = GY_STR("0123456789abcdef0123456789abcdef"),
                                       .size_bytes = 100,
                                       .rows = 7,
                                       .read = 7 + dead,
                                       .accepted = 7,
                                       .dead = dead,
                                       .schema_json = GY_STR("{}"),
                                       .source = GY_STR("a.csv"),
                                       .source_sha256 = GY_STR(HEX_S),
                                       .actor = GY_STR("alice"),
                                       .created_us = 5};
}

static void check_add(struct gy_dataset_version v, int64_t want, bool want_new)
{
    struct add a = {.v = v};
    struct gy_err err = GY_ERR_INIT;
    if (gy_store_write(g_store, add_fn, &a, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(a.version, want);
    assert_int_equal(a.is_new, want_new);
}

struct find {
    const char *ref;
    struct gy_arena *arena;
    struct gy_dataset_version v, *list;
    size_t n;
    struct gy_lineage_edge *edges;
    size_t n_edges;
    struct gy_event *events;
    size_t n_events;
};

static gy_status find_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct find *f = ctx;
    return gy_dataset_resolve(db, gy_str_c(f->ref), f->arena, &f->v, err);
}

static gy_status list_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct find *f = ctx;
    return gy_dataset_list(db, gy_str_c(f->ref), false, f->arena, &f->list, &f->n, err);
}

static gy_status trace_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct find *f = ctx;
    GY_TRY(gy_lineage_walk(db, gy_str_c(f->ref), true, 100, f->arena, &f->edges, &f->n_edges, err));
    return gy_event_list(db, 0, "dataset.", 100, f->arena, &f->events, &f->n_events, err);
}

static gy_status find(struct find *f, gy_db_fn fn)
{
    return gy_store_read(g_store, fn, f, NULL);
}

static void test_versions(void **state)
{
    (void)state;
    check_add(version("d", HEX_A, 1), 1, true);
    check_add(version("d", HEX_B, 0), 2, true);
    check_add(version("d", HEX_A, 0), 1, false); /* the same bytes are the same version */
    check_add(version("other", HEX_A, 0), 1, true);

    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    static const struct {
        const char *ref, *sha256;
        int64_t version;
        gy_status status;
    } cases[] = {
        {"d", HEX_B, 2, GY_OK},           {"d@1", HEX_A, 1, GY_OK},
        {"d@v1", HEX_A, 1, GY_OK},        {"sha256:" HEX_B, HEX_B, 2, GY_OK},
        {"d@3", NULL, 0, GY_E_NOTFOUND},  {"nobody", NULL, 0, GY_E_NOTFOUND},
        {"d@", NULL, 0, GY_E_INVALID},    {"d@x", NULL, 0, GY_E_NOTFOUND},
        {"d@a b", NULL, 0, GY_E_INVALID}, {"d@latest", HEX_B, 2, GY_OK},
        {"d@v0", NULL, 0, GY_E_INVALID},  {"d@99999999999999999999", NULL, 0, GY_E_INVALID},
        {"d@0", NULL, 0, GY_E_INVALID},   {"sha256:" HEX_S, NULL, 0, GY_E_NOTFOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct find f = {.ref = cases[i].ref, .arena = &arena};
        assert_int_equal(find(&f, find_fn), cases[i].status);
        if (cases[i].sha256) {
            assert_true(gy_str_eqc(f.v.sha256, cases[i].sha256));
            assert_int_equal(f.v.version, cases[i].version);
        }
    }
    struct find f = {.ref = "d@1", .arena = &arena};
    assert_int_equal(find(&f, find_fn), GY_OK);
    assert_true(f.v.read == 8 && f.v.accepted == 7 && f.v.dead == 1 && f.v.rows == 7 &&
                f.v.size_bytes == 100 && f.v.created_us == 5);
    assert_true(gy_str_eqc(f.v.actor, "alice") && gy_str_eqc(f.v.schema_json, "{}") &&
                gy_str_eqc(f.v.source, "a.csv") && gy_str_eqc(f.v.source_sha256, HEX_S));
    struct find of_d = {.ref = "d", .arena = &arena}, all = {.ref = NULL, .arena = &arena};
    assert_int_equal(find(&of_d, list_fn), GY_OK);
    assert_int_equal(of_d.n, 2);
    assert_int_equal(find(&all, list_fn), GY_OK);
    assert_int_equal(all.n, 3);
    assert_true(gy_str_eqc(all.list[2].name, "other"));
}

static void test_lineage_and_events(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct find f = {.ref = "dataset:d/1", .arena = &arena};
    assert_int_equal(find(&f, trace_fn), GY_OK);
    assert_int_equal(f.n_edges, 2);
    assert_true(gy_str_eqc(f.edges[0].from, "data:" HEX_A));
    assert_true(gy_str_eqc(f.edges[1].from, "file:" HEX_S));
    assert_int_equal(f.n_events, 3); /* the known one told nothing new */
    assert_true(gy_str_eqc(f.events[0].subject, "dataset:d/1"));
}

struct tagging {
    struct gy_dataset_tagging t;
    int64_t from;
};

static gy_status tag_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct tagging *t = ctx;
    return gy_dataset_tag(db, &t->t, &t->from, err);
}

static gy_status tag(const char *name, int64_t to, bool force, int64_t *ret_from)
{
    struct tagging t = {.t = {.name = GY_STR("d"),
                              .tag = gy_str_c(name),
                              .actor = GY_STR("bob"),
                              .reason = GY_STR("why"),
                              .version = to,
                              .force = force}};
    gy_status status = gy_store_write(g_store, tag_fn, &t, NULL);
    *ret_from = t.from;
    return status;
}

struct said {
    struct gy_arena *arena;
    struct gy_dataset_tag_change *changes;
    struct gy_dataset_tag *tags;
    size_t n_changes, n_tags;
};

static gy_status said_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct said *s = ctx;
    GY_TRY(gy_dataset_tags(db, GY_STR("d"), s->arena, &s->tags, &s->n_tags, err));
    return gy_dataset_tag_changes(db, GY_STR("d"), 10, s->arena, &s->changes, &s->n_changes, err);
}

static void test_tags(void **state)
{
    (void)state;
    int64_t from = 0;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    assert_int_equal(tag("v1.0", 1, false, &from), GY_OK);
    assert_int_equal(from, 0);
    assert_int_equal(tag("v1.0", 1, false, &from), GY_OK); /* nothing happens */
    assert_int_equal(tag("v1.0", 2, false, &from), GY_E_CONFLICT);
    assert_int_equal(tag("v1.0", 2, true, &from), GY_OK);
    assert_int_equal(from, 1);
    assert_int_equal(tag("v1.0", 9, true, &from), GY_E_NOTFOUND);
    assert_int_equal(tag("gold", 0, false, &from), GY_E_NOTFOUND);
    assert_int_equal(tag("gold", 1, false, &from), GY_OK);
    static const char *const bad[] = {"", "1", "v1", "007", "latest", "a/b", "a b", "-a", ".a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tag(bad[i], 1, true, &from), GY_E_INVALID);
    }
    struct find f = {.ref = "d@v1.0", .arena = &arena};
    assert_int_equal(find(&f, find_fn), GY_OK);
    assert_int_equal(f.v.version, 2);
    assert_int_equal(tag("gold", 0, false, &from), GY_OK);
    struct said s = {.arena = &arena};
    assert_int_equal(gy_store_read(g_store, said_fn, &s, NULL), GY_OK);
    assert_int_equal(s.n_tags, 1);
    assert_true(gy_str_eqc(s.tags[0].tag, "v1.0") && gy_str_eqc(s.tags[0].actor, "bob"));
    assert_int_equal(s.n_changes, 4); /* set, moved, set, taken off: newest first */
    assert_true(s.changes[0].from_version == 1 && s.changes[0].to_version == 0);
    assert_true(s.changes[2].from_version == 1 && s.changes[2].to_version == 2);
    assert_true(gy_str_eqc(s.changes[2].reason, "why"));
}

struct end {
    int64_t version, n, bytes;
    bool force, undo;
};

static gy_status end_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct end *e = ctx;
    return e->undo ? gy_dataset_restore(db, GY_STR("d"), e->version, GY_STR("bob"), err)
                   : gy_dataset_delete(db, GY_STR("d"), e->version, e->force, GY_STR_NULL,
                                       GY_STR("bob"), err);
}

static gy_status purge_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct end *e = ctx;
    GY_TRY(gy_dataset_purge_plan(db, INT64_MAX, &e->n, &e->bytes, err));
    return gy_dataset_purge_some(db, INT64_MAX, 1, GY_STR("bob"), &e->n, err);
}

static gy_status end_version(int64_t number, bool force, bool undo)
{
    struct end e = {.version = number, .force = force, .undo = undo};
    return gy_store_write(g_store, end_fn, &e, NULL);
}

/* After test_tags: version 2 is tagged v1.0. */
static void test_the_end_of_versions(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct find two = {.ref = "d@2", .arena = &arena}, tagged = {.ref = "d@v1.0", .arena = &arena},
                bytes = {.ref = "sha256:" HEX_B, .arena = &arena};
    assert_int_equal(end_version(2, false, false), GY_E_CONFLICT); /* a tag names it */
    assert_int_equal(end_version(9, true, false), GY_E_NOTFOUND);
    assert_int_equal(end_version(2, true, false), GY_OK);
    assert_int_equal(end_version(2, true, false), GY_E_NOTFOUND);
    assert_int_equal(find(&two, find_fn), GY_E_NOTFOUND);
    assert_int_equal(find(&tagged, find_fn), GY_E_NOTFOUND);
    assert_int_equal(find(&bytes, find_fn), GY_E_NOTFOUND);
    int64_t from = 0;
    assert_int_equal(tag("late", 2, true, &from), GY_E_NOTFOUND);
    assert_int_equal(end_version(2, false, true), GY_OK);
    assert_int_equal(find(&two, find_fn), GY_OK);
    assert_int_equal(end_version(2, false, false), GY_OK);
    struct end e = {0};
    assert_int_equal(gy_store_write(g_store, purge_fn, &e, NULL), GY_OK);
    assert_int_equal(e.n, 1);
    assert_int_equal(e.bytes, 100);
    assert_int_equal(gy_store_write(g_store, purge_fn, &e, NULL), GY_OK);
    assert_int_equal(e.n, 0);
    assert_int_equal(end_version(2, false, true), GY_E_CONFLICT);
    check_add(version("d", HEX_S, 0), 3, true);  /* a number is never used again */
    check_add(version("d", HEX_B, 0), 2, false); /* and the same bytes are their version again */
    assert_int_equal(find(&two, find_fn), GY_OK);
    assert_true(two.v.gone_us == 0 && two.v.deleted_us == 0);
}

static void test_workspaces(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct gy_scope scope = {.workspace = GY_STR("elsewhere"), .actor = GY_STR("eve")};
    struct find f = {.ref = "d@1", .arena = &arena},
                bytes = {.ref = "sha256:" HEX_A, .arena = &arena};
    struct find list = {.ref = NULL, .arena = &arena};
    gy_scope_enter(&scope);
    assert_int_equal(find(&f, find_fn), GY_E_NOTFOUND);
    assert_int_equal(find(&bytes, find_fn), GY_E_NOTFOUND);
    assert_int_equal(find(&list, list_fn), GY_OK);
    assert_int_equal(list.n, 0);
    /* There is no such workspace: the store says so instead of writing into another. */
    struct add a = {.v = version("d", HEX_A, 0)};
    assert_int_equal(gy_store_write(g_store, add_fn, &a, NULL), GY_E_CONFLICT);
    gy_scope_leave(&scope);
    assert_int_equal(find(&f, find_fn), GY_OK);
}

/* The store itself refuses lost records. */
static void test_lost_records_are_refused(void **state)
{
    (void)state;
    struct add a = {.v = version("lost", HEX_A, 1)};
    a.v.read = 100;
    assert_int_equal(gy_store_write(g_store, add_fn, &a, NULL), GY_E_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_lineage_and_events),
        cmocka_unit_test(test_lost_records_are_refused),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_the_end_of_versions),
        cmocka_unit_test(test_workspaces),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
