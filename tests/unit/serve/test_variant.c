/* SPDX-License-Identifier: Apache-2.0 */
/* Variants of a revision: who may be joined, who answers, what is reused, what a shadow logs. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "package.h"
#include "serve/infer.h"
#include "serve/table.h"

static char root[] = "/tmp/gyre-variant-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return gy_dir_remove(root, NULL) == GY_OK ? 0 : -1;
}

/* The version is the number; the folder is named by it, too. */
static struct gy_endpoint *make(uint32_t version, const char *model)
{
    return endpoint_make(root, "sepsis", version, model, "{}");
}

static void join(struct gy_endpoint *stable, struct gy_endpoint *canary, double weight,
                 struct gy_endpoint *shadow)
{
    struct gy_err err = GY_ERR_INIT;
    const struct gy_variants with = {
        .canaries = {canary}, .weights = {weight}, .n_canaries = canary != NULL, .shadow = shadow};
    assert_status(GY_OK, gy_variants_join(stable, &with, &err), err);
}

static void test_join(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    struct gy_endpoint *stable = make(1, MODEL_HR);
    struct gy_endpoint *canary = make(2, MODEL_ALWAYS);
    struct gy_endpoint *shadow = make(3, MODEL_NEVER);
    join(stable, canary, 0.25, shadow);
    assert_int_equal(canary->role, GY_VARIANT_CANARY);
    assert_int_equal(shadow->role, GY_VARIANT_SHADOW);
    assert_ptr_equal(gy_variants_at(stable, 0), stable);
    assert_ptr_equal(gy_variants_at(stable, 1), canary);
    assert_ptr_equal(gy_variants_at(stable, 2), shadow);
    assert_null(gy_variants_at(stable, 3));
    assert_ptr_equal(gy_variants_version(stable, GY_STR("1")), stable);
    assert_ptr_equal(gy_variants_version(stable, GY_STR("2")), canary);
    assert_null(gy_variants_version(stable, GY_STR("3"))); /* a shadow answers nobody */
    assert_null(gy_variants_version(stable, GY_STR("")));
    assert_true(stable->inline_rows >= 1);
    double ns = (stable->model->row_ns > canary->model->row_ns ? stable : canary)->model->row_ns +
                shadow->model->row_ns;
    assert_true((double)stable->inline_rows * ns <= GY_ENDPOINT_INLINE_NS * 1.0001);
    gy_endpoint_unref(stable); /* owns the others */
    struct gy_endpoint *alone = make(1, MODEL_HR);
    struct gy_endpoint *other = make(3, MODEL_NEVER);
    join(alone, NULL, 0, other);
    assert_ptr_equal(gy_variants_at(alone, 1), other);
    assert_null(gy_variants_at(alone, 2));
    assert_null(gy_variants_at(alone, 3));
    gy_endpoint_unref(alone);
    assert_int_equal(gy_mem_live(), live);
}

#define LESS_INPUTS                                                                           \
    "{\"format\":\"gyre.model/1\",\"task\":\"binary\",\"target\":\"isSepsis\",\"inputs\":["   \
    "{\"name\":\"HR\",\"type\":\"int\",\"min\":60,\"max\":250,\"required\":true}],"           \
    "\"features\":[" FEATURE "],\"learner\":{\"name\":\"logistic\",\"params\":{},\"values\":" \
    "[0.1,-9]},\"classes\":[\"0\",\"1\"],\"threshold\":0.5}"
#define STRICTER_INPUTS                                                                     \
    "{\"format\":\"gyre.model/1\",\"task\":\"binary\",\"target\":\"isSepsis\",\"inputs\":[" \
    "{\"name\":\"HR\",\"type\":\"int\",\"min\":60,\"max\":250,\"required\":true},"          \
    "{\"name\":\"Resp\",\"type\":\"int\",\"min\":12,\"max\":35,\"required\":true},"         \
    "{\"name\":\"Temp\",\"type\":\"float\",\"min\":35,\"max\":42.3,\"required\":true}],"    \
    "\"features\":[" FEATURE "," FEATURE "," FEATURE                                        \
    "],\"learner\":{\"name\":\"logistic\",\"params\":{},\"values\":"                        \
    "[0.1,0,0,-9]},\"classes\":[\"0\",\"1\"],\"threshold\":0.5}"
#define OTHER_CLASSES                                                             \
    HEAD("binary")                                                                \
    ",\"learner\":{\"name\":\"logistic\",\"params\":{},\"values\":[0.1,0,0,-9]}," \
    "\"classes\":[\"no\",\"yes\"],\"threshold\":0.5}"

