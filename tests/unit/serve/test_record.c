/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a log record: with and without rules, with and without a shadow's answers. */
#include "unit.h"

#include <math.h>

#include "serve/record.h"

enum { ROWS = 3, N_IN = 2, N_OUT = 2 };

static const double inputs[ROWS * N_IN] = {1, 2, 3, 4, 5, 6};
static const double outputs[ROWS * N_OUT] = {0, 0.25, 1, 0.75, 1, 0.5};
static const double shadow[ROWS * N_OUT] = {1, 0.9, 0, 0.1, 1, 0.8};
static const struct gy_rule_outcome rules[ROWS] = {{-1, 0, 3, 4}, {0, 2, 3, 4}, {1, 1, 1, 1}};

static struct gy_record sample(bool with_rules, bool with_shadow)
{
    return (struct gy_record){.seq = 7,
                              .id = {1, 2, 3, 250},
                              .time_us = 1700000000000000,
                              .latency_ns = 4321,
                              .revision = 5,
                              .n_rows = ROWS,
                              .total_rows = ROWS,
                              .status = 200,
                              .n_inputs = N_IN,
                              .n_outputs = N_OUT,
                              .endpoint = GY_STR("sepsis"),
                              .model_version = GY_STR("12"),
                              .request_id = GY_STR("req-1"),
                              .inputs = inputs,
                              .outputs = outputs,
                              .rules = with_rules ? rules : NULL,
                              .shadow_version = with_shadow ? GY_STR("13") : GY_STR_NULL,
                              .n_shadow = with_shadow ? N_OUT : 0,
                              .shadow = with_shadow ? shadow : NULL};
}

static char *frame_of(const struct gy_record *r, size_t *ret_n)
{
    *ret_n = gy_record_frame_bytes(r);
    assert_int_equal(*ret_n % 8, 0);
    char *frame = gy_malloc(*ret_n);
    assert_non_null(frame);
    memset(frame, 0x5a, *ret_n);
    gy_record_write(r, frame);
    return frame;
}

static void assert_same(const struct gy_record *a, const struct gy_record *b)
{
    assert_int_equal(a->seq, b->seq);
    assert_memory_equal(a->id, b->id, 16);
    assert_int_equal(a->time_us, b->time_us);
    assert_int_equal(a->latency_ns, b->latency_ns);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->first_row, b->first_row);
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->total_rows, b->total_rows);
    assert_int_equal(a->status, b->status);
    assert_true(gy_str_eq(a->endpoint, b->endpoint));
    assert_true(gy_str_eq(a->model_version, b->model_version));
    assert_true(gy_str_eq(a->request_id, b->request_id));
    assert_memory_equal(a->inputs, b->inputs, sizeof inputs);
    assert_memory_equal(a->outputs, b->outputs, sizeof outputs);
    assert_int_equal(a->rules != NULL, b->rules != NULL);
    if (a->rules) {
        assert_memory_equal(a->rules, b->rules, sizeof rules);
    }
    assert_int_equal(a->shadow != NULL, b->shadow != NULL);
    assert_int_equal(a->n_shadow, b->n_shadow);
    if (a->shadow) {
        assert_true(gy_str_eq(a->shadow_version, b->shadow_version));
        assert_memory_equal(a->shadow, b->shadow, sizeof shadow);
    } else {
        assert_null(b->shadow_version.p);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct gy_record r = sample(i & 1, i & 2);
        size_t n;
        char *frame = frame_of(&r, &n);
        size_t got = 0;
        assert_int_equal(gy_frame_look(frame, n, 0, &got), GY_FRAME_GOOD);
        assert_int_equal(got, n);
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, GY_MIB);
        struct gy_record back;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, gy_record_read(frame, n, &a, &back, &err), err);
        assert_same(&r, &back);
        unsigned char id[16];
        uint64_t seq;
        gy_record_peek(frame, id, &seq);
        assert_memory_equal(id, r.id, 16);
        assert_int_equal(seq, 7);
        gy_free(frame);
    }
}

