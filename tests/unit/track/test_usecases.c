/* SPDX-License-Identifier: Apache-2.0 */
/* Use cases: who may take which step, and what is kept of it. */
#include "track/usecases.h"

#include "support_track.h"

#define U GY_STR("ward-alerts")

static gy_status apply(struct gy_db *db, const char *spec, bool four_eyes, bool *changed,
                       struct gy_err *err)
{
    return gy_usecase_apply(db, U, gy_str_c(spec), four_eyes, ANN, changed, err);
}

static gy_status step(struct gy_db *db, enum gy_usecase_step which, struct gy_str actor,
                      struct gy_err *err)
{
    return gy_usecase_step(db, U, which, actor, GY_STR("because"), err);
}

SCENARIO(from_draft_to_retired)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_usecase u;
    struct gy_usecase_change *list;
    size_t n;
    bool changed = false;
    EXPECT(GY_E_NOTFOUND, step(db, GY_USECASE_REQUEST, ANN, &why));
    GY_TRY(apply(db, "{\"owner\":\"ann\"}", false, &changed, err));
    CHECK(changed);
    EXPECT(GY_E_CONFLICT, step(db, GY_USECASE_APPROVE, BEN, &why));
    CHECK(strstr(why.hint, "gyre usecase request ward-alerts"));
    GY_TRY(step(db, GY_USECASE_REQUEST, ANN, err));
    EXPECT(GY_E_CONFLICT, step(db, GY_USECASE_REQUEST, ANN, &why));
    EXPECT(GY_E_UNAUTHENTICATED, step(db, GY_USECASE_APPROVE, NOBODY, &why));
    GY_TRY(step(db, GY_USECASE_REJECT, BEN, err));
    GY_TRY(step(db, GY_USECASE_REQUEST, ANN, err));
    GY_TRY(gy_usecase_get(db, U, a, &u, err));
    CHECK(!u.decided_by.p && gy_str_eq(u.requested_by, ANN));
    GY_TRY(step(db, GY_USECASE_APPROVE, ANN, err)); /* four eyes were not asked for */
    GY_TRY(gy_usecase_get(db, U, a, &u, err));
    CHECK(gy_str_eqc(u.state, "approved") && u.number == 1 && gy_str_eq(u.decided_by, ANN));
    /* The same text: still approved; another one: a draft. */
    GY_TRY(apply(db, "{\"owner\":\"ann\"}", false, &changed, err));
    CHECK(!changed);
    GY_TRY(apply(db, "{\"owner\":\"ben\"}", false, &changed, err));
    CHECK(changed);
    GY_TRY(gy_usecase_get(db, U, a, &u, err));
    CHECK(gy_str_eqc(u.state, "draft") && u.number == 2 && !u.requested_by.p && !u.decided_by.p);
    GY_TRY(step(db, GY_USECASE_RETIRE, BEN, err));
    EXPECT(GY_E_CONFLICT, step(db, GY_USECASE_RETIRE, BEN, &why));
    EXPECT(GY_E_CONFLICT, step(db, GY_USECASE_REQUEST, BEN, &why));
    static const char *const actions[] = {"retired",  "applied",   "approved", "requested",
                                          "rejected", "requested", "applied"};
    GY_TRY(gy_usecase_changes(db, U, a, &list, &n, err));
    CHECK(n == 7);
    for (size_t i = 0; i < n; i++) {
        CHECK(gy_str_eqc(list[i].action, actions[i]) && list[i].actor.n > 0);
        CHECK((list[i].spec.p != NULL) == gy_str_eqc(list[i].action, "applied"));
    }
    CHECK(gy_str_eqc(list[6].spec, "{\"owner\":\"ann\"}") && gy_str_eqc(list[2].reason, "because"));
    return GY_OK;
}

SCENARIO(four_eyes_are_two_people)
{
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(apply(db, "{}", true, NULL, err));
    GY_TRY(step(db, GY_USECASE_REQUEST, ANN, err));
    EXPECT(GY_E_DENIED, step(db, GY_USECASE_APPROVE, ANN, &why));
    SAYS("four eyes");
    GY_TRY(step(db, GY_USECASE_REJECT, ANN, err)); /* to take it back is fine */
    GY_TRY(step(db, GY_USECASE_REQUEST, ANN, err));
    return step(db, GY_USECASE_APPROVE, BEN, err);
}

