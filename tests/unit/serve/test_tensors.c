/* SPDX-License-Identifier: Apache-2.0 */
/* Binary tensors: datatypes, tensors behind a JSON header, groups of columns, a body without one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "learn/predictor.h"
#include "serve/coding.h"
#include "serve/tensors.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }
static const struct gy_str colours[] = {S("blue"), S("red")};
static const struct gy_predictor_input colour = {
    .name = S("colour"), .kind = GY_INPUT_TEXT, .values = colours, .n_values = 2, .width = 1};
static const struct gy_infer_field fields[] = {{S("HR"), S("hr"), true},
                                               {S("Resp"), S("resp"), false},
                                               {S("colour"), S("c"), false, &colour, 0}};
static const struct gy_str outputs[] = {S("prediction"), S("probability")};
static const struct gy_infer_shape mixed = {fields, 3, 3, outputs, 2, true, 0};
static const struct gy_infer_shape numbers = {fields, 2, 2, outputs, 2, false, 0};

static const struct gy_infer_field cells[] = {{S("A[0]"), S("A[0]"), true},
                                              {S("A[1]"), S("A[1]"), true},
                                              {S("B[0]"), S("B[0]"), false},
                                              {S("B[1]"), S("B[1]"), false}};
static const struct gy_tensor_group groups[] = {
    {.name = S("A"), .first = 0, .width = 2, .n_dims = 1, .dims = {2}, .type = GY_DATATYPE_INT32},
    {.name = S("B"),
     .first = 2,
     .width = 2,
     .n_dims = 2,
     .dims = {1, 2},
     .type = GY_DATATYPE_FP32}};
static const struct gy_infer_shape grouped = {cells, 4, 4, outputs, 2, false, 0, groups, 2};
static const struct gy_infer_shape one_group = {cells, 2, 2, outputs, 2, false, 0, groups, 1};

/* ---- datatypes ---- */

static void test_datatypes(void **state)
{
    (void)state;
    static const struct {
        enum gy_datatype type;
        double v, back;
    } cases[] = {
        {GY_DATATYPE_BOOL, 7, 1},
        {GY_DATATYPE_BOOL, 0, 0},
        {GY_DATATYPE_UINT8, 255, 255},
        {GY_DATATYPE_UINT8, 300, 255},
        {GY_DATATYPE_UINT8, -1, 0},
        {GY_DATATYPE_INT8, -128, -128},
        {GY_DATATYPE_INT16, -32768, -32768},
        {GY_DATATYPE_UINT16, 65535, 65535},
        {GY_DATATYPE_INT32, -7, -7},
        {GY_DATATYPE_UINT32, 4294967295.0, 4294967295.0},
        {GY_DATATYPE_INT64, -9007199254740992.0, -9007199254740992.0},
        {GY_DATATYPE_INT64, 1e300, 0x1p63},
        {GY_DATATYPE_UINT64, 1e300, 0x1p64},
        {GY_DATATYPE_FP16, 1.5, 1.5},
        {GY_DATATYPE_FP16, 65504, 65504},
        {GY_DATATYPE_FP16, 65519, 65504},
        {GY_DATATYPE_FP16, 65520, INFINITY},
        {GY_DATATYPE_FP16, 0x1p-24, 0x1p-24},
        {GY_DATATYPE_FP16, 0x1p-26, 0},
        {GY_DATATYPE_FP16, 2049, 2048}, /* ties to even */
        {GY_DATATYPE_FP16, 2051, 2052},
        {GY_DATATYPE_FP16, -0.1, -0.0999755859375},
        {GY_DATATYPE_BF16, 1.5, 1.5},
        {GY_DATATYPE_BF16, -3.140625, -3.140625},
        {GY_DATATYPE_BF16, 1.00390625, 1},
        {GY_DATATYPE_FP32, 0.1, (double)0.1F},
        {GY_DATATYPE_FP64, 0.1, 0.1},
    };
    char bytes[8];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gy_datatype_put(cases[i].type, cases[i].v, bytes);
        double back = gy_datatype_get(cases[i].type, bytes);
        if (back != cases[i].back) {
            fail_msg("%s of %g is %g", gy_datatype_name(cases[i].type), cases[i].v, back);
        }
    }
    /* Every half float survives the way out and back. */
    for (unsigned h = 0; h < 0x7c00; h++) {
        uint16_t bits = (uint16_t)h, again;
        gy_datatype_put(GY_DATATYPE_FP16, gy_datatype_get(GY_DATATYPE_FP16, &bits), &again);
        assert_int_equal(again, bits);
    }
    for (int t = 0; t < GY_DATATYPES; t++) {
        enum gy_datatype again;
        const char *name = gy_datatype_name((enum gy_datatype)t);
        assert_true(gy_datatype_parse(gy_str_c(name), &again) && again == (enum gy_datatype)t);
        if (t != GY_DATATYPE_BYTES) {
            gy_datatype_put((enum gy_datatype)t, NAN, bytes);
            double v = gy_datatype_get((enum gy_datatype)t, bytes);
            double min, max;
            bool whole = gy_datatype_range((enum gy_datatype)t, &min, &max);
            assert_true(whole || t == GY_DATATYPE_BOOL ? v == 0 : isnan(v));
        }
    }
}