/* A shadow costs its values and its version; nothing without one. */
static void test_bytes(void **state)
{
    (void)state;
    struct gy_record plain = sample(true, false);
    struct gy_record with = sample(true, true);
    size_t text = 6 + 2 + 5; /* padded to 16, and so with 2 more */
    assert_true(text <= 16 && text + 2 <= 16);
    assert_int_equal(gy_record_frame_bytes(&with) - gy_record_frame_bytes(&plain),
                     ROWS * N_OUT * sizeof(double));
    with.shadow_version = GY_STR("1234");
    assert_int_equal(gy_record_frame_bytes(&with) - gy_record_frame_bytes(&plain),
                     ROWS * N_OUT * sizeof(double) + 8);
    /* rows that fit are counted with the shadow's values */
    uint32_t fit = gy_record_rows_fit(&with, 4096);
    with.n_rows = fit;
    assert_true(gy_record_frame_bytes(&with) <= 4096);
    with.n_rows = fit + 1;
    assert_true(gy_record_frame_bytes(&with) > 4096);
    assert_true(fit < gy_record_rows_fit(&plain, 4096));
    assert_int_equal(gy_record_rows_fit(&with, 10), 1);
}

static const char body[] = "{\"inputs\":[1,2,3]}";

static struct gy_record sample_more(void)
{
    struct gy_record r = sample(true, true);
    r.body = gy_str_c(body);
    r.body_type = GY_STR("application/json");
    r.sample_rate = 0.1;
    r.propensity = 0.25;
    memset(r.trace_id, 0xab, sizeof r.trace_id);
    memset(r.parent_span, 0xcd, sizeof r.parent_span);
    return r;
}

/* Trace, sampling and body come back; what has none of them is written as it always was. */
static void test_more(void **state)
{
    (void)state;
    const struct gy_record r = sample_more();
    size_t n;
    char *frame = frame_of(&r, &n);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_record back;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_record_read(frame, n, &a, &back, &err), err);
    assert_same(&r, &back);
    assert_true(gy_str_eq(back.body, r.body));
    assert_true(gy_str_eq(back.body_type, r.body_type));
    assert_memory_equal(back.trace_id, r.trace_id, 16);
    assert_memory_equal(back.parent_span, r.parent_span, 8);
    assert_true(back.sample_rate == 0.1 && back.propensity == 0.25);
    assert_true(gy_record_weight(&back) == 10);
    /* the body goes, and the rest stays readable */
    gy_frame_blank_body(frame);
    gy_frame_seal(frame);
    assert_status(GY_OK, gy_record_read(frame, n, &a, &back, &err), err);
    assert_int_equal(back.body.n, 0);
    assert_true(gy_str_eq(back.body_type, r.body_type));
    assert_same(&r, &back);
    assert_null(memmem(frame, n, "inputs", 6));
    gy_free(frame);
    const struct gy_record plain = sample(true, true);
    frame = frame_of(&plain, &n);
    assert_int_equal(frame[8] | frame[9] << 8, 1 | 3 << 8); /* version 1; rules, shadow */
    assert_int_equal(frame[8 + 70] | frame[8 + 71], 0);
    assert_status(GY_OK, gy_record_read(frame, n, &a, &back, &err), err);
    assert_false(gy_record_has_trace(&back));
    assert_true(gy_record_weight(&back) == 1);
    gy_free(frame);
}

