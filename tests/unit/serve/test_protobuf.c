/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of protobuf as it is written and read piece by piece, also against
 * libprotobuf-c. */
#include "../unit.h"

#include "serve/proto/inference.pb-c.h"
#include "serve/protobuf.h"

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 127, 128, 300, 16384, UINT32_MAX, UINT64_MAX};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_pb_field f;
    bool bad = true;
    gy_buf_init(&out, 100000);
    for (unsigned i = 0; i < 8; i++) {
        gy_pb_uint(&out, i + 1, numbers[i]);
    }
    gy_pb_bytes(&out, 2000, GY_STR("text"));
    gy_pb_tag(&out, 3, GY_PB_FIXED32);
    gy_buf_add_bytes(&out, "\1\0\0\x80", 4);
    gy_pb_tag(&out, 4, GY_PB_FIXED64);
    gy_buf_add_bytes(&out, "\1\0\0\0\0\0\0\x80", 8);
    struct gy_str rest = gy_buf_str(&out);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(gy_pb_next(&rest, &f, &bad));
        assert_int_equal(f.field, i + 1);
        assert_true(f.wire == GY_PB_VARINT && f.value == numbers[i]);
    }
    assert_true(gy_pb_next(&rest, &f, &bad));
    assert_true(f.field == 2000 && gy_str_eqc(f.bytes, "text"));
    assert_true(gy_pb_next(&rest, &f, &bad));
    assert_true(f.value == 0x80000001);
    assert_true(gy_pb_next(&rest, &f, &bad));
    assert_true(f.value == 0x8000000000000001);
    assert_false(gy_pb_next(&rest, &f, &bad));
    assert_false(bad);
}

static void test_lengths_of_messages_are_filled_in(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 120, 127, 128, 200, 16000, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, 100000);
        gy_pb_uint(&out, 1, 7);
        size_t outer = gy_pb_begin(&out, 2);
        size_t inner = gy_pb_begin(&out, 3);
        for (size_t k = 0; k < sizes[i]; k++) {
            gy_buf_add_char(&out, (char)k);
        }
        gy_pb_end(&out, inner);
        gy_pb_uint(&out, 4, 9);
        gy_pb_end(&out, outer);
        struct gy_str rest = gy_buf_str(&out), in;
        struct gy_pb_field f;
        bool bad;
        assert_true(gy_pb_next(&rest, &f, &bad) && f.value == 7);
        assert_true(gy_pb_next(&rest, &f, &bad) && f.field == 2);
        assert_int_equal(rest.n, 0);
        in = f.bytes;
        assert_true(gy_pb_next(&in, &f, &bad) && f.field == 3);
        assert_int_equal(f.bytes.n, sizes[i]);
        assert_true(sizes[i] == 0 || f.bytes.p[sizes[i] - 1] == (char)(sizes[i] - 1));
        assert_true(gy_pb_next(&in, &f, &bad) && f.value == 9);
    }
}

static void test_bytes_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
    } broken[] = {
        {"\x08", 1},                                            /* a number that breaks off */
        {"\x0a\x05xx", 4},                                      /* a text that does */
        {"\x0d\0\0\0", 4},                                      /* four bytes that do */
        {"\x09\0\0\0\0\0\0\0", 8},                              /* eight */
        {"\0\0", 2},                                            /* field 0 */
        {"\x0b\x0c", 2},                                        /* a group */
        {"\x0f", 1},                                            /* no wire type */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12}, /* too long a number */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},       /* too long a text */
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct gy_str rest = gy_str_n(broken[i].p, broken[i].n);
        struct gy_pb_field f;
        bool bad = false;
        assert_false(gy_pb_next(&rest, &f, &bad));
        assert_true(bad);
    }
}

static void test_the_library_reads_the_same(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 100000);
    gy_pb_bytes(&out, 1, GY_STR("sepsis"));
    size_t entry = gy_pb_begin(&out, 4);
    gy_pb_bytes(&out, 1, GY_STR("revision"));
    size_t value = gy_pb_begin(&out, 2);
    gy_pb_uint(&out, 2, 300);
    gy_pb_end(&out, value);
    gy_pb_end(&out, entry);
    size_t output = gy_pb_begin(&out, 5);
    size_t shape = gy_pb_begin(&out, 3);
    gy_pb_varint(&out, 1000);
    gy_pb_varint(&out, (uint64_t)-1);
    gy_pb_end(&out, shape);
    gy_pb_end(&out, output);
    Inference__ModelInferResponse *r =
        inference__model_infer_response__unpack(NULL, out.n, (const uint8_t *)out.p);
    assert_non_null(r);
    assert_string_equal(r->model_name, "sepsis");
    assert_int_equal(r->n_parameters, 1);
    assert_string_equal(r->parameters[0]->key, "revision");
    assert_int_equal(r->parameters[0]->value->int64_param, 300);
    assert_int_equal(r->n_outputs, 1);
    assert_int_equal(r->outputs[0]->n_shape, 2);
    assert_int_equal(r->outputs[0]->shape[0], 1000);
    assert_int_equal(r->outputs[0]->shape[1], -1);
    inference__model_infer_response__free_unpacked(r, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_lengths_of_messages_are_filled_in),
        cmocka_unit_test(test_bytes_that_are_none),
        cmocka_unit_test(test_the_library_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
