/* SPDX-License-Identifier: Apache-2.0 */
/* The table of feedback: nothing is lost, nothing is there twice. */
#include "support_join.h"

#include "base/time.h"
#include "watch/feedback.h"

static struct gy_err err;

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

struct adding {
    struct gy_feedback *list;
    size_t n, fresh;
};

static gy_status add(struct gy_db *db, void *ctx, struct gy_err *error)
{
    struct adding *a = ctx;
    return gy_feedback_add(db, a->list, a->n, &a->fresh, error);
}

static size_t must_add(struct scratch *s, struct gy_feedback *list, size_t n)
{
    struct adding a = {list, n, 0};
    scratch_write(s, add, &a);
    return a.fresh;
}

static int64_t rows(struct scratch *s)
{
    return scratch_int(s, "SELECT COUNT(*) FROM feedback");
}

struct seen {
    size_t n;
    int64_t given_us[8];
    char text[512];
};

static gy_status see(void *ctx, const struct gy_feedback *f, struct gy_err *error)
{
    struct seen *seen = ctx;
    (void)error;
    size_t used = strlen(seen->text);
    if (seen->n < 8) {
        seen->given_us[seen->n] = f->given_us;
    }
    (void)snprintf(seen->text + used, sizeof seen->text - used,
                   "%" GY_STR_F "|%u|%" GY_STR_F "|%" GY_STR_F "|%g|%" GY_STR_F "\n",
                   GY_STR_A(f->by_request ? f->request_id : GY_STR("id")), f->row,
                   GY_STR_A(f->label), GY_STR_A(f->source), f->reward, GY_STR_A(f->info));
    seen->n++;
    return GY_OK;
}

static gy_status see_all(struct gy_db *db, void *ctx, struct gy_err *error)
{
    return gy_feedback_each(db, 0, see, ctx, error);
}

static gy_status see_late(struct gy_db *db, void *ctx, struct gy_err *error)
{
    return gy_feedback_each(db, 2000, see, ctx, error);
}

static void test_kept_as_given(void **state)
{
    struct scratch *s = *state;
    struct gy_feedback list[3] = {label_for(1, "1"), label_for(2, ""), label_for(0, "high")};
    list[1].reward = 0;
    list[1].row = 3;
    list[1].created_us = 1000;
    list[2].by_request = true;
    list[2].request_id = GY_STR("order 7");
    list[2].source = GY_STR("review");
    list[2].actor = GY_STR("alice");
    list[2].info = GY_STR("{\"reason\":\"seen\"}");
    assert_int_equal(must_add(s, list, 3), 3);
    struct seen all = {.n = 0};
    scratch_read(s, see_all, &all);
    assert_string_equal(all.text, "id|0|1|truth|nan|{}\nid|3||truth|0|{}\n"
                                  "order 7|0|high|review|nan|{\"reason\":\"seen\"}\n");
    struct seen late = {.n = 0};
    scratch_read(s, see_late, &late);
    assert_int_equal(late.n, 2);
}

static void test_twice_is_once(void **state)
{
    struct scratch *s = *state;
    struct gy_feedback list[2] = {label_for(1, "1"), label_for(1, "1")};
    assert_int_equal(must_add(s, list, 2), 1);
    assert_int_equal(must_add(s, list, 2), 0);
    list[1].source = GY_STR("review"); /* anything that differs is another piece */
    assert_int_equal(must_add(s, list, 2), 1);
    list[1].row = 1;
    assert_int_equal(must_add(s, list, 2), 1);
    list[1].given_us++;
    assert_int_equal(must_add(s, list, 2), 1);
    list[1].label = GY_STR("0");
    assert_int_equal(must_add(s, list, 2), 1);
    assert_int_equal(rows(s), 5);
    for (int i = 0; i < 3; i++) { /* of rewards for one piece the greatest stays, in any order */
        static const double rewards[] = {0, 1, 0.5};
        list[1].reward = rewards[i];
        assert_int_equal(must_add(s, &list[1], 1), i < 2);
    }
    assert_int_equal(rows(s), 5);
    assert_int_equal(scratch_int(s, "SELECT MAX(reward) FROM feedback"), 1);
}

