/* SPDX-License-Identifier: Apache-2.0 */
/* Lineage, events, verdicts, approvals and protected aliases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/id.h"
#include "base/time.h"
#include "scratch.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/verdicts.h"

static int setup(void **state)
{
    struct scratch *s = scratch_new();
    scratch_open(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    gy_time_set_fake(0);
    scratch_free(*state);
    return 0;
}

#define ALICE GY_STR("alice")

/* ---- lineage ---- */

static gy_status add_edge(struct gy_db *db, const char *from, const char *rel, const char *to,
                          struct gy_err *err)
{
    return gy_lineage_add(db, gy_str_c(from), rel, gy_str_c(to), ALICE, err);
}

/* The chain of one model, with a second data set and a circle (a retraining on its own
 * predictions). */
static gy_status add_chain(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(add_edge(db, "data:aa", "input", "run:1", err));
    GY_TRY(add_edge(db, "data:bb", "input", "run:1", err));
    GY_TRY(add_edge(db, "code:c0de", "code", "run:1", err));
    GY_TRY(add_edge(db, "run:1", "registered", "model:m/1", err));
    GY_TRY(add_edge(db, "model:m/1", "output", "modeldigest:dd", err));
    GY_TRY(add_edge(db, "modeldigest:dd", "judged", "verdict:v", err));
    GY_TRY(add_edge(db, "verdict:v", "deployed", "revision:e/1", err));
    GY_TRY(add_edge(db, "revision:e/1", "output", "data:bb", err));
    return add_edge(db, "run:1", "registered", "model:m/1", err); /* twice is one */
}

struct walked {
    const char *node;
    bool upstream, nearest;
    size_t max, n;
    char order[256]; /* far ends, comma separated */
    gy_status status;
};

static gy_status walk(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct walked *w = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_lineage_edge *edges;
    w->order[0] = '\0';
    w->status = (w->nearest ? gy_lineage_nearest : gy_lineage_walk)(
        db, gy_str_c(w->node), w->upstream, w->max, &a, &edges, &w->n, err);
    size_t used = 0;
    for (size_t i = 0; w->status == GY_OK && i < w->n; i++) {
        struct gy_str far = w->upstream ? edges[i].from : edges[i].to;
        assert_true(gy_str_eq(edges[i].actor, ALICE));
        assert_true(edges[i].time_us > 0);
        used += (size_t)snprintf(w->order + used, sizeof w->order - used, "%" GY_STR_F ",",
                                 GY_STR_A(far));
    }
    return GY_OK;
}

static void lineage_reaches_every_cause_once(void **state)
{
    struct scratch *s = *state;
    scratch_write(s, add_chain, NULL);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM lineage"), 8);
    struct walked up = {.node = "verdict:v", .upstream = true, .max = 100};
    scratch_read(s, walk, &up);
    assert_int_equal(
        up.n, 8); /* with the circle: through data:bb the revision and the verdict's own edge */
    assert_memory_equal(up.order, "modeldigest:dd,model:m/1,run:1,", 31);
    struct walked down = {.node = "code:c0de", .upstream = false, .max = 100};
    scratch_read(s, walk, &down);
    assert_string_equal(down.order,
                        "run:1,model:m/1,modeldigest:dd,verdict:v,revision:e/1,data:bb,run:1,");
    struct walked leaf = {.node = "data:aa", .upstream = true, .max = 100};
    scratch_read(s, walk, &leaf);
    assert_int_equal(leaf.n, 0);
}

static void lineage_stops_at_the_ceiling(void **state)
{
    struct scratch *s = *state;
    scratch_write(s, add_chain, NULL);
    struct walked w = {.node = "verdict:v", .upstream = true, .max = 8};
    scratch_read(s, walk, &w);
    assert_int_equal(w.status, GY_OK);
    w.max = 7;
    scratch_read(s, walk, &w);
    assert_int_equal(w.status, GY_E_TOOBIG);
    w.nearest = true;
    w.max = 3;
    scratch_read(s, walk, &w);
    assert_int_equal(w.status, GY_OK);
    assert_string_equal(w.order, "modeldigest:dd,model:m/1,run:1,");
}