/* ---- requests ---- */

#define TENSOR(name, shape, type, size)                                                     \
    "{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"" type "\",\"parameters\":{" \
    "\"binary_data_size\":" size "}}"
#define REQUEST(tensors) "{\"inputs\":[" tensors "]}"

static gy_status ask(const struct gy_infer_shape *shape, const char *json, const void *bytes,
                     size_t n, struct gy_infer_request *q, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, GY_MIB);
    gy_buf_addc(&body, json);
    gy_buf_add_bytes(&body, bytes, n);
    /* Memory of its exact size, so that a byte too many is seen. */
    char *exact = gy_malloc(body.n + 1);
    assert_non_null(exact);
    memcpy(exact, body.p, body.n);
    gy_status status = gy_infer_read_binary(shape, gy_str_n(exact, body.n), strlen(json), q, err);
    gy_free(exact);
    return status;
}

static void test_columns_and_matrix(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    struct gy_err err = GY_ERR_INIT;
    const double hr[] = {104, 90};
    const int16_t resp[] = {22, -1};
    char both[sizeof hr + sizeof resp];
    memcpy(both, hr, sizeof hr);
    memcpy(both + sizeof hr, resp, sizeof resp);
    assert_int_equal(
        ask(&numbers,
            REQUEST(TENSOR("HR", "[2]", "FP64", "16") "," TENSOR("Resp", "[2,1]", "INT16", "4")),
            both, sizeof both, &q, &err),
        GY_OK);
    const double want[] = {104, 22, 90, -1};
    assert_memory_equal(q.values, want, sizeof want);
    assert_int_equal(q.asked, 0);
    const float matrix[] = {1, NAN, 3, 4};
    assert_int_equal(
        ask(&numbers, REQUEST(TENSOR("x", "[2,2]", "FP32", "16")), matrix, sizeof matrix, &q, &err),
        GY_OK);
    assert_true(q.values[0] == 1 && isnan(q.values[1]) && q.values[3] == 4);
}

static void test_texts(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    struct gy_err err = GY_ERR_INIT;
    static const char bytes[] = "\3\0\0\0red\0\0\0\0\5\0\0\0green";
    const char *json =
        REQUEST("{\"name\":\"HR\",\"shape\":[3],\"datatype\":\"FP64\",\"data\":[1,2,3]},"
                "{\"name\":\"Resp\",\"shape\":[3],\"datatype\":\"FP64\",\"data\":[1,2,3]}," TENSOR(
                    "colour", "[3]", "BYTES", "20"));
    assert_int_equal(ask(&mixed, json, bytes, sizeof bytes - 1, &q, &err), GY_OK);
    assert_true(isnan(q.values[5]) && !isnan(q.values[2]));
    assert_int_equal(q.unseen_row, 2);
    assert_memory_equal(q.unseen, "green", 5);
    assert_int_equal(ask(&mixed, json, "\3\0\0\0\xff\xfe\xfd\0\0\0\0\5\0\0\0green", 20, &q, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "UTF-8"));
    assert_int_equal(ask(&mixed, json, "\3\0\0\0red\0\0\0\0\6\0\0\0green", 20, &q, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "element 2 of 3"));
    assert_int_equal(ask(&mixed, json, "\3\0\0\0red\0\0\0\0\4\0\0\0green", 20, &q, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "left behind"));
}

