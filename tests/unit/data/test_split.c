/* SPDX-License-Identifier: Apache-2.0 */
/* Which row goes where: sizes, classes, groups and times, over random tables. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "data/split.h"

#define MAX_ROWS 3000
#define MAX_CLASSES 5

struct table {
    size_t n;
    uint64_t order[MAX_ROWS], group[MAX_ROWS];
    uint32_t classes[MAX_ROWS];
    double time[MAX_ROWS];
    uint8_t part[MAX_ROWS];
    struct gy_split_table t;
};
static struct table g_t;

static struct gy_split_part g_parts[GY_SPLIT_MAX_PARTS];
static size_t g_n_parts;

static void random_table(struct gy_rng *r)
{
    struct table *t = &g_t;
    t->n = 50 + gy_rng_below(r, MAX_ROWS - 50);
    for (size_t i = 0; i < t->n; i++) {
        t->order[i] = gy_rng_u64(r);
        t->group[i] = gy_rng_below(r, 1 + t->n / 8) * 0x9e3779b97f4a7c15ULL;
        t->classes[i] = (uint32_t)(gy_rng_below(r, MAX_CLASSES) * gy_rng_below(r, 2));
        t->time[i] = (double)gy_rng_below(r, t->n);
    }
    t->t = (struct gy_split_table){.n = t->n,
                                   .order = t->order,
                                   .group = t->group,
                                   .classes = t->classes,
                                   .n_classes = MAX_CLASSES,
                                   .time = t->time};
}

static void parse(const char *text)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_split_parse_parts(gy_str_c(text), g_parts, &g_n_parts, &err), err);
}

static const char *const PARTS[] = {"train=.7,valid=.15,test=.15", "a=0.5,b=0.5",
                                    "a=.333333,b=.333333,c=.333334", "x=.9,y=0.1"};

static void test_parts(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "a=1",          "a=.5,b=.6",   "a=.5,a=.5",
                                      "a=.5,A=.5", "a=.5,b=x",     "a=1.5,b=-.5", "a=.5,b",
                                      "=.5,b=.5",  "../a=.5,b=.5", "a/b=.5,c=.5", "a=.5,b=.5,",
                                      "a=nan,b=1", "a=0,b=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_split_parse_parts(gy_str_c(bad[i]), g_parts, &g_n_parts, &err),
                         GY_E_INVALID);
        assert_true(err.hint[0] != '\0');
    }
    parse(PARTS[0]);
    assert_int_equal(g_n_parts, 3);
    assert_str(g_parts[1].name, "valid");
    assert_true(g_parts[0].share == 0.7);
}

/* hashlib.sha256(b"7\npatient-1").digest()[:8] */
static void test_hash_is_sha256(void **state)
{
    (void)state;
    uint64_t hash = 0;
    assert_int_equal(gy_split_hash(7, GY_STR("patient-1"), &hash, NULL), GY_OK);
    assert_true(hash == 0x830741ed33e3f32fULL);
}

static void test_intervals_begin_with_the_last_part(void **state)
{
    (void)state;
    parse("train=.7,valid=.1,test=.2");
    assert_int_equal(gy_split_part_of(0, g_parts, 3), 2);
    assert_int_equal(gy_split_part_of(0x3333333333333000ULL, g_parts, 3), 2);
    assert_int_equal(gy_split_part_of(0x3333333333334000ULL, g_parts, 3), 1);
    assert_int_equal(gy_split_part_of(0x4ccccccccccc0000ULL, g_parts, 3), 1);
    assert_int_equal(gy_split_part_of(0x4cccccccccd00000ULL, g_parts, 3), 0);
    assert_int_equal(gy_split_part_of(UINT64_MAX, g_parts, 3), 0);
}

static void test_exact_sizes_of_each_class(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 1);
    for (int round = 0; round < 60; round++) {
        size_t of_class[MAX_CLASSES] = {0}, got[MAX_CLASSES][4] = {{0}}, all[4] = {0};
        parse(PARTS[round % 4]);
        random_table(&r);
        assert_int_equal(gy_split_exact(&g_t.t, g_parts, g_n_parts, g_t.part, NULL), GY_OK);
        for (size_t i = 0; i < g_t.n; i++) {
            of_class[g_t.classes[i]]++;
            got[g_t.classes[i]][g_t.part[i]]++;
            all[g_t.part[i]]++;
        }
        for (size_t p = 0; p < g_n_parts; p++) {
            double share = g_parts[p].share;
            for (size_t c = 0; c < MAX_CLASSES; c++) {
                assert_true(fabs((double)got[c][p] - share * (double)of_class[c]) < 2);
            }
            /* What a class rounds away another one gives back. */
            assert_true(fabs((double)all[p] - share * (double)g_t.n) < 1.5);
        }
    }
}

