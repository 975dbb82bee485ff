/* SPDX-License-Identifier: Apache-2.0 */
/* What records of a revision mean, read from its frozen configuration. */
#include "unit.h"

#include <math.h>

#include "base/time.h"
#include "serve/shape.h"

#define RULES                                                                                   \
    "\"rules\":[{\"name\":\"sirs\",\"at_least\":2,\"of\":[\"HR > 90\",\"Resp > 20\"],\"then\":" \
    "{\"prediction\":1,\"skip_model\":true,\"reason\":\"signs\"}},"                             \
    "{\"name\":\"mark\",\"when\":\"HR > 200\"},"                                                \
    "{\"name\":\"text\",\"when\":\"HR > 210\",\"then\":{\"prediction\":\"0\"}}]"
#define BINARY                                                                                   \
    "{\"weights\":["                                                                             \
    "{\"model\":\"sepsis\",\"version\":3,\"digest\":\"aa\",\"weight\":0.9,\"role\":\"stable\"}," \
    "{\"model\":\"sepsis\",\"version\":4,\"digest\":\"bb\",\"weight\":0.1,\"role\":\"canary\","  \
    "\"threshold\":0.25},"                                                                       \
    "{\"model\":\"other\",\"version\":9,\"digest\":\"cc\",\"weight\":0,\"role\":\"shadow\"}],"   \
    "\"task\":\"binary\",\"inputs\":[\"HR\",\"Resp\",\"WBC\"],\"model_inputs\":2,"               \
    "\"classes\":[\"0\",\"1\"],\"numeric_classes\":true,\"threshold\":0.5,\"rule_shadow\":0."    \
    "2," RULES "}"
#define NAMES                                                                            \
    "{\"weights\":[{\"model\":\"m\",\"version\":1,\"digest\":\"d\",\"weight\":1}],"      \
    "\"task\":\"multiclass\",\"inputs\":[\"x\"],\"classes\":[\"low\",\"mid\",\"high\"]," \
    "\"numeric_classes\":false}"
#define SUM                                                                         \
    "{\"weights\":[{\"model\":\"m\",\"version\":1,\"digest\":\"d\",\"weight\":1}]," \
    "\"task\":\"regression\",\"inputs\":[\"x\"],\"classes\":[],\"numeric_classes\":true}"

struct shaped {
    struct gy_arena a;
    yyjson_doc *doc;
    struct gy_shape s;
};

static gy_status try_shape(struct shaped *t, const char *config, struct gy_err *err)
{
    gy_arena_init(&t->a, GY_MIB);
    t->doc = NULL;
    const struct gy_revision r = {
        .endpoint = GY_STR("sepsis"), .revision = 7, .config = gy_str_c(config)};
    return gy_shape_read(&r, &t->a, &t->doc, &t->s, err);
}

static void shape(struct shaped *t, const char *config)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, try_shape(t, config, &err), err);
}

static void shaped_done(struct shaped *t)
{
    gy_json_free(t->doc);
    gy_arena_done(&t->a);
}
GY_DEFINE_AUTO_DONE(struct shaped, shaped_done);

static void test_read(void **state)
{
    (void)state;
    GY_AUTO_DONE(shaped_done) struct shaped t;
    shape(&t, BINARY);
    const struct gy_shape *s = &t.s;
    assert_str(s->endpoint, "sepsis");
    assert_int_equal(s->revision, 7);
    assert_int_equal(s->task, GY_TASK_BINARY);
    assert_int_equal(s->n_inputs, 3);
    assert_int_equal(s->n_model_inputs, 2);
    assert_str(s->inputs[2], "WBC");
    assert_int_equal(s->n_classes, 2);
    assert_true(s->class_values[0] == 0 && s->class_values[1] == 1);
    assert_true(s->rule_shadow == 0.2);
    assert_int_equal(s->n_variants, 3);
    assert_int_equal(s->variants[0].role, GY_VARIANT_STABLE);
    assert_int_equal(s->variants[1].role, GY_VARIANT_CANARY);
    assert_int_equal(s->variants[2].role, GY_VARIANT_SHADOW);
    assert_string_equal(gy_variant_role_name(s->variants[2].role), "shadow");
    assert_str(s->variants[2].model, "other");
    assert_true(s->variants[1].weight == 0.1 && s->variants[2].weight == 0);
    assert_true(s->variants[0].threshold == 0.5 && s->variants[1].threshold == 0.25);
    assert_ptr_equal(gy_shape_variant(s, GY_STR("4")), &s->variants[1]);
    assert_null(gy_shape_variant(s, GY_STR("5")));
}

