/* SPDX-License-Identifier: Apache-2.0 */
/* How windows find what they are held against: training profiles that are read once and shared, the
 * first window where there is none; and when labels are asked for. */
#include "support_watch.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "support_join.h"
#include "watch/judge.h"

#define ROWS 400

static const struct gy_str INPUTS[] = {{"a", 1}, {"b", 1}};

struct fixture {
    struct scratch *scratch;
    struct gy_judge judge;
    struct gy_watch_settings settings;
    struct gy_shape_variant variant;
    struct gy_shape shape;
    char digest[16];
};

static int setup(void **state)
{
    static struct fixture f;
    (void)arena_start(state);
    f = (struct fixture){.scratch = scratch_new()};
    f.judge.cache_dir = f.scratch->dir;
    gy_watch_settings_init(&f.settings);
    f.shape = (struct gy_shape){.endpoint = GY_STR("sepsis"),
                                .revision = 1,
                                .task = GY_TASK_BINARY,
                                .inputs = INPUTS,
                                .n_inputs = 2,
                                .n_model_inputs = 2,
                                .variants = &f.variant,
                                .n_variants = 1};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_judge_done(&f->judge);
    assert_null(f->judge.profiles);
    (void)arena_end(state);
    scratch_free(f->scratch);
    return 0;
}

/* ---- packages ---- */

static const char *path_of(struct fixture *f, int package)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/d%d/%s", f->scratch->dir, package, GY_PROFILE_FILE);
    return path;
}

static void put(struct fixture *f, int package, struct gy_str text)
{
    char dir[160];
    (void)snprintf(dir, sizeof dir, "%s/d%d", f->scratch->dir, package);
    assert_true(mkdir(dir, 0700) == 0);
    OK(gy_file_write(path_of(f, package), text, 0600, &g_err));
}

static void put_profile(struct fixture *f, int package)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_profile_column columns[2] = {{.name = INPUTS[0], .input = true},
                                           {.name = INPUTS[1], .input = true}};
    for (size_t i = 0; i < 2; i++) {
        struct gy_values v = lcg_column(i + 1, 3000, 0, 1);
        OK(gy_profile_describe(&v, 2, &g_arena, &columns[i], &g_err));
    }
    const struct gy_profile p = {
        .rows = 3000, .columns = columns, .n_columns = 2, .positive_share = NAN};
    gy_buf_init(&b, GY_MIB);
    OK(gy_profile_write(&p, &b, &g_err));
    put(f, package, gy_buf_str(&b));
}

static void lose_profile(struct fixture *f, int package)
{
    assert_true(unlink(path_of(f, package)) == 0);
}

/* ---- windows ---- */

static struct gy_window_scope scope_of(struct fixture *f, int package)
{
    (void)snprintf(f->digest, sizeof f->digest, "d%d", package);
    f->variant = (struct gy_shape_variant){
        .role = GY_VARIANT_STABLE, .version = GY_STR("1"), .digest = gy_str_c(f->digest)};
    return (struct gy_window_scope){.endpoint = GY_STR("sepsis"),
                                    .version = GY_STR("1"),
                                    .shape = &f->shape,
                                    .settings = &f->settings,
                                    .rows = ROWS};
}

static void *open_window(struct fixture *f, int package)
{
    void *w = NULL;
    const struct gy_window_scope s = scope_of(f, package);
    OK(gy_judge_ops.open(&f->judge, &s, &w, &g_err));
    return w;
}

static void close_window(struct fixture *f, void *w)
{
    gy_judge_ops.close(&f->judge, w);
}

/* Rows as in training; skewed: of another shape in both columns. */
static void add_rows(struct fixture *f, void *w, bool skewed)
{
    struct lcg g = {99};
    for (int i = 0; i < ROWS; i++) {
        double x[2], out[2] = {0, 0.2};
        for (int k = 0; k < 2; k++) {
            double v = lcg_normal(&g);
            x[k] = skewed ? v * v * v : v;
        }
        const struct gy_record r = {.time_us = 1000 + i,
                                    .revision = 1,
                                    .n_rows = 1,
                                    .total_rows = 1,
                                    .status = 200,
                                    .n_inputs = 2,
                                    .n_outputs = 2,
                                    .model_version = GY_STR("1"),
                                    .inputs = x,
                                    .outputs = out};
        OK(gy_judge_ops.rows(&f->judge, w, &f->shape, &r, 0, 1, &g_err));
    }
}

