/* SPDX-License-Identifier: Apache-2.0 */
/* What happened to a model, and rolling aliases back. */
#include "support_track.h"

#include "store/verdicts.h"

static gy_status promote(struct gy_db *db, int64_t version, const char *reason, struct gy_err *err)
{
    struct gy_alias_moved m;
    const struct gy_model_why why = {.actor = ANN, .reason = gy_str_c(reason)};
    return gy_model_promote(db, GY_STR("m"), version, GY_STR("champion"), &why, &m, err);
}

/* The version it came to, negative: the status. */
static int64_t roll_back(struct gy_db *db, int64_t to, struct gy_err *err)
{
    struct gy_alias_moved m;
    const struct gy_model_why why = {.actor = BEN};
    gy_status status = gy_model_rollback(db, GY_STR("m"), GY_STR("champion"), to, &why, &m, err);
    return status == GY_OK ? m.to : -(int64_t)status;
}

SCENARIO(rollbacks_undo_one_promotion_each)
{
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(make_model(db, "m", 5, a, err));
    CHECK(roll_back(db, 0, &why) == -GY_E_NOTFOUND);
    GY_TRY(promote(db, 1, NULL, err));
    CHECK(roll_back(db, 0, &why) == -GY_E_NOTFOUND && strstr(why.hint, "--to"));
    GY_TRY(promote(db, 2, NULL, err));
    GY_TRY(promote(db, 3, NULL, err));
    CHECK(roll_back(db, 0, err) == 2);
    CHECK(roll_back(db, 0, err) == 1); /* not 3, where it came from */
    CHECK(roll_back(db, 0, &why) == -GY_E_NOTFOUND);
    GY_TRY(promote(db, 4, NULL, err));
    CHECK(roll_back(db, 0, err) == 1);
    /* To one that it never had: it counts as somewhere to come back from. */
    CHECK(roll_back(db, 5, err) == 5);
    CHECK(roll_back(db, 0, err) == 1);
    /* A version that is gone is passed over. */
    GY_TRY(promote(db, 2, NULL, err));
    GY_TRY(promote(db, 3, NULL, err));
    GY_TRY(gy_version_delete(db, GY_STR("m"), 2, ANN, err));
    CHECK(roll_back(db, 0, err) == 1);
    return GY_OK;
}

SCENARIO(an_alias_that_was_removed_comes_back)
{
    const struct gy_model_why why = {.actor = ANN, .reason = GY_STR("broken")};
    GY_TRY(make_model(db, "m", 2, a, err));
    GY_TRY(promote(db, 1, NULL, err));
    GY_TRY(promote(db, 2, NULL, err));
    GY_TRY(gy_model_delete_alias(db, GY_STR("m"), GY_STR("champion"), &why, err));
    CHECK(roll_back(db, 0, err) == 2);
    struct gy_history_entry *list;
    size_t n;
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR("champion"), 10, a, &list, &n, err));
    CHECK(n == 4 && gy_str_eqc(list[1].action, "removed") && !list[1].to.p);
    CHECK(gy_str_eqc(list[1].reason, "broken") && gy_str_eqc(list[1].from, "2"));
    return GY_OK;
}

SCENARIO(who_when_and_why)
{
    struct gy_history_entry *list;
    size_t n;
    const struct gy_model_why staging = {.actor = BEN, .reason = GY_STR("tried on ward 3")};
    GY_TRY(make_model(db, "m", 2, a, err));
    GY_TRY(promote(db, 1, "the first", err));
    GY_TRY(promote(db, 2, NULL, err));
    CHECK(roll_back(db, 0, err) == 1);
    GY_TRY(gy_registry_set_alias(db, GY_STR("m"), GY_STR("shadow"), 2, BEN, err));
    GY_TRY(gy_version_set_stage(db, GY_STR("m"), 1, GY_STR("Production"), false, &staging, err));
    GY_TRY(gy_version_set_stage(db, GY_STR("m"), 2, GY_STR("Production"), true, &staging, err));
    GY_TRY(gy_version_set_stage(db, GY_STR("m"), 2, GY_STR("Production"), true, &staging, err));
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR_NULL, 100, a, &list, &n, err));
    size_t stages = 0, aliases = 0, versions = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(i == 0 || list[i - 1].time_us >= list[i].time_us);
        CHECK(list[i].actor.n > 0 && list[i].time_us > 0);
        stages += gy_str_eqc(list[i].kind, "stage");
        aliases += gy_str_eqc(list[i].kind, "alias");
        versions += gy_str_eqc(list[i].kind, "version");
    }
    CHECK(stages == 3 && aliases == 4 && versions == 2); /* the same stage again is no change */
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR("champion"), 100, a, &list, &n, err));
    CHECK(n == 3 && gy_str_eqc(list[0].action, "rolled_back") && gy_str_eq(list[0].actor, BEN));
    CHECK(gy_str_eqc(list[2].action, "promoted") && gy_str_eqc(list[2].reason, "the first"));
    CHECK(!list[1].reason.p && gy_str_eqc(list[1].from, "1") && gy_str_eqc(list[1].to, "2"));
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR("shadow"), 100, a, &list, &n, err));
    CHECK(n == 1 && gy_str_eqc(list[0].action, "moved"));
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR_NULL, 2, a, &list, &n, err));
    CHECK(n == 2 && gy_str_eqc(list[0].kind, "stage") &&
          gy_str_eqc(list[0].reason, "tried on ward 3"));
    return GY_OK;
}

