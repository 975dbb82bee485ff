/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints, answers, the request path without a socket, and tables swapped under load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "package.h"
#include "serve/serving.h"

struct fixture {
    char root[64], log[80], rings[80];
    struct gy_serving *serving;
    struct gy_buf body;
    struct gy_fast_reply reply;
};

static void open_serving(struct fixture *f, int sync_ms)
{
    const struct gy_serving_options o = {.log_dir = f->log,
                                         .ring_dir = f->rings,
                                         .n_loops = 2,
                                         .log_sync_ms = sync_ms,
                                         .log_ring_bytes = 256 * GY_KIB};
    struct gy_err err = GY_ERR_INIT;
    if (gy_serving_open(&o, &f->serving, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    (void)snprintf(f->root, sizeof f->root, "/tmp/gyre-serving-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    (void)snprintf(f->log, sizeof f->log, "%s/log", f->root);
    (void)snprintf(f->rings, sizeof f->rings, "%s/shm", f->root);
    assert_int_equal(gy_dir_make(f->rings, NULL), GY_OK);
    gy_buf_init(&f->body, 16 * GY_MIB);
    open_serving(f, 50);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_serving_close(f->serving);
    gy_buf_done(&f->body);
    assert_int_equal(gy_dir_remove(f->root, NULL), GY_OK);
    gy_free(f);
    return 0;
}

#define SIRS                                                                               \
    "\"rules\":[{\"name\":\"sirs\",\"at_least\":2,\"of\":[\"Temp > 38.5 or Temp < 35.0\"," \
    "\"HR > 90\",\"Resp > 20\",\"WBC > 12 or WBC < 4\"],\"then\":{\"prediction\":1,"       \
    "\"skip_model\":true,\"reason\":\"SIRS: 2 or more of 4\"}}],\"columns\":[\"WBC\",\"Age\"]"
#define ALIAS                                                                             \
    "\"aliases\":[{\"path\":\"/predictions\",\"input\":{\"HR\":\"hr\",\"Resp\":\"resp\"," \
    "\"Temp\":\"temp\"},\"output\":{\"isSepsis\":\"prediction\"}}]"
#define SEPSIS "{" SIRS "," ALIAS ",\"rule_shadow\":0}"

static void publish(struct fixture *f, struct gy_endpoint *e)
{
    struct gy_err err = GY_ERR_INIT;
    if (gy_serving_publish(f->serving, &e, 1, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    gy_endpoint_unref(e);
}

/* As a loop would; a deferred request is run as the pool would. Returns the HTTP status. */
static int ask(struct fixture *f, const char *path, struct gy_str body)
{
    struct gy_request req = {
        .method = GY_STR("POST"), .path = gy_str_c(path), .request_id = GY_STR("req-7")};
    gy_buf_reset(&f->body);
    memset(&f->reply, 0, sizeof f->reply);
    f->reply.body = &f->body;
    assert_true(gy_serving_fast.claims(f->serving, 0, false, req.method, req.path));
    enum gy_fast_result got = gy_serving_fast.run(f->serving, 0, &req, body, &f->reply);
    if (got == GY_FAST_DEFER) {
        gy_serving_fast.deferred(f->serving, 0, &req, body, &f->reply);
    } else {
        assert_int_equal(got, GY_FAST_DONE);
    }
    assert_int_equal(f->body.failed, GY_OK);
    return f->reply.status;
}

static int askc(struct fixture *f, const char *path, const char *body)
{
    return ask(f, path, gy_str_c(body));
}

static yyjson_doc *answer(struct fixture *f)
{
    yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_json_parse(gy_buf_str(&f->body), &doc, &err) != GY_OK) {
        fail_msg("%s: %s", err.msg, f->body.p);
    }
    return doc;
}

static yyjson_val *tensor(yyjson_val *root, const char *name)
{
    size_t i, n;
    yyjson_val *t;
    yyjson_arr_foreach(gy_json_get(root, "outputs"), i, n, t)
    {
        if (gy_str_eqc(gy_json_str(t, "name"), name)) {
            return t;
        }
    }
    return NULL;
}

#define V2(data, n) \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[" n ",3],\"datatype\":\"FP64\",\"data\":" data "}]}"

static void test_alias_answer(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 3, MODEL_HR, SEPSIS));
    assert_int_equal(askc(f, "/predictions", "{\"hr\":104,\"resp\":22,\"temp\":38.9}"), 200);
    GY_AUTO(gy_json_free) yyjson_doc *doc = answer(f);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_int_equal(gy_json_i64(root, "isSepsis", -1), 1);
    assert_int_equal(gy_json_i64(root, "revision", -1), 3);
    assert_true(gy_str_eqc(gy_json_str(root, "model_version"), "3"));
    yyjson_val *rules = gy_json_get(root, "rules");
    assert_true(gy_str_eqc(gy_json_str(rules, "name"), "sirs"));
    assert_true(gy_str_eqc(gy_json_str(rules, "reason"), "SIRS: 2 or more of 4"));
    assert_int_equal(gy_json_i64(rules, "true", -1), 3);
    assert_int_equal(gy_json_i64(rules, "evaluated", -1), 3);
    assert_int_equal(gy_json_i64(rules, "of", -1), 4);
    struct gy_str id = gy_json_str(root, "prediction_id");
    assert_int_equal(id.n, 36);
    char header[128];
    (void)snprintf(header, sizeof header, "Gyre-Prediction-Id: %.*s\r\nGyre-Revision: sepsis/3\r\n",
                   (int)id.n, id.p);
    assert_non_null(strstr(f->reply.extra_headers, header));

    /* the same in the log, by that id */
    unsigned char raw[16];
    assert_int_equal(gy_uuid_parse(id, raw, NULL), GY_OK);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_record *r;
    size_t n;
    assert_int_equal(
        gy_predlog_find(gy_serving_log(f->serving), f->log, f->rings, raw, &a, &r, &n, NULL),
        GY_OK);
    assert_int_equal(r->revision, 3);
    assert_int_equal(r->n_inputs, 4);
    assert_true(r->inputs[0] == 104 && r->inputs[2] == 38.9 && isnan(r->inputs[3]));
    assert_true(r->outputs[0] == 1 && isnan(r->outputs[1])); /* the model was not asked */
    assert_int_equal(r->rules[0].rule, 0);
    assert_true(gy_str_eqc(r->request_id, "req-7"));
    assert_true(r->latency_ns > 0);
}

static void test_model_answers_when_no_rule_hits(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 1, MODEL_HR, SEPSIS));
    assert_int_equal(askc(f, "/predictions", "{\"hr\":100,\"resp\":15,\"temp\":37,\"WBC\":8}"),
                     200);
    assert_non_null(strstr(f->body.p, "{\"isSepsis\":1,"));
    assert_non_null(strstr(f->body.p, "\"rules\":{\"true\":1,\"evaluated\":4,\"of\":4}"));
    assert_int_equal(askc(f, "/predictions", "{\"hr\":80,\"resp\":15,\"temp\":37}"), 200);
    assert_non_null(strstr(f->body.p, "{\"isSepsis\":0,"));
    assert_null(strstr(f->body.p, "warning"));
    assert_int_equal(askc(f, "/predictions", "{\"hr\":300,\"resp\":15,\"temp\":31}"), 200);
    assert_non_null(strstr(f->body.p, "\"warning\":\"HR is 300, outside of the 60 to 250 seen in "
                                      "training; 1 more\""));
}

