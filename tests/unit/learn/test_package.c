/* SPDX-License-Identifier: Apache-2.0 */
/* Packages: what is written, what a predictor refuses, and the proof. */
#include "support_learn.h"

#include "learn/publish.h"
#include "learn/runtime/runtime.h"
#include "learn/runtime/trees.h"

#define PARAMS                                                                       \
    "seed: 7\ntrain: {features: [HR, Resp, Temp], xgboost: {rounds: 20, depth: 4}, " \
    "logistic: {l2: 1}}"

/* A sealed package of this learner in the folder `name`. */
static const char *package(enum gy_learner learner, const char *yaml, const char *name,
                           char dir[GY_MAX_PATH])
{
    GY_AUTO(gy_table_free) struct gy_table *t = patients(800, 9);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    const struct gy_package_ids ids = {.run_id = GY_STR("0123456789abcdef0123456789abcdef"),
                                       .uuid = GY_STR("fedcba9876543210fedcba9876543210"),
                                       .created_us = 1763689917123456};
    in_dir(dir, name);
    OK(gy_dir_remove(dir, &g_err));
    read_params(&p, learner, yaml);
    p.replicates = 0;
    OK(gy_train(t, &p, dir, &done, &g_err));
    OK(gy_package_seal(dir, &done.model, &ids, &g_err));
    return dir;
}

static void predict_one(const struct gy_predictor *p, const double *row, double *out)
{
    GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p, 1) + 63);
    assert_non_null(scratch);
    gy_predictor_run(p, row, 1, out, (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63));
}

/* ---- MLmodel ---- */

static void ml_model_is_what_mlflow_reads(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    read_file(package(GY_LEARNER_XGBOOST, PARAMS, "mlmodel", dir), "MLmodel", &text);
    OK(gy_yaml_parse(gy_buf_str(&text), "MLmodel", &y, &g_err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    static const char *const want[][2] = {
        {"flavors.gyre.format", "gyre.model/1"},
        {"flavors.xgboost.data", "model.ubj"},
        {"flavors.xgboost.model_class", "xgboost.core.Booster"},
        {"flavors.python_function.loader_module", "mlflow.xgboost"},
        {"run_id", "0123456789abcdef0123456789abcdef"},
        {"model_uuid", "fedcba9876543210fedcba9876543210"},
        {"utc_time_created", "2025-11-21 01:51:57.123456"},
        {"saved_input_example_info.artifact_path", "input_example.json"},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct gy_yaml_node *n = gy_yaml_path(root, gy_str_c(want[i][0]));
        if (!n || !gy_str_eqc(n->text, want[i][1])) {
            fail_msg("%s is %.*s", want[i][0], n ? (int)n->text.n : 0, n ? n->text.p : "");
        }
    }
    const struct gy_yaml_node *inputs = gy_yaml_path(root, GY_STR("signature.inputs"));
    assert_non_null(inputs);
    OK(gy_json_parse(inputs->text, &doc, &g_err));
    yyjson_val *first = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    assert_true(gy_str_eqc(gy_json_str(first, "name"), "HR"));
    assert_true(gy_str_eqc(gy_json_str(first, "type"), "double"));
    assert_true(gy_json_bool(first, "required", false));
}

/* Behind feature steps Python's xgboost would answer something else: no such flavor then. */
static void xgboost_flavor_only_for_raw_inputs(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    package(GY_LEARNER_XGBOOST, "train: {features: [HR], scale: zscore, xgboost: {rounds: 2}}",
            "scaled", dir);
    read_file(dir, "MLmodel", &text);
    assert_non_null(strstr(text.p, "gyre.model/1"));
    assert_null(strstr(text.p, "xgboost"));
    OK(gy_path_join(path, sizeof path, dir, "requirements.txt", &g_err));
    assert_false(gy_path_exists(path));
}

/* ---- the predictor ---- */

static void predictor_tells_what_it_is(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH], digest[65];
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    package(GY_LEARNER_XGBOOST, PARAMS, "info", dir);
    OK(gy_predictor_load(dir, &p, &g_err));
    OK(gy_package_digest(dir, digest, &g_err));
    const struct gy_predictor_info *i = gy_predictor_info(p);
    assert_int_equal(i->task, GY_TASK_BINARY);
    assert_true(gy_str_eqc(i->learner, "xgboost") && gy_str_eqc(i->target, "sick"));
    assert_true(i->n_inputs == 3 && i->n_classes == 2 && i->n_outputs == 1 && i->n_trees == 20);
    assert_true(gy_str_eqc(i->inputs[0].name, "HR") && i->inputs[0].integer &&
                i->inputs[0].required);
    assert_true(i->inputs[0].min == 60 && i->inputs[0].max == 119);
    assert_true(gy_str_eqc(i->inputs[2].name, "Temp") && !i->inputs[2].integer);
    assert_true(gy_str_eqc(i->classes[1], "1") && i->threshold == 0.5);
    assert_true(gy_str_eqc(i->digest, digest));
    assert_true(gy_str_starts(i->input_example, GY_STR("{\"HR\":")));
}

/* One row, few rows and many rows are other code: the same answers. */
static void blocks_do_not_change_answers(void **state)
{
    (void)state;
    enum { ROWS = 333 };
    static double rows[ROWS * 3], all[ROWS], one[ROWS];
    for (int l = GY_LEARNER_MAJORITY; l <= GY_LEARNER_XGBOOST; l++) {
        char dir[GY_MAX_PATH];
        GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
        package((enum gy_learner)l, PARAMS, "blocks", dir);
        OK(gy_predictor_load(dir, &p, &g_err));
        struct gy_rng r;
        gy_rng_init(&r, 5);
        for (size_t i = 0; i < ROWS * 3; i++) {
            rows[i] = gy_rng_below(&r, 9) ? 10 + gy_rng_f64(&r) * 100 : NAN;
        }
        GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p, ROWS) + 63);
        assert_non_null(scratch);
        gy_predictor_run(p, rows, ROWS, all, (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63));
        for (size_t i = 0; i < ROWS; i++) {
            predict_one(p, rows + 3 * i, one + i);
            assert_true(isfinite(one[i]) && one[i] >= 0 && one[i] <= 1);
        }
        assert_memory_equal(all, one, sizeof all);
    }
}