static void test_they_must_agree(void **state)
{
    (void)state;
    static const struct {
        const char *model, *says;
        uint32_t version;
    } wrong[] = {{MODEL_SUM, "differ in their task", 2},
                 {OTHER_CLASSES, "differ in their classes", 3},
                 {LESS_INPUTS, "differ in their inputs", 4},
                 {STRICTER_INPUTS, "differ in their inputs", 6},
                 {MODEL_ALWAYS, "answers already", 1}};
    struct gy_endpoint *stable = make(1, MODEL_HR);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct gy_endpoint *other = make(wrong[i].version, wrong[i].model);
        for (int shadow = 0; shadow < 2; shadow++) {
            struct gy_err err = GY_ERR_INIT;
            const struct gy_variants with = {.canaries = {other},
                                             .weights = {0.5},
                                             .n_canaries = !shadow,
                                             .shadow = shadow ? other : NULL};
            assert_status(GY_E_INVALID, gy_variants_join(stable, &with, &err), err);
            assert_non_null(strstr(err.msg, wrong[i].says));
            assert_non_null(strstr(err.msg, shadow ? "shadow" : "canary"));
            assert_int_equal(stable->n_canaries, 0);
            assert_null(stable->shadow);
        }
        gy_endpoint_unref(other); /* not taken over */
    }
    struct gy_endpoint *one = make(5, MODEL_ALWAYS);
    struct gy_err err = GY_ERR_INIT;
    struct gy_variants with = {.canaries = {one}, .weights = {0.5}, .n_canaries = 1, .shadow = one};
    assert_status(GY_E_INVALID, gy_variants_join(stable, &with, &err), err);
    assert_non_null(strstr(err.msg, "canary and shadow"));
    with = (struct gy_variants){.canaries = {one, one}, .weights = {0.5, 0.5}, .n_canaries = 2};
    assert_status(GY_E_INVALID, gy_variants_join(stable, &with, &err), err);
    assert_non_null(strstr(err.msg, "a canary twice"));
    gy_endpoint_unref(one);
    gy_endpoint_unref(stable);
}

static void test_pick(void **state)
{
    (void)state;
    struct gy_uuid_gen gen;
    assert_int_equal(gy_uuid_gen_init(&gen, NULL), GY_OK);
    static const double weights[] = {0, 0.1, 0.5, 1};
    enum { N = 20000 };
    for (size_t k = 0; k < sizeof weights / sizeof weights[0]; k++) {
        struct gy_endpoint *stable = make(1, MODEL_HR);
        struct gy_endpoint *canary = make(2, MODEL_ALWAYS);
        join(stable, canary, weights[k], NULL);
        size_t by_id = 0;
        size_t by_key = 0;
        size_t both = 0; /* drawn for the canary, and its first row for the sample of rule hits */
        for (int i = 0; i < N; i++) {
            unsigned char id[16];
            char key[32];
            gy_uuid7(&gen, id);
            (void)snprintf(key, sizeof key, "patient-%d", i);
            const struct gy_endpoint *e = gy_variants_pick(stable, id, GY_STR_NULL);
            assert_ptr_equal(gy_variants_pick(stable, id, GY_STR("")), e);
            by_id += e == canary;
            both += e == canary && gy_infer_lot(id, 0) < gy_share_cut(0.5);
            e = gy_variants_pick(stable, id, gy_str_c(key));
            by_key += e == canary;
            const unsigned char other[16] = {7};
            assert_ptr_equal(gy_variants_pick(stable, other, gy_str_c(key)), e);
        }
        double want = weights[k] * N;
        double six_sigma = 6 * sqrt(N * weights[k] * (1 - weights[k]));
        assert_true(fabs((double)by_id - want) <= six_sigma);
        assert_true(fabs((double)by_key - want) <= six_sigma);
        assert_true(fabs((double)both - (double)by_id / 2) <= 3 * sqrt((double)by_id) + 1);
        gy_endpoint_unref(stable);
    }
    struct gy_endpoint *alone = make(1, MODEL_HR);
    const unsigned char id[16] = {1};
    assert_ptr_equal(gy_variants_pick(alone, id, GY_STR("key")), alone);
    gy_endpoint_unref(alone);
}

/* Keys that the canary answers at one weight it answers at each larger one; two endpoints do not
 * send the same people to their canaries. */