static gy_status add_bad_edge(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return add_edge(db, ctx, "input", "run:1", err);
}

static gy_status add_edge_of_nobody(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_lineage_add(db, GY_STR("data:a"), "input", GY_STR("run:1"), GY_STR(""), err);
}

static void lineage_refuses_what_is_no_node(void **state)
{
    struct scratch *s = *state;
    const char *bad[] = {"", "data", "data:", ":aa"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_store_write(s->store, add_bad_edge, (void *)bad[i], NULL),
                         GY_E_INVALID);
    }
    assert_int_equal(gy_store_write(s->store, add_edge_of_nobody, NULL, NULL), GY_E_INVALID);
    struct walked w = {.node = "nothing", .max = 1};
    scratch_read(s, walk, &w);
    assert_int_equal(w.status, GY_E_INVALID);
}

/* ---- events ---- */

static gy_status add_events(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(gy_event_add(db, "drift.detected", GY_STR("endpoint:e"), ALICE,
                        GY_STR("{\"column\":\"Temp\"}"), err));
    GY_TRY(gy_event_add(db, "endpoint.deployed", GY_STR("revision:e/1"), ALICE, GY_STR_NULL, err));
    return gy_event_add(db, "drift.cleared", GY_STR_NULL, ALICE, GY_STR_NULL, err);
}

struct listed {
    int64_t after;
    const char *prefix;
    size_t max, n;
    int64_t seq[8];
    gy_status status;
};

static gy_status list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listed *l = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_event *events;
    l->status = gy_event_list(db, l->after, l->prefix, l->max, &a, &events, &l->n, err);
    for (size_t i = 0; l->status == GY_OK && i < l->n; i++) {
        l->seq[i] = events[i].seq;
        assert_true(gy_str_starts(events[i].kind, gy_str_c(l->prefix)));
        assert_true(gy_str_eq(events[i].actor, ALICE));
        assert_true(
            gy_str_eqc(events[i].data, events[i].seq == 1 ? "{\"column\":\"Temp\"}" : "{}"));
    }
    return GY_OK;
}

static void events_are_numbered_and_found_by_kind(void **state)
{
    struct scratch *s = *state;
    scratch_write(s, add_events, NULL);
    struct listed all = {.prefix = "", .max = 8};
    scratch_read(s, list, &all);
    assert_int_equal(all.n, 3);
    assert_int_equal(all.seq[0], 1);
    assert_int_equal(all.seq[2], 3);
    struct listed drift = {.prefix = "drift.", .max = 8};
    scratch_read(s, list, &drift);
    assert_int_equal(drift.n, 2);
    drift.after = 1;
    scratch_read(s, list, &drift);
    assert_int_equal(drift.n, 1);
    assert_int_equal(drift.seq[0], 3);
    struct listed page = {.prefix = "", .max = 2};
    scratch_read(s, list, &page);
    assert_int_equal(page.n, 2);
    struct listed wild = {.prefix = "%", .max = 8};
    scratch_read(s, list, &wild);
    assert_int_equal(wild.n, 0);
    struct listed none = {.prefix = "", .max = 0};
    scratch_read(s, list, &none);
    assert_int_equal(none.status, GY_E_INVALID);
}

static gy_status add_event_of_nobody(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_event_add(db, "a.b", GY_STR("x:y"), GY_STR_NULL, GY_STR_NULL, err);
}

static void an_event_needs_an_actor(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(gy_store_write(s->store, add_event_of_nobody, NULL, NULL), GY_E_INVALID);
}

/* ---- verdicts ---- */

static const struct gy_verdict a_verdict = {
    .model_digest = {"d1", 2},
    .model_name = {"sepsis", 6},
    .model_version = {"3", 1},
    .gate = {"g", 1},
    .data_sha256 = {"beef", 4},
    .actor = {"alice", 5},
};

