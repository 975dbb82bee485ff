/* SPDX-License-Identifier: Apache-2.0 */
/* What is logged beside what is answered: the model's own outputs, and the sample of rows that a
 * rule decided and the model scored all the same. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "package.h"
#include "serve/infer.h"

static char root[] = "/tmp/gyre-infer-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return gy_dir_remove(root, NULL) == GY_OK ? 0 : -1;
}

/* HR over 90: class 1 without the model. */
#define RULE(skip, prediction)                                                              \
    "\"rules\":[{\"name\":\"hr\",\"when\":\"HR > 90\",\"then\":{\"prediction\":" prediction \
    ",\"skip_model\":" skip "}}]"

static void set_rows(struct gy_infer_work *w, const struct gy_endpoint *e, size_t n, double hr)
{
    size_t width = e->shape.n_inputs;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 16 * GY_MIB);
    gy_buf_addf(&body,
                "{\"inputs\":[{\"name\":\"x\",\"shape\":[%zu,%zu],\"datatype\":\"FP64\","
                "\"data\":[",
                n, width);
    for (size_t i = 0; i < n * width; i++) {
        gy_buf_addf(&body, "%s%g", i ? "," : "", i % width == 0 ? hr : 20.0);
    }
    gy_buf_addc(&body, "]}]}");
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_infer_parse(GY_INFER_V2, &e->shape, gy_buf_str(&body), &w->q, &err),
                  err);
    assert_int_equal(w->q.n_rows, n);
}

static void run(const struct gy_endpoint *e, struct gy_infer_work *w)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_infer_run(e, w, &err), err);
}

static void text_of(const struct gy_endpoint *e, const struct gy_infer_work *w, struct gy_buf *out)
{
    static const char id[GY_UUID_TEXT] = "01932f4e-7c1a-7000-8000-0123456789ab";
    gy_buf_reset(out);
    gy_infer_answer(e, NULL, w, id, out);
    assert_int_equal(out->failed, GY_OK);
}

static void test_lots(void **state)
{
    (void)state;
    struct gy_uuid_gen gen;
    assert_int_equal(gy_uuid_gen_init(&gen, NULL), GY_OK);
    enum { IDS = 2000, ROWS = 50 };
    size_t below = 0;
    for (int i = 0; i < IDS; i++) {
        unsigned char id[16];
        gy_uuid7(&gen, id);
        for (size_t row = 0; row < ROWS; row++) {
            uint64_t lot = gy_infer_lot(id, row);
            assert_true(lot < (uint64_t)1 << 53);
            assert_int_equal(lot, gy_infer_lot(id, row));
            below += lot < gy_share_cut(0.1);
        }
    }
    /* 100 000 draws of .1: six standard deviations are 570 */
    assert_true(below > 10000 - 570 && below < 10000 + 570);
    const unsigned char zero[16] = {0};
    assert_false(gy_infer_lot(zero, 0) < gy_share_cut(0));
    assert_true(gy_infer_lot(zero, 0) < gy_share_cut(1));
    assert_int_not_equal(gy_infer_lot(zero, 0), gy_infer_lot(zero, 1));
}

/* A share of the skipped rows holds the model's outputs; answers are the same, byte for byte, as
 * without. */
static void test_sample(void **state)
{
    (void)state;
    enum { ROWS = 2000 };
    struct gy_endpoint *none =
        endpoint_make(root, "none", 1, MODEL_HR, "{\"rule_shadow\":0," RULE("true", "1") "}");
    struct gy_endpoint *tenth = endpoint_make(root, "none", 2, MODEL_HR, "{" RULE("true", "1") "}");
    struct gy_endpoint *all =
        endpoint_make(root, "none", 3, MODEL_HR, "{\"rule_shadow\":1," RULE("true", "1") "}");
    assert_true(tenth->rule_shadow == GY_ENDPOINT_RULE_SHADOW);
    struct gy_endpoint *each[3] = {none, tenth, all};
    struct gy_buf texts[3];
    for (int i = 0; i < 3; i++) {
        const struct gy_endpoint *e = each[i];
        GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {.id = {1, 9, 7}};
        gy_buf_init(&texts[i], 16 * GY_MIB);
        set_rows(&w, e, ROWS, 104);
        run(e, &w);
        struct gy_record r = {0};
        gy_infer_record(e, &w, GY_STR("r"), &r);
        assert_memory_equal(r.id, w.id, 16);
        assert_int_equal(r.n_outputs, 2);
        size_t scored = 0;
        for (size_t row = 0; row < ROWS; row++) {
            bool drawn = gy_infer_lot(w.id, row) < e->rule_shadow_cut;
            assert_true(r.outputs[row * 2] == 1);
            assert_true(isnan(r.outputs[row * 2 + 1]) == !drawn);
            if (drawn) {
                assert_true(fabs(r.outputs[row * 2 + 1] - 1 / (1 + exp(-1.4))) < 1e-12);
                scored++;
            }
        }
        assert_int_equal(w.sampled, scored);
        assert_true(i == 0 ? scored == 0 : i == 2 ? scored == ROWS : scored > 120 && scored < 280);
        text_of(e, &w, &texts[i]);
        gy_endpoint_unref(each[i]);
    }
    const char *outputs[3];
    for (int i = 0; i < 3; i++) {
        outputs[i] = strstr(texts[i].p, "\"outputs\":");
        assert_non_null(outputs[i]);
        assert_null(strstr(outputs[i], "0.8"));
    }
    assert_string_equal(outputs[0], outputs[1]);
    assert_string_equal(outputs[0], outputs[2]);
    for (int i = 0; i < 3; i++) {
        gy_buf_done(&texts[i]);
    }
}

