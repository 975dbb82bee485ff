/* SPDX-License-Identifier: Apache-2.0 */
/* Logged rows answered again by another version: the counts are those of a slow count by hand,
 * whatever the number of segments and threads. */
#include "package.h"

#include <math.h>
#include <unistd.h>

#include "base/id.h"
#include "base/time.h"
#include "serve/backtest.h"
#include "unit.h"

#define CONFIG                                                                              \
    "{\"weights\":[{\"model\":\"m\",\"version\":1,\"digest\":\"aa\",\"weight\":1}],"        \
    "\"task\":\"binary\",\"inputs\":[\"Temp\",\"HR\",\"Resp\",\"WBC\"],\"model_inputs\":3," \
    "\"classes\":[\"0\",\"1\"],\"numeric_classes\":true,\"threshold\":0.5,"                 \
    "\"rules\":[{\"name\":\"hot\",\"when\":\"Temp > 40\",\"then\":{\"prediction\":1}},"     \
    "{\"name\":\"mark\",\"when\":\"Temp > 39\"}]}"
#define OTHER                                                                              \
    "{\"weights\":[],\"task\":\"binary\",\"inputs\":[\"Temp\"],\"classes\":[\"0\",\"1\"]," \
    "\"numeric_classes\":true}"
#define ROWS 1000
#define FIRST_US INT64_C(1700000000000000)

struct fixture {
    char root[64], dir[96];
    struct gy_predictor *p; /* sigmoid((HR - 90) / 10) */
    struct gy_arena a;
    yyjson_doc *docs[2];
    struct gy_shape shapes[2];
    unsigned char ids[ROWS][16];
};

static void read_shape(struct fixture *f, int i, const char *config)
{
    const struct gy_revision r = {
        .endpoint = GY_STR("sepsis"), .revision = i + 1, .config = gy_str_c(config)};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_shape_read(&r, &f->a, &f->docs[i], &f->shapes[i], &err), err);
}

/* What stands in the log: row i, of revision 1. */
static void row_of(uint32_t i, double in[4], double out[2], struct gy_rule_outcome *rule)
{
    in[0] = 36 + (double)(i % 50) / 10; /* Temp */
    in[1] = i % 97 == 0 ? NAN : 60 + (double)(i % 61);
    in[2] = 12 + (double)(i % 20);
    in[3] = 8;
    *rule = (struct gy_rule_outcome){in[0] > 40 ? 0 : in[0] > 39 ? 1 : -1, 1, 1, 1};
    out[1] = rule->rule == 0 ? NAN : (double)(i % 10) / 10; /* the rule had not asked */
    out[0] = rule->rule == 0 || out[1] >= 0.5;
}

static void write_log(struct fixture *f, uint32_t per_segment)
{
    struct gy_uuid_gen gen;
    unsigned char boot[16];
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_dir_remove(f->dir, NULL), GY_OK);
    assert_int_equal(gy_dir_make(f->dir, NULL), GY_OK);
    gy_time_set_fake(FIRST_US);
    assert_int_equal(gy_uuid_gen_init(&gen, NULL), GY_OK);
    gy_uuid7(&gen, boot);
    for (uint32_t from = 0, number = 0; from < ROWS; from += per_segment, number++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        char name[128], path[GY_MAX_PATH], header[GY_SEGMENT_HEADER];
        gy_buf_init(&out, GY_MIB);
        gy_segment_header(boot, 0, number, header);
        gy_buf_add_bytes(&out, header, sizeof header);
        for (uint32_t i = from; i < from + per_segment && i < ROWS; i++) {
            double in[4], values[2];
            struct gy_rule_outcome rule;
            row_of(i, in, values, &rule);
            struct gy_record r = {.seq = i + 1,
                                  .time_us = FIRST_US + i * 1000000,
                                  .revision = i % 100 == 99   ? 9
                                              : i % 100 == 98 ? 2
                                                              : 1,
                                  .n_rows = 1,
                                  .total_rows = 1,
                                  .status = 200,
                                  .n_inputs = 4,
                                  .n_outputs = 2,
                                  .endpoint = i % 50 == 0 ? GY_STR("fuel") : GY_STR("sepsis"),
                                  .model_version = GY_STR("1"),
                                  .inputs = in,
                                  .outputs = values,
                                  .rules = &rule};
            gy_time_set_fake(r.time_us);
            gy_uuid7(&gen, r.id);
            memcpy(f->ids[i], r.id, 16);
            char *to = gy_buf_reserve(&out, gy_record_frame_bytes(&r));
            assert_non_null(to);
            gy_record_write(&r, to);
            gy_buf_commit(&out, gy_record_frame_bytes(&r));
        }
        struct gy_segment_info info;
        gy_segment_name(boot, 0, number, ".seg", name);
        assert_int_equal(gy_path_join(path, sizeof path, f->dir, name, NULL), GY_OK);
        assert_int_equal(gy_file_write(path, gy_buf_str(&out), 0644, NULL), GY_OK);
        if (from + per_segment < ROWS) { /* the last one is open */
            assert_status(GY_OK, gy_segment_seal(path, &info, &err), err);
        }
    }
    gy_time_set_fake(0);
}

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    char dir[GY_MAX_PATH], digest[GY_SHA256_HEX];
    struct gy_err err = GY_ERR_INIT;
    scratch_make(f->root);
    (void)snprintf(f->dir, sizeof f->dir, "%s/log", f->root);
    gy_arena_init(&f->a, 64 * GY_MIB);
    package_make(f->root, "m", MODEL_HR, dir, digest);
    assert_status(GY_OK, gy_predictor_load(dir, &f->p, &err), err);
    read_shape(f, 0, CONFIG);
    read_shape(f, 1, OTHER);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_predictor_free(f->p);
    gy_json_free(f->docs[0]);
    gy_json_free(f->docs[1]);
    gy_arena_done(&f->a);
    scratch_done(f->root);
    gy_free(f);
    return 0;
}

