/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a version: packages that are ours, others, none; and not of another workspace.
 */
#include "data/dataset.h"
#include "flow/facts.h"
#include "scratch.h"
#include "store/objects.h"
#include "store/scope.h"
#include "store/verdicts.h"
#include "track/experiments.h"
#include "track/history.h"
#include "track/runs.h"
#include "unit.h"

#define ANN GY_STR("ann")
#define DATA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

struct fixture {
    struct scratch *s;
    struct gy_objects *objects;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct gy_err err = GY_ERR_INIT;
    f->s = scratch_new();
    scratch_open(f->s);
    *state = f;
    return gy_objects_open("memory:", &f->objects, &err) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_objects_free(f->objects);
    scratch_free(f->s);
    free(f);
    return 0;
}

/* A dataset and a verdict of the default workspace. */
static gy_status fill_default(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct gy_dataset_version d = {
        .name = GY_STR("patients"),
        .sha256 = GY_STR(DATA),
        .md5 = GY_STR("m"),
        .rows = 7,
        .read = 7,
        .accepted = 7,
        .actor = ANN,
        .schema_json = GY_STR("{\"columns\":[{\"name\":\"HR\",\"type\":\"int\"}]}")};
    const struct gy_verdict v = {
        .model_digest = GY_STR(DIGEST), .gate = GY_STR("hidden"), .blessed = true, .actor = ANN};
    int64_t version = 0;
    bool is_new = false;
    (void)ctx;
    GY_TRY(gy_verdict_add(db, &v, NULL, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO workspaces (id, name, actor, created_us) VALUES ('w', 'w', "
                      "'ann', 1)",
                      GY_NO_VALS, NULL, err));
    return gy_dataset_add(db, &d, &version, &is_new, err);
}

/* A version whose run says it read that data, and whose digest that verdict is about. */
static gy_status fill_model(struct gy_db *db, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    const struct gy_tag tags[] = {{GY_STR("gyre.data_sha256"), GY_STR(DATA)},
                                  {GY_STR("gyre.dataset"), GY_STR("patients@1")},
                                  {GY_STR("gyre.code_revision"), GY_STR("c0ffee+dirty")}};
    struct gy_run run;
    struct gy_model_version v;
    int64_t experiment = 0;
    (void)ctx;
    gy_arena_init(&a, 16 * GY_MIB);
    GY_TRY(gy_experiment_create(db, GY_STR("e"), GY_STR_NULL, NULL, 0, ANN, &a, &experiment, err));
    const struct gy_run_new in = {
        .experiment_id = experiment, .user_id = ANN, .tags = tags, .n_tags = 3};
    GY_TRY(gy_run_create(db, &in, ANN, &a, &run, err));
    const struct gy_tag params[] = {{GY_STR("C"), GY_STR("1.0")}};
    const struct gy_metric metrics[] = {{.key = GY_STR("f1"), .value = 0.5, .ts_ms = 1}};
    const struct gy_run_batch batch = {metrics, 1, params, 1, NULL, 0};
    GY_TRY(gy_run_log(db, run.id, &batch, false, ANN, err));
    GY_TRY(gy_model_create(db, GY_STR("m"), GY_STR_NULL, NULL, 0, ANN, err));
    const struct gy_version_new made = {
        .name = GY_STR("m"), .source = GY_STR("s3://elsewhere/m"), .run_id = run.id};
    GY_TRY(gy_version_create(db, &made, ANN, &a, &v, err));
    return gy_db_exec(db, "UPDATE model_versions SET digest = ? WHERE id = ?",
                      GY_VALS(gy_vc(DIGEST), gy_vi(v.id)), NULL, err);
}

static yyjson_val *section(const struct gy_facts *f, const char *name)
{
    return gy_json_get(gy_json_get(f->root, "sections"), name);
}

static void test_what_a_run_tells(void **state)
{
    struct fixture *f = *state;
    GY_AUTO_DONE(gy_facts_done) struct gy_facts facts = {.doc = NULL};
    struct gy_err err = GY_ERR_INIT;
    scratch_write(f->s, fill_default, NULL);
    scratch_write(f->s, fill_model, NULL);
    assert_status(
        GY_OK, gy_facts_gather(f->s->store, f->objects, GY_STR("models:/m/1"), &facts, &err), err);
    assert_str(gy_json_str(facts.root, "kind"), "version");
    assert_str(gy_json_str(section(&facts, "data"), "dataset"), "patients@1");
    assert_int_equal(gy_json_i64(section(&facts, "data"), "rows", 0), 7);
    assert_str(gy_json_str(gy_json_get(section(&facts, "columns"), "HR"), "type"), "int");
    assert_str(gy_json_str(section(&facts, "code"), "revision"), "c0ffee+dirty");
    assert_str(gy_json_str(section(&facts, "params"), "C"), "1.0");
    assert_true(gy_json_f64(gy_json_get(section(&facts, "metrics"), "f1"), "value", 0) == 0.5);
    assert_int_equal(yyjson_arr_size(gy_json_get(facts.root, "verdicts")), 1);
    assert_true(yyjson_is_null(gy_json_get(facts.root, "package_card")));
    for (size_t i = 0; gy_facts_sections[i]; i++) {
        assert_true(yyjson_is_obj(section(&facts, gy_facts_sections[i])));
    }
    /* The run alone. */
    char ref[128];
    (void)snprintf(ref, sizeof ref, "run:%s", gy_json_str(facts.root, "run_id").p);
    GY_AUTO_DONE(gy_facts_done) struct gy_facts run = {.doc = NULL};
    assert_status(GY_OK, gy_facts_gather(f->s->store, f->objects, gy_str_c(ref), &run, &err), err);
    assert_str(gy_json_str(run.root, "kind"), "run");
    assert_str(gy_json_str(section(&run, "data"), "dataset"), "patients@1");
    GY_AUTO_DONE(gy_facts_done) struct gy_facts bare = {.doc = NULL};
    assert_status(GY_OK, gy_facts_gather(f->s->store, f->objects, gy_str_c(ref + 4), &bare, &err),
                  err);
    assert_str(gy_json_str(bare.root, "kind"), "run");
}

static void test_what_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct gy_facts facts = {.doc = NULL};
    struct gy_err err = GY_ERR_INIT;
    static const char *const refs[] = {"m/1", "m@champion", "run:none",
                                       "0123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        assert_int_equal(gy_facts_gather(f->s->store, f->objects, gy_str_c(refs[i]), &facts, &err),
                         GY_E_NOTFOUND);
        assert_null(facts.doc);
    }
}

