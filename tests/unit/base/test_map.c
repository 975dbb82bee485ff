/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "unit.h"

static int g_values[4000];

static struct gy_str key(int i, char text[16])
{
    return gy_str_n(text, (size_t)snprintf(text, 16, "key%d", i));
}

static void test_many(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_map_done) struct gy_map m;
    char text[16];
    struct gy_err err = GY_ERR_INIT;
    gy_map_init(&m, 10000);
    assert_null(gy_map_get(&m, GY_STR("x")));
    for (int i = 0; i < 4000; i++) {
        assert_status(GY_OK, gy_map_put(&m, key(i, text), &g_values[i], &err), err);
    }
    for (int i = 0; i < 4000; i += 2) {
        assert_true(gy_map_remove(&m, key(i, text)));
        assert_false(gy_map_remove(&m, key(i, text)));
    }
    assert_int_equal(m.n_live, 2000);
    for (int i = 0; i < 4000; i++) {
        void *expected = i % 2 ? &g_values[i] : NULL;
        assert_ptr_equal(gy_map_get(&m, key(i, text)), expected);
    }
    size_t pos = 0;
    int next = 1;
    for (const struct gy_map_entry *e; (e = gy_map_next(&m, &pos)) != NULL; next += 2) {
        assert_ptr_equal(e->value, &g_values[next]); /* insertion order */
        assert_int_equal(e->key.p[e->key.n], '\0');
    }
    assert_int_equal(next, 4001);
}

static void test_replace_and_empty_key(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_map_done) struct gy_map m;
    gy_map_init(&m, 2);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_map_put(&m, GY_STR(""), NULL, &err), err);
    assert_true(gy_map_has(&m, GY_STR("")));
    assert_null(gy_map_get(&m, GY_STR("")));
    assert_status(GY_OK, gy_map_put(&m, gy_str_n("a\0b", 3), &g_values[1], &err), err);
    assert_status(GY_OK, gy_map_put(&m, gy_str_n("a\0b", 3), &g_values[2], &err), err);
    assert_ptr_equal(gy_map_get(&m, gy_str_n("a\0b", 3)), &g_values[2]);
    assert_int_equal(m.n_live, 2);
    assert_int_equal(gy_map_put(&m, GY_STR("third"), NULL, &err), GY_E_TOOBIG);
    assert_true(gy_map_remove(&m, GY_STR("")));
    assert_status(GY_OK, gy_map_put(&m, GY_STR("third"), NULL, &err), err);
}

/* Removing and putting again for long must not grow the map for ever. */
static void test_churn_reuses_room(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_map_done) struct gy_map m;
    char text[16];
    gy_map_init(&m, 100);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(gy_map_put(&m, key(i, text), &g_values[0], NULL), GY_OK);
        assert_true(gy_map_remove(&m, key(i, text)));
    }
    assert_int_equal(m.n_live, 0);
    assert_true(m.cap_entries <= 1024);
}

static gy_status fill(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_map_done) struct gy_map m;
    char text[16];
    gy_map_init(&m, 1000);
    for (int i = 0; i < 100; i++) {
        GY_TRY(gy_map_put(&m, key(i, text), &g_values[i], err));
    }
    return GY_OK;
}

static void test_torture(void **state)
{
    (void)state;
    torture(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_replace_and_empty_key),
        cmocka_unit_test(test_churn_reuses_room),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