static struct gy_window_verdict judge_rows(struct fixture *f, void *w,
                                           const struct gy_window_scope *s, bool skewed)
{
    struct gy_window_verdict v = {.offset = NAN};
    add_rows(f, w, skewed);
    OK(gy_judge_ops.judge(&f->judge, w, s, &g_arena, &v, &g_err));
    return v;
}

static bool says(struct gy_str text, const char *part)
{
    return text.p && memmem(text.p, text.n, part, strlen(part));
}

/* What a window of that package is held against. */
static bool has_profile(struct fixture *f, int package)
{
    const struct gy_window_scope s = scope_of(f, package);
    void *w = open_window(f, package);
    struct gy_window_verdict v = judge_rows(f, w, &s, false);
    close_window(f, w);
    assert_true(says(v.result, "\"reference\":\"training\"") || v.reference.p);
    return !v.reference.p;
}

static void test_a_profile_is_read_once_for_all_windows(void **state)
{
    struct fixture *f = *state;
    put_profile(f, 1);
    void *first = open_window(f, 1);
    lose_profile(f, 1); /* as when the cache drops the package */
    const struct gy_window_scope s = scope_of(f, 1);
    void *second = open_window(f, 1);
    struct gy_window_verdict v = judge_rows(f, first, &s, false);
    assert_true(says(v.result, "\"reference\":\"training\""));
    assert_false(v.told);
    close_window(f, first); /* the other one still needs it */
    v = judge_rows(f, second, &s, true);
    assert_true(v.told && v.drift);
    assert_true(v.share == 1 && gy_str_eqc(v.features, "[\"a\",\"b\"]"));
    close_window(f, second);
    assert_true(has_profile(f, 1)); /* kept though nobody uses it now */
}

static void test_what_was_used_longest_ago_goes(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < GY_JUDGE_MAX_PROFILES + 2; i++) {
        put_profile(f, i);
    }
    void *held = open_window(f, 0); /* in use all the time */
    for (int i = 1; i < GY_JUDGE_MAX_PROFILES; i++) {
        close_window(f, open_window(f, i));
    }
    close_window(f, open_window(f, 1)); /* used again: 2 is now the oldest */
    close_window(f, open_window(f, GY_JUDGE_MAX_PROFILES));
    close_window(f, open_window(f, GY_JUDGE_MAX_PROFILES + 1));
    for (int i = 0; i < GY_JUDGE_MAX_PROFILES + 2; i++) {
        lose_profile(f, i);
    }
    assert_true(has_profile(f, 0));
    assert_true(has_profile(f, 1));
    assert_false(has_profile(f, 2));
    assert_false(has_profile(f, 3));
    assert_true(has_profile(f, 4));
    assert_true(has_profile(f, GY_JUDGE_MAX_PROFILES + 1));
    close_window(f, held);
}

/* More windows at once than are kept: all have theirs, and afterwards there are no more than is
 * said. */
static void test_many_windows_at_once(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 3 * GY_JUDGE_MAX_PROFILES };
    void *windows[MANY];
    for (int i = 0; i < MANY; i++) {
        put_profile(f, i);
        windows[i] = open_window(f, i);
    }
    for (int i = 0; i < MANY; i++) {
        close_window(f, windows[i]);
    }
    put_profile(f, MANY);
    close_window(f, open_window(f, MANY));
    int kept = 0;
    for (int i = 0; i < MANY; i++) {
        lose_profile(f, i);
    }
    for (int i = 0; i < MANY; i++) {
        kept += has_profile(f, i);
    }
    assert_int_equal(kept, GY_JUDGE_MAX_PROFILES - 1); /* and the last one */
}