static void test_v2_answer(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, SEPSIS));
    assert_int_equal(askc(f, "/v2/models/sepsis/infer",
                          "{\"id\":\"my \\\"id\\\"\",\"inputs\":[{\"name\":\"x\",\"shape\":[3,3],"
                          "\"datatype\":\"FP64\",\"data\":[104,22,38.9,100,15,37,80,15,37]}]}"),
                     200);
    GY_AUTO(gy_json_free) yyjson_doc *doc = answer(f);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_true(gy_str_eqc(gy_json_str(root, "model_name"), "sepsis"));
    assert_true(gy_str_eqc(gy_json_str(root, "model_version"), "2"));
    assert_true(gy_str_eqc(gy_json_str(root, "id"), "my \"id\""));
    assert_int_equal(gy_json_str(gy_json_get(root, "parameters"), "prediction_id").n, 36);
    yyjson_val *prediction = tensor(root, "prediction");
    assert_true(gy_str_eqc(gy_json_str(prediction, "datatype"), "INT64"));
    assert_int_equal(yyjson_get_int(yyjson_arr_get(gy_json_get(prediction, "shape"), 0)), 3);
    const int want[] = {1, 1, 0};
    yyjson_val *p = gy_json_get(tensor(root, "probability"), "data");
    for (size_t i = 0; i < 3; i++) {
        yyjson_val *v = yyjson_arr_get(gy_json_get(prediction, "data"), i);
        assert_int_equal(yyjson_get_int(v), want[i]);
    }
    assert_true(yyjson_is_null(yyjson_arr_get(p, 0))); /* decided by a rule */
    assert_true(fabs(yyjson_get_num(yyjson_arr_get(p, 1)) - 1 / (1 + exp(-1))) < 1e-12);
    assert_true(fabs(yyjson_get_num(yyjson_arr_get(p, 2)) - 1 / (1 + exp(1))) < 1e-12);
    yyjson_val *rule = gy_json_get(tensor(root, "rule"), "data");
    assert_string_equal(yyjson_get_str(yyjson_arr_get(rule, 0)), "sirs");
    assert_string_equal(yyjson_get_str(yyjson_arr_get(rule, 1)), "");

    assert_int_equal(askc(f, "/v2/models/sepsis/versions/2/infer",
                          "{\"outputs\":[{\"name\":\"probability\"}],\"inputs\":[{\"name\":\"x\","
                          "\"shape\":[1,3],\"datatype\":\"FP64\",\"data\":[90,15,37]}]}"),
                     200);
    assert_non_null(strstr(f->body.p, "\"outputs\":[{\"name\":\"probability\",\"shape\":[1],"
                                      "\"datatype\":\"FP64\",\"data\":[0.5]}]}"));
}