/* Who is in another workspace can name any bytes; it must tell nothing of what default has. */
static void test_other_workspaces_learn_nothing(void **state)
{
    struct fixture *f = *state;
    GY_AUTO_DONE(gy_facts_done) struct gy_facts facts = {.doc = NULL};
    struct gy_scope scope = {.workspace = GY_STR("w"), .actor = ANN};
    struct gy_err err = GY_ERR_INIT;
    scratch_write(f->s, fill_default, NULL);
    gy_scope_enter(&scope);
    scratch_write(f->s, fill_model, NULL);
    gy_status status = gy_facts_gather(f->s->store, f->objects, GY_STR("m/1"), &facts, &err);
    gy_scope_leave(&scope);
    assert_status(GY_OK, status, err);
    assert_int_equal(gy_json_i64(section(&facts, "data"), "rows", -1), -1);
    assert_int_equal(yyjson_obj_size(section(&facts, "columns")), 0);
    assert_int_equal(yyjson_arr_size(gy_json_get(facts.root, "verdicts")), 0);
    assert_int_equal(yyjson_arr_size(gy_json_get(facts.root, "approvals")), 0);
    assert_null(strstr(facts.text.p, "hidden"));
    /* What its own run says is its own. */
    assert_str(gy_json_str(section(&facts, "data"), "sha256"), DATA);
    assert_int_equal(gy_facts_gather(f->s->store, f->objects, GY_STR("m/1"), &facts, &err),
                     GY_E_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_run_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_workspaces_learn_nothing, setup, teardown),
    };
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
