/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "flow/records.h"
#include "store/lineage.h"
#include "unit.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static struct gy_store *g_store;
static struct gy_arena g_arena;

static int setup(void **state)
{
    (void)state;
    gy_arena_init(&g_arena, 64 * GY_MIB);
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    return gy_store_open(&o, &g_store, NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gy_store_free(g_store);
    gy_arena_done(&g_arena);
    return 0;
}

struct job {
    struct gy_flow_run_record run;
    struct gy_flow_step_record step;
    struct gy_str id, status, node;
    char new_id[GY_UUID_TEXT];
    struct gy_flow_run_record *runs;
    struct gy_flow_step_record *steps;
    struct gy_lineage_edge *edges;
    size_t n;
    bool found, upstream;
};

static gy_status do_start(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_flow_record_start(db, &j->run, j->new_id, err);
}

static gy_status do_step(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_flow_record_step(db, &j->step, GY_STR("alice"), err);
}

static gy_status do_end(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_flow_record_end(db, j->id, j->status, GY_STR("why"), GY_STR("alice"), err);
}

static gy_status do_get(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    GY_TRY(gy_flow_record_get(db, j->id, &g_arena, &j->found, &j->run, err));
    return gy_flow_record_steps(db, j->id, &g_arena, &j->steps, &j->n, err);
}

static gy_status do_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_flow_record_list(db, j->status, GY_STR_NULL, 0, &g_arena, &j->runs, &j->n, err);
}

static gy_status do_walk(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_lineage_walk(db, j->node, j->upstream, 100, &g_arena, &j->edges, &j->n, err);
}

static gy_status do_dataset(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_db_exec(db,
                      "INSERT INTO dataset_versions (name, version, sha256, md5, size_bytes, "
                      "row_count, read_count, "
                      "accepted_count, dead_count, actor, created_us) VALUES ('d', 1, ?, 'm', 1, "
                      "1, 1, 1, 0, 'alice', 1)",
                      GY_VALS(gy_vc(SHA_B)), NULL, err);
}

static struct job start(const char *project, const char *revision)
{
    struct job j = {.run = {.project = gy_str_c(project),
                            .code_revision = gy_str_c(revision),
                            .actor = GY_STR("alice"),
                            .folder = GY_STR("/p"),
                            .targets_json = GY_STR("[\"a\"]")}};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(g_store, do_start, &j, &err), err);
    return j;
}

static bool has_edge(const struct job *j, const char *from, const char *rel, const char *to)
{
    for (size_t i = 0; i < j->n; i++) {
        if (gy_str_eqc(j->edges[i].from, from) && gy_str_eqc(j->edges[i].rel, rel) &&
            gy_str_eqc(j->edges[i].to, to)) {
            return true;
        }
    }
    return false;
}

static void test_life_of_a_run(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct job j = start("sepsis", "rev1");
    j.step = (struct gy_flow_step_record){.run_id = gy_str_c(j.new_id),
                                          .stage = GY_STR("a"),
                                          .status = GY_STR("running"),
                                          .cmd = GY_STR("x"),
                                          .started_us = 5,
                                          .why = GY_STR("it never ran")};
    assert_status(GY_OK, gy_store_write(g_store, do_step, &j, &err), err);
    j.step.status = GY_STR("failed");
    j.step.exit_code = 3;
    j.step.ended_us = 9;
    j.step.error = GY_STR("exit code 3");
    j.step.deps_json = GY_STR("[{\"path\":\"in\",\"md5\":\"m\",\"sha256\":\"" SHA_A "\"}]");
    assert_status(GY_OK, gy_store_write(g_store, do_step, &j, &err), err);
    j.id = gy_str_c(j.new_id);
    j.status = GY_STR("failed");
    assert_status(GY_OK, gy_store_write(g_store, do_end, &j, &err), err);
    assert_int_equal(gy_store_write(g_store, do_end, &j, &err), GY_E_CONFLICT);
    assert_int_equal(gy_store_write(g_store, do_step, &j, &err), GY_E_CONFLICT); /* it is over */
    assert_status(GY_OK, gy_store_read(g_store, do_get, &j, &err), err);
    assert_true(j.found);
    assert_str(j.run.status, "failed");
    assert_str(j.run.error, "why");
    assert_str(j.run.targets_json, "[\"a\"]");
    assert_true(j.run.ended_us > 0);
    assert_int_equal(j.n, 1);
    assert_str(j.steps[0].status, "failed");
    assert_int_equal(j.steps[0].exit_code, 3);
    assert_str(j.steps[0].why, "it never ran");
    assert_str(j.steps[0].params_json, "{}");
    assert_int_equal(j.steps[0].started_us, 5);
}