static void test_other_tasks(void **state)
{
    struct fixture *f = *state;
    struct gy_endpoint *both[2] = {endpoint_make(f->root, "sum", 1, MODEL_SUM, "{}"),
                                   endpoint_make(f->root, "names", 1, MODEL_NAMES, "{}")};
    assert_int_equal(gy_serving_publish(f->serving, both, 2, NULL), GY_OK);
    gy_endpoint_unref(both[0]);
    gy_endpoint_unref(both[1]);
    assert_int_equal(askc(f, "/v2/models/sum/infer", V2("[[100,20,37.5],[1,2,3]]", "2")), 200);
    assert_non_null(strstr(f->body.p, "\"outputs\":[{\"name\":\"prediction\",\"shape\":[2],"
                                      "\"datatype\":\"FP64\",\"data\":[157.5,6.0]}]"));
    assert_int_equal(askc(f, "/v2/models/names/infer", V2("[100,20,37.5]", "1")), 200);
    assert_non_null(strstr(f->body.p, "\"datatype\":\"BYTES\",\"data\":[\"m\\\"id\"]}"));
    assert_non_null(strstr(f->body.p, "\"shape\":[1,3],\"datatype\":\"FP64\",\"data\":[0.25,0.5,"
                                      "0.25]}"));
    assert_int_equal(askc(f, "/v2/models/sum/infer", V2("[1e308,1e308,1]", "1")), 400);
    assert_non_null(strstr(f->body.p, "no finite number for row 0"));
}

