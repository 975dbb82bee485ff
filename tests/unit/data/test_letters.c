/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"

#include "base/file.h"
#include "data/dataset.h"
#include "data/letters.h"
#include "store/scope.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LETTER(row, codes, data)                                                                \
    "{\"source\":\"" HEX_A "\",\"time\":\"t\",\"file\":\"f\",\"row\":" row ",\"codes\":[" codes \
    "],\"column\":null,\"error\":\"why\",\"trace\":null,\"data\":\"" data "\"}\n"
#define ID "aaaaaaaaaaaaaaaaaaaaaaaa-"

static char g_dir[64], g_path[80];
static struct gy_store *g_store;

static int set_up(void **state)
{
    (void)state;
    struct gy_store_options o = {.url = "sqlite://:memory:"};
    scratch_make(g_dir);
    (void)snprintf(g_path, sizeof g_path, "%s/dlq.log", g_dir);
    return gy_store_open(&o, &g_store, NULL) == GY_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gy_store_free(g_store);
    scratch_done(g_dir);
    return 0;
}

struct call {
    struct gy_str name, id, json, codes;
    int64_t version;
    struct gy_letters_filter filter;
    size_t max, n;
    struct gy_arena *arena;
    struct gy_stored_letter *list, one;
};

static gy_status add_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_letters_add(db, c->name, c->version, g_path, GY_STR("bob"), err);
}

static gy_status list_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_letters_list(db, c->name, &c->filter, c->max ? c->max : 100, c->arena, &c->list,
                           &c->n, err);
}

static gy_status get_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_letters_get(db, c->name, c->id, c->arena, &c->one, err);
}

static gy_status replayed_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_letters_replayed(db, c->name, c->id, c->version, GY_STR("eve"), err);
}

static gy_status refused_fn(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_letters_refused(db, c->name, c->id, c->json, c->codes, err);
}

static size_t count(const char *name, struct gy_letters_filter f)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct call c = {.name = gy_str_c(name), .filter = f, .arena = &arena};
    assert_int_equal(gy_store_read(g_store, list_fn, &c, NULL), GY_OK);
    return c.n;
}

static void test_letters_of_uploads(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct call c = {.name = GY_STR("d"), .version = 1, .arena = &arena};
    assert_int_equal(gy_store_write(g_store, add_fn, &c, NULL), GY_OK); /* no log: no letters */
    assert_int_equal(count("d", (struct gy_letters_filter){0}), 0);
    const char *text = LETTER("0", "\"RANGE\"", "0") LETTER("3", "\"RANGE\",\"UNIQUE\"", "3")
        LETTER("4", "\"TYPE\"", "4");
    assert_int_equal(gy_file_write(g_path, gy_str_c(text), 0666, NULL), GY_OK);
    assert_int_equal(gy_store_write(g_store, add_fn, &c, NULL), GY_OK);
    c.version = 2; /* the same upload again: the same letters */
    assert_int_equal(gy_store_write(g_store, add_fn, &c, NULL), GY_OK);
    assert_int_equal(count("d", (struct gy_letters_filter){0}), 3);
    assert_int_equal(count("other", (struct gy_letters_filter){0}), 0);
    assert_int_equal(count("d", (struct gy_letters_filter){.code = GY_STR("RANGE")}), 2);
    assert_int_equal(count("d", (struct gy_letters_filter){.code = GY_STR("UNIQUE")}), 1);
    assert_int_equal(count("d", (struct gy_letters_filter){.code = GY_STR("RANG")}), 0);
    assert_int_equal(count("d", (struct gy_letters_filter){.version = 1}), 3);
    assert_int_equal(count("d", (struct gy_letters_filter){.version = 2}), 0);
    struct call bad = {.name = GY_STR("d"), .filter = {.code = GY_STR("%")}, .arena = &arena};
    assert_int_equal(gy_store_read(g_store, list_fn, &bad, NULL), GY_E_INVALID);
    struct call page = {.name = GY_STR("d"), .max = 2, .arena = &arena};
    assert_int_equal(gy_store_read(g_store, list_fn, &page, NULL), GY_OK);
    assert_int_equal(page.n, 2);
    assert_true(gy_str_eqc(page.list[1].id, ID "3") && page.list[1].version == 1);
    page.filter.after = page.list[1].seq;
    assert_int_equal(gy_store_read(g_store, list_fn, &page, NULL), GY_OK);
    assert_int_equal(page.n, 1);
    assert_true(gy_str_eqc(page.list[0].codes, ",TYPE,"));
    struct gy_scope scope = {.workspace = GY_STR("elsewhere"), .actor = GY_STR("eve")};
    gy_scope_enter(&scope);
    assert_int_equal(count("d", (struct gy_letters_filter){0}), 0);
    gy_scope_leave(&scope);
}