/* A logistic package by hand: impute, scale, weigh, squash. */
static void logistic_by_hand(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    in_dir(dir, "hand");
    OK(gy_dir_make(dir, &g_err));
    write_file(
        dir, "model.json",
        GY_STR("{\"format\":\"gyre.model/1\",\"task\":\"binary\",\"target\":\"y\",\"inputs\":[{"
               "\"name\":\"a\",\"type\":\"float\",\"required\":false},{\"name\":\"b\",\"type\":"
               "\"int\",\"required\":true}],\"features\":[{\"impute\":\"mean\",\"fill\":3,"
               "\"mean\":1,\"sd\":2},{\"impute\":\"none\"}],\"learner\":{\"name\":\"logistic\","
               "\"values\":[0.5,-1,0.25]},\"classes\":[\"no\",\"yes\"],\"threshold\":0.4}"));
    OK(gy_predictor_load(dir, &p, &g_err));
    const double rows[2][2] = {{NAN, 0.75}, {5, 2}};
    double out = 0;
    predict_one(p, rows[0], &out); /* (3 - 1) / 2 * .5 - .75 + .25 = 0 */
    assert_true(out == 0.5);
    predict_one(p, rows[1], &out); /* (5 - 1) / 2 * .5 - 2 + .25 = -.75 */
    assert_true(fabs(out - 1 / (1 + exp(0.75))) < 1e-15);
    assert_true(gy_predictor_info(p)->threshold == 0.4);
    assert_null(gy_predictor_info(p)->input_example.p);
    assert_true(isinf(gy_predictor_info(p)->inputs[0].min));
}

struct edit {
    const char *from, *to;
    gy_status code;
    const char *says;
};