SCENARIO(a_tag_explains_one_move)
{
    struct gy_str reason;
    GY_TRY(make_model(db, "m", 1, a, err));
    GY_TRY(gy_version_take_reason(db, GY_STR("m"), 1, a, &reason, err));
    CHECK(!reason.p);
    GY_TRY(gy_version_set_tag(db, GY_STR("m"), 1, GY_STR("gyre.reason"), GY_STR("better"), err));
    GY_TRY(gy_version_take_reason(db, GY_STR("m"), 1, a, &reason, err));
    CHECK(gy_str_eqc(reason, "better"));
    GY_TRY(gy_version_take_reason(db, GY_STR("m"), 1, a, &reason, err));
    CHECK(!reason.p);
    GY_TRY(gy_version_take_reason(db, GY_STR("none"), 1, a, &reason, err));
    CHECK(!reason.p);
    return GY_OK;
}

SCENARIO(too_long_a_reason_moves_nothing)
{
    struct gy_err why = GY_ERR_INIT;
    char *text = gy_arena_calloc(a, 1, GY_HISTORY_MAX_REASON + 2);
    CHECK(text != NULL);
    memset(text, 'x', GY_HISTORY_MAX_REASON + 1);
    GY_TRY(make_model(db, "m", 1, a, err));
    EXPECT(GY_E_INVALID, promote(db, 1, text, &why));
    struct gy_history_entry *list;
    size_t n;
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR("champion"), 10, a, &list, &n, err));
    CHECK(n == 0);
    return GY_OK;
}

static gy_status judge(struct gy_db *db, const char *digest, bool blessed, struct gy_err *err)
{
    static int64_t clock = 1;
    const struct gy_verdict v = {.model_digest = gy_str_c(digest),
                                 .gate = GY_STR("g"),
                                 .blessed = blessed,
                                 .actor = ANN,
                                 .time_us = clock++};
    return gy_verdict_add(db, &v, NULL, err);
}

SCENARIO(what_was_blessed_may_come_back)
{
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(make_model(db, "m", 3, a, err));
    GY_TRY(give_digest(db, "m", 1, "d1", err));
    GY_TRY(give_digest(db, "m", 2, "d2", err));
    GY_TRY(give_digest(db, "m", 3, "d3", err));
    GY_TRY(
        gy_db_exec(db, "UPDATE model_versions SET storage_location = 'x'", GY_NO_VALS, NULL, err));
    GY_TRY(judge(db, "d1", true, err));
    GY_TRY(judge(db, "d2", true, err));
    GY_TRY(promote(db, 1, NULL, err));
    GY_TRY(promote(db, 2, NULL, err));
    GY_TRY(gy_protect_alias(db, GY_STR("m"), GY_STR("champion"), GY_STR("g"), true, ANN, err));
    /* Compared with its successor it fails now: forwards it does not go, back it does. */
    GY_TRY(judge(db, "d1", false, err));
    EXPECT(GY_E_NOTBLESSED,
           gy_gate_allows_alias(db, GY_STR("m"), GY_STR("champion"), GY_STR("d1"), &why));
    EXPECT(GY_E_NOTBLESSED,
           gy_gate_allows_return(db, GY_STR("m"), GY_STR("champion"), GY_STR("d1"), &why));
    SAYS("none was requested");
    char id[64];
    const struct gy_approval ask = {
        .model_digest = GY_STR("d1"), .gate = GY_STR("g"), .requested_by = ANN};
    GY_TRY(gy_approval_request(db, &ask, id, err));
    GY_TRY(gy_approval_decide(db, gy_str_c(id), true, ANN, GY_STR_NULL, err));
    GY_TRY(gy_gate_allows_return(db, GY_STR("m"), GY_STR("champion"), GY_STR("d1"), err));
    GY_TRY(gy_approval_request(db, &ask, id, err)); /* asking again takes nothing back */
    GY_TRY(gy_gate_allows_return(db, GY_STR("m"), GY_STR("champion"), GY_STR("d1"), err));
    GY_TRY(gy_approval_decide(db, gy_str_c(id), false, BEN, GY_STR_NULL, err));
    EXPECT(GY_E_NOTBLESSED,
           gy_gate_allows_return(db, GY_STR("m"), GY_STR("champion"), GY_STR("d1"), &why));
    /* Never blessed, never held: a rollback is no way round the gate. */
    CHECK(roll_back(db, 3, &why) == -GY_E_NOTBLESSED);
    SAYS("no verdict");
    return GY_OK;
}

