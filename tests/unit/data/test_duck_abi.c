/* SPDX-License-Identifier: Apache-2.0 */
/* What data/duck_lib.h declares, held against DuckDB's own header (deps/duckdb.sh --header). */
#include "unit.h"

#if __has_include("../../../.deps/duckdb/duckdb.h")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include "../../../.deps/duckdb/duckdb.h"
#pragma GCC diagnostic pop

#define GY_DUCK_TYPES_KNOWN
#include "data/duck_lib.h"

static void test_functions(void **state)
{
    (void)state;
    struct gy_duck_lib lib;
    size_t n = 0;
#define X(type, name, arguments)                                                                   \
    _Static_assert(__builtin_types_compatible_p(__typeof__(lib.name), __typeof__(&duckdb_##name)), \
                   "duckdb_" #name " has another type");                                           \
    n++;
    GY_DUCK_FUNCTIONS(X)
#undef X
    (void)lib;
    assert_int_equal(n, sizeof lib / sizeof(void (*)(void)));
}

static void test_numbers(void **state)
{
    (void)state;
#define X(name, number) assert_int_equal(DUCKDB_TYPE_##name, number);
    GY_DUCK_TYPES(X)
#undef X
    assert_int_equal(DuckDBSuccess, GY_DUCK_SUCCESS);
    assert_int_equal(DUCKDB_STATEMENT_TYPE_SELECT, GY_DUCK_STATEMENT_SELECT);
    assert_int_equal(DUCKDB_STATEMENT_TYPE_EXPLAIN, GY_DUCK_STATEMENT_EXPLAIN);
    assert_int_equal(DUCKDB_RESULT_TYPE_QUERY_RESULT, GY_DUCK_RESULT_ROWS);
}

static void test_layouts(void **state)
{
    (void)state;
#define X(expression, number) assert_int_equal(expression, number);
    GY_DUCK_LAYOUT(X)
#undef X
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void test_nothing(void **state)
{
    (void)state;
    print_message("skipped: there is no duckdb.h (deps/duckdb.sh --header)\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
