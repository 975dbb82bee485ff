/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of an ONNX file before ONNX Runtime sees it, on files of our own writer and on
 * damaged ones. ONNX Runtime itself is not needed here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "learn/onnx_write.h"
#include "learn/runtime/onnx_scan.h"

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        fail_msg("%s", err->msg);
    }
}

/* One text and two numbers; a label and probabilities. */
static void make_model(struct gy_buf *out)
{
    static const struct gy_str wards[] = {{"west", 4}, {"east", 4}, {"west", 4}};
    static const struct gy_str labels[] = {{"no", 2}, {"yes", 3}};
    const float indices[] = {0, 1, 2};
    const double weights[] = {1, 2, 3};
    const int64_t dims[] = {3, 1};
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_onnx_write_done) struct gy_onnx_writer w;
    gy_onnx_write_init(&w);
    gy_onnx_add_input(&w, "ward", GY_ONNX_STRING, 1);
    gy_onnx_add_input(&w, "x", GY_ONNX_DOUBLE, 2);
    gy_onnx_begin(&w, "LabelEncoder", true);
    gy_onnx_in(&w, "ward");
    gy_onnx_attr_strings(&w, "keys_strings", wards, 3);
    gy_onnx_attr_f32s(&w, "values_floats", indices, 3);
    const char *ward = gy_onnx_cast(&w, gy_onnx_end(&w, NULL), GY_ONNX_DOUBLE);
    const char *all = gy_onnx_concat(&w, (const char *const[]){ward, "x"}, 2);
    const char *p = gy_onnx_op1(&w, "Sigmoid",
                                gy_onnx_op2(&w, "MatMul", all, gy_onnx_f64s(&w, weights, dims, 2)));
    gy_onnx_begin(&w, "Identity", false);
    gy_onnx_in(&w, p);
    (void)gy_onnx_end(&w, "probability");
    p = gy_onnx_cast(&w, p, GY_ONNX_INT64);
    gy_onnx_begin(&w, "Gather", false);
    gy_onnx_in(&w, gy_onnx_strings(&w, "classes", labels, 2));
    gy_onnx_in(&w, p);
    (void)gy_onnx_end(&w, "label");
    gy_onnx_add_output(&w, "label", GY_ONNX_STRING, -1);
    gy_onnx_add_output(&w, "probability", GY_ONNX_DOUBLE, 1);
    must(gy_onnx_write_end(&w, "m", "gyre test", "a test", out, &err), &err);
}

static void reads_what_the_writer_wrote(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    struct gy_onnx_graph g;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&file, GY_MIB);
    gy_arena_init(&arena, GY_MIB);
    make_model(&file);
    must(gy_onnx_scan(gy_buf_str(&file), &arena, &g, &err), &err);
    assert_true(gy_str_eqc(g.producer, "gyre test"));
    assert_int_equal(g.n_inputs, 2);
    assert_true(gy_str_eqc(g.inputs[0].name, "ward") && g.inputs[0].type == GY_ONNX_STRING);
    assert_int_equal(g.inputs[1].n_dims, 2);
    assert_int_equal(g.inputs[1].dims[0], -1);
    assert_int_equal(g.inputs[1].dims[1], 2);
    assert_int_equal(g.n_outputs, 2);
    assert_true(g.outputs[0].tensor && g.outputs[0].n_dims == 1);
    assert_int_equal(g.n_labels, 2);
    assert_true(gy_str_eqc(g.labels[1], "yes"));
    assert_int_equal(g.n_texts, 2); /* sorted, each once */
    assert_true(gy_str_eqc(g.texts[0], "east") && gy_str_eqc(g.texts[1], "west"));
    assert_true(gy_str_eqc(gy_onnx_made_by(&g, GY_STR("probability")), "Sigmoid"));
    assert_null(gy_onnx_made_by(&g, GY_STR("x")).p);
}

static gy_status scan(const char *bytes, size_t n, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    struct gy_onnx_graph g;
    gy_arena_init(&arena, GY_MIB);
    return gy_onnx_scan(gy_str_n(bytes, n), &arena, &g, err);
}