static gy_status get_shape(void *ctx, int64_t revision, const struct gy_shape **ret,
                           struct gy_err *err)
{
    struct fixture *f = ctx;
    if (revision > 2) {
        return gy_err_set(err, GY_E_NOTFOUND, "no revision %lld", (long long)revision);
    }
    *ret = &f->shapes[revision - 1];
    return GY_OK;
}

static const struct gy_str slices[] = {{"HR > 90", 7}, {"Temp > 38 and Resp <= 20", 24}};

static struct gy_backtest_options options(struct fixture *f)
{
    return (struct gy_backtest_options){.dir = f->dir,
                                        .endpoint = GY_STR("sepsis"),
                                        .predictor = f->p,
                                        .threshold = NAN,
                                        .slices = slices,
                                        .n_slices = 2,
                                        .shape = get_shape,
                                        .shape_ctx = f,
                                        .n_threads = 1};
}

/* The same count, one row after the other. */
static void count_by_hand(double threshold, int64_t since_us, bool labelled, int slice,
                          struct gy_backtest_counts *c)
{
    *c = (struct gy_backtest_counts){0};
    for (uint32_t i = 0; i < ROWS; i++) {
        double in[4], out[2];
        struct gy_rule_outcome rule;
        row_of(i, in, out, &rule);
        bool inside = slice == 0 ? true : slice == 1 ? in[1] > 90 : in[0] > 38 && in[2] <= 20;
        if (i % 50 == 0 || i % 100 >= 98 || isnan(in[1]) || !inside ||
            FIRST_US + i * 1000000 < since_us) {
            continue;
        }
        double p = 1 / (1 + exp(-(in[1] - 90) / 10));
        bool now = rule.rule == 0 || p >= threshold, then = out[0] == 1, truth = i % 3 == 0;
        c->rows++;
        c->by_rule += rule.rule == 0;
        c->same += now == then;
        c->up += now && !then;
        c->down += !now && then;
        c->scored += !isnan(out[1]);
        c->score_change += isnan(out[1]) ? 0 : p - out[1];
        if (labelled && i % 2) {
            c->labelled++;
            c->then.correct += then == truth;
            c->now.correct += now == truth;
            c->now.tp += now && truth;
            c->now.fp += now && !truth;
            c->now.fn += !now && truth;
            c->then.tn += !then && !truth;
        }
    }
}

static void check_counts(const struct gy_backtest_counts *got,
                         const struct gy_backtest_counts *want)
{
    assert_true(want->rows > 0);
    assert_int_equal(got->rows, want->rows);
    assert_int_equal(got->by_rule, want->by_rule);
    assert_int_equal(got->same, want->same);
    assert_int_equal(got->up, want->up);
    assert_int_equal(got->down, want->down);
    assert_int_equal(got->scored, want->scored);
    assert_true(fabs(got->score_change - want->score_change) < 1e-9 * ROWS);
    assert_int_equal(got->labelled, want->labelled);
    assert_int_equal(got->then.correct, want->then.correct);
    assert_int_equal(got->now.correct, want->now.correct);
    assert_int_equal(got->now.tp, want->now.tp);
    assert_int_equal(got->now.fp, want->now.fp);
    assert_int_equal(got->now.fn, want->now.fn);
    assert_int_equal(got->then.tn, want->then.tn);
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    static const uint32_t per_segment[] = {ROWS, 137, 64};
    double first_change = 0;
    for (int k = 0; k < 3; k++) {
        GY_AUTO_DONE(gy_labels_done) struct gy_labels labels = {0};
        write_log(f, per_segment[k]);
        for (uint32_t i = 1; i < ROWS; i += 2) {
            assert_int_equal(gy_labels_add(&labels, f->ids[i], 0, i % 3 == 0, NULL), GY_OK);
        }
        for (int threads = 1; threads <= 3; threads += 2) {
            struct gy_backtest_options o = options(f);
            struct gy_backtest_result r;
            struct gy_err err = GY_ERR_INIT;
            o.n_threads = threads;
            o.labels = &labels;
            assert_status(GY_OK, gy_backtest(&o, &f->a, &r, &err), err);
            assert_int_equal(r.n_groups, 3);
            for (int g = 0; g < 3; g++) {
                struct gy_backtest_counts want;
                count_by_hand(0.5, 0, true, g, &want);
                check_counts(&r.groups[g], &want);
            }
            assert_int_equal(r.unreadable, 10);
            assert_int_equal(r.other, 10);
            assert_string_equal(r.why_other,
                                "the version needs 'HR', which revision 2 did not log");
            assert_int_equal(r.refused + r.groups[0].rows, r.records);
            assert_true(r.refused > 0);
            assert_int_equal(r.first_us, FIRST_US + 1000000);
            /* The same segments give the same sum, bit by bit. */
            assert_true(threads == 1 || r.groups[0].score_change == first_change);
            first_change = r.groups[0].score_change;
        }
    }
}