static void test_not_found(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, SEPSIS));
    assert_int_equal(askc(f, "/v2/models/other/infer", "{}"), 404);
    assert_string_equal(f->body.p, "{\"error\":\"Model 'other' not found\"}");
    assert_int_equal(askc(f, "/v2/models/sepsis/versions/9/infer", "{}"), 404);
    assert_string_equal(f->body.p, "{\"error\":\"Model 'sepsis' with version '9' not found\"}");
    assert_int_equal(askc(f, "/v2/models/sepsis/x/infer", "{}"), 404);
    assert_int_equal(askc(f, "/v2/models/sepsis/infer", "{\"inputs\":7}"), 400);
    assert_string_equal(f->body.p, "{\"error\":\"'inputs' must be an array\"}");
    assert_int_equal(gy_serving_unknown(f->serving), 3);
    assert_false(
        gy_serving_fast.claims(f->serving, 0, false, GY_STR("POST"), GY_STR("/elsewhere")));
    assert_false(gy_serving_fast.claims(f->serving, 0, false, GY_STR("GET"),
                                        GY_STR("/v2/models/sepsis/infer")));
    assert_false(
        gy_serving_fast.claims(f->serving, 9, false, GY_STR("POST"), GY_STR("/predictions")));
    struct gy_request get = {.method = GY_STR("GET"), .path = GY_STR("/predictions")};
    gy_buf_reset(&f->body);
    assert_true(gy_serving_fast.claims(f->serving, 0, false, get.method, get.path));
    assert_int_equal(gy_serving_fast.run(f->serving, 0, &get, GY_STR(""), &f->reply), GY_FAST_DONE);
    assert_int_equal(f->reply.status, 405);
    assert_string_equal(f->reply.extra_headers, "Allow: POST\r\n");
}

/* Who answers where no endpoint is named. */
static void test_default(void **state)
{
    struct fixture *f = *state;
    struct gy_err err;
    const struct gy_endpoint *e = NULL;
    publish(f, endpoint_make(f->root, "one", 1, MODEL_HR, "{}"));
    GY_AUTO(gy_table_unref) struct gy_table *alone = gy_serving_table(f->serving);
    assert_int_equal(gy_table_default(alone, &e, &err), GY_OK);
    assert_true(gy_str_eqc(e->name, "one"));
    struct gy_endpoint *plain[] = {endpoint_make(f->root, "one", 1, MODEL_HR, "{}"),
                                   endpoint_make(f->root, "two", 1, MODEL_HR, "{}")};
    struct gy_endpoint *chosen[] = {
        plain[0], endpoint_make(f->root, "two", 1, MODEL_HR, "{\"default\":true}")};
    struct gy_endpoint *both[] = {endpoint_make(f->root, "one", 1, MODEL_HR, "{\"default\":true}"),
                                  chosen[1]};
    assert_int_equal(gy_serving_publish(f->serving, plain, 2, &err), GY_OK);
    GY_AUTO(gy_table_unref) struct gy_table *none = gy_serving_table(f->serving);
    assert_int_equal(gy_table_default(none, &e, &err), GY_E_NOTFOUND);
    assert_string_equal(err.msg, "no endpoint is the default, name one: one, two");
    assert_int_equal(gy_serving_publish(f->serving, chosen, 2, &err), GY_OK);
    GY_AUTO(gy_table_unref) struct gy_table *one = gy_serving_table(f->serving);
    assert_int_equal(gy_table_default(one, &e, &err), GY_OK);
    assert_true(gy_str_eqc(e->name, "two"));
    assert_int_equal(gy_serving_publish(f->serving, both, 2, &err), GY_E_CONFLICT);
    assert_string_equal(err.msg, "the endpoints 'one' and 'two' can not both be the default");
    gy_endpoint_unref(plain[0]);
    gy_endpoint_unref(plain[1]);
    gy_endpoint_unref(chosen[1]);
    gy_endpoint_unref(both[0]);
}

