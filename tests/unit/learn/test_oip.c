/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of the Open Inference Protocol: what is asked, and answers that are not what
 * was asked for. */
#include "unit.h"

#include <math.h>

#include "learn/runtime/oip.h"
#include "learn/runtime/remote.h"

static const struct gy_str g_texts[] = {{"blue", 4}, {"red", 3}};
static const struct gy_predictor_input g_inputs[] = {
    {.name = {"a", 1}, .kind = GY_INPUT_NUMBER, .width = 1},
    {.name = {"n", 1}, .kind = GY_INPUT_NUMBER, .integer = true, .width = 1},
    {.name = {"c", 1}, .kind = GY_INPUT_TEXT, .values = g_texts, .n_values = 2, .width = 1},
};
static const struct gy_str g_types[] = {{"FP32", 4}, {"INT64", 5}, {"BYTES", 5}};
static const bool g_flat[] = {true, false, true};
static const struct gy_str g_classes[] = {{"no", 2}, {"yes", 3}, {"7", 1}};

static struct gy_oip_spec spec_of(enum gy_oip_output kind, size_t n_classes)
{
    return (struct gy_oip_spec){.model = GY_STR("m/1"),
                                .datatypes = g_types,
                                .flat = g_flat,
                                .inputs = g_inputs,
                                .n_inputs = 3,
                                .output = GY_STR("y"),
                                .kind = kind,
                                .classes = g_classes,
                                .n_classes = n_classes,
                                .n_outputs = n_classes > 2 ? n_classes : 1};
}

static void asked_as_the_upstream_takes_it(void **state)
{
    (void)state;
    struct gy_oip_spec s = spec_of(GY_OIP_VALUE, 0);
    const double x[] = {0.5, 3, 1, NAN, 4, -1};
    size_t json_bytes = 1;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    assert_int_equal(gy_oip_write(&s, x, 2, &out, &json_bytes, NULL), GY_OK);
    assert_int_equal(json_bytes, 0);
    assert_string_equal(
        out.p,
        "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":[0.5,null]},"
        "{\"name\":\"n\",\"datatype\":\"INT64\",\"shape\":[2,1],\"data\":[3,4]},"
        "{\"name\":\"c\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"red\",\"\"]}],"
        "\"outputs\":[{\"name\":\"y\"}]}");
    gy_buf_reset(&out);
    s.version = GY_STR("2");
    assert_int_equal(gy_oip_path(&s, "/infer", &out, NULL), GY_OK);
    assert_string_equal(out.p, "/v2/models/m%2F1/versions/2/infer");
}

static void floats_travel_as_bytes(void **state)
{
    (void)state;
    struct gy_oip_spec s = spec_of(GY_OIP_VALUE, 0);
    const double x[] = {0.5, -2, 1e300, NAN};
    size_t json_bytes = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    s.tensor = GY_STR("x");
    s.datatype = GY_STR("FP64");
    s.n_inputs = 2;
    s.binary = true;
    assert_int_equal(gy_oip_write(&s, x, 2, &out, &json_bytes, NULL), GY_OK);
    assert_int_equal(out.n, json_bytes + sizeof x);
    assert_memory_equal(out.p + json_bytes, x, sizeof x);
    assert_non_null(strstr(out.p, "\"binary_data_size\":32"));
    /* and back: an output with bytes before it */
    static const char head[] =
        "{\"outputs\":[{\"name\":\"z\",\"datatype\":\"INT8\",\"shape\":[2],\"parameters\":{"
        "\"binary_data_size\":2}},{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2,1],"
        "\"parameters\":{\"binary_data_size\":8}}]}";
    const float y[] = {1.5F, -3};
    double got[2];
    gy_buf_reset(&out);
    gy_buf_addc(&out, head);
    gy_buf_add_bytes(&out, "zz", 2);
    gy_buf_add_bytes(&out, (const char *)y, sizeof y);
    assert_int_equal(gy_oip_read(&s, gy_buf_str(&out), sizeof head - 1, 2, got, NULL), GY_OK);
    assert_true(got[0] == 1.5 && got[1] == -3);
    struct gy_str cut = gy_str_n(out.p, out.n - 1);
    assert_int_equal(gy_oip_read(&s, cut, sizeof head - 1, 2, got, NULL), GY_E_NETWORK);
    assert_int_equal(gy_oip_read(&s, cut, cut.n + 1, 2, got, NULL), GY_E_NETWORK);
}

static gy_status read_answer(const struct gy_oip_spec *s, const char *tensor, size_t n, double *out)
{
    char text[512];
    (void)snprintf(text, sizeof text, "{\"outputs\":[%s]}", tensor);
    return gy_oip_read(s, gy_str_c(text), 0, n, out, NULL);
}

