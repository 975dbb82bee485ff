/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner and the general reader of prediction requests, alone and against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "base/id.h"
#include "base/mem.h"
#include "serve/parse.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }
static const struct gy_infer_field fields[] = {
    {S("HR"), S("hr"), true},
    {S("Resp"), S("resp"), false},
    {S("Temp"), S("temp"), false},
    {S("WBC"), S("wbc"), false},
};
static const struct gy_str outputs[] = {S("prediction"), S("probability")};
static const struct gy_infer_shape shape = {fields, 3, 4, outputs, 2, false, 0};

static void values_are(const struct gy_infer_request *q, size_t n_rows, const double *want)
{
    assert_int_equal(q->n_rows, n_rows);
    for (size_t i = 0; i < n_rows * 4; i++) {
        if (isnan(want[i]) ? !isnan(q->values[i]) : q->values[i] != want[i]) {
            fail_msg("value %zu is %g, not %g", i, q->values[i], want[i]);
        }
    }
}

#define MATRIX(shape, data) \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":" shape ",\"datatype\":\"FP64\",\"data\":" data "}]}"
#define COLUMN(name, shape, type, data) \
    "{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"" type "\",\"data\":" data "}"
#define THREE COLUMN("HR", "[1]", "INT32", "[104]") "," COLUMN("Resp", "[1]", "FP32", "[22]")

struct good {
    enum gy_infer_form form;
    bool scanned; /* by the fast path */
    const char *body;
    size_t n_rows;
    double want[8];
};
static const struct good good[] = {
    {GY_INFER_FLAT, true, "{\"hr\":104,\"resp\":22,\"temp\":38.9}", 1, {104, 22, 38.9, NAN}},
    {GY_INFER_FLAT,
     true,
     " { \"temp\" : 38.9e0 , \"hr\": 1.04E2,\n\"resp\":22 } ",
     1,
     {104, 22, 38.9, NAN}},
    {GY_INFER_FLAT, true, "{\"hr\":1,\"resp\":null,\"temp\":-0,\"wbc\":13}", 1, {1, NAN, 0, 13}},
    {GY_INFER_FLAT, false, "{\"id\":\"p1\",\"hr\":1,\"resp\":2,\"temp\":3}", 1, {1, 2, 3, NAN}},
    {GY_INFER_FLAT, false, "{\"h\\u0072\":1,\"resp\":2,\"temp\":3}", 1, {1, 2, 3, NAN}},
    {GY_INFER_V2, true, MATRIX("[1,3]", "[104,22,38.9]"), 1, {104, 22, 38.9, NAN}},
    {GY_INFER_V2,
     false,
     MATRIX("[2, 3]", "[[1,2,3],[4,null,6]]"),
     2,
     {1, 2, 3, NAN, 4, NAN, 6, NAN}},
    {GY_INFER_V2, true, MATRIX("[2,3]", "[1,2,3,4,5,6]"), 2, {1, 2, 3, NAN, 4, 5, 6, NAN}},
    {GY_INFER_V2,
     true,
     "{\"id\":\"a-1\",\"outputs\":[{\"name\":\"probability\"}],\"inputs\":[" THREE
     "," COLUMN("Temp", "[1,1]", "FP64", "[[38.9]]") "]}",
     1,
     {104, 22, 38.9, NAN}},
    {GY_INFER_V2,
     true,
     "{\"inputs\":[" COLUMN("WBC", "[1]", "FP64", "[13]") "," COLUMN("x", "[1,3]", "FP64",
                                                                     "[1,2,3]") "]}",
     1,
     {1, 2, 3, 13}},
    {GY_INFER_V2,
     true,
     "{\"inputs\":[" COLUMN("x", "[1,3]", "FP64", "[1,2,3]") "," COLUMN("WBC", "[1]", "FP64",
                                                                        "[13]") "]}",
     1,
     {1, 2, 3, 13}},
    {GY_INFER_V2,
     true,
     "{\"inputs\":[" COLUMN("Temp", "[2]", "FP64", "[3,6]") "," COLUMN(
         "HR", "[2,1]", "UINT8", "[1,4]") "," COLUMN("Resp", "[2,1]", "INT64", "[[2],[5]]") "]}",
     2,
     {1, 2, 3, NAN, 4, 5, 6, NAN}},
    {GY_INFER_V2,
     false,
     "{\"inputs\":[" THREE "," COLUMN("Temp", "[1]", "BOOL", "[true]") "]}",
     1,
     {104, 22, 1, NAN}},
    {GY_INFER_V2,
     false,
     "{\"parameters\":{\"a\":1},\"id\":null,\"outputs\":[],\"inputs\":[{\"data\":"
     "[1,2,3],\"datatype\":\"FP32\",\"name\":\"x\",\"shape\":[1,3],\"parameters\":{}}]}",
     1,
     {1, 2, 3, NAN}},
    {GY_INFER_V2,
     true,
     "{\"inputs\":[" THREE
     "," COLUMN("Temp", "[1]", "FP64", "[3]") "," COLUMN("WBC", "[1]", "FP64", "[NaN]") "]}",
     1,
     {104, 22, 3, NAN}},
    {GY_INFER_FLAT, true, "{\"hr\":1,\"resp\":NaN,\"temp\":3}", 1, {1, NAN, 3, NAN}},
    {GY_INFER_FLAT, false, "[{\"hr\":1,\"resp\":NaN,\"temp\":3}]", 1, {1, NAN, 3, NAN}},
};