static gy_status load_edited(const char *dir, const struct gy_buf *whole, const struct edit *e,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_predictor *p = NULL;
    const char *at = strstr(whole->p, e->from);
    if (!at) {
        fail_msg("model.json has no %s", e->from);
    }
    gy_buf_init(&text, GY_MIB);
    gy_buf_add_bytes(&text, whole->p, (size_t)(at - whole->p));
    gy_buf_addc(&text, e->to);
    gy_buf_addc(&text, at + strlen(e->from));
    write_file(dir, "model.json", gy_buf_str(&text));
    gy_status status = gy_predictor_load(dir, &p, err);
    gy_predictor_free(p);
    return status;
}

static void predictor_refuses_damage(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        {"gyre.model/1", "gyre.model/9", GY_E_NOTSERVABLE, "gyre.model/9"},
        {"\"xgboost\"", "\"catboost\"", GY_E_NOTSERVABLE, "catboost"},
        {"\"binary\"", "\"regression\"", GY_E_CORRUPT, "does not fit"},
        {"\"binary\"", "\"ranking\"", GY_E_CORRUPT, "task"},
        {"\"sha256\": \"", "\"sha256\": \"0", GY_E_CORRUPT, "written for"},
        {"model.ubj", "../model.ubj", GY_E_CORRUPT, "model.json"},
        {"model.ubj", "other.ubj", GY_E_NOTFOUND, "other.ubj"},
        {"\"impute\": \"none\"", "\"impute\": \"mean\"", GY_E_CORRUPT, "fill"},
        {"\"classes\"", "\"klasses\"", GY_E_CORRUPT, "classes"},
        {"\"threshold\": 0.5", "\"threshold\": \"x\"", GY_E_CORRUPT, "threshold"},
        {"\"features\"", "\"steps\"", GY_E_CORRUPT, "features"},
        {"{", "", GY_E_CORRUPT, "model.json"},
    };
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf whole;
    package(GY_LEARNER_XGBOOST, PARAMS, "damaged", dir);
    read_file(dir, "model.json", &whole);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        gy_status status = load_edited(dir, &whole, &edits[i], &err);
        if (status != edits[i].code || !strstr(err.msg, edits[i].says)) {
            fail_msg("%s -> %s: %s '%s'", edits[i].from, edits[i].to, gy_status_name(status),
                     err.msg);
        }
    }
    struct gy_predictor *p = NULL;
    assert_int_equal(gy_predictor_load("/no/such/folder", &p, NULL), GY_E_NOTFOUND);
    assert_int_equal(gy_predictor_load(g_dir, &p, NULL), GY_E_NOTSERVABLE); /* no model.json */
}

static void digest_covers_every_byte_and_name(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH], sub[GY_MAX_PATH], a[65], b[65], text[256], want[65];
    in_dir(dir, "digest");
    OK(gy_dir_make(in_dir(sub, "digest/sub"), &g_err));
    write_file(dir, "b.txt", GY_STR("two"));
    write_file(sub, "a.txt", GY_STR("one"));
    OK(gy_package_digest(dir, a, &g_err));
    /* "<sha256>  <path>\n" of each, sorted by path */
    char one[65], two[65];
    OK(gy_sha256_hex(GY_STR("one"), one, &g_err));
    OK(gy_sha256_hex(GY_STR("two"), two, &g_err));
    (void)snprintf(text, sizeof text, "%s  b.txt\n%s  sub/a.txt\n", two, one);
    OK(gy_sha256_hex(gy_str_c(text), want, &g_err));
    assert_string_equal(a, want);
    write_file(sub, "a.txt", GY_STR("onf"));
    OK(gy_package_digest(dir, b, &g_err));
    assert_string_not_equal(a, b);
    assert_int_equal(gy_package_digest("/no/such/folder", b, NULL), GY_E_NOTFOUND);
}

/* ---- the proof ---- */

static bool servable(const char *dir, char reason[512])
{
    bool yes = false;
    OK(gy_package_prove(dir, 2000, &yes, reason, &g_err));
    return yes;
}

