/* SPDX-License-Identifier: Apache-2.0 */
/* traceparent: what the standard's own examples say, and what is ignored. */
#include "unit.h"

#include "serve/trace_context.h"

#define GOOD "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static bool read_header(const char *value, unsigned char trace[16], unsigned char span[8])
{
    const struct gy_header header = {GY_STR("Traceparent"), gy_str_c(value)};
    const struct gy_request req = {.headers = &header, .n_headers = 1};
    return gy_trace_context(&req, trace, span);
}

static void test_good(void **state)
{
    (void)state;
    unsigned char trace[16], span[8];
    static const char *const good[] = {
        GOOD, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds"};
    static const unsigned char want[16] = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                                           0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};
    static const unsigned char want_span[8] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(read_header(good[i], trace, span));
        assert_memory_equal(trace, want, 16);
        assert_memory_equal(span, want_span, 8);
    }
}

static void test_ignored(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        GOOD "-",
        GOOD "-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-x1",
    };
    static const unsigned char none[16];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unsigned char trace[16] = {1}, span[8] = {1};
        assert_false(read_header(bad[i], trace, span));
        assert_memory_equal(trace, none, 16);
        assert_memory_equal(span, none, 8);
    }
    const struct gy_request req = {0};
    unsigned char trace[16], span[8];
    assert_false(gy_trace_context(&req, trace, span));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_ignored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