static void test_good(void **state)
{
    (void)state;
    struct gy_infer_request q = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct gy_str body = gy_str_c(good[i].body);
        struct gy_err err = GY_ERR_INIT;
        if (gy_infer_scan(good[i].form, &shape, body, &q) != good[i].scanned) {
            fail_msg("%s: scanned differently", good[i].body);
        }
        if (good[i].scanned) {
            values_are(&q, good[i].n_rows, good[i].want);
        }
        if (gy_infer_read(good[i].form, &shape, body, &q, &err) != GY_OK) {
            fail_msg("%s: %s", good[i].body, err.msg);
        }
        values_are(&q, good[i].n_rows, good[i].want);
        assert_int_equal(gy_infer_parse(good[i].form, &shape, body, &q, &err), GY_OK);
        values_are(&q, good[i].n_rows, good[i].want);
    }
    gy_infer_request_done(&q);
}

static void test_id_and_outputs(void **state)
{
    (void)state;
    struct gy_infer_request q = {0};
    struct gy_str body = gy_str_c(good[8].body);
    for (int general = 0; general < 2; general++) {
        if (general) {
            assert_int_equal(gy_infer_read(GY_INFER_V2, &shape, body, &q, NULL), GY_OK);
        } else {
            assert_true(gy_infer_scan(GY_INFER_V2, &shape, body, &q));
        }
        assert_string_equal(q.id, "a-1");
        assert_int_equal(q.outputs, 2);
    }
    body = gy_str_c("{\"id\":\"\\u00e4\\n\",\"inputs\":[" THREE
                    "," COLUMN("Temp", "[1]", "FP64", "[1]") "]}");
    assert_int_equal(gy_infer_parse(GY_INFER_V2, &shape, body, &q, NULL), GY_OK);
    assert_string_equal(q.id, "\xc3\xa4\n");
    assert_int_equal(q.id_bytes, 3);
    assert_int_equal(q.outputs, UINT32_MAX);
    gy_infer_request_done(&q);
}