static void test_rules(void **state)
{
    (void)state;
    GY_AUTO_DONE(shaped_done) struct shaped t;
    shape(&t, BINARY);
    assert_int_equal(t.s.n_rules, 3);
    const struct gy_shape_rule *sirs = &t.s.rules[0];
    assert_str(sirs->name, "sirs");
    assert_str(sirs->reason, "signs");
    assert_true(sirs->decides && sirs->skip_model && sirs->prediction == 1);
    assert_true(!t.s.rules[1].decides && !t.s.rules[1].skip_model &&
                isnan(t.s.rules[1].prediction));
    assert_true(t.s.rules[2].decides && t.s.rules[2].prediction == 0);
    const struct gy_rule_outcome hit = {0, 2, 2, 2};
    const struct gy_rule_outcome none = {-1, 0, 2, 2};
    const struct gy_rule_outcome beyond = {3, 0, 2, 2};
    assert_ptr_equal(gy_shape_rule(&t.s, &hit), sirs);
    assert_null(gy_shape_rule(&t.s, &none));
    assert_null(gy_shape_rule(&t.s, &beyond));
    assert_null(gy_shape_rule(&t.s, NULL));
}

static void test_model_value(void **state)
{
    (void)state;
    GY_AUTO_DONE(shaped_done) struct shaped b;
    GY_AUTO_DONE(shaped_done) struct shaped n;
    GY_AUTO_DONE(shaped_done) struct shaped r;
    shape(&b, BINARY);
    shape(&n, NAMES);
    shape(&r, SUM);
    const double third[] = {1, 0.3};
    const double skipped[] = {1, NAN};
    /* the threshold is the variant's */
    assert_true(gy_shape_model_value(&b.s, GY_STR("3"), third, 2) == 0);
    assert_true(gy_shape_model_value(&b.s, GY_STR("4"), third, 2) == 1);
    assert_true(gy_shape_model_value(&b.s, GY_STR("nothing"), third, 2) == 0);
    assert_true(isnan(gy_shape_model_value(&b.s, GY_STR("3"), skipped, 2)));
    assert_true(isnan(gy_shape_model_value(&b.s, GY_STR("3"), third, 1)));
    assert_true(gy_shape_score(&b.s, third, 2) == 0.3);
    assert_true(isnan(gy_shape_score(&b.s, skipped, 2)) && isnan(gy_shape_score(&b.s, third, 1)));

    const double three[] = {0, 0.2, 0.5, 0.3};
    const double no_three[] = {0, NAN, NAN, NAN};
    assert_true(gy_shape_model_value(&n.s, GY_STR("1"), three, 4) == 1);
    assert_true(isnan(gy_shape_model_value(&n.s, GY_STR("1"), no_three, 4)));
    assert_true(gy_shape_score(&n.s, three, 4) == 0.5);
    assert_true(isnan(gy_shape_score(&n.s, no_three, 4)));

    const double alone[] = {41.5};
    const double ruled[] = {41.5, 12};
    assert_true(gy_shape_model_value(&r.s, GY_STR("1"), alone, 1) == 41.5);
    assert_true(gy_shape_model_value(&r.s, GY_STR("1"), ruled, 2) == 12);
    assert_true(gy_shape_score(&r.s, alone, 1) == 41.5 && gy_shape_score(&r.s, ruled, 2) == 12);
}

static void test_labels(void **state)
{
    (void)state;
    GY_AUTO_DONE(shaped_done) struct shaped b;
    GY_AUTO_DONE(shaped_done) struct shaped n;
    GY_AUTO_DONE(shaped_done) struct shaped r;
    shape(&b, BINARY);
    shape(&n, NAMES);
    shape(&r, SUM);
    char scratch[32];
    assert_true(gy_shape_label(&b.s, GY_STR("1")) == 1);
    assert_true(gy_shape_label(&b.s, GY_STR("1.0")) == 1);
    assert_true(gy_shape_label(&b.s, GY_STR("true")) == 1);
    assert_true(gy_shape_label(&b.s, GY_STR("false")) == 0);
    assert_true(isnan(gy_shape_label(&b.s, GY_STR("2"))));
    assert_true(isnan(gy_shape_label(&b.s, GY_STR("septic"))));
    assert_true(isnan(gy_shape_label(&b.s, GY_STR("nan"))));
    assert_true(gy_shape_label(&n.s, GY_STR("high")) == 2);
    assert_true(isnan(gy_shape_label(&n.s, GY_STR("2"))));
    assert_true(gy_shape_label(&r.s, GY_STR("41.5")) == 41.5);
    assert_true(isnan(gy_shape_label(&r.s, GY_STR("inf"))));
    assert_str(gy_shape_text(&b.s, 1, scratch), "1");
    assert_str(gy_shape_text(&n.s, 2, scratch), "high");
    assert_str(gy_shape_text(&r.s, 41.5, scratch), "41.5");
    assert_null(gy_shape_text(&b.s, NAN, scratch).p);
}