struct judged {
    struct gy_verdict v;
    char id[GY_UUID_TEXT];
};

static gy_status judge(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct judged *j = ctx;
    return gy_verdict_add(db, &j->v, j->id, err);
}

struct latest {
    const char *digest, *gate;
    bool found, blessed;
    char id[GY_UUID_TEXT];
};

static gy_status latest(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct latest *l = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_verdict v;
    GY_TRY(gy_verdict_latest(db, gy_str_c(l->digest), gy_str_c(l->gate), &a, &l->found, &v, err));
    if (l->found) {
        l->blessed = v.blessed;
        snprintf(l->id, sizeof l->id, "%" GY_STR_F, GY_STR_A(v.id));
        assert_true(gy_str_eqc(v.model_name, "sepsis") && gy_str_eqc(v.model_version, "3"));
        assert_true(gy_str_eqc(v.data_sha256, "beef") && gy_str_eq(v.actor, ALICE));
        assert_true(v.champion_digest.p == NULL);
    }
    return GY_OK;
}

static void the_newest_verdict_counts(void **state)
{
    struct scratch *s = *state;
    struct judged refused = {.v = a_verdict}, blessed = {.v = a_verdict};
    blessed.v.blessed = true;
    struct latest l = {.digest = "d1", .gate = "g"};
    scratch_read(s, latest, &l);
    assert_false(l.found);
    scratch_write(s, judge, &refused);
    scratch_read(s, latest, &l);
    assert_true(l.found);
    assert_false(l.blessed);
    scratch_write(s, judge, &blessed);
    scratch_read(s, latest, &l);
    assert_true(l.blessed);
    assert_string_equal(l.id, blessed.id);
    struct latest other = {.digest = "d1", .gate = "other"}, any = {.digest = "d1", .gate = NULL};
    scratch_read(s, latest, &other);
    assert_false(other.found);
    scratch_read(s, latest, &any);
    assert_string_equal(any.id, blessed.id);
    assert_int_equal(
        scratch_int(
            s, "SELECT COUNT(*) FROM lineage WHERE from_node='modeldigest:d1' AND rel='judged'"),
        2);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM events WHERE kind='verdict.blessed'"), 1);
}

/* Two verdicts of one microsecond: the ids are made in order. */
static void equal_times_are_told_apart_by_id(void **state)
{
    struct scratch *s = *state;
    gy_time_set_fake(1700000000000000);
    struct latest l = {.digest = "d1", .gate = "g"};
    for (int i = 0; i < 50; i++) {
        struct judged j = {.v = a_verdict};
        scratch_write(s, judge, &j);
        scratch_read(s, latest, &l);
        assert_string_equal(l.id, j.id);
    }
}

static void verdicts_refuse_anonymous_and_nonsense(void **state)
{
    struct scratch *s = *state;
    struct judged j = {.v = a_verdict};
    j.v.actor = GY_STR("anonymous");
    assert_int_equal(gy_store_write(s->store, judge, &j, NULL), GY_E_UNAUTHENTICATED);
    j.v.actor = GY_STR_NULL;
    assert_int_equal(gy_store_write(s->store, judge, &j, NULL), GY_E_UNAUTHENTICATED);
    j.v = a_verdict;
    j.v.checks = GY_STR("[{]");
    assert_int_equal(gy_store_write(s->store, judge, &j, NULL), GY_E_PARSE);
    j.v = a_verdict;
    j.v.model_digest = GY_STR("");
    assert_int_equal(gy_store_write(s->store, judge, &j, NULL), GY_E_INVALID);
    j.v = a_verdict;
    j.v.id = GY_STR("not-a-uuid");
    assert_int_equal(gy_store_write(s->store, judge, &j, NULL), GY_E_INVALID);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM verdicts"), 0);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM lineage"), 0);
}

/* ---- approvals ---- */

struct asked {
    struct gy_approval a;
    char id[GY_UUID_TEXT];
};