/* An item of a newer program is passed over; one that does not fit its place is refused. */
static void test_items(void **state)
{
    (void)state;
    const struct gy_record r = sample_more();
    size_t n;
    char *frame = frame_of(&r, &n);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_record back;
    struct gy_err err = GY_ERR_INIT;
    size_t at = 8 + 72 + 16; /* behind the text: the trace's item */
    frame[at] = 99;
    assert_status(GY_OK, gy_record_read(frame, n, &a, &back, &err), err);
    assert_false(gy_record_has_trace(&back));
    assert_true(back.sample_rate == 0.1);
    frame[at] = 1;
    for (int i = 0; i < 3; i++) {
        const struct {
            size_t at;
            char set;
        } wrong[] = {{at + 4, 25}, {at + 4, 16}, {at + 7, 1}};
        char was = frame[wrong[i].at];
        frame[wrong[i].at] = wrong[i].set;
        struct gy_err why = GY_ERR_INIT;
        assert_status(GY_E_CORRUPT, gy_record_read(frame, n, &a, &back, &why), why);
        frame[wrong[i].at] = was;
    }
    frame[8 + 1] |= 8; /* a flag that is not known */
    assert_int_equal(gy_record_read(frame, n, &a, &back, NULL), GY_E_CORRUPT);
    gy_free(frame);
}

/* A frame whose counts do not add up to its length is refused, not read past its end. */
static void test_wrong_counts(void **state)
{
    (void)state;
    const struct gy_record r = sample(true, true);
    size_t n;
    char *frame = frame_of(&r, &n);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_record back;
    const struct {
        size_t at;
        char set;
    } wrong[] = {
        {8, 2},         /* version */
        {8 + 1, 0},     /* flags: neither rules nor shadow */
        {8 + 1, 1},     /* no shadow */
        {8 + 1, 2},     /* no rules */
        {8 + 48, 4},    /* rows */
        {8 + 56, 3},    /* inputs a row */
        {8 + 58, 1},    /* outputs a row */
        {8 + 60, 100},  /* bytes of the endpoint */
        {8 + 66, 60},   /* bytes of the shadow's version */
        {8 + 68, 3},    /* shadow values a row */
        {8 + 51, 0x7f}, /* very many rows */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char was = frame[wrong[i].at];
        frame[wrong[i].at] = wrong[i].set;
        size_t got;
        assert_int_equal(gy_frame_look(frame, n, 0, &got), GY_FRAME_BAD);
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_E_CORRUPT, gy_record_read(frame, n, &a, &back, &err), err);
        frame[wrong[i].at] = was;
    }
    assert_int_equal(gy_record_read(frame, n - 8, &a, &back, NULL), GY_E_CORRUPT);
    assert_int_equal(gy_record_read(frame, 16, &a, &back, NULL), GY_E_CORRUPT);
    gy_free(frame);
}

/* After damage the next good frame is found, whatever shadow values look like. */
static void test_resync(void **state)
{
    (void)state;
    const struct gy_record r = sample(false, true);
    size_t n;
    char *frame = frame_of(&r, &n);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    gy_buf_add_bytes(&b, frame, n);
    gy_buf_add_bytes(&b, frame, n);
    b.p[20] ^= 1;
    size_t got = 0;
    assert_int_equal(gy_frame_look(b.p, b.n, 0, &got), GY_FRAME_BAD);
    assert_int_equal(gy_frame_resync(b.p, b.n, 8), n);
    assert_int_equal(gy_frame_look(b.p, b.n, n, &got), GY_FRAME_GOOD);
    assert_int_equal(gy_frame_resync(b.p, b.n, n + 8), b.n);
    assert_int_equal(gy_frame_look(b.p, b.n - 8, n, &got), GY_FRAME_END);
    gy_free(frame);
}

static gy_status read_one(void *ctx, struct gy_err *err)
{
    const struct gy_record r = sample_more();
    (void)ctx;
    size_t n = gy_record_frame_bytes(&r);
    char frame[1024];
    assert_true(n <= sizeof frame);
    gy_record_write(&r, frame);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_record back;
    return gy_record_read(frame, n, &a, &back, err);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture(read_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_wrong_counts),  cmocka_unit_test(test_resync),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_more),
        cmocka_unit_test(test_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
