/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that whole stores move in and out as: what is written is read back as the same, and
 * what is no entity is refused. */
#include "unit.h"

#include <math.h>
#include <string.h>

#include "track/transfer.h"

struct line {
    struct gy_buf text;
    struct gy_jw w;
    struct gy_arena a;
    yyjson_doc *doc;
    struct gy_err err;
};

static void start(struct line *l)
{
    *l = (struct line){.doc = NULL};
    gy_buf_init(&l->text, GY_MIB);
    gy_arena_init(&l->a, GY_MIB);
    gy_jw_init(&l->w, &l->text);
}

static yyjson_val *parse(struct line *l)
{
    assert_status(GY_OK, gy_json_parse(gy_buf_str(&l->text), &l->doc, &l->err), l->err);
    return yyjson_doc_get_root(l->doc);
}

static void end(struct line *l)
{
    gy_json_free(l->doc);
    gy_arena_done(&l->a);
    gy_buf_done(&l->text);
}

static void a_run_there_and_back(void **state)
{
    struct line l;
    struct gy_run back;
    struct gy_tag params[] = {{GY_STR("a/b"), GY_STR("")}, {GY_STR("\xc3\xbc"), GY_STR("\"\n")}};
    struct gy_tag tag = {GY_STR("t"), GY_STR("v")};
    struct gy_run_dataset data = {
        .name = GY_STR("d"), .digest = GY_STR("1"), .tags = &tag, .n_tags = 1};
    struct gy_run_model in = {GY_STR("m-1"), 0}, out = {GY_STR("m-2"), 7};
    struct gy_run r = {.id = GY_STR("r1"),
                       .experiment_id = 843216578123456789,
                       .name = GY_STR("n"),
                       .user_id = GY_STR(""),
                       .status = GY_STR("KILLED"),
                       .start_ms = 5,
                       .end_ms = 0,
                       .artifact_uri = GY_STR("s3://b"),
                       .deleted = true,
                       .params = params,
                       .n_params = 2,
                       .tags = &tag,
                       .n_tags = 1,
                       .inputs = &data,
                       .n_inputs = 1,
                       .model_inputs = &in,
                       .n_model_inputs = 1,
                       .model_outputs = &out,
                       .n_model_outputs = 1};
    (void)state;
    start(&l);
    gy_transfer_write_run(&l.w, &r);
    assert_status(GY_OK, gy_transfer_read_run(parse(&l), &l.a, &back, &l.err), l.err);
    assert_true(gy_str_eq(back.id, r.id) && back.experiment_id == r.experiment_id);
    assert_true(back.deleted && back.start_ms == 5 && back.end_ms == 0);
    assert_str(back.status, "KILLED");
    assert_int_equal(back.n_params, 2);
    assert_str(back.params[1].value, "\"\n");
    assert_str(back.params[1].key, "\xc3\xbc");
    assert_str(back.inputs[0].tags[0].value, "v");
    assert_null(back.inputs[0].schema.p); /* absent is not empty */
    assert_int_equal(back.model_outputs[0].step, 7);
    assert_str(back.model_inputs[0].model_id, "m-1");
    end(&l);
}

static void points_of_every_kind(void **state)
{
    struct line l;
    struct gy_transfer_points back;
    struct gy_metric m[] = {{.key = GY_STR("k"), .value = 0.1 + 0.2, .ts_ms = 1, .step = -1},
                            {.key = GY_STR("k"), .value = NAN, .ts_ms = 2},
                            {.key = GY_STR("k"), .value = -INFINITY, .ts_ms = INT64_MAX},
                            {.key = GY_STR("k"), .value = 5e-324, .ts_ms = 3}};
    struct gy_transfer_points p = {GY_STR("r"), m, 4};
    (void)state;
    start(&l);
    gy_transfer_write_points(&l.w, &p);
    assert_status(GY_OK, gy_transfer_read_points(parse(&l), &l.a, &back, &l.err), l.err);
    assert_int_equal(back.n, 4);
    assert_true(back.points[0].value == 0.1 + 0.2 && back.points[0].step == -1);
    assert_true(isnan(back.points[1].value) && isinf(back.points[2].value));
    assert_true(back.points[2].ts_ms == INT64_MAX && back.points[3].value == 5e-324);
    end(&l);
}

