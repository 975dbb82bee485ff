/* SPDX-License-Identifier: Apache-2.0 */
/* Every version of a card is kept. */
#include "track/cards.h"

#include "support_track.h"

static struct gy_card a_card(const char *stated)
{
    return (struct gy_card){.stated = gy_str_c(stated),
                            .card = GY_STR("{\"whole\":1}"),
                            .actor = ANN,
                            .reason = GY_STR("why")};
}

SCENARIO(versions_are_numbered_and_kept)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_card c = a_card("{\"owner\":\"ann\"}"), *list;
    bool found = true;
    int64_t number = 0;
    size_t n;
    GY_TRY(make_model(db, "m", 2, a, err));
    GY_TRY(gy_card_get(db, GY_STR("m"), 1, 0, a, &found, &c, err));
    CHECK(!found);
    c = a_card("{\"owner\":\"ann\"}");
    GY_TRY(gy_card_add(db, GY_STR("m"), 1, 0, &c, &number, err));
    CHECK(number == 1);
    EXPECT(GY_E_CONFLICT, gy_card_add(db, GY_STR("m"), 1, 0, &c, &number, &why));
    SAYS("newest version is 1");
    c = a_card("{\"owner\":\"ben\"}");
    GY_TRY(gy_card_add(db, GY_STR("m"), 1, 1, &c, &number, err));
    GY_TRY(gy_card_add(db, GY_STR("m"), 1, -1, &c, &number, err));
    CHECK(number == 3);
    GY_TRY(gy_card_get(db, GY_STR("m"), 1, 1, a, &found, &c, err));
    CHECK(found && gy_str_eqc(c.stated, "{\"owner\":\"ann\"}") &&
          gy_str_eqc(c.card, "{\"whole\":1}"));
    GY_TRY(gy_card_get(db, GY_STR("m"), 1, 0, a, &found, &c, err));
    CHECK(found && c.number == 3 && gy_str_eqc(c.reason, "why") && gy_str_eq(c.actor, ANN));
    EXPECT(GY_E_NOTFOUND, gy_card_get(db, GY_STR("m"), 1, 4, a, &found, &c, &why));
    GY_TRY(gy_card_list(db, GY_STR("m"), 1, a, &list, &n, err));
    CHECK(n == 3 && list[0].number == 3 && !list[0].card.p);
    GY_TRY(gy_card_list(db, GY_STR("m"), 2, a, &list, &n, err));
    CHECK(n == 0);
    return GY_OK;
}

SCENARIO(who_and_what_is_refused)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_card c = a_card("{}");
    int64_t number = 0;
    GY_TRY(make_model(db, "m", 1, a, err));
    EXPECT(GY_E_NOTFOUND, gy_card_add(db, GY_STR("m"), 2, -1, &c, &number, &why));
    c.actor = NOBODY;
    EXPECT(GY_E_UNAUTHENTICATED, gy_card_add(db, GY_STR("m"), 1, -1, &c, &number, &why));
    c = a_card("{}");
    c.stated.n = GY_CARD_MAX_STATED + 1;
    EXPECT(GY_E_TOOBIG, gy_card_add(db, GY_STR("m"), 1, -1, &c, &number, &why));
    return GY_OK;
}

SCENARIO(a_new_model_of_the_name_starts_without)
{
    struct gy_card c = a_card("{}");
    bool found = true;
    int64_t number = 0;
    GY_TRY(make_model(db, "m", 1, a, err));
    GY_TRY(gy_card_add(db, GY_STR("m"), 1, -1, &c, &number, err));
    GY_TRY(gy_model_rename(db, GY_STR("m"), GY_STR("n"), ANN, err));
    GY_TRY(gy_card_get(db, GY_STR("n"), 1, 1, a, &found, &c, err));
    CHECK(found);
    GY_TRY(gy_model_delete(db, GY_STR("n"), ANN, err));
    GY_TRY(make_model(db, "n", 1, a, err));
    GY_TRY(gy_card_get(db, GY_STR("n"), 1, 0, a, &found, &c, err));
    CHECK(!found);
    c = a_card("{}");
    GY_TRY(gy_card_add(db, GY_STR("n"), 1, 0, &c, &number, err));
    CHECK(number == 1);
    return GY_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(versions_are_numbered_and_kept),
        SCENE(who_and_what_is_refused),
        SCENE(a_new_model_of_the_name_starts_without),
    };
    return cmocka_run_group_tests_name("cards", tests, NULL, NULL);
}