static void test_refused(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct job j = start("sepsis", "rev1");
    struct job twin = {.run = j.run};
    twin.run.id = gy_str_c(j.new_id);
    assert_int_equal(gy_store_write(g_store, do_start, &twin, &err), GY_E_EXISTS);
    twin.run.id = GY_STR("no uuid");
    assert_int_equal(gy_store_write(g_store, do_start, &twin, &err), GY_E_INVALID);
    twin.run.id = GY_STR_NULL;
    twin.run.project = GY_STR("");
    assert_int_equal(gy_store_write(g_store, do_start, &twin, &err), GY_E_INVALID);
    j.step = (struct gy_flow_step_record){
        .run_id = GY_STR("nope"), .stage = GY_STR("a"), .status = GY_STR("running")};
    assert_int_equal(gy_store_write(g_store, do_step, &j, &err), GY_E_NOTFOUND);
    j.step.run_id = gy_str_c(j.new_id);
    j.step.status = GY_STR("dancing");
    assert_int_equal(gy_store_write(g_store, do_step, &j, &err), GY_E_INVALID);
    j.step.status = GY_STR("done");
    j.step.outs_json = GY_STR("[{\"path\":\"x\",\"sha256\":\"short\"}]");
    assert_int_equal(gy_store_write(g_store, do_step, &j, &err), GY_E_INVALID);
    j.step.outs_json = GY_STR("[{\"path\":\"x\"}]");
    assert_int_equal(gy_store_write(g_store, do_step, &j, &err), GY_E_INVALID);
    j.id = gy_str_c(j.new_id);
    j.status = GY_STR("running");
    assert_int_equal(gy_store_write(g_store, do_end, &j, &err), GY_E_INVALID);
    j.id = GY_STR("nope");
    j.status = GY_STR("done");
    assert_int_equal(gy_store_write(g_store, do_end, &j, &err), GY_E_NOTFOUND);
    assert_status(GY_OK, gy_store_read(g_store, do_get, &j, &err), err);
    assert_false(j.found);
}

struct sweep {
    struct gy_str place, job, by;
    struct gy_str *ids, *stages;
    size_t n, n_stages;
};

static gy_status do_sweep(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct sweep *s = ctx;
    GY_TRY(gy_flow_record_abandon(db, s->place, s->job, s->by, GY_STR("alice"), &g_arena, &s->ids,
                                  &s->n, err));
    return s->job.p ? gy_flow_record_job_done(db, s->job, &g_arena, &s->stages, &s->n_stages, err)
                    : GY_OK;
}

static struct job start_at(const char *place, const char *job)
{
    struct job j = {.run = {.project = GY_STR("sepsis"),
                            .name = GY_STR("[drift] at noon"),
                            .place = gy_str_c(place),
                            .job = gy_str_c(job),
                            .actor = GY_STR("alice")}};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(g_store, do_start, &j, &err), err);
    return j;
}

static void test_runs_whose_process_is_gone(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct job old = start_at("host:/a", "j1");
    struct job other = start_at("host:/b", NULL);
    old.step = (struct gy_flow_step_record){
        .run_id = gy_str_c(old.new_id), .stage = GY_STR("a"), .status = GY_STR("done")};
    assert_status(GY_OK, gy_store_write(g_store, do_step, &old, &err), err);
    old.step.stage = GY_STR("b");
    old.step.status = GY_STR("running");
    assert_status(GY_OK, gy_store_write(g_store, do_step, &old, &err), err);
    struct job twin = {.run = old.run}; /* a job's client that did not hear the answer asks again */
    twin.run.id = gy_str_c(old.new_id);
    assert_status(GY_OK, gy_store_write(g_store, do_start, &twin, &err), err);
    twin.run.job = GY_STR("j2");
    assert_int_equal(gy_store_write(g_store, do_start, &twin, &err), GY_E_EXISTS);

    struct job next = start_at("host:/a", NULL);
    struct sweep s = {.place = GY_STR("host:/a"), .by = gy_str_c(next.new_id)};
    assert_status(GY_OK, gy_store_write(g_store, do_sweep, &s, &err), err);
    assert_int_equal(s.n, 1);
    assert_str(s.ids[0], old.new_id);
    old.id = gy_str_c(old.new_id);
    assert_status(GY_OK, gy_store_read(g_store, do_get, &old, &err), err);
    assert_str(old.run.status, "cancelled");
    assert_str(old.run.name, "[drift] at noon");
    assert_non_null(strstr(old.run.error.p, next.new_id));
    assert_str(old.steps[0].status, "done");
    assert_str(old.steps[1].status, "cancelled");
    other.id = gy_str_c(other.new_id);
    assert_status(GY_OK, gy_store_read(g_store, do_get, &other, &err), err);
    assert_str(other.run.status, "running");

    struct sweep by_job = {.job = GY_STR("j1")};
    assert_status(GY_OK, gy_store_write(g_store, do_sweep, &by_job, &err), err);
    assert_int_equal(by_job.n, 0);
    assert_int_equal(by_job.n_stages, 1);
    assert_str(by_job.stages[0], "a");
}

