/* SPDX-License-Identifier: Apache-2.0 */
/* The training profile of a package: what it holds, that it reads back, and that damage is seen. */
#include "support_learn.h"

#include "learn/profile.h"

static void train_into(const struct gy_table *t, const char *yaml, const char *dir)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    read_params(&p, GY_LEARNER_LOGISTIC, yaml);
    OK(gy_train(t, &p, dir, &done, &g_err));
}

/* What training kept, counted anew from the table's training rows. */
static void tells_the_training_rows(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(3000, 1);
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_profile f;
    uint32_t *rows = NULL;
    size_t n = 0;
    gy_arena_init(&a, 64 * GY_MIB);
    train_into(t, "seed: 7\ntrain: {features: [Temp, HR]}", in_dir(dir, "told"));
    OK(gy_profile_read(dir, &a, &f, &g_err));
    OK(gy_predictor_load(dir, &p, &g_err));
    OK(gy_eval_rows(gy_predictor_model(p), t, GY_EVAL_TRAINING, &rows, &n, &g_err));
    assert_int_equal(f.rows, n);
    assert_int_equal(f.n_columns, 3); /* Temp, HR, and Resp beside them; no id, no label, no text */
    assert_true(gy_str_eqc(f.columns[0].name, "Temp") && f.columns[0].input);
    assert_true(gy_str_eqc(f.columns[1].name, "HR") && f.columns[1].integer);
    assert_true(gy_str_eqc(f.columns[2].name, "Resp") && !f.columns[2].input);
    assert_null(gy_profile_column(&f, GY_STR("id")));
    const double *temp = gy_table_column(t, GY_STR("Temp"))->num;
    const double *sick = gy_table_column(t, GY_STR("sick"))->num;
    uint64_t missing = 0, of_value = 0, positive = 0;
    double sum = 0, least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double v = temp[rows[i]];
        missing += isnan(v);
        sum += isnan(v) ? 0 : v;
        least = v < least ? v : least;
        of_value += v == 38.0;
        positive += sick[rows[i]] == 1;
    }
    const struct gy_profile_column *c = gy_profile_column(&f, GY_STR("Temp"));
    assert_int_equal(c->values.missing, missing);
    assert_int_equal(c->values.total, n - missing);
    assert_true(fabs(c->mean - sum / (double)(n - missing)) < 1e-12 && c->min == least);
    assert_int_equal(c->distinct, c->values.n);
    assert_false(c->values.approximate);
    for (size_t i = 0; i < c->values.n; i++) {
        if (c->values.values[i] == 38.0) {
            assert_int_equal(c->values.counts[i], of_value);
            of_value = 0;
        }
    }
    assert_int_equal(of_value, 0);
    assert_int_equal(f.class_counts[1], positive);
    assert_true(f.positive_share == (double)positive / (double)n);
    /* the scores are those of the rows held out */
    assert_int_equal(f.score.total, 3000 - n);
    assert_true(f.score.values[0] >= 0 && f.score.values[f.score.n - 1] <= 1);
    gy_eval_rows_free(rows);
}

/* Without a schema nothing says that `id` is one; it is not kept all the same. */
static void an_id_is_no_column(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    GY_AUTO(gy_table_free) struct gy_table *t = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_profile p;
    uint32_t rows[200];
    gy_buf_init(&csv, GY_MIB);
    gy_arena_init(&a, 16 * GY_MIB);
    gy_buf_addc(&csv, "id,x,y\n");
    for (uint32_t i = 0; i < 200; i++) {
        gy_buf_addf(&csv, "%u,%u,%u.5\n", (unsigned)i + 1, (unsigned)i % 199, (unsigned)i);
        rows[i] = i;
    }
    OK(gy_table_parse(gy_buf_str(&csv), "t.csv", NULL, &t, &g_err));
    OK(gy_profile_table(t, rows, 200, &a, &p, &g_err));
    assert_int_equal(p.n_columns, 2);
    assert_null(gy_profile_column(&p, GY_STR("id")));
    OK(gy_profile_table(t, rows, 99, &a, &p, &g_err)); /* too few to tell */
    assert_int_equal(p.n_columns, 3);
}

static void regression_and_classes(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(600, 2);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    struct gy_profile f;
    gy_arena_init(&a, 64 * GY_MIB);
    read_params(&p, GY_LEARNER_MAJORITY,
                "train: {features: [HR, Resp], target: Temp, task: regression}");
    OK(gy_train(t, &p, in_dir(dir, "value"), &done, &g_err));
    OK(gy_profile_read(dir, &a, &f, &g_err));
    assert_int_equal(f.task, GY_TASK_REGRESSION);
    assert_int_equal(f.target_values.total, f.rows);
    assert_true(isnan(f.positive_share) && f.n_classes == 0);
    assert_int_equal(f.score.n, 1); /* the mean, always */
}

static void write_again(const struct gy_profile *f, struct gy_buf *out)
{
    gy_buf_init(out, GY_MIB);
    OK(gy_profile_write(f, out, &g_err));
}

