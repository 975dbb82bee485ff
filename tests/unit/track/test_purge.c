/* SPDX-License-Identifier: Apache-2.0 */
/* Purging stays in its workspace, keeps what is needed, goes in steps, and says what it did. What
 * is removed with a run is in tests/cli/test_gc.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "scratch.h"
#include "store/scope.h"
#include "track/purge.h"

static int setup(void **state)
{
    struct scratch *s = scratch_new();
    scratch_open(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static const char *const rows[] = {
    "INSERT INTO workspaces (id, name, actor, created_us) VALUES ('lab', 'lab', 't', 1)",
    "INSERT INTO experiments (id, workspace_id, name, artifact_location, deleted, deleted_us, "
    "actor, "
    "created_us, updated_us) VALUES (1, 'default', 'e', 'mlflow-artifacts:/1', 1, 500, 't', 1, 1), "
    "(2, 'lab', 'e', 'mlflow-artifacts:/2', 1, 500, 't', 1, 1)",
    "INSERT INTO runs (seq, id, workspace_id, experiment_id, name, user_id, status, artifact_uri, "
    "deleted, deleted_us, actor, created_us) VALUES "
    "(1, 'old', 'default', 1, 'n', 'u', 'FINISHED', 'mlflow-artifacts:/1/old/artifacts', 1, 100, "
    "'t', 1), "
    "(2, 'new', 'default', 1, 'n', 'u', 'FINISHED', 'mlflow-artifacts:/1/new/artifacts', 1, 900, "
    "'t', 1), "
    "(3, 'live', 'default', 1, 'n', 'u', 'FINISHED', 'mlflow-artifacts:/1/live/artifacts', 0, "
    "NULL, 't', 1), "
    "(4, 'before', 'default', 1, 'n', 'u', 'FINISHED', 's3://elsewhere/x', 1, NULL, 't', 1), "
    "(5, 'theirs', 'lab', 2, 'n', 'u', 'FINISHED', 'mlflow-artifacts:/2/theirs/artifacts', 1, 100, "
    "'t', 1)",
    "INSERT INTO artifacts (workspace_id, path, sha256, size_bytes, actor, created_us) VALUES "
    "('default', '1/old/artifacts/a', 'x', 10, 't', 1), "
    "('default', '1/old/artifacts-not-below', 'x', 1000, 't', 1), "
    "('default', '1/old/artifacts/b/c', 'x', 20, 't', 1)",
};

static gy_status fill(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_TRY(gy_db_exec(db, rows[i], GY_NO_VALS, NULL, err));
    }
    return GY_OK;
}

struct call {
    int64_t before_us;
    size_t max;
    struct gy_purge_counts counts;
    bool more;
};

static gy_status plan(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_purge_plan(db, c->before_us, &c->counts, err);
}

static gy_status some(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_purge_some(db, c->before_us, c->max, GY_STR("tester"), &c->counts, &c->more, err);
}

static void what_is_old_enough_goes_and_the_plan_said_so(void **state)
{
    scratch_write(*state, fill, NULL);
    struct call said = {.before_us = 600}, done = {.before_us = 600, .max = 10};
    scratch_read(*state, plan, &said);
    scratch_write(*state, some, &done);
    assert_memory_equal(&said.counts, &done.counts, sizeof said.counts);
    assert_false(done.more);
    assert_int_equal(done.counts.runs, 2); /* "old", and "before" whose time nobody noted */
    assert_int_equal(done.counts.artifacts, 2);
    assert_int_equal(done.counts.artifact_bytes, 30);
    assert_int_equal(done.counts.experiments, 0);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM runs WHERE id IN "
                                         "('new', 'live', 'theirs')"),
                     3);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM artifacts"), 1);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM events WHERE kind = 'run.purged' "
                                         "AND subject IN ('run:old', 'run:before') AND actor = "
                                         "'tester'"),
                     2);
}

static void a_workspace_purges_its_own(void **state)
{
    scratch_write(*state, fill, NULL);
    struct gy_scope lab = {.workspace = GY_STR("lab")};
    struct call said = {.before_us = 1000}, done = {.before_us = 1000, .max = 10};
    gy_scope_enter(&lab);
    scratch_read(*state, plan, &said);
    scratch_write(*state, some, &done);
    gy_scope_leave(&lab);
    assert_int_equal(said.counts.runs, 1);
    assert_int_equal(said.counts.experiments, 1);
    assert_memory_equal(&said.counts, &done.counts, sizeof said.counts);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM runs"), 4);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM experiments WHERE id = 2"), 0);
}

static void it_goes_in_steps(void **state)
{
    scratch_write(*state, fill, NULL);
    struct call c = {.before_us = 1000, .max = 1};
    int steps = 0;
    do {
        scratch_write(*state, some, &c);
        steps++;
    } while (c.more);
    assert_true(steps >= 3);
    assert_int_equal(c.counts.runs, 3);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM experiments WHERE id = 1"),
                     1); /* "live" is in it */
}

static const char *const needed[] = {
    "INSERT INTO registered_models (id, name, actor, created_us, updated_us) VALUES (1, 'm', 't', "
    "1, 1)",
    "INSERT INTO model_versions (id, model, version, source, storage_location, run_id, actor, "
    "created_us, updated_us) VALUES (1, 1, 1, 's', 's', 'old', 't', 1, 1)",
    "INSERT INTO endpoint_revisions (endpoint, revision, kind, model_name, model_version, "
    "model_digest, run_id, config, gated, actor, created_us) VALUES ('e', 1, 'deploy', 'm', 1, "
    "'d', "
    "'before', '{}', 0, 't', 1)",
};

static gy_status fill_needed(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        GY_TRY(gy_db_exec(db, needed[i], GY_NO_VALS, NULL, err));
    }
    return GY_OK;
}

static void what_others_stand_on_is_kept(void **state)
{
    scratch_write(*state, fill, NULL);
    scratch_write(*state, fill_needed, NULL);
    struct call said = {.before_us = 600}, done = {.before_us = 600, .max = 10};
    scratch_read(*state, plan, &said);
    scratch_write(*state, some, &done);
    assert_int_equal(said.counts.kept, 2);
    assert_int_equal(said.counts.runs, 0);
    assert_int_equal(done.counts.runs, 0);
    assert_int_equal(scratch_int(*state, "SELECT COUNT(*) FROM runs"), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_old_enough_goes_and_the_plan_said_so, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_workspace_purges_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(it_goes_in_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(what_others_stand_on_is_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