static void test_without_a_profile_the_first_window_is_the_reference(void **state)
{
    struct fixture *f = *state;
    struct gy_window_scope s = scope_of(f, 5);
    void *w = open_window(f, 5);
    struct gy_window_verdict v = judge_rows(f, w, &s, false);
    close_window(f, w);
    assert_true(says(v.result, "the model's package has no training profile"));
    assert_false(v.told || v.drift);
    s.reference = v.reference;
    void *next = NULL;
    OK(gy_judge_ops.open(&f->judge, &s, &next, &g_err));
    struct gy_window_verdict second = judge_rows(f, next, &s, true);
    close_window(f, next);
    assert_true(says(second.result, "\"reference\":\"first_window\""));
    assert_true(second.told && second.drift && !second.reference.p);
    /* one that can not be read becomes the reference anew rather than stopping the watcher */
    s.reference = GY_STR("{\"format\":\"of later\"}");
    OK(gy_judge_ops.open(&f->judge, &s, &next, &g_err));
    second = judge_rows(f, next, &s, false);
    close_window(f, next);
    assert_true(second.reference.p != NULL);
}

static void test_a_profile_that_can_not_be_read_is_none(void **state)
{
    struct fixture *f = *state;
    put(f, 1, GY_STR("{\"format\":\"gyre.profile/1\",\"rows\":-1}"));
    assert_false(has_profile(f, 1));
    const struct gy_window_scope s = scope_of(f, 1);
    f->variant.digest = GY_STR_NULL; /* nor one of a revision that names no package */
    void *w = NULL;
    OK(gy_judge_ops.open(&f->judge, &s, &w, &g_err));
    assert_true(judge_rows(f, w, &s, false).reference.p != NULL);
    close_window(f, w);
}

static void test_the_first_window_when_asked_for(void **state)
{
    struct fixture *f = *state;
    put_profile(f, 1);
    f->settings.reference = GY_WATCH_FIRST_WINDOW;
    const struct gy_window_scope s = scope_of(f, 1);
    void *w = open_window(f, 1);
    struct gy_window_verdict v = judge_rows(f, w, &s, false);
    close_window(f, w);
    assert_true(says(v.result, "gyre.yaml asks for it") && v.reference.p);
}

/* Counting labels goes over all rows of the version: a join that must not be touched is not touched
 * while nothing has drifted; then it is asked. */
static void test_labels_are_counted_when_something_drifted(void **state)
{
    struct fixture *f = *state;
    struct gy_shapes *shapes = NULL;
    struct gy_join *join = NULL;
    double out[2];
    put_profile(f, 1);
    const struct gy_window_scope s = scope_of(f, 1);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *forbidden = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(forbidden != MAP_FAILED);
    f->judge.join = forbidden;
    void *w = open_window(f, 1);
    assert_false(judge_rows(f, w, &s, false).told);
    close_window(f, w);
    assert_int_equal(munmap(forbidden, page), 0);

    scratch_open(f->scratch);
    scratch_write(f->scratch, add_endpoints, NULL);
    OK(gy_shapes_new(f->scratch->store, &shapes, &g_err));
    OK(gy_join_new(shapes, 0, &join, &g_err));
    for (uint32_t i = 0; i < 50; i++) { /* 30 labelled rows of the window's time */
        struct gy_record r = sepsis_record(i, "1", out, 0.9, false);
        const struct gy_feedback l = label_for(i, "1");
        OK(gy_join_prediction(join, &r, &g_err));
        if (i < 30) {
            OK(gy_join_feedback(join, &l, NULL, &g_err));
        }
    }
    f->judge.join = join;
    w = open_window(f, 1);
    struct gy_window_verdict v = judge_rows(f, w, &s, true);
    close_window(f, w);
    assert_true(v.told && gy_str_eqc(v.cause, "population") && !v.may_retrain);
    assert_true(says(v.retrain_reason, "not enough labels: 30 of 200"));
    gy_join_free(join);
    gy_shapes_free(shapes);
}

static gy_status whole_life(void *ctx, struct gy_err *err)
{
    struct fixture *f = ctx;
    void *w = NULL;
    const struct gy_window_scope s = scope_of(f, 1);
    gy_status st = gy_judge_ops.open(&f->judge, &s, &w, err);
    if (st == GY_OK) {
        gy_judge_ops.close(&f->judge, w);
    }
    gy_judge_done(&f->judge);
    return st;
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    put_profile(f, 1);
    torture(whole_life, f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_profile_is_read_once_for_all_windows),
        TEST(test_what_was_used_longest_ago_goes),
        TEST(test_many_windows_at_once),
        TEST(test_without_a_profile_the_first_window_is_the_reference),
        TEST(test_a_profile_that_can_not_be_read_is_none),
        TEST(test_the_first_window_when_asked_for),
        TEST(test_labels_are_counted_when_something_drifted),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
