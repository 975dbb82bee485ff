/* SPDX-License-Identifier: Apache-2.0 */
/* Revisions in the store: what a rollback goes back to, who is in the lineage, that nobody is
 * overruled, and that the schema's change keeps what there was. */
#include "unit.h"

#include "scratch.h"
#include "serve/revision.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/store_internal.h"

struct adding {
    struct gy_revision r;
    int64_t expect, number;
};

static gy_status add(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct adding *x = ctx;
    GY_TRY(gy_revision_expect(db, x->r.endpoint, x->expect, err));
    return gy_revision_add(db, &x->r, &x->number, err);
}

static struct gy_store *open_memory(void)
{
    struct gy_store *store = NULL;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    assert_status(GY_OK, gy_store_open(&o, &store, &err), err);
    return store;
}

static gy_status add_revision(struct gy_store *s, const char *kind, const char *config,
                              int64_t expect, struct gy_err *err)
{
    struct adding x = {.r = {.endpoint = GY_STR("sepsis"),
                             .kind = gy_str_c(kind),
                             .model_name = GY_STR("sepsis"),
                             .model_version = 1,
                             .model_digest = GY_STR("d1"),
                             .config = gy_str_c(config),
                             .actor = GY_STR("alice"),
                             .reason = GY_STR("because")},
                       .expect = expect};
    return gy_store_write(s, add, &x, err);
}

static void must_add(struct gy_store *s, const char *kind, const char *config)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, add_revision(s, kind, config, -1, &err), err);
}

struct reading {
    struct gy_arena a;
    struct gy_revision r;
    struct gy_event *events;
    struct gy_lineage_edge *edges;
    size_t n;
    const char *node;
};

static gy_status read_before(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct reading *x = ctx;
    return gy_revision_before(db, GY_STR("sepsis"), &x->a, &x->r, err);
}

/* The number of the revision that a rollback goes to; 0: there is none. */
static int64_t before(struct gy_store *s)
{
    struct reading x = {.n = 0};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&x.a, GY_MIB);
    gy_status st = gy_store_read(s, read_before, &x, &err);
    int64_t number = x.r.revision;
    gy_arena_done(&x.a);
    if (st == GY_E_CONFLICT) {
        return 0;
    }
    assert_status(GY_OK, st, err);
    return number;
}

static gy_status undeploy(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_revision_undeploy(db, GY_STR("sepsis"), GY_STR("bob"), err);
}

#define V(version, role, weight)                                                          \
    "{\"model\":\"sepsis\",\"version\":" version ",\"digest\":\"d" version "\",\"role\":" \
    "\"" role "\",\"weight\":" weight "}"
#define ONE(version) "{\"weights\":[" V(version, "stable", "1") "]}"
#define CANARY(a, b) "{\"weights\":[" V(a, "stable", "0.9") "," V(b, "canary", "0.1") "]}"

static void test_before(void **state)
{
    (void)state;
    struct gy_store *s = open_memory();
    must_add(s, "deploy", ONE("1"));
    assert_int_equal(before(s), 0);
    must_add(s, "canary", CANARY("1", "2"));
    assert_int_equal(before(s), 1); /* what was there before the canary */
    must_add(s, "traffic", CANARY("1", "2"));
    assert_int_equal(before(s), 1);
    must_add(s, "promote", ONE("2"));
    assert_int_equal(before(s), 1); /* not one in which two answered */
    must_add(s, "deploy", ONE("2"));
    assert_int_equal(before(s), 1); /* not one that serves the same */
    must_add(s, "deploy", "{\"weights\":[" V("2", "stable", "1") "],\"threshold\":0.3}");
    assert_int_equal(before(s), 5); /* the same version, configured otherwise */
    /* under which gate and verdict is not what is served */
    must_add(s, "deploy",
             "{\"weights\":[" V("2", "stable", "1") "],\"gate\":{\"x\":1},"
                                                    "\"threshold\":0.3}");
    assert_int_equal(before(s), 5);
    /* a shadow answers nobody, but it is served with */
    must_add(
        s, "shadow",
        "{\"weights\":[" V("2", "stable", "1") "," V("3", "shadow", "0") "],\"threshold\":0.3}");
    assert_int_equal(before(s), 7);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(s, undeploy, NULL, &err), err);
    assert_int_equal(before(s), 8); /* the last one there was */
    gy_store_free(s);
}

static void test_nobody_is_overruled(void **state)
{
    (void)state;
    struct gy_store *s = open_memory();
    struct gy_err err = GY_ERR_INIT;
    must_add(s, "deploy", ONE("1"));
    assert_status(GY_OK, add_revision(s, "canary", CANARY("1", "2"), 1, &err), err);
    assert_status(GY_E_CONFLICT, add_revision(s, "promote", ONE("2"), 1, &err), err);
    assert_non_null(strstr(err.msg, "revision 2 is served, not 1"));
    assert_status(GY_OK, add_revision(s, "promote", ONE("2"), 2, &err), err);
    assert_status(GY_OK, gy_store_write(s, undeploy, NULL, &err), err);
    assert_status(GY_E_CONFLICT, add_revision(s, "canary", CANARY("1", "2"), 3, &err), err);
    assert_status(GY_OK, add_revision(s, "rollback", ONE("1"), 0, &err), err);
    gy_store_free(s);
}

