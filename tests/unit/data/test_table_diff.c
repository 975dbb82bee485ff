/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"

#include "base/file.h"
#include "data/table_diff.h"

static char g_dir[64];

static int set_up(void **state)
{
    (void)state;
    scratch_make(g_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(g_dir);
    return 0;
}

static void put(const char *name, const char *text, char path[GY_MAX_PATH])
{
    (void)snprintf(path, GY_MAX_PATH, "%s/%s", g_dir, name);
    assert_int_equal(gy_file_write(path, gy_str_c(text), 0666, NULL), GY_OK);
}

static gy_status make(const char *before, const char *after, const char *key,
                      struct gy_table_diff **ret)
{
    char a[GY_MAX_PATH], b[GY_MAX_PATH];
    const struct gy_str name = gy_str_c(key);
    put("a.csv", before, a);
    put("b.csv", after, b);
    const struct gy_table_diff_options o = {
        .before = a, .after = b, .key = &name, .n_key = key ? 1 : 0, .samples = 2};
    return gy_table_diff_make(&o, ret, NULL);
}

static void check(const char *before, const char *after, const char *key, int64_t added,
                  int64_t removed, int64_t changed, int64_t same)
{
    GY_AUTO(gy_table_diff_free) struct gy_table_diff *d = NULL;
    assert_int_equal(make(before, after, key, &d), GY_OK);
    if (d->added != added || d->removed != removed || d->changed != changed || d->same != same) {
        fail_msg("added %lld, removed %lld, changed %lld, same %lld", (long long)d->added,
                 (long long)d->removed, (long long)d->changed, (long long)d->same);
    }
}

static void test_counts(void **state)
{
    (void)state;
    check("k,a\n1,x\n2,y\n", "k,a\n2,y\n1,x\n", "k", 0, 0, 0, 2);
    check("k,a\n1,x\n2,y\n", "k,a\n2,z\n3,x\n", "k", 1, 1, 1, 0);
    check("k,a\n1,x\n2,y\n", "k,a\n2,z\n3,x\n", NULL, 2, 2, 0, 0);
    check("k,a\n1,x\n", "a,k\nx,1\n", "k", 0, 0, 0, 1); /* the order of columns is no difference */
    check("k,a\n1,x\n", "k,a,b\n1,x,new\n", "k", 0, 0, 0,
          1); /* nor is a column that only one has */
    check("k,a\n1,x\n1,x\n1,y\n", "k,a\n1,x\n", "k", 0, 2, 0, 1); /* a key several times */
    check("k,a\n1,x\n1,y\n", "k,a\n1,y\n1,z\n1,w\n", "k", 1, 0, 1, 1);
    check("a\n", "a\n", NULL, 0, 0, 0, 0);
    check("a\n\nx\n", "a\nx\n\n\n", NULL, 1, 0, 0, 2); /* a blank line is a row of one column */
    check("k,a\n1,\"x\ny\"\n", "k,a\n1,\"x\nz\"\n", "k", 0, 0, 1, 0);
    check("k,a\n12,3\n", "k,a\n1,23\n", NULL, 1, 1, 0, 0); /* values do not run together */
}

static void test_rows(void **state)
{
    (void)state;
    GY_AUTO(gy_table_diff_free) struct gy_table_diff *d = NULL;
    assert_int_equal(make("k,a,b\n1,\"x\n\"\"y\"\"\",p\n2,u,q\n3,v,r\n4,w,s\n",
                          "b,k,a\np2,1,z\nq,2,u2\nr,3,v3\nt,5,w\n", "k", &d),
                     GY_OK);
    assert_int_equal(d->changed, 3);
    assert_int_equal(d->n_changed, 2); /* samples */
    assert_int_equal(d->changed_by[1], 3);
    assert_int_equal(d->changed_by[2], 1);
    assert_true(gy_str_eqc(d->changed_before[0].values[1], "x\n\"y\""));
    assert_true(gy_str_eqc(d->changed_after[0].values[0], "p2"));
    assert_true(gy_str_eqc(d->changed_after[0].values[2], "z"));
    assert_int_equal(d->n_added, 1);
    assert_true(gy_str_eqc(d->added_rows[0].values[1], "5"));
    assert_true(gy_str_eqc(d->removed_rows[0].values[0], "4"));
}

static void test_what_is_no_table(void **state)
{
    (void)state;
    struct gy_table_diff *d = NULL;
    assert_int_equal(make("k,a\n1,x\n", "k\n1\n", "a", &d), GY_E_NOTFOUND);
    assert_int_equal(make("", "k\n1\n", NULL, &d), GY_E_PARSE);
    assert_int_equal(make("k\n1\n", "\"k\n1\n", NULL, &d), GY_E_PARSE);
    assert_int_equal(make("k,a\n1,\"x\n", "k,a\n1,x\n", NULL, &d), GY_E_PARSE);
    const struct gy_table_diff_options o = {.before = "/nothing", .after = "/nothing"};
    assert_int_equal(gy_table_diff_make(&o, &d, NULL), GY_E_NOTFOUND);
    assert_null(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_what_is_no_table),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
