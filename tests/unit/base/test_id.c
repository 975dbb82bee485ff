/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/id.h"
#include "base/time.h"
#include "unit.h"

static void test_uuid_is_version_7(void **state)
{
    (void)state;
    struct gy_uuid_gen g;
    unsigned char raw[16];
    unsigned char back[16];
    char text[GY_UUID_TEXT];
    assert_int_equal(gy_uuid_gen_init(&g, NULL), GY_OK);
    gy_time_set_fake(INT64_C(0x017f22e279b0) * 1000); /* the time of the example in RFC 9562 A.6 */
    gy_uuid7(&g, raw);
    gy_time_set_fake(0);
    gy_uuid_text(raw, text);
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
    assert_non_null(strchr("89ab", text[19]));
    assert_int_equal(gy_uuid_parse(gy_str_c(text), back, NULL), GY_OK);
    assert_memory_equal(raw, back, 16);
}

/* Ascending within one generator: in one millisecond, over the end of the counter, and when the
 * clock steps back. */
static void test_uuid_is_monotonic(void **state)
{
    (void)state;
    struct gy_uuid_gen g;
    unsigned char last[16];
    unsigned char next[16];
    assert_int_equal(gy_uuid_gen_init(&g, NULL), GY_OK);
    gy_time_set_fake(INT64_C(1700000000000000));
    gy_uuid7(&g, last);
    g.counter = (1u << 26) - 3;
    gy_uuid7(&g, last);
    for (int i = 0; i < 100000; i++) {
        if (i == 50000) {
            gy_time_set_fake(INT64_C(1600000000000000));
        }
        gy_uuid7(&g, next);
        assert_true(memcmp(last, next, 16) < 0);
        memcpy(last, next, 16);
    }
    gy_time_set_fake(0);
}

static void test_uuid_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "017f22e279b07cc398c4dc0c0c07398f",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
                                      "017f22e2x79b0-7cc3-98c4-dc0c0c07398f",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0"};
    unsigned char raw[16];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_uuid_parse(gy_str_c(bad[i]), raw, NULL), GY_E_INVALID);
    }
}

static void test_new_ids_differ(void **state)
{
    (void)state;
    char a[GY_UUID_TEXT];
    char b[GY_UUID_TEXT];
    char h1[33];
    char h2[33];
    assert_int_equal(gy_new_id(a, NULL), GY_OK);
    assert_int_equal(gy_new_id(b, NULL), GY_OK);
    assert_true(strcmp(a, b) < 0);
    assert_int_equal(gy_new_hex32(h1, NULL), GY_OK);
    assert_int_equal(gy_new_hex32(h2, NULL), GY_OK);
    assert_int_equal(strlen(h1), 32);
    assert_int_equal(strspn(h1, "0123456789abcdef"), 32);
    assert_string_not_equal(h1, h2);
}

/* The first numbers of xoshiro256** from state {1,2,3,4}, as its authors' C code gives them. */
static void test_rng_golden(void **state)
{
    (void)state;
    static const uint64_t expected[] = {11520u,
                                        0u,
                                        1509978240u,
                                        1215971899390074240u,
                                        1216172134540287360u,
                                        607988272756665600u,
                                        16172922978634559625u,
                                        8476171486693032832u,
                                        10595114339597558777u,
                                        2904607092377533576u};
    struct gy_rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(gy_rng_u64(&r) == expected[i]);
    }
    gy_rng_init(&r, 0); /* splitmix64 from 0 */
    assert_true(r.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(r.s[1] == UINT64_C(0x6e789e6aa1b965f4));
}

static void test_rng_shapes(void **state)
{
    (void)state;
    struct gy_rng r;
    struct gy_rng s;
    gy_rng_init(&r, 7);
    double sum = 0;
    double squares = 0;
    int counts[6] = {0};
    for (int i = 0; i < 100000; i++) {
        double u = gy_rng_f64(&r);
        assert_true(u >= 0 && u < 1);
        double z = gy_rng_normal(&r);
        sum += z;
        squares += z * z;
        uint64_t die = gy_rng_below(&r, 6);
        assert_true(die < 6);
        counts[die]++;
    }
    assert_true(fabs(sum / 100000) < 0.02);
    assert_true(fabs(squares / 100000 - 1) < 0.03);
    for (int i = 0; i < 6; i++) {
        assert_true(abs(counts[i] - 16667) < 600);
    }
    assert_true(gy_rng_below(&r, 1) == 0);
    gy_rng_init_stream(&r, 1, 2);
    gy_rng_init_stream(&s, 1, 2);
    assert_true(gy_rng_u64(&r) == gy_rng_u64(&s));
    gy_rng_init_stream(&s, 2, 1);
    assert_true(gy_rng_u64(&r) != gy_rng_u64(&s));
    gy_rng_init_stream(&r, 5, 5);
    gy_rng_init_stream(&s, 6, 6);
    assert_true(gy_rng_u64(&r) != gy_rng_u64(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uuid_is_version_7),  cmocka_unit_test(test_uuid_is_monotonic),
        cmocka_unit_test(test_uuid_parse_refuses), cmocka_unit_test(test_new_ids_differ),
        cmocka_unit_test(test_rng_golden),         cmocka_unit_test(test_rng_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
