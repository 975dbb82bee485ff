/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as plain JSON and as CSV, for models of numbers and of texts, times and categories; and the
 * protocols that are made of them, answered without a socket. */
#include "package.h"

#include <math.h>

#include "base/time.h"
#include "serve/csv_rows.h"
#include "serve/protocol.h"
#include "serve/serving.h"

#define S(text)                  \
    {                            \
        (text), sizeof(text) - 1 \
    }
static const struct gy_infer_field fields[] = {
    {S("HR"), S("HR"), true},
    {S("Resp"), S("Resp"), false},
    {S("Temp"), S("Temp"), false},
    {S("WBC"), S("WBC"), false},
};
static const struct gy_infer_shape numbers = {fields, 3, 4, NULL, 0, false, 0};

static const struct gy_str seasons[] = {S("summer"), S("winter")};
static const struct gy_str codes[] = {S("1"), S("2")};
static const struct gy_predictor_input described[] = {
    {.name = S("season"), .kind = GY_INPUT_TEXT, .values = seasons, .n_values = 2, .width = 1},
    {.name = S("code"),
     .kind = GY_INPUT_TEXT,
     .integer = true,
     .values = codes,
     .n_values = 2,
     .width = 1},
    {.name = S("when"), .kind = GY_INPUT_TIME, .width = 1},
};
static const struct gy_infer_field mixed_fields[] = {
    {S("season"), S("season"), true, &described[0], 0},
    {S("code"), S("code"), false, &described[1], 0},
    {S("when"), S("when"), false, &described[2], 0},
};
static const struct gy_infer_shape mixed = {mixed_fields, 3, 3, NULL, 0, true, 0};

enum form { LIST, COLUMNS, SPLIT, CSV };

