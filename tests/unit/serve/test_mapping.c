/* SPDX-License-Identifier: Apache-2.0 */
/* Alias routes that compute: units of the client in, units of the client out; what is logged are
 * the model's inputs. */
#include "unit.h"

#include <math.h>

#include "base/mem.h"
#include "package.h"
#include "serve/infer.h"

static char root[] = "/tmp/gyre-mapping-XXXXXX";

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

/* The body through the first alias, as the server goes. */
static gy_status ask(const struct gy_endpoint *e, const char *body, struct gy_infer_work *w,
                     struct gy_buf *out, struct gy_err *err)
{
    static const char id[GY_UUID_TEXT] = "01932f4e-7c1a-7000-8000-0123456789ab";
    const struct gy_alias *alias = &e->aliases[0];
    GY_TRY(gy_infer_parse(GY_INFER_FLAT, &alias->shape, gy_str_c(body), &w->q, err));
    if (alias->mapping.fields) {
        GY_TRY(gy_mapping_apply(&alias->mapping, &e->shape, &w->q, err));
    }
    GY_TRY(gy_infer_run(e, w, err));
    gy_buf_reset(out);
    gy_infer_answer(e, alias, w, id, out);
    return gy_buf_check(out, "an answer", err);
}

static double number_of(const struct gy_buf *out, const char *key)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(out), &doc, NULL), GY_OK);
    return gy_json_f64(yyjson_doc_get_root(doc), key, NAN);
}

/* The model adds its three inputs up. */
static void test_units(void **state)
{
    (void)state;
    static const char config[] =
        "{\"aliases\":[{\"path\":\"/sum\",\"input\":{\"HR\":\"= beats * 60\",\"Resp\":\"resp\","
        "\"Temp\":\"= (fahrenheit - 32) / 1.8 + beats\"},"
        "\"output\":{\"half\":\"= prediction / 2\",\"whole\":\"prediction\","
        "\"high\":\"= prediction > 100\",\"none\":\"= 1 / (prediction - prediction)\"}}]}";
    GY_AUTO(gy_endpoint_unref)
    struct gy_endpoint *e = endpoint_make(root, "units", 1, MODEL_SUM, config);
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, ask(e, "{\"fahrenheit\":212,\"resp\":5,\"beats\":2}", &w, &out, &err),
                  err);
    /* what is logged: 120, 5 and 102 */
    assert_true(w.q.values[0] == 120 && w.q.values[1] == 5 && w.q.values[2] == 102);
    assert_true(number_of(&out, "half") == 113.5 && number_of(&out, "whole") == 227);
    assert_non_null(strstr(out.p, "\"high\":true"));
    assert_non_null(strstr(out.p, "\"none\":null"));

    struct gy_err missing = GY_ERR_INIT;
    assert_int_equal(ask(e, "{\"fahrenheit\":212,\"resp\":5}", &w, &out, &missing), GY_E_INVALID);
    assert_non_null(strstr(missing.msg, "field 'beats' is missing"));
}

static void test_texts_and_probability(void **state)
{
    (void)state;
    static const char names[] =
        "{\"aliases\":[{\"path\":\"/n\",\"output\":{\"alarm\":\"= if(prediction == 'low', 'no', "
        "'yes')\",\"odds\":\"= probability\"}}]}";
    static const char binary[] =
        "{\"aliases\":[{\"path\":\"/b\",\"output\":{\"percent\":\"= round(100 * probability)\","
        "\"class\":\"= prediction + 10\"}}]}";
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_err err = GY_ERR_INIT;
    const char *body = "{\"HR\":80,\"Resp\":16,\"Temp\":37}";
    GY_AUTO(gy_endpoint_unref)
    struct gy_endpoint *e = endpoint_make(root, "names", 1, MODEL_NAMES, names);
    assert_status(GY_OK, ask(e, body, &w, &out, &err), err);
    assert_non_null(strstr(out.p, "\"alarm\":\"yes\",\"odds\":0.5"));
    GY_AUTO(gy_endpoint_unref)
    struct gy_endpoint *b = endpoint_make(root, "binary", 1, MODEL_ALWAYS, binary);
    assert_status(GY_OK, ask(b, body, &w, &out, &err), err);
    assert_non_null(strstr(out.p, "\"percent\":100"));
    assert_true(number_of(&out, "class") == 11);
}

/* Columns that only a rule reads may be computed too, and need not be there. */
static void test_columns_of_rules(void **state)
{
    (void)state;
    static const char config[] =
        "{\"columns\":[\"WBC\"],\"rules\":[{\"name\":\"r\",\"when\":\"WBC > 12\",\"then\":"
        "{\"prediction\":1,\"skip_model\":true}}],\"aliases\":[{\"path\":\"/w\",\"input\":"
        "{\"WBC\":\"= cells / 1000\"},\"output\":{\"septic\":\"prediction\","
        "\"p\":\"= probability\"}}]}";
    GY_AUTO(gy_endpoint_unref)
    struct gy_endpoint *e = endpoint_make(root, "columns", 1, MODEL_NEVER, config);
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_err err = GY_ERR_INIT;
    assert_status(
        GY_OK, ask(e, "{\"HR\":80,\"Resp\":16,\"Temp\":37,\"cells\":13000}", &w, &out, &err), err);
    assert_true(number_of(&out, "septic") == 1);
    assert_non_null(strstr(out.p, "\"p\":null")); /* the rule answered, not the model */
    assert_status(GY_OK, ask(e, "{\"HR\":80,\"Resp\":16,\"Temp\":37}", &w, &out, &err), err);
    assert_true(number_of(&out, "septic") == 0 && isnan(w.q.values[3]));
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *alias;
        const char *says;
    } bad[] = {
        {"\"input\":{\"HR\":\"= hr *\"}", "input 'HR'"},
        {"\"input\":{\"HR\":\"=\"}", "input 'HR'"},
        {"\"output\":{\"x\":\"= speed * 2\"}", "speed"},
        {"\"output\":{\"x\":\"= prediction + 'a'\"}", "output 'x'"},
    };
    int64_t live = gy_mem_live();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char config[256];
        struct gy_endpoint *e = NULL;
        struct gy_err err = GY_ERR_INIT;
        (void)snprintf(config, sizeof config, "{\"aliases\":[{\"path\":\"/p\",%s}]}", bad[i].alias);
        gy_status st = endpoint_try(root, "e", 1, MODEL_SUM, config, &e, &err);
        if (st == GY_OK || !strstr(err.msg, bad[i].says)) {
            fail_msg("%s: %s \"%s\"", config, gy_status_name(st), err.msg);
        }
        assert_int_equal(gy_mem_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_texts_and_probability),
        cmocka_unit_test(test_columns_of_rules),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