static void test_one_class_is_as_none(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 2);
    random_table(&r);
    parse("a=.75,b=.25");
    g_t.t.classes = NULL;
    assert_int_equal(gy_split_exact(&g_t.t, g_parts, 2, g_t.part, NULL), GY_OK);
    size_t b = 0;
    uint64_t highest_b = 0, lowest_a = UINT64_MAX;
    for (size_t i = 0; i < g_t.n; i++) {
        b += g_t.part[i];
        if (g_t.part[i] && g_t.order[i] > highest_b) {
            highest_b = g_t.order[i];
        }
        if (!g_t.part[i] && g_t.order[i] < lowest_a) {
            lowest_a = g_t.order[i];
        }
    }
    assert_true(highest_b < lowest_a); /* by key alone, whatever the order of the rows */
    assert_in_range(b, g_t.n / 4, g_t.n / 4 + 1);
}

static void test_groups_stay_together_and_classes_are_balanced(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 3);
    for (int round = 0; round < 40; round++) {
        size_t of_class[MAX_CLASSES] = {0}, got[MAX_CLASSES][4] = {{0}}, shared = 1;
        parse(PARTS[round % 4]);
        random_table(&r);
        assert_int_equal(gy_split_groups(&g_t.t, g_parts, g_n_parts, g_t.part, NULL), GY_OK);
        assert_int_equal(gy_split_shared(g_t.group, g_t.part, g_t.n, &shared, NULL), GY_OK);
        assert_int_equal(shared, 0);
        for (size_t i = 0; i < g_t.n; i++) {
            of_class[g_t.classes[i]]++;
            got[g_t.classes[i]][g_t.part[i]]++;
        }
        for (size_t p = 0; p < g_n_parts && g_t.n > 500; p++) {
            for (size_t c = 0; c < MAX_CLASSES; c++) {
                double share = (double)got[c][p] / (double)of_class[c];
                assert_true(fabs(share - g_parts[p].share) < 0.1);
            }
        }
    }
}

static void test_earlier_is_before_later(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 4);
    for (int round = 0; round < 60; round++) {
        double from[4] = {INFINITY, INFINITY, INFINITY, INFINITY},
               to[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        size_t rows[4] = {0};
        parse(PARTS[round % 4]);
        random_table(&r);
        assert_int_equal(gy_split_times(&g_t.t, g_parts, g_n_parts, g_t.part, NULL), GY_OK);
        for (size_t i = 0; i < g_t.n; i++) {
            size_t p = g_t.part[i];
            from[p] = fmin(from[p], g_t.time[i]);
            to[p] = fmax(to[p], g_t.time[i]);
            rows[p]++;
        }
        for (size_t p = 0; p < g_n_parts; p++) {
            assert_true(p == 0 || to[p - 1] < from[p]); /* strictly: no time is in both */
            assert_true(fabs((double)rows[p] - g_parts[p].share * (double)g_t.n) < 12);
        }
    }
}

static void test_one_moment_can_not_be_cut(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    g_t.n = 100;
    for (size_t i = 0; i < 100; i++) {
        g_t.time[i] = 5;
    }
    g_t.t = (struct gy_split_table){.n = 100, .time = g_t.time};
    parse("a=.5,b=.5");
    assert_status(GY_E_INVALID, gy_split_times(&g_t.t, g_parts, 2, g_t.part, &err), err);
    g_t.time[7] = 4;
    assert_status(GY_OK, gy_split_times(&g_t.t, g_parts, 2, g_t.part, &err), err);
    assert_int_equal(g_t.part[7], 0);
    assert_int_equal(g_t.part[8], 1);
}

static void test_shared_keys_are_counted(void **state)
{
    (void)state;
    static const uint64_t keys[] = {1, 2, 3, 1, 2, 1};
    static const uint8_t parts[] = {0, 0, 1, 0, 1, 1};
    size_t shared = 0;
    assert_int_equal(gy_split_shared(keys, parts, 6, &shared, NULL), GY_OK);
    assert_int_equal(shared, 2);
    assert_int_equal(gy_split_shared(keys, parts, 0, &shared, NULL), GY_OK);
    assert_int_equal(shared, 0);
}

static gy_status all_of_them(void *ctx, struct gy_err *err)
{
    size_t shared;
    uint64_t hash;
    (void)ctx;
    GY_TRY(gy_split_hash(1, GY_STR("x"), &hash, err));
    GY_TRY(gy_split_exact(&g_t.t, g_parts, g_n_parts, g_t.part, err));
    GY_TRY(gy_split_groups(&g_t.t, g_parts, g_n_parts, g_t.part, err));
    GY_TRY(gy_split_times(&g_t.t, g_parts, g_n_parts, g_t.part, err));
    return gy_split_shared(g_t.group, g_t.part, g_t.n, &shared, err);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct gy_rng r;
    gy_rng_init(&r, 5);
    random_table(&r);
    parse(PARTS[0]);
    torture(all_of_them, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_hash_is_sha256),
        cmocka_unit_test(test_intervals_begin_with_the_last_part),
        cmocka_unit_test(test_exact_sizes_of_each_class),
        cmocka_unit_test(test_one_class_is_as_none),
        cmocka_unit_test(test_groups_stay_together_and_classes_are_balanced),
        cmocka_unit_test(test_earlier_is_before_later),
        cmocka_unit_test(test_one_moment_can_not_be_cut),
        cmocka_unit_test(test_shared_keys_are_counted),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