static void test_without_a_time(void **state)
{
    struct scratch *s = *state;
    struct gy_feedback f = label_for(1, "1");
    gy_time_set_fake(7000);
    f.given_us = 0;
    assert_int_equal(must_add(s, &f, 1), 1);
    assert_int_equal(f.given_us, 7000);
    gy_time_set_fake(8000);
    f = label_for(1, "1");
    f.given_us = 0;
    assert_int_equal(must_add(s, &f, 1), 0); /* the same word again: it keeps its time */
    assert_int_equal(f.given_us, 7000);
    f.given_us = 0;
    f.label = GY_STR("0");
    assert_int_equal(must_add(s, &f, 1), 1); /* a change of mind */
    assert_int_equal(f.given_us, 8000);
    gy_time_set_fake(9000);
    f.given_us = 0;
    f.label = GY_STR("1");
    assert_int_equal(must_add(s, &f, 1), 1); /* and back: that is news */
    assert_int_equal(f.given_us, 9000);
}

static void must_refuse(struct gy_feedback f, const char *why)
{
    assert_status(GY_E_INVALID, gy_feedback_check(&f, &err), err);
    assert_non_null(strstr(err.msg, why));
}

static void test_refused(void **state)
{
    struct scratch *s = *state;
    static char big[GY_FEEDBACK_MAX_INFO + 1];
    memset(big, 'x', sizeof big);
    struct gy_feedback f = label_for(1, "");
    must_refuse(f, "needs a label or a reward");
    f.label = gy_str_n(big, GY_MAX_NAME + 1);
    must_refuse(f, "the label is longer");
    f.label = GY_STR("\xff");
    must_refuse(f, "UTF-8");
    f.label = GY_STR("1");
    f.source = gy_str_n(big, GY_MAX_NAME + 1);
    must_refuse(f, "the source");
    f.source = GY_STR("");
    f.info = gy_str_n(big, sizeof big);
    must_refuse(f, "reason and tags");
    f.info = GY_STR("");
    f.row = UINT32_MAX;
    must_refuse(f, "row");
    f.row = 0;
    f.by_request = true;
    must_refuse(f, "prediction_id");
    f.request_id = gy_str_n(big, GY_FEEDBACK_MAX_ID + 1);
    must_refuse(f, "request id");
    struct gy_feedback list[2] = {label_for(1, "1"), label_for(1, "")};
    struct adding a = {list, 2, 0};
    assert_status(GY_E_INVALID, gy_store_write(s->store, add, &a, &err), err);
    assert_int_equal(rows(s), 0); /* all or nothing */
}

static void test_priorities(void **state)
{
    (void)state;
    assert_int_equal(gy_feedback_priority(GY_STR_NULL), 3);
    assert_int_equal(gy_feedback_priority(GY_STR("truth")), 3);
    assert_int_equal(gy_feedback_priority(GY_STR("review")), 2);
    assert_int_equal(gy_feedback_priority(GY_STR("nurse")), 1);
    assert_int_equal(gy_feedback_priority(GY_STR("simulated")), 0);
}

static gy_status add_one(void *ctx, struct gy_err *error)
{
    struct gy_feedback f = label_for(1, "1");
    struct adding a = {&f, 1, 0};
    return gy_store_write(ctx, add, &a, error);
}

static void test_after_a_restart(void **state)
{
    struct scratch *s = *state;
    assert_status(GY_OK, add_one(s->store, &err), err);
    scratch_open(s);
    assert_int_equal(rows(s), 1);
    assert_status(GY_OK, add_one(s->store, &err), err);
    assert_int_equal(rows(s), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_as_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twice_is_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test_setup_teardown(test_after_a_restart, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