static gy_status read_as(enum form form, const struct gy_infer_shape *shape, bool as_mlflow,
                         const char *body, struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_json_rows r = {
        .shape = shape, .q = q, .what = "rows", .body_bytes = strlen(body), .as_mlflow = as_mlflow};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (form == CSV) {
        gy_json_rows_reset(q);
        return gy_csv_rows(&r, gy_str_c(body), err);
    }
    GY_TRY(gy_json_rows_parse(q, gy_str_c(body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *v = gy_json_get(root, "v");
    return form == LIST      ? gy_json_rows_list(&r, v, err)
           : form == COLUMNS ? gy_json_rows_columns(&r, v, err)
                             : gy_json_rows_split(&r, gy_json_get(root, "names"), v, err);
}

static void test_numbers(void **state)
{
    static const struct {
        enum form form;
        const char *body;
        double want[8];
    } good[] = {
        {LIST, "{\"v\":[[1,2,3],[4,null,6]]}", {1, 2, 3, NAN, 4, NAN, 6, NAN}},
        {LIST, "{\"v\":[[true,[2],3],[4,NaN,-6e1]]}", {1, 2, 3, NAN, 4, NAN, -60, NAN}},
        {LIST,
         "{\"v\":[{\"HR\":1,\"Temp\":3,\"x\":{}},{\"Resp\":5,\"HR\":4,\"WBC\":7}]}",
         {1, NAN, 3, NAN, 4, 5, NAN, 7}},
        {COLUMNS,
         "{\"v\":{\"Temp\":[3,6],\"Resp\":[[2],[5]],\"HR\":[1,4],\"x\":[1]}}",
         {1, 2, 3, NAN, 4, 5, 6, NAN}},
        {SPLIT,
         "{\"names\":[\"Temp\",\"x\",\"HR\",\"Resp\"],\"v\":[[3,0,1,2],[6,{},4,5]]}",
         {1, 2, 3, NAN, 4, 5, 6, NAN}},
        {SPLIT, "{\"names\":null,\"v\":[[1,2,3],[4,5,6]]}", {1, 2, 3, NAN, 4, 5, 6, NAN}},
        {CSV, ",HR,Resp,Temp\n0,1,2,3\n1,4,5,6\n", {1, 2, 3, NAN, 4, 5, 6, NAN}},
        {CSV,
         "\xef\xbb\xbf\"HR\",Temp,\"a \"\"b\"\"\",Resp\r\n\r\n1,\"3\",\"x\n,\",2\r\n4,6,\"\"",
         {1, 2, 3, NAN, 4, NAN, 6, NAN}},
        {CSV, "HR,Temp,Resp\n1,NA,null\n4,nan", {1, NAN, NAN, NAN, 4, NAN, NAN, NAN}},
    };
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        if (read_as(good[i].form, &numbers, false, good[i].body, &q, &err) != GY_OK) {
            fail_msg("%s: %s", good[i].body, err.msg);
        }
        assert_int_equal(q.n_rows, 2);
        for (size_t k = 0; k < 8; k++) {
            if (isnan(good[i].want[k]) ? !isnan(q.values[k]) : q.values[k] != good[i].want[k]) {
                fail_msg("%s: value %zu is %g", good[i].body, k, q.values[k]);
            }
        }
    }
}

/* What is asked in each form is the same request. */
static void test_texts_times_and_categories(void **state)
{
    static const struct {
        enum form form;
        const char *body;
    } same[] = {
        {LIST, "{\"v\":[[\"winter\",2,\"2024-01-11T05:00:00Z\"],[\"monsoon\",null,null]]}"},
        {LIST, "{\"v\":[[\"winter\",\"2\",\"2024-01-11T05:00:00Z\"],[\"monsoon\",\"\",NaN]]}"},
        {LIST, "{\"v\":[[{\"b64\":\"d2ludGVy\"},2,\"2024-01-11T05:00:00Z\"],[[\"monsoon\"],[null],"
               "null]]}"},
        {LIST, "{\"v\":[{\"when\":\"2024-01-11T05:00:00Z\",\"season\":\"winter\",\"code\":2},"
               "{\"season\":\"monsoon\"}]}"},
        {COLUMNS, "{\"v\":{\"when\":[\"2024-01-11T05:00:00Z\",null],\"season\":[\"winter\","
                  "\"monsoon\"],\"code\":[2,null]}}"},
        {SPLIT, "{\"names\":[\"code\",\"season\",\"when\"],\"v\":[[2,\"winter\","
                "\"2024-01-11T05:00:00Z\"],[null,\"monsoon\",null]]}"},
        {CSV, "season,when,code\nwinter,2024-01-11T05:00:00Z,2\nmonsoon,,\n"},
    };
    double first[6];
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        if (read_as(same[i].form, &mixed, false, same[i].body, &q, &err) != GY_OK) {
            fail_msg("%s: %s", same[i].body, err.msg);
        }
        assert_int_equal(q.n_rows, 2);
        if (i == 0) {
            memcpy(first, q.values, sizeof first);
        }
        assert_memory_equal(first, q.values, sizeof first);
        assert_true(gy_str_eqc(gy_str_n(q.unseen, q.unseen_bytes), "monsoon"));
        assert_int_equal(q.unseen_row, 1);
    }
    assert_false(isnan(first[0]) || isnan(first[1]) || isnan(first[2]) || isnan(first[3]));
    assert_true(isnan(first[4]) && isnan(first[5]));
}

static void test_refused(void **state)
{
    static const struct {
        const struct gy_infer_shape *shape;
        enum form form;
        bool as_mlflow;
        const char *body, *says;
    } bad[] = {
        {&numbers, LIST, false, "{}", "Expected \"rows\" to be a list"},
        {&numbers, LIST, false, "{\"v\":[]}", "'rows' is empty"},
        {&numbers, LIST, false, "{\"v\":[{}]}", "missing 'HR', 'Resp', 'Temp'"},
        {&numbers, LIST, false, "{\"v\":[[1,2,3],[1,2,Infinity]]}",
         "row 1: field 'Temp' must be a finite number"},
        {&numbers, LIST, false, "{\"v\":[[1e999,2,3]]}", "finite"},
        {&numbers, LIST, false, "{\"v\":[[[1,2],2,3]]}", "must be a number, not a array"},
        {&numbers, LIST, false, "{\"v\":[[\"1\",2,3]]}", "must be a number, not a string"},
        {&numbers, LIST, true, "{\"v\":[[\"x\",2,3]]}", "field 'HR' must be a number, not 'x'"},
        {&numbers, LIST, true, "{\"v\":[[\"nan\",2,3]]}", "field 'HR' must not be null"},
        {&numbers, LIST, true, "{\"v\":[{\"HR\":1,\"a\":2}]}",
         "Model is missing inputs ['Resp', 'Temp']. Note that there were extra inputs: ['a']"},
        {&numbers, COLUMNS, false, "{\"v\":[1]}", "must be an object of columns"},
        {&numbers, COLUMNS, true, "{\"v\":{\"HR\":[1,2],\"Resp\":[1],\"Temp\":[1]}}",
         "not the same: 'Resp' has 1, another 2"},
        {&numbers, COLUMNS, false, "{\"v\":{\"HR\":[],\"Resp\":[],\"Temp\":[]}}", "is empty"},
        {&numbers, SPLIT, false, "{\"names\":{},\"v\":[[1]]}", "names of columns must be a list"},
        {&numbers, SPLIT, false, "{\"names\":[\"HR\",\"HR\"],\"v\":[[1,2]]}",
         "column 'HR' is there twice"},
        {&numbers, SPLIT, false, "{\"names\":[1,2,3],\"v\":[[1,2,3]]}", "missing 'HR'"},
        {&numbers, CSV, false, "HR,Resp,Temp\n1,2,3,4\n", "line 2 has more fields than the header"},
        {&numbers, CSV, false, "HR,Resp,Temp\n1,\"2,3\n", "opened in line 2 is never closed"},
        {&numbers, CSV, false, "HR,Resp,Temp\n1,2,abc\n", "must be a number, not 'abc'"},
        {&numbers, CSV, false, "HR,Resp,Temp\n1,2,inf\n", "must be a number, not 'inf'"},
        {&numbers, CSV, false, "HR,Resp,Temp\n", "is empty"},
        {&numbers, CSV, false, " \n\n", "No columns to parse"},
        {&numbers, CSV, false, "HR,Resp\n1,2\n", "missing 'Temp'"},
        {&numbers, CSV, false, "HR,Resp,\xff\n1,2\n", "not UTF-8"},
        {&mixed, LIST, false, "{\"v\":[[\"winter\",\"two\",null]]}", "field 'code' must be"},
        {&mixed, LIST, false, "{\"v\":[[\"winter\",2,\"yesterday\"]]}", "'yesterday'"},
        {&mixed, LIST, false, "{\"v\":[[null,2,null]]}", "field 'season' must not be null"},
        {&mixed, LIST, false, "{\"v\":[[NaN,2,null]]}", "field 'season' must not be null"},
        {&mixed, LIST, false, "{\"v\":[[{\"b64\":\"/w==\"},2,null]]}", "no UTF-8 text in base64"},
        {&mixed, LIST, false, "{\"v\":[[{\"b64\":1},2,null]]}", "a text or {\"b64\": \"...\"}"},
        {&mixed, LIST, false, "{\"v\":[[[\"a\",\"b\"],2,null]]}", "field 'season' must be a text"},
        {&mixed, CSV, false, "season,code,when\n,1,\n", "field 'season' must not be empty"},
    };
    (void)state;
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        if (read_as(bad[i].form, bad[i].shape, bad[i].as_mlflow, bad[i].body, &q, &err) == GY_OK) {
            fail_msg("accepted: %s", bad[i].body);
        }
        if (!strstr(err.msg, bad[i].says)) {
            fail_msg("%s: %s", bad[i].body, err.msg);
        }
    }
}