/* Old segments are not even opened. */
static void test_since_and_threshold(void **state)
{
    struct fixture *f = *state;
    write_log(f, 100);
    struct gy_backtest_options o = options(f);
    struct gy_backtest_result r;
    struct gy_err err = GY_ERR_INIT;
    struct gy_backtest_counts want;
    o.threshold = 0.8;
    o.since_us = FIRST_US + 500 * INT64_C(1000000);
    assert_status(GY_OK, gy_backtest(&o, &f->a, &r, &err), err);
    count_by_hand(0.8, o.since_us, false, 0, &want);
    check_counts(&r.groups[0], &want);
    assert_int_equal(r.skipped_segments, 0); /* an hour is left for clocks */
    o.since_us = FIRST_US + 4000 * INT64_C(1000000);
    assert_status(GY_OK, gy_backtest(&o, &f->a, &r, &err), err);
    assert_int_equal(r.groups[0].rows, 0);
    assert_int_equal(r.skipped_segments, 4);
    o.since_us = 0;
    o.until_us = FIRST_US + 10 * INT64_C(1000000);
    assert_status(GY_OK, gy_backtest(&o, &f->a, &r, &err), err);
    assert_int_equal(r.groups[0].rows, 9);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    static const struct gy_str unknown[] = {{"Lactate > 2", 11}};
    struct gy_backtest_options o = options(f);
    struct gy_backtest_result r;
    struct gy_err err = GY_ERR_INIT;
    write_log(f, 300);
    o.slices = unknown;
    o.n_slices = 1;
    assert_status(GY_E_INVALID, gy_backtest(&o, &f->a, &r, &err), err);
    assert_non_null(strstr(err.msg, "Lactate"));
    o.n_threads = 0;
    assert_int_equal(gy_backtest(&o, &f->a, &r, NULL), GY_E_INVALID);
    o = options(f);
    o.dir = "/nowhere/at/all"; /* no log yet: nothing was asked */
    assert_status(GY_OK, gy_backtest(&o, &f->a, &r, &err), err);
    assert_int_equal(r.groups[0].rows, 0);
}

/* The revision whose slice failed was found by the other threads before the run had ended. */
static void test_an_unknown_slice_does_not_crash_other_threads(void **state)
{
    struct fixture *f = *state;
    static const struct gy_str unknown[] = {{"HR > 90", 7}, {"Lactate > 2", 11}};
    struct gy_backtest_options o = options(f);
    write_log(f, 50);
    o.slices = unknown;
    o.n_slices = 2;
    o.n_threads = 8;
    for (int i = 0; i < 200; i++) {
        struct gy_backtest_result r;
        assert_int_equal(gy_backtest(&o, &f->a, &r, NULL), GY_E_INVALID);
    }
}

static gy_status torture_run(void *ctx, struct gy_err *err)
{
    struct fixture *f = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_backtest_options o = options(f);
    struct gy_backtest_result r;
    gy_arena_init(&a, GY_MIB);
    return gy_backtest(&o, &a, &r, err);
}

static void test_every_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    write_log(f, 400);
    torture(torture_run, f);
}

static void test_labels(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_labels_done) struct gy_labels l = {0};
    unsigned char id[16] = {1};
    assert_true(isnan(gy_labels_get(NULL, id, 0)) && isnan(gy_labels_get(&l, id, 0)));
    for (uint32_t i = 0; i < 5000; i++) {
        memcpy(id, &i, sizeof i);
        assert_int_equal(gy_labels_add(&l, id, i % 7, i, NULL), GY_OK);
    }
    assert_int_equal(gy_labels_add(&l, id, 4999 % 7, -1, NULL), GY_OK);
    assert_int_equal(l.n, 5000);
    assert_true(gy_labels_get(&l, id, 4999 % 7) == -1);
    for (uint32_t i = 0; i < 4999; i++) {
        memcpy(id, &i, sizeof i);
        assert_true(gy_labels_get(&l, id, i % 7) == i && isnan(gy_labels_get(&l, id, 8)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_since_and_threshold),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_an_unknown_slice_does_not_crash_other_threads),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
