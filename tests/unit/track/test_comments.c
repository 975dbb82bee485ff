/* SPDX-License-Identifier: Apache-2.0 */
/* Comments: added, edited, hidden, never lost. */
#include "track/comments.h"

#include "support_track.h"
#include "track/experiments.h"
#include "track/runs.h"

#define V1 GY_STR("model:m/1")

SCENARIO(edits_keep_what_was_said)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_comment c, *list;
    struct gy_comment_text *texts;
    size_t n;
    GY_TRY(make_model(db, "m", 2, a, err));
    EXPECT(GY_E_UNAUTHENTICATED, gy_comment_add(db, V1, GY_STR("x"), NOBODY, a, &c, &why));
    EXPECT(GY_E_INVALID, gy_comment_add(db, V1, GY_STR(" \n"), ANN, a, &c, &why));
    EXPECT(GY_E_INVALID, gy_comment_add(db, V1, GY_STR("\xff"), ANN, a, &c, &why));
    EXPECT(GY_E_NOTFOUND, gy_comment_add(db, GY_STR("model:m/9"), GY_STR("x"), ANN, a, &c, &why));
    EXPECT(GY_E_INVALID, gy_comment_add(db, GY_STR("dataset:d"), GY_STR("x"), ANN, a, &c, &why));
    GY_TRY(gy_comment_add(db, V1, GY_STR("good on ward 3"), ANN, a, &c, err));
    CHECK(c.n_texts == 1 && c.edited_us == 0 && gy_str_eq(c.subject, V1));
    EXPECT(GY_E_DENIED, gy_comment_edit(db, c.id, GY_STR("bad"), BEN, a, &c, &why));
    struct gy_str id = c.id;
    GY_TRY(gy_comment_edit(db, id, GY_STR("good on ward 4"), ANN, a, &c, err));
    CHECK(c.n_texts == 2 && c.edited_us > 0 && gy_str_eqc(c.text, "good on ward 4"));
    GY_TRY(gy_comment_edit(db, id, GY_STR("good on ward 4"), ANN, a, &c, err));
    CHECK(c.n_texts == 2);
    GY_TRY(gy_comment_texts(db, id, a, &texts, &n, err));
    CHECK(n == 2 && gy_str_eqc(texts[0].text, "good on ward 3") && texts[1].number == 2);
    GY_TRY(gy_comment_add(db, V1, GY_STR("agreed"), BEN, a, &c, err));
    GY_TRY(gy_comment_list(db, V1, false, a, &list, &n, err));
    CHECK(n == 2 && gy_str_eq(list[0].id, id) && gy_str_eq(list[1].actor, BEN));
    return GY_OK;
}

SCENARIO(a_deleted_one_is_hidden_by_who_may)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_comment c, *list;
    struct gy_comment_text *texts;
    size_t n;
    GY_TRY(make_model(db, "m", 1, a, err));
    GY_TRY(gy_comment_add(db, V1, GY_STR("one"), ANN, a, &c, err));
    struct gy_str one = c.id;
    EXPECT(GY_E_DENIED, gy_comment_delete(db, one, BEN, false, a, &c, &why));
    SAYS("is by ann, not by ben");
    EXPECT(GY_E_UNAUTHENTICATED, gy_comment_delete(db, one, NOBODY, true, a, &c, &why));
    GY_TRY(gy_comment_delete(db, one, BEN, true, a, &c, err));
    CHECK(!c.text.p && gy_str_eq(c.deleted_by, BEN) && c.deleted_us > 0);
    int64_t when = c.deleted_us;
    GY_TRY(gy_comment_delete(db, one, ANN, false, a, &c, err));
    CHECK(c.deleted_us == when && gy_str_eq(c.deleted_by, BEN));
    EXPECT(GY_E_CONFLICT, gy_comment_edit(db, one, GY_STR("two"), ANN, a, &c, &why));
    GY_TRY(gy_comment_list(db, V1, false, a, &list, &n, err));
    CHECK(n == 0);
    GY_TRY(gy_comment_list(db, V1, true, a, &list, &n, err));
    CHECK(n == 1 && !list[0].text.p);
    GY_TRY(gy_comment_texts(db, one, a, &texts, &n, err));
    CHECK(n == 1 && gy_str_eqc(texts[0].text, "one"));
    EXPECT(GY_E_NOTFOUND, gy_comment_texts(db, GY_STR("none"), a, &texts, &n, &why));
    return GY_OK;
}

SCENARIO(subjects_are_followed)
{
    struct gy_err why = GY_ERR_INIT;
    struct gy_comment c, *list;
    struct gy_run run;
    size_t n;
    int64_t experiment = 0;
    GY_TRY(gy_experiment_create(db, GY_STR("e"), GY_STR_NULL, NULL, 0, ANN, a, &experiment, err));
    const struct gy_run_new in = {.experiment_id = experiment, .user_id = ANN};
    GY_TRY(gy_run_create(db, &in, ANN, a, &run, err));
    struct gy_str subject = gy_str_c(gy_arena_printf(a, "run:%" GY_STR_F, GY_STR_A(run.id)));
    GY_TRY(gy_comment_add(db, subject, GY_STR("of a run"), ANN, a, &c, err));
    EXPECT(GY_E_NOTFOUND, gy_comment_add(db, GY_STR("run:none"), GY_STR("x"), ANN, a, &c, &why));
    GY_TRY(make_model(db, "m", 12, a, err));
    GY_TRY(gy_comment_add(db, GY_STR("model:m/12"), GY_STR("of twelve"), ANN, a, &c, err));
    GY_TRY(gy_comment_add(db, V1, GY_STR("of one"), ANN, a, &c, err));
    GY_TRY(gy_model_rename(db, GY_STR("m"), GY_STR("m\xc3\xa9lange"), ANN, err));
    GY_TRY(gy_comment_list(db, GY_STR("model:m\xc3\xa9lange/12"), false, a, &list, &n, err));
    CHECK(n == 1 && gy_str_eqc(list[0].text, "of twelve"));
    GY_TRY(gy_model_rename(db, GY_STR("m\xc3\xa9lange"), GY_STR("k"), ANN, err));
    GY_TRY(gy_comment_list(db, GY_STR("model:k/1"), false, a, &list, &n, err));
    CHECK(n == 1 && gy_str_eqc(list[0].subject, "model:k/1"));
    /* A new model of that name has nothing said of it. */
    GY_TRY(gy_model_delete(db, GY_STR("k"), ANN, err));
    GY_TRY(make_model(db, "k", 1, a, err));
    GY_TRY(gy_comment_list(db, GY_STR("model:k/1"), true, a, &list, &n, err));
    CHECK(n == 0);
    GY_TRY(gy_comment_list(db, subject, false, a, &list, &n, err));
    CHECK(n == 1);
    return GY_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(edits_keep_what_was_said),
        SCENE(a_deleted_one_is_hidden_by_who_may),
        SCENE(subjects_are_followed),
    };
    return cmocka_run_group_tests_name("comments", tests, NULL, NULL);
}