/* A small body can not ask for much memory: many rows that name one input of a wide model. */
static void test_sparse_rows_are_bounded(void **state)
{
    enum { WIDE = 4000, ROWS = 50000 };
    (void)state;
    struct gy_infer_field *wide = gy_calloc(WIDE, sizeof *wide);
    char(*names)[8] = gy_calloc(WIDE, sizeof *names);
    assert_true(wide && names);
    for (size_t i = 0; i < WIDE; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%zu", i);
        wide[i].name = wide[i].key = gy_str_c(names[i]);
    }
    const struct gy_infer_shape shape = {wide, WIDE, WIDE, NULL, 0, false, 0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, GY_MIB);
    gy_buf_addc(&body, "{\"v\":[{}");
    for (size_t i = 1; i < ROWS; i++) {
        gy_buf_addc(&body, ",{}");
    }
    gy_buf_addc(&body, "]}");
    GY_AUTO_DONE(gy_infer_request_done) struct gy_infer_request q = {0};
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(read_as(LIST, &shape, false, body.p, &q, &err), GY_E_TOOBIG);
    assert_null(q.values);

    /* names that are no input cost a walk over all that are: bounded, too */
    gy_buf_reset(&body);
    gy_buf_addc(&body, "{\"v\":[{\"f0\":1");
    for (size_t i = 0; i < 9000; i++) {
        gy_buf_addf(&body, ",\"x%zu\":1", i);
    }
    gy_buf_addc(&body, "}]}");
    assert_int_equal(read_as(LIST, &shape, false, body.p, &q, &err), GY_E_TOOBIG);
    assert_non_null(strstr(err.msg, "too many names that are no input"));
    gy_free(names);
    gy_free(wide);
}

