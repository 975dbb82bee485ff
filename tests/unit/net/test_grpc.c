/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's conventions: prefixes, deadlines, statuses, packed messages. */
#include "../unit.h"

#include <zlib.h>

#include "net/grpc.h"

static void deadlines_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"250m", 250},   {"2S", 2000},       {"1M", 60000}, {"1H", 3600000},
                {"1500u", 2},    {"1n", 1},          {"0m", 0},     {"99999999S", 99999999000},
                {"1000000n", 1}, {"00000001S", 1000}};
    static const char *const bad[] = {"",     "S",          "5",   "5s", "-5S",
                                      "5.5S", "123456789S", " 5S", "5S "};
    uint64_t ms = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(gy_grpc_timeout(gy_str_c(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(gy_grpc_timeout(gy_str_c(bad[i]), &ms));
    }
}

static void a_message_text_is_encoded_and_cut(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char longer[3000];
    gy_buf_init(&out, 10000);
    gy_grpc_add_text(&out, GY_STR("50% of \"\xc3\xa4\"\r\n"));
    assert_string_equal(out.p, "50%25 of \"%C3%A4\"%0D%0A");
    memset(longer, 'x', sizeof longer);
    gy_buf_reset(&out);
    gy_grpc_add_text(&out, gy_str_n(longer, sizeof longer));
    assert_int_equal(out.n, GY_GRPC_MAX_TEXT);
}

static void a_prefix_says_packed_and_length(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    bool packed = true, bad = true;
    size_t n = 0;
    gy_buf_init(&out, 10000);
    gy_grpc_add_message(&out, GY_STR("hello"));
    assert_true(gy_grpc_prefix(gy_buf_str(&out), &packed, &n, &bad));
    assert_false(packed);
    assert_int_equal(n, 5);
    assert_false(gy_grpc_prefix(gy_str_n(out.p, 4), &packed, &n, &bad));
    assert_false(bad); /* only not here yet */
    assert_true(gy_grpc_prefix(gy_str_n("\1\xff\xff\xff\xff", 5), &packed, &n, &bad));
    assert_true(packed);
    assert_int_equal(n, 0xffffffff);
    assert_false(gy_grpc_prefix(GY_STR("G"), &packed, &n, &bad));
    assert_true(bad);
}

static void statuses_go_both_ways(void **state)
{
    (void)state;
    assert_int_equal(gy_grpc_code_of_http(200), GY_GRPC_OK);
    assert_int_equal(gy_grpc_code_of_http(400), GY_GRPC_INVALID_ARGUMENT);
    assert_int_equal(gy_grpc_code_of_http(401), GY_GRPC_UNAUTHENTICATED);
    assert_int_equal(gy_grpc_code_of_http(404), GY_GRPC_NOT_FOUND);
    assert_int_equal(gy_grpc_code_of_http(418), GY_GRPC_INVALID_ARGUMENT);
    assert_int_equal(gy_grpc_code_of_http(422), GY_GRPC_FAILED_PRECONDITION);
    assert_int_equal(gy_grpc_code_of_http(429), GY_GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(gy_grpc_code_of_http(503), GY_GRPC_UNAVAILABLE);
    assert_int_equal(gy_grpc_code_of_http(504), GY_GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(gy_grpc_code_of_http(599), GY_GRPC_INTERNAL);
    for (int http = 100; http < 600; http++) { /* and each code has a status that leads to it */
        enum gy_grpc_code code = gy_grpc_code_of_http(http);
        assert_int_equal(gy_grpc_code_of_http(gy_grpc_http_of_code(code)), code);
    }
}

/* `window`: zlib's, 16 more for gzip. */
static size_t pack(const char *text, size_t n, int window, unsigned char *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)n;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    (void)deflateEnd(&z);
    return room - z.avail_out;
}

static void packed_messages_are_unpacked_up_to_the_limit(void **state)
{
    (void)state;
    static char text[200000];
    static unsigned char packed[200000];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_err err = GY_ERR_INIT;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)(i * i % 251);
    }
    size_t n = pack(text, sizeof text, 15 + 16, packed, sizeof packed);
    struct gy_str gzip = gy_str_n((const char *)packed, n);
    gy_buf_init(&out, sizeof text);
    assert_int_equal(gy_grpc_unpack(GY_GRPC_GZIP, gzip, &out, &err), GY_OK);
    assert_int_equal(out.n, sizeof text);
    assert_memory_equal(out.p, text, sizeof text);
    gy_buf_done(&out);
    gy_buf_init(&out, sizeof text - 1);
    assert_int_equal(gy_grpc_unpack(GY_GRPC_GZIP, gzip, &out, &err), GY_E_TOOBIG);
    gy_buf_done(&out);
    gy_buf_init(&out, 2 * sizeof text);
    gzip.n--;
    assert_int_equal(gy_grpc_unpack(GY_GRPC_GZIP, gzip, &out, &err), GY_E_PARSE);
    gy_buf_reset(&out);
    assert_int_equal(gy_grpc_unpack(GY_GRPC_DEFLATE, gzip, &out, &err), GY_E_PARSE);
    n = pack("deflated", 8, 15, packed, sizeof packed);
    gy_buf_reset(&out);
    assert_int_equal(gy_grpc_unpack(GY_GRPC_DEFLATE, gy_str_n((const char *)packed, n), &out, &err),
                     GY_OK);
    assert_string_equal(out.p, "deflated");
    gy_buf_reset(&out);
    packed[n] = 'x'; /* something behind it */
    assert_int_equal(
        gy_grpc_unpack(GY_GRPC_DEFLATE, gy_str_n((const char *)packed, n + 1), &out, &err),
        GY_E_PARSE);
}

static void encodings_have_names(void **state)
{
    (void)state;
    enum gy_grpc_encoding e = GY_GRPC_GZIP;
    assert_true(gy_grpc_encoding(GY_STR_NULL, &e));
    assert_int_equal(e, GY_GRPC_IDENTITY);
    assert_true(gy_grpc_encoding(GY_STR("gzip"), &e));
    assert_int_equal(e, GY_GRPC_GZIP);
    assert_true(gy_grpc_encoding(GY_STR("deflate"), &e));
    assert_false(gy_grpc_encoding(GY_STR("snappy"), &e));
    assert_false(gy_grpc_encoding(GY_STR(""), &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_are_read),
        cmocka_unit_test(a_message_text_is_encoded_and_cut),
        cmocka_unit_test(a_prefix_says_packed_and_length),
        cmocka_unit_test(statuses_go_both_ways),
        cmocka_unit_test(packed_messages_are_unpacked_up_to_the_limit),
        cmocka_unit_test(encodings_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