SCENARIO(records_go_with_a_rename_and_end_with_the_model)
{
    struct gy_history_entry *list;
    size_t n;
    GY_TRY(make_model(db, "m", 1, a, err));
    GY_TRY(promote(db, 1, "first", err));
    GY_TRY(gy_model_rename(db, GY_STR("m"), GY_STR("n"), BEN, err));
    GY_TRY(gy_model_history(db, GY_STR("n"), GY_STR_NULL, 10, a, &list, &n, err));
    CHECK(n == 3 && gy_str_eqc(list[0].kind, "renamed") && gy_str_eqc(list[0].from, "m"));
    CHECK(gy_str_eqc(list[0].to, "n") && gy_str_eqc(list[1].reason, "first"));
    GY_TRY(gy_model_delete(db, GY_STR("n"), BEN, err));
    GY_TRY(gy_model_history(db, GY_STR("n"), GY_STR_NULL, 10, a, &list, &n, err));
    CHECK(n == 4 && gy_str_eqc(list[0].kind, "deleted") && gy_str_eq(list[0].actor, BEN));
    return GY_OK;
}

static gy_status serve(struct gy_db *db, const char *endpoint, int64_t revision, const char *config,
                       const char *digest, struct gy_err *err)
{
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO endpoints (name, revision, actor, created_us, updated_us) "
                      "VALUES (?, ?, 'ann', 1, 1) ON CONFLICT (workspace_id, name) DO UPDATE SET "
                      "revision = excluded.revision",
                      GY_VALS(gy_vc(endpoint), gy_vi(revision)), NULL, err));
    return revision
               ? gy_db_exec(db,
                            "INSERT INTO endpoint_revisions (endpoint, revision, kind, "
                            "model_name, model_version, model_digest, config, gated, actor, "
                            "created_us, reason) VALUES (?, ?, 'deploy', 'm', 1, ?, ?, 0, "
                            "'ann', 5, 'goes live')",
                            GY_VALS(gy_vc(endpoint), gy_vi(revision), gy_vc(digest), gy_vc(config)),
                            NULL, err)
               : GY_OK;
}

SCENARIO(what_is_served_is_not_deleted)
{
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(make_model(db, "m", 3, a, err));
    GY_TRY(make_model(db, "other", 1, a, err));
    GY_TRY(give_digest(db, "m", 1, "d1", err));
    GY_TRY(give_digest(db, "m", 2, "d2", err));
    GY_TRY(give_digest(db, "m", 3, "d2", err)); /* the same bytes under another number */
    GY_TRY(
        serve(db, "ward", 1,
              "{\"weights\":[{\"model\":\"m\",\"version\":1,\"digest\":\"d1\",\"role\":"
              "\"stable\"},{\"model\":\"m\",\"version\":2,\"digest\":\"d2\",\"role\":\"canary\"}]}",
              "d1", err));
    EXPECT(GY_E_CONFLICT, gy_version_delete(db, GY_STR("m"), 1, ANN, &why));
    SAYS("served by endpoint 'ward'");
    CHECK(strstr(why.hint, "undeploy ward") != NULL);
    EXPECT(GY_E_CONFLICT, gy_version_delete(db, GY_STR("m"), 2, ANN, &why));
    SAYS("as its canary");
    EXPECT(GY_E_CONFLICT, gy_model_delete(db, GY_STR("m"), ANN, &why));
    GY_TRY(gy_version_delete(db, GY_STR("m"), 3, ANN, err));
    GY_TRY(gy_version_delete(db, GY_STR("other"), 1, ANN, err));
    /* A rename does not hide it: bytes are what is served. */
    GY_TRY(gy_model_rename(db, GY_STR("m"), GY_STR("n"), ANN, err));
    EXPECT(GY_E_CONFLICT, gy_model_delete(db, GY_STR("n"), ANN, &why));
    GY_TRY(serve(db, "ward", 2, "{}", "d1", err)); /* as revisions of before canaries are */
    GY_TRY(gy_version_delete(db, GY_STR("n"), 2, ANN, err));
    EXPECT(GY_E_CONFLICT, gy_version_delete(db, GY_STR("n"), 1, ANN, &why));
    struct gy_history_entry *list;
    size_t n;
    GY_TRY(gy_model_history(db, GY_STR("m"), GY_STR_NULL, 10, a, &list, &n, err));
    CHECK(n == 2 && list[0].revision == 2 && gy_str_eqc(list[0].reason, "goes live"));
    CHECK(gy_str_eqc(list[0].from, "1") && gy_str_eqc(list[0].action, "deploy"));
    GY_TRY(serve(db, "ward", 0, NULL, NULL, err)); /* undeployed */
    return gy_model_delete(db, GY_STR("n"), ANN, err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(rollbacks_undo_one_promotion_each),
        SCENE(an_alias_that_was_removed_comes_back),
        SCENE(who_when_and_why),
        SCENE(a_tag_explains_one_move),
        SCENE(too_long_a_reason_moves_nothing),
        SCENE(what_was_blessed_may_come_back),
        SCENE(records_go_with_a_rename_and_end_with_the_model),
        SCENE(what_is_served_is_not_deleted),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