struct bad {
    enum gy_infer_form form;
    const char *body;
    gy_status status;
    const char *says;
};
static const struct bad bad[] = {
    {GY_INFER_FLAT, "", GY_E_PARSE, "empty"},
    {GY_INFER_FLAT, "{", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "[]", GY_E_INVALID, "the list is empty"},
    {GY_INFER_FLAT, "7", GY_E_INVALID, "JSON object"},
    {GY_INFER_FLAT, "[{\"hr\":1}]", GY_E_INVALID, "row 0"},
    {GY_INFER_V2, "[]", GY_E_INVALID, "JSON object"},
    {GY_INFER_FLAT, "7", GY_E_INVALID, "JSON object"},
    {GY_INFER_FLAT, "{}", GY_E_INVALID, "field 'hr' is missing"},
    {GY_INFER_FLAT, "{\"hr\":104,\"resp\":22}", GY_E_INVALID, "field 'temp' is missing"},
    {GY_INFER_FLAT, "{\"hr\":\"104\",\"resp\":22,\"temp\":38.9}", GY_E_INVALID,
     "field 'hr' must be a number, not a string"},
    {GY_INFER_FLAT, "{\"hr\":true,\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "not a true"},
    {GY_INFER_FLAT, "{\"hr\":[104],\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "not a array"},
    {GY_INFER_FLAT, "{\"hr\":null,\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "must not be null"},
    {GY_INFER_FLAT, "{\"hr\":1,\"hr\":2,\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "twice"},
    {GY_INFER_FLAT, "{\"hr\":NaN,\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "must not be null"},
    {GY_INFER_FLAT, "{\"hr\":-Infinity,\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "finite"},
    {GY_INFER_FLAT, "{\"hr\":1e999,\"resp\":22,\"temp\":38.9}", GY_E_INVALID, "finite"},
    {GY_INFER_FLAT, "{\"hr\":1,\"resp\":Nan0,\"temp\":38.9}", GY_E_PARSE, ""},
    {GY_INFER_V2, MATRIX("[2,3]", "[1,2,3,NaN,5,6]"), GY_E_INVALID, "required, not NaN"},
    {GY_INFER_V2, MATRIX("[2,3]", "[1,2,3,4,Infinity,6]"), GY_E_INVALID, "row 1 is infinite"},
    {GY_INFER_V2, MATRIX("[1,3]", "[1,2,-1e400]"), GY_E_INVALID, "row 0 is infinite"},
    {GY_INFER_FLAT, "{\"hr\":01,\"resp\":22,\"temp\":38.9}", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "{\"hr\":1.,\"resp\":22,\"temp\":38.9}", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "{\"hr\":+1,\"resp\":22,\"temp\":38.9}", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "{\"hr\":1,\"resp\":22,\"temp\":38.9} x", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "{\"hr\":1,\"resp\":22,\"temp\":38.9,}", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "{\"\xff\":1,\"hr\":1,\"resp\":22,\"temp\":38.9}", GY_E_PARSE, ""},
    {GY_INFER_FLAT, "{\"hr\":1,\"resp\":22,\"temp\":38.9,\"x\":\"open", GY_E_PARSE, ""},
    {GY_INFER_V2, "{}", GY_E_INVALID, "missing 'inputs'"},
    {GY_INFER_V2, "{\"inputs\":{}}", GY_E_INVALID, "'inputs' must be an array"},
    {GY_INFER_V2, "{\"inputs\":[]}", GY_E_INVALID, "'inputs' is empty"},
    {GY_INFER_V2, "{\"inputs\":[7]}", GY_E_INVALID, "must be an object"},
    {GY_INFER_V2, "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"data\":[1,2,3]}]}", GY_E_INVALID,
     "no 'datatype'"},
    {GY_INFER_V2, "{\"inputs\":[{\"name\":7,\"shape\":[1,3],\"datatype\":\"FP64\",\"data\":[]}]}",
     GY_E_INVALID, "'name'"},
    {GY_INFER_V2, MATRIX("[1,2]", "[1,2]"), GY_E_INVALID, "takes 3 columns"},
    {GY_INFER_V2, MATRIX("[3]", "[1,2,3]"), GY_E_INVALID, "not an input of this model"},
    {GY_INFER_V2, MATRIX("[1,3,1]", "[1,2,3]"), GY_E_INVALID, "not an input of this model"},
    {GY_INFER_V2, MATRIX("[]", "[1,2,3]"), GY_E_INVALID, "'shape' must be"},
    {GY_INFER_V2, MATRIX("[1,1,1,1,1,1,1,1,3]", "[1,2,3]"), GY_E_INVALID, "'shape' must be"},
    {GY_INFER_V2, MATRIX("[0,3]", "[]"), GY_E_INVALID, "over 0"},
    {GY_INFER_V2, MATRIX("[-1,3]", "[1,2,3]"), GY_E_INVALID, "over 0"},
    {GY_INFER_V2, MATRIX("[1.5,3]", "[1,2,3]"), GY_E_INVALID, "over 0"},
    {GY_INFER_V2, MATRIX("[1,3]", "[1,2]"), GY_E_INVALID, "does not have 1 x 3 values"},
    {GY_INFER_V2, MATRIX("[1,3]", "[1,2,3,4]"), GY_E_INVALID, "does not have 1 x 3 values"},
    {GY_INFER_V2, MATRIX("[2,3]", "[[1,2,3],[4,5]]"), GY_E_INVALID, "does not have 2 x 3 values"},
    {GY_INFER_V2, MATRIX("[2,3]", "[[1,2,3],4]"), GY_E_INVALID, "does not have 2 x 3 values"},
    {GY_INFER_V2, MATRIX("[1,3]", "[[1,2,[3]]]"), GY_E_INVALID, "must be numbers"},
    {GY_INFER_V2, MATRIX("[1,3]", "{}"), GY_E_INVALID, "must be an array"},
    {GY_INFER_V2, MATRIX("[1,3]", "[1,\"2\",3]"), GY_E_INVALID, "must be numbers, not a string"},
    {GY_INFER_V2, MATRIX("[1,3]", "[null,2,3]"), GY_E_INVALID, "required, not null"},
    {GY_INFER_V2, MATRIX("[99999,3]", "[1,2,3]"), GY_E_INVALID, "does not have"},
    {GY_INFER_V2, MATRIX("[99999999999,3]", "[1,2,3]"), GY_E_TOOBIG, "rows"},
    {GY_INFER_V2, "{\"inputs\":[" THREE "]}", GY_E_INVALID, "input 'Temp' is missing"},
    {GY_INFER_V2, "{\"inputs\":[" THREE "," COLUMN("Temp", "[2]", "FP64", "[1,2]") "]}",
     GY_E_INVALID, "has 2 rows"},
    {GY_INFER_V2, "{\"inputs\":[" THREE "," COLUMN("HR", "[1]", "FP64", "[1]") "]}", GY_E_INVALID,
     "twice"},
    {GY_INFER_V2, "{\"inputs\":[" THREE "," COLUMN("x", "[1,3]", "FP64", "[1,2,3]") "]}",
     GY_E_INVALID, "given already"},
    {GY_INFER_V2, "{\"inputs\":[" COLUMN("HR", "[1]", "INT8", "[300]") "]}", GY_E_INVALID,
     "300 is not a value of INT8"},
    {GY_INFER_V2, "{\"inputs\":[" COLUMN("HR", "[1]", "INT64", "[1.5]") "]}", GY_E_INVALID,
     "1.5 is not a value of INT64"},
    {GY_INFER_V2, "{\"inputs\":[" COLUMN("HR", "[1]", "BOOL", "[1]") "]}", GY_E_INVALID,
     "must be true or false"},
    {GY_INFER_V2, "{\"inputs\":[" COLUMN("HR", "[1]", "BYTES", "[\"1\"]") "]}", GY_E_INVALID,
     "datatype 'BYTES' is not accepted"},
    {GY_INFER_V2, "{\"inputs\":[" COLUMN("HR", "[1]", "FP16", "[1]") "]}", GY_E_INVALID, "'FP16'"},
    {GY_INFER_V2, "{\"id\":7,\"inputs\":[]}", GY_E_INVALID, "'id' must be a string"},
    {GY_INFER_V2, "{\"outputs\":[{\"name\":\"x\"}],\"inputs\":[]}", GY_E_INVALID, "no output 'x'"},
    {GY_INFER_V2, "{\"inputs\":[],\"inputs\":[]}", GY_E_INVALID, "twice"},
};

static void test_bad(void **state)
{
    (void)state;
    struct gy_infer_request q = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_str body = gy_str_c(bad[i].body);
        struct gy_err err = GY_ERR_INIT;
        assert_false(gy_infer_scan(bad[i].form, &shape, body, &q));
        gy_status st = gy_infer_parse(bad[i].form, &shape, body, &q, &err);
        if (st != bad[i].status || !strstr(err.msg, bad[i].says)) {
            fail_msg("%s: %s \"%s\"", bad[i].body, gy_status_name(st), err.msg);
        }
    }
    gy_infer_request_done(&q);
}

static void test_deep_nesting(void **state)
{
    (void)state;
    struct gy_infer_request q = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 2 * GY_MIB);
    for (size_t i = 0; i < GY_MIB; i++) {
        gy_buf_add_char(&b, '[');
    }
    struct gy_err err = GY_ERR_INIT;
    int64_t live = gy_mem_live();
    assert_int_not_equal(gy_infer_parse(GY_INFER_V2, &shape, gy_buf_str(&b), &q, &err), GY_OK);
    assert_int_equal(gy_mem_live(), live);
    gy_infer_request_done(&q);
}

/* Numbers of every kind: the two readers agree to the bit. */
static void test_numbers_agree(void **state)
{
    (void)state;
    struct gy_rng rng;
    gy_rng_init(&rng, 7);
    struct gy_infer_request a = {0};
    struct gy_infer_request b = {0};
    size_t scanned = 0;
    for (int i = 0; i < 200000; i++) {
        char number[64];
        char body[160];
        uint64_t bits = gy_rng_u64(&rng);
        switch (i % 5) {
        case 0: { /* any double there is, shortest text */
            double v;
            memcpy(&v, &bits, sizeof v);
            (void)snprintf(number, sizeof number, "%.17g", isfinite(v) ? v : 0.5);
            break;
        }
        case 1:
            (void)snprintf(number, sizeof number, "%llu.%llue%d", (unsigned long long)(bits >> 44),
                           (unsigned long long)(bits & 0xffffff), (int)(bits >> 24 & 63) - 32);
            break;
        case 2: /* as vital signs are sent */
            (void)snprintf(number, sizeof number, "%.*f", (int)(bits & 3),
                           (double)(bits >> 48) / 100);
            break;
        case 3: /* around what fits 53 and 64 bits */
            (void)snprintf(number, sizeof number, "%s%llu", i & 8 ? "-" : "",
                           (unsigned long long)(bits >> (i % 13)));
            break;
        default:
            (void)snprintf(number, sizeof number, "%sE-%d",
                           i & 16 ? "-0.00" : "1234567890123456789012", (int)(bits % 340));
            break;
        }
        (void)snprintf(body, sizeof body, "{\"hr\":1,\"resp\":2,\"temp\":%s}", number);
        struct gy_str s = gy_str_c(body);
        bool fast = gy_infer_scan(GY_INFER_FLAT, &shape, s, &a);
        gy_status st = gy_infer_read(GY_INFER_FLAT, &shape, s, &b, NULL);
        if (fast && (st != GY_OK || memcmp(&a.values[2], &b.values[2], sizeof(double)) != 0)) {
            fail_msg("%s: %.17g and %.17g", number, a.values[2], b.values[2]);
        }
        scanned += fast;
    }
    assert_true(scanned > 150000);
    gy_infer_request_done(&a);
    gy_infer_request_done(&b);
}

/* Every truncation and every one-byte change of a good request: the scanner accepts nothing that
 * the general reader does not. */
static void test_changes_agree(void **state)
{
    (void)state;
    struct gy_infer_request a = {0};
    struct gy_infer_request b = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[512];
        size_t n = strlen(good[i].body);
        for (size_t at = 0; at <= n; at++) {
            for (int c = 0; c < 256; c++) {
                memcpy(text, good[i].body, n + 1);
                size_t length = c == 0 ? at : n;
                text[at] = (char)c;
                struct gy_str s = gy_str_n(text, length);
                if (!gy_infer_scan(good[i].form, &shape, s, &a)) {
                    continue;
                }
                struct gy_err err = GY_ERR_INIT;
                if (gy_infer_read(good[i].form, &shape, s, &b, &err) != GY_OK) {
                    fail_msg("%.*s: only the scanner takes it: %s", (int)length, text, err.msg);
                }
                assert_int_equal(a.n_rows, b.n_rows);
                assert_memory_equal(a.values, b.values, a.n_rows * 4 * sizeof(double));
                assert_string_equal(a.id, b.id);
                assert_int_equal(a.outputs, b.outputs);
            }
        }
    }
    gy_infer_request_done(&a);
    gy_infer_request_done(&b);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bool done = false;
        for (uint64_t nth = 1; !done; nth++) {
            struct gy_infer_request q = {0};
            gy_mem_fail_at(nth, 0);
            gy_status st = gy_infer_parse(good[i].form, &shape, gy_str_c(good[i].body), &q, NULL);
            gy_mem_fail_at(0, 0);
            done = st == GY_OK;
            assert_true(done || st == GY_E_NOMEM);
            gy_infer_request_done(&q);
            assert_int_equal(gy_mem_live(), live);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_id_and_outputs),
        cmocka_unit_test(test_bad),           cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_numbers_agree), cmocka_unit_test(test_changes_agree),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