static void proof_of_sound_packages(void **state)
{
    (void)state;
    static const char *const variants[] = {
        PARAMS,
        "train: {features: [HR, Temp], impute: zero, scale: zscore, xgboost: {rounds: 9}}",
        "train: {target: Temp, features: [HR, Resp], task: regression, xgboost: {rounds: 9}}",
    };
    char dir[GY_MAX_PATH], reason[512];
    for (size_t i = 0; i < 3; i++) {
        if (!servable(package(GY_LEARNER_XGBOOST, variants[i], "sound", dir), reason)) {
            fail_msg("%s: %s", variants[i], reason);
        }
    }
    assert_true(servable(package(GY_LEARNER_LOGISTIC, PARAMS, "sound", dir), reason));
    assert_true(servable(package(GY_LEARNER_MAJORITY, PARAMS, "sound", dir), reason));
}

/* Replace the model file and tell model.json its digest: a sound folder with another model. */
static void put_model(const char *dir, struct gy_str file)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    char sha256[65];
    OK(gy_sha256_hex(file, sha256, &g_err));
    write_file(dir, "model.ubj", file);
    read_file(dir, "model.json", &json);
    char *at = strstr(json.p, "\"sha256\": \"");
    assert_non_null(at);
    memcpy(at + 11, sha256, 64);
    write_file(dir, "model.json", gy_buf_str(&json));
}

static void proof_refuses_and_says_why(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH], reason[512], path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    package(GY_LEARNER_XGBOOST, PARAMS, "unsound", dir);
    read_file(dir, "model.ubj", &file);
    write_file(dir, "model.ubj", gy_str_n(file.p, file.n - 1));
    assert_false(servable(dir, reason));
    assert_non_null(strstr(reason, "model.json was written for"));
    put_model(dir, gy_str_n(file.p, file.n - 1));
    assert_false(servable(dir, reason));
    assert_non_null(strstr(reason, "byte"));
    write_file(dir, "input_example.json", GY_STR("{\"columns\":[\"HR\"],\"data\":[[1]]}"));
    put_model(dir, gy_buf_str(&file));
    assert_false(servable(dir, reason));
    assert_non_null(strstr(reason, "lacks an input"));
    /* trees are compared anyway, a linear package has nothing else to be tried on */
    OK(gy_path_join(path, sizeof path, dir, "input_example.json", &g_err));
    assert_int_equal(remove(path), 0);
    assert_true(servable(dir, reason));
    package(GY_LEARNER_LOGISTIC, PARAMS, "unsound", dir);
    assert_int_equal(remove(path), 0);
    assert_false(servable(dir, reason));
    assert_non_null(strstr(reason, "no input example"));
    assert_false(servable("/no/such/folder", reason));
}

/* XGBoost 3.1 writes base_score as "[5E-1]". Ours reads it; libxgboost 1.7 would take it for no
 * base_score at all, so the proof hands it the margin. Prove that on a score that matters. */
static void proof_understands_a_list_base_score(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH], reason[512];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf newer;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    package(GY_LEARNER_XGBOOST, PARAMS, "newer", dir);
    read_file(dir, "model.ubj", &file);
    gy_buf_init(&newer, GY_MIB);
    static const char key[] = "base_scoreSL\0\0\0\0\0\0\0\x04"
                              "5E-1";
    char *at = memmem(file.p, file.n, key, sizeof key - 1);
    assert_non_null(at);
    gy_buf_add_bytes(&newer, file.p, (size_t)(at - file.p));
    gy_buf_add_bytes(&newer, "base_scoreSL\0\0\0\0\0\0\0\x06[2E-1]", sizeof key - 1 + 2);
    gy_buf_add_bytes(&newer, at + sizeof key - 1,
                     file.n - (size_t)(at - file.p) - (sizeof key - 1));
    OK(gy_trees_parse(gy_buf_str(&newer), &t, &g_err));
    assert_true(gy_trees_get_info(t)->base_score_list);
    put_model(dir, gy_buf_str(&newer));
    if (!servable(dir, reason)) {
        fail_msg("%s", reason);
    }
}

/* ---- packages of MLflow's own clients ---- */

#define ML_MODEL                                                                              \
    "flavors:\n  xgboost: {data: model.ubj, model_class: xgboost.core.Booster}\nsignature:\n" \
    "  inputs: '[{\"type\": \"long\", \"name\": \"HR\", \"required\": true}, {\"type\": "     \
    "\"double\", "                                                                            \
    "\"name\": \"Resp\", \"required\": false}, {\"type\": \"double\", \"name\": \"Temp\"}]'\n"