/* Many rows go to the pool, are answered the same, and are logged in parts. */
static void test_many_rows(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, SEPSIS));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, GY_INFER_MAX_BODY);
    enum { ROWS = 20000 };
    gy_buf_addf(&body,
                "{\"inputs\":[{\"name\":\"x\",\"shape\":[%d,3],\"datatype\":\"INT32\",\"data\":[",
                ROWS);
    for (int i = 0; i < ROWS; i++) {
        gy_buf_addf(&body, "%s[%d,15,37]", i ? "," : "", i % 7 == 0 ? 200 : 70);
    }
    gy_buf_addc(&body, "]}]}");
    struct gy_request req = {.method = GY_STR("POST"), .path = GY_STR("/v2/models/sepsis/infer")};
    gy_buf_reset(&f->body);
    f->reply.body = &f->body;
    assert_int_equal(gy_serving_fast.run(f->serving, 0, &req, gy_buf_str(&body), &f->reply),
                     GY_FAST_DEFER);
    assert_int_equal(ask(f, "/v2/models/sepsis/infer", gy_buf_str(&body)), 200);
    GY_AUTO(gy_json_free) yyjson_doc *doc = answer(f);
    yyjson_val *data = gy_json_get(tensor(yyjson_doc_get_root(doc), "prediction"), "data");
    assert_int_equal(yyjson_arr_size(data), ROWS);
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(data, i, n, v)
    {
        assert_int_equal(yyjson_get_int(v), i % 7 == 0);
    }
    unsigned char id[16];
    yyjson_val *parameters = gy_json_get(yyjson_doc_get_root(doc), "parameters");
    assert_int_equal(gy_uuid_parse(gy_json_str(parameters, "prediction_id"), id, NULL), GY_OK);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 16 * GY_MIB);
    struct gy_record *r;
    size_t n_parts;
    assert_int_equal(
        gy_predlog_find(gy_serving_log(f->serving), f->log, f->rings, id, &a, &r, &n_parts, NULL),
        GY_OK);
    size_t rows = 0;
    for (size_t k = 0; k < n_parts; k++) {
        assert_int_equal(r[k].first_row, rows);
        rows += r[k].n_rows;
    }
    assert_int_equal(rows, ROWS);
}

static void test_log_full_is_503(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, "{}"));
    /* The flusher can not write: the folder of the segments is gone. */
    assert_int_equal(gy_dir_remove(f->log, NULL), GY_OK);
    int status = 200;
    size_t n = 0;
    for (; status == 200 && n < 10000; n++) {
        status = askc(f, "/v2/models/sepsis/infer", V2("[100,20,37.5]", "1"));
    }
    assert_int_equal(status, 503);
    assert_true(n > 500); /* the ring took them first */
    assert_string_equal(f->body.p, "{\"error\":\"the prediction log is full, try again\"}");
    struct gy_stat_sum sum;
    gy_endpoint_stats_sum(gy_serving_stats(f->serving), &sum);
    assert_int_equal(sum.ok, n - 1);
    assert_int_equal(sum.failed, 1);
    assert_int_equal(gy_dir_make(f->log, NULL), GY_OK);
    assert_int_equal(gy_predlog_flush(gy_serving_log(f->serving), false, NULL), GY_OK);
    assert_int_equal(askc(f, "/v2/models/sepsis/infer", V2("[100,20,37.5]", "1")), 200);
}

static void test_each_answer_waits(void **state)
{
    struct fixture *f = *state;
    gy_serving_close(f->serving);
    open_serving(f, 0);
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, "{}"));
    struct gy_request req = {.method = GY_STR("POST"), .path = GY_STR("/v2/models/sepsis/infer")};
    f->reply.body = &f->body;
    assert_int_equal(
        gy_serving_fast.run(f->serving, 0, &req, GY_STR(V2("[100,20,37.5]", "1")), &f->reply),
        GY_FAST_DEFER);
    assert_int_equal(askc(f, "/v2/models/sepsis/infer", V2("[100,20,37.5]", "1")), 200);
    struct gy_predlog_stats stats;
    gy_predlog_get_stats(gy_serving_log(f->serving), &stats);
    assert_true(stats.syncs >= 1);
}