/* Files as bytes: ModelProto.graph = 7, GraphProto.initializer = 5, node = 1. */
static void refuses_what_must_not_come_from_a_stranger(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
        gy_status code;
    } cases[] = {
        {"", 0, "damaged", GY_E_CORRUPT},
        {"\x08\x08", 2, "damaged", GY_E_CORRUPT},     /* no graph */
        {"\x3a\x05\x0a", 3, "damaged", GY_E_CORRUPT}, /* longer than the file */
        {"\x3b", 1, "damaged", GY_E_CORRUPT},         /* a group */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "damaged", GY_E_CORRUPT},
        {"\x3a\x04\x2a\x02\x70\x01", 6, "external data", GY_E_NOTSERVABLE}, /* data_location */
        {"\x3a\x04\x2a\x02\x6a\x00", 6, "external data", GY_E_NOTSERVABLE}, /* external_data */
        {"\x3a\x08\x0a\x06\x22\x04Loop", 10, "Loop", GY_E_NOTSERVABLE},
        {"\x3a\x0a\x0a\x08\x2a\x06\x2a\x04\x6a\x02\x0a\x00", 12, "external data",
         GY_E_NOTSERVABLE}, /* in a node's attribute */
        {"\xa2\x01\x00", 3, "trained", GY_E_NOTSERVABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        gy_status status = scan(cases[i].bytes, cases[i].n, &err);
        if (status != cases[i].code || !strstr(err.msg, cases[i].says)) {
            fail_msg("case %zu: %s '%s'", i, gy_status_name(status), err.msg);
        }
    }
}

/* A graph in an attribute of a node of a graph, and so on. */
static void refuses_graphs_in_graphs_without_end(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf inner;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&inner, GY_MIB);
    gy_buf_add_bytes(&inner, "\x0a\x00", 2);
    for (int i = 0; i < 18; i++) {
        static const char fields[] = {0x32, 0x2a, 0x0a}; /* attribute.g, node.attribute, node */
        for (size_t k = 0; k < 3; k++) {
            GY_AUTO_DONE(gy_buf_done) struct gy_buf outer;
            gy_buf_init(&outer, GY_MIB);
            gy_buf_add_char(&outer, fields[k]);
            for (size_t n = inner.n; n >= 0x80; n >>= 7) {
                gy_buf_add_char(&outer, (char)(n | 0x80));
            }
            gy_buf_add_char(&outer, (char)(inner.n >= 0x4000 ? inner.n >> 14
                                           : inner.n >= 0x80 ? inner.n >> 7
                                                             : inner.n));
            gy_buf_add(&outer, gy_buf_str(&inner));
            gy_buf_reset(&inner);
            gy_buf_add(&inner, gy_buf_str(&outer));
        }
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf model;
    gy_buf_init(&model, GY_MIB);
    gy_buf_add_char(&model, 0x3a);
    gy_buf_add_char(&model, (char)(inner.n | 0x80));
    gy_buf_add_char(&model, (char)(inner.n >> 7));
    gy_buf_add(&model, gy_buf_str(&inner));
    assert_int_equal(scan(model.p, model.n, &err), GY_E_TOOBIG);
}

static void survives_truncation_and_every_flipped_byte(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    gy_buf_init(&file, GY_MIB);
    make_model(&file);
    for (size_t n = 0; n < file.n; n++) {
        (void)scan(file.p, n, NULL);
        for (int bit = 0; bit < 8; bit++) {
            file.p[n] = (char)(file.p[n] ^ (1 << bit));
            (void)scan(file.p, file.n, NULL);
            file.p[n] = (char)(file.p[n] ^ (1 << bit));
        }
    }
}

static void survives_failing_memory(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    gy_buf_init(&file, GY_MIB);
    make_model(&file);
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        gy_mem_fail_at(nth, 0);
        gy_status status = scan(file.p, file.n, NULL);
        gy_mem_fail_at(0, 0);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            break;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_writer_wrote),
        cmocka_unit_test(refuses_what_must_not_come_from_a_stranger),
        cmocka_unit_test(refuses_graphs_in_graphs_without_end),
        cmocka_unit_test(survives_truncation_and_every_flipped_byte),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