static void test_keys_stay(void **state)
{
    (void)state;
    struct gy_endpoint *e[3] = {make(1, MODEL_HR), make(1, MODEL_HR),
                                endpoint_make(root, "other", 1, MODEL_HR, "{}")};
    static const double weights[] = {0.2, 0.6, 0.2};
    for (int i = 0; i < 3; i++) {
        join(e[i], endpoint_make(root, i == 2 ? "other" : "sepsis", 2, MODEL_ALWAYS, "{}"),
             weights[i], NULL);
    }
    const unsigned char id[16] = {1};
    size_t same = 0;
    for (int i = 0; i < 1000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%d", i);
        bool small = gy_variants_pick(e[0], id, gy_str_c(key)) == e[0]->canaries[0];
        bool large = gy_variants_pick(e[1], id, gy_str_c(key)) == e[1]->canaries[0];
        bool other = gy_variants_pick(e[2], id, gy_str_c(key)) == e[2]->canaries[0];
        assert_true(!small || large);
        same += small && other;
    }
    assert_true(same < 100); /* 40 when independent, 200 when not */
    for (int i = 0; i < 3; i++) {
        gy_endpoint_unref(e[i]);
    }
}

/* Three candidates beside the stable version: each has its share, and as shares grow in steps, keys
 * move from the stable version alone. */
static void test_several(void **state)
{
    (void)state;
    enum { N = 20000, STEPS = 3, WHO = 4 };
    static const double shares[STEPS][WHO - 1] = {
        {0.1, 0.1, 0}, {0.15, 0.2, 0.1}, {0.3, 0.25, 0.45}};
    struct gy_stretches stretches = {.n = 0};
    unsigned char was[N];
    memset(was, 0, sizeof was);
    for (int step = 0; step < STEPS; step++) {
        struct gy_endpoint *stable = make(1, MODEL_HR);
        struct gy_variants with = {.n_canaries = WHO - 1, .stretches = &stretches};
        struct gy_stretch_share list[WHO - 1];
        size_t counts[WHO] = {0};
        for (uint32_t i = 0; i < WHO - 1; i++) {
            list[i] = (struct gy_stretch_share){i + 2, shares[step][i]};
            with.canaries[i] = make(i + 2, MODEL_ALWAYS);
            with.weights[i] = shares[step][i];
        }
        gy_stretches_weigh(&stretches, list, WHO - 1);
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, gy_variants_join(stable, &with, &err), err);
        for (int i = 0; i < N; i++) {
            const unsigned char id[16] = {1};
            char key[32];
            (void)snprintf(key, sizeof key, "patient-%d", i);
            const struct gy_endpoint *e = gy_variants_pick(stable, id, gy_str_c(key));
            int who = e->version.p[0] - '1';
            assert_true(was[i] == 0 || was[i] == who);
            was[i] = (unsigned char)who;
            counts[who]++;
        }
        double rest = 1;
        for (int i = 1; i < WHO; i++) {
            double share = shares[step][i - 1];
            rest -= share;
            assert_true(fabs((double)counts[i] - share * N) <= 5 * sqrt(N * share) + 1e-9);
        }
        assert_true(fabs(stable->weight - rest) < 1e-9);
        assert_true((rest < 1e-9) == (counts[0] == 0));
        gy_endpoint_unref(stable);
    }
}

static void test_reuse(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    char dir[GY_MAX_PATH];
    char digest[GY_SHA256_HEX];
    package_make(root, "shared", MODEL_HR, dir, digest);
    struct gy_loaded *l = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_loaded_open(dir, gy_str_c(digest), NULL, &l, &err), err);
    assert_true(l->row_ns > 0 && l->scratch_bytes % 64 == 0);
    struct gy_endpoint_spec spec = {.name = GY_STR("a"),
                                    .model_name = GY_STR("m"),
                                    .version = GY_STR("1"),
                                    .digest = gy_str_c(digest),
                                    .revision = 1,
                                    .package_dir = "/nowhere",
                                    .loaded = l};
    struct gy_endpoint *one = NULL;
    struct gy_endpoint *two = NULL;
    assert_status(GY_OK, gy_endpoint_build(&spec, &one, &err), err);
    spec.revision = 2;
    const double threshold = 0.9;
    spec.threshold = &threshold;
    assert_status(GY_OK, gy_endpoint_build(&spec, &two, &err), err);
    assert_ptr_equal(one->model, two->model);
    assert_true(one->threshold == 0.5 && two->threshold == 0.9);
    struct gy_table *t = NULL;
    assert_status(GY_OK, gy_table_new(&one, 1, &t, &err), err);
    struct gy_loaded *found = gy_table_loaded(t, gy_str_c(digest));
    assert_ptr_equal(found, l);
    assert_null(gy_table_loaded(t, GY_STR("other")));
    gy_loaded_unref(found);
    gy_table_unref(t);
    gy_loaded_unref(l);
    gy_endpoint_unref(one);
    gy_endpoint_unref(two);
    assert_int_equal(gy_loaded_open(dir, GY_STR("other"), NULL, &l, NULL), GY_E_CORRUPT);
    assert_int_equal(gy_mem_live(), live);
}