static void test_counters(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, SEPSIS));
    for (int i = 0; i < 10; i++) {
        (void)askc(f, "/predictions", "{\"hr\":104,\"resp\":22,\"temp\":38.9}");
    }
    (void)askc(f, "/predictions", "{\"hr\":80,\"resp\":15,\"temp\":50}");
    (void)askc(f, "/predictions", "{}");
    struct gy_stat_sum sum;
    gy_endpoint_stats_sum(gy_serving_stats(f->serving), &sum);
    assert_int_equal(sum.ok, 11);
    assert_int_equal(sum.refused, 1);
    assert_int_equal(sum.rows, 11);
    assert_int_equal(sum.rule_hits, 10);
    assert_int_equal(sum.model_skipped, 10);
    assert_int_equal(sum.out_of_range, 1);
    assert_int_equal(sum.classes[0], 1);
    assert_int_equal(sum.classes[1], 10);
    assert_int_equal(sum.buckets[GY_STATS_BUCKETS - 1], 11);
    assert_true(gy_stat_quantile(&sum, 0.5) > 0);
    /* the same histogram read the other way round */
    double all = gy_stat_slower(&sum, 0);
    assert_true(all > 0 && gy_stat_slower(&sum, 1e15) <= all);
    assert_true(fabs(gy_stat_slower(&sum, gy_stat_quantile(&sum, 0.5)) - all / 2) < 1e-6 * all);
    /* A new revision with the same version goes on counting; another version begins anew. */
    struct gy_endpoint *e = endpoint_make(f->root, "sepsis", 2, MODEL_HR, "{}");
    publish(f, e);
    (void)askc(f, "/v2/models/sepsis/infer", V2("[100,20,37.5]", "1"));
    gy_endpoint_stats_sum(gy_serving_stats(f->serving), &sum);
    assert_int_equal(sum.ok, 12);
    publish(f, endpoint_make(f->root, "sepsis", 3, MODEL_HR, "{}"));
    (void)askc(f, "/v2/models/sepsis/infer", V2("[100,20,37.5]", "1"));
    const struct gy_endpoint_stats *s = gy_serving_stats(f->serving);
    assert_true(gy_str_eqc(s->version, "3"));
    gy_endpoint_stats_sum(s, &sum);
    assert_int_equal(sum.ok, 1);
}

static void test_bad_config(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *config;
        const char *says;
    } bad[] = {
        {"{\"rules\":[{\"name\":\"r\",\"when\":\"WBC > 1\"}]}", "WBC"},
        {"{\"rules\":[{\"name\":\"r\",\"when\":\"HR > 1\",\"then\":{\"prediction\":2}}]}",
         "'2' is not a class"},
        {"{\"threshold\":1.5}", "'threshold'"},
        {"{\"threshold\":\"x\"}", "'threshold'"},
        {"{\"aliases\":{}}", "'aliases' must be a list"},
        {"{\"aliases\":[{\"path\":\"predictions\"}]}", "can not be an alias path"},
        {"{\"aliases\":[{\"path\":\"/a b\"}]}", "can not be an alias path"},
        {"{\"aliases\":[{\"path\":\"/api/x\"}]}", "Gyre's own"},
        {"{\"aliases\":[{\"path\":\"/metrics\"}]}", "Gyre's own"},
        {"{\"aliases\":[{\"path\":\"/p\"},{\"path\":\"/p\"}]}", "twice"},
        {"{\"aliases\":[{\"path\":\"/p\",\"input\":{\"Hr\":\"hr\"}}]}", "'Hr' is not an input"},
        {"{\"aliases\":[{\"path\":\"/p\",\"input\":{\"HR\":7}}]}", "must name a field"},
        {"{\"aliases\":[{\"path\":\"/p\",\"input\":{\"HR\":\"a\",\"Temp\":\"a\"}}]}", "for two"},
        {"{\"aliases\":[{\"path\":\"/p\",\"output\":{\"x\":\"reason\"}}]}", "'reason' is not"},
    };
    int64_t live = gy_mem_live();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_endpoint *e = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status st = endpoint_try(f->root, "e", 1, MODEL_HR, bad[i].config, &e, &err);
        if (st != GY_E_INVALID || !strstr(err.msg, bad[i].says)) {
            fail_msg("%s: %s \"%s\"", bad[i].config, gy_status_name(st), err.msg);
        }
        assert_int_equal(gy_mem_live(), live);
    }
    struct gy_endpoint *e = NULL;
    assert_int_equal(endpoint_try(f->root, "a b", 1, MODEL_HR, "{}", &e, NULL), GY_E_INVALID);
}