/* Many values: kept as quantiles; and what is written reads back to the same bytes. */
static void a_long_column_is_summarized(void **state)
{
    (void)state;
    enum { N = 90000 };
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf once;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf twice;
    static double x[N];
    struct gy_rng r;
    gy_rng_init(&r, 3);
    for (size_t i = 0; i < N; i++) {
        x[i] = gy_rng_normal(&r);
    }
    gy_arena_init(&a, 64 * GY_MIB);
    struct gy_profile_column columns[2] = {{.name = GY_STR("x"), .input = true},
                                           {.name = GY_STR("empty")}};
    struct gy_values v, none;
    OK(gy_values_of(x, NULL, N, &a, &v, &g_err));
    OK(gy_values_of(x, NULL, 0, &a, &none, &g_err));
    OK(gy_profile_describe(&v, 2, &a, &columns[0], &g_err));
    OK(gy_profile_describe(&none, 2, &a, &columns[1], &g_err));
    assert_true(columns[0].values.approximate);
    assert_int_equal(columns[0].values.n, GY_PROFILE_QUANTILES);
    assert_int_equal(columns[0].distinct, N);
    assert_true(fabs(gy_values_mean(&columns[0].values) - columns[0].mean) < 1e-3);
    struct gy_profile p = {.rows = N, .columns = columns, .n_columns = 2}, q;
    write_again(&p, &once);
    OK(gy_profile_parse(gy_buf_str(&once), &a, &q, &g_err));
    write_again(&q, &twice);
    assert_true(gy_str_eq(gy_buf_str(&once), gy_buf_str(&twice)));
    /* many columns share the budget; few rows stay exact all the same */
    OK(gy_profile_describe(&v, 4096, &a, &columns[0], &g_err));
    assert_int_equal(columns[0].values.n, GY_PROFILE_MIN_EXACT);
}

#define COLUMN(text)                                                                     \
    "{\"format\":\"gyre.profile/1\",\"rows\":3,\"columns\":[{\"name\":\"x\",\"mean\":2," \
    "\"sd\":1,\"min\":1,\"max\":3,\"distinct\":2," text "}]}"

static void damage_is_seen(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"format\":\"gyre.profile/2\"}",
        "{\"format\":\"gyre.profile/1\",\"rows\":-1,\"columns\":[]}",
        "{\"format\":\"gyre.profile/1\",\"rows\":1}",
        "{\"format\":\"gyre.profile/1\",\"rows\":1,\"columns\":[3]}",
        COLUMN("\"n\":3,\"missing\":0,\"values\":[1],\"counts\":[1,2]"),
        COLUMN("\"n\":4,\"missing\":0,\"values\":[1,3],\"counts\":[1,2]"),
        COLUMN("\"n\":3,\"missing\":0,\"values\":[3,1],\"counts\":[1,2]"),
        COLUMN("\"n\":3,\"missing\":0,\"values\":[1,1],\"counts\":[1,2]"),
        COLUMN("\"n\":3,\"missing\":0,\"values\":[1,\"3\"],\"counts\":[1,2]"),
        COLUMN("\"n\":3,\"missing\":0,\"values\":[1,3],\"counts\":[0,3]"),
        COLUMN("\"n\":3,\"missing\":0,\"values\":[1,3],\"counts\":[1.5,1.5]"),
        COLUMN("\"n\":3,\"values\":[1,3],\"counts\":[1,2]"),
        COLUMN("\"n\":3,\"missing\":0,\"values\":[1,2,3],\"counts\":[1,1,1]"),
        COLUMN("\"n\":1,\"missing\":0,\"values\":[1,3],\"counts\":[18446744073709551615,2]"),
        "{\"format\":\"gyre.profile/1\",\"rows\":1,\"columns\":[],\"target\":{\"name\":\"y\"}}",
        "{\"format\":\"gyre.profile/1\",\"rows\":1,\"columns\":[],\"target\":{\"name\":\"y\","
        "\"task\":\"binary\",\"classes\":[\"a\",\"b\"],\"counts\":[1]}}",
        "{\"format\":\"gyre.profile/1\",\"rows\":1,\"columns\":[],\"target\":{\"name\":\"y\","
        "\"task\":\"binary\",\"classes\":[\"a\",\"b\"],\"counts\":[1,2]}}",
    };
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_profile p;
    gy_arena_init(&a, 64 * GY_MIB);
    OK(gy_profile_parse(gy_str_c(COLUMN("\"n\":3,\"missing\":0,\"values\":[1,3],\"counts\":[1,2]")),
                        &a, &p, &g_err));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        if (gy_profile_parse(gy_str_c(bad[i]), &a, &p, &err) != GY_E_CORRUPT) {
            fail_msg("%s was read", bad[i]);
        }
        assert_true(err.msg[0] != '\0');
    }
}

static void a_package_without_one(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_profile p;
    gy_arena_init(&a, GY_MIB);
    assert_int_equal(gy_profile_read(g_dir, &a, &p, &g_err), GY_E_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_training_rows), cmocka_unit_test(an_id_is_no_column),
        cmocka_unit_test(regression_and_classes),  cmocka_unit_test(a_long_column_is_summarized),
        cmocka_unit_test(damage_is_seen),          cmocka_unit_test(a_package_without_one),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
