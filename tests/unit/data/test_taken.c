/* SPDX-License-Identifier: Apache-2.0 */
/* gy_taken: a step counts only from where it began, together with its version; on both databases.
 */
#include "../unit.h"

#include "data/dataset.h"
#include "data/taken.h"
#include "postgres.h"
#include "store/scope.h"

static struct gy_store *g_store;
static char g_url[256] = "sqlite://:memory:";

static int set_up(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_store_options o = {.url = g_url, .home = "h"};
    if (gy_store_open(&o, &g_store, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gy_store_free(g_store);
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

struct step {
    const char *name;
    int content; /* of the version: its digest */
    struct gy_taken_step s;
    int64_t base;
    bool plain; /* a version without a step */
    int64_t version;
};

static gy_status step_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct step *x = ctx;
    char sha256[65];
    bool is_new;
    (void)snprintf(sha256, sizeof sha256, "%064d", x->content);
    const struct gy_dataset_version v = {.name = gy_str_c(x->name),
                                         .sha256 = gy_str_c(sha256),
                                         .md5 = GY_STR("0123456789abcdef0123456789abcdef"),
                                         .rows = 1,
                                         .read = 1,
                                         .accepted = 1,
                                         .base_version = x->base,
                                         .actor = GY_STR("alice")};
    if (!x->plain) {
        GY_TRY(gy_taken_begin(db, v.name, &x->s, err));
    }
    GY_TRY(gy_dataset_add(db, &v, &x->version, &is_new, err));
    return x->plain ? GY_OK : gy_taken_end(db, v.name, &x->s, x->version, is_new, v.actor, err);
}

/* Returns the version, 0 when it was refused with want. */
static int64_t make(struct step x, gy_status want, const char *message)
{
    struct gy_err err = GY_ERR_INIT;
    x.base = x.plain || x.s.restart ? x.base : x.s.newest;
    assert_status(want, gy_store_write(g_store, step_fn, &x, &err), err);
    if (want != GY_OK && !strstr(err.msg, message)) {
        fail_msg("'%s' does not hold '%s'", err.msg, message);
    }
    return want == GY_OK ? x.version : 0;
}

struct look {
    const char *name, *source;
    struct gy_arena arena;
    struct gy_taken t;
    struct gy_taken_object *objects;
    size_t n;
};

static gy_status look_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct look *l = ctx;
    GY_TRY(gy_taken_objects(db, gy_str_c(l->name), gy_str_c(l->source), GY_STR(""), 2, &l->arena,
                            &l->objects, &l->n, err));
    return gy_taken_look(db, gy_str_c(l->name), gy_str_c(l->source), &l->arena, &l->t, err);
}

static void check(const char *name, const char *source, int64_t newest, bool continues,
                  int64_t version, const char *watermark, const char *sources)
{
    struct look l = {.name = name, .source = source};
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    gy_buf_init(&all, GY_MIB);
    gy_arena_init(&l.arena, GY_MIB);
    assert_status(GY_OK, gy_store_read(g_store, look_fn, &l, &err), err);
    assert_int_equal(l.t.newest, newest);
    assert_int_equal(l.t.continues, continues);
    assert_int_equal(l.t.version, version);
    assert_string_equal(l.t.watermark.p ? l.t.watermark.p : "(none)", watermark);
    for (size_t i = 0; i < l.t.n_sources; i++) {
        gy_buf_addf(&all, "%s|", l.t.sources[i].p);
    }
    assert_string_equal(all.p, sources);
    gy_arena_done(&l.arena);
}

#define STEP(...) ((struct gy_taken_step){__VA_ARGS__})

static void test_steps(void **state)
{
    (void)state;
    const struct gy_str a = GY_STR("A"), m1 = GY_STR("1"), m2 = GY_STR("2");
    check("d", "A", 0, true, 0, "(none)", "");
    assert_int_equal(make((struct step){"d", 1, STEP(.source = a, .watermark = m1)}, GY_OK, ""), 1);
    check("d", "A", 1, true, 1, "1", "A|");
    /* Made again, as after a lost answer: it began before its own end. */
    (void)make((struct step){"d", 1, STEP(.source = a, .watermark = m1)}, GY_E_CONFLICT,
               "another newest version of dataset 'd'");
    (void)make((struct step){"d", 2, STEP(.source = a, .newest = 1, .watermark = m2)},
               GY_E_CONFLICT, "somebody else has taken");
    const struct gy_taken_step wrong =
        STEP(.source = a, .newest = 1, .from_version = 1, .from_watermark = m2, .watermark = m2);
    (void)make((struct step){"d", 2, wrong}, GY_E_CONFLICT, "somebody else has taken");
    check("d", "A", 1, true, 1, "1", "A|"); /* nothing of these stayed */
    const struct gy_taken_step next =
        STEP(.source = a, .newest = 1, .from_version = 1, .from_watermark = m1, .watermark = m2);
    assert_int_equal(make((struct step){"d", 2, next}, GY_OK, ""), 2);
    /* No new row that was accepted: the bytes are the newest version's, and the watermark moves. */
    const struct gy_taken_step none = STEP(.source = a, .newest = 2, .from_version = 2,
                                           .from_watermark = m2, .watermark = GY_STR("3"));
    assert_int_equal(make((struct step){"d", 2, none}, GY_OK, ""), 2);
    check("d", "A", 2, true, 2, "3", "A|");
    /* The bytes of an older one: what is newest would not hold what was taken. */
    const struct gy_taken_step older = STEP(.source = a, .newest = 2, .from_version = 2,
                                            .from_watermark = GY_STR("3"), .watermark = m1);
    (void)make((struct step){"d", 1, older}, GY_E_CONFLICT, "are version 1 of 'd' already");
    check("d", "A", 2, true, 2, "3", "A|");
    check("other", "A", 0, true, 0, "(none)", "");
}

static void test_other_versions(void **state)
{
    (void)state;
    const struct gy_str a = GY_STR("A"), b = GY_STR("B");
    assert_int_equal(make((struct step){"e", 11, STEP(.source = a)}, GY_OK, ""), 1);
    assert_int_equal(make((struct step){"e", 12, STEP(.source = b, .newest = 1)}, GY_OK, ""), 2);
    check("e", "A", 2, true, 1, "(none)", "A|B|"); /* made from 1, so it holds A's rows, too */
    /* Dead letters replayed into it. */
    assert_int_equal(make((struct step){"e", 13, .plain = true, .base = 2}, GY_OK, ""), 3);
    check("e", "B", 3, true, 2, "(none)", "A|B|");
    /* A table of somebody's own. */
    assert_int_equal(make((struct step){"e", 14, .plain = true}, GY_OK, ""), 4);
    check("e", "A", 4, false, 1, "(none)", "A|B|");
    const struct gy_taken_step again =
        STEP(.source = b, .newest = 4, .restart = true, .from_version = 2);
    assert_int_equal(make((struct step){"e", 15, again}, GY_OK, ""), 5);
    check("e", "A", 5, true, 0, "(none)", "B|");
}

static void test_objects(void **state)
{
    (void)state;
    const struct gy_taken_object first[] = {{GY_STR("b"), GY_STR("m1")},
                                            {GY_STR("a/Z"), GY_STR("m2")}},
                                 more[] = {{GY_STR("a/a"), GY_STR("m3")}},
                                 twice[] = {{GY_STR("c"), GY_STR("m")}, {GY_STR("b"), GY_STR("m")}},
                                 bad[] = {{GY_STR(""), GY_STR("m")}};
    const struct gy_str s = GY_STR("S");
    assert_int_equal(
        make((struct step){"f", 21, STEP(.source = s, .objects = first, .n_objects = 2)}, GY_OK,
             ""),
        1);
    assert_int_equal(make((struct step){"f", 22,
                                        STEP(.source = s, .newest = 1, .from_version = 1,
                                             .objects = more, .n_objects = 1)},
                          GY_OK, ""),
                     2);
    (void)make((struct step){"f", 23,
                             STEP(.source = s, .newest = 2, .from_version = 2, .objects = twice,
                                  .n_objects = 2)},
               GY_E_CONFLICT, "an object was taken");
    (void)make((struct step){"f", 23,
                             STEP(.source = s, .newest = 2, .from_version = 2, .objects = bad,
                                  .n_objects = 1)},
               GY_E_INVALID, "too long");
    (void)make((struct step){"f", 23, STEP(.source = GY_STR(""), .newest = 2)}, GY_E_INVALID,
               "too many words");
    struct look l = {.name = "f", .source = "S"};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&l.arena, GY_MIB);
    assert_status(GY_OK, gy_store_read(g_store, look_fn, &l, &err), err);
    assert_int_equal(l.n, 2); /* as many as asked for, by their bytes */
    assert_str(l.objects[0].object, "a/Z");
    assert_str(l.objects[0].mark, "m2");
    assert_str(l.objects[1].object, "a/a");
    assert_int_equal(l.t.version, 2);
    gy_arena_done(&l.arena);
    /* Of the start, when it is read again. */
    assert_int_equal(make((struct step){"f", 24,
                                        STEP(.source = s, .newest = 2, .restart = true,
                                             .from_version = 2, .objects = first, .n_objects = 1)},
                          GY_OK, ""),
                     3);
    gy_arena_init(&l.arena, GY_MIB);
    l.t.n_sources = 0;
    assert_status(GY_OK, gy_store_read(g_store, look_fn, &l, &err), err);
    assert_int_equal(l.n, 1);
    assert_str(l.objects[0].object, "b");
    gy_arena_done(&l.arena);
}

static void test_workspaces(void **state)
{
    (void)state;
    struct gy_scope scope = {.workspace = GY_STR("default"), .actor = GY_STR("alice")};
    gy_scope_enter(&scope);
    check("d", "A", 2, true, 2, "3", "A|");
    gy_scope_leave(&scope);
    scope.workspace = GY_STR("elsewhere");
    gy_scope_enter(&scope);
    check("d", "A", 0, true, 0, "(none)", "");
    gy_scope_leave(&scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_workspaces),
    };
    int failed = cmocka_run_group_tests_name("taken: sqlite", tests, set_up, tear_down);
    const struct CMUnitTest none[] = {cmocka_unit_test(postgres_skipped)};
    if (!postgres_there()) {
        return failed + cmocka_run_group_tests_name("taken: postgres", none, NULL, NULL);
    }
    postgres_url(g_url);
    return failed + cmocka_run_group_tests_name("taken: postgres", tests, set_up, tear_down);
}