static void test_one_path_one_endpoint(void **state)
{
    struct fixture *f = *state;
    struct gy_endpoint *two[2] = {
        endpoint_make(f->root, "a", 1, MODEL_HR, "{\"aliases\":[{\"path\":\"/p\"}]}"),
        endpoint_make(f->root, "b", 1, MODEL_HR, "{\"aliases\":[{\"path\":\"/p\"}]}")};
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_serving_publish(f->serving, two, 2, &err), GY_E_CONFLICT);
    assert_non_null(strstr(err.msg, "/p is claimed by the endpoints 'a' and 'b'"));
    gy_endpoint_unref(two[0]);
    gy_endpoint_unref(two[1]);
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(f->serving);
    assert_int_equal(gy_table_count(t), 0);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    publish(f, endpoint_make(f->root, "sepsis", 2, MODEL_HR, SEPSIS));
    const char *bodies[] = {"{\"hr\":104,\"resp\":22,\"temp\":38.9}",
                            "{\"h\\u0072\":104,\"resp\":22,\"temp\":38.9}", "{"};
    const int want[] = {200, 200, 400};
    for (int i = 0; i < 3; i++) {
        int status = 0;
        for (uint64_t nth = 1; status != want[i]; nth++) {
            struct gy_request req = {.method = GY_STR("POST"), .path = GY_STR("/predictions")};
            gy_buf_reset(&f->body);
            f->reply.body = &f->body;
            gy_mem_fail_at(nth, 0);
            enum gy_fast_result got =
                gy_serving_fast.run(f->serving, 1, &req, gy_str_c(bodies[i]), &f->reply);
            gy_mem_fail_at(0, 0);
            assert_int_equal(got, GY_FAST_DONE);
            status = f->body.failed == GY_OK ? f->reply.status : 503;
            assert_true(status == want[i] || status == 503);
            assert_true(nth < 100);
        }
    }
    /* building an endpoint */
    int64_t live = gy_mem_live();
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        char dir[GY_MAX_PATH];
        char digest[GY_SHA256_HEX];
        package_make(f->root, "oom", MODEL_HR, dir, digest);
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        assert_int_equal(gy_json_parse(GY_STR(SEPSIS), &doc, NULL), GY_OK);
        struct gy_endpoint_spec spec = {.name = GY_STR("x"),
                                        .model_name = GY_STR("m"),
                                        .version = GY_STR("1"),
                                        .digest = gy_str_c(digest),
                                        .revision = 1,
                                        .package_dir = dir,
                                        .config = yyjson_doc_get_root(doc)};
        struct gy_endpoint *e = NULL;
        gy_mem_fail_at(nth, 0);
        gy_status st = gy_endpoint_build(&spec, &e, NULL);
        gy_mem_fail_at(0, 0);
        done = st == GY_OK;
        assert_true(done || e == NULL);
        gy_endpoint_unref(e);
        gy_json_free(doc);
        doc = NULL;
        assert_int_equal(gy_mem_live(), live);
        assert_true(nth < 5000);
    }
}

/* ---- tables swapped under load, through a real server ---- */

struct load {
    int port;
    atomic_bool stop;
    atomic_uint answers, wrong;
};

/* One keep-alive client. Version 1 always says 0, version 2 always says 1: an answer that mixes
 * them saw two tables. */