static void serves_what_mlflow_logged(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH], reason[512];
    const double row[3] = {100, NAN, 39};
    double ours = 0, foreign = 0;
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO(gy_predictor_free) struct gy_predictor *q = NULL;
    package(GY_LEARNER_XGBOOST, PARAMS, "foreign", dir);
    OK(gy_predictor_load(dir, &p, &g_err));
    predict_one(p, row, &ours);
    OK(gy_path_join(path, sizeof path, dir, "model.json", &g_err));
    assert_int_equal(remove(path), 0);
    write_file(dir, "MLmodel", GY_STR(ML_MODEL));
    OK(gy_predictor_load(dir, &q, &g_err));
    predict_one(q, row, &foreign);
    assert_memory_equal(&ours, &foreign, sizeof ours);
    const struct gy_predictor_info *i = gy_predictor_info(q);
    assert_true(i->inputs[0].integer && i->inputs[0].required && !i->inputs[1].required);
    assert_true(gy_str_eqc(i->inputs[2].name, "Temp") && i->task == GY_TASK_BINARY);
    if (!servable(dir, reason)) {
        fail_msg("%s", reason);
    }
}

static void refuses_other_flavors_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *ml_model, *says;
        gy_status code;
    } cases[] = {
        {"flavors:\n  python_function: {}\n  sklearn: {}\n", "python_function, sklearn",
         GY_E_NOTSERVABLE},
        {"flavors: {}\n", "none", GY_E_NOTSERVABLE},
        {"a: [", "MLmodel", GY_E_CORRUPT},
        {"flavors: {xgboost: {}}\n", "where", GY_E_CORRUPT},
        {"flavors: {xgboost: {data: ../model.ubj}}\n", "where", GY_E_CORRUPT},
        {"flavors: {xgboost: {data: nix.ubj}}\n", "nix.ubj", GY_E_NOTFOUND},
        {"flavors: {xgboost: {data: model.ubj}}\nsignature: {inputs: '[{\"type\": \"double\", "
         "\"name\": \"a\"}]'}\n",
         "1 inputs", GY_E_CORRUPT},
        {"flavors: {xgboost: {data: model.ubj}}\nsignature: {inputs: '[{\"type\": \"string\", "
         "\"name\": \"a\"}, {}, {}]'}\n",
         "text in the signature", GY_E_NOTSERVABLE},
        {"flavors: {xgboost: {data: model.ubj}}\nsignature: {inputs: 'x'}\n", "JSON", GY_E_CORRUPT},
    };
    char dir[GY_MAX_PATH];
    package(GY_LEARNER_XGBOOST, PARAMS, "others", dir);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_predictor *p = NULL;
        struct gy_err err = GY_ERR_INIT;
        write_file(dir, "MLmodel", gy_str_c(cases[i].ml_model));
        gy_status status = gy_predictor_load(dir, &p, &err);
        if (status != cases[i].code || !strstr(err.msg, cases[i].says)) {
            fail_msg("%s: %s '%s'", cases[i].ml_model, gy_status_name(status), err.msg);
        }
    }
    /* no signature at all: the names that the file has */
    struct gy_predictor *p = NULL;
    write_file(dir, "MLmodel", GY_STR("flavors: {xgboost: {data: model.ubj}}\n"));
    OK(gy_predictor_load(dir, &p, &g_err));
    assert_true(gy_str_eqc(gy_predictor_info(p)->inputs[2].name, "Temp"));
    gy_predictor_free(p);
}

/* ---- memory ---- */