static void test_groups(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    struct gy_err err = GY_ERR_INIT;
    struct {
        int32_t a[2];
        float b[2];
    } bytes = {{-1, 7}, {0.5F, 2}};
    const double want[] = {-1, 7, 0.5, 2};
    assert_int_equal(
        ask(&grouped,
            REQUEST(TENSOR("A", "[1,2]", "INT32", "8") "," TENSOR("B", "[1,1,2]", "FP32", "8")),
            &bytes, sizeof bytes, &q, &err),
        GY_OK);
    assert_memory_equal(q.values, want, sizeof want);
    /* JSON: the scanner and the general reader agree. */
    struct gy_str json =
        GY_STR("{\"inputs\":[{\"name\":\"A\",\"shape\":[1,2],\"datatype\":\"INT32\","
               "\"data\":[-1,7]},{\"name\":\"B\",\"shape\":[1,2],\"datatype\":"
               "\"FP32\",\"data\":[[0.5,2]]}]}");
    assert_true(gy_infer_scan(GY_INFER_V2, &grouped, json, &q));
    assert_memory_equal(q.values, want, sizeof want);
    assert_int_equal(gy_infer_read(GY_INFER_V2, &grouped, json, &q, &err), GY_OK);
    assert_memory_equal(q.values, want, sizeof want);
    json = GY_STR(
        "{\"inputs\":[{\"name\":\"A\",\"shape\":[1,2],\"datatype\":\"INT32\",\"data\":[-1,7]},"
        "{\"name\":\"B\",\"shape\":[1,1,2],\"datatype\":\"FP32\",\"data\":[[[0.5,2]]]}]}");
    assert_int_equal(gy_infer_parse(GY_INFER_V2, &grouped, json, &q, &err), GY_OK);
    assert_memory_equal(q.values, want, sizeof want);
    /* Without a header: one input. */
    assert_int_equal(
        gy_infer_read_binary(&one_group, gy_str_n((const char *)bytes.a, 8), 0, &q, &err), GY_OK);
    assert_memory_equal(q.values, want, 2 * sizeof *want);
    assert_int_equal(q.asked, UINT32_MAX);
    assert_int_equal(
        gy_infer_read_binary(&grouped, gy_str_n((const char *)bytes.a, 8), 0, &q, &err),
        GY_E_INVALID);
    assert_int_equal(
        gy_infer_read_binary(&one_group, gy_str_n((const char *)bytes.a, 4), 0, &q, &err),
        GY_E_INVALID);
}

static void test_outputs(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    struct gy_err err = GY_ERR_INIT;
    const double row[] = {1, 2};
#define ONE TENSOR("x", "[1,2]", "FP64", "16")
    assert_int_equal(ask(&numbers,
                         "{\"parameters\":{\"binary_data_output\":true},\"inputs\":[" ONE "]}", row,
                         sizeof row, &q, &err),
                     GY_OK);
    assert_int_equal(q.asked, UINT32_MAX);
    assert_int_equal(q.outputs, UINT32_MAX);
    assert_int_equal(
        ask(&numbers,
            "{\"parameters\":{\"binary_data_output\":true},\"outputs\":[{\"name\":\"prediction\","
            "\"parameters\":{\"binary_data\":false}},{\"name\":\"probability\"}],\"inputs\":[" ONE
            "]}",
            row, sizeof row, &q, &err),
        GY_OK);
    assert_int_equal(q.outputs, 3);
    assert_int_equal(q.asked & 3, 2);
}