static void *client_main(void *arg)
{
    struct load *l = arg;
    static const char request[] =
        "POST /predictions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Content-Length: 32\r\n\r\n{\"hr\":100,\"resp\":15,\"temp\":37.5}";
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)l->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        atomic_fetch_add(&l->wrong, 1);
        return NULL;
    }
    while (!atomic_load(&l->stop)) {
        char got[4096];
        size_t n = 0;
        if (write(fd, request, sizeof request - 1) != (ssize_t)(sizeof request - 1)) {
            atomic_fetch_add(&l->wrong, 1);
            break;
        }
        do { /* the answer ends with its JSON object */
            ssize_t more = read(fd, got + n, sizeof got - 1 - n);
            if (more <= 0) {
                break;
            }
            n += (size_t)more;
            got[n] = '\0';
        } while (!strstr(got, "\"revision\":") || got[n - 1] != '}');
        bool one = strstr(got, "{\"isSepsis\":0,") && strstr(got, "\"model_version\":\"1\"") &&
                   strstr(got, "Gyre-Model-Version: 1");
        bool two = strstr(got, "{\"isSepsis\":1,") && strstr(got, "\"model_version\":\"2\"") &&
                   strstr(got, "Gyre-Model-Version: 2");
        atomic_fetch_add(one != two ? &l->answers : &l->wrong, 1);
    }
    (void)close(fd);
    return NULL;
}

/* Each version alone, then both: the other as shadow, as canary. */
static void make_versions(struct fixture *f, struct gy_endpoint *e[4])
{
    e[0] = endpoint_make(f->root, "sepsis", 1, MODEL_NEVER, "{" ALIAS "}");
    e[1] = endpoint_make(f->root, "sepsis", 2, MODEL_ALWAYS, "{" ALIAS "}");
    e[2] = endpoint_make(f->root, "sepsis", 1, MODEL_NEVER, "{" ALIAS "}");
    e[3] = endpoint_make(f->root, "sepsis", 2, MODEL_ALWAYS, "{" ALIAS "}");
    struct gy_endpoint *shadow = endpoint_make(f->root, "sepsis", 2, MODEL_ALWAYS, "{" ALIAS "}");
    struct gy_endpoint *canary = endpoint_make(f->root, "sepsis", 1, MODEL_NEVER, "{" ALIAS "}");
    const struct gy_variants one = {.shadow = shadow};
    const struct gy_variants other = {.canaries = {canary}, .weights = {0.5}, .n_canaries = 1};
    assert_int_equal(gy_variants_join(e[2], &one, NULL), GY_OK);
    assert_int_equal(gy_variants_join(e[3], &other, NULL), GY_OK);
}

static void test_swap_under_load(void **state)
{
    struct fixture *f = *state;
    struct gy_endpoint *versions[4];
    make_versions(f, versions);
    assert_int_equal(gy_serving_publish(f->serving, &versions[0], 1, NULL), GY_OK);
    struct gy_router *router = NULL;
    assert_int_equal(gy_router_new(&router, NULL), GY_OK);
    const struct gy_server_options o = {.host = "127.0.0.1",
                                        .n_loops = 2,
                                        .n_workers = 2,
                                        .router = router,
                                        .fast = &gy_serving_fast,
                                        .fast_self = f->serving};
    struct gy_server *server = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_server_start(&o, &server, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    gy_serving_attach(f->serving, server);
    struct load load = {.port = gy_server_port(server)};
    pthread_t clients[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&clients[i], NULL, client_main, &load), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        unsigned before = atomic_load(&load.answers) + atomic_load(&load.wrong);
        assert_int_equal(gy_serving_publish(f->serving, &versions[i & 3], 1, &err), GY_OK);
        while (atomic_load(&load.answers) + atomic_load(&load.wrong) < before + 20) {
            (void)usleep(100); /* the next swap meets requests again */
        }
    }
    atomic_store(&load.stop, true);
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(clients[i], NULL);
    }
    gy_serving_attach(f->serving, NULL);
    gy_server_stop(server);
    gy_server_free(server);
    gy_router_free(router);
    assert_int_equal(atomic_load(&load.wrong), 0);
    assert_true(atomic_load(&load.answers) >= 1000);
    assert_int_equal(gy_serving_swaps(f->serving), 52);
    for (int i = 0; i < 4; i++) {
        gy_endpoint_unref(versions[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alias_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model_answers_when_no_rule_hits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_v2_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_tasks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_default, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_full_is_503, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_answer_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_path_one_endpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swap_under_load, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