static void answers_are_held_against_what_was_asked(void **state)
{
    (void)state;
    double out[6];
    struct gy_oip_spec s = spec_of(GY_OIP_VALUE, 0);
    assert_int_equal(
        read_answer(&s, "{\"name\":\"y\",\"shape\":[2,1],\"data\":[[1],[null]]}", 2, out), GY_OK);
    assert_true(out[0] == 1 && isnan(out[1]));
    static const char *const bad[] = {"{\"name\":\"z\",\"shape\":[2],\"data\":[1,2]}",
                                      "{\"name\":\"y\",\"shape\":[3],\"data\":[1,2,3]}",
                                      "{\"name\":\"y\",\"shape\":[2],\"data\":[1]}",
                                      "{\"name\":\"y\",\"shape\":[2],\"data\":[1,2,3]}",
                                      "{\"name\":\"y\",\"shape\":[2,2],\"data\":[1,2,3,4]}",
                                      "{\"name\":\"y\",\"shape\":[],\"data\":[]}",
                                      "{\"name\":\"y\",\"shape\":[2,-1],\"data\":[1,2]}",
                                      "{\"name\":\"y\",\"data\":[1,2]}",
                                      "{\"name\":\"y\",\"shape\":[2]}",
                                      ("{\"name\":\"y\",\"shape\":[2],\"datatype\":\"FP64\","
                                       "\"parameters\":{\"binary_data_size\":99}}")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_answer(&s, bad[i], 2, out), GY_E_NETWORK);
    }
    assert_int_equal(gy_oip_read(&s, GY_STR("[1"), 0, 1, out, NULL), GY_E_NETWORK);
    /* of two classes the second's, whether one or both are told */
    s = spec_of(GY_OIP_PROBABILITY, 2);
    assert_int_equal(
        read_answer(&s, "{\"name\":\"y\",\"shape\":[2,2],\"data\":[0.9,0.1,0.2,0.8]}", 2, out),
        GY_OK);
    assert_true(out[0] == 0.1 && out[1] == 0.8);
    assert_int_equal(read_answer(&s, "{\"name\":\"y\",\"shape\":[2],\"data\":[0.1,0.8]}", 2, out),
                     GY_OK);
    assert_true(out[0] == 0.1 && out[1] == 0.8);
    /* labels, by name or number */
    s = spec_of(GY_OIP_LABEL, 3);
    assert_int_equal(read_answer(&s, "{\"name\":\"y\",\"shape\":[2],\"data\":[\"yes\",7]}", 2, out),
                     GY_OK);
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == 0 && out[5] == 1);
    assert_int_equal(read_answer(&s, "{\"name\":\"y\",\"shape\":[1],\"data\":[\"maybe\"]}", 1, out),
                     GY_E_NETWORK);
}

static void a_spec_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct gy_oip_spec s = spec_of(GY_OIP_PROBABILITY, 3);
    struct gy_oip_spec back = s;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&text, GY_MIB);
    gy_arena_init(&a, GY_MIB);
    gy_jw_init(&w, &text);
    gy_jw_obj(&w);
    gy_oip_write_spec(&w, &s);
    gy_jw_obj_end(&w);
    assert_int_equal(gy_json_parse(gy_buf_str(&text), &doc, NULL), GY_OK);
    back.datatypes = NULL;
    back.flat = NULL;
    assert_int_equal(gy_oip_read_spec(yyjson_doc_get_root(doc), &a, &back, NULL), GY_OK);
    assert_true(gy_str_eq(back.model, s.model) && !back.version.p && back.kind == s.kind);
    assert_true(gy_str_eqc(back.datatypes[1], "INT64") && back.flat[0] && !back.flat[1]);
    /* a regression has no probabilities */
    back.n_classes = 0;
    assert_int_equal(gy_oip_read_spec(yyjson_doc_get_root(doc), &a, &back, NULL), GY_E_CORRUPT);
}

static void addresses_that_may_be_registered(void **state)
{
    (void)state;
    static const char *const good[] = {"http://a:1", "https://h.example/prefix/x",
                                       "http://[::1]:80"};
    static const char *const bad[] = {"",
                                      "a:1",
                                      "ftp://a",
                                      "http://",
                                      "http://u@h",
                                      "http://h/?q=",
                                      "http://h/#x",
                                      "http://h/ x",
                                      "unix:/tmp/s",
                                      "file:///etc",
                                      "http://h/\r\nX"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gy_remote_check_url(gy_str_c(good[i]), NULL), GY_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_remote_check_url(gy_str_c(bad[i]), NULL), GY_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_as_the_upstream_takes_it),
        cmocka_unit_test(floats_travel_as_bytes),
        cmocka_unit_test(answers_are_held_against_what_was_asked),
        cmocka_unit_test(a_spec_comes_back_as_it_was_written),
        cmocka_unit_test(addresses_that_may_be_registered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