/* After the one above. */
static void test_each_is_replayed_once(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct call c = {.name = GY_STR("d"), .id = GY_STR(ID "3"), .version = 7, .arena = &arena};
    assert_int_equal(gy_store_write(g_store, replayed_fn, &c, NULL), GY_OK);
    assert_int_equal(gy_store_write(g_store, replayed_fn, &c, NULL), GY_E_CONFLICT);
    assert_int_equal(gy_store_read(g_store, get_fn, &c, NULL), GY_OK);
    assert_true(c.one.replayed_version == 7 && gy_str_eqc(c.one.replayed_by, "eve"));
    assert_int_equal(count("d", (struct gy_letters_filter){.dead = true}), 2);
    assert_int_equal(count("d", (struct gy_letters_filter){.replayed = true}), 1);
    c.id = GY_STR(ID "9");
    assert_int_equal(gy_store_write(g_store, replayed_fn, &c, NULL), GY_E_CONFLICT);
    assert_int_equal(gy_store_read(g_store, get_fn, &c, NULL), GY_E_NOTFOUND);
    /* Sent again, it stays replayed. */
    c.version = 8;
    assert_int_equal(gy_store_write(g_store, add_fn, &c, NULL), GY_OK);
    assert_int_equal(count("d", (struct gy_letters_filter){.replayed = true}), 1);
    c.id = GY_STR(ID "4");
    c.json = GY_STR("{\"new\":1}");
    c.codes = GY_STR(",RANGE,");
    assert_int_equal(gy_store_write(g_store, refused_fn, &c, NULL), GY_OK);
    assert_int_equal(gy_store_read(g_store, get_fn, &c, NULL), GY_OK);
    assert_true(c.one.refusals == 1 && gy_str_eqc(c.one.json, "{\"new\":1}"));
    assert_int_equal(count("d", (struct gy_letters_filter){.code = GY_STR("TYPE")}), 0);
}

static void test_damaged_logs_add_nothing(void **state)
{
    (void)state;
    struct call c = {.name = GY_STR("damaged"), .version = 1};
    static const char *const bad[] = {(LETTER("0", "\"RANGE\"", "0") "not JSON\n"),
                                      (LETTER("0", "\"RANGE\"", "0") "{\"row\":1}\n")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_file_write(g_path, gy_str_c(bad[i]), 0666, NULL), GY_OK);
        assert_int_not_equal(gy_store_write(g_store, add_fn, &c, NULL), GY_OK);
        assert_int_equal(count("damaged", (struct gy_letters_filter){0}), 0);
    }
}

static void test_other_reasons(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO_DONE(gy_reasons_done) struct gy_reasons why;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, GY_MIB);
    gy_reasons_init(&why);
    gy_reasons_whole(&why, GY_DEAD_FIELDS, "too few");
    why.codes |= 1U << GY_DEAD_JSON;
    assert_int_equal(
        gy_json_parse(
            GY_STR(
                "{\"row\":1,\"codes\":[\"TYPE\"],\"column\":\"x\",\"error\":\"e\",\"data\":\"d\"}"),
            &doc, NULL),
        GY_OK);
    gy_letters_with_reasons(&out, yyjson_doc_get_root(doc), &why);
    assert_string_equal(out.p,
                        "{\"row\":1,\"codes\":[\"FIELDS\",\"JSON\"],\"column\":null,\"error\":"
                        "\"too few\",\"data\":\"d\"}");
    gy_buf_reset(&out);
    gy_letters_codes(&out, why.codes);
    assert_string_equal(out.p, ",FIELDS,JSON,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_of_uploads),
        cmocka_unit_test(test_each_is_replayed_once),
        cmocka_unit_test(test_damaged_logs_add_nothing),
        cmocka_unit_test(test_other_reasons),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