/* ---- the shadow ---- */

static void set_row(struct gy_infer_work *w, const struct gy_endpoint *e, const char *data)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,3],\"datatype\":\"FP64\",\"data\":"
                   "[%s]}]}",
                   data);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_infer_parse(GY_INFER_V2, &e->shape, gy_str_c(body), &w->q, &err), err);
}

static void test_shadow(void **state)
{
    (void)state;
    struct gy_endpoint *stable = make(1, MODEL_HR);
    struct gy_endpoint *shadow = make(2, MODEL_ALWAYS);
    join(stable, NULL, 0, shadow);
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {.id = {1}};
    set_row(&w, stable, "100,15,37,70,15,37");
    struct gy_err err = GY_ERR_INIT;
    struct gy_record r = {0};
    assert_status(GY_OK, gy_infer_run(stable, &w, &err), err);
    gy_infer_record(stable, &w, GY_STR("r"), &r);
    assert_null(r.shadow);
    assert_null(r.shadow_version.p);
    assert_status(GY_OK, gy_infer_shadow(shadow, &w, &err), err);
    gy_infer_record(stable, &w, GY_STR("r"), &r);
    assert_str(r.shadow_version, "2");
    assert_int_equal(r.n_shadow, 2);
    assert_true(r.outputs[0] == 1 && r.outputs[2] == 0);
    assert_true(r.shadow[0] == 1 && r.shadow[1] == 1 && r.shadow[2] == 1);
    assert_int_equal(w.shadow_differs, 1);
    assert_int_equal(w.shadow_failed, 0);
    struct gy_endpoint_stats *stats = gy_endpoint_stats_new(GY_STR("sepsis"), GY_STR("2"), 1);
    assert_non_null(stats);
    gy_infer_count_shadow(&w, stats->blocks);
    struct gy_stat_sum sum;
    gy_endpoint_stats_sum(stats, &sum);
    assert_true(sum.shadow_rows == 2 && sum.shadow_differs == 1 && sum.shadow_failed == 0);
    assert_true(sum.ok == 0 && sum.rows == 0);
    gy_endpoint_stats_free(stats);
    /* the next request of this thread has no shadow */
    assert_status(GY_OK, gy_infer_run(stable, &w, &err), err);
    assert_null(w.shadow_of);
    gy_endpoint_unref(stable);
}

/* What a shadow can not do hurts nobody; a regression differs from a hundredth on. */
static void test_shadow_of_a_regression(void **state)
{
    (void)state;
    struct gy_endpoint *stable = make(1, HEAD("regression") ",\"learner\":{\"name\":\"linear\","
                                                            "\"params\":{},\"values\":[0,1,0,0]}}");
    struct gy_endpoint *shadow = make(2, HEAD("regression") ",\"learner\":{\"name\":\"linear\","
                                                            "\"params\":{},\"values\":[1e306,1,0,"
                                                            "0]}}");
    GY_AUTO_DONE(gy_infer_work_done) struct gy_infer_work w = {.id = {1}};
    struct gy_err err = GY_ERR_INIT;
    set_row(&w, stable, "200,15,37,0,15,37");
    assert_status(GY_OK, gy_infer_run(stable, &w, &err), err);
    assert_status(GY_OK, gy_infer_shadow(shadow, &w, &err), err);
    assert_true(isnan(w.shadow[0]) && w.shadow[1] == 15);
    assert_int_equal(w.shadow_failed, 1);
    assert_int_equal(w.shadow_differs, 0);
    gy_endpoint_unref(shadow);
    shadow = make(3, HEAD("regression") ",\"learner\":{\"name\":\"linear\",\"params\":{},"
                                        "\"values\":[0,1,0.1,0]}}");
    set_row(&w, stable, "60,15,1,60,15,2");
    assert_status(GY_OK, gy_infer_run(stable, &w, &err), err);
    assert_status(GY_OK, gy_infer_shadow(shadow, &w, &err), err);
    assert_int_equal(w.shadow_differs, 1); /* 15.1 is near 15, 15.2 is not */
    gy_endpoint_unref(shadow);
    gy_endpoint_unref(stable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),    cmocka_unit_test(test_they_must_agree),
        cmocka_unit_test(test_pick),    cmocka_unit_test(test_keys_stay),
        cmocka_unit_test(test_several), cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_shadow),  cmocka_unit_test(test_shadow_of_a_regression),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