static void load_and_predict_survive_failing_memory(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    const double row[3] = {90, NAN, 38};
    package(GY_LEARNER_XGBOOST,
            "train: {features: [HR, Resp, Temp], xgboost: {rounds: 3, depth: 2}}", "memory", dir);
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_predictor *p = NULL;
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_predictor_load(dir, &p, NULL);
        gy_mem_fail_at(0, 0);
        if (status == GY_OK) {
            double out = 0;
            predict_one(p, row, &out);
            assert_true(out > 0 && out < 1);
            gy_predictor_free(p);
            assert_int_equal(gy_mem_live(), live);
            assert_true(nth > 20);
            break;
        }
        assert_null(p);
        assert_int_equal(status, GY_E_NOMEM);
        assert_int_equal(gy_mem_live(), live);
    }
    /* predicting itself allocates nothing */
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    OK(gy_predictor_load(dir, &p, &g_err));
    GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p, 1) + 63);
    double out = 0;
    gy_mem_fail_at(0, 0);
    uint64_t before = gy_mem_count();
    gy_predictor_run(p, row, 1, &out, (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63));
    assert_int_equal(gy_mem_count(), before);
}

static void training_survives_failing_memory(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(120, 9);
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    read_params(&p, GY_LEARNER_LOGISTIC,
                "train: {features: [HR, Resp, Temp], slices: ['HR > 90']}");
    p.replicates = 3;
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct gy_trained done;
        struct gy_err err = GY_ERR_INIT;
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_train(t, &p, in_dir(dir, "starved"), &done, &err);
        gy_mem_fail_at(0, 0);
        if (status == GY_OK) {
            gy_trained_done(&done);
            assert_int_equal(gy_mem_live(), live);
            assert_true(nth > 40);
            break;
        }
        if (status != GY_E_NOMEM) {
            fail_msg("allocation %llu: %s '%s'", (unsigned long long)nth, gy_status_name(status),
                     err.msg);
        }
        assert_int_equal(gy_mem_live(), live);
    }
}

/* ---- the commit of the project ---- */

static void finds_the_commit(void **state)
{
    (void)state;
    char git[GY_MAX_PATH], sub[GY_MAX_PATH], revision[65];
    static const char commit[] = "0123456789abcdef0123456789abcdef01234567";
    OK(gy_dir_make(in_dir(git, "repo/.git/refs/heads"), &g_err));
    OK(gy_dir_make(in_dir(sub, "repo/a/b"), &g_err));
    in_dir(git, "repo/.git");
    write_file(git, "HEAD", GY_STR("ref: refs/heads/main\n"));
    assert_false(gy_code_revision(sub, revision)); /* no commit yet */
    write_file(git, "packed-refs",
               GY_STR("# pack-refs with: peeled\n0123456789abcdef0123456789abcdef01234567 "
                      "refs/heads/main\n"));
    assert_true(gy_code_revision(sub, revision));
    assert_string_equal(revision, commit);
    write_file(git, "refs/heads/main", GY_STR("1123456789abcdef0123456789abcdef01234567\n"));
    assert_true(gy_code_revision(sub, revision));
    assert_int_equal(revision[0], '1');
    write_file(git, "HEAD", GY_STR("2123456789abcdef0123456789abcdef01234567\n")); /* detached */
    assert_true(gy_code_revision(sub, revision));
    assert_int_equal(revision[0], '2');
    write_file(git, "HEAD", GY_STR("ref: ../../etc/passwd\n"));
    assert_false(gy_code_revision(sub, revision));
    assert_false(gy_code_revision("/", revision));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ml_model_is_what_mlflow_reads),
        cmocka_unit_test(xgboost_flavor_only_for_raw_inputs),
        cmocka_unit_test(predictor_tells_what_it_is),
        cmocka_unit_test(blocks_do_not_change_answers),
        cmocka_unit_test(logistic_by_hand),
        cmocka_unit_test(predictor_refuses_damage),
        cmocka_unit_test(digest_covers_every_byte_and_name),
        cmocka_unit_test(proof_of_sound_packages),
        cmocka_unit_test(proof_refuses_and_says_why),
        cmocka_unit_test(proof_understands_a_list_base_score),
        cmocka_unit_test(serves_what_mlflow_logged),
        cmocka_unit_test(refuses_other_flavors_by_name),
        cmocka_unit_test(load_and_predict_survive_failing_memory),
        cmocka_unit_test(training_survives_failing_memory),
        cmocka_unit_test(finds_the_commit),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