static gy_status ask(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct asked *q = ctx;
    return gy_approval_request(db, &q->a, q->id, err);
}

struct decision {
    const char *id, *actor, *reason;
    bool approve;
};

static gy_status decide(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct decision *d = ctx;
    return gy_approval_decide(db, gy_str_c(d->id), d->approve, gy_str_c(d->actor),
                              gy_str_c(d->reason), err);
}

static gy_status check_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_approval *list, one;
    size_t n;
    bool found;
    GY_TRY(gy_approval_list(db, &a, &list, &n, err));
    assert_int_equal(n, 2);
    assert_true(gy_str_eqc(list[0].state, "requested")); /* newest first */
    assert_true(gy_str_eqc(list[1].state, "approved"));
    assert_true(gy_str_eqc(list[1].decided_by, "bob") && gy_str_eqc(list[1].reason, "seen"));
    assert_true(list[1].decided_us >= list[1].requested_us);
    GY_TRY(gy_approval_latest(db, GY_STR("d1"), GY_STR("g"), &a, &found, &one, err));
    assert_true(found && gy_str_eq(one.id, list[0].id));
    GY_TRY(gy_approval_latest(db, GY_STR("d2"), GY_STR("g"), &a, &found, &one, err));
    assert_false(found);
    return GY_OK;
}

static void approvals_are_decided_once_by_somebody(void **state)
{
    struct scratch *s = *state;
    struct asked q = {.a = {.model_digest = GY_STR("d1"),
                            .gate = GY_STR("g"),
                            .requested_by = ALICE}},
                 second = q;
    scratch_write(s, ask, &q);
    struct decision nobody = {q.id, "anonymous", NULL, true}, bob = {q.id, "bob", "seen", true};
    struct decision missing = {"018f0000-0000-7000-8000-000000000000", "bob", NULL, true};
    assert_int_equal(gy_store_write(s->store, decide, &nobody, NULL), GY_E_UNAUTHENTICATED);
    scratch_write(s, decide, &bob);
    assert_int_equal(gy_store_write(s->store, decide, &bob, NULL), GY_E_CONFLICT);
    bob.approve = false;
    assert_int_equal(gy_store_write(s->store, decide, &bob, NULL), GY_E_CONFLICT);
    assert_int_equal(gy_store_write(s->store, decide, &missing, NULL), GY_E_NOTFOUND);
    assert_int_equal(
        scratch_int(
            s, "SELECT COUNT(*) FROM lineage WHERE rel='approved' AND to_node='modeldigest:d1' "
               "AND actor='bob'"),
        1);
    scratch_write(s, ask, &second);
    scratch_read(s, check_list, NULL);
}

/* ---- protected aliases ---- */

static gy_status protect(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_protect_alias(db, GY_STR("sepsis"), GY_STR("champion"), GY_STR("g"), *(bool *)ctx,
                            ALICE, err);
}

struct move {
    const char *alias, *digest;
};

static gy_status allows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct move *m = ctx;
    return gy_gate_allows_alias(db, GY_STR("sepsis"), gy_str_c(m->alias), gy_str_c(m->digest), err);
}

