/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint logs: the setting `log`, the draw of a sample, hashed and left-out columns. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "serve/endpoint.h"
#include "serve/infer.h"
#include "serve/logging.h"

static const struct gy_infer_field fields[] = {
    {.name = {"HR", 2}}, {.name = {"patient", 7}}, {.name = {"Temp", 4}}};
static const struct gy_infer_shape shape = {.fields = fields, .n_inputs = 3, .n_fields = 3};
static const unsigned char key[GY_LOGGING_KEY] = {1, 2, 3}, other_key[GY_LOGGING_KEY] = {4};

static gy_status read_setting(const char *text, struct gy_arena *a, struct gy_logging *ret,
                              struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_str_c(text), &doc, err));
    return gy_logging_read(yyjson_doc_get_root(doc), &shape, a, ret, err);
}

static void test_the_setting(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_logging l;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_logging_read(NULL, &shape, &a, &l, &err), err);
    assert_true(l.sample == 1 && !l.columns && !l.body);
    assert_status(GY_OK,
                  read_setting("{\"sample\":0.5,\"hash\":[\"patient\"],\"leave_out\":[\"Temp\"]}",
                               &a, &l, &err),
                  err);
    assert_true(l.sample == 0.5 && l.hashes);
    assert_int_equal(l.columns[0], GY_LOG_AS_IS);
    assert_int_equal(l.columns[1], GY_LOG_HASHED);
    assert_int_equal(l.columns[2], GY_LOG_LEFT_OUT);
    static const char *const wrong[] = {
        "[]",
        "{\"sample\":0}",
        "{\"sample\":-1}",
        "{\"sample\":2}",
        "{\"sample\":\"x\"}",
        "{\"hash\":\"HR\"}",
        "{\"hash\":[1]}",
        "{\"hash\":[\"none\"]}",
        "{\"leave_out\":[\"\"]}",
        "{\"hash\":[\"HR\"],\"leave_out\":[\"HR\"]}",
        "{\"body\":1}",
        "{\"body\":true,\"leave_out\":[\"HR\"]}",
        "{\"retention\":\"90d\"}",
        "{\"other\":1}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct gy_err why = GY_ERR_INIT;
        assert_status(GY_E_INVALID, read_setting(wrong[i], &a, &l, &why), why);
    }
}

/* The draw is the same whenever it is made, and as many are drawn as the rate says. */
static void test_the_draw(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_logging tenth, half;
    assert_int_equal(read_setting("{\"sample\":0.1}", &a, &tenth, NULL), GY_OK);
    assert_int_equal(read_setting("{\"sample\":0.5}", &a, &half, NULL), GY_OK);
    struct gy_uuid_gen gen;
    assert_int_equal(gy_uuid_gen_init(&gen, NULL), GY_OK);
    int n_tenth = 0, n_half = 0, n_both = 0;
    for (int i = 0; i < 100000; i++) {
        unsigned char id[16];
        gy_uuid7(&gen, id);
        bool drawn = gy_logging_draws(&tenth, id);
        assert_int_equal(drawn, gy_logging_draws(&tenth, id));
        n_tenth += drawn;
        /* independent of who answers: a canary of a tenth is logged no more than the rest */
        n_both += drawn && gy_infer_lot(id, SIZE_MAX - 1) < gy_share_cut(0.1);
        n_half += gy_logging_draws(&half, id);
        if (drawn) { /* a smaller sample is a part of a larger one */
            assert_true(gy_logging_draws(&half, id));
        }
    }
    assert_in_range(n_both, 800, 1200);
    assert_in_range(n_tenth, 9600, 10400);
    assert_in_range(n_half, 49300, 50700);
}

static void test_columns(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_logging l;
    assert_int_equal(
        read_setting("{\"hash\":[\"patient\"],\"leave_out\":[\"Temp\"]}", &a, &l, NULL), GY_OK);
    const double values[] = {70, 12345, 37, 80, NAN, 38, 90, 12345, 39};
    double out[9];
    gy_logging_columns(&l, key, values, 3, 3, out);
    assert_true(out[0] == 70 && out[3] == 80 && out[6] == 90);
    assert_true(isnan(out[2]) && isnan(out[5]) && isnan(out[8]));
    assert_true(out[1] == out[7] && out[1] != 12345 && isnan(out[4]));
    assert_true(out[1] >= 0 && out[1] < 4503599627370496.0 && out[1] == floor(out[1]));
    assert_true(gy_logging_hash(other_key, 12345) != out[1]);
    assert_true(gy_logging_hash(key, 0.0) == gy_logging_hash(key, -0.0));
    assert_true(gy_logging_hash(key, 12346) != out[1]);
}

static void test_of_a_configuration(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str text = GY_STR("{\"log\":{\"hash\":[\"HR\"],\"leave_out\":[\"Temp\"],"
                                "\"sample\":0.25}}");
    assert_int_equal(gy_json_parse(text, &doc, NULL), GY_OK);
    yyjson_val *config = yyjson_doc_get_root(doc);
    assert_int_equal(gy_logging_column_of(config, GY_STR("HR")), GY_LOG_HASHED);
    assert_int_equal(gy_logging_column_of(config, GY_STR("Temp")), GY_LOG_LEFT_OUT);
    assert_int_equal(gy_logging_column_of(config, GY_STR("Resp")), GY_LOG_AS_IS);
    assert_null(gy_logging_column_name(GY_LOG_AS_IS));
    assert_true(gy_logging_sample_of(config) == 0.25);
    assert_int_equal(gy_logging_column_of(NULL, GY_STR("HR")), GY_LOG_AS_IS);
    assert_true(gy_logging_sample_of(NULL) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_setting),
        cmocka_unit_test(test_the_draw),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_of_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