static void test_bad(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    static const struct {
        const char *json;
        size_t n;
        gy_status status;
        const char *says;
    } cases[] = {
        {REQUEST(TENSOR("x", "[1,2]", "FP64", "17")), 17, GY_E_INVALID, "values of FP64 are 16"},
        {REQUEST(TENSOR("x", "[1,2]", "FP64", "16")), 15, GY_E_INVALID, "15 bytes left"},
        {REQUEST(TENSOR("x", "[1,2]", "FP64", "16")), 17, GY_E_INVALID, "belong to no tensor"},
        {REQUEST(TENSOR("x", "[1,2]", "FP64", "-1")), 16, GY_E_INVALID, "number of bytes"},
        {REQUEST(TENSOR("x", "[1,2]", "FP64", "1.5")), 16, GY_E_INVALID, "number of bytes"},
        {REQUEST(TENSOR("x", "[1,2]", "FP64", "18446744073709551615")), 16, GY_E_INVALID,
         "bytes left"},
        {REQUEST(TENSOR("x", "[100000,2]", "FP64", "16")), 16, GY_E_INVALID, "does not have"},
        /* HR for 120 rows without Resp: 240 values can not be in the request */
        {REQUEST(TENSOR("HR", "[120]", "BOOL", "120")), 120, GY_E_INVALID, "do not fit in the"},
        {REQUEST(TENSOR("x", "[9999999,9999999]", "FP64", "16")), 16, GY_E_INVALID,
         "takes 2 columns"},
        {REQUEST(TENSOR("x", "[1,9999999,9999999,9999999]", "FP64", "16")), 16, GY_E_TOOBIG,
         "values a row"},
        {REQUEST(TENSOR("x", "[2,2]", "BYTES", "16")), 16, GY_E_INVALID, "'BYTES' is not accepted"},
        {REQUEST(TENSOR("x", "[1,2]", "FP65", "16")), 16, GY_E_INVALID, "datatype 'FP65'"},
        {"{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP64\",\"data\":[1,2],"
         "\"parameters\":{\"binary_data_size\":16}}]}",
         16, GY_E_INVALID, "has 'data' and"},
        {"{\"parameters\":{\"binary_data_output\":1},\"inputs\":[]}", 0, GY_E_INVALID,
         "true or false"},
        {"{\"parameters\":{\"a\":[1]},\"inputs\":[]}", 0, GY_E_INVALID, "a string, a number"},
        {"{\"parameters\":7,\"inputs\":[]}", 0, GY_E_INVALID, "must be an object"},
        {"[]", 0, GY_E_INVALID, "must be a JSON object"},
        {"{", 0, GY_E_PARSE, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        char zeros[128] = {0};
        gy_status status = ask(&numbers, cases[i].json, zeros, cases[i].n, &q, &err);
        if (status != cases[i].status || !strstr(err.msg, cases[i].says)) {
            fail_msg("%s: %s \"%s\"", cases[i].json, gy_status_name(status), err.msg);
        }
    }
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_infer_read_binary(&numbers, GY_STR("{}"), 3, &q, &err), GY_E_INVALID);
    const double inf[] = {INFINITY, 1}, none[] = {NAN, 1};
    assert_int_equal(ask(&numbers, REQUEST(TENSOR("x", "[1,2]", "FP64", "16")), inf, 16, &q, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "infinite"));
    assert_int_equal(ask(&numbers, REQUEST(TENSOR("x", "[1,2]", "FP64", "16")), none, 16, &q, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "required, not NaN"));
    /* The same without a part behind the JSON. */
    assert_int_equal(gy_infer_parse(GY_INFER_V2, &numbers,
                                    GY_STR(REQUEST(TENSOR("x", "[1,2]", "FP64", "16"))), &q, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "Inference-Header-Content-Length"));
}

/* ---- packed bodies ---- */

static void test_coding(void **state)
{
    (void)state;
    static char text[100000];
    memset(text, 'a', sizeof text);
    for (int c = GY_CODING_GZIP; c <= GY_CODING_DEFLATE; c++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf packed;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf plain;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf small;
        struct gy_err err = GY_ERR_INIT;
        gy_buf_init(&packed, GY_MIB);
        gy_buf_init(&plain, GY_MIB);
        gy_buf_init(&small, 50000);
        assert_int_equal(
            gy_coding_pack((enum gy_coding)c, gy_str_n(text, sizeof text), &packed, &err), GY_OK);
        assert_true(packed.n < 1000);
        assert_int_equal(gy_coding_unpack(gy_buf_str(&packed), &plain, &err), GY_OK);
        assert_int_equal(plain.n, sizeof text);
        assert_memory_equal(plain.p, text, sizeof text);
        assert_int_equal(gy_coding_unpack(gy_buf_str(&packed), &small, &err), GY_E_TOOBIG);
        for (size_t n = 0; n < packed.n; n++) { /* cut off anywhere */
            gy_buf_reset(&plain);
            assert_int_equal(gy_coding_unpack(gy_str_n(packed.p, n), &plain, &err), GY_E_PARSE);
        }
        gy_buf_add_char(&packed, 'x');
        gy_buf_reset(&plain);
        assert_int_equal(gy_coding_unpack(gy_buf_str(&packed), &plain, &err), GY_E_PARSE);
    }
    enum gy_coding coding;
    assert_int_equal(gy_coding_parse(GY_STR("br"), &coding, NULL), GY_E_MEDIATYPE);
    assert_int_equal(gy_coding_accepted(GY_STR("br, deflate")), GY_CODING_DEFLATE);
    assert_int_equal(gy_coding_accepted(GY_STR("deflate, gzip;q=0")), GY_CODING_DEFLATE);
    assert_int_equal(gy_coding_accepted(GY_STR("gzip, deflate")), GY_CODING_GZIP);
    assert_int_equal(gy_coding_accepted(GY_STR_NULL), GY_CODING_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datatypes), cmocka_unit_test(test_columns_and_matrix),
        cmocka_unit_test(test_texts),     cmocka_unit_test(test_groups),
        cmocka_unit_test(test_outputs),   cmocka_unit_test(test_bad),
        cmocka_unit_test(test_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