/* From what a stage made one walk reaches the code and what it read; known dataset bytes are called
 * data. */
static void test_lineage(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char step[160];
    assert_status(GY_OK, gy_store_write(g_store, do_dataset, NULL, &err), err);
    struct job j = start("sepsis", "rev1+dirty");
    (void)snprintf(step, sizeof step, "step:%s/ingest", j.new_id);
    j.step = (struct gy_flow_step_record){
        .run_id = gy_str_c(j.new_id),
        .stage = GY_STR("ingest"),
        .status = GY_STR("done"),
        .cmd = GY_STR("x"),
        .deps_json =
            GY_STR("[{\"path\":\"raw.csv\",\"md5\":\"m\",\"size\":1,\"sha256\":\"" SHA_A "\"}]"),
        .outs_json =
            GY_STR("[{\"path\":\"data.csv\",\"md5\":\"m\",\"size\":1,\"sha256\":\"" SHA_B "\"},"
                   "{\"path\":\"dir\",\"md5\":\"0123456789abcdef0123456789abcdef.dir\",\"size\":1,"
                   "\"nfiles\":1,"
                   "\"files\":[{\"path\":\"f\",\"sha256\":\"" SHA_C "\"}]}]")};
    assert_status(GY_OK, gy_store_write(g_store, do_step, &j, &err), err);
    assert_status(GY_OK, gy_store_write(g_store, do_step, &j, &err),
                  err); /* told twice is one edge */
    j.node = GY_STR("data:" SHA_B);
    j.upstream = true;
    assert_status(GY_OK, gy_store_read(g_store, do_walk, &j, &err), err);
    assert_int_equal(j.n, 3);
    assert_true(has_edge(&j, step, "output", "data:" SHA_B));
    assert_true(has_edge(&j, "code:rev1+dirty", "code", step));
    assert_true(has_edge(&j, "file:" SHA_A, "input", step));
    j.node = GY_STR("file:" SHA_A);
    j.upstream = false;
    assert_status(GY_OK, gy_store_read(g_store, do_walk, &j, &err), err);
    assert_true(has_edge(&j, step, "output", "dir:0123456789abcdef0123456789abcdef"));
    assert_true(has_edge(&j, step, "output", "file:" SHA_C));
}

static void test_unversioned_code_is_no_node(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct job j = start("p", "unversioned");
    j.step = (struct gy_flow_step_record){
        .run_id = gy_str_c(j.new_id),
        .stage = GY_STR("a"),
        .status = GY_STR("done"),
        .outs_json = GY_STR("[{\"path\":\"f\",\"sha256\":\"" SHA_A "\"}]")};
    assert_status(GY_OK, gy_store_write(g_store, do_step, &j, &err), err);
    j.node = GY_STR("file:" SHA_A);
    j.upstream = true;
    assert_status(GY_OK, gy_store_read(g_store, do_walk, &j, &err), err);
    assert_int_equal(j.n, 1);
}

static void test_list(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    (void)start("a", "r");
    (void)start("b", "r");
    (void)start("a", "r");
    struct job j = {.status = GY_STR_NULL};
    assert_status(GY_OK, gy_store_read(g_store, do_list, &j, &err), err);
    assert_int_equal(j.n, 3);
    assert_true(j.runs[0].started_us >= j.runs[2].started_us);
    j.status = GY_STR("a");
    assert_status(GY_OK, gy_store_read(g_store, do_list, &j, &err), err);
    assert_int_equal(j.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life_of_a_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_whose_process_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lineage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unversioned_code_is_no_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
