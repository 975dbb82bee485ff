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
    return gy_dataset_list(db, gy_str_c(f->ref), f->arena, &f->list, &f->n, err);
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
        {"d", HEX_B, 2, GY_OK},          {"d@1", HEX_A, 1, GY_OK},
        {"d@v1", HEX_A, 1, GY_OK},       {"sha256:" HEX_B, HEX_B, 2, GY_OK},
        {"d@3", NULL, 0, GY_E_NOTFOUND}, {"nobody", NULL, 0, GY_E_NOTFOUND},
        {"d@", NULL, 0, GY_E_INVALID},   {"d@x", NULL, 0, GY_E_INVALID},
        {"d@0", NULL, 0, GY_E_INVALID},  {"sha256:" HEX_S, NULL, 0, GY_E_NOTFOUND},
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
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