static void a_logged_model_and_a_version(void **state)
{
    struct line l;
    struct gy_logged_model back;
    struct gy_transfer_version v = {.v = {.name = GY_STR("iris"),
                                          .version = 3,
                                          .source = GY_STR("x"),
                                          .stage = GY_STR("Archived"),
                                          .created_us = 9},
                                    .deleted = true};
    struct gy_transfer_version again;
    struct gy_metric p = {.key = GY_STR("acc"),
                          .value = 1,
                          .ts_ms = 2,
                          .step = 3,
                          .run_id = GY_STR("r"),
                          .dataset_name = GY_STR("d")};
    struct gy_logged_model m = {.id = GY_STR("m-1"),
                                .name = GY_STR("n"),
                                .artifact_uri = GY_STR("u"),
                                .status = GY_LOGGED_FAILED,
                                .created_us = 5,
                                .metrics = &p,
                                .n_metrics = 1};
    (void)state;
    start(&l);
    gy_transfer_write_logged(&l.w, &m);
    assert_status(GY_OK, gy_transfer_read_logged(parse(&l), &l.a, &back, &l.err), l.err);
    assert_int_equal(back.status, GY_LOGGED_FAILED);
    assert_str(back.metrics[0].dataset_name, "d");
    assert_null(back.metrics[0].dataset_digest.p);
    assert_null(back.source_run_id.p);
    end(&l);
    start(&l);
    gy_transfer_write_version(&l.w, &v);
    assert_status(GY_OK, gy_transfer_read_version(parse(&l), &l.a, &again, &l.err), l.err);
    assert_true(again.deleted && again.v.version == 3 && again.v.created_us == 9);
    assert_str(again.v.stage, "Archived");
    end(&l);
}

static void what_is_no_entity(void **state)
{
    static const char *const runs[] = {
        "{}",
        "{\"id\":\"r\"}",
        "{\"id\":\"../x\",\"experiment_id\":1,\"artifact_uri\":\"\"}",
        "{\"id\":\"r\",\"experiment_id\":1,\"artifact_uri\":\"\",\"status\":\"LATE\"}",
        "{\"id\":\"r\",\"experiment_id\":1,\"artifact_uri\":\"\",\"status\":\"FAILED\",\"tags\":[]"
        "}",
        "{\"id\":\"r\",\"experiment_id\":1,\"artifact_uri\":\"\",\"status\":\"FAILED\",\"params\":{"
        "\"a\":1}}",
        "{\"id\":\"r\",\"experiment_id\":1,\"artifact_uri\":\"\",\"status\":\"FAILED\",\"inputs\":["
        "{}]}"};
    static const char *const points[] = {"{\"run\":\"r\",\"key\":\"k\"}",
                                         "{\"run\":\"r\",\"key\":\"k\",\"points\":[1,2]}",
                                         "{\"run\":\"r\",\"key\":\"\",\"points\":[]}",
                                         "{\"run\":\"r\",\"key\":\"k\",\"points\":[1.5,2,3]}",
                                         "{\"run\":\"r\",\"key\":\"k\",\"points\":[1,2,\"much\"]}"};
    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct line l;
        struct gy_run r;
        start(&l);
        gy_buf_addc(&l.text, runs[i]);
        assert_int_equal(gy_transfer_read_run(parse(&l), &l.a, &r, &l.err), GY_E_INVALID);
        end(&l);
    }
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct line l;
        struct gy_transfer_points p;
        start(&l);
        gy_buf_addc(&l.text, points[i]);
        assert_int_equal(gy_transfer_read_points(parse(&l), &l.a, &p, &l.err), GY_E_INVALID);
        end(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_there_and_back),
        cmocka_unit_test(points_of_every_kind),
        cmocka_unit_test(a_logged_model_and_a_version),
        cmocka_unit_test(what_is_no_entity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