static void a_protected_alias_moves_only_to_the_blessed(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    bool approval = false;
    struct move m = {"champion", "d1"}, elsewhere = {"challenger", "d1"}, none = {"champion", ""};
    scratch_read(s, allows, &m); /* not protected yet */
    scratch_write(s, protect, &approval);
    scratch_read(s, allows, &elsewhere);
    assert_int_equal(gy_store_read(s->store, allows, &none, &err), GY_E_NOTBLESSED);
    assert_int_equal(gy_store_read(s->store, allows, &m, &err), GY_E_NOTBLESSED);
    assert_non_null(strstr(err.msg, "no verdict"));
    struct judged j = {.v = a_verdict};
    j.v.checks = GY_STR("[{\"metric\":\"accuracy\",\"passed\":true,\"reason\":\"fine\"},"
                        "{\"metric\":\"recall\",\"slice\":\"HR > "
                        "90\",\"passed\":false,\"reason\":\"0 is below 0.75\"}]");
    scratch_write(s, judge, &j);
    assert_int_equal(gy_store_read(s->store, allows, &m, &err), GY_E_NOTBLESSED);
    assert_non_null(strstr(err.msg, "recall [HR > 90]: 0 is below 0.75"));
    assert_null(strstr(err.msg, "accuracy"));
    j.v.blessed = true;
    j.v.gate = GY_STR("another");
    scratch_write(s, judge, &j);
    assert_int_equal(gy_store_read(s->store, allows, &m, &err),
                     GY_E_NOTBLESSED); /* another gate's blessing */
    j.v.gate = GY_STR("g");
    scratch_write(s, judge, &j);
    scratch_read(s, allows, &m);
    m.digest = "d2";
    assert_int_equal(gy_store_read(s->store, allows, &m, &err), GY_E_NOTBLESSED);
    assert_int_equal(gy_status_http(GY_E_NOTBLESSED), 403);
}

static void an_approval_is_waited_for_where_asked(void **state)
{
    struct scratch *s = *state;
    struct gy_err err = GY_ERR_INIT;
    bool approval = true;
    struct move m = {"champion", "d1"};
    struct judged j = {.v = a_verdict};
    j.v.blessed = true;
    scratch_write(s, judge, &j);
    scratch_write(s, protect, &approval);
    assert_int_equal(gy_store_read(s->store, allows, &m, &err), GY_E_NOTBLESSED);
    assert_non_null(strstr(err.msg, "none was requested"));
    struct asked q = {
        .a = {.model_digest = GY_STR("d1"), .gate = GY_STR("g"), .requested_by = ALICE}};
    scratch_write(s, ask, &q);
    assert_int_equal(gy_store_read(s->store, allows, &m, &err), GY_E_NOTBLESSED);
    struct decision no = {q.id, "bob", NULL, false};
    scratch_write(s, decide, &no);
    assert_int_equal(gy_store_read(s->store, allows, &m, &err), GY_E_NOTBLESSED);
    assert_non_null(strstr(err.msg, "rejected"));
    scratch_write(s, ask, &q);
    struct decision yes = {q.id, "bob", NULL, true};
    scratch_write(s, decide, &yes);
    scratch_read(s, allows, &m);
    approval = false;
    scratch_write(s, protect, &approval); /* applying again changes the row */
    assert_int_equal(scratch_int(s, "SELECT SUM(needs_approval) + COUNT(*) FROM protected_aliases"),
                     1);
    /* What it was changed to stays visible; the same again is no change. */
    scratch_write(s, protect, &approval);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM events WHERE kind='alias.protected' AND "
                                    "subject='model:sepsis'"),
                     2);
}

static gy_status protect_latest(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_protect_alias(db, GY_STR("sepsis"), GY_STR("Latest"), GY_STR("g"), false, ALICE, err);
}

static void latest_is_no_alias_to_protect(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(gy_store_write(s->store, protect_latest, NULL, NULL), GY_E_INVALID);
    assert_int_equal(scratch_int(s, "SELECT COUNT(*) FROM protected_aliases"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lineage_reaches_every_cause_once, setup, teardown),
        cmocka_unit_test_setup_teardown(lineage_stops_at_the_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(lineage_refuses_what_is_no_node, setup, teardown),
        cmocka_unit_test_setup_teardown(events_are_numbered_and_found_by_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_needs_an_actor, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_verdict_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_times_are_told_apart_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(verdicts_refuse_anonymous_and_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(approvals_are_decided_once_by_somebody, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_is_no_alias_to_protect, setup, teardown),
        cmocka_unit_test_setup_teardown(a_protected_alias_moves_only_to_the_blessed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_approval_is_waited_for_where_asked, setup, teardown),
    };
    return cmocka_run_group_tests_name("shared tables", tests, NULL, NULL);
}