static void test_refused(void **state)
{
    (void)state;
    static const char no_number[] =
        "{\"task\":\"binary\",\"numeric_classes\":true,\"classes\":[\"x\"]}";
    static const char *const bad[] = {"{", "{}", "{\"task\":\"ranking\"}", no_number};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct shaped t;
        struct gy_err err = GY_ERR_INIT;
        if (try_shape(&t, bad[i], &err) == GY_OK) {
            fail_msg("%s was taken", bad[i]);
        }
        shaped_done(&t);
    }
}

static gy_status read_binary(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(shaped_done) struct shaped t;
    return try_shape(&t, BINARY, err);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture(read_binary, NULL);
}

/* ---- the cache, on a store ---- */

static gy_status add(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct gy_revision r = {.endpoint = GY_STR("sepsis"),
                                  .kind = GY_STR("deploy"),
                                  .model_name = GY_STR("sepsis"),
                                  .model_version = 3,
                                  .model_digest = GY_STR("aa"),
                                  .config = gy_str_c(ctx),
                                  .actor = GY_STR("alice")};
    int64_t number;
    return gy_revision_add(db, &r, &number, err);
}

static void test_cache(void **state)
{
    (void)state;
    struct gy_store *store = NULL;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    assert_status(GY_OK, gy_store_open(&o, &store, &err), err);
    static char first[] = BINARY;
    static char second[] = SUM;
    static char third[] = "{\"task\":\"none\"}";
    assert_status(GY_OK, gy_store_write(store, add, first, &err), err);
    assert_status(GY_OK, gy_store_write(store, add, second, &err), err);
    assert_status(GY_OK, gy_store_write(store, add, third, &err), err);
    {
        GY_AUTO(gy_shapes_free) struct gy_shapes *shapes = NULL;
        assert_status(GY_OK, gy_shapes_new(store, &shapes, &err), err);
        const struct gy_shape *one = NULL;
        const struct gy_shape *again = NULL;
        const struct gy_shape *two = NULL;
        assert_status(GY_OK, gy_shapes_get(shapes, GY_STR("sepsis"), 1, &one, &err), err);
        assert_status(GY_OK, gy_shapes_get(shapes, GY_STR("sepsis"), 2, &two, &err), err);
        assert_status(GY_OK, gy_shapes_get(shapes, GY_STR("sepsis"), 1, &again, &err), err);
        assert_ptr_equal(one, again);
        assert_int_equal(one->task, GY_TASK_BINARY);
        assert_int_equal(two->task, GY_TASK_REGRESSION);
        assert_int_equal(gy_shapes_get(shapes, GY_STR("sepsis"), 3, &two, NULL), GY_E_CORRUPT);
        assert_int_equal(gy_shapes_get(shapes, GY_STR("sepsis"), 0, &two, NULL), GY_E_CORRUPT);
        assert_int_equal(gy_shapes_get(shapes, GY_STR("sepsis"), 9, &two, NULL), GY_E_NOTFOUND);
        assert_int_equal(gy_shapes_get(shapes, GY_STR("other"), 1, &two, NULL), GY_E_NOTFOUND);
    }
    gy_store_free(store);
}

/* The log may be full of records whose revision says nothing. */
static void test_asking_for_what_can_not_be_read_takes_no_memory(void **state)
{
    (void)state;
    struct gy_store *store = NULL;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    assert_status(GY_OK, gy_store_open(&o, &store, &err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bad;
    gy_buf_init(&bad, 2 * GY_MIB);
    gy_buf_addc(&bad, "{\"task\":\"none\",\"note\":\"");
    for (size_t i = 0; i < GY_MIB / 64; i++) {
        gy_buf_addc(&bad, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    }
    gy_buf_addc(&bad, "\"}");
    static char good[] = BINARY;
    assert_status(GY_OK, gy_store_write(store, add, bad.p, &err), err);
    assert_status(GY_OK, gy_store_write(store, add, good, &err), err);
    {
        GY_AUTO(gy_shapes_free) struct gy_shapes *shapes = NULL;
        const struct gy_shape *shape = NULL;
        assert_status(GY_OK, gy_shapes_new(store, &shapes, &err), err);
        for (int i = 0; i < 300; i++) { /* of 1 MiB each */
            assert_int_equal(gy_shapes_get(shapes, GY_STR("sepsis"), 1, &shape, NULL),
                             GY_E_CORRUPT);
        }
        assert_status(GY_OK, gy_shapes_get(shapes, GY_STR("sepsis"), 2, &shape, &err), err);
        assert_int_equal(shape->revision, 2);
        assert_str(shape->endpoint, "sepsis");
    }
    gy_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_model_value),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_asking_for_what_can_not_be_read_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