SCENARIO(models_attach_to_one)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_usecase u, *list;
    size_t n;
    bool found = true;
    GY_TRY(make_model(db, "m", 1, a, err));
    GY_TRY(make_model(db, "k", 1, a, err));
    GY_TRY(apply(db, "{}", false, NULL, err));
    GY_TRY(gy_usecase_apply(db, GY_STR("triage"), GY_STR("{}"), false, ANN, NULL, err));
    GY_TRY(gy_usecase_of_model(db, GY_STR("m"), a, &found, &u, err));
    CHECK(!found);
    EXPECT(GY_E_NOTFOUND, gy_usecase_attach(db, U, GY_STR("none"), ANN, &why));
    EXPECT(GY_E_NOTFOUND, gy_usecase_attach(db, GY_STR("none"), GY_STR("m"), ANN, &why));
    EXPECT(GY_E_UNAUTHENTICATED, gy_usecase_attach(db, U, GY_STR("m"), NOBODY, &why));
    GY_TRY(gy_usecase_attach(db, U, GY_STR("m"), ANN, err));
    GY_TRY(gy_usecase_attach(db, U, GY_STR("m"), ANN, err));
    GY_TRY(gy_usecase_attach(db, U, GY_STR("k"), ANN, err));
    GY_TRY(gy_usecase_get(db, U, a, &u, err));
    CHECK(u.n_models == 2 && gy_str_eqc(u.models[0], "k") && gy_str_eqc(u.models[1], "m"));
    GY_TRY(gy_usecase_attach(db, GY_STR("triage"), GY_STR("m"), BEN, err));
    GY_TRY(gy_usecase_of_model(db, GY_STR("m"), a, &found, &u, err));
    CHECK(found && gy_str_eqc(u.name, "triage"));
    EXPECT(GY_E_CONFLICT, gy_usecase_detach(db, U, GY_STR("m"), ANN, &why));
    GY_TRY(gy_model_rename(db, GY_STR("m"), GY_STR("n"), ANN, err));
    GY_TRY(gy_usecase_of_model(db, GY_STR("n"), a, &found, &u, err));
    CHECK(found);
    GY_TRY(gy_usecase_detach(db, GY_STR("triage"), GY_STR("n"), ANN, err));
    GY_TRY(gy_model_delete(db, GY_STR("k"), ANN, err));
    GY_TRY(gy_usecase_list(db, a, &list, &n, err));
    CHECK(n == 2 && list[0].n_models == 0 && list[1].n_models == 0);
    GY_TRY(step(db, GY_USECASE_RETIRE, ANN, err));
    EXPECT(GY_E_CONFLICT, gy_usecase_attach(db, U, GY_STR("n"), ANN, &why));
    return GY_OK;
}

SCENARIO(names_and_sizes)
{
    struct gy_err why = GY_ERR_INIT;
    static const char *const bad[] = {"", "-x", ".x", "a b", "a/b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(GY_E_INVALID,
               gy_usecase_apply(db, gy_str_c(bad[i]), GY_STR("{}"), false, ANN, NULL, &why));
    }
    EXPECT(GY_E_UNAUTHENTICATED, gy_usecase_apply(db, U, GY_STR("{}"), false, NOBODY, NULL, &why));
    struct gy_str big = {(char *)gy_arena_calloc(a, 1, GY_USECASE_MAX_SPEC + 1),
                         GY_USECASE_MAX_SPEC + 1};
    EXPECT(GY_E_TOOBIG, gy_usecase_apply(db, U, big, false, ANN, NULL, &why));
    return GY_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(from_draft_to_retired),
        SCENE(four_eyes_are_two_people),
        SCENE(models_attach_to_one),
        SCENE(names_and_sizes),
    };
    return cmocka_run_group_tests_name("use cases", tests, NULL, NULL);
}
