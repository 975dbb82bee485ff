/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "unit.h"

static void test_live_counts_blocks(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    void *a = gy_malloc(0);
    void *b = gy_calloc(3, 5);
    char *c = gy_strndup("hello", 3);
    assert_non_null(a);
    assert_int_equal(gy_mem_live(), live + 3);
    assert_string_equal(c, "hel");
    for (int i = 0; i < 15; i++) {
        assert_int_equal(((char *)b)[i], 0);
    }
    b = gy_realloc(b, 1000);
    assert_non_null(b);
    assert_int_equal(gy_mem_live(), live + 3);
    gy_free(a);
    gy_free(b);
    gy_free(c);
    gy_free(NULL);
    assert_int_equal(gy_mem_live(), live);
}

static void test_sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    size_t volatile huge = SIZE_MAX / 2 + 1;
    assert_null(gy_calloc(huge, 2));
    assert_null(gy_reallocarray(NULL, huge, 4));
}

static void test_fail_at(void **state)
{
    (void)state;
    gy_mem_fail_at(2, 1);
    void *a = gy_malloc(1);
    void *b = gy_malloc(1);
    void *c = gy_malloc(1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_int_equal(gy_mem_count(), 3);
    gy_mem_fail_at(1, 0);
    assert_null(gy_malloc(1));
    assert_null(gy_strdup("x"));
    assert_null(gy_realloc(a, 100)); /* a is still owned */
    gy_mem_fail_at(0, 0);
    gy_free(a);
    gy_free(c);
}

static int g_allocs;
static int g_frees;

static void *count_alloc(void *self, size_t size)
{
    (void)self;
    g_allocs++;
    return malloc(size);
}

static void *count_resize(void *self, void *p, size_t size)
{
    (void)self;
    return realloc(p, size);
}

static void count_release(void *self, void *p)
{
    (void)self;
    g_frees++;
    free(p);
}

static void test_own_allocator(void **state)
{
    (void)state;
    static const struct gy_allocator mine = {count_alloc, count_resize, count_release, NULL};
    gy_mem_use(&mine);
    char *text = gy_strdup("x");
    gy_free(text);
    gy_mem_use(NULL);
    assert_int_equal(g_allocs, 1);
    assert_int_equal(g_frees, 1);
}

static void test_arena(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    struct gy_arena a;
    gy_arena_init(&a, 64 * GY_KIB);
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 500; n += 7) {
            char *p = gy_arena_alloc(&a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, 'x', n);
        }
        assert_string_equal(gy_arena_printf(&a, "%d-%s", 7, "ab"), "7-ab");
        assert_string_equal(gy_arena_strdup(&a, GY_STR("abc")), "abc");
        assert_str(gy_arena_str(&a, gy_str_n("abc", 2)), "ab");
        const int *zeros = gy_arena_calloc(&a, 10, sizeof *zeros);
        assert_int_equal(zeros[9], 0);
        gy_arena_reset(&a);
        assert_true(gy_mem_live() <= live + 1);
    }
    assert_null(gy_arena_alloc(&a, 65 * GY_KIB)); /* the ceiling */
    assert_null(gy_arena_calloc(&a, SIZE_MAX / 2, 4));
    gy_arena_done(&a);
    gy_arena_done(&a);
    gy_arena_done(NULL);
    assert_int_equal(gy_mem_live(), live);
}

static gy_status use_arena(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    for (int i = 0; i < 20; i++) {
        if (!gy_arena_alloc(&a, 3000) || !gy_arena_printf(&a, "%d", i)) {
            return gy_err_set(err, GY_E_NOMEM, "arena");
        }
    }
    return GY_OK;
}

static void test_arena_torture(void **state)
{
    (void)state;
    torture(use_arena, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_counts_blocks),
        cmocka_unit_test(test_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_fail_at),
        cmocka_unit_test(test_own_allocator),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