static gy_status read_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct reading *x = ctx;
    size_t n;
    GY_TRY(gy_revision_get(db, GY_STR("sepsis"), 0, &x->a, &x->r, err));
    GY_TRY(gy_lineage_walk(db, gy_str_c(x->node), true, 100, &x->a, &x->edges, &n, err));
    x->n = n;
    return gy_event_list(db, 0, "endpoint", 100, &x->a, &x->events, &n, err);
}

static bool has_edge(const struct reading *x, const char *from, const char *rel)
{
    for (size_t i = 0; i < x->n; i++) {
        if (gy_str_eqc(x->edges[i].from, from) && gy_str_eqc(x->edges[i].rel, rel)) {
            return true;
        }
    }
    return false;
}

static void test_lineage_event_and_reason(void **state)
{
    (void)state;
    struct gy_store *s = open_memory();
    must_add(s, "canary",
             "{\"weights\":[{\"model\":\"sepsis\",\"version\":1,\"role\":\"stable\"},"
             "{\"model\":\"sepsis\",\"version\":2,\"role\":\"canary\",\"verdict\":\"v-2\"},"
             "{\"model\":\"other\",\"version\":7,\"role\":\"shadow\"}]}");
    struct reading x = {.node = "revision:sepsis/1"};
    gy_arena_init(&x.a, GY_MIB);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_read(s, read_all, &x, &err), err);
    assert_str(x.r.reason, "because");
    assert_str(x.r.kind, "canary");
    assert_int_equal(x.n, 4);
    assert_true(has_edge(&x, "model:sepsis/1", "deployed"));
    assert_true(has_edge(&x, "model:sepsis/2", "deployed"));
    assert_true(has_edge(&x, "verdict:v-2", "deployed"));
    assert_true(has_edge(&x, "model:other/7", "shadowed"));
    assert_str(x.events[0].kind, "endpoint.canary");
    assert_str(x.events[0].subject, "revision:sepsis/1");
    assert_non_null(strstr(x.events[0].data.p, "\"reason\":\"because\""));
    assert_non_null(strstr(x.events[0].data.p, "\"version\":7"));
    gy_arena_done(&x.a);
    gy_store_free(s);
}

/* ---- the schema ---- */

static gy_status insert_old(struct gy_db *db, const char *kind, int64_t revision,
                            struct gy_err *err)
{
    return gy_db_exec(db,
                      "INSERT INTO endpoint_revisions (endpoint, revision, kind, model_name, "
                      "model_version, model_digest, run_id, config, gated, verdict_id, "
                      "copied_from, actor, created_us) VALUES ('e',?,?,'m',3,'d','r','{}',1,'v',"
                      "NULL,'a',77)",
                      GY_VALS(gy_vi(revision), gy_vs(gy_str_c(kind))), NULL, err);
}

static void test_migration_keeps_what_there_was(void **state)
{
    (void)state;
    struct scratch *s = scratch_new();
    struct gy_db *db = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_sql_config cfg = {.location = gy_str_c(s->path), .busy_timeout_ms = 10000};
    size_t old = 0;
    while (old < gy_migrations_count && !strstr(gy_migrations[old].name, "0006_")) {
        old++;
    }
    assert_int_equal(old, 5);
    assert_status(GY_OK, gy_db_open(gy_sql_sqlite, &cfg, &db, &err), err);
    assert_status(GY_OK, gy_store_migrate(db, gy_migrations, old, s->path, false, &err), err);
    assert_status(GY_OK, insert_old(db, "deploy", 1, &err), err);
    assert_status(GY_OK, insert_old(db, "rollback", 2, &err), err);
    assert_int_not_equal(insert_old(db, "canary", 3, NULL), GY_OK);
    assert_status(GY_OK, gy_store_migrate(db, gy_migrations, old + 1, s->path, false, &err), err);
    int64_t n;
    bool found;
    assert_status(GY_OK,
                  gy_db_get_i64(db,
                                "SELECT COUNT(*) FROM endpoint_revisions WHERE workspace_id="
                                "'default' AND model_name='m' AND model_version=3 AND run_id='r' "
                                "AND gated=1 AND verdict_id='v' AND copied_from IS NULL AND "
                                "created_us=77 AND reason IS NULL",
                                GY_NO_VALS, &found, &n, &err),
                  err);
    assert_int_equal(n, 2);
    assert_status(GY_OK, insert_old(db, "canary", 3, &err), err);
    assert_int_not_equal(insert_old(db, "canary", 3, NULL), GY_OK); /* the key is there again */
    assert_int_not_equal(insert_old(db, "other", 4, NULL), GY_OK);
    assert_status(GY_OK,
                  gy_db_get_i64(db,
                                "SELECT COUNT(*) FROM sqlite_master WHERE type='index' AND "
                                "name='endpoint_revisions_model'",
                                GY_NO_VALS, &found, &n, &err),
                  err);
    assert_int_equal(n, 1);
    gy_db_free(db);
    scratch_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_nobody_is_overruled),
        cmocka_unit_test(test_lineage_event_and_reason),
        cmocka_unit_test(test_migration_keeps_what_there_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