static void test_paths(void **state)
{
    static const struct {
        const char *path, *protocol, *endpoint, *version, *label;
    } paths[] = {
        {"/v1/models/m:predict", "v1", "m", NULL, NULL},
        {"/v1/models/m/versions/3:predict", "v1", "m", "3", NULL},
        {"/v1/models/m/labels/canary:explain", "v1", "m", NULL, "canary"},
        {"/v1/models/m/labels/:predict", "v1", "m/labels/", NULL, NULL},
        {"/v1/models/:predict", NULL, NULL, NULL, NULL},
        {"/v1/models/m", NULL, NULL, NULL, NULL},
        {"/v1/models/m:dance", NULL, NULL, NULL, NULL},
        {"/v1/models/a:b/c", NULL, NULL, NULL, NULL},
        {"/api/v1.0/predictions", "seldon", NULL, NULL, NULL},
        {"/api/v0.1/predictions", "seldon", NULL, NULL, NULL},
        {"/api/v2.0/predictions", NULL, NULL, NULL, NULL},
        {"/seldon/ns/m/api/v1.0/predictions", "seldon", "m", NULL, NULL},
        {"/seldon//m/api/v1.0/predictions", NULL, NULL, NULL, NULL},
        {"/seldon/ns//api/v1.0/predictions", NULL, NULL, NULL, NULL},
        {"/seldon/ns", NULL, NULL, NULL, NULL},
        {"/invocations", "mlflow", NULL, NULL, NULL},
        {"/endpoints/m/invocations", "mlflow", "m", NULL, NULL},
        {"/endpoints/invocations", NULL, NULL, NULL, NULL},
        {"/endpoints/a/b/invocations", NULL, NULL, NULL, NULL},
        {"/serving-endpoints/m/invocations", "mlflow", "m", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct gy_ask ask;
        bool claimed = gy_protocols_claim(gy_str_c(paths[i].path), &ask);
        if (claimed != (paths[i].protocol != NULL)) {
            fail_msg("%s: %s", paths[i].path, claimed ? ask.protocol->name : "not claimed");
        }
        if (claimed) {
            assert_string_equal(ask.protocol->name, paths[i].protocol);
            assert_true(gy_str_eq(ask.endpoint, gy_str_c(paths[i].endpoint)));
            assert_true(gy_str_eq(ask.version, gy_str_c(paths[i].version)));
            assert_true(gy_str_eq(ask.label, gy_str_c(paths[i].label)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_texts_times_and_categories),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_sparse_rows_are_bounded),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