/* Rows of both kinds in one chunk: each gets the outputs of its own values. */
static void test_mixed_rows(void **state)
{
    (void)state;
    struct gy_endpoint *e = endpoint_make(root, "mixed", 1, MODEL_HR,
                                          "{\"rule_shadow\":0.3,\"columns\":[\"WBC\"],"
                                          "\"rules\":[{\"name\":\"hr\",\"when\":\"HR > 90 and WBC "
                                          "> 1\",\"then\":{\"prediction\":0,\"skip_model\":true}}]"
                                          "}");
    enum { ROWS = 200 };
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {.id = {5, 5}};
    set_rows(&w, e, ROWS, 80);
    double *values = (double *)(uintptr_t)w.q.values;
    for (size_t i = 0; i < ROWS; i++) {
        values[i * e->shape.n_fields] = 60 + (double)i;
        values[i * e->shape.n_fields + 3] = 20; /* WBC */
    }
    run(e, &w);
    size_t skipped = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double p = 1 / (1 + exp(9 - (60 + (double)i) / 10));
        bool skip = gy_infer_skips(e, &w, i);
        assert_int_equal(skip, i > 30);
        bool scored = !skip || gy_infer_lot(w.id, i) < e->rule_shadow_cut;
        skipped += !scored;
        assert_true(scored ? fabs(w.out[2 * i + 1] - p) < 1e-12 : isnan(w.out[2 * i + 1]));
        assert_true(w.out[2 * i] == (!skip && p >= 0.5));
    }
    assert_true(skipped > 50);
    gy_endpoint_unref(e);
}

static void test_regression_with_rules(void **state)
{
    (void)state;
    struct gy_endpoint *plain = endpoint_make(root, "sum", 1, MODEL_SUM, "{}");
    struct gy_endpoint *marks =
        endpoint_make(root, "sum", 2, MODEL_SUM, "{" RULE("false", "7") "}");
    struct gy_endpoint *skips =
        endpoint_make(root, "sum", 3, MODEL_SUM, "{\"rule_shadow\":0," RULE("true", "7") "}");
    assert_int_equal(plain->n_log_outputs, 1);
    assert_int_equal(marks->n_log_outputs, 2);
    struct gy_endpoint *each[3] = {plain, marks, skips};
    for (int i = 0; i < 3; i++) {
        for (int hit = 0; hit < 2; hit++) {
            GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {.id = {1}};
            set_rows(&w, each[i], 1, hit ? 100 : 50);
            run(each[i], &w);
            double sum = (hit ? 100 : 50) + 40;
            assert_true(w.out[0] == (hit && i > 0 ? 7 : sum));
            if (i > 0) {
                assert_true(hit && i == 2 ? isnan(w.out[1]) : w.out[1] == sum);
            }
        }
        gy_endpoint_unref(each[i]);
    }
}

/* A model that gives no number fails its own answer, not one that a rule gave. */
static void test_no_number(void **state)
{
    (void)state;
    struct gy_endpoint *e = endpoint_make(root, "huge", 1, MODEL_SUM,
                                          "{\"rule_shadow\":1,\"rules\":[{\"name\":\"temp\","
                                          "\"when\":\"Temp < 100\",\"then\":{\"prediction\":7,"
                                          "\"skip_model\":true}}]}");
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {.id = {1}};
    set_rows(&w, e, 1, 1e308);
    double *values = (double *)(uintptr_t)w.q.values;
    values[1] = 1e308;
    run(e, &w);
    assert_true(w.out[0] == 7 && isnan(w.out[1]));
    values[2] = 200; /* no rule */
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_E_INVALID, gy_infer_run(e, &w, &err), err);
    assert_non_null(strstr(err.msg, "no finite number"));
    gy_endpoint_unref(e);
}

static void test_bad_share(void **state)
{
    (void)state;
    static const char *const bad[] = {"-0.1", "1.1", "\"0.1\"", "true", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char config[64];
        (void)snprintf(config, sizeof config, "{\"rule_shadow\":%s}", bad[i]);
        struct gy_endpoint *e = NULL;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_E_INVALID, endpoint_try(root, "bad", 1, MODEL_HR, config, &e, &err), err);
        assert_non_null(strstr(err.msg, "rule_shadow"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lots),       cmocka_unit_test(test_sample),
        cmocka_unit_test(test_mixed_rows), cmocka_unit_test(test_regression_with_rules),
        cmocka_unit_test(test_no_number),  cmocka_unit_test(test_bad_share),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
